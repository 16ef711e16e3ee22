//! What is known so far of the path, from step to step.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

use super::UnknownTenant;
use super::exchange::Heard;
use super::finding::Findings;
use crate::config::Config;
use crate::prepare::WayOut;
use crate::tenant::Tenant;
use crate::upstream::addresses::Resolver;
use crate::upstream::connect::Connector;

/// What is known so far.
pub(super) struct Chart {
    pub(super) config: Config,
    pub(super) connector: Connector,
    /// Whom the platform is trusted by.
    pub(super) roots: Arc<RootCertStore>,
    pub(super) resolver: Resolver,
    pub(super) findings: Findings,
    pub(super) hospitals: Vec<Hospital>,
    pub(super) ways: Vec<Way>,
    /// How far our clock is ahead, once it is known to be off by more than `clock.warn_ms`.
    pub(super) clock_off: Option<i64>,
    /// Milliseconds that signatures are corrected by, as `clock.auto_correct` does it in the gateway.
    pub(super) correction: i64,
}

/// A tenant that is looked at.
pub(super) struct Hospital {
    /// Its position in the configuration.
    pub(super) index: usize,
    pub(super) name: String,
    /// The position of its way in [`Chart::ways`].
    pub(super) way: usize,
    /// With its keys, once its token is read.
    pub(super) tenant: Option<Arc<Tenant>>,
    /// What the platform said to it.
    pub(super) heard: Option<Heard>,
}

/// A way to the platform that is looked at.
pub(super) struct Way {
    /// Its position in [`Connector`].
    pub(super) number: usize,
    /// Where TCP goes: the platform, its gap device, a proxy.
    pub(super) host: String,
    pub(super) port: u16,
    /// The key of the configuration that names the host.
    pub(super) key: &'static str,
    pub(super) addresses: Vec<SocketAddr>,
    /// An address that takes connections.
    pub(super) reached: Option<SocketAddr>,
    /// The step that failed.
    pub(super) blocked: Option<&'static str>,
    /// The tenant that goes this way, if it is one of several ways and one tenant's alone.
    pub(super) tenant: Option<String>,
}

impl Way {
    /// The address in the configuration, if it is no name.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

impl Chart {
    pub(super) fn new(
        (config, out): (Config, WayOut),
        only: Option<&str>,
        findings: Findings,
        resolver: Resolver,
    ) -> Result<Self, UnknownTenant> {
        let mut chart = Self {
            connector: out.connector,
            roots: out.roots,
            resolver,
            findings,
            hospitals: Vec::new(),
            ways: Vec::new(),
            clock_off: None,
            correction: 0,
            config,
        };
        for (index, tenant) in chart.config.tenants.iter().enumerate() {
            if only.is_some_and(|only| only != &*tenant.name) {
                continue;
            }
            let number = out.of_tenants[index];
            let known = chart.ways.iter().position(|way| way.number == number);
            let way = known.unwrap_or(chart.ways.len());
            match known {
                Some(shared) => chart.ways[shared].tenant = None,
                None => chart
                    .ways
                    .push(way_of(&chart.config, &chart.connector, number, &tenant.name)),
            }
            chart.hospitals.push(Hospital {
                index,
                name: tenant.name.to_string(),
                way,
                tenant: None,
                heard: None,
            });
        }
        if chart.hospitals.is_empty() {
            let names = chart.config.tenants.iter().map(|tenant| tenant.name.to_string());
            return Err(UnknownTenant(names.collect()));
        }
        if let [only] = &mut chart.ways[..] {
            only.tenant = None;
        }
        Ok(chart)
    }

    /// `platform.connect_timeout_ms`.
    pub(super) fn patience(&self) -> Duration {
        self.config.platform.connect_timeout
    }

    /// The ways that lead somewhere so far; those that do not are told as skipped.
    pub(super) fn open_ways(&mut self) -> Vec<usize> {
        let mut open = Vec::new();
        for (index, way) in self.ways.iter().enumerate() {
            match way.blocked {
                None => open.push(index),
                Some(step) => self
                    .findings
                    .skipped(way.tenant.as_deref(), format!("since {step} failed")),
            }
        }
        self.findings.restart();
        open
    }

    /// Says that a way ends here.
    pub(super) fn block(&mut self, way: usize, step: &'static str, found: String, fix: String) {
        let way = &mut self.ways[way];
        way.blocked = Some(step);
        self.findings.fail(way.tenant.as_deref(), found, fix);
    }

    /// Says that a way is good so far.
    pub(super) fn pass(&mut self, way: usize, found: String) {
        self.findings.ok(self.ways[way].tenant.as_deref(), found);
    }
}

fn way_of(config: &Config, connector: &Connector, number: usize, tenant: &str) -> Way {
    let (host, port) = connector.first_hop(number);
    let key = match (connector.proxy(number), &config.platform.connect_to) {
        (Some(_), _) => "platform.proxy",
        (None, Some(_)) => "platform.connect_to",
        (None, None) => "platform.base_url",
    };
    Way {
        number,
        host: host.to_owned(),
        port,
        key,
        addresses: Vec::new(),
        reached: None,
        blocked: None,
        tenant: Some(tenant.to_owned()),
    }
}
