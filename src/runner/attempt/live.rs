//! The task of one attempt: directory, shim, wait, take in. Every end is one event for the dispatcher; nothing is decided here.
//!
//! Aborting such a task at any moment is harmless: the shim goes on, and the next engine finds it by its directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ingest::{self, Job};
use super::inputs::{self, InputError, Wanted};
use super::junit::Mask;
use super::launch::{Launcher, Spawned};
use super::place::{self, Named};
use super::recovery::{self, Decision, Found};
use super::{AttemptError, survivors};
use crate::base::crash;
use crate::base::mask::Masker;
use crate::domain::attempt::{Spec, file};
use crate::domain::run::Verdict;
use crate::runner::config::RunnerConfig;
use crate::runner::event::{Again, Event};
use crate::runner::model::active::Secrets;
use crate::runner::{attempt, shim};
use crate::store::{Known, Store, StoreError};

/// A thread of the pool waits so long at most for the commit of a claim: a few milliseconds are usual, and a disk that hangs must not take
/// the whole pool.
const COMMIT: Duration = Duration::from_millis(20);
/// After that it is looked for again.
const COMMIT_AGAIN: Duration = Duration::from_millis(10);

/// What every attempt's task shares.
#[derive(Clone)]
pub struct Shared {
    pub cfg: RunnerConfig,
    pub launcher: Launcher,
    pub events: mpsc::Sender<Event>,
    pub named: Arc<Named>,
    /// Attempts that are being made on a thread of the pool, which no abort of their task stops.
    pub begins: TaskTracker,
    /// Nothing is started any more.
    pub stop: CancellationToken,
    /// Whether shims are started in scopes of systemd; unset until it was tried.
    pub scopes: Arc<std::sync::OnceLock<bool>>,
}

/// An attempt that has a task in this process.
#[derive(Clone)]
pub struct Live {
    pub dir: PathBuf,
    /// Set before the cancel file is written: a shim that is not spawned yet must not be.
    pub cancelled: Arc<AtomicBool>,
    /// A supervisor was spawned for it, here or before: that its directory is gone then proves nothing about its command.
    pub begun: Arc<AtomicBool>,
}

impl Shared {
    fn now_us(&self) -> i64 {
        self.cfg.clock.now().as_microsecond()
    }

    async fn send(&self, event: Event) {
        let _ = self.events.send(event).await;
    }
}

/// An attempt that is about to be made, and what comes with the claim.
pub struct Claimed {
    pub live: Live,
    pub spec: Arc<Spec>,
    pub job: Job,
    /// How the commit of the claim went.
    pub written: Receiver<Result<(), StoreError>>,
    /// Held for as long as the attempt is being made: no other engine opens the store before.
    pub store: Store,
}

/// What became of a claim.
pub struct Begun(Result<Option<Spawned>, Unmade>);

/// What a thread of the pool came to.
enum Looked {
    /// The claim is not committed yet.
    Waits(Receiver<Result<(), StoreError>>),
    Refused(StoreError),
    Begun(Begun),
}

/// Makes the attempt once its claim is committed, and orders it from a shim that is at hand. What the attempt's directory will be in is made
/// while the commit waits for the disk; it belongs to the run, and means nothing. An error: the claim was not committed, and nothing of the
/// attempt exists.
pub async fn begin(shared: &Arc<Shared>, claimed: Claimed) -> Result<Begun, StoreError> {
    let Claimed { live, spec, job, mut written, store } = claimed;
    let mut patience = COMMIT;
    loop {
        let (shared, live, spec, job, store) = (shared.clone(), live.clone(), spec.clone(), job.clone(), store.clone());
        let at_work = shared.begins.token();
        let looked = tokio::task::spawn_blocking(move || {
            let looked = begin_here(&shared, &live, &spec, &job, written, patience);
            drop((store, at_work));
            looked
        });
        match looked.await {
            Ok(Looked::Begun(begun)) => return Ok(begun),
            Ok(Looked::Refused(e)) => return Err(e),
            Ok(Looked::Waits(again)) => {
                (written, patience) = (again, Duration::ZERO);
                tokio::time::sleep(COMMIT_AGAIN).await;
            }
            // It may be committed, and its directory may be there: as where no directory can be made.
            Err(e) => return Ok(Begun(Err(Unmade::Task(e.to_string())))),
        }
    }
}

