//! What a refusal of a request's head says: mostly to whoever writes or configures the client.

use crate::edge::guard::HeadFault;

/// What is wrong and what to do, in English and in Chinese. Never a byte of the head.
pub(super) fn text(fault: HeadFault) -> (&'static str, &'static str) {
    match fault {
        HeadFault::ControlCharacter => (
            "The head of the request holds a control character. Is it HTTPS sent to the HTTP port, or a header with an unescaped line end?",
            "请求头含有控制字符。是否把 HTTPS 发到了 HTTP 端口，或头部值中有未转义的换行？",
        ),
        HeadFault::LineEnd => (
            "A line of the request's head does not end with CR LF. End every line with \\r\\n.",
            "请求头的某一行不是以 CR LF 结尾。请让每一行都以 \\r\\n 结尾。",
        ),
        HeadFault::Folded => (
            "A header continues on a second line. Write every header on one line.",
            "某个头部折成了两行。请把每个头部写在一行内。",
        ),
        HeadFault::RequestLine => (
            "The first line of the request is not \"METHOD /path HTTP/1.1\" with single spaces.",
            "请求的第一行不是以单个空格分隔的 \"METHOD /path HTTP/1.1\"。",
        ),
        HeadFault::Version => (
            "The HTTP version is not supported. Use HTTP/1.1 or HTTP/1.0; HTTP/2 only where lan.http2 is on.",
            "不支持该 HTTP 版本。请使用 HTTP/1.1 或 HTTP/1.0；HTTP/2 仅在 lan.http2 开启时可用。",
        ),
        HeadFault::Target => (
            "The target of the request is not a path, or holds characters that no URL has. Begin it with / and percent-encode the rest.",
            "请求目标不是路径，或含有 URL 不允许的字符。请以 / 开头，其余字符使用百分号编码。",
        ),
        HeadFault::NotAProxy => (
            "The request names a scheme and host, as for a proxy. The gateway is no proxy: send it the path only, and take it out of the client's proxy settings.",
            "请求目标带有协议和主机名，像是发给代理的。网关不是代理：请只发送路径，并在客户端的代理设置中去掉网关。",
        ),
        HeadFault::HeaderName => (
            "A header line has no colon, no name, white space before its colon, or a name with characters that none may have.",
            "某个头部没有冒号、没有名称、冒号前有空白，或名称含有不允许的字符。",
        ),
        HeadFault::Underscore => (
            "A header is named with _ where the known one has -, as content_length. Write it with -.",
            "某个头部名称用 _ 代替了 -（如 content_length）。请使用 -。",
        ),
        HeadFault::Host => (
            "Host is missing, stands twice, or names no host. Send exactly one, as Host: gateway:8080.",
            "Host 缺失、重复或不是主机名。请只发送一个，如 Host: gateway:8080。",
        ),
        HeadFault::Length => (
            "Content-Length is not a plain number, or stands twice. Send exactly one, in digits.",
            "Content-Length 不是纯数字，或出现多次。请只发送一个十进制数字。",
        ),
        HeadFault::LengthAndCoding => (
            "Content-Length and Transfer-Encoding stand together; where the body ends cannot be told. Send one of them.",
            "同时存在 Content-Length 和 Transfer-Encoding，无法判断请求体的结尾。请只发送其中一个。",
        ),
        HeadFault::Coding => (
            "The Transfer-Encoding is not exactly one \"chunked\". Send Content-Length, or chunked alone.",
            "Transfer-Encoding 不是单独一个 \"chunked\"。请使用 Content-Length，或只用 chunked。",
        ),
        HeadFault::CodingInHttp10 => (
            "HTTP/1.0 has no Transfer-Encoding. Send Content-Length, or use HTTP/1.1.",
            "HTTP/1.0 没有 Transfer-Encoding。请使用 Content-Length，或改用 HTTP/1.1。",
        ),
        HeadFault::NoLength => (
            "The POST has neither Content-Length nor chunks. Send Content-Length, 0 for no body.",
            "POST 既没有 Content-Length 也没有分块。请发送 Content-Length，没有请求体时为 0。",
        ),
        HeadFault::Expect => (
            "The Expect header asks for something other than 100-continue. Leave it out.",
            "Expect 头部要求的不是 100-continue。请去掉该头部。",
        ),
        HeadFault::TooLarge => (
            "The head of the request is larger than allowed (lan.max_head_bytes). Send fewer or shorter headers and cookies.",
            "请求头超过允许的大小（lan.max_head_bytes）。请减少头部和 Cookie。",
        ),
        HeadFault::TooManyHeaders => (
            "The request has more headers than allowed (lan.max_headers).",
            "请求的头部数量超过限制（lan.max_headers）。",
        ),
        HeadFault::Slow => (
            "The head of the request did not come whole in time (lan.header_timeout_ms). Send it at once, with an empty line behind the headers.",
            "请求头未在规定时间内完整到达（lan.header_timeout_ms）。请一次发送完整，并在头部之后发送空行。",
        ),
        HeadFault::Cut => (
            "The request ended before the empty line behind its headers.",
            "请求在头部之后的空行之前就结束了。",
        ),
        HeadFault::Surplus => (
            "More bytes came than Content-Length says, here or in the request before. Does Content-Length count bytes, not characters?",
            "收到的字节数多于 Content-Length（本次或上一次请求）。Content-Length 是否按字节（而非字符）计算？",
        ),
        HeadFault::Chunk => (
            "The chunks of the body are not framed as they have to be: a size in hex digits, CR LF, so many bytes, CR LF.",
            "请求体的分块格式错误：应为十六进制长度、CR LF、相应字节数、CR LF。",
        ),
        HeadFault::Trailer => (
            "A trailer behind the chunks is not a header line, or must not stand there. Leave trailers out.",
            "分块之后的 trailer 不是合法头部，或不允许出现在那里。请去掉 trailer。",
        ),
    }
}
