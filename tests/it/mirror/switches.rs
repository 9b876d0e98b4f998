//! `mirror/switch` and `mirror/rollback`: one atomic step forward and back, whatever is killed, and never to what is not whole.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::snapshots::{Disk, Trees};
use super::{read_whole, run, snapshot};
use crate::support::Fuse;

/// Kill points of a switch; the second half come after the pointer has moved.
const BEFORE: [&str; 2] = ["switch.intended", "switch.prepared"];
const AFTER: [&str; 4] = ["switch.switched", "switch.durable", "switch.previous", "switch.recorded"];

fn leads(t: &Trees, name: &str) -> String {
    std::fs::read_link(t.root().join(name)).map(|p| p.display().to_string()).unwrap_or_default()
}

fn served(t: &Trees) {
    for name in ["base", "app"] {
        read_whole(&t.root().join("stable").join(name), || ()).unwrap_or_else(|e| panic!("torn: {e}"));
    }
}

/// A root with three snapshots, `stable` on the second and the first before it.
fn promoted() -> (Trees, Vec<String>) {
    let t = Trees::new();
    let ids: Vec<String> = (1..=3)
        .map(|n| {
            t.compose(n);
            t.take()
        })
        .collect();
    for id in &ids[..2] {
        t.step("mirror/switch", &[&format!("to={id}")]).expect(0);
    }
    (t, ids)
}

#[test]
fn forward_back_and_forth_again() {
    let (t, ids) = promoted();
    assert_eq!(leads(&t, "stable"), format!("snapshots/{}", ids[1]));
    assert_eq!(leads(&t, "stable.previous"), format!("snapshots/{}", ids[0]));
    assert_eq!((t.told().1["to"].as_str(), t.told().1["previous"].as_str()), (ids[1].as_str(), ids[0].as_str()));
    t.step("mirror/switch", &[&format!("to={}", ids[1])]).expect(0);
    assert_eq!(t.told().0, "no-change");
    assert_eq!(leads(&t, "stable.previous"), format!("snapshots/{}", ids[0]), "nothing was switched, the way back stays");
    t.step("mirror/rollback", &[]).expect(0);
    let unknown = t.step("mirror/rollback", &["name=stabel"]).expect(4);
    assert!(unknown.stderr.contains("no pointer `stabel`") && unknown.stderr.contains("did you mean `stable`? there are: "), "{unknown:?}");
    assert!(!unknown.stderr.contains("stable.previous"), "{unknown:?}");
    assert_eq!((leads(&t, "stable"), leads(&t, "stable.previous")), (format!("snapshots/{}", ids[0]), format!("snapshots/{}", ids[1])));
    served(&t);
    t.step("mirror/switch", &["to=previous"]).expect(0);
    assert_eq!(leads(&t, "stable"), format!("snapshots/{}", ids[1]));
    // By content, and another pointer to one repository.
    let fp = ids[2].rsplit('-').next().unwrap();
    t.step("mirror/switch", &[&format!("to={fp}"), "name=base9", "repo=base"]).expect(0);
    assert_eq!(leads(&t, "base9"), format!("snapshots/{}/base", ids[2]));
    assert_eq!(read_whole(&t.root().join("base9"), || ()), Ok(3));
}

