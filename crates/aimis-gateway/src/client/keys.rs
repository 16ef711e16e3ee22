//! Which client a key is of, however many clients there are.
//!
//! What is kept and compared are digests: one changed letter changes all of a digest, so one that is nearly right is of a
//! key that is not near at all. Nor does it show: digests are found by a hash under a key of this process's own, and then
//! compared in constant time.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The keys of all clients.
pub(super) struct Keys(HashMap<Digest, usize>);

impl Keys {
    /// The digests of keys, each with the position of its client.
    pub(super) fn new(digests: impl Iterator<Item = ([u8; 32], usize)>) -> Self {
        Self(digests.map(|(digest, client)| (Digest(digest), client)).collect())
    }

    /// The position of the client whose key this is.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        let digest = <Sha256 as sha2::Digest>::digest(key);
        self.0.get(&Digest(digest.into())).copied()
    }
}

/// The SHA-256 of a key.
struct Digest([u8; 32]);

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(key: &str) -> [u8; 32] {
        <Sha256 as sha2::Digest>::digest(key).into()
    }

    #[test]
    fn each_of_many_clients_is_found_by_its_keys_and_no_other() {
        let (old, new) = (|client| format!("old-{client}"), |client| format!("new-{client}"));
        let keys =
            Keys::new((0..1_000).flat_map(|client| [old(client), new(client)].map(|key| (digest(&key), client))));

        for client in 0..1_000 {
            assert_eq!(keys.find(old(client).as_bytes()), Some(client));
            assert_eq!(keys.find(new(client).as_bytes()), Some(client));
        }
        for other in ["", "old-", "old-1000", "OLD-1", "old-1 "] {
            assert_eq!(keys.find(other.as_bytes()), None, "{other}");
        }
        // The digest is what the configuration shows; it is not the key.
        assert_eq!(keys.find(&digest("old-1")), None);
        assert_eq!(keys.find(hex::encode(digest("old-1")).as_bytes()), None);
    }

    #[test]
    fn digests_are_equal_only_in_all_of_their_bytes() {
        let known = Digest(digest("key"));
        assert!(known == Digest(digest("key")));
        for at in 0..32 {
            let mut other = digest("key");
            other[at] ^= 1;
            assert!(known != Digest(other), "{at}");
        }
    }
}
