//! Taking in the end of an attempt: its status, report and artifacts become one value for one transaction. Reads files, decides nothing
//! about the run.
//!
//! Everything that a step wrote is hostile: lengths and counts are bounded, secrets are masked, control characters go.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::junit::{self, Mask, Wanted};
use super::{artifacts, inputs};
use crate::base::{sanitise, size};
use crate::domain::attempt::file;
use crate::domain::attempt::{EndedBy, MAX_REPORT, Status, Survivor};
use crate::domain::report::{self, Fact, Line};
use crate::domain::run::{StepKey, Verdict};
use crate::runner::model::active::ActiveRun;
use crate::runner::model::moves::Ended;
use crate::runner::paths;
use crate::store::{End, RunId};

const MAX_LINE: usize = 256 << 10;
const MAX_OUTPUTS: usize = 1_000;
const MAX_FACTS: usize = 10_000;
const MAX_VALUE: usize = 64 << 10;
/// All output values of an attempt together: they come into the environment of every later step, which the kernel limits.
const MAX_VALUES: usize = 256 << 10;
const MAX_DETAIL: usize = 1_000;

/// What is needed to take an attempt in.
#[derive(Debug, Clone)]
pub struct Job {
    pub fence: u64,
    pub run_id: RunId,
    pub key: StepKey,
    /// The report file.
    pub report: PathBuf,
    pub workspace: PathBuf,
    /// Patterns of the step.
    pub patterns: Vec<String>,
    /// Those of them whose files are test reports.
    pub tests: Vec<Wanted>,
    /// What its cell must be given first.
    pub inputs: Vec<super::inputs::Wanted>,
    pub artifacts: PathBuf,
    pub prefix: String,
}

impl Job {
    /// What taking the attempt in needs to know.
    pub fn of(run: &ActiveRun, key: StepKey, fence: u64, state_dir: &Path, dir: &str) -> Self {
        let run_dir = paths::run_dir(state_dir, &run.run);
        Self {
            fence,
            run_id: run.id,
            key,
            report: state_dir.join(dir).join(file::REPORT),
            workspace: paths::workspace(&run_dir, &run.plan, key),
            patterns: run.step(key).map(|s| s.artifacts.iter().map(|a| a.path.clone()).collect()).unwrap_or_default(),
            tests: run
                .step(key)
                .map(|s| s.artifacts.iter().filter_map(|a| Some(Wanted { path: a.path.clone(), tests: a.tests? })).collect())
                .unwrap_or_default(),
            inputs: run
                .plan
                .stages
                .get(key.stage as usize)
                .filter(|_| key.step == 0)
                .map(|s| inputs::wanted(s, state_dir))
                .unwrap_or_default(),
            artifacts: run_dir.join("artifacts"),
            prefix: paths::artifact_prefix(&run.plan, key),
        }
    }
}

/// Everything that the report says.
#[derive(Debug, Default)]
struct Report {
    detail: String,
    outputs: Vec<(String, String)>,
    facts: Vec<(String, String)>,
    left: Vec<(String, String)>,
    claimed: Vec<(String, String)>,
    refresh: Vec<(String, String)>,
    dropped: u64,
    /// Why the first of them was.
    why: String,
    /// It is as large as the shim lets it grow.
    full: bool,
}

impl Report {
    fn dropped(&mut self, why: impl FnOnce() -> String) {
        if self.dropped == 0 {
            self.why = why();
        }
        self.dropped += 1;
    }
}

