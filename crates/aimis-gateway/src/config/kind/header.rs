//! Names of headers of a request.

use std::path::Path;

use http::HeaderName;
use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// The name of a header. Case does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderKey {
    /// As it is compared.
    pub name: HeaderName,
    written: String,
}

/// Headers that have a meaning already; the value of some is a secret.
const TAKEN: [&str; 15] = [
    "accept",
    "appid",
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "idempotency-key",
    "proxy-authorization",
    "signature",
    "timestamp",
    "traceparent",
    "transfer-encoding",
    "x-api-key",
    "x-request-id",
];

/// The name of a header.
pub(in crate::config) struct Header;

/// The name of a header that has no other meaning.
pub(in crate::config) fn header() -> Header {
    Header
}

impl Kind for Header {
    type Value = HeaderKey;

    fn read(&self, node: &Node, _directory: &Path) -> Result<HeaderKey, Refusal> {
        let wrong = || Refusal::not("the name of a header, like X-Operator-Id", node);
        let text = node.text().ok_or_else(wrong)?;
        let name = HeaderName::try_from(text).map_err(|_| wrong())?;
        if text.len() > 64 {
            return Err(wrong());
        }
        if TAKEN.contains(&name.as_str()) {
            return Err(Refusal::new("has another meaning already; choose a header of its own"));
        }
        Ok(HeaderKey {
            name,
            written: text.to_owned(),
        })
    }

    fn show(&self, value: &HeaderKey) -> Plain {
        Plain::Text(value.written.clone())
    }

    fn shape(&self) -> Shape {
        let schema =
            json!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"});
        Shape::new(schema, "the name of a header")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    #[test]
    fn a_header_with_another_meaning_is_refused() {
        let read = |text: &str| {
            let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
            header().read(&node, Path::new("")).map_err(|refusal| refusal.reason)
        };
        assert_eq!(read("X-Doctor").unwrap().name, "x-doctor");
        for text in ["Authorization", "x-api-key", "APPID", "", "a b", "a:b", "头"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
