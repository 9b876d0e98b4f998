//! Probes of the machine and the session of this process. They find out; `domain::doctor` judges.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::{sys, zone};
use crate::domain::doctor::{self, ClockFacts, Containing, DirFacts, FsFacts, LingerFacts, Row, StoreFacts, ZoneFacts};
use crate::runner::RunnerConfig;
use crate::runner::shim::contain;
use crate::store::{FsKind, classify};

/// The directory, or the nearest one above it that is there.
fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|p| p.exists()).map(Path::to_owned)
}

pub fn state_directory(path: &Path) -> DirFacts {
    let writable =
        nearest(path).is_some_and(|p| rustix::fs::access(&p, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok());
    let shown = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(m) => DirFacts { path: shown, mode: Some(m.mode()), uid: m.uid(), is_dir: m.is_dir(), writable, trouble: String::new() },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => DirFacts { path: shown, writable, ..DirFacts::default() },
        Err(e) => DirFacts { path: shown, trouble: e.to_string(), ..DirFacts::default() },
    }
}

/// The store, which no engine has. A large one on a slow disk is not read to its end.
pub fn store(state: &Path, uid: u32) -> Option<Row> {
    let dir = state.to_owned();
    let facts = within(STORE_LIMIT, move || crate::store::look(&dir, uid));
    let facts = facts.unwrap_or_else(|| StoreFacts::Unread { why: format!("it took more than {} s", STORE_LIMIT.as_secs()) });
    doctor::store(&state.join("state.db").display().to_string(), &facts)
}

const STORE_LIMIT: Duration = Duration::from_secs(5);

pub fn file_system(path: &Path) -> Option<FsFacts> {
    let path = path.to_owned();
    within(Duration::from_secs(2), move || ask_file_system(&path)).flatten()
}

/// A network mount that hangs would hang us too, so a question gets a thread and a time; none = it took longer.
fn within<T: Send + 'static>(limit: Duration, ask: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || drop(tell.send(ask())));
    told.recv_timeout(limit).ok()
}

fn ask_file_system(path: &Path) -> Option<FsFacts> {
    let place = nearest(path)?;
    let kind = rustix::fs::statfs(&place).ok()?;
    let space = rustix::fs::statvfs(&place).ok()?;
    Some(FsFacts {
        remote: match classify(kind.f_type as u64) {
            FsKind::Local => None,
            FsKind::Remote(name) => Some(name.to_owned()),
        },
        allowed: std::env::var("QUARTERDECK_NETWORK_STATE").is_ok_and(|v| v == "1"),
        read_only: space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        free_inodes: if space.f_files == 0 { u64::MAX } else { space.f_favail },
        floor_bytes: RunnerConfig::MIN_FREE_BYTES,
        floor_inodes: RunnerConfig::MIN_FREE_INODES,
    })
}

pub fn clock() -> Option<ClockFacts> {
    sys::clock_is_synchronised().ok().map(|(synchronised, error_us)| ClockFacts { synchronised, error_us })
}

pub fn time_zone(name: &str) -> ZoneFacts {
    let base = Path::new("/usr/share/zoneinfo");
    let version = std::fs::read_to_string(base.join("tzdata.zi")).ok().and_then(|t| {
        // "# version 2025b"
        t.lines().next()?.strip_prefix("# version ").map(|v| v.trim().chars().take(20).collect())
    });
    ZoneFacts { name: name.to_owned(), in_system: base.join(name).is_file(), known: zone::named(name).is_some(), version }
}

pub fn linger(uid: u32, private: bool) -> LingerFacts {
    let user = std::fs::read_to_string("/etc/passwd").ok().and_then(|t| {
        let of_uid = |l: &&str| l.split(':').nth(2) == Some(&uid.to_string());
        t.lines().find(of_uid).and_then(|l| l.split(':').next()).map(str::to_owned)
    });
    let user = user.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| uid.to_string());
    LingerFacts {
        private,
        uid,
        systemd: Path::new("/run/systemd/system").is_dir(),
        lingers: Path::new("/var/lib/systemd/linger").join(&user).exists(),
        user,
    }
}

/// What steps get whose supervisors this process starts. `engine`: it is the engine, and whether it starts them in scopes of systemd; none
/// where that is not known yet.
pub fn containment(engine: Option<Option<bool>>) -> Containing {
    let probes = contain::probe_cgroup(rustix::system::uname().release().to_str().unwrap_or(""));
    let probes = contain::Probes { scope_works: probes.scope_works || engine == Some(Some(true)), ..probes };
    Containing { rung: contain::choose(&probes), by_engine: engine.is_some(), cgroup_kill: probes.cgroup_kill }
}
