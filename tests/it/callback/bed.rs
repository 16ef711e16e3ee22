//! A gateway that takes callbacks, and a look into what it has kept.

use std::sync::Arc;

use aimis_gateway::callback::inbox::sqlite::{KeyFiles, Parts, Role, Settings as InboxSettings};
use aimis_gateway::callback::inbox::{Filter, Inbox, Shown, Sqlite};
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::telemetry::metrics::Metrics;
use aimis_simulator::{Account, CallbackSender, Platform, PlatformOptions, Switches};
use serde_json::Value;

use crate::support::client::{self, Answer};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings};

/// When it is, by the gateway's clock.
pub const NOW: u64 = 1_735_689_600_000;

pub struct Bed {
    pub gateway: Gateway,
    pub platform: Platform,
    pub directory: Directory,
    pub account: Account,
    pub switches: Switches,
    pub clock: Clock,
}

/// An event as it is kept.
pub struct Stored {
    pub state: &'static str,
    pub verified: &'static str,
    pub reason: Option<String>,
    pub payload: Value,
}

impl Bed {
    /// With a clock that stands at [`NOW`].
    pub async fn start(change: impl FnOnce(Settings) -> Settings) -> Self {
        let platform = Platform::start(PlatformOptions::default()).await.unwrap();
        let directory = Directory::new();
        let clock = Clock::manual(NOW);
        let settings = Settings::calling(&platform)
            .clock(clock.clone())
            .callbacks(&directory)
            .with("log", "level = \"debug\"\nrepeat_interval_ms = 0");
        Self {
            gateway: change(settings).start(),
            platform,
            directory,
            account: Account::demo(),
            switches: Switches::default(),
            clock,
        }
    }

    /// The address of a path of the listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.callback.unwrap())
    }

    /// Sends as the platform does, at the gateway's time.
    pub fn sender(&self) -> CallbackSender {
        self.sender_to("/callback/first-hospital")
    }

    /// As [`Bed::sender`], to another path.
    pub fn sender_to(&self, path: &str) -> CallbackSender {
        let now = self.clock.now().as_millis();
        CallbackSender::new(&self.url(path), &self.account)
            .unwrap()
            .forge_timestamp(&now.to_string())
    }

    /// Sends bytes and gives the whole answer.
    pub async fn exchange(&self, bytes: &[u8]) -> Answer {
        client::exchange(self.gateway.callback.unwrap(), bytes)
            .await
            .expect("an answer")
    }

    /// The value of a series.
    pub async fn series(&self, series: &str) -> u64 {
        self.gateway
            .metric(series)
            .await
            .unwrap_or_else(|| panic!("no {series}")) as u64
    }

    /// `aimis_callbacks_received_total` of a result.
    pub async fn received(&self, result: &str) -> u64 {
        self.series(&format!("aimis_callbacks_received_total{{result=\"{result}\"}}"))
            .await
    }

    /// `aimis_callbacks_refused_total` of a reason.
    pub async fn refused(&self, reason: &str) -> u64 {
        self.series(&format!("aimis_callbacks_refused_total{{reason=\"{reason}\"}}"))
            .await
    }

    /// Stops the gateway and opens what it has kept.
    pub async fn stop(self) -> Vec<Stored> {
        self.stop_with_log().await.0
    }

    /// As [`Bed::stop`], with everything that was logged.
    pub async fn stop_with_log(self) -> (Vec<Stored>, String) {
        let log = self.gateway.stop();
        (stored_in(&self.directory).await, log)
    }
}

/// Everything that the inbox in `directory` holds.
pub async fn stored_in(directory: &Directory) -> Vec<Stored> {
    let file = |name: &str| directory.path().join(name).display().to_string();
    let text = format!(
        "[callback]\n[inbox]\npath = \"{}\"\nkey_file = \"{}\"\n[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n",
        file("inbox.db"),
        file("inbox.key")
    );
    let config = config::load(&Sources::text("test.toml", text)).unwrap().config.inbox;
    let parts = Parts {
        clock: Clock::manual(NOW),
        metrics: Arc::clone(&Metrics::new(&[], &[], &aimis_core::codes::Codes::builtin()).inbox),
        abort: Arc::new(|what| panic!("{what}")),
    };
    let inbox = Sqlite::open(
        InboxSettings::from(&config),
        &KeyFiles::from(&config),
        Role::Command,
        parts,
    )
    .unwrap();
    let mut stored = Vec::new();
    for summary in inbox.list(Filter::default(), None, 1000).await.unwrap() {
        let Shown { summary, payload } = inbox.show(summary.id).await.unwrap().unwrap();
        stored.push(Stored {
            state: summary.state.as_str(),
            verified: summary.verified.as_str(),
            reason: summary.reason.map(|reason| reason.as_str().to_owned()),
            payload: serde_json::from_slice(payload.unwrap().as_bytes()).unwrap(),
        });
    }
    stored
}
