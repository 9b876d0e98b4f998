//! The step's side of `$QD_REPORT`: JSON lines, one write each, fsynced where the verdict of a run may rest on them; by hand, words on stderr.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};

use crate::domain::report::{Fact, Line};
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;

/// A progress line at most so often; more would be a load on the engine that tails the file, and on the terminal.
const PROGRESS_EVERY_US: u64 = 250_000;

/// Writes report lines. A clone is the same report: the step's tasks share it.
#[derive(Clone)]
pub struct Report {
    file: Option<Arc<File>>,
    env: StepEnv,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last_progress_us: u64,
    drawn: bool,
    error: Option<String>,
}

impl Report {
    /// Opens `$QD_REPORT` for appending. A step that cannot report would lose its facts, so it does not start.
    pub fn open(env: &StepEnv) -> Result<Self, StepError> {
        let file = match &env.report {
            None => None,
            Some(path) => {
                let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
                Some(opened.map_err(|e| {
                    StepError::failed(
                        format!("the report file {} cannot be opened: {e}", path.display()),
                        "QD_REPORT is set by the runner; unset it to run the step by hand",
                    )
                })?)
            }
        };
        Ok(Self { file: file.map(Arc::new), env: env.clone(), state: Arc::default() })
    }

    pub fn progress(&self, done: u64, total: u64, unit: &str, text: &str) {
        let now = self.env.clock.boot_us();
        let Ok(mut state) = self.state.lock() else { return };
        if done != total && now.saturating_sub(state.last_progress_us) < PROGRESS_EVERY_US && state.last_progress_us != 0 {
            return;
        }
        state.last_progress_us = now.max(1);
        if self.file.is_some() {
            drop(state);
            self.write(&Line::Progress { done, total, unit: unit.to_owned(), text: text.to_owned() }, false);
        } else if self.env.terminal {
            state.drawn = true;
            drop(state);
            self.say_raw(&format!("\r\x1b[K{text} {done}/{total} {unit}"));
        }
    }

    pub fn detail(&self, text: &str) {
        self.write(&Line::Detail { text: text.to_owned() }, false);
    }

    pub fn output(&self, name: &str, value: &str) {
        self.write(&Line::Output { name: name.to_owned(), value: value.to_owned() }, false);
    }

    pub fn fact(&self, fact: Fact) {
        self.write(&Line::Fact(fact), true);
    }

    /// Before a write: what identifies it where it is made.
    pub fn intent(&self, key: &str, more: serde_json::Map<String, serde_json::Value>) {
        self.both(&Line::Intent { key: key.to_owned(), more });
    }

    /// After it: what it is called there.
    pub fn remote(&self, system: &str, kind: &str, id: &str) {
        self.both(&Line::Remote { system: system.to_owned(), kind: kind.to_owned(), id: id.to_owned() });
    }

    /// A collector should look again.
    pub fn refresh(&self, source: &str, scope: &str) {
        self.write(&Line::Refresh { source: source.to_owned(), scope: scope.to_owned() }, false);
    }

    /// To the journal, which the next attempt reads, and to the report.
    fn both(&self, line: &Line) {
        if let Some(path) = &self.env.journal
            && let Err(e) = super::journal::append(path, line)
            && let Ok(mut state) = self.state.lock()
        {
            state.error.get_or_insert_with(|| format!("journal {}: {e}", path.display()));
        }
        self.write(line, true);
    }

    /// A line for people: on stderr, which is the step's log inside a run.
    pub fn say(&self, text: &str) {
        let drawn = self.state.lock().is_ok_and(|mut s| std::mem::take(&mut s.drawn));
        self.say_raw(&format!("{}{text}\n", if drawn { "\r\x1b[K" } else { "" }));
    }

    /// The final line for people, on stdout.
    pub fn summary(&self, text: &str) {
        if self.state.lock().is_ok_and(|mut s| std::mem::take(&mut s.drawn)) {
            self.say_raw("\r\x1b[K");
        }
        if let Ok(mut out) = self.env.out.lock() {
            let _ = writeln!(out, "{text}");
        }
    }

    /// Whether everything that had to be durable is; asked once, at the end.
    pub fn finish(&self) -> Result<(), StepError> {
        match self.state.lock().ok().and_then(|s| s.error.clone()) {
            Some(error) => Err(StepError::failed(
                format!("the report could not be written: {error}"),
                "free space or mend the disk of the state directory, then retry",
            )),
            None => Ok(()),
        }
    }

    fn say_raw(&self, text: &str) {
        if let Ok(mut err) = self.env.err.lock() {
            let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        }
    }

    fn write(&self, line: &Line, durable: bool) {
        let Some(mut file) = self.file.as_deref() else { return };
        let Ok(mut bytes) = serde_json::to_vec(line) else { return };
        bytes.push(b'\n');
        let written = file.write_all(&bytes).and_then(|()| if durable { file.sync_data() } else { Ok(()) });
        if let (Err(e), Ok(mut state)) = (written, self.state.lock()) {
            state.error.get_or_insert_with(|| e.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::parse;

    #[test]
    fn lines_are_appended_one_by_one_and_progress_is_thinned() {
        let dir = tempfile::tempdir().unwrap();
        let mut env = StepEnv::from_process();
        env.report = Some(dir.path().join("report"));
        let report = Report::open(&env).unwrap();
        for done in 0..=1000 {
            report.progress(done, 1000, "packages", "downloading");
        }
        report.fact(Fact::Content { set: "s".into(), fp: "f".into(), md: "m".into() });
        report.output("packages", "3");
        report.finish().unwrap();
        let text = std::fs::read_to_string(dir.path().join("report")).unwrap();
        let lines: Vec<Line> = text.lines().map(|l| parse(l).unwrap()).collect();
        assert!(lines.len() < 100, "{} lines", lines.len());
        assert!(matches!(lines[0], Line::Progress { done: 0, .. }));
        assert!(lines.iter().any(|l| matches!(l, Line::Progress { done: 1000, total: 1000, .. })));
        assert!(matches!(&lines[lines.len() - 2], Line::Fact(Fact::Content { set, .. }) if set == "s"));
    }

    #[test]
    fn a_step_that_cannot_report_does_not_start() {
        let mut env = StepEnv::from_process();
        env.report = Some("/nonexistent/dir/report".into());
        assert!(Report::open(&env).is_err());
    }
}
