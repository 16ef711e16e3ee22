//! How strict an order is judged: switches 8 to 11 of section 9, per tenant and client.

use crate::datetime::Date;

/// What happens to identity and telephone numbers: `identity.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IdentityMode {
    /// Sent as typed. Only what is absent in any field (`null`, also as a word, empty, `-`) counts as missing.
    Off,
    /// Normalised; what fails a check is sent, and the caller told. The default.
    #[default]
    Warn,
    /// Normalised; what fails a check, or is no mainland mobile number, is refused.
    Strict,
}

/// What happens if a required identity or telephone number is missing: `identity.missing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissingIdentity {
    /// The order is refused, naming the field. The default.
    #[default]
    Reject,
    /// The ciphertext of the empty text is sent.
    EncryptEmpty,
    /// The field is left out.
    Omit,
}

/// What happens if something had to be repaired: the client's `strict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RepairMode {
    /// It is repaired and told. The default.
    #[default]
    Tell,
    /// Each repair is a problem, and the order refused.
    Refuse,
}

/// How an order is judged. [`Default`] is section 9's column of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// `identity.mode`.
    pub identity_mode: IdentityMode,
    /// `identity.missing`.
    pub missing: MissingIdentity,
    /// `identity.upgrade_15`: sound 15-digit numbers are sent with 18. Not in [`IdentityMode::Off`].
    pub upgrade_15: bool,
    /// `dates.max_range_days`: widest window, a begun day counting whole; 0 is off.
    pub max_range_days: u32,
    /// `dates.default_range_days`: width of the window given to an order without one, up to the end of today; 0 is off.
    /// Needs [`today`](Self::today).
    pub default_range_days: u32,
    /// The day it is in China, by the gateway's clock. Without it no date of birth is in the future.
    pub today: Option<Date>,
    /// The client's `strict`.
    pub repair: RepairMode,
}
