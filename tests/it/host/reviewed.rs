//! `check --security`: a graded list, an exit status, and the same told at the start.

use std::os::unix::fs::PermissionsExt;

use aimis_simulator::{Platform, PlatformOptions};
use serde_json::Value;

use super::{TOKEN, serve};
use crate::support::binary;
use crate::support::directory::Directory;
use crate::support::process::{Process, run};

/// A configuration with one tenant, whose token file has this mode.
fn configuration(directory: &Directory, mode: u32, further: &str) -> String {
    let token = directory.file("a.token", TOKEN);
    std::fs::set_permissions(token, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "{further}[[tenants]]\nname = \"a\"\napp_id = \"900001\"\nhospital_id = \"H0001\"\ntoken_file = \"a.token\"\n"
    );
    let file = directory.file("gateway.toml", text);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    file
}

#[test]
fn a_serious_finding_is_exit_status_1_and_says_what_to_do() {
    let directory = Directory::new();
    let check = |mode, further, arguments: &[&str]| {
        let file = configuration(&directory, mode, further);
        let arguments = [&["check", "--security", "--config", &file], arguments].concat();
        let output = run(binary::command(&arguments), b"");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };

    let (status, stdout, stderr) = check(0o600, "", &[]);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.ends_with("0 serious, 0 moderate, 3 minor\n"), "{stdout}");

    let (status, stdout, stderr) = check(0o644, "", &[]);
    assert_eq!((status, stderr.as_str()), (1, "aimis-gateway: 1 serious finding\n"));
    let path = directory.path().join("a.token");
    let first = format!(
        "SERIOUS   disk.secret_readable ({}): every user of this machine can read this secret.\n          chmod o= the file.\n",
        path.display()
    );
    assert!(stdout.starts_with(&first), "gravest first: {stdout}");
    assert!(!stdout.contains(TOKEN));

    let (status, stdout, _) = check(0o644, "[callback]\nsignature = \"off\"\n", &["--json"]);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (status, &found["ok"], &found["counts"]["serious"]),
        (1, &false.into(), &2.into())
    );
    let grades: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["grade"].as_str().unwrap())
        .collect();
    assert_eq!(grades[..2], ["serious", "serious"]);
    for finding in found["findings"].as_array().unwrap() {
        for key in ["key", "why", "fix"] {
            assert!(!finding[key].as_str().unwrap().is_empty(), "{finding}");
        }
    }

    assert_eq!(check(0o600, "[lan]\nlisten = \"nowhere\"\n", &[]).0, 78);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_tells_what_is_risky() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();

    let process = Process::start(serve(&platform));

    let told = process.line(|line| line.contains("\"risk.key\":\"tenants.token\""));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["event.name"], &told["severity_text"], &told["risk.grade"]),
        (&"risky_setting".into(), &"WARN".into(), &"moderate".into())
    );
    assert!(told["risk.fix"].as_str().unwrap().contains("token_file"), "{told}");
    assert!(!told.to_string().contains(TOKEN));
}
