//! Append: arrivals, sealed by their callers, judged and stored together in one transaction.
//!
//! A transaction takes its arrivals in waves. Within a wave no two share a study or a signature, so that what is asked of
//! the database for all of them at once is true for each; those that do share wait for the next wave, which sees the one
//! before. Every study and signature is locked first, in one order, so that another gateway with an arrival for the same
//! one waits until this transaction is committed, and then sees it.

use std::collections::{HashMap, HashSet};

use aimis_core::sign::Timestamp;
use futures_util::future::{try_join, try_join3};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Row;

use super::line::Line;
use super::ring::Ring;
use super::rows::{lock_key, millis, state, tag, timestamp, verified};
use super::schema;
use super::session::{Fault, RECORD, Session};
use super::{Common, NOW};
use crate::callback::event::{EventId, NewEvent, Origin, Verified};
use crate::callback::inbox::keys::bound_to;
use crate::callback::inbox::rules::{Judgement, Known, judge, judge_listed};
use crate::callback::inbox::{AppendError, Kind, State};

/// An arrival on its way to the database.
pub(super) struct Sealed {
    event: NewEvent,
    id: EventId,
    /// The number of the key.
    key: i32,
    payload: Vec<u8>,
}

impl Sealed {
    /// Names and seals an arrival; its plaintext is wiped.
    pub(super) fn new(mut event: NewEvent, ring: &Ring, now: Timestamp) -> Result<Self, ()> {
        let id = EventId::new(now).map_err(drop)?;
        let aad = bound_to("event", event.tenant.as_str(), id.as_bytes());
        let payload = ring.keys.current().seal(event.payload.as_bytes(), &aad).map_err(drop)?;
        event.payload.wipe();
        Ok(Self {
            event,
            id,
            key: ring.key,
            payload,
        })
    }
}

/// What became of it.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    pub(super) event: EventId,
    pub(super) kind: Kind,
    pub(super) verified: Verified,
}

type Answer = Result<Taken, AppendError>;

/// An arrival, and who waits for it.
pub(super) struct Arrival {
    pub(super) sealed: Sealed,
    pub(super) reply: oneshot::Sender<Answer>,
}

/// Takes what has gathered while the commit before was under way.
pub(super) async fn serve(mut line: Line, mut arrivals: mpsc::Receiver<Arrival>, common: &Common) {
    let mut desk = Desk { common };
    let mut batch = Vec::with_capacity(common.settings.batch);
    while arrivals.recv_many(&mut batch, common.settings.batch).await > 0 {
        batch.retain(|arrival| !arrival.reply.is_closed());
        if !batch.is_empty() {
            desk.take(&mut line, &mut batch).await;
        }
    }
}

struct Desk<'a> {
    common: &'a Common,
}

