//! `pipeline import`: a Jenkinsfile or a config.xml becomes a pipeline file and a report for each of its lines. Pure: text and catalogue in.
//!
//! The file always passes lint: what lint would refuse is replaced by a failing step that quotes the original.

mod agent;
mod axes;
mod build;
mod cells;
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
mod repair;
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

use super::diagnostic::Diagnostic;
use convert::Converter;
use source::{Bad, Source};

pub use convert::name_of;
pub use repair::{Imported, Request};
pub use report::{Fate, Line, Summary, summary, text as report_text};

/// Bytes of an original that will be read.
pub const MAX_BYTES: usize = 10 << 20;
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
    repair::finish(c, request, &script.content)
}
