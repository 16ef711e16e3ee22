//! Dates and times as the platform wants them: `yyyy-MM-dd HH:mm:ss`, 24 hours, China Standard Time.
//!
//! The platform states neither zone nor clock form beyond `hh` (section 4), so a [`DateTime`] is a wall-clock reading
//! in China (UTC+8, no daylight saving). [`parse()`] converts a text that names its distance from UTC, and refuses one
//! that names a zone in letters, which may mean several. It accepts the ways in which HIS clients write dates and refuses what can be read in two ways, because a
//! window that means another month than the doctor's shows an empty list.

mod parse;
mod problem;
mod zone;

use std::fmt;

use crate::sign::Timestamp;

pub use parse::{Edge, Spelling, parse};
pub use problem::DateProblem;

/// Length of the canonical text, `yyyy-MM-dd HH:mm:ss`.
pub const CANONICAL_LEN: usize = 19;

/// China Standard Time is eight hours ahead of UTC, all year.
const CHINA_OFFSET_S: u64 = 8 * 3600;

/// A day of the Gregorian calendar, years 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// That day, if the calendar has it.
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let real = year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= days_in(year, month);
        if real { Some(Self { year, month, day }) } else { None }
    }

    /// The day it is in China at `at`. Moments after the year 9999 give its last day.
    pub fn in_china(at: Timestamp) -> Self {
        let days = (at.as_millis() / 1000).saturating_add(CHINA_OFFSET_S) / 86_400;
        Self::from_days(i64::try_from(days).unwrap_or(i64::MAX))
    }

    /// Year, 1 to 9999.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// Month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// Day of the month, from 1.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// Days from `self` to `later`; negative if that is earlier.
    pub fn days_until(self, later: Self) -> i64 {
        later.days() - self.days()
    }

    /// The day `days` before this one, but none before 0001-01-01.
    pub fn days_before(self, days: u32) -> Self {
        Self::from_days(self.days() - i64::from(days))
    }

    /// Midnight at the start of the day.
    pub const fn begin(self) -> DateTime {
        DateTime {
            date: self,
            hour: 0,
            minute: 0,
            second: 0,
        }
    }

    /// The last second of the day.
    pub const fn end(self) -> DateTime {
        DateTime {
            date: self,
            hour: 23,
            minute: 59,
            second: 59,
        }
    }

    /// Days since 1970-01-01, counting years from March so that the leap day comes last.
    fn days(self) -> i64 {
        let (year, month, day) = (i64::from(self.year), i64::from(self.month), i64::from(self.day));
        let march_year = if month > 2 { year } else { year - 1 };
        let (era, of_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// Inverse of [`days`](Self::days), held within the years 1 to 9999.
    fn from_days(days: i64) -> Self {
        const FIRST: i64 = -719_162;
        const LAST: i64 = 2_932_896;
        let shifted = days.clamp(FIRST, LAST) + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self {
            year: year as u16,
            month: month as u8,
            day: day as u8,
        }
    }
}

/// A reading of a wall clock in China: a real day, and a time from 00:00:00 to 23:59:59.
///
/// `Display` gives the canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateTime {
    date: Date,
    hour: u8,
    minute: u8,
    second: u8,
}

impl DateTime {
    /// That reading, if clock and calendar have it.
    pub const fn new(date: Date, hour: u8, minute: u8, second: u8) -> Option<Self> {
        if hour < 24 && minute < 60 && second < 60 {
            Some(Self {
                date,
                hour,
                minute,
                second,
            })
        } else {
            None
        }
    }

    /// The reading of a clock in China so many seconds after 1970-01-01 00:00:00 UTC; `None` outside the years 1 to 9999.
    pub fn in_china(unix_seconds: i64) -> Option<Self> {
        let local = unix_seconds.checked_add(CHINA_OFFSET_S as i64)?;
        let (days, second) = (local.div_euclid(86_400), local.rem_euclid(86_400) as u32);
        let date = Date::from_days(days);
        let clock = Self {
            date,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
        };
        (date.days() == days).then_some(clock)
    }

