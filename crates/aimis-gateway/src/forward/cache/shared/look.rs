//! Looking an answer up in the store, and opening it.

use std::sync::Arc;
use std::time::Duration;

use aimis_core::codes::Rule;

use super::super::entry::{Entry, Original, Subject};
use super::super::flight::{Asked, Fetched, Question, failure};
use super::super::key::{CacheKey, CacheKeys, PatientTags};
use super::super::status::Passage;
use super::super::terms::Life;
use super::Shared;
use super::keys::TenantKey;
use super::question::{Gate, kept};
use super::seal::{self, Label};
use super::tenants::NoKey;
use crate::forward::ask::NoReply;
use crate::limit::{Leave, Turned};
use crate::secrets;
use crate::store::Away;
use crate::store::ask::{Answer, Ask, Verdict};
use crate::store::look::{Found, LookUp, Names, Seen, Token, Use};
use crate::telemetry::labels::CacheFault;
use crate::upstream::reply::Reply;

/// Time beyond a question's deadline for which its generations stay: its answer is on its way to the store.
const GRACE: Duration = Duration::from_secs(5);
/// How often the store may name another data key for one question.
const MOST_KEYS: usize = 3;

/// Why a question was not looked up.
pub(super) enum NotLooked {
    /// The store is away, or cannot be used. With leave to ask all the same, perhaps.
    Away(Option<Box<Turned>>),
    /// It is over a limit, or has to wait for too long.
    Refused(NoReply),
}

impl From<NoKey> for NotLooked {
    fn from(_: NoKey) -> Self {
        Self::Away(None)
    }
}

impl From<Away> for NotLooked {
    fn from(Away: Away) -> Self {
        Self::Away(None)
    }
}

/// A question as the store knows it.
pub(super) struct Lookup {
    pub(super) tenant: String,
    pub(super) key: Arc<TenantKey>,
    pub(super) question: CacheKey,
    pub(super) names: Names,
}

/// What the store said about a question.
pub(super) struct Looked {
    pub(super) lookup: Arc<Lookup>,
    pub(super) answer: Answer,
    /// Leave to ask, where it has it, and after how long.
    pub(super) turned: Option<(Turned, Duration)>,
    /// The question's own.
    pub(super) token: Token,
    /// The copy that the store was told of.
    copy: Option<Arc<Entry>>,
}

impl Looked {
    /// The entry, also one that may not be used.
    pub(super) fn found(&self) -> Option<&Found> {
        self.answer.seen.found.as_ref()
    }
}

impl Lookup {
    fn look_up(&self, usable: Use, have: Option<Token>, token: Token) -> LookUp<'_> {
        LookUp {
            names: &self.names,
            key_id: self.key.id(),
            usable,
            have,
            max_age: None,
            token,
            lease: None,
            asks: None,
        }
    }
}

impl Shared {
    /// A question under the tenant's data key.
    pub(super) async fn lookup(
        &self,
        tenant: &str,
        api: &str,
        named: impl Fn(&CacheKeys) -> (CacheKey, PatientTags),
    ) -> Result<Arc<Lookup>, NoKey> {
        let key = match self.tenants.get(tenant) {
            Some(key) => key,
            None => self.first_key(tenant).await?,
        };
        let (question, patient) = named(key.names());
        let keys = self.store.keys();
        let mut generations = self.patient_names(tenant, patient);
        generations.push(self.api_name(tenant, api));
        let id = hex::encode(&question.as_bytes()[..16]);
        Ok(Arc::new(Lookup {
            tenant: tenant.to_owned(),
            key,
            question,
            names: Names {
                data_key: self.data_key_name(tenant),
                entry: keys.of_tenant(tenant, "answer", &id),
                lease: keys.of_tenant(tenant, "lease", &id),
                generations,
            },
        }))
    }

    /// The generations of a patient's answers.
    pub(super) fn patient_names(&self, tenant: &str, patient: PatientTags) -> Vec<String> {
        let name = |tag: super::super::key::Tag| hex::encode(tag.as_bytes());
        let named = patient
            .iter()
            .map(|tag| self.store.keys().of_tenant(tenant, "patient", &name(tag)));
        named.collect()
    }

    /// The generation of an API's answers.
    pub(super) fn api_name(&self, tenant: &str, api: &str) -> String {
        self.store.keys().of_tenant(tenant, "api", api)
    }

    /// Asks the store: limits, look-up, lease. With `goes` false nothing is taken and nobody has to wait.
    #[expect(clippy::too_many_arguments, reason = "what `Shared::ask` has in hand, once")]
    pub(super) async fn look(
        &self,
        question: Question<'_>,
        tenant: &str,
        api: &str,
        named: impl Fn(&CacheKeys) -> (CacheKey, PatientTags),
        gate: &impl Gate,
        usable: Use,
        goes: bool,
    ) -> Result<Looked, NotLooked> {
        if self.debts.any() {
            // What the store was not told of yet comes before whatever it says.
            self.pay().await;
            if self.debts.any() {
                return Err(NotLooked::Away(None));
            }
        }
        if !self.store.is_up() {
            return Err(NotLooked::Away(None));
        }
        let Question { key, terms, said, .. } = question;
        // For every question: it is also what its answer is told from others by.
        let token = token().ok_or(NotLooked::Away(None))?;
        let copy = self.copies.copy(key);
        let leases = terms.enabled && terms.coalesce && !said.no_cache;
        for _ in 0..MOST_KEYS {
            let lookup = self.lookup(tenant, api, &named).await?;
            let look_up = LookUp {
                max_age: said.max_age,
                lease: (goes && leases).then_some(self.settings.lease),
                asks: goes.then_some(self.settings.deadline + GRACE),
                ..lookup.look_up(usable, copy.as_ref().and_then(|copy| copy.version()), token)
            };
            let (answer, turned) = if goes {
                self.pass(gate, look_up).await?
            } else {
                gate.pay().await.map_err(NotLooked::Refused)?;
                let asked = Ask {
                    limits: &[],
                    look_up: Some(look_up),
                };
                (self.store.ask(&asked).await?, None)
            };
            self.count_damage(&answer);
            if answer.verdict != Verdict::OtherKey {
                return Ok(Looked {
                    lookup,
                    answer,
                    turned,
                    token,
                    copy,
                });
            }
            self.go_by(tenant, &answer.seen.other_key).await?;
        }
        Err(NotLooked::Away(None))
    }

