//! Links in a callback: where they lead, and whether they may.
//!
//! What the gateway delivers comes from a system that the hospital trusts, so a link in it is believed. The signature
//! does not cover it. With `callback.link_hosts` set, every link has to lead to one of these hosts by https; what
//! cannot be read as such a link, in one way only, leads elsewhere.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use prometheus::IntGauge;
use serde_json::Value;

use super::decode::{Given, Members};
use crate::config::LinkHost;

/// Fields that hold a link or nothing.
const LINKS: [&str; 2] = ["h5Url", "h5DetailUrl"];

/// Hosts that are told apart where any is allowed.
const MOST_HOSTS: usize = 256;

/// Whether every link in `members` leads by https to one of `hosts`: the fields that are links, and every other text
/// that looks like one, however deep.
pub fn lead_only_to(members: &Members, hosts: &[LinkHost]) -> bool {
    let allowed = |link: &str| leads_to(link, hosts);
    members.iter().all(|member| {
        // Readers that know no case of letters take `H5URL` for the same field.
        let always = LINKS.iter().any(|link| link.eq_ignore_ascii_case(&member.name));
        match &member.value {
            Given::Text(text) if always => text.trim().is_empty() || allowed(text),
            Given::Text(text) => !looks_like_link(text) || allowed(text),
            Given::Json(json) => {
                let value: Value = serde_json::from_str(json).unwrap_or_default();
                (!always || value.is_null()) && all_texts(&value, &|text| !looks_like_link(text) || allowed(text))
            }
        }
    })
}

/// Whether a link leads by https to one of `hosts`.
pub fn leads_to(link: &str, hosts: &[LinkHost]) -> bool {
    host_of(link).is_some_and(|host| hosts.iter().any(|known| known.matches(&host)))
}

fn looks_like_link(text: &str) -> bool {
    text.contains("://") || text.trim_start().starts_with("//")
}

fn all_texts(value: &Value, good: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => good(text),
        Value::Array(list) => list.iter().all(|value| all_texts(value, good)),
        Value::Object(members) => members.iter().all(|(name, value)| good(name) && all_texts(value, good)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The host of an https link, in lower case. `None` for anything that two programs could read in two ways: other
/// schemes, users, backslashes, percent signs in the host, blanks, characters beyond ASCII.
fn host_of(link: &str) -> Option<String> {
    if !link.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return None;
    }
    let (scheme, rest) = link.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let good_port = port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()));
    let good = scheme.eq_ignore_ascii_case("https") && !host.is_empty() && host.bytes().all(name) && good_port;
    good.then(|| host.to_ascii_lowercase())
}

/// How many hosts links led to where any is allowed: more than expected is worth a look. Only their number leaves.
pub struct LinkHosts {
    seen: Mutex<HashSet<u64>>,
    hasher: RandomState,
    gauge: IntGauge,
}

impl LinkHosts {
    /// Shows the number in `gauge`.
    pub fn new(gauge: IntGauge) -> Self {
        Self {
            seen: Mutex::default(),
            hasher: RandomState::new(),
            gauge,
        }
    }

    /// Notes the hosts of a callback's links.
    pub fn note(&self, members: &Members) {
        for name in LINKS {
            let Some(Given::Text(link)) = members.get(name) else {
                continue;
            };
            let Some(host) = host_of(link) else { continue };
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.len() < MOST_HOSTS && seen.insert(self.hasher.hash_one(host)) {
                self.gauge.set(i64::try_from(seen.len()).unwrap_or(i64::MAX));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::decode;
    use serde_json::json;

    fn hosts() -> Vec<LinkHost> {
        let text = "[callback]\nlink_hosts = [\"pacs.qq.com\", \"*.example.com\"]\n\
                    [[tenants]]\nname = \"a\"\napp_id = \"1\"\ntoken_file = \"t\"\n";
        let loaded = crate::config::load(&crate::config::Sources::text("t.toml", text.to_owned())).unwrap();
        loaded.config.callback.unwrap().link_hosts.unwrap()
    }

    fn good(members: serde_json::Value) -> bool {
        let members = decode::read(members.to_string().as_bytes(), None).unwrap();
        lead_only_to(&members, &hosts())
    }

    #[test]
    fn a_link_leads_to_a_known_host_by_https_or_it_leads_elsewhere() {
        for link in [
            "",
            "https://pacs.qq.com",
            "HTTPS://PACS.qq.com:443/r?x=https://evil.example",
            "https://a.example.com/x",
        ] {
            assert!(good(json!({"h5Url": link, "h5DetailUrl": ""})), "{link}");
        }
        for link in [
            "http://pacs.qq.com/",
            "https://evil.example/",
            "https://pacs.qq.com@evil.example/",
            "https://pacs.qq.com:x@evil.example/",
            "https://evil.example\\@pacs.qq.com/",
            "https:\\\\pacs.qq.com",
            "//pacs.qq.com/",
            "https://pacs.qq.com.evil.example/",
            "https://example.com/",
            "https://pacs%2eqq.com/",
            "https://ｐacs.qq.com/",
            " https://pacs.qq.com/",
            "https://pacs.qq.com\n.evil.example/",
            "https://",
            "https://:443/",
            "javascript:alert(1)",
            "pacs.qq.com",
        ] {
            assert!(!good(json!({"h5DetailUrl": link})), "{link}");
        }
    }

    #[test]
    fn a_link_is_found_wherever_it_stands() {
        assert!(good(json!({"studyName": "CT: chest", "x": [1, null, {"y": "plain"}]})));
        assert!(good(json!({"more": "https://pacs.qq.com/x"})));
        for members in [
            json!({"studyName": "see https://evil.example/"}),
            json!({"more": {"deep": [{"link": "https://evil.example/"}]}}),
            json!({"more": {"https://evil.example/": 1}}),
            json!({"h5Url": 7}),
            json!({"H5URL": "https:evil.example"}),
            json!({"h5detailurl": "evil.example"}),
            json!({"h5Url": ["https://pacs.qq.com"]}),
        ] {
            assert!(!good(members.clone()), "{members}");
        }
    }

    #[test]
    fn the_number_of_hosts_is_bounded() {
        let gauge = IntGauge::new("hosts", "hosts").unwrap();
        let seen = LinkHosts::new(gauge.clone());
        for n in 0..2 * MOST_HOSTS {
            let body = json!({"h5Url": format!("https://h{n}.example/"), "h5DetailUrl": "https://h0.example/"});
            seen.note(&decode::read(body.to_string().as_bytes(), None).unwrap());
        }
        assert_eq!(usize::try_from(gauge.get()).unwrap(), MOST_HOSTS);
    }
}
