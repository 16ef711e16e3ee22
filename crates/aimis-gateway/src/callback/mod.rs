//! The callback road, platform to HIS: what the platform tells is kept before it is acknowledged.
//!
//! [`Callbacks::receive`] is the road, one line per stage:
//!
//! | file | is about |
//! |---|---|
//! | `rate` | how much one address may send |
//! | `ingress` | path, source, and the body within its bounds |
//! | `hospital` | what a tenant's callbacks are judged by |
//! | `verify` | the signature |
//! | `decode` | body to members |
//! | `open` | members to an event: decrypted, and in the shape of what it should be |
//! | `links` | where links lead |
//! | `listed` | a study in a list becomes an event, where no callback told of it |
//! | `event` | an event on its way: ids, keyed tags, what is known of its sender |
//! | `inbox` | where events are kept until the HIS has them |
//! | `deliver` | how they get there |
//! | `answer` | what the platform is told |
//! | `service` | what surrounds every callback: its id, its lines in the log, its counters |
//! | `prepare`, `start` | a configuration becomes all this, on a thread of its own |

pub mod answer;
pub mod decode;
pub mod deliver;
pub mod event;
pub mod hospital;
pub mod inbox;
pub mod ingress;
pub mod links;
pub mod listed;
pub mod open;
pub mod prepare;
pub mod rate;
pub mod service;
pub(crate) mod start;
pub mod verify;

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use http::Request;
use http::header::CONTENT_TYPE;
use hyper::body::Incoming;

use crate::clock::Clock;
use crate::edge::peer::Peer;
use crate::telemetry::labels::{CallbackRefusal, CallbackRepair};
use crate::tenant::TenantName;
use event::QuarantineReason;
use hospital::Hospitals;
use inbox::{AppendError, Appended, Inbox, Kind};
use ingress::BodyBounds;
use links::LinkHosts;
use open::Patient;
use rate::Rate;

#[cfg(test)]
mod tests;

/// Everything that the road needs.
pub struct Callbacks {
    /// The tenants, as the configuration in force has them.
    pub hospitals: Arc<ArcSwap<Hospitals>>,
    /// Where events are kept.
    pub inbox: Arc<dyn Inbox>,
    /// How much one address may send.
    pub rate: Rate,
    /// Bounds of a body.
    pub bounds: BodyBounds,
    /// Counts where links lead.
    pub link_hosts: LinkHosts,
    /// Told of a patient before the callback about it is acknowledged.
    pub invalidate: Vec<Arc<dyn Invalidate>>,
    /// When callbacks come.
    pub clock: Clock,
    /// The clock that requests are signed by.
    pub signing_clock: Clock,
}

/// Holds something about patients that a callback makes untrue: a cached list, for one.
pub trait Invalidate: Send + Sync {
    /// Drops what is held about `patient` of `tenant`. The acknowledgement waits for it, so it has a bound of its own.
    ///
    /// # Errors
    /// [`StillHeld`]: then there is no acknowledgement. Whoever holds it sees to it that it is dropped.
    fn invalidate<'a>(&'a self, tenant: &'a TenantName, patient: &'a Patient) -> BoxFuture<'a, Result<(), StillHeld>>;
}

/// What is held about a patient could not be dropped in time, somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillHeld;

/// Why a callback was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not one that is taken here.
    Unacceptable(CallbackRefusal),
    /// It could not be kept.
    NotStored(AppendError),
    /// Signed, but not to be decrypted: kept in quarantine all the same, and not acknowledged.
    Undecryptable,
    /// It is durable and goes to the HIS, but an answer from before it may still serve somewhere. When it is sent again it
    /// is known, and acknowledged once that is over.
    StillHeld,
}

/// What is found out about a callback on its way; for the log and the counters.
#[derive(Default)]
pub struct Course {
    /// Whose it is, once that is known.
    pub tenant: Option<TenantName>,
    /// What was done to understand it.
    pub repairs: Vec<CallbackRepair>,
    /// What the inbox made of it.
    pub stored: Option<(event::EventId, Kind, event::Verified)>,
}

impl Callbacks {
    /// Takes a callback: judged, durable, and known to whoever has to know, when this returns.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn receive(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        course: &mut Course,
    ) -> Result<inbox::Receipt, Refused> {
        if !self.rate.admits(peer.address) {
            return Err(Refused::Unacceptable(CallbackRefusal::Rate));
        }
        let (head, body) = request.into_parts();
        // Read whole before anything is judged: how soon a refusal comes tells nothing about its reason.
        let body = ingress::read(body, self.bounds).await.map_err(Refused::Unacceptable)?;

        let opened = self.judge(&head, &body, peer, course).map_err(Refused::Unacceptable)?;
        drop(body);
        let (tenant, quarantine) = (opened.event.tenant.clone(), opened.event.quarantine);
        let appended = self.inbox.append(opened.event).await.map_err(Refused::NotStored)?;
        let Appended {
            receipt,
            event,
            kind,
            verified,
        } = appended;
        course.stored = Some((event, kind, verified));
        if quarantine == Some(QuarantineReason::Undecryptable) {
            return Err(Refused::Undecryptable);
        }
        if !matches!(kind, Kind::Quarantined(_)) {
            for holder in &self.invalidate {
                let dropped = holder.invalidate(&tenant, &opened.patient).await;
                dropped.map_err(|StillHeld| Refused::StillHeld)?;
            }
        }
        Ok(receipt)
    }

    /// Everything that is judged without waiting. Whoever is not let in by path or source is judged all the same, and
    /// refused at the end, so that the time tells neither which tenants there are nor who guessed a secret.
    fn judge(
        &self,
        head: &http::request::Parts,
        body: &[u8],
        peer: &Peer,
        course: &mut Course,
    ) -> Result<open::Opened, CallbackRefusal> {
        let route = ingress::route(&head.method, head.uri.path());
        let hospitals = self.hospitals.load();
        let (hospital, known) = hospitals.find(route.map_or("", |route| route.tenant));
        let barred = if !known {
            Some(CallbackRefusal::Route)
        } else if !hospital.is_near(peer.address) {
            Some(CallbackRefusal::Network)
        } else if !hospital.knows(route.and_then(|route| route.secret)) {
            Some(CallbackRefusal::Secret)
        } else {
            None
        };
        course.tenant = known.then(|| hospital.name.clone());

        // In one breath: whoever sets the clock between the two would make a callback look late by as much.
        let (now, signing_now) = (self.clock.now(), self.signing_clock.now());
        let judged = verify::verify(&head.headers, &hospital.signatory(), hospital.rules, signing_now);
        let judged = judged.and_then(|proof| {
            let content_type = head.headers.get(CONTENT_TYPE);
            let mut members = decode::read(body, content_type).map_err(|_| CallbackRefusal::Body)?;
            let opened = open::open(&mut members, hospital, proof, self.inbox.tags(), now, signing_now)?;
            Ok((members, opened))
        });
        if let Some(reason) = barred {
            return Err(reason);
        }
        let (members, opened) = judged?;
        if hospital.link_hosts.is_none() {
            self.link_hosts.note(&members);
        }
        course.repairs = members.repairs;
        Ok(opened)
    }
}
