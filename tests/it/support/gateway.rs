//! A gateway in this process, in front of a simulated platform.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aimis_gateway::app::{self, Surroundings};
use aimis_gateway::clock::Clock;
use aimis_gateway::config::{self, Sources};
use aimis_gateway::upstream::addresses::Resolver;
use aimis_simulator::{Account, Platform};

use super::client::{self, Answer};
use super::directory::Directory;
use crate::log_fields::checked;

/// The made-up patient of the vectors.
pub const PHONE: &str = "13800138000";
/// See [`PHONE`].
pub const ID_NUMBER: &str = "11010119000101009X";

/// A body that asks for the studies of the vectors' patient.
pub fn studies_query() -> String {
    format!(
        r#"{{"phoneNum":"{PHONE}","idNum":"{ID_NUMBER}","hospitalId":"H0001","unionId":"U0001","studyType":0,"dataFlag":1,"usage":0,"studyDateBegin":"2024-01-01 00:00:00","studyDateEnd":"2025-12-31 23:59:59"}}"#
    )
}

/// [`studies_query`] with members replaced or added, in JSON; `null` takes a member away.
pub fn studies_query_with(members: serde_json::Value) -> String {
    let mut query: serde_json::Value = serde_json::from_str(&studies_query()).unwrap();
    for (name, value) in members.as_object().unwrap() {
        match value {
            serde_json::Value::Null => _ = query.as_object_mut().unwrap().shift_remove(name),
            value => query[name] = value.clone(),
        }
    }
    query.to_string()
}

/// Settings of a test's gateway; starts from free ports, one worker and one tenant.
#[derive(Clone)]
pub struct Settings {
    base_url: String,
    listen: String,
    sections: Vec<(String, String)>,
    tenants: Vec<(String, Account)>,
    clients: Vec<String>,
    tenant_lines: Vec<String>,
    codes: Vec<String>,
    clock: Clock,
    resolver: Resolver,
}

impl Settings {
    /// A gateway that calls `platform` for the vectors' hospital.
    pub fn calling(platform: &Platform) -> Self {
        Self::calling_url(&platform.base_url())
    }

