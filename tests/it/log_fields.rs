//! The log: every line is what `config/log-fields.json` says, and nothing from outside shapes it.

mod rare;

use std::collections::{BTreeMap, BTreeSet};

use aimis_simulator::{Fault, Platform, PlatformOptions};
use serde_json::Value;

use crate::support::client::{self, request};
use crate::support::collector::{Collector, Manner};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query};

const SCHEMA: &str = include_str!("../../config/log-fields.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// What is wrong with `value` under the part of JSON Schema that the contract uses. A keyword beyond that
/// part is a panic, so that none is passed over.
fn complaints(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Value::Object(schema) = schema else {
        panic!("{at}: no schema: {schema}")
    };
    let mut found = Vec::new();
    for (keyword, wanted) in schema {
        let good = match keyword.as_str() {
            "$schema" | "title" | "description" | "then" => true,
            "type" => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                other => panic!("{at}: type {other}"),
            },
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|value| value >= wanted.as_f64().unwrap()),
            "pattern" => value
                .as_str()
                .is_none_or(|value| matches(wanted.as_str().unwrap(), value)),
            "required" => wanted
                .as_array()
                .unwrap()
                .iter()
                .all(|name| value.get(name.as_str().unwrap()).is_some()),
            "additionalProperties" => {
                assert_eq!(*wanted, false);
                value
                    .as_object()
                    .unwrap()
                    .keys()
                    .all(|name| schema["properties"].get(name).is_some())
            }
            "propertyNames" => {
                let names = value.as_object().unwrap().keys();
                names.for_each(|name| found.extend(complaints(wanted, &Value::from(name.as_str()), name)));
                true
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        found.extend(complaints(schema, value, name));
                    }
                }
                true
            }
            "allOf" => {
                wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|part| found.extend(complaints(part, value, at)));
                true
            }
            "if" => {
                if complaints(wanted, value, at).is_empty() {
                    found.extend(complaints(&schema["then"], value, at));
                }
                true
            }
            other => panic!("{at}: keyword {other}"),
        };
        if !good {
            found.push(format!("{at}: {value} is not {keyword} {wanted}"));
        }
    }
    found
}

/// Anchored patterns of characters and classes, each with an optional `{n}`, `{n,m}` or `+`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.strip_prefix('^').unwrap().strip_suffix('$').unwrap();
    let mut rest = text;
    while let Some(first) = pattern.chars().next() {
        let (class, behind) = match first {
            '[' => pattern[1..].split_once(']').unwrap(),
            '\\' => (&pattern[1..2], &pattern[2..]),
            _ => pattern.split_at(1),
        };
        let (least, most, behind) = match behind.chars().next() {
            Some('+') => (1, usize::MAX, &behind[1..]),
            Some('{') => {
                let (count, behind) = behind[1..].split_once('}').unwrap();
                let (least, most) = count.split_once(',').unwrap_or((count, count));
                (least.parse().unwrap(), most.parse().unwrap(), behind)
            }
            _ => (1, 1, behind),
        };
        let count = rest.chars().take(most).take_while(|c| in_class(class, *c)).count();
        if count < least {
            return false;
        }
        (rest, pattern) = (&rest[count..], behind);
    }
    rest.is_empty()
}

fn in_class(class: &str, c: char) -> bool {
    let class = class.as_bytes();
    let range = class
        .windows(3)
        .any(|w| w[1] == b'-' && (char::from(w[0])..=char::from(w[2])).contains(&c));
    range || c.is_ascii() && class.contains(&(c as u8))
}

/// Lines as objects; a panic for the first that departs from the contract.
#[track_caller]
pub fn checked(log: &str) -> Vec<Value> {
    let schema = schema();
    let lines = log.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let complaints = complaints(&schema, &value, "line");
        assert!(complaints.is_empty(), "{complaints:#?}\n{line}");
        value
    });
    lines.collect()
}

/// The lines of requests.
fn requests(log: &str) -> Vec<Value> {
    checked(log)
        .into_iter()
        .filter(|line| line["event.name"] == "request")
        .collect()
}

