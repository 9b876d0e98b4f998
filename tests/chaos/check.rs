//! The invariants, as a pure function over evidence: journals and files on one side, what the store claims on the other.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::{Event, Journal, output_line};

/// One run as the store tells it.
#[derive(Debug, Clone, Default)]
pub struct RunClaim {
    pub pipeline: String,
    pub number: u64,
    pub state: String,
    pub verdict: String,
    /// What set it off; `upstream:RUN:…` of a run that a stage started.
    pub cause: String,
}

impl RunClaim {
    /// The run whose stage started this one.
    pub fn parent(&self) -> Option<(String, u64)> {
        let (pipeline, number) = self.cause.strip_prefix("upstream:")?.split(':').next()?.split_once('#')?;
        Some((pipeline.to_owned(), number.parse().ok()?))
    }
}

/// One attempt as the store tells it.
#[derive(Debug, Clone, Default)]
pub struct AttemptClaim {
    pub id: String,
    pub pipeline: String,
    pub number: u64,
    pub state: String,
    pub verdict: String,
    pub code: Option<i64>,
    pub ingests: i64,
    pub log_dropped_bytes: i64,
}

/// `status.json` of an attempt, as far as the invariants need it.
#[derive(Debug, Clone, Default)]
pub struct StatusFile {
    pub code: Option<i64>,
    pub ended_by: String,
}

/// One row of the ledger of scheduled starts.
#[derive(Debug, Clone, Default)]
pub struct Occurrence {
    pub pipeline: String,
    pub trigger: String,
    pub scheduled_us: i64,
    pub outcome: String,
    pub cause: String,
    pub why: String,
    pub run: Option<u64>,
}

/// A trigger of the estate: every so many microseconds, counted from its phase. No two of a pipeline are due at once.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    pub pipeline: &'static str,
    pub every_us: i64,
    pub phase_us: i64,
}

impl Beat {
    fn is_due(&self, at_us: i64) -> bool {
        (at_us - self.phase_us).rem_euclid(self.every_us) == 0
    }
}

/// Every time at which something is due, later than `from_us` and up to `until_us`.
pub fn due(beats: &[Beat], from_us: i64, until_us: i64) -> Vec<(&'static str, i64)> {
    let of = |b: &Beat| {
        let (pipeline, every) = (b.pipeline, b.every_us);
        let first = from_us + every - (from_us - b.phase_us).rem_euclid(every);
        (0..).map(move |n| first + n * every).take_while(move |at| *at <= until_us).map(move |at| (pipeline, at))
    };
    beats.iter().flat_map(of).collect()
}

/// The token of a run that nobody asked for by hand.
pub const NOBODY: &str = "none";

/// What a pipeline is expected to do where nobody is killed.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    pub pipeline: &'static str,
    pub verdict: &'static str,
    /// Steps, by their cell word, that must have ended with 0 before the run may be called a success.
    pub must: &'static [&'static str],
}

