//! Questions to one place of a repository, the cheapest first: `repomd.xml` if it changed, what its metadata says, whether some of its
//! packages are there. Every request and every byte of an answer is counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use url::Url;

use super::disk::{Asking, asked};
use super::inventory::{Shelf, Wanted};
use super::read::{fold, sha256};
use super::{Origin, RepoError, Tree, origin, owner};
use crate::domain::content::{CONTENT_TYPES, Collector, content_type};
use crate::domain::freshness::Trouble;
use crate::wire::http::{Ask, Client, HttpError, Patience, Raw, Validators};
use crate::wire::location::Location;
use crate::wire::metalink::{self, Metalink};
use crate::wire::primary::Package;
use crate::wire::repomd::{self, Data};
use crate::wire::{WireError, address, excerpt, openpgp};

/// For a small answer, with everything.
const SMALL: Duration = Duration::from_secs(30);
/// Compressed metadata of one file: the largest real one has a tenth of it, and the engine has to hold it for a moment.
const MAX_FILE: u64 = 256 << 20;
/// Packages that are kept to be asked for.
const SAMPLE: usize = 256;
/// Questions to one far end at the same time.
pub const AT_ONCE: usize = 2;
/// Levels above a repository where its compose leaves its label.
const LABEL_LEVELS: [usize; 4] = [3, 1, 2, 0];
const LABEL_BYTES: u64 = 256;
/// Architectures of one repository.
const ARCHS: usize = 64;

/// Requests sent, and bytes of bodies received.
#[derive(Debug, Default)]
pub struct Meter {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    pub fn count(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The client of all places: a far end that hangs must not hold a sweep up for long.
pub fn client() -> Result<Client, HttpError> {
    Client::new(Patience { connect: Duration::from_secs(5), stall: Duration::from_secs(15) }, None, AT_ONCE)
}

/// One place, opened.
pub struct Place {
    origin: Arc<Origin>,
    by: Asking,
    meter: Arc<Meter>,
    /// What came in place of `repomd.xml`, last.
    refused: Mutex<Option<Raw>>,
}

/// The answer to "has it changed?".
pub enum Head {
    Same,
    Read { raw: Vec<u8>, validators: Validators },
}

/// What the metadata of a place says is there.
#[derive(Debug, Clone)]
pub struct Contents {
    pub md: String,
    pub fp: String,
    pub packages: u64,
    pub bytes: u64,
    pub newest: Option<u64>,
    /// As `repomd.xml` states it; empty as well.
    pub revision: String,
    /// The architecture of most packages that are of one; `noarch` where none is.
    pub arch: String,
    /// The first eight bytes of every package's checksum, sorted: enough to count what two contents do not share.
    pub keys: Arc<[u64]>,
    pub sample: Arc<[(Location, u64)]>,
}

/// What became of packages that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampled {
    pub asked: u64,
    pub missing: u64,
    pub short: u64,
    pub first: String,
}

impl Place {
    /// `by`: who asks a directory; its questions may outlive this.
    pub async fn open(client: &Client, meter: &Arc<Meter>, at: &str, by: Asking) -> Result<Self, RepoError> {
        let origin = if at.starts_with("http://") || at.starts_with("https://") {
            let base = address::parse(at).map_err(|e| RepoError::Address(e.to_string()))?;
            Origin::Http { client: client.clone(), base }
        } else {
            let path = at.to_owned();
            asked(at, &by, move || Origin::open(&path)).await??
        };
        Ok(Self { origin: Arc::new(origin), by, meter: meter.clone(), refused: Mutex::default() })
    }

    /// Asks the directory; none where it is none.
    async fn disk<T: Send + 'static>(&self, ask: impl FnOnce(&Tree) -> T + Send + 'static) -> Result<Option<T>, RepoError> {
        if matches!(*self.origin, Origin::Http { .. }) {
            return Ok(None);
        }
        let origin = self.origin.clone();
        let ask = move || match &*origin {
            Origin::Local(tree) => Some(ask(tree)),
            Origin::Http { .. } => None,
        };
        asked(&self.origin.shown(), &self.by, ask).await
    }

