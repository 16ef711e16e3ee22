//! Opening the inbox that a configuration names: in a file, or in a database.

use std::sync::Arc;

use super::sqlite::{self, Abort, KeyFiles, Role, Sqlite};
use super::{Inbox, InboxMetrics, postgres};
use crate::clock::Clock;
use crate::config;

/// Why an inbox cannot be opened. Names files and hosts, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// That in a file.
    #[error(transparent)]
    File(#[from] sqlite::OpenError),
    /// That in a database.
    #[error(transparent)]
    Database(#[from] postgres::OpenError),
}

impl OpenError {
    /// Whether there is none yet, which the first start of a gateway mends.
    pub fn is_not_there(&self) -> bool {
        matches!(
            self,
            Self::File(sqlite::OpenError::NotThere(_)) | Self::Database(postgres::OpenError::NotThere)
        )
    }

    /// Whether what is there is damaged, or cannot be read with the keys that are here.
    pub fn is_unsound(&self) -> bool {
        use postgres::OpenError as Database;
        use sqlite::OpenError as File;
        matches!(
            self,
            Self::File(File::KeyMissing { .. } | File::Damaged | File::Sqlite(_))
                | Self::Database(Database::KeyMissing { .. } | Database::Damaged)
        )
    }

    /// Whether the system or the network is the cause, and not the configuration.
    pub fn is_outside(&self) -> bool {
        use postgres::OpenError as Database;
        matches!(
            self,
            Self::File(sqlite::OpenError::System(_))
                | Self::Database(
                    Database::System(_) | Database::Away { .. } | Database::Statement(_) | Database::Copied
                )
        )
    }
}

/// What an inbox needs beside its settings.
pub struct Parts {
    /// What time it is.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<InboxMetrics>,
    /// Ends the process when the state of a file is unknown.
    pub abort: Abort,
    /// Hears when a database is lost and found.
    pub on_contact: postgres::OnContact,
}

impl Parts {
    /// For a command beside the gateway: the call that failed says so, and there is nothing to protect by an end at once.
    pub fn of_command(clock: Clock, metrics: Arc<InboxMetrics>) -> Self {
        Self {
            clock,
            metrics,
            abort: Arc::new(|_| {}),
            on_contact: Arc::new(|_, _| {}),
        }
    }
}

/// Opens the inbox of a configuration; makes it if `role` is the gateway and it is not there.
///
/// # Errors
/// [`OpenError`]; nothing is left running then.
pub fn open(config: &config::Inbox, role: Role, parts: Parts) -> Result<Arc<dyn Inbox>, OpenError> {
    let keys = KeyFiles::from(config);
    let Parts {
        clock,
        metrics,
        abort,
        on_contact,
    } = parts;
    if let Some(settings) = postgres::Settings::of(config) {
        let parts = postgres::Parts {
            clock,
            time: postgres::Time::Database,
            metrics,
            on_contact,
            abort,
        };
        return Ok(Arc::new(postgres::Postgres::open(settings, &keys, role, parts)?));
    }
    let parts = sqlite::Parts { clock, metrics, abort };
    Ok(Arc::new(Sqlite::open(config.into(), &keys, role, parts)?))
}