/// An attempt whose `status.json` is written.
pub fn finished(job: &Job, status: &Status, mask: Mask<'_>) -> Ended {
    let mut verdict = match status.ended_by {
        EndedBy::Cancel => Verdict::Cancelled,
        EndedBy::Itself if status.code == Some(0) && status.signal.is_none() => Verdict::Success,
        _ => Verdict::Failure,
    };
    let report = read_report(&job.report, mask);
    let patterns: Vec<String> = job.patterns.iter().cloned().chain(report.claimed.iter().map(|(p, _)| glob::Pattern::escape(p))).collect();
    let (kept, mut notes) = artifacts::keep(&job.workspace, &patterns, &job.artifacts, &job.prefix);
    for (path, sha256) in &report.claimed {
        let path = format!("{}{path}", job.prefix);
        if kept.iter().any(|a| a.path == path && !a.sha256.eq_ignore_ascii_case(sha256)) {
            notes.push(format!("artifact {path} has another sha256 than its step said"));
        }
    }
    if report.dropped > 0 {
        let (lines, first) = if report.dropped == 1 { ("line was", "") } else { ("lines were", "the first: ") };
        notes.push(format!("{} report {lines} not taken in ({first}{})", report.dropped, report.why));
    }
    if report.full {
        notes.push(format!("its report reached the limit of {}: what came after was dropped", size::short(MAX_REPORT)));
    }
    let tested = junit::take(&job.tests, &kept, &job.artifacts, &job.prefix, verdict == Verdict::Success, mask);
    let mut parts = vec![report.detail.clone()];
    if verdict != Verdict::Success {
        parts.push(how_it_ended(status));
    }
    if let Some(t) = &tested {
        parts.push(t.sentence());
        // Tests that failed, or that nobody can read, are no success whatever the command's exit code says.
        if t.fail && t.is_red() && verdict == Verdict::Success {
            verdict = Verdict::Failure;
        }
    }
    parts.extend(notes);
    let detail = detail(&parts, mask);
    let end = End {
        verdict: Some(verdict),
        code: status.code,
        signal: status.signal,
        detail,
        started_us: Some(status.wall_us_ended - (status.boot_us_ended.saturating_sub(status.boot_us_started)) as i64),
        ended_us: status.wall_us_ended,
        log_bytes: status.log_bytes,
        log_dropped_bytes: status.log_dropped_bytes,
        log_sha256: status.log_sha256.clone(),
        max_rss_kib: status.max_rss_kib,
        cpu_us: status.user_cpu_us.saturating_add(status.system_cpu_us),
        left_running: serde_json::to_string(&status.left_running).unwrap_or_default(),
        outputs: report.outputs,
        facts: report.facts,
        artifacts: kept,
        tested: tested.map(Box::new),
        ..blank(job)
    };
    Ended { end, ended_by: status.ended_by, left: report.left, refresh: report.refresh }
}

/// An attempt of which nobody can know how it ended. Its report still counts: what it wrote it wrote.
pub fn lost(job: &Job, why: &str, survivors: &[Survivor], now_us: i64, mask: Mask<'_>) -> Ended {
    let report = read_report(&job.report, mask);
    let end = End {
        verdict: Some(Verdict::Lost),
        detail: detail(&[format!("lost: {why}"), report.detail], mask),
        ended_us: now_us,
        left_running: serde_json::to_string(survivors).unwrap_or_default(),
        facts: report.facts,
        ..blank(job)
    };
    Ended { end, ended_by: EndedBy::Itself, left: report.left, refresh: report.refresh }
}

/// An attempt that was called off before anything of it began, or that could never begin.
pub fn unstarted(job: &Job, verdict: Verdict, why: &str, now_us: i64) -> Ended {
    let ended_by = if verdict == Verdict::Cancelled { EndedBy::Cancel } else { EndedBy::Setup };
    let end = End { verdict: Some(verdict), detail: why.to_owned(), ended_us: now_us, ..blank(job) };
    Ended { end, ended_by, left: Vec::new(), refresh: Vec::new() }
}

fn blank(job: &Job) -> End {
    End { fence: job.fence, run: job.run_id, stage: job.key.stage, cell: job.key.cell, step: job.key.step, ..End::default() }
}

fn how_it_ended(status: &Status) -> String {
    if !status.detail.is_empty() {
        return status.detail.clone();
    }
    match (status.ended_by, status.code, status.signal) {
        (EndedBy::Timeout, ..) => "its time was up".to_owned(),
        (EndedBy::Stall, ..) => "it said nothing for too long".to_owned(),
        (EndedBy::LogLimit, ..) => "its log reached the limit".to_owned(),
        (EndedBy::Cancel, ..) => "cancelled".to_owned(),
        (_, Some(code), _) => format!("exit code {code}"),
        (_, None, Some(signal)) if status.oom => format!("killed by signal {signal}: out of memory"),
        (_, None, Some(signal)) => format!("killed by signal {signal}"),
        (_, None, None) => "it ended without an exit code".to_owned(),
    }
}

