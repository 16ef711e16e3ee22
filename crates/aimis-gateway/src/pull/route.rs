//! Which tenant, which operation, how much: what a request's line says, and whether its client may.

use std::sync::Arc;
use std::time::Duration;

use aimis_core::contract::FieldKind;
use aimis_core::order::{FieldProblem, Reason};
use http::{Method, Uri};

use super::{METHODS, Pull};
use crate::client::Client;
use crate::rejection::Rejection;
use crate::telemetry::labels::PullOperation;
use crate::tenant::{Tenant, Tenants};

/// What all paths of this road begin with.
const PREFIX: &str = "/inbox/";
/// Events in an answer where the request does not say.
const DEFAULT_LIMIT: usize = 10;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Events.
    Fetch {
        /// At most so many, and at least one.
        limit: usize,
        /// So long is waited for the first.
        wait: Duration,
    },
    /// To end leases; the body says which.
    Settle,
}

/// A request that is let in.
pub struct Route<'t> {
    /// Whose events.
    pub tenant: &'t Arc<Tenant>,
    /// What about them.
    pub asked: Asked,
}

/// Whether a path is one of this road's, right or wrong.
pub fn is_pull(uri: &Uri) -> bool {
    uri.path().starts_with(PREFIX)
}

/// What a method stands for, for log and counters.
pub fn operation(method: &Method) -> PullOperation {
    match *method {
        Method::GET => PullOperation::Fetch,
        Method::POST => PullOperation::Settle,
        _ => PullOperation::Other,
    }
}

/// Reads the request's line, and judges whether `client` may.
///
/// # Errors
/// [`Rejection::NotPermitted`], [`Rejection::NoSuchInbox`] (also where there is no inbox: `pull` is `None`),
/// [`Rejection::MethodNotAllowed`] and [`Rejection::FieldInvalid`] for a parameter.
pub fn read<'t>(
    pull: Option<&Pull>,
    method: &Method,
    uri: &Uri,
    client: &Client,
    tenants: &'t Tenants,
) -> Result<Route<'t>, Rejection> {
    let refused = |rule| Rejection::NotPermitted { rule };
    client.permissions.inbox().map_err(refused)?;
    let name = tenant_of(uri.path()).ok_or(Rejection::NoSuchInbox)?;
    let tenant = tenants.by_name(name).ok_or(Rejection::NoSuchInbox)?;
    client.permissions.tenant(tenant.index).map_err(refused)?;
    let pull = pull.ok_or(Rejection::NoSuchInbox)?;
    pull.metrics(tenant.index)?;
    let asked = match *method {
        Method::GET => fetch(uri.query().unwrap_or_default(), pull)?,
        Method::POST => Asked::Settle,
        _ => return Err(Rejection::MethodNotAllowed { allow: METHODS }),
    };
    Ok(Route { tenant, asked })
}

fn tenant_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PREFIX)?.strip_prefix("v1/")?;
    // A slash at the end means nothing.
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    rest.strip_suffix("/events")
}

/// Parameters that are not ours, such as those against caches, mean nothing.
fn fetch(query: &str, pull: &Pull) -> Result<Asked, Rejection> {
    let (mut limit, mut wait) = (DEFAULT_LIMIT as u64, 0);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "limit" => limit = number("limit", value, 1, pull.bounds.events as u64)?,
            "wait" => wait = number("wait", value, 0, pull.bounds.wait.as_secs())?,
            _ => {}
        }
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(pull.bounds.events);
    Ok(Asked::Fetch {
        limit,
        wait: Duration::from_secs(wait),
    })
}

/// A whole number. More than `max` means `max`: a HIS need not know how the gateway is set.
fn number(name: &str, text: &str, min: u64, max: u64) -> Result<u64, Rejection> {
    let read = text.parse().ok().filter(|number| *number >= min);
    let refused = || {
        let kind = FieldKind::Integer {
            min: min.cast_signed(),
            max: max.cast_signed(),
        };
        Rejection::FieldInvalid(vec![FieldProblem {
            field: name.to_owned(),
            reason: Reason::OutOfRange,
            kind: Some(kind),
        }])
    };
    read.map(|number: u64| number.min(max)).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_tenant_and_nothing_else() {
        assert_eq!(tenant_of("/inbox/v1/first-hospital/events"), Some("first-hospital"));
        assert_eq!(tenant_of("/inbox/v1/first-hospital/events/"), Some("first-hospital"));
        for wrong in [
            "/inbox/",
            "/inbox/v2/a/events",
            "/inbox/v1/a",
            "/inbox/v1/a/event",
            "/inboxes/v1/a/events",
        ] {
            assert_eq!(tenant_of(wrong), None, "{wrong}");
        }
    }
}
