//! The command `sandbox`.

use std::process::ExitCode;

/// For the host alone: plugins bring their own, and what crosses to them is freed by who made it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sandbox::cli::main()
}
