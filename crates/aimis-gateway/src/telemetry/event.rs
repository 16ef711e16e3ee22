//! The events that the log knows. There is no way to write a line that is not one of these.
//!
//! Names and fields are a contract with whoever searches the log (`config/log-fields.json`).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::empty_share::Jump;
use super::exchange::Exchange;
use super::labels::{CallbackRefusal, ListenerName, RefusedConnection, SwitchReason};
use super::log::{Level, Line, Loggable};
use crate::audit::told::Told;
use crate::callback::event::{EventId, QuarantineReason, Verified};
use crate::callback::inbox::{AppendError, InboxError, Kind, Reason};
use crate::edge::request_id::RequestId;
use crate::edge::tls::failure::Failure;
use crate::edge::tls::files::{FileError, FileFault};
use crate::keyring::{Source, Switch};
use crate::listener::Bound;
use crate::live::reload::{HeldKeys, ReloadError};
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
    /// Something about the audit trail.
    Audit(Told<'a>),
    /// The HIS has an event.
    Delivered {
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
    /// A callback is durable; also one that was so before.
    CallbackStored {
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
            | Event::ConfigReloaded { .. }
            | Event::TokenSwitched {
                reason: SwitchReason::Canary | SwitchReason::File,
                ..
            }
            | Event::TlsReloaded { .. }
            | Event::BreakerClosed { .. }
            | Event::ClockOffset {
                state: ClockState::Right,
                ..
            }
            | Event::CachePurged(_)
            | Event::Delivered { .. }
            | Event::DeliveryResumed { .. }
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
            | Event::CallbackNotStored { .. } => Level::Error,
            Event::CallbackRefused { .. } | Event::CallbackMissed { .. } | Event::ReconcileFailed { .. } => Level::Warn,
            Event::Request(exchange) => exchange.level(),
            Event::Audit(told) => told.level(),
            Event::UnaskedAnswer
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
            | Event::EmptyShareJumped { .. }
            | Event::ConnectionRefused { .. }
            | Event::TlsHandshakeFailed { .. }
            | Event::CertificateExpires {
                state: CertificateState::Expiring,
                ..
            }
            | Event::DeliveryFailed { .. }
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
            Event::TapClosed { .. } => "tap_closed",
            Event::ClockOffset { .. } => "clock_offset",
            Event::DnsFailed { .. } => "dns_failed",
            Event::AddressEjected { .. } => "address_ejected",
            Event::CachePurged(_) => "cache_purged",
            Event::Audit(told) => told.name(),
            Event::Delivered { .. } => "delivered",
            Event::DeliveryFailed { .. } => "delivery_failed",
            Event::DeliveryDead { .. } => "delivery_dead",
            Event::DeliveryParked { .. } => "delivery_parked",
            Event::DeliverySuspended { .. } => "delivery_suspended",
            Event::DeliveryResumed { .. } => "delivery_resumed",
            Event::DeliveryStoreFailed { .. } => "delivery_store_failed",
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
            Event::Draining => "draining",
            Event::DrainTimedOut { .. } => "drain_timed_out",
            Event::Stopped => "stopped",
            Event::Panicked { .. } => "panicked",
            Event::RiskySetting(_) => "risky_setting",
            Event::Notice { .. } => "notice",
        }
    }

    /// What it says to somebody who reads the log for the first time.
    pub fn message(&self) -> &'static str {
        match self {
            Event::Started { .. } => "gateway started",
            Event::Listening { .. } => "listening",
            Event::SecretLoaded { .. } => "token loaded",
            Event::ConfigReloaded { .. } => "the configuration and its files were read anew, and are in force",
            Event::ConfigReloadFailed { .. } => {
                "the configuration or a file of it has changed and cannot be used: all that was before is kept"
            }
            Event::RestartNeeded { .. } => {
                "keys of the configuration have changed that only a restart changes: for these, what was before is kept"
            }
            Event::TokenSwitched { reason, .. } => match reason {
                SwitchReason::File => "requests are signed with the token that is in the file now",
                SwitchReason::Canary => "the platform takes the new token: requests are signed with it",
                SwitchReason::Refused => {
                    "the platform refuses the token that requests were signed with, and takes another one: that is used; see which one the platform has in force"
                }
            },
            Event::TokenNotTaken { refused: true, .. } => {
                "the platform refuses a new token: requests are signed with the one before; compare its fingerprint, and ask when it will be in force"
            }
            Event::TokenNotTaken { refused: false, .. } => {
                "whether the platform takes a new token cannot be told from its answer, or there is none: requests are signed with the one before"
            }
            Event::Request(exchange) => exchange.message(),
            Event::AcceptFailed { .. } => "could not accept a connection, trying again",
            Event::ConnectionRefused { listener, reason, .. } => match (listener, reason) {
                (ListenerName::Lan, RefusedConnection::Full) => "a connection was closed: lan.max_connections are open",
                (ListenerName::Lan, RefusedConnection::Source) => {
                    "a connection was closed: lan.max_connections_per_source are open from its address"
                }
                (ListenerName::Callback, RefusedConnection::Full) => {
                    "a connection was closed: callback.max_connections are open"
                }
                (ListenerName::Callback, RefusedConnection::Source) => {
                    "a connection was closed: callback.max_connections_per_source are open from its address"
                }
            },
            Event::TlsHandshakeFailed { failure, .. } => failure.message,
            Event::TlsReloaded { .. } => "new connections use the TLS files as they are now",
            Event::TlsReloadFailed { .. } => "the TLS files have changed and cannot be used: what was before is kept",
            Event::CertificateExpires { state, .. } => match state {
                CertificateState::Expiring => "the certificate of a listener expires within 14 days: renew it",
                CertificateState::Expired => "the certificate of a listener has expired: callers refuse it",
            },
            Event::UnaskedAnswer => {
                "the platform, or a proxy in between, sent an answer that nobody asked for: connections are not reused for platform.distrust_ms; if it goes on, set platform.max_requests_per_connection = 1"
            }
            Event::EmptyShareJumped { .. } => {
                "far more answers than before hold nothing: check whether token or encryption switch changed, hospitalId and unionId, and ask the platform about its index"
            }
            Event::BreakerOpened { .. } => {
                "the platform fails: questions of this tenant to this API are refused for breaker.open_ms"
            }
            Event::BreakerClosed { .. } => "the platform answers again",
            Event::TapClosed { .. } => {
                "the platform says that this tenant asks too much: its questions are refused for a while; set limits.tenant.rate_per_s to what the contract allows"
            }
            Event::ClockOffset { state, .. } => match state {
                ClockState::Right => "our clock and the platform's agree again",
                ClockState::Warn | ClockState::Alarm => {
                    "our clock and the platform's differ, and signatures fail when they differ too much: set this machine's clock, or see clock.auto_correct"
                }
            },
            Event::DnsFailed { .. } => {
                "a name on the way to the platform could not be looked up: the addresses found before are used"
            }
            Event::AddressEjected { .. } => {
                "an address on the way to the platform takes no connections: it is left out for platform.eject_ms"
            }
            Event::Audit(told) => told.message(),
            Event::CachePurged(_) => "kept answers were dropped by order of an operator",
            Event::Delivered { .. } => "an event was delivered",
            Event::DeliveryFailed { .. } => "the HIS did not take an event: it is tried again",
            Event::DeliveryDead { .. } => {
                "the HIS did not take an event, and it was tried as often as delivery.schedule_ms says: see to the cause, then redeliver it"
            }
            Event::DeliveryParked { .. } => {
                "the HIS wants no more events (status 410): they are kept and none is sent until delivery is resumed"
            }
            Event::DeliverySuspended { .. } => {
                "the HIS takes no events: it is tried with one at a time until it does, and the others wait"
            }
            Event::DeliveryResumed { .. } => "events are sent to the HIS again",
            Event::DeliveryStoreFailed { .. } => {
                "the inbox failed while events were delivered: what could not be noted is delivered again, under the same id"
            }
            Event::CallbackStored { kind, .. } => match kind {
                Kind::Accepted => "a callback is in the inbox",
                Kind::Duplicate => "a callback came again, and is in the inbox already",
                Kind::Updated => "a callback with another body than before is in the inbox",
                Kind::Quarantined(reason) => quarantined(*reason),
            },
            Event::CallbackRefused { reason, .. } => refused(*reason),
            Event::CallbackNotStored { .. } => {
                "a callback could not be stored and was not acknowledged: the platform may not send it again"
            }
            Event::CallbackMissed { kind, .. } => match kind {
                Kind::Quarantined(reason) => quarantined(*reason),
                _ => {
                    "no callback told of what a study list shows: it is in the inbox now; many of these mean that callbacks do not arrive"
                }
            },
            Event::ReconcileFailed { .. } => {
                "a study list could not be compared with the callbacks that came: it is tried again"
            }
            Event::InboxBroken { what } => what,
            Event::Draining => "asked to stop, finishing what runs",
            Event::DrainTimedOut { .. } => "requests cut: drain.timeout_ms was over",
            Event::Stopped => "gateway stopped",
            Event::Panicked { .. } => "a defect in the gateway, please report it",
            Event::RiskySetting(rule) => rule.why,
            Event::Notice { text } => text,
        }
    }

    /// Its fields beyond the ones that every line has.
    pub fn fields(&self, line: &mut Line<'_>) {
        match self {
            Event::Started { workers, tenants } => {
                line.field("workers", *workers).field("tenants", *tenants);
            }
            Event::RiskySetting(rule) => {
                line.field("risk.grade", rule.grade.as_str())
                    .field("risk.key", rule.key)
                    .field("risk.fix", rule.fix);
            }
            Event::Listening { listener, address } => {
                line.field("listener", *listener).field("address", *address);
            }
            Event::SecretLoaded {
                tenant,
                fingerprint,
                source,
            } => {
                line.field("tenant", *tenant)
                    .field("fingerprint", *fingerprint)
                    .field("source", source.as_str());
            }
            Event::ConfigReloaded { tenants, clients } => {
                line.field("tenants", *tenants).field("clients", *clients);
            }
            Event::ConfigReloadFailed { error } => {
                line.field("error.detail", *error);
            }
            Event::RestartNeeded { keys } => {
                line.field("keys", *keys);
            }
            Event::TokenSwitched { tenant, switch, reason } => {
                line.field("tenant", *tenant)
                    .field("fingerprint", switch.to)
                    .field("fingerprint.before", switch.from)
                    .field("reason", reason.as_str());
            }
            Event::TokenNotTaken {
                tenant,
                fingerprint,
                refused,
            } => {
                line.field("tenant", *tenant)
                    .field("fingerprint", *fingerprint)
                    .field("reason", if *refused { "refused" } else { "unclear" });
            }
            Event::Request(exchange) => exchange.fields(line),
            Event::AcceptFailed {
                listener,
                kind,
                left_out,
            } => {
                line.field("listener", *listener)
                    .field("error.type", *kind)
                    .field("suppressed", *left_out);
            }
            Event::ConnectionRefused {
                listener,
                reason,
                client,
                left_out,
            } => {
                line.field("listener", listener.as_str())
                    .field("reason", reason.as_str())
                    .maybe("client.address", *client)
                    .field("suppressed", *left_out);
            }
            Event::TlsHandshakeFailed {
                failure,
                client,
                left_out,
            } => {
                line.field("reason", failure.reason.as_str())
                    .maybe("client.address", *client)
                    .field("suppressed", *left_out);
            }
            Event::TlsReloaded { listener, days } => {
                line.field("certificate", listener.as_str())
                    .field("expires_in_days", *days);
            }
            Event::TlsReloadFailed { error } => {
                line.field("file", *error).field("error.detail", &error.fault);
            }
            Event::CertificateExpires { listener, days, .. } => {
                line.field("certificate", listener.as_str())
                    .field("expires_in_days", *days);
            }
            Event::EmptyShareJumped { tenant, jump } => {
                line.field("tenant", *tenant)
                    .field("share_percent", jump.share)
                    .field("baseline_percent", jump.baseline);
            }
            Event::BreakerOpened { tenant, api } | Event::BreakerClosed { tenant, api } => {
                line.field("tenant", *tenant).field("api", *api);
            }
            Event::TapClosed { tenant, wait, left_out } => {
                line.field("tenant", *tenant)
                    .field("wait_s", *wait)
                    .field("suppressed", *left_out);
            }
            Event::ClockOffset { offset_ms, .. } => {
                line.field("offset_ms", *offset_ms);
            }
            Event::DnsFailed { host } => {
                line.field("server.address", *host);
            }
            Event::AddressEjected { address } => {
                line.field("network.peer.address", address.ip())
                    .field("network.peer.port", address.port());
            }
            Event::Audit(told) => told.fields(line),
            Event::CachePurged(Purge {
                tenant,
                api,
                patient,
                dropped,
            }) => {
                line.maybe("tenant", *tenant)
                    .maybe("api", *api)
                    .field("scope", if *patient { "patient" } else { "all" })
                    .field("entries", *dropped);
            }
            Event::Delivered {
                tenant,
                event,
                attempt,
                lag,
            } => {
                line.field("tenant", *tenant)
                    .field("event.id", *event)
                    .field("attempt", *attempt)
                    .field("lag_s", *lag);
            }
            Event::DeliveryFailed {
                tenant,
                event,
                attempt,
                reason,
                next,
                left_out,
            } => {
                line.field("tenant", *tenant)
                    .field("event.id", *event)
                    .field("attempt", *attempt)
                    .field("error.type", *reason)
                    .field("next_s", *next)
                    .field("suppressed", *left_out);
            }
            Event::DeliveryDead {
                tenant,
                event,
                attempt,
                reason,
            } => {
                line.field("tenant", *tenant)
                    .field("event.id", *event)
                    .field("attempt", *attempt)
                    .field("error.type", *reason);
            }
            Event::DeliveryParked { tenant }
            | Event::DeliverySuspended { tenant }
            | Event::DeliveryResumed { tenant } => {
                line.field("tenant", *tenant);
            }
            Event::DeliveryStoreFailed { tenant, left_out } => {
                line.field("tenant", *tenant).field("suppressed", *left_out);
            }
            Event::CallbackStored {
                request,
                tenant,
                event,
                kind,
                verified,
                duration,
            } => {
                line.field("request.id", request)
                    .maybe("tenant", *tenant)
                    .field("event.id", *event)
                    .field("verified", verified.as_str());
                match kind {
                    Kind::Accepted => line.field("result", "accepted"),
                    Kind::Duplicate => line.field("result", "duplicate"),
                    Kind::Updated => line.field("result", "updated"),
                    Kind::Quarantined(reason) => line.field("result", "quarantined").field("reason", reason.as_str()),
                };
                line.field("duration_s", *duration);
            }
            Event::CallbackRefused {
                request,
                tenant,
                reason,
                client,
                left_out,
            } => {
                line.field("request.id", request)
                    .maybe("tenant", *tenant)
                    .field("reason", reason.as_str())
                    .maybe("client.address", *client)
                    .field("suppressed", *left_out);
            }
            Event::CallbackNotStored {
                tenant,
                error,
                left_out,
            } => {
                line.maybe("tenant", *tenant)
                    .field("error.type", not_stored(*error))
                    .field("suppressed", *left_out);
            }
            Event::CallbackMissed { tenant, event, kind } => {
                line.field("tenant", *tenant).field("event.id", *event);
                match kind {
                    Kind::Quarantined(reason) => line.field("result", "quarantined").field("reason", reason.as_str()),
                    _ => line.field("result", "accepted"),
                };
            }
            Event::ReconcileFailed {
                tenant,
                error,
                left_out,
            } => {
                line.field("tenant", *tenant)
                    .field("error.type", *error)
                    .field("suppressed", *left_out);
            }
            Event::DrainTimedOut { requests } => {
                line.field("requests", *requests);
            }
            Event::Panicked { file, line: at } => {
                line.field("code.file.path", *file).field("code.line.number", *at);
            }
            Event::UnaskedAnswer
            | Event::InboxBroken { .. }
            | Event::Draining
            | Event::Stopped
            | Event::Notice { .. } => {}
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

/// What an operator does about a callback in quarantine.
fn quarantined(reason: QuarantineReason) -> &'static str {
    match reason {
        QuarantineReason::LinkHost => {
            "a callback is in quarantine: a link in it leads to none of callback.link_hosts; it is acknowledged and not delivered"
        }
        QuarantineReason::Hospital => {
            "a callback is in quarantine: it is about another hospital than the tenant's hospital_id; it is acknowledged and not delivered"
        }
        QuarantineReason::Undecryptable => {
            "a callback is in quarantine: it is signed, and telephone or identity number do not decrypt; was the token changed on one side? It is not acknowledged"
        }
        QuarantineReason::SharedLate => {
            "a callback is in quarantine: its signature came with another body more than a minute ago; it is acknowledged and not delivered"
        }
        QuarantineReason::SharedOften => {
            "a callback is in quarantine: its signature came with too many other bodies; it is acknowledged and not delivered"
        }
    }
}

/// What an operator should know about a refused callback. The caller is told none of it.
fn refused(reason: CallbackRefusal) -> &'static str {
    match reason {
        CallbackRefusal::Route => "a callback was refused: not POST /callback/{tenant}, or no such tenant",
        CallbackRefusal::Rate => "a callback was refused: more than callback.max_per_source_per_s from its address",
        CallbackRefusal::Network => "a callback was refused: its address is in none of callback.networks",
        CallbackRefusal::Secret => {
            "a callback was refused: the last part of its path is not that of callback.secret_file"
        }
        CallbackRefusal::Headers => {
            "a callback was refused: appId, timestamp and signature are not there exactly once each, or timestamp is not 13 digits"
        }
        CallbackRefusal::AppId => "a callback was refused: its appId is not the tenant's",
        CallbackRefusal::Signature => {
            "a callback was refused: its signature is not the tenant's; was the token changed on one side?"
        }
        CallbackRefusal::Stale => {
            "a callback was refused: signed longer ago than callback.past_ms; is this machine's clock right?"
        }
        CallbackRefusal::Ahead => {
            "a callback was refused: signed further ahead than callback.ahead_ms; is this machine's clock right?"
        }
        CallbackRefusal::Reflected => {
            "a callback was refused: it carries a signature that this gateway made for the platform; somebody sees its requests: find out who, and have the token replaced"
        }
        CallbackRefusal::TooLarge => "a callback was refused: larger than callback.max_body",
        CallbackRefusal::Slow => "a callback was refused: its body was cut, or slower than callback.body_timeout_ms",
        CallbackRefusal::Body => {
            "a callback was refused: its body is neither a JSON object nor a form, or says something twice"
        }
        CallbackRefusal::Field => {
            "a callback was refused: status, hospitalId, studyId or reportId is missing or of a wrong type"
        }
        CallbackRefusal::Cipher => {
            "a callback was refused: it is not signed, and telephone and identity number do not decrypt or are both empty"
        }
    }
}

