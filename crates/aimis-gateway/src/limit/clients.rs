//! What each client may ask, in all and of one API. Before the cache: a client over its quota is refused whatever it
//! asks, so that its answer does not tell what others asked.
//!
//! Clients and APIs are configured, so there are as many counters as both make, and no request adds one.

use std::sync::Arc;
use std::time::Duration;

use super::bucket::Bucket;
use super::headers::{Standing, Standings};
use super::{Limit, Limited};
use crate::clock::{Clock, Moment};
use crate::config::{self, Config};
use crate::store::Store;

/// What a caller sees its quotas called, the narrower first.
pub(super) const NAMES: [&str; 2] = ["client-api", "client"];

/// The quotas of all clients.
pub(super) struct ClientLimits {
    all: Vec<Arc<OfClient>>,
}

struct OfClient {
    /// `None` where no clients are configured.
    name: Option<config::Text>,
    /// In all, and of one API.
    quotas: [config::ClientQuota; 2],
    whole: Option<Bucket>,
    apis: Vec<Option<Bucket>>,
}

impl ClientLimits {
    /// As configured; whoever asks where no clients are configured is one client. Those that were there `before` under
    /// the same quotas go on with what was counted.
    pub(super) fn after(
        before: Option<&Self>,
        config: &Config,
        apis: usize,
        store: Option<&Store>,
        clock: &Clock,
    ) -> Self {
        let of = |name: Option<&config::Text>, own: Option<&config::OwnClientQuota>| {
            let quotas = config::OwnClientQuota::over(own, &config.limits);
            let mut old = before.into_iter().flat_map(|before| &before.all);
            if let Some(old) = old.find(|old| old.name.as_ref() == name && old.quotas == quotas) {
                return Arc::clone(old);
            }
            let [whole, api] = &quotas;
            let bucket = |quota: &config::ClientQuota| {
                let period = quota.rate_per_s.period()?;
                Some(Bucket::beside(store, period, quota.burst, clock))
            };
            Arc::new(OfClient {
                whole: bucket(whole),
                apis: (0..apis).map(|_| bucket(api)).collect(),
                name: name.cloned(),
                quotas,
            })
        };
        let known = config
            .clients
            .iter()
            .map(|client| of(Some(&client.name), client.limits.as_ref()));
        let anybody = config.clients.is_empty().then(|| of(None, None));
        Self {
            all: known.chain(anybody).collect(),
        }
    }

    /// A client's name, if it has one, and its quotas, for one API and in all; `None` for one without any.
    #[expect(clippy::type_complexity, reason = "a name, and two pairs of period and burst")]
    pub(super) fn quotas(&self, client: usize) -> Option<(Option<&str>, [Option<(Duration, u32)>; 2])> {
        let of = self.all.get(client)?;
        let [whole, api] = &of.quotas;
        let quotas = [api, whole].map(|quota| Some((quota.rate_per_s.period()?, quota.burst)));
        let has_any = quotas.iter().any(Option::is_some);
        has_any.then(|| (of.name.as_deref(), quotas))
    }

    /// Takes `weight` of the quotas of `client`, by its position, and notes in `standings` what is left. The narrower
    /// is asked first: what it gave is gone if the wider refuses.
    ///
    /// # Errors
    /// [`Limited`] when there is not enough.
    pub(super) fn admit(
        &self,
        now: Moment,
        client: usize,
        api: usize,
        weight: u32,
        standings: &mut Standings,
    ) -> Result<(), Limited> {
        let Some(of) = self.all.get(client) else { return Ok(()) };
        for (name, bucket) in NAMES.into_iter().zip([of.apis[api].as_ref(), of.whole.as_ref()]) {
            let Some(bucket) = bucket else { continue };
            match bucket.take(weight) {
                Ok(left) => standings.note(Standing::passed(name, bucket, left)),
                Err(until) => {
                    let wait = until.since(now);
                    return Err(Limited {
                        limit: Limit::Client,
                        wait,
                        standing: Some(Standing::refused(name, bucket, wait)),
                    });
                }
            }
        }
        Ok(())
    }
}
