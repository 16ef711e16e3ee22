//! Names with several addresses, names that move, and addresses that do not answer.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_gateway::upstream::addresses::Resolver;
use aimis_simulator::Platform;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::platform;
use crate::support::client::PATIENCE;
use crate::support::gateway::{Gateway, Settings};
use crate::support::proxy::Proxy;

/// A name server with one answer for every name.
#[derive(Clone, Default)]
struct Dns(Arc<Mutex<Option<Vec<SocketAddr>>>>);

impl Dns {
    fn says(&self, addresses: impl Into<Vec<SocketAddr>>) {
        *self.0.lock().unwrap() = Some(addresses.into());
    }

    fn fails(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn resolver(&self) -> Resolver {
        let dns = self.clone();
        Resolver::new(move |_, _| {
            let answer = dns.0.lock().unwrap().clone();
            Box::pin(async move { answer.ok_or_else(|| io::ErrorKind::NotFound.into()) })
        })
    }
}

fn calling_by_name(dns: &Dns) -> Settings {
    Settings::calling_url("http://platform.test")
        .with("platform", "allow_plaintext = true")
        .with("platform", "connect_timeout_ms = 9000")
        .resolver(dns.resolver())
}

async fn idle(gateway: &Gateway) -> f64 {
    gateway
        .metric("aimis_upstream_connections{state=\"idle\"}")
        .await
        .unwrap()
}

/// An address that takes no connection and does not say so: its queue is full.
struct Hole {
    address: SocketAddr,
    _listener: tokio::net::TcpListener,
    _waiting: JoinSet<io::Result<TcpStream>>,
    _taken: Vec<TcpStream>,
}

impl Hole {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = JoinSet::new();
        for _ in 0..8 {
            waiting.spawn(TcpStream::connect(address));
        }
        // Linux takes one more than asked for.
        let mut taken = Vec::new();
        for _ in 0..2 {
            taken.push(waiting.join_next().await.unwrap().unwrap().unwrap());
        }
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
            _taken: taken,
        }
    }
}

#[tokio::test]
async fn the_first_address_that_answers_is_used_and_one_that_never_does_is_left_out() {
    let (platform, hole, dns) = (platform().await, Hole::new().await, Dns::default());
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = closed.local_addr().unwrap();
    dns.says([hole.address, closed, platform.addr()]);
    let gateway = calling_by_name(&dns)
        .with("platform", "max_requests_per_connection = 1")
        .start();

    for _ in 0..4 {
        let answer = gateway.studies().await;
        assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
    }

    let ejected = gateway.metric("aimis_upstream_addresses_ejected_total").await;
    assert_eq!(ejected, Some(2.0));
    let log = gateway.stop();
    let events = crate::log_fields::checked(&log);
    let ejected = events.iter().filter(|line| line["event.name"] == "address_ejected");
    let mut ports: Vec<u64> = ejected
        .map(|line| line["network.peer.port"].as_u64().unwrap())
        .collect();
    let mut wanted = [hole.address, closed].map(|address| u64::from(address.port()));
    ports.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(ports, wanted);
}

#[tokio::test]
async fn either_family_will_do() {
    let platform = platform().await;
    let dns = Dns::default();
    let Ok(six) = tokio::net::TcpListener::bind("[::1]:0").await else {
        // A machine without IPv6 has nothing to show here.
        return;
    };
    let unused = six.local_addr().unwrap();
    drop(six);
    let proxy = Proxy::start("[::1]:0", Some(platform.addr()), None).await;
    for addresses in [[unused, platform.addr()], [platform.addr(), unused]] {
        dns.says(addresses);
        assert_eq!(calling_by_name(&dns).start().studies().await.code(), 0);
    }
    dns.says([proxy.address]);
    let gateway = calling_by_name(&dns)
        .with("platform", "proxy = \"http://proxy.test:3128\"")
        .start();
    assert_eq!(gateway.studies().await.code(), 0);
    assert_eq!(proxy.heads().len(), 1);
}

#[tokio::test]
async fn a_platform_that_moves_is_followed_and_old_connections_are_closed() {
    let (old, new, dns) = (platform().await, platform().await, Dns::default());
    dns.says([old.addr()]);
    let gateway = calling_by_name(&dns).with("platform", "dns_ttl_ms = 0").start();
    assert_eq!(gateway.studies().await.code(), 0);
    assert_eq!((idle(&gateway).await, old.request_count()), (1.0, 1));

    dns.says([new.addr()]);
    // By the worker's housekeeping, without a question.
    let closed = async { while idle(&gateway).await > 0.0 {} };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("the old connection is closed");

    assert_eq!(gateway.studies().await.code(), 0);
    assert_eq!((old.request_count(), new.request_count()), (1, 1));
}

#[tokio::test]
async fn while_dns_fails_the_last_good_addresses_serve() {
    let (platform, dns) = (platform().await, Dns::default());
    dns.says([platform.addr()]);
    let gateway = calling_by_name(&dns)
        .with("platform", "dns_ttl_ms = 0")
        .with("platform", "max_requests_per_connection = 1")
        .start();
    assert_eq!(gateway.studies().await.code(), 0);

    dns.fails();
    for _ in 0..3 {
        assert_eq!(gateway.studies().await.code(), 0);
    }

    assert!(gateway.metric("aimis_upstream_dns_failures_total").await >= Some(3.0));
    let lines = crate::log_fields::checked(&gateway.stop());
    let told: Vec<_> = lines.iter().filter(|line| line["event.name"] == "dns_failed").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["server.address"], "platform.test");
}

#[tokio::test]
async fn a_connection_is_replaced_at_its_age() {
    async fn connections(platform: &Platform, keys: &str) -> usize {
        let clock = Clock::manual(Clock::system().now().as_millis());
        let before = platform.connections_accepted();
        let gateway = Settings::calling(platform)
            .with("platform", "idle_timeout_ms = 3600000")
            .with("platform", keys)
            .clock(clock.clone())
            .start();
        for _ in 0..3 {
            assert_eq!(gateway.studies().await.code(), 0);
            clock.advance(Duration::from_secs(30));
        }
        platform.connections_accepted() - before
    }
    let platform = platform().await;
    assert_eq!(connections(&platform, "max_connection_age_ms = 0").await, 1);
    assert_eq!(connections(&platform, "max_connection_age_ms = 60000").await, 2);
    assert_eq!(connections(&platform, "max_connection_age_ms = 30000").await, 3);
}
