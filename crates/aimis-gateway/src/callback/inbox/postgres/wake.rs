//! The connection that listens: what other gateways do wakes this one, and whether the database is there is known.
//!
//! A gateway that changed something says so by `NOTIFY`, a statement of its own behind the commit and at most one in
//! twenty milliseconds: inside the commit it would make all commits of the database wait for each other. It can get
//! lost with the gateway; so every `database_poll_ms` is looked at what changes with every change. A database that does not
//! answer that within `database_answer_timeout_ms` is silent: then the other connections are given up as well.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::line::Line;
use super::schema::{IN_USE, share};
use super::session::{Fault, Session};
use super::{Common, read};
use crate::clock::{Moment, timer_now};

/// Changes that come so close together are told once.
const GATHER: Duration = Duration::from_millis(20);
/// How often the counts are looked up at most.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// How the database is, for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It answers.
    There,
    /// It does not, for this reason.
    Lost(&'static str),
}

/// Hears of contact lost and found: only when it changes.
pub type OnContact = Arc<dyn Fn(Contact, Duration) + Send + Sync>;

/// What has changed is told by these two: a number that is drawn before its transaction ends can be committed behind a
/// higher one, and is counted then.
const MOVED: &str = "SELECT coalesce(max(move), 0), count(*) FROM tally";

/// The last change that was committed, and how many there are.
type Moved = (i64, i64);

/// What the listener knows.
pub(super) struct Listener {
    common: Arc<Common>,
    line: Line,
    /// What the database told by itself.
    notified: watch::Receiver<u64>,
    /// Tells the other connections that the database is silent.
    silent: watch::Sender<bool>,
    /// What this gateway changed.
    done: watch::Receiver<u64>,
    /// Whether others are still to be told of what this gateway changed.
    untold: bool,
    moved: Option<Moved>,
    /// That is to be asked, which takes the longer the more changed lately.
    asks_moved: bool,
    /// There is something new to be counted.
    counts: bool,
    contact: Contact,
    since: Moment,
    counted: Option<tokio::time::Instant>,
    on_contact: OnContact,
}

impl Listener {
    pub(super) fn new(
        common: Arc<Common>,
        line: Line,
        notified: watch::Receiver<u64>,
        silent: watch::Sender<bool>,
        on_contact: OnContact,
    ) -> Self {
        let done = common.done.subscribe();
        let since = common.clock.moment();
        Self {
            common,
            line,
            notified,
            silent,
            done,
            untold: false,
            moved: None,
            asks_moved: true,
            counts: true,
            contact: Contact::There,
            since,
            counted: None,
            on_contact,
        }
    }

    /// Listens, tells and looks until `stop`.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let looked = self.look().await;
            self.note(&looked);
            let pause = match looked {
                Ok(()) => self.common.settings.poll,
                Err(_) => self.line.pause().max(GATHER),
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                Ok(()) = self.notified.changed() => {
                    self.counts = true;
                    self.common.wake();
                }
                Ok(()) = self.done.changed() => {
                    self.untold = true;
                    self.counts = true;
                    tokio::time::sleep(GATHER).await;
                }
                () = tokio::time::sleep(pause) => self.asks_moved = true,
            }
        }
    }

    async fn look(&mut self) -> Result<(), Fault> {
        self.done.borrow_and_update();
        let (tell, asks_moved) = (self.untold, self.asks_moved);
        let beat = async move |session: &mut Session| {
            let is_new = !session.listens;
            if is_new {
                // Telling others waits for no standby: it would be taken for a database that says nothing.
                let listen = "SET synchronous_commit = local; LISTEN aimis_inbox";
                session.client.batch_execute(listen).await?;
                if !share(session, IN_USE).await? {
                    return Err(Fault::Copied);
                }
                session.listens = true;
            }
            if tell {
                session.client.batch_execute("NOTIFY aimis_inbox").await?;
            }
            if !asks_moved && !is_new {
                session.one("SELECT 1", &[]).await?;
                return Ok(None);
            }
            let row = session.one(MOVED, &[]).await?;
            Ok(Some((row.get(0), row.get(1))))
        };
        // A heartbeat as well: so little is answered at once, or the database is silent.
        let limit = self.common.settings.reach.answer_timeout;
        let moved: Option<Moved> = self.line.run_within(limit, beat).await?;
        self.silent.send_replace(false);
        self.untold = false;
        if let Some(moved) = moved {
            self.asks_moved = false;
            // What others changed before this one listened woke nobody here.
            if self.moved.replace(moved) != Some(moved) {
                self.common.wake();
                self.counts = true;
            }
        }
        let due = self
            .counted
            .is_none_or(|at| timer_now().saturating_duration_since(at) >= COUNT_EVERY);
        if due && self.counts {
            self.count().await?;
            self.counted = Some(timer_now());
            self.counts = false;
        }
        Ok(())
    }

    /// Shows what is in the inbox by now.
    async fn count(&mut self) -> Result<(), Fault> {
        let common = Arc::clone(&self.common);
        self.line
            .run(async move |session: &mut Session| {
                let stats = read::counts(session).await?;
                let bytes = read::disk_bytes(session).await?;
                common.metrics.show(&stats, bytes);
                common.room.look(session).await
            })
            .await
    }

    fn note(&mut self, looked: &Result<(), Fault>) {
        let contact = match looked {
            Ok(()) => Contact::There,
            Err(fault) => Contact::Lost(fault.word()),
        };
        if matches!(looked, Err(Fault::Late)) {
            // Whoever waits on another connection need not wait until its own time is up, and nobody begins.
            self.silent.send_replace(true);
        }
        let same = matches!(
            (contact, self.contact),
            (Contact::There, Contact::There) | (Contact::Lost(_), Contact::Lost(_))
        );
        if same {
            return;
        }
        let now = self.common.clock.moment();
        (self.on_contact)(contact, now.since(self.since));
        (self.contact, self.since) = (contact, now);
        if looked.is_ok() {
            // Nobody knows what happened meanwhile.
            self.common.wake();
        }
    }
}
