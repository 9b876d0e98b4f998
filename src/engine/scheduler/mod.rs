//! The scheduler: fires what the clock and git trigger, and accounts for each time at which something was due (the ledger). Sleeps until the
//! next due; wakes when the clock is set or a file changes.

pub mod alarm;
pub mod board;
mod by_hand;
pub mod calendars;
mod fire;
mod freeze;
mod git;
mod look;
mod news;
mod owed;
mod rows;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use super::on_failure;
use super::state::Engine;
use alarm::{Alarm, Woken};
use look::Scheduler;

pub use board::{Board, State};
pub use by_hand::{Missed, find as find_missed, start as start_missed};
pub use freeze::{closed_now, frozen, raised};
pub use rows::{OCCURRENCES, SCHEDULE, occurrences, schedule};

/// A scheduler that fell over is started again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// Schedules until the engine stops. Should the scheduler itself fall over, that is told, and another one takes over.
pub async fn serve(engine: Arc<Engine>) {
    tokio::spawn(watch::serve(engine.clone()));
    loop {
        let fell = tokio::spawn(run(engine.clone())).await;
        if engine.is_stopping() {
            return;
        }
        let why = fell.map_or_else(|e| e.to_string(), |()| "it ended by itself".to_owned());
        tracing::error!("the scheduler fell over, and is started again: {why}");
        engine.schedule.state_only(|s| s.dead = Some(why.clone()));
        on_failure::scheduler(&engine, "", "", engine.now_us(), &why);
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = engine.stopped() => return,
        }
    }
}

async fn run(engine: Arc<Engine>) {
    let dirs = engine.watch.dirs();
    let mut alarm = Alarm::new(alarm::places(&dirs.config, &dirs.pipelines(), &dirs.calendars()));
    let started = jiff::Timestamp::from_microsecond(engine.started_us).unwrap_or_else(|_| engine.clock.now());
    let mut scheduler = Scheduler::new(started);
    loop {
        let next = scheduler.look(&engine).await;
        tokio::select! {
            woken = alarm.until(next) => match woken {
                Woken::Files => alarm.look_at(),
                Woken::ClockSet => tracing::warn!(now = %engine.clock.now(), "the clock was set"),
                Woken::Time => {}
            },
            Some(answer) = scheduler.polls.tasks.join_next() => {
                if let Ok(answer) = answer {
                    scheduler.polls.end(&engine, answer).await;
                }
            }
            () = engine.stopped() => return,
        }
    }
}
