//! What is known of a tenant or a client that stays is known after a reload as well.

use std::time::Duration;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Fault, Platform};

use super::{both, platform, second};
use crate::authorization::keyed;
use crate::support::client::{Answer, post};
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query};

const NOW: u64 = 1_735_689_600_000;

/// A clock that stands until it is told to move, for gateway and platform.
fn standing(platform: &Platform) -> Clock {
    platform.clock().stand_at(NOW.try_into().unwrap());
    Clock::manual(NOW)
}

async fn keyed_studies(gateway: &Gateway) -> Answer {
    let path = "/thirdparty/patientStudies/900001";
    let key = [("X-Api-Key", "key-one")];
    post(gateway.lan, path, &key, studies_query().as_bytes()).await
}

#[tokio::test]
async fn quotas_that_are_used_up_stay_so_and_others_are_new() {
    let (platform, directory) = (both().await, Directory::new());
    let base = Settings::calling(&platform)
        .clock(standing(&platform))
        .with("limits", "max_wait_ms = 0\ninteractive_percent = 0")
        .with("limits.client", "rate_per_s = 0.01\nburst = 3")
        .with("limits.tenant", "rate_per_s = 0.01\nburst = 2\nin_flight = 0")
        .client(&keyed("his", "key-one", ""));
    let gateway = base.start_in(&directory);
    for _ in 0..2 {
        assert_eq!(keyed_studies(&gateway).await.code(), 0);
    }

    // Another tenant in front of it, so that its position is another; the same quotas.
    let mut moved = Settings::calling(&platform)
        .clock(Clock::system())
        .without_tenant("first-hospital")
        .tenant("second", second())
        .tenant("first-hospital", aimis_simulator::Account::demo())
        .with("limits", "max_wait_ms = 0\ninteractive_percent = 0")
        .with("limits.client", "rate_per_s = 0.01\nburst = 3")
        .with("limits.tenant", "rate_per_s = 0.01\nburst = 2\nin_flight = 0")
        .client(&keyed("his", "key-one", "tenants = \"first-hospital\""));
    moved.write(&directory);
    gateway.reload().await.unwrap();
    let refused = keyed_studies(&gateway).await;
    assert_eq!(refused.code(), 800_201);
    let decisions = |result: &str, tenant: &str| {
        format!("aimis_ratelimit_decisions_total{{result=\"{result}\",tenant=\"{tenant}\"}}")
    };
    let refusals = |result: &str| decisions(result, "first-hospital");
    assert_eq!(gateway.metric(&refusals("refused_tenant")).await, Some(1.0));
    assert_eq!(gateway.metric(&refusals("allowed")).await, Some(2.0));
    assert_eq!(gateway.metric(&decisions("allowed", "second")).await, Some(0.0));

    // The client's is used up now, and only the tenant's is another.
    moved = moved.instead("limits.tenant", "rate_per_s = 0\nin_flight = 0");
    moved.write(&directory);
    gateway.reload().await.unwrap();
    assert_eq!(keyed_studies(&gateway).await.code(), 800_201);
    assert_eq!(gateway.metric(&refusals("refused_client")).await, Some(1.0));
    moved.instead("limits.client", "rate_per_s = 0").write(&directory);
    gateway.reload().await.unwrap();
    assert_eq!(keyed_studies(&gateway).await.code(), 0);
}

#[tokio::test]
async fn a_platform_that_said_stop_is_left_alone_whatever_the_quota() {
    let (platform, directory) = (platform().await, Directory::new());
    let clock = standing(&platform);
    let base = Settings::calling(&platform)
        .clock(clock.clone())
        .with("limits", "closed_ms = 60000");
    let gateway = base.start_in(&directory);
    platform.push_fault(Fault::BusinessCode {
        code: 90_003,
        message: "too many".to_owned(),
    });
    gateway.studies().await;

    base.with("limits.tenant", "rate_per_s = 50\nburst = 50\nin_flight = 0")
        .write(&directory);
    gateway.reload().await.unwrap();

    assert_eq!(gateway.studies().await.code(), 800_201);
    clock.advance(Duration::from_secs(61));
    platform.clock().stand_at((NOW + 61_000).try_into().unwrap());
    assert_eq!(gateway.studies().await.code(), 0);
}

#[tokio::test]
async fn an_open_breaker_stays_open_until_its_rules_or_the_platform_are_others() {
    let (broken, directory) = (platform().await, Directory::new());
    let base = Settings::calling(&broken)
        .clock(standing(&broken))
        .with("breaker", "consecutive = 1\nopen_ms = 600000")
        .with("platform", "max_retries = 0");
    let gateway = base.start_in(&directory);
    broken.set_fault(Fault::Status {
        code: 500,
        envelope: false,
    });
    gateway.studies().await;
    broken.clear_faults();
    assert_eq!(gateway.studies().await.code(), 800_304);

    base.clone().with("identity", "mode = \"strict\"").write(&directory);
    gateway.reload().await.unwrap();
    assert_eq!(gateway.studies().await.code(), 800_304);
    let open = "aimis_breaker_state{api=\"patientStudies\",state=\"open\"}";
    assert_eq!(gateway.metric(open).await, Some(1.0));

    let other = platform().await;
    let now = standing(&other);
    Settings::calling(&other)
        .clock(now)
        .with("breaker", "consecutive = 1\nopen_ms = 600000")
        .with("platform", "max_retries = 0")
        .write(&directory);
    gateway.reload().await.unwrap();
    assert_eq!(gateway.studies().await.code(), 0);
    assert_eq!(other.request_count(), 1);
    assert_eq!(gateway.metric(open).await, Some(0.0));
}

#[tokio::test]
async fn connections_stay_until_the_way_is_another() {
    let (platform, directory) = (platform().await, Directory::new());
    let base = Settings::calling(&platform);
    let gateway = base.start_in(&directory);
    gateway.studies().await;
    for line in ["mode = \"off\"", "mode = \"strict\""] {
        base.clone().with("identity", line).write(&directory);
        gateway.reload().await.unwrap();
        gateway.studies().await;
    }
    assert_eq!(platform.connections_accepted(), 1);

    base.clone()
        .with("platform", "idle_timeout_ms = 20000")
        .write(&directory);
    gateway.reload().await.unwrap();
    gateway.studies().await;

    assert_eq!(platform.connections_accepted(), 2);
    assert_eq!(
        gateway.metric("aimis_upstream_connections{state=\"idle\"}").await,
        Some(1.0)
    );
    assert_eq!(
        gateway.metric("aimis_upstream_connections{state=\"active\"}").await,
        Some(0.0)
    );
}

#[tokio::test]
async fn answers_that_are_kept_stay_until_the_platform_is_another() {
    let (platform, directory) = (platform().await, Directory::new());
    let base = Settings::calling(&platform).cached();
    let gateway = base.start_in(&directory);
    gateway.studies().await;

    base.clone().with("limits", "queue = 7").write(&directory);
    gateway.reload().await.unwrap();
    assert_eq!(gateway.studies().await.header("x-aimis-origin"), Some("cache"));

    let other = super::platform().await;
    Settings::calling(&other).cached().write(&directory);
    gateway.reload().await.unwrap();
    assert_eq!(gateway.studies().await.header("x-aimis-origin"), Some("platform"));
    assert_eq!((platform.request_count(), other.request_count()), (1, 1));
}