/// The word for it in lines.
pub(crate) fn not_stored(error: AppendError) -> &'static str {
    match error {
        AppendError::Busy => "busy",
        AppendError::Full => "full",
        AppendError::QuarantineFull => "quarantine_full",
        AppendError::Inbox(InboxError::Failed) => "failed",
        AppendError::Inbox(InboxError::DiskFull) => "disk_full",
        AppendError::Inbox(InboxError::Broken) => "broken",
        AppendError::Inbox(InboxError::Unreadable) => "unreadable",
        AppendError::Inbox(InboxError::Closed) => "closed",
    }
}

/// A host of the configuration, the platform's or a proxy's.
#[derive(Clone, Copy)]
pub struct PeerName<'a>(&'a str);

impl<'a> PeerName<'a> {
    /// `host` stands in the configuration.
    pub fn new(host: &'a str) -> Self {
        Self(host)
    }
}

impl Loggable for PeerName<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        super::log::write_string(out, self.0);
    }
}

/// A source file's path, as a panic tells it.
#[derive(Clone, Copy)]
pub struct CodePath<'a>(&'a str);

impl<'a> CodePath<'a> {
    /// Where a panic happened; the only way to make one.
    pub fn of(location: &'a std::panic::Location<'_>) -> Self {
        Self(location.file())
    }
}