#[test]
fn the_validator_sees_what_departs() {
    let line = serde_json::json!({
        "timestamp": "2025-01-01T00:00:00.000Z", "severity_text": "INFO", "event.name": "started", "message": "a",
        "service.name": "aimis-gateway", "service.version": "0.1.0", "service.instance.id": "a",
        "workers": 1, "tenants": 1
    });
    let complains = |name: &str, value: Value| {
        let mut line = line.clone();
        match value {
            Value::Null => _ = line.as_object_mut().unwrap().shift_remove(name),
            value => line[name] = value,
        }
        !complaints(&schema(), &line, "line").is_empty()
    };

    assert_eq!(complaints(&schema(), &line, "line"), Vec::<String>::new());
    assert!(complains("workers", "1".into()));
    assert!(complains("workers", Value::Null));
    assert!(complains("workers", 0.into()));
    assert!(complains("timestamp", "2025-01-01 00:00:00".into()));
    assert!(complains("severity_text", "WARN".into()));
    assert!(complains("event.name", "stopped".into()));
    assert!(complains("event.name", "other".into()));
    assert!(complains("phoneNum", "1".into()));
    assert!(complains("patient", "8b1a9953c4611296".into()));
    assert!(complains("service.name", "other".into()));
    assert!(matches("^[a-z0-9-]{1,3}$", "a-1") && !matches("^[a-z0-9-]{1,3}$", "a-12"));
}

#[tokio::test]
async fn every_line_of_every_event_is_what_the_contract_says() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let collector = Collector::start(Manner::Takes);
    let gateway = Settings::calling(&platform)
        .with("traces", &format!("endpoint = \"{}\"", collector.endpoint()))
        .with("log", "level = \"debug\"\nclient_address = true")
        .with("drain", "timeout_ms = 50")
        .with("lan", "max_failed_sign_ins = 1")
        // The parts of a merged list wait for each other.
        .with("limits.tenant", "rate_per_s = 0\nin_flight = 1")
        .client("name = \"his\"\nnetworks = \"127.0.0.1\"\nmerge_study_types = true")
        .start();
    gateway.studies().await;
    let listed = studies_query().replace("\"studyType\":0", "\"studyType\":[0,5]");
    gateway.query("patientStudies", listed).await;
    for body in ["", "{", "{\"a\":1,\"a\":2}", "[]", "{\"studyType\":9}"] {
        gateway.query("patientStudies", body).await;
    }
    for line in [
        "GET /",
        "BREW /thirdparty/patientStudies/900001",
        "PUT /thirdparty/x/1",
        "POST /thirdparty/patientReportUrl/1",
    ] {
        let (method, path) = line.split_once(' ').unwrap();
        client::exchange(gateway.lan, &request(method, path, &[], b""))
            .await
            .unwrap();
    }
    let mistyped = studies_query()
        .replace("009X", "0091")
        .replace("\"usage\":0", "\"usage\":\"0\"");
    gateway.query("patientStudies", mistyped).await;
    for _ in 0..2 {
        client::post(gateway.lan, "/", &[("X-Api-Key", "none")], b"{}").await;
    }
    for fault in [
        Fault::BusinessCode {
            code: 100_004,
            message: String::new(),
        },
        Fault::BusinessCode {
            code: 90_001,
            message: String::new(),
        },
        Fault::BusinessCode {
            code: 13_800_138_000,
            message: String::new(),
        },
        Fault::Status {
            code: 502,
            envelope: false,
        },
        Fault::Status {
            code: 404,
            envelope: false,
        },
        Fault::HalfBody,
        Fault::EmptyBody,
        Fault::ResetWithinHead,
    ] {
        platform.push_fault(fault);
        gateway.studies().await;
    }
    // One request runs until it is cut.
    let asked = platform.request_count();
    platform.push_fault(Fault::Hang);
    let mut hanging = client::Connection::open(gateway.lan).await;
    let bytes = request(
        "POST",
        "/thirdparty/patientStudies/900001",
        &[],
        studies_query().as_bytes(),
    );
    hanging.send(&bytes).await.unwrap();
    platform.wait_for_requests(asked + 1).await;
    let log = gateway.stop();

    let lines = checked(&log);
    let seen: BTreeSet<&str> = lines.iter().map(|line| line["event.name"].as_str().unwrap()).collect();
    let expected = [
        "draining",
        "drain_timed_out",
        "listening",
        "request",
        "secret_loaded",
        "started",
        "stopped",
    ];
    assert_eq!(seen, BTreeSet::from(expected));
    assert_eq!(requests(&log).len(), 22);
    let fields: BTreeSet<&String> = requests_fields(&lines).collect();
    let schema = schema();
    let of_requests = schema["allOf"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["if"]["properties"]["event.name"]["const"] == "request");
    for name in of_requests.unwrap()["then"]["propertyNames"]["enum"]
        .as_array()
        .unwrap()
    {
        // Requests for events are not among these: tests/it/pull.rs holds their lines to the contract.
        let had = name == "events" || fields.iter().any(|field| **field == *name);
        assert!(had, "no request had {name}");
    }
    assert!(!log.contains("13800138000"), "a code that long could be a number");
}