/// One line for people, bounded and safe.
fn detail(parts: &[String], mask: Mask<'_>) -> String {
    let text = parts.iter().filter(|p| !p.is_empty()).map(String::as_str).collect::<Vec<_>>().join("; ");
    cut(&sanitise::cell(&mask(&text)), MAX_DETAIL)
}

fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    format!("{}…", &text[..end])
}

fn read_report(path: &Path, mask: Mask<'_>) -> Report {
    let mut r = Report::default();
    let Ok(file) = open_regular(path) else { return r };
    r.full = file.metadata().is_ok_and(|m| m.len() >= MAX_REPORT);
    let mut reader = BufReader::new(file.take(MAX_REPORT));
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line) {
            Ok(0) => return r,
            Ok(_) if line.len() > MAX_LINE && line.last() != Some(&b'\n') => {
                r.dropped(|| format!("longer than {}", size::short(MAX_LINE as u64)));
                // The rest of the long line is no line of its own.
                loop {
                    let mut rest = Vec::new();
                    match (&mut reader).take(1 << 16).read_until(b'\n', &mut rest) {
                        Ok(0) => return r,
                        Ok(_) if rest.last() == Some(&b'\n') => break,
                        Ok(_) => {}
                        Err(_) => return r,
                    }
                }
            }
            Ok(_) => take_line(&mut r, &line, mask),
            Err(_) => return r,
        }
    }
}

/// The step could have put a pipe or a link in its report's place.
fn open_regular(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("no regular file")) }
}

