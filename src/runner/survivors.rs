//! Ends what a killed shim left behind, and nothing else: processes are signalled only when they are proved to be the attempt's own.
//!
//! Proof is one of: they are in the attempt's own cgroup; they are in the session of a leader whose start time matches; their environment
//! holds the attempt's token. Somebody who cleared his environment *and* left session and cgroup is not found.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::base::proc;
use crate::domain::attempt::{ProcessId, Survivor};

use super::attempt::{AttemptError, read_spec, read_started};
use super::recovery::Found;
use super::shim::{contain, secrets};

/// After this a process that does not die is reported as it is (D state).
const LIMIT: Duration = Duration::from_secs(5);

/// What [`stop_survivors`] did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stopped {
    /// Processes that were signalled, outside the cgroup.
    pub killed: u32,
    /// Still there after five seconds.
    pub left: Vec<Survivor>,
}

/// Kills all processes of an attempt whose shim is dead, and removes its secrets and its cgroup. Blocks up to 5 s: call it on a blocking
/// thread. Does nothing to processes of another boot. Idempotent.
pub fn stop_survivors(dir: &Path) -> Result<Stopped, AttemptError> {
    let mut stopped = Stopped::default();
    let token = match read_spec(dir)? {
        Found::Whole(spec) => spec.token,
        Found::Absent | Found::Damaged(_) => String::new(),
    };
    let started = read_started(dir)?;
    let cgroup = started.whole().and_then(|s| s.cgroup.as_ref()).map(PathBuf::from).filter(|c| contain::is_ours(c));
    let leader = started.whole().map(|s| s.child);
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(cgroup) = &cgroup {
            contain::kill_all(cgroup);
        }
        let mut left = find(leader, &token);
        if let Some(cgroup) = &cgroup {
            for pid in contain::members(cgroup) {
                if let Some(s) = proc::stat(pid).filter(|s| s.state != 'Z')
                    && !left.iter().any(|p| p.pid == pid)
                {
                    left.push(ProcessId { pid, start_time: s.start_time });
                }
            }
        }
        if left.is_empty() {
            break;
        }
        for process in &left {
            stopped.killed += u32::from(kill(*process));
        }
        if begun.elapsed() > LIMIT {
            stopped.left = left.iter().map(|p| Survivor { process: *p, command: proc::command(p.pid) }).collect();
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    if let Some(cgroup) = &cgroup {
        contain::remove_soon(cgroup);
    }
    remove_traces(dir);
    Ok(stopped)
}

/// Removes the memory-backed directory of secrets of an attempt, wherever its shim put it, and the cgroup of one that died before its
/// evidence could name it. Only for attempts whose shim is dead.
pub(super) fn remove_traces(dir: &Path) {
    if let Ok(Found::Whole(spec)) = read_spec(dir) {
        // Shims start in the engine's own cgroup. One with members stays: `rmdir` refuses.
        if let Ok(Some(parent)) = proc::own_cgroup2() {
            contain::remove_soon(&parent.join(contain::cgroup_name(&spec.attempt, spec.fence)));
        }
        for place in secrets::places(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), rustix::process::getuid().as_raw()) {
            secrets::remove(&place.join(secrets::directory_name(&spec.token)));
        }
    }
}

/// Living processes that are proved to belong to the attempt.
fn find(leader: Option<ProcessId>, token: &str) -> Vec<ProcessId> {
    let own = std::process::id() as i32;
    // The number of a session is only proof while its leader is there with the right start time.
    let session = leader.filter(|l| l.pid > 1 && proc::stat(l.pid).is_some_and(|s| s.start_time == l.start_time)).map(|l| l.pid);
    proc::all()
        .into_iter()
        .filter(|pid| *pid > 1 && *pid != own)
        .filter_map(proc::stat)
        .filter(|s| s.state != 'Z' && s.state != 'X')
        .filter(|s| session == Some(s.session) || (!token.is_empty() && proc::has_variable(s.pid, "QD_TOKEN", token)))
        .map(|s| ProcessId { pid: s.pid, start_time: s.start_time })
        .collect()
}

/// SIGKILL through a pidfd whose process is compared after opening; by number on kernels without pidfd, right after the comparison.
fn kill(process: ProcessId) -> bool {
    let Some(pid) = Pid::from_raw(process.pid) else { return false };
    let same = || proc::stat(process.pid).is_some_and(|s| s.start_time == process.start_time);
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => same() && pidfd_send_signal(&fd, Signal::KILL).is_ok(),
        Err(e) if io::Error::from(e).kind() == io::ErrorKind::Unsupported => {
            same() && rustix::process::kill_process(pid, Signal::KILL).is_ok()
        }
        Err(_) => false,
    }
}
