//! The road with somebody to be told of patients, over a connection in memory.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use aimis_core::codes::Codes;
use aimis_simulator::{Account, Callback, CallbackSender};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::inbox::Sqlite;
use super::inbox::sqlite::{KeyFiles, Parts, Role, Settings};
use super::*;
use crate::config::{Config, Sources};
use crate::edge::connection::{Bounds, serve};
use crate::edge::guarded_io::Patience;
use crate::telemetry::metrics::Metrics;

const NOW: u64 = 1_735_689_600_000;

/// What was told, in order.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Invalidate for Told {
    fn invalidate<'a>(&'a self, tenant: &'a TenantName, patient: &'a Patient) -> BoxFuture<'a, Result<(), StillHeld>> {
        async move {
            // Not at once, as over a network: the acknowledgement has to wait.
            tokio::task::yield_now().await;
            self.note(format!(
                "{} {} {}",
                tenant.as_str(),
                *patient.id_num,
                *patient.phone_num
            ));
            Ok(())
        }
        .boxed()
    }
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(directory: &Directory) -> Config {
    let account = Account::demo();
    let text = format!(
        "[callback]\nlink_hosts = \"imaging.example.com\"\n[inbox]\npath = \"{0}/inbox.db\"\nkey_file = \"{0}/inbox.key\"\n\
         [[tenants]]\nname = \"first-hospital\"\napp_id = \"{1}\"\nhospital_id = \"{2}\"\n",
        directory.0.display(),
        account.app_id,
        account.hospital_id
    );
    let sources = Sources::text("t.toml", text).with_env([("AIMIS_TENANTS__0__TOKEN", account.token)]);
    crate::config::load(&sources).unwrap().config
}

fn road(config: &Config, told: &Arc<Told>) -> Callbacks {
    let clock = Clock::manual(NOW);
    let metrics = Metrics::new(&[], &[], &Codes::builtin());
    let parts = Parts {
        clock: clock.clone(),
        metrics: Arc::clone(&metrics.inbox),
        abort: Arc::new(|what| panic!("{what}")),
    };
    let (settings, keys) = (Settings::from(&config.inbox), KeyFiles::from(&config.inbox));
    let told: Arc<dyn Invalidate> = Arc::clone(told) as _;
    Callbacks {
        hospitals: Arc::new(ArcSwap::from_pointee(
            crate::prepare::prepare(config).unwrap().callbacks.unwrap().hospitals,
        )),
        inbox: Arc::new(Sqlite::open(settings, &keys, Role::Gateway, parts).unwrap()),
        rate: Rate::new(0, clock.clone()),
        bounds: BodyBounds {
            max: 65_536,
            timeout: Duration::from_secs(60),
        },
        link_hosts: LinkHosts::new(metrics.callbacks.link_hosts.clone()),
        invalidate: vec![told],
        signing_clock: clock.clone(),
        clock,
    }
}

/// Sends a callback down the road, and notes what it is answered.
async fn send(road: &Arc<Callbacks>, told: &Arc<Told>, callback: &Callback) {
    let (mut theirs, ours) = tokio::io::duplex(64 << 10);
    let second = Duration::from_secs(60);
    let bounds = Bounds {
        patience: Patience {
            idle: second,
            head: second,
            write: second,
        },
        linger: second,
        max_head_bytes: 8192,
        max_headers: 32,
        http2: false,
        http2_max_streams: 1,
        http2_max_resets: 1,
    };
    let (_stop, stop) = watch::channel(false);
    let answers = RefCell::new(0);
    let served = serve(ours, bounds, bounds.plaintext(), stop, |asked| {
        *answers.borrow_mut() += 1;
        let (road, told) = (Arc::clone(road), Arc::clone(told));
        async move {
            let mut course = Course::default();
            let taken = road.receive(asked.unwrap(), &Peer::default(), &mut course).await;
            told.note(if taken.is_ok() { "received" } else { "refused" }.to_owned());
            taken.map_or_else(|_| answer::refused(false), answer::received)
        }
    });
    let sender = CallbackSender::new("http://gateway/callback/first-hospital", &Account::demo()).unwrap();
    let bytes = sender.forge_timestamp(&NOW.to_string()).request_bytes(callback);
    let talk = async {
        theirs.write_all(&bytes).await.unwrap();
        theirs.read_to_end(&mut Vec::new()).await.unwrap();
    };
    tokio::join!(served, talk);
    assert_eq!(*answers.borrow(), 1);
}

#[tokio::test]
async fn who_holds_something_about_the_patient_is_told_before_the_acknowledgement() {
    let directory = Directory(std::env::temp_dir().join(format!("aimis-callback-road-{}", std::process::id())));
    std::fs::create_dir_all(&directory.0).unwrap();
    let told = Arc::new(Told::default());
    let road = Arc::new(road(&config(&directory), &told));
    let sealed = |text: &str| Account::demo().encrypt(text, &Default::default());

    for callback in [
        Callback::demo(),
        Callback::demo(),
        Callback::demo().with("h5Url", "https://evil.example/"),
        Callback::demo().with("idNum", "no ciphertext"),
        Callback::demo().with("status", "no status"),
        Callback::demo()
            .study("S2")
            .with("phoneNum", "")
            .with("idNum", sealed("H12345678")),
    ] {
        send(&road, &told, &callback).await;
    }

    let patient = "first-hospital 11010119000101009X 13800138000";
    assert_eq!(
        *told.0.lock().unwrap(),
        [
            patient,
            "received",
            patient,
            "received",
            "received",
            "refused",
            "refused",
            "first-hospital H12345678 ",
            "received"
        ]
    );
}
