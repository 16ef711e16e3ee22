//! Takes spans from the queue to the collector: gathered, tried again with growing pauses, given up in the end.
//!
//! It runs on the control thread. A collector that is away, slow or wrong costs the spans, a counter, and one line when
//! it begins and one when it is over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::destination::{Destination, resource};
use super::metrics::TraceMetrics;
use super::protobuf::{self, Resource};
use super::span::Span;
use crate::clock;
use crate::config::Traces;
use crate::post::{Bounds, post};
use crate::telemetry::event::Event;
use crate::telemetry::log::Log;
use crate::upstream::addresses::Resolver;
use crate::upstream::jitter::Jitter;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest first pause; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// See the module's text.
pub struct Exporter {
    queue: mpsc::Receiver<Span>,
    destination: Destination,
    settings: Traces,
    resource: Resource,
    resolver: Resolver,
    jitter: Jitter,
    metrics: Arc<TraceMetrics>,
    log: Log,
    failing: bool,
}

/// Why a try failed.
struct Failed {
    reason: &'static str,
    status: Option<u16>,
    /// Whether another try may help, and how long the collector asks to wait.
    again: Option<Duration>,
}

impl Exporter {
    /// Exports what is in `queue`. `instance` tells this process from others.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        queue: mpsc::Receiver<Span>,
        destination: Destination,
        settings: &Traces,
        instance: &'static str,
        resolver: Resolver,
        metrics: &Arc<TraceMetrics>,
        log: Log,
    ) -> std::io::Result<Self> {
        Ok(Self {
            queue,
            destination,
            resource: Resource {
                attributes: resource(settings, instance),
            },
            settings: settings.clone(),
            resolver,
            jitter: Jitter::new()?,
            metrics: Arc::clone(metrics),
            log,
            failing: false,
        })
    }

    /// Works until `stop`; then what is there has `traces.flush_ms` to get through.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut held = Vec::new();
        let mut stopped = std::pin::pin!(async move {
            // A sender that is gone is a stop as well.
            let _ = stop.wait_for(|stop| *stop).await;
        });
        loop {
            let sent = tokio::select! {
                biased;
                () = &mut stopped => break,
                sent = self.round(&mut held) => sent,
            };
            if !sent {
                return;
            }
        }
        let flush = self.settings.flush;
        // What is cut off, or not tried any more, is lost.
        let _ = timeout(flush, self.flush(&mut held)).await;
        while let Ok(span) = self.queue.try_recv() {
            held.push(span);
        }
        self.metrics.failed.inc_by(held.len() as u64);
    }

    /// Gathers and sends once; false when nothing will come any more. Whatever is not sent stays in `held`.
    async fn round(&mut self, held: &mut Vec<Span>) -> bool {
        if self.queue.recv_many(held, self.settings.batch).await == 0 {
            return false;
        }
        let gather = async {
            while held.len() < self.settings.batch {
                let room = self.settings.batch - held.len();
                if self.queue.recv_many(held, room).await == 0 {
                    break;
                }
            }
        };
        // At the end of the time, what there is.
        let _ = timeout(self.settings.delay, gather).await;
        self.send(held).await;
        held.clear();
        true
    }

    /// Sends all that is there, each batch once: there is no time for more.
    async fn flush(&mut self, held: &mut Vec<Span>) {
        loop {
            while held.len() < self.settings.batch
                && let Ok(span) = self.queue.try_recv()
            {
                held.push(span);
            }
            if held.is_empty() {
                return;
            }
            let body = Bytes::from(protobuf::export(&self.resource, held));
            match self.try_once(body).await {
                Ok(rejected) => self.done(held.len(), rejected),
                Err(failed) => return self.tell_failing(&failed),
            }
            held.clear();
        }
    }

    /// Sends a batch, or gives it up.
    async fn send(&mut self, batch: &[Span]) {
        let body = Bytes::from(protobuf::export(&self.resource, batch));
        let end = clock::timer_now() + self.settings.give_up;
        let mut longest = FIRST_PAUSE;
        loop {
            let failed = match self.try_once(body.clone()).await {
                Ok(rejected) => return self.done(batch.len(), rejected),
                Err(failed) => failed,
            };
            self.tell_failing(&failed);
            let pause = match failed.again {
                Some(asked) => asked.max(longest / 2 + self.jitter.up_to(longest / 2)),
                None => break,
            };
            if clock::timer_now() + pause >= end {
                break;
            }
            sleep(pause).await;
            longest = (longest * 2).min(LONGEST_PAUSE);
        }
        self.metrics.failed.inc_by(batch.len() as u64);
    }

    /// Tries once; how many spans the collector did not take of those it was given.
    async fn try_once(&self, body: Bytes) -> Result<u64, Failed> {
        let bounds = Bounds {
            timeout: self.settings.timeout,
            max_answer: MAX_ANSWER,
        };
        let request = self.destination.request(body);
        let answer = post(self.destination.place(), &self.resolver, request, bounds).await;
        let answer = answer.map_err(|fault| Failed {
            reason: fault.word(),
            status: None,
            again: Some(Duration::ZERO),
        })?;
        match answer.status {
            200..=299 => Ok(answer.body.as_deref().map_or(0, protobuf::rejected)),
            status => Err(Failed {
                reason: "status",
                status: Some(status),
                again: matches!(status, 429 | 502 | 503 | 504).then(|| answer.retry_after.unwrap_or_default()),
            }),
        }
    }

    fn done(&mut self, sent: usize, rejected: u64) {
        let rejected = rejected.min(sent as u64);
        self.metrics.exported.inc_by(sent as u64 - rejected);
        self.metrics.failed.inc_by(rejected);
        if std::mem::take(&mut self.failing) {
            self.metrics.failing.set(0);
            self.log.write(&Event::TracesWork);
        }
    }

    fn tell_failing(&mut self, failed: &Failed) {
        if !std::mem::replace(&mut self.failing, true) {
            self.metrics.failing.set(1);
            self.log.write(&Event::TracesFailing {
                reason: failed.reason,
                status: failed.status,
            });
        }
    }
}
