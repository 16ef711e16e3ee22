use super::*;
use crate::callback::decode;
use crate::callback::hospital::Hospitals;
use crate::callback::verify::Rules;
use crate::config::CallbackSignature;
use crate::tenant::TenantName;
use aimis_core::cipher::{HexCase, Padding};
use aimis_core::sign::{SignatureEncoding, Signer, TimestampUnit};
use aimis_core::token::{KeyForm, Token};
use aimis_simulator::{Account, Callback, Switches};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_735_689_600_000);
const SIGNED: Proof = Proof::Signed { at: NOW, signer: 0 };

fn hospital() -> Hospital {
    let account = Account::demo();
    let token = Token::parse(account.token.as_bytes(), KeyForm::Raw).unwrap();
    Hospital {
        name: TenantName::new("first-hospital"),
        app_id: account.app_id,
        hospital_id: Some(account.hospital_id),
        rules: Rules {
            signature: CallbackSignature::IfPresent,
            past_ms: 300_000,
            ahead_ms: 60_000,
        },
        signers: vec![Signer::new(
            &token,
            SignatureEncoding::HexLower,
            TimestampUnit::Milliseconds,
        )],
        ciphers: vec![FieldCipher::new(&token, Padding::Pkcs7, HexCase::Lower)],
        sent: None,
        secret: None,
        networks: None,
        link_hosts: None,
    }
}

fn fields(callback: &Callback) -> Value {
    callback
        .fields(&Account::demo(), &Switches::default())
        .into_iter()
        .collect()
}

fn opened(body: &Value, hospital: &Hospital, proof: Proof) -> Result<(Opened, Vec<CallbackRepair>), CallbackRefusal> {
    let mut members = decode::read(body.to_string().as_bytes(), None).unwrap();
    let opened = open(&mut members, hospital, proof, &Tags::new(&[7; 32]), NOW, NOW)?;
    Ok((opened, members.repairs))
}

fn payload(opened: &Opened) -> Value {
    serde_json::from_slice(opened.event.payload.as_bytes()).unwrap()
}

#[test]
fn a_callback_is_what_the_platform_said_in_the_clear() {
    let body = fields(&Callback::demo());

    let (opened, repairs) = opened(&body, &hospital(), SIGNED).unwrap();

    let mut wanted = body;
    wanted["phoneNum"] = "13800138000".into();
    wanted["idNum"] = "11010119000101009X".into();
    assert_eq!(payload(&opened), wanted);
    assert_eq!(repairs, []);
    assert_eq!(opened.event.quarantine, None);
    assert_eq!(
        (&**opened.patient.phone_num, &**opened.patient.id_num),
        ("13800138000", "11010119000101009X")
    );
    let signed = opened.event.signed.unwrap();
    assert_eq!(
        (signed.signed_at, signed.valid_until.as_millis()),
        (NOW, NOW.as_millis() + 300_000)
    );
}

#[test]
fn what_is_not_known_is_passed_on_and_what_is_ours_is_not() {
    let callback = Callback::demo()
        .status(7)
        .with("extra", json!({"deep": [1, "x"]}))
        .with("verified", "signed")
        .with("eventId", "evt_0")
        .with("receivedAt", 1);

    let (opened, _) = opened(&fields(&callback), &hospital(), SIGNED).unwrap();

    let payload = payload(&opened);
    assert_eq!(
        (&payload["status"], &payload["extra"]),
        (&json!(7), &json!({"deep": [1, "x"]}))
    );
    for ours in ["verified", "eventId", "receivedAt"] {
        assert_eq!(payload.get(ours), None);
    }
}

#[test]
fn our_names_are_left_out_in_any_case_since_many_readers_know_none() {
    let callback = Callback::demo()
        .with("EventId", "evt_0")
        .with("VERIFIED", "signed")
        .with("Undecrypted", json!([]));

    let (opened, _) = opened(&fields(&callback), &hospital(), SIGNED).unwrap();

    for name in payload(&opened).as_object().unwrap().keys() {
        assert!(!OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)), "{name}");
    }
}

/// What is remembered of a signature is compared with the times of arrivals, and these are the machine's.
#[test]
fn the_time_of_a_signature_is_kept_as_the_machines_clock_has_it() {
    for (machine, signed_at) in [(NOW.as_millis() + 600_000, NOW), (NOW.as_millis() - 600_000, NOW)] {
        let mut members = decode::read(fields(&Callback::demo()).to_string().as_bytes(), None).unwrap();
        let proof = Proof::Signed {
            at: signed_at,
            signer: 0,
        };
        let machine = Timestamp::from_millis(machine);
        let signing = Timestamp::from_millis(NOW.as_millis() + 1_000);

        let opened = open(&mut members, &hospital(), proof, &Tags::new(&[7; 32]), machine, signing).unwrap();

        let signed = opened.event.signed.unwrap();
        assert_eq!(signed.signed_at.as_millis(), machine.as_millis() - 1_000);
        assert_eq!(signed.valid_until.as_millis(), machine.as_millis() + 299_000);
        assert_eq!(opened.event.received_at, machine);
    }
}

