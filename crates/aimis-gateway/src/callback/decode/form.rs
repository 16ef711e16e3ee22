//! A form: pairs of names and values, or one pair whose value is the JSON object.

use http::HeaderValue;
use zeroize::Zeroizing;

use super::{Given, MAX_MEMBERS, Members, NotUnderstood, json, text};

/// Reads the fields of the form `body`.
pub(super) fn read(
    body: &[u8],
    content_type: Option<&HeaderValue>,
    members: &mut Members,
) -> Result<(), NotUnderstood> {
    let mut parts = Vec::new();
    for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let equals = pair
            .iter()
            .position(|b| *b == b'=')
            .filter(|at| *at > 0)
            .ok_or(NotUnderstood)?;
        if parts.len() >= 2 * MAX_MEMBERS {
            return Err(NotUnderstood);
        }
        parts.push(decoded(&pair[..equals])?);
        parts.push(decoded(&pair[equals + 1..])?);
    }
    if parts.is_empty() {
        return Err(NotUnderstood);
    }
    let slices: Vec<&[u8]> = parts.iter().map(|part| part.as_slice()).collect();
    let texts = text::read(&slices, content_type)?;
    members.note_charset(&texts);
    for at in (0..slices.len()).step_by(2) {
        let (name, value) = (texts.get(at).trim(), texts.get(at + 1));
        if value.trim_start().starts_with('{') {
            // Its members stand beside those of the form: a name in both is there twice.
            json::read(value, members)?;
        } else {
            members.add(name, Given::Text(Zeroizing::new(value.to_owned())))?;
        }
    }
    Ok(())
}

/// `%41` and `+` decoded.
fn decoded(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotUnderstood> {
    // Nothing decoded is longer than its code, so the buffer never moves and leaves no copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2).ok_or(NotUnderstood)?;
                let mut code = [0];
                hex::decode_to_slice(digits, &mut code).map_err(|_| NotUnderstood)?;
                out.extend_from_slice(&code);
                rest = behind;
            }
            other => out.push(other),
        }
    }
    Ok(out)
}
