//! What replicas share in Redis or Valkey: quotas, and what else is kept under their keys.
//!
//! ```text
//! a worker's request ── Ask ──> Link (this thread's connection) ── one script call ──> the store
//!                   <── Answer, or Away: then this gateway goes by its part of the quotas
//! Keeper (one thread): heartbeat, number of replicas, finds that the store is back, follows sentinels
//! Health: up or away, for the whole process
//! ```
//!
//! | file | is |
//! |---|---|
//! | [`ask`] | question and answer of one call |
//! | [`look`] | what is kept of one answer, and its end |
//! | `answers` | the calls about that |
//! | `*.lua` | what the store does with them, by its own clock |
//! | `connection` | one server, sentinels, a cluster; TLS, users |
//! | [`fault`] | why it does not answer |
//! | `link` | a thread's connection |
//! | `health` | whether the store is there |
//! | `keeper` | the heartbeat, and the way back |
//! | `keys` | names of keys |
//! | `probe` | one look at it, for `doctor` |
//!
//! # What always holds
//!
//! 1. Nobody waits longer than `store.timeout_ms`, and nobody at all for a store that is away.
//! 2. Whatever goes wrong with it is [`Away`], never an error of the request.
//! 3. No key and no error holds a password, a person, or a token.

mod answers;
pub mod ask;
pub(crate) mod connection;
pub mod fault;
mod health;
pub(crate) mod keeper;
mod keys;
mod link;
pub mod look;
pub mod prepare;
pub(crate) mod probe;
mod script;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::{Cmd, RedisError, Value};

use crate::clock::Clock;
use crate::config;
use crate::secrets;
use crate::telemetry::labels::StoreFallback;
use crate::telemetry::log::Log;
use crate::telemetry::store::StoreMetrics;
use crate::upstream::jitter::Jitter;
use ask::{Answer, Ask};
use connection::Target;
use fault::Fault;
use health::Health;
pub use keys::Keys;
use link::Link;
use script::Script;

/// The store did not answer, or not in time; the caller goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// The store that several gateways share. One for all threads; each has its own connection.
pub struct Store {
    id: u64,
    target: ArcSwap<Target>,
    keys: Keys,
    ask: Script,
    answers: look::Scripts,
    health: Health,
    timeout: Duration,
    heartbeat: Duration,
    retry: Duration,
    jitter: Jitter,
    /// Tells this gateway from the others.
    instance: String,
    clock: Clock,
}

impl Store {
    /// As configured; away until [`keeper::start`] has found it.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn new(
        settings: &config::Store,
        target: Target,
        clock: Clock,
        metrics: Arc<StoreMetrics>,
        log: Log,
    ) -> io::Result<Arc<Self>> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Ok(Arc::new(Self {
            id: LAST.fetch_add(1, Ordering::Relaxed),
            keys: Keys::new(&settings.prefix, settings.cluster),
            ask: ask::script(),
            answers: look::Scripts::new(),
            health: Health::new(settings.failures, settings.replicas_min, metrics, log),
            timeout: settings.timeout,
            heartbeat: settings.heartbeat,
            retry: settings.retry,
            jitter: Jitter::new()?,
            instance: hex::encode(&secrets::random_key()?[..8]),
            target: ArcSwap::from_pointee(target),
            clock,
        }))
    }

    /// Its files hold something else: passwords, certificates. Connections are made anew.
    pub(crate) fn follow(&self, target: Target) {
        self.target.store(Arc::new(target));
        self.health.renew();
    }

    /// Names of keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether it is there, as far as is known.
    pub fn is_up(&self) -> bool {
        self.health.is_up()
    }

    /// Gateways that share it: when it was last there, or `store.replicas_min` if that is more.
    pub fn replicas(&self) -> &Arc<AtomicU32> {
        self.health.replicas()
    }

    /// Judges limits, and looks an answer up, in one call. On a runtime.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn ask(self: &Arc<Self>, ask: &Ask<'_>) -> Result<Answer, Away> {
        let value = self.run(&self.ask, |cmd| ask.write(cmd)).await?;
        Answer::read(value, ask.limits.len()).ok_or_else(|| self.fell_back(StoreFallback::Failed))
    }

    /// One command.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn call(self: &Arc<Self>, cmd: &Cmd) -> Result<Value, Away> {
        self.bounded(async |mut connection: connection::Connection| connection.send(cmd).await)
            .await
    }

    /// A connection of its own that hears what is published there; ends when that connection does.
    ///
    /// # Errors
    /// [`Away`] when there is none within `store.connect_timeout_ms`.
    pub async fn listen(&self) -> Result<redis::aio::PubSub, Away> {
        self.target.load_full().listen().await.map_err(|_| Away)
    }

    async fn run(self: &Arc<Self>, script: &Script, write: impl Fn(&mut Cmd)) -> Result<Value, Away> {
        self.bounded(async |mut connection| script.run(&mut connection, &write).await)
            .await
    }

    /// Uses this thread's connection, for as long as a call may take.
    async fn bounded(
        self: &Arc<Self>,
        call: impl AsyncFnOnce(connection::Connection) -> Result<Value, RedisError>,
    ) -> Result<Value, Away> {
        if !self.health.is_up() {
            return Err(self.fell_back(StoreFallback::Away));
        }
        let began = self.clock.moment();
        let mut epoch = self.health.epoch();
        let link = Link::of(self);
        let calling = async {
            let (connection, of) = link.get(self).await.map_err(|_| None)?;
            epoch = of;
            call(connection).await.map_err(Some)
        };
        let result = tokio::time::timeout(self.timeout, calling).await;
        let took = self.clock.moment().since(began);
        self.health.metrics.seconds.observe(took.as_secs_f64());
        match result {
            Ok(Ok(value)) => {
                self.health.good();
                Ok(value)
            }
            Ok(Err(error)) => {
                let fault = error.as_ref().map_or(Fault::Connect, Fault::of);
                if let Some(error) = error {
                    link.note(epoch, &error);
                }
                self.health.bad(epoch, fault);
                Err(self.fell_back(StoreFallback::Failed))
            }
            Err(_elapsed) => {
                self.health.bad(epoch, Fault::Timeout);
                Err(self.fell_back(StoreFallback::Timeout))
            }
        }
    }

    /// It said something else than it should.
    fn misunderstood(&self) -> Away {
        self.fell_back(StoreFallback::Failed)
    }

    fn fell_back(&self, why: StoreFallback) -> Away {
        self.health.metrics.fallback(why).inc();
        Away
    }

    /// A part of something that all gateways share.
    pub fn share(&self) -> u32 {
        self.replicas().load(Ordering::Relaxed).max(1)
    }
}
