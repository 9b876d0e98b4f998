//! The invariants of the chaos harness, each shown a world that breaks it: a check that cannot fail would prove nothing.

#[path = "../chaos/check.rs"]
mod check;
#[path = "../chaos/journal.rs"]
#[allow(dead_code)]
mod journal;

#[path = "../chaos/pipelines.rs"]
mod pipelines;

use check::{AttemptClaim, Evidence, Nature, RunClaim, StatusFile, check};
use journal::{Event, Head, Journal, Line, output_line};

static NATURES: &[Nature] = &[Nature { pipeline: "p", verdict: "success", must: &[""] }];

fn journal(attempt: &str, number: u64, from: u64, to: u64, code: i32) -> Journal {
    let head = Head {
        attempt: attempt.into(),
        pipeline: "p".into(),
        number,
        stage: "one".into(),
        step: "one".into(),
        cell: String::new(),
        token: format!("t{number}"),
        origin: String::new(),
        lock: "press:ex".into(),
        lines: 2,
        again: false,
        pid: 1,
    };
    let line = |event, boot_us, code| Line { event, boot_us, code };
    Journal { head, lines: vec![line(Event::Start, from, 0), line(Event::End, to, code)] }
}

/// Two runs that went well.
fn world() -> Evidence {
    let mut e = Evidence { natures: NATURES, ..Evidence::default() };
    for n in 1..=2u64 {
        let id = format!("a{n}");
        e.journals.insert(id.clone(), journal(&id, n, n * 100, n * 100 + 50, 0));
        e.statuses.insert(id.clone(), StatusFile { code: Some(0), ended_by: "itself".into() });
        e.logs.insert(id.clone(), (0..2).map(|i| output_line(&id, i)).collect::<String>().into_bytes());
        e.runs.push(RunClaim { pipeline: "p".into(), number: n, state: "done".into(), verdict: "success".into(), ..RunClaim::default() });
        e.attempts.push(AttemptClaim {
            id,
            pipeline: "p".into(),
            number: n,
            state: "done".into(),
            verdict: "success".into(),
            code: Some(0),
            ingests: 1,
            ..AttemptClaim::default()
        });
        e.told.push(("p".into(), n, format!("t{n}")));
    }
    e
}

#[track_caller]
fn broken(invariant: &str, words: &str, change: impl FnOnce(&mut Evidence)) {
    let mut e = world();
    change(&mut e);
    let found = check(&e);
    assert!(found.iter().any(|v| v.invariant == invariant && v.what.contains(words)), "{invariant} `{words}`: {found:#?}");
}

#[test]
fn a_sound_world_breaks_nothing() {
    assert!(check(&world()).is_empty());
}

#[test]
fn i1_a_command_that_began_twice_is_seen() {
    broken("I1", "2 times", |e| {
        let j = e.journals.get_mut("a1").unwrap();
        j.lines.insert(1, Line { event: Event::Start, boot_us: 120, code: 0 });
    });
    broken("I1", "not idempotent", |e| {
        e.journals.insert("b".into(), journal("b", 1, 400, 450, 0));
    });
    broken("I1", "same time", |e| {
        e.journals.insert("b".into(), journal("b", 1, 120, 450, 0));
    });
    broken("I1", "after it had ended with 0", |e| {
        e.journals.insert("b".into(), journal("b", 1, 400, 450, 0));
    });
}

#[test]
fn i1_and_i13_a_stage_that_started_two_runs_or_did_not_wait_is_seen() {
    let child = |e: &mut Evidence| {
        for (id, n) in [("a1", 1), ("a2", 2)] {
            e.journals.get_mut(id).unwrap().head.origin = "nest#1/one".into();
            e.runs[n - 1].cause = "upstream:nest#1:0:stage:1:0".into();
        }
    };
    broken("I1", "nest#1/one started 2 runs", child);
    broken("I1", "another run for the cause upstream:nest#1", child);
    let parent = |e: &mut Evidence| {
        e.runs.push(RunClaim {
            pipeline: "nest".into(),
            number: 1,
            state: "done".into(),
            verdict: "success".into(),
            ..RunClaim::default()
        });
    };
    broken("I13", "no run for nest#1/both/b ever ended with 0", parent);
    // What befell the run of a stage excuses the run that waits for it, and a cancel above one below.
    let mut e = world();
    e.runs[0].cause = "upstream:p#2:0:stage:1:0".into();
    e.runs[1].verdict = "lost".into();
    assert!(check(&e).iter().any(|v| v.what.contains("p#2 was left alone")));
    e.hit.insert("a1".into());
    assert!(!check(&e).iter().any(|v| v.what.contains("left alone")), "{:#?}", check(&e));
    let mut e = world();
    e.runs[0].cause = "upstream:p#2:0:stage:1:0".into();
    e.runs[0].verdict = "cancelled".into();
    assert!(check(&e).iter().any(|v| v.what.contains("p#1 was left alone")));
    e.cancelled.insert(("p".into(), 2));
    assert!(!check(&e).iter().any(|v| v.what.contains("left alone")));
}

