//! What the demo's distribution holds at each compose: a pure function of (seed, compose number).
//!
//! The set is closed: every Requires has a provider. Versions are invented and say so (`.demo`); ids of
//! advisories lie in a range that no real one uses (CVE-2026-90001 and up).

pub mod past;
pub mod sources;

use super::seed::Rng;
use sources::{SOURCES, Source, Sub, VISITORS};

/// The first compose was made at 2026-03-31 03:00 UTC; each later one a day after its predecessor.
const FIRST_COMPOSE: i64 = 1_774_926_000;
const DAY: i64 = 86_400;
/// How many composes a visitor stays, by its place in the list: two or five.
const STAYS: [u32; 2] = [5, 2];
const PEOPLE: [&str; 5] = [
    "op-07 <op-07@ops.example>",
    "op-11 <op-11@ops.example>",
    "sec-02 <sec-02@ops.example>",
    "rel-01 <rel-01@ops.example>",
    "rel-04 <rel-04@ops.example>",
];

/// The two repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repo {
    BaseOS,
    AppStream,
}

impl Repo {
    /// Both, in the order in which they are published.
    pub const ALL: [Self; 2] = [Self::BaseOS, Self::AppStream];

    /// Its directory name in the compose.
    pub fn dir(self) -> &'static str {
        match self {
            Self::BaseOS => "BaseOS",
            Self::AppStream => "AppStream",
        }
    }

    /// Its name in the site file.
    pub fn id(self) -> &'static str {
        match self {
            Self::BaseOS => "baseos",
            Self::AppStream => "appstream",
        }
    }
}

/// Architectures that occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Noarch,
}

impl Arch {
    /// As rpm writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Noarch => "noarch",
        }
    }
}

/// How a required or provided version compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ge,
}

/// One Requires or Provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dep {
    pub name: String,
    pub version: Option<(Op, String)>,
    /// Needed before the package is unpacked.
    pub pre: bool,
}

/// What a packaged path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    Regular { mode: u16, size: usize },
    Config { size: usize },
    Doc { size: usize },
    License { size: usize },
    Dir,
    Ghost,
    Symlink { target: String },
}

/// One packaged path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub kind: FileKind,
}

/// One changelog entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub author: String,
    pub time: i64,
    pub text: String,
}

/// One binary package, ready to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub repo: Repo,
    pub name: String,
    pub epoch: Option<u32>,
    pub version: String,
    pub release: String,
    pub arch: Arch,
    pub source: String,
    pub source_rpm: String,
    pub module: Option<String>,
    pub summary: String,
    pub license: String,
    pub build_time: i64,
    pub requires: Vec<Dep>,
    pub provides: Vec<Dep>,
    pub files: Vec<File>,
    pub changelog: Vec<Change>,
}

impl Package {
    /// `name-version-release.arch.rpm`.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.{}.rpm", self.name, self.version, self.release, self.arch.as_str())
    }

    /// `name-epoch:version-release.arch`, the epoch always written.
    pub fn nevra(&self) -> String {
        format!("{}-{}:{}-{}.{}", self.name, self.epoch.unwrap_or(0), self.version, self.release, self.arch.as_str())
    }
}

/// An advisory for one source that moved with a security fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    pub id: String,
    pub repo: Repo,
    pub source: String,
    pub time: i64,
    pub cve: String,
    pub packages: Vec<Package>,
}

/// One compose of the whole distribution.
#[derive(Debug, Clone)]
pub struct Compose {
    pub number: u32,
    /// `CentOS-Stream-9-YYYYMMDD.N`.
    pub id: String,
    pub time: i64,
    pub packages: Vec<Package>,
    pub advisories: Vec<Advisory>,
}

impl Compose {
    /// The packages of one repository, by file name.
    pub fn of(&self, repo: Repo) -> Vec<&Package> {
        let mut out: Vec<&Package> = self.packages.iter().filter(|p| p.repo == repo).collect();
        out.sort_by_key(|p| p.file_name());
        out
    }
}

/// Seconds since the epoch at which compose `number` (from 1) was made.
pub fn compose_time(number: u32) -> i64 {
    FIRST_COMPOSE + DAY * i64::from(number.max(1) - 1)
}

/// `CentOS-Stream-9-YYYYMMDD.0` of compose `number`.
pub fn compose_id(number: u32) -> String {
    let day = jiff::Timestamp::from_second(compose_time(number)).unwrap_or_default();
    format!("CentOS-Stream-9-{}.0", day.strftime("%Y%m%d"))
}

