//! Moments that name their distance from UTC: ISO 8601's `Z` and `+08:00`, and what .NET writes for dates in JSON.

use super::DateProblem;

/// Widest offset in use is 14 hours.
const MAX_OFFSET: i32 = 14 * 60;

/// Parts a time from the offset behind it, in minutes east of UTC; `None` if it has none.
pub(super) fn split(text: &[u8]) -> Result<(&[u8], Option<i32>), DateProblem> {
    if let [before @ .., b'Z' | b'z'] = text {
        return Ok((before.trim_ascii_end(), Some(0)));
    }
    let Some(sign) = text.iter().rposition(|b| matches!(b, b'+' | b'-')) else {
        return Ok((text, None));
    };
    let (before, behind) = (&text[..sign], &text[sign + 1..]);
    // A minus sign is one only behind a time; in front of it, it stands between the parts of the date.
    let behind_time = before.iter().any(|b| matches!(b, b':' | b'T' | b't'));
    if text[sign] == b'-' && !behind_time {
        return Ok((text, None));
    }
    let minutes = offset(behind).ok_or(DateProblem::Zone)?;
    let minutes = if text[sign] == b'-' { -minutes } else { minutes };
    Ok((before.trim_ascii_end(), Some(minutes)))
}

/// `08:00`, `0800` or `08`.
fn offset(text: &[u8]) -> Option<i32> {
    let (hours, minutes) = match text {
        [_, _] => (text, &b"00"[..]),
        [_, _, b':', _, _] => (&text[..2], &text[3..]),
        [_, _, _, _] => text.split_at(2),
        _ => return None,
    };
    let value = |pair: &[u8]| -> Option<i32> {
        let digits = pair.iter().all(u8::is_ascii_digit);
        digits.then(|| i32::from(pair[0] - b'0') * 10 + i32::from(pair[1] - b'0'))
    };
    let (hours, minutes) = (value(hours)?, value(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= MAX_OFFSET).then_some(total)
}

/// Milliseconds since 1970 of `/Date(1704067200000)/` or `/Date(1704067200000+0800)/`, whose offset says only where it
/// was written; `None` if the text does not begin so.
pub(super) fn dot_net(text: &[u8]) -> Option<Result<i64, DateProblem>> {
    let inside = text.strip_prefix(b"/Date(")?;
    Some(milliseconds(inside).ok_or(DateProblem::Unreadable))
}

fn milliseconds(inside: &[u8]) -> Option<i64> {
    let inside = std::str::from_utf8(inside.strip_suffix(b")/")?).ok()?;
    let digits = inside.strip_prefix('-').unwrap_or(inside);
    let count = match digits.split_once(['+', '-']) {
        Some((count, zone)) => {
            offset(zone.as_bytes()).filter(|_| zone.len() == 4)?;
            count
        }
        None => digits,
    };
    let plain = (1..=15).contains(&count.len()) && count.bytes().all(|b| b.is_ascii_digit());
    let count: i64 = count.parse().ok().filter(|_| plain)?;
    Some(if digits.len() < inside.len() { -count } else { count })
}
