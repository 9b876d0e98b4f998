//! What carries the console's orders out: the engine's answers, logs, and files of pipelines. All else of the console is pure, but for the
//! terminal (`term`) and the loop (`session`, `run`).

pub mod link;
pub mod log;
pub mod page;

use std::path::PathBuf;

/// A file's name as a person writes it.
pub fn place(name: &str) -> PathBuf {
    let path = match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(name),
    };
    std::path::absolute(&path).unwrap_or(path)
}
