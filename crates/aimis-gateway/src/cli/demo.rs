//! `demo`: simulator and gateway in one process; one query and one callback shown step by step.

mod callback;

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aimis_simulator::{Account, Recorded, RunOptions, Running};
use futures_util::future::poll_immediate;

use self::callback::{Directory, TENANT, Way};
use super::output::{self, Failure};
use crate::app::{Gateway, Surroundings};
use crate::clock::Clock;
use crate::config::{self, Sources};

/// What the HIS sends: a made-up patient, the study type as a string, as many a HIS has it.
const QUERY: &str = r#"{"patientName":"张三","phoneNum":"138 0013 8000","idNum":"11010119000101009x","studyType":"0","dataFlag":1,"usage":0,"studyDateBegin":"2024-01-01 00:00:00","studyDateEnd":"2025-12-31 23:59:59"}"#;
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// End after the tour instead of running on until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Print the tour as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let simulator = runtime
        .block_on(aimis_simulator::run(RunOptions::default()))
        .map_err(|error| Failure::Bind(error.to_string()))?;
    let log = Captured::default();
    let directory = Directory::new()?;
    let gateway = start(&simulator, &log, &directory)?;
    let lan = *gateway
        .lan()
        .first()
        .ok_or_else(|| Failure::Problem("no LAN address".to_owned()))?;

    let answer = ask(lan)?;
    let tour = Tour::new(&gateway, &simulator, answer)?;
    let listener = *gateway
        .callback()
        .first()
        .ok_or_else(|| Failure::Problem("no address for callbacks".to_owned()))?;
    let way = Way::go(&runtime, listener, &simulator)?;
    let whole = tour.same_bytes && tour.status == 200 && way.whole;
    if arguments.json {
        let mut shown = tour.json();
        shown["callback"] = way.json();
        output::json(&shown)?
    } else {
        output::print(&format!("{}{}{}", tour.text(), way.text(), tour.advice()))?
    }

    if arguments.once {
        gateway.drain();
        if !arguments.json {
            output::print(&log.request_line())?;
        }
    } else {
        // Listened for from the first poll on: whoever reads the line may press it at once.
        let mut ctrl_c = pin!(tokio::signal::ctrl_c());
        let pressed = runtime.block_on(poll_immediate(&mut ctrl_c));
        if !arguments.json {
            output::line("Both run on. Try the line above; Ctrl-C ends them.")?;
        }
        pressed.unwrap_or_else(|| runtime.block_on(ctrl_c))?;
        gateway.drain();
    }
    runtime.block_on(simulator.stop());
    if whole {
        Ok(())
    } else {
        Err(Failure::Problem(
            "the demo's query or callback did not arrive whole".to_owned(),
        ))
    }
}

/// A gateway on embedded defaults in front of the simulator: on the usual ports, or on free ones.
fn start(simulator: &Running, log: &Captured, directory: &Directory) -> Result<Gateway, Failure> {
    let account = Account::demo();
    let his = simulator
        .his
        .as_ref()
        .map_or_else(String::new, aimis_simulator::His::url);
    let file = |name: &str| directory.path().join(name).display().to_string();
    let start = |lan: &str, telemetry: &str, callback: &str| {
        let text = format!(
            "[lan]\nlisten = \"{lan}\"\n[telemetry]\nlisten = \"{telemetry}\"\n\
             [callback]\nlisten = \"{callback}\"\nsignature = \"required\"\n\
             [inbox]\npath = {:?}\nkey_file = {:?}\n\
             [runtime]\nworkers = 1\n[platform]\nbase_url = \"{}\"\n\
             [[tenants]]\nname = \"{TENANT}\"\napp_id = \"{}\"\nhospital_id = \"{}\"\nunion_id = \"{}\"\n\
             callback.target = \"{his}\"\n",
            file("inbox.db"),
            file("inbox.key"),
            simulator.platform.base_url(),
            account.app_id,
            account.hospital_id,
            account.union_id,
        );
        let token = [("AIMIS_TENANTS__0__TOKEN", account.token.as_str())];
        let loaded = config::load(&Sources::text("demo.toml", text).with_env(token))?;
        let surroundings = Surroundings {
            resolver: crate::upstream::addresses::Resolver::system(),
            clock: Clock::system(),
            log_output: Box::new(log.clone()),
            instance: "demo",
            inherited: crate::inherited::Inherited::default(),
            sources: None,
        };
        Ok(Gateway::start(&loaded.config, surroundings)?)
    };
    match start("127.0.0.1:8080", "127.0.0.1:9464", "127.0.0.1:8081") {
        Err(Failure::Bind(_)) => start("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"),
        other => other,
    }
}

