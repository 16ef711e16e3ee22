//! Each check refuses with its documented code, and a right request passes them all.

use crate::ask::{Ask, NOW_MS, platform, platform_with};
use aimis_simulator::{
    Account, DataOnError, KeyForm, PATIENT_CONSULTATIONS, PATIENT_REPORT_URL, PATIENT_STUDIES, Padding,
    PlatformOptions, SignatureEncoding, Switches, TimestampUnit,
};
use serde_json::{Value, json};

#[tokio::test]
async fn the_worked_example_is_answered() {
    let platform = platform().await;

    let reply = Ask::studies().send(&platform).await;

    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(reply.header("date"), Some("Wed, 01 Jan 2025 00:00:00 GMT"));
    let envelope = reply.json();
    assert_eq!(
        (&envelope["code"], &envelope["message"]),
        (&json!(0), &json!("success"))
    );
    assert_eq!(envelope["requestId"], "sim-000000000001");
}

#[tokio::test]
async fn what_is_no_call_of_the_api_gets_a_bare_status() {
    let platform = platform().await;
    let ask = Ask::studies();
    for (ask, status) in [
        (
            Ask {
                path: "/".into(),
                ..ask.clone()
            },
            404,
        ),
        (
            Ask {
                path: "/thirdparty/patientStudies".into(),
                ..ask.clone()
            },
            404,
        ),
        (
            Ask {
                path: "/thirdparty/patientStudies/".into(),
                ..ask.clone()
            },
            404,
        ),
        (
            Ask {
                path: "/thirdparty/patientStudies/900001/".into(),
                ..ask.clone()
            },
            404,
        ),
        (
            Ask {
                path: "/thirdparty/other/900001".into(),
                ..ask.clone()
            },
            404,
        ),
        (
            Ask {
                method: "GET".into(),
                ..ask.clone()
            },
            405,
        ),
        (ask.clone().header("Content-Type", ""), 415),
        (
            ask.clone().header("Content-Type", "application/x-www-form-urlencoded"),
            415,
        ),
    ] {
        assert_eq!(ask.send(&platform).await.status, status, "{} {}", ask.method, ask.path);
        assert_eq!(platform.requests().last().unwrap().verdict, None);
    }
}

#[tokio::test]
async fn a_wrong_signature_is_refused() {
    let platform = platform().await;
    let wrong = Account::new("900001", "ffffffffffffffffffffffffffffffff", "H0001", "U0001");
    let foreign = wrong.sign(&NOW_MS.to_string(), &Switches::default());
    let later = Account::demo().sign(&(NOW_MS + 1).to_string(), &Switches::default());
    for signature in [
        "",
        foreign.as_str(),
        later.as_str(),
        // Right, in another spelling.
        "4C43CF430BF244880B1845258BC7937EBA64F60258E92AD2BDA27BB3F2037B9B",
        "TEPPQwvyRIgLGEUli8eTfrpk9gJY6SrSvaJ7s/IDe5s=",
        // The misreadings that the vectors warn of.
        "d309737f8f053febe47fee778fedd31eaabcb4593d555ec0634ceab095fe2e6f",
        "0779eec8f2704fcc7f202fd85fcadcc56f30dfef2c89fd247f8f367607e79049",
    ] {
        assert_eq!(
            Ask::studies().header("signature", signature).code(&platform).await,
            90_002,
            "{signature}"
        );
    }
    let mut twice = Ask::studies();
    twice.headers.push(("Signature".into(), foreign));
    assert_eq!(twice.code(&platform).await, 90_002);
}

