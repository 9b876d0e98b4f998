//! `content/closure`: every Requires of every package has a provider in the trees. Weak dependencies and `rpmlib()` take no part.
//!
//! Agrees with `dnf repoclosure` over the same repositories, but for two things: packages that dnf hides as modular are judged here too,
//! and `(a if b)` is met where there is no `b`, since such a package installs (dnf calls it unresolved).

use std::collections::{HashMap, HashSet};

use super::{repos, tell};
use crate::domain::content::{CONTENT_TYPES, Collector, Reading, content_type};
use crate::domain::dep::{Capability, Evr, Sense, Verdict, judge, overlaps, parse_rich};
use crate::steps::report::Report;
use crate::steps::{StepEnv, StepError, With};
use crate::systems::repo::{Origin, RepoAt, RepoError};
use crate::wire::primary::{self, Compare, Entry};
use crate::wire::repomd::{self, Repomd};
use crate::wire::{WireError, decompress, excerpt, filelists};

/// Lines of failures and unknowns that are printed; the numbers are always whole.
const SHOWN: usize = 100;

/// A package number and the range of versions that it provides.
type Provided = (u32, Option<(Sense, Evr)>);
/// Package numbers with the requirement that each has.
type Findings = Vec<(u32, String)>;

/// What the trees provide and require.
#[derive(Default)]
struct World {
    /// By name.
    provides: HashMap<String, Vec<Provided>>,
    /// Paths that primary or filelists list, of those that somebody requires.
    files: HashMap<String, Vec<u32>>,
    /// NEVRA by package number.
    packages: Vec<String>,
    /// Each requirement once, with the packages that have it.
    requires: HashMap<Entry, Vec<u32>>,
}

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let (trees, extra) = (repos(with, "tree", env), repos(with, "extra", env));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let mut world = World::default();
    let mut all = Collector::new();
    let mut held = Vec::new();
    for (i, repo) in trees.iter().chain(&extra).enumerate() {
        let checked = i < trees.len();
        report.progress(i as u64, (trees.len() + extra.len()) as u64, "repositories", "reading packages");
        held.push(runtime.block_on(world.load(repo, checked, &mut all))?);
    }
    let wanted = world.wanted_files();
    if !wanted.is_empty() {
        for (origin, repomd, ids) in &held {
            runtime.block_on(world.load_files(origin, repomd, ids, &wanted))?;
        }
    }
    let (unmet, unknown) = world.judge(report);
    let reading = all.finish();
    tell(report, with, &reading);
    conclude(report, &world, &reading, &unmet, &unknown)
}

fn conclude(
    report: &Report,
    world: &World,
    reading: &Reading,
    unmet: &[(u32, String)],
    unknown: &[(u32, String)],
) -> Result<(), StepError> {
    let line = |(package, requirement): &(u32, String)| {
        format!("{} needs {requirement}", world.packages.get(*package as usize).map_or("?", String::as_str))
    };
    for item in unknown.iter().take(SHOWN) {
        report.say(&format!("unknown: {}", line(item)));
    }
    for item in unmet.iter().take(SHOWN) {
        report.say(&format!("unmet: {}", line(item)));
    }
    if unmet.len().max(unknown.len()) > SHOWN {
        report.say(&format!("only the first {SHOWN} of each are shown"));
    }
    report.output("unmet", &unmet.len().to_string());
    report.output("unknown", &unknown.len().to_string());
    let list = |items: &[(u32, String)]| {
        let more = if items.len() > 3 { format!(", and {} more", items.len() - 3) } else { String::new() };
        format!("{}{more}", items.iter().take(3).map(line).collect::<Vec<_>>().join("; "))
    };
    if !unmet.is_empty() {
        return Err(StepError::failed(
            format!("{} requirements of {} packages have no provider: {}", unmet.len(), reading.packages, list(unmet)),
            "sync the repository that provides them, or give it as `extra`",
        ));
    }
    let mut detail = format!("closed: {} packages, {} different requirements", reading.packages, world.requires.len());
    if !unknown.is_empty() {
        detail.push_str(&format!("; {} unknown: {}", unknown.len(), list(unknown)));
    }
    report.detail(&detail);
    report.summary(&detail);
    report.finish()
}

