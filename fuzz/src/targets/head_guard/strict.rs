//! A second reading of HTTP/1, from the specification and not from the guard: whole heads, split into lines, with
//! everything refused that RFC 9112 calls an error or leaves to the reader.

use aimis_gateway::edge::guard::wire::HeadBounds;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
}

/// What was found.
pub(super) struct Read {
    /// Whole ones.
    pub(super) requests: usize,
    pub(super) stop: Stop,
}

/// Where the bytes ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// Behind a whole request, or at the very beginning.
    Between,
    /// In a head.
    Head,
    /// In a body.
    Body(Framing),
    /// Where the rules are broken.
    Wrong(&'static str),
}

/// Reads requests until the bytes end.
pub(super) fn read(mut bytes: &[u8], bounds: HeadBounds) -> Read {
    let mut requests = 0;
    loop {
        let stopped = |stop| Read { requests, stop };
        if bytes.is_empty() {
            return stopped(Stop::Between);
        }
        let (head, after) = match split_head(bytes) {
            Some(split) => split,
            None => return stopped(Stop::Head),
        };
        if bytes.len() - after.len() > bounds.bytes {
            return stopped(Stop::Wrong("a head larger than allowed"));
        }
        let framing = match read_head(head, bounds) {
            Ok(framing) => framing,
            Err(why) => return stopped(Stop::Wrong(why)),
        };
        let body = match framing {
            Framing::Length(length) => Ok(after.get(length..)),
            Framing::Chunked => chunked(after),
        };
        bytes = match body {
            Ok(Some(rest)) => rest,
            Ok(None) => return stopped(Stop::Body(framing)),
            Err(why) => return stopped(Stop::Wrong(why)),
        };
        requests += 1;
    }
}

/// Whether `bytes` begin with a head in which there is nothing to object to, in the plainest of forms.
pub(super) fn plain_head(bytes: &[u8], bounds: HeadBounds) -> bool {
    let Some((head, after)) = split_head(bytes) else {
        return false;
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/: -.\r\n".contains(byte);
    bytes.len() - after.len() <= bounds.bytes
        && head.iter().all(plain)
        && !has(head, b"://")
        && !has(&head.to_ascii_lowercase(), b"expect")
        && !head.starts_with(b"CONNECT")
        && read_head(head, bounds).is_ok()
}

fn has(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// A part, and what follows it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// Head without its empty lines before and behind, and what follows it.
fn split_head(bytes: &[u8]) -> Option<Split<'_>> {
    let mut begin = bytes;
    for _ in 0..4 {
        begin = begin.strip_prefix(b"\r\n").unwrap_or(begin);
    }
    let end = begin.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((&begin[..end], &begin[end + 4..]))
}

fn read_head(head: &[u8], bounds: HeadBounds) -> Result<Framing, &'static str> {
    let mut lines = Vec::new();
    for line in head.split(|byte| *byte == b'\n') {
        lines.push(line.strip_suffix(b"\r").unwrap_or(line));
    }
    // Every LF has its CR: without one the lines are too short to make up the head.
    let with_ends: usize = lines.iter().map(|line| line.len() + 2).sum();
    if with_ends != head.len() + 2 {
        return Err("a line ends without CR LF");
    }
    if head
        .iter()
        .any(|byte| byte.is_ascii_control() && !b"\t\r\n".contains(byte))
        || lines.iter().any(|line| line.contains(&b'\r'))
    {
        return Err("a control character");
    }
    let (method, old) = request_line(lines[0])?;
    if lines.len() - 1 > bounds.headers {
        return Err("more headers than allowed");
    }
    let (mut hosts, mut lengths, mut codings) = (Vec::new(), Vec::new(), Vec::new());
    for line in &lines[1..] {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or("a header without colon")?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(is_tchar) {
            return Err("a header's name is no token");
        }
        // As a program reads it that takes `_` for `-`, so that such a name counts as the real one.
        let name = name.to_ascii_lowercase();
        match name
            .iter()
            .map(|b| if *b == b'_' { b'-' } else { *b })
            .collect::<Vec<u8>>()
            .as_slice()
        {
            b"host" => hosts.push(value),
            b"content-length" => lengths.push(value),
            b"transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    match hosts[..] {
        [host] if is_host(host) => {}
        [] if old => {}
        _ => return Err("not exactly one good Host"),
    }
    match (&lengths[..], &codings[..]) {
        ([], []) if method == b"POST" => Err("a POST without a length"),
        ([], []) => Ok(Framing::Length(0)),
        ([digits], []) if (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            let digits = std::str::from_utf8(digits).map_err(|_| "a length beyond ASCII")?;
            digits
                .parse()
                .map(Framing::Length)
                .map_err(|_| "a length that is too large")
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && !old => Ok(Framing::Chunked),
        _ => Err("not exactly one framing"),
    }
}

/// Method, and whether it is HTTP/1.0.
fn request_line(line: &[u8]) -> Result<(&[u8], bool), &'static str> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err("a request line without three parts");
    };
    if method.is_empty() || !method.iter().all(is_tchar) {
        return Err("a method that is no token");
    }
    if !target.starts_with(b"/") || !target.iter().all(u8::is_ascii_graphic) || target.contains(&b'#') {
        return Err("a target that is not in origin form");
    }
    match version {
        b"HTTP/1.1" => Ok((method, false)),
        b"HTTP/1.0" => Ok((method, true)),
        _ => Err("another version"),
    }
}