#[tokio::test]
async fn an_unknown_partner_or_time_is_refused() {
    let platform = platform().await;
    let other = Account::new("900002", aimis_simulator::DEMO_TOKEN, "H0001", "U0001");
    let at = |timestamp: &str| {
        let body = Ask::studies().body;
        Ask::signed_by(&Account::demo(), PATIENT_STUDIES, timestamp, &Switches::default(), body)
    };
    for ask in [
        Ask::studies().header("appId", ""),
        Ask::studies().header("timestamp", ""),
        Ask {
            path: "/thirdparty/patientStudies/900002".into(),
            ..Ask::studies()
        },
        Ask::signed_by(
            &other,
            PATIENT_STUDIES,
            &NOW_MS.to_string(),
            &Switches::default(),
            Ask::studies().body,
        ),
        at("1735689600"),
        at("1735689600000 0"),
        at("+173568960000"),
        at(&(NOW_MS - 300_001).to_string()),
        at(&(NOW_MS + 300_001).to_string()),
    ] {
        assert_eq!(ask.code(&platform).await, 90_001, "{:?}", ask.headers);
    }
    assert_eq!(at(&(NOW_MS - 300_000).to_string()).code(&platform).await, 0);
    assert_eq!(at(&(NOW_MS + 300_000).to_string()).code(&platform).await, 0);
}

#[tokio::test]
async fn every_required_field_is_required_and_typed() {
    let platform = platform().await;
    let person = json!({
        "phoneNum": "554fb5befba4daabdb8169e45db64485",
        "idNum": "a48b12c1fa78f15e4eb49e2cf484e1eb2f87e8ccf8d7d0512cf792d6700896a7",
        "hospitalId": "H0001",
    });
    let consultations = Ask::of(PATIENT_CONSULTATIONS, person.clone())
        .field("hisId", "1")
        .field("unionId", "U0001");
    let report = Ask::of(PATIENT_REPORT_URL, person).field("reportId", "RS1001");
    for ask in [Ask::studies(), consultations, report] {
        assert_eq!(ask.code(&platform).await, 0, "{}", ask.path);
        for name in ask.body.as_object().unwrap().keys() {
            assert_eq!(
                ask.clone().field(name, Value::Null).code(&platform).await,
                20_031,
                "{name} missing"
            );
            assert_eq!(
                ask.clone().field(name, true).code(&platform).await,
                100_001,
                "{name} of another type"
            );
            let is_text = ask.body[name].is_string();
            let (value, code) = if is_text {
                (json!(""), 20_031)
            } else {
                (json!(9), 20_030)
            };
            assert_eq!(
                ask.clone().field(name, value).code(&platform).await,
                code,
                "{name} empty or out of range"
            );
        }
    }
}

#[tokio::test]
async fn values_have_the_documented_form() {
    let platform = platform().await;
    for (name, value, code) in [
        ("studyType", json!("0"), 100_001),
        ("studyType", json!(6), 20_030),
        ("dataFlag", json!(5), 20_030),
        ("usage", json!(3), 20_030),
        ("usage", json!(-1), 20_030),
        ("studyDateBegin", json!("2024-12-01"), 20_030),
        ("studyDateBegin", json!("2025-01-01 00:00:00"), 20_030),
        ("studyDateEnd", json!("2024-12-31 24:00:00"), 20_030),
        ("hisId", json!(7), 100_001),
        ("hospitalId", json!("H9999"), 20_016),
        ("unionId", json!("U9999"), 20_023),
    ] {
        assert_eq!(
            Ask::studies().field(name, value.clone()).code(&platform).await,
            code,
            "{name} {value}"
        );
    }
    for body in ["", "[]", "{\"usage\":0", "{\"usage\":0,\"usage\":0}"] {
        let mut wire = crate::ask::Wire::connect(platform.addr()).await;
        wire.write(&Ask::studies().bytes_with_body(body.as_bytes())).await;
        assert_eq!(wire.reply().await.unwrap().json()["code"], 100_001, "{body}");
    }
}

