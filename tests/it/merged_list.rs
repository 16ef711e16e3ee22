//! A study list without one type: asked for type by type, merged, and never short in silence.

use std::time::Duration;

use aimis_simulator::{Fault, PATIENT_STUDIES, Platform, PlatformOptions, Recorded};
use serde_json::{Value, json};

use crate::log_fields::checked;
use crate::support::client::{Answer, Connection, PATIENCE, exchange, post, request};
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query, studies_query_with};

const STUDIES: &str = "/thirdparty/patientStudies/900001";

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

/// A gateway that merges.
fn merging(platform: &Platform) -> Settings {
    // A failed part stays failed: what a second attempt makes of it is not what is looked at here.
    Settings::calling(platform)
        .with("lan", "merge_study_types = true")
        .with("platform", "max_retries = 0")
}

/// A question to all of the platform's data, for these types.
fn query(types: &Value) -> String {
    studies_query_with(json!({ "dataFlag": 0, "studyType": types }))
}

async fn ask(gateway: &Gateway, types: Value) -> Answer {
    gateway.query(PATIENT_STUDIES, query(&types)).await
}

/// The type that a request to the platform asked for.
fn study_type(request: &Recorded) -> i64 {
    request.json()["studyType"].as_i64().unwrap()
}

/// What the platform sent, by type.
fn by_type(platform: &Platform) -> Vec<Recorded> {
    let mut requests = platform.requests();
    requests.sort_by_key(study_type);
    requests
}

fn types_asked(platform: &Platform) -> Vec<i64> {
    by_type(platform).iter().map(study_type).collect()
}

/// The bytes between the brackets of a reply's list; the simulator writes `data` last and compact.
fn elements(reply: &[u8]) -> String {
    let text = std::str::from_utf8(reply).unwrap();
    let list = text.split_once("\"data\":[").unwrap().1;
    list.rsplit_once(']').unwrap().0.to_owned()
}

fn business(code: i64) -> Fault {
    Fault::BusinessCode {
        code,
        message: "坏\"了".to_owned(),
    }
}

#[tokio::test]
async fn a_list_without_a_type_is_every_type_in_order_byte_for_byte() {
    let platform = platform().await;
    let gateway = merging(&platform).start();

    for types in [Value::Null, json!(""), json!([3, 0, 1, "2", 5, 4, 0])] {
        platform.clear_requests();
        let answer = ask(&gateway, types.clone()).await;

        let requests = by_type(&platform);
        assert_eq!(
            requests.iter().map(study_type).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5],
            "{types}"
        );
        let lists: Vec<String> = requests
            .iter()
            .map(|r| elements(&r.reply))
            .filter(|list| !list.is_empty())
            .collect();
        assert_eq!(lists.len(), 6, "the demo patient has every type");
        let wanted = format!(
            r#"{{"code":0,"message":"success","data":[{}],"partial":[]}}"#,
            lists.join(",")
        );
        assert_eq!(answer.text(), wanted, "{types}");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json; charset=utf-8"))
        );
        assert_eq!(answer.header("x-aimis-origin"), Some("platform"));
        assert_eq!(answer.header("x-aimis-answer"), Some("merged"));
        assert_eq!(answer.header("x-aimis-merged"), Some("0,1,2,3,4,5"));
        assert_eq!(
            (answer.header("x-aimis-partial"), answer.header("x-aimis-warnings")),
            (None, None)
        );
    }
    assert_eq!(
        gateway.metric("aimis_merged_parts_total{result=\"ok\"}").await,
        Some(18.0)
    );
}

#[tokio::test]
async fn p2_p3_each_part_is_a_protected_request_of_its_own() {
    let platform = platform().await;
    let gateway = merging(&platform).start();

    ask(&gateway, Value::Null).await;

    let requests = platform.requests();
    assert_eq!(requests.len(), 6);
    for request in &requests {
        assert!(!request.contains(PHONE) && !request.contains(ID_NUMBER));
        assert_eq!(request.decrypted.as_ref().unwrap()["idNum"], ID_NUMBER);
        assert_eq!(request.verdict, Some(0), "it is signed");
    }
}

