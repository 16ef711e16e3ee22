//! Where values come from, and which source wins.

use std::path::Path;
use std::time::Duration;

use super::{TENANT, config, origin, with_tenant};
use crate::config::{
    Config, Format, HexCase, IdentityMode, Language, ListenAddr, LogLevel, Padding, SignatureEncoding, Sources,
    TokenSource, load,
};

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let text = format!("[platform]\ndeadline_ms = 4000\nmax_idle_per_worker = 8\n{TENANT}");
    let loaded =
        load(&Sources::text("etc/gateway.toml", text).with_env([("AIMIS_PLATFORM__DEADLINE_MS", "2000")])).unwrap();

    assert_eq!(loaded.config.platform.deadline, Duration::from_secs(2));
    assert_eq!(loaded.config.platform.max_idle_per_worker, 8);
    assert_eq!(loaded.config.platform.connect_timeout, Duration::from_secs(3));

    assert_eq!(origin(&loaded, "platform.deadline_ms"), "AIMIS_PLATFORM__DEADLINE_MS");
    assert_eq!(origin(&loaded, "platform.max_idle_per_worker"), "etc/gateway.toml:3");
    assert_eq!(origin(&loaded, "platform.connect_timeout_ms"), "default");
    assert_eq!(origin(&loaded, "tenants.0.app_id"), "etc/gateway.toml:6");
}

#[test]
fn json_and_toml_say_the_same() {
    let toml = "[lan]\nmax_body = \"1MiB\"\nlisten = [\"127.0.0.1:1\", \"unix:/run/lan.sock\"]\n[clock]\noffset_ms = -5\n\
                [identity]\nupgrade_15 = true\n[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n\
                [tenants.crypto]\nhex_case = \"upper\"\n";
    let json = r#"{"$schema": "gateway.schema.json", "lan": {"max_body": 1.048576e6, "listen": ["127.0.0.1:1", "unix:/run/lan.sock"]},
        "clock": {"offset_ms": -5.0}, "identity": {"upgrade_15": true}, "drain": null,
        "tenants": [{"name": "a", "app_id": "1", "token_file": "t", "union_id": null, "crypto": {"hex_case": "upper"}}]}"#;
    let toml = load(&Sources::text("gateway.toml", toml)).unwrap().config;

    assert_eq!(load(&Sources::text("gateway.json", json)).unwrap().config, toml);
    assert_eq!(
        load(&Sources::text("gateway.toml", json)).unwrap().config,
        toml,
        "told by its content"
    );
    let with_mark = format!("\u{feff}{json}");
    assert_eq!(
        load(&Sources::text("gateway.conf", with_mark)).unwrap().config,
        toml,
        "behind a byte order mark"
    );
}

#[test]
fn variables_reach_lists_and_tables() {
    let env = [
        ("AIMIS_LAN__LISTEN", "127.0.0.1:1, [::1]:2"),
        ("AIMIS_TELEMETRY__LISTEN", "[\"0.0.0.0:3\"]"),
        ("AIMIS_LAN__LANGUAGE", "en"),
        ("AIMIS_LAN__MAX_BODY", "128KiB"),
        ("AIMIS_TENANTS__1__TOKEN_FILE", "u"),
        ("AIMIS_TENANTS__1__NAME", "b"),
        ("AIMIS_TENANTS__1__APP_ID", "2"),
        ("AIMIS_TENANTS__0__CRYPTO__PADDING", "zero"),
        ("AIMIS_LOG__LEVEL", ""),
        ("PATH", "/bin"),
    ];
    let config = load(&Sources::text("conf/gateway.toml", TENANT).with_env(env))
        .unwrap()
        .config;

    assert_eq!(
        config.lan.listen,
        ["127.0.0.1:1", "[::1]:2"].map(|text| ListenAddr::Tcp(text.parse().unwrap()))
    );
    assert_eq!(config.telemetry.listen, [ListenAddr::Tcp("0.0.0.0:3".parse().unwrap())]);
    assert_eq!((config.lan.language, config.lan.max_body), (Language::En, 128 << 10));
    assert_eq!(config.log.level, LogLevel::Info, "an empty variable counts as not set");
    assert_eq!(config.tenants[0].crypto.padding, Padding::Zero);
    assert_eq!(config.tenants[1].crypto.padding, Padding::Pkcs7);
    // A path of the file begins at its directory, one of the environment does not.
    assert_eq!(config.tenants[0].token, TokenSource::File(Path::new("conf/t").into()));
    assert_eq!(config.tenants[1].token, TokenSource::File("u".into()));
}

#[test]
fn a_variable_can_be_a_list_by_itself() {
    let env = [
        ("AIMIS_LAN__LISTEN", "[::1]:8080"),
        (
            "AIMIS_TENANTS",
            r#"[{"name": "a", "app_id": "1", "token_file": "t"}, {"name": "b", "app_id": "2", "token_file": "u"}]"#,
        ),
        ("AIMIS_TENANTS__1__APP_ID", "3"),
    ];
    let loaded = load(&Sources::default().with_env(env)).unwrap();
    assert_eq!(
        loaded.config.lan.listen,
        [ListenAddr::Tcp("[::1]:8080".parse().unwrap())]
    );
    assert_eq!(
        loaded
            .config
            .tenants
            .iter()
            .map(|tenant| &*tenant.app_id)
            .collect::<Vec<_>>(),
        ["1", "3"]
    );
    assert_eq!(origin(&loaded, "tenants.0.app_id"), "AIMIS_TENANTS");
}

