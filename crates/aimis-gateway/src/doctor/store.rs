//! What replicas share: whether it can be reached, signed in to, and used as the gateway uses it.

use super::chart::Chart;
use crate::store::connection::Target;
use crate::store::fault::Fault;
use crate::store::probe::{Probe, probe};

pub(super) async fn examine(chart: &mut Chart) {
    let findings = &mut chart.findings;
    let Some(settings) = &chart.config.store else {
        return findings.skipped(None, "there is no section store: this gateway shares nothing");
    };
    let target = match Target::read(settings) {
        Ok(target) => target,
        Err(error) => {
            let fix = "Correct the file that this names: without it the gateway does not start.";
            return findings.fail(None, error.to_string(), fix);
        }
    };
    match probe(&target, &settings.prefix, settings.timeout).await {
        Ok(Probe { gateways, took }) => {
            let found = format!("answers in {} ms; {gateways} gateway(s) share it now", took.as_millis());
            if took * 2 > settings.timeout {
                let fix = "That is near store.timeout_ms: put it nearer to the gateways, or raise store.timeout_ms.";
                findings.warn(None, found, fix);
            } else if gateways > settings.replicas_min {
                let fix = "Raise store.replicas_min to the number of gateways: a gateway that starts while the store is away divides the quotas by it.";
                findings.warn(None, found, fix);
            } else {
                findings.ok(None, found);
            }
        }
        Err(fault) => {
            let (found, fix) = told(fault);
            let fix = format!("{fix} Until then each gateway goes by its part of the quotas.");
            findings.fail(None, format!("store.redis_url: {found}"), fix);
        }
    }
}

fn told(fault: Fault) -> (&'static str, &'static str) {
    match fault {
        Fault::Timeout => (
            "does not answer in time",
            "See the way to store.redis_url, firewalls among it, and store.connect_timeout_ms and store.timeout_ms.",
        ),
        Fault::Connect => (
            "takes no connection, or closes it",
            "See whether it runs, and whether store.redis_url has its host, its port, and rediss where it wants TLS.",
        ),
        Fault::Tls => (
            "TLS fails",
            "See whether store.ca_file holds the authority of its certificate, whether that is for the host in \
             store.redis_url, and whether it wants one of ours (store.client_cert_file).",
        ),
        Fault::Auth => (
            "refuses the user or the password",
            "See store.user and store.password_file; without a user the password is the default user's.",
        ),
        Fault::Permission => (
            "does not let the user do what is needed",
            "Give the user of store.user the commands and keys that docs/replicas.md names.",
        ),
        Fault::OutOfMemory => (
            "has no memory left, and drops nothing",
            "Give it more (maxmemory), and a policy that drops what can be asked again: volatile-ttl or allkeys-lru.",
        ),
        Fault::ReadOnly => (
            "is a replica",
            "Name its master, or the sentinels (store.sentinel_master), or the nodes of its cluster (store.cluster).",
        ),
        Fault::Loading => (
            "loads its data",
            "Wait until it has; without a dump there is nothing to load, and nothing is lost by that.",
        ),
        Fault::NoReplicas => (
            "has fewer replicas than it must have to take anything",
            "See to its replicas; min-replicas-to-write says how many.",
        ),
        Fault::DiskFailed => (
            "could not write to its disk, and takes nothing until it can",
            "See to its disk, or switch its persistence off (save \"\", appendonly no): gateways need none.",
        ),
        Fault::Busy => (
            "is kept busy by a script of somebody else",
            "See who uses it beside the gateways; SCRIPT KILL ends the script.",
        ),
        Fault::ClusterDown => (
            "has lost its cluster, or its master",
            "See CLUSTER INFO, or the link of the replica, and cluster-require-full-coverage no.",
        ),
        Fault::NotReady => (
            "has no master",
            "See store.sentinel_master and store.cluster, and the state of the servers themselves.",
        ),
        Fault::Reply => (
            "answers with something that is not understood",
            "See whether it is a Redis 6.2 or newer, or a Valkey, and what store.cluster and store.sentinel_master say of it.",
        ),
    }
}
