//! Every kind of complaint, word for word: operators read them at three in the morning, and scripts match them.

use super::{TENANT, complaints, with_tenant};
use crate::config::{Origin, PLAIN_LAN, Sources, load, notices};

/// The text of a file with a tenant behind it, and the complaint about it.
const FILES: &[(&str, &str)] = &[
    // Unknown keys and sections.
    (
        "[platform]\nbase_ur = 1",
        "gateway.toml:2: unknown key `platform.base_ur`, did you mean `platform.base_url`?",
    ),
    (
        "[plattform]",
        "gateway.toml:1: unknown section `plattform`, did you mean `platform`?",
    ),
    (
        "[lan]\ndeadline_ms = 5",
        "gateway.toml:2: unknown key `lan.deadline_ms`, did you mean `platform.deadline_ms`?",
    ),
    (
        "[drain]\nquiet = true",
        "gateway.toml:2: unknown key `drain.quiet`; known here: delay_ms, timeout_ms",
    ),
    (
        "[platform]\n\ndeadline = 5",
        "gateway.toml:3: unknown key `platform.deadline`, did you mean `platform.deadline_ms`?",
    ),
    // Numbers.
    (
        "[platform]\ndeadline_ms = 5",
        "gateway.toml:2: platform.deadline_ms: 5 is out of range, allowed is 100 to 120000 milliseconds",
    ),
    (
        "[platform]\ndeadline_ms = \"10s\"",
        "gateway.toml:2: platform.deadline_ms: \"10s\" is not a whole number of milliseconds",
    ),
    (
        "[platform]\ndeadline_ms = 8080.0",
        "gateway.toml:2: platform.deadline_ms: 8080.0 is not a whole number of milliseconds; write it without a fraction",
    ),
    (
        "[lan]\nmax_headers = 99999999999999999999",
        "gateway.toml:2: lan.max_headers: 99999999999999999999 is not a whole number, it is too large",
    ),
    (
        "[runtime]\nworkers = -1",
        "gateway.toml:2: runtime.workers: -1 is out of range, allowed is 0 to 256",
    ),
    (
        "[runtime]\nworkers = true",
        "gateway.toml:2: runtime.workers: true is not a whole number",
    ),
    // Sizes.
    (
        "[lan]\nmax_body = \"64KB\"",
        "gateway.toml:2: lan.max_body: \"64KB\" is not a size like \"64KiB\", \"8MiB\" or a number of bytes",
    ),
    (
        "[lan]\nmax_body = 1",
        "gateway.toml:2: lan.max_body: 1 is out of range, allowed is 1KiB to 16MiB",
    ),
    (
        "[lan]\nmax_body = -5",
        "gateway.toml:2: lan.max_body: -5 is not a size like \"64KiB\", \"8MiB\" or a number of bytes",
    ),
    // Choices and switches.
    (
        "[crypto]\npadding = \"pkcs5\"",
        "gateway.toml:2: crypto.padding: \"pkcs5\" is not allowed, only \"pkcs7\", \"zero\"",
    ),
    (
        "[identity]\nupgrade_15 = 1",
        "gateway.toml:2: identity.upgrade_15: 1 is not true or false",
    ),
    // Addresses.
    (
        "[telemetry]\nlisten = \"localhost:9464\"",
        "gateway.toml:2: telemetry.listen: \"localhost:9464\" is not an IP address and port, like 127.0.0.1:8080 or \
         [::1]:8080; names are not looked up",
    ),
    (
        "[lan]\nlisten = [\n  \"127.0.0.1:8080\",\n  \"8080\",\n]",
        "gateway.toml:4: lan.listen: \"8080\" is not an IP address and port, like 127.0.0.1:8080 or [::1]:8080; names \
         are not looked up",
    ),
    (
        "[lan]\nlisten = []",
        "gateway.toml:2: lan.listen: an empty list is not enough, one at least is needed",
    ),
    (
        "[lan]\nlisten = \"unix:lan.sock\"",
        "gateway.toml:2: lan.listen: \"unix:lan.sock\" is not a unix socket with an absolute path, like \
         unix:/run/aimis-gateway/lan.sock",
    ),
    (
        "[lan]\nlisten = \"0.0.0.0:8080\"",
        "gateway.toml:2: lan.listen: \"0.0.0.0:8080\" can be reached from other machines, and there are no \
         [[clients]] to tell who may ask; add one, or use a loopback address",
    ),
    (
        "[telemetry]\nlisten = \"127.0.0.1:8080\"",
        "gateway.toml:2: telemetry.listen: \"127.0.0.1:8080\" is listened on already",
    ),
    // The platform.
    (
        "[platform]\nbase_url = \"http://pacs.example\"",
        "gateway.toml:2: platform.base_url: \"http://pacs.example\" is not https, and requests carry signatures; in a \
         test network set platform.allow_plaintext = true",
    ),
    (
        "[platform]\nbase_url = \"pacs.qq.com\"",
        "gateway.toml:2: platform.base_url: \"pacs.qq.com\" is not a URL that begins with https://",
    ),
    (
        "[platform]\nbase_url = \"https://pacs.qq.com/thirdparty\"",
        "gateway.toml:2: platform.base_url: \"https://pacs.qq.com/thirdparty\" has a path; the paths are the platform's \
         own and are added to it",
    ),
    (
        "[platform]\nbase_url = \"https://pacs.qq.com:0\"",
        "gateway.toml:2: platform.base_url: \"https://pacs.qq.com:0\" has no valid host or port",
    ),
    (
        "[platform]\nbase_url = \"https://u:hunter2@pacs.qq.com\"",
        "gateway.toml:2: platform.base_url: the value, not shown here, has a user or password in it, which the \
         platform does not know",
    ),
    (
        "[platform]\nconnect_to = \"gap\"",
        "gateway.toml:2: platform.connect_to: \"gap\" is not host:port, like 10.0.0.9:8443",
    ),
    // Windows of time.
    (
        "[dates]\nmax_range_days = 3\ndefault_range_days = 7",
        "gateway.toml:3: dates.default_range_days: 7 is more than max_range_days, which is 3",
    ),
    (
        "[emptiness]\nwindow_s = 7200\nbaseline_s = 3600",
        "gateway.toml:3: emptiness.baseline_s: 3600 is less than window_s, which is 7200: nothing could be told from it",
    ),
    (
        "[emptiness]\nwindow_s = 5\njump_points = 101",
        "gateway.toml:2: emptiness.window_s: 5 is out of range, allowed is 60 to 86400 seconds\n\
         gateway.toml:3: emptiness.jump_points: 101 is out of range, allowed is 1 to 100 percentage points",
    ),
    // Tables.
    ("lan = 5", "gateway.toml:1: lan: is not a table of keys"),
    // A tenant before that of the frame.
    (
        "[[tenants]]\nname = \"B\"\napp_id = \"a/b\"\ntoken_file = \"t\"",
        "gateway.toml:2: tenants[0].name: \"B\" is not 1 to 32 lower-case letters, digits or `-`\n\
         gateway.toml:3: tenants[0].app_id: \"a/b\" is not 1 to 64 letters, digits, `.`, `_` or `-`",
    ),
    (
        "[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"",
        "gateway.toml:6: tenants[1].name: \"a\" is that of tenants[0] already\n\
         gateway.toml:7: tenants[1].app_id: \"1\" is that of tenants[0] already",
    ),
    (
        "[[tenants]]\nhospital_id = \" H\"",
        "gateway.toml:1: tenants[0].name: is missing\n\
         gateway.toml:1: tenants[0].app_id: is missing\n\
         gateway.toml:1: tenants[0].token_file: is missing: the file that holds the token\n\
         gateway.toml:2: tenants[0].hospital_id: \" H\" is not 1 to 64 characters, none of them a control character, \
         no blanks at the ends",
    ),
    (
        "[[tenants]]\nname = \"b\"\napp_id = \"2\"\ntoken = \"hunter2\"",
        "gateway.toml:4: tenants[0].token: the value, not shown here, must not stand in this file: put it in a file of \
         its own and name it in `token_file`",
    ),
    (
        "[[tenants]]\nname = \"b\"\napp_id = \"2\"\ntoken_file = \"0123456789abcdef0123456789abcdef\"",
        "gateway.toml:4: tenants[0].token_file: the value, not shown here, looks like the secret itself, not like the \
         path of the file that holds it",
    ),
    (
        "[[tenants]]\nname = \"b\"\napp_id = \"2\"\ntoken_file = \"u\"\n[tenants.crypto]\npading = \"zero\"",
        "gateway.toml:6: unknown key `tenants[0].crypto.pading`, did you mean `tenants[0].crypto.padding`?",
    ),
    // Clients.
    (
        "[[clients]]\nname = \"his\"\nhospital_id = \"H1\"",
        "gateway.toml:2: clients[0].name: \"his\" has none of `key_sha256`, `networks` and `certificates`: anybody would be \
         this client",
    ),
    (
        "[[clients]]\nname = \"his\"\nkey_sha256 = \"aimis_0123\"\nnetworks = [\"10.0.0.1/8\"]\nusage = 3",
        "gateway.toml:3: clients[0].key_sha256: the value, not shown here, is not 64 hexadecimal digits; make a key and \
         its digest by `aimis-gateway client-key new`\n\
         gateway.toml:4: clients[0].networks: \"10.0.0.1/8\" has bits behind its prefix; did you mean 10.0.0.0/8 or \
         10.0.0.1?\n\
         gateway.toml:5: clients[0].usage: 3 is out of range, allowed is 0 to 2",
    ),
    (
        "[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\ntenants = \"b\"\napis = \"patientStudy\"\n\
         hospital_id = \"H2\"\nhospital_ids = [\"H1\"]",
        "gateway.toml:4: clients[0].tenants: \"b\" is no tenant's name, did you mean a?\n\
         gateway.toml:5: clients[0].apis: \"patientStudy\" is no API of the platform, did you mean patientStudies?\n\
         gateway.toml:6: clients[0].hospital_id: \"H2\" is not among the client's `hospital_ids`, so its own requests \
         would be refused",
    ),
    (
        "[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\nhospital_id = \"H1\"\n\
         [[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\nhospital_id = \"H1\"",
        "gateway.toml:6: clients[1].name: \"his\" is that of clients[0] already\n\
         gateway.toml:7: clients[1].networks: \"10.0.0.1/32\" is the network of client his as well; nothing else tells \
         the two apart",
    ),
    (
        "[lan]\naliases = [\"sfzh=idnum\"]",
        "gateway.toml:2: lan.aliases: \"sfzh=idnum\" does not name a field of the interface behind `=`, did you mean \
         idNum?",
    ),
    (
        "[lan]\naliases = [\"sfzh=idNum\", \"sfzh=idNum\", \"SFZH=hisId\"]",
        "gateway.toml:2: lan.aliases: \"SFZH=hisId\" gives another meaning to a name that is idNum already",
    ),
    (
        "[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\nhospital_id = \"H1\"\naliases = [\"brid=hisId\", \"brid=idNum\"]",
        "gateway.toml:5: clients[0].aliases: \"brid=idNum\" gives another meaning to a name that is hisId already",
    ),
    (
        "[[clients]]\nname = \"his\"\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\nhospital_id = \"H1\"",
        "gateway.toml:3: clients[0].networks: \"0.0.0.0/0\" is every address, and there is neither `key_sha256` nor \
         `certificates`: anybody would be this client\n\
         gateway.toml:3: clients[0].networks: \"::/0\" is every address, and there is neither `key_sha256` nor \
         `certificates`: anybody would be this client",
    ),
    (
        "[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"",
        "gateway.toml:2: clients[0].name: \"his\" has no `hospital_ids`, and there is no hospital_id to compare with: set \
         hospital_id of tenant a, hospital_ids, or hospital_ids = \"*\" for any",
    ),
    (
        "[dates]\ndefault_range_days = 90\n[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\nhospital_ids = \"*\"\n\
         max_range_days = 89",
        "gateway.toml:7: clients[0].max_range_days: 89 is less than dates.default_range_days of tenant a, which is 90: \
         requests without a window would be refused",
    ),
    (
        "[[clients]]\nname = \"his\"\nhospital_ids = \"*\"\nkey_sha256 = [\
         \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\", \
         \"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\"]",
        "gateway.toml:4: clients[0].key_sha256: the value is there twice",
    ),
    // Web pages.
    (
        "[lan]\ncors_origins = [\"https://his/\", \"null\", \"his\"]",
        "gateway.toml:2: lan.cors_origins: \"https://his/\" is not an origin, which ends with its host or port: did you \
         mean https://his?",
    ),
    (
        "[lan]\ncors_origins = \"null\"",
        "gateway.toml:2: lan.cors_origins: \"null\" is what files and sandboxed pages call themselves, whoever made them; \
         serve the page by HTTP",
    ),
    (
        "[lan]\ncors_origins = \"*\"",
        "gateway.toml:2: lan.cors_origins: \"*\" is every origin, and there are no [[clients]] to ask for a key: any web \
         page could ask; name the origins of your own pages",
    ),
    (
        "[lan]\ncors_origins = \"*\"\n[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\nhospital_ids = \"*\"",
        "gateway.toml:2: lan.cors_origins: \"*\" is every origin, and client his needs neither key nor certificate: any \
         web page could ask; name the origins of your own pages",
    ),
    // Answers.
    (
        "[lan]\nascii_json = true\ncharset = \"gbk\"",
        "gateway.toml:3: lan.charset: \"gbk\" is without effect: with ascii_json = true answers are ASCII, which is the \
         same in every charset; set one of the two",
    ),
    (
        "[lan]\nascii_json = true\n[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\nhospital_ids = \"*\"\ncharset = \"gbk\"",
        "gateway.toml:7: clients[0].charset: \"gbk\" is without effect: with ascii_json = true answers are ASCII, which is \
         the same in every charset; set one of the two",
    ),
    (
        "[lan]\ncharset = \"gbk\"\n[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\nhospital_ids = \"*\"\nascii_json = true",
        "gateway.toml:7: clients[0].ascii_json: true leaves lan.charset, which is \"gbk\", without effect: set charset = \
         \"utf-8\" for this client",
    ),
    (
        "[lan]\nsocket_mode = 660",
        "gateway.toml:2: lan.socket_mode: 660 is not a mode in quotes, like \"0660\"",
    ),
    (
        "[[codes]]\napi = \"patientstudies\"\ncode = 20014\nclass = \"no_data\"",
        "gateway.toml:2: codes[0].api: \"patientstudies\" is no API of the platform, did you mean patientStudies?",
    ),
    (
        "[[codes]]\ncode = 0\nclass = \"no_data\"",
        "gateway.toml:2: codes[0].code: 0 is success by definition and stays that",
    ),
    (
        "[[codes]]\ncode = 20014\nclass = \"no_data\"\n[[codes]]\ncode = 20014\napi = \"patientStudies\"\nclass = \"caller\"\n\
         [[codes]]\ncode = 20014\nclass = \"limit\"",
        "gateway.toml:9: codes[2].code: 20014 is that of codes[0] already, for the same API",
    ),
    (
        "[[codes]]\ncode = 20014\nclass = \"nodata\"",
        "gateway.toml:3: codes[0].class: \"nodata\" is not allowed, only \"success\", \"no_data\", \"caller\", \
         \"configuration\", \"auth\", \"permission\", \"limit\", \"transient\", \"unexpected\", \"unknown\"",
    ),
    // A fault of a global section is told once, not once a tenant.
    (
        "[sign]\ntimestamp_unit = \"us\"",
        "gateway.toml:2: sign.timestamp_unit: \"us\" is not allowed, only \"ms\", \"s\"",
    ),
    // Syntax: the place and the parser's short message, never the line.
    (
        "[lan\n",
        "gateway.toml:1: column 5: not valid TOML: unclosed table, expected `]`",
    ),
    (
        "[inbox]\npath = \"here.db\"\ndatabase_url = \"postgres://a@localhost/b\"\n",
        "gateway.toml:2: inbox.path: \"here.db\" is named beside database_url; an inbox is in a file or in a database, not in both",
    ),
    (
        "[inbox]\ndatabase_url = \"postgres://a@db/b?sslmode=disable\"\n",
        "gateway.toml:2: inbox.database_url: \"postgres://a@db/b?sslmode=disable\" has sslmode=disable, and leads to another machine: take that away, or, in a network that protects the connection itself, set inbox.database_allow_plaintext = true",
    ),
    (
        "[inbox]\ndatabase_url = \"postgres://a:geheim@db/b\"\n",
        "gateway.toml:2: inbox.database_url: the value, not shown here, has a password in it; it belongs into the file that `database_password_file` names",
    ),
    (
        "[inbox]\ndatabase_ca_file = \"ca.pem\"\n",
        "gateway.toml:2: inbox.database_ca_file: \"ca.pem\" has no effect without database_url",
    ),
    (
        "[inbox]\ndelivered_record_hours = 1\n",
        "gateway.toml:2: inbox.delivered_record_hours: 1 is less than delivered_body_hours: the content would be kept longer than the record of it",
    ),
    (
        "[lan]\n[lan]\n",
        "gateway.toml:2: column 2: not valid TOML: duplicate key",
    ),
];

