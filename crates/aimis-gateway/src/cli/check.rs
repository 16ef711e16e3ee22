//! `check`: is the configuration usable? Like `serve` up to the point where it would open a listener.

use serde_json::json;

use super::output::{self, Failure};
use super::sources::ConfigArguments;
use crate::audit;
use crate::config::{self, Client, Config};
use crate::prepare;
use crate::token_end;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// List what works and is a risk, graded; exit status 1 if something is serious.
    #[arg(long)]
    security: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.security {
        return super::check_security::run(&arguments.source, arguments.json);
    }
    match examine(arguments) {
        Ok(found) if arguments.json => output::json(&found.json()),
        Ok(found) => output::print(&found.text()),
        Err(failure) if arguments.json => {
            let problems: Vec<String> = failure.to_string().lines().map(str::to_owned).collect();
            output::json(&json!({ "ok": false, "problems": problems }))?;
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// Fingerprints, by what names the token, and when each ends.
type Tokens = Vec<(&'static str, String, Option<String>)>;

struct Found {
    /// Name, appId and tokens.
    tenants: Vec<(String, String, Tokens)>,
    clients: Vec<ClientFound>,
    platform: String,
    lan: Vec<String>,
    callback: Vec<String>,
    /// Of each tenant, where its events go; none where no callbacks are taken.
    events: Vec<(String, String)>,
    notices: Vec<String>,
    /// Where it is recorded who looked at whom.
    audit: String,
}

/// A client: how it is known, and its rules, each by the key that sets it.
struct ClientFound {
    name: String,
    known_by: Vec<(&'static str, Vec<String>)>,
    rules: Vec<(&'static str, Vec<String>)>,
}

impl ClientFound {
    fn new(client: &Client) -> Self {
        let known_by = [
            ("networks", shown(client.networks.as_deref())),
            ("certificates", shown(client.certificates.as_deref())),
        ];
        // A digest says nothing to a reader, so only how many there are.
        let keys = client.key_sha256.as_ref().map(|keys| vec![keys.len().to_string()]);
        let rules = [
            ("tenants", shown(client.tenants.as_deref())),
            ("hospital_ids", shown(client.hospital_ids.as_deref())),
            ("apis", shown(client.apis.as_deref())),
            ("usage", shown(client.usage.as_deref())),
            ("data_flag", shown(client.data_flag.as_deref())),
            ("study_type", shown(client.study_type.as_deref())),
            (
                "max_range_days",
                shown(client.max_range_days.as_ref().map(std::slice::from_ref)),
            ),
            ("inbox", client.inbox.then(|| vec!["may fetch events".to_owned()])),
        ];
        let set = |(key, values): (&'static str, Option<Vec<String>>)| values.map(|values| (key, values));
        Self {
            name: client.name.to_string(),
            known_by: [("keys", keys)].into_iter().chain(known_by).filter_map(set).collect(),
            rules: rules.into_iter().filter_map(set).collect(),
        }
    }

    fn json(&self) -> serde_json::Value {
        let object = |pairs: &[(&'static str, Vec<String>)]| -> serde_json::Map<_, _> {
            pairs
                .iter()
                .map(|(key, values)| ((*key).to_owned(), json!(values)))
                .collect()
        };
        json!({ "name": self.name, "known_by": object(&self.known_by), "rules": object(&self.rules) })
    }

    fn text(&self) -> String {
        let words = |pairs: &[(&'static str, Vec<String>)]| {
            let pairs = pairs.iter().map(|(key, values)| format!("{key} {}", values.join(", ")));
            pairs.collect::<Vec<_>>().join("; ")
        };
        let rules = match &self.rules[..] {
            [] => "no rules".to_owned(),
            rules => format!("may ask: {}", words(rules)),
        };
        format!("client {}: known by {}: {rules}\n", self.name, words(&self.known_by))
    }
}

fn shown<T: ToString>(values: Option<&[T]>) -> Option<Vec<String>> {
    values.map(|values| values.iter().map(ToString::to_string).collect())
}

impl Found {
    fn json(&self) -> serde_json::Value {
        let tenants: Vec<_> = self
            .tenants
            .iter()
            .map(|(name, app_id, tokens)| {
                let mut shown = json!({ "name": name, "app_id": app_id });
                for (source, token, end) in tokens {
                    let of = match *source {
                        "token" => "token".to_owned(),
                        source => format!("{source}_token"),
                    };
                    shown[format!("{of}_fingerprint")] = token.as_str().into();
                    if let Some(end) = end {
                        shown[format!("{of}_not_after")] = end.as_str().into();
                    }
                }
                shown
            })
            .collect();
        let clients: Vec<_> = self.clients.iter().map(ClientFound::json).collect();
        json!({
            "ok": true,
            "tenants": tenants,
            "clients": clients,
            "platform": self.platform,
            "lan": self.lan,
            "callback": self.callback,
            "audit": self.audit,
            "events": self.events.iter().map(|(name, go)| json!({ "tenant": name, "go": go })).collect::<Vec<_>>(),
            "notices": self.notices,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, app_id, tokens) in &self.tenants {
            let tokens = tokens.iter().map(|(source, token, end)| {
                let end = end.as_ref().map_or_else(String::new, |end| format!(" (ends {end})"));
                match *source {
                    "token" => format!("token {token}{end}"),
                    source => format!("{source} token {token}{end}"),
                }
            });
            text += &format!(
                "tenant {name}: appId {app_id}, {}\n",
                tokens.collect::<Vec<_>>().join(", ")
            );
        }
        for (name, go) in &self.events {
            text += &format!("events of {name}: {go}\n");
        }
        text.extend(self.clients.iter().map(ClientFound::text));
        text += &format!("platform: {}\n", self.platform);
        text += &format!("audit: {}\n", self.audit);
        text += &format!("lan: {}\n", self.lan.join(", "));
        if !self.callback.is_empty() {
            text += &format!("callback: {}\n", self.callback.join(", "));
        }
        text.extend(self.notices.iter().map(|notice| format!("notice: {notice}\n")));
        text += "configuration is fine\n";
        text
    }
}

fn examine(arguments: &Arguments) -> Result<Found, Failure> {
    let loaded = arguments.source.load()?;
    let config: &Config = &loaded.config;
    let prepared = prepare::prepare(config)?;
    prepare::check_keys(config, audit::Needed::ToVerify)?;
    let tenants = prepared
        .snapshot
        .tenants
        .all()
        .iter()
        .zip(&config.tenants)
        .map(|(tenant, settings)| {
            let held = tenant.keyring.all().iter();
            let tokens = held.map(|held| {
                let end = token_end::of(settings, held.source).map(|end| end.as_str().to_owned());
                (held.source.as_str(), held.key.fingerprint().to_string(), end)
            });
            (tenant.name.as_str().to_owned(), tenant.app_id.clone(), tokens.collect())
        })
        .collect();
    Ok(Found {
        tenants,
        clients: config.clients.iter().map(ClientFound::new).collect(),
        notices: loaded.notices(),
        platform: config.platform.base_url.to_string(),
        events: events(config),
        audit: audit(config),
        lan: config.lan.listen.iter().map(ToString::to_string).collect(),
        callback: config
            .callback
            .iter()
            .flat_map(|callback| callback.listen.iter().map(ToString::to_string))
            .collect(),
    })
}

/// Where it is recorded who looked at whom.
fn audit(config: &Config) -> String {
    match &config.audit {
        None => "none; an [audit] table has it recorded who looked at which patient".to_owned(),
        Some(audit) if audit.retention_days == 0 => format!("{}, kept for ever", audit.path.display()),
        Some(audit) => format!("{}, kept {} days", audit.path.display(), audit.retention_days),
    }
}

/// Where each tenant's events go.
fn events(config: &Config) -> Vec<(String, String)> {
    let fetchers = config::fetchers(config);
    let go = |tenant: &config::Tenant| match &tenant.callback.target {
        Some(target) => format!("delivered to {target}"),
        None if config.clients.is_empty() => "fetched by programs on this machine".to_owned(),
        None => match fetchers.get(&*tenant.name) {
            None => "kept, and fetched by nobody".to_owned(),
            Some(clients) => format!("fetched by {}", clients.join(", ")),
        },
    };
    let listened = config.callback.iter().flat_map(|_| &config.tenants);
    listened.map(|tenant| (tenant.name.to_string(), go(tenant))).collect()
}
