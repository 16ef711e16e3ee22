//! A thread's connection to the store: made by whoever needs it first, used by all requests of the thread together.
//!
//! A worker has one runtime and one thread, so nothing crosses threads on the way of a request. Connecting is a task of
//! its own, which goes on when the request that began it has waited long enough.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::Notify;

use super::Store;
use super::connection::Connection;

/// A thread's connection to one store.
pub(super) struct Link {
    /// Whose.
    store: u64,
    state: Mutex<State>,
    changed: Notify,
}

enum State {
    Idle,
    Connecting,
    Open { epoch: u64, connection: Connection },
}

thread_local! {
    /// A process has one store; a test has one for each gateway.
    static LINKS: RefCell<Vec<Arc<Link>>> = const { RefCell::new(Vec::new()) };
}

/// There is no connection.
pub(super) struct NoConnection;

enum Look {
    Open(Connection, u64),
    Begin,
    Wait,
    /// It was waited for, and did not come about.
    Failed,
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
                state: Mutex::new(State::Idle),
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
                Look::Failed => return Err(NoConnection),
                Look::Begin => drop(tokio::spawn(Arc::clone(self).connect(Arc::clone(store)))),
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
            State::Idle if waited => Look::Failed,
            State::Connecting => Look::Wait,
            State::Idle | State::Open { .. } => {
                *state = State::Connecting;
                Look::Begin
            }
        }
    }

    /// What came of a call tells whether its connection is good for another.
    pub(super) fn note(&self, epoch: u64, error: &RedisError) {
        let lost = error.is_unrecoverable_error()
            || error.is_connection_dropped()
            || matches!(
                error.kind(),
                ErrorKind::Io | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
            );
        let mut state = self.lock();
        if lost && matches!(&*state, State::Open { epoch: of, .. } if *of == epoch) {
            *state = State::Idle;
        }
    }

    async fn connect(self: Arc<Self>, store: Arc<Store>) {
        let epoch = store.health.epoch();
        let connected = store.target.load_full().connect().await;
        let state = match connected {
            Ok((connection, _)) => State::Open { epoch, connection },
            Err(_) => State::Idle,
        };
        *self.lock() = state;
        self.changed.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
