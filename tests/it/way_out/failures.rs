//! Each failure of a proxy is told apart from the others and from the platform's; bad settings are refused.

use std::process::Command;

use aimis_simulator::Fault;
use tokio::io::AsyncWriteExt;

use super::{NAME, PASSWORD, chatty, platform, with_user};
use crate::support::client::post;
use crate::support::directory::Directory;
use crate::support::gateway::{Settings, studies_query};
use crate::support::proxy::{Conduct, Proxy};
use crate::support::{binary, process};

/// What a caller and the log are told.
struct Told {
    en: &'static str,
    zh: &'static str,
    proxy_status: &'static str,
    name: &'static str,
}

const fn told(en: &'static str, zh: &'static str, proxy_status: &'static str, name: &'static str) -> Told {
    Told {
        en,
        zh,
        proxy_status,
        name,
    }
}

async fn expect(settings: &Settings, told: &Told) {
    let gateway = settings.start();
    for (language, text) in [("en", told.en), ("zh", told.zh)] {
        let headers = [("Accept-Language", language)];
        let path = "/thirdparty/patientStudies/900001";
        let answer = post(gateway.lan, path, &headers, studies_query().as_bytes()).await;
        assert_eq!((answer.status, answer.code()), (502, 800_301), "{}", answer.text());
        assert_eq!(answer.json()["type"], "/errors/platform-unreachable");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(text),
            "{}",
            answer.text()
        );
        assert_eq!(
            answer.header("proxy-status"),
            Some(&*format!("aimis; error={}", told.proxy_status))
        );
    }
    let log = gateway.stop();
    assert!(log.contains(&format!("\"error.type\":\"{}\"", told.name)), "{log}");
    assert!(!log.contains("phrase"), "{log}");
    crate::log_fields::checked(&log);
}

#[tokio::test]
async fn what_a_proxy_answers_is_told_apart() {
    let platform = platform().await;
    let directory = Directory::new();
    let proxy = Proxy::to(platform.addr()).await;
    let rows = [
        (
            Conduct::Tunnel(Some("Basic b3RoZXI6b3RoZXI=")),
            told(
                "user or password",
                "用户名或密码",
                "proxy_configuration_error; received-status=407",
                "proxy_auth",
            ),
        ),
        (
            Conduct::Say("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
            told(
                "status 403",
                "状态码 403",
                "http_request_denied; received-status=403",
                "proxy_refused",
            ),
        ),
        (
            Conduct::Say("HTTP/1.0 503 Unavailable\r\n\r\n<html>"),
            told(
                "status 503",
                "状态码 503",
                "destination_unavailable; received-status=503",
                "proxy_refused",
            ),
        ),
        (
            Conduct::Say("SSH-2.0-OpenSSH_9.2\r\n"),
            told(
                "does not speak HTTP",
                "未按 HTTP 代理应答",
                "http_protocol_error",
                "proxy_not_http",
            ),
        ),
        (
            Conduct::Say(""),
            told(
                "closed the connection",
                "未应答即断开",
                "connection_terminated",
                "proxy_no_answer",
            ),
        ),
        (
            Conduct::Cut,
            told(
                "cut its tunnel",
                "中断了到影像平台的通道",
                "connection_terminated",
                "tunnel_cut",
            ),
        ),
        (
            Conduct::Hang,
            told(
                "in time",
                "未在规定时间内建立通道",
                "connection_timeout",
                "proxy_timeout",
            ),
        ),
    ];
    for (conduct, told) in rows {
        proxy.conduct(conduct);
        let settings = Settings::calling_url(&format!("https://{NAME}")).with("platform", &proxy.line());
        let timeout = if matches!(conduct, Conduct::Hang) { 200 } else { 9_000 };
        let settings = settings.with("platform", &format!("connect_timeout_ms = {timeout}"));
        expect(&with_user(settings, &directory, PASSWORD), &told).await;
    }
    assert_eq!(platform.request_count(), 0);
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_told_apart() {
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
            told(
                "proxy on the way could not be connected",
                "到代理服务器的连接",
                "connection_refused",
                "proxy_connect",
            ),
        ),
        (
            "http://nonexistent.invalid:3128".to_owned(),
            told("name of the proxy", "代理服务器的域名", "dns_error", "proxy_dns"),
        ),
        (
            format!("https://{without_tls}"),
            told(
                "TLS with the proxy",
                "与代理服务器的 TLS",
                "tls_protocol_error",
                "proxy_tls",
            ),
        ),
    ];
    for (proxy, told) in rows {
        let settings = Settings::calling_url(&format!("https://{NAME}"))
            .with("platform", &format!("proxy = \"{proxy}\""))
            // A resolver without a network takes its time to say so.
            .with("platform", "connect_timeout_ms = 50000")
            .with("platform", "deadline_ms = 55000");
        expect(&settings, &told).await;
    }
}

