//! One connection: how it is made, what is set on it, and what its answers are worth.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use super::committing::Committing;
use crate::callback::inbox::InboxError;
use crate::clock::Clock;
use crate::config::DatabaseUrl;
use crate::secrets;

/// How the database is reached, and how long it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where it is.
    pub url: DatabaseUrl,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
    /// The authorities of its certificate; those of browsers without.
    pub ca_file: Option<PathBuf>,
    /// A connection is there by then.
    pub connect_timeout: Duration,
    /// The database has said something by then, and a callback has its answer.
    pub answer_timeout: Duration,
    /// A statement is done by then.
    pub statement_timeout: Duration,
    /// A statement got its locks by then.
    pub lock_timeout: Duration,
    /// A long look is done by then.
    pub read_timeout: Duration,
    /// The longest pause between attempts.
    pub reconnect_max: Duration,
    /// A silent connection is probed after this.
    pub keepalive: Duration,
    /// One that takes nothing is given up after this.
    pub tcp_user_timeout: Duration,
}

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// What the driver says.
    Driver(tokio_postgres::Error),
    /// There is no connection, and no attempt is due.
    Away,
    /// It took too long; what became of it is unknown.
    Late,
    /// A commit had no answer in time, or one that says that it may not be on the standby.
    Unconfirmed,
    /// A row that no gateway wrote.
    Row,
    /// The system gave no randomness.
    System,
    /// The inbox is being copied, and must stand still.
    Copied,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl Fault {
    pub(super) fn database(&self) -> Option<&DbError> {
        match self {
            Self::Driver(error) => error.as_db_error(),
            _ => None,
        }
    }

    /// As callers learn it.
    pub(super) fn told(&self) -> InboxError {
        match self {
            Self::Late => InboxError::Late,
            Self::Unconfirmed => InboxError::Unconfirmed,
            _ => match self.database().map(DbError::code) {
                Some(code) if *code == SqlState::DISK_FULL => InboxError::DiskFull,
                _ => InboxError::Failed,
            },
        }
    }

    /// A word for it, never text with a value in it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Away => "connection",
            Self::Late => "timeout",
            Self::Unconfirmed => "commit_unconfirmed",
            Self::Row => "unexpected_row",
            Self::System => "system",
            Self::Copied => "copied",
            Self::Driver(error) => word(error),
        }
    }
}

/// A word for what the driver says.
pub(super) fn word(error: &tokio_postgres::Error) -> &'static str {
    let Some(database) = error.as_db_error() else {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if cause.is::<rustls::Error>() {
                return "tls";
            }
            if let Some(io) = cause.downcast_ref::<std::io::Error>() {
                if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                    return "tls";
                }
                return match io.kind() {
                    std::io::ErrorKind::ConnectionRefused => "connection_refused",
                    std::io::ErrorKind::TimedOut => "timeout",
                    std::io::ErrorKind::NotFound => "not_found",
                    _ => "connection_lost",
                };
            }
            source = cause.source();
        }
        return if error.is_closed() {
            "connection_lost"
        } else {
            "connection"
        };
    };
    match database.code() {
        code if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "authentication"
        }
        code if *code == SqlState::UNDEFINED_DATABASE => "no_such_database",
        code if *code == SqlState::INSUFFICIENT_PRIVILEGE => "not_permitted",
        code if *code == SqlState::CANNOT_CONNECT_NOW => "starting",
        code if *code == SqlState::ADMIN_SHUTDOWN || *code == SqlState::CRASH_SHUTDOWN => "shutdown",
        code if *code == SqlState::TOO_MANY_CONNECTIONS => "too_many_connections",
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => "read_only",
        code if *code == SqlState::DISK_FULL => "disk_full",
        code if *code == SqlState::LOCK_NOT_AVAILABLE => "lock_timeout",
        code if *code == SqlState::QUERY_CANCELED => "statement_timeout",
        code if *code == SqlState::T_R_DEADLOCK_DETECTED => "deadlock",
        _ => "refused",
    }
}

/// Why no connection can ever be made with these settings.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The password's file.
    #[error("inbox.database_password_file: {}: {}", .0.display(), .1)]
    Password(PathBuf, secrets::SecretError),
    /// The authorities' file.
    #[error("inbox.database_ca_file: {}: {}", .0.display(), .1)]
    Authorities(PathBuf, String),
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    reach: Arc<Reach>,
    tls: Option<MakeRustlsConnect>,
    /// What is given up, and not yet ended at the database.
    cancelling: Arc<Mutex<JoinSet<()>>>,
}

/// What a connection is for: it decides how long its statements may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Short statements that others wait for.
    Work,
    /// Long looks.
    Read,
}

