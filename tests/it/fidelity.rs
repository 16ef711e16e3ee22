//! P4: the platform's answer reaches the caller byte for byte.

use std::io::Write;
use std::process::{Command, Stdio};

use aimis_simulator::{Canned, Fault, PATIENT_STUDIES, Platform, PlatformOptions};

use crate::support::client::Answer;
use crate::support::gateway::{Gateway, studies_query};

/// `{"code":0,"message":"成功","data":[],"备注":"誠"}` in GB18030: the last character's second byte is a backslash.
const GB18030: &[u8] = b"{\"code\":0,\"message\":\"\xb3\xc9\xb9\xa6\",\"data\":[],\"\xb1\xb8\xd7\xa2\":\"\xd5\x5c\"}";
/// The same with `code` behind such characters, one of them with a bracket for its second byte.
const GB18030_LATE: &[u8] = b"{\"message\":\"\xd5\x5c\",\"data\":[\"\x81\x5b\"],\"code\":0}";

fn canned(status: u16, content_type: &str, body: &[u8]) -> Canned {
    Canned {
        status,
        content_type: content_type.to_owned(),
        headers: Vec::new(),
        body: body.to_vec(),
    }
}

/// Bodies that a reader and writer of JSON would change.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let filled = |size: usize| {
        let mut body = br#"{"code":0,"message":"success","data":["#.to_vec();
        while body.len() < size {
            body.extend_from_slice(br#"{"studyName":"\u80f8\u90e8CT\u5e73\u626b","n":1.10},"#);
        }
        body.extend_from_slice(b"null]}");
        body
    };
    let texts = [
        (
            "numbers",
            r#"{"code":0,"data":[1.10,1E+2,-0,-0.0,0.1e-7,123456789012345678901234567890,9007199254740993]}"#,
        ),
        ("no double holds it", r#"{"code":0,"data":1e400}"#),
        (
            "key order",
            r#"{"zulu":1,"data":{"b":1,"a":2,"10":3,"9":4},"message":"success","code":0,"alpha":2}"#,
        ),
        (
            "escapes",
            r#"{"code":0,"message":"\u4e2d\u6587 \/ \ud83d\ude00 \u0041","data":"中文"}"#,
        ),
        ("lone surrogate", r#"{"code":0,"message":"\ud800"}"#),
        ("duplicate keys", r#"{"code":0,"data":1,"data":2,"code":7}"#),
        (
            "unknown fields",
            r#"{"code":0,"message":"success","data":[],"traceId":"t","next":{"page":null}}"#,
        ),
        ("white space", "\r\n\t {\r\n\t\"code\" :\t0 ,\n \"data\":[ ]\n}\r\n \n"),
        ("byte order mark", "\u{feff}{\"code\":0,\"data\":[]}"),
        ("code as text", r#"{"code":"0","message":"success"}"#),
        ("no code", r#"{"message":"success"}"#),
        ("an error code", r#"{"code":30009,"message":"no permission","data":{}}"#),
        (
            "control characters",
            "{\"code\":0,\"message\":\"a\u{1}b\u{7f}\u{2028}\u{0}\"}",
        ),
        ("no object inside", "{}"),
    ];
    let mut bodies: Vec<_> = texts.map(|(name, text)| (name, text.as_bytes().to_vec())).into();
    bodies.push(("GB18030", GB18030.to_vec()));
    bodies.push(("GB18030, code behind", GB18030_LATE.to_vec()));
    bodies.push(("64 KiB", filled(64 << 10)));
    bodies.push(("3 MiB", filled(3 << 20)));
    bodies
}

/// The answer is what the platform sent: the body and status that it recorded, and its `Content-Type`.
#[track_caller]
fn assert_relayed(name: &str, platform: &Platform, canned: &Canned, answer: &Answer) {
    let sent = platform.requests().pop().unwrap();
    assert_eq!(sent.reply, canned.body, "{name}: the platform sent it whole");
    assert_eq!(
        (answer.status, sent.reply_status),
        (canned.status, canned.status),
        "{name}"
    );
    assert!(
        answer.body == sent.reply,
        "{name}: {} bytes came, {} were sent",
        answer.body.len(),
        sent.reply.len()
    );
    let types: Vec<_> = answer
        .headers
        .iter()
        .filter(|(n, _)| n == "content-type")
        .map(|(_, v)| v.as_str())
        .collect();
    let sent_types: Vec<_> = Some(canned.content_type.as_str())
        .into_iter()
        .filter(|t| !t.is_empty())
        .collect();
    assert_eq!(types, sent_types, "{name}");
    assert_eq!(answer.header("x-aimis-origin"), Some("platform"), "{name}");
}

#[tokio::test]
async fn p4_every_byte_of_the_platforms_answer_arrives() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);

    for framing in [Fault::None, Fault::Chunked, Fault::CloseAfter] {
        platform.set_fault(framing.clone());
        for (name, body) in bodies() {
            let canned = canned(200, "application/json; charset=utf-8", &body);
            platform.set_reply(PATIENT_STUDIES, canned.clone());

            let answer = gateway.studies().await;

            assert_relayed(&format!("{name}, {framing:?}"), &platform, &canned, &answer);
        }
    }
}

#[tokio::test]
async fn p4_status_and_content_type_arrive_as_they_were_sent() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let envelope = br#"{"code":1,"message":"internal error","data":null}"#;
    let types = [
        "application/json",
        "Application/JSON ;  charset=\"GBK\"; x=y",
        "text/html",
        "text/plain;charset=gb18030",
        "",
    ];

    for status in [200, 201, 203, 226, 400, 401, 403, 404, 418, 429, 500, 599] {
        for content_type in types {
            let canned = canned(status, content_type, envelope);
            platform.set_reply(PATIENT_STUDIES, canned.clone());
            // One each: who is told 429 asks no more for a while.
            let gateway = Gateway::before(&platform);

            let answer = gateway.studies().await;

            assert_relayed(&format!("{status} {content_type}"), &platform, &canned, &answer);
        }
    }
}

#[tokio::test]
async fn p4_headers_that_speak_of_the_platforms_own_connection_stay_behind() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let leaving = [("Retry-After", "7")];
    let staying = [
        ("Set-Cookie", "session=c0ffee"),
        ("X-Request-Id", "the-platforms-own"),
        ("X-Aimis-Origin", "forged"),
        ("X-Aimis-Warnings", "forged"),
        ("Cache-Control", "public, max-age=600"),
        ("Access-Control-Allow-Origin", "*"),
        ("Location", "https://elsewhere.example/"),
        ("Via", "1.1 between"),
    ];
    let headers = leaving
        .iter()
        .chain(&staying)
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    platform.set_reply(
        PATIENT_STUDIES,
        Canned {
            headers,
            ..r#"{"code":0}"#.into()
        },
    );

    let answer = gateway.studies().await;

    let arrived: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    let mut wanted = [
        "content-type",
        "retry-after",
        "x-request-id",
        "x-aimis-origin",
        "cache-status",
        "cache-control",
        "content-length",
        "date",
    ];
    wanted.sort_unstable();
    let mut sorted = arrived.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, wanted);
    for (_, value) in staying {
        assert!(!answer.headers.iter().any(|(_, arrived)| arrived == value), "{value}");
    }
}