#[tokio::test]
async fn only_ciphertexts_of_plausible_numbers_pass() {
    let platform = platform().await;
    for (name, value) in [
        ("phoneNum", "13800138000"),
        ("phoneNum", "554fb5befba4daabdb8169e45db6448"),
        ("phoneNum", "767ccd2d641ad5145ab8bbe159deb679"), // another token's
        ("idNum", "27a04e3f12969f74016586ec77c67d3b"),    // not UTF-8
        ("idNum", "8aa36241fde8df054dc325c6c695b89e"),    // the empty text
        ("idNum", "d4ff7080b4a27ab3edf1d9b3e953d4a2"),    // a name
        (
            "phoneNum",
            "a48b12c1fa78f15e4eb49e2cf484e1eb2f87e8ccf8d7d0512cf792d6700896a7",
        ), // the other number
        ("phoneNum", "cbb67ab800810ffeb17799e45bfb834d"), // a trailing space
    ] {
        assert_eq!(
            Ask::studies().field(name, value).code(&platform).await,
            10_005,
            "{name} {value}"
        );
    }
    let upper = Ask::studies().field("phoneNum", "554FB5BEFBA4DAABDB8169E45DB64485");
    assert_eq!(upper.code(&platform).await, 0);
}

#[tokio::test]
async fn switches_change_what_is_right() {
    let switches = Switches {
        padding: Padding::Zero,
        key_form: KeyForm::Hex,
        signature_encoding: SignatureEncoding::Base64,
        timestamp_unit: TimestampUnit::S,
        identity_optional: true,
    };
    let account = Account {
        token: "30".repeat(32),
        ..Account::demo()
    };
    let platform = platform_with(PlatformOptions {
        switches,
        accounts: vec![account.clone()],
        ..PlatformOptions::default()
    })
    .await;
    let mut body = Ask::studies().body;
    body["phoneNum"] = account.encrypt("13800138000", &switches).into();
    body["idNum"] = "".into();

    let right = Ask::signed_by(&account, PATIENT_STUDIES, "1735689600", &switches, body);
    let reply = right.send(&platform).await.json();

    assert_eq!(reply["code"], 0);
    assert_eq!(reply["data"].as_array().unwrap().len(), 2, "found by telephone alone");
    platform.set_switches(Switches {
        timestamp_unit: TimestampUnit::Ms,
        ..switches
    });
    assert_eq!(right.code(&platform).await, 90_001);
}

#[tokio::test]
async fn tokens_rotate() {
    let old = Account::demo();
    let new = Account {
        token: "fedcba9876543210fedcba9876543210".into(),
        ..Account::demo()
    };
    let ask = |account: &Account, fields_of: &Account| {
        let mut body = Ask::studies().body;
        body["phoneNum"] = fields_of.encrypt("13800138000", &Switches::default()).into();
        body["idNum"] = fields_of.encrypt("11010119000101009X", &Switches::default()).into();
        Ask::signed_by(
            account,
            PATIENT_STUDIES,
            &NOW_MS.to_string(),
            &Switches::default(),
            body,
        )
    };
    let platform = platform().await;
    assert_eq!(ask(&new, &new).code(&platform).await, 90_002);

    platform.put_account(Account {
        previous_token: Some(old.token.clone()),
        ..new.clone()
    });
    assert_eq!(ask(&new, &new).code(&platform).await, 0);
    assert_eq!(ask(&old, &old).code(&platform).await, 0);
    assert_eq!(
        ask(&new, &old).code(&platform).await,
        10_005,
        "fields under another token than the signature"
    );

    assert!(platform.switch_token("900001", &new.token));
    assert_eq!(ask(&old, &old).code(&platform).await, 90_002);
    assert!(!platform.switch_token("900009", &new.token));
}

#[tokio::test]
async fn the_clock_can_be_off_and_says_so() {
    let platform = platform().await;
    platform.set_clock_offset(-3_600_000);

    let reply = Ask::studies().send(&platform).await;

    assert_eq!(reply.json()["code"], 90_001);
    assert_eq!(reply.header("date"), Some("Tue, 31 Dec 2024 23:00:00 GMT"));
}

#[tokio::test]
async fn data_in_refusals_takes_the_form_asked_for() {
    let platform = platform().await;
    let refused = Ask::studies().header("signature", "0");
    let mut seen = Vec::new();
    for form in [
        DataOnError::Null,
        DataOnError::Absent,
        DataOnError::EmptyObject,
        DataOnError::EmptyList,
    ] {
        platform.set_data_on_error(form);
        seen.push(refused.send(&platform).await.json().get("data").map(Value::to_string));
    }
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(seen, [some("null"), None, some("{}"), some("[]")]);
}
