//! Opening: tables and keys first, so that what is wrong is told before anything is served.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use zeroize::Zeroizing;

use super::schema;
use super::session::{Connector, Fault, ReachError, Session, Use};
use crate::callback::event::Tags;
use crate::callback::inbox::keys::{KeyError, KeyId, Keys, bound_to, key_missing};
use crate::callback::inbox::sqlite::{KeyFiles, Role};
use crate::clock::timer_now;
use crate::secrets;

/// What the tags' own key is bound to.
const TAG_KEY: &str = "tag_key";

/// Why the inbox in a database cannot be opened. Names hosts and files, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file that leads to it is not usable.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// It does not answer, or not us.
    #[error("inbox.database_url: {url}: {what} ({word})")]
    Away {
        /// Which one.
        url: String,
        /// What that means, and what to do.
        what: &'static str,
        /// What happened.
        word: &'static str,
    },
    /// It may lose what it committed.
    #[error(
        "inbox.database_url: the server runs with {0} = off: what is acknowledged would be lost with its power; switch it on"
    )]
    Unsafe(&'static str),
    /// There is nothing to look at.
    #[error(
        "inbox.database_url: there is no inbox in this database; the gateway makes it when it starts with a callback listener"
    )]
    NotThere,
    /// Somebody else's tables.
    #[error("inbox.database_url: the schema aimis_inbox is there, and it is no inbox")]
    NotAnInbox,
    /// Made by a newer gateway.
    #[error(
        "the inbox in the database has version {found}, and this gateway knows versions up to {known}: it was opened by a newer one"
    )]
    Newer {
        /// Its version.
        found: i32,
        /// The newest that we know.
        known: i32,
    },
    /// Made by an older gateway.
    #[error(
        "the inbox in the database has version {found}, and this program works on version {known}: start this gateway once, which brings it up to date, or use the command of the gateway that runs"
    )]
    Older {
        /// Its version.
        found: i32,
        /// The one that we work on.
        known: i32,
    },
    /// It is being copied.
    #[error("inbox.database_url: the inbox is being copied; start when that is done")]
    Copied,
    /// A key cannot be read.
    #[error("inbox.key_file: {0}")]
    Key(#[from] KeyError),
    /// Events were sealed with a key that is not there.
    #[error(
        "{}: all gateways on one database, and commands beside them, need the same files",
        key_missing(*key, *rows)
    )]
    KeyMissing {
        /// The key's id.
        key: KeyId,
        /// Events under it.
        rows: u64,
    },
    /// The database's own key does not open: it was changed.
    #[error("the inbox is damaged: its own key does not open; restore the database from a backup")]
    Damaged,
    /// A statement failed.
    #[error("inbox.database_url: a statement failed ({0})")]
    Statement(&'static str),
    /// The system denied a thread or randomness.
    #[error("the system denied a resource: {}", .0.kind())]
    System(#[from] std::io::Error),
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        Self::Statement(fault.word())
    }
}

/// What opening found.
pub(super) struct Opened {
    pub(super) keys: Keys,
    /// The number that rows have for the current key.
    pub(super) key: i32,
    /// The numbers of all keys that are here: what is sealed with another is left to another gateway.
    pub(super) known: Vec<i32>,
    pub(super) tags: Tags,
}

/// Opens the inbox, and makes it if `role` is the gateway and it is not there. A database that is away is waited for.
pub(super) async fn open(
    connector: &Connector,
    files: &KeyFiles,
    role: Role,
    patience: Duration,
) -> Result<Opened, OpenError> {
    let mut session = reached(connector, patience).await?;
    // A server that falls silent in the midst of it is no better than one that is away. Whoever migrates is waited for.
    let limit = patience.max(connector.reach().statement_timeout) * 2;
    match tokio::time::timeout(limit, opened(connector, &mut session, files, role, patience)).await {
        Ok(opened) => opened,
        Err(_elapsed) => {
            let late = session.committing.late();
            connector.cancel(session);
            connector.cancelled().await;
            Err(away(connector, &late))
        }
    }
}

async fn opened(
    connector: &Connector,
    session: &mut Session,
    files: &KeyFiles,
    role: Role,
    patience: Duration,
) -> Result<Opened, OpenError> {
    safe(session).await?;
    session.begin().await?;
    if role == Role::Gateway {
        // Whoever came first may have much to change, and so may we.
        let patient = patience.max(connector.reach().statement_timeout).as_millis();
        let patient = format!("SET LOCAL lock_timeout = {patient}; SET LOCAL statement_timeout = {patient}");
        session.client.batch_execute(&patient).await.map_err(Fault::from)?;
    }
    schema::migrate(session, role).await?;
    if !schema::share_now(session, schema::IN_USE).await? {
        return Err(OpenError::Copied);
    }
    // Never made here: what one gateway makes the others would not have.
    let keys = Keys::read_shared(&files.current, &files.previous)?;
    let opened = unlock(session, keys, role).await?;
    session.commit().await?;
    Ok(opened)
}

