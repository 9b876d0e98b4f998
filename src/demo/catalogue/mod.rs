//! What the demo's distribution holds at each compose: a pure function of (seed, compose number).
//!
//! The set is closed: every Requires has a provider. Versions are invented and say so (`.demo`); ids of
//! advisories lie in a range that no real one uses (CVE-2026-90001 and up).

mod content;
mod package;
pub mod past;
mod quarters;
pub mod sources;
mod times;

use super::seed::Rng;
use package::{cve, package};
use sources::{SOURCES, Source, VISITORS};

pub use content::{Advisory, Arch, Change, Compose, Dep, File, FileKind, Op, Package, Repo};
pub use times::{compose_id, compose_time};

/// How many composes a visitor stays, by its place in the list: two or five.
const STAYS: [u32; 2] = [5, 2];
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
