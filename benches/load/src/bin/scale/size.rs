//! What a question costs where there is much of something, beside where there is little: tenants, clients, connections,
//! patients that are kept.

use aimis_bench::job::{app_id, client_key};
use aimis_bench::place::Place;
use aimis_bench::results::Row;
use aimis_bench::upstream::Upstream;
use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};

use crate::gateways::{Gateway, Load};
use crate::table::{FEW, MANY};
use crate::{Arguments, note, tell};

/// Bytes of an answer.
const ANSWER: usize = 4 << 10;
const TENANTS: [u32; 2] = [10, 1_000];
const CLIENTS: [u32; 2] = [10, 1_000];
/// Connections that are open and idle, beside those that ask; where they are few there is none.
const IDLE: u32 = 5_000;
/// Patients whose answers are kept, where they are many; else it is one.
const PATIENTS: u32 = 100_000;
/// So many times the questions of the other rows: what is looked for is a few parts in a hundred.
const MORE: u32 = 5;
/// Questions that may reach the platform though what they ask for is kept: those that met in the first moment.
const FIRST: u64 = 2 * crate::gateways::MANY as u64;

/// Measures all in turn, round by round.
pub(crate) fn measure(arguments: &Arguments, place: &Place) -> Result<Vec<Row>> {
    let upstream = Upstream::start(ANSWER, false, 1, place)?;
    let mut rows = Vec::new();
    tenants(arguments, place, &upstream, &mut rows)?;
    clients(arguments, place, &upstream, &mut rows)?;
    connections(arguments, place, &upstream, &mut rows)?;
    patients(arguments, place, &upstream, &mut rows)?;
    Ok(rows)
}

fn tenants(arguments: &Arguments, place: &Place, upstream: &Upstream, rows: &mut Vec<Row>) -> Result<()> {
    let start = |tenants: u32| -> Result<Gateway<'_>> {
        // The first is the one that all have.
        let tenant = |number: u32| {
            let token = place.file("token");
            format!(
                "[[tenants]]\nname = \"bench-{number}\"\napp_id = \"{}\"\ntoken_file = \"{}\"\n",
                app_id(number),
                token.display()
            )
        };
        let sections: String = (1..tenants).map(tenant).collect();
        let name = format!("scale-tenants-{tenants}");
        Ok(Gateway::start(&name, &sections, upstream.port, false, place)?.for_tenants(tenants))
    };
    let mut gateways = [start(TENANTS[0])?, start(TENANTS[1])?];
    warm(arguments, &mut gateways)?;
    let title = format!("CPU of a question: {} tenants, and {}", TENANTS[0], TENANTS[1]);
    for round in 0..arguments.rounds {
        questions(arguments, round, &mut gateways, upstream, &title, rows)?;
        tell(&format!("tenants: round {} of {}", round + 1, arguments.rounds));
    }
    Ok(())
}

/// Each is known by its key, and all of them ask.
fn clients(arguments: &Arguments, place: &Place, upstream: &Upstream, rows: &mut Vec<Row>) -> Result<()> {
    let start = |clients: u32| -> Result<Gateway<'_>> {
        let client = |number: u32| {
            let digest = hex::encode(Sha256::digest(client_key(number)));
            format!("[[clients]]\nname = \"his-{number}\"\nkey_sha256 = \"{digest}\"\n")
        };
        let sections: String = (0..clients).map(client).collect();
        let name = format!("scale-clients-{clients}");
        Ok(Gateway::start(&name, &sections, upstream.port, false, place)?.by_clients(clients))
    };
    let mut gateways = [start(CLIENTS[0])?, start(CLIENTS[1])?];
    warm(arguments, &mut gateways)?;
    let title = format!("CPU of a question: {} clients, and {}", CLIENTS[0], CLIENTS[1]);
    for round in 0..arguments.rounds {
        questions(arguments, round, &mut gateways, upstream, &title, rows)?;
        tell(&format!("clients: round {} of {}", round + 1, arguments.rounds));
    }
    Ok(())
}

fn connections(arguments: &Arguments, place: &Place, upstream: &Upstream, rows: &mut Vec<Row>) -> Result<()> {
    // Nothing is kept, so that memory is that of connections.
    let sections = "[cache]\nenabled = false\n";
    let start = |name| Gateway::start(name, sections, upstream.port, false, place);
    let mut gateways = [start("scale-connections-few")?, start("scale-connections-many")?];
    warm(arguments, &mut gateways)?;
    let held = gateways[1].hold(IDLE)?;
    let active = crate::gateways::MANY;
    let title = |what| format!("{what}: {active} connections, and {IDLE} idle ones beside them");
    for round in 0..arguments.rounds {
        let cpu = title("CPU of a question");
        questions(arguments, round, &mut gateways, upstream, &cpu, rows)?;
        let [few, many] = [&gateways[0], &gateways[1]].map(Gateway::memory_mib);
        note(rows, &title("Memory"), "MiB", FEW, few);
        note(rows, &title("Memory"), "MiB", MANY, many);
        let each = (many - few) * 1024.0 / f64::from(IDLE);
        note(rows, "Memory of an idle connection", "KiB", MANY, each);
        tell(&format!("connections: round {} of {}", round + 1, arguments.rounds));
    }
    held.end()
}

fn patients(arguments: &Arguments, place: &Place, upstream: &Upstream, rows: &mut Vec<Row>) -> Result<()> {
    // Kept until the end of the run.
    let sections = "[cache]\nmax_bytes = 1073741824\nfresh_s = 3600\n";
    let start = |name| Gateway::start(name, sections, upstream.port, false, place);
    let mut gateways = [start("scale-patients-one")?, start("scale-patients-many")?];
    gateways[0].asked(Load::One, 1, true)?;
    gateways[1].asked(Load::Full, PATIENTS.div_ceil(Load::Full.of(1)), false)?;
    let each = (MORE * arguments.requests).min(PATIENTS / Load::Full.of(1));
    let rounds_of_all = (PATIENTS / Load::Full.of(each)) as usize;
    for round in 0..arguments.rounds {
        if round % rounds_of_all == 0 {
            gateways[1].again();
        }
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let before = upstream.counts()?.answered;
            let seen = gateways[which].asked(Load::Full, each, which == 0)?;
            let reached = upstream.counts()?.answered - before;
            ensure!(reached <= FIRST, "{reached} questions reached the platform");
            let title = format!("CPU of a hit: 1 patient kept, and {PATIENTS}");
            note(rows, &title, "us", [FEW, MANY][which], seen.gateway_us);
        }
        tell(&format!("patients: round {} of {}", round + 1, arguments.rounds));
    }
    Ok(())
}

fn warm(arguments: &Arguments, gateways: &mut [Gateway<'_>; 2]) -> Result<()> {
    for gateway in gateways {
        gateway.asked(Load::Full, arguments.requests, false)?;
    }
    Ok(())
}

/// A round of questions about patients nobody has asked for: the one with little and the one with much have each its turn.
fn questions(
    arguments: &Arguments,
    round: usize,
    gateways: &mut [Gateway<'_>; 2],
    upstream: &Upstream,
    title: &str,
    rows: &mut Vec<Row>,
) -> Result<()> {
    for turn in 0..2 {
        let which = (round + turn) % 2;
        let before = upstream.counts()?;
        let seen = gateways[which].asked(Load::Full, MORE * arguments.requests, false)?;
        ensure!(upstream.counts()?.refused == before.refused, "the platform refused");
        note(rows, title, "us", [FEW, MANY][which], seen.gateway_us);
    }
    Ok(())
}
