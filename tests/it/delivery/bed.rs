//! An inbox that holds events already, and gateways that deliver them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aimis_gateway::callback::event::{NewEvent, Origin, Payload};
use aimis_gateway::callback::inbox::sqlite::{KeyFiles, Parts, Role, Settings as InboxSettings};
use aimis_gateway::callback::inbox::{Filter, Inbox, Sqlite};
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::telemetry::metrics::Metrics;
use aimis_gateway::tenant::TenantName;
use aimis_simulator::{Account, Callback, CallbackSender, His, Platform, PlatformOptions, Recorded};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use crate::support::client::PATIENCE;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings};

pub const TENANT: &str = "first-hospital";

/// A platform that nobody asks, and a place for the inbox.
pub struct Bed {
    pub platform: Platform,
    pub directory: Directory,
}

/// How an event stands in the inbox.
#[derive(Debug, PartialEq)]
pub struct Standing {
    pub state: &'static str,
    pub reason: Option<String>,
}

impl Bed {
    pub async fn new() -> Self {
        Self {
            platform: Platform::start(PlatformOptions::default()).await.unwrap(),
            directory: Directory::new(),
        }
    }

    /// A gateway whose first tenant has this target, with waits of milliseconds.
    pub fn settings(&self, target: &str) -> Settings {
        Settings::calling(&self.platform)
            .callbacks(&self.directory)
            .with("log", "repeat_interval_ms = 0")
            .with("delivery", "probe_ms = 1")
            .with("delivery", "probe_max_ms = 5")
            .with("delivery", "jitter_percent = 0")
            .with("drain", "delay_ms = 0")
            .of_tenant(&format!("callback.target = \"{target}\""))
    }

    /// As [`Bed::settings`], with twenty retries.
    pub fn patient(&self, target: &str) -> Settings {
        self.settings(target)
            .with("delivery", &format!("schedule_ms = {:?}", [2; 20]))
    }

    fn inbox(&self) -> Sqlite {
        self.inbox_at(&Clock::system())
    }

    /// The inbox, opened as a gateway does whose time is that of `clock`.
    pub fn inbox_at(&self, clock: &Clock) -> Sqlite {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let text = format!(
            "[callback]\n[inbox]\npath = \"{}\"\nkey_file = \"{}\"\n[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n",
            file("inbox.db"),
            file("inbox.key")
        );
        let config = config::load(&Sources::text("test.toml", text)).unwrap().config.inbox;
        let parts = Parts {
            clock: clock.clone(),
            metrics: Arc::clone(&Metrics::new(&[], &[], &aimis_core::codes::Codes::builtin()).inbox),
            abort: Arc::new(|what| panic!("{what}")),
        };
        let keys = KeyFiles::from(&config);
        Sqlite::open(InboxSettings::from(&config), &keys, Role::Gateway, parts).unwrap()
    }

    /// Keeps events of `statuses` states about each of `studies` studies, those of a study in order.
    pub async fn keep(&self, studies: usize, statuses: i64) {
        let inbox = self.inbox();
        for status in 0..statuses {
            for some in (0..studies).collect::<Vec<_>>().chunks(256) {
                let appended = some
                    .iter()
                    .map(|study| inbox.append(event(&inbox, &format!("S{study}"), status)));
                for appended in join_all(appended).await {
                    assert!(appended.is_ok());
                }
            }
        }
    }

    /// How every event stands; the gateway has stopped.
    pub async fn standings(&self) -> Vec<Standing> {
        let all = self.inbox().list(Filter::default(), None, 100_000).await.unwrap();
        let standing = |summary: aimis_gateway::callback::inbox::Summary| Standing {
            state: summary.state.as_str(),
            reason: summary.reason.map(|reason| reason.as_str().to_owned()),
        };
        all.into_iter().map(standing).collect()
    }

    /// How many are in a state; the gateway has stopped.
    pub async fn count(&self, state: &str) -> usize {
        self.standings()
            .await
            .iter()
            .filter(|standing| standing.state == state)
            .count()
    }
}

/// An event about a study.
pub fn event(inbox: &dyn Inbox, study: &str, status: i64) -> NewEvent {
    let (tenant, tags) = (TenantName::new(TENANT), inbox.tags());
    let json = json!({"status": status, "studyId": study}).to_string().into_bytes();
    let identity = tags.identity(&tenant, "H0001", study, "R", status);
    NewEvent {
        study: tags.study(&tenant, "H0001", study),
        identity,
        body: tags.body(&tenant, &json),
        origin: Origin::Callback {
            gist: tags.gist(&tenant, identity, [""; 4]),
        },
        payload: Payload::new(json.into()),
        signed: None,
        quarantine: None,
        received_at: Clock::system().now(),
        tenant,
    }
}

/// A HIS over plain HTTP.
pub async fn his() -> His {
    His::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// Sends a callback as the platform does.
pub async fn call_back(gateway: &Gateway, callback: &Callback) {
    call_back_of(gateway, TENANT, &Account::demo(), callback).await;
}

/// Sends a callback of a tenant.
pub async fn call_back_of(gateway: &Gateway, tenant: &str, account: &Account, callback: &Callback) {
    let url = format!("http://{}/callback/{tenant}", gateway.callback.unwrap());
    let reply = CallbackSender::new(&url, account)
        .unwrap()
        .send(callback)
        .await
        .unwrap();
    assert!(reply.is_received());
}

/// Deliveries by event id, in the order of their arrival.
pub fn by_id(deliveries: &[Recorded]) -> BTreeMap<String, Vec<&Recorded>> {
    let mut all: BTreeMap<String, Vec<&Recorded>> = BTreeMap::new();
    for delivery in deliveries {
        all.entry(delivery.header("webhook-id").unwrap().to_owned())
            .or_default()
            .push(delivery);
    }
    all
}

/// Waits until a counter of deliveries has come to `least`.
pub async fn counted(gateway: &Gateway, result: &str, least: f64) {
    let series = format!("aimis_deliveries_total{{result=\"{result}\",target=\"{TENANT}\"}}");
    let counted = async { while gateway.metric(&series).await.unwrap() < least {} };
    timeout(PATIENCE, counted).await.expect("so many deliveries in time");
}

/// Waits until a target has come to a state.
pub async fn in_state(gateway: &Gateway, state: &str) {
    let series = format!("aimis_delivery_target_state{{state=\"{state}\",target=\"{TENANT}\"}}");
    let reached = async { while gateway.metric(&series).await != Some(1.0) {} };
    timeout(PATIENCE, reached).await.expect("the state in time");
}

/// Waits until so many deliveries have come.
pub async fn arrived(his: &His, count: u64) {
    let all = his.wait_for_deliveries(count);
    timeout(PATIENCE, all).await.expect("so many deliveries in time");
}
