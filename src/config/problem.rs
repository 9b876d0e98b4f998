//! One thing wrong in a configuration file, with its place, and how it is drawn.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use super::veil::veiled;
use crate::pipeline::diagnostic::show_to;

/// An error in a text file. `line` and `column` count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub line: usize,
    pub column: usize,
    pub message: String,
    /// What to do; empty where nothing can be advised.
    pub help: String,
    #[serde(skip)]
    pub span: Range<usize>,
}

impl Problem {
    /// A problem at a byte range of `text`. A range outside the text points at its end.
    pub fn at(text: &str, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        let start = floor(text, span.start.min(text.len()));
        let end = floor(text, span.end.clamp(start, text.len())).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        Self {
            line: text[..start].bytes().filter(|b| *b == b'\n').count() + 1,
            // Some editors begin a file with a byte order mark, which nobody sees.
            column: text[line_start..start].trim_start_matches('\u{feff}').chars().count() + 1,
            message: bounded(message.into()),
            help: bounded(help.into()),
            span: start..end,
        }
    }
}

/// A message may repeat a value of any length and with any sign in it.
fn bounded(text: String) -> String {
    if text.len() <= MOST && !text.contains(char::is_control) { text } else { show_to(&text, MOST) }
}

/// Characters of a message.
const MOST: usize = 400;

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// `1 error`, `3 errors`.
pub fn count(n: usize) -> String {
    crate::base::count::s(n as u64, "error")
}

/// Draws problems with their source lines and carets, plain or in colour.
pub fn render(problems: &[Problem], path: &str, text: &str, colour: bool) -> String {
    drawn(Level::ERROR, problems, path, text, colour)
}

/// The same as warnings.
pub fn render_doubts(problems: &[Problem], path: &str, text: &str, colour: bool) -> String {
    drawn(Level::WARNING, problems, path, text, colour)
}

fn drawn(level: Level<'static>, problems: &[Problem], path: &str, text: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    let text = &veiled(text);
    for p in problems {
        let snippet = Snippet::source(text.as_str()).path(path).annotation(AnnotationKind::Primary.span(p.span.clone()));
        let mut group = level.clone().primary_title(p.message.as_str()).element(snippet);
        if !p.help.is_empty() {
            group = group.element(Level::HELP.message(p.help.as_str()));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&renderer.render(&[group]));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_one_in_characters() {
        let text = "a = 1\nüü = oops\n";
        let at = text.find("oops").unwrap();
        let p = Problem::at(text, at..at + 4, "m", "");
        assert_eq!((p.line, p.column), (2, 6));
        let end = Problem::at(text, 900..901, "m", "");
        assert_eq!((end.line, end.column), (3, 1));
    }

    #[test]
    fn what_may_be_a_secret_is_not_drawn() {
        let bare = "[secrets]\ntoken = hunter2hunter2\n";
        let p = Problem::at(bare, 18..32, "this is not TOML", "");
        let shown = render(&[p], "site.toml", bare, false);
        assert!(shown.contains("site.toml:2:9") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_message_is_one_line_of_some_length_whatever_it_repeats() {
        let p = Problem::at("x", 0..1, format!("no zone `{}`", "x".repeat(9_000)), "a\nb\u{1b}");
        assert!(p.message.chars().count() <= MOST + 1 && p.help == "a b\\u{1b}", "{p:?}");
    }

    #[test]
    fn a_caret_points_at_the_word() {
        let text = "read_onyl = true\n";
        let shown = render(&[Problem::at(text, 0..9, "unknown key `read_onyl`", "did you mean `read_only`?")], "site.toml", text, false);
        assert!(shown.contains("site.toml:1:1") && shown.contains("^^^^^^^^^") && shown.contains("did you mean"), "{shown}");
    }
}
