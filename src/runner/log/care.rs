//! What is done about the logs of ended attempts, off the way of running steps: the first error of red ones is looked for, those of
//! ended runs are packed. Each is done once; what was done is written with the attempt.

use std::path::Path;

use super::extra::Extra;
use super::first_error;
use super::pack::{self, Outcome};
use crate::domain::log::{FirstError, Patterns, Todo};
use crate::pipeline::plan::Plan;
use crate::store::{LogDone, LogWork, Store, StoreError};

/// Attempts of one transaction.
const BATCH: usize = 100;

/// What a round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cared {
    pub errors: usize,
    pub packed: usize,
    pub saved_bytes: u64,
}

/// Does what is to be done now, log after log. `stop` is asked before each. What cannot be done now is left for the next round.
///
/// `site`: patterns of first errors that the site adds.
pub async fn care(store: &Store, site: &Patterns, stop: impl Fn() -> bool) -> Result<Cared, StoreError> {
    let (mut cared, mut from) = (Cared::default(), 0);
    loop {
        let work = store.log_work(from, BATCH)?;
        let Some(last) = work.last() else { return Ok(cared) };
        from = last.fence + 1;
        let mut done = Vec::new();
        for w in work {
            if stop() {
                break;
            }
            let (state_dir, store, site) = (store.dir().to_owned(), store.clone(), site.clone());
            // One at a time, each on a thread of its own turn: nobody waits for it.
            let one = tokio::task::spawn_blocking(move || one(&store, &state_dir, &w, &site)).await;
            let Ok((d, c)) = one else { continue };
            cared.errors += c.errors;
            cared.packed += c.packed;
            cared.saved_bytes += c.saved_bytes;
            done.extend(d);
        }
        if !done.is_empty() {
            store.log_done(done).await?;
        }
        if stop() {
            return Ok(cared);
        }
    }
}

/// The first error of an attempt, looked for now if nobody did yet; the caller stores what comes back second.
pub fn first_error(store: &Store, site: &Patterns, fence: u64) -> Result<Option<LogDone>, StoreError> {
    let work = store.log_work_of(fence)?.filter(|w| w.todo.has(Todo::FIRST_ERROR));
    Ok(work.map(|w| LogDone { fence, done: Todo::FIRST_ERROR, first_error: look(store, store.dir(), &w, site) }))
}

fn one(store: &Store, state_dir: &Path, w: &LogWork, site: &Patterns) -> (Option<LogDone>, Cared) {
    let (mut cared, mut done, mut found) = (Cared::default(), Todo(0), None);
    if w.todo.has(Todo::FIRST_ERROR) {
        found = look(store, state_dir, w, site);
        cared.errors += usize::from(found.is_some());
        done.0 |= Todo::FIRST_ERROR.0;
    }
    if w.todo.has(Todo::PACK) && w.run_done {
        match pack::pack(&state_dir.join(&w.dir), &w.sha256) {
            Ok(Outcome::Packed { from, to }) => {
                cared.packed += 1;
                cared.saved_bytes += from.saturating_sub(to);
                done.0 |= Todo::PACK.0;
            }
            Ok(Outcome::Left(why)) => {
                tracing::debug!(dir = w.dir, why, "a log stays unpacked");
                done.0 |= Todo::PACK.0;
            }
            Ok(Outcome::InUse | Outcome::NoRoom) => {}
            // A full disk, for example: the next round comes.
            Err(e) => tracing::warn!(dir = w.dir, error = %e, "a log cannot be packed now"),
        }
    }
    ((done != Todo(0)).then_some(LogDone { fence: w.fence, done, first_error: found }), cared)
}

/// A log that cannot be read has no first error; why it cannot is said to those who read it.
fn look(store: &Store, state_dir: &Path, w: &LogWork, site: &Patterns) -> Option<FirstError> {
    let plan = store.plan_json(&w.run).ok().and_then(|json| serde_json::from_str::<Plan>(&json).ok());
    let extra = Extra::of(std::iter::once(site).chain(plan.as_ref().map(|p| &p.log.patterns)));
    let good = store.last_good_log(w).unwrap_or_default();
    let good = good.as_ref().map(|(run, dir)| (run, state_dir.join(dir)));
    match first_error::find(&state_dir.join(&w.dir), good.as_ref().map(|(run, dir)| (*run, dir.as_path())), &extra) {
        Ok(found) => found,
        Err(e) => {
            tracing::debug!(dir = w.dir, error = %e, "no first error: the log cannot be read");
            None
        }
    }
}
