//! Real reverse proxies in front of both doors: nginx and HAProxy, as hospitals have them.

use std::net::SocketAddr;
use std::process::Command;

use aimis_gateway::clock::Clock;
use aimis_simulator::{Account, Callback, CallbackSender, Platform, PlatformOptions};

use crate::support::directory::Directory;
use crate::support::gateway::{Gateway, Settings, studies_query};
use crate::support::process::run;
use crate::support::tls::Authority;
use crate::way_out::real::{Program, free_address};

const STUDIES: &str = "/thirdparty/patientStudies/900001";

/// A proxy with a plain door and one with TLS and HTTP/2, in front of both doors of a gateway.
struct Front {
    _program: Program,
    plain: SocketAddr,
    secure: SocketAddr,
}

/// Certificate and key of the proxy, in one file.
fn certificate(directory: &Directory) -> String {
    let pair = Authority::new("front").server();
    directory.file("front.pem", pair.certificate_pem + &pair.key_pem)
}

async fn nginx(gateway: &Gateway, directory: &Directory) -> Front {
    let (plain, secure) = (free_address(), free_address());
    let (at, pem) = (directory.path().display(), certificate(directory));
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {at}/{name};\n"))
        .collect();
    let config = format!(
        "daemon off; master_process off; error_log /dev/null; pid {at}/nginx.pid;\nevents {{ }}\nhttp {{\n\
         access_log off;\n{temporary}upstream lan {{ server {}; keepalive 4; }}\n\
         upstream callback {{ server {}; keepalive 4; }}\nserver {{\nlisten {plain}; listen {secure} ssl http2;\n\
         ssl_certificate {pem}; ssl_certificate_key {pem};\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;\n\
         proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;\n\
         proxy_set_header Forwarded \"for=$remote_addr;proto=$scheme\"; proxy_next_upstream off;\n\
         location /callback/ {{ proxy_pass http://callback; }}\nlocation / {{ proxy_pass http://lan; }}\n}}\n}}\n",
        gateway.lan,
        gateway.callback.unwrap(),
    );
    let (at, file) = (at.to_string(), directory.file("nginx.conf", config));
    let arguments = ["-p", &at, "-e", "/dev/null", "-c", &file];
    let program = Program::start("nginx", "nginx-light", &arguments, plain).await;
    Front {
        _program: program,
        plain,
        secure,
    }
}

/// With `protocol` as further words for the servers: `proto h2` speaks HTTP/2 with the gateway, too.
async fn haproxy(gateway: &Gateway, directory: &Directory, protocol: &str) -> Front {
    let (plain, secure, pem) = (free_address(), free_address(), certificate(directory));
    let config = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n option forwardfor\n\
         frontend front\n bind {plain}\n bind {secure} ssl crt {pem} alpn h2,http/1.1\n\
         http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}\n\
         use_backend callback if {{ path_beg /callback/ }}\n default_backend lan\n\
         backend lan\n http-reuse always\n server one {} {protocol}\n\
         backend callback\n http-reuse always\n server one {}\n",
        gateway.lan,
        gateway.callback.unwrap(),
    );
    let file = directory.file("haproxy.cfg", config);
    let program = Program::start("haproxy", "haproxy", &["-db", "-q", "-f", &file], plain).await;
    Front {
        _program: program,
        plain,
        secure,
    }
}

/// Asks with curl, several times over one connection: what it was told of each answer, and the bodies.
async fn curl(arguments: &[&str], url: &str, times: usize) -> Vec<(String, serde_json::Value)> {
    let mut command = Command::new("curl");
    command.args([
        "-sk",
        "--max-time",
        "30",
        "-H",
        "Content-Type: application/json",
        "-w",
        "\n%{http_version} %{num_connects}\n",
    ]);
    command.args(arguments).args(["-d", &studies_query()]);
    command.args((0..times).map(|_| url));
    let output = tokio::task::spawn_blocking(move || run(command, b"")).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let answer = |pair: &[&str]| (pair[1].to_owned(), serde_json::from_str(pair[0]).unwrap());
    lines.chunks_exact(2).map(answer).collect()
}

/// What has to hold behind any of them.
async fn holds(platform: &Platform, gateway: &Gateway, front: &Front) {
    let asked = platform.request_count();
    let told = |answers: &[(String, serde_json::Value)]| -> Vec<String> {
        assert!(answers.iter().all(|(_, answer)| answer["code"] == 0), "{answers:?}");
        answers.iter().map(|(told, _)| told.clone()).collect()
    };
    let plain = format!("http://{}{STUDIES}", front.plain);
    let secure = format!("https://{}{STUDIES}", front.secure);

    // One connection of the HIS, which is kept, and its words about itself.
    let forged = ["-H", "X-Forwarded-For: 10.1.2.3", "-H", "Forwarded: for=10.1.2.3"];
    let answers = told(&curl(&forged, &plain, 6).await);
    assert_eq!(answers, ["1.1 1", "1.1 0", "1.1 0", "1.1 0", "1.1 0", "1.1 0"]);
    // HTTP/2 with the proxy, and a body that waits until it may come.
    assert_eq!(told(&curl(&["--http2"], &secure, 3).await), ["2 1", "2 0", "2 0"]);
    let waiting = ["--http1.1", "-H", "Expect: 100-continue"];
    assert_eq!(told(&curl(&waiting, &plain, 2).await), ["1.1 1", "1.1 0"]);
    assert_eq!(platform.request_count() - asked, 11);
    let open = gateway.metric("aimis_lan_connections").await.unwrap();
    assert!(
        open <= 4.0,
        "{open} connections for eleven questions one after the other"
    );
    for recorded in platform.requests() {
        let said = |name: &str| {
            recorded
                .headers
                .iter()
                .any(|(header, _)| header.eq_ignore_ascii_case(name))
        };
        assert!(
            !["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"]
                .iter()
                .any(|name| said(name))
        );
    }

    // A callback through it is as good as one without.
    let then = Clock::system().now().as_millis() - 60_000 - platform.request_count();
    let sender = CallbackSender::new(
        &format!("http://{}/callback/first-hospital", front.plain),
        &Account::demo(),
    );
    let sender = sender.unwrap().forge_timestamp(&then.to_string());
    let delivery = sender
        .send(&Callback::demo().study(&format!("study-{then}")))
        .await
        .unwrap();
    assert!(delivery.is_received(), "{delivery:?}");
}

/// Only who comes from the proxy may ask, whatever a header says of him.
fn settings(platform: &Platform, directory: &Directory) -> Settings {
    Settings::calling(platform)
        .callbacks(directory)
        .client("name = \"front\"\nnetworks = [\"127.0.0.1/32\"]")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_in_front_of_both_doors() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    let directory = Directory::new();
    let gateway = settings(&platform, &directory).start();
    let front = nginx(&gateway, &directory).await;
    holds(&platform, &gateway, &front).await;
    let stored = "aimis_callbacks_received_total{result=\"accepted\"}";
    assert_eq!(gateway.metric(stored).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_in_front_of_both_doors_in_both_protocols() {
    let platform = Platform::start(PlatformOptions::default()).await.unwrap();
    for (protocol, http2) in [("", false), ("proto h2", true)] {
        let directory = Directory::new();
        let settings = settings(&platform, &directory).with("lan", &format!("http2 = {http2}"));
        let gateway = settings.start();
        let front = haproxy(&gateway, &directory, protocol).await;
        holds(&platform, &gateway, &front).await;
    }
}