#[tokio::test]
async fn a_list_is_understood_in_json_and_in_a_form() {
    let platform = platform().await;
    let gateway = merging(&platform).start();
    let form = format!(
        "phoneNum={PHONE}&idNum={ID_NUMBER}&hospitalId=H0001&unionId=U0001&dataFlag=0&usage=0&studyType=0,5\
         &studyDateBegin=2024-01-01+00:00:00&studyDateEnd=2025-12-31+23:59:59"
    );

    let plain = ask(&gateway, json!([0, 5])).await;
    let texts = ask(&gateway, json!(["0", "5"])).await;
    let bytes = request(
        "POST",
        STUDIES,
        &[("Content-Type", "application/x-www-form-urlencoded")],
        form.as_bytes(),
    );
    let form = exchange(gateway.lan, &bytes).await.unwrap();

    assert_eq!(types_asked(&platform), [0, 0, 0, 5, 5, 5]);
    assert_eq!((&texts.body, &form.body), (&plain.body, &plain.body));
    let repairs = |answer: &Answer| answer.header("x-aimis-repairs").unwrap_or_default().to_owned();
    assert_eq!(repairs(&plain), "");
    assert_eq!(repairs(&texts), "studyType=integer-as-string");
    assert!(
        repairs(&form).contains("studyType=integer-as-string"),
        "{}",
        repairs(&form)
    );
    assert!(repairs(&ask(&gateway, json!("-")).await).contains("studyType=placeholder-absent"));
}

#[tokio::test]
async fn one_type_is_relayed_as_ever() {
    let platform = platform().await;
    let gateway = merging(&platform).start();

    let answer = ask(&gateway, json!(0)).await;

    assert_eq!(answer.body, platform.only_request().reply);
    assert_eq!(
        (answer.header("x-aimis-answer"), answer.header("x-aimis-merged")),
        (None, None)
    );
}

#[tokio::test]
async fn what_is_no_list_of_types_is_refused_by_name() {
    let platform = platform().await;
    let gateway = merging(&platform).start();

    for (types, reason) in [
        (json!([]), "wrong-type"),
        (json!([0, "x"]), "wrong-type"),
        (json!([0, 1.5]), "wrong-type"),
        (json!([[0]]), "wrong-type"),
        (json!({ "0": 1 }), "wrong-type"),
        (json!("0,"), "wrong-type"),
        (json!([0, 6]), "out-of-range"),
        (json!([-1]), "out-of-range"),
        (json!("0,9"), "out-of-range"),
    ] {
        let answer = ask(&gateway, types.clone()).await;
        assert_eq!((answer.status, answer.code()), (422, 800_005), "{types}");
        assert_eq!(
            answer.json()["errors"],
            json!([{
                "field": "studyType", "reason": reason, "hint": answer.json()["errors"][0]["hint"],
            }]),
            "{types}"
        );
    }
    let both = gateway
        .query(
            PATIENT_STUDIES,
            studies_query_with(json!({ "studyType": [0, 7], "usage": 9 })),
        )
        .await
        .json();
    assert_eq!(
        both["errors"].as_array().unwrap().len(),
        2,
        "every problem at once: {both}"
    );
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn it_is_off_by_default_and_on_for_a_client() {
    let platform = platform().await;
    let off = Gateway::before(&platform);
    for (types, reason) in [
        (Value::Null, "missing"),
        (json!([0, 5]), "wrong-type"),
        (json!("0,5"), "wrong-type"),
    ] {
        let answer = ask(&off, types.clone()).await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["reason"]),
            (422, &json!(reason)),
            "{types}"
        );
    }
    assert_eq!(platform.request_count(), 0);

    let on = Settings::calling(&platform)
        .client("name = \"his\"\nnetworks = \"127.0.0.1\"\nmerge_study_types = true")
        .start();
    assert_eq!(ask(&on, json!([0, 5])).await.header("x-aimis-merged"), Some("0,5"));
}

#[tokio::test]
async fn a_strict_client_gets_no_repair_of_a_list_either() {
    let platform = platform().await;
    let gateway = merging(&platform).with("lan", "strict = true").start();

    for types in [json!(["0", "5"]), json!("0,5"), json!("-")] {
        let answer = ask(&gateway, types.clone()).await;
        assert_eq!(answer.status, 422, "{types}");
        assert_eq!(answer.json()["errors"][0]["field"], "studyType", "{types}");
    }
    assert_eq!(platform.request_count(), 0);
    assert_eq!(ask(&gateway, json!([0, 5])).await.status, 200);
}

