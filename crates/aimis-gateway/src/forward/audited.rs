//! What a look-up leaves in the audit trail, before its answer is given.

use aimis_core::contract::USAGE;
use aimis_core::order::Order;
use http::Response;

use super::notes::Notes;
use crate::audit::operator::Operator;
use crate::audit::tags::Tagger;
use crate::audit::{Auditor, Kind, Record, Subject, Unwritable};
use crate::edge::connection::Body;
use crate::rejection::Rejection;
use crate::telemetry::labels::Origin;

/// What is known of a look-up beside its notes.
#[derive(Clone, Copy, Default)]
pub struct Audited {
    /// About whom, once that is understood.
    pub about: Option<About>,
    /// Which user of the hospital's system asks, if it says so.
    pub operator: Option<Operator>,
    /// How many studies or links the answer holds.
    pub count: Option<u64>,
}

/// Whom a look-up is about, and what for.
#[derive(Clone, Copy)]
pub struct About {
    subject: Subject,
    usage: Option<i64>,
}

impl About {
    /// Whom `order` asks `tenant` about.
    pub fn of(tagger: &Tagger, tenant: &str, order: &Order) -> Self {
        Self {
            subject: tagger.patient(tenant, &order.patient()),
            usage: order.integer(USAGE),
        }
    }
}

/// Records a look-up that ends with `outcome`, which is the answer only if that could be done. What was refused before
/// it was known whom it is about is no look-up, unless its client may not ask: who tries that is worth a record.
pub async fn recorded(
    auditor: Option<&Auditor>,
    outcome: Result<Response<Body>, Rejection>,
    notes: &Notes,
) -> Result<Response<Body>, Rejection> {
    let Some(auditor) = auditor else { return outcome };
    let forbidden = matches!(outcome, Err(Rejection::NotPermitted { .. }));
    let Some((_, api)) = notes
        .exchange
        .api
        .filter(|_| notes.audited.about.is_some() || forbidden)
    else {
        return outcome;
    };
    let mut record = Box::new(Record::new(Kind::Lookup, auditor.clock().now()));
    record.request = Some(notes.exchange.request_id);
    record.trace = notes.exchange.trace.map(|trace| trace.trace);
    record.tenant = notes.exchange.tenant.as_ref().map(|(_, name)| name.clone());
    record.client.clone_from(&notes.exchange.client);
    record.operator = notes.audited.operator;
    record.api = Some(api);
    if let Some(about) = notes.audited.about {
        (record.subject, record.usage) = (about.subject, about.usage);
    }
    match &outcome {
        Ok(_) => {
            record.origin = Some(notes.exchange.origin);
            record.class = Some(notes.exchange.class);
            record.code = notes.exchange.code;
            record.count = notes.audited.count;
        }
        Err(rejection) => {
            record.origin = Some(Origin::Gateway);
            record.class = Some(rejection.class());
            record.code = Some(rejection.public().code.into());
        }
    }
    auditor.record(record).await?;
    outcome
}

impl From<Unwritable> for Rejection {
    fn from(Unwritable: Unwritable) -> Self {
        Self::AuditUnavailable
    }
}
