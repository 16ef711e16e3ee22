//! The built binary, as an operator or a script uses it.

use std::io::{Read, Write};
use std::process::{Command, Output};

use aimis_simulator::{Platform, PlatformOptions};
use serde_json::Value;

use crate::support::binary::command;
use crate::support::client;
use crate::support::directory::Directory;
use crate::support::gateway::{ID_NUMBER, PHONE, studies_query};
use crate::support::process::{Process, Serve, run};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const VECTORS: &str = include_str!("../vectors/vectors.json");

/// Runs a command; its exit status, standard output and standard error.
fn ran(arguments: &[&str], input: &str) -> (i32, String, String) {
    told(&run(command(arguments), input.as_bytes()))
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn good_configuration(directory: &Directory) -> String {
    let token = directory.file("first-hospital.token", TOKEN);
    directory.file("gateway.toml", configuration(&token))
}

fn configuration(token: &str) -> String {
    format!(
        "[lan]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlisten = \"127.0.0.1:0\"\n\n[[tenants]]\n\
         name = \"first-hospital\"\napp_id = \"900001\"\ntoken_file = \"{token}\"\n"
    )
}

#[test]
fn help_tells_a_tired_person_what_they_need() {
    let (status, text, _) = ran(&["--help"], "");
    assert_eq!(status, 0);
    for needed in [
        "aimis-gateway demo",
        "Exit status: 0 fine, 1 a problem found, 2 wrong usage, 69 cannot bind, 78 bad",
    ] {
        assert!(text.contains(needed), "{needed}: {text}");
    }
    let needs: [(&[&str], &[&str]); 16] = [
        (&["serve"], &["--config", "AIMIS_", "SIGTERM"]),
        (&["check"], &["--config", "--json", "sends nothing"]),
        (&["doctor"], &["--config", "--tenant", "--json", "step by step"]),
        (&["config"], &["print", "schema", "full"]),
        (
            &["config", "print"],
            &[
                "--config",
                "--json",
                "where the value comes from",
                "Secrets are left out",
            ],
        ),
        (&["config", "schema"], &["JSON Schema"]),
        (
            &["sign"],
            &["--app-id", "--timestamp", "13 digits", "--token-file", "--json"],
        ),
        (&["encrypt"], &["standard input", "--token-file", "--json"]),
        (&["decrypt"], &["standard input", "--token-file", "--json"]),
        (&["selftest"], &["--config", "--json", "vectors"]),
        (&["simulate"], &["--listen", "--control", "127.0.0.1:9080", "made-up"]),
        (&["demo"], &["--once", "--json", "Ctrl-C"]),
        (
            &["inbox"],
            &[
                "list",
                "redeliver",
                "--yes",
                "--reveal",
                "verify",
                "also while the gateway runs",
            ],
        ),
        (&["healthcheck"], &["--ready", "--address", "9464"]),
        (&["gen"], &["completions"]),
        (&["gen", "completions"], &["bash", "zsh", "fish"]),
    ];
    for (path, needed) in needs {
        let (status, help, stderr) = ran(&[path, &["--help"]].concat(), "");
        assert_eq!((status, stderr.as_str()), (0, ""), "{path:?}");
        for needed in needed {
            assert!(
                help.contains(needed),
                "{path:?} --help does not say {needed:?}:\n{help}"
            );
        }
        assert!(text.contains(path[0]), "--help does not list {}", path[0]);
    }
    assert_eq!(
        ran(&["--version"], "").1,
        format!("aimis-gateway {}\n", aimis_gateway::VERSION)
    );
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_right() {
    let directory = Directory::new();
    let token = directory.file("a.token", TOKEN);
    for arguments in [
        &[][..],
        &["serv"],
        &["serve", "--confg", "x"],
        &["serve", "extra"],
        &["sign", "--app-id", "900001"],
        &[
            "sign",
            "--app-id",
            "900001",
            "--timestamp",
            "17",
            "--token-file",
            &token,
        ],
        &[
            "sign",
            "--app-id",
            "900001",
            "--timestamp",
            "173568960000x",
            "--token-file",
            &token,
        ],
        &["encrypt"],
        &["healthcheck", "--address", "nowhere"],
        &["gen", "completions", "dos"],
    ] {
        let (status, stdout, stderr) = ran(arguments, "");
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            stderr.contains("--") || stderr.contains("possible values"),
            "{arguments:?}: {stderr}"
        );
    }
    assert!(ran(&["serv"], "").2.contains("'serve'"));
}

#[test]
fn the_golden_values_come_out_as_one_line() {
    let directory = Directory::new();
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    for vector in vectors["vectors"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let token = directory.file("a.token", text("token"));
        let file = ["--token-file", token.as_str()];
        let sign = ["sign", "--app-id", text("appId"), "--timestamp", text("timestamp")];

        let signed = ran(&[&sign[..], &file].concat(), "");
        assert_eq!(
            signed,
            (0, format!("{}\n", text("signature")), String::new()),
            "{}",
            text("name")
        );
        let sealed = ran(&[&["encrypt"][..], &file].concat(), text("plaintext"));
        assert_eq!(
            sealed,
            (0, format!("{}\n", text("ciphertext_hex")), String::new()),
            "{}",
            text("name")
        );
        let opened = ran(
            &[&["decrypt"][..], &file].concat(),
            &format!("{}\n", text("ciphertext_hex")),
        );
        assert_eq!(
            opened,
            (0, format!("{}\n", text("plaintext")), String::new()),
            "{}",
            text("name")
        );
    }
}

#[test]
fn the_golden_values_come_out_as_json_too() {
    let directory = Directory::new();
    let token = directory.file("a.token", TOKEN);
    let json = |arguments: &[&str], input: &str| -> Value {
        let (status, stdout, stderr) = ran(&[arguments, &["--token-file", &token, "--json"]].concat(), input);
        assert_eq!((status, stderr.as_str()), (0, ""));
        serde_json::from_str(&stdout).unwrap()
    };

    let signed = json(&["sign", "--app-id", "900001", "--timestamp", "1735689600000"], "");
    assert_eq!(
        signed["signature"],
        "4c43cf430bf244880b1845258bc7937eba64f60258e92ad2bda27bb3f2037b9b"
    );
    assert_eq!(
        (&signed["appId"], &signed["timestamp"]),
        (&"900001".into(), &"1735689600000".into())
    );
    assert_eq!(
        json(&["encrypt"], PHONE)["ciphertext"],
        "554fb5befba4daabdb8169e45db64485"
    );
    assert_eq!(
        json(&["decrypt"], "554fb5befba4daabdb8169e45db64485\r\n")["plaintext"],
        PHONE
    );
}

#[test]
fn what_does_not_decrypt_exits_with_1_and_is_not_repeated() {
    let directory = Directory::new();
    let token = directory.file("a.token", TOKEN);
    let other = directory.file("b.token", "fedcba9876543210fedcba9876543210");
    for (token, input) in [
        (&token, "554fb5befba4daabdb8169e45db6448"),
        (&token, "554fb5befba4daabdb8169e45db64486"),
        (&token, "not hex at all, not hex at all!!"),
        (&token, ""),
        (&other, "554fb5befba4daabdb8169e45db64485"),
    ] {
        let (status, stdout, stderr) = ran(&["decrypt", "--token-file", token], input);
        assert_eq!((status, stdout.as_str()), (1, ""), "{input}");
        assert!(
            stderr.starts_with("aimis-gateway: cannot be decrypted: ") && stderr.lines().count() == 1,
            "{stderr}"
        );
        assert!(input.is_empty() || !stderr.contains(input), "{stderr}");
    }
}

#[test]
fn selftest_passes_with_and_without_a_configuration() {
    let directory = Directory::new();
    let config = good_configuration(&directory);

    let (status, stdout, _) = ran(&["selftest"], "");
    assert_eq!(status, 0);
    assert!(stdout.contains("golden values computed as documented"), "{stdout}");

    let (status, stdout, _) = ran(&["selftest", "--config", &config], "");
    assert_eq!(status, 0);
    assert!(stdout.contains("tenant first-hospital") && stdout.contains("554fb5befba4daabdb8169e45db64485"));

    let (status, stdout, _) = ran(&["selftest", "--config", &config, "--json"], "");
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status, &found["ok"]), (0, &true.into()));
    assert!(found["vectors_passed"].as_u64() > Some(10) && found["tenants"].as_array().unwrap().len() == 1);
}

