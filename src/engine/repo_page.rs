//! `GET /v1/repos/NAME`: what stands around one repository: what its places held, its syncs, snapshots, room, and who uses it. Blocks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::blocking::blocking;
use super::places::{self, Root};
use super::rows::{self, time, time_opt};
use super::state::Engine;
use super::{catalog, cobbler_uses, promotion, trees};
use crate::api::ApiError;
use crate::api::repo::{AnswerDoc, RepoDoc, SeenDoc, SnapshotDoc, SpaceDoc, SyncDoc, UseDoc};
use crate::config::site::Repo;
use crate::config::{Promotion, Site};
use crate::domain::freshness::{Observed, Trouble};
use crate::pipeline::File;
use crate::pipeline::model::{Step, StepAction};
use crate::store::RunsQuery;
use crate::systems::repo::Tree;
use crate::systems::repo::disk::{self, Asking};
use crate::wire::address;

/// Observations of one place, and of all, that are told.
const SEEN: usize = 20;
const SEEN_ALL: usize = 60;
/// Runs that are told.
const SYNCS: usize = 10;
/// Runs that the usual time is of.
const OF: usize = 30;
/// Lines of an answer that are told.
const RAW_LINES: usize = 60;
/// Snapshots that are told.
const SNAPSHOTS: usize = 40;

/// A page does not wait longer for Cobblers; what comes later is in the next one.
const PATIENCE: Duration = Duration::from_secs(2);

/// All of it, with what its Cobblers say now, as far as they answer soon.
pub async fn asked(engine: &Arc<Engine>, name: String) -> Result<RepoDoc, ApiError> {
    let site = promotion::save::site_of(engine).await?;
    ask_cobblers(engine, &site, &name).await;
    let engine = engine.clone();
    blocking(move || document(&engine, &name)).await
}

/// Asks the Cobblers about one repository, and waits for them a little: a page does not stand still for a server that does.
async fn ask_cobblers(engine: &Arc<Engine>, site: &Arc<Site>, repo: &str) {
    if site.cobblers.is_empty() {
        return;
    }
    let (engine, site, repo) = (engine.clone(), site.clone(), repo.to_owned());
    let asking = tokio::spawn(async move {
        engine.promotions.uses.refresh(&*engine.clock, &site).await;
        let Some(table) = site.repos.get(&repo) else { return };
        let addresses = cobbler_uses::addresses(table);
        for (name, server) in &site.cobblers {
            let known = engine.promotions.uses.known().remove(name).unwrap_or_default();
            let Some(records) = known.records.filter(|_| known.silent.is_empty()) else { continue };
            let found = cobbler_uses::used(&server.mirror, &records, &addresses);
            let profiles = found.into_iter().filter(|u| u.kind == cobbler_uses::Kind::Profile).map(|u| u.name).collect();
            engine.promotions.uses.systems(&*engine.clock, name, server, profiles).await;
        }
    });
    let _ = tokio::time::timeout(PATIENCE, asking).await;
}

/// All of it. Blocks.
pub fn document(engine: &Engine, name: &str) -> Result<RepoDoc, ApiError> {
    let site = engine.site()?;
    let Some(repo) = site.repos.get(name) else {
        let shown = crate::base::sanitise::cell(name);
        return Err(ApiError::bad(format!("no repository `{shown}` in the site file"), "quarterdeck get repos lists them"));
    };
    let mut roots = places::roots(&site);
    let users = users(engine, &site, name);
    let snapshots_by = users.iter().find(|u| u.how.starts_with(KEEPS)).map(|u| u.name.clone());
    let writer = users.iter().find(|u| u.how.starts_with("writes")).map(|u| u.name.clone());
    let (syncs, usual_ms) = syncs(engine, writer.as_deref())?;
    let os = trees::os(&site, name);
    let (mut used_by, mut unknown) = (used_by(&site, name, repo, &os, users), Vec::new());
    installed_from(engine, &site, repo, &mut used_by, &mut unknown);
    unknown.extend(["hosts: no source (add [salt])".into(), "images: no source (add [koji])".into()]);
    let counts = |r: &rows::Row| {
        let text = |f: &str| r.get(f).and_then(|v| v.as_str()).unwrap_or_default();
        text("state") != "ENDED" && text("os") == os && (text("kind") == "hold" || trees::adds_to(&site, name, text("source")))
    };
    let space = space(engine, repo, &roots, &os);
    // Who reads a directory that hangs waits with it.
    roots.retain(|r| engine.freshness.hangs(&r.path.display().to_string()).is_none());
    Ok(RepoDoc {
        repo: name.to_owned(),
        history: history(engine, name, repo)?,
        syncs,
        usual_ms,
        snapshots: snapshots(&roots, &|root| called(&site, name, repo, &os, root)),
        answers: answers(engine, name),
        space,
        snapshots_by,
        used_by,
        unknown,
        holds: promotion::holds::table(engine)?.into_iter().filter(counts).collect(),
    })
}