#[test]
fn i2_a_missing_or_second_verdict_is_seen() {
    broken("I2", "does not know it", |e| {
        e.journals.insert("b".into(), journal("b", 1, 400, 450, 0));
    });
    broken("I2", "no verdict", |e| e.attempts[0].state = "running".into());
    broken("I2", "ingested 2 times", |e| e.attempts[0].ingests = 2);
    broken("I2", "run p#1 has no verdict", |e| e.runs[0].state = "running".into());
    broken("I2", "left alone", |e| e.runs[0].verdict = "lost".into());
}

#[test]
fn i3_a_contradicted_status_is_seen() {
    broken("I3", "a1", |e| e.attempts[0].verdict = "lost".into());
    broken("I3", "a1", |e| e.statuses.get_mut("a1").unwrap().code = Some(1));
    broken("I3", "a1", |e| e.statuses.get_mut("a1").unwrap().ended_by = "cancel".into());
}

#[test]
fn i4_numbers_that_repeat_skip_or_vanish_are_seen() {
    broken("I4", "not 1 to 2", |e| e.runs[1].number = 3);
    broken("I4", "given to 2 requests", |e| e.told[0].2 = "other".into());
    broken("I4", "became 2 runs", |e| e.told[0].2 = "t2".into());
    broken("I4", "is not there", |e| e.told.push(("p".into(), 9, "t9".into())));
}

#[test]
fn i5_two_holders_are_seen() {
    broken("I5", "overlap by 20 us", |e| e.journals.get_mut("a2").unwrap().lines[0].boot_us = 130);
    broken("I5", "found its lock", |e| {
        e.journals.get_mut("a1").unwrap().lines.push(Line { event: Event::Overlap, boot_us: 150, code: 0 });
    });
}

#[test]
fn i5_a_third_holder_of_two_slots_is_seen() {
    let pool = |e: &mut Evidence, starts: [u64; 3]| {
        e.journals.insert("a3".into(), journal("a3", 3, 0, 0, 0));
        for (id, at) in ["a1", "a2", "a3"].into_iter().zip(starts) {
            let j = e.journals.get_mut(id).unwrap();
            j.head.lock = "pool:n2".into();
            (j.lines[0].boot_us, j.lines[1].boot_us) = (at, at + 100);
        }
    };
    broken("I5", "3 hold it", |e| pool(e, [100, 150, 199]));
    let mut e = world();
    pool(&mut e, [100, 150, 200]);
    assert!(!check(&e).iter().any(|v| v.invariant == "I5"), "two at a time is what it has slots for");
}

#[test]
fn i10_a_run_ends_as_cancelled_only_where_that_was_asked_for() {
    broken("I2", "left alone and ended as cancelled", |e| e.runs[0].verdict = "cancelled".into());
    let mut e = world();
    e.runs[0].verdict = "cancelled".into();
    e.cancelled.insert(("p".into(), 1));
    assert!(check(&e).is_empty());
}

