//! May this client ask this: the client's rules against what was understood of its request.
//!
//! Three moments, each as early as what it looks at is known: the API before the body is read, the tenant
//! before the order is complete, the order itself last. A refusal names the rule, not the value.

use std::sync::Arc;

use aimis_core::contract::HOSPITAL_ID;
use aimis_core::order::{Order, OrderBuilder};

use super::route::Route;
use crate::client::Client;
use crate::client::permissions::{Own, Rule};
use crate::rejection::Rejection;
use crate::tenant::{Tenant, Tenants};

/// Whether `client` may use the API at position `api`.
///
/// # Errors
/// [`Rejection::NotPermitted`].
pub fn api(client: &Client, api: usize) -> Result<(), Rejection> {
    client.permissions.api(api).map_err(refusal)
}

/// The tenant that is asked for, if `client` may ask for it: the one of the path's appId, else the client's
/// only one, else the one with the `hospitalId` that is asked about, else the only one there is.
///
/// # Errors
/// [`Rejection::NoSuchTenant`], [`Rejection::TenantUnclear`], [`Rejection::NotPermitted`].
pub fn tenant<'t>(
    client: &Client,
    route: &Route<'_>,
    draft: &OrderBuilder,
    tenants: &'t Tenants,
) -> Result<&'t Arc<Tenant>, Rejection> {
    let tenant = match (route.app_id, client.permissions.only_tenant()) {
        (Some(app_id), _) => tenants.by_app_id(app_id).ok_or(Rejection::NoSuchTenant)?,
        (None, Some(only)) => &tenants.all()[only],
        (None, None) => {
            let hospital = draft.text(HOSPITAL_ID).or(client.hospital_id.as_deref());
            tenants.by_hospital_id(hospital).ok_or(Rejection::TenantUnclear)?
        }
    };
    client.permissions.tenant(tenant.index).map_err(refusal)?;
    Ok(tenant)
}

/// Whether `client` may ask `order` of `tenant`.
///
/// # Errors
/// [`Rejection::NotPermitted`].
pub fn order(client: &Client, tenant: &Tenant, order: &Order) -> Result<(), Rejection> {
    let own = Own {
        hospitals: [client.hospital_id.as_deref(), tenant.hospital_id.as_deref()],
        unions: [client.union_id.as_deref(), tenant.union_id.as_deref()],
    };
    client.permissions.order(order, own).map_err(refusal)
}

fn refusal(rule: Rule) -> Rejection {
    Rejection::NotPermitted { rule }
}