    /// A small file of the directory.
    async fn read_small(&self, rel: &str, max: u64) -> Result<Option<Vec<u8>>, RepoError> {
        let rel = rel.to_owned();
        Ok(self.disk(move |tree| tree.read_small(&rel, max)).await?.transpose()?.flatten())
    }

    /// What came in place of `repomd.xml`, where something did.
    pub fn refused(&self) -> Option<Raw> {
        self.refused.lock().ok().and_then(|mut r| r.take())
    }

    /// Whether a writer of ours holds it. Only known of a directory.
    pub async fn is_held(&self) -> Result<bool, RepoError> {
        Ok(self.disk(owner::is_held).await?.unwrap_or(false))
    }

    /// The snapshot that it leads to, if it does.
    pub async fn snapshot(&self) -> Result<Option<String>, RepoError> {
        let find = |tree: &Tree| {
            let real = std::fs::canonicalize(tree.path()).ok()?;
            let dir = real.ancestors().find(|p| p.join(".quarterdeck/snapshot.json").is_file())?;
            Some(excerpt(&dir.file_name()?.to_string_lossy()))
        };
        Ok(self.disk(find).await?.flatten())
    }

    /// `repomd.xml`, if it is not the version of these validators any more.
    pub async fn head(&self, known: Option<&Validators>) -> Result<Head, RepoError> {
        match &*self.origin {
            Origin::Local(_) => {
                let raw = self.read_small("repodata/repomd.xml", repomd::MAX_BYTES).await?;
                let raw = raw.ok_or_else(|| RepoError::Absent { at: self.origin.shown() })?;
                Ok(Head::Read { raw, validators: Validators::default() })
            }
            Origin::Http { client, base } => {
                let mut url = base.clone();
                url.set_path(&format!("{}repodata/repomd.xml", base.path()));
                let known = known.filter(|v| v.etag.is_some() || v.last_modified.is_some());
                let answer = client.get(&url, known.map_or(Ask::Whole, Ask::IfChanged), SMALL).await;
                let response = match answer {
                    Ok(r) => r,
                    Err(e) => {
                        self.meter.count(0);
                        if let (HttpError::Status { raw: Some(raw), .. }, Ok(mut refused)) = (&e, self.refused.lock()) {
                            *refused = Some((**raw).clone());
                        }
                        let gone = matches!(e.status(), Some(404 | 410));
                        return Err(if gone { RepoError::Absent { at: self.origin.shown() } } else { e.into() });
                    }
                };
                if response.status == 304 {
                    self.meter.count(0);
                    return Ok(Head::Same);
                }
                let validators = response.validators.clone();
                let raw = response.collect(repomd::MAX_BYTES).await;
                self.meter.count(raw.as_ref().map_or(0, |r| r.len() as u64));
                Ok(Head::Read { raw: raw?, validators })
            }
        }
    }

    /// The md of the upstream metadata that Cobbler keeps beside its own.
    pub async fn kept_origin(&self) -> Option<String> {
        let bytes = match &*self.origin {
            Origin::Local(_) => self.read_small(".origin/repodata/repomd.xml", repomd::MAX_BYTES).await.ok()??,
            Origin::Http { base, .. } => {
                let mut url = base.clone();
                url.set_path(&format!("{}.origin/repodata/repomd.xml", base.path()));
                self.small(&url, repomd::MAX_BYTES).await.ok()?
            }
        };
        repomd::parse(&bytes).ok().map(|_| sha256(&bytes))
    }

