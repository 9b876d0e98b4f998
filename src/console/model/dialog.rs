//! What stands above a screen and takes the keys: the prompt of one line, and the dialog that asks before something is changed.

use indexmap::IndexMap;

use super::screen::Kind;
use crate::action::Action;
use crate::api::ApiError;
use crate::api::types::Rule;
use crate::console::edit::{Line, Order, diff};
use crate::console::question::Question;
use crate::domain::level::Level;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    /// `:`
    Command,
    /// `/`
    Filter,
    /// `/` in a log.
    LogSearch,
    /// `&` in a log.
    LogFilter,
    /// A time to jump to.
    LogTime,
    /// A file to write.
    LogSave,
    /// `/` in the text of a pipeline.
    PageSearch,
}

/// One thing that may be meant, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub text: String,
    pub about: String,
}

/// One line that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub kind: PromptKind,
    pub line: Line,
    /// Before it a filter was this; Esc brings it back.
    pub before: String,
    /// What was typed before the history was looked at.
    pub typed: String,
    /// What may be meant, and the one that Tab has put into the line.
    pub offers: Vec<Offer>,
    pub offer: Option<usize>,
    pub error: Option<String>,
    /// Where in the history of commands it stands, counted from the newest; none = at the line that is being typed.
    pub back: Option<usize>,
}

impl Prompt {
    pub fn new(kind: PromptKind, text: &str) -> Self {
        let (offers, line) = (Vec::new(), Line::from(text));
        Self { kind, line, before: text.to_owned(), typed: String::new(), offers, offer: None, error: None, back: None }
    }
}

/// A key that changes something was pressed; what it is about is read again before anybody is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub action: &'static Action,
    /// Where the key was pressed: nobody is asked elsewhere.
    pub on: Kind,
    /// Fixed when the key was pressed.
    pub targets: Vec<String>,
    /// Those of them that the filter hides.
    pub hidden: Vec<String>,
    /// What has not been read again yet.
    pub waits: Vec<Question>,
    /// All that is read again.
    pub reads: Vec<Question>,
}

/// What has the keys of a dialog. It begins at `Cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    Cancel,
    Field(usize),
    /// The place where the name is typed.
    Name,
}

/// One parameter, or one question of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// What it accepts, in words.
    pub kind: String,
    pub default: Option<String>,
    pub about: String,
    pub rule: Rule,
    pub line: Line,
}

impl Field {
    pub fn text(&self) -> &str {
        self.line.text()
    }

    /// It must be given, and is not.
    pub fn missing(&self) -> bool {
        self.default.is_none() && self.line.is_empty()
    }
}

/// A question before something is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    pub action: &'static Action,
    /// Fixed when the key was pressed.
    pub targets: Vec<String>,
    pub hidden: Vec<String>,
    pub level: Level,
    /// What it touches, how it is undone, what it costs.
    pub facts: Vec<(String, String)>,
    pub fields: Vec<Field>,
    /// The fields are filled in first; the question comes after them.
    pub filling: bool,
    /// What a file would have more or less, shown below the facts from row `scroll` on.
    pub diff: diff::Lines,
    pub scroll: usize,
    /// It tells what became of something, and asks nothing.
    pub told: bool,
    /// What is done in the place of a request to the engine.
    pub order: Option<Box<Order>>,
    /// Arguments that nobody edits, such as the sha that was shown.
    pub with: IndexMap<String, String>,
    /// What it was judged by: when the answer to one of them says something else, the dialog is void.
    pub basis: Vec<(Question, String)>,
    /// What must be typed in place of the name; empty = the name.
    pub word: String,
    pub focus: Focus,
    pub typed: String,
    /// The frame that shows it. Keys before that frame was written are not for it.
    pub since: u64,
    pub shown: bool,
    pub error: Option<String>,
}

/// The requests of one dialog about several objects: what became of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub action: &'static Action,
    /// None = nothing was said to it yet.
    pub told: Vec<(String, Option<Result<(), ApiError>>)>,
}

impl Dialog {
    /// A question about `targets` with nothing told and nothing asked for yet; `frame`: the newest that is drawn. Whoever asks fills in the rest.
    pub fn about(action: &'static Action, targets: Vec<String>, frame: u64) -> Self {
        Self {
            action,
            targets,
            hidden: Vec::new(),
            level: action.level,
            facts: Vec::new(),
            fields: Vec::new(),
            filling: false,
            diff: diff::Lines::new(),
            scroll: 0,
            told: false,
            order: None,
            with: IndexMap::new(),
            basis: Vec::new(),
            word: String::new(),
            focus: Focus::Cancel,
            typed: String::new(),
            since: frame + 1,
            shown: false,
            error: None,
        }
    }

    /// What must be typed at L2 and L3: the name; for several, the action and their number.
    pub fn phrase(&self) -> String {
        if !self.word.is_empty() {
            return self.word.clone();
        }
        match self.targets.as_slice() {
            [] => self.action.id.to_owned(),
            [one] if one.is_empty() => "engine".to_owned(),
            [one] => one.clone(),
            many => format!("{} {}", self.action.id, many.len()),
        }
    }

    /// What it is about, for the title.
    pub fn subject(&self) -> String {
        match self.targets.as_slice() {
            [] => String::new(),
            [one] if one.is_empty() => "engine".to_owned(),
            [one] => one.clone(),
            many => format!("{} marked", many.len()),
        }
    }

    /// Its values have a page of their own, before the question.
    pub fn is_form(&self) -> bool {
        self.action.id == "run" && !self.fields.is_empty()
    }

    /// The arguments as they stand: what is fixed, and each field that says something else than its default.
    pub fn arguments(&self) -> IndexMap<String, String> {
        let mut out = self.with.clone();
        for f in self.fields.iter().filter(|f| f.default.as_deref() != Some(f.text()) && !f.missing()) {
            out.insert(f.name.clone(), f.text().to_owned());
        }
        out
    }

    /// What the keys go through, in order.
    pub fn stops(&self) -> Vec<Focus> {
        let fields = (0..self.fields.len()).map(Focus::Field);
        if self.filling {
            return fields.collect();
        }
        let name = (self.level >= Level::L2).then_some(Focus::Name);
        let fields = fields.filter(|_| !self.is_form());
        std::iter::once(Focus::Cancel).chain(fields).chain(name).collect()
    }
}