    /// Somebody else wrote what stands beside a value.
    fn count_damage(&self, answer: &Answer) {
        if answer.seen.damaged {
            self.metrics.cache.fault(CacheFault::Value).inc();
        }
    }

    /// Past the limits, with a look-up.
    async fn pass(
        &self,
        gate: &impl Gate,
        look_up: LookUp<'_>,
    ) -> Result<(Answer, Option<(Turned, Duration)>), NotLooked> {
        let Turned { result, waited, local } = gate.leave(look_up).await;
        let go = |turn, found| Turned {
            result: Ok(Leave::Go(turn, found)),
            waited,
            local,
        };
        match result {
            Ok(Leave::Hit(answer) | Leave::Held(answer) | Leave::OtherKey(answer)) => Ok((*answer, None)),
            Ok(Leave::Refresh(turn, wait, answer)) => Ok((*answer, Some((go(turn, None), wait)))),
            Ok(Leave::Go(turn, Some(answer))) => Ok((*answer, Some((go(turn, None), Duration::ZERO)))),
            // By this gateway's part of the limits.
            Ok(Leave::Go(turn, None)) => Err(NotLooked::Away(Some(Box::new(go(turn, None))))),
            Err(_) if local => Err(NotLooked::Away(None)),
            Err(no_turn) => Err(NotLooked::Refused(no_turn.into())),
        }
    }

    /// The entry that was found, opened, or the copy of it. `None` if it is not what it should be.
    pub(super) fn open(&self, key: CacheKey, looked: &Looked, subject: impl FnOnce() -> Subject) -> Option<Reply> {
        let found = looked.found()?;
        let original = Original {
            version: found.version,
            asked_at_ms: found.asked_at_ms,
        };
        let copy = looked.copy.as_ref();
        if let Some(copy) = copy.filter(|copy| copy.version() == Some(found.version)) {
            // Who changes what stands beside the value could have it serve for longer.
            let same = copy.is_of(original, life(found));
            if !same {
                self.metrics.cache.fault(CacheFault::Value).inc();
            }
            return same.then(|| copy.reply().clone());
        }
        let reply = self.unseal(&looked.lookup, &looked.answer.seen)?;
        self.copies.keep_copy(key, original, &reply, subject(), life(found));
        Some(reply)
    }

    /// The entry that was found, opened.
    fn unseal(&self, lookup: &Lookup, seen: &Seen) -> Option<Reply> {
        let found = seen.found.as_ref()?;
        let label = Label {
            version: found.version,
            asked_at_ms: found.asked_at_ms,
            life: life(found),
            generations: seen.generations.clone(),
        };
        let opened = seal::open(&lookup.key, &lookup.tenant, lookup.question, &label, &seen.value);
        if opened.is_err() {
            self.metrics.cache.fault(CacheFault::Value).inc();
        }
        opened.ok()
    }

    /// What was fetched, or where that is a failure of the platform, an older answer, if the store still has one.
    pub(super) async fn or_stale(
        &self,
        question: Question<'_>,
        lookup: Option<&Arc<Lookup>>,
        fetched: Fetched,
        passage: Passage,
        rule: impl Fn(i64) -> Rule,
    ) -> Asked {
        let failure = failure(&fetched.result, rule);
        let older = match (failure, lookup) {
            (Some(_), Some(lookup)) if question.terms.enabled && !question.said.no_cache => {
                self.older(question, lookup).await
            }
            _ => None,
        };
        match older {
            Some((found, reply, now_ms)) => {
                let older = kept(reply, &found, now_ms, failure);
                Asked {
                    fetched: Fetched {
                        result: older.fetched.result,
                        ..fetched
                    },
                    ..older
                }
            }
            None => Asked {
                fetched,
                passage,
                behind: None,
                fell_back: false,
            },
        }
    }

    /// The answer that may serve where the platform failed.
    async fn older(&self, question: Question<'_>, lookup: &Lookup) -> Option<(Found, Reply, u64)> {
        let asked = Ask {
            limits: &[],
            look_up: Some(LookUp {
                max_age: question.said.max_age,
                // A request that names an age means it here, too.
                ..lookup.look_up(Use::Anything, None, token()?)
            }),
        };
        let answer = self.store.ask(&asked).await.ok()?;
        self.count_damage(&answer);
        if !matches!(answer.verdict, Verdict::Hit { .. }) {
            return None;
        }
        let reply = self.unseal(lookup, &answer.seen)?;
        Some((answer.seen.found?, reply, answer.now_ms))
    }
}

fn life(found: &Found) -> Life {
    let [fresh, while_revalidate, if_error] = found.lives;
    Life {
        fresh,
        while_revalidate,
        if_error,
    }
}

/// `None` when the system gives no randomness.
fn token() -> Option<Token> {
    let random = secrets::random_key().ok()?;
    random.first_chunk().copied()
}
