//! Reads the ways in which HIS clients write a date, and refuses the ambiguous ones with a hint.

use crate::text::{half_width, is_space, trim};

use super::zone;
use super::{Date, DateProblem, DateTime};

/// Longest text looked at, in characters; the longest variant accepted has 36.
const MAX_CHARS: usize = 40;

/// What a bare date means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// The start of a window: 00:00:00.
    Begin,
    /// The end of a window: 23:59:59 (section 9, question 11).
    End,
    /// A moment; a bare date is refused.
    Exact,
}

/// How a text wrote the moment that was read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// As `yyyy-MM-dd HH:mm:ss`.
    Canonical,
    /// Otherwise.
    Variant,
    /// With its distance from UTC, or as milliseconds since 1970 in .NET's brackets: the moment was converted.
    Zoned,
}

/// Signs of the Chinese units of time while a text is taken apart: control characters, which no date has.
const HOUR: u8 = 1;
const MINUTE: u8 = 2;
const SECOND: u8 = 3;

/// Reads a date and time, and tells how it was written.
///
/// Accepted besides `2024-01-05 09:03:00`: one-digit month, day and hour, no seconds, `/` or `.` or `年月日` between the
/// parts, `时分秒` in the time, `T` before it, a fraction (dropped), `20240105`, `20240105090300`, `24:00:00` as the last
/// second of the day, full-width characters, white space around, and bare dates as `edge` says. What names its distance
/// from UTC (`Z`, `+09:00`, `/Date(1704067200000)/`) is converted.
///
/// # Errors
/// [`DateProblem`] for everything else, in particular for what could mean two moments.
pub fn parse(text: &str, edge: Edge) -> Result<(DateTime, Spelling), DateProblem> {
    if let Some(moment) = canonical(text.as_bytes()) {
        return Ok((moment?, Spelling::Canonical));
    }
    let mut buffer = [0; MAX_CHARS];
    let plain = plain(text, &mut buffer)?;
    if let Some(milliseconds) = zone::dot_net(plain) {
        let moment = DateTime::in_china(milliseconds?.div_euclid(1000)).ok_or(DateProblem::Impossible)?;
        return Ok((moment, Spelling::Zoned));
    }
    check_letters(plain)?;
    let (plain, offset) = zone::split(plain)?;
    let (date, time) = date(plain)?;
    let moment = match (time, edge) {
        (b"", _) if offset.is_some() => return Err(DateProblem::Zone),
        (b"", Edge::Begin) => date.begin(),
        (b"", Edge::End) => date.end(),
        (b"", Edge::Exact) => return Err(DateProblem::TimeMissing),
        (time, _) => clock(date, time)?,
    };
    match offset {
        None => Ok((moment, Spelling::Variant)),
        Some(offset) => match moment.in_china_from(offset) {
            Some(moment) => Ok((moment, Spelling::Zoned)),
            None => Err(DateProblem::Impossible),
        },
    }
}

/// The fast path: exactly `yyyy-MM-dd HH:mm:ss`. `None` if the shape is another, or the time is `24:00:00`.
fn canonical(text: &[u8]) -> Option<Result<DateTime, DateProblem>> {
    let shape = text.len() == 19
        && text.iter().enumerate().all(|(at, &b)| match at {
            4 | 7 => b == b'-',
            10 => b == b' ',
            13 | 16 => b == b':',
            _ => b.is_ascii_digit(),
        });
    if !shape || &text[11..] == b"24:00:00" {
        return None;
    }
    let pair = |at: usize| (text[at] - b'0') * 10 + (text[at + 1] - b'0');
    let year = u16::from(pair(0)) * 100 + u16::from(pair(2));
    let moment = Date::new(year, pair(5), pair(8)).and_then(|date| DateTime::new(date, pair(11), pair(14), pair(17)));
    Some(moment.ok_or(DateProblem::Impossible))
}

