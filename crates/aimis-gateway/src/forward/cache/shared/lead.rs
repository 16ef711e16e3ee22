//! A question that goes to the platform: asked, and then the store is told how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use aimis_core::codes::Rule;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::super::entry::{Original, Subject};
use super::super::flight::{Fetched, Question, Worth};
use super::super::key::CacheKey;
use super::super::terms::Terms;
use super::Shared;
use super::flights::Standing;
use super::look::{Looked, Lookup};
use super::seal::{self, Label};
use crate::clock::Moment;
use crate::forward::ask::NoReply;
use crate::store::look::{End, Ended, Keep, Token};

/// The one who has to ask. Dropped on the way, its lease stays until its time is over.
pub(super) struct Lead {
    shared: Arc<Shared>,
    standing: Standing,
    lookup: Arc<Lookup>,
    local: CacheKey,
    subject: Subject,
    terms: Terms,
    token: Token,
    generations: Bytes,
    asked_at_ms: u64,
}

impl Lead {
    /// Of what the store granted; others of this replica may join from now on.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        question: Question<'_>,
        looked: &Looked,
        subject: Subject,
        began: Moment,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            standing: shared.flights.begin(question.key, looked.token, began),
            lookup: Arc::clone(&looked.lookup),
            local: question.key,
            subject,
            terms: *question.terms,
            token: looked.token,
            generations: looked.answer.seen.generations.clone(),
            asked_at_ms: looked.answer.now_ms,
        }
    }

    /// Asks, and ends the question. In a box of its own at once: it is the largest part of a request.
    pub(super) fn fly<F, R>(self, fetch: F, rule: R) -> LocalBoxFuture<'static, (Fetched, Ended)>
    where
        F: Future<Output = Fetched> + 'static,
        R: Fn(i64) -> Rule + 'static,
    {
        // A defect in one question is no reason to have other replicas wait.
        let fetched = AssertUnwindSafe(fetch).catch_unwind();
        // Not one block of it all, which would have room for what it waits for twice.
        fetched
            .then(|fetched| async move {
                let fetched = fetched.unwrap_or_else(|_| Fetched::without(NoReply::Lost));
                self.standing.leave();
                let ended = self.end(&fetched, rule).await;
                self.standing.land(&fetched, ended);
                (fetched, ended)
            })
            .boxed_local()
    }

    async fn end(&self, fetched: &Fetched, rule: impl Fn(i64) -> Rule) -> Ended {
        let Self { shared, lookup, .. } = self;
        let end = |keep| End {
            names: &lookup.names,
            key_id: lookup.key.id(),
            token: self.token,
            generations: &self.generations,
            asked_at_ms: self.asked_at_ms,
            keep,
        };
        let ended = match shared.copies.worth(&self.terms, &fetched.result, rule) {
            Worth::Keeping(reply, life) => {
                let label = Label {
                    version: self.token,
                    asked_at_ms: self.asked_at_ms,
                    life,
                    generations: self.generations.clone(),
                };
                let value = seal::seal(&lookup.key, &lookup.tenant, lookup.question, &label, reply);
                let keep = Keep::Entry {
                    lives_ms: label.lives_ms(),
                    value: &value,
                };
                let ended = shared.store.end(&end(keep)).await;
                if ended.is_ok_and(|ended| ended.kept) {
                    let subject = self.subject.clone();
                    let original = Original {
                        version: self.token,
                        asked_at_ms: self.asked_at_ms,
                    };
                    shared.copies.keep_copy(self.local, original, reply, subject, life);
                }
                ended
            }
            // No lease is taken where nothing is kept, and nobody asks whether the answer is good.
            _ if !self.terms.enabled && !self.standing.is_heard() => return Ended::default(),
            Worth::Replacing if self.terms.enabled => shared.store.end(&end(Keep::Forget)).await,
            Worth::Replacing | Worth::Nothing => shared.store.end(&end(Keep::Leave)).await,
        };
        ended.unwrap_or_default()
    }
}
