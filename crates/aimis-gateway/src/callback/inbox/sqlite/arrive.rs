//! Append: an arrival, sealed by its caller, judged and stored inside the writer's transaction.

use aimis_core::sign::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::writer::Store;
use crate::callback::event::{EventId, NewEvent, Origin, Tag, Verified};
use crate::callback::inbox::keys::{SealKey, bound_to};
use crate::callback::inbox::rules::{Judgement, Known, judge, judge_listed};
use crate::callback::inbox::sqlite::read::{millis, state, tag, verified};
use crate::callback::inbox::{AppendError, Kind, State};

/// The last event of an identity that is not in quarantine.
pub(super) const LAST_OF_IDENTITY: &str = "SELECT seq, id, state, verified, place, gist FROM events
     WHERE identity = ?1 AND state <> 4 ORDER BY seq DESC LIMIT 1";

/// An arrival on its way to the disk.
pub(super) struct Sealed {
    event: NewEvent,
    id: EventId,
    /// The number of the key.
    key: i64,
    payload: Vec<u8>,
}

/// What became of it.
pub(super) struct Taken {
    pub(super) event: EventId,
    pub(super) kind: Kind,
    pub(super) verified: Verified,
}

/// An event that is there already, as far as an arrival has to do with it.
struct Kept {
    seq: i64,
    id: EventId,
    state: State,
    verified: Verified,
    place: i64,
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        seq: row.get(0)?,
        id: EventId::from_bytes(row.get(1)?),
        state: state(row, 2)?,
        verified: verified(row.get(3)?),
        place: row.get(4)?,
    })
}

impl Sealed {
    /// Names and seals an arrival; its plaintext is wiped.
    pub(super) fn new(mut event: NewEvent, with: &SealKey, key: i64, now: Timestamp) -> Result<Self, ()> {
        let id = EventId::new(now).map_err(drop)?;
        let aad = bound_to("event", event.tenant.as_str(), id.as_bytes());
        let payload = with.seal(event.payload.as_bytes(), &aad).map_err(drop)?;
        event.payload.wipe();
        Ok(Self {
            event,
            id,
            key,
            payload,
        })
    }
}

impl Store {
    /// Judges and stores an arrival.
    pub(super) fn append(&mut self, sealed: &Sealed) -> rusqlite::Result<Result<Taken, AppendError>> {
        let event = &sealed.event;
        let same = self.same(sealed)?;
        let (judgement, listed) = match event.origin {
            Origin::Callback { gist } => {
                let listed = match same {
                    None => self.listed(sealed, gist)?,
                    Some(_) => None,
                };
                let known = self.known(sealed, same.as_ref(), listed.is_some())?;
                let (signed, quarantine) = (event.signed, event.quarantine);
                let judgement = judge(signed, quarantine, event.received_at, known, self.settings.sharing);
                (judgement, listed)
            }
            Origin::List { has, told_by, .. } => {
                let (told, by) = self.told(&told_by)?;
                let kind = judge_listed(event.quarantine, has, &told, same.as_ref().map(|same| same.state));
                let judgement = Judgement {
                    kind,
                    verified: Verified::Reconciled,
                    releases: false,
                };
                (judgement, by)
            }
        };
        let taken = |event, verified| Taken {
            event,
            kind: judgement.kind,
            verified,
        };
        if judgement.kind == Kind::Duplicate || judgement.releases {
            self.remember_signature(sealed)?;
        }
        if let Some(same) = same {
            if judgement.releases {
                self.set_verified(same.seq, judgement.verified)?;
                self.queue_anew(same.seq, millis(self.now()))?;
                return Ok(Ok(taken(same.id, judgement.verified)));
            }
            if judgement.kind == Kind::Duplicate {
                return Ok(Ok(taken(same.id, same.verified)));
            }
            // From now on the new event is the one that has this body.
            self.let_go_of_body(same.seq)?;
        } else if let (Kind::Duplicate, Some(listed)) = (judgement.kind, listed) {
            if matches!(event.origin, Origin::Callback { .. }) {
                self.take_for(listed.seq, event.body)?;
            }
            return Ok(Ok(taken(listed.id, listed.verified)));
        }
        if let Kind::Quarantined(_) = judgement.kind
            && self.quarantine_bytes()? + sealed.payload.len() as u64 > self.settings.quarantine_max_bytes
        {
            return Ok(Err(AppendError::QuarantineFull));
        }
        if !self.room.take(sealed.payload.len() as u64) {
            return Ok(Err(AppendError::Full));
        }
        self.remember_signature(sealed)?;
        self.insert(sealed, judgement)?;
        Ok(Ok(taken(sealed.id, judgement.verified)))
    }

