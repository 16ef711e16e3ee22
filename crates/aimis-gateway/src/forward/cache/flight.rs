//! A question on its way to the platform, for everybody who waits for its answer.
//!
//! A flight survives whoever began it: a doctor who closes the window has paid for the answer of the next. As long as
//! that one is there it is a part of their task (a `Ride`), which costs nothing; when they leave it becomes a task of
//! its own. It is bounded by the deadline of the one who began it. Everybody waits with a deadline of their own, and
//! whoever has time left when a flight ran out of its, or vanished, begins or joins the next.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aimis_core::codes::Rule;
use futures_util::FutureExt;
use futures_util::future::{CatchUnwind, LocalBoxFuture};
use tokio::time::{Instant, timeout_at};

use super::Cache;
use super::directives::Directives;
use super::entry::{Entry, Freshness, Subject};
use super::key::CacheKey;
use super::shard::{Begun, Entered, Hearer, Teller, Verdict};
use super::status::Passage;
use super::terms::{Life, Terms, contradicts, is_failure};
use crate::clock::Moment;
use crate::forward::ask::NoReply;
use crate::telemetry::traces::Tried;
use crate::upstream::error::UpstreamError;
use crate::upstream::reply::Reply;

/// Time left under which a question is not begun again.
const WORTH_ASKING: Duration = Duration::from_millis(50);

/// What became of asking the platform once.
#[derive(Clone)]
pub struct Fetched {
    /// The answer, or why there is none.
    pub result: Result<Reply, NoReply>,
    /// How often the platform was asked.
    pub attempts: u32,
    /// Time that went by waiting for the platform.
    pub upstream_time: Duration,
    /// Time that went by waiting for a turn under the tenant's limits.
    pub limit_time: Duration,
    /// An attempt was signed by the platform's clock, since ours is off.
    pub resigned: bool,
    /// The attempts, where they are traced.
    pub tries: Vec<Tried>,
    /// The store that gateways share was away, so this one went by its part of the quotas.
    pub local: bool,
}

/// What became of one question.
pub struct Asked {
    /// The answer, or why there is none. With what was kept, attempts and time are those of the try before it.
    pub fetched: Fetched,
    /// Whether it came from the platform, or from what was kept.
    pub passage: Passage,
    /// Name and explanation of the failure in whose place an older answer serves.
    pub behind: Option<(&'static str, Option<&'static str>)>,
    /// What replicas share was away: it came about as if there were this one only.
    pub fell_back: bool,
}

/// A question as the cache sees it.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Its key.
    pub(crate) key: CacheKey,
    /// The times of its tenant and API.
    pub(crate) terms: &'a Terms,
    /// What the request says about kept answers.
    pub(crate) said: Directives,
    /// Until when whoever asks waits.
    pub(crate) deadline: Instant,
}

impl Fetched {
    /// There is no answer, and nobody was asked.
    pub(crate) fn without(no_reply: NoReply) -> Self {
        Self {
            result: Err(no_reply),
            attempts: 0,
            upstream_time: Duration::ZERO,
            limit_time: Duration::ZERO,
            resigned: false,
            tries: Vec::new(),
            local: false,
        }
    }
}

impl Asked {
    /// There is no answer, and nobody was to be asked.
    pub(crate) fn absent() -> Self {
        Self {
            fetched: Fetched::without(NoReply::NotKept),
            passage: Passage::Absent,
            behind: None,
            fell_back: false,
        }
    }

    /// Asked past the cache.
    pub(crate) fn directly(fetched: Fetched) -> Self {
        Self {
            fetched,
            passage: Passage::BYPASS,
            behind: None,
            fell_back: false,
        }
    }
}

/// The one who has to ask. Dropped unlanded (a panic, the end of its worker), the flight vanishes from the table
/// first and is then told to be over.
struct Leader {
    cache: Arc<Cache>,
    key: CacheKey,
    number: u64,
    subject: Subject,
    terms: Terms,
    began: Moment,
    teller: Teller,
    landed: bool,
}

impl Leader {
    /// Ends the flight: the table first, then those who wait. True if the answer is kept.
    fn land(mut self, fetched: &Fetched, rule: impl Fn(i64) -> Rule) -> bool {
        let verdict = self.verdict(&fetched.result, rule);
        let stored = self.cache.land(self.key, self.number, verdict);
        self.landed = true;
        self.teller.tell(fetched, stored);
        stored
    }

