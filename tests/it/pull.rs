//! A HIS that cannot be called: it fetches its events, and says what became of them.

use std::sync::Arc;
use std::time::Duration;

use aimis_gateway::callback::event::{NewEvent, Origin, Payload};
use aimis_gateway::callback::inbox::sqlite::{KeyFiles, Parts, Role, Settings as InboxSettings};
use aimis_gateway::callback::inbox::{Inbox, Sqlite};
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::prepare;
use aimis_gateway::pull::Pull;
use aimis_gateway::telemetry::log::{Level, Log};
use aimis_gateway::telemetry::metrics::Metrics;
use aimis_simulator::{Account, Callback, CallbackSender, Platform, PlatformOptions};
use futures_util::future::poll_immediate;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::client::{self, Answer, Connection, request};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings};

const TENANT: &str = "first-hospital";
const PATH: &str = "/inbox/v1/first-hospital/events";
const NOW: u64 = 1_735_689_600_000;

struct Bed {
    _platform: Platform,
    _directory: Directory,
    gateway: Gateway,
    clock: Clock,
}

impl Bed {
    /// With a clock that stands at [`NOW`].
    async fn start(change: impl FnOnce(Settings) -> Settings) -> Self {
        let platform = Platform::start(PlatformOptions::default()).await.unwrap();
        let directory = Directory::new();
        let clock = Clock::manual(NOW);
        let settings = Settings::calling(&platform)
            .clock(clock.clone())
            .callbacks(&directory)
            .with("log", "repeat_interval_ms = 0")
            .with("drain", "delay_ms = 0");
        Self {
            gateway: change(settings).start(),
            _platform: platform,
            _directory: directory,
            clock,
        }
    }

    /// A callback comes from the platform.
    async fn call_back(&self, callback: &Callback) {
        self.call_back_of(TENANT, &Account::demo(), callback).await;
    }

    async fn call_back_of(&self, tenant: &str, account: &Account, callback: &Callback) {
        let url = format!("http://{}/callback/{tenant}", self.gateway.callback.unwrap());
        let sender = CallbackSender::new(&url, account)
            .unwrap()
            .forge_timestamp(&self.clock.now().as_millis().to_string());
        assert!(sender.send(callback).await.unwrap().is_received());
    }

    async fn get(&self, query: &str) -> Answer {
        client::get(self.gateway.lan, &format!("{PATH}{query}")).await
    }

    async fn post(&self, body: &str) -> Answer {
        client::post(self.gateway.lan, PATH, &[], body.as_bytes()).await
    }

    /// Fetches, and gives the items.
    async fn fetch(&self, query: &str) -> Vec<Value> {
        let answer = self.get(query).await;
        assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
        answer.json()["data"]["events"].as_array().unwrap().clone()
    }

    /// Reports, and gives what became of it.
    async fn report(&self, body: &Value) -> Value {
        let answer = self.post(&body.to_string()).await;
        assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
        answer.json()["data"].clone()
    }

    async fn delivered(&self, result: &str) -> f64 {
        let series = format!("aimis_deliveries_total{{result=\"{result}\",target=\"{TENANT}\"}}");
        self.gateway.metric(&series).await.unwrap()
    }

    async fn waiting(&self) -> f64 {
        self.gateway.metric("aimis_pull_waiting").await.unwrap()
    }
}

