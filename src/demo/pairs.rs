//! Sixteen pairs of latest and stable beside the demo's own mirror: their upstreams, and what three datacentres serve of them. Everything is
//! true state on disk, made once: one datacentre is a compose behind, since its last sync was ended half-way; one upstream has ended and
//! removed everything; one is caught in the middle of a push.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Error;
use super::advisory;
use super::catalogue::{self, Compose, Package, Repo};
use super::datacentres::{self, DATACENTRES, SERVED, is_led, replica_dir};
use super::files::{mkdir, put, put_if_changed};
use super::metadata::{self, Entry};
use super::openpgp::{self, Key, Signer};
use super::publish::{self, Index};
use super::quote::quoted;

/// Below the upstream's root.
pub const DIR: &str = "pairs";

/// What upstream shows of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upstream {
    At(u32),
    /// The metadata of a compose is there, its new packages are not yet.
    Pushing(u32),
    /// Everything was removed.
    Gone,
}

/// One pair.
pub struct Pair {
    pub name: &'static str,
    os: &'static str,
    /// Which packages: of a repository, those whose place divided by `of` leaves `part`.
    repo: Repo,
    part: usize,
    of: usize,
    upstream: Upstream,
    /// The compose that each datacentre serves; 0 = it does not serve this one.
    serve: [u32; 3],
    stable: u32,
    eol: &'static str,
    label: &'static str,
}

const EL9: Pair = Pair {
    name: "",
    os: "el9",
    repo: Repo::BaseOS,
    part: 0,
    of: 1,
    upstream: Upstream::At(2),
    serve: [2, 2, 2],
    stable: 1,
    eol: "",
    label: "CentOS-Stream-9",
};
const EL10: Pair = Pair { os: "el10", label: "CentOS-Stream-10", ..EL9 };
const EL8: Pair = Pair { os: "el8", label: "CentOS-Stream-8", upstream: Upstream::Gone, serve: [1, 1, 1], eol: "2024-05-31", ..EL9 };

/// All of them.
pub const ALL: [Pair; 16] = [
    Pair { name: "base9", serve: [2, 2, 1], ..EL9 },
    Pair { name: "appstream9", repo: Repo::AppStream, serve: [2, 2, 1], ..EL9 },
    Pair { name: "crb9", of: 4, ..EL9 },
    Pair { name: "extras9", repo: Repo::AppStream, of: 4, ..EL9 },
    Pair { name: "base9-arm", part: 1, of: 4, serve: [2, 0, 0], ..EL9 },
    Pair { name: "automotive-9", repo: Repo::AppStream, part: 1, of: 2, upstream: Upstream::Pushing(3), ..EL9 },
    Pair { name: "ops9", part: 2, of: 4, label: "", ..EL9 },
    Pair { name: "base10", serve: [1, 1, 1], ..EL10 },
    Pair { name: "appstream10", repo: Repo::AppStream, ..EL10 },
    Pair { name: "crb10", part: 3, of: 4, ..EL10 },
    Pair { name: "ops10", repo: Repo::AppStream, part: 2, of: 4, label: "", ..EL10 },
    Pair { name: "epel9", repo: Repo::AppStream, part: 3, of: 4, label: "", ..EL9 },
    Pair { name: "vendor-edr", os: "all", part: 1, of: 8, label: "", stable: 2, ..EL9 },
    Pair { name: "appstream8", repo: Repo::AppStream, ..EL8 },
    Pair { name: "base8", ..EL8 },
    Pair { name: "base7", os: "el7", label: "", of: 2, upstream: Upstream::At(1), eol: "2024-06-30", ..EL8 },
];

impl Pair {
    fn packages<'a>(&self, compose: &'a Compose) -> Vec<&'a Package> {
        let all = compose.of(self.repo).into_iter().enumerate();
        all.filter(|(i, _)| i % self.of == self.part % self.of).map(|(_, p)| p).collect()
    }

    fn composes(&self) -> BTreeSet<u32> {
        let upstream = match self.upstream {
            Upstream::At(n) | Upstream::Pushing(n) => n,
            Upstream::Gone => 0,
        };
        self.serve.into_iter().chain([upstream, self.stable]).filter(|n| *n > 0).collect()
    }

    /// The repository that is promoted and that this serves whole, as upstream has it.
    fn promoted(&self) -> Option<Repo> {
        SERVED.iter().find(|(_, name)| *name == self.name).map(|(repo, _)| *repo)
    }

    /// Whether upstream still publishes, and has something newer than what the demo began with.
    fn moves_to(&self, number: u32) -> bool {
        self.eol.is_empty()
            && match self.upstream {
                Upstream::At(n) => number > n,
                // The push ends with its own compose.
                Upstream::Pushing(n) => number >= n,
                Upstream::Gone => false,
            }
    }

    /// Whose key signs what its upstream publishes.
    fn signer(&self) -> Signer {
        match (self.label.is_empty(), self.name.starts_with("ops")) {
            (false, _) => Signer::Stream,
            (true, true) => Signer::Site,
            (true, false) => Signer::Other,
        }
    }

    fn label(&self, number: u32) -> String {
        let day = catalogue::compose_id(number);
        let day = day.rsplit('-').next().unwrap_or_default();
        format!("{}-{day}", self.label)
    }
}