    fn verdict(&self, result: &Result<Reply, NoReply>, rule: impl Fn(i64) -> Rule) -> Verdict {
        match self.cache.worth(&self.terms, result, rule) {
            Worth::Keeping(reply, life) => {
                let buffers = &self.cache.buffers;
                Verdict::Keep(Arc::new(Entry::new(
                    reply,
                    buffers,
                    self.subject.clone(),
                    self.began,
                    life,
                )))
            }
            Worth::Replacing => Verdict::Forget,
            Worth::Nothing => Verdict::Leave,
        }
    }
}

/// What a result means for what is kept.
pub(super) enum Worth<'a> {
    /// It is kept for so long.
    Keeping(&'a Reply, Life),
    /// It is not, and what was kept is not true any more.
    Replacing,
    /// It says nothing.
    Nothing,
}

impl Cache {
    /// What a result means for what is kept.
    pub(super) fn worth<'a>(
        &self,
        terms: &Terms,
        result: &'a Result<Reply, NoReply>,
        rule: impl Fn(i64) -> Rule,
    ) -> Worth<'a> {
        let Ok(reply) = result else { return Worth::Nothing };
        let envelope = reply.envelope();
        let rule = envelope.code().map(rule);
        let life = rule.and_then(|rule| terms.life(reply.status(), &rule, envelope.is_empty()));
        match life {
            // One of unknown age would look new.
            Some(life) if self.takes(reply) && !reply.was_cached() => Worth::Keeping(reply, life),
            None if !contradicts(reply.status(), rule.as_ref()) => Worth::Nothing,
            _ => Worth::Replacing,
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.landed {
            self.cache.land(self.key, self.number, Verdict::Leave);
        }
    }
}

/// A flight that is made by whoever began it. Dropped on the way it goes on as a task of its own.
pub(super) struct Ride<T: 'static>(Option<CatchUnwind<AssertUnwindSafe<LocalBoxFuture<'static, T>>>>);

/// What came of it, and whether that is kept.
type Flying = LocalBoxFuture<'static, (Fetched, bool)>;

impl<T> Ride<T> {
    pub(super) fn on(flight: LocalBoxFuture<'static, T>) -> Self {
        Self(Some(AssertUnwindSafe(flight).catch_unwind()))
    }
}

impl<T> Future for Ride<T> {
    /// `None` if it ended in a defect.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(flight) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let landed = flight.poll_unpin(cx);
        if landed.is_ready() {
            self.0 = None;
        }
        landed.map(Result::ok)
    }
}

impl<T> Drop for Ride<T> {
    fn drop(&mut self) {
        if let Some(flight) = self.0.take() {
            tokio::task::spawn_local(flight);
        }
    }
}

impl Cache {
    /// The answer to a question: one that is kept, or what `fetch` brings from the platform, which it has to do by the
    /// question's deadline. `subject` tells what the order is about, `rule` what a code means. On a runtime with
    /// local tasks.
    pub(crate) async fn ask<O, F, G>(
        self: &Arc<Self>,
        question: Question<'_>,
        order: O,
        subject: impl Fn(&O) -> Subject,
        rule: impl Fn(i64) -> Rule + Clone + 'static,
        fetch: G,
    ) -> Asked
    where
        G: FnOnce(O) -> F,
        F: Future<Output = Fetched> + 'static,
    {
        let deadline = question.deadline;
        let start = self.now();
        loop {
            let now = self.now();
            return match self.enter(question, now, || subject(&order)) {
                Entered::Hit { entry, refresh } => {
                    if let Some(flight) = refresh {
                        tokio::task::spawn_local(self.flight(question, flight, now, fetch(order), rule));
                    }
                    kept(&entry, now, entry.freshness(now) != Freshness::Fresh, None)
                }
                Entered::Absent => Asked::absent(),
                Entered::Lead { flight, forward } => {
                    let flight = self.flight(question, flight, now, fetch(order), rule.clone());
                    // It has this deadline, and tells what it cost.
                    let landed = Ride::on(flight).await;
                    let (fetched, stored) = landed.unwrap_or((Fetched::without(NoReply::Lost), false));
                    let passage = Passage::Asked {
                        forward,
                        stored,
                        collapsed: false,
                    };
                    self.or_stale(question, fetched, passage, rule)
                }
                Entered::Follow { mut hearer, forward } => {
                    let (mut fetched, stored) = match timeout_at(deadline, hear(&mut hearer)).await {
                        Ok(Some((fetched, _))) if ran_out(&fetched) && is_ahead(deadline) => continue,
                        Ok(Some(heard)) => heard,
                        // It vanished, and stands in the table no longer.
                        Ok(None) => continue,
                        Err(_elapsed) => (Fetched::without(UpstreamError::Deadline.into()), false),
                    };
                    // They are in the trace of the one who began it.
                    fetched.tries = Vec::new();
                    fetched.attempts = 0;
                    fetched.upstream_time = self.now().since(start);
                    fetched.resigned = false;
                    let passage = Passage::Asked {
                        forward,
                        stored,
                        collapsed: true,
                    };
                    self.or_stale(question, fetched, passage, rule)
                }
            };
        }
    }

