//! The engine's log: daily files in `STATE/logs`, fourteen of them, every line through the secret filter; and what happens on a panic.
//!
//! The filter sits below the formatter, on whole lines, so nothing can be written around it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::base::mask::Masker;
use crate::base::redact;

/// Files kept.
const FILES: usize = 14;
pub const PREFIX: &str = "engine";

/// The values that must not be written, as far as the engine has learnt them; and what looks like a credential.
#[derive(Clone, Default)]
pub struct SecretFilter {
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    values: Vec<Zeroizing<Vec<u8>>>,
    masker: Option<Masker>,
}

impl SecretFilter {
    /// From now on this value is not written, however it is encoded.
    pub fn learn(&self, value: &[u8]) {
        let mut known = match self.known.write() {
            Ok(k) => k,
            Err(poisoned) => poisoned.into_inner(),
        };
        if known.values.iter().any(|v| v.as_slice() == value) {
            return;
        }
        known.values.push(Zeroizing::new(value.to_vec()));
        match Masker::new(known.values.iter().map(|v| ("", v.as_slice()))) {
            Ok(masker) => known.masker = Some(masker),
            // Too short to be hidden; such a value is refused everywhere.
            Err(_) => drop(known.values.pop()),
        }
    }

    /// The line as it may be written.
    pub fn clean(&self, line: &str) -> String {
        let known = match self.known.read() {
            Ok(k) => k,
            Err(poisoned) => poisoned.into_inner(),
        };
        let masked = known.masker.as_ref().map_or_else(|| line.to_owned(), |m| m.text(line));
        redact::text(&masked).into_owned()
    }
}

/// Passes whole lines through the filter.
struct Filtered<W: Write> {
    to: W,
    filter: SecretFilter,
}

impl<W: Write> Write for Filtered<W> {
    /// The formatter hands over one event a call, with its line ending.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.to.write_all(self.filter.clean(&String::from_utf8_lossy(buf)).as_bytes())?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Keeps the log writing; what is queued is written when it goes.
pub struct Guard {
    _worker: WorkerGuard,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log in {dir}: {why}", dir = dir.display())]
pub struct NoLog {
    dir: PathBuf,
    why: String,
}

/// Starts the log. `level` is a word, or the filter language of tracing (`info,quarterdeck::runner=debug`).
pub fn start(state: &Path, level: &str, filter: SecretFilter) -> Result<Guard, NoLog> {
    let dir = state.join("logs");
    let fail = |why: String| NoLog { dir: dir.clone(), why };
    let appender = daily(&dir, PREFIX, FILES).map_err(fail)?;
    // Bounded: a disk that hangs must not hang the engine; lines beyond that are counted by the appender and dropped.
    let (writer, worker) = tracing_appender::non_blocking(Filtered { to: appender, filter });
    let levels = EnvFilter::try_new(level).map_err(|e| fail(format!("`{level}` is no log level: {e}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(true)
        .try_init()
        .map_err(|e| fail(e.to_string()))?;
    Ok(Guard { _worker: worker })
}

/// A file a day in `dir`, which is made for us alone; so many are kept.
pub fn daily(dir: &Path, prefix: &str, files: usize) -> Result<RollingFileAppender, String> {
    private_dir(dir).map_err(|e| e.to_string())?;
    let builder = RollingFileAppender::builder().rotation(Rotation::DAILY).filename_prefix(prefix).filename_suffix("log");
    builder.max_log_files(files).build(dir).map_err(|e| e.to_string())
}

/// Makes a directory of our own, 0700.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

/// From now on a panic, in whatever thread, writes a report without environment or arguments, and ends the process: a half-dead engine
/// would hold the store's lock and answer nothing. Its steps go on under their shims.
pub fn end_on_panic(state: &Path, filter: SecretFilter) {
    let dir = state.join("logs");
    std::panic::set_hook(Box::new(move |info| {
        let at = jiff::Timestamp::now();
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("(no message)");
        let place = info.location().map_or_else(|| "?".to_owned(), |l| format!("{}:{}:{}", l.file(), l.line(), l.column()));
        let thread = std::thread::current().name().unwrap_or("?").to_owned();
        let text = format!(
            "quarterdeck {} (pid {}) panicked at {at}\nthread: {thread}\nplace: {place}\nmessage: {message}\n\n{}\n",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            std::backtrace::Backtrace::force_capture()
        );
        let text: String = text.lines().map(|l| filter.clean(l) + "\n").collect();
        let path = dir.join(format!("panic-{}-{}.txt", at.strftime("%Y%m%dT%H%M%SZ"), std::process::id()));
        let written = crate::base::durable::replace(&path, text.as_bytes(), 0o600);
        let told = match written {
            Ok(()) => format!("quarterdeck: internal error at {place}; the report is {}\n", path.display()),
            Err(e) => format!("quarterdeck: internal error at {place}; no report could be written: {e}\n{text}"),
        };
        let _ = io::stderr().write_all(told.as_bytes());
        std::process::exit(EXIT_PANIC);
    }));
}

/// Exit code of a process that ended itself by the panic hook, as Rust's own.
const EXIT_PANIC: i32 = 101;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_goes_around_the_filter() {
        let filter = SecretFilter::default();
        filter.learn(b"p\"ss word&1");
        filter.learn(b"-----BEGIN KEY-----\nabcdefghijkl\n-----END KEY-----");
        filter.learn(b"tiny");
        let mut out = Vec::new();
        {
            let mut w = Filtered { to: &mut out, filter };
            // The last sign of a base64 text depends on what follows it, and gives two bits away.
            let line = "a p\"ss word&1 b p%22ss+word%261 c cCJzcyB3b3JkJjE d p\\\"ss word&1 e abcdefghijkl f tiny g https://u:pw@h/\n";
            w.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "a *** b *** c ***E d *** e *** f tiny g https://u:***@h/\n");
    }

    /// The hook ends its process, so a child of this test program panics in our place.
    #[test]
    fn a_panic_ends_the_process_with_a_report_that_holds_no_environment_and_no_secret() {
        const VARIABLE: &str = "QD_TEST_PANIC_IN";
        if let Some(dir) = std::env::var_os(VARIABLE) {
            let filter = SecretFilter::default();
            filter.learn(b"s3cret-value");
            end_on_panic(Path::new(&dir), filter);
            let _ = std::thread::spawn(|| panic!("it broke on s3cret-value")).join();
            std::process::exit(0);
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        let name = "engine::logging::tests::a_panic_ends_the_process_with_a_report_that_holds_no_environment_and_no_secret";
        let out = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(VARIABLE, dir.path())
            .env("QD_TEST_ENVIRONMENT", "must-not-be-in-the-report")
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(EXIT_PANIC), "{out:?}");
        let report = std::fs::read_dir(dir.path().join("logs")).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(&report).unwrap();
        assert!(text.contains("it broke on ***") && text.contains("logging.rs") && text.contains("pid "), "{text}");
        assert!(!text.contains("must-not-be") && !text.contains("s3cret"), "{text}");
        assert!(String::from_utf8_lossy(&out.stderr).contains(&report.display().to_string()));
    }
}