#[test]
fn each_fault_in_a_file_has_its_text() {
    for (text, expected) in FILES {
        let refused = with_tenant(text).expect_err(text);
        assert_eq!(refused.to_string(), *expected, "{text}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let text =
        "[runtime]\nworkers = 999\n[nonsense]\n[platform]\nbase_url = 5\nmax_body = \"1B\"\n[[tenants]]\nname = \"\"\n";
    let expected = "\
gateway.toml:2: runtime.workers: 999 is out of range, allowed is 0 to 256
gateway.toml:3: unknown section `nonsense`; known here: runtime, lan, callback, telemetry, admin, platform, breaker, limits, store, cache, crypto, sign, identity, dates, \
clock, emptiness, delivery, pull, reconcile, inbox, reload, rotation, audit, drain, log, traces, tenants, clients, codes
gateway.toml:5: platform.base_url: 5 is not a URL
gateway.toml:6: platform.max_body: \"1B\" is out of range, allowed is 64KiB to 256MiB
gateway.toml:7: tenants[0].app_id: is missing
gateway.toml:7: tenants[0].token_file: is missing: the file that holds the token
gateway.toml:8: tenants[0].name: \"\" is not 1 to 32 lower-case letters, digits or `-`
unknown environment variable AIMIS_LAN__LISTN, did you mean AIMIS_LAN__LISTEN?";
    assert_eq!(
        complaints(&Sources::text("gateway.toml", text).with_env([("AIMIS_LAN__LISTN", "x")])),
        expected
    );
}

#[test]
fn each_fault_in_the_environment_has_its_text() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("AIMIS_PLATFORM__BASE_UR", "x")],
            "unknown environment variable AIMIS_PLATFORM__BASE_UR, did you mean AIMIS_PLATFORM__BASE_URL?",
        ),
        (
            &[("AIMIS_PLATFORM_BASE_URL", "x")],
            "unknown environment variable AIMIS_PLATFORM_BASE_URL, did you mean AIMIS_PLATFORM__BASE_URL?",
        ),
        (
            &[("AIMIS_TENANTS__1__APPID", "x")],
            "unknown environment variable AIMIS_TENANTS__1__APPID, did you mean AIMIS_TENANTS__1__APP_ID?",
        ),
        (
            &[("AIMIS_APPID", "x")],
            "unknown environment variable AIMIS_APPID, did you mean AIMIS_APP_ID?",
        ),
        (
            &[("AIMIS_SERVER_PORT", "8080")],
            "unknown environment variable AIMIS_SERVER_PORT; keys are spelled AIMIS_SECTION__KEY",
        ),
        (
            &[("AIMIS_RUNTIME__WORKERS", "many")],
            "AIMIS_RUNTIME__WORKERS: runtime.workers: \"many\" is not a whole number",
        ),
        (
            &[("AIMIS_TENANTS__2__APP_ID", "3")],
            "AIMIS_TENANTS__2__APP_ID: leaves a gap: there are 1 entries before, so the next has the index 1",
        ),
        (
            &[("AIMIS_TENANTS", "a,b")],
            "AIMIS_TENANTS: is not a JSON list of objects",
        ),
        (
            &[("AIMIS_APP_ID", "2"), ("AIMIS_TOKEN_FILE", "t")],
            "AIMIS_APP_ID: makes a tenant of its own, but there are tenants already (gateway.toml:2); to change those, \
             set AIMIS_TENANTS__0__…",
        ),
        (
            &[("AIMIS_TENANTS__0__TOKEN", "hunter2")],
            "AIMIS_TENANTS__0__TOKEN: tenants[0].token: is set beside `token_file`; only one of them can be meant",
        ),
    ];
    for (env, expected) in cases {
        let sources = Sources::text("gateway.toml", format!("\n{TENANT}")).with_env(env.iter().copied());
        assert_eq!(complaints(&sources), *expected, "{env:?}");
    }
}