/// A first connection, within the time that is given.
async fn reached(connector: &Connector, patience: Duration) -> Result<Session, OpenError> {
    let mut pause = Duration::from_millis(50);
    let end = timer_now() + patience;
    loop {
        let fault = match connector.connect(Use::Work, watch::channel(0).0).await {
            Ok(session) => return Ok(session),
            Err(fault) => fault,
        };
        if timer_now() + pause > end || is_final(&fault) {
            return Err(away(connector, &fault));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(connector.reach().reconnect_max);
    }
}

/// Whether waiting helps nothing.
fn is_final(fault: &Fault) -> bool {
    matches!(
        fault.word(),
        "authentication" | "no_such_database" | "not_permitted" | "tls"
    )
}

fn away(connector: &Connector, fault: &Fault) -> OpenError {
    let word = fault.word();
    let what = match word {
        "authentication" => {
            "the database does not take this user and password: see the user in the URL, inbox.database_password_file and pg_hba.conf"
        }
        "no_such_database" => "there is no database of this name: create it, owned by the user in the URL",
        "not_permitted" => "the user may not do this: it needs CONNECT and CREATE on the database",
        "tls" => {
            "the certificate is not trusted, or is of another name: set inbox.database_ca_file, and write the host as in the certificate"
        }
        "connection_refused" => "nothing listens there: see whether the database runs",
        "too_many_connections" => "the database has no connection left: a gateway takes five",
        "read_only" => "none of the hosts takes writes",
        "commit_unconfirmed" => "the database does not confirm a commit: is its synchronous standby there?",
        _ => "the database cannot be reached",
    };
    OpenError::Away {
        url: connector.reach().url.to_string(),
        what,
        word,
    }
}

/// Refuses a server that acknowledges what it may lose.
async fn safe(session: &mut Session) -> Result<(), OpenError> {
    for setting in ["fsync", "full_page_writes"] {
        let value: String = session.one("SELECT current_setting($1)", &[&setting]).await?.get(0);
        if value == "off" {
            return Err(OpenError::Unsafe(setting));
        }
    }
    Ok(())
}

/// Makes sure that everything can be opened with `keys`, and opens the database's own key, which a gateway seals with the
/// current one from now on. A command changes nothing of that: it may have been given other files than the gateways.
pub(super) async fn unlock(session: &mut Session, keys: Keys, role: Role) -> Result<Opened, OpenError> {
    let kept = session
        .query(
            "SELECT id, value FROM meta JOIN keys ON number = key WHERE name = $1",
            &[&TAG_KEY],
        )
        .await?;
    let kept = kept
        .first()
        .map(|row| (row.get::<_, Vec<u8>>(0), row.get::<_, Vec<u8>>(1)));
    let needed = session
        .query(
            "SELECT id, coalesce(rows, 0)::bigint FROM keys LEFT JOIN
               (SELECT key AS number, sum(items) AS rows FROM tally GROUP BY key) AS used USING (number)
             WHERE coalesce(rows, 0) > 0 OR number IN (SELECT key FROM meta)",
            &[],
        )
        .await?;
    for row in needed {
        let key = key_id(row.get(0))?;
        if keys.by_id(key).is_none() {
            let rows = row.get::<_, i64>(1).unsigned_abs();
            return Err(OpenError::KeyMissing { key, rows });
        }
    }
    if role == Role::Gateway {
        name(session, &keys).await?;
    }
    let numbers = numbers(session, &keys).await?;
    let current = keys.current().id();
    let key = match (numbers.get(&current), role) {
        (Some(key), _) => *key,
        // Nothing is sealed by a command.
        (None, Role::Command) => 0,
        (None, Role::Gateway) => return Err(OpenError::Damaged),
    };
    let aad = bound_to(TAG_KEY, "", b"");
    let mut tag_key = Zeroizing::new([0; 32]);
    let sealed_by = kept.as_ref().map(|(id, _)| key_id(id.clone())).transpose()?;
    match kept {
        Some((id, value)) => {
            let key = keys.by_id(key_id(id)?).ok_or(OpenError::Damaged)?;
            let opened = key.open(value, &aad).map_err(|_| OpenError::Damaged)?;
            if opened.len() != tag_key.len() {
                return Err(OpenError::Damaged);
            }
            tag_key.copy_from_slice(&opened);
        }
        None if role == Role::Command => return Err(OpenError::NotThere),
        None => tag_key = secrets::random_key()?,
    }
    // A retired key is not needed any more once nothing is sealed with it.
    if sealed_by != Some(current) && role == Role::Gateway {
        let value = keys.current().seal(&*tag_key, &aad).map_err(|_| OpenError::Damaged)?;
        session
            .execute(
                "INSERT INTO meta VALUES ($1, $2, $3)
                 ON CONFLICT (name) DO UPDATE SET key = excluded.key, value = excluded.value",
                &[&TAG_KEY, &key, &value],
            )
            .await?;
    }
    Ok(Opened {
        keys,
        key,
        known: numbers.into_values().collect(),
        tags: Tags::new(&tag_key),
    })
}

/// Gives numbers to those of our keys that have none.
async fn name(session: &mut Session, keys: &Keys) -> Result<(), OpenError> {
    let ids: Vec<Vec<u8>> = keys.ids().map(|id| id.as_bytes().to_vec()).collect();
    session
        .execute(
            "INSERT INTO keys (id) SELECT unnest($1::bytea[]) EXCEPT SELECT id FROM keys ON CONFLICT DO NOTHING",
            &[&ids],
        )
        .await?;
    Ok(())
}

/// The numbers of our keys, as far as they have one.
async fn numbers(session: &mut Session, keys: &Keys) -> Result<HashMap<KeyId, i32>, OpenError> {
    let ids: Vec<Vec<u8>> = keys.ids().map(|id| id.as_bytes().to_vec()).collect();
    let rows = session
        .query("SELECT id, number FROM keys WHERE id = ANY ($1)", &[&ids])
        .await?;
    rows.into_iter()
        .map(|row| Ok((key_id(row.get(0))?, row.get(1))))
        .collect()
}

fn key_id(bytes: Vec<u8>) -> Result<KeyId, OpenError> {
    let bytes = bytes.try_into().map_err(|_| OpenError::Damaged)?;
    Ok(KeyId::from_bytes(bytes))
}
