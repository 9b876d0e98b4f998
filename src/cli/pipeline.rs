//! `pipeline lint|plan|graph|explain|schema|list` (`import` has a file of its own): files in, the pure commands of the pipeline room, text or JSON out. No engine is needed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use indexmap::IndexMap;

use super::Ctx;
use super::args::Pipeline as Command;
use super::failure::{Failure, Outcome};
use super::out::Out;
use crate::config::{ConfigError, pipelines};
use crate::domain::run::valid_name;
use crate::engine::catalog;
use crate::pipeline::cmd::{self, Output, Source, Style};
use crate::pipeline::lint::shell::{Fault, Script};
use crate::pipeline::{Catalog, FreezeCtx};

/// No pipeline file is larger; the reader says so again.
const MOST: u64 = 2 << 20;

pub fn run(ctx: &Ctx, out: &mut Out, command: Command) -> Outcome {
    let check = |script: &Script| shell_check(script);
    let style = Style { color: out.colour, check: Some(&check) };
    let output = match command {
        Command::Import { file, output, name } => return super::import::run(ctx, out, super::import::Import { file, output, name }),
        Command::Schema => cmd::schema(),
        Command::Explain { key } => {
            cmd::explain(key.as_deref(), &site_catalog(ctx, out)?).map_err(|unknown| Failure::bad(unknown.message, unknown.help))?
        }
        Command::Lint { file } => {
            let catalog = site_catalog(ctx, out)?;
            let sources = if file.is_empty() { all(ctx)? } else { file.iter().map(|f| source(ctx, f)).collect() };
            if sources.is_empty() {
                let help = format!("put NAME.yml into {}, or name a file", ctx.dirs.pipelines().display());
                return Err(Failure::bad("there is no pipeline to lint", help));
            }
            cmd::lint(&sources, &catalog, style)
        }
        Command::Plan { file, param } => {
            let catalog = site_catalog(ctx, out)?;
            let mut given = IndexMap::new();
            for (name, value) in param {
                if given.insert(name.clone(), value).is_some() {
                    return Err(Failure::bad(format!("parameter `{name}` is given twice"), "give it once"));
                }
            }
            let have = |program: &str| crate::engine::plan::have(program);
            let freeze = FreezeCtx { have: &have, ..FreezeCtx::NOTHING };
            cmd::plan(&source(ctx, &file), &catalog, &given, &freeze, jiff::Timestamp::now(), style)
        }
        Command::Graph { file, dot } => cmd::graph(&source(ctx, &file), &site_catalog(ctx, out)?, dot, style),
        Command::List => {
            for (path, why) in pipelines::passed_over(&ctx.dirs, ctx.uid)? {
                out.note(&format!("note: {} never runs: {why}", path.display()));
            }
            cmd::list(&by_name(all(ctx)?), &site_catalog(ctx, out)?, jiff::Timestamp::now())
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

/// What the files may name. A site whose file is broken is said so: its names would all be unknown.
pub(super) fn site_catalog(ctx: &Ctx, out: &mut Out) -> Result<Catalog, Failure> {
    let site = ctx.site(out)?;
    let catalog = catalog::of_site_now(&ctx.dirs, &site, ctx.uid, jiff::Timestamp::now())?;
    Ok(catalog::with_stages(catalog, &ctx.dirs, ctx.uid))
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
        Err(e) => Err(e.to_string()),
    };
    Source { name: path.display().to_string(), bytes }
}

/// A file that is there, else a pipeline of the site.
fn source(ctx: &Ctx, file: &str) -> Source {
    if valid_name(file) && !Path::new(file).exists() {
        return match pipelines::read(&ctx.dirs, file, ctx.uid) {
            Err(e @ ConfigError::NoPipeline { .. }) => Source { name: file.to_owned(), bytes: Err(format!("{e}; {}", e.help())) },
            _ => named(ctx, file),
        };
    }
    Source { name: file.to_owned(), bytes: read_any(&PathBuf::from(file)) }
}

fn read_any(path: &Path) -> Result<Vec<u8>, String> {
    let meta = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !meta.is_file() {
        return Err("it is not a regular file".into());
    }
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// `bash -n` (or `sh -n`) reads a script without running it; machines without it lint without it.
pub(super) fn shell_check(script: &Script) -> Vec<Fault> {
    let shell = script.interpreter.first().map_or("sh", String::as_str);
    let base = shell.rsplit('/').next().unwrap_or(shell);
    if !matches!(base, "sh" | "bash" | "dash" | "ksh") {
        return Vec::new();
    }
    let child = Process::new(shell).arg("-n").env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else { return Vec::new() };
    let text = script.text.clone();
    let stdin = child.stdin.take();
    // Fed beside the reading: a shell that complains early must not block us.
    let feed = std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(text.as_bytes());
        }
    });
    let output = child.wait_with_output();
    let _ = feed.join();
    let Ok(output) = output else { return Vec::new() };
    if output.status.success() {
        return Vec::new();
    }
    String::from_utf8_lossy(&output.stderr).lines().filter_map(complaint).take(1).collect()
}

/// `bash: line 3: syntax error …`, `sh: 3: Syntax error: …`.
fn complaint(line: &str) -> Option<Fault> {
    let mut rest = line.split_once(": ")?.1;
    rest = rest.strip_prefix("line ").unwrap_or(rest);
    let (number, message) = rest.split_once(": ")?;
    Some(Fault { line: number.trim().parse().ok()?, message: message.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_s_complaint_has_its_line() {
        assert_eq!(complaint("bash: line 3: syntax error near unexpected token `done'").map(|f| f.line), Some(3));
        assert_eq!(
            complaint("sh: 2: Syntax error: end of file unexpected").map(|f| f.message),
            Some("Syntax error: end of file unexpected".into())
        );
        assert_eq!(complaint("noise"), None);
        let bad = Script { interpreter: vec!["sh".into()], text: "echo a\nif true; then\n".into() };
        assert!(!shell_check(&bad).is_empty());
        let good = Script { interpreter: vec!["sh".into()], text: "echo a\n".into() };
        assert!(shell_check(&good).is_empty());
    }
}
