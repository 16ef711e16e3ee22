//! What replicas share: whether it can be reached, signed in to, and used as the gateway uses it; and whether the key that
//! seals answers there is that of the other gateways.

use super::chart::Chart;
use super::finding::Findings;
use crate::config;
use crate::forward::cache::shared::keys::{FileKeys, NotUnwrapped};
use crate::secrets;
use crate::store::connection::Target;
use crate::store::fault::Fault;
use crate::store::prepare::{StoreFileError, keys};
use crate::store::probe::{Act, Probe, Trouble};

/// Tenants whose data keys are looked at.
const MOST_TENANTS: usize = 64;

pub(super) async fn examine(chart: &mut Chart) {
    let findings = &mut chart.findings;
    let Some(settings) = &chart.config.store else {
        return findings.skipped(None, "there is no section store: this gateway shares nothing");
    };
    let Some((target, files)) = read(settings, findings) else {
        return;
    };
    let chance = match secrets::random_key() {
        Ok(chance) => chance,
        Err(error) => {
            let fix = "See to the system's source of randomness: without it the gateway does not start.";
            return findings.fail(None, error.to_string(), fix);
        }
    };
    let looking = async {
        let mut probe = Probe::connect(&target, &settings.prefix, settings.timeout, &chance).await?;
        let seen = probe.judge().await?;
        if files.is_some() {
            probe.share().await?;
        }
        Ok((probe, seen))
    };
    let (mut probe, seen) = match looking.await {
        Ok(looked) => looked,
        Err(trouble) => return failed(trouble, findings),
    };
    let (gateways, took) = (seen.gateways, seen.took);
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
    if let Some(files) = files {
        let tenants = chart.hospitals.iter().map(|hospital| hospital.name.as_str());
        examine_keys(&mut probe, &files, tenants.take(MOST_TENANTS), findings).await;
    }
}

/// The files that the start reads; `None` if one of them is of no use.
fn read(settings: &config::Store, findings: &mut Findings) -> Option<(Target, Option<FileKeys>)> {
    let target = Target::read(settings)
        .map_err(|error| {
            let fix = "Correct the file that this names: without it the gateway does not start.";
            findings.fail(None, error.to_string(), fix);
        })
        .ok();
    let files = keys(settings)
        .map_err(|error| {
            let fix = match error {
                StoreFileError::Password { key: "other_key_file", .. } | StoreFileError::NoKey { key: "other_key_file", .. } => {
                    "Bring the file here that store.other_key_file names, or take the key away if no keys are changed: the \
                     gateway does not start like this."
                }
                _ => {
                    "Bring the file of store.key_file here that the other gateways have, or make it once for all of them \
                     (openssl rand -hex 32): without it the gateway does not start."
                }
            };
            findings.fail(None, error.to_string(), fix);
        })
        .ok();
    let files = files?.map(|(key, other)| FileKeys::new(&key, other.as_deref()));
    Some((target?, files))
}

/// Whether the data keys that the store has open with the key files that are here.
async fn examine_keys(
    probe: &mut Probe,
    files: &FileKeys,
    tenants: impl Iterator<Item = &str>,
    findings: &mut Findings,
) {
    let (mut opened, mut foreign, mut damaged) = (0_usize, Vec::new(), Vec::new());
    for tenant in tenants {
        let wrapped = match probe.data_key(tenant).await {
            Ok(wrapped) => wrapped,
            Err(trouble) => return failed(trouble, findings),
        };
        if wrapped.is_empty() {
            continue;
        }
        match files.unwrap(tenant, &wrapped) {
            Ok(_) => opened += 1,
            Err(NotUnwrapped::OtherFile) => foreign.push(tenant),
            Err(NotUnwrapped::Damaged) => damaged.push(tenant),
        }
    }
    if let [first, others @ ..] = &foreign[..] {
        findings.fail(
            Some(first),
            format!(
                "the data key in the store was sealed with another key file than store.key_file{}",
                and_more(others)
            ),
            "Bring the file of store.key_file here that the other gateways have, or name theirs in store.other_key_file while keys \
             are changed: until then each callback here ends all that they keep of the tenant. If no gateway has that file any \
             more, run cache purge --tenant.",
        );
    }
    if let [first, others @ ..] = &damaged[..] {
        findings.warn(
            Some(first),
            format!("the data key in the store is damaged, or another tenant's{}", and_more(others)),
            "See who else writes to the store under store.prefix. The next question draws a new one, and what was kept of the tenant \
             is asked again.",
        );
    }
    if opened > 0 {
        findings.ok(
            None,
            format!("store.key_file opens the data keys of {opened} tenant(s)"),
        );
    } else if foreign.is_empty() && damaged.is_empty() {
        findings.ok(
            None,
            "store.key_file holds a key; the store has no data key yet that could tell whether it is that of the other gateways",
        );
    }
}

fn and_more(others: &[&str]) -> String {
    match others.len() {
        0 => String::new(),
        count => format!("; so are those of {count} more tenant(s)"),
    }
}

fn failed(trouble: Trouble, findings: &mut Findings) {
    let (found, fix) = match trouble {
        Trouble::Fault(act, fault) => {
            let (found, fix) = told(fault);
            (format!("{found}{}", asked_to(act)), fix)
        }
        Trouble::Lost => (
            "does not have what it was told a moment ago".to_owned(),
            "See whether its memory is full (maxmemory), and whether store.redis_url leads to one server that takes writes and \
             not to several in turn.",
        ),
    };
    let fix = format!("{fix} Until then each gateway goes by its part of the quotas, and by its own answers.");
    findings.fail(None, format!("store.redis_url: {found}"), fix);
}

/// What it was asked to do, where that is more than a connection.
fn asked_to(act: Act) -> &'static str {
    match act {
        Act::Connect => "",
        Act::Judge => " (asked to judge a limit)",
        Act::Note => " (asked to note and count gateways)",
        Act::LookUp => " (asked to look an answer up)",
        Act::Keep => " (asked to keep an answer)",
        Act::Forget => " (asked to forget an answer)",
        Act::DataKey => " (asked for a tenant's data key)",
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
