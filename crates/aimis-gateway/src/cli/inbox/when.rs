//! Moments as an operator types and reads them: in China's time, as the HIS's screens show it.

use aimis_core::datetime::{DateTime, Edge, parse};
use aimis_core::sign::Timestamp;

use crate::cli::output::Failure;

/// Which end of a period is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum End {
    /// From then on.
    Since,
    /// Before then; a day without a time is meant whole.
    Until,
}

impl End {
    fn option(self) -> &'static str {
        match self {
            Self::Since => "--since",
            Self::Until => "--until",
        }
    }
}

/// Reads `2025-01-31`, `2025-01-31 08:00:00`, `2025-01-31T08:00:00+08:00`, or how long ago: `90m`, `36h`, `3d`.
pub(in crate::cli) fn read(text: &str, end: End, now: Timestamp) -> Result<Timestamp, Failure> {
    ago(text, now).or_else(|| moment(text, end)).ok_or_else(|| {
        Failure::Usage(format!(
            "{}: not a moment; write 2025-01-31, \"2025-01-31 08:00:00\", 2025-01-31T08:00:00+08:00, or how long ago: 90m, 36h, 3d",
            end.option()
        ))
    })
}

fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let ago = number.checked_mul(seconds * 1_000)?;
    Some(Timestamp::from_millis(now.as_millis().saturating_sub(ago)))
}

fn moment(text: &str, end: End) -> Option<Timestamp> {
    let read = |edge| parse(text, edge).ok().map(|(moment, _)| moment);
    let (begin, last) = (read(Edge::Begin)?, read(Edge::End)?);
    let epoch = DateTime::in_china(0)?;
    let seconds = match end {
        // The last second of a day, which is meant too.
        End::Until if begin != last => epoch.seconds_until(last) + 1,
        _ => epoch.seconds_until(begin),
    };
    Some(Timestamp::from_millis(u64::try_from(seconds).ok()?.checked_mul(1_000)?))
}

/// RFC 3339 with China's offset and milliseconds.
pub(in crate::cli) fn shown(at: Timestamp) -> String {
    let (seconds, millis) = (at.as_millis() / 1000, at.as_millis() % 1000);
    let local = i64::try_from(seconds).ok().and_then(DateTime::in_china);
    local.map_or_else(
        || at.as_millis().to_string(),
        |local| format!("{}.{millis:03}+08:00", local.to_string().replace(' ', "T")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_735_689_600_123);

    fn told(text: &str, end: End) -> Option<String> {
        read(text, end, NOW).ok().map(shown)
    }

    #[test]
    fn moments_are_read_as_they_are_typed() {
        assert_eq!(shown(NOW), "2025-01-01T08:00:00.123+08:00");
        for (text, since, until) in [
            (
                "2025-01-31",
                "2025-01-31T00:00:00.000+08:00",
                "2025-02-01T00:00:00.000+08:00",
            ),
            (
                "2025-01-31 08:00:00",
                "2025-01-31T08:00:00.000+08:00",
                "2025-01-31T08:00:00.000+08:00",
            ),
            (
                "2025-01-31T00:00:00Z",
                "2025-01-31T08:00:00.000+08:00",
                "2025-01-31T08:00:00.000+08:00",
            ),
            ("90m", "2025-01-01T06:30:00.123+08:00", "2025-01-01T06:30:00.123+08:00"),
            ("3d", "2024-12-29T08:00:00.123+08:00", "2024-12-29T08:00:00.123+08:00"),
        ] {
            assert_eq!(told(text, End::Since).as_deref(), Some(since), "{text}");
            assert_eq!(told(text, End::Until).as_deref(), Some(until), "{text}");
        }
        assert_eq!(told("99999999999999999999d", End::Since), None);
        for wrong in ["", "m", "yesterday", "-3d", "2025-02-30"] {
            assert_eq!(told(wrong, End::Since), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_moment_is_not_repeated() {
        let Err(Failure::Usage(text)) = read("13800138000x", End::Until, NOW) else {
            panic!("taken")
        };
        assert!(text.starts_with("--until") && !text.contains("138"), "{text}");
    }
}
