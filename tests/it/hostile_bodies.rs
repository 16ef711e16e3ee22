//! P2 under bodies made to slip something past the reader: the right refusal, and nothing in clear anywhere.

use aimis_simulator::{Platform, PlatformOptions};
use serde_json::json;

use crate::support::client::{Answer, exchange, request};
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query, studies_query_with};

const STUDIES: &str = "/thirdparty/patientStudies/900001";

/// A body and the code that it has to be answered with; 0 is the platform's own.
type Row = (&'static str, Vec<u8>, i64);

/// The query with `"name":` written in another way.
fn renamed(name: &str, written: &str) -> Vec<u8> {
    let query = studies_query();
    assert!(query.contains(&format!("\"{name}\":")));
    query
        .replace(&format!("\"{name}\":"), &format!("\"{written}\":"))
        .into_bytes()
}

/// The query with text in front of its first member.
fn opened_by(text: &str) -> Vec<u8> {
    studies_query().replacen('{', &format!("{{{text}"), 1).into_bytes()
}

/// The query with a member more, its value written as it is.
fn with_raw(name: &str, raw: &str) -> Vec<u8> {
    opened_by(&format!("\"{name}\":{raw},"))
}

/// The query with one value written in another way.
fn valued(name: &str, raw: &str) -> Vec<u8> {
    let without = studies_query_with(json!({ name: null }));
    without.replacen('{', &format!("{{\"{name}\":{raw},"), 1).into_bytes()
}

fn escaped(text: &str) -> String {
    text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect()
}

async fn ask(gateway: &Gateway, body: &[u8]) -> Answer {
    exchange(
        gateway.lan,
        &request("POST", STUDIES, &[("Content-Type", "application/json")], body),
    )
    .await
    .unwrap()
}

/// Sends each body, checks its answer, and that neither answer, log nor anything that reached the platform
/// has a number in it. The vectors' patient is asked for in between, over a connection of its own.
async fn prove(settings: impl Fn(&Platform) -> Settings, rows: Vec<Row>) {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = settings(&platform).start();
    for (name, body, code) in rows {
        platform.clear_requests();

        let answer = ask(&gateway, &body).await;

        let told = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.code(), code, "{name}: {told}");
        let origin = if code < 800_000 { "platform" } else { "gateway" };
        assert_eq!(answer.header("x-aimis-origin"), Some(origin), "{name}");
        for (header, value) in &answer.headers {
            assert!(!shows_a_number(value.as_bytes()), "{name}: {header}: {value}");
        }
        assert!(!shows_a_number(&answer.body), "{name}: {told}");
        assert_eq!(platform.request_count(), u64::from(code < 800_000), "{name}");
        for request in platform.requests() {
            assert!(
                !shows_a_number(&request.head) && !shows_a_number(&request.body),
                "{name}"
            );
            if let Some(decrypted) = &request.decrypted {
                assert_eq!(
                    (&*decrypted["phoneNum"], &*decrypted["idNum"]),
                    (PHONE, ID_NUMBER),
                    "{name}"
                );
            }
        }
        assert_eq!(
            ask(&gateway, studies_query().as_bytes()).await.code(),
            0,
            "behind {name}"
        );
    }
    assert!(platform.malformed().is_empty());
    assert!(!shows_a_number(gateway.stop().as_bytes()));
}

/// Whether one of the two numbers stands in `bytes`, in clear or in JSON's escapes.
fn shows_a_number(bytes: &[u8]) -> bool {
    let contains = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    };
    [PHONE, ID_NUMBER]
        .iter()
        .any(|number| contains(number) || contains(&escaped(number)))
}

#[test]
fn the_search_for_numbers_finds_them() {
    assert!(shows_a_number(format!("x{PHONE}").as_bytes()));
    assert!(shows_a_number(ID_NUMBER.to_lowercase().as_bytes()));
    assert!(shows_a_number(escaped(PHONE).to_uppercase().as_bytes()));
    assert!(!shows_a_number(b"138****8000"));
}

