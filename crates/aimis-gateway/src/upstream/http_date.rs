//! The one form of date that HTTP senders have to use (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.

use http::HeaderValue;

const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// Milliseconds since 1970-01-01 UTC; `None` for another form, or a date that is none.
pub(super) fn millis(value: &HeaderValue) -> Option<u64> {
    let text = value.as_bytes();
    let form = text.len() == 29
        && text[3] == b','
        && [4, 7, 11, 16].iter().all(|at| text[*at] == b' ')
        && (text[19], text[22]) == (b':', b':')
        && &text[25..] == b" GMT";
    if !form {
        return None;
    }
    let (day, year) = (number(&text[5..7])?, number(&text[12..16])?);
    let month = MONTHS.chunks(3).position(|name| name == &text[8..11])? as u64 + 1;
    let (hour, minute, second) = (number(&text[17..19])?, number(&text[20..22])?, number(&text[23..25])?);
    let sensible = (1970..=9999).contains(&year) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    sensible.then(|| (((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
    })
}

/// Days since 1970-01-01. Years begin in March here, so that the leap day is the last of its year.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Option<u64> {
        millis(&HeaderValue::from_static(text))
    }

    #[test]
    fn a_date_is_read_in_its_one_form() {
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(read("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199_000));
        assert_eq!(read("Wed, 01 Jan 2025 00:00:00 GMT"), Some(1_735_689_600_000));
        for other in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CST",
            "Sun, 06 Nov 1994 28:49:37 GMT",
            "Sun, 06 Nox 1994 08:49:37 GMT",
            "Sun, 0x Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
