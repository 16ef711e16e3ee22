//! What a refusal says, in English and in Chinese: what happened, then what to do.

use super::{BodyFault, Rejection};
use crate::client::SignInFault;
use crate::config::Language;
use crate::limit::Limit;
use crate::upstream::error::{CertificateFault, Foreign, UpstreamError};
use crate::upstream::proxy::ProxyFault;

/// The tag of `Content-Language`.
pub(super) const fn tag(language: Language) -> &'static str {
    match language {
        Language::Zh => "zh-CN",
        Language::En => "en",
    }
}

/// The platform's texts pass as they are; these are the gateway's own.
fn pick<'a>(language: Language, en: &'a str, zh: &'a str) -> &'a str {
    match language {
        Language::Zh => zh,
        Language::En => en,
    }
}

fn over_quota(limit: Limit) -> (&'static str, &'static str) {
    match limit {
        Limit::Client => (
            "This client has used up its quota. Wait as long as Retry-After says; if that happens often, ask less, or ask the gateway's operator for more (limits.client, limits.api).",
            "该客户端已用完配额。请等待 Retry-After 指定的时间；若经常出现，请降低请求频率，或联系网关管理员提高配额（limits.client、limits.api）。",
        ),
        Limit::Tenant => (
            "The hospital has used up its quota at the imaging platform. Wait as long as Retry-After says; if that happens often, ask the gateway's operator (limits.tenant).",
            "本院在影像平台的请求配额已用完。请等待 Retry-After 指定的时间；若经常出现，请联系网关管理员（limits.tenant）。",
        ),
        Limit::Platform => (
            "The imaging platform said that this hospital asks too much, so it is not asked for a while. Wait as long as Retry-After says; if that happens often, ask the gateway's operator.",
            "影像平台提示本院请求过于频繁，网关暂停访问一段时间。请等待 Retry-After 指定的时间；若经常出现，请联系网关管理员。",
        ),
    }
}

/// The short name of a kind of refusal; the same for every refusal of that kind.
pub(super) fn title(kind: &str, language: Language) -> &'static str {
    let (en, zh) = match kind {
        "body-not-understood" => ("Request not understood", "请求无法解析"),
        "charset-not-supported" => ("Charset not supported", "不支持的字符集"),
        "body-too-large" => ("Body too large", "请求体过大"),
        "body-incomplete" => ("Request incomplete", "请求不完整"),
        "field-invalid" => ("Field not valid", "字段无效"),
        "no-such-api" => ("No such API", "接口不存在"),
        "method-not-allowed" => ("Method not allowed", "请求方法不允许"),
        "client-unknown" => ("Client unknown", "客户端身份未知"),
        "not-permitted" => ("Not permitted", "无权访问"),
        "quota-exceeded" => ("Quota exceeded", "超过配额"),
        "overloaded" => ("Gateway overloaded", "网关繁忙"),
        "draining" => ("Gateway stopping", "网关正在停止"),
        "platform-unreachable" => ("Platform unreachable", "无法连接影像平台"),
        "platform-timeout" => ("Platform timed out", "影像平台响应超时"),
        "answer-not-kept" => ("No answer kept", "没有已保存的应答"),
        "platform-suspended" => ("Platform suspended", "影像平台暂停访问"),
        "platform-reply-invalid" => ("Platform's reply not valid", "影像平台应答无效"),
        _ => ("Internal error", "网关内部错误"),
    };
    match language {
        Language::Zh => zh,
        Language::En => en,
    }
}

/// Title and detail as one sentence: many a HIS shows `message` and nothing else.
pub(super) fn message(title: &str, detail: &str, language: Language) -> String {
    format!("{title}{}{detail}", pick(language, ": ", "："))
}

