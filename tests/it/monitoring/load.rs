//! A gateway with everything it has, and a load that moves everything the dashboards show.

use aimis_simulator::{Account, Callback, CallbackSender, Fault, His, Platform, PlatformOptions};
use futures_util::future::join_all;

use crate::support::client;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, PHONE, Settings, studies_query};
use crate::support::tls::Authority;

/// The hospital that events are delivered to, and the one that fetches them.
const DELIVERED: &str = "first-hospital";
const FETCHED: &str = "second-hospital";

/// A gateway with cache, callbacks, TLS, limits, two hospitals, and what stands around it.
pub struct Ward {
    pub gateway: Gateway,
    platform: Platform,
    his: His,
    second: Account,
    _directory: Directory,
}

impl Ward {
    pub async fn open() -> Self {
        let second = Account {
            app_id: "900002".to_owned(),
            hospital_id: "H0002".to_owned(),
            ..Account::demo()
        };
        let options = PlatformOptions {
            accounts: vec![Account::demo(), second.clone()],
            ..PlatformOptions::default()
        };
        let platform = Platform::start(options).await.unwrap();
        let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let directory = Directory::new();
        let certificate = Authority::new("hospital").server();
        let gateway = Settings::calling(&platform)
            .cached()
            .callbacks(&directory)
            .listen("[\"plain:127.0.0.1:0\", \"127.0.0.1:0\"]")
            .with(
                "lan.tls",
                &format!(
                    "cert_file = \"{}\"",
                    directory.file("lan.pem", &certificate.certificate_pem)
                ),
            )
            .with(
                "lan.tls",
                &format!("key_file = \"{}\"", directory.file("lan.key", &certificate.key_pem)),
            )
            // Those that come together wait for each other.
            .with("limits.tenant", "rate_per_s = 1000\nburst = 1000\nin_flight = 1")
            .with("platform", "deadline_ms = 5000")
            .of_tenant(&format!("callback.target = \"{}\"", his.url()))
            .tenant(FETCHED, second.clone())
            .start();
        Self {
            gateway,
            platform,
            his,
            second,
            _directory: directory,
        }
    }

    /// Look-ups good and bad, callbacks true and forged, deliveries and fetching.
    pub async fn load(&self) {
        let about = |patient: usize| studies_query().replace(PHONE, &format!("138001380{patient:02}"));
        let asked = (0..8).map(|patient| self.gateway.query("patientStudies", about(patient)));
        join_all(asked).await;
        for _ in 0..3 {
            self.gateway.studies().await;
        }
        // A second of waiting, so that those who ask the same meanwhile are served together.
        self.platform.push_fault(Fault::Latency { ms: 300 });
        join_all((0..3).map(|_| self.gateway.query("patientStudies", about(20)))).await;
        for (patient, fault) in [
            business(100_004),
            business(90_001),
            Fault::HtmlPage { status: 502 },
            Fault::EmptyBody,
        ]
        .into_iter()
        .enumerate()
        {
            self.platform.push_fault(fault);
            self.gateway.query("patientStudies", about(30 + patient)).await;
        }
        let repaired = about(40).replace("\"studyType\":0", "\"studyType\":\"0\"");
        self.gateway.query("patientStudies", repaired).await;
        self.gateway.query("patientStudies", "{").await;
        self.call_back().await;
    }

    async fn call_back(&self) {
        let sender = |tenant: &str, account: &Account| {
            let url = format!("http://{}/callback/{tenant}", self.gateway.callback.unwrap());
            CallbackSender::new(&url, account).unwrap()
        };
        let first = sender(DELIVERED, &Account::demo());
        for study in 0..3 {
            let callback = Callback::demo().study(&format!("S{study}"));
            assert!(first.send(&callback).await.unwrap().is_received());
        }
        // Known already, and of somebody else.
        assert!(first.send(&Callback::demo().study("S0")).await.unwrap().is_received());
        let forged = first.clone().forge_signature(&"0".repeat(64));
        assert!(!forged.send(&Callback::demo()).await.unwrap().is_received());
        let second = sender(FETCHED, &self.second);
        assert!(second.send(&Callback::demo()).await.unwrap().is_received());
        self.his.wait_for_deliveries(3).await;
        let answer = client::get(self.gateway.lan, &format!("/inbox/v1/{FETCHED}/events")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn business(code: i64) -> Fault {
    Fault::BusinessCode {
        code,
        message: "simulated".to_owned(),
    }
}
