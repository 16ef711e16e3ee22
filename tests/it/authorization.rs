//! Who may ask what: keys, networks, and every rule of `[[clients]]` with its neighbour.

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Account, Platform, PlatformOptions};
use serde_json::json;

use crate::support::client::{Answer, exchange, post, request};
use crate::support::gateway::{Gateway, Settings, studies_query, studies_query_with};

/// Made-up keys, and what the configuration holds of them.
const HIS_KEY: &str = "aimis_0000000000000000000000000000000000000000000000000000000000000001";
const APP_KEY: &str = "aimis_0000000000000000000000000000000000000000000000000000000000000002";

const STUDIES: &str = "/thirdparty/patientStudies/900001";
const REPORT_URL: &str = "/thirdparty/patientReportUrl/900001";
/// Another made-up hospital at the same platform.
const OTHER_APP_ID: &str = "900002";

fn digest(key: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(key.as_bytes()))
}

/// A client with a key of its own.
pub fn keyed(name: &str, key: &str, rules: &str) -> String {
    format!("name = \"{name}\"\nkey_sha256 = \"{}\"\n{rules}", digest(key))
}

fn other_hospital() -> Account {
    Account::new(OTHER_APP_ID, "fedcba9876543210fedcba9876543210", "H0002", "U0002")
}

/// A platform that knows both hospitals.
async fn platform() -> Platform {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    platform.put_account(other_hospital());
    platform
}

async fn ask(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    post(gateway.lan, path, headers, body.as_bytes()).await
}

fn report_query(members: serde_json::Value) -> String {
    let mut query =
        json!({"phoneNum": "13800138000", "idNum": "11010119000101009X", "hospitalId": "H0001", "reportId": "R-1"});
    for (name, value) in members.as_object().unwrap() {
        query[name] = value.clone();
    }
    query.to_string()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: i64, what: &str) {
    assert_eq!(
        (answer.status, answer.code()),
        (status, code),
        "{what}: {}",
        answer.text()
    );
    assert_eq!(answer.header("x-aimis-origin"), Some("gateway"), "{what}");
}