#[test]
fn i9_an_occurrence_that_is_missing_doubled_or_unexplained_is_seen() {
    let row = |n: i64, outcome: &str, run: Option<u64>| check::Occurrence {
        pipeline: "p".into(),
        trigger: "t".into(),
        scheduled_us: n * 5_000_000,
        outcome: outcome.into(),
        cause: if outcome == "skipped" { "missed".into() } else { String::new() },
        why: if outcome == "ran" { String::new() } else { "the engine was down".into() },
        run,
    };
    let scheduled = |e: &mut Evidence| {
        e.told.clear();
        e.beats = vec![check::Beat { pipeline: "p", every_us: 5_000_000, phase_us: 0 }];
        (e.placed_us, e.known_us, e.until_us, e.read_us) = (1, 5_000_000, 24_999_999, 24_999_999);
        e.occurrences = vec![row(1, "ran", Some(1)), row(2, "skipped", None), row(3, "coalesced", Some(2)), row(4, "late", Some(2))];
    };
    let mut sound = world();
    scheduled(&mut sound);
    assert!(check(&sound).is_empty(), "{:#?}", check(&sound));
    let with = |words: &str, change: &dyn Fn(&mut Evidence)| {
        broken("I9", words, |e| {
            scheduled(e);
            change(e);
        });
    };
    with("missing it", &|e| drop(e.occurrences.remove(1)));
    with("missing it", &|e| e.until_us = 25_000_000);
    with("missing it", &|e| e.beats.push(check::Beat { pipeline: "p", every_us: 5_000_000, phase_us: 1_000_000 }));
    with("two rows", &|e| e.occurrences[1].scheduled_us = 5_000_000);
    with("two names", &|e| {
        let twice = check::Occurrence { trigger: "u".into(), ..e.occurrences[1].clone() };
        e.occurrences.push(twice);
    });
    with("has not come yet", &|e| e.read_us = 9_999_999);
    with("never due", &|e| e.occurrences[1].scheduled_us += 1);
    with("not there yet", &|e| e.placed_us = 5_000_000);
    with("says not why", &|e| e.occurrences[1].why.clear());
    with("says not why", &|e| e.occurrences[1].cause.clear());
    with("says not why", &|e| e.occurrences[3].why.clear());
    with("not there", &|e| e.occurrences[0].run = Some(9));
    with("names no run", &|e| e.occurrences[0].run = None);
    with("names no run", &|e| e.occurrences[2].run = None);
    with("skipped and names p#2", &|e| e.occurrences[1].run = Some(2));
    with("no outcome", &|e| e.occurrences[1].outcome = "lost".into());
    with("started by 0", &|e| e.occurrences[0] = row(1, "skipped", None));
    with("started by 2", &|e| e.occurrences[2].outcome = "ran".into());
    with("no step of p#1 ever began", &|e| e.attempts.retain(|a| a.number != 1));
}

#[test]
fn the_clock_of_the_harness_knows_each_time_once() {
    let beat = |phase_us| check::Beat { pipeline: "p", every_us: 60, phase_us };
    assert_eq!(check::due(&[beat(0), beat(10)], 0, 130), [("p", 60), ("p", 120), ("p", 10), ("p", 70), ("p", 130)]);
    assert!(check::due(&[beat(0)], 60, 119).is_empty());
    let beats = pipelines::beats();
    let minute = check::due(&beats, 0, 60_000_000);
    assert_eq!((minute.len(), beats.len()), (30, 30));
    let times: std::collections::BTreeSet<i64> = minute.iter().map(|(_, at)| *at).collect();
    assert_eq!(times.len(), 30, "no two are due at once");
    assert!(pipelines::TIMED.iter().all(|(name, _)| minute.iter().filter(|(p, _)| p == name).count() >= 7));
}

