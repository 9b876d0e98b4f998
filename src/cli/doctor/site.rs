//! The probe of the site's engine, where one runs.

use crate::api::client::{ANSWER, Client, NoConnection, Trouble};
use crate::api::types::Status;
use crate::cli::Ctx;
use crate::cli::connect::block_on;
use crate::config::Site;
use crate::domain::doctor::{self, EngineFacts, Row, SocketFacts, SocketState};

/// Exactly the one socket of the site is tried, and nothing is started.
pub fn engine(ctx: &Ctx, site: &Site) -> Vec<Row> {
    let (path, shared) = ctx.dirs.socket(site);
    let asked = block_on(async {
        Ok(match Client::connect(&path, ctx.uid, shared).await {
            Err(NoConnection::Absent) => (SocketState::Absent, None),
            Err(NoConnection::Refused(why)) => (SocketState::Refused(why), None),
            Err(NoConnection::Silent(why)) => (SocketState::Silent(why), None),
            Ok(mut client) => match client.get::<Status>("/v1/status", ANSWER).await {
                Ok(status) => (SocketState::Answers, Some(status)),
                Err(Trouble::Answer(e)) => (SocketState::Denied(e.message), None),
                Err(Trouble::Lost(why)) => (SocketState::Silent(why), None),
            },
        })
    });
    let (state, status) = asked.unwrap_or_else(|e| (SocketState::Silent(e.error.message), None));
    let answers = matches!(state, SocketState::Answers | SocketState::Absent);
    let mut rows = vec![doctor::socket(&SocketFacts { path: path.display().to_string(), shared, state })];
    let facts = status.map(|s| EngineFacts { version: s.version, pid: s.pid, site_error: s.site_error, draining: s.draining });
    if answers {
        rows.push(doctor::engine(facts.as_ref(), env!("CARGO_PKG_VERSION")));
    }
    rows
}
