//! The screens: what each shows, what it asks for, and the lists on it.

use jiff::Timestamp;

use super::list::List;
pub use super::pane::Pane;
use crate::console::keymap::Scope;
use crate::console::log::LogScreen;
use crate::console::question::Question;
pub use crate::console::question::{NEXT, PAGE};
use crate::domain::run::RunRef;

/// Runs side by side on a run's page.
pub const PAST: usize = 8;

/// Which screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Home,
    Jobs,
    Runs,
    Run(RunRef),
    /// The log of a run, or of a `STAGE` or `STAGE/STEP` of it.
    Log(RunRef, Option<String>),
    /// The page of a pipeline: its text, plan, picture and findings.
    Pipeline(String),
    Audit,
    Schedule,
    Decisions,
    Locks,
    Doctor,
    Mirrors,
    Promotions,
    /// One promotion on the whole screen.
    Promotion(String),
    /// The versions of content sets, and what is held of them.
    Content,
    /// Two contents, source by source or package by package.
    Diff(Pair),
}

/// Two contents, by the words that the engine has for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pair {
    pub a: String,
    pub b: String,
    /// What the screen calls them; the words where it knows no better.
    pub names: (String, String),
    /// The OS that a package of them would be held in; empty where nobody said.
    pub os: String,
}

impl Pair {
    /// Of words alone. A fingerprint is called by its beginning, as everywhere.
    pub fn of(a: &str, b: &str) -> Self {
        let is_fingerprint = |w: &str| w.len() == 64 && w.bytes().all(|b| b.is_ascii_hexdigit());
        let called = |w: &str| if is_fingerprint(w) { super::word::short(w) } else { w.to_owned() };
        Self { a: a.to_owned(), b: b.to_owned(), names: (called(a), called(b)), os: String::new() }
    }

    pub fn question(&self, table: &'static str) -> Question {
        Question::Changes { a: self.a.clone(), b: self.b.clone(), table }
    }

    /// `A -> B`.
    pub fn title(&self) -> String {
        format!("{} -> {}", self.names.0, self.names.1)
    }
}

/// What stands beside the list of mirrors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    #[default]
    All,
    Replicas,
    Used,
    History,
    Graph,
    /// What places in trouble answered, as it came.
    Raw,
}

/// Which part of a promotion has the page below its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    #[default]
    All,
    Blast,
    Undo,
    Story,
    /// Source packages between the two contents.
    Diff,
    /// Those of them that have CVE ids, or of which nobody can say.
    Cves,
    /// When the calendar is open.
    Calendar,
}

/// A row: its table and its id.
pub type Place = (&'static str, String);

/// Where the cursor of the list in front rests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rest {
    /// The row under it, and since when; none = nobody has moved it yet.
    pub at: Option<(Place, Timestamp)>,
    /// The row that stands beside the list.
    pub beside: Option<Place>,
}

#[derive(Debug, Clone)]
pub struct Screen {
    pub kind: Kind,
    /// One for each pane.
    pub lists: Vec<List>,
    /// The list that has the keys.
    pub focus: usize,
    /// It has them because the first list has no rows.
    pub lent: bool,
    /// The list has the whole width, and no detail.
    pub wide: bool,
    /// Rows that a page without lists is scrolled by.
    pub scroll: u16,
    /// Of the page of a promotion.
    pub part: Part,
    /// Of the screen of mirrors.
    pub side: Side,
    /// Where the cursor rests, and what stands beside the list.
    pub rest: Rest,
    /// What the cursor of a run's page stands on; none = nothing yet.
    pub spot: Option<String>,
    /// What the log screen has beside.
    pub log: Option<Box<LogScreen>>,
}