fn history(engine: &Engine, name: &str, repo: &Repo) -> Result<Vec<SeenDoc>, ApiError> {
    let board = engine.freshness.of(name).unwrap_or_default();
    let places = ["upstream", "tree", "stable"].into_iter().chain(repo.replicas.iter().map(|r| r.dc.as_str()));
    let mut out = Vec::new();
    for place in places {
        for row in engine.store.observations_of(name, place, SEEN)? {
            let o = &row.observed;
            let seen = SeenDoc {
                at: time(row.at_us),
                place: place.to_owned(),
                compose: board.label(o),
                fp: o.fp.clone(),
                packages: o.packages,
                trouble: trouble(o),
            };
            out.push((row.at_us, seen));
        }
    }
    out.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    Ok(out.into_iter().take(SEEN_ALL).map(|(_, seen)| seen).collect())
}

/// What places in trouble said, as far as people may see it.
fn answers(engine: &Engine, name: &str) -> Vec<AnswerDoc> {
    let board = engine.freshness.of(name).unwrap_or_default();
    let safe = |line: &str| crate::base::sanitise::cell(&engine.filter.clean(line));
    let one = |(place, p): (&String, &super::freshness::board::PlaceBoard)| {
        let raw = p.raw.as_ref().map(|r| r.text()).unwrap_or_default();
        AnswerDoc {
            place: place.clone(),
            at: p.observed.at.clone(),
            why: p.observed.trouble.why().to_owned(),
            raw: raw.lines().take(RAW_LINES).map(safe).collect(),
        }
    };
    board.places.iter().filter(|(_, p)| !p.observed.trouble.why().is_empty()).map(one).collect()
}

/// What was wrong with it, in words.
fn trouble(o: &Observed) -> String {
    match &o.trouble {
        Trouble::Moved => "it changed while it was looked at".to_owned(),
        Trouble::None if o.was > 0 => format!("it lost packages: {} before", o.was),
        Trouble::None if o.missing + o.short > 0 => {
            format!("of {} asked for {} missing, {} of another size", o.sampled, o.missing, o.short)
        }
        other => other.why().to_owned(),
    }
}

/// Who reads or writes content sets that hold the repository, pipeline by pipeline; those that write come first.
fn users(engine: &Engine, site: &Site, name: &str) -> Vec<UseDoc> {
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let mut out = Vec::new();
    // Files that cannot be read are told where pipelines are.
    let Ok(catalog) = catalog::of_site(dirs, site, uid) else { return out };
    let holds = |set: &String| site.content.get(set).is_some_and(|c| c.repos.iter().any(|r| r == name));
    for pipeline in &catalog.pipelines {
        let Some(file) = catalog::judge(dirs, pipeline, uid, &catalog).ok().and_then(|j| j.file) else { continue };
        let writes: BTreeSet<&String> = file.stages.iter().flat_map(|s| &s.writes).map(|s| &s.value).filter(|s| holds(s)).collect();
        let reads: BTreeSet<&String> = file.stages.iter().flat_map(|s| &s.reads).map(|s| &s.value).filter(|s| holds(s)).collect();
        let keeps = keeps(&file);
        for (how, sets) in [("writes", writes), (if keeps { KEEPS } else { "reads" }, reads)] {
            if !sets.is_empty() {
                let sets: Vec<&str> = sets.into_iter().map(String::as_str).collect();
                out.push(UseDoc { kind: "pipeline".into(), name: pipeline.clone(), how: format!("{how} {}", sets.join(" ")) });
            }
        }
    }
    out.sort_by_key(|u| !u.how.starts_with("writes"));
    out
}

/// What a pipeline does that takes a snapshot and nothing else.
const KEEPS: &str = "takes a snapshot of";

/// Whether a pipeline takes snapshots, and its stages change nothing else.
fn keeps(file: &File) -> bool {
    let kind = |s: &Step| match &s.action {
        StepAction::Uses { kind, .. } => kind.value.clone(),
        _ => String::new(),
    };
    let kinds: Vec<String> = file.stages.iter().flat_map(|s| &s.steps).map(kind).collect();
    let harmless = ["mirror/snapshot", "mirror/verify", "content/closure", "content/signatures"];
    kinds.iter().any(|k| k == "mirror/snapshot") && kinds.iter().all(|k| harmless.contains(&k.as_str()))
}

