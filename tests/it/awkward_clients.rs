//! Clients as they are: slow, hasty, old, and with headers of their own.

use aimis_simulator::{Account, Fault, Platform, PlatformOptions, Switches};

use crate::support::client::{Answer, Connection, exchange, get, request};
use crate::support::gateway::{Gateway, Settings, studies_query};

const STUDIES: &str = "/thirdparty/patientStudies/900001";

async fn platform() -> Platform {
    Platform::start(PlatformOptions::default()).await.unwrap()
}

fn studies(headers: &[(&str, &str)]) -> Vec<u8> {
    request("POST", STUDIES, headers, studies_query().as_bytes())
}

/// A request of another form than [`request`] makes.
fn by_hand(line_and_headers: &str) -> Vec<u8> {
    let body = studies_query();
    format!("{line_and_headers}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn fine(answer: Option<Answer>) {
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_answered() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let mut connection = Connection::open(gateway.lan).await;

    for _ in 0..2 {
        for byte in studies(&[]) {
            connection.send(&[byte]).await.unwrap();
        }
        fine(connection.answer().await);
    }

    assert_eq!(platform.request_count(), 2);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_each_with_its_own_answer() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    // The first takes longest, the second is refused without the platform.
    platform.push_fault(Fault::Latency { ms: 100 });
    platform.push_fault(Fault::Latency { ms: 20 });
    let report = r#"{"reportId":"RS1001","phoneNum":"13800138000","idNum":"11010119000101009X"}"#;
    let mut all = studies(&[("X-Request-Id", "one")]);
    all.extend(request("POST", STUDIES, &[("X-Request-Id", "two")], b"{}"));
    all.extend(request(
        "POST",
        "/thirdparty/patientReportUrl/900001",
        &[("X-Request-Id", "three")],
        report.as_bytes(),
    ));
    all.extend(request("GET", "/elsewhere", &[("X-Request-Id", "four")], b""));
    all.extend(studies(&[("X-Request-Id", "five")]));
    let mut connection = Connection::open(gateway.lan).await;

    connection.send(&all).await.unwrap();

    let mut answers = Vec::new();
    for (id, code) in [
        ("one", 0),
        ("two", 800_005),
        ("three", 0),
        ("four", 800_006),
        ("five", 0),
    ] {
        let answer = connection.answer().await.unwrap();
        assert_eq!((answer.header("x-request-id"), answer.code()), (Some(id), code));
        answers.push(answer);
    }
    let sent: Vec<_> = platform.requests().into_iter().map(|request| request.reply).collect();
    assert_eq!(
        [&answers[0].body, &answers[2].body, &answers[4].body],
        [&sent[0], &sent[1], &sent[2]]
    );
    assert_eq!(answers[2].json()["data"]["studyId"], "S1001");
}

#[tokio::test]
async fn clients_that_leave_in_the_middle_leave_nothing_behind() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform).with("lan", "max_connections = 3").start();
    let whole = studies(&[]);
    let head = whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap();

    for cut in [0, 1, 10, head, head + 4, head + 5, whole.len() - 1] {
        let mut connection = Connection::open(gateway.lan).await;
        connection.send(&whole[..cut]).await.unwrap();
        drop(connection);
    }
    // A place is free again as soon as its client is gone; until then the gateway says that it is full.
    loop {
        let answer = exchange(gateway.lan, &whole).await.expect("an answer");
        if answer.code() != 800_202 {
            assert_eq!(answer.code(), 0);
            break;
        }
    }
    assert_eq!(platform.request_count(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_answer_is_made_disturbs_nobody() {
    let platform = platform().await;
    platform.push_fault(Fault::Hang);
    let gateway = Gateway::before(&platform);
    let mut connection = Connection::open(gateway.lan).await;
    connection.send(&studies(&[])).await.unwrap();
    platform.wait_for_requests(1).await;

    drop(connection);

    let answer = gateway.studies().await;
    assert_eq!(answer.body, platform.requests()[1].reply);
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_is_still_answered() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    for fault in [
        Fault::None,
        Fault::Latency { ms: 100 },
        Fault::Drip {
            bytes: 400,
            every_ms: 5,
        },
    ] {
        platform.push_fault(fault);
        let mut connection = Connection::open(gateway.lan).await;
        connection.send(&studies(&[])).await.unwrap();
        connection.half_close().await;

        fine(connection.answer().await);
        assert!(connection.closed().await);
    }
}

#[tokio::test]
async fn http_1_0_is_spoken_with_and_without_host_and_keep_alive() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let line = format!("POST {STUDIES} HTTP/1.0");

    for headers in ["", "\r\nHost: gateway", "\r\nConnection: close"] {
        let mut connection = Connection::open(gateway.lan).await;
        connection.send(&by_hand(&format!("{line}{headers}"))).await.unwrap();
        let answer = connection.answer().await;
        assert!(answer.as_ref().unwrap().header("transfer-encoding").is_none());
        fine(answer);
        assert!(connection.closed().await);
    }

    let mut connection = Connection::open(gateway.lan).await;
    for _ in 0..3 {
        connection
            .send(&by_hand(&format!("{line}\r\nConnection: Keep-Alive")))
            .await
            .unwrap();
        let answer = connection.answer().await;
        assert_eq!(answer.as_ref().unwrap().header("connection"), Some("keep-alive"));
        fine(answer);
    }
    assert_eq!(platform.request_count(), 6);
}

#[tokio::test]
async fn requests_without_host_or_with_an_absolute_target_are_told_what_to_do() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    for head in [
        format!("POST {STUDIES} HTTP/1.1"),
        format!("POST {STUDIES} HTTP/1.1\r\nHost: "),
        format!("POST http://pacs.qq.com{STUDIES} HTTP/1.1\r\nHost: pacs.qq.com"),
    ] {
        let answer = exchange(gateway.lan, &by_hand(&head)).await.unwrap();
        assert_eq!((answer.status, answer.code()), (400, 800_001), "{head}");
    }
    assert_eq!(platform.request_count(), 0);
    let odd = format!("POST {STUDIES}?v=1 HTTP/1.1\r\nhOST:gateway\r\ncontent-TYPE:text/plain");
    fine(exchange(gateway.lan, &by_hand(&odd)).await);
    for request in platform.requests() {
        assert_eq!(request.path, STUDIES);
        assert_eq!(request.header("host"), Some(&*platform.addr().to_string()));
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let whole = studies(&[("Expect", "100-continue")]);
    let body = whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let mut connection = Connection::open(gateway.lan).await;

    connection.send(&whole[..body]).await.unwrap();
    assert_eq!(
        connection.head().await.unwrap().lines().next(),
        Some("HTTP/1.1 100 Continue")
    );
    connection.send(&whole[body..]).await.unwrap();
    fine(connection.answer().await);

    // One that does not wait.
    connection.send(&whole).await.unwrap();
    fine(connection.answer().await);
    connection.send(&studies(&[])).await.unwrap();
    fine(connection.answer().await);
}

#[tokio::test]
async fn a_client_that_asks_with_too_large_a_body_need_not_send_it() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let head =
        format!("POST {STUDIES} HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: 65537\r\n\r\n");
    let mut connection = Connection::open(gateway.lan).await;

    connection.send(head.as_bytes()).await.unwrap();

    assert!(connection.head().await.unwrap().starts_with("HTTP/1.1 413 "));
    assert!(connection.closed().await);
}

