//! The forward road: what reaches the platform, and what comes back.

use aimis_simulator::{Platform, PlatformOptions};

use crate::support::gateway::{Gateway, ID_NUMBER, PHONE};

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