/// What `check` says about these lines of `[platform]`.
#[track_caller]
fn complaint(directory: &Directory, lines: &str) -> String {
    let token = directory.file("token", "0123456789abcdef0123456789abcdef");
    let text =
        format!("[platform]\n{lines}\n[[tenants]]\nname = \"first\"\napp_id = \"900001\"\ntoken_file = \"{token}\"\n");
    let file = directory.file("gateway.toml", text);
    let command: Command = binary::command(&["check", "--config", &file]);
    let output = process::run(command, b"");
    assert_eq!(output.status.code(), Some(78), "{lines}");
    String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
}

#[test]
fn settings_of_the_way_that_cannot_work_are_refused_without_their_secrets() {
    let directory = Directory::new();
    let broken = directory.file("broken.pem", "-----BEGIN PRIVATE KEY-----\nGEHEIMGEHEIM\n");
    let password = directory.file("password", "geheim\n");
    let proxy = "proxy = \"http://proxy.hospital:3128\"";
    for (lines, reason) in [
        (
            "proxy = \"http://user:geheim@proxy.hospital:3128\"".to_owned(),
            "belong into `proxy_user` and `proxy_password_file`",
        ),
        (
            format!("{proxy}\nproxy_user = \"u\""),
            "is set without `proxy_password_file`",
        ),
        (
            format!("{proxy}\nproxy_user = \"a:b\"\nproxy_password_file = \"{password}\""),
            "none of them a colon",
        ),
        (
            format!("{proxy}\nproxy_user = \"u\"\nproxy_password_file = \"{password}\""),
            "has a line end or another control character",
        ),
        (
            format!("proxy_user = \"u\"\nproxy_password_file = \"{password}\""),
            "is without effect: there is no proxy",
        ),
        (
            format!("client_cert_file = \"{broken}\""),
            "is set without `client_key_file`",
        ),
        (
            format!("client_cert_file = \"{broken}\"\nclient_key_file = \"{broken}\""),
            "platform.client_cert_file",
        ),
        (format!("extra_ca_file = \"{broken}\""), "broken.pem: "),
    ] {
        let complaint = complaint(&directory, &lines);
        assert!(complaint.contains(reason), "{lines}: {complaint}");
        assert!(!complaint.to_lowercase().contains("geheim"), "{lines}: {complaint}");
    }
}

/// What goes wrong with a question that is under way when the proxy dies is a clean refusal.
#[tokio::test]
async fn a_proxy_that_dies_is_told_and_works_again_when_it_is_back() {
    let platform = platform().await;
    let proxy = Proxy::to(platform.addr()).await;
    let gateway = Settings::calling(&platform).with("platform", &proxy.line()).start();
    assert_eq!(gateway.studies().await.code(), 0);

    platform.push_fault(Fault::Hang);
    let asked = platform.request_count();
    let (answer, address) = tokio::join!(gateway.studies(), async {
        platform.wait_for_requests(asked + 1).await;
        proxy.die().await
    });
    assert!(
        matches!((answer.status, answer.code()), (502, 800_301 | 800_303)),
        "{answer:?}"
    );
    let down = chatty(&gateway).await;
    assert_eq!((down.status, down.code()), (502, 800_301), "{}", down.text());
    assert_eq!(down.header("proxy-status"), Some("aimis; error=connection_refused"));
    assert!(down.text().contains("proxy"), "{}", down.text());

    let proxy = Proxy::start(&address.to_string(), Some(platform.addr()), None).await;
    assert_eq!(gateway.studies().await.code(), 0);

    // Its tunnels die while nothing is asked; nobody notices.
    let address = proxy.die().await;
    let _proxy = Proxy::start(&address.to_string(), Some(platform.addr()), None).await;
    assert_eq!(gateway.studies().await.code(), 0);
}