#[tokio::test]
async fn a_body_in_chunks_is_read_like_any_other() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let mut connection = Connection::open(gateway.lan).await;
    for size in [1, 7, 4096] {
        let mut bytes =
            format!("POST {STUDIES} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
        for (index, chunk) in studies_query().as_bytes().chunks(size).enumerate() {
            let extension = if index == 0 { ";name=value" } else { "" };
            bytes.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\nX-Trailer: 1\r\n\r\n");

        connection.send(&bytes).await.unwrap();

        fine(connection.answer().await);
    }
    let lengths: Vec<_> = platform
        .requests()
        .iter()
        .map(|r| r.header("content-length").unwrap().to_owned())
        .collect();
    assert_eq!(lengths.len(), 3);
    assert!(
        platform
            .requests()
            .iter()
            .all(|request| request.header("transfer-encoding").is_none())
    );
}

#[tokio::test]
async fn two_ways_to_end_a_body_cannot_smuggle_a_second_request() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let hidden = String::from_utf8(studies(&[("X-Request-Id", "hidden")])).unwrap();
    let length = studies_query().len();
    for headers in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Content-Length: {length}\r\nContent-Length: {}", length + 1),
        "Transfer-Encoding: identity, chunked, identity".to_owned(),
        "Content-Length: +0".to_owned(),
    ] {
        let mut connection = Connection::open(gateway.lan).await;
        let bytes = format!("POST {STUDIES} HTTP/1.1\r\nHost: gateway\r\n{headers}\r\n\r\n0\r\n\r\n{hidden}");
        connection.send(bytes.as_bytes()).await.unwrap();
        connection.half_close().await;

        let answer = connection.answer().await.unwrap();
        assert!(matches!(answer.status, 400 | 501), "{headers}");
        assert!(connection.answer().await.is_none(), "{headers}");
    }
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn heads_beyond_their_bounds_are_refused() {
    let platform = platform().await;
    let gateway = Settings::calling(&platform)
        .with("lan", "max_headers = 20")
        .with("lan", "max_head_bytes = \"12KiB\"")
        .start();
    let lines = |count: usize| (0..count).map(|n| format!("\r\nX-Line-{n}: 1")).collect::<String>();
    let head = |headers: &str| by_hand(&format!("POST {STUDIES} HTTP/1.1\r\nHost: gateway{headers}"));

    // Host and Content-Length are lines too.
    fine(exchange(gateway.lan, &head(&lines(18))).await);
    fine(exchange(gateway.lan, &head(&format!("\r\nX-Large: {}", "x".repeat(11 << 10)))).await);
    for (name, bytes) in [
        ("lines", head(&lines(19))),
        ("bytes", head(&format!("\r\nX-Large: {}", "x".repeat(48 << 10)))),
        (
            "target",
            by_hand(&format!("POST {STUDIES}?{} HTTP/1.1", "x".repeat(48 << 10))),
        ),
        ("endless", vec![b'x'; 1 << 20]),
    ] {
        let mut connection = Connection::open(gateway.lan).await;
        // It may be closed before everything is sent.
        let _ = connection.send(&bytes).await;
        let status = connection
            .head()
            .await
            .map(|head| head.split(' ').nth(1).unwrap().to_owned());
        assert_eq!(status.as_deref(), Some("431"), "{name}");
        assert!(connection.closed().await, "{name}");
    }
    assert_eq!(platform.request_count(), 2);
    fine(exchange(gateway.lan, &head("")).await);
}

