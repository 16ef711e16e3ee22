//! The binary `aimis-gateway`; see [`aimis_gateway::cli`].

use std::process::ExitCode;

/// The system's gives each thread a heap that grows by a page and a system call at a time, which a filling cache feels with
/// every answer (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    aimis_gateway::cli::main()
}