impl World {
    /// Reads a repository's packages. Gives back what `load_files` needs: the origin, its repomd and the package numbers by pkgid.
    async fn load(
        &mut self,
        repo: &RepoAt,
        checked: bool,
        all: &mut Collector,
    ) -> Result<(Origin, Repomd, HashMap<String, u32>), RepoError> {
        let origin = Origin::open(&repo.at)?;
        let raw = origin.repomd().await?;
        let wire = |source: WireError| RepoError::Wire { at: repo.at.clone(), source };
        let repomd = repomd::parse(&raw).map_err(wire)?;
        let data = repomd.find("primary").ok_or_else(|| wire(WireError::Missing { what: "repomd.xml", missing: "primary".into() }))?;
        let bytes = origin.metadata(data).await?;
        let mut ids = HashMap::new();
        let open = decompress::reader(bytes.as_slice(), "primary.xml", data.open_size).map_err(wire)?;
        if checked {
            all.repomd(&repo.name, &crate::systems::repo::read::sha256(&raw));
            for content in repomd.data.iter().filter(|d| CONTENT_TYPES.contains(&content_type(&d.ty))) {
                if let Some(sum) = content.open() {
                    all.metadata(&repo.name, &content.ty, &sum.hex);
                }
            }
        }
        primary::read(open, true, |p| {
            let number = self.packages.len() as u32;
            let nevra = p.nevra();
            if checked {
                all.package(&repo.name, &nevra, &p.checksum.hex, p.size);
            }
            self.packages.push(nevra);
            ids.insert(p.checksum.hex.clone(), number);
            for entry in &p.provides {
                self.provides.entry(entry.name.clone()).or_default().push((number, range(entry)));
            }
            for path in &p.files {
                self.files.entry(path.clone()).or_default().push(number);
            }
            for entry in p.requires.iter().filter(|e| checked && counts(e)) {
                self.requires.entry(Entry { pre: false, ..entry.clone() }).or_default().push(number);
            }
            Ok(())
        })
        .map_err(wire)?;
        Ok((origin, repomd, ids))
    }

    /// Required paths that neither a Provides nor primary's own list answers.
    fn wanted_files(&self) -> HashSet<String> {
        let mut out = HashSet::new();
        for name in self.requires.keys().map(|e| e.name.as_str()) {
            // Paths inside rich forms, too: every word that starts with a slash.
            for word in name.split(|c: char| c.is_whitespace() || c == '(' || c == ')').filter(|w| w.starts_with('/')) {
                if !self.provides.contains_key(word) && !self.files.contains_key(word) {
                    out.insert(word.to_owned());
                }
            }
        }
        out
    }

    async fn load_files(
        &mut self,
        origin: &Origin,
        repomd: &Repomd,
        ids: &HashMap<String, u32>,
        wanted: &HashSet<String>,
    ) -> Result<(), RepoError> {
        // A repository without filelists has no more files to tell of.
        let Some(data) = repomd.find("filelists") else { return Ok(()) };
        let wire = |source: WireError| RepoError::Wire { at: origin.shown(), source };
        let bytes = origin.metadata(data).await?;
        let open = decompress::reader(bytes.as_slice(), "filelists.xml", data.open_size).map_err(wire)?;
        filelists::read(open, |id, path| {
            if let (true, Some(number)) = (wanted.contains(path), ids.get(id)) {
                self.files.entry(path.to_owned()).or_default().push(*number);
            }
        })
        .map_err(wire)
    }

    fn providers(&self, wanted: &Capability) -> Vec<u32> {
        let mut out: Vec<u32> = self.provides.get(&wanted.name).map_or_else(Vec::new, |all| {
            all.iter().filter(|(_, range)| overlaps(range.as_ref(), wanted.range.as_ref())).map(|(n, _)| *n).collect()
        });
        if wanted.range.is_none() {
            out.extend(self.files.get(&wanted.name).into_iter().flatten());
        }
        out
    }

    fn judge(&self, report: &Report) -> (Findings, Findings) {
        let (mut unmet, mut unknown) = (Vec::new(), Vec::new());
        let total = self.requires.len() as u64;
        for (i, (entry, packages)) in self.requires.iter().enumerate() {
            let capability = Capability { name: entry.name.clone(), range: range(entry) };
            let verdict = if entry.name.starts_with('(') {
                parse_rich(&entry.name).map_or(Verdict::Unknown, |rich| judge(&rich, &mut |c| self.providers(c)))
            } else if self.providers(&capability).is_empty() {
                Verdict::Unmet
            } else {
                Verdict::Met
            };
            let list = match verdict {
                Verdict::Met => continue,
                Verdict::Unmet => &mut unmet,
                Verdict::Unknown => &mut unknown,
            };
            let text = excerpt(&capability.to_string());
            list.extend(packages.iter().map(|p| (*p, text.clone())));
            report.progress(i as u64 + 1, total, "requirements", "judging");
        }
        for list in [&mut unmet, &mut unknown] {
            list.sort_by(|a, b| self.packages[a.0 as usize].cmp(&self.packages[b.0 as usize]).then_with(|| a.1.cmp(&b.1)));
            list.dedup();
        }
        (unmet, unknown)
    }
}

/// `rpmlib()` asks for abilities of rpm itself; `solvable:` is libsolv's own.
fn counts(entry: &Entry) -> bool {
    !entry.name.starts_with("rpmlib(") && !entry.name.starts_with("solvable:")
}

fn range(entry: &Entry) -> Option<(Sense, Evr)> {
    let sense = match entry.compare? {
        Compare::Eq => Sense::Eq,
        Compare::Lt => Sense::Lt,
        Compare::Gt => Sense::Gt,
        Compare::Le => Sense::Le,
        Compare::Ge => Sense::Ge,
    };
    Some((sense, Evr { epoch: entry.epoch.clone(), version: entry.version.clone(), release: entry.release.clone() }))
}