#[test]
fn i16_a_run_without_its_one_entry_is_seen() {
    let told = [("p".to_owned(), 1, "t1".to_owned()), ("p".to_owned(), 2, "t2".to_owned())];
    let entries = |list: &[&str]| check::audited(&told, &list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    assert!(entries(&["p#1", "p#2", "q#1"]).is_empty());
    assert_eq!(entries(&["p#1"]).len(), 1);
    assert_eq!(entries(&["p#1", "p#2", "p#2"]).len(), 1);
    let gate = [RunClaim { pipeline: "gate".into(), number: 1, state: "done".into(), verdict: "success".into(), ..RunClaim::default() }];
    assert!(check::agreed(&gate, &["gate#1".into()]).is_empty() && check::agreed(&gate, &["gate#1/consent".into()]).is_empty());
    assert_eq!(check::agreed(&gate, &["gate#11".into()]).len(), 1);
}

#[test]
fn i6_and_i7_survivors_and_torn_logs_are_seen() {
    broken("I6", "sleep", |e| e.survivors.push(("a1".into(), 7, "sleep 600".into())));
    broken("I7", "no prefix", |e| e.logs.get_mut("a1").unwrap()[0] ^= 1);
    broken("I7", "no drop is recorded", |e| e.logs.get_mut("a1").unwrap().truncate(5));
}

#[test]
fn i13_a_success_that_nobody_wrote_is_seen() {
    broken("I13", "last word is None", |e| {
        e.journals.get_mut("a1").unwrap().lines.pop();
    });
    broken("I13", "never ended with 0", |e| {
        e.journals.remove("a1");
    });
}

#[path = "../chaos/power.rs"]
#[allow(dead_code)]
pub mod power;

#[test]
fn a_power_cut_keeps_what_was_synced_and_nothing_else() {
    let kept = |ledger: &str| power::durable(ledger).into_iter().map(|(p, n)| (p.to_string_lossy().into_owned(), n)).collect::<Vec<_>>();
    let whole = "S 10 /a/x.tmp\nR /a/x.tmp\t/a/x\nS 4096 /a\n";
    assert_eq!(kept(whole), [("/a/x".to_owned(), 10)]);
    assert!(kept("R /a/x.tmp\t/a/x\nS 4096 /a\n").is_empty(), "the bytes were never synced");
    assert!(kept("S 10 /a/x.tmp\nR /a/x.tmp\t/a/x\n").is_empty(), "the name was never synced");
    assert!(kept("S 4096 /a\nS 10 /a/x.tmp\nR /a/x.tmp\t/a/x\n").is_empty(), "the directory was synced too early");
    assert_eq!(kept("S 10 /a/spec\nS 4096 /a\n"), [("/a/spec".to_owned(), 10)]);
}

#[test]
fn the_recorder_sees_what_this_program_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let library = match power::build(dir.path()) {
        Ok(l) => l,
        Err(why) => return crate::support::skip("chaos.recorder", &why),
    };
    let ledger = dir.path().join("ledger");
    let file = dir.path().join("file");
    let ok = std::process::Command::new("dd")
        .args(["if=/dev/zero", "bs=7", "count=1", "conv=fsync", "status=none"])
        .arg(format!("of={}", file.display()))
        .env("LD_PRELOAD", &library)
        .env("QD_SYNC_LEDGER", &ledger)
        .status()
        .is_ok_and(|s| s.success());
    assert!(ok);
    assert_eq!(std::fs::read_to_string(ledger).unwrap(), format!("S 7 {}\n", file.display()));
}

/// A point that the harness does not know is never reached, and one that the source has no more would make it red for nothing.
#[test]
fn the_harness_knows_every_crash_point_of_the_source() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut source = std::collections::BTreeSet::new();
    let mut dirs = vec![root.join("src")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if !path.ends_with("base/crash.rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                source.extend(text.split("crash::point(\"").skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned)));
            }
        }
    }
    let fault = std::fs::read_to_string(root.join("tests/chaos/fault.rs")).unwrap();
    let table = fault.split("pub const POINTS").nth(1).and_then(|t| t.split("];").next()).unwrap();
    let known: std::collections::BTreeSet<String> =
        table.lines().filter_map(|l| l.trim().strip_prefix("point(\"")?.split('"').next().map(str::to_owned)).collect();
    assert_eq!(known, source, "POINTS in tests/chaos/fault.rs (left) against crash::point in src/ (right)");
}

#[test]
fn the_pipelines_of_the_harness_lint_clean() {
    use std::path::Path;
    let mut catalog = quarterdeck::pipeline::catalog::Catalog { time_zone: "UTC".into(), ..Default::default() };
    catalog.kinds = quarterdeck::steps::catalog().to_vec();
    catalog.sets.insert("core".into(), vec!["core".into()]);
    let text = |name, body| pipelines::text(name, body, "/q", Path::new("/c"), Path::new("/j"), "http://127.0.0.1:1", Path::new("/t"));
    for (name, body) in pipelines::PIPELINES {
        catalog.pipelines.push((*name).to_owned());
        if let (Some(file), _) = quarterdeck::pipeline::load(&text(name, body), name, &catalog) {
            catalog.outlines.insert((*name).to_owned(), quarterdeck::pipeline::outline::Outline::of(&file));
        }
    }
    for (name, body) in pipelines::PIPELINES {
        let text = text(name, body);
        let (file, found) = quarterdeck::pipeline::load(&text, name, &catalog);
        let errors: Vec<_> = found.iter().filter(|d| d.is_error()).collect();
        assert!(file.is_some() && errors.is_empty(), "{name}: {errors:#?}\n{text}");
        assert!(pipelines::NATURES.iter().any(|n| n.pipeline == *name), "{name} has no nature");
    }
}
