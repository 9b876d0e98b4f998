//! The binary: enters the shim before anything else is touched, or calls `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    quarterdeck::cli::main()
}
