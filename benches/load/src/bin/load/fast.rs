//! As fast as it goes: one thread, a task a connection.

use std::rc::Rc;
use std::time::Duration;

use aimis_bench::clock;
use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::{Arguments, closed, expected, summary, take_answer};

/// Runs it to its end, or to the first error.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(arguments: &Arguments) -> Result<serde_json::Value> {
    let expected = Rc::new(expected(arguments));
    let start = clock::moment();
    let tasks = LocalSet::new();
    let mut connections = JoinSet::new();
    for number in 0..arguments.connections {
        let work = connection(arguments.clone(), number, expected.clone());
        connections.spawn_local_on(work, &tasks);
    }
    let latencies = tasks
        .run_until(async {
            let mut all = Vec::new();
            while let Some(done) = connections.join_next().await {
                all.extend(done.context("a connection's task")??);
            }
            anyhow::Ok(all)
        })
        .await?;
    let seconds = start.elapsed().as_secs_f64();
    let mut seen = summary(latencies);
    seen["seconds"] = seconds.into();
    Ok(seen)
}

async fn connection(arguments: Arguments, number: u32, expected: Rc<Vec<u8>>) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(("127.0.0.1", arguments.port))
        .await
        .context("connect")?;
    stream.set_nodelay(true)?;
    let mut questions = arguments.questions(number);
    let mut request = Vec::new();
    let mut answer = Vec::with_capacity(expected.len() + (4 << 10));
    let mut latencies = Vec::new();
    for _ in 0..arguments.share(number) {
        questions.write(&mut request);
        let asked = clock::moment();
        stream.write_all(&request).await?;
        while !take_answer(&mut answer, &expected)? {
            if stream.read_buf(&mut answer).await? == 0 {
                closed()?;
            }
        }
        latencies.push(asked.elapsed());
    }
    Ok(latencies)
}
