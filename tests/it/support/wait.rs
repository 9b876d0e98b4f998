//! Waiting for what another process does: always with a limit that no healthy machine reaches, never as a measurement.

use std::time::{Duration, Instant};

/// Generous on purpose: it turns a hang into a failure, it measures nothing.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Returns once `condition` holds; panics with `what` after [`LIMIT`].
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    until_some(what, || condition().then_some(()));
}

/// Returns the first `Some`; panics with `what` after [`LIMIT`].
pub fn until_some<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