#[test]
fn check_is_content_with_a_good_file() {
    let directory = Directory::new();
    let config = good_configuration(&directory);

    let (status, stdout, stderr) = ran(&["check", "--config", &config], "");
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.contains("tenant first-hospital: appId 900001") && stdout.ends_with("configuration is fine\n"));

    let (status, stdout, _) = ran(&["check", "--json", "--config", &config], "");
    assert_eq!(
        (status, &serde_json::from_str::<Value>(&stdout).unwrap()["ok"]),
        (0, &true.into())
    );
}

/// Nobody writes to the pipe: whoever opened it would wait for ever.
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
    let directory = Directory::new();
    let config = good_configuration(&directory);
    let pipe = directory.path().join("pipe.token");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let named = pipe.to_str().unwrap();
    let of_token = directory.file("token.toml", configuration(named));
    let tls = format!("[lan.tls]\ncert_file = \"{named}\"\nkey_file = \"{named}\"\n");
    let of_certificate = directory.file("tls.toml", std::fs::read_to_string(&config).unwrap() + &tls);

    for config in [named, &of_token, &of_certificate] {
        for command in ["check", "serve"] {
            let (status, _, stderr) = ran(&[command, "--config", config], "");
            assert_eq!(status, 78, "{stderr}");
            assert!(
                stderr.contains("pipe.token") && stderr.contains("is a named pipe, and a regular file is needed"),
                "{stderr}"
            );
        }
    }
    // What a shell hands over has its writer already.
    let text = std::fs::read_to_string(&config).unwrap();
    assert_eq!(ran(&["check", "--config", "/dev/stdin"], &text).0, 0);
}

