//! Why a text is refused as a date, with a hint for its writer.

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
    /// Ends in a zone's name, which may mean several, or in an offset that is none or without a time.
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
