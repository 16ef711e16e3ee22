//! The keys that seal the inbox: read from files, named by an id, rotated by moving a file.
//!
//! A key never stands in the database. Its id does, a digest of it, so that each row tells which key opens it and a
//! start can tell which key is missing. Tags (`callback::event`) are made under a further key that belongs to the
//! database: it is kept there, sealed, and stays when the sealing key changes, or duplicates would not be known any more.

use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::key_file::{self, NoKeys};
use crate::secrets;

pub use crate::key_file::KeyId;

/// One key, ready to seal and open.
pub(super) struct SealKey {
    id: KeyId,
    key: RandomizedNonceKey,
}

/// What was sealed does not open: another key, or a changed byte. Which of them cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not open")]
pub(super) struct Unopened;

/// Bytes that sealing adds: the nonce before, the tag behind.
pub(super) const OVERHEAD: usize = NONCE_LEN + 16;

impl SealKey {
    fn new(bytes: &[u8; 32]) -> Self {
        let key = key_file::derived(bytes, b"aimis inbox: seal, version 1");
        Self {
            id: KeyId::of(&key, b"aimis inbox: key id"),
            key: RandomizedNonceKey::new(&AES_256_GCM, &*key).expect("32 bytes are a key of AES-256"),
        }
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// `nonce || ciphertext || tag`, bound to `aad`.
    pub(super) fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, Unopened> {
        // All room at once: a growing buffer would leave plaintext behind.
        let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
        sealed.resize(NONCE_LEN, 0);
        sealed.extend_from_slice(plaintext);
        let nonce_and_tag = self
            .key
            .seal_in_place_separate_tag(Aad::from(aad), &mut sealed[NONCE_LEN..]);
        let (nonce, tag) = nonce_and_tag.map_err(|_| Unopened)?;
        sealed[..NONCE_LEN].copy_from_slice(nonce.as_ref());
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The plaintext of what was sealed for the same `aad`.
    pub(super) fn open(&self, mut sealed: Vec<u8>, aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        if sealed.len() < OVERHEAD {
            return Err(Unopened);
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed[..NONCE_LEN]).map_err(|_| Unopened)?;
        let opened = self.key.open_in_place(nonce, Aad::from(aad), &mut sealed[NONCE_LEN..]);
        let length = opened.map_err(|_| Unopened)?.len();
        sealed.copy_within(NONCE_LEN..NONCE_LEN + length, 0);
        let mut plaintext = Zeroizing::new(sealed);
        zeroize::Zeroize::zeroize(&mut plaintext[length..]);
        plaintext.truncate(length);
        Ok(plaintext)
    }
}

/// What a sealed payload is bound to. The parts have lengths, so that no two rows share it.
pub(super) fn bound_to(kind: &str, tenant: &str, id: &[u8]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(24 + kind.len() + tenant.len() + id.len());
    for part in [kind.as_bytes(), tenant.as_bytes(), id] {
        aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
        aad.extend_from_slice(part);
    }
    aad
}

/// The key that seals, and those that still open.
pub(super) struct Keys {
    current: SealKey,
    previous: Vec<SealKey>,
}

impl Keys {
    /// Seals under `current`, opens also what `previous` ones sealed.
    pub(super) fn new(current: &[u8; 32], previous: &[[u8; 32]]) -> Self {
        Self {
            current: SealKey::new(current),
            previous: previous.iter().map(SealKey::new).collect(),
        }
    }

    /// Reads the keys. One that is not there is made if `make`: that is, if nothing has been sealed yet.
    ///
    /// # Errors
    /// When a file cannot be read or made, or holds no key.
    pub(super) fn read(current: &Path, previous: &[PathBuf], make: bool) -> Result<Self, KeyError> {
        let (current, previous) = key_file::read_all(current, previous, make).map_err(|none| match none {
            NoKeys::Missing(path) => KeyError::Missing(path),
            NoKeys::NotMade(path, error) => KeyError::NotMade(path, error),
            NoKeys::Fault(fault) => KeyError::File(fault),
        })?;
        Ok(Self::new(&current, &previous))
    }

    /// Reads the keys of a store that others share: none is ever made, since the others would not have it.
    ///
    /// # Errors
    /// When a file cannot be read, or holds no key.
    pub(super) fn read_shared(current: &Path, previous: &[PathBuf]) -> Result<Self, KeyError> {
        if !current.try_exists().unwrap_or(true) {
            return Err(KeyError::NotShared(secrets::in_full(current)));
        }
        Self::read(current, previous, false)
    }

    /// The ids of all of them.
    pub(super) fn ids(&self) -> impl Iterator<Item = KeyId> {
        std::iter::once(&self.current).chain(&self.previous).map(SealKey::id)
    }

    pub(super) fn current(&self) -> &SealKey {
        &self.current
    }

    pub(super) fn by_id(&self, id: KeyId) -> Option<&SealKey> {
        self.all().find(|key| key.id == id)
    }

    /// The current one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &SealKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// What is told where a key is in none of the files, and `rows` events are sealed with it.
pub(super) fn key_missing(key: KeyId, rows: u64) -> String {
    let files = "which none of inbox.key_file and inbox.previous_key_files holds";
    match rows {
        0 => {
            format!("inbox.key_file holds another key than the inbox was made with: that one is the key {key}, {files}")
        }
        _ => format!("the inbox has {rows} events sealed with the key {key}, {files}"),
    }
}

/// Why the keys are not there.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file gives none.
    #[error(transparent)]
    File(#[from] key_file::Fault),
    /// The database has been sealed, and the key is gone.
    #[error("{}: no such file, but events have been sealed with the key that was in it; put it back. If it is lost for good, so are the events: then move the files of inbox.path away, and a new inbox begins", .0.display())]
    Missing(PathBuf),
    /// The store is shared, and the key is not here.
    #[error("{}: no such file; with inbox.database_url all gateways need the same key: make it once (`openssl rand -hex 32`), and bring it to each of them", .0.display())]
    NotShared(PathBuf),
    /// The first key could not be written.
    #[error("{}: a key could not be written there: {}", .0.display(), .1.kind())]
    NotMade(PathBuf, std::io::Error),
}

/// The keys that are in force now, and were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The key that sealed.
    pub before: KeyId,
    /// The key that seals.
    pub now: KeyId,
}

/// Why other keys are not taken up. Those in force stay.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// A file gives no key.
    #[error("inbox: {0}")]
    Key(#[from] KeyError),
    /// A key is in none of the files by now, and needed.
    #[error(
        "inbox.previous_key_files: {} sealed with the key {key}, which is in none of inbox.key_file and \
         inbox.previous_key_files; put it into a file of its own and name that", sealed(*.rows)
    )]
    Needed {
        /// The key's id.
        key: KeyId,
        /// Events under it; 0 for the key that is in force.
        rows: u64,
    },
    /// The store could not be asked.
    #[error("inbox: it could not be asked whether events need a key that is gone; reload again")]
    Failed,
}

