use std::sync::Arc;

use aimis_core::contract;
use aimis_core::order::Rules;
use proptest::prelude::*;

use super::super::tests::dialects;
use super::super::{Unknown, read_in_full};
use super::*;
use crate::rejection::Rejection;

const LABEL: &str = "application/json; charset=utf-8";
const STUDIES: &str = r#"{"phoneNum":"13800138000","idNum":"11010119000101009X","hisId":"P1","patientName":"测试患者","hospitalId":"H0001","unionId":"U0001","studyType":0,"dataFlag":1,"usage":2,"studyDateBegin":"2025-01-01 00:00:00","studyDateEnd":"2025-12-31 23:59:59"}"#;

fn builder(body: &[u8]) -> OrderBuilder {
    OrderBuilder::new(&Arc::new(contract::patient_studies()), body.len())
}

fn is_plain(body: &str, label: &'static str) -> bool {
    let label = HeaderValue::from_static(label);
    read(body.as_bytes(), Some(&label), &mut builder(body.as_bytes()))
}

/// All that can be seen of what was read, or of why it was not.
fn seen(read: Result<Vec<(String, Unknown)>, Rejection>, order: OrderBuilder) -> String {
    let unknown = match read {
        Ok(unknown) => unknown,
        Err(rejection) => return format!("{rejection:?}"),
    };
    match order.finish(&Rules::default()) {
        Err(problems) => format!("{unknown:?} {problems:?}"),
        Ok(order) => {
            let mut canonical = Vec::new();
            order.canonical(&mut canonical);
            let repairs: Vec<_> = order.repairs().collect();
            let warnings: Vec<_> = order.warnings().collect();
            format!("{unknown:?} {repairs:?} {warnings:?} {canonical:?}")
        }
    }
}

fn same_in_full(body: &[u8], label: &'static str) -> Result<(), TestCaseError> {
    let label = HeaderValue::from_static(label);
    let (mut quick, mut full) = (builder(body), builder(body));
    let quickly = super::super::read(body, Some(&label), &dialects(), &mut quick);
    let fully = read_in_full(body, Some(&label), &dialects(), &mut full);
    prop_assert_eq!(seen(quickly, quick), seen(fully, full), "{}", body.escape_ascii());
    Ok(())
}

#[test]
fn a_body_as_it_should_be_is_read_at_once() {
    for label in ["application/json", LABEL, "Application/JSON;charset=UTF-8"] {
        assert!(is_plain(STUDIES, label), "{label}");
    }
    assert!(is_plain(
        "{ \"phoneNum\" : \"1\" ,\n\t\"usage\" : 2 , \"hisId\": null }\r\n",
        LABEL
    ));
}

#[test]
fn what_is_otherwise_is_left_to_the_others_and_leaves_nothing_behind() {
    for body in [
        r#"{"phoneNum":"1","phoneNum":"2"}"#,
        r#"{"phoneNum":"1\u0030"}"#,
        r#"{"phoneNum":"1","ward":"3"}"#,
        r#"{"phoneNum":"1","PhoneNum":"2"}"#,
        r#"{"phoneNum":"1","usage":02}"#,
        r#"{"phoneNum":"1","usage":2.0}"#,
        r#"{"phoneNum":"1","usage":-1}"#,
        r#"{"phoneNum":"1","usage":1234567890123456789}"#,
        r#"{"phoneNum":"1","usage":true}"#,
        r#"{"phoneNum":"1","studyType":[1]}"#,
        r#"{"phoneNum":"1","hisId":"é"}"#,
        r#"{"phoneNum":"1",}"#,
        r#"{"phoneNum":"1"}}"#,
        r#"{"phoneNum":"1"#,
        r#"{"phoneNum":nul"#,
        "{\"phoneNum\":\"1\n\"}",
        " {\"phoneNum\":\"1\"}",
        "{}",
    ] {
        let mut order = builder(body.as_bytes());
        let label = HeaderValue::from_static(LABEL);
        assert!(!read(body.as_bytes(), Some(&label), &mut order), "{body}");
        assert!(order.is_empty(), "{body}");
    }
    for label in ["", "text/plain", "application/json; charset=GBK", "application/jsonx"] {
        assert!(!is_plain(STUDIES, label), "{label}");
    }
}

/// A value as clients write it, rightly or not.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -~]{0,12}".prop_map(|text| format!("\"{text}\"")),
        2 => "[0-9X张三é\u{1}\u{7f} ]{0,18}".prop_map(|text| format!("\"{text}\"")),
        3 => "-?[0-9]{1,20}",
        1 => Just("2025-01-01 00:00:00".to_owned()).prop_map(|text| format!("\"{text}\"")),
        1 => "null|nul|true|false|1\\.0|1e3|\\[1,2\\]|\\{\\}|\"\\\\u5f20\"|-0|00",
    ]
}

fn name() -> impl Strategy<Value = String> {
    let known = contract::patient_studies()
        .fields()
        .iter()
        .map(|field| field.name.clone())
        .collect::<Vec<_>>();
    prop_oneof![12 => proptest::sample::select(known), 1 => "[a-zA-Z]{1,8}", 1 => Just("IDNUM".to_owned()), 1 => Just("data".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn objects_mean_the_same_to_both_readers(
        members in proptest::collection::vec((name(), value(), "[ \n\t]{0,2}"), 0..8),
        label in proptest::sample::select(vec![LABEL, "application/json", "application/json; charset=gbk", "text/plain"]),
        behind in "[ \0\n}x]{0,2}",
    ) {
        let members: Vec<_> = members
            .iter()
            .map(|(name, value, space)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
            .collect();
        same_in_full(format!("{{{}}}{behind}", members.join(",")).as_bytes(), label)?;
    }

    #[test]
    fn a_plain_body_with_one_byte_changed_means_the_same_to_both_readers(at in 0..STUDIES.len(), byte: u8, cut: bool) {
        let mut body = STUDIES.as_bytes().to_vec();
        body[at] = byte;
        body.truncate(if cut { at } else { body.len() });
        same_in_full(&body, LABEL)?;
    }

    #[test]
    fn a_string_ends_where_a_look_at_each_byte_says(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x1e..0x24_u8, 0x5b..0x5e_u8], 0..40)) {
        let stop = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
        prop_assert_eq!(plain_length(&bytes), stop.unwrap_or(bytes.len()));
    }

    #[test]
    fn any_bytes_mean_the_same_to_both_readers(body in proptest::collection::vec(any::<u8>(), 0..60)) {
        same_in_full(&body, LABEL)?;
        same_in_full(&[b"{\"phoneNum\":\"", &body[..], b"\"}"].concat(), LABEL)?;
    }
}
