//! What stands above a screen and takes the keys: the prompt of one line, and the dialog that asks before something is changed.

use indexmap::IndexMap;

use crate::action::Action;
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
}

/// One line that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub kind: PromptKind,
    pub text: String,
    /// Before it a filter was this; Esc brings it back.
    pub before: String,
    pub error: Option<String>,
    /// Where in the history of commands it stands, counted from the newest; none = at the line that is being typed.
    pub back: Option<usize>,
}

/// A key that changes something was pressed; what it is about is read again before anybody is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub action: &'static Action,
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
    pub text: String,
}

impl Field {
    /// It must be given, and is not.
    pub fn missing(&self) -> bool {
        self.default.is_none() && self.text.is_empty()
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
    /// Arguments that nobody edits, such as the sha that was shown.
    pub with: IndexMap<String, String>,
    /// What it was judged by: when the answer to one of them says something else, the dialog is void.
    pub basis: Vec<(Question, String)>,
    pub focus: Focus,
    pub typed: String,
    /// The frame that shows it. Keys before that frame was written are not for it.
    pub since: u64,
    pub shown: bool,
    pub error: Option<String>,
}

impl Dialog {
    /// What must be typed at L2 and L3: the name; for several, the action and their number.
    pub fn phrase(&self) -> String {
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

    /// The arguments as they stand: what is fixed, and each field that says something else than its default.
    pub fn arguments(&self) -> IndexMap<String, String> {
        let mut out = self.with.clone();
        for f in self.fields.iter().filter(|f| f.default.as_deref() != Some(f.text.as_str()) && !(f.default.is_none() && f.text.is_empty()))
        {
            out.insert(f.name.clone(), f.text.clone());
        }
        out
    }

    /// What the keys go through, in order.
    pub fn stops(&self) -> Vec<Focus> {
        let name = (self.level >= Level::L2).then_some(Focus::Name);
        std::iter::once(Focus::Cancel).chain((0..self.fields.len()).map(Focus::Field)).chain(name).collect()
    }
}
