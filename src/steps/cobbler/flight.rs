//! Reposyncs in flight: whose they are, what they touch, and the wait for them. The rules are pure; the looks are at the edge.

use std::time::Instant;

use super::Work;
use crate::base::sanitise;
use crate::steps::error::StepError;
use crate::systems::cobbler::{CobblerError, Event, TaskLog, read_log};

/// The task that an intent became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ours {
    None,
    One(String),
    /// Several could be it.
    Unsure(Vec<String>),
}

/// Which task is the one that was meant: a reposync that was not known before, and whose log contradicts nothing. What it will still
/// sync is not told, so the repositories that it names must be the first of ours.
pub fn ours(events: &[Event], known: &[&str], repos: &[String], logs: &[(String, TaskLog)]) -> Ours {
    let agrees = |e: &&Event| {
        let log = logs.iter().find(|(id, _)| *id == e.id).map(|(_, l)| l);
        log.is_none_or(|l| {
            let whole = l.ended != Some(crate::systems::cobbler::Ended::Complete) || l.repos.len() == repos.len();
            !l.all && whole && l.repos.len() <= repos.len() && l.repos.iter().zip(repos).all(|(a, b)| a == b)
        })
    };
    let new = events.iter().filter(|e| e.is_reposync() && !known.contains(&e.id.as_str())).filter(agrees);
    let ids: Vec<String> = new.map(|e| e.id.clone()).collect();
    match ids.len() {
        0 => Ours::None,
        1 => Ours::One(ids[0].clone()),
        _ => Ours::Unsure(ids),
    }
}

/// Reposyncs that run now and may write one of these trees. A task does not tell what it will still do, so none is ruled out by what it
/// has named so far.
pub fn in_flight<'e>(events: &'e [Event], own: Option<&str>) -> Vec<&'e Event> {
    events.iter().filter(|e| e.is_reposync() && e.is_running() && Some(e.id.as_str()) != own).collect()
}

impl Work<'_> {
    /// All tasks, and the logs of those that are asked for.
    pub(super) async fn flights(&self, wanted: impl Fn(&Event) -> bool) -> Result<(Vec<Event>, Vec<(String, TaskLog)>), CobblerError> {
        let events = self.cobbler.events().await?;
        let mut logs = Vec::new();
        for e in events.iter().filter(|e| wanted(e)) {
            if let Some(text) = self.cobbler.task_log(&e.id).await? {
                logs.push((e.id.clone(), read_log(&e.id, &text)));
            }
        }
        Ok((events, logs))
    }

    /// Waits until no reposync is in flight at this server.
    pub(super) async fn room(&self) -> Result<(), StepError> {
        let (from, mut told) = (Instant::now(), String::new());
        loop {
            let (events, logs) = self.flights(|e| e.is_reposync() && e.is_running()).await?;
            let Some(first) = in_flight(&events, None).first().copied() else { return Ok(()) };
            let touches = logs.iter().find(|(id, _)| *id == first.id).and_then(|(_, l)| l.repos.last().cloned());
            let at = jiff::Timestamp::from_microsecond(first.started_us)
                .map_or_else(|_| "?".to_owned(), |t| t.strftime("%H:%M:%S UTC").to_string());
            let what = format!(
                "a reposync is in flight at Cobbler `{}` since {at}{}: task {}",
                self.name(),
                touches.map(|t| format!(", now at {t}")).unwrap_or_default(),
                sanitise::cell(&first.id)
            );
            if from.elapsed() >= self.options.wait {
                return Err(StepError::refused(
                    format!("{what}; it did not end in time, and nothing was started"),
                    "wait for it, or give a longer `wait`; Cobbler cannot cancel a task",
                ));
            }
            if what != told {
                self.report.say(&format!("waiting: {what}"));
                self.report.detail(&format!("waits: {what}"));
                told = what;
            }
            // For the clock of `stall`: it is waiting, not stuck.
            self.report.progress(0, self.options.repos.len() as u64, "repositories", "waiting for another reposync");
            tokio::time::sleep(self.options.poll).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::cobbler::{Ended, TaskState};

    fn event(id: &str, name: &str, state: TaskState) -> Event {
        Event { id: id.into(), started_us: 1, name: name.into(), state }
    }

    fn log(id: &str, repos: &[&str], ended: Option<Ended>) -> (String, TaskLog) {
        (id.into(), TaskLog { repos: repos.iter().map(|r| (*r).to_owned()).collect(), ended, ..TaskLog::default() })
    }

    #[test]
    fn only_a_new_task_that_contradicts_nothing_is_ours() {
        let repos = ["a".to_owned(), "b".to_owned()];
        let old = event("1", "Reposync", TaskState::Complete);
        let new = |id: &str| event(id, "Reposync", TaskState::Running);
        let judge = |events: &[Event], logs: &[(String, TaskLog)]| ours(events, &["1"], &repos, logs);
        assert_eq!(judge(std::slice::from_ref(&old), &[]), Ours::None);
        assert_eq!(judge(&[old.clone(), new("2"), event("3", "Sync", TaskState::Running)], &[]), Ours::One("2".into()));
        assert_eq!(judge(&[new("2")], &[log("2", &["a"], None)]), Ours::One("2".into()));
        assert_eq!(judge(&[new("2")], &[log("2", &["a", "b"], Some(Ended::Complete))]), Ours::One("2".into()));
        // Somebody else's: another repository first, more of them, fewer of them, all of them.
        assert_eq!(judge(&[new("2")], &[log("2", &["b"], None)]), Ours::None);
        assert_eq!(judge(&[new("2")], &[log("2", &["a", "b", "c"], None)]), Ours::None);
        assert_eq!(judge(&[new("2")], &[log("2", &["a"], Some(Ended::Complete))]), Ours::None);
        assert_eq!(judge(&[new("2")], &[("2".into(), TaskLog { all: true, ..TaskLog::default() })]), Ours::None);
        // Failed at the first one: it may be ours.
        assert_eq!(judge(&[new("2")], &[log("2", &["a"], Some(Ended::Failed))]), Ours::One("2".into()));
        assert_eq!(judge(&[new("2"), new("3")], &[]), Ours::Unsure(vec!["2".into(), "3".into()]));
    }

    #[test]
    fn every_reposync_that_runs_is_in_flight_whoever_began_it() {
        let events = [
            event("1", "Reposync", TaskState::Complete),
            event("2", "Reposync", TaskState::Running),
            event("3", "Sync", TaskState::Running),
            event("4", "Reposync", TaskState::Running),
        ];
        let ids = |own| in_flight(&events, own).iter().map(|e| e.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(None), ["2", "4"]);
        assert_eq!(ids(Some("2")), ["4"]);
    }
}