#[test]
fn wrong_use_is_refused_and_touches_nothing() {
    let (t, ids) = promoted();
    let before = (snapshot(&t.root()), leads(&t, "stable"));
    for (with, code) in [
        (vec!["to=20200101-abababababab"], 2),
        (vec!["to=../../etc"], 2),
        (vec![], 2),
        (vec!["to=previous", "name=../x"], 2),
        (vec!["to=previous", "name=snapshots"], 2),
        (vec!["to=previous", "name=fresh"], 4),
        (vec!["to=ID", "repo=nope"], 4),
        (vec!["to=ID", "repo=.."], 2),
    ] {
        let with: Vec<String> = with.iter().map(|w| w.replace("ID", &ids[2])).collect();
        let with: Vec<&str> = with.iter().map(String::as_str).collect();
        let out = t.step("mirror/switch", &with);
        assert_eq!(out.code, code, "{with:?}: {out:?}");
    }
    std::fs::write(t.root().join("odd"), "a file").unwrap();
    t.step("mirror/switch", &["name=odd", &format!("to={}", ids[2])]).expect(4);
    std::fs::remove_file(t.root().join("odd")).unwrap();
    assert_eq!((snapshot(&t.root()), leads(&t, "stable")), before);
    let out = super::step("mirror/switch", &[&format!("root={}", t.dir.path().join("none").display()), "to=x"], Path::new(""), &t.report());
    assert_eq!(run(out).code, 1);
    // A snapshot that was rewritten in place, through its hardlink, is not served.
    let package = t.tree("app").join("Packages/steady2.rpm");
    let mut bytes = std::fs::read(&package).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&package, bytes).unwrap();
    let out = t.step("mirror/switch", &[&format!("to={}", ids[2])]).expect(4);
    assert!(out.stderr.contains("is damaged") && out.stderr.contains("steady2.rpm"), "{out:?}");
    assert_eq!(leads(&t, "stable"), format!("snapshots/{}", ids[1]));
}

#[test]
fn killed_at_any_point_the_pointer_is_old_or_new_and_the_step_started_again_ends_the_work_once() {
    for point in BEFORE.into_iter().chain(AFTER) {
        for kind in ["mirror/switch", "mirror/rollback"] {
            let (t, ids) = promoted();
            let to = format!("to={}", ids[2]);
            let with: &[&str] = if kind == "mirror/switch" { &[&to] } else { &[] };
            let aim = if kind == "mirror/switch" { &ids[2] } else { &ids[0] };
            // As a step of a run that is started again: by hand, every call would be another intent.
            let command = || {
                let mut c = t.command(kind, with);
                c.env("QD_ATTEMPT_ID", "a1").env("QD_RUN", "promote-latest#7").env("QD_STAGE", "Switch").env("QD_STEP", "Switch");
                c
            };
            let mut c = command();
            c.env("QD_CRASH_AT", point);
            assert_eq!(run(c).code, -9, "{kind} {point}");
            served(&t);
            let moved = AFTER.contains(&point);
            assert_eq!(leads(&t, "stable"), format!("snapshots/{}", if moved { aim } else { &ids[1] }), "{kind} {point}");
            for _ in 0..2 {
                run(command()).expect(0);
                assert_eq!(leads(&t, "stable"), format!("snapshots/{aim}"), "{kind} {point}: once, and not back again");
                assert_eq!(leads(&t, "stable.previous"), format!("snapshots/{}", ids[1]), "{kind} {point}");
            }
            assert!(t.ids().len() == 3 && !t.root().join(".quarterdeck/stable.new").exists(), "{kind} {point}");
            // Somebody else's switch in between is not undone by a step that comes late.
            t.step("mirror/switch", &[&format!("to={}", ids[if aim == &ids[0] { 2 } else { 0 }])]).expect(0);
            let late = run(command()).expect(4);
            assert!(late.stderr.contains("unknown") && late.stderr.contains("look at"), "{late:?}");
        }
    }
}

#[test]
fn what_a_kill_left_is_ended_by_whoever_comes_next() {
    for point in AFTER {
        let (t, ids) = promoted();
        let mut c = t.command("mirror/switch", &[&format!("to={}", ids[2])]);
        c.env("QD_CRASH_AT", point);
        assert_eq!(run(c).code, -9, "{point}");
        // One step back leads to what was served before, and not to what was before that.
        t.step("mirror/rollback", &[]).expect(0);
        assert_eq!(leads(&t, "stable"), format!("snapshots/{}", ids[1]), "{point}");
        assert_eq!(leads(&t, "stable.previous"), format!("snapshots/{}", ids[2]), "{point}");
    }
}

