//! Answers in the words of clients that know no others: always 200, ASCII, GBK, Chinese, and browsers.

use aimis_simulator::{Canned, Fault, Platform, PlatformOptions};
use encoding_rs::GBK;

use crate::support::client::{Answer, exchange, post, request};
use crate::support::gateway::{Gateway, Settings, studies_query};

const STUDIES: &str = "/thirdparty/patientStudies/900001";
/// What a careless rewriting would change: numbers, escapes, a character beyond the first plane, order.
const ODD: &str = r#"{"code":0,"z":1.10,"e":1E+2,"big":123456789012345678901234567890,"message":"成功 \u6210","data":[{"studyName":"胸部🩻"}]}"#;

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

async fn studies(gateway: &Gateway) -> Answer {
    gateway.studies().await
}

#[tokio::test]
async fn always_200_hides_the_status_and_tells_it() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("lan", "status = \"always_200\"")
        .start();

    let refused = gateway.query("patientStudies", "{}").await;
    assert_eq!((refused.status, refused.code()), (200, 800_005));
    assert_eq!(refused.header("x-aimis-status"), Some("422"));
    assert_eq!(refused.json()["status"], 422);

    platform.push_fault(Fault::EmptyBody);
    let failed = studies(&gateway).await;
    assert_eq!(
        (failed.status, failed.header("x-aimis-status")),
        (200, Some("502")),
        "{}",
        failed.text()
    );

    platform.set_reply(
        "patientStudies",
        Canned {
            status: 503,
            content_type: "application/json".into(),
            headers: vec![],
            body: br#"{"code":1}"#.to_vec(),
        },
    );
    let relayed = studies(&gateway).await;
    assert_eq!((relayed.status, relayed.header("x-aimis-status")), (200, Some("503")));
    assert_eq!(relayed.body, br#"{"code":1}"#);

    platform.clear_reply("patientStudies");
    let fine = studies(&gateway).await;
    assert_eq!((fine.status, fine.header("x-aimis-status")), (200, None));
}

#[tokio::test]
async fn ascii_json_escapes_and_changes_nothing_else() {
    let platform = platform().await;
    platform.set_reply("patientStudies", ODD);
    let gateway = Settings::calling(&platform).with("lan", "ascii_json = true").start();

    let answer = studies(&gateway).await;

    let expected = ODD
        .replace("成功", "\\u6210\\u529f")
        .replace("胸部🩻", "\\u80f8\\u90e8\\ud83e\\ude7b");
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("x-aimis-answer"), Some("ascii-json"));
    assert!(gateway.query("patientStudies", "{").await.body.is_ascii());
}

#[tokio::test]
async fn a_client_of_gbk_reads_every_character() {
    let platform = platform().await;
    platform.set_reply("patientStudies", ODD);
    let gateway = Settings::calling(&platform).with("lan", "charset = \"gbk\"").start();

    let answer = studies(&gateway).await;

    let text = GBK
        .decode_without_bom_handling_and_without_replacement(&answer.body)
        .unwrap();
    assert_eq!(text, ODD.replace('🩻', "\\ud83e\\ude7b"));
    assert_eq!(answer.header("content-type"), Some("application/json; charset=GBK"));
    assert_eq!(answer.header("x-aimis-answer"), Some("charset=gbk"));
    let refusal = gateway.query("patientStudies", "{").await;
    let text = GBK
        .decode_without_bom_handling_and_without_replacement(&refusal.body)
        .unwrap();
    assert!(text.contains("请求"), "{text}");
}

#[tokio::test]
async fn an_answer_in_gb18030_reaches_a_client_of_utf8_escapes() {
    let platform = platform().await;
    let gb = [br#"{"code":0,"message":""#.as_slice(), b"\xb3\xc9\xb9\xa6", br#""}"#].concat();
    platform.set_reply("patientStudies", gb.clone());
    let plain = Gateway::before(&platform);
    let ascii = Settings::calling(&platform).with("lan", "ascii_json = true").start();

    assert_eq!(studies(&plain).await.body, gb, "P4: as it came");
    assert_eq!(studies(&ascii).await.text(), r#"{"code":0,"message":"\u6210\u529f"}"#);
}

#[tokio::test]
async fn each_client_is_answered_in_its_own_words() {
    let platform = platform().await;
    platform.set_reply("patientStudies", ODD);
    let gateway = Settings::calling(&platform)
        .with("lan", "language = \"en\"")
        .client(
            "name = \"old\"\nnetworks = \"127.0.0.1\"\nascii_json = true\nlanguage = \"zh\"\nstatus = \"always_200\"",
        )
        .start();

    assert!(studies(&gateway).await.body.is_ascii());
    let refused = gateway.query("patientStudies", "{").await;
    assert_eq!(
        (refused.status, refused.header("content-language")),
        (200, Some("zh-CN"))
    );
    // Who is not known is answered as [lan] says.
    let unknown = post(gateway.lan, STUDIES, &[("X-Api-Key", "x")], b"{}").await;
    assert_eq!((unknown.status, unknown.header("content-language")), (401, Some("en")));
}

#[tokio::test]
async fn pages_may_ask_only_where_their_origin_is_configured() {
    const ORIGIN: (&str, &str) = ("Origin", "https://his.hospital.example");
    let platform = platform().await;
    let asks = [
        ORIGIN,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Private-Network", "true"),
    ];
    let preflight = request("OPTIONS", STUDIES, &asks, b"");

    let closed = Gateway::before(&platform);
    let refused = exchange(closed.lan, &preflight).await.unwrap();
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (403, None)
    );

    let open = Settings::calling(&platform)
        .with("lan", "cors_origins = [\"https://his.hospital.example\"]")
        .client("name = \"his\"\nkey_sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"")
        .start();
    let allowed = exchange(open.lan, &preflight).await.unwrap();
    assert_eq!(allowed.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://his.hospital.example"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-private-network", "true"),
        ("access-control-max-age", "600"),
        ("vary", "Origin"),
    ] {
        assert_eq!(allowed.header(name), Some(value), "{name}");
    }
    assert!(
        allowed
            .header("access-control-allow-headers")
            .unwrap()
            .contains("x-api-key")
    );

    // The question itself needs its key, and the page may read the refusal.
    let unknown = post(open.lan, STUDIES, &[ORIGIN], studies_query().as_bytes()).await;
    assert_eq!(
        (unknown.status, unknown.header("access-control-allow-origin")),
        (401, Some(ORIGIN.1))
    );
    let known = post(
        open.lan,
        STUDIES,
        &[ORIGIN, ("X-Api-Key", "test")],
        studies_query().as_bytes(),
    )
    .await;
    assert_eq!(
        (known.status, known.header("access-control-allow-origin")),
        (200, Some(ORIGIN.1))
    );

    let elsewhere = [("Origin", "https://elsewhere.example"), asks[1]];
    let refused = exchange(open.lan, &request("OPTIONS", STUDIES, &elsewhere, b""))
        .await
        .unwrap();
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (403, None)
    );
    assert_eq!(refused.code(), 800_102);
    let log = open.stop();
    assert!(log.contains("answered a browser's preflight"), "{log}");
}
