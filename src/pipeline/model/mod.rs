//! The typed file: what a pipeline says, with the place of everything that lint may speak about. No defaults of the runner: `freeze` adds those.

mod approve;
mod build;
mod child;
mod fields;
mod parameter;
mod stage;
mod step;
mod trigger;

use jiff::civil::DateTime;

use super::diagnostic::Loc;
use super::plan::{LockMode, OnConflict, PostWhen, RetryOn};
use super::reader::{Node, Word};
use crate::base::duration::Span;
use crate::domain::level::Level;

pub use build::build;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    pub value: T,
    pub at: Loc,
}

impl<T> At<T> {
    pub fn new(value: T, at: Loc) -> Self {
        Self { value, at }
    }
}

/// Name and template, in file order.
pub type Pairs = Vec<(Word, Node)>;

#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Its name for messages.
    pub path: String,
    /// sha256 of the bytes that it was read from, hexadecimal.
    pub sha256: String,
    pub name: At<String>,
    pub description: String,
    pub triggers: Vec<Trigger>,
    pub parameters: Vec<Parameter>,
    pub options: Options,
    pub env: Pairs,
    /// `None`: no list, so its stages may name any secret of the site.
    pub secrets: Option<Vec<SecretUse>>,
    pub stages: Vec<Stage>,
    pub post: Post,
    /// Of every stage, beside its own.
    pub inputs: Vec<InputUse>,
    pub views: Vec<At<String>>,
    /// `canary:KIND` and `formula:NAME`.
    pub labels: Vec<String>,
    /// What its runs set off counts, not they.
    pub umbrella: bool,
    pub run_name: Option<Node>,
    pub danger: Option<At<Level>>,
    pub priority: i32,
    /// Calendars that hold for every start.
    pub calendars: Vec<At<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    pub at: Loc,
    pub kind: TriggerKind,
    pub timezone: Option<At<String>>,
    pub jitter: Span,
    pub catch_up: At<CatchUp>,
    /// Calendars that hold for this trigger, beside the file's.
    pub calendars: Vec<At<String>>,
    /// `shift: next`: a start in a closed time is moved, not skipped.
    pub shift: Option<Loc>,
    pub marks: Marks,
}

