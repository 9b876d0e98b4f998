//! One look at one tree, on disk or over HTTP: metadata, then packages by size or by every byte, then its upstream. Writes nothing, takes
//! no lock: whoever looks must never be the reason that a writer cannot begin.

use std::collections::HashSet;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::crowd;
use super::signature::ASC;
use super::state::{self, REPOMD};
use crate::base::count;
use crate::base::size::short;
use crate::domain::content::Collector;
use crate::domain::mirror::{Look, Probe, Relation, Seen, State, judge};
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::systems::repo::inventory::{self, Inventory, Wanted};
use crate::systems::repo::read::sha256;
use crate::systems::repo::{Origin, RepoAt, RepoError, Tree, TreeError, digest, owner};
use crate::wire::http::{Ask, Client};
use crate::wire::repomd::{self, Checksum, Data};
use crate::wire::{HttpError, address, excerpt, openpgp};

/// One package over HTTP; a stall has its own, shorter limit.
const BUDGET: Duration = Duration::from_secs(3600);
/// A few kB.
const SMALL_BUDGET: Duration = Duration::from_secs(60);
/// Findings that are kept in words.
const KEPT: usize = 1_000;

/// What a look found.
pub struct Found {
    pub seen: Seen,
    pub probe: Probe,
    /// In words, the first thousand.
    pub findings: Vec<String>,
}

/// What became of one file.
enum Verdict {
    Good,
    Missing,
    Size(u64),
    Bad(String),
    /// The far end did not answer: nothing is known.
    Silent(String),
}

struct Looking<'a> {
    origin: Origin,
    runtime: &'a Runtime,
    probe: Probe,
    findings: Vec<String>,
}

/// Looks at `tree`. Errors are those of the question; what is wrong with the tree is an answer.
pub fn at(
    tree: &RepoAt,
    upstreams: &[&RepoAt],
    look: Look,
    parallel: usize,
    report: &Report,
    all: &mut Collector,
    runtime: &Runtime,
) -> Result<Found, StepError> {
    let mut seen = Seen {
        repo: tree.name.clone(),
        tree: address::shown_text(&tree.at),
        state: State::Unknown,
        look,
        fp: None,
        md: None,
        packages: 0,
        bytes: 0,
        missing: 0,
        short: 0,
        damaged: 0,
        extra: 0,
        behind: 0,
        snapshot: None,
        detail: String::new(),
    };
    let origin = match Origin::open(&tree.at) {
        Ok(origin) => origin,
        Err(RepoError::Absent { .. }) => {
            let probe = Probe { absent: true, ..Probe::default() };
            return Ok(conclude(seen, probe, vec![format!("there is no directory {}", excerpt(&tree.at))]));
        }
        Err(e) => return Err(e.into()),
    };
    let mut l = Looking { origin, runtime, probe: Probe::default(), findings: Vec::new() };
    if let Origin::Local(local) = &l.origin {
        l.probe.held = owner::is_held(local);
        l.probe.snapshot = super::root::snapshot_of(local.path());
    }
    let first = l.runtime.block_on(l.origin.repomd());
    let raw = match first {
        Ok(raw) => raw,
        Err(e) => {
            l.repomd_failed(&e);
            return Ok(conclude(seen, l.probe, l.findings));
        }
    };
    seen.md = Some(sha256(&raw));
    let mut own = Collector::new();
    if let Some(inventory) = l.metadata(tree, &raw, &mut own) {
        l.probe.moved = Some(&inventory.md) != seen.md.as_ref();
        seen.packages = inventory.shelf.packages.len() as u64;
        seen.bytes = inventory.shelf.bytes();
        if look >= Look::Presence {
            l.packages(&inventory.shelf.packages, look, parallel, report, &tree.name);
            seen.extra = l.extra(&inventory);
            l.lost(tree, &inventory);
        }
        all.absorb(own.clone());
        seen.fp = own.finish().fp.known().map(str::to_owned);
        seen.behind = l.relate(tree, upstreams, &inventory, seen.fp.as_deref());
    }
    // What changed while it was read cannot be judged by what was read.
    match l.runtime.block_on(l.origin.repomd()) {
        Ok(last) if Some(sha256(&last)) == seen.md => {}
        Ok(_) => l.probe.moved = true,
        Err(RepoError::Http(e)) => l.silent(e.to_string()),
        Err(_) => l.probe.moved = true,
    }
    Ok(conclude(seen, l.probe, l.findings))
}

