//! Cobblers of the site, as the engine asks them: without a password, for what anybody may read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::config::Cobbler as Table;
use crate::domain::reason::Reason;
use crate::systems::cobbler::{Cobbler, CobblerError, Server, read_log};
use crate::wire::HttpError;
use crate::wire::address::shown;
use crate::wire::http::Trust;

/// For one question; a server that is slower holds nobody up.
const BUDGET: Duration = Duration::from_secs(5);
/// An answer that something is in flight serves everybody for so long.
const FRESH_US: u64 = 4_000_000;
const LOG_US: u64 = 60_000_000;

/// The server of a table. No password: the engine starts nothing there, steps do.
pub async fn server(name: &str, table: &Table) -> Result<Cobbler, CobblerError> {
    let (name, table) = (name.to_owned(), table.clone());
    // All certificates of the machine are read for it: not on the thread that serves.
    let made = tokio::task::spawn_blocking(move || open(&name, &table)).await;
    made.unwrap_or_else(|e| Err(CobblerError::Http(HttpError::Other { url: "HTTP client".into(), cause: e.to_string() })))
}

fn open(name: &str, table: &Table) -> Result<Cobbler, CobblerError> {
    let ca = match &table.ca {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|e| {
            CobblerError::Http(HttpError::Other {
                url: shown(&table.url),
                cause: format!("its `ca` {} cannot be read: {e}", path.display()),
            })
        })?),
    };
    Cobbler::new(Server {
        name: name.to_owned(),
        url: table.url.clone(),
        user: table.user.clone(),
        password: None,
        timeout: table.timeout.min(BUDGET),
        trust: Trust { ca, anybody: table.insecure },
    })
}

/// What is in flight at the servers, asked once for everybody who waits for it.
#[derive(Default)]
pub struct Flights {
    last: Mutex<BTreeMap<String, Flight>>,
    /// Servers at which something of ours has ended since.
    over: std::sync::Mutex<BTreeSet<String>>,
}

struct Flight {
    id: String,
    /// Microseconds since boot: of the last answer, and of the last look into the log.
    asked_us: u64,
    log_us: u64,
    reason: Reason,
}

impl Flights {
    /// Something of ours has ended there: the next question goes to the server.
    pub fn over(&self, name: &str) {
        if let Ok(mut over) = self.over.lock() {
            over.insert(name.to_owned());
        }
    }

    /// The reposync that is in flight there, as the reason why others wait. That nothing is in flight is asked anew each time.
    pub async fn now(&self, name: &str, table: &Table, now_us: u64) -> Result<Option<Reason>, CobblerError> {
        let mut last = self.last.lock().await;
        if self.over.lock().is_ok_and(|mut o| o.remove(name)) {
            last.remove(name);
        }
        if let Some(f) = last.get(name).filter(|f| now_us.saturating_sub(f.asked_us) < FRESH_US) {
            return Ok(Some(f.reason.clone()));
        }
        let cobbler = server(name, table).await?;
        let Some(first) = cobbler.events().await?.into_iter().find(|e| e.is_reposync() && e.is_running()) else {
            last.remove(name);
            return Ok(None);
        };
        if let Some(f) = last.get_mut(name).filter(|f| f.id == first.id && now_us.saturating_sub(f.log_us) < LOG_US) {
            f.asked_us = now_us;
            return Ok(Some(f.reason.clone()));
        }
        // Where it is now is told for people; that it runs is enough. The whole log comes each time, so it is asked for rarely.
        let log = cobbler.task_log(&first.id).await.ok().flatten().map(|t| read_log(&first.id, &t)).unwrap_or_default();
        let reason = Reason::FarEnd {
            system: "cobbler".into(),
            name: name.to_owned(),
            what: "a reposync".into(),
            at: log.repos.last().cloned().unwrap_or_default(),
            since_us: first.started_us,
            id: crate::base::sanitise::cell(&first.id),
        };
        last.insert(name.to_owned(), Flight { id: first.id, asked_us: now_us, log_us: now_us, reason: reason.clone() });
        Ok(Some(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Site;

    #[tokio::test]
    async fn what_was_in_flight_is_no_answer_once_something_of_ours_has_ended_there() {
        // Nobody answers at this address: whoever asks has an error.
        let site = Site::parse(
            "[secrets]\nc = \"env:C\"\n[cobbler.alder]\nurl = \"http://127.0.0.1:1/cobbler_api\"\nuser = \"qd\"\nsecret = \"c\"\n",
        )
        .unwrap();
        let table = &site.cobblers["alder"];
        let flights = Flights::default();
        let (name, what) = ("alder".to_owned(), "a reposync".to_owned());
        let reason = Reason::FarEnd { system: "cobbler".into(), name: name.clone(), what, id: "1".into(), since_us: 0, at: String::new() };
        flights.last.lock().await.insert(name, Flight { id: "1".into(), asked_us: 0, log_us: 0, reason: reason.clone() });
        assert_eq!(flights.now("alder", table, 1).await.unwrap(), Some(reason));
        flights.over("birch");
        assert!(flights.now("alder", table, 1).await.is_ok());
        flights.over("alder");
        assert!(flights.now("alder", table, 1).await.is_err());
    }
}
