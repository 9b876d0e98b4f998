//! The screens: what each shows, what it asks for, and the lists on it.

use super::list::List;
use crate::console::question::Question;
use crate::domain::run::RunRef;

/// Rows of a long table that a screen asks for at first.
pub const PAGE: usize = 500;

/// Which screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Home,
    Jobs,
    Runs,
    Run(RunRef),
    Audit,
    Schedule,
}

/// One of the lists of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pane {
    /// The table that it lists.
    pub what: &'static str,
    /// The column that names a row.
    pub id: &'static str,
    pub title: &'static str,
}

#[derive(Debug, Clone)]
pub struct Screen {
    pub kind: Kind,
    /// One for each pane.
    pub lists: Vec<List>,
    /// The list that has the keys.
    pub focus: usize,
}

const RUNS: Pane = Pane { what: "runs", id: "run", title: "RUNS" };
const QUEUE: Pane = Pane { what: "queue", id: "run", title: "QUEUE" };
const PIPELINES: Pane = Pane { what: "pipelines", id: "pipeline", title: "PIPELINES" };
const AUDIT: Pane = Pane { what: "audit", id: "seq", title: "AUDIT" };
const SCHEDULE: Pane = Pane { what: "schedule", id: "pipeline", title: "DUE" };

impl Kind {
    /// Names as the command line and the palette write them, with the kinds that need no target.
    pub const NAMED: [(&str, Self); 5] =
        [("home", Self::Home), ("jobs", Self::Jobs), ("runs", Self::Runs), ("audit", Self::Audit), ("schedule", Self::Schedule)];

    pub fn panes(&self) -> &'static [Pane] {
        match self {
            Self::Home => &[RUNS],
            Self::Jobs => &[PIPELINES, QUEUE],
            Self::Runs => &[RUNS],
            Self::Run(_) => &[],
            Self::Audit => &[AUDIT],
            Self::Schedule => &[SCHEDULE],
        }
    }

    /// What row 1 calls it.
    pub fn title(&self) -> String {
        match self {
            Self::Home => "[0]HOME".into(),
            Self::Jobs => "[8]JOBS".into(),
            Self::Runs => "RUNS".into(),
            Self::Run(run) => format!("RUN {run}"),
            Self::Audit => "AUDIT".into(),
            Self::Schedule => "SCHEDULE".into(),
        }
    }
}

impl Screen {
    pub fn of(kind: Kind) -> Self {
        let lists = vec![List::default(); kind.panes().len()];
        Self { kind, lists, focus: 0 }
    }

    pub fn home() -> Self {
        Self::of(Kind::Home)
    }

    /// All that it shows.
    pub fn needs(&self) -> Vec<Question> {
        let table = |what| Question::Rows { what, limit: PAGE };
        let mut all = vec![Question::Status];
        all.extend(self.kind.panes().iter().map(|p| table(p.what)));
        match &self.kind {
            Kind::Home => all.extend([table("queue"), table("pipelines"), table("schedule")]),
            Kind::Jobs => all.push(table("runs")),
            Kind::Run(run) => {
                all.extend([Question::Run(run.clone()), Question::Why(run.clone())]);
                all.push(Question::History { pipeline: run.pipeline.clone(), limit: 14 });
            }
            Kind::Runs | Kind::Audit | Kind::Schedule => {}
        }
        all
    }

    /// The list that has the keys, with what it lists.
    pub fn pane(&self) -> Option<(Pane, &List)> {
        Some((*self.kind.panes().get(self.focus)?, self.lists.get(self.focus)?))
    }

    pub fn pane_mut(&mut self) -> Option<(Pane, &mut List)> {
        Some((*self.kind.panes().get(self.focus)?, self.lists.get_mut(self.focus)?))
    }
}
