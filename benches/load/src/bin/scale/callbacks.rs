//! Callbacks: with an inbox in a file of the gateway's own, and in the PostgreSQL that gateways share.

use aimis_bench::place::Place;
use aimis_bench::processes::{exact_cpu_us, family};
use aimis_bench::results::Row;
use anyhow::{Context, Result};

use crate::gateways::{Gateway, Load, key};
use crate::table::{ALONE, SHARED};
use crate::{Arguments, note, postgres, tell};

/// Measures both in turn, round by round.
pub(crate) fn measure(arguments: &Arguments, place: &Place, server: &postgres::Server) -> Result<Vec<Row>> {
    // Beside the server's files, so that both are on one disk.
    let directory = std::env::temp_dir().join(format!("aimis-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let rows = in_turn(
        arguments,
        place,
        server,
        &directory.join("inbox.db").display().to_string(),
    );
    std::fs::remove_dir_all(&directory)?;
    rows
}

fn in_turn(arguments: &Arguments, place: &Place, server: &postgres::Server, file: &str) -> Result<Vec<Row>> {
    let key = key(place, "scale-inbox.key")?;
    let (_, url) = server.database();
    let keys = format!("key_file = \"{key}\"\n");
    let start = |name, inbox: String| {
        let sections = format!("[cache]\nenabled = false\n[inbox]\n{inbox}{keys}");
        Gateway::start(name, &sections, 9, true, place)
    };
    let mut gateways = [
        start("scale-inbox-alone", format!("path = \"{file}\"\n"))?,
        start("scale-inbox-shared", format!("database_url = \"{url}\"\n"))?,
    ];
    for gateway in &mut gateways {
        gateway.asked(Load::Full, arguments.requests / 10 + 100, false)?;
    }
    let pid = server.sql("postgres", "SELECT pg_read_file('postmaster.pid')");
    let pid = pid.lines().next().context("a process")?.trim().parse()?;
    // Each is synced, which takes its time.
    let requests = arguments.requests / 2;
    let mut rows = Vec::new();
    for round in 0..arguments.rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let (name, gateway) = ([ALONE, SHARED][which], &mut gateways[which]);
            let mut note =
                |what: &str, unit, sample| note(&mut rows, &format!("callbacks: {what}"), unit, name, sample);
            let one = gateway.asked(Load::One, requests, false)?;
            note("one connection, median", "us", one.p50_us);
            note("one connection, p99", "us", one.p99_us);
            let before = exact_cpu_us(&family(pid));
            let full = gateway.asked(Load::Full, requests, false)?;
            let database = exact_cpu_us(&family(pid)) - before;
            note("64 connections, acknowledged", "a second", full.per_s);
            note("64 connections, median", "us", full.p50_us);
            note("64 connections, p99", "us", full.p99_us);
            note("CPU of the gateway, 64 connections", "us a callback", full.gateway_us);
            if name == SHARED {
                let us = database / f64::from(Load::Full.of(requests));
                note("CPU of PostgreSQL, 64 connections", "us a callback", us);
            }
        }
        tell(&format!("callbacks: round {} of {}", round + 1, arguments.rounds));
    }
    Ok(rows)
}