const NEEDS: Pane = Pane { what: "needs", id: "id", title: "NEEDS YOU" };
const RUNS: Pane = Pane { what: "runs", id: "run", title: "RUNS" };
const QUEUE: Pane = Pane { what: "queue", id: "run", title: "QUEUE" };
const EXECUTORS: Pane = Pane { what: "executors", id: "executor", title: "EXECUTORS" };
const PIPELINES: Pane = Pane { what: "pipelines", id: "pipeline", title: "PIPELINES" };
const AUDIT: Pane = Pane { what: "audit", id: "seq", title: "AUDIT" };
const SCHEDULE: Pane = Pane { what: "schedule", id: "pipeline trigger", title: "TRIGGERS" };
const DUE: Pane = Pane { what: "due", id: "pipeline trigger scheduled_for", title: "NEXT STARTS" };
const OCCURRENCES: Pane = Pane { what: "occurrences", id: "pipeline trigger scheduled_for", title: "LEDGER" };
const DECISIONS: Pane = Pane { what: "decisions", id: "id", title: "DECISIONS" };
const LOCKS: Pane = Pane { what: "locks", id: "lock run stage", title: "LOCKS" };
const MIRRORS: Pane = Pane { what: "repos", id: "repo", title: "REPOSITORIES" };
const PROMOTIONS: Pane = Pane { what: "promotions", id: "promotion", title: "PROMOTIONS" };
const VERSIONS: Pane = Pane { what: "versions", id: "set fp", title: "VERSIONS" };
const HOLDS: Pane = Pane { what: "holds", id: "hold", title: "HOLDS AND ADDITIONS" };
const SOURCES: Pane = Pane { what: "sources", id: "source", title: "SOURCES" };
const PACKAGES: Pane = Pane { what: "packages", id: "name arch stream", title: "PACKAGES" };
const DOCTOR: Pane = Pane { what: "doctor", id: "check found", title: "CHECKS" };

impl Kind {
    /// Names as the command line and the palette write them, with the kinds that need no target.
    pub const NAMED: [(&str, Self); 11] = [
        ("home", Self::Home),
        ("jobs", Self::Jobs),
        ("runs", Self::Runs),
        ("audit", Self::Audit),
        ("schedule", Self::Schedule),
        ("decisions", Self::Decisions),
        ("locks", Self::Locks),
        ("doctor", Self::Doctor),
        ("mirrors", Self::Mirrors),
        ("promotions", Self::Promotions),
        ("content", Self::Content),
    ];

    /// `RUN[/STAGE[/STEP]]` as a screen.
    pub fn log_of(text: &str) -> Result<Self, String> {
        let (run, place) = text.split_once('/').map_or((text, ""), |(r, p)| (r, p.trim_end_matches('/')));
        let run: RunRef = run.parse().map_err(|e: crate::domain::run::BadRunRef| e.to_string())?;
        Ok(Self::Log(run, Some(place.to_owned()).filter(|p| !p.is_empty())))
    }

    pub fn panes(&self) -> &'static [Pane] {
        match self {
            Self::Home => &[NEEDS, RUNS],
            Self::Jobs => &[PIPELINES, QUEUE, EXECUTORS],
            Self::Runs => &[RUNS],
            Self::Run(_) | Self::Log(..) | Self::Pipeline(_) | Self::Promotion(_) => &[],
            Self::Audit => &[AUDIT],
            Self::Schedule => &[DUE, OCCURRENCES, SCHEDULE],
            Self::Decisions => &[DECISIONS],
            Self::Locks => &[LOCKS],
            Self::Doctor => &[DOCTOR],
            Self::Mirrors => &[MIRRORS],
            Self::Promotions => &[PROMOTIONS],
            Self::Content => &[VERSIONS, HOLDS],
            Self::Diff(_) => &[SOURCES, PACKAGES],
        }
    }

    /// What row 1 calls it.
    pub fn title(&self) -> String {
        match self {
            Self::Home => "[0]HOME".into(),
            Self::Jobs => "[8]JOBS".into(),
            Self::Runs => "RUNS".into(),
            Self::Run(run) => format!("RUN {run}"),
            Self::Log(run, _) => format!("[9]LOG {run}"),
            Self::Pipeline(name) => format!("PIPELINE {name}"),
            Self::Audit => "AUDIT".into(),
            Self::Schedule => "SCHEDULE".into(),
            Self::Decisions => "DECISIONS".into(),
            Self::Locks => "LOCKS".into(),
            Self::Doctor => "DOCTOR".into(),
            Self::Mirrors => "[3]MIRRORS".into(),
            Self::Promotions => "[6]PROMOTIONS".into(),
            Self::Promotion(id) => format!("[6]{id}"),
            Self::Content => "CONTENT".into(),
            Self::Diff(_) => "DIFF".into(),
        }
    }
}

impl Screen {
    pub fn of(kind: Kind) -> Self {
        let mut lists = vec![List::default(); kind.panes().len()];
        if let (Kind::Mirrors, Some(first)) = (&kind, lists.first_mut()) {
            // What is broken first, then what is late, what is well, what stands still.
            first.sort = Some(("rank".to_owned(), false));
        }
        let log = match &kind {
            Kind::Log(run, place) => Some(Box::new(LogScreen::new(run.clone(), place.clone()))),
            _ => None,
        };
        Self {
            kind,
            lists,
            focus: 0,
            lent: false,
            wide: false,
            scroll: 0,
            part: Part::All,
            side: Side::All,
            rest: Rest::default(),
            spot: None,
            log,
        }
    }

