//! What was killed, while it was doing what: the cells, which of them can be reached, and the table of the report.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Engine,
    Shim,
    Step,
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    BeforeClaim,
    Claimed,
    Started,
    Running,
    Draining,
    Status,
    Ingest,
    BetweenStages,
    Post,
    Publish,
    /// The clock has fired, and no run is written yet.
    Due,
    /// Run and row are written, and nothing else has been done about them.
    Fired,
    /// The scheduler looks for the first time: it reads the triggers, and settles what was due while nobody looked.
    CatchingUp,
}

impl Target {
    pub const ALL: [Self; 4] = [Self::Engine, Self::Shim, Self::Step, Self::Client];
}

impl Doing {
    pub const ALL: [Self; 13] = [
        Self::BeforeClaim,
        Self::Claimed,
        Self::Started,
        Self::Running,
        Self::Draining,
        Self::Status,
        Self::Ingest,
        Self::BetweenStages,
        Self::Post,
        Self::Publish,
        Self::Due,
        Self::Fired,
        Self::CatchingUp,
    ];
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Engine => "engine",
            Self::Shim => "shim",
            Self::Step => "step",
            Self::Client => "client",
        })
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BeforeClaim => "before claim",
            Self::Claimed => "claimed",
            Self::Started => "started",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Status => "status",
            Self::Ingest => "ingest",
            Self::BetweenStages => "between stages",
            Self::Post => "post",
            Self::Publish => "publish",
            Self::Due => "due, no run yet",
            Self::Fired => "fired",
            Self::CatchingUp => "catching up",
        })
    }
}

pub type Cell = (Target, Doing);

/// Why a cell cannot be hit; none = it must be.
pub fn unreachable(cell: Cell) -> Option<&'static str> {
    match cell {
        (Target::Shim, Doing::BeforeClaim | Doing::Ingest | Doing::BetweenStages) => Some("no shim exists then"),
        (Target::Step, Doing::BeforeClaim | Doing::Ingest | Doing::BetweenStages) => Some("no step exists then"),
        (Target::Shim | Target::Step, Doing::Due | Doing::Fired | Doing::CatchingUp) => Some("a run that is just written has neither"),
        (Target::Step, Doing::Claimed) => {
            Some("the child is behind its gate: killing it there is the shim's cell `claimed`, and no command of ours ran")
        }
        (Target::Step, Doing::Status) => Some("the sweep has removed the last process before the status is written"),
        _ => None,
    }
}

/// Every cell that a full run must hit.
pub fn reachable() -> Vec<Cell> {
    Target::ALL.iter().flat_map(|t| Doing::ALL.iter().map(move |d| (*t, *d))).filter(|c| unreachable(*c).is_none()).collect()
}

/// Kills counted by cell.
#[derive(Debug, Default, Clone)]
pub struct Tally(BTreeMap<Cell, u32>);

impl Tally {
    pub fn add(&mut self, cell: Cell) {
        *self.0.entry(cell).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Tally) {
        for (cell, n) in &other.0 {
            *self.0.entry(*cell).or_default() += n;
        }
    }

    pub fn total(&self) -> u32 {
        self.0.values().sum()
    }

    pub fn of(&self, cell: Cell) -> u32 {
        self.0.get(&cell).copied().unwrap_or(0)
    }

    /// Reachable cells with fewer than `least` kills.
    pub fn thin(&self, least: u32) -> Vec<Cell> {
        reachable().into_iter().filter(|c| self.of(*c) < least).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16}", "was doing")?;
        for target in Target::ALL {
            write!(f, "{target:>8}")?;
        }
        writeln!(f)?;
        for doing in Doing::ALL {
            write!(f, "{doing:<16}")?;
            for target in Target::ALL {
                let n = self.of((target, doing));
                match (n, unreachable((target, doing))) {
                    (0, Some(_)) => write!(f, "{:>8}", "-")?,
                    (n, _) => write!(f, "{n:>8}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
