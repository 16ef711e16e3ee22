//! Step 1: the configuration, and the files it names that are no token.

use super::finding::Findings;
use crate::audit;
use crate::config::{Config, ConfigError, Loaded};
use crate::prepare::{self, PrepareError, WayOut};

/// Reads it; `None` if nothing else can be looked at.
pub(super) fn examine(
    read: impl FnOnce() -> Result<Loaded, ConfigError>,
    findings: &mut Findings,
) -> Option<(Config, WayOut)> {
    let loaded = match read() {
        Ok(loaded) => loaded,
        Err(ConfigError { problems }) => {
            for problem in problems {
                let fix = match (&*problem.key, &problem.origin) {
                    ("", None) => "Name a configuration file that this user can read, then run doctor again.",
                    ("", Some(_)) => "Correct this line, then run doctor again.",
                    _ => "Correct this key, then run doctor again.",
                };
                findings.fail(None, problem.to_string(), fix);
            }
            return None;
        }
    };
    let notices = loaded.notices();
    let mut config = loaded.config;
    // One question at a time is asked: HTTP/1.1 will do, and every platform speaks it.
    config.platform.http2 = false;
    let out = match files(&config) {
        Ok(out) => out,
        Err(error) => {
            findings.fail(
                None,
                error.to_string(),
                "Correct this file or the key that names it, then run doctor again.",
            );
            return None;
        }
    };
    let counts = [("tenant", config.tenants.len()), ("client", config.clients.len())];
    let [tenants, clients] = counts.map(|(what, count)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
    findings.ok(
        None,
        format!("{tenants}, {clients}, platform {}", config.platform.base_url),
    );
    for notice in notices {
        findings.warn(None, notice, "Change the keys that this names, or accept it knowingly.");
    }
    Some((config, out))
}

/// Everything that `serve` reads beside tokens.
fn files(config: &Config) -> Result<WayOut, PrepareError> {
    let out = prepare::way_out(config)?;
    prepare::tag_key(config)?;
    prepare::lan_tls(&config.lan)?;
    if let Some(audit) = &config.audit {
        audit::check_keys(audit, audit::Needed::ToVerify)?;
    }
    Ok(out)
}
