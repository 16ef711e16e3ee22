//! Members become an event: personal fields decrypted and looked at, the rest checked as far as it has to be.
//!
//! A callback that is lost is lost, so little is demanded: a status, a hospital and a study to tell events apart by.
//! Everything else, an unknown status and unknown fields too, is passed on as it came. Only the personal fields are
//! looked at closely. They are all that proves where an unsigned callback comes from, and AES-ECB proves little by
//! itself: a wrong key passes the check of the padding once in 256 times, and whole blocks can be swapped. So what
//! comes out has to have the shape of a telephone or an identity number, or be empty.

use std::borrow::Cow;
use std::io::{self, Write};

use aimis_core::cipher::FieldCipher;
use aimis_core::identity::{is_placeholder, normalize_id, normalize_phone};
use aimis_core::sign::Timestamp;
use zeroize::Zeroizing;

use super::decode::{Given, Members};
use super::event::{NewEvent, Origin, Payload, QuarantineReason, Signed, Tags};
use super::hospital::Hospital;
use super::links;
use super::verify::Proof;
use crate::telemetry::labels::{CallbackRefusal, CallbackRepair};

/// The fields of a callback, in the order of the documentation.
const FIELDS: [(&str, Kind); 14] = [
    ("status", Kind::Number),
    ("phoneNum", Kind::Phone),
    ("idNum", Kind::Id),
    ("patientId", Kind::Text),
    ("hospitalId", Kind::Text),
    ("hisId", Kind::Text),
    ("studyType", Kind::Number),
    ("studyDate", Kind::Text),
    ("studyId", Kind::Text),
    ("bodyPart", Kind::Text),
    ("studyName", Kind::Text),
    ("h5Url", Kind::Text),
    ("h5DetailUrl", Kind::Text),
    ("reportId", Kind::Text),
];

/// What [`Tags::gist`] is made of.
pub(super) const GIST: [&str; 4] = ["studyType", "studyDate", "bodyPart", "studyName"];

/// Members that delivery adds; whoever sends them speaks in our name, so they are left out.
const OURS: [&str; 4] = ["eventId", "receivedAt", "verified", UNDECRYPTED];

/// Names the personal fields that are passed on as they came, because they do not decrypt.
const UNDECRYPTED: &str = "undecrypted";

/// The most characters of a telephone number with its separators, and of an identity number.
const LONGEST: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Phone,
    Id,
}

/// A callback that can be stored.
pub struct Opened {
    /// For the inbox.
    pub event: NewEvent,
    /// Whom it is about.
    pub patient: Patient,
}

/// The person that a callback is about; empty where the platform does not say. Wiped when dropped.
pub struct Patient {
    /// Identity number.
    pub id_num: Zeroizing<String>,
    /// Telephone number.
    pub phone_num: Zeroizing<String>,
}