impl Connector {
    pub(super) fn new(reach: Arc<Reach>) -> Result<Self, ReachError> {
        let tls = reach.url.tls().then(|| client_tls(&reach)).transpose()?;
        // So that a wrong file is told at the start; it is read anew for each connection, since passwords change.
        password(&reach)?;
        Ok(Self {
            reach,
            tls,
            cancelling: Arc::default(),
        })
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// How long a call on such a connection is waited for.
    pub(super) fn limit(&self, usage: Use) -> Duration {
        match usage {
            Use::Work => self.reach.statement_timeout * 2,
            Use::Read => self.reach.read_timeout * 2,
        }
    }

    /// A new connection. `notified` counts what the database tells by itself.
    pub(super) async fn connect(&self, usage: Use, notified: watch::Sender<u64>) -> Result<Session, Fault> {
        let reach = &self.reach;
        let mut config = reach.url.connection();
        if let Ok(Some(password)) = password(reach) {
            config.password(&**password);
        }
        config
            .application_name("aimis-gateway")
            .connect_timeout(reach.connect_timeout)
            .keepalives_idle(reach.keepalive)
            .keepalives_interval(reach.keepalive)
            .keepalives_retries(3)
            .tcp_user_timeout(reach.tcp_user_timeout)
            // After a failover the old primary is read-only, or not there.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        let statement_timeout = match usage {
            Use::Work => reach.statement_timeout,
            Use::Read => reach.read_timeout,
        };
        // Whatever the server has for everybody: our commits are on its disk, and on its synchronous standbys, before
        // they are answered. What is stronger than `on` stays.
        let settings = format!(
            "SELECT set_config('synchronous_commit', 'on', false)
               WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
             SET statement_timeout = {};
             SET lock_timeout = {};
             SET idle_in_transaction_session_timeout = {};
             SET search_path = {SCHEMA}, pg_catalog;
             SET client_min_messages = warning;
             SET default_transaction_isolation = 'read committed'",
            statement_timeout.as_millis(),
            reach.lock_timeout.as_millis(),
            (reach.statement_timeout * 2).as_millis(),
        );
        // The driver's bound is for each address and for its first packets only.
        let connecting = async {
            let (client, warnings) = open(config, self.tls.as_ref(), notified).await?;
            client.batch_execute(&settings).await?;
            Ok(Session {
                client,
                tenants: HashMap::new(),
                statements: HashMap::new(),
                committing: Committing::default(),
                warnings,
                listens: false,
            })
        };
        tokio::time::timeout(reach.connect_timeout, connecting)
            .await
            .map_err(|_| Fault::Late)?
    }

    /// Ends what a connection is in the middle of, and then the connection; in a task of its own, for which
    /// [`Connector::cancelled`] waits.
    ///
    /// The database would not notice that nobody waits any more: a commit that waits for a standby keeps its place, and its
    /// locks, for as long as the standby is away. A commit that is cancelled there is in force though the standby does
    /// not have it. That is no acknowledgement: whoever sends the same again is answered behind a record of their own, which
    /// the standby has only after this one.
    pub(super) fn cancel(&self, session: Session) {
        // Without a runtime nothing can be sent; it is called where a connection is dropped, too.
        if session.client.is_closed() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (tls, limit) = (self.tls.clone(), self.reach.answer_timeout);
        let cancel = async move {
            let token = session.client.cancel_token();
            // The first may come before what it is meant for. The connection stays until the database is done with it: behind
            // a pooler nothing is cancelled for whoever has gone.
            for _ in 0..CANCELS {
                // Refused or not: that the connection is idle is what counts.
                let _ = match &tls {
                    Some(tls) => token.cancel_query(tls.clone()).await,
                    None => token.cancel_query(NoTls).await,
                };
                let idle = tokio::time::timeout(limit / (CANCELS + 1), session.client.batch_execute(""));
                if idle.await.is_ok() {
                    break;
                }
            }
        };
        let mut cancelling = self.cancelling.lock().unwrap_or_else(PoisonError::into_inner);
        while cancelling.try_join_next().is_some() {}
        cancelling.spawn(async move {
            let _ = tokio::time::timeout(limit, cancel).await;
        });
    }

