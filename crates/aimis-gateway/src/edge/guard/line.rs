//! The lines of a head, one at a time: pure checks of what stands in them.

use super::fault::HeadFault;

/// Longest target that `http::Uri` takes.
const MAX_TARGET: usize = 65_534;
/// Longest name of a header; the longest registered one has 41 characters.
const MAX_NAME: usize = 1024;

/// Headers with `-` that the gateway or hyper reads. A program before us that writes `_` for `-`, as CGI
/// does, would take `content_length` for one of them.
const OURS: &[&[u8]] = &[
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"content-encoding",
    b"accept-language",
    b"accept-encoding",
    b"cache-control",
    b"keep-alive",
    b"proxy-connection",
    b"x-request-id",
    b"x-api-key",
    b"x-forwarded-for",
    b"x-real-ip",
];

/// Trailers that would change how the request before them is read, or who sent it.
const NEVER_TRAILERS: &[&[u8]] = &[
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"content-encoding",
    b"host",
    b"connection",
    b"te",
    b"trailer",
    b"upgrade",
    b"expect",
    b"authorization",
    b"cookie",
    b"cache-control",
    b"x-request-id",
    b"x-api-key",
];

/// What the first line says, as far as the framing needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) http_1_0: bool,
    pub(super) post: bool,
}

/// A header that the framing needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Host,
    Length(u64),
    Chunked,
    OtherCoding,
    OtherExpect,
    Other,
}

/// Refuses control characters: tab may stand in a header's value, nothing else anywhere.
pub(super) fn no_control(line: &[u8]) -> Result<(), HeadFault> {
    // Without an early end the compiler does 16 bytes at a time.
    let bad = line
        .iter()
        .fold(false, |bad, b| bad | ((*b < 0x20) & (*b != b'\t')) | (*b == 0x7f));
    if bad { Err(HeadFault::ControlCharacter) } else { Ok(()) }
}

/// Whether the bytes behind a body begin no request: where its method would stand is something other than capital
/// letters. Line ends and NUL do not count, which some clients send behind a body.
pub(super) fn is_surplus(behind: &[u8]) -> bool {
    let method = behind.split(|b| *b == b' ').next().unwrap_or_default();
    match behind {
        [] | [b'\r' | b'\n' | 0, ..] => false,
        [b' ', ..] => true,
        _ => !method.iter().all(|b| b.is_ascii_uppercase() || *b == b'-'),
    }
}

/// Reads the first line, without its end.
pub(super) fn request_line(line: &[u8]) -> Result<RequestLine, HeadFault> {
    let mut parts = line.split(|b| *b == b' ');
    let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (Some(version), None) = (parts.next(), parts.next()) else {
        return Err(HeadFault::RequestLine);
    };
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) || line.contains(&b'\t') {
        return Err(HeadFault::RequestLine);
    }
    let http_1_0 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(HeadFault::Version),
        _ => return Err(HeadFault::RequestLine),
    };
    check_target(method, target)?;
    Ok(RequestLine {
        http_1_0,
        post: method == b"POST",
    })
}

fn check_target(method: &[u8], target: &[u8]) -> Result<(), HeadFault> {
    let absolute = || memchr::memmem::find(target, b"://").is_some();
    if method == b"CONNECT" || (target.first().is_some_and(u8::is_ascii_alphabetic) && absolute()) {
        return Err(HeadFault::NotAProxy);
    }
    check_path(target)
}

/// Path and query, as they stand in a request's first line.
pub(in crate::edge) fn check_path(target: &[u8]) -> Result<(), HeadFault> {
    if target.first() != Some(&b'/') || !target.iter().all(|b| is_target(*b)) {
        return Err(HeadFault::Target);
    }
    if target.len() > MAX_TARGET {
        return Err(HeadFault::TooLarge);
    }
    Ok(())
}