#[test]
fn check_tells_of_clients_and_what_should_be_known() {
    let directory = Directory::new();
    let token = directory.file("a.token", TOKEN);
    let text = configuration(&token).replace("127.0.0.1:0\"\n[tele", "0.0.0.0:0\"\n[tele")
        + "hospital_id = \"H0001\"\n[[clients]]\nname = \"his\"\nnetworks = [\"10.0.0.0/16\", \"10.1.0.7\"]\nusage = [0, 2]\n\
           key_sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\
           [[clients]]\nname = \"app\"\nnetworks = \"10.2.0.1\"\n";
    let config = directory.file("gateway.toml", text);

    let (status, stdout, stderr) = ran(&["check", "--config", &config], "");
    assert_eq!((status, stderr.as_str()), (0, ""));
    for line in [
        "client his: known by keys 1; networks 10.0.0.0/16, 10.1.0.7/32: may ask: usage 0, 2\n",
        "client app: known by networks 10.2.0.1/32: no rules\n",
        "notice: lan.listen takes plain HTTP from other machines",
        "notice: client his: usage: these rules hold for patientStudies only",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    assert!(stdout.ends_with("configuration is fine\n"));

    let found: Value = serde_json::from_str(&ran(&["check", "--json", "--config", &config], "").1).unwrap();
    assert_eq!(found["clients"][0]["rules"]["usage"], serde_json::json!(["0", "2"]));
    assert_eq!(found["notices"].as_array().unwrap().len(), 2);
}

#[test]
fn check_and_serve_name_file_line_key_and_the_nearest_key() {
    let directory = Directory::new();
    let token = directory.file("a.token", TOKEN);
    let bad = configuration(&token)
        .replace("[telemetry]", "max_bdy = 1024\n[telemetry]")
        .replace("900001", "900 001");
    let file = directory.file("bad.toml", bad);

    for (command, json) in [("check", false), ("serve", false), ("check", true)] {
        let mut arguments = vec![command, "--config", &file];
        arguments.extend(json.then_some("--json"));
        let (status, stdout, stderr) = ran(&arguments, "");
        assert_eq!(status, 78, "{stderr}");
        for said in [
            "bad.toml:3: ",
            "`lan.max_bdy`",
            "max_body",
            "bad.toml:9: ",
            "tenants[0].app_id",
        ] {
            assert!(stderr.contains(said), "{said}: {stderr}");
        }
        if json {
            let found: Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!(
                (&found["ok"], found["problems"].as_array().unwrap().len()),
                (&false.into(), 2)
            );
        } else {
            assert_eq!(stdout, "");
        }
    }
    let (status, _, stderr) = ran(&["check", "--config", "/nowhere/gateway.toml"], "");
    assert_eq!(status, 78);
    assert!(stderr.contains("/nowhere/gateway.toml"), "{stderr}");
}

#[test]
fn a_secret_that_is_not_usable_is_told_without_its_value() {
    let directory = Directory::new();
    let missing = directory.path().join("missing.token");
    let files = [
        (missing.to_str().unwrap().to_owned(), "no such file"),
        (directory.path().to_str().unwrap().to_owned(), "directory"),
        (directory.file("newline.token", format!("{TOKEN}\n")), "line break"),
        (directory.file("short.token", &TOKEN[1..]), "31"),
        (directory.file("empty.token", ""), "empty"),
        (directory.file("long.token", TOKEN.repeat(200)), "4096"),
    ];
    for (token, why) in files {
        let config = directory.file("gateway.toml", configuration(&token));
        for command in ["check", "serve"] {
            let (status, stdout, stderr) = ran(&[command, "--config", &config], "");
            assert_eq!((status, stdout.as_str()), (78, ""), "{stderr}");
            assert!(
                stderr.contains("first-hospital") && stderr.contains(&token) && stderr.contains(why),
                "{why}: {stderr}"
            );
            assert!(!stderr.contains(&TOKEN[1..]), "the value was printed");
        }
    }
    for (variable, why) in [(format!("{TOKEN}\n"), "line break"), (TOKEN[1..].to_owned(), "31")] {
        let mut check = command(&["check"]);
        check.env("AIMIS_APP_ID", "900001").env("AIMIS_TOKEN", variable);
        let (status, _, stderr) = told(&run(check, b""));
        assert_eq!(status, 78, "{stderr}");
        assert!(stderr.contains(why) && !stderr.contains(&TOKEN[1..]), "{stderr}");
    }
}

#[test]
fn a_port_that_is_taken_is_one_clear_line_and_69() {
    let directory = Directory::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for listener in ["AIMIS_LAN__LISTEN", "AIMIS_TELEMETRY__LISTEN"] {
        let mut serve = command(&["serve", "--config", &good_configuration(&directory)]);
        serve.env(listener, &address);
        let (status, stdout, stderr) = told(&run(serve, b""));
        assert_eq!((status, stdout.as_str()), (69, ""), "{stderr}");
        assert_eq!(
            stderr,
            format!("aimis-gateway: cannot listen on {address}: the address is in use; does another gateway run?\n")
        );
    }
}

#[test]
fn config_print_shows_every_value_with_its_origin_and_no_secret() {
    let directory = Directory::new();
    let print = |arguments: &[&str]| {
        let mut print = command(arguments);
        print
            .env("AIMIS_APP_ID", "900001")
            .env("AIMIS_TOKEN", TOKEN)
            .env("AIMIS_LAN__MAX_BODY", "32KiB");
        print.current_dir(directory.path());
        let (status, stdout, stderr) = told(&run(print, b""));
        assert_eq!((status, stderr.as_str()), (0, ""));
        assert!(!stdout.contains(TOKEN));
        stdout
    };

    let toml = print(&["config", "print"]);
    let line = |key: &str| toml.lines().find(|line| line.contains(key)).unwrap();
    assert!(line("max_body").contains("AIMIS_LAN__MAX_BODY"), "{toml}");
    assert!(line("deadline_ms").contains("# default"), "{toml}");
    assert!(
        line("# token = ").contains("***") && line("# token = ").contains("AIMIS_TOKEN"),
        "{toml}"
    );

    let json: Value = serde_json::from_str(&print(&["config", "print", "--json"])).unwrap();
    assert_eq!(json["platform"]["deadline_ms"]["origin"], "default");
    assert_eq!(json["tenants"][0]["app_id"]["value"], "900001");

    // What is printed is a file that gives the same again.
    let config = good_configuration(&directory);
    let (_, printed, _) = ran(&["config", "print", "--config", &config], "");
    let again = directory.file("printed.toml", printed);
    assert_eq!(ran(&["check", "--config", &again], "").0, 0);
}

#[test]
fn schema_and_full_file_are_what_the_repository_has() {
    let (status, schema, _) = ran(&["config", "schema"], "");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(
        (status, &schema),
        (
            0,
            &serde_json::from_str(include_str!("../../config/gateway.schema.json")).unwrap()
        )
    );
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    assert_eq!(
        ran(&["config", "full"], "").1,
        include_str!("../../config/gateway.full.toml")
    );
}

#[test]
fn completions_are_accepted_by_the_shell() {
    let (status, script, _) = ran(&["gen", "completions", "bash"], "");
    assert_eq!(status, 0);
    assert!(script.contains("healthcheck") && script.contains("--token-file"));
    let mut bash = Command::new("bash");
    bash.arg("-n");
    let (status, _, stderr) = told(&run(bash, script.as_bytes()));
    assert_eq!((status, stderr.as_str()), (0, ""));

    // Sourced, and asked as the Tab key asks.
    let pressed = "\nCOMP_WORDS=(aimis-gateway ser); COMP_CWORD=1; _aimis__gateway aimis-gateway ser aimis-gateway\n\
                   echo \"${COMPREPLY[@]}\"\n";
    let (status, completed, stderr) = told(&run(Command::new("bash"), (script + pressed).as_bytes()));
    assert_eq!((status, completed.as_str(), stderr.as_str()), (0, "serve\n", ""));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut bash = Command::new("bash");
    let print = command(&["config", "full"]);
    bash.args(["-c", "set -o pipefail; \"$0\" config full | head -n 1"])
        .arg(print.get_program());
    let (status, _, stderr) = told(&run(bash, b""));
    assert_eq!((status, stderr.as_str()), (0, ""));
}

#[tokio::test]
async fn healthcheck_asks_a_running_gateway() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let mut serve = sidecar(&platform, &directory);
    serve.env("AIMIS_DRAIN__DELAY_MS", "5000");
    let serve = Serve::start(serve);
    let address = serve.telemetry.to_string();
    let ask = |arguments: &[&str]| ran(&[&["healthcheck", "--address", &address], arguments].concat(), "");

    assert_eq!(ask(&[]), (0, "ok\n".to_owned(), String::new()));
    assert_eq!(ask(&["--ready"]).0, 0);
    let json: Value = serde_json::from_str(&ask(&["--ready", "--json"]).1).unwrap();
    assert_eq!(json, serde_json::json!({ "ok": true, "answer": "ok" }));

    serve.process.signal("TERM");
    while client::get(serve.telemetry, "/readyz").await.status == 200 {}
    assert_eq!(ask(&[]).0, 0, "it lives still");
    let (status, stdout, stderr) = ask(&["--ready"]);
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert!(stderr.contains("not ready: draining"), "{stderr}");

    drop(serve);
    let (status, _, stderr) = ask(&[]);
    assert_eq!(status, 1);
    assert!(
        stderr.contains("no answer from") && stderr.contains(&address),
        "{stderr}"
    );
}

