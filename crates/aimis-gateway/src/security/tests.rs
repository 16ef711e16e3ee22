use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::config::{Sources, load};

/// 2027-01-15.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// What is found about this text, as `key (about)`.
fn found(text: &str) -> Vec<String> {
    let tenant = "[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"/nowhere/a.token\"\nhospital_id = \"H1\"\n";
    let loaded = load(&Sources::text("gateway.toml", format!("{text}{tenant}"))).unwrap();
    examine(&loaded.config, None, NOW)
        .into_iter()
        .map(|finding| format!("{} ({})", finding.rule.key, finding.about))
        .collect()
}

fn has(found: &[String], finding: &str) -> bool {
    found.iter().any(|one| one == finding)
}

const KEY: &str = "key_sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n";

#[test]
fn a_first_configuration_has_nothing_grave() {
    assert_eq!(
        found(""),
        [
            "clients ()",
            "log.patient_tag_key_file ()",
            "tenants.token_not_after (a)"
        ],
        "only what is minor"
    );
}

#[test]
fn clear_text_is_found_wherever_it_goes() {
    let lan = format!("lan.listen = \"0.0.0.0:8080\"\n[[clients]]\nname = \"his\"\n{KEY}");
    assert!(has(&found(&lan), "lan.tls (0.0.0.0:8080)"));
    let platform = found("platform = { base_url = \"http://10.0.0.9\", allow_plaintext = true }\n");
    assert!(has(&platform, "platform.base_url (http://10.0.0.9)"), "{platform:?}");

    let callback = "[callback]\nlisten = [\"0.0.0.0:8443\", \"127.0.0.1:8081\"]\nsignature = \"required\"\n";
    let found = found(callback);
    assert!(has(&found, "callback.tls (0.0.0.0:8443)"), "{found:?}");
    assert!(has(&found, "callback.link_hosts (a)"));
    assert!(
        !found
            .iter()
            .any(|one| one.contains("127.0.0.1") || one.starts_with("callback.signature"))
    );
}

#[test]
fn what_is_told_of_look_ups_is_found_where_it_goes_in_clear_text() {
    let audit = |syslog: &str| found(&format!("[audit]\nsyslog = \"{syslog}\"\n"));
    for (syslog, told) in [
        ("udp://10.0.0.9:514", true),
        ("tcp://log.hospital:601", true),
        ("tcp://127.0.0.1:601", false),
        ("unix:/dev/log", false),
    ] {
        let found = audit(syslog);
        assert_eq!(has(&found, &format!("audit.syslog ({syslog})")), told, "{found:?}");
    }
    for (url, told) in [
        ("http://collector:4318/v1/traces", true),
        ("https://collector:4318/v1/traces", false),
        ("http://127.0.0.1:4318/v1/traces", false),
    ] {
        let found = found(&format!("[traces]\nendpoint = \"{url}\"\n"));
        let found: Vec<_> = found.iter().filter(|one| one.starts_with("traces.")).collect();
        assert_eq!(found.len(), usize::from(told), "{url}: {found:?}");
    }
}

#[test]
fn a_trail_that_others_can_change_and_a_key_in_it_are_found() {
    let trail = std::env::temp_dir().join(format!("aimis-trail-{}", std::process::id()));
    std::fs::create_dir_all(trail.join("keys")).unwrap();
    let keys = |mode, key: &str, previous: &str| {
        std::fs::set_permissions(&trail, std::fs::Permissions::from_mode(mode)).unwrap();
        let at = trail.display();
        let text = format!("[audit]\npath = \"{at}\"\nkey_file = \"{key}\"\nprevious_key_files = [\"{previous}\"]\n");
        let mut found = found(&text.replace("TRAIL", &at.to_string()));
        found.retain(|one| one.starts_with("audit."));
        found
    };
    let at = trail.display();

    assert_eq!(keys(0o700, "/etc/a.key", "/etc/b.key"), [""; 0]);
    assert_eq!(keys(0o777, "/etc/a.key", "/etc/b.key"), [format!("audit.path ({at})")]);
    assert_eq!(keys(0o770, "/etc/a.key", "/etc/b.key"), [format!("audit.path ({at})")]);
    assert_eq!(
        keys(0o700, "TRAIL/a.key", "TRAIL/keys/b.key"),
        [
            format!("audit.key_file ({at}/a.key)"),
            format!("audit.key_file ({at}/keys/b.key)")
        ]
    );
    std::fs::remove_dir_all(&trail).unwrap();
}

#[test]
fn tokens_that_end_soon_and_those_whose_end_nobody_knows_are_found() {
    let grades = |end: &str| {
        let text = format!("[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"/nowhere/a.token\"\n{end}\n");
        let config = load(&Sources::text("gateway.toml", text)).unwrap().config;
        let mut found = examine(&config, None, NOW);
        found.retain(|finding| finding.rule.key == "tenants.token_not_after");
        let found = found.iter().map(|finding| (finding.rule.grade, finding.about.clone()));
        found.collect::<Vec<_>>()
    };
    let (of, next) = ("a".to_owned(), "a, next token".to_owned());

    assert_eq!(grades(""), [(Grade::Minor, of.clone())]);
    assert_eq!(grades("token_not_after = \"never\""), []);
    // It is 2027-01-15.
    assert_eq!(grades("token_not_after = \"2027-03-01\""), []);
    assert_eq!(
        grades("token_not_after = \"2027-02-01\""),
        [(Grade::Moderate, of.clone())]
    );
    assert_eq!(grades("token_not_after = \"2027-01-01\""), [(Grade::Moderate, of)]);
    let both = "token_not_after = \"never\"\nnext_token_file = \"/nowhere/b\"";
    assert_eq!(grades(both), [(Grade::Minor, next.clone())]);
    assert_eq!(
        grades(&format!("{both}\nnext_token_not_after = \"2027-01-20\"")),
        [(Grade::Moderate, next)]
    );
}