fn conclude(mut seen: Seen, probe: Probe, findings: Vec<String>) -> Found {
    seen.state = judge(&probe);
    (seen.missing, seen.short, seen.damaged) = (probe.missing + probe.lost, probe.short, probe.damaged);
    seen.snapshot.clone_from(&probe.snapshot);
    let mut parts = vec![seen.state.to_string()];
    // Its own packages were looked at all the same.
    if seen.state == State::Unreachable && !probe.unreachable {
        parts.push("its upstream could not be asked".into());
        parts.push("the tree itself is whole".into());
    }
    if let Some(id) = &seen.snapshot {
        parts.push(format!("snapshot {id}"));
    }
    if probe.moved {
        parts.push("its metadata changed while it was read".into());
    }
    for (n, word) in [(seen.damaged, "damaged"), (seen.missing, "missing"), (seen.short, "of another size"), (seen.extra, "extra")] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    if seen.behind > 0 {
        parts.push(format!("{} behind", count::s(seen.behind, "package")));
    }
    if let (State::Ahead, Relation::Differs { surplus, .. }) = (seen.state, &probe.relation) {
        parts.push(match surplus {
            0 => "other metadata around the packages of upstream".into(),
            1 => "1 package that upstream has not".into(),
            n => format!("{n} packages that upstream has not"),
        });
    }
    if seen.fp.is_some() {
        parts.push(format!("{} ({})", count::s(seen.packages, "package"), short(seen.bytes)));
    }
    if matches!(seen.state, State::Unknown) && !probe.absent && seen.fp.is_some() {
        parts.push("whole, but compared with no upstream".into());
    }
    parts.push(format!("looked at {}", seen.look.as_str()));
    if let Some(first) = findings.first().filter(|_| seen.state != State::InSync) {
        parts.push(format!("first: {first}"));
    }
    seen.detail = parts.join(", ");
    Found { seen, probe, findings }
}