#[tokio::test]
async fn a_client_that_says_nothing_or_says_it_slowly_is_let_go() {
    let platform = platform().await;
    let slow = Settings::calling(&platform)
        .with("lan", "header_timeout_ms = 100")
        .start();
    let silent = Settings::calling(&platform)
        .with("lan", "idle_timeout_ms = 100")
        .start();

    let mut half = Connection::open(slow.lan).await;
    half.send(b"POST /thirdparty/pat").await.unwrap();
    let answer = half.answer().await.unwrap();
    assert_eq!((answer.status, answer.code()), (408, 800_004));
    assert!(half.closed().await);

    // The second head is bounded as the first was.
    let mut second = Connection::open(slow.lan).await;
    second.send(&studies(&[])).await.unwrap();
    fine(second.answer().await);
    second.send(b"P").await.unwrap();
    assert_eq!(second.answer().await.unwrap().status, 408);
    assert!(second.closed().await);

    let mut nothing = Connection::open(silent.lan).await;
    assert!(nothing.answer().await.is_none());
    let mut once = Connection::open(silent.lan).await;
    once.send(&studies(&[])).await.unwrap();
    fine(once.answer().await);
    assert!(once.closed().await);
}

#[tokio::test]
async fn bytes_that_are_not_http_end_the_connection_and_nothing_else() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST /thirdparty/patientStudies HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"POST /thirdparty/patientStudies HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut connection = Connection::open(gateway.lan).await;
        connection.send(bytes).await.unwrap();
        connection.half_close().await;
        let answer = connection.answer().await.unwrap();
        assert!(matches!(answer.status, 400 | 505), "{}", answer.status);
        assert_eq!(answer.code(), 800_001);
        assert!(connection.closed().await);
    }
    assert_eq!(platform.request_count(), 0);
    fine(exchange(gateway.lan, &studies(&[])).await);
}

