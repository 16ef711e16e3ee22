//! The project's own commands: `cargo xtask test | ci | docs | book | fuzz | bench | package`.
//!
//! They bring their set-up along, so that a clean checkout needs nothing but Rust. This crate is built before any of
//! them can run, so it keeps to the standard library and `anyhow`, and compiles in seconds.

mod bench;
mod book;
mod ci;
mod deny;
mod dependencies;
mod derived;
mod generated;
mod licence;
mod manifest;
mod outline;
mod package;
mod repository;
mod steps;
mod suite;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
The project's own commands.

  cargo xtask test [FILTER or cargo test arguments]   everything that is tested, set-up included
  cargo xtask ci                                      what is judged beside the tests: format, lints, documents,
                                                      dependencies, generated files, fuzz targets
  cargo xtask docs [--check]                          write the generated files again, or compare them
  cargo xtask book                                    the documents as a book, in target/book/html
  cargo xtask fuzz [TARGET|all] [--seconds S] [...]   random inputs; `cargo xtask fuzz --help` tells the rest
  cargo xtask bench PART [...]                        what things cost; `cargo xtask bench` tells the parts
  cargo xtask package WHAT                            static binary, .deb, kit; `cargo xtask package` tells more
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            steps::tell(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!("which command?\n\n{HELP}");
    };
    match (command.as_str(), rest) {
        ("test", rest) => suite::run(rest),
        ("ci", []) => ci::run(),
        ("docs", []) => generated::write(),
        ("docs", [check]) if check == "--check" => generated::check(),
        ("book", []) => book::build().map(drop),
        ("fuzz", rest) => repository::fuzz_cargo(&["run", "--quiet", "--locked", "--"])
            .args(rest)
            .run(),
        ("bench", rest) => bench::run(rest),
        ("package", rest) => package::run(rest),
        ("help" | "--help" | "-h", _) => {
            steps::tell(HELP);
            Ok(())
        }
        _ => bail!("no such command: {}\n\n{HELP}", arguments.join(" ")),
    }
}