#[tokio::test]
async fn an_event_is_fetched_once_acknowledged_and_gone() {
    let bed = Bed::start(|settings| settings).await;
    bed.call_back(&Callback::demo()).await;

    let answer = bed.get("?limit=5").await;
    let items = answer.json()["data"]["events"].as_array().unwrap().clone();
    let [item] = &items[..] else { panic!("{items:?}") };
    let settled = bed.report(&json!({"ack": [item["lease"]]})).await;

    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(answer.header("x-aimis-origin"), Some("gateway"));
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(answer.json()["data"]["leaseSeconds"], 300);
    let event = &item["event"];
    assert_eq!(
        (&event["phoneNum"], &event["idNum"]),
        (&json!(PHONE), &json!(ID_NUMBER))
    );
    assert_eq!((&event["status"], &event["studyId"]), (&json!(3), &json!("S1001")));
    assert_eq!(event["verified"], "signed");
    assert_eq!(event["receivedAt"], "2025-01-01T08:00:00.000+08:00");
    assert_eq!(item["lease"], format!("{}-1", event["eventId"].as_str().unwrap()));
    assert_eq!(settled, json!({"acked": 1, "nacked": 0, "lost": []}));
    assert!(bed.fetch("").await.is_empty());
    // Said again, since the HIS may not have heard the answer.
    assert_eq!(bed.report(&json!({"ack": [item["lease"]]})).await["acked"], 1);
    assert_eq!((bed.delivered("ok").await, bed.delivered("retry").await), (1.0, 0.0));
    let fetched = "aimis_pull_requests_total{code_class=\"ok\",operation=\"fetch\"}";
    assert_eq!(bed.gateway.metric(fetched).await, Some(2.0));
}

#[tokio::test]
async fn what_the_log_keeps_is_a_line_a_request_and_no_person() {
    let bed = Bed::start(|settings| settings).await;
    bed.call_back(&Callback::demo()).await;
    let lease = bed.fetch("").await[0]["lease"].clone();
    bed.report(&json!({"ack": [lease]})).await;

    let log = bed.gateway.stop();

    assert!(
        !log.contains(PHONE) && !log.contains(ID_NUMBER) && !log.contains("S1001"),
        "{log}"
    );
    let lines = crate::log_fields::checked(&log);
    let requests: Vec<&Value> = lines.iter().filter(|line| line["event.name"] == "request").collect();
    assert_eq!(requests.len(), 2, "{log}");
    for (line, method) in requests.iter().zip(["GET", "POST"]) {
        assert_eq!(line["http.request.method"], method);
        assert_eq!(line["http.route"], "/inbox/v1/{tenant}/events");
        assert_eq!((&line["tenant"], &line["events"]), (&json!(TENANT), &json!(1)));
    }
    assert_eq!(lines.iter().filter(|line| line["event.name"] == "delivered").count(), 1);
}

#[tokio::test]
async fn a_request_that_waits_is_answered_when_an_event_comes() {
    let bed = Bed::start(|settings| settings).await;
    let waiting = tokio::spawn(client_get(&bed, "?wait=30"));
    while bed.waiting().await < 1.0 {}

    bed.call_back(&Callback::demo()).await;

    let answer = waiting.await.unwrap();
    assert_eq!(answer.json()["data"]["events"].as_array().unwrap().len(), 1);
    assert_eq!(bed.waiting().await, 0.0);
}

fn client_get(bed: &Bed, query: &str) -> impl Future<Output = Answer> + Send + 'static {
    let (lan, path) = (bed.gateway.lan, format!("{PATH}{query}"));
    async move { client::get(lan, &path).await }
}

#[tokio::test]
async fn what_is_not_taken_comes_again_when_it_should_and_is_given_up_at_last() {
    let bed = Bed::start(|settings| settings.with("pull", "max_attempts = 2")).await;
    bed.call_back(&Callback::demo()).await;
    let lease = bed.fetch("").await[0]["lease"].clone();

    let settled = bed
        .report(&json!({"nack": [{"lease": lease, "retry_after_s": 90}]}))
        .await;
    let before = bed.fetch("").await;
    bed.clock.advance(Duration::from_secs(90));
    let again = bed.fetch("").await;

    assert_eq!(settled, json!({"acked": 0, "nacked": 1, "lost": []}));
    assert!(before.is_empty());
    assert_eq!(again[0]["attempt"], 2);
    bed.report(&json!({"nack": [again[0]["lease"]]})).await;
    bed.clock.advance(Duration::from_secs(48 * 3600));
    assert!(bed.fetch("").await.is_empty());
    assert_eq!((bed.delivered("retry").await, bed.delivered("dead").await), (1.0, 1.0));
}

