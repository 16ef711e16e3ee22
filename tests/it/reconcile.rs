//! Callbacks that never came: found in study lists, delivered once, and never at the cost of anybody.

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Account, Callback, CallbackSender, Fault, His, Platform, PlatformOptions, Study};
use tokio::time::timeout;

use crate::log_fields::checked;
use crate::support::client::PATIENCE;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, ID_NUMBER, PHONE, Settings, studies_query_with};

/// 2025-01-01 08:00:00 in China.
const NOW: u64 = 1_735_689_600_000;
/// `reconcile.interval_s` of these tests.
const INTERVAL: Duration = Duration::from_secs(60);

struct Bed {
    platform: Platform,
    his: His,
    directory: Directory,
    clock: Clock,
    settings: Settings,
    gateway: Gateway,
}

impl Bed {
    async fn start(change: impl FnOnce(Settings) -> Settings) -> Self {
        Self::with("callback.reconcile = true", change).await
    }

    async fn with(line: &str, change: impl FnOnce(Settings) -> Settings) -> Self {
        let platform = Platform::start(PlatformOptions::default()).await.unwrap();
        let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (directory, clock) = (Directory::new(), Clock::manual(NOW));
        let settings = Settings::calling(&platform)
            .clock(clock.clone())
            .callbacks(&directory)
            .with("log", "level = \"debug\"\nrepeat_interval_ms = 0")
            .with("drain", "delay_ms = 0")
            .with("reconcile", "polls_per_hour = 3600\ninterval_s = 60")
            .of_tenant(&format!("callback.target = \"{}\"\n{line}", his.url()));
        let settings = change(settings);
        let gateway = settings.start();
        let bed = Self {
            platform,
            his,
            directory,
            clock,
            settings,
            gateway,
        };
        bed.set_platforms_clock();
        bed
    }

    /// The same with another gateway on the same inbox.
    fn restarted(self) -> Self {
        let Self { settings, gateway, .. } = self;
        gateway.stop();
        let gateway = settings.start();
        Self {
            settings,
            gateway,
            ..self
        }
    }

    /// The simulated platform follows the gateway's clock.
    fn set_platforms_clock(&self) {
        self.platform.set_clock_offset(0);
        let ahead = i64::try_from(self.clock.now().as_millis()).unwrap() - self.platform.clock().now_ms();
        self.platform.set_clock_offset(ahead);
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.set_platforms_clock();
    }

    /// The HIS asks about the patient, as a patient's own look.
    async fn ask(&self) {
        let body = studies_query_with(serde_json::json!({}));
        assert_eq!(self.gateway.query("patientStudies", body).await.code(), 0);
    }

    async fn metric(&self, series: &str) -> u64 {
        self.gateway
            .metric(series)
            .await
            .unwrap_or_else(|| panic!("no {series}")) as u64
    }

    async fn polls(&self, result: &str) -> u64 {
        self.metric(&format!("aimis_reconcile_polls_total{{result=\"{result}\"}}"))
            .await
    }

    async fn missed(&self) -> u64 {
        self.metric("aimis_callbacks_missed_total{tenant=\"first-hospital\"}")
            .await
    }

    async fn received(&self, result: &str) -> u64 {
        self.metric(&format!("aimis_callbacks_received_total{{result=\"{result}\"}}"))
            .await
    }

    /// Waits for so many questions with this end.
    async fn polled(&self, result: &str, least: u64) {
        let polled = async { while self.polls(result).await < least {} };
        timeout(PATIENCE, polled).await.expect("a question in time");
    }

    /// Lets the time pass until the next question, and waits for its answer.
    async fn next_poll(&self) {
        let before = self.polls("answered").await;
        self.advance(INTERVAL);
        self.polled("answered", before + 1).await;
    }

    /// A study that is made an hour later than now.
    fn study(&self, study_id: &str) -> Study {
        let study = Study::new(study_id, 0, "2025-01-01 09:00:00", "H0001", "U0001");
        assert!(self.platform.add_study(ID_NUMBER, study.clone()));
        study
    }

