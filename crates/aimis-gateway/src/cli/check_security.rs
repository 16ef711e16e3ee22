//! `check --security`: what works and is a risk, graded.

use serde_json::json;

use super::output::{self, Failure};
use super::sources::ConfigArguments;
use crate::clock::Clock;
use crate::security::{self, Finding, Grade};

/// Prints the list. With a serious finding the exit status is 1.
pub(super) fn run(source: &ConfigArguments, as_json: bool) -> Result<(), Failure> {
    let loaded = source.load()?;
    let findings = security::examine(&loaded.config, source.path().as_deref(), Clock::system().now());
    if as_json {
        output::json(&to_json(&findings))?;
    } else {
        output::print(&text(&findings))?;
    }
    match count(&findings, Grade::Serious) {
        0 => Ok(()),
        1 => Err(Failure::Problem("1 serious finding".to_owned())),
        many => Err(Failure::Problem(format!("{many} serious findings"))),
    }
}

fn count(findings: &[Finding], grade: Grade) -> usize {
    findings.iter().filter(|finding| finding.rule.grade == grade).count()
}

fn to_json(findings: &[Finding]) -> serde_json::Value {
    let one = |finding: &Finding| {
        json!({
            "grade": finding.rule.grade.as_str(),
            "key": finding.rule.key,
            "about": finding.about,
            "why": finding.rule.why,
            "fix": finding.rule.fix,
        })
    };
    let counts: serde_json::Map<_, _> = Grade::ALL
        .iter()
        .map(|grade| (grade.as_str().to_owned(), json!(count(findings, *grade))))
        .collect();
    json!({
        "ok": count(findings, Grade::Serious) == 0,
        "counts": counts,
        "findings": findings.iter().map(one).collect::<Vec<_>>(),
    })
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { rule, about } in findings {
        let about = if about.is_empty() {
            String::new()
        } else {
            format!(" ({about})")
        };
        let grade = match rule.grade {
            Grade::Serious => "SERIOUS",
            Grade::Moderate | Grade::Minor => rule.grade.as_str(),
        };
        text += &format!(
            "{grade:<9} {}{about}: {}.\n          {}\n",
            rule.key, rule.why, rule.fix
        );
    }
    let counts = Grade::ALL.map(|grade| format!("{} {}", count(findings, grade), grade.as_str()));
    text + &format!("{}\n", counts.join(", "))
}
