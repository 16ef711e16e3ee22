//! Several gateways, random look-ups and callbacks at once: no look-up gives what an acknowledged callback made untrue.

use std::cell::{Cell, RefCell};

use aimis_simulator::{Callback, Fault, PATIENT_STUDIES, Patient, Study};
use futures_util::future::join_all;
use serde_json::json;

use super::bed::Bed;
use crate::support::gateway::studies_query_with;

/// Callbacks of a run; `AIMIS_HISTORY_CALLBACKS` raises them.
#[expect(clippy::disallowed_methods, reason = "a knob of the test, not a setting")]
fn callbacks() -> usize {
    let more = std::env::var("AIMIS_HISTORY_CALLBACKS").ok();
    more.map_or(60, |callbacks| callbacks.parse().expect("a number"))
}

const PATIENTS: [(&str, &str); 3] = [
    ("11010119000101009X", "13800138000"),
    ("11010119000101020X", "13900139000"),
    ("110101190001010316", "13700137000"),
];

fn study(number: usize) -> Study {
    Study::new(&format!("H{number:05}"), 0, "2024-12-05 09:30:00", "H0001", "U0001")
}

async fn look(bed: &Bed, gateway: usize, patient: usize) -> (usize, bool) {
    let (id_num, phone_num) = PATIENTS[patient];
    let body = studies_query_with(json!({ "idNum": id_num, "phoneNum": phone_num }));
    let answer = bed.gateways[gateway].query(PATIENT_STUDIES, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let studies = answer.json()["data"].as_array().map_or(0, Vec::len);
    (studies, answer.header("x-aimis-origin") == Some("cache"))
}

/// The same choices for the same seed.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[tokio::test]
async fn an_answer_is_gone_from_all_replicas_once_a_callback_is_acknowledged() {
    let bed = Bed::start(3).await;
    for (id_num, phone_num) in &PATIENTS[1..] {
        bed.platform.add_patient(Patient::new("某人", id_num, phone_num));
    }
    // A question that is on its way while a callback comes is what makes it hard.
    bed.platform.set_fault_rate(Fault::Latency { ms: 40 }, 3);
    bed.platform.set_recording(false);
    let mut base = [0; PATIENTS.len()];
    for (patient, base) in base.iter_mut().enumerate() {
        *base = look(&bed, 0, patient).await.0;
    }
    // Studies of each patient by callbacks that were acknowledged.
    let floor = RefCell::new(base);
    let (over, hits, looks) = (Cell::new(false), Cell::new(0), Cell::new(0));

    let looking = (0..24).map(|seed| {
        let (bed, floor, over, hits, looks) = (&bed, &floor, &over, &hits, &looks);
        async move {
            let mut choices = Choices(seed);
            while !over.get() {
                let (gateway, patient) = (choices.below(3), choices.below(PATIENTS.len()));
                let least = floor.borrow()[patient];
                let (studies, hit) = look(bed, gateway, patient).await;
                looks.set(looks.get() + 1);
                hits.set(hits.get() + usize::from(hit));
                assert!(
                    studies >= least,
                    "gateway {gateway}, patient {patient}: {studies} of {least}, hit: {hit}"
                );
            }
        }
    });
    let telling = async {
        let mut choices = Choices(99);
        for number in 0..callbacks() {
            let (gateway, patient) = (choices.below(3), choices.below(PATIENTS.len()));
            let (id_num, phone_num) = PATIENTS[patient];
            let study = study(number);
            assert!(bed.platform.add_study(id_num, study.clone()));
            let callback = Callback::about(&Patient::new("某人", id_num, phone_num), &study, 3);
            // One that is signed in the millisecond of a question of ours is refused; the platform sends it again.
            let mut tries = 0;
            while !bed.send(gateway, &callback).await {
                tries += 1;
                assert!(tries < 20, "callback {number}");
            }
            floor.borrow_mut()[patient] += 1;
        }
        over.set(true);
    };
    tokio::join!(join_all(looking), telling);

    let (hits, looks) = (hits.get(), looks.get());
    assert!(
        hits > callbacks() && looks > hits,
        "{hits} hits of {looks}: too little to tell"
    );
}
