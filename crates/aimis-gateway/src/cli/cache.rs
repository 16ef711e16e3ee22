//! `cache`: what a running gateway keeps, and dropping it.

use std::io::Read;

use serde::Serialize;
use zeroize::Zeroizing;

use super::admin_client::AdminArguments;
use super::output::{self, Failure};
use crate::admin;

/// The longest number that is read, in bytes.
const MAX_NUMBER: u64 = 256;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show how many answers a running gateway keeps.
    Show(ShowArguments),
    /// Drop kept answers of a running gateway: a patient's, a tenant's, an API's, or all.
    Purge(PurgeArguments),
}

#[derive(clap::Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("which").args(["tenant", "api", "all"]).required(true).multiple(true))]
pub(super) struct PurgeArguments {
    /// Those of this tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Those about one patient, whose identity number or telephone is read from standard input.
    #[arg(long, requires = "tenant", conflicts_with = "api")]
    patient: bool,
    /// Those of this API.
    #[arg(long, value_name = "API")]
    api: Option<String>,
    /// All there are.
    #[arg(long, conflicts_with_all = ["tenant", "patient", "api"])]
    all: bool,
    #[command(flatten)]
    admin: AdminArguments,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The order as the listener takes it.
#[derive(Serialize)]
struct Order<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<&'a str>,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show(arguments),
        Command::Purge(arguments) => purge(arguments),
    }
}

fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let fill = arguments.admin.get(admin::CACHE)?;
    if arguments.json {
        return output::json(&fill);
    }
    output::line(&format!(
        "{}, {} of {} bytes",
        answers(&fill["entries"]),
        fill["bytes"],
        fill["max_bytes"]
    ))
}

fn purge(arguments: &PurgeArguments) -> Result<(), Failure> {
    let number = arguments.patient.then(number).transpose()?;
    let order = Order {
        all: arguments.all,
        tenant: arguments.tenant.as_deref(),
        api: arguments.api.as_deref(),
        patient: number.as_ref().map(|number| number.trim()),
    };
    let body = Zeroizing::new(serde_json::to_string(&order).expect("texts are always JSON"));
    let answer = arguments.admin.post(admin::CACHE_PURGE, &body)?;
    if arguments.json {
        return output::json(&answer);
    }
    output::line(&format!("{} dropped", answers(&answer["dropped"])))
}

fn answers(count: &serde_json::Value) -> String {
    let noun = if *count == 1 { "answer" } else { "answers" };
    format!("{count} {noun}")
}

fn number() -> Result<Zeroizing<String>, Failure> {
    let wrong = || Failure::Usage(format!("--patient: standard input is {}", admin::NO_NUMBER));
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
