//! The operator's listener: what is kept, and dropping it by tenant, API and patient.

use aimis_gateway::app;

use super::*;
use crate::support::binary;
use crate::support::client::exchange;
use crate::support::directory::Directory;
use crate::support::process::run;

const SHOW: &str = "/api/v1/cache";
const PURGE: &str = "/api/v1/cache/purge";
const HOST: (&str, &str) = ("Host", "localhost");

fn operated(platform: &Platform) -> Settings {
    Settings::calling(platform)
        .cached()
        .with("admin", "listen = \"127.0.0.1:0\"")
}

async fn purge(gateway: &Gateway, order: &serde_json::Value) -> Answer {
    post(gateway.admin.unwrap(), PURGE, &[HOST], order.to_string().as_bytes()).await
}

async fn fill(gateway: &Gateway) {
    for study_type in [0, 1] {
        let body = studies_query_with(json!({"studyType": study_type}));
        assert_eq!(gateway.query(PATIENT_STUDIES, body).await.status, 200);
    }
}

#[tokio::test]
async fn an_order_drops_what_it_names_and_nothing_else() {
    let platform = platform().await;
    let gateway = operated(&platform).start();
    for (order, dropped) in [
        (json!({"tenant": "first-hospital", "patient": PHONE}), 2),
        (
            json!({"tenant": "first-hospital", "patient": "110101 19000101 009x"}),
            2,
        ),
        (json!({"tenant": "first-hospital", "patient": "13900139000"}), 0),
        (json!({"tenant": "first-hospital", "api": "patientConsultations"}), 0),
        (json!({"api": "patientStudies"}), 2),
        (json!({"tenant": "first-hospital"}), 2),
        (json!({"all": true}), 2),
    ] {
        fill(&gateway).await;
        let answer = purge(&gateway, &order).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"dropped": dropped})),
            "{order}"
        );
    }
    let admin = gateway.admin.unwrap();
    let shown = exchange(admin, &request("GET", SHOW, &[("Host", &admin.to_string())], b"")).await;
    let shown = shown.unwrap().json();
    assert_eq!(shown, json!({"entries": 0, "bytes": 0, "max_bytes": 64 << 20}));
    let log = gateway.stop();
    let purges = checked(&log)
        .into_iter()
        .filter(|line| line["event.name"] == "cache_purged");
    assert_eq!(purges.count(), 7);
    assert!(!log.contains(PHONE) && !log.contains("13900139000") && !log.contains("009x"));
}

#[tokio::test]
async fn an_answer_asked_for_before_a_purge_is_not_kept_after_it() {
    let platform = platform().await;
    platform.push_fault(Fault::Latency { ms: 300 });
    let gateway = operated(&platform).start();
    let body = studies_query();
    let early = gateway.query(PATIENT_STUDIES, &body);
    let purge = async {
        platform.wait_for_requests(1).await;
        purge(&gateway, &json!({"tenant": "first-hospital", "patient": ID_NUMBER})).await;
        // Comes after the purge, so it does not wait for what was asked for before.
        gateway.studies().await
    };
    let (early, late) = tokio::join!(early, purge);
    assert_eq!((early.status, told(&early)[1]), (200, "aimis; fwd=miss"));
    assert_eq!((late.status, told(&late)[1]), (200, "aimis; fwd=miss; stored"));
    assert_eq!(platform.request_count(), 2);
}

