//! A callback's body becomes members: JSON, a form of plain fields, or JSON in a form's field.
//!
//! The form shows itself by its look, since labels are often wrong: what begins with a brace is JSON, anything else
//! is a form. One decoder makes one result: a name that is there twice, at whatever depth and in whichever of the
//! two, is a fault, so that nobody further down can read the other one.

mod form;
mod json;
mod text;

use http::HeaderValue;
use zeroize::Zeroizing;

use crate::telemetry::labels::CallbackRepair;

/// The most members a body may have, and the most fields of a form.
const MAX_MEMBERS: usize = 128;
/// The deepest that values may be nested.
const MAX_DEPTH: usize = 32;

/// The members of a body, in its order, and what had to be done to understand it.
#[derive(Default)]
pub struct Members {
    list: Vec<Member>,
    /// What was done, each kind once.
    pub repairs: Vec<CallbackRepair>,
}

/// One member. Its value is wiped when dropped.
pub struct Member {
    /// As it came.
    pub name: String,
    /// What stands behind it.
    pub value: Given,
}

/// A value as it came.
pub enum Given {
    /// A text.
    Text(Zeroizing<String>),
    /// Anything else, in JSON: a number, `true`, `null`, a list, an object. No name in it is there twice.
    Json(Zeroizing<String>),
}

/// The body cannot be understood, or can be understood in two ways. It says no more: nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUnderstood;

/// Reads a body.
///
/// # Errors
/// [`NotUnderstood`].
pub fn read(body: &[u8], content_type: Option<&HeaderValue>) -> Result<Members, NotUnderstood> {
    let mut members = Members::default();
    let body = text::without_bom(body).trim_ascii();
    if body.starts_with(b"{") {
        let text = text::read(&[body], content_type)?;
        members.note_charset(&text);
        json::read(text.only(), &mut members)?;
    } else {
        members.repair(CallbackRepair::Form);
        form::read(body, content_type, &mut members)?;
    }
    Ok(members)
}

impl Members {
    /// The members, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter()
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&Given> {
        self.list
            .iter()
            .find(|member| member.name == name)
            .map(|member| &member.value)
    }

    /// Notes a repair.
    pub fn repair(&mut self, repair: CallbackRepair) {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
    }

    fn note_charset(&mut self, text: &text::Texts<'_>) {
        if text.converted {
            self.repair(CallbackRepair::Charset);
        }
    }

    fn add(&mut self, name: &str, value: Given) -> Result<(), NotUnderstood> {
        if self.list.len() >= MAX_MEMBERS || self.get(name).is_some() {
            return Err(NotUnderstood);
        }
        self.list.push(Member {
            name: name.to_owned(),
            value,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(body: &[u8], content_type: Option<&'static str>) -> Result<serde_json::Value, NotUnderstood> {
        let content_type = content_type.map(HeaderValue::from_static);
        let members = read(body, content_type.as_ref())?;
        let value = |given: &Given| match given {
            Given::Text(text) => serde_json::Value::from(text.as_str()),
            Given::Json(json) => serde_json::from_str(json).unwrap(),
        };
        Ok(members.iter().map(|m| (m.name.clone(), value(&m.value))).collect())
    }

    #[test]
    fn the_three_forms_say_the_same() {
        let wanted = json!({"status": 3, "bodyPart": "胸部 a+b"});
        let json = "{\"status\":3,\"bodyPart\":\"胸部 a+b\"}";
        assert_eq!(of(json.as_bytes(), None), Ok(wanted.clone()));
        assert_eq!(of(format!("\u{feff} {json}\r\n").as_bytes(), None), Ok(wanted.clone()));
        let encoded = "data=%7B%22status%22%3A3%2C%22bodyPart%22%3A%22%E8%83%B8%E9%83%A8+a%2Bb%22%7D";
        assert_eq!(of(encoded.as_bytes(), None), Ok(wanted));
        let fields = of(b"status=3&bodyPart=%E8%83%B8%E9%83%A8%20a%2Bb&", None);
        assert_eq!(fields, Ok(json!({"status": "3", "bodyPart": "胸部 a+b"})));
    }

    #[test]
    fn utf8_comes_first_then_the_label_then_gb18030() {
        let wanted = Ok(json!({"bodyPart": "胸部"}));
        assert_eq!(
            of("{\"bodyPart\":\"胸部\"}".as_bytes(), Some("a/b; charset=gbk")),
            wanted
        );
        assert_eq!(of(b"{\"bodyPart\":\"\xd0\xd8\xb2\xbf\"}", None), wanted);
        assert_eq!(of(b"bodyPart=%D0%D8%B2%BF", None), wanted);
        let big5 = encoding_rs::BIG5.encode("{\"bodyPart\":\"胸部\"}").0.into_owned();
        assert_eq!(of(&big5, Some("a/b; charset=\"Big5\"")), wanted);
        assert_eq!(
            of(b"{\"bodyPart\":\"\xff\xff\"}", Some("a/b; charset=utf-8")),
            Err(NotUnderstood)
        );
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        for body in [
            "{\"status\":3,\"status\":1}",
            "{\"status\":3,\"\\u0073tatus\":1}",
            "{\"x\":{\"a\":1,\"a\":2}}",
            "{\"x\":[{\"a\":1,\"\\u0061\":2}]}",
            "status=3&status=3",
            "status=1&data=%7B%22status%22%3A3%7D",
            "a=%7B%22status%22%3A3%7D&b=%7B%22status%22%3A3%7D",
        ] {
            assert_eq!(of(body.as_bytes(), None), Err(NotUnderstood), "{body}");
        }
    }

    #[test]
    fn what_is_no_body_is_not_understood() {
        let deep = format!("{{\"x\":{}1{}}}", "[".repeat(33), "]".repeat(33));
        let many: Vec<String> = (0..=MAX_MEMBERS).map(|n| format!("\"m{n}\":1")).collect();
        let many = format!("{{{}}}", many.join(","));
        for body in [
            "",
            " ",
            "{",
            "[]",
            "null",
            "{} {}",
            "{\"a\":1}x",
            "{\"a\":\"\\ud800\"}",
            "abc",
            "=1",
            "a=%4",
            "a=%zz",
            &deep,
            &many,
        ] {
            assert_eq!(of(body.as_bytes(), None), Err(NotUnderstood), "{body}");
        }
    }

    #[test]
    fn a_number_keeps_its_digits() {
        let members = read(b"{\"x\": 12345678901234567890123.10 }", None).unwrap();
        assert!(matches!(members.get("x"), Some(Given::Json(json)) if **json == "12345678901234567890123.10"));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body, None);
        }

        #[test]
        fn an_object_is_read_as_serde_reads_it(
            object in prop::collection::btree_map("[a-z\u{4e00}-\u{4e10}\"\\\\]{0,4}", "\\PC{0,12}", 0..8)
        ) {
            let body = serde_json::to_vec(&object).unwrap();
            prop_assert_eq!(of(&body, None), Ok(json!(object)));
        }
    }
}
