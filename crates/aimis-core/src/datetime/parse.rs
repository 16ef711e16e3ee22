//! Reads the ways in which HIS clients write a date, and refuses the ambiguous ones with a hint.

use crate::text::{half_width, is_space};

use super::{Date, DateTime};

/// Longest text looked at, in characters; the longest variant accepted has 29.
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

/// Why a text is no date and time. `Display` is a hint for the caller and never contains the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DateProblem {
    /// Nothing but white space.
    #[error("write the date as yyyy-MM-dd HH:mm:ss; it is empty")]
    Empty,
    /// None of the known forms.
    #[error("write the date as yyyy-MM-dd HH:mm:ss")]
    Unreadable,
    /// Day or month first, or a year of two digits: `05/01/2024` is May or January.
    #[error("write the year first and with four digits, yyyy-MM-dd: day and month cannot be told apart")]
    Ambiguous,
    /// Ends in `Z`, an offset or a zone name.
    #[error("leave the zone out and write the time as a clock in China shows it (UTC+8)")]
    Zone,
    /// `AM`, `PM`, `上午`, `下午`.
    #[error("write the time with 24 hours, without AM or PM")]
    TwelveHour,
    /// 30 February, or 25:00.
    #[error("there is no such day or time in the calendar")]
    Impossible,
    /// A count of seconds or milliseconds since 1970.
    #[error("write the date as yyyy-MM-dd HH:mm:ss, not as a number of seconds or milliseconds")]
    Epoch,
    /// A bare date where a moment is wanted.
    #[error("add the time of day, yyyy-MM-dd HH:mm:ss")]
    TimeMissing,
}

impl DateProblem {
    /// Stable name, used as a reason in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "date-empty",
            Self::Unreadable => "date-unreadable",
            Self::Ambiguous => "date-ambiguous",
            Self::Zone => "date-zone",
            Self::TwelveHour => "date-12-hour",
            Self::Impossible => "date-impossible",
            Self::Epoch => "date-epoch",
            Self::TimeMissing => "date-time-missing",
        }
    }

    /// The hint in Chinese.
    pub const fn hint_zh(self) -> &'static str {
        match self {
            Self::Empty => "日期为空，请按 yyyy-MM-dd HH:mm:ss 填写",
            Self::Unreadable => "请按 yyyy-MM-dd HH:mm:ss 填写日期",
            Self::Ambiguous => "年份请写四位并放在最前（yyyy-MM-dd），否则无法区分日和月",
            Self::Zone => "请去掉时区，按北京时间（UTC+8）填写",
            Self::TwelveHour => "请使用 24 小时制，不要写上午、下午、AM、PM",
            Self::Impossible => "日历中没有这一天或这一时刻",
            Self::Epoch => "请按 yyyy-MM-dd HH:mm:ss 填写日期，不要用秒数或毫秒数",
            Self::TimeMissing => "请补全时间，格式 yyyy-MM-dd HH:mm:ss",
        }
    }
}

/// Reads a date and time; the flag tells whether the canonical text differs from `text`.
///
/// Accepted besides `2024-01-05 09:03:00`: one-digit month, day and hour, no seconds, `/` or `.` or `年月日` between the
/// parts, `T` before the time, a fraction (dropped), `20240105`, `20240105090300`, `24:00:00` as the last second of the
/// day, full-width characters, white space around, and bare dates as `edge` says.
///
/// # Errors
/// [`DateProblem`] for everything else, in particular for what could mean two moments.
pub fn parse(text: &str, edge: Edge) -> Result<(DateTime, bool), DateProblem> {
    if let Some(moment) = canonical(text.as_bytes()) {
        return Ok((moment?, false));
    }
    let mut buffer = [0; MAX_CHARS];
    let plain = plain(text, &mut buffer)?;
    let (date, time) = date(plain)?;
    let moment = match (time, edge) {
        (b"", Edge::Begin) => date.begin(),
        (b"", Edge::End) => date.end(),
        (b"", Edge::Exact) => return Err(DateProblem::TimeMissing),
        (time, _) => clock(date, time)?,
    };
    Ok((moment, true))
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
    let text = text.trim_matches(is_space);
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
            c if is_space(c) => ' ',
            c => c,
        };
        let slot = buffer.get_mut(len).ok_or(DateProblem::Unreadable)?;
        *slot = u8::try_from(c)
            .ok()
            .filter(u8::is_ascii)
            .ok_or(DateProblem::Unreadable)?;
        len += 1;
    }
    let plain = buffer[..len].trim_ascii();
    let letters = || plain.iter().map(u8::to_ascii_uppercase).filter(u8::is_ascii_alphabetic);
    if letters().eq(*b"AM") || letters().eq(*b"PM") || letters().eq(*b"A") || letters().eq(*b"P") {
        return Err(DateProblem::TwelveHour);
    }
    if letters().any(|b| b != b'T') {
        let named = letters().eq(*b"Z") || letters().eq(*b"TZ") || letters().eq(*b"UTC") || letters().eq(*b"GMT");
        return Err(if named || letters().eq(*b"CST") {
            DateProblem::Zone
        } else {
            DateProblem::Unreadable
        });
    }
    Ok(plain)
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

/// `H:MM`, `H:MM:SS`, `H:MM:SS.fff`, `HHMMSS`, `HHMM`.
fn clock(date: Date, text: &[u8]) -> Result<DateTime, DateProblem> {
    let (hour, rest) = number(text);
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
        let (moment, rewritten) = parse("2024-01-05 09:03:00", Edge::Begin).unwrap();
        assert_eq!((moment.to_string().as_str(), rewritten), ("2024-01-05 09:03:00", false));
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
            "20240105T090300",
            "2024-01-05 0903",
        ];
        for text in variants {
            let (moment, rewritten) = parse(text, Edge::End).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
            assert_eq!(
                (moment.to_string().as_str(), rewritten),
                ("2024-01-05 09:03:00", true),
                "{text}"
            );
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
            Ok(("2024-01-05 23:59:59".to_owned(), true))
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
            ("2024-01-05T09:03:00Z", DateProblem::Zone),
            ("2024-01-05T09:03:00+08:00", DateProblem::Zone),
            ("2024-01-05 09:03:00 +0800", DateProblem::Zone),
            ("2024-01-05T09:03:00-05:00", DateProblem::Zone),
            ("2024-01-05 09:03:00 UTC", DateProblem::Zone),
            ("2024-01-05T09:03:00.000Z", DateProblem::Zone),
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
        fn no_text_panics(text in any::<String>(), digits in "[-0-9/.: TZ+年月日]{0,30}") {
            for edge in [Edge::Begin, Edge::End, Edge::Exact] {
                let _ = parse(&text, edge);
                let _ = parse(&digits, edge);
            }
        }

        #[test]
        fn what_is_read_is_read_again_unchanged(digits in "20[0-9]{2}[-/.]1?[1-9][-/.][12]?[1-9] [0-2]?[0-9]:[0-5][0-9](:[0-5][0-9])?") {
            if let Ok((moment, _)) = parse(&digits, Edge::Exact) {
                prop_assert_eq!(parse(&moment.to_string(), Edge::Exact), Ok((moment, false)));
            }
        }
    }
}