#[test]
fn numbers_and_texts_are_repaired_and_equal_bodies_are_one() {
    let plain = fields(&Callback::demo().with("patientId", "42"));
    let odd = fields(
        &Callback::demo()
            .with("status", " 3 ")
            .with("studyType", "0")
            .with("patientId", 42),
    );

    let (plain, none) = opened(&plain, &hospital(), SIGNED).unwrap();
    let (odd, repairs) = opened(&odd, &hospital(), SIGNED).unwrap();

    assert_eq!(none, []);
    assert_eq!(repairs, [CallbackRepair::NumberAsText, CallbackRepair::TextAsNumber]);
    assert_eq!(payload(&plain), payload(&odd));
    assert!(plain.event.identity == odd.event.identity && plain.event.body == odd.event.body);
}

#[test]
fn the_identity_is_that_of_hospital_study_report_and_status() {
    let of = |callback: Callback| opened(&fields(&callback), &hospital(), SIGNED).unwrap().0.event;
    let first = of(Callback::demo());
    let same = of(Callback::demo().with("studyName", "revised"));
    assert!(same.identity == first.identity && same.study == first.study && same.body != first.body);
    let status = of(Callback::demo().status(1));
    assert!(status.identity != first.identity && status.study == first.study);
    assert_ne!(of(Callback::demo().study("S2")).study, first.study);
}

#[test]
fn without_status_hospital_or_study_it_is_no_callback() {
    for callback in [
        Callback::demo().without("status"),
        Callback::demo().with("status", "three"),
        Callback::demo().with("status", 1.5),
        Callback::demo().with("status", Value::Null),
        Callback::demo().without("hospitalId"),
        Callback::demo().with("hospitalId", ""),
        Callback::demo().without("studyId"),
        Callback::demo().with("studyId", json!(["S"])),
        Callback::demo().with("reportId", json!({})),
    ] {
        assert_eq!(
            opened(&fields(&callback), &hospital(), SIGNED).err(),
            Some(CallbackRefusal::Field)
        );
    }
    let bare = Callback::demo()
        .without("reportId")
        .without("h5DetailUrl")
        .without("patientId");
    assert!(opened(&fields(&bare), &hospital(), SIGNED).is_ok());
}

/// Personal fields that are no number of a person under the demo token.
fn spoilt() -> Vec<Value> {
    let account = Account::demo();
    let sealed = |text: &str| account.encrypt(text, &Switches::default());
    let good = sealed("11010119000101009X");
    let mut tampered = good.clone().into_bytes();
    tampered[3] = if tampered[3] == b'0' { b'1' } else { b'0' };
    let swapped = format!("{}{}", &good[32..], &good[..32]);
    let other = Account {
        token: "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$".to_owned(),
        ..Account::demo()
    };
    vec![
        good[..32].into(),
        good[..30].into(),
        String::from_utf8(tampered).unwrap().into(),
        swapped.into(),
        other.encrypt("11010119000101009X", &Switches::default()).into(),
        sealed("<script>").into(),
        sealed("https://evil.example/").into(),
        sealed("abc").into(),
        "11010119000101009X".into(),
        json!(13_800_138_000_u64),
        json!(["x"]),
    ]
}

#[test]
fn what_does_not_decrypt_to_a_number_is_quarantined_when_signed_and_refused_when_not() {
    for spoilt in spoilt() {
        for field in ["phoneNum", "idNum"] {
            let body = fields(&Callback::demo().with(field, spoilt.clone()));
            assert_eq!(
                opened(&body, &hospital(), Proof::Unsigned).err(),
                Some(CallbackRefusal::Cipher),
                "{field} {spoilt}"
            );
            let (opened, _) = opened(&body, &hospital(), SIGNED).unwrap();
            assert_eq!(
                opened.event.quarantine,
                Some(QuarantineReason::Undecryptable),
                "{field} {spoilt}"
            );
            let payload = payload(&opened);
            assert_eq!((&payload[field], &payload["undecrypted"]), (&spoilt, &json!([field])));
        }
    }
}