    /// Waits for what is being cancelled, at most `database_answer_timeout_ms`.
    pub(super) async fn cancelled(&self) {
        let mut cancelling = std::mem::take(&mut *self.cancelling.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while cancelling.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(self.reach.answer_timeout, all).await;
    }
}

/// As often a connection is asked to end what it does.
const CANCELS: u32 = 3;

/// Where our tables are.
pub(super) const SCHEMA: &str = "aimis_inbox";

fn password(reach: &Reach) -> Result<Option<Zeroizing<Vec<u8>>>, ReachError> {
    let read = |path: &PathBuf| {
        secrets::read_password(path).map_err(|error| ReachError::Password(secrets::in_full(path), error))
    };
    reach.password_file.as_ref().map(read).transpose()
}

fn client_tls(reach: &Reach) -> Result<MakeRustlsConnect, ReachError> {
    let roots = match &reach.ca_file {
        None => crate::upstream::tls::public_roots(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            crate::upstream::tls::add(&mut roots, path)
                .map_err(|error| ReachError::Authorities(secrets::in_full(path), error.to_string()))?;
            roots
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

type Opened = Result<(Client, Arc<AtomicU64>), tokio_postgres::Error>;

async fn open(mut config: Config, tls: Option<&MakeRustlsConnect>, notified: watch::Sender<u64>) -> Opened {
    match tls {
        Some(tls) => {
            let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls.clone()).await?;
            Ok((client, drive(connection, notified)))
        }
        None => {
            let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
            Ok((client, drive(connection, notified)))
        }
    }
}

/// Moves bytes until the connection ends. The number counts warnings: one that belongs to a commit is counted before the
/// commit is answered, since the database sends it before.
fn drive<S, T>(mut connection: Connection<S, T>, notified: watch::Sender<u64>) -> Arc<AtomicU64>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let warnings = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&warnings);
    tokio::spawn(async move {
        loop {
            match std::future::poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notice(_))) => {
                    counted.fetch_add(1, Ordering::Release);
                }
                Some(Ok(AsyncMessage::Notification(_))) => notified.send_modify(|count| *count = count.wrapping_add(1)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
    });
    warnings
}

/// A connection in use.
pub(super) struct Session {
    pub(super) client: Client,
    /// Numbers of tenants, as this connection's database has them: another may be one that lost some, or a backup.
    pub(super) tenants: HashMap<String, i32>,
    statements: HashMap<&'static str, Statement>,
    /// That of whoever uses the connection.
    pub(super) committing: Committing,
    warnings: Arc<AtomicU64>,
    /// Whether it hears of what other gateways do.
    pub(super) listens: bool,
}

/// A record of its own for a transaction that may have none, so that its commit waits for the standby.
pub(super) const RECORD: &str = "SELECT pg_logical_emit_message(true, 'aimis', '')";

/// What goes with a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Session {
    /// A statement, prepared once.
    pub(super) async fn statement(&mut self, sql: &'static str) -> Result<Statement, Fault> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let made = self.client.prepare_typed(sql, NO_TYPES).await?;
        self.statements.insert(sql, made.clone());
        Ok(made)
    }

    pub(super) async fn query(&mut self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query(&statement, params).await?)
    }

    pub(super) async fn one(&mut self, sql: &'static str, params: Params<'_>) -> Result<Row, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query_one(&statement, params).await?)
    }

    pub(super) async fn execute(&mut self, sql: &'static str, params: Params<'_>) -> Result<u64, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.execute(&statement, params).await?)
    }

    pub(super) async fn begin(&mut self) -> Result<(), Fault> {
        Ok(self.client.batch_execute("BEGIN").await?)
    }

    /// Commits; when this is `Ok`, it is durable wherever the database promises it to be.
    ///
    /// A statement time-out that strikes while a commit waits for a standby would make the database answer that it
    /// has committed, with a warning that the standby may not have it. So there is none for the commit (whoever
    /// waits for us gives up on their own, see [`Connector::cancel`]), and a commit with a warning counts for nothing.
    pub(super) async fn commit(&mut self) -> Result<(), Fault> {
        let before = self.warnings.load(Ordering::Acquire);
        self.client.batch_execute("SET LOCAL statement_timeout = 0").await?;
        self.committing.set(true);
        let committed = self.client.batch_execute("COMMIT").await;
        self.committing.set(false);
        committed?;
        if self.warnings.load(Ordering::Acquire) == before {
            Ok(())
        } else {
            Err(Fault::Unconfirmed)
        }
    }

    /// Commits a record of nothing. While a standby is away it waits, as any commit would.
    pub(super) async fn commit_nothing(&mut self) -> Result<(), Fault> {
        self.begin().await?;
        self.query(RECORD, &[]).await?;
        self.commit().await
    }

    /// Undoes what was begun; on a connection that is gone the database does it by itself.
    pub(super) async fn undo(&mut self) -> Result<(), Fault> {
        Ok(self.client.batch_execute("ROLLBACK").await?)
    }
}

const NO_TYPES: &[Type] = &[];

/// What time it is for leases.
#[derive(Clone)]
pub enum Time {
    /// The database's: replicas may disagree about theirs.
    Database,
    /// This clock's; for tests under a clock of their own.
    Given(Clock),
}

impl Time {
    /// For `now_ms`, which takes NULL for the database's.
    pub(super) fn given(&self) -> Option<i64> {
        match self {
            Self::Database => None,
            Self::Given(clock) => Some(clock.now().as_millis().cast_signed()),
        }
    }
}
