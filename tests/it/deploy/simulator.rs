//! `simulate` as a container runs it.

use std::process::Command;

use crate::support::binary;
use crate::support::directory::Directory;
use crate::support::process::{Process, run};

fn simulate(token_file: &str) -> Command {
    binary::command(&[
        "simulate",
        "--listen=127.0.0.1:0",
        "--control=127.0.0.1:0",
        "--his=127.0.0.1:0",
        "--token-file",
        token_file,
    ])
}

/// The first process of a container does not die of a TERM that it does not take.
#[test]
fn it_ends_when_an_engine_says_so() {
    let directory = Directory::new();
    let file = directory.file("token", "fedcba9876543210fedcba9876543210");
    let process = Process::start(simulate(&file));
    process.line(|line| line.starts_with("platform"));
    process.signal("TERM");
    let ended = process.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stdout.contains("fedcba"), "no output shows a token");
}

#[test]
fn a_token_with_a_line_end_is_told() {
    let directory = Directory::new();
    let file = directory.file("token", "fedcba9876543210fedcba9876543210\n");
    let output = run(simulate(&file), b"");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("is not 32 characters and nothing else"), "{stderr}");
}
