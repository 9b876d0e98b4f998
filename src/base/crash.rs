//! Named crash points: `QD_CRASH_AT=name` kills this process there. Absent from plain release builds.
//!
//! A point is hit as `crash::point("shim.started")`. With `QD_CRASH_AT=shim.started:3` the third pass of a process dies. Shims inherit
//! the variable from their engine; with `QD_CRASH_ONCE=FILE` only the process that manages to create FILE dies, and FILE
//! then holds `POINT PID`, so that whoever planted the crash knows that it happened, and to whom. With `QD_CRASH_SIGNAL=STOP` the
//! process stands still there instead, so that something else can be killed at exactly that moment.

/// Variables that an engine hands on to its shims for fault injection: those above, and a preloaded recorder of fsync calls
/// with the file it writes. Empty in a plain release build, whose shims inherit nothing of the kind.
pub const INHERITED: &[&str] = if cfg!(any(debug_assertions, feature = "crash-points")) {
    &["QD_CRASH_AT", "QD_CRASH_ONCE", "QD_CRASH_SIGNAL", "LD_PRELOAD", "QD_SYNC_LEDGER"]
} else {
    &[]
};

/// What a shim hands on to a native step, so that a step of a run can be killed at a point of its own. Shell steps get none of it.
pub const OF_STEPS: &[&str] = if INHERITED.is_empty() { &[] } else { &["QD_CRASH_AT", "QD_CRASH_ONCE", "QD_CRASH_SIGNAL"] };

/// Dies by SIGKILL when `QD_CRASH_AT` names this point: no destructor, no flush, as a power cut would.
#[inline]
pub fn point(name: &str) {
    #[cfg(any(debug_assertions, feature = "crash-points"))]
    armed::check(name);
    #[cfg(not(any(debug_assertions, feature = "crash-points")))]
    let _ = name;
}

#[cfg(any(debug_assertions, feature = "crash-points"))]
mod armed {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Target {
        point: String,
        pass: u32,
        once: Option<PathBuf>,
    }

    static TARGET: OnceLock<Option<Target>> = OnceLock::new();
    static PASSES: AtomicU32 = AtomicU32::new(0);

    pub(super) fn check(name: &str) {
        let target = TARGET.get_or_init(|| {
            let (point, pass) = parse(&std::env::var("QD_CRASH_AT").ok()?);
            Some(Target { point, pass, once: std::env::var_os("QD_CRASH_ONCE").map(PathBuf::from) })
        });
        let Some(target) = target else { return };
        if target.point == name
            && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == target.pass
            && target.once.as_deref().is_none_or(|file| first(file, name))
        {
            let stop = std::env::var_os("QD_CRASH_SIGNAL").is_some_and(|s| s == "STOP");
            let signal = if stop { rustix::process::Signal::STOP } else { rustix::process::Signal::KILL };
            let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        }
    }

    /// True for the one process that creates `file`.
    pub(super) fn first(file: &Path, name: &str) -> bool {
        let Ok(mut f) = OpenOptions::new().write(true).create_new(true).open(file) else { return false };
        let _ = f.write_all(format!("{name} {}\n", std::process::id()).as_bytes());
        true
    }

    pub(super) fn parse(value: &str) -> (String, u32) {
        match value.rsplit_once(':') {
            Some((name, n)) if n.parse::<u32>().is_ok_and(|n| n > 0) => (name.to_owned(), n.parse().unwrap_or(1)),
            _ => (value.to_owned(), 1),
        }
    }
}

#[cfg(all(test, any(debug_assertions, feature = "crash-points")))]
mod tests {
    #[test]
    fn a_point_may_name_its_pass() {
        assert_eq!(super::armed::parse("shim.gate:3"), ("shim.gate".into(), 3));
        assert_eq!(super::armed::parse("shim.gate"), ("shim.gate".into(), 1));
    }

    #[test]
    fn one_process_alone_dies_where_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("once");
        assert!(super::armed::first(&file, "shim.gate"));
        assert!(!super::armed::first(&file, "shim.gate"));
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("shim.gate "));
    }
}