fn syncs(engine: &Engine, writer: Option<&str>) -> Result<(Vec<SyncDoc>, Option<u64>), ApiError> {
    let Some(pipeline) = writer else { return Ok((Vec::new(), None)) };
    let q = RunsQuery { pipeline: Some(pipeline.to_owned()), limit: OF, ..RunsQuery::default() };
    let runs = engine.store.runs(&q)?;
    let good = engine.store.run_durations(pipeline, OF)?;
    let usual = (!good.is_empty()).then(|| good.iter().sum::<u64>() / good.len() as u64);
    let doc = |r: &crate::domain::rows::RunRow| SyncDoc {
        run: r.run.to_string(),
        state: r.state.to_string(),
        verdict: r.verdict.map(|v| v.to_string()),
        started: time_opt(r.started_us),
        duration_ms: r.duration_ms(),
        changes: r.changes.clone(),
    };
    Ok((runs.iter().take(SYNCS).map(doc).collect(), usual))
}

/// The name of a repository in what the site promotes of its OS: the one under which its `stable` lies behind the pointer, or its own.
fn promoted_as<'a>(site: &Site, name: &'a str, repo: &'a Repo, table: &Promotion) -> Option<&'a str> {
    let set = site.content.get(&table.set);
    let held = |n: &str| set.is_some_and(|c| c.repos.iter().any(|r| r == n));
    let mut end = repo.stable.trim_end_matches('/').rsplit('/');
    let behind = end.next().filter(|last| end.next() == Some(table.pointer.as_str()) && held(last));
    behind.or_else(|| held(name).then_some(name))
}

/// What the snapshots of a root call it.
fn called<'a>(site: &Site, name: &'a str, repo: &'a Repo, os: &str, root: &Root<'_>) -> &'a str {
    let table = root.promoted.filter(|(of, _)| *of == os).map(|(_, table)| table);
    table.and_then(|t| promoted_as(site, name, repo, t)).unwrap_or(name)
}

fn snapshots<'a>(roots: &[Root<'_>], called: &dyn Fn(&Root<'_>) -> &'a str) -> Vec<SnapshotDoc> {
    let mut out = Vec::new();
    for root in roots {
        let (held, name) = (root.held(), called(root));
        for s in held.snapshots.iter().filter(|s| s.repos.iter().any(|r| r.name == name)) {
            let doc = SnapshotDoc {
                place: root.place.clone(),
                id: s.id.clone(),
                fp: s.fp.clone(),
                made: time_opt(s.made_us),
                pointers: held.pointers.get(&s.id).cloned().unwrap_or_default(),
            };
            out.push((s.made_us, doc));
        }
    }
    out.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (&a.1.place, &a.1.id).cmp(&(&b.1.place, &b.1.id))));
    out.into_iter().take(SNAPSHOTS).map(|(_, doc)| doc).collect()
}

