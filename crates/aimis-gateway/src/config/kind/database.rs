//! The address of a PostgreSQL database.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::json;
use tokio_postgres::config::Host;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// `postgres://user@host:port/database`, several hosts with commas between them; never with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    text: Arc<str>,
    /// What the driver reads: without `sslmode`, which means something weaker there.
    bare: Arc<str>,
    tls: bool,
    local: bool,
}

impl DatabaseUrl {
    /// Whether the connection is TLS, with certificate and name verified; else it is in the clear (`sslmode=disable`).
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Whether every host is this machine.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// For the driver: hosts, ports, user, database.
    pub(crate) fn connection(&self) -> tokio_postgres::Config {
        tokio_postgres::Config::from_str(&self.bare).expect("it was read before")
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// Why it is none; never with a part of it, since what is wrong may be a password.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(rest) = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
        else {
            return Err("is not a URL that begins with postgres://");
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        if user.is_some_and(|user| user.contains(':')) || rest.contains("password") {
            return Err("has a password in it; it belongs into the file that `database_password_file` names");
        }
        let (bare, query) = text.split_once('?').unwrap_or((text, ""));
        let mut tls = true;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            tls = match parameter {
                "sslmode=verify-full" => true,
                "sslmode=disable" => false,
                _ if parameter.starts_with("sslmode=") => {
                    return Err(
                        "has an sslmode that does not make sure who answers: verify-full, which is the default, or disable",
                    );
                }
                _ => return Err("has a parameter other than sslmode; time-outs and files have keys of their own"),
            };
        }
        let config = tokio_postgres::Config::from_str(bare)
            .map_err(|_| "is not of the form postgres://user@host:port/database")?;
        if config.get_password().is_some() {
            return Err("has a password in it; it belongs into the file that `database_password_file` names");
        }
        if config.get_hosts().is_empty() || config.get_user().is_none() || config.get_dbname().is_none() {
            return Err("does not name host, user and database: postgres://user@host:port/database");
        }
        let local = config.get_hosts().iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        });
        Ok(Self {
            text: text.into(),
            bare: bare.into(),
            tls,
            local,
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The kind of such values.
pub(in crate::config) struct DatabaseKind;

/// `postgres://user@host:port/database`.
pub(in crate::config) fn database_url() -> DatabaseKind {
    DatabaseKind
}

impl Kind for DatabaseKind {
    type Value = DatabaseUrl;

    fn read(&self, node: &Node, _: &Path) -> Result<DatabaseUrl, Refusal> {
        let text = node
            .text()
            .ok_or_else(|| Refusal::hidden("is not the URL of a database"))?;
        DatabaseUrl::parse(text).map_err(Refusal::hidden)
    }

    fn show(&self, value: &DatabaseUrl) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^postgres(ql)?://[^:@/?\\s]+@[^@\\s]+$"});
        Shape::new(schema, "`\"postgres://user@host:port/database\"`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_hosts_user_and_database_and_nothing_secret() {
        for (good, tls, local) in [
            ("postgres://aimis@db.hospital/aimis", true, false),
            (
                "postgresql://aimis@db1:5432,db2:5433/aimis?sslmode=verify-full",
                true,
                false,
            ),
            ("postgres://aimis@127.0.0.1:5432/aimis?sslmode=disable", false, true),
            (
                "postgres://aimis@%2Frun%2Fpostgresql/aimis?sslmode=disable",
                false,
                true,
            ),
        ] {
            let url = DatabaseUrl::parse(good).unwrap();
            assert_eq!(
                (url.tls(), url.is_local(), url.to_string()),
                (tls, local, good.to_owned())
            );
        }
        for (wrong, why) in [
            ("postgres://aimis:geheim@db/aimis", "password"),
            ("postgres://aimis@db/aimis?password=geheim", "password"),
            ("postgres://aimis@db/aimis?sslmode=require", "sslmode"),
            ("postgres://aimis@db/aimis?options=-cfsync%3Doff", "parameter"),
            ("postgres://db/aimis", "user"),
            ("postgres://aimis@db", "database"),
            ("mysql://aimis@db/aimis", "postgres://"),
        ] {
            let refusal = DatabaseUrl::parse(wrong).unwrap_err();
            assert!(
                refusal.contains(why) && !refusal.contains("geheim"),
                "{wrong}: {refusal}"
            );
        }
    }
}