    /// The detached signature beside `repomd.xml`; none where there is none.
    pub async fn signature(&self) -> Result<Option<Vec<u8>>, RepoError> {
        const FILE: &str = "repodata/repomd.xml.asc";
        match &*self.origin {
            Origin::Local(_) => self.read_small(FILE, openpgp::MAX_BYTES).await,
            Origin::Http { base, .. } => {
                let mut url = base.clone();
                url.set_path(&format!("{}{FILE}", base.path()));
                match self.small(&url, openpgp::MAX_BYTES).await {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(RepoError::Http(e)) if matches!(e.status(), Some(404 | 410)) => Ok(None),
                    Err(e) => Err(e),
                }
            }
        }
    }

    /// The label of the compose that a repository belongs to: `COMPOSE_ID` above it. Empty where there is none.
    pub async fn label(&self) -> String {
        for up in LABEL_LEVELS {
            let bytes = match &*self.origin {
                Origin::Local(_) => {
                    let read = move |tree: &Tree| tree.path().ancestors().nth(up).and_then(|d| read_label(&d.join("COMPOSE_ID")));
                    self.disk(read).await.ok().flatten().flatten()
                }
                Origin::Http { base, .. } => match above(base, up) {
                    Some(url) => self.small(&url, LABEL_BYTES).await.ok(),
                    None => None,
                },
            };
            if let Some(text) = bytes.and_then(|b| label_of(&b)) {
                return text;
            }
        }
        String::new()
    }