fn begin_here(
    shared: &Shared,
    live: &Live,
    spec: &Spec,
    job: &Job,
    written: Receiver<Result<(), StoreError>>,
    patience: Duration,
) -> Looked {
    let above = place::make_above(&shared.named, &shared.cfg.state_dir, &live.dir, spec);
    match written.recv_timeout(patience) {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return Looked::Refused(e),
        Err(RecvTimeoutError::Timeout) => return Looked::Waits(written),
        Err(RecvTimeoutError::Disconnected) => return Looked::Refused(StoreError::Closed),
    }
    crash::point("runner.claimed");
    let made = give(spec, &job.inputs, job.fence, &live.cancelled).and_then(|()| {
        above?;
        Ok(place::make(&live.dir, spec)?)
    });
    if let Err(e) = made {
        return Looked::Begun(Begun(Err(e)));
    }
    crash::point("runner.spec");
    let now = spec.secrets.is_empty() && !live.cancelled.load(Ordering::SeqCst) && !shared.stop.is_cancelled();
    let spawned = if now { shared.launcher.order(&live.dir) } else { None };
    if spawned.is_some() {
        live.begun.store(true, Ordering::SeqCst);
        crash::point("runner.spawned");
    }
    Looked::Begun(Begun(Ok(spawned)))
}

