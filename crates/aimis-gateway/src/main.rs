//! The binary `aimis-gateway`; see [`aimis_gateway::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    aimis_gateway::cli::main()
}
