//! An event on its way from the platform to the HIS: its id, its keyed tags, and what is known of its sender.
//!
//! Nothing here prints a person: plaintext is in a [`Payload`], which has no `Debug`, and everything that is
//! compared or looked up is a [`Tag`] under a key.

use std::fmt;

use aimis_core::sign::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::telemetry::log::Loggable;
use crate::tenant::TenantName;

/// A verified callback, or a study that no callback told of, ready for [`super::inbox::Inbox::append`].
pub struct NewEvent {
    /// Whose it is.
    pub tenant: TenantName,
    /// [`Tags::study`]: events of one study are delivered in the order of their arrival.
    pub study: Tag,
    /// [`Tags::identity`]: what the event is about. With the same body it is a duplicate, with another an update.
    pub identity: Tag,
    /// [`Tags::body`]: what it says.
    pub body: Tag,
    /// What the HIS will get: the platform's fields in the clear, as a JSON object without the members that
    /// delivery adds (`eventId`, `receivedAt`, `verified`).
    pub payload: Payload,
    /// The signature it came with; `None` when it had none.
    pub signed: Option<Signed>,
    /// Why it must not be delivered before an operator has seen it; `None` when nothing speaks against it. The inbox
    /// adds what only it can see ([`QuarantineReason::SharedLate`], [`QuarantineReason::SharedOften`]).
    pub quarantine: Option<QuarantineReason>,
    /// When it came, by the gateway's clock.
    pub received_at: Timestamp,
    /// What told of it.
    pub origin: Origin,
}

/// What told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A callback.
    Callback {
        /// [`Tags::gist`]: by it a callback is known for that of an event which a list told of before.
        gist: Tag,
    },
    /// A study list of the platform, where no callback did.
    List {
        /// The same.
        gist: Tag,
        /// What the study has: bit 0 a report, bit 1 images; so the number is also the status of the event.
        has: u8,
        /// [`Tags::identity`] of this study and report with status 0, 1, 2 and 3: callbacks that told of it already.
        told_by: [Tag; 4],
    },
}

/// The plaintext of an event: wiped when dropped, never printed.
pub struct Payload(Zeroizing<Vec<u8>>);

impl Payload {
    /// Takes plaintext that was written into room reserved beforehand, so that no copy of it is left behind.
    pub fn new(json: Zeroizing<Vec<u8>>) -> Self {
        Self(json)
    }

    /// The JSON object.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Wipes it before its time.
    pub(super) fn wipe(&mut self) {
        self.0.zeroize();
    }

    /// The buffer itself.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// A good signature, as far as it matters afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// [`Tags::triple`]: appId, timestamp and signature together.
    pub triple: Tag,
    /// The timestamp it covers.
    pub signed_at: Timestamp,
    /// Until when it would be taken again: the timestamp plus the tolerance. It is remembered at least so long.
    pub valid_until: Timestamp,
}

/// What the inbox found about an event's signature; the HIS is told as `verified`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Signed, and no other body came under this signature before.
    Signed,
    /// Signed, but another body came under the same signature before: ordinary within one millisecond.
    Shared,
    /// Not signed.
    Unsigned,
    /// No callback told of it: the gateway found it in a study list of the platform.
    Reconciled,
}

impl Verified {
    /// Every member.
    pub const ALL: &'static [Verified] = &[
        Verified::Signed,
        Verified::Shared,
        Verified::Unsigned,
        Verified::Reconciled,
    ];

    /// The word for it, in what the HIS gets and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Shared => "shared",
            Self::Unsigned => "unsigned",
            Self::Reconciled => "reconciled",
        }
    }
}

/// Why an event waits for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineReason {
    /// A link in it leads to a host that is not one of `callback.link_hosts`.
    LinkHost,
    /// It is about another hospital than the tenant's.
    Hospital,
    /// A personal field does not decrypt, or not to the shape of a number.
    Undecryptable,
    /// Another body came under the same signature before, too long ago for one millisecond's work.
    SharedLate,
    /// Too many bodies came under the same signature.
    SharedOften,
}

impl QuarantineReason {
    /// Every member.
    pub const ALL: &'static [QuarantineReason] = &[
        QuarantineReason::LinkHost,
        QuarantineReason::Hospital,
        QuarantineReason::Undecryptable,
        QuarantineReason::SharedLate,
        QuarantineReason::SharedOften,
    ];

    /// The word for it, in logs, lists and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkHost => "link_host",
            Self::Hospital => "hospital",
            Self::Undecryptable => "undecryptable",
            Self::SharedLate => "shared_late",
            Self::SharedOften => "shared_often",
        }
    }
}

/// The name of one stored event, for ever: `evt_` and 32 hex digits (a UUID of version 7), used as `webhook-id`
/// downstream. An update has an id of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

impl EventId {
    /// Bytes of the text form.
    pub const TEXT_LEN: usize = 36;
    const PREFIX: &'static str = "evt_";