impl Looking<'_> {
    fn say(&mut self, text: String) {
        if self.findings.len() < KEPT {
            self.findings.push(text);
        }
    }

    fn silent(&mut self, text: String) {
        self.probe.unreachable = true;
        self.say(text);
    }

    fn repomd_failed(&mut self, e: &RepoError) {
        match e {
            RepoError::Absent { .. } => {
                self.probe.absent = true;
                self.say(format!("there is no {REPOMD}"));
            }
            e => self.trouble(e),
        }
    }

    fn trouble(&mut self, e: &RepoError) {
        match e {
            RepoError::Http(h) if h.status() == Some(404) => {
                self.probe.missing += 1;
                self.say(h.to_string());
            }
            RepoError::Http(h) if !h.is_wrong() => self.silent(h.to_string()),
            RepoError::Absent { at } => {
                self.probe.missing += 1;
                self.say(format!("{} is missing", excerpt(at)));
            }
            e => {
                self.probe.damaged += 1;
                self.say(e.to_string());
            }
        }
    }

    fn count(&mut self, name: &str, verdict: Verdict) {
        let name = excerpt(name);
        match verdict {
            Verdict::Good => {}
            Verdict::Missing => {
                self.probe.missing += 1;
                self.say(format!("{name} is missing"));
            }
            Verdict::Size(got) => {
                self.probe.short += 1;
                self.say(format!("{name} has another size: {got} bytes"));
            }
            Verdict::Bad(why) => {
                self.probe.damaged += 1;
                self.say(format!("{name}: {why}"));
            }
            Verdict::Silent(why) => self.silent(why),
        }
    }

    /// `repomd.xml` and each file that it names; the package list where all of that is good enough to read it.
    fn metadata(&mut self, tree: &RepoAt, raw: &[u8], own: &mut Collector) -> Option<Inventory> {
        let repomd = match repomd::parse(raw) {
            Ok(repomd) => repomd,
            Err(e) => {
                self.probe.damaged += 1;
                self.say(format!("{REPOMD}: {e}"));
                return None;
            }
        };
        let mut primary = false;
        for data in &repomd.data {
            let verdict = match &self.origin {
                Origin::Local(local) => file(local, data.location.as_str(), &data.checksum, data.size, true),
                Origin::Http { .. } => self.runtime.block_on(remote_metadata(&self.origin, data)),
            };
            primary |= data.ty == "primary" && matches!(verdict, Verdict::Good);
            // A metadata file of another size has other bytes.
            let verdict =
                if let Verdict::Size(n) = verdict { Verdict::Bad(format!("it has {n} bytes, not those stated")) } else { verdict };
            self.count(data.location.as_str(), verdict);
        }
        if let Some(asc) = self.runtime.block_on(signature(&self.origin))
            && digest::may_sign(&asc, raw) == Some(false)
        {
            self.probe.damaged += 1;
            self.say(format!("{ASC} is not the signature of its repomd.xml: hosts with repo_gpgcheck=1 refuse it"));
        }
        if !primary {
            if repomd.find("primary").is_none() {
                self.probe.damaged += 1;
                self.say(format!("{REPOMD} names no primary"));
            }
            return None;
        }
        match self.runtime.block_on(inventory::read(&tree.name, &self.origin, own)) {
            Ok(inventory) => Some(inventory),
            Err(e) => {
                self.trouble(&e);
                None
            }
        }
    }

    fn packages(&mut self, wanted: &[Wanted], look: Look, parallel: usize, report: &Report, name: &str) {
        let hash = look >= Look::Checksums;
        let total = wanted.len() as u64;
        let done = std::sync::atomic::AtomicU64::new(0);
        let (origin, handle) = (&self.origin, self.runtime.handle());
        let work = |_: usize, w: &Wanted| {
            let size = (w.size > 0).then_some(w.size);
            let verdict = match origin {
                Origin::Local(local) => file(local, w.location.as_str(), &w.checksum, size, hash),
                Origin::Http { client, base } => handle.block_on(remote(client, base, w, hash)),
            };
            let n = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            report.progress(n, total, "packages", &format!("{name}: {}", if hash { "checksums" } else { "presence" }));
            verdict
        };
        let threads = if matches!(origin, Origin::Local(_)) { crowd::usual() } else { parallel };
        let verdicts = crowd::each(wanted, threads, |v| matches!(v, Verdict::Silent(_)), work);
        for (i, verdict) in verdicts {
            self.count(wanted[i].location.as_str(), verdict);
        }
    }

    /// Package files on disk that the metadata does not name. What our own sync keeps for old readers, and what a switch laid beside for
    /// them, is no surprise.
    fn extra(&mut self, inventory: &Inventory) -> u64 {
        let Origin::Local(local) = &self.origin else { return 0 };
        let census = match local.census() {
            Ok(census) => census,
            Err(e) => {
                self.say(e.to_string());
                return 0;
            }
        };
        let mut named: HashSet<String> = inventory.shelf.packages.iter().map(|w| w.location.as_str().to_owned()).collect();
        named.extend(state::kept_for_readers(local));
        named.extend(super::root::carried_beside(local.path()));
        let extra: Vec<String> =
            census.keys().filter(|p| p.ends_with(".rpm") && !named.contains(*p)).map(|p| format!("{} is extra", excerpt(p))).collect();
        let n = extra.len() as u64;
        extra.into_iter().for_each(|line| self.say(line));
        n
    }

    /// Where the upstream's metadata is kept beside the tree's own (Cobbler), what the one names and the other does not is lost.
    fn lost(&mut self, tree: &RepoAt, ours: &Inventory) {
        let kept = format!("{}/.origin", tree.at.trim_end_matches('/'));
        let read = async {
            let origin = Origin::open(&kept)?;
            inventory::read(&tree.name, &origin, &mut Collector::new()).await
        };
        match self.runtime.block_on(read) {
            Ok(theirs) => {
                let lost = super::lost::lost(&ours.shelf.packages, &theirs.shelf.packages);
                self.probe.lost = lost.len() as u64;
                lost.into_iter().for_each(|w| self.say(format!("{} did not come from upstream", excerpt(w.location.as_str()))));
            }
            Err(RepoError::Absent { .. }) => {}
            Err(e) if e.http().is_some_and(|h| h.status().is_some()) => {}
            Err(e) => self.say(format!("the upstream's metadata kept in .origin: {e}")),
        }
    }

    /// Asks the upstreams in order until one answers. Gives the number of packages that it has and the tree has not.
    fn relate(&mut self, tree: &RepoAt, upstreams: &[&RepoAt], ours: &Inventory, fp: Option<&str>) -> u64 {
        for upstream in upstreams {
            match self.runtime.block_on(compare(tree, upstream, &self.origin, ours, fp)) {
                Ok((relation, unsigned)) => {
                    if unsigned {
                        self.probe.missing += 1;
                        self.say(format!("{ASC} is missing: upstream has signed the same metadata"));
                    }
                    let behind = if let Relation::Differs { lacking, .. } = relation { lacking } else { 0 };
                    self.probe.relation = relation;
                    return behind;
                }
                Err(e) => {
                    self.probe.relation = Relation::NoAnswer;
                    self.say(format!("upstream: {e}"));
                }
            }
        }
        0
    }
}