    /// The event with the same identity and body.
    fn same(&self, sealed: &Sealed) -> rusqlite::Result<Option<Kept>> {
        let event = &sealed.event;
        self.connection
            .prepare_cached("SELECT seq, id, state, verified, place FROM events WHERE identity = ?1 AND body = ?2")?
            .query_row(params![tag(event.identity), tag(event.body)], kept)
            .optional()
    }

    /// The last event of the identity, if a list told of it, what it says is what this callback says, and no other
    /// callback was taken for its.
    fn listed(&self, sealed: &Sealed, gist: Tag) -> rusqlite::Result<Option<Kept>> {
        let last = self
            .connection
            .prepare_cached(LAST_OF_IDENTITY)?
            .query_row([tag(sealed.event.identity)], |row| {
                Ok((kept(row)?, row.get::<_, Option<[u8; 16]>>(5)?))
            })
            .optional()?;
        Ok(last.and_then(|(kept, of)| (of == Some(tag(gist))).then_some(kept)))
    }

    /// The statuses, of 0 to 3, that there are events of under these identities, and the last of these events.
    fn told(&self, identities: &[Tag; 4]) -> rusqlite::Result<(Vec<u8>, Option<Kept>)> {
        let (mut told, mut by) = (Vec::new(), None);
        for (status, identity) in (0..).zip(identities) {
            let last = self
                .connection
                .prepare_cached(LAST_OF_IDENTITY)?
                .query_row([tag(*identity)], kept)
                .optional()?;
            if last.is_some() {
                told.push(status);
                by = last;
            }
        }
        Ok((told, by))
    }

