//! A cluster of which one node is gone: whose quotas are there go by their parts, the others share theirs as before.

use aimis_simulator::Account;

use super::cluster::Cluster;
use super::fleet::{is_local, place, platform, sharing, shown};
use super::servers::{Engine, Server};
use crate::support::client::{PATIENCE, post};
use crate::support::gateway::{Gateway, studies_query_with};

/// Tenants, and the node of each by its name's slot.
const TENANTS: [(&str, usize); 3] = [("first-hospital", 0), ("hospital-b", 1), ("hospital-c", 2)];

async fn ask(gateway: &Gateway, number: usize) -> bool {
    let id = format!("H000{}", number + 1);
    let union = format!("U000{}", number + 1);
    let body = studies_query_with(serde_json::json!({"hospitalId": id, "unionId": union}));
    let path = format!("/thirdparty/patientStudies/90000{}", number + 1);
    let answer = post(gateway.lan, &path, &[], body.as_bytes()).await;
    assert!(matches!(answer.status, 200 | 429), "{}", answer.text());
    is_local(&answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_gone_concerns_its_own_tenants_only() {
    concerns_its_own_only(Server::down, Server::up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_concerns_its_own_tenants_only() {
    concerns_its_own_only(|node| node.hangs(), |node| node.goes_on()).await;
}

async fn concerns_its_own_only(goes: fn(&mut Server), comes: fn(&mut Server)) {
    let platform = platform().await;
    let mut cluster = tokio::task::block_in_place(|| Cluster::start(Engine::Redis7));
    let mut settings = sharing(&platform, &cluster.urls())
        .with("store", "cluster = true")
        .instead("store", "timeout_ms = 200");
    for (number, (name, node)) in TENANTS.into_iter().enumerate() {
        assert_eq!(cluster.node_of(name), node, "{name}");
        if number > 0 {
            let account = Account::new(
                &format!("90000{}", number + 1),
                "Ab9-Zz8_Yy7.Xx6~Ww5!Vv4@Uu3#Tt2$",
                &format!("H000{}", number + 1),
                &format!("U000{}", number + 1),
            );
            platform.put_account(account.clone());
            settings = settings.tenant(name, account);
        }
    }
    // The gateways themselves are counted at the node that goes.
    assert_eq!(cluster.node_of("aimis:gateways"), 0);
    let gateway = settings.start();
    let all = [place(&gateway)];
    shown(&all, "aimis_ratelimit_store_up", 1.0).await;
    for number in 0..3 {
        assert!(!ask(&gateway, number).await, "{number}");
    }

    goes(cluster.node(0));

    let noticed = async { while !ask(&gateway, 0).await {} };
    tokio::time::timeout(PATIENCE, noticed).await.expect("it is noticed");
    let failed = async || {
        let text = gateway.telemetry("/metrics").await.text();
        let faults = text
            .lines()
            .filter(|line| line.starts_with("aimis_store_faults_total{"));
        faults
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum::<f64>()
    };
    // Until heartbeats have failed as well, and the node was tried again.
    let others = async {
        while failed().await < 10.0 {
            // Several in a row: a breaker of the whole store would open.
            for _ in 0..5 {
                assert!(ask(&gateway, 0).await, "its own part");
            }
            assert!(!ask(&gateway, 1).await, "the second shares");
            assert!(!ask(&gateway, 2).await, "the third shares");
        }
    };
    tokio::time::timeout(PATIENCE, others).await.expect("it goes on");
    assert_eq!(gateway.metric("aimis_ratelimit_store_up").await, Some(1.0));

    tokio::task::block_in_place(|| comes(cluster.node(0)));
    let back = async { while ask(&gateway, 0).await {} };
    tokio::time::timeout(PATIENCE, back).await.expect("it shares again");
}
