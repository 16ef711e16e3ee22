//! The running gateway: built once from a configuration, then only watched.
//!
//! ```text
//! control thread            worker threads, one a core
//!   accept lan  ──────────>  connection -> forward road -> platform
//!   telemetry                  (own runtime, own pool, own log lane)
//!   accept callback ──────>  callback worker: one thread, the callback road, the inbox
//!                          reconcile: asks for study lists, where a tenant wants that
//! log thread: empties all lanes
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::admin::Admin;
use crate::audit::{self, Audit, AuditGuard};
use crate::cache_truth::{CacheTruth, SharedTruth};
use crate::callback;
use crate::callback::deliver::{self, Deliverer};
use crate::callback::inbox::postgres::Contact;
use crate::callback::inbox::sqlite::Role;
use crate::callback::inbox::{self, Inbox, OpenError, end_process};
use crate::clock::Clock;
use crate::config::{Config, FileMode, ListenAddr, Sources};
use crate::control;
use crate::edge::connection::Bounds;
use crate::edge::guarded_io::Patience;
use crate::edge::request_id::RequestIds;
use crate::edge::tls::door::{Door, Live};
use crate::edge::tls::reload::{First, Reloader};
use crate::emptiness;
use crate::forward::cache::shared::{self, Shared, keys::FileKeys};
use crate::forward::cache::{Cache, Room};
use crate::forward::roads::Roads;
use crate::forward::service::RoadService;
use crate::inherited::{Inherited, InheritedError};
use crate::listener::{BindError, Listener};
use crate::live::reload::{Followers, Order, Reload, ReloadError, Reloaded, level};
use crate::live::{Around, Generation, Live as InForce};
use crate::prepare::PrepareError;
use crate::pulse::Pulse;
use crate::reconcile;
use crate::snapshot::Snapshot;
use crate::store::{Store, keeper};
use crate::telemetry::event::Event;
use crate::telemetry::health::Health;
use crate::telemetry::http::Telemetry;
use crate::telemetry::labels::{HandshakeFailure, ReadyCheck};
use crate::telemetry::log::{Log, LogGuard};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::tenants::TenantLabels;
use crate::telemetry::throttle::Throttles;
use crate::telemetry::traces::{Exporter, Tracer};
use crate::token_end;
use crate::upstream::addresses::Resolver;
use crate::worker::{self, Worker};

