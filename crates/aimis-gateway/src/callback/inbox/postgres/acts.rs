//! What operators did, and what they saw; and since when study lists are compared.

use super::rows::{millis, timestamp};
use super::schema;
use super::session::{Fault, Session};
use super::{Common, NOW};
use crate::callback::event::EventId;
use crate::callback::inbox::Act;

/// Bytes of an id.
const ID: usize = 16;

/// Notes an act.
pub(super) async fn note(session: &mut Session, act: &Act) -> Result<(), Fault> {
    let mut events = Vec::with_capacity(act.events.len() * ID);
    for event in &act.events {
        events.extend_from_slice(event.as_bytes());
    }
    schema::begin(session).await?;
    session
        .execute(
            "INSERT INTO acts (at, who, what, events) VALUES ($1, $2, $3, $4)",
            &[&millis(act.at), &act.who, &act.what, &events],
        )
        .await?;
    session.commit().await
}

/// Acts from behind a number on.
pub(super) async fn list(session: &mut Session, after: u64, limit: usize) -> Result<Vec<(u64, Act)>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = session
        .query(
            "SELECT number, at, who, what, events FROM acts WHERE number > $1 ORDER BY number LIMIT $2",
            &[&after, &limit],
        )
        .await?;
    let act = |row: &tokio_postgres::Row| {
        let (ids, _) = row.get::<_, &[u8]>(4).as_chunks::<ID>();
        let act = Act {
            at: timestamp(row.get(1)),
            who: row.get(2),
            what: row.get(3),
            events: ids.iter().map(|id| EventId::from_bytes(*id)).collect(),
        };
        (row.get::<_, i64>(0).unsigned_abs(), act)
    };
    Ok(rows.iter().map(act).collect())
}

/// Since when a tenant's study lists are compared with its callbacks; from now on, if they were not before.
pub(super) async fn reconciles(session: &mut Session, common: &Common, tenant: &str) -> Result<i64, Fault> {
    schema::begin(session).await?;
    let number = super::arrive::tenant_number(session, tenant).await?;
    let now: i64 = session.one(NOW, &[&common.time.given()]).await?.get(0);
    let row = session
        .one(
            "UPDATE tenants SET reconciled_from = coalesce(reconciled_from, $2) WHERE number = $1
             RETURNING reconciled_from",
            &[&number, &now],
        )
        .await?;
    session.commit().await?;
    Ok(row.get(0))
}
