//! The commands `pipeline lint|plan|graph|explain|schema|list` as pure functions: bytes, catalogue and moment in, text, JSON and exit code out.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Severity, render_with};
use super::freeze::{FreezeCtx, freeze};
use super::schema::explain::Unknown;
use super::{Catalog, Checker, File, NOT_TEXT, describe, graph, load_bytes, misnamed, schema};
use crate::base::{instant, sanitise};

/// A pipeline file as the caller found it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name for messages.
    pub name: String,
    /// Its bytes, or why there are none.
    pub bytes: Result<Vec<u8>, Unread>,
    /// The name that the pipeline must have: that of its file, where it is one of the site.
    pub must: Option<String>,
}

/// Why a file has no bytes to show, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub message: String,
    pub help: String,
}

/// What a command says. `code`: 0 done, 1 errors in a file, 2 bad input or unreadable.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// For standard output, as it is.
    pub text: String,
    /// Instead of the text, where JSON is wanted.
    pub json: Value,
    pub code: u8,
}

/// How the answer is wanted.
#[derive(Clone, Copy, Default)]
pub struct Style<'a> {
    pub color: bool,
    /// A real shell that reads scripts, where there is one.
    pub check: Option<Checker<'a>>,
}

fn unreadable(source: &Source, why: &Unread) -> Diagnostic {
    Diagnostic {
        file: source.name.clone(),
        line: 0,
        column: 0,
        severity: Severity::Error,
        code: "file.unreadable".into(),
        message: why.message.clone(),
        help: why.help.clone(),
        span: 0..0,
        also: None,
    }
}

/// Loads one source; the text is for carets.
fn open(source: &Source, catalog: &Catalog, check: Option<Checker<'_>>) -> (Option<File>, Vec<Diagnostic>, String, bool) {
    match &source.bytes {
        Ok(bytes) => {
            let (mut file, mut found) = load_bytes(bytes, &source.name, catalog, check);
            let slip = file.as_ref().zip(source.must.as_ref()).and_then(|(f, name)| misnamed(f, name, &source.name));
            if let Some(slip) = slip {
                found.push(slip);
                found.sort_by_key(|d| (d.line, d.column));
                file = None;
            }
            let text = String::from_utf8_lossy(bytes);
            (file, found, text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned(), false)
        }
        Err(why) => (None, vec![unreadable(source, why)], String::new(), true),
    }
}

/// A file that is no text is as unreadable as one that may not be opened; only its place is known.
fn code(found: &[Diagnostic], unreadable: bool) -> u8 {
    if unreadable || found.iter().any(|d| d.code == NOT_TEXT) { 2 } else { u8::from(found.iter().any(Diagnostic::is_error)) }
}

fn told(found: &[(Diagnostic, String)], color: bool) -> String {
    found.iter().map(|(d, text)| render_with(d, text, color)).collect::<Vec<_>>().join("\n")
}

fn failed(found: Vec<Diagnostic>, text: &str, unreadable: bool, style: Style<'_>) -> Output {
    let code = code(&found, unreadable);
    let json = json!({ "diagnostics": found });
    let pairs: Vec<(Diagnostic, String)> = found.into_iter().map(|d| (d, text.to_owned())).collect();
    Output { text: told(&pairs, style.color), json, code }
}

/// Lints files together: two pipelines of one name are an error in the second.
pub fn lint(sources: &[Source], catalog: &Catalog, style: Style<'_>) -> Output {
    let mut all: Vec<(Diagnostic, String)> = Vec::new();
    let mut names: IndexMap<String, String> = IndexMap::new();
    let mut worst = 0;
    for source in sources {
        let (file, mut found, text, unreadable) = open(source, catalog, style.check);
        if let Some(file) = &file {
            match names.get(&file.name.value) {
                Some(first) => found.push(Diagnostic {
                    file: source.name.clone(),
                    line: file.name.at.line,
                    column: file.name.at.column,
                    severity: Severity::Error,
                    code: "file.name".into(),
                    message: format!("pipeline `{}` stands in {first} already", file.name.value),
                    help: "give one of the two another name".into(),
                    span: file.name.at.start..file.name.at.end,
                    also: None,
                }),
                None => {
                    names.insert(file.name.value.clone(), source.name.clone());
                }
            }
        }
        worst = worst.max(code(&found, unreadable));
        all.extend(found.into_iter().map(|d| (d, text.clone())));
    }
    let errors = all.iter().filter(|(d, _)| d.is_error()).count();
    let warnings = all.len() - errors;
    let mut text = told(&all, style.color);
    if !text.is_empty() {
        text.push('\n');
    }
    let plural = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    text.push_str(&format!("{}: {}, {}\n", plural(sources.len(), "file"), plural(errors, "error"), plural(warnings, "warning")));
    let found: Vec<Diagnostic> = all.into_iter().map(|(d, _)| d).collect();
    Output { text, json: json!({ "diagnostics": found }), code: worst }
}

