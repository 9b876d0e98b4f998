//! The beginning of an attempt: nothing of it before its claim is committed, nothing of it where the claim is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use zeroize::Zeroizing;

use super::ingest::Job;
use super::launch::Launcher;
use super::live::{Claimed, Live, Shared, begin};
use crate::base::clock::SystemClock;
use crate::domain::attempt::{Spec, file};
use crate::domain::run::StepKey;
use crate::runner::NoPermit;
use crate::runner::children::NoChildren;
use crate::runner::content::{ContentProbe, Reading};
use crate::runner::model::spec;
use crate::runner::model::testing::{now, plan, run, stage, ticket};
use crate::runner::{RunnerConfig, paths};
use crate::secret::{SecretError, Source};
use crate::store::{OpenOptionsStore, Store, StoreError};

struct Nothing;

impl Source for Nothing {
    fn resolve(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        panic!("nobody asks for {name}")
    }

    fn origin(&self, _: &str) -> Option<String> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl ContentProbe for Nothing {
    fn read(&self, _: &str) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>> {
        Box::pin(async { Reading { fp: None, md: None, detail: String::new() } })
    }
}

type Word = Result<(), StoreError>;

/// An attempt whose claim is on its way to the disk: what it is, what it needs, and the word that is waited for.
struct Scene {
    dir: tempfile::TempDir,
    shared: Arc<Shared>,
    store: Store,
    spec: Arc<Spec>,
    live: Live,
    job: Job,
}

impl Scene {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let state = dir.path().to_owned();
        let store = Store::open(&OpenOptionsStore { dir: state.clone(), network_state: false, now_us: 1, boot_id: "b".into() }).unwrap();
        let exe = dir.path().join("nobody-is-started");
        let cfg = RunnerConfig {
            children: Arc::new(NoChildren),
            permit: Arc::new(NoPermit),
            state_dir: state.clone(),
            exe: exe.clone(),
            executors: 1,
            lock_slots: BTreeMap::new(),
            env: BTreeMap::new(),
            clock: Arc::new(SystemClock),
            secrets: Arc::new(Nothing),
            content: Arc::new(Nothing),
            min_free_bytes: 1,
            min_free_inodes: 1,
            slow_from: RunnerConfig::SLOW_FROM,
            network_state: false,
        };
        let shared = Shared {
            cfg,
            launcher: Launcher { exe, prefix: Vec::new(), forkserver: None },
            events: tokio::sync::mpsc::channel(1).0,
            named: Default::default(),
            begins: Default::default(),
            stop: Default::default(),
            scopes: Default::default(),
        };
        let r = run(7, plan(vec![stage("a", &[])]));
        let key = StepKey { stage: 0, cell: 0, step: 0 };
        let place = paths::attempt(&r.run, key, 3);
        let identity = spec::Identity {
            ticket: crate::runner::model::moves::Ticket { dir: &place, ..ticket(3) },
            epoch: 1,
            number: 1,
            key,
            clock_shift_us: 0,
        };
        let spec = Arc::new(spec::build(&r, &identity, &state, &BTreeMap::new(), &now(1)).unwrap());
        let job = Job::of(&r, key, 3, &state, &place);
        let live = Live { dir: state.join(&place), cancelled: Arc::default(), begun: Arc::default() };
        Self { dir, shared: Arc::new(shared), store, spec, live, job }
    }

    fn claimed(&self, written: Receiver<Word>) -> Claimed {
        let (live, spec, job, store) = (self.live.clone(), self.spec.clone(), self.job.clone(), self.store.clone());
        Claimed { live, spec, job, written, store }
    }

    fn begin(&self) -> (SyncSender<Word>, tokio::task::JoinHandle<Word>) {
        let (tell, written) = sync_channel(1);
        let (shared, claimed) = (self.shared.clone(), self.claimed(written));
        (tell, tokio::spawn(async move { begin(&shared, claimed).await.map(drop) }))
    }

    fn run_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("runs/p/7")
    }
}

async fn until(path: &Path) {
    tokio::time::timeout(Duration::from_secs(60), async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{} never came", path.display()));
}

#[tokio::test]
async fn the_attempt_comes_after_its_claim_and_what_it_is_in_before() {
    let scene = Scene::new();
    let (tell, begun) = scene.begin();
    until(&scene.run_dir().join("attempts")).await;
    // Longer than a thread of the pool waits, so that the word is looked for again.
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert!(!scene.live.dir.exists() && !begun.is_finished(), "nothing of the attempt before its claim is durable");
    tell.send(Ok(())).unwrap();
    begun.await.unwrap().unwrap();
    let written: Spec = serde_json::from_slice(&std::fs::read(scene.live.dir.join(file::SPEC)).unwrap()).unwrap();
    assert_eq!(written, *scene.spec);
    // Nobody is at hand to take it: it is started by the caller.
    assert!(!scene.live.begun.load(std::sync::atomic::Ordering::SeqCst));
}

#[tokio::test]
async fn a_claim_that_is_refused_or_forgotten_leaves_no_attempt() {
    for word in [Some(Err(StoreError::Poisoned)), None] {
        let scene = Scene::new();
        let (tell, begun) = scene.begin();
        match word {
            Some(refused) => tell.send(refused).unwrap(),
            None => drop(tell),
        }
        assert!(matches!(begun.await.unwrap(), Err(StoreError::Poisoned | StoreError::Closed)));
        assert!(!scene.live.dir.exists());
    }
}

#[tokio::test]
async fn the_store_stays_open_while_an_attempt_is_made_whatever_becomes_of_its_task() {
    let Scene { dir, shared, store, spec, live, job } = Scene::new();
    let (tell, written) = sync_channel(1);
    let claimed = Claimed { live, spec, job, written, store };
    let task = tokio::spawn({
        let shared = shared.clone();
        async move { begin(&shared, claimed).await.map(drop) }
    });
    until(&dir.path().join("runs/p/7/attempts")).await;
    task.abort();
    let _ = task.await;
    drop(tell);
    shared.begins.close();
    tokio::time::timeout(Duration::from_secs(60), shared.begins.wait()).await.unwrap();
    // Given back before the dispatcher says that nothing is at work any more.
    let again = OpenOptionsStore { dir: dir.path().into(), network_state: false, now_us: 2, boot_id: "b".into() };
    Store::open(&again).unwrap();
}
