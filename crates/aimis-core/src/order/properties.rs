//! What holds for every order: one canonical form for one question, and no plaintext number in a protected body.

use proptest::prelude::*;
use serde_json::json;

use super::tests::{ID, STUDIES, body, canonical, cipher, members, order, with};
use super::*;
use crate::datetime::Date;

/// Spellings of one telephone number.
fn spelt_phone() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "13800138000",
        "138 0013 8000",
        "+8613800138000",
        "+86 138-0013-8000",
        "008613800138000",
        "8613800138000",
        "013800138000",
        "１３８００１３８０００",
        "13800138000\0",
        "\u{3000}13800138000",
    ])
    .prop_map(str::to_owned)
}

/// Spellings of one identity number.
fn spelt_id() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        ID,
        "11010119000101009x",
        "110101 19000101 009X",
        "１１０１０１１９０００１０１００９Ｘ",
        " 11010119000101009X ",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn one_question_has_one_canonical_form(
        phone in spelt_phone(), id in spelt_id(), swapped in Just(members()).prop_shuffle(), text in any::<bool>(),
    ) {
        let mut given = swapped;
        for (name, value) in &mut given {
            match *name {
                "phoneNum" => *value = json!(phone),
                "idNum" => *value = json!(id),
                "usage" if text => *value = json!("0"),
                "studyDateEnd" if text => *value = json!("2024-12-31"),
                _ => {}
            }
        }
        let (spelt, plain) = (order(&given, &Rules::default()), order(&members(), &Rules::default()));
        prop_assert_eq!(canonical(&spelt), canonical(&plain));
        prop_assert_eq!(body(&spelt), body(&plain));
    }

    #[test]
    fn different_values_have_different_canonical_forms(one in "[a-z0]{0,3}", other in "[a-z0]{0,3}", third in "[a-z]{0,3}") {
        let of = |his: &str, name: &str| order(&with(&[("hisId", json!(his)), ("patientName", json!(name))]), &Rules::default());
        let (a, b) = (of(&one, &third), of(&other, &third));
        prop_assert_eq!(canonical(&a) == canonical(&b), one == other);
        // Nor does it matter where one field ends and the next begins.
        let (a, b) = (of(&format!("{one}{third}"), &other), of(&one, &format!("{third}{other}")));
        prop_assert_eq!(canonical(&a) == canonical(&b), third.is_empty());
    }

    #[test]
    fn a_protected_body_is_json_in_which_the_numbers_are_ciphertext(
        phone in "\\PC{1,30}", id in "\\PC{1,30}", name in any::<String>(), his in any::<String>(), mode in 0..2usize,
    ) {
        let rules = Rules { identity_mode: [IdentityMode::Off, IdentityMode::Warn][mode], missing: MissingIdentity::EncryptEmpty, ..Rules::default() };
        let given = with(&[("phoneNum", json!(phone)), ("idNum", json!(id)), ("patientName", json!(name)), ("hisId", json!(his))]);
        let order = order(&given, &rules);
        let sent: serde_json::Value = serde_json::from_str(&body(&order)).unwrap();

        for (key, value) in sent.as_object().unwrap() {
            let text = value.as_str().unwrap_or_default();
            if STUDIES.field(key).unwrap().kind.is_encrypted() {
                prop_assert!(text.len() % 32 == 0 && text.bytes().all(|b| b.is_ascii_hexdigit()));
                let opened = cipher().decrypt(text).unwrap();
                prop_assert_eq!(Some(opened.expose()), order.text(key));
            } else if value.is_string() {
                prop_assert_eq!(Some(text), order.text(key));
            }
        }
    }

    #[test]
    fn no_members_panic(names in prop::collection::vec(0..11usize, 0..14), texts in prop::collection::vec(any::<String>(), 14)) {
        let mut builder = OrderBuilder::new(&STUDIES, 16);
        for (at, text) in names.iter().zip(&texts) {
            let name = STUDIES.fields()[*at].name.clone();
            let _ = builder.set(&name, Value::Text(text));
            let _ = builder.forward(text, Value::Number(text));
        }
        let rules = Rules { default_range_days: u32::MAX, today: Date::new(1, 1, 1), upgrade_15: true, ..Rules::default() };
        if let Ok(order) = builder.finish(&rules) {
            let _ = body(&order);
        }
    }
}
