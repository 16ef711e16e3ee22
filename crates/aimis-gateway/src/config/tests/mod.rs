//! Promises of the configuration.

mod combinations;
mod complaints;
mod files;
mod properties;
mod secrecy;
mod sources;
mod traces;

use super::{Config, ConfigError, Content, Loaded, Setting, Sources, load};

/// A tenant, so that the rest of a text is what a test is about. Three lines of TOML.
const TENANT: &str = "[[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n";

/// The configuration of a TOML text with one tenant behind it.
fn with_tenant(text: &str) -> Result<Loaded, ConfigError> {
    load(&Sources::text("gateway.toml", format!("{text}\n{TENANT}")))
}

/// The configuration of a TOML text with one tenant behind it, which is good.
fn config(text: &str) -> Config {
    with_tenant(text).unwrap().config
}

/// The complaints about `sources`, one a line.
fn complaints(sources: &Sources) -> String {
    load(sources)
        .expect_err("the configuration should be refused")
        .to_string()
}

/// The origin of a key in full.
fn origin(loaded: &Loaded, key: &str) -> String {
    fn find(settings: &[Setting], path: &[&str]) -> Option<String> {
        let (first, rest) = path.split_first()?;
        match &settings.iter().find(|setting| setting.key == *first)?.content {
            Content::Value { origin, .. } => Some(origin.to_string()),
            Content::Table(settings) => find(settings, rest),
            Content::Tables(entries) => find(entries.get(rest.first()?.parse::<usize>().ok()?)?, &rest[1..]),
        }
    }
    find(loaded.settings(), &key.split('.').collect::<Vec<_>>()).expect("a known key")
}
