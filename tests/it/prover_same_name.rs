//! The proving reader on an upstream that publishes other bytes under the same package names with every compose, while the mirror is
//! synchronised, killed, and synchronised again. `QD_PROVER_SAME_PASSES` (600), `QD_PROVER_SAME_READERS` (16).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quarterdeck::demo::catalogue::Repo;
use quarterdeck::demo::seed::Rng;
use quarterdeck::demo::upstream::{Options, Upstream};

use crate::mirror::Repo as Made;
use crate::prover::{Counts, World, count, end, setting};
use crate::support::home::EXE;

/// Thirty packages; two in three have other bytes than in the compose before, the others stay.
fn compose(repo: Repo, n: u8) -> Made {
    let mut made = Made { timestamp: 1_700_000_000 + u64::from(n), ..Made::default() };
    for i in 0..30 {
        made.put(&format!("{}-{i}.rpm", repo.id()), 600, if i % 3 == 0 { 0 } else { n });
    }
    made
}

fn sync(upstream: &str, world: &World, repo: Repo) -> Child {
    Command::new(EXE)
        .args(["step", "mirror/sync", "--with", "settle=0s"])
        .args(["--with", &format!("url={upstream}/{}", repo.id())])
        .args(["--with", &format!("dest={}", world.mirror_dir.join(repo.id()).display())])
        .env_remove("QD_REPORT")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

fn syncer(world: &World, up: &Path, upstream: &str, usual: Duration) {
    let mut rng = Rng::new(79, "syncer", 0);
    let (mut n, usual) = (1, usual.as_micros() as u64);
    while !world.stop.load(Ordering::SeqCst) {
        // A reader that holds metadata of two cycles ago may find nothing: what a mirror keeps is one.
        if !world.is_level() {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        n = if n == u8::MAX { 1 } else { n + 1 };
        for repo in Repo::ALL {
            compose(repo, n).write(&up.join(repo.id()));
            let before = world.repomd(repo);
            loop {
                let after = (rng.below(3) > 0).then(|| Duration::from_micros(rng.below(usual * 12 / 10)));
                let (killed, code) = end(&mut sync(upstream, world, repo), after);
                world.counts.syncs.fetch_add(1, Ordering::SeqCst);
                if !killed {
                    assert_eq!(code, Some(0), "mirror/sync of {repo:?}");
                    break;
                }
                world.counts.kills.fetch_add(1, Ordering::SeqCst);
            }
            assert_ne!(world.repomd(repo), before, "it ended, and nothing was published");
            world.counts.publishes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn no_reader_sees_a_torn_repository_where_upstream_keeps_names_and_changes_bytes() {
    let wanted = setting("QD_PROVER_SAME_PASSES", 600);
    let readers = setting("QD_PROVER_SAME_READERS", 16) as usize;
    let dir = tempfile::tempdir().unwrap();
    let (up, mirror_dir) = (dir.path().join("up"), dir.path().join("mirror"));
    for repo in Repo::ALL {
        compose(repo, 0).write(&up.join(repo.id()));
    }
    std::fs::create_dir(&mirror_dir).unwrap();
    let (upstream, server) = (Upstream::start(&up, Options::default()).unwrap(), Upstream::start(&mirror_dir, Options::default()).unwrap());
    let world = World::new(server.url(), mirror_dir, 200);
    let mut usual = Duration::ZERO;
    for n in 0..2 {
        for repo in Repo::ALL {
            compose(repo, n).write(&up.join(repo.id()));
            let start = Instant::now();
            assert_eq!(end(&mut sync(&upstream.url(), &world, repo), None).1, Some(0), "sync {n} of {repo:?}");
            usual = start.elapsed();
        }
    }
    let enough = |c: &Counts| count(&c.passes) >= wanted && count(&c.kills) >= 5 && count(&c.straddling) >= 20 && count(&c.publishes) >= 6;
    world.read_while(readers, enough, || syncer(&world, &up, &upstream.url(), usual));
    let torn = world.torn.into_inner().unwrap();
    let c = &world.counts;
    let report = format!(
        "proving reader, same names and other bytes: {} passes ({} files), {} straddling a publish, {} torn; {} syncs of which {} killed -9, \
         {} publishes; {readers} readers, 0-0.2 s",
        count(&c.passes),
        count(&c.files),
        count(&c.straddling),
        torn.len(),
        count(&c.syncs),
        count(&c.kills),
        count(&c.publishes)
    );
    println!("{report}");
    assert!(torn.is_empty(), "torn: {:#?}\n{report}", &torn[..torn.len().min(20)]);
    assert!(enough(c), "{report}");
}
