//! What is recorded, and the wire's own manners: keep-alive, pipelining, chunks, TLS, an end on drop.

use crate::ask::{Ask, NOW_MS, Wire, platform, platform_with};
use aimis_simulator::{Account, Fault, Platform, PlatformOptions};
use std::sync::Arc;

#[tokio::test]
async fn a_record_is_what_went_over_the_wire() {
    let platform = platform().await;
    let ask = Ask::studies().header("X-Odd", "a:b  c");
    let reply = ask.send(&platform).await;

    let record = platform.only_request();

    assert_eq!([record.head.as_slice(), &record.body].concat(), ask.bytes());
    assert_eq!(
        (record.method.as_str(), record.path.as_str()),
        ("POST", "/thirdparty/patientStudies/900001")
    );
    assert_eq!(record.version, "HTTP/1.1");
    assert_eq!(record.headers[..ask.headers.len()], ask.headers);
    assert_eq!(record.header("x-odd"), Some("a:b  c"));
    assert_eq!((record.received_at_ms, record.connection), (NOW_MS, 1));
    assert_eq!(record.decrypted.as_ref().unwrap()["phoneNum"], "13800138000");
    assert_eq!(record.decrypted.as_ref().unwrap()["idNum"], "11010119000101009X");
    assert_eq!((record.verdict, record.reply_status), (Some(0), 200));
    assert_eq!(record.reply, reply.body);
    assert!(record.contains("554fb5befba4daabdb8169e45db64485") && record.contains("timestamp: 1735689600000"));
    assert!(!record.contains("13800138000"));
}

#[tokio::test]
async fn a_fault_changes_the_answer_and_not_the_verdict() {
    let platform = platform().await;
    platform.push_fault(Fault::HalfBody);
    let mut wire = Wire::connect(platform.addr()).await;
    wire.write(&Ask::studies().header("signature", "0").bytes()).await;
    let (bytes, _) = wire.read_to_end().await;

    let record = platform.only_request();

    assert_eq!((record.verdict, record.fault), (Some(90_002), Some(Fault::HalfBody)));
    assert_eq!(record.decrypted, None);
    assert!(bytes.ends_with(&record.reply) && !record.reply.is_empty());
}

#[tokio::test]
async fn canned_bytes_arrive_unchanged_and_only_for_good_requests() {
    let platform = platform().await;
    let odd = b"{ \"code\" : 0,\"n\":12345678901234567890123,\"b\":1,\"a\":1.0,\"code\":0}\n";
    platform.set_reply("patientStudies", odd);

    assert_eq!(Ask::studies().send(&platform).await.body, odd);
    assert_eq!(Ask::studies().header("signature", "0").code(&platform).await, 90_002);
    platform.clear_reply("patientStudies");
    assert_eq!(Ask::studies().code(&platform).await, 0);
}

