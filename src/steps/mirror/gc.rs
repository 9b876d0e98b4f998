//! `mirror/gc`: removes snapshots to which nobody refers: found so in two complete checks, at least a day apart.
//!
//! A check is complete where every source of references answered; one that does not answer blocks it, and nothing is removed. The newest
//! `keep` snapshots stay in any case, and so does every directory that `mirror/snapshot` did not make. What is removed first leaves its name
//! in one step; a kill half way leaves the rest in `.quarterdeck/trash`, for the next one.

use std::collections::BTreeSet;

use super::book::Book;
use super::carry;
use super::refs;
use super::root::{BUILDING, Carried, Manifest, Root, SNAPSHOTS};
use crate::base::{crash, duration};
use crate::domain::snapshot::{Known, Moment, Plan, Seen, plan};
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;

const FILE: &str = ".quarterdeck/gc.json";
const TRASH: &str = ".quarterdeck/trash";
/// dnf asks for new metadata after 48 hours, where nobody says otherwise.
const READERS: u64 = 48 * 3600;

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let keep = match with.int("keep").unwrap_or(3) {
        n @ 1..=1_000 => n as usize,
        n => return Err(StepError::input(format!("`keep` is {n}"), "give 1 to 1000")),
    };
    let dry = with.flag("dry-run");
    let readers = with.span("readers").map_or(READERS * 1_000_000, |s| s.ms().saturating_mul(1_000));
    let root = Root::open(with, env, false)?;
    let mut ours: Vec<Manifest> = Vec::new();
    for (id, manifest) in root.snapshots()? {
        match manifest {
            Some(m) => ours.push(m),
            None => report.say(&format!("{SNAPSHOTS}/{id} was not made by mirror/snapshot: it is left alone")),
        }
    }
    // Before the pointers are read: a switch that was cut off is finished, or forgotten.
    for file in root.tree.list(".quarterdeck/pointers")? {
        if let Some(name) = file.strip_suffix(".json") {
            Book::open(&root.tree, name)?;
        }
    }
    let references = refs::all(&root, &ours, with, env, report)?;
    let now = Moment { wall_us: env.clock.now().as_microsecond(), boot_us: env.clock.boot_us(), boot_id: env.clock.boot_id() };
    let known: Vec<Known> = ours.iter().map(|m| Known { id: m.id.clone(), made_us: m.made_us }).collect();
    let plan = plan(&known, &references, keep, &load(&root)?, &now);
    describe(&plan, report);
    let mut removed = 0;
    if !dry {
        store(&root, &plan.seen)?;
        crash::point("gc.checked");
        root.tree.remove_tree(BUILDING, |_| ())?;
        for id in root.tree.list(TRASH)? {
            root.tree.remove_tree(&format!("{TRASH}/{id}"), |_| ())?;
        }
        for id in &plan.remove {
            remove(&root, id, report)?;
            removed += 1;
        }
        let gone: BTreeSet<&str> = plan.remove.iter().map(String::as_str).collect();
        for m in ours.iter().filter(|m| !gone.contains(m.id.as_str())) {
            settle(&root, &m.id, now.wall_us, readers, report)?;
        }
    }
    tell(&plan, removed, dry, report)
}