/// Where the stable of a pair is: that of the first datacentre, where each has its own.
fn stable_dir(root: &Path, pair: &Pair) -> PathBuf {
    match pair.promoted() {
        Some(repo) => datacentres::stable(root, DATACENTRES[0], repo),
        None => root.join("stable").join(pair.name),
    }
}

/// Packages by file name: where each lies, and what metadata says of it.
#[derive(Debug, Default)]
pub struct Pool {
    entries: BTreeMap<String, (PathBuf, Entry)>,
}

/// Makes all pairs, once: `mark` is written last, and where it is there nothing is done. `upstream` is the upstream's root, `replicas` that of
/// the datacentres, `pool` where packages are built that the upstream has not.
pub fn make(seed: u64, index: &Index, upstream: &Path, replicas: &Path, pool: &Path, mark: &Path) -> Result<(), Error> {
    if mark.is_file() {
        return Ok(());
    }
    let wanted: BTreeSet<u32> = ALL.iter().flat_map(Pair::composes).collect();
    let composes: BTreeMap<u32, Compose> = wanted.into_iter().map(|n| (n, catalogue::compose(seed, n))).collect();
    let pool = fill(index, upstream, pool, &composes, |p, n| p.composes().contains(&n))?;
    for pair in &ALL {
        let at = upstream.join(DIR).join(pair.name);
        match pair.upstream {
            Upstream::At(n) => lay(pair, &composes, &pool, n, n, &at)?,
            // The packages of the compose before, and metadata of this one.
            Upstream::Pushing(n) => lay(pair, &composes, &pool, n, n - 1, &at)?,
            Upstream::Gone => mkdir(&at)?,
        }
        if let Upstream::At(n) | Upstream::Pushing(n) = pair.upstream {
            sign(pair, seed, catalogue::compose_time(n), &at)?;
        }
        if let (Upstream::At(n) | Upstream::Pushing(n), false) = (pair.upstream, pair.label.is_empty()) {
            put(&at.join("COMPOSE_ID"), pair.label(n).as_bytes(), Some(catalogue::compose_time(n)))?;
        }
        for (dc, n) in DATACENTRES.iter().zip(pair.serve).filter(|(_, n)| *n > 0) {
            let dir = replica_dir(replicas, dc).join(pair.name);
            lay(pair, &composes, &pool, n, n, &dir)?;
            sign(pair, seed, catalogue::compose_time(n), &dir)?;
            if matches!(pair.upstream, Upstream::At(up) if up > n) && *dc == "cedar" && pair.serve[0] > n {
                half_way(pair, &composes, &pool, n, &dir)?;
            }
        }
        let stables = match pair.promoted() {
            // What was promoted in the past is a snapshot: nothing writes into it.
            Some(_) if DATACENTRES.iter().all(|dc| is_led(replicas, dc)) => Vec::new(),
            Some(repo) => DATACENTRES.map(|dc| datacentres::stable(replicas, dc, repo)).to_vec(),
            None => vec![stable_dir(replicas, pair)],
        };
        for dir in stables {
            lay(pair, &composes, &pool, pair.stable, pair.stable, &dir)?;
            sign(pair, seed, catalogue::compose_time(pair.stable), &dir)?;
        }
    }
    put(mark, b"{\"format\":1}\n", None)
}

/// What every datacentre serves of the promoted set at `compose`, in the place of what it served, before the pairs themselves are made.
/// `stable`: what is stable too, as a plain directory.
/// It is all that a mirror of then had: the signature, and the label of the compose.
pub fn lay_past(compose: &Compose, seed: u64, pool: &Pool, replicas: &Path, stable: bool) -> Result<(), Error> {
    let composes = BTreeMap::from([(compose.number, compose.clone())]);
    for pair in &ALL {
        let Some(repo) = pair.promoted() else { continue };
        for dc in DATACENTRES {
            let live = replica_dir(replicas, dc).join(pair.name);
            clear(&live)?;
            for dir in std::iter::once(live).chain(stable.then(|| datacentres::stable(replicas, dc, repo))) {
                lay(pair, &composes, pool, compose.number, compose.number, &dir)?;
                sign(pair, seed, compose.time, &dir)?;
                put(&dir.join("COMPOSE_ID"), compose.id.as_bytes(), Some(compose.time))?;
            }
        }
    }
    Ok(())
}

