//! Floor 3: the registry of everything that changes the estate. Guard, command line, help, documents and tests all read it.

mod registry;

use crate::domain::level::Level;

pub use registry::ALL;

/// In place of roles: those that what waits for approval names. Until it is looked at, any role but `viewer` will do.
pub const AS_ASKED: &str = "as-asked";

/// Arms a console, and takes that back. They change nothing of the estate and are no actions that could be asked for by name: only a console's
/// own connection can be armed. The guard judges them and the audit chain names them as it does those of [`ALL`].
pub const ARM: Action = Action {
    id: "arm",
    title: "Arm the console",
    doc: "Lets this console ask for changes, for an hour at most and with a reason; it ends with the console's connection.",
    level: Level::L1,
    roles: &[AS_ASKED],
    target: Target::Engine,
    args: &[],
    parameters: false,
    undo: ":disarm",
    usage: ":arm 15m REASON",
};
pub const DISARM: Action =
    Action { id: "disarm", title: "Disarm the console", doc: "Makes this console read-only again.", usage: ":disarm", ..ARM };

/// What an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A name of `CONFIG/pipelines`.
    Pipeline,
    /// `PIPELINE#NUMBER`.
    Run,
    /// The engine itself: no target is named.
    Engine,
    /// A name of `[secrets]` in the site file.
    Secret,
    /// `PR-2026Q2-el9`.
    Promotion,
    /// A name of `[promotion]` in the site file.
    Os,
    /// The number of a hold or addition.
    Hold,
    /// A name of `[repos]` in the site file.
    Repo,
    /// What is wrong: a pipeline, run, repository or promotion that needs somebody.
    Problem,
}

/// An argument given as `--with NAME=VALUE` to `do`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    pub name: &'static str,
    pub required: bool,
    pub doc: &'static str,
}

/// One action. `level` is what it needs at least: a pipeline's `danger` raises a run, and somebody else's run raises `cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    pub id: &'static str,
    pub title: &'static str,
    pub doc: &'static str,
    pub level: Level,
    /// Any of these suffices; `admin` always does.
    pub roles: &'static [&'static str],
    pub target: Target,
    pub args: &'static [Arg],
    /// Parameters of a pipeline may be given beside `args`.
    pub parameters: bool,
    /// How it is taken back, in words for people.
    pub undo: &'static str,
    /// How the command line does it.
    pub usage: &'static str,
}

impl Action {
    /// It stops what moves production: allowed unarmed, at once.
    pub fn always(&self) -> bool {
        self.id == "promote-halt"
    }

    /// It only records who looks after something: L0, and allowed unarmed.
    pub fn owns(&self) -> bool {
        self.target == Target::Problem
    }

    /// Its act is a run that begins or goes on: it can wait for a second person.
    pub fn runs(&self) -> bool {
        matches!(self.id, "run" | "replay" | "resume" | "retry")
    }
}

/// The action of this id.
pub fn find(id: &str) -> Option<&'static Action> {
    ALL.iter().find(|a| a.id == id)
}

/// The id nearest to a mistyped one.
pub fn nearest(id: &str) -> Option<&'static str> {
    crate::base::suggest::nearest(id, ALL.iter().map(|a| a.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_sorted_and_every_action_says_what_it_does() {
        for pair in ALL.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} {}", pair[0].id, pair[1].id);
        }
        for a in ALL {
            assert!(!a.doc.is_empty() && !a.title.is_empty() && !a.undo.is_empty() && a.usage.starts_with("quarterdeck "), "{}", a.id);
            assert_eq!(a.level == Level::L0, a.owns(), "{}: what changes nothing is no action, but for who looks after what", a.id);
            assert!(!a.roles.is_empty(), "{}", a.id);
        }
    }
}
