//! The blast radius of a promotion: what uses the content, as far as the site file, its pipelines and its Cobblers say it. Where a Cobbler is
//! silent, what it said last stands: an outage is no change of what uses the content.

use std::collections::BTreeSet;

use super::look::Known;
use super::roots::Dc;
use crate::config::{self, Site};
use crate::domain::promotion::Promotion;
use crate::domain::promotion::plan::{Blast, Plan};
use crate::engine::cobbler_uses::{bare, kickstarts};
use crate::engine::state::Engine;

/// Everything that uses it. `last`: the plan as it was computed last.
pub fn of(
    engine: &Engine,
    site: &Site,
    table: &config::Promotion,
    p: &Promotion,
    roots: &[Dc],
    pipelines: &[Known],
    last: Option<&Plan>,
) -> Blast {
    let repos = site.content.get(&table.set).map(|c| c.repos.clone()).unwrap_or_default();
    let mut trees: Vec<String> =
        roots.iter().flat_map(|dc| repos.iter().map(move |r| format!("{}/{}/{r}", dc.root, table.pointer))).collect();
    trees.sort();
    // Repositories of the site that are read through the pointer.
    let through = |tree: &str| roots.iter().any(|dc| tree.starts_with(&format!("{}/{}/", dc.root, table.pointer)));
    let mut users: Vec<String> =
        site.repos.iter().filter(|(_, r)| through(&r.tree) || through(&r.stable)).map(|(n, _)| n.clone()).collect();
    users.extend(repos.iter().cloned());
    users.sort();
    users.dedup();
    let mut out = Blast { repos: users, trees: trees.clone(), ..Blast::default() };
    let makes = |k: &Known, what: &str| -> Vec<String> {
        let label = format!("{what}:");
        k.labels.iter().filter_map(|l| l.strip_prefix(&label)).map(|name| format!("{name} (pipeline {})", k.name)).collect()
    };
    for k in pipelines.iter().filter(|k| k.works_on(&p.set)) {
        let (images, isos) = (makes(k, "image"), makes(k, "iso"));
        if images.is_empty() && isos.is_empty() {
            out.pipelines.push(k.name.clone());
        }
        out.images.extend(images);
        out.isos.extend(isos);
    }
    out.unknown.push("hosts: no source (add [salt])".into());
    for (what, label, none) in [("images", "image", out.images.is_empty()), ("ISO", "iso", out.isos.is_empty())] {
        if none {
            out.unknown.push(format!("{what}: no source (add a pipeline labelled `{label}: NAME` that reads {})", p.set));
        }
    }
    if site.cobblers.is_empty() {
        out.unknown.push("kickstarts: no source (add [cobbler])".into());
    }
    let mut addresses: BTreeSet<String> = trees.into_iter().collect();
    addresses.extend(repos.iter().filter_map(|r| site.repos.get(r)).map(|r| bare(&r.stable).to_owned()).filter(|s| !s.is_empty()));
    let known = engine.promotions.uses.known();
    for (name, server) in &site.cobblers {
        match known.get(name).and_then(|k| k.records.as_ref()) {
            Some(records) => out.kickstarts.extend(kickstarts(name, &server.mirror, records, &addresses)),
            None => {
                let own = format!("{name}: ");
                let before: Vec<String> = last.iter().flat_map(|l| &l.blast.kickstarts).filter(|k| k.starts_with(&own)).cloned().collect();
                let never = format!("kickstarts: cobbler {name} has not answered yet");
                if before.is_empty() && last.is_none_or(|l| l.blast.unknown.contains(&never)) {
                    out.unknown.push(never);
                }
                out.kickstarts.extend(before);
            }
        }
    }
    for list in [&mut out.pipelines, &mut out.images, &mut out.isos, &mut out.kickstarts] {
        list.sort();
        list.dedup();
    }
    out
}