#[tokio::test]
async fn a_lease_that_ran_out_is_lost_and_its_event_comes_again() {
    let bed = Bed::start(|settings| settings.with("pull", "lease_s = 60")).await;
    bed.call_back(&Callback::demo()).await;
    let first = bed.fetch("").await[0].clone();

    bed.clock.advance(Duration::from_secs(60));
    let second = bed.fetch("").await[0].clone();
    let settled = bed.report(&json!({"ack": [first["lease"], "nonsense"]})).await;

    assert_eq!(first["event"], second["event"]);
    assert_ne!(first["lease"], second["lease"]);
    assert_eq!(
        settled,
        json!({"acked": 0, "nacked": 0, "lost": [first["lease"], "nonsense"]})
    );
    assert_eq!(bed.report(&json!({"ack": second["lease"]})).await["acked"], 1);
}

#[tokio::test]
async fn studies_keep_their_order_and_do_not_wait_for_each_other() {
    let bed = Bed::start(|settings| settings).await;
    for (study, status) in [("A", 1), ("A", 2), ("B", 1)] {
        bed.call_back(&Callback::demo().study(study).status(status)).await;
    }

    let first = bed.fetch("").await;
    let meanwhile = bed.fetch("").await;
    let of = |items: &[Value]| -> Vec<(String, i64)> {
        let event = |item: &Value| {
            let event = &item["event"];
            (
                event["studyId"].as_str().unwrap().to_owned(),
                event["status"].as_i64().unwrap(),
            )
        };
        items.iter().map(event).collect()
    };

    assert_eq!(of(&first), [("A".to_owned(), 1), ("B".to_owned(), 1)]);
    assert!(meanwhile.is_empty());
    bed.report(&json!({"ack": [first[0]["lease"]]})).await;
    assert_eq!(of(&bed.fetch("").await), [("A".to_owned(), 2)]);
}

#[tokio::test]
async fn an_old_his_reports_by_a_form() {
    let bed = Bed::start(|settings| settings).await;
    for study in ["A", "B"] {
        bed.call_back(&Callback::demo().study(study)).await;
    }
    let items = bed.fetch("?limit=1").await;
    let more = bed.fetch("?limit=1&_=1700000000000").await;
    let lease = |item: &Value| item["lease"].as_str().unwrap().to_owned();
    let body = format!("ack={}&nack={}&retry_after_s=5", lease(&items[0]), lease(&more[0]));

    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let bytes = request("POST", PATH, &headers, body.as_bytes());
    let answer = client::exchange(bed.gateway.lan, &bytes).await.unwrap();

    assert_eq!(answer.json()["data"], json!({"acked": 1, "nacked": 1, "lost": []}));
}

#[tokio::test]
async fn a_client_fetches_only_what_it_may() {
    let second = Account {
        app_id: "900002".to_owned(),
        ..Account::demo()
    };
    let key = |name: &str| hex::encode(Sha256::digest(format!("key-of-{name}")));
    let client = |name: &str, lines: &str| format!("name = \"{name}\"\nkey_sha256 = \"{}\"\n{lines}", key(name));
    let bed = Bed::start(|settings| {
        settings
            .tenant("second-hospital", second.clone())
            .client(&client("his", "tenants = \"first-hospital\"\ninbox = true"))
            .client(&client("asks", "tenants = [\"first-hospital\", \"second-hospital\"]"))
            .client(&client("other", "tenants = \"second-hospital\"\ninbox = true"))
    })
    .await;
    bed.call_back(&Callback::demo()).await;
    let lan = bed.gateway.lan;
    let of = |name: &str, method: &'static str, path: &str, body: &str| {
        let key = format!("key-of-{name}");
        let bytes = request(method, path, &[("X-Api-Key", &key)], body.as_bytes());
        async move { client::exchange(lan, &bytes).await.unwrap() }
    };
    let theirs = "/inbox/v1/second-hospital/events";

    let nobody = bed.get("").await;
    assert_eq!((nobody.status, nobody.code()), (401, 800_101));
    for (name, path, detail) in [
        ("asks", PATH, "`inbox`"),
        ("other", PATH, "`tenants`"),
        ("his", theirs, "`tenants`"),
    ] {
        for method in ["GET", "POST"] {
            let refused = of(name, method, path, "ack=x").await;
            assert_eq!((refused.status, refused.code()), (403, 800_102), "{name} {path}");
            assert!(refused.text().contains(detail), "{}", refused.text());
        }
    }
    let fetched = of("his", "GET", PATH, "").await.json();
    let lease = fetched["data"]["events"][0]["lease"].clone();
    // Another tenant's lease is nothing to it, known or not.
    let stolen = of("other", "POST", theirs, &json!({"ack": [lease]}).to_string()).await;
    assert_eq!(stolen.json()["data"], json!({"acked": 0, "nacked": 0, "lost": [lease]}));
    let own = of("his", "POST", PATH, &json!({"ack": [lease]}).to_string()).await;
    assert_eq!(own.json()["data"]["acked"], 1);
}

