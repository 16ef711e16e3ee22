//! What becomes of leases that a HIS reports of.

use std::collections::HashMap;
use std::time::Duration;

use aimis_core::sign::Timestamp;
use bytes::Bytes;
use futures_util::future::join_all;

use super::report::Report;
use super::{Pull, answer, unavailable};
use crate::callback::event::EventId;
use crate::callback::inbox::{Filter, Lease, Outcome, Reason, SettleError, State, Summary};
use crate::rejection::Rejection;
use crate::telemetry::event::Event;
use crate::telemetry::labels::DeliveryResult;
use crate::telemetry::log::Log;
use crate::tenant::Tenant;

/// The HIS did not take it.
const REFUSED: Reason = Reason::word("refused");
/// Ids that are looked up at a time.
const SLICE: usize = 500;

/// What became of leases.
#[derive(Debug, Default)]
pub struct Settled {
    /// Events that the HIS has.
    pub acked: usize,
    /// Events that come again.
    pub nacked: usize,
    /// Leases that are none, or not any more: their events come again, or are somebody else's by now.
    pub lost: Vec<String>,
}

/// One word of a report.
struct Word<'r> {
    text: &'r str,
    /// `None`: the HIS has it. Otherwise when it comes again.
    again: Option<Duration>,
}

impl Pull {
    /// Ends leases. What is told is durable.
    ///
    /// # Errors
    /// [`Rejection::InboxUnavailable`]; some of it may have been done, and can be reported again.
    pub async fn settle(&self, tenant: &Tenant, report: &Report, log: &Log) -> Result<(Settled, Bytes), Rejection> {
        let acked = report.acked.iter().map(|text| Word { text, again: None });
        let nacked = report.nacked.iter().map(|(text, again)| Word {
            text,
            again: Some(again.unwrap_or(self.bounds.retry)),
        });
        let words: Vec<Word<'_>> = acked.chain(nacked).collect();
        let known = self.known(tenant, &words).await?;
        // All at once, so that they share a write to the disk.
        let each = words.iter().map(|word| async {
            let lease = Lease::parse(word.text)?;
            let event = known.get(&lease.event)?;
            let outcome = self.outcome(word, event);
            Some((event, outcome.clone(), self.inbox.settle(lease, outcome).await))
        });
        let ended = join_all(each).await;
        let mut settled = Settled::default();
        for (word, ended) in words.iter().zip(ended) {
            match ended {
                Some((event, outcome, Ok(()))) => {
                    self.tell(tenant, event, &outcome, log)?;
                    match outcome {
                        Outcome::Delivered => settled.acked += 1,
                        _ => settled.nacked += 1,
                    }
                }
                // Said before, and not heard that it was understood.
                Some((event, Outcome::Delivered, Err(SettleError::Lost))) if event.state == State::Delivered => {
                    settled.acked += 1;
                }
                None | Some((_, _, Err(SettleError::Lost))) => settled.lost.push(word.text.to_owned()),
                Some((_, _, Err(SettleError::Inbox(error)))) => return Err(unavailable(error)),
            }
        }
        let body = answer::settled(&settled);
        Ok((settled, body))
    }

    /// The events of leases, as far as they are this tenant's.
    async fn known(&self, tenant: &Tenant, words: &[Word<'_>]) -> Result<HashMap<EventId, Summary>, Rejection> {
        let ids: Vec<EventId> = words
            .iter()
            .filter_map(|word| Lease::parse(word.text))
            .map(|lease| lease.event)
            .collect();
        let mut known = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(SLICE) {
            let filter = Filter {
                ids: Some(ids.to_vec()),
                tenant: Some(tenant.name.clone()),
                ..Filter::default()
            };
            let events = self.inbox.list(filter, None, SLICE).await.map_err(unavailable)?;
            known.extend(events.into_iter().map(|event| (event.id, event)));
        }
        Ok(known)
    }

    fn outcome(&self, word: &Word<'_>, event: &Summary) -> Outcome {
        match word.again {
            None => Outcome::Delivered,
            Some(_) if self.bounds.attempts.is_some_and(|most| event.attempts >= most) => {
                Outcome::Dead { reason: REFUSED }
            }
            Some(again) => Outcome::Retry {
                after: again,
                reason: REFUSED,
            },
        }
    }

    /// Counts and tells what became of an event, in the words of a delivery.
    fn tell(&self, tenant: &Tenant, summary: &Summary, outcome: &Outcome, log: &Log) -> Result<(), Rejection> {
        let metrics = self.metrics(tenant.index)?;
        let (tenant, event, attempt) = (&tenant.name, summary.id, summary.attempts);
        let now = self.clock.now();
        match outcome {
            Outcome::Delivered => {
                let lag = between(summary.received_at, now);
                metrics.count(DeliveryResult::Ok);
                metrics.lag(lag);
                log.write(&Event::Delivered {
                    trace: None,
                    tenant,
                    event,
                    attempt,
                    lag,
                });
            }
            Outcome::Retry { after, reason } => {
                metrics.count(DeliveryResult::Retry);
                log.write(&Event::DeliveryFailed {
                    trace: None,
                    tenant,
                    event,
                    attempt,
                    reason,
                    next: *after,
                    left_out: 0,
                });
            }
            Outcome::Dead { reason } => {
                metrics.count(DeliveryResult::Dead);
                log.write(&Event::DeliveryDead {
                    trace: None,
                    tenant,
                    event,
                    attempt,
                    reason,
                });
            }
            Outcome::Parked { .. } | Outcome::Unused => {}
        }
        Ok(())
    }
}

fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::from_millis(end.as_millis().saturating_sub(start.as_millis()))
}