/// RFC 9110, section 5.6.2.
fn is_tchar(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

fn is_host(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, ""),
        Some((address, rest)) => match rest.strip_prefix(':') {
            Some(port) => (address, port),
            None => return false,
        },
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let good = |c: char| c.is_ascii_alphanumeric() || ".-_~".contains(c) || (host.starts_with('[') && c == ':');
    !name.is_empty() && name.chars().all(good) && port.chars().all(|c| c.is_ascii_digit())
}

/// What follows a chunked body; `None` while it has not ended.
fn chunked(mut bytes: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    loop {
        let Some((line, rest)) = line(bytes)? else {
            return Ok(None);
        };
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(size).map_err(|_| "a chunk's size beyond ASCII")?;
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("a chunk's size that is no hex");
        }
        let size = u64::from_str_radix(size, 16).map_err(|_| "a chunk that is too large")?;
        if size == 0 {
            return trailers(rest);
        }
        let size = usize::try_from(size).map_err(|_| "a chunk that is too large")?;
        let Some(behind) = rest.get(size..) else {
            return Ok(None);
        };
        if !behind.starts_with(&b"\r\n"[..behind.len().min(2)]) {
            return Err("a chunk's data without CR LF");
        }
        let Some(behind) = behind.get(2..) else { return Ok(None) };
        bytes = behind;
    }
}

fn trailers(mut bytes: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    loop {
        let Some((line, rest)) = line(bytes)? else {
            return Ok(None);
        };
        if line.is_empty() {
            return Ok(Some(rest));
        }
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or("a trailer without colon")?;
        let name = line[..colon].to_ascii_lowercase();
        if name.is_empty() || !name.iter().all(is_tchar) {
            return Err("a trailer's name is no token");
        }
        if [&b"host"[..], b"content-length", b"transfer-encoding"].contains(&name.as_slice()) {
            return Err("a trailer that frames");
        }
        bytes = rest;
    }
}

/// A line of a body's framing without its end, and what follows; `None` while it has no end.
fn line(bytes: &[u8]) -> Result<Option<Split<'_>>, &'static str> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let line = bytes[..end]
        .strip_suffix(b"\r")
        .ok_or("a line of a chunk without CR LF")?;
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err("a control character in a chunk's line");
    }
    Ok(Some((line, &bytes[end + 1..])))
}
