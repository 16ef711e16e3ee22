//! `inbox park`, `inbox resume`: suspends and takes up the delivery to a tenant.

use serde_json::json;

use super::store::Store;
use crate::cli::output::{self, Failure};
use crate::cli::sources::ConfigArguments;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// The tenant.
    #[arg(value_name = "TENANT")]
    tenant: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn park(arguments: &Arguments) -> Result<(), Failure> {
    let store = Store::open(&arguments.source)?;
    let tenant = store.tenant(&arguments.tenant)?;
    store.note(&format!("park {}", tenant.as_str()), &[])?;
    let changed = store.ask(|inbox| inbox.park(&tenant))?;
    let text = if changed {
        "is parked: its events wait until `inbox resume`"
    } else {
        "was parked already"
    };
    tell(arguments, true, changed, text)
}

pub(super) fn resume(arguments: &Arguments) -> Result<(), Failure> {
    let store = Store::open(&arguments.source)?;
    let tenant = store.tenant(&arguments.tenant)?;
    store.note(&format!("resume {}", tenant.as_str()), &[])?;
    let changed = store.ask(|inbox| inbox.resume(&tenant))?;
    let text = if changed {
        "is delivered to again"
    } else {
        "was not parked"
    };
    tell(arguments, false, changed, text)
}

fn tell(arguments: &Arguments, parked: bool, changed: bool, text: &str) -> Result<(), Failure> {
    if arguments.json {
        output::json(&json!({ "tenant": arguments.tenant, "parked": parked, "changed": changed }))
    } else {
        output::line(&format!("tenant {} {text}", arguments.tenant))
    }
}
