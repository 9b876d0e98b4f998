//! What is left when the leader has ended: every descendant is found and killed, or recorded where the step allows daemons.
//!
//! The shim is the subreaper, so whoever daemonises becomes its child once its parents are gone. Looking once is not enough: while one
//! is killed another forks. The loop ends when the kernel says that no child is left, or after five seconds.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use crate::base::clock::Clock;
use crate::base::sys::{self, Reaped};
use crate::base::{crash, proc};
use crate::domain::attempt::{ProcessId, Survivor};

use super::contain;
use super::ladder::AFTER_KILL_US;

/// At most so many survivors are written down; one line says how many more there were.
const MOST_RECORDED: usize = 40;

/// What the sweep works on.
pub struct Sweep<'a> {
    pub leader: i32,
    pub cgroup: Option<&'a Path>,
    pub token: &'a str,
    /// The step may leave processes behind.
    pub daemon_allowed: bool,
    /// Something was signalled before, or the step forked more than it should: look through the whole machine for the token as well.
    pub thorough: bool,
    pub signals: BorrowedFd<'a>,
    pub clock: &'a dyn Clock,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Swept {
    /// How the leader ended; none where it cannot be killed.
    pub leader: Option<Reaped>,
    pub left: Vec<Survivor>,
}

impl Sweep<'_> {
    /// Runs the sweep. The leader is still a zombie at the beginning, so that its number cannot have become somebody else's group.
    pub fn run(&self) -> Swept {
        if self.daemon_allowed {
            return Swept { leader: sys::reap(self.leader).ok().flatten(), left: record(self.descendants()) };
        }
        let deadline = self.clock.boot_us() + AFTER_KILL_US;
        let mut killed = self.thorough;
        let mut leader = None;
        // Nearly always there is nobody but the leader, and the kernel can say so without a list.
        if !self.thorough && self.cgroup.is_none_or(contain::is_empty) {
            signal_group(self.leader, Signal::KILL);
            leader = sys::reap(self.leader).ok().flatten();
            if leader.is_some() {
                crash::point("shim.sweeping");
                if no_child_left() {
                    return Swept { leader, left: Vec::new() };
                }
            }
        }
        loop {
            let others: Vec<i32> = proc::own_children().into_iter().filter(|p| *p != self.leader).collect();
            let crowded = self.cgroup.is_some_and(|c| !contain::is_empty(c) && contain::members(c).iter().any(|p| *p != self.leader));
            if leader.is_none() {
                // Also when nobody is seen: the list of children may lag behind, and the group is killed in one step of the kernel.
                signal_group(self.leader, Signal::KILL);
            }
            if let Some(cgroup) = self.cgroup.filter(|_| crowded) {
                contain::kill_all(cgroup);
            }
            killed |= crowded || !others.is_empty();
            for pid in others {
                // A child stays ours until it is reaped, so the number is safe.
                if let Some(pid) = Pid::from_raw(pid) {
                    let _ = kill_process(pid, Signal::KILL);
                }
                let _ = sys::reap(pid);
            }
            if leader.is_none() {
                leader = sys::reap(self.leader).ok().flatten();
                crash::point("shim.sweeping");
            }
            let strangers = if killed && leader.is_some() { self.by_token() } else { Vec::new() };
            strangers.iter().for_each(|p| kill_exactly(*p));
            if leader.is_some() && strangers.is_empty() && !crowded && no_child_left() {
                return Swept { leader, left: Vec::new() };
            }
            if self.clock.boot_us() > deadline {
                return Swept { leader, left: record(self.descendants().into_iter().chain(strangers)) };
            }
            self.wait_a_moment();
        }
    }

    /// Until a child ends, or 20 ms for those who are not our children.
    fn wait_a_moment(&self) {
        let mut fds = [PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 }));
        let _ = sys::read_signals(self.signals);
    }

    /// Everybody below this process, the leader's corpse aside.
    fn descendants(&self) -> Vec<ProcessId> {
        let all: Vec<_> = proc::all().into_iter().filter_map(proc::stat).collect();
        let mut found: Vec<i32> = vec![std::process::id() as i32];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            found.extend(all.iter().filter(|s| s.parent == parent).map(|s| s.pid));
            at += 1;
        }
        all.iter()
            .filter(|s| found[1..].contains(&s.pid) && !(s.state == 'Z' || s.state == 'X'))
            .map(|s| ProcessId { pid: s.pid, start_time: s.start_time })
            .collect()
    }

    /// Who carries the token but left the family, for instance through another subreaper that a step installed.
    fn by_token(&self) -> Vec<ProcessId> {
        proc::all()
            .into_iter()
            .filter(|p| *p > 1 && proc::has_variable(*p, "QD_TOKEN", self.token))
            .filter_map(proc::stat)
            .filter(|s| s.state != 'Z' && s.state != 'X')
            .map(|s| ProcessId { pid: s.pid, start_time: s.start_time })
            .collect()
    }
}

/// To the whole group of the leader; only while its number is held by a living leader or its unreaped corpse.
pub fn signal_group(leader: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(leader).filter(|_| leader > 1) {
        let _ = kill_process_group(group, signal);
    }
}

/// Through a pidfd whose process is compared after opening.
fn kill_exactly(process: ProcessId) {
    if let Some(pid) = Pid::from_raw(process.pid)
        && let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        && proc::stat(process.pid).is_some_and(|s| s.start_time == process.start_time)
    {
        let _ = rustix::process::pidfd_send_signal(&fd, Signal::KILL);
    }
}

/// The kernel's own word, without reaping anybody.
fn no_child_left() -> bool {
    matches!(waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT), Err(rustix::io::Errno::CHILD))
}

/// Whether the leader has ended; it stays a zombie.
pub fn has_ended(leader: i32) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match Pid::from_raw(leader) {
        Some(pid) => !matches!(waitid(WaitId::Pid(pid), options), Ok(None)),
        None => true,
    }
}

/// Reaps orphans that ended while the step goes on, so that a step that daemonises all the time does not fill the process table.
pub fn reap_orphans(leader: i32) {
    for pid in proc::own_children().into_iter().filter(|p| *p != leader) {
        let _ = sys::reap(pid);
    }
}

fn record(list: impl IntoIterator<Item = ProcessId>) -> Vec<Survivor> {
    let mut all: Vec<Survivor> = list.into_iter().map(|process| Survivor { process, command: proc::command(process.pid) }).collect();
    if all.len() > MOST_RECORDED {
        let more = all.len() - MOST_RECORDED + 1;
        all.truncate(MOST_RECORDED - 1);
        all.push(Survivor { process: ProcessId { pid: 0, start_time: 0 }, command: format!("and {more} more") });
    }
    all
}
