//! One package of a source, at an edition of it: its release, what it requires and provides, its files, its changelog.

use super::content::{Arch, Change, Dep, File, FileKind, Op, Package};
use super::quarters;
use super::sources::{PEOPLE, Source, Sub, VISITORS};
use super::times::{DAY, compose_time, noon};
use crate::demo::seed::Rng;

pub(super) fn package(seed: u64, source: &Source, sub: &Sub, at: &[u32], edition: usize) -> Package {
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
    let made = if at[edition] == 1 { quarters::made(seed, source) } else { compose_time(at[edition]) };
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
        let day = noon(compose_time(at[e]) - DAY);
        out.push(Change { author: format!("{who} - {}-{}", source.version, release(source, at, e)), time: day, text: what });
    }
    out.extend(quarters::changes(seed, source, 0));
    out
}

/// The CVE that the move of `source` at compose `n` fixed, for about one move in three.
pub(super) fn cve(seed: u64, source: &str, n: u32) -> Option<String> {
    let mut rng = Rng::new(seed, &format!("cve {source}"), u64::from(n));
    (rng.below(3) == 0).then(|| format!("CVE-2026-{}", 90_001 + rng.below(900)))
}
