//! The demo estate in its state directory: the upstream, the datacentres, the past, the configuration.
//! Owns what `demo`, `--fresh` and `advance` may touch; starts no engine.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::catalogue::{self, Repo};
use super::claim::{Found, claim, is_estate, look, write_mark};
use super::datacentres::{DATACENTRES, replica_dir};
use super::files::mkdir;
use super::past::{self, Past};
use super::places::{MARK, Places};
use super::publish::{self, Index, Published};
use super::upstream::{self, Upstream};
use super::{Error, pairs, scm, site};
use crate::base::{durable, sys};

/// How long `advance` waits for another that is publishing.
const PUBLISH_WAIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// How to start the estate.
#[derive(Default, Clone, Copy)]
pub struct Options<'a> {
    /// `None`: the seed that the estate has, or 1 for a new one.
    pub seed: Option<u64>,
    /// Remove everything in a directory marked as the demo's, and start over.
    pub fresh: bool,
    /// File name and text of the pipelines copied into `config/pipelines` where they are absent.
    pub pipelines: &'a [(&'a str, &'a str)],
    /// Name of the machine's user whose demo it is.
    pub owner: &'a str,
    /// Plays the past of a new estate through a real engine. None: it has no past.
    pub past: Option<&'a PlayPast<'a>>,
}

/// Plays [`past::story`], and asks for the trees of each quarter.
pub type PlayPast<'a> = dyn Fn(&mut Past<'_>) -> Result<(), Error> + 'a;

/// A running estate: the upstream serves until this is dropped.
#[derive(Debug)]
pub struct Estate {
    places: Places,
    seed: u64,
    compose: String,
    upstream: Upstream,
    /// The datacentres' listeners.
    replicas: Vec<(&'static str, Upstream)>,
    /// Why it has just begun without a past.
    pastless: Option<String>,
    /// Held as long as the estate runs; the kernel releases it however the process ends.
    _serving: File,
}

impl Estate {
    /// Starts the estate in `dir` with `seed`, making it first where `dir` is absent or empty.
    pub fn start(dir: &Path, seed: u64) -> Result<Self, Error> {
        Self::open(dir, &Options { seed: Some(seed), ..Options::default() })
    }

    /// Starts the estate in `dir`. A directory that is neither empty nor marked is refused and left as it is.
    pub fn open(dir: &Path, options: &Options<'_>) -> Result<Self, Error> {
        let mut seed = claim(dir, options.seed, options.fresh)?;
        let dir = std::fs::canonicalize(dir).map_err(Error::io("resolving", dir))?;
        let places = Places { state_dir: dir };
        mkdir(&places.own())?;
        let mut serving = take_serving(&places)?;
        if options.fresh {
            serving = start_over(&places, serving)?;
            seed = options.seed.unwrap_or(seed);
            write_mark(&places.state_dir, seed)?;
        }
        mkdir(&places.mirror_dir())?;
        let published = push(&places, seed, |n| n.max(1))?;
        let pastless = options.past.map_or(Ok(None), |play| make_past(&places, options.owner, play))?;
        make_pairs(&places, seed)?;
        let upstream = listen(&places, "port", &places.upstream_dir(), Some(places.access_log()))?;
        let mut replicas = Vec::new();
        for dc in DATACENTRES {
            replicas.push((dc, listen(&places, &format!("port.{dc}"), &replica_dir(&places.replicas_dir(), dc), None)?));
        }
        let addresses: Vec<(&str, String)> = replicas.iter().map(|(dc, l)| (*dc, l.url())).collect();
        scm::publish(&places.upstream_dir())?;
        site::write(&places, &upstream.url(), options.owner, &addresses, options.pipelines)?;
        serving.set_len(0).and_then(|()| serving.rewind()).map_err(Error::io("writing", &places.own()))?;
        writeln!(serving, "{}", std::process::id()).map_err(Error::io("writing", &places.own()))?;
        Ok(Self { places, seed, compose: published.compose, upstream, replicas, pastless, _serving: serving })
    }

    /// Where its files are; all paths are absolute.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Why no past could be made for it, when that was tried just now.
    pub fn pastless(&self) -> Option<&str> {
        self.pastless.as_deref()
    }

    /// The seed that it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The compose that it began with; `advance` in another process moves on from it.
    pub fn compose(&self) -> &str {
        &self.compose
    }

    /// Its upstream.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The datacentres and their listeners.
    pub fn replicas(&self) -> impl Iterator<Item = (&'static str, &Upstream)> {
        self.replicas.iter().map(|(dc, l)| (*dc, l))
    }

    /// `http://127.0.0.1:PORT`.
    pub fn upstream_url(&self) -> String {
        self.upstream.url()
    }

