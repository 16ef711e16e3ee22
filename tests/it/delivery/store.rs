//! An inbox that fails while events are delivered: nothing is lost, and the loop goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aimis_core::codes::Codes;
use aimis_core::sign::Timestamp;
use aimis_gateway::callback::deliver::{Deliverer, Surroundings, Target};
use aimis_gateway::callback::event::{EventId, NewEvent, Tags};
use aimis_gateway::callback::inbox::{
    Act, AppendError, Appended, Filter, Inbox, InboxError, Lease, Leases, Outcome, Pace, Retained, Run, SettleError,
    Shown, Sqlite, Stats, Summary, Touched, Verdict,
};
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::telemetry::log::{Level, Log};
use aimis_gateway::telemetry::metrics::Metrics;
use aimis_gateway::tenant::TenantName;
use aimis_gateway::upstream::addresses::Resolver;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use super::bed::{Bed, arrived, by_id, event, his};
use crate::support::gateway::LogBuffer;

/// An inbox that fails as often as it is told to, and then does not.
struct Flaky {
    inbox: Sqlite,
    leases: AtomicUsize,
    settles: AtomicUsize,
}

/// Whether one more failure is due.
fn fails(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
}

macro_rules! delegated {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        $(fn $name(&self, $($argument: $type),*) -> $answer { self.inbox.$name($($argument),*) })+
    };
}

type Answer<T> = BoxFuture<'static, Result<T, InboxError>>;

impl Inbox for Flaky {
    fn lease(&self, tenant: &TenantName, limit: usize, period: Duration) -> Answer<Leases> {
        if fails(&self.leases) {
            return ready(Err(InboxError::Failed)).boxed();
        }
        self.inbox.lease(tenant, limit, period)
    }

    fn settle(&self, lease: Lease, outcome: Outcome) -> BoxFuture<'static, Result<(), SettleError>> {
        if fails(&self.settles) {
            return ready(Err(SettleError::Inbox(InboxError::DiskFull))).boxed();
        }
        self.inbox.settle(lease, outcome)
    }

    delegated! {
        tags() -> &Tags;
        append(event: NewEvent) -> BoxFuture<'static, Result<Appended, AppendError>>;
        resume(tenant: &TenantName) -> Answer<bool>;
        park(tenant: &TenantName) -> Answer<bool>;
        redeliver(filter: Filter, pace: Pace, run: Run) -> Answer<Touched>;
        release(filter: Filter, run: Run) -> Answer<Touched>;
        remove(filter: Filter, run: Run) -> Answer<Touched>;
        retain() -> Answer<Retained>;
        list(filter: Filter, after: Option<EventId>, limit: usize) -> Answer<Vec<Summary>>;
        show(id: EventId) -> Answer<Option<Shown>>;
        stats() -> Answer<Stats>;
        verify() -> Answer<Verdict>;
        note(act: Act) -> Answer<()>;
        acts(after: u64, limit: usize) -> Answer<Vec<(u64, Act)>>;
        reconciles(tenant: &TenantName) -> Answer<Timestamp>;
        changes() -> watch::Receiver<u64>;
    }
}

/// Delivers what `bed` keeps until so many deliveries have come, and stops; gives the log.
async fn deliver(
    bed: &Bed,
    target: &str,
    leases: usize,
    settles: usize,
    his: &aimis_simulator::His,
    count: u64,
) -> String {
    let text = format!(
        "[callback]\n[delivery]\nlease_ms = 16000\n[[tenants]]\nname = \"first-hospital\"\napp_id = \"1\"\ntoken_file = \"t\"\ncallback.target = \"{target}\"\n"
    );
    let config = config::load(&Sources::text("test.toml", text)).unwrap().config;
    let (clock, output) = (Clock::manual(Clock::system().now().as_millis()), LogBuffer::default());
    let (log, guard) = Log::start(Clock::system(), Level::Info, "test", Box::new(output.clone())).unwrap();
    let flaky = Arc::new(Flaky {
        inbox: bed.inbox_at(&clock),
        leases: leases.into(),
        settles: settles.into(),
    });
    let inbox: Arc<dyn Inbox> = Arc::<Flaky>::clone(&flaky);
    let surroundings = Surroundings {
        clock: clock.clone(),
        metrics: Metrics::new(&["first-hospital"], &[], &Codes::builtin()),
        log: log.clone(),
        repeat_interval: Duration::ZERO,
        resolver: Resolver::system(),
        auditor: None,
        tracer: None,
    };
    let target = Target::read(&config.tenants[0]).unwrap().unwrap();
    let (_targets, targets) = watch::channel(vec![Arc::new(target)]);
    let deliverer = Deliverer::new(targets, &config.delivery, &inbox, &surroundings).unwrap();
    let (stop, stopped) = watch::channel(false);
    let (abort, aborted) = watch::channel(false);
    let running = tokio::spawn(deliverer.run(stopped, aborted));
    if settles > 0 {
        while flaky.settles.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        // The lease of what could not be noted runs out.
        clock.advance(Duration::from_secs(17));
        // An arrival has the courier look.
        inbox.append(event(&*inbox, "S-later", 0)).await.unwrap();
    }
    arrived(his, count).await;
    stop.send_replace(true);
    running.await.unwrap();
    drop((abort, inbox, flaky));
    drop((surroundings, log, guard));
    output.text()
}

#[tokio::test]
async fn a_delivery_that_cannot_be_noted_comes_again_under_its_id() {
    let (bed, his) = (Bed::new().await, his().await);
    bed.keep(1, 1).await;

    let log = deliver(&bed, &his.url(), 0, 1, &his, 3).await;

    let deliveries = his.deliveries();
    let ids = by_id(&deliveries);
    assert_eq!(ids.len(), 2, "the later one, and that which came twice");
    assert!(ids.values().any(|deliveries| deliveries.len() == 2));
    assert_eq!(bed.count("delivered").await, 2);
    assert_eq!(log.matches("\"delivery_store_failed\"").count(), 1, "{log}");
}

#[tokio::test]
async fn an_inbox_that_gives_nothing_for_a_while_stops_nothing() {
    let (bed, his) = (Bed::new().await, his().await);
    bed.keep(3, 1).await;

    let log = deliver(&bed, &his.url(), 2, 0, &his, 3).await;

    assert_eq!(by_id(&his.deliveries()).len(), 3);
    assert_eq!(bed.count("delivered").await, 3);
    assert_eq!(log.matches("\"delivery_store_failed\"").count(), 2, "{log}");
}
