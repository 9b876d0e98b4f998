//! Contents by the words that people have for them (a set, `SET@POINTER`, `REPO@PLACE`, a snapshot, a pointer, a fingerprint, a directory, an address), and
//! the comparison of two of them. Reads only; used by the engine's route and by `quarterdeck diff` on a private site.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::api::ApiError;
use crate::api::diff::{Counts, DiffDoc, EntryDoc, Knowledge, MetadataDoc, PackageDoc, SideDoc, SourceDoc, StreamDoc};
use crate::base::suggest;
use crate::config::Site;
use crate::domain::changelog::{self, Between, Known};
use crate::domain::diff::{Change, Diff, Row, Side, Source, diff, source_name};
use crate::domain::packages::{Package, PackageList, source_of};
use crate::domain::version::EvrRef;
use crate::store::lists::{Lists, MIN_PREFIX};
use crate::systems::repo::list::{Changelogs, read_changelogs, read_list};
use crate::systems::repo::{RepoAt, RepoError, snapshots};

/// Reading both sides takes no longer.
const LIMIT: Duration = Duration::from_secs(600);

/// Where contents are looked for.
pub struct Places<'a> {
    pub site: &'a Site,
    pub state: &'a Path,
    /// Paths and addresses count too. Never in the engine: a client would read with its rights.
    pub paths: bool,
}

/// A content that was found.
#[derive(Debug, Clone)]
pub struct Found {
    word: String,
    is: String,
    held: Held,
}

#[derive(Debug, Clone)]
enum Held {
    Repos(Vec<RepoAt>),
    /// The list of this fingerprint in the store.
    List(String),
}

