//! Who can reach the listeners, and as whom.

use super::{Found, Grade, Rule};
use crate::config::{self, Config, ListenAddr};

/// All of this file.
pub(super) const RULES: &[&Rule] = &[
    &PLAIN_LAN,
    &NETWORK_ALONE,
    &ANY_HOSPITAL,
    &ENDLESS_SIGN_INS,
    &ANY_USER,
    &NOBODY_KNOWN,
    &OPEN_TELEMETRY,
    &ADMIN_PORT,
];

/// Clear text on the LAN.
const PLAIN_LAN: Rule = Rule {
    key: "lan.tls",
    grade: Grade::Serious,
    why: "plain HTTP is taken from other machines: keys and identity numbers cross the LAN in clear",
    fix: "Set lan.tls, and no plain: before addresses that are not loopback.",
};

/// An address is no secret.
const NETWORK_ALONE: Rule = Rule {
    key: "clients.networks",
    grade: Grade::Moderate,
    why: "nothing but its network tells this client: whoever gets a machine or an address there can ask for any patient",
    fix: "Give it a key (aimis-gateway client-key new) or a certificate as well.",
};

/// A client without a bound.
const ANY_HOSPITAL: Rule = Rule {
    key: "clients.hospital_ids",
    grade: Grade::Moderate,
    why: "this client may ask in the name of any hospital",
    fix: "List the hospitals that it works for instead of *.",
};

/// Guessing keys.
const ENDLESS_SIGN_INS: Rule = Rule {
    key: "lan.max_failed_sign_ins",
    grade: Grade::Moderate,
    why: "keys may be guessed as often as somebody likes",
    fix: "Set a number that a clumsy client does not reach: 20 is the default.",
};

/// A socket for everybody.
const ANY_USER: Rule = Rule {
    key: "lan.socket_mode",
    grade: Grade::Moderate,
    why: "every user of this machine may connect to the unix socket, and there are no [[clients]] to tell who may ask",
    fix: "Set 0660 and put the users who may into the group, or add [[clients]].",
};

/// Programs on this machine.
const NOBODY_KNOWN: Rule = Rule {
    key: "clients",
    grade: Grade::Minor,
    why: "without [[clients]] every program on this machine may ask for any patient, and the log cannot tell which did",
    fix: "Add a [[clients]] entry with a key for each program.",
};

/// Figures for everybody.
const OPEN_TELEMETRY: Rule = Rule {
    key: "telemetry.listen",
    grade: Grade::Minor,
    why: "metrics and probes can be read from other machines without sign-in: names of tenants and numbers of requests, no patients",
    fix: "Leave it to the network of the monitoring, by firewall or NetworkPolicy.",
};

/// Operating without sign-in.
const ADMIN_PORT: Rule = Rule {
    key: "admin.listen",
    grade: Grade::Minor,
    why: "every user of this machine can use the operator's listener: see states, drop kept answers",
    fix: "Use a unix socket: admin.listen = \"unix:/run/aimis-gateway/admin.sock\".",
};

pub(super) fn examine(config: &Config, found: &mut Found) {
    found.check(config::takes_plain_http(config), &PLAIN_LAN, shown(&config.lan.listen));
    for client in &config.clients {
        found.check(client.by_network_alone(), &NETWORK_ALONE, &*client.name);
        let any = client.hospital_ids.iter().flatten().any(|id| &**id == "*");
        found.check(any, &ANY_HOSPITAL, &*client.name);
    }
    let keys = config.clients.iter().any(|client| client.key_sha256.is_some());
    found.check(keys && config.lan.max_failed_sign_ins == 0, &ENDLESS_SIGN_INS, "");

    let unix = |address: &ListenAddr| matches!(address, ListenAddr::Unix(_));
    let for_all = config.lan.listen.iter().any(unix) && config.lan.socket_mode.bits() & 0o002 != 0;
    found.check(
        config.clients.is_empty() && for_all,
        &ANY_USER,
        config.lan.socket_mode.to_string(),
    );
    found.check(config.clients.is_empty(), &NOBODY_KNOWN, "");

    let open = config.telemetry.listen.iter().any(|address| !address.is_loopback());
    found.check(open, &OPEN_TELEMETRY, shown(&config.telemetry.listen));
    if let Some(admin) = &config.admin {
        let port = admin.listen.iter().any(|address| !unix(address));
        found.check(port, &ADMIN_PORT, shown(&admin.listen));
    }
}

fn shown(addresses: &[ListenAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
