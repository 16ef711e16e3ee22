//! The built binary as a running process: `serve` and `simulate`, watched line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::client::PATIENCE;

/// Everything that a process writes, as it comes.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A running process. Killed when dropped.
pub struct Process {
    child: Child,
    stdout: Written,
    stderr: Written,
    lines: mpsc::Receiver<String>,
    readers: Vec<JoinHandle<()>>,
}

/// A process that has ended.
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts it; both outputs are read from now on.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// Starts it with this as standard input.
    pub fn start_with(mut command: Command, stdin: Stdio) -> Self {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let (stdout, stderr) = (Written::default(), Written::default());
        let readers = vec![
            copy(child.stdout.take().unwrap(), stdout.clone(), Some(sender)),
            copy(child.stderr.take().unwrap(), stderr.clone(), None),
        ];
        Self {
            child,
            stdout,
            stderr,
            lines,
            readers,
        }
    }

    /// The next line of standard output that `wanted` takes; a panic that shows what came instead.
    #[track_caller]
    pub fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if wanted(&line) => return line,
                Ok(_) => {}
                Err(error) => panic!("{error}; stdout {:?}, stderr {:?}", self.stdout(), self.stderr()),
            }
        }
    }

    /// The log line of an event, from now on.
    #[track_caller]
    pub fn event(&self, name: &str) -> serde_json::Value {
        let line = self.line(|line| line.contains(&named(name)));
        serde_json::from_str(&line).unwrap()
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until it has a handler for the signal of this number.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a bound against hanging, never a figure")]
    pub fn catches(&self, signal: u32) {
        let begin = std::time::Instant::now();
        let caught = |status: &str| {
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
            let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
            (mask >> (signal - 1) & 1 == 1).then_some(())
        };
        let status = format!("/proc/{}/status", self.id());
        while std::fs::read_to_string(&status)
            .ok()
            .as_deref()
            .and_then(caught)
            .is_none()
        {
            assert!(
                begin.elapsed() < PATIENCE,
                "no handler for signal {signal}: {:?}",
                self.stderr()
            );
            std::thread::yield_now();
        }
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    #[track_caller]
    pub fn killed(mut self) -> Ended {
        self.child.kill().unwrap();
        self.ended()
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8(self.stdout.bytes()).unwrap()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8(self.stderr.bytes()).unwrap()
    }

    /// Waits for its end; a panic that shows what it wrote instead, if it goes on.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a bound against hanging, never a figure")]
    pub fn ended(mut self) -> Ended {
        let begin = std::time::Instant::now();
        // Both outputs end with the process; lines that nobody asked for are let go.
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("{error}; stdout {:?}, stderr {:?}", self.stdout(), self.stderr()),
            }
        }
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let status = self.child.wait().unwrap();
        Ended {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail for a process that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a line of the log names its event.
fn named(event: &str) -> String {
    format!("\"event.name\":\"{event}\"")
}

fn copy(from: impl Read + Send + 'static, to: Written, lines: Option<mpsc::Sender<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            to.0.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&line);
            if let Some(lines) = &lines {
                let _ = lines.send(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            line.clear();
        }
    })
}

/// `aimis-gateway serve`, ready, on ports that the system chose.
pub struct Serve {
    /// The process.
    pub process: Process,
    /// Where the HIS sends.
    pub lan: SocketAddr,
    /// Where callbacks come to, if they are taken.
    pub callback: Option<SocketAddr>,
    /// Where metrics and probes are.
    pub telemetry: SocketAddr,
}

impl Serve {
    /// Starts a `serve` command and waits until it is ready.
    #[track_caller]
    pub fn start(command: Command) -> Self {
        Self::ready(Process::start(command))
    }

    /// Waits until a process that was started is ready.
    #[track_caller]
    pub fn ready(process: Process) -> Self {
        let (mut lan, mut callback, mut telemetry) = (None, None, None);
        loop {
            let wanted = |line: &str| ["listening", "started"].iter().any(|name| line.contains(&named(name)));
            let event: serde_json::Value = serde_json::from_str(&process.line(wanted)).unwrap();
            let listener = match event["listener"].as_str() {
                Some("lan") => &mut lan,
                Some("callback") => &mut callback,
                Some("telemetry") => &mut telemetry,
                Some(_) => continue,
                None => break,
            };
            // Of several addresses of a listener the first, which tests ask.
            listener.get_or_insert_with(|| event["address"].as_str().unwrap().parse().unwrap());
        }
        Self {
            process,
            lan: lan.unwrap(),
            callback,
            telemetry: telemetry.unwrap(),
        }
    }
}

/// Runs a command to its end with `input` on standard input.
pub fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}
