//! What the platform says: its time, and what it makes of our signature and ids.

use aimis_simulator::{Account, Fault};

use super::{Patient, assert_broken, finding, platform};

#[tokio::test]
async fn a_wrong_clock_is_the_first_thing_to_set_right() {
    let platform = platform().await;
    platform.set_clock_offset(400_000);
    let patient = Patient::of(&platform);

    let (status, document) = patient.examined(&[]).await;

    assert_eq!(status, 1);
    let clock = finding(&document, "clock");
    assert_eq!(clock["verdict"], "fail");
    let found = clock["found"].as_str().unwrap();
    assert!(
        found.starts_with("your clock is ") && found.ends_with(" s slow"),
        "{found}"
    );
    assert!(
        clock["fix"].as_str().unwrap().contains("clock.auto_correct"),
        "{clock:#}"
    );
    let probe = finding(&document, "probe");
    assert_eq!(probe["verdict"], "fail", "400 s are more than the platform takes");
    assert!(
        probe["fix"].as_str().unwrap().starts_with("Set the clock right first"),
        "{probe:#}"
    );

    let mut corrected = Patient::of(&platform);
    corrected.tenant += "hospital_id = \"H0001\"\nunion_id = \"U0001\"\n\
                         [clock]\nauto_correct = true\nmax_correction_ms = 600000\n";
    let (status, document) = corrected.examined(&[]).await;
    assert_eq!(status, 0, "{document:#}");
    assert_eq!(finding(&document, "clock")["verdict"], "warn");
    assert_eq!(finding(&document, "probe")["verdict"], "ok", "as the gateway would ask");

    platform.set_clock_offset(-10_000);
    let (status, document) = patient.examined(&[]).await;
    assert_eq!(status, 0, "{document:#}");
    let clock = finding(&document, "clock");
    assert_eq!(clock["verdict"], "warn");
    assert!(clock["found"].as_str().unwrap().ends_with(" s fast"), "{clock:#}");
    assert_eq!(finding(&document, "probe")["verdict"], "ok");
}

#[tokio::test]
async fn a_token_or_an_id_that_the_platform_does_not_know_is_told_by_its_key() {
    let platform = platform().await;
    let patient = Patient::of(&platform);
    platform.switch_token("900001", "fedcba9876543210fedcba9876543210");
    let keys = ["tenants[0].app_id", "tenants[0].token_file"];
    assert_broken(&patient.examined(&[]).await, "probe", &[], &keys);
    platform.put_account(Account::demo());

    for (ids, key) in [
        ("hospital_id = \"H9\"\nunion_id = \"U0001\"\n", "tenants[0].hospital_id"),
        ("hospital_id = \"H0001\"\nunion_id = \"U9\"\n", "tenants[0].union_id"),
    ] {
        let mut patient = Patient::of(&platform);
        patient.tenant += ids;
        assert_broken(&patient.examined(&[]).await, "probe", &[], &[key]);
    }
}

#[tokio::test]
async fn an_id_that_nobody_configured_is_not_called_wrong() {
    let platform = platform().await;
    for ids in ["# hospital_id\n", "hospital_id = \"H0001\"\n"] {
        let mut patient = Patient::of(&platform);
        patient.tenant += ids;

        let (status, document) = patient.examined(&[]).await;

        assert_eq!(status, 0, "{document:#}");
        let found = finding(&document, "probe")["found"].as_str().unwrap();
        assert!(found.contains("is configured to ask with"), "{found}");
    }
}

#[tokio::test]
async fn any_other_code_tells_what_is_known_of_the_signature() {
    let platform = platform().await;
    let accepted = "the signature is accepted";
    let unknown = "not whether it accepts the signature";
    for (code, verdict, told) in [
        (10_003, "ok", accepted),
        (100_004, "ok", accepted),
        (50_005, "ok", accepted),
        (20_010, "warn", accepted),
        (30_001, "warn", unknown),
        (90_003, "warn", unknown),
        (90_004, "warn", unknown),
        (777_777, "warn", unknown),
    ] {
        platform.set_fault(Fault::BusinessCode {
            code,
            message: "simulated".to_owned(),
        });

        let (status, document) = Patient::of(&platform).examined(&[]).await;

        let probe = finding(&document, "probe");
        assert_eq!((status, probe["verdict"].as_str().unwrap()), (0, verdict), "{probe:#}");
        let found = probe["found"].as_str().unwrap();
        assert!(found.contains(told), "{code}: {found}");
        assert_eq!(found.contains(accepted), told == accepted, "{code}: {found}");
    }
}

#[tokio::test]
async fn fields_that_do_not_decrypt_are_told_by_the_switches() {
    let platform = platform().await;
    let mut patient = Patient::of(&platform);
    patient.tenant += "hospital_id = \"H0001\"\nunion_id = \"U0001\"\n[crypto]\npadding = \"zero\"\n";

    let keys = [
        "crypto.padding",
        "crypto.hex_case",
        "crypto.key_form",
        "tenants[0].crypto",
    ];
    assert_broken(&patient.examined(&[]).await, "probe", &[], &keys);
}

#[tokio::test]
async fn a_clock_too_far_off_for_the_correction_is_told_so() {
    let platform = platform().await;
    platform.set_clock_offset(400_000);
    for (settings, told, not) in [
        (
            "auto_correct = true",
            "clock.max_correction_ms = 300000",
            "clock.auto_correct = true",
        ),
        (
            "warn_ms = 5000",
            "and clock.max_correction_ms, which is 300000",
            "too far",
        ),
        (
            "max_correction_ms = 500000",
            "clock.auto_correct = true.",
            "max_correction_ms",
        ),
    ] {
        let mut patient = Patient::of(&platform);
        patient.tenant += &format!("hospital_id = \"H0001\"\nunion_id = \"U0001\"\n[clock]\n{settings}\n");

        let (status, document) = patient.examined(&[]).await;

        assert_eq!(status, 1);
        let clock = finding(&document, "clock");
        let fix = clock["fix"].as_str().unwrap();
        assert!(fix.contains(told) && !fix.contains(not), "{settings}: {clock:#}");
    }
    platform.set_clock_offset(100_000_000);
    let (_, document) = Patient::of(&platform).examined(&[]).await;
    let fix = finding(&document, "clock")["fix"].as_str().unwrap();
    assert!(fix.ends_with("it is too far off for clock.auto_correct."), "{fix}");
}

#[tokio::test]
async fn an_answer_that_is_not_the_platforms_is_told() {
    let platform = platform().await;
    for (fault, told) in [
        (Fault::HtmlPage { status: 200 }, "portal"),
        (Fault::ResetBeforeHead, "firewall"),
        (Fault::Hang, "platform.deadline_ms"),
    ] {
        platform.set_fault(fault);
        let examined = Patient::of(&platform).with("deadline_ms = 300").examined(&[]).await;
        assert_broken(&examined, "probe", &[], &[told]);
    }
}