/// Sends the query as a HIS would, and returns the answer's bytes.
fn ask(lan: SocketAddr) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect_timeout(&lan, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!(
        "POST /thirdparty/patientStudies HTTP/1.1\r\nHost: {lan}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{QUERY}",
        QUERY.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// What is shown.
struct Tour {
    lan: SocketAddr,
    telemetry: Option<SocketAddr>,
    platform: String,
    wire_head: Vec<(String, String)>,
    wire_body: String,
    status: u16,
    headers: Vec<String>,
    body: String,
    same_bytes: bool,
}

impl Tour {
    fn new(gateway: &Gateway, simulator: &Running, answer: Vec<u8>) -> Result<Self, Failure> {
        let broken = || Failure::Problem("the gateway's answer is not HTTP".to_owned());
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or_else(broken)?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let body = &answer[end + 4..];
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(broken)?;
        let requests = simulator.platform.requests();
        let recorded = requests
            .last()
            .ok_or_else(|| Failure::Problem(format!("nothing reached the platform: {head}")))?;
        Ok(Self {
            lan: gateway.lan()[0],
            telemetry: gateway.telemetry().first().copied(),
            platform: simulator.platform.base_url(),
            wire_head: masked_head(recorded),
            wire_body: masked_body(recorded),
            status,
            headers: head
                .lines()
                .skip(1)
                .filter(|line| line.starts_with("x-aimis"))
                .map(str::to_owned)
                .collect(),
            body: String::from_utf8_lossy(body).into_owned(),
            same_bytes: body == recorded.reply,
        })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "lan": format!("http://{}", self.lan),
            "telemetry": self.telemetry.map(|address| format!("http://{address}")),
            "platform": self.platform,
            "sent_by_his": QUERY,
            "on_the_wire": self.wire_body,
            "status": self.status,
            "headers": self.headers,
            "body": self.body,
            "byte_for_byte": self.same_bytes,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut say = |line: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line}");
        };
        say("1. The HIS asks the gateway, in plain JSON (all persons are made up):");
        say(&format!("   POST http://{}/thirdparty/patientStudies", self.lan));
        say(&format!("   {QUERY}"));
        say("");
        say("2. The gateway asks the platform: personal fields encrypted, request signed (masked here):");
        for (name, value) in &self.wire_head {
            say(&format!("   {name}: {value}"));
        }
        say(&format!("   {}", self.wire_body));
        say("");
        say(&format!(
            "3. The platform's answer, relayed {}:",
            if self.same_bytes { "byte for byte" } else { "CHANGED" }
        ));
        say(&format!("   HTTP {}", self.status));
        for header in &self.headers {
            say(&format!("   {header}"));
        }
        say(&format!("   {}", shortened(&self.body, 300)));
        say("");
        text
    }

    fn advice(&self) -> String {
        let mut text = String::new();
        let mut say = |line: &str| {
            let _ = writeln!(text, "{line}");
        };
        say("Try it yourself:");
        say(&format!(
            "   curl -i http://{}/thirdparty/patientStudies -d '{QUERY}'",
            self.lan
        ));
        if let Some(telemetry) = self.telemetry {
            say(&format!("   curl http://{telemetry}/metrics"));
        }
        text
    }
}

/// The request's head as the platform got it, without what is secret in it.
fn masked_head(recorded: &Recorded) -> Vec<(String, String)> {
    let mut head = vec![(recorded.method.clone(), recorded.path.clone())];
    head.extend(recorded.headers.iter().map(|(name, value)| {
        let secret = name.eq_ignore_ascii_case("signature");
        (name.clone(), if secret { masked(value) } else { value.clone() })
    }));
    head
}

/// The body as the platform got it; ciphertexts are personal data too.
fn masked_body(recorded: &Recorded) -> String {
    let mut body = String::from_utf8_lossy(&recorded.body).into_owned();
    let members = recorded.json();
    for field in ["phoneNum", "idNum"] {
        if let Some(ciphertext) = members[field].as_str() {
            body = body.replace(ciphertext, &masked(ciphertext));
        }
    }
    if let Some(name) = members["patientName"].as_str() {
        let first: String = name.chars().take(1).collect();
        body = body.replace(name, &format!("{first}*"));
    }
    body
}

fn masked(text: &str) -> String {
    let start: String = text.chars().take(4).collect();
    format!("{start}…({} digits)", text.len())
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most).collect();
    format!("{start}… ({} bytes)", text.len())
}

/// The log, kept to be shown.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn request_line(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&lines);
        let line = text
            .lines()
            .find(|line| line.contains("\"event.name\":\"request\""))
            .unwrap_or_default();
        format!("\n7. What the log keeps of the query; the patient is a keyed tag:\n   {line}\n")
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
