//! Several gateways, random look-ups and callbacks at once: no look-up gives what an acknowledged callback made untrue.

use std::cell::{Cell, RefCell};
use std::future::Future;

use aimis_simulator::{Callback, Fault, PATIENT_STUDIES, Patient, Study};
use futures_util::future::join_all;
use serde_json::json;
use tokio::task::block_in_place;

use super::bed::Bed;
use super::failover::failing_over;
use crate::store::cluster::Cluster;
use crate::store::servers::Engine;
use crate::store::trio::Trio;
use crate::support::client::PATIENCE;
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

/// What a look-up gave.
struct Looked {
    studies: usize,
    hit: bool,
    /// The gateway says that it went by itself.
    local: bool,
}

async fn look<S>(bed: &Bed<S>, gateway: usize, patient: usize) -> Looked {
    let (id_num, phone_num) = PATIENTS[patient];
    let body = studies_query_with(json!({ "idNum": id_num, "phoneNum": phone_num }));
    let answer = bed.gateways[gateway].query(PATIENT_STUDIES, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let studies = answer.json()["data"].as_array().map_or(0, Vec::len);
    let warnings = answer.header("x-aimis-warnings");
    Looked {
        studies,
        hit: answer.header("x-aimis-origin") == Some("cache"),
        local: warnings.is_some_and(|warnings| warnings.contains("cache=local")),
    }
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

/// Looks up at all gateways while callbacks are acknowledged; `amid` happens when half of them are. No look-up that began
/// behind an acknowledgement may give less than that; but for one of a gateway that says that it goes by itself, where the
/// store goes away `amid` this.
async fn holds<S>(bed: &Bed<S>, callbacks: usize, amid: Option<impl Future<Output = ()>>) {
    for (id_num, phone_num) in &PATIENTS[1..] {
        bed.platform.add_patient(Patient::new("某人", id_num, phone_num));
    }
    // A question that is on its way while a callback comes is what makes it hard.
    bed.platform.set_fault_rate(Fault::Latency { ms: 40 }, 3);
    bed.platform.set_recording(false);
    let mut base = [0; PATIENTS.len()];
    for (patient, base) in base.iter_mut().enumerate() {
        *base = look(bed, 0, patient).await.studies;
    }
    // Studies of each patient by callbacks that were acknowledged.
    let floor = RefCell::new(base);
    let (over, hits, looks) = (Cell::new(false), Cell::new(0), Cell::new(0));
    let goes_away = amid.is_some();

    let looking = (0..24).map(|seed| {
        let (floor, over, hits, looks) = (&floor, &over, &hits, &looks);
        async move {
            let mut choices = Choices(seed);
            while !over.get() {
                let (gateway, patient) = (choices.below(bed.gateways.len()), choices.below(PATIENTS.len()));
                let least = floor.borrow()[patient];
                let Looked { studies, hit, local } = look(bed, gateway, patient).await;
                looks.set(looks.get() + 1);
                hits.set(hits.get() + usize::from(hit));
                assert!(
                    studies >= least || local && goes_away,
                    "gateway {gateway}, patient {patient}: {studies} of {least}, hit: {hit}"
                );
            }
        }
    });
    let half = tokio::sync::Notify::new();
    let telling = async {
        let mut choices = Choices(99);
        for number in 0..callbacks {
            if number == callbacks / 2 {
                half.notify_one();
            }
            let (gateway, patient) = (choices.below(bed.gateways.len()), choices.below(PATIENTS.len()));
            let (id_num, phone_num) = PATIENTS[patient];
            let study = study(number);
            assert!(bed.platform.add_study(id_num, study.clone()));
            let callback = Callback::about(&Patient::new("某人", id_num, phone_num), &study, 3);
            // One that is signed in the millisecond of a question of ours is refused, and one that the store does not hear
            // of is not acknowledged; the platform sends it again.
            let acknowledged = async { while !bed.send(gateway, &callback).await {} };
            let acknowledged = tokio::time::timeout(PATIENCE, acknowledged).await;
            acknowledged.unwrap_or_else(|_| panic!("callback {number} is never acknowledged"));
            floor.borrow_mut()[patient] += 1;
        }
        over.set(true);
    };
    let amid = async {
        half.notified().await;
        if let Some(amid) = amid {
            amid.await;
        }
    };
    tokio::join!(join_all(looking), telling, amid);

    let (hits, looks) = (hits.get(), looks.get());
    assert!(
        hits > callbacks && looks > hits,
        "{hits} hits of {looks}: too little to tell"
    );
    // And then all of them tell all of it.
    bed.up().await;
    bed.platform.clear_faults();
    let floor = floor.into_inner();
    for gateway in 0..bed.gateways.len() {
        for (patient, least) in floor.iter().enumerate() {
            let looked = look(bed, gateway, patient).await;
            assert_eq!((looked.studies, looked.local), (*least, false));
        }
    }
}

/// Nothing happens meanwhile.
const NOTHING: Option<std::future::Ready<()>> = None;

#[tokio::test]
async fn an_answer_is_gone_from_all_replicas_once_a_callback_is_acknowledged() {
    holds(&Bed::start(3).await, callbacks(), NOTHING).await;
}

#[tokio::test]
async fn an_answer_is_gone_from_all_replicas_on_other_engines_too() {
    for engine in [Engine::Redis6, Engine::Valkey9] {
        let bed = Bed::of(engine, 3, |settings| settings).await;
        holds(&bed, callbacks() / 3, NOTHING).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_gone_from_all_replicas_of_a_cluster() {
    for engine in [Engine::Redis7, Engine::Valkey9] {
        let nodes = block_in_place(|| Cluster::start(engine));
        let urls = nodes.urls();
        let bed = Bed::at(nodes, &urls, 3, |settings| settings.with("store", "cluster = true")).await;
        holds(&bed, callbacks() / 3, NOTHING).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_gone_from_all_replicas_while_sentinels_promote_another() {
    let trio = RefCell::new(block_in_place(Trio::start));
    let urls = trio.borrow().urls();
    let bed = Bed::at((), &urls, 3, failing_over).await;

    holds(&bed, callbacks() / 2, Some(async { trio.borrow_mut().kill_master() })).await;

    assert!(
        !trio.borrow().of_replica("*:answer:*").is_empty(),
        "it is kept there now"
    );
}