/// One rule, a question it allows and the neighbouring one it does not.
struct Row {
    rule: &'static str,
    line: &'static str,
    allowed: (&'static str, String),
    refused: (&'static str, String),
    /// The field that the refusal names.
    field: Option<&'static str>,
}

fn matrix() -> Vec<Row> {
    let studies = |members| (STUDIES, studies_query_with(members));
    let row = |rule, line, allowed, refused, field| Row {
        rule,
        line,
        allowed,
        refused,
        field,
    };
    vec![
        row(
            "tenants",
            "tenants = [\"first-hospital\"]",
            studies(json!({})),
            (
                "/thirdparty/patientStudies/900002",
                studies_query_with(json!({"hospitalId": "H0002", "unionId": "U0002"})),
            ),
            None,
        ),
        row(
            "hospital_ids",
            "tenants = [\"first-hospital\"]\nhospital_ids = [\"H0001\"]",
            studies(json!({})),
            studies(json!({"hospitalId": "H0002"})),
            Some("hospitalId"),
        ),
        // What is not said is the tenant's own.
        row(
            "hospital_ids",
            "",
            studies(json!({})),
            studies(json!({"hospitalId": "H0002"})),
            Some("hospitalId"),
        ),
        row(
            "union_ids",
            "union_ids = [\"U0001\", \"U0002\"]",
            studies(json!({"unionId": "U0002"})),
            studies(json!({"unionId": "U0003"})),
            Some("unionId"),
        ),
        row(
            "union_ids",
            "",
            studies(json!({})),
            studies(json!({"unionId": "U0002"})),
            Some("unionId"),
        ),
        row(
            "apis",
            "apis = [\"patientStudies\"]",
            studies(json!({})),
            (REPORT_URL, report_query(json!({}))),
            None,
        ),
        row(
            "usage",
            "usage = [0, 2]",
            studies(json!({"usage": 2})),
            studies(json!({"usage": 1})),
            Some("usage"),
        ),
        row(
            "usage",
            "usage = [0]",
            studies(json!({"usage": "0"})),
            studies(json!({"usage": "1"})),
            Some("usage"),
        ),
        row(
            "data_flag",
            "data_flag = [1]",
            studies(json!({"dataFlag": 1})),
            studies(json!({"dataFlag": 0})),
            Some("dataFlag"),
        ),
        row(
            "study_type",
            "study_type = [0, 1]",
            studies(json!({"studyType": 1})),
            studies(json!({"studyType": 2})),
            Some("studyType"),
        ),
        row(
            "max_range_days",
            "max_range_days = 31",
            studies(json!({"studyDateBegin": "2024-12-01 00:00:00", "studyDateEnd": "2024-12-31 23:59:59"})),
            studies(json!({"studyDateBegin": "2024-12-01 00:00:00", "studyDateEnd": "2025-01-01 00:00:01"})),
            Some("studyDateBegin"),
        ),
    ]
}

#[tokio::test]
async fn every_rule_allows_what_it_should_and_refuses_the_neighbour() {
    let platform = platform().await;
    for row in matrix() {
        let tenants = if row.line.contains("tenants") {
            ""
        } else {
            "tenants = [\"first-hospital\", \"second-hospital\"]\n"
        };
        let gateway = Settings::calling(&platform)
            .tenant("second-hospital", other_hospital())
            .client(&keyed("his", HIS_KEY, &format!("{tenants}{}", row.line)))
            .client(&keyed(
                "app",
                APP_KEY,
                "tenants = [\"first-hospital\", \"second-hospital\"]\nhospital_ids = \"*\"\nunion_ids = \"*\"",
            ))
            .start();
        let (rule, key) = (row.rule, [("X-Api-Key", HIS_KEY), ("Accept-Language", "en")]);
        platform.clear_requests();

        let refused = ask(&gateway, row.refused.0, &key, &row.refused.1).await;
        assert_refused(&refused, 403, 800_102, rule);
        assert!(
            refused.text().contains(&format!("`{rule}`")),
            "{rule}: {}",
            refused.text()
        );
        let named = refused.json()["errors"][0]["field"].as_str().map(str::to_owned);
        assert_eq!(named.as_deref(), row.field, "{rule}");
        assert_eq!(
            platform.requests().len(),
            0,
            "{rule}: a refused question left the house"
        );

        let allowed = ask(&gateway, row.allowed.0, &key, &row.allowed.1).await;
        assert_eq!(
            allowed.header("x-aimis-origin"),
            Some("platform"),
            "{rule}: {}",
            allowed.text()
        );

        // The rule is this client's: its neighbour may ask what it may not.
        let neighbour = ask(&gateway, row.refused.0, &[("X-Api-Key", APP_KEY)], &row.refused.1).await;
        assert_eq!(
            neighbour.header("x-aimis-origin"),
            Some("platform"),
            "{rule}: {}",
            neighbour.text()
        );
    }
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_and_no_other_key_works() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("lan", "max_failed_sign_ins = 0")
        .client(&keyed("his", HIS_KEY, "usage = [0]"))
        .start();
    let bearer = format!("Bearer {HIS_KEY}");
    let lower = format!("bearer   {HIS_KEY} ");
    let good: [&[(&str, &str)]; 4] = [
        &[("Authorization", &bearer)],
        &[("authorization", &lower)],
        &[("X-API-KEY", HIS_KEY)],
        &[("X-Api-Key", HIS_KEY), ("Authorization", &bearer)],
    ];
    for headers in good {
        let answer = ask(&gateway, STUDIES, headers, &studies_query()).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
    }

    let (cut, longer, basic) = (
        &HIS_KEY[..HIS_KEY.len() - 1],
        format!("{HIS_KEY}0"),
        format!("Basic {HIS_KEY}"),
    );
    let wrong_end = format!("{cut}2");
    let wrong_start = format!("b{}", &HIS_KEY[1..]);
    let (upper, of_digest) = (HIS_KEY.to_uppercase(), digest(HIS_KEY));
    let other_bearer = format!("Bearer {APP_KEY}");
    let bad: [&[(&str, &str)]; 13] = [
        &[],
        &[("X-Api-Key", "")],
        &[("X-Api-Key", cut)],
        &[("X-Api-Key", &longer)],
        &[("X-Api-Key", &wrong_end)],
        &[("X-Api-Key", &wrong_start)],
        &[("X-Api-Key", &upper)],
        &[("X-Api-Key", &of_digest)],
        &[("X-Api-Key", APP_KEY)],
        &[("Authorization", HIS_KEY)],
        &[("Authorization", &basic)],
        &[("Authorization", &bearer), ("Authorization", &bearer)],
        &[("X-Api-Key", HIS_KEY), ("Authorization", &other_bearer)],
    ];
    platform.clear_requests();
    for headers in bad {
        let answer = ask(&gateway, STUDIES, headers, &studies_query()).await;
        assert_refused(&answer, 401, 800_101, &format!("{headers:?}"));
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"aimis-gateway\"")
        );
    }
    assert_eq!(platform.requests().len(), 0);
    let refused = "aimis_rejected_requests_total{reason=\"unauthenticated\"}";
    assert_eq!(gateway.metric(refused).await, Some(13.0));

