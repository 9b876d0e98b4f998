//! I1, I3, I13 under power cuts: the whole life of an attempt, recorded as writes and fsyncs, is cut at every moment; what the disk may
//! hold then is opened as recovery does it.

#[path = "../../chaos/tape.rs"]
mod tape;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use quarterdeck::base::clock::Clock;
use quarterdeck::domain::attempt::{CancelIntent, Status, file};
use quarterdeck::runner::attempt;
use quarterdeck::runner::attempt::recovery::{Decision, Found, decide};
use serde_json::json;

use crate::support::{Home, skip, until, until_some};
use tape::{Event, Fate, Tape, after_cut};

/// Random choices of what is forgotten, for each moment.
const CHOICES: u64 = 24;

/// The machine after the cut: another boot.
struct NextBoot;

impl Clock for NextBoot {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot_us(&self) -> u64 {
        1_000_000
    }

    fn boot_id(&self) -> String {
        "the boot after the cut".into()
    }
}

/// splitmix64: what is forgotten is the same in every run of this test.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What is wrong with one state of the disk.
fn faults(tape: &Tape, at: usize, disk: Option<&Path>, last: &Status) -> Vec<String> {
    let seen = &tape.events[..at];
    let (began, ended_well) = (seen.contains(&Event::Began), seen.contains(&Event::EndedWell));
    let mut out = Vec::new();
    let nowhere = PathBuf::from("/nonexistent-attempt");
    let dir = disk.unwrap_or(&nowhere);
    let evidence = match attempt::observe(dir, &NextBoot) {
        Ok(e) => e,
        Err(e) => return vec![format!("the directory cannot be opened: {e}")],
    };
    for (name, damaged) in
        [(file::STARTED, matches!(evidence.started, Found::Damaged(_))), (file::STATUS, matches!(evidence.status, Found::Damaged(_)))]
    {
        if damaged {
            out.push(format!("I3: {name} is there and torn"));
        }
    }
    if began && !matches!(attempt::read_spec(dir), Ok(Found::Whole(_))) {
        out.push("I1: the command ran, and its spec is gone".into());
    }
    match decide(&evidence) {
        Decision::NeverStarted if began => out.push("I1: the command ran, and recovery would start it again".into()),
        Decision::NeverStarted | Decision::Lost { .. } => {}
        Decision::Ingest(s) => {
            if *s != *last {
                out.push(format!("I3: a verdict that nobody wrote: {s:?}"));
            }
            if s.code == Some(0) && !ended_well {
                out.push("I13: a success before the command had ended".into());
            }
        }
        Decision::Adopt => out.push("a lock outlives the machine".into()),
    }
    // A wish to cancel is whole, or it is not there.
    if let Ok(bytes) = std::fs::read(dir.join(file::CANCEL))
        && serde_json::from_slice::<CancelIntent>(&bytes).is_err()
    {
        out.push("I10: the wish to cancel is torn".into());
    }
    out
}

/// Every moment of the tape, with nothing, everything and any part of the unsynced kept. How many states, and what is wrong with them.
fn replay(tape: &Tape, last: &Status) -> (usize, Vec<String>) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("attempt");
    let (mut states, mut out) = (0, Vec::new());
    let mut rng = Rng(7);
    for at in 0..=tape.events.len() {
        for choice in 0..CHOICES {
            let files = after_cut(tape, at, || match choice {
                0 => Fate::Kept,
                1 => Fate::Forgotten,
                _ => match rng.next() % 5 {
                    0 | 1 => Fate::Kept,
                    2 => Fate::Torn((rng.next() % 512) as usize),
                    _ => Fate::Forgotten,
                },
            });
            let _ = std::fs::remove_dir_all(&dir);
            if let Some(files) = &files {
                std::fs::create_dir(&dir).unwrap();
                for (path, bytes) in files {
                    std::fs::write(dir.join(path.file_name().unwrap()), bytes).unwrap();
                }
            }
            states += 1;
            let found = faults(tape, at, files.is_some().then_some(dir.as_path()), last);
            out.extend(found.into_iter().map(|f| format!("cut before event {at} ({:?}), choice {choice}: {f}", tape.events.get(at))));
        }
    }
    (states, out)
}

