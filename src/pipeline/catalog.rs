//! What a pipeline may name: step kinds, secrets, locks, content sets, other pipelines. Lint and plan read it; they never look for themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::calendar::Calendar;
use super::model::{File, StepAction, Trigger};
use super::outline::Outline;
use super::schedule::{Ticker, Timer};
use crate::domain::level::Level;

/// What a step kind touches. `FarEnd` kinds run only inside a live attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touches {
    /// Writes nothing but the directories that it is given, though it may read a far end.
    Local,
    FarEnd,
}

/// The type of a `with:` field; the text is checked after interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    Text,
    Bool,
    Int,
    /// Base duration form.
    Duration,
    /// A path in the workspace, or absolute.
    Path,
    /// A path that stays in the workspace of a run.
    Inside,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts; a single text counts as one.
    List,
    /// A far end of the site file by name: `alder` of `[cobbler.alder]` where this says `cobbler`. What the table says of it is put
    /// into the frozen plan beside it (`FIELD.KEY`), and its secrets go to the step.
    FarEnd(&'static str),
}

/// A far end of the site file, as a step is told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FarEnd {
    /// Key and value, such as `url`.
    pub settled: Vec<(&'static str, String)>,
    /// Names of the secrets that the step gets.
    pub secrets: Vec<String>,
}

/// One field of a step kind's `with:`.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub ty: FieldType,
    pub required: bool,
    pub doc: &'static str,
}

/// One native step kind, such as `mirror/sync`. The `steps` room owns the list.
#[derive(Debug, Clone, Copy)]
pub struct StepKind {
    pub kind: &'static str,
    pub doc: &'static str,
    pub with: &'static [Field],
    pub touches: Touches,
}

/// Everything outside the file that the file may name. Absent map entries are lint errors at the place that names them.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub kinds: Vec<StepKind>,
    /// Known for later versions, absent here: `(kind, since)`, so that lint can say so.
    pub later_kinds: Vec<(&'static str, &'static str)>,
    pub secrets: Vec<String>,
    /// Lock name → slots (1 = a plain lock). Locks that a site does not list have one slot; lint warns of them.
    pub locks: BTreeMap<String, u32>,
    /// Content set → repositories.
    pub sets: BTreeMap<String, Vec<String>>,
    /// Repository → facts that `with:` may interpolate as `${repos.NAME.FIELD}`.
    pub repos: BTreeMap<String, Repo>,
    /// Kind of far end (`cobbler`) → name → what the site file says of it.
    pub far_ends: BTreeMap<&'static str, BTreeMap<String, FarEnd>>,
    /// What tells people, for `notify:`.
    pub notifiers: BTreeMap<String, Notifier>,
    /// Names of all pipelines of the site, for `upstream:`.
    pub pipelines: Vec<String>,
    /// Pipeline → names of the stages of its file, where it was read; checks `stage:` of upstream triggers.
    pub stages: BTreeMap<String, Vec<String>>,
    /// Pipeline → names of stages that earlier runs had; lint uses it to tell a new stage from a step that lost its indent.
    pub history: BTreeMap<String, Vec<String>>,
    /// Roles of the site, for `approve:`. Empty = not known here, and not checked.
    pub roles: Vec<String>,
    /// Default zone of every trigger, IANA name.
    pub time_zone: String,
    /// Calendars of the site; the text says why one cannot be read.
    pub calendars: BTreeMap<String, Result<Calendar, String>>,
    /// Pipelines that the file at hand builds, and those that these build in turn.
    pub outlines: BTreeMap<String, Outline>,
    /// Judges as of then what time decides, such as a calendar that never opens again. None = that is not judged: a pipeline must not
    /// become unusable by the mere passing of time.
    pub now: Option<jiff::Timestamp>,
}

/// A command that tells people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notifier {
    /// Program and arguments; no shell reads them.
    pub command: Vec<String>,
    /// Names of the secrets that it gets, as files.
    pub secrets: Vec<String>,
}

/// A repository of the site file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repo {
    pub upstream: Vec<String>,
    pub tree: String,
    pub writer: String,
    pub replicas: Vec<String>,
}

/// Pipelines that a walk visits at most: more do not stand in one directory by reason.
const MOST: usize = 10_000;

impl Catalog {
    /// The calendars that a trigger has to ask; none where one of them is not there or cannot be read.
    pub fn calendars_of(&self, file: &File, t: &Trigger) -> Option<Vec<Arc<Calendar>>> {
        file.calendars_of(Some(t)).into_iter().map(|n| Some(Arc::new(self.calendars.get(n)?.as_ref().ok()?.clone()))).collect()
    }

    /// The starts of a trigger as its calendars are now; none for what no clock fires.
    pub fn ticker(&self, file: &File, t: &Trigger) -> Option<Ticker> {
        Timer::of(t, &self.time_zone)?.ticker_in(&file.name.value, self.calendars_of(file, t).as_deref()).ok()
    }

    /// A pipeline and all that it builds, itself first. With `waited`, only those whose end it waits for.
    pub fn built_by<'a>(&'a self, pipeline: &'a str, waited: bool) -> Vec<(&'a str, &'a Outline)> {
        let (mut seen, mut todo, mut out) = (BTreeSet::new(), vec![pipeline], Vec::new());
        while let Some(name) = todo.pop() {
            let Some(outline) = self.outlines.get(name).filter(|_| seen.len() < MOST && seen.insert(name)) else { continue };
            todo.extend(outline.builds.iter().filter(|e| e.wait || !waited).map(|e| e.pipeline.as_str()));
            out.push((name, outline));
        }
        out
    }

    /// What a run of the pipeline may do, all that it builds counted; none where it is not known.
    pub fn level_of(&self, pipeline: &str) -> Option<Level> {
        self.outlines.get(pipeline)?;
        self.built_by(pipeline, false).iter().map(|(_, o)| o.level).max()
    }

    /// The longest row of pipelines that build each other from this one on, itself counted; `stop` bounds it, also in a circle.
    pub fn depth_of(&self, pipeline: &str, stop: usize) -> usize {
        let mut layer: BTreeSet<&str> = BTreeSet::from([pipeline]);
        for depth in 0..stop {
            let next: BTreeSet<&str> =
                layer.iter().filter_map(|p| self.outlines.get(*p)).flat_map(|o| &o.builds).map(|e| e.pipeline.as_str()).collect();
            if next.is_empty() {
                return depth + 1;
            }
            layer = next;
        }
        stop
    }

    /// Fills in the danger of the pipelines that a file builds.
    pub fn rate_builds(&self, file: &mut File) {
        for step in file.stages.iter_mut().flat_map(|s| &mut s.steps) {
            if let StepAction::Build(b) = &mut step.action {
                b.level = self.level_of(&b.pipeline.value);
            }
        }
    }
}
