//! Where a name is: looked up again while the gateway runs, kept while DNS fails, and without the addresses
//! that do not answer.
//!
//! One book a worker, as everything here: a name is looked up by each of them every `platform.dns_ttl_ms`.
//! The last good addresses serve while DNS fails, since a platform moves less often than a resolver fails.
//! An address that failed several times in a row is left out for a while, unless none would be left.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::clock::{Clock, Moment};
use crate::config::Platform as Settings;
use crate::telemetry::event::{Event, PeerName};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::Metrics;

/// Finds the addresses of a name and a port.
#[derive(Clone)]
pub struct Resolver(Arc<Find>);

type Find = dyn Fn(&str, u16) -> Found + Send + Sync;

/// What a [`Resolver`] gives.
pub type Found = BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

impl Resolver {
    /// The machine's: `/etc/hosts`, DNS, whatever its administrator has set.
    pub fn system() -> Self {
        Self::new(|host, port| {
            let host = host.to_owned();
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        })
    }

    /// Another one, for tests.
    pub fn new(find: impl Fn(&str, u16) -> Found + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// Asks once, whatever was found before.
    pub(crate) fn find(&self, host: &str, port: u16) -> Found {
        (self.0)(host, port)
    }
}

/// A worker's knowledge of addresses. Cloning gives another handle.
#[derive(Clone)]
pub(super) struct Addresses(Rc<Inner>);

struct Inner {
    resolver: Resolver,
    clock: Clock,
    metrics: Arc<Metrics>,
    log: Log,
    ttl: Duration,
    /// Failures in a row after which an address is left out.
    patience: usize,
    /// For how long; zero is never.
    ejection: Duration,
    /// A handful: the platform or its gap device, and proxies.
    names: RefCell<Vec<Entry>>,
    failures: RefCell<HashMap<SocketAddr, Failures>>,
}

struct Entry {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    /// When DNS was last asked, whatever it said.
    asked: Moment,
    /// DNS did not answer then; the addresses are older.
    outdated: bool,
}

impl Entry {
    fn is(&self, host: &str, port: u16) -> bool {
        self.port == port && self.host == host
    }
}

#[derive(Default)]
struct Failures {
    in_a_row: usize,
    left_out_since: Option<Moment>,
}

impl Addresses {
    pub(super) fn new(settings: &Settings, resolver: Resolver, clock: Clock, metrics: Arc<Metrics>, log: Log) -> Self {
        Self(Rc::new(Inner {
            resolver,
            clock,
            metrics,
            log,
            ttl: settings.dns_ttl,
            patience: settings.eject_after,
            ejection: settings.eject,
            names: RefCell::default(),
            failures: RefCell::default(),
        }))
    }

