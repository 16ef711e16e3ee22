//! The calls of the store that are about one answer.

use std::sync::Arc;

use redis::Value;

use super::ask::bytes;
use super::look::{End, Ended};
use super::{Away, Store};

impl Store {
    /// Ends a question: gives its lease back, and keeps its answer if nothing was in between.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn end(self: &Arc<Self>, end: &End<'_>) -> Result<Ended, Away> {
        let value = self
            .run(&self.answers.keep, &end.names.data_key, end.length(), |cmd| {
                end.write(cmd)
            })
            .await?;
        Ok(End::read(&value))
    }

    /// Ends generations, unless the tenant's data key has another id than this: then it is told, wrapped. Empty if done.
    ///
    /// # Errors
    /// [`Away`]: it may be done or not.
    pub async fn forget(
        self: &Arc<Self>,
        data_key: &str,
        id: [u8; 8],
        generations: &[String],
    ) -> Result<Vec<u8>, Away> {
        let value = self.run(&self.answers.forget, data_key, 0, |cmd| {
            cmd.arg(1 + generations.len())
                .arg(data_key)
                .arg(generations)
                .arg(&id[..]);
        });
        self.text(value.await?)
    }

    /// Puts `new` in the place of the data key that is `there` (empty: none). Tells the one that is there now.
    ///
    /// # Errors
    /// [`Away`]: it may be done or not.
    pub async fn adopt(self: &Arc<Self>, data_key: &str, there: &[u8], new: &[u8]) -> Result<Vec<u8>, Away> {
        let value = self.run(&self.answers.adopt, data_key, new.len(), |cmd| {
            cmd.arg(1).arg(data_key).arg(there).arg(new);
        });
        self.text(value.await?)
    }

    /// A tenant's data key, wrapped; empty if there is none.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn data_key(self: &Arc<Self>, data_key: &str) -> Result<Vec<u8>, Away> {
        match self.call(data_key, redis::cmd("GET").arg(data_key)).await? {
            Value::Nil => Ok(Vec::new()),
            value => self.text(value),
        }
    }

    /// Drops a tenant's data key.
    ///
    /// # Errors
    /// [`Away`]: it may be done or not.
    pub async fn shred(self: &Arc<Self>, data_key: &str) -> Result<(), Away> {
        self.call(data_key, redis::cmd("DEL").arg(data_key)).await.map(drop)
    }

    fn text(&self, value: Value) -> Result<Vec<u8>, Away> {
        bytes(value).ok_or_else(|| self.misunderstood())
    }
}