    let log = gateway.stop();
    for (detail, lines) in [("unknown-key", 7), ("no-credentials", 1), ("malformed-credentials", 5)] {
        let detail = format!("\"error.detail\":\"{detail}\"");
        assert_eq!(log.matches(&detail).count(), lines, "{detail}\n{log}");
    }
    assert!(
        !log.contains(HIS_KEY) && !log.contains(cut) && !log.contains(&of_digest),
        "{log}"
    );
    assert_eq!(log.matches("\"client.id\":\"his\"").count(), 4, "{log}");
}

#[tokio::test]
async fn who_is_not_known_learns_nothing_about_paths() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform).client(&keyed("his", HIS_KEY, "")).start();

    for bytes in [
        request("GET", STUDIES, &[], b""),
        request("POST", "/", &[], b"{}"),
        request("POST", "/thirdparty/patientStudies/nobody", &[], b"{}"),
        request("DELETE", "/metrics", &[], b""),
    ] {
        let answer = exchange(gateway.lan, &bytes).await.unwrap();
        assert_refused(&answer, 401, 800_101, &String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn a_key_is_replaced_without_a_gap() {
    let platform = platform().await;
    let keys = format!(
        "name = \"his\"\nkey_sha256 = [\"{}\", \"{}\"]",
        digest(HIS_KEY),
        digest(APP_KEY)
    );
    let gateway = Settings::calling(&platform).client(&keys).start();

    for key in [HIS_KEY, APP_KEY] {
        let answer = ask(&gateway, STUDIES, &[("X-Api-Key", key)], &studies_query()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_client_is_known_by_all_that_is_configured_together() {
    let platform = platform().await;
    let here = "networks = [\"127.0.0.0/8\", \"::1\"]";
    let elsewhere = "networks = [\"192.0.2.0/24\"]";
    let key: &[(&str, &str)] = &[("X-Api-Key", HIS_KEY)];
    let outcome = async |client: String, headers: &[(&str, &str)]| {
        let gateway = Settings::calling(&platform).client(&client).start();
        let status = ask(&gateway, STUDIES, headers, &studies_query()).await.status;
        (status, gateway.stop())
    };

    assert_eq!(outcome(keyed("his", HIS_KEY, here), key).await.0, 200);
    assert_eq!(outcome(keyed("his", HIS_KEY, here), &[]).await.0, 401);
    assert_eq!(outcome(format!("name = \"his\"\n{here}"), &[]).await.0, 200);
    // A key that nobody has is refused, though the address alone would do.
    assert_eq!(outcome(format!("name = \"his\"\n{here}"), key).await.0, 401);
    assert_eq!(outcome(format!("name = \"his\"\n{elsewhere}"), &[]).await.0, 401);
    let (status, log) = outcome(keyed("his", HIS_KEY, elsewhere), key).await;
    assert_eq!(status, 401);
    assert!(log.contains("\"error.detail\":\"address-not-allowed\""), "{log}");
    assert!(
        log.contains("\"client.id\":\"his\"") && log.contains("\"severity_text\":\"WARN\""),
        "{log}"
    );
}

#[tokio::test]
async fn no_header_changes_the_address_that_counts() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .client("name = \"his\"\nnetworks = \"192.0.2.7\"")
        .start();

    for header in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "Via"] {
        let answer = ask(&gateway, STUDIES, &[(header, "192.0.2.7")], &studies_query()).await;
        assert_refused(&answer, 401, 800_101, header);
    }
}

#[tokio::test]
async fn the_closest_network_decides() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .client("name = \"around\"\nnetworks = \"0.0.0.0/1\"\nusage = [0]")
        .client("name = \"this-machine\"\nnetworks = \"127.0.0.1\"\nusage = [2]")
        .start();

    let answer = ask(&gateway, STUDIES, &[], &studies_query_with(json!({"usage": 2}))).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(gateway.stop().contains("\"client.id\":\"this-machine\""));
}

#[tokio::test]
async fn failed_sign_ins_are_limited_and_a_right_key_still_works() {
    let platform = platform().await;
    let clock = Clock::manual(1_735_689_600_000);
    let gateway = Settings::calling(&platform)
        .with("lan", "max_failed_sign_ins = 3")
        .client(&keyed("his", HIS_KEY, ""))
        .clock(clock.clone())
        .start();
    let wrong: &[(&str, &str)] = &[("X-Api-Key", APP_KEY)];

    for _ in 0..3 {
        assert_refused(
            &ask(&gateway, STUDIES, wrong, "{}").await,
            401,
            800_101,
            "within the share",
        );
    }
    let limited = ask(&gateway, STUDIES, wrong, "{}").await;
    assert_refused(&limited, 429, 800_201, "over it");
    assert_eq!(limited.header("retry-after"), Some("21"));
    assert_eq!(limited.header("connection"), Some("close"));
    assert_eq!(
        gateway
            .metric("aimis_rejected_requests_total{reason=\"rate_limited\"}")
            .await,
        Some(1.0)
    );

    platform.set_clock_offset(-offset_to(&clock));
    let right = ask(&gateway, STUDIES, &[("X-Api-Key", HIS_KEY)], &studies_query()).await;
    assert_eq!(right.header("x-aimis-origin"), Some("platform"), "{}", right.text());

    for _ in 0..5 {
        assert_refused(
            &ask(&gateway, STUDIES, wrong, "{}").await,
            429,
            800_201,
            "still over it",
        );
    }

    clock.advance(Duration::from_secs(21));
    assert_refused(
        &ask(&gateway, STUDIES, wrong, "{}").await,
        401,
        800_101,
        "a share grows back",
    );
    assert_refused(
        &ask(&gateway, STUDIES, wrong, "{}").await,
        429,
        800_201,
        "over it again",
    );
    let log = gateway.stop();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("failed-sign-ins")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(
        lines[0].contains("\"suppressed\":0") && lines[1].contains("\"suppressed\":5"),
        "{log}"
    );
}

#[tokio::test]
async fn a_clients_ids_go_before_the_tenants_and_tell_the_tenant() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .tenant("second-hospital", other_hospital())
        .client(&keyed("his", HIS_KEY, "tenants = [\"first-hospital\"]"))
        .client(&keyed(
            "app",
            APP_KEY,
            "tenants = [\"first-hospital\", \"second-hospital\"]\nhospital_id = \"H0002\"\nunion_id = \"U0009\"",
        ))
        .start();
    let query = studies_query_with(json!({"hospitalId": null, "unionId": null}));
    let sent = async |key: &str| {
        platform.clear_requests();
        let answer = ask(&gateway, "/thirdparty/patientStudies", &[("X-Api-Key", key)], &query).await;
        assert_eq!(answer.header("x-aimis-origin"), Some("platform"), "{}", answer.text());
        let record = platform.only_request();
        let body = record.json();
        (record.path.clone(), body["hospitalId"].clone(), body["unionId"].clone())
    };

    let first = sent(HIS_KEY).await;
    assert_eq!(first, (STUDIES.to_owned(), json!("H0001"), json!("U0001")));
    let second = sent(APP_KEY).await;
    assert_eq!(
        second,
        (
            "/thirdparty/patientStudies/900002".to_owned(),
            json!("H0002"),
            json!("U0009")
        )
    );
}

#[tokio::test]
async fn strict_refuses_for_its_client_alone() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .client(&keyed("his", HIS_KEY, ""))
        .client(&keyed("app", APP_KEY, "strict = true"))
        .start();
    let repaired = studies_query_with(json!({"studyType": "0"}));
    let unknown = studies_query_with(json!({"remark": "x"}));

    for query in [&repaired, &unknown] {
        let tolerant = ask(&gateway, STUDIES, &[("X-Api-Key", HIS_KEY)], query).await;
        assert_eq!(tolerant.status, 200, "{}", tolerant.text());
        assert!(tolerant.header("x-aimis-repairs").is_some());
        let strict = ask(&gateway, STUDIES, &[("X-Api-Key", APP_KEY)], query).await;
        assert_refused(&strict, 422, 800_005, query);
    }
    let exact = ask(&gateway, STUDIES, &[("X-Api-Key", APP_KEY)], &studies_query()).await;
    assert_eq!(
        (exact.status, exact.header("x-aimis-repairs")),
        (200, None),
        "{}",
        exact.text()
    );
}

