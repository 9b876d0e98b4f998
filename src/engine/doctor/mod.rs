//! What `doctor` finds out without a terminal: this machine, the site's files, its far ends; and the same as the table `doctor` of an engine.

pub mod cobbler;
pub mod far;
mod machine;
mod site;

use std::path::Path;
use std::sync::Arc;

use super::blocking::blocking;
use super::rows;
use super::state::Engine;
use super::{status, trees};
use crate::api::ApiError;
use crate::config::Site;
use crate::domain::doctor::{self, EngineFacts, Row, State};
use crate::secret::KernelCache;

pub use site::files;

pub const DOCTOR: &[&str] = &["check", "state", "found", "help"];

/// The machine as this process sees it, which is no engine. Blocks.
pub fn machine_rows(state: &Path, site: &Site, uid: u32) -> Vec<Row> {
    surroundings(state, site, uid, None)
}

/// The machine as the engine sees it: its user, its session, its cgroup, its keys. Blocks.
pub fn engine_rows(engine: &Engine) -> Vec<Row> {
    let site = engine.watch.current().unwrap_or_default();
    surroundings(&engine.watch.dirs().state, &site, engine.watch.uid(), Some(engine.runner.scopes()))
}

fn surroundings(state: &Path, site: &Site, uid: u32, engine: Option<Option<bool>>) -> Vec<Row> {
    let fs = machine::file_system(state);
    let mut rows = vec![
        doctor::state_directory(&machine::state_directory(state), uid),
        doctor::file_system(fs.as_ref()),
        doctor::disk_space(fs.as_ref()),
        doctor::inodes(fs.as_ref()),
        doctor::clock(machine::clock()),
        doctor::time_zone(&machine::time_zone(&site.time_zone)),
        doctor::linger(&machine::linger(uid, site.socket.is_none())),
        doctor::containment(&machine::containment(engine)),
    ];
    if site.secrets.values().any(|s| s.cache.is_some()) {
        rows.push(doctor::secret_cache(KernelCache::start().is_some()));
    }
    // An engine has read its own when it opened it.
    if engine.is_none() {
        rows.extend(machine::store(state, uid));
    }
    rows
}

/// All that this engine can say of itself and its surroundings; each far end is asked once, within its budget. Secrets are not asked for:
/// that may start commands, and needs a role.
pub async fn table(engine: &Arc<Engine>) -> Result<Vec<rows::Row>, ApiError> {
    let e = engine.clone();
    let (mut out, site) = blocking(move || Ok(own(&e))).await?;
    let (far, ahead) = far::ask(&site).await;
    if !far.is_empty() {
        out.push(doctor::skew(&ahead));
    }
    out.extend(far.iter().map(doctor::far_end));
    out.extend(cobbler::ask(&site).await.iter().map(doctor::cobbler));
    // What somebody must see to does not stand below fifty far ends that answer.
    out.sort_by_key(|r| match r.state {
        State::Fail => 0,
        State::Warn => 1,
        State::Unknown => 2,
        State::Ok => 3,
    });
    Ok(out.iter().map(flat).collect())
}

fn own(engine: &Engine) -> (Vec<Row>, Arc<Site>) {
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let current = engine.watch.current();
    let known = current.is_ok();
    let site = current.unwrap_or_default();
    let mut out = engine_rows(engine);
    out.extend(files(dirs, uid, known.then_some(&*site)));
    match status::of(engine) {
        Ok(s) => {
            let facts = EngineFacts { version: s.version, pid: s.pid, site_error: s.site_error, draining: s.draining };
            out.push(doctor::engine(Some(&facts), env!("CARGO_PKG_VERSION")));
        }
        Err(e) => out.push(Row { check: "engine".into(), state: State::Fail, found: e.message, help: e.help }),
    }
    if !site.secrets.is_empty() {
        let found = format!("{} named; not asked for here", site.secrets.len());
        out.push(Row { check: "secrets".into(), state: State::Unknown, found, help: "quarterdeck secret test".into() });
    }
    match trees::health(engine, &site) {
        Ok(mirrors) => out.extend(doctor::mirrors(&mirrors)),
        Err(e) => out.push(Row { check: "mirrors".into(), state: State::Fail, found: e.message, help: e.help }),
    }
    (out, site)
}

fn flat(row: &Row) -> rows::Row {
    match serde_json::to_value(row) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => rows::Row::new(),
    }
}
