//! What commands do beside a running gateway: whoever waits for events is told that there may be more.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::writer::Calls;

/// How often is looked. A look reads one number from memory that all processes share.
const EVERY: Duration = Duration::from_millis(500);

/// The thread that looks; it ends when this is dropped.
pub(super) struct Neighbours {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Neighbours {
    /// Starts the thread. `connection` is its own: each connection counts the commits of all others.
    pub(super) fn watch(connection: Connection, calls: Calls) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("aimis-inbox-look".to_owned())
            .spawn(move || {
                let mut seen = commits(&connection);
                while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                    let now = commits(&connection);
                    if now == seen {
                        continue;
                    }
                    seen = now;
                    // The gateway's own commits count too: then this is one call among many. A queue without room is
                    // one in which much changes anyway.
                    drop(calls.offer(|store| {
                        store.changed();
                        Ok(())
                    }));
                }
            })?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // Nothing in it can panic, and if it did all the same it has ended.
            let _ = thread.join();
        }
    }
}

/// A number that changes when another connection commits; `None` when it cannot be read now.
fn commits(connection: &Connection) -> Option<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0)).ok()
}