#[derive(Debug, Default)]
pub struct Evidence {
    pub journals: BTreeMap<String, Journal>,
    pub statuses: BTreeMap<String, StatusFile>,
    /// First bytes of each log, at most as many as the step could have written.
    pub logs: BTreeMap<String, Vec<u8>>,
    pub runs: Vec<RunClaim>,
    pub attempts: Vec<AttemptClaim>,
    /// Runs that a client was told about: pipeline, number, token.
    pub told: Vec<(String, u64, String)>,
    /// Runs that a client asked to cancel: they may end as cancelled, or as they would have.
    pub cancelled: BTreeSet<(String, u64)>,
    /// Attempts whose shim or step we killed (or lost in a power cut): they may end in any red way.
    pub hit: BTreeSet<String>,
    /// Processes of ended attempts that are still there: attempt, pid, command.
    pub survivors: Vec<(String, i32, String)>,
    pub natures: &'static [Nature],
    pub occurrences: Vec<Occurrence>,
    pub beats: Vec<Beat>,
    /// When the triggers were written into their files: nothing is owed from before.
    pub placed_us: i64,
    /// From when on the scheduler knew all of them: each time is owed.
    pub known_us: i64,
    /// Up to here all must be settled.
    pub until_us: i64,
    /// When the ledger was read.
    pub read_us: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

pub fn check(e: &Evidence) -> Vec<Violation> {
    let mut out = Vec::new();
    let mut bad = |invariant, what: String| out.push(Violation { invariant, what });
    started_once(e, &mut bad);
    one_verdict(e, &mut bad);
    status_is_law(e, &mut bad);
    numbers(e, &mut bad);
    locks(e, &mut bad);
    for (attempt, pid, command) in &e.survivors {
        bad("I6", format!("process {pid} ({command}) of {attempt} is alive after the verdict"));
    }
    logs(e, &mut bad);
    successes(e, &mut bad);
    children(e, &mut bad);
    natural(e, &mut bad);
    ledger(e, &mut bad);
    out.sort();
    out.dedup();
    out
}

type Bad<'a> = &'a mut dyn FnMut(&'static str, String);

fn name(pipeline: &str, number: u64) -> String {
    format!("{pipeline}#{number}")
}

/// I1: an attempt starts at most once, and a step is started again only where its pipeline allows it and the attempt before did not succeed.
fn started_once(e: &Evidence, bad: Bad) {
    let mut steps: BTreeMap<(String, u64, String, String, String), Vec<&Journal>> = BTreeMap::new();
    for (id, j) in &e.journals {
        if j.starts() > 1 {
            bad("I1", format!("attempt {id} was started {} times", j.starts()));
        }
        let h = &j.head;
        steps.entry((h.pipeline.clone(), h.number, h.stage.clone(), h.step.clone(), h.cell.clone())).or_default().push(j);
    }
    for ((pipeline, number, stage, step, cell), mut tries) in steps {
        tries.sort_by_key(|j| j.interval().0);
        let place = format!("{} {stage}/{step} [{cell}]", name(&pipeline, number));
        if tries.len() > 1 && !tries[0].head.again {
            bad("I1", format!("{place} is not idempotent, and its command began {} times", tries.len()));
        }
        for pair in tries.windows(2) {
            if pair[0].end() == Some(0) && !e.hit.contains(&pair[0].head.attempt) {
                bad("I1", format!("{place} was started again after it had ended with 0"));
            }
            if pair[0].interval().1 > pair[1].interval().0 {
                bad("I1", format!("{place}: two attempts ran at the same time"));
            }
        }
    }
}

/// I2: exactly one terminal verdict for each attempt and run.
fn one_verdict(e: &Evidence, bad: Bad) {
    let known: BTreeSet<&str> = e.attempts.iter().map(|a| a.id.as_str()).collect();
    for id in e.journals.keys().filter(|id| !known.contains(id.as_str())) {
        bad("I2", format!("attempt {id} ran, and the store does not know it"));
    }
    for a in &e.attempts {
        if a.state != "done" || a.verdict.is_empty() {
            bad("I2", format!("attempt {} of {} has no verdict (state {})", a.id, name(&a.pipeline, a.number), a.state));
        }
        if a.ingests > 1 {
            bad("I2", format!("attempt {} was ingested {} times", a.id, a.ingests));
        }
    }
    for r in e.runs.iter().filter(|r| r.state != "done" || r.verdict.is_empty()) {
        bad("I2", format!("run {} has no verdict (state {})", name(&r.pipeline, r.number), r.state));
    }
}

/// I3: a written status is never contradicted.
fn status_is_law(e: &Evidence, bad: Bad) {
    for a in &e.attempts {
        let Some(s) = e.statuses.get(&a.id) else { continue };
        let expected: &[&str] = match (s.ended_by.as_str(), s.code) {
            ("cancel", _) => &["cancelled"],
            ("itself", Some(0)) => &["success"],
            _ => &["failure"],
        };
        if !expected.contains(&a.verdict.as_str()) || (a.state == "done" && a.code != s.code) {
            bad("I3", format!("attempt {}: the file says {s:?}, the store {} with code {:?}", a.id, a.verdict, a.code));
        }
    }
}

/// I4: numbers of a pipeline are 1..=n, and each belongs to one request.
fn numbers(e: &Evidence, bad: Bad) {
    let mut numbers: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for r in &e.runs {
        numbers.entry(&r.pipeline).or_default().push(r.number);
    }
    for (pipeline, mut list) in numbers {
        list.sort_unstable();
        if list.iter().enumerate().any(|(i, n)| *n != i as u64 + 1) {
            bad("I4", format!("numbers of {pipeline} are not 1 to {}: {list:?}", list.len()));
        }
    }
    let mut owner: BTreeMap<(String, u64), BTreeSet<&str>> = BTreeMap::new();
    let mut runs_of: BTreeMap<&str, BTreeSet<(String, u64)>> = BTreeMap::new();
    let spoken = e.journals.values().map(|j| (j.head.pipeline.clone(), j.head.number, j.head.token.as_str()));
    for (pipeline, number, token) in spoken.chain(e.told.iter().map(|(p, n, t)| (p.clone(), *n, t.as_str()))) {
        owner.entry((pipeline.clone(), number)).or_default().insert(token);
        runs_of.entry(token).or_default().insert((pipeline, number));
    }
    for ((pipeline, number), tokens) in owner.iter().filter(|(_, t)| t.len() > 1) {
        bad("I4", format!("{} was given to {} requests", name(pipeline, *number), tokens.len()));
    }
    for (token, runs) in runs_of.iter().filter(|(t, r)| **t != NOBODY && r.len() > 1) {
        bad("I4", format!("request {token} became {} runs", runs.len()));
    }
    for (pipeline, number, _) in &e.told {
        if !e.runs.iter().any(|r| r.pipeline == *pipeline && r.number == *number) {
            bad("I4", format!("{} was promised to a client, and is not there", name(pipeline, *number)));
        }
    }
}

/// I5: from the steps' own times, and from a kernel lock that each of them takes.
fn locks(e: &Evidence, bad: Bad) {
    let mut held: BTreeMap<&str, Vec<(&str, u64, u64, &str)>> = BTreeMap::new();
    for (id, j) in &e.journals {
        if j.lines.iter().any(|l| l.event == Event::Overlap) {
            bad("I5", format!("attempt {id} of {} found its lock {} taken", name(&j.head.pipeline, j.head.number), j.head.lock));
        }
        if let Some((lock, mode)) = j.head.lock.split_once(':') {
            let (from, to) = j.interval();
            held.entry(lock).or_default().push((mode, from, to, id));
        }
    }
    for (lock, list) in held {
        // `n2`: two slots. At the start of each holder no more than that many hold it, itself included.
        for (slots, a) in list.iter().filter_map(|a| Some((a.0.strip_prefix('n')?.parse::<usize>().ok()?, a))) {
            let at = list.iter().filter(|b| b.1 <= a.1 && a.1 < b.2).count();
            if at > slots {
                bad("I5", format!("lock {lock}: {at} hold it at the start of attempt {}, and it has {slots} slots", a.3));
            }
        }
        for (i, a) in list.iter().enumerate() {
            for b in &list[i + 1..] {
                if (a.0 == "ex" || b.0 == "ex") && a.1 < b.2 && b.1 < a.2 {
                    bad("I5", format!("lock {lock}: attempts {} and {} overlap by {} us", a.3, b.3, a.2.min(b.2) - a.1.max(b.1)));
                }
            }
        }
    }
}

/// I7: the log is a prefix of what the step wrote; the whole of it where the step ended by itself.
fn logs(e: &Evidence, bad: Bad) {
    for a in e.attempts.iter().filter(|a| a.log_dropped_bytes == 0) {
        let (Some(j), Some(log)) = (e.journals.get(&a.id), e.logs.get(&a.id)) else { continue };
        let whole: String = (0..j.head.lines).map(|n| output_line(&a.id, n)).collect();
        if !whole.as_bytes().starts_with(log) {
            bad("I7", format!("log of {} is no prefix of what it wrote: {:?}", a.id, String::from_utf8_lossy(&log[..log.len().min(200)])));
        } else if a.verdict == "success" && log.len() != whole.len() {
            bad("I7", format!("log of {} holds {} of {} bytes, and no drop is recorded", a.id, log.len(), whole.len()));
        }
    }
}

/// I9: each row says what became of its time: it names the run that began for it, or the run that stands for it, or why there is none.
fn ledger(e: &Evidence, bad: Bad) {
    let runs: BTreeSet<(&str, u64)> = e.runs.iter().map(|r| (r.pipeline.as_str(), r.number)).collect();
    let begun: BTreeSet<(&str, u64)> = e.attempts.iter().map(|a| (a.pipeline.as_str(), a.number)).collect();
    let mut seen = BTreeSet::new();
    let mut started: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for o in &e.occurrences {
        let at = format!("{} at {} us", o.pipeline, o.scheduled_us);
        if !seen.insert((o.pipeline.as_str(), o.trigger.as_str(), o.scheduled_us)) {
            bad("I9", format!("{at} has two rows"));
        }
        let run = o.run.map(|n| (o.pipeline.as_str(), n));
        if let Some(run) = run.filter(|r| !runs.contains(r)) {
            bad("I9", format!("{at} names {}, which is not there", name(run.0, run.1)));
        }
        match (o.outcome.as_str(), run) {
            ("ran" | "late", Some(run)) => {
                *started.entry(run).or_default() += 1;
                if !begun.contains(&run) && !e.cancelled.contains(&(run.0.to_owned(), run.1)) {
                    bad("I9", format!("{at} is called {}, and no step of {} ever began", o.outcome, name(run.0, run.1)));
                }
            }
            ("coalesced", Some(_)) | ("skipped", None) => {}
            ("ran" | "late" | "coalesced", None) => bad("I9", format!("{at} is called {} and names no run", o.outcome)),
            ("skipped", Some(run)) => bad("I9", format!("{at} is called skipped and names {}", name(run.0, run.1))),
            _ => bad("I9", format!("{at} is called `{}`, which is no outcome", o.outcome)),
        }
        if o.cause == "missed" && o.scheduled_us > e.read_us {
            bad("I9", format!("{at} is called missed, and has not come yet"));
        }
        if o.outcome != "ran" && o.why.is_empty() || o.outcome == "skipped" && o.cause.is_empty() {
            bad("I9", format!("{at} is called {} and says not why", o.outcome));
        }
    }
    clockwork(e, &started, bad);
}

/// I9: the rows are those of the clock, none twice, none missing, and each run that the clock started is named by one.
fn clockwork(e: &Evidence, started: &BTreeMap<(&str, u64), usize>, bad: Bad) {
    let timed: BTreeSet<&str> = e.beats.iter().map(|b| b.pipeline).collect();
    let mut rows: BTreeMap<(&str, i64), u32> = BTreeMap::new();
    for o in e.occurrences.iter().filter(|o| timed.contains(o.pipeline.as_str())) {
        *rows.entry((&o.pipeline, o.scheduled_us)).or_default() += 1;
        let at = format!("{} at {} us", o.pipeline, o.scheduled_us);
        if !e.beats.iter().any(|b| b.pipeline == o.pipeline && b.is_due(o.scheduled_us)) {
            bad("I9", format!("{at} has a row, and was never due"));
        } else if o.scheduled_us <= e.placed_us {
            bad("I9", format!("{at} has a row, and its trigger was not there yet"));
        }
    }
    for ((pipeline, at), n) in rows.iter().filter(|(_, n)| **n > 1) {
        bad("I9", format!("{pipeline} at {at} us has {n} rows, of one trigger under two names"));
    }
    for (pipeline, at) in due(&e.beats, e.known_us, e.until_us) {
        if !rows.contains_key(&(pipeline, at)) {
            bad("I9", format!("{pipeline} was due at {at} us, and the ledger is missing it"));
        }
    }
    for r in e.runs.iter().filter(|r| timed.contains(r.pipeline.as_str())) {
        let told = e.told.iter().any(|(p, n, _)| *p == r.pipeline && *n == r.number);
        let n = started.get(&(r.pipeline.as_str(), r.number)).copied().unwrap_or(0);
        if !told && n != 1 {
            bad("I9", format!("{} was started by {n} occurrences", name(&r.pipeline, r.number)));
        }
    }
}

/// I16: the entry of every run that a client was told about, once. `entries`: subjects of `run` in the audit chain.
pub fn audited(told: &[(String, u64, String)], entries: &[String]) -> Vec<Violation> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for subject in entries {
        *count.entry(subject).or_default() += 1;
    }
    let wrong = told.iter().filter_map(|(pipeline, number, _)| {
        let run = name(pipeline, *number);
        let n = count.get(run.as_str()).copied().unwrap_or(0);
        (n != 1).then(|| Violation { invariant: "I16", what: format!("{run} has {n} entries in the audit chain") })
    });
    wrong.collect()
}

/// I16: no run went through its gate without a person. `approvals`: subjects of `approve` in the audit chain.
pub fn agreed(runs: &[RunClaim], approvals: &[String]) -> Vec<Violation> {
    let through = runs.iter().filter(|r| r.pipeline == "gate" && r.verdict == "success");
    let alone = through.filter_map(|r| {
        let run = name(&r.pipeline, r.number);
        let of = |subject: &String| subject.strip_prefix(&run).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        (!approvals.iter().any(of)).then(|| Violation { invariant: "I16", what: format!("{run} went on, and nobody approved it") })
    });
    alone.collect()
}

/// I13: no success without an exit with 0.
fn successes(e: &Evidence, bad: Bad) {
    for a in e.attempts.iter().filter(|a| a.verdict == "success") {
        if let Some(j) = e.journals.get(&a.id)
            && j.end() != Some(0)
        {
            bad("I13", format!("attempt {} is called a success; its own last word is {:?}", a.id, j.end()));
        }
    }
    for r in e.runs.iter().filter(|r| r.verdict == "success") {
        let Some(nature) = e.natures.iter().find(|n| n.pipeline == r.pipeline) else { continue };
        for cell in nature.must {
            let passed = e.journals.values().any(|j| {
                let h = &j.head;
                h.pipeline == r.pipeline && h.number == r.number && h.cell == *cell && j.end() == Some(0)
            });
            if !passed {
                bad("I13", format!("{} is called a success, but [{cell}] never ended with 0", name(&r.pipeline, r.number)));
            }
        }
    }
}

/// I1 and I13 of runs that stages start: each cell starts one run, and no run is a success before those that it waits for are.
fn children(e: &Evidence, bad: Bad) {
    let mut runs_of: BTreeMap<&str, BTreeSet<(String, u64)>> = BTreeMap::new();
    for j in e.journals.values().filter(|j| !j.head.origin.is_empty()) {
        runs_of.entry(&j.head.origin).or_default().insert((j.head.pipeline.clone(), j.head.number));
    }
    for (origin, runs) in runs_of.iter().filter(|(_, r)| r.len() > 1) {
        bad("I1", format!("{origin} started {} runs: {runs:?}", runs.len()));
    }
    let mut causes = BTreeSet::new();
    for r in e.runs.iter().filter(|r| r.parent().is_some() && !causes.insert(r.cause.as_str())) {
        bad("I1", format!("{} is another run for the cause {}", name(&r.pipeline, r.number), r.cause));
    }
    for r in e.runs.iter().filter(|r| r.pipeline == "nest" && r.verdict == "success") {
        let run = name(&r.pipeline, r.number);
        for stage in ["one", "both/a", "both/b"] {
            let origin = format!("{run}/{stage}");
            let passed = e.journals.values().any(|j| j.head.origin == origin && j.end() == Some(0));
            if !passed {
                bad("I13", format!("{run} is called a success, and no run for {origin} ever ended with 0"));
            }
        }
    }
}

/// Nothing is lost: a run whose attempts were left alone ends as its pipeline says, whatever became of clients and engines.
fn natural(e: &Evidence, bad: Bad) {
    let of = |a: &AttemptClaim| (a.pipeline.clone(), a.number);
    let mut hit: BTreeSet<(String, u64)> = e.attempts.iter().filter(|a| e.hit.contains(&a.id)).map(of).collect();
    // What befell a run befell the one that waits for it; and who is cancelled takes those along that it waits for.
    let above: Vec<_> = e.runs.iter().filter(|r| hit.contains(&(r.pipeline.clone(), r.number))).filter_map(RunClaim::parent).collect();
    hit.extend(above);
    let asked =
        |r: &RunClaim| e.cancelled.contains(&(r.pipeline.clone(), r.number)) || r.parent().is_some_and(|p| e.cancelled.contains(&p));
    for r in e.runs.iter().filter(|r| r.state == "done" && !hit.contains(&(r.pipeline.clone(), r.number))) {
        if let Some(nature) = e.natures.iter().find(|n| n.pipeline == r.pipeline)
            && r.verdict != nature.verdict
            && !(r.verdict == "cancelled" && asked(r))
        {
            bad("I2", format!("{} was left alone and ended as {}, not {}", name(&r.pipeline, r.number), r.verdict, nature.verdict));
        }
    }
}
