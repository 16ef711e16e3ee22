//! Business codes by their class, where the configuration has another than the built-in table.

use aimis_simulator::{Canned, Fault, PATIENT_CONSULTATIONS, PATIENT_STUDIES, Platform, PlatformOptions};
use serde_json::json;

use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query_with};

/// A code that nobody documented.
const NEWS: i64 = 77_777;

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

/// A platform that answers every question with [`NEWS`].
async fn platform_with_news() -> Platform {
    let platform = platform().await;
    platform.set_fault(Fault::BusinessCode {
        code: NEWS,
        message: "simulated".to_owned(),
    });
    platform
}

fn code(lines: &str) -> String {
    format!("code = {NEWS}\n{lines}")
}

#[tokio::test]
async fn an_override_says_whether_a_question_is_asked_again() {
    let platform = platform_with_news().await;
    let rows = [
        (None, 1),
        (Some("class = \"transient\""), 2),
        (Some("class = \"transient\"\nretry = false"), 1),
        (Some("class = \"caller\"\nretry = true"), 2),
        (Some("class = \"transient\"\napi = \"patientReportUrl\""), 1),
    ];
    for (lines, attempts) in rows {
        platform.clear_requests();
        let settings = Settings::calling(&platform);
        let settings = lines.map_or(settings.clone(), |lines| settings.code(&code(lines)));

        let answer = settings.start().studies().await;

        assert_eq!(
            (answer.status, answer.code()),
            (200, NEWS),
            "{lines:?}: relayed as it is"
        );
        assert_eq!(platform.requests().len(), attempts, "{lines:?}");
    }
}

#[tokio::test]
async fn an_override_says_whether_a_failure_counts_for_the_breaker() {
    let platform = platform().await;
    platform.set_reply(
        PATIENT_CONSULTATIONS,
        Canned {
            status: 500,
            ..Canned::from(format!(r#"{{"code":{NEWS},"message":"simulated","data":null}}"#))
        },
    );
    let ask = async |gateway: &Gateway, patient: usize| {
        let body = format!(r#"{{"hisId":"HIS{patient}","phoneNum":"{PHONE}","idNum":"{ID_NUMBER}"}}"#);
        gateway.query(PATIENT_CONSULTATIONS, body).await.code()
    };
    for (class, last) in [(None, 800_304), (Some("class = \"caller\""), NEWS)] {
        let settings = Settings::calling(&platform);
        let settings = class.map_or(settings.clone(), |class| settings.code(&code(class)));
        let gateway = settings.start();

        let mut codes = Vec::new();
        for patient in 0..6 {
            codes.push(ask(&gateway, patient).await);
        }

        assert_eq!(codes.last(), Some(&last), "{class:?}: {codes:?}");
    }
}

#[tokio::test]
async fn an_override_has_its_class_and_its_own_series_in_the_metrics() {
    let platform = platform_with_news().await;
    let answers = |code: &str| format!("aimis_upstream_business_codes_total{{api=\"patientStudies\",code=\"{code}\"}}");

    let builtin = Gateway::before(&platform);
    builtin.studies().await;
    assert_eq!(builtin.metric(&answers("other")).await, Some(1.0));
    assert_eq!(builtin.metric(&answers("77777")).await, None);

    let gateway = Settings::calling(&platform).code(&code("class = \"no_data\"")).start();
    assert_eq!(gateway.metric(&answers("77777")).await, Some(0.0), "from the start");
    gateway.studies().await;
    assert_eq!(gateway.metric(&answers("77777")).await, Some(1.0));
    assert_eq!(gateway.metric(&answers("other")).await, Some(0.0));
    let text = gateway.telemetry("/metrics").await.text();
    let class = text
        .lines()
        .find(|line| line.contains("code_class=\"data\"") && line.ends_with(" 1"));
    assert!(
        class.is_some_and(|line| line.contains("api=\"patientStudies\"")),
        "{text}"
    );
}

#[tokio::test]
async fn an_override_says_what_a_part_of_a_merged_list_found() {
    let platform = platform_with_news().await;
    let merging = Settings::calling(&platform).with("lan", "merge_study_types = true");
    let query = || studies_query_with(json!({ "dataFlag": 0, "studyType": [0, 5] }));

    let failed = merging.start().query(PATIENT_STUDIES, query()).await;
    assert_ne!(failed.code(), 0, "{}", failed.text());

    let nothing = merging
        .code(&code("class = \"no_data\""))
        .start()
        .query(PATIENT_STUDIES, query())
        .await;
    assert_eq!((nothing.status, nothing.code()), (200, 0), "{}", nothing.text());
}
