//! At a fixed rate: a thread a connection, which sleeps until its request is due.
//!
//! A request that could not be sent in time because the one before it was not answered yet waits, and the wait counts:
//! latency is from when it was due, so that a stall shows in every request it delayed (no coordinated omission).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aimis_bench::clock;
use anyhow::{Context, Result, anyhow};

use crate::{Arguments, closed, expected, summary, take_answer};

/// Runs it to its end, or to the first error.
pub(crate) fn run(arguments: &Arguments, rate: u32) -> Result<serde_json::Value> {
    // Linux lets a sleep end 50 us late, to gather wake-ups; threads inherit this wish for less. Without it the
    // latency is only that much longer for every peer.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    let expected = &expected(arguments);
    let start = clock::moment() + Duration::from_millis(200);
    let latencies = std::thread::scope(|scope| -> Result<Vec<Duration>> {
        let threads: Vec<_> = (0..arguments.connections)
            .map(|number| scope.spawn(move || connection(arguments, number, start, rate, expected)))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))??);
        }
        Ok(all)
    })?;
    let mut seen = summary(latencies);
    seen["rate"] = rate.into();
    Ok(seen)
}

fn connection(arguments: &Arguments, number: u32, start: Instant, rate: u32, expected: &[u8]) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(("127.0.0.1", arguments.port)).context("connect")?;
    stream.set_nodelay(true)?;
    let mut questions = arguments.questions(number);
    let (mut request, mut answer) = (Vec::new(), Vec::with_capacity(expected.len() + (4 << 10)));
    let mut part = vec![0; 128 << 10];
    let mut latencies = Vec::new();
    for index in 0..arguments.share(number) {
        let due = start + Duration::from_secs(1) * (index * arguments.connections + number) / rate;
        questions.write(&mut request);
        clock::wait(due.saturating_duration_since(clock::moment()));
        stream.write_all(&request)?;
        while !take_answer(&mut answer, expected)? {
            let read = stream.read(&mut part)?;
            if read == 0 {
                closed()?;
            }
            answer.extend_from_slice(&part[..read]);
        }
        latencies.push(clock::moment().duration_since(due));
    }
    Ok(latencies)
}
