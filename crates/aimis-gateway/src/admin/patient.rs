//! Which texts name a patient.

use aimis_core::identity::{IdKind, PhoneKind, classify_id, classify_phone, normalize_id, normalize_phone};

/// What is said of a text that names none.
pub(crate) const NO_NUMBER: &str = "not one identity number or telephone";

/// Whether `text` is one identity number or telephone, in any spelling. A number that is mistyped is one: what was asked
/// for under it can be kept. The weakest form is 5 to 20 letters and digits, a digit among them, without a space.
pub(crate) fn is_number(text: &str) -> bool {
    let id = normalize_id(text);
    let telephone = normalize_phone(text);
    let of_person = match classify_id(id.as_str(), None).kind {
        IdKind::Placeholder | IdKind::Missing => return false,
        IdKind::Unknown => is_word(text, id.as_str()),
        _ => true,
    };
    let of_telephone = !matches!(
        classify_phone(telephone.as_str()).kind,
        PhoneKind::Multiple | PhoneKind::Placeholder | PhoneKind::Missing | PhoneKind::Unknown
    );
    of_person || of_telephone
}

fn is_word(text: &str, normal: &str) -> bool {
    (5..=20).contains(&normal.len())
        && normal.bytes().all(|b| b.is_ascii_alphanumeric())
        && normal.bytes().any(|b| b.is_ascii_digit())
        && !text.trim().contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_in_any_spelling() {
        for text in [
            "13800138000",
            "138 0013 8000",
            "+86 138-0013-8000",
            "１３８００１３８０００",
            "010-12345678",
            "11010119000101009X",
            "110101 19000101 009x",
            "110101190001010093",
            "11010119000101009",
            "1380013800",
            "H12345678",
            "E12345678\n",
            "A1234",
        ] {
            assert!(is_number(text), "{text}");
        }
    }

    #[test]
    fn anything_else_names_nobody() {
        for text in [
            "",
            " \n",
            "abc",
            "abcdef",
            "张三",
            "无",
            "NULL",
            "00000000",
            "1234",
            "13800138000 13900139000",
            "13800138000/13900139000",
            "11010119000101009X 13800138000",
            "110101190001010 12345",
            "123456789012345678901",
        ] {
            assert!(!is_number(text), "{text}");
        }
    }
}
