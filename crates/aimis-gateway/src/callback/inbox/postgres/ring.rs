//! The keys in force, with the numbers that rows have for them; and other keys in their place.

use std::sync::{Arc, PoisonError, RwLock};

use super::open::{self, OpenError, Opened};
use super::schema;
use super::session::{Fault, RECORD, Session};
use super::{Calls, Common};
use crate::callback::event::{EventId, Payload};
use crate::callback::inbox::keys::{KeyId, Keys, Unopened, bound_to};
use crate::callback::inbox::sqlite::{KeyFiles, Role};
use crate::callback::inbox::{RekeyError, Rekeyed};
use crate::tenant::TenantName;

/// Keys, and the numbers that rows have for them.
pub(super) struct Ring {
    pub(super) keys: Keys,
    /// The current one's.
    pub(super) key: i32,
    /// Those of all: what is sealed with another is left to another gateway.
    pub(super) known: Vec<i32>,
}

impl Ring {
    /// Opens a payload.
    pub(super) fn open(
        &self,
        key: &[u8],
        tenant: &TenantName,
        id: EventId,
        sealed: Vec<u8>,
    ) -> Result<Payload, Unopened> {
        let key = KeyId::from_bytes(key.try_into().map_err(|_| Unopened)?);
        let key = self.keys.by_id(key).ok_or(Unopened)?;
        let aad = bound_to("event", tenant.as_str(), id.as_bytes());
        key.open(sealed, &aad).map(Payload::new)
    }
}

impl From<Opened> for Ring {
    fn from(opened: Opened) -> Self {
        Self {
            keys: opened.keys,
            key: opened.key,
            known: opened.known,
        }
    }
}

/// The ring in force.
pub(super) struct Rings(RwLock<Arc<Ring>>);

impl Rings {
    pub(super) fn new(first: Ring) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    pub(super) fn now(&self) -> Arc<Ring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, ring: Ring) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }
}

/// Puts the keys in force that files hold now; `None` if they are.
///
/// What is needed is what this database holds at the moment: another gateway may still seal with a key that is dropped
/// here, and delivers that itself.
pub(super) async fn rekey(common: Arc<Common>, work: Calls, files: KeyFiles) -> Result<Option<Rekeyed>, RekeyError> {
    let read = tokio::task::spawn_blocking(move || Keys::read_shared(&files.current, &files.previous));
    let keys = read.await.map_err(|_| RekeyError::Failed)??;
    let before = {
        let ring = common.rings.now();
        if ring.keys.ids().eq(keys.ids()) {
            return Ok(None);
        }
        ring.keys.current().id()
    };
    if keys.by_id(before).is_none() {
        // Even with nothing sealed: something may be sealed with it just now.
        return Err(RekeyError::Needed { key: before, rows: 0 });
    }
    let now = keys.current().id();
    let unlocked = work.call(async move |session: &mut Session| {
        schema::begin(session).await?;
        match open::unlock(session, keys, Role::Gateway).await {
            Ok(opened) => {
                // Before a file is taken away because of this, the standby has to have whatever it stands on.
                session.query(RECORD, &[]).await?;
                session.commit().await?;
                Ok(Ok(opened))
            }
            Err(OpenError::KeyMissing { key, rows }) => {
                session.undo().await?;
                Ok(Err(RekeyError::Needed { key, rows }))
            }
            // The connection goes, and the transaction with it.
            Err(_) => Err(Fault::Row),
        }
    });
    let opened = unlocked.await.map_err(|_| RekeyError::Failed)??;
    common.rings.put(opened.into());
    Ok((now != before).then_some(Rekeyed { before, now }))
}