impl Desk<'_> {
    /// Stores a batch and answers it. A statement that the database refused undid them all: then one by one, so that one
    /// bad arrival harms no other. Whoever gets no answer of the database is told that nothing was stored.
    async fn take(&mut self, line: &mut Line, batch: &mut Vec<Arrival>) {
        let sealed: Vec<&Sealed> = batch.iter().map(|arrival| &arrival.sealed).collect();
        let stored = line
            .run(async |session: &mut Session| self.store(session, &sealed).await)
            .await;
        match stored {
            Ok(answers) => {
                self.common.changed();
                answer(batch, answers);
            }
            Err(fault) if fault.database().is_some() && batch.len() > 1 => {
                for arrival in batch.drain(..).filter(|arrival| !arrival.reply.is_closed()) {
                    let one = [&arrival.sealed];
                    let stored = line
                        .run(async |session: &mut Session| self.store(session, &one).await)
                        .await;
                    let answers = stored.unwrap_or_else(|fault| vec![Err(refused(&fault))]);
                    answer(&mut vec![arrival], answers);
                }
                self.common.changed();
            }
            Err(fault) => {
                let answers = vec![Err(refused(&fault)); batch.len()];
                answer(batch, answers);
            }
        }
    }

    async fn store(&mut self, session: &mut Session, sealed: &[&Sealed]) -> Result<Vec<Answer>, Fault> {
        self.know_tenants(session, sealed).await?;
        let mut keys: Vec<i64> = sealed.iter().flat_map(|sealed| sealed.locks()).collect();
        keys.sort_unstable();
        keys.dedup();
        schema::begin(session).await?;
        session
            .query(
                "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key",
                &[&keys],
            )
            .await?;
        let now: i64 = session.one(NOW, &[&self.common.time.given()]).await?.get(0);

        let mut answers: Vec<Option<Answer>> = vec![None; sealed.len()];
        let mut quarantined = None;
        let mut rest: Vec<usize> = (0..sealed.len()).collect();
        while !rest.is_empty() {
            let mut touched = HashSet::new();
            let (wave, later): (Vec<usize>, Vec<usize>) = rest.into_iter().partition(|index| {
                let mut locks = sealed[*index].locks();
                // Both are noted in any case, or a later arrival could overtake this one.
                locks.retain(|key| !touched.insert(*key));
                locks.is_empty()
            });
            let of: Vec<&Sealed> = wave.iter().map(|index| sealed[*index]).collect();
            let taken = self.wave(session, &of, now, &mut quarantined).await?;
            for (index, answer) in wave.into_iter().zip(taken) {
                answers[index] = Some(answer);
            }
            rest = later;
        }
        if answers.iter().flatten().any(is_duplicate) {
            // What a duplicate stands on was committed by somebody, and perhaps not yet acknowledged by a standby. With
            // a record of its own this transaction is acknowledged by the standby only after that one.
            session.query(RECORD, &[]).await?;
        }
        let start = self.common.clock.moment();
        session.commit().await?;
        let took = self.common.clock.moment().since(start);
        self.common.metrics.fsync_seconds.observe(took.as_secs_f64());
        answers.into_iter().collect::<Option<Vec<_>>>().ok_or(Fault::Row)
    }

    /// Judges and stores arrivals of which no two have to do with each other.
    async fn wave(
        &self,
        session: &mut Session,
        sealed: &[&Sealed],
        now: i64,
        quarantined: &mut Option<u64>,
    ) -> Result<Vec<Answer>, Fault> {
        let found = Found::of(session, sealed).await?;
        let settings = &self.common.settings;
        let mut answers = Vec::with_capacity(sealed.len());
        let mut write = Write::default();
        for (index, sealed) in sealed.iter().enumerate() {
            let event = &sealed.event;
            let same = found.same.get(&index);
            let (judgement, listed) = found.judge(index, event, settings.sharing);
            let taken = |event, verified| {
                Ok(Taken {
                    event,
                    kind: judgement.kind,
                    verified,
                })
            };
            if judgement.kind == Kind::Duplicate || judgement.releases {
                write.signatures.push(index);
            }
            if let Some(same) = same {
                if judgement.releases {
                    let head = !found.waited.contains(event.study.as_bytes());
                    write
                        .released
                        .push((same.seq, judgement.verified, found.numbers[index], head));
                    answers.push(taken(same.id, judgement.verified));
                    continue;
                }
                if judgement.kind == Kind::Duplicate {
                    answers.push(taken(same.id, same.verified));
                    continue;
                }
            } else if let (Kind::Duplicate, Some(listed)) = (judgement.kind, listed) {
                if matches!(event.origin, Origin::Callback { .. }) {
                    write.taken_for.push((listed.seq, event.body.as_bytes().to_vec()));
                }
                answers.push(taken(listed.id, listed.verified));
                continue;
            }
            let bytes = sealed.payload.len() as u64;
            if let Kind::Quarantined(_) = judgement.kind {
                let before = match *quarantined {
                    Some(before) => before,
                    None => quarantine_bytes(session).await?,
                };
                *quarantined = Some(before + bytes);
                if before + bytes > settings.quarantine_max_bytes {
                    answers.push(Err(AppendError::QuarantineFull));
                    continue;
                }
            }
            if !self.common.room.take(bytes) {
                answers.push(Err(AppendError::Full));
                continue;
            }
            if let Some(same) = same {
                // From now on the new event is the one that has this body.
                let mut nothing = vec![0; 16];
                getrandom::fill(&mut nothing).map_err(|_| Fault::System)?;
                write.let_go.push((same.seq, nothing));
            }
            write.signatures.push(index);
            write.new.push((index, judgement));
            answers.push(taken(sealed.id, judgement.verified));
        }
        self.write(session, sealed, &found, &write, now).await?;
        Ok(answers)
    }

    async fn write(
        &self,
        session: &mut Session,
        sealed: &[&Sealed],
        found: &Found,
        write: &Write,
        now: i64,
    ) -> Result<(), Fault> {
        self.write_signatures(session, sealed, &write.signatures).await?;
        if !write.released.is_empty() {
            let seqs: Vec<i64> = write.released.iter().map(|(seq, ..)| *seq).collect();
            let verified: Vec<i16> = write
                .released
                .iter()
                .map(|(_, verified, ..)| *verified as i16)
                .collect();
            let places: Vec<i64> = write.released.iter().map(|(_, _, place, _)| *place).collect();
            let heads: Vec<bool> = write.released.iter().map(|(.., head)| *head).collect();
            session
                .execute(
                    "UPDATE events e SET verified = u.verified, state = 0, since = $5, queued_at = $5, due_at = $5,
                       place = u.place, head = u.head, attempts = 0, reason = NULL
                     FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::boolean[]) AS u (seq, verified, place, head)
                     WHERE e.seq = u.seq",
                    &[&seqs, &verified, &places, &heads, &now],
                )
                .await?;
        }
        for (changes, sql) in [(&write.let_go, LET_GO), (&write.taken_for, TAKE_FOR)] {
            if !changes.is_empty() {
                let (seqs, bodies): (Vec<i64>, Vec<&[u8]>) =
                    changes.iter().map(|(seq, body)| (*seq, body.as_slice())).unzip();
                session.execute(sql, &[&seqs, &bodies]).await?;
            }
        }
        if !write.new.is_empty() {
            self.insert(session, sealed, found, &write.new, now).await?;
        }
        Ok(())
    }

    async fn write_signatures(&self, session: &mut Session, sealed: &[&Sealed], which: &[usize]) -> Result<(), Fault> {
        let signed = which.iter().filter_map(|index| {
            let event = &sealed[*index].event;
            event.signed.map(|signed| (event, signed))
        });
        let (mut triples, mut bodies, mut first, mut forget) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (event, signed) in signed {
            triples.push(signed.triple.as_bytes().to_vec());
            bodies.push(event.body.as_bytes().to_vec());
            first.push(millis(event.received_at));
            forget.push(millis(signed.valid_until.max(event.received_at)));
        }
        if !triples.is_empty() {
            session
                .execute(
                    "INSERT INTO signatures SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[])
                     ON CONFLICT DO NOTHING",
                    &[&triples, &bodies, &first, &forget],
                )
                .await?;
        }
        Ok(())
    }

    async fn insert(
        &self,
        session: &mut Session,
        sealed: &[&Sealed],
        found: &Found,
        new: &[(usize, Judgement)],
        now: i64,
    ) -> Result<(), Fault> {
        let mut rows = NewRows::default();
        for (index, judgement) in new {
            let (sealed, event) = (sealed[*index], &sealed[*index].event);
            let (state, reason) = match judgement.kind {
                Kind::Quarantined(reason) => (State::Quarantined, Some(reason.as_str())),
                _ => (State::Ready, None),
            };
            rows.seq.push(found.numbers[*index]);
            rows.id.push(sealed.id.as_bytes());
            rows.key.push(sealed.key);
            rows.tenant
                .push(*session.tenants.get(event.tenant.as_str()).ok_or(Fault::Row)?);
            rows.study.push(event.study.as_bytes());
            rows.identity.push(event.identity.as_bytes());
            rows.body.push(event.body.as_bytes());
            rows.state.push(state.index() as i16);
            rows.verified.push(judgement.verified as i16);
            rows.reason.push(reason);
            rows.received_at.push(millis(event.received_at));
            rows.head
                .push(state.is_live() && !found.waited.contains(event.study.as_bytes()));
            rows.bytes.push(sealed.payload.len() as i64);
            rows.gist.push(match &event.origin {
                Origin::Callback { .. } => None,
                Origin::List { gist, .. } => Some(gist.as_bytes()),
            });
            rows.payload.push(&sealed.payload);
        }
        let events = session.statement(INSERT_EVENTS).await?;
        let payloads = session.statement(INSERT_PAYLOADS).await?;
        try_join(
            session.client.execute(
                &events,
                &[
                    &now,
                    &rows.seq,
                    &rows.id,
                    &rows.tenant,
                    &rows.study,
                    &rows.identity,
                    &rows.body,
                    &rows.state,
                    &rows.verified,
                    &rows.reason,
                    &rows.received_at,
                    &rows.head,
                    &rows.bytes,
                    &rows.gist,
                    &rows.key,
                ],
            ),
            session.client.execute(&payloads, &[&rows.seq, &rows.payload]),
        )
        .await?;
        Ok(())
    }

    /// Tenants get their numbers before the transaction, so that no lock is held on them.
    async fn know_tenants(&self, session: &mut Session, sealed: &[&Sealed]) -> Result<(), Fault> {
        for sealed in sealed {
            let name = sealed.event.tenant.as_str();
            if session.tenants.contains_key(name) {
                continue;
            }
            let number = match known_tenant(session, name).await? {
                Some(number) => number,
                None => {
                    // A transaction of its own: of one that is undone, nothing may be known.
                    schema::begin(session).await?;
                    let number = tenant_number(session, name).await?;
                    session.commit().await?;
                    number
                }
            };
            session.tenants.insert(name.to_owned(), number);
        }
        Ok(())
    }
}

