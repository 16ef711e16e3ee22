//! Addresses, TLS, web pages.

use super::Check;
use crate::config::kind::choice::Choice;
use crate::config::problem::quoted;
use crate::config::{AnswerCharset, ClientAuth, Config, LanTls, ListenAddr, PageOrigin};

impl Check<'_> {
    pub(super) fn listeners(&mut self, config: &Config) {
        let reachable = config.lan.listen.iter().filter(|address| !address.is_loopback());
        for address in reachable.filter(|_| config.clients.is_empty()) {
            self.refuse(
                "lan.listen",
                quoted(&address.to_string()),
                "can be reached from other machines, and there are no [[clients]] to tell who may ask; add one, or use a loopback address",
            );
        }
        let admin = config.admin.as_ref().map_or(&[][..], |admin| &admin.listen);
        for address in admin.iter().filter(|address| !address.is_loopback()) {
            self.refuse(
                "admin.listen",
                quoted(&address.to_string()),
                "can be reached from other machines, and this listener knows no sign-in; use a loopback address or a unix socket",
            );
        }
        let mut seen: Vec<&ListenAddr> = Vec::new();
        let all = [
            ("lan.listen", config.lan.listen.as_slice()),
            ("telemetry.listen", config.telemetry.listen.as_slice()),
            ("admin.listen", admin),
        ];
        let callback = config
            .callback
            .iter()
            .map(|callback| ("callback.listen", callback.listen.as_slice()));
        for (key, address) in all
            .into_iter()
            .chain(callback)
            .flat_map(|(key, list)| list.iter().map(move |address| (key, address)))
        {
            let any_port = address.tcp().is_some_and(|address| address.port() == 0);
            let same = |other: &&ListenAddr| match (address.tcp(), other.tcp()) {
                (Some(one), Some(other)) => one == other,
                _ => address == *other,
            };
            if seen.iter().any(same) && !any_port {
                self.refuse(key, quoted(&address.to_string()), "is listened on already");
            }
            seen.push(address);
        }
    }

    pub(super) fn tls(&mut self, config: &Config) {
        self.listener_tls("lan", config.lan.tls.as_ref(), &config.lan.listen);
        if let Some(callback) = &config.callback {
            self.listener_tls("callback", callback.tls.as_ref(), &callback.listen);
        }
    }

    fn listener_tls(&mut self, listener: &str, tls: Option<&LanTls>, listen: &[ListenAddr]) {
        let Some(tls) = tls else { return };
        let key = format!("{listener}.tls.client_auth");
        if tls.client_ca_file.is_none() && self.origins.contains_key(&key) {
            let value = match tls.client_auth {
                ClientAuth::Required => "\"required\"",
                ClientAuth::Optional => "\"optional\"",
            };
            let reason = format!(
                "is without effect as long as {listener}.tls.client_ca_file does not say whose certificates are good"
            );
            self.refuse(&key, value.to_owned(), &reason);
        }
        if !listen.iter().any(|address| matches!(address, ListenAddr::Tcp(_))) {
            let value = quoted(&tls.cert_file.display().to_string());
            let reason =
                format!("is without effect: no address in {listener}.listen speaks TLS, all are plain: or unix:");
            self.refuse(&format!("{listener}.tls.cert_file"), value, &reason);
        }
    }

    /// Any web page may ask only where a key or a certificate is asked for: a page that a user has opened asks
    /// from the user's address, and on a loopback address without any.
    pub(super) fn web_pages(&mut self, config: &Config) {
        if !config
            .lan
            .cors_origins
            .iter()
            .flatten()
            .any(|origin| *origin == PageOrigin::Any)
        {
            return;
        }
        let reason = match config.clients.iter().find(|client| client.by_network_alone()) {
            _ if config.clients.is_empty() => "there are no [[clients]] to ask for a key".to_owned(),
            Some(client) => format!("client {} needs neither key nor certificate", client.name),
            None => return,
        };
        let reason =
            format!("is every origin, and {reason}: any web page could ask; name the origins of your own pages");
        self.refuse("lan.cors_origins", quoted("*"), &reason);
    }

    /// How answers are written, and how requests are read, where no client says otherwise.
    pub(super) fn lan_dialect(&mut self, config: &Config) {
        let lan = &config.lan;
        self.aliases("lan.aliases", lan.aliases.as_deref().unwrap_or_default());
        if lan.ascii_json && lan.charset != AnswerCharset::Utf8 {
            self.refuse("lan.charset", quoted(lan.charset.name()), UNUSED_CHARSET);
        }
    }
}

/// Told where both `ascii_json` and another charset than UTF-8 hold.
pub(super) const UNUSED_CHARSET: &str = "is without effect: with ascii_json = true answers are ASCII, which is the same in every charset; set one of the two";