/// What happened this time, and what to do.
pub(super) fn detail(rejection: &Rejection, language: Language) -> String {
    let say = |en: &str, zh: &str| pick(language, en, zh).to_owned();
    match rejection {
        Rejection::BodyNotUnderstood { line, column, fault } => {
            let (en, zh) = body_fault(*fault);
            match (fault, language) {
                (BodyFault::Empty, _) => say(en, zh),
                (BodyFault::EndsEarly, Language::En) => {
                    format!("{en} (line {line}, column {column}). Does Content-Length count bytes, not characters?")
                }
                (BodyFault::EndsEarly, Language::Zh) => {
                    format!("{zh}（第 {line} 行第 {column} 列）。Content-Length 是否按字节（而非字符）计算？")
                }
                (_, Language::En) => format!("{en} (line {line}, column {column})."),
                (_, Language::Zh) => format!("{zh}（第 {line} 行第 {column} 列）。"),
            }
        }
        Rejection::FieldTwice { line, column, field } => {
            let hint = twice_hint(language);
            match language {
                Language::En => format!("{field}: {hint} (line {line}, column {column})."),
                Language::Zh => format!("{field}：{hint}（第 {line} 行第 {column} 列）。"),
            }
        }
        Rejection::Malformed(fault) => {
            let (en, zh) = super::head::text(*fault);
            say(en, zh)
        }
        Rejection::FieldInUrl => say(
            "The URL carries a field of the request or a long number. Send fields in the body only: URLs are written to logs on their way.",
            "URL 中带有请求字段或较长的数字。请只在请求体中发送字段：URL 会被沿途的日志记录。",
        ),
        Rejection::OperatorUnclear => say(
            "The header that names the user behind the request (audit.operator_header) stands there several times with different values, so nobody could tell later who looked. Send it once.",
            "标明操作人员的请求头（audit.operator_header）出现多次且取值不同，事后无法判断是谁查看。请只发送一次。",
        ),
        Rejection::CharsetNotSupported => say(
            "The charset that Content-Type declares is not known. Send UTF-8, or declare GB18030, GBK or GB2312.",
            "Content-Type 声明的字符集无法识别。请使用 UTF-8，或声明 GB18030、GBK、GB2312。",
        ),
        Rejection::BodyTooLarge { limit } => match language {
            Language::En => format!("The body is larger than the {limit} bytes allowed (lan.max_body)."),
            Language::Zh => format!("请求体超过允许的 {limit} 字节（lan.max_body）。"),
        },
        Rejection::BodyIncomplete { received, expected } => incomplete(*received, *expected, language),
        Rejection::FieldInvalid(problems) => {
            let list: Vec<String> = problems
                .iter()
                .map(|p| {
                    let hint = match language {
                        Language::En => p.hint_en(),
                        Language::Zh => p.hint_zh(),
                    };
                    format!("{}: {hint}", p.field)
                })
                .collect();
            list.join(pick(language, "; ", "；"))
        }
        Rejection::TenantUnclear => tenant_hint(language).to_owned(),
        Rejection::NoSuchApi => say(
            "The path names no API of the platform. Use /thirdparty/patientStudies/{appId}, /thirdparty/patientConsultations/{appId} or /thirdparty/patientReportUrl/{appId}.",
            "路径不是平台的接口。请使用 /thirdparty/patientStudies/{appId}、/thirdparty/patientConsultations/{appId} 或 /thirdparty/patientReportUrl/{appId}。",
        ),
        Rejection::NoSuchTenant => say(
            "No tenant has the appId of the path. Check the appId, or leave it out if the gateway serves one hospital.",
            "没有租户使用路径中的 appId。请核对 appId；若网关只服务一家医院，可省略。",
        ),
        Rejection::NoSuchInbox => say(
            "There are no events to fetch here. Use /inbox/v1/{tenant}/events with the tenant's name; the gateway has to take callbacks ([callback]), and a tenant with callback.target is delivered to and not fetched.",
            "此处没有可拉取的事件。请使用 /inbox/v1/{tenant}/events，其中 tenant 为租户名称；网关须接收回调（[callback]），设置了 callback.target 的租户由网关推送，不能拉取。",
        ),
        Rejection::InboxUnavailable => say(
            "The gateway's store of events does not answer just now. Try again in a moment; nothing is lost.",
            "网关的事件存储暂时不可用，请稍后重试；事件不会丢失。",
        ),
        Rejection::MethodNotAllowed { allow } => match language {
            Language::En => format!("Use {}.", allow.replace(", ", " or ")),
            Language::Zh => format!("请使用 {}。", allow.replace(", ", " 或 ")),
        },
        Rejection::ClientUnknown { fault } => {
            let (en, zh) = sign_in_fault(*fault);
            say(en, zh)
        }
        Rejection::PageNotAllowed => say(
            "A web page asks (the request has an Origin), and lan.cors_origins does not name its origin.",
            "请求来自网页（带有 Origin 请求头），而 lan.cors_origins 中没有该来源。",
        ),
        Rejection::SignInsLimited { .. } => say(
            "Too many failed sign-ins from this address (lan.max_failed_sign_ins). Set the right key; a right one works at once.",
            "该地址认证失败次数过多（lan.max_failed_sign_ins）。请配置正确的密钥，密钥正确即可立即使用。",
        ),
        Rejection::NotPermitted { rule } => match language {
            Language::En => format!(
                "The rule `{}` of this client does not allow it. If it should, the gateway's operator can change the rule.",
                rule.as_str()
            ),
            Language::Zh => format!(
                "该客户端的规则 `{}` 不允许此请求。如确有需要，请网关管理员修改规则。",
                rule.as_str()
            ),
        },
        Rejection::QuotaExceeded(limited) => {
            let (en, zh) = over_quota(limited.limit);
            say(en, zh)
        }
        Rejection::QueueFull => say(
            "The platform is slow, and as many questions of this hospital wait as may (limits.queue). Try again in a moment.",
            "影像平台响应缓慢，本院等待中的请求已达上限（limits.queue），请稍后重试。",
        ),
        Rejection::AuditUnavailable => say(
            "The gateway cannot write its audit trail just now, and nobody may look at patients without a record (audit.on_failure = \"refuse\"). Tell the gateway's operator, and try again in a moment.",
            "网关暂时无法写入审计记录，而没有审计记录不允许查询患者信息（audit.on_failure = \"refuse\"）。请通知网关管理员，并稍后重试。",
        ),
        Rejection::Overloaded => say(
            "The gateway has as many requests as it can take. Try again in a moment.",
            "网关当前请求过多，请稍后重试。",
        ),
        Rejection::NotKept => say(
            "The request says Cache-Control: only-if-cached, and there is no fresh answer to it here. Leave that out to have the platform asked.",
            "请求带有 Cache-Control: only-if-cached，而网关没有该请求的有效缓存应答。去掉该指令即可查询影像平台。",
        ),
        Rejection::Draining => say(
            "The gateway is being stopped or restarted. Try again in a few seconds.",
            "网关正在停止或重启，请几秒后重试。",
        ),
        Rejection::Upstream(error) => {
            if let UpstreamError::Proxy(ProxyFault::Refused(status)) = error {
                return refused_by_proxy(*status, language);
            }
            if let UpstreamError::NotEnvelope(foreign, _) = error
                && let Some(status) = error.received_status()
            {
                return if error.is_too_much() {
                    too_much(status, language)
                } else {
                    with_status(*foreign, status, language)
                };
            }
            let (en, zh) = upstream(*error);
            say(en, zh)
        }
        Rejection::Internal => say(
            "A defect of the gateway. Give its operator the requestId.",
            "网关内部缺陷，请将 requestId 提供给网关管理员。",
        ),
    }
}

