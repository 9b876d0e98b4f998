//! Values that several tables have: absolute paths, files, and commands.

use std::path::{Component, Path, PathBuf};

use crate::config::read::{At, Named, Notes};

/// PATH_MAX without the byte that ends it.
const MOST: usize = 4_095;

pub(super) fn absolute(path: At<String>, notes: &Notes<'_>) -> Option<At<String>> {
    let Some((message, help)) = unfit(&path.value) else { return Some(path) };
    notes.add(path.span, message, help);
    None
}

fn unfit(path: &str) -> Option<(String, &'static str)> {
    if path.contains('\0') {
        return Some(("a path has no NUL in it".into(), "write it anew"));
    }
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Some((format!("`{path}` is not an absolute path"), "begin it with / and leave out .."));
    }
    if path.len() > MOST {
        return Some((format!("a path of {} bytes is longer than any that Linux knows", path.len()), "4,095 bytes at most"));
    }
    // `//` and `/./` are the same place.
    let whole = !Path::new(path).components().any(|c| matches!(c, Component::Normal(_)));
    whole.then(|| (format!("`{path}` is the whole machine"), "name a directory or a file of its own"))
}

/// A file that has to be there when it is needed; whether it is, is not looked at here.
pub(super) fn file(what: &'static str, path: At<String>, notes: &Notes<'_>) -> Option<PathBuf> {
    let path = absolute(path, notes)?;
    let at = PathBuf::from(&path.value);
    notes.refers(Named::File(what), path);
    Some(at)
}

pub(super) fn argv(command: &At<String>, notes: &Notes<'_>) -> Option<Vec<String>> {
    match shell_words::split(&command.value) {
        Ok(words) if !words.is_empty() => Some(words),
        Ok(_) => {
            notes.add(command.span.clone(), "the command is empty", "write a program and its arguments");
            None
        }
        Err(_) => {
            notes.add(
                command.span.clone(),
                "a quote in the command is never closed",
                "it is split into words as a shell would, but no shell runs it",
            );
            None
        }
    }
}
