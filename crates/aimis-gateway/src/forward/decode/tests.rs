//! One request in every dialect, and what looks like one and is not.

use std::sync::Arc;

use aimis_core::contract;
use aimis_core::order::Rules;
use proptest::prelude::*;

use super::*;

pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const MULTIPART: &str = "multipart/form-data; boundary=XX";
pub(super) const JSON: &str =
    r#"{"reportId":"R+1 %","phoneNum":"13800138000","idNum":"11010119000101009X","hospitalId":"H0001"}"#;

/// As configured for a client that writes field names in its own way.
pub(super) fn dialects() -> Dialects {
    Dialects {
        form_fields: vec!["param".into(), "data".into()],
        unknown_fields: UnknownFields::Drop,
        any_key_case: true,
        aliases: [
            ("sfzh", "idNum"),
            ("cardNo", "idNum"),
            ("reportId", "hospitalId"),
            ("studyNo", "studyId"),
        ]
        .map(|(alias, field)| (alias.to_owned(), field.to_owned()))
        .into(),
    }
}

/// The fields understood, as the plaintext body of the order, and the repairs told.
fn read_as(body: &[u8], content_type: &str) -> Result<(String, Vec<&'static str>), BodyFault> {
    let contract = Arc::new(contract::patient_report_url());
    let mut order = OrderBuilder::new(&contract, body.len());
    let content_type = (!content_type.is_empty()).then(|| HeaderValue::from_str(content_type).unwrap());
    match read(body, content_type.as_ref(), &dialects(), &mut order) {
        Ok(_) => {
            let order = order
                .finish(&Rules::default())
                .unwrap_or_else(|problems| panic!("{problems:?}"));
            let text = String::from_utf8(order.revealed_body().to_vec()).unwrap();
            Ok((text, order.repairs().map(|repair| repair.kind.as_str()).collect()))
        }
        Err(Rejection::BodyNotUnderstood { fault, .. }) => Err(fault),
        Err(Rejection::FieldTwice { .. }) => Err(BodyFault::DuplicateKey),
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
    same_as_json(JSON.as_bytes(), FORM, &["content-type"]);
    same_as_json(JSON.as_bytes(), "text/xml", &["content-type"]);
    same_as_json(JSON.as_bytes(), "", &["content-type"]);
    same_as_json(JSON.as_bytes(), "text/plain", &["content-type"]);
    same_as_json(JSON.as_bytes(), "Application/JSON;charset=", &[]);
    same_as_json(wrapped.as_bytes(), FORM, &["form-wrapped"]);
    same_as_json(
        wrapped.as_bytes(),
        "application/json",
        &["form-wrapped", "content-type"],
    );
    same_as_json(
        format!("sign=1&data={}&x=y\r\n", encoded(JSON)).as_bytes(),
        FORM,
        &["form-wrapped"],
    );
    let fields = b"reportId=R%2B1+%25&phoneNum=13800138000&idNum=11010119000101009X&hospitalId=H0001";
    same_as_json(fields, FORM, &["form-fields"]);
    let part =
        |name: &str, value: &str| format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
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
    same_as_json(JSON.as_bytes(), MULTIPART, &["content-type"]);
    // Without a boundary, or with a wrong one, the first line is it.
    for label in ["multipart/form-data", "multipart/form-data; boundary=YY", "", FORM] {
        same_as_json(parts.as_bytes(), label, &["content-type", "multipart"]);
    }
    assert!(read_as(parts.replacen("--XX", "--XX--", 1).as_bytes(), "").is_err());
}

/// [`JSON`] with one of its names written in another way.
fn renamed(name: &str, written: &str) -> String {
    JSON.replace(&format!("\"{name}\""), &format!("\"{written}\""))
}

/// The same members as a form, and as parts.
fn as_form_and_parts(members: &[(&str, &str)]) -> [(Vec<u8>, &'static str); 2] {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", encoded(value));
    let part = |(name, value): &(&str, &str)| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form = members.iter().map(pair).collect::<Vec<_>>().join("&");
    let parts = members.iter().map(part).collect::<String>() + "--XX--";
    [(form.into(), FORM), (parts.into(), MULTIPART)]
}

#[test]
fn names_come_in_any_case_and_under_aliases() {
    for (name, written, told) in [
        ("idNum", "IDNUM", "key-case"),
        ("idNum", "idnum", "key-case"),
        ("phoneNum", "PhoneNum", "key-case"),
        ("reportId", "ReportID", "key-case"),
        ("idNum", "sfzh", "key-alias"),
        ("idNum", "SFZH", "key-alias"),
        ("idNum", "cardno", "key-alias"),
    ] {
        same_as_json(renamed(name, written).as_bytes(), "application/json", &[told]);
        let members = [
            ("reportId", "R+1 %"),
            ("phoneNum", "13800138000"),
            ("idNum", "11010119000101009X"),
            ("hospitalId", "H0001"),
        ];
        let members = members.map(|(other, value)| (if other == name { written } else { other }, value));
        for (body, content_type) in as_form_and_parts(&members) {
            let (_, repairs) = read_as(&body, content_type).unwrap();
            assert!(repairs.contains(&told), "{written}: {repairs:?}");
        }
    }
}

#[test]
fn a_field_from_two_sources_is_refused_under_whatever_names() {
    for second in ["IDNUM", "idnum", "sfzh", "SFZH", "cardNo"] {
        for first in ["idNum", "sfzh"] {
            let members = [(first, "1"), (second, "1")];
            let json = format!("{{\"{first}\":\"1\",\"{second}\":\"1\"}}");
            assert_eq!(
                read_as(json.as_bytes(), "application/json"),
                Err(BodyFault::DuplicateKey),
                "{json}"
            );
            for (body, content_type) in as_form_and_parts(&members) {
                assert_eq!(read_as(&body, content_type), Err(BodyFault::DuplicateKey), "{json}");
            }
        }
    }
    let wrapped = format!("IdNum=1&param={}", encoded(JSON));
    assert_eq!(read_as(wrapped.as_bytes(), FORM), Err(BodyFault::DuplicateKey));
}

#[test]
fn other_names_are_no_fields() {
    // `reportId` is an alias too, and stays what it is; `studyNo` stands for a field that this interface lacks.
    let order = |body: &str, dialects: &Dialects| {
        let contract = Arc::new(contract::patient_report_url());
        let mut order = OrderBuilder::new(&contract, body.len());
        read(body.as_bytes(), None, dialects, &mut order).map(|unknown| (order, unknown))
    };
    let (built, _) = order(JSON, &dialects()).unwrap();
    assert_eq!(
        (built.text("reportId"), built.text("hospitalId")),
        (Some("R+1 %"), Some("H0001"))
    );
    for name in ["ｉｄＮｕｍ", "id_num", "idNum ", "studyNo"] {
        let (built, unknown) = order(&renamed("idNum", name), &dialects()).unwrap();
        assert_eq!((built.text("idNum"), unknown.len()), (None, 1), "{name}");
    }
    let exact = Dialects {
        any_key_case: false,
        ..dialects()
    };
    let (built, _) = order(&renamed("idNum", "IDNUM"), &exact).unwrap();
    assert_eq!(built.text("idNum"), None);
    let (built, _) = order(&renamed("idNum", "SFZH"), &exact).unwrap();
    assert_eq!(built.text("idNum"), None);
    let (built, _) = order(&renamed("idNum", "sfzh"), &exact).unwrap();
    assert_eq!(built.text("idNum"), Some("11010119000101009X"));
}

#[test]
fn json_in_json_is_understood_once() {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let json = "application/json";
    same_as_json(quoted(JSON).as_bytes(), json, &["json-string"]);
    same_as_json(format!("{{\"data\":{JSON}}}").as_bytes(), json, &["json-wrapped"]);
    same_as_json(
        format!("{{\"param\": {}}}", quoted(JSON)).as_bytes(),
        json,
        &["json-wrapped"],
    );
    let wrapped = format!("param={}", encoded(&format!("{{\"data\":{JSON}}}")));
    same_as_json(wrapped.as_bytes(), FORM, &["form-wrapped", "json-wrapped"]);

    assert_eq!(
        read_as(quoted(&quoted(JSON)).as_bytes(), json),
        Err(BodyFault::NotObject)
    );
    assert_eq!(read_as(format!("[{JSON}]").as_bytes(), json), Err(BodyFault::NotObject));
    assert_eq!(
        read_as(format!("{{\"data\":{JSON},\"data\":1}}").as_bytes(), json),
        Err(BodyFault::DuplicateKey)
    );
    // What stands beside something else, or twice as deep, is a member that the contract does not know.
    for body in [
        format!("{{\"data\":{JSON},\"sign\":1}}"),
        format!("{{\"sign\":1,\"data\":{JSON}}}"),
        format!("{{\"data\":{{\"data\":{JSON}}}}}"),
        format!("{{\"data\":{JSON},\"param\":{JSON}}}"),
        format!("{{\"other\":{JSON}}}"),
        quoted(&format!("{{\"data\":{JSON}}}")),
    ] {
        let contract = Arc::new(contract::patient_report_url());
        let mut order = OrderBuilder::new(&contract, body.len());
        let unknown = read(body.as_bytes(), None, &dialects(), &mut order).unwrap();
        assert_eq!((order.text("idNum"), unknown.is_empty()), (None, false), "{body}");
    }
}

#[test]
fn a_fault_is_shown_where_it_stands() {
    let place = |body: &str| {
        let contract = Arc::new(contract::patient_report_url());
        match read(
            body.as_bytes(),
            None,
            &dialects(),
            &mut OrderBuilder::new(&contract, 100),
        ) {
            Err(Rejection::BodyNotUnderstood { line, column, fault }) => (line, column, fault),
            Err(Rejection::FieldTwice { line, column, field }) => {
                assert_eq!(field, "idNum");
                (line, column, BodyFault::DuplicateKey)
            }
            other => panic!("{body}: {other:?}"),
        }
    };
    assert_eq!(place("{'idNum':'1'}"), (1, 2, BodyFault::Syntax));
    assert_eq!(place("{idNum:1}"), (1, 2, BodyFault::Syntax));
    assert_eq!(place("\n <?xml version=\"1.0\"?><a/>"), (2, 2, BodyFault::Xml));
    let twice = |head: &str| format!("{head}{{\"idNum\":1,\"idNum\":1}}");
    let (line, column, fault) = place(&twice(""));
    assert_eq!((line, fault), (1, BodyFault::DuplicateKey));
    let wrapped = twice("{\"data\":") + "}";
    assert_eq!(place(&wrapped), (1, column + 8, BodyFault::DuplicateKey));
    let wrapped = twice("{\n\"data\":") + "}";
    assert_eq!(place(&wrapped), (2, column + 7, BodyFault::DuplicateKey));
}

#[test]
fn a_field_that_stands_twice_is_named() {
    for body in [
        r#"{"idNum":1,"idNum":1}"#,
        r#"{"idNum":1,"IDNUM":1}"#,
        r#"{"sfzh":1,"cardNo":1}"#,
        "idNum=1&idNum=2",
    ] {
        let mut order = OrderBuilder::new(&Arc::new(contract::patient_report_url()), 100);
        let rejection = read(body.as_bytes(), None, &dialects(), &mut order).unwrap_err();
        let text = crate::rejection::message(&rejection, crate::config::Language::En);
        assert_eq!(rejection.public().code, 800_001);
        assert!(text.contains("idNum: the field stands twice"), "{text}");
    }
    let mut order = OrderBuilder::new(&Arc::new(contract::patient_report_url()), 100);
    let rejection = read(br#"{"x":1,"x":2}"#, None, &dialects(), &mut order).unwrap_err();
    assert!(matches!(
        rejection,
        Rejection::BodyNotUnderstood {
            fault: BodyFault::DuplicateKey,
            ..
        }
    ));
}

#[test]
fn unknown_members_that_are_refused_are_told_with_all_else() {
    let body = r#"{"ward":1,"bed":2,"phoneNum":"13800138000","id_no":"1","idNum":"x","reportId":null}"#;
    let mut order = OrderBuilder::new(&Arc::new(contract::patient_report_url()), 100);
    let dialects = Dialects {
        unknown_fields: UnknownFields::Reject,
        ..dialects()
    };
    let unknown = read(body.as_bytes(), None, &dialects, &mut order).unwrap();
    let problems = order.finish(&Rules::default()).err().unwrap();
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(unknown.is_empty());
    assert_eq!(
        told,
        [
            "reportId=missing",
            "hospitalId=missing",
            "ward=unknown-field",
            "bed=unknown-field",
            "id_no=unknown-field"
        ]
    );
}

#[test]
fn an_object_alone_under_a_name_that_wraps_nothing_is_told() {
    let hint = |body: &str| {
        let mut order = OrderBuilder::new(&Arc::new(contract::patient_report_url()), 100);
        let _ = read(body.as_bytes(), None, &dialects(), &mut order).unwrap();
        order.finish(&Rules::default()).err().unwrap()[0].hint_en()
    };
    assert!(hint(&format!("{{\"request\":{JSON}}}")).contains("lan.form_fields"));
    assert!(!hint(&format!("{{\"request\":{JSON},\"sign\":1}}")).contains("lan.form_fields"));
    assert!(!hint("{\"request\":1}").contains("lan.form_fields"));
}

#[test]
fn xml_is_told_from_broken_json() {
    for label in ["text/xml", "application/json", FORM, ""] {
        for body in ["<?xml version=\"1.0\"?><a/>", "\u{feff}<soap:Envelope/>", "<a>=</a>"] {
            assert_eq!(read_as(body.as_bytes(), label), Err(BodyFault::Xml), "{label} {body}");
        }
    }
}

#[test]
fn utf_16_is_understood_in_every_dialect() {
    let members = [
        ("reportId", "R+1 %"),
        ("phoneNum", "13800138000"),
        ("idNum", "11010119000101009X"),
        ("hospitalId", "H0001"),
    ];
    let [(form, _), (parts, _)] = as_form_and_parts(&members);
    let bodies = [
        (JSON.as_bytes().to_vec(), "application/json; charset=gbk", None),
        (
            form,
            "application/x-www-form-urlencoded; charset=GBK",
            Some("form-fields"),
        ),
        (
            parts,
            "multipart/form-data; charset=gbk; boundary=XX",
            Some("multipart"),
        ),
    ];
    for (body, label, dialect) in bodies {
        let units = || std::str::from_utf8(&body).unwrap().encode_utf16();
        let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
        let told: Vec<_> = std::iter::once("charset-converted").chain(dialect).collect();
        for utf16 in [
            [b"\xff\xfe", &*little].concat(),
            [b"\xfe\xff", &*big].concat(),
            little,
            big,
        ] {
            same_as_json(&utf16, label, &told);
        }
    }
}

#[test]
fn a_value_with_a_zero_byte_is_not_utf_16() {
    let rest = "&phoneNum=13800138000&idNum=11010119000101009X&hospitalId=H0001";
    for (value, text) in [("A%00BC", r"A\u0000BC"), ("%00ABC", "ABC"), ("AB%00%00", "AB")] {
        let (read, repairs) = read_as(format!("reportId={value}{rest}").as_bytes(), FORM).unwrap();
        assert!(read.contains(&format!("\"reportId\":\"{text}\"")), "{read}");
        assert!(!repairs.contains(&"charset-converted"));
    }
}

#[test]
fn what_javascript_escaped_is_read_as_its_characters() {
    let rest = "&phoneNum=13800138000&idNum=11010119000101009X&hospitalId=H0001";
    let report = |value: &str, rest: &str| {
        let (text, repairs) = read_as(format!("reportId={value}{rest}").as_bytes(), FORM)?;
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(repairs.contains(&"percent-u"), value.contains("%u"));
        Ok(read["reportId"].as_str().unwrap().to_owned())
    };
    assert_eq!(report("%u5F20%u4e09%20x", rest), Ok("张三 x".to_owned()));
    assert_eq!(report("%uD842%uDFB7", rest), Ok("𠮷".to_owned()));
    // Its neighbours may be in another charset.
    assert_eq!(report("%u5F20", &rest.replace("H0001", "%D5%C5")), Ok("张".to_owned()));
    for broken in ["%u5F2", "%u", "%uD842", "%uD842%u0041", "%uDFB7", "%u5F20+x"] {
        assert_eq!(report(broken, rest), Err(BodyFault::Syntax), "{broken}");
    }
    assert_eq!(report("%u5F20%E9", rest), Err(BodyFault::NotUtf8));
    let half = format!("param={}", JSON.replace("R+1 %", "%u5F20"));
    assert_eq!(read_as(half.as_bytes(), FORM), Err(BodyFault::HalfEncoded));
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
        let dialects = Dialects { unknown_fields: UnknownFields::Forward, ..dialects() };
        let content_type = HeaderValue::from_static([FORM, MULTIPART, "application/json; charset=gbk"][kind]);
        let _ = read(&body, Some(&content_type), &dialects, &mut order);
    }

    #[test]
    fn pieces_of_forms_are_read_without_a_panic(body in "(--XX|\r\n|\n|Content-Disposition: form-data; name=a|;|=|&|%|%41|param=|\\{\"a\":1\\}|reportId|\\PC){0,20}", kind in 0..3_usize) {
        let contract = Arc::new(contract::patient_report_url());
        let mut order = OrderBuilder::new(&contract, body.len());
        let dialects = Dialects { unknown_fields: UnknownFields::Forward, ..dialects() };
        let content_type = HeaderValue::from_static([FORM, MULTIPART, "text/plain"][kind]);
        let _ = read(body.as_bytes(), Some(&content_type), &dialects, &mut order);
    }
}