/// What the form of a request says is told; whether a key is some client's, or an address is, is not.
fn sign_in_fault(fault: SignInFault) -> (&'static str, &'static str) {
    match fault {
        SignInFault::NoCredentials => (
            "The request carries no key, and its address or certificate alone is no client's. Send the client's key as `Authorization: Bearer KEY` or `X-Api-Key: KEY`.",
            "请求未携带密钥，仅凭其地址或证书无法识别客户端。请以 Authorization: Bearer KEY 或 X-Api-Key: KEY 发送客户端密钥。",
        ),
        SignInFault::Malformed => (
            "The key's header is not understood. Send it once, as `Authorization: Bearer KEY` or as `X-Api-Key: KEY` without `Bearer`, without quotes; other schemes than Bearer are not taken.",
            "密钥请求头无法识别。请只发送一次：Authorization: Bearer KEY，或不带 Bearer、不加引号的 X-Api-Key: KEY；不支持 Bearer 以外的认证方式。",
        ),
        SignInFault::UnknownKey | SignInFault::Address | SignInFault::Certificate => (
            "Who asks is not known: the key, the address it comes from and the certificate do not fit any client together. The gateway's log tells which of them failed.",
            "无法识别请求方：密钥、来源地址与证书不能共同对应任何客户端。具体原因见网关日志。",
        ),
    }
}