/// Removes what every datacentre serves of the promoted set.
pub fn clear_past(replicas: &Path) -> Result<(), Error> {
    let served = |dc| SERVED.map(|(_, name)| replica_dir(replicas, dc).join(name));
    DATACENTRES.into_iter().flat_map(served).try_for_each(|dir| clear(&dir))
}

fn clear(dir: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("removing", dir)(e)),
        _ => Ok(()),
    }
}

/// Moves the pairs whose upstreams still publish on to `compose`, which was published below `upstream`. What the compose before named stays for
/// one cycle. `mark` holds the number of the compose that this was done for last; cut short, it is done again.
pub fn follow(compose: &Compose, index: &Index, upstream: &Path, mark: &Path) -> Result<(), Error> {
    let number = compose.number;
    let done = format!("{number}\n");
    if !ALL.iter().any(|p| p.moves_to(number)) || std::fs::read_to_string(mark).is_ok_and(|t| t == done) {
        return Ok(());
    }
    let composes = BTreeMap::from([(number, compose.clone())]);
    let before = catalogue::compose(index.seed, number.saturating_sub(1));
    // Everything of this compose is in the upstream's own tree: nothing is built.
    let pool = fill(index, upstream, &upstream.join(DIR), &composes, |p, n| p.moves_to(n))?;
    for pair in ALL.iter().filter(|p| p.moves_to(number)) {
        let at = upstream.join(DIR).join(pair.name);
        let old = std::fs::read_to_string(at.join("repodata/repomd.xml")).unwrap_or_default();
        lay(pair, &composes, &pool, number, number, &at)?;
        sign(pair, index.seed, compose.time, &at)?;
        if !pair.label.is_empty() {
            put_if_changed(&at.join("COMPOSE_ID"), pair.label(number).as_bytes(), compose.time)?;
        }
        let told = std::fs::read_to_string(at.join("repodata/repomd.xml")).unwrap_or_default();
        let packages: BTreeSet<String> = pair.packages(compose).into_iter().chain(pair.packages(&before)).map(Package::file_name).collect();
        sweep(&at.join("Packages"), |name| packages.contains(name))?;
        sweep(&at.join("repodata"), |name| name.starts_with("repomd.xml") || old.contains(name) || told.contains(name))?;
    }
    put(mark, done.as_bytes(), None)
}

/// Removes the files that are not to be kept.
fn sweep(dir: &Path, keep: impl Fn(&str) -> bool) -> Result<(), Error> {
    for item in std::fs::read_dir(dir).map_err(Error::io("listing", dir))? {
        let item = item.map_err(Error::io("listing", dir))?;
        if !keep(&item.file_name().to_string_lossy()) {
            std::fs::remove_file(item.path()).map_err(Error::io("removing", &item.path()))?;
        }
    }
    Ok(())
}

impl Pool {
    /// Packages that the upstream has are taken from there; the others are built in `dir`, once.
    pub fn add<'a>(
        &mut self,
        index: &Index,
        upstream: &Path,
        dir: &Path,
        packages: impl Iterator<Item = &'a Package>,
    ) -> Result<(), Error> {
        mkdir(dir)?;
        let mut missing: BTreeMap<String, &Package> = BTreeMap::new();
        for p in packages {
            let name = p.file_name();
            if self.entries.contains_key(&name) {
                continue;
            }
            let place = publish::repo_dir(upstream, p.repo).join("Packages").join(&name);
            match index.entries.get(&name).filter(|_| place.is_file()) {
                Some(entry) => drop(self.entries.insert(name, (place, entry.clone()))),
                None => drop(missing.insert(name, p)),
            }
        }
        let list: Vec<(PathBuf, &Package)> = missing.into_iter().map(|(name, p)| (dir.join(name), p)).collect();
        for (place, (name, entry)) in publish::build_all(&list, index.seed)? {
            self.entries.insert(name, (place, entry));
        }
        Ok(())
    }
}

