//! The binary `aimis-gateway`; see [`aimis_gateway::cli`].

use std::process::ExitCode;

/// The system's is slow with what is larger than 1 KB, of which a question needs five pieces, and gives each thread a heap that
/// grows by a call of the kernel for each answer that is kept (docs/performance.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    aimis_gateway::cli::main()
}
