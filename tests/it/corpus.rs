//! The corpus of dialects: requests as clients really send them, byte for byte, and what becomes of each.
//!
//! `tests/corpus/dialects/NAME.http` is what a client writes to its socket; `NAME.json` beside it says what the
//! interface description wants of it:
//!
//! | member | holds |
//! |---|---|
//! | `about` | one sentence; begins with `captured (stack, version):` or `by-hand:` |
//! | `lan`, `identity`, `dates` | lines of these sections of the configuration, if the case needs any |
//! | `status`, `code` | of the answer; the code is ours or the platform's |
//! | `repairs`, `warnings` | the exact text of `X-Aimis-Repairs` and `X-Aimis-Warnings`, or null |
//! | `errors` | field and reason of each error in a refusal |
//! | `sent` | the fields that the platform got, decrypted by its own key; null when nothing may reach it |
//! | `http` | `version` of the answer's first line and its `connection` header, where they matter |
//!
//! Encrypted fields that the simulator refused to look at stay in `sent` as they were sent. Cases that share a
//! configuration share a gateway; each has a connection of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aimis_simulator::{Platform, PlatformOptions, Recorded};
use serde_json::{Map, Value, json};

use crate::support::client::{Answer, Connection};
use crate::support::gateway::{Gateway, Settings};

/// Fewer means that files were lost on the way here.
const LEAST: usize = 80;
const REQUIRED: [&str; 7] = ["about", "status", "code", "repairs", "warnings", "errors", "sent"];
const SECTIONS: [&str; 3] = ["lan", "identity", "dates"];

struct Case {
    name: String,
    request: Vec<u8>,
    expected: Map<String, Value>,
}

#[tokio::test]
async fn every_dialect_of_the_corpus_means_what_its_client_meant() {
    let cases = cases();
    assert!(cases.len() >= LEAST, "{} cases, not {LEAST}", cases.len());
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();

    let mut failures = Vec::new();
    let mut gateways: BTreeMap<String, Gateway> = BTreeMap::new();
    for case in &cases {
        let gateway = gateways
            .entry(case.settings_key())
            .or_insert_with(|| case.settings(&platform).start());
        failures.extend(case.failures(gateway, &platform).await);
    }
    // What a refused request left behind may not reach the platform later either.
    let stopping: Vec<_> = gateways
        .into_values()
        .map(|gateway| tokio::task::spawn_blocking(|| gateway.stop()))
        .collect();
    for stopped in stopping {
        stopped.await.unwrap();
    }
    let answered = cases.iter().filter(|case| case.reaches_the_platform()).count();
    if platform.request_count() != answered as u64 {
        failures.push(format!(
            "{} requests reached the platform, not {answered}",
            platform.request_count()
        ));
    }

    let count = failures.len();
    assert!(failures.is_empty(), "{count} differences\n{}", failures.join("\n"));
}

fn cases() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/dialects");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in &paths {
        let other = match path.extension().and_then(|extension| extension.to_str()) {
            Some("http") => path.with_extension("json"),
            Some("json") => path.with_extension("http"),
            _ => panic!("{}: neither .http nor .json", path.display()),
        };
        assert!(paths.contains(&other), "{} is missing", other.display());
    }
    paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .map(|path| Case::read(path))
        .collect()
}

