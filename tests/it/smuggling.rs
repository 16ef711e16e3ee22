//! Requests that two programs in a row may read differently: one reading or a refusal, and the platform
//! sees nothing of them.
//!
//! `tests/corpus/smuggling/NAME.http` is what a client sends, byte for byte; `NAME.json` says what it is about,
//! which sequences of statuses may answer it, how many requests the platform then has seen, and which faults the
//! log names, so that a refusal for another reason does not pass for the right one.

use std::path::{Path, PathBuf};

use aimis_simulator::{Platform, PlatformOptions};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::{Answer, Connection, exchange, request};
use crate::support::gateway::{Gateway, Settings, studies_query};

/// Fewest cases: a corpus that is not found must not pass.
const FEWEST: usize = 100;
/// Longest that one case may take, in seconds; its own time-outs are a fraction of that.
const BOUND: u64 = 5;

/// One file of the corpus.
struct Case {
    name: String,
    bytes: Vec<u8>,
    about: String,
    /// Statuses in order, and requests at the platform, for each way that is right.
    ways: Vec<(Vec<u64>, u64)>,
    /// `error.detail` of each refusal.
    faults: Value,
}

fn corpus() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/smuggling");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .collect();
    paths.sort();
    assert!(paths.len() >= FEWEST);
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let expected: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
    let numbers = |list: &Value| -> Vec<u64> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_u64().unwrap())
            .collect()
    };
    let answers = expected["answers"].as_array().unwrap().iter().map(numbers);
    Case {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        bytes: std::fs::read(path).unwrap(),
        about: expected["about"].as_str().unwrap().to_owned(),
        ways: answers.zip(numbers(&expected["forwarded"])).collect(),
        faults: expected["faults"].clone(),
    }
}

fn impatient(platform: &Platform) -> Settings {
    Settings::calling(platform)
        .with("lan", "header_timeout_ms = 400")
        .with("lan", "body_timeout_ms = 400")
        .with("lan", "idle_timeout_ms = 700")
        .with("lan", "linger_timeout_ms = 100")
}

