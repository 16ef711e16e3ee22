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
//! | `health`, `slots` | whether the store is there; whether a node of a cluster is |
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
mod slots;

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
use slots::{Slots, slot_of};

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
    /// In a cluster.
    slots: Option<Slots>,
    timeout: Duration,
    heartbeat: Duration,
    retry: Duration,
    jitter: Jitter,
    /// Tells this gateway from the others.
    instance: String,
    clock: Clock,
}

impl Store {
    /// As configured; away until [`keeper::start`] has found it. One that comes and goes is told every `repeat_interval`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn new(
        settings: &config::Store,
        repeat_interval: Duration,
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
            health: Health::new(
                settings.failures,
                settings.replicas_min,
                repeat_interval,
                clock.clone(),
                metrics,
                log,
            ),
            slots: settings.cluster.then(|| Slots::new(settings.failures)),
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
        let value = self.run(&self.ask, ask.first_key(), 0, |cmd| ask.write(cmd)).await?;
        Answer::read(value, ask.limits.len()).ok_or_else(|| self.fell_back(StoreFallback::Failed))
    }

    /// One command about a key.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn call(self: &Arc<Self>, key: &str, cmd: &Cmd) -> Result<Value, Away> {
        self.bounded(key, async |mut connection: connection::Connection| {
            connection.send(cmd).await
        })
        .await
    }

    /// `length`: of the values in it.
    async fn run(
        self: &Arc<Self>,
        script: &Script,
        key: &str,
        length: usize,
        write: impl Fn(&mut Cmd),
    ) -> Result<Value, Away> {
        self.bounded(key, async |mut connection| {
            script.run(&mut connection, length, &write).await
        })
        .await
    }

    /// Uses this thread's connection, for as long as a call may take. `key` is one of those that the call is about.
    async fn bounded(
        self: &Arc<Self>,
        key: &str,
        call: impl AsyncFnOnce(connection::Connection) -> Result<Value, RedisError>,
    ) -> Result<Value, Away> {
        if !self.health.is_up() {
            return Err(self.fell_back(StoreFallback::Away));
        }
        let began = self.clock.moment();
        let slots = self.slots.as_ref().map(|slots| (slots, slot_of(key)));
        if slots.is_some_and(|(slots, slot)| !slots.may(slot, began, self.pause())) {
            return Err(self.fell_back(StoreFallback::Away));
        }
        let mut epoch = self.health.epoch();
        let mut connected = false;
        let link = Link::of(self);
        let calling = async {
            let (connection, of) = link.get(self).await.map_err(|no| (no.0, None))?;
            (epoch, connected) = (of, true);
            call(connection).await.map_err(|error| (Fault::of(&error), Some(error)))
        };
        let result = tokio::time::timeout(self.timeout, calling).await;
        let took = self.clock.moment().since(began);
        self.health.metrics.seconds.observe(took.as_secs_f64());
        let (fault, why) = match result {
            Ok(Ok(value)) => {
                match slots {
                    Some((slots, slot)) => slots.good(slot),
                    None => self.health.good(),
                }
                return Ok(value);
            }
            Ok(Err((fault, error))) => {
                if let Some(error) = error {
                    link.note(epoch, &error);
                }
                (fault, StoreFallback::Failed)
            }
            Err(_elapsed) => (Fault::Timeout, StoreFallback::Timeout),
        };
        self.health.metrics.fault(fault).inc();
        match slots {
            // Whether the store as a whole is there, the keeper finds out.
            Some((slots, slot)) if connected => slots.bad(slot, self.clock.moment(), self.pause()),
            // No connection is nobody's slot.
            _ => self.health.bad(epoch, fault),
        }
        Err(self.fell_back(why))
    }

    /// From one try to the next: many gateways lose a server at one moment, and shall not come back at one.
    fn pause(&self) -> Duration {
        self.retry + self.jitter.up_to(self.retry / 2)
    }

    /// It said something else than it should.
    fn misunderstood(&self) -> Away {
        self.fell_back(StoreFallback::Failed)
    }

    fn fell_back(&self, why: StoreFallback) -> Away {
        self.health.metrics.fallback(why).inc();
        Away
    }
}
