//! One JUnit report by a pull reader. Everything in it is hostile: no document type, no entity but the five, and limits on the length
//! of a tag and of a text, on depth, on tests, and on what is kept of each.

use std::io::{self, BufRead};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::Mask;
use crate::base::xml::{Capped, entity};
use crate::base::{sanitise, size};
use crate::domain::junit::{Failure, MOST_FAILURES, MOST_SLOWEST, Outcome, Seen, Slow, Tested};

/// A tag with its attributes.
const MAX_TAG: usize = 256 << 10;
/// A text: what tests printed may be in it.
const MAX_TEXT: u64 = 16 << 20;
const MAX_DEPTH: usize = 64;
/// Kept of a name, a message, a trace, and of all texts of a report together.
const NAME: usize = 500;
const MESSAGE: usize = 1_000;
const TRACE: usize = 4_000;
const TEXTS: usize = 1 << 20;

/// Why a report cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("{0}")]
    Io(io::Error),
    #[error("{what} is larger than {}", size::short(*limit))]
    Large { what: &'static str, limit: u64 },
    #[error("its elements are nested more than {MAX_DEPTH} deep")]
    Deep,
    #[error("the step's reports hold more than {} tests", super::MOST_TESTS)]
    Many,
    #[error("a document type is not allowed in it")]
    DocType,
    #[error("its outermost element is `{0}`, not `testsuites` or `testsuite`")]
    Root(String),
    #[error("it holds no XML element: is it a test report?")]
    Empty,
    #[error("it ends in the middle of an element")]
    Cut,
    #[error("it is written in {0}; only UTF-8 is read")]
    Encoding(String),
    #[error("at byte {at}: {why}")]
    Xml { at: u64, why: String },
}

/// What an open element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Suites,
    Suite,
    Case,
    /// `failure` or `error` of a test: its text is a trace.
    Red,
    /// A failure before the last try of a test that passed in the end.
    Again,
    Other,
}

/// A test that is being read.
#[derive(Debug, Default)]
struct Case {
    suite: String,
    test: String,
    duration_ms: u64,
    skipped: bool,
    red: Option<&'static str>,
    again: bool,
    message: String,
    trace: String,
}

struct Report<'m> {
    mask: Mask<'m>,
    out: Tested,
    marks: Vec<u64>,
    open: Vec<Open>,
    suites: Vec<String>,
    case: Option<Case>,
    room: u64,
    texts: usize,
}

