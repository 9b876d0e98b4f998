//! A task followed to its end: its own lines as they come, a server that restarts meanwhile, and what "complete" is worth.

use std::time::{Duration, Instant};

use super::Work;
use crate::steps::error::StepError;
use crate::systems::cobbler::{CobblerError, Ended, Event, TaskLog, TaskState, read_log};

/// A server that gives no answer of use for so long, while a task of ours runs there, is given up.
const SILENCE: Duration = Duration::from_secs(300);
/// The whole log comes each time: it is asked for so rarely that no more than about 50 kB a second travel.
const LOG_RATE: usize = 50_000;

impl Work<'_> {
    /// Follows the task `id` to its end. A bad one is in the journal when this returns.
    pub(super) async fn follow(&self, id: &str) -> Result<(), StepError> {
        let total = self.options.repos.len() as u64;
        let (mut shown, mut log, mut next_log) = (0, TaskLog::default(), Instant::now());
        let mut silent: Option<Instant> = None;
        loop {
            let task = match self.cobbler.task(id).await {
                Ok(task) => task,
                Err(e @ CobblerError::Forgotten { .. }) => {
                    self.over("forgotten")?;
                    return Err(StepError::failed(format!("unknown how it ended: {e}"), e.next()));
                }
                // The task runs, whatever this answer was: late, cut, of another shape, raised while another thread changed the list.
                Err(e) => {
                    let since = *silent.get_or_insert_with(|| {
                        self.report.say(&format!("no answer of use while task {id} runs; asking on: {e}"));
                        Instant::now()
                    });
                    if since.elapsed() >= SILENCE {
                        return Err(StepError::far_end(
                            format!("unknown: task {id} was running when Cobbler's answers ended ({e})"),
                            "look at Cobbler's events when it is back; `resume` adopts the task, and starts no other",
                        ));
                    }
                    tokio::time::sleep(self.options.poll).await;
                    continue;
                }
            };
            silent = None;
            let over = !task.is_running();
            if over || Instant::now() >= next_log {
                match self.cobbler.task_log(id).await {
                    Ok(text) => {
                        let text = text.unwrap_or_default();
                        log = read_log(id, &text);
                        for line in log.lines.iter().skip(shown) {
                            self.report.say(line);
                        }
                        shown = shown.max(log.lines.len());
                        next_log = Instant::now() + self.options.poll.max(Duration::from_secs((text.len() / LOG_RATE) as u64));
                    }
                    // The state says more than the log: it is followed without.
                    Err(e) => {
                        self.report.say(&format!("its log cannot be read: {e}"));
                        next_log = Instant::now() + self.options.poll.max(Duration::from_secs(60));
                    }
                }
            }
            // The last one that was named is still at work: nothing is told while dnf runs.
            let done = if over { total } else { (log.repos.len() as u64).saturating_sub(1).min(total) };
            let at = log.repos.last().map_or("Cobbler begins", String::as_str);
            self.report.progress(done, total, "repositories", at);
            if over {
                let judged = judge(&task, &log);
                // What is complete is over only when its effect was looked at: until then another attempt looks, and starts nothing.
                if judged.is_err() {
                    self.over(task.state.as_str())?;
                }
                return judged;
            }
            tokio::time::sleep(self.options.poll).await;
        }
    }
}

/// What the end of the task means, before any tree was looked at.
fn judge(task: &Event, log: &TaskLog) -> Result<(), StepError> {
    let why = || log.trouble.as_deref().map(|t| format!(": {t}")).unwrap_or_default();
    let last = || log.repos.last().map(|r| format!(" at {r}")).unwrap_or_default();
    let next = "the lines above are Cobbler's own; the repositories behind the one that failed were not tried";
    match &task.state {
        TaskState::Complete if log.ended == Some(Ended::Failed) => {
            Err(StepError::failed(format!("Cobbler's task failed{}{}", last(), why()), next))
        }
        TaskState::Complete if !log.untouched.is_empty() => Err(StepError::failed(
            format!("Cobbler calls the task complete, and did nothing for {}", log.untouched.join(", ")),
            "does that repository exist there, and is it kept updated? cobbler repo report",
        )),
        TaskState::Complete => Ok(()),
        TaskState::Failed => Err(StepError::failed(format!("Cobbler's task failed{}{}", last(), why()), next)),
        other => Err(StepError::failed(
            format!("Cobbler says `{}` of the task, a word that this version does not know", other.as_str()),
            "look at Cobbler's events, then verify the tree (mirror/verify)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_is_not_success_where_the_log_says_otherwise() {
        let task = |state| Event { id: "1".into(), started_us: 1, name: "Reposync".into(), state };
        let log = |untouched: &[&str], ended, trouble: Option<&str>| TaskLog {
            repos: vec!["a".into()],
            untouched: untouched.iter().map(|u| (*u).to_owned()).collect(),
            ended,
            trouble: trouble.map(str::to_owned),
            ..TaskLog::default()
        };
        assert!(judge(&task(TaskState::Complete), &log(&[], Some(Ended::Complete), None)).is_ok());
        for (state, log, words) in [
            (TaskState::Complete, log(&["a"], Some(Ended::Complete), None), "did nothing for a"),
            (TaskState::Complete, log(&[], Some(Ended::Failed), Some("no")), "failed at a: no"),
            (TaskState::Failed, log(&[], None, Some("cobbler reposync failed")), "failed at a: cobbler reposync failed"),
            (TaskState::Other("lost".into()), log(&[], None, None), "`lost`"),
        ] {
            let e = judge(&task(state), &log).unwrap_err().to_string();
            assert!(e.contains(words), "{e}");
        }
    }
}