/// Everything in compose `number`, which counts from 1.
pub fn compose(seed: u64, number: u32) -> Compose {
    let number = number.max(1);
    let mut packages = Vec::new();
    let mut advisories = Vec::new();
    let moves = moves(seed, number);
    for (source, at) in SOURCES.iter().zip(&moves) {
        // Kernels are installed beside each other: the one before stays in the repository, as it does in the real one.
        let oldest = if source.name == "kernel" { at.len().saturating_sub(2) } else { at.len() - 1 };
        for edition in oldest..at.len() {
            packages.extend(source.subs.iter().map(|sub| package(seed, source, sub, at, edition)));
        }
        for edition in 1..at.len() {
            if let Some(cve) = cve(seed, source.name, at[edition]) {
                advisories.push(advisory(seed, source, at, edition, cve));
            }
        }
    }
    for (source, since) in visitors(number) {
        packages.extend(source.subs.iter().map(|sub| package(seed, source, sub, &[since], 0)));
    }
    Compose { number, id: compose_id(number), time: compose_time(number), packages, advisories }
}

/// For each source the composes at which it got its present and earlier editions, first one first.
fn moves(seed: u64, number: u32) -> Vec<Vec<u32>> {
    let mut at = vec![vec![1u32]; SOURCES.len()];
    for n in 2..=number {
        let mut rng = Rng::new(seed, "moves", u64::from(n));
        for (repo, count) in [(Repo::BaseOS, 4), (Repo::AppStream, 2)] {
            let of: Vec<usize> = (0..SOURCES.len()).filter(|&i| SOURCES[i].repo == repo && SOURCES[i].name != "kernel").collect();
            for i in rng.pick(of.len(), count) {
                at[of[i]].push(n);
            }
        }
        if n % 3 == 2 {
            for (i, s) in SOURCES.iter().enumerate() {
                if s.name == "kernel" {
                    at[i].push(n);
                }
            }
        }
    }
    at
}

/// The visitors present at compose `number`, each with the compose at which it came.
fn visitors(number: u32) -> Vec<(&'static Source, u32)> {
    let cycle = VISITORS.len() as u32;
    let mut out = Vec::new();
    for (i, source) in VISITORS.iter().enumerate() {
        let first = i as u32 + 2;
        if number >= first {
            let stayed = (number - first) % cycle;
            if stayed < STAYS[i % 2] {
                out.push((source, number - stayed));
            }
        }
    }
    out
}

/// The CVE that the move of `source` at compose `n` fixed, for about one move in three.
fn cve(seed: u64, source: &str, n: u32) -> Option<String> {
    let mut rng = Rng::new(seed, &format!("cve {source}"), u64::from(n));
    (rng.below(3) == 0).then(|| format!("CVE-2026-{}", 90_001 + rng.below(900)))
}

fn release(source: &Source, at: &[u32], edition: usize) -> String {
    // Kernels jump by more than one: several builds happen between two composes.
    let step = if source.name == "kernel" { 3 } else { 1 };
    let n = source.release + step * edition as u32;
    match source.module {
        Some(_) => format!("{n}.module_el9+{}+demo", 1100 + at[edition]),
        // A visitor that comes back is a newer build than the one that left.
        None if at[0] > 1 => format!("{}.el9.demo", n + (at[0] - 2) / VISITORS.len() as u32),
        None => format!("{n}.el9.demo"),
    }
}

fn advisory(seed: u64, source: &Source, at: &[u32], edition: usize, cve: String) -> Advisory {
    let time = compose_time(at[edition]);
    let number = 1000 + Rng::new(seed, source.name, u64::from(at[edition])).below(9000);
    Advisory {
        id: format!("DEMO-SA-2026:{number}-{}", source.name),
        repo: source.repo,
        source: source.name.to_owned(),
        time,
        cve,
        packages: source.subs.iter().map(|sub| package(seed, source, sub, at, edition)).collect(),
    }
}

