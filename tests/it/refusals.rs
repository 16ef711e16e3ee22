//! Every refusal of the forward road: what the HIS is told, in both languages, and what it is not told.

mod platform;

use std::net::SocketAddr;

use aimis_simulator::{Account, Fault, Platform, PlatformOptions};
use serde_json::json;

use crate::support::client::{Answer, Connection, exchange, request};
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query, studies_query_with};

const STUDIES: &str = "/thirdparty/patientStudies/900001";
const ENGLISH: &[(&str, &str)] = &[("Accept-Language", "en")];

/// What a refusal has to look like, a row of design.md's table with its texts.
struct Refused {
    status: u16,
    code: i64,
    kind: &'static str,
    /// Those of [`OPTIONAL`] that have to be there, and no others.
    headers: &'static [(&'static str, &'static str)],
    /// Fields and reasons.
    errors: &'static [(&'static str, &'static str)],
    en: &'static str,
    zh: &'static str,
}

/// Headers that some refusals have.
const OPTIONAL: [&str; 3] = ["allow", "retry-after", "proxy-status"];

const fn refused(status: u16, code: i64, kind: &'static str, en: &'static str, zh: &'static str) -> Refused {
    Refused {
        status,
        code,
        kind,
        headers: &[],
        errors: &[],
        en,
        zh,
    }
}

impl Refused {
    const fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    const fn errors(mut self, errors: &'static [(&'static str, &'static str)]) -> Self {
        self.errors = errors;
        self
    }

    #[track_caller]
    fn check(&self, name: &str, english: bool, answer: &Answer) {
        let body = answer.json();
        let what = format!("{name}: {} {body}", answer.status);
        assert_eq!((answer.status, answer.code()), (self.status, self.code), "{what}");
        assert_eq!(body["status"], self.status, "{what}");
        assert!(
            body["type"]
                .as_str()
                .unwrap()
                .ends_with(&format!("/errors/{}", self.kind)),
            "{what}"
        );
        assert!(body["data"].is_null() && body.get("data").is_some(), "{what}");

        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        let (detail, language) = if english { (self.en, "en") } else { (self.zh, "zh-CN") };
        assert!(text("detail").contains(detail), "{what}\nlacks: {detail}");
        assert!(
            text("message").starts_with(&text("title")) && text("message").contains(&text("detail")),
            "{what}"
        );
        assert_eq!(text("title").is_ascii(), english, "{what}");
        assert_eq!(answer.header("content-language"), Some(language), "{what}");

        assert_eq!(answer.header("x-request-id"), body["requestId"].as_str(), "{what}");
        assert!(!text("requestId").is_empty(), "{what}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8"),
            "{what}"
        );
        assert_eq!(answer.header("x-aimis-origin"), Some("gateway"), "{what}");
        assert!(
            answer
                .header("cache-status")
                .is_some_and(|status| status.starts_with("aimis;")),
            "{what}"
        );
        assert_eq!(answer.header("cache-control"), Some("private, no-store"), "{what}");
        for header in OPTIONAL {
            let wanted = self
                .headers
                .iter()
                .find(|(name, _)| *name == header)
                .map(|(_, value)| *value);
            assert_eq!(answer.header(header), wanted, "{what}\nheader {header}");
        }
        self.check_errors(&what, &body);
        for personal in [PHONE, ID_NUMBER, "900009"] {
            assert!(!answer.text().contains(personal), "{what}");
            assert!(
                !answer.headers.iter().any(|(_, value)| value.contains(personal)),
                "{what}"
            );
        }
    }

    #[track_caller]
    fn check_errors(&self, what: &str, body: &serde_json::Value) {
        let listed = body.get("errors").map_or(&[][..], |errors| errors.as_array().unwrap());
        let told: Vec<_> = listed
            .iter()
            .map(|e| (e["field"].as_str().unwrap(), e["reason"].as_str().unwrap()))
            .collect();
        assert_eq!(told, self.errors, "{what}");
        for error in listed {
            // A further member would be a place for a value.
            let members: Vec<_> = error.as_object().unwrap().keys().collect();
            assert_eq!(members, ["field", "reason", "hint"], "{what}");
        }
    }
}