    /// The URL of one repository, without a slash at its end.
    pub fn repo_url(&self, repo: Repo) -> String {
        format!("{}/{}", self.upstream.url(), publish::repo_path(repo))
    }
}

/// What `advance` did.
pub type Advanced = Published;

/// Publishes the next compose of the estate in `dir`, whether its upstream runs or not.
pub fn advance(dir: &Path) -> Result<Advanced, Error> {
    let seed = match look(dir)? {
        Found::Marked(mark) => mark.seed,
        Found::Foreign => return Err(Error::NotOurs { dir: dir.to_owned() }),
        Found::Empty | Found::Absent => return Err(Error::NoEstate { dir: dir.to_owned() }),
    };
    let dir = std::fs::canonicalize(dir).map_err(Error::io("resolving", dir))?;
    push(&Places { state_dir: dir }, seed, |n| n + 1)
}

/// Whether `dir` is the demo's and no demo serves it, as one must be that is to be started over. A demo that is up is an error.
pub fn at_rest(dir: &Path) -> Result<bool, Error> {
    if !is_estate(dir)? {
        return Ok(false);
    }
    let places = Places { state_dir: dir.to_owned() };
    if places.own().is_dir() {
        drop(take_serving(&places)?);
    }
    Ok(true)
}

fn open_lock(path: &Path) -> Result<File, Error> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(Error::io("opening", path))
}

fn take_serving(places: &Places) -> Result<File, Error> {
    let path = places.own().join("serving.lock");
    let mut file = open_lock(&path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        let holder = if pid.trim().is_empty() { String::new() } else { format!(" (process {})", pid.trim()) };
        return Err(Error::Busy { dir: places.state_dir.clone(), what: "a demo", holder });
    }
    Ok(file)
}

