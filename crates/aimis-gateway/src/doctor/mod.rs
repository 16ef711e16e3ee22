//! The live path to the platform, and on to the HIS, walked step by step: each with its time, its verdict and what to do.
//!
//! A step is a file here and a line of `STEPS`. It writes [`Finding`]s, and leaves in the `Chart` what later
//! steps need; where one fails, those that need it are skipped and say so. Nothing goes to the platform but one
//! signed question per tenant about a made-up person, with the contract's headers. No finding holds a token, a
//! ciphertext, a signature or a person.

mod chart;
mod clock;
mod configuration;
mod connect;
mod dns;
mod exchange;
mod finding;
mod his;
mod inbox;
mod listen;
mod probe;
mod proxy;
mod secrets;
mod store;
mod tls;
mod witness;

use futures_util::future::LocalBoxFuture;

use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};
use crate::upstream::addresses::Resolver;

use chart::Chart;
use finding::Findings;
pub use finding::{Finding, Tell, Verdict};

/// A step: it looks at one part of the path.
type Step = for<'c> fn(&'c mut Chart) -> LocalBoxFuture<'c, ()>;

/// All steps behind the first, in the order of the path.
const STEPS: &[(&str, Step)] = &[
    ("secrets", |chart| Box::pin(secrets::examine(chart))),
    ("dns", |chart| Box::pin(dns::examine(chart))),
    ("connect", |chart| Box::pin(connect::examine(chart))),
    ("proxy", |chart| Box::pin(proxy::examine(chart))),
    ("tls", |chart| Box::pin(tls::examine(chart))),
    ("clock", |chart| Box::pin(clock::examine(chart))),
    ("probe", |chart| Box::pin(probe::examine(chart))),
    ("listen", |chart| Box::pin(listen::examine(chart))),
    ("store", |chart| Box::pin(store::examine(chart))),
    ("inbox", |chart| Box::pin(inbox::examine(chart))),
    ("his", |chart| Box::pin(his::examine(chart))),
];

/// The first step, without which there are no others.
const CONFIGURATION: &str = "configuration";

/// What a doctor needs beside the configuration.
pub struct Surroundings {
    /// What time it is.
    pub clock: Clock,
    /// Finds the addresses of the platform and its proxies.
    pub resolver: Resolver,
    /// Is told each finding as soon as there is one.
    pub tell: Tell,
}

/// What was found.
pub struct Report {
    /// In the order of the path.
    pub findings: Vec<Finding>,
    /// The configuration cannot be used, so that nothing else was looked at.
    pub unusable: bool,
}

impl Report {
    /// The names of the steps that failed, each once.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.findings.iter().filter(|found| found.verdict == Verdict::Fail);
        let mut steps: Vec<_> = failed.map(|found| found.step).collect();
        steps.dedup();
        steps
    }

    /// How many findings are warnings.
    pub fn warnings(&self) -> usize {
        let warnings = self.findings.iter().filter(|found| found.verdict == Verdict::Warn);
        warnings.count()
    }
}

/// There is no tenant of that name; these are those there are.
#[derive(Debug)]
pub struct UnknownTenant(pub Vec<String>);

/// Walks the path for all tenants, or for the one called `only`. `read` reads the configuration, or says what is
/// wrong with it.
///
/// Each wait is bounded by `platform.connect_timeout_ms` or, for a question, `platform.deadline_ms`. Runs inside a
/// [`tokio::task::LocalSet`].
///
/// # Errors
/// When `only` is nobody.
pub async fn examine(
    read: impl FnOnce() -> Result<Loaded, ConfigError>,
    only: Option<&str>,
    surroundings: Surroundings,
) -> Result<Report, UnknownTenant> {
    let Surroundings { clock, resolver, tell } = surroundings;
    let mut findings = Findings::new(CONFIGURATION, clock, tell);
    let Some(found) = configuration::examine(read, &mut findings) else {
        for (name, _) in STEPS {
            findings.begin(name);
            findings.skipped(None, "since configuration failed");
        }
        return Ok(Report {
            findings: findings.into_list(),
            unusable: true,
        });
    };
    let mut chart = Chart::new(found, only, findings, resolver)?;
    for (name, step) in STEPS {
        chart.findings.begin(name);
        step(&mut chart).await;
    }
    Ok(Report {
        findings: chart.findings.into_list(),
        unusable: false,
    })
}
