//! `site check`: everything that is wrong with the files of a site, in one go; exit 1 where something is.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::Ctx;
use super::failure::{Failure, Outcome, from_config};
use super::out::{Out, Tone};
use crate::base::{count, sanitise, suggest};
use crate::config::problem::Problem;
use crate::config::read::{Named, Reference};
use crate::config::{ConfigError, Site, calendars, pipelines, problem};
use crate::console::themes;
use crate::engine::catalog;
use crate::pipeline::render_with;
use crate::theme::Depth;

const RENAME: &str = "rename it to NAME.yml in lower case, or move it away";

/// Something that is wrong. A line of 0 means the file as a whole.
#[derive(Serialize)]
struct Finding {
    file: String,
    line: usize,
    column: usize,
    severity: &'static str,
    code: String,
    message: String,
    help: String,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    /// The errors that have a place, as people see them: each with its line and a caret.
    text: String,
    fine: Vec<String>,
}

impl Found {
    /// A file or a directory that could not be read, or is wrong as a whole.
    fn whole(&mut self, path: impl Into<String>, code: &str, message: String, help: String) {
        self.errors.push(Finding { file: path.into(), line: 0, column: 0, severity: "error", code: code.into(), message, help });
    }

    /// Slips at their places in a file.
    fn slips(&mut self, path: &str, code: &str, problems: Vec<Problem>, rendered: &str) {
        self.text.push_str(rendered);
        self.errors.extend(problems.into_iter().map(|p| at(path, "error", code, p)));
    }

    /// What is no slip, and will bite.
    fn doubts(&mut self, path: &str, code: &str, problems: Vec<Problem>, rendered: &str) {
        self.text.push_str(rendered);
        self.warnings.extend(problems.into_iter().map(|p| at(path, "warning", code, p)));
    }
}

fn at(path: &str, severity: &'static str, code: &str, p: Problem) -> Finding {
    Finding { file: path.to_owned(), line: p.line, column: p.column, severity, code: code.into(), message: p.message, help: p.help }
}