impl Places<'_> {
    /// What a word means. More than one meaning is an error, never a guess.
    pub fn find(&self, word: &str) -> Result<Found, ApiError> {
        let found = |is: String, held: Held| Ok(Found { word: word.to_owned(), is, held });
        if word.contains("://") {
            self.path_allowed(word)?;
            let name = word.trim_end_matches('/').rsplit('/').next().unwrap_or(word).to_owned();
            return found(format!("tree {word}"), Held::Repos(vec![RepoAt { name, at: word.to_owned() }]));
        }
        if let Some((repo, place)) = self.of_a_repo(word) {
            return found(format!("{place} of repository {repo}"), Held::Repos(vec![self.at_place(repo, place)?]));
        }
        if let Some((set, pointer)) = word.split_once('@') {
            let repos = self.of_set(set, pointer)?;
            let is = if pointer == "latest" { format!("set {set}") } else { format!("pointer {pointer} of {set}") };
            return found(is, Held::Repos(repos));
        }
        if word.starts_with('/') || word.starts_with("./") || word.starts_with("../") || word == "." || word == ".." {
            self.path_allowed(word)?;
            return found(format!("tree {word}"), Held::Repos(self.tree(Path::new(word))?));
        }
        if self.site.content.contains_key(word) {
            return found(format!("set {word}"), Held::Repos(self.live(word)?));
        }
        let roots = self.roots();
        let all = snapshots::all(&roots);
        if let Some(s) = all.iter().find(|s| s.id == word) {
            return found(format!("snapshot {}", s.id), Held::Repos(s.repos.clone()));
        }
        let pointers: Vec<&PathBuf> = roots.iter().filter(|r| snapshots::pointer(r, word).is_some()).collect();
        match pointers.as_slice() {
            [] => {}
            [root] => {
                let repos = snapshots::pointer(root, word).unwrap_or_default();
                return found(format!("pointer {}", root.join(word).display()), Held::Repos(repos));
            }
            many => {
                let places: Vec<String> = many.iter().map(|r| r.join(word).display().to_string()).collect();
                return Err(ApiError::bad(
                    format!("`{word}` is a pointer in {} places", many.len()),
                    format!("give one of {}", places.join(", ")),
                ));
            }
        }
        if word.len() >= MIN_PREFIX && word.len() <= 64 && word.bytes().all(|b| b.is_ascii_hexdigit()) {
            return self.by_fp(word, &all);
        }
        if self.paths && Path::new(word).is_dir() {
            return found(format!("tree {word}"), Held::Repos(self.tree(Path::new(word))?));
        }
        Err(self.unknown(word, &all))
    }

    /// `REPO@PLACE`. A set of that name comes first, as it always did; `repo:REPO@PLACE` means the repository in any case.
    fn of_a_repo<'w>(&self, word: &'w str) -> Option<(&'w str, &'w str)> {
        let named = word.strip_prefix("repo:");
        let (repo, place) = named.unwrap_or(word).split_once('@')?;
        (named.is_some() || (!self.site.content.contains_key(repo) && self.site.repos.contains_key(repo))).then_some((repo, place))
    }

    /// One place of a repository: `upstream`, `tree`, `stable`, a datacentre, or `latest`: our tree, else what the first datacentre serves.
    fn at_place(&self, name: &str, place: &str) -> Result<RepoAt, ApiError> {
        let Some(repo) = self.site.repos.get(name) else {
            let near = suggest::nearest(name, self.site.repos.keys().map(String::as_str)).map(|n| format!("did you mean `{n}`?"));
            let help = near.unwrap_or_else(|| "quarterdeck get repos lists them".to_owned());
            return Err(ApiError::bad(format!("the site has no repository `{name}`"), help));
        };
        let some = |at: &String| (!at.is_empty()).then(|| at.clone());
        let first = || repo.replicas.first().map(|r| r.at.clone());
        let at = match place {
            "upstream" => repo.upstream.first().cloned(),
            "tree" => some(&repo.tree),
            "stable" => some(&repo.stable),
            "latest" => some(&repo.tree).or_else(first).or_else(|| repo.upstream.first().cloned()),
            dc => repo.replicas.iter().find(|r| r.dc == dc).map(|r| r.at.clone()),
        };
        let missing = || {
            let own = [("upstream", repo.upstream.is_empty()), ("tree", repo.tree.is_empty()), ("stable", repo.stable.is_empty())];
            let own = own.into_iter().filter(|(_, none)| !none).map(|(place, _)| place);
            let places: Vec<&str> = ["latest"].into_iter().chain(own).chain(repo.replicas.iter().map(|r| r.dc.as_str())).collect();
            ApiError::bad(format!("[repos.{name}] says no `{place}`"), format!("its places: {}", places.join(" ")))
        };
        Ok(RepoAt { name: name.to_owned(), at: at.ok_or_else(missing)? })
    }

    fn by_fp(&self, word: &str, all: &[snapshots::Snapshot]) -> Result<Found, ApiError> {
        let prefix = word.to_ascii_lowercase();
        let mut fps = Lists::new(self.state).find(&prefix)?;
        fps.extend(all.iter().filter(|s| s.fp.starts_with(&prefix)).map(|s| s.fp.clone()));
        fps.sort();
        fps.dedup();
        match fps.as_slice() {
            [] => Err(self.unknown(word, all)),
            [fp] => {
                // A snapshot also has the changelogs.
                let snapshot = all.iter().find(|s| s.fp == *fp);
                let (is, held) = match snapshot {
                    Some(s) => (format!("snapshot {}", s.id), Held::Repos(s.repos.clone())),
                    None => (format!("list {}", fp.get(..12).unwrap_or(fp)), Held::List(fp.clone())),
                };
                Ok(Found { word: word.to_owned(), is, held })
            }
            many => {
                let shown: Vec<&str> = many.iter().take(5).map(|f| f.get(..20).unwrap_or(f)).collect();
                Err(ApiError::bad(format!("{} contents begin with `{word}`: {}", many.len(), shown.join(", ")), "give more digits"))
            }
        }
    }

    fn path_allowed(&self, word: &str) -> Result<(), ApiError> {
        if self.paths {
            return Ok(());
        }
        Err(ApiError::bad(
            format!("`{word}` is a path or an address, and the engine reads only what its site names"),
            "a shared engine compares sets, pointers, snapshots and fingerprints; give two paths, and they are read here",
        ))
    }

    fn tree(&self, path: &Path) -> Result<Vec<RepoAt>, ApiError> {
        let mut repos = snapshots::repos_at(path).map_err(|e| from_repo(&path.display().to_string(), &e))?;
        // A tree of the site is known by the site's name for it: fingerprints hold names.
        let real = |p: &Path| std::fs::canonicalize(p).ok();
        for repo in &mut repos {
            let at = real(Path::new(&repo.at));
            let named = self.site.repos.iter().find(|(_, r)| !r.tree.is_empty() && at.is_some() && real(Path::new(&r.tree)) == at);
            if let Some((name, _)) = named {
                repo.name.clone_from(name);
            }
        }
        Ok(repos)
    }

    /// The trees of a set as they are now.
    fn live(&self, set: &str) -> Result<Vec<RepoAt>, ApiError> {
        let Some(found) = self.site.content.get(set) else {
            let help = suggest::meant(set, self.site.content.keys().map(String::as_str), "quarterdeck get content lists the sets");
            return Err(ApiError::bad(format!("the site has no content set `{set}`"), help));
        };
        let mut out = Vec::with_capacity(found.repos.len());
        for name in &found.repos {
            match self.site.repos.get(name).and_then(|r| if r.tree.is_empty() { r.upstream.first() } else { Some(&r.tree) }) {
                Some(at) => out.push(RepoAt { name: name.clone(), at: at.clone() }),
                None => return Err(ApiError::bad(format!("[repos.{name}] has neither tree nor upstream"), "add one of them to site.toml")),
            }
        }
        Ok(out)
    }

    fn of_set(&self, set: &str, pointer: &str) -> Result<Vec<RepoAt>, ApiError> {
        let live = self.live(set)?;
        if pointer == "latest" {
            return Ok(live);
        }
        // A promotion says where the set's pointers lie; its first datacentre is switched first.
        let own = self.site.promotion.values().filter(|p| p.set == set && (p.pointer == pointer || p.candidate == pointer));
        if let Some(repos) = own.flat_map(|p| &p.dcs).find_map(|dc| snapshots::pointer(&dc.root, pointer)) {
            return Ok(repos);
        }
        // What hosts of a datacentre read live, where it has trees of its own.
        let dcs = self.site.promotion.values().filter(|p| p.set == set).flat_map(|p| &p.dcs);
        if let Some(dc) = dcs.into_iter().find(|dc| dc.name == pointer && !dc.trees.is_empty()) {
            let named = dc.trees.iter().filter_map(|t| t.split_once('='));
            return Ok(named.map(|(name, at)| RepoAt { name: name.to_owned(), at: at.to_owned() }).collect());
        }
        // Of several roots with such a pointer, those count whose repositories are the set's.
        let wanted: HashSet<&str> = live.iter().map(|r| r.name.as_str()).collect();
        let mut hits: Vec<(PathBuf, Vec<RepoAt>)> = Vec::new();
        for root in self.roots() {
            let repos = snapshots::pointer(&root, pointer).unwrap_or_default();
            if repos.iter().any(|r| wanted.contains(r.name.as_str())) {
                hits.push((root, repos));
            }
        }
        match hits.len() {
            0 => Err(ApiError::bad(
                format!("no pointer `{pointer}` of {set} lies below the roots of the site ([mirror] roots)"),
                format!("`{set}@latest` is the set as it is now; mirror/switch makes pointers"),
            )),
            1 => Ok(hits.remove(0).1),
            n => {
                let places: Vec<String> = hits.iter().map(|(r, _)| r.join(pointer).display().to_string()).collect();
                Err(ApiError::bad(format!("{set} has {n} pointers `{pointer}`"), format!("give one of {}", places.join(", "))))
            }
        }
    }

    fn roots(&self) -> Vec<PathBuf> {
        let promoted = self.site.promotion.values().flat_map(|p| p.dcs.iter().map(|dc| dc.root.clone()));
        let dirs: Vec<PathBuf> = self.site.mirror_roots.iter().cloned().chain(promoted).collect();
        snapshots::roots(&dirs)
    }

    fn unknown(&self, word: &str, all: &[snapshots::Snapshot]) -> ApiError {
        let names = self.site.content.keys().map(String::as_str).chain(all.iter().map(|s| s.id.as_str()));
        let near = suggest::nearest(word, names).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
        ApiError::bad(
            format!("no content is called `{word}`"),
            format!(
                "{near}give a set, SET@latest, SET@POINTER, REPO@PLACE, a snapshot, a pointer, {MIN_PREFIX} digits or more of a fingerprint, a directory or an address"
            ),
        )
    }
}

