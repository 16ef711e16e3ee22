//! The harness itself: a leak planted into any kind of sink, in any form, is found.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::canary::{Canaries, Sinks};
use super::{NAME, PHONE, TOKEN, canaries};
use crate::support::client::Answer;
use crate::support::directory::Directory;
use crate::support::process::run;

/// One planted value, and nothing else, is found.
#[track_caller]
fn assert_found(canaries: &Canaries, canary: &str, form: &str, sinks: &Sinks) {
    let leaks = canaries.find(sinks);
    assert!(
        leaks.iter().any(|leak| leak.canary == canary),
        "{canary} as {form} was not found: {leaks:?}"
    );
}

fn answer(header: &str, body: &str, origin: &str) -> Answer {
    let headers = vec![
        ("x-aimis-origin".to_owned(), origin.to_owned()),
        ("x-request-id".to_owned(), header.to_owned()),
    ];
    Answer {
        status: 400,
        headers,
        body: body.as_bytes().to_vec(),
    }
}

#[test]
fn every_form_of_every_value_is_found_in_text() {
    let canaries = canaries();
    let mut planted = 0;
    for canary in canaries.all() {
        for (form, bytes) in &canary.forms {
            let sample = [b"{\"message\":\"a~", &bytes[..], b"~z\"}\n"].concat();
            let mut sinks = Sinks::default();
            sinks.text("log", &sample);
            assert_found(&canaries, &canary.name, form, &sinks);
            planted += 1;
        }
    }
    assert!(planted > 120, "{planted}");
}

/// Forms written down by another program, so that an encoder's mistake does not agree with itself.
#[test]
fn forms_made_elsewhere_are_found() {
    let samples = [
        ("telephone", "3133383030313338303030"),
        ("telephone", "MTM4MDAxMzgwMDA="),
        ("telephone", "YTEzODAwMTM4MDAweg=="),
        ("telephone", "YWIxMzgwMDEzODAwMHl6"),
        ("telephone", "00083100831"),
        ("telephone", "%31%33%38%30%30%31%33%38%30%30%30"),
        ("name", "e5bca0e4b889"),
        ("name", "E5BCA0E4B889"),
        ("name", "5byg5LiJ"),
        ("name", "YeW8oOS4iXo="),
        ("name", "YWLlvKDkuIl5eg=="),
        ("name", "%E5%BC%A0%E4%B8%89"),
        ("name", "%e5%bc%a0%e4%b8%89"),
        ("name", "\\u5f20\\u4e09"),
        ("name", "\\u5F20\\u4E09"),
        ("name", "三张"),
        ("token", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("token", "0123456789ABCDEF0123456789ABCDEF"),
        ("token", "fedcba9876543210fedcba9876543210"),
    ];
    for (canary, sample) in samples {
        let mut sinks = Sinks::default();
        sinks.text("log", sample);
        assert_found(&canaries(), canary, sample, &sinks);
    }
}

#[test]
fn every_kind_of_sink_is_looked_at() {
    let canaries = canaries();
    for canary in canaries.all() {
        let value = String::from_utf8(canary.forms[0].1.clone()).unwrap();
        let find = |plant: &dyn Fn(&mut Sinks)| {
            let mut sinks = Sinks::default();
            plant(&mut sinks);
            assert_found(&canaries, &canary.name, "plain", &sinks);
        };
        find(&|sinks| sinks.text("metrics", format!("aimis_x{{a=\"{value}\"}} 1\n")));
        find(&|sinks| sinks.answer("refusal", &answer(&value, "", "gateway")));
        find(&|sinks| sinks.answer("refusal", &answer("", &value, "gateway")));
        find(&|sinks| {
            sinks.answer(
                "no origin",
                &Answer {
                    headers: Vec::new(),
                    ..answer("", &value, "")
                },
            )
        });
        find(&|sinks| sinks.answer("platform's headers", &answer(&value, "", "platform")));
        find(&|sinks| {
            let mut command = Command::new("sh");
            command
                .args(["-c", "printf %s \"$PLANTED\" >&2"])
                .env("PLANTED", &value);
            sinks.output("command", &run(command, b""));
        });
        let directory = Directory::new();
        directory.file("deep/er/state.db", [b"\x00\xff", value.as_bytes(), b"\xff"].concat());
        find(&|sinks| sinks.files("work directory", directory.path()));
        let directory = Directory::new();
        directory.file(&format!("spool-{value}.json"), "");
        find(&|sinks| sinks.files("work directory", directory.path()));
    }
}

#[test]
fn arguments_are_looked_at() {
    let mut child = Command::new("cat")
        .args(["-", PHONE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Its arguments are there once it answers: the system sets them late in the start of a process.
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let mut sinks = Sinks::default();
    sinks.arguments("cat", child.id());
    drop(child.stdin.take());
    child.wait().unwrap();

    assert_found(&canaries(), "telephone", "plain", &sinks);
}

#[test]
fn what_is_clean_stays_so() {
    let directory = Directory::new();
    directory.file("first-hospital.token", TOKEN);
    let mut sinks = Sinks::default();
    sinks.files("work directory", directory.path());
    sinks.answer("the platform's answer", &answer("", NAME, "platform"));
    sinks.text(
        "log",
        "{\"patient\":\"8b1a9953c4611296\",\"tenant\":\"first-hospital\"}",
    );

    canaries().assert_absent(&sinks);
}
