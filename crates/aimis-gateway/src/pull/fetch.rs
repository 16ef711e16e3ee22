//! Leases for a HIS, and the wait for them.

use std::sync::Arc;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use tokio::sync::oneshot;

use super::answer;
use super::{Pull, unavailable};
use crate::audit::operator::Operator;
use crate::audit::{Auditor, Kind, Record, Unwritable};
use crate::callback::deliver::body;
use crate::callback::event::{EventId, Payload};
use crate::callback::inbox::{Inbox, InboxError, Lease, Leases, Outcome, Reason};
use crate::client::ClientName;
use crate::config::TargetCharset;
use crate::edge::request_id::RequestId;
use crate::rejection::Rejection;
use crate::telemetry::event::Event;
use crate::telemetry::labels::DeliveryResult;
use crate::telemetry::log::Log;
use crate::tenant::Tenant;

/// The shortest time between two looks of one request: what changes meanwhile is found by one of them.
const PAUSE: Duration = Duration::from_millis(200);
/// What is kept is no event.
const UNREADABLE: Reason = Reason::word("unreadable");

/// What a HIS gets.
pub struct Fetched {
    /// The answer's body.
    pub body: bytes::Bytes,
    /// Events in it.
    pub events: usize,
    /// The tenant is parked: events wait, and none is given out.
    pub parked: bool,
}

/// Who fetches, for the audit trail.
pub struct Reader<'r> {
    /// Keeps it.
    pub auditor: &'r Auditor,
    /// The client.
    pub client: Option<ClientName>,
    /// Its user, if it names one.
    pub operator: Option<Operator>,
    /// The request.
    pub request: RequestId,
}

impl Reader<'_> {
    /// Records that an event is about to be given out.
    async fn record(&self, tenant: &Tenant, event: EventId, payload: &Payload) -> Result<(), Unwritable> {
        let mut record = Box::new(Record::new(Kind::Fetch, self.auditor.clock().now()));
        record.request = Some(self.request);
        record.tenant = Some(tenant.name.clone());
        record.client.clone_from(&self.client);
        record.operator = self.operator;
        record.event = Some(event);
        record.subject = self.auditor.tagger().event(tenant.name.as_str(), payload.as_bytes());
        self.auditor.record(record).await
    }
}

/// Leases that are not in an answer yet. Dropped before, they are given back.
struct Held {
    inbox: Arc<dyn Inbox>,
    leases: Leases,
}

impl Drop for Held {
    fn drop(&mut self) {
        let unused: Vec<Lease> = self.leases.events.drain(..).map(|leased| leased.lease).collect();
        let inbox = Arc::clone(&self.inbox);
        // Without a runtime everything ends, and the next start gives all leases back.
        if let (false, Ok(runtime)) = (unused.is_empty(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                for lease in unused {
                    // One that cannot be given back runs out.
                    let _ = inbox.settle(lease, Outcome::Unused).await;
                }
            });
        }
    }
}

impl Pull {
    /// Leases up to `limit` events. Where there are none it waits for some, up to `wait`.
    ///
    /// # Errors
    /// [`Rejection::Overloaded`] where as many wait as may, [`Rejection::InboxUnavailable`],
    /// [`Rejection::AuditUnavailable`].
    pub async fn fetch(
        &self,
        tenant: &Tenant,
        limit: usize,
        wait: Duration,
        log: &Log,
        reader: Option<&Reader<'_>>,
    ) -> Result<Fetched, Rejection> {
        let (mut changes, mut stop) = (self.inbox.changes(), self.stop.clone());
        let mut end = std::pin::pin!(tokio::time::sleep(wait));
        let mut seat = None;
        loop {
            changes.borrow_and_update();
            let held = self.lease(tenant, limit).await.map_err(unavailable)?;
            if !held.leases.events.is_empty() || wait.is_zero() || end.is_elapsed() || *stop.borrow() {
                return self.give_out(tenant, held, log, reader).await;
            }
            if seat.is_none() {
                seat = Some(self.waiting.sit().ok_or(Rejection::Overloaded)?);
            }
            let due = self.until(held.leases.next_at);
            drop(held);
            let more = async {
                tokio::time::sleep(PAUSE).await;
                tokio::select! {
                    // A sender that is gone would be ready for ever.
                    Ok(()) = changes.changed() => {}
                    () = sleep(due) => {}
                }
            };
            tokio::select! {
                () = more => {}
                // One more look: what came in the pause is not to be missed.
                () = &mut end => {}
                Ok(_) = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Asks for leases, in a task of its own: should the caller go meanwhile, they are given back.
    async fn lease(&self, tenant: &Tenant, limit: usize) -> Result<Held, InboxError> {
        let (inbox, period) = (Arc::clone(&self.inbox), self.bounds.lease);
        let leases = inbox.lease(&tenant.name, limit, period);
        let (give, taken) = oneshot::channel();
        tokio::spawn(async move {
            let held = leases.await.map(|leases| Held { inbox, leases });
            // Not taken, it is dropped here.
            drop(give.send(held));
        });
        taken.await.unwrap_or(Err(InboxError::Closed))
    }

    /// The time until `next_at`, a little longer than needed.
    fn until(&self, next_at: Option<Timestamp>) -> Option<Duration> {
        let next = next_at?.as_millis().saturating_sub(self.clock.now().as_millis());
        Some(Duration::from_millis(next + 1))
    }

    async fn give_out(
        &self,
        tenant: &Tenant,
        mut held: Held,
        log: &Log,
        reader: Option<&Reader<'_>>,
    ) -> Result<Fetched, Rejection> {
        for leased in &held.leases.events {
            if let Some(reader) = reader {
                // Refused, all of them are given back.
                reader.record(tenant, leased.lease.event, &leased.payload).await?;
            }
        }
        for event in &held.leases.unopened {
            self.metrics(tenant.index)?.count(DeliveryResult::Dead);
            log.write(&Event::DeliveryDead {
                trace: None,
                tenant: &tenant.name,
                event: *event,
                attempt: 1,
                reason: &UNREADABLE,
            });
        }
        let mut items = Vec::with_capacity(held.leases.events.len());
        let mut broken = Vec::new();
        for leased in &held.leases.events {
            let event = leased.lease.event;
            match body::write(
                &leased.payload,
                event,
                leased.received_at,
                leased.verified,
                TargetCharset::Utf8,
            ) {
                Ok(body) => items.push((leased.lease, leased.attempt, body)),
                Err(_) => broken.push((leased.lease, leased.attempt)),
            }
        }
        for (lease, attempt) in broken {
            let dead = Outcome::Dead { reason: UNREADABLE };
            if self.inbox.settle(lease, dead).await.is_ok() {
                self.metrics(tenant.index)?.count(DeliveryResult::Dead);
                log.write(&Event::DeliveryDead {
                    trace: None,
                    tenant: &tenant.name,
                    event: lease.event,
                    attempt,
                    reason: &UNREADABLE,
                });
            }
        }
        let body = answer::events(&items, self.bounds.lease);
        held.leases.events.clear();
        Ok(Fetched {
            body,
            events: items.len(),
            parked: held.leases.parked,
        })
    }
}

/// Sleeps; for ever without a time.
async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
