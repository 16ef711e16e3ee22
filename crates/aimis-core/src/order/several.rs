//! One body that asks several questions: the same order for each value of one of its integer fields.

use crate::text::trim;

use super::OrderBuilder;
use super::builder::is_blank;
use super::value::Cell;

/// What a body says of an integer field, before anybody judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stated<'a> {
    /// Nothing: there is no such member, or it is `null`.
    Nothing,
    /// A text that stands for nothing: empty, or a dash.
    Placeholder,
    /// A text, trimmed, or an array as it stands in the body.
    Text(&'a str),
    /// One value of another type.
    Value,
}

impl OrderBuilder {
    /// What was said of the integer field `name`; `None` if the contract has no such field.
    pub fn stated(&self, name: &str) -> Option<Stated<'_>> {
        Some(match self.cells[self.contract.index(name)?] {
            Cell::Unset | Cell::Null => Stated::Nothing,
            Cell::Text(span) => match trim(self.arena.get(span)) {
                text if is_blank(text) => Stated::Placeholder,
                text => Stated::Text(text),
            },
            _ => Stated::Value,
        })
    }

    /// The same question with `value` for the integer field `name`, whatever the body said of it. A contract without
    /// such a field leaves the question as it is.
    #[must_use]
    pub fn with_integer(&self, name: &str, value: i64) -> Self {
        let mut each = self.clone();
        if let Some(index) = each.contract.index(name) {
            each.cells[index] = Cell::Integer(value);
        }
        each
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::contract::{self, STUDY_TYPE};
    use crate::order::{Reason, Rules, Value};

    use super::*;

    fn draft(study_type: Option<Value<'_>>) -> OrderBuilder {
        let mut draft = OrderBuilder::new(&Arc::new(contract::patient_studies()), 64);
        for (name, text) in [
            ("phoneNum", "13800138000"),
            ("idNum", "11010119000101009X"),
            ("hospitalId", "H0001"),
            ("unionId", "U0001"),
            ("studyDateBegin", "2024-01-01 00:00:00"),
            ("studyDateEnd", "2024-12-31 00:00:00"),
        ] {
            assert!(draft.set(name, Value::Text(text)).is_ok());
        }
        for name in ["dataFlag", "usage"] {
            assert!(draft.set(name, Value::Integer(1)).is_ok());
        }
        if let Some(value) = study_type {
            assert!(draft.set(STUDY_TYPE, value).is_ok());
        }
        draft
    }

    #[test]
    fn what_is_stated_is_told_before_it_is_judged() {
        for (value, stated) in [
            (None, Stated::Nothing),
            (Some(Value::Null), Stated::Nothing),
            (Some(Value::Text(" ")), Stated::Placeholder),
            (Some(Value::Text(" 0,5 ")), Stated::Text("0,5")),
            (Some(Value::List("[0, 5]")), Stated::Text("[0, 5]")),
            (Some(Value::Integer(3)), Stated::Value),
            (Some(Value::Nested), Stated::Value),
        ] {
            assert_eq!(draft(value).stated(STUDY_TYPE), Some(stated));
        }
        assert_eq!(draft(None).stated("reportId"), None);
    }

    #[test]
    fn each_value_makes_the_same_order_but_for_itself() {
        let draft = draft(Some(Value::List("[0,5]")));
        let order = |value| draft.with_integer(STUDY_TYPE, value).finish(&Rules::default()).unwrap();

        assert_eq!(
            (order(0).integer(STUDY_TYPE), order(5).integer(STUDY_TYPE)),
            (Some(0), Some(5))
        );
        assert_eq!(order(0).text("idNum"), order(5).text("idNum"));
        let written = |value| String::from_utf8(order(value).revealed_body().to_vec()).unwrap();
        assert_eq!(written(5), written(0).replace("\"studyType\":0", "\"studyType\":5"));
    }

    #[test]
    fn a_list_that_nobody_takes_apart_is_of_the_wrong_type() {
        for text in ["[0,5]", "[3]", "[]"] {
            let problems = draft(Some(Value::List(text))).finish(&Rules::default()).err().unwrap();
            assert_eq!(
                (&*problems[0].field, problems[0].reason),
                (STUDY_TYPE, Reason::WrongType),
                "{text}"
            );
        }
        let problems = draft(None)
            .with_integer(STUDY_TYPE, 9)
            .finish(&Rules::default())
            .err()
            .unwrap();
        assert_eq!(problems[0].reason, Reason::OutOfRange);
    }
}
