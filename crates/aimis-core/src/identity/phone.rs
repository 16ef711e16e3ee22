//! Telephone numbers: one spelling for a mainland mobile, and what else may stand in the field.

use zeroize::Zeroizing;

use super::normalise::Normal;
use super::{is_placeholder, normalize_id};

/// Digits of a mainland mobile number.
const MOBILE_LEN: usize = 11;
/// Longest text that can be one mobile number, with prefix and separators; longer ones are not looked into.
const MAX_SPELLING: usize = 32;

/// Whose telephone a number belongs to, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhoneKind {
    /// Mainland mobile: `1`, a digit from 3 to 9, nine digits.
    MobileCn,
    /// Mainland landline with its area code. The strict mode does not take it.
    LandlineCn,
    /// Hong Kong, `+852` and 8 digits. The strict mode does not take it.
    PhoneHk,
    /// Macao, `+853` and 8 digits. The strict mode does not take it.
    PhoneMo,
    /// Taiwan, `+886` and 8 to 10 digits. The strict mode does not take it.
    PhoneTw,
    /// Two or more numbers in one field.
    Multiple,
    /// A word or sign for "none".
    Placeholder,
    /// Nothing at all.
    Missing,
    /// None of these.
    Unknown,
}

impl PhoneKind {
    /// Stable name, as in the test vectors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MobileCn => "mobile_cn",
            Self::LandlineCn => "landline_cn",
            Self::PhoneHk => "phone_hk",
            Self::PhoneMo => "phone_mo",
            Self::PhoneTw => "phone_tw",
            Self::Multiple => "multiple",
            Self::Placeholder => "placeholder",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// What is wrong with a telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhoneProblem {
    /// There is none.
    Missing,
    /// It stands for "none".
    Placeholder,
    /// There are several; the platform would look for a patient who has them all.
    Multiple,
    /// It has the form of no telephone number.
    Form,
}

impl PhoneProblem {
    /// Stable kebab-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Placeholder => "placeholder",
            Self::Multiple => "multiple",
            Self::Form => "form",
        }
    }
}

/// What is known of a telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneJudgement {
    /// Whose it is.
    pub kind: PhoneKind,
    /// What is wrong with it; `None` means valid as far as its form can tell.
    pub problem: Option<PhoneProblem>,
}

/// Normal form of a telephone number: as [`normalize_id`], and a mainland mobile number loses `+86`, `0086`, `86`, a
/// leading 0, dashes and brackets. Others keep theirs, since nobody knows in which form the platform has them (section
/// 9, question 9). Idempotent; allocates only if it changes something.
pub fn normalize_phone(text: &str) -> Normal<'_> {
    if is_mobile(text.as_bytes()) {
        return Normal::Borrowed(text);
    }
    let plain = normalize_id(text);
    match mobile(plain.as_str()) {
        Some(digits) if digits.as_slice() != plain.as_str().as_bytes() => {
            let digits = std::str::from_utf8(digits.as_slice()).expect("a mobile number is ASCII digits");
            Normal::Owned(Zeroizing::new(digits.to_owned()))
        }
        _ => plain,
    }
}

/// Judges a telephone number in normal form.
pub fn classify_phone(normalized: &str) -> PhoneJudgement {
    let kind = kind(normalized);
    let problem = match kind {
        PhoneKind::Missing => Some(PhoneProblem::Missing),
        PhoneKind::Placeholder => Some(PhoneProblem::Placeholder),
        PhoneKind::Multiple => Some(PhoneProblem::Multiple),
        PhoneKind::Unknown => Some(PhoneProblem::Form),
        _ => None,
    };
    PhoneJudgement { kind, problem }
}

fn kind(text: &str) -> PhoneKind {
    if text.is_empty() {
        PhoneKind::Missing
    } else if is_placeholder(text) {
        PhoneKind::Placeholder
    } else if is_mobile(text.as_bytes()) {
        PhoneKind::MobileCn
    } else if are_several(text) {
        PhoneKind::Multiple
    } else {
        Digits::of(text).map_or(PhoneKind::Unknown, |digits| kind_of_other(digits.as_slice()))
    }
}

/// `digits` may begin with `+`.
fn kind_of_other(digits: &[u8]) -> PhoneKind {
    let abroad = |code: &[u8]| {
        digits
            .strip_prefix(b"+")
            .or(digits.strip_prefix(b"00"))?
            .strip_prefix(code)
            .map(<[u8]>::len)
    };
    if abroad(b"852") == Some(8) {
        PhoneKind::PhoneHk
    } else if abroad(b"853") == Some(8) {
        PhoneKind::PhoneMo
    } else if matches!(abroad(b"886"), Some(8..=10)) {
        PhoneKind::PhoneTw
    } else if is_landline(digits) {
        PhoneKind::LandlineCn
    } else {
        PhoneKind::Unknown
    }
}