#[tokio::test]
async fn what_cannot_be_fetched_is_refused_and_told_how() {
    let bed = Bed::start(|settings| {
        settings
            .tenant(
                "pushed",
                Account {
                    app_id: "900002".to_owned(),
                    ..Account::demo()
                },
            )
            .of_tenant("callback.target = \"http://127.0.0.1:9/\"")
    })
    .await;
    let lan = bed.gateway.lan;
    let ask = |method: &'static str, path: &'static str, body: &'static str| async move {
        client::exchange(lan, &request(method, path, &[], body.as_bytes()))
            .await
            .unwrap()
    };
    for path in [
        "/inbox/v1/nobody/events",
        "/inbox/v1/pushed/events",
        "/inbox/v1/first-hospital",
        "/inbox/v2/first-hospital/events",
    ] {
        let refused = ask("GET", path, "").await;
        assert_eq!((refused.status, refused.code()), (404, 800_006), "{path}");
    }
    let method = ask("DELETE", PATH, "").await;
    assert_eq!((method.status, method.code()), (405, 800_007));
    assert_eq!(method.header("allow"), Some("GET, POST"));
    for path in [
        "/inbox/v1/first-hospital/events?limit=0",
        "/inbox/v1/first-hospital/events?wait=soon",
    ] {
        let refused = ask("GET", path, "").await;
        assert_eq!((refused.status, refused.code()), (422, 800_005), "{path}");
    }
    for (body, code) in [
        ("", 800_001),
        ("{\"ack\":", 800_001),
        ("{}", 800_005),
        ("{\"aks\":[]}", 800_005),
    ] {
        assert_eq!(ask("POST", PATH, body).await.code(), code, "{body}");
    }
    let more = bed.fetch("?limit=1000000&wait=0").await;
    assert!(more.is_empty());
}

#[tokio::test]
async fn without_callbacks_there_is_nothing_to_fetch() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Settings::calling(&platform).start();

    let refused = client::get(gateway.lan, PATH).await;

    assert_eq!((refused.status, refused.code()), (404, 800_006));
}

