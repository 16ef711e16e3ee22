//! What may go to the platform for one tenant, and when: quota, places, the line before them. Pure but for the clock
//! that the quotas are counted by; `tap` holds it under a lock and does the waiting.
//!
//! A question needs a place and its weight of the quota, both at the moment it goes. A batch needs a place of the
//! batches' share and its weight of their quota as well. Their quota is asked first: what it gave is gone if the
//! whole refuses, but for one that waits, which does not pay twice.

use std::time::Duration;

use super::bucket::Bucket;
use super::headers::Standing;
use super::line::{Lane, Line, Ticket};
use super::pace::{Outcome, Pace};
use super::{Limit, Limited, NoTurn};
use crate::clock::{Clock, Moment};
use crate::config;
use crate::store::Store;

/// Whether a newcomer may go.
pub(super) enum Entry<T> {
    /// At once.
    Passes,
    /// It has to wait, for what is told; `gone` had to go for it, and why there was no room.
    Waits {
        ticket: Ticket,
        gone: Option<(T, NoTurn)>,
        obstacle: Obstacle,
    },
    /// No.
    Refused(NoTurn),
}

/// What a question waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// A place.
    Place,
    /// Enough of the quota, at that moment if nobody takes of it; of the batches' quota if `batch`.
    Quota { until: Moment, batch: bool },
}

struct Waiting<T> {
    item: T,
    weight: u32,
    paid: Paid,
}

/// What was taken of quotas already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paid {
    /// None.
    Nothing,
    /// The batches'.
    Batch,
    /// All: the store that gateways share has judged.
    All,
}

/// What the store said of a tenant's quota.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) left: u32,
    pub(super) burst: u32,
    pub(super) period: Duration,
}

/// What is on its way for one tenant, and who waits.
pub(super) struct Gate<T> {
    max_wait: Duration,
    batch_percent: usize,
    whole: Option<Bucket>,
    batch: Option<Bucket>,
    line: Line<Waiting<T>>,
    pace: Pace,
    /// Places taken, by lane.
    held: [usize; 2],
    closed_until: Option<Moment>,
    /// What the next of each lane waits for.
    blocked: [Option<Obstacle>; 2],
    /// Who was told to look again then.
    watch: [Option<(Ticket, Moment)>; 2],
    /// What was left of the quota when it was last taken of.
    left: Option<(u32, Moment)>,
    /// The same of the quota that gateways share, while the store is there.
    told: Option<(Told, Moment)>,
}

impl<T> Gate<T> {
    /// For a tenant with `quota`.
    pub(super) fn new(
        limits: &config::Limits,
        quota: &config::TenantQuota,
        store: Option<&Store>,
        clock: &Clock,
    ) -> Self {
        let batch_percent = 100 - limits.interactive_percent;
        let bucket = |(period, burst)| Bucket::beside(store, period, burst, clock);
        let [whole, batch] = quotas(limits, quota).map(|quota| quota.map(bucket));
        Self {
            max_wait: limits.max_wait,
            batch_percent: batch_percent as usize,
            whole,
            batch,
            line: Line::new(limits.queue),
            pace: Pace::new(quota.in_flight, limits.adaptive),
            held: [0; 2],
            closed_until: None,
            blocked: [None; 2],
            watch: [None; 2],
            left: None,
            told: None,
        }
    }

    /// A question of `weight` comes. `make` is only asked for who it is if it has to wait.
    pub(super) fn enter(
        &mut self,
        now: Moment,
        lane: Lane,
        weight: u32,
        mut paid: Paid,
        make: impl FnOnce() -> T,
    ) -> Entry<T> {
        if let Some(wait) = self.closed(now) {
            return Entry::Refused(closed(wait));
        }
        let obstacle = if self.line.is_free(lane) {
            match self.pass(now, lane, weight, &mut paid) {
                Ok(()) => return Entry::Passes,
                Err(obstacle) => obstacle,
            }
        } else {
            self.blocked(lane).unwrap_or(Obstacle::Place)
        };
        if let Obstacle::Quota { until, batch } = obstacle {
            let ahead: u32 = Lane::ALL[..=lane.index()]
                .iter()
                .flat_map(|lane| self.line.waiting(*lane))
                .map(|waiting| waiting.weight)
                .sum();
            let period = self.bucket(batch).map(Bucket::period).unwrap_or_default();
            let wait = until.since(now).saturating_add(period.saturating_mul(ahead));
            if wait > self.max_wait || !self.line.has_places() {
                return Entry::Refused(self.over_quota(wait, batch));
            }
        }
        let waiting = Waiting {
            item: make(),
            weight,
            paid,
        };
        let first = self.line.waiting(lane).next().is_none();
        match self.line.join(lane, waiting) {
            Ok((ticket, gone)) => {
                if first {
                    self.blocked[lane.index()] = Some(obstacle);
                }
                Entry::Waits {
                    ticket,
                    gone: gone.map(|gone| (gone.item, self.no_room(now, obstacle))),
                    obstacle,
                }
            }
            Err(_) => Entry::Refused(self.no_room(now, obstacle)),
        }
    }

