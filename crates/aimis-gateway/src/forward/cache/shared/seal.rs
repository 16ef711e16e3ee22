//! A kept answer as the store has it: sealed, and bound to all that is said about it.
//!
//! Sealed are status, `Content-Type` and body. Beside them stand in clear, since the store judges by them: a random
//! version, when the answer was asked for (by the store's clock), how long it serves, and the generations that it was
//! asked under. All of these, the tenant and the full key of the question are bound in, so that nothing can be put under
//! another question, another tenant's, or made to look younger, without being refused.
//!
//! Layout: `1 (format) || key id (8) || nonce (12) || ciphertext || tag (16)`; the plaintext is
//! `status (2) || length of the Content-Type (2, 0xffff: none) || Content-Type || body`, numbers big-endian.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use zeroize::Zeroizing;

use super::super::key::CacheKey;
use super::super::terms::Life;
use super::keys::{TenantKey, Unopened};
use crate::upstream::envelope::Envelope;
use crate::upstream::reply::Reply;

/// The first byte of what is sealed in this way.
const FORMAT: u8 = 1;
/// The length that stands for no `Content-Type`.
const NO_TYPE: u16 = u16::MAX;

/// Tells an entry from every other, also from a later one of the same question.
pub type Version = [u8; 16];

/// What stands beside a sealed answer in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Drawn for this entry.
    pub version: Version,
    /// When it was asked for: milliseconds of the store's clock.
    pub asked_at_ms: u64,
    /// How long it serves, from then.
    pub life: Life,
    /// The generations that it was asked under.
    pub generations: Bytes,
}

impl Label {
    /// How long it serves, as the store has it: fresh, while the next is asked for, where the platform fails.
    pub fn lives_ms(&self) -> [u64; 3] {
        [self.life.fresh, self.life.while_revalidate, self.life.if_error]
            .map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX))
    }

    fn bound_to(&self, tenant: &str, question: CacheKey) -> Vec<u8> {
        let mut aad = Vec::with_capacity(160 + tenant.len() + self.generations.len());
        aad.extend_from_slice(b"aimis cache entry");
        aad.push(FORMAT);
        aad.extend_from_slice(question.as_bytes());
        aad.extend_from_slice(&self.version);
        aad.extend_from_slice(&self.asked_at_ms.to_be_bytes());
        for life in self.lives_ms() {
            aad.extend_from_slice(&life.to_be_bytes());
        }
        for part in [tenant.as_bytes(), &self.generations] {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part);
        }
        aad
    }
}

