//! Which document an identity number belongs to, and what is wrong with it.

use crate::datetime::Date;

use super::{is_placeholder, resident};

/// The document a number belongs to, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// Resident identity card, 18 characters.
    Resident18,
    /// Resident identity card, old form of 15 digits.
    Resident15,
    /// Residence permit of a Hong Kong resident, beginning 810000.
    ResidencePermitHk,
    /// Residence permit of a Macao resident, beginning 820000.
    ResidencePermitMo,
    /// Residence permit of a Taiwan resident, beginning 830000.
    ResidencePermitTw,
    /// Foreigner's permanent residence card since December 2023: 18 characters, first digit 9.
    ForeignerPr2023,
    /// Foreigner's permanent residence card before: 3 letters and 12 digits.
    ForeignerPr2017,
    /// Mainland travel permit of Hong Kong and Macao residents: `H` or `M`, then 8 or 10 digits.
    PermitHkMo,
    /// Mainland travel permit of Taiwan residents: 8 or 10 digits. Cannot be told from an arbitrary number.
    PermitTw,
    /// A passport or another document: 5 to 20 letters and digits. Recognised, not verified.
    Passport,
    /// A word or sign for "none".
    Placeholder,
    /// Nothing at all.
    Missing,
    /// None of these.
    Unknown,
}

impl IdKind {
    /// Stable name, as in the test vectors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resident18 => "resident_18",
            Self::Resident15 => "resident_15",
            Self::ResidencePermitHk => "residence_permit_hk",
            Self::ResidencePermitMo => "residence_permit_mo",
            Self::ResidencePermitTw => "residence_permit_tw",
            Self::ForeignerPr2023 => "foreigner_pr_2023",
            Self::ForeignerPr2017 => "foreigner_pr_2017",
            Self::PermitHkMo => "permit_hk_mo",
            Self::PermitTw => "permit_tw",
            Self::Passport => "passport",
            Self::Placeholder => "placeholder",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// What is wrong with an identity number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdProblem {
    /// There is none.
    Missing,
    /// It stands for "none".
    Placeholder,
    /// The check character does not match: a digit is mistyped.
    CheckDigit,
    /// The date of birth is no day of the calendar.
    Date,
    /// The date of birth lies in the future.
    FutureDate,
    /// It has the form of no document.
    Form,
}

impl IdProblem {
    /// Stable kebab-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Placeholder => "placeholder",
            Self::CheckDigit => "check-digit",
            Self::Date => "date",
            Self::FutureDate => "future-date",
            Self::Form => "form",
        }
    }
}

/// What is known of an identity number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdJudgement {
    /// The document it belongs to.
    pub kind: IdKind,
    /// What is wrong with it; `None` means valid as far as its form can tell.
    pub problem: Option<IdProblem>,
}

/// Judges an identity number in normal form. Without `today`, dates of birth in the future are not noticed.
///
/// Section 11 lets 5 to 20 letters and digits pass as "passport and others". Texts of 14 to 20 characters that are
/// digits but for at most two are excepted here: no passport is that long (ICAO 9303 has 9 characters), and they are
/// resident numbers with a digit lost, doubled, or typed as a letter.
pub fn classify_id(normalized: &str, today: Option<Date>) -> IdJudgement {
    let (kind, problem) = if normalized.is_empty() {
        (IdKind::Missing, Some(IdProblem::Missing))
    } else if is_placeholder(normalized) {
        (IdKind::Placeholder, Some(IdProblem::Placeholder))
    } else if resident::is_18(normalized) {
        let kind = kind_of_18(normalized);
        let unknown = (kind == IdKind::Unknown).then_some(IdProblem::Form);
        (kind, unknown.or_else(|| resident::judge_18(normalized, today)))
    } else if resident::is_15(normalized) {
        (IdKind::Resident15, resident::judge_15(normalized))
    } else {
        let kind = kind_of_other(normalized.as_bytes());
        (kind, (kind == IdKind::Unknown).then_some(IdProblem::Form))
    };
    IdJudgement { kind, problem }
}

fn kind_of_18(text: &str) -> IdKind {
    match (&text[..6], text.as_bytes()[0]) {
        ("810000", _) => IdKind::ResidencePermitHk,
        ("820000", _) => IdKind::ResidencePermitMo,
        ("830000", _) => IdKind::ResidencePermitTw,
        (_, b'9') => IdKind::ForeignerPr2023,
        (_, b'0') => IdKind::Unknown,
        _ => IdKind::Resident18,
    }
}

fn kind_of_other(text: &[u8]) -> IdKind {
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = text.iter().filter(|b| b.is_ascii_uppercase()).count();
    let leading_letters = text.iter().take_while(|b| b.is_ascii_uppercase()).count();
    if digits + letters != text.len() {
        return IdKind::Unknown;
    }
    match (leading_letters, letters, digits) {
        (3, 3, 12) => IdKind::ForeignerPr2017,
        (1, 1, 8 | 10) if matches!(text[0], b'H' | b'M') => IdKind::PermitHkMo,
        (0, 0, 8 | 10) => IdKind::PermitTw,
        (_, 0..=2, 12..) if text.len() >= 14 => IdKind::Unknown,
        (_, _, 1..) if (5..=20).contains(&text.len()) => IdKind::Passport,
        _ => IdKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> (&'static str, Option<&'static str>) {
        let judgement = classify_id(text, Date::new(2025, 1, 1));
        (judgement.kind.as_str(), judgement.problem.map(IdProblem::as_str))
    }

    #[test]
    fn a_birthday_in_the_future_is_noticed_if_the_day_is_known() {
        // 2099-01-01, with the right check character.
        let number = "11010120990101001";
        let number = format!("{number}{}", super::super::check_character(number).unwrap());
        assert_eq!(judge(&number), ("resident_18", Some("future-date")));
        assert_eq!(classify_id(&number, None).problem, None);
    }

    #[test]
    fn a_resident_number_with_a_digit_lost_or_typed_as_a_letter_is_no_passport() {
        assert_eq!(judge("11010119000101009"), ("unknown", Some("form")));
        assert_eq!(judge("1101011900001010014"), ("unknown", Some("form")));
        assert_eq!(judge("1101011900O1010014"), ("unknown", Some("form")));
        assert_eq!(judge("010101190001010014"), ("unknown", Some("form")));
        assert_eq!(judge("910101000101001"), ("unknown", Some("form")));
    }

    #[test]
    fn other_documents_are_recognised_by_their_form() {
        assert_eq!(judge("1234567801"), ("permit_tw", None));
        assert_eq!(judge("M12345678"), ("permit_hk_mo", None));
        assert_eq!(judge("M123456789"), ("passport", None));
        assert_eq!(judge("123456789"), ("passport", None));
        assert_eq!(judge("A123"), ("unknown", Some("form")));
        assert_eq!(judge("ABCDEF"), ("unknown", Some("form")));
        assert_eq!(judge("E0000-0001"), ("unknown", Some("form")));
        assert_eq!(judge("身份证号"), ("unknown", Some("form")));
    }

    #[test]
    fn placeholders_are_seen_through() {
        for text in [
            "-",
            "--",
            "无",
            "不详",
            "未知",
            "NULL",
            "0",
            "111111111111111",
            "000000000000000000",
        ] {
            assert_eq!(judge(text), ("placeholder", Some("placeholder")), "{text}");
        }
    }
}
