//! A script of the store, by its hash; its text goes over only to a server that has never seen it.

use redis::{Cmd, RedisResult, Value};

use super::connection::Connection;

/// Room for what stands in a call beside values: keys, numbers, the hash. Without it the call is copied each time it grows.
const ARGUMENTS: usize = 48;
const BESIDE: usize = 1 << 10;

/// A script.
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    pub(super) fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: redis::Script::new(text).get_hash().to_owned(),
        }
    }

    /// Runs it; `write` adds how many keys, the keys, the arguments, with values of about `length` bytes among them.
    pub(super) async fn run(
        &self,
        connection: &mut Connection,
        length: usize,
        write: impl Fn(&mut Cmd),
    ) -> RedisResult<Value> {
        let mut cmd = Cmd::with_capacity(ARGUMENTS, BESIDE + length);
        cmd.arg("EVALSHA").arg(&self.hash);
        write(&mut cmd);
        match connection.send(&cmd).await {
            // After a start, a flush or a failover.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                let mut cmd = redis::cmd("EVAL");
                cmd.arg(self.text);
                write(&mut cmd);
                connection.send(&cmd).await
            }
            told => told,
        }
    }
}
