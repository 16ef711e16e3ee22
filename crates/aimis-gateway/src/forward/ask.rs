//! From an order to the platform's answer: what stands between a checked question and a reply.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aimis_core::order::Order;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::protect;
use crate::limit::pace::Outcome;
use crate::limit::{Lane, Limited, Limits, NoTurn};
use crate::rejection::Rejection;
use crate::tenant::Tenant;
use crate::upstream::error::UpstreamError;
use crate::upstream::reply::Reply;
use crate::upstream::{Platform, Sent};

/// Why there is no answer to an order. Several may wait for the same one, so it is small and copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The platform was asked, or could not be.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Too much is asked for the tenant.
    #[error("over the tenant's quota")]
    Limited(Limited),
    /// As many questions of the tenant wait as may.
    #[error("too many questions wait")]
    QueueFull,
}

impl From<NoTurn> for NoReply {
    fn from(no_turn: NoTurn) -> Self {
        match no_turn {
            NoTurn::Limited(limited) => Self::Limited(limited),
            NoTurn::Overloaded => Self::QueueFull,
            NoTurn::Deadline => Self::Upstream(UpstreamError::Deadline),
        }
    }
}

impl From<NoReply> for Rejection {
    fn from(no_reply: NoReply) -> Self {
        match no_reply {
            NoReply::Upstream(error) => Self::Upstream(error),
            NoReply::Limited(limited) => Self::QuotaExceeded(limited),
            NoReply::QueueFull => Self::QueueFull,
        }
    }
}

/// What became of one order.
pub struct Asked {
    /// The answer, or why there is none.
    pub result: Result<Reply, NoReply>,
    /// How often the platform was asked.
    pub attempts: u32,
    /// Time that went by waiting for the platform.
    pub upstream_time: Duration,
    /// Time that went by waiting for a turn.
    pub limit_time: Duration,
    /// An attempt was signed by the platform's clock, since ours is off.
    pub resigned: bool,
}

/// Asks for a worker's requests. Cloning gives another handle; all belong to one thread.
#[derive(Clone)]
pub struct Asker(Rc<Inner>);

struct Inner {
    platform: Platform,
    limits: Arc<Limits>,
}

impl Asker {
    /// Asks `platform`, as much as `limits` allow.
    pub fn new(platform: Platform, limits: Arc<Limits>) -> Self {
        Self(Rc::new(Inner { platform, limits }))
    }

    /// The platform, for what is not a question.
    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    /// How much may be asked.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Asks for `order`, and waits no longer than the platform's deadline from now.
    pub async fn ask(&self, order: Order, api: usize, tenant: &Arc<Tenant>) -> Asked {
        self.ask_until(order, api, tenant, self.0.platform.deadline()).await
    }

    /// Asks for each of `orders`, at most `at_once` of them at a time, and gives what became of each in their order.
    /// Whoever waits for all waits no longer than for one.
    pub async fn ask_each(&self, orders: Vec<Order>, api: usize, tenant: &Arc<Tenant>, at_once: usize) -> Vec<Asked> {
        let deadline = self.0.platform.deadline();
        stream::iter(orders)
            .map(|order| self.ask_until(order, api, tenant, deadline))
            .buffered(at_once.max(1))
            .collect()
            .await
    }

    async fn ask_until(&self, order: Order, api: usize, tenant: &Arc<Tenant>, deadline: Instant) -> Asked {
        let lane = Lane::of(&order);
        let protected = protect::protect(&order, api, tenant);
        // What the patient is called is not kept while the platform thinks.
        drop(order);
        let (turn, limit_time) = self.0.limits.turn(tenant.index, api, lane, deadline).await;
        let turn = match turn {
            Ok(turn) => turn,
            Err(no_turn) => {
                return Asked {
                    result: Err(no_turn.into()),
                    attempts: 0,
                    upstream_time: Duration::ZERO,
                    limit_time,
                    resigned: false,
                };
            }
        };
        let sent = self.0.platform.send(protected, deadline).await;
        turn.done(outcome(&sent), sent.slow_down);
        Asked {
            result: sent.result.map_err(NoReply::Upstream),
            attempts: sent.attempts,
            upstream_time: sent.took,
            limit_time,
            resigned: sent.resigned,
        }
    }
}

/// What a question tells of the platform's load. One that was repeated took longer for other reasons.
fn outcome(sent: &Sent) -> Outcome {
    match &sent.result {
        Ok(_) if sent.attempts == 1 => Outcome::Answered(sent.took),
        Err(UpstreamError::Deadline) => Outcome::TimedOut,
        Ok(_) | Err(_) => Outcome::Unknown,
    }
}
