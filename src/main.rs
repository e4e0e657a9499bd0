//! `exeat`: a result becomes an exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Two dozen small pieces of memory come and go with a request, on every core.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    exeat::cli::main()
}
