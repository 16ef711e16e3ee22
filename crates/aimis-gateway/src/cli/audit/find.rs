//! `audit find`: who looked at a patient, from a number that is typed and kept nowhere.

use std::io::{IsTerminal, Read, Write};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::opened;
use super::verify::who;
use crate::admin;
use crate::audit::find::{Match, Query, find};
use crate::cli::inbox::{columns, when};
use crate::cli::output::{self, Failure};
use crate::cli::sources::ConfigArguments;
use crate::clock::Clock;

/// Longer than every number in any spelling.
const MAX_NUMBER: u64 = 256;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Every patient: nothing is read from standard input.
    #[arg(long)]
    any_patient: bool,
    /// Only look-ups of this user of the hospital's system, as it names him.
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Only the record of this request.
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only patients of this tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// From this moment on: 2025-01-31, "2025-01-31 08:00:00", or how long ago: 90m, 36h, 3d.
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
    /// Before this moment; a day without a time is meant whole.
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// Most records to show.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// Print JSON: each record as it was written.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let now = Clock::system().now();
    let moment = |text: &Option<String>, end| text.as_deref().map(|text| when::read(text, end, now)).transpose();
    let (since, until) = (
        moment(&arguments.since, when::End::Since)?,
        moment(&arguments.until, when::End::Until)?,
    );
    let (settings, keys) = opened(&arguments.source)?;
    let number = if arguments.any_patient { None } else { Some(number()?) };
    let query = Query {
        number: number.as_ref().map(|number| number.trim()),
        operator: arguments.operator.as_deref(),
        request: arguments.request.as_deref(),
        tenant: arguments.tenant.as_deref(),
        since,
        until,
    };
    let mut rows = vec![
        [
            "number",
            "at",
            "what",
            "tenant",
            "who",
            "purpose",
            "result",
            "items",
            "request or event",
        ]
        .map(str::to_owned),
    ];
    let (mut records, mut more) = (Vec::new(), false);
    let searched = find::<std::io::Error>(&settings.path, &keys, &query, &mut |found| {
        if rows.len() as u64 > arguments.limit || records.len() as u64 >= arguments.limit {
            more = true;
            return Ok(false);
        }
        if arguments.json {
            records.push(shown(found));
        } else {
            rows.push(row(found));
        }
        Ok(true)
    })?;
    drop(number);
    let skipped: Vec<Value> = searched
        .skipped
        .iter()
        .map(|(file, why)| json!({ "file": file, "why": why }))
        .collect();
    if arguments.json {
        output::json(&json!({ "records": records, "more": more, "skipped": skipped }))?;
    } else if rows.len() == 1 {
        output::line("no record")?;
    } else {
        output::print(&columns(rows))?;
        if more {
            output::line("there are more: --limit, --since, --until")?;
        }
    }
    if let Some((file, why)) = searched.skipped.first() {
        return Err(Failure::Problem(format!("{file} could not be searched: {why}")));
    }
    match searched.unsound {
        0 => Ok(()),
        count => Err(Failure::Problem(format!(
            "{count} of these records are not as they were written: see audit verify"
        ))),
    }
}

fn shown(found: &Match<'_>) -> Value {
    let record: Value = serde_json::from_slice(found.text).unwrap_or_default();
    json!({ "file": found.file, "sound": found.sound, "record": record })
}

fn row(found: &Match<'_>) -> [String; 9] {
    let stated = &found.stated;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let at = crate::audit::moment(stated.time).map_or_else(|| stated.time.to_owned(), when::shown);
    let what = [Some(stated.kind), stated.act, stated.api].into_iter().flatten();
    let result = [
        stated.origin.map(str::to_owned),
        stated.class.map(str::to_owned),
        stated.code.map(|code| code.to_string()),
    ];
    let result: Vec<String> = result.into_iter().flatten().collect();
    let number = format!("{}{}", stated.seq, if found.sound { "" } else { " (changed)" });
    [
        number,
        at,
        what.collect::<Vec<_>>().join(" "),
        or_dash(stated.tenant.map(str::to_owned)),
        who(stated),
        or_dash(stated.usage.map(purpose)),
        if result.is_empty() {
            "-".to_owned()
        } else {
            result.join(" ")
        },
        or_dash(stated.count.map(|count| count.to_string())),
        or_dash(stated.request.or(stated.event).map(str::to_owned)),
    ]
}

/// The platform's `usage`, in words.
fn purpose(usage: i64) -> String {
    match usage {
        0 => "patient's own list".to_owned(),
        1 => "online consultation".to_owned(),
        2 => "doctor".to_owned(),
        other => other.to_string(),
    }
}

fn number() -> Result<Zeroizing<String>, Failure> {
    let wrong = || {
        Failure::Usage(format!(
            "standard input is {}; for all patients use --any-patient",
            admin::NO_NUMBER
        ))
    };
    if std::io::stdin().is_terminal() {
        // On standard error, so that the result can be piped on.
        let _ = write!(
            std::io::stderr().lock(),
            "identity number or telephone, then Enter and Ctrl-D: "
        );
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_NUMBER as usize + 1));
    std::io::stdin()
        .take(MAX_NUMBER + 1)
        .read_to_string(&mut text)
        .map_err(|_| wrong())?;
    if text.len() as u64 <= MAX_NUMBER && admin::is_number(&text) {
        Ok(text)
    } else {
        Err(wrong())
    }
}
