//! `pipeline import`: a Jenkinsfile or a config.xml becomes a pipeline file and a report for each of its lines. Pure: text and catalogue in.
//!
//! The file always passes lint: what lint would refuse is replaced by a failing step that quotes the original.

mod agent;
mod axes;
mod build;
mod cond;
mod convert;
mod credentials;
mod cron;
mod directives;
mod job;
mod lexer;
mod out;
mod outward;
mod parse;
mod post;
mod report;
mod scm;
mod script;
mod shell;
mod source;
mod stages;
mod steps;
#[cfg(test)]
mod tests;
mod xml;

use super::diagnostic::{Diagnostic, printable};
use super::{Catalog, Checker, load_with};
use convert::Converter;
use source::{Bad, Source};

pub use convert::name_of;
pub use report::{Fate, Line, Summary, summary, text as report_text};

/// Bytes of an original that will be read.
pub const MAX_BYTES: usize = 10 << 20;
/// Rounds of lint and repair; each replaces at least one stage.
const MAX_ROUNDS: usize = 8;
/// Scripts that a real shell reads; each is a process.
const MAX_CHECKED: usize = 500;

/// What is imported, and as what.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub bytes: &'a [u8],
    /// Name of the original, for messages.
    pub origin: &'a str,
    /// Name of the pipeline that it becomes.
    pub name: &'a str,
    pub catalog: &'a Catalog,
    /// A real shell that reads scripts, where there is one.
    pub check: Option<Checker<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The pipeline file.
    pub text: String,
    pub report: Vec<Line>,
    /// Warnings of lint about the file.
    pub warnings: Vec<Diagnostic>,
}

/// Why nothing was imported: the finding, and the text that it points into.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{diagnostic}")]
pub struct Refused {
    pub diagnostic: Box<Diagnostic>,
    pub text: String,
}

/// Converts an original.
pub fn import(request: &Request<'_>) -> Result<Imported, Refused> {
    let refuse =
        |source: &Source, bad: &Bad| Refused { diagnostic: Box::new(source.diagnostic(bad, request.origin)), text: source.text.clone() };
    let text = decode(request.bytes).map_err(|(text, bad)| refuse(&Source::new(text), &bad))?;
    let source = Source::new(text);
    let is_xml = source.text.trim_start().starts_with('<');
    if is_xml { job::import(request, &source) } else { jenkinsfile(request, &source) }.map_err(|bad| refuse(&source, &bad))
}

/// UTF-8 without its mark, lines ended by a line feed alone.
fn decode(bytes: &[u8]) -> Result<String, (String, Bad)> {
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, the limit is {MAX_BYTES}", bytes.len());
        return Err((String::new(), Bad::limit(0..0, message)));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let good = String::from_utf8_lossy(bytes.get(..e.valid_up_to()).unwrap_or_default()).into_owned();
        let end = good.len();
        (good, Bad::refused(end..end, "the file is not UTF-8 from here on", "save it as UTF-8; is this a text file?"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    match memchr::memchr(0, text.as_bytes()) {
        Some(at) => Err((text, Bad::refused(at..at + 1, "there is a NUL byte in the file", "is this a text file?"))),
        None => Ok(text),
    }
}

fn jenkinsfile(request: &Request<'_>, source: &Source) -> Result<Imported, Bad> {
    let script = parse::parse(source)?;
    let mut c = Converter::new(source, request.origin, request.name, request.catalog, &script.comments);
    c.jenkinsfile(&script.stmts)?;
    finish(c, request, &script.content)
}

/// Writes the file, and lets lint read it until it finds no error.
fn finish(mut c: Converter<'_>, request: &Request<'_>, content: &[source::Span]) -> Result<Imported, Bad> {
    let scripts: usize = c.file.stages.iter().map(|s| s.steps.len()).sum();
    let check = request.check.filter(|_| scripts <= MAX_CHECKED);
    for round in 0..=MAX_ROUNDS {
        let (text, starts) = out::text(&c.file);
        let (_, found) = load_with(&text, &format!("{}.yml", request.name), request.catalog, check);
        // A lock that the site has not yet is one to be added there, and is said so beside its line.
        let errors: Vec<&Diagnostic> = found.iter().filter(|d| d.is_error() && d.code != "ref.lock").collect();
        if errors.is_empty() {
            return Ok(Imported { text, report: c.report.lines(c.src, content), warnings: found });
        }
        let mut repaired = false;
        let mut stages: Vec<(usize, String)> = Vec::new();
        for e in &errors {
            // The stage whose lines hold the error.
            let after = starts.partition_point(|s| *s <= e.line as usize);
            if let Some(i) = after.checked_sub(1).filter(|i| *i < c.file.stages.len())
                && !stages.iter().any(|(j, _)| *j == i)
            {
                stages.push((i, e.message.clone()));
            }
        }
        for (i, why) in stages {
            repaired |= replace(&mut c, i, &why);
        }
        if !repaired || round == MAX_ROUNDS {
            let why = errors.first().map(|e| printable(&e.message)).unwrap_or_default();
            whole_by_hand(&mut c, &why);
        }
    }
    Err(Bad::refused(0..0, "what this becomes is no pipeline file", "write it by hand: `quarterdeck pipeline explain` lists the keys"))
}

/// A stage that lint refuses becomes a failing step that quotes it. False where it is one already.
fn replace(c: &mut Converter<'_>, i: usize, why: &str) -> bool {
    let Some(span) = c.spans.get(i).cloned() else { return false };
    let why = format!("lint says: {why}");
    let Some(stage) = c.file.stages.get(i) else { return false };
    if stage.steps.len() == 1
        && stage.when.is_none()
        && stage.matrix.is_none()
        && stage.build.is_none()
        && stage.steps[0].name.starts_with("by hand")
        && stage.post.is_empty()
    {
        return false;
    }
    let what = format!("stage `{}`", stage.name);
    let step = c.by_hand(&span, &what, &why, "write the stage by hand");
    let Some(stage) = c.file.stages.get_mut(i) else { return false };
    *stage = out::Stage {
        name: stage.name.clone(),
        comments: stage.comments.clone(),
        needs: stage.needs.clone(),
        steps: vec![step],
        ..out::Stage::default()
    };
    true
}

/// The last resort: one failing step that quotes everything.
fn whole_by_hand(c: &mut Converter<'_>, why: &str) {
    let all = 0..c.src.text.len();
    let why = format!("lint says: {why}");
    let step = c.by_hand(&all, "the pipeline", &why, "write the pipeline by hand");
    let comments = std::mem::take(&mut c.file.comments);
    c.file = out::File {
        name: c.file.name.clone(),
        comments: comments.into_iter().rev().take(1).collect(),
        stages: vec![out::Stage { name: "by hand".into(), steps: vec![step], ..out::Stage::default() }],
        ..out::File::default()
    };
    c.spans = vec![all];
}
