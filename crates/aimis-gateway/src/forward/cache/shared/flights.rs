//! Questions of this replica on their way to the platform, for everybody here who asks the same.
//!
//! Whoever joins one may use its answer only if the store says, when it has come, that no callback was in between
//! ([`Ended::current`]): they came after it began, perhaps after a callback at another replica was acknowledged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::super::flight::Fetched;
use super::super::key::CacheKey;
use crate::clock::Moment;
use crate::store::look::{Ended, Token};

/// What came of a flight; `None` until it ends.
type Told = Option<(Fetched, Ended)>;
/// Where it is heard.
pub(super) type Hearer = watch::Receiver<Told>;

/// The flights of this replica. Cloning gives another handle.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<CacheKey, Flight>>>);

struct Flight {
    token: Token,
    began: Moment,
    teller: watch::Sender<Told>,
}

/// A flight that stands in the table. Dropped, it is off, and who waits hears so.
pub(super) struct Standing {
    flights: Flights,
    key: CacheKey,
    token: Token,
    teller: watch::Sender<Told>,
}

impl Flights {
    /// A new one; the one there may be of the same question is heard to its end by those who wait for it.
    pub(super) fn begin(&self, key: CacheKey, token: Token, began: Moment) -> Standing {
        let teller = watch::channel(None).0;
        let flight = Flight {
            token,
            began,
            teller: teller.clone(),
        };
        self.lock().insert(key, flight);
        Standing {
            flights: self.clone(),
            key,
            token,
            teller,
        }
    }

    /// The one of this question, if it began at most so long ago.
    pub(super) fn join(&self, key: CacheKey, now: Moment, most: Option<Duration>) -> Option<Hearer> {
        let flights = self.lock();
        let flight = flights.get(&key)?;
        // Its answer will be as old as its question.
        most.is_none_or(|most| now.since(flight.began) <= most)
            .then(|| flight.teller.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CacheKey, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Tells all who joined it, behind [`Self::leave`].
    pub(super) fn land(self, fetched: &Fetched, ended: Ended) {
        self.teller.send_replace(Some((fetched.clone(), ended)));
    }

    /// Whether anybody waits for it.
    pub(super) fn is_heard(&self) -> bool {
        self.teller.receiver_count() > 0
    }

    /// Nobody joins any more. Before the store is asked whether the answer is good, or one who came after its word would
    /// go by it.
    pub(super) fn leave(&self) {
        let mut flights = self.flights.lock();
        if flights.get(&self.key).is_some_and(|flight| flight.token == self.token) {
            flights.remove(&self.key);
        }
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits for a flight's end; `None` if it vanished.
pub(super) async fn hear(hearer: &mut Hearer) -> Option<(Fetched, Ended)> {
    hearer.wait_for(Option::is_some).await.ok()?.clone()
}