/// Reads a header line, without its end.
pub(super) fn header(line: &[u8]) -> Result<Header, HeadFault> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HeadFault::Folded);
    }
    let colon = memchr::memchr(b':', line).ok_or(HeadFault::HeaderName)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    check_name(name)?;
    Ok(match name.len() {
        4 if name.eq_ignore_ascii_case(b"host") => {
            check_host(value)?;
            Header::Host
        }
        6 if name.eq_ignore_ascii_case(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") => {
            Header::OtherExpect
        }
        14 if name.eq_ignore_ascii_case(b"content-length") => Header::Length(length(value)?),
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
            if value.eq_ignore_ascii_case(b"chunked") {
                Header::Chunked
            } else {
                Header::OtherCoding
            }
        }
        _ => Header::Other,
    })
}

/// Checks a trailer line, without its end.
pub(super) fn trailer(name: &[u8]) -> Result<(), HeadFault> {
    check_name(name)?;
    if NEVER_TRAILERS.iter().any(|never| name.eq_ignore_ascii_case(never)) {
        return Err(HeadFault::Trailer);
    }
    Ok(())
}

/// A token (RFC 9110, section 5.6.2) that cannot be taken for one of our names.
pub(in crate::edge) fn check_name(name: &[u8]) -> Result<(), HeadFault> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(HeadFault::HeaderName);
    }
    let (mut token, mut underscore) = (true, false);
    for byte in name {
        token &= is_token(*byte);
        underscore |= *byte == b'_';
    }
    if !token {
        return Err(HeadFault::HeaderName);
    }
    let dashed = |ours: &[u8]| {
        let same = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (*a == b'_' && *b == b'-');
        name.len() == ours.len() && name.iter().zip(ours).all(same)
    };
    if underscore && OURS.iter().any(|ours| dashed(ours)) {
        return Err(HeadFault::Underscore);
    }
    Ok(())
}

/// A name, an IPv4 or a bracketed IPv6 address, and perhaps a port.
pub(in crate::edge) fn check_host(value: &[u8]) -> Result<(), HeadFault> {
    let (host, port) = match value {
        [b'[', inside @ ..] => {
            let end = memchr::memchr(b']', inside).ok_or(HeadFault::Host)?;
            let (address, rest) = (&inside[..end], &inside[end + 1..]);
            if !address
                .iter()
                .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
            {
                return Err(HeadFault::Host);
            }
            (address, rest)
        }
        _ => {
            let end = memchr::memchr(b':', value).unwrap_or(value.len());
            let (name, rest) = value.split_at(end);
            let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~');
            if !name.iter().all(plain) {
                return Err(HeadFault::Host);
            }
            (name, rest)
        }
    };
    let port_is_number = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if host.is_empty() || !port_is_number {
        return Err(HeadFault::Host);
    }
    Ok(())
}