#[test]
fn without_a_tenant_both_ways_out_are_told() {
    assert_eq!(
        complaints(&Sources::text("gateway.toml", "")),
        "there is no tenant: add a [[tenants]] table with name, app_id and token_file to gateway.toml, or set AIMIS_APP_ID \
         and AIMIS_TOKEN_FILE"
    );
    assert_eq!(
        complaints(&Sources::default()),
        "there is no tenant: name a file with [[tenants]] by --config, or set AIMIS_APP_ID and AIMIS_TOKEN_FILE"
    );
    for (env, expected) in [
        (
            [("AIMIS_HOSPITAL_ID", "H1"), ("AIMIS_TOKEN_FILE", "t")],
            "AIMIS_TOKEN_FILE: is set, but AIMIS_APP_ID is missing",
        ),
        (
            [("AIMIS_HOSPITAL_ID", "H1"), ("AIMIS_APP_ID", "1")],
            "AIMIS_APP_ID: is set, but AIMIS_TOKEN_FILE is missing",
        ),
    ] {
        assert_eq!(complaints(&Sources::default().with_env(env)), expected);
    }
}

#[test]
fn faults_of_json_have_their_line() {
    for (text, expected) in [
        (
            "{\n \"lan\": {\n  \"max_headers\": 5\n },\n \"tenants\": [{\"name\": \"a\", \"app_id\": \"1\", \"token_file\": \"t\"}]\n}",
            "gateway.json:3: lan.max_headers: 5 is out of range, allowed is 10 to 1000",
        ),
        (
            "{\n \"lan\": {},\n \"lan\": {}\n}",
            "gateway.json:3: lan: stands twice in one object",
        ),
        (
            "{\n \"lan\": }\n}",
            "gateway.json:2: column 9: not valid JSON: expected value",
        ),
        ("[]", "gateway.json:1: the file is not an object of sections"),
        (
            "{\"tenants\": {}}",
            "gateway.json:1: tenants: is not a list of tables; head each with [[tenants]]",
        ),
    ] {
        assert_eq!(complaints(&Sources::text("gateway.json", text)), expected, "{text}");
    }
}