#[test]
fn demo_shows_a_query_and_a_callback_and_masks_the_wire() {
    let (status, text, stderr) = ran(&["demo", "--once"], "");
    assert_eq!((status, stderr.as_str()), (0, ""));
    for step in [
        "1. The HIS asks",
        "2. The gateway asks the platform",
        "3. The platform's answer, relayed byte for byte",
        "4. Later the platform calls back",
        "   {\"code\":0,\"message\":\"success\"}",
        "6. The HIS gets it, in plain JSON",
        "   webhook-id: evt_",
        "\"verified\":\"signed\"",
    ] {
        assert!(text.contains(step), "{step}: {text}");
    }
    let wire =
        [("2. ", "3. "), ("4. ", "5. ")].map(|(from, to)| &text[text.find(from).unwrap()..text.find(to).unwrap()]);
    let wire = wire.concat();
    for secret in [
        PHONE,
        ID_NUMBER,
        "张三",
        "554fb5befba4daabdb8169e45db64485",
        "2f87e8ccf8d7d0512cf792d6700896a7",
    ] {
        assert!(!wire.contains(secret), "{wire}");
    }
    assert!(wire.contains("phoneNum") && wire.to_lowercase().contains("signature"));
    assert!(!text.contains(TOKEN));
    let log = &text[text.find("7. ").unwrap()..];
    assert!(
        log.contains("\"event.name\":\"request\"") && !log.contains(PHONE),
        "{log}"
    );
}