impl Case {
    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let expected = std::fs::read(path.with_extension("json")).unwrap();
        let expected: Map<String, Value> =
            serde_json::from_slice(&expected).unwrap_or_else(|e| panic!("{name}.json: {e}"));
        for member in REQUIRED {
            assert!(expected.contains_key(member), "{name}.json: {member} is missing");
        }
        for member in expected.keys().map(String::as_str) {
            let known = REQUIRED.contains(&member) || SECTIONS.contains(&member) || member == "http";
            assert!(known, "{name}.json: {member} is no member of an expectation");
        }
        for member in expected.get("http").and_then(Value::as_object).into_iter().flatten() {
            assert!(
                ["version", "connection"].contains(&member.0.as_str()),
                "{name}.json: http.{}",
                member.0
            );
        }
        let about = expected["about"].as_str().unwrap();
        assert!(
            about.starts_with("captured (") || about.starts_with("by-hand: "),
            "{name}.json: about says neither captured nor by-hand"
        );
        Self {
            request: std::fs::read(path).unwrap(),
            name,
            expected,
        }
    }

    fn reaches_the_platform(&self) -> bool {
        !self.expected["sent"].is_null()
    }

    fn lines(&self, section: &str) -> Vec<&str> {
        let lines = self.expected.get(section).map(|lines| lines.as_array().unwrap());
        lines.into_iter().flatten().map(|line| line.as_str().unwrap()).collect()
    }

    fn settings_key(&self) -> String {
        format!("{:?}", SECTIONS.map(|section| self.lines(section)))
    }

    fn settings(&self, platform: &Platform) -> Settings {
        SECTIONS.iter().fold(Settings::calling(platform), |settings, section| {
            let lines = self.lines(section).into_iter();
            lines.fold(settings, |settings, line| settings.with(section, line))
        })
    }

    /// Sends the request and tells each difference.
    async fn failures(&self, gateway: &Gateway, platform: &Platform) -> Vec<String> {
        let before = platform.requests().len();
        let mut connection = Connection::open(gateway.lan).await;
        // The gateway may refuse before it has read everything.
        let _ = connection.send(&self.request).await;
        let Some((line, answer)) = connection.answer_with_line().await else {
            return vec![format!("{}.http: no answer", self.name)];
        };

        let mut found = self.found(&line, &answer);
        let requests = platform.requests().split_off(before);
        found.insert("sent", requests.first().map_or(Value::Null, sent));
        let mut failures: Vec<String> = found
            .into_iter()
            .filter(|(what, found)| self.wanted(what) != *found)
            .map(|(what, found)| {
                let expected = self.wanted(what);
                format!("{}.http: {what}\n  expected {expected}\n     found {found}", self.name)
            })
            .collect();
        if requests.len() > 1 {
            failures.push(format!(
                "{}.http: reached the platform {} times",
                self.name,
                requests.len()
            ));
        }
        if line.starts_with("HTTP/1.0") && answer.header("transfer-encoding").is_some() {
            failures.push(format!("{}.http: a transfer coding in HTTP/1.0", self.name));
        }
        failures
    }

    fn found(&self, line: &str, answer: &Answer) -> BTreeMap<&'static str, Value> {
        let body = answer.json();
        let errors: Vec<Value> = body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| json!([error["field"], error["reason"]]))
            .collect();
        let mut found = BTreeMap::from([
            ("status", json!(answer.status)),
            ("code", body["code"].clone()),
            ("repairs", json!(answer.header("x-aimis-repairs"))),
            ("warnings", json!(answer.header("x-aimis-warnings"))),
            ("errors", Value::Array(errors)),
        ]);
        let http = self.expected.get("http").and_then(Value::as_object);
        if http.is_some_and(|http| http.contains_key("version")) {
            found.insert("version", json!(line.split(' ').next()));
        }
        if http.is_some_and(|http| http.contains_key("connection")) {
            found.insert("connection", json!(answer.header("connection")));
        }
        found
    }

    fn wanted(&self, what: &str) -> Value {
        let place = self.expected.get(what).or_else(|| self.expected["http"].get(what));
        place.cloned().unwrap_or_default()
    }
}

/// The fields that the platform got, those that it decrypted in clear. None may have been so on the way.
fn sent(request: &Recorded) -> Value {
    let mut fields = request.json();
    for (name, value) in request.decrypted.iter().flatten() {
        fields[name] = match request.contains(value) {
            true => json!("went out in plaintext"),
            false => json!(value),
        };
    }
    fields
}