/// A claimed attempt, from its directory to its end.
pub async fn run(shared: Arc<Shared>, live: Live, spec: Arc<Spec>, job: Job, secrets: Secrets, begun: Begun) {
    let (fence, dir) = (job.fence, live.dir.clone());
    let mut ordered = None;
    let failure = match begun.0 {
        Ok(spawned) => {
            ordered = spawned;
            None
        }
        Err(Unmade::Dir(e)) => Some((again_after(&e), e.to_string())),
        Err(Unmade::Input(InputError::Io { place, source })) => Some((Again::after(&source), InputError::Io { place, source }.to_string())),
        Err(Unmade::Input(e)) => {
            // Nothing of the attempt exists but its row, and no try can cure it.
            let verdict = if matches!(e, InputError::Cancelled) { Verdict::Cancelled } else { Verdict::Failure };
            let ended = ingest::unstarted(&job, verdict, &e.to_string(), shared.now_us());
            return shared.send(Event::Ended { fence, ended: Box::new(ended) }).await;
        }
        Err(e @ Unmade::Task(_)) => Some((Again::Later, e.to_string())),
    };
    if let Some((again, why)) = failure {
        // Nothing was spawned, so nothing can have run; closed all the same, in case the directory is there.
        if matches!(attempt::retire(&dir), Ok(true)) && again == Again::WithRoom {
            // Nobody knows of it but us, and every try leaves one more on a full disk.
            let _ = std::fs::remove_dir_all(&dir);
        }
        return shared.send(Event::NotStarted { fence, why, again }).await;
    }
    if ordered.is_none() && live.cancelled.load(Ordering::SeqCst) {
        if matches!(attempt::retire(&dir), Ok(true)) {
            let ended = ingest::unstarted(&job, Verdict::Cancelled, "cancelled before it began", shared.now_us());
            return shared.send(Event::Ended { fence, ended: Box::new(ended) }).await;
        }
        return conclude(shared, live, job, spec_secrets(&spec), Some(secrets)).await;
    }
    let by_hand = ordered.is_none();
    let spawned = match ordered {
        Some(spawned) => Ok(spawned),
        None => shared.launcher.spawn(&dir, secrets.clone()).await,
    };
    let mut spawned = match spawned {
        Ok(spawned) => spawned,
        Err(e @ AttemptError::Spawn { .. }) => {
            let closed = attempt::retire(&dir);
            let why = e.to_string();
            if matches!(closed, Ok(true)) {
                return shared.send(Event::NotStarted { fence, why, again: Again::Later }).await;
            }
            return conclude(shared, live, job, spec_secrets(&spec), Some(secrets)).await;
        }
        // The shim may be there: the directory tells.
        Err(e) => {
            tracing::warn!(attempt = %spec.attempt, error = %e, "the supervisor was not started in order");
            return conclude(shared, live, job, spec_secrets(&spec), Some(secrets)).await;
        }
    };
    if by_hand {
        live.begun.store(true, Ordering::SeqCst);
        crash::point("runner.spawned");
    }
    // Short steps end before anybody needs to know that they run; that saves them a commit.
    let mut told = false;
    let (refused, in_order): (Option<Refusal>, bool);
    let mut pause = Duration::from_millis(250);
    loop {
        tokio::select! {
            ended = spawned.wait() => {
                let code = ended.ok().flatten();
                (refused, in_order) = (Refusal::of(code), code == Some(0));
                break;
            }
            () = tokio::time::sleep(pause), if !told => {
                if dir.join(file::STARTED).exists() {
                    told = true;
                    shared.send(Event::Started { fence }).await;
                }
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
    // Its supervisor has written all of it a moment ago, so that nothing of it comes from the disk: as quick as handing it to another thread.
    if in_order
        && is_small(&job)
        && spec.secrets.is_empty()
        && let Ok(Found::Whole(status)) = attempt::read_status(&dir)
        && status.fence == fence
    {
        crash::point("runner.ingest");
        let ended = Box::new(ingest::finished(&job, &status, &str::to_owned));
        return shared.send(Event::Ended { fence, ended }).await;
    }
    conclude_refused(shared, live, job, spec_secrets(&spec), Some(secrets), refused).await;
}

/// Whether there is nothing to take in but a status.
fn is_small(job: &Job) -> bool {
    job.patterns.is_empty() && job.tests.is_empty() && std::fs::symlink_metadata(&job.report).is_ok_and(|m| m.is_file() && m.len() == 0)
}

/// An attempt that an earlier engine, or an earlier state of this one, left open.
/// `known`: what tells its processes from others, where its directory is gone.
pub async fn recover(shared: Arc<Shared>, live: Live, job: Job, known: Option<Known>) {
    if let Some(known) = known {
        outlive(&shared, &live, job.fence, known).await;
    }
    let names = match attempt::read_spec(&live.dir) {
        Ok(Found::Whole(spec)) => spec_secrets(&spec),
        _ => Vec::new(),
    };
    conclude(shared, live, job, names, None).await;
}

/// Its directory was taken away. As long as processes of it live it has begun, and has not ended: its locks stay held, and nothing is
/// started again. Who does not want to wait forces it.
async fn outlive(shared: &Shared, live: &Live, fence: u64, known: Known) {
    let (mut pause, mut told) = (Duration::from_millis(100), false);
    loop {
        let (dir, known) = (live.dir.clone(), known.clone());
        let lives = tokio::task::spawn_blocking(move || !dir.exists() && survivors::lives(&dir, &known)).await;
        if !matches!(lives, Ok(true)) {
            if told {
                shared.send(Event::Unclear { fence, why: String::new() }).await;
            }
            return;
        }
        live.begun.store(true, Ordering::SeqCst);
        if !told {
            told = true;
            let why = "its directory was taken away, and its processes still run".to_owned();
            tracing::warn!(fence, why, "an attempt cannot be looked at; it is looked at again until they end");
            shared.send(Event::Unclear { fence, why }).await;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

fn spec_secrets(spec: &Spec) -> Vec<String> {
    spec.secrets.iter().map(|s| s.name.clone()).collect()
}

/// Why an attempt has no directory.
#[derive(Debug, thiserror::Error)]
enum Unmade {
    #[error(transparent)]
    Dir(#[from] AttemptError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("the directory's task ended: {0}")]
    Task(String),
}

/// Puts what other runs have kept into the workspace, before the attempt has a directory: until then it never started.
fn give(spec: &Spec, wanted: &[Wanted], fence: u64, cancelled: &AtomicBool) -> Result<(), Unmade> {
    if wanted.is_empty() {
        return Ok(());
    }
    let workspace = Path::new(&spec.workspace);
    let place = || spec.workspace.clone();
    std::fs::create_dir_all(workspace).map_err(|source| InputError::Io { place: place(), source })?;
    inputs::place(wanted, workspace, fence, cancelled)?;
    crash::point("runner.inputs");
    Ok(())
}

fn again_after(e: &AttemptError) -> Again {
    match e {
        AttemptError::Io { source, .. } => Again::after(source),
        _ => Again::Later,
    }
}

/// A shim that ended by its own decision before its command began.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    NoRoom,
    Other,
}

impl Refusal {
    fn of(code: Option<i32>) -> Option<Self> {
        match code {
            Some(c) if c == i32::from(shim::NO_ROOM) => Some(Self::NoRoom),
            Some(c) if c == i32::from(shim::NOT_STARTED) => Some(Self::Other),
            _ => None,
        }
    }

    /// What it left behind says why, but a full disk may have had no room for that.
    fn into_event(self, fence: u64, dir: &Path) -> Event {
        let said = attempt::read_refusal(dir).unwrap_or_default();
        let (again, why) = match self {
            Self::NoRoom => (Again::WithRoom, "the supervisor found no room on the disk"),
            Self::Other => (Again::Later, "the supervisor refused to start"),
        };
        if again == Again::WithRoom {
            // The supervisor has ended, so no late one can come: nothing needs this directory.
            let _ = std::fs::remove_dir_all(dir);
        }
        let why = if said.is_empty() { why.to_owned() } else { format!("{why}: {said}") };
        Event::NotStarted { fence, why, again }
    }
}

async fn conclude(shared: Arc<Shared>, live: Live, job: Job, names: Vec<String>, values: Option<Secrets>) {
    conclude_refused(shared, live, job, names, values, None).await;
}

/// Follows the evidence to the attempt's one end.
async fn conclude_refused(
    shared: Arc<Shared>,
    live: Live,
    job: Job,
    names: Vec<String>,
    values: Option<Secrets>,
    refused: Option<Refusal>,
) {
    let fence = job.fence;
    let dir = live.dir.clone();
    let mut values = values;
    let mut told = String::new();
    loop {
        let seen = {
            let (shared, live, job, names, values) = (shared.clone(), live.clone(), job.clone(), names.clone(), values.take());
            tokio::task::spawn_blocking(move || look(&shared, &live, &job, &names, values, refused)).await
        };
        // Said once, in the log and to whoever asks why the run stands still.
        let unclear = if let Ok(Seen::Unclear(why)) = &seen { why.as_str() } else { "" };
        if unclear != told {
            told = unclear.to_owned();
            if !told.is_empty() {
                tracing::warn!(fence, why = told, "an attempt cannot be looked at; it is looked at again every 5 s");
            }
            shared.send(Event::Unclear { fence, why: told.clone() }).await;
        }
        match seen {
            Ok(Seen::Event(event)) => {
                crash::point("runner.ingest");
                return shared.send(*event).await;
            }
            Ok(Seen::Alive) => {
                if let Err(e) = watch(&shared, fence, &dir).await {
                    tracing::warn!(fence, error = %e, "cannot watch an attempt; looking again in 5 s");
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
            }
            // What cannot be looked at proves nothing: no verdict is made up.
            Ok(Seen::Unclear(_)) => tokio::time::sleep(Duration::from_secs(5)).await,
            Err(e) => {
                tracing::error!(fence, error = %e, "taking in an attempt ended early; again in 5 s");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    }
}

/// Waits until the supervisor is gone. That its command has begun is told here, too: who took it over may have come before that.
async fn watch(shared: &Shared, fence: u64, dir: &Path) -> Result<(), AttemptError> {
    let (mut pause, mut begun) = (Duration::from_millis(50), false);
    let over = attempt::watch(dir);
    tokio::pin!(over);
    loop {
        if !begun && dir.join(file::STARTED).exists() {
            begun = true;
            shared.send(Event::Started { fence }).await;
        }
        tokio::select! {
            over = &mut over => return over,
            () = tokio::time::sleep(pause), if !begun => pause = (pause * 2).min(Duration::from_secs(5)),
        }
    }
}

enum Seen {
    Event(Box<Event>),
    Alive,
    Unclear(String),
}

fn look(shared: &Shared, live: &Live, job: &Job, names: &[String], values: Option<Secrets>, refused: Option<Refusal>) -> Seen {
    let (fence, dir) = (job.fence, live.dir.as_path());
    let evidence = match attempt::observe(dir, &*shared.cfg.clock) {
        Ok(e) => e,
        Err(e @ AttemptError::Newer { .. }) if live.cancelled.load(Ordering::SeqCst) => {
            return given_up(shared, dir, job, &e, &*masker(shared, names, values));
        }
        Err(e) => return Seen::Unclear(e.to_string()),
    };
    let ended = match recovery::decide(&evidence) {
        Decision::Adopt => return Seen::Alive,
        // Absent because somebody took it away, not because it was never made: the command may have run, and must not run twice.
        Decision::NeverStarted if live.begun.load(Ordering::SeqCst) && matches!(dir.try_exists(), Ok(false)) => {
            let why = "its directory was taken away while it ran, so nobody knows how it ended";
            ingest::lost(job, why, &[], shared.now_us(), &*masker(shared, names, values))
        }
        Decision::NeverStarted => {
            return match attempt::retire(dir) {
                Ok(true) => Seen::Event(Box::new(match refused {
                    Some(refusal) => refusal.into_event(fence, dir),
                    None => {
                        let why = "the supervisor ended before its command began".into();
                        Event::NotStarted { fence, why, again: Again::AtOnce }
                    }
                })),
                // A late shim won the race: look again.
                Ok(false) => Seen::Alive,
                Err(e) => Seen::Unclear(e.to_string()),
            };
        }
        Decision::Ingest(status) if status.fence != fence => {
            let why = format!("its status.json is of fence {}, not {fence}", status.fence);
            ingest::lost(job, &why, &[], shared.now_us(), &*masker(shared, names, values))
        }
        Decision::Ingest(status) => ingest::finished(job, &status, &*masker(shared, names, values)),
        Decision::Lost { why, survivors_possible } => {
            let mut left = Vec::new();
            if survivors_possible {
                match survivors::stop_survivors(dir) {
                    Ok(stopped) => left = stopped.left,
                    Err(e) => return Seen::Unclear(e.to_string()),
                }
            }
            ingest::lost(job, &why, &left, shared.now_us(), &*masker(shared, names, values))
        }
    };
    Seen::Event(Box::new(Event::Ended { fence, ended: Box::new(ended) }))
}

/// A person cancelled what a newer version wrote. Its supervisor has read the wish, and its end is waited for; how it ended stays unread.
fn given_up(shared: &Shared, dir: &Path, job: &Job, e: &AttemptError, mask: Mask<'_>) -> Seen {
    match attempt::is_alive(dir) {
        Ok(false) => {}
        Ok(true) => return Seen::Unclear(format!("{e}; cancelled, and its supervisor still runs")),
        Err(e) => return Seen::Unclear(e.to_string()),
    }
    let why = format!("cancelled, and how it ended cannot be read: {e}");
    let ended = ingest::lost(job, &why, &[], shared.now_us(), mask);
    Seen::Event(Box::new(Event::Ended { fence: job.fence, ended: Box::new(ended) }))
}

/// Masks the attempt's secrets in its report. After a restart their values are looked up again; where one cannot be, no text of
/// the report is kept, for nobody could tell whether it holds it.
pub(in crate::runner) fn masker(shared: &Shared, names: &[String], values: Option<Secrets>) -> Box<dyn Fn(&str) -> String> {
    if names.is_empty() {
        return Box::new(str::to_owned);
    }
    let values: Result<Secrets, String> = match values {
        Some(v) if v.len() == names.len() => Ok(v),
        _ => names.iter().map(|n| shared.cfg.secrets.resolve(n).map(|v| (n.clone(), v)).map_err(|e| e.to_string())).collect(),
    };
    let made = values.and_then(|v| Masker::new(v.iter().map(|(n, v)| (n.as_str(), v.as_slice()))).map_err(|e| e.to_string()));
    match made {
        Ok(m) => Box::new(move |text| m.text(text)),
        Err(why) => {
            Box::new(move |text| if text.is_empty() { String::new() } else { format!("(withheld: its secrets cannot be masked: {why})") })
        }
    }
}
