//! Ends what a killed shim left behind, and nothing else: processes are signalled only when they are proved to be the attempt's own.
//!
//! Proof is one of: they are in the attempt's own cgroup; they are in the session of a leader whose start time matches; their environment
//! holds the attempt's token. Somebody who cleared his environment *and* left session and cgroup is not found.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::recovery::Found;
use super::{AttemptError, is_alive, read_spec, read_started};
use crate::base::proc;
use crate::domain::attempt::{ProcessId, Survivor};
use crate::runner::shim::{contain, secrets};
use crate::store::Known;

/// After this a process that does not die is reported as it is (D state).
const LIMIT: Duration = Duration::from_secs(5);

/// What [`stop_survivors`] did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stopped {
    /// Processes that were signalled.
    pub killed: u32,
    /// Still there after five seconds.
    pub left: Vec<Survivor>,
}

/// How long a supervisor whose step was killed from outside has to write that down before it is killed too.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// As [`stop_survivors`], for an attempt whose shim lives and answers no cancel, or whose directory is gone: by what the store knows of it.
/// The shim has two seconds to write the end down, and is killed then. Blocks up to 8 s.
pub fn stop_all(dir: &Path, known: Option<&Known>) -> Stopped {
    let started = read_started(dir).ok().and_then(|s| s.whole().cloned());
    let cgroup = started.as_ref().and_then(|s| s.cgroup.as_ref()).map(PathBuf::from);
    // Shims start in the engine's own cgroup.
    let named = || Some(proc::own_cgroup2().ok()??.join(contain::cgroup_name(&known?.id, known?.fence)));
    let cgroup = cgroup.or_else(named).filter(|c| contain::is_ours(c));
    let token = known.map_or("", |k| k.token.as_str());
    let mut stopped = end_all(cgroup.as_deref(), started.as_ref().map(|s| s.child), token);
    let Some(shim) = started.map(|s| s.shim) else { return stopped };
    let state = || proc::stat(shim.pid).filter(|s| s.start_time == shim.start_time && s.state != 'Z').map(|s| s.state);
    // A supervisor that has ended this attempt may have taken the next one: it is this attempt's only while it holds its lock.
    let ours = || is_alive(dir).unwrap_or(false);
    let begun = Instant::now();
    let until = |limit: Duration, done: &dyn Fn() -> bool| {
        while !done() && begun.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until(LAST_WORDS, &|| !ours());
    if !ours() {
        return stopped;
    }
    // Held still, so that what is looked at is what is killed.
    signal(shim, Signal::STOP);
    until(LAST_WORDS + Duration::from_millis(500), &|| state().is_none_or(|s| matches!(s, 'T' | 't' | 'D')));
    if !ours() {
        signal(shim, Signal::CONT);
        return stopped;
    }
    stopped.killed += u32::from(signal(shim, Signal::KILL));
    until(LAST_WORDS + Duration::from_millis(1_500), &|| state().is_none());
    if state().is_some() {
        stopped.left.push(Survivor { process: shim, command: proc::command(shim.pid) });
    }
    stopped
}

/// Whether a process of an attempt whose directory is gone lives: its supervisor, or what that has started.
pub fn lives(dir: &Path, known: &Known) -> bool {
    let cgroup = proc::own_cgroup2().ok().flatten().map(|own| own.join(contain::cgroup_name(&known.id, known.fence)));
    cgroup.is_some_and(|c| !contain::members(&c).is_empty())
        || !find(None, &known.token).is_empty()
        || proc::all().into_iter().any(|pid| proc::is_called(pid, "shim", dir))
}

/// Kills all processes of an attempt whose shim is dead, and removes its secrets and its cgroup. Blocks up to 5 s: call it on a blocking
/// thread. Does nothing to processes of another boot. Idempotent.
pub fn stop_survivors(dir: &Path) -> Result<Stopped, AttemptError> {
    let token = match read_spec(dir)? {
        Found::Whole(spec) => spec.token,
        Found::Absent | Found::Damaged(_) => String::new(),
    };
    let started = read_started(dir)?;
    let cgroup = started.whole().and_then(|s| s.cgroup.as_ref()).map(PathBuf::from).filter(|c| contain::is_ours(c));
    let stopped = end_all(cgroup.as_deref(), started.whole().map(|s| s.child), &token);
    if let Some(cgroup) = &cgroup {
        contain::remove_soon(cgroup);
    }
    remove_traces(dir);
    Ok(stopped)
}

/// Kills until nothing is left or the time for it is over.
fn end_all(cgroup: Option<&Path>, leader: Option<ProcessId>, token: &str) -> Stopped {
    let mut stopped = Stopped::default();
    let mut seen: Vec<ProcessId> = Vec::new();
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        let mut left = find(leader, token);
        if let Some(cgroup) = cgroup {
            for pid in contain::members(cgroup) {
                if let Some(s) = proc::stat(pid).filter(|s| s.state != 'Z')
                    && !left.iter().any(|p| p.pid == pid)
                {
                    left.push(ProcessId { pid, start_time: s.start_time });
                }
            }
        }
        if let Some(cgroup) = cgroup {
            contain::kill_all(cgroup);
        }
        if left.is_empty() {
            break;
        }
        for process in &left {
            // One that dies slowly is hit again, and counted once.
            if kill(*process) && !seen.contains(process) {
                seen.push(*process);
                stopped.killed += 1;
            }
        }
        if begun.elapsed() > LIMIT {
            stopped.left = left.iter().map(|p| Survivor { process: *p, command: proc::command(p.pid) }).collect();
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    stopped
}

/// Removes the memory-backed directory of secrets of an attempt, wherever its shim put it, and the cgroup of one that died before its
/// evidence could name it. Only for attempts whose shim is dead.
pub(in crate::runner) fn remove_traces(dir: &Path) {
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

/// A signal through a pidfd whose process is compared after opening; by number on kernels without pidfd, right after the comparison.
fn kill(process: ProcessId) -> bool {
    signal(process, Signal::KILL)
}

fn signal(process: ProcessId, signal: Signal) -> bool {
    let Some(pid) = Pid::from_raw(process.pid) else { return false };
    let same = || proc::stat(process.pid).is_some_and(|s| s.start_time == process.start_time);
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => same() && pidfd_send_signal(&fd, signal).is_ok(),
        Err(e) if io::Error::from(e).kind() == io::ErrorKind::Unsupported => same() && rustix::process::kill_process(pid, signal).is_ok(),
        Err(_) => false,
    }
}
