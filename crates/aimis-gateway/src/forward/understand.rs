//! The part of the road that asks nobody: a body and a path become a question that its client may ask.
//!
//! The road goes on from here to the platform; `explain` stops here.

use std::sync::Arc;

use aimis_core::contract::{HOSPITAL_ID, UNION_ID};
use aimis_core::datetime::Date;
use aimis_core::order::{OrderBuilder, RepairMode, Rules};
use http::HeaderValue;

use super::audited::About;
use super::notes::Notes;
use super::question::Question;
use super::route::Route;
use super::{authorize, decode};
use crate::client::Client;
use crate::rejection::Rejection;
use crate::snapshot::Snapshot;
use crate::tenant::Tenant;

/// Reads a body under the rules of its client and its tenant, and tells `notes` what there was to repair.
///
/// # Errors
/// What is wrong with the body or its fields, or the rule that forbids the question.
pub fn understand<'s>(
    snapshot: &'s Snapshot,
    client: &Client,
    route: &Route<'_>,
    body: &[u8],
    content_type: Option<&HeaderValue>,
    today: Date,
    notes: &mut Notes,
) -> Result<(Question, &'s Arc<Tenant>), Rejection> {
    let mut draft = OrderBuilder::new(snapshot.apis.contract(route.api), body.len());
    let unknown = decode::read(body, content_type, &client.dialects, &mut draft)?;
    let tenant = authorize::tenant(client, route, &draft, &snapshot.tenants)?;
    notes.exchange.tenant = Some((tenant.index, tenant.name.clone()));

    let configured = [
        (HOSPITAL_ID, &client.hospital_id),
        (HOSPITAL_ID, &tenant.hospital_id),
        (UNION_ID, &client.union_id),
        (UNION_ID, &tenant.union_id),
    ];
    for (name, value) in configured {
        if let Some(value) = value {
            // Another value that the caller gave stays: a union's HIS may ask for a neighbour.
            let _ = draft.fill(name, value);
        }
    }
    let rules = Rules {
        today: Some(today),
        repair: if client.strict {
            RepairMode::Refuse
        } else {
            RepairMode::Tell
        },
        ..tenant.rules
    };
    if !client.strict {
        // Before the fields are judged: what is missing may be what was dropped.
        for (name, outcome) in &unknown {
            notes.repair(Some(name), outcome.repair());
        }
    }
    let question = Question::of(draft, client, &rules)?;
    let orders = question.orders();
    // Also of what is not permitted: who asked about whom is what a record is for.
    notes.audited.about = snapshot
        .audit
        .as_ref()
        .map(|tagger| About::of(tagger, tenant.name.as_str(), &orders[0]));
    for order in orders {
        authorize::order(client, tenant, order)?;
    }
    for repair in orders[0].repairs() {
        notes.repair(repair.field, repair.kind);
    }
    for warning in orders[0].warnings() {
        notes.warn_of(warning);
    }
    notes.exchange.patient = Some(snapshot.tagger.tag(&orders[0]));
    Ok((question, tenant))
}