/// The words of a far end or of a tree that cannot be read.
pub(super) fn from_repo(name: &str, e: &RepoError) -> ApiError {
    let said = e.to_string();
    // A directory that was given as it is needs no other name.
    let said = if said.starts_with(name) { said } else { format!("{name}: {said}") };
    match e {
        RepoError::Http(_) => ApiError::no_engine(said, "look at the far end: curl -I shows what it answers"),
        RepoError::Absent { .. } | RepoError::Address(_) => ApiError::bad(said, "give a directory that holds repodata/, or its address"),
        _ => ApiError::failed(said, "what cannot be read is unknown, and cannot be compared: sync it again"),
    }
}

/// By what a content is known again: another text wherever it is another content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub text: String,
    /// Part of it lies at a far end, which nobody asked: it may have moved since.
    pub far: bool,
}

impl Found {
    /// What it is now, without reading it: of a tree, which file its `repomd.xml` is. None where that cannot be said.
    pub fn identity(&self) -> Option<Identity> {
        let mut out = Identity { text: format!("{}\n{}\n", self.word, self.is), far: false };
        match &self.held {
            Held::List(fp) => out.text.push_str(fp),
            Held::Repos(repos) => {
                for repo in repos {
                    if repo.at.contains("://") {
                        out.far = true;
                        out.text.push_str(&format!("{} {}\n", repo.name, repo.at));
                        continue;
                    }
                    let file = std::fs::metadata(Path::new(&repo.at).join("repodata/repomd.xml")).ok()?;
                    let when = (file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec());
                    out.text.push_str(&format!("{} {} {} {} {} {when:?}\n", repo.name, repo.at, file.dev(), file.ino(), file.size()));
                }
            }
        }
        Some(out)
    }