/// Room where its trees and snapshots lie. A disk behind an address is not seen from here, and that is said.
fn space(engine: &Engine, repo: &Repo, roots: &[Root<'_>], os: &str) -> Vec<SpaceDoc> {
    let own = roots.iter().filter(|r| r.promoted.is_some_and(|(o, _)| o == os));
    let mut out: Vec<SpaceDoc> = Vec::new();
    if !repo.tree.is_empty() {
        out.push(room(engine, "tree", &repo.tree, &repo.tree));
    }
    out.extend(own.map(|r| (r, r.path.display().to_string())).map(|(r, path)| room(engine, &r.place, &path, &path)));
    for r in &repo.replicas {
        match r.at.strip_prefix("file://") {
            Some(path) => out.push(room(engine, &r.dc, &r.at, path)),
            // Its trees lie beside the root that was asked.
            None if out.iter().any(|s| s.place == r.dc) => {}
            None => out.push(SpaceDoc {
                place: r.dc.clone(),
                path: address::shown_text(&r.at),
                why: "it is an address: its disk is not seen from here".into(),
                ..SpaceDoc::default()
            }),
        }
    }
    out
}

/// Room on the file system of a directory. `at`: as the site file has it, by which it is known to hang.
fn room(engine: &Engine, place: &str, at: &str, path: &str) -> SpaceDoc {
    let (by, dir) = (Asking::default(), path.to_owned());
    let look = move || Tree::open_to_read(Path::new(&dir)).and_then(|t| Ok((t.space()?.bytes, t.capacity()?)));
    let asked = match engine.freshness.hangs(at) {
        Some(since_us) => Err(format!("its file system hangs since {}", time(since_us))),
        None => match disk::waited(PATIENCE, path, &by, look) {
            Ok(found) => found.map_err(|e| e.to_string()),
            Err(e) => {
                engine.freshness.mark_hanging(at, engine.now_us(), by.mark());
                Err(e.to_string())
            }
        },
    };
    let why = asked.as_ref().err().cloned().unwrap_or_default();
    let (free_bytes, total_bytes) = asked.ok().unzip();
    SpaceDoc { place: place.to_owned(), path: path.to_owned(), free_bytes, total_bytes, why }
}

/// What Cobblers of the site install from it. One that does not answer is unknown: that nobody uses it is said by an answer only.
fn installed_from(engine: &Engine, site: &Site, repo: &Repo, out: &mut Vec<UseDoc>, unknown: &mut Vec<String>) {
    if site.cobblers.is_empty() {
        unknown.push("installs: no source (add [cobbler.NAME])".into());
        return;
    }
    let (known, addresses) = (engine.promotions.uses.known(), cobbler_uses::addresses(repo));
    for (server, table) in &site.cobblers {
        let answer = known.get(server).cloned().unwrap_or_default();
        let Some(records) = answer.records else {
            let why = if answer.silent.is_empty() { "it has not answered yet".to_owned() } else { answer.silent };
            unknown.push(format!("cobbler {server}: who installs from it is unknown: {why}"));
            continue;
        };
        if !answer.silent.is_empty() {
            unknown.push(format!("cobbler {server}: what it said at {} is shown: {}", time(answer.at_us), answer.silent));
        }
        for u in cobbler_uses::used(&table.mirror, &records, &addresses) {
            let how = match u.kind {
                cobbler_uses::Kind::Distro => "its tree lies in it".to_owned(),
                cobbler_uses::Kind::Profile => {
                    let ks = if u.kickstart.is_empty() { String::new() } else { format!(", kickstart {}", u.kickstart) };
                    format!("by {}{ks}; {}", u.by, systems(answer.systems.get(&u.name)))
                }
            };
            out.push(UseDoc { kind: u.kind.as_str().into(), name: format!("{server}/{}", u.name), how });
        }
    }
}

/// Systems that a line names.
const NAMED: usize = 5;

fn systems(names: Option<&Vec<String>>) -> String {
    match names {
        None => "its systems are unknown".to_owned(),
        Some(names) if names.is_empty() => "no system".to_owned(),
        Some(names) => {
            let more = names.len().saturating_sub(NAMED);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            let what = if names.len() == 1 { "system" } else { "systems" };
            format!("{} {what}: {}{rest}", names.len(), names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(" "))
        }
    }
}

fn used_by(site: &Site, name: &str, repo: &Repo, os: &str, pipelines: Vec<UseDoc>) -> Vec<UseDoc> {
    let one = |kind: &str, name: &str, how: String| UseDoc { kind: kind.into(), name: name.into(), how };
    let mut out = Vec::new();
    for (set, content) in site.content.iter().filter(|(_, c)| c.repos.iter().any(|r| r == name)) {
        out.push(one("set", set, format!("with {}", content.repos.iter().filter(|r| *r != name).cloned().collect::<Vec<_>>().join(" "))));
    }
    for (major, table) in site.promotion.iter().filter(|(major, _)| *major == os) {
        let Some(alias) = promoted_as(site, name, repo, table) else { continue };
        let dcs: Vec<&str> = table.dcs.iter().map(|d| d.name.as_str()).collect();
        let called = if alias == name { String::new() } else { format!(", called {alias} there") };
        out.push(one("promotion", major, format!("is served as {} in {}{called}", table.pointer, dcs.join(" "))));
    }
    out.extend(pipelines);
    out.extend(repo.replicas.iter().map(|r| one("replica", &r.dc, format!("its hosts read {}", address::shown_text(&r.at)))));
    let trees: Vec<&str> = std::iter::once(repo.tree.as_str()).chain(repo.replicas.iter().map(|r| r.at.as_str())).collect();
    for (server, table) in &site.cobblers {
        if let Some(found) = trees.iter().find_map(|t| table.repo_at(t)) {
            out.push(one("cobbler", server, format!("its repository {found} is this tree")));
        }
    }
    out
}
