//! TLS towards the HIS: who gets in, what the others are told, and what a renewal changes.

use aimis_gateway::clock::Clock;
use aimis_simulator::{Platform, PlatformOptions};
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use crate::log_fields::checked;
use crate::support::client::{self, Connection, PATIENCE, request};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query};
use crate::support::tls::{Authority, Pair, Purpose, hello_of};

const PATH: &str = "/thirdparty/patientStudies/900001";
const REFUSED: &str = "aimis_lan_connections_refused_total";

/// The files of a gateway that speaks TLS.
struct Files(Directory);

impl Files {
    /// With `pair` as the gateway's certificate.
    fn new(pair: &Pair) -> Self {
        let files = Self(Directory::new());
        files.show(pair);
        files
    }

    /// Replaces certificate and key.
    fn show(&self, pair: &Pair) {
        self.0.file("lan.pem", &pair.certificate_pem);
        self.0.file("lan.key", &pair.key_pem);
    }

    /// Replaces the clients' authorities.
    fn trust(&self, authority: &Authority) {
        self.0.file("clients.pem", authority.pem());
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A gateway that speaks TLS with these files, looks at them often and logs every failure.
    fn settings(&self, platform: &Platform) -> Settings {
        self.quiet_settings(platform)
            .with("log", "repeat_interval_ms = 0\nclient_address = true")
    }

    /// The same, leaving the log at its rate.
    fn quiet_settings(&self, platform: &Platform) -> Settings {
        Settings::calling(platform)
            .with("lan.tls", &format!("cert_file = \"{}\"", self.path("lan.pem")))
            .with("lan.tls", &format!("key_file = \"{}\"", self.path("lan.key")))
            .with("lan.tls", "reload_interval_ms = 100")
    }

    /// The same, asking callers for certificates.
    fn settings_with_clients(&self, platform: &Platform) -> Settings {
        self.settings(platform)
            .with("lan.tls", &format!("client_ca_file = \"{}\"", self.path("clients.pem")))
    }
}

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

/// A query that asks for the close of its connection.
fn query() -> Vec<u8> {
    request("POST", PATH, &[("Connection", "close")], studies_query().as_bytes())
}

fn is_answer(answer: Option<String>) -> bool {
    answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains("\"code\":0"))
}

fn failures(reason: &str) -> String {
    format!("aimis_tls_handshake_failures_total{{reason=\"{reason}\"}}")
}

/// Waits until a series has a value: a caller may see the end before the gateway has counted it.
async fn becomes(gateway: &Gateway, series: &str, value: f64) {
    let reached = async { while gateway.metric(series).await != Some(value) {} };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(
        reached.is_ok(),
        "{series} is {:?}, not {value}",
        gateway.metric(series).await
    );
}

/// The lines of an event, all of them as the contract has it.
#[track_caller]
fn lines(log: &str, event: &str) -> Vec<Value> {
    let all = checked(log).into_iter();
    all.filter(|line| line["event.name"] == event).collect()
}

