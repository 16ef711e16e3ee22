//! Origins of web pages (RFC 6454), as browsers write them into `Origin`.

use std::fmt;
use std::path::Path;

use serde_json::json;

use super::url::{BaseUrl, origin_of};
use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// Where a web page comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PageOrigin {
    /// From anywhere: `*`.
    Any,
    /// From a server: scheme, host, and the port where it is not the scheme's own.
    Server(BaseUrl),
}

impl fmt::Display for PageOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Server(server) => write!(f, "{server}"),
        }
    }
}

/// The origin of a web page.
pub(in crate::config) struct PageOriginKind;

/// `https://host`, `http://host:port`, or `*`.
pub(in crate::config) fn page_origin() -> PageOriginKind {
    PageOriginKind
}

impl Kind for PageOriginKind {
    type Value = PageOrigin;

    fn read(&self, node: &Node, _directory: &Path) -> Result<PageOrigin, Refusal> {
        let wrong = || Refusal::not("an origin, like https://his.hospital.example", node);
        let text = node.text().ok_or_else(wrong)?;
        match text {
            "*" => return Ok(PageOrigin::Any),
            "null" => {
                return Err(Refusal::new(
                    "is what files and sandboxed pages call themselves, whoever made them; serve the page by HTTP",
                ));
            }
            _ => {}
        }
        let server = origin_of(text).ok_or_else(wrong)?;
        match server {
            Ok(server) => Ok(PageOrigin::Server(server)),
            Err(bare) => Err(Refusal::new(format!(
                "is not an origin, which ends with its host or port: did you mean {bare}?"
            ))),
        }
    }

    fn show(&self, value: &PageOrigin) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^(\\*|[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\\s]+)$"});
        Shape::new(schema, "`\"https://host\"`, `\"http://host:port\"`, `\"*\"`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    fn read(text: &str) -> Result<String, String> {
        let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
        let read = page_origin().read(&node, Path::new(""));
        read.map(|origin| origin.to_string()).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        for (text, kept) in [
            ("*", "*"),
            ("https://his.hospital.example", "https://his.hospital.example"),
            ("HTTP://HIS:8080", "http://his:8080"),
            ("https://his:443", "https://his"),
            ("http://10.0.0.5:80", "http://10.0.0.5"),
            ("http://[FD00::1]:81", "http://[fd00::1]:81"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(kept), "{text}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for text in [
            "his.hospital.example",
            "file:///his",
            "ftp://his",
            "https://",
            "https://u@his",
            "https://*.his",
            "",
        ] {
            assert!(read(text).unwrap_err().starts_with("is not an origin, like"), "{text}");
        }
        for text in ["https://his/", "https://his/page", "https://his?x", "https://his#x"] {
            assert!(read(text).unwrap_err().ends_with("did you mean https://his?"), "{text}");
        }
        assert!(read("null").unwrap_err().contains("sandboxed"));
    }
}
