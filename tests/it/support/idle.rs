//! What a process does while nothing is to be done: wake-ups and bytes written, counted by the kernel. Counts, no times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Counts of a process since it began.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// By thread: times that it went to sleep or was put off. Each wake-up ends in one.
    switches: BTreeMap<String, u64>,
    writes: u64,
    disk_bytes: u64,
}

/// What happened between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Wake-ups of threads; the end of a thread is one.
    pub wakes: u64,
    /// Calls that write, and bytes that they sent towards a disk.
    pub writes: u64,
    pub disk_bytes: u64,
}

impl Counts {
    /// None where the process is gone, or its files may not be read.
    pub fn of(pid: i32) -> Option<Self> {
        let mut all = Self::default();
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let Ok(status) = std::fs::read_to_string(task.path().join("status")) else { continue };
            let switches = field(&status, "voluntary_ctxt_switches:") + field(&status, "nonvoluntary_ctxt_switches:");
            all.switches.insert(task.file_name().to_string_lossy().into_owned(), switches);
        }
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        (all.writes, all.disk_bytes) = (field(&io, "syscw:"), field(&io, "write_bytes:"));
        Some(all)
    }

    pub fn since(&self, before: &Self) -> Activity {
        let grown = self.switches.iter().map(|(thread, n)| n.saturating_sub(before.switches.get(thread).copied().unwrap_or(0)));
        let ended = before.switches.keys().filter(|t| !self.switches.contains_key(*t)).count() as u64;
        Activity { wakes: grown.sum::<u64>() + ended, writes: self.writes - before.writes, disk_bytes: self.disk_bytes - before.disk_bytes }
    }
}

fn field(text: &str, name: &str) -> u64 {
    text.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.trim().parse().ok()).unwrap_or(0)
}

/// Looks at windows of this length one after the other until one of them is wholly quiet; the windows that were not, each with what
/// happened in it. `None`: there was no quiet one within `limit`.
pub fn quiet_window(pid: i32, window: Duration, limit: Duration) -> Option<Vec<Activity>> {
    let (start, mut busy) = (Instant::now(), Vec::new());
    while start.elapsed() < limit {
        let before = Counts::of(pid)?;
        std::thread::sleep(window);
        let seen = Counts::of(pid)?.since(&before);
        if seen == Activity::default() {
            return Some(busy);
        }
        busy.push(seen);
    }
    None
}
