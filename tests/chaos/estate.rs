//! One estate under fire: a home, an upstream, the pipelines, an engine that is started again and again, and what its store claims.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::check::{self, AttemptClaim, Evidence, Occurrence, RunClaim, StatusFile};
use super::full::Mount;
use super::journal;
use super::pipelines::{self, NATURES, PIPELINES};
use super::support::home::{EXE, Home};
use super::support::process::{alive, command_line, kill, processes_with};

pub struct Estate {
    pub home: Home,
    pub journal: PathBuf,
    upstream: Option<quarterdeck::demo::Estate>,
    engine: Option<Child>,
    pub told: Vec<(String, u64, String)>,
    pub hit: BTreeSet<String>,
    pub cancelled: BTreeSet<(String, u64)>,
    serial: u64,
    mount: Option<Mount>,
    /// When the files with the triggers were written, and when a scheduler was seen to know them all, microseconds of the wall clock.
    placed_us: i64,
    known_us: Option<i64>,
    /// All that was due up to here has been seen to be settled.
    accounted_us: i64,
    /// All that was due up to here must be settled.
    until_us: i64,
}

impl Estate {
    pub fn new(seed: u64) -> Self {
        Self::at(Home::new(), seed, None)
    }

    /// Its state directory is a small tmpfs.
    pub fn on_small_disk(seed: u64) -> Result<Self, String> {
        let home = Home::new();
        let mount = Mount::new(&home.state())?;
        std::fs::create_dir_all(home.config().join("pipelines")).map_err(|e| e.to_string())?;
        Ok(Self::at(home, seed, Some(mount)))
    }

    fn at(home: Home, seed: u64, mount: Option<Mount>) -> Self {
        let journal = home.root().join("journal");
        std::fs::create_dir(&journal).expect("journal directory");
        let upstream = quarterdeck::demo::Estate::start(&home.root().join("up"), seed).expect("the demo's upstream starts");
        let tree = home.root().join("tree");
        std::fs::create_dir(&tree).expect("tree");
        std::fs::create_dir(home.root().join("promoted")).expect("directory of the snapshots");
        let url = upstream.repo_url(quarterdeck::demo::catalogue::Repo::ALL[0]);
        // On a disk that fills, the full disk alone is looked at.
        let scheduler = if mount.is_none() { "private" } else { "off" };
        home.site(&format!(
            "scheduler = \"{scheduler}\"\ntime_zone = \"UTC\"\nsecond_person = \"none\"\n[runner]\nexecutors = 4\n[locks.pool]\nslots = 2\n[locks.press]\nslots = 1\n[locks.shelf]\nslots = 1\n[repos.core]\nupstream = [\"{url}/\"]\ntree = \"{}\"\nwriter = \"quarterdeck\"\n[content.core]\nrepos = [\"core\"]\n[mirror]\nroots = [\"{}\"]\n",
            tree.display(),
            home.root().display(),
        ));
        let exe = std::env::current_exe().expect("own path");
        let placed_us = now_us();
        for (name, body) in PIPELINES {
            home.pipeline(name, &pipelines::text(name, body, EXE, &exe, &journal, &url, &tree));
        }
        Self {
            home,
            journal,
            upstream: Some(upstream),
            engine: None,
            told: Vec::new(),
            hit: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            serial: 0,
            mount,
            placed_us,
            known_us: None,
            accounted_us: 0,
            until_us: 0,
        }
    }

    /// The next compose, so that a sync has something to publish.
    pub fn advance(&self) {
        quarterdeck::demo::advance(&self.home.root().join("up")).expect("the upstream publishes");
    }

    pub fn tree(&self) -> PathBuf {
        self.home.root().join("tree")
    }

    /// What readers of the pointer see.
    pub fn stable(&self) -> PathBuf {
        self.home.root().join("promoted/stable/core")
    }

