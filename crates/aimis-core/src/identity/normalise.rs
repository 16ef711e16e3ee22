//! Width, white space and case: the spellings that are one number.

use zeroize::Zeroizing;

use crate::text::{half_width, is_space};

/// A text in normal form: the caller's own if it was normal already, else a copy that is wiped when dropped.
pub enum Normal<'a> {
    /// The text was in normal form.
    Borrowed(&'a str),
    /// A rewritten copy.
    Owned(Zeroizing<String>),
}

impl Normal<'_> {
    /// The personal text itself.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }

    /// Whether normalising changed anything.
    pub const fn is_rewritten(&self) -> bool {
        matches!(self, Self::Owned(_))
    }
}

/// Normal form of an identity number: half-width, without white space (also U+3000, U+00A0 and the zero-width ones),
/// letters in upper case. Idempotent; allocates only if it changes something.
pub fn normalize_id(text: &str) -> Normal<'_> {
    if text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_lowercase()) || text.chars().all(is_normal) {
        return Normal::Borrowed(text);
    }
    // No character grows by any of the three steps, so one allocation holds the result.
    let mut normal = Zeroizing::new(String::with_capacity(text.len()));
    for c in text.chars().map(half_width).filter(|&c| !is_space(c)) {
        normal.push(c.to_ascii_uppercase());
    }
    Normal::Owned(normal)
}

fn is_normal(c: char) -> bool {
    !c.is_ascii_lowercase() && !is_space(c) && half_width(c) == c
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_normal_number_is_borrowed() {
        for text in ["11010119000101009X", "H12345678", "无", ""] {
            assert!(!normalize_id(text).is_rewritten());
        }
    }

    #[test]
    fn what_nobody_sees_is_dropped() {
        let spaced = "\u{3000}4401\u{a0}01\u{200b}1900\t0101\u{feff}0010\0\r\n";
        assert_eq!(normalize_id(spaced).as_str(), "440101190001010010");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in any::<String>(), wide in "[０-９Ｘｘ x0-9\u{3000}]{0,30}") {
            for text in [text, wide] {
                let once = normalize_id(&text);
                prop_assert!(!normalize_id(once.as_str()).is_rewritten());
                prop_assert_eq!(once.is_rewritten(), once.as_str() != text);
            }
        }
    }
}
