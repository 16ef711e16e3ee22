//! What a callback, or an operator, makes untrue: forgotten here, and in the store, where all replicas hear of it.
//!
//! The store may be away. Whoever asked for it then hears that it is not done, and it stays a debt of this replica, which
//! pays it before it goes by the store's word again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Shared;
use super::keys::TenantKey;
use super::tenants::NoKey;
use crate::telemetry::labels::Forgotten;

/// Debts that are kept one by one for a tenant; with more of them all that is kept of the tenant is shredded.
const MOST_DEBTS: usize = 4_096;
/// The wait from one try to the next, while there is time.
const BETWEEN: Duration = Duration::from_millis(50);
/// How often the store may name another data key for one act.
const MOST_KEYS: usize = 3;

/// The store could not be told in time. It will be, once it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unforgotten;

/// What is not true any more of a tenant's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Untrue<'a> {
    Patient {
        id_number: Option<&'a str>,
        phone: Option<&'a str>,
    },
    Api(&'a str),
    Everything,
}

/// What the store has not been told yet.
#[derive(Default)]
pub(super) struct Debts {
    owed: Mutex<HashMap<String, Debt>>,
    /// Those that are being paid.
    paying: AtomicUsize,
}

/// Of one tenant.
enum Debt {
    /// All that is kept of it: its data key is dropped.
    Everything,
    /// Generations under the data key of this id; under another one nothing of them is left.
    Some([u8; 8], Vec<String>),
}

