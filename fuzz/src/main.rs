//! Random inputs for everything that reads what others wrote.
//!
//! A plain harness, so that it runs wherever the gateway builds: no nightly compiler, no instrumentation. It makes up
//! for what coverage would tell by seeds that stand close to every rule, and by speed. A run is repeatable: the same
//! seed gives the same inputs. In the repository's root, `cargo xtask fuzz` is the way to start it.

mod mutate;
mod options;
mod run;
mod targets;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match options::Options::read(&arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            tell(options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(complaint) => {
            tell(&format!("fuzz: {complaint}\n\n{}", options::HELP));
            return ExitCode::from(2);
        }
    };
    run::silence_panics();
    let mut status = ExitCode::SUCCESS;
    for target in &options.targets {
        let report = run::run(target, &options);
        tell(&report.to_string());
        if report.failure.is_some() {
            status = ExitCode::FAILURE;
        }
    }
    status
}

fn tell(text: &str) {
    println!("{}", text.trim_end());
}