    fn known(&self, sealed: &Sealed, same: Option<&Kept>, listed: bool) -> rusqlite::Result<Known> {
        let event = &sealed.event;
        let other_body = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE identity = ?1 AND body <> ?2 AND state <> 4)")?
            .query_row(params![tag(event.identity), tag(event.body)], |row| row.get(0))?;
        // By arrival or by delivery: what was released or delivered again came last to the HIS, too.
        let superseded = match same {
            Some(same) if other_body => self
                .connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM events
                     WHERE identity = ?1 AND body <> ?2 AND state <> 4 AND (seq > ?3 OR place > ?4))",
                )?
                .query_row(
                    params![tag(event.identity), tag(event.body), same.seq, same.place],
                    |row| row.get(0),
                )?,
            _ => false,
        };
        let (sharers, first_at, repeated) = match event.signed {
            None => (0, None, false),
            Some(signed) => self
                .connection
                .prepare_cached(
                    "SELECT count(*) FILTER (WHERE body <> ?2), min(first_at) FILTER (WHERE body <> ?2),
                            count(*) FILTER (WHERE body = ?2) > 0 FROM signatures WHERE triple = ?1",
                )?
                .query_row(params![tag(signed.triple), tag(event.body)], |row| {
                    Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?))
                })?,
        };
        Ok(Known {
            same: same.map(|same| same.state),
            superseded,
            repeated,
            listed,
            other_body,
            sharers,
            first_at: first_at.map(super::read::timestamp),
        })
    }

    /// An event whose body comes anew under another is not compared by it any more.
    fn let_go_of_body(&self, seq: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE events SET body = randomblob(16) WHERE seq = ?1")?
            .execute([seq])?;
        Ok(())
    }

    /// An event that a list told of is from now on that of the callback with this body; another body is an update.
    fn take_for(&self, seq: i64, body: Tag) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE events SET body = ?2, gist = NULL WHERE seq = ?1")?
            .execute(params![seq, tag(body)])?;
        Ok(())
    }

    /// Since when a tenant's study lists are compared with its callbacks; from now on, if they were not before.
    pub(super) fn reconciles(&mut self, tenant: &str) -> rusqlite::Result<i64> {
        let (number, now) = (self.tenant_number(tenant)?, millis(self.now()));
        self.connection
            .prepare_cached(
                "UPDATE tenants SET reconciled_from = coalesce(reconciled_from, ?2) WHERE number = ?1
                 RETURNING reconciled_from",
            )?
            .query_row(params![number, now], |row| row.get(0))
    }

    fn remember_signature(&self, sealed: &Sealed) -> rusqlite::Result<()> {
        let event = &sealed.event;
        let Some(signed) = event.signed else {
            return Ok(());
        };
        let forget_at = signed.valid_until.max(event.received_at);
        self.connection
            .prepare_cached("INSERT INTO signatures VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
            .execute(params![
                tag(signed.triple),
                tag(event.body),
                millis(event.received_at),
                millis(forget_at)
            ])?;
        Ok(())
    }

    fn insert(&mut self, sealed: &Sealed, judgement: Judgement) -> rusqlite::Result<()> {
        let event = &sealed.event;
        let now = millis(self.now());
        let seq = self.next_number()?;
        let tenant = self.tenant_number(event.tenant.as_str())?;
        let (state, reason) = match judgement.kind {
            Kind::Quarantined(reason) => (State::Quarantined, Some(reason.as_str())),
            _ => (State::Ready, None),
        };
        let head = state.is_live() && !self.is_waited_for(event.study.as_bytes())?;
        let gist = match event.origin {
            Origin::Callback { .. } => None,
            Origin::List { gist, .. } => Some(tag(gist)),
        };
        self.connection
            .prepare_cached(
                "INSERT INTO events (seq, id, tenant, study, identity, body, state, verified, reason, received_at, since, queued_at, due_at, place, head, bytes, gist)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?11, ?1, ?12, ?13, ?14)",
            )?
            .execute(params![
                seq,
                sealed.id.as_bytes(),
                tenant,
                tag(event.study),
                tag(event.identity),
                tag(event.body),
                state.index(),
                judgement.verified as u8,
                reason,
                millis(event.received_at),
                now,
                head,
                sealed.payload.len(),
                gist,
            ])?;
        self.connection
            .prepare_cached("INSERT INTO payloads VALUES (?1, ?2, ?3)")?
            .execute(params![seq, sealed.key, sealed.payload])?;
        if head {
            self.changed();
        }
        Ok(())
    }

    /// The next number of the one sequence that arrivals and places in queues share.
    pub(super) fn next_number(&self) -> rusqlite::Result<i64> {
        self.connection
            .prepare_cached("UPDATE sequence SET next = next + 1 RETURNING next - 1")?
            .query_row([], |row| row.get(0))
    }

    /// Whether an event of this study is still to be delivered.
    pub(super) fn is_waited_for(&self, study: &[u8; 16]) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE study = ?1 AND state < 3)")?
            .query_row([study], |row| row.get(0))
    }

    pub(super) fn tenant_number(&self, name: &str) -> rusqlite::Result<i64> {
        let known = self.known_tenant(name)?;
        if let Some(number) = known {
            return Ok(number);
        }
        self.connection
            .prepare_cached("INSERT INTO tenants (name) VALUES (?1) RETURNING number")?
            .query_row([name], |row| row.get(0))
    }

    pub(super) fn known_tenant(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT number FROM tenants WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()
    }

    fn quarantine_bytes(&self) -> rusqlite::Result<u64> {
        self.connection
            .prepare_cached("SELECT coalesce(sum(bytes), 0) FROM tally WHERE state = 4")?
            .query_row([], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    }

    fn set_verified(&self, seq: i64, verified: Verified) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE events SET verified = ?2 WHERE seq = ?1")?
            .execute(params![seq, verified as u8])?;
        Ok(())
    }
}
