//! The keys of a shared cache: one of each tenant, kept in the store, wrapped under one that is not.
//!
//! | key | lies | is for |
//! |---|---|---|
//! | key of the file | in `store.key_file`, the same for all replicas | wraps the tenants' keys |
//! | data key of a tenant | in the store, wrapped; drawn by whichever replica first needs it | the next two are made of it |
//! | sealing key | in memory | seals the tenant's answers |
//! | naming keys | in memory | names of entries, tags of patients ([`CacheKeys`]) |
//!
//! So a copy of the store tells nothing, not even whether two answers are about one patient, to whoever has no copy of the
//! file. And dropping a tenant's data key shreds all that was sealed under it, wherever copies of it are.
//!
//! Layout in the store: `key id (8) || file id (8) || nonce (12) || data key (32) || tag (16)`, bound to tenant and key id.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::super::key::CacheKeys;
use crate::secrets;

/// Names a key without telling it.
pub type KeyId = [u8; 8];

/// Length of a wrapped key: its id, its file's id, nonce, key, tag.
pub const WRAPPED: usize = 8 + 8 + NONCE_LEN + 32 + TAG;
/// Length of the tag of AES-GCM.
pub(super) const TAG: usize = 16;

/// What was sealed does not open: another key, or a changed byte. Which of them cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not open")]
pub struct Unopened;

/// Why a wrapped key is of no use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUnwrapped {
    /// It was wrapped under a file that this replica does not have.
    #[error("wrapped under another key file")]
    OtherFile,
    /// It is damaged, or it is another tenant's.
    #[error("does not open")]
    Damaged,
}

/// The key of a file: wraps and unwraps the tenants' keys.
struct FileKey {
    id: KeyId,
    key: RandomizedNonceKey,
}

/// The key of `store.key_file`, and of the file beside it while keys are changed.
pub struct FileKeys {
    current: FileKey,
    other: Option<FileKey>,
}

/// A tenant's data key, ready for use.
pub struct TenantKey {
    id: KeyId,
    seal: RandomizedNonceKey,
    names: CacheKeys,
}

impl FileKey {
    fn new(secret: &[u8; 32]) -> Self {
        let id = derived(secret, b"aimis cache file id 1");
        Self {
            id: *id.first_chunk().expect("8 of 32 bytes"),
            key: gcm(&derived(secret, b"aimis cache wrap 1")),
        }
    }
}

impl FileKeys {
    /// Wraps under `current`; unwraps what was wrapped under `other`, too.
    pub fn new(current: &[u8; 32], other: Option<&[u8; 32]>) -> Self {
        Self {
            current: FileKey::new(current),
            other: other.map(FileKey::new),
        }
    }

    /// A new data key, and its wrapped form.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn draw(&self, tenant: &str) -> std::io::Result<(TenantKey, Vec<u8>)> {
        let data = secrets::random_key()?;
        let id = *secrets::random_key()?.first_chunk().expect("8 of 32 bytes");
        Ok((TenantKey::new(id, &data), self.wrap(tenant, id, &data)))
    }

    fn wrap(&self, tenant: &str, id: KeyId, data: &[u8; 32]) -> Vec<u8> {
        let mut wrapped = Vec::with_capacity(WRAPPED);
        wrapped.extend_from_slice(&id);
        wrapped.extend_from_slice(&self.current.id);
        seal(&self.current.key, data, &wrapping(tenant, id), &mut wrapped);
        wrapped
    }

    /// The data key of a tenant. With it, its form under the current file if it was wrapped under the other.
    ///
    /// # Errors
    /// [`NotUnwrapped`].
    pub fn unwrap(&self, tenant: &str, wrapped: &[u8]) -> Result<(TenantKey, Option<Vec<u8>>), NotUnwrapped> {
        let (id, rest) = wrapped.split_first_chunk::<8>().ok_or(NotUnwrapped::Damaged)?;
        let (file, sealed) = rest.split_first_chunk::<8>().ok_or(NotUnwrapped::Damaged)?;
        let mut files = std::iter::once(&self.current).chain(&self.other);
        let file = files.find(|known| known.id == *file).ok_or(NotUnwrapped::OtherFile)?;
        let data = open(&file.key, sealed, &wrapping(tenant, *id)).map_err(|_| NotUnwrapped::Damaged)?;
        let data: &[u8; 32] = data.as_slice().try_into().map_err(|_| NotUnwrapped::Damaged)?;
        let again = (file.id != self.current.id).then(|| self.wrap(tenant, *id, data));
        Ok((TenantKey::new(*id, data), again))
    }
}

impl TenantKey {
    fn new(id: KeyId, data: &[u8; 32]) -> Self {
        Self {
            id,
            seal: gcm(&derived(data, b"aimis cache seal 1")),
            names: CacheKeys::new(data),
        }
    }

