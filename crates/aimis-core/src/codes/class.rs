//! The classes that business codes fall into.

use std::fmt;
use std::str::FromStr;

/// What kind of outcome a code is: the column "class" of section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The query was answered.
    Success,
    /// Nothing was found. An ordinary answer, cached for seconds.
    NoData,
    /// The caller's data was not accepted.
    Caller,
    /// `hospitalId` or `unionId` is wrong: ours to mend.
    Configuration,
    /// Token, signature, clock or account.
    Auth,
    /// Not allowed to see this.
    Permission,
    /// Too many.
    Limit,
    /// The platform stumbled; once more may help.
    Transient,
    /// Documented, but for other APIs than ours.
    Unexpected,
    /// Documented nowhere, or without a meaning.
    Unknown,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::NoData,
        Self::Caller,
        Self::Configuration,
        Self::Auth,
        Self::Permission,
        Self::Limit,
        Self::Transient,
        Self::Unexpected,
        Self::Unknown,
    ];

    /// Stable name, as in `config/codes.toml` and the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::NoData => "no_data",
            Self::Caller => "caller",
            Self::Configuration => "configuration",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::Limit => "limit",
            Self::Transient => "transient",
            Self::Unexpected => "unexpected",
            Self::Unknown => "unknown",
        }
    }

    /// The label `code_class` of operations.md, which answers "whose turn is it?":
    ///
    /// | label | classes | because |
    /// |---|---|---|
    /// | `ok` | success | |
    /// | `data` | no data, caller, permission | the platform works and speaks about this patient or caller; nobody is paged for one person's missing study or missing right |
    /// | `auth` | auth, configuration | the platform rejects *us*, the hospital as a whole: pages at once (alert `PlatformRejectsUs`: token, clock, contract) |
    /// | `limit` | limit | quotas |
    /// | `platform` | transient, unexpected, unknown | counts against the platform in the SLO |
    ///
    /// `transport` and `gateway` of that set are outcomes without a code.
    pub const fn metric_class(self) -> &'static str {
        match self {
            Self::Success => "ok",
            Self::NoData | Self::Caller | Self::Permission => "data",
            Self::Configuration | Self::Auth => "auth",
            Self::Limit => "limit",
            Self::Transient | Self::Unexpected | Self::Unknown => "platform",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`Class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such class; there are success, no_data, caller, configuration, auth, permission, limit, transient, unexpected and unknown"
)]
pub struct UnknownClass;

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == name)
            .ok_or(UnknownClass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_class() {
        for class in Class::ALL {
            assert_eq!(class.as_str().parse(), Ok(class));
        }
        assert_eq!("ok".parse::<Class>(), Err(UnknownClass));
    }
}
