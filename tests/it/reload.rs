//! P7: the configuration and its files are taken up while requests go on, whole or not at all.

mod state;
mod tenants;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aimis_simulator::{Account, Fault, Platform, PlatformOptions};

use crate::authorization::keyed;
use crate::log_fields::checked;
use crate::support::binary;
use crate::support::client::{self, Connection, request};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query};
use crate::support::process::Serve;
use crate::support::tls::{Authority, Pair};

const SUCCESSFUL: &str = "aimis_config_last_reload_successful";
const OK: &str = "aimis_config_reloads_total{result=\"ok\"}";
const FAILED: &str = "aimis_config_reloads_total{result=\"failed\"}";
const TIME: &str = "aimis_config_last_reload_success_timestamp_seconds";

pub async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

pub fn second() -> Account {
    Account::new("900002", "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$", "H0002", "U0002")
}

/// A platform that knows both hospitals.
pub async fn both() -> Platform {
    Platform::start(PlatformOptions {
        accounts: vec![Account::demo(), second()],
        ..PlatformOptions::default()
    })
    .await
    .unwrap()
}

/// Callers that go on asking over connections that they keep.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// So many, each with a question at a time. A failed one is a panic.
    pub fn start(gateway: &Gateway, callers: usize) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let caller = |_| {
            let (stop, answered, lan) = (Arc::clone(&stop), Arc::clone(&answered), gateway.lan);
            tokio::spawn(async move {
                let asked = request(
                    "POST",
                    "/thirdparty/patientStudies/900001",
                    &[],
                    studies_query().as_bytes(),
                );
                let mut connection = Connection::open(lan).await;
                while !stop.load(Ordering::Relaxed) {
                    connection.send(&asked).await.unwrap();
                    let answer = connection.answer().await.expect("an answer over the same connection");
                    assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        Self {
            callers: (0..callers).map(caller).collect(),
            stop,
            answered,
        }
    }

    /// Waits until so many more were answered.
    pub async fn more(&self, count: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + count;
        while self.answered.load(Ordering::Relaxed) < wanted {
            assert!(
                self.callers.iter().all(|caller| !caller.is_finished()),
                "a caller failed"
            );
            tokio::task::yield_now().await;
        }
    }

    /// Ends it, and tells how many were answered; none failed.
    pub async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.await.unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request() {
    let (platform, directory) = (both().await, Directory::new());
    let base = Settings::calling(&platform).with("runtime", "workers = 2");
    let gateway = base.start_in(&directory);
    let load = Load::start(&gateway, 4);
    for round in 0..20 {
        let changed = match round % 4 {
            0 => base.clone().with("platform", "idle_timeout_ms = 20000"),
            1 => base.clone().tenant("second", second()),
            2 => base.clone().with("limits", "queue = 7").with("log", "level = \"warn\""),
            _ => base.clone().with("identity", "mode = \"strict\""),
        };
        changed.write(&directory);
        gateway.reload().await.unwrap();
        load.more(10).await;
    }

    assert!(load.end().await >= 200);
    assert_eq!(gateway.metric(OK).await, Some(20.0));
    assert_eq!(gateway.metric(SUCCESSFUL).await, Some(1.0));
    let requests =
        "aimis_requests_total{api=\"patientStudies\",code_class=\"ok\",origin=\"platform\",tenant=\"first-hospital\"}";
    assert_eq!(gateway.metric(requests).await, Some(platform.request_count() as f64));
    checked(&gateway.stop());
}

#[tokio::test]
async fn a_request_ends_under_what_it_began_with() {
    let (platform, directory) = (both().await, Directory::new());
    let base = Settings::calling(&platform).tenant("second", second());
    let gateway = base.start_in(&directory);
    platform.push_fault(Fault::Latency { ms: 1_000 });
    let asked = gateway.studies();
    tokio::pin!(asked);
    tokio::select! {
        _ = &mut asked => panic!("it takes longer"),
        () = platform.wait_for_requests(1) => {}
    }

    // Its tenant is gone, and everybody needs a key.
    base.clone()
        .without_tenant("first-hospital")
        .client(&keyed("his", "key-one", ""))
        .write(&directory);
    gateway.reload().await.unwrap();

    assert_eq!(gateway.studies().await.code(), 800_101);
    assert_eq!(asked.await.code(), 0);
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing_and_is_told() {
    let (platform, directory) = (platform().await, Directory::new());
    directory.file("tag.key", [7; 32]);
    let base = Settings::calling(&platform).with("log", "patient_tag_key_file = \"tag.key\"");
    let gateway = base.start_in(&directory);
    let started = gateway.metric(TIME).await.unwrap();
    assert!(started > 1.7e9);
    assert_eq!(gateway.metric(SUCCESSFUL).await, Some(1.0));
    let token = "0123456789abcdef0123456789abcdef";
    let good = std::fs::read_to_string(directory.path().join("gateway.toml")).unwrap();

    let mut failed = 0.0;
    for (file, content, told) in [
        ("gateway.toml", format!("{good}\n[platform"), "gateway.toml:"),
        (
            "gateway.toml",
            format!("{good}\n[brekaer]\n"),
            "did you mean `breaker`?",
        ),
        (
            "gateway.toml",
            good.replace("app_id = \"900001\"", "app_id = \"900001\"\nnext_token_file = \"none\""),
            "no such file",
        ),
        ("first-hospital.token", format!("{token}\n"), "ends with a line break"),
        ("first-hospital.token", "short".to_owned(), "has 5 bytes, 32 are wanted"),
        ("tag.key", "short".to_owned(), "has 5 bytes; a key needs 32 or more"),
    ] {
        let before = std::fs::read(directory.path().join(file)).unwrap();
        // A change that is good, beside one that is not: neither is taken up.
        let with_client = format!("{good}\n[[clients]]\nname = \"his\"\nnetworks = \"192.0.2.0/24\"\n");
        directory.file("gateway.toml", with_client);
        directory.file(file, &content);

        let error = gateway.reload().await.unwrap_err();

        failed += 1.0;
        assert!(error.contains(told), "{error}");
        assert_eq!(gateway.studies().await.code(), 0, "{told}");
        assert_eq!(gateway.metric(FAILED).await, Some(failed));
        assert_eq!(gateway.metric(SUCCESSFUL).await, Some(0.0));
        assert_eq!(gateway.metric(TIME).await, Some(started));
        assert_eq!(gateway.telemetry("/readyz").await.status, 200);
        directory.file(file, before);
    }
    directory.file("gateway.toml", &good);
    gateway.reload().await.unwrap();
    assert_eq!(gateway.metric(SUCCESSFUL).await, Some(1.0));
    assert_eq!(gateway.metric(OK).await, Some(1.0));
    assert!(gateway.metric(TIME).await.unwrap() >= started);

    let log = gateway.stop();
    assert!(!log.contains(token));
    let lines = checked(&log);
    let of = |name: &str| lines.iter().filter(|line| line["event.name"] == name).count();
    assert_eq!(of("config_reload_failed"), 6);
    assert_eq!(of("config_reloaded"), 1);
}

#[tokio::test]
async fn an_authority_that_is_broken_leaves_the_way_as_it_is() {
    let (platform, directory) = (platform().await, Directory::new());
    let base = Settings::calling(&platform);
    let gateway = base.start_in(&directory);
    directory.file("ca.pem", "no certificate");
    base.clone()
        .with("platform", "extra_ca_file = \"ca.pem\"")
        .write(&directory);

    let error = gateway.reload().await.unwrap_err();

    assert!(error.contains("ca.pem"), "{error}");
    assert_eq!(gateway.studies().await.code(), 0);
}

/// The configuration is looked at by nobody in particular: a pipe in its place, or in that of a key, would hold up every
/// reload after it.
#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_holds_up_no_reload() {
    let (platform, directory) = (platform().await, Directory::new());
    let base = Settings::calling(&platform);
    let gateway = base.start_in(&directory);
    for name in ["gateway.toml", "first-hospital.token"] {
        let path = directory.path().join(name);
        let before = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());

        let error = gateway.reload().await.unwrap_err();

        assert!(error.contains(name) && error.contains("no regular file"), "{error}");
        assert_eq!(gateway.studies().await.code(), 0);
        directory.file(name, before);
        gateway.reload().await.unwrap();
    }
}

#[tokio::test]
async fn what_only_a_restart_changes_is_named_and_the_rest_is_in_force() {
    let (platform, directory) = (platform().await, Directory::new());
    let base = Settings::calling(&platform);
    let gateway = base.start_in(&directory);
    let lan = client::get(gateway.lan, "/").await;
    assert_eq!(lan.status, 404);

    base.clone()
        .listen("\"127.0.0.1:1\"")
        .with("drain", "delay_ms = 7")
        .with("lan", "max_body = \"1KiB\"")
        .write(&directory);
    gateway.reload().await.unwrap();

    let large = format!("{}{}", studies_query(), " ".repeat(2048));
    assert_eq!(gateway.query("patientStudies", large).await.status, 413);
    assert_eq!(gateway.studies().await.status, 200);
    let lines = checked(&gateway.stop());
    let told = lines
        .iter()
        .find(|line| line["event.name"] == "restart_needed")
        .unwrap();
    assert_eq!(told["keys"], "drain.delay_ms lan.listen");
}

/// With those keys as they were, the new ones would let anybody in: nothing of it is in force.
#[tokio::test]
async fn what_is_held_is_judged_together_with_what_is_new() {
    let (platform, directory) = (platform().await, Directory::new());
    let base = Settings::calling(&platform);
    let gateway = base
        .clone()
        .listen("\"0.0.0.0:0\"")
        .client(&keyed("his", "key-one", ""))
        .start_in(&directory);
    base.write(&directory);

    let error = gateway.reload().await.unwrap_err();

    assert!(error.contains("only a restart changes"), "{error}");
    assert!(error.contains("lan.listen"), "{error}");
    let lan = format!("127.0.0.1:{}", gateway.lan.port()).parse().unwrap();
    let path = "/thirdparty/patientStudies/900001";
    let answer = client::post(lan, path, &[], studies_query().as_bytes()).await;
    assert_eq!(answer.code(), 800_101);
}

/// As kubelet does it: all files of a mounted secret are links into a directory, and that link is swapped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swapped_link_is_noticed_by_itself() {
    let (platform, directory) = (platform().await, Directory::new());
    let new = "fedcba9876543210fedcba9876543210";
    for (version, token) in [("one", "0123456789abcdef0123456789abcdef"), ("two", new)] {
        directory.file(&format!("{version}/first-hospital.token"), token);
    }
    let swap = |version: &str| {
        let link = directory.path().join("..data_tmp");
        std::os::unix::fs::symlink(version, &link).unwrap();
        std::fs::rename(&link, directory.path().join("..data")).unwrap();
    };
    swap("one");
    let token = directory.path().join("first-hospital.token");
    std::os::unix::fs::symlink("..data/first-hospital.token", &token).unwrap();
    let gateway = Settings::calling(&platform)
        .with("reload", "poll_s = 1")
        .with("rotation", "canary_interval_ms = 100")
        .start_in(&directory);
    let load = Load::start(&gateway, 2);
    load.more(5).await;

    let account = Account::demo();
    platform.put_account(Account {
        token: new.to_owned(),
        previous_token: Some(account.token),
        ..Account::demo()
    });
    swap("two");
    gateway.logged("\"event.name\":\"token_switched\"").await;

    load.more(5).await;
    load.end().await;
    assert!(platform.switch_token("900001", new));
    assert_eq!(gateway.studies().await.code(), 0);
}

#[tokio::test]
async fn a_hangup_has_the_binary_read_everything_anew() {
    let (platform, directory) = (platform().await, Directory::new());
    let base = Settings::calling(&platform);
    let path = base.write(&directory);
    let mut command = binary::command(&["serve", "--config"]);
    command.arg(&path);
    let serve = Serve::start(command);
    let ask = async |serve: &Serve| {
        let path = "/thirdparty/patientStudies/900001";
        client::post(serve.lan, path, &[], studies_query().as_bytes()).await
    };
    assert_eq!(ask(&serve).await.code(), 0);

    base.clone().client(&keyed("his", "key-one", "")).write(&directory);
    serve.process.signal("HUP");
    let told = serve.process.event("config_reloaded");
    assert_eq!((&told["tenants"], &told["clients"]), (&1.into(), &1.into()));
    assert_eq!(ask(&serve).await.code(), 800_101);

    directory.file("gateway.toml", "nonsense");
    serve.process.signal("HUP");
    let told = serve.process.event("config_reload_failed");
    assert_eq!(told["severity_text"], "ERROR");
    assert_eq!(ask(&serve).await.code(), 800_101);
}

/// A listener's files have a watch of their own, which an order wakes; and none of what an order reads may be broken.
#[tokio::test]
async fn an_order_has_the_listeners_certificate_looked_at() {
    let (platform, directory) = (platform().await, Directory::new());
    let authority = Authority::new("hospital");
    let show = |pair: &Pair| {
        directory.file("lan.pem", &pair.certificate_pem);
        directory.file("lan.key", &pair.key_pem);
    };
    show(&authority.server());
    let gateway = Settings::calling(&platform)
        .with(
            "lan.tls",
            "cert_file = \"lan.pem\"\nkey_file = \"lan.key\"\nreload_interval_ms = 3600000",
        )
        .start_in(&directory);

    show(&authority.server());
    gateway.reload().await.unwrap();
    gateway.logged("\"event.name\":\"tls_reloaded\"").await;

    directory.file("lan.pem", "nonsense");
    let error = gateway.reload().await.unwrap_err();
    assert!(error.contains("lan.tls.cert_file"), "{error}");
    gateway.logged("\"event.name\":\"tls_reload_failed\"").await;
}
