//! The forward road: what reaches the platform, and what comes back.

use aimis_gateway::clock::Clock;
use aimis_simulator::{Platform, PlatformOptions};

use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query_with};

#[tokio::test]
async fn p2_a_number_never_reaches_the_platform_in_clear() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    let answer = gateway.studies().await;

    assert_eq!((answer.status, answer.code()), (200, 0));
    let request = platform.only_request();
    assert!(!request.contains(PHONE) && !request.contains(ID_NUMBER));
    assert_eq!(request.decrypted.as_ref().unwrap()["phoneNum"], PHONE);
    assert_eq!(answer.body, request.reply);
}

#[tokio::test]
async fn the_window_of_a_question_without_one_follows_the_corrected_clock() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    // 1 January 2025, 08:00 in China, on a machine that is a day behind.
    let gateway = Settings::calling(&platform)
        .with("dates", "default_range_days = 1")
        .with("clock", "offset_ms = 86400000")
        .clock(Clock::manual(1_735_689_600_000))
        .start();

    let query = studies_query_with(serde_json::json!({ "studyDateBegin": null, "studyDateEnd": null }));
    gateway.query("patientStudies", query).await;

    assert_eq!(platform.only_request().json()["studyDateEnd"], "2025-01-02 23:59:59");
}