#[tokio::test]
async fn a_client_gets_the_types_it_may_see() {
    let platform = platform().await;
    let gateway = merging(&platform)
        .client("name = \"app\"\nnetworks = \"127.0.0.1\"\nstudy_type = [5, 0]\nusage = [0]")
        .start();

    let omitted = ask(&gateway, Value::Null).await;
    assert_eq!((omitted.status, omitted.header("x-aimis-merged")), (200, Some("0,5")));
    assert_eq!(types_asked(&platform), [0, 5]);

    let asked = platform.request_count();
    let listed = ask(&gateway, json!([0, 3])).await;
    assert_eq!((listed.status, listed.code()), (403, 800_102));
    assert_eq!(listed.json()["errors"][0]["field"], "studyType");
    let usage = gateway
        .query(
            PATIENT_STUDIES,
            studies_query_with(json!({ "studyType": null, "usage": 2 })),
        )
        .await;
    assert_eq!(
        (usage.status, &usage.json()["errors"][0]["field"]),
        (403, &json!("usage"))
    );
    assert_eq!(platform.request_count(), asked);
}

#[tokio::test]
async fn p9_a_type_that_could_not_be_had_is_told() {
    let platform = platform().await;
    // One after the other, so that it is known which part meets which fault.
    let gateway = merging(&platform).with("lan", "merge_concurrency = 1").start();
    for fault in [
        Fault::None,
        business(30_001),
        business(100_004),
        business(90_001),
        Fault::HtmlPage { status: 200 },
    ] {
        platform.push_fault(fault);
    }

    let answer = post(
        gateway.lan,
        STUDIES,
        &[("Accept-Language", "en")],
        query(&Value::Null).as_bytes(),
    )
    .await;

    let json = answer.json();
    assert_eq!((answer.status, &json["code"]), (200, &json!(0)));
    assert_eq!(answer.header("x-aimis-partial"), Some("1=30001, 3=90001, 4=800303"));
    assert_eq!(answer.header("x-aimis-warnings"), Some("reply=partial"));
    let sent = by_type(&platform);
    assert!(answer.text().contains(&format!(
        "\"data\":[{},{}]",
        elements(&sent[0].reply),
        elements(&sent[5].reply)
    )));
    let told: Vec<_> = json["partial"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (&p["studyType"], &p["code"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!(1), &json!(30_001)),
            (&json!(3), &json!(90_001)),
            (&json!(4), &json!(800_303))
        ]
    );
    assert_eq!(json["partial"][0]["message"], "坏\"了");
    assert!(
        json["partial"][2]["message"]
            .as_str()
            .unwrap()
            .starts_with("Platform's reply not valid: ")
    );
    for (result, count) in [("ok", 2.0), ("empty", 1.0), ("failed", 3.0)] {
        let series = format!("aimis_merged_parts_total{{result=\"{result}\"}}");
        assert_eq!(gateway.metric(&series).await, Some(count), "{result}");
    }
    let lines = checked(&gateway.stop());
    let line = lines.iter().find(|line| line["event.name"] == "request").unwrap();
    assert_eq!(
        (&line["partial"], &line["attempts"], &line["severity_text"]),
        (&json!(3), &json!(6), &json!("WARN"))
    );
    assert!(line["duration_s"].as_f64() >= line["upstream.duration_s"].as_f64());
}

#[tokio::test]
async fn p9_when_nothing_could_be_had_the_first_failure_is_the_answer() {
    let platform = platform().await;
    let gateway = merging(&platform).with("lan", "merge_concurrency = 1").start();

    for fault in [business(30_001), business(90_001)] {
        platform.push_fault(fault);
    }
    let relayed = ask(&gateway, json!([0, 5])).await;
    assert_eq!(relayed.code(), 30_001);
    assert_eq!(relayed.body, by_type(&platform)[0].reply, "as the platform sent it");
    assert_eq!(
        (relayed.header("x-aimis-origin"), relayed.header("x-aimis-answer")),
        (Some("platform"), None)
    );

    for fault in [Fault::HalfBody, business(1)] {
        platform.push_fault(fault);
    }
    let refused = ask(&gateway, json!([0, 5])).await;
    assert_eq!((refused.status, refused.code()), (502, 800_303));
    assert_eq!(refused.header("x-aimis-origin"), Some("gateway"));
    assert_eq!(
        gateway.metric("aimis_merged_parts_total{result=\"failed\"}").await,
        Some(4.0)
    );
}