/// Opens a callback of `hospital` that came at `now` and has proved `proof`. It was then `signing_now` by the clock that
/// signatures are judged by.
///
/// # Errors
/// [`CallbackRefusal::Field`], [`CallbackRefusal::Cipher`]. A signed callback that cannot be decrypted is no error but
/// in quarantine: most often the token was changed on one side only.
pub fn open(
    members: &mut Members,
    hospital: &Hospital,
    proof: Proof,
    tags: &Tags,
    now: Timestamp,
    signing_now: Timestamp,
) -> Result<Opened, CallbackRefusal> {
    let phone = Personal::of(members.get("phoneNum"), &hospital.ciphers, is_phone);
    let id = Personal::of(members.get("idNum"), &hospital.ciphers, is_id);
    let readable = !phone.is_sealed() && !id.is_sealed();
    // Nothing but a number that decrypts shows where an unsigned callback comes from.
    let proved = proof != Proof::Unsigned || (readable && !(phone.is_empty() && id.is_empty()));
    if !proved {
        return Err(CallbackRefusal::Cipher);
    }

    let mut repairs = Vec::new();
    let mut out = Vec::new();
    for (name, kind) in FIELDS {
        let personal = match kind {
            Kind::Phone => Some(&phone),
            Kind::Id => Some(&id),
            Kind::Number | Kind::Text => None,
        };
        let given = members.get(name);
        let value = match (personal, given) {
            (Some(personal), Some(given)) => personal.told(given),
            (_, None) => continue,
            (None, Some(given)) => told(kind, given, &mut repairs),
        };
        out.push((name, value));
    }
    let text = |name: &str| match out.iter().find(|(known, _)| *known == name) {
        None | Some((_, Told::Json("null"))) => Ok(""),
        Some((_, Told::Text(text))) => Ok(*text),
        Some(_) => Err(CallbackRefusal::Field),
    };
    let (hospital_id, study_id, report_id) = (text("hospitalId")?, text("studyId")?, text("reportId")?);
    let Some((_, Told::Number(status))) = out.iter().find(|(name, _)| *name == "status") else {
        return Err(CallbackRefusal::Field);
    };
    let status = *status;
    if hospital_id.is_empty() || study_id.is_empty() {
        return Err(CallbackRefusal::Field);
    }

    let foreign = hospital.hospital_id.as_deref().is_some_and(|own| own != hospital_id);
    let stray = hospital
        .link_hosts
        .as_ref()
        .is_some_and(|hosts| !links::lead_only_to(members, hosts));
    let quarantine = match (readable, foreign, stray) {
        (false, ..) => Some(QuarantineReason::Undecryptable),
        (_, true, _) => Some(QuarantineReason::Hospital),
        (_, _, true) => Some(QuarantineReason::LinkHost),
        (true, false, false) => None,
    };

    let tenant = &hospital.name;
    let study = tags.study(tenant, hospital_id, study_id);
    let identity = tags.identity(tenant, hospital_id, study_id, report_id, status);
    let gist = tags.gist(
        tenant,
        identity,
        GIST.map(|name| plain(&out, name)).each_ref().map(|text| &**text),
    );
    // In any case of letters: many readers of JSON know none.
    let ours = |name: &str| OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name));
    let known = |name: &str| FIELDS.iter().any(|(field, _)| *field == name) || ours(name);
    let others = members.iter().filter(|member| !known(&member.name));
    out.extend(others.map(|member| (member.name.as_str(), Told::as_it_came(&member.value))));
    if !readable {
        out.push((UNDECRYPTED, Told::Json(sealed_names(&phone, &id))));
    }
    let payload = object(&out);
    // Equal fields are one body, in whatever order they came.
    out.sort_unstable_by_key(|(name, _)| *name);
    let body = tags.body(tenant, &object(&out));
    let event = NewEvent {
        tenant: tenant.clone(),
        study,
        identity,
        body,
        payload: Payload::new(payload),
        signed: signed(hospital, proof, tags, (now, signing_now)),
        quarantine,
        received_at: now,
        origin: Origin::Callback { gist },
    };
    for repair in repairs {
        members.repair(repair);
    }
    Ok(Opened {
        event,
        patient: Patient {
            id_num: id.into_clear(),
            phone_num: phone.into_clear(),
        },
    })
}

/// The inbox compares times of signatures with those of arrivals, so it gets them as the machine's clock has them:
/// `clock.offset_ms` moves the one that signatures are judged by.
fn signed(
    hospital: &Hospital,
    proof: Proof,
    tags: &Tags,
    (now, signing_now): (Timestamp, Timestamp),
) -> Option<Signed> {
    let Proof::Signed { at, signer } = proof else {
        return None;
    };
    // As we would write it: the same signature in another case is the same signature.
    let canonical = hospital.signers[signer].sign(&hospital.app_id, at);
    let signed_at = (at.as_millis().saturating_add(now.as_millis())).saturating_sub(signing_now.as_millis());
    Some(Signed {
        triple: tags.triple(&hospital.name, &hospital.app_id, at, canonical.signature().as_bytes()),
        signed_at: Timestamp::from_millis(signed_at),
        valid_until: Timestamp::from_millis(signed_at.saturating_add(hospital.rules.past_ms)),
    })
}

fn sealed_names(phone: &Personal, id: &Personal) -> &'static str {
    match (phone.is_sealed(), id.is_sealed()) {
        (true, true) => r#"["phoneNum","idNum"]"#,
        (true, false) => r#"["phoneNum"]"#,
        (false, true) => r#"["idNum"]"#,
        (false, false) => "[]",
    }
}

/// A personal field.
enum Personal {
    /// Not there, or there is none.
    Empty,
    /// Decrypted, and of the right shape.
    Clear(Zeroizing<String>),
    /// Anything else.
    Sealed,
}

