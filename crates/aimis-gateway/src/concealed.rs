//! Secrets are taken out of the environment: the process starts itself anew without them, and gets them by a pipe.
//!
//! `/proc/PID/environ` shows what a process was started with for as long as it runs, and taking a variable out of the
//! process's own list does not change that. Only a new `exec` does, so `serve` does one before anything else: same
//! process id, same descriptors, same arguments, without the secrets. They come by standard input, which nothing else
//! reads and which is empty afterwards.
//!
//! What this cannot do: whoever set the variable (a unit file, a pod's specification, `docker inspect`) still shows it.
//! Files and credentials are the better way.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::config;

/// Set for the process without the secrets, to tell it that they come by standard input.
pub const MARK: &str = "AIMIS_CONCEALED";
const BY_STDIN: &str = "stdin";

/// As much as a pipe takes without a reader, on every system. Some 50 tokens.
const MOST_BYTES: usize = 4096;

/// Told when secrets had to stay where they are.
pub const NOT_CONCEALED: &str = "a token stands in the environment, where whoever may read /proc finds it, and could not be taken out: give it as a file (AIMIS_TOKEN_FILE, token_file)";

/// What was taken out of the environment of this process. Kept for as long as it runs, since a reload reads the
/// sources anew.
static TAKEN: OnceLock<Vec<(String, Zeroizing<String>)>> = OnceLock::new();

/// Whether secrets are left in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concealed {
    /// None are, or there were none.
    Yes,
    /// It could not be done.
    No,
}

/// Takes secrets out of the environment. Called before any thread is started and before standard input is read; where
/// there are secrets it does not return, but runs the program again without them.
///
/// # Errors
/// When standard input should have had the secrets, and cannot be read.
pub fn conceal() -> io::Result<Concealed> {
    if std::env::var_os(MARK).is_some_and(|mark| mark == BY_STDIN) {
        let _ = TAKEN.set(receive(&mut io::stdin().lock())?);
        return Ok(Concealed::Yes);
    }
    let secrets: Vec<(String, String)> = config::environment()
        .into_iter()
        .filter(|(name, value)| config::is_secret(name, value))
        .collect();
    if secrets.is_empty() {
        return Ok(Concealed::Yes);
    }
    // Returns only where it failed. Then the gateway runs as it would have, and says so.
    let _why = restart_without(&secrets);
    Ok(Concealed::No)
}

/// What [`conceal`] took out.
pub(crate) fn taken() -> Vec<(String, String)> {
    let taken = TAKEN.get().map(Vec::as_slice).unwrap_or_default();
    taken
        .iter()
        .map(|(name, value)| (name.clone(), value.to_string()))
        .collect()
}

fn restart_without(secrets: &[(String, String)]) -> io::Result<()> {
    let text = written(secrets);
    if text.len() > MOST_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&text)?;
    drop(writer);
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(arguments.next().unwrap_or_else(|| OsString::from("aimis-gateway")));
    command.args(arguments).env(MARK, BY_STDIN).stdin(Stdio::from(reader));
    for (name, _) in secrets {
        command.env_remove(name);
    }
    Err(command.exec())
}

/// `NAME=value`, each with a NUL behind it, which no variable can have.
fn written(secrets: &[(String, String)]) -> Zeroizing<Vec<u8>> {
    let length = secrets.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    for (name, value) in secrets {
        for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
            text.extend_from_slice(part);
        }
    }
    text
}

fn receive(from: &mut impl Read) -> io::Result<Vec<(String, Zeroizing<String>)>> {
    let mut text = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    from.take(MOST_BYTES as u64 + 1).read_to_end(&mut text)?;
    let text = std::str::from_utf8(&text).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let one = |entry: &str| {
        let (name, value) = entry.split_once('=')?;
        Some((name.to_owned(), Zeroizing::new(value.to_owned())))
    };
    let entries = text.split_terminator('\0').map(one);
    entries
        .collect::<Option<_>>()
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_received() {
        let secrets = [
            ("AIMIS_TOKEN".to_owned(), "a=b\nc".to_owned()),
            ("AIMIS_TENANTS".to_owned(), String::new()),
        ];
        let received = receive(&mut &written(&secrets)[..]).unwrap();
        let received: Vec<_> = received
            .into_iter()
            .map(|(name, value)| (name, value.to_string()))
            .collect();
        assert_eq!(received, secrets);
        assert!(receive(&mut &b""[..]).unwrap().is_empty());
        assert!(receive(&mut &b"no variable"[..]).is_err());
        assert!(receive(&mut &b"A=\xff\0"[..]).is_err());
    }

    #[test]
    fn only_variables_that_hold_a_secret_are_taken_out() {
        for name in [
            "AIMIS_TOKEN",
            "AIMIS_TENANTS__0__TOKEN",
            "AIMIS_TENANTS__9__TOKEN",
            "AIMIS_TENANTS",
        ] {
            assert!(config::is_secret(name, "x"), "{name}");
            assert!(!config::is_secret(name, ""), "{name}");
        }
        for name in [
            "AIMIS_TOKEN_FILE",
            "AIMIS_TENANTS__0__TOKEN_FILE",
            "AIMIS_APP_ID",
            "AIMIS_CLIENTS",
            "AIMIS_LAN__LISTEN",
            "TOKEN",
        ] {
            assert!(!config::is_secret(name, "x"), "{name}");
        }
    }
}