    /// Reads what the metadata says, primary verified, every other file that it names by size. `seed` turns which packages are kept as sample;
    /// first come some that were not among those `before`: what a push that is under way has not brought yet is among these.
    pub async fn contents(&self, name: &str, raw: Vec<u8>, seed: u64, before: Option<Arc<[u64]>>) -> Result<Contents, RepoError> {
        let at = self.origin.shown();
        let repomd = repomd::parse(&raw).map_err(|source| RepoError::Wire { at: at.clone(), source })?;
        let mut files: Vec<Option<Vec<u8>>> = vec![None; repomd.data.len()];
        for (index, data) in repomd.data.iter().enumerate() {
            let wanted = data.ty == "primary" || (CONTENT_TYPES.contains(&content_type(&data.ty)) && data.open().is_none());
            match wanted {
                true => files[index] = Some(self.metadata(data).await?),
                false => self.present(data).await?,
            }
        }
        let (name, md) = (name.to_owned(), sha256(&raw));
        let work = move || {
            let mut all = Collector::new();
            let mut shelf = Shelf::default();
            let open = |index: usize| {
                let held: &[u8] = files.get(index).and_then(|f| f.as_deref()).unwrap_or_default();
                Ok(Box::new(held) as Box<dyn std::io::BufRead>)
            };
            let mut archs: BTreeMap<String, u64> = BTreeMap::new();
            let take = |p: &Package| {
                // No repository has more; a list of lies is not kept.
                if let Some(n) = archs.get_mut(&p.arch) {
                    *n += 1;
                } else if archs.len() < ARCHS {
                    archs.insert(p.arch.clone(), 1);
                }
                shelf.put(p)
            };
            fold(&name, &at, &repomd, open, &mut all, take)?;
            let reading = all.finish();
            Ok(summary(md, &reading, &archs, &repomd, &shelf.packages, (seed, before.as_deref())))
        };
        // Inflating and parsing 20,000 packages takes a second of a core: not on the thread that serves.
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(RepoError::Address(format!("the reader ended: {e}"))))
    }

    async fn metadata(&self, data: &Data) -> Result<Vec<u8>, RepoError> {
        let max = data.size.unwrap_or(MAX_FILE);
        let at = format!("{}{}", self.origin.shown(), data.location);
        if max > MAX_FILE {
            let limit = format!("{} is stated to have {max} bytes", data.location);
            return Err(RepoError::Wire { at, source: WireError::Limit { what: "a metadata file", limit } });
        }
        let bytes = match &*self.origin {
            Origin::Local(_) => self.read_small(data.location.as_str(), max).await?.ok_or_else(|| RepoError::Absent { at: at.clone() })?,
            Origin::Http { client, base } => {
                let answer = client.get(&address::join(base, &data.location), Ask::Whole, origin::METADATA_BUDGET).await;
                match answer {
                    Ok(r) => {
                        let bytes = r.collect(max).await;
                        self.meter.count(bytes.as_ref().map_or(0, |b| b.len() as u64));
                        bytes?
                    }
                    Err(e) => {
                        self.meter.count(0);
                        return Err(e.into());
                    }
                }
            }
        };
        origin::verify(data, &bytes, &at)?;
        Ok(bytes)
    }

    /// Whether every metadata file that this `repomd.xml` names is there with its size: all that a copy of known metadata needs.
    pub async fn named_files(&self, raw: &[u8]) -> Result<(), RepoError> {
        let repomd = repomd::parse(raw).map_err(|source| RepoError::Wire { at: self.origin.shown(), source })?;
        for data in &repomd.data {
            self.present(data).await?;
        }
        Ok(())
    }

    /// A metadata file that is not read: there, and of the stated size.
    async fn present(&self, data: &Data) -> Result<(), RepoError> {
        let at = || format!("{}{}", self.origin.shown(), data.location);
        let size = self.size(&data.location).await?.ok_or_else(|| RepoError::Absent { at: at() })?;
        match (data.size, size) {
            (Some(want), Some(got)) if want != got => Err(RepoError::Wire {
                at: at(),
                source: WireError::Missing { what: "a metadata file", missing: format!("bytes: it has {got} of {want}") },
            }),
            _ => Ok(()),
        }
    }

    /// None where there is no such file; `Some(None)` where nobody says how large it is.
    async fn size(&self, location: &Location) -> Result<Option<Option<u64>>, RepoError> {
        match &*self.origin {
            Origin::Local(_) => {
                let rel = location.as_str().to_owned();
                Ok(self.disk(move |tree| tree.mark(&rel)).await?.transpose()?.flatten().map(|m| Some(m.size)))
            }
            Origin::Http { client, base } => {
                self.meter.count(0);
                match client.length(&address::join(base, location), SMALL).await {
                    Ok(n) => Ok(Some(n)),
                    Err(e) if matches!(e.status(), Some(404 | 410)) => Ok(None),
                    Err(e) => Err(e.into()),
                }
            }
        }
    }

    /// Asks whether these packages are there with their sizes. An error is one of the far end, not of a package.
    pub async fn sample(&self, packages: &[(Location, u64)]) -> Result<Sampled, RepoError> {
        let mut out = Sampled { asked: packages.len() as u64, ..Sampled::default() };
        for some in packages.chunks(AT_ONCE) {
            let found = join_all(some.iter().map(|(location, _)| self.size(location))).await;
            for ((location, want), found) in some.iter().zip(found) {
                let wrong = match found? {
                    None => {
                        out.missing += 1;
                        format!("{} is missing", excerpt(location.as_str()))
                    }
                    Some(Some(got)) if *want > 0 && got != *want => {
                        out.short += 1;
                        format!("{} has {got} bytes of {want}", excerpt(location.as_str()))
                    }
                    Some(_) => continue,
                };
                if out.first.is_empty() {
                    out.first = wrong;
                }
            }
        }
        Ok(out)
    }

    async fn small(&self, url: &Url, max: u64) -> Result<Vec<u8>, RepoError> {
        let Origin::Http { client, .. } = &*self.origin else { return Ok(Vec::new()) };
        small(client, &self.meter, url, max).await
    }
}

async fn small(client: &Client, meter: &Meter, url: &Url, max: u64) -> Result<Vec<u8>, RepoError> {
    let response = match client.get(url, Ask::Whole, SMALL).await {
        Ok(r) => r,
        Err(e) => {
            meter.count(0);
            return Err(e.into());
        }
    };
    let bytes = response.collect(max).await;
    meter.count(bytes.as_ref().map_or(0, |b| b.len() as u64));
    Ok(bytes?)
}

