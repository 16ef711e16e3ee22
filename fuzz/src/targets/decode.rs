//! Bodies of queries in every dialect: read without a panic, and what comes of them holds promise P2 whatever they are.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use aimis_core::cipher::{FieldCipher, HexCase, Padding};
use aimis_core::contract::{self, Contract, ID_NUM, PHONE_NUM};
use aimis_core::order::{IdentityMode, MissingIdentity, Order, OrderBuilder, RepairMode, Rules};
use aimis_core::token::{KeyForm, Token};
use aimis_gateway::config::UnknownFields;
use aimis_gateway::forward::decode::{self, Dialects};
use aimis_gateway::rejection::Rejection;
use http::HeaderValue;
use serde::de::{Deserializer as _, MapAccess, Visitor};

use super::{TOKEN, Target};

pub(super) const TARGET: Target = Target {
    name: "decode",
    seeds: SEEDS,
    corpus: None,
    run,
};

/// The first character chooses label and rules, the rest is the body.
const SEEDS: &[&str] = &[
    r#"0{"reportId":"R1","phoneNum":"13800138000","idNum":"11010119000101009X","hospitalId":"H0001"}"#,
    r#"1{"ReportID":4711,"PHONENUM":13800138000,"sfzh":"11010119000101009x","hospitalId":" H0001 ","x":[{}]}"#,
    r#"2{"data":{"reportId":"R1","phoneNum":"+86 138-0013-8000","idNum":"110101000101001","hospitalId":"H0001"}}"#,
    r#"3{"param":"{\"reportId\":\"R1\",\"phoneNum\":\"13800138000\",\"idNum\":\"-\",\"hospitalId\":\"H\"}"}"#,
    r#"4"{\"reportId\":\"R1\",\"phoneNum\":\"13800138000\",\"idNum\":\"11010119000101009X\",\"hospitalId\":\"H\"}""#,
    "5reportId=R1&phoneNum=13800138000&idNum=11010119000101009X&hospitalId=H0001&ward=3",
    "6reportId=%u5F20&phoneNum=%31%33800138000&idNum=%D5%C5&hospitalId=H%2B1",
    r#"7param={"reportId":"A+B & 100%","phoneNum":"13800138000","idNum":"11010119000101009X","hospitalId":"H"}&x=1"#,
    "8data=%7b%22reportId%22%3a%22R%22%2c%22phoneNum%22%3a%2213800138000%22%2c%22idNum%22%3anull%2c%22hospitalId%22%3a%22H%22%7d",
    "9--XX\r\nContent-Disposition: form-data; name=\"reportId\"\r\n\r\nR1\r\n--XX\r\nContent-Disposition: form-data; name=phoneNum\r\n\r\n13800138000\r\n--XX\r\nContent-Disposition: form-data; name=hospitalId\r\n\r\nH\r\n--XX--",
    r#"0{ "phoneNum" : "13800138000" ,"idNum":null,"hospitalId":"H-1","reportId":"张三"}"#,
    r#"0{"phoneNum":13800138000,"idNum":"11010119000101009X","reportId":"a"b","hospitalId":"H","hospitalId":"H"} "#,
    "\u{feff}{}",
    "a<?xml version=\"1.0\"?><phoneNum>13800138000</phoneNum>",
    "b{\"idNum\":1.1010119e17,\"phoneNum\":\"１３８００１３８０００\",\"reportId\":2.0,\"hospitalId\":true}\0\0",
];

const LABELS: [Option<&str>; 8] = [
    Some("application/json; charset=utf-8"),
    Some("application/json; charset=GBK"),
    Some("application/x-www-form-urlencoded"),
    Some("multipart/form-data; boundary=XX"),
    Some("multipart/form-data"),
    Some("text/plain; charset=iso-8859-1"),
    Some("text/xml; charset=big5"),
    None,
];

static CONTRACT: LazyLock<Arc<Contract>> = LazyLock::new(|| Arc::new(contract::patient_report_url()));
static CIPHER: LazyLock<FieldCipher> = LazyLock::new(|| {
    let token = Token::parse(TOKEN, KeyForm::Raw).expect("a sound token");
    FieldCipher::new(&token, Padding::Pkcs7, HexCase::Lower)
});
static DIALECTS: LazyLock<[Dialects; 2]> = LazyLock::new(|| {
    let dialects = |unknown_fields, any_key_case| Dialects {
        form_fields: vec!["param".into(), "data".into()],
        unknown_fields,
        any_key_case,
        aliases: vec![("sfzh".into(), ID_NUM.into())],
    };
    [
        dialects(UnknownFields::Drop, false),
        dialects(UnknownFields::Forward, true),
    ]
});

