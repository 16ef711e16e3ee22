//! The names of keys in the store. What belongs to one request of a tenant has one hash tag, so that a cluster keeps it
//! together; no key holds anything of a patient.

/// Makes keys.
pub struct Keys {
    prefix: String,
    cluster: bool,
}

impl Keys {
    pub(super) fn new(prefix: &str, cluster: bool) -> Self {
        Self {
            prefix: prefix.to_owned(),
            cluster,
        }
    }

    /// Something of a tenant: `aimis:{first-hospital}:KIND:NAME`.
    pub fn of_tenant(&self, tenant: &str, kind: &str, name: &str) -> String {
        format!("{}:{{{tenant}}}:{kind}:{name}", self.prefix)
    }

    /// A client's quota, of all APIs or one. In a cluster it can only be judged together with its tenant's where it is the
    /// tenant's, too: so there each tenant that a client asks of has a quota of its own for it.
    pub fn of_client(&self, tenant: &str, client: &str, api: &str) -> String {
        if self.cluster {
            self.of_tenant(tenant, "client", &format!("{client}:{api}"))
        } else {
            format!("{}:client:{client}:{api}", self.prefix)
        }
    }

    /// Whatever all gateways share: `aimis:NAME`.
    pub fn common(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    pub(super) fn gateways(&self) -> String {
        self.common("gateways")
    }
}
