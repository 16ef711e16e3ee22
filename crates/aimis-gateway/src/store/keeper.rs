//! Keeps the store: says that this gateway is there, finds out that the store is back, follows its sentinels. One thread.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt;
use redis::Value;
use tokio::sync::watch;

use super::Store;
use super::connection::Connection;
use super::fault::Fault;
use super::script::Script;
use crate::config::HostPort;

/// A gateway counts until it has been silent for so many heartbeats.
const SILENT: u32 = 4;
/// So many places of a cluster are asked when one does not answer: with three nodes one in 6,000 times all are at that one.
const ELSEWHERE: u32 = 8;
/// For so many heartbeats a smaller number of gateways is not believed: twice as long as one of them takes to be forgotten.
const REMEMBERED: usize = 2 * SILENT as usize;

/// How many gateways were counted lately. A store that came back empty counts them one by one as they come, and whoever
/// believed that would take more than its part if the store went again.
#[derive(Default)]
struct Counted(VecDeque<u32>);

impl Counted {
    /// The most of the numbers that were counted lately, this one among them.
    fn most(&mut self, gateways: u32) -> u32 {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(gateways);
        self.0.iter().copied().max().unwrap_or(gateways)
    }
}

struct Keeper {
    store: Arc<Store>,
    beat: Script,
    key: String,
    open: Option<(Connection, Option<HostPort>)>,
    epoch: u64,
    counted: Counted,
}

/// The script of a heartbeat.
pub(super) fn beat() -> Script {
    Script::new(include_str!("beat.lua"))
}

/// Starts it; it ends when `stop` is true, and says then that this gateway is gone.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(store: Arc<Store>, mut stop: watch::Receiver<bool>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let key = store.keys.gateways();
    let mut keeper = Keeper {
        store,
        beat: beat(),
        key,
        open: None,
        epoch: 0,
        counted: Counted::default(),
    };
    std::thread::Builder::new()
        .name("aimis-store".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = keeper.run() => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
                keeper.leave().await;
            });
        })
}

impl Keeper {
    async fn run(&mut self) {
        loop {
            let met = self.meet().await;
            if let Err(fault) = met {
                self.store.health.metrics.fault(fault).inc();
            }
            let met = match met {
                Err(_) if self.is_elsewhere().await => Ok(self.store.replicas().load(Ordering::Relaxed)),
                met => met,
            };
            let wait = match met {
                Ok(replicas) => {
                    let replicas = self.counted.most(replicas);
                    self.store.health.back(replicas);
                    let heartbeat = self.store.heartbeat;
                    heartbeat - self.store.jitter.up_to(heartbeat / 5)
                }
                Err(fault) => {
                    self.open = None;
                    match fault {
                        // As a question's: a pause of the server is no reason to leave it.
                        Fault::Timeout if self.store.health.is_up() => self.store.health.bad(self.epoch, fault),
                        _ => self.store.health.away(fault),
                    }
                    self.store.pause()
                }
            };
            self.store.health.tell();
            let store = Arc::clone(&self.store);
            let lost = async {
                // Tried anew soon, but not in the same breath.
                store.health.lost.notified().await;
                tokio::time::sleep(store.jitter.up_to(store.retry)).await;
            };
            tokio::select! {
                () = lost => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Says that this gateway is there; tells how many are, or why the store does not.
    async fn meet(&mut self) -> Result<u32, Fault> {
        if self.epoch != self.store.health.epoch() {
            self.open = None;
            self.epoch = self.store.health.epoch();
        }
        let target = self.store.target.load_full();
        if let Some((_, Some(master))) = &self.open
            && target.named_master().await.is_some_and(|named| named != *master)
        {
            // The sentinels have promoted another; who is still connected to the old one may be talking to nobody's master.
            self.store.health.renew();
            self.epoch = self.store.health.epoch();
            self.open = None;
        }
        let (connection, _) = match &mut self.open {
            Some(open) => open,
            none => none.insert(target.connect().await.map_err(|error| Fault::of(&error))?),
        };
        let counted = self.store.heartbeat * SILENT;
        let beat = self.beat.run(connection, 0, |cmd| {
            cmd.arg(1)
                .arg(&self.key)
                .arg(&*self.store.instance)
                .arg(millis(counted));
        });
        match tokio::time::timeout(self.store.timeout, beat).await {
            Ok(Ok(Value::Int(count))) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
            Ok(Ok(_)) => Err(Fault::Reply),
            Ok(Err(error)) => Err(Fault::of(&error)),
            Err(_elapsed) => Err(Fault::Timeout),
        }
    }

    /// Whether another node of the cluster answers than the one that the gateways are counted at. Then the store is there,
    /// and the tenants of that node go by their parts (`slots`); how many gateways there are nobody knows better than before.
    async fn is_elsewhere(&self) -> bool {
        let Some((connection @ Connection::Cluster(_), _)) = &self.open else {
            return false;
        };
        let timeout = self.store.timeout;
        let asked = (0..ELSEWHERE).map(|number| {
            let (mut connection, key) = (
                connection.clone(),
                self.store.keys.common(&format!("{{probe{number}}}")),
            );
            async move {
                let asked = connection.send(redis::cmd("GET").arg(key)).await;
                asked.map(drop).map_err(drop)
            }
            .boxed()
        });
        let any = tokio::time::timeout(timeout, futures_util::future::select_ok(asked)).await;
        matches!(any, Ok(Ok(_)))
    }

    /// Is counted no more.
    async fn leave(&mut self) {
        let Some((connection, _)) = &mut self.open else { return };
        let mut cmd = redis::cmd("ZREM");
        cmd.arg(&self.key).arg(&*self.store.instance);
        let _ = tokio::time::timeout(self.store.timeout, connection.send(&cmd)).await;
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_came_back_empty_makes_no_gateway_believe_that_it_is_alone() {
        let mut counted = Counted::default();
        assert_eq!(counted.most(4), 4);
        // As they come back, one after the other, and as they are when that has lasted.
        assert_eq!([1, 2, 3, 4].map(|gateways| counted.most(gateways)), [4; 4]);
        assert_eq!(
            [3; REMEMBERED - 1].map(|gateways| counted.most(gateways)),
            [4; REMEMBERED - 1]
        );
        assert_eq!(counted.most(3), 3, "one of them has gone for good");
        assert_eq!(counted.most(5), 5, "more are believed at once");
    }
}