#[test]
fn more_tenants_than_may_be_are_refused() {
    let tenant = |index: usize| format!("[[tenants]]\nname = \"t{index}\"\napp_id = \"{index}\"\ntoken_file = \"f\"\n");
    let text: String = (0..10_001).map(tenant).collect();
    assert_eq!(
        complaints(&Sources::text("gateway.toml", text)),
        "gateway.toml:1: tenants: has 10001 entries, allowed are at most 10000"
    );
}

#[test]
fn more_clients_than_may_be_are_refused() {
    let client = |index: usize| format!("[[clients]]\nname = \"c{index}\"\nkey_sha256 = \"{index:064}\"\n");
    let tenant = "[[tenants]]\nname = \"t\"\napp_id = \"1\"\nhospital_id = \"H\"\ntoken_file = \"f\"\n";
    let of = |count| -> String { (0..count).map(client).chain([tenant.to_owned()]).collect() };
    assert_eq!(
        complaints(&Sources::text("gateway.toml", of(1_001))),
        "gateway.toml:1: clients: has 1001 entries, allowed are at most 1000"
    );
    assert!(load(&Sources::text("gateway.toml", of(1_000))).is_ok());
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let text = complaints(&Sources::path("/nonexistent/gateway.toml"));
    assert!(
        text.starts_with("/nonexistent/gateway.toml: cannot be read: "),
        "{text}"
    );
}

