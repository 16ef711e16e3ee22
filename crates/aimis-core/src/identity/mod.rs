//! Identity and telephone numbers: one spelling for one person, and a word on what is typed wrongly (section 11).
//!
//! Three steps, each usable alone: *normalise* ([`normalize_id`], [`normalize_phone`]) makes different spellings of a
//! number equal, *judge* ([`classify_id`], [`classify_phone`]) recognises the form and what is wrong with it, and
//! *mask* ([`mask_id`], [`mask_phone`], [`mask_name`], [`mask_link`]) makes a text fit for a log. A wrong number is
//! reported and never corrected: a corrected digit would show another patient's images.

mod document;
mod mask;
mod normalise;
mod phone;
mod resident;

pub use document::{IdJudgement, IdKind, IdProblem, classify_id};
pub use mask::{MaskWidth, mask_id, mask_link, mask_name, mask_phone};
pub use normalise::{Normal, normalize_id};
pub use phone::{PhoneJudgement, PhoneKind, PhoneProblem, classify_phone, normalize_phone};
pub use resident::{check_character, upgrade_15};

/// Whether a normalised number stands for "none": `-`, `无`, `不详`, `未知`, `NULL`, and runs of one digit, `0` among
/// them. Runs of dashes count too: they are the same habit.
pub fn is_placeholder(normalized: &str) -> bool {
    if matches!(normalized, "无" | "不详" | "未知" | "NULL") {
        return true;
    }
    let mut chars = normalized.chars();
    let filler = |c: char| c.is_ascii_digit() || c == '-';
    chars
        .next()
        .is_some_and(|first| filler(first) && chars.all(|c| c == first))
}