pub fn run(ctx: &Ctx, out: &mut Out) -> Outcome {
    let mut found = Found::default();
    site_file(ctx, out, &mut found)?;
    let broken = !found.errors.is_empty();
    let site = ctx.dirs.load(ctx.uid).unwrap_or_default();
    let now = Timestamp::now();
    calendar_files(ctx, now, &mut found);
    match catalog::of_site_now(&ctx.dirs, &site, ctx.uid, now) {
        Err(e) => found.whole(shown(&ctx.dirs.pipelines()), "pipelines.refused", e.to_string(), e.help()),
        // What a pipeline refers to is known only once the site file is right: its errors would bury the one that causes them.
        Ok(_) if broken => out.note("note: the pipelines are not checked while the site file has errors"),
        Ok(catalog) => pipeline_files(ctx, out.colour, &catalog, &mut found),
    }
    for (path, why) in pipelines::passed_over(&ctx.dirs, ctx.uid).unwrap_or_default() {
        found.warnings.push(Finding {
            file: shown(&path),
            line: 0,
            column: 0,
            severity: "warning",
            code: "pipeline.name".into(),
            message: format!("this file never runs: {why}"),
            help: RENAME.into(),
        });
    }
    if out.json {
        let all: Vec<&Finding> = found.errors.iter().chain(&found.warnings).collect();
        out.value(&json!({"diagnostics": all, "fine": found.fine}));
    } else {
        print(ctx, out, &found, &site);
    }
    if found.errors.is_empty() { Ok(()) } else { Err(Failure::told(1)) }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn site_file(ctx: &Ctx, out: &mut Out, found: &mut Found) -> Outcome {
    let path = shown(&ctx.dirs.site_file());
    match ctx.dirs.read_site(ctx.uid) {
        Err(e @ ConfigError::Missing { .. }) => return Err(e.into()),
        Err(e) => found.whole(path, "site.refused", e.to_string(), e.help()),
        Ok(None) => out.note(&format!("note: no site file at {path}: every default holds; `quarterdeck site init` writes one")),
        Ok(Some(text)) => match Site::examine(&text) {
            Ok(examined) => {
                let Absent { calendars, files, themes } = absent(ctx, &text, &examined.references);
                let rendered = problem::render_doubts(&examined.doubts, &path, &text, out.colour);
                found.doubts(&path, "site.doubt", examined.doubts, &rendered);
                if calendars.is_empty() {
                    found.fine.push(path.clone());
                } else {
                    let rendered = problem::render(&calendars, &path, &text, out.colour);
                    found.slips(&path, "site.calendar", calendars, &rendered);
                }
                let rendered = problem::render_doubts(&files, &path, &text, out.colour);
                found.doubts(&path, "site.file", files, &rendered);
                let rendered = problem::render_doubts(&themes, &path, &text, out.colour);
                found.doubts(&path, "site.theme", themes, &rendered);
            }
            Err(problems) => {
                let rendered = problem::render(&problems, &path, &text, out.colour);
                found.slips(&path, "site.bad", problems, &rendered);
            }
        },
    }
    Ok(())
}

/// What the site file names and is not there, or cannot be used.
#[derive(Default)]
struct Absent {
    /// They can be nowhere else.
    calendars: Vec<Problem>,
    /// They may be on the machine of the engine, or out of this user's sight.
    files: Vec<Problem>,
    /// A console goes without.
    themes: Vec<Problem>,
}

fn absent(ctx: &Ctx, text: &str, references: &[Reference]) -> Absent {
    let mut absent = Absent::default();
    // Where the directory itself is refused, that is told by itself.
    let known = calendars::names(&ctx.dirs, ctx.uid).ok();
    for r in references {
        let value = sanitise::cell(&r.value);
        match r.named {
            Named::Calendar => {
                let Some(known) = known.as_ref().filter(|k| !k.contains(&r.value)) else { continue };
                let place = ctx.dirs.calendars().join("NAME.toml");
                let help = suggest::meant(&r.value, known.iter().map(String::as_str), format!("a calendar is a file {}", place.display()));
                absent.calendars.push(Problem::at(text, r.span.clone(), format!("there is no calendar `{value}`"), help));
            }
            Named::Theme => {
                let Err(e) = themes::load(&ctx.dirs, ctx.uid, &r.value, Depth::True) else { continue };
                let (message, help) = match &e {
                    ConfigError::NoTheme { .. } => {
                        let own = ctx.dirs.themes().join("NAME.toml");
                        (format!("there is no theme `{value}`"), format!("{}; own ones are files {}", e.help(), own.display()))
                    }
                    _ => (format!("the theme `{value}` cannot be used: {}", e.in_short()), e.help()),
                };
                absent.themes.push(Problem::at(text, r.span.clone(), message, help));
            }
            Named::File(what) => {
                let why = match std::fs::metadata(&r.value) {
                    Ok(meta) if meta.is_file() => continue,
                    Ok(_) => format!("the {what} {value} is no file"),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => format!("the {what} {value} is not on this machine"),
                    Err(_) => continue,
                };
                let help = "put it there, or correct the path; it is needed where the engine runs";
                absent.files.push(Problem::at(text, r.span.clone(), why, help));
            }
        }
    }
    absent
}

fn calendar_files(ctx: &Ctx, now: Timestamp, found: &mut Found) {
    let names = match calendars::names(&ctx.dirs, ctx.uid) {
        Ok(names) => names,
        Err(e) => return found.whole(shown(&ctx.dirs.calendars()), "calendars.refused", e.to_string(), e.help()),
    };
    for name in names {
        let path = shown(&ctx.dirs.calendars().join(format!("{name}.toml")));
        match calendars::read(&ctx.dirs, &name, ctx.uid) {
            Ok(c) if c.opens(now).is_none() => {
                let message = format!("calendar `{name}` never opens again: nothing that names it starts any more");
                found.whole(path, "calendar.closed", message, "look at its windows and freezes".into());
            }
            Ok(_) => found.fine.push(path),
            Err(ConfigError::Calendar { problems, rendered, .. }) => found.slips(&path, "calendar.bad", problems, &rendered),
            Err(e) => found.whole(path, "calendar.refused", e.to_string(), e.help()),
        }
    }
}

fn pipeline_files(ctx: &Ctx, colour: bool, catalog: &crate::pipeline::Catalog, found: &mut Found) {
    for name in &catalog.pipelines {
        let judged = match catalog::judge(&ctx.dirs, name, ctx.uid, catalog) {
            Ok(judged) => judged,
            Err(e) => {
                found.whole(name.as_str(), "pipeline.refused", e.to_string(), from_config(&e).help);
                continue;
            }
        };
        if judged.file.is_some() {
            found.fine.push(shown(&judged.source.path));
        }
        for d in judged.diagnostics.into_iter().filter(|d| d.is_error()) {
            found.text.push_str(&render_with(&d, &judged.source.text, colour));
            found.text.push('\n');
            let (line, column) = (d.line as usize, d.column as usize);
            found.errors.push(Finding { file: d.file, line, column, severity: "error", code: d.code, message: d.message, help: d.help });
        }
    }
}

fn print(ctx: &Ctx, out: &mut Out, found: &Found, site: &Site) {
    out.raw(found.text.as_bytes());
    for f in found.errors.iter().filter(|f| f.line == 0) {
        out.line(format!("{}: {}\n  {}", out.paint(Tone::Bad, "error"), sanitise::lines(&f.message), sanitise::lines(&f.help)));
    }
    for f in found.warnings.iter().filter(|f| f.line == 0) {
        out.line(format!("{}: {}: {}\n  {}", out.paint(Tone::Warn, "warning"), sanitise::cell(&f.file), f.message, f.help));
    }
    for file in &found.fine {
        out.line(format!("{}: {file}", out.paint(Tone::Good, "ok")));
    }
    if !found.errors.is_empty() {
        return out.line(problem::count(found.errors.len()));
    }
    out.line(format!(
        "{}: {}: {}, {}",
        out.paint(Tone::Good, "ok"),
        ctx.dirs.config.display(),
        count::of(site.repos.len() as u64, "repository", "repositories"),
        count::s(site.content.len() as u64, "content set")
    ));
}
