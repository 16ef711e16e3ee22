//! The control thread: accepts for the workers, serves telemetry, and leads the stop.
//!
//! It has a runtime of its own, so that a scrape or a slow probe never delays a query.

use std::cell::RefCell;
use std::future::ready;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use http::Response;
use http_body_util::BodyExt;
use prometheus::IntCounter;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::admin::{Admin, Door};
use crate::clock::Clock;
use crate::config::{Config, Language};
use crate::edge::connection::{self, Asked, Body, Bounds};
use crate::edge::guarded_io::Patience;
use crate::edge::request_id::RequestIds;
use crate::edge::tls::reload::Reloader;
use crate::emptiness;
use crate::forward::service::identify;
use crate::listener::{self, Accepted, Listener, Queue};
use crate::live::Live;
use crate::live::reload::{Order, Reload};
use crate::live::rotation::Rotation;
use crate::pulse::Beat;
use crate::rejection::{self, Rejection};
use crate::sources::{SourceFull, Sources};
use crate::telemetry::event::Event;
use crate::telemetry::http::Telemetry;
use crate::telemetry::labels::{ListenerName, Origin, RefusedConnection};
use crate::telemetry::throttle::{Throttle, Throttles};
use crate::telemetry::traces::Exporter;
use crate::worker::Worker;

/// Shortest time between the signal and the close of connections that wait for a request. In it every
/// answer says `Connection: close`, so a client that is busy moves on by itself and none is cut between
/// its request and our close.
const SETTLE: Duration = Duration::from_millis(250);
/// Time for a connection that was accepted last to send its request.
const LAST_ACCEPTED: Duration = Duration::from_millis(100);

/// Connections that are being told that there is no place for them.
const MAX_FAREWELLS: usize = 128;

/// The switches of a stop, in the order in which they are thrown.
#[derive(Clone)]
pub(crate) struct Controls {
    /// The signal came: readiness says no, answers say `Connection: close`.
    pub(crate) drain: Arc<watch::Sender<bool>>,
    /// Requests that come from now on are refused.
    pub(crate) refuse: Arc<AtomicBool>,
    /// Connections that wait for a request are closed.
    pub(crate) stop: Arc<watch::Sender<bool>>,
    /// Whatever still runs is cut.
    pub(crate) abort: Arc<watch::Sender<bool>>,
}

impl Controls {
    pub(crate) fn new() -> Self {
        let switch = || Arc::new(watch::Sender::new(false));
        Self {
            drain: switch(),
            refuse: Arc::default(),
            stop: switch(),
            abort: switch(),
        }
    }

    /// Waits until every thread has ended; false if `timeout`, counted from the close of the listeners,
    /// was over first.
    pub(crate) fn wait_for_end(&self, mut ended: oneshot::Receiver<()>, timeout: Duration) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        // Without a timer there is no waiting; cutting is what is left.
        let Ok(runtime) = runtime else { return false };
        let mut stop = self.stop.subscribe();
        runtime.block_on(async {
            tokio::select! {
                _ = &mut ended => return true,
                _ = stop.wait_for(|stop| *stop) => {}
            }
            tokio::time::timeout(timeout, ended).await.is_ok()
        })
    }
}

/// What the control thread works with.
pub(crate) struct Parts {
    pub(crate) lan: Vec<Listener>,
    pub(crate) telemetry: Vec<Listener>,
    pub(crate) admin: Vec<Listener>,
    pub(crate) served: Telemetry,
    /// What `admin` answers with.
    pub(crate) operator: Admin,
    pub(crate) workers: Vec<Worker>,
    /// Where callbacks are taken; none without a callback worker.
    pub(crate) callback: Vec<Listener>,
    pub(crate) callback_worker: Option<Worker>,
    pub(crate) config: Config,
    pub(crate) controls: Controls,
    pub(crate) clock: Clock,
    /// Watch over the listeners' certificates.
    pub(crate) reloaders: Vec<Reloader>,
    /// Has them look at once.
    pub(crate) look: watch::Receiver<u64>,
    pub(crate) emptiness: emptiness::Watch,
    /// Takes spans to the collector, where there is one.
    pub(crate) exporter: Option<Exporter>,
    pub(crate) beat: Beat,
    pub(crate) reload: Reload,
    pub(crate) reload_orders: mpsc::UnboundedReceiver<Order>,
    pub(crate) live: Arc<Live>,
}

