//! The shim's loop while the step runs: output, deadlines, the wish to cancel, the end of the leader. One thread, one poll.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};

use crate::base::clock::Clock;
use crate::base::duration::Span;
use crate::base::mask::{Masker, Stream};
use crate::base::sys::HeldChild;
use crate::base::{crash, size, sys};
use crate::domain::attempt::{EndedBy, MAX_JOURNAL, MAX_REPORT, Spec};

use super::index::Stamp;
use super::ladder::{Act, Ladder};
use super::logfile::{LogFile, Totals};
use super::{contain, evidence, sweep};

/// After the leader's end, for output that is still on its way or held open by a process it left behind.
const DRAIN_US: u64 = 2_000_000;
/// A writer that pauses so long is shown what the masker holds back.
const PAUSE_US: u64 = 50_000;
/// For a wish to cancel whose signal did not come, and for the report file.
const GLANCE_US: u64 = 1_000_000;
const DEFAULT_TIMEOUT_MS: u64 = 24 * 3_600_000;
const CHUNK: usize = 64 << 10;
/// At most so many chunks before signals and deadlines are looked at again.
const CHUNKS_A_TURN: u32 = 16;

/// Output on its way to the log: masked, then written.
pub struct Output {
    pub log: LogFile,
    pub masker: Masker,
    stream: Stream,
    masked: Vec<u8>,
}

impl Output {
    pub fn new(log: LogFile, masker: Masker) -> Self {
        Self { log, masker, stream: Stream::default(), masked: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8], now: Stamp) {
        if self.masker.is_empty() {
            return self.log.write(bytes, now);
        }
        self.masked.clear();
        self.stream.push(&self.masker, bytes, &mut self.masked);
        self.log.write(&self.masked, now);
    }

    fn pause(&mut self, now: Stamp) {
        self.masked.clear();
        self.stream.pause(&mut self.masked);
        self.log.write(&self.masked, now);
    }

    pub fn finish(&mut self, now: Stamp) -> Totals {
        self.masked.clear();
        self.stream.finish(&mut self.masked);
        self.log.write(&self.masked, now);
        self.log.finish(now)
    }
}

/// What the loop works on.
pub struct Supervisor<'a> {
    pub spec: &'a Spec,
    pub dir: &'a Path,
    pub leader: i32,
    pub cgroup: Option<&'a Path>,
    /// Reading end, non-blocking; none once it is closed.
    pub pipe: Option<OwnedFd>,
    /// The leader, until its exec.
    pub child: HeldChild,
    pub signals: &'a OwnedFd,
    /// Of [`timer`].
    pub timer: &'a OwnedFd,
    pub clock: &'a dyn Clock,
    pub output: Output,
    /// For output on its way from the pipe; kept, so that its memory is touched only as far as there is output.
    pub buffer: Vec<u8>,
    /// When the gate opened, boot µs.
    pub started_us: u64,
}

/// How the loop ended.
pub struct End {
    /// Why the step was ended from here, where it was.
    pub why: Option<EndedBy>,
    pub detail: String,
    /// The command could not be started.
    pub setup: Option<String>,
    /// The leader could not be killed.
    pub unkillable: bool,
}

/// The moments that matter, boot µs.
struct Times {
    wall_at: u64,
    deadline_at: Option<u64>,
    stall_us: Option<u64>,
    active_us: u64,
    glance_at: u64,
    pause_at: Option<u64>,
    ended_at: Option<u64>,
    report_len: u64,
    report_cut: bool,
    journal_full: bool,
    terms: u32,
}

pub fn stamp(clock: &dyn Clock) -> Stamp {
    Stamp { boot_us: clock.boot_us(), wall_us: clock.now().as_microsecond() }
}

