//! `serve`: run until told to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::output::Failure;
use super::sources::ConfigArguments;
use crate::app::{Gateway, Surroundings, worker_count};
use crate::clock::Clock;
use crate::concealed::{self, Concealed};
use crate::config;
use crate::descriptors::{self, Room};
use crate::hardening;
use crate::inherited::Inherited;
use crate::notify::Notifier;
use crate::security;

/// Told at the start when the system does not allow what the configuration does.
const FEW_DESCRIPTORS: &str = "the limit of open files is too low for lan.max_connections: raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn, --ulimit nofile= of a container), or lower lan.max_connections";

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
}

/// `private` tells whether the system keeps our memory from others.
pub(super) fn run(arguments: &Arguments, private: bool) -> Result<(), Failure> {
    // First of all: a signal before this ends the process, one behind it is obeyed when the gateway runs. No thread is
    // started by it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    // All of this before a thread is started: it changes the process, or holds for later threads only.
    let concealed = concealed::conceal()?;
    let unprivileged = hardening::drop_privileges();
    let inherited = Inherited::from_environment()?;
    let manager = Notifier::from_environment();

    let sources = arguments.source.sources();
    let loaded = config::load(&sources)?;
    let surroundings = Surroundings {
        resolver: crate::upstream::addresses::Resolver::system(),
        clock: Clock::system(),
        log_output: Box::new(io::stdout()),
        instance: instance(),
        inherited,
        sources: Some(sources),
    };
    // Of the process as a whole, so not the affair of a `Gateway`, of which tests have many.
    let room = descriptors::raise(descriptors::needed(&loaded.config, worker_count(&loaded.config)));
    let gateway = Gateway::start(&loaded.config, surroundings)?;
    gateway.log_panics();
    if room == Room::Short {
        gateway.notice(FEW_DESCRIPTORS);
    }
    if config::takes_plain_http(&loaded.config) {
        gateway.notice(config::PLAIN_LAN);
    }
    if config::keeps_answers_apart(&loaded.config) {
        gateway.notice(config::ANSWERS_APART);
    }
    if config::takes_unsigned_callbacks(&loaded.config) {
        gateway.notice(config::UNSIGNED_CALLBACKS);
    }
    if loaded.ignores_otel() {
        gateway.notice(config::OTEL_UNSPOKEN);
    }
    let risks = [
        (!private, hardening::DUMPABLE),
        (!unprivileged, hardening::PRIVILEGED),
        (concealed == Concealed::No, concealed::NOT_CONCEALED),
    ];
    for (_, risk) in risks.into_iter().filter(|(is_so, _)| *is_so) {
        gateway.notice(risk);
    }
    for rule in security::at_start(
        &loaded.config,
        arguments.source.path().as_deref(),
        Clock::system().now(),
    ) {
        gateway.risky(rule);
    }
    manager.status("serving");
    manager.ready();
    runtime.block_on(async {
        tokio::select! {
            () = signals.stop(async || reload(&gateway, &manager).await) => {}
            () = manager.keep_watchdog(|time| gateway.alive(time)) => {}
        }
    });
    manager.stopping(gateway.longest_drain());
    manager.status("finishing what runs");
    gateway.drain();
    Ok(())
}

/// Reads everything anew. How it went is told in the log; the manager learns that it is over.
async fn reload(gateway: &Gateway, manager: &Notifier) {
    manager.reloading();
    // Refused or not: what serves is whole. A gateway that stops answers nobody.
    let _ = gateway.reload().await;
    manager.ready();
}

/// Tells replicas apart in the log: host and process, which is all that the log collector lacks.
fn instance() -> &'static str {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // Once a process: what lives as long as the process need not be given back.
    Box::leak(format!("{}-{}", host.trim(), std::process::id()).into_boxed_str())
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal to stop. One that comes while `on_hangup` runs ends that, too.
    async fn stop(&mut self, on_hangup: impl AsyncFn()) {
        let Self {
            terminate,
            interrupt,
            hangup,
        } = self;
        let hangups = async {
            while hangup.recv().await.is_some() {
                on_hangup().await;
            }
            std::future::pending().await
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = hangups => {}
        }
    }
}
