//! Who installs from content, as the Cobblers of the site say it: their repositories, distros and profiles, and the names of the systems of a
//! profile. A server that is silent says nothing: what it said last stands, and whoever shows it says so. Never asks for the records of systems.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::cobbler;
use crate::base::clock::Clock;
use crate::config::{self, Site};
use crate::systems::cobbler::{CobblerError, Distro, Profile, Repo};

/// Cobblers are asked again after this, whether they answered or not: microseconds.
const AGAIN_US: u64 = 60_000_000;
/// Lines of one server.
const MOST: usize = 1_000;
/// Profiles above a profile.
const DEEP: usize = 32;
/// Profiles whose systems one page asks for.
const PROFILES: usize = 50;

/// What a Cobbler has that may use content.
#[derive(Debug, Clone, Default)]
pub struct Records {
    pub repos: Vec<Repo>,
    pub distros: Vec<Distro>,
    pub profiles: Vec<Profile>,
}

/// One server, as it answered last.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub records: Option<Arc<Records>>,
    /// Wall clock of that.
    pub at_us: i64,
    /// Why the last asking brought nothing; empty = it did, or none has ended yet.
    pub silent: String,
    /// Profile to the names of its systems.
    pub systems: BTreeMap<String, Vec<String>>,
}

/// The last answers, by server.
#[derive(Default)]
pub struct Uses {
    state: Mutex<State>,
    /// One asking at a time: who comes second finds the answer of the first.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<String, Answer>,
    asked_us: BTreeMap<String, u64>,
}

impl Uses {
    /// Every server that was asked.
    pub fn known(&self) -> BTreeMap<String, Answer> {
        self.state().known.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is to be asked now; if so, it counts as asked.
    fn due(&self, key: String, now_us: u64) -> bool {
        let mut state = self.state();
        let due = state.asked_us.get(&key).is_none_or(|l| now_us.saturating_sub(*l) >= AGAIN_US);
        if due {
            state.asked_us.insert(key, now_us);
        }
        due
    }

    /// Asks those whose last asking is old, all at once; each has its own short limit.
    pub async fn refresh(&self, clock: &dyn Clock, site: &Site) {
        let _turn = self.turn.lock().await;
        let boot_us = clock.boot_us();
        let asked = site.cobblers.iter().filter(|(name, _)| self.due((*name).clone(), boot_us)).map(|(name, table)| async move {
            let answer = ask(name, table).await;
            let mut state = self.state();
            let known = state.known.entry(name.clone()).or_default();
            match answer {
                Ok(records) => {
                    (known.records, known.at_us, known.silent) = (Some(Arc::new(records)), clock.now().as_microsecond(), String::new())
                }
                Err(e) => {
                    tracing::warn!(cobbler = %name, error = %e, "what uses its repositories cannot be looked at; what it said last stands");
                    known.silent = e.to_string();
                }
            }
        });
        futures_util::future::join_all(asked).await;
    }

    /// The names of the systems of these profiles of one server.
    pub async fn systems(&self, clock: &dyn Clock, name: &str, table: &config::Cobbler, profiles: Vec<String>) {
        let _turn = self.turn.lock().await;
        let boot_us = clock.boot_us();
        for profile in profiles.into_iter().take(PROFILES) {
            // No name of a server has a line end.
            if !self.due(format!("{name}\n{profile}"), boot_us) {
                continue;
            }
            let asked = async { cobbler::server(name, table).await?.systems_of(&profile).await };
            match asked.await {
                Ok(systems) => drop(self.state().known.entry(name.to_owned()).or_default().systems.insert(profile, systems)),
                Err(e) => {
                    tracing::warn!(cobbler = %name, profile, error = %e, "its systems cannot be looked at");
                    self.state().known.entry(name.to_owned()).or_default().systems.remove(&profile);
                    return;
                }
            }
        }
    }
}

async fn ask(name: &str, table: &config::Cobbler) -> Result<Records, CobblerError> {
    let server = cobbler::server(name, table).await?;
    Ok(Records { repos: server.repos().await?, distros: server.distros().await?, profiles: server.profiles().await? })
}

/// Where a repository lies and is served, as a Cobbler may name it.
pub fn addresses(repo: &config::site::Repo) -> BTreeSet<String> {
    let all = [&repo.tree, &repo.stable].into_iter().chain(repo.replicas.iter().map(|r| &r.at));
    all.map(|at| bare(at).to_owned()).filter(|at| !at.is_empty()).collect()
}

pub fn bare(address: &str) -> &str {
    address.strip_prefix("file://").unwrap_or(address).trim_end_matches('/')
}

/// What of a Cobbler uses an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Distro,
    Profile,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Distro => "distro",
            Self::Profile => "profile",
        }
    }
}

/// One record of a Cobbler that uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub kind: Kind,
    pub name: String,
    /// Of a profile: by which repositories or which distro.
    pub by: String,
    /// Its kickstart; empty where it has none of its own.
    pub kickstart: String,
}

/// Distros and profiles of one server that use one of the addresses: those of its own tree, and profiles by their parents too.
pub fn used(mirrors: &[String], records: &Records, addresses: &BTreeSet<String>) -> Vec<Use> {
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
    let one = |d: &&str| Use { kind: Kind::Distro, name: (*d).to_owned(), by: String::new(), kickstart: String::new() };
    let mut out: Vec<Use> = distros.iter().map(one).collect();
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
        let by = if by.is_empty() { format!("distro {distro}") } else { format!("repos {}", by.join(" ")) };
        out.push(Use { kind: Kind::Profile, name: profile.name.clone(), by, kickstart: profile.autoinstall.clone() });
    }
    out
}

/// The same, a line each.
pub fn kickstarts(server: &str, mirrors: &[String], records: &Records, addresses: &BTreeSet<String>) -> Vec<String> {
    let line = |u: Use| match u.kind {
        Kind::Distro => format!("{server}: distro {}", u.name),
        Kind::Profile => {
            let ks = if u.kickstart.is_empty() { String::new() } else { format!(", kickstart {}", u.kickstart) };
            format!("{server}: profile {} by {}{ks}", u.name, u.by)
        }
    };
    let mut out: Vec<String> = used(mirrors, records, addresses).into_iter().map(line).collect();
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
        let used = used(&[mirror.display().to_string()], &records, &addresses);
        let shown: Vec<_> = used.iter().map(|u| format!("{} {}", u.kind.as_str(), u.name)).collect();
        assert_eq!(shown, ["distro c9s", "profile vm", "profile vm-db", "profile phys"]);
    }
}
