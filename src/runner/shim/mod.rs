//! The supervisor of one step attempt: a process of its own, single-threaded, without runtime. Owns the step's log and its verdict.
//!
//! It uses `base` and `domain` only, so that it starts in milliseconds and outlives any engine. `run` is the order of events.

mod child;
pub mod contain;
mod evidence;
pub mod forkserver;
pub mod index;
mod ladder;
mod logfile;
mod run;
mod scrub;
pub mod secrets;
mod status;
mod supervise;
mod sweep;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The command was refused and never ran; `refused` in the directory says why. The engine may try again.
pub const NOT_STARTED: u8 = 75;
/// As [`NOT_STARTED`], because the disk is full.
pub const NO_ROOM: u8 = 74;

/// `quarterdeck shim ATTEMPT_DIR`, or `quarterdeck shim --forkserver ROOM`: everything after the word `shim`. Exit code 0 when `status.json`
/// is written, or when the forkserver's engine is gone. Prints nothing.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    match args.as_slice() {
        [word, _room] if word == forkserver::WORD => match forkserver::serve() {
            Ok(Some(dir)) => supervise(&dir),
            Ok(None) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        [dir] if Path::new(dir).is_absolute() => supervise(Path::new(dir)),
        _ => ExitCode::from(2),
    }
}

fn supervise(dir: &Path) -> ExitCode {
    match run::run(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::Refused { why, no_room }) => {
            // As good as it gets: on a full disk this fails too.
            let _ = std::fs::write(dir.join(crate::domain::attempt::file::REFUSED), why);
            ExitCode::from(if no_room { NO_ROOM } else { NOT_STARTED })
        }
    }
}
