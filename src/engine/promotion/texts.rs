//! The pipelines of a promotion, written for its plan and frozen like any file: soak, switches, way back. Pure but for the freezing.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::closed;
use super::roots::{Dc, place, trees};
use crate::api::ApiError;
use crate::config::{self, Site};
use crate::domain::promotion::plan::{Line, Move};
use crate::domain::promotion::pointer::Led;
use crate::domain::promotion::{ENGINE, Lane, Promotion, RUNS, Work};
use crate::domain::rows::StageRow;
use crate::domain::run::StepState;
use crate::engine::state::Engine;
use crate::engine::{catalog, plan};
use crate::pipeline::freeze::FreezeCtx;
use crate::pipeline::plan::Plan;
use crate::pipeline::{freeze, load};

pub const SOAK: &str = RUNS[0];
pub const SWITCH: &str = RUNS[1];
pub const UNDO: &str = RUNS[2];
/// The switch of the security lane.
pub const OOB: &str = RUNS[3];
/// Stages that the engine decides begin so; the datacentre follows.
pub const CHECK: &str = "Check ";
pub const SWITCHING: &str = "Switch ";
pub const BACK: &str = "Back ";
pub const SNAPSHOT: &str = "Snapshot ";
/// What people say in place of images, ISO and waves.
pub const IMAGES: &str = "Images";
pub const ISO: &str = "ISO and bundles";
pub const WAVES: &str = "Waves";

/// What people do where the run of a promotion asks for them.
pub fn by_hand(stage: &str) -> Option<&'static str> {
    match stage {
        IMAGES => Some("build the images of what is served now, and try them"),
        ISO => Some("make ISO and bundles of it"),
        WAVES => Some("take it to the hosts, wave by wave"),
        _ => None,
    }
}

/// The check that waits for the engine's word, and the datacentre that it is about.
pub fn at_check(stages: &[StageRow]) -> Option<(String, String)> {
    let open = stages.iter().find(|s| s.state != StepState::Done && s.started_us.is_some() && s.name.starts_with(CHECK))?;
    Some((open.name.clone(), open.name.trim_start_matches(CHECK).to_owned()))
}

/// The datacentre whose served pointer a stage moves.
pub fn moves(stage: &str) -> Option<&str> {
    [SWITCHING, BACK].into_iter().find_map(|word| stage.strip_prefix(word))
}

