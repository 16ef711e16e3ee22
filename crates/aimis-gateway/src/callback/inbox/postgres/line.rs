//! A connection that is made again when it is lost, and the calls that wait for it.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::sync::{mpsc, oneshot, watch};

use super::committing::Committing;
use super::session::{Connector, Fault, Session, Use};
use crate::callback::inbox::InboxError;
use crate::clock::timer_now;

/// A connection, there or not.
pub(super) struct Line {
    connector: Connector,
    usage: Use,
    session: Option<Session>,
    /// No attempt before this.
    again_at: Option<tokio::time::Instant>,
    pause: Duration,
    notified: watch::Sender<u64>,
    /// Whether the listener finds that the database is silent.
    silent: watch::Receiver<bool>,
    /// Something is asked on the connection just now.
    busy: bool,
    /// Whether the database owes a commit.
    committing: Committing,
    /// Something that was asked had no answer: commits may be waiting for a standby that is away.
    in_doubt: bool,
}

/// The first pause between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

impl Line {
    pub(super) fn new(
        connector: Connector,
        usage: Use,
        notified: watch::Sender<u64>,
        silent: watch::Receiver<bool>,
    ) -> Self {
        Self {
            connector,
            usage,
            session: None,
            again_at: None,
            pause: FIRST_PAUSE,
            notified,
            silent,
            busy: false,
            committing: Committing::default(),
            in_doubt: false,
        }
    }

    /// Whether the database owes it a commit, for whoever waits for one.
    pub(super) fn committing(&self) -> Committing {
        self.committing.clone()
    }

    /// How long until an attempt is worth it.
    pub(super) fn pause(&self) -> Duration {
        self.again_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(timer_now()))
    }

    /// The connection. While the database is away this fails at once, but for one attempt a pause: whoever calls is
    /// refused rather than kept.
    pub(super) async fn session(&mut self) -> Result<&mut Session, Fault> {
        if self.session.as_ref().is_some_and(|session| session.client.is_closed()) {
            self.session = None;
        }
        if self.session.is_none() {
            if !self.pause().is_zero() {
                return Err(Fault::Away);
            }
            match self.connector.connect(self.usage, self.notified.clone()).await {
                Ok(mut session) => {
                    self.pause = FIRST_PAUSE;
                    self.again_at = None;
                    session.committing = self.committing();
                    self.session = Some(session);
                }
                Err(fault) => {
                    self.committing.set(false);
                    self.again_at = Some(timer_now() + self.pause);
                    self.pause = (self.pause * 2).min(self.connector.reach().reconnect_max);
                    return Err(fault);
                }
            }
        }
        self.session.as_mut().ok_or(Fault::Away)
    }

    /// Does `work` on the connection, within its time, and for as long as the listener hears from the database. A
    /// connection that is in doubt afterwards is not used again, and the database undoes what was not committed on it.
    pub(super) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut silent = self.silent.clone();
        if *silent.borrow_and_update() {
            return Err(self.give_up_silent());
        }
        let limit = self.connector.limit(self.usage);
        let running = async {
            if self.in_doubt && self.usage == Use::Work {
                // If it waits it is this that takes effect behind everybody's back, and not a lease that nobody then has.
                self.run_within(limit, async |session: &mut Session| session.commit_nothing().await)
                    .await?;
            }
            self.in_doubt = false;
            self.run_within(limit, work).await
        };
        let done = tokio::select! {
            done = running => Some(done),
            Ok(_) = silent.wait_for(|silent| *silent) => None,
        };
        done.unwrap_or_else(|| Err(self.give_up_silent()))
    }

    /// Gives up what is asked of a database that says nothing at all.
    fn give_up_silent(&mut self) -> Fault {
        self.committing.set(false);
        self.give_up();
        Fault::Late
    }

    /// Makes no further use of the connection, and ends what is asked on it.
    fn give_up(&mut self) {
        let Some(session) = self.session.take() else { return };
        self.in_doubt = true;
        if std::mem::take(&mut self.busy) {
            self.connector.cancel(session);
        }
    }

    /// The same within `limit`, whatever the listener hears.
    pub(super) async fn run_within<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.session().await?;
        let Some(session) = &mut self.session else {
            return Err(Fault::Away);
        };
        self.busy = true;
        let worked = tokio::time::timeout(limit, work(session)).await;
        match worked {
            Ok(Ok(made)) => {
                self.busy = false;
                Ok(made)
            }
            Ok(Err(fault)) => {
                self.committing.set(false);
                // What the database refused is undone. Anything else leaves a connection that nobody knows the state of.
                let undone = match fault.database() {
                    Some(_) => {
                        let undone = tokio::time::timeout(limit, session.undo()).await;
                        self.busy = undone.is_err();
                        matches!(undone, Ok(Ok(())))
                    }
                    None => {
                        self.busy = false;
                        false
                    }
                };
                if !undone {
                    self.give_up();
                }
                Err(fault)
            }
            Err(_) => {
                self.give_up();
                Err(self.committing.late())
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Also where this is dropped in the midst of a question, at the end of the process.
        self.give_up();
    }
}

/// A call that waits for the connection.
pub(super) type Job = Box<dyn for<'a> FnOnce(&'a mut Line) -> LocalBoxFuture<'a, ()> + Send>;

/// Asks the thread that has the connection.
#[derive(Clone)]
pub(super) struct Calls(mpsc::Sender<Job>);

impl Calls {
    pub(super) fn new(queue: usize) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(queue);
        (Self(sender), receiver)
    }

    /// Asks for `work`, once the queue has room.
    pub(super) fn call<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, InboxError>> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |line| {
            async move {
                let made = line.run(work).await;
                // The caller may have gone; what it asked for is done all the same.
                let _ = reply.send(made.map_err(|fault| fault.told()));
            }
            .boxed_local()
        });
        let queue = self.0.clone();
        async move {
            queue.send(job).await.map_err(|_| InboxError::Closed)?;
            drop(queue);
            answer.await.unwrap_or(Err(InboxError::Failed))
        }
        .boxed()
    }
}

/// Serves calls, one after the other, until nobody can ask any more.
pub(super) async fn serve(mut line: Line, mut calls: mpsc::Receiver<Job>) {
    while let Some(job) = calls.recv().await {
        job(&mut line).await;
    }
}