#[test]
fn callbacks_without_proof_are_found_by_tenant() {
    let of = |signature: &str| found(&format!("[callback]\nsignature = \"{signature}\"\n"));
    assert!(has(&of("off"), "callback.signature (a)"));
    assert!(has(&of("if_present"), "callback.signature (a)"));
    assert!(!has(&of("required"), "callback.signature (a)"));
    let grade = |signature: &str| {
        let text = format!(
            "[callback]\nsignature = \"{signature}\"\n[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n"
        );
        let config = load(&Sources::text("gateway.toml", text)).unwrap().config;
        let found = examine(&config, None, NOW);
        let found = found.iter().find(|finding| finding.rule.key == "callback.signature");
        found.unwrap().rule.grade
    };
    assert_eq!((grade("off"), grade("if_present")), (Grade::Serious, Grade::Moderate));
}

#[test]
fn clients_that_are_too_free_are_found() {
    let found = found(
        "lan.max_failed_sign_ins = 20\n[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.0/16\"\nhospital_ids = \"*\"\n",
    );
    assert!(has(&found, "clients.networks (his)"), "{found:?}");
    assert!(has(&found, "clients.hospital_ids (his)"));
    assert!(!has(&found, "clients ()"));
}

#[test]
fn files_that_others_read_or_change_are_found() {
    let directory = std::env::temp_dir().join(format!("aimis-security-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (token, own) = (directory.join("a.token"), directory.join("gateway.toml"));
    let text = format!(
        "[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = {:?}\n",
        token.display().to_string()
    );
    std::fs::write(&token, "x").unwrap();
    std::fs::write(&own, &text).unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let keys = |token_mode, own_mode, directory_mode| {
        mode(&token, token_mode);
        mode(&own, own_mode);
        mode(&directory, directory_mode);
        let config = load(&Sources::text("gateway.toml", &text)).unwrap().config;
        let mut keys: Vec<_> = examine(&config, Some(&own), NOW)
            .iter()
            .map(|one| one.rule.key)
            .collect();
        keys.retain(|key| !key.contains("log.") && !["clients", "tenants.token_not_after"].contains(key));
        keys
    };

    assert_eq!(keys(0o600, 0o644, 0o755), [""; 0]);
    assert_eq!(keys(0o640, 0o644, 0o750), [""; 0]);
    assert_eq!(keys(0o644, 0o644, 0o755), ["disk.secret_readable"]);
    assert_eq!(keys(0o602, 0o644, 0o755), ["disk.file_writable"]);
    assert_eq!(keys(0o600, 0o666, 0o755), ["disk.file_writable", "disk.group_writable"]);
    assert_eq!(keys(0o600, 0o664, 0o755), ["disk.group_writable"]);
    assert_eq!(keys(0o600, 0o644, 0o757), ["disk.directory_writable"]);
    assert_eq!(keys(0o600, 0o644, 0o1777), [""; 0]);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn every_file_with_a_secret_is_looked_at() {
    let text = "[lan.tls]\ncert_file = \"lan.pem\"\nkey_file = \"lan.key\"\n[log]\npatient_tag_key_file = \"tags.key\"\n\
                [traces]\nendpoint = \"https://collector.example/\"\nheaders_file = \"headers\"\n\
                [audit]\npath = \"audit\"\nkey_file = \"audit.key\"\nprevious_key_files = [\"audit.old\"]\n\
                [store]\nredis_url = \"rediss://redis.example:6380\"\npassword_file = \"redis\"\nkey_file = \"store.key\"\n\
                other_key_file = \"store.old\"\nclient_cert_file = \"redis.pem\"\nclient_key_file = \"redis.key\"\n\
                [[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"token\"\nnext_token_file = \"token.next\"\n\
                previous_token_file = \"token.old\"\n";
    let config = load(&Sources::text("gateway.toml", text)).unwrap().config;

    let files = disk::secrets(&config);

    let names: Vec<_> = files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "audit.key",
            "audit.old",
            "headers",
            "lan.key",
            "redis",
            "redis.key",
            "store.key",
            "store.old",
            "tags.key",
            "token",
            "token.next",
            "token.old"
        ]
    );
}

#[test]
fn the_start_tells_each_grave_rule_once_and_minor_ones_never() {
    let tenants =
        |name: &str| format!("[[tenants]]\nname = \"{name}\"\napp_id = \"1{name}\"\ntoken_file = \"/nowhere/t\"\n");
    let text = format!(
        "[callback]\nsignature = \"required\"\n[inbox]\npath = \"/nowhere/a\"\nkey_file = \"/nowhere/b\"\n{}{}",
        tenants("a"),
        tenants("b")
    );
    let config = load(&Sources::text("gateway.toml", text)).unwrap().config;
    let keys: Vec<_> = at_start(&config, None, NOW).iter().map(|rule| rule.key).collect();
    let told = |key: &str| keys.iter().filter(|one| **one == key).count();
    assert_eq!(
        (told("callback.link_hosts"), told("inbox.key_file"), told("clients")),
        (1, 1, 0),
        "{keys:?}"
    );
}

/// A reviewer reads the document, not the code.
#[test]
fn every_rule_is_in_the_document() {
    let document = include_str!("../../../../docs/security.md");
    for rule in rules() {
        let row = format!("| {} | `{}` |", rule.grade.as_str(), rule.key);
        assert!(document.contains(&row), "docs/security.md has no row {row}");
        assert!(!rule.why.ends_with('.') && rule.fix.ends_with('.'), "{}", rule.key);
    }
}
