//! What stands above a screen and takes the keys: the prompt of one line, and the dialog that asks before something is changed.

use crate::action::Action;
use crate::domain::level::Level;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    /// `:`
    Command,
    /// `/`
    Filter,
}

/// One line that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub kind: PromptKind,
    pub text: String,
    /// Before it a filter was this; Esc brings it back.
    pub before: String,
    pub error: Option<String>,
}

/// A question before something is changed. Its object was fixed when the key was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    pub action: &'static Action,
    pub target: String,
    pub level: Level,
    /// What it touches, how it is undone, what it costs.
    pub facts: Vec<(String, String)>,
    pub typed: String,
    /// The frame that shows it. Keys before that frame was written are not for it.
    pub since: u64,
    pub shown: bool,
    pub error: Option<String>,
}
