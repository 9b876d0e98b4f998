//! `cobbler/reposync`: lets a Cobbler sync repositories, follows its task, and proves the effect on the trees.
//!
//! Looks before it starts anything: a reposync in flight is waited for, one of its own that an earlier attempt began is adopted. What is
//! not known is not sent again. Cobbler cannot cancel a task: a cancel of this step ends the watching, and the task goes on over there.
//!
//! Exit codes: 0 synced and whole; 1 the task failed, did nothing, or left a tree that is not whole; 2 wrong names; 3 Cobbler, or a tree,
//! does not answer; 4 somebody else's reposync did not end in time, and nothing was started.

mod flight;
mod follow;
mod options;
mod verify;

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::env::StepEnv;
use super::error::StepError;
use super::journal::{self, Past};
use super::report::Report;
use super::with::With;
use crate::base::{crash, duration, sanitise};
use crate::systems::cobbler::{Cobbler, CobblerError, Repo, Settings};
use flight::Ours;
use options::Options;

/// In the journal.
const KEY: &str = "cobbler/reposync";
/// Cobbler's reposyncs that an intent names, so that a later look knows which are new. It remembers a week of them: one every five minutes.
const KNOWN: usize = 2_100;
/// Tasks that a message names.
const NAMED: usize = 4;
/// A call that was on its way when this step was killed has arrived by then.
const SETTLE: Duration = Duration::from_secs(3);

/// What all parts of one reposync share.
struct Work<'a> {
    cobbler: Cobbler,
    options: Options,
    env: &'a StepEnv,
    report: &'a Report,
}

/// What Cobbler says of what is to be synced.
pub(super) struct Records {
    pub repos: Vec<Repo>,
    pub settings: Settings,
}

impl From<CobblerError> for StepError {
    fn from(e: CobblerError) -> Self {
        let (what, next) = (e.to_string(), e.next());
        match e {
            CobblerError::Absent { .. } => Self::input(what, next),
            e if e.is_far_end() => Self::far_end(what, next),
            _ => Self::failed(what, next),
        }
    }
}

/// Entry of the registry.
pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let options = Options::read(with, env)?;
    let started = env.clock.boot_us();
    let cobbler = Cobbler::new(options.server.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let work = Work { cobbler, options, env, report };
    let records = runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())
            .map_err(|e| StepError::failed(format!("SIGTERM cannot be waited for: {e}"), "see the limits of this machine"))?;
        let result = tokio::select! {
            result = work.sync() => result,
            _ = term.recv() => Err(work.cancelled()),
        };
        work.cobbler.logout().await;
        result
    })?;
    let looked = verify::trees(&work, &records, with, &runtime, &duration::short(env.clock.boot_us().saturating_sub(started) / 1_000));
    match &looked {
        Ok(()) => work.over("verified")?,
        // It was not seen: whoever comes next looks again, and starts nothing.
        Err(StepError::FarEnd { .. }) => {}
        Err(_) => work.over("not whole")?,
    }
    looked?;
    report.finish()
}

