//! Typed rows to the flat rows of `get` and of the event stream: the names and forms that scripts rely on.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::api::types::{RunDoc, StageDoc, StepDoc};
use crate::base::instant;
use crate::domain::audit::Entry;
use crate::domain::decision::Decision;
use crate::domain::rows::{BusyRow, LockRow, QueueRow, RunRow, Summary, span_ms};
use crate::domain::run::{RunRef, RunState, Verdict};

pub type Row = Map<String, Value>;

pub const RUNS: &[&str] = &[
    "run",
    "pipeline",
    "number",
    "state",
    "verdict",
    "detail",
    "exit_code",
    "failed_stage",
    "failed_step",
    "requested_by",
    "reason",
    "started",
    "ended",
    "duration_ms",
    "fp_before",
    "fp_after",
    "queued",
    "trigger",
    "cause",
    "title",
    "cancel_by",
    "pinned",
    "replay_of",
    "changes",
    "children",
    "slow_since",
    "round",
    "round_started",
];
pub const QUEUE: &[&str] = &["run", "state", "priority", "requested_by", "queued", "blocked", "slow_since"];
pub const LOCKS: &[&str] = &["lock", "mode", "slots", "taken", "run", "stage", "since"];
pub const EXECUTORS: &[&str] = &["executor", "state", "run", "stage", "cell", "step", "since"];
pub const AUDIT: &[&str] = &["seq", "at", "who", "uid", "login_uid", "action", "subject", "reason", "result", "single_person", "hash"];
pub const DECISIONS: &[&str] =
    &["id", "kind", "subject", "who", "why", "at", "until", "ended", "uid", "login_uid", "sha", "single_person", "answers", "proposed"];
pub const PIPELINES: &[&str] = &[
    "pipeline",
    "description",
    "danger",
    "stages",
    "triggers",
    "last_run",
    "last_verdict",
    "last_ended",
    "errors",
    "file",
    "views",
    "umbrella",
    "last_success",
    "last_success_ended",
    "last_failure",
    "last_failure_ended",
    "last_duration_ms",
    "changes",
    "weather",
    "red_runs",
    "red_since",
    "moved",
];
pub const CONTENT: &[&str] = &["set", "os", "repos", "fp", "md", "packages", "size_bytes", "first_seen", "versions", "detail", "read"];

/// Microseconds since 1970 as RFC 3339 UTC, to the millisecond.
pub fn time(us: i64) -> String {
    Timestamp::from_microsecond(us).map(instant::utc).unwrap_or_default()
}

pub fn time_opt(us: Option<i64>) -> Option<String> {
    us.map(time)
}

/// A flat object, its keys in the order of `json!`.
fn flat(value: Value) -> Row {
    match value {
        Value::Object(map) => map,
        _ => Row::new(),
    }
}

/// An instant as [`time`] writes it, without a text of its own.
struct At(i64);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Ok(t) = Timestamp::from_microsecond(self.0) else { return to.serialize_str("") };
        let at = t.to_zoned(TimeZone::UTC).datetime();
        let (date, time) = (at.date(), at.time());
        let (h, m, s, ms) = (time.hour(), time.minute(), time.second(), time.millisecond());
        to.collect_str(&format_args!("{:04}-{:02}-{:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z", date.year(), date.month(), date.day()))
    }
}

/// A run's row in the order of [`RUNS`], written without a map: the table of runs is the one that grows.
#[derive(Serialize)]
pub struct RunOut<'a> {
    run: &'a RunRef,
    pipeline: &'a str,
    number: u64,
    state: RunState,
    verdict: Option<Verdict>,
    detail: &'a str,
    exit_code: Option<i32>,
    failed_stage: Option<&'a str>,
    failed_step: Option<&'a str>,
    requested_by: &'a str,
    reason: &'a str,
    started: Option<At>,
    ended: Option<At>,
    duration_ms: Option<u64>,
    fp_before: Option<&'a str>,
    fp_after: Option<&'a str>,
    queued: At,
    trigger: &'a str,
    cause: Option<&'a str>,
    title: &'a str,
    cancel_by: Option<&'a str>,
    pinned: bool,
    replay_of: Option<&'a RunRef>,
    changes: Option<&'a str>,
    children: Option<&'a str>,
    slow_since: Option<At>,
    round: u32,
    round_started: Option<At>,
}

impl<'a> RunOut<'a> {
    pub fn of(r: &'a RunRow) -> Self {
        Self {
            run: &r.run,
            pipeline: &r.pipeline,
            number: r.number,
            state: r.state,
            verdict: r.verdict,
            detail: &r.detail,
            exit_code: r.exit_code,
            failed_stage: r.failed_stage.as_deref(),
            failed_step: r.failed_step.as_deref(),
            requested_by: &r.requested_by,
            reason: &r.reason,
            started: r.started_us.map(At),
            ended: r.ended_us.map(At),
            duration_ms: r.duration_ms(),
            fp_before: r.fp_before.as_deref(),
            fp_after: r.fp_after.as_deref(),
            queued: At(r.created_us),
            trigger: &r.trigger,
            cause: r.cause.as_deref(),
            title: &r.title,
            cancel_by: r.cancel_by.as_deref(),
            pinned: r.pinned,
            replay_of: r.replay_of.as_ref(),
            changes: r.changes.as_deref(),
            children: r.children.as_deref(),
            slow_since: r.slow_us.map(At),
            round: r.round,
            round_started: r.round_us.map(At),
        }
    }
}