#[test]
fn a_file_in_another_encoding_or_of_another_sort_says_so() {
    let path = std::env::temp_dir().join(format!("aimis-config-{}.toml", std::process::id()));
    let name = path.display().to_string();
    // "电话" in GB18030, as an editor of Windows saves it.
    std::fs::write(&path, b"[lan]\n# \xb5\xe7\xbb\xb0\n").unwrap();
    let encoding = complaints(&Sources::path(&path));
    std::fs::write(&path, vec![b'#'; (16 << 20) + 1]).unwrap();
    let size = complaints(&Sources::path(&path));
    std::fs::remove_file(&path).unwrap();

    assert_eq!(
        encoding,
        format!("{name}: line 2 is not UTF-8; save the file in that encoding")
    );
    assert_eq!(
        size,
        format!("{name}: is larger than 16MiB, so it is not a configuration")
    );
}

#[test]
fn a_problem_has_its_parts_for_machines() {
    let refused = with_tenant("[runtime]\nworkers = 999").unwrap_err();
    let problem = &refused.problems[0];
    assert_eq!(
        problem.origin,
        Some(Origin::File {
            name: "gateway.toml".into(),
            line: 2
        })
    );
    assert_eq!(problem.key, "runtime.workers");
    assert_eq!(problem.value.as_deref(), Some("999"));
}

