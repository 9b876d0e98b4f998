//! The supervisor, run as the real binary: what it does to hostile children, what its evidence proves after a crash at every point.

mod crash;
mod engine;
mod forked;
mod golden;
mod hostile;
mod limits;
mod logs;
mod secrets;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use quarterdeck::base::clock::SystemClock;
use quarterdeck::domain::attempt::{self as domain, Spec, Started, Status, file};
use quarterdeck::runner::attempt::recovery::{Decision, Found, decide};
use quarterdeck::runner::attempt::{self, survivors};

use crate::support::home::EXE;
use crate::support::wait::{LIMIT, until};

/// One attempt in a temporary directory. Whatever is left of it is killed with the value.
pub struct Attempt {
    root: tempfile::TempDir,
    pub spec: Spec,
    dir: PathBuf,
    env: Vec<(String, String)>,
}

/// A token that no other test has.
fn token() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst))
}

impl Attempt {
    /// A shell step; nothing is written yet, so the spec may be changed.
    pub fn shell(script: &str) -> Self {
        let root = tempfile::Builder::new().prefix("qd-shim-").tempdir().unwrap();
        Self::shell_in(root, script)
    }

    fn shell_in(root: tempfile::TempDir, script: &str) -> Self {
        let dir = root.path().join("attempt");
        let work = root.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let spec = Spec {
            format: domain::FORMAT,
            attempt: token(),
            token: token(),
            fence: 7,
            epoch: 1,
            run: "nightly#1".parse().unwrap(),
            stage: "stage".into(),
            cell: String::new(),
            step: "step".into(),
            attempt_number: 1,
            command: domain::Command::Shell { script: script.into(), interpreter: vec!["sh".into(), "-eu".into()] },
            workspace: work.display().to_string(),
            env: [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/"), ("TEST_ROOT", root.path().to_str().unwrap())]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            report: dir.join(file::REPORT).display().to_string(),
            journal: root.path().join("journal").display().to_string(),
            timeout_ms: None,
            deadline_boot_us: None,
            deadline_is: String::new(),
            boot_id: String::new(),
            stall_ms: None,
            grace_ms: 10_000,
            log: domain::LogPolicy { max_bytes: 100 << 20, kill_on_limit: false },
            secrets: Vec::new(),
            daemon_allowed: false,
            clock_shift_us: 0,
        };
        Self { root, spec, dir, env: Vec::new() }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn work(&self, name: &str) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn crash_at(mut self, point: &str) -> Self {
        self.env.push(("QD_CRASH_AT".into(), point.into()));
        self
    }

    pub fn without_crash(mut self) -> Self {
        self.env.clear();
        self
    }

    /// Writes directory and spec, as the engine does.
    pub fn create(&self) -> &Self {
        attempt::create(&self.dir, &self.spec).unwrap();
        self
    }

    /// Starts the shim without an engine: a plain child of this test.
    pub fn start(&self) -> Child {
        self.start_with(&[])
    }

    pub fn start_with(&self, secrets: &[(&str, &[u8])]) -> Child {
        self.start_as(Command::new(EXE), secrets)
    }

    /// As [`Attempt::start`], by way of another program, such as `unshare`.
    pub fn start_under(&self, prefix: &[String]) -> Child {
        let mut c = Command::new(&prefix[0]);
        c.args(&prefix[1..]).arg(EXE);
        self.start_as(c, &[])
    }

    fn start_as(&self, mut c: Command, secrets: &[(&str, &[u8])]) -> Child {
        c.arg("shim").arg(&self.dir).env_clear().envs(self.env.iter().map(|(k, v)| (k, v))).current_dir("/");
        let mut child = c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        for (name, value) in secrets {
            pipe.write_all(&(name.len() as u32).to_le_bytes()).unwrap();
            pipe.write_all(&(value.len() as u32).to_le_bytes()).unwrap();
            pipe.write_all(name.as_bytes()).unwrap();
            pipe.write_all(value).unwrap();
        }
        child
    }

    /// Creates, runs to the end, and returns the verdict.
    pub fn run(&self) -> Status {
        self.create();
        finish(self.start());
        self.status()
    }

    pub fn run_with(&self, secrets: &[(&str, &[u8])]) -> Status {
        self.create();
        finish(self.start_with(secrets));
        self.status()
    }

    pub fn decide(&self) -> Decision {
        decide(&attempt::observe(&self.dir, &SystemClock).unwrap())
    }

    #[track_caller]
    pub fn status(&self) -> Status {
        match self.decide() {
            Decision::Ingest(s) => *s,
            other => panic!("no verdict: {other:?}; refused: {:?}", attempt::read_refusal(&self.dir)),
        }
    }

    pub fn started(&self) -> Option<Started> {
        match attempt::read_started(&self.dir).unwrap() {
            Found::Whole(s) => Some(s),
            _ => None,
        }
    }

    pub fn log(&self) -> Vec<u8> {
        std::fs::read(self.dir.join(file::LOG)).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.log()).into_owned()
    }

    /// Waits until the step itself says so by making a file in its workspace.
    pub fn until_work(&self, name: &str) {
        let path = self.work(name);
        until(&format!("the step to make {name}"), || path.exists());
    }

    /// Living processes that carry the token.
    pub fn carriers(&self) -> Vec<i32> {
        use quarterdeck::base::proc;
        let alive = |p: &i32| proc::stat(*p).is_some_and(|s| s.state != 'Z');
        proc::all().into_iter().filter(|p| proc::has_variable(*p, "QD_TOKEN", &self.spec.token)).filter(alive).collect()
    }

    /// I6: nobody carries the token any more.
    #[track_caller]
    pub fn assert_nobody_left(&self) {
        let left: Vec<_> = self.carriers().into_iter().map(|p| (p, quarterdeck::base::proc::command(p))).collect();
        assert!(left.is_empty(), "still running: {left:?}");
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.dir.exists() {
            let _ = survivors::stop_survivors(&self.dir);
        }
    }
}

/// Waits for a shim, and checks that it said nothing.
pub fn finish(child: Child) -> ExitStatus {
    let out = wait_output(child);
    assert!(out.stdout.is_empty() && out.stderr.is_empty(), "a shim prints nothing: {out:?}");
    out.status
}

fn wait_output(child: Child) -> std::process::Output {
    let pid = child.id() as i32;
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    match told.recv_timeout(LIMIT) {
        Ok(out) => out.unwrap(),
        Err(_) => {
            let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL);
            panic!("the shim did not end within {LIMIT:?}");
        }
    }
}
