//! `serve`: run until told to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::output::Failure;
use super::sources::ConfigArguments;
use crate::app::{Gateway, Surroundings, worker_count};
use crate::clock::Clock;
use crate::config;
use crate::descriptors::{self, Room};

/// Told at the start when the system does not allow what the configuration does.
const FEW_DESCRIPTORS: &str = "the limit of open files is too low for lan.max_connections: raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn, --ulimit nofile= of a container), or lower lan.max_connections";

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let sources = arguments.source.sources();
    let loaded = config::load(&sources)?;
    // Before the gateway, so that a signal during the start is not lost.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let surroundings = Surroundings {
        resolver: crate::upstream::addresses::Resolver::system(),
        clock: Clock::system(),
        log_output: Box::new(io::stdout()),
        instance: instance(),
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
    if config::takes_unsigned_callbacks(&loaded.config) {
        gateway.notice(config::UNSIGNED_CALLBACKS);
    }
    // How it went is told in the log.
    runtime.block_on(signals.stop(|| drop(gateway.reload())));
    gateway.drain();
    Ok(())
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

    /// Waits for a signal to stop.
    async fn stop(&mut self, on_hangup: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => on_hangup(),
            }
        }
    }
}
