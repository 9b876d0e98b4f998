//! The security lane: packages laid over what is served, before the next promotion. Judges a request and opens its promotion. A content change
//! like any: overlay, snapshot, verify, checks and switches are those of a promotion.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::closed::{self, Mix};
use super::driver::advance;
use super::holds;
use super::roots::{self, place, trees};
use super::save::save;
use super::wish::pending;
use crate::action::Action;
use crate::api::ApiError;
use crate::api::types::{Do, Done};
use crate::base::{crash, sanitise};
use crate::config::{self, Site};
use crate::domain::closure::newly;
use crate::domain::decision::{Detail, Kind as Decided, NewDecision};
use crate::domain::nevra::Nevra;
use crate::domain::packages::PackageList;
use crate::domain::promotion::gate::LANE_SKIPS;
use crate::domain::promotion::hold::{self, Hold, Kind, LONGEST_OOB_US};
use crate::domain::promotion::plan::Line;
use crate::domain::promotion::{Lane, Promotion, Work, name};
use crate::engine::blocking::blocking;
use crate::engine::contents::{from_repo, read};
use crate::engine::entry;
use crate::engine::guard::Caller;
use crate::engine::rows;
use crate::engine::state::Engine;
use crate::store::{DecisionEdit, Note, Save};
use crate::systems::repo::list::read_list;
use crate::systems::repo::{RepoAt, snapshots};
use crate::wire::primary::Package;

/// Packages of one addition.
const MOST: usize = 100;

fn list(repos: &[RepoAt]) -> Result<PackageList, ApiError> {
    read(async { read_list(repos).await.map_err(|(name, e)| from_repo(&name, &e)) })
}

/// The trees that a request means, of the first datacentre: each with the repository that it belongs to, or none where only its packages say.
fn sources(site: &Site, table: &config::Promotion, word: &str) -> Result<Vec<(Option<String>, RepoAt)>, ApiError> {
    let trees: Vec<(String, String)> = table
        .dcs
        .first()
        .map(|dc| trees(site, table, dc))
        .unwrap_or_default()
        .iter()
        .filter_map(|t| t.split_once('='))
        .filter(|(_, at)| !at.is_empty())
        .map(|(repo, at)| (repo.to_owned(), at.to_owned()))
        .collect();
    let of = |repo: &str, at: &str| (Some(repo.to_owned()), RepoAt { name: repo.to_owned(), at: at.to_owned() });
    if word.is_empty() {
        return Ok(trees.iter().map(|(repo, at)| of(repo, at)).collect());
    }
    if let Some((repo, at)) = trees.iter().find(|(repo, _)| repo == word) {
        return Ok(vec![of(repo, at)]);
    }
    let shown = sanitise::cell(word);
    let trimmed = word.trim_end_matches('/');
    let named = site.repos.iter().find(|(repo, r)| {
        let mirrored = word.contains("://") && r.upstream.iter().any(|u| u.trim_end_matches('/') == trimmed);
        *repo == word || mirrored
    });
    if let Some((repo, tree)) = named.map(|(repo, r)| (repo.clone(), r.tree.clone())) {
        // One of the set has a tree of its own in every datacentre.
        if let Some((repo, at)) = trees.iter().find(|(r, _)| *r == repo) {
            return Ok(vec![of(repo, at)]);
        }
        return match tree.is_empty() {
            true => Err(ApiError::bad(format!("[repos.{repo}] has no tree here"), "mirror it first, and add its tree to site.toml")),
            false => Ok(vec![(None, RepoAt { name: repo, at: tree })]),
        };
    }
    if !word.starts_with('/') {
        return Err(ApiError::bad(
            format!("`{shown}` is neither a repository of the site, nor the address of one that is mirrored, nor a directory"),
            "nothing is fetched for an addition: mirror it first (mirror/sync), then give the repository or its tree",
        ));
    }
    let real = std::fs::canonicalize(word).map_err(|e| ApiError::bad(format!("{shown}: {e}"), "give a directory that holds repodata/"))?;
    let below = |root: &Path| std::fs::canonicalize(root).is_ok_and(|r| real.starts_with(r));
    if !site.mirror_roots.iter().any(|r| below(r)) {
        return Err(ApiError::refused(
            format!("{shown} is not below [mirror] roots"),
            "an addition comes from a tree that the site mirrors; put it there, or add the root to site.toml",
        ));
    }
    let found = snapshots::repos_at(&real).map_err(|e| from_repo(&shown, &e))?;
    Ok(found.into_iter().map(|r| (trees.iter().find(|(repo, _)| *repo == r.name).map(|(repo, _)| repo.clone()), r)).collect())
}

