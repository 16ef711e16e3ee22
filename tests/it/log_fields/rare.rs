//! Events of days so bad that no test has them happen, or only a test that does not look at the log.

use aimis_core::sign::Timestamp;
use aimis_gateway::callback::event::EventId;
use aimis_gateway::callback::inbox::{AppendError, InboxError, Reason};
use aimis_gateway::clock::Clock;
use aimis_gateway::edge::request_id::RequestId;
use aimis_gateway::telemetry::event::{CodePath, Event};
use aimis_gateway::telemetry::labels::CallbackRefusal;
use aimis_gateway::telemetry::log::{Level, Log};
use aimis_gateway::tenant::TenantName;
use http::HeaderValue;
use serde_json::Value;
use std::time::Duration;

use super::checked;
use crate::support::gateway::LogBuffer;

/// The lines of events, held to the contract.
fn lines(events: &[Event<'_>]) -> Vec<Value> {
    let buffer = LogBuffer::default();
    let (log, guard) = Log::start(Clock::system(), Level::Debug, "test", Box::new(buffer.clone())).unwrap();
    events.iter().for_each(|event| log.write(event));
    // Writes what is left.
    drop(guard);
    checked(&buffer.text())
}

#[test]
fn events_of_bad_days_are_what_the_contract_says() {
    let tenant = &TenantName::new("north");
    let reason = &Reason::status(503);
    let request = RequestId::from_caller(&HeaderValue::from_static("his-42")).unwrap();
    let id = EventId::new(Timestamp::from_millis(1_735_689_600_000)).unwrap();
    let (attempt, left_out) = (3, 7);
    let next = Duration::from_secs(30);
    let refused = |reason, left_out| Event::CallbackRefused {
        request,
        tenant: Some(tenant),
        reason,
        client: Some([10, 0, 0, 1].into()),
        left_out,
    };
    let not_stored = |error| Event::CallbackNotStored {
        tenant: Some(tenant),
        error,
        left_out,
    };
    let events = [
        Event::AcceptFailed {
            listener: "lan",
            kind: std::io::ErrorKind::Other,
            left_out,
        },
        Event::UnaskedAnswer,
        Event::TracesFailing {
            reason: "status",
            status: Some(503),
        },
        Event::TracesWork,
        Event::InboxBroken { what: "write" },
        Event::Panicked {
            file: CodePath::of(std::panic::Location::caller()),
            line: 1,
        },
        Event::Notice { text: "a notice" },
        refused(CallbackRefusal::Reflected, 0),
        refused(CallbackRefusal::Signature, left_out),
        not_stored(AppendError::Busy),
        not_stored(AppendError::Full),
        not_stored(AppendError::QuarantineFull),
        not_stored(AppendError::Inbox(InboxError::Failed)),
        not_stored(AppendError::Inbox(InboxError::Late)),
        not_stored(AppendError::Inbox(InboxError::Unconfirmed)),
        Event::DeliveryFailed {
            trace: None,
            tenant,
            event: id,
            attempt,
            reason,
            next,
            left_out,
        },
        Event::DeliveryDead {
            trace: None,
            tenant,
            event: id,
            attempt,
            reason,
        },
        Event::DeliveryParked { tenant },
        Event::DeliverySuspended { tenant },
        Event::DeliveryResumed { tenant },
        Event::DeliveryStoreFailed { tenant, left_out },
    ];

    let lines = lines(&events);

    let names: Vec<&str> = lines.iter().map(|line| line["event.name"].as_str().unwrap()).collect();
    let expected: Vec<&str> = events.iter().map(Event::name).collect();
    assert_eq!(names, expected);
}