/// Reads a metalink.
pub async fn metalink(client: &Client, meter: &Meter, at: &str) -> Result<Metalink, RepoError> {
    let url = Url::parse(at).map_err(|e| RepoError::Address(e.to_string()))?;
    let bytes = small(client, meter, &url, metalink::MAX_BYTES).await?;
    metalink::parse(&bytes).map_err(|source| RepoError::Wire { at: address::shown(&url), source })
}

/// Reads a mirror list.
pub async fn mirror_list(client: &Client, meter: &Meter, at: &str) -> Result<Vec<String>, RepoError> {
    let url = Url::parse(at).map_err(|e| RepoError::Address(e.to_string()))?;
    let bytes = small(client, meter, &url, metalink::MAX_BYTES).await?;
    let bases = metalink::list(&bytes).map_err(|source| RepoError::Wire { at: address::shown(&url), source })?;
    Ok(bases.into_iter().map(String::from).collect())
}

fn above(base: &Url, levels: usize) -> Option<Url> {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/').to_owned();
    let mut parts: Vec<&str> = path.split('/').collect();
    for _ in 0..levels {
        parts.pop().filter(|p| !p.is_empty())?;
    }
    url.set_path(&format!("{}/COMPOSE_ID", parts.join("/")));
    url.set_query(None);
    Some(url)
}

/// A web page in its place is no label.
fn label_of(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes).trim().to_owned();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (!text.is_empty() && text.len() < 128 && text.bytes().all(plain)).then_some(text)
}

/// The label that lies in the directory of a repository itself, as snapshots keep it.
pub fn own_label(at: &Path) -> Option<String> {
    label_of(&read_label(&at.join("COMPOSE_ID"))?)
}

fn read_label(path: &Path) -> Option<Vec<u8>> {
    let dir: PathBuf = path.parent()?.to_path_buf();
    Tree::open(&dir).ok()?.read_small("COMPOSE_ID", LABEL_BYTES).ok()?
}

/// The architecture that a repository is of.
fn arch(archs: &BTreeMap<String, u64>) -> String {
    let own = archs.iter().filter(|(a, _)| *a != "noarch").max_by_key(|(_, n)| **n).or_else(|| archs.iter().next());
    own.map(|(a, _)| excerpt(a)).unwrap_or_default()
}

fn summary(
    md: String,
    reading: &crate::domain::content::Reading,
    archs: &BTreeMap<String, u64>,
    repomd: &repomd::Repomd,
    packages: &[Wanted],
    (seed, before): (u64, Option<&[u64]>),
) -> Contents {
    let key = |w: &Wanted| w.checksum.hex.get(..16).and_then(|h| u64::from_str_radix(h, 16).ok()).unwrap_or(0);
    let mut keys: Vec<u64> = packages.iter().map(key).collect();
    keys.sort_unstable();
    // Checksums are as good as dice, and the seed turns them.
    let turned = |w: &Wanted| (key(w) ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut order: Vec<&Wanted> = packages.iter().collect();
    order.sort_by_key(|w| turned(w));
    let is_new = |w: &&Wanted| before.is_some_and(|b| b.binary_search(&key(w)).is_err());
    let (mut new, mut old): (Vec<&Wanted>, Vec<&Wanted>) = order.into_iter().partition(is_new);
    old.extend(new.split_off(new.len().min(SAMPLE / 2)));
    let sample = new.into_iter().chain(old).take(SAMPLE).map(|w| (w.location.clone(), w.size)).collect();
    Contents {
        md,
        fp: reading.fp.known().unwrap_or_default().to_owned(),
        packages: reading.packages,
        bytes: reading.bytes,
        newest: repomd.newest(),
        revision: repomd.revision.clone(),
        arch: arch(archs),
        keys: keys.into(),
        sample,
    }
}

/// How many of the second the first lacks, and the other way round; both sorted.
pub fn differences(ours: &[u64], theirs: &[u64]) -> (u64, u64) {
    let (mut i, mut k, mut lacking, mut surplus) = (0, 0, 0, 0);
    while let (Some(a), Some(b)) = (ours.get(i), theirs.get(k)) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => {
                surplus += 1;
                i += 1;
            }
            std::cmp::Ordering::Greater => {
                lacking += 1;
                k += 1;
            }
            std::cmp::Ordering::Equal => {
                i += 1;
                k += 1;
            }
        }
    }
    (lacking + (theirs.len() - k) as u64, surplus + (ours.len() - i) as u64)
}

