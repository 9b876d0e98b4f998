//! Probes of the Cobblers that the site file names, all at the same time: what anybody may read, and, asked for apart, a login and no more.

use std::collections::BTreeMap;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::{Cobbler as Table, Site};
use crate::domain::doctor::{CobblerFacts, Login};
use crate::engine::cobbler::{server, with_password};
use crate::systems::cobbler::CobblerError;
use crate::wire::address::shown;

/// For a login, with everything.
const LOGIN: Duration = Duration::from_secs(10);

/// What each said, in order of name, without a login.
pub async fn ask(site: &Site) -> Vec<CobblerFacts> {
    futures_util::future::join_all(site.cobblers.iter().map(|(name, table)| one(name, table))).await
}

/// The same with what became of logins, where those were tried.
pub fn with_logins(facts: Vec<CobblerFacts>, mut logins: BTreeMap<String, Login>) -> Vec<CobblerFacts> {
    let put = |f: CobblerFacts| CobblerFacts { login: logins.remove(&f.name).unwrap_or_default(), ..f };
    facts.into_iter().map(put).collect()
}

/// Logs in and out again: it changes nothing there. `password`: or why there is none.
pub async fn login(name: &str, table: &Table, password: Result<Zeroizing<Vec<u8>>, String>) -> Login {
    let password = match password {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            // As steps read it.
            Ok(text) => Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(_) => return Login::NoSecret { why: format!("secret `{}` is no text", table.secret) },
        },
        Err(why) => return Login::NoSecret { why },
    };
    let asked = async {
        let cobbler = with_password(name, table, Some(password)).await?;
        cobbler.login().await?;
        cobbler.logout().await;
        Ok::<(), CobblerError>(())
    };
    match tokio::time::timeout(LOGIN, asked).await {
        Ok(Ok(())) => Login::Good,
        Ok(Err(e)) => Login::Failed { why: e.to_string(), next: e.next().to_owned() },
        Err(_) => {
            let why = format!("no answer to a login within {} s", LOGIN.as_secs());
            Login::Failed {
                why,
                next: "what it asks for passwords (a directory service, PAM) may be silent: see cobbler.log on that host".into(),
            }
        }
    }
}

async fn one(name: &str, table: &Table) -> CobblerFacts {
    let local = match table.url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(d)) => d == "localhost",
        None => false,
    };
    let protected = local || (table.url.scheme() == "https" && !table.insecure);
    let (user, secret) = (table.user.clone(), table.secret.clone());
    let facts = CobblerFacts { name: name.to_owned(), url: shown(&table.url), user, secret, protected, ..CobblerFacts::default() };
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
