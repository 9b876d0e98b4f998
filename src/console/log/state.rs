//! What the log screen knows and how it stands: which attempt, which part of it, where the person looks.

use std::collections::HashSet;

use jiff::Timestamp;

use super::order::Lane;
use super::search::{Filter, Search};
use super::window::{Fit, Top, Window};
use crate::api::ApiError;
use crate::api::log::{AttemptDoc, AttemptsDoc};
use crate::domain::run::RunRef;

/// Rows that the frame and the screen's own head take.
pub const AROUND: u16 = 6;
/// Columns left of a line: the sign of a hit or of the first error.
pub const GUTTER: u16 = 2;
/// Columns of a time of day with milliseconds, and a blank.
pub const STAMP: u16 = 13;
/// Bytes of one row of the hex view.
pub const HEX_ROW: u64 = 16;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    Tail,
    Offset(u64),
    Time(Timestamp),
}

/// Why a page was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Load,
    After,
    Before,
    Hex,
    Follow,
    Search,
    Filter,
    Errors,
    Save,
}

/// What is under way, by lane. One for the whole console: only the screen in front reads a log.
#[derive(Debug, Clone, Default)]
pub struct Flights {
    pub serial: u64,
    /// How deep the screen stands that it is for.
    pub depth: usize,
    pub under_way: std::collections::BTreeMap<Lane, (u64, Want)>,
}

/// Bytes of a log as they are.
#[derive(Debug, Clone, Default)]
pub struct Hex {
    pub at: u64,
    pub bytes: Vec<u8>,
    /// The first byte that is shown.
    pub top: u64,
    /// The log was asked for and empty: nothing more is asked for while it is.
    pub none: bool,
}

#[derive(Debug, Clone)]
pub struct LogScreen {
    pub run: RunRef,
    /// `STAGE` or `STAGE/STEP`; none = whatever of the run matters most.
    pub place: Option<String>,
    /// The attempt; none until the engine has said which there are.
    pub fence: Option<u64>,
    /// The person has chosen it: it stays, also when the run goes on.
    pub chosen: bool,
    pub begin: Begin,
    pub loaded: bool,
    pub window: Window,
    pub top: Top,
    /// `top` is to stand a third down the screen, once the lines above it are there.
    pub lead: bool,
    /// There is nothing before this offset, the engine says.
    pub nothing_before: Option<u64>,
    pub follow: bool,
    pub wrap: bool,
    pub stamps: bool,
    pub hex: Option<Hex>,
    /// Columns that are scrolled away on the left.
    pub column: usize,
    /// The step has ended, and nothing will be added.
    pub complete: bool,
    pub size: u64,
    pub file: u64,
    /// What is wrong with the log as a whole.
    pub note: Option<String>,
    /// Why the last question got no answer; nothing more is asked before the person does.
    pub error: Option<ApiError>,
    pub search: Option<Search>,
    pub filter: Option<Filter>,
    /// First errors, where they were asked for.
    pub errors: Option<Box<AttemptsDoc>>,
    /// The jump to the first error waits for the answer.
    pub to_error: bool,
    pub error_at: Option<u64>,
    /// A file that is to be written.
    pub save: Option<String>,
    /// Bytes saved so far.
    pub saving: Option<u64>,
}

impl LogScreen {
    pub fn new(run: RunRef, place: Option<String>) -> Self {
        Self {
            run,
            place,
            fence: None,
            chosen: false,
            begin: Begin::Tail,
            loaded: false,
            window: Window::default(),
            top: Top::default(),
            lead: false,
            nothing_before: None,
            follow: true,
            wrap: false,
            stamps: true,
            hex: None,
            column: 0,
            complete: false,
            size: 0,
            file: 0,
            note: None,
            error: None,
            search: None,
            filter: None,
            errors: None,
            to_error: false,
            error_at: None,
            save: None,
            saving: None,
        }
    }

    /// Where a person stands in it, without what is held of it.
    pub fn trace(&self) -> Self {
        Self {
            fence: self.fence,
            chosen: self.chosen,
            begin: if self.follow || self.window.is_empty() { self.begin } else { Begin::Offset(self.top.offset) },
            follow: self.follow,
            wrap: self.wrap,
            stamps: self.stamps,
            column: self.column,
            search: self.search.as_ref().map(|s| Search { jump: None, ..Search::new(s.pattern.clone(), s.origin) }),
            filter: self.filter.as_ref().map(|f| Filter::new(f.pattern.clone(), f.context, f.from)),
            ..Self::new(self.run.clone(), self.place.clone())
        }
    }

    /// Bytes of the log that are held here.
    pub fn held(&self) -> usize {
        let hits = self.search.as_ref().map_or(0, |s| s.hits.capacity() * size_of::<u64>());
        self.window.held() + hits + self.hex.as_ref().map_or(0, |h| h.bytes.len())
    }

