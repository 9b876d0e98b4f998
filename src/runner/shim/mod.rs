//! The supervisor of one step attempt: a process of its own, single-threaded, without runtime. Owns the step's log and its verdict.
//!
//! It uses `base` and `domain` only, so that it starts in milliseconds and outlives any engine. `run` is the order of events.

mod child;
pub mod contain;
mod evidence;
pub mod forkserver;
mod gate;
pub mod index;
mod kept;
mod ladder;
mod logfile;
mod prepare;
mod refused;
mod run;
mod scrub;
pub mod secrets;
mod status;
mod supervise;
mod sweep;
mod worker;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use crate::base::sys;
use kept::Kept;
use refused::Refused;

pub use ladder::AFTER_KILL_US;

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
            Ok(Some(forked)) => worker::serve(forked),
            Ok(None) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        [dir] if Path::new(dir).is_absolute() => {
            // Nothing of the engine's may stay open here: its sockets, its database, its pipes. Standard input may bring the secrets.
            sys::close_from(3);
            ExitCode::from(attempt(Path::new(dir), &mut Kept::default()).0)
        }
        _ => ExitCode::from(2),
    }
}

/// Supervises one attempt. The exit code, and whether nothing of it is left in this process or behind it.
fn attempt(dir: &Path, kept: &mut Kept) -> (u8, bool) {
    match run::run(dir, kept) {
        Ok(clean) => (0, clean),
        Err(Refused { why, no_room }) => {
            // As good as it gets: on a full disk this fails too.
            let _ = std::fs::write(dir.join(crate::domain::attempt::file::REFUSED), why);
            (if no_room { NO_ROOM } else { NOT_STARTED }, false)
        }
    }
}
