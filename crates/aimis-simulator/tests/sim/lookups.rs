//! What is found: flags, kinds, windows, links, and what another patient's report says.

use crate::ask::{Ask, platform};
use aimis_simulator::{PATIENT_CONSULTATIONS, PATIENT_REPORT_URL, Patient, Platform, Study};
use serde_json::{Value, json};

async fn found(platform: &Platform, ask: Ask) -> Vec<String> {
    let reply = ask.send(platform).await.json();
    assert_eq!(reply["code"], 0, "{reply}");
    let ids = reply["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|study| study["studyId"].as_str().unwrap().to_owned());
    ids.collect()
}

fn person(phone: &str, id: &str) -> Ask {
    Ask::studies().encrypted("phoneNum", phone).encrypted("idNum", id)
}

#[tokio::test]
async fn data_flags_go_by_the_studys_hospital_and_consortium() {
    let platform = platform().await;
    let flag = |flag: i64| found(&platform, Ask::studies().field("dataFlag", flag));

    assert_eq!(flag(0).await, ["S1001", "S1002", "S1003", "S1004"]);
    assert_eq!(flag(1).await, ["S1001", "S1002"]);
    assert_eq!(flag(2).await, ["S1003", "S1004"]);
    assert_eq!(flag(3).await, ["S1001", "S1002", "S1003"]);
    assert_eq!(flag(4).await, ["S1004"]);
}

#[tokio::test]
async fn each_kind_is_a_list_of_its_own() {
    let platform = platform().await;
    let of = |kind: i64| {
        let all = Ask::studies()
            .field("dataFlag", 0)
            .field("studyDateBegin", "2000-01-01 00:00:00");
        found(&platform, all.field("studyType", kind))
    };

    assert_eq!(of(0).await.len(), 5);
    assert_eq!(of(1).await, ["S1005"]);
    assert_eq!(of(2).await, ["S1006"]);
    assert_eq!(of(3).await, ["S1007"]);
    assert_eq!(of(4).await, ["S1008"]);
    assert_eq!(of(5).await, ["S1009"]);
}

#[tokio::test]
async fn both_ends_belong_to_the_window() {
    let platform = platform().await;
    let within = |begin: &str, end: &str| {
        found(
            &platform,
            Ask::studies().field("studyDateBegin", begin).field("studyDateEnd", end),
        )
    };

    assert_eq!(
        within("2024-12-05 09:30:00", "2024-12-20 14:00:00").await,
        ["S1001", "S1002"]
    );
    assert_eq!(within("2024-12-05 09:30:01", "2024-12-20 14:00:00").await, ["S1002"]);
    assert_eq!(within("2024-12-05 09:30:00", "2024-12-20 13:59:59").await, ["S1001"]);
}

#[tokio::test]
async fn a_study_has_every_documented_field() {
    let platform = platform().await;

    let reply = Ask::studies().send(&platform).await.json();

    let study = reply["data"][0].as_object().unwrap();
    let names = "hisId reportId studyType studyDate studyId bodyPart studyName applyDoctor applyDoctorId applyDept \
                 applyDeptId uniAppId uniPath h5Url h5DetailUrl";
    assert!(study.keys().eq(names.split_whitespace()), "{study:?}");
    assert!(study["studyType"].is_u64());
    assert!(study["h5Url"].as_str().unwrap().contains("?rid=RS1001&ts="));
}

#[tokio::test]
async fn nobody_is_found_by_half_a_name() {
    let platform = platform().await;

    let none: [&str; 0] = [];
    assert_eq!(
        found(&platform, person("13800138001", "11010119000101009X")).await,
        none
    );
    assert_eq!(
        found(&platform, person("13800138000", "11010119000101009x")).await,
        none
    );
    assert_eq!(
        found(&platform, person("13800138003", "110101190001010014")).await,
        none,
        "a patient without studies"
    );
    platform.set_empty_is_100004(true);
    assert_eq!(
        person("13800138003", "110101190001010014").code(&platform).await,
        100_004
    );
}

#[tokio::test]
async fn patients_and_studies_can_be_added() {
    let platform = platform().await;
    platform.add_patient(Patient::new("测试患者丙", "E00000001", "13800138009"));

    assert!(platform.add_study(
        "E00000001",
        Study::new("S9001", 0, "2024-12-02 00:00:00", "H0009", "U0009")
    ));
    assert!(!platform.add_study(
        "E00000002",
        Study::new("S9002", 0, "2024-12-02 00:00:00", "H0009", "U0009")
    ));

    let ask = person("13800138009", "E00000001")
        .field("hospitalId", "H0009")
        .field("unionId", "U0009");
    assert_eq!(found(&platform, ask).await, ["S9001"]);
}

#[tokio::test]
async fn a_report_link_is_its_owners_alone() {
    let platform = platform().await;
    let body = |name: &str| Ask::studies().body[name].clone();
    let person = json!({ "phoneNum": body("phoneNum"), "idNum": body("idNum"), "hospitalId": "H0001" });
    let ask = |report: &str| Ask::of(PATIENT_REPORT_URL, person.clone()).field("reportId", report);

    let data = ask("RS1001").send(&platform).await.json()["data"].clone();

    let keys: Vec<_> = data.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["h5Url", "h5DetailUrl", "studyId"]);
    assert_eq!(data["studyId"], "S1001");
    assert_eq!(ask("RS9999").code(&platform).await, 30_003);
    assert_eq!(ask("RS2001").code(&platform).await, 30_009);
    assert_eq!(
        ask("RS1001").encrypted("phoneNum", "13800138001").code(&platform).await,
        30_009
    );
    assert_eq!(ask("RS1001").field("hospitalId", "H9999").code(&platform).await, 20_016);
}

#[tokio::test]
async fn consultations_are_one_link_or_no_data() {
    let platform = platform().await;
    let of = |phone: &str, id: &str| {
        let who = person(phone, id).body;
        let body = json!({ "hisId": "1", "hospitalId": "H0001", "unionId": "U0001" });
        Ask::of(PATIENT_CONSULTATIONS, body)
            .field("phoneNum", who["phoneNum"].clone())
            .field("idNum", who["idNum"].clone())
    };

    let data: Value = of("13800138000", "11010119000101009X").send(&platform).await.json()["data"].clone();

    assert_eq!(data.as_object().unwrap().len(), 1);
    assert!(
        data["h5Url"]
            .as_str()
            .unwrap()
            .starts_with("https://imaging.example.com/consultations?")
    );
    assert_eq!(of("13800138002", "H12345678").code(&platform).await, 100_004);
}