impl Supervisor<'_> {
    /// Runs until the leader has ended and its output is drained, or nothing more can be done.
    pub fn run(&mut self) -> io::Result<End> {
        let mut ladder = Ladder::new(self.spec.grace_ms.saturating_mul(1_000));
        let mut end = End { why: None, detail: String::new(), setup: None, unkillable: false };
        let same_boot = self.spec.boot_id.is_empty() || self.spec.boot_id == self.clock.boot_id();
        let mut t = Times {
            wall_at: self.started_us.saturating_add(self.spec.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS).saturating_mul(1_000)),
            deadline_at: self.spec.deadline_boot_us.filter(|_| same_boot),
            stall_us: self.spec.stall_ms.map(|ms| ms.saturating_mul(1_000)),
            active_us: self.started_us,
            glance_at: self.started_us,
            pause_at: None,
            ended_at: None,
            report_len: 0,
            report_cut: false,
            journal_full: false,
            terms: 0,
        };
        loop {
            self.read_output(&mut t, &mut ladder, &mut end);
            let now = self.clock.boot_us();
            if t.ended_at.is_none() && sweep::has_ended(self.leader) {
                t.ended_at = Some(now);
                crash::point("shim.exited");
            }
            match t.ended_at {
                Some(at) if self.pipe.is_none() || now >= at.saturating_add(DRAIN_US) => break,
                Some(_) => {}
                None => {
                    if self.look_at_wishes_and_limits(now, &mut t, &mut ladder, &mut end) {
                        end.unkillable = true;
                        break;
                    }
                }
            }
            if t.pause_at.is_some_and(|p| now >= p) {
                t.pause_at = None;
                self.output.pause(stamp(self.clock));
            }
            self.output.log.retry(stamp(self.clock));
            arm(self.timer, self.next_moment(&t, &ladder))?;
            self.sleep(&mut t, &mut end)?;
        }
        // Written before the child ended, and perhaps not looked at since.
        self.read_failure(&mut end);
        self.bound_report(std::fs::metadata(&self.spec.report).map_or(0, |m| m.len()), &mut t);
        // What came between the look and the end.
        evidence::cut(Path::new(&self.spec.journal), MAX_JOURNAL);
        end.why = ladder.why();
        Ok(end)
    }

    /// What is still in the pipe after the sweep, without waiting.
    pub fn drain_rest(&mut self) {
        // Bounded: a daemon that may stay could write for ever. The pipe itself holds less than this.
        for _ in 0..CHUNKS_A_TURN {
            if self.pipe.is_none() {
                return;
            }
            match self.read_chunk() {
                Ok(n) if n > 0 => self.output.push(&self.buffer, stamp(self.clock)),
                Err(rustix::io::Errno::INTR) => {}
                _ => self.pipe = None,
            }
        }
    }

    /// What the pipe holds, at most one chunk, into the buffer; 0 at its end, and where there is none any more.
    fn read_chunk(&mut self) -> rustix::io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        self.buffer.clear();
        self.buffer.reserve_exact(CHUNK);
        rustix::io::read(pipe, rustix::buffer::spare_capacity(&mut self.buffer))
    }

    fn read_output(&mut self, t: &mut Times, ladder: &mut Ladder, end: &mut End) {
        for _ in 0..CHUNKS_A_TURN {
            if self.pipe.is_none() {
                return;
            }
            match self.read_chunk() {
                Ok(0) => self.pipe = None,
                Ok(_) => {
                    let now = stamp(self.clock);
                    self.output.push(&self.buffer, now);
                    t.active_us = now.boot_us;
                    t.pause_at = self.output.stream.waits().then_some(now.boot_us + PAUSE_US);
                    if self.spec.log.kill_on_limit && self.output.log.over_limit() && ladder.why().is_none() && t.ended_at.is_none() {
                        end.detail = format!("the log grew over its limit of {}", crate::base::size::short(self.spec.log.max_bytes));
                        let act = ladder.demand(now.boot_us, EndedBy::LogLimit, false);
                        self.act(act);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    /// True: everything was tried, and the leader is still there.
    fn look_at_wishes_and_limits(&mut self, now: u64, t: &mut Times, ladder: &mut Ladder, end: &mut End) -> bool {
        if let Some(wish) = evidence::read_cancel(self.dir) {
            if ladder.why().is_none() {
                end.detail = match wish.why.is_empty() {
                    true => format!("cancelled by {}", wish.who),
                    false => format!("cancelled by {}: {}", wish.who, wish.why),
                };
            }
            let act = ladder.demand(now, EndedBy::Cancel, wish.force);
            self.act(act);
        }
        if t.terms > 0 {
            if ladder.why().is_none() {
                end.detail = "the supervisor was told to end (SIGTERM), as at shutdown".to_owned();
            }
            let act = ladder.demand(now, EndedBy::Cancel, t.terms > 1);
            self.act(act);
        }
        if now >= t.glance_at {
            t.glance_at = now + GLANCE_US;
            let len = std::fs::metadata(&self.spec.report).map_or(0, |m| m.len());
            if len != t.report_len {
                t.report_len = len;
                t.active_us = now;
            }
            self.bound_report(len, t);
            t.journal_full = std::fs::metadata(&self.spec.journal).is_ok_and(|m| m.len() > MAX_JOURNAL);
        }
        let mut limit = |hit: bool, why: EndedBy, detail: String| {
            if hit && ladder.why().is_none() {
                end.detail = detail;
                let act = ladder.demand(now, why, false);
                self.act(act);
            }
        };
        limit(t.journal_full, EndedBy::LogLimit, format!("its journal grew over the limit of {}", size::short(MAX_JOURNAL)));
        let timeout = Span::from_ms(self.spec.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS));
        limit(now >= t.wall_at, EndedBy::Timeout, format!("ran longer than its timeout of {timeout}"));
        limit(t.deadline_at.is_some_and(|d| now >= d), EndedBy::Timeout, late(&self.spec.deadline_is));
        if let (Some(stall), Some(ms)) = (t.stall_us, self.spec.stall_ms) {
            let silent = now >= t.active_us.saturating_add(stall);
            limit(silent, EndedBy::Stall, format!("no output and no progress for {}", Span::from_ms(ms)));
        }
        let act = ladder.tick(now);
        self.act(act);
        act == Some(Act::GiveUp)
    }

    /// Cuts a report that grew beyond its limit, and says so in the log once. A limit of the kernel (`RLIMIT_FSIZE`) would hit every file
    /// of the step, so it may grow beyond for as long as it takes until the next look: a second.
    fn bound_report(&mut self, len: u64, t: &mut Times) {
        if len <= MAX_REPORT || !evidence::cut(Path::new(&self.spec.report), MAX_REPORT) {
            return;
        }
        t.report_len = MAX_REPORT;
        if !t.report_cut {
            t.report_cut = true;
            let text =
                format!("\n[quarterdeck: the report of this step is limited to {}: what it adds is dropped]\n", size::short(MAX_REPORT));
            self.output.log.write(text.as_bytes(), stamp(self.clock));
        }
    }

    fn act(&self, act: Option<Act>) {
        match act {
            Some(Act::Term) => {
                crash::point("shim.term");
                sweep::signal_group(self.leader, Signal::TERM);
                sweep::signal_group(self.leader, Signal::CONT);
            }
            Some(Act::Kill) => {
                crash::point("shim.kill");
                sweep::signal_group(self.leader, Signal::KILL);
                if let Some(cgroup) = self.cgroup {
                    contain::kill_all(cgroup);
                }
            }
            Some(Act::GiveUp) | None => {}
        }
    }

    fn next_moment(&self, t: &Times, ladder: &Ladder) -> u64 {
        let drain = t.ended_at.map(|e| e.saturating_add(DRAIN_US));
        let always = [drain, t.pause_at, self.output.log.retry_at()];
        let running = t.ended_at.is_none();
        let limits = [Some(t.wall_at), t.deadline_at, t.stall_us.map(|s| t.active_us.saturating_add(s))];
        let limits = limits.into_iter().filter(|_| running && ladder.why().is_none());
        let rest = [Some(t.glance_at), ladder.next()].into_iter().filter(|_| running);
        always.into_iter().chain(limits).chain(rest).flatten().min().unwrap_or(u64::MAX)
    }

    fn read_failure(&mut self, end: &mut End) {
        if let Some(message) = self.child.read_failure() {
            end.setup = Some(explain(&message, self.spec));
        }
    }

    fn sleep(&mut self, t: &mut Times, end: &mut End) -> io::Result<()> {
        let watched = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds = vec![watched(self.timer.as_fd()), watched(self.signals.as_fd())];
        fds.extend(self.pipe.as_ref().map(|f| PollFd::new(f, PollFlags::IN)));
        fds.extend(self.child.failure().map(|f| PollFd::from_borrowed_fd(f, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let (rang, signalled) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if rang {
            let _ = rustix::io::read(self.timer, &mut [0u8; 8]);
        }
        // SIGHUP only wakes: the engine sends it when it has written a wish to cancel. Not inotify, whose end costs every step up to
        // 20 ms (the kernel waits for a grace period); without the signal the glance once a second finds the wish.
        let seen = if signalled { sys::read_signals(self.signals.as_fd())? } else { Vec::new() };
        t.terms += seen.iter().filter(|s| matches!(**s, libc::SIGTERM | libc::SIGINT)).count() as u32;
        // The leader's own end is seen by the loop, and what is left then is the sweep's.
        if seen.contains(&libc::SIGCHLD) && !sweep::has_ended(self.leader) {
            sweep::reap_orphans(self.leader);
        }
        self.read_failure(end);
        Ok(())
    }
}

/// A timer for [`Supervisor`], which may be used by one after the other.
pub fn timer() -> io::Result<OwnedFd> {
    Ok(timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?)
}

/// Absolute time on `CLOCK_BOOTTIME`, which also fires right after a suspend.
fn arm(timer: &OwnedFd, at_us: u64) -> io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Zero would disarm, and a moment that passed must still fire.
    let at = at_us.clamp(1, i64::MAX as u64 / 1_000);
    let it_value = Timespec { tv_sec: (at / 1_000_000) as i64, tv_nsec: ((at % 1_000_000) * 1_000) as _ };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval: zero, it_value })?;
    Ok(())
}

fn explain(message: &[u8], spec: &Spec) -> String {
    let errno = i32::from_ne_bytes(std::array::from_fn(|i| message[1 + i]));
    let why = io::Error::from_raw_os_error(errno);
    match message[0] {
        sys::held_stage::WORKSPACE => format!("cannot enter the workspace {}: {why}", spec.workspace),
        sys::held_stage::EXEC => match &spec.command {
            crate::domain::attempt::Command::Shell { interpreter, .. } => {
                format!("cannot run the interpreter `{}`: {why}", interpreter.first().map_or("/bin/sh", String::as_str))
            }
            crate::domain::attempt::Command::Native { kind, .. } => format!("cannot run quarterdeck for the step `{kind}`: {why}"),
        },
        _ => format!("cannot prepare the process: {why}"),
    }
}

/// What the verdict says of a deadline; the engine of an earlier version did not say which one it was.
fn late(which: &str) -> String {
    if which.is_empty() { "the time of its stage or run was up".to_owned() } else { which.to_owned() }
}
