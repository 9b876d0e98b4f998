//! Cobblers of the site, as the engine asks them: without a password, for what anybody may read.

use std::time::Duration;

use crate::config::Cobbler as Table;
use crate::domain::reason::Reason;
use crate::systems::cobbler::{Cobbler, CobblerError, Server, read_log};
use crate::wire::HttpError;
use crate::wire::http::Trust;

/// For one question; a server that is slower holds nobody up.
const BUDGET: Duration = Duration::from_secs(5);

/// The server of a table. No password: the engine starts nothing there, steps do.
pub fn server(name: &str, table: &Table) -> Result<Cobbler, CobblerError> {
    let ca = match &table.ca {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|e| {
            CobblerError::Http(HttpError::Other {
                url: table.url.to_string(),
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

/// The reposync that is in flight there, as the reason why others wait.
pub async fn in_flight(name: &str, table: &Table) -> Result<Option<Reason>, CobblerError> {
    let cobbler = server(name, table)?;
    let Some(first) = cobbler.events().await?.into_iter().find(|e| e.is_reposync() && e.is_running()) else { return Ok(None) };
    // Where it is now is told for people; that it runs is enough.
    let log = cobbler.task_log(&first.id).await.ok().flatten().map(|t| read_log(&first.id, &t)).unwrap_or_default();
    Ok(Some(Reason::FarEnd {
        system: "cobbler".into(),
        name: name.to_owned(),
        what: "a reposync".into(),
        at: log.repos.last().cloned().unwrap_or_default(),
        since_us: first.started_us,
        id: crate::base::sanitise::cell(&first.id),
    }))
}
