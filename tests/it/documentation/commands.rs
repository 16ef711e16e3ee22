//! Commands in documents and runbooks: the program knows each, with its options, and places are the package's.

use std::collections::{BTreeMap, BTreeSet};

use super::{file, pages};
use crate::support::binary;
use crate::support::process::run;

/// What stands behind the program's name in code blocks and code spans, up to what a shell takes for something else.
fn commands(text: &str) -> BTreeSet<String> {
    let mut within = false;
    let mut commands = BTreeSet::new();
    for line in text.replace("\\\n", " ").lines() {
        if line.trim_start().starts_with("```") {
            within = !within;
            continue;
        }
        let pieces: Vec<&str> = if within {
            vec![line]
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        for piece in pieces {
            let piece = piece.replace("/usr/bin/aimis-gateway ", "aimis-gateway ");
            for rest in piece.split("aimis-gateway ").skip(1) {
                let end = rest.find(['|', ';', '&', '>', '<', '#', '$', '…', '(', ')', '\'', '"']);
                commands.insert(rest[..end.unwrap_or(rest.len())].trim().to_owned());
            }
        }
    }
    commands
}

/// The help of a command, `None` where there is no such command.
fn help(words: &[&str]) -> Option<String> {
    let output = run(binary::command(&[words, &["--help"]].concat()), b"");
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

#[test]
fn every_command_that_a_document_names_is_there_with_its_options() {
    let mut helps: BTreeMap<Vec<String>, Option<String>> = BTreeMap::new();
    let mut get = |words: &[&str]| {
        let key: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        helps.entry(key).or_insert_with(|| help(words)).clone()
    };
    let all = get(&[]).unwrap();
    let is_listed = |help: &str, word: &str| {
        help.lines()
            .any(|line| line.trim_start().split(' ').next() == Some(word))
    };
    let mut unknown = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for command in commands(&file(&page)) {
            let words: Vec<&str> = command.split_whitespace().collect();
            // The user, the group and the unit have the program's name as well.
            let Some(first) = words.first().filter(|word| is_listed(&all, word)) else {
                continue;
            };
            checked += 1;
            let mut help = get(&[first]).unwrap();
            if let Some(second) = words.get(1).filter(|_| help.contains("<COMMAND>")) {
                if let Some(found) = is_listed(&help, second).then(|| get(&[first, second])).flatten() {
                    help = found;
                } else if second.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !second.starts_with('-') {
                    unknown.push(format!("{page}: aimis-gateway {first} {second}"));
                    continue;
                }
            }
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let name = option.split(['=', ',', '.', ']']).next().unwrap_or_default();
                if name.len() > 2 && !help.contains(name) {
                    unknown.push(format!("{page}: aimis-gateway {command}: {name}"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    assert!(checked > 80, "only {checked} commands were found");
}

#[test]
fn places_are_those_of_the_package() {
    let mut texts: Vec<(String, String)> = pages().into_iter().map(|page| (page.clone(), file(&page))).collect();
    let profile = "config/profiles/hospital-single.toml";
    texts.push((profile.to_owned(), file(profile)));
    for (name, text) in texts.iter().filter(|(name, _)| name != "CHANGELOG.md") {
        for place in ["/etc/aimis", "/var/lib/aimis", "/run/aimis"] {
            for rest in text.split(place).skip(1) {
                assert!(
                    rest.starts_with("-gateway"),
                    "{name}: {place}{}",
                    rest.lines().next().unwrap()
                );
            }
        }
    }
}
