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

/// Whether a text of any field holds a sound 18-character identity number or a mainland mobile number: alone, or as a
/// run of digits among other characters. Old 15-digit numbers and documents without a check character cannot be told
/// from numbers of a hospital's own.
pub fn looks_personal(text: &str) -> bool {
    // Most texts have fewer characters than either number, and this is on the way of every request.
    if text.len() < 11 || text.chars().count() < 11 {
        return false;
    }
    let plain = normalize_id(text);
    let mut runs = plain.as_str().split(|c: char| !c.is_ascii_digit() && c != 'X');
    runs.any(|run| is_mobile(run) || is_sound_18(run)) || is_mobile(normalize_phone(text).as_str())
}

fn is_mobile(text: &str) -> bool {
    classify_phone(text).kind == PhoneKind::MobileCn
}

fn is_sound_18(text: &str) -> bool {
    text.len() == 18 && classify_id(text, None).problem.is_none()
}

/// Whether a normalised number stands for "none": words for it, which programs write and people type, and runs of one
/// digit, `0` among them, or of dashes.
pub fn is_placeholder(normalized: &str) -> bool {
    let words = [
        "无",
        "不详",
        "未知",
        "暂无",
        "未提供",
        "NULL",
        "NONE",
        "NIL",
        "N/A",
        "NA",
    ];
    if words.contains(&normalized) {
        return true;
    }
    let mut chars = normalized.chars();
    let filler = |c: char| c.is_ascii_digit() || matches!(c, '-' | '\u{2010}'..='\u{2015}');
    chars
        .next()
        .is_some_and(|first| filler(first) && chars.all(|c| c == first))
}