    /// A new id of an event received at `now`.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(now: Timestamp) -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes[6..]).map_err(std::io::Error::other)?;
        bytes[..6].copy_from_slice(&now.as_millis().to_be_bytes()[2..]);
        bytes[6] = (bytes[6] & 0x0f) | 0x70; // version 7
        bytes[8] = (bytes[8] & 0x3f) | 0x80; // variant of RFC 9562
        Ok(Self(bytes))
    }

    /// Reads the text form; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// An id from a store.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id for a store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        hex::encode_to_slice(self.0, &mut digits).expect("16 bytes are 32 hex digits");
        f.write_str(Self::PREFIX)?;
        f.write_str(str::from_utf8(&digits).expect("hex digits are text"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An id of ours, with nothing of a person in it.
impl Loggable for EventId {
    fn write_json(&self, out: &mut Vec<u8>) {
        crate::telemetry::log::write_string(out, &self.to_string());
    }
}

/// 128 bits of HMAC-SHA256 under a key of the inbox: tells "the same again" and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; 16]);

impl Tag {
    /// A tag from a store.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The tag for a store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// Makes tags under one key, which belongs to one inbox and outlives the rotation of the key that seals it. Every part
/// goes in with its length, and every kind of tag has a name of its own, so that no two meanings share a tag.
#[derive(Clone)]
pub struct Tags(Hmac<Sha256>);

impl Tags {
    /// Tags under `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// A study of a tenant: order of delivery is kept within it.
    pub fn study(&self, tenant: &TenantName, hospital_id: &str, study_id: &str) -> Tag {
        self.tag("study", tenant, &[hospital_id.as_bytes(), study_id.as_bytes()])
    }

    /// What an event is about.
    pub fn identity(
        &self,
        tenant: &TenantName,
        hospital_id: &str,
        study_id: &str,
        report_id: &str,
        status: i64,
    ) -> Tag {
        let status = status.to_string();
        let parts = [hospital_id, study_id, report_id, &status].map(str::as_bytes);
        self.tag("identity", tenant, &parts)
    }

    /// What an event says: `canonical` is equal for equal fields, whatever their order and spelling on the wire.
    pub fn body(&self, tenant: &TenantName, canonical: &[u8]) -> Tag {
        self.tag("body", tenant, &[canonical])
    }

    /// What an event says of its study in the members that a callback and a study list both have, links left out: these
    /// are made anew each time.
    pub fn gist(&self, tenant: &TenantName, identity: Tag, members: [&str; 4]) -> Tag {
        let [study_type, study_date, body_part, study_name] = members.map(|member| member.trim().as_bytes());
        let parts = [identity.as_bytes(), study_type, study_date, body_part, study_name];
        self.tag("gist", tenant, &parts)
    }

    /// The three signature headers together. It begins with the time, so that signatures of one time lie side by side
    /// in a store and not as far apart as they can; the other 80 bits are the hash's.
    pub fn triple(&self, tenant: &TenantName, app_id: &str, signed_at: Timestamp, signature: &[u8]) -> Tag {
        let time = signed_at.as_millis().to_be_bytes();
        let mut tag = self.tag("triple", tenant, &[app_id.as_bytes(), &time, signature]);
        tag.0[..6].copy_from_slice(&time[2..]);
        tag
    }

    fn tag(&self, kind: &str, tenant: &TenantName, parts: &[&[u8]]) -> Tag {
        let mut mac = self.0.clone();
        let head = [kind.as_bytes(), tenant.as_str().as_bytes()];
        for part in head.iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut tag = [0; 16];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Tag(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_sorts_by_time() {
        let early = EventId::new(Timestamp::from_millis(1_735_689_600_000)).unwrap();
        let late = EventId::new(Timestamp::from_millis(1_735_689_600_001)).unwrap();

        let text = early.to_string();

        assert_eq!(text.len(), EventId::TEXT_LEN);
        assert!(text.starts_with("evt_01941f297c007"), "{text}");
        assert_eq!(EventId::parse(&text), Some(early));
        assert!(early < late && text < late.to_string());
        for wrong in ["", "evt_", "evt_01", "01941f297c007000800000000000000000", &text[..35]] {
            assert_eq!(EventId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_two_meanings_share_a_tag() {
        let (tags, other) = (Tags::new(&[1; 32]), Tags::new(&[2; 32]));
        let (north, south) = (TenantName::new("north"), TenantName::new("south"));

        let tag = tags.study(&north, "H1", "S1");

        assert_eq!(tag, tags.study(&north, "H1", "S1"));
        assert_ne!(tag, tags.study(&south, "H1", "S1"));
        assert_ne!(tag, tags.study(&north, "H", "1S1"));
        assert_ne!(tag, other.study(&north, "H1", "S1"));
        assert_ne!(
            tags.identity(&north, "H1", "S1", "R", 11),
            tags.identity(&north, "H1", "S1", "R1", 1)
        );
        assert_ne!(tags.body(&north, b"x"), tags.body(&south, b"x"));
    }
}
