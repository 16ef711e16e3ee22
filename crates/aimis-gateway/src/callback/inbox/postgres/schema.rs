//! The tables, and how a database of an earlier version comes to have them: under a lock, one gateway at a time.

use super::open::OpenError;
use super::session::{Fault, SCHEMA, Session};
use crate::callback::inbox::sqlite::Role;

/// One step a version: `MIGRATIONS[n]` makes version `n + 1` of version `n`. A step that was released never changes.
/// While gateways of two versions run side by side, the older one works on the newer tables: so a step only adds.
const MIGRATIONS: &[&str] = &[VERSION_1];

/// As in the file (`sqlite::schema`), with these differences. `key` stands with the event, so that a gateway leases only
/// what it can open. `tally` gets a row a change, added up when it is read and folded by retention: a row that every
/// commit changes would make every commit wait for the one before. `one_head` is invariant 4, kept by the database.
const VERSION_1: &str = "
CREATE FUNCTION now_ms(given bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
  'SELECT coalesce(given, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)';

CREATE SEQUENCE numbers AS bigint;

CREATE TABLE keys (number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bytea NOT NULL UNIQUE);
CREATE TABLE meta (name text PRIMARY KEY, key int NOT NULL REFERENCES keys, value bytea NOT NULL);
CREATE TABLE tenants (
  number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
  parked boolean NOT NULL DEFAULT false, reconciled_from bigint
);

CREATE TABLE events (
  seq bigint PRIMARY KEY, id bytea NOT NULL UNIQUE, tenant int NOT NULL, study bytea NOT NULL, identity bytea NOT NULL,
  body bytea NOT NULL, state smallint NOT NULL, verified smallint NOT NULL, reason text,
  received_at bigint NOT NULL, since bigint NOT NULL, queued_at bigint NOT NULL, due_at bigint NOT NULL,
  place bigint NOT NULL, head boolean NOT NULL, attempts int NOT NULL DEFAULT 0, leases bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL, key int, gist bytea,
  UNIQUE (identity, body),
  CHECK (state BETWEEN 0 AND 5), CHECK (head <= (state < 3)), CHECK ((state = 1) <= head)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX one_head ON events (study) WHERE head;
CREATE INDEX studies ON events (study, place) WHERE state < 3;
CREATE INDEX due ON events (tenant, due_at, place) WHERE head;
CREATE INDEX waiting ON events (queued_at) WHERE state < 3;
CREATE INDEX delivered ON events ((bytes > 0), since) WHERE state = 5;

CREATE TABLE payloads (seq bigint PRIMARY KEY, sealed bytea NOT NULL);
-- Ciphertext does not become smaller.
ALTER TABLE payloads ALTER COLUMN sealed SET STORAGE EXTERNAL;

CREATE TABLE signatures (
  triple bytea NOT NULL, body bytea NOT NULL, first_at bigint NOT NULL, forget_at bigint NOT NULL,
  PRIMARY KEY (triple, body)
);
CREATE INDEX forgotten ON signatures (forget_at);

CREATE TABLE acts (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint NOT NULL, who text NOT NULL, what text NOT NULL,
  events bytea NOT NULL
);

CREATE SEQUENCE moves AS bigint;
CREATE TABLE tally (
  move bigint NOT NULL DEFAULT nextval('moves'), tenant int NOT NULL, state smallint NOT NULL, key int,
  items bigint NOT NULL, bytes bigint NOT NULL
);
CREATE INDEX moved ON tally (move);

CREATE FUNCTION count_in() RETURNS trigger LANGUAGE plpgsql SET search_path = aimis_inbox, pg_catalog AS $$ BEGIN
  INSERT INTO tally (tenant, state, key, items, bytes)
    SELECT tenant, state, key, count(*), sum(bytes) FROM n GROUP BY 1, 2, 3;
  RETURN NULL; END $$;
CREATE FUNCTION count_out() RETURNS trigger LANGUAGE plpgsql SET search_path = aimis_inbox, pg_catalog AS $$ BEGIN
  INSERT INTO tally (tenant, state, key, items, bytes)
    SELECT tenant, state, key, -count(*), -sum(bytes) FROM o GROUP BY 1, 2, 3;
  RETURN NULL; END $$;
CREATE FUNCTION count_moved() RETURNS trigger LANGUAGE plpgsql SET search_path = aimis_inbox, pg_catalog AS $$ BEGIN
  INSERT INTO tally (tenant, state, key, items, bytes)
    SELECT tenant, state, key, sum(items), sum(held) FROM (
      SELECT tenant, state, key, 1 AS items, bytes AS held FROM n
      UNION ALL SELECT tenant, state, key, -1, -bytes FROM o) AS moved
    GROUP BY 1, 2, 3 HAVING sum(items) <> 0 OR sum(held) <> 0;
  RETURN NULL; END $$;
CREATE TRIGGER event_in AFTER INSERT ON events REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION count_in();
CREATE TRIGGER event_out AFTER DELETE ON events REFERENCING OLD TABLE AS o FOR EACH STATEMENT EXECUTE FUNCTION count_out();
CREATE TRIGGER event_moved AFTER UPDATE ON events REFERENCING OLD TABLE AS o NEW TABLE AS n
  FOR EACH STATEMENT EXECUTE FUNCTION count_moved();

CREATE TABLE version (number int NOT NULL);
INSERT INTO version VALUES (0);
";

/// Numbers of advisory locks, of which a database has one space for everybody: \"aimi\" in front, ours behind.
pub(super) const LOCK_CLASS: i32 = 0x6169_6d69;
/// Held while the tables are made or changed.
const MIGRATING: i32 = 1;
/// Shared by every gateway as long as it works; held alone by whoever copies a whole inbox.
pub(super) const IN_USE: i32 = 2;
/// Held by the one that does the retention now.
pub(super) const RETAINING: i32 = 3;

/// The version this gateway writes.
fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).expect("few versions")
}

