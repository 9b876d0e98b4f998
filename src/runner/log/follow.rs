//! Following a live log: wakes when there is more to read, or when the attempt has its verdict. No polling while nothing happens.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use crate::base::sys;
use crate::domain::attempt::file;

/// Where inotify is not to be had (its limits are per user), and for a shim that was killed.
const FALLBACK: Duration = Duration::from_secs(1);
/// A step that writes without end wakes its followers so often.
const GATHER: Duration = Duration::from_millis(25);

/// Watches one attempt directory.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    queue: Option<AsyncFd<OwnedFd>>,
}

impl Follower {
    /// Begins to watch: make it before reading the log, so that nothing written in between is missed. Needs a tokio runtime.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), queue: watch(dir).ok() }
    }

    /// Whether the log is complete: the verdict is written. A log of a lost attempt never says so; its owner knows.
    pub fn ended(&self) -> bool {
        self.dir.join(file::STATUS).exists()
    }

    /// Resolves when something in the directory changed, at the latest after a second. Spurious wake-ups are possible.
    pub async fn changed(&mut self) {
        let Some(queue) = &mut self.queue else { return tokio::time::sleep(FALLBACK).await };
        if let Ok(Ok(mut ready)) = tokio::time::timeout(FALLBACK, queue.readable()).await {
            // Together, not one by one: a page is as cheap as a line.
            tokio::time::sleep(GATHER).await;
            let mut scratch = [0u8; 4096];
            while matches!(rustix::io::read(ready.get_inner(), &mut scratch), Ok(n) if n > 0) {}
            ready.clear_ready();
        }
    }
}

impl Drop for Follower {
    /// Closing an inotify descriptor waits for the kernel's grace period, 5 to 20 ms: nobody's answer waits with it.
    fn drop(&mut self) {
        let Some(queue) = self.queue.take().map(AsyncFd::into_inner) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(queue));
        }
    }
}

fn watch(dir: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&fd, dir, inotify::WatchFlags::MODIFY | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE)?;
    sys::watch_readable(fd)
}