/// Sends the same request in both languages and checks both answers.
async fn expect_refused(lan: SocketAddr, name: &str, method: &str, path: &str, body: &[u8], refused: &Refused) {
    for (english, headers) in [(true, ENGLISH), (false, &[][..])] {
        let answer = exchange(lan, &request(method, path, headers, body)).await;
        refused.check(name, english, &answer.unwrap_or_else(|| panic!("{name}: no answer")));
    }
}

/// The studies of the vectors' patient are refused so.
async fn expect_studies_refused(gateway: &Gateway, name: &str, refused: &Refused) {
    expect_refused(gateway.lan, name, "POST", STUDIES, studies_query().as_bytes(), refused).await;
}

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

#[tokio::test]
async fn what_a_caller_sends_wrongly_is_refused_in_full() {
    const BAD: fn(&'static str, &'static str) -> Refused =
        |en, zh| refused(400, 800_001, "body-not-understood", en, zh);
    const FIELD: fn(&'static str, &'static str) -> Refused = |en, zh| refused(422, 800_005, "field-invalid", en, zh);
    let query = studies_query();
    let twice = query.replacen('{', &format!("{{\"phoneNum\":\"{PHONE}\","), 1);
    let behind = format!("{query}\n{PHONE}");
    let large = query.replacen('{', &format!("{{\"padding\":\"{}\",", "x".repeat(64 << 10)), 1);
    let with = studies_query_with;
    let no_numbers = with(json!({"phoneNum": null, "idNum": "-", "usage": ""}));
    let wrong_types = with(json!({"idNum": [ID_NUMBER], "studyType": "0x", "hospitalId": {"id": PHONE}}));
    let out_of_range = with(json!({"studyType": 6, "dataFlag": -1, "usage": 1e30}));
    let dates = with(json!({"studyDateBegin": "2025-01-01 00:00:00", "studyDateEnd": "2024-01-01 00:00:00"}));
    let in_url = format!("{STUDIES}?idNum={ID_NUMBER}");
    let rows: [(&str, &str, &str, &[u8], Refused); 14] = [
        (
            "no JSON",
            "POST",
            STUDIES,
            b"hello 13800138000",
            BAD("not JSON (line 1, column 1)", "不是合法的 JSON（第 1 行第 1 列）"),
        ),
        (
            "half",
            "POST",
            STUDIES,
            b"{\"a\":1,\n\"b\":",
            BAD("ends too early (line 2,", "JSON 不完整（第 2 行"),
        ),
        ("nothing", "POST", STUDIES, b"", BAD("body is empty", "请求体为空")),
        (
            "twice",
            "POST",
            STUDIES,
            twice.as_bytes(),
            BAD("stands twice", "同一字段出现两次").errors(&[("phoneNum", "duplicate-key")]),
        ),
        (
            "trailing",
            "POST",
            STUDIES,
            behind.as_bytes(),
            BAD(
                "follows the JSON object (line 2, column 1)",
                "还有多余内容（第 2 行第 1 列）",
            ),
        ),
        (
            "identity in the URL",
            "POST",
            &in_url,
            query.as_bytes(),
            BAD("URL carries a field", "URL 中带有请求字段"),
        ),
        (
            "large",
            "POST",
            STUDIES,
            large.as_bytes(),
            refused(
                413,
                800_003,
                "body-too-large",
                "larger than the 65536 bytes",
                "超过允许的 65536 字节",
            ),
        ),
        (
            "missing",
            "POST",
            STUDIES,
            no_numbers.as_bytes(),
            FIELD("phoneNum: fill in", "phoneNum: 请填写").errors(&[
                ("phoneNum", "missing"),
                ("idNum", "missing"),
                ("usage", "missing"),
            ]),
        ),
        (
            "wrong type",
            "POST",
            STUDIES,
            wrong_types.as_bytes(),
            FIELD(
                "studyType: send a whole number from 0 to 5",
                "studyType: 请填写 0 到 5 的整数",
            )
            .errors(&[
                ("idNum", "wrong-type"),
                ("hospitalId", "wrong-type"),
                ("studyType", "wrong-type"),
            ]),
        ),
        (
            "out of range",
            "POST",
            STUDIES,
            out_of_range.as_bytes(),
            FIELD(
                "studyType: send a whole number from 0 to 5",
                "studyType: 请填写 0 到 5 的整数",
            )
            .errors(&[
                ("studyType", "out-of-range"),
                ("dataFlag", "out-of-range"),
                ("usage", "wrong-type"),
            ]),
        ),
        (
            "window",
            "POST",
            STUDIES,
            dates.as_bytes(),
            FIELD("swap begin and end", "请对调").errors(&[("studyDateBegin", "begin-after-end")]),
        ),
        (
            "no such path",
            "POST",
            "/thirdparty/patientNames/900001",
            query.as_bytes(),
            refused(404, 800_006, "no-such-api", "path names no API", "路径不是平台的接口"),
        ),
        (
            "no such appId",
            "POST",
            "/thirdparty/patientStudies/900009",
            query.as_bytes(),
            refused(
                404,
                800_006,
                "no-such-api",
                "No tenant has the appId",
                "没有租户使用路径中的 appId",
            ),
        ),
        (
            "method",
            "GET",
            STUDIES,
            b"",
            refused(405, 800_007, "method-not-allowed", "Use POST", "请使用 POST").headers(&[("allow", "POST")]),
        ),
    ];
    let platform = platform().await;
    let gateway = Gateway::before(&platform);

    for (name, method, path, body, refused) in rows {
        expect_refused(gateway.lan, name, method, path, body, &refused).await;
    }

    assert_eq!(platform.request_count(), 0);
    assert_eq!(gateway.studies().await.code(), 0);
}

