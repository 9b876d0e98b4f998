//! A promotion whose engine and whose verifying step are killed at the same moment: nothing has moved, what was not proved is proved when it is
//! resumed, and what was damaged meanwhile is found before a pointer moves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::promotion::{DCS, Estate, WITHOUT};
use crate::support::process::{alive, kill};
use crate::support::{Foreground, until, until_some};

/// An engine whose next step that comes by the point stands still there; the step's process.
fn stopped(e: &Estate, point: &str, id: &str) -> (Foreground, i32) {
    let (engine, once) = e.still(point);
    if e.promotion()["state"] == "HALTED" {
        e.qd(&["do", "promote-resume", id, "--reason", "again", "--confirm", id]).expect(0);
    } else {
        e.start(id).expect(0);
    }
    let pid = until_some(&format!("a step at {point}"), || std::fs::read_to_string(&once).ok()?.strip_prefix(point)?.trim().parse().ok());
    (engine, pid)
}

/// A file below a directory, by its name.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path());
    entries.into_iter().find_map(|p| if p.is_dir() { find(&p, name) } else { p.ends_with(name).then_some(p) })
}

fn killed(e: &Estate, point: &str, id: &str) {
    let (mut engine, step) = stopped(e, point, id);
    kill(engine.pid());
    kill(step);
    engine.wait();
    until("the end of the step", || !alive(step));
    let row = e.until("HALTED");
    assert_eq!((row["switched"].as_u64(), e.all_lead()), (Some(0), e.old.clone()), "{point}: {row}");
    e.served();
}

#[test]
fn engine_and_verify_killed_together_move_nothing_and_a_resume_believes_nothing_that_changed() {
    let e = Estate::new(WITHOUT, "");
    let id = e.approved();
    killed(&e, "verify.looked", &id);
    killed(&e, "verify.told", &id);
    killed(&e, "closure.judged", &id);
    // A package of the candidate is cut while nobody looks: that it was verified before the kill is not enough for a switch.
    let candidate = e.promotion()["to"].as_str().unwrap().to_owned();
    let package = find(&e.root("alder").join("snapshots").join(&candidate).join("base"), "base-2.rpm").unwrap();
    let whole = std::fs::read(&package).unwrap();
    std::fs::write(&package, &whole[..10]).unwrap();
    e.qd(&["do", "promote-resume", &id, "--reason", "again", "--confirm", &id]).expect(0);
    let row = until_some("the look that finds it", || {
        Some(e.promotion()).filter(|p| {
            p["state"] == "HALTED" && p["detail"].as_str().is_some_and(|w| w.contains("is damaged") && w.contains("base-2.rpm"))
        })
    });
    assert_eq!(e.all_lead(), e.old, "{row}");
    std::fs::write(&package, &whole).unwrap();
    e.qd(&["do", "promote-resume", &id, "--reason", "mended", "--confirm", &id]).expect(0);
    let row = e.until("IMAGING");
    assert_eq!(e.all_lead(), vec![row["to"].as_str().unwrap().to_owned(); 3]);
    e.served();
    // The other way out of the same deaths.
    e.qd(&["do", "promote-halt", &id, "--reason", "r"]).expect(0);
    e.until("HALTED");
    until("the end of its run", || e.qd(&["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]).code == 0);
    e.until("ROLLED-BACK");
    assert_eq!(e.all_lead(), e.old);
    e.served();
}

#[test]
fn what_died_at_its_verify_may_be_rolled_back_instead() {
    let e = Estate::new(WITHOUT, "");
    let id = e.approved();
    killed(&e, "verify.told", &id);
    e.qd(&["do", "promote-rollback", &id, "--reason", "not today", "--confirm", &id]).expect(0);
    e.until("ROLLED-BACK");
    assert_eq!(e.all_lead(), e.old);
    e.served();
}

#[test]
fn a_halt_between_a_granted_check_and_its_switch_leaves_a_pointer_moved_and_recorded_or_neither() {
    // The check is about to be granted; it is granted and the runner has not heard of it; the switch is claimed; its process is there. In the
    // moment in which the engine goes on, the wish to halt is in its socket already.
    for point in ["promotion.checked", "runner.decided", "runner.claimed:5", "runner.spawned:5"] {
        let e = Estate::new(WITHOUT, "");
        let id = e.approved();
        let (engine, once) = e.still(point);
        e.start(&id).expect(0);
        let name = point.split(':').next().unwrap();
        let told = until_some(&format!("the engine at {point}"), || std::fs::read_to_string(&once).ok().filter(|t| t.ends_with('\n')));
        assert_eq!(told.trim(), format!("{name} {}", engine.pid()), "it is the engine that stands still");
        // A process that is there does its work while the engine stands still, and may be done with it by now.
        let moves = usize::from(name == "runner.spawned");
        assert_eq!(e.all_lead()[moves..], e.old[moves..], "{point}: nothing else has moved");
        let mut wish = UnixStream::connect(e.home.socket()).unwrap();
        let body = serde_json::json!({"action": "promote-halt", "target": id, "reason": "stop"}).to_string();
        write!(wish, "POST /v1/do HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        kill_process(Pid::from_raw(engine.pid()).unwrap(), Signal::CONT).unwrap();
        let mut answer = String::new();
        wish.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("is HALTED"), "{point}: {answer}");
        // What has begun is finished, and is taken in; nothing else moves.
        let run = e.promotion()["run"].as_str().unwrap().to_owned();
        until("the end of its run", || {
            let rows = e.home.json(&["get", "runs", "--filter", &format!("run={run}")]);
            rows["rows"][0]["state"] == "DONE" || !rows["rows"][0]["verdict"].is_null()
        });
        let row = until_some("what it did to be taken in", || {
            let led = usize::from(e.leads("alder") != e.old[0]);
            Some(e.promotion()).filter(|p| p["state"] == "HALTED" && p["switched"].as_u64() == Some(led as u64))
        });
        assert_eq!(e.all_lead()[1..], e.old[1..], "{point}: {row}");
        e.served();
        e.entries(&["promote-halt"]);
        // Both ways out are there.
        if point.ends_with('5') {
            e.qd(&["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]).expect(0);
            e.until("ROLLED-BACK");
            assert_eq!(e.all_lead(), e.old, "{point}");
        } else {
            e.qd(&["do", "promote-resume", &id, "--reason", "go on", "--confirm", &id]).expect(0);
            let row = e.until("IMAGING");
            assert_eq!(e.all_lead(), vec![row["to"].as_str().unwrap().to_owned(); DCS.len()], "{point}");
        }
        e.served();
    }
}