fn sealed(rows: u64) -> String {
    match rows {
        0 => "events are".to_owned(),
        1 => "1 event is".to_owned(),
        _ => format!("{rows} events are"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::callback::inbox::testing::TempDir;

    fn read_current(path: &Path, make: bool) -> Result<KeyId, String> {
        Keys::read(path, &[], make)
            .map(|keys| keys.current().id())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_key_is_made_and_no_second_one() {
        let dir = TempDir::new();
        let path = dir.path().join("secrets/inbox.key");

        assert!(read_current(&path, false).unwrap_err().contains("put it back"));
        let made = read_current(&path, true).unwrap();

        assert_eq!(read_current(&path, true), Ok(made));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_draft_that_a_crash_left_is_in_nobodys_way() {
        let dir = TempDir::new();
        let path = dir.path().join("inbox.key");
        // In a container the next process has the number of the last.
        std::fs::write(
            dir.path().join(format!("inbox.new-{}", std::process::id())),
            "half a key",
        )
        .unwrap();

        read_current(&path, true).unwrap();
    }

    #[test]
    fn a_key_is_read_in_each_of_its_forms_and_nothing_else_is_one() {
        let dir = TempDir::new();
        let path = dir.path().join("key");
        let id = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read_current(&path, false)
        };
        let key = *b"0123456789abcdef0123456789abcdef";
        let hex = "3031323334353637383961626364656630313233343536373839616263646566";

        let raw = id(&key).unwrap();

        assert_eq!(id(hex.as_bytes()), Ok(raw));
        assert_eq!(id(format!("{hex}\n").as_bytes()), Ok(raw));
        assert_eq!(id(b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"), Ok(raw));
        for wrong in [
            &b""[..],
            &key[..31],
            b"0123456789abcdef0123456789abcdef\n",
            &hex.as_bytes()[..63],
        ] {
            let error = id(wrong).unwrap_err();
            assert!(
                error.contains("no key") && !error.contains("0123456789abcdef"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_sealed_opens_only_where_it_belongs_and_unchanged() {
        let keys = Keys::new(&[1; 32], &[]);
        let aad = bound_to("event", "north", b"id");
        let sealed = keys.current().seal(b"{\"a\":1}", &aad).unwrap();
        let open = |sealed: Vec<u8>, aad: &[u8]| keys.current().open(sealed, aad).map(|plain| plain.to_vec());

        assert_eq!(open(sealed.clone(), &aad), Ok(b"{\"a\":1}".to_vec()));
        assert_eq!(open(sealed.clone(), &bound_to("event", "south", b"id")), Err(Unopened));
        assert_eq!(open(sealed.clone(), &bound_to("event", "northi", b"d")), Err(Unopened));
        assert!(Keys::new(&[2; 32], &[]).current().open(sealed.clone(), &aad).is_err());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(open(flipped, &aad), Err(Unopened), "byte {at}");
            assert_eq!(open(sealed[..at].to_vec(), &aad), Err(Unopened), "cut at {at}");
        }
        assert_ne!(
            sealed,
            keys.current().seal(b"{\"a\":1}", &aad).unwrap(),
            "a nonce is used once"
        );
    }
}