#[test]
fn a_number_may_be_empty_but_something_has_to_show_where_it_comes_from() {
    let nothing = Account::demo().encrypt("", &Switches::default());
    for empty in [json!(""), Value::Null, json!(nothing)] {
        let one = fields(&Callback::demo().with("phoneNum", empty.clone()));
        let (one, _) = opened(&one, &hospital(), Proof::Unsigned).unwrap();
        assert_eq!(
            (one.event.quarantine, payload(&one)["phoneNum"].clone()),
            (None, json!(""))
        );
        let both = fields(&Callback::demo().with("phoneNum", empty.clone()).with("idNum", empty));
        assert_eq!(
            opened(&both, &hospital(), Proof::Unsigned).err(),
            Some(CallbackRefusal::Cipher)
        );
        assert_eq!(opened(&both, &hospital(), SIGNED).unwrap().0.event.quarantine, None);
    }
}

#[test]
fn another_hospital_and_another_host_are_quarantined() {
    let foreign = fields(&Callback::demo().with("hospitalId", "H9999"));
    let opened_foreign = opened(&foreign, &hospital(), SIGNED).unwrap().0;
    assert_eq!(opened_foreign.event.quarantine, Some(QuarantineReason::Hospital));
    let anybody = Hospital {
        hospital_id: None,
        ..hospital()
    };
    assert_eq!(opened(&foreign, &anybody, SIGNED).unwrap().0.event.quarantine, None);

    let strict = Hospital {
        link_hosts: Some(Vec::new()),
        ..hospital()
    };
    let stray = opened(&fields(&Callback::demo()), &strict, SIGNED).unwrap().0;
    assert_eq!(stray.event.quarantine, Some(QuarantineReason::LinkHost));
}

#[test]
fn the_same_signature_in_another_case_is_the_same() {
    let of = || {
        opened(&fields(&Callback::demo()), &hospital(), SIGNED)
            .unwrap()
            .0
            .event
            .signed
            .unwrap()
    };
    assert_eq!(of().triple, of().triple);
    let later = Proof::Signed {
        at: Timestamp::from_millis(NOW.as_millis() + 1),
        signer: 0,
    };
    let later = opened(&fields(&Callback::demo()), &hospital(), later).unwrap().0;
    assert_ne!(later.event.signed.unwrap().triple, of().triple);
}

#[test]
fn nobody_is_a_tenant_whose_callbacks_never_open() {
    let rules = hospital().rules;
    let hospitals = Hospitals::new(vec![hospital()], rules).unwrap();

    assert!(hospitals.find("first-hospital").1);
    let (nobody, known) = hospitals.find("second-hospital");

    assert!(!known);
    let body = fields(&Callback::demo());
    assert_eq!(
        opened(&body, nobody, Proof::Unsigned).err(),
        Some(CallbackRefusal::Cipher)
    );
}

#[test]
fn shapes_are_those_of_numbers() {
    for phone in [
        "13800138000",
        "+86 138-0013-8000",
        "010-12345678",
        "(0571)88888888",
        "无",
        "-",
        "138****8000",
    ] {
        assert!(is_phone(phone), "{phone}");
    }
    for phone in [
        "11010119000101009X",
        "110101190001010098",
        "1234",
        "138001380a0",
        "１２３\u{1}４５",
    ] {
        assert!(!is_phone(phone), "{phone}");
    }
    for id in [
        "11010119000101009X",
        "11010119000101009x",
        "H1234567890",
        "A123456(7)",
        "军字第12345号",
        "不详",
    ] {
        assert!(is_id(id), "{id}");
    }
    for id in [
        "abc",
        "<12345>",
        "1234 5678 9012 3456 7890 1234 5678 9012 3",
        "12345\u{0}{}",
    ] {
        assert!(!is_id(id), "{id}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic_and_what_is_stored_is_an_object(
        names in prop::collection::vec(prop::sample::select(vec![
            "status", "phoneNum", "idNum", "hospitalId", "studyId", "reportId", "h5Url", "studyType", "x", "undecrypted",
        ]), 0..10),
        values in prop::collection::vec(prop_oneof![
            Just(json!(3)), Just(json!("3")), Just(json!("H0001")), Just(json!(null)), Just(json!([1, {"a": "b"}])),
            Just(json!(true)), Just(json!("554fb5befba4daabdb8169e45db64485")), "\\PC{0,8}".prop_map(Value::from),
        ], 10),
        signed in any::<bool>(),
    ) {
        let body: Value = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        let proof = if signed { SIGNED } else { Proof::Unsigned };
        if let Ok((opened, _)) = opened(&body, &hospital(), proof) {
            prop_assert!(payload(&opened).is_object());
        }
    }
}
