//! Several gateways, random look-ups and callbacks at once: no look-up gives what an acknowledged callback made untrue.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aimis_simulator::{Callback, Fault, PATIENT_STUDIES, Patient, Study};
use serde_json::json;

use super::bed::Bed;
use crate::support::gateway::studies_query_with;

/// Callbacks of a run; `AIMIS_HISTORY_CALLBACKS` raises them.
fn callbacks() -> usize {
    let more = std::env::var("AIMIS_HISTORY_CALLBACKS").ok();
    more.map_or(60, |callbacks| callbacks.parse().expect("a number"))
}

const PATIENTS: [(&str, &str); 3] = [
    ("11010119000101009X", "13800138000"),
    ("11010119000101020X", "13900139000"),
    ("110101190001010316", "13700137000"),
];

/// Studies of each patient by callbacks that were acknowledged.
type Floor = [AtomicUsize; PATIENTS.len()];

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
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_gone_from_all_replicas_once_a_callback_is_acknowledged() {
    let bed = Arc::new(Bed::start(3).await);
    for (id_num, phone_num) in &PATIENTS[1..] {
        bed.platform.add_patient(Patient::new("某人", id_num, phone_num));
    }
    // A question that is on its way while a callback comes is what makes it hard.
    bed.platform.set_fault_rate(Fault::Latency { ms: 15 }, 2);
    bed.platform.set_recording(false);
    let mut base = [0; PATIENTS.len()];
    for (patient, base) in base.iter_mut().enumerate() {
        *base = look(&bed, 0, patient).await.0;
    }
    let floor: Arc<Floor> = Arc::new(base.map(AtomicUsize::new));
    let (over, hits, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let wrong: Arc<Mutex<Vec<String>>> = Arc::default();

    let mut tasks = Vec::new();
    for seed in 0..12 {
        let (bed, floor, over) = (Arc::clone(&bed), Arc::clone(&floor), Arc::clone(&over));
        let (hits, looks, wrong) = (Arc::clone(&hits), Arc::clone(&looks), Arc::clone(&wrong));
        tasks.push(tokio::spawn(async move {
            let mut choices = Choices(seed);
            while !over.load(Ordering::Acquire) {
                let (gateway, patient) = (choices.below(3), choices.below(PATIENTS.len()));
                let least = floor[patient].load(Ordering::Acquire);
                let (studies, hit) = look(&bed, gateway, patient).await;
                looks.fetch_add(1, Ordering::Relaxed);
                hits.fetch_add(usize::from(hit), Ordering::Relaxed);
                if studies < least {
                    let text = format!("gateway {gateway}, patient {patient}: {studies} of {least}, hit: {hit}");
                    wrong.lock().unwrap().push(text);
                }
            }
        }));
    }
    let mut choices = Choices(99);
    for number in 0..callbacks() {
        let (gateway, patient) = (choices.below(3), choices.below(PATIENTS.len()));
        let (id_num, phone_num) = PATIENTS[patient];
        let study = study(number);
        assert!(bed.platform.add_study(id_num, study.clone()));
        let callback = Callback::about(&Patient::new("某人", id_num, phone_num), &study, 3);
        assert!(bed.send(gateway, &callback).await, "callback {number}");
        floor[patient].fetch_add(1, Ordering::AcqRel);
    }
    over.store(true, Ordering::Release);
    for task in tasks {
        task.await.unwrap();
    }

    assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new());
    let (hits, looks) = (hits.load(Ordering::Relaxed), looks.load(Ordering::Relaxed));
    assert!(hits > callbacks() && looks > hits, "{hits} hits of {looks}: too little to tell");
}
