//! `explain` and `client-key`: what the built binary tells an integrator, and what it keeps to itself.

use serde_json::{Value, json};

use crate::support::binary::command;
use crate::support::directory::Directory;
use crate::support::gateway::{ID_NUMBER, PHONE, studies_query_with};
use crate::support::process::run;

const CLIENTS: &str = "[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.0/16\"\nusage = [0, 2]\n\
                       [[clients]]\nname = \"app\"\nnetworks = \"10.1.0.0/16\"\nstrict = true\n";

fn configuration(directory: &Directory, clients: &str) -> String {
    let token = directory.file("t.token", "0123456789abcdef0123456789abcdef");
    // Nothing listens there: whoever sent something would fail.
    let text = format!(
        "[platform]\nbase_url = \"http://127.0.0.1:1\"\n[[tenants]]\nname = \"first-hospital\"\napp_id = \"900001\"\n\
         token_file = \"{token}\"\nhospital_id = \"H0001\"\nunion_id = \"U0001\"\n{clients}"
    );
    directory.file("gateway.toml", text)
}

/// Exit status, standard output, standard error.
fn explained(config: &str, arguments: &[&str], body: &[u8]) -> (i32, String, String) {
    let output = run(command(&[&["explain", "--config", config], arguments].concat()), body);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_body_is_explained_and_no_person_is_shown() {
    let directory = Directory::new();
    let config = configuration(&directory, "");
    let body =
        studies_query_with(json!({"patientName": "张三丰", "hisId": "P4711", "studyType": "5", "unionId": null}));

    let (status, text, errors) = explained(&config, &["--json"], body.as_bytes());

    assert_eq!(status, 0, "{text}{errors}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["tenant"], "first-hospital");
    assert_eq!(told["repairs"], "studyType=integer-as-string");
    let sent = &told["would_send"];
    assert_eq!(sent["path"], "/thirdparty/patientStudies/900001");
    assert_eq!(sent["requests"][0]["body"]["phoneNum"], "138****8000 (encrypted)");
    assert_eq!(sent["requests"][0]["body"]["idNum"], "1****************X (encrypted)");
    assert_eq!(sent["requests"][0]["body"]["patientName"], "张**");
    assert_eq!(
        (
            &sent["requests"][0]["body"]["studyType"],
            &sent["requests"][0]["body"]["unionId"]
        ),
        (&json!(5), &json!("U0001"))
    );
    for personal in [PHONE, ID_NUMBER, "张三丰", "P4711"] {
        assert!(!text.contains(personal), "{personal}: {text}");
    }
}

#[test]
fn equal_questions_have_one_key_and_others_another() {
    let directory = Directory::new();
    let key = directory.file("tag.key", "0123456789abcdef0123456789abcdef-tags");
    let config = configuration(&directory, &format!("[log]\npatient_tag_key_file = \"{key}\"\n"));
    let key_of = |members: Value| {
        let (status, text, errors) = explained(&config, &["--json"], studies_query_with(members).as_bytes());
        assert_eq!(status, 0, "{errors}");
        let told: Value = serde_json::from_str(&text).unwrap();
        told["would_send"]["requests"][0]["cache_key_id"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    let plain = key_of(json!({}));

    assert_eq!(key_of(json!({"phoneNum": "138 0013 8000", "studyType": "0"})), plain);
    assert_eq!(key_of(json!({"phoneNum": "１３８００１３８０００"})), plain);
    assert_ne!(key_of(json!({"phoneNum": "13900139000"})), plain);
    assert_ne!(key_of(json!({"studyType": 1})), plain);
}

#[test]
fn the_client_decides_and_a_refusal_ends_with_1() {
    let directory = Directory::new();
    let config = configuration(&directory, CLIENTS);
    let body = studies_query_with(json!({"usage": "1"}));
    let of = |client: &str| explained(&config, &["--client", client, "--json"], body.as_bytes());

    let (status, text, errors) = of("his");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &told["refused"]["code"]), (1, &json!(800_102)), "{text}");
    assert!(errors.contains("800102"), "{errors}");

    let (status, text, _) = of("app");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (status, &told["refused"]["code"]),
        (1, &json!(800_005)),
        "strict: {text}"
    );

    let (status, _, errors) = of("nobody");
    assert_eq!(status, 2);
    assert!(errors.contains("his, app"), "{errors}");
    let (status, _, errors) = explained(&config, &[], body.as_bytes());
    assert_eq!(status, 2, "{errors}");
}

#[test]
fn a_body_in_a_file_and_in_any_dialect_is_explained() {
    let directory = Directory::new();
    let config = configuration(&directory, "");
    let (name, _, _) = encoding_rs::GBK.encode("张三");
    let mut body = b"phoneNum=13800138000&idNum=11010119000101009X&hisId=1&patientName=".to_vec();
    body.extend_from_slice(&name);
    let file = directory.file("body.txt", body);

    let (status, text, errors) = explained(
        &config,
        &[
            "--path",
            "/thirdparty/patientConsultations/900001",
            "--content-type",
            "text/plain; charset=gb2312",
            &file,
        ],
        b"",
    );

    assert_eq!(status, 0, "{errors}");
    for line in [
        "client      any program on this machine (no [[clients]])\n",
        "api         patientConsultations\n",
        "would send  POST http://127.0.0.1:1/thirdparty/patientConsultations/900001\n",
        "\"patientName\": \"张*\"",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("charset-converted"), "{text}");
}

#[test]
fn a_new_key_is_random_and_its_digest_is_what_the_configuration_takes() {
    use sha2::{Digest, Sha256};
    let new = || -> Value {
        let output = run(command(&["client-key", "new", "--json"]), b"");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (one, other) = (new(), new());
    let key = one["key"].as_str().unwrap();

    assert!(key.len() == 70 && key.starts_with("aimis_"), "{key}");
    assert_ne!(one["key"], other["key"]);
    assert_eq!(one["key_sha256"], hex::encode(Sha256::digest(key.as_bytes())));

    let directory = Directory::new();
    let text = run(command(&["client-key", "new"]), b"");
    let text = String::from_utf8(text.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("key_sha256 = ")).unwrap();
    let config = configuration(&directory, &format!("[[clients]]\nname = \"his\"\n{line}\n"));
    let checked = run(command(&["check", "--config", &config]), b"");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_merged_list_is_explained_type_by_type() {
    let directory = Directory::new();
    let config = configuration(&directory, "[lan]\nmerge_study_types = true\n");
    let body = studies_query_with(json!({"studyType": [0, 5]}));

    let (status, text, errors) = explained(&config, &["--json"], body.as_bytes());

    assert_eq!(status, 0, "{errors}");
    let told: Value = serde_json::from_str(&text).unwrap();
    let types = told["would_send"]["requests"].as_array().unwrap().iter();
    let types: Vec<_> = types.map(|request| request["body"]["studyType"].clone()).collect();
    assert_eq!(types, [json!(0), json!(5)]);
}