#[tokio::test]
async fn a_charset_that_nobody_knows_is_refused_and_not_repeated() {
    const CHARSET: Refused = refused(
        415,
        800_002,
        "charset-not-supported",
        "charset that Content-Type declares",
        "Content-Type 声明的字符集",
    );
    let platform = platform().await;
    let gateway = Gateway::before(&platform);

    for (english, language) in [(true, "en"), (false, "zh")] {
        let headers = [
            ("Accept-Language", language),
            ("Content-Type", "application/json; charset=x-13800138000"),
        ];
        let query = request("POST", STUDIES, &headers, studies_query().as_bytes());
        CHARSET.check("unknown", english, &exchange(gateway.lan, &query).await.unwrap());
    }
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn a_body_that_is_slow_or_cut_is_refused_with_its_bytes_counted() {
    const INCOMPLETE: Refused = refused(
        408,
        800_004,
        "body-incomplete",
        "10 of 300 bytes",
        "共 300 字节，只收到 10 字节",
    );
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("lan", "body_timeout_ms = 100")
        .start();
    let patient = Settings::calling(&platform).start();

    for (english, headers) in [(true, "Accept-Language: en\r\n"), (false, "")] {
        let half =
            format!("POST {STUDIES} HTTP/1.1\r\nHost: gateway\r\n{headers}Content-Length: 300\r\n\r\n0123456789");
        let mut slow = Connection::open(gateway.lan).await;
        slow.send(half.as_bytes()).await.unwrap();
        INCOMPLETE.check("slow", english, &slow.answer().await.unwrap());
        assert!(slow.closed().await);

        let mut cut = Connection::open(patient.lan).await;
        cut.send(half.as_bytes()).await.unwrap();
        cut.half_close().await;
        INCOMPLETE.check("cut", english, &cut.answer().await.unwrap());
    }
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn a_field_that_the_interface_does_not_know_is_refused_where_told_so() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("lan", "unknown_fields = \"reject\"")
        .start();

    let named = refused(
        422,
        800_005,
        "field-invalid",
        "patientNam: the interface has no such field",
        "接口没有这个字段",
    )
    .errors(&[("patientNam", "unknown-field")]);
    let body = studies_query_with(json!({"patientNam": "张三"}));
    expect_refused(gateway.lan, "named", "POST", STUDIES, body.as_bytes(), &named).await;

    // A number for a name could be a person's.
    let unnamed = refused(
        422,
        800_005,
        "field-invalid",
        "?: the interface has no such field",
        "接口没有这个字段",
    )
    .errors(&[("?", "unknown-field")]);
    let body = studies_query_with(json!({PHONE: true}));
    expect_refused(gateway.lan, "unnamed", "POST", STUDIES, body.as_bytes(), &unnamed).await;
}

#[tokio::test]
async fn a_request_whose_tenant_cannot_be_told_is_refused() {
    const UNCLEAR: Refused = refused(
        422,
        800_005,
        "field-invalid",
        "serves several hospitals",
        "网关服务多家医院",
    )
    .errors(&[("hospitalId", "tenant-unclear")]);
    let platform = platform().await;
    let second = Account::new("900002", "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$", "H0002", "U0001");
    let gateway = Settings::calling(&platform).tenant("second", second).start();

    for (name, id) in [
        ("absent", json!(null)),
        ("unknown", json!("H0003")),
        ("no text", json!([])),
    ] {
        let body = studies_query_with(json!({"hospitalId": id}));
        let path = "/thirdparty/patientStudies";
        expect_refused(gateway.lan, name, "POST", path, body.as_bytes(), &UNCLEAR).await;
    }
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn a_query_too_many_for_the_platforms_connections_is_refused_at_once() {
    const BUSY: Refused = refused(
        503,
        800_202,
        "overloaded",
        "All connections to the platform are in use",
        "连接已全部占用",
    )
    .headers(&[
        ("retry-after", "1"),
        ("proxy-status", "aimis; error=connection_limit_reached"),
    ]);
    let platform = platform().await;
    platform.push_fault(Fault::Hang);
    let gateway = Settings::calling(&platform)
        .with("platform", "max_connections_per_worker = 1")
        .start();
    let mut waiting = Connection::open(gateway.lan).await;
    waiting
        .send(&request("POST", STUDIES, &[], studies_query().as_bytes()))
        .await
        .unwrap();
    platform.wait_for_requests(1).await;

    expect_studies_refused(&gateway, "second", &BUSY).await;

    assert_eq!(platform.request_count(), 1);
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_closed() {
    const FULL: Refused = refused(
        503,
        800_202,
        "overloaded",
        "as many requests as it can take",
        "网关当前请求过多",
    )
    .headers(&[("retry-after", "1")]);
    let platform = platform().await;
    let gateway = Settings::calling(&platform).with("lan", "max_connections = 1").start();
    let mut first = Connection::open(gateway.lan).await;
    let query = request("POST", STUDIES, &[], studies_query().as_bytes());
    first.send(&query).await.unwrap();
    assert_eq!(first.answer().await.unwrap().code(), 0);

    // Nobody reads a request of this connection, so its language cannot be known.
    let mut second = Connection::open(gateway.lan).await;
    FULL.check("second", false, &second.answer().await.unwrap());
    assert!(second.closed().await);

    first.send(&query).await.unwrap();
    assert_eq!(first.answer().await.unwrap().code(), 0);
}

#[tokio::test]
async fn a_request_that_comes_while_the_gateway_stops_is_told_so() {
    const DRAINING: Refused = refused(
        503,
        800_203,
        "draining",
        "being stopped or restarted",
        "网关正在停止或重启",
    )
    .headers(&[("retry-after", "5")]);
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let lan = gateway.lan;
    let query = request("POST", STUDIES, &[], studies_query().as_bytes());
    let english = request("POST", STUDIES, ENGLISH, studies_query().as_bytes());
    let (mut half, mut half_english) = (Connection::open(lan).await, Connection::open(lan).await);
    half.send(&query[..40]).await.unwrap();
    half_english.send(&english[..40]).await.unwrap();
    let mut idle = Connection::open(lan).await;
    idle.send(&query).await.unwrap();
    assert_eq!(idle.answer().await.unwrap().code(), 0);

    let stop = tokio::task::spawn_blocking(move || gateway.into_running().drain());
    // Connections that wait for a request are closed once requests are refused.
    assert!(idle.closed().await);
    half.send(&query[40..]).await.unwrap();
    DRAINING.check("chinese", false, &half.answer().await.unwrap());
    half_english.send(&english[40..]).await.unwrap();
    DRAINING.check("english", true, &half_english.answer().await.unwrap());

    assert!(half.closed().await && half_english.closed().await);
    assert_eq!(stop.await.unwrap().cut, 0);
    assert_eq!(platform.request_count(), 1);
}
