//! From how the leader ended to the verdict in `status.json`, in words for people.

use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::mask::Masker;
use crate::domain::attempt::{EndedBy, FORMAT, Spec, Status};

use super::evidence::StatusFile;
use super::logfile::Totals;
use super::supervise::End;
use super::sweep::Swept;

/// Attempts to write the verdict, a second apart, before the shim gives up and the attempt is lost.
const TRIES: u32 = 600;

/// The verdict of a command that never ran.
pub fn not_run(spec: &Spec, ended_by: EndedBy, detail: String, totals: Totals, clock: &dyn Clock) -> Status {
    let now = clock.boot_us();
    Status {
        format: FORMAT,
        fence: spec.fence,
        code: None,
        signal: None,
        core: false,
        oom: false,
        ended_by,
        detail,
        boot_us_started: now,
        boot_us_ended: now,
        wall_us_ended: clock.now().as_microsecond(),
        user_cpu_us: 0,
        system_cpu_us: 0,
        max_rss_kib: 0,
        log_bytes: totals.kept,
        log_dropped_bytes: totals.dropped,
        log_sha256: totals.sha256,
        left_running: Vec::new(),
    }
}

/// What is known at the end of a command that was let through the gate.
pub struct Facts {
    pub started_us: u64,
    pub end: End,
    pub swept: Swept,
    pub oom: bool,
    pub totals: Totals,
}

/// The verdict of a command that ran, or that exec refused.
pub fn of(spec: &Spec, facts: Facts, masker: &Masker, clock: &dyn Clock) -> Status {
    let Facts { started_us, end, swept, oom, totals } = facts;
    let r = swept.leader.unwrap_or_default();
    let mut s = not_run(spec, EndedBy::Itself, String::new(), totals, clock);
    s.boot_us_started = started_us;
    (s.user_cpu_us, s.system_cpu_us, s.max_rss_kib) = (r.user_us, r.system_us, r.max_rss_kib);
    s.left_running = swept.left;
    if let Some(why) = end.setup {
        (s.ended_by, s.detail) = (EndedBy::Setup, why);
        return s;
    }
    (s.code, s.signal, s.core, s.oom) = (r.code, r.signal, r.core, oom);
    s.ended_by = end.why.unwrap_or_default();
    s.detail = match (end.why, r.signal) {
        _ if swept.leader.is_none() => format!("{}; it cannot be killed (D state): look at its device or mount", or_ended(&end.detail)),
        (Some(_), _) => end.detail,
        (None, Some(signal)) if oom => format!("ended by {}: the kernel was out of memory", signal_name(signal)),
        (None, Some(libc::SIGKILL)) => "ended by SIGKILL, sent by somebody else; `dmesg` tells whether memory ran out".to_owned(),
        (None, Some(signal)) => format!("ended by {}", signal_name(signal)),
        (None, None) if r.code == Some(0) => String::new(),
        (None, None) => format!("exit code {}", r.code.unwrap_or(-1)),
    };
    // Commands of survivors may hold what the step was given.
    for survivor in &mut s.left_running {
        survivor.command = masker.text(&survivor.command);
    }
    s
}

fn or_ended(detail: &str) -> &str {
    if detail.is_empty() { "told to end" } else { detail }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL (invalid instruction)",
        libc::SIGABRT => "SIGABRT (it gave up by itself)",
        libc::SIGBUS => "SIGBUS (a mapped file was truncated, or memory is bad)",
        libc::SIGFPE => "SIGFPE (arithmetic error)",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV (invalid memory access)",
        libc::SIGPIPE => "SIGPIPE (its reader went away)",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU (CPU time limit)",
        libc::SIGXFSZ => "SIGXFSZ (file size limit)",
        libc::SIGSYS => "SIGSYS (forbidden system call)",
        n => return format!("signal {n}"),
    };
    name.to_owned()
}

/// Writes the verdict, with patience: the disk may have room again in a minute, and a verdict that is lost is worse than a late one.
pub fn write(file: &StatusFile, status: &Status) -> std::io::Result<()> {
    let mut last = Ok(());
    for _ in 0..TRIES {
        last = file.write(status);
        // Removed by somebody together with the run: no patience brings it back.
        if last.is_ok() || !file.has_place() {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    last
}
