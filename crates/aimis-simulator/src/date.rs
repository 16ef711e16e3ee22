//! The two spellings of a date that the simulator needs: the platform's study time and HTTP's `Date`.

use std::fmt::Write;

/// Whether `text` is `yyyy-MM-dd HH:mm:ss`: 19 characters, a day that exists, a 24-hour clock.
///
/// Texts of this form order as their times do, so that a window is compared as text.
pub(crate) fn is_study_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = b"0000-00-00 00:00:00";
    let fits = |(byte, form): (&u8, &u8)| {
        if *form == b'0' {
            byte.is_ascii_digit()
        } else {
            byte == form
        }
    };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return false;
    }
    let number = |from: usize, to: usize| bytes[from..to].iter().fold(0, |sum, b| sum * 10 + u32::from(b - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    year >= 1
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && number(11, 13) < 24
        && number(14, 16) < 60
        && number(17, 19) < 60
}

/// Whether `yyyyMMdd` digits name a day that exists. Used for the dates inside identity numbers.
pub(crate) fn is_day(year: u32, month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day)
}

fn days_in(year: u32, month: u32) -> u32 {
    let leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Appends the IMF-fixdate of RFC 9110 section 5.6.7, such as `Wed, 01 Jan 2025 00:00:00 GMT`.
pub(crate) fn write_http_date(out: &mut String, ms: i64) {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    // `rem_euclid` is in 0..7 and the month in 1..=12, so that neither index can miss.
    let weekday = WEEKDAYS[usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
    );
}

/// Days since 1970-01-01 to year, month and day (H. Hinnant, `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_time_is_a_real_moment_in_one_spelling() {
        for good in ["2024-12-01 00:00:00", "2024-02-29 23:59:59", "2000-02-29 12:00:00"] {
            assert!(is_study_time(good), "{good}");
        }
        for bad in [
            "2023-02-29 00:00:00",
            "1900-02-29 00:00:00",
            "2024-13-01 00:00:00",
            "2024-12-01 24:00:00",
            "2024-12-01T00:00:00",
            "2024-12-01",
            "2024-12-01 00:00",
            "2024-12-01 00:00:00 ",
            "2024-1-1 0:0:0",
            "2024-00-10 00:00:00",
            "２０24-12-01 00:00:00",
            "",
        ] {
            assert!(!is_study_time(bad), "{bad}");
        }
    }

    #[test]
    fn http_dates_are_those_of_rfc_9110() {
        let date = |ms| {
            let mut out = String::new();
            write_http_date(&mut out, ms);
            out
        };
        assert_eq!(date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(1_735_689_600_999), "Wed, 01 Jan 2025 00:00:00 GMT");
        assert_eq!(date(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(-1000), "Wed, 31 Dec 1969 23:59:59 GMT");
    }
}
