//! The OpenAPI document says what a gateway answers: each path with each method, and no other.

use aimis_simulator::{Platform, PlatformOptions};
use serde_json::{Value, json};

use crate::support::client::{self, request};
use crate::support::gateway::Settings;

const HOST: (&str, &str) = ("Host", "localhost");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn kept() -> Value {
    let text = include_str!("../../config/openapi.json");
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn the_openapi_document_has_what_a_gateway_answers() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Settings::calling(&platform)
        .with("admin", "listen = \"127.0.0.1:0\"")
        .start();
    let (lan, admin) = (gateway.lan, gateway.admin.unwrap());

    let served = client::exchange(admin, &request("GET", "/openapi.json", &[HOST], b"")).await;
    assert_eq!(served.unwrap().json(), kept(), "cargo xtask docs");

    let mut asked = 0;
    for (path, item) in kept()["paths"].as_object().unwrap() {
        // Events are fetched where callbacks are taken only; tests/it/pull.rs asks for them.
        if path.starts_with("/inbox/") {
            continue;
        }
        let target = path.replace("{appId}", "900001");
        let at = if path.starts_with("/thirdparty/") { lan } else { admin };
        for method in ["GET", "POST"] {
            let says = item.get(method.to_lowercase()).is_some();
            let answer = client::exchange(at, &request(method, &target, &[HOST, JSON], b"{}")).await;
            let status = answer.unwrap().status;
            assert_ne!(status, 404, "{method} {path}");
            assert_eq!(status != 405, says, "{method} {path} is answered {status}");
            asked += 1;
        }
    }
    assert!(asked >= 20, "only {asked} were asked for");
}

#[test]
fn the_openapi_document_refers_to_what_it_has() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = kept();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    // What the gateway fills in, a HIS may leave out.
    let studies = &document["paths"]["/thirdparty/patientStudies"]["post"]["requestBody"]["content"];
    let required = &studies["application/json"]["schema"]["required"];
    assert_eq!(
        required,
        &json!([
            "phoneNum",
            "idNum",
            "studyType",
            "dataFlag",
            "usage",
            "studyDateBegin",
            "studyDateEnd"
        ])
    );
}