/// Brings the database to the newest version, inside a transaction that was begun, and that is the caller's to commit.
pub(super) async fn migrate(session: &mut Session, role: Role) -> Result<(), OpenError> {
    lock(session, MIGRATING).await?;
    let found = version(session).await?;
    if found > newest() {
        return Err(OpenError::Newer { found, known: newest() });
    }
    if found == newest() {
        return Ok(());
    }
    if role == Role::Command {
        return Err(if found == 0 {
            OpenError::NotThere
        } else {
            OpenError::Older { found, known: newest() }
        });
    }
    let migrated = async {
        if found == 0 {
            let create = format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}");
            session.client.batch_execute(&create).await?;
        }
        for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            session.client.batch_execute(step).await?;
        }
        let told = format!("UPDATE version SET number = {}", newest());
        session.client.batch_execute(&told).await
    };
    migrated.await.map_err(Fault::from)?;
    Ok(())
}

/// The version of the tables; 0 where there are none.
async fn version(session: &mut Session) -> Result<i32, OpenError> {
    let ours = "SELECT to_regclass('aimis_inbox.version') IS NOT NULL,
                       EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON relnamespace = n.oid
                               WHERE nspname = 'aimis_inbox')";
    let row = session.one(ours, &[]).await?;
    match (row.get(0), row.get(1)) {
        (true, _) => {
            let row = session.one("SELECT number FROM aimis_inbox.version", &[]).await?;
            Ok(row.get(0))
        }
        (false, true) => Err(OpenError::NotAnInbox),
        (false, false) => Ok(0),
    }
}

/// Takes a lock until the transaction ends.
pub(super) async fn lock(session: &mut Session, which: i32) -> Result<(), Fault> {
    session
        .execute("SELECT pg_advisory_xact_lock($1, $2)", &[&LOCK_CLASS, &which])
        .await?;
    Ok(())
}

/// Takes a lock until the transaction ends, if nobody has it.
pub(super) async fn try_lock(session: &mut Session, which: i32) -> Result<bool, Fault> {
    let row = session
        .one("SELECT pg_try_advisory_xact_lock($1, $2)", &[&LOCK_CLASS, &which])
        .await?;
    Ok(row.get(0))
}

/// Takes a lock for as long as the connection lasts, if nobody has it.
pub(super) async fn hold(session: &mut Session, which: i32) -> Result<bool, Fault> {
    let row = session
        .one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCK_CLASS, &which])
        .await?;
    Ok(row.get(0))
}

/// Begins to change something: refused while somebody copies the inbox. Each change asks for itself, since a lock that a
/// connection holds goes with the connection.
pub(super) async fn begin(session: &mut Session) -> Result<(), Fault> {
    session.begin().await?;
    if share_now(session, IN_USE).await? {
        return Ok(());
    }
    session.undo().await?;
    Err(Fault::Copied)
}

/// Shares a lock until the transaction ends, if nobody has it alone.
pub(super) async fn share_now(session: &mut Session, which: i32) -> Result<bool, Fault> {
    let row = session
        .one(
            "SELECT pg_try_advisory_xact_lock_shared($1, $2)",
            &[&LOCK_CLASS, &which],
        )
        .await?;
    Ok(row.get(0))
}

/// Shares a lock for as long as the connection lasts, if nobody has it alone.
pub(super) async fn share(session: &mut Session, which: i32) -> Result<bool, Fault> {
    let row = session
        .one("SELECT pg_try_advisory_lock_shared($1, $2)", &[&LOCK_CLASS, &which])
        .await?;
    Ok(row.get(0))
}