/// What to do about a field that stands twice.
pub(super) fn twice_hint(language: Language) -> &'static str {
    pick(
        language,
        "the field stands twice, perhaps under another name or in another case; send it once",
        "同一字段出现两次（可能使用了别名或不同大小写），请只发送一次",
    )
}

/// What to do when the tenant cannot be told.
pub(super) fn tenant_hint(language: Language) -> &'static str {
    match language {
        Language::En => {
            "the gateway serves several hospitals and cannot tell which one is meant: put the appId into the path, or send the hospital's hospitalId"
        }
        Language::Zh => "网关服务多家医院，无法判断是哪一家：请在路径中写明 appId，或发送该医院的 hospitalId",
    }
}

fn incomplete(received: usize, expected: Option<u64>, language: Language) -> String {
    match (expected, language) {
        (Some(expected), Language::En) => {
            format!(
                "{received} of {expected} bytes of the body came: the sender announced more than it sent, or was too slow."
            )
        }
        (Some(expected), Language::Zh) => {
            format!("请求体共 {expected} 字节，只收到 {received} 字节：发送方声明的长度大于实际发送，或发送过慢。")
        }
        (None, Language::En) => format!("The body ended after {received} bytes, before its last chunk."),
        (None, Language::Zh) => format!("请求体在 {received} 字节后中断，未收到最后一个分块。"),
    }
}

fn body_fault(fault: BodyFault) -> (&'static str, &'static str) {
    match fault {
        BodyFault::Empty => (
            "The body is empty. Send the fields as a JSON object.",
            "请求体为空。请以 JSON 对象发送字段。",
        ),
        BodyFault::NotUtf8 => (
            "The body is not text: neither UTF-8 nor GB18030",
            "请求体不是文本：既不是 UTF-8 也不是 GB18030",
        ),
        BodyFault::Syntax => ("The body is not JSON", "请求体不是合法的 JSON"),
        BodyFault::EndsEarly => ("The JSON ends too early", "JSON 不完整"),
        BodyFault::NotObject => (
            "The body is JSON but not an object; send the object itself, {...}, without a list around it",
            "请求体是 JSON 但不是对象；请直接发送对象 {...}，外面不要加数组",
        ),
        BodyFault::DuplicateKey => (
            "A member stands twice; which of the two is meant cannot be told",
            "同一字段出现两次，无法判断以哪个为准",
        ),
        BodyFault::TooDeep => ("The JSON is nested deeper than 32 levels", "JSON 嵌套超过 32 层"),
        BodyFault::TooManyMembers => ("The JSON has more than 256 members", "JSON 字段超过 256 个"),
        BodyFault::TrailingData => ("Something follows the JSON object", "JSON 对象之后还有多余内容"),
        BodyFault::HalfEncoded => (
            "The form field holds JSON of which only a part is percent-encoded; encode all of it",
            "表单字段中的 JSON 只有一部分做了百分号编码；请对整个值编码",
        ),
        BodyFault::Compressed => (
            "The body is compressed (Content-Encoding), which is not understood here; send it uncompressed",
            "请求体经过压缩（Content-Encoding），本接口不支持；请不压缩发送",
        ),
        BodyFault::Xml => (
            "The body is XML, which is not understood here; send JSON",
            "请求体是 XML，本接口不支持；请发送 JSON",
        ),
    }
}