#[tokio::test]
async fn p4_curl_gets_the_same_bytes() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let gateway = Gateway::before(&platform);
    let ways: [&[&str]; 4] = [
        &[],
        &["--http1.0"],
        &["-H", "Transfer-Encoding: chunked"],
        &["-H", "Expect: 100-continue"],
    ];

    for (name, body) in bodies() {
        let canned = canned(200, "application/json;charset=UTF-8", &body);
        platform.set_reply(PATIENT_STUDIES, canned.clone());
        for way in ways {
            let answer = curl(&gateway, way, &studies_query()).await;

            assert_relayed(&format!("{name} {way:?}"), &platform, &canned, &answer);
        }
    }
}

/// Asks with the real curl, the body on its standard input.
async fn curl(gateway: &Gateway, way: &[&str], body: &str) -> Answer {
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "--include",
        ])
        .args(["--header", "Content-Type: application/json", "--data-binary", "@-"])
        .args(way)
        .arg(format!("http://{}/thirdparty/patientStudies/900001", gateway.lan))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let body = body.to_owned();
    let done = tokio::task::spawn_blocking(move || {
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("curl: {e}; install it: apt-get install curl"));
        child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let done = done.await.unwrap();
    assert!(
        done.status.success(),
        "curl {way:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    parse(done.stdout)
}

/// Heads and body as `curl --include` prints them.
fn parse(mut printed: Vec<u8>) -> Answer {
    loop {
        let end = printed.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let body = printed.split_off(end + 4);
        let head = String::from_utf8(printed).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 100 {
            printed = body;
            continue;
        }
        let headers = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        return Answer { status, headers, body };
    }
}