    /// Reads something of it. Files are read without a pause: a runtime, with the memory that it takes, is for what lies at a far end.
    fn read<T>(&self, work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
        let far = match &self.held {
            Held::Repos(repos) => repos.iter().any(|r| r.at.contains("://")),
            Held::List(_) => false,
        };
        let mut work = std::pin::pin!(work);
        if !far && let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
        read(work)
    }

    async fn list(&self, state: &Path) -> Result<PackageList, ApiError> {
        match &self.held {
            Held::Repos(repos) => read_list(repos).await.map_err(|(name, e)| from_repo(&name, &e)),
            Held::List(fp) => match Lists::new(state).get(fp)? {
                Some(list) => Ok(list),
                None => Err(ApiError::failed(format!("the list of {} went away", self.word), "ask again")),
            },
        }
    }

    /// All that can be said of one side without the other.
    fn side(&self, state: &Path) -> Result<(Side, SideDoc), ApiError> {
        let list = self.read(self.list(state))?;
        let doc = self.doc(&list);
        Ok((Side::new(list), doc))
    }

    async fn changelogs(&self, list: &PackageList, wanted: &HashSet<&str>) -> Result<Changelogs, ApiError> {
        match &self.held {
            Held::Repos(repos) => read_changelogs(repos, list, wanted).await.map_err(|(name, e)| from_repo(&name, &e)),
            Held::List(_) => Ok(Changelogs::new()),
        }
    }

    fn doc(&self, list: &PackageList) -> SideDoc {
        SideDoc {
            content: self.word.clone(),
            is: self.is.clone(),
            fp: list.fp().known().unwrap_or_default().to_owned(),
            packages: list.len() as u64,
            size_bytes: list.bytes(),
            repos: list.repos().map(str::to_owned).collect(),
        }
    }
}

/// Compares two contents. Blocks while it reads files: not for a thread that serves others. `changelogs`: also what was written between.
pub fn compare(state: &Path, a: &Found, b: &Found, changelogs: bool) -> Result<DiffDoc, ApiError> {
    let (old, new) = both(|| a.side(state), || b.side(state));
    let ((old, old_doc), (new, new_doc)) = (old?, new?);
    let difference = diff(&old, &new);
    let mut doc = document(old_doc, new_doc, &difference);
    if changelogs {
        let asked = |of: fn(&Source) -> &str| -> HashSet<&str> {
            let moved = difference.sources.iter().filter(|s| matches!(s.change, Change::Up | Change::Down));
            moved.map(of).filter(|rpm| !rpm.is_empty()).collect()
        };
        let (olds, news) = (asked(|s| &s.old_rpm), asked(|s| &s.new_rpm));
        let (was, is) = both(|| a.read(a.changelogs(old.list(), &olds)), || b.read(b.changelogs(new.list(), &news)));
        entries(&mut doc, &difference.sources, &was?, &is?);
    }
    Ok(doc)
}

/// Both sides at once: reading is all that a comparison costs.
fn both<T: Send>(
    a: impl FnOnce() -> Result<T, ApiError> + Send,
    b: impl FnOnce() -> Result<T, ApiError>,
) -> (Result<T, ApiError>, Result<T, ApiError>) {
    std::thread::scope(|scope| {
        let first = scope.spawn(a);
        let second = b();
        let broken = |_| Err(ApiError::failed("a reader ended in the middle", "this is a bug: tell us with the command that you gave"));
        (first.join().unwrap_or_else(broken), second)
    })
}

