//! No secret appears in a complaint, a listing or a `Debug` text.

use super::TENANT;
use crate::config::{Format, Sources, load};

const CANARY: &str = "canary-7f3a91c2b8e4d605-canary-ok";

fn everything(sources: &Sources) -> String {
    match load(sources) {
        Ok(loaded) => format!(
            "{loaded:?} {:#?} {} {}",
            loaded.config,
            loaded.print(Format::Toml),
            loaded.print(Format::Json)
        ),
        Err(refused) => format!("{refused:?} {refused}"),
    }
}

#[test]
fn a_token_of_the_environment_is_kept_and_never_shown() {
    let sources = Sources::default().with_env([("AIMIS_APP_ID", "1"), ("AIMIS_TOKEN", CANARY)]);
    let shown = everything(&sources);
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(
        shown.contains("token = \"***\"") && shown.contains("AIMIS_TOKEN"),
        "{shown}"
    );

    let token = load(&sources).unwrap().config.tenants.remove(0).token;
    let crate::config::TokenSource::Inline(token) = token else {
        panic!("it came in the environment")
    };
    assert_eq!(token.expose(), CANARY);
}

#[test]
fn a_token_in_a_wrong_place_is_not_shown() {
    let files = [
        format!("[[tenants]]\ntoken = \"{CANARY}\"\n"),
        format!("[[tenants]]\ntokn = \"{CANARY}\"\n"),
        format!("tenants = \"{CANARY}\"\n"),
        format!("lan = \"{CANARY}\"\n"),
        format!("[[tenants]]\ntoken = \"{CANARY}\n"),
        format!("[[tenants]]\ntoken = {CANARY}\n"),
        format!("[[tenants]]\ntoken {CANARY}\n"),
        format!("[platform]\nbase_url = \"https://user:{CANARY}@h\"\n"),
        format!("[platform]\nbase_url = \"https://h/?key={CANARY}\"\n"),
        format!("[platform]\nconnect_to = \"user:{CANARY}@h:1\"\n"),
        format!("{{\"tenants\": [{{\"token\": \"{CANARY}\"}}]}}"),
        format!("{{\"tenants\": [{{\"token\": {CANARY}}}]}}"),
        format!("{{\"tenants\": [{{\"token\": \"{CANARY}"),
    ];
    for text in files {
        let shown = everything(&Sources::text("gateway.toml", &text));
        assert!(!shown.contains(CANARY), "{text} -> {shown}");
    }
    for name in ["AIMIS_TOKN", "AIMIS_TENANTS", "AIMIS_TENANTS__0__TOKEN", "AIMIS_TOKEN"] {
        let shown = everything(&Sources::text("gateway.toml", TENANT).with_env([(name, CANARY)]));
        assert!(!shown.contains(CANARY), "{name} -> {shown}");
    }
}

#[test]
fn what_looks_like_a_token_is_not_shown_wherever_it_strayed() {
    let token = "0123456789abcdef0123456789abcdef";
    for key in [
        "[log]\nlevel",
        "[platform]\nconnect_to",
        "[lan]\nlisten",
        "[[tenants]]\ntoken_file",
    ] {
        let text = format!("{key} = \"{token}\"\n");
        let shown = everything(&Sources::text("gateway.toml", &text));
        assert!(!shown.contains(token), "{text} -> {shown}");
    }
}

#[test]
fn a_complaint_is_one_line_whatever_the_value() {
    let text = format!(
        "[log]\nlevel = \"x\\nERROR forged \\u001b[2J{}\"\n{TENANT}",
        "y".repeat(500)
    );
    let shown = load(&Sources::text("gateway.toml", text)).unwrap_err().to_string();
    assert_eq!(shown.lines().count(), 1);
    assert!(!shown.contains('\u{1b}') && shown.len() < 300, "{shown}");
}