impl Loggable for CodePath<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        super::log::write_string(out, self.0);
    }
}

impl Loggable for Fingerprint {
    fn write_json(&self, out: &mut Vec<u8>) {
        super::log::write_string(out, &self.to_string());
    }
}

/// What the start would say of it: keys, values and paths of the configuration, never what a secret file holds.
impl Loggable for &ReloadError {
    fn write_json(&self, out: &mut Vec<u8>) {
        super::log::write_string(out, &self.to_string());
    }
}

/// Keys of the configuration.
impl Loggable for &HeldKeys {
    fn write_json(&self, out: &mut Vec<u8>) {
        super::log::write_string(out, &self.0.join(" "));
    }
}

/// The path of the file, which is the configuration's.
impl Loggable for &FileError {
    fn write_json(&self, out: &mut Vec<u8>) {
        super::log::write_string(out, &self.path.to_string_lossy());
    }
}

/// A text of our own: nothing of the file is in it.
impl Loggable for &FileFault {
    fn write_json(&self, out: &mut Vec<u8>) {
        super::log::write_string(out, &self.to_string());
    }
}

/// A word of ours, or a number behind one.
impl Loggable for &Reason {
    fn write_json(&self, out: &mut Vec<u8>) {
        super::log::write_string(out, self.as_str());
    }
}
