//! What the store has of an answer: nothing to read, nothing to change, nothing left when its key is gone.

use redis::Value;

use super::bed::Bed;
use super::{HIT, MISS, told};
use crate::support::client::post;
use crate::support::gateway::{ID_NUMBER, PHONE};

/// Keys of the first hospital's answers.
fn answers(bed: &Bed) -> Vec<Vec<u8>> {
    let keys = redis::cmd("KEYS")
        .arg("aimis:{*}:answer:*")
        .query(&mut bed.server.connection());
    keys.unwrap()
}

async fn faults(bed: &Bed, gateway: usize, reason: &str) -> Option<f64> {
    let series = format!("aimis_cache_faults_total{{reason=\"{reason}\"}}");
    bed.gateways[gateway].metric(&series).await
}

#[tokio::test]
async fn a_flipped_bit_is_refused_counted_and_asked_anew() {
    let bed = Bed::start(2).await;
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    let [key] = &answers(&bed)[..] else {
        panic!("one answer")
    };
    let mut connection = bed.server.connection();
    for (count, field) in ["b", "t", "e"].into_iter().enumerate() {
        let mut value: Vec<u8> = redis::cmd("HGET").arg(key).arg(field).query(&mut connection).unwrap();
        // The last digit of a number, or somewhere in the sealed text.
        let at = value.len() - 1;
        value[at] ^= 1;
        redis::cmd("HSET")
            .arg(key)
            .arg(field)
            .arg(&value)
            .exec(&mut connection)
            .unwrap();

        // The one that has no copy sees it.
        let answer = bed.gateways[1].studies().await;

        assert_eq!((answer.status, told(&answer).0), (200, "platform"), "{field}");
        assert_eq!(faults(&bed, 1, "value").await, Some(count as f64 + 1.0), "{field}");
        // What the platform says now is kept in its place. The one that kept it has a copy, the other opens it.
        assert_eq!(told(&bed.gateways[0].studies().await), HIT);
        let other = bed.gateways[0].studies().await;
        assert_eq!(other.body, answer.body);
        // So that the next round finds a replica without a copy.
        redis::cmd("DEL").arg(key).exec(&mut connection).unwrap();
        assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    }
}

#[tokio::test]
async fn a_time_that_is_none_is_asked_anew_and_takes_nobody_off_the_store() {
    let bed = Bed::start(2).await;
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    for field in ["t", "e"] {
        let [key] = &answers(&bed)[..] else {
            panic!("one answer")
        };
        redis::cmd("HSET")
            .arg(key)
            .arg(field)
            .arg("x17x")
            .exec(&mut bed.server.connection())
            .unwrap();

        let answer = bed.gateways[1].studies().await;

        assert_eq!(told(&answer), MISS, "{field}");
        assert_eq!(answer.header("x-aimis-warnings"), None, "{field}");
        assert_eq!(told(&bed.gateways[0].studies().await), HIT, "{field}");
    }
}

#[tokio::test]
async fn a_value_under_another_question_or_hospital_is_refused() {
    let bed = Bed::two_hospitals().await;
    let ask = |gateway: usize, app_id: &str, body: String| {
        let (lan, path) = (
            bed.gateways[gateway].lan,
            format!("/thirdparty/patientStudies/{app_id}"),
        );
        async move { post(lan, &path, &[], body.as_bytes()).await }
    };
    let ours = crate::support::gateway::studies_query;
    let other = || crate::support::gateway::studies_query_with(serde_json::json!({ "usage": 1 }));
    ask(0, "900001", ours()).await;
    let first = answers(&bed);
    ask(0, "900001", other()).await;
    ask(0, "900002", ours()).await;
    let keys = answers(&bed);
    assert_eq!((first.len(), keys.len()), (1, 3));
    let mut connection = bed.server.connection();
    for (target, body, count) in [("first-hospital", other(), 1.0), ("second-hospital", ours(), 2.0)] {
        let is_target = |key: &&Vec<u8>| **key != first[0] && String::from_utf8_lossy(key).contains(target);
        let target_key = keys.iter().find(is_target).unwrap();
        // All of it, but for the generations, which are in clear and told apart before anything is opened.
        let generations: Vec<u8> = redis::cmd("HGET")
            .arg(target_key)
            .arg("g")
            .query(&mut connection)
            .unwrap();
        redis::cmd("COPY")
            .arg(&first[0])
            .arg(target_key)
            .arg("REPLACE")
            .exec(&mut connection)
            .unwrap();
        redis::cmd("HSET")
            .arg(target_key)
            .arg("g")
            .arg(generations)
            .exec(&mut connection)
            .unwrap();

        let app_id = if target == "first-hospital" { "900001" } else { "900002" };
        let answer = ask(1, app_id, body).await;

        assert_eq!(told(&answer).0, "platform", "{target}");
        assert_eq!(faults(&bed, 1, "value").await, Some(count), "{target}");
    }
}

