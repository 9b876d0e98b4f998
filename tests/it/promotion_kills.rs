//! Promotions whose engine, supervisors and steps are killed at every point of theirs, and what moves in the moment after: the plan is computed
//! once more before a pointer moves, a way out is always there, and whoever reads meanwhile finds a whole repository.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::mirror::read_whole;
use crate::promotion::{DCS, Estate, WITHOUT};
use crate::support::home::run;
use crate::support::{Out, until, until_some};

/// Four steps look before the first switch: three trees are verified, and one content is closed.
const FIRST_SWITCH_CLAIMED: &str = "runner.claimed:5";

#[test]
fn an_engine_that_died_between_the_check_and_the_switch_looks_again_before_the_pointer_moves() {
    for what in ["pointer", "freeze", "canary"] {
        let without: String = match what {
            "freeze" => WITHOUT.lines().filter(|l| !l.starts_with("G9")).map(|l| format!("{l}\n")).collect(),
            "canary" => WITHOUT.lines().filter(|l| !l.starts_with("G5")).map(|l| format!("{l}\n")).collect(),
            _ => WITHOUT.to_owned(),
        };
        let e = Estate::new(&without, if what == "freeze" { "calendar = \"changes\"\n" } else { "" });
        let file = e.home.config().join("calendars/changes.toml");
        if what == "freeze" {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(
                &file,
                "zone = \"UTC\"\nowner = \"ops\"\nreason = \"none\"\n[[freeze]]\nfrom = \"2000-01-01\"\nto = \"2000-01-02\"\n",
            )
            .unwrap();
        }
        let formula = |command: &str| {
            e.home.pipeline(
                "formula",
                &format!(
                    "format: 1\nname: formula\nlabels: {{formula: base}}\nstages:\n  - name: t\n    reads: el9-latest\n    run: {command}\n"
                ),
            );
        };
        if what == "canary" {
            formula("'true'");
            e.qd(&["run", "formula", "--wait"]).expect(0);
        }
        let id = e.approved();
        let (mut engine, once) = e.armed(FIRST_SWITCH_CLAIMED);
        let _ = e.start(&id);
        engine.wait();
        assert!(std::fs::read_to_string(&once).unwrap().starts_with("runner.claimed"), "{what}");
        assert_eq!(e.all_lead(), e.old, "{what}: the step had not begun");
        match what {
            "pointer" => {
                e.publish(3);
                let third = e.snapshot("cedar");
                e.switch("cedar", &third).expect(0);
            }
            "freeze" => {
                let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
                let text =
                    format!("zone = \"UTC\"\nowner = \"ops\"\nreason = \"none\"\n[[freeze]]\nfrom = \"{day}\"\nto = \"2999-01-01\"\n");
                std::fs::write(&file, text).unwrap();
            }
            // A formula more is required, and has judged nothing.
            _ => {
                std::fs::write(
                    e.home.config().join("pipelines/second.yml"),
                    "format: 1\nname: second\nlabels: {formula: other}\nstages:\n  - {name: t, run: 'true'}\n",
                )
                .unwrap();
            }
        }
        let row = until_some(&format!("{what}: the way back to the gates"), || {
            Some(e.promotion()).filter(|p| matches!(p["state"].as_str(), Some("GATED" | "READY")))
        });
        assert_eq!(row["switched"], 0, "{what}: {row}");
        assert_eq!(e.all_lead()[..2], e.old[..2], "{what}");
        let run = row["run"].as_str().unwrap().to_owned();
        let ended = until_some("the run to end", || {
            let rows = e.home.json(&["get", "runs", "--filter", &format!("run={run}")]);
            Some(rows["rows"][0].clone()).filter(|r| !r["verdict"].is_null())
        });
        assert_eq!(ended["verdict"], "cancelled", "{what}: {ended}");
        // Its approvals are over, and nothing starts it again.
        assert_eq!(e.promotion()["missing"], "ops security", "{what}");
        e.start(&id).expect(4);
        assert_eq!(e.all_lead()[..2], e.old[..2], "{what}");
    }
}