    /// A key made of a number, for tests.
    #[cfg(test)]
    pub(super) fn numbered(number: u8) -> Self {
        Self::new([number; 8], &[number; 32])
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Names of entries and tags of patients under it.
    pub fn names(&self) -> &CacheKeys {
        &self.names
    }

    /// Appends `nonce || ciphertext || tag` to `out`.
    pub(super) fn seal(&self, plaintext: &[u8], aad: &[u8], out: &mut Vec<u8>) {
        seal(&self.seal, plaintext, aad, out);
    }

    /// The plaintext of what [`Self::seal`] made for the same `aad`.
    pub(super) fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        open(&self.seal, sealed, aad)
    }
}

/// What a wrapped key is bound to.
fn wrapping(tenant: &str, id: KeyId) -> Vec<u8> {
    let mut aad = b"aimis cache data key 1".to_vec();
    aad.extend_from_slice(&id);
    aad.extend_from_slice(tenant.as_bytes());
    aad
}

fn derived(secret: &[u8; 32], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    mac.update(purpose);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn gcm(key: &[u8; 32]) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, key).expect("32 bytes are a key of AES-256")
}

fn seal(key: &RandomizedNonceKey, plaintext: &[u8], aad: &[u8], out: &mut Vec<u8>) {
    // All room at once: a growing buffer would leave plaintext behind.
    out.reserve_exact(NONCE_LEN + plaintext.len() + TAG);
    let nonce_at = out.len();
    out.resize(nonce_at + NONCE_LEN, 0);
    let text_at = out.len();
    out.extend_from_slice(plaintext);
    let (nonce, tag) = key
        .seal_in_place_separate_tag(Aad::from(aad), &mut out[text_at..])
        .expect("AES-GCM takes texts of up to 64 GiB");
    out[nonce_at..text_at].copy_from_slice(nonce.as_ref());
    out.extend_from_slice(tag.as_ref());
}

fn open(key: &RandomizedNonceKey, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    if sealed.len() < NONCE_LEN + TAG {
        return Err(Unopened);
    }
    let (nonce, text) = sealed.split_at(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
    let mut plaintext = Zeroizing::new(text.to_vec());
    let length = key
        .open_in_place(nonce, Aad::from(aad), &mut plaintext)
        .map_err(|_| Unopened)?
        .len();
    plaintext.truncate(length);
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_key_is_unwrapped_by_who_has_the_file_and_for_its_tenant_only() {
        let files = FileKeys::new(&[1; 32], None);
        let (key, wrapped) = files.draw("north").unwrap();
        assert_eq!(wrapped.len(), WRAPPED);
        assert_eq!(wrapped[..8], key.id());

        let (again, rewrapped) = files.unwrap("north", &wrapped).unwrap();
        assert!(rewrapped.is_none());
        let mut sealed = Vec::new();
        key.seal(b"text", b"aad", &mut sealed);
        assert_eq!(again.open(&sealed, b"aad").unwrap().as_slice(), b"text");

        let refused = |files: &FileKeys, tenant: &str, wrapped: &[u8]| files.unwrap(tenant, wrapped).err();
        assert_eq!(refused(&files, "south", &wrapped), Some(NotUnwrapped::Damaged));
        let stranger = FileKeys::new(&[2; 32], None);
        assert_eq!(refused(&stranger, "north", &wrapped), Some(NotUnwrapped::OtherFile));
        for at in 0..wrapped.len() {
            let mut flipped = wrapped.clone();
            flipped[at] ^= 1;
            assert!(refused(&files, "north", &flipped).is_some(), "byte {at}");
            assert!(refused(&files, "north", &wrapped[..at]).is_some(), "cut at {at}");
        }
    }

    #[test]
    fn a_change_of_files_keeps_the_data_key() {
        let old = FileKeys::new(&[1; 32], Some(&[2; 32]));
        let new = FileKeys::new(&[2; 32], Some(&[1; 32]));
        let (key, wrapped) = old.draw("north").unwrap();

        let (same, rewrapped) = new.unwrap("north", &wrapped).unwrap();
        let rewrapped = rewrapped.expect("it was under the other file");

        assert_eq!(same.id(), key.id());
        let (after, none) = FileKeys::new(&[2; 32], None).unwrap("north", &rewrapped).unwrap();
        assert_eq!(after.id(), key.id());
        assert!(none.is_none());
        // Replicas that have not changed over yet know the new file beside theirs.
        assert!(old.unwrap("north", &rewrapped).is_ok());
    }

    #[test]
    fn a_nonce_is_used_once() {
        let key = TenantKey::numbered(1);
        let sealed = [(); 2].map(|()| {
            let mut sealed = Vec::new();
            key.seal(b"text", b"", &mut sealed);
            sealed
        });
        assert_ne!(sealed[0], sealed[1]);
    }
}
