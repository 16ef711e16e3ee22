//! The road from the HIS to the platform and back: `Road::handle`, a line a stage.
//!
//! | stage | from | to |
//! |---|---|---|
//! | [`crate::client`] | connection and headers | who asks |
//! | [`route`] | the request's line | API and appId |
//! | [`decode`] | the body's bytes | a draft of an order |
//! | [`authorize`] | client, tenant, order | whether this client may ask this |
//! | [`understand()`] | the three before | a checked [`question::Question`] to one tenant: an order, or one a type of study |
//! | [`crate::limit`] | client and question | whether its client may ask so much |
//! | [`ask`] | an order | what becomes of it: an answer, or why there is none |
//! | [`cache`] | its key | a known answer, one that is on its way, or the question itself |
//! | [`crate::limit`] | an order | its turn under its tenant's limits |
//! | [`protect`] | an order | a [`protect::ProtectedRequest`]: personal fields encrypted |
//! | [`crate::upstream`] | that | the platform's [`crate::upstream::reply::Reply`], signed for anew in each attempt |
//! | [`relay`] | the reply | the caller's answer, byte for byte |
//! | [`merge`] | several replies | one study list of them all |
//! | [`audited`] | what came of it | its record in the audit trail |
//! | [`answer`] | any answer | the same in its client's words, where these are others |
//!
//! A stage names types of earlier stages only. What surrounds a request whatever becomes of it (its id,
//! its log line, the headers on every answer) is in [`service`]; what is learnt about it in [`notes`]; [`cors`] speaks
//! with browsers; [`roads`] has a worker's road follow the configuration in force.

pub mod answer;
pub mod apis;
pub mod ask;
pub mod audited;
pub mod authorize;
pub mod cache;
pub mod cors;
pub mod decode;
pub mod merge;
pub mod notes;
pub mod protect;
pub mod question;
pub mod relay;
pub mod roads;
pub mod route;
pub mod service;
mod understand;

use std::net::IpAddr;
use std::sync::Arc;

use aimis_core::contract::STUDY_TYPE;
use aimis_core::datetime::Date;
use aimis_core::order::Order;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;

use crate::audit::count::items;
use crate::client::Client;
use crate::client::failures::Failures;
use crate::clock::Clock;
use crate::config::Language;
use crate::edge::connection::Body;
use crate::edge::peer::Peer;
use crate::limit::Charge;
use crate::rejection::Rejection;
use crate::seen::Seen;
use crate::snapshot::Snapshot;
use crate::telemetry::exchange::{Findings, Parts};
use crate::telemetry::labels::{CodeClass, Origin};
use crate::tenant::Tenant;
use crate::upstream::reply::Reply;
use ask::{Asker, NoReply};
use cache::directives::Directives;
use cache::flight::Asked;
use cache::status::Passage;
use merge::{Merged, Terms};
use notes::Notes;
use question::Question;

pub use understand::understand;

/// Levels of nesting that a request's body may have.
pub const MAX_DEPTH: usize = 32;
/// Members beyond the contract's that a request's body may have.
pub const MAX_MEMBERS: usize = 256;

/// The road of one worker.
pub struct Road {
    snapshot: Arc<Snapshot>,
    failures: Arc<Failures>,
    asker: Asker,
    clock: Clock,
    /// Is told who is asked about.
    seen: Option<Arc<Seen>>,
}

impl Road {
    /// A road under one configuration. `clock` is the one that signatures carry, `clock.offset_ms` included: which
    /// day today is must not depend on a machine's clock that is known to be wrong.
    pub fn new(snapshot: Arc<Snapshot>, failures: Arc<Failures>, asker: Asker, clock: Clock) -> Self {
        Self {
            snapshot,
            failures,
            asker,
            clock,
            seen: None,
        }
    }

    /// The same road, which tells `seen` who is asked about.
    #[must_use]
    pub fn telling(self, seen: Option<Arc<Seen>>) -> Self {
        Self { seen, ..self }
    }