#[test]
fn what_is_without_effect_in_tls_is_told() {
    let tls = "[lan.tls]\ncert_file = \"a.pem\"\nkey_file = \"a.key\"\n";
    let told = |text: &str| complaints(&Sources::text("gateway.toml", format!("{text}\n{TENANT}")));

    let unasked = told(&format!("{tls}client_auth = \"optional\"\n"));
    assert!(
        unasked.contains("lan.tls.client_auth: \"optional\" is without effect"),
        "{unasked}"
    );
    let unused = told(&format!("[lan]\nlisten = \"plain:127.0.0.1:1\"\n{tls}"));
    assert!(unused.contains("no address in lan.listen speaks TLS"), "{unused}");
    let half = told("[lan.tls]\ncert_file = \"a.pem\"\n");
    assert!(half.contains("lan.tls.key_file: is missing"), "{half}");
    let twice = told("[lan]\nlisten = [\"127.0.0.1:1\", \"plain:127.0.0.1:1\"]\n");
    assert!(twice.contains("is listened on already"), "{twice}");
}

#[test]
fn a_clients_hospitals_hold_what_its_tenants_fill_in() {
    let told = |client: &str, tenant: &str| {
        let text = format!("[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\n{client}\n{TENANT}{tenant}\n");
        load(&Sources::text("gateway.toml", text)).map_err(|error| error.to_string())
    };
    let (own, other) = ("hospital_id = \"H1\"", "hospital_ids = [\"H2\"]");

    assert_eq!(
        told(other, own).unwrap_err(),
        "gateway.toml:4: clients[0].hospital_ids: these do not hold \"H1\", which tenant a fills in where a request names \
         no hospital, so it would be refused"
    );
    for (client, tenant) in [
        ("hospital_ids = [\"H2\", \"H1\"]", own),
        ("hospital_ids = \"*\"", own),
        // What is filled in is the client's then, or nothing.
        ("hospital_ids = [\"H2\"]\nhospital_id = \"H2\"", own),
        (other, ""),
        // What is asked about is compared with the one or the other.
        ("", own),
        ("hospital_id = \"H1\"", ""),
    ] {
        assert!(told(client, tenant).is_ok(), "{client} {tenant}");
    }
}

