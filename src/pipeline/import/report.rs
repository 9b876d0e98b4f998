//! What became of each line of the original: converted, approximated or manual, why, and what to do. Nothing is left out.

use serde::Serialize;

use super::source::{Source, Span};
use crate::pipeline::diagnostic::show_to;

/// Better comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It means the same here.
    Converted,
    /// It means nearly the same: the report says what differs.
    Approximated,
    /// A person must do it.
    Manual,
}

impl Fate {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Converted => "converted",
            Self::Approximated => "approximated",
            Self::Manual => "manual",
        }
    }
}

/// One line of the original that means something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// From 1.
    pub line: usize,
    pub verdict: Fate,
    /// The line itself, shortened.
    pub original: String,
    /// The construct, such as `option timeout`.
    pub what: String,
    /// What it became, or why it did not.
    pub why: String,
    /// What to do; empty where there is nothing.
    pub help: String,
}

/// Lines by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub converted: usize,
    pub approximated: usize,
    pub manual: usize,
}

#[derive(Debug, Clone)]
struct Mark {
    span: Span,
    fate: Fate,
    what: String,
    why: String,
    help: String,
}

/// Collects marks while the original is converted.
#[derive(Debug, Default)]
pub struct Report {
    marks: Vec<Mark>,
}

impl Report {
    pub fn mark(&mut self, span: &Span, fate: Fate, what: impl Into<String>, why: impl Into<String>, help: impl Into<String>) {
        self.marks.push(Mark { span: span.clone(), fate, what: what.into(), why: why.into(), help: help.into() });
    }

    pub fn converted(&mut self, span: &Span, what: impl Into<String>, why: impl Into<String>) {
        self.mark(span, Fate::Converted, what, why, "");
    }

    pub fn approximated(&mut self, span: &Span, what: impl Into<String>, why: impl Into<String>, help: impl Into<String>) {
        self.mark(span, Fate::Approximated, what, why, help);
    }

    pub fn manual(&mut self, span: &Span, what: impl Into<String>, why: impl Into<String>, help: impl Into<String>) {
        self.mark(span, Fate::Manual, what, why, help);
    }

    /// A line for each line that `content` touches. The worst mark of a line speaks for it; a line without one was not understood.
    pub fn lines(&self, source: &Source, content: &[Span]) -> Vec<Line> {
        let mut worst: Vec<Option<usize>> = vec![None; source.lines() + 1];
        for (i, mark) in self.marks.iter().enumerate() {
            let (first, last) = (source.line(mark.span.start), source.last_line(&mark.span));
            for slot in worst.get_mut(first..=last).into_iter().flatten() {
                if slot.is_none_or(|j| self.marks[j].fate < mark.fate) {
                    *slot = Some(i);
                }
            }
        }
        let mut out: Vec<Line> = Vec::new();
        let mut last = 0;
        for span in content {
            for number in source.line(span.start).max(last + 1)..=source.last_line(span) {
                last = number;
                let text = source.line_text(number).trim();
                if text.is_empty() {
                    continue;
                }
                let original = show_to(text, 160);
                out.push(match worst.get(number).copied().flatten().and_then(|i| self.marks.get(i)) {
                    Some(m) => Line {
                        line: number,
                        verdict: m.fate,
                        original,
                        what: show_to(&m.what, 120),
                        why: show_to(&m.why, 400),
                        help: show_to(&m.help, 400),
                    },
                    None => Line {
                        line: number,
                        verdict: Fate::Manual,
                        original,
                        what: "unknown".into(),
                        why: "the importer does not know this".into(),
                        help: "write it by hand if it matters".into(),
                    },
                });
            }
        }
        out
    }
}

pub fn summary(lines: &[Line]) -> Summary {
    let count = |fate| lines.iter().filter(|l| l.verdict == fate).count();
    Summary { converted: count(Fate::Converted), approximated: count(Fate::Approximated), manual: count(Fate::Manual) }
}

/// For people: neighbours that say the same are one entry; what was simply converted is only counted.
pub fn text(lines: &[Line], file: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let mut i = 0;
    while let Some(first) = lines.get(i) {
        let mut last = first;
        i += 1;
        while let Some(next) =
            lines.get(i).filter(|n| (n.verdict, &n.what, &n.why, &n.help) == (first.verdict, &first.what, &first.why, &first.help))
        {
            last = next;
            i += 1;
        }
        if first.verdict == Fate::Converted {
            continue;
        }
        let place = if first.line == last.line { format!("{file}:{}", first.line) } else { format!("{file}:{}-{}", first.line, last.line) };
        let _ = writeln!(out, "{place}: {}: {}: {}", first.verdict.as_str(), first.what, first.why);
        let _ = writeln!(out, "    {}", first.original);
        if !first.help.is_empty() {
            let _ = writeln!(out, "    = {}", first.help);
        }
    }
    let s = summary(lines);
    let _ = writeln!(out, "{} lines: {} converted, {} approximated, {} manual", lines.len(), s.converted, s.approximated, s.manual);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_mark_speaks_for_a_line_and_a_line_without_one_is_manual() {
        let source = Source::new("a\nb\n\nc\n".into());
        let mut r = Report::default();
        r.converted(&(0..3), "both", "as it is");
        r.manual(&(2..3), "b", "no", "do it");
        let lines = r.lines(&source, &[0..1, 2..3, 5..6]);
        let seen: Vec<_> = lines.iter().map(|l| (l.line, l.verdict, l.what.as_str())).collect();
        assert_eq!(seen, [(1, Fate::Converted, "both"), (2, Fate::Manual, "b"), (4, Fate::Manual, "unknown")]);
        assert!(text(&lines, "J").ends_with("3 lines: 1 converted, 0 approximated, 2 manual\n"));
    }
}