impl Work<'_> {
    fn name(&self) -> &str {
        &self.options.server.name
    }

    /// To the end of Cobbler's task.
    async fn sync(&self) -> Result<Records, StepError> {
        let records = self.records().await?;
        // Proved before anything is said to be intended.
        self.cobbler.login().await?;
        let id = match journal::past(self.env.journal.as_deref(), KEY)? {
            Past::Begun { id, .. } => {
                self.report.say(&format!("adopted: an attempt before this one began task {id}"));
                id
            }
            Past::Intended(intent) => match self.find(&intent).await? {
                Some(id) => {
                    self.report.say(&format!("adopted: task {id} is what an attempt before this one was about to begin"));
                    self.begun(&id)?;
                    id
                }
                None => {
                    self.report.say("an attempt before this one was about to begin a reposync, and Cobbler has none of it");
                    self.start().await?
                }
            },
            Past::Nothing => self.start().await?,
        };
        self.follow(&id).await?;
        Ok(records)
    }

    async fn records(&self) -> Result<Records, StepError> {
        let mut repos = Vec::new();
        for wanted in &self.options.repos {
            let repo = self.cobbler.repo(&wanted.cobbler).await?;
            let name = &repo.name;
            if !repo.mirrored {
                return Err(StepError::input(
                    format!("Cobbler does not mirror `{name}` (mirror_locally is off): a reposync would do nothing"),
                    "switch it on in Cobbler, or leave the repository out",
                ));
            }
            if repo.breed != "yum" {
                return Err(StepError::input(
                    format!("`{name}` is of breed `{}`, and only what yum repositories become can be verified", repo.breed),
                    "leave the repository out",
                ));
            }
            repos.push(repo);
        }
        let settings = self.cobbler.settings().await?;
        for repo in repos.iter().filter(|r| settings.loses_noarch(&r.arch)) {
            self.report.say(&format!(
                "note: reposync_flags of this Cobbler lack `-a noarch`, so dnf leaves the noarch packages of `{}` ({}) out",
                repo.name, repo.arch
            ));
        }
        Ok(Records { repos, settings })
    }

    /// Waits for others, says what is meant, and sends it, once.
    async fn start(&self) -> Result<String, StepError> {
        self.room().await?;
        let names = self.options.names();
        let events = self.cobbler.events().await?;
        // Other tasks are never taken for it, and there are many of them at a server that installs hosts.
        let known: Vec<Value> = events.iter().rev().filter(|e| e.is_reposync()).take(KNOWN).map(|e| json!(e.id)).collect();
        let intent = json!({
            "cobbler": self.name(), "method": "background_reposync", "repos": names, "known": known, "at": self.env.clock.now().to_string(),
        });
        self.report.intent(KEY, intent.as_object().cloned().unwrap_or_default());
        // An intent that is not durable is none.
        self.report.finish()?;
        crash::point("cobbler.intended");
        let sent = self.cobbler.background_reposync(&names, self.options.tries).await;
        crash::point("cobbler.sent");
        let id = match sent {
            Ok(id) => id,
            // What is raised may have been raised behind the start of the task.
            Err(e @ (CobblerError::Unsure { .. } | CobblerError::Fault { .. })) => {
                self.report.say(&format!("{e}; looking for it"));
                match self.find(intent.as_object().unwrap_or(&Map::new())).await? {
                    Some(id) => id,
                    None => {
                        self.over("never begun")?;
                        return Err(match e {
                            CobblerError::Fault { .. } => e.into(),
                            _ => StepError::far_end(
                                format!("{e}, and Cobbler has no such task"),
                                "nothing was begun: quarterdeck retry RUN sends it again",
                            ),
                        });
                    }
                }
            }
            // A clear no: nothing was begun.
            Err(e) => {
                self.over("refused")?;
                return Err(e.into());
            }
        };
        self.begun(&id)?;
        crash::point("cobbler.begun");
        self.report.say(&format!("Cobbler `{}` began task {}", self.name(), sanitise::cell(&id)));
        Ok(id)
    }

    fn begun(&self, id: &str) -> Result<(), StepError> {
        self.report.remote(&format!("cobbler/{}", self.name()), "reposync", id);
        self.report.finish()
    }

    /// From here on another attempt may begin one of its own.
    fn over(&self, how: &str) -> Result<(), StepError> {
        let more = Map::from_iter([("how".to_owned(), Value::from(how))]);
        self.report.intent(&journal::ended(KEY), more);
        self.report.finish()
    }

    /// The task that an intent became, if it became one. Looks twice: the call may have been on its way.
    async fn find(&self, intent: &Map<String, Value>) -> Result<Option<String>, StepError> {
        let known: Vec<&str> = intent.get("known").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for look in 0..2 {
            if look > 0 {
                tokio::time::sleep(SETTLE).await;
            }
            let (events, logs) = self.flights(|e| e.is_reposync() && !known.contains(&e.id.as_str())).await?;
            match flight::ours(&events, &known, &self.options.names(), &logs) {
                Ours::One(id) => return Ok(Some(id)),
                Ours::None => {}
                Ours::Unsure(ids) => {
                    let mut named: Vec<String> = ids.iter().take(NAMED).map(|id| sanitise::cell(id)).collect();
                    if ids.len() > NAMED {
                        named.push(format!("one of {} more", ids.len() - NAMED));
                    }
                    return Err(StepError::failed(
                        format!("unknown: which of Cobbler's tasks is this step's? It could be {}", named.join(" or ")),
                        format!("look at them on `{}` (cobbler's events); when they have ended, start a new run", self.name()),
                    ));
                }
            }
        }
        Ok(None)
    }

    fn cancelled(&self) -> StepError {
        match journal::past(self.env.journal.as_deref(), KEY) {
            Ok(Past::Nothing) => StepError::failed("cancelled before anything was begun", "nothing is to be done"),
            Ok(Past::Begun { id, .. }) => StepError::failed(
                format!("cancelled here; Cobbler cannot cancel a task, and {id} goes on there"),
                "its repositories are busy until it ends; `resume` watches it again",
            ),
            _ => StepError::failed(
                "cancelled while a reposync was being begun: it may go on at Cobbler, which cannot cancel it",
                "look at Cobbler's events; `resume` looks for it",
            ),
        }
    }
}