#[test]
fn what_moves_behind_a_halt_or_a_way_back_that_was_decided_holds_that_back_too() {
    // A resume that was decided, and an engine that died before it took the run up.
    let e = Estate::new(WITHOUT, "");
    let id = e.approved();
    let book = e.root("birch").join(".quarterdeck/pointers/stable.json");
    let good = std::fs::read(&book).unwrap();
    std::fs::write(&book, "{").unwrap();
    e.start(&id).expect(0);
    e.until("HALTED");
    std::fs::write(&book, &good).unwrap();
    let (mut engine, _) = e.armed("promotion.decided");
    let _ = e.qd(&["do", "promote-resume", &id, "--reason", "mended", "--confirm", &id]);
    engine.wait();
    e.publish(3);
    let third = e.snapshot("cedar");
    e.switch("cedar", &third).expect(0);
    let row =
        until_some("the way back to the gates", || Some(e.promotion()).filter(|p| matches!(p["state"].as_str(), Some("GATED" | "READY"))));
    let candidate = row["to"].as_str().unwrap().to_owned();
    assert_eq!((row["switched"].as_u64(), e.all_lead()), (Some(1), vec![candidate.clone(), e.old[1].clone(), third.clone()]), "{row}");
    // A way back that was decided, while somebody moves what it would take back.
    let (mut engine, _) = e.armed("promotion.decided");
    let _ = e.qd(&["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]);
    engine.wait();
    let other = e.snapshot("alder");
    e.switch("alder", &other).expect(0);
    until("the refusal", || {
        e.promotion();
        let doc = e.document(&id);
        let said = |n: &Value| n["text"].as_str().is_some_and(|t| t.contains("not begun") && t.contains("neither the candidate nor"));
        doc["notes"].as_array().is_some_and(|notes| notes.iter().any(said))
    });
    assert_eq!(e.all_lead(), [other, e.old[1].clone(), third], "nothing was taken back over somebody else's switch");
    assert_ne!(e.promotion()["state"], "ROLLED-BACK");
    e.switch("alder", &candidate).expect(0);
    e.qd(&["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]).expect(0);
    e.until("ROLLED-BACK");
    assert_eq!(e.all_lead()[..2], e.old[..2]);
    e.served();
}

#[test]
fn a_way_back_is_halted_like_what_it_takes_back_and_is_asked_for_again() {
    let e = Estate::new(WITHOUT, "");
    let id = e.approved();
    e.start(&id).expect(0);
    let row = e.until("IMAGING");
    e.people(&id);
    e.until("CLOSED");
    e.qd(&["do", "promote-halt", &id]).expect(4);
    // An engine that dies while it packs the evidence leaves no half of it.
    let pack = e.home.root().join("pack.tar.gz");
    let evidence = || e.qd(&["evidence", &id, "-o", &pack.display().to_string()]);
    let (mut engine, once) = e.armed("promotion.packed");
    assert_ne!(evidence().code, 0);
    engine.wait();
    assert!(once.exists() && !pack.exists());
    evidence().expect(0);
    // Nothing begins while the engine is drained: there is time for second thoughts.
    e.qd(&["engine", "drain", "--reason", "r"]).expect(0);
    let back = || e.qd(&["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]);
    back().expect(0);
    e.qd(&["do", "promote-halt", &id]).expect(0);
    until("the run to end", || {
        let rows = e.home.json(&["get", "runs", "--filter", "pipeline=promotion-rollback"]);
        rows["rows"][0]["verdict"] == "cancelled"
    });
    e.qd(&["do", "undrain", "--reason", "r"]).expect(0);
    assert_eq!(e.all_lead(), vec![row["to"].as_str().unwrap().to_owned(); 3]);
    until("it to be asked for again", || back().code == 0);
    e.until("ROLLED-BACK");
    assert_eq!(e.all_lead(), e.old);
}

#[test]
fn a_file_with_the_name_of_a_promotion_s_run_is_no_second_way_to_switch() {
    let e = Estate::new(WITHOUT, "");
    let root = e.root("alder");
    let text = format!(
        "format: 1\nname: quarterly-promotion\nstages:\n  - name: Switch alder\n    uses: mirror/switch\n    with: {{root: {}, to: {}}}\n",
        root.display(),
        e.old[0]
    );
    e.home.pipeline("quarterly-promotion", &text);
    let out = e.qd(&["run", "quarterly-promotion"]).expect(4);
    assert!(out.stderr.contains("rename the file"), "{out:?}");
}

/// Reads every datacentre's stable all the while. The pointers move on only when no pass holds metadata older than the present: what a switch
/// keeps for readers that straddle it is one cycle.
struct Readers {
    stop: AtomicBool,
    passes: Vec<AtomicU64>,
    torn: std::sync::Mutex<Vec<String>>,
}

impl Readers {
    fn work(&self, id: usize, stable: &Path) {
        let mut n = id as u64;
        while !self.stop.load(Ordering::SeqCst) {
            for repo in ["base", "app"] {
                n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // A slow client, not a wait for anything: metadata now, packages later.
                let pause = Duration::from_millis((n >> 33) % 200);
                if let Err(e) = read_whole(&stable.join(repo), || std::thread::sleep(pause)) {
                    self.torn.lock().unwrap().push(format!("{}: {e}", stable.join(repo).display()));
                }
            }
            self.passes[id].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Every reader has begun and ended a pass since now.
    fn level(&self) {
        let at: Vec<u64> = self.passes.iter().map(|p| p.load(Ordering::SeqCst)).collect();
        until("the readers", || self.passes.iter().zip(&at).all(|(p, at)| p.load(Ordering::SeqCst) >= at + 2));
    }
}

/// The deaths of one promotion: the engine that the next client starts dies, or lets one of its children die, at the next point.
struct Deaths<'a> {
    e: &'a Estate,
    points: std::vec::IntoIter<&'static str>,
    now: Option<(&'static str, PathBuf)>,
    done: usize,
}

impl<'a> Deaths<'a> {
    fn new(e: &'a Estate, points: &[&'static str], round: &str) -> Self {
        let mut all = Self { e, points: Vec::from(points).into_iter(), now: None, done: 0 };
        all.next(round);
        all
    }

    fn next(&mut self, round: &str) {
        let _ = self.e.qd(&["engine", "stop"]);
        self.done += 1;
        self.now = self.points.next().map(|p| (p, self.e.home.root().join(format!("once-{round}-{}", self.done))));
    }

    /// A command, whose engine, where it must start one, is armed.
    fn qd(&mut self, round: &str, args: &[&str]) -> Out {
        if self.now.as_ref().is_some_and(|(_, once)| once.exists()) {
            self.next(round);
        }
        let mut c = self.e.home.command(args);
        if let Some((point, once)) = &self.now {
            c.env("QD_CRASH_AT", point).env("QD_CRASH_ONCE", once);
        }
        run(c)
    }

    fn row(&mut self, round: &str) -> Option<Value> {
        let out = self.qd(round, &["--json", "get", "promotions"]);
        (out.code == 0).then(|| out.json()["rows"][0].clone())
    }

    /// Does what a person would, until the promotion is there. The points that were not reached on the way: where this process slept longer than
    /// an engine needs for the rest of its work, it was all done before the next death was prepared.
    fn until(&mut self, round: &str, goal: &str) -> Vec<&'static str> {
        until_some(&format!("{round}: {goal}, from {:?} on", self.now), || {
            let row = self.row(round)?;
            let id = row["promotion"].as_str().unwrap_or_default().to_owned();
            let run = row["run"].as_str().unwrap_or_default().to_owned();
            let state = row["state"].as_str().unwrap_or("none").to_owned();
            if state == goal {
                return Some(());
            }
            let over = matches!(state.as_str(), "none" | "CLOSED" | "ROLLED-BACK");
            let out = match state.as_str() {
                _ if goal == "ROLLED-BACK" => self.qd(round, &["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]),
                _ if over => self.qd(round, &["do", "promote", "el9"]),
                "DRAFT" | "GATED" => self.qd(round, &["do", "promote-soak", &id]),
                "READY" => self.qd(round, &["approve", &id]),
                "APPROVED" => self.qd(round, &["do", "promote-start", &id, "--reason", "r", "--confirm", "promote el9"]),
                "HALTED" => self.qd(round, &["do", "promote-resume", &id, "--reason", "r", "--confirm", &id]),
                "IMAGING" | "WAVING" => {
                    for stage in ["Images", "ISO and bundles", "Waves"] {
                        self.qd(round, &["approve", &run, "-p", &format!("stage={stage}")]);
                    }
                    return None;
                }
                _ => return None,
            };
            // It may have been refused, or have died under the question: the state says how it stands.
            drop(out);
            None
        });
        // The last of them may have come with the end.
        if self.now.as_ref().is_some_and(|(_, once)| once.exists()) {
            self.next(round);
        }
        self.now.take().map(|(p, _)| p).into_iter().chain(self.points.by_ref()).collect()
    }
}

#[test]
fn killed_at_each_point_a_promotion_and_its_way_back_go_on_and_no_reader_finds_anything_torn() {
    let e = Estate::new(WITHOUT, "");
    let readers =
        Readers { stop: AtomicBool::new(false), passes: (0..6).map(|_| AtomicU64::new(0)).collect(), torn: std::sync::Mutex::default() };
    // Deaths until it is agreed to, until it serves, until it is closed, and until it is taken back: of the engine, of a supervisor (shim.), of
    // a step (snapshot., overlay., switch.).
    type Points = Vec<&'static str>;
    let round = |soak: &[&'static str], serve: &[&'static str], close: &[&'static str], back: &[&'static str]| -> [Points; 4] {
        [soak.to_vec(), serve.to_vec(), close.to_vec(), back.to_vec()]
    };
    let rounds = [
        round(
            &["promotion.saved", "promotion.begun", "snapshot.linked", "snapshot.durable", "switch.switched", "promotion.pinned"],
            &["verify.looked", "closure.judged", "promotion.checked:2"],
            &["runner.decided"],
            &["promotion.decided", "promotion.begun", "switch.switched"],
        ),
        round(
            &["snapshot.verified", "snapshot.named"],
            &["promotion.decided", "switch.intended", "switch.switched", "promotion.resumed"],
            &["promotion.recorded"],
            &["switch.intended", "promotion.checked", "shim.exited"],
        ),
        round(
            &["overlay.made"],
            &["shim.gate", "switch.prepared", "switch.durable", "runner.claimed"],
            &[],
            &["switch.durable", "runner.ingest"],
        ),
        round(
            &[],
            &["verify.told", "runner.ingest", "switch.previous", "switch.recorded", "promotion.checked"],
            &[],
            &["switch.prepared", "promotion.saved", "switch.recorded"],
        ),
    ];
    let rounds = std::thread::scope(|s| {
        let all: Vec<_> = (0..6)
            .map(|id| {
                let (readers, stable) = (&readers, e.root(DCS[id % 3]).join("stable"));
                s.spawn(move || readers.work(id, &stable))
            })
            .collect();
        let work = s.spawn(|| {
            let mut again: [Points; 4] = Default::default();
            let mut rounds = rounds.into_iter();
            for n in 0.. {
                // What a slow machine has missed is due once more, and twice at most.
                let due = rounds.next().or_else(|| again.iter().any(|p| !p.is_empty()).then(|| std::mem::take(&mut again)));
                let Some([soak, serve, close, back]) = due else { return n };
                assert!(n < 7, "not reached: {soak:?} {serve:?} {close:?} {back:?}");
                e.publish(2 + n as u8);
                if n == 2 {
                    let hold =
                        ["do", "hold-add", "el9", "--with", "package=base-1", "--with", "until=7d", "--reason", "r", "--confirm", "el9"];
                    e.qd(&hold).expect(0);
                }
                let mut go = |which: usize, points: &[&'static str], to: &str| {
                    again[which].extend(Deaths::new(&e, points, &format!("r{n}-{to}")).until(&format!("r{n}-{to}"), to));
                };
                go(0, &soak, "APPROVED");
                assert_eq!(e.all_lead(), e.old);
                go(1, &serve, "IMAGING");
                let row = e.promotion();
                assert_eq!(e.all_lead(), vec![row["to"].as_str().unwrap().to_owned(); 3], "{row}");
                go(2, &close, "CLOSED");
                readers.level();
                go(3, &back, "ROLLED-BACK");
                assert_eq!(e.all_lead(), e.old, "{}", e.promotion());
                readers.level();
            }
            0
        });
        let done = work.join();
        readers.stop.store(true, Ordering::SeqCst);
        for reader in all {
            reader.join().unwrap();
        }
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let torn = readers.torn.into_inner().unwrap();
    assert!(torn.is_empty(), "torn: {:#?}", &torn[..torn.len().min(20)]);
    let passes: u64 = readers.passes.iter().map(|p| p.load(Ordering::SeqCst)).sum();
    println!("readers of three datacentres: {passes} passes, none torn");
    assert!(passes > 60, "{passes}");
    // What was done is told once, and the chain is whole.
    e.qd(&["get", "audit"]).expect(0);
    let rows = e.home.json(&["get", "promotions"]);
    assert_eq!(rows["rows"].as_array().unwrap().len(), rounds, "{rows}");
}
