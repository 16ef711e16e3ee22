//! What other processes can see of the running gateway.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use aimis_simulator::{Platform, PlatformOptions};

use super::{PATH, TOKEN, serve};
use crate::support::binary;
use crate::support::client;
use crate::support::directory::Directory;
use crate::support::gateway::{Settings, studies_query};
use crate::support::process::{Process, Serve};

/// A user without rights.
const NOBODY: &str = "65534";

/// The binary where that user can run it; gone at the end.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("aimis-host-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(binary::path(), directory.join("aimis-gateway")).unwrap();
        Self(directory)
    }

    /// `command` by an ordinary user: by the one that runs the tests, unless that is root.
    fn by_an_ordinary_user(&self, command: &Command) -> Command {
        let binary = self.0.join("aimis-gateway");
        let mut ordinary = if rustix::process::geteuid().is_root() {
            let mut setpriv = Command::new("setpriv");
            setpriv
                .args([
                    &format!("--reuid={NOBODY}"),
                    &format!("--regid={NOBODY}"),
                    "--clear-groups",
                ])
                .arg(binary);
            setpriv
        } else {
            Command::new(binary)
        };
        ordinary.args(command.get_args()).current_dir(&self.0);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => ordinary.env(name, value),
                None => ordinary.env_remove(name),
            };
        }
        ordinary
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The value of a line `Name:\tvalue` of `/proc/PID/status`.
fn status(process: &Process, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_process_keeps_its_memory_and_its_token_to_itself() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let copy = Copy::new();

    let serve = Serve::start(copy.by_an_ordinary_user(&serve(&platform)));

    let process = &serve.process;
    let own = |name: &str| PathBuf::from(format!("/proc/{}/{name}", process.id()));
    let limits = std::fs::read_to_string(own("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    assert_eq!(status(process, "Umask"), "0077");
    assert_eq!(status(process, "NoNewPrivs"), "1");
    assert_eq!(status(process, "CapEff"), "0000000000000000");
    // The kernel gives these to root once a process is not dumpable; else they are its user's.
    assert_eq!(std::fs::metadata(own("environ")).unwrap().uid(), 0);
    match std::fs::read(own("environ")) {
        Ok(environment) => {
            let environment = String::from_utf8_lossy(&environment).into_owned();
            assert!(environment.contains("AIMIS_APP_ID=900001"), "{environment}");
            assert!(
                !environment.contains(TOKEN) && !environment.contains("AIMIS_TOKEN"),
                "{environment}"
            );
        }
        // Not root: that nobody else can look is the point.
        Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
    }
    let answer = client::post(serve.lan, PATH, &[], studies_query().as_bytes()).await;
    assert_eq!(
        (answer.status, answer.code()),
        (200, 0),
        "the token arrived: {answer:?}"
    );
    let metrics = client::get(serve.telemetry, "/metrics").await.text();
    assert!(
        metrics.contains("\nprocess_open_fds "),
        "its own figures are still there: {metrics}"
    );
}

#[tokio::test]
async fn root_keeps_only_what_serving_needs() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    // Bind to low ports, read and change files of others: bits 10, 1, 2 and 3.
    let needed = 0x40e;

    let serve = Serve::start(serve(&platform));

    for set in ["CapEff", "CapPrm", "CapInh"] {
        let kept = u64::from_str_radix(&status(&serve.process, set), 16).unwrap();
        assert_eq!(kept & !needed, 0, "{set} {kept:x}");
    }
}

#[tokio::test]
async fn a_crash_leaves_no_core_file() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let (directory, core) = (Directory::new(), "ulimit -S -c $(ulimit -H -c)");
    let mut command = binary::after(&serve(&platform), core);
    command.current_dir(directory.path());
    let serve = Serve::start(command);

    serve.process.signal("ABRT");

    let ended = tokio::task::spawn_blocking(|| serve.process.ended()).await.unwrap();
    assert_eq!(ended.status.signal(), Some(6));
    assert!(!ended.status.core_dumped());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_token_in_a_list_of_tenants_is_taken_out_too() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let tenants = format!(r#"[{{"name":"a","app_id":"900001","hospital_id":"H0001","token":"{TOKEN}"}}]"#);
    let mut command = serve(&platform);
    command.env_remove("AIMIS_APP_ID").env_remove("AIMIS_TOKEN");
    command.env("AIMIS_TENANTS", &tenants);

    let serve = Serve::start(command);

    let environ = PathBuf::from(format!("/proc/{}/environ", serve.process.id()));
    let environment = std::fs::read(environ).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&environment).contains(TOKEN));
    let answer = client::post(serve.lan, PATH, &[], studies_query().as_bytes()).await;
    assert_eq!((answer.status, answer.code()), (200, 0));
}

#[tokio::test]
async fn a_credential_of_systemd_is_a_token_file() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    directory.file("credentials/a.token", TOKEN);
    let mut command = serve(&platform);
    command
        .env_remove("AIMIS_TOKEN")
        .env("AIMIS_TOKEN_FILE", "credential:a.token")
        .env("CREDENTIALS_DIRECTORY", directory.path().join("credentials"));

    let serve = Serve::start(command);

    let answer = client::post(serve.lan, PATH, &[], studies_query().as_bytes()).await;
    assert_eq!((answer.status, answer.code()), (200, 0));
}

#[tokio::test]
async fn no_answer_says_what_made_it() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let gateway = Settings::calling(&platform)
        .callbacks(&directory)
        .with("admin", "listen = \"127.0.0.1:0\"")
        .start();
    let addresses = [
        gateway.lan,
        gateway.telemetry,
        gateway.admin.unwrap(),
        gateway.callback.unwrap(),
    ];
    for address in addresses {
        for path in ["/livez", "/nothing", "/thirdparty/patientStudies/900001"] {
            let answer = client::get(address, path).await;
            for name in ["server", "via", "x-powered-by"] {
                assert_eq!(answer.header(name), None, "{address}{path}");
            }
            let head: String = answer
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}\n"))
                .collect();
            assert!(
                !head.contains(aimis_gateway::VERSION) && !head.contains("hyper"),
                "{head}"
            );
        }
    }
}