/// One file on disk against its size and, where asked, its bytes.
fn file(tree: &Tree, at: &str, checksum: &Checksum, size: Option<u64>, hash: bool) -> Verdict {
    let mark = match tree.mark(at) {
        Ok(Some(mark)) => mark,
        Ok(None) => return Verdict::Missing,
        Err(e @ (TreeError::Link { .. } | TreeError::NotAFile { .. })) => return Verdict::Bad(e.to_string()),
        Err(e) => return Verdict::Bad(e.to_string()),
    };
    if size.is_some_and(|s| s != mark.size) {
        return Verdict::Size(mark.size);
    }
    if !hash {
        return Verdict::Good;
    }
    let read = tree.open_read(at).map_err(|e| e.to_string());
    match read.and_then(|f| digest::of_reader(&checksum.algorithm, f).map_err(|e| e.to_string())) {
        Ok(Some((got, _))) if got == checksum.hex => Verdict::Good,
        Ok(Some((got, _))) => Verdict::Bad(format!("its checksum is {}…, not {}…", head(&got), head(&checksum.hex))),
        Ok(None) => Verdict::Bad(format!("checksums of kind `{}` are not supported", excerpt(&checksum.algorithm))),
        Err(why) => Verdict::Bad(why),
    }
}

fn head(hex: &str) -> &str {
    hex.get(..12).unwrap_or(hex)
}

async fn remote_metadata(origin: &Origin, data: &Data) -> Verdict {
    match origin.metadata(data).await {
        Ok(_) => Verdict::Good,
        Err(RepoError::Http(e)) => of_http(&e),
        Err(e) => Verdict::Bad(e.to_string()),
    }
}

fn of_http(e: &HttpError) -> Verdict {
    match e {
        HttpError::Status { status: 404 | 410, .. } => Verdict::Missing,
        HttpError::TooLarge { .. } | HttpError::Truncated { .. } => Verdict::Bad(e.to_string()),
        e => Verdict::Silent(e.to_string()),
    }
}