/// What an error says of the place: silent, gone, or telling what is not true. `head`: it came while `repomd.xml` itself was asked for.
pub fn trouble(e: &RepoError, head: bool) -> Trouble {
    match e {
        RepoError::Absent { at } if head => Trouble::Gone(format!("{at}: repodata/repomd.xml is missing")),
        RepoError::Absent { at } => Trouble::Torn(format!("{} is missing", excerpt(at))),
        RepoError::Http(h) => match h {
            HttpError::Status { status: 404 | 410, .. } if !head => Trouble::Torn(h.to_string()),
            HttpError::TooLarge { .. } => Trouble::Torn(h.to_string()),
            h => Trouble::Silent(h.to_string()),
        },
        RepoError::Tree(t) => Trouble::Silent(t.to_string()),
        RepoError::Hangs { .. } => Trouble::Silent(e.to_string()),
        RepoError::Address(why) => Trouble::Silent(why.clone()),
        RepoError::Wire { .. } | RepoError::Checksum { .. } | RepoError::Algorithm { .. } => Trouble::Torn(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_both_ways() {
        assert_eq!(differences(&[1, 2, 3], &[2, 3, 4, 5]), (2, 1));
        assert_eq!(differences(&[], &[1]), (1, 0));
        assert_eq!(differences(&[7], &[7]), (0, 0));
    }

    #[test]
    fn a_repository_is_of_the_architecture_of_most_of_its_packages() {
        let of = |all: &[(&str, u64)]| arch(&all.iter().map(|(a, n)| ((*a).to_owned(), *n)).collect());
        assert_eq!(of(&[("i686", 3), ("noarch", 90), ("x86_64", 40)]), "x86_64");
        assert_eq!((of(&[("noarch", 2)]), of(&[])), ("noarch".to_owned(), String::new()));
    }

    #[test]
    fn a_label_lies_so_many_levels_above() {
        let base = Url::parse("http://h/9-stream/BaseOS/x86_64/os/?x=1").unwrap();
        let at = |n| above(&base, n).map(String::from);
        assert_eq!(at(3).as_deref(), Some("http://h/9-stream/COMPOSE_ID"));
        assert_eq!(at(0).as_deref(), Some("http://h/9-stream/BaseOS/x86_64/os/COMPOSE_ID"));
        assert_eq!(at(5), None);
    }

    #[test]
    fn errors_are_sorted_into_what_they_say_of_the_place() {
        let status = |status| RepoError::Http(HttpError::Status { url: "u".into(), status, retry_after: None, raw: None });
        let absent = || RepoError::Absent { at: "u".into() };
        for (e, head, want) in [
            (absent(), true, "gone"),
            (absent(), false, "torn"),
            (status(404), false, "torn"),
            (status(503), true, "silent"),
            (status(403), true, "silent"),
            (RepoError::Checksum { file: "f".into(), expected: "a".into(), got: "b".into() }, false, "torn"),
            (RepoError::Http(HttpError::TooLarge { url: "u".into(), max: 1 }), false, "torn"),
            (RepoError::Wire { at: "u".into(), source: WireError::NotRepomd { looks: "a web page".into() } }, true, "torn"),
        ] {
            let found = serde_json::to_value(trouble(&e, head)).unwrap();
            assert_eq!(found["kind"], want, "{e}");
        }
    }
}
