//! Refusals because of the platform: out of reach, late, or not itself.

use aimis_simulator::{Canned, Fault, PATIENT_STUDIES};
use tokio::io::AsyncWriteExt;

use super::{Refused, STUDIES, expect_studies_refused, platform, refused};
use crate::support::gateway::Settings;

#[tokio::test]
async fn a_platform_that_cannot_be_reached_is_told_apart_by_where_it_failed() {
    const UNREACHABLE: fn(&'static str, &'static str) -> Refused =
        |en, zh| refused(502, 800_301, "platform-unreachable", en, zh);
    // Bound and not listening: a port that refuses and that nobody else gets meanwhile.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let without_tls = plain.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let rows = [
        (
            format!("http://{}", closed.local_addr().unwrap()),
            UNREACHABLE("could not be connected to (TCP)", "无法建立到影像平台的连接（TCP）")
                .headers(&[("proxy-status", "aimis; error=connection_refused")]),
        ),
        (
            "https://nonexistent.invalid".to_owned(),
            UNREACHABLE("could not be resolved (DNS)", "无法解析影像平台域名（DNS）")
                .headers(&[("proxy-status", "aimis; error=dns_error")]),
        ),
        (
            format!("https://{without_tls}"),
            UNREACHABLE("TLS with the platform failed", "TLS 握手失败")
                .headers(&[("proxy-status", "aimis; error=tls_protocol_error")]),
        ),
    ];

    for (base_url, refused) in rows {
        // A resolver without a network takes its time to say so.
        let gateway = Settings::calling_url(&base_url)
            .with("platform", "connect_timeout_ms = 50000")
            .with("platform", "deadline_ms = 55000")
            .with("platform", "max_retries = 0")
            .start();
        expect_studies_refused(&gateway, &base_url, &refused).await;
    }
}

#[tokio::test]
async fn a_platform_that_does_not_answer_in_time_is_a_time_out() {
    const LATE: Refused = refused(
        504,
        800_302,
        "platform-timeout",
        "did not answer in time",
        "未在规定时间内应答",
    )
    .headers(&[("proxy-status", "aimis; error=http_response_timeout")]);
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("platform", "deadline_ms = 200")
        .start();

    for fault in [
        Fault::Hang,
        Fault::WrongContentLength { delta: 10 },
        Fault::Drip { bytes: 1, every_ms: 50 },
    ] {
        platform.set_fault(fault.clone());
        expect_studies_refused(&gateway, &format!("{fault:?}"), &LATE).await;
    }
    platform.clear_faults();
    let answer = gateway.studies().await;
    assert_eq!((answer.status, answer.code()), (200, 0));
}

#[tokio::test]
async fn what_is_not_the_platforms_answer_is_never_relayed() {
    const INVALID: fn(&'static str, &'static str) -> Refused =
        |en, zh| refused(502, 800_303, "platform-reply-invalid", en, zh);
    const PROTOCOL: &[(&str, &str)] = &[("proxy-status", "aimis; error=http_protocol_error")];
    const AWAY: &[(&str, &str)] = &[("proxy-status", "aimis; error=http_protocol_error; received-status=503")];
    const BAD: &[(&str, &str)] = &[("proxy-status", "aimis; error=http_protocol_error; received-status=502")];
    const MOVED: &[(&str, &str)] = &[("proxy-status", "aimis; error=http_protocol_error; received-status=302")];
    const MOVED_FOR_GOOD: &[(&str, &str)] =
        &[("proxy-status", "aimis; error=http_protocol_error; received-status=308")];
    const CUT: &[(&str, &str)] = &[("proxy-status", "aimis; error=http_response_incomplete")];
    const SIZE: &[(&str, &str)] = &[("proxy-status", "aimis; error=http_response_body_size")];
    const ENDED: &[(&str, &str)] = &[("proxy-status", "aimis; error=connection_terminated")];
    let oversized = Fault::Oversized { bytes: (64 << 10) + 1 };
    let rows = [
        (
            Fault::Garbage,
            INVALID("does not speak HTTP", "对端未使用 HTTP 应答").headers(PROTOCOL),
        ),
        (
            Fault::HtmlPage { status: 200 },
            INVALID("A web page came", "收到的是网页").headers(PROTOCOL),
        ),
        (
            Fault::HtmlPage { status: 503 },
            INVALID("A web page came", "收到的是网页").headers(AWAY),
        ),
        (Fault::HalfBody, INVALID("answer was cut", "传输中被截断").headers(CUT)),
        (
            Fault::ResetWithinBody,
            INVALID("answer was cut", "传输中被截断").headers(CUT),
        ),
        (
            Fault::ResetBeforeHead,
            INVALID("without an answer", "未应答即断开连接").headers(ENDED),
        ),
        (
            Fault::ResetWithinHead,
            INVALID("without an answer", "未应答即断开连接").headers(ENDED),
        ),
        (
            oversized.clone(),
            INVALID("platform.max_body", "platform.max_body").headers(SIZE),
        ),
        (
            Fault::Together {
                faults: vec![oversized, Fault::Chunked],
            },
            INVALID("platform.max_body", "platform.max_body").headers(SIZE),
        ),
        (
            Fault::NotJson,
            INVALID("not a JSON object", "不是影像平台的 JSON 对象").headers(PROTOCOL),
        ),
        (Fault::EmptyBody, INVALID("was empty", "应答为空").headers(PROTOCOL)),
        (
            Fault::Status {
                code: 502,
                envelope: false,
            },
            INVALID("not a JSON object", "不是影像平台的 JSON 对象").headers(BAD),
        ),
    ];
    let platform = platform().await;
    let settings = Settings::calling(&platform)
        .with("platform", "max_body = \"64KiB\"")
        .with("platform", "max_retries = 0");
    let gateway = settings.start();

    for (fault, refused) in rows {
        platform.set_fault(fault.clone());
        expect_studies_refused(&gateway, &format!("{fault:?}"), &refused).await;
    }
    platform.clear_faults();
    let canned = |status, header: &[(&str, &str)], body: &str| Canned {
        status,
        content_type: "application/json".to_owned(),
        headers: header
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.into(),
    };
    let envelope = r#"{"code":0,"message":"success","data":[]}"#;
    let rows = [
        (
            "redirect",
            canned(302, &[("Location", "https://elsewhere.example/")], envelope),
            INVALID("A redirect came", "收到的是重定向").headers(MOVED),
        ),
        (
            "redirect by 308",
            canned(308, &[("Location", &format!("{}/x", platform.base_url()))], envelope),
            INVALID("A redirect came", "收到的是重定向").headers(MOVED_FOR_GOOD),
        ),
        (
            "compressed",
            canned(200, &[("Content-Encoding", "gzip")], envelope),
            INVALID("came compressed", "应答被压缩").headers(PROTOCOL),
        ),
        (
            "array",
            canned(200, &[], "[1]"),
            INVALID("not a JSON object", "不是影像平台的 JSON 对象").headers(PROTOCOL),
        ),
    ];
    for (name, canned, refused) in rows {
        platform.set_reply(PATIENT_STUDIES, canned);
        expect_studies_refused(&gateway, name, &refused).await;
    }
    platform.clear_reply(PATIENT_STUDIES);
    assert_eq!(gateway.studies().await.code(), 0);
    assert!(platform.requests().iter().all(|request| request.path == STUDIES));
}
