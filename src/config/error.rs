//! Why the configuration cannot be used, and what to do about it.

use std::path::PathBuf;

use super::problem::{self, Problem};

/// How the reason ends where a file is no text: another cure than for one that may not be read.
pub(super) const NO_TEXT: &str = "is not UTF-8";

/// The text says where, what, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {why}", path = path.display())]
    Untrusted { path: PathBuf, why: String, help: String },
    #[error("cannot read {path}: {why}", path = path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("{path}: {count} in the site file\n{rendered}", path = path.display(), count = problem::count(problems.len()))]
    Broken { path: PathBuf, problems: Vec<Problem>, rendered: String },
    #[error("{path}: {count} in the calendar\n{rendered}", path = path.display(), count = problem::count(problems.len()))]
    Calendar { path: PathBuf, problems: Vec<Problem>, rendered: String },
    #[error("{path}: {count} in the theme\n{rendered}", path = path.display(), count = problem::count(problems.len()))]
    Theme { path: PathBuf, problems: Vec<Problem>, rendered: String },
    #[error("no theme `{name}`")]
    NoTheme { name: String, help: String },
    #[error("no configuration directory at {path}", path = path.display())]
    Missing { path: PathBuf },
    #[error("{0}")]
    NoHome(String),
    #[error("{path} is relative to the current directory, which is gone", path = path.display())]
    NoCwd { path: PathBuf },
    #[error("`{name}` cannot be the name of a site")]
    BadSite { name: String },
    #[error("no pipeline `{name}` in {dir}", dir = dir.display())]
    NoPipeline { name: String, dir: PathBuf, help: String },
}

impl ConfigError {
    /// What to do about it, in one line; empty where the message says it already.
    pub fn help(&self) -> String {
        match self {
            Self::Untrusted { help, .. } | Self::NoPipeline { help, .. } | Self::NoTheme { help, .. } => help.clone(),
            Self::Unreadable { why, .. } if why.ends_with(NO_TEXT) => "save it as UTF-8; is this a text file?".into(),
            Self::Unreadable { why, .. } if why.starts_with("Not a directory") => "a part of this path is a file: name a directory".into(),
            Self::Unreadable { .. } => "make it readable for the user who runs quarterdeck".into(),
            Self::Broken { .. } => "correct the file; `quarterdeck site check` shows all of it".into(),
            Self::Calendar { .. } => "correct the file; until then the calendar holds as it was last read".into(),
            Self::Theme { .. } => "correct the file; a running console keeps the theme that it has until then".into(),
            Self::Missing { path } => {
                format!("check the spelling, or make one: quarterdeck --config-dir {} site init", path.display())
            }
            Self::NoHome(_) => "set HOME to an absolute path, or pass --state-dir DIR".into(),
            Self::NoCwd { .. } => "go to a directory that is there, or give an absolute path".into(),
            Self::BadSite { .. } => "use lower case letters, digits and . _ -: it names a directory below sites/".into(),
        }
    }

    /// The first problem with its place, on one line.
    pub fn in_short(&self) -> String {
        match self {
            Self::Broken { path, problems, .. } | Self::Calendar { path, problems, .. } | Self::Theme { path, problems, .. } => {
                problems.first().map_or_else(|| self.to_string(), |p| format!("{}:{}:{}: {}", path.display(), p.line, p.column, p.message))
            }
            other => other.to_string().lines().next().unwrap_or_default().to_owned(),
        }
    }
}
