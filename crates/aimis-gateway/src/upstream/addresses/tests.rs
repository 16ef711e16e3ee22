//! Look-up, fall-back and leaving out, with a resolver and a clock that the test holds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aimis_core::codes::Codes;
use tokio::time::sleep;

use super::*;
use crate::config::{self, Sources};
use crate::telemetry::log::Level;

/// What the resolver says, and how often it was asked.
#[derive(Clone, Default)]
struct Dns {
    answer: Arc<Mutex<Option<Vec<SocketAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Dns {
    fn says(&self, addresses: &[SocketAddr]) {
        *self.answer.lock().unwrap() = Some(addresses.to_vec());
    }

    fn fails(&self) {
        *self.answer.lock().unwrap() = None;
    }

    fn resolver(&self) -> Resolver {
        let dns = self.clone();
        Resolver::new(move |_, _| {
            dns.asked.fetch_add(1, Ordering::Relaxed);
            let answer = dns.answer.lock().unwrap().clone();
            Box::pin(async move { answer.ok_or_else(|| io::ErrorKind::NotFound.into()) })
        })
    }
}

struct Bench {
    book: Addresses,
    dns: Dns,
    clock: Clock,
    metrics: Arc<Metrics>,
}

fn bench(keys: &str) -> Bench {
    let dns = Dns::default();
    bench_with(keys, dns.resolver(), dns)
}

fn bench_with(keys: &str, resolver: Resolver, dns: Dns) -> Bench {
    let text = format!("[platform]\n{keys}\n[[tenants]]\nname = \"demo\"\napp_id = \"900001\"\n");
    let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
    let settings = config::load(&Sources::text("demo.toml", text).with_env(token)).unwrap();
    let clock = Clock::manual(0);
    let metrics = Metrics::new(&[], &[], &Codes::builtin());
    let (log, guard) = Log::start(clock.clone(), Level::Info, "test", Box::new(io::sink())).unwrap();
    drop(guard);
    let book = Addresses::new(
        &settings.config.platform,
        resolver,
        clock.clone(),
        Arc::clone(&metrics),
        log,
    );
    Bench {
        book,
        dns,
        clock,
        metrics,
    }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 443))
}

impl Bench {
    async fn find(&self) -> Option<Vec<SocketAddr>> {
        let until = sleep(Duration::from_secs(1)).deadline();
        self.book.find("pacs.qq.com", 443, until).await
    }

    fn fail(&self, last: u8, times: usize) {
        for _ in 0..times {
            self.book.failed(address(last));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_again_after_its_time_and_not_before() {
    let bench = bench("dns_ttl_ms = 30000");
    bench.dns.says(&[address(1)]);
    assert_eq!(bench.find().await, Some(vec![address(1)]));
    bench.dns.says(&[address(2)]);

    bench.clock.advance(Duration::from_millis(29_999));
    assert_eq!(bench.find().await, Some(vec![address(1)]));
    assert!(bench.book.has(("pacs.qq.com", 443), address(1)));
    bench.clock.advance(Duration::from_millis(1));

    assert_eq!(bench.find().await, Some(vec![address(2)]));
    assert!(!bench.book.has(("pacs.qq.com", 443), address(1)));
    assert_eq!(bench.dns.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_addresses_serve_while_dns_fails_or_hangs() {
    let fails = bench("dns_ttl_ms = 0");
    assert_eq!(fails.find().await, None);
    fails.dns.says(&[address(1)]);
    assert_eq!(fails.find().await, Some(vec![address(1)]));
    fails.dns.fails();
    assert_eq!(fails.find().await, Some(vec![address(1)]));
    fails.dns.says(&[]);
    assert_eq!(fails.find().await, Some(vec![address(1)]));
    assert_eq!(fails.metrics.dns_failures.get(), 3);

    let first = Mutex::new(Some(vec![address(1)]));
    let hangs = Resolver::new(move |_, _| {
        let answer = first.lock().unwrap().take();
        Box::pin(async move {
            match answer {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            }
        })
    });
    let hangs = bench_with("dns_ttl_ms = 0", hangs, Dns::default());
    hangs.find().await.unwrap();
    assert_eq!(hangs.find().await, Some(vec![address(1)]));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_fails_in_a_row_is_left_out_for_a_while() {
    let bench = bench("dns_ttl_ms = 3600000\neject_ms = 30000\neject_after = 3");
    bench.dns.says(&[address(1), address(2)]);
    bench.find().await.unwrap();

    bench.fail(1, 2);
    bench.book.succeeded(address(1));
    bench.fail(1, 2);
    assert_eq!(bench.find().await, Some(vec![address(1), address(2)]), "not in a row");

    bench.fail(1, 1);
    assert_eq!(bench.find().await, Some(vec![address(2)]));
    assert_eq!(bench.metrics.addresses_ejected.get(), 1);
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(bench.find().await, Some(vec![address(1), address(2)]));
    bench.fail(1, 1);
    assert_eq!(bench.find().await, Some(vec![address(2)]), "one more failure is enough");
}

#[tokio::test(start_paused = true)]
async fn the_last_address_is_never_left_out() {
    let bench = bench("dns_ttl_ms = 3600000");
    bench.dns.says(&[address(1)]);
    bench.find().await.unwrap();
    bench.fail(1, 100);
    assert_eq!(bench.find().await, Some(vec![address(1)]));
    assert_eq!(bench.metrics.addresses_ejected.get(), 0);

    let both = self::bench("dns_ttl_ms = 3600000");
    both.dns.says(&[address(1), address(2)]);
    both.find().await.unwrap();
    both.fail(1, 3);
    both.fail(2, 3);
    assert_eq!(both.find().await, Some(vec![address(1), address(2)]));
    assert_eq!(both.metrics.addresses_ejected.get(), 1);
}

#[test]
fn families_take_turns_from_the_resolvers_first() {
    let six = |last: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 443));
    assert_eq!(
        alternate(&[six(1), six(2), six(3), address(1)]),
        [six(1), address(1), six(2), six(3)]
    );
    assert_eq!(
        alternate(&[address(1), six(1), six(2), six(3)]),
        [address(1), six(1), six(2), six(3)]
    );
    assert_eq!(alternate(&[]), []);
}
