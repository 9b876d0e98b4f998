//! Checks of the machine and the session: terminal, state directory, file system, clock, zone rules, log-out, containment.

use super::{Row, State};
use crate::base::size;
use crate::domain::attempt::Containment;

/// What standard output and the environment say.
#[derive(Debug, Clone, Default)]
pub struct TerminalFacts {
    pub is_terminal: bool,
    /// `$TERM`; empty where unset.
    pub term: String,
    /// Columns and rows.
    pub size: Option<(u16, u16)>,
    pub utf8: bool,
    pub true_colour: bool,
}

/// The least that screens are drawn for.
const COLUMNS: u16 = 80;
const ROWS: u16 = 24;

pub fn terminal(f: &TerminalFacts) -> Row {
    let row = |state, found: String, help: &str| Row::new("terminal", state, found, help);
    if !f.is_terminal {
        return row(State::Unknown, "standard output is no terminal".into(), "run `quarterdeck doctor` where you will use the console");
    }
    if f.term.is_empty() || f.term == "dumb" {
        let found = if f.term.is_empty() { "TERM is not set".to_owned() } else { "TERM is dumb".to_owned() };
        return row(State::Warn, found, "export TERM=xterm-256color, or what your terminal is; commands work, the console does not");
    }
    let colours = match (f.true_colour, f.term.contains("256color") || f.term.contains("direct")) {
        (true, _) => "16 million colours",
        (false, true) => "256 colours",
        (false, false) => "16 colours",
    };
    let size = f.size.map_or_else(|| "size unknown".to_owned(), |(c, r)| format!("{c}x{r}"));
    let found = format!("{}, {size}, {colours}", f.term);
    if f.size.is_some_and(|(c, r)| c < COLUMNS || r < ROWS) {
        return row(State::Warn, found, "make the window at least 80x24: what does not fit is cut off");
    }
    if !f.utf8 {
        return row(State::Warn, format!("{found}, the locale is not UTF-8"), "export LANG=C.UTF-8; without it signs are drawn in ASCII");
    }
    row(State::Ok, found, "")
}

/// The state directory, as stat says.
#[derive(Debug, Clone, Default)]
pub struct DirFacts {
    pub path: String,
    /// None = it is not there.
    pub mode: Option<u32>,
    pub uid: u32,
    pub is_dir: bool,
    /// It, or where it is absent the nearest directory above it, may be written by us.
    pub writable: bool,
    /// Why it could not be looked at; empty = it could.
    pub trouble: String,
}

pub fn state_directory(f: &DirFacts, me: u32) -> Row {
    let fail = |found: String, help: String| Row::new("state-directory", State::Fail, found, help);
    let path = &f.path;
    if !f.trouble.is_empty() {
        return fail(
            format!("{path} cannot be looked at: {}", f.trouble),
            "check the directories above it, or use another --state-dir".into(),
        );
    }
    let Some(mode) = f.mode else {
        return match f.writable {
            true => Row::ok("state-directory", format!("{path} is not there yet; the first engine makes it")),
            false => fail(format!("{path} is not there, and cannot be made"), format!("make it: install -d -m 700 {path}")),
        };
    };
    if !f.is_dir {
        return fail(format!("{path} is no directory"), "name another with --state-dir".into());
    }
    if f.uid != me {
        let help = "use your own --state-dir, or ask its owner's engine through [engine] socket";
        return fail(format!("{path} belongs to uid {}, and you are uid {me}", f.uid), help.into());
    }
    if mode & 0o077 != 0 {
        return fail(format!("{path} has mode {:04o}: others can reach it", mode & 0o7777), format!("chmod 700 {path}"));
    }
    if !f.writable {
        return fail(format!("{path} cannot be written"), "is its file system mounted read-only?".into());
    }
    Row::ok("state-directory", format!("{path}, mode {:04o}", mode & 0o7777))
}

/// The store, as it looks from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreFacts {
    /// There is none: the first engine makes it.
    Absent,
    Whole {
        bytes: u64,
    },
    /// An engine found it damaged and moved it aside: the report beside it, and what was wrong.
    Aside {
        report: String,
        why: String,
    },
    Damaged {
        why: String,
    },
    /// No engine of this version takes it; the words say what to do.
    Refused {
        why: String,
    },
    /// It was not read through.
    Unread {
        why: String,
    },
}

