//! The caller's bytes become an order: read within bounds, understood without guessing.
//!
//! | file | reads |
//! |---|---|
//! | [`body`] | the bytes, within size and time |
//! | [`charset`] | text of bytes |
//! | [`json`] | the members of a JSON object |
//! | [`form`], [`multipart`] | the fields of a form, or the JSON in one of them |
//! | [`members`] | each member into the order |
//!
//! Which dialect a body is in is told by the body first and its `Content-Type` second: old clients label
//! JSON as a form and forms as nothing. Nothing of the bytes themselves goes on: what leaves the house
//! later is written from the order (design.md, P2).

pub mod body;
pub mod charset;
pub mod form;
pub mod json;
pub mod members;
pub mod multipart;

use aimis_core::order::OrderBuilder;
use http::HeaderValue;

use super::{MAX_DEPTH, MAX_MEMBERS};
use crate::config::UnknownFields;
use crate::rejection::{BodyFault, Rejection};
use members::{Members, Unknown};

/// How bodies are understood.
#[derive(Clone, Debug)]
pub struct Dialects {
    /// `lan.form_fields`: form fields that may hold the JSON of the whole request.
    pub form_fields: Vec<String>,
    /// `lan.unknown_fields`.
    pub unknown_fields: UnknownFields,
    /// `lan.any_key_case`: field names are taken in any case, told as `key-case`.
    pub any_key_case: bool,
    /// `lan.aliases`: other names of fields, each with the field's, told as `key-alias`.
    pub aliases: Vec<(String, String)>,
}

/// Reads a body into `order`, and returns the members that the contract does not know.
///
/// # Errors
/// [`Rejection::BodyNotUnderstood`] with the place of the first fault, [`Rejection::CharsetNotSupported`].
pub fn read(
    body: &[u8],
    content_type: Option<&HeaderValue>,
    dialects: &Dialects,
    order: &mut OrderBuilder,
) -> Result<Vec<(String, Unknown)>, Rejection> {
    let mut members = Members::new(order, dialects.unknown_fields);
    if let Some(boundary) = multipart::boundary(body, content_type) {
        multipart::read(body, &boundary, content_type, dialects, &mut members)?;
    } else if form::is_form(body, content_type) {
        form::read(body, content_type, dialects, &mut members)?;
    } else {
        let (text, repairs) = charset::read(body, content_type)?;
        repairs.into_iter().for_each(|repair| members.note(repair));
        json::read(text.as_str(), &mut members)?;
    }
    Ok(members.into_unknown())
}

