//! The life of a forked shim: one attempt after the other, for as long as each ends as it should.
//!
//! A process that has served is warm: its pages are its own and its probes are answered, and neither a fork nor an end has to be paid for.
//! It serves one attempt at a time, and goes where anything could be left of the last one: a secret in its memory, a process behind it, a
//! log that made it large. Its engine's end of the line closes: it ends with its attempt, or at once.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::forkserver::{self, Ended, Forked, Title};
use super::kept::Kept;
use crate::base::sys;

/// At most so many attempts, so that nothing grows without end.
const MOST: u32 = 200;
/// What stands in the place of the attempt between two of them …
const IDLE: &str = "--idle";
/// … unless the next one comes at once.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Serves until the end of this process.
pub fn serve(forked: Forked) -> ExitCode {
    let Forked { mut dir, line, mut title } = forked;
    let mut kept = Kept::default();
    for turn in 1.. {
        title.show(dir.as_os_str());
        let (code, clean) = super::attempt(&dir, &mut kept);
        let more = clean && turn < MOST;
        if forkserver::tell_end(line.as_fd(), Ended { code, more }).is_err() || !more {
            return ExitCode::from(code);
        }
        match next(line.as_fd(), &kept, &mut title) {
            Some(next) => dir = next,
            None => break,
        }
    }
    ExitCode::SUCCESS
}

/// The directory of the next attempt; `None` when the engine is gone or somebody wants this process to end.
fn next(line: BorrowedFd<'_>, kept: &Kept, title: &mut Title) -> Option<PathBuf> {
    // Blocked since the first attempt, so they wait here if they came a moment ago.
    let signals = &kept.tools.as_ref()?.signals;
    let mut patience = Some(&AT_ONCE);
    loop {
        let mut fds = [PollFd::from_borrowed_fd(line, PollFlags::IN), PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        match poll(&mut fds, patience) {
            Ok(0) => {
                patience = None;
                title.show(OsStr::new(IDLE));
                continue;
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return None,
        }
        let (called, ended) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        // An order that is there already is served: the signal then ends its step, as it would have a moment later.
        if called {
            return forkserver::next_dir(line).ok().flatten();
        }
        // What is left of the last attempt (a child's end, a wish that came too late) ends nobody.
        if ended && sys::read_signals(signals.as_fd()).ok()?.iter().any(|s| matches!(*s, libc::SIGTERM | libc::SIGINT)) {
            return None;
        }
    }
}
