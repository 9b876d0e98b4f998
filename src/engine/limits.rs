//! What this process may have of the machine, looked at before anything starts: an engine that runs out of descriptors or threads in the middle
//! answers nobody and starts nothing, and a message at the start says what to do.

use std::sync::{Arc, Mutex};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that an engine needs: store, log, clients, and a few for each step that is started or taken over.
const FILES: u64 = 128;
/// What is asked for where the limit may be raised. Steps inherit it, and some programs cannot count beyond 1,024.
const FILES_WANTED: u64 = 1_024;
/// Threads that an engine has at work at once: store, log, and those that wait for disks.
const THREADS: usize = 8;
/// They only wait.
const STACK: usize = 64 << 10;

/// Raises what may be raised. Why there is not enough, where that is so.
pub fn enough() -> Result<(), String> {
    let files = getrlimit(Resource::Nofile);
    if let Some(wanted) = raised(files.current, files.maximum) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..files });
    }
    if let Some(n) = getrlimit(Resource::Nofile).current.filter(|n| *n < FILES) {
        return Err(format!(
            "this process may open {n} files at once, and an engine needs {FILES}: raise `ulimit -n`, or LimitNOFILE of its unit"
        ));
    }
    threads(THREADS).map_err(|e| {
        format!("this user may start no {THREADS} threads more ({e}): end some processes, or raise `ulimit -u`, or TasksMax of its unit")
    })
}

/// The limit to ask for, where the present one is too small and may grow. None stands for no limit.
fn raised(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    let wanted = maximum.map_or(FILES_WANTED, |m| m.min(FILES_WANTED));
    current.filter(|c| *c < FILES && wanted > *c).map(|_| wanted)
}

/// Whether so many threads can be there at once.
fn threads(many: usize) -> std::io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let mut all = Vec::new();
    let started = (0..many).try_for_each(|_| {
        let gate = gate.clone();
        let wait = move || drop(gate.lock());
        all.push(std::thread::Builder::new().stack_size(STACK).spawn(wait)?);
        Ok(())
    });
    drop(closed);
    for thread in all {
        let _ = thread.join();
    }
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_is_raised_as_far_as_it_may_be_and_a_large_one_is_left_alone() {
        for (current, maximum, wanted) in [
            (Some(40), Some(40), None),
            (Some(40), Some(100), Some(100)),
            (Some(40), Some(4_096), Some(1_024)),
            (Some(40), None, Some(1_024)),
            (Some(256), None, None),
            (None, None, None),
        ] {
            assert_eq!(raised(current, maximum), wanted, "{current:?} of {maximum:?}");
        }
    }

    #[test]
    fn threads_are_tried_and_let_go() {
        threads(3).unwrap();
    }
}
