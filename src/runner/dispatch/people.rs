//! Decisions of people on their way through the dispatcher: judged where everything else is decided, and written with what follows from them.

use super::Dispatcher;
use crate::domain::run::RunRef;
use crate::runner::config::RunnerError;
use crate::runner::event::Answer;
use crate::runner::model::approval::Vote;
use crate::store::{Store, StoreError};

impl Dispatcher {
    /// Answers after the commit. A vote and its consequences are one transaction.
    pub(super) fn decided(&mut self, run: &RunRef, vote: &Vote, answer: Answer) {
        let refused = |why: String| Err(RunnerError::Refused { run: run.clone(), why });
        if let Some(fault) = &self.fault {
            return drop(answer.send(refused(format!("cannot be decided about now: {fault}"))));
        }
        // What has expired meanwhile ends first.
        if let Some(id) = self.find(run) {
            self.settle(id, Vec::new(), Vec::new());
        }
        let now = self.now();
        let Some(id) = self.find(run) else { return drop(answer.send(refused(ended(&self.store, run)))) };
        let Some(r) = self.run_mut(id) else { return };
        let held = r.hold.is_some();
        let mut ops = Vec::new();
        let voted = match r.decide(vote, &now, &mut ops) {
            Ok(v) if !v.again => v,
            other => return drop(answer.send(other)),
        };
        let then = move |written: Result<(), StoreError>| drop(answer.send(written.map(|()| voted).map_err(RunnerError::Store)));
        self.settle_then(id, ops, Vec::new(), Some(Box::new(then)));
        if held {
            self.supersede();
        }
    }
}

/// Why a run that is not open cannot be decided about. The engine's model may be ahead of the store by the moment of a commit.
fn ended(store: &Store, run: &RunRef) -> String {
    match store.run(run) {
        Ok(row) => match row.verdict {
            Some(v) if row.detail.is_empty() => format!("has ended: {v}"),
            Some(v) => format!("has ended: {v}: {}", row.detail),
            None => "is just ending".to_owned(),
        },
        Err(e) => format!("cannot be read: {e}"),
    }
}
