//! The fields of each event, under the names of `config/log-fields.json`.

use super::super::log::Line;
use super::callback::not_stored;
use super::{Event, Purge};
use crate::callback::inbox::{Kind, Rekeyed};
use crate::live::rotated::Rotated;

impl Event<'_> {
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
            Event::KeyRotated(rotated) => {
                line.field("key", rotated.key());
                match *rotated {
                    Rotated::Audit { before, now } => line.field("key.id", now).field("key.id.before", before),
                    Rotated::Inbox(Rekeyed { before, now }) => line.field("key.id", now).field("key.id.before", before),
                };
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
            Event::StoreAway {
                fault,
                replicas,
                left_out,
            } => {
                line.field("error.type", fault.as_str())
                    .field("replicas", *replicas)
                    .field("suppressed", *left_out);
            }
            Event::StoreUp { replicas } => {
                line.field("replicas", *replicas);
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
                trace,
                tenant,
                event,
                attempt,
                lag,
            } => {
                line.field("tenant", *tenant)
                    .maybe("trace_id", trace.map(|trace| trace.trace))
                    .maybe("span_id", trace.map(|trace| trace.span))
                    .field("event.id", *event)
                    .field("attempt", *attempt)
                    .field("lag_s", *lag);
            }
            Event::DeliveryFailed {
                trace,
                tenant,
                event,
                attempt,
                reason,
                next,
                left_out,
            } => {
                line.field("tenant", *tenant)
                    .maybe("trace_id", trace.map(|trace| trace.trace))
                    .maybe("span_id", trace.map(|trace| trace.span))
                    .field("event.id", *event)
                    .field("attempt", *attempt)
                    .field("error.type", *reason)
                    .field("next_s", *next)
                    .field("suppressed", *left_out);
            }
            Event::DeliveryDead {
                trace,
                tenant,
                event,
                attempt,
                reason,
            } => {
                line.field("tenant", *tenant)
                    .maybe("trace_id", trace.map(|trace| trace.trace))
                    .maybe("span_id", trace.map(|trace| trace.span))
                    .field("event.id", *event)
                    .field("attempt", *attempt)
                    .field("error.type", *reason);
            }
            Event::DeliveryParked { tenant }
            | Event::DeliverySuspended { tenant }
            | Event::DeliveryResumed { tenant } => {
                line.field("tenant", *tenant);
            }
            Event::DeliveryLeaseLost {
                tenant,
                event,
                attempt,
                left_out,
            } => {
                line.field("tenant", *tenant)
                    .field("event.id", *event)
                    .field("attempt", *attempt)
                    .field("suppressed", *left_out);
            }
            Event::DeliveryStoreFailed { tenant, left_out } => {
                line.field("tenant", *tenant).field("suppressed", *left_out);
            }
            Event::CallbackStored {
                trace,
                request,
                tenant,
                event,
                kind,
                verified,
                duration,
            } => {
                line.field("request.id", request)
                    .maybe("trace_id", trace.map(|trace| trace.trace))
                    .maybe("span_id", trace.map(|trace| trace.span))
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
            Event::InboxLost { error } => {
                line.field("error.type", *error);
            }
            Event::InboxFound { away } => {
                line.field("away_s", *away);
            }
            Event::DrainTimedOut { requests } => {
                line.field("requests", *requests);
            }
            Event::Panicked { file, line: at } => {
                line.field("code.file.path", *file).field("code.line.number", *at);
            }
            Event::TracesFailing { reason, status } => {
                line.field("error.type", *reason)
                    .maybe("http.response.status_code", *status);
            }
            Event::UnaskedAnswer
            | Event::TracesWork
            | Event::InboxBroken { .. }
            | Event::Draining
            | Event::Stopped
            | Event::Notice { .. } => {}
        }
    }
}
