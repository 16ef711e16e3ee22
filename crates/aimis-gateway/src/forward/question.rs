//! One question, or one for each type of study: a merged study list, where its client wants that.
//!
//! The platform answers for exactly one `studyType` (platform-api.md, section 4), so a list of them, or none, is
//! as many orders, which differ in that field alone.

use aimis_core::contract::{FieldKind, STUDY_TYPE};
use aimis_core::order::{Order, OrderBuilder, RepairKind, Rules, Stated};
use serde_json::value::RawValue;

use crate::client::Client;
use crate::rejection::Rejection;

/// The types of study that the interface documents.
const STUDY_TYPES: std::ops::RangeInclusive<i64> = 0..=5;

/// What a request asks.
pub enum Question {
    /// One order, whose answer is relayed as it is.
    One(Order),
    /// The same order for each of these types of study, ascending; never empty. The answers are merged.
    ByType(Vec<Order>),
}

impl Question {
    /// Judges a draft under the rules, as one question or as several.
    ///
    /// # Errors
    /// [`Rejection::FieldInvalid`] with every problem found.
    pub fn of(mut draft: OrderBuilder, client: &Client, rules: &Rules) -> Result<Self, Rejection> {
        let question = match types(&mut draft, client) {
            None => draft.finish(rules).map(Self::One),
            Some(types) => types
                .into_iter()
                .map(|study_type| draft.with_integer(STUDY_TYPE, study_type).finish(rules))
                .collect::<Result<_, _>>()
                .map(Self::ByType),
        };
        question.map_err(Rejection::FieldInvalid)
    }

    /// Its orders: at least one, all of the same patient and with the same repairs and warnings.
    pub fn orders(&self) -> &[Order] {
        match self {
            Self::One(order) => std::slice::from_ref(order),
            Self::ByType(orders) => orders,
        }
    }
}

/// The types that a draft is to be asked for, one by one; `None` if it is one question, be it a wrong one.
fn types(draft: &mut OrderBuilder, client: &Client) -> Option<Vec<i64>> {
    if !client.merge_study_types {
        return None;
    }
    let FieldKind::Integer { min, max } = draft.contract().field(STUDY_TYPE)?.kind else {
        return None;
    };
    let (types, repair) = match draft.stated(STUDY_TYPE)? {
        Stated::Nothing => (permitted(client), None),
        Stated::Placeholder => (permitted(client), Some(RepairKind::PlaceholderAbsent)),
        Stated::Text(text) => list(text)?,
        Stated::Value => return None,
    };
    if let Some(repair) = repair {
        draft.note(Some(STUDY_TYPE), repair);
    }
    // A type that there is not is asked for alone, and refused together with whatever else is wrong.
    match types.iter().find(|study_type| !(min..=max).contains(study_type)) {
        Some(strange) => Some(vec![*strange]),
        None => Some(types),
    }
}

/// Every type that the client may ask for.
fn permitted(client: &Client) -> Vec<i64> {
    let may = |study_type: &i64| {
        let rule = client.permissions.study_type.as_ref();
        rule.is_none_or(|allowed| allowed.contains(study_type))
    };
    STUDY_TYPES.filter(may).collect()
}

/// Reads `[0,5]`, `["0","5"]` or, as a form has it, `0,5`: ascending, each once. `None` for anything else, an empty
/// list among it.
fn list(text: &str) -> Option<(Vec<i64>, Option<RepairKind>)> {
    let mut repair = None;
    let mut types = if text.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let number = |item: &&RawValue| match item.get().strip_prefix('"') {
            Some(quoted) => {
                repair = Some(RepairKind::IntegerAsString);
                whole(quoted.strip_suffix('"')?)
            }
            None => whole(item.get()),
        };
        items.iter().map(number).collect::<Option<Vec<_>>>()?
    } else if text.contains([',', '，']) {
        repair = Some(RepairKind::IntegerAsString);
        text.split([',', '，']).map(whole).collect::<Option<Vec<_>>>()?
    } else {
        return None;
    };
    types.sort_unstable();
    types.dedup();
    (!types.is_empty()).then_some((types, repair))
}

/// A whole number; one that is too large for any field is the largest.
fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_ascending_and_without_duplicates() {
        for (text, types, told) in [
            ("[0,5]", vec![0, 5], None),
            ("[ 5 , 0,5 ]", vec![0, 5], None),
            ("[3]", vec![3], None),
            (r#"["0","5"]"#, vec![0, 5], Some("integer-as-string")),
            (r#"[0," 5 "]"#, vec![0, 5], Some("integer-as-string")),
            ("0,5", vec![0, 5], Some("integer-as-string")),
            ("5 ，0", vec![0, 5], Some("integer-as-string")),
            ("[0,9]", vec![0, 9], None),
            ("[-1]", vec![-1], None),
            ("[99999999999999999999]", vec![i64::MAX], None),
        ] {
            let (read, repair) = list(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((read, repair.map(RepairKind::as_str)), (types, told), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_whole_numbers_is_none() {
        for text in [
            "[]",
            "[ ]",
            "3",
            "",
            "0,",
            ",",
            "[0,]",
            "[1.5]",
            "[1e0]",
            "[true]",
            "[null]",
            "[[0]]",
            "[{}]",
            r#"[""]"#,
            "a,b",
            r#"["0,5"]"#,
            "[0",
            "0;5",
            "[+1]",
            "[0]x",
        ] {
            assert_eq!(list(text), None, "{text}");
        }
    }
}