/// Copies `text` to `buffer` as plain ASCII: half-width, trimmed, Chinese unit signs as separators.
fn plain<'b>(text: &str, buffer: &'b mut [u8; MAX_CHARS]) -> Result<&'b [u8], DateProblem> {
    let text = trim(text);
    if text.is_empty() {
        return Err(DateProblem::Empty);
    }
    if text.contains(['午', '晨', '晚']) {
        return Err(DateProblem::TwelveHour);
    }
    let mut len = 0;
    for c in text.chars() {
        let c = match half_width(c) {
            '年' | '月' => '-',
            '日' => ' ',
            '时' | '時' | '点' => HOUR.into(),
            '分' => MINUTE.into(),
            '秒' => SECOND.into(),
            c if is_space(c) => ' ',
            c if c.is_control() => return Err(DateProblem::Unreadable),
            c => c,
        };
        let slot = buffer.get_mut(len).ok_or(DateProblem::Unreadable)?;
        *slot = u8::try_from(c)
            .ok()
            .filter(u8::is_ascii)
            .ok_or(DateProblem::Unreadable)?;
        len += 1;
    }
    Ok(buffer[..len].trim_ascii())
}

/// The only letters of a date are a `T` before its time and a `Z` behind it.
fn check_letters(plain: &[u8]) -> Result<(), DateProblem> {
    let letters = || plain.iter().map(u8::to_ascii_uppercase).filter(u8::is_ascii_alphabetic);
    let is = |word: &[u8]| letters().eq(word.iter().copied());
    if [&b"AM"[..], b"PM", b"A", b"P"].into_iter().any(is) {
        Err(DateProblem::TwelveHour)
    } else if [&b"UTC"[..], b"GMT", b"CST"].into_iter().any(is) {
        Err(DateProblem::Zone)
    } else if letters().all(|b| b == b'T') || is(b"Z") || is(b"TZ") {
        Ok(())
    } else {
        Err(DateProblem::Unreadable)
    }
}

/// The date in front, and what follows it.
fn date(text: &[u8]) -> Result<(Date, &[u8]), DateProblem> {
    let (year, rest) = number(text);
    match (year.len(), rest.first()) {
        (8, _) => Ok((day(&year[..4], &year[4..6], &year[6..])?, after_date(rest)?)),
        (14, None) => Ok((day(&year[..4], &year[4..6], &year[6..8])?, &year[8..])),
        (10 | 13, None) => Err(DateProblem::Epoch),
        (1..=4, Some(separator @ (b'-' | b'/' | b'.'))) => {
            let (month, rest) = number(&rest[1..]);
            let rest = rest.strip_prefix(&[*separator]).ok_or(DateProblem::Unreadable)?;
            let (last, rest) = number(rest);
            if year.len() <= 2 && matches!(month.len(), 1 | 2) && matches!(last.len(), 1 | 2 | 4) {
                return Err(DateProblem::Ambiguous);
            }
            if year.len() != 4 || !matches!(month.len(), 1 | 2) || !matches!(last.len(), 1 | 2) {
                return Err(DateProblem::Unreadable);
            }
            Ok((day(year, month, last)?, after_date(rest)?))
        }
        _ => Err(DateProblem::Unreadable),
    }
}

/// Takes `T` or spaces from between date and time. Either alone needs a time behind it only if it is a `T`.
fn after_date(rest: &[u8]) -> Result<&[u8], DateProblem> {
    match rest.split_first() {
        None => Ok(rest),
        Some((b'T' | b't', time)) if !time.is_empty() => Ok(time),
        Some((b' ', time)) => Ok(time.trim_ascii_start()),
        Some((b'+', _)) => Err(DateProblem::Zone),
        Some(_) => Err(DateProblem::Unreadable),
    }
}

