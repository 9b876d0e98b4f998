//! `mirror/snapshot`: the repositories of a content set as they are now, under a name of their own: packages hardlinked, metadata copied.
//!
//! Every linked package is read through its new name and compared with the metadata; the source's `repomd.xml` and the census of its files
//! are taken before and after. A source that moved meanwhile makes no snapshot. The snapshot is put together under
//! `.quarterdeck/building` and gets its name in one step, durable before that: a kill leaves it whole or absent.
//!
//! A hardlink shares its bytes with the source. A writer that rewrites a package in place (dnf does) changes both; therefore a switch
//! looks again, and `packages: copy` exists.

use std::path::Path;

use jiff::tz::TimeZone;

use super::build::{self, Source};
use super::guard;
use super::root::{BUILDING, FORMAT, Manifest, Part, Root, SNAPSHOTS};
use crate::base::{count, crash, size};
use crate::domain::content::{Collector, Reading};
use crate::domain::report::Fact;
use crate::domain::snapshot::{name, plain};
use crate::steps::content::repos;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::links::Named;
use crate::systems::repo::{Origin, RepoAt};

/// Moved names that a refusal lists.
const SHOWN: usize = 5;

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let copy = match with.text("packages").unwrap_or("link") {
        "link" => false,
        "copy" => true,
        other => return Err(StepError::input(format!("`packages` is `{other}`"), "give link or copy")),
    };
    let repos = named(repos(with, "tree", env))?;
    let set = with.text("set").map_or_else(|| repos.iter().map(|r| r.name.as_str()).collect::<Vec<_>>().join("+"), str::to_owned);
    if set.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(StepError::input("`set` holds a blank or a control character", "names are one word"));
    }
    let root = Root::open(with, env, true)?;
    root.tree.remove_tree(BUILDING, |_| ())?;
    let mut sources = Vec::with_capacity(repos.len());
    for repo in repos {
        sources.push(open(&root, repo, env)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let mut all = Collector::new();
    for source in &mut sources {
        runtime.block_on(source.read(&mut all)).map_err(|e| unsettled(source, e))?;
    }
    let reading = all.finish();
    let (fp, md) = (reading.fp.known().unwrap_or_default().to_owned(), reading.md.known().unwrap_or_default().to_owned());
    if let Some(id) = existing(&root, &fp, &sources, report)? {
        settled(&sources)?;
        return tell(&root, &set, &id, &reading, true, report);
    }
    space(&root, &sources, copy)?;
    let made = env.clock.now();
    let id = free_name(&root, made.to_zoned(TimeZone::UTC).date(), &fp)?;
    let built = build_all(&root, &sources, copy, report);
    if let Err(e) = built.and_then(|()| settled(&sources)) {
        // What moved is the better reason than what could not be linked because of it.
        let e = settled(&sources).err().unwrap_or(e);
        let _ = root.tree.remove_tree(BUILDING, |_| ());
        return Err(e);
    }
    crash::point("snapshot.verified");
    let manifest = Manifest {
        format: FORMAT,
        id: id.clone(),
        set: set.clone(),
        fp,
        md,
        made: made.to_string(),
        made_us: made.as_microsecond(),
        run: env.run.clone(),
        repos: sources.iter().map(part).collect(),
    };
    publish(&root, &manifest)?;
    tell(&root, &set, &id, &reading, false, report)
}

fn named(repos: Vec<RepoAt>) -> Result<Vec<RepoAt>, StepError> {
    for (i, repo) in repos.iter().enumerate() {
        if !plain(&repo.name) {
            return Err(StepError::input(
                format!("`{}` cannot be the name of a repository's directory", crate::wire::excerpt(&repo.name)),
                "give it a plain name: tree=NAME=PATH",
            ));
        }
        if repo.at.contains("://") {
            return Err(StepError::input(
                format!("`{}` is no directory", crate::wire::excerpt(&repo.at)),
                "a snapshot is made of trees on disk: sync it first",
            ));
        }
        if repos[..i].iter().any(|r| r.name == repo.name || r.at == repo.at) {
            return Err(StepError::input(format!("`{}` is given twice", repo.name), "give each tree once: tree=NAME=PATH"));
        }
    }
    Ok(repos)
}

/// Opens a source, and keeps our own writers away from it.
fn open(root: &Root, repo: RepoAt, env: &StepEnv) -> Result<Source, StepError> {
    let Origin::Local(tree) = Origin::open(&repo.at)? else {
        return Err(StepError::input(format!("`{}` is no directory", repo.at), "give a tree on disk"));
    };
    let inside = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a.starts_with(b));
    if inside(root.tree.path(), tree.path()) {
        return Err(StepError::refused(
            format!("the root {} lies in the tree {}", root.tree.path().display(), tree.path().display()),
            "give a root beside the tree, on the same file system",
        ));
    }
    Source::open(repo, tree, env)
}

/// An error of reading a source that is being written is the writer's doing.
fn unsettled(source: &Source, e: StepError) -> StepError {
    match source.moved(SHOWN) {
        Ok(moved) if !moved.is_empty() => refused(source, &moved),
        _ => e,
    }
}

fn refused(source: &Source, moved: &[String]) -> StepError {
    StepError::refused(
        format!("{} is being written by somebody else: {}", source.tree.path().display(), moved.join("; ")),
        "no snapshot was made: wait until its writer (reposync, rsync, cobbler) has ended, then retry",
    )
}

