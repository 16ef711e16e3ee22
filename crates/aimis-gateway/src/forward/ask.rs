//! From an order to the platform's answer: what stands between a checked question and a reply.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aimis_core::order::Order;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::protect;
use crate::rejection::Rejection;
use crate::tenant::Tenant;
use crate::upstream::Platform;
use crate::upstream::error::UpstreamError;
use crate::upstream::reply::Reply;

/// Why there is no answer to an order. Several may wait for the same one, so it is small and copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The platform was asked, or could not be.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl From<NoReply> for Rejection {
    fn from(no_reply: NoReply) -> Self {
        match no_reply {
            NoReply::Upstream(error) => Self::Upstream(error),
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
    /// An attempt was signed by the platform's clock, since ours is off.
    pub resigned: bool,
}

/// Asks for a worker's requests. Cloning gives another handle; all belong to one thread.
#[derive(Clone)]
pub struct Asker(Rc<Inner>);

struct Inner {
    platform: Platform,
}

impl Asker {
    /// Asks `platform`.
    pub fn new(platform: Platform) -> Self {
        Self(Rc::new(Inner { platform }))
    }

    /// The platform, for what is not a question.
    pub fn platform(&self) -> &Platform {
        &self.0.platform
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
        let protected = protect::protect(&order, api, tenant);
        // What the patient is called is not kept while the platform thinks.
        drop(order);
        let sent = self.0.platform.send(protected, deadline).await;
        Asked {
            result: sent.result.map_err(NoReply::Upstream),
            attempts: sent.attempts,
            upstream_time: sent.took,
            resigned: sent.resigned,
        }
    }
}
