//! Where HTTP/2 runs what it has to do beside: on the thread of its connection, as everything on the road.

use hyper::rt::Executor;

/// Spawns on the thread that asks for it.
#[derive(Clone)]
pub struct Local;

impl<F> Executor<F> for Local
where
    F: Future + 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}
