//! What makes a running console read its looks again: the directory of the themes, watched by the kernel. Nothing is polled, nobody wakes.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use crate::base::sys;
use crate::theme::Look;

/// An editor writes a file in several steps: one look at it is enough for all of them.
const GATHER: Duration = Duration::from_millis(50);

/// How looks are read again: the look, or what is wrong with its file, on one line.
pub type Read<'a> = Box<dyn Fn() -> Result<Look, String> + 'a>;

/// A directory, and what is done when a file in it has changed.
pub struct Reload<'a> {
    queue: Option<AsyncFd<OwnedFd>>,
    pub read: Read<'a>,
}

impl<'a> Reload<'a> {
    /// Needs a tokio runtime. A directory that is not there, or that the kernel does not watch, is not watched.
    pub fn of(dir: &Path, read: Read<'a>) -> Self {
        let watch = || {
            let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            let what = inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE;
            inotify::add_watch(&fd, dir, what)?;
            sys::watch_readable(fd)
        };
        Self { queue: watch().ok(), read }
    }

    /// Returns when something in the directory has changed; never where it is not watched. May be dropped at any time and asked again.
    pub async fn changed(&self) {
        let Some(queue) = &self.queue else { return std::future::pending().await };
        let Ok(mut ready) = queue.readable().await else { return std::future::pending().await };
        tokio::time::sleep(GATHER).await;
        let mut scratch = [0u8; 4096];
        while matches!(rustix::io::read(ready.get_inner(), &mut scratch), Ok(n) if n > 0) {}
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{Glyphs, Theme};

    fn reload(dir: &Path) -> Reload<'static> {
        Reload::of(dir, Box::new(|| Ok(Look { theme: Theme::plain(), glyphs: Glyphs::ASCII })))
    }

    #[tokio::test]
    async fn a_file_that_was_written_and_one_that_was_moved_in_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let watched = reload(dir.path());
        let bounded = Duration::from_secs(60);
        std::fs::write(dir.path().join("mine.toml"), "x").unwrap();
        tokio::time::timeout(bounded, watched.changed()).await.unwrap();
        std::fs::rename(dir.path().join("mine.toml"), dir.path().join("yours.toml")).unwrap();
        tokio::time::timeout(bounded, watched.changed()).await.unwrap();
        assert_eq!((watched.read)().unwrap().theme.name, "mono");
    }

    #[tokio::test]
    async fn no_directory_is_never_told() {
        let dir = tempfile::tempdir().unwrap();
        let absent = reload(&dir.path().join("absent"));
        tokio::select! {
            biased;
            () = absent.changed() => panic!("nothing is there to change"),
            () = std::future::ready(()) => {}
        }
    }
}
