//! The file that an original becomes: lint reads it, and what it refuses is replaced, until it finds no error.

use super::convert::Converter;
use super::out;
use super::report::Line;
use super::source::{Bad, Span};
use crate::pipeline::diagnostic::{Diagnostic, printable};
use crate::pipeline::{Catalog, Checker, load_with};

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

/// Writes the file, and lets lint read it until it finds no error.
pub(super) fn finish(mut c: Converter<'_>, request: &Request<'_>, content: &[Span]) -> Result<Imported, Bad> {
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