    /// The reading of a clock in China when one `minutes` east of UTC shows this; `None` outside the years 1 to 9999.
    pub(crate) fn in_china_from(self, minutes: i32) -> Option<Self> {
        Self::in_china(self.date.days() * 86_400 + self.second_of_day() - i64::from(minutes) * 60)
    }

    /// The day.
    pub const fn date(self) -> Date {
        self.date
    }

    /// Seconds from `self` to `later`; negative if that is earlier.
    pub fn seconds_until(self, later: Self) -> i64 {
        self.date.days_until(later.date) * 86_400 + later.second_of_day() - self.second_of_day()
    }

    /// Days from `self` to `later`, a begun day counting whole: a window from `2024-12-01 00:00:00` to
    /// `2024-12-31 23:59:59` is 31 days wide. Negative or 0 if `later` is not later.
    pub fn days_until(self, later: Self) -> i64 {
        let seconds = self.seconds_until(later);
        if seconds > 0 {
            (seconds + 86_399) / 86_400
        } else {
            seconds / 86_400
        }
    }

    /// The canonical text, without the heap.
    pub(crate) fn canonical(self) -> [u8; CANONICAL_LEN] {
        let mut text = *b"0000-00-00 00:00:00";
        let century = (self.date.year / 100) as u8;
        let pairs = [
            (0, century),
            (2, (self.date.year % 100) as u8),
            (5, self.date.month),
            (8, self.date.day),
            (11, self.hour),
            (14, self.minute),
            (17, self.second),
        ];
        for (at, value) in pairs {
            text[at] = b'0' + value / 10;
            text[at + 1] = b'0' + value % 10;
        }
        text
    }

    fn second_of_day(self) -> i64 {
        (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.canonical()).map_err(|_| fmt::Error)?)
    }
}

const fn days_in(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_calendar_has_its_leap_days_and_no_others() {
        assert!(Date::new(2024, 2, 29).is_some());
        assert!(Date::new(2000, 2, 29).is_some());
        assert_eq!(Date::new(1900, 2, 29), None);
        assert_eq!(Date::new(2023, 2, 29), None);
        assert_eq!(Date::new(2024, 4, 31), None);
        assert_eq!(Date::new(0, 1, 1), None);
    }

    #[test]
    fn it_is_tomorrow_in_china_when_it_is_evening_in_utc() {
        // 2025-01-01 00:00:00 in China, and the millisecond before.
        let midnight = 1_735_660_800_000;
        assert_eq!(
            Date::in_china(Timestamp::from_millis(midnight)).to_string(),
            "2025-01-01"
        );
        assert_eq!(
            Date::in_china(Timestamp::from_millis(midnight - 1)).to_string(),
            "2024-12-31"
        );
        assert_eq!(
            Date::in_china(Timestamp::from_millis(u64::MAX)).to_string(),
            "9999-12-31"
        );
    }

    #[test]
    fn a_window_counts_begun_days() {
        let december = Date::new(2024, 12, 1).unwrap().begin();
        assert_eq!(december.days_until(Date::new(2024, 12, 31).unwrap().end()), 31);
        assert_eq!(december.days_until(Date::new(2025, 1, 1).unwrap().begin()), 31);
        assert_eq!(december.days_until(december), 0);
        assert!(Date::new(2025, 1, 1).unwrap().begin().days_until(december) < 0);
    }

    proptest! {
        #[test]
        fn days_and_dates_are_one_to_one(days in -719_162i64..=2_932_896) {
            let date = Date::from_days(days);
            prop_assert_eq!(date.days(), days);
            prop_assert_eq!(Date::new(date.year, date.month, date.day), Some(date));
        }

        #[test]
        fn order_is_the_order_of_time(a in -719_162i64..=2_932_896, b in -719_162i64..=2_932_896) {
            prop_assert_eq!(Date::from_days(a).cmp(&Date::from_days(b)), a.cmp(&b));
        }
    }
}