#[test]
fn any_web_page_may_ask_where_every_client_has_a_key() {
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let client = format!(
        "[[clients]]\nname = \"his\"\nhospital_ids = \"*\"\nkey_sha256 = \"{digest}\"\nnetworks = \"0.0.0.0/0\"\n"
    );

    assert!(with_tenant(&format!("[lan]\ncors_origins = \"*\"\n{client}")).is_ok());
}

#[test]
fn what_works_and_should_be_known_is_noticed() {
    let noticed = |text: &str| notices(&super::config(text)).join("\n");
    let client =
        |rules: &str| format!("[[clients]]\nname = \"his\"\nnetworks = \"10.0.0.1\"\nhospital_ids = \"*\"\n{rules}\n");
    let tls = "[lan.tls]\ncert_file = \"a.pem\"\nkey_file = \"a.key\"\n";
    let listen = |address: &str| format!("[lan]\nlisten = {address}\n");

    let plain = format!("{}{}", listen("\"10.0.0.5:8080\""), client(""));
    assert_eq!(noticed(&plain), PLAIN_LAN);
    let beside = listen("[\"10.0.0.5:8443\", \"plain:10.0.0.5:8080\"]") + tls + &client("");
    assert_eq!(noticed(&beside), PLAIN_LAN);
    let secured = listen("[\"10.0.0.5:8443\", \"plain:127.0.0.1:8080\", \"unix:/run/a.sock\"]") + tls + &client("");
    assert_eq!(noticed(&secured), "");

    assert_eq!(
        noticed(&client("usage = 0\nmax_range_days = 31")),
        "client his: usage, max_range_days: these rules hold for patientStudies only; patientConsultations and \
         patientReportUrl have no such fields: set apis"
    );
    assert_eq!(noticed(&client("usage = 0\napis = \"patientStudies\"")), "");

    let twins = "[[tenants]]\nname = \"b\"\napp_id = \"2\"\ntoken_file = \"t\"\nhospital_id = \"H1\"\n\
                 [[tenants]]\nname = \"c\"\napp_id = \"3\"\ntoken_file = \"t\"\nhospital_id = \"H1\"\n";
    assert_eq!(
        noticed(twins),
        "tenants b and c have the same hospital_id: a request without an appId in its path goes to neither"
    );
    assert_eq!(noticed(&(client("tenants = \"b\"") + twins)), "");
}