/// Digits only, and few enough for any number of bytes there can be.
pub(in crate::edge) fn length(value: &[u8]) -> Result<u64, HeadFault> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadFault::Length);
    }
    Ok(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// A character of a token.
pub(super) const fn is_token(byte: u8) -> bool {
    CLASS[byte as usize] & TOKEN != 0
}

/// A character of a path or query. Those that `http::Uri` would refuse are refused here, so that hyper never
/// has to; bytes beyond ASCII as well, since a path that means something has none.
const fn is_target(byte: u8) -> bool {
    CLASS[byte as usize] & TARGET != 0
}

const TOKEN: u8 = 1;
const TARGET: u8 = 2;

/// What each byte may be part of.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        let b = byte as u8;
        if b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            )
        {
            class[byte] |= TOKEN;
        }
        if !matches!(b, b'#' | b'<' | b'>' | b'`' | b'"' | b'\\' | b'^') {
            class[byte] |= TARGET;
        }
        byte += 1;
    }
    class
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_for_a_target_is_one_for_http_uri_too() {
        for byte in 0..=255_u8 {
            for target in [[b'/', byte, b'x', b'y'], [b'/', b'?', byte, b'x']] {
                if check_target(b"POST", &target).is_ok() {
                    let uri: Result<http::Uri, _> = target.as_slice().try_into();
                    assert_eq!(uri.unwrap().to_string().as_bytes(), target, "{byte:#x}");
                }
            }
        }
    }

    #[test]
    fn what_is_taken_for_a_name_is_one_for_http_too() {
        for byte in 0..=255_u8 {
            let name = [b'x', byte, b'y'];
            assert_eq!(is_token(byte), http::HeaderName::from_bytes(&name).is_ok(), "{byte:#x}");
            assert_eq!(is_token(byte), http::Method::from_bytes(&name).is_ok(), "{byte:#x}");
        }
    }

    #[test]
    fn request_lines() {
        let old = RequestLine {
            http_1_0: true,
            post: false,
        };
        assert_eq!(request_line(b"GET / HTTP/1.0"), Ok(old));
        assert!(request_line(b"POST /a?b=%20|{} HTTP/1.1").unwrap().post);
        for (line, fault) in [
            (&b"GET /"[..], HeadFault::RequestLine),
            (b"GET  / HTTP/1.1", HeadFault::RequestLine),
            (b"GET / HTTP/1.1 ", HeadFault::RequestLine),
            (b"GET /\tHTTP/1.1", HeadFault::RequestLine),
            (b" GET / HTTP/1.1", HeadFault::RequestLine),
            (b"GET / http/1.1", HeadFault::RequestLine),
            (b"GET / HTTP/1.10", HeadFault::RequestLine),
            (b"G(T / HTTP/1.1", HeadFault::RequestLine),
            (b"GET / HTTP/1.2", HeadFault::Version),
            (b"PRI * HTTP/2.0", HeadFault::Version),
            (b"GET * HTTP/1.1", HeadFault::Target),
            (b"GET /a#b HTTP/1.1", HeadFault::Target),
            (b"GET /\xe4 HTTP/1.1", HeadFault::Target),
            (b"GET http://a/ HTTP/1.1", HeadFault::NotAProxy),
            (b"CONNECT a:443 HTTP/1.1", HeadFault::NotAProxy),
        ] {
            assert_eq!(request_line(line), Err(fault), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn header_lines() {
        assert_eq!(header(b"Host:[::1]:80"), Ok(Header::Host));
        assert_eq!(header(b"content-LENGTH: \t42 "), Ok(Header::Length(42)));
        assert_eq!(header(b"Transfer-Encoding: Chunked"), Ok(Header::Chunked));
        assert_eq!(header(b"Transfer-Encoding: x"), Ok(Header::OtherCoding));
        assert_eq!(header(b"Expect: 100-Continue"), Ok(Header::Other));
        assert_eq!(header(b"Expect: 200-ok"), Ok(Header::OtherExpect));
        assert_eq!(header(b"patient_name:"), Ok(Header::Other));
        for (line, fault) in [
            (&b" folded"[..], HeadFault::Folded),
            (b"no colon", HeadFault::HeaderName),
            (b": x", HeadFault::HeaderName),
            (b"Host : a", HeadFault::HeaderName),
            (b"X(Y: a", HeadFault::HeaderName),
            (b"Content_Length: 1", HeadFault::Underscore),
            (b"x_request-ID: 1", HeadFault::Underscore),
            (b"Host: ", HeadFault::Host),
            (b"Host: a@b", HeadFault::Host),
            (b"Host: a/b", HeadFault::Host),
            (b"Host: a, b", HeadFault::Host),
            (b"Host: a:b", HeadFault::Host),
            (b"Host: :80", HeadFault::Host),
            (b"Host: [::1", HeadFault::Host),
            (b"Host: [::1]x", HeadFault::Host),
            (b"Content-Length:", HeadFault::Length),
            (b"Content-Length: +1", HeadFault::Length),
            (b"Content-Length: 1, 1", HeadFault::Length),
            (b"Content-Length: 0x1", HeadFault::Length),
            (b"Content-Length: 99999999999999999999", HeadFault::Length),
        ] {
            assert_eq!(header(line), Err(fault), "{}", line.escape_ascii());
        }
    }
}