/// What is asked for, found in the trees and held against what is served: the source of each package.
fn found(site: &Site, os: &str, wanted: &[Nevra], word: &str) -> Result<Vec<(Nevra, String)>, ApiError> {
    let table = roots::table(site, os)?;
    let nobody = Promotion::new(String::new(), os, "", crate::domain::actor::Actor::engine("promotion"), "", "", 0);
    let roots = roots::of(table, &nobody);
    for dc in &roots {
        closed::served(os, std::slice::from_ref(dc))?;
    }
    let (id, served) = closed::served(os, &roots)?;
    let sources = sources(site, table, word)?;
    let repos: Vec<RepoAt> = sources.iter().map(|(_, r)| r.clone()).collect();
    let (have, there) = (list(&repos)?, list(&served)?);
    let mut out: Vec<(Nevra, String)> = Vec::new();
    for nevra in wanted {
        let text = nevra.to_string();
        let Some(package) = have.iter().find(|p| p.nevra == text) else {
            let mut near: Vec<&str> = have.iter().filter(|p| p.name == nevra.name).map(|p| p.nevra).collect();
            near.sort_unstable();
            let help = match near.is_empty() {
                true => "no package by that name is there: look with quarterdeck diff, or give another source".to_owned(),
                false => format!("there is {}", near.join(", ")),
            };
            return Err(ApiError::bad(format!("{text} is in none of the sources"), help));
        };
        if there.iter().any(|p| p.nevra == text) {
            return Err(ApiError::refused(format!("{text} is served already, from snapshot {id}"), "nothing to do"));
        }
        let newest = there.iter().filter(|p| p.name == nevra.name && p.arch == nevra.arch).filter_map(|p| Nevra::parse(p.nevra).ok());
        if let Some(newer) = newest.max_by(Nevra::cmp_evr).filter(|n| n.cmp_evr(nevra).is_gt()) {
            return Err(ApiError::refused(format!("{newer} is served: no client would take {text}"), "an addition brings what is newer"));
        }
        let own = sources.iter().find(|(_, r)| r.name == package.repo);
        let has = |repo: &str| served.iter().any(|r| r.name == repo);
        let target = match own.and_then(|(target, _)| target.clone()).filter(|t| has(t)) {
            Some(target) => target,
            // Into the repository that serves the package now.
            None => match there.iter().filter(|p| p.name == nevra.name).map(|p| p.repo).collect::<BTreeSet<_>>().into_iter().next() {
                Some(repo) => repo.to_owned(),
                None => {
                    return Err(ApiError::refused(
                        format!("no repository of {id} serves {}: nobody knows which one it should come into", nevra.name),
                        "an addition brings a newer version of what is served, or a package of one of the set's own trees",
                    ));
                }
            },
        };
        let of_set = own.is_some_and(|(t, r)| {
            t.as_deref() == Some(&target) && place(site, table, &table.dcs[0], &target).is_some_and(|(_, at)| at == r.at)
        });
        let source = match (of_set, own) {
            (false, Some((_, r))) => format!("{target}={}", r.at),
            _ => target,
        };
        out.push((nevra.clone(), source));
    }
    let lines: Vec<Line> = out.iter().map(|(n, source)| line(n, source)).collect();
    closed(site, os, &lines)?;
    Ok(out)
}

fn line(nevra: &Nevra, source: &str) -> Line {
    Line {
        id: 0,
        kind: Kind::Oob.as_str().into(),
        package: nevra.name.clone(),
        nevra: nevra.to_string(),
        source: source.to_owned(),
        owner: String::new(),
        reason: String::new(),
        until_us: 0,
    }
}

/// Whether what is served still installs with these beside it, in every datacentre. Blocks.
pub fn closed(site: &Site, os: &str, lines: &[Line]) -> Result<(), ApiError> {
    let table = roots::table(site, os)?;
    let nobody = Promotion::new(String::new(), os, "", crate::domain::actor::Actor::engine("promotion"), "", "", 0);
    let roots = roots::of(table, &nobody);
    let names: BTreeSet<String> = lines.iter().filter_map(|l| Nevra::parse(&l.nevra).ok()).map(|n| n.to_string()).collect();
    for (dc, at) in table.dcs.iter().zip(&roots) {
        let (_, served) = closed::served(os, std::slice::from_ref(at))?;
        let places: BTreeMap<String, String> = lines.iter().filter_map(|l| place(site, table, dc, &l.source)).collect();
        let other: Vec<RepoAt> = places.into_iter().map(|(name, at)| RepoAt { name, at }).collect();
        let before = closed::broken(&Mix { base: &served, without: &|_, _| false, other: &[], with: &|_, _| false })?;
        // On a host it comes in the place of the older one: what needs exactly that one would keep the update out.
        let older = |_: &str, p: &Package| replaced(lines, p);
        let after = closed::broken(&Mix { base: &served, without: &older, other: &other, with: &|_, p| names.contains(&p.nevra()) })?;
        // A package that is new is judged, too: it was not broken before.
        let what = format!("adding {} in {}", names.iter().cloned().collect::<Vec<_>>().join(", "), dc.name);
        closed::refuse(&what, &newly(&before, after))?;
    }
    Ok(())
}

