//! The platform: many senders at once, and a moment in the midst of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aimis_simulator::{Account, CallbackSender, Clock};
use tokio::sync::Notify;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::chance::Chance;
use super::ledger::Ledger;
use crate::support::client::PATIENCE;

/// Callbacks that are under way at a time.
const SENDERS: u64 = 24;

/// What a moment is counted in.
#[derive(Clone, Copy, Debug)]
pub enum After {
    /// Callbacks that began to be sent.
    Sends(u64),
    /// Acknowledgements.
    Acknowledgements(u64),
    /// Whatever else came back: refusals and failures.
    Refusals(u64),
}

struct Counts {
    sends: AtomicU64,
    acknowledgements: AtomicU64,
    refusals: AtomicU64,
    changed: Notify,
    stopping: AtomicBool,
}

/// Senders at work.
pub struct Senders {
    counts: Arc<Counts>,
    tasks: JoinSet<()>,
}

impl Senders {
    /// Sends to `url` from now on, new callbacks, updates and the same again.
    pub fn start(url: &str, ledger: &Arc<Ledger>, chance: &mut Chance) -> Self {
        Self::start_with(url, ledger, chance, SENDERS, &Clock::system())
    }

    /// The same with so many senders, who have this clock.
    pub fn start_with(url: &str, ledger: &Arc<Ledger>, chance: &mut Chance, senders: u64, clock: &Clock) -> Self {
        let counts = Arc::new(Counts {
            sends: AtomicU64::new(0),
            acknowledgements: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            changed: Notify::new(),
            stopping: AtomicBool::new(false),
        });
        let sender = CallbackSender::new(url, &Account::demo()).unwrap().clock(clock.clone());
        let mut tasks = JoinSet::new();
        for _ in 0..senders {
            tasks.spawn(send(
                sender.clone(),
                Arc::clone(&counts),
                Arc::clone(ledger),
                chance.fork(),
            ));
        }
        Self { counts, tasks }
    }

    /// Returns when so much more has happened.
    pub async fn wait(&self, after: After) {
        let (count, more) = match after {
            After::Sends(more) => (&self.counts.sends, more),
            After::Acknowledgements(more) => (&self.counts.acknowledgements, more),
            After::Refusals(more) => (&self.counts.refusals, more),
        };
        let wanted = count.load(Ordering::Relaxed) + more;
        let reached = async {
            loop {
                let changed = self.counts.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if count.load(Ordering::Relaxed) >= wanted {
                    break;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("no {after:?} in time: {} acknowledgements", self.acknowledgements()));
    }

    /// Acknowledgements that came to these senders.
    pub fn acknowledgements(&self) -> u64 {
        self.counts.acknowledgements.load(Ordering::Relaxed)
    }

    /// Begins nothing more, and returns when everything under way has an answer or none ever.
    pub async fn stop(self) {
        self.counts.stopping.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

async fn send(sender: CallbackSender, counts: Arc<Counts>, ledger: Arc<Ledger>, mut chance: Chance) {
    while !counts.stopping.load(Ordering::Relaxed) {
        let told = ledger.choose(&mut chance);
        counts.sends.fetch_add(1, Ordering::Relaxed);
        counts.changed.notify_waiters();
        let reply = sender.send(&told.callback()).await;
        let count = if took(&reply) {
            ledger.acknowledged(told);
            &counts.acknowledgements
        } else {
            &counts.refusals
        };
        count.fetch_add(1, Ordering::Relaxed);
        counts.changed.notify_waiters();
        // Refusals at a dead port come at once.
        yield_now().await;
    }
}

fn took(reply: &io::Result<aimis_simulator::CallbackReply>) -> bool {
    reply.as_ref().is_ok_and(aimis_simulator::CallbackReply::is_received)
}
