//! `pipeline lint|plan|graph|explain|schema|list` (`import` has a file of its own): files in, the pure commands of the pipeline room, text or JSON out.
//! No engine is needed; `plan` asks one that runs which runs of other pipelines there are.

use std::io::Read;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::args::Pipeline as Command;
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::shell::shell_check;
use super::{Ctx, dash, other_runs};
use crate::config::{ConfigError, pipelines};
use crate::domain::run::valid_name;
use crate::pipeline::FreezeCtx;
use crate::pipeline::cmd::{self, Output, Source, Style, Unread};
use crate::pipeline::lint::shell::once;
use crate::pipeline::params::RunQuery;

/// No pipeline file is larger; the reader says so again.
const MOST: u64 = 2 << 20;

pub fn run(ctx: &Ctx, out: &mut Out, command: Command) -> Outcome {
    let check = once(shell_check);
    let style = Style { color: out.colour, check: Some(&check) };
    let output = match command {
        Command::Import { file, output, name } => return super::import::run(ctx, out, super::import::Import { file, output, name }),
        Command::Schema => cmd::schema(),
        Command::Explain { key } => {
            cmd::explain(key.as_deref(), &ctx.catalog(out)?).map_err(|unknown| Failure::bad(unknown.message, unknown.help))?
        }
        Command::Lint { file } => {
            let catalog = ctx.catalog(out)?;
            let sources = if file.is_empty() { all(ctx)? } else { file.iter().map(|f| source(ctx, f)).collect() };
            if sources.is_empty() {
                let help = format!("put NAME.yml into {}, or name a file", ctx.dirs.pipelines().display());
                return Err(Failure::bad("there is no pipeline to lint", help));
            }
            cmd::lint(&sources, &catalog, style)
        }
        Command::Plan { file, param } => {
            // Read once: for what the file may name, and for the engine that is asked about runs.
            let site = ctx.site(out)?;
            let catalog = ctx.catalog_of(&site)?;
            let mut given = IndexMap::new();
            for (name, value) in param {
                if given.insert(name.clone(), value).is_some() {
                    return Err(Failure::bad(format!("parameter `{name}` is given twice"), "give it once"));
                }
            }
            let have = |program: &str| crate::engine::plan::have(program);
            let find_run = |q: &RunQuery| other_runs::find(ctx, &site, q);
            let freeze = FreezeCtx { have: &have, find_run: &find_run, ..FreezeCtx::NOTHING };
            cmd::plan(&source(ctx, &file), &catalog, &given, &freeze, jiff::Timestamp::now(), style)
        }
        Command::Graph { file, dot } => cmd::graph(&source(ctx, &file), &ctx.catalog(out)?, dot, style),
        Command::List => {
            for (path, why) in pipelines::passed_over(&ctx.dirs, ctx.uid)? {
                out.note(&format!("note: {} never runs: {why}", path.display()));
            }
            let sources = by_name(all(ctx)?);
            if sources.is_empty() && !out.json {
                out.advice(super::tables::NO_PIPELINES);
                return Ok(());
            }
            cmd::list(&sources, &ctx.catalog(out)?, jiff::Timestamp::now())
        }
    };
    print(out, &output)
}

fn print(out: &Out, output: &Output) -> Outcome {
    if out.json {
        out.value(&output.json);
    } else {
        out.raw(output.text.as_bytes());
    }
    if output.code == 0 { Ok(()) } else { Err(Failure::told(output.code)) }
}

/// Every pipeline of the site; what may not be trusted is unreadable.
fn all(ctx: &Ctx) -> Result<Vec<Source>, Failure> {
    Ok(pipelines::names(&ctx.dirs, ctx.uid)?.iter().map(|name| named(ctx, name)).collect())
}

/// A list has no room for the directory that all share.
fn by_name(mut sources: Vec<Source>) -> Vec<Source> {
    for s in &mut sources {
        if let Some(name) = Path::new(&s.name).file_name() {
            s.name = name.to_string_lossy().into_owned();
        }
    }
    sources
}

fn named(ctx: &Ctx, name: &str) -> Source {
    let path = ctx.dirs.pipelines().join(format!("{name}.yml"));
    let bytes = match pipelines::read(&ctx.dirs, name, ctx.uid) {
        Ok(file) => Ok(file.text.into_bytes()),
        // A text that is no UTF-8 is shown with its place.
        Err(ConfigError::Unreadable { .. }) => read_any(&path),
        Err(e) => Err(unread(&e)),
    };
    Source { name: path.display().to_string(), bytes, must: Some(name.to_owned()) }
}

/// Standard input, a file that is there, else a pipeline of the site.
fn source(ctx: &Ctx, file: &str) -> Source {
    if dash::is(Path::new(file)) {
        let bytes = dash::read(MOST - 1).map_err(|e| Unread { message: format!("cannot read standard input: {e}"), help: String::new() });
        return Source { name: "standard input".to_owned(), bytes, must: None };
    }
    if valid_name(file) && !Path::new(file).exists() {
        return match pipelines::read(&ctx.dirs, file, ctx.uid) {
            Err(e @ ConfigError::NoPipeline { .. }) => Source { name: file.to_owned(), bytes: Err(unread(&e)), must: None },
            _ => named(ctx, file),
        };
    }
    Source { name: file.to_owned(), bytes: read_any(&PathBuf::from(file)), must: None }
}

fn unread(e: &ConfigError) -> Unread {
    Unread { message: e.to_string(), help: e.help() }
}

fn read_any(path: &Path) -> Result<Vec<u8>, Unread> {
    let fail = |e: std::io::Error| Unread { message: format!("cannot read the file: {e}"), help: "check path and permissions".into() };
    let meta = std::fs::metadata(path).map_err(fail)?;
    if !meta.is_file() {
        return Err(Unread {
            message: "cannot read the file: it is not a regular file".into(),
            help: "name a pipeline, or its file".into(),
        });
    }
    let file = std::fs::File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}