/// Sends a case and reads all its answers, until the connection is closed.
async fn answers(gateway: &Gateway, case: &Case) -> Vec<Answer> {
    let mut connection = Connection::open(gateway.lan).await;
    // It may be refused before all of it is sent.
    let _ = connection.send(&case.bytes).await;
    let mut answers = Vec::new();
    while let Some(answer) = connection.answer().await {
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn nothing_that_has_two_readings_reaches_the_platform() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = impatient(&platform).start();
    let mut wrong = Vec::new();
    let mut malformed = 0;
    let mut refused: Vec<(String, Value, Vec<String>)> = Vec::new();
    for case in corpus() {
        let mut ids = Vec::new();
        platform.clear_requests();
        let before = platform.request_count();

        let bound = std::time::Duration::from_secs(BOUND);
        let answers = tokio::time::timeout(bound, answers(&gateway, &case)).await;

        let Ok(answers) = answers else {
            wrong.push(format!("{}: hangs", case.name));
            continue;
        };
        let statuses: Vec<u64> = answers.iter().map(|answer| answer.status.into()).collect();
        let forwarded = platform.request_count() - before;
        if !case.ways.contains(&(statuses.clone(), forwarded)) {
            wrong.push(format!(
                "{} ({}): answered {statuses:?}, {forwarded} at the platform, not {:?}",
                case.name, case.about, case.ways
            ));
        }
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            malformed += 1;
            ids.push(answer.header("x-request-id").unwrap().to_owned());
            // Each is one of ours, whole: hyper's own refusals have no body.
            let body = answer.json();
            assert_eq!(body["status"], answer.status, "{}", case.name);
            assert_eq!(
                answer.header("x-request-id"),
                body["requestId"].as_str(),
                "{}",
                case.name
            );
            assert_eq!(answer.header("x-aimis-origin"), Some("gateway"), "{}", case.name);
        }
        for request in platform.requests() {
            assert_eq!(request.verdict, Some(0), "{}", case.name);
            assert!(!request.contains("hidden"), "{}", case.name);
        }
        assert_eq!(gateway.studies().await.code(), 0, "behind {}", case.name);
        refused.push((case.name, case.faults, ids));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(platform.malformed().is_empty());

    let count = gateway
        .metric("aimis_rejected_requests_total{reason=\"malformed\"}")
        .await
        .unwrap()
        + gateway
            .metric("aimis_rejected_requests_total{reason=\"slow\"}")
            .await
            .unwrap();
    assert_eq!(count, f64::from(malformed));
    let log = gateway.stop();
    assert_eq!(log.matches("\"refused by the gateway\"").count(), malformed as usize);
    assert!(!log.contains("hidden") && !log.contains("evil"));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (name, faults, ids) in refused {
        let told = ids.iter().map(|id| {
            let line = lines.iter().find(|line| line["request.id"] == **id);
            line.unwrap_or_else(|| panic!("{name}: no line"))["error.detail"].clone()
        });
        let told = Value::Array(told.collect());
        if told != faults {
            wrong.push(format!("{name} {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_case_comes_to_the_same_byte_by_byte() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Settings::calling(&platform)
        .with("lan", "idle_timeout_ms = 700")
        .start();
    // Those that are malformed in themselves, and small enough to be sent so.
    let cases = corpus()
        .into_iter()
        .filter(|case| case.bytes.len() < 2000 && case.ways.iter().all(|(statuses, _)| statuses.last() == Some(&400)));
    let mut tried = 0;
    for case in cases {
        let before = platform.request_count();
        let mut connection = Connection::open(gateway.lan).await;
        for byte in &case.bytes {
            if connection.send(&[*byte]).await.is_err() {
                break;
            }
        }
        let mut statuses = Vec::new();
        while let Some(answer) = connection.answer().await {
            statuses.push(u64::from(answer.status));
        }
        let forwarded = platform.request_count() - before;
        assert!(
            case.ways.contains(&(statuses.clone(), forwarded)),
            "{}: {statuses:?}",
            case.name
        );
        tried += 1;
    }
    assert!(tried > 50);
}

#[tokio::test]
async fn a_refusal_is_whole_though_the_client_is_still_sending() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let mut bytes = request("POST", "/thirdparty/patientStudies/900001", &[("", "x")], b"");
    bytes.resize(bytes.len() + (4 << 20), b'x');
    for _ in 0..5 {
        let mut connection = Connection::open(gateway.lan).await;
        connection.send(&bytes).await.unwrap();

        let answer = connection.answer().await.unwrap();

        assert_eq!((answer.status, answer.code()), (400, 800_001));
        assert!(answer.text().contains("requestId"));
        assert!(connection.answer().await.is_none());
    }
}

#[tokio::test]
async fn the_bound_of_a_head_is_kept_to_the_byte() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Settings::calling(&platform)
        .with("lan", "max_head_bytes = 8192")
        .start();
    let query = studies_query();
    for (size, status) in [(8191, 200), (8192, 200), (8193, 431)] {
        let with = |filling: &str| {
            request(
                "POST",
                "/thirdparty/patientStudies/900001",
                &[("X-Filling", filling)],
                query.as_bytes(),
            )
        };
        let bare = with("").len() - query.len();
        let bytes = with(&"x".repeat(size - bare));
        let mut connection = Connection::open(gateway.lan).await;
        let _ = connection.send(&bytes).await;
        assert_eq!(connection.answer().await.unwrap().status, status, "{size}");
    }
}

#[tokio::test]
async fn http_2_is_spoken_only_where_it_is_switched_on() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let on = Settings::calling(&platform).with("lan", "http2 = true").start();

    let mut stream = tokio::net::TcpStream::connect(on.lan).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    // The fourth byte of a frame is its type, and that of SETTINGS is 4.
    assert_eq!(frame[3], 4);
    // HTTP/1 is spoken there as before, and its heads are judged.
    assert_eq!(on.studies().await.code(), 0);
    let odd = exchange(on.lan, b"POST / HTTP/1.1\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!((odd.status, odd.code()), (400, 800_001));

    let off = Gateway::before(&platform);
    let refused = exchange(off.lan, PREFACE).await.unwrap();
    assert_eq!((refused.status, refused.code()), (505, 800_001));
}

#[tokio::test]
async fn a_refused_head_is_told_in_the_configured_language_and_in_the_log() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Settings::calling(&platform).with("lan", "language = \"en\"").start();
    let bytes = b"POST /13800138000 HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n";

    let answer = exchange(gateway.lan, bytes).await.unwrap();

    assert_eq!((answer.status, answer.code()), (400, 800_001));
    assert_eq!(answer.header("content-language"), Some("en"));
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .starts_with("Content-Length is not a plain number")
    );
    let id = answer.header("x-request-id").unwrap().to_owned();
    let log = gateway.stop();
    let line = log.lines().find(|line| line.contains(&id)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["error.type"], "body-not-understood");
    assert_eq!(line["error.detail"], "content-length");
    assert_eq!(line["http.request.method"], "_OTHER");
    assert!(!log.contains("13800138000"));
}