fn requests_fields(lines: &[Value]) -> impl Iterator<Item = &String> {
    lines
        .iter()
        .filter(|line| line["event.name"] == "request")
        .flat_map(|line| line.as_object().unwrap().keys())
}

#[tokio::test]
async fn a_request_is_told_with_its_facts() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let headers = [("X-Request-Id", "his-42")];
    let body = studies_query();
    let answer = client::post(
        gateway.lan,
        "/thirdparty/patientStudies/900001",
        &headers,
        body.as_bytes(),
    )
    .await;
    let log = gateway.stop();

    let line = &requests(&log)[0];
    assert_eq!(line["request.id"], "his-42");
    assert_eq!(
        (&line["tenant"], &line["api"]),
        (&"first-hospital".into(), &"patientStudies".into())
    );
    assert_eq!(
        (&line["http.response.status_code"], &line["business.code"]),
        (&200.into(), &0.into())
    );
    assert_eq!(
        (&line["origin"], &line["code_class"]),
        (&"platform".into(), &"ok".into())
    );
    assert_eq!(line["attempts"], 1);
    assert_eq!(line["http.request.body.size"], body.len());
    assert_eq!(line["http.response.body.size"], answer.body.len());
    assert!(line["duration_s"].as_f64() >= line["upstream.duration_s"].as_f64());
    assert!(!log.contains(PHONE) && !log.contains(ID_NUMBER));
}

/// The tags of three queries: the vectors' patient, the same written otherwise, another patient.
async fn tags(settings: &Settings) -> Vec<String> {
    let gateway = settings.start();
    gateway.studies().await;
    let spelled = studies_query()
        .replace(PHONE, "+86 138-0013-8000")
        .replace(ID_NUMBER, "11010119000101009x");
    gateway.query("patientStudies", spelled).await;
    gateway
        .query("patientStudies", studies_query().replace(PHONE, "13800138001"))
        .await;
    let lines = requests(&gateway.stop());
    lines
        .iter()
        .map(|line| line["patient"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_patients_tag_is_the_same_for_every_spelling_and_only_then() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let key = directory.file("a.key", "a key of thirty-two bytes or more");
    let other = directory.file("b.key", "another key of thirty-two bytes or more");
    let keyed = |file: &str| Settings::calling(&platform).with("log", &format!("patient_tag_key_file = \"{file}\""));

    let first = tags(&keyed(&key)).await;
    assert_eq!(first[0], first[1]);
    assert_ne!(first[0], first[2]);
    assert_eq!(tags(&keyed(&key)).await, first, "stable over restarts");
    assert_ne!(
        tags(&keyed(&other)).await[0],
        first[0],
        "without the key nobody can try numbers"
    );
    let keyless = Settings::calling(&platform);
    assert_ne!(tags(&keyless).await[0], tags(&keyless).await[0]);
}

#[tokio::test]
async fn nothing_sent_can_forge_a_line() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let forged = "{\\u0022event.name\\u0022:\\u0022forged\\u0022}";
    for evil in ["\\n", "\\r\\n", "\\u001b[2J", "\\u2028", "\\u0000", "\\u0085"] {
        let body = studies_query().replace("H0001", &format!("{evil}{forged}"));
        gateway.query("patientStudies", body).await;
        let body = studies_query().replace("\"usage\"", &format!("\"{evil}{forged}\":1,\"usage\""));
        gateway.query("patientStudies", body).await;
    }
    for id in ["a\tb", "\u{1b}[31m", "a\u{7f}", "{\"a\":1}"] {
        let bytes = request(
            "POST",
            "/thirdparty/patientStudies/900001",
            &[("X-Request-Id", id)],
            b"{}",
        );
        client::exchange(gateway.lan, &bytes).await;
    }
    let log = gateway.stop();

    assert!(!log.contains("forged"));
    assert!(
        log.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)),
        "{log:?}"
    );
    checked(&log);
}

