//! What a command prints and how it ends.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::app::StartError;
use crate::callback::prepare::CallbackError;
use crate::config::ConfigError;
use crate::inherited::InheritedError;
use crate::prepare::PrepareError;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It found a problem; what it printed tells it.
    #[error("{0}")]
    Problem(String),
    /// The arguments fit, but not to each other or to the input.
    #[error("{0}")]
    Usage(String),
    /// The configuration is not usable.
    #[error("{0}")]
    Config(String),
    /// An address cannot be bound.
    #[error("{0}")]
    Bind(String),
}

impl Failure {
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Problem(_) => 1,
            Self::Usage(_) => 2,
            Self::Bind(_) => 69,
            Self::Config(_) => 78,
        })
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Bind(error) => Self::Bind(error.to_string()),
            StartError::System(_) => Self::Problem(error.to_string()),
            // A database that is away comes back: whoever supervises us should start us again.
            StartError::Inbox(inbox) if inbox.is_outside() => Self::Problem(inbox.to_string()),
            StartError::Inbox(_) | StartError::Inherited(_) | StartError::Audit(_) => Self::Config(error.to_string()),
            StartError::Prepare(error) => error.into(),
        }
    }
}

impl From<InheritedError> for Failure {
    fn from(error: InheritedError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::InboxKeys(ref inbox) if inbox.is_outside() => Self::Problem(error.to_string()),
            PrepareError::System(_) | PrepareError::Callback(CallbackError::System(_)) => {
                Self::Problem(error.to_string())
            }
            PrepareError::Token { .. }
            | PrepareError::TagKey { .. }
            | PrepareError::PlatformTls(_)
            | PrepareError::ProxyPassword { .. }
            | PrepareError::LanTls(_)
            | PrepareError::Store(_)
            | PrepareError::Target(_)
            | PrepareError::Traces(_)
            | PrepareError::AuditKeys(_)
            | PrepareError::InboxKeys(_)
            | PrepareError::Callback(CallbackError::Secret { .. } | CallbackError::Tls(_))
            | PrepareError::HostName { .. } => Self::Config(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Problem(error.to_string())
    }
}

/// Prints to standard output. A closed pipe (`| head`) ends the process quietly, as for any Unix tool.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// Prints one line to standard output.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// Prints a value as JSON, indented.
pub(super) fn json(value: &serde_json::Value) -> Result<(), Failure> {
    line(&format!("{value:#}"))
}

/// Tells on standard error why the command failed.
pub(super) fn complain(failure: &Failure) {
    // Without a standard error there is only the exit status.
    let _ = writeln!(io::stderr().lock(), "aimis-gateway: {failure}");
}
