//! Several gateways on one PostgreSQL: any of them is killed, the database restarts, is cut off, fails over.

use std::sync::Arc;

use aimis_simulator::{Account, Callback, His};
use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::bed::kill;
use super::chance::{Chance, rounds};
use super::ledger::{Figures, Ledger};
use super::senders::{After, Senders};
use super::wire::{Conduct, Wire};
use crate::privacy::canary::{Canaries, Sinks};
use crate::support::binary;
use crate::support::client::{self, PATIENCE};
use crate::support::directory::Directory;
use crate::support::postgres::{self, Server};
use crate::support::process::{Process, Serve, run};
use crate::support::tls::{Authority, Purpose};

pub const TENANT: &str = "first-hospital";

/// Gateways with one configuration, their HIS, and the books.
pub struct Fleet {
    ledger: Arc<Ledger>,
    his: His,
    pub config: String,
    _directory: Directory,
}

impl Fleet {
    pub async fn new(url: &str) -> Self {
        let directory = Directory::new();
        let his = His::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let token = directory.file("token", Account::demo().token);
        let key = directory.file("inbox.key", [7; 32]);
        let text = format!(
            "[lan]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlisten = \"127.0.0.1:0\"\n[runtime]\nworkers = 1\n\
             [platform]\nbase_url = \"http://127.0.0.1:9\"\n\
             [callback]\nlisten = \"127.0.0.1:0\"\nsignature = \"required\"\nmax_per_source_per_s = 0\n\
             [inbox]\ndatabase_url = \"{url}\"\nkey_file = \"{key}\"\nshared_bodies = 1000\n\
             database_statement_timeout_ms = 500\ndatabase_connect_timeout_ms = 1000\n\
             database_reconnect_max_ms = 100\ndatabase_poll_ms = 100\n\
             [delivery]\nin_flight = 32\ntimeout_ms = 200\nlease_ms = 1000\nprobe_ms = 1\nprobe_max_ms = 20\n\
             jitter_percent = 0\nschedule_ms = {:?}\n[drain]\ndelay_ms = 0\n\
             [[tenants]]\nname = \"{TENANT}\"\napp_id = \"900001\"\nhospital_id = \"H0001\"\nunion_id = \"U0001\"\n\
             token_file = \"{token}\"\ncallback.target = \"{}\"\n",
            [[20; 16], [200; 16]].concat(),
            his.url(),
        );
        Self {
            ledger: Arc::default(),
            his,
            config: directory.file("gateway.toml", text),
            _directory: directory,
        }
    }

    pub fn start(&self) -> Serve {
        let command = binary::command(&["serve", "--config", &self.config]);
        block_in_place(|| Serve::ready(Process::start(command)))
    }

    fn senders(&self, serve: &Serve, chance: &mut Chance) -> Senders {
        let url = format!("http://{}/callback/{TENANT}", serve.callback.unwrap());
        Senders::start_with(&url, &self.ledger, chance, 8, &aimis_simulator::Clock::system())
    }

    fn collect(&self) {
        self.ledger.delivered(&self.his.take_deliveries());
    }

    fn inbox(&self, command: &str) -> Value {
        let all = ["inbox", command, "--json", "--config", &self.config];
        let output = block_in_place(|| run(binary::command(&all), b""));
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{complained}");
        serde_json::from_str(&said).unwrap()
    }

