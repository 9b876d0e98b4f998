//! The engine from its start to its end: store and runner, log, socket, signals. What fails on the way says so, and nothing is left behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::builds::Builder;
use super::content::SiteContent;
use super::identity::People;
use super::logging::{self, SecretFilter};
use super::secrets::FilteredSecrets;
use super::server;
use super::site_watch::SiteWatch;
use super::socket::{self, SocketError};
use super::state::{Engine, Parts};
use super::{feed, freshness, notice, promotion, scheduler, triggers, upkeep};
use crate::base::clock::{Clock, SystemClock};
use crate::config::{ConfigError, Dirs, Site};
use crate::runner::{Runner, RunnerConfig, RunnerError};
use crate::store::{OpenOptionsStore, Store, StoreError};

/// How an engine is started.
pub struct Options {
    pub dirs: Dirs,
    pub uid: u32,
    pub log_level: String,
    /// Started by a client: leave its session, and close its streams once ready.
    pub detached: bool,
    /// Who is who: `Machine`, but for tests of the rules about people.
    pub people: Arc<dyn People>,
    /// The program that steps run under.
    pub exe: PathBuf,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Runner(#[from] RunnerError),
    #[error(transparent)]
    Log(#[from] logging::NoLog),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("cannot start: {0}")]
    System(String),
    /// The machine gives this process too little.
    #[error("{0}")]
    Limits(String),
}

impl StartError {
    /// Another engine has the store.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Runner(RunnerError::Store(StoreError::Held { .. })))
    }
}

/// Steps inherit nothing else from the engine.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR"];
/// Runs the engine until it is stopped. `ready` is called once clients are served.
pub fn run(options: &Options, ready: impl FnOnce(&Engine)) -> Result<(), StartError> {
    crate::base::sys::return_freed_memory(2);
    if options.detached {
        // A new session has no terminal: neither its hang-up nor its signals reach us.
        let _ = rustix::process::setsid();
    }
    keep_memory_private();
    super::limits::enough().map_err(StartError::Limits)?;
    let watch = SiteWatch::open(options.dirs.clone(), options.uid)?;
    // One thread: the engine's work is waiting, and what blocks or computes goes to others. Waking a task of the same thread costs nothing.
    let runtime = tokio::runtime::Builder::new_current_thread().thread_name("engine").enable_all().build();
    let runtime = runtime.map_err(|e| StartError::System(e.to_string()))?;
    let result = runtime.block_on(live(options, watch, ready));
    // A secret command or a directory service that hangs must not hold the end up.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// Values of secrets are in this process for moments: no core dump, and no debugger of the same user but root's. The limit is one byte,
/// for the kernel ignores 0 where `core_pattern` names a program; steps have the same.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// What is there before the engine itself.
struct Made {
    config: RunnerConfig,
    store: Store,
    content: Arc<SiteContent>,
    filter: SecretFilter,
    secrets: Arc<FilteredSecrets>,
    children: Arc<Builder>,
    permit: Arc<promotion::permit::Checks>,
}

fn make(options: &Options, site: &Site, clock: Arc<dyn Clock>) -> Result<Made, StartError> {
    let filter = SecretFilter::default();
    let content = {
        let again = SiteWatch::open(options.dirs.clone(), options.uid)?;
        Arc::new(SiteContent::new(Box::new(move || again.current().ok()), clock.clone()))
    };
    let secrets = Arc::new(FilteredSecrets::new(options.dirs.clone(), options.uid, filter.clone())?);
    let children = Arc::new(Builder::default());
    let permit = Arc::new(promotion::permit::Checks::default());
    let config = RunnerConfig {
        state_dir: options.dirs.state.clone(),
        exe: options.exe.clone(),
        executors: site.executors as usize,
        lock_slots: site.locks.clone(),
        env: INHERITED.iter().filter_map(|n| std::env::var(n).ok().map(|v| ((*n).to_owned(), v))).collect(),
        clock,
        secrets: secrets.clone(),
        content: content.clone(),
        children: children.clone(),
        permit: permit.clone(),
        min_free_bytes: RunnerConfig::MIN_FREE_BYTES,
        min_free_inodes: RunnerConfig::MIN_FREE_INODES,
        slow_from: RunnerConfig::SLOW_FROM,
        network_state: std::env::var("QUARTERDECK_NETWORK_STATE").is_ok_and(|v| v == "1"),
    };
    close_to_others(&options.dirs.state, options.uid);
    let store = Store::open(&OpenOptionsStore {
        dir: config.state_dir.clone(),
        network_state: config.network_state,
        now_us: config.clock.now().as_microsecond(),
        boot_id: config.clock.boot_id(),
    })
    .map_err(RunnerError::Store)?;
    if store.was_unclean() {
        tracing::warn!("the engine before this one did not end in order: its store was checked, and is whole");
    }
    content.keep_in(store.clone());
    Ok(Made { config, store, content, filter, secrets, children, permit })
}

impl Made {
    /// The engine, and its runner at work. `shared`: the group that may open its socket, where it is not one user's own.
    fn engine(self, options: &Options, watch: SiteWatch, site: &Site, socket: PathBuf, shared: Option<Option<u32>>) -> Arc<Engine> {
        let clock = self.config.clock.clone();
        let runner = Runner::start(self.config, self.store.clone());
        let engine = Arc::new(Engine::new(Parts {
            watch,
            store: self.store,
            runner,
            content: self.content,
            filter: self.filter,
            secrets: self.secrets,
            clock,
            people: options.people.clone(),
            socket,
            private: shared.is_none(),
            socket_gid: shared.flatten(),
            configured: (site.executors, site.locks.clone()),
        }));
        self.children.know(Arc::downgrade(&engine));
        self.permit.know(Arc::downgrade(&engine));
        engine
    }
}

async fn live(options: &Options, watch: SiteWatch, ready: impl FnOnce(&Engine)) -> Result<(), StartError> {
    let site = watch.current()?;
    let (socket, shared) = options.dirs.socket(&site);
    let made = make(options, &site, Arc::new(SystemClock))?;
    // The store's lock is ours from here on, and so is the log.
    let _log = logging::start(&options.dirs.state, &options.log_level, made.filter.clone())?;
    logging::end_on_panic(&options.dirs.state, made.filter.clone());
    let socket_gid = match site.socket_group.as_ref().filter(|_| shared) {
        None => None,
        Some(name) => Some(options.people.group(name).ok_or_else(|| SocketError::Unusable {
            path: socket.clone(),
            why: format!("is to be given to group `{name}`, which this machine does not have"),
            help: format!("make it: groupadd {name}, or correct [engine] group in site.toml"),
        })?),
    };
    let listener = socket::bind(&socket, !shared, socket_gid, options.uid).await?;
    // Bound before anything starts: an engine that nobody can reach must not run steps. Clients wait in the kernel's queue.
    let engine = made.engine(options, watch, &site, socket.clone(), shared.then_some(socket_gid));
    tracing::info!(pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), socket = %socket.display(), epoch = engine.store.epoch(), "engine ready");
    tokio::spawn(feed::feed(engine.clone()));
    let (first, looked) = tokio::sync::oneshot::channel();
    tokio::spawn(triggers::follow(engine.clone(), first));
    tokio::spawn(upkeep::serve(engine.clone(), looked));
    tokio::spawn(upkeep::logs(engine.clone()));
    tokio::spawn(scheduler::serve(engine.clone()));
    tokio::spawn(promotion::driver::serve(engine.clone()));
    tokio::spawn(freshness::serve(engine.clone()));
    let signals = tokio::spawn(signals(engine.clone()));
    let superseded = {
        let engine = engine.clone();
        tokio::spawn(async move {
            engine.runner.stopped().await;
            engine.stop();
        })
    };
    ready(&engine);
    let manager = std::env::var_os(notice::VARIABLE);
    notice::tell(manager.as_deref(), "READY=1");
    server::serve(engine.clone(), listener).await;
    notice::tell(manager.as_deref(), "STOPPING=1");
    signals.abort();
    superseded.abort();
    engine.runner.clone().shutdown().await;
    tracing::info!("engine ended");
    Ok(())
}

/// The engine inside another process: on its clock, without a socket, and with nothing that begins work by itself but promotions. `work` asks
/// it through [`act`](super::act::act), as a server would. The store is closed when this returns.
pub fn apart<T>(options: &Options, clock: Arc<dyn Clock>, work: impl AsyncFnOnce(Arc<Engine>) -> T) -> Result<T, StartError> {
    let watch = SiteWatch::open(options.dirs.clone(), options.uid)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| StartError::System(e.to_string()))?;
    let result = runtime.block_on(async {
        let site = watch.current()?;
        let socket = options.dirs.socket(&site).0;
        let engine = make(options, &site, clock)?.engine(options, watch, &site, socket, None);
        let driver = tokio::spawn(promotion::driver::serve(engine.clone()));
        let done = work(engine.clone()).await;
        engine.stop();
        let _ = driver.await;
        engine.runner.clone().shutdown().await;
        Ok(done)
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

/// A state directory that holds nothing yet, or only its configuration, was made with `mkdir` a moment ago: it is closed to others here.
/// Any other one that they can reach is left alone, and the store refuses it: it may be somebody's home, or have been read already.
fn close_to_others(dir: &Path, uid: u32) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let Ok(meta) = std::fs::symlink_metadata(dir) else { return };
    let ours = meta.is_dir() && meta.uid() == uid && meta.mode() & 0o077 != 0 && meta.mode() & 0o002 == 0;
    let fresh = || std::fs::read_dir(dir).is_ok_and(|mut d| d.all(|e| e.is_ok_and(|e| e.file_name() == "config")));
    if ours && fresh() {
        let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    }
}

/// TERM and INT end the engine in order; HUP is the end of somebody's terminal, and none of ours.
async fn signals(engine: Arc<Engine>) {
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        tracing::error!("signals cannot be received");
        return;
    };
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => tracing::info!("hang-up ignored"),
        }
    }
    tracing::info!("asked to end by a signal");
    engine.stop();
}