    /// Starts the engine with `faults` in its environment and waits until it answers.
    pub fn start_engine(&mut self, faults: &[(&str, &str)]) -> Result<(), String> {
        self.kill_engine();
        let log = OpenOptions::new().append(true).create(true).open(self.home.root().join("engine.log")).map_err(|e| e.to_string())?;
        let mut command = self.home.command(["engine", "run"]);
        command.envs(faults.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.engine = Some(command.spawn().map_err(|e| e.to_string())?);
        let start = Instant::now();
        let planted = faults.iter().find(|(name, _)| *name == "QD_CRASH_ONCE").map(|(_, file)| PathBuf::from(file));
        // One that is held in its start may never answer.
        let is_held = || planted.as_ref().is_some_and(|file| file.exists());
        while UnixStream::connect(self.home.socket()).is_err() && !is_held() {
            if let Some(Ok(Some(status))) = self.engine.as_mut().map(Child::try_wait) {
                // A crash point may lie in the start itself; or a client that was waiting has started one first, which then holds the lock.
                return if !faults.is_empty() || status.code() == Some(4) && self.engine_pid().is_some() {
                    Ok(())
                } else {
                    Err(format!("the engine ended at its start: {status}\n{}", self.engine_log()))
                };
            }
            if start.elapsed() > Duration::from_secs(60) {
                return Err(format!("no engine answers after 60 s\n{}", self.engine_log()));
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    }

    fn engine_log(&self) -> String {
        let text = std::fs::read_to_string(self.home.root().join("engine.log")).unwrap_or_default();
        text.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Starts an engine where none runs: by hand, or as a client does it by itself.
    pub fn ensure_engine(&mut self, by_client: bool) -> Result<(), String> {
        if self.engine_pid().is_some() {
            return Ok(());
        }
        if by_client {
            self.reap();
            let out = self.home.qd(["--json", "get", "queue"]);
            return if out.code == 0 { Ok(()) } else { Err(format!("a client could not start an engine: {out:?}")) };
        }
        self.start_engine(&[])
    }

    fn reap(&mut self) {
        if let Some(child) = self.engine.as_mut()
            && let Ok(Some(_)) = child.try_wait()
        {
            self.engine = None;
        }
    }

    /// The engine that runs now, whoever started it.
    pub fn engine_pid(&mut self) -> Option<i32> {
        self.reap();
        if let Some(child) = &self.engine {
            return Some(child.id() as i32);
        }
        let state = self.home.state().to_string_lossy().into_owned();
        processes_with(&state).into_iter().find(|pid| {
            let line = command_line(*pid);
            line.contains(&state) && line.contains(" engine ")
        })
    }

    /// kill -9, and wait until it is gone.
    pub fn kill_engine(&mut self) {
        if let Some(pid) = self.engine_pid() {
            kill(pid);
            if let Some(mut child) = self.engine.take() {
                let _ = child.wait();
            }
            while alive(pid) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    pub fn token(&mut self) -> String {
        self.serial += 1;
        format!("tok{}-{}", std::process::id(), self.serial)
    }

    /// Queues a run and remembers the promise.
    pub fn submit(&mut self, pipeline: &str) -> Result<u64, String> {
        let token = self.token();
        let out = self.home.qd(["--json", "run", pipeline, "-p", &format!("token={token}")]);
        let name = serde_json::from_str::<serde_json::Value>(&out.stdout).ok().and_then(|v| Some(v["run"].as_str()?.to_owned()));
        let number = name.as_deref().and_then(|n| n.rsplit_once('#')).and_then(|(_, n)| n.parse().ok());
        match number {
            Some(number) if out.code == 0 => {
                self.told.push((pipeline.to_owned(), number, token));
                Ok(number)
            }
            _ => Err(format!("run {pipeline}: {out:?}")),
        }
    }

    /// Asks for the end of a run. It may be over already; who asks twice asks with force.
    pub fn cancel(&mut self, pipeline: &str, number: u64) -> Result<(), String> {
        // Known before it is asked: the answer may get lost.
        self.cancelled.insert((pipeline.to_owned(), number));
        let run = format!("{pipeline}#{number}");
        let out = self.home.qd(["cancel", &run, "--confirm", &run]);
        if matches!(out.code, 0 | 4) { Ok(()) } else { Err(format!("cancel {run}: {out:?}")) }
    }

    /// I15: a drain outlives the engine; what is queued meanwhile waits, and goes on afterwards.
    pub fn drain_over_a_kill(&mut self) -> Result<(), String> {
        let told = |out: &super::support::Out, what: &str| if out.code == 0 { Ok(()) } else { Err(format!("{what}: {out:?}")) };
        told(&self.home.qd(["engine", "drain", "--reason", "chaos"]), "drain")?;
        self.kill_engine();
        self.start_engine(&[])?;
        let status = self.home.qd(["--json", "engine", "status"]);
        if !status.stdout.contains("\"draining\":true") {
            return Err(format!("I15: the drain did not survive the engine: {status:?}"));
        }
        told(&self.home.qd(["engine", "drain", "--off"]), "drain --off")
    }

    /// Subjects of an action in the audit chain; an error where it does not verify.
    pub fn audited(&self, action: &str) -> Result<Vec<String>, String> {
        let out = self.home.qd(["--json", "get", "audit", "--filter", &format!("action={action} result=done"), "--limit", "100000"]);
        let rows = serde_json::from_str::<serde_json::Value>(&out.stdout).ok().filter(|_| out.code == 0);
        let rows = rows.ok_or_else(|| format!("I16: the audit chain cannot be read or does not verify: {out:?}"))?;
        let subjects = rows["rows"].as_array().into_iter().flatten().filter_map(|r| r["subject"].as_str().map(str::to_owned));
        Ok(subjects.collect())
    }

    /// A client that waits for the run that it asks for, and the token by which the run is found.
    pub fn client(&mut self, pipeline: &str) -> (Child, String) {
        self.client_with(pipeline, &[])
    }

    /// The same, with more parameters.
    pub fn client_with(&mut self, pipeline: &str, with: &[(&str, &str)]) -> (Child, String) {
        let token = self.token();
        let mut command = self.home.command(["--json", "run", pipeline, "-p", &format!("token={token}")]);
        for (name, value) in with {
            command.arg("-p").arg(format!("{name}={value}"));
        }
        command.arg("--wait");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the client starts");
        (child, token)
    }

    fn store(&self) -> Option<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(self.home.state().join("state.db"), flags).ok()?;
        db.busy_timeout(Duration::from_secs(10)).ok()?;
        Some(db)
    }

    /// Where the run of `token` is, once the store has it: pipeline and number, and whether it is done.
    pub fn find(&self, token: &str) -> Option<(String, u64, bool)> {
        let sql =
            "SELECT r.pipeline, r.number, r.state = 'done' FROM run r JOIN plan p ON p.sha256 = r.plan_sha256 WHERE instr(p.json, ?1)";
        let quoted = format!("\"{token}\"");
        self.store()?.query_row(sql, [quoted], |r| Ok((r.get(0)?, r.get::<_, i64>(1)? as u64, r.get(2)?))).ok()
    }

    /// An open run that a stage of this one has started.
    pub fn child_of(&self, pipeline: &str, number: u64) -> Option<(String, u64)> {
        let sql = "SELECT pipeline, number FROM run WHERE cause GLOB ?1 AND state != 'done' ORDER BY id DESC LIMIT 1";
        let cause = format!("upstream:{pipeline}[#]{number}:*");
        self.store()?.query_row(sql, [cause], |r| Ok((r.get(0)?, r.get::<_, i64>(1)? as u64))).ok()
    }

    pub fn run_dir(&self, pipeline: &str, number: u64) -> PathBuf {
        self.home.state().join("runs").join(pipeline).join(number.to_string())
    }

    /// Runs that have no verdict yet.
    pub fn open_runs(&self) -> Option<Vec<String>> {
        let db = self.store()?;
        let mut query = db.prepare("SELECT pipeline || '#' || number FROM run WHERE state != 'done'").ok()?;
        query.query_map([], |r| r.get(0)).ok()?.collect::<Result<_, _>>().ok()
    }

    /// Agrees to every open run that waits for a person. One that does not wait yet refuses; one that was told already is told again.
    pub fn approve(&self) -> Result<(), String> {
        for run in self.open_runs().into_iter().flatten().filter(|r| r.starts_with("gate#")) {
            let out = self.home.qd(["approve", &run, "--comment", "chaos"]);
            if !matches!(out.code, 0 | 4) {
                return Err(format!("approve {run}: {out:?}"));
            }
        }
        Ok(())
    }

    /// Gives a trigger's catch-up other words, which change nothing of what it owes: the scheduler has to learn them.
    pub fn reword_a_trigger(&self) {
        let path = self.home.config().join("pipelines/tock.yml");
        let text = std::fs::read_to_string(&path).expect("the file of tock");
        let (from, to) = if text.contains("within: 10m") { ("within: 10m", "within: 11m") } else { ("within: 11m", "within: 10m") };
        std::fs::write(&path, text.replace(from, to)).expect("the file of tock");
    }

    /// Notes when a scheduler is first seen to know every trigger: from then on each time is owed.
    fn note_known(&mut self) {
        if self.known_us.is_some() || self.mount.is_some() {
            return;
        }
        let told = self.home.qd(["--json", "get", "schedule", "--limit", "1000"]);
        let rows = serde_json::from_str::<serde_json::Value>(&told.stdout).ok();
        let knows = rows.iter().filter_map(|v| v["rows"].as_array()).flatten().filter(|r| !r["next"].is_null()).count();
        if knows >= pipelines::beats().len() {
            self.known_us = Some(now_us());
        }
    }

    /// Whether all that was due until `self.until_us` has its row.
    fn is_accounted(&mut self) -> bool {
        let Some(known) = self.known_us else { return self.mount.is_some() };
        let from = self.accounted_us.max(known);
        let Some(db) = self.store() else { return false };
        let rows = db.prepare("SELECT pipeline, scheduled_us FROM occurrence WHERE scheduled_us > ?1").and_then(|mut q| {
            q.query_map([from], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?)))?.collect::<Result<BTreeSet<_>, _>>()
        });
        let Ok(rows) = rows else { return false };
        let all = check::due(&pipelines::beats(), from, self.until_us).iter().all(|(p, at)| rows.contains(&((*p).to_owned(), *at)));
        if all {
            self.accounted_us = self.until_us.max(from);
        }
        all
    }

    /// What the store holds now, in numbers: where they are the same before and after a look at files, the look saw one state.
    pub fn pulse(&self) -> Option<(i64, i64, i64)> {
        let sql = "SELECT count(*), count(*) FILTER (WHERE state != 'done'), (SELECT count(*) FROM occurrence) FROM run";
        self.store()?.query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).ok()
    }

    /// Whether the ledger calls a time missed that has not come. An engine whose clock was ahead left that behind, and the next one takes it
    /// back in its first look, which may be still to come.
    fn is_ahead(&self) -> bool {
        let sql = "SELECT count(*) FROM occurrence WHERE cause = 'missed' AND scheduled_us > ?1";
        let count = |db: rusqlite::Connection| db.query_row(sql, [now_us()], |r| r.get::<_, i64>(0)).ok();
        self.store().and_then(count).is_none_or(|n| n > 0)
    }

    /// Waits until every run has its verdict, every time that was due its row, and no time to come is called missed. A row that does not
    /// come, or does not go, is left to the check.
    pub fn settle(&mut self, limit: Duration) -> Result<(), String> {
        let (start, mut asked) = (Instant::now(), None::<Instant>);
        self.until_us = now_us();
        loop {
            if asked.is_none_or(|at| at.elapsed() > Duration::from_millis(100)) {
                self.approve()?;
                asked = Some(Instant::now());
            }
            self.note_known();
            let open = self.open_runs();
            let late = start.elapsed() > limit;
            if late && self.known_us.is_none() && self.mount.is_none() {
                return Err("no scheduler ever knew the triggers of the clock".into());
            }
            if open.as_ref().is_some_and(Vec::is_empty) && (self.is_accounted() && !self.is_ahead() || late) {
                return Ok(());
            }
            if self.engine_pid().is_none() {
                return Err(format!("the engine is gone, and nobody killed it\n{}", self.engine_log()));
            }
            if late {
                let why = open.iter().flatten().take(3).map(|r| self.home.qd(["why", r]).stdout).collect::<Vec<_>>().join("\n");
                return Err(format!("no verdict after {limit:?}: {open:?}\n{why}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Journals and files on one side, the store's claims on the other.
    pub fn evidence(&self) -> Result<Evidence, String> {
        let mark = format!("CHAOS_JOURNAL={}", self.journal.display());
        let survivors = processes_with(&mark).into_iter().map(|pid| (attempt_of(pid), pid, command_line(pid))).collect();
        let mut e = Evidence {
            journals: journal::read_all(&self.journal),
            told: self.told.clone(),
            hit: self.hit.clone(),
            cancelled: self.cancelled.clone(),
            survivors,
            natures: NATURES,
            beats: if self.mount.is_none() { pipelines::beats() } else { Vec::new() },
            placed_us: self.placed_us,
            known_us: self.known_us.unwrap_or(i64::MAX),
            until_us: self.until_us,
            ..Evidence::default()
        };
        let mut db = self.store().ok_or("the store cannot be opened")?;
        // One state of the store, whatever is written meanwhile.
        let db = db.transaction().map_err(|e| format!("the store cannot be read: {e}"))?;
        let fail = |e: rusqlite::Error| format!("the store cannot be read: {e}");
        let mut runs = db.prepare("SELECT pipeline, number, state, coalesce(verdict, ''), coalesce(cause, '') FROM run").map_err(fail)?;
        let rows = runs.query_map([], |r| {
            Ok(RunClaim { pipeline: r.get(0)?, number: r.get::<_, i64>(1)? as u64, state: r.get(2)?, verdict: r.get(3)?, cause: r.get(4)? })
        });
        e.runs = rows.and_then(Iterator::collect).map_err(fail)?;
        let sql = "SELECT a.id, r.pipeline, r.number, a.state, coalesce(a.verdict, ''), a.code, a.ingests, a.log_dropped_bytes, a.dir \
                   FROM attempt a JOIN run r ON r.id = a.run_id";
        let mut attempts = db.prepare(sql).map_err(fail)?;
        let rows = attempts.query_map([], |r| {
            let claim = AttemptClaim {
                id: r.get(0)?,
                pipeline: r.get(1)?,
                number: r.get::<_, i64>(2)? as u64,
                state: r.get(3)?,
                verdict: r.get(4)?,
                code: r.get(5)?,
                ingests: r.get(6)?,
                log_dropped_bytes: r.get(7)?,
            };
            Ok((claim, r.get::<_, String>(8)?))
        });
        for row in rows.map_err(fail)? {
            let (claim, dir) = row.map_err(fail)?;
            let dir = self.home.state().join(dir);
            if let Some(status) = status(&dir) {
                e.statuses.insert(claim.id.clone(), status);
            }
            e.logs.insert(claim.id.clone(), std::fs::read(dir.join("log")).unwrap_or_default());
            e.attempts.push(claim);
        }
        let mut ledger = db
            .prepare("SELECT pipeline, trigger, scheduled_us, outcome, cause, why, run_number FROM occurrence ORDER BY scheduled_us")
            .map_err(fail)?;
        let rows = ledger.query_map([], |r| {
            Ok(Occurrence {
                pipeline: r.get(0)?,
                trigger: r.get(1)?,
                scheduled_us: r.get(2)?,
                outcome: r.get(3)?,
                cause: r.get(4)?,
                why: r.get(5)?,
                run: r.get::<_, Option<i64>>(6)?.map(|n| n as u64),
            })
        });
        e.occurrences = rows.and_then(Iterator::collect).map_err(fail)?;
        e.read_us = now_us();
        Ok(e)
    }
}

fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// How many occurrences came to what.
pub fn outcomes(e: &Evidence, into: &mut BTreeMap<String, usize>) {
    for o in &e.occurrences {
        *into.entry(o.outcome.clone()).or_default() += 1;
    }
}

impl Drop for Estate {
    fn drop(&mut self) {
        self.kill_engine();
        self.upstream = None;
        if self.mount.is_some() {
            self.home.kill_everything();
            self.mount = None;
        }
    }
}

fn status(dir: &Path) -> Option<StatusFile> {
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("status.json")).ok()?).ok()?;
    Some(StatusFile { code: value["code"].as_i64(), ended_by: value["ended_by"].as_str().unwrap_or("itself").to_owned() })
}

/// `$QD_ATTEMPT_ID` of a process.
pub fn attempt_of(pid: i32) -> String {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ
        .split(|b| *b == 0)
        .find_map(|v| v.strip_prefix(b"QD_ATTEMPT_ID="))
        .map(|v| String::from_utf8_lossy(v).into_owned())
        .unwrap_or_default()
}

/// The file that holds the lock of an attempt's shim, if it is held now.
pub fn lock_is_held(dir: &Path) -> bool {
    // The lock is an open-file-description lock: asking needs a descriptor of our own, and takes nothing.
    let Ok(file) = File::open(dir.join("lock")) else { return false };
    quarterdeck::base::sys::lock_is_held(std::os::fd::AsFd::as_fd(&file)).unwrap_or(false)
}
