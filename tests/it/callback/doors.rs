//! Who gets as far as a callback at all: the secret part of the path, networks, certificates, and how much.

use aimis_simulator::{Callback, CallbackSender};
use rustls::version::TLS13;

use super::bed::Bed;
use crate::support::client::{Connection, request};
use crate::support::directory::Directory;
use crate::support::tls::Authority;

const SECRET: &str = "a-path_of.enough~0123456789";

#[tokio::test]
async fn the_secret_part_of_the_path_has_to_be_right() {
    let directory = Directory::new();
    let file = directory.file("path", SECRET);
    let bed = Bed::start(|settings| settings.with("callback", &format!("secret_file = \"{file}\""))).await;
    for (path, good) in [
        (format!("/callback/first-hospital/{SECRET}"), true),
        ("/callback/first-hospital".to_owned(), false),
        ("/callback/first-hospital/".to_owned(), false),
        (format!("/callback/first-hospital/{}", &SECRET[1..]), false),
        (format!("/callback/first-hospital/{SECRET}/"), false),
        (format!("/callback/first-hospital/{}", SECRET.to_uppercase()), false),
    ] {
        let reply = bed.sender_to(&path).send(&Callback::demo()).await.unwrap();
        assert_eq!(reply.is_received(), good, "{path}");
    }

    assert_eq!(bed.refused("secret").await, 5);
    let (stored, log) = bed.stop_with_log().await;
    assert_eq!(stored.len(), 1);
    assert!(!log.contains(SECRET));
}

#[tokio::test]
async fn a_tenant_has_a_secret_of_its_own() {
    let directory = Directory::new();
    let (all, own) = (
        directory.file("all", SECRET),
        directory.file("own", "another-path-of-its-own"),
    );
    let bed = Bed::start(|settings| {
        settings
            .with("callback", &format!("secret_file = \"{all}\""))
            .of_tenant(&format!("callback = {{ secret_file = \"{own}\" }}"))
    })
    .await;
    for (secret, good) in [("another-path-of-its-own", true), (SECRET, false)] {
        let sender = bed.sender_to(&format!("/callback/first-hospital/{secret}"));
        assert_eq!(sender.send(&Callback::demo()).await.unwrap().is_received(), good);
    }
}

#[tokio::test]
async fn callbacks_come_from_the_networks_that_are_named() {
    for (networks, good) in [("192.0.2.0/24", false), ("127.0.0.0/8", true)] {
        let bed = Bed::start(|settings| settings.with("callback", &format!("networks = \"{networks}\""))).await;
        let reply = bed.sender().send(&Callback::demo()).await.unwrap();
        assert_eq!(reply.is_received(), good);
        assert_eq!(bed.refused("network").await, u64::from(!good));
        assert_eq!(bed.stop().await.len(), usize::from(good));
    }
}

#[tokio::test]
async fn who_has_no_certificate_does_not_get_in() {
    let (authority, directory) = (Authority::new("callbacks"), Directory::new());
    let server = authority.server();
    let tls = format!(
        "tls = {{ cert_file = \"{}\", key_file = \"{}\", client_ca_file = \"{}\" }}",
        directory.file("cert.pem", &server.certificate_pem),
        directory.file("key.pem", &server.key_pem),
        directory.file("ca.pem", authority.pem())
    );
    let bed = Bed::start(|settings| settings.with("callback", &tls)).await;
    let bytes = bed.sender().request_bytes(&Callback::demo());
    let address = bed.gateway.callback.unwrap();

    let client = authority.client();
    let answer = authority
        .caller(&[&TLS13], Some(&client))
        .ask(address, &bytes)
        .await
        .unwrap();
    assert!(answer.contains("{\"code\":0,"), "{answer}");
    let refused = authority.caller(&[&TLS13], None).ask(address, &bytes).await;
    assert!(refused.is_none_or(|answer| !answer.contains("HTTP/1.1")));

    assert!(
        bed.series("aimis_certificate_not_after_timestamp_seconds{certificate=\"callback\"}")
            .await
            > 0
    );
    assert_eq!(bed.received("accepted").await, 1);
    assert!(
        bed.series("aimis_tls_handshake_failures_total{reason=\"no-certificate\"}")
            .await
            >= 1
    );
}

#[tokio::test]
async fn an_address_that_sends_too_much_is_told_before_anything_is_read() {
    let bed = Bed::start(|settings| settings.with("callback", "max_per_source_per_s = 2")).await;
    let wrong = bed.sender().forge_signature("0").request_bytes(&Callback::demo());
    for _ in 0..2 {
        assert_eq!(bed.exchange(&wrong).await.status, 403);
    }
    let answer = bed.exchange(&wrong).await;

    assert_eq!(
        (answer.status, answer.code(), answer.header("retry-after")),
        (429, 800_201, Some("1"))
    );
    assert_eq!((bed.refused("rate").await, bed.received("bad_signature").await), (1, 2));
    bed.clock.advance(std::time::Duration::from_secs(1));
    assert!(bed.sender().send(&Callback::demo()).await.unwrap().is_received());
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_queries_have_their_own() {
    let bed = Bed::start(|settings| settings.with("callback", "max_connections_per_source = 2")).await;
    let address = bed.gateway.callback.unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open(address).await;
        connection.send(&request("POST", "/x", &[], b"")).await.unwrap();
        assert_eq!(connection.answer().await.unwrap().status, 403);
        held.push(connection);
    }

    let answer = bed.exchange(&bed.sender().request_bytes(&Callback::demo())).await;

    assert_eq!((answer.status, answer.code()), (503, 800_202));
    assert_eq!(bed.series("aimis_callback_connections").await, 2);
    assert_eq!(bed.series("aimis_callback_connections_refused_total").await, 1);
    assert_eq!(bed.gateway.studies().await.status, 200);
}

#[tokio::test]
async fn callbacks_come_over_a_unix_socket_as_well() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    // Its path has a limit of 107 bytes, so it is not in the test's directory.
    let socket = std::env::temp_dir().join(format!("aimis-callback-{}.sock", std::process::id()));
    let bed = Bed::start(|settings| {
        let listen = "networks = \"192.0.2.0/24\"\nsocket_mode = \"0600\"";
        settings
            .with("callback", listen)
            .callback_listen(&format!("[\"127.0.0.1:0\", \"unix:{}\"]", socket.display()))
    })
    .await;
    let bytes = CallbackSender::new("http://gateway/callback/first-hospital", &bed.account)
        .unwrap()
        .forge_timestamp(&bed.clock.now().as_millis().to_string())
        .request_bytes(&Callback::demo());

    let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();

    assert!(answer.contains("{\"code\":0,"), "{answer}");
}