/// What these composes need, of pairs that `wanted` says of each.
fn fill(
    index: &Index,
    upstream: &Path,
    dir: &Path,
    composes: &BTreeMap<u32, Compose>,
    wanted: impl Fn(&Pair, u32) -> bool,
) -> Result<Pool, Error> {
    let mut pool = Pool::default();
    for (number, compose) in composes {
        let needed = ALL.iter().filter(|p| wanted(p, *number)).flat_map(|p| p.packages(compose));
        pool.add(index, upstream, dir, needed)?;
    }
    Ok(pool)
}

/// A repository with the metadata of one compose and the packages of another, which as a rule are the same; `repomd.xml` comes last.
fn lay(pair: &Pair, composes: &BTreeMap<u32, Compose>, pool: &Pool, metadata: u32, packages: u32, dir: &Path) -> Result<(), Error> {
    let absent = || Error::Damaged { path: dir.to_owned(), why: format!("compose {metadata} of {} was not made", pair.name) };
    let told = composes.get(&metadata).ok_or_else(absent)?;
    let there = match composes.get(&packages) {
        Some(compose) => pair.packages(compose),
        None => Vec::new(),
    };
    mkdir(&dir.join("Packages"))?;
    mkdir(&dir.join("repodata"))?;
    for name in there.iter().map(|p| p.file_name()) {
        if let Some((place, _)) = pool.entries.get(&name) {
            link(place, &dir.join("Packages").join(&name))?;
        }
    }
    let entries: Vec<&Entry> = pair.packages(told).iter().filter_map(|p| pool.entries.get(&p.file_name()).map(|(_, e)| e)).collect();
    // Whole repositories have their advisories: they are what the demo's own mirror has, under another name.
    let extra = pair.promoted().map_or_else(Vec::new, |repo| advisory::extra(told, repo));
    let repodata = metadata::repodata(&entries, extra, told.time);
    for d in &repodata.data {
        put(&dir.join("repodata").join(&d.file), &d.bytes, Some(told.time))?;
    }
    put(&dir.join("repodata/repomd.xml"), &repodata.repomd, Some(told.time))
}

/// Signs what an upstream has published; who mirrors it has the signature too.
fn sign(pair: &Pair, seed: u64, at: i64, dir: &Path) -> Result<(), Error> {
    let file = dir.join("repodata/repomd.xml");
    let repomd = std::fs::read(&file).map_err(Error::io("reading", &file))?;
    put(&dir.join("repodata/repomd.xml.asc"), Key::of(seed, pair.signer())?.sign(&repomd, at).as_bytes(), Some(at))
}

/// What a sync that was ended leaves: complete files by checksum, one that is cut off, and the served repository as it was.
fn half_way(pair: &Pair, composes: &BTreeMap<u32, Compose>, pool: &Pool, has: u32, dir: &Path) -> Result<(), Error> {
    let (Some(old), Some(new)) = (composes.get(&has), composes.get(&(has + 1))) else { return Ok(()) };
    let before: BTreeSet<String> = pair.packages(old).iter().map(|p| p.file_name()).collect();
    let fresh: Vec<String> = pair.packages(new).iter().map(|p| p.file_name()).filter(|n| !before.contains(n)).collect();
    let own = dir.join(".quarterdeck");
    mkdir(&own.join("new"))?;
    mkdir(&own.join("partial"))?;
    for (i, name) in fresh.iter().take(fresh.len() / 2 + 1).enumerate() {
        let Some((place, entry)) = pool.entries.get(name) else { continue };
        if i < fresh.len() / 2 {
            link(place, &own.join("new").join(&entry.sha256))?;
        } else {
            let bytes = std::fs::read(place).map_err(Error::io("reading", place))?;
            put(&own.join("partial").join(&entry.sha256), bytes.get(..bytes.len() / 2).unwrap_or_default(), None)?;
        }
    }
    Ok(())
}

/// A second name; a copy where the file system has no such thing.
fn link(from: &Path, to: &Path) -> Result<(), Error> {
    match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => std::fs::copy(from, to).map(drop).map_err(Error::io("copying to", to)),
    }
}

