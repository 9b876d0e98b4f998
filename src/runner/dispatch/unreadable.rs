//! Runs whose plan cannot be read, on their way out: said in words, never started, and closed when somebody cancels them. First their attempts
//! are asked to end, and then every part of them does.

use std::path::PathBuf;

use super::Dispatcher;
use crate::domain::attempt::{CancelIntent, FORMAT, file};
use crate::domain::reason::Reason;
use crate::domain::rows::{Change, QueueRow};
use crate::domain::run::{RunRef, Verdict};
use crate::runner::attempt::{self, survivors};
use crate::runner::event::Event;
use crate::runner::model::building::ChildEnd;
use crate::runner::model::unreadable::closing;
use crate::store::{CancelMark, RunId};

impl Dispatcher {
    /// Those of them that were cancelled are closed; asked after every reading of the store and at every cancel.
    pub(super) fn close_unreadable(&mut self) {
        let state_dir = self.shared.cfg.state_dir.clone();
        for u in self.unreadable.values_mut().filter(|u| u.row.cancel.is_some() && !u.closing) {
            u.closing = true;
            let Some(mark) = u.row.cancel.clone() else { continue };
            let dirs: Vec<PathBuf> = u.attempts.iter().map(|a| state_dir.join(&a.dir)).collect();
            let (events, generation, id) = (self.shared.events.clone(), self.generation, u.row.id);
            self.tasks.spawn(async move {
                for dir in dirs {
                    stop(dir, &mark).await;
                }
                let _ = events.send(Event::UnreadableStopped { run: id, generation }).await;
            });
        }
    }

    /// True where the run is one of them; its cancel is on its way.
    pub(super) fn cancel_unreadable(&mut self, run: &RunRef, mark: &CancelMark) -> bool {
        let Some(u) = self.unreadable.values_mut().find(|u| u.row.run == *run) else { return false };
        u.row.cancel.get_or_insert_with(|| mark.clone());
        self.close_unreadable();
        true
    }

    /// Nothing of it is alive any more: its rows end.
    pub(super) fn unreadable_stopped(&mut self, id: RunId) {
        let Some(u) = self.unreadable.remove(&id) else { return };
        let name = u.row.run.clone();
        let ops = closing(&u, self.now().us);
        self.held.retain(|h| h.run_id != id);
        let change = |table| Change { table, id: name.to_string() };
        self.commit(ops, vec![change("runs"), change("ends"), change("queue"), Change { table: "locks", id: String::new() }]);
        tracing::info!(run = %name, "a run whose plan cannot be read was cancelled");
        if let Some(p) = u.row.parent.filter(|p| p.wait) {
            let detail = "its plan could not be read".to_owned();
            self.child_over((p.run_id, p.stage, p.cell), &ChildEnd { run: name, verdict: Verdict::Cancelled, detail, exit_code: None });
        }
    }

    pub(super) fn why_unreadable(&self, run: &RunRef) -> Option<Vec<Reason>> {
        self.unreadable.values().find(|u| u.row.run == *run).map(|u| vec![u.reason()])
    }

    pub(super) fn unreadable_rows(&self) -> impl Iterator<Item = QueueRow> + '_ {
        self.unreadable.values().map(|u| QueueRow {
            run: u.row.run.clone(),
            state: u.row.state,
            priority: u.row.priority,
            requested_by: u.row.requested_by.name.clone(),
            created_us: u.row.created_us,
            blocked: Some(u.reason()),
            slow_us: None,
        })
    }
}

/// Asks an attempt to end and waits until it has. Where it cannot be asked or watched, its end is not waited for.
async fn stop(dir: PathBuf, mark: &CancelMark) {
    let intent = CancelIntent { format: FORMAT, who: mark.by.clone(), why: mark.why.clone(), force: mark.force };
    let asked = {
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || !dir.join(file::SPEC).exists() || attempt::cancel(&dir, &intent).is_ok()).await
    };
    if matches!(asked, Ok(true))
        && let Err(e) = attempt::watch(&dir).await
    {
        tracing::warn!(dir = %dir.display(), error = %e, "an attempt of a run that cannot be read cannot be watched");
    }
    let retired = tokio::task::spawn_blocking(move || {
        let _ = attempt::retire(&dir);
        survivors::stop_survivors(&dir).map(drop)
    });
    if let Ok(Err(e)) = retired.await {
        tracing::warn!(error = %e, "processes of a run that cannot be read may be left");
    }
}
