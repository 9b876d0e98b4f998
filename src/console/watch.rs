//! What makes a running console read its looks and keys again: their directories, watched by the kernel. Nothing is polled, nobody wakes.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use super::keyfile::Report;
use super::keymap::Keymap;
use crate::base::sys;
use crate::theme::Look;

/// An editor writes a file in several steps: one look at it is enough for all of them.
const GATHER: Duration = Duration::from_millis(50);

/// Looks and keys as their files say now.
pub struct Files {
    /// Or what is wrong with the file of the theme, on one line.
    pub look: Result<Look, String>,
    pub keys: Keymap,
    pub reports: Vec<Report>,
}

/// How they are read again.
pub type Read<'a> = Box<dyn Fn() -> Files + 'a>;

/// Directories, and what is done when a file in one of them has changed.
pub struct Reload<'a> {
    queue: Option<AsyncFd<OwnedFd>>,
    dirs: Vec<PathBuf>,
    pub read: Read<'a>,
}

impl<'a> Reload<'a> {
    /// Needs a tokio runtime. Directories that are not there yet are watched once something else has changed beside them: the first is the
    /// one that holds the others.
    pub fn of(dirs: &[PathBuf], read: Read<'a>) -> Self {
        let queue = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok();
        let reload = Self { queue: queue.and_then(|fd| sys::watch_readable(fd).ok()), dirs: dirs.to_vec(), read };
        reload.watch();
        reload
    }

    fn watch(&self) {
        let Some(queue) = &self.queue else { return };
        let what =
            inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE | inotify::WatchFlags::CREATE;
        for dir in &self.dirs {
            // One that is not there, or that the kernel does not watch, is not watched.
            let _ = inotify::add_watch(queue.get_ref(), dir.as_path(), what | inotify::WatchFlags::ONLYDIR);
        }
    }

    /// Returns when something in the directories has changed; never where none is watched. May be dropped at any time and asked again.
    pub async fn changed(&self) {
        let Some(queue) = &self.queue else { return std::future::pending().await };
        let Ok(mut ready) = queue.readable().await else { return std::future::pending().await };
        tokio::time::sleep(GATHER).await;
        let mut scratch = [0u8; 4096];
        while matches!(rustix::io::read(ready.get_inner(), &mut scratch), Ok(n) if n > 0) {}
        ready.clear_ready();
        self.watch();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::theme::{Glyphs, Theme};

    fn reload(dir: &Path) -> Reload<'static> {
        let look = || Ok(Look { theme: Theme::plain(), glyphs: Glyphs::ASCII });
        let read = move || Files { look: look(), keys: Keymap::default(), reports: Vec::new() };
        Reload::of(&[dir.to_path_buf(), dir.join("keymaps")], Box::new(read))
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
        // A directory that was not there at first.
        std::fs::create_dir(dir.path().join("keymaps")).unwrap();
        tokio::time::timeout(bounded, watched.changed()).await.unwrap();
        std::fs::write(dir.path().join("keymaps/a.toml"), "x").unwrap();
        tokio::time::timeout(bounded, watched.changed()).await.unwrap();
        assert_eq!((watched.read)().look.unwrap().theme.name, "mono");
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
