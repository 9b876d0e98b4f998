//! What a process does while nothing is to be done: wake-ups and bytes written, counted by the kernel. Counts, no times.

use std::time::{Duration, Instant};

/// Sums over every thread of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Times that a thread went to sleep or was put off: each wake-up ends in one. Falls when a thread ends.
    pub switches: i64,
    /// Calls that write, and bytes that they sent towards a disk.
    pub writes: i64,
    pub disk_bytes: i64,
}

impl Activity {
    /// None where the process is gone, or its files may not be read.
    pub fn of(pid: i32) -> Option<Self> {
        let mut all = Self::default();
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            // A thread that ends meanwhile takes its count along; that is seen in the next look.
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            all.switches += field(&status, "voluntary_ctxt_switches:") + field(&status, "nonvoluntary_ctxt_switches:");
        }
        let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        (all.writes, all.disk_bytes) = (field(&io, "syscw:"), field(&io, "write_bytes:"));
        Some(all)
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            switches: self.switches - before.switches,
            writes: self.writes - before.writes,
            disk_bytes: self.disk_bytes - before.disk_bytes,
        }
    }
}

fn field(text: &str, name: &str) -> i64 {
    text.lines().find_map(|l| l.strip_prefix(name)).and_then(|v| v.trim().parse().ok()).unwrap_or(0)
}

/// Looks at windows of this length one after the other until one of them is wholly quiet; the windows that were not, each with what
/// happened in it. `None`: there was no quiet one within `limit`.
pub fn quiet_window(pid: i32, window: Duration, limit: Duration) -> Option<Vec<Activity>> {
    let (start, mut busy) = (Instant::now(), Vec::new());
    while start.elapsed() < limit {
        let before = Activity::of(pid)?;
        std::thread::sleep(window);
        let seen = Activity::of(pid)?.since(before);
        if seen == Activity::default() {
            return Some(busy);
        }
        busy.push(seen);
    }
    None
}