#[tokio::test]
async fn p2_numbers_are_encrypted_however_their_names_and_digits_are_written() {
    let rows = vec![
        ("escaped name", renamed("phoneNum", r"\u0070honeNum"), 0),
        ("wholly escaped name", renamed("idNum", &escaped("idNum")), 0),
        ("upper-case escapes", renamed("phoneNum", r"phone\u004Eum"), 0),
        (
            "escaped digits",
            valued("phoneNum", &format!("\"{}\"", escaped(PHONE))),
            0,
        ),
        (
            "one escaped digit",
            valued("idNum", &format!("\"{}\"", ID_NUMBER.replacen('1', r"\u0031", 1))),
            0,
        ),
        ("a number for a text", valued("phoneNum", PHONE), 0),
        ("full-width digits", valued("phoneNum", "\"１３８００１３８０００\""), 0),
        ("split by spaces", valued("phoneNum", "\"138 0013 8000\""), 0),
        (
            "zero-width characters inside",
            valued("phoneNum", "\"138\u{200b}0013\u{feff}8000\""),
            0,
        ),
        (
            "white space everywhere",
            studies_query()
                .replace(',', "\r\n\t, ")
                .replace(':', " : ")
                .replace("00 : 00 : 00", "00:00:00")
                .replace("23 : 59 : 59", "23:59:59")
                .into_bytes(),
            0,
        ),
    ];
    prove(Settings::calling, rows).await;
}

