//! The same work on many items, in a few threads, answers in the order of the items.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many as the machine has processors, at most eight: disks do not get faster by more.
pub fn usual() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().clamp(1, 8))
}

/// Calls `work` for every item. Once `stop` says so, the rest is left out; their answers are absent.
pub fn each<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    stop: impl Fn(&R) -> bool + Sync,
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<(usize, R)> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, 64).min(items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else { break };
                    let answer = work(i, item);
                    if stop(&answer) {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    if let Ok(mut done) = done.lock() {
                        done.push((i, answer));
                    }
                }
            });
        }
    });
    let mut out = done.into_inner().unwrap_or_default();
    out.sort_by_key(|(i, _)| *i);
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn answers_keep_their_order_and_work_can_stop() {
        let items: Vec<usize> = (0..500).collect();
        let all = super::each(&items, 4, |_| false, |i, n| i + n);
        assert!(all.len() == 500 && all.iter().all(|(i, sum)| *sum == 2 * i));
        assert!(super::each(&items, 1, |n| *n == 10, |_, n| *n).len() == 11);
        assert!(super::each(&[] as &[u8], 4, |()| false, |_, _| ()).is_empty());
    }
}
