//! The tables: every section of the file, every key, its bounds and its default.
//!
//! This is the place to add a key. What the tables cannot say, because it is about two keys at once, stands
//! in `super::check`.

pub(super) mod admin;
pub(super) mod audit;
pub(super) mod breaker;
pub(super) mod cache;
pub(super) mod callback;
pub(super) mod client;
pub(super) mod code;
pub(super) mod delivery;
pub(super) mod emptiness;
pub(super) mod inbox;
pub(super) mod lan;
pub(super) mod limits;
pub(super) mod platform;
pub(super) mod process;
pub(super) mod protocol;
pub(super) mod pull;
pub(super) mod reconcile;
pub(super) mod reload;
pub(super) mod store;
pub(super) mod tenant;
pub(super) mod tls;
pub(super) mod traces;

use super::entry::{any_tables, optional_table, table, tables};
use super::section::section;
use admin::Admin;
use audit::Audit;
use breaker::Breaker;
use cache::Cache;
use callback::Callback;
use client::Client;
use code::Code;
use delivery::Delivery;
use emptiness::Emptiness;
use inbox::Inbox;
use lan::Lan;
use limits::Limits;
use platform::Platform;
use process::{Drain, Log, Runtime, Telemetry};
use protocol::{Clock, Crypto, Dates, Identity, Sign};
use pull::Pull;
use reconcile::Reconcile;
use reload::{Reload, Rotation};
use store::Store;
use tenant::Tenant;
use traces::Traces;

/// A bound against a file that was made by a program gone wrong. What tenants cost is linear: memory for each, and
/// no search through them on the way of a request. Metric series are bounded by `telemetry.tenant_labels`.
pub(super) const MOST_TENANTS: usize = 10_000;

/// The same for clients. A key is found without a search, whichever it is; a request that has none is compared with the
/// networks and certificates of every client that needs none.
pub(super) const MOST_CLIENTS: usize = 1_000;

/// Each code that is documented nowhere else is a label of its own, so this bounds metric series.
pub(super) const MOST_CODES: usize = 32;

section! {
    /// The whole configuration. Every value in it is valid; nothing checks it again.
    pub struct Config {
        /// Threads of the forward road.
        runtime: Runtime = table();
        /// The listener that the hospital's system talks to.
        lan: Lan = table();
        /// The listener that the platform's callbacks come to. A tenant can differ in what a callback has to prove.
        callback: Option<Callback> = optional_table();
        /// The listener for metrics and probes: `/metrics`, `/livez`, `/readyz`, `/startupz`, `/healthz`.
        telemetry: Telemetry = table();
        /// The listener for whoever operates the gateway; without this table there is none.
        admin: Option<Admin> = optional_table();
        /// The imaging platform and the way to it.
        platform: Platform = table();
        /// When a platform that fails is left alone for a while.
        breaker: Breaker = table();
        /// How much may be asked. Tenants and clients can differ.
        limits: Limits = table();
        /// What several gateways share; without this table each goes by itself.
        store: Option<Store> = optional_table();
        /// Answers of the platform that are kept for a while. A tenant can differ in all but the memory.
        cache: Cache = table();
        /// How personal fields are encrypted. A tenant can differ.
        crypto: Crypto = table();
        /// How requests are signed. A tenant can differ.
        sign: Sign = table();
        /// What is done about identity numbers and telephones. A tenant can differ.
        identity: Identity = table();
        /// What is done about time windows. A tenant can differ.
        dates: Dates = table();
        /// The time that signatures carry.
        clock: Clock = table();
        /// When a rise of empty answers is worth a line.
        emptiness: Emptiness = table();
        /// How events are brought to the HIS.
        delivery: Delivery = table();
        /// How a HIS that cannot be called fetches its events.
        pull: Pull = table();
        /// How callbacks that were missed are found.
        reconcile: Reconcile = table();
        /// Where callbacks are kept until the HIS has them.
        inbox: Inbox = table();
        /// How changes of files are noticed.
        reload: Reload = table();
        /// How a tenant comes from one token to another.
        rotation: Rotation = table();
        /// The audit trail: who asked about which patient; without this table there is none.
        audit: Option<Audit> = optional_table();
        /// How the process stops.
        drain: Drain = table();
        /// The log on standard output.
        log: Log = table();
        /// Traces for a collector.
        traces: Traces = table();
        /// The hospitals that are served; at least one.
        tenants: Vec<Tenant> = tables(MOST_TENANTS);
        /// The systems of the hospital that may ask; without any, only programs on this machine can.
        clients: Vec<Client> = any_tables(MOST_CLIENTS);
        /// Business codes that are treated differently than the built-in table has them.
        codes: Vec<Code> = any_tables(MOST_CODES);
    }
}