    /// A gateway that calls whatever is at `base_url`.
    pub fn calling_url(base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            listen: "\"127.0.0.1:0\"".to_owned(),
            sections: Vec::new(),
            tenants: vec![("first-hospital".to_owned(), Account::demo())],
            clients: Vec::new(),
            tenant_lines: Vec::new(),
            codes: Vec::new(),
            clock: Clock::system(),
            resolver: Resolver::system(),
        }
    }

    /// Adds a line to a section: `with("lan", "max_body = 1024")`.
    pub fn with(mut self, section: &str, line: &str) -> Self {
        self.sections.push((section.to_owned(), line.to_owned()));
        self
    }

    /// Callbacks are taken as well, on a free port, and kept in `directory`.
    pub fn callbacks(self, directory: &Directory) -> Self {
        let file = |name: &str| directory.path().join(name).display().to_string();
        self.with("callback", "listen = \"127.0.0.1:0\"")
            .with("inbox", &format!("path = \"{}\"", file("inbox.db")))
            .with("inbox", &format!("key_file = \"{}\"", file("inbox.key")))
    }

    /// An audit trail is kept in `directory`.
    pub fn audited(self, directory: &Directory) -> Self {
        let file = |name: &str| directory.path().join(name).display().to_string();
        self.with("audit", &format!("path = \"{}\"", file("audit")))
            .with("audit", &format!("key_file = \"{}\"", file("audit.key")))
    }

    /// Other addresses for callbacks than a free port, in TOML.
    pub fn callback_listen(mut self, listen: &str) -> Self {
        for (section, line) in &mut self.sections {
            if section == "callback" && line.starts_with("listen") {
                *line = format!("listen = {listen}");
            }
        }
        self
    }

    /// Other addresses for the HIS than a free port, in TOML.
    pub fn listen(mut self, listen: &str) -> Self {
        self.listen = listen.to_owned();
        self
    }

    /// One more hospital.
    pub fn tenant(mut self, name: &str, account: Account) -> Self {
        self.tenants.push((name.to_owned(), account));
        self
    }

    /// A system that may ask, by the lines of its `[[clients]]` table.
    pub fn client(mut self, lines: &str) -> Self {
        self.clients.push(lines.to_owned());
        self
    }

    /// A business code that is treated differently, by the lines of its `[[codes]]` table.
    pub fn code(mut self, lines: &str) -> Self {
        self.codes.push(lines.to_owned());
        self
    }

    /// Another clock than the machine's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Other addresses for names than the machine's.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// With a cache, on defaults; without it, tests have none.
    pub fn cached(self) -> Self {
        self.with("cache", "enabled = true")
    }

    /// A line for the last tenant's table.
    pub fn of_tenant(mut self, line: &str) -> Self {
        self.tenant_lines.resize(self.tenants.len(), String::new());
        writeln!(self.tenant_lines[self.tenants.len() - 1], "{line}").unwrap();
        self
    }

    /// Without a tenant, by its name; those behind it move up.
    pub fn without_tenant(mut self, name: &str) -> Self {
        let at = self.tenants.iter().position(|(known, _)| known == name).unwrap();
        self.tenants.remove(at);
        if at < self.tenant_lines.len() {
            self.tenant_lines.remove(at);
        }
        self
    }

    /// In place of the lines of a section, these.
    pub fn instead(mut self, section: &str, line: &str) -> Self {
        let key = line.split('=').next().unwrap();
        self.sections
            .retain(|(known, line)| known != section || line.split('=').next().unwrap() != key);
        self.with(section, line)
    }

    /// Writes the configuration into `directory`, and each tenant's token into a file there if there is none yet.
    pub fn write(&self, directory: &Directory) -> PathBuf {
        for (name, account) in &self.tenants {
            let token = format!("{name}.token");
            if !directory.path().join(&token).exists() {
                directory.file(&token, &account.token);
            }
        }
        let text = self.text_with(|name| format!("token_file = \"{name}.token\"\n"));
        directory.file("gateway.toml", text).into()
    }

    /// Starts it from files in `directory`, which can be changed and read anew.
    pub fn start_in(&self, directory: &Directory) -> Gateway {
        let sources = Sources::path(self.write(directory));
        self.start_with(sources.clone(), Some(sources))
    }

    fn text(&self) -> String {
        self.text_with(|_| String::new())
    }

    fn text_with(&self, of_tenant: impl Fn(&str) -> String) -> String {
        let mut sections: Vec<(&str, String)> = vec![
            ("lan", format!("listen = {}\n", self.listen)),
            ("telemetry", "listen = \"127.0.0.1:0\"\n".into()),
            ("runtime", String::new()),
            ("platform", format!("base_url = \"{}\"\n", self.base_url)),
        ];
        if !self.sections.iter().any(|(section, _)| section == "cache") {
            // Most tests look at what reaches the platform, each time.
            sections.push(("cache", "enabled = false\ncoalesce = false\n".into()));
        }
        for (section, line) in &self.sections {
            match sections.iter_mut().find(|(name, _)| name == section) {
                Some((_, text)) => writeln!(text, "{line}").unwrap(),
                None => sections.push((section, format!("{line}\n"))),
            }
        }
        if !self.sections.iter().any(|(section, _)| section == "limits.tenant") {
            // Tests ask more than a hospital may; those of limits say how much that is.
            sections.push(("limits.tenant", "rate_per_s = 0\nin_flight = 0\n".into()));
        }
        if !self
            .sections
            .iter()
            .any(|(section, line)| section == "runtime" && line.starts_with("workers"))
        {
            sections[2].1.push_str("workers = 1\n");
        }
        let mut text: String = sections
            .iter()
            .map(|(name, lines)| format!("[{name}]\n{lines}"))
            .collect();
        for (index, (name, account)) in self.tenants.iter().enumerate() {
            let lines = self.tenant_lines.get(index).map_or("", String::as_str);
            write!(
                text,
                "[[tenants]]\nname = \"{name}\"\napp_id = \"{}\"\nhospital_id = \"{}\"\nunion_id = \"{}\"\n{}{lines}",
                account.app_id,
                account.hospital_id,
                account.union_id,
                of_tenant(name)
            )
            .unwrap();
        }
        for lines in &self.clients {
            writeln!(text, "[[clients]]\n{lines}").unwrap();
        }
        for lines in &self.codes {
            writeln!(text, "[[codes]]\n{lines}").unwrap();
        }
        text
    }

    /// Starts it.
    pub fn start(&self) -> Gateway {
        let tokens = self
            .tenants
            .iter()
            .enumerate()
            .map(|(index, (_, account))| (format!("AIMIS_TENANTS__{index}__TOKEN"), account.token.clone()));
        self.start_with(Sources::text("test.toml", self.text()).with_env(tokens), None)
    }

    fn start_with(&self, from: Sources, sources: Option<Sources>) -> Gateway {
        let loaded = config::load(&from).unwrap();
        let log = LogBuffer::default();
        let surroundings = Surroundings {
            clock: self.clock.clone(),
            resolver: self.resolver.clone(),
            log_output: Box::new(log.clone()),
            instance: "test",
            inherited: aimis_gateway::inherited::Inherited::default(),
            sources,
        };
        let gateway = app::Gateway::start(&loaded.config, surroundings).unwrap();
        Gateway {
            lan: gateway.lan()[0],
            callback: gateway.callback().first().copied(),
            all_lan: gateway.lan().to_vec(),
            telemetry: gateway.telemetry()[0],
            admin: gateway.admin().first().copied(),
            running: Some(gateway),
            log,
        }
    }
}