#[tokio::test]
async fn a_query_passes_over_tls_1_2_and_1_3() {
    let (platform, authority) = (platform().await, Authority::new("lan"));
    let files = Files::new(&authority.server());
    let gateway = files.settings(&platform).start();

    for version in [&TLS12, &TLS13] {
        let caller = authority.caller(&[version], None);
        assert!(is_answer(caller.ask(gateway.lan, &query()).await), "{version:?}");
    }

    assert_eq!(platform.request_count(), 2);
    assert!(lines(&gateway.stop(), "tls_handshake_failed").is_empty());
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_and_closed_when_idle() {
    let (platform, authority) = (platform().await, Authority::new("kept"));
    let files = Files::new(&authority.server());
    let gateway = files.settings(&platform).with("lan", "idle_timeout_ms = 200").start();
    let mut kept = authority.caller(&[&TLS13], None).connect(gateway.lan).await.unwrap();

    for _ in 0..3 {
        kept.send(&request("POST", PATH, &[], studies_query().as_bytes()))
            .await
            .unwrap();
        assert!(kept.read_until("\"code\":0").await.is_some());
    }
    while kept.read_until("never").await.is_some() {}

    becomes(&gateway, "aimis_lan_connections", 0.0).await;
}

#[tokio::test]
async fn http_1_1_is_agreed_on_by_name() {
    let (platform, authority) = (platform().await, Authority::new("alpn"));
    let files = Files::new(&authority.server());
    let gateway = files.settings(&platform).start();

    let caller = authority.caller(&[&TLS13], None).offering(&["h2", "http/1.1"]);

    let connection = caller.connect(gateway.lan).await.unwrap();
    assert_eq!(connection.alpn().as_deref(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn only_a_caller_with_a_good_certificate_gets_in() {
    let (platform, authority, clients) = (platform().await, Authority::new("server"), Authority::new("clients"));
    let files = Files::new(&authority.server());
    files.trust(&clients);
    let gateway = files.settings_with_clients(&platform).start();
    let stranger = Authority::new("stranger").client();
    let expired = clients.certify(Purpose::Client, 2021);
    let server = clients.certify(Purpose::Server, 2090);
    let rows = [
        (None, "no-certificate"),
        (Some(&stranger), "bad-certificate"),
        (Some(&server), "bad-certificate"),
        (Some(&expired), "expired-certificate"),
    ];

    for version in [&TLS12, &TLS13] {
        let good = authority.caller(&[version], Some(&clients.client()));
        assert!(is_answer(good.ask(gateway.lan, &query()).await), "{version:?}");
        for (shown, reason) in rows {
            let answer = authority.caller(&[version], shown).ask(gateway.lan, &query()).await;
            assert_eq!(answer, None, "{reason}");
        }
    }

    becomes(&gateway, &failures("no-certificate"), 2.0).await;
    becomes(&gateway, &failures("bad-certificate"), 4.0).await;
    becomes(&gateway, &failures("expired-certificate"), 2.0).await;
    assert_eq!(platform.request_count(), 2);
    let lines = lines(&gateway.stop(), "tls_handshake_failed");
    assert_eq!(lines.len(), 8);
    assert!(lines.iter().all(|line| line["client.address"] == "127.0.0.1"));
    let told = |text: &str| {
        lines
            .iter()
            .any(|line| line["message"].as_str().unwrap().contains(text))
    };
    assert!(told("shows no certificate") && told("lan.tls.client_ca_file") && told("clientAuth") && told("renew it"));
}

#[tokio::test]
async fn where_certificates_are_optional_a_wrong_one_is_refused_all_the_same() {
    let (platform, authority, clients) = (platform().await, Authority::new("server"), Authority::new("clients"));
    let files = Files::new(&authority.server());
    files.trust(&clients);
    let gateway = files
        .settings_with_clients(&platform)
        .with("lan.tls", "client_auth = \"optional\"")
        .start();

    let asked = async |shown: Option<&Pair>| authority.caller(&[&TLS13], shown).ask(gateway.lan, &query()).await;

    assert!(is_answer(asked(None).await));
    assert!(is_answer(asked(Some(&clients.client())).await));
    assert_eq!(asked(Some(&authority.client())).await, None);
}

/// Waits until a fresh handshake shows `wanted`.
async fn shows(authority: &Authority, gateway: &Gateway, shown: Option<&Pair>, wanted: &Pair) {
    let swapped = async {
        loop {
            let caller = authority.caller(&[&TLS13], shown);
            if caller.connect(gateway.lan).await.unwrap().shown() == wanted.certificate {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, swapped)
        .await
        .expect("the new certificate");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_open_connections_go_on() {
    let (platform, authority) = (platform().await, Authority::new("renewed"));
    let (old, new) = (authority.server(), authority.certify(Purpose::Server, 2080));
    let files = Files::new(&old);
    let gateway = files.settings(&platform).start();
    let mut open = authority.caller(&[&TLS13], None).connect(gateway.lan).await.unwrap();
    assert_eq!(open.shown(), old.certificate);

    files.show(&new);
    shows(&authority, &gateway, None, &new).await;

    open.send(&query()).await.unwrap();
    let answer = open.read_until("\"code\":0").await;
    assert!(is_answer(answer.clone()), "{answer:?}");
    becomes(&gateway, "aimis_tls_reloads_total{result=\"ok\"}", 1.0).await;
    let end_2080 = 3_471_292_800.0;
    becomes(
        &gateway,
        "aimis_certificate_not_after_timestamp_seconds{certificate=\"lan\"}",
        end_2080,
    )
    .await;
    assert!(!lines(&gateway.stop(), "tls_reloaded").is_empty());
}

/// As Kubernetes renews a mounted secret: files that are links into a directory that is a link itself.
#[tokio::test]
async fn a_swapped_link_is_noticed() {
    let (platform, authority) = (platform().await, Authority::new("link"));
    let (old, new) = (authority.server(), authority.server());
    let directory = Directory::new();
    let path = directory.path().to_owned();
    for (version, pair) in [("1", &old), ("2", &new)] {
        std::fs::create_dir(path.join(version)).unwrap();
        std::fs::write(path.join(version).join("lan.pem"), &pair.certificate_pem).unwrap();
        std::fs::write(path.join(version).join("lan.key"), &pair.key_pem).unwrap();
    }
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, path.join(at)).unwrap();
    link("1", "..data");
    link("..data/lan.pem", "lan.pem");
    link("..data/lan.key", "lan.key");
    let files = Files(directory);
    let gateway = files.settings(&platform).start();

    link("2", "..new");
    std::fs::rename(path.join("..new"), path.join("..data")).unwrap();

    shows(&authority, &gateway, None, &new).await;
}

#[tokio::test]
async fn a_removed_authority_lets_nobody_in_by_an_old_ticket() {
    let (platform, authority) = (platform().await, Authority::new("server"));
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    for version in [&TLS12, &TLS13] {
        let files = Files::new(&authority.server());
        files.trust(&before);
        let gateway = files.settings_with_clients(&platform).start();
        let caller = authority.caller(&[version], Some(&before.client()));
        assert!(is_answer(caller.ask(gateway.lan, &query()).await));
        let again = caller.connect(gateway.lan).await.unwrap();
        assert!(again.resumed(), "without tickets there is nothing to prove");
        assert!(is_answer(again.ask(&query()).await));

        files.trust(&after);
        let newcomer = authority.caller(&[version], Some(&after.client()));
        let trusted = async { while !is_answer(newcomer.ask(gateway.lan, &query()).await) {} };
        tokio::time::timeout(PATIENCE, trusted)
            .await
            .expect("the new authority");

        assert_eq!(caller.ask(gateway.lan, &query()).await, None, "{version:?}");
    }
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_told_once() {
    let (platform, authority) = (platform().await, Authority::new("broken"));
    let (good, other) = (authority.server(), authority.server());
    let files = Files::new(&good);
    let gateway = files.settings(&platform).start();
    let reloads = |result: &str| format!("aimis_tls_reloads_total{{result=\"{result}\"}}");

    files.0.file("lan.key", &other.key_pem);
    becomes(&gateway, &reloads("failed"), 1.0).await;
    files.0.file("lan.key", "-----BEGIN PRIVATE KEY-----\nsecret\n");
    becomes(&gateway, &reloads("failed"), 2.0).await;
    std::fs::remove_file(files.path("lan.key")).unwrap();
    becomes(&gateway, &reloads("failed"), 3.0).await;

    let caller = authority.caller(&[&TLS13], None);
    let connection = caller.connect(gateway.lan).await.unwrap();
    assert_eq!(connection.shown(), good.certificate);
    files.show(&good);
    becomes(&gateway, &reloads("ok"), 1.0).await;
    assert_eq!(gateway.metric(&reloads("failed")).await, Some(3.0));
    let log = gateway.stop();
    let told: Vec<String> = lines(&log, "tls_reload_failed")
        .iter()
        .map(|line| {
            assert_eq!(line["file"], files.path("lan.key"));
            line["error.detail"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(told[0].contains("another certificate"), "{told:?}");
    assert!(told[1].contains("PEM"), "{told:?}");
    assert_eq!((told.len(), &*told[2]), (3, "no such file"));
    assert!(!log.contains("secret\\n") && !log.contains("BEGIN PRIVATE"));
}

#[tokio::test]
async fn who_offers_too_old_a_protocol_is_told_so() {
    let (platform, authority) = (platform().await, Authority::new("old"));
    let files = Files::new(&authority.server());
    let gateway = files.settings(&platform).start();

    for minor in [0, 1, 2] {
        let mut connection = Connection::open(gateway.lan).await;
        connection.send(&hello_of([3, minor])).await.unwrap();
        assert!(connection.closed().await);
    }

    becomes(&gateway, &failures("old-protocol"), 3.0).await;
    let lines = lines(&gateway.stop(), "tls_handshake_failed");
    for (line, name) in lines.iter().zip(["SSL 3.0", "TLS 1.0 only", "TLS 1.1 only"]) {
        assert_eq!(
            (&line["reason"], &line["severity_text"]),
            (&"old-protocol".into(), &"WARN".into())
        );
        let message = line["message"].as_str().unwrap();
        assert!(message.contains(name) && message.contains("needs TLS 1.2"), "{message}");
    }
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn plain_http_on_a_tls_address_is_answered_in_plain_words() {
    let (platform, authority) = (platform().await, Authority::new("plaintext"));
    let files = Files::new(&authority.server());
    let gateway = files.settings(&platform).start();

    let answer = client::exchange(gateway.lan, &query()).await.unwrap();

    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), "This port speaks TLS: use https://\n");
    becomes(&gateway, &failures("plaintext"), 1.0).await;
    let lines = lines(&gateway.stop(), "tls_handshake_failed");
    assert!(lines[0]["message"].as_str().unwrap().contains("https://"));
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn a_caller_that_never_finishes_is_closed_and_holds_up_nobody() {
    let (platform, authority) = (platform().await, Authority::new("silent"));
    let files = Files::new(&authority.server());
    let gateway = files
        .settings(&platform)
        .with("lan", "handshake_timeout_ms = 1000")
        .start();
    let mut silent = Connection::open(gateway.lan).await;
    let mut slow = Connection::open(gateway.lan).await;
    slow.send(&hello_of([3, 3])[..20]).await.unwrap();

    let caller = authority.caller(&[&TLS13], None);
    assert!(is_answer(caller.ask(gateway.lan, &query()).await));

    assert!(silent.closed().await && slow.closed().await);
    becomes(&gateway, &failures("timeout"), 2.0).await;
}

#[tokio::test]
async fn a_probe_that_connects_and_leaves_is_no_failure() {
    let (platform, authority) = (platform().await, Authority::new("probe"));
    let files = Files::new(&authority.server());
    let gateway = files.settings(&platform).start();

    for _ in 0..10 {
        let mut probe = Connection::open(gateway.lan).await;
        probe.half_close().await;
        assert!(probe.closed().await);
    }

    becomes(&gateway, "aimis_lan_connections", 0.0).await;
    assert!(lines(&gateway.stop(), "tls_handshake_failed").is_empty());
}

#[tokio::test]
async fn a_scanner_cannot_flood_the_log() {
    let (platform, authority) = (platform().await, Authority::new("scanner"));
    let files = Files::new(&authority.server());
    let gateway = files
        .quiet_settings(&platform)
        .with("log", "repeat_interval_ms = 600000")
        .start();

    for _ in 0..50 {
        client::exchange(gateway.lan, &query()).await.unwrap();
    }
    let mut old = Connection::open(gateway.lan).await;
    old.send(&hello_of([3, 1])).await.unwrap();
    assert!(old.closed().await);

    becomes(&gateway, &failures("plaintext"), 50.0).await;
    becomes(&gateway, &failures("old-protocol"), 1.0).await;
    let lines = lines(&gateway.stop(), "tls_handshake_failed");
    assert_eq!(lines.len(), 2, "one of each kind");
}

#[tokio::test]
async fn a_handshake_that_hangs_does_not_hold_up_a_stop() {
    let (platform, authority) = (platform().await, Authority::new("stop"));
    let files = Files::new(&authority.server());
    let gateway = files
        .settings(&platform)
        .with("lan", "handshake_timeout_ms = 120000")
        .with("drain", "timeout_ms = 120000")
        .start();
    let _silent = Connection::open(gateway.lan).await;
    becomes(&gateway, "aimis_lan_connections", 1.0).await;

    let stopped = tokio::task::spawn_blocking(|| gateway.stop());

    let log = tokio::time::timeout(PATIENCE, stopped).await.expect("a stop in time");
    assert!(!lines(&log.unwrap(), "stopped").is_empty());
}

#[tokio::test]
async fn tls_plain_and_unix_addresses_live_together() {
    let (platform, authority) = (platform().await, Authority::new("together"));
    let files = Files::new(&authority.server());
    let socket = files.path("lan.sock");
    let listen = format!("[\"127.0.0.1:0\", \"plain:127.0.0.1:0\", \"unix:{socket}\", \"127.0.0.1:0\"]");
    let gateway = files.settings(&platform).listen(&listen).start();
    let [first, plain, last] = gateway.all_lan[..] else {
        panic!("{:?}", gateway.all_lan)
    };

    for tls in [first, last] {
        assert!(is_answer(authority.caller(&[&TLS13], None).ask(tls, &query()).await));
    }
    assert_eq!(client::exchange(plain, &query()).await.unwrap().code(), 0);
    let mut unix = UnixStream::connect(&socket).await.unwrap();
    unix.write_all(&query()).await.unwrap();
    let mut answer = String::new();
    unix.read_to_string(&mut answer).await.unwrap();
    assert!(is_answer(Some(answer)));
}

/// A connection from another address of this machine.
async fn from(source: &str, to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn one_address_has_its_share_of_connections_and_no_more() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("log", "client_address = true")
        .with("lan", "max_connections_per_source = 2")
        .start();
    let mut held = [Connection::open(gateway.lan).await, Connection::open(gateway.lan).await];
    becomes(&gateway, "aimis_lan_connections", 2.0).await;

    let third = Connection::open(gateway.lan).await.answer().await.unwrap();
    let mut other = Connection::over(from("127.0.0.2", gateway.lan).await);
    other.send(&query()).await.unwrap();

    assert_eq!(third.status, 503);
    assert_eq!(other.answer().await.unwrap().code(), 0);
    assert_eq!(gateway.metric(REFUSED).await, Some(1.0));
    // Who leaves makes room.
    held[0].half_close().await;
    assert!(held[0].closed().await);
    becomes(&gateway, "aimis_lan_connections", 1.0).await;
    assert_eq!(client::exchange(gateway.lan, &query()).await.unwrap().code(), 0);
    let lines = lines(&gateway.stop(), "connection_refused");
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["reason"], &lines[0]["client.address"]),
        (&"source".into(), &"127.0.0.1".into())
    );
}

#[tokio::test]
async fn one_connection_too_many_on_a_tls_address_is_only_closed() {
    let (platform, authority) = (platform().await, Authority::new("full"));
    let files = Files::new(&authority.server());
    let gateway = files.settings(&platform).with("lan", "max_connections = 1").start();
    let _held = authority.caller(&[&TLS13], None).connect(gateway.lan).await.unwrap();

    let mut second = from("127.0.0.2", gateway.lan).await;
    let mut answer = Vec::new();
    let _ = second.read_to_end(&mut answer).await;

    assert_eq!(answer, b"");
    assert_eq!(gateway.metric(REFUSED).await, Some(1.0));
    let lines = lines(&gateway.stop(), "connection_refused");
    assert_eq!(
        (&lines[0]["reason"], &lines[0]["client.address"]),
        (&"full".into(), &"127.0.0.2".into())
    );
}

#[tokio::test]
async fn a_certificate_near_its_end_is_told_at_the_start() {
    let (platform, authority) = (platform().await, Authority::new("near"));
    let files = Files::new(&authority.server());
    let end = 3_786_912_000_000;
    let day = 24 * 3600 * 1000;
    for (now, severity, days) in [
        (end - 15 * day, None, 15),
        (end - 3 * day, Some("WARN"), 3),
        (end + day, Some("ERROR"), -1),
    ] {
        let gateway = files.settings(&platform).clock(Clock::manual(now)).start();

        let exported = gateway
            .metric("aimis_certificate_not_after_timestamp_seconds{certificate=\"lan\"}")
            .await;

        assert_eq!(exported, Some(end as f64 / 1000.0));
        let lines = lines(&gateway.stop(), "certificate_expires");
        assert_eq!(lines.first().and_then(|line| line["severity_text"].as_str()), severity);
        if let Some(line) = lines.first() {
            assert_eq!(line["expires_in_days"], days);
        }
    }
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate() {
    let (platform, authority, clients) = (platform().await, Authority::new("server"), Authority::new("clients"));
    let files = Files::new(&authority.server());
    files.trust(&clients);
    let (his, app, other) = (
        clients.named("his.example"),
        clients.named("app.example"),
        clients.named("x.example"),
    );
    let app_digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&app.certificate));
    let gateway = files
        .settings_with_clients(&platform)
        .client("name = \"his\"\ncertificates = \"HIS.example\"")
        .client(&format!(
            "name = \"app\"\ncertificates = \"sha256:{app_digest}\"\nusage = [2]"
        ))
        .start();
    let ask = async |pair: &Pair| {
        authority
            .caller(&[&TLS13], Some(pair))
            .ask(gateway.lan, &query())
            .await
            .unwrap()
    };

    assert!(is_answer(Some(ask(&his).await)));
    let refused = ask(&app).await;
    assert!(
        refused.starts_with("HTTP/1.1 403") && refused.contains("`usage`"),
        "{refused}"
    );
    let unknown = ask(&other).await;
    assert!(unknown.starts_with("HTTP/1.1 401"), "{unknown}");
}

#[tokio::test]
async fn curl_is_answered_over_http_2_where_the_listener_says_so() {
    let (platform, authority) = (platform().await, Authority::new("h2"));
    let files = Files::new(&authority.server());
    files.0.file("ca.pem", authority.pem());
    let spoken = async |gateway: &Gateway| {
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "--http2",
        ])
        .args(["--cacert", &files.path("ca.pem"), "--write-out", " %{http_version}"])
        .args(["--data-binary", &studies_query()])
        .arg(format!("https://{}{PATH}", gateway.lan));
        let done = tokio::task::spawn_blocking(move || curl.output()).await.unwrap();
        let done = done.unwrap_or_else(|error| panic!("curl: {error}; install it: apt-get install curl"));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };

    let with = files.settings(&platform).with("lan", "http2 = true").start();
    let answer = spoken(&with).await;
    assert!(answer.contains("\"code\":0") && answer.ends_with(" 2"), "{answer}");

    let without = files.settings(&platform).start();
    let answer = spoken(&without).await;
    assert!(answer.contains("\"code\":0") && answer.ends_with(" 1.1"), "{answer}");
}

/// The end of [`Authority::client`] certificates, in milliseconds since 1970.
const END_2090: u64 = 3_786_912_000_000;

/// By the machine's clock the certificates here hold for decades, so rustls is content with them.
#[tokio::test]
async fn an_expired_certificate_does_not_come_back_in_by_a_ticket() {
    let (platform, authority, clients) = (platform().await, Authority::new("server"), Authority::new("clients"));
    let files = Files::new(&authority.server());
    files.trust(&clients);
    let clock = Clock::manual(END_2090 - 3_600_000);
    let gateway = files.settings_with_clients(&platform).clock(clock.clone()).start();
    let callers = [&TLS12, &TLS13].map(|version| authority.caller(&[version], Some(&clients.client())));
    for caller in &callers {
        assert!(caller.ask(gateway.lan, &query()).await.is_some());
        let again = caller.connect(gateway.lan).await.unwrap();
        assert!(again.resumed(), "without tickets there is nothing to prove");
        assert!(again.ask(&query()).await.is_some());
    }

    clock.advance(std::time::Duration::from_millis(3_600_000));

    for caller in &callers {
        assert_eq!(caller.ask(gateway.lan, &query()).await, None);
    }
    becomes(&gateway, &failures("expired-certificate"), 2.0).await;
    let lines = lines(&gateway.stop(), "tls_handshake_failed");
    assert!(
        lines
            .iter()
            .all(|line| line["message"].as_str().unwrap().contains("renew it"))
    );
}

/// The certificate has 100 ms left when the connection comes.
#[tokio::test]
async fn a_connection_ends_with_its_clients_certificate() {
    let (platform, authority, clients) = (platform().await, Authority::new("server"), Authority::new("clients"));
    let files = Files::new(&authority.server());
    files.trust(&clients);
    let clock = Clock::manual(END_2090 - 100);
    let gateway = files
        .settings_with_clients(&platform)
        .with("lan", "idle_timeout_ms = 3600000")
        .clock(clock.clone())
        .start();
    let caller = authority.caller(&[&TLS13], Some(&clients.client()));
    let mut open = caller.connect(gateway.lan).await.unwrap();
    open.send(&request("POST", PATH, &[], studies_query().as_bytes()))
        .await
        .unwrap();
    assert!(open.read_until("}").await.is_some());
    becomes(&gateway, "aimis_lan_connections", 1.0).await;

    clock.advance(std::time::Duration::from_millis(100));

    while open.read_until("never").await.is_some() {}
    becomes(&gateway, "aimis_lan_connections", 0.0).await;
}

#[tokio::test]
async fn a_certificate_of_version_1_is_told_to_be_one() {
    let (platform, authority, clients) = (platform().await, Authority::new("server"), Authority::new("clients"));
    let files = Files::new(&authority.server());
    files.trust(&clients);
    let gateway = files.settings_with_clients(&platform).start();
    let old = clients.version_1();

    assert_eq!(
        authority.caller(&[&TLS13], Some(&old)).ask(gateway.lan, &query()).await,
        None
    );

    becomes(&gateway, &failures("bad-certificate"), 1.0).await;
    // As our own, it is the certificate that is told, not the key.
    files.show(&old);
    becomes(&gateway, "aimis_tls_reloads_total{result=\"failed\"}", 1.0).await;
    let log = gateway.stop();
    let told = lines(&log, "tls_handshake_failed");
    assert!(told[0]["message"].as_str().unwrap().contains("version 3"), "{told:?}");
    let told = lines(&log, "tls_reload_failed");
    assert_eq!(told.last().unwrap()["file"], files.path("lan.pem"));
    assert!(
        told.last().unwrap()["error.detail"]
            .as_str()
            .unwrap()
            .starts_with("is X.509 version 1"),
        "{told:?}"
    );
}
