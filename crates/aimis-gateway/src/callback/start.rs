//! The callback worker: a thread and a runtime of its own, so that nothing here delays a query.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::hospital::Hospitals;
use super::inbox::Inbox;
use super::links::LinkHosts;
use super::rate::Rate;
use super::service::{CallbackService, Surroundings};
use super::{BodyBounds, Callbacks, Invalidate};
use crate::clock::Clock;
use crate::config::{self, Callback};
use crate::edge::connection::Bounds;
use crate::edge::guarded_io::Patience;
use crate::edge::tls::door::Door;
use crate::pulse::Beat;
use crate::worker::{self, Worker};
use arc_swap::ArcSwap;
use tokio::sync::watch;

/// What the worker is made of.
pub(crate) struct Parts {
    pub(crate) hospitals: Arc<ArcSwap<Hospitals>>,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) invalidate: Vec<Arc<dyn Invalidate>>,
    pub(crate) signing_clock: Clock,
    pub(crate) surroundings: Surroundings,
    /// Does the handshake on addresses that speak TLS.
    pub(crate) door: Option<Door>,
    pub(crate) beat: Beat,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) abort: watch::Receiver<bool>,
}

/// Starts it.
///
/// # Errors
/// When the system gives no thread or no timer.
pub(crate) fn start(config: &Callback, parts: Parts) -> io::Result<(Worker, JoinHandle<()>)> {
    let Parts {
        hospitals,
        inbox,
        invalidate,
        signing_clock,
        surroundings,
        door,
        beat,
        stop,
        abort,
    } = parts;
    let (clock, metrics) = (surroundings.clock.clone(), Arc::clone(&surroundings.metrics));
    let road = Callbacks {
        hospitals,
        inbox,
        rate: Rate::new(config.max_per_source_per_s, clock.clone()),
        bounds: BodyBounds {
            max: config.max_body,
            timeout: config.body_timeout,
        },
        link_hosts: LinkHosts::new(metrics.callbacks.link_hosts.clone()),
        invalidate,
        clock: clock.clone(),
        signing_clock,
    };
    let parts = worker::Parts {
        service: Box::new(move || CallbackService::new(road, surroundings)),
        bounds: bounds(config),
        door,
        connections: metrics.callbacks.connections.clone(),
        clock,
        metrics,
        beat,
        stop,
        abort,
    };
    Worker::start("aimis-callback".to_owned(), parts)
}

fn bounds(config: &config::Callback) -> Bounds {
    Bounds {
        patience: Patience {
            idle: config.idle_timeout,
            head: config.header_timeout,
            write: config.write_timeout,
        },
        max_head_bytes: config.max_head_bytes,
        max_headers: config.max_headers,
        linger: config.linger_timeout,
        http2: false,
        http2_max_streams: 1,
        http2_max_resets: 1,
    }
}