#[tokio::test]
async fn a_level_writes_what_is_as_grave_and_no_more() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let mut written = BTreeMap::new();
    for level in ["error", "warn", "info", "debug"] {
        let gateway = Settings::calling(&platform)
            .with("log", &format!("level = \"{level}\""))
            .start();
        gateway.studies().await;
        platform.push_fault(Fault::EmptyBody);
        gateway.studies().await;
        let log = gateway.stop();
        let severities: Vec<String> = checked(&log)
            .iter()
            .map(|l| l["severity_text"].as_str().unwrap().to_owned())
            .collect();
        written.insert(level, severities);
    }

    assert_eq!(written["error"], Vec::<String>::new());
    assert_eq!(written["warn"], ["WARN"]);
    assert!(written["info"].len() > 5 && written["info"].iter().any(|s| s == "WARN"));
    assert_eq!(
        written["debug"].len(),
        written["info"].len(),
        "no event is of level debug yet"
    );
}

#[tokio::test]
async fn lines_are_counted_by_level() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let (info, warn) = (
        "aimis_log_records_total{level=\"info\"}",
        "aimis_log_records_total{level=\"warn\"}",
    );
    let before = gateway.metric(info).await.unwrap();
    gateway.studies().await;
    platform.push_fault(Fault::EmptyBody);
    gateway.studies().await;

    assert_eq!(gateway.metric(info).await, Some(before + 1.0));
    assert_eq!(gateway.metric(warn).await, Some(1.0));
    assert_eq!(gateway.metric("aimis_log_dropped_total").await, Some(0.0));
}

/// The list in the documentation is made from the contract. Set `IT_UPDATE` to write it anew.
#[test]
fn the_documentation_has_the_contracts_events() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- events: from config/log-fields.json -->\n", "<!-- /events -->\n");
    let (before, rest) = text.split_once(begin).unwrap();
    let (table, after) = rest.split_once(end).unwrap();

    let schema = schema();
    let common = schema["required"].as_array().unwrap();
    let mut wanted = String::from("| event | what happened | fields beside those of every line |\n|---|---|---|\n");
    for part in schema["allOf"].as_array().unwrap() {
        let then = &part["then"];
        let fields = then["propertyNames"]["enum"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|name| !common.contains(name));
        let fields: Vec<String> = fields.map(|name| format!("`{}`", name.as_str().unwrap())).collect();
        let fields = if fields.is_empty() {
            "-".to_owned()
        } else {
            fields.join(" ")
        };
        let event = part["if"]["properties"]["event.name"]["const"].as_str().unwrap();
        wanted += &format!("| `{event}` | {} | {fields} |\n", then["description"].as_str().unwrap());
    }
    if std::env::vars_os().any(|(name, _)| name == "IT_UPDATE") {
        std::fs::write(path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(
        table, wanted,
        "IT_UPDATE=1 cargo test -p aimis --test it documentation -- --test-threads=1"
    );
}