/// `stable` as a plain directory, as it was before there were snapshots.
fn plain(t: &Trees) {
    for name in ["base", "app"] {
        let at = t.root().join("stable");
        std::fs::create_dir_all(&at).unwrap();
        let copied = std::process::Command::new("cp").arg("-a").arg(t.tree(name)).arg(at.join(name)).status().unwrap();
        assert!(copied.success());
    }
}

#[test]
fn a_plain_directory_becomes_the_first_way_back_in_one_step() {
    for point in ["", "switch.intended", "switch.prepared", "switch.switched", "switch.durable", "switch.adopted", "switch.previous"] {
        let t = Trees::new();
        plain(&t);
        t.compose(2);
        let id = t.take();
        let mut c = t.command("mirror/switch", &[&format!("to={id}")]);
        c.env("QD_CRASH_AT", point);
        let out = run(c);
        assert_eq!(out.code, if point.is_empty() { 0 } else { -9 }, "{point}: {out:?}");
        served(&t);
        t.step("mirror/switch", &[&format!("to={id}")]).expect(0);
        assert_eq!(leads(&t, "stable"), format!("snapshots/{id}"), "{point}");
        let back = leads(&t, "stable.previous");
        assert!(back.starts_with("snapshots/adopted-"), "{point}: {back}");
        served(&t);
        assert_eq!(t.ids().len(), 2, "{point}");
        t.step("mirror/rollback", &[]).expect(0);
        assert!(t.root().join("stable/base/Packages/base-1.rpm").exists(), "{point}");
        served(&t);
    }
}

#[test]
fn a_directory_that_cannot_be_exchanged_is_refused_with_the_steps_by_hand() {
    let t = Trees::new();
    let id = t.take();
    // A mount point is busy: no name can be exchanged with it.
    let Some(_disk) = Disk::mount("mirror::switches::mounted", &t.root().join("stable"), "size=1m") else { return };
    std::fs::write(t.root().join("stable/here"), "x").unwrap();
    let out = t.step("mirror/switch", &[&format!("to={id}")]).expect(4);
    assert!(out.stderr.contains("mv stable snapshots/adopted-") && out.stderr.contains(&format!("ln -s snapshots/{id} stable")), "{out:?}");
    assert_eq!(std::fs::read_to_string(t.root().join("stable/here")).unwrap(), "x");
    assert!(!t.root().join(".quarterdeck/stable.new").exists() && !t.root().join("stable.previous").exists());
}

/// bindfs answers the exchange of two names with EINVAL, as NFS and old kernels do.
#[test]
fn where_names_cannot_be_exchanged_the_steps_by_hand_are_right_and_later_switches_are_atomic() {
    let below = tempfile::tempdir().unwrap();
    let (real, mount) = (below.path().join("real"), below.path().join("mount"));
    std::fs::create_dir(&real).unwrap();
    std::fs::create_dir(&mount).unwrap();
    let Some(_mounted) = Fuse::over("mirror::switches::fuse", &real, &mount) else { return };
    let t = Trees { dir: tempfile::tempdir_in(&mount).unwrap() };
    let ids: Vec<String> = (1..=2)
        .map(|n| {
            t.compose(n);
            t.take()
        })
        .collect();
    let copy = Command::new("cp").arg("-a").arg(t.root().join("snapshots").join(&ids[0])).arg(t.root().join("stable")).status().unwrap();
    assert!(copy.success());
    let out = t.step("mirror/switch", &[&format!("to={}", ids[1])]).expect(4);
    let steps = out.stderr.split_once("at it: ").and_then(|(_, s)| s.split_once("; later switches")).map(|(s, _)| s.to_owned());
    let steps = steps.unwrap_or_else(|| panic!("no steps: {out:?}"));
    assert!(t.root().join("stable").is_dir() && leads(&t, "stable").is_empty(), "refused means untouched");
    served(&t);
    let by_hand = Command::new("/bin/sh").arg("-ec").arg(&steps).current_dir("/").output().unwrap();
    assert!(by_hand.status.success(), "{steps}: {by_hand:?}");
    served(&t);
    assert_eq!(leads(&t, "stable"), format!("snapshots/{}", ids[1]));
    assert!(leads(&t, "stable.previous").starts_with("snapshots/adopted-"));
    t.step("mirror/switch", &[&format!("to={}", ids[1])]).expect(0);
    assert_eq!(t.told().0, "no-change");
    t.step("mirror/switch", &[&format!("to={}", ids[0])]).expect(0);
    t.step("mirror/rollback", &[]).expect(0);
    assert_eq!((leads(&t, "stable"), leads(&t, "stable.previous")), (format!("snapshots/{}", ids[1]), format!("snapshots/{}", ids[0])));
    served(&t);
}