    /// What happens to a request.
    async fn handle(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        notes: &mut Notes,
    ) -> Result<Response<Body>, Rejection> {
        let (head, body) = request.into_parts();
        // Also in the line of a request of nobody known: which of his programs fails is what its operator looks for.
        notes.exchange.api =
            route::api_of(&head.uri, &self.snapshot.apis).map(|api| (api, self.snapshot.apis.name(api)));
        let client = self.identify(&head.headers, peer, notes)?;
        let route = route::read(&head.method, &head.uri, &self.snapshot.apis)?;
        authorize::api(client, route.api)?;

        let waiting = self.clock.moment();
        let body = decode::body::read(&head.headers, body, self.snapshot.body_bounds).await;
        notes.exchange.caller_time = self.clock.moment().since(waiting);
        let body = body?;
        notes.exchange.request_size = body.len();

        let content_type = head.headers.get(CONTENT_TYPE);
        let today = Date::in_china(self.clock.now());
        let (question, tenant) = understand(&self.snapshot, client, &route, &body, content_type, today, notes)?;
        drop(body);
        let charge = self.admit(client, tenant, route.api, &question, notes)?;
        if let Some(seen) = &self.seen {
            for order in question.orders() {
                seen.note(tenant.index, order);
            }
        }
        let said = Directives::of(&head.headers);
        match question {
            Question::One(order) => self.ask(order, route.api, tenant, said, charge, notes).await,
            Question::ByType(orders) => {
                if let Some(charge) = charge {
                    Box::pin(self.pay(&charge, notes)).await?;
                }
                let language = service::language(&head.headers).unwrap_or(notes.answers.language);
                // In a box, so that the requests that are one question have not the room for six.
                Box::pin(self.ask_each(orders, route.api, tenant, said, language, notes)).await
            }
        }
    }

    /// Whether the client may ask so much; what is left of its quota is told with the answer. Where gateways share a
    /// store, gives what it owes there.
    fn admit(
        &self,
        client: &Client,
        tenant: &Tenant,
        api: usize,
        question: &Question,
        notes: &mut Notes,
    ) -> Result<Option<Box<Charge>>, Rejection> {
        let orders = question.orders().len();
        let limits = self.asker.limits();
        if limits.are_shared() {
            return Ok(limits.charge(client.index, tenant.index, api, orders));
        }
        limits
            .admit(client.index, tenant.index, api, orders, &mut notes.standings)
            .map_err(Rejection::QuotaExceeded)?;
        Ok(None)
    }

    /// Takes what a client owes.
    async fn pay(&self, charge: &Charge, notes: &mut Notes) -> Result<(), Rejection> {
        let paid = self.asker.limits().pay(charge).await;
        notes.charged(charge);
        paid.map_err(Rejection::QuotaExceeded)
    }

    /// Gets the answer, from the platform if need be, and relays it.
    async fn ask(
        &self,
        order: Order,
        api: usize,
        tenant: &Arc<Tenant>,
        said: Directives,
        charge: Option<Box<Charge>>,
        notes: &mut Notes,
    ) -> Result<Response<Body>, Rejection> {
        let mut asked = match charge {
            None => self.asker.ask(order, api, tenant, said).await,
            Some(charge) => Box::pin(self.ask_charged(order, api, tenant, said, &charge, notes)).await?,
        };
        notes.exchange.tries = std::mem::take(&mut asked.fetched.tries);
        notes.exchange.attempts = asked.fetched.attempts;
        notes.exchange.upstream_time = asked.fetched.upstream_time;
        notes.exchange.limit_time = asked.fetched.limit_time;
        notes.passed([&asked]);
        if asked.fetched.resigned {
            self.note_clock(notes);
        }
        self.relay(api, asked.fetched.result, notes)
    }

    /// The same for a client that owes for it. What is asked past the cache, or where gateways share it, is judged together
    /// with its tenant's quota; else before the cache, since what others hear must not hang on a client's quota.
    async fn ask_charged(
        &self,
        order: Order,
        api: usize,
        tenant: &Arc<Tenant>,
        said: Directives,
        charge: &Charge,
        notes: &mut Notes,
    ) -> Result<Asked, Rejection> {
        if !self.asker.judges_with(tenant, api, said) {
            self.pay(charge, notes).await?;
            return Ok(self.asker.ask(order, api, tenant, said).await);
        }
        let asked = self.asker.ask_charged(order, api, tenant, said, charge).await;
        if charge.is_settled() {
            notes.charged(charge);
        } else {
            // It did not come to the limits.
            self.pay(charge, notes).await?;
        }
        Ok(asked)
    }

    /// A signature was refused: tells how far our clock is off, if it is.
    fn note_clock(&self, notes: &mut Notes) {
        if let Some(off_ms) = self.asker.platform().clock_off_ms() {
            notes.clock_off(off_ms);
        }
    }

