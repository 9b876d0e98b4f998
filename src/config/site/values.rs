//! Values that several tables have: absolute paths, and commands.

use crate::config::read::{At, Notes};

pub(super) fn absolute(path: At<String>, notes: &Notes<'_>) -> Option<At<String>> {
    if path.value.starts_with('/') && !path.value.split('/').any(|part| part == "..") {
        return Some(path);
    }
    notes.add(path.span, format!("`{}` is not an absolute path", path.value), "begin it with / and leave out ..");
    None
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
