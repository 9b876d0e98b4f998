//! What became of each line of the original: converted, approximated or manual, why, and what to do. Nothing is left out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::source::{Source, Span};
use crate::pipeline::diagnostic::show_to;

/// Constructs of one line that are told: a file of one line has thousands.
const MOST: usize = 50;

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
    /// What else begins on this line and is not simply converted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Also>,
}

/// One more construct of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Also {
    pub verdict: Fate,
    pub what: String,
    pub why: String,
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

    /// What begins on each line and is not simply converted, each once.
    fn begun(&self, source: &Source) -> BTreeMap<usize, Vec<&Mark>> {
        let mut all: BTreeMap<usize, Vec<&Mark>> = BTreeMap::new();
        for mark in self.marks.iter().filter(|m| m.fate != Fate::Converted) {
            let on = all.entry(source.line(mark.span.start)).or_default();
            if on.len() < MOST && !on.iter().any(|m| (&m.what, &m.why) == (&mark.what, &mark.why)) {
                on.push(mark);
            }
        }
        all
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
        let begun = self.begun(source);
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
                        also: begun
                            .get(&number)
                            .into_iter()
                            .flatten()
                            .filter(|o| (&o.what, &o.why) != (&m.what, &m.why))
                            .map(|o| Also {
                                verdict: o.fate,
                                what: show_to(&o.what, 120),
                                why: show_to(&o.why, 400),
                                help: show_to(&o.help, 400),
                            })
                            .collect(),
                    },
                    None => Line {
                        line: number,
                        verdict: Fate::Manual,
                        original,
                        what: "unknown".into(),
                        why: "the importer does not know this".into(),
                        help: "write it by hand if it matters".into(),
                        also: Vec::new(),
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
        while let Some(next) = lines.get(i).filter(|n| {
            let same = (n.verdict, &n.what, &n.why, &n.help) == (first.verdict, &first.what, &first.why, &first.help);
            same && n.also.is_empty() && first.also.is_empty()
        }) {
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
        for a in &first.also {
            let _ = writeln!(out, "{place}: {}: {}: {}", a.verdict.as_str(), a.what, a.why);
            if !a.help.is_empty() {
                let _ = writeln!(out, "    = {}", a.help);
            }
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

    #[test]
    fn what_shares_a_line_is_told_too() {
        let source = Source::new("a b c d\ne\n".into());
        let mut r = Report::default();
        r.approximated(&(0..1), "a", "nearly", "");
        r.manual(&(2..3), "b", "no", "do it");
        r.manual(&(4..9), "c", "neither", "do that");
        r.manual(&(4..5), "c", "neither", "do that");
        r.converted(&(6..7), "d", "as it is");
        let lines = r.lines(&source, &[0..7, 8..9]);
        let also: Vec<Vec<&str>> = lines.iter().map(|l| l.also.iter().map(|a| a.what.as_str()).collect()).collect();
        assert_eq!((lines[0].what.as_str(), also), ("b", vec![vec!["a", "c"], vec![]]));
        let told = text(&lines, "J");
        assert!(told.contains("J:1: approximated: a: nearly\n") && told.contains("J:1: manual: c: neither\n    = do that\n"), "{told}");
    }
}