impl Personal {
    fn of(given: Option<&Given>, ciphers: &[FieldCipher], is_good: fn(&str) -> bool) -> Self {
        let text = match given {
            None => return Self::Empty,
            Some(Given::Json(json)) if **json == "null" => return Self::Empty,
            Some(Given::Json(_)) => return Self::Sealed,
            Some(Given::Text(text)) => text.trim(),
        };
        if text.is_empty() {
            return Self::Empty;
        }
        for cipher in ciphers {
            let Ok(plain) = cipher.decrypt(text) else { continue };
            if plain.expose().trim().is_empty() {
                return Self::Empty;
            }
            if is_good(plain.expose()) {
                return Self::Clear(Zeroizing::new(plain.expose().to_owned()));
            }
        }
        Self::Sealed
    }

    fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed)
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn told<'a>(&'a self, given: &'a Given) -> Told<'a> {
        match self {
            Self::Empty => Told::Text(""),
            Self::Clear(text) => Told::Text(text),
            Self::Sealed => Told::as_it_came(given),
        }
    }

    fn into_clear(self) -> Zeroizing<String> {
        match self {
            Self::Clear(text) => text,
            Self::Empty | Self::Sealed => Zeroizing::default(),
        }
    }
}

/// Digits, with the signs that are written between them; or a word for "none".
fn is_phone(text: &str) -> bool {
    let normal = normalize_phone(text);
    let normal = normal.as_str();
    let digits = normal.bytes().filter(u8::is_ascii_digit).count();
    let signs = normal
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | '/' | '*' | '#'));
    (signs && (5..=16).contains(&digits) && normal.len() <= LONGEST) || is_placeholder(normal)
}

/// Letters and digits, Chinese ones too, as in numbers of officers; or a word for "none".
fn is_id(text: &str) -> bool {
    let normal = normalize_id(text);
    let normal = normal.as_str();
    let chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '(' | ')' | '-' | '/') || chinese(c);
    let counting = normal.chars().filter(char::is_ascii_alphanumeric).count();
    (normal.chars().all(good) && counting >= 5 && normal.chars().count() <= LONGEST) || is_placeholder(normal)
}

/// A value as plain text: nothing for one that is not there, or is `null`.
fn plain<'a>(members: &[(&str, Told<'a>)], name: &str) -> Cow<'a, str> {
    match members.iter().find(|(known, _)| *known == name) {
        None | Some((_, Told::Json("null"))) => Cow::Borrowed(""),
        Some((_, Told::Text(text) | Told::Json(text))) => Cow::Borrowed(text),
        Some((_, Told::Number(number))) => Cow::Owned(number.to_string()),
    }
}

/// A value as the HIS gets it.
#[derive(Clone, Copy)]
pub(super) enum Told<'a> {
    Number(i64),
    Text(&'a str),
    Json(&'a str),
}

impl<'a> Told<'a> {
    fn as_it_came(given: &'a Given) -> Self {
        match given {
            Given::Text(text) => Self::Text(text),
            Given::Json(json) => Self::Json(json),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => Ok(serde_json::to_writer(out, text)?),
            Self::Json(json) => out.write_all(json.as_bytes()),
        }
    }
}

/// A value in the type of its field, if it can be had; else as it came.
fn told<'a>(kind: Kind, given: &'a Given, repairs: &mut Vec<CallbackRepair>) -> Told<'a> {
    match (kind, given) {
        (Kind::Number, Given::Text(text)) => match text.trim().parse() {
            Ok(number) => {
                repairs.push(CallbackRepair::NumberAsText);
                Told::Number(number)
            }
            Err(_) => Told::Text(text),
        },
        (Kind::Number, Given::Json(json)) => json.parse().map_or(Told::Json(json), Told::Number),
        (Kind::Text, Given::Json(json)) if json.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            repairs.push(CallbackRepair::TextAsNumber);
            Told::Text(json)
        }
        (_, given) => Told::as_it_came(given),
    }
}

/// The JSON object of `members`, written into room of just its length, so that no copy of it is left behind.
pub(super) fn object(members: &[(&str, Told<'_>)]) -> Zeroizing<Vec<u8>> {
    let mut length = Length(0);
    write_object(members, &mut length).expect("counting does not fail");
    let mut out = Zeroizing::new(Vec::with_capacity(length.0));
    write_object(members, &mut *out).expect("a Vec takes every byte");
    out
}

fn write_object(members: &[(&str, Told<'_>)], out: &mut impl Write) -> io::Result<()> {
    for (index, (name, value)) in members.iter().enumerate() {
        out.write_all(if index == 0 { b"{" } else { b"," })?;
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        value.write(out)?;
    }
    out.write_all(if members.is_empty() { b"{}" } else { b"}" })
}

struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