/// Everything that the server holds, as texts and in its own dump.
fn dump(bed: &Bed) -> Vec<u8> {
    let mut connection = bed.server.connection();
    redis::cmd("SAVE").exec(&mut connection).unwrap();
    let mut all = std::fs::read(bed.server.dump()).unwrap();
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    for key in keys {
        all.extend_from_slice(&key);
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut connection).unwrap();
        let value: Value = match kind.as_str() {
            "hash" => redis::cmd("HGETALL").arg(&key).query(&mut connection).unwrap(),
            "zset" => redis::cmd("ZRANGE")
                .arg(&key)
                .arg(0)
                .arg(-1)
                .query(&mut connection)
                .unwrap(),
            _ => redis::cmd("GET").arg(&key).query(&mut connection).unwrap(),
        };
        flatten(&value, &mut all);
    }
    all
}

fn flatten(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::BulkString(bytes) => out.extend_from_slice(bytes),
        Value::Array(values) => values.iter().for_each(|value| flatten(value, out)),
        _ => {}
    }
    out.push(b'\n');
}

#[tokio::test]
async fn p1_a_copy_of_the_store_tells_nothing() {
    let bed = Bed::start(2).await;
    let answer = bed.gateways[0].studies().await;
    assert!(answer.text().contains("h5Url"));
    bed.gateways[1].studies().await;
    bed.gateways[1]
        .query("patientReportUrl", r#"{"reportId":"RS1001","phoneNum":"13800138000"}"#)
        .await;
    bed.gateways[0].query("patientStudies", "{}").await;
    assert!(!answers(&bed).is_empty());

    let all = dump(&bed);

    assert!(all.windows(5).any(|window| window == b"aimis"), "it is a dump");
    let mut canaries = crate::privacy::canaries();
    canaries.add("telephone", PHONE);
    canaries.add("identity number", ID_NUMBER);
    canaries.add("key of the file", &"1f".repeat(32));
    let study = answer.json()["data"][0].clone();
    for member in ["h5Url", "studyName"] {
        if let Some(text) = study[member].as_str().filter(|text| text.len() > 8) {
            canaries.add(member, text);
        }
    }
    let mut sinks = crate::privacy::canary::Sinks::default();
    sinks.text("the store", &all);
    canaries.assert_absent(&sinks);
}

#[tokio::test]
async fn a_tenant_whose_key_is_dropped_has_no_answers_any_more() {
    let bed = Bed::with(2, |settings| settings.with("admin", "listen = \"127.0.0.1:0\"")).await;
    assert_eq!(told(&bed.gateways[0].studies().await), MISS);
    assert_eq!(told(&bed.gateways[1].studies().await), HIT);
    let mut connection = bed.server.connection();
    let key = "aimis:{first-hospital}:cache:key";
    let before: Vec<u8> = redis::cmd("GET").arg(key).query(&mut connection).unwrap();

    bed.shred().await;

    let gone: Option<Vec<u8>> = redis::cmd("GET").arg(key).query(&mut connection).unwrap();
    assert_eq!(gone, None);
    // Not even the one that has a copy in memory serves it.
    assert_eq!(told(&bed.gateways[1].studies().await), MISS);
    assert_eq!(told(&bed.gateways[0].studies().await), HIT);
    let after: Vec<u8> = redis::cmd("GET").arg(key).query(&mut connection).unwrap();
    assert_ne!(before[..8], after[..8]);
    // Whoever puts the old key back brings no answer back: they were sealed under it, and it is not in use.
    assert_eq!(faults(&bed, 1, "value").await, Some(0.0));
}
