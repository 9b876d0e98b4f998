//! The proving reader: fetches repomd.xml of a mirror at any moment, then after 0 to 3 s its metadata and some of its
//! packages, while the mirror is synchronised, killed, and synchronised again. An error or a wrong checksum is *torn*.
//!
//! `QD_PROVER_PASSES` (2,000), `QD_PROVER_READERS` (64), `QD_PROVER_REPORT` (a file that gets the report as well).
//! Upstream moves on only when no pass holds metadata older than the present: what a mirror keeps is one cycle.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quarterdeck::demo::catalogue::Repo;
use quarterdeck::demo::faults::{Fault, Match};
use quarterdeck::demo::seed::Rng;
use quarterdeck::demo::upstream::{Options, Upstream};
use quarterdeck::demo::{Estate, advance, files, publish};

use crate::demo_tools::{document, packages_of};
use crate::support::home::EXE;
use crate::support::http;
use crate::support::wait::LIMIT;

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) passes: AtomicU64,
    pub(crate) straddling: AtomicU64,
    pub(crate) files: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) kills: AtomicU64,
    pub(crate) publishes: AtomicU64,
    pub(crate) advances: AtomicU64,
}

pub(crate) fn count(of: &AtomicU64) -> u64 {
    of.load(Ordering::SeqCst)
}

/// What the passes under way hold: by reader, the repository and the sha256 of the repomd.xml that it got, if it has one yet.
type Held = Mutex<HashMap<usize, (Repo, Option<String>)>>;

/// Href, size and sha256 of each package.
type Listed = Vec<(String, u64, String)>;

pub(crate) struct World {
    pub(crate) mirror_url: String,
    pub(crate) mirror_dir: PathBuf,
    /// A pass waits up to so many milliseconds between repomd.xml and the rest.
    delay_ms: u64,
    pub(crate) counts: Counts,
    held: Held,
    pub(crate) torn: Mutex<Vec<String>>,
    pub(crate) stop: AtomicBool,
    /// Packages of a primary by its checksum: href, size, sha256.
    listed: Mutex<BTreeMap<String, Arc<Listed>>>,
}

impl World {
    pub(crate) fn new(mirror_url: String, mirror_dir: PathBuf, delay_ms: u64) -> Self {
        Self {
            mirror_url,
            mirror_dir,
            delay_ms,
            counts: Counts::default(),
            held: Held::default(),
            torn: Mutex::default(),
            stop: AtomicBool::new(false),
            listed: Mutex::default(),
        }
    }

    pub(crate) fn repomd(&self, repo: Repo) -> Vec<u8> {
        std::fs::read(self.mirror_dir.join(repo.id()).join("repodata/repomd.xml")).unwrap_or_default()
    }

    /// No pass holds metadata older than the present.
    pub(crate) fn is_level(&self) -> bool {
        let [base, app] = [Repo::BaseOS, Repo::AppStream].map(|repo| files::sha256(&self.repomd(repo)));
        self.held.lock().unwrap().values().all(|(repo, sha)| sha.as_ref() == Some(if *repo == Repo::BaseOS { &base } else { &app }))
    }