fn settled(sources: &[Source]) -> Result<(), StepError> {
    for source in sources {
        let moved = source.moved(SHOWN)?;
        if !moved.is_empty() {
            return Err(refused(source, &moved));
        }
    }
    Ok(())
}

/// A snapshot of this content that is there and still whole.
fn existing(root: &Root, fp: &str, sources: &[Source], report: &Report) -> Result<Option<String>, StepError> {
    for (id, manifest) in root.snapshots()?.into_iter().rev() {
        let Some(manifest) = manifest.filter(|m| m.fp == fp) else { continue };
        // The same content in other directories would be another snapshot to its readers.
        if manifest.repos.len() != sources.len() || !sources.iter().all(|s| manifest.repos.iter().any(|p| p.name == s.repo.name)) {
            continue;
        }
        match root.damaged(&manifest)?.first() {
            None => return Ok(Some(id)),
            Some(first) => report.say(&format!("snapshot {id} holds this content, but is damaged ({first}): another one is made")),
        }
    }
    Ok(None)
}

fn free_name(root: &Root, day: jiff::civil::Date, fp: &str) -> Result<String, StepError> {
    for pass in 1..1_000 {
        let id = name(day, fp, pass);
        if root.tree.named(&format!("{SNAPSHOTS}/{id}"))? == Named::Nothing {
            return Ok(id);
        }
    }
    Err(StepError::failed("a thousand snapshots of this content were made today", "remove what is damaged: mirror/gc"))
}

/// Refuses before anything is written.
fn space(root: &Root, sources: &[Source], copy: bool) -> Result<(), StepError> {
    let packages: u64 = sources.iter().map(|s| s.inventory.shelf.bytes()).sum();
    if !copy {
        for source in sources {
            if source.tree.device("")? != root.tree.device("")? {
                return Err(StepError::refused(
                    format!(
                        "{} is on another file system than {}: packages cannot be hardlinked",
                        source.tree.path().display(),
                        root.tree.path().display()
                    ),
                    format!("give a root on the same file system, or packages=copy, which takes {} of its own", size::short(packages)),
                ));
            }
        }
    }
    let (mut bytes, mut files) = (0u64, 16u64);
    for source in sources {
        let inventory = &source.inventory;
        let count = inventory.shelf.packages.len() as u64;
        bytes += inventory.repomd.data.iter().map(|d| d.size.unwrap_or(0)).sum::<u64>();
        // Names cost directory blocks, and lines in the list of files.
        bytes += count * 512;
        files += inventory.repomd.data.len() as u64 + source.directories() + 8;
        if copy {
            bytes += inventory.shelf.bytes();
            files += count;
        }
    }
    guard::room(&root.tree.path().display().to_string(), bytes, files, root.tree.space()?)
}

fn build_all(root: &Root, sources: &[Source], copy: bool, report: &Report) -> Result<(), StepError> {
    let mut shared = true;
    for source in sources {
        shared &= build::lay(&root.tree, source, copy, report)?;
        crash::point("snapshot.linked");
    }
    if copy {
        report.say(if shared { "packages were copied by shared blocks (reflink)" } else { "packages were copied byte by byte" });
    }
    for source in sources {
        build::verify(&root.tree, source, report)?;
    }
    Ok(())
}

fn part(source: &Source) -> Part {
    let inventory = &source.inventory;
    Part {
        name: source.repo.name.clone(),
        from: source.repo.at.clone(),
        md: inventory.md.clone(),
        packages: inventory.shelf.packages.len() as u64,
        bytes: inventory.shelf.bytes(),
    }
}

/// Durable first, then its name.
fn publish(root: &Root, manifest: &Manifest) -> Result<(), StepError> {
    let tree = &root.tree;
    let text = serde_json::to_vec_pretty(manifest).map_err(|e| StepError::failed(e.to_string(), "report this as a bug"))?;
    tree.replace(&format!("{BUILDING}/.quarterdeck/snapshot.json"), &text)?;
    tree.sync_all()?;
    crash::point("snapshot.durable");
    tree.make_dir(SNAPSHOTS)?;
    tree.sync_dir("")?;
    tree.move_dir(BUILDING, &format!("{SNAPSHOTS}/{}", manifest.id))?;
    crash::point("snapshot.named");
    tree.sync_dir(SNAPSHOTS)?;
    Ok(tree.sync_dir(".quarterdeck")?)
}

fn tell(root: &Root, set: &str, id: &str, reading: &Reading, known: bool, report: &Report) -> Result<(), StepError> {
    let (fp, md) = (reading.fp.known().unwrap_or_default(), reading.md.known().unwrap_or_default());
    report.fact(Fact::Content { set: set.to_owned(), fp: fp.to_owned(), md: md.to_owned() });
    report.fact(Fact::Snapshot { root: root.tree.path().display().to_string(), id: id.to_owned(), set: set.to_owned(), fp: fp.to_owned() });
    report.output("id", id);
    report.output("fp", fp);
    report.output("md", md);
    report.output("packages", &reading.packages.to_string());
    report.output("bytes", &reading.bytes.to_string());
    report.output("path", &root.tree.path().join(SNAPSHOTS).join(id).display().to_string());
    let what = format!("{set}: {} ({})", count::s(reading.packages, "package"), size::short(reading.bytes));
    if known {
        report.detail("no-change");
        report.summary(&format!("snapshot {id} is there already and whole, {what}"));
    } else {
        report.detail(&format!("snapshot {id}, {what}"));
        report.summary(&format!("snapshot {id}, {what}, every package verified"));
    }
    report.finish()
}