fn run(input: &[u8]) {
    let (&choice, body) = input.split_first().unwrap_or((&0, &[]));
    let label = LABELS[usize::from(choice) % LABELS.len()].map(HeaderValue::from_static);
    for dialects in DIALECTS.iter() {
        for identity_mode in [IdentityMode::Off, IdentityMode::Warn, IdentityMode::Strict] {
            let rules = Rules {
                identity_mode,
                missing: [MissingIdentity::EncryptEmpty, MissingIdentity::Omit][usize::from(choice) / 8 % 2],
                upgrade_15: choice.is_multiple_of(5),
                ..Rules::default()
            };
            check(body, label.as_ref(), dialects, &rules);
        }
    }
}

fn check(body: &[u8], label: Option<&HeaderValue>, dialects: &Dialects, rules: &Rules) {
    let read = || {
        let mut order = OrderBuilder::new(&CONTRACT, body.len());
        decode::read(body, label, dialects, &mut order).map(|unknown| (order, unknown))
    };
    same_in_full(body, label, dialects, rules, read());
    let Ok((order, unknown)) = read() else { return };
    let strict = Rules {
        repair: RepairMode::Refuse,
        ..*rules
    };
    let refused = read().is_ok_and(|(order, _)| order.finish(&strict).is_err());
    match order.finish(rules) {
        Err(problems) => {
            assert!(refused, "a strict client is let through where others are not");
            for problem in problems {
                let told = format!("{problem} {} {}", problem.hint_en(), problem.hint_zh());
                assert!(!told.contains("13800138000"), "a refusal repeats a value");
            }
        }
        Ok(order) => {
            let repaired = order.repairs().len() > 0 || !unknown.is_empty();
            assert_eq!(refused, repaired, "strict means no repair");
            protected(&order);
        }
    }
}

type Read = Result<(OrderBuilder, Vec<(String, decode::members::Unknown)>), Rejection>;

/// The quick reader of plain bodies says what the full one says.
fn same_in_full(body: &[u8], label: Option<&HeaderValue>, dialects: &Dialects, rules: &Rules, quick: Read) {
    let mut order = OrderBuilder::new(&CONTRACT, body.len());
    let full = decode::read_in_full(body, label, dialects, &mut order).map(|unknown| (order, unknown));
    let told = |read: Read| {
        read.map_err(|rejection| format!("{rejection:?}"))
            .map(|(order, unknown)| {
                let judged = order.finish(rules).map(|order| {
                    let mut canonical = Vec::new();
                    order.canonical(&mut canonical);
                    let repairs: Vec<_> = order.repairs().map(|repair| repair.to_string()).collect();
                    let warnings: Vec<_> = order.warnings().map(|warning| warning.to_string()).collect();
                    (canonical, repairs, warnings)
                });
                (judged, unknown)
            })
    };
    assert_eq!(told(quick), told(full), "the quick reader says something else");
}

fn protected(order: &Order) {
    let body = order.protected_body(&CIPHER);
    let sent = std::str::from_utf8(body.as_bytes()).expect("a body is UTF-8");
    let mut json = serde_json::Deserializer::from_str(sent);
    let members = json.deserialize_map(Members).expect("a body is a JSON object");
    json.end().expect("nothing follows it");
    let names: BTreeSet<_> = members.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), members.len(), "two members of one name");
    for (name, _) in &members {
        let alike = CONTRACT.index_in_any_case(name);
        assert_eq!(alike, CONTRACT.index(name), "a member looks like a field");
    }
    for name in [PHONE_NUM, ID_NUM] {
        let value = members.iter().find(|(other, _)| other == name).map(|(_, value)| value);
        assert_eq!(value.is_some(), order.text(name).is_some());
        let (Some(value), Some(plain)) = (value, order.text(name)) else {
            continue;
        };
        let text = value.as_str().expect("a ciphertext is text");
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        assert!(
            hex && !text.is_empty() && text.len().is_multiple_of(32),
            "no ciphertext"
        );
        assert_eq!(CIPHER.decrypt(text).expect("our own ciphertext").expose(), plain);
        // Short texts stand in hex by chance, and the caller may put the number into another member as well.
        let elsewhere = members.iter().any(|(other, value)| {
            other.contains(plain) || (other != PHONE_NUM && other != ID_NUM && value.to_string().contains(plain))
        });
        if plain.len() >= 11 && !elsewhere {
            assert!(!sent.contains(plain), "{name} leaves in clear");
        }
    }
}

/// All members, repeated ones too.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, serde_json::Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_come_through_to_an_order() {
        let through = |seed: &&&str| {
            let (choice, body) = seed.as_bytes().split_first().expect("a seed has a choice");
            let label = LABELS[usize::from(*choice) % LABELS.len()].map(HeaderValue::from_static);
            let mut order = OrderBuilder::new(&CONTRACT, body.len());
            let rules = Rules {
                missing: MissingIdentity::EncryptEmpty,
                ..Rules::default()
            };
            decode::read(body, label.as_ref(), &DIALECTS[1], &mut order).is_ok() && order.finish(&rules).is_ok()
        };
        let failed: Vec<_> = SEEDS.iter().filter(|seed| !through(seed)).collect();
        assert_eq!(failed.len(), 4, "{failed:?}");
    }
}
