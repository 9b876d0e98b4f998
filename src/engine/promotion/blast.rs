//! The blast radius of a promotion: what uses the content, as far as the site file, its pipelines and its Cobblers say it. Where a Cobbler is
//! silent, what it said last stands: an outage is no change of what uses the content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::look::{Dc, Known};
use crate::config::{self, Site};
use crate::domain::promotion::Promotion;
use crate::domain::promotion::plan::{Blast, Plan};
use crate::engine::cobbler;
use crate::engine::state::Engine;
use crate::systems::cobbler::{CobblerError, Distro, Profile, Repo};

/// Cobblers are asked again after this, whether they answered or not: microseconds.
const AGAIN_US: u64 = 60_000_000;
/// Lines of one server.
const MOST: usize = 1_000;
/// Profiles above a profile.
const DEEP: usize = 32;

/// What a Cobbler has that may use content.
#[derive(Debug, Clone, Default)]
pub struct Records {
    pub repos: Vec<Repo>,
    pub distros: Vec<Distro>,
    pub profiles: Vec<Profile>,
}

/// The last answers, by server.
#[derive(Default)]
pub struct Uses {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<String, Arc<Records>>,
    asked_us: BTreeMap<String, u64>,
}

impl Uses {
    fn known(&self) -> BTreeMap<String, Arc<Records>> {
        self.state().known.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks those whose last asking is old, all at once; each has its own short limit.
    pub async fn refresh(&self, engine: &Engine, site: &Site) {
        let now_us = engine.clock.boot_us();
        let due = |name: &String| {
            let mut state = self.state();
            let due = state.asked_us.get(name).is_none_or(|l| now_us.saturating_sub(*l) >= AGAIN_US);
            if due {
                state.asked_us.insert(name.clone(), now_us);
            }
            due
        };
        let asked = site.cobblers.iter().filter(|(name, _)| due(name)).map(|(name, table)| async move {
            match ask(name, table).await {
                Ok(records) => drop(self.state().known.insert(name.clone(), Arc::new(records))),
                Err(e) => {
                    tracing::warn!(cobbler = %name, error = %e, "what uses its repositories cannot be looked at; what it said last stands")
                }
            }
        });
        futures_util::future::join_all(asked).await;
    }
}

async fn ask(name: &str, table: &config::Cobbler) -> Result<Records, CobblerError> {
    let server = cobbler::server(name, table)?;
    Ok(Records { repos: server.repos().await?, distros: server.distros().await?, profiles: server.profiles().await? })
}

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
    for k in pipelines.iter().filter(|k| k.sets.contains(&p.set)) {
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
        match known.get(name) {
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

fn bare(address: &str) -> &str {
    address.strip_prefix("file://").unwrap_or(address).trim_end_matches('/')
}

/// Profiles and distros of one server that use one of the addresses, a line each.
fn kickstarts(server: &str, mirrors: &[String], records: &Records, addresses: &BTreeSet<String>) -> Vec<String> {
    let real = |path: &str| std::fs::canonicalize(path).map_or_else(|_| path.to_owned(), |p| p.display().to_string());
    let reals: BTreeSet<String> = addresses.iter().filter(|a| a.starts_with('/')).map(|a| real(a)).collect();
    let same =
        |at: &str| addresses.contains(bare(at)) || (at.starts_with('/') && Path::new(at).exists() && reals.contains(&real(bare(at))));
    let within =
        |at: &str| same(at) || addresses.iter().any(|a| bare(at).strip_prefix(a.as_str()).is_some_and(|rest| rest.starts_with('/')));
    let repos: BTreeSet<&str> = records
        .repos
        .iter()
        .filter(|r| same(&r.mirror) || mirrors.iter().any(|m| same(&format!("{}/{}", m.trim_end_matches('/'), r.name))))
        .map(|r| r.name.as_str())
        .collect();
    let distros: BTreeSet<&str> = records.distros.iter().filter(|d| within(&d.tree)).map(|d| d.name.as_str()).collect();
    let mut out: Vec<String> = distros.iter().map(|d| format!("{server}: distro {d}")).collect();
    for profile in &records.profiles {
        let (mut at, mut named, mut distro) = (Some(profile), None, "");
        for _ in 0..DEEP {
            let Some(here) = at else { break };
            named = named.or(here.repos.as_ref());
            if distro.is_empty() {
                distro = &here.distro;
            }
            at = records.profiles.iter().find(|p| p.name == here.parent && !here.parent.is_empty());
        }
        let by: Vec<&str> = named.into_iter().flatten().map(String::as_str).filter(|r| repos.contains(r)).collect();
        if by.is_empty() && !distros.contains(distro) {
            continue;
        }
        let ks = if profile.autoinstall.is_empty() { String::new() } else { format!(", kickstart {}", profile.autoinstall) };
        let how = if by.is_empty() { format!("distro {distro}") } else { format!("repos {}", by.join(" ")) };
        out.push(format!("{server}: profile {} by {how}{ks}", profile.name));
    }
    if out.len() > MOST {
        let more = out.len() - MOST;
        out.truncate(MOST);
        out.push(format!("{server}: and {more} more"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_distros_that_name_a_repository_are_found_by_address_path_and_parent() {
        let dir = tempfile::tempdir().unwrap();
        let mirror = dir.path().join("repo_mirror");
        let stable = dir.path().join("root/stable/base");
        std::fs::create_dir_all(&stable).unwrap();
        std::fs::create_dir_all(&mirror).unwrap();
        std::os::unix::fs::symlink(&stable, mirror.join("base9")).unwrap();
        let repo = |name: &str, mirror: &str| Repo { name: name.into(), mirror: mirror.into(), ..Repo::default() };
        let profile = |name: &str, parent: &str, distro: &str, repos: Option<&[&str]>| Profile {
            name: name.into(),
            parent: parent.into(),
            distro: distro.into(),
            repos: repos.map(|r| r.iter().map(|r| (*r).to_owned()).collect()),
            autoinstall: format!("{name}.ks"),
            modified_us: 0,
        };
        let records = Records {
            repos: vec![
                repo("base9", "http://elsewhere/x"),
                repo("app9", "http://alder/el9/stable/app/"),
                repo("epel9", "http://up/epel9"),
            ],
            distros: vec![
                Distro { name: "c9s".into(), tree: "http://alder/el9/stable/app/os".into(), ..Distro::default() },
                Distro { name: "c8s".into(), tree: "http://alder/el8".into(), ..Distro::default() },
            ],
            profiles: vec![
                profile("vm", "", "c8s", Some(&["epel9", "base9"])),
                profile("vm-db", "vm", "", None),
                profile("vm-own", "vm", "", Some(&[])),
                profile("phys", "", "c9s", None),
                profile("old", "", "c8s", Some(&["epel9"])),
            ],
        };
        let addresses = BTreeSet::from([stable.display().to_string(), "http://alder/el9/stable/app".to_owned()]);
        let found = kickstarts("alder", &[mirror.display().to_string()], &records, &addresses);
        assert_eq!(
            found,
            [
                "alder: distro c9s",
                "alder: profile vm by repos base9, kickstart vm.ks",
                "alder: profile vm-db by repos base9, kickstart vm-db.ks",
                "alder: profile phys by distro c9s, kickstart phys.ks"
            ]
        );
        assert!(kickstarts("alder", &[], &records, &BTreeSet::new()).is_empty());
    }
}
