//! The outage drill: fresh, stale with its age and a warning, an error behind the ceiling, and back.

use super::*;

#[tokio::test]
async fn an_outage_is_bridged_with_a_warning_until_the_ceiling() {
    let platform = platform().await;
    let (settings, clock) = cached(&platform);
    let gateway = settings
        .with("platform", "max_retries = 0")
        .with("breaker", "consecutive = 2")
        .start();
    let before = gateway.studies().await;
    later(&platform, &clock, 70);

    let business = |code: i64| Fault::BusinessCode {
        code,
        message: "simulated".to_owned(),
    };
    for fault in [
        Fault::ResetBeforeHead,
        Fault::HtmlPage { status: 200 },
        Fault::Status {
            code: 503,
            envelope: true,
        },
        business(30_001),
    ] {
        platform.set_fault(fault.clone());
        let answer = gateway.studies().await;
        assert_eq!(
            told(&answer),
            ["cache", "aimis; hit; ttl=-40; detail=stale", "70", "cache=stale"],
            "{fault:?}"
        );
        assert_eq!((answer.status, &answer.body), (200, &before.body), "{fault:?}");
    }
    // A request that said how old an answer may be gets the error itself.
    platform.set_fault(Fault::HtmlPage { status: 200 });
    for value in ["max-age=60", "no-cache"] {
        let answer = ask(&gateway, &[("Cache-Control", value)]).await;
        assert_eq!((answer.status, answer.code()), (502, 800_303), "{value}");
        assert_eq!(told(&answer)[1], "aimis; fwd=stale", "{value}");
    }

    later(&platform, &clock, 260);
    let over = gateway.studies().await;
    assert_eq!((over.status, over.code(), told(&over)[0]), (502, 800_303, "gateway"));
    assert_eq!(over.header("age"), None);

    platform.clear_faults();
    let back = gateway.studies().await;
    assert_eq!((back.status, told(&back)[0], told(&back)[3]), (200, "platform", ""));
    assert_eq!(told(&gateway.studies().await)[0], "cache");
    assert_eq!(results(&gateway, "patientStudies", "stale").await, 4.0);
    let stale: Vec<_> = checked(&gateway.stop())
        .into_iter()
        .filter(|line| line["cache.result"] == "stale")
        .map(|line| {
            [
                line["severity_text"].clone(),
                line["error.type"].clone(),
                line["attempts"].clone(),
            ]
        })
        .collect();
    let wanted = ["no_answer", "not_envelope", "business", "business"];
    assert_eq!(stale, wanted.map(|error| [json!("WARN"), json!(error), json!(1)]));
}

#[tokio::test]
async fn a_suspended_platform_is_bridged_too() {
    let platform = platform().await;
    let (settings, clock) = cached(&platform);
    let gateway = settings
        .with("platform", "max_retries = 0")
        .with("breaker", "consecutive = 2")
        .start();
    gateway.studies().await;
    later(&platform, &clock, 60);
    platform.set_fault(Fault::ResetBeforeHead);
    for study_type in [1, 2, 3] {
        let other = studies_query_with(json!({"studyType": study_type}));
        assert_ne!(gateway.query(PATIENT_STUDIES, other).await.status, 200);
    }
    let asked = platform.request_count();

    let bridged = gateway.studies().await;

    assert_eq!((bridged.status, told(&bridged)[3]), (200, "cache=stale"));
    assert_eq!(platform.request_count(), asked, "the breaker is open");
}

#[tokio::test]
async fn what_the_platform_says_of_the_question_or_the_hospital_is_never_hidden_by_an_older_answer() {
    for code in [100_001, 10_004, 20_005, 20_008, 90_001, 20_016, 50_002] {
        let platform = platform().await;
        let (settings, clock) = cached(&platform);
        let gateway = settings.start();
        gateway.studies().await;
        later(&platform, &clock, 40);
        platform.set_fault(Fault::BusinessCode {
            code,
            message: "simulated".to_owned(),
        });

        let answer = gateway.studies().await;

        assert_eq!((answer.code(), told(&answer)[0]), (code, "platform"), "{answer:?}");
        // And what was kept before is not served any more: the platform contradicts it.
        assert_eq!(gateway.metric("aimis_cache_entries").await, Some(0.0), "{code}");
    }
}
