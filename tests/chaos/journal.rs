//! The steps' own truth: what a step program writes and fsyncs about itself, and how the harness reads it back.
//!
//! A step of a chaos pipeline is this test program, called as `chaos step key=value…`. It knows nothing of engine and store. One file for each
//! attempt in `$CHAOS_JOURNAL`, one JSON line an event, fsynced before the step goes on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    Start,
    /// Still there; not fsynced, it only narrows the interval of a step that was killed.
    Tick,
    /// Somebody else holds a lock that this step was promised.
    Overlap,
    /// Written right before the exit with `code`.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub event: Event,
    pub boot_us: u64,
    #[serde(default)]
    pub code: i32,
}

/// What an attempt says about itself in its first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub attempt: String,
    pub pipeline: String,
    pub number: u64,
    pub stage: String,
    pub step: String,
    pub cell: String,
    pub token: String,
    /// Of a run that a stage started: that run, stage and cell; empty for all others.
    #[serde(default)]
    pub origin: String,
    /// `NAME:ex`, `NAME:sh` or `NAME:n2` (one of two slots); empty without a lock.
    pub lock: String,
    /// Lines that it means to write to its output.
    pub lines: u32,
    /// True where the pipeline lets a failed or lost attempt be followed by another.
    pub again: bool,
    pub pid: u32,
}

#[derive(Debug, Clone)]
pub struct Journal {
    pub head: Head,
    pub lines: Vec<Line>,
}

impl Journal {
    pub fn starts(&self) -> usize {
        self.lines.iter().filter(|l| l.event == Event::Start).count()
    }

    /// The code that it was about to exit with; none where it never came so far.
    pub fn end(&self) -> Option<i32> {
        self.lines.iter().find(|l| l.event == Event::End).map(|l| l.code)
    }

    /// First and last sign of life, microseconds of boot time.
    pub fn interval(&self) -> (u64, u64) {
        (self.lines.first().map_or(0, |l| l.boot_us), self.lines.last().map_or(0, |l| l.boot_us))
    }
}

/// What line `n` of an attempt's output is; the log must be a prefix of all of them.
pub fn output_line(attempt: &str, n: u32) -> String {
    format!("{attempt} says {n}\n")
}

pub fn boot_us() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    t.tv_sec as u64 * 1_000_000 + t.tv_nsec as u64 / 1_000
}

/// Reads every journal below `dir`. A torn last line is a step that was killed while it wrote.
pub fn read_all(dir: &Path) -> BTreeMap<String, Journal> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "jsonl")
            && let Some(journal) = read(&path)
        {
            all.insert(journal.head.attempt.clone(), journal);
        }
    }
    all
}

pub fn read(path: &Path) -> Option<Journal> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut head = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Ok(h) = serde_json::from_str::<Head>(line) {
            // A second start of the same attempt appends a second head: kept as a second start.
            head.get_or_insert(h);
        } else if let Ok(l) = serde_json::from_str::<Line>(line) {
            lines.push(l);
        }
    }
    Some(Journal { head: head?, lines })
}

/// Path of the journal of `attempt`.
pub fn path(dir: &Path, attempt: &str) -> PathBuf {
    dir.join(format!("{attempt}.jsonl"))
}

/// The step program. Never returns.
pub fn step(args: &[String]) -> ! {
    let arg = |name: &str| args.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('=')).unwrap_or("").to_owned();
    let number = |name: &str, default: u64| arg(name).parse().unwrap_or(default);
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let dir = PathBuf::from(var("CHAOS_JOURNAL"));
    let attempt = var("QD_ATTEMPT_ID");
    let lines = number("lines", 6) as u32;
    let head = Head {
        attempt: attempt.clone(),
        pipeline: var("QD_PIPELINE"),
        number: var("QD_RUN_NUMBER").parse().unwrap_or(0),
        stage: var("QD_STAGE"),
        step: var("QD_STEP"),
        cell: arg("cell"),
        token: var("token"),
        origin: var("origin"),
        lock: arg("lock"),
        lines,
        again: arg("again") == "1",
        pid: std::process::id(),
    };
    let file = path(&dir, &attempt);
    let mut journal = OpenOptions::new().append(true).create(true).open(&file).expect("journal");
    let mut say = |line: &Line, sync: bool| {
        journal.write_all(format!("{}\n", serde_json::to_string(line).expect("json")).as_bytes()).expect("journal write");
        if sync {
            journal.sync_all().expect("journal fsync");
        }
    };
    let now = |event, code| Line { event, boot_us: boot_us(), code };
    {
        let mut first = OpenOptions::new().append(true).create(true).open(&file).expect("journal");
        let text =
            format!("{}\n{}\n", serde_json::to_string(&head).expect("json"), serde_json::to_string(&now(Event::Start, 0)).expect("json"));
        first.write_all(text.as_bytes()).expect("journal write");
        first.sync_all().expect("journal fsync");
        File::open(&dir).and_then(|d| d.sync_all()).expect("journal directory");
    }
    let held = (!head.lock.is_empty()).then(|| hold(&dir, &head.lock));
    if held.as_ref().is_some_and(|(_, free)| !free) {
        say(&now(Event::Overlap, 0), true);
    }
    if arg("daemon") == "1" {
        // A double fork out of the session: nothing but the containment finds it.
        let _ = std::process::Command::new("sh").args(["-c", "setsid sh -c 'sleep 600 & sleep 600' >/dev/null 2>&1 </dev/null &"]).status();
    }
    if !arg("child").is_empty() {
        // Holds the output open after the leader's end.
        let _ = std::process::Command::new("sleep").arg(arg("child")).spawn();
    }
    let pause = Duration::from_millis(number("ms", 40)) / (lines + 1);
    for n in 0..lines {
        std::thread::sleep(pause);
        let _ = std::io::stdout().write_all(output_line(&attempt, n).as_bytes()).and_then(|()| std::io::stdout().flush());
        say(&now(Event::Tick, 0), false);
    }
    std::thread::sleep(pause);
    let mut code = number("exit", 0) as i32;
    let once = dir.join(format!("once.{}.{}.{}.{}", head.pipeline, head.number, head.stage.replace('/', "_"), head.cell));
    if arg("fail_first") == "1" && OpenOptions::new().write(true).create_new(true).open(once).is_ok() {
        code = 75;
    }
    say(&now(Event::End, code), true);
    std::process::exit(code)
}

/// Takes a kernel lock that dies with this process; false where another step has it in a way that excludes us.
fn hold(dir: &Path, lock: &str) -> (File, bool) {
    let (name, mode) = lock.split_once(':').unwrap_or((lock, "ex"));
    let open = |name: &str| {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(format!("lock.{name}"))).expect("lock file")
    };
    if let Some(slots) = mode.strip_prefix('n').and_then(|n| n.parse::<u32>().ok()) {
        let mut places = (0..slots).map(|i| open(&format!("{name}.{i}")));
        let taken = places.find(|f| rustix::fs::flock(f.as_fd(), rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok());
        return taken.map_or_else(|| (open(name), false), |f| (f, true));
    }
    let file = open(name);
    let how =
        if mode == "sh" { rustix::fs::FlockOperation::NonBlockingLockShared } else { rustix::fs::FlockOperation::NonBlockingLockExclusive };
    let free = rustix::fs::flock(file.as_fd(), how).is_ok();
    (file, free)
}