    /// How lines are laid out on a screen of this width.
    pub fn fit(&self, width: u16) -> Fit {
        let stamps = if self.stamps_fit(width) { STAMP } else { 0 };
        Fit { width: usize::from(width.saturating_sub(GUTTER + stamps)).max(1), wrap: self.wrap }
    }

    pub fn stamps_fit(&self, width: u16) -> bool {
        self.stamps && width >= 40
    }

    /// Another attempt, or the same one from the beginning of what is known.
    pub fn show(&mut self, fence: Option<u64>) {
        let kept = Self::new(self.run.clone(), self.place.take());
        let (errors, pattern) = (self.errors.take(), self.search.take().map(|s| s.pattern));
        *self = Self {
            fence,
            chosen: self.chosen,
            follow: self.follow || self.fence != fence,
            wrap: self.wrap,
            stamps: self.stamps,
            errors,
            // The same pattern is looked for there, without a jump.
            search: pattern.map(|p| Search { jump: None, ..Search::new(p, 0) }),
            to_error: self.to_error,
            save: self.save.take(),
            saving: self.saving,
            ..kept
        };
    }

    /// Drops what is held, and reads from elsewhere.
    pub fn read_from(&mut self, begin: Begin) {
        self.window = Window::default();
        (self.begin, self.loaded, self.nothing_before) = (begin, false, None);
        self.top = Top::default();
    }

    /// Nothing is held while another screen is in front; the place is kept.
    pub fn rest(&mut self) {
        let (begin, lead) = match (self.follow, self.window.is_empty()) {
            (false, false) => (Begin::Offset(self.top.offset), self.lead),
            _ => (self.begin, self.lead),
        };
        self.read_from(begin);
        self.lead = lead;
        if let Some(s) = &mut self.search {
            (s.hits, s.next, s.wanted, s.running, s.jump) = (Vec::new(), 0, true, false, None);
        }
        if let Some(f) = &mut self.filter {
            *f = Filter::new(f.pattern.clone(), f.context, f.from);
        }
        if let Some(h) = &mut self.hex {
            h.bytes = Vec::new();
        }
    }

    /// The line at an offset, a third down the screen.
    pub fn go(&mut self, offset: u64) {
        self.follow = false;
        self.lead = true;
        if self.loaded && self.window.contains(offset) {
            self.top = Top { offset: self.window.rows()[self.window.index(offset)].offset, row: 0 };
        } else {
            self.read_from(Begin::Offset(offset));
        }
    }

    /// The attempts of the place, oldest first.
    pub fn choices<'a>(&self, doc: &'a AttemptsDoc) -> Vec<&'a AttemptDoc> {
        doc.attempts.iter().filter(|a| self.place.as_deref().is_none_or(|p| a.is_at(p))).collect()
    }

    /// The attempt to show where nobody chose: what runs, else what failed, else what ran last.
    pub fn pick(&self, doc: &AttemptsDoc) -> Option<u64> {
        pick(&self.choices(doc))
    }

    /// The attempt that is shown.
    pub fn attempt<'a>(&self, doc: &'a AttemptsDoc) -> Option<&'a AttemptDoc> {
        doc.attempts.iter().find(|a| Some(a.fence) == self.fence)
    }
}

/// Of attempts, oldest first, the one that matters most: what runs, else what failed and was not made good by a later attempt, else what ran last.
pub fn pick(all: &[&AttemptDoc]) -> Option<u64> {
    let running = all.iter().rev().find(|a| a.state == "running");
    let mut made_again = HashSet::new();
    // From the newest on: of each step the first that is met counts.
    let red = all
        .iter()
        .rev()
        .filter(|a| made_again.insert((a.stage.as_str(), a.cell.as_str(), a.step.as_str())))
        .find(|a| matches!(a.verdict.as_deref(), Some("failure" | "lost")));
    running.or(red).or(all.last()).map(|a| a.fence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_matters_unless_a_later_attempt_made_it_good() {
        let attempt = |fence: u64, step: &str, verdict: &str| -> AttemptDoc {
            let doc = serde_json::json!({"fence": fence, "stage": "s", "cell": "", "step": step, "number": 1, "state": "done", "verdict": verdict,
                                         "started": null, "ended": null, "log_bytes": 0});
            serde_json::from_value(doc).unwrap()
        };
        let first = [attempt(1, "a", "failure"), attempt(2, "b", "success")];
        assert_eq!(pick(&first.iter().collect::<Vec<_>>()), Some(1));
        let resumed = [&first[..], &[attempt(3, "a", "success"), attempt(4, "b", "success")]].concat();
        assert_eq!(pick(&resumed.iter().collect::<Vec<_>>()), Some(4), "of a run that went well in the end, its end");
        let again = [&first[..], &[attempt(3, "a", "failure"), attempt(4, "b", "success")]].concat();
        assert_eq!(pick(&again.iter().collect::<Vec<_>>()), Some(3));
    }
}
