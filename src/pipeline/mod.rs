//! Floor 3: pipeline files as pure data: text and a catalogue in, a frozen plan or diagnostics out. No I/O.

pub mod answers;
pub mod calendar;
pub mod catalog;
pub mod cmd;
pub mod describe;
pub mod diagnostic;
pub mod expr;
pub mod freeze;
pub mod graph;
pub mod import;
pub mod lint;
mod locks;
pub mod matrix;
pub mod model;
mod order;
pub mod outline;
pub mod params;
pub mod plan;
pub mod preview;
pub mod reader;
pub mod schedule;
pub mod schema;
mod scope;
#[cfg(test)]
pub(crate) mod tests;
mod when;

use sha2::{Digest, Sha256};

pub use catalog::Catalog;
pub use diagnostic::{Diagnostic, Severity, render, render_with};
pub use freeze::{FreezeCtx, freeze};
pub use lint::shell::Checker;
pub use model::File;

use diagnostic::{Loc, Sink};

/// Reads, types and lints a pipeline file. `file` is its name for messages. The typed file is there only when no error was found.
pub fn load(text: &str, file: &str, catalog: &Catalog) -> (Option<File>, Vec<Diagnostic>) {
    load_with(text, file, catalog, None)
}

/// As [`load`]; scripts are also read by a real shell, through `check`.
pub fn load_with(text: &str, file: &str, catalog: &Catalog, check: Option<Checker<'_>>) -> (Option<File>, Vec<Diagnostic>) {
    let sha256 = hex(&Sha256::digest(text.as_bytes()));
    // Some editors begin a file with a byte order mark; it is no part of the YAML.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut sink = Sink::new(file, text);
    let mut model = None;
    if let Some(root) = reader::read(&mut sink) {
        schema::check(&root, &mut sink);
        if !sink.has("yaml.") && !sink.has("schema.many") {
            model = model::build(&root, file, sha256, &mut sink);
        }
    }
    if let Some(m) = &mut model {
        catalog.rate_builds(m);
    }
    if let Some(m) = &model {
        lint::lint(m, catalog, &mut sink);
        if let Some(check) = check {
            lint::shell::with_checker(m, check, &mut sink);
        }
    }
    let model = model.filter(|_| sink.errors() == 0);
    (model, sink.finish())
}

/// What others must know of a pipeline that they build, whatever else is wrong with it; none where it cannot be read at all.
pub fn outline(text: &str) -> Option<outline::Outline> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut sink = Sink::new("", text);
    let root = reader::read(&mut sink)?;
    schema::check(&root, &mut sink);
    if sink.has("yaml.") || sink.has("schema.many") {
        return None;
    }
    model::build(&root, "", String::new(), &mut sink).map(|f| outline::Outline::of(&f))
}

/// A pipeline of the site is known by the name of its file: the finding where this one, `path`, calls itself otherwise than `name`.
pub fn misnamed(file: &File, name: &str, path: &str) -> Option<Diagnostic> {
    let own = &file.name;
    (own.value != name).then(|| Diagnostic {
        file: path.to_owned(),
        line: own.at.line,
        column: own.at.column,
        severity: Severity::Error,
        code: "file.name".into(),
        message: format!("the file is {name}.yml, and calls itself `{}`", diagnostic::show(&own.value)),
        help: format!("write `name: {name}`: a pipeline's name must be its file's"),
        span: own.at.start..own.at.end,
        also: None,
    })
}

/// Code of the one finding in a file that is no text.
pub const NOT_TEXT: &str = "yaml.encoding";
/// Message and help for a file that some editors save so.
const UTF_16: (&str, &str) = ("the file is UTF-16, and pipelines are UTF-8", "save it as UTF-8");

/// As [`load_with`], of bytes: what is no UTF-8 is a diagnostic at its place.
pub fn load_bytes(bytes: &[u8], file: &str, catalog: &Catalog, check: Option<Checker<'_>>) -> (Option<File>, Vec<Diagnostic>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => load_with(text, file, catalog, check),
        Err(e) => {
            let text = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
            let mut sink = Sink::new(file, &text);
            let wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
            let (message, help) =
                if wide { UTF_16 } else { ("the file is not UTF-8 from here on", "save it as UTF-8; is this a text file?") };
            sink.error(Loc::at(&text, text.len()..text.len()), NOT_TEXT, message, help);
            (None, sink.finish())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