#[tokio::test]
async fn a_canned_reply_teaches_a_new_api() {
    let platform = platform().await;
    let ask = Ask::of("patientImages", Ask::studies().body);
    assert_eq!(ask.send(&platform).await.status, 404);

    platform.set_reply("patientImages", r#"{"code":0,"data":{}}"#);

    assert_eq!(ask.code(&platform).await, 0);
    assert_eq!(ask.field("idNum", "00").code(&platform).await, 10_005);
}

#[tokio::test]
async fn records_are_bounded_and_counted_and_can_be_switched_off() {
    let platform = platform_with(PlatformOptions {
        record_limit: 2,
        ..PlatformOptions::default()
    })
    .await;
    for n in 0..4 {
        Ask::studies().header("X-N", &n.to_string()).send(&platform).await;
    }
    let kept: Vec<_> = platform
        .requests()
        .iter()
        .map(|record| record.header("x-n").unwrap().to_owned())
        .collect();
    assert_eq!(kept, ["2", "3"]);
    assert_eq!(platform.request_count(), 4);

    platform.clear_requests();
    platform.set_recording(false);
    Ask::studies().send(&platform).await;
    assert!(platform.requests().is_empty());
    assert_eq!(platform.request_count(), 1);
}

#[tokio::test]
async fn one_connection_carries_many_requests_pipelined_or_not() {
    let platform = platform().await;
    let mut wire = Wire::connect(platform.addr()).await;

    wire.write(&[Ask::studies().bytes(), Ask::studies().bytes()].concat())
        .await;
    let first = wire.reply().await.unwrap();
    let second = wire.reply().await.unwrap();
    wire.write(&Ask::studies().header("Connection", "close").bytes()).await;
    let third = wire.reply().await.unwrap();

    assert_eq!(first.header("connection"), Some("keep-alive"));
    assert_eq!(second.status, 200);
    assert_eq!(third.header("connection"), Some("close"));
    assert_eq!(wire.read_to_end().await, (Vec::new(), false));
    assert_eq!(platform.connections_accepted(), 1);
    assert!(platform.requests().iter().all(|record| record.connection == 1));
}

#[tokio::test]
async fn chunked_bodies_and_expectations_are_understood() {
    let platform = platform().await;
    let body = Ask::studies().body.to_string();
    let whole = String::from_utf8(Ask::studies().bytes_with_body(b"")).unwrap();
    let chunked = whole.replace("Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n");
    let mut wire = Wire::connect(platform.addr()).await;
    let (front, back) = body.split_at(100);
    wire.write(format!("{chunked}64\r\n{front}\r\n{:X}\r\n{back}\r\n0\r\n\r\n", back.len()).as_bytes())
        .await;
    assert_eq!(wire.reply().await.unwrap().json()["code"], 0);
    assert_eq!(platform.only_request().body, body.as_bytes());

    let length = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    wire.write(whole.replace("Content-Length: 0\r\n", &length).as_bytes())
        .await;
    assert_eq!(wire.head().await.unwrap().head, "HTTP/1.1 100 Continue\r\n\r\n");
    wire.write(body.as_bytes()).await;
    assert_eq!(wire.reply().await.unwrap().json()["code"], 0);
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused_and_told() {
    let platform = platform().await;
    let mut wire = Wire::connect(platform.addr()).await;
    wire.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")
        .await;

    assert_eq!(wire.reply().await.unwrap().status, 400);
    assert_eq!(wire.read_to_end().await, (Vec::new(), false));
    assert_eq!(platform.malformed(), ["more than one Content-Length"]);
    assert!(platform.requests().is_empty());
    let huge = vec![b' '; 1024 * 1024 + 1];
    let mut wire = Wire::connect(platform.addr()).await;
    wire.write(&Ask::studies().bytes_with_body(&huge)[..1000]).await;
    assert_eq!(wire.reply().await.unwrap().status, 413);
}

#[tokio::test]
async fn the_same_platform_speaks_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let platform = platform_with(PlatformOptions {
        tls: Some(Arc::new(server)),
        ..PlatformOptions::default()
    })
    .await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(platform.base_url().starts_with("https://127.0.0.1:"));

    // The callback sender is the TLS client at hand; to the platform its body is a query without fields.
    let url = format!(
        "https://localhost:{}/thirdparty/patientStudies/900001",
        platform.addr().port()
    );
    let sender = aimis_simulator::CallbackSender::new(&url, &Account::demo()).unwrap();
    let sender = sender
        .tls(Arc::new(client))
        .clock(platform.clock())
        .forge_body(Ask::studies().body.to_string());
    let reply = sender.send(&aimis_simulator::Callback::demo()).await.unwrap();
    assert_eq!((reply.status, reply.code), (200, Some(0)));
    assert_eq!(platform.only_request().verdict, Some(0));

    platform.push_fault(Fault::ResetWithinBody);
    let error = sender.send(&aimis_simulator::Callback::demo()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn stopping_frees_the_port_and_ends_every_connection() {
    let platform = platform().await;
    let addr = platform.addr();
    let mut idle = Wire::connect(addr).await;
    idle.write(&Ask::studies().bytes()).await;
    idle.reply().await.unwrap();

    platform.stop().await;

    assert!(idle.read_to_end().await.0.is_empty());
    let again = Platform::start(PlatformOptions {
        listen: addr,
        ..PlatformOptions::default()
    })
    .await
    .unwrap();
    assert_eq!(again.addr(), addr);
    drop(again);
    while tokio::net::TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_are_all_answered() {
    let platform = platform().await;
    let clients = (0..16).map(|_| {
        let addr = platform.addr();
        tokio::spawn(async move {
            let mut wire = Wire::connect(addr).await;
            for _ in 0..50 {
                wire.write(&Ask::studies().bytes()).await;
                assert_eq!(wire.reply().await.unwrap().status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    platform.wait_for_requests(800).await;
    assert!(platform.requests().iter().all(|record| record.verdict == Some(0)));
}
