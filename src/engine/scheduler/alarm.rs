//! What wakes the scheduler: a moment of the wall clock, a clock that was set, a file of the configuration that changed. Nothing else:
//! between two dues an idle engine sleeps.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::io::unix::AsyncFd;

use crate::base::sys;

/// A file is written in several steps; the look comes when it is whole.
const SETTLE: Duration = Duration::from_millis(100);
/// How often is looked where the kernel does not tell.
const LOOK: Duration = Duration::from_secs(60);
/// With nothing due, the timer still has to notice a clock that is set.
const FAR: i64 = 7_258_118_400;

/// Why the wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    Time,
    ClockSet,
    Files,
}

/// A timer of the wall clock, and an eye on directories.
pub struct Alarm {
    timer: Option<AsyncFd<OwnedFd>>,
    files: Option<AsyncFd<OwnedFd>>,
    dirs: Vec<PathBuf>,
}

fn timer() -> io::Result<AsyncFd<OwnedFd>> {
    let fd = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
    sys::watch_readable(fd)
}

impl Alarm {
    /// Watches these directories, and the nearest one above those that are not there yet.
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        let timer = timer().inspect_err(|e| tracing::warn!("no timer of the wall clock ({e}): the time is looked at every minute")).ok();
        let mut alarm = Self { timer, files: None, dirs };
        alarm.look_at();
        alarm
    }

    /// Directories that were made since get their watch; for those that have one this changes nothing.
    pub fn look_at(&mut self) {
        if self.dirs.is_empty() {
            return;
        }
        let files = self.files.take().map_or_else(
            || inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(io::Error::from).and_then(sys::watch_readable),
            Ok,
        );
        let whole = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let watched = files.and_then(|w| {
            for dir in &self.dirs {
                let there = dir.is_dir();
                let above = if there { Some(dir.as_path()) } else { dir.ancestors().skip(1).find(|d| d.is_dir()) };
                let flags =
                    if there { whole } else { WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR | WatchFlags::MASK_ADD };
                if let Some(at) = above {
                    inotify::add_watch(&w, at, flags)?;
                }
            }
            Ok(w)
        });
        self.files =
            watched.inspect_err(|e| tracing::warn!("the kernel tells of no changes of files ({e}): they are looked at every minute")).ok();
    }

    /// Resolves at `at`, when the clock is set, or when a file changes; without `at` only for the latter two.
    pub async fn until(&self, at: Option<Timestamp>) -> Woken {
        tokio::select! {
            woken = self.moment(at) => woken,
            () = self.changed() => Woken::Files,
        }
    }

    async fn moment(&self, at: Option<Timestamp>) -> Woken {
        let Some(timer) = &self.timer else { return asleep(at).await };
        // Never zero, which would disarm it.
        let (s, ns) = at.map_or((FAR, 0), |t| (t.as_second().max(1), t.subsec_nanosecond().max(0)));
        let value = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: Timespec { tv_sec: s, tv_nsec: ns.into() } };
        match timerfd_settime(timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &value) {
            Ok(_) => {}
            // It was set since the last wait.
            Err(rustix::io::Errno::CANCELED) => return Woken::ClockSet,
            Err(_) => return asleep(at).await,
        }
        loop {
            let Ok(mut ready) = timer.readable().await else { return asleep(at).await };
            let mut count = [0_u8; 8];
            match rustix::io::read(timer, &mut count) {
                Ok(_) => return Woken::Time,
                Err(rustix::io::Errno::CANCELED) => return Woken::ClockSet,
                Err(_) => ready.clear_ready(),
            }
        }
    }

    async fn changed(&self) {
        if self.dirs.is_empty() {
            return std::future::pending().await;
        }
        let Some(files) = &self.files else { return tokio::time::sleep(LOOK).await };
        let Ok(mut ready) = files.readable().await else { return tokio::time::sleep(LOOK).await };
        tokio::time::sleep(SETTLE).await;
        let mut events = [0_u8; 4_096];
        while rustix::io::read(files, &mut events).is_ok_and(|n| n > 0) {}
        ready.clear_ready();
    }
}

/// Where there is no timer of the wall clock: a jump is noticed at the next look.
async fn asleep(at: Option<Timestamp>) -> Woken {
    let left = at.map(|t| Timestamp::now().duration_until(t)).and_then(|d| Duration::try_from(d).ok());
    tokio::time::sleep(if at.is_some() { left.unwrap_or_default().min(LOOK) } else { LOOK }).await;
    Woken::Time
}

/// The directories whose files say what is scheduled.
pub fn places(config: &Path, pipelines: &Path, calendars: &Path) -> Vec<PathBuf> {
    [config, pipelines, calendars].map(Path::to_path_buf).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[tokio::test]
    async fn it_rings_at_its_moment_at_once_for_what_is_past_and_for_a_file_that_changes() {
        let dir = tempfile::tempdir().unwrap();
        let later = dir.path().join("later");
        let mut alarm = Alarm::new(vec![dir.path().to_path_buf(), later.clone()]);
        let soon = Timestamp::now().checked_add(SignedDuration::from_millis(20)).unwrap();
        assert_eq!(alarm.until(Some(soon)).await, Woken::Time);
        assert!(Timestamp::now() >= soon);
        assert_eq!(alarm.until(Some(Timestamp::UNIX_EPOCH)).await, Woken::Time);
        std::fs::write(dir.path().join("a.yml"), "x").unwrap();
        assert_eq!(alarm.until(None).await, Woken::Files);
        // A directory that was not there is watched once it is.
        std::fs::create_dir(&later).unwrap();
        assert_eq!(alarm.until(None).await, Woken::Files);
        alarm.look_at();
        std::fs::write(later.join("b.toml"), "x").unwrap();
        assert_eq!(alarm.until(None).await, Woken::Files);
    }
}