/// Seals `reply` as the answer to `question` of `tenant`.
pub fn seal(key: &TenantKey, tenant: &str, question: CacheKey, label: &Label, reply: &Reply) -> Vec<u8> {
    let content_type = reply.content_type().map(HeaderValue::as_bytes);
    let length = content_type.map_or(NO_TYPE, |text| u16::try_from(text.len()).unwrap_or(NO_TYPE));
    let content_type = content_type.filter(|_| length != NO_TYPE).unwrap_or_default();
    let mut plaintext = Zeroizing::new(Vec::with_capacity(4 + content_type.len() + reply.body().len()));
    plaintext.extend_from_slice(&reply.status().as_u16().to_be_bytes());
    plaintext.extend_from_slice(&length.to_be_bytes());
    plaintext.extend_from_slice(content_type);
    plaintext.extend_from_slice(reply.body());
    let mut sealed = Vec::with_capacity(9 + 28 + plaintext.len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(&key.id());
    key.seal(&plaintext, &label.bound_to(tenant, question), &mut sealed);
    sealed
}

/// The answer that [`seal`] sealed for the same tenant, question and label. Its body is wiped when its last reference
/// goes.
///
/// # Errors
/// [`Unopened`] for whatever is not exactly that.
pub fn open(
    key: &TenantKey,
    tenant: &str,
    question: CacheKey,
    label: &Label,
    sealed: &[u8],
) -> Result<Reply, Unopened> {
    let (&format, rest) = sealed.split_first().ok_or(Unopened)?;
    let (id, rest) = rest.split_first_chunk::<8>().ok_or(Unopened)?;
    if format != FORMAT || *id != key.id() {
        return Err(Unopened);
    }
    let plaintext = key.open(rest, &label.bound_to(tenant, question))?;
    let (status, rest) = plaintext.split_first_chunk::<2>().ok_or(Unopened)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(Unopened)?;
    let status = StatusCode::from_u16(u16::from_be_bytes(*status)).map_err(|_| Unopened)?;
    let (content_type, at) = match u16::from_be_bytes(*length) {
        NO_TYPE => (None, 0),
        length => {
            let text = rest.get(..usize::from(length)).ok_or(Unopened)?;
            let value = HeaderValue::from_bytes(text).map_err(|_| Unopened)?;
            (Some(value), usize::from(length))
        }
    };
    let envelope = Envelope::inspect(&rest[at..]).map_err(|_| Unopened)?;
    let begin = 4 + at;
    let body = Bytes::from_owner(plaintext).slice(begin..);
    Ok(Reply::kept(status, content_type, body, envelope))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const LIST: &str = r#"{"code":0,"data":[{"name":"someone"}]}"#;

    fn label() -> Label {
        let seconds = Duration::from_secs;
        Label {
            version: [3; 16],
            asked_at_ms: 1_735_689_600_000,
            life: Life {
                fresh: seconds(30),
                while_revalidate: seconds(30),
                if_error: seconds(330),
            },
            generations: Bytes::from_static(b"generations"),
        }
    }

    fn reply(body: &str) -> Reply {
        Reply::made_up(StatusCode::OK, body)
    }

    fn body(opened: Result<Reply, Unopened>) -> Result<Vec<u8>, Unopened> {
        opened.map(|reply| reply.body().to_vec())
    }

    #[test]
    fn an_answer_opens_where_it_was_put_and_nowhere_else() {
        let (key, question) = (TenantKey::numbered(1), CacheKey::numbered(7));
        let sealed = seal(&key, "north", question, &label(), &reply(LIST));
        assert!(!sealed.windows(7).any(|window| window == b"someone"));

        let opened = open(&key, "north", question, &label(), &sealed).unwrap();
        assert_eq!(opened.body(), LIST);
        assert_eq!(opened.status(), StatusCode::OK);
        assert_eq!(opened.envelope().code(), Some(0));

        let elsewhere = [
            open(&key, "south", question, &label(), &sealed),
            open(&key, "north", CacheKey::numbered(8), &label(), &sealed),
            open(&TenantKey::numbered(2), "north", question, &label(), &sealed),
        ];
        assert!(elsewhere.into_iter().all(|opened| opened.is_err()));
    }

    #[test]
    fn a_content_type_comes_along() {
        let (key, question) = (TenantKey::numbered(1), CacheKey::numbered(7));
        for content_type in [None, Some(""), Some("application/json;charset=UTF-8")] {
            let value = content_type.map(HeaderValue::from_static);
            let envelope = Envelope::inspect(LIST.as_bytes()).unwrap();
            let reply = Reply::kept(
                StatusCode::OK,
                value.clone(),
                Bytes::from_static(LIST.as_bytes()),
                envelope,
            );
            let sealed = seal(&key, "north", question, &label(), &reply);
            let opened = open(&key, "north", question, &label(), &sealed).unwrap();
            assert_eq!(opened.content_type(), value.as_ref());
            assert_eq!(opened.body(), LIST);
        }
    }

    #[test]
    fn whatever_is_said_about_an_answer_is_bound_to_it() {
        let (key, question) = (TenantKey::numbered(1), CacheKey::numbered(7));
        let sealed = seal(&key, "north", question, &label(), &reply(LIST));
        let changes: [fn(&mut Label); 6] = [
            |label| label.version[0] ^= 1,
            |label| label.asked_at_ms += 1,
            |label| label.life.fresh += Duration::from_millis(1),
            |label| label.life.while_revalidate += Duration::from_millis(1),
            |label| label.life.if_error += Duration::from_millis(1),
            |label| label.generations = Bytes::from_static(b"generation"),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut other = label();
            change(&mut other);
            assert!(open(&key, "north", question, &other, &sealed).is_err(), "change {at}");
        }
    }

    proptest! {
        #[test]
        fn no_flipped_bit_and_no_cut_is_taken(at in any::<prop::sample::Index>(), bit in 0..8, cut in any::<bool>()) {
            let (key, question) = (TenantKey::numbered(1), CacheKey::numbered(7));
            let mut sealed = seal(&key, "north", question, &label(), &reply(LIST));
            let at = at.index(sealed.len());
            if cut {
                sealed.truncate(at);
            } else {
                sealed[at] ^= 1u8 << bit;
            }
            prop_assert_eq!(body(open(&key, "north", question, &label(), &sealed)), Err(Unopened));
        }

        #[test]
        fn what_is_no_sealed_answer_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let opened = open(&TenantKey::numbered(1), "north", CacheKey::numbered(7), &label(), &bytes);
            prop_assert!(opened.is_err());
        }
    }
}