/// `H:MM`, `H:MM:SS`, `H:MM:SS.fff`, `HHMMSS`, `HHMM`, and the Chinese `H时M分`, `H时M分S秒`.
fn clock(date: Date, text: &[u8]) -> Result<DateTime, DateProblem> {
    let (hour, rest) = number(text);
    if rest.first() == Some(&HOUR) {
        return chinese_clock(date, hour, &rest[1..]);
    }
    let (hour, minute, second, rest) = match hour.len() {
        6 => (&hour[..2], &hour[2..4], &hour[4..], rest),
        4 => (&hour[..2], &hour[2..], &b"00"[..], rest),
        1 | 2 => {
            let rest = rest.strip_prefix(b":").ok_or(DateProblem::Unreadable)?;
            let (minute, rest) = number(rest);
            match rest.strip_prefix(b":") {
                Some(rest) => {
                    let (second, rest) = number(rest);
                    (hour, minute, second, rest)
                }
                None => (hour, minute, &b"00"[..], rest),
            }
        }
        _ => return Err(DateProblem::Unreadable),
    };
    if minute.len() != 2 || second.len() != 2 {
        return Err(DateProblem::Unreadable);
    }
    refuse_rest(without_fraction(rest)?)?;
    reading(date, hour, minute, second)
}

fn chinese_clock(date: Date, hour: &[u8], rest: &[u8]) -> Result<DateTime, DateProblem> {
    let (minute, rest) = number(rest);
    let rest = rest.strip_prefix(&[MINUTE]).ok_or(DateProblem::Unreadable)?;
    let (second, rest) = number(rest);
    let (second, rest) = match (second, rest) {
        (b"", rest) => (&b"0"[..], rest),
        (second, rest) => (second, rest.strip_prefix(&[SECOND]).ok_or(DateProblem::Unreadable)?),
    };
    if [hour, minute, second].iter().any(|part| !matches!(part.len(), 1 | 2)) {
        return Err(DateProblem::Unreadable);
    }
    refuse_rest(rest)?;
    reading(date, hour, minute, second)
}

fn reading(date: Date, hour: &[u8], minute: &[u8], second: &[u8]) -> Result<DateTime, DateProblem> {
    match (value(hour), value(minute), value(second)) {
        (24, 0, 0) => Ok(date.end()),
        (hour, minute, second) => {
            let small = |value| u8::try_from(value).unwrap_or(u8::MAX);
            DateTime::new(date, small(hour), small(minute), small(second)).ok_or(DateProblem::Impossible)
        }
    }
}

fn without_fraction(rest: &[u8]) -> Result<&[u8], DateProblem> {
    let Some((b'.' | b',', fraction)) = rest.split_first() else {
        return Ok(rest);
    };
    match number(fraction) {
        (digits, rest) if matches!(digits.len(), 1..=9) => Ok(rest),
        _ => Err(DateProblem::Unreadable),
    }
}

/// Nothing may follow the time; what looks like an offset is told apart, since it deserves another hint.
fn refuse_rest(rest: &[u8]) -> Result<(), DateProblem> {
    match rest.trim_ascii_start().first() {
        None => Ok(()),
        Some(b'+' | b'-') => Err(DateProblem::Zone),
        Some(_) => Err(DateProblem::Unreadable),
    }
}

fn day(year: &[u8], month: &[u8], day: &[u8]) -> Result<Date, DateProblem> {
    let small = |digits| u8::try_from(value(digits)).unwrap_or(u8::MAX);
    Date::new(value(year), small(month), small(day)).ok_or(DateProblem::Impossible)
}

/// The digits in front, and what follows them.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len()))
}

