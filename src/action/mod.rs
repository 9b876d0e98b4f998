//! Floor 3: the registry of everything that changes the estate. Guard, command line, help, documents and tests all read it.

mod registry;

use crate::domain::level::Level;

pub use registry::ALL;

/// In place of roles: those that what waits for approval names. Until it is looked at, any role but `viewer` will do.
pub const AS_ASKED: &str = "as-asked";

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
    /// How the command line does it.
    pub usage: &'static str,
}

impl Action {
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
            assert!(!a.doc.is_empty() && !a.title.is_empty() && a.usage.starts_with("quarterdeck "), "{}", a.id);
            assert!(a.level > Level::L0, "{}: what changes nothing is no action", a.id);
            assert!(!a.roles.is_empty(), "{}", a.id);
        }
    }
}
