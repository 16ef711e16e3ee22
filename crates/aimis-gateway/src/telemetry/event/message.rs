//! What events say to a reader. The wording may change; the names do not.

use super::super::labels::{ListenerName, RefusedConnection, SwitchReason};
use super::callback::{quarantined, refused};
use super::{CertificateState, ClockState, Event};
use crate::callback::inbox::{AppendError, InboxError, Kind};

impl Event<'_> {
    /// What it says to somebody who reads the log for the first time.
    pub fn message(&self) -> &'static str {
        match self {
            Event::Started { .. } => "gateway started",
            Event::Listening { .. } => "listening",
            Event::SecretLoaded { .. } => "token loaded",
            Event::KeyRotated(_) => {
                "what is written from now on is under the key that is in the file now; what was written before needs the key before"
            }
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
            Event::StoreAway { .. } => {
                "the store that gateways share is away: until it is back this gateway goes by its part of the quotas, and by itself in all else"
            }
            Event::StoreUp { .. } => "the store that gateways share is there: quotas hold for all of them together",
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
            Event::TracesFailing { .. } => {
                "the collector of traces takes no spans: they are tried again for a while, then given up; requests go on. See traces.endpoint"
            }
            Event::TracesWork => "the collector of traces takes spans again",
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
            Event::DeliveryLeaseLost { .. } => {
                "a delivery ended after its lease: the event is delivered again, under the same id; a lease longer than \
                 the HIS takes (delivery.lease_ms) prevents that"
            }
            Event::CallbackStored { kind, .. } => match kind {
                Kind::Accepted => "a callback is in the inbox",
                Kind::Duplicate => "a callback came again, and is in the inbox already",
                Kind::Updated => "a callback with another body than before is in the inbox",
                Kind::Quarantined(reason) => quarantined(*reason),
            },
            Event::CallbackRefused { reason, .. } => refused(*reason),
            Event::CallbackNotStored {
                error: AppendError::Inbox(InboxError::Unconfirmed),
                ..
            } => {
                "a callback was not acknowledged: the inbox's database did not confirm the commit in time; is its synchronous standby away?"
            }
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
            Event::InboxLost { .. } => {
                "the database of the inbox does not answer: callbacks are refused, and events wait; queries go on"
            }
            Event::InboxFound { .. } => "the database of the inbox answers again",
            Event::Draining => "asked to stop, finishing what runs",
            Event::DrainTimedOut { .. } => "requests cut: drain.timeout_ms was over",
            Event::Stopped => "gateway stopped",
            Event::Panicked { .. } => "a defect in the gateway, please report it",
            Event::RiskySetting(rule) => rule.why,
            Event::Notice { text } => text,
        }
    }
}
