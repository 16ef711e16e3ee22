//! `doctor`: the live path to the platform, step by step, each with what to do.

use serde_json::{Value, json};

use super::output::{self, Failure};
use super::sources::ConfigArguments;
use crate::clock::Clock;
use crate::doctor::{self, Finding, Report, Surroundings, UnknownTenant, Verdict};
use crate::upstream::addresses::Resolver;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: ConfigArguments,
    /// Look at this tenant alone, by its name; without it, at all.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Print one JSON document at the end instead of a line a step.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let silent = arguments.json;
    let surroundings = Surroundings {
        clock: Clock::system(),
        resolver: Resolver::system(),
        // Line by line: a step may take its whole time-out.
        tell: Box::new(move |finding| {
            if !silent {
                // A standard output that is gone shows at the end.
                let _ = output::print(&text(finding));
            }
        }),
    };
    let read = || arguments.source.read();
    let examined = tokio::task::LocalSet::new().block_on(
        &runtime,
        doctor::examine(read, arguments.tenant.as_deref(), surroundings),
    );
    // A resolver that hangs is a thread that would be waited for.
    runtime.shutdown_background();
    let report = examined.map_err(|UnknownTenant(names)| {
        Failure::Usage(format!(
            "--tenant: there is none of this name; known: {}",
            names.join(", ")
        ))
    })?;
    if arguments.json {
        output::json(&json_of(&report))?;
    }
    end(&report, arguments.json)
}

fn end(report: &Report, silent: bool) -> Result<(), Failure> {
    let failed = report.failed();
    if failed.is_empty() {
        let warnings = match report.warnings() {
            0 => String::new(),
            1 => ", with 1 warning".to_owned(),
            several => format!(", with {several} warnings"),
        };
        return if silent {
            Ok(())
        } else {
            output::line(&format!("the path works{warnings}"))
        };
    }
    let summary = format!("something is wrong: {}", failed.join(", "));
    Err(if report.unusable {
        Failure::Config(summary)
    } else {
        Failure::Problem(summary)
    })
}

fn text(finding: &Finding) -> String {
    let verdict = match finding.verdict {
        Verdict::Fail => "FAIL",
        other => other.as_str(),
    };
    let took = format!("{:.0} ms", finding.took.as_secs_f64() * 1000.0);
    let tenant = finding
        .tenant
        .as_ref()
        .map_or_else(String::new, |name| format!("{name}: "));
    let mut text = format!("{verdict:<8}{:<14}{took:>9}  {tenant}{}\n", finding.step, finding.found);
    if let Some(fix) = &finding.fix {
        text += &format!("{:33}-> {fix}\n", "");
    }
    text
}

fn json_of(report: &Report) -> Value {
    let steps: Vec<Value> = report.findings.iter().map(step).collect();
    json!({ "ok": report.failed().is_empty(), "warnings": report.warnings(), "steps": steps })
}

fn step(finding: &Finding) -> Value {
    let mut step = json!({ "step": finding.step });
    if let Some(tenant) = &finding.tenant {
        step["tenant"] = json!(tenant);
    }
    step["verdict"] = json!(finding.verdict.as_str());
    step["took_ms"] = json!((finding.took.as_secs_f64() * 10_000.0).round() / 10.0);
    step["found"] = json!(finding.found);
    if let Some(fix) = &finding.fix {
        step["fix"] = json!(fix);
    }
    step
}
