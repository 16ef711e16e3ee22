//! Each road leaves its record, with what came of it, and finding it needs nothing but the patient's number.

use aimis_simulator::{Account, Callback, CallbackSender, Fault, His};
use serde_json::{Value, json};

use super::bed::{Bed, TENANT};
use crate::support::binary::command;
use crate::support::client::{self, post, request};
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, studies_query, studies_query_with};
use crate::support::process::run;

const PATH: &str = "/thirdparty/patientStudies/900001";

#[tokio::test]
async fn a_look_up_leaves_who_when_for_what_and_with_what_result() {
    let bed = Bed::new().await;
    let client = "name = \"his\"\nnetworks = \"127.0.0.1\"\nusage = [0, 1, 2]\ndata_flag = [0, 1]";
    let gateway = bed.settings().cached().client(client).start();
    let headers = [("X-Operator-Id", "D1023"), ("X-Request-Id", "round-7")];
    let query = studies_query_with(json!({"usage": 2}));
    for _ in 0..2 {
        assert_eq!(post(gateway.lan, PATH, &headers, query.as_bytes()).await.status, 200);
    }
    let other = studies_query_with(json!({"usage": 2, "dataFlag": 2}));
    assert_eq!(post(gateway.lan, PATH, &[], other.as_bytes()).await.code(), 800_102);
    bed.platform.set_fault(Fault::BusinessCode {
        code: 100_004,
        message: "no data".to_owned(),
    });
    let nothing = studies_query_with(json!({"studyType": 3}));
    assert_eq!(gateway.query("patientStudies", nothing).await.code(), 100_004);
    // What names nobody is no look-up.
    assert_eq!(gateway.query("patientStudies", "{").await.code(), 800_001);
    gateway.stop();

    let records = bed.records();
    let told: Vec<_> = records
        .iter()
        .map(|r| {
            json!([
                r["operator"],
                r["usage"],
                r["origin"],
                r["class"],
                r["code"],
                r["count"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["D1023", 2, "platform", "ok", 0, 2]),
            json!(["D1023", 2, "cache", "ok", 0, 2]),
            json!([null, 2, "gateway", "data", 800_102, null]),
            json!([null, 0, "platform", "data", 100_004, 0]),
        ]
    );
    for record in &records {
        let same = [&record["kind"], &record["tenant"], &record["client"], &record["api"]];
        assert_eq!(same, ["lookup", TENANT, "his", "patientStudies"]);
    }
    assert_eq!(records[0]["request"], "round-7");
    for number in [PHONE, "138-0013-8000", ID_NUMBER, "11010119000101009x"] {
        assert_eq!(bed.found(number), records, "{number}");
    }
    assert_eq!(bed.found("13900139000"), [] as [Value; 0]);
    bed.assert_sound();
}

#[tokio::test]
async fn the_items_of_a_merged_list_are_counted_together() {
    let bed = Bed::new().await;
    let gateway = bed.settings().with("lan", "merge_study_types = true").start();
    let answer = gateway
        .query("patientStudies", studies_query_with(json!({"studyType": null})))
        .await;
    let items = answer.json()["data"].as_array().unwrap().len();
    gateway.stop();

    let records = bed.records();
    assert_eq!(records.len(), 1, "one look-up, however many questions");
    assert!(items > 1 && records[0]["count"] == items, "{items}: {records:?}");
}

#[tokio::test]
async fn a_user_named_by_a_number_that_could_be_personal_is_kept_as_a_tag() {
    let bed = Bed::new().await;
    let gateway = bed.settings().with("audit", "operator_header = \"X-Doctor\"").start();
    for doctor in [PHONE, "13900139000", PHONE] {
        let bytes = request("POST", PATH, &[("X-Doctor", doctor)], studies_query().as_bytes());
        assert_eq!(client::exchange(gateway.lan, &bytes).await.unwrap().status, 200);
    }
    gateway.stop();

    let records = bed.records();
    assert!(records.iter().all(|record| record["operator"].is_null()));
    assert_eq!(records[0]["operator_tag"], records[2]["operator_tag"]);
    assert_ne!(records[0]["operator_tag"], records[1]["operator_tag"]);
    let (status, out, _) = bed.audit(&["find", "--any-patient", "--operator", PHONE, "--json"], "");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, found["records"].as_array().unwrap().len()), (0, 2));
}

/// Two headers with two names: whichever was recorded, the trail could say the wrong one.
#[tokio::test]
async fn a_request_that_names_two_users_is_refused() {
    let bed = Bed::new().await;
    let gateway = bed.settings().start();
    let named = |headers: &[(&str, &str)]| request("POST", PATH, headers, studies_query().as_bytes());
    let twice = [("X-Operator-Id", "D1023"), ("x-operator-id", "D7")];

    let refused = client::exchange(gateway.lan, &named(&twice)).await.unwrap();

    assert_eq!((refused.status, refused.code()), (400, 800_001));
    assert!(refused.text().contains("audit.operator_header"), "{}", refused.text());
    assert_eq!(bed.platform.request_count(), 0, "nobody saw anything");
    // The same one twice is one, and what is empty is none.
    let same = [("X-Operator-Id", "D7"), ("X-Operator-Id", ""), ("X-Operator-Id", " D7")];
    assert_eq!(client::exchange(gateway.lan, &named(&same)).await.unwrap().code(), 0);
    gateway.logged("\"error.detail\":\"operator-twice\"").await;
    gateway.stop();
    let records = bed.records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["operator"], "D7");
}

