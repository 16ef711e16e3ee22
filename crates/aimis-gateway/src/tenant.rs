//! A hospital as the gateway serves it: its name, its keys, its ids.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use aimis_core::order::Rules;
use aimis_core::sign::Timestamp;
use http::{HeaderValue, Uri};

use crate::forward::cache::terms::Terms;
use crate::keyring::Keyring;
use crate::sent::Sent;
use crate::telemetry::log::Loggable;

/// A tenant's name from the configuration: lower-case letters, digits and dashes, at most 32. It is
/// chosen by an operator and may stand in logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantName(Arc<str>);

impl TenantName {
    /// Wraps a name that the configuration has checked.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TenantName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Loggable for &TenantName {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, &self.0);
    }
}

/// One hospital.
pub struct Tenant {
    /// Position in the configuration.
    pub index: usize,
    /// Its name.
    pub name: TenantName,
    /// Its appId at the platform.
    pub app_id: String,
    /// Filled in where a request has none; also tells the tenant when the path does not.
    pub hospital_id: Option<String>,
    /// Filled in where a request has none.
    pub union_id: Option<String>,
    /// How its requests are judged.
    pub rules: Rules,
    /// How answers are kept, one for each API.
    pub cache: Vec<Terms>,
    /// Its way to the platform, by its position in [`crate::upstream::connect::Connector`].
    pub(crate) way: usize,
    /// Its tokens.
    pub keyring: Arc<Keyring>,
    pub(crate) app_id_header: HeaderValue,
    pub(crate) platform_host: HeaderValue,
    /// What its requests were signed for; kept where callbacks are taken.
    pub(crate) sent: Option<Arc<Sent>>,
    /// One for each API.
    pub(crate) uris: Vec<Uri>,
}

impl Tenant {
    /// Notes that a request signed for `at` is about to leave.
    pub fn note_sent(&self, at: Timestamp) {
        if let Some(sent) = &self.sent {
            sent.remember(at);
        }
    }

    /// Whether this is the same hospital to the platform as `other`: what is remembered about the one is true of the
    /// other.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.app_id == other.app_id
    }

    /// Its appId as a header's value.
    pub fn app_id_header(&self) -> HeaderValue {
        self.app_id_header.clone()
    }

    /// The `Host` of the platform it uses.
    pub fn platform_host(&self) -> HeaderValue {
        self.platform_host.clone()
    }

    /// Path of an API at the platform.
    pub fn uri(&self, api: usize) -> Uri {
        self.uris[api].clone()
    }
}

/// All hospitals of this gateway.
pub struct Tenants {
    all: Vec<Arc<Tenant>>,
    by_name: HashMap<TenantName, usize>,
    by_app_id: HashMap<String, usize>,
    /// Only ids that one tenant alone has.
    by_hospital_id: HashMap<String, Option<usize>>,
}

impl Tenants {
    /// The tenants in the configuration's order; names and appIds are unique there.
    pub fn new(all: Vec<Arc<Tenant>>) -> Self {
        let by_name = all.iter().map(|t| (t.name.clone(), t.index)).collect();
        let by_app_id = all.iter().map(|t| (t.app_id.clone(), t.index)).collect();
        let mut by_hospital_id = HashMap::new();
        for tenant in &all {
            if let Some(id) = &tenant.hospital_id {
                by_hospital_id
                    .entry(id.clone())
                    .and_modify(|owner| *owner = None)
                    .or_insert(Some(tenant.index));
            }
        }
        Self {
            all,
            by_name,
            by_app_id,
            by_hospital_id,
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Tenant>] {
        &self.all
    }

    /// The tenant called so.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.by_name.get(name).map(|index| &self.all[*index])
    }

    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.all.iter().map(|tenant| tenant.name.as_str()).collect()
    }

    /// The tenant with this appId.
    pub fn by_app_id(&self, app_id: &str) -> Option<&Arc<Tenant>> {
        self.by_app_id.get(app_id).map(|index| &self.all[*index])
    }

    /// The tenant of a request whose path names none: by its `hospitalId`, else the only one there is.
    pub fn by_hospital_id(&self, hospital_id: Option<&str>) -> Option<&Arc<Tenant>> {
        let named = hospital_id.and_then(|id| self.by_hospital_id.get(id).copied().flatten());
        match (named, self.all.as_slice()) {
            (Some(index), all) => Some(&all[index]),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}
