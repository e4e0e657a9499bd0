//! `exeat`: a result becomes an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    exeat::cli::main()
}