/// Whether a package that is served gives way to one of these. Kernels are installed beside each other.
fn replaced(lines: &[Line], p: &Package) -> bool {
    let kernel = p.name == "kernel" || p.name.starts_with("kernel-");
    !kernel
        && lines
            .iter()
            .filter_map(|l| Nevra::parse(&l.nevra).ok())
            .any(|n| n.name == p.name && n.arch == p.arch && n.to_string() != p.nevra())
}

fn wanted(text: &str) -> Result<Vec<Nevra>, ApiError> {
    let mut out: Vec<Nevra> = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty()) {
        let nevra = Nevra::parse(word)
            .map_err(|e| ApiError::bad(sanitise::cell(&e.to_string()), "an addition names the version that it brings"))?;
        if !hold::package_name(&nevra.name) {
            return Err(ApiError::bad(format!("`{}` cannot be the name of a package", sanitise::cell(&nevra.name)), "as rpm -q has it"));
        }
        if out.iter().any(|n| n.name == nevra.name) {
            return Err(ApiError::bad(format!("{} is named twice", nevra.name), "one version of each package"));
        }
        out.push(nevra);
    }
    if out.is_empty() || out.len() > MOST {
        return Err(ApiError::bad(format!("{} packages are named", out.len()), format!("name one to {MOST}: --with package=NEVRA")));
    }
    Ok(out)
}

/// Opens the promotion of an addition, and begins its overlay. The caller has the turn.
pub async fn perform(engine: &Arc<Engine>, caller: &Caller, action: &'static Action, request: &Do) -> Result<Done, ApiError> {
    let now_us = engine.now_us();
    let text = |key: &str| request.with.get(key).map(|t| sanitise::cell(t)).unwrap_or_default();
    let wanted = wanted(&text("package"))?;
    let terms = holds::terms(engine, caller, request, Some(LONGEST_OOB_US))?;
    let until_us = terms.until_us;
    let (os, word, clock) = (request.target.clone(), text("source"), engine.clock.now());
    let (id, set, found) = {
        let engine = engine.clone();
        blocking(move || {
            let site = engine.site()?;
            let found = found(&site, &os, &wanted, &word)?;
            let zone = crate::base::zone::named(&site.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
            let all = engine.store.promotions()?;
            let id = name(clock.to_zoned(zone).date(), &format!("{os}-oob"), |n| all.iter().any(|p| p.id == n));
            Ok((id, roots::table(&site, &os)?.set.clone(), found))
        })
        .await?
    };
    let mut holds = Vec::with_capacity(found.len());
    for (nevra, source) in &found {
        let made = Hold {
            nevra: nevra.to_string(),
            source: source.clone(),
            promotion: id.clone(),
            ..Hold::new(Kind::Oob, nevra.name.clone(), terms.clone())
        };
        hold::check(&made).map_err(|e| ApiError::bad(e.to_string(), "quarterdeck actions says what an addition needs"))?;
        holds.push(made);
    }
    let names: Vec<String> = holds.iter().map(|h| h.nevra.clone()).collect();
    let mut p = Promotion::new(id.clone(), &request.target, &set, caller.actor.clone(), &request.reason, &text("change"), now_us);
    p.lane = Lane::Oob;
    p.note(&caller.actor.name, format!("opened for {}", names.join(", ")), now_us);
    p.pending = Some(pending(caller, request, &p, Work::Soak));
    let decision = |h: &Hold| {
        DecisionEdit::Make(Box::new(NewDecision {
            kind: Decided::Hold,
            subject: format!("{id}/{}", h.package),
            sha: String::new(),
            who: None,
            why: request.reason.clone(),
            until_us: Some(until_us),
            detail: Detail::default(),
        }))
    };
    let record = |subject: &str| entry::record(caller, action, subject, &request.reason, "done".into(), false);
    let mut notes = vec![Note { at_us: now_us, record: record(&id), decision: None }];
    notes.extend(holds.iter().map(|h| Note { at_us: now_us, record: record(&format!("{id}/{}", h.package)), decision: Some(decision(h)) }));
    let p = save(engine, Save { notes, holds, ..Save::new(None, p) }).await?;
    crash::point("promotion.decided");
    let p = advance(engine, p).await?;
    let skipped: Vec<String> = LANE_SKIPS.iter().map(|g| format!("{g} {}", g.title())).collect();
    let message = format!(
        "{id} adds {} until {}: {}\nskipped: {}\nnot skipped: the other gates, both approvals, and the check before each switch",
        names.join(", "),
        rows::time(until_us),
        p.watching.as_ref().map_or(p.state.to_string(), |(_, run)| run.clone()),
        skipped.join("; "),
    );
    Ok(Done { run: p.watching.as_ref().map(|(_, r)| r.clone()), message, single_person: false })
}