/// Where the values of a trigger stand that are judged beside each other; the trigger itself where they were not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// `every:`, or `interval:` of `git`.
    pub interval: Loc,
    pub anchor: Loc,
    pub jitter: Loc,
    pub reference: Loc,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TriggerKind {
    Cron {
        pattern: At<String>,
    },
    Every {
        every: Span,
        anchor: DateTime,
    },
    /// The end of another pipeline's run, or of one of its stages.
    Upstream {
        pipeline: At<String>,
        stage: Option<At<String>>,
        on: UpstreamOn,
    },
    /// A reference of a repository that moved.
    Git {
        url: At<String>,
        reference: String,
        interval: Span,
    },
    Manual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamOn {
    Success,
    /// Every end that is no success.
    Failure,
    Any,
}

/// What happens to occurrences that were missed while no engine ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    Skip,
    Once { within: Span },
    All { within: Span, max: u32 },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: Word,
    pub ty: ParamType,
    pub default: Option<At<String>>,
    pub description: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ParamType {
    Text { pattern: Option<String>, min: Option<i64>, max: Option<i64> },
    Bool,
    Int { min: Option<i64>, max: Option<i64> },
    Choice(Vec<String>),
    Run { of: Option<At<String>>, result: RunResult },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunResult {
    Success,
    Failure,
    #[default]
    Any,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    pub concurrency: Option<Concurrency>,
    pub timeout: Option<Span>,
    pub keep_runs: Option<u32>,
    pub keep_days: Option<u32>,
    pub pin: Option<Vec<String>>,
    pub log_max: Option<u64>,
    pub kill_on_limit: bool,
    /// Lines of logs that are errors, by name, and those that are none.
    pub errors: Vec<(Word, At<String>)>,
    pub harmless: Vec<At<String>>,
    pub grace: Option<Span>,
    pub interpreter: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Concurrency {
    pub group: String,
    pub limit: u32,
    pub on_conflict: OnConflict,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    pub name: At<String>,
    /// Written as a stage with `run:` or `uses:` of its own, without `steps:`.
    pub short: bool,
    /// It has no key that a step could not have too.
    pub step_like: bool,
    pub when: Option<Node>,
    pub needs: Option<Vec<At<String>>>,
    pub matrix: Option<Matrix>,
    pub reads: Vec<At<String>>,
    pub writes: Vec<At<String>>,
    pub locks: Vec<LockUse>,
    pub allow_failure: bool,
    pub danger: Option<At<Level>>,
    pub idempotent: bool,
    /// `on_lost: retry`.
    pub on_lost_retry: Option<Loc>,
    pub uninterruptible: bool,
    pub retry: Option<At<Retry>>,
    pub timeout: Option<At<Span>>,
    pub stall: Option<At<Span>>,
    pub grace: Option<Span>,
    pub env: Pairs,
    pub secrets: Vec<SecretUse>,
    pub interpreter: Option<Vec<String>>,
    pub daemon: bool,
    pub inputs: Vec<InputUse>,
    pub steps: Vec<Step>,
    pub post: Post,
    /// It has no steps: people decide.
    pub approve: Option<Approve>,
}

/// A stage that waits for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Approve {
    pub at: Loc,
    pub roles: Vec<At<String>>,
    pub quorum: u32,
    pub not_requester: bool,
    pub expires: Option<At<Span>>,
    pub show: Vec<At<String>>,
    pub ask: Vec<Parameter>,
}

/// Files that another run kept.
#[derive(Debug, Clone, PartialEq)]
pub struct InputUse {
    /// A parameter of type `run`, or [`TRIGGER`].
    pub from: At<String>,
    pub path: At<String>,
    pub to: Option<At<String>>,
}

/// `from: trigger`: the run that set this one off.
pub const TRIGGER: &str = "trigger";

#[derive(Debug, Clone, PartialEq)]
pub struct ArtifactUse {
    pub path: At<String>,
    /// It is a test report.
    pub tests: Option<TestsUse>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TestsUse {
    pub flaky_after: Option<u32>,
    /// Failed tests change no verdict.
    pub note_only: bool,
}

/// Some keys of a cell with their values.
pub type PartialCell = Vec<(Word, At<String>)>;

#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    pub at: Loc,
    pub keys: Vec<(Word, Vec<At<String>>)>,
    pub include: Vec<At<PartialCell>>,
    pub exclude: Vec<At<PartialCell>>,
    pub max_parallel: Option<u32>,
    pub fail_fast: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    pub attempts: u32,
    pub delay: Span,
    pub backoff: f64,
    pub on: Vec<RetryOn>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LockUse {
    pub name: At<String>,
    pub mode: LockMode,
    /// The mode is written, not the default.
    pub said: bool,
    pub slots: At<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SecretUse {
    pub name: At<String>,
    pub env: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub name: At<String>,
    pub at: Loc,
    pub action: StepAction,
    pub env: Pairs,
    pub secrets: Vec<SecretUse>,
    pub artifacts: Vec<ArtifactUse>,
    pub timeout: Option<At<Span>>,
    pub stall: Option<At<Span>>,
    pub grace: Option<Span>,
    pub interpreter: Option<Vec<String>>,
    pub daemon: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StepAction {
    Run(Node),
    Uses {
        kind: At<String>,
        with: Pairs,
    },
    /// A run of another pipeline. It is the only step of its stage.
    Build(Build),
    /// A run is kept.
    Pin(Node),
    /// People are told, by a command of the site.
    Notify {
        to: At<String>,
        with: Pairs,
    },
}

impl Step {
    /// With nothing beside what it does.
    fn bare(name: At<String>, at: Loc, action: StepAction) -> Self {
        Self {
            name,
            at,
            action,
            env: Vec::new(),
            secrets: Vec::new(),
            artifacts: Vec::new(),
            timeout: None,
            stall: None,
            grace: None,
            interpreter: None,
            daemon: false,
        }
    }
}

/// `build:` of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    pub pipeline: At<String>,
    pub parameters: Pairs,
    pub wait: bool,
    /// The danger of that pipeline, once the catalogue was asked.
    pub level: Option<Level>,
}

/// Steps by occasion, in the order in which they run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Post {
    pub parts: Vec<(PostWhen, Vec<Step>)>,
}

impl Stage {
    /// The run of another pipeline that it is.
    pub fn build(&self) -> Option<&Build> {
        self.steps.iter().find_map(|s| if let StepAction::Build(b) = &s.action { Some(b) } else { None })
    }

    /// What it may do: its own word, else the file's, else L1; where it is a run of another pipeline, what that may do.
    pub fn level(&self, file: &File) -> Level {
        if let Some(level) = self.build().and_then(|b| b.level) {
            return level;
        }
        self.danger.as_ref().or(file.danger.as_ref()).map_or(Level::default(), |d| d.value)
    }
}

impl File {
    /// How a start must be confirmed: the file's word, but never less than a stage's.
    pub fn level(&self) -> Level {
        let stages = self.stages.iter().filter_map(|s| s.danger.as_ref()).map(|d| d.value).max();
        let own = self.danger.as_ref().map(|d| d.value);
        let built = self.stages.iter().filter_map(|s| s.build()?.level).max();
        own.max(stages).unwrap_or_default().max(built.unwrap_or(Level::L0))
    }

    /// Calendars that a trigger, or a start by hand (`None`), has to ask.
    pub fn calendars_of<'a>(&'a self, trigger: Option<&'a Trigger>) -> Vec<&'a str> {
        let own = trigger.into_iter().flat_map(|t| &t.calendars);
        let mut all: Vec<&str> = self.calendars.iter().chain(own).map(|c| c.value.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|p| p.name.text == name)
    }

    /// The stage of this name, with its place among the stages (from 0).
    pub fn stage(&self, name: &str) -> Option<(usize, &Stage)> {
        self.stages.iter().enumerate().find(|(_, s)| s.name.value == name)
    }

    /// Every step with the stage that it belongs to; none for the run's own post steps.
    pub fn all_steps(&self) -> impl Iterator<Item = (Option<&Stage>, &Step)> {
        let own = self.post.parts.iter().flat_map(|(_, steps)| steps).map(|s| (None, s));
        self.stages
            .iter()
            .flat_map(|stage| {
                let post = stage.post.parts.iter().flat_map(|(_, steps)| steps);
                stage.steps.iter().chain(post).map(move |s| (Some(stage), s))
            })
            .chain(own)
    }
}