#[tokio::test]
async fn an_id_of_the_caller_is_kept_if_it_is_safe() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let (longest, too_long) = ("x".repeat(64), "x".repeat(65));
    let kept = ["b", "his-2024.01_05", &longest, "0194a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"];
    let replaced = [
        "",
        &too_long,
        "a b",
        "a\"b",
        "<script>",
        "13800138000",
        "11010119000101009X",
        "中文",
    ];

    let mut given = Vec::new();
    for id in kept.iter().chain(&replaced) {
        let answer = exchange(gateway.lan, &studies(&[("X-Request-Id", id)])).await.unwrap();
        given.push(answer.header("x-request-id").unwrap().to_owned());
    }

    assert_eq!(given[..4], kept);
    assert!(
        given[4..]
            .iter()
            .zip(replaced)
            .all(|(given, sent)| given.len() == 36 && given != sent),
        "{given:?}"
    );
    let log = gateway.stop();
    for (index, id) in given.iter().enumerate() {
        assert_eq!(log.matches(&format!("\"{id}\"")).count(), 1, "{id}");
        assert!(!given[..index].contains(id), "{id}");
    }
    for id in &replaced[1..] {
        assert!(!log.contains(&format!("\"{id}\"")), "{id}");
    }
}

#[tokio::test]
async fn p3_of_a_callers_headers_none_reaches_the_platform() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    let old = "1500000000000";
    let signature = Account::demo().sign(old, &Switches::default());
    let theirs = [
        ("appId", "900009"),
        ("AppId", "900009"),
        ("timestamp", old),
        ("signature", &*signature),
        ("Cookie", "session=c0ffee"),
        ("X-Forwarded-For", "10.1.2.3"),
        ("X-Forwarded-Host", "his.example"),
        ("Forwarded", "for=10.1.2.3"),
        ("Via", "1.1 his"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "a=b"),
        ("baggage", "user=1"),
        ("Authorization", "Bearer c0ffee"),
        ("X-Api-Key", "c0ffee"),
        ("User-Agent", "HIS/1.0"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip, br"),
        ("Accept-Language", "en"),
        ("Referer", "http://his.example/patients"),
        ("X-Request-Id", "the-callers"),
        ("Content-Language", "en"),
        ("Content-Type", "text/plain; charset=gbk"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("TE", "trailers"),
    ];

    fine(exchange(gateway.lan, &studies(&theirs)).await);

    let request = platform.only_request();
    let mut names: Vec<_> = request
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept-encoding",
            "appid",
            "content-length",
            "content-type",
            "host",
            "signature",
            "timestamp"
        ]
    );
    assert_eq!(request.verdict, Some(0));
    assert_eq!(request.header("appid"), Some("900001"));
    assert_eq!(request.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("host"), Some(&*platform.addr().to_string()));
    assert_eq!((&*request.version, &*request.path), ("HTTP/1.1", STUDIES));
    for (name, value) in theirs
        .iter()
        .filter(|(name, _)| !matches!(*name, "Accept" | "X-Hop" | "Accept-Language" | "Content-Language"))
    {
        assert!(!request.contains(value), "{name}");
    }
}

#[tokio::test]
async fn paths_that_mean_nothing_here_are_refused_without_the_platform() {
    let platform = platform().await;
    let gateway = Gateway::before(&platform);
    for path in [
        "/",
        "/metrics",
        "/thirdparty/patientStudies/../x",
        "/thirdparty//patientStudies",
        "/%00",
    ] {
        let answer = get(gateway.lan, path).await;
        assert_eq!((answer.status, answer.code()), (404, 800_006), "{path}");
    }
    assert_eq!(platform.request_count(), 0);
}
