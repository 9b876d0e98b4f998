//! The watch over the scheduler: an expected run that has not begun ten minutes after its time, and a scheduler that does not look any
//! more, are told to people by the site's `[on_failure]` command. Its own task, with its own timer.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::alarm::Alarm;
use super::board::Key;
use crate::api::ApiError;
use crate::domain::occurrence::Occurrence;
use crate::engine::blocking::blocking;
use crate::engine::on_failure;
use crate::engine::state::Engine;

/// So long after its time a run is late.
pub const LATE: SignedDuration = SignedDuration::from_mins(10);
/// Older occurrences are no news.
const NEWS: SignedDuration = SignedDuration::from_hours(48);
/// After a check that could not be done, the next.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// What the watch has told already; what must survive it is in the ledger.
#[derive(Default)]
pub struct Watch {
    told: HashSet<(Key, i64)>,
}

/// Watches until the engine stops.
pub async fn serve(engine: Arc<Engine>) {
    let alarm = Alarm::new(Vec::new());
    let mut watch = Watch::default();
    loop {
        let looked = engine.schedule.looked.notified();
        tokio::pin!(looked);
        looked.as_mut().enable();
        let next = match watch.check(&engine).await {
            Ok(next) => next,
            Err(e) => {
                tracing::error!("the scheduler cannot be watched: {e}");
                engine.clock.now().checked_add(AGAIN).ok()
            }
        };
        tokio::select! {
            _ = alarm.until(next) => {}
            () = &mut looked => {}
            () = engine.stopped() => return,
        }
    }
}

impl Watch {
    /// Tells what is late, and says when the next check is due.
    pub async fn check(&mut self, engine: &Arc<Engine>) -> Result<Option<Timestamp>, ApiError> {
        let now = engine.clock.now();
        let state = engine.schedule.state();
        let mut next: Option<Timestamp> = None;
        let mut later = |t: Timestamp| next = Some(next.map_or(t, |n| n.min(t)));
        let overdue = |us: i64| Timestamp::from_microsecond(us).ok().and_then(|t| t.checked_add(LATE).ok());
        for (key, due_us) in state.seen.iter().filter_map(|(k, s)| Some((k, s.next_us?))) {
            let Some(at) = overdue(due_us) else { continue };
            if at > now {
                later(at);
                continue;
            }
            // Its time is long past, and the scheduler has not looked since: had it, the next time would stand there.
            if self.told.insert((key.clone(), due_us)) {
                let beat = state.beat_us.and_then(|us| Timestamp::from_microsecond(us).ok()).map_or("never".to_owned(), |t| t.to_string());
                let why = format!("{} of {} was due, and the scheduler has not looked since {beat}", key.1, key.0);
                tracing::error!("the scheduler does not look any more: {why}");
                engine.schedule.state_only(|s| s.dead = Some(why.clone()));
                on_failure::scheduler(engine, &key.0, &key.1, due_us, &why);
            }
        }
        if self.told.len() > 10_000 {
            self.told.clear();
        }
        let from_us = now.checked_sub(NEWS).map_or(i64::MIN, |t| t.as_microsecond());
        let open = {
            let engine = engine.clone();
            blocking(move || engine.store.not_begun(from_us).map_err(ApiError::from)).await?
        };
        for o in open {
            match overdue(o.scheduled_us) {
                Some(at) if at > now => later(at),
                Some(_) => self.tell(engine, &o).await?,
                None => {}
            }
        }
        Ok(next)
    }

    async fn tell(&self, engine: &Arc<Engine>, o: &Occurrence) -> Result<(), ApiError> {
        if !engine.store.told(o).await? {
            return Ok(());
        }
        let Some(run) = &o.run else { return Ok(()) };
        let reasons = engine.runner.why(run).await?;
        let why = reasons.first().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(%run, trigger = %o.trigger, "ten minutes late, and not begun: {why}");
        on_failure::late(engine, o, &why);
        Ok(())
    }
}