impl Debts {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.paying.load(Ordering::Acquire) > 0 || !self.lock().is_empty()
    }

    fn add(&self, tenant: &str, new: Debt) {
        let mut debts = self.lock();
        let all = match (debts.remove(tenant), new) {
            (None, new) => new,
            (Some(Debt::Some(known, mut names)), Debt::Some(id, more))
                if known == id && names.len() + more.len() <= MOST_DEBTS =>
            {
                names.extend(more);
                names.sort_unstable();
                names.dedup();
                Debt::Some(id, names)
            }
            (Some(_), _) => Debt::Everything,
        };
        debts.insert(tenant.to_owned(), all);
    }

    /// One tenant's, to be paid.
    fn take(&self) -> Option<Owed<'_>> {
        let mut debts = self.lock();
        let tenant = debts.keys().next().cloned()?;
        let (tenant, debt) = debts.remove_entry(&tenant)?;
        self.paying.fetch_add(1, Ordering::AcqRel);
        drop(debts);
        Some(Owed {
            debts: self,
            tenant,
            debt: Some(debt),
            paying: true,
        })
    }

    /// What becomes one, unless it is paid at once.
    fn owe(&self, tenant: &str, debt: Debt) -> Owed<'_> {
        Owed {
            debts: self,
            tenant: tenant.to_owned(),
            debt: Some(debt),
            paying: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Debt>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Forgets what is kept about a patient of a tenant under either number, at every replica, and what is on its way.
    ///
    /// # Errors
    /// [`Unforgotten`] where the store could not be told within `store.forget_wait_ms`.
    pub async fn forget_patient(
        &self,
        tenant: &str,
        id_number: Option<&str>,
        phone: Option<&str>,
    ) -> Result<(), Unforgotten> {
        self.drop_patient_here(tenant, id_number, phone);
        self.forget(tenant, Untrue::Patient { id_number, phone }).await
    }

    /// Forgets all that is kept about one API of a tenant.
    ///
    /// # Errors
    /// As [`Self::forget_patient`].
    pub async fn forget_api(&self, tenant: &str, (index, name): (usize, &str)) -> Result<(), Unforgotten> {
        self.drop_all_here(Some(tenant), Some(index));
        self.forget(tenant, Untrue::Api(name)).await
    }

    /// Forgets all that is kept of a tenant: its data key is dropped, so that nothing that was sealed under it can be
    /// opened any more, by anybody, wherever copies of it are.
    ///
    /// # Errors
    /// As [`Self::forget_patient`].
    pub async fn shred(&self, tenant: &str) -> Result<(), Unforgotten> {
        self.drop_all_here(Some(tenant), None);
        self.forget(tenant, Untrue::Everything).await
    }

    /// The same as soon as can be; this replica goes by nothing in the store before it is done.
    pub fn shred_soon(&self, tenant: &str) {
        self.drop_all_here(Some(tenant), None);
        drop(self.debts.owe(tenant, Debt::Everything));
    }

    /// Tries until it is done, as long as may be waited.
    async fn forget(&self, tenant: &str, untrue: Untrue<'_>) -> Result<(), Unforgotten> {
        let debt = match self.tenants.get(tenant) {
            Some(key) if untrue != Untrue::Everything => Debt::Some(key.id(), self.names(tenant, &key, untrue)),
            // Under which key others keep it is not known.
            _ => Debt::Everything,
        };
        let mut owed = self.debts.owe(tenant, debt);
        let trying = async {
            while self.tell(tenant, untrue).await.is_err() {
                sleep(BETWEEN).await;
            }
        };
        let done = timeout(self.settings.forget_wait, trying).await;
        let told = if done.is_ok() {
            owed.debt = None;
            Forgotten::Done
        } else {
            Forgotten::Owed
        };
        self.metrics.cache.forgotten(told).inc();
        done.map_err(|_elapsed| Unforgotten)
    }

    /// The generations that end.
    fn names(&self, tenant: &str, key: &TenantKey, untrue: Untrue<'_>) -> Vec<String> {
        match untrue {
            Untrue::Patient { id_number, phone } => {
                self.patient_names(tenant, key.names().tags(tenant, id_number, phone))
            }
            Untrue::Api(name) => vec![self.api_name(tenant, name)],
            Untrue::Everything => Vec::new(),
        }
    }

    /// Ends generations, under whatever data key the store has.
    async fn tell(&self, tenant: &str, untrue: Untrue<'_>) -> Result<(), NoKey> {
        if untrue == Untrue::Everything {
            return self.tell_shred(tenant).await;
        }
        let data_key = self.data_key_name(tenant);
        let mut key = match self.tenants.get(tenant) {
            Some(key) => key,
            None => match self.first_key(tenant).await {
                // What we cannot name we can still shred.
                Err(NoKey::Foreign) => return self.tell_shred(tenant).await,
                other => other?,
            },
        };
        for _ in 0..MOST_KEYS {
            let other = self
                .store
                .forget(&data_key, key.id(), &self.names(tenant, &key, untrue))
                .await?;
            if other.is_empty() {
                return Ok(());
            }
            key = match self.go_by(tenant, &other).await {
                Err(NoKey::Foreign) => return self.tell_shred(tenant).await,
                other => other?,
            };
        }
        Err(NoKey::Away)
    }

    async fn tell_shred(&self, tenant: &str) -> Result<(), NoKey> {
        Ok(self.store.shred(&self.data_key_name(tenant)).await?)
    }

    /// Tells the store what it was not told yet; what cannot be told remains.
    pub(super) async fn pay(&self) {
        while let Some(owed) = self.debts.take() {
            if !owed.pay(self).await {
                return;
            }
            self.metrics.cache.forgotten(Forgotten::Late).inc();
        }
    }
}

/// Something that the store has to be told. Dropped before it was, it is a debt.
struct Owed<'a> {
    debts: &'a Debts,
    tenant: String,
    debt: Option<Debt>,
    paying: bool,
}

impl Owed<'_> {
    async fn pay(mut self, shared: &Shared) -> bool {
        let paid = match &self.debt {
            Some(Debt::Everything) => shared.tell_shred(&self.tenant).await.is_ok(),
            Some(Debt::Some(id, names)) => {
                let data_key = shared.data_key_name(&self.tenant);
                shared.store.forget(&data_key, *id, names).await.is_ok()
            }
            None => true,
        };
        if paid {
            self.debt = None;
        }
        paid
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if let Some(debt) = self.debt.take() {
            self.debts.add(&self.tenant, debt);
        }
        if self.paying {
            self.debts.paying.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