/// The number of a tenant that has one.
async fn known_tenant(session: &mut Session, name: &str) -> Result<Option<i32>, Fault> {
    let known = session
        .query("SELECT number FROM tenants WHERE name = $1", &[&name])
        .await?;
    Ok(known.first().map(|row| row.get(0)))
}

/// A tenant's number; it has one from now on.
pub(super) async fn tenant_number(session: &mut Session, name: &str) -> Result<i32, Fault> {
    if let Some(number) = known_tenant(session, name).await? {
        return Ok(number);
    }
    let sql =
        "INSERT INTO tenants (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING number";
    Ok(session.one(sql, &[&name]).await?.get(0))
}

fn answer(batch: &mut Vec<Arrival>, answers: Vec<Answer>) {
    for (arrival, answer) in batch.drain(..).zip(answers) {
        // The caller may have gone; its event is stored all the same.
        let _ = arrival.reply.send(answer);
    }
}

fn refused(fault: &Fault) -> AppendError {
    match fault.told() {
        crate::callback::inbox::InboxError::DiskFull => AppendError::Full,
        other => other.into(),
    }
}

fn is_duplicate(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(|taken| taken.kind == Kind::Duplicate)
}

async fn quarantine_bytes(session: &mut Session) -> Result<u64, Fault> {
    let row = session
        .one("SELECT coalesce(sum(bytes), 0)::bigint FROM tally WHERE state = 4", &[])
        .await?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

impl Sealed {
    /// What nobody else may work on meanwhile.
    fn locks(&self) -> Vec<i64> {
        let study = lock_key(self.event.study.as_bytes());
        let triple = self.event.signed.map(|signed| lock_key(signed.triple.as_bytes()));
        std::iter::once(study).chain(triple).collect()
    }
}

/// An event that is there already, as far as an arrival has to do with it.
#[derive(Clone, Copy)]
struct Kept {
    seq: i64,
    id: EventId,
    state: State,
    verified: Verified,
    place: i64,
}

/// `seq, id, state, verified, place` from a column on.
fn kept(row: &Row, from: usize) -> Result<Kept, Fault> {
    Ok(Kept {
        seq: row.get(from),
        id: EventId::from_bytes(tag(row, from + 1)?),
        state: state(row.get(from + 2))?,
        verified: verified(row.get(from + 3)),
        place: row.get(from + 4),
    })
}

/// What is known about a wave.
struct Found {
    /// By arrival: the event with the same identity and body.
    same: HashMap<usize, Kept>,
    /// By arrival: the last number and place of other bodies under the identity, but those in quarantine.
    others: HashMap<usize, (i64, i64)>,
    /// By identity: its last event that is not in quarantine, and its gist.
    last: HashMap<[u8; 16], (Kept, Option<[u8; 16]>)>,
    /// By arrival: other bodies under the signature, when the first of them came, and whether this very one did.
    sharers: HashMap<usize, (u32, Option<Timestamp>, bool)>,
    /// Studies with events that are still to be delivered.
    waited: HashSet<[u8; 16]>,
    /// A new number for each arrival.
    numbers: Vec<i64>,
}

impl Found {
    async fn of(session: &mut Session, sealed: &[&Sealed]) -> Result<Self, Fault> {
        let number = |index: usize| i32::try_from(index).unwrap_or(i32::MAX);
        let at: Vec<i32> = (0..sealed.len()).map(number).collect();
        let identities: Vec<&[u8]> = sealed
            .iter()
            .map(|sealed| &sealed.event.identity.as_bytes()[..])
            .collect();
        let bodies: Vec<&[u8]> = sealed.iter().map(|sealed| &sealed.event.body.as_bytes()[..]).collect();
        let studies: Vec<&[u8]> = sealed.iter().map(|sealed| &sealed.event.study.as_bytes()[..]).collect();
        let triples: Vec<Option<&[u8]>> = sealed
            .iter()
            .map(|sealed| sealed.event.signed.as_ref().map(|signed| &signed.triple.as_bytes()[..]))
            .collect();
        let mut asked: Vec<&[u8]> = identities.clone();
        for sealed in sealed {
            if let Origin::List { told_by, .. } = &sealed.event.origin {
                asked.extend(told_by.iter().map(|identity| &identity.as_bytes()[..]));
            }
        }
        let count = i64::try_from(sealed.len()).unwrap_or(i64::MAX);

        let (same, others) = (session.statement(SAME).await?, session.statement(OTHERS).await?);
        let (last, sharers) = (session.statement(LAST).await?, session.statement(SHARERS).await?);
        let (waited, numbers) = (session.statement(WAITED).await?, session.statement(NUMBERS).await?);
        let client = &session.client;
        // Written one behind the other, read together: one way there and back.
        let ((same, others, last), (sharers, waited, numbers)) = try_join(
            try_join3(
                client.query(&same, &[&at, &identities, &bodies]),
                client.query(&others, &[&at, &identities, &bodies]),
                client.query(&last, &[&asked]),
            ),
            try_join3(
                client.query(&sharers, &[&at, &triples, &bodies]),
                client.query(&waited, &[&studies]),
                client.query(&numbers, &[&count]),
            ),
        )
        .await?;
        let index = |row: &Row| usize::try_from(row.get::<_, i32>(0)).map_err(|_| Fault::Row);
        let mut numbers: Vec<i64> = numbers.iter().map(|row| row.get(0)).collect();
        numbers.sort_unstable();
        Ok(Self {
            same: same
                .iter()
                .map(|row| Ok((index(row)?, kept(row, 1)?)))
                .collect::<Result<_, Fault>>()?,
            others: others
                .iter()
                .map(|row| Ok((index(row)?, (row.get(1), row.get(2)))))
                .collect::<Result<_, Fault>>()?,
            last: last
                .iter()
                .map(|row| {
                    let gist = row.get::<_, Option<&[u8]>>(6);
                    let gist = gist.map(|gist| gist.try_into().map_err(|_| Fault::Row)).transpose()?;
                    Ok((tag(row, 0)?, (kept(row, 1)?, gist)))
                })
                .collect::<Result<_, Fault>>()?,
            sharers: sharers
                .iter()
                .map(|row| {
                    let others = u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX);
                    let first = row.get::<_, Option<i64>>(2).map(timestamp);
                    Ok((index(row)?, (others, first, row.get(3))))
                })
                .collect::<Result<_, Fault>>()?,
            waited: waited.iter().map(|row| tag(row, 0)).collect::<Result<_, Fault>>()?,
            numbers,
        })
    }

    /// How an arrival is taken, and which event a list told of before, if it is about the same.
    fn judge(
        &self,
        index: usize,
        event: &NewEvent,
        sharing: crate::callback::inbox::Sharing,
    ) -> (Judgement, Option<Kept>) {
        let same = self.same.get(&index);
        match event.origin {
            Origin::Callback { gist } => {
                let last = self.last.get(event.identity.as_bytes()).filter(|_| same.is_none());
                let listed = last
                    .filter(|(_, of)| *of == Some(*gist.as_bytes()))
                    .map(|(kept, _)| *kept);
                let others = self.others.get(&index);
                let (sharers, first_at, repeated) = self.sharers.get(&index).copied().unwrap_or_default();
                let known = Known {
                    same: same.map(|same| same.state),
                    superseded: same
                        .zip(others)
                        .is_some_and(|(same, (seq, place))| *seq > same.seq || *place > same.place),
                    repeated,
                    listed: listed.is_some(),
                    other_body: others.is_some(),
                    sharers,
                    first_at,
                };
                let (signed, quarantine) = (event.signed, event.quarantine);
                (judge(signed, quarantine, event.received_at, known, sharing), listed)
            }
            Origin::List { has, told_by, .. } => {
                let (mut told, mut by) = (Vec::new(), None);
                for (status, identity) in (0..).zip(&told_by) {
                    if let Some((last, _)) = self.last.get(identity.as_bytes()) {
                        told.push(status);
                        by = Some(*last);
                    }
                }
                let judgement = Judgement {
                    kind: judge_listed(event.quarantine, has, &told, same.map(|same| same.state)),
                    verified: Verified::Reconciled,
                    releases: false,
                };
                (judgement, by)
            }
        }
    }
}

