//! Why something of the queue does not run: a closed list of true reasons, with their words. "Unknown" does not exist.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::run::{RunRef, Verdict};
use crate::base::{duration, size};

/// One blocking reason. Instants are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Reason {
    /// A lock is held by another stage.
    Lock {
        name: String,
        wanted: String,
        holder: RunRef,
        holder_stage: String,
        since_us: i64,
        /// Who holds it beside: all of them must let go, or some. Five at most.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        also: Vec<RunRef>,
        /// Older waiters, whose turn comes first; five at most.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ahead: Vec<RunRef>,
    },
    /// The lock is free enough, but an older waiter comes first; else it would never get its turn.
    LockQueue {
        name: String,
        ahead: RunRef,
        ahead_stage: String,
    },
    /// The stage wants more slots than the site gives the lock: it can never start.
    LockTooSmall {
        name: String,
        wanted: u32,
        slots: u32,
    },
    /// The concurrency group is full.
    Group {
        name: String,
        limit: u32,
        holders: Vec<RunRef>,
    },
    /// Every executor is busy.
    Executors {
        busy: Vec<RunRef>,
        limit: u32,
    },
    /// The stage's own `max_parallel`.
    MaxParallel {
        stage: String,
        limit: u32,
    },
    NeedsStage {
        stage: String,
    },
    /// A run's post stages wait for its work, or for the post stage before.
    AfterStage {
        stage: String,
    },
    Retry {
        step: String,
        attempt: u32,
        of: u32,
        until_us: i64,
    },
    Secret {
        name: String,
        why: String,
        /// Its source is silent, and is asked again then; 0 = it is missing, and looked for every 15 s.
        #[serde(default)]
        until_us: i64,
    },
    LowDisk {
        path: String,
        free_bytes: u64,
        floor_bytes: u64,
        free_inodes: u64,
        floor_inodes: u64,
    },
    Drained {
        by: String,
        why: String,
        since_us: i64,
    },
    /// The engine cannot write its store; nothing new is claimed until it can.
    Store {
        why: String,
    },
    /// Its stored plan is damaged, or of a later version: nothing of it can be decided.
    Unreadable {
        why: String,
    },
    /// What an attempt of it left cannot be read by this version: no verdict is made up, and nothing of it is started again.
    Quarantined {
        stage: String,
        why: String,
    },
    /// The shim could not be started on this machine.
    Spawn {
        why: String,
        until_us: i64,
    },
    /// People must agree first.
    Approval(Box<Asked>),
    /// A stage waits for the run that it is; none = it is being started.
    Child {
        stage: String,
        run: Option<RunRef>,
        since_us: i64,
        /// That run was asked to end.
        ending: bool,
    },
    /// The run that a stage is cannot be started now.
    NoChild {
        stage: String,
        why: String,
        until_us: i64,
    },
    /// Content sets are being fingerprinted; the sets.
    Content {
        sets: Vec<String>,
        after: bool,
    },
    /// What its turn depends on does not hold now, and is looked at again.
    Withheld {
        stage: String,
        why: String,
        until_us: i64,
    },
    /// A far end writes what it would read: a reposync of a Cobbler, ours or foreign.
    FarEnd {
        system: String,
        name: String,
        /// What is in flight there, such as `a reposync`.
        what: String,
        /// What it is called there.
        id: String,
        since_us: i64,
        /// What it is at now, where that is told.
        at: String,
    },
    /// Cancelled, but a stage that must not be interrupted still runs.
    Uninterruptible {
        stage: String,
        /// Of a post section, which every cancel lets end.
        #[serde(default)]
        post: bool,
    },
    /// Cancel was asked for; its processes are being stopped.
    Cancelling {
        by: String,
    },
    /// Cancelled, and no cancel can end it.
    Beyond {
        run: RunRef,
        stage: String,
        why: String,
    },
    /// A person ends it all the same; what the attempt left is being killed.
    Forced {
        stage: String,
        by: String,
        why: String,
    },
    /// It takes longer than nearly all good runs of its pipeline: when it passed which time.
    Slow {
        limit_ms: u64,
        since_us: i64,
    },
    /// Nothing blocks it: it runs.
    Running {
        stage: String,
        step: String,
        since_us: i64,
    },
    /// It has been decided, and the claim is being written.
    Starting {
        stage: String,
    },
    Ended {
        verdict: Verdict,
    },
}

