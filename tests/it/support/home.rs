//! A home for one test: state directory, site file, pipelines, and the binary run against them. At drop every process that
//! carries the home's path (client, engine, shim, step) is killed, and the directory removed.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::process::{Foreground, kill_all_with};
use super::wait::LIMIT;

/// The binary under test.
pub const EXE: &str = env!("CARGO_BIN_EXE_quarterdeck");

#[derive(Debug)]
pub struct Home {
    dir: tempfile::TempDir,
}

/// What a command said, and its exit code (`-N` = ended by signal N).
#[derive(Debug, Clone)]
pub struct Out {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Out {
    /// Standard output as one JSON value; panics with everything that was said where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// Panics unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// An empty state directory, mode 0700, with `config/pipelines/` and no site file. The path is short: a socket must fit in it.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("qd-test-").tempdir().expect("a temporary directory");
        let home = Self { dir };
        for d in [home.root().join("home"), home.state(), home.config(), home.config().join("pipelines")] {
            std::fs::create_dir_all(&d).expect("directory");
            std::fs::set_permissions(&d, std::fs::Permissions::from_mode(0o700)).expect("mode");
        }
        home
    }

    /// A site with three runs of a pipeline `one`, and its engine.
    pub fn with_runs() -> Self {
        let home = Self::new();
        home.site("time_zone = \"UTC\"\n");
        home.pipeline("one", "format: 1\nname: one\nstages:\n  - name: only\n    run: 'true'\n");
        for _ in 0..3 {
            home.qd(["run", "one", "--wait"]).expect(0);
        }
        home
    }

    /// Everything of this test is below it.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// What `--state-dir` gets.
    pub fn state(&self) -> PathBuf {
        self.root().join("state")
    }

    pub fn config(&self) -> PathBuf {
        self.state().join("config")
    }

    /// The engine's socket where the site file names none.
    pub fn socket(&self) -> PathBuf {
        self.state().join("engine.sock")
    }

    /// Writes `site.toml`.
    pub fn site(&self, text: &str) -> &Self {
        std::fs::write(self.config().join("site.toml"), text).expect("site.toml");
        self
    }

    /// A command as messages name it to whoever gave `--state-dir`: `quarterdeck --state-dir STATE COMMAND`.
    pub fn named(&self, command: &str) -> String {
        format!("quarterdeck --state-dir {} {command}", self.state().display())
    }

    /// Writes `pipelines/NAME.yml`.
    pub fn pipeline(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.config().join(format!("pipelines/{name}.yml")), text).expect("pipeline");
        self
    }

    /// `quarterdeck --state-dir STATE ARGS…`, not yet started. The environment is small and the same everywhere.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut c = Command::new(EXE);
        c.arg("--state-dir").arg(self.state()).args(args);
        c.env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", self.root().join("home"))
            .env("LANG", "C.UTF-8")
            .env("QD_TEST_HOME", self.root());
        for kept in ["RUST_BACKTRACE", "LLVM_PROFILE_FILE", "QD_CRASH_AT"] {
            if let Some(value) = std::env::var_os(kept) {
                c.env(kept, value);
            }
        }
        c.current_dir(self.root());
        c
    }

    /// Runs the command to its end; one that hangs is killed after the limit, and the test fails.
    pub fn qd<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Out {
        run(self.command(args))
    }

    /// As [`Home::qd`] with `--json` before the command and exit code 0 expected.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        self.qd(std::iter::once(&"--json").chain(args)).expect(0).json()
    }

    /// Starts the command and leaves it running; killed when the value is dropped.
    pub fn foreground<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Foreground {
        Foreground::start(self.command(args))
    }

    /// Leaves the directory behind, for a look.
    pub fn keep(&mut self) {
        println!("kept: {}", self.root().display());
        self.dir.disable_cleanup(true);
    }

    /// Kills everything that this home started, as a power cut would.
    pub fn kill_everything(&self) {
        kill_all_with(&self.root().to_string_lossy());
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.kill_everything();
        if std::thread::panicking() && std::env::var_os("QD_KEEP").is_some() {
            self.keep();
        }
    }
}

/// Runs a command with its output captured; killed, and the test failed, after the limit. A background process that
/// inherited the pipe does not hold the test up.
pub fn run(mut command: Command) -> Out {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if start.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end within {LIMIT:?}");
        }
        std::thread::sleep(std::time::Duration::from_millis(3));
    };
    let code = status.code().unwrap_or_else(|| -std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0));
    let text = |rx: std::sync::mpsc::Receiver<Vec<u8>>| {
        String::from_utf8_lossy(&rx.recv_timeout(LIMIT).expect("the output of the program ends with it: who still holds the pipe?"))
            .into_owned()
    };
    Out { code, stdout: text(out), stderr: text(err) }
}

fn reader(from: Option<impl Read + Send + 'static>) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let (tx, rx) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        let _ = tx.send(bytes);
    });
    rx
}
