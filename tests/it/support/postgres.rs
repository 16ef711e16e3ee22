//! A PostgreSQL server of the tests' own: made in a directory of its own, gone with the process that made it.
//!
//! Unit tests of the gateway use this file, too.
#![allow(dead_code, reason = "each binary that has this file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// Whom the server runs as where tests run as root, which it refuses.
const NOBODY: u32 = 65_534;

/// A server.
pub(crate) struct Server {
    dir: PathBuf,
    port: u16,
    /// When it is closed, also by the end of this process, the server stops and its files go.
    _end: (Child, ChildStdin),
}

/// The server that tests share; each has a database of its own there.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::new("", &[]))
}

impl Server {
    /// A new server with these lines in its configuration, and these files, as (name, content), beside it.
    pub(crate) fn new(configuration: &str, files: &[(&str, &str)]) -> Self {
        let server = Self::place();
        let output = server.run(
            "initdb",
            &["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"],
        );
        assert!(output.is_ok(), "initdb: {output:?}");
        for (name, content) in files {
            let path = server.data().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            owned(&path);
        }
        server.configure(configuration);
        server.start();
        server.sql("postgres", "CREATE ROLE aimis LOGIN PASSWORD 'geheim'");
        server
    }

    /// A standby of the server at this port, which follows it.
    pub(crate) fn standby(port: u16) -> Self {
        let server = Self::place();
        let from = format!("host=127.0.0.1 port={port} user=postgres application_name=standby");
        let target = server.data();
        let output = server.program(
            "pg_basebackup",
            &[
                "-d",
                &from,
                "-D",
                target.to_str().unwrap(),
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
            ],
        );
        assert!(output.is_ok(), "pg_basebackup: {output:?}");
        server.configure("");
        server.start();
        server
    }

    fn place() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("aimis-postgres-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        owned(&dir);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // A signal that ends this process may be meant for its whole group.
        let script =
            "trap '' TERM INT HUP; read -r _; \"$1\" -D \"$2/data\" -m immediate stop >/dev/null 2>&1; rm -rf \"$2\"";
        let mut end = as_nobody(Path::new("sh"))
            .args(["-c", script, "end"])
            .arg(binaries().join("pg_ctl"))
            .arg(&dir)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = end.stdin.take().unwrap();
        Self {
            dir,
            port,
            _end: (end, stdin),
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn configure(&self, lines: &str) {
        let own = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nmax_connections = 200\n\
             shared_buffers = 32MB\nautovacuum_naptime = 10s\nwal_sender_timeout = 5s\n{lines}\n",
            self.port,
            self.dir.display()
        );
        let path = self.data().join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, before + &own).unwrap();
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&self) {
        let log = self.dir.join("log");
        let output = self.run("pg_ctl", &["-w", "-t", "30", "-l", log.to_str().unwrap(), "start"]);
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(output.is_ok(), "pg_ctl start: {output:?}: {}", told());
    }

    /// Stops it: `fast` cuts connections, `immediate` is as a crash.
    pub(crate) fn stop(&self, mode: &str) {
        let output = self.run("pg_ctl", &["-w", "-m", mode, "stop"]);
        assert!(output.is_ok(), "pg_ctl stop: {output:?}");
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        let output = self.run("pg_ctl", &["-w", "promote"]);
        assert!(output.is_ok(), "pg_ctl promote: {output:?}");
    }

    /// Stops all its processes where they stand: its sockets stay open, and nothing is said any more.
    pub(crate) fn hang(&self) -> Hung<'_> {
        let hung = Hung { server: self };
        hung.signal("STOP");
        hung
    }

    /// Its processes, the one that starts others first.
    fn processes(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let main: u32 = text.lines().next().unwrap().trim().parse().unwrap();
        let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
            (parent.trim().parse() == Ok(main)).then_some(pid)
        });
        std::iter::once(main).chain(children).collect()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A new database, and its URL.
    pub(crate) fn database(&self) -> (String, String) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Two that copy the template at once refuse each other.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = format!("inbox{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER aimis"));
        let url = self.url(&name);
        (name, url)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://aimis@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// What a statement of the superuser says, without frames.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        self.try_sql(database, statement).unwrap()
    }

    /// The same, where it may fail.
    pub(crate) fn try_sql(&self, database: &str, statement: &str) -> Result<String, String> {
        let port = self.port.to_string();
        let arguments = [
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "postgres",
            "-d",
            database,
            "-XAtqc",
            statement,
        ];
        self.program("psql", &arguments)
    }

    /// Everything in a database, as a backup has it.
    pub(crate) fn dump(&self, database: &str) -> String {
        let port = self.port.to_string();
        self.program("pg_dump", &["-h", "127.0.0.1", "-p", &port, "-U", "postgres", database])
            .unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let data = self.data();
        let mut all = vec!["-D", data.to_str().unwrap()];
        all.extend(arguments);
        self.program(program, &all)
    }

    fn program(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        // A server that starts keeps what it inherits open, so pipes would never end. Tests ask one server at once.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (
            self.dir.join(format!("{program}.{number}.out")),
            self.dir.join(format!("{program}.{number}.err")),
        );
        let file = |path: &Path| std::fs::File::create(path).unwrap();
        let status = as_nobody(&binaries().join(program))
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .status();
        let read = |path: &Path| {
            let read = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
            let _ = std::fs::remove_file(path);
            read
        };
        let (said, complained) = (read(&out), read(&err));
        match status {
            Ok(status) if status.success() => Ok(said.trim_end().to_owned()),
            other => Err(format!("{other:?}: {said}{complained}")),
        }
    }
}

/// A server that hangs until this is dropped.
pub(crate) struct Hung<'a> {
    server: &'a Server,
}

impl Hung<'_> {
    fn signal(&self, name: &str) {
        for process in self.server.processes() {
            let _ = Command::new("kill")
                .args([format!("-{name}"), process.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}

/// The server's programs.
fn binaries() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|versions| {
        let paths = versions
            .filter_map(Result::ok)
            .map(|version| version.path().join("bin"));
        paths.filter(|path| path.join("initdb").exists()).max()
    });
    let in_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(|path| path.join("initdb").exists())
    };
    found.or_else(in_path).unwrap_or_else(|| {
        panic!("PostgreSQL is missing: `cargo xtask test` installs it, as does `apt-get install postgresql`")
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn owned(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn as_nobody(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(program);
    command
}
