//! Traces: what a request, its attempts at the platform, a callback and its delivery took, for a collector (OTLP).
//!
//! ```text
//! worker, callback, delivery ── Tracer ──> queue ──> Exporter, on the control thread ──> collector
//! ```
//!
//! | file | is about |
//! |---|---|
//! | `context` | `traceparent`: which trace a request belongs to |
//! | `sampler` | which traces are exported |
//! | `span` | a span, and what it may hold |
//! | `request` | what became of a request, as spans |
//! | `event` | what became of a callback and its delivery, as spans |
//! | `destination` | the collector, as the configuration names it |
//! | `protobuf` | spans as bytes |
//! | `exporter` | gathers, sends, tries again, gives up |
//! | `metrics` | counts them |
//!
//! A worker never waits for any of it: a span that finds the queue full is dropped and counted. Without a collector
//! there is no [`Tracer`], and whoever would use one only looks for it.

mod context;
mod destination;
mod event;
mod exporter;
mod metrics;
mod protobuf;
mod request;
mod sampler;
mod span;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::mpsc;

pub use context::{Parent, SpanId, TRACEPARENT, Trace, TraceId};
pub use destination::{Destination, TracesError};
pub use event::{Brought, Came};
pub use exporter::Exporter;
pub use metrics::TraceMetrics;
pub use request::Tried;
pub use sampler::Sampler;
pub use span::{Kind, Span, Value};

use crate::clock::{Clock, Moment};
use crate::config;

/// Makes traces. Cloning gives another handle.
#[derive(Clone)]
pub struct Tracer(Arc<Inner>);

struct Inner {
    sampler: Sampler,
    clock: Clock,
    queue: mpsc::Sender<Span>,
    ids: AtomicU64,
    metrics: Arc<TraceMetrics>,
}

impl Tracer {
    /// A tracer, and what it queues.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        settings: &config::Traces,
        clock: &Clock,
        metrics: &Arc<TraceMetrics>,
    ) -> io::Result<(Self, mpsc::Receiver<Span>)> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let (queue, queued) = mpsc::channel(settings.queue);
        let tracer = Self(Arc::new(Inner {
            sampler: Sampler::of(settings),
            clock: clock.clone(),
            queue,
            ids: AtomicU64::new(u64::from_ne_bytes(seed)),
            metrics: Arc::clone(metrics),
        }));
        Ok((tracer, queued))
    }

    /// The place of a request in its caller's trace, or in one that begins with it.
    pub fn begin(&self, headers: &HeaderMap) -> Trace {
        match Parent::of(headers) {
            Some(parent) => Trace {
                trace: parent.trace,
                span: self.span_id(),
                parent: Some(parent.span),
                sampled: self.0.sampler.of_caller(parent),
            },
            None => self.root(self.trace_id()),
        }
    }

    fn root(&self, trace: TraceId) -> Trace {
        Trace {
            trace,
            span: self.span_id(),
            parent: None,
            sampled: self.0.sampler.of_root(trace),
        }
    }

    /// Queues a span of a trace that is exported.
    fn record(&self, span: Span) {
        if self.0.queue.try_send(span).is_err() {
            self.0.metrics.dropped.inc();
        }
    }

    fn trace_id(&self) -> TraceId {
        loop {
            let bytes = (u128::from(self.random()) << 64 | u128::from(self.random())).to_be_bytes();
            if let Some(id) = TraceId::new(bytes) {
                return id;
            }
        }
    }

    fn span_id(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(self.random().to_be_bytes()) {
                return id;
            }
        }
    }

    /// SplitMix64 (G. Steele and others, 2014): ids tell spans apart and keep no secret.
    fn random(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.ids.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Wall and monotonic time of this moment, which what a trace has are told by: so its spans lie within each other
    /// even if the machine's clock is set meanwhile.
    fn now(&self) -> Now {
        Now {
            moment: self.0.clock.moment(),
            wall: self.0.clock.wall(),
        }
    }
}

/// One moment on both scales.
#[derive(Clone, Copy)]
struct Now {
    moment: Moment,
    wall: Duration,
}

impl Now {
    /// The wall time of an earlier moment.
    fn at(self, earlier: Moment) -> Duration {
        self.wall.saturating_sub(self.moment.since(earlier))
    }
}