fn load(root: &Root) -> Result<Seen, StepError> {
    // A damaged one costs a day: everything is seen for the first time.
    let bytes = root.tree.read_small(FILE, 16 << 20)?.unwrap_or_default();
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

fn store(root: &Root, seen: &Seen) -> Result<(), StepError> {
    Ok(root.tree.replace(FILE, &serde_json::to_vec(seen).unwrap_or_default())?)
}

fn remove(root: &Root, id: &str, report: &Report) -> Result<(), StepError> {
    let aside = format!("{TRASH}/{id}");
    root.tree.make_dir(TRASH)?;
    root.tree.move_dir(&format!("{SNAPSHOTS}/{id}"), &aside)?;
    root.tree.sync_dir(SNAPSHOTS)?;
    root.tree.sync_dir(TRASH)?;
    crash::point("gc.moved");
    let files = root.tree.remove_tree(&aside, |n| report.progress(n, n.max(1), "files", &format!("removing {id}")))?;
    crash::point("gc.removed");
    report.say(&format!("removed {id}: {files} names"));
    Ok(())
}

/// Takes away what a switch laid for readers of the snapshot before, once they have had their time.
fn settle(root: &Root, id: &str, now_us: i64, readers_us: u64, report: &Report) -> Result<(), StepError> {
    let dir = format!("{SNAPSHOTS}/{id}");
    let carried = Carried::load(&root.tree, &dir)?;
    let age = u64::try_from(now_us.saturating_sub(carried.at_us)).unwrap_or(0);
    if !carried.files.is_empty() && age >= readers_us {
        let n = carry::clear(&root.tree, &dir)?;
        report.say(&format!("{id}: {n} names that were kept for readers of the snapshot before are gone"));
    }
    Ok(())
}

fn describe(plan: &Plan, report: &Report) {
    for id in &plan.remove {
        report.say(&format!("remove  {id}"));
    }
    for (id, left) in &plan.resting {
        let left = duration::short(u64::try_from(*left / 1_000).unwrap_or(0));
        report.say(&format!("rest    {id}  nobody refers to it; it may go in a check {left} from now"));
    }
    for (id, why) in &plan.kept {
        report.say(&format!("keep    {id}  {why}"));
    }
}

fn tell(plan: &Plan, removed: u64, dry: bool, report: &Report) -> Result<(), StepError> {
    report.output("removed", &removed.to_string());
    report.output("removable", &plan.remove.len().to_string());
    report.output("resting", &plan.resting.len().to_string());
    report.output("kept", &plan.kept.len().to_string());
    let text = format!(
        "{} {}, {} at rest, {} kept",
        plan.remove.len(),
        if dry { "would be removed" } else { "removed" },
        plan.resting.len(),
        plan.kept.len()
    );
    report.detail(if !dry && removed == 0 { "no-change" } else { &text });
    report.summary(&text);
    report.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::base::clock::ManualClock;
    use crate::steps::error::Exit;

    struct World {
        dir: tempfile::TempDir,
        clock: Arc<ManualClock>,
    }

    impl World {
        /// A root with snapshots `s1` to `sN`, `s1` the oldest.
        fn new(n: i64) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let w = Self { dir, clock: Arc::new(ManualClock::new("2026-11-25T01:00:00Z".parse().unwrap(), "boot")) };
            std::fs::create_dir_all(w.root().join(".quarterdeck")).unwrap();
            std::fs::write(w.root().join(".quarterdeck/owner"), "{\"writer\":\"quarterdeck\"}\n").unwrap();
            (1..=n).for_each(|i| w.snapshot(&format!("s{i}"), i));
            w
        }

        fn root(&self) -> std::path::PathBuf {
            self.dir.path().join("root")
        }

        fn snapshot(&self, id: &str, made_us: i64) {
            let at = self.root().join("snapshots").join(id);
            std::fs::create_dir_all(at.join(".quarterdeck")).unwrap();
            let fp = format!("{made_us:064x}");
            let m =
                serde_json::json!({"format": 1, "id": id, "set": "x", "fp": fp, "md": "m", "made": "t", "made_us": made_us, "repos": []});
            std::fs::write(at.join(".quarterdeck/snapshot.json"), m.to_string()).unwrap();
            std::fs::write(at.join("file"), id).unwrap();
        }

        fn gc(&self, with: &[&str]) -> (Exit, String) {
            let said = Arc::new(Mutex::new(Vec::new()));
            let env = StepEnv {
                report: None,
                attempt: None,
                run: None,
                out: said.clone(),
                err: said.clone(),
                terminal: false,
                clock: self.clock.clone(),
                ..StepEnv::from_process()
            };
            let root = format!("root={}", self.root().display());
            let items: Vec<&str> = std::iter::once(root.as_str()).chain(with.iter().copied()).collect();
            let exit = crate::steps::run("mirror/gc", &With::from_args(&items).unwrap(), &env);
            let text = String::from_utf8(said.lock().unwrap().clone()).unwrap();
            (exit, text)
        }

        fn day(&self) {
            self.clock.advance_us(crate::domain::snapshot::REST_US);
        }

        fn left(&self) -> Vec<String> {
            let mut out: Vec<String> = std::fs::read_dir(self.root().join("snapshots"))
                .unwrap()
                .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            out.sort();
            out
        }
    }

    #[test]
    fn only_what_was_unreferenced_in_two_checks_a_day_apart_goes() {
        let w = World::new(5);
        std::os::unix::fs::symlink("snapshots/s1", w.root().join("stable")).unwrap();
        std::os::unix::fs::symlink("snapshots/s2", w.root().join("stable.previous")).unwrap();
        let dry = w.gc(&["keep=1", "dry-run=true"]);
        assert_eq!(dry.0, Exit::Done, "{dry:?}");
        assert!(!w.root().join(FILE).exists(), "a dry run writes nothing");
        w.gc(&["keep=1"]);
        w.clock.advance_us(3_600_000_000);
        assert!(w.gc(&["keep=1"]).1.contains("it may go in a check 23h"), "{:?}", w.gc(&["keep=1"]));
        assert_eq!(w.left().len(), 5);
        w.day();
        assert_eq!(w.gc(&["keep=1", "hold=s3"]).0, Exit::Done);
        assert_eq!(w.left(), ["s1", "s2", "s3", "s5"]);
        assert_eq!(w.gc(&["keep=1"]).0, Exit::Done, "the hold went: the two checks of s3 begin");
        w.day();
        w.gc(&["keep=1"]);
        assert_eq!(w.left(), ["s1", "s2", "s5"]);
        assert!(w.root().join(TRASH).read_dir().unwrap().next().is_none());
    }

    #[test]
    fn a_source_that_does_not_answer_blocks_everything() {
        let w = World::new(3);
        let list = w.dir.path().join("pins");
        let source = format!("source={}", list.display());
        std::fs::write(&list, "# pins of the site\ns1  promotion PR-7\n").unwrap();
        w.gc(&["keep=1", &source]);
        w.day();
        std::fs::remove_file(&list).unwrap();
        let (exit, said) = w.gc(&["keep=1", &source]);
        assert!(exit == Exit::Failed && said.contains("pins") && w.left().len() == 3, "{said}");
        std::fs::write(&list, "<html>log in</html>\n").unwrap();
        assert_eq!(w.gc(&["keep=1", &source]).0, Exit::Failed);
        let (exit, said) = w.gc(&["keep=1", "source=http://127.0.0.1:1/pins"]);
        assert!(exit == Exit::FarEnd && w.left().len() == 3, "{said}");
        std::fs::write(&list, "s1\n").unwrap();
        assert_eq!(w.gc(&["keep=1", &source]).0, Exit::Done);
        assert_eq!(w.left(), ["s1", "s3"]);
        // By its content, by a path, by a link, by a directory of links.
        let (link, links) = (w.dir.path().join("www"), w.dir.path().join("links"));
        std::os::unix::fs::symlink(w.root().join("snapshots/s1"), &link).unwrap();
        std::fs::create_dir(&links).unwrap();
        std::os::unix::fs::symlink(w.root().join("snapshots/s1/repo"), links.join("x")).unwrap();
        for text in [format!("{:064x}\n", 1), format!("{}/snapshots/s1/baseos\n", w.root().display())] {
            std::fs::write(&list, text).unwrap();
            assert!(w.gc(&["keep=1", &source]).1.contains("keep    s1"));
        }
        for at in [&link, &links] {
            assert!(w.gc(&["keep=1", &format!("source={}", at.display())]).1.contains("keep    s1"), "{at:?}");
        }
    }

    #[test]
    fn a_root_without_our_mark_is_refused_and_strange_directories_are_left_alone() {
        let w = World::new(3);
        std::fs::create_dir_all(w.root().join("snapshots/adopted-20260101")).unwrap();
        std::fs::create_dir_all(w.root().join("snapshots/half/.quarterdeck")).unwrap();
        std::fs::write(w.root().join("snapshots/half/.quarterdeck/snapshot.json"), "{\"format\":1,").unwrap();
        let out = w.dir.path().join("outside");
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("victim"), "v").unwrap();
        std::os::unix::fs::symlink(&out, w.root().join("snapshots/s9")).unwrap();
        std::os::unix::fs::symlink(&out, w.root().join("snapshots/s1/link")).unwrap();
        w.gc(&["keep=1"]);
        w.day();
        let (exit, said) = w.gc(&["keep=1"]);
        assert_eq!(exit, Exit::Done, "{said}");
        assert_eq!(w.left(), ["adopted-20260101", "half", "s3", "s9"]);
        assert_eq!(std::fs::read(out.join("victim")).unwrap(), b"v");
        std::fs::write(w.root().join(".quarterdeck/owner"), "cobbler").unwrap();
        assert_eq!(w.gc(&["keep=1"]).0, Exit::Refused);
        std::fs::remove_file(w.root().join(".quarterdeck/owner")).unwrap();
        let (exit, said) = w.gc(&["keep=1"]);
        assert!(exit == Exit::Refused && said.contains("no mark of ours"), "{said}");
        assert!(!w.root().join(".quarterdeck/owner").exists());
    }

    #[test]
    fn what_was_laid_for_old_readers_goes_when_they_have_settled() {
        let w = World::new(1);
        let s1 = w.root().join("snapshots/s1");
        std::fs::write(s1.join("old.rpm"), "x").unwrap();
        let at = w.clock.as_ref();
        let carried =
            Carried { at_us: crate::base::clock::Clock::now(at).as_microsecond(), files: vec!["old.rpm".into(), "../file".into()] };
        std::fs::write(s1.join(".quarterdeck/carried.json"), serde_json::to_vec(&carried).unwrap()).unwrap();
        w.gc(&[]);
        assert!(s1.join("old.rpm").exists());
        w.day();
        w.day();
        let (exit, said) = w.gc(&[]);
        assert!(exit != Exit::Done, "a list with `..` in it is nobody's work: {said}");
        std::fs::write(
            s1.join(".quarterdeck/carried.json"),
            serde_json::to_vec(&Carried { files: vec!["old.rpm".into()], ..carried }).unwrap(),
        )
        .unwrap();
        assert_eq!(w.gc(&[]).0, Exit::Done);
        assert!(!s1.join("old.rpm").exists() && s1.join("file").exists());
    }
}