/// No row where there is none.
pub fn store(path: &str, f: &StoreFacts) -> Option<Row> {
    let row = |state, found: String, help: String| Some(Row::new("store", state, found, help));
    match f {
        StoreFacts::Absent => None,
        StoreFacts::Whole { bytes } => Some(Row::ok("store", format!("{path}, {}, read through and whole", size::short(*bytes)))),
        StoreFacts::Aside { report, why } => {
            let help = format!("put a good copy (see backups/) back as {path}, or delete {report} to start with an empty history");
            row(State::Fail, format!("{path} was damaged ({why}) and moved aside: no engine starts"), help)
        }
        StoreFacts::Damaged { why } => row(
            State::Fail,
            format!("{path} is damaged: {why}"),
            "put a good copy (see backups/) in its place; an engine that starts moves it aside, whole, and says how to go on".into(),
        ),
        StoreFacts::Refused { why } => row(State::Fail, why.clone(), "no engine of this version starts here until then".into()),
        StoreFacts::Unread { why } => row(
            State::Unknown,
            format!("{path} was not read through: {why}"),
            "ask again as the user who owns it, while no engine runs".into(),
        ),
    }
}

/// The file system below the state directory.
#[derive(Debug, Clone, Default)]
pub struct FsFacts {
    /// The name of a network file system; none = a local one.
    pub remote: Option<String>,
    /// `QUARTERDECK_NETWORK_STATE=1`.
    pub allowed: bool,
    pub read_only: bool,
    pub free_bytes: u64,
    /// `u64::MAX` = not counted.
    pub free_inodes: u64,
    /// Below these nothing new starts.
    pub floor_bytes: u64,
    pub floor_inodes: u64,
}

const NO_FS: &str = "the file system cannot be asked";

pub fn file_system(f: Option<&FsFacts>) -> Row {
    let row = |state, found: String, help: &str| Row::new("file-system", state, found, help);
    let Some(f) = f else { return row(State::Unknown, NO_FS.into(), "see state-directory") };
    if f.read_only {
        return row(State::Fail, "mounted read-only".into(), "mount it read-write, or use another --state-dir");
    }
    match (&f.remote, f.allowed) {
        (None, _) => row(State::Ok, "local".into(), ""),
        (Some(name), false) => row(
            State::Fail,
            format!("{name}: locks and shared memory of a network file system cannot be trusted, so no engine starts here"),
            "put the state on a local disk: --state-dir /var/tmp/quarterdeck-$USER",
        ),
        (Some(name), true) => row(
            State::Warn,
            format!("{name}, allowed by QUARTERDECK_NETWORK_STATE=1: slow, and a second host may damage it"),
            "put the state on a local disk when you can",
        ),
    }
}

/// Space that is left is near its floor below this many times of it.
const NEAR: u64 = 4;

fn left(check: &str, free: u64, floor: u64, shown: impl Fn(u64) -> String) -> Row {
    let found = format!("{} free; nothing new starts below {}", shown(free), shown(floor));
    let help = "free some: older runs go by `keep`, `du -xm STATE/runs | sort -n | tail` finds large ones";
    match free {
        n if n < floor => Row::new(check, State::Fail, found, help),
        n if n < floor.saturating_mul(NEAR) => Row::new(check, State::Warn, found, help),
        _ => Row::ok(check, found),
    }
}

pub fn disk_space(f: Option<&FsFacts>) -> Row {
    match f {
        None => Row::new("disk-space", State::Unknown, NO_FS, "see state-directory"),
        Some(f) => left("disk-space", f.free_bytes, f.floor_bytes, size::short),
    }
}

/// Inodes of the state directory's file system against the floor that the store keeps; unknown where it could not be looked at.
pub fn inodes(f: Option<&FsFacts>) -> Row {
    match f {
        None => Row::new("inodes", State::Unknown, NO_FS, "see state-directory"),
        Some(f) if f.free_inodes == u64::MAX => Row::ok("inodes", "this file system does not run out of them"),
        Some(f) => left("inodes", f.free_inodes, f.floor_inodes, |n| n.to_string()),
    }
}

/// What the kernel says of its clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClockFacts {
    pub synchronised: bool,
    /// How far off it may be, by the daemon that steers it.
    pub error_us: u64,
}

/// An error that moves no schedule.
const CLOCK_ERROR_US: u64 = 1_000_000;

pub fn clock(f: Option<ClockFacts>) -> Row {
    let help = "start chronyd (dnf install chrony; systemctl enable --now chronyd), and look at `chronyc tracking`";
    match f {
        None => Row::new(
            "clock",
            State::Unknown,
            "the kernel does not say whether its clock is synchronised",
            "look: timedatectl, or chronyc tracking",
        ),
        Some(f) if !f.synchronised => Row::new("clock", State::Warn, "nothing keeps this machine's clock right", help),
        Some(f) if f.error_us > CLOCK_ERROR_US => {
            Row::new("clock", State::Warn, format!("synchronised, but perhaps wrong by {} s", f.error_us / 1_000_000), help)
        }
        Some(f) => Row::ok("clock", format!("synchronised, within {} ms", f.error_us / 1_000)),
    }
}

