//! The courier of one target: it leases what the target can take, sends it, and notes how that ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use super::attempt::{Attempt, Desk};
use super::pacing::{Change, End, Pacing, Pass};
use crate::callback::inbox::{InboxError, Lease, Leased, Leases, Outcome};
use crate::clock::Moment;
use crate::telemetry::event::Event;
use crate::telemetry::labels::TargetState;

/// The longest without a look at the inbox, whatever it said: its times are wall time, which may jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The pause behind a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// See the module's text.
pub(super) struct Courier {
    desk: Arc<Desk>,
    pacing: Pacing,
    running: JoinSet<End>,
    /// What each of them holds.
    held: HashMap<Id, (Lease, Pass)>,
    parked: bool,
    lease_period: Duration,
}

/// What a look at the inbox came to.
enum Look {
    /// Look again when something changes, or at the moment that comes with it.
    Until(Option<Timestamp>),
    /// The store failed; look again after a pause.
    Pause,
    /// The store is closed.
    Closed,
}

impl Courier {
    pub(super) fn new(desk: Desk, pacing: Pacing, lease_period: Duration) -> Self {
        Self {
            desk: Arc::new(desk),
            pacing,
            running: JoinSet::new(),
            held: HashMap::new(),
            parked: false,
            lease_period,
        }
    }

    /// Works until `stop`; then what is under way may end until `abort`, and the rest is given back.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>, mut abort: watch::Receiver<bool>) {
        self.desk.metrics.state(TargetState::Flowing);
        let mut changes = self.desk.inbox.changes();
        while !*stop.borrow() && !*abort.borrow() {
            changes.borrow_and_update();
            let look = tokio::select! {
                look = self.look() => look,
                // A store that hangs must not hold up the stop; what it leased is up again at the next start.
                () = thrown(&mut abort) => break,
            };
            let sleep = match look {
                Look::Until(next) => self.sleep(next),
                Look::Pause => STORE_PAUSE,
                Look::Closed => break,
            };
            tokio::select! {
                Some(ended) = self.running.join_next_with_id(), if !self.running.is_empty() => {
                    self.ended(ended).await;
                    // All that ended meanwhile: one look for many, since a look is a write to the disk.
                    while let Some(ended) = self.running.try_join_next_with_id() {
                        self.ended(ended).await;
                    }
                }
                // A sender that is gone would be ready for ever.
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(sleep) => {}
                () = thrown(&mut stop) => {}
                () = thrown(&mut abort) => {}
            }
        }
        self.finish(abort).await;
    }

    /// Leases and starts as much as there is room for.
    async fn look(&mut self) -> Look {
        let room = self.pacing.room(self.desk.clock.moment());
        if room == 0 {
            return Look::Until(None);
        }
        let leased = self
            .desk
            .inbox
            .lease(&self.desk.target.tenant, room, self.lease_period)
            .await;
        match leased {
            Ok(leases) => {
                let next = leases.next_at;
                self.note_parked(&leases);
                for event in leases.unopened {
                    self.desk.unopened(event);
                }
                for leased in leases.events {
                    self.start(leased);
                }
                Look::Until(next)
            }
            Err(InboxError::Broken | InboxError::Closed) => Look::Closed,
            Err(
                InboxError::Failed
                | InboxError::Late
                | InboxError::Unconfirmed
                | InboxError::Unreadable
                | InboxError::DiskFull,
            ) => {
                self.desk.store_failed();
                Look::Pause
            }
        }
    }

    fn start(&mut self, leased: Leased) {
        let pass = self.pacing.start();
        let lease = leased.lease;
        let attempt = Attempt::new(Arc::clone(&self.desk), leased, pass.probe);
        let task = self.running.spawn(attempt.run());
        self.held.insert(task.id(), (lease, pass));
    }

    fn sleep(&self, next: Option<Timestamp>) -> Duration {
        let now = self.desk.clock.now().as_millis();
        let until_next = next.map(|next| Duration::from_millis(next.as_millis().saturating_sub(now)));
        let moment = self.desk.clock.moment();
        let until_room = self.pacing.wake(moment).map(|wake: Moment| wake.since(moment));
        // With no room, what the inbox has next does not matter; with room, it alone does.
        let sleep = if self.pacing.room(moment) == 0 {
            until_room
        } else {
            until_next
        };
        // Timers are as fine as a millisecond, so that waking early would be waking often.
        sleep.map_or(LONGEST_SLEEP, |sleep| {
            (sleep + Duration::from_millis(1)).min(LONGEST_SLEEP)
        })
    }

    async fn ended(&mut self, ended: Result<(Id, End), tokio::task::JoinError>) {
        let (id, end) = match ended {
            Ok((id, end)) => (id, Some(end)),
            Err(error) => (error.id(), None),
        };
        let Some((lease, pass)) = self.held.remove(&id) else {
            return;
        };
        // A defect: the panic has its own line. It is tried again like everything that fails.
        let end = match end {
            Some(end) => end,
            None => self.desk.panicked(lease).await,
        };
        let change = self.pacing.end(pass, end, self.desk.clock.moment());
        let tenant = &self.desk.target.tenant;
        match change {
            Change::None => return,
            Change::Suspended => self.desk.log.write(&Event::DeliverySuspended { tenant }),
            Change::Resumed => self.desk.log.write(&Event::DeliveryResumed { tenant }),
        }
        self.show_state();
    }

    fn note_parked(&mut self, leases: &Leases) {
        if leases.parked == self.parked {
            return;
        }
        self.parked = leases.parked;
        let tenant = &self.desk.target.tenant;
        if self.parked {
            self.desk.log.write(&Event::DeliveryParked { tenant });
        } else {
            self.desk.log.write(&Event::DeliveryResumed { tenant });
        }
        self.show_state();
    }

    fn show_state(&self) {
        self.desk.metrics.state(if self.parked {
            TargetState::Parked
        } else if self.pacing.is_suspended() {
            TargetState::Suspended
        } else {
            TargetState::Flowing
        });
    }

    /// Lets what is under way end, and gives back what does not in time.
    async fn finish(mut self, mut abort: watch::Receiver<bool>) {
        while !self.running.is_empty() {
            tokio::select! {
                biased;
                () = thrown(&mut abort) => break,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended).await,
            }
        }
        self.running.shutdown().await;
        for (lease, _) in self.held.into_values() {
            // One that was settled already says so, and one that cannot be given back runs out.
            let _ = self.desk.inbox.settle(lease, Outcome::Unused).await;
        }
        self.desk.metrics.end();
    }
}

/// Returns when the switch is thrown.
async fn thrown(switch: &mut watch::Receiver<bool>) {
    // The guard on the value must not be held over an await.
    let gone = switch.wait_for(|thrown| *thrown).await.is_err();
    if gone {
        std::future::pending().await
    }
}
