//! `check`: is the configuration usable? Like `serve` up to the point where it would open a listener.

use serde_json::json;

use super::output::{self, Failure};
use super::sources::ConfigArguments;
use crate::prepare;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
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

struct Found {
    tenants: Vec<(String, String, String)>,
    platform: String,
    lan: Vec<String>,
}

impl Found {
    fn json(&self) -> serde_json::Value {
        let tenants: Vec<_> = self
            .tenants
            .iter()
            .map(|(name, app_id, token)| json!({ "name": name, "app_id": app_id, "token_fingerprint": token }))
            .collect();
        json!({ "ok": true, "tenants": tenants, "platform": self.platform, "lan": self.lan })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, app_id, token) in &self.tenants {
            text += &format!("tenant {name}: appId {app_id}, token {token}\n");
        }
        text += &format!("platform: {}\n", self.platform);
        text += &format!("lan: {}\n", self.lan.join(", "));
        text += "configuration is fine\n";
        text
    }
}

fn examine(arguments: &Arguments) -> Result<Found, Failure> {
    let loaded = arguments.source.load()?;
    let config = &loaded.config;
    let prepared = prepare::prepare(config)?;
    let tenants = prepared
        .snapshot
        .tenants
        .all()
        .iter()
        .zip(&prepared.fingerprints)
        .map(|(tenant, token)| {
            (
                tenant.name.as_str().to_owned(),
                tenant.app_id.clone(),
                token.to_string(),
            )
        })
        .collect();
    Ok(Found {
        tenants,
        platform: config.platform.base_url.to_string(),
        lan: config.lan.listen.iter().map(ToString::to_string).collect(),
    })
}