    /// The addresses to try, in this order; `None` if there are none by `until`.
    pub(super) async fn find(&self, host: &str, port: u16, until: Instant) -> Option<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(vec![SocketAddr::new(ip, port)]);
        }
        if self.is_due(host, port) {
            // With addresses to fall back on, a resolver that hangs may not use up the time to connect.
            let known = self.0.names.borrow().iter().any(|entry| entry.is(host, port));
            self.look_up(host, port, known.then_some(until)).await;
        }
        let names = self.0.names.borrow();
        let entry = names.iter().find(|entry| entry.is(host, port))?;
        Some(self.usable(&alternate(&entry.addresses)))
    }

    fn is_due(&self, host: &str, port: u16) -> bool {
        let now = self.0.clock.moment();
        let names = self.0.names.borrow();
        let entry = names.iter().find(|entry| entry.is(host, port));
        entry.is_none_or(|entry| now.since(entry.asked) >= self.0.ttl)
    }

    async fn look_up(&self, host: &str, port: u16, until: Option<Instant>) {
        let found = self.0.resolver.find(host, port);
        let found = match until {
            Some(until) => timeout_at(until, found).await.unwrap_or_else(|_| Ok(Vec::new())),
            None => found.await,
        };
        let now = self.0.clock.moment();
        let mut names = self.0.names.borrow_mut();
        let known = names.iter_mut().find(|entry| entry.is(host, port));
        match (found, known) {
            (Ok(addresses), Some(entry)) if !addresses.is_empty() => {
                entry.addresses = addresses;
                entry.asked = now;
                entry.outdated = false;
            }
            (Ok(addresses), None) if !addresses.is_empty() => names.push(Entry {
                host: host.to_owned(),
                port,
                addresses,
                asked: now,
                outdated: false,
            }),
            (_, known) => {
                self.0.metrics.dns_failures.inc();
                let Some(entry) = known else { return };
                if !entry.outdated {
                    self.0.log.write(&Event::DnsFailed {
                        host: PeerName::new(host),
                    });
                }
                entry.outdated = true;
                entry.asked = now;
            }
        }
    }

    /// Looks up what is due, in the background; called now and then while there are connections.
    pub(super) fn refresh(&self) {
        let now = self.0.clock.moment();
        for entry in self.0.names.borrow_mut().iter_mut() {
            if now.since(entry.asked) >= self.0.ttl {
                // Before the answer is there, so that a slow resolver is not asked once more each second.
                entry.asked = now;
                let (book, host, port) = (self.clone(), entry.host.clone(), entry.port);
                tokio::task::spawn_local(async move { book.look_up(&host, port, None).await });
            }
        }
        let names = self.0.names.borrow();
        let known = |address: &SocketAddr| names.iter().any(|entry| entry.addresses.contains(address));
        self.0.failures.borrow_mut().retain(|address, _| known(address));
    }

    /// Whether a name still has this address.
    pub(super) fn has(&self, (host, port): (&str, u16), address: SocketAddr) -> bool {
        let names = self.0.names.borrow();
        let entry = names.iter().find(|entry| entry.is(host, port));
        entry.is_none_or(|entry| entry.addresses.contains(&address))
    }

    /// Without those that are left out, unless that is all of them.
    fn usable(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let now = self.0.clock.moment();
        let failures = self.0.failures.borrow();
        let is_good = |address: &&SocketAddr| {
            let since = failures.get(address).and_then(|failures| failures.left_out_since);
            since.is_none_or(|since| now.since(since) >= self.0.ejection)
        };
        let good: Vec<_> = addresses.iter().filter(is_good).copied().collect();
        if good.is_empty() { addresses.to_vec() } else { good }
    }

    /// Notes that an address took a connection.
    pub(super) fn succeeded(&self, address: SocketAddr) {
        self.0.failures.borrow_mut().remove(&address);
    }

    /// Notes that an address did not take a connection, or was overtaken by one that was asked later.
    pub(super) fn failed(&self, address: SocketAddr) {
        if self.0.ejection.is_zero() {
            return;
        }
        let now = self.0.clock.moment();
        let mut failures = self.0.failures.borrow_mut();
        let entry = failures.entry(address).or_default();
        entry.in_a_row += 1;
        let is_out = entry
            .left_out_since
            .is_some_and(|since| now.since(since) < self.0.ejection);
        if entry.in_a_row < self.0.patience || is_out {
            return;
        }
        entry.left_out_since = Some(now);
        drop(failures);
        if self.has_another(address) {
            self.0.metrics.addresses_ejected.inc();
            self.0.log.write(&Event::AddressEjected { address });
        }
    }

    /// Whether the name of an address has one that is not left out.
    fn has_another(&self, address: SocketAddr) -> bool {
        let names = self.0.names.borrow();
        let mut with_it = names.iter().filter(|entry| entry.addresses.contains(&address));
        with_it.any(|entry| !self.usable(&entry.addresses).contains(&address))
    }
}

/// The resolver's order, families taking turns from the first one on (RFC 8305, section 4).
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (mut same, mut other): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    same.reverse();
    other.reverse();
    let mut ordered = Vec::with_capacity(addresses.len());
    while let Some(address) = same.pop() {
        ordered.push(address);
        ordered.extend(other.pop());
    }
    other.reverse();
    ordered.extend(other);
    ordered
}

#[cfg(test)]
mod tests;
