//! Whether a content still installs with what is to be held or added: judged when it is asked for, with the chain that breaks. Reads only.

use std::collections::BTreeSet;

use super::roots::{self, Dc};
use crate::api::ApiError;
use crate::config::{self, Site};
use crate::domain::closure::{Broken, newly};
use crate::domain::promotion::Promotion;
use crate::engine::contents::{from_repo, read};
use crate::systems::repo::deps::{Part, world};
use crate::systems::repo::list::read_list;
use crate::systems::repo::{RepoAt, snapshots};
use crate::wire::primary::Package;

/// Chains that a refusal tells.
const SHOWN: usize = 3;

/// Trees of a content, and packages of other trees in the place of theirs, or beside them.
pub struct Mix<'a> {
    pub base: &'a [RepoAt],
    /// By repository: names that `base` loses there.
    pub without: &'a (dyn Fn(&str, &Package) -> bool + Sync),
    pub other: &'a [RepoAt],
    pub with: &'a (dyn Fn(&str, &Package) -> bool + Sync),
}

/// What cannot be installed out of it. Blocks.
pub fn broken(mix: &Mix<'_>) -> Result<Vec<Broken>, ApiError> {
    type Taken<'a> = Box<dyn Fn(&Package) -> bool + Sync + 'a>;
    let keep: Vec<Taken<'_>> = mix.base.iter().map(|r| Box::new(move |p: &Package| !(mix.without)(&r.name, p)) as Taken<'_>).collect();
    let add: Vec<Taken<'_>> = mix.other.iter().map(|r| Box::new(move |p: &Package| (mix.with)(&r.name, p)) as Taken<'_>).collect();
    let all = mix.base.iter().zip(&keep).chain(mix.other.iter().zip(&add));
    let parts: Vec<Part<'_>> = all.map(|(repo, take)| Part { repo: repo.clone(), take: &**take }).collect();
    let world = read(async { world(&parts, &[]).await.map_err(|(name, e)| from_repo(&name, &e)) })?;
    Ok(world.broken())
}

/// Refuses a change that breaks something.
pub fn refuse(what: &str, broken: &[Broken]) -> Result<(), ApiError> {
    let Some(first) = broken.first() else { return Ok(()) };
    let many = if broken.len() == 1 { "a package".to_owned() } else { format!("{} packages", broken.len()) };
    let mut text = format!("{what} breaks {many}: {first}");
    for b in broken.iter().skip(1).take(SHOWN - 1) {
        text.push_str(&format!("\n{b}"));
    }
    if broken.len() > SHOWN {
        text.push_str(&format!("\nand {} more", broken.len() - SHOWN));
    }
    // Names and requirements are upstream's words.
    let text: Vec<String> = text.lines().map(crate::base::sanitise::cell).collect();
    Err(ApiError::refused(text.join("\n"), "what belongs together is held or added together; or wait until upstream has mended it"))
}

/// What the candidate is made of: the snapshot that is there, or the live trees of the first datacentre.
pub fn base(site: &Site, table: &config::Promotion, p: Option<&Promotion>, roots: &[Dc]) -> Result<Vec<RepoAt>, ApiError> {
    let Some((dc, root)) = table.dcs.first().zip(roots.first()) else { return Ok(Vec::new()) };
    if let Some(repos) = p.and_then(|p| p.taken_of(&dc.name)).and_then(|t| of_snapshot(root, &t.base)) {
        return Ok(repos);
    }
    let trees = roots::trees(site, table, dc);
    let repos = trees.iter().filter_map(|t| t.split_once('=')).filter(|(_, at)| !at.is_empty());
    Ok(repos.map(|(name, at)| RepoAt { name: name.to_owned(), at: at.to_owned() }).collect())
}

/// The repositories of a snapshot of a root.
pub fn of_snapshot(root: &Dc, id: &str) -> Option<Vec<RepoAt>> {
    snapshots::at(&std::path::Path::new(&root.root).join("snapshots").join(id)).map(|s| s.repos)
}

/// What is served by the first datacentre.
pub fn served(os: &str, roots: &[Dc]) -> Result<(String, Vec<RepoAt>), ApiError> {
    let first = roots.first();
    let found = first.and_then(|dc| dc.led.snapshot().and_then(|id| Some((id.to_owned(), of_snapshot(dc, id)?))));
    found.ok_or_else(|| {
        let dc = first.map_or(os, |dc| dc.name.as_str());
        ApiError::refused(
            format!("{dc} serves no snapshot of {os} that can be read: nothing of it is held, and nothing added"),
            "promote once without holds: from then on snapshots are served",
        )
    })
}

/// Whether the candidate installs with `names` as they are served now, and `more` held besides. Blocks.
pub fn holds(
    site: &Site,
    os: &str,
    p: Option<&Promotion>,
    retake: bool,
    names: &BTreeSet<String>,
    more: Option<&str>,
) -> Result<(), ApiError> {
    let table = roots::table(site, os)?;
    let nobody = Promotion::new(String::new(), os, "", crate::domain::actor::Actor::engine("promotion"), "", "", 0);
    let roots = roots::of(table, p.unwrap_or(&nobody));
    let (id, served) = served(os, &roots)?;
    let base = base(site, table, p.filter(|_| !retake), &roots)?;
    let list = read(async { read_list(&served).await.map_err(|(name, e)| from_repo(&name, &e)) })?;
    let has = |repo: &str, name: &str| list.iter().any(|p| p.repo == repo && p.name == name);
    let all: BTreeSet<&str> = names.iter().map(String::as_str).chain(more).collect();
    for name in &all {
        if !list.iter().any(|p| p.name == *name) {
            let message = format!("nothing by the name {name} is served from snapshot {id}: it cannot be held");
            return Err(ApiError::refused(message, "name a package that is served now: quarterdeck diff shows them"));
        }
    }
    // As the overlay does it: a package is held in the repository that serves it, and stays as upstream has it elsewhere.
    let there: BTreeSet<(&str, &str)> =
        served.iter().flat_map(|r| all.iter().filter(|n| has(&r.name, n)).map(|n| (r.name.as_str(), *n))).collect();
    let judged = |out: &dyn Fn(&str) -> bool| {
        let held: BTreeSet<(&str, &str)> = there.iter().filter(|(_, n)| !out(n)).copied().collect();
        let moved = |repo: &str, p: &Package| held.contains(&(repo, p.name.as_str()));
        broken(&Mix { base: &base, without: &moved, other: &served, with: &moved })
    };
    let before = judged(&|n| more.is_none_or(|m| m == n))?;
    let after = judged(&|_| false)?;
    let what = match more {
        Some(name) => format!("holding {name} as it is served"),
        None => format!("the candidate with {} held", all.into_iter().collect::<Vec<_>>().join(", ")),
    };
    refuse(&what, &newly(&before, after))
}
