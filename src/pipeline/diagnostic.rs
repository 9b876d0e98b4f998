//! What is wrong with a pipeline file: where, how bad, a stable code, what, and what to do next. Also how people see it.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};

/// More diagnostics than this help nobody; the rest is counted in the last one.
pub const MOST: usize = 100;
/// Characters of a file's name that are shown: a path of Linux is shorter.
const MOST_OF_A_NAME: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Error,
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a text. Line and column count from 1, columns in characters; 0:0 where there is no text to point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Loc {
    /// Bytes.
    pub start: usize,
    /// Bytes, exclusive.
    pub end: usize,
    pub line: u32,
    pub column: u32,
}

impl Loc {
    /// The place of `range` (bytes, clamped to character borders) in `text`.
    pub fn at(text: &str, range: Range<usize>) -> Self {
        let floor = |mut i: usize| {
            i = i.min(text.len());
            while !text.is_char_boundary(i) {
                i -= 1;
            }
            i
        };
        let (start, end) = (floor(range.start), floor(range.end.max(range.start)));
        let before = &text[..start];
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self { start, end, line: line as u32, column: column as u32 }
    }
}

/// One finding. `message` says what in lower case; `help` says what to do, and may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub severity: Severity,
    /// Stable, `area.slip`: scripts may match it.
    pub code: String,
    pub message: String,
    pub help: String,
    /// Bytes of the text that the caret marks.
    #[serde(skip)]
    pub span: Range<usize>,
    /// A second place that explains the first, with its label.
    #[serde(skip)]
    pub also: Option<(Range<usize>, String)>,
}

impl Diagnostic {
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `file:line:column: severity[code]: message (help)`, for logs and for errors that carry no source.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_to(&self.file, MOST_OF_A_NAME))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}[{}]: {}", self.severity, self.code, self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

/// Collects the diagnostics of one file, up to [`MOST`].
#[derive(Debug)]
pub struct Sink<'a> {
    pub file: &'a str,
    pub text: &'a str,
    found: Vec<Diagnostic>,
    dropped: usize,
}

impl<'a> Sink<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, found: Vec::new(), dropped: 0 }
    }

    pub fn error(&mut self, at: Loc, code: &str, message: impl AsRef<str>, help: impl AsRef<str>) {
        self.push(Severity::Error, at, code, message.as_ref(), help.as_ref(), None);
    }

    pub fn warning(&mut self, at: Loc, code: &str, message: impl AsRef<str>, help: impl AsRef<str>) {
        self.push(Severity::Warning, at, code, message.as_ref(), help.as_ref(), None);
    }

    /// An error that a second place explains.
    pub fn error_with(&mut self, at: Loc, code: &str, message: impl AsRef<str>, help: impl AsRef<str>, also: (Loc, &str)) {
        self.push(Severity::Error, at, code, message.as_ref(), help.as_ref(), Some(also));
    }

    fn push(&mut self, severity: Severity, at: Loc, code: &str, message: &str, help: &str, also: Option<(Loc, &str)>) {
        if self.found.len() >= MOST {
            self.dropped += 1;
            return;
        }
        self.found.push(Diagnostic {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            severity,
            code: code.to_owned(),
            message: printable(message),
            help: printable(help),
            span: at.start..at.end,
            also: also.map(|(l, label)| (l.start..l.end, printable(label))),
        });
    }

    /// Nothing more will be shown: what is costly to find may stop.
    pub fn full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// Whether an error with such a code was found.
    pub fn has(&self, prefix: &str) -> bool {
        self.found.iter().any(|d| d.is_error() && d.code.starts_with(prefix))
    }

    pub fn errors(&self) -> usize {
        self.found.iter().filter(|d| d.is_error()).count()
    }

    /// In file order, errors before warnings at the same place, without repeats.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by(|a, b| (a.line, a.column, a.severity, &a.code).cmp(&(b.line, b.column, b.severity, &b.code)));
        self.found.dedup();
        if self.dropped > 0 {
            self.found.push(Diagnostic {
                file: self.file.to_owned(),
                line: 0,
                column: 0,
                severity: Severity::Error,
                code: "lint.more".into(),
                message: format!("{} more findings are not shown", self.dropped),
                help: "repair the first ones and lint again".into(),
                span: 0..0,
                also: None,
            });
        }
        self.found
    }
}

