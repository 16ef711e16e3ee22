//! The files of Prometheus and Alertmanager: what their own tools say, and that they fit the contract.

use std::collections::BTreeSet;

use super::servers::{AMTOOL, PROMTOOL, Program};
use super::{families, file, metrics_in};

/// What an alert's runbook tells, in this order.
const HEADINGS: &[&str] = &[
    "## What it means",
    "## Us, them or the network",
    "## First three commands",
    "## What to do",
    "## When to call the platform",
    "## 中文摘要",
];

/// One alert of `rules.yaml`, as the lines that say something about it.
struct Alert {
    name: String,
    lines: Vec<String>,
}

fn alerts() -> Vec<Alert> {
    let rules = file("deploy/prometheus/rules.yaml");
    let entries = rules.split("\n      - alert: ").skip(1);
    entries
        .map(|entry| {
            let mut lines = entry.lines().map(|line| line.trim().to_owned());
            Alert {
                name: lines.next().unwrap(),
                lines: lines.collect(),
            }
        })
        .collect()
}

#[track_caller]
fn succeeds(program: &Program, arguments: &[&str]) {
    let mut command = program.command();
    command
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn prometheus_and_alertmanager_take_their_files() {
    succeeds(&PROMTOOL, &["check", "rules", "rules.yaml"]);
    succeeds(&PROMTOOL, &["check", "config", "scrape.yaml"]);
    succeeds(&AMTOOL, &["check-config", "alertmanager.yaml"]);
}

#[test]
fn each_alert_fires_when_it_should_and_is_quiet_when_it_should_not() {
    succeeds(&PROMTOOL, &["test", "rules", "rules_test.yaml", "rules_test_long.yaml"]);

    let tests = ["rules_test.yaml", "rules_test_long.yaml"].map(|name| file(&format!("deploy/prometheus/{name}")));
    let cases: BTreeSet<(&str, bool)> = tests
        .iter()
        .flat_map(|text| text.split("        alertname: ").skip(1))
        .map(|case| {
            let (name, rest) = case.split_once('\n').unwrap();
            (name, rest.trim_start().starts_with("exp_alerts: []"))
        })
        .collect();
    for alert in alerts() {
        let name = alert.name.as_str();
        assert!(cases.contains(&(name, false)), "{name} has no case in which it fires");
        assert!(cases.contains(&(name, true)), "{name} has no case in which it is quiet");
    }
}

#[test]
fn rules_are_about_metrics_that_there_are() {
    let known: BTreeSet<String> = families().into_iter().map(|(name, _)| name).collect();
    let rules = file("deploy/prometheus/rules.yaml");
    let expressions = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    let recorded = |name: &str| rules.contains(&format!("record: {name}"));
    for name in expressions.flat_map(metrics_in) {
        assert!(known.contains(&name) || recorded(&name), "{name} is no metric");
    }
}

#[test]
fn every_alert_says_how_grave_it_is_and_has_a_runbook() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/runbooks");
    let mut pages: BTreeSet<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!alerts().is_empty());
    for Alert { name, lines } in alerts() {
        let has = |line: &str| lines.iter().any(|known| known == line);
        assert!(has("severity: page") || has("severity: ticket"), "{name}");
        assert!(has("service: aimis-gateway"), "{name}");
        assert!(lines.iter().any(|line| line.starts_with("summary: ")), "{name}");
        let page = format!("{name}.md");
        let url = format!("runbook_url: file:///usr/share/doc/aimis-gateway/runbooks/{page}");
        assert!(has(&url), "{name} has another runbook_url");
        assert!(pages.remove(&page), "there is no {page}");
        let text = file(&format!("deploy/runbooks/{page}"));
        assert!(text.starts_with(&format!("# {name}\n")), "{page} has another title");
        let mut rest = text.as_str();
        for heading in HEADINGS {
            let found = rest.split_once(&format!("\n{heading}\n"));
            rest = found
                .unwrap_or_else(|| panic!("{page} lacks {heading}, or in its place"))
                .1;
        }
    }
    assert_eq!(pages, BTreeSet::from(["README.md".to_owned()]), "pages of no alert");
}