/// Removes everything but the mark. The mark goes on saying whose directory it is if this is cut short.
fn start_over(places: &Places, serving: File) -> Result<File, Error> {
    let engine = places.state_dir.join("engine.lock");
    if let Ok(file) = File::open(&engine)
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
    {
        return Err(Error::Busy { dir: places.state_dir.clone(), what: "an engine", holder: String::new() });
    }
    if let Some(holder) = step_at_work(&places.state_dir.join("runs"), 0) {
        let holder = format!(" ({})", holder.display());
        return Err(Error::Busy { dir: places.state_dir.clone(), what: "a step of an earlier run", holder });
    }
    let list = std::fs::read_dir(&places.state_dir).map_err(Error::io("listing", &places.state_dir))?;
    for item in list {
        let item = item.map_err(Error::io("listing", &places.state_dir))?;
        let path = item.path();
        if item.file_name() == MARK {
            continue;
        }
        // Links are removed, never followed.
        let gone = if item.file_type().is_ok_and(|t| t.is_dir()) { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        gone.map_err(Error::io("removing", &path))?;
    }
    mkdir(&places.own())?;
    let fresh = take_serving(places)?;
    drop(serving);
    Ok(fresh)
}

/// An attempt whose supervisor lives, below `runs/PIPELINE/NUMBER/attempts/ATTEMPT`: it outlives its engine, and would go on
/// writing into what was removed under it.
fn step_at_work(dir: &Path, depth: u32) -> Option<PathBuf> {
    let mut list = std::fs::read_dir(dir).ok()?.filter_map(Result::ok);
    list.find_map(|item| {
        let path = item.path();
        if depth == 4 {
            let held = item.file_name() == "lock" && File::open(&path).is_ok_and(|f| sys::lock_is_held(f.as_fd()).unwrap_or(false));
            return held.then(|| dir.to_owned());
        }
        let down = item.file_type().is_ok_and(|t| t.is_dir()) && (depth != 2 || item.file_name() == "attempts");
        if down { step_at_work(&path, depth + 1) } else { None }
    })
}

/// A listener on the port that it had before, where that is free.
fn listen(places: &Places, name: &str, root: &Path, log: Option<PathBuf>) -> Result<Upstream, Error> {
    let remembered = places.own().join(name);
    let port = std::fs::read_to_string(&remembered).ok().and_then(|p| p.trim().parse().ok());
    let listener = Upstream::start(root, upstream::Options { port, log })?;
    if port != Some(listener.port()) {
        durable::replace(&remembered, format!("{}\n", listener.port()).as_bytes(), 0o644).map_err(Error::io("writing", &remembered))?;
    }
    Ok(listener)
}

/// The past of an estate that is being made; why there is none where it could not be made. One that was cut short is begun anew.
fn make_past(places: &Places, owner: &str, play: &PlayPast<'_>) -> Result<Option<String>, Error> {
    let (begun, done) = (places.own().join("past.begun"), places.own().join("past.json"));
    if done.is_file() || places.own().join("pairs.json").is_file() || jiff::Timestamp::now().as_second() < past::ENDS {
        return Ok(None);
    }
    if begun.is_file() {
        // Its last steps are short, and outlive whoever began them.
        let mut waited = Duration::ZERO;
        while let Some(holder) = step_at_work(&places.state_dir.join("runs"), 0) {
            if waited >= PUBLISH_WAIT {
                let holder = format!(" ({})", holder.display());
                return Err(Error::Busy { dir: places.state_dir.clone(), what: "a step of an earlier run", holder });
            }
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
        past::forget(places)?;
    }
    durable::replace(&begun, b"", 0o600).map_err(Error::io("writing", &begun))?;
    let index = read_index(places)?;
    let mut made = Past::new(places, &index);
    let played = made.begin(owner).and_then(|()| play(&mut made));
    let why = match played {
        Ok(()) => {
            made.end()?;
            None
        }
        // A demo without a past is better than none.
        Err(e) => {
            past::forget(places)?;
            Some(e.to_string())
        }
    };
    durable::replace(&done, b"{\"format\":1}\n", 0o600).map_err(Error::io("writing", &done))?;
    Ok(why)
}

fn read_index(places: &Places) -> Result<Index, Error> {
    let path = places.own().join("index.json");
    let bytes = std::fs::read(&path).map_err(Error::io("reading", &path))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Damaged { path, why: e.to_string() })
}

/// The pairs, made from the packages that are published and those that are not yet.
fn make_pairs(places: &Places, seed: u64) -> Result<(), Error> {
    let mark = places.own().join("pairs.json");
    if mark.is_file() {
        return Ok(());
    }
    let index = read_index(places)?;
    super::openpgp::write_keys(&places.own(), seed)?;
    pairs::make(seed, &index, &places.upstream_dir(), &places.replicas_dir(), &places.own().join("pool"), &mark)
}

/// Publishes the compose that `which` picks from the number of the last one (0: none yet), one process at a time.
fn push(places: &Places, seed: u64, which: impl FnOnce(u32) -> u32) -> Result<Published, Error> {
    mkdir(&places.own())?;
    let lock = open_lock(&places.own().join("publish.lock"))?;
    let mut waited = Duration::ZERO;
    while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if waited >= PUBLISH_WAIT {
            return Err(Error::Busy { dir: places.state_dir.clone(), what: "another `demo advance`", holder: String::new() });
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
    let path = places.own().join("index.json");
    let mut index = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<Index>(&bytes).map_err(|e| Error::Damaged { path: path.clone(), why: e.to_string() })?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Index::new(seed),
        Err(e) => return Err(Error::io("reading", &path)(e)),
    };
    let compose = catalogue::compose(seed, which(index.number));
    let published = publish::publish(&places.upstream_dir(), &compose, &mut index, &mut |index| {
        let bytes = serde_json::to_vec(index).map_err(|e| Error::Damaged { path: path.clone(), why: e.to_string() })?;
        durable::replace(&path, &bytes, 0o600).map_err(Error::io("writing", &path))
    })?;
    // The pairs whose upstreams still publish; those of a demo that is being made come at their own composes.
    if places.own().join("pairs.json").is_file() {
        pairs::follow(&compose, &index, &places.upstream_dir(), &places.own().join("followed"))?;
    }
    Ok(published)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    fn everything(dir: &Path) -> BTreeSet<(PathBuf, u64)> {
        let mut out = BTreeSet::new();
        let mut todo = vec![dir.to_owned()];
        while let Some(d) = todo.pop() {
            for e in std::fs::read_dir(&d).unwrap() {
                let e = e.unwrap();
                let m = e.metadata().unwrap();
                if m.is_dir() {
                    todo.push(e.path());
                }
                out.insert((e.path(), m.len()));
            }
        }
        out
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("state.db"), b"production").unwrap();
        let before = everything(dir.path());
        let fresh = Options { fresh: true, ..Options::default() };
        for error in [
            Estate::start(dir.path(), 1).unwrap_err(),
            Estate::open(dir.path(), &fresh).unwrap_err(),
            advance(dir.path()).unwrap_err(),
            Estate::start(&dir.path().join("state.db"), 1).unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotOurs { .. }), "{error}");
            assert_eq!(error.exit_code(), 4);
        }
        assert_eq!(everything(dir.path()), before);
        // A link of the mark's name is no mark.
        std::os::unix::fs::symlink("state.db", dir.path().join(MARK)).unwrap();
        assert!(matches!(Estate::open(dir.path(), &fresh).unwrap_err(), Error::NotOurs { .. }));
        assert_eq!(std::fs::read(dir.path().join("state.db")).unwrap(), b"production");
    }

    #[test]
    fn advance_needs_an_estate() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(advance(dir.path()).unwrap_err().exit_code(), 3);
        assert_eq!(advance(&dir.path().join("absent")).unwrap_err().exit_code(), 3);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn it_starts_again_where_it_was_at_the_same_address_and_moves_on_by_advance() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("demo");
        let pipelines = [("nightly.yml", "text")];
        let options = Options { seed: Some(7), pipelines: &pipelines, ..Options::default() };
        let estate = Estate::open(&dir, &options).unwrap();
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let url = estate.upstream_url();
        assert_eq!(estate.compose(), "CentOS-Stream-9-20260331.0");
        assert!(matches!(Estate::open(&dir, &options).unwrap_err(), Error::Busy { .. }));
        assert!(matches!(at_rest(&dir).unwrap_err(), Error::Busy { .. }));
        let next = advance(&dir).unwrap();
        assert_eq!((next.number, next.compose.as_str()), (2, "CentOS-Stream-9-20260401.0"));
        std::fs::write(estate.places().config_dir().join("pipelines/nightly.yml"), "edited").unwrap();
        drop(estate);
        let again = Estate::open(&dir, &Options { pipelines: &pipelines, ..Options::default() }).unwrap();
        assert_eq!((again.upstream_url(), again.compose(), again.seed()), (url, "CentOS-Stream-9-20260401.0", 7));
        assert_eq!(std::fs::read_to_string(again.places().config_dir().join("pipelines/nightly.yml")).unwrap(), "edited");
        drop(again);
        assert!(matches!(Estate::start(&dir, 8).unwrap_err(), Error::OtherSeed { have: 7, asked: 8, .. }));
        std::fs::write(dir.join("mirror/old"), b"x").unwrap();
        let fresh = Estate::open(&dir, &Options { seed: Some(8), fresh: true, ..Options::default() }).unwrap();
        assert_eq!((fresh.seed(), fresh.compose()), (8, "CentOS-Stream-9-20260331.0"));
        assert!(!dir.join("mirror/old").exists());
    }

    #[test]
    fn fresh_is_refused_while_an_engine_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        drop(Estate::start(dir.path(), 1).unwrap());
        let lock = open_lock(&dir.path().join("engine.lock")).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        let fresh = Options { fresh: true, ..Options::default() };
        let error = Estate::open(dir.path(), &fresh).unwrap_err();
        assert!(matches!(error, Error::Busy { what: "an engine", .. }), "{error}");
        assert!(dir.path().join("upstream").exists());
    }

    #[test]
    fn fresh_is_refused_while_a_step_of_an_earlier_run_is_at_work() {
        let dir = tempfile::tempdir().unwrap();
        drop(Estate::start(dir.path(), 1).unwrap());
        let attempt = dir.path().join("runs/nightly/7/attempts/1-0-0-9");
        std::fs::create_dir_all(&attempt).unwrap();
        let lock = open_lock(&attempt.join("lock")).unwrap();
        assert!(sys::try_lock_exclusive(lock.as_fd()).unwrap());
        let fresh = Options { fresh: true, ..Options::default() };
        let error = Estate::open(dir.path(), &fresh).unwrap_err();
        assert!(error.to_string().contains("attempts/1-0-0-9") && error.exit_code() == 4, "{error}");
        drop(lock);
        Estate::open(dir.path(), &fresh).unwrap();
        assert!(!attempt.exists());
    }

    #[test]
    fn a_push_cut_short_is_finished_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        drop(Estate::start(dir.path(), 3).unwrap());
        let places = Places { state_dir: std::fs::canonicalize(dir.path()).unwrap() };
        let path = places.own().join("index.json");
        let mut index: Index = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        // Killed between the first save and the first repomd.xml.
        let cut = publish::publish(&places.upstream_dir(), &catalogue::compose(3, 2), &mut index, &mut |index| {
            std::fs::write(&path, serde_json::to_vec(index).unwrap()).unwrap();
            Err(Error::NoEstate { dir: PathBuf::new() })
        });
        assert!(cut.is_err());
        let estate = Estate::start(dir.path(), 3).unwrap();
        assert_eq!(estate.compose(), "CentOS-Stream-9-20260401.0");
        let gone = catalogue::compose(3, 1).packages;
        let there =
            |p: &&catalogue::Package| publish::repo_dir(&places.upstream_dir(), p.repo).join("Packages").join(p.file_name()).exists();
        assert!(gone.iter().all(|p| there(&p)), "the compose before stays for a cycle");
    }
}