/// A running gateway; stops at once when dropped.
pub struct Gateway {
    /// Where the HIS sends.
    pub lan: SocketAddr,
    /// All its TCP addresses, that one first.
    pub all_lan: Vec<SocketAddr>,
    /// Where callbacks come to, if they are taken.
    pub callback: Option<SocketAddr>,
    /// Where metrics and probes are.
    pub telemetry: SocketAddr,
    /// Where its operator asks, if it has `[admin]`.
    pub admin: Option<SocketAddr>,
    /// Everything it logged.
    pub log: LogBuffer,
    running: Option<app::Gateway>,
}

impl Gateway {
    /// In front of `platform`, on defaults.
    pub fn before(platform: &Platform) -> Self {
        Settings::calling(platform).start()
    }

    /// Sends a body to an API of the vectors' hospital.
    pub async fn query(&self, api: &str, body: impl AsRef<[u8]>) -> Answer {
        client::post(self.lan, &format!("/thirdparty/{api}/900001"), &[], body.as_ref()).await
    }

    /// Asks for the studies of the vectors' patient.
    pub async fn studies(&self) -> Answer {
        self.query("patientStudies", studies_query()).await
    }

    /// `GET path` at the telemetry listener.
    pub async fn telemetry(&self, path: &str) -> Answer {
        client::get(self.telemetry, path).await
    }

    /// The value of one series of `/metrics`, named with its labels as they are exported.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.telemetry("/metrics").await.text();
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Has it read everything anew; gives what is wrong with it.
    pub async fn reload(&self) -> Result<(), String> {
        let outcome = self.running.as_ref().expect("it runs").reload().await.unwrap();
        outcome.map(drop).map_err(|error| error.to_string())
    }

    /// Waits until its log has a line with `text`.
    pub async fn logged(&self, text: &str) {
        let there = async {
            while !self.log.text().contains(text) {
                // A turn of the loop, over a socket: neither a spin nor a wait of a fixed time.
                self.telemetry("/livez").await;
            }
        };
        let waited = tokio::time::timeout(client::PATIENCE, there).await;
        waited.unwrap_or_else(|_| panic!("no {text} in {}", self.log.text()));
    }

    /// Stops it well and gives everything it logged.
    pub fn stop(mut self) -> String {
        if let Some(running) = self.running.take() {
            // On a thread of its own, since it waits and the caller may be a task.
            std::thread::spawn(|| running.drain()).join().unwrap();
        }
        self.log.text()
    }

    /// The running gateway itself.
    pub fn into_running(mut self) -> app::Gateway {
        self.running.take().expect("a gateway is taken once")
    }
}

impl Drop for Gateway {
    /// Whatever a test is about, the lines of its gateway are such as the contract has; of a crowd's thousands of
    /// lines the first of each event.
    fn drop(&mut self) {
        drop(self.running.take());
        let text = self.log.text();
        // A gateway that is cut may be writing its last line.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let first = whole.lines().filter(|line| {
            let event = line
                .split("\"event.name\":")
                .nth(1)
                .and_then(|rest| rest.split(',').next());
            let count = seen.entry(event.unwrap_or_default()).or_default();
            *count += 1;
            *count <= 100
        });
        if !std::thread::panicking() {
            checked(&first.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// A log kept in memory.
#[derive(Clone, Default)]
pub struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl LogBuffer {
    /// Everything so far.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl io::Write for LogBuffer {
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
