//! Who looked at this patient: records by a number that is typed, which is not kept and not written anywhere.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use aimis_core::order::Patient;
use aimis_core::sign::Timestamp;

use super::chain::{self, Seal};
use super::files::{Header, Lines, Name, Piece, Trail, list, moment};
use super::keys::{Key, Keys};
use super::line::Stated;

/// What is looked for; what is not set matches everything.
#[derive(Default)]
pub struct Query<'q> {
    /// The patient's identity or telephone number, in any spelling.
    pub number: Option<&'q str>,
    /// The user of the hospital's system, as it names him.
    pub operator: Option<&'q str>,
    /// The request's id.
    pub request: Option<&'q str>,
    /// Whose patient.
    pub tenant: Option<&'q str>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

/// What was found on the way.
#[derive(Debug, Default)]
pub struct Searched {
    /// Records that matched.
    pub found: u64,
    /// Of these, how many have a seal that is wrong.
    pub unsound: u64,
    /// Files that could not be searched, and why.
    pub skipped: Vec<(String, String)>,
}

/// A record that matches.
pub struct Match<'m> {
    /// As it was written.
    pub text: &'m [u8],
    /// What it states.
    pub stated: Stated<'m>,
    /// Whether its seal is good.
    pub sound: bool,
    /// The file that it is in.
    pub file: &'m str,
}

/// Searches every trail of a directory, in the order of their writing. `tell` ends it by `false`.
///
/// # Errors
/// When a file cannot be read, and those of `tell`.
pub fn find<E: From<io::Error>>(
    directory: &Path,
    keys: &Keys,
    query: &Query<'_>,
    tell: &mut dyn FnMut(&Match<'_>) -> Result<bool, E>,
) -> Result<Searched, E> {
    let mut searched = Searched::default();
    for trail in Trail::ALL {
        for name in list(*trail, directory)? {
            if !search(directory, *trail, &name, keys, query, &mut searched, tell)? {
                return Ok(searched);
            }
        }
    }
    Ok(searched)
}

/// Searches a file; false to search no further.
fn search<E: From<io::Error>>(
    directory: &Path,
    trail: Trail,
    name: &Name,
    keys: &Keys,
    query: &Query<'_>,
    searched: &mut Searched,
    tell: &mut dyn FnMut(&Match<'_>) -> Result<bool, E>,
) -> Result<bool, E> {
    let path = name.path(trail, directory);
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let header = match Header::of(&path, trail, keys)? {
        Ok(header) => header,
        Err(reason) => {
            searched.skipped.push((file, reason.to_string()));
            return Ok(true);
        }
    };
    let Some(key) = keys.by_id(header.key) else {
        return Ok(true);
    };
    // Under every key: what was on its way when the key changed is in a file of the new one, with tags of the old.
    let operators: Vec<String> = query
        .operator
        .iter()
        .flat_map(|name| {
            keys.all()
                .map(|key| digits(&key.tagger.operator(name.trim().as_bytes())))
        })
        .collect();
    let mut tags: HashMap<String, Vec<[Option<String>; 2]>> = HashMap::new();
    let mut lines = Lines::open(&path)?;
    let mut before: Option<Seal> = None;
    while let Some(piece) = lines.next()? {
        let Piece::Line(text) = piece else { continue };
        let split = chain::split(text);
        let previous = before;
        before = split.map(|(_, seal)| seal);
        let Some(stated) = Stated::read(text) else { continue };
        if let Some(number) = query.number {
            let (Some(tenant), true) = (stated.tenant, stated.id_tag.is_some() || stated.phone_tag.is_some()) else {
                continue;
            };
            let tags = tags.entry(tenant.to_owned()).or_insert_with(|| {
                let of = |key: &Key| {
                    // Which of the two it is need not be known.
                    let subject = key.tagger.patient(tenant, &Patient::new(Some(number), Some(number)));
                    [subject.id, subject.phone].map(|tag| tag.map(|tag| digits(&tag)))
                };
                keys.all().map(of).collect()
            });
            let is = |stated: Option<&str>, tag: &Option<String>| tag.is_some() && stated == tag.as_deref();
            if !tags
                .iter()
                .any(|[id, phone]| is(stated.id_tag, id) || is(stated.phone_tag, phone))
            {
                continue;
            }
        }
        if !matches(query, &stated, &operators) {
            continue;
        }
        let sound = match (previous, split) {
            (Some(previous), Some((body, seal))) => Seal::of(key, &previous, body) == seal,
            // The first line was checked with its file.
            (None, Some(_)) => stated.seq == header.seq,
            _ => false,
        };
        searched.found += 1;
        searched.unsound += u64::from(!sound);
        let found = Match {
            text,
            stated,
            sound,
            file: &file,
        };
        if !tell(&found)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn matches(query: &Query<'_>, stated: &Stated<'_>, operators: &[String]) -> bool {
    let is = |wanted: Option<&str>, stated: Option<&str>| wanted.is_none_or(|wanted| stated == Some(wanted));
    let at = moment(stated.time);
    // The trail's own lines are about nobody.
    let about = stated.tenant.is_some() || stated.act.is_some();
    about
        && is(query.tenant, stated.tenant)
        && is(query.request, stated.request)
        && (query.operator.is_none()
            || is(query.operator, stated.operator)
            || operators.iter().any(|tag| stated.operator_tag == Some(tag)))
        && query.since.is_none_or(|since| at.is_some_and(|at| at >= since))
        && query.until.is_none_or(|until| at.is_some_and(|at| at < until))
}

fn digits(tag: &super::tags::Tag) -> String {
    String::from_utf8_lossy(&tag.digits()).into_owned()
}