#[tokio::test]
async fn p2_a_name_given_twice_is_refused_however_it_is_written() {
    let phone = format!("\"{PHONE}\"");
    let rows = vec![
        ("the same", with_raw("phoneNum", &phone), 800_001),
        ("one escaped", with_raw(r"\u0070honeNum", &phone), 800_001),
        ("one null", with_raw("idNum", "null"), 800_001),
        ("one nested", with_raw("idNum", &format!("[{phone}]")), 800_001),
        ("other fields", with_raw("hospitalId", "\"H0002\""), 800_001),
        (
            "unknown ones",
            opened_by(&format!(r#""x":1,"\u0078":{phone},"#)),
            800_001,
        ),
        ("numbers as names", opened_by(&format!("{phone}:1,{phone}:2,")), 800_001),
    ];
    prove(Settings::calling, rows).await;
}

#[tokio::test]
async fn p2_a_number_in_the_wrong_place_goes_nowhere() {
    let rows = || {
        let phone = format!("\"{PHONE}\"");
        vec![
            (
                "nested field",
                valued("phoneNum", &format!("{{\"value\":{phone}}}")),
                800_005,
            ),
            (
                "list for a field",
                valued("idNum", &format!("[\"{ID_NUMBER}\"]")),
                800_005,
            ),
            (
                "object in an unknown member",
                with_raw(
                    "patient",
                    &format!("{{\"phoneNum\":{phone},\"idNum\":[\"{ID_NUMBER}\"]}}"),
                ),
                0,
            ),
            (
                "name in another case beside the field",
                with_raw("PhoneNum", &phone),
                800_001,
            ),
            ("name in another case, alone", renamed("phoneNum", "PHONENUM"), 0),
            (
                "full-width name beside the field",
                with_raw("ｐｈｏｎｅＮｕｍ", &phone),
                0,
            ),
            (
                "full-width name, alone",
                renamed("phoneNum", "ｐｈｏｎｅＮｕｍ"),
                800_005,
            ),
            (
                "escaped name in another case",
                with_raw(r"\u0050HONENUM", &phone),
                800_001,
            ),
            (
                "a number with an exponent",
                valued("idNum", "1.1010119000101009e17"),
                800_005,
            ),
        ]
    };
    prove(Settings::calling, rows()).await;
    // A name that looks like a field's is not let through even where unknown members are.
    prove(
        |platform| Settings::calling(platform).with("lan", "unknown_fields = \"forward\""),
        rows(),
    )
    .await;
}

#[tokio::test]
async fn unknown_members_are_dropped_whatever_they_are_called() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let names = [
        (PHONE, "?=unknown-dropped"),
        (ID_NUMBER, "?=unknown-dropped"),
        ("a13800138000", "?=unknown-dropped"),
        ("\\u0031\\u0033800138000", "?=unknown-dropped"),
        ("a\\r\\nSet-Cookie: x=1", "?=unknown-dropped"),
        ("患者", "?=unknown-dropped"),
        ("", "?=unknown-dropped"),
        ("$serde_json::private::RawValue", "?=unknown-dropped"),
        ("$serde_json::private::Number", "?=unknown-dropped"),
        ("doctorName", "doctorName=unknown-dropped"),
    ];
    for (name, told) in names {
        platform.clear_requests();

        let answer = ask(&gateway, &with_raw(name, "\"x\"")).await;

        assert_eq!(answer.code(), 0, "{name}");
        assert_eq!(answer.header("x-aimis-repairs"), Some(told), "{name}");
        assert!(answer.header("set-cookie").is_none(), "{name}");
        let fields: Vec<_> = platform
            .only_request()
            .json()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(fields.len(), 9, "{fields:?}");
    }
    assert!(!shows_a_number(gateway.stop().as_bytes()));
}

#[tokio::test]
async fn bytes_that_are_no_json_object_are_refused() {
    let query = studies_query().into_bytes();
    let cut = |at: usize| query[..at].to_vec();
    let behind = |text: &[u8]| [&query, text].concat();
    let rows = vec![
        ("empty", Vec::new(), 800_001),
        ("white space", b" \r\n\t ".to_vec(), 800_001),
        ("array", [b"[", query.as_slice(), b"]"].concat(), 800_001),
        ("text", format!("\"{PHONE}\"").into(), 800_001),
        ("number", PHONE.into(), 800_001),
        ("null", b"null".to_vec(), 800_001),
        ("true", b"true".to_vec(), 800_001),
        ("cut in a name", cut(5), 800_001),
        ("cut in a number", cut(20), 800_001),
        ("cut before its end", cut(query.len() - 1), 800_001),
        ("text behind", behind(PHONE.as_bytes()), 800_001),
        ("a second object behind", behind(&query), 800_001),
        ("NUL and more behind", behind(b"\0x"), 800_001),
        ("NUL in front", [b"\0", query.as_slice()].concat(), 800_001),
        ("NUL in a value", valued("phoneNum", "\"138001\0\x3800\""), 800_001),
        ("line end in a value", valued("phoneNum", "\"138001\n38000\""), 800_001),
        (
            "invalid UTF-8 in a value",
            [&query[..14], b"\xff\xfe\xff", &query[14..]].concat(),
            800_001,
        ),
        (
            "invalid UTF-8 in a name",
            [&query[..4], b"\xff\xff", &query[4..]].concat(),
            800_001,
        ),
        ("invalid UTF-8 behind", behind(b"\xff\xff"), 800_001),
        ("single quotes", studies_query().replace('"', "'").into_bytes(), 800_001),
        (
            "a comma too many",
            studies_query().replace('}', ",}").into_bytes(),
            800_001,
        ),
        ("a comment", opened_by("/* x */"), 800_001),
        ("not a number", with_raw("x", "NaN"), 800_001),
        ("hexadecimal", with_raw("x", "0x10"), 800_001),
        ("leading zero", valued("studyType", "01"), 800_001),
        ("unknown escape", with_raw("x", r#""\x31""#), 800_001),
        (
            "lone surrogate",
            valued("phoneNum", &format!("\"{PHONE}\\ud800\"")),
            800_001,
        ),
        (
            "lone low surrogate",
            valued("idNum", &format!("\"\\udc00{ID_NUMBER}\"")),
            800_001,
        ),
        ("lone surrogate in a name", with_raw(r"\ud800", "1"), 800_001),
        (
            "lone surrogate in an unknown value",
            with_raw("x", r#""\ud800x""#),
            800_001,
        ),
    ];
    prove(Settings::calling, rows).await;
}

#[tokio::test]
async fn bodies_beyond_every_bound_are_refused_and_those_at_it_are_not() {
    let nested = |levels: usize| with_raw("x", &format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    let objects = |levels: usize| with_raw("x", &format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)));
    let members = |count: usize| opened_by(&(0..count).map(|n| format!("\"m{n}\":\"{PHONE}\",")).collect::<String>());
    let rows = vec![
        ("31 levels inside", nested(31), 0),
        ("32 levels inside", nested(32), 800_001),
        ("10,000 levels", nested(10_000), 800_001),
        ("10,000 objects", objects(10_000), 800_001),
        (
            "10,000 levels of a field",
            valued("phoneNum", &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
            800_001,
        ),
        ("10,000 levels unclosed", with_raw("x", &"[".repeat(10_000)), 800_001),
        ("10,000 levels at the top", "[".repeat(10_000).into_bytes(), 800_001),
        (
            "brackets in a text",
            with_raw("x", &format!("\"{}\"", "[".repeat(10_000))),
            0,
        ),
        ("256 members more", members(256), 0),
        ("257 members more", members(257), 800_001),
        ("1,000 members more", members(1_000), 800_001),
    ];
    prove(Settings::calling, rows).await;
}

#[tokio::test]
async fn a_body_too_large_is_refused_and_its_caller_told() {
    let sized = |size: usize| {
        let query = studies_query();
        let room = size - query.len() - r#""x":"","#.len();
        with_raw("x", &format!("\"{}\"", "x".repeat(room)))
    };
    let rows = vec![
        ("64 KiB", sized(64 << 10), 0),
        ("a byte more", sized((64 << 10) + 1), 800_003),
        ("10 MiB", sized(10 << 20), 800_003),
        ("10 MiB of white space", vec![b' '; 10 << 20], 800_003),
    ];
    prove(Settings::calling, rows).await;
}

#[tokio::test]
async fn numbers_and_names_that_upset_parsers_are_taken_for_what_they_are() {
    let query = studies_query();
    let inside = |key: &str| format!("{{\"{key}\":{}}}", serde_json::Value::from(query.as_str())).into_bytes();
    let (raw, number) = ("$serde_json::private::RawValue", "$serde_json::private::Number");
    let rows = vec![
        (
            "1e400 where a small number belongs",
            valued("studyType", "1e400"),
            800_005,
        ),
        ("1e400 where nothing belongs", with_raw("x", "1e400"), 0),
        ("-1e-400", valued("usage", "-1e-400"), 800_005),
        (
            "30 digits",
            valued("dataFlag", "123456789012345678901234567890"),
            800_005,
        ),
        ("0.0", valued("dataFlag", "0.0"), 0),
        ("0.5", valued("dataFlag", "0.5"), 800_005),
        ("a raw value", inside(raw), 800_005),
        ("a number of serde's", inside(number), 800_005),
        (
            "a raw value inside",
            valued("phoneNum", &format!("{{\"{raw}\":\"{PHONE}\"}}")),
            800_005,
        ),
        (
            "a number of serde's inside",
            valued("phoneNum", &format!("{{\"{number}\":\"{PHONE}\"}}")),
            800_005,
        ),
        ("a raw value beside", with_raw(raw, &format!("\"\\\"{PHONE}\\\"\"")), 0),
        (
            "__proto__",
            with_raw("__proto__", &format!("{{\"phoneNum\":\"{PHONE}\"}}")),
            0,
        ),
    ];
    prove(Settings::calling, rows).await;
}