#[tokio::test]
async fn only_so_many_wait_and_a_stop_waits_for_none() {
    let bed = Bed::start(|settings| settings.with("pull", "max_waiting = 1")).await;
    let waiting = tokio::spawn(client_get(&bed, "?wait=30"));
    while bed.waiting().await < 1.0 {}

    let further = bed.get("?wait=30").await;
    let at_once = bed.get("").await;

    assert_eq!((further.status, further.code()), (503, 800_202));
    assert_eq!(further.header("retry-after"), Some("1"));
    assert_eq!(at_once.status, 200);
    let Bed { gateway, .. } = bed;
    let stopped = tokio::task::spawn_blocking(move || gateway.stop());
    let answer = waiting.await.unwrap();
    assert_eq!(answer.json()["data"]["events"], json!([]));
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_his_that_goes_while_it_waits_takes_no_event_with_it() {
    let bed = Bed::start(|settings| settings).await;
    let mut connection = Connection::open(bed.gateway.lan).await;
    connection
        .send(&request("GET", &format!("{PATH}?wait=300"), &[], b""))
        .await
        .unwrap();
    while bed.waiting().await < 1.0 {}
    connection.reset();
    while bed.waiting().await > 0.0 {}

    bed.call_back(&Callback::demo()).await;

    assert_eq!(bed.fetch("").await[0]["attempt"], 1);
}

#[tokio::test]
async fn answers_are_in_the_words_of_the_client() {
    let key = hex::encode(Sha256::digest("secret"));
    let lines = format!(
        "name = \"old\"\nkey_sha256 = \"{key}\"\ninbox = true\nstatus = \"always_200\"\nascii_json = true\nlanguage = \"en\""
    );
    let bed = Bed::start(|settings| settings.client(&lines)).await;
    bed.call_back(&Callback::demo().with("studyName", "胸部CT")).await;
    let lan = bed.gateway.lan;
    let ask = |path: &str| {
        let bytes = request("GET", path, &[("X-Api-Key", "secret")], b"");
        async move { client::exchange(lan, &bytes).await.unwrap() }
    };

    let fetched = ask(PATH).await;
    let refused = ask("/inbox/v1/nobody/events").await;

    assert!(
        fetched.body.is_ascii() && fetched.text().contains("\\u80f8\\u90e8CT"),
        "{}",
        fetched.text()
    );
    assert_eq!((refused.status, refused.code()), (200, 800_006));
    assert_eq!(refused.header("x-aimis-status"), Some("404"));
    assert!(refused.text().contains("no events to fetch"), "{}", refused.text());
}

#[tokio::test]
async fn leases_that_nobody_waits_for_any_more_are_given_back() {
    let directory = Directory::new();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let text = format!(
        "[callback]\n[inbox]\npath = \"{}\"\nkey_file = \"{}\"\n[[tenants]]\nname = \"{TENANT}\"\napp_id = \"900001\"\n",
        file("inbox.db"),
        file("inbox.key")
    );
    let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
    let config = config::load(&Sources::text("test.toml", text).with_env(token))
        .unwrap()
        .config;
    let tenants = prepare::prepare(&config).unwrap().snapshot.tenants;
    let tenant = &tenants.all()[0];
    let metrics = Metrics::new(&[TENANT], &[], &aimis_core::codes::Codes::builtin());
    let clock = Clock::manual(NOW);
    let parts = Parts {
        clock: clock.clone(),
        metrics: Arc::clone(&metrics.inbox),
        abort: Arc::new(|what| panic!("{what}")),
    };
    let keys = KeyFiles::from(&config.inbox);
    let opened = Sqlite::open(InboxSettings::from(&config.inbox), &keys, Role::Gateway, parts);
    let inbox: Arc<dyn Inbox> = Arc::new(opened.unwrap());
    let appended = inbox.append(NewEvent {
        tenant: tenant.name.clone(),
        study: inbox.tags().study(&tenant.name, "H", "S"),
        identity: inbox.tags().identity(&tenant.name, "H", "S", "R", 1),
        body: inbox.tags().body(&tenant.name, b"{}"),
        origin: Origin::Callback {
            gist: inbox.tags().body(&tenant.name, b"{}"),
        },
        payload: Payload::new(b"{}".to_vec().into()),
        signed: None,
        quarantine: None,
        received_at: clock.now(),
    });
    let _receipt = appended.await.unwrap();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let pull = Pull::new(&config, inbox, &metrics, clock.clone(), stopped);
    let (log, _guard) = Log::start(clock, Level::Info, "test", Box::new(std::io::sink())).unwrap();

    // The caller goes while the inbox works for it.
    let mut fetch = Box::pin(pull.fetch(tenant, 1, Duration::ZERO, &log, None));
    assert!(poll_immediate(&mut fetch).await.is_none());
    drop(fetch);

    let again = async {
        loop {
            let fetched = pull.fetch(tenant, 1, Duration::ZERO, &log, None).await.unwrap();
            if fetched.events > 0 {
                break fetched;
            }
        }
    };
    let fetched = tokio::time::timeout(client::PATIENCE, again)
        .await
        .expect("the lease back");
    let body: Value = serde_json::from_slice(&fetched.body).unwrap();
    let item = &body["data"]["events"][0];
    assert!(item["lease"].as_str().unwrap().ends_with("-2"), "{item}");
    assert_eq!(item["attempt"], 1, "the one that was given back does not count");
}
