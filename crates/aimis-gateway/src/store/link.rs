//! A thread's connection to the store: made by whoever needs it first, used by all requests of the thread together.
//!
//! A worker has one runtime and one thread, so nothing crosses threads on the way of a request. Connecting is a task of
//! its own, which goes on when the request that began it has waited long enough.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use redis::{ErrorKind, RedisError};
use tokio::sync::Notify;

use super::Store;
use super::connection::Connection;
use super::fault::Fault;

/// A thread's connection to one store.
pub(super) struct Link {
    /// Whose.
    store: u64,
    state: Mutex<State>,
    changed: Notify,
}

enum State {
    /// There is none, for this reason where it was tried.
    Idle(Fault),
    Connecting,
    Open {
        epoch: u64,
        connection: Connection,
    },
}

thread_local! {
    /// A process has one store; a test has one for each gateway.
    static LINKS: RefCell<Vec<Arc<Link>>> = const { RefCell::new(Vec::new()) };
}

/// There is no connection, and why.
pub(super) struct NoConnection(pub(super) Fault);

enum Look {
    Open(Connection, u64),
    Begin,
    Wait,
    /// It was waited for, and did not come about.
    Failed(Fault),
}

/// Whoever connects. Dropped before it is done, by a panic or with its runtime, it is given up, and others may try.
struct Attempt(Arc<Link>);

impl Attempt {
    fn done(self, state: State) {
        *self.0.lock() = state;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(&*state, State::Connecting) {
            *state = State::Idle(Fault::Connect);
        }
        drop(state);
        self.0.changed.notify_waiters();
    }
}

impl Link {
    /// This thread's.
    pub(super) fn of(store: &Store) -> Arc<Self> {
        let id = store.id;
        LINKS.with_borrow_mut(|links| {
            if let Some(link) = links.iter().find(|link| link.store == id) {
                return Arc::clone(link);
            }
            let link = Arc::new(Self {
                store: id,
                state: Mutex::new(State::Idle(Fault::Connect)),
                changed: Notify::new(),
            });
            links.push(Arc::clone(&link));
            link
        })
    }

    /// The connection, once there is one.
    pub(super) async fn get(self: &Arc<Self>, store: &Arc<Store>) -> Result<(Connection, u64), NoConnection> {
        let mut waited = false;
        loop {
            let changed = self.changed.notified();
            match self.look(store, waited) {
                Look::Open(connection, epoch) => return Ok((connection, epoch)),
                Look::Failed(fault) => return Err(NoConnection(fault)),
                Look::Begin => drop(tokio::spawn(connect(Attempt(Arc::clone(self)), Arc::clone(store)))),
                Look::Wait => {}
            }
            waited = true;
            changed.await;
        }
    }

    /// How it stands; whoever is told to begin has to.
    fn look(&self, store: &Store, waited: bool) -> Look {
        let mut state = self.lock();
        match &*state {
            State::Open { epoch, connection } if *epoch == store.health.epoch() => {
                Look::Open(connection.clone(), *epoch)
            }
            State::Idle(fault) if waited => Look::Failed(*fault),
            State::Connecting => Look::Wait,
            State::Idle(_) | State::Open { .. } => {
                *state = State::Connecting;
                Look::Begin
            }
        }
    }

    /// What came of a call tells whether its connection is good for another.
    pub(super) fn note(&self, epoch: u64, error: &RedisError) {
        let fault = Fault::of(error);
        let lost = error.is_unrecoverable_error()
            || error.is_connection_dropped()
            || error.kind() == ErrorKind::Io
            || fault.is_of_the_connection();
        let mut state = self.lock();
        // In a cluster that is one node's, which the driver connects anew; the others are not to wait for it.
        let of_a_node = matches!(
            &*state,
            State::Open {
                connection: Connection::Cluster(_),
                ..
            }
        );
        let lost = if of_a_node { fault.is_of_the_connection() } else { lost };
        if lost && matches!(&*state, State::Open { epoch: of, .. } if *of == epoch) {
            *state = State::Idle(fault);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(attempt: Attempt, store: Arc<Store>) {
    let epoch = store.health.epoch();
    let connected = store.target.load_full().connect().await;
    attempt.done(match connected {
        Ok((connection, _)) => State::Open { epoch, connection },
        Err(error) => State::Idle(Fault::of(&error)),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_connection_hears_when_making_it_panics() {
        let link = Arc::new(Link {
            store: 0,
            state: Mutex::new(State::Connecting),
            changed: Notify::new(),
        });
        let changed = link.changed.notified();
        let attempt = Attempt(Arc::clone(&link));

        let panicked = tokio::spawn(async move {
            let _attempt = attempt;
            panic!("a defect of the driver");
        });

        assert!(panicked.await.unwrap_err().is_panic());
        changed.await;
        assert!(matches!(&*link.lock(), State::Idle(_)), "others may try");
    }
}