    pub fn home() -> Self {
        Self::of(Kind::Home)
    }

    /// All that it shows, the ribbon with it.
    pub fn needs(&self) -> Vec<Question> {
        let table = |what| Question::Rows { what, limit: PAGE };
        let mut all = vec![Question::Status];
        for (i, pane) in self.kind.panes().iter().enumerate().filter(|(_, p)| p.what != "needs") {
            // Packages are many: they are asked for once somebody looks at them.
            if pane.what == "packages" && self.focus != i {
                continue;
            }
            let list = self.lists.get(i);
            all.push(list.and_then(|l| l.page.clone()).map_or_else(|| self.base(pane), |p| Question::Page(Box::new(p))));
            all.extend(list.and_then(|l| l.wanted.clone()).map(|p| Question::Page(Box::new(p))));
        }
        match &self.kind {
            Kind::Run(run) => {
                all.extend([Question::Run(run.clone()), Question::Why(run.clone()), Question::About(run.clone())]);
                all.push(Question::History { pipeline: run.pipeline.clone(), limit: PAST });
            }
            Kind::Log(run, _) => all.push(Question::Attempts(run.clone())),
            Kind::Jobs => all.push(table("runs")),
            Kind::Mirrors => all.push(table("mirrors")),
            Kind::Promotion(id) => all.extend([Question::Promotion(id.clone()), table("promotions"), table("holds")]),
            Kind::Promotions => all.push(table("holds")),
            _ => {}
        }
        // What the second row tells is the same on every screen.
        for q in ["pipelines", "queue", "schedule", "repos", "promotions"].map(table) {
            if !all.contains(&q) {
                all.push(q);
            }
        }
        all
    }

    /// The scopes of keys that hold on this screen, outermost first.
    pub fn scopes(&self) -> &'static [Scope] {
        match self.kind {
            Kind::Log(..) => &[Scope::Global, Scope::Log],
            Kind::Mirrors => &[Scope::Global, Scope::List, Scope::Mirrors],
            Kind::Pipeline(_) => &[Scope::Global, Scope::Pipeline],
            Kind::Promotions | Kind::Promotion(_) => &[Scope::Global, Scope::List, Scope::Promotions],
            Kind::Content => &[Scope::Global, Scope::List, Scope::Content],
            Kind::Diff(_) => &[Scope::Global, Scope::List, Scope::Diff],
            _ => &[Scope::Global, Scope::List],
        }
    }

    /// The question that the beginning of a list's table answers.
    pub fn base(&self, pane: &Pane) -> Question {
        match &self.kind {
            Kind::Diff(pair) => pair.question(pane.what),
            _ => pane.question(),
        }
    }

    /// The question without whose answer there is nothing to show: about what the screen was opened for by name.
    pub fn about(&self) -> Option<Question> {
        match &self.kind {
            Kind::Run(run) => Some(Question::Run(run.clone())),
            Kind::Log(run, _) => Some(Question::Attempts(run.clone())),
            Kind::Promotion(id) => Some(Question::Promotion(id.clone())),
            Kind::Diff(pair) => Some(pair.question("sources")),
            _ => None,
        }
    }

    /// The two contents whose comparison it lists.
    pub fn compared(&self) -> Option<(String, String)> {
        match &self.kind {
            Kind::Diff(p) => Some((p.a.clone(), p.b.clone())),
            _ => None,
        }
    }

    /// The question that the rows of this list answer.
    pub fn question(&self, pane: &Pane) -> Question {
        let list = self.kind.panes().iter().position(|p| p == pane).and_then(|i| self.lists.get(i));
        list.and_then(|l| l.page.clone()).map_or_else(|| self.base(pane), |p| Question::Page(Box::new(p)))
    }

    /// The list that has the keys, with what it lists.
    pub fn pane(&self) -> Option<(Pane, &List)> {
        Some((*self.kind.panes().get(self.focus)?, self.lists.get(self.focus)?))
    }

    pub fn pane_mut(&mut self) -> Option<(Pane, &mut List)> {
        Some((*self.kind.panes().get(self.focus)?, self.lists.get_mut(self.focus)?))
    }
}