fn upstream(error: UpstreamError) -> (&'static str, &'static str) {
    match error {
        UpstreamError::Dns => (
            "The platform's name could not be resolved (DNS). Ask the network's operator.",
            "无法解析影像平台域名（DNS），请联系网络管理员。",
        ),
        UpstreamError::Connect(_) => (
            "The platform could not be connected to (TCP). Ask the network's operator.",
            "无法建立到影像平台的连接（TCP），请联系网络管理员。",
        ),
        UpstreamError::ConnectTimeout => (
            "Connecting to the platform took too long (TCP or TLS). Ask the network's operator.",
            "连接影像平台超时（TCP 或 TLS），请联系网络管理员。",
        ),
        UpstreamError::Certificate(fault) => certificate(fault),
        UpstreamError::Tls => (
            "TLS with the platform failed. Ask the gateway's operator.",
            "与影像平台的 TLS 握手失败，请联系网关管理员。",
        ),
        UpstreamError::Proxy(fault) => proxy(fault),
        UpstreamError::Deadline => (
            "The platform did not answer in time. Try again.",
            "影像平台未在规定时间内应答，请重试。",
        ),
        UpstreamError::TurnTimeout => (
            "The question waited for its turn until its time was over, and the platform was not asked. Try again in a moment.",
            "查询在网关排队等待直至超时，未向影像平台发出，请稍后重试。",
        ),
        UpstreamError::NoAnswer => (
            "The platform closed the connection without an answer. Try again.",
            "影像平台未应答即断开连接，请重试。",
        ),
        UpstreamError::Cut => (
            "The platform's answer was cut on its way. Try again.",
            "影像平台的应答在传输中被截断，请重试。",
        ),
        UpstreamError::TooLarge => (
            "The platform's answer is larger than allowed (platform.max_body). Ask for a shorter period.",
            "影像平台的应答超过允许大小（platform.max_body），请缩短查询时间范围。",
        ),
        UpstreamError::NotHttp => (
            "What answered does not speak HTTP. Ask the gateway's operator.",
            "对端未使用 HTTP 应答，请联系网关管理员。",
        ),
        UpstreamError::NotEnvelope(foreign, _) => not_envelope(foreign),
        UpstreamError::Suspended(_) => (
            "The platform failed several times in a row and is not asked for a short while. Try again after Retry-After; if it goes on, ask the gateway's operator.",
            "影像平台连续多次失败，网关暂停访问一小段时间。请在 Retry-After 之后重试；若持续出现，请联系网关管理员。",
        ),
        UpstreamError::Busy => (
            "All connections to the platform are in use. Try again in a moment.",
            "到影像平台的连接已全部占用，请稍后重试。",
        ),
    }
}

fn too_much(status: u16, language: Language) -> String {
    match language {
        Language::En => {
            format!(
                "The platform's side answered with status {status}: too much is asked. Try again after Retry-After."
            )
        }
        Language::Zh => format!("影像平台一侧以状态码 {status} 应答：请求过多。请在 Retry-After 之后重试。"),
    }
}

fn with_status(foreign: Foreign, status: u16, language: Language) -> String {
    let (en, zh) = not_envelope(foreign);
    match language {
        Language::En => format!("{en} Its status is {status}. If it goes on, give that to the gateway's operator."),
        Language::Zh => format!("{zh}状态码 {status}；若持续出现，请告知网关管理员。"),
    }
}

fn refused_by_proxy(status: u16, language: Language) -> String {
    match language {
        Language::En => format!("The proxy on the way refused the connection with status {status}. Ask its operator."),
        Language::Zh => format!("途中的代理服务器拒绝了连接，状态码 {status}，请联系代理管理员。"),
    }
}

