//! Secrets that were not to be had: what their steps wait for, and when they ask again.

use super::Dispatcher;
use crate::domain::reason::Reason;
use crate::runner::model::silent::{AGAIN_US, NoSecret};

impl Dispatcher {
    /// What the step waits for, and until when.
    pub(in crate::runner) fn no_secret(&mut self, no: NoSecret, now_us: i64) -> (Reason, i64) {
        if no.silent {
            return self.silent.heard(&no.name, no.why, now_us);
        }
        self.silent.forget(&no.name);
        (Reason::Secret { name: no.name, why: no.why, until_us: 0 }, now_us + AGAIN_US)
    }

    /// Steps that wait for this secret ask now.
    pub(in crate::runner) fn secret_again(&mut self, name: &str) {
        self.silent.forget(name);
        let of_it = |why: &Reason| matches!(why, Reason::Secret { name: n, .. } if n == name);
        self.runs.values_mut().for_each(|r| r.ask_again(of_it));
    }
}