/// The frozen plan of a file with these parameter values, as of `now`.
pub fn plan(
    source: &Source,
    catalog: &Catalog,
    parameters: &IndexMap<String, String>,
    ctx: &FreezeCtx<'_>,
    now: Timestamp,
    style: Style<'_>,
) -> Output {
    let (file, found, text, unreadable) = open(source, catalog, style.check);
    let Some(file) = file else { return failed(found, &text, unreadable, style) };
    match freeze(&file, catalog, parameters, ctx) {
        Ok(plan) => Output { text: describe::text(&plan, &file, catalog, now), json: describe::json(&plan, &file, catalog, now), code: 0 },
        // Values are input of this command: 2, not 1.
        Err(faults) => Output { code: 2, ..failed(faults, &text, false, style) },
    }
}

/// The stages as a picture; DOT where asked for.
pub fn graph(source: &Source, catalog: &Catalog, dot: bool, style: Style<'_>) -> Output {
    let (file, found, text, unreadable) = open(source, catalog, None);
    let Some(file) = file else { return failed(found, &text, unreadable, style) };
    let g = graph::of_file(&file);
    let nodes: Vec<Value> =
        g.nodes.iter().map(|n| json!({"name": n.name, "notes": n.notes, "needs": n.needs.iter().map(|i| &g.nodes[*i].name).collect::<Vec<_>>(), "post": n.post})).collect();
    let text = if dot { graph::dot(&g) } else { graph::ascii(&g) };
    Output { text, json: json!({"pipeline": g.title, "nodes": nodes}), code: 0 }
}

/// What a key, section or step kind means; without a word, the list of them.
pub fn explain(word: Option<&str>, catalog: &Catalog) -> Result<Output, Unknown> {
    let text = schema::explain::explain(word, catalog)?;
    Ok(Output { json: json!({"text": text}), text, code: 0 })
}

/// JSON Schema for editors.
pub fn schema() -> Output {
    let json = schema::json::schema();
    let text = serde_json::to_string_pretty(&json).unwrap_or_default() + "\n";
    Output { text, json, code: 0 }
}

/// All pipelines of a directory in one table; a broken file is a row, not an end.
pub fn list(sources: &[Source], catalog: &Catalog, now: Timestamp) -> Output {
    let mut rows = Vec::new();
    let mut worst = 0;
    for source in sources {
        let (file, found, _, unreadable) = open(source, catalog, None);
        worst = worst.max(code(&found, unreadable));
        let errors = found.iter().filter(|d| d.is_error()).count();
        rows.push(match file {
            Some(f) => {
                let next = describe::fires(&f, catalog, now, 1);
                json!({
                    "pipeline": f.name.value,
                    "file": source.name,
                    "description": f.description,
                    "danger": f.level(),
                    "stages": f.stages.len(),
                    "triggers": f.triggers.iter().map(|t| describe::trigger(t, &catalog.time_zone)).collect::<Vec<_>>(),
                    "next": next.first().map(|n| instant::utc(n.at)),
                    "next_local": next.first().map(|n| n.local.clone()),
                    "errors": 0,
                    "warnings": found.len(),
                    "detail": "",
                })
            }
            None => json!({
                "pipeline": source.name.trim_end_matches(".yml"),
                "file": source.name,
                "description": "",
                "danger": null,
                "stages": 0,
                "triggers": [],
                "next": null,
                "next_local": null,
                "errors": errors,
                "warnings": found.len() - errors,
                "detail": found.iter().find(|d| d.is_error()).map(ToString::to_string).unwrap_or_default(),
            }),
        });
    }
    // What a file says of itself is one line of a table, and draws on no terminal.
    let cell = |row: &Value, key: &str| sanitise::cell(row[key].as_str().unwrap_or("-"));
    let width = rows.iter().map(|r| cell(r, "pipeline").chars().count()).max().unwrap_or(0).max(8);
    let broken = |row: &Value| row["errors"].as_u64().unwrap_or(0) > 0;
    let next = |row: &Value| {
        if broken(row) {
            return "-".to_owned();
        }
        sanitise::cell(row["next_local"].as_str().or_else(|| row["triggers"][0].as_str()).unwrap_or("by hand"))
    };
    let next_width = rows.iter().map(|r| next(r).chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!("{:<width$}  {:<2}  {:<next_width$}  {}\n", "PIPELINE", "", "NEXT", "WHAT");
    for row in &rows {
        let what = if broken(row) { cell(row, "detail") } else { cell(row, "description") };
        let line = format!("{:<width$}  {:<2}  {:<next_width$}  {what}", cell(row, "pipeline"), cell(row, "danger"), next(row));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Output { text, json: json!({ "pipelines": rows }), code: worst }
}