    /// Lets readers read, until what was counted is enough, on a machine of whatever speed, or `mover`, which moves what they read, has ended.
    pub(crate) fn read_while(&self, readers: usize, enough: impl Fn(&Counts) -> bool + Sync, mover: impl FnOnce() + Send) {
        let enough = &enough;
        std::thread::scope(|s| {
            let mover = s.spawn(|| {
                // However it ends, nobody reads on.
                let _stop = StopAtEnd(&self.stop);
                mover();
            });
            let readers: Vec<_> = (0..readers).map(|id| s.spawn(move || reader(self, id, enough))).collect();
            let mut failed: Vec<_> = readers.into_iter().filter_map(|r| r.join().err()).collect();
            self.stop.store(true, Ordering::SeqCst);
            failed.extend(mover.join().err());
            if let Some(panic) = failed.pop() {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One value of an XML text, `after` some mark. repomd.xml is read by hand here: the reader must owe nothing to the program.
fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    text.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map_or("", |(v, _)| v)
}

/// Type, href, size and sha256 of each metadata file that `repomd` names.
fn named(repomd: &str) -> Vec<(String, String, u64, String)> {
    repomd
        .split("<data type=\"")
        .skip(1)
        .map(|d| {
            let kind = d.split('"').next().unwrap_or_default().to_owned();
            let sum = between(d, "<checksum type=\"sha256\">", "<").to_owned();
            (kind, between(d, "<location href=\"", "\"").to_owned(), between(d, "<size>", "<").parse().unwrap_or(0), sum)
        })
        .collect()
}

/// Fetches, and says what is wrong, if anything is.
fn fetch(world: &World, repo: Repo, href: &str, size: u64, sum: &str) -> Result<Vec<u8>, String> {
    let url = format!("{}/{}/{href}", world.mirror_url, repo.id());
    let got = http::get(&url).map_err(|e| format!("{href}: {e}"))?;
    world.counts.files.fetch_add(1, Ordering::Relaxed);
    if got.status != 200 {
        return Err(format!("{href}: status {}", got.status));
    }
    if got.body.len() as u64 != size || files::sha256(&got.body) != sum {
        return Err(format!("{href}: {} bytes with another checksum, {size} expected", got.body.len()));
    }
    Ok(got.body)
}

fn packages(world: &World, sum: &str, primary: &[u8]) -> Arc<Listed> {
    if let Some(known) = world.listed.lock().unwrap().get(sum) {
        return known.clone();
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(primary), &mut text).unwrap();
    let one = |f: &crate::demo_tools::Fields, k: &str| f.get(k).and_then(|v| v.first()).cloned().unwrap_or_default();
    let list: Vec<_> = packages_of(&text)
        .values()
        .map(|f| {
            let size = one(f, "package/size@package").parse().unwrap();
            (one(f, "package/location@href"), size, one(f, "package/checksum"))
        })
        .collect();
    assert!(list.len() > 10);
    let list = Arc::new(list);
    world.listed.lock().unwrap().insert(sum.to_owned(), list.clone());
    list
}

/// One pass. `Err` says what was torn.
fn pass(world: &World, id: usize, rng: &mut Rng) -> Result<(), String> {
    let repo = Repo::ALL[rng.below(2) as usize];
    world.held.lock().unwrap().insert(id, (repo, None));
    let url = format!("{}/{}/repodata/repomd.xml", world.mirror_url, repo.id());
    let first = http::get(&url).map_err(|e| format!("repomd.xml: {e}"))?;
    if first.status != 200 {
        return Err(format!("repomd.xml: status {}", first.status));
    }
    let sha = files::sha256(&first.body);
    world.held.lock().unwrap().insert(id, (repo, Some(sha.clone())));
    let repomd = String::from_utf8(first.body).map_err(|e| format!("repomd.xml: {e}"))?;
    if !repomd.trim_end().ends_with("</repomd>") {
        return Err("repomd.xml is cut".to_owned());
    }
    std::thread::sleep(Duration::from_millis(rng.below(world.delay_ms)));
    let data = named(&repomd);
    let mut listed = None;
    for (kind, href, size, sum) in &data {
        let bytes = fetch(world, repo, href, *size, sum)?;
        if kind == "primary" {
            listed = Some(packages(world, sum, &bytes));
        }
    }
    let listed = listed.ok_or("repomd.xml names no primary")?;
    for i in rng.pick(listed.len(), 6) {
        let (href, size, sum) = &listed[i];
        fetch(world, repo, href, *size, sum)?;
    }
    if files::sha256(&world.repomd(repo)) != sha {
        world.counts.straddling.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn reader(world: &World, id: usize, enough: &dyn Fn(&Counts) -> bool) {
    let mut rng = Rng::new(77, "reader", id as u64);
    while !world.stop.load(Ordering::SeqCst) && !enough(&world.counts) {
        let result = pass(world, id, &mut rng);
        world.held.lock().unwrap().remove(&id);
        world.counts.passes.fetch_add(1, Ordering::SeqCst);
        if let Err(why) = result {
            world.torn.lock().unwrap().push(why);
        }
    }
}

fn sync(estate: &Estate, world: &World, repo: Repo) -> Child {
    Command::new(EXE)
        .args(["step", "mirror/sync"])
        .args(["--with", &format!("url={}", estate.repo_url(repo))])
        .args(["--with", &format!("dest={}", world.mirror_dir.join(repo.id()).display())])
        .env_remove("QD_REPORT")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Waits for `child` until `deadline`; kills it then. True when it was killed.
pub(crate) fn end(child: &mut Child, kill_after: Option<Duration>) -> (bool, Option<i32>) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (false, status.code());
        }
        if kill_after.is_some_and(|after| start.elapsed() >= after) {
            child.kill().unwrap();
            let status = child.wait().unwrap();
            // It may have ended between the look and the kill.
            return (status.code().is_none(), status.code());
        }
        assert!(start.elapsed() < LIMIT, "mirror/sync hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How long syncs take here and now. Only the moments of the kills depend on it.
#[derive(Clone, Copy)]
struct Usual {
    changed: Duration,
    unchanged: Duration,
}

fn syncer(world: &World, estate: &Estate, home: &Path, usual: Usual) {
    let mut rng = Rng::new(78, "syncer", 0);
    let upstream = |repo| std::fs::read(publish::repo_dir(&estate.places().upstream_dir(), repo).join("repodata/repomd.xml")).unwrap();
    while !world.stop.load(Ordering::SeqCst) {
        for repo in Repo::ALL {
            let before = world.repomd(repo);
            // Three in four are killed: at a moment drawn from the whole of such a sync, or from around its publish.
            let usual = if before == upstream(repo) { usual.unchanged } else { usual.changed }.as_micros() as u64;
            let after = match rng.below(4) {
                0 => None,
                1 => Some(usual * 6 / 10 + rng.below(usual * 6 / 10)),
                _ => Some(rng.below(usual)),
            };
            let after = after.map(Duration::from_micros);
            let (killed, code) = end(&mut sync(estate, world, repo), after);
            world.counts.syncs.fetch_add(1, Ordering::SeqCst);
            if killed {
                world.counts.kills.fetch_add(1, Ordering::SeqCst);
            } else {
                assert_eq!(code, Some(0), "mirror/sync of {repo:?}");
            }
            if world.repomd(repo) != before {
                world.counts.publishes.fetch_add(1, Ordering::SeqCst);
            }
        }
        // Upstream moves on when the mirror has caught up, and no reader is more than that one step behind.
        let caught_up = Repo::ALL.iter().all(|r| world.repomd(*r) == upstream(*r));
        if caught_up && world.is_level() {
            advance(home).unwrap();
            world.counts.advances.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn no_reader_ever_sees_a_torn_repository() {
    let wanted = setting("QD_PROVER_PASSES", 2000);
    let readers = setting("QD_PROVER_READERS", 64) as usize;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("d");
    let estate = Estate::start(&home, 21).unwrap();
    // Slow enough that a kill finds packages under way.
    estate.upstream().faults().always(Match::EndsWith(".rpm".into()), Fault::Trickle { bytes: 16 * 1024, every: Duration::from_millis(2) });
    let mirror_dir = dir.path().join("mirror");
    std::fs::create_dir(&mirror_dir).unwrap();
    let server = Upstream::start(&mirror_dir, Options::default()).unwrap();
    let world = World::new(server.url(), mirror_dir, 3000);
    for repo in Repo::ALL {
        assert_eq!(end(&mut sync(&estate, &world, repo), None).1, Some(0), "the first sync of {repo:?}");
    }
    advance(&home).unwrap();
    let timed = || {
        let start = Instant::now();
        assert_eq!(end(&mut sync(&estate, &world, Repo::BaseOS), None).1, Some(0));
        start.elapsed()
    };
    let usual = Usual { changed: timed(), unchanged: timed() };
    let enough = |c: &Counts| count(&c.passes) >= wanted && count(&c.kills) >= 20 && count(&c.straddling) >= 20 && count(&c.publishes) >= 4;
    world.read_while(readers, enough, || syncer(&world, &estate, &home, usual));
    // Left alone, the mirror ends as what upstream is.
    for repo in Repo::ALL {
        assert_eq!(end(&mut sync(&estate, &world, repo), None).1, Some(0));
        let up = publish::repo_dir(&estate.places().upstream_dir(), repo);
        let list = |dir: &Path| packages_of(&document(dir, "primary")).into_keys().collect::<Vec<_>>();
        assert_eq!(list(&up), list(&world.mirror_dir.join(repo.id())));
    }
    let torn = world.torn.into_inner().unwrap();
    let c = &world.counts;
    let report = format!(
        "proving reader: {} passes ({} files), {} straddling a publish, {} torn; {} syncs of which {} killed -9; {} composes, {} publishes; {} readers, 0-3 s\n",
        count(&c.passes),
        count(&c.files),
        count(&c.straddling),
        torn.len(),
        count(&c.syncs),
        count(&c.kills),
        count(&c.advances),
        count(&c.publishes),
        readers
    );
    println!("{report}");
    if let Some(path) = std::env::var_os("QD_PROVER_REPORT") {
        std::fs::write(path, &report).unwrap();
    }
    assert!(torn.is_empty(), "torn: {:#?}", &torn[..torn.len().min(20)]);
    assert!(enough(c), "{report}");
}

#[test]
fn the_proving_reader_knows_a_torn_repository_when_it_sees_one() {
    // A mirror that publishes as a plain copy does, metadata first, must be found out; else the proof proves nothing.
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("d");
    let estate = Estate::start(&home, 22).unwrap();
    let mirror_dir = dir.path().join("mirror");
    let copy = |sub: &str, keep: &dyn Fn(&str) -> bool| {
        for repo in Repo::ALL {
            let from = publish::repo_dir(&estate.places().upstream_dir(), repo).join(sub);
            let to = mirror_dir.join(repo.id()).join(sub);
            std::fs::create_dir_all(&to).unwrap();
            for e in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|e| keep(&e.file_name().to_string_lossy())) {
                std::fs::copy(e.path(), to.join(e.file_name())).unwrap();
            }
        }
    };
    copy("Packages", &|_| true);
    copy("repodata", &|_| true);
    let server = Upstream::start(&mirror_dir, Options::default()).unwrap();
    let world = World::new(server.url(), mirror_dir.clone(), 10);
    let mut rng = Rng::new(1, "x", 0);
    pass(&world, 0, &mut rng).expect("the honest copy is whole");
    // The next compose: repomd.xml first, everything else later.
    advance(&home).unwrap();
    copy("repodata", &|n| n == "repomd.xml");
    assert!(pass(&world, 0, &mut rng).unwrap_err().contains("status 404"));
    copy("repodata", &|_| true);
    let torn = (0..20).filter(|_| pass(&world, 0, &mut rng).is_err()).count();
    assert!(torn > 0, "packages are missing, and nobody noticed");
    copy("Packages", &|_| true);
    pass(&world, 0, &mut rng).expect("whole again");
    // One bit of a package.
    let document = packages_of(&document(&mirror_dir.join("baseos"), "primary"));
    let f = document.values().next().unwrap();
    let one = |k: &str| f[k].first().unwrap().clone();
    let (href, size, sum) = (one("package/location@href"), one("package/size@package").parse().unwrap(), one("package/checksum"));
    fetch(&world, Repo::BaseOS, &href, size, &sum).unwrap();
    let victim = mirror_dir.join("baseos").join(&href);
    let mut bytes = std::fs::read(&victim).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&victim, bytes).unwrap();
    assert!(fetch(&world, Repo::BaseOS, &href, size, &sum).unwrap_err().contains("another checksum"));
}