#[tokio::test]
async fn the_address_of_a_request_is_logged_only_where_that_is_set() {
    let platform = platform().await;
    let quiet = Settings::calling(&platform).start();
    quiet.studies().await;
    assert!(!quiet.stop().contains("client.address"));

    let told = Settings::calling(&platform)
        .with("log", "client_address = true")
        .start();
    told.studies().await;
    assert!(told.stop().contains("\"client.address\":\"127.0.0.1\""));
}

/// Milliseconds from the machine's clock to `clock`.
fn offset_to(clock: &Clock) -> i64 {
    let now = Clock::system().now().as_millis();
    i64::try_from(now).unwrap() - i64::try_from(clock.now().as_millis()).unwrap()
}

#[tokio::test]
async fn a_page_in_a_browser_is_not_the_program_at_its_place() {
    let platform = platform().await;
    let page: &[(&str, &str)] = &[
        ("Origin", "http://rebound.example:8080"),
        ("Content-Type", "text/plain"),
    ];
    let with_key: &[(&str, &str)] = &[("Origin", "http://page.example"), ("X-Api-Key", HIS_KEY)];
    let outcome = async |settings: Settings, headers: &[(&str, &str)]| {
        let answer = ask(&settings.start(), STUDIES, headers, &studies_query()).await;
        (answer.status, answer.code())
    };
    let open = Settings::calling(&platform);
    let by_place = open.clone().client("name = \"his\"\nnetworks = \"127.0.0.1\"");

    assert_eq!(outcome(open.clone(), page).await, (403, 800_102));
    assert_eq!(outcome(by_place.clone(), page).await, (403, 800_102));
    assert_eq!(
        outcome(open.clone().client(&keyed("his", HIS_KEY, "")), with_key).await,
        (200, 0)
    );
    let allowed = "cors_origins = \"http://rebound.example:8080\"";
    assert_eq!(outcome(by_place.with("lan", allowed), page).await, (200, 0));
    assert_eq!(outcome(open, &[]).await, (200, 0));
}