#[tokio::test]
async fn what_is_no_order_is_refused_and_not_repeated() {
    let platform = platform().await;
    let gateway = operated(&platform).start();
    let admin = gateway.admin.unwrap();
    fill(&gateway).await;
    let json_type = ("Content-Type", "application/json");
    let all = br#"{"all":true}"#.as_slice();
    for (method, path, headers, body, status) in [
        ("POST", PURGE, vec![("Content-Type", "text/plain")], all, 415),
        ("POST", PURGE, vec![], all, 415),
        (
            "POST",
            PURGE,
            vec![json_type, ("Origin", "http://127.0.0.1:9465")],
            all,
            403,
        ),
        ("GET", SHOW, vec![("Origin", "null")], b"", 403),
        ("GET", SHOW, vec![("Sec-Fetch-Site", "cross-site")], b"", 403),
        ("GET", SHOW, vec![("Host", "evil.example")], b"", 421),
        (
            "POST",
            PURGE,
            vec![
                json_type,
                ("Host", "evil.example:9465"),
                ("Sec-Fetch-Site", "same-origin"),
            ],
            all,
            421,
        ),
        ("GET", PURGE, vec![], b"", 405),
        ("POST", SHOW, vec![json_type], all, 405),
        ("GET", "/", vec![], b"", 404),
        ("POST", PURGE, vec![json_type], b"{}", 422),
        (
            "POST",
            PURGE,
            vec![json_type],
            br#"{"all":true,"tenant":"first-hospital"}"#,
            422,
        ),
        ("POST", PURGE, vec![json_type], br#"{"patient":"13800138000"}"#, 422),
        ("POST", PURGE, vec![json_type], br#"{"tenant":"x13800138000"}"#, 422),
        ("POST", PURGE, vec![json_type], br#"{"api":"x13800138000"}"#, 422),
        ("POST", PURGE, vec![json_type], br#"{"x13800138000":1}"#, 422),
        ("POST", PURGE, vec![json_type], b"13800138000", 422),
        (
            "POST",
            PURGE,
            vec![json_type],
            br#"{"tenant":"first-hospital","patient":"13800138000 13900139000"}"#,
            422,
        ),
        (
            "POST",
            PURGE,
            vec![json_type],
            br#"{"tenant":"first-hospital","patient":"abc"}"#,
            422,
        ),
    ] {
        let what = format!("{method} {path} {headers:?} {}", String::from_utf8_lossy(body));
        let headers = if headers.iter().any(|(name, _)| *name == "Host") {
            headers
        } else {
            [vec![HOST], headers].concat()
        };
        let answer = exchange(admin, &request(method, path, &headers, body)).await.unwrap();
        assert_eq!(answer.status, status, "{what}");
        assert!(answer.json()["error"].is_string(), "{what}");
        assert!(!answer.text().contains("13800138000"), "{what}");
    }
    assert_eq!(gateway.metric("aimis_cache_entries").await, Some(2.0));
}

#[tokio::test]
async fn the_command_line_reaches_a_running_gateway() {
    let platform = platform().await;
    let directory = Directory::new();
    let socket = format!("unix:{}", directory.path().join("admin.sock").display());
    for listen in ["127.0.0.1:0", socket.as_str()] {
        let gateway = Settings::calling(&platform)
            .cached()
            .with("admin", &format!("listen = \"{listen}\""))
            .start();
        let address = gateway.admin.map_or(socket.clone(), |at| at.to_string());
        let cli = |arguments: &[&str], input: &str| {
            let arguments = [&["cache"], arguments, &["--address", &address]].concat();
            let (command, input) = (binary::command(&arguments), input.to_owned());
            async move {
                tokio::task::spawn_blocking(move || run(command, input.as_bytes()))
                    .await
                    .unwrap()
            }
        };
        fill(&gateway).await;
        let shown = cli(&["show"], "").await;
        assert!(
            String::from_utf8_lossy(&shown.stdout).starts_with("2 answers"),
            "{shown:?}"
        );
        let other = cli(&["purge", "--tenant", "first-hospital", "--patient"], "13900139000\n").await;
        assert_eq!(String::from_utf8_lossy(&other.stdout), "0 answers dropped\n");
        let purged = cli(
            &["purge", "--tenant", "first-hospital", "--patient", "--json"],
            "138 0013 8000\n",
        )
        .await;
        let purged: serde_json::Value = serde_json::from_slice(&purged.stdout).unwrap();
        assert_eq!(purged, json!({"dropped": 2}));
        let unknown = cli(&["purge", "--tenant", "third"], "").await;
        assert_eq!(unknown.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("no tenant has this name"));
        for wrong in [
            &["purge"][..],
            &["purge", "--patient"],
            &["purge", "--all", "--api", "patientStudies"],
        ] {
            assert_eq!(cli(wrong, "1").await.status.code(), Some(2), "{wrong:?}");
        }
        for nobody in [
            "",
            " \n",
            "abc",
            "张三",
            "13800138000 13900139000",
            "13800138000\n13900139000\n",
        ] {
            let told = cli(&["purge", "--tenant", "first-hospital", "--patient"], nobody).await;
            let errors = String::from_utf8_lossy(&told.stderr);
            assert_eq!(told.status.code(), Some(2), "{nobody}");
            assert!(
                errors.contains("not one identity number or telephone"),
                "{nobody}: {errors}"
            );
        }
        let unsaid = cli(&["purge"], "").await;
        let errors = String::from_utf8_lossy(&unsaid.stderr);
        for argument in ["--tenant", "--api", "--all"] {
            assert!(errors.contains(argument), "{errors}");
        }
    }
}

#[tokio::test]
async fn a_running_gateway_drops_a_patient_from_another_thread() {
    let platform = platform().await;
    let gateway = operated(&platform).start();
    fill(&gateway).await;
    let running: app::Gateway = gateway.into_running();
    assert_eq!(running.cache().drop_patient("first-hospital", None, Some(PHONE)), 2);
    std::thread::spawn(|| drop(running)).join().unwrap();
}
