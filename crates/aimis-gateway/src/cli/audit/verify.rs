//! `audit verify`: whether the trail is as it was written.

use serde_json::{Value, json};

use super::opened;
use crate::audit::verify::{Expected, Report, verify};
use crate::audit::{Stated, Trail};
use crate::cli::output::{self, Failure};
use crate::cli::sources::ConfigArguments;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// The gateway's trail has at least so many lines: `aimis_audit_last_sequence`, or `audit.seq` of a line `audit_end`
    /// in the log. Finds what was cut off the end together with the file that tells where it was.
    #[arg(long, value_name = "SEQ")]
    expect_at_least: Option<u64>,
    /// This line of the gateway's trail has a seal that begins so: `audit.seq` and `audit.seal` of a line `audit_end` in
    /// the log. May be given several times.
    #[arg(long, value_name = "SEQ:SEAL")]
    anchor: Vec<String>,
    /// A problem at this line of the gateway's trail is known and explained. May be given several times.
    #[arg(long, value_name = "SEQ")]
    accept: Vec<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let anchors = arguments.anchor.iter().map(|text| anchor(text));
    let expected = Expected {
        at_least: arguments.expect_at_least,
        anchors: anchors.collect::<Result<_, _>>()?,
        accepted: arguments.accept.iter().copied().collect(),
    };
    let (settings, keys) = opened(&arguments.source)?;
    let mut reports = Vec::new();
    for trail in Trail::ALL {
        let of_acts = Expected::default();
        let expected = if *trail == Trail::Gateway { &expected } else { &of_acts };
        let read = verify(&settings.path, *trail, &keys, expected, &mut |_| true);
        let read = read.map_err(|error| {
            let path = settings.path.display();
            Failure::Problem(format!(
                "audit.path: {path}: {}; if a file was removed meanwhile, repeat",
                error.kind()
            ))
        })?;
        reports.extend(read.map(|report| (*trail, report)));
    }
    let problems: u64 = reports
        .iter()
        .map(|(_, report)| report.problems.len() as u64 + report.more)
        .sum();
    if arguments.json {
        let all: Vec<Value> = reports.iter().map(|(trail, report)| shown(*trail, report)).collect();
        output::json(&json!({ "sound": problems == 0, "trails": all }))?;
    } else if reports.is_empty() {
        output::line("nothing has been recorded")?;
    } else {
        let text: String = reports.iter().map(|(trail, report)| text(*trail, report)).collect();
        output::print(&text)?;
    }
    match problems {
        0 => Ok(()),
        1 => Err(Failure::Problem(
            "the audit trail is not as it was written: 1 problem".to_owned(),
        )),
        more => Err(Failure::Problem(format!(
            "the audit trail is not as it was written: {more} problems"
        ))),
    }
}

fn anchor(text: &str) -> Result<(u64, String), Failure> {
    let read = || {
        let (seq, seal) = text.split_once(':')?;
        let good = (8..=64).contains(&seal.len()) && seal.bytes().all(|b| b.is_ascii_hexdigit());
        good.then_some((seq.parse().ok()?, seal.to_ascii_lowercase()))
    };
    read().ok_or_else(|| {
        Failure::Usage("--anchor: not a number, a colon and 8 to 64 hex digits of a seal, like 4711:09af…".to_owned())
    })
}

fn shown(trail: Trail, report: &Report) -> Value {
    let problems: Vec<Value> = report
        .problems
        .iter()
        .map(|problem| json!({ "file": problem.file, "line": problem.line, "seq": problem.seq, "what": problem.what }))
        .collect();
    json!({
        "trail": trail.as_str(),
        "sound": report.is_sound(),
        "files": report.files,
        "lines": report.lines,
        "first": report.numbers.map(|(first, _)| first),
        "last": report.numbers.map(|(_, last)| last),
        "from": report.times.as_ref().map(|(from, _)| from),
        "to": report.times.as_ref().map(|(_, to)| to),
        "seal": report.seal,
        "problems": problems,
        "more_problems": report.more,
        "accepted": report.accepted,
        "records_lost": report.lost,
        "unclean_ends": report.unclean,
        "torn_bytes": report.torn,
    })
}

fn text(trail: Trail, report: &Report) -> String {
    let mut text = format!(
        "{}: {} line(s) in {} file(s)",
        trail.as_str(),
        report.lines,
        report.files
    );
    if let (Some((first, last)), Some((from, to))) = (report.numbers, &report.times) {
        text += &format!(", {first} to {last}, {from} to {to}");
    }
    text.push('\n');
    for problem in &report.problems {
        let record = problem.seq.map_or_else(String::new, |seq| format!(" (record {seq})"));
        text += &match problem.line {
            0 => format!("  {}: {}\n", problem.file, problem.what),
            line => format!("  {} line {line}{record}: {}\n", problem.file, problem.what),
        };
    }
    if report.more > 0 {
        text += &format!("  and {} further problems\n", report.more);
    }
    if report.accepted > 0 {
        text += &format!("  {} problem(s) accepted\n", report.accepted);
    }
    if report.lost > 0 {
        text += &format!(
            "  {} record(s) could not be written, and are not in it; see the lines of kind lost\n",
            report.lost
        );
    }
    if report.unclean > 0 {
        text += &format!("  {} start(s) behind a process that was killed\n", report.unclean);
    }
    if report.torn > 0 {
        text += &format!(
            "  {} byte(s) of a line that is being written, or of a process that was killed\n",
            report.torn
        );
    }
    if report.is_sound() {
        let end = &report.seal[..report.seal.len().min(32)];
        let last = report.numbers.map_or(0, |(_, last)| last);
        text += &format!("  sound; its end is {last}:{end}\n");
    }
    text
}

/// A record as a person reads it.
pub(super) fn who(stated: &Stated<'_>) -> String {
    let operator = stated.operator.map(|name| format!("operator {name}"));
    let tagged = stated
        .operator_tag
        .map(|tag| format!("operator tag {}", &tag[..tag.len().min(8)]));
    let all = [
        stated.client.map(|name| format!("client {name}")),
        operator,
        tagged,
        stated.who.as_ref().map(ToString::to_string),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}
