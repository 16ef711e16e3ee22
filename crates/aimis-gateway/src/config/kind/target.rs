//! Where events are delivered to: a whole URL, path included.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::url::{BaseUrl, origin_of};
use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A URL that events are posted to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetUrl {
    /// Scheme, host and port.
    pub origin: BaseUrl,
    /// Path and query as they are sent; begins with a slash.
    pub path: Arc<str>,
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// A URL that something is posted to.
pub(in crate::config) struct Target {
    example: &'static str,
    /// Where a key for it belongs.
    key: &'static str,
}

/// `https://host/path`, `http://host:port/path?query`.
pub(in crate::config) fn target_url() -> Target {
    Target {
        example: "https://his.hospital.example/imaging-events",
        key: "a key for the HIS belongs into target_bearer_file",
    }
}

/// The same, of a collector of traces.
pub(in crate::config) fn collector_url() -> Target {
    Target {
        example: "http://127.0.0.1:4318/v1/traces",
        key: "a key for the collector belongs into headers_file",
    }
}

impl Kind for Target {
    type Value = TargetUrl;

    fn read(&self, node: &Node, _directory: &Path) -> Result<TargetUrl, Refusal> {
        let wrong = || Refusal::not(&format!("a URL, like {}", self.example), node);
        let text = node.text().ok_or_else(wrong)?;
        if text.contains('@') {
            return Err(Refusal::hidden(format!("has a user or password in it; {}", self.key)));
        }
        if text.contains('#') {
            return Err(Refusal::new("has a fragment (#), which is never sent"));
        }
        let origin = match origin_of(text).ok_or_else(wrong)? {
            Ok(origin) | Err(origin) => origin,
        };
        let behind = text.find("://").map_or(0, |at| at + 3);
        let path = text[behind..].find(['/', '?']).map_or("", |at| &text[behind + at..]);
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || http::uri::PathAndQuery::try_from(path.as_str()).is_err() {
            let reason = "has a character in its path that a URL cannot have; write it as %XX";
            return Err(Refusal::new(reason));
        }
        Ok(TargetUrl {
            origin,
            path: path.into(),
        })
    }

    fn show(&self, value: &TargetUrl) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+([/?][^#@\\s]*)?$"});
        Shape::new(schema, "`\"https://host/path\"`, `\"http://host:port/path\"`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    fn read(text: &str) -> Result<String, String> {
        let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
        let read = target_url().read(&node, Path::new(""));
        read.map(|target| target.to_string()).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_target_keeps_its_path_and_query() {
        for (text, kept) in [
            (
                "https://his.example/imaging-events",
                "https://his.example/imaging-events",
            ),
            ("HTTP://HIS:8090/a/b?c=d&e", "http://his:8090/a/b?c=d&e"),
            ("http://10.0.0.5", "http://10.0.0.5/"),
            ("http://10.0.0.5?x=1", "http://10.0.0.5/?x=1"),
            ("http://[FD00::1]:81/%E6%A3%80", "http://[fd00::1]:81/%E6%A3%80"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(kept), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_posted_to_is_refused_with_what_to_write() {
        for (text, reason) in [
            ("his.example/events", "is not a URL"),
            ("ftp://his/events", "is not a URL"),
            ("https://", "is not a URL"),
            ("https://user:secret@his/events", "target_bearer_file"),
            ("https://his/events#top", "fragment"),
            ("https://his/检查", "%XX"),
            ("https://his/a b", "%XX"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }
}