/// Whether a `Content-Type` begins with `prefix`, which is in lower case.
fn is_media_type(content_type: Option<&HeaderValue>, prefix: &[u8]) -> bool {
    content_type
        .and_then(|value| value.as_bytes().trim_ascii_start().get(..prefix.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// A fault at a byte offset.
fn not_understood(body: &[u8], at: usize, fault: BodyFault) -> Rejection {
    let before = &body[..at];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
    Rejection::BodyNotUnderstood { line, column, fault }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aimis_core::contract;
    use aimis_core::order::Rules;
    use proptest::prelude::*;

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";
    const MULTIPART: &str = "multipart/form-data; boundary=XX";
    const JSON: &str =
        r#"{"reportId":"R+1 %","phoneNum":"13800138000","idNum":"11010119000101009X","hospitalId":"H0001"}"#;

    /// The fields understood, as the plaintext body of the order, and the repairs told.
    fn read_as(body: &[u8], content_type: &str) -> Result<(String, Vec<&'static str>), BodyFault> {
        let contract = Arc::new(contract::patient_report_url());
        let mut order = OrderBuilder::new(&contract, body.len());
        let dialects = Dialects {
            form_fields: vec!["param".into(), "data".into()],
            unknown_fields: UnknownFields::Drop,
            any_key_case: true,
            aliases: Vec::new(),
        };
        let content_type = HeaderValue::from_str(content_type).unwrap();
        match read(body, Some(&content_type), &dialects, &mut order) {
            Ok(_) => {
                let order = order
                    .finish(&Rules::default())
                    .unwrap_or_else(|problems| panic!("{problems:?}"));
                let text = String::from_utf8(order.revealed_body().to_vec()).unwrap();
                Ok((text, order.repairs().map(|repair| repair.kind.as_str()).collect()))
            }
            Err(Rejection::BodyNotUnderstood { fault, .. }) => Err(fault),
            Err(other) => panic!("{other}"),
        }
    }

    fn same_as_json(body: &[u8], content_type: &str, repairs: &[&str]) {
        let plain = read_as(JSON.as_bytes(), "application/json").unwrap();
        assert_eq!(plain.1, Vec::<&str>::new());
        let (text, told) = read_as(body, content_type).unwrap_or_else(|fault| {
            panic!("{fault:?}: {}", String::from_utf8_lossy(body));
        });
        assert_eq!(
            (text, told),
            (plain.0, repairs.to_vec()),
            "{}",
            String::from_utf8_lossy(body)
        );
    }

    fn encoded(text: &str) -> String {
        text.bytes().map(|b| format!("%{b:02x}")).collect()
    }

    #[test]
    fn the_same_request_is_understood_from_every_dialect() {
        let wrapped = format!("param={}", encoded(JSON));
        same_as_json(JSON.as_bytes(), FORM, &[]);
        same_as_json(JSON.as_bytes(), "text/xml", &[]);
        same_as_json(wrapped.as_bytes(), FORM, &["form-wrapped"]);
        same_as_json(wrapped.as_bytes(), "application/json", &["form-wrapped"]);
        same_as_json(
            format!("sign=1&data={}&x=y\r\n", encoded(JSON)).as_bytes(),
            FORM,
            &["form-wrapped"],
        );
        let fields = b"reportId=R%2B1+%25&phoneNum=13800138000&idNum=11010119000101009X&hospitalId=H0001";
        same_as_json(fields, FORM, &["form-fields"]);
        let part = |name: &str, value: &str| {
            format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let parts = part("reportId", "R+1 %")
            + &part("phoneNum", "13800138000")
            + &part("idNum", "11010119000101009X")
            + &part("hospitalId", "H0001")
            + "--XX--\r\n";
        same_as_json(parts.as_bytes(), MULTIPART, &["multipart"]);
        let wrapped = part("param", JSON) + "--XX--";
        same_as_json(
            wrapped.as_bytes(),
            "multipart/form-data; boundary=\"XX\"",
            &["form-wrapped"],
        );
        same_as_json(wrapped.replace("\r\n", "\n").as_bytes(), MULTIPART, &["form-wrapped"]);
        same_as_json(JSON.as_bytes(), MULTIPART, &[]);
    }

    #[test]
    fn json_that_nobody_encoded_is_taken_as_it_stands() {
        let raw = JSON.replace("R+1 %", "A+B & 100% =");
        let plain = read_as(raw.as_bytes(), "application/json").unwrap().0;
        for body in [
            format!("param={raw}"),
            format!("\u{feff}param={raw}\r\n"),
            format!("sign=x&param={raw}&time=1"),
        ] {
            let (text, repairs) = read_as(body.as_bytes(), FORM).unwrap_or_else(|fault| panic!("{fault:?}: {body}"));
            assert_eq!(
                (text, repairs.contains(&"form-wrapped")),
                (plain.clone(), true),
                "{body}"
            );
        }
        let half = format!("param={}", JSON.replace("R+1 %", "A%2BB"));
        assert_eq!(read_as(half.as_bytes(), FORM), Err(BodyFault::HalfEncoded));
    }

    #[test]
    fn a_form_has_one_charset_for_all_its_fields() {
        // The report's id is GBK and valid UTF-8 by chance; the other field says that the body is GBK.
        let fields = "&phoneNum=13800138000&idNum=11010119000101009X&hospitalId=";
        let body = format!("reportId=%C7%AE%C7%BF{fields}%D5%C5");

        let (text, repairs) = read_as(body.as_bytes(), FORM).unwrap();

        assert!(
            text.contains("\"reportId\":\"钱强\"") && text.contains("\"hospitalId\":\"张\""),
            "{text}"
        );
        assert_eq!(repairs, ["charset-guessed", "form-fields"]);
    }

    #[test]
    fn a_part_is_never_taken_for_another_value() {
        let part = |head: &str, content: &str| {
            format!("--XX\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n--XX--")
        };
        let encoded = part("name=\"reportId\"\r\nContent-Transfer-Encoding: base64", "SDk5");
        assert_eq!(read_as(encoded.as_bytes(), MULTIPART), Err(BodyFault::Syntax));
        let wrapped = part("NAME = param\r\nContent-Transfer-Encoding: 8bit", JSON);
        same_as_json(wrapped.as_bytes(), MULTIPART, &["form-wrapped"]);
        let spaced = part("name=param", &JSON.replace(',', ",\r\n\r\n")).replace("X\r\nC", "X\nC");
        same_as_json(
            spaced.replacen("\r\n\r\n", "\n\n", 1).as_bytes(),
            MULTIPART,
            &["form-wrapped"],
        );
    }

    #[test]
    fn gbk_behind_percent_signs_is_converted() {
        let body = b"reportId=%D5%C5&phoneNum=13800138000&idNum=11010119000101009X&hospitalId=H0001";

        let (text, repairs) = read_as(body, FORM).unwrap();

        assert!(text.contains("\"reportId\":\"张\""));
        assert_eq!(repairs, ["charset-guessed", "form-fields"]);
    }

    #[test]
    fn two_sources_for_one_member_are_refused() {
        let wrapped = encoded(JSON);
        for body in [
            format!("reportId=1&param={wrapped}"),
            format!("param={wrapped}&reportId=1"),
            format!("param={wrapped}&data={wrapped}"),
            "reportId=1&reportId=1".to_owned(),
            "x=1&x=1".to_owned(),
        ] {
            assert_eq!(read_as(body.as_bytes(), FORM), Err(BodyFault::DuplicateKey), "{body}");
        }
    }

    #[test]
    fn broken_forms_are_refused() {
        assert_eq!(read_as(b"reportId=%4", FORM), Err(BodyFault::Syntax));
        assert_eq!(read_as(b"reportId=%zz", FORM), Err(BodyFault::Syntax));
        assert_eq!(
            read_as(
                b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n",
                MULTIPART
            ),
            Err(BodyFault::EndsEarly)
        );
        assert_eq!(read_as(b"--XX\r\n\r\n1\r\n--XX--", MULTIPART), Err(BodyFault::Syntax));
        let many: String = (0..300).map(|n| format!("x{n}=1&")).collect();
        assert_eq!(read_as(many.as_bytes(), FORM), Err(BodyFault::TooManyMembers));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3_usize) {
            let contract = Arc::new(contract::patient_report_url());
            let mut order = OrderBuilder::new(&contract, body.len());
            let dialects = Dialects { form_fields: vec!["param".into()], unknown_fields: UnknownFields::Forward, any_key_case: true, aliases: Vec::new() };
            let content_type = HeaderValue::from_static([FORM, MULTIPART, "application/json; charset=gbk"][kind]);
            let _ = read(&body, Some(&content_type), &dialects, &mut order);
        }

        #[test]
        fn pieces_of_forms_are_read_without_a_panic(body in "(--XX|\r\n|\n|Content-Disposition: form-data; name=a|;|=|&|%|%41|param=|\\{\"a\":1\\}|reportId|\\PC){0,20}", kind in 0..3_usize) {
            let contract = Arc::new(contract::patient_report_url());
            let mut order = OrderBuilder::new(&contract, body.len());
            let dialects = Dialects { form_fields: vec!["param".into()], unknown_fields: UnknownFields::Forward, any_key_case: true, aliases: Vec::new() };
            let content_type = HeaderValue::from_static([FORM, MULTIPART, "text/plain"][kind]);
            let _ = read(body.as_bytes(), Some(&content_type), &dialects, &mut order);
        }
    }
}