/// Value of at most four digits.
fn value(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, edge: Edge) -> Result<String, DateProblem> {
        parse(text, edge).map(|(moment, _)| moment.to_string())
    }

    #[test]
    fn the_canonical_form_is_not_rewritten() {
        let (moment, spelling) = parse("2024-01-05 09:03:00", Edge::Begin).unwrap();
        assert_eq!(
            (moment.to_string().as_str(), spelling),
            ("2024-01-05 09:03:00", Spelling::Canonical)
        );
    }

    #[test]
    fn the_variants_of_his_clients_mean_one_moment() {
        let variants = [
            "2024-1-5 9:03:00",
            "2024-1-5 9:03",
            "2024/01/05 09:03:00",
            "2024/1/5 9:03",
            "2024.01.05 09:03:00",
            "20240105090300",
            "20240105 090300",
            "20240105 09:03:00",
            "2024-01-05T09:03:00",
            "2024-01-05t09:03",
            "2024-01-05 09:03:00.0",
            "2024-01-05 09:03:00.000",
            "2024-01-05T09:03:00.1234567",
            " 2024-01-05 09:03:00 ",
            "2024-01-05  09:03:00",
            "２０２４－０１－０５　０９：０３：００",
            "2024年1月5日 9:03",
            "2024年1月5日 9时3分",
            "2024年01月05日09时03分00秒",
            "2024-01-05 9点03分",
            "20240105T090300",
            "2024-01-05 0903",
        ];
        for text in variants {
            let (moment, spelling) = parse(text, Edge::End).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
            assert_eq!(
                (moment.to_string().as_str(), spelling),
                ("2024-01-05 09:03:00", Spelling::Variant),
                "{text}"
            );
        }
    }

    #[test]
    fn a_moment_with_its_distance_from_utc_is_converted_to_china_time() {
        let variants = [
            ("2024-01-05T09:03:00+08:00", "2024-01-05 09:03:00"),
            ("2024-01-05T01:03:00Z", "2024-01-05 09:03:00"),
            ("2024-01-05t01:03:00.000z", "2024-01-05 09:03:00"),
            ("2024-01-05T01:03:00.1234567+00:00", "2024-01-05 09:03:00"),
            ("2024-01-05 09:03:00 +0800", "2024-01-05 09:03:00"),
            ("2024-01-05 01:03+00", "2024-01-05 09:03:00"),
            ("20240105T090300+0800", "2024-01-05 09:03:00"),
            ("2024-01-05T09:03:00-05:00", "2024-01-05 22:03:00"),
            ("2024-02-28T16:00:00Z", "2024-02-29 00:00:00"),
            ("2025-01-01T00:30:00+09:30", "2024-12-31 23:00:00"),
            ("/Date(1704067200000)/", "2024-01-01 08:00:00"),
            ("/Date(1704067200999+0800)/", "2024-01-01 08:00:00"),
            ("/Date(-1)/", "1970-01-01 07:59:59"),
        ];
        for (text, moment) in variants {
            let read = parse(text, Edge::End).map(|(moment, spelling)| (moment.to_string(), spelling));
            assert_eq!(read, Ok((moment.to_owned(), Spelling::Zoned)), "{text}");
        }
    }

    #[test]
    fn a_bare_date_is_the_edge_it_stands_for() {
        for text in [
            "2024-01-05",
            "2024/1/5",
            "2024.01.05",
            "20240105",
            "2024年1月5日",
            " 2024-01-05 ",
        ] {
            assert_eq!(read(text, Edge::Begin).as_deref(), Ok("2024-01-05 00:00:00"), "{text}");
            assert_eq!(read(text, Edge::End).as_deref(), Ok("2024-01-05 23:59:59"), "{text}");
            assert_eq!(read(text, Edge::Exact), Err(DateProblem::TimeMissing), "{text}");
        }
    }

    #[test]
    fn midnight_at_the_end_of_a_day_is_its_last_second() {
        assert_eq!(
            parse("2024-01-05 24:00:00", Edge::End).map(|(m, r)| (m.to_string(), r)),
            Ok(("2024-01-05 23:59:59".to_owned(), Spelling::Variant))
        );
        assert_eq!(
            read("2024-1-5 24:00", Edge::Begin).as_deref(),
            Ok("2024-01-05 23:59:59")
        );
        assert_eq!(read("2024-01-05 24:00:01", Edge::End), Err(DateProblem::Impossible));
    }

    #[test]
    fn what_could_mean_two_moments_is_refused_with_its_reason() {
        let refused = [
            ("", DateProblem::Empty),
            ("  ", DateProblem::Empty),
            ("05/01/2024", DateProblem::Ambiguous),
            ("5-1-2024 09:03:00", DateProblem::Ambiguous),
            ("24-01-05", DateProblem::Ambiguous),
            ("2024-01-05 09:03:00 UTC", DateProblem::Zone),
            ("2024-01-05 09:03:00 CST", DateProblem::Zone),
            ("2024-01-05T09:03:00+25:00", DateProblem::Zone),
            ("2024-01-05T09:03:00+8", DateProblem::Zone),
            ("2024-01-05+08:00", DateProblem::Zone),
            ("2024-01-05Z", DateProblem::Zone),
            ("Z2024-01-05 09:03:00", DateProblem::Unreadable),
            ("2024-01-05 Z 09:03:00", DateProblem::Unreadable),
            ("9999-12-31T23:59:59Z", DateProblem::Impossible),
            ("/Date(x)/", DateProblem::Unreadable),
            ("/Date(1704067200000+8)/", DateProblem::Unreadable),
            ("/Date(999999999999999)/", DateProblem::Impossible),
            ("2024年1月5日 9时", DateProblem::Unreadable),
            ("2024年1月5日 9时3分5", DateProblem::Unreadable),
            ("2024-01-05 9\u{1}3\u{2}", DateProblem::Unreadable),
            ("2024-01-05 9:03 AM", DateProblem::TwelveHour),
            ("2024-01-05 09:03:00 pm", DateProblem::TwelveHour),
            ("2024-01-05 上午9:03", DateProblem::TwelveHour),
            ("2024/1/5 下午 9:03:00", DateProblem::TwelveHour),
            ("2024-02-30", DateProblem::Impossible),
            ("2024-13-01 00:00:00", DateProblem::Impossible),
            ("20241301", DateProblem::Impossible),
            ("2024-01-05 25:00:00", DateProblem::Impossible),
            ("2024-01-05 09:60:00", DateProblem::Impossible),
            ("0000-01-01", DateProblem::Impossible),
            ("1735689600000", DateProblem::Epoch),
            ("1735689600", DateProblem::Epoch),
            ("2024-01/05", DateProblem::Unreadable),
            ("2024-01", DateProblem::Unreadable),
            ("yesterday", DateProblem::Unreadable),
            ("2024-01-05 9", DateProblem::Unreadable),
            ("2024-01-05 09:03:00 x", DateProblem::Unreadable),
            ("2024-001-05", DateProblem::Unreadable),
            ("2024-01-05 09:03:00.", DateProblem::Unreadable),
            ("2024-01-05T", DateProblem::Unreadable),
            ("-", DateProblem::Unreadable),
        ];
        for (text, problem) in refused {
            assert_eq!(read(text, Edge::Begin), Err(problem), "{text}");
        }
        assert_eq!(read(&"2".repeat(100), Edge::Begin), Err(DateProblem::Unreadable));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), digits in "[-0-9/.: TZ+年月日时分秒()Date]{0,30}") {
            for edge in [Edge::Begin, Edge::End, Edge::Exact] {
                let _ = parse(&text, edge);
                let _ = parse(&digits, edge);
            }
        }

        #[test]
        fn what_is_read_is_read_again_unchanged(digits in "20[0-9]{2}[-/.]1?[1-9][-/.][12]?[1-9] [0-2]?[0-9]:[0-5][0-9](:[0-5][0-9])?") {
            if let Ok((moment, _)) = parse(&digits, Edge::Exact) {
                prop_assert_eq!(parse(&moment.to_string(), Edge::Exact), Ok((moment, Spelling::Canonical)));
            }
        }
    }
}