/// A text as YAML takes it: JSON's form is YAML's too.
fn q(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn head(name: &str, what: &str, p: &Promotion, timeout: &str) -> String {
    format!(
        "format: 1\nname: {name}\ndescription: {}\nviews: [promotion]\nrun_name: {}\noptions:\n  concurrency: {{group: {}, limit: 1, on_conflict: queue}}\n  \
         timeout: {timeout}\n  keep: {{runs: 1000, days: 3650}}\nstages:\n",
        q(&format!("{what} of {}", p.id)),
        q(&format!("{} {what}", p.id)),
        q(&format!("promotion-{}", p.os)),
    )
}

fn stage(out: &mut String, name: &str, needs: Option<&str>, uses: &str, timeout: &str, alone: bool, with: &[(&str, String)]) {
    let _ = writeln!(out, "  - name: {}\n    idempotent: true\n    timeout: {timeout}", q(name));
    if let Some(needs) = needs {
        let _ = writeln!(out, "    needs: [{}]", q(needs));
    }
    if alone {
        out.push_str("    uninterruptible: true\n");
    }
    let _ = writeln!(out, "    uses: {uses}\n    with:");
    for (key, value) in with {
        let _ = writeln!(out, "      {key}: {value}");
    }
}

fn ask(out: &mut String, name: &str, roles: &[&str], expires: &str) {
    let _ = writeln!(out, "  - name: {}\n    approve: {{roles: [{}], expires: {expires}}}", q(name), roles.join(", "));
}

/// A snapshot of every datacentre (or that which is there, where `keep` says so), what is held laid over it, and the candidate pointer onto
/// that. What is laid over is judged before anybody reads it.
pub fn soak(site: &Site, table: &config::Promotion, p: &Promotion, roots: &[Dc], held: &[String], keep: bool) -> Result<String, ApiError> {
    let mut out = head(SOAK, "soak", p, "48h");
    for dc in &table.dcs {
        let trees = trees(site, table, dc);
        if trees.is_empty() || trees.iter().any(|t| t.ends_with('=')) {
            let message = format!("nobody knows the trees of {} in {}", table.set, dc.name);
            return Err(ApiError::bad(
                message,
                format!("add trees = [\"REPO=/path\"] to [promotion.{}.dc.{}], or tree to each repository", p.os, dc.name),
            ));
        }
        let root = dc.root.display().to_string();
        let list = trees.iter().map(|t| q(t)).collect::<Vec<_>>().join(", ");
        let name = format!("{SNAPSHOT}{}", dc.name);
        let kept = p.taken_of(&dc.name).filter(|_| keep).map(|t| t.base.clone());
        if kept.is_none() {
            stage(
                &mut out,
                &name,
                None,
                "mirror/snapshot",
                "12h",
                false,
                &[("tree", format!("[{list}]")), ("root", q(&root)), ("set", q(&table.set))],
            );
        }
        let mut id = kept.unwrap_or_else(|| format!("${{stages.\"{name}\".outputs.id}}"));
        if !held.is_empty() {
            let served = roots.iter().find(|d| d.name == dc.name).and_then(|d| d.led.snapshot());
            let Some(served) = served else {
                let message = format!("{} serves no snapshot, so nothing of it can be held", dc.name);
                return Err(ApiError::bad(message, "drop the holds, or promote once without them"));
            };
            let laid = format!("Overlay {}", dc.name);
            let names = held.iter().map(|h| q(h)).collect::<Vec<_>>().join(", ");
            let with = [("root", q(&root)), ("base", q(&id)), ("from", q(served)), ("hold", format!("[{names}]")), ("set", q(&table.set))];
            stage(&mut out, &laid, None, "mirror/overlay", "12h", false, &with);
            id = format!("${{stages.\"{laid}\".outputs.id}}");
            let trees: Vec<String> = trees
                .iter()
                .filter_map(|t| t.split_once('=').map(|(repo, _)| q(&format!("{repo}={root}/snapshots/{id}/{repo}"))))
                .collect();
            let with = [("tree", format!("[{}]", trees.join(", ")))];
            stage(&mut out, &format!("Closure {}", dc.name), None, "content/closure", "6h", false, &with);
        }
        let names: Vec<&str> = trees.iter().filter_map(|t| t.split_once('=')).map(|(repo, _)| repo).collect();
        if table.dcs.first().is_some_and(|first| first.name == dc.name) {
            signatures(&mut out, table, &root, &id, &names);
        }
        let with = [("root", q(&root)), ("name", q(&table.candidate)), ("to", q(&id))];
        stage(&mut out, &format!("Candidate {}", dc.name), None, "mirror/switch", "1h", true, &with);
    }
    Ok(out)
}

/// What G7 rests on, where the site names keys: of one datacentre, since the content is the same in all and every byte of it is verified.
fn signatures(out: &mut String, table: &config::Promotion, root: &str, id: &str, repos: &[&str]) {
    if table.keys.is_empty() {
        return;
    }
    let trees: Vec<String> = repos.iter().map(|r| q(&format!("{r}={root}/snapshots/{id}/{r}"))).collect();
    let keys: Vec<String> = table.keys.iter().map(|k| q(&k.display().to_string())).collect();
    let with = [
        ("tree", format!("[{}]", trees.join(", "))),
        ("key", format!("[{}]", keys.join(", "))),
        ("report-only", "true".to_owned()),
        ("set", q(&table.set)),
    ];
    stage(out, "Signatures", None, "content/signatures", "12h", false, &with);
}

/// What is served in every datacentre, and what is added laid over it. The candidate pointer is not touched: another promotion may soak there.
pub fn added(site: &Site, table: &config::Promotion, p: &Promotion, roots: &[Dc], lines: &[Line]) -> Result<String, ApiError> {
    let mut out = head(SOAK, "addition", p, "48h");
    for (dc, at) in table.dcs.iter().zip(roots) {
        let (base, repos) = closed::served(&p.os, std::slice::from_ref(at))?;
        let mut sources: BTreeMap<String, String> = BTreeMap::new();
        for line in lines {
            let Some((repo, path)) = place(site, table, dc, &line.source) else {
                return Err(ApiError::bad(
                    format!("nobody knows the tree of {} in {}", line.source, dc.name),
                    "add it to trees, or tree to the repository",
                ));
            };
            if sources.insert(repo.clone(), path.clone()).is_some_and(|other| other != path) {
                return Err(ApiError::bad(format!("two trees are named for what comes into {repo}"), "add them one after the other"));
            }
        }
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let laid = format!("Overlay {}", dc.name);
        let with = [
            ("root", q(&at.root)),
            ("base", q(&base)),
            ("add", list(lines.iter().map(|l| q(&l.nevra)).collect())),
            ("source", list(sources.iter().map(|(repo, path)| q(&format!("{repo}={path}"))).collect())),
            ("set", q(&table.set)),
        ];
        stage(&mut out, &laid, None, "mirror/overlay", "12h", false, &with);
        let id = format!("${{stages.\"{laid}\".outputs.id}}");
        let trees = repos.iter().map(|r| q(&format!("{0}={1}/snapshots/{id}/{0}", r.name, at.root))).collect();
        stage(&mut out, &format!("Closure {}", dc.name), None, "content/closure", "6h", false, &[("tree", list(trees))]);
        if table.dcs.first().is_some_and(|first| first.name == dc.name) {
            let names: Vec<&str> = repos.iter().map(|r| r.name.as_str()).collect();
            signatures(&mut out, table, &at.root, &id, &names);
        }
    }
    Ok(out)
}

/// How a switch names what it must find.
fn expected(led: &Led) -> String {
    match led {
        Led::Snapshot(id) => id.clone(),
        Led::Directory => "directory".into(),
        Led::Nothing => "nothing".into(),
        Led::Other(_) | Led::Unknown => "nobody knows".into(),
    }
}

/// Verify, then each datacentre after a check of its own, then what people do.
pub fn switches(p: &Promotion, moves: &[Move], roots: &[Dc]) -> String {
    let mut out = match p.lane {
        Lane::Quarter => head(SWITCH, "switch", p, "90d"),
        Lane::Oob => head(OOB, "switch", p, "90d"),
    };
    for (m, dc) in moves.iter().zip(roots) {
        let Some(to) = &m.to else { continue };
        let repos: Vec<&str> = dc.snapshots.get(to).map(|s| s.repos.iter().map(|r| r.name.as_str()).collect()).unwrap_or_default();
        let trees: Vec<String> = repos.iter().map(|r| q(&format!("{r}={}/snapshots/{to}/{r}", m.root))).collect();
        let list = format!("[{}]", trees.join(", "));
        stage(
            &mut out,
            &format!("Verify {}", m.dc),
            None,
            "mirror/verify",
            "6h",
            false,
            &[("tree", list.clone()), ("expect", "[pinned]".into())],
        );
        // The same content everywhere, so it is closed everywhere.
        if m.dc == moves.first().map_or("", |f| f.dc.as_str()) {
            stage(&mut out, "Closure", None, "content/closure", "6h", false, &[("tree", list)]);
        }
    }
    for m in moves {
        let Some(to) = &m.to else { continue };
        ask(&mut out, &format!("{CHECK}{}", m.dc), &[ENGINE], "30d");
        let with = [("root", q(&m.root)), ("name", q(&m.pointer)), ("to", q(to)), ("from", q(&expected(&m.from)))];
        stage(&mut out, &format!("{SWITCHING}{}", m.dc), None, "mirror/switch", "1h", true, &with);
    }
    // An addition goes to hosts; images and ISO come with the next promotion.
    let people: &[&str] = if p.lane == Lane::Oob { &[WAVES] } else { &[IMAGES, ISO, WAVES] };
    for name in people {
        ask(&mut out, name, &["release-manager", "operator"], "60d");
    }
    out
}

/// Every pointer that was moved, the last one first.
pub fn undo(p: &Promotion, table: &config::Promotion, roots: &[Dc]) -> Option<String> {
    let mut out = head(UNDO, "rollback", p, "90d");
    let mut any = false;
    for dc in roots.iter().rev() {
        let (Some(before), Some(taken)) = (p.before.iter().find(|b| b.dc == dc.name), p.taken_of(&dc.name)) else { continue };
        if dc.led.snapshot() != Some(taken.id.as_str()) || before.from.snapshot() == Some(taken.id.as_str()) {
            continue;
        }
        let (root, name, now) = (q(&dc.root), q(&table.pointer), q(&taken.id));
        let (kind, with) = match &before.from {
            Led::Snapshot(id) => ("mirror/switch", vec![("root", root), ("name", name), ("to", q(id)), ("from", now)]),
            Led::Directory => ("mirror/rollback", vec![("root", root), ("name", name), ("from", now)]),
            Led::Nothing | Led::Other(_) | Led::Unknown => continue,
        };
        any = true;
        ask(&mut out, &format!("{CHECK}{}", dc.name), &[ENGINE], "30d");
        stage(&mut out, &format!("{BACK}{}", dc.name), None, kind, "1h", true, &with);
    }
    any.then_some(out)
}

/// The frozen plan of such a text, held against the site like one of a file.
pub fn frozen(engine: &Engine, site: &Site, lane: Lane, what: Work, text: &str) -> Result<Plan, ApiError> {
    let name = match what {
        Work::Soak => SOAK,
        Work::Switch if lane == Lane::Oob => OOB,
        Work::Switch => SWITCH,
        Work::Undo => UNDO,
    };
    let mut catalog = catalog::of_site(engine.watch.dirs(), site, engine.watch.uid())?;
    catalog.roles.push(ENGINE.to_owned());
    let (file, found) = load(text, name, &catalog);
    let bad = |texts: Vec<String>| {
        ApiError::bad(format!("the steps of this promotion cannot be planned: {}", texts.join("; ")), "look at [promotion] in site.toml")
    };
    let Some(file) = file else {
        return Err(bad(found.iter().filter(|d| d.is_error()).map(|d| format!("{}:{}: {}", d.line, d.column, d.message)).collect()));
    };
    let frozen = freeze(&file, &catalog, &Default::default(), &FreezeCtx::NOTHING)
        .map_err(|found| bad(found.into_iter().map(|d| d.message).collect()))?;
    plan::confined(&frozen, site)?;
    Ok(frozen)
}
