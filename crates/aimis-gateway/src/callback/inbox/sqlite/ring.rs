//! The keys in force, with the number that rows have for the current one; and other keys in their place.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use super::writer::{Calls, Store};
use super::{KeyFiles, Unopened};
use crate::callback::event::{EventId, Payload};
use crate::callback::inbox::keys::{KeyId, Keys, bound_to};
use crate::callback::inbox::{RekeyError, Rekeyed};
use crate::tenant::TenantName;

/// What the tags' own key is bound to.
const TAG_KEY: &str = "tag_key";

/// Keys, and the number that rows have for the current one.
pub(super) struct Ring {
    pub(super) keys: Arc<Keys>,
    pub(super) number: i64,
}

/// The ring in force.
#[derive(Clone)]
pub(super) struct Rings(Arc<RwLock<Ring>>);

impl Rings {
    pub(super) fn new(first: Ring) -> Self {
        Self(Arc::new(RwLock::new(first)))
    }

    /// Whoever seals holds it until what was sealed is queued: a reload that drops a key looks behind all of that.
    pub(super) fn hold(&self) -> RwLockReadGuard<'_, Ring> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a payload. What was sealed a moment ago may be under a key that is new.
    pub(super) fn open(
        &self,
        key: [u8; 8],
        tenant: &TenantName,
        id: EventId,
        sealed: Vec<u8>,
    ) -> Result<Payload, Unopened> {
        let ring = self.hold();
        let key = ring.keys.by_id(KeyId::from_bytes(key)).ok_or(Unopened)?;
        let aad = bound_to("event", tenant.as_str(), id.as_bytes());
        key.open(sealed, &aad).map(Payload::new)
    }

    fn put(&self, ring: Ring) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }
}

/// The tags' own key as it is kept.
pub(super) struct Kept {
    pub(super) by: KeyId,
    sealed: Vec<u8>,
}

impl Kept {
    pub(super) fn open(self, keys: &Keys) -> Result<Zeroizing<[u8; 32]>, Unopened> {
        let key = keys.by_id(self.by).ok_or(Unopened)?;
        let opened = key.open(self.sealed, &bound_to(TAG_KEY, "", b""))?;
        let mut tag_key = Zeroizing::new([0; 32]);
        if opened.len() != tag_key.len() {
            return Err(Unopened);
        }
        tag_key.copy_from_slice(&opened);
        Ok(tag_key)
    }
}

pub(super) fn kept_tag_key(connection: &Connection) -> rusqlite::Result<Option<Kept>> {
    let statement = "SELECT id, value FROM meta JOIN keys ON keys.number = meta.key WHERE name = ?1";
    let kept = connection.query_row(statement, [TAG_KEY], |row| {
        Ok(Kept {
            by: KeyId::from_bytes(row.get(0)?),
            sealed: row.get(1)?,
        })
    });
    kept.optional()
}

pub(super) fn seal_tag_key(tag_key: &[u8; 32], keys: &Keys) -> Result<Vec<u8>, Unopened> {
    keys.current().seal(tag_key, &bound_to(TAG_KEY, "", b""))
}

/// Keeps the tags' own key, sealed by the key with this number.
pub(super) fn keep_tag_key(connection: &Connection, number: i64, sealed: &[u8]) -> rusqlite::Result<()> {
    let statement =
        "INSERT INTO meta VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET key = excluded.key, value = excluded.value";
    connection.execute(statement, params![TAG_KEY, number, sealed])?;
    Ok(())
}

/// A key that something is sealed with and that is not among `keys`, with the number of its events.
pub(super) fn missing(connection: &Connection, keys: &Keys) -> rusqlite::Result<Option<(KeyId, u64)>> {
    let needed: Vec<([u8; 8], i64)> = connection
        .prepare("SELECT id, rows FROM keys WHERE rows > 0 OR number IN (SELECT key FROM meta)")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let needed = needed
        .into_iter()
        .map(|(id, rows)| (KeyId::from_bytes(id), rows.unsigned_abs()));
    Ok(needed.into_iter().find(|(id, _)| keys.by_id(*id).is_none()))
}

/// The number of the current key, which it gets if it has none.
pub(super) fn number(connection: &Connection, keys: &Keys) -> rusqlite::Result<i64> {
    let current = keys.current().id();
    connection.execute(
        "INSERT INTO keys (id) VALUES (?1) ON CONFLICT DO NOTHING",
        [current.as_bytes()],
    )?;
    connection.query_row("SELECT number FROM keys WHERE id = ?1", [current.as_bytes()], |row| {
        row.get(0)
    })
}

/// Puts the keys in force that files hold now; `None` if they are.
pub(super) async fn rekey(rings: Rings, calls: Calls, files: KeyFiles) -> Result<Option<Rekeyed>, RekeyError> {
    let read = tokio::task::spawn_blocking(move || Keys::read(&files.current, &files.previous, false));
    let keys = read.await.map_err(|_| RekeyError::Failed)??;
    let before = {
        let ring = rings.hold();
        let ids = |keys: &Keys| keys.all().map(|key| key.id()).collect::<Vec<_>>();
        if ids(&ring.keys) == ids(&keys) {
            return Ok(None);
        }
        ring.keys.current().id()
    };
    if keys.by_id(before).is_none() {
        // Even with nothing sealed: something may be sealed with it just now.
        return Err(RekeyError::Needed { key: before, rows: 0 });
    }
    let keys = Arc::new(keys);
    let looked = Arc::clone(&keys);
    let checked = calls.call(move |store| store.rekey(&looked)).await;
    let number = checked.map_err(|_| RekeyError::Failed)??;
    let now = keys.current().id();
    rings.put(Ring { keys, number });
    Ok((now != before).then_some(Rekeyed { before, now }))
}

impl Store {
    /// Makes sure that everything opens with `keys`, and tells the current one's number. The tags' own key is sealed
    /// with it from now on.
    fn rekey(&mut self, keys: &Keys) -> rusqlite::Result<Result<i64, RekeyError>> {
        let connection = &self.connection;
        if let Some((key, rows)) = missing(connection, keys)? {
            return Ok(Err(RekeyError::Needed { key, rows }));
        }
        let number = number(connection, keys)?;
        let kept = kept_tag_key(connection)?;
        let Some(kept) = kept.filter(|kept| kept.by != keys.current().id()) else {
            return Ok(Ok(number));
        };
        let sealed = kept.open(keys).and_then(|tag_key| seal_tag_key(&tag_key, keys));
        let Ok(sealed) = sealed else {
            return Ok(Err(RekeyError::Failed));
        };
        keep_tag_key(connection, number, &sealed)?;
        Ok(Ok(number))
    }
}