async fn remote(client: &Client, base: &url::Url, w: &Wanted, hash: bool) -> Verdict {
    let url = address::join(base, &w.location);
    if !hash {
        return match client.length(&url, BUDGET).await {
            Ok(Some(n)) if w.size > 0 && n != w.size => Verdict::Size(n),
            Ok(_) => Verdict::Good,
            Err(e) => of_http(&e),
        };
    }
    let got = async {
        let mut response = client.get(&url, Ask::Whole, BUDGET).await?;
        let mut hasher = digest::Hasher::new(&w.checksum.algorithm);
        let mut n = 0u64;
        while let Some(piece) = response.chunk().await? {
            n += piece.len() as u64;
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
            }
            // Longer than stated is wrong already.
            if w.size > 0 && n > w.size {
                break;
            }
        }
        Ok::<_, HttpError>((hasher.map(digest::Hasher::finish), n))
    };
    match got.await {
        Ok((_, n)) if w.size > 0 && n != w.size => Verdict::Size(n),
        Ok((Some(hex), _)) if hex == w.checksum.hex => Verdict::Good,
        Ok((Some(hex), _)) => Verdict::Bad(format!("its checksum is {}…, not {}…", head(&hex), head(&w.checksum.hex))),
        Ok((None, _)) => Verdict::Bad(format!("checksums of kind `{}` are not supported", excerpt(&w.checksum.algorithm))),
        Err(e) => of_http(&e),
    }
}

/// The signature of a tree's metadata, where there is one that can be had.
async fn signature(origin: &Origin) -> Option<Vec<u8>> {
    match origin {
        Origin::Local(tree) => tree.read_small(ASC, openpgp::MAX_BYTES).ok()?,
        Origin::Http { client, base } => {
            let mut url = base.clone();
            url.set_path(&format!("{}{ASC}", base.path()));
            client.get(&url, Ask::Whole, SMALL_BUDGET).await.ok()?.collect(openpgp::MAX_BYTES).await.ok()
        }
    }
    .filter(|asc| openpgp::issuer(asc).is_ok())
}

/// With whether the tree lacks the signature of metadata that it has from upstream as it is.
async fn compare(
    tree: &RepoAt,
    upstream: &RepoAt,
    here: &Origin,
    ours: &Inventory,
    fp: Option<&str>,
) -> Result<(Relation, bool), RepoError> {
    let origin = Origin::open(&upstream.at)?;
    let md = sha256(&origin.repomd().await?);
    if md == ours.md {
        let unsigned = signature(here).await.is_none() && signature(&origin).await.is_some();
        return Ok((Relation::Same, unsigned));
    }
    if origin_md(here, &ours.md).await.is_some_and(|kept| kept == md) {
        return Ok((Relation::Same, false));
    }
    let mut all = Collector::new();
    let theirs = inventory::read(&tree.name, &origin, &mut all).await?;
    if fp.is_some() && all.finish().fp.known() == fp {
        return Ok((Relation::Same, false));
    }
    let sums = |i: &Inventory| i.shelf.packages.iter().map(|w| w.checksum.hex.clone()).collect::<HashSet<_>>();
    let (mine, other) = (sums(ours), sums(&theirs));
    let differs = Relation::Differs {
        lacking: other.difference(&mine).count() as u64,
        surplus: mine.difference(&other).count() as u64,
        ours: ours.repomd.newest(),
        theirs: theirs.repomd.newest(),
    };
    Ok((differs, false))
}

/// The md of the upstream metadata that a tree's own was made from: kept by Cobbler in `.origin/`, by our sync in its state.
async fn origin_md(here: &Origin, md: &str) -> Option<String> {
    match here {
        Origin::Local(tree) => match tree.read_small(&format!(".origin/{REPOMD}"), repomd::MAX_BYTES) {
            Ok(Some(bytes)) => Some(sha256(&bytes)),
            _ => state::origin_of(tree, md),
        },
        Origin::Http { client, base } => {
            let mut url = base.clone();
            url.set_path(&format!("{}.origin/{REPOMD}", base.path()));
            let response = client.get(&url, Ask::Whole, SMALL_BUDGET).await.ok()?;
            response.collect(repomd::MAX_BYTES).await.ok().map(|b| sha256(&b))
        }
    }
}