/// Our clock beside that of far ends: seconds that we are ahead of each. The median counts: one server may be wrong itself.
pub fn skew(ahead_s: &[i64]) -> Row {
    let mut all = ahead_s.to_vec();
    all.sort_unstable();
    let Some(median) = all.get(all.len() / 2).copied() else {
        return Row::new("clock-skew", State::Unknown, "no far end told its time", "see their own rows; chronyc tracking tells more");
    };
    let word = if median < 0 { "behind" } else { "ahead of" };
    let found = format!("{} s {word} {} far ends", median.unsigned_abs(), all.len());
    match median.unsigned_abs() {
        // Their times are whole seconds, and the answer took a while.
        0..=5 => Row::ok("clock-skew", found),
        6..=60 => Row::new("clock-skew", State::Warn, found, "schedules fire by this clock: synchronise it"),
        _ => Row::new("clock-skew", State::Fail, found, "certificates and schedules go by this clock: set it, then keep it synchronised"),
    }
}

/// The site's time zone, and whose rules are used for it.
#[derive(Debug, Clone, Default)]
pub struct ZoneFacts {
    pub name: String,
    /// The system has a file for it.
    pub in_system: bool,
    /// It is known at all.
    pub known: bool,
    /// Of the system's rules, such as `2025b`.
    pub version: Option<String>,
}

pub fn time_zone(f: &ZoneFacts) -> Row {
    let name = &f.name;
    match (f.known, f.in_system || name == "UTC") {
        (false, _) => {
            Row::new("time-zone", State::Fail, format!("no time zone `{name}`"), "correct `time_zone` in site.toml, such as Europe/Berlin")
        }
        (true, true) => {
            let version = f.version.as_ref().map(|v| format!(", rules {v}")).unwrap_or_default();
            Row::ok("time-zone", format!("{name}{version}"))
        }
        (true, false) => Row::new(
            "time-zone",
            State::Warn,
            format!("{name} by the rules that were built in: changes since then are not known"),
            "install the package tzdata",
        ),
    }
}

/// What happens at log-out.
#[derive(Debug, Clone, Default)]
pub struct LingerFacts {
    /// One user's own engine.
    pub private: bool,
    pub uid: u32,
    pub user: String,
    /// systemd is the machine's init.
    pub systemd: bool,
    pub lingers: bool,
}

pub fn linger(f: &LingerFacts) -> Row {
    match f {
        _ if !f.private => Row::ok("linger", "a shared engine belongs to no session"),
        _ if !f.systemd => Row::new(
            "linger",
            State::Unknown,
            "no systemd: what a log-out ends is not known",
            "log out and look: quarterdeck engine status",
        ),
        _ if f.lingers => Row::ok("linger", format!("{} may have processes after log-out", f.user)),
        // logind leaves root's processes alone (KillExcludeUsers).
        _ if f.uid == 0 => Row::ok("linger", "log-out does not end root's processes"),
        _ => Row::new(
            "linger",
            State::Warn,
            format!("where logind has KillUserProcesses=yes, log-out ends the engine of {} and its steps", f.user),
            format!("loginctl enable-linger {}", f.user),
        ),
    }
}

/// What holds a step's processes together, or would.
#[derive(Debug, Clone, Copy)]
pub struct Containing {
    pub rung: Containment,
    /// A running engine says so of its own steps; else it is what an engine would get that is started from here.
    pub by_engine: bool,
    /// The kernel has `cgroup.kill` (5.14).
    pub cgroup_kill: bool,
}

pub fn containment(f: &Containing) -> Row {
    let who = if f.by_engine { "the engine's steps" } else { "steps of an engine that is started from here" };
    let warn = |why: &str, help: &str| {
        let found = format!("{who}: session and subreaper only, so a fork storm may outrun the sweep ({why})");
        Row::new("containment", State::Warn, found, help)
    };
    match f.rung {
        Containment::SystemdScope => Row::ok("containment", format!("{who}: a systemd scope holds each, no process escapes")),
        Containment::Cgroup => Row::ok("containment", format!("{who}: a cgroup of its own holds each, no process escapes")),
        Containment::Subreaper if !f.cgroup_kill => warn("kernel older than 5.14", "a newer kernel gives each step a cgroup"),
        Containment::Subreaper => warn(
            "it may not write its own cgroup",
            "run the engine as a unit with Delegate=yes (dist/), or by: systemd-run --user --scope -p Delegate=yes quarterdeck engine run",
        ),
    }
}