/// An area code (`10`, `2x`, or three digits from 3 up) and the number, behind a 0 or the country code.
fn is_landline(digits: &[u8]) -> bool {
    let national = digits.strip_prefix(b"+86").or(digits.strip_prefix(b"0086"));
    let behind_zero = digits.strip_prefix(b"0").filter(|_| national.is_none());
    match national
        .map(|national| national.strip_prefix(b"0").unwrap_or(national))
        .or(behind_zero)
    {
        Some(number @ ([b'1', b'0', ..] | [b'2', ..])) => number.len() == 10,
        Some(number @ [b'3'..=b'9', ..]) => matches!(number.len(), 10 | 11),
        _ => false,
    }
}

/// Several numbers: parts of at least seven digits with a separator between them, or two mobiles run together.
fn are_several(text: &str) -> bool {
    let separators = ['/', '\\', ',', ';', '|', '、', '，', '；', '或', '和'];
    let long = |part: &&str| part.bytes().filter(u8::is_ascii_digit).count() >= 7;
    let run_together = text.len() == 2 * MOBILE_LEN
        && is_mobile(&text.as_bytes()[..MOBILE_LEN])
        && is_mobile(&text.as_bytes()[MOBILE_LEN..]);
    run_together || text.split(separators).filter(long).count() >= 2
}

/// The mainland mobile number that a text without white space spells.
fn mobile(text: &str) -> Option<Digits> {
    let all = Digits::of(text)?;
    let national = without_country_code(all.as_slice());
    let number = national.strip_prefix(b"0").unwrap_or(national);
    is_mobile(number).then(|| Digits::copied(number))
}

fn without_country_code(digits: &[u8]) -> &[u8] {
    let prefixes: [&[u8]; 3] = [b"+86", b"0086", b"86"];
    prefixes
        .iter()
        .find_map(|prefix| digits.strip_prefix(*prefix))
        .unwrap_or(digits)
}

fn is_mobile(text: &[u8]) -> bool {
    text.len() == MOBILE_LEN && matches!(text, [b'1', b'3'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit))
}

/// Digits, and a plus sign in front, of one number without its dashes and brackets; on the stack, wiped when dropped.
struct Digits {
    bytes: Zeroizing<[u8; MAX_SPELLING]>,
    len: usize,
}

impl Digits {
    /// `None` if anything else is in the text, or too much.
    fn of(text: &str) -> Option<Self> {
        let mut digits = Self {
            bytes: Zeroizing::new([0; MAX_SPELLING]),
            len: 0,
        };
        for c in text.chars() {
            match c {
                '-' | '(' | ')' | '\u{2010}'..='\u{2015}' | '\u{2212}' => continue,
                '+' if digits.len == 0 => {}
                '0'..='9' => {}
                _ => return None,
            }
            *digits.bytes.get_mut(digits.len)? = c as u8;
            digits.len += 1;
        }
        Some(digits)
    }

    fn copied(number: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; MAX_SPELLING]);
        bytes[..number.len()].copy_from_slice(number);
        Self {
            bytes,
            len: number.len(),
        }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind_of(text: &str) -> &'static str {
        classify_phone(normalize_phone(text).as_str()).kind.as_str()
    }

    #[test]
    fn a_normal_mobile_is_borrowed() {
        assert!(!normalize_phone("13800138000").is_rewritten());
    }

    #[test]
    fn numbers_of_other_places_keep_their_form() {
        for text in ["010-00000000", "+85200000000", "(0755)00000000", "+886-900000001"] {
            assert!(!normalize_phone(text).is_rewritten(), "{text}");
        }
        assert_eq!(kind_of("0755-00000000"), "landline_cn");
        assert_eq!(kind_of("+86-10-00000001"), "landline_cn");
        assert_eq!(kind_of("01380013800"), "unknown");
        assert_eq!(kind_of("(0371)0000001"), "landline_cn");
        assert_eq!(kind_of("+886-900000001"), "phone_tw");
        assert_eq!(kind_of("0085300000000"), "phone_mo");
    }

    #[test]
    fn several_numbers_are_told_apart_from_one() {
        for text in [
            "13800138000,13900139000",
            "13800138000、13900139000",
            "13800138000 13900139000",
            "13800138000；010-00000001",
        ] {
            assert_eq!(kind_of(text), "multiple", "{text}");
        }
        assert_eq!(kind_of("(+86)138-0013-8000"), "mobile_cn");
        assert_eq!(kind_of("13800138000.0"), "unknown");
        assert_eq!(kind_of("1+3800138000"), "unknown");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in any::<String>(), spelt in "[+]?(86|0086|0)?[-() １1][3-9][-0-9０ ]{7,12}") {
            for text in [text, spelt] {
                let once = normalize_phone(&text);
                prop_assert!(!normalize_phone(once.as_str()).is_rewritten());
                prop_assert_eq!(once.is_rewritten(), once.as_str() != text);
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = classify_phone(&text);
            let _ = super::super::classify_id(&text, None);
            let _ = super::super::classify_id(normalize_id(&text).as_str(), None);
        }
    }
}
