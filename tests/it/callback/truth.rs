//! What a callback makes untrue is no longer answered from the cache once it is acknowledged.

use aimis_gateway::clock::Clock;
use aimis_simulator::{Callback, CallbackSender};
use serde_json::json;

use super::bed::Bed;
use crate::support::client::Answer;
use crate::support::gateway::studies_query_with;

/// Another patient with a telephone of their own.
const OTHER: (&str, &str) = ("11010119000101020X", "13900139000");

async fn ask(bed: &Bed, about: Option<(&str, &str)>) -> Answer {
    let body = match about {
        Some((id_num, phone_num)) => studies_query_with(json!({ "idNum": id_num, "phoneNum": phone_num })),
        None => studies_query_with(json!({})),
    };
    bed.gateway.query("patientStudies", body).await
}

#[tokio::test]
async fn a_callback_drops_exactly_its_patients_answers_before_it_is_acknowledged() {
    let bed = Bed::start(|settings| settings.cached().clock(Clock::system())).await;
    let origin = |answer: &Answer| answer.header("x-aimis-origin").unwrap().to_owned();
    for about in [None, Some(OTHER)] {
        assert_eq!(origin(&ask(&bed, about).await), "platform");
        assert_eq!(origin(&ask(&bed, about).await), "cache");
    }

    // Forged ones change nothing.
    let url = bed.url("/callback/first-hospital");
    let sender = CallbackSender::new(&url, &bed.account).unwrap();
    let forged = sender.clone().forge_signature(&"0".repeat(64));
    assert!(!forged.send(&Callback::demo()).await.unwrap().is_received());
    assert_eq!(origin(&ask(&bed, None).await), "cache");

    for study in ["S1", "S2", "S3"] {
        assert!(sender.send(&Callback::demo().study(study)).await.unwrap().is_received());
        assert_eq!(origin(&ask(&bed, None).await), "platform", "{study}");
        assert_eq!(origin(&ask(&bed, None).await), "cache", "{study}");
        assert_eq!(origin(&ask(&bed, Some(OTHER)).await), "cache", "{study}");
    }
}