fn package(seed: u64, source: &Source, sub: &Sub, at: &[u32], edition: usize) -> Package {
    let release = release(source, at, edition);
    let evr = match source.epoch {
        Some(e) => format!("{e}:{}-{release}", source.version),
        None => format!("{}-{release}", source.version),
    };
    let mut requires: Vec<Dep> = sub.requires.iter().map(|d| dep(d, &evr)).collect();
    let linked = sub.arch == Arch::X86_64 && source.name != "kernel" && sub.name != "filesystem" && sub.name != "glibc-minimal-langpack";
    if linked && sub.name != "glibc" {
        requires.push(dep("libc.so.6(GLIBC_2.34)(64bit)", &evr));
        requires.push(dep("rtld(GNU_HASH)", &evr));
    }
    let made = if at[edition] == 1 { past::made(seed, source) } else { compose_time(at[edition]) };
    let build_time = made - 6 * 3600;
    let name_sum = sub.name.bytes().map(u64::from).sum::<u64>();
    Package {
        repo: source.repo,
        name: sub.name.to_owned(),
        epoch: source.epoch,
        version: source.version.to_owned(),
        release: release.clone(),
        arch: sub.arch,
        source: source.name.to_owned(),
        source_rpm: format!("{}-{}-{release}.src.rpm", source.name, source.version),
        module: source.module.map(|m| format!("{m}:9020260331:demo{:04x}", 0x1100 + at[edition])),
        summary: sub.summary.to_owned(),
        license: source.license.to_owned(),
        // Sub-packages of one build finish within a few seconds of each other.
        build_time: build_time + (name_sum % 40) as i64,
        requires,
        provides: sub.provides.iter().map(|d| dep(d, &evr)).collect(),
        files: files(source, sub, &format!("{}-{release}.{}", source.version, sub.arch.as_str())),
        changelog: changelog(seed, source, at, edition),
    }
}

/// Parses `name`, `name = version` or `name >= version`, with `@` for the source's own version and `pre:` in front.
fn dep(text: &str, evr: &str) -> Dep {
    let (pre, text) = text.strip_prefix("pre:").map_or((false, text), |t| (true, t));
    let version = |v: &str| if v == "@" { evr.to_owned() } else { v.to_owned() };
    if let Some((name, v)) = text.split_once(" >= ") {
        Dep { name: name.to_owned(), version: Some((Op::Ge, version(v))), pre }
    } else if let Some((name, v)) = text.split_once(" = ") {
        Dep { name: name.to_owned(), version: Some((Op::Eq, version(v))), pre }
    } else {
        Dep { name: text.to_owned(), version: None, pre }
    }
}

fn files(source: &Source, sub: &Sub, vra: &str) -> Vec<File> {
    let is_data = |f: &&&str| !(f.starts_with("d:") || f.starts_with("g:") || f.starts_with("l:"));
    let count = sub.files.iter().filter(is_data).count().max(1);
    let total = usize::from(sub.kb) * 1024;
    let mut out = Vec::new();
    for (i, text) in sub.files.iter().enumerate() {
        // Uneven on purpose: no two files of a package have one size, so a mix-up cannot go unseen.
        let size = (total / count).saturating_sub(37 * i).max(64);
        let text = text.replace("%V", vra);
        let (tag, path) = match text.split_once(':') {
            Some((tag, path)) if path.starts_with('/') => (tag, path),
            _ => ("", text.as_str()),
        };
        let (path, kind) = match tag {
            "d" => (path, FileKind::Dir),
            "g" => (path, FileKind::Ghost),
            "c" => (path, FileKind::Config { size: size.min(3000 - 37 * i.min(50)) }),
            "doc" => (path, FileKind::Doc { size }),
            "lic" => (path, FileKind::License { size: size.min(1500) }),
            "l" => match path.split_once('>') {
                Some((link, target)) => (link, FileKind::Symlink { target: target.to_owned() }),
                None => (path, FileKind::Ghost),
            },
            _ if path.contains("bin/") || path.contains("/libexec/") || path.ends_with(".so") || path.contains(".so.") => {
                (path, FileKind::Regular { mode: 0o755, size })
            }
            _ => (path, FileKind::Regular { mode: 0o644, size }),
        };
        out.push(File { path: path.to_owned(), kind });
    }
    // Documentation that every source has, and that makes file lists differ between sub-packages.
    if sub.arch == Arch::X86_64 && !sub.files.iter().any(|f| f.starts_with("lic:")) {
        out.push(File { path: format!("/usr/share/licenses/{}", sub.name), kind: FileKind::Dir });
        out.push(File { path: format!("/usr/share/licenses/{}/COPYING.{}", sub.name, source.name), kind: FileKind::License { size: 700 } });
    }
    out
}

fn noon(time: i64) -> i64 {
    time.div_euclid(DAY) * DAY + DAY / 2
}

