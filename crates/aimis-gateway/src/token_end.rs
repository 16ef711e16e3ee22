//! When tokens end, as far as the platform said so and somebody wrote it down.

use crate::config::{self, End};
use crate::keyring::{Keyring, Source};
use crate::live::Generation;

/// What is left of a token when somebody should be told.
pub(crate) const SOON_S: u64 = 14 * 86_400;

/// When the token ends that `source` names; `None` if nobody told.
pub(crate) fn of(settings: &config::Tenant, source: Source) -> Option<&End> {
    match source {
        Source::Token => settings.token_not_after.as_ref(),
        Source::Next => settings.next_token_not_after.as_ref(),
        Source::Previous | Source::Overlap => None,
    }
}

/// When the token in use ends, in seconds since 1970; `None` if it does not, or nobody told.
fn in_use(settings: &config::Tenant, keyring: &Keyring) -> Option<u64> {
    let current = keyring.current().fingerprint();
    let held = keyring.all().iter().find(|held| held.key.fingerprint() == current)?;
    of(settings, held.source)?.seconds()
}

/// Has the metrics tell when each tenant's token in use ends.
pub(crate) fn show(generation: &Generation) {
    let tenants = generation.config.tenants.iter().zip(generation.snapshot.tenants.all());
    let ends = tenants.map(|(settings, tenant)| (tenant.name.as_str(), in_use(settings, &tenant.keyring)));
    generation.metrics.secrets_end(ends);
}
