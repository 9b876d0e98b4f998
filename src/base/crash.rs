//! Named crash points: `QD_CRASH_AT=name` kills this process there. Absent from plain release builds.
//!
//! A point is hit as `crash::point("shim.started")`. With `QD_CRASH_AT=shim.started:3` the third pass dies.

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
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static TARGET: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSES: AtomicU32 = AtomicU32::new(0);

    pub(super) fn check(name: &str) {
        let target = TARGET.get_or_init(|| std::env::var("QD_CRASH_AT").ok().map(|v| parse(&v)));
        let Some((wanted, nth)) = target else { return };
        if wanted == name && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *nth {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }

    pub(super) fn parse(value: &str) -> (String, u32) {
        match value.rsplit_once(':') {
            Some((name, n)) if n.parse::<u32>().is_ok_and(|n| n > 0) => (name.to_owned(), n.parse().unwrap_or(1)),
            _ => (value.to_owned(), 1),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_point_may_name_its_pass() {
        assert_eq!(super::armed::parse("shim.gate:3"), ("shim.gate".into(), 3));
        assert_eq!(super::armed::parse("shim.gate"), ("shim.gate".into(), 1));
    }
}
