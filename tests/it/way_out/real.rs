//! Real proxies between gateway and platform: tinyproxy with authentication, nginx and HAProxy as reverse proxies.
//!
//! A program that is missing fails its test with the command that installs it.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use aimis_simulator::{Fault, Platform};
use tokio::net::TcpStream;

use super::{chatty, platform, with_user};
use crate::support::client::PATIENCE;
use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings};

/// Without a colon, which tinyproxy's own configuration does not take.
const REAL_PASSWORD: &str = "passphrase";

/// A program that listens; killed when dropped.
pub struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts it and waits until its port answers.
    pub async fn start(program: &str, package: &str, arguments: &[&str], address: SocketAddr) -> Self {
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        path.push(":/usr/sbin");
        let child = Command::new(program)
            .args(arguments)
            // Where Debian has servers; an ordinary user's path does not lead there.
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; install it: apt-get install {package}"));
        let mut started = Self { child, address };
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                let ended = started.child.try_wait().unwrap();
                assert!(ended.is_none(), "{program} ended: {ended:?}");
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, listening)
            .await
            .expect("the program listens");
        started
    }

    /// Ends it at once, with all its connections; its port is free then.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail for one that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago; these programs cannot be given 0.
pub fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

async fn tinyproxy(directory: &Directory, address: SocketAddr) -> Program {
    let config = format!(
        "Port {}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nAllow 127.0.0.1\nBasicAuth hospital {REAL_PASSWORD}\nLogLevel Critical\n",
        address.port()
    );
    let file = directory.file("tinyproxy.conf", config);
    Program::start("tinyproxy", "tinyproxy", &["-d", "-c", &file], address).await
}

async fn nginx(directory: &Directory, address: SocketAddr, platform: SocketAddr) -> Program {
    let at = directory.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {at}/{name};\n"))
        .collect();
    let config = format!(
        "daemon off; master_process off; error_log /dev/null; pid {at}/nginx.pid;\nevents {{ }}\nhttp {{\n\
         access_log off;\n{temporary}upstream platform {{ server {platform}; keepalive 4; }}\nserver {{\nlisten {address};\n\
         keepalive_requests 3; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
         proxy_read_timeout 1s; proxy_next_upstream off;\nlocation / {{ proxy_pass http://platform; }}\n}}\n}}\n"
    );
    let file = directory.file("nginx.conf", config);
    Program::start(
        "nginx",
        "nginx-light",
        &["-p", &at.to_string(), "-e", "/dev/null", "-c", &file],
        address,
    )
    .await
}

async fn haproxy(directory: &Directory, address: SocketAddr, platform: SocketAddr) -> Program {
    let config = format!(
        "defaults\n mode http\n timeout connect 1s\n timeout client 60s\n timeout server 1s\n option http-keep-alive\n\
         listen platform\n bind {address}\n server one {platform}\n"
    );
    let file = directory.file("haproxy.cfg", config);
    Program::start("haproxy", "haproxy", &["-db", "-q", "-f", &file], address).await
}

#[tokio::test]
async fn tinyproxy_lets_us_through_with_the_password_and_only_so() {
    let (platform, directory) = (platform().await, Directory::new());
    let proxy = tinyproxy(&directory, free_address()).await;
    let settings = Settings::calling(&platform).with("platform", &format!("proxy = \"http://{}\"", proxy.address));

    for refused in [settings.clone(), with_user(settings.clone(), &directory, "wrong")] {
        let answer = chatty(&refused.start()).await;
        assert_eq!((answer.status, answer.code()), (502, 800_301), "{}", answer.text());
        assert!(
            answer.text().contains("the gateway's user or password"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(platform.request_count(), 0);

    let gateway = with_user(settings, &directory, REAL_PASSWORD).start();
    for _ in 0..3 {
        let answer = gateway.studies().await;
        assert_eq!((answer.status, answer.code()), (200, 0), "{}", answer.text());
    }
    assert_eq!(platform.connections_accepted(), 1);
}

#[tokio::test]
async fn tinyproxy_may_die_within_a_question_and_come_back() {
    let (platform, directory) = (platform().await, Directory::new());
    let proxy = tinyproxy(&directory, free_address()).await;
    let address = proxy.address;
    let settings = Settings::calling(&platform).with("platform", &format!("proxy = \"http://{address}\""));
    let gateway = with_user(settings, &directory, REAL_PASSWORD).start();
    assert_eq!(gateway.studies().await.code(), 0);

    platform.push_fault(Fault::Hang);
    let asked = platform.request_count();
    let (answer, ()) = tokio::join!(gateway.studies(), async {
        platform.wait_for_requests(asked + 1).await;
        proxy.kill();
    });
    assert!(
        matches!((answer.status, answer.code()), (502, 800_301 | 800_303)),
        "{answer:?}"
    );
    let down = gateway.studies().await;
    assert_eq!((down.status, down.code()), (502, 800_301), "{}", down.text());

    let proxy = tinyproxy(&directory, address).await;
    assert_eq!(gateway.studies().await.code(), 0);
    // It dies and is back before the next question, whose pooled connection is gone with it.
    proxy.kill();
    let _proxy = tinyproxy(&directory, address).await;
    assert_eq!(gateway.studies().await.code(), 0);
}

/// Answers come through byte for byte, closed connections are never a caller's problem, and pages of the proxy's
/// own are refused.
async fn behind(proxy: Program, gateway: &Gateway, platform: Platform) -> Program {
    for round in 0..20 {
        let answer = gateway.studies().await;
        assert_eq!(
            (answer.status, answer.code()),
            (200, 0),
            "round {round}: {}",
            answer.text()
        );
        assert_eq!(answer.body, platform.requests().last().unwrap().reply);
    }
    platform.set_fault(Fault::Hang);
    let late = chatty(gateway).await;
    assert_eq!((late.status, late.code()), (502, 800_303), "{}", late.text());
    assert!(late.text().contains("A web page came"), "{}", late.text());
    platform.clear_faults();
    assert_eq!(gateway.studies().await.code(), 0);

    platform.stop().await;
    let down = chatty(gateway).await;
    assert_eq!((down.status, down.code()), (502, 800_303), "{}", down.text());
    proxy
}

#[tokio::test]
async fn nginx_between_us_and_the_platform_changes_nothing() {
    let (platform, directory, address) = (platform().await, Directory::new(), free_address());
    let place = platform.addr();
    let proxy = nginx(&directory, address, place).await;
    let gateway = Settings::calling_url(&format!("http://{address}")).start();

    let proxy = behind(proxy, &gateway, platform).await;

    proxy.kill();
    let gone = gateway.studies().await;
    assert_eq!((gone.status, gone.code()), (502, 800_301), "{}", gone.text());
}

#[tokio::test]
async fn haproxy_between_us_and_the_platform_changes_nothing() {
    let (platform, directory, address) = (platform().await, Directory::new(), free_address());
    let proxy = haproxy(&directory, address, platform.addr()).await;
    let gateway = Settings::calling_url(&format!("http://{address}")).start();

    let proxy = behind(proxy, &gateway, platform).await;

    proxy.kill();
    let gone = gateway.studies().await;
    assert_eq!((gone.status, gone.code()), (502, 800_301), "{}", gone.text());
}