/// Starts the thread; it ends when the stop is through its last step but the abort.
///
/// # Errors
/// When the system gives no thread, no timer or no randomness.
pub(crate) fn start(parts: Parts) -> io::Result<JoinHandle<()>> {
    let ids = RequestIds::new(parts.clock.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("aimis-control".to_owned())
        .spawn(move || {
            LocalSet::new().block_on(&runtime, run(parts, ids));
            // A file that hangs on a network mount must not hold up the stop.
            runtime.shutdown_background();
        })
}

async fn run(parts: Parts, ids: RequestIds) {
    let Parts {
        lan,
        telemetry,
        admin,
        served,
        operator,
        workers,
        callback,
        callback_worker,
        config,
        controls,
        clock,
        reloaders,
        look,
        emptiness,
        exporter,
        beat,
        reload,
        reload_orders,
        live,
    } = parts;
    // Both end with this thread's runtime.
    tokio::task::spawn_local(emptiness.run());
    tokio::task::spawn_local(beat.keep(clock.clone()));
    tokio::task::spawn_local(reload.run(reload_orders));
    tokio::task::spawn_local(Rotation::new(live, clock.clone(), served.log.clone()).run());
    let accept_more = watch::Sender::new(false);
    let end_telemetry = watch::Sender::new(false);
    let exporting = exporter.map(|exporter| tokio::task::spawn_local(exporter.run(end_telemetry.subscribe())));
    let ids = Rc::new(RefCell::new(ids));
    let group = |listener, all, most, per_source, refused: &IntCounter| {
        Rc::new(Workers {
            listener,
            all,
            most,
            sources: Sources::new(per_source),
            refused: refused.clone(),
            refusals: Throttles::new(RefusedConnection::ALL.len(), config.log.repeat_interval, &clock),
            log_client_address: config.log.client_address,
            served: served.clone(),
            ids: Rc::clone(&ids),
            language: config.lan.language,
            farewells: Rc::default(),
        })
    };
    let mut groups = vec![(
        lan,
        group(
            ListenerName::Lan,
            workers,
            config.lan.max_connections,
            config.lan.max_connections_per_source,
            &served.metrics.lan_connections_refused,
        ),
    )];
    if let (Some(settings), Some(worker)) = (&config.callback, callback_worker) {
        let callbacks = group(
            ListenerName::Callback,
            vec![worker],
            settings.max_connections,
            settings.max_connections_per_source,
            &served.metrics.callbacks.connections_refused,
        );
        groups.push((callback, callbacks));
    }

    for reloader in reloaders {
        // Ends with this thread.
        tokio::task::spawn_local(reloader.run(look.clone()));
    }
    let throttle = || Throttle::new(config.log.repeat_interval, clock.clone());
    let mut accept_loops = JoinSet::new();
    let mut workers = Vec::new();
    for (listeners, group) in groups {
        for listener in listeners {
            // Who would come during a stop waits for the successor, where there is a queue to wait in.
            let stop = match listener.queue() {
                Queue::Ours => accept_more.subscribe(),
                Queue::Kept => controls.drain.subscribe(),
            };
            let (log, group) = (served.log.clone(), Rc::clone(&group));
            let throttle = throttle();
            accept_loops.spawn_local(async move {
                listener::accept(listener, group.listener.as_str(), stop, log, throttle, |connection| {
                    group.take(connection);
                })
                .await
            });
        }
        workers.push(group);
    }
    let mut side_doors = JoinSet::new();
    let mut open = |listener, name, most, timeout, answerer| {
        let door = SideDoor::new(most, timeout, answerer, end_telemetry.subscribe());
        let (stop, log, throttle) = (end_telemetry.subscribe(), served.log.clone(), throttle());
        side_doors.spawn_local(async move {
            listener::accept(listener, name, stop, log, throttle, |connection| door.take(connection)).await
        });
    };
    for listener in telemetry {
        let telemetry = served.clone();
        let answerer: Answerer = Rc::new(move |asked| ready(telemetry.answer(&asked)).boxed_local());
        let settings = &config.telemetry;
        open(
            listener,
            "telemetry",
            settings.max_connections,
            settings.timeout,
            answerer,
        );
    }
    for (listener, settings) in admin.into_iter().zip(config.admin.iter().cycle()) {
        let operator = operator.clone();
        let door = match &listener {
            Listener::Tcp(..) => Door::Tcp,
            Listener::Unix(..) => Door::Unix,
        };
        let answerer: Answerer = Rc::new(move |asked| operator.clone().answer(asked, door).boxed_local());
        open(listener, "admin", settings.max_connections, settings.timeout, answerer);
    }

    let mut drain = controls.drain.subscribe();
    // The sender lives in `controls`, so this ends with the signal.
    let _ = drain.wait_for(|drain| *drain).await;
    served.health.drain();
    tokio::select! {
        () = tokio::time::sleep(config.drain.delay.max(SETTLE)) => {}
        () = aborted(&controls) => {}
    }
    accept_more.send_replace(true);
    while accept_loops.join_next().await.is_some() {}
    tokio::select! {
        () = tokio::time::sleep(LAST_ACCEPTED) => {}
        () = aborted(&controls) => {}
    }
    controls.refuse.store(true, Ordering::Relaxed);
    controls.stop.send_replace(true);
    // The workers end when nobody can hand them a connection any more and theirs are done.
    let idle = async {
        let busy = |group: &Rc<Workers>| group.all.iter().any(|worker| worker.open() > 0);
        while workers.iter().any(busy) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Probes are answered for as long as requests run.
    tokio::select! {
        () = idle => {}
        () = aborted(&controls) => {}
    }
    end_telemetry.send_replace(true);
    if let Some(exporting) = exporting {
        // What came last is worth a moment, and no more than `traces.flush_ms`.
        tokio::select! {
            _ = exporting => {}
            () = aborted(&controls) => {}
        }
    }
}

async fn aborted(controls: &Controls) {
    let mut abort = controls.abort.subscribe();
    let _ = abort.wait_for(|abort| *abort).await;
}

/// Spreads the connections of one listener over its workers.
struct Workers {
    listener: ListenerName,
    all: Vec<Worker>,
    most: usize,
    sources: Sources,
    refused: IntCounter,
    refusals: Throttles,
    log_client_address: bool,
    served: Telemetry,
    ids: Rc<RefCell<RequestIds>>,
    language: Language,
    farewells: Rc<()>,
}

impl Workers {
    fn take(&self, connection: Accepted) {
        let open: usize = self.all.iter().map(Worker::open).sum();
        let quietest = self.all.iter().min_by_key(|worker| worker.open());
        let Some(worker) = quietest.filter(|_| open < self.most) else {
            return self.refuse(connection, RefusedConnection::Full);
        };
        match self.sources.take(connection.source()) {
            Ok(seat) => worker.take(connection, seat),
            Err(SourceFull) => self.refuse(connection, RefusedConnection::Source),
        }
    }

    fn refuse(&self, connection: Accepted, reason: RefusedConnection) {
        self.refused.inc();
        if let Some(left_out) = self.refusals.pass(reason.index()) {
            self.served.log.write(&Event::ConnectionRefused {
                listener: self.listener,
                reason,
                client: connection.source().filter(|_| self.log_client_address),
                left_out,
            });
        }
        // So many at once are told so; beyond that a flood is only closed.
        if Rc::strong_count(&self.farewells) <= MAX_FAREWELLS {
            let (answer, said) = (self.full(), Rc::clone(&self.farewells));
            tokio::task::spawn_local(async move {
                listener::refuse(connection, answer).await;
                drop(said);
            });
        }
    }

    /// The answer to a connection too many. Its request is not read, so its language is the configured one.
    fn full(&self) -> Vec<u8> {
        let id = self.ids.borrow_mut().make();
        let (mut head, body) = rejection::to_response(&Rejection::Overloaded, self.language, &id).into_parts();
        identify(&mut head.headers, id, Origin::Gateway);
        let body = body
            .collect()
            .now_or_never()
            .and_then(Result::ok)
            .unwrap_or_default()
            .to_bytes();
        let mut answer = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
        for (name, value) in &head.headers {
            answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        answer.extend(format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len()).bytes());
        answer.extend(body);
        answer
    }
}

/// Answers one request of somebody who is no HIS.
type Answerer = Rc<dyn Fn(Asked) -> LocalBoxFuture<'static, Response<Body>>>;

/// Serves the side doors: probes and scrapes, the operator.
struct SideDoor {
    most: usize,
    bounds: Bounds,
    answerer: Answerer,
    stop: watch::Receiver<bool>,
    open: Rc<()>,
}

impl SideDoor {
    fn new(most: usize, timeout: Duration, answerer: Answerer, stop: watch::Receiver<bool>) -> Self {
        let patience = Patience {
            idle: timeout,
            head: timeout,
            write: timeout,
        };
        let bounds = Bounds {
            patience,
            max_head_bytes: 8192,
            max_headers: 64,
            linger: timeout,
            http2: false,
            http2_max_streams: 1,
            http2_max_resets: 1,
        };
        Self {
            most,
            bounds,
            answerer,
            stop,
            open: Rc::new(()),
        }
    }

    fn take(&self, connection: Accepted) {
        // One count is held by `self`; a probe that finds no place is closed and tried again by its maker.
        if Rc::strong_count(&self.open) > self.most {
            return;
        }
        let (bounds, answerer, stop, open) = (
            self.bounds,
            Rc::clone(&self.answerer),
            self.stop.clone(),
            Rc::clone(&self.open),
        );
        tokio::task::spawn_local(async move {
            let _open = open;
            match connection {
                Accepted::Tcp(stream, ..) => {
                    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
                        return;
                    };
                    connection::serve(stream, bounds, bounds.plaintext(), stop, |asked| answerer(asked)).await;
                }
                Accepted::Unix(stream) => {
                    let Ok(stream) = tokio::net::UnixStream::from_std(stream) else {
                        return;
                    };
                    connection::serve(stream, bounds, bounds.plaintext(), stop, |asked| answerer(asked)).await;
                }
            }
        });
    }
}