/// Newest first, as a spec file has it.
fn changelog(seed: u64, source: &Source, at: &[u32], edition: usize) -> Vec<Change> {
    let mut out = Vec::new();
    for e in (0..=edition).rev() {
        let mut rng = Rng::new(seed, &format!("change {}", source.name), u64::from(at[e]));
        let who = PEOPLE[rng.below(PEOPLE.len() as u64) as usize];
        let bug = format!("DEMO-{}", 20_000 + rng.below(60_000));
        let what = match (e, cve(seed, source.name, at[e])) {
            (0, _) => format!("- Rebuild for the demo distribution\n- Resolves: {bug}"),
            (_, Some(cve)) => format!("- Fix {cve}: check lengths before use\n- Resolves: {bug}"),
            (_, None) => match rng.below(4) {
                0 => format!("- Backport fixes from the development branch <next>\n- Resolves: {bug}"),
                1 => format!("- Handle an interrupted write when the disk is full & say so\n- Resolves: {bug}"),
                2 => format!("- Drop a patch that is now in the release\n- Resolves: {bug}"),
                _ => format!("- Bump the release and rebuild\n- Related: {bug}"),
            },
        };
        // rpm keeps changelog times at noon.
        let day = noon(compose_time(at[e]) - DAY);
        out.push(Change { author: format!("{who} - {}-{}", source.version, release(source, at, e)), time: day, text: what });
    }
    out.extend(past::changes(seed, source, 0));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_same_seed_gives_the_same_compose_and_another_seed_another() {
        assert_eq!(compose(1, 9).packages, compose(1, 9).packages);
        assert_ne!(compose(1, 9).packages, compose(2, 9).packages);
    }

    #[test]
    fn about_sixty_packages_in_two_repositories_with_all_that_a_mirror_can_lose() {
        let c = compose(1, 1);
        assert!((55..=75).contains(&c.packages.len()), "{}", c.packages.len());
        assert_eq!(c.id, "CentOS-Stream-9-20260331.0");
        for repo in Repo::ALL {
            let of = c.of(repo);
            assert!(of.len() >= 18, "{repo:?} {}", of.len());
            assert!(of.iter().any(|p| p.arch == Arch::Noarch) && of.iter().any(|p| p.epoch.is_some()));
        }
        assert!(c.packages.iter().any(|p| p.module.is_some()));
        assert!(c.packages.iter().any(|p| p.requires.iter().any(|d| d.name == "/usr/share/zoneinfo/UTC")));
        let names: BTreeSet<_> = c.packages.iter().map(Package::file_name).collect();
        assert_eq!(names.len(), c.packages.len());
    }

    #[test]
    fn every_requires_has_a_provider_at_every_compose() {
        for seed in [1, 2, 99] {
            for n in 1..25 {
                let c = compose(seed, n);
                let mut have: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
                for p in &c.packages {
                    let evr = p.nevra().rsplit_once('.').unwrap().0[p.name.len() + 1..].to_owned();
                    let evr = evr.strip_prefix("0:").unwrap_or(&evr).to_owned();
                    have.entry(p.name.clone()).or_default().push(Some(evr.clone()));
                    have.entry(format!("{}(x86-64)", p.name)).or_default().push(Some(evr));
                    for d in &p.provides {
                        have.entry(d.name.clone()).or_default().push(d.version.clone().map(|v| v.1));
                    }
                    for f in &p.files {
                        have.entry(f.path.clone()).or_default().push(None);
                    }
                }
                for p in &c.packages {
                    for d in &p.requires {
                        let offers = have.get(&d.name).unwrap_or_else(|| panic!("seed {seed} compose {n}: {} needs {}", p.nevra(), d.name));
                        if let Some((Op::Eq, v)) = &d.version {
                            assert!(offers.contains(&Some(v.clone())), "seed {seed} compose {n}: {} needs {} = {v}", p.nevra(), d.name);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn each_compose_moves_some_adds_one_and_later_ones_remove() {
        let key = |c: &Compose| c.packages.iter().map(Package::file_name).collect::<BTreeSet<_>>();
        let names = |c: &Compose| c.packages.iter().map(|p| p.name.clone()).collect::<BTreeSet<_>>();
        let mut removed = 0;
        for n in 2..20 {
            let (old, new) = (compose(5, n - 1), compose(5, n));
            assert!(key(&new).difference(&key(&old)).count() >= 5, "compose {n}");
            assert_eq!(names(&new).difference(&names(&old)).count(), 1, "compose {n}");
            removed += names(&old).difference(&names(&new)).count();
        }
        assert!(removed >= 5, "{removed}");
    }

    #[test]
    fn an_edition_once_published_never_changes_its_content() {
        let mut seen: BTreeMap<String, Package> = BTreeMap::new();
        for n in 1..30 {
            for p in compose(3, n).packages {
                if let Some(old) = seen.insert(p.file_name(), p.clone()) {
                    assert_eq!(old, p);
                }
            }
        }
    }

    #[test]
    fn some_changelogs_name_a_cve_and_advisories_agree_with_them() {
        let c = compose(1, 8);
        assert!(!c.advisories.is_empty());
        for a in &c.advisories {
            assert!(a.packages.iter().all(|p| p.changelog[0].text.contains(&a.cve)), "{a:?}");
        }
    }
}
