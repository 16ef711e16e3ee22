//! Orders as a decoder would build them: what is repaired, judged, refused, and sent.

use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::*;
use crate::cipher::{HexCase, Padding};
use crate::contract::{self, ID_NUM, PHONE_NUM};
use crate::datetime::{Date, DateProblem};
use crate::token::{KeyForm, Token};

pub(super) const PHONE: &str = "13800138000";
pub(super) const ID: &str = "11010119000101009X";

pub(super) static STUDIES: LazyLock<Arc<Contract>> = LazyLock::new(|| Arc::new(contract::patient_studies()));

pub(super) type Members = Vec<(&'static str, serde_json::Value)>;

pub(super) fn members() -> Members {
    vec![
        ("phoneNum", json!(PHONE)),
        ("idNum", json!(ID)),
        ("hospitalId", json!("H0001")),
        ("unionId", json!("U0001")),
        ("studyType", json!(0)),
        ("dataFlag", json!(1)),
        ("usage", json!(0)),
        ("studyDateBegin", json!("2024-12-01 00:00:00")),
        ("studyDateEnd", json!("2024-12-31 23:59:59")),
    ]
}

/// [`members`] with some replaced or added.
pub(super) fn with(changes: &[(&'static str, serde_json::Value)]) -> Members {
    let mut members = members();
    for (name, value) in changes {
        members.retain(|(other, _)| other != name);
        members.push((name, value.clone()));
    }
    members
}

pub(super) fn value(value: &serde_json::Value) -> Value<'_> {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Number(number) => Value::Integer(number.as_i64().unwrap()),
        _ => Value::Nested,
    }
}

fn build(members: &Members) -> OrderBuilder {
    let mut builder = OrderBuilder::new(&STUDIES, 300);
    for (name, given) in members {
        assert_eq!(builder.set(name, value(given)), Ok(Slot::Known), "{name}");
    }
    builder
}

pub(super) fn order(members: &Members, rules: &Rules) -> Order {
    build(members)
        .finish(rules)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problems(members: &Members, rules: &Rules) -> Vec<String> {
    let Err(problems) = build(members).finish(rules) else {
        return Vec::new();
    };
    problems.iter().map(ToString::to_string).collect()
}

fn repairs(order: &Order) -> Vec<String> {
    order.repairs().map(|repair| repair.to_string()).collect()
}

fn warnings(order: &Order) -> Vec<String> {
    order.warnings().map(|warning| warning.to_string()).collect()
}

pub(super) fn canonical(order: &Order) -> Vec<u8> {
    let mut out = Vec::new();
    order.canonical(&mut out);
    out
}

pub(super) fn cipher() -> FieldCipher {
    let token = Token::parse(b"0123456789abcdef0123456789abcdef", KeyForm::Raw).unwrap();
    FieldCipher::new(&token, Padding::Pkcs7, HexCase::Lower)
}

pub(super) fn body(order: &Order) -> String {
    let bytes = order.protected_body(&cipher()).into_bytes();
    assert_eq!(bytes.len(), bytes.capacity(), "exactly as much as reserved");
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_worked_example_goes_out_as_the_specification_shows_it() {
    let order = order(&members(), &Rules::default());

    assert_eq!(
        body(&order),
        concat!(
            r#"{"phoneNum":"554fb5befba4daabdb8169e45db64485","#,
            r#""idNum":"a48b12c1fa78f15e4eb49e2cf484e1eb2f87e8ccf8d7d0512cf792d6700896a7","#,
            r#""hospitalId":"H0001","unionId":"U0001","studyType":0,"dataFlag":1,"usage":0,"#,
            r#""studyDateBegin":"2024-12-01 00:00:00","studyDateEnd":"2024-12-31 23:59:59"}"#
        )
    );
    assert!(repairs(&order).is_empty() && warnings(&order).is_empty());
    assert_eq!(
        (order.text(PHONE_NUM), order.integer("dataFlag")),
        (Some(PHONE), Some(1))
    );
    assert_eq!(
        order
            .date_time("studyDateEnd")
            .map(|moment| moment.to_string())
            .as_deref(),
        Some("2024-12-31 23:59:59")
    );
    assert_eq!(
        (order.text("hisId"), order.text("no such"), order.integer("hisId")),
        (None, None, None)
    );
}

#[test]
fn a_revealed_body_is_the_same_in_plaintext() {
    let order = order(&with(&[("patientName", json!("张\"三\""))]), &Rules::default());

    let revealed: serde_json::Value = serde_json::from_slice(&order.revealed_body()).unwrap();

    assert_eq!(revealed["phoneNum"], PHONE);
    assert_eq!(revealed["patientName"], "张\"三\"");
}

#[test]
fn everyday_deviations_are_repaired_and_told() {
    let given = with(&[
        ("studyType", json!("5")),
        ("usage", json!(" ２ ")),
        ("hisId", json!(4711)),
        ("phoneNum", json!("+86 138-0013-8000")),
        ("idNum", json!("11010119000101009x")),
        ("patientName", json!("不详")),
        ("unionId", json!(" U0001  ")),
        ("studyDateBegin", json!("2024/12/1")),
        ("studyDateEnd", json!(20_241_231)),
    ]);
    let repaired = order(&given, &Rules::default());

    assert_eq!(
        repairs(&repaired),
        [
            "phoneNum=normalized",
            "idNum=normalized",
            "hisId=text-as-number",
            "patientName=placeholder-absent",
            "unionId=trimmed",
            "studyType=integer-as-string",
            "usage=integer-as-string",
            "studyDateBegin=date-form",
            "studyDateEnd=date-form",
        ]
    );
    let plain = with(&[("studyType", json!(5)), ("usage", json!(2)), ("hisId", json!("4711"))]);
    assert_eq!(canonical(&repaired), canonical(&order(&plain, &Rules::default())));
    assert_eq!(body(&repaired), body(&order(&plain, &Rules::default())));
}

#[test]
fn a_strict_client_is_refused_what_would_be_repaired() {
    let strict = Rules {
        repair: RepairMode::Refuse,
        ..Rules::default()
    };
    let given = with(&[("studyType", json!("5")), ("phoneNum", json!("138 0013 8000"))]);

    assert_eq!(
        problems(&given, &strict),
        ["phoneNum=normalized", "studyType=integer-as-string"]
    );
    assert!(problems(&members(), &strict).is_empty());
    let mut builder = build(&members());
    builder.note(None, RepairKind::BomRemoved);
    builder.note(Some("usage"), RepairKind::KeyCase);
    builder.note_foreign("ward", RepairKind::UnknownDropped);
    let refused = builder.finish(&strict).err().unwrap();
    assert_eq!(
        refused.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["body=bom-removed", "usage=key-case", "ward=unknown-dropped"]
    );
}

#[test]
fn notes_of_the_decoder_come_first_and_once() {
    let mut builder = build(&with(&[("usage", json!("0"))]));
    builder.note(None, RepairKind::BomRemoved);
    builder.note(None, RepairKind::BomRemoved);
    builder.note(Some("no field of ours"), RepairKind::UnknownDropped);

    let order = builder.finish(&Rules::default()).ok().unwrap();
    assert_eq!(
        repairs(&order),
        ["bom-removed", "unknown-dropped", "usage=integer-as-string"]
    );
}

#[test]
fn types_and_ranges_are_refused_by_name() {
    let refused = [
        ("studyType", json!(6), "out-of-range"),
        ("studyType", json!(-1), "out-of-range"),
        ("studyType", json!("99999999999999999999"), "out-of-range"),
        ("studyType", json!("05"), "wrong-type"),
        ("studyType", json!("0.5"), "wrong-type"),
        ("studyType", json!("1e0"), "wrong-type"),
        ("studyType", json!("CT"), "wrong-type"),
        ("studyType", json!(true), "wrong-type"),
        ("dataFlag", json!([0]), "wrong-type"),
        ("hospitalId", json!({"id": 1}), "wrong-type"),
        ("phoneNum", json!([PHONE]), "wrong-type"),
        ("idNum", json!(false), "wrong-type"),
        ("studyDateBegin", json!(false), "wrong-type"),
        ("studyDateBegin", json!("05/12/2024"), "date-ambiguous"),
        ("studyDateEnd", json!("2024-12-31 23:59:59 CST"), "date-zone"),
        ("studyDateEnd", json!(1_735_660_799_000_i64), "date-epoch"),
        ("studyDateEnd", json!("2024-11-30"), "begin-after-end"),
    ];
    for (name, given, reason) in refused {
        let field = if reason == "begin-after-end" {
            "studyDateBegin"
        } else {
            name
        };
        assert_eq!(
            problems(&with(&[(name, given.clone())]), &Rules::default()),
            [format!("{field}={reason}")],
            "{given}"
        );
    }
}

#[test]
fn numbers_keep_their_digits_or_are_refused() {
    for (name, number) in [
        ("hisId", (1_i64 << 53) - 1),
        ("phoneNum", 13_800_138_000),
        ("phoneNum", 8_613_800_138_000),
        ("idNum", 110_101_000_101_001),
    ] {
        assert!(problems(&with(&[(name, json!(number))]), &Rules::default()).is_empty());
    }
    // The last digits of an identity number that was a floating-point number are made up.
    for (name, number) in [
        ("idNum", 110_101_196_001_012_340_i64),
        ("hisId", 1 << 53),
        ("phoneNum", -(1 << 53)),
        ("hospitalId", i64::MIN),
    ] {
        assert_eq!(
            problems(&with(&[(name, json!(number))]), &Rules::default()),
            [format!("{name}=not-exact")]
        );
    }

    // What went through a floating-point number has lost digits, and is told so in its own words.
    for (name, number) in [
        ("hisId", "123456789012345678901234"),
        ("hisId", "1.5"),
        ("hisId", "4711.0"),
        ("idNum", "1.1010119e17"),
        ("phoneNum", "1.38E+10"),
    ] {
        let mut builder = build(&members().into_iter().filter(|(other, _)| *other != name).collect());
        assert_eq!(builder.set(name, Value::Number(number)), Ok(Slot::Known));
        let problems = builder.finish(&Rules::default()).err().unwrap();
        assert_eq!(problems[0].to_string(), format!("{name}=not-exact"), "{number}");
        assert!(problems[0].hint_en().contains("as text"), "{number}");
    }
}

#[test]
fn whole_numbers_come_with_a_decimal_point_and_fractions_are_refused() {
    let of = |value: Value<'_>| {
        let mut builder = build(&members().into_iter().filter(|(name, _)| *name != "dataFlag").collect());
        assert_eq!(builder.set("dataFlag", value), Ok(Slot::Known));
        let told = |problems: Vec<FieldProblem>| problems[0].to_string();
        let order = builder.finish(&Rules::default()).map_err(told)?;
        Ok((order.integer("dataFlag").unwrap(), repairs(&order).join(" ")))
    };
    let fine: [(Value<'_>, &str); 5] = [
        (Value::Number("2.0"), "dataFlag=integer-as-decimal"),
        (Value::Number("2.00"), "dataFlag=integer-as-decimal"),
        (
            Value::Text("2.0"),
            "dataFlag=integer-as-string dataFlag=integer-as-decimal",
        ),
        (Value::Text(" 2 "), "dataFlag=integer-as-string"),
        (Value::Text("２"), "dataFlag=integer-as-string"),
    ];
    for (value, told) in fine {
        assert_eq!(of(value), Ok((2, told.to_owned())));
    }
    for value in [
        Value::Number("2.5"),
        Value::Number("2e0"),
        Value::Text("2.5"),
        Value::Text("02"),
        Value::Text("2."),
        Value::Bool(true),
    ] {
        assert_eq!(of(value), Err("dataFlag=wrong-type".to_owned()));
    }
    assert_eq!(of(Value::Number("9.0")), Err("dataFlag=out-of-range".to_owned()));
}

#[test]
fn a_persons_number_in_a_field_that_leaves_in_clear_is_warned_of() {
    let rules = |identity_mode| Rules {
        identity_mode,
        ..Rules::default()
    };
    let looks = [
        ("hisId", PHONE),
        ("hisId", "+86 138-0013-8000"),
        ("hisId", "１３８００１３８０００"),
        ("hisId", ID),
        ("hisId", "11010119000101009x"),
        ("patientName", "张三13800138000"),
        ("unionId", "U/11010119000101009X/1"),
    ];
    for (name, text) in looks {
        let given = with(&[(name, json!(text))]);
        for mode in [IdentityMode::Warn, IdentityMode::Strict] {
            assert_eq!(
                warnings(&order(&given, &rules(mode))),
                [format!("{name}=looks-personal")],
                "{text}"
            );
        }
        assert!(warnings(&order(&given, &rules(IdentityMode::Off))).is_empty());
    }
    assert_eq!(
        warnings(&order(
            &with(&[("hisId", json!(13_800_138_000_i64))]),
            &Rules::default()
        )),
        ["hisId=looks-personal"]
    );
    for text in [
        "4711",
        "12800138000",
        "138001380001",
        "110101190001010091",
        "20240105090300123",
        "欧阳娜娜娜娜",
    ] {
        assert!(
            warnings(&order(&with(&[("hisId", json!(text))]), &Rules::default())).is_empty(),
            "{text}"
        );
    }
}

#[test]
fn absent_comes_in_many_guises() {
    for nothing in [
        json!(null),
        json!(""),
        json!("-"),
        json!("－"),
        json!(" \u{3000}"),
        json!("\0"),
        json!("null"),
        json!(" NULL "),
        json!("undefined"),
        json!("None"),
    ] {
        let every: Members = members().into_iter().map(|(name, _)| (name, nothing.clone())).collect();
        let expected: Vec<_> = members().iter().map(|(name, _)| format!("{name}=missing")).collect();
        assert_eq!(problems(&every, &Rules::default()), expected, "{nothing}");
        assert_eq!(
            order(&with(&[("hisId", nothing.clone())]), &Rules::default()).text("hisId"),
            None,
            "{nothing}"
        );
    }
    assert!(repairs(&order(&with(&[("hisId", json!(null))]), &Rules::default())).is_empty());
    assert_eq!(
        repairs(&order(&with(&[("hisId", json!(""))]), &Rules::default())),
        ["hisId=placeholder-absent"]
    );
    // Words for "none" are words in a hospital's id.
    assert_eq!(
        order(&with(&[("hospitalId", json!("无"))]), &Rules::default()).text("hospitalId"),
        Some("无")
    );
}

#[test]
fn a_missing_number_follows_its_switch() {
    let neither = with(&[("idNum", json!("无")), ("phoneNum", json!("00000000000"))]);
    let given = with(&[("idNum", json!("无"))]);
    let rules = |missing| Rules {
        missing,
        ..Rules::default()
    };

    // A question about nobody is refused whatever the switch.
    for missing in [
        MissingIdentity::Reject,
        MissingIdentity::EncryptEmpty,
        MissingIdentity::Omit,
    ] {
        assert_eq!(
            problems(&neither, &rules(missing)),
            ["phoneNum=missing", "idNum=missing"]
        );
    }
    let and_more = with(&[("idNum", json!(null)), ("phoneNum", json!("-")), ("unionId", json!(""))]);
    assert_eq!(
        problems(&and_more, &rules(MissingIdentity::Omit)),
        ["phoneNum=missing", "idNum=missing", "unionId=missing"]
    );
    assert_eq!(problems(&given, &rules(MissingIdentity::Reject)), ["idNum=missing"]);
    let empty = order(&given, &rules(MissingIdentity::EncryptEmpty));
    assert!(body(&empty).contains(r#""idNum":"8aa36241fde8df054dc325c6c695b89e""#));
    assert_eq!(repairs(&empty), ["idNum=placeholder-absent"]);
    assert_eq!(warnings(&empty), ["idNum=missing"]);
    let omitted = order(&given, &rules(MissingIdentity::Omit));
    assert!(!body(&omitted).contains("idNum") && body(&omitted).contains("phoneNum"));
    assert_eq!(warnings(&omitted), ["idNum=missing"]);
    assert_ne!(canonical(&empty), canonical(&omitted));
}

#[test]
fn what_a_check_finds_is_warned_of_refused_or_not_looked_for() {
    let rules = |identity_mode| Rules {
        identity_mode,
        today: Date::new(2025, 1, 1),
        ..Rules::default()
    };
    let cases = [
        ("idNum", "110101190001010015", Some("check-digit")),
        ("idNum", "110101190002300013", Some("date")),
        ("idNum", "11010119000101009", Some("form")),
        ("idNum", "H12345678", None),
        ("phoneNum", "12800138000", Some("form")),
        ("phoneNum", "13800138000/010-00000000", Some("multiple")),
    ];
    for (name, number, reason) in cases {
        let given = with(&[(name, json!(number))]);
        let expected: Vec<_> = reason.map(|reason| format!("{name}={reason}")).into_iter().collect();
        let warned = order(&given, &rules(IdentityMode::Warn));
        assert_eq!(warnings(&warned), expected);
        assert_eq!(warned.text(name), Some(number), "digits are never altered");
        assert_eq!(problems(&given, &rules(IdentityMode::Strict)), expected);
        assert!(warnings(&order(&given, &rules(IdentityMode::Off))).is_empty());
    }
    let landline = with(&[("phoneNum", json!("010-00000000"))]);
    assert!(warnings(&order(&landline, &rules(IdentityMode::Warn))).is_empty());
    assert_eq!(
        problems(&landline, &rules(IdentityMode::Strict)),
        ["phoneNum=not-mobile"]
    );
}

#[test]
fn off_sends_as_typed() {
    let off = Rules {
        identity_mode: IdentityMode::Off,
        ..Rules::default()
    };
    let typed = order(
        &with(&[("idNum", json!(" 11010119000101009x")), ("phoneNum", json!("无"))]),
        &off,
    );

    assert_eq!(
        (typed.text(ID_NUM), typed.text(PHONE_NUM)),
        (Some(" 11010119000101009x"), Some("无"))
    );
    assert!(repairs(&typed).is_empty());
    assert_eq!(typed.patient().id_number(), Some(ID));
    assert_eq!(typed.patient().phone(), None);
}

#[test]
fn an_old_number_is_upgraded_only_by_its_switch() {
    let given = with(&[("idNum", json!("110101000101001"))]);
    let upgrading = Rules {
        upgrade_15: true,
        ..Rules::default()
    };

    assert_eq!(order(&given, &Rules::default()).text(ID_NUM), Some("110101000101001"));
    let upgraded = order(&given, &upgrading);
    assert_eq!(upgraded.text(ID_NUM), Some("110101190001010014"));
    assert_eq!(repairs(&upgraded), ["idNum=id-upgraded"]);
    assert_eq!(
        upgraded.patient().id_number(),
        order(&given, &Rules::default()).patient().id_number()
    );
}

#[test]
fn windows_have_a_widest_and_a_default() {
    let today = Date::new(2025, 1, 15);
    let widest = |max_range_days| Rules {
        max_range_days,
        ..Rules::default()
    };
    assert!(problems(&members(), &widest(31)).is_empty());
    assert_eq!(problems(&members(), &widest(30)), ["studyDateBegin=range-too-wide"]);

    let default = Rules {
        default_range_days: 7,
        max_range_days: 7,
        today,
        ..Rules::default()
    };
    let window = |changes: &[(&'static str, serde_json::Value)]| {
        let order = order(&with(changes), &default);
        let text = |name| order.text(name).unwrap().to_owned();
        (text("studyDateBegin"), text("studyDateEnd"), repairs(&order).join(" "))
    };
    let of = |begin: &str, end: &str, repairs: &str| (begin.to_owned(), end.to_owned(), repairs.to_owned());
    assert_eq!(
        window(&[("studyDateBegin", json!(null)), ("studyDateEnd", json!(""))]),
        of(
            "2025-01-09 00:00:00",
            "2025-01-15 23:59:59",
            "studyDateEnd=date-default studyDateBegin=date-default"
        )
    );
    assert_eq!(
        window(&[("studyDateBegin", json!(null)), ("studyDateEnd", json!("2024-12-31"))]),
        of(
            "2024-12-25 00:00:00",
            "2024-12-31 23:59:59",
            "studyDateBegin=date-default studyDateEnd=date-form"
        )
    );
    let unreadable = with(&[("studyDateBegin", json!(null)), ("studyDateEnd", json!("soon"))]);
    assert_eq!(
        problems(&unreadable, &default),
        ["studyDateBegin=missing", "studyDateEnd=date-unreadable"]
    );
    let without_today = Rules { today: None, ..default };
    assert_eq!(
        problems(&with(&[("studyDateEnd", json!(null))]), &without_today),
        ["studyDateEnd=missing"]
    );
}

#[test]
fn a_field_given_twice_is_refused_and_an_unknown_one_left_to_the_caller() {
    let mut builder = build(&with(&[("hisId", json!(null))]));

    assert_eq!(
        builder.set("hisId", Value::Text("1")),
        Err(Duplicate {
            field: "hisId".to_owned()
        })
    );
    assert_eq!(builder.set("idnum", Value::Text(ID)), Ok(Slot::Unknown));
}

#[test]
fn the_gateway_fills_in_only_what_is_absent() {
    let mut builder = build(&with(&[("hospitalId", json!(" - ")), ("unionId", json!(" U0001"))]));

    assert_eq!(builder.text("hospitalId"), None);
    assert_eq!(builder.fill("hospitalId", "H0001"), Filled::Taken);
    assert_eq!(builder.text("hospitalId"), Some("H0001"));
    assert_eq!(builder.fill("unionId", "U0001"), Filled::Same);
    assert_eq!(builder.fill("unionId", "U0002"), Filled::Differs);
    assert_eq!(builder.fill("studyType", "0"), Filled::NotInContract);
    assert_eq!(builder.fill("tenant", "x"), Filled::NotInContract);
    assert_eq!(
        builder.finish(&Rules::default()).ok().unwrap().text("unionId"),
        Some("U0001")
    );
}

#[test]
fn forwarded_members_go_out_but_never_under_the_name_of_a_field() {
    let forwarded = |order: &[usize]| {
        let extras = [
            ("zone", Value::Text("a\"b")),
            ("age", Value::Number("1.50")),
            ("vip", Value::Bool(true)),
            ("x", Value::Null),
        ];
        let mut builder = build(&members());
        for &at in order {
            builder.forward(extras[at].0, extras[at].1).unwrap();
        }
        assert_eq!(
            builder.forward("PhoneNUM", Value::Text(PHONE)),
            Err(NotForwarded::NameOfField)
        );
        assert_eq!(builder.forward("vip", Value::Null), Err(NotForwarded::Duplicate));
        assert_eq!(builder.forward("list", Value::Nested), Err(NotForwarded::NotScalar));
        assert_eq!(
            builder.forward("n", Value::Number("1,\"idNum\":1")),
            Err(NotForwarded::NotScalar)
        );
        builder.finish(&Rules::default()).ok().unwrap()
    };
    let (one, other) = (forwarded(&[0, 1, 2, 3]), forwarded(&[3, 2, 1, 0]));

    assert!(body(&one).ends_with(r#","age":1.50,"vip":true,"x":null,"zone":"a\"b"}"#));
    assert_eq!((body(&one), canonical(&one)), (body(&other), canonical(&other)));
    assert_ne!(canonical(&one), canonical(&order(&members(), &Rules::default())));
}

#[test]
fn a_field_of_another_query_is_not_forwarded() {
    let report = Arc::new(contract::patient_report_url());
    for name in [
        "dataFlag",
        "usage",
        "study_type",
        "UNIONID",
        "studyDateBegin",
        "patientName",
        "hisId",
        "timestamp",
    ] {
        let mut builder = OrderBuilder::new(&report, 64);
        assert_eq!(
            builder.forward(name, Value::Integer(1)),
            Err(NotForwarded::NameOfField),
            "{name}"
        );
    }
    let mut builder = OrderBuilder::new(&report, 64);
    assert_eq!(builder.forward("ward", Value::Integer(1)), Ok(()));
}

#[test]
fn a_missing_field_beside_a_similar_name_is_told_so() {
    let reason = |foreign: &str, field: &str| {
        let mut builder = build(&members().into_iter().filter(|(name, _)| *name != field).collect());
        builder.note_foreign(foreign, RepairKind::UnknownDropped);
        let problems = builder.finish(&Rules::default()).err().unwrap();
        assert_eq!(problems[0].to_string(), format!("{field}=missing"));
        assert!(!problems[0].hint_en().contains(foreign) && !problems[0].hint_zh().contains(foreign));
        problems[0].reason
    };
    for (foreign, field) in [
        ("idNumber", "idNum"),
        ("id_num", "idNum"),
        ("idNo", "idNum"),
        ("phone", "phoneNum"),
        ("phoneNumb", "phoneNum"),
        ("hospital", "hospitalId"),
        ("studyBeginDate", "studyDateBegin"),
    ] {
        let similar = reason(foreign, field) == Reason::MissingButSimilar;
        assert_eq!(similar, !matches!(foreign, "idNo" | "studyBeginDate"), "{foreign}");
    }
    assert_eq!(reason("ward", "idNum"), Reason::Missing);
    assert_eq!(reason("?", "idNum"), Reason::Missing);

    let mut builder = OrderBuilder::new(&STUDIES, 64);
    assert!(builder.is_empty());
    builder.note_wrapper();
    let problems = builder.finish(&Rules::default()).err().unwrap();
    assert!(problems[0].hint_en().contains("lan.form_fields"));
}

#[test]
fn only_names_of_the_contract_are_of_the_contract() {
    let mut builder = build(&with(&[("usage", json!("x"))]));
    builder.note(None, RepairKind::ContentType);
    builder.note_foreign("ward", RepairKind::UnknownDropped);
    builder.refuse_foreign("bed");
    let strict = Rules {
        repair: RepairMode::Refuse,
        ..Rules::default()
    };
    let problems = builder.finish(&strict).err().unwrap();
    let told: Vec<_> = problems.iter().map(|p| (p.to_string(), p.is_of_contract())).collect();
    assert_eq!(
        told,
        [
            ("body=content-type".to_owned(), true),
            ("usage=wrong-type".to_owned(), true),
            ("ward=unknown-dropped".to_owned(), false),
            ("bed=unknown-field".to_owned(), false),
        ]
    );
}

#[test]
fn a_name_that_was_destroyed_is_warned_of() {
    for name in ["??", "？？", "? ?", "张\u{fffd}", "\u{fffd}\u{fffd}"] {
        let order = order(&with(&[("patientName", json!(name))]), &Rules::default());
        assert_eq!(warnings(&order), ["patientName=damaged"], "{name}");
    }
    for (field, text) in [("patientName", "张三"), ("patientName", "张?"), ("hisId", "??")] {
        assert!(warnings(&order(&with(&[(field, json!(text))]), &Rules::default())).is_empty());
    }
}

#[test]
fn words_for_nothing_are_no_number() {
    for word in [
        "none",
        "NONE",
        "nil",
        "N/A",
        "n／a",
        "NA",
        "暂无",
        "——",
        "--",
        "未提供",
        "NuLL",
    ] {
        for field in ["phoneNum", "idNum"] {
            let given = with(&[(field, json!(word))]);
            assert_eq!(
                problems(&given, &Rules::default()),
                [format!("{field}=missing")],
                "{word}"
            );
        }
    }
}

#[test]
fn a_member_that_looks_like_a_field_is_not_forwarded() {
    for name in [
        "phone_num",
        "PHONE-NUM",
        " idNum",
        "idNum\u{3000}",
        "id\u{a0}Num",
        "id\u{200b}Num",
        "id\u{ad}Num",
        "id\tNum",
        "id\u{7f}Num",
        "ｉｄＮｕｍ",
        "ıdNum",
        "İDNUM",
        "patientName_",
        "appId",
        "APP_ID",
        "Ｓｉｇｎａｔｕｒｅ",
        "time stamp",
    ] {
        assert_eq!(
            build(&members()).forward(name, Value::Text(PHONE)),
            Err(NotForwarded::NameOfField),
            "{name:?}"
        );
    }
    for name in ["idNumType", "phone", "_"] {
        assert_eq!(build(&members()).forward(name, Value::Text("x")), Ok(()), "{name:?}");
    }
    for name in ["证件号", ""] {
        assert_eq!(
            build(&members()).forward(name, Value::Text("x")),
            Err(NotForwarded::NotIdentifier),
            "{name:?}"
        );
    }
}

#[test]
fn a_value_cannot_pretend_to_be_the_next_field() {
    let two = order(
        &with(&[("hisId", json!("a")), ("patientName", json!("b"))]),
        &Rules::default(),
    );
    let one = order(&with(&[("hisId", json!("a\u{3}tb"))]), &Rules::default());

    assert_ne!(canonical(&two), canonical(&one));
}

#[test]
fn an_arena_that_must_grow_keeps_its_texts() {
    let mut builder = OrderBuilder::new(&STUDIES, 0);
    let name = "张".repeat(1000);
    for (member, given) in with(&[("patientName", json!(name))]) {
        assert_eq!(builder.set(member, value(&given)), Ok(Slot::Known));
    }
    let order = builder.finish(&Rules::default()).ok().unwrap();
    assert_eq!(
        (order.text("patientName"), order.text(PHONE_NUM)),
        (Some(name.as_str()), Some(PHONE))
    );
}

#[test]
fn every_reason_has_a_hint_in_both_languages() {
    let problems = [
        DateProblem::Empty,
        DateProblem::Unreadable,
        DateProblem::Ambiguous,
        DateProblem::Zone,
        DateProblem::TwelveHour,
        DateProblem::Impossible,
        DateProblem::Epoch,
        DateProblem::TimeMissing,
    ];
    let mut reasons = vec![
        Reason::Missing,
        Reason::WrongType,
        Reason::OutOfRange,
        Reason::BeginAfterEnd,
        Reason::RangeTooWide,
        Reason::CheckDigit,
        Reason::BirthDate,
        Reason::FutureDate,
        Reason::Form,
        Reason::Multiple,
        Reason::NotMobile,
        Reason::NotExact,
        Reason::LooksPersonal,
    ];
    reasons.extend(problems.map(Reason::Date));
    reasons.extend(RepairKind::ALL.iter().copied().map(Reason::Repair));

    let mut names: Vec<_> = reasons.iter().map(|reason| reason.as_str()).collect();
    for reason in &reasons {
        assert!(!reason.hint_en().is_empty() && !reason.hint_zh().is_ascii(), "{reason}");
        assert!(
            reason
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{reason}"
        );
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), reasons.len(), "names are distinct");
}

#[test]
fn a_refusal_names_what_the_field_takes() {
    let contract = Arc::new(contract::patient_studies());
    let mut builder = OrderBuilder::new(&contract, 100);
    for (name, value) in [
        ("studyType", Value::Integer(9)),
        ("dataFlag", Value::Text("x")),
        ("patientName", Value::Nested),
    ] {
        assert_eq!(builder.set(name, value), Ok(Slot::Known));
    }

    let problems = builder.finish(&Rules::default()).err().unwrap();

    let hint = |field: &str| {
        let problem = problems.iter().find(|problem| problem.field == field).unwrap();
        (problem.hint_en(), problem.hint_zh())
    };
    assert_eq!(
        hint("studyType"),
        ("send a whole number from 0 to 5".into(), "请填写 0 到 5 的整数".into())
    );
    assert_eq!(
        hint("dataFlag"),
        ("send a whole number from 0 to 4".into(), "请填写 0 到 4 的整数".into())
    );
    assert_eq!(hint("patientName").0, "send a text (JSON string)");
    assert!(hint("usage").0.starts_with("fill in this field"));
}

#[test]
fn what_could_hold_a_number_is_not_forwarded() {
    let forward = |name: &str, value| OrderBuilder::new(&STUDIES, 100).forward(name, value);

    for name in [
        "phoneNum[]",
        "$.phoneNum",
        "phone.Num",
        "\"phoneNum\"",
        "phoneNum\u{2063}",
        "phone\u{2010}Num",
        "1a",
    ] {
        assert!(forward(name, Value::Bool(true)).is_err(), "{name}");
    }
    for value in [
        PHONE,
        ID,
        "tel: 138-0013-8000",
        "１３８００１３８０００",
        r#" {"phoneNum":1}"#,
        "[1]",
    ] {
        assert_eq!(
            forward("mobile", Value::Text(value)),
            Err(NotForwarded::CouldBePersonal),
            "{value}"
        );
    }
    assert_eq!(
        forward("mobile", Value::Integer(13_800_138_000)),
        Err(NotForwarded::CouldBePersonal)
    );
    assert_eq!(forward("ward", Value::Text("3 West, 2024-01-05")), Ok(()));
    assert_eq!(forward("bed", Value::Integer(12)), Ok(()));
}