    /// Takes a place for one whose quota the store judges, if there is one and nobody waits for it.
    ///
    /// # Errors
    /// When everything is refused.
    pub(super) fn try_place(&mut self, now: Moment, lane: Lane) -> Result<bool, NoTurn> {
        match self.closed(now) {
            Some(wait) => Err(closed(wait)),
            None => Ok(self.line.is_free(lane) && self.pass(now, lane, 0, &mut Paid::All).is_ok()),
        }
    }

    /// The store let a question go: this gateway's part knows of it, for when the store is away.
    pub(super) fn granted(&mut self, now: Moment, lane: Lane, weight: u32, told: Option<Told>) {
        let batch = self.batch.as_ref().filter(|_| lane == Lane::Batch);
        for bucket in batch.into_iter().chain(&self.whole) {
            // One that has no more has none.
            let _ = bucket.take(weight);
        }
        self.told = told.map(|told| (told, now));
    }

    /// Who may go now that something changed; to be asked until nobody may.
    pub(super) fn next(&mut self, now: Moment) -> Option<T> {
        for lane in Lane::ALL {
            let Some((ticket, waiting)) = self.line.next(lane) else {
                self.blocked[lane.index()] = None;
                continue;
            };
            let (weight, mut paid) = (waiting.weight, waiting.paid);
            let passed = self.pass(now, lane, weight, &mut paid);
            let Err(obstacle) = passed else {
                return self.line.leave(ticket).map(|waiting| waiting.item);
            };
            if let Some((_, waiting)) = self.line.next(lane) {
                waiting.paid = paid;
            }
            self.blocked[lane.index()] = Some(obstacle);
            // Nobody overtakes: what is missing for this one is not spent on the lane behind it.
            return None;
        }
        None
    }

    /// Tells those who should look again at a certain time, once for each time.
    pub(super) fn watchers(&mut self, mut tell: impl FnMut(&T)) {
        for lane in Lane::ALL {
            let (Some(Obstacle::Quota { until, .. }), Some((ticket, waiting))) =
                (self.blocked(lane), self.line.next(lane))
            else {
                // Whoever was told may have gone to sleep meanwhile, so it is told again, if of the same time.
                self.watch[lane.index()] = None;
                continue;
            };
            let watch = Some((ticket, until));
            if self.watch[lane.index()] != watch {
                self.watch[lane.index()] = watch;
                tell(&waiting.item);
            }
        }
    }

    /// When the holder of `ticket` should look again, if it is the one to do so.
    pub(super) fn look_again(&self, ticket: Ticket) -> Option<Moment> {
        let (watcher, at) = self.watch[ticket.lane.index()]?;
        // By then it may wait for something else, which whoever leaves tells it of.
        let Some(Obstacle::Quota { until, .. }) = self.blocked(ticket.lane) else {
            return None;
        };
        (watcher == ticket && at == until).then_some(at)
    }

    /// Why one that still waits when its patience has ended has to go: its quota. `None` if it waits for a place.
    pub(super) fn impatient(&self, now: Moment, ticket: Ticket) -> Option<NoTurn> {
        match self.blocked(ticket.lane) {
            Some(Obstacle::Quota { until, batch }) => Some(self.over_quota(until.since(now), batch)),
            Some(Obstacle::Place) | None => None,
        }
    }

    /// Whether one that passed may be asked once more, for which it takes `weight` of the quota. It waits for nothing,
    /// and overtakes nobody who waits for the quota.
    pub(super) fn repeat(&mut self, now: Moment, weight: u32) -> bool {
        let waited_for = matches!(self.blocked(Lane::Batch), Some(Obstacle::Quota { batch: false, .. }));
        if self.closed(now).is_some() || waited_for {
            return false;
        }
        let Some(bucket) = &self.whole else { return true };
        let taken = bucket.take(weight).ok();
        if let Some(left) = taken {
            self.left = Some((left, now));
        }
        taken.is_some()
    }