#[test]
fn a_switch_without_space_leaves_the_pointer_where_it_was_and_goes_on_when_there_is_some() {
    for options in ["size=80m,nr_inodes=2000", "size=80m,nr_inodes=300"] {
        let dir = tempfile::tempdir().unwrap();
        let Some(disk) = Disk::mount("mirror::switches::full", dir.path(), options) else { return };
        let t = Trees { dir: tempfile::tempdir_in(dir.path()).unwrap() };
        let ids: Vec<String> = (1..=2)
            .map(|n| {
                t.compose(n);
                t.take()
            })
            .collect();
        t.step("mirror/switch", &[&format!("to={}", ids[0])]).expect(0);
        let report = dir.path().parent().unwrap().join(format!("report-{}", std::process::id()));
        disk.fill();
        let root = format!("root={}", t.root().display());
        let out = run(super::step("mirror/switch", &[&root, &format!("to={}", ids[1])], Path::new(""), &report));
        assert_eq!(out.code, 1, "{options}: {out:?}");
        assert!(out.stderr.contains("space"), "{options}: {out:?}");
        assert_eq!(leads(&t, "stable"), format!("snapshots/{}", ids[0]), "{options}");
        served(&t);
        std::fs::remove_dir_all(dir.path().join("fill")).unwrap();
        t.step("mirror/switch", &[&format!("to={}", ids[1])]).expect(0);
        assert_eq!((leads(&t, "stable"), leads(&t, "stable.previous")), (format!("snapshots/{}", ids[1]), format!("snapshots/{}", ids[0])));
        let _ = std::fs::remove_file(report);
    }
}

#[test]
fn readers_that_straddle_a_switch_find_what_their_metadata_names() {
    let (t, ids) = promoted();
    let done = AtomicBool::new(false);
    let passes = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut passes = 0u64;
            while !done.load(Ordering::SeqCst) {
                for name in ["base", "app"] {
                    // Metadata before, packages after a whole switch.
                    let mut switched = Ok(());
                    let read = read_whole(&t.root().join("stable").join(name), || {
                        let to = format!("to={}", ids[(passes % 3) as usize]);
                        let out = t.step("mirror/switch", &[&to]);
                        if out.code != 0 {
                            switched = Err(format!("{out:?}"));
                        }
                    });
                    switched?;
                    read.map_err(|e| format!("torn after {passes} passes: {e}"))?;
                    passes += 1;
                }
                if passes >= 24 {
                    done.store(true, Ordering::SeqCst);
                }
            }
            Ok::<u64, String>(passes)
        });
        reader.join().unwrap()
    });
    assert!(passes.unwrap() >= 24);
    // Without what is laid beside, such a reader is torn: else this proves nothing.
    let (t, ids) = promoted();
    let torn = read_whole(&t.root().join("stable/base"), || {
        t.step("mirror/switch", &[&format!("to={}", ids[2]), "carry=false"]).expect(0);
    });
    assert!(torn.unwrap_err().contains("repodata/"));
}