/// What a wave writes.
#[derive(Default)]
struct Write {
    signatures: Vec<usize>,
    /// Out of quarantine: number, what is known of the signature, place, whether it is the first of its study.
    released: Vec<(i64, Verified, i64, bool)>,
    let_go: Vec<(i64, Vec<u8>)>,
    taken_for: Vec<(i64, Vec<u8>)>,
    new: Vec<(usize, Judgement)>,
}

/// Columns of new events.
#[derive(Default)]
struct NewRows<'a> {
    seq: Vec<i64>,
    id: Vec<&'a [u8]>,
    tenant: Vec<i32>,
    study: Vec<&'a [u8]>,
    identity: Vec<&'a [u8]>,
    body: Vec<&'a [u8]>,
    state: Vec<i16>,
    verified: Vec<i16>,
    reason: Vec<Option<&'static str>>,
    received_at: Vec<i64>,
    head: Vec<bool>,
    bytes: Vec<i64>,
    gist: Vec<Option<&'a [u8]>>,
    key: Vec<i32>,
    payload: Vec<&'a [u8]>,
}

const SAME: &str = "
    SELECT a.at, e.seq, e.id, e.state, e.verified, e.place
    FROM unnest($1::int[], $2::bytea[], $3::bytea[]) AS a (at, identity, body) JOIN events e USING (identity, body)";
