//! Asks over kept connections, checks every byte of every answer, and prints what it saw as one line of JSON.
//!
//! Without `--rate` each connection asks again as soon as it has its answer (how much a request costs). With it,
//! requests have times at which they are due, and latency counts from these (how long a caller waits). With `--hold`
//! connections are opened, used once and kept until standard input ends (what they weigh).

mod fast;
mod hold;
mod paced;

use std::time::Duration;

use aimis_bench::answer;
use aimis_bench::question::{Form, Patients, Questions};
use aimis_bench::wire::{self, Message};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::json;

#[derive(Clone, Parser)]
struct Arguments {
    /// Where to ask, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Requests in all.
    #[arg(long, default_value_t = 40_000)]
    requests: u32,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Bytes that an answer's body has.
    #[arg(long, default_value_t = 4096)]
    answer: usize,
    /// Encrypt and sign, for what only relays.
    #[arg(long)]
    protected: bool,
    /// Send callbacks in place of questions, each about a study of its own.
    #[arg(long, conflicts_with = "protected")]
    callbacks: bool,
    /// Ask for one patient only, so that answers can come from a cache.
    #[arg(long)]
    same: bool,
    /// The first patient's number: a later run asks for others.
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Tenants whose patients are asked for, one after the other.
    #[arg(long, default_value_t = 1, conflicts_with_all = ["protected", "callbacks", "same"])]
    tenants: u32,
    /// Clients that ask, one after the other, each with its key; 0 is nobody known.
    #[arg(long, default_value_t = 0, conflicts_with_all = ["protected", "callbacks", "same"])]
    clients: u32,
    /// Requests a second, evenly spaced.
    #[arg(long)]
    rate: Option<u32>,
    /// Keep the connections open until standard input ends.
    #[arg(long)]
    hold: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let result = match arguments.rate {
        _ if arguments.hold => return hold::run(&arguments),
        Some(rate) => paced::run(&arguments, rate)?,
        None => fast::run(&arguments)?,
    };
    tell(&result);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command line tool")]
fn tell(result: &serde_json::Value) {
    println!("{result}");
}

impl Arguments {
    fn questions(&self, connection: u32) -> Questions {
        let form = match (self.protected, self.callbacks) {
            (_, true) => Form::Callback,
            (true, _) => Form::Protected,
            _ => Form::Clear,
        };
        let patients = if self.same { Patients::Same } else { Patients::Different };
        let first = if self.same { self.first } else { self.first + connection };
        Questions::new(form, patients, first, 0, self.connections)
            .of_tenants(self.tenants)
            .of_clients(self.clients)
    }

    /// How many requests a connection makes.
    fn share(&self, connection: u32) -> u32 {
        self.requests / self.connections + u32::from(connection < self.requests % self.connections)
    }
}

/// Takes the answer that `buffer` begins with, once it is whole; true then.
///
/// # Errors
/// If it is not the platform's answer, byte for byte.
fn take_answer(buffer: &mut Vec<u8>, expected: &[u8]) -> Result<bool> {
    let length = match wire::message(buffer).map_err(anyhow::Error::msg)? {
        None => return Ok(false),
        Some(Message { head, body, length }) => {
            let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            ensure!(
                line.starts_with(b"HTTP/1.1 200") && body == expected,
                "another answer: {} {}",
                String::from_utf8_lossy(line),
                String::from_utf8_lossy(&body[..body.len().min(300)])
            );
            length
        }
    };
    ensure!(buffer.len() == length, "bytes behind the answer");
    buffer.clear();
    Ok(true)
}

/// What came of requests that took so long each. The first error is the result: a bench with errors measures nothing.
fn summary(mut latencies: Vec<Duration>) -> serde_json::Value {
    latencies.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of a list of thousands"
        )]
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    };
    json!({
        "requests": latencies.len(), "errors": 0,
        "p50_us": at(0.50), "p90_us": at(0.90), "p99_us": at(0.99), "p999_us": at(0.999),
    })
}

/// What a callback is answered that was received.
const ACKNOWLEDGED: &[u8] = br#"{"code":0,"message":"success"}"#;

fn expected(arguments: &Arguments) -> Vec<u8> {
    if arguments.callbacks {
        return ACKNOWLEDGED.to_vec();
    }
    answer::body(arguments.answer)
}

/// What is said when the other end closes where an answer should be.
fn closed() -> Result<bool> {
    Err(anyhow::anyhow!("the connection was closed")).context("no answer")
}
