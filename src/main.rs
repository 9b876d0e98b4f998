//! The binary: enters the shim before anything else is touched, or calls `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // A shim starts in milliseconds, with one thread, and needs nothing of what follows.
    if args.next().is_some_and(|first| first == "shim") {
        return quarterdeck::runner::shim::main(args);
    }
    quarterdeck::cli::main()
}
