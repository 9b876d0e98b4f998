//! What a supervising process is and makes once, however many attempts it serves.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use crate::base::sys;
use crate::domain::attempt::{Containment, ProcessId};

use super::refused::{Refused, refuse};
use super::supervise;

/// What goes from one attempt to the next. An attempt takes its tools, and gives them back where it ended in order.
#[derive(Default)]
pub struct Kept {
    pub tools: Option<Tools>,
    /// Where attempts' cgroups are made, and what they are then held by.
    pub cgroups: Option<(PathBuf, Containment)>,
    /// This process.
    pub identity: Option<ProcessId>,
    /// For output on its way.
    pub buffer: Vec<u8>,
}

/// What an attempt is watched with.
pub struct Tools {
    /// What signals come by, blocked from the first attempt on.
    pub signals: OwnedFd,
    pub timer: OwnedFd,
    /// `/dev/null`.
    pub null: File,
    /// Standard input and output lead there.
    silent: bool,
}

impl Kept {
    /// Makes this process a supervisor, where it is not yet one.
    pub fn become_supervisor(&self) {
        if self.tools.is_some() {
            return;
        }
        // Fails for a group leader, as when tried by hand from a shell: no reason to stop.
        let _ = rustix::process::setsid();
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        // Values of secrets are in this memory: no core, no ptrace by others of the same user.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }

    pub fn take_tools(&mut self) -> Result<Tools, Refused> {
        match self.tools.take() {
            Some(known) => Ok(known),
            None => Tools::new(),
        }
    }
}

impl Tools {
    fn new() -> Result<Self, Refused> {
        let watched = [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
        Ok(Self {
            signals: sys::signal_fd(&watched).map_err(refuse("cannot watch signals"))?,
            timer: supervise::timer().map_err(refuse("cannot make a timer"))?,
            null: OpenOptions::new().read(true).write(true).open("/dev/null").map_err(refuse("cannot open /dev/null"))?,
            silent: false,
        })
    }

    /// Leaves what standard input and output led to. After the secrets, which come by standard input.
    pub fn leave_terminal(&mut self) -> io::Result<()> {
        if !self.silent {
            for place in 0..=2 {
                sys::replace_stdio(self.null.as_fd(), place)?;
            }
            self.silent = true;
        }
        Ok(())
    }
}
