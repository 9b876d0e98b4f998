//! The proving reader on a pointer: `stable` is switched forward and back, killed at every point of it and at any moment, while readers fetch
//! `repomd.xml` and, up to 400 ms later, what it names. An error or a wrong checksum is *torn*.
//!
//! `QD_PROVER_SWITCHES` (24), `QD_PROVER_SWITCH_READERS` (16). The pointer moves on only when no pass holds metadata older than the present:
//! what a switch lays for readers that straddle is one cycle.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use quarterdeck::demo::catalogue::Repo;
use quarterdeck::demo::seed::Rng;
use quarterdeck::demo::upstream::{Options, Upstream};
use quarterdeck::demo::{Estate, advance};

use crate::prover::{World, count, end, setting};
use crate::support::home::EXE;

const POINTS: [&str; 6] = ["switch.intended", "switch.prepared", "switch.switched", "switch.durable", "switch.previous", "switch.recorded"];

fn step(kind: &str, with: &[String]) -> Command {
    let mut c = Command::new(EXE);
    c.arg("step").arg(kind);
    c.args(with.iter().flat_map(|w| ["--with", w.as_str()]));
    c.env_remove("QD_REPORT").env_remove("QD_ATTEMPT_ID").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    c
}

/// Three composes of the demo, each kept as a snapshot below `root`.
fn snapshots(estate: &Estate, home: &Path, trees: &Path, root: &Path) -> Vec<String> {
    let tree = |r: Repo| format!("tree={}={}", r.id(), trees.join(r.id()).display());
    for n in 0..3 {
        if n > 0 {
            advance(home).unwrap();
        }
        for repo in Repo::ALL {
            let with =
                [format!("url={}", estate.repo_url(repo)), format!("dest={}", trees.join(repo.id()).display()), "settle=0s".to_owned()];
            assert_eq!(step("mirror/sync", &with).status().unwrap().code(), Some(0));
        }
        let with = [format!("root={}", root.display()), tree(Repo::BaseOS), tree(Repo::AppStream)];
        assert_eq!(step("mirror/snapshot", &with).status().unwrap().code(), Some(0));
    }
    let mut ids: Vec<String> =
        std::fs::read_dir(root.join("snapshots")).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    ids.sort();
    assert_eq!(ids.len(), 3);
    ids
}

fn switcher(world: &World, root: &Path, ids: &[String], wanted: u64) {
    let mut rng = Rng::new(91, "switcher", 0);
    let root = format!("root={}", root.display());
    let lead = || std::fs::read_link(&world.mirror_dir).unwrap();
    while world.counts.publishes.load(Ordering::SeqCst) < wanted {
        if !world.is_level() {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let before = lead();
        let mut c = if rng.below(3) == 0 {
            step("mirror/rollback", std::slice::from_ref(&root))
        } else {
            step("mirror/switch", &[root.clone(), format!("to={}", ids[rng.below(3) as usize])])
        };
        // A third is killed at a point, a third at any moment, a third is left alone.
        let after = match rng.below(3) {
            0 => {
                c.env("QD_CRASH_AT", POINTS[rng.below(6) as usize]);
                None
            }
            1 => Some(Duration::from_micros(rng.below(40_000))),
            _ => None,
        };
        let (killed, code) = end(&mut c.spawn().expect("the program starts"), after);
        world.counts.syncs.fetch_add(1, Ordering::SeqCst);
        if killed || code.is_none() {
            world.counts.kills.fetch_add(1, Ordering::SeqCst);
        } else {
            assert_eq!(code, Some(0));
        }
        if lead() != before {
            world.counts.publishes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn no_reader_sees_a_torn_repository_through_switches_rollbacks_and_kills() {
    let wanted = setting("QD_PROVER_SWITCHES", 24);
    let readers = setting("QD_PROVER_SWITCH_READERS", 16) as usize;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("d");
    let estate = Estate::start(&home, 23).unwrap();
    let root = dir.path().join("root");
    let ids = snapshots(&estate, &home, &dir.path().join("trees"), &root);
    let switch = |id: &str| step("mirror/switch", &[format!("root={}", root.display()), format!("to={id}")]).status().unwrap().code();
    // Twice: there is a way back from the start.
    assert_eq!((switch(&ids[0]), switch(&ids[1])), (Some(0), Some(0)));
    let server = Upstream::start(&root, Options::default()).unwrap();
    let world = World::new(format!("{}/stable", server.url()), root.join("stable"), 400);
    world.read_while(readers, |_| false, || switcher(&world, &root, &ids, wanted));
    let torn = world.torn.into_inner().unwrap();
    let c = &world.counts;
    let report = format!(
        "proving reader on a pointer: {} passes ({} files), {} straddling a switch, {} torn; {} switches and rollbacks of which {} killed -9, \
         the pointer moved {} times; {readers} readers, 0-0.4 s",
        count(&c.passes),
        count(&c.files),
        count(&c.straddling),
        torn.len(),
        count(&c.syncs),
        count(&c.kills),
        count(&c.publishes)
    );
    println!("{report}");
    assert!(torn.is_empty(), "torn: {:#?}", &torn[..torn.len().min(20)]);
    assert!(count(&c.kills) >= 8 && count(&c.straddling) >= wanted && count(&c.publishes) >= wanted, "{report}");
    // What is left can be read, and the next one ends what was cut off.
    assert_eq!(switch(&ids[0]), Some(0));
    assert!(std::fs::read_link(root.join("stable")).unwrap().ends_with(&ids[0]));
}
