//! What the platform's interface leaves open: a default and a switch for each unknown.

use std::time::Duration;

use crate::config::kind::choice::{choices, one_of};
use crate::config::kind::number::{integer, millis};
use crate::config::kind::{Kind, switch};
use crate::config::section::section;

/// The largest `clock.max_correction_ms`, in milliseconds.
const MOST_CORRECTION_MS: u32 = 86_400_000;
/// The same as a time.
pub(crate) const MOST_CORRECTION: Duration = Duration::from_millis(MOST_CORRECTION_MS as u64);

section! {
    /// How personal fields are encrypted: AES-256-ECB under the token, written in hexadecimal.
    pub struct Crypto {
        /// How the last block is filled.
        padding: Padding = one_of().or("pkcs7");
        /// The letters of the hexadecimal digits that are sent.
        hex_case: HexCase = one_of().or("lower");
        /// How the token becomes a key.
        key_form: KeyForm = one_of().or("raw");
    }
}

section! {
    /// How requests are signed: HMAC-SHA256 under the token.
    pub struct Sign {
        /// How the signature is written.
        encoding: SignatureEncoding = one_of().or("hex_lower");
        /// The unit of the timestamp.
        timestamp_unit: TimestampUnit = one_of().or("ms");
    }
}

section! {
    /// What is done about identity numbers and telephones.
    pub struct Identity {
        /// What follows when an identity number or telephone looks wrong.
        mode: IdentityMode = one_of().or("warn");
        /// What follows when a request lacks an identity number or telephone.
        missing: MissingIdentity = one_of().or("reject");
        /// Rewrite identity numbers of 15 digits as 18.
        upgrade_15: bool = switch().or(false);
    }
}

section! {
    /// What is done about time windows.
    pub struct Dates {
        /// The widest window a request may ask for; 0 means any.
        max_range_days: u32 = integer(0, 36_500).unit("days").or(0);
        /// The window, counted back from now, of a request that names none; 0 means it is sent without.
        default_range_days: u32 = integer(0, 36_500).unit("days").or(0);
    }
}

section! {
    /// The time that signatures carry.
    pub struct Clock {
        /// Added to the machine's clock, where that is known to be wrong and cannot be set.
        offset_ms: i64 = integer(-86_400_000, 86_400_000).unit("milliseconds").or(0);
        /// Correct the time of signatures by the platform's `Date`. The log, and everything else, keeps our clock.
        auto_correct: bool = switch().or(false);
        /// The largest correction: by `auto_correct`, and when a refused signature is repeated once.
        max_correction as "max_correction_ms": Duration = millis(0, MOST_CORRECTION_MS).or(300_000);
        /// The difference from the platform's clock from which the log warns.
        warn as "warn_ms": Duration = millis(1_000, 3_600_000).or(5_000);
        /// The difference from which the log has an error.
        alarm as "alarm_ms": Duration = millis(1_000, 86_400_000).or(60_000);
    }
}

choices! {
    /// How the last block of a plaintext is filled.
    pub enum Padding {
        /// As PKCS#7 has it.
        Pkcs7 = "pkcs7",
        /// With zero bytes.
        Zero = "zero",
    }
}

choices! {
    /// The letters of hexadecimal digits.
    pub enum HexCase {
        /// `a` to `f`.
        Lower = "lower",
        /// `A` to `F`.
        Upper = "upper",
    }
}

choices! {
    /// How the token becomes a key.
    pub enum KeyForm {
        /// The 32 characters are the key's 32 bytes.
        Raw = "raw",
        /// The token is 64 hexadecimal digits, read as 32 bytes.
        Hex = "hex",
    }
}

choices! {
    /// How a signature is written.
    pub enum SignatureEncoding {
        /// Hexadecimal, `a` to `f`.
        HexLower = "hex_lower",
        /// Hexadecimal, `A` to `F`.
        HexUpper = "hex_upper",
        /// Base64 with padding.
        Base64 = "base64",
    }
}

choices! {
    /// The unit of the timestamp in a signature.
    pub enum TimestampUnit {
        /// Milliseconds, 13 digits.
        Ms = "ms",
        /// Seconds, 10 digits.
        S = "s",
    }
}

choices! {
    /// What follows when an identity number or telephone looks wrong.
    pub enum IdentityMode {
        /// Nothing.
        Off = "off",
        /// The request goes on, and `X-Aimis-Warnings` names the field and the reason.
        Warn = "warn",
        /// The request is refused.
        Strict = "strict",
    }
}

choices! {
    /// What follows when a request lacks an identity number or telephone.
    pub enum MissingIdentity {
        /// The request is refused, naming the field.
        Reject = "reject",
        /// The empty text is encrypted and sent.
        EncryptEmpty = "encrypt_empty",
        /// The field is left out.
        Omit = "omit",
    }
}
