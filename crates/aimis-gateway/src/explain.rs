//! What the gateway would make of a request, told without sending anything: for an integrator whose HIS does
//! not get what it expects, and for whoever wants to see what leaves the house.
//!
//! It goes the same way as a request up to the point where the platform would be asked. Persons are masked.

use aimis_core::contract::FieldKind;
use aimis_core::contract::{HOSPITAL_ID, UNION_ID};
use aimis_core::datetime::Date;
use aimis_core::identity::{MaskWidth, mask_id, mask_name, mask_phone};
use aimis_core::order::Order;
use http::{HeaderValue, Method, Uri};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::clock::Clock;
use crate::config::Language;
use crate::edge::request_id::RequestIds;
use crate::forward::notes::Notes;
use crate::forward::{authorize, route, understand};
use crate::rejection::{self, Rejection};
use crate::snapshot::Snapshot;
use crate::telemetry::exchange::Exchange;
use crate::tenant::Tenant;

/// A request to be explained.
pub struct Sample<'a> {
    /// Path, as the HIS would ask for it.
    pub target: &'a Uri,
    /// Its `Content-Type`.
    pub content_type: Option<&'a HeaderValue>,
    /// Its body.
    pub body: &'a [u8],
}

/// What would become of a request.
#[derive(Serialize)]
pub struct Explanation {
    /// Name of the client; none where no clients are configured.
    pub client: Option<String>,
    /// Name of the tenant, once it is known.
    pub tenant: Option<String>,
    /// Name of the API, once it is known.
    pub api: Option<&'static str>,
    /// What would be changed: the value of `X-Aimis-Repairs`.
    pub repairs: String,
    /// What looks wrong: the value of `X-Aimis-Warnings`.
    pub warnings: String,
    /// What would be sent, or why nothing would be.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What would be sent, or why nothing would be.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The request to the platform; several for a merged study list, one a type.
    WouldSend {
        /// Path at the platform.
        path: String,
        /// What would be sent there.
        requests: Vec<Masked>,
    },
    /// The refusal.
    Refused {
        /// HTTP status.
        status: u16,
        /// Code of the envelope.
        code: u32,
        /// What happened and what to do.
        message: String,
    },
}

/// A request to the platform, fit to be shown.
#[derive(Serialize)]
pub struct Masked {
    /// Members of the body, masked.
    pub body: Value,
    /// Tells equal questions from others.
    pub cache_key_id: String,
}

/// Explains a request of `client`.
///
/// # Errors
/// When the system has no randomness to give.
pub fn explain(
    snapshot: &Snapshot,
    client: &Client,
    sample: &Sample<'_>,
    clock: &Clock,
    language: Language,
) -> std::io::Result<Explanation> {
    let id = RequestIds::new(clock.clone())?.make();
    let mut notes = Notes::new(Exchange::new(id, "POST", clock.moment()), client.answers);
    notes.exchange.api = route::api_of(sample.target, &snapshot.apis).map(|api| (api, snapshot.apis.name(api)));
    let outcome = follow(snapshot, client, sample, clock, &mut notes).unwrap_or_else(|rejection| {
        let public = rejection.public();
        Outcome::Refused {
            status: public.status.as_u16(),
            code: public.code,
            message: rejection::message(&rejection, language),
        }
    });
    Ok(Explanation {
        client: client.name.as_ref().map(|name| name.as_str().to_owned()),
        tenant: notes.exchange.tenant.as_ref().map(|(_, name)| name.as_str().to_owned()),
        api: notes.exchange.api.map(|(_, name)| name),
        repairs: notes.repairs().to_owned(),
        warnings: notes.warnings().to_owned(),
        outcome,
    })
}

/// The road's way, as far as nobody is asked.
fn follow(
    snapshot: &Snapshot,
    client: &Client,
    sample: &Sample<'_>,
    clock: &Clock,
    notes: &mut Notes,
) -> Result<Outcome, Rejection> {
    let route = route::read(&Method::POST, sample.target, &snapshot.apis)?;
    authorize::api(client, route.api)?;
    if sample.body.len() > snapshot.body_bounds.max {
        let limit = snapshot.body_bounds.max;
        return Err(Rejection::BodyTooLarge { limit });
    }
    let today = Date::in_china(clock.now());
    let (question, tenant) = understand(snapshot, client, &route, sample.body, sample.content_type, today, notes)?;
    Ok(Outcome::WouldSend {
        path: tenant.uri(route.api).to_string(),
        requests: question
            .orders()
            .iter()
            .map(|order| masked(snapshot, tenant, order))
            .collect(),
    })
}

/// An order as it would leave, its members in their order and every person masked. Members outside the contract
/// that are forwarded are among them.
fn masked(snapshot: &Snapshot, tenant: &Tenant, order: &Order) -> Masked {
    let revealed = order.revealed_body();
    let members: Map<String, Value> = serde_json::from_slice(&revealed).expect("an order writes a JSON object");
    let show = |(name, value): (String, Value)| {
        let kind = order.contract().field(&name).map(|field| field.kind);
        let value = match value {
            Value::String(text) => {
                let text = Zeroizing::new(text);
                mask(&name, kind, &text).into()
            }
            other => other,
        };
        (name, value)
    };
    Masked {
        body: members.into_iter().map(show).collect(),
        cache_key_id: snapshot.cache_keys.key(tenant, order).id(),
    }
}

/// Numbers and names by their own masks; the hospital's and the union's ids and dates as they are, unless a person's
/// number could be in them; other texts may hold anything and show one character.
fn mask(name: &str, kind: Option<FieldKind>, text: &str) -> String {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    match (kind, name) {
        (Some(FieldKind::Phone), _) => format!("{} (encrypted)", mask_phone(text)),
        (Some(FieldKind::IdNumber), _) => format!("{} (encrypted)", mask_id(text, MaskWidth::Narrow)),
        (Some(FieldKind::DateTime(_) | FieldKind::Integer { .. }), _) => text.to_owned(),
        (Some(FieldKind::Text), HOSPITAL_ID | UNION_ID) if digits < 10 => text.to_owned(),
        (Some(FieldKind::Text) | None, _) => mask_name(text),
    }
}
