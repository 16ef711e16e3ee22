//! The events that the log knows. There is no way to write a line that is not one of these.
//!
//! Names and fields are a contract with whoever searches the log (`config/log-fields.json`). What an event says is in
//! `message` and, where it says why a callback went where it did, `callback`; its fields are in `fields`, and how a
//! value becomes one in `values`.

mod callback;
mod fields;
mod message;
mod values;

pub(crate) use callback::not_stored;
pub use values::{CodePath, PeerName};

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::empty_share::Jump;
use super::exchange::Exchange;
use super::labels::{CallbackRefusal, ListenerName, RefusedConnection, SwitchReason};
use super::log::Level;
use super::traces::Trace;
use crate::audit::told::Told;
use crate::callback::event::{EventId, Verified};
use crate::callback::inbox::{AppendError, Kind, Reason};
use crate::edge::request_id::RequestId;
use crate::edge::tls::failure::Failure;
use crate::edge::tls::files::FileError;
use crate::keyring::{Source, Switch};
use crate::listener::Bound;
use crate::live::reload::{HeldKeys, ReloadError};
use crate::live::rotated::Rotated;
use crate::security::Rule;
use crate::tenant::TenantName;
use aimis_core::token::Fingerprint;

/// One thing worth a line.
pub enum Event<'a> {
    /// The process begins to work.
    Started {
        /// Number of forward workers.
        workers: usize,
        /// Number of tenants.
        tenants: usize,
    },
    /// A listener is open.
    Listening {
        /// `lan`, `telemetry` or `admin`.
        listener: &'static str,
        /// Where.
        address: &'a Bound,
    },
    /// A key of the gateway's own took another's place.
    KeyRotated(Rotated),
    /// A tenant's token is loaded.
    SecretLoaded {
        /// Whose.
        tenant: &'a TenantName,
        /// Which, without telling the value.
        fingerprint: Fingerprint,
        /// What names it.
        source: Source,
    },
    /// The configuration and its files were read anew, and are in force.
    ConfigReloaded {
        /// Number of tenants.
        tenants: usize,
        /// Number of clients.
        clients: usize,
    },
    /// The configuration or a file of it changed and is of no use.
    ConfigReloadFailed {
        /// What is wrong.
        error: &'a ReloadError,
    },
    /// Keys changed that only a restart changes.
    RestartNeeded {
        /// Which.
        keys: &'a HeldKeys,
    },
    /// Requests of a tenant are signed and encrypted with another token from now on.
    TokenSwitched {
        /// Whose.
        tenant: &'a TenantName,
        /// From which to which.
        switch: Switch,
        /// Why.
        reason: SwitchReason,
    },
    /// The platform does not take a new token.
    TokenNotTaken {
        /// Whose.
        tenant: &'a TenantName,
        /// Which.
        fingerprint: Fingerprint,
        /// The platform refused it; otherwise it cannot be told.
        refused: bool,
    },
    /// A request was answered.
    Request(&'a Exchange),
    /// Accepting connections failed; the listener pauses and tries again.
    AcceptFailed {
        /// `lan`, `telemetry` or `admin`.
        listener: &'static str,
        /// What the system said.
        kind: std::io::ErrorKind,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// A caller was closed as soon as it was accepted.
    ConnectionRefused {
        /// Where.
        listener: ListenerName,
        /// Why.
        reason: RefusedConnection,
        /// Who; `None` on a unix socket.
        client: Option<IpAddr>,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// A caller did not get through the TLS handshake.
    TlsHandshakeFailed {
        /// Why, and what to do.
        failure: &'a Failure,
        /// Who.
        client: Option<IpAddr>,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// Certificate, key and client authorities of a listener were replaced.
    TlsReloaded {
        /// Whose.
        listener: ListenerName,
        /// Days until the certificate expires.
        days: i64,
    },
    /// Files of a listener's TLS changed and are of no use.
    TlsReloadFailed {
        /// Which file, and what is wrong.
        error: &'a FileError,
    },
    /// A listener's certificate expires soon, or has.
    CertificateExpires {
        /// Whose.
        listener: ListenerName,
        /// Soon, or already.
        state: CertificateState,
        /// Days until then; below 0 since then.
        days: i64,
    },
    /// The platform, or something in between, sent bytes that nobody asked for.
    UnaskedAnswer,
    /// A tenant's share of empty answers rose far above what it was before.
    EmptyShareJumped {
        /// Whose.
        tenant: &'a TenantName,
        /// What it is, and what it was.
        jump: Jump,
    },
    /// A breaker opened: the platform is not asked for a while.
    BreakerOpened {
        /// Whose.
        tenant: &'a TenantName,
        /// For which API.
        api: &'static str,
    },
    /// A breaker closed again.
    BreakerClosed {
        /// Whose.
        tenant: &'a TenantName,
        /// For which API.
        api: &'static str,
    },
    /// The store that several gateways share is away, and this one goes by its part of the quotas.
    StoreAway {
        /// Why, as far as is known.
        fault: crate::store::fault::Fault,
        /// Gateways that the quotas are divided by.
        replicas: u32,
        /// How often it was away, and back, since the last line that said so.
        left_out: u64,
    },
    /// The store is there.
    StoreUp {
        /// Gateways that share it.
        replicas: u32,
    },
    /// The platform said that a tenant asks too much: its questions are refused for a while.
    TapClosed {
        /// Whose.
        tenant: &'a TenantName,
        /// For how long.
        wait: Duration,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// Our clock and the platform's differ more than they should, or do so no longer.
    ClockOffset {
        /// How it is now.
        state: ClockState,
        /// Ours minus the platform's.
        offset_ms: i64,
    },
    /// A name on the way to the platform could not be looked up; what was found before is used.
    DnsFailed {
        /// Which.
        host: PeerName<'a>,
    },
    /// An address on the way to the platform is left out for a while.
    AddressEjected {
        /// Which.
        address: SocketAddr,
    },
    /// An operator dropped kept answers.
    CachePurged(Purge<'a>),
    /// The collector takes no spans.
    TracesFailing {
        /// Why.
        reason: &'static str,
        /// Status of its answer, if there was one.
        status: Option<u16>,
    },
    /// It does again.
    TracesWork,
    /// Something about the audit trail.
    Audit(Told<'a>),
    /// The HIS has an event.
    Delivered {
        /// Its place in a trace, where there are traces.
        trace: Option<Trace>,
        /// Whose.
        tenant: &'a TenantName,
        /// Which.
        event: EventId,
        /// At which attempt.
        attempt: u32,
        /// From its arrival until now.
        lag: Duration,
    },
    /// The HIS does not have an event; it is tried again.
    DeliveryFailed {
        /// Its place in a trace, where there are traces.
        trace: Option<Trace>,
        /// Whose.
        tenant: &'a TenantName,
        /// Which.
        event: EventId,
        /// At which attempt.
        attempt: u32,
        /// Why.
        reason: &'a Reason,
        /// Until the next attempt; zero: with the next try whether the target is back.
        next: Duration,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// An event is a dead letter.
    DeliveryDead {
        /// Its place in a trace, where there are traces.
        trace: Option<Trace>,
        /// Whose.
        tenant: &'a TenantName,
        /// Which.
        event: EventId,
        /// At which attempt.
        attempt: u32,
        /// Why.
        reason: &'a Reason,
    },
    /// The target said that it wants nothing more (410).
    DeliveryParked {
        /// Whose.
        tenant: &'a TenantName,
    },
    /// The target fails, and is tried with one event at a time.
    DeliverySuspended {
        /// Whose.
        tenant: &'a TenantName,
    },
    /// The target takes events again.
    DeliveryResumed {
        /// Whose.
        tenant: &'a TenantName,
    },
    /// The inbox did not do what a delivery asked it.
    DeliveryStoreFailed {
        /// Whose.
        tenant: &'a TenantName,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// A delivery took longer than its lease, and what came of it could not be noted.
    DeliveryLeaseLost {
        /// Whose.
        tenant: &'a TenantName,
        /// Which.
        event: EventId,
        /// Which attempt.
        attempt: u32,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// A callback is durable; also one that was so before.
    CallbackStored {
        /// Its place in a trace, where there are traces.
        trace: Option<Trace>,
        /// Its id.
        request: RequestId,
        /// Whose.
        tenant: Option<&'a TenantName>,
        /// The stored event.
        event: EventId,
        /// How it was taken.
        kind: Kind,
        /// What is known of its signature.
        verified: Verified,
        /// From its head to here.
        duration: std::time::Duration,
    },
    /// A callback was refused.
    CallbackRefused {
        /// Its id.
        request: RequestId,
        /// Whose it would be.
        tenant: Option<&'a TenantName>,
        /// Why; the caller is not told.
        reason: CallbackRefusal,
        /// Who.
        client: Option<IpAddr>,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// A study list told of what no callback did.
    CallbackMissed {
        /// Whose.
        tenant: &'a TenantName,
        /// The stored event.
        event: EventId,
        /// How it was taken.
        kind: Kind,
    },
    /// A study list could not be compared with callbacks.
    ReconcileFailed {
        /// Whose.
        tenant: &'a TenantName,
        /// Why.
        error: &'static str,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// A callback could not be kept.
    CallbackNotStored {
        /// Whose.
        tenant: Option<&'a TenantName>,
        /// Why.
        error: AppendError,
        /// Lines left out since the last.
        left_out: u64,
    },
    /// What the disk holds of the inbox is unknown: the process ends.
    InboxBroken {
        /// What failed.
        what: &'static str,
    },
    /// The database of the inbox does not answer any more.
    InboxLost {
        /// Why.
        error: &'static str,
    },
    /// It answers again.
    InboxFound {
        /// After so long.
        away: Duration,
    },
    /// A signal to stop came.
    Draining,
    /// Requests were still running when the time to finish was over.
    DrainTimedOut {
        /// How many.
        requests: u64,
    },
    /// The process ends.
    Stopped,
    /// A defect: code panicked. The request's own line has its id.
    Panicked {
        /// Source file of the gateway or a library.
        file: CodePath<'a>,
        /// Line in it.
        line: u32,
    },
    /// A setting that works and is a risk.
    RiskySetting(&'static Rule),
    /// A setting that works but that an operator should know of.
    Notice {
        /// What is set, and what to do.
        text: &'static str,
    },
}

/// How it stands with our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// Near enough.
    Right,
    /// Off by more than `clock.warn_ms`.
    Warn,
    /// Off by more than `clock.alarm_ms`.
    Alarm,
}

/// How it stands with a certificate that is not simply good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateState {
    /// It expires within 14 days.
    Expiring,
    /// It has expired.
    Expired,
}

impl Event<'_> {
    /// How grave it is.
    pub fn level(&self) -> Level {
        match self {
            Event::Started { .. }
            | Event::Listening { .. }
            | Event::SecretLoaded { .. }
            | Event::KeyRotated(_)
            | Event::ConfigReloaded { .. }
            | Event::TokenSwitched {
                reason: SwitchReason::Canary | SwitchReason::File,
                ..
            }
            | Event::TlsReloaded { .. }
            | Event::BreakerClosed { .. }
            | Event::StoreUp { .. }
            | Event::ClockOffset {
                state: ClockState::Right,
                ..
            }
            | Event::CachePurged(_)
            | Event::TracesWork
            | Event::Delivered { .. }
            | Event::DeliveryResumed { .. }
            | Event::InboxFound { .. }
            | Event::Draining
            | Event::Stopped => Level::Info,
            Event::CallbackStored {
                kind: Kind::Quarantined(_),
                ..
            } => Level::Warn,
            Event::CallbackStored { .. } => Level::Info,
            Event::CallbackRefused {
                reason: CallbackRefusal::Reflected,
                ..
            }
            | Event::InboxBroken { .. }
            | Event::InboxLost { .. }
            | Event::CallbackNotStored { .. } => Level::Error,
            Event::CallbackRefused { .. } | Event::CallbackMissed { .. } | Event::ReconcileFailed { .. } => Level::Warn,
            Event::Request(exchange) => exchange.level(),
            Event::Audit(told) => told.level(),
            Event::UnaskedAnswer
            | Event::TracesFailing { .. }
            | Event::RestartNeeded { .. }
            | Event::TokenNotTaken { .. }
            | Event::BreakerOpened { .. }
            | Event::TapClosed { .. }
            | Event::ClockOffset {
                state: ClockState::Warn,
                ..
            }
            | Event::DnsFailed { .. }
            | Event::AddressEjected { .. }
            | Event::AcceptFailed { .. }
            | Event::StoreAway { .. }
            | Event::EmptyShareJumped { .. }
            | Event::ConnectionRefused { .. }
            | Event::TlsHandshakeFailed { .. }
            | Event::CertificateExpires {
                state: CertificateState::Expiring,
                ..
            }
            | Event::DeliveryFailed { .. }
            | Event::DeliveryLeaseLost { .. }
            | Event::DeliverySuspended { .. }
            | Event::DrainTimedOut { .. }
            | Event::RiskySetting(_)
            | Event::Notice { .. } => Level::Warn,
            Event::TlsReloadFailed { .. }
            | Event::ConfigReloadFailed { .. }
            | Event::TokenSwitched {
                reason: SwitchReason::Refused,
                ..
            }
            | Event::DeliveryDead { .. }
            | Event::DeliveryParked { .. }
            | Event::DeliveryStoreFailed { .. }
            | Event::ClockOffset {
                state: ClockState::Alarm,
                ..
            }
            | Event::CertificateExpires {
                state: CertificateState::Expired,
                ..
            }
            | Event::Panicked { .. } => Level::Error,
        }
    }

    /// Its stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Started { .. } => "started",
            Event::Listening { .. } => "listening",
            Event::SecretLoaded { .. } => "secret_loaded",
            Event::KeyRotated(_) => "key_rotated",
            Event::ConfigReloaded { .. } => "config_reloaded",
            Event::ConfigReloadFailed { .. } => "config_reload_failed",
            Event::RestartNeeded { .. } => "restart_needed",
            Event::TokenSwitched { .. } => "token_switched",
            Event::TokenNotTaken { .. } => "token_not_taken",
            Event::Request(_) => "request",
            Event::AcceptFailed { .. } => "accept_failed",
            Event::ConnectionRefused { .. } => "connection_refused",
            Event::TlsHandshakeFailed { .. } => "tls_handshake_failed",
            Event::TlsReloaded { .. } => "tls_reloaded",
            Event::TlsReloadFailed { .. } => "tls_reload_failed",
            Event::CertificateExpires { .. } => "certificate_expires",
            Event::UnaskedAnswer => "unasked_answer",
            Event::EmptyShareJumped { .. } => "empty_share_jumped",
            Event::BreakerOpened { .. } => "breaker_opened",
            Event::BreakerClosed { .. } => "breaker_closed",
            Event::StoreAway { .. } => "store_away",
            Event::StoreUp { .. } => "store_up",
            Event::TapClosed { .. } => "tap_closed",
            Event::ClockOffset { .. } => "clock_offset",
            Event::DnsFailed { .. } => "dns_failed",
            Event::AddressEjected { .. } => "address_ejected",
            Event::CachePurged(_) => "cache_purged",
            Event::Audit(told) => told.name(),
            Event::TracesFailing { .. } => "traces_failing",
            Event::TracesWork => "traces_work",
            Event::Delivered { .. } => "delivered",
            Event::DeliveryFailed { .. } => "delivery_failed",
            Event::DeliveryDead { .. } => "delivery_dead",
            Event::DeliveryParked { .. } => "delivery_parked",
            Event::DeliverySuspended { .. } => "delivery_suspended",
            Event::DeliveryResumed { .. } => "delivery_resumed",
            Event::DeliveryStoreFailed { .. } => "delivery_store_failed",
            Event::DeliveryLeaseLost { .. } => "delivery_lease_lost",
            Event::CallbackStored {
                kind: Kind::Quarantined(_),
                ..
            } => "callback_quarantined",
            Event::CallbackStored { .. } => "callback",
            Event::CallbackRefused {
                reason: CallbackRefusal::Reflected,
                ..
            } => "callback_reflected",
            Event::CallbackRefused { .. } => "callback_refused",
            Event::CallbackNotStored { .. } => "callback_not_stored",
            Event::CallbackMissed { .. } => "callback_missed",
            Event::ReconcileFailed { .. } => "reconcile_failed",
            Event::InboxBroken { .. } => "inbox_broken",
            Event::InboxLost { .. } => "inbox_lost",
            Event::InboxFound { .. } => "inbox_found",
            Event::Draining => "draining",
            Event::DrainTimedOut { .. } => "drain_timed_out",
            Event::Stopped => "stopped",
            Event::Panicked { .. } => "panicked",
            Event::RiskySetting(_) => "risky_setting",
            Event::Notice { .. } => "notice",
        }
    }
}

/// Which kept answers an operator dropped.
#[derive(Clone, Copy)]
pub struct Purge<'a> {
    /// Whose; `None` for every tenant's.
    pub tenant: Option<&'a TenantName>,
    /// Of which API; `None` for every one.
    pub api: Option<&'static str>,
    /// One patient's only.
    pub patient: bool,
    /// How many there were.
    pub dropped: usize,
}