    /// Gets the answer for each type of study, and merges them.
    async fn ask_each(
        &self,
        orders: Vec<Order>,
        api: usize,
        tenant: &Arc<Tenant>,
        said: Directives,
        language: Language,
        notes: &mut Notes,
    ) -> Result<Response<Body>, Rejection> {
        let types = orders.iter().filter_map(|order| order.integer(STUDY_TYPE)).collect();
        let bounds = self.snapshot.merge_bounds;
        let start = self.clock.moment();
        let mut asked = self.asker.ask_each(orders, api, tenant, said, bounds.at_once).await;
        let tries = asked.iter_mut().map(|asked| std::mem::take(&mut asked.fetched.tries));
        notes.exchange.tries = tries.flatten().collect();
        let waited = asked.iter().map(|asked| asked.fetched.limit_time).max();
        notes.exchange.limit_time = waited.unwrap_or_default();
        notes.exchange.upstream_time = self
            .clock
            .moment()
            .since(start)
            .saturating_sub(notes.exchange.limit_time);
        notes.exchange.attempts = asked.iter().map(|asked| asked.fetched.attempts).sum();
        notes.passed(&asked);

        let mut results: Vec<_> = asked.into_iter().map(|asked| asked.fetched.result).collect();
        let terms = Terms {
            codes: &self.snapshot.codes,
            api: self.snapshot.apis.name(api),
            max_body: bounds.max_body,
            language,
        };
        let merged = Merged::of(types, &results, terms);
        notes.exchange.parts = Some(merged.parts);
        notes.audited.count = self.count(merged.body());
        if merged.is_failure() {
            // Never an empty success: the first failure speaks for all.
            return self.relay(api, results.swap_remove(0), notes);
        }
        notes.exchange.origin = origin(notes);
        notes.exchange.code = Some(0);
        notes.exchange.class = CodeClass::Ok;
        match merged.parts {
            Parts { failed: 1.., .. } => notes.warn("reply", "partial"),
            Parts { ok: 0, .. } => notes.found(Findings::Nothing),
            Parts { .. } => notes.found(Findings::Something),
        }
        Ok(merged.into_answer())
    }

    /// What the platform says, or said, goes to the caller as it is, and into the notes as far as we understand it.
    fn relay(
        &self,
        api: usize,
        result: Result<Reply, NoReply>,
        notes: &mut Notes,
    ) -> Result<Response<Body>, Rejection> {
        let reply = result?;
        let code = reply.envelope().code();
        notes.audited.count = self.count(reply.body());
        notes.exchange.origin = origin(notes);
        notes.exchange.code = code;
        notes.exchange.class = self.snapshot.class_of(api, code);
        if code.is_none() {
            notes.warn("reply", "no-code");
        }
        if let Some(findings) = self.snapshot.findings(api, reply.envelope()) {
            notes.found(findings);
        }
        if code.is_some_and(|code| self.snapshot.rule(api, code).resign) {
            self.note_clock(notes);
        }
        Ok(relay::to_caller(&reply))
    }

    /// How many studies or links an answer holds, if that is to be recorded.
    fn count(&self, body: &[u8]) -> Option<u64> {
        self.snapshot.audit.as_ref().and_then(|_| items(body))
    }

    /// Where a request came from, if that is to be logged.
    fn address_to_log(&self, peer: &Peer) -> Option<IpAddr> {
        peer.address.filter(|_| self.snapshot.log_client_address)
    }

    /// Who asks.
    fn identify(&self, headers: &HeaderMap, peer: &Peer, notes: &mut Notes) -> Result<&Client, Rejection> {
        notes.exchange.client_address = self.address_to_log(peer);
        let found = self.snapshot.clients.identify(headers, peer).map_err(|nobody| {
            notes.exchange.client = nobody.client.and_then(|client| client.name.clone());
            match self.failures.note(peer.address) {
                Ok(()) => Rejection::ClientUnknown { fault: nobody.fault },
                Err(limited) => {
                    notes.exchange.quiet = limited.left_out.is_none();
                    notes.exchange.suppressed = limited.left_out;
                    Rejection::SignInsLimited { wait: limited.wait }
                }
            }
        })?;
        let client = found.client;
        notes.exchange.client = client.name.clone();
        notes.answers = client.answers;
        // A page that is open at the right place is not the program that is meant to be there.
        if !found.by_proof && self.snapshot.cors.is_foreign(headers) {
            return Err(Rejection::PageNotAllowed);
        }
        Ok(client)
    }
}

/// Who made an answer of the platform: the platform just now, or earlier.
fn origin(notes: &Notes) -> Origin {
    match notes.exchange.passage {
        Some(Passage::Kept { .. }) => Origin::Cache,
        Some(Passage::Asked { .. } | Passage::Absent) | None => Origin::Platform,
    }
}
