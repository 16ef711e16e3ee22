//! Which label the series of a tenant have: those of the first tenants their names, those of all others one that
//! they share.
//!
//! A gateway may serve thousands of hospitals, and each name costs some thirty series, here and in Prometheus. So
//! `telemetry.tenant_labels` of them have series of their own, in the configuration's order; who is looked at closely
//! stands first. The log and the limits know every tenant.

use super::labels::OTHER_TENANT;

/// The labels of all tenants.
#[derive(Clone, Debug)]
pub struct TenantLabels {
    /// Names, and the shared label behind them where some tenant needs it.
    labels: Vec<String>,
    named: usize,
    all: usize,
}

impl TenantLabels {
    /// The first `most` of these tenants get labels of their own.
    pub fn new(tenants: &[&str], most: usize) -> Self {
        let named = tenants.len().min(most);
        let shared = (named < tenants.len()).then_some(OTHER_TENANT);
        Self {
            labels: tenants[..named]
                .iter()
                .copied()
                .chain(shared)
                .map(str::to_owned)
                .collect(),
            named,
            all: tenants.len(),
        }
    }

    /// Every label.
    pub(super) fn all(&self) -> Vec<&str> {
        self.labels.iter().map(String::as_str).collect()
    }

    /// How many tenants there are, with a label of their own or without.
    pub(super) fn tenants(&self) -> usize {
        self.all
    }

    /// Position of a tenant's label among [`Self::all`].
    pub(super) fn row(&self, tenant: usize) -> usize {
        tenant.min(self.named)
    }

    /// Whether the tenant at this position has a label of its own.
    pub(super) fn is_named(&self, tenant: usize) -> bool {
        tenant < self.named
    }

    /// The label of the tenant `name`.
    pub(super) fn label(&self, name: &str) -> &str {
        let own = self.labels.iter().find(|label| *label == name);
        own.map_or(OTHER_TENANT, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tenants_have_names_and_the_others_share_a_label() {
        let labels = TenantLabels::new(&["a", "b", "c", "d"], 2);
        assert_eq!(labels.all(), ["a", "b", OTHER_TENANT]);
        assert_eq!([0, 1, 2, 3].map(|tenant| labels.row(tenant)), [0, 1, 2, 2]);
        assert_eq!([0, 1, 2].map(|tenant| labels.is_named(tenant)), [true, true, false]);
        assert_eq!(["a", "b", "c"].map(|name| labels.label(name)), ["a", "b", OTHER_TENANT]);
    }

    #[test]
    fn no_label_is_shared_where_every_tenant_has_its_own() {
        assert_eq!(TenantLabels::new(&["a", "b"], 2).all(), ["a", "b"]);
        assert_eq!(TenantLabels::new(&["a"], 0).all(), [OTHER_TENANT]);
        assert!(TenantLabels::new(&[], 10).all().is_empty());
    }
}