    /// Lets what is in the inbox arrive, stops well, and compares the books with each other and with the inbox.
    async fn settle(&self, gateways: Vec<Serve>) -> Figures {
        let emptied = async {
            loop {
                self.collect();
                let stats = self.inbox("stats");
                let items = stats["items"].as_array().unwrap();
                let live = |item: &&Value| item["state"] != "delivered" && item["events"] != 0;
                if !items.iter().any(|item| live(&item)) {
                    break;
                }
            }
        };
        timeout(PATIENCE, emptied).await.expect("all is delivered in time");
        let mut counted = 0.0;
        for gateway in &gateways {
            let metrics = client::get(gateway.telemetry, "/metrics").await.text();
            let taken = metrics
                .lines()
                .filter(|line| line.starts_with("aimis_deliveries_total{") && line.contains("result=\"ok\""));
            counted += taken
                .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
                .sum::<f64>();
        }
        for gateway in gateways {
            gateway.process.signal("TERM");
            let ended = block_in_place(|| gateway.process.ended());
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        }
        self.collect();
        let figures = self.ledger.check();
        // What was delivered again, since it could not be noted, was not counted as delivered before.
        assert!(counted <= figures.delivered as f64, "{counted} counted: {figures:?}");
        let verdict = self.inbox("verify");
        assert_eq!(
            (&verdict["ok"], &verdict["events"]),
            (&true.into(), &(figures.delivered as u64).into()),
            "{verdict}"
        );
        figures
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_took_another_delivers() {
    let mut chance = Chance::new("fleet");
    let server = postgres::shared();
    let (database, url) = server.database();
    let fleet = Fleet::new(&url).await;
    let mut gateways = [fleet.start(), fleet.start()];

    for round in 0..rounds(4) {
        let senders: Vec<Senders> = gateways.iter().map(|it| fleet.senders(it, &mut chance)).collect();
        for senders in &senders {
            senders.wait(After::Acknowledgements(20 + chance.below(40))).await;
        }
        let killed = std::mem::replace(&mut gateways[(round % 2) as usize], fleet.start());
        kill(killed.process);
        for senders in senders {
            senders.stop().await;
        }
        fleet.collect();
    }

    let figures = fleet.settle(gateways.into()).await;
    println!("fleet: {figures:?}");
    // At rest: nothing of a person, and no link.
    let told = Callback::demo();
    let mut canaries = Canaries::default();
    canaries.add("phone", &told.phone_num);
    canaries.add("identity number", &told.id_num);
    let mut sinks = Sinks::default();
    sinks.text("pg_dump", server.dump(&database));
    canaries.assert_absent(&sinks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_database_goes_away() {
    let mut chance = Chance::new("database");
    let server = Server::new("", &[]);
    let (database, _) = server.database();
    let wire = Wire::to(server.port()).await;
    let fleet = Fleet::new(&format!("postgres://aimis@{}/{database}?sslmode=disable", wire.address)).await;
    let gateway = fleet.start();
    let senders = fleet.senders(&gateway, &mut chance);

    for round in 0..rounds(4) {
        senders.wait(After::Acknowledgements(20 + chance.below(40))).await;
        match round % 4 {
            0 => block_in_place(|| server.stop("immediate")),
            1 => wire.set(Conduct::Closed),
            2 => wire.set(Conduct::Silent),
            _ => block_in_place(|| server.stop("fast")),
        }
        senders.wait(After::Refusals(10)).await;
        told_away(&gateway).await;
        match round % 4 {
            1 | 2 => wire.set(Conduct::Through),
            _ => block_in_place(|| server.start()),
        }
    }
    senders.wait(After::Acknowledgements(20)).await;
    senders.stop().await;

    let figures = fleet.settle(vec![gateway]).await;
    println!("database: {figures:?}");
}

/// Metrics and probes say that the inbox is out of reach, and queries are answered all the same.
pub async fn told_away(gateway: &Serve) {
    let told = async {
        loop {
            let metrics = client::get(gateway.telemetry, "/metrics").await.text();
            if metrics.lines().any(|line| line == "aimis_inbox_store_up 0") {
                break;
            }
        }
    };
    timeout(PATIENCE, told).await.expect("the metric tells in time");
    let ready = client::get(gateway.telemetry, "/readyz").await;
    assert_eq!((ready.status, ready.text().contains("out of reach")), (200, true));
    let health = client::get(gateway.telemetry, "/healthz").await.json();
    assert_eq!(health["checks"]["inbox"], false);
    // The platform of these tests is not there, and the gateway says so: it is not the inbox that it waits for.
    let body = crate::support::gateway::studies_query();
    let answer = client::post(gateway.lan, "/thirdparty/patientStudies", &[], body.as_bytes()).await;
    assert_eq!(answer.code(), 800_301);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_database_fails_over() {
    let mut chance = Chance::new("failover");
    let primary = Server::new("wal_level = replica", &[]);
    let (database, _) = primary.database();
    let wire = Wire::to(primary.port()).await;
    let standby = block_in_place(|| Server::standby(wire.address.port()));
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    let hosts = [&primary, &standby].map(|server| format!("127.0.0.1:{}", server.port()));
    let fleet = Fleet::new(&format!(
        "postgres://aimis@{}/{database}?sslmode=disable",
        hosts.join(",")
    ))
    .await;
    let mut gateways = vec![fleet.start(), fleet.start()];
    let senders: Vec<Senders> = gateways.iter().map(|it| fleet.senders(it, &mut chance)).collect();
    for senders in &senders {
        senders.wait(After::Acknowledgements(50)).await;
    }

    // The standby hears nothing any more, and what the primary has alone is not acknowledged: not by a gateway that gives
    // up waiting, and not to who sends it again. A gateway is killed over it, too.
    wire.set(Conduct::Silent);
    for senders in &senders {
        senders.wait(After::Refusals(4)).await;
    }
    kill(gateways.remove(0).process);
    let mut senders = senders.into_iter();
    senders.next().expect("the killed one's").stop().await;
    block_in_place(|| {
        primary.stop("immediate");
        standby.promote();
    });
    gateways.push(fleet.start());

    let others = [
        senders.next().expect("the other's"),
        fleet.senders(&gateways[1], &mut chance),
    ];
    for senders in others {
        senders.wait(After::Acknowledgements(50)).await;
        senders.stop().await;
    }
    let figures = fleet.settle(gateways).await;
    println!("failover: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_proves_who_it_is_and_the_password_stays_in_its_file() {
    let authority = Authority::new("Database CA");
    let pair = authority.certify_for("localhost", Purpose::Server, 2060);
    let hba =
        "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhostssl all aimis 127.0.0.1/32 scram-sha-256\n";
    let server = Server::new(
        "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'",
        &[
            ("server.pem", &pair.certificate_pem),
            ("server.key", &pair.key_pem),
            ("pg_hba.conf", hba),
        ],
    );
    let (database, _) = server.database();
    let directory = Directory::new();
    let token = directory.file("token", Account::demo().token);
    let key = directory.file("inbox.key", [7; 32]);
    let (own, other) = (
        directory.file("own.pem", authority.pem()),
        directory.file("other.pem", Authority::new("Another CA").pem()),
    );
    let (right, wrong) = (
        directory.file("right.password", "geheim"),
        directory.file("wrong.password", "geraten"),
    );
    let stats = |host: &str, ca: &str, password: &str, mode: &str| {
        let text = format!(
            "[callback]\nlisten = \"127.0.0.1:0\"\n[inbox]\n\
             database_url = \"postgres://aimis@{host}:{}/{database}{mode}\"\n\
             database_ca_file = \"{ca}\"\ndatabase_password_file = \"{password}\"\nkey_file = \"{key}\"\n\
             [[tenants]]\nname = \"{TENANT}\"\napp_id = \"900001\"\ntoken_file = \"{token}\"\n",
            server.port(),
        );
        let config = directory.file("gateway.toml", text);
        let arguments = ["inbox", "stats", "--config", &config];
        let output = block_in_place(|| run(binary::command(&arguments), b""));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains("geheim") && !said.contains("geraten"), "{said}");
        said
    };

    for (said, expected) in [
        (
            stats("localhost", &own, &right, ""),
            "there is no inbox in this database",
        ),
        (
            stats("localhost", &own, &wrong, ""),
            "does not take this user and password",
        ),
        (stats("localhost", &other, &right, ""), "the certificate is not trusted"),
        (stats("127.0.0.1", &own, &right, ""), "the certificate is not trusted"),
        // Without TLS this server takes nobody.
        (
            stats("localhost", &own, &right, "?sslmode=disable"),
            "does not take this user",
        ),
        (
            stats("localhost", &own, &right, "?sslmode=require"),
            "does not make sure who answers",
        ),
        (
            stats("db.example", &own, &right, "?sslmode=disable"),
            "database_allow_plaintext",
        ),
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_database_ends_so_that_it_is_tried_again() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let fleet = Fleet::new(&format!("postgres://aimis@{free}/aimis?sslmode=disable")).await;
    let text = std::fs::read_to_string(&fleet.config).unwrap();
    let hasty = text.replace("[inbox]\n", "[inbox]\ndatabase_start_timeout_ms = 100\n");
    std::fs::write(&fleet.config, hasty).unwrap();

    let process = Process::start(binary::command(&["serve", "--config", &fleet.config]));
    let ended = block_in_place(|| process.ended());

    // Not 78, behind which a service manager does not start it again.
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("see whether the database runs"),
        "{}",
        ended.stderr
    );
}
