//! Probes of the site: its files, and its engine where one runs.

use crate::api::client::{ANSWER, Client, NoConnection, Trouble};
use crate::api::types::Status;
use crate::cli::Ctx;
use crate::cli::connect::block_on;
use crate::config::problem::count;
use crate::config::{ConfigError, Problem, Site};
use crate::domain::doctor::{self, EngineFacts, Row, SocketFacts, SocketState, State};
use crate::engine::catalog;

/// Pipelines that get a row of their own; more would hide the rest.
const ROWS: usize = 20;

/// The site file and every pipeline. `site`: none where its file is broken.
pub fn files(ctx: &Ctx, site: Option<&Site>) -> Vec<Row> {
    let place = ctx.dirs.site_file().display().to_string();
    let exists = ctx.dirs.site_file().symlink_metadata().is_ok();
    let Some(site) = site else {
        let (why, help) = match ctx.dirs.load(ctx.uid) {
            Err(ConfigError::Broken { problems, .. }) => broken(&problems),
            Err(e) => (first_line(&e.to_string()), e.help()),
            Ok(_) => ("it changed while it was looked at".to_owned(), "ask again".to_owned()),
        };
        // What a pipeline may name is known only once the site file is right.
        return vec![doctor::configuration(&place, exists, Some((&why, &help)))];
    };
    let mut rows = vec![doctor::configuration(&place, exists, None)];
    let catalog = match catalog::of_site(&ctx.dirs, site, ctx.uid) {
        Ok(c) => catalog::with_stages(c, &ctx.dirs, ctx.uid),
        Err(e) => {
            rows.push(Row { check: "pipelines".into(), state: State::Fail, found: first_line(&e.to_string()), help: e.help() });
            return rows;
        }
    };
    let mut fine = 0;
    let mut bad = Vec::new();
    for name in &catalog.pipelines {
        match catalog::judge(&ctx.dirs, name, ctx.uid, &catalog) {
            Err(e) => {
                bad.push(Row { check: format!("pipeline {name}"), state: State::Fail, found: first_line(&e.to_string()), help: e.help() })
            }
            Ok(judged) => {
                let errors = judged.errors();
                let warnings = judged.diagnostics.len() - errors;
                let first = judged.diagnostics.iter().find(|d| errors == 0 || d.is_error());
                match first {
                    None => fine += 1,
                    Some(d) => bad.push(doctor::pipeline(name, errors, warnings, &format!("line {}: {}", d.line, d.message))),
                }
            }
        }
    }
    // The worst first, and no failure is cut off behind warnings.
    bad.sort_by_key(|r| std::cmp::Reverse(r.state));
    let more = bad.len().saturating_sub(ROWS);
    let cut = bad.get(ROWS).map(|r| r.state);
    bad.truncate(ROWS);
    rows.extend(bad);
    if let Some(state) = cut {
        let help = "quarterdeck pipeline lint shows all".to_owned();
        rows.push(Row { check: "pipelines".into(), state, found: format!("{more} more with errors or warnings"), help });
    }
    rows.push(doctor::pipelines_fine(fine, catalog.pipelines.len()));
    rows
}

fn first_line(text: &str) -> String {
    text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default().to_owned()
}

/// The first slip with its place and cure; `site check` draws all of them.
fn broken(problems: &[Problem]) -> (String, String) {
    let first = problems.first();
    let (line, message, help) = first.map_or((0, "", ""), |p| (p.line, p.message.as_str(), p.help.as_str()));
    let sep = if help.is_empty() { "" } else { "; " };
    (
        format!("{} in the site file, the first in line {line}: {message}", count(problems.len())),
        format!("{help}{sep}quarterdeck site check shows all"),
    )
}

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
