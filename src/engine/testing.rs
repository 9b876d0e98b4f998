//! An engine for the tests of its parts: a site of its own in a directory, a clock that is turned by hand, and no step that ever starts.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::content::SiteContent;
use super::identity::Machine;
use super::logging::SecretFilter;
use super::secrets::FilteredSecrets;
use super::site_watch::SiteWatch;
use super::state::{Engine, Parts};
use crate::base::clock::{Clock, ManualClock};
use crate::config::Dirs;
use crate::runner::{NoChildren, NoPermit, Runner, RunnerConfig};
use crate::store::{OpenOptionsStore, Store};

/// A state directory that nobody else can write, with an empty configuration in it.
pub fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    for d in ["config/pipelines", "config/calendars"] {
        std::fs::create_dir_all(dir.path().join(d)).unwrap();
    }
    dir
}

/// What it queues stays queued until it is cancelled.
pub fn engine(dir: &Path, clock: &Arc<ManualClock>) -> Arc<Engine> {
    let uid = rustix::process::getuid().as_raw();
    let dirs = Dirs { config: dir.join("config"), state: dir.into(), explicit: true };
    let clock: Arc<dyn Clock> = clock.clone();
    let filter = SecretFilter::default();
    let content = Arc::new(SiteContent::new(Box::new(|| None), clock.clone()));
    let secrets = Arc::new(FilteredSecrets::new(dirs.clone(), uid, filter.clone()).unwrap());
    let options = OpenOptionsStore { dir: dir.into(), network_state: false, now_us: clock.now().as_microsecond(), boot_id: "boot".into() };
    let store = Store::open(&options).unwrap();
    let config = RunnerConfig {
        children: Arc::new(NoChildren),
        permit: Arc::new(NoPermit),
        state_dir: dir.into(),
        exe: "/bin/false".into(),
        executors: 1,
        lock_slots: BTreeMap::new(),
        env: BTreeMap::new(),
        clock: clock.clone(),
        secrets: secrets.clone(),
        content: content.clone(),
        min_free_bytes: 0,
        // No disk has so many: nothing that is queued begins.
        min_free_inodes: u64::MAX,
        slow_from: RunnerConfig::SLOW_FROM,
        network_state: false,
    };
    let runner = Runner::start(config, store.clone());
    Arc::new(Engine::new(Parts {
        watch: SiteWatch::open(dirs, uid).unwrap(),
        store,
        runner,
        content,
        filter,
        secrets,
        clock,
        people: Arc::new(Machine::default()),
        socket: dir.join("engine.sock"),
        private: true,
        socket_gid: None,
        configured: (1, BTreeMap::new()),
    }))
}
