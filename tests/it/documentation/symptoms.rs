//! Troubleshooting goes by the words that people see. So the words have to be the program's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{file, root};

const ENGLISH: &str = "docs/troubleshooting.md";
const CHINESE: &str = "docs/troubleshooting.zh-CN.md";

/// Heads of columns whose cells are the program's own words.
const OWN_WORDS: &[&str] = &[
    "text",
    "what the caller reads",
    "the log says",
    "提示",
    "调用方看到",
    "日志",
];

/// Everything that the gateway's source says, text literals put as they read.
fn source() -> String {
    fn add(directory: &Path, text: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, text);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                *text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let mut text = String::new();
    for part in ["aimis-gateway", "aimis-core"] {
        add(&root().join("crates").join(part).join("src"), &mut text);
    }
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}

/// What a page gives as the program's words: quotation blocks, and the cells of columns that say so.
fn quotes(page: &str) -> Vec<String> {
    let mut quotes = Vec::new();
    let mut column = None;
    for line in page.lines() {
        let line = line.trim_start();
        if let Some(quote) = line.strip_prefix("> ") {
            quotes.push(quote.to_owned());
        }
        let Some(row) = line.strip_prefix('|') else {
            column = None;
            continue;
        };
        if row.starts_with("---") {
            continue;
        }
        let cells: Vec<&str> = row
            .split(" | ")
            .map(|cell| cell.trim_end_matches(" |").trim())
            .collect();
        match column {
            None => column = Some(cells.iter().position(|head| OWN_WORDS.contains(head))),
            Some(Some(own)) => quotes.push(cells[own].to_owned()),
            Some(None) => {}
        }
    }
    quotes
}

/// The parts of a quotation that stand in the program as they are: `…` is what differs, and a refusal's title and
/// detail are put together from two texts.
fn parts(quote: &str) -> Vec<&str> {
    let titled = quote
        .split_once(": ")
        .filter(|(title, _)| title.chars().next().is_some_and(char::is_uppercase) && title.len() < 30);
    let chinese = quote.split_once('：').filter(|(title, _)| title.chars().count() < 10);
    let (title, detail) = titled.or(chinese).unwrap_or(("", quote));
    // What is put behind a text: the place, the status.
    let details = detail
        .split('…')
        .flat_map(|part| part.split(" (line "))
        .flat_map(|part| part.split(" Its status is"))
        .flat_map(|part| part.split("（第"))
        .flat_map(|part| part.split("状态码"))
        .map(|part| part.trim_matches([' ', ',', ':', '：', '，', '。', '.', ')', '(', '（', '）', '"', '\'']));
    std::iter::once(title)
        .chain(details)
        .filter(|part| part.chars().count() > 3)
        .collect()
}

/// Code spans outside of fenced blocks.
fn spans(page: &str) -> BTreeSet<String> {
    let mut within = false;
    let mut spans = BTreeSet::new();
    for line in page.lines() {
        within ^= line.trim_start().starts_with("```");
        if !within {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}

/// Numbers of five or six digits that are codes: the platform's and ours.
fn codes(page: &str) -> BTreeSet<&str> {
    let numbers = page.split(|c: char| !c.is_ascii_digit());
    numbers
        .filter(|number| {
            number.len() == 6 && number.starts_with("800") || number.len() == 5 && number.starts_with("900")
        })
        .collect()
}

fn is_word(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
        && text.contains('_')
}

fn event_names() -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(&file("config/log-fields.json")).unwrap();
    let names = schema["properties"]["event.name"]["enum"].as_array().unwrap();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn troubleshooting_quotes_what_the_program_says() {
    let source = source();
    for page in [ENGLISH, CHINESE] {
        let quotes = quotes(&file(page));
        let strange: Vec<&str> = quotes
            .iter()
            .flat_map(|quote| parts(quote))
            .filter(|part| !source.contains(part))
            .collect();
        assert!(
            strange.is_empty(),
            "{page} quotes what nobody says:\n{}",
            strange.join("\n")
        );
        assert!(quotes.len() > 60, "{page}: only {} quotations were found", quotes.len());
    }
}

#[test]
fn troubleshooting_names_codes_events_metrics_keys_and_alerts_that_there_are() {
    let ours = file("crates/aimis-gateway/src/rejection.rs");
    let platforms = file("config/codes.toml");
    let metrics = file("config/metrics.json");
    let rules = file("deploy/prometheus/rules.yaml");
    let reference = file("docs/configuration.md");
    let full = file("config/gateway.full.toml");
    let events = event_names();
    let source = source();
    for page in [ENGLISH, CHINESE] {
        let text = file(page);
        for code in codes(&text) {
            let known = ours.contains(&format!("{}_{}", &code[..3], code.get(3..).unwrap_or_default()))
                || platforms.contains(&format!("code = {code}\n"));
            assert!(known || code == "900001", "{page}: code {code}");
        }
        for span in spans(&text) {
            if span.starts_with("aimis_") && is_word(&span) {
                assert!(metrics.contains(&format!("\"{span}\"")), "{page}: metric {span}");
            } else if let Some((section, key)) = span.split_once('.').filter(|(_, key)| is_word(key)) {
                if reference.contains(&format!("`[{section}]`")) || full.contains(&format!("[{section}]")) {
                    let named = full.contains(&format!("{key} =")) || reference.contains(&format!("`{key}`"));
                    assert!(named, "{page}: key {span}");
                }
            } else if is_word(&span) {
                let known = events.contains(&span) || metrics.contains(&span) || full.contains(&span);
                assert!(
                    known || source.contains(&span),
                    "{page}: {span} is nothing that there is"
                );
            }
        }
        for alert in text
            .split("runbooks/")
            .skip(1)
            .filter_map(|rest| rest.split(".md").next())
        {
            assert!(rules.contains(&format!("- alert: {alert}\n")), "{page}: alert {alert}");
        }
    }
}

#[test]
fn troubleshooting_says_the_same_in_both_languages() {
    let (english, chinese) = (file(ENGLISH), file(CHINESE));
    let headings = |text: &str| text.lines().filter(|line| line.starts_with("## ")).count();
    let rows = |text: &str| text.lines().filter(|line| line.starts_with('|')).count();
    let events = |text: &str| {
        let events = event_names();
        spans(text)
            .into_iter()
            .filter(|span| events.contains(span))
            .collect::<BTreeSet<_>>()
    };
    let quoted = |text: &str| text.lines().filter(|line| line.trim_start().starts_with("> ")).count();

    assert_eq!(codes(&english), codes(&chinese));
    assert_eq!(events(&english), events(&chinese));
    assert_eq!(headings(&english), headings(&chinese));
    assert_eq!(rows(&english), rows(&chinese));
    assert_eq!(quoted(&english), quoted(&chinese));
}