#[test]
fn a_callback_listener_that_others_reach_asks_for_something_that_others_have_not() {
    let told = |callback: &str, tenant: &str| {
        let text = format!("{callback}\n{TENANT}\n{tenant}\n");
        load(&Sources::text("gateway.toml", text)).map_err(|error| error.to_string())
    };
    let open = "[callback]\nlisten = \"0.0.0.0:8443\"\n";
    let tls = "[callback.tls]\ncert_file = \"a.pem\"\nkey_file = \"a.key\"\n";
    let ca = "client_ca_file = \"ca.pem\"\n";

    for (callback, tenant) in [
        (open.to_owned(), ""),
        (format!("{open}networks = [\"10.0.0.0/8\", \"0.0.0.0/0\"]"), ""),
        (format!("{open}networks = \"::/0\""), ""),
        (format!("{open}{tls}"), ""),
        (format!("{open}{tls}{ca}client_auth = \"optional\""), ""),
        (
            "[callback]\nlisten = [\"127.0.0.1:1\", \"plain:0.0.0.0:8443\"]\n".to_owned() + tls + ca,
            "",
        ),
        (
            format!("{open}signature = \"required\""),
            "callback = { signature = \"if_present\" }",
        ),
    ] {
        let refused = told(&callback, tenant).expect_err(&callback);
        assert!(
            refused.contains("nothing tells the platform from others for tenant"),
            "{callback} {refused}"
        );
        assert!(refused.contains("callback.listen: \""), "{refused}");
    }
    for (callback, tenant) in [
        (format!("{open}signature = \"required\""), ""),
        (format!("{open}secret_file = \"x\""), ""),
        (format!("{open}networks = \"10.0.0.0/8\""), ""),
        (format!("{open}{tls}{ca}"), ""),
        (open.to_owned(), "callback = { secret_file = \"x\" }"),
        ("[callback]".to_owned(), ""),
        (
            "[callback]\nlisten = \"unix:/run/aimis-gateway/callback.sock\"".to_owned(),
            "",
        ),
    ] {
        assert!(told(&callback, tenant).is_ok(), "{callback} {tenant}");
    }
    let unheard = told("", "callback = { signature = \"required\" }").unwrap_err();
    assert!(
        unheard.contains("tenants[0].callback.signature: this is without effect"),
        "{unheard}"
    );
    let taken = told("[callback]\nlisten = \"127.0.0.1:8080\"", "").unwrap_err();
    assert!(
        taken.contains("callback.listen: \"127.0.0.1:8080\" is listened on already"),
        "{taken}"
    );
}
