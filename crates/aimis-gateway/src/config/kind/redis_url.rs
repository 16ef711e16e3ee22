//! Where Redis or Valkey is.

use std::fmt;
use std::path::Path;

use serde_json::json;

use super::url::{HostPort, authority};
use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A server of Redis, Valkey or Sentinel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedisUrl {
    /// `rediss`: TLS; otherwise `redis`.
    pub tls: bool,
    /// Host and port; 6379 if the URL names none.
    pub peer: HostPort,
    /// Number of the database; 0 if the URL names none.
    pub database: u16,
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}", self.peer)?;
        match self.database {
            0 => Ok(()),
            database => write!(f, "/{database}"),
        }
    }
}

/// A server of Redis, Valkey or Sentinel.
pub(in crate::config) struct RedisUrlKind;

/// `redis://host:port`, `rediss://host:port/database`.
pub(in crate::config) fn redis_url() -> RedisUrlKind {
    RedisUrlKind
}

const PORT: u16 = 6379;
/// The largest number of a database that is taken; servers have 16 unless they are told otherwise.
const LAST_DATABASE: u16 = 1_000;

impl Kind for RedisUrlKind {
    type Value = RedisUrl;

    fn read(&self, node: &Node, _directory: &Path) -> Result<RedisUrl, Refusal> {
        let wrong = || {
            Refusal::not(
                "the URL of a Redis, like redis://10.0.0.9:6379 or rediss://redis.hospital:6380",
                node,
            )
        };
        let text = node.text().ok_or_else(wrong)?;
        if text.contains('@') {
            let reason = "has a user or password in it; they belong into `user` and `password_file`";
            return Err(Refusal::hidden(reason));
        }
        if text.contains(['?', '#']) {
            return Err(Refusal::hidden(
                "has a query or fragment; what it says has keys of its own here",
            ));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(wrong()),
        };
        let (rest, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database {
            "" => 0,
            number => number
                .parse()
                .ok()
                .filter(|number| *number <= LAST_DATABASE)
                .ok_or_else(|| Refusal::new("has something other than the number of a database behind its slash"))?,
        };
        let (host, port) = authority(rest).ok_or_else(wrong)?;
        let port = port.unwrap_or(PORT);
        Ok(RedisUrl {
            tls,
            peer: HostPort { host, port },
            database,
        })
    }

    fn show(&self, value: &RedisUrl) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^[Rr][Ee][Dd][Ii][Ss][Ss]?://[^/?#@\\s]+(/[0-9]*)?$"});
        Shape::new(
            schema,
            "`\"redis://host:port\"`, `\"rediss://host:port\"`, also with `/database`",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    fn read(text: &str) -> Result<String, Refusal> {
        let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
        redis_url().read(&node, Path::new("")).map(|url| url.to_string())
    }

    #[test]
    fn a_url_is_scheme_host_port_and_database() {
        for (text, kept) in [
            ("redis://Redis.Hospital.lan", "redis://redis.hospital.lan:6379"),
            ("rediss://10.0.0.9:6380/", "rediss://10.0.0.9:6380"),
            ("REDIS://[fd00::1]:7000/3", "redis://[fd00::1]:7000/3"),
        ] {
            assert_eq!(read(text).ok().as_deref(), Some(kept), "{text}");
        }
        for text in [
            "10.0.0.9:6379",
            "http://10.0.0.9",
            "redis://",
            "redis://a/b",
            "redis://a/9999",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_it_is_refused_unseen_with_where_it_belongs() {
        for text in ["redis://:geheim@10.0.0.9", "redis://10.0.0.9?password=geheim"] {
            let refusal = read(text).expect_err("refused");
            assert!(refusal.hidden, "{text}");
        }
        assert!(
            read("rediss://u:geheim@h")
                .expect_err("refused")
                .reason
                .contains("password_file")
        );
    }
}