/// Reads one report; `room` is how many tests it may hold. The marks are those of `Seen`.
pub fn report(inner: impl BufRead, room: u64, mask: Mask<'_>) -> Result<(Tested, Vec<u64>), Unreadable> {
    let (inner, token) = Capped::new(inner, MAX_TEXT, || io::Error::from(io::ErrorKind::FileTooLarge));
    let mut reader = Reader::from_reader(inner);
    let mut r =
        Report { mask, out: Tested::default(), marks: Vec::new(), open: Vec::new(), suites: Vec::new(), case: None, room, texts: TEXTS };
    let (mut buf, mut rooted) = (Vec::new(), false);
    loop {
        buf.clear();
        token.set(0);
        let at = reader.buffer_position();
        let event = reader.read_event_into(&mut buf).map_err(|e| fault(at, e))?;
        match event {
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                let leaf = matches!(event, Event::Empty(_));
                if tag.len() > MAX_TAG {
                    return Err(Unreadable::Large { what: "a tag", limit: MAX_TAG as u64 });
                }
                if r.open.is_empty() {
                    let name = tag.local_name();
                    if rooted || !matches!(name.as_ref(), "testsuites" | "testsuite") {
                        return Err(Unreadable::Root(short(name.as_ref(), 40)));
                    }
                    rooted = true;
                }
                r.start(tag, at)?;
                if leaf {
                    r.end();
                }
            }
            Event::End(_) => r.end(),
            Event::Text(t) => r.text(&t),
            Event::CData(t) => r.text(&t),
            Event::GeneralRef(e) => {
                let known = match entity(&e) {
                    None => e.resolve_char_ref().map_err(|e| Unreadable::Xml { at, why: short(&e.to_string(), 200) })?,
                    named => named,
                };
                let c = known.ok_or_else(|| Unreadable::Xml { at, why: format!("unknown entity `{}`", short(&e, 40)) })?;
                r.text(c.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(Unreadable::DocType),
            Event::Decl(d) => {
                if let Some(Ok(name)) = d.encoding()
                    && !["utf-8", "utf8", "us-ascii", "ascii"].contains(&name.to_ascii_lowercase().as_str())
                {
                    return Err(Unreadable::Encoding(short(&name, 40)));
                }
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if !r.open.is_empty() => return Err(Unreadable::Cut),
            Event::Eof if !rooted => return Err(Unreadable::Empty),
            Event::Eof => break,
        }
    }
    r.out.slowest.sort_by_key(|s| std::cmp::Reverse(s.duration_ms));
    r.out.slowest.truncate(MOST_SLOWEST);
    Ok((r.out, r.marks))
}

fn fault(at: u64, e: quick_xml::Error) -> Unreadable {
    match e {
        quick_xml::Error::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => {
            Unreadable::Large { what: "one tag or text", limit: MAX_TEXT }
        }
        quick_xml::Error::Encoding(e) => Unreadable::Xml { at, why: format!("it is not UTF-8: {}", short(&e.to_string(), 200)) },
        e => Unreadable::Xml { at, why: short(&e.to_string(), 200) },
    }
}

/// Safe to show, and not longer than `max` bytes.
fn short(text: &str, max: usize) -> String {
    cut(&sanitise::cell(cut(text, max * 4)), max).to_owned()
}

fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    &text[..end]
}

impl Report<'_> {
    fn start(&mut self, tag: &BytesStart<'_>, at: u64) -> Result<(), Unreadable> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Unreadable::Deep);
        }
        let name = tag.local_name();
        let inside = self.open.last().copied();
        let open = match (name.as_ref(), inside) {
            ("testsuites", None) => Open::Suites,
            ("testsuite", None | Some(Open::Suites | Open::Suite)) => {
                let name = self.attributes(tag, at, &["name"])?.into_iter().next().flatten().unwrap_or_default();
                self.suites.push(name);
                Open::Suite
            }
            ("testcase", Some(Open::Suite | Open::Suites)) => {
                self.case = Some(self.case(tag, at)?);
                Open::Case
            }
            ("failure" | "error", Some(Open::Case)) => {
                let kind = if name.as_ref() == "error" { "error" } else { "failure" };
                self.red(tag, at, kind)?;
                Open::Red
            }
            // As Maven writes tries before the last; `rerun…` stands beside a failure that stayed.
            ("flakyFailure" | "flakyError", Some(Open::Case)) => {
                self.red(tag, at, "flaky")?;
                Open::Again
            }
            ("skipped", Some(Open::Case)) => {
                if let Some(c) = &mut self.case {
                    c.skipped = true;
                }
                Open::Other
            }
            _ => Open::Other,
        };
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) {
        match self.open.pop() {
            Some(Open::Suite) => drop(self.suites.pop()),
            Some(Open::Case) => self.close_case(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let (Some(Open::Red | Open::Again), Some(case)) = (self.open.last(), &mut self.case)
            && case.trace.len() < TRACE
        {
            case.trace.push_str(cut(text, TRACE - case.trace.len()));
        }
    }

    fn attributes(&self, tag: &BytesStart<'_>, at: u64, names: &[&str]) -> Result<Vec<Option<String>>, Unreadable> {
        let mut out = vec![None; names.len()];
        for a in tag.attributes().with_checks(false) {
            let bad = |why: String| Unreadable::Xml { at, why: short(&why, 200) };
            let a = a.map_err(|e| bad(e.to_string()))?;
            let name = a.key.local_name();
            if let Some(i) = names.iter().position(|n| *n == name.as_ref()) {
                let value = a.normalized_value(XmlVersion::Implicit1_0).map_err(|e| bad(e.to_string()))?;
                out[i] = Some(cut(&value, TRACE).to_owned());
            }
        }
        Ok(out)
    }

    fn case(&mut self, tag: &BytesStart<'_>, at: u64) -> Result<Case, Unreadable> {
        if self.out.total() >= self.room {
            return Err(Unreadable::Many);
        }
        let mut all = self.attributes(tag, at, &["classname", "name", "time"])?.into_iter();
        let (class, name, time) = (all.next().flatten(), all.next().flatten(), all.next().flatten());
        let suite = class.filter(|c| !c.trim().is_empty()).or_else(|| self.suites.iter().rev().find(|s| !s.is_empty()).cloned());
        let name = name.filter(|n| !n.trim().is_empty()).unwrap_or_else(|| "(no name)".to_owned());
        Ok(Case {
            suite: short(&(self.mask)(&suite.unwrap_or_default()), NAME),
            test: short(&(self.mask)(&name), NAME),
            duration_ms: time.as_deref().map_or(0, millis),
            ..Case::default()
        })
    }

    fn red(&mut self, tag: &BytesStart<'_>, at: u64, kind: &'static str) -> Result<(), Unreadable> {
        let mut all = self.attributes(tag, at, &["message", "type"])?.into_iter();
        let (message, ty) = (all.next().flatten(), all.next().flatten());
        let Some(case) = &mut self.case else { return Ok(()) };
        if kind == "flaky" {
            case.again = true;
        } else if case.red.is_none() {
            case.red = Some(kind);
        }
        if case.message.is_empty() {
            case.message = message.or(ty).unwrap_or_default();
        }
        Ok(())
    }

    fn close_case(&mut self) {
        let Some(case) = self.case.take() else { return };
        let outcome = match case.red {
            Some(_) => Outcome::Failed,
            None if case.skipped => Outcome::Skipped,
            None if case.again => Outcome::Flaky,
            None => Outcome::Passed,
        };
        let out = &mut self.out;
        match outcome {
            Outcome::Failed => out.failed += 1,
            Outcome::Skipped => out.skipped += 1,
            Outcome::Flaky => (out.passed, out.flaky) = (out.passed + 1, out.flaky + 1),
            Outcome::Passed => out.passed += 1,
        }
        out.duration_ms = out.duration_ms.saturating_add(case.duration_ms);
        self.marks.push(Seen::mark(&case.suite, &case.test, outcome));
        if case.duration_ms > 0 {
            out.slowest.push(Slow { suite: case.suite.clone(), test: case.test.clone(), duration_ms: case.duration_ms });
            if out.slowest.len() >= 50 * MOST_SLOWEST {
                out.slowest.sort_by_key(|s| std::cmp::Reverse(s.duration_ms));
                out.slowest.truncate(MOST_SLOWEST);
            }
        }
        if matches!(outcome, Outcome::Failed | Outcome::Flaky) && out.failures.len() < MOST_FAILURES {
            // The first line of the trace stands for a message that is not there.
            let first = case.trace.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("");
            let said = if case.message.trim().is_empty() { first } else { &case.message };
            let message = short(&(self.mask)(said), MESSAGE.min(self.texts));
            self.texts -= message.len();
            let trace = cut(&sanitise::lines(&(self.mask)(&case.trace)), TRACE.min(self.texts)).to_owned();
            self.texts -= trace.len();
            let kind = case.red.unwrap_or("flaky");
            out.failures.push(Failure { suite: case.suite, test: case.test, kind, message, trace, duration_ms: case.duration_ms });
        }
    }
}

/// Seconds as reports write them: `0.25`, `1,234.5`, and `0,25` where the writer's locale has it so. What is no time is none.
fn millis(text: &str) -> u64 {
    let text = text.trim();
    let whole = text.split('.').next().unwrap_or_default();
    let mut groups = whole.split(',');
    // Thousands come in threes, and the first of them is no zero; any other comma stands where a point should.
    let first = groups.next().is_some_and(|g| (1..=3).contains(&g.len()) && !g.starts_with('0'));
    let thousands = first && groups.all(|g| g.len() == 3);
    let plain = if thousands { text.replace(',', "") } else { text.replacen(',', ".", 1) };
    let seconds: f64 = plain.parse().unwrap_or(0.0);
    // A hundred days: more is a slip.
    if seconds.is_finite() { (seconds.clamp(0.0, 8_640_000.0) * 1_000.0).round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests;
