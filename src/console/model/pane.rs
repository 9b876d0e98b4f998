//! One list of a screen: the table behind it, and what names its rows.

use super::word;
use crate::console::question::{NEXT, PAGE, Question, Row};

/// One of the lists of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pane {
    /// The table that it lists; `needs` is the console's own.
    pub what: &'static str,
    /// The columns that name a row, separated by blanks.
    pub id: &'static str,
    pub title: &'static str,
}

impl Pane {
    pub fn id(&self, row: &Row) -> String {
        if !self.id.contains(' ') {
            return word::text(row, self.id);
        }
        self.id.split(' ').map(|c| word::text(row, c)).collect::<Vec<_>>().join(" ")
    }

    /// What a row is about: a run where it names one, else a pipeline, else its id.
    pub fn subject(&self, row: &Row) -> String {
        let first = |fields: &[&str]| fields.iter().map(|f| word::text(row, f)).find(|t| !t.is_empty());
        match self.what {
            "needs" => word::text(row, "target"),
            "occurrences" | "executors" | "locks" => first(&["run", "pipeline"]).unwrap_or_default(),
            "schedule" | "due" => word::text(row, "pipeline"),
            _ => self.id(row),
        }
    }

    /// The question that its rows answer.
    pub fn question(&self) -> Question {
        Question::Rows { what: self.what, limit: if self.what == "due" { NEXT } else { PAGE } }
    }
}
