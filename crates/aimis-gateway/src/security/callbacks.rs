//! What callbacks have to prove, and where events go.

use std::time::Duration;

use super::{Found, Grade, Rule};
use crate::config::{CallbackSignature, Config, ListenAddr};

/// The longest that a signature may be good for without a word.
const LONG: Duration = Duration::from_secs(600);

/// All of this file.
pub(super) const RULES: &[&Rule] = &[
    &SIGNATURE_OFF,
    &UNSIGNED,
    &PLAIN_CALLBACKS,
    &ANY_LINK,
    &PLAIN_TARGET,
    &UNSIGNED_TARGET,
    &LONG_AGE,
    &ENDLESS_SOURCE,
];

/// Signatures that nobody looks at.
const SIGNATURE_OFF: Rule = Rule {
    key: "callback.signature",
    grade: Grade::Serious,
    why: "signatures of callbacks are not looked at: whoever has seen one can send its numbers again with another link or status",
    fix: "Set \"required\", or \"if_present\" where the platform does not sign.",
};

/// Signatures that may be left out.
const UNSIGNED: Rule = Rule {
    key: "callback.signature",
    grade: Grade::Moderate,
    why: "callbacks are taken without signature: whoever has seen one can send its numbers again with another link or status",
    fix: "Ask the platform whether it signs, and set \"required\".",
};

/// Clear text on the way in.
const PLAIN_CALLBACKS: Rule = Rule {
    key: "callback.tls",
    grade: Grade::Moderate,
    why: "callbacks come from other machines in plain HTTP: links to findings cross that network in clear",
    fix: "Set callback.tls, or end TLS on this machine and listen on loopback.",
};

/// Links to anywhere.
const ANY_LINK: Rule = Rule {
    key: "callback.link_hosts",
    grade: Grade::Moderate,
    why: "a callback may carry a link to any host, and the HIS shows it as the platform's",
    fix: "List the hosts that the platform's links lead to; the metric aimis_callback_link_hosts tells how many there are.",
};

/// Clear text to the HIS.
const PLAIN_TARGET: Rule = Rule {
    key: "tenants.callback.target",
    grade: Grade::Serious,
    why: "events with patients' names and links to findings go to the HIS in plain HTTP",
    fix: "Use https, with target_ca_file for an authority of the hospital.",
};

/// Events that anybody could have sent.
const UNSIGNED_TARGET: Rule = Rule {
    key: "tenants.callback.target_secret_file",
    grade: Grade::Moderate,
    why: "events are not signed: whoever reaches the HIS can send it events in our name",
    fix: "Set target_secret_file, and have the HIS check webhook-signature.",
};

/// Old signatures.
const LONG_AGE: Rule = Rule {
    key: "callback.past_ms",
    grade: Grade::Minor,
    why: "a signature of a callback is good for longer than ten minutes, and so is one that was stolen",
    fix: "Keep the clocks right and set 300000.",
};

/// A flood.
const ENDLESS_SOURCE: Rule = Rule {
    key: "callback.max_per_source_per_s",
    grade: Grade::Minor,
    why: "one address may send as many callbacks as it likes, each of which has to be decrypted",
    fix: "Set a number above the platform's peak: 200 is the default.",
};

pub(super) fn examine(config: &Config, found: &mut Found) {
    let Some(callback) = &config.callback else { return };
    for tenant in &config.tenants {
        let (name, rules) = (&*tenant.name, &tenant.callback);
        found.check(rules.signature == CallbackSignature::Off, &SIGNATURE_OFF, name);
        found.check(rules.signature == CallbackSignature::IfPresent, &UNSIGNED, name);
        found.check(rules.link_hosts.is_none(), &ANY_LINK, name);
        if let Some(target) = &rules.target {
            let plain = !target.origin.https && !target.origin.host.is_loopback();
            found.check(plain, &PLAIN_TARGET, name);
            found.check(rules.target_secret_file.is_none(), &UNSIGNED_TARGET, name);
        }
    }
    let plain = |address: &&ListenAddr| match address {
        ListenAddr::Plain(_) => !address.is_loopback(),
        ListenAddr::Tcp(_) => callback.tls.is_none() && !address.is_loopback(),
        ListenAddr::Unix(_) => false,
    };
    for address in callback.listen.iter().filter(plain) {
        found.check(true, &PLAIN_CALLBACKS, address.to_string());
    }
    found.check(callback.past > LONG, &LONG_AGE, "");
    found.check(callback.max_per_source_per_s == 0, &ENDLESS_SOURCE, "");
}