/// A run under the recorder: the tape of its one attempt, and its verdict.
fn record(library: &Path, name: &str, body: &str, until_then: impl FnOnce(&Home)) -> (Tape, Status) {
    let home = Home::new();
    let ledger = home.root().join("ledger");
    home.pipeline(name, &format!("format: 1\nname: {name}\nenv: {{LEDGER: {}}}\n{body}", ledger.display()));
    let mut engine = home.command(["engine", "start"]);
    engine.env("LD_PRELOAD", library).env("QD_SYNC_LEDGER", &ledger);
    crate::support::home::run(engine).expect(0);
    home.qd(["run", name]).expect(0);
    until_then(&home);
    until("the run to end", || home.json(&["get", "runs", "--filter", "state!=done"])["rows"] == json!([]));
    let attempts = std::fs::canonicalize(home.state().join(format!("runs/{name}/1/attempts"))).unwrap();
    let dir = std::fs::read_dir(&attempts).unwrap().flatten().next().unwrap().path();
    let Found::Whole(spec) = attempt::read_spec(&dir).unwrap() else { panic!("no spec") };
    let status = serde_json::from_slice(&std::fs::read(dir.join(file::STATUS)).unwrap()).unwrap();
    let state = std::fs::canonicalize(home.state()).unwrap();
    (Tape::read(&std::fs::read_to_string(&ledger).unwrap(), &state, &dir, &spec.attempt), status)
}

const GOOD: &str = "stages:\n  - name: a\n    run: |\n      echo \"C $QD_ATTEMPT_ID\" >> \"$LEDGER\"\n      i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); done\n      echo \"X $QD_ATTEMPT_ID\" >> \"$LEDGER\"\n";
const ENDLESS: &str = "options: {grace: 200ms}\nstages:\n  - name: a\n    run: |\n      echo \"C $QD_ATTEMPT_ID\" >> \"$LEDGER\"\n      trap '' TERM\n      echo working\n      while :; do sleep 0.1; done\n";

fn library(dir: &Path, test: &str) -> Option<PathBuf> {
    match crate::chaos_check::power::build(dir) {
        Ok(l) => Some(l),
        Err(why) => {
            skip(test, &why);
            None
        }
    }
}

#[test]
fn i1_no_power_cut_makes_a_command_start_twice_nor_a_verdict_that_nobody_wrote_i3_i13() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(library) = library(scratch.path(), "invariants.power") else { return };
    let (good, success) = record(&library, "good", GOOD, |_| {});
    assert_eq!(success.code, Some(0));
    let (endless, cancelled) = record(&library, "endless", ENDLESS, |home| {
        until_some("the step to run", || home.qd(["log", "endless#1"]).stdout.contains("working").then_some(()));
        home.qd(["cancel", "endless#1"]).expect(0);
    });
    for (tape, last) in [(&good, &success), (&endless, &cancelled)] {
        // The recording is whole: all that the protocol consists of is on it, in its order.
        let named = |name: &str| {
            let path = tape.attempt.join(name);
            tape.events.iter().position(|e| match e {
                Event::Renamed { to, .. } => *to == path,
                Event::Made { path: made, .. } => *made == path,
                _ => false,
            })
        };
        let began = tape.events.iter().position(|e| *e == Event::Began);
        let order = [named(file::SPEC), named(file::LOG), named(file::STARTED), began, named(file::STATUS)];
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?} of {:#?}", tape.events);
        assert!(tape.events.iter().any(|e| matches!(e, Event::Wrote { path, .. } if path.ends_with(file::LOG))), "the log's bytes");
        let (states, found) = replay(tape, last);
        println!("{} events, {states} states of the disk, {} faults", tape.events.len(), found.len());
        assert!(states > 500 && found.is_empty(), "{:#?}", &found[..found.len().min(20)]);
        // With everything synced the verdict is there.
        let whole = after_cut(tape, tape.events.len(), || Fate::Forgotten).unwrap();
        assert!(whole.contains_key(&tape.attempt.join(file::STATUS)), "the verdict is durable at the end: {:?}", whole.keys());
    }
    assert!(named_cancel(&endless), "the wish to cancel is on the tape");
    // A protocol that forgets one sync must be found out, or the replay sees nothing.
    let without = |wanted: &dyn Fn(&Event) -> bool| Tape {
        attempt: good.attempt.clone(),
        events: good.events.iter().filter(|e| !wanted(e)).cloned().collect(),
    };
    let synced = |name: &'static str| move |e: &Event| matches!(e, Event::Synced { path } if path.ends_with(name));
    let dir = good.attempt.clone();
    for (what, tape, words) in [
        ("of started.json", without(&synced("started.json.tmp")), "torn"),
        ("of the directory", without(&|e: &Event| matches!(e, Event::Synced { path } if *path == dir)), "start it again"),
        ("of the spec", without(&synced(file::SPEC)), "its spec is gone"),
        ("of status.json", without(&synced("status.json.tmp")), "torn"),
    ] {
        let (_, found) = replay(&tape, &success);
        assert!(found.iter().any(|f| f.contains(words)), "without the sync {what} nothing was found: {found:?}");
    }
}

fn named_cancel(tape: &Tape) -> bool {
    tape.events.iter().any(|e| matches!(e, Event::Renamed { to, .. } if to.ends_with(file::CANCEL)))
}