fn take_line(r: &mut Report, line: &[u8], mask: Mask<'_>) {
    // A killed step may have written half of its last line; a line of a later version is not ours to judge.
    let Some(parsed) = std::str::from_utf8(line).ok().and_then(|l| report::parse(l.trim_end())) else {
        if !line.iter().all(u8::is_ascii_whitespace) {
            r.dropped(|| format!("`{}` is none", cut(mask(&sanitise::bytes(line, sanitise::Colour::Drop)).trim_end(), 60)));
        }
        return;
    };
    match parsed {
        Line::Detail { text } => r.detail = cut(&text, MAX_DETAIL),
        Line::Output { name, value } => {
            let taken: usize = r.outputs.iter().map(|(_, v)| v.len()).sum();
            let named = !name.is_empty() && name.len() <= 128 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            let why = if !named {
                "cannot be a name: letters, digits, `_` and `-`, at most 128"
            } else if value.contains('\0') {
                // No environment can hold it: a later step would pay for this one's mistake.
                "has a NUL in it"
            } else if value.len() > MAX_VALUE {
                "is too long; hand over a file as an artifact"
            } else if taken + value.len() > MAX_VALUES || r.outputs.len() >= MAX_OUTPUTS {
                "is more than all outputs of a step may be together; hand over a file as an artifact"
            } else {
                r.outputs.push((name, mask(&value)));
                return;
            };
            r.dropped(|| format!("output `{}` {why}", cut(&mask(&sanitise::cell(&name)), 40)));
        }
        Line::Artifact { path, sha256 } if r.claimed.len() < MAX_OUTPUTS => r.claimed.push((path, sha256)),
        Line::Fact(fact) if r.facts.len() < MAX_FACTS => {
            let kind = match &fact {
                Fact::Content { set, fp, .. } => {
                    r.left.push((set.clone(), fp.clone()));
                    "content"
                }
                _ => "fact",
            };
            let json = serde_json::to_string(&fact).unwrap_or_default();
            let kind = serde_json::from_str::<serde_json::Value>(&json)
                .ok()
                .and_then(|v| v["kind"].as_str().map(str::to_owned))
                .unwrap_or_else(|| kind.to_owned());
            r.facts.push((kind, mask(&json)));
        }
        Line::Remote { system, kind, id } if r.facts.len() < MAX_FACTS => {
            let json = serde_json::json!({ "kind": "remote", "system": system, "object": kind, "id": id }).to_string();
            r.facts.push(("remote".to_owned(), mask(&json)));
        }
        Line::Refresh { source, scope } if r.refresh.len() < MAX_OUTPUTS => r.refresh.push((source, scope)),
        Line::Artifact { .. } | Line::Fact(_) | Line::Remote { .. } | Line::Refresh { .. } => {
            r.dropped(|| "more of its kind than are kept".into())
        }
        Line::Progress { .. } | Line::Intent { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(dir: &Path) -> Job {
        Job {
            fence: 3,
            run_id: 1,
            key: StepKey { stage: 0, cell: 0, step: 0 },
            report: dir.join("report"),
            workspace: dir.join("ws"),
            patterns: Vec::new(),
            tests: Vec::new(),
            inputs: Vec::new(),
            artifacts: dir.join("artifacts"),
            prefix: String::new(),
        }
    }

    fn status(json: serde_json::Value) -> Status {
        let mut base = serde_json::json!({
            "format": 1, "fence": 3, "boot_us_started": 1_000, "boot_us_ended": 3_000, "wall_us_ended": 9_000, "user_cpu_us": 1,
            "system_cpu_us": 2, "max_rss_kib": 0, "log_bytes": 0, "log_dropped_bytes": 0, "log_sha256": ""
        });
        base.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        serde_json::from_value(base).unwrap()
    }

    #[test]
    fn i13_only_a_written_exit_0_is_a_success() {
        let dir = tempfile::tempdir().unwrap();
        let j = job(dir.path());
        let plain = |s: &str| s.to_owned();
        for (json, want) in [
            (serde_json::json!({"code": 0}), Verdict::Success),
            (serde_json::json!({"code": 1}), Verdict::Failure),
            (serde_json::json!({"signal": 9}), Verdict::Failure),
            (serde_json::json!({}), Verdict::Failure),
            (serde_json::json!({"code": 0, "ended_by": "timeout"}), Verdict::Failure),
            (serde_json::json!({"code": 0, "ended_by": "stall"}), Verdict::Failure),
            (serde_json::json!({"code": 0, "ended_by": "log-limit"}), Verdict::Failure),
            (serde_json::json!({"code": 0, "ended_by": "setup"}), Verdict::Failure),
            (serde_json::json!({"code": 0, "ended_by": "cancel"}), Verdict::Cancelled),
        ] {
            let e = finished(&j, &status(json.clone()), &plain);
            assert_eq!(e.end.verdict, Some(want), "{json}");
            assert_eq!(e.end.started_us, Some(7_000));
        }
        assert_eq!(lost(&j, "supervisor killed", &[], 5, &plain).end.verdict, Some(Verdict::Lost));
    }

    #[test]
    fn failed_tests_are_no_success_and_what_their_pipeline_only_notes_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("ws")).unwrap();
        let judge = |xml: &str, fail: bool, code: i32| {
            std::fs::write(dir.path().join("ws/junit.xml"), xml).unwrap();
            let tests = crate::pipeline::plan::Tests { flaky_after: 3, fail };
            let wanted = Wanted { path: "junit.xml".into(), tests };
            let j = Job { patterns: vec!["junit.xml".into()], tests: vec![wanted], ..job(dir.path()) };
            finished(&j, &status(serde_json::json!({ "code": code })), &|t: &str| t.to_owned()).end
        };
        let red = "<testsuite name='s'><testcase name='a'/><testcase name='b'><failure message='no'/></testcase></testsuite>";
        let end = judge(red, true, 0);
        assert_eq!((end.verdict, end.detail.as_str()), (Some(Verdict::Failure), "1 of 2 tests failed: s.b"));
        assert_eq!(end.tested.as_ref().map(|t| (t.passed, t.failed)), Some((1, 1)));
        assert_eq!(judge(red, true, 3).detail, "exit code 3; 1 of 2 tests failed: s.b");
        let noted = judge(red, false, 0);
        assert_eq!((noted.verdict, noted.detail.as_str()), (Some(Verdict::Success), "1 of 2 tests failed: s.b"));
        assert_eq!(judge("<testsuite><testcase name='a'/></testsuite>", true, 0).verdict, Some(Verdict::Success));
        let bomb = judge("<!DOCTYPE x [<!ENTITY a 'b'>]><testsuite><testcase name='&a;'/></testsuite>", true, 0);
        assert_eq!(bomb.verdict, Some(Verdict::Failure));
        assert_eq!(bomb.detail, "test report junit.xml cannot be taken in: a document type is not allowed in it");
    }

    #[test]
    fn a_report_at_its_limit_says_that_something_was_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let j = job(dir.path());
        std::fs::File::create(&j.report).unwrap().set_len(MAX_REPORT).unwrap();
        let end = finished(&j, &status(serde_json::json!({"code": 0})), &|t: &str| t.to_owned()).end;
        assert!(end.detail.contains("reached the limit of 32 MiB"), "{}", end.detail);
    }

    #[test]
    fn a_hostile_report_is_bounded_masked_and_made_safe() {
        let dir = tempfile::tempdir().unwrap();
        let j = job(dir.path());
        let mut text = String::new();
        text.push_str("{\"type\":\"detail\",\"text\":\"old\"}\n\n");
        text.push_str("{\"type\":\"detail\",\"text\":\"\\u001b[31mhunter22 \\u0007done\"}\n");
        text.push_str("{\"type\":\"output\",\"name\":\"token\",\"value\":\"hunter22\"}\n");
        text.push_str("{\"type\":\"output\",\"name\":\"../x\",\"value\":\"1\"}\n");
        text.push_str("{\"type\":\"output\",\"name\":\"nul\",\"value\":\"a\\u0000b\"}\n");
        text.push_str("{\"type\":\"fact\",\"kind\":\"content\",\"set\":\"el9\",\"fp\":\"ab\",\"md\":\"cd\"}\n");
        text.push_str(&format!("{{\"type\":\"detail\",\"text\":\"{}\"}}\n", "x".repeat(MAX_LINE)));
        text.push_str("{\"type\":\"refresh\",\"source\":\"repos\"}\n{\"type\":\"det");
        std::fs::write(&j.report, text).unwrap();
        let mask = |s: &str| s.replace("hunter22", "****");
        let e = finished(&j, &status(serde_json::json!({"code": 0})), &mask);
        assert!(e.end.detail.starts_with("**** done") || e.end.detail.contains("****"), "{}", e.end.detail);
        assert!(!e.end.detail.contains('\u{1b}') && !e.end.detail.contains("hunter22"));
        assert!(e.end.detail.contains("4 report lines were not taken in (the first: output `../x` cannot be a name"), "{}", e.end.detail);
        assert_eq!(e.end.outputs, [("token".to_owned(), "****".to_owned())]);
        assert_eq!(e.left, [("el9".to_owned(), "ab".to_owned())]);
        assert_eq!(e.refresh, [("repos".to_owned(), String::new())]);
        std::fs::remove_file(&j.report).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &j.report).unwrap();
        assert_eq!(finished(&j, &status(serde_json::json!({"code": 0})), &mask).end.detail, "");
    }

    #[test]
    fn outputs_never_outgrow_the_environment_of_later_steps() {
        let dir = tempfile::tempdir().unwrap();
        let value = "x".repeat(60 << 10);
        let text: String = (0..50).map(|n| format!("{{\"type\":\"output\",\"name\":\"n{n}\",\"value\":\"{value}\"}}\n")).collect();
        std::fs::write(dir.path().join("report"), text).unwrap();
        let e = finished(&job(dir.path()), &status(serde_json::json!({"code": 0})), &|t: &str| t.to_owned());
        assert_eq!(e.end.outputs.len(), 4);
        assert!(e.end.detail.contains("46 report lines were not taken in (the first: output `n4` is more than all"), "{}", e.end.detail);
    }
}