    fn callback(&self, study: &Study, status: i64) -> Callback {
        let data = self.platform.data();
        let (patient, _) = data
            .patients()
            .find(|(patient, _)| patient.id_num == ID_NUMBER)
            .unwrap();
        Callback::about(patient, study, status)
    }

    async fn call_back(&self, callback: &Callback) {
        let url = format!("http://{}/callback/first-hospital", self.gateway.callback.unwrap());
        let sender = CallbackSender::new(&url, &Account::demo()).unwrap();
        // Another millisecond than that of any question.
        self.advance(Duration::from_millis(7));
        let sender = sender.forge_timestamp(&self.clock.now().as_millis().to_string());
        assert!(sender.send(callback).await.unwrap().is_received());
    }

    async fn delivered(&self, count: u64) {
        timeout(PATIENCE, self.his.wait_for_deliveries(count))
            .await
            .expect("deliveries in time");
        assert_eq!(self.his.delivery_count(), count);
    }
}

#[tokio::test]
async fn a_callback_that_never_came_is_found_and_delivered_once() {
    let bed = Bed::start(|settings| settings.with("reconcile", "grace_s = 0").cached()).await;
    let before = Study::new("S9000", 0, "2024-12-31 20:00:00", "H0001", "U0001");
    assert!(bed.platform.add_study(ID_NUMBER, before));
    bed.ask().await;
    bed.polled("answered", 1).await;
    assert_eq!(bed.missed().await, 0, "what was there before is history");

    bed.study("S9001");
    bed.next_poll().await;
    bed.delivered(1).await;
    bed.next_poll().await;

    let event = bed.his.only_delivery().json();
    for (name, value) in [
        ("verified", "reconciled"),
        ("studyId", "S9001"),
        ("reportId", "RS9001"),
        ("phoneNum", PHONE),
        ("idNum", ID_NUMBER),
        ("hospitalId", "H0001"),
        ("studyDate", "2025-01-01 09:00:00"),
        ("patientId", ""),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!((&event["status"], &event["studyType"]), (&3.into(), &0.into()));
    assert_eq!(
        (bed.missed().await, bed.metric("aimis_reconcile_patients").await),
        (1, 1)
    );
    let asked = bed.platform.requests().pop().unwrap();
    let body = asked.json();
    assert_eq!((&body["usage"], &body["dataFlag"]), (&0.into(), &1.into()));
    assert!(body.get("patientName").is_none() && asked.decrypted.unwrap()["phoneNum"] == PHONE);
    // What was kept about the patient before is gone.
    let answer = bed.gateway.studies().await;
    assert_eq!(answer.header("x-aimis-origin"), Some("platform"));

    let log = bed.gateway.stop();
    let lines = checked(&log);
    let missed: Vec<_> = lines
        .iter()
        .filter(|line| line["event.name"] == "callback_missed")
        .collect();
    assert_eq!(missed.len(), 1);
    assert_eq!(missed[0]["event.id"], event["eventId"]);
    let database = std::fs::read(bed.directory.path().join("inbox.db")).unwrap();
    for secret in [PHONE, ID_NUMBER, "S9001"] {
        let found = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found(log.as_bytes()) && !found(&database), "{secret}");
    }
}

#[tokio::test]
async fn a_callback_that_comes_later_is_not_delivered_again_and_a_revision_is() {
    let bed = Bed::start(|settings| settings.with("reconcile", "grace_s = 0")).await;
    let study = bed.study("S9001");
    bed.ask().await;
    bed.delivered(1).await;

    bed.call_back(&bed.callback(&study, 3)).await;
    bed.call_back(&bed.callback(&study, 3)).await;
    assert_eq!(bed.received("duplicate").await, 2);
    bed.call_back(&bed.callback(&study, 3).with("studyName", "revised"))
        .await;

    bed.delivered(2).await;
    assert_eq!(bed.received("updated").await, 1);
    assert_eq!(bed.his.deliveries()[1].json()["studyName"], "revised");
}