/// Without a trail there is nobody to be named.
#[tokio::test]
async fn without_a_trail_the_header_means_nothing() {
    let bed = Bed::new().await;
    let gateway = Gateway::before(&bed.platform);
    let twice = [("X-Operator-Id", "D1023"), ("X-Operator-Id", "D7")];
    let bytes = request("POST", PATH, &twice, studies_query().as_bytes());
    assert_eq!(client::exchange(gateway.lan, &bytes).await.unwrap().code(), 0);
}

/// Who changes what is in force leaves a record, and hears what only a restart changes.
#[tokio::test]
async fn a_reload_by_order_leaves_a_record_and_names_what_it_held_back() {
    let bed = Bed::new().await;
    let base = bed.settings().with("admin", "listen = \"127.0.0.1:0\"");
    let gateway = base.start_in(&bed.directory);
    let reload = async || {
        let json = [("Host", "localhost"), ("Content-Type", "application/json")];
        client::post(gateway.admin.unwrap(), "/api/v1/reload", &json, b"").await
    };

    base.clone()
        .with("runtime", "workers = 3")
        .with("lan", "max_body = \"32KiB\"")
        .write(&bed.directory);
    let held = json!({"reloaded": true, "restart_needed": ["runtime.workers"]});
    assert_eq!(reload().await.json(), held);
    // As long as it is so.
    assert_eq!(reload().await.json(), held);
    bed.directory.file("gateway.toml", "[lna]");
    assert_eq!(reload().await.status, 409);
    gateway.stop();
    base.write(&bed.directory);

    let acts: Vec<_> = bed.records().iter().map(|record| record["act"].clone()).collect();
    assert_eq!(acts, ["reload", "reload", "reload-refused"]);
    let (status, told, _) = bed.audit(&["verify"], "");
    assert_eq!(status, 0, "{told}");
}

async fn call_back(gateway: &Gateway) {
    let url = format!("http://{}/callback/{TENANT}", gateway.callback.unwrap());
    let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
    assert!(sender.send(&Callback::demo()).await.unwrap().is_received());
}

#[tokio::test]
async fn a_delivery_leaves_a_record() {
    let bed = Bed::new().await;
    let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let settings = bed.settings().callbacks(&bed.directory);
    let gateway = settings
        .of_tenant(&format!("callback.target = \"{}\"", his.url()))
        .start();
    call_back(&gateway).await;
    his.wait_for_deliveries(1).await;
    gateway.stop();

    let records = bed.found(PHONE);
    assert_eq!(records, bed.records());
    assert_eq!(records.len(), 1);
    assert_eq!(
        (&records[0]["kind"], &records[0]["tenant"]),
        (&json!("delivery"), &json!(TENANT))
    );
    assert!(records[0]["event"].as_str().unwrap().starts_with("evt_"));
}

#[tokio::test]
async fn a_fetched_event_one_that_is_revealed_and_a_purge_leave_records() {
    let bed = Bed::new().await;
    let settings = bed.settings().callbacks(&bed.directory).cached();
    let gateway = settings.with("admin", "listen = \"127.0.0.1:0\"").start();
    call_back(&gateway).await;
    let headers = [("X-Operator-Id", "D7")];
    let bytes = request("GET", "/inbox/v1/first-hospital/events", &headers, b"");
    let fetched = client::exchange(gateway.lan, &bytes).await.unwrap().json();
    let event = fetched["data"]["events"][0]["event"]["eventId"]
        .as_str()
        .unwrap()
        .to_owned();
    let order = json!({"tenant": TENANT, "patient": PHONE}).to_string();
    let purged = post(
        gateway.admin.unwrap(),
        "/api/v1/cache/purge",
        &[("Host", "localhost"), ("Content-Type", "application/json")],
        order.as_bytes(),
    );
    assert_eq!(purged.await.status, 200);
    // Beside the running gateway.
    let shown = run(
        command(&["inbox", "show", "--reveal", "--config", &bed.config, &event]),
        b"",
    );
    assert!(shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains(PHONE));
    let park = command(&["inbox", "park", "--config", &bed.config, TENANT]);
    assert!(run(park, b"").status.success());
    gateway.stop();

    // Each thread has a queue, and which is emptied first is not said.
    let mut found = bed.found(PHONE);
    let place = |record: &Value| {
        ["fetch", "act", "reveal"]
            .iter()
            .position(|kind| record["kind"] == *kind)
    };
    found.sort_by_key(place);
    let kinds: Vec<_> = found.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["fetch", "act", "reveal"]);
    assert_eq!(
        (&found[0]["operator"], &found[0]["event"]),
        (&json!("D7"), &json!(event))
    );
    assert_eq!(
        (&found[1]["act"], &found[1]["count"]),
        (&json!("cache-purge"), &json!(0))
    );
    assert_eq!(found[2]["event"], json!(event));
    assert!(found[2]["who"].as_str().unwrap().starts_with("uid "));
    let acts = bed.lines("acts");
    assert!(acts.iter().any(|line| line["act"] == "park"), "{acts:?}");
    let trails = bed.assert_sound();
    assert_eq!(trails.as_array().unwrap().len(), 2);
}