/// What a gateway needs beside its configuration.
pub struct Surroundings {
    /// What time it is.
    pub clock: Clock,
    /// Finds the addresses of the platform and its proxies.
    pub resolver: Resolver,
    /// Where log lines go.
    pub log_output: Box<dyn io::Write + Send>,
    /// Tells this process from others in the log.
    pub instance: &'static str,
    /// Listening sockets that the service manager keeps; none where it keeps none.
    pub inherited: Inherited,
    /// What the configuration was read from, to be read again; `None` where it does not change. The files that it
    /// names are read again in any case.
    pub sources: Option<Sources>,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file that the configuration names is not usable.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A socket of the service manager cannot be used.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// The inbox cannot be opened.
    #[error(transparent)]
    Inbox(#[from] OpenError),
    /// The audit trail cannot be taken up.
    #[error(transparent)]
    Audit(#[from] audit::OpenError),
    /// The system denied a thread, a timer or randomness.
    #[error("the system denied a resource: {}", .0.kind())]
    System(#[from] io::Error),
}

/// A gateway that runs. Dropping it stops it at once; [`Gateway::drain`] stops it well.
pub struct Gateway {
    lan: Vec<SocketAddr>,
    callback: Vec<SocketAddr>,
    telemetry: Vec<SocketAddr>,
    admin: Vec<SocketAddr>,
    controls: control::Controls,
    control: Option<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    drain_delay: Duration,
    drain_timeout: Duration,
    inbox_stop: Duration,
    cache: Arc<Cache>,
    clock: Clock,
    pulse: Pulse,
    live: Arc<InForce>,
    reload: mpsc::UnboundedSender<Order>,
    log: Log,
    /// Behind all that records: what is recorded while the rest ends is written out.
    _audit_guard: Option<AuditGuard>,
    /// Last of all: what is written while the rest ends is written out.
    _log_guard: LogGuard,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut because `drain.timeout_ms` was over.
    pub cut: u64,
}

impl Gateway {
    /// Starts a gateway: secrets, trust and addresses first, threads last, so that what is wrong is told
    /// before anything runs.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(config: &Config, surroundings: Surroundings) -> Result<Self, StartError> {
        let Surroundings {
            clock,
            resolver,
            log_output,
            instance,
            mut inherited,
            sources,
        } = surroundings;
        let mut prepared = crate::prepare::prepare(config)?;
        crate::prepare::check_keys(config, crate::audit::Needed::ToWrite)?;
        let mut bind = |listen: &[ListenAddr], mode, tls| bind(listen, mode, tls, &mut inherited);
        let lan = bind(
            &config.lan.listen,
            Some(config.lan.socket_mode),
            prepared.lan_tls.is_some(),
        )?;
        let callback = match &config.callback {
            Some(settings) => bind(&settings.listen, Some(settings.socket_mode), settings.tls.is_some())?,
            None => Vec::new(),
        };
        let telemetry = bind(&config.telemetry.listen, None, false)?;
        let admin = match &config.admin {
            Some(admin) => bind(&admin.listen, Some(admin.socket_mode), false)?,
            None => Vec::new(),
        };
        inherited.all_taken()?;
        let addresses = |listeners: &[Listener]| listeners.iter().filter_map(Listener::address).collect::<Vec<_>>();
        let (lan_addresses, telemetry_addresses) = (addresses(&lan), addresses(&telemetry));
        let callback_addresses = addresses(&callback);
        let admin_addresses = addresses(&admin);

        let (log, log_guard) = Log::start(clock.clone(), level(config.log.level), instance, log_output)?;
        let snapshot = &prepared.snapshot;
        let labels = TenantLabels::new(&snapshot.tenants.names(), config.telemetry.tenant_labels);
        let metrics = Metrics::labelled(labels, &snapshot.apis.names(), &snapshot.codes);
        let audit = config
            .audit
            .as_ref()
            .map(|settings| Audit::start(settings, &clock, &log, &metrics.audit))
            .transpose()?;
        let (audit, audit_guard) = audit.unzip();
        let traces = prepared.traces.take().map(|destination| {
            let (settings, counted) = (&config.traces, &metrics.traces);
            let (tracer, queue) = Tracer::new(settings, &clock, counted)?;
            let resolver = resolver.clone();
            let exporter = Exporter::new(queue, destination, settings, instance, resolver, counted, log.clone())?;
            Ok::<_, io::Error>((tracer, exporter))
        });
        let (tracer, exporter) = traces.transpose()?.unzip();
        let lane = || audit.as_ref().map(Audit::lane);
        let operator = lane();
        let health = Health::new(Arc::clone(&metrics));
        health.set(ReadyCheck::Config, true);
        health.set(ReadyCheck::Secrets, true);
        let seconds = clock.now().as_millis() as f64 / 1000.0;
        metrics.reloads.started(seconds);
        for tenant in snapshot.tenants.all() {
            for held in tenant.keyring.all() {
                log.write(&Event::SecretLoaded {
                    tenant: &tenant.name,
                    fingerprint: held.key.fingerprint(),
                    source: held.source,
                });
            }
            metrics.secret_loaded(tenant.name.as_str(), seconds);
        }

        let tls = prepared.lan_tls.take().map(live);
        let throttles = Throttles::new(HandshakeFailure::ALL.len(), config.log.repeat_interval, &clock);
        let throttles = Arc::new(throttles);
        let controls = control::Controls::new();
        let signing_clock = clock.shifted(config.clock.offset_ms);
        let door = |live: &Live, timeout, log| Door {
            live: Arc::clone(live),
            timeout,
            metrics: Arc::clone(&metrics),
            log,
            log_client_address: config.log.client_address,
            throttles: Arc::clone(&throttles),
            clock: clock.clone(),
        };
        let inbox = config
            .callback
            .as_ref()
            .map(|_| open_inbox(config, &clock, &metrics, &log, &health))
            .transpose()?;
        // Also where nothing is taken: then nothing is to be kept.
        health.set(ReadyCheck::Inbox, true);
        let store = match (&config.store, prepared.store.take()) {
            (Some(settings), Some(target)) => {
                let metrics = Arc::clone(&metrics.store);
                Some(Store::new(
                    settings,
                    config.log.repeat_interval,
                    target,
                    clock.clone(),
                    metrics,
                    log.own_lane(),
                )?)
            }
            _ => None,
        };
        let cache = cache(config, &store, prepared.cache_files.take(), snapshot, &clock, &metrics)?;
        let around = Around {
            clock: clock.clone(),
            log: log.clone(),
            resolver: resolver.clone(),
            store: store.clone(),
            inbox: inbox.clone(),
            audit: audit.as_ref().map(Audit::key_ring),
            stop: controls.drain.subscribe(),
        };
        let callback_first = prepared.callbacks.as_mut().and_then(|callbacks| callbacks.tls.take());
        let first = Generation::first(config.clone(), prepared, Arc::clone(&metrics), &around)?;
        token_end::show(&first);
        let in_force = InForce::new(first);
        let pulse = Pulse::default();
        let count = worker_count(config);
        let mut workers = Vec::with_capacity(count);
        let mut threads = Vec::with_capacity(count);
        if let Some(store) = store {
            threads.push(keeper::start(store, controls.stop.subscribe())?);
        }
        for index in 0..count {
            let (in_force, cache) = (Arc::clone(&in_force), Arc::clone(&cache));
            let (clock, log) = (clock.clone(), log.own_lane());
            let (health, draining) = (health.clone(), Arc::clone(&controls.refuse));
            let ids = RequestIds::new(clock.clone())?;
            let tracer = tracer.clone();
            let audited = lane().zip(config.audit.as_ref().map(|audit| audit.operator_header.name.clone()));
            let parts = worker::Parts {
                bounds: lan_bounds(config),
                door: tls
                    .as_ref()
                    .map(|(live, _)| door(live, config.lan.handshake_timeout, log.clone())),
                connections: metrics.lan_connections.clone(),
                clock: clock.clone(),
                metrics: Arc::clone(&metrics),
                beat: pulse.beat(clock.moment()),
                stop: controls.stop.subscribe(),
                abort: controls.abort.subscribe(),
                service: Box::new(move || {
                    let roads = Roads::new(in_force, cache, clock.clone(), log.clone());
                    let service = RoadService::new(roads, ids, clock, log, health, draining).traced(tracer);
                    match audited {
                        Some((auditor, header)) => service.audited(auditor, header),
                        None => service,
                    }
                }),
            };
            let (worker, thread) = Worker::start(format!("aimis-worker-{index}"), parts)?;
            workers.push(worker);
            threads.push(thread);
        }

        let mut callback_worker = None;
        let mut callback_tls = None;
        let generation = in_force.get();
        let targets = watch::Sender::new(generation.targets.clone());
        let mut hospitals = None;
        if let (Some(settings), Some(first), Some(inbox)) = (&config.callback, &generation.hospitals, inbox) {
            callback_tls = callback_first.map(live);
            let judged = Arc::new(ArcSwap::new(Arc::clone(first)));
            hospitals = Some(Arc::clone(&judged));
            let deliverer = Deliverer::new(
                targets.subscribe(),
                &config.delivery,
                &inbox,
                &deliver::Surroundings {
                    clock: clock.clone(),
                    metrics: Arc::clone(&metrics),
                    log: log.own_lane(),
                    repeat_interval: config.log.repeat_interval,
                    resolver,
                    auditor: lane(),
                    tracer: tracer.clone(),
                },
            )?;
            threads.push(deliverer.start(controls.stop.subscribe(), controls.abort.subscribe())?);
            let truth: Arc<dyn callback::Invalidate> = match cache.shared() {
                Some(shared) => Arc::new(SharedTruth(Arc::clone(shared))),
                None => Arc::new(CacheTruth(Arc::clone(&cache))),
            };
            let invalidate = vec![truth];
            let search = reconcile::Parts {
                live: Arc::clone(&in_force),
                inbox: Arc::clone(&inbox),
                invalidate: invalidate.clone(),
                cache: Arc::clone(&cache),
                clock: clock.clone(),
                log: log.own_lane(),
                stop: controls.stop.subscribe(),
            };
            threads.push(reconcile::start(search)?);
            let lane = log.own_lane();
            let (worker, thread) = callback::start::start(
                settings,
                callback::start::Parts {
                    hospitals: judged,
                    inbox,
                    invalidate,
                    signing_clock: signing_clock.clone(),
                    door: callback_tls
                        .as_ref()
                        .map(|(live, _)| door(live, settings.handshake_timeout, lane.clone())),
                    beat: pulse.beat(clock.moment()),
                    stop: controls.stop.subscribe(),
                    abort: controls.abort.subscribe(),
                    surroundings: callback::service::Surroundings {
                        ids: RequestIds::new(clock.clone())?,
                        clock: clock.clone(),
                        log: lane,
                        metrics: Arc::clone(&metrics),
                        health: health.clone(),
                        draining: Arc::clone(&controls.refuse),
                        log_client_address: config.log.client_address,
                        repeat_interval: config.log.repeat_interval,
                        tracer,
                    },
                },
            )?;
            callback_worker = Some(worker);
            threads.push(thread);
        }

        for (listener, listeners) in [
            ("lan", &lan),
            ("callback", &callback),
            ("telemetry", &telemetry),
            ("admin", &admin),
        ] {
            for bound in listeners.iter().map(Listener::bound) {
                log.write(&Event::Listening {
                    listener,
                    address: &bound,
                });
            }
        }
        health.set(ReadyCheck::Listener, true);
        log.write(&Event::Started {
            workers: count,
            tenants: config.tenants.len(),
        });
        let emptiness = emptiness::Watch::new(&config.emptiness, Arc::clone(&in_force), clock.clone(), log.clone());
        let served = Telemetry {
            metrics: Arc::clone(&metrics),
            health: health.clone(),
            log: log.clone(),
        };
        let callback_settings = config.callback.as_ref().and_then(|callback| callback.tls.clone());
        let watched = [tls.zip(config.lan.tls.clone()), callback_tls.zip(callback_settings)];
        let reloaders = watched.into_iter().flatten().map(|((live, first), settings)| {
            let (metrics, log, clock) = (Arc::clone(&metrics), log.clone(), clock.clone());
            Reloader::new(settings, live, &first, metrics, log, clock)
        });
        let reloaders = reloaders.collect();
        let look = watch::Sender::new(0);
        let looking = look.subscribe();
        let followers = Followers {
            hospitals,
            targets,
            cache: Arc::clone(&cache),
            look,
        };
        let reload = Reload::new(Arc::clone(&in_force), sources, around, followers);
        let (reload_sender, reload_orders) = mpsc::unbounded_channel();
        let control = control::start(control::Parts {
            lan,
            telemetry,
            admin,
            operator: Admin::new(
                Arc::clone(&cache),
                Arc::clone(&in_force),
                reload_sender.clone(),
                log.clone(),
                operator,
            ),
            served,
            workers,
            callback,
            callback_worker,
            config: config.clone(),
            controls: controls.clone(),
            emptiness,
            exporter,
            clock: clock.clone(),
            live: Arc::clone(&in_force),
            reloaders,
            look: looking,
            reload,
            reload_orders,
            beat: pulse.beat(clock.moment()),
        })?;
        Ok(Self {
            lan: lan_addresses,
            callback: callback_addresses,
            telemetry: telemetry_addresses,
            admin: admin_addresses,
            controls,
            control: Some(control),
            workers: threads,
            drain_delay: config.drain.delay,
            drain_timeout: config.drain.timeout,
            inbox_stop: config.inbox.longest_stop(),
            cache,
            clock,
            pulse,
            live: in_force,
            reload: reload_sender,
            log,
            _audit_guard: audit_guard,
            _log_guard: log_guard,
        })
    }
}

impl Gateway {
    /// Addresses that the HIS can use, in the configuration's order.
    pub fn lan(&self) -> &[SocketAddr] {
        &self.lan
    }

    /// Addresses that the platform's callbacks come to; none without `[callback]`.
    pub fn callback(&self) -> &[SocketAddr] {
        &self.callback
    }

    /// Addresses of metrics and probes.
    pub fn telemetry(&self) -> &[SocketAddr] {
        &self.telemetry
    }

    /// The answers it keeps, to be dropped where they may be wrong.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Addresses of the operator's listener.
    pub fn admin(&self) -> &[SocketAddr] {
        &self.admin
    }

    /// The longest that [`Self::drain`] takes, with some air.
    pub fn longest_drain(&self) -> Duration {
        self.drain_delay + self.drain_timeout + self.inbox_stop + Duration::from_secs(5)
    }

    /// Whether every thread that serves has shown within `time` that its loop turns; each does once a second.
    pub fn alive(&self, time: Duration) -> bool {
        self.pulse.beats(self.clock.moment(), time)
    }

    /// Writes a line about a setting that is a risk.
    pub fn risky(&self, rule: &'static crate::security::Rule) {
        self.log.write(&Event::RiskySetting(rule));
    }

    /// Writes a line about something that an operator should know, at level warn.
    pub fn notice(&self, text: &'static str) {
        self.log.write(&Event::Notice { text });
    }

    /// Reads configuration and files anew, and puts them in force if they are good in every part; what is wrong is also
    /// told in the log. Listeners' TLS files are looked at as well. Waiting for the outcome is the caller's choice.
    pub fn reload(&self) -> oneshot::Receiver<Result<Reloaded, Arc<ReloadError>>> {
        let (order, outcome) = oneshot::channel();
        // One that stops answers nobody.
        let _ = self.reload.send(order);
        outcome
    }

    /// Stops well: readiness says no, what comes during `drain.delay_ms` is still served, then no further
    /// connection is taken and what runs has `drain.timeout_ms` to finish.
    pub fn drain(mut self) -> Drained {
        self.log.write(&Event::Draining);
        self.controls.drain.send_replace(true);
        let (finished, wait) = oneshot::channel();
        let workers = std::mem::take(&mut self.workers);
        let control = self.control.take();
        let joiner = std::thread::spawn(move || {
            // A thread that panicked has told so in the log; the others still have to end.
            let _ = control.map(JoinHandle::join);
            for worker in workers {
                let _ = worker.join();
            }
            let _ = finished.send(());
        });
        let in_time = self.controls.wait_for_end(wait, self.drain_timeout);
        let cut = if in_time {
            0
        } else {
            u64::try_from(self.live.look().metrics.active_requests.get()).unwrap_or(0)
        };
        if cut > 0 {
            self.log.write(&Event::DrainTimedOut { requests: cut });
        }
        self.controls.abort.send_replace(true);
        let _ = joiner.join();
        self.log.write(&Event::Stopped);
        Drained { cut }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.controls.drain.send_replace(true);
        self.controls.stop.send_replace(true);
        self.controls.abort.send_replace(true);
        let _ = self.control.take().map(JoinHandle::join);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

/// Opens the inbox. When its state becomes unknown the process ends, and the next one recovers it.
fn open_inbox(
    config: &Config,
    clock: &Clock,
    metrics: &Arc<Metrics>,
    log: &Log,
    health: &Health,
) -> Result<Arc<dyn Inbox>, OpenError> {
    let told = (Arc::clone(&metrics.inbox), health.clone(), log.clone());
    let parts = inbox::Parts {
        clock: clock.clone(),
        metrics: Arc::clone(&metrics.inbox),
        abort: end_process(log.clone()),
        on_contact: Arc::new(move |contact, lasted| {
            let (metrics, health, log) = &told;
            metrics.show_contact(contact == Contact::There);
            health.inbox_away(contact != Contact::There);
            log.write(&match contact {
                Contact::There => Event::InboxFound { away: lasted },
                Contact::Lost(error) => Event::InboxLost { error },
            });
        }),
    };
    inbox::open(&config.inbox, Role::Gateway, parts)
}

/// Binds the addresses of one listener.
fn bind(
    listen: &[ListenAddr],
    mode: Option<FileMode>,
    tls: bool,
    inherited: &mut Inherited,
) -> Result<Vec<Listener>, BindError> {
    let mut one = |address: &ListenAddr| {
        let listener = Listener::open(address, mode, inherited)?;
        Ok(if tls { listener.with_tls(address) } else { listener })
    };
    listen.iter().map(&mut one).collect()
}

/// A listener's first identity, and what handshakes use from then on.
fn live(first: First) -> (Live, First) {
    (Arc::new(ArcSwap::new(Arc::clone(&first.identity.config))), first)
}

/// What is kept of answers: shared by replicas where there is a store for it, and in this process otherwise.
fn cache(
    config: &Config,
    store: &Option<Arc<Store>>,
    files: Option<FileKeys>,
    snapshot: &Snapshot,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> io::Result<Arc<Cache>> {
    let room = Room {
        all: config.cache.max_bytes,
        one: config.cache.max_entry,
    };
    let keys = &snapshot.cache_keys;
    let (Some(settings), Some(store), Some(files)) = (&config.store, store, files) else {
        return Ok(Cache::new(room, Arc::clone(keys), clock.clone(), Arc::clone(metrics)));
    };
    let settings = shared::Settings {
        lease: settings.lease,
        fallback_fresh: settings.fallback_fresh,
        forget_wait: settings.forget_wait,
        deadline: config.platform.deadline,
    };
    let shared = Shared::new(Arc::clone(store), files, settings, room, keys, clock, metrics)?;
    let (keys, clock, metrics) = (Arc::clone(keys), clock.clone(), Arc::clone(metrics));
    Ok(Cache::sharing(shared, room, keys, clock, metrics))
}

/// Worker threads under a configuration.
pub(crate) fn worker_count(config: &Config) -> usize {
    match config.runtime.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

fn lan_bounds(config: &Config) -> Bounds {
    Bounds {
        patience: Patience {
            idle: config.lan.idle_timeout,
            head: config.lan.header_timeout,
            write: config.lan.write_timeout,
        },
        max_head_bytes: config.lan.max_head_bytes,
        max_headers: config.lan.max_headers,
        linger: config.lan.linger_timeout,
        http2: config.lan.http2,
        http2_max_streams: config.lan.http2_max_streams,
        http2_max_resets: config.lan.http2_max_resets,
    }
}

impl Gateway {
    /// From now on a panic anywhere in the process is a line in this gateway's log: its place, never its
    /// text, which could quote a value. For the process's one gateway; a test's gateways leave panics alone.
    pub fn log_panics(&self) {
        let log = self.log.clone();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some(location) = panic.location() {
                log.write(&Event::Panicked {
                    file: crate::telemetry::event::CodePath::of(location),
                    line: location.line(),
                });
            }
        }));
    }
}
