//! Whether a living engine can still be found: its socket is made again where it was taken away; without its store it ends.
//!
//! The kernel tells of changes in the two directories (inotify); where it has no watch left, they are looked at every few seconds.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;

use super::socket;
use super::state::Engine;
use crate::base::sys;

/// `rm -r` of a whole directory takes a moment; a socket that is made again in the middle of it would keep the directory there.
const SETTLE: Duration = Duration::from_millis(200);
/// How often is looked where the kernel does not tell.
const LOOK: Duration = Duration::from_secs(5);

/// The socket as it was bound, and the eye on it.
pub struct Presence {
    path: PathBuf,
    bound: Option<(u64, u64)>,
    watch: Option<AsyncFd<OwnedFd>>,
    /// The last reason why it could not be made again; told once.
    told: String,
}

fn id(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

impl Presence {
    /// To be called right after the socket was bound.
    pub fn of(path: &Path, state: &Path) -> Self {
        let mut p = Self { path: path.to_owned(), bound: id(path), watch: None, told: String::new() };
        p.look_at(state);
        p
    }

    /// Directories that were made anew get a new watch; for those that have one this changes nothing.
    fn look_at(&mut self, state: &Path) {
        let watch = self.watch.take().map_or_else(
            || inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(io::Error::from).and_then(sys::watch_readable),
            Ok,
        );
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let watched = watch.and_then(|w| {
            for dir in [Some(state), self.path.parent()].into_iter().flatten() {
                inotify::add_watch(&w, dir, flags)?;
            }
            Ok(w)
        });
        self.watch = watched.ok();
    }

    /// Resolves when something happened around the socket or the store.
    pub async fn disturbed(&self) {
        let Some(watch) = &self.watch else { return tokio::time::sleep(LOOK).await };
        let ready = tokio::select! {
            ready = watch.readable() => ready,
            // What kept it from being made again, such as a full disk, may be over without a word.
            () = tokio::time::sleep(LOOK), if !self.told.is_empty() => return,
        };
        if let Ok(mut ready) = ready {
            tokio::time::sleep(SETTLE).await;
            let mut events = [0_u8; 4_096];
            while rustix::io::read(watch, &mut events).is_ok_and(|n| n > 0) {}
            ready.clear_ready();
        } else {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Looks, and mends what can be mended: a new listener where the socket had to be made again.
    pub async fn mend(&mut self, engine: &Engine) -> Option<UnixListener> {
        if !engine.store.is_in_place() {
            tracing::error!(state = %engine.store.dir().display(), "the state directory was removed or moved under the engine: it ends");
            engine.stop();
            return None;
        }
        self.look_at(engine.store.dir());
        if self.bound.is_some() && id(&self.path) == self.bound {
            self.told.clear();
            return None;
        }
        match socket::bind(&self.path, engine.private, engine.socket_gid, engine.watch.uid()).await {
            Ok(listener) => {
                tracing::warn!(socket = %self.path.display(), "the socket was taken away, and is made again");
                self.bound = id(&self.path);
                self.told.clear();
                Some(listener)
            }
            Err(e) => {
                let why = e.to_string();
                if why != self.told {
                    tracing::error!("the socket was taken away, and cannot be made again: {why}");
                    self.told = why;
                }
                None
            }
        }
    }

    /// At the end: what stands there and is not ours stays.
    pub fn remove(&self) {
        if self.bound.is_some() && id(&self.path) == self.bound {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;
    use crate::engine::testing;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_socket_that_cannot_be_made_again_now_is_tried_again_though_nothing_happens_there() {
        let dir = testing::directory();
        let engine = testing::engine(dir.path(), &Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH, "boot")));
        // Somebody's directory stands where it was.
        std::fs::create_dir_all(&engine.socket).unwrap();
        let mut presence = Presence::of(&engine.socket, dir.path());
        presence.bound = None;
        assert!(presence.mend(&engine).await.is_none() && !presence.told.is_empty());
        let limit = Duration::from_secs(60);
        assert!(tokio::time::timeout(limit, presence.disturbed()).await.is_ok());
    }
}