fn proxy(fault: ProxyFault) -> (&'static str, &'static str) {
    match fault {
        ProxyFault::Dns => (
            "The name of the proxy on the way could not be resolved (DNS). Ask the network's operator.",
            "无法解析代理服务器的域名（DNS），请联系网络管理员。",
        ),
        ProxyFault::Connect(_) => (
            "The proxy on the way could not be connected to (TCP). Ask the network's operator.",
            "无法建立到代理服务器的连接（TCP），请联系网络管理员。",
        ),
        ProxyFault::Timeout => (
            "The proxy on the way did not let the connection through in time. Ask the network's operator.",
            "代理服务器未在规定时间内建立通道，请联系网络管理员。",
        ),
        ProxyFault::Certificate(_) => (
            "The certificate of the proxy on the way is not valid (TLS). Ask the gateway's operator.",
            "代理服务器自身的证书无效（TLS），请联系网关管理员。",
        ),
        ProxyFault::Tls => (
            "TLS with the proxy on the way failed. Ask the gateway's operator.",
            "与代理服务器的 TLS 握手失败，请联系网关管理员。",
        ),
        ProxyFault::Auth(_) => (
            "The proxy on the way does not accept the gateway's user or password. Ask the gateway's operator.",
            "代理服务器不接受网关的用户名或密码，请联系网关管理员。",
        ),
        ProxyFault::Refused(_) => (
            "The proxy on the way refused the connection. Ask its operator.",
            "途中的代理服务器拒绝了连接，请联系代理管理员。",
        ),
        ProxyFault::NotHttp => (
            "What answered in the proxy's place does not speak HTTP as a proxy does. Ask the gateway's operator.",
            "代理地址的对端未按 HTTP 代理应答，请联系网关管理员。",
        ),
        ProxyFault::NoAnswer => (
            "The proxy on the way closed the connection without an answer. Try again.",
            "代理服务器未应答即断开连接，请重试。",
        ),
        ProxyFault::TunnelCut => (
            "The proxy on the way cut its tunnel to the platform. Try again.",
            "代理服务器中断了到影像平台的通道，请重试。",
        ),
    }
}

fn certificate(fault: CertificateFault) -> (&'static str, &'static str) {
    match fault {
        CertificateFault::Expired => (
            "The platform's certificate has expired, or the gateway's clock is wrong (TLS).",
            "影像平台证书已过期，或网关时钟不准（TLS）。",
        ),
        CertificateFault::NotYetValid => (
            "The platform's certificate is not valid yet: the gateway's clock is wrong (TLS).",
            "影像平台证书尚未生效：网关时钟不准（TLS）。",
        ),
        CertificateFault::WrongName => (
            "The certificate presented is for another name than the platform's (TLS).",
            "对端证书的域名与影像平台不符（TLS）。",
        ),
        CertificateFault::UnknownIssuer => (
            "The certificate presented is from an unknown issuer; a proxy may inspect TLS (TLS).",
            "对端证书的签发者未知，可能有代理在检查 TLS 流量（TLS）。",
        ),
        CertificateFault::Rejected => (
            "The platform's certificate was rejected (TLS).",
            "影像平台证书未通过校验（TLS）。",
        ),
    }
}

fn not_envelope(foreign: Foreign) -> (&'static str, &'static str) {
    match foreign {
        Foreign::Html => (
            "A web page came instead of the platform's answer, as from a proxy in between.",
            "收到的是网页而不是影像平台的应答，可能来自中间的代理。",
        ),
        Foreign::Redirect => (
            "A redirect came instead of the platform's answer; redirects are not followed.",
            "收到的是重定向而不是影像平台的应答；网关不跟随重定向。",
        ),
        Foreign::Empty => ("The platform's answer was empty.", "影像平台的应答为空。"),
        Foreign::Encoded => (
            "The answer came compressed though none was asked for.",
            "应答被压缩，而网关并未请求压缩。",
        ),
        Foreign::NotJson => (
            "The answer is not a JSON object as the platform sends it.",
            "应答不是影像平台的 JSON 对象。",
        ),
        Foreign::NotList => (
            "The platform's answer has no list of studies.",
            "影像平台的应答中没有检查列表。",
        ),
    }
}
