//! Probes of the Cobblers that the site file names, all at the same time, without a login.

use crate::config::{Cobbler as Table, Site};
use crate::domain::doctor::CobblerFacts;
use crate::engine::cobbler::server;
use crate::systems::cobbler::CobblerError;
use crate::wire::address::shown;

/// What each said, in order of name.
pub async fn ask(site: &Site) -> Vec<CobblerFacts> {
    futures_util::future::join_all(site.cobblers.iter().map(|(name, table)| one(name, table))).await
}

async fn one(name: &str, table: &Table) -> CobblerFacts {
    let local = match table.url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(d)) => d == "localhost",
        None => false,
    };
    let protected = local || (table.url.scheme() == "https" && !table.insecure);
    let facts = CobblerFacts { name: name.to_owned(), url: shown(&table.url), protected, ..CobblerFacts::default() };
    match look(name, table).await {
        Ok((version, lossy, in_flight)) => CobblerFacts { answer: Some(version), lossy, in_flight, ..facts },
        Err(e) => CobblerFacts { error: Some((e.to_string(), e.next().to_owned())), ..facts },
    }
}

async fn look(name: &str, table: &Table) -> Result<(String, Vec<String>, Option<String>), CobblerError> {
    let cobbler = server(name, table).await?;
    let version = cobbler.version().await?;
    let settings = cobbler.settings().await?;
    let repos = cobbler.repos().await?;
    let lossy = repos.into_iter().filter(|r| r.mirrored && r.breed == "yum" && settings.loses_noarch(&r.arch)).map(|r| r.name).collect();
    let running = cobbler.events().await?.into_iter().find(|e| e.is_reposync() && e.is_running());
    Ok((version, lossy, running.map(|e| crate::base::sanitise::cell(&e.id))))
}
