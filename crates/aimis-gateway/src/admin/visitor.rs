//! Tells programs of this machine from web pages that a user of it has open.
//!
//! A page's own name can be made to lead to a loopback address (DNS rebinding); then its browser takes our answers for
//! the page's own, and sends no `Origin` with a GET. But it still sends the page's name as `Host`, and no page's name
//! is a loopback address or `localhost`.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, StatusCode};

use super::Refusal;

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A loopback address.
    Tcp,
    /// A unix socket, which no web page reaches.
    Unix,
}

/// Refuses what a web page could have sent.
pub(super) fn admit(head: &Parts, door: Door) -> Result<(), Refusal> {
    if door == Door::Tcp && !(named_well(&head.headers) && head.uri.authority().is_none_or(is_this_machine)) {
        return Err(Refusal(
            StatusCode::MISDIRECTED_REQUEST,
            "ask by a loopback address (127.0.0.1, [::1]) or localhost; by another name web pages could ask here",
        ));
    }
    let from_elsewhere = |site: &http::HeaderValue| !matches!(site.as_bytes(), b"none" | b"same-origin");
    if head.headers.contains_key(ORIGIN) || head.headers.get_all("sec-fetch-site").iter().any(from_elsewhere) {
        return Err(Refusal(StatusCode::FORBIDDEN, "web pages may not ask here"));
    }
    Ok(())
}

/// Whether there is exactly one `Host`, and it is this machine's.
fn named_well(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    Authority::try_from(host.as_bytes()).is_ok_and(|host| is_this_machine(&host))
}

/// A literal loopback address or `localhost`, with any port.
fn is_this_machine(authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = literal.unwrap_or(host).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn admitted(door: Door, uri: &str, headers: &[(&str, &str)]) -> Result<(), u16> {
        let request = headers
            .iter()
            .fold(Request::builder().uri(uri), |request, (name, value)| {
                request.header(*name, *value)
            });
        let (head, ()) = request.body(()).unwrap().into_parts();
        admit(&head, door).map_err(|Refusal(status, _)| status.as_u16())
    }

    #[test]
    fn only_names_that_no_web_page_can_have_are_taken() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9465",
            "127.1.2.3:1",
            "localhost",
            "LocalHost:80",
            "[::1]",
            "[::1]:9465",
            "[::ffff:127.0.0.1]:9465",
        ] {
            assert_eq!(admitted(Door::Tcp, "/", &[("Host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9465",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "2130706433",
            "",
            "localhost,evil.example",
        ] {
            assert_eq!(admitted(Door::Tcp, "/", &[("Host", host)]), Err(421), "{host}");
            assert_eq!(admitted(Door::Unix, "/", &[("Host", host)]), Ok(()), "{host}");
        }
        assert_eq!(admitted(Door::Tcp, "/", &[]), Err(421));
        let twice = [("Host", "localhost"), ("Host", "evil.example")];
        assert_eq!(admitted(Door::Tcp, "/", &twice), Err(421));
        assert_eq!(admitted(Door::Tcp, "http://evil.example/", &twice[..1]), Err(421));
    }

    #[test]
    fn what_a_browser_says_of_another_page_is_refused() {
        let with = |name, value| admitted(Door::Unix, "/", &[("Host", "localhost"), (name, value)]);
        assert_eq!(with("Origin", "http://localhost"), Err(403));
        for (site, admitted) in [
            ("none", Ok(())),
            ("same-origin", Ok(())),
            ("same-site", Err(403)),
            ("cross-site", Err(403)),
            ("", Err(403)),
        ] {
            assert_eq!(with("Sec-Fetch-Site", site), admitted, "{site}");
        }
    }
}
