//! The runner in this process, with the real binary as shim: what a run does to its rows, files and verdicts.

mod content;
mod force;
mod full_disk;
mod lifecycle;
mod restart;
mod slow;
mod store;
mod uses;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use quarterdeck::base::clock::SystemClock;
use quarterdeck::base::duration::Span;
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::level::Level;
use quarterdeck::domain::rows::RunRow;
use quarterdeck::domain::run::RunRef;
use quarterdeck::pipeline::plan::{Action, Cell, FORMAT, Keep, Lock, LockMode, LogCap, Plan, Stage, StageKind, Step};
use quarterdeck::runner::content::{ContentProbe, Reading};
use quarterdeck::runner::{Runner, RunnerConfig, Submit};
use quarterdeck::secret::{SecretError, Source, Zeroizing};

use crate::support::home::EXE;
use crate::support::wait::LIMIT;

/// Secrets that a test sets; content that a test turns.
#[derive(Default)]
pub struct World {
    secrets: Mutex<HashMap<String, String>>,
    content: Mutex<HashMap<String, String>>,
}

impl World {
    pub fn set_secret(&self, name: &str, value: &str) {
        self.secrets.lock().unwrap().insert(name.into(), value.into());
    }

    pub fn set_content(&self, set: &str, fp: &str) {
        self.content.lock().unwrap().insert(set.into(), fp.into());
    }
}

impl Source for World {
    fn resolve(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let unknown = || SecretError::Unknown { name: name.into(), hint: String::new() };
        self.secrets.lock().unwrap().get(name).map(|v| Zeroizing::new(v.clone().into_bytes())).ok_or_else(unknown)
    }

    fn origin(&self, _: &str) -> Option<String> {
        None
    }

    fn names(&self) -> Vec<String> {
        self.secrets.lock().unwrap().keys().cloned().collect()
    }
}

impl ContentProbe for World {
    /// A set that a test names by a path is read from that file: so a step or a stranger can move it.
    fn read(&self, set: &str) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>> {
        let place = self.content.lock().unwrap().get(set).cloned();
        let fp = place.and_then(|p| if p.starts_with('/') { std::fs::read_to_string(p).ok() } else { Some(p) });
        let detail = if fp.is_none() { "nobody can read it".to_owned() } else { String::new() };
        Box::pin(async move { Reading { fp: fp.map(|f| f.trim().to_owned()), md: None, detail } })
    }
}

/// A state directory and what the runner takes from outside.
pub struct Estate {
    dir: tempfile::TempDir,
    pub world: Arc<World>,
    pub executors: usize,
    pub slots: BTreeMap<String, u32>,
    pub exe: PathBuf,
}

impl Estate {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("qd-run-").tempdir().unwrap();
        Self { dir, world: Arc::default(), executors: 2, slots: BTreeMap::new(), exe: EXE.into() }
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A file that steps and test share.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.file(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    pub fn config(&self) -> RunnerConfig {
        let here = self.dir.path().display().to_string();
        RunnerConfig {
            children: std::sync::Arc::new(quarterdeck::runner::NoChildren),
            permit: std::sync::Arc::new(quarterdeck::runner::NoPermit),
            state_dir: self.state(),
            exe: self.exe.clone(),
            executors: self.executors,
            lock_slots: self.slots.clone(),
            env: [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/"), ("HERE", here.as_str())]
                .map(|(k, v)| (k.into(), v.into()))
                .into(),
            clock: Arc::new(SystemClock),
            secrets: self.world.clone(),
            content: self.world.clone(),
            min_free_bytes: 1,
            min_free_inodes: 1,
            slow_from: quarterdeck::runner::RunnerConfig::SLOW_FROM,
            network_state: false,
        }
    }

    pub fn open(&self) -> Runner {
        Runner::open(self.config()).unwrap()
    }
}

impl Drop for Estate {
    /// Whatever still runs of this estate's attempts is killed by its recorded process group.
    fn drop(&mut self) {
        fn started(dir: &Path, out: &mut Vec<PathBuf>) {
            for e in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = e.path();
                if path.join("started.json").exists() && !path.join("status.json").exists() {
                    out.push(path);
                } else if path.is_dir() && !path.ends_with("workspace") {
                    started(&path, out);
                }
            }
        }
        let mut dirs = Vec::new();
        started(&self.state().join("runs"), &mut dirs);
        for dir in dirs {
            let text = std::fs::read(dir.join("started.json")).unwrap_or_default();
            let json: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let pid = json["shim"]["pid"].as_i64().unwrap_or(0) as i32;
            let holder = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if holder.contains(&*dir.to_string_lossy()) {
                crate::support::kill(pid);
            }
            let _ = quarterdeck::runner::attempt::survivors::stop_survivors(&dir);
        }
    }
}

pub fn step(name: &str, script: &str) -> Step {
    Step {
        name: name.into(),
        action: Action::Shell { script: script.into(), interpreter: vec!["sh".into(), "-eu".into()] },
        env: BTreeMap::new(),
        secrets: Vec::new(),
        artifacts: Vec::new(),
        timeout: None,
        stall: None,
        grace: Span::from_secs(1),
        daemon_allowed: false,
    }
}

pub fn cell(key: &str, steps: Vec<Step>) -> Cell {
    let matrix = key.split(',').filter_map(|kv| kv.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Cell { key: key.into(), matrix, steps }
}

pub fn stage(name: &str, needs: &[u32], script: &str) -> Stage {
    Stage { needs: needs.to_vec(), ..Stage::bare(name, StageKind::Work, vec![cell("", vec![step("do", script)])]) }
}

pub fn matrix(name: &str, needs: &[u32], keys: &[&str], script: &str) -> Stage {
    Stage { cells: keys.iter().map(|k| cell(k, vec![step("do", script)])).collect(), ..stage(name, needs, script) }
}

pub fn lock(name: &str) -> Lock {
    Lock { name: name.into(), mode: LockMode::Exclusive, slots: 1 }
}

pub fn plan(name: &str, stages: Vec<Stage>) -> Plan {
    Plan {
        format: FORMAT,
        pipeline: name.into(),
        description: String::new(),
        source_sha256: String::new(),
        time_zone: "UTC".into(),
        parameters: IndexMap::new(),
        run_name: String::new(),
        danger: Level::L1,
        priority: 0,
        concurrency: None,
        timeout: Span::from_secs(3_600),
        env: BTreeMap::new(),
        reads: Vec::new(),
        writes: Vec::new(),
        keep: Keep { runs: 10, days: None, pin: Vec::new() },
        log: LogCap { max_bytes: 1 << 20, kill_on_limit: false, patterns: Default::default() },
        uses: Vec::new(),
        labels: Vec::new(),
        trigger: None,
        stages,
    }
}

pub fn ann() -> Actor {
    Actor::person("ann", 1000, None)
}

pub fn order(plan: Plan) -> Submit {
    Submit { plan, requested_by: ann(), reason: "test".into(), trigger: "manual".into(), cause: None, replay_of: None, note: None }
}

/// Waits for the end of a run, within the generous limit.
pub async fn end(runner: &Runner, run: &RunRef) -> RunRow {
    match tokio::time::timeout(LIMIT, runner.wait(run)).await {
        Ok(row) => row.unwrap(),
        Err(_) => panic!("{run} has not ended: {:?}", runner.why(run).await),
    }
}

/// Waits until `check` holds, asked again after every change of a row and every 50 ms (files have no events here).
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let limit = tokio::time::Instant::now() + LIMIT;
    while !check().await {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