#[tokio::test]
async fn numbers_survive_the_merge() {
    let platform = platform().await;
    let gateway = merging(&platform).start();
    let list = r#"{"n":1.10,"m":1E+2,"z":-0,"big":123456789012345678901234567890}, null ,"\u4e2d""#;
    platform.set_reply(
        PATIENT_STUDIES,
        format!("{{\"data\" : [ {list} ],\"code\":0,\"next\":1.0}}"),
    );

    let answer = ask(&gateway, json!([2, 4])).await;

    assert_eq!(
        answer.text(),
        format!(r#"{{"code":0,"message":"success","data":[{list},{list}],"partial":[]}}"#)
    );
}

#[tokio::test]
async fn no_more_parts_are_asked_at_a_time_than_allowed() {
    let platform = platform().await;
    let gateway = merging(&platform).with("lan", "merge_concurrency = 2").start();
    let asked = |gateway: &Gateway| {
        (
            gateway.lan,
            request("POST", STUDIES, &[], query(&Value::Null).as_bytes()),
        )
    };
    // Answers that never come: whatever is asked stays open, and what is not asked waits for them.
    platform.set_fault(Fault::Hang);
    let (address, bytes) = asked(&gateway);
    let mut connection = Connection::open(address).await;
    connection.send(&bytes).await.unwrap();
    platform.wait_for_requests(2).await;
    // Another client's question goes through meanwhile: the gateway has had every chance to ask for a third part.
    platform.push_fault(Fault::None);
    assert_eq!(gateway.studies().await.status, 200);

    assert_eq!(platform.request_count(), 3);
    assert_eq!(
        gateway.metric("aimis_upstream_connections{state=\"active\"}").await,
        Some(2.0)
    );
    drop((connection, gateway));

    // And with room for all, all are asked before any has answered.
    platform.clear_requests();
    let gateway = merging(&platform).with("lan", "merge_concurrency = 6").start();
    let (address, bytes) = asked(&gateway);
    let mut connection = Connection::open(address).await;
    connection.send(&bytes).await.unwrap();
    tokio::time::timeout(PATIENCE, platform.wait_for_requests(6))
        .await
        .unwrap();
}

#[tokio::test]
async fn all_parts_share_one_deadline() {
    let platform = platform().await;
    let gateway = merging(&platform)
        .with("lan", "merge_concurrency = 1")
        .with("platform", "deadline_ms = 400")
        .start();
    // The first part is answered at once; the second never. For the others there is no time left.
    platform.push_fault(Fault::None);
    platform.set_fault(Fault::Hang);

    let answer = tokio::time::timeout(Duration::from_secs(60), ask(&gateway, Value::Null))
        .await
        .unwrap();

    assert_eq!((answer.status, answer.code()), (200, 0));
    assert_eq!(
        answer.header("x-aimis-partial"),
        Some("1=800302, 2=800302, 3=800302, 4=800302, 5=800302")
    );
    assert_eq!(types_asked(&platform), [0, 1], "whose turn came too late was not asked");
    let timeouts = "aimis_upstream_attempts_total{api=\"patientStudies\",result=\"timeout\"}";
    assert_eq!(gateway.metric(timeouts).await, Some(1.0));
}

#[tokio::test]
async fn an_empty_merged_list_for_a_mistyped_number_is_suspicious() {
    let platform = platform().await;
    let gateway = merging(&platform).with("lan", "merge_concurrency = 1").start();
    let mistyped = studies_query()
        .replace(ID_NUMBER, "110101190001010091")
        .replace("\"studyType\":0", "\"studyType\":[1,2]");

    let empty = gateway.query(PATIENT_STUDIES, &mistyped).await;
    platform.push_fault(business(30_001));
    let partial = gateway.query(PATIENT_STUDIES, &mistyped).await;

    assert_eq!(empty.json()["data"], json!([]));
    assert_eq!(
        empty.header("x-aimis-warnings"),
        Some("idNum=check-digit, reply=empty-after-failed-check")
    );
    assert_eq!(
        partial.header("x-aimis-warnings"),
        Some("idNum=check-digit, reply=partial")
    );
    let tenant = |family: &str| format!("aimis_{family}_total{{tenant=\"first-hospital\"}}");
    assert_eq!(gateway.metric(&tenant("suspicious_empty_answers")).await, Some(1.0));
    assert_eq!(
        gateway.metric(&tenant("lookup_answers")).await,
        Some(1.0),
        "what is missing may not be empty"
    );
}