    /// One that waited has gone.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.line.leave(ticket);
    }

    /// One that passed is done, begun at `began`.
    pub(super) fn leave(&mut self, now: Moment, lane: Lane, outcome: Outcome, began: Moment) {
        let busy = self.busy();
        self.held[lane.index()] = self.held[lane.index()].saturating_sub(1);
        self.pace.note(outcome, began, now, busy);
    }

    /// Refuses everything for `wait`, and gives who waited.
    pub(super) fn close(&mut self, now: Moment, wait: Duration) -> Vec<T> {
        self.closed_until = self.closed_until.max(Some(now.after(wait)));
        self.line.clear().into_iter().map(|waiting| waiting.item).collect()
    }

    /// How long everything is refused from now on.
    pub(super) fn closed(&self, now: Moment) -> Option<Duration> {
        self.closed_until
            .map(|until| until.since(now))
            .filter(|wait| !wait.is_zero())
    }

    /// On their way.
    pub(super) fn busy(&self) -> usize {
        self.held.iter().sum()
    }

    /// How many may be on their way; `usize::MAX` for any number.
    pub(super) fn limit(&self) -> usize {
        self.pace.limit()
    }

    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Whether a question of `weight` would be missed by nobody: nobody waits, and behind it at least the share of places
    /// and of the quota that batches leave to others would still be free.
    pub(super) fn is_slack(&self, now: Moment, weight: u32) -> bool {
        let limit = self.pace.limit();
        let places = (limit.saturating_mul(self.batch_percent) / 100).max(1);
        let reserved = |bucket: &Bucket| {
            let rest = f64::from(bucket.burst().saturating_sub(weight));
            f64::from(weight) + rest * (100 - self.batch_percent) as f64 / 100.0
        };
        let quota = self.whole.as_ref().zip(self.tokens(now));
        self.closed(now).is_none()
            && self.waiting() == 0
            && self.busy() < places
            && quota.is_none_or(|(bucket, tokens)| tokens >= reserved(bucket))
    }

    /// What is left of the quota; `None` where there is none.
    pub(super) fn tokens(&self, now: Moment) -> Option<f64> {
        if let Some((told, at)) = self.told {
            let back = now.since(at).as_secs_f64() / told.period.as_secs_f64();
            return Some((f64::from(told.left) + back).min(told.burst.into()));
        }
        let whole = self.whole.as_ref()?;
        let burst = f64::from(whole.burst());
        Some(self.left.map_or(burst, |(left, at)| {
            (f64::from(left) + now.since(at).as_secs_f64() / whole.period().as_secs_f64()).min(burst)
        }))
    }

    /// Takes a place and the quota.
    fn pass(&mut self, now: Moment, lane: Lane, weight: u32, paid: &mut Paid) -> Result<(), Obstacle> {
        let limit = self.pace.limit();
        let of_lane = match lane {
            Lane::Interactive => limit,
            // One at least, lest batches never go.
            Lane::Batch => (limit.saturating_mul(self.batch_percent) / 100).max(1),
        };
        if self.busy() >= limit || self.held[lane.index()] >= of_lane {
            return Err(Obstacle::Place);
        }
        if lane == Lane::Batch
            && *paid == Paid::Nothing
            && let Some(bucket) = &self.batch
        {
            bucket
                .take(weight)
                .map_err(|until| Obstacle::Quota { until, batch: true })?;
            *paid = Paid::Batch;
        }
        if *paid != Paid::All
            && let Some(bucket) = &self.whole
        {
            let left = bucket
                .take(weight)
                .map_err(|until| Obstacle::Quota { until, batch: false })?;
            self.left = Some((left, now));
            self.told = None;
        }
        self.held[lane.index()] += 1;
        Ok(())
    }

    /// What a newcomer in `lane` would wait for behind those who wait.
    fn blocked(&self, lane: Lane) -> Option<Obstacle> {
        let first = Lane::ALL[..=lane.index()]
            .iter()
            .find(|lane| self.line.waiting(**lane).next().is_some());
        self.blocked[first?.index()]
    }

    fn bucket(&self, batch: bool) -> Option<&Bucket> {
        if batch {
            self.batch.as_ref()
        } else {
            self.whole.as_ref()
        }
    }

    /// Why the line is full: it says whether to ask less, or that the platform is slow.
    fn no_room(&self, now: Moment, obstacle: Obstacle) -> NoTurn {
        match obstacle {
            Obstacle::Place => NoTurn::Overloaded,
            Obstacle::Quota { until, batch } => self.over_quota(until.since(now), batch),
        }
    }

    fn over_quota(&self, wait: Duration, batch: bool) -> NoTurn {
        let name = if batch { "tenant-batch" } else { "tenant" };
        NoTurn::Limited(Limited {
            limit: Limit::Tenant,
            wait,
            standing: self.bucket(batch).map(|bucket| Standing::refused(name, bucket, wait)),
        })
    }
}

/// Period and burst of a tenant's quota, and of the batches' share of it.
pub(super) fn quotas(limits: &config::Limits, quota: &config::TenantQuota) -> [Option<(Duration, u32)>; 2] {
    let batch_percent = 100 - limits.interactive_percent;
    let period = quota.rate_per_s.period();
    let batch = period
        .filter(|_| batch_percent < 100)
        .map(|period| (period * 100 / batch_percent, (quota.burst * batch_percent / 100).max(1)));
    [period.map(|period| (period, quota.burst)), batch]
}

fn closed(wait: Duration) -> NoTurn {
    NoTurn::Limited(Limited {
        limit: Limit::Platform,
        wait,
        standing: None,
    })
}