/// What is asked of people, and who has agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// None = the start of the run, which needs a second person.
    pub stage: Option<String>,
    pub roles: Vec<String>,
    pub quorum: u32,
    /// Who has approved.
    pub given: Vec<String>,
    /// Who may not: the requester.
    pub not: Option<String>,
    pub until_us: i64,
    /// Of the plan and inputs that are approved.
    pub sha: String,
    pub show: Vec<String>,
    /// Question, and what it accepts.
    pub questions: Vec<(String, String)>,
    /// Questions that have an answer already: the default, or what was said by who approved first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<String>,
}

impl Asked {
    fn write(&self, f: &mut fmt::Formatter<'_>, zone: &TimeZone) -> fmt::Result {
        match &self.stage {
            Some(s) => write!(f, "waits for approval at stage `{s}`")?,
            None => f.write_str("its start waits for a second person")?,
        }
        let missing = self.quorum.saturating_sub(self.given.len() as u32);
        write!(f, ": {missing} of {} missing, by {}", self.quorum, self.roles.join(" or "))?;
        if let Some(not) = &self.not {
            write!(f, ", not by {not}")?;
        }
        if !self.given.is_empty() {
            write!(f, "; approved by {}", self.given.join(", "))?;
        }
        write!(f, "; until {}", at(self.until_us, zone))
    }
}

impl Reason {
    /// The word of its variant, such as `lock` or `low-disk`: the `type` of its JSON.
    pub fn kind(&self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.get("type")?.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Its words, with the times of the site.
    pub fn in_zone<'a>(&'a self, zone: &'a TimeZone) -> InZone<'a> {
        InZone(self, zone)
    }

    /// True while something holds it back; false for `Running`, `Starting`, `Slow`, `Ended`.
    pub fn blocks(&self) -> bool {
        !matches!(self, Self::Running { .. } | Self::Starting { .. } | Self::Slow { .. } | Self::Ended { .. })
    }
}

/// An instant for people: `2026-11-26 08:30:41 CET`.
pub fn at(us: i64, zone: &TimeZone) -> String {
    let Ok(t) = Timestamp::from_microsecond(us) else { return "?".to_owned() };
    t.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

fn list(runs: &[RunRef]) -> String {
    let mut text = runs.iter().take(4).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if runs.len() > 4 {
        text.push_str(&format!(" and {} more", runs.len() - 4));
    }
    text
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &TimeZone::UTC)
    }
}

/// In UTC, for logs; people get [`Reason::in_zone`].
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &TimeZone::UTC)
    }
}

/// A reason whose times are those of a zone.
pub struct InZone<'a>(&'a Reason, &'a TimeZone);

impl fmt::Display for InZone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, self.1)
    }
}

/// Who else holds a lock, and who comes before in its queue.
fn others(f: &mut fmt::Formatter<'_>, also: &[RunRef], ahead: &[RunRef]) -> fmt::Result {
    if !also.is_empty() {
        write!(f, ", and by {}", list(also))?;
    }
    match ahead.get(..4) {
        Some(four) if ahead.len() > 4 => write!(f, "; before it come {} and more", list(four)),
        _ if ahead.is_empty() => Ok(()),
        _ => write!(f, "; before it comes {}", list(ahead)),
    }
}

fn secret(f: &mut fmt::Formatter<'_>, name: &str, why: &str, again: Option<String>) -> fmt::Result {
    // The chain's own words name the secret.
    match why.contains(&format!("`{name}`")) {
        true => f.write_str(why)?,
        false => write!(f, "secret `{name}` cannot be had: {why}")?,
    }
    match again {
        None => Ok(()),
        Some(at) => write!(f, "; asked again at {at}, or at once by: quarterdeck secret test {name}"),
    }
}