/// A user's text inside a message: one line, no control or direction characters, at most 60 characters.
pub fn show(text: &str) -> String {
    show_to(text, 60)
}

/// As [`show`], with another limit.
pub fn show_to(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).map(|c| if c == '\n' { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    printable(&out)
}

/// Control and bidirectional characters become their escapes: a file must not be able to draw on the terminal of who lints it.
pub(super) fn printable(text: &str) -> String {
    let hostile =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if !text.chars().any(hostile) {
        return text.to_owned();
    }
    text.chars().map(|c| if hostile(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// The compiler's form, with the line and a caret under it. `text` is the file that was linted.
pub fn render(diag: &Diagnostic, text: &str) -> String {
    render_with(diag, text, false)
}

/// As [`render`], with SGR colours where `color`.
pub fn render_with(diag: &Diagnostic, text: &str, color: bool) -> String {
    let level = match diag.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diag.message.as_str()).id(diag.code.as_str());
    let help = (!diag.help.is_empty()).then(|| Level::HELP.message(diag.help.as_str()));
    // The name of a file is whatever somebody called it; JSON has it as it is.
    let file = show_to(&diag.file, MOST_OF_A_NAME);
    let mut group = if diag.line == 0 || text.is_empty() {
        title.element(annotate_snippets::Origin::path(file.as_str()))
    } else {
        let clamp = |r: &Range<usize>| {
            let loc = Loc::at(text, r.clone());
            // One line of caret is enough: a mapping's span would draw half the file.
            let line_end = text[loc.start..].find('\n').map_or(text.len(), |i| loc.start + i);
            loc.start..loc.end.min(line_end).max(loc.start)
        };
        let mut snippet = Snippet::source(text).path(file.as_str()).annotation(AnnotationKind::Primary.span(clamp(&diag.span)));
        if let Some((range, label)) = &diag.also {
            snippet = snippet.annotation(AnnotationKind::Context.span(clamp(range)).label(label.as_str()));
        }
        title.element(snippet)
    };
    if let Some(help) = help {
        group = group.element(help);
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_slip() {
        let text = "name: x\ntimout: 5m\n";
        let mut sink = Sink::new("a.yml", text);
        sink.error_with(
            Loc::at(text, 8..14),
            "schema.unknown-key",
            "no key `timout` here",
            "did you mean `timeout`?",
            (Loc::at(text, 0..4), "here"),
        );
        let found = sink.finish();
        insta::assert_snapshot!(render(&found[0], text), @r"
        error[schema.unknown-key]: no key `timout` here
         --> a.yml:2:1
          |
        1 | name: x
          | ---- here
        2 | timout: 5m
          | ^^^^^^
          |
          = help: did you mean `timeout`?
        ");
        assert_eq!((found[0].line, found[0].column), (2, 1));
    }

    #[test]
    fn a_message_cannot_draw_on_the_terminal() {
        assert_eq!(show("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(show(&"x".repeat(100)).chars().count(), 61);
        assert_eq!(show("\u{202e}x"), "\\u{202e}x");
    }

    #[test]
    fn nor_can_the_name_of_a_file() {
        let mut sink = Sink::new("a\u{1b}[31m\nb.yml", "x");
        sink.error(Loc::at("x", 0..1), "x.y", "m", "");
        sink.error(Loc::default(), "x.z", "m", "");
        for d in sink.finish() {
            for text in [render(&d, "x"), d.to_string()] {
                assert!(text.contains("a\\u{1b}[31m b.yml") && !text.contains('\u{1b}'), "{text:?}");
            }
            assert_eq!(d.file, "a\u{1b}[31m\nb.yml");
        }
    }

    #[test]
    fn findings_are_capped_and_the_rest_is_counted() {
        let mut sink = Sink::new("a.yml", "");
        for i in 0..MOST + 5 {
            sink.error(Loc { line: i as u32 + 1, column: 1, ..Loc::default() }, "x.y", "m", "");
        }
        let found = sink.finish();
        assert_eq!(found.len(), MOST + 1);
        assert_eq!(found.last().unwrap().message, "5 more findings are not shown");
    }
}