    /// Makes a flight. In a box of its own at once: it is the largest part of a request.
    fn flight<F, R>(
        self: &Arc<Self>,
        question: Question<'_>,
        Begun {
            number,
            subject,
            teller,
        }: Begun,
        began: Moment,
        fetch: F,
        rule: R,
    ) -> Flying
    where
        F: Future<Output = Fetched> + 'static,
        R: Fn(i64) -> Rule + 'static,
    {
        let leader = Leader {
            cache: Arc::clone(self),
            key: question.key,
            number,
            subject,
            terms: *question.terms,
            began,
            teller,
            landed: false,
        };
        // Not a block of its own, which would have room for what it waits for twice.
        fetch
            .map(move |fetched| {
                let stored = leader.land(&fetched, rule);
                (fetched, stored)
            })
            .boxed_local()
    }

    /// What was fetched, or where that is a failure of the platform, an older answer.
    fn or_stale(
        &self,
        question: Question<'_>,
        fetched: Fetched,
        passage: Passage,
        rule: impl Fn(i64) -> Rule,
    ) -> Asked {
        let failure = failure(&fetched.result, rule);
        let now = self.now();
        let entry = failure.and_then(|_| self.stale(question, now));
        match entry {
            Some(entry) => {
                let older = kept(&entry, now, true, failure);
                let reply = older.fetched.result;
                Asked {
                    fetched: Fetched {
                        result: reply,
                        ..fetched
                    },
                    ..older
                }
            }
            None => Asked {
                fetched,
                passage,
                behind: None,
                fell_back: false,
            },
        }
    }
}

/// Name and explanation of what came of a question, if an older answer is better.
pub(super) fn failure(result: &Result<Reply, NoReply>, rule: impl Fn(i64) -> Rule) -> Option<Failure> {
    match result {
        Err(no_reply) => no_reply.is_failure().then(|| no_reply.for_log()),
        Ok(reply) => {
            let rule = reply.envelope().code().map(rule);
            is_failure(reply.status(), rule.as_ref()).then_some((
                "business",
                Some("the platform's answer was a failure: see upstream_business_codes"),
            ))
        }
    }
}

/// Name and explanation of a failure.
pub(super) type Failure = (&'static str, Option<&'static str>);

/// A kept answer.
fn kept(entry: &Entry, now: Moment, stale: bool, behind: Option<(&'static str, Option<&'static str>)>) -> Asked {
    Asked {
        fetched: Fetched {
            result: Ok(entry.reply().clone()),
            attempts: 0,
            upstream_time: Duration::ZERO,
            limit_time: Duration::ZERO,
            resigned: false,
            tries: Vec::new(),
            local: false,
        },
        passage: Passage::Kept {
            age: entry.age(now),
            ttl: entry.ttl(now),
            stale,
        },
        behind,
        fell_back: false,
    }
}

/// Waits for a flight's end; `None` if it vanished.
async fn hear(hearer: &mut Hearer) -> Option<(Fetched, bool)> {
    hearer.wait_for(Option::is_some).await.ok()?.clone()
}

/// Whether there is time to ask a platform that has just taken too long.
pub(super) fn is_ahead(deadline: Instant) -> bool {
    tokio::time::sleep_until(deadline - WORTH_ASKING)
        .now_or_never()
        .is_none()
}

/// Whether a flight ended because its deadline had come.
pub(super) fn ran_out(fetched: &Fetched) -> bool {
    matches!(fetched.result, Err(NoReply::Upstream(UpstreamError::Deadline)))
}