/// By arrival or by delivery: what was released or delivered again came last to the HIS, too.
const OTHERS: &str = "
    SELECT a.at, max(e.seq), max(e.place)
    FROM unnest($1::int[], $2::bytea[], $3::bytea[]) AS a (at, identity, body) JOIN events e USING (identity)
    WHERE e.body <> a.body AND e.state <> 4 GROUP BY a.at";
const LAST: &str = "
    SELECT DISTINCT ON (identity) identity, seq, id, state, verified, place, gist FROM events
    WHERE identity = ANY ($1::bytea[]) AND state <> 4 ORDER BY identity, seq DESC";
const SHARERS: &str = "
    SELECT a.at, count(*) FILTER (WHERE s.body <> a.body), min(s.first_at) FILTER (WHERE s.body <> a.body),
           bool_or(s.body = a.body)
    FROM unnest($1::int[], $2::bytea[], $3::bytea[]) AS a (at, triple, body) JOIN signatures s USING (triple)
    GROUP BY a.at";
const WAITED: &str = "SELECT DISTINCT study FROM events WHERE study = ANY ($1::bytea[]) AND state < 3";
pub(super) const NUMBERS: &str = "SELECT nextval('numbers') FROM generate_series(1, $1::bigint)";
const LET_GO: &str = "
    UPDATE events e SET body = u.body FROM unnest($1::bigint[], $2::bytea[]) AS u (seq, body) WHERE e.seq = u.seq";
const TAKE_FOR: &str = "
    UPDATE events e SET body = u.body, gist = NULL FROM unnest($1::bigint[], $2::bytea[]) AS u (seq, body)
    WHERE e.seq = u.seq";
const INSERT_EVENTS: &str = "
    INSERT INTO events (seq, id, tenant, study, identity, body, state, verified, reason, received_at, since, queued_at,
                        due_at, place, head, bytes, key, gist)
    SELECT seq, id, tenant, study, identity, body, state, verified, reason, received_at, $1::bigint, $1, $1, seq, head,
           bytes, key, gist
    FROM unnest($2::bigint[], $3::bytea[], $4::int[], $5::bytea[], $6::bytea[], $7::bytea[], $8::smallint[],
                $9::smallint[], $10::text[], $11::bigint[], $12::boolean[], $13::bigint[], $14::bytea[], $15::int[])
      AS u (seq, id, tenant, study, identity, body, state, verified, reason, received_at, head, bytes, gist, key)";
const INSERT_PAYLOADS: &str = "INSERT INTO payloads SELECT * FROM unnest($1::bigint[], $2::bytea[])";