/// Their tables of the site file. `own`: the demo's own directory.
pub fn site(url: &str, replicas: &[(&str, String)], root: &Path, own: &Path) -> String {
    let mut out = String::from(
        "\n# Pairs of latest and stable, as three datacentres serve them. Without `keys` who signed an upstream's metadata is only read, not verified.\n",
    );
    for pair in &ALL {
        let served = replicas.iter().zip(pair.serve).filter(|(_, n)| *n > 0);
        let list: Vec<String> = served.map(|((dc, at), _)| quoted(&format!("{dc}={at}/{}/", pair.name))).collect();
        out.push_str(&format!(
            "\n[repos.{}]\nupstream = [{}]\nwriter = \"external\"\nos = \"{}\"\nreplicas = [{}]\nstable = {}\n",
            pair.name,
            quoted(&format!("{url}/{DIR}/{}/", pair.name)),
            pair.os,
            list.join(", "),
            quoted(&stable_dir(root, pair).to_string_lossy())
        ));
        if pair.signer() != Signer::Other && pair.eol.is_empty() {
            out.push_str(&format!("keys = [{}]\n", quoted(&openpgp::public_key(own, pair.signer()).to_string_lossy())));
        }
        if !pair.eol.is_empty() {
            out.push_str(&format!("eol = {}\n", pair.eol));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pairs_are_what_the_demo_promises() {
        assert_eq!(ALL.iter().map(|p| p.name).collect::<BTreeSet<_>>().len(), 16);
        let dir = tempfile::tempdir().unwrap();
        let root = |n: &str| dir.path().join(n);
        let mut index = Index::new(1);
        publish::publish(&root("up"), &catalogue::compose(1, 1), &mut index, &mut |_| Ok(())).unwrap();
        let make = || make(1, &index, &root("up"), &root("dc"), &root("pool"), &root("mark"));
        make().unwrap();
        let names = |at: PathBuf| -> BTreeSet<String> {
            std::fs::read_dir(at).map(|d| d.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()).unwrap_or_default()
        };
        let md = |at: PathBuf| std::fs::read(at.join("repodata/repomd.xml")).ok();
        let up = |n: &str| root("up").join(DIR).join(n);
        let dc = |dc: &str, n: &str| root("dc").join(dc).join(n);
        assert_eq!(md(dc("alder", "base9")), md(up("base9")));
        assert_ne!(md(dc("cedar", "base9")), md(up("base9")));
        assert_eq!(md(dc("cedar", "base9")), md(datacentres::stable(&root("dc"), "cedar", Repo::BaseOS)));
        assert!(!names(dc("cedar", "base9").join(".quarterdeck/new")).is_empty());
        assert_eq!(names(dc("cedar", "base9").join(".quarterdeck/partial")).len(), 1);
        assert!(names(up("base8")).is_empty() && md(dc("birch", "base8")).is_some(), "an upstream that ended");
        // The push has brought its metadata, and not every package that this names.
        let told: BTreeSet<String> = {
            let pair = ALL.iter().find(|p| p.name == "automotive-9").unwrap();
            pair.packages(&catalogue::compose(1, 3)).iter().map(|p| p.file_name()).collect()
        };
        let there = names(up("automotive-9").join("Packages"));
        assert!(told.difference(&there).count() > 0 && told.intersection(&there).count() > 0);
        let before = std::fs::metadata(root("mark")).unwrap().modified().unwrap();
        make().unwrap();
        assert_eq!(std::fs::metadata(root("mark")).unwrap().modified().unwrap(), before, "made once");
        // The next composes: what still publishes moves, the push ends, and what has ended stays.
        let still = |n: &str| (md(up(n)), names(up(n).join("Packages")));
        let (base7, base9, was) = (still("base7"), md(up("base9")), names(up("base9").join("Packages")));
        for n in [2, 3] {
            let c = catalogue::compose(1, n);
            publish::publish(&root("up"), &c, &mut index, &mut |_| Ok(())).unwrap();
            follow(&c, &index, &root("up"), &root("followed")).unwrap();
            assert_eq!(md(up("base9")) == base9, n == 2, "they begin at the second compose");
        }
        assert!(told.is_subset(&names(up("automotive-9").join("Packages"))));
        assert!(was.is_subset(&names(up("base9").join("Packages"))), "the compose before stays for one cycle");
        assert_eq!(still("base7"), base7);
        assert!(names(up("base8")).is_empty());
        assert_eq!(md(up("base9")), md(publish::repo_dir(&root("up"), Repo::BaseOS)), "the same compose, the same bytes");
    }

    #[test]
    fn the_site_file_names_them_all() {
        let replicas = DATACENTRES.map(|dc| (dc, format!("http://127.0.0.1:1/{dc}")));
        let text = site("http://127.0.0.1:4000", &replicas, Path::new("/x \"y\""), Path::new("/own"));
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(parsed["repos"].as_table().unwrap().len(), 16);
        assert_eq!(parsed["repos"]["base9-arm"]["replicas"].as_array().unwrap().len(), 1);
        assert_eq!(parsed["repos"]["base7"]["eol"].to_string(), "2024-06-30");
    }
}
