//! The probe of the site's engine, where one runs.

use crate::api::client::{ANSWER, Client, NoConnection, Trouble};
use crate::api::types::{Machine, Rows, Status};
use crate::cli::Ctx;
use crate::cli::connect::{block_on, membership};
use crate::config::Site;
use crate::domain::doctor::{self, EngineFacts, Row, SocketFacts, SocketState};
use crate::domain::filter::cell;
use crate::domain::freshness::Light;

/// Rows of the site's engine, and what it says of its machine; none where nobody answers. Exactly the one socket of the site is tried, and
/// nothing is started.
pub fn engine(ctx: &Ctx, site: &Site) -> (Vec<Row>, Option<Vec<Row>>) {
    let (path, shared) = ctx.dirs.socket(site);
    let asked = block_on(async {
        Ok(match Client::connect(&path, ctx.uid, shared).await {
            Err(NoConnection::Absent) => (SocketState::Absent, None, None),
            Err(NoConnection::Refused(why)) => (SocketState::Refused(why), None, None),
            Err(NoConnection::Closed(why)) => (SocketState::Closed { why, help: membership(site) }, None, None),
            Err(NoConnection::Silent(why)) => (SocketState::Silent(why), None, None),
            Ok(mut client) => match client.get::<Status>("/v1/status", ANSWER).await {
                Ok(status) => {
                    // An engine of another version may not know the question.
                    let machine = client.get::<Machine>("/v1/machine", ANSWER).await.ok().map(|m| m.rows);
                    (SocketState::Answers, Some(status), machine)
                }
                Err(Trouble::Answer(e)) => (SocketState::Denied(e.message), None, None),
                Err(Trouble::Lost(why) | Trouble::Silent(why)) => (SocketState::Silent(why), None, None),
            },
        })
    });
    let (state, status, machine) = asked.unwrap_or_else(|e| (SocketState::Silent(e.error.message), None, None));
    let answers = matches!(state, SocketState::Answers | SocketState::Absent);
    let mut rows = vec![doctor::socket(&SocketFacts { path: path.display().to_string(), shared, state })];
    let facts = status.map(|s| EngineFacts { version: s.version, pid: s.pid, site_error: s.site_error, draining: s.draining });
    if answers {
        rows.push(doctor::engine(facts.as_ref(), env!("CARGO_PKG_VERSION")));
    }
    (rows, machine)
}

/// What a running engine says of the replicas that it looks at. Without one nobody does, and no row says so: the engine has its own.
pub fn mirrors(ctx: &Ctx, site: &Site) -> Vec<Row> {
    if site.repos.values().all(|r| r.replicas.is_empty()) {
        return Vec::new();
    }
    let (path, shared) = ctx.dirs.socket(site);
    let asked = block_on(async {
        let Ok(mut client) = Client::connect(&path, ctx.uid, shared).await else { return Ok(None) };
        Ok(client.get::<Rows>("/v1/get/repos", ANSWER).await.ok())
    });
    let Ok(Some(rows)) = asked else { return Vec::new() };
    let text = |row: &serde_json::Map<String, serde_json::Value>, key: &str| row.get(key).map(cell).unwrap_or_default();
    let looked = rows.rows.iter().filter(|r| site.repos.get(&text(r, "repo")).is_some_and(|repo| !repo.replicas.is_empty()));
    let all: Vec<_> = looked
        .map(|r| (text(r, "repo"), Light::named(&text(r, "light")), format!("{}: {}", text(r, "freshness"), text(r, "detail"))))
        .collect();
    doctor::mirrors(&all)
}