#[tokio::test]
async fn what_callbacks_told_of_is_not_found() {
    let bed = Bed::start(|settings| settings.with("reconcile", "grace_s = 0")).await;
    let (whole, parts) = (bed.study("S9001"), bed.study("S9002"));
    bed.call_back(&bed.callback(&whole, 3)).await;
    for status in [0, 1, 2] {
        bed.call_back(&bed.callback(&parts, status)).await;
    }
    bed.delivered(4).await;

    bed.ask().await;
    bed.polled("answered", 1).await;
    bed.next_poll().await;

    assert_eq!((bed.missed().await, bed.his.delivery_count()), (0, 4));
}

#[tokio::test]
async fn a_callback_that_is_only_late_comes_first() {
    let bed = Bed::start(|settings| settings).await;
    bed.ask().await;
    bed.polled("answered", 1).await;
    let study = bed.study("S9001");
    bed.next_poll().await;
    assert_eq!(bed.missed().await, 0);

    bed.call_back(&bed.callback(&study, 3)).await;
    bed.delivered(1).await;
    bed.advance(Duration::from_secs(600));
    bed.next_poll().await;

    assert_eq!((bed.missed().await, bed.his.delivery_count()), (0, 1));
}

#[tokio::test]
async fn a_start_forgets_the_patients_and_not_since_when_callbacks_are_looked_after() {
    let bed = Bed::start(|settings| settings.with("reconcile", "grace_s = 0")).await;
    bed.ask().await;
    bed.polled("answered", 1).await;
    bed.study("S9001");
    bed.advance(Duration::from_secs(2 * 3600));
    let bed = bed.restarted();
    assert_eq!(bed.metric("aimis_reconcile_patients").await, 0);

    bed.ask().await;
    bed.delivered(1).await;
    assert_eq!(bed.his.only_delivery().json()["studyId"], "S9001");
}

#[tokio::test]
async fn nobody_is_watched_unless_a_tenant_says_so() {
    let bed = Bed::with("", |settings| settings).await;
    bed.study("S9001");
    bed.ask().await;

    assert_eq!(bed.metric("aimis_reconcile_patients").await, 0);
    let log = bed.gateway.stop();
    assert_eq!(bed.platform.request_count(), 1);
    assert!(!log.contains("callback_missed"));
}

#[tokio::test]
async fn a_question_goes_only_when_most_of_the_quota_is_left() {
    let bed = Bed::start(|settings| settings.with("limits.tenant", "rate_per_s = 1\nburst = 10\nin_flight = 8")).await;
    let who = format!("{{\"phoneNum\":\"{PHONE}\",\"idNum\":\"{ID_NUMBER}\",\"hisId\":\"1\"}}");
    for _ in 0..7 {
        bed.gateway.query("patientConsultations", who.clone()).await;
    }
    // A doctor's look, which the clinic's share is for.
    let look = studies_query_with(serde_json::json!({"usage": 2}));
    assert_eq!(bed.gateway.query("patientStudies", look).await.code(), 0);
    bed.polled("held", 1).await;
    assert_eq!((bed.polls("answered").await, bed.platform.request_count()), (0, 8));

    // Two and a second's one are left of ten; 3.7 have to be there.
    bed.advance(Duration::from_secs(1));
    bed.polled("held", 2).await;
    assert_eq!(bed.polls("answered").await, 0);
    bed.advance(Duration::from_secs(1));
    bed.polled("answered", 1).await;
}

#[tokio::test]
async fn a_platform_that_fails_is_asked_again_in_its_time() {
    let bed = Bed::start(|settings| settings.with("reconcile", "grace_s = 0")).await;
    // For the question of the HIS and for its own, which may come first.
    for _ in 0..2 {
        bed.platform.push_fault(Fault::BusinessCode {
            code: 20_016,
            message: format!("no hospital for {PHONE}"),
        });
    }
    bed.study("S9001");
    let body = studies_query_with(serde_json::json!({}));
    assert_eq!(bed.gateway.query("patientStudies", body).await.code(), 20_016);
    bed.polled("failed", 1).await;
    assert_eq!(bed.missed().await, 0);

    bed.next_poll().await;
    bed.delivered(1).await;
    let log = bed.gateway.stop();
    let lines = checked(&log);
    let failed = lines
        .iter()
        .find(|line| line["event.name"] == "reconcile_failed")
        .unwrap();
    assert_eq!(failed["error.type"], "configuration");
    assert!(!log.contains(PHONE));
}
