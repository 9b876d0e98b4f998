//! The text that is imported, with an index of its lines: a place is found without counting the lines before it.

use std::ops::Range;

use crate::pipeline::diagnostic::{Diagnostic, Loc, Severity, printable};

/// Bytes of the source.
pub type Span = Range<usize>;

/// Why the source cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Bad {
    pub span: Span,
    pub code: &'static str,
    pub message: String,
    pub help: String,
}

impl Bad {
    pub fn syntax(span: Span, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, code: "import.syntax", message: message.into(), help: help.into() }
    }

    pub fn limit(span: Span, message: impl Into<String>) -> Self {
        Self { span, code: "import.limit", message: message.into(), help: "split the file; the importer reads what people write".into() }
    }

    pub fn refused(span: Span, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, code: "import.refused", message: message.into(), help: help.into() }
    }
}

/// A text and where its lines begin.
#[derive(Debug)]
pub struct Source {
    pub text: String,
    starts: Vec<usize>,
}

impl Source {
    pub fn new(text: String) -> Self {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|i| i + 1)).collect();
        Self { text, starts }
    }

    pub fn lines(&self) -> usize {
        self.starts.len()
    }

    /// The line of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|s| *s <= at).max(1)
    }

    /// The last line that a span touches.
    pub fn last_line(&self, span: &Span) -> usize {
        self.line(span.end.saturating_sub(1).max(span.start))
    }

    /// Text of a line, without its end.
    pub fn line_text(&self, line: usize) -> &str {
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.starts.get(line).map_or(self.text.len(), |e| e - 1);
        self.text.get(start..end).unwrap_or("")
    }

    pub fn slice(&self, span: &Span) -> &str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// Line and column of a byte, both from 1, columns in characters.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(1, |t| t.chars().count() + 1);
        (line, column)
    }

    /// A finding that stops the import.
    pub fn diagnostic(&self, bad: &Bad, file: &str) -> Diagnostic {
        let (line, column) = self.place(bad.span.start);
        let at = Loc { start: bad.span.start, end: bad.span.end, line: line as u32, column: column as u32 };
        Diagnostic {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            severity: Severity::Error,
            code: bad.code.to_owned(),
            message: printable(&bad.message),
            help: printable(&bad.help),
            span: at.start..at.end,
            also: None,
        }
    }
}