#[test]
fn a_sidecar_needs_no_file() {
    let env = [
        ("AIMIS_APP_ID", "900001"),
        ("AIMIS_TOKEN_FILE", "/run/token"),
        ("AIMIS_HOSPITAL_ID", "H0001"),
        ("AIMIS_CONFIG", "x"),
    ];
    let loaded = load(&Sources::default().with_env(env)).unwrap();
    let [tenant] = loaded.config.tenants.as_slice() else {
        panic!("one tenant")
    };

    assert_eq!((&*tenant.name, &*tenant.app_id), ("default", "900001"));
    assert_eq!(tenant.hospital_id.as_deref(), Some("H0001"));
    assert_eq!(tenant.union_id, None);
    assert_eq!(tenant.token, TokenSource::File("/run/token".into()));
    assert_eq!(origin(&loaded, "tenants.0.app_id"), "AIMIS_APP_ID");
}

#[test]
fn variables_of_kubernetes_services_are_passed_over() {
    let env = [
        ("AIMIS_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("AIMIS_GATEWAY_SERVICE_PORT", "8080"),
        ("AIMIS_GATEWAY_SERVICE_PORT_HTTP_LAN", "8080"),
        ("AIMIS_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
        ("AIMIS_GATEWAY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("AIMIS_GATEWAY_PORT_8080_TCP_PROTO", "tcp"),
        ("AIMIS_GATEWAY_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    load(&Sources::text("gateway.toml", TENANT).with_env(env)).unwrap();
}

#[test]
fn a_tenant_takes_over_key_by_key_what_it_does_not_say() {
    let text = "[crypto]\npadding = \"zero\"\nhex_case = \"upper\"\n[sign]\nencoding = \"base64\"\n[identity]\nmode = \"strict\"\n\
                [[tenants]]\nname = \"b\"\napp_id = \"2\"\ntoken_file = \"u\"\n[tenants.crypto]\nhex_case = \"lower\"\n";
    let loaded = with_tenant(text).unwrap();
    let [own, other] = loaded.config.tenants.as_slice() else {
        panic!("two tenants")
    };

    assert_eq!(
        (own.crypto.padding, own.crypto.hex_case),
        (Padding::Zero, HexCase::Lower)
    );
    assert_eq!(
        (other.crypto.padding, other.crypto.hex_case),
        (Padding::Zero, HexCase::Upper)
    );
    assert_eq!(own.sign.encoding, SignatureEncoding::Base64);
    assert_eq!(own.identity.mode, IdentityMode::Strict);
    assert_eq!(origin(&loaded, "tenants.0.crypto.padding"), "gateway.toml:2");
    assert_eq!(origin(&loaded, "tenants.0.crypto.key_form"), "default");
}

#[test]
fn plain_http_is_for_this_machine_or_by_an_explicit_word() {
    for url in ["http://127.0.0.1:8090", "http://localhost", "http://[::1]:1/"] {
        config(&format!("[platform]\nbase_url = \"{url}\""));
    }
    let platform = config("[platform]\nbase_url = \"HTTP://Pacs.Example:8080\"\nallow_plaintext = true").platform;
    assert_eq!(platform.base_url.to_string(), "http://pacs.example:8080");
    assert_eq!(platform.base_url.authority(), "pacs.example:8080");
    assert_eq!(config("").platform.base_url.authority(), "pacs.qq.com");
}

#[test]
fn what_print_shows_gives_the_same_configuration_again() {
    let text = "[platform]\nextra_ca_file = \"/ca \\\"1\\\".pem\"\n[lan]\nmax_body = 100000\n[[tenants]]\nname = \"b\"\n\
                app_id = \"2\"\ntoken_file = \"/u\"\n[tenants.dates]\nmax_range_days = 3\n\
                [[tenants]]\nname = \"c\"\napp_id = \"3\"\ntoken_file = \"/v\"";
    let loaded = load(&Sources::text("gateway.toml", text)).unwrap();
    let again = load(&Sources::text("printed.toml", loaded.print(Format::Toml))).unwrap();
    assert_eq!(again.config, loaded.config);

    let json: serde_json::Value = serde_json::from_str(&loaded.print(Format::Json)).unwrap();
    assert_eq!(
        json["lan"]["max_body"],
        serde_json::json!({"value": 100_000, "origin": "gateway.toml:4"})
    );
    assert_eq!(
        json["tenants"][0]["union_id"],
        serde_json::json!({"value": null, "origin": "default"})
    );
}

#[test]
fn a_configuration_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Config>();
}

#[test]
fn a_table_that_may_be_left_out_is_there_only_when_something_of_it_is_said() {
    assert_eq!(config("").lan.tls, None);
    let tls = "[lan.tls]\ncert_file = \"a.pem\"\nkey_file = \"a.key\"\n";
    let written = config(tls).lan.tls.unwrap();
    assert_eq!(written.cert_file, Path::new("a.pem"));
    assert_eq!(written.reload_interval, Duration::from_secs(10));

    let variables = [
        ("AIMIS_LAN__TLS__CERT_FILE", "b.pem"),
        ("AIMIS_LAN__TLS__KEY_FILE", "b.key"),
    ];
    let sources = Sources::text("gateway.toml", TENANT.to_owned()).with_env(variables);
    assert_eq!(
        load(&sources).unwrap().config.lan.tls.unwrap().key_file,
        Path::new("b.key")
    );
}

#[test]
fn a_plain_address_is_one_of_its_own_and_prints_as_it_was_written() {
    let loaded = with_tenant("[lan]\nlisten = [\"127.0.0.1:1\", \"plain:127.0.0.1:2\"]\n").unwrap();

    let listen = &loaded.config.lan.listen;
    assert_eq!(listen[1], ListenAddr::Plain("127.0.0.1:2".parse().unwrap()));
    assert_eq!(listen[1].to_string(), "plain:127.0.0.1:2");
    assert!(!loaded.print(Format::Toml).contains("[lan.tls]"));
}