pub fn run(r: &RunRow) -> Row {
    flat(serde_json::to_value(RunOut::of(r)).unwrap_or(Value::Null))
}

/// Times in its words are those of the site.
pub fn queue(r: &QueueRow, zone: &TimeZone) -> Row {
    let blocked = r.blocked.as_ref().map(|b| b.in_zone(zone).to_string()).unwrap_or_default();
    flat(json!({
        "run": r.run, "state": r.state, "priority": r.priority, "requested_by": r.requested_by, "queued": time(r.created_us), "blocked": blocked,
        "slow_since": time_opt(r.slow_us),
    }))
}

/// `slots`: what there is of it, as the site file says.
pub fn lock(r: &LockRow, slots: u32) -> Row {
    let taken = if r.mode == "exclusive" { slots } else { r.taken };
    flat(json!({
        "lock": r.name, "mode": r.mode, "slots": slots, "taken": taken, "run": r.run, "stage": r.stage, "since": time_opt(r.since_us),
    }))
}

pub fn executor(number: usize, busy: Option<&BusyRow>) -> Row {
    let state = if busy.is_some() { "busy" } else { "free" };
    flat(json!({
        "executor": number, "state": state, "run": busy.map(|b| &b.run), "stage": busy.map(|b| &b.stage), "cell": busy.map(|b| &b.cell),
        "step": busy.map(|b| &b.step), "since": busy.map(|b| time(b.since_us)),
    }))
}

pub fn audit(e: &Entry) -> Row {
    let r = &e.record;
    flat(json!({
        "seq": e.seq, "at": time(e.at_us), "who": r.who.name, "uid": r.who.uid, "login_uid": r.who.login_uid, "action": r.action,
        "subject": r.subject, "reason": r.reason, "result": r.result, "single_person": r.single_person, "hash": e.hash,
    }))
}

pub fn decision(d: &Decision) -> Row {
    flat(json!({
        "id": d.id, "kind": d.kind, "subject": d.subject, "who": d.who.name, "why": d.why, "at": time(d.at_us), "until": time_opt(d.until_us),
        "ended": time_opt(d.ended_us), "uid": d.who.uid, "login_uid": d.who.login_uid, "sha": d.sha, "single_person": d.detail.single_person,
        "answers": d.detail.answers.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "),
        "proposed": d.detail.proposed,
    }))
}

/// The document of one run, as `run --wait --json` prints it.
pub fn document(s: &Summary) -> RunDoc {
    let word = |v: Option<crate::domain::run::Verdict>| v.map(|v| v.to_string());
    RunDoc {
        basis: String::new(),
        first_error: None,
        run: s.run.to_string(),
        verdict: word(s.verdict),
        detail: s.detail.clone(),
        started: time_opt(s.started_us),
        ended: time_opt(s.ended_us),
        duration_ms: span_ms(s.round_us, s.ended_us),
        round: s.round,
        round_started: time_opt(s.round_us),
        state: s.state.to_string(),
        stages: s
            .stages
            .iter()
            .map(|g| StageDoc {
                name: g.name.clone(),
                verdict: word(g.verdict),
                duration_ms: g.duration_ms,
                state: g.state.to_string(),
                detail: g.detail.clone(),
                steps: g
                    .steps
                    .iter()
                    .map(|t| StepDoc {
                        name: t.name.clone(),
                        verdict: word(t.verdict),
                        exit_code: t.exit_code,
                        state: t.state.to_string(),
                        detail: t.detail.clone(),
                        child: t.child.as_ref().map(ToString::to_string),
                    })
                    .collect(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_s_row_has_the_contract_s_names_and_forms() {
        let row = run(&RunRow {
            run: RunRef::new("n", 7),
            pipeline: "n".into(),
            number: 7,
            title: "n #7".into(),
            state: RunState::Done,
            verdict: Some(Verdict::Failure),
            detail: "exit 3".into(),
            exit_code: Some(3),
            failed_stage: Some("a".into()),
            failed_step: Some("b".into()),
            requested_by: "ann".into(),
            reason: String::new(),
            trigger: "manual".into(),
            cause: None,
            created_us: 0,
            started_us: Some(1_000),
            round_us: Some(1_000_000),
            ended_us: Some(3_500_000),
            fp_before: None,
            fp_after: None,
            cancel_by: None,
            pinned: false,
            round: 2,
            replay_of: None,
            changes: None,
            children: None,
            slow_us: None,
        });
        assert_eq!(row.keys().map(String::as_str).collect::<Vec<_>>(), RUNS);
        assert_eq!((&row["run"], &row["started"]), (&json!("n#7"), &json!("1970-01-01T00:00:00.001Z")));
        let pass = (&row["round"], &row["round_started"], &row["duration_ms"]);
        assert_eq!(pass, (&json!(2), &json!("1970-01-01T00:00:01.000Z"), &json!(2500)), "a resumed run took as long as its last pass");
        assert_eq!((&row["verdict"], &row["fp_before"]), (&json!("failure"), &Value::Null));
    }

    #[test]
    fn an_instant_of_a_row_is_written_as_any_other() {
        for us in [0, 999, 1_000, -1, 1_764_036_001_500_123, -62_135_596_800_000_000, 253_402_207_200_999_999] {
            assert_eq!(json!(At(us)), json!(time(us)), "{us}");
        }
    }
}
