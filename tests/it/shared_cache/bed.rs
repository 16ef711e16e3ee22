//! Several gateways, one platform, one store.

use std::time::Duration;

use aimis_simulator::{Account, Callback, CallbackSender, Platform, PlatformOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::store::servers::{Engine, Server};
use crate::support::client::{PATIENCE, post};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings};

pub const STUDIES: &str = "/thirdparty/patientStudies/900001";

/// With whatever the store is.
pub struct Bed<S = Server> {
    pub gateways: Vec<Gateway>,
    pub platform: Platform,
    pub server: S,
    pub directory: Directory,
    /// Inboxes: one a gateway.
    _inboxes: Vec<Directory>,
}

impl Bed {
    pub async fn start(gateways: usize) -> Self {
        Self::with(gateways, |settings| settings).await
    }

    pub async fn two_hospitals() -> Self {
        let second = Account::new("900002", "fedcba9876543210fedcba9876543210", "H0002", "U0002");
        let bed = Self::with(2, |settings| settings.tenant("second-hospital", second.clone())).await;
        bed.platform.put_account(second);
        bed
    }

    pub async fn with(gateways: usize, change: impl Fn(Settings) -> Settings) -> Self {
        Self::of(Engine::Redis7, gateways, change).await
    }

    /// On a server of this kind.
    pub async fn of(engine: Engine, gateways: usize, change: impl Fn(Settings) -> Settings) -> Self {
        let server = Server::start(engine);
        let url = format!("\"{}\"", server.url());
        Self::at(server, &url, gateways, change).await
    }

    /// Calls that the server had of gateways so far: those that scripts make, and the gateways' heartbeats, left out.
    pub fn calls(&self) -> u64 {
        let text: String = redis::cmd("INFO")
            .arg("commandstats")
            .query(&mut self.server.connection())
            .unwrap();
        let calls = |command: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            let count = line.and_then(|line| line.split(',').next()?.parse::<u64>().ok());
            count.unwrap_or(0)
        };
        // Each heartbeat is one script, and its only ZADD.
        calls("evalsha") + calls("eval") - calls("zadd")
    }
}

impl<S> Bed<S> {
    /// Whose gateways reach `server` at `url`, in TOML.
    pub async fn at(server: S, url: &str, gateways: usize, change: impl Fn(Settings) -> Settings) -> Self {
        let platform = Platform::start(PlatformOptions::default()).await.unwrap();
        let directory = Directory::new();
        directory.file("store.key", "1f".repeat(32));
        let inboxes: Vec<Directory> = (0..gateways).map(|_| Directory::new()).collect();
        let key = directory.path().join("store.key").display().to_string();
        let started = inboxes.iter().map(|inbox| {
            let settings = Settings::calling(&platform)
                .cached()
                .callbacks(inbox)
                .with("store", &format!("redis_url = {url}"))
                .with("store", &format!("key_file = \"{key}\""))
                // The machine is shared: what is slow here is not away.
                .with("store", "timeout_ms = 2000")
                .with("store", "retry_ms = 50")
                .with("store", "heartbeat_ms = 200")
                .with("log", "level = \"debug\"\nrepeat_interval_ms = 0");
            change(settings).start()
        });
        let bed = Self {
            gateways: started.collect(),
            platform,
            server,
            directory,
            _inboxes: inboxes,
        };
        bed.up().await;
        bed
    }

    /// Waits until all have the store.
    pub async fn up(&self) {
        for gateway in &self.gateways {
            shows(gateway, "aimis_ratelimit_store_up", 1.0).await;
        }
    }

    /// Waits until all have noticed that the store is gone: one that has not goes by itself for one more question.
    pub async fn away(&self) {
        for gateway in &self.gateways {
            shows(gateway, "aimis_ratelimit_store_up", 0.0).await;
        }
    }

    /// Sends the platform's callback about the vectors' patient; true if it is acknowledged.
    pub async fn callback(&self, gateway: usize, study: &str) -> bool {
        self.send(gateway, &Callback::demo().study(study)).await
    }

    /// Drops the first hospital's data key, as its operator would.
    pub async fn shred(&self) {
        let purged = post(
            self.gateways[0].admin.unwrap(),
            "/api/v1/cache/purge",
            &[("Content-Type", "application/json"), ("Host", "localhost")],
            br#"{"tenant":"first-hospital"}"#,
        )
        .await;
        assert_eq!(purged.status, 200, "{}", purged.text());
    }

    /// Sends a callback; true if it is acknowledged.
    pub async fn send(&self, gateway: usize, callback: &Callback) -> bool {
        let url = format!(
            "http://{}/callback/first-hospital",
            self.gateways[gateway].callback.unwrap()
        );
        let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
        let sent = sender.timeout(Duration::from_secs(30)).send(callback).await;
        sent.is_ok_and(|reply| reply.is_received())
    }
}

/// Waits until a gateway shows this.
pub async fn shows(gateway: &Gateway, series: &str, value: f64) {
    let there = async {
        while gateway.metric(series).await != Some(value) {
            // A turn of the loop, over a socket.
        }
    };
    let waited = tokio::time::timeout(PATIENCE, there).await;
    waited.unwrap_or_else(|_| panic!("no {series} {value}"));
}

/// A way to the store that can be cut.
pub struct Wire {
    pub port: u16,
    cut: watch::Sender<bool>,
    leads_to: watch::Sender<u16>,
}

impl Wire {
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, seen) = watch::channel(false);
        let (leads_to, server) = watch::channel(server);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (mut seen, server) = (seen.clone(), *server.borrow());
                if *seen.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", server)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, cut, leads_to }
    }

    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Leads to another server from now on; who is connected is cut off.
    pub async fn lead_to(&self, server: u16) {
        self.leads_to.send_replace(server);
        self.cut();
        // Each connection has one, and so has whoever accepts them.
        while self.cut.receiver_count() > 1 {
            tokio::task::yield_now().await;
        }
        self.mend();
    }

    pub fn mend(&self) {
        self.cut.send_replace(false);
    }
}