impl Reason {
    fn write(&self, f: &mut fmt::Formatter<'_>, zone: &TimeZone) -> fmt::Result {
        let at = |us: i64| at(us, zone);
        match self {
            Self::Lock { name, wanted, holder, holder_stage, since_us, also, ahead } => {
                write!(f, "waits for lock `{name}` ({wanted}): held by {holder}, stage `{holder_stage}`, since {}", at(*since_us))?;
                others(f, also, ahead)
            }
            Self::LockQueue { name, ahead, ahead_stage } => {
                write!(f, "waits for lock `{name}`: {ahead}, stage `{ahead_stage}`, is ahead of it")
            }
            Self::LockTooSmall { name, wanted, slots } => write!(
                f,
                "can never start: it wants {wanted} slots of lock `{name}`, which has {slots}; raise [locks.{name}] slots in site.toml, or cancel it"
            ),
            Self::Group { name, limit, holders } => write!(f, "concurrency group `{name}` is full ({limit}): {}", list(holders)),
            Self::Executors { busy, limit: 1 } => write!(f, "the one executor is busy: {}", list(busy)),
            Self::Executors { busy, limit } => write!(f, "all {limit} executors are busy: {}", list(busy)),
            Self::MaxParallel { stage, limit } => write!(f, "stage `{stage}` runs at most {limit} cells at once"),
            Self::NeedsStage { stage } => write!(f, "a later stage needs stage `{stage}` to end first"),
            Self::AfterStage { stage } => write!(f, "a post stage runs after stage `{stage}`"),
            Self::Retry { step, attempt, of, until_us } => {
                write!(f, "step `{step}` failed; attempt {attempt} of {of} starts at {}", at(*until_us))
            }
            Self::Secret { name, why, until_us } => secret(f, name, why, Some(*until_us).filter(|us| *us != 0).map(at)),
            Self::LowDisk { path, free_bytes, floor_bytes, .. } if free_bytes < floor_bytes => {
                write!(f, "low disk: {} free of the {} that {path} must have", size::short(*free_bytes), size::short(*floor_bytes))
            }
            Self::LowDisk { path, free_inodes, floor_inodes, .. } => {
                write!(f, "low disk: {free_inodes} inodes free of the {floor_inodes} that {path} must have")
            }
            Self::Drained { by, why, since_us } if why.is_empty() => write!(f, "drained by {by} since {}", at(*since_us)),
            Self::Drained { by, why, since_us } => write!(f, "drained by {by} since {}: {why}", at(*since_us)),
            Self::Store { why } => write!(f, "the engine cannot write its store: {why}"),
            Self::Unreadable { why } => {
                write!(f, "can never start: its stored plan cannot be read ({why}); start the engine that wrote it, or cancel the run")
            }
            Self::Quarantined { stage, why } => {
                write!(f, "stage `{stage}` is set aside: {why}; start the version that wrote it, or cancel the run, which ends as lost")
            }
            Self::Spawn { why, until_us } => write!(f, "the step's supervisor could not be started: {why}; next try at {}", at(*until_us)),
            Self::Approval(asked) => asked.write(f, zone),
            Self::Child { stage, run: None, .. } => write!(f, "stage `{stage}` starts the run that it is"),
            Self::Child { stage, run: Some(run), since_us, ending } => {
                write!(f, "stage `{stage}` waits for {run} since {}", at(*since_us))?;
                if *ending { write!(f, ", which is being cancelled") } else { write!(f, ": quarterdeck why '{run}'") }
            }
            Self::NoChild { stage, why, until_us } => {
                write!(f, "stage `{stage}` cannot start its run now: {why}; next try at {}", at(*until_us))
            }
            Self::Content { sets, after } => {
                write!(f, "content {} is being fingerprinted {} the work", sets.join(", "), if *after { "after" } else { "before" })
            }
            Self::Withheld { stage, why, until_us } => {
                write!(f, "stage `{stage}` is held back: {why}; it is looked at again at {}", at(*until_us))
            }
            Self::FarEnd { system, name, what, id, since_us, at: now } => {
                write!(f, "waits for {system} `{name}`: {what} is in flight since {}", at(*since_us))?;
                if !now.is_empty() {
                    write!(f, ", now at {now}")?;
                }
                write!(f, "; {system} cannot cancel it, and a look now would catch its trees half-way: task {id}")
            }
            Self::Uninterruptible { stage, post: true } => write!(f, "cancelled, and post stage `{stage}` runs to its end all the same"),
            Self::Uninterruptible { stage, post: false } => write!(f, "cancel waits: stage `{stage}` must not be interrupted"),
            Self::Cancelling { by } => write!(f, "cancelled by {by}; its processes are being stopped"),
            Self::Beyond { run, stage, why } => write!(
                f,
                "cancelled, and stage `{stage}` does not end: {why}; the last resort: quarterdeck do force-finish '{run}' --reason TEXT --confirm '{run}'"
            ),
            Self::Forced { stage, by, why } => write!(f, "{by} ends it as lost ({why}): what stage `{stage}` left is being killed first"),
            Self::Slow { limit_ms, since_us } => {
                let (at, limit) = (at(*since_us), duration::short(*limit_ms));
                write!(f, "slow: at {at} it passed {limit}; nearly all good runs of its pipeline took less")
            }
            Self::Running { stage, step, since_us } => write!(f, "runs: stage `{stage}`, step `{step}`, since {}", at(*since_us)),
            Self::Starting { stage } => write!(f, "starts: stage `{stage}`"),
            Self::Ended { verdict } => write!(f, "it has ended: {verdict}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_who_and_what() {
        let r = Reason::Lock {
            name: "mirror".into(),
            wanted: "exclusive".into(),
            holder: RunRef::new("nightly", 7),
            holder_stage: "sync".into(),
            since_us: 0,
            also: vec![RunRef::new("canary", 9)],
            ahead: vec![RunRef::new("weekly", 3)],
        };
        assert_eq!(
            r.to_string(),
            "waits for lock `mirror` (exclusive): held by nightly#7, stage `sync`, since 1970-01-01 00:00:00 UTC, and by canary#9; before it comes weekly#3"
        );
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert!(r.in_zone(&berlin).to_string().contains("since 1970-01-01 01:00:00 CET, and"), "{}", r.in_zone(&berlin));
        assert!(r.blocks());
        let many: Vec<_> = (1..=6).map(|n| RunRef::new("p", n)).collect();
        assert_eq!(Reason::Executors { busy: vec![RunRef::new("p", 1)], limit: 1 }.to_string(), "the one executor is busy: p#1");
        assert_eq!(Reason::Executors { busy: many, limit: 6 }.to_string(), "all 6 executors are busy: p#1, p#2, p#3, p#4 and 2 more");
        assert!(!Reason::Ended { verdict: Verdict::Lost }.blocks());
        let far = Reason::FarEnd {
            system: "cobbler".into(),
            name: "alder".into(),
            what: "a reposync".into(),
            id: "2026_Reposync_1".into(),
            since_us: 0,
            at: "base9-latest".into(),
        };
        let words = "waits for cobbler `alder`: a reposync is in flight since 1970-01-01 00:00:00 UTC, now at base9-latest; cobbler cannot cancel it";
        assert!(far.to_string().starts_with(words) && far.blocks() && far.kind() == "far-end", "{far}");
        let slow = Reason::Slow { limit_ms: 480_000, since_us: 0 };
        assert_eq!(slow.to_string(), "slow: at 1970-01-01 00:00:00 UTC it passed 8m00s; nearly all good runs of its pipeline took less");
        assert!(!slow.blocks());
        let forced = Reason::Forced { stage: "a".into(), by: "ann".into(), why: "its disk is gone".into() };
        assert_eq!(forced.to_string(), "ann ends it as lost (its disk is gone): what stage `a` left is being killed first");
        let post = Reason::Uninterruptible { stage: "tidy".into(), post: true };
        assert_eq!(post.to_string(), "cancelled, and post stage `tidy` runs to its end all the same");
        let secret = |why: &str| Reason::Secret { name: "key".into(), why: why.into(), until_us: 0 }.to_string();
        assert_eq!(secret("secret `key`: file /k does not exist"), "secret `key`: file /k does not exist");
        assert_eq!(secret("the keyring is locked"), "secret `key` cannot be had: the keyring is locked");
        let silent = Reason::Secret { name: "key".into(), why: "secret `key`: locked".into(), until_us: 60_000_000 }.to_string();
        let words = "secret `key`: locked; asked again at 1970-01-01 00:01:00 UTC, or at once by: quarterdeck secret test key";
        assert_eq!(silent, words);
    }
}