pub(super) fn read<T>(work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| ApiError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let timed = async { tokio::time::timeout(LIMIT, work).await };
    runtime.block_on(timed).unwrap_or_else(|_| {
        Err(ApiError::no_engine(format!("it could not be read within {} s", LIMIT.as_secs()), "look at the far end, then ask again"))
    })
}

fn counts(of: impl Fn(Change) -> u64, same: u64) -> Counts {
    Counts {
        up: of(Change::Up),
        down: of(Change::Down),
        new: of(Change::New),
        gone: of(Change::Gone),
        rebuilt: of(Change::Rebuilt),
        moved: of(Change::Moved),
        copies: of(Change::Copies),
        same,
    }
}

fn text(e: EvrRef<'_>) -> String {
    format!("{}:{}-{}", e.epoch, e.version, e.release)
}

fn document(a: SideDoc, b: SideDoc, d: &Diff<'_>) -> DiffDoc {
    let some = |t: &str| (!t.is_empty()).then(|| t.to_owned());
    let row = |r: &Row<'_>| {
        let p: Package<'_> = r.either()?;
        Some(PackageDoc {
            change: r.change.as_str().to_owned(),
            name: p.name.to_owned(),
            arch: p.arch.to_owned(),
            repo: p.repo.to_owned(),
            source: source_name(&p).to_owned(),
            stream: p.stream.to_owned(),
            old: r.old.map(|p| text(p.evr)),
            new: r.new.map(|p| text(p.evr)),
            old_repo: r.old.map(|p| p.repo.to_owned()),
            old_bytes: r.old.map(|p| p.size),
            new_bytes: r.new.map(|p| p.size),
        })
    };
    let source = |s: &Source| SourceDoc {
        source: s.name.clone(),
        change: s.change.as_str().to_owned(),
        old: some(&s.old),
        new: some(&s.new),
        packages: s.packages,
        old_bytes: s.old_bytes,
        new_bytes: s.new_bytes,
        changelog: Known::Unknown.as_str().to_owned(),
        ..SourceDoc::default()
    };
    DiffDoc {
        what: "diff".into(),
        a,
        b,
        equal: d.is_empty(),
        packages: counts(|c| d.count(c), d.same),
        sources_changed: counts(|c| d.count_sources(c), 0),
        fetch_bytes: d.fetch_bytes(),
        rows: d.packages.iter().filter_map(row).collect(),
        sources: d.sources.iter().map(source).collect(),
        streams: d
            .streams
            .iter()
            .map(|s| StreamDoc {
                change: s.change.as_str().to_owned(),
                module: s.name.clone(),
                stream: s.stream.clone(),
                old: some(&s.old),
                new: some(&s.new),
            })
            .collect(),
        metadata: d
            .metadata
            .iter()
            .map(|m| MetadataDoc { change: m.change.as_str().to_owned(), repo: m.repo.clone(), ty: m.ty.clone() })
            .collect(),
        ..DiffDoc::default()
    }
}

/// Puts what was written between the two into the sources that went up or down.
fn entries(doc: &mut DiffDoc, sources: &[Source], was: &Changelogs, is: &Changelogs) {
    let mut known = Knowledge::default();
    for (row, source) in doc.sources.iter_mut().zip(sources) {
        let (older, newer, rpm) = match source.change {
            Change::Up => (was.get(&source.old_rpm), is.get(&source.new_rpm), &source.old_rpm),
            // What is lost: the entries of what was there before.
            Change::Down => (is.get(&source.new_rpm), was.get(&source.old_rpm), &source.new_rpm),
            _ => continue,
        };
        let version = source_of(rpm).map(|(_, e)| e).unwrap_or_default();
        let Between { known: how, entries, cves } = changelog::between(older.map(Vec::as_slice), newer.map(Vec::as_slice), version);
        match how {
            Known::Complete => known.complete += 1,
            Known::Partial => known.partial += 1,
            Known::Unknown => known.unknown += 1,
        }
        row.changelog = how.as_str().to_owned();
        row.cves = cves;
        row.entries = entries
            .into_iter()
            .map(|e| EntryDoc {
                date: (e.date > 0)
                    .then(|| jiff::Timestamp::from_second(i64::try_from(e.date).unwrap_or(0)).ok())
                    .flatten()
                    .map(crate::base::instant::utc),
                author: e.author,
                text: e.text,
            })
            .collect();
    }
    let fixed = doc.sources.iter().filter(|s| s.change == Change::Up.as_str()).flat_map(|s| s.cves.iter().cloned());
    let mut all: Vec<String> = fixed.collect();
    all.sort();
    all.dedup();
    doc.cves = all;
    doc.changelogs = known;
}