#[test]
fn demo_as_json_is_one_object() {
    let (status, text, _) = ran(&["demo", "--once", "--json"], "");
    let tour: Value = serde_json::from_str(&text).unwrap();

    assert_eq!(
        (status, &tour["status"], &tour["byte_for_byte"]),
        (0, &200.into(), &true.into())
    );
    assert_eq!(tour["callback"]["whole"], true);
    let wire =
        tour["on_the_wire"].as_str().unwrap().to_owned() + tour["callback"]["sent_by_platform"].as_str().unwrap();
    assert!(!wire.contains(PHONE) && !wire.contains("554fb5befba4daabdb8169e45db64485"));
    assert!(!text.contains(TOKEN));
}

#[tokio::test]
async fn simulate_answers_and_ends_on_a_signal() {
    let process = Process::start(command(&[
        "simulate",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--his",
        "127.0.0.1:0",
    ]));
    let mut text = String::new();
    while serde_json::from_str::<Value>(&text).is_err() {
        text += &process.line(|_| true);
    }
    let addresses: Value = serde_json::from_str(&text).unwrap();
    let control = addresses["control"]
        .as_str()
        .unwrap()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let platform = addresses["platform"]
        .as_str()
        .unwrap()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();

    assert_eq!(client::get(control, "/patients").await.status, 200);
    let unsigned = client::post(
        platform,
        "/thirdparty/patientStudies/900001",
        &[],
        studies_query().as_bytes(),
    )
    .await;
    assert_eq!(unsigned.code(), 90_001);
    process.signal("INT");
    let ended = tokio::task::spawn_blocking(|| process.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// The form without a file.
fn sidecar(platform: &Platform, directory: &Directory) -> Command {
    let mut serve = command(&["serve"]);
    serve
        .env("AIMIS_APP_ID", "900001")
        .env("AIMIS_TOKEN_FILE", directory.file("a.token", TOKEN))
        .env("AIMIS_HOSPITAL_ID", "H0001")
        .env("AIMIS_UNION_ID", "U0001")
        .env("AIMIS_PLATFORM__BASE_URL", platform.base_url())
        .env("AIMIS_LAN__LISTEN", "127.0.0.1:0")
        .env("AIMIS_TELEMETRY__LISTEN", "127.0.0.1:0");
    serve
}

#[tokio::test]
async fn four_variables_make_a_gateway() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let mut inline = sidecar(&platform, &directory);
    inline.env_remove("AIMIS_TOKEN_FILE").env("AIMIS_TOKEN", TOKEN);
    for serve in [sidecar(&platform, &directory), inline] {
        let serve = Serve::start(serve);
        let query = studies_query().replace("\"hospitalId\":\"H0001\",\"unionId\":\"U0001\",", "");

        let answer = client::post(serve.lan, "/thirdparty/patientStudies", &[], query.as_bytes()).await;

        assert_eq!((answer.status, answer.code()), (200, 0));
        let request = platform.only_request();
        assert_eq!(
            (&request.json()["hospitalId"], &request.json()["unionId"]),
            (&"H0001".into(), &"U0001".into())
        );
        platform.clear_requests();
    }
}

#[tokio::test]
async fn a_mistyped_variable_is_refused_with_the_nearest() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    for (variable, nearest) in [
        ("AIMIS_HOSPITL_ID", "AIMIS_HOSPITAL_ID"),
        ("AIMIS_PLATFORM__DEADLIN_MS", "AIMIS_PLATFORM__DEADLINE_MS"),
    ] {
        let mut serve = sidecar(&platform, &directory);
        serve.env(variable, "1000");
        let (status, stdout, stderr) = told(&run(serve, b""));
        assert_eq!((status, stdout.as_str()), (78, ""));
        assert!(stderr.contains(variable) && stderr.contains(nearest), "{stderr}");
    }
    let mut half = command(&["serve"]);
    half.env("AIMIS_APP_ID", "900001");
    let (status, _, stderr) = told(&run(half, b""));
    assert_eq!(status, 78);
    assert!(stderr.contains("AIMIS_TOKEN_FILE"), "{stderr}");
}

#[test]
fn demo_runs_on_until_it_is_told_to_end() {
    let process = Process::start(command(&["demo"]));
    process.line(|line| line.contains("Ctrl-C ends them"));
    let curl = process
        .stdout()
        .lines()
        .find(|line| line.contains("curl -i http://"))
        .unwrap()
        .to_owned();
    let address = curl
        .split("http://")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();

    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    write!(
        stream,
        "GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    process.signal("INT");

    assert!(
        answer.starts_with("HTTP/1.1 404"),
        "the LAN side has no probes: {answer}"
    );
    assert_eq!(process.ended().status.code(), Some(0));
}
