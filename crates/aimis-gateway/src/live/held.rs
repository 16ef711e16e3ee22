//! Keys that a running process cannot change: what was in force stays, and whoever changed them is told.
//!
//! These are the listeners and what is made once with them, threads, the audit trail, traces, what replicas share, and the
//! inbox with its deliveries; of trail and inbox all but the keys.
//! Everything else is taken up while requests go on.

use std::collections::BTreeMap;

use crate::config::{Audit, Callback, Config, Content, Inbox, Plain, Setting, settings_of};

/// Puts into `new` what `old` has where only a restart can change it. Tells the keys for which that is another value
/// than the wanted one.
pub(super) fn hold(old: &Config, new: &mut Config) -> Vec<String> {
    let wanted = flat(new);
    keep(old, new);
    let in_force = flat(new);
    let keys = wanted.keys().chain(in_force.keys());
    let mut held: Vec<String> = keys
        .filter(|key| wanted.get(*key) != in_force.get(*key))
        .cloned()
        .collect();
    held.sort_unstable();
    held.dedup();
    held
}

fn keep(old: &Config, new: &mut Config) {
    new.runtime = old.runtime.clone();
    new.telemetry = old.telemetry.clone();
    new.admin.clone_from(&old.admin);
    new.inbox = Inbox {
        key_file: new.inbox.key_file.clone(),
        previous_key_files: new.inbox.previous_key_files.clone(),
        ..old.inbox.clone()
    };
    new.delivery = old.delivery.clone();
    new.emptiness = old.emptiness.clone();
    new.store.clone_from(&old.store);
    new.audit = match (&old.audit, new.audit.take()) {
        (Some(old), Some(new)) => Some(Audit {
            key_file: new.key_file,
            previous_key_files: new.previous_key_files,
            ..old.clone()
        }),
        (old, _) => old.clone(),
    };
    new.drain = old.drain.clone();
    new.traces = old.traces.clone();
    new.clock = old.clock.clone();
    new.cache.max_bytes = old.cache.max_bytes;
    new.cache.max_entry = old.cache.max_entry;
    new.log.format = old.log.format;
    new.log.client_address = old.log.client_address;
    new.log.repeat_interval = old.log.repeat_interval;
    new.callback = match (&old.callback, new.callback.take()) {
        (Some(old), Some(new)) => Some(Callback {
            signature: new.signature,
            secret_file: new.secret_file,
            networks: new.networks,
            link_hosts: new.link_hosts,
            ..old.clone()
        }),
        (old, _) => old.clone(),
    };
    let (new, old) = (&mut new.lan, &old.lan);
    new.listen.clone_from(&old.listen);
    new.socket_mode = old.socket_mode;
    new.tls.clone_from(&old.tls);
    new.header_timeout = old.header_timeout;
    new.write_timeout = old.write_timeout;
    new.idle_timeout = old.idle_timeout;
    new.linger_timeout = old.linger_timeout;
    new.handshake_timeout = old.handshake_timeout;
    new.max_connections = old.max_connections;
    new.max_connections_per_source = old.max_connections_per_source;
    new.max_headers = old.max_headers;
    new.max_head_bytes = old.max_head_bytes;
    new.http2 = old.http2;
    new.http2_max_streams = old.http2_max_streams;
    new.http2_max_resets = old.http2_max_resets;
    new.language = old.language;
}

/// Every value by its whole key.
fn flat(config: &Config) -> BTreeMap<String, Option<Plain>> {
    fn add(settings: Vec<Setting>, at: &str, flat: &mut BTreeMap<String, Option<Plain>>) {
        for Setting { key, content } in settings {
            let full = format!("{at}{key}");
            match content {
                Content::Value { value, .. } => {
                    flat.insert(full, value);
                }
                Content::Table(settings) => add(settings, &format!("{full}."), flat),
                Content::Tables(all) => {
                    for (index, settings) in all.into_iter().enumerate() {
                        add(settings, &format!("{full}[{index}]."), flat);
                    }
                }
            }
        }
    }
    let mut all = BTreeMap::new();
    add(settings_of(config), "", &mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn config(text: &str) -> Config {
        let text = format!("{text}\n[[tenants]]\nname = \"a\"\napp_id = \"1\"\n");
        let token = [("AIMIS_TENANTS__0__TOKEN", "0123456789abcdef0123456789abcdef")];
        load(&Sources::text("t.toml", text).with_env(token)).unwrap().config
    }

    #[test]
    fn what_needs_a_restart_stays_and_is_told_and_the_rest_is_new() {
        let old =
            config("[lan]\nlisten = \"127.0.0.1:8080\"\nmax_body = \"64KiB\"\n[callback]\nmax_body = \"64KiB\"\n");
        let mut new = config(
            "[lan]\nlisten = \"127.0.0.1:8090\"\nmax_body = \"32KiB\"\n[callback]\nmax_body = \"32KiB\"\n\
             signature = \"required\"\n[drain]\ndelay_ms = 7\n[platform]\ndeadline_ms = 5000\n",
        );

        let held = hold(&old, &mut new);

        assert_eq!(held, ["callback.max_body", "drain.delay_ms", "lan.listen"]);
        assert_eq!(new.lan.listen, old.lan.listen);
        assert_eq!(new.drain, old.drain);
        assert_eq!(new.lan.max_body, 32 << 10);
        assert_eq!(new.platform.deadline.as_millis(), 5000);
        let callback = new.callback.unwrap();
        assert_eq!(callback.max_body, 64 << 10);
        assert_eq!(callback.signature, crate::config::CallbackSignature::Required);
    }

    #[test]
    fn sections_that_come_or_go_are_told() {
        let (plain, more) = (config(""), config("[callback]\n[admin]\nlisten = \"127.0.0.1:9465\"\n"));
        for (old, new) in [(&plain, &more), (&more, &plain)] {
            let mut merged = new.clone();
            let held = hold(old, &mut merged);
            assert!(held.iter().any(|key| key == "callback.listen"), "{held:?}");
            assert!(held.iter().any(|key| key == "admin.listen"), "{held:?}");
            assert_eq!(merged.callback, old.callback);
        }
    }

    #[test]
    fn the_same_configuration_needs_nothing() {
        let old = config("[callback]\n[lan]\nlanguage = \"en\"\n");
        assert_eq!(hold(&old, &mut old.clone()), Vec::<String>::new());
    }
}
