//! Numbers of 18 and 15 digits: GB 11643, with the check character of ISO 7064 MOD 11-2.

use zeroize::Zeroizing;

use crate::datetime::Date;

use super::IdProblem;

/// Weights of digits 1 to 17.
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// Check character by the sum modulo 11.
const CHECK: &[u8; 11] = b"10X98765432";

/// The check character for 17 digits; `None` if they are not 17 ASCII digits.
pub fn check_character(digits: &str) -> Option<char> {
    let digits: &[u8; 17] = digits.as_bytes().try_into().ok()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sum: u32 = digits
        .iter()
        .zip(WEIGHTS)
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    Some(CHECK[(sum % 11) as usize].into())
}

/// The 18-character form of a 15-digit number: the century 19 put in, the check character added.
///
/// `None` unless it is a number of the old form with a real date: a damaged number is not dressed up as a sound one.
pub fn upgrade_15(normalized: &str) -> Option<Zeroizing<String>> {
    let sound = is_15(normalized) && judge_15(normalized).is_none();
    if !sound {
        return None;
    }
    let mut upgraded = Zeroizing::new(String::with_capacity(18));
    upgraded.push_str(&normalized[..6]);
    upgraded.push_str("19");
    upgraded.push_str(&normalized[6..]);
    let check = check_character(&upgraded)?;
    upgraded.push(check);
    Some(upgraded)
}

/// Whether the text has the shape of the 18-character form: 17 digits, then a digit or `X`.
pub(super) fn is_18(text: &str) -> bool {
    let text = text.as_bytes();
    text.len() == 18 && text[..17].iter().all(u8::is_ascii_digit) && (text[17].is_ascii_digit() || text[17] == b'X')
}

/// Whether the text has the shape of the 15-digit form: digits, the first from 1 to 8.
pub(super) fn is_15(text: &str) -> bool {
    let text = text.as_bytes();
    text.len() == 15 && text.iter().all(u8::is_ascii_digit) && matches!(text[0], b'1'..=b'8')
}

/// What is wrong with a number of shape [`is_18`]. The check character comes first: a wrong one says "mistyped", and
/// then the date proves nothing.
pub(super) fn judge_18(text: &str, today: Option<Date>) -> Option<IdProblem> {
    if check_character(&text[..17]) != text.chars().next_back() {
        return Some(IdProblem::CheckDigit);
    }
    match date(&text[6..10], &text[10..14]) {
        None => Some(IdProblem::Date),
        Some(born) if today.is_some_and(|today| born > today) => Some(IdProblem::FutureDate),
        Some(_) => None,
    }
}

/// What is wrong with a number of shape [`is_15`], all of which are of the 20th century.
pub(super) fn judge_15(text: &str) -> Option<IdProblem> {
    let year = [b'1', b'9', text.as_bytes()[6], text.as_bytes()[7]];
    match std::str::from_utf8(&year)
        .ok()
        .and_then(|year| date(year, &text[8..12]))
    {
        Some(_) => None,
        None => Some(IdProblem::Date),
    }
}

fn date(year: &str, month_day: &str) -> Option<Date> {
    Date::new(
        year.parse().ok()?,
        month_day[..2].parse().ok()?,
        month_day[2..].parse().ok()?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_number_gains_century_and_check_character() {
        assert_eq!(upgrade_15("110101000101001").unwrap().as_str(), "110101190001010014");
        assert_eq!(upgrade_15("110101001301001"), None);
        assert_eq!(upgrade_15("110101190001010014"), None);
        assert_eq!(upgrade_15("XXX110000010112"), None);
    }

    #[test]
    fn only_seventeen_digits_have_a_check_character() {
        assert_eq!(check_character("11010119000101009"), Some('X'));
        assert_eq!(check_character("1101011900010100"), None);
        assert_eq!(check_character("1101011900010100X"), None);
    }
}
