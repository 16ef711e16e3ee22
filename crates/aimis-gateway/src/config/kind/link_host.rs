//! Hosts that links may lead to.

use std::fmt;
use std::path::Path;

use serde_json::json;

use super::{Kind, Refusal, Shape};
use crate::config::plain::Plain;
use crate::config::tree::Node;

/// A host, or every host below one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkHost {
    /// In lower case, without the `*.`.
    name: String,
    below: bool,
}

impl LinkHost {
    /// Whether `host`, in lower case, is meant. `*.example.com` means hosts below it and not itself.
    pub fn matches(&self, host: &str) -> bool {
        if !self.below {
            return host == self.name;
        }
        let parent = host.strip_suffix(self.name.as_str());
        parent.is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
    }
}

impl fmt::Display for LinkHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

/// A host that links may lead to.
pub(in crate::config) struct LinkHostKind;

/// A host that links may lead to.
pub(in crate::config) fn link_host() -> LinkHostKind {
    LinkHostKind
}

impl Kind for LinkHostKind {
    type Value = LinkHost;

    fn read(&self, node: &Node, _directory: &Path) -> Result<LinkHost, Refusal> {
        let wrong = || Refusal::not("a host without scheme and port, like pacs.qq.com or *.qq.com", node);
        let text = node.text().ok_or_else(wrong)?.to_ascii_lowercase();
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(wrong());
        }
        if below && !name.contains('.') {
            return Err(Refusal::new("is every host of a top-level domain"));
        }
        Ok(LinkHost {
            name: name.to_owned(),
            below,
        })
    }

    fn show(&self, value: &LinkHost) -> Plain {
        Plain::Text(value.to_string())
    }

    fn shape(&self) -> Shape {
        let schema = json!({"type": "string", "pattern": "^(\\*\\.)?[A-Za-z0-9.-]+$"});
        Shape::new(schema, "`\"pacs.qq.com\"`, `\"*.qq.com\"`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::Origin;
    use crate::config::tree::Value;

    fn read(text: &str) -> Result<LinkHost, String> {
        let node = Node::new(Value::Text(text.to_owned()), Origin::Default);
        link_host().read(&node, Path::new("")).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_host_means_itself_and_a_star_what_is_below() {
        let one = read("PACS.qq.com").unwrap();
        assert!(one.matches("pacs.qq.com"));
        assert!(!one.matches("a.pacs.qq.com") && !one.matches("xpacs.qq.com"));
        let below = read("*.qq.com").unwrap();
        assert!(below.matches("pacs.qq.com") && below.matches("a.b.qq.com"));
        assert!(!below.matches("qq.com") && !below.matches("evilqq.com") && !below.matches(".qq.com"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "https://pacs.qq.com",
            "pacs.qq.com:443",
            "",
            "*",
            "*.com",
            "a..b",
            "a/b",
            "*.*.qq.com",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
