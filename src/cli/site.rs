//! `site init` and `site check`: make the files of a site, and say everything that is wrong with them.

use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Ctx;
use super::args::Site as Command;
use super::failure::{Failure, Outcome, from_config};
use super::out::{Out, Tone};
use crate::base::{count, sanitise};
use crate::config::{ConfigError, calendars, pipelines, problem, template, trust};
use crate::engine::catalog;
use crate::pipeline::render_with;

pub fn run(ctx: &Ctx, out: &mut Out, command: &Command) -> Outcome {
    match command {
        Command::Init { mirror } => init(ctx, out, mirror.as_deref()),
        Command::Check => check(ctx, out),
    }
}

/// What there is stays as it is: a person wrote it.
fn init(ctx: &Ctx, out: &Out, mirror: Option<&Path>) -> Outcome {
    let mirror = trees(ctx, mirror)?;
    let dir = &ctx.dirs.config;
    if dir.starts_with(&ctx.dirs.state) && !ctx.dirs.state.exists() {
        // The state beside it is nobody else's business.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&ctx.dirs.state);
        made.map_err(|e| unwritable(&ctx.dirs.state, &e))?;
    }
    make_dir(dir)?;
    make_dir(&ctx.dirs.pipelines())?;
    trust::directory(dir, ctx.uid)?;
    let site = template::site(&mirror);
    let mut files: Vec<(PathBuf, String)> = vec![(ctx.dirs.site_file(), site)];
    let shipped = SHIPPED.iter().map(|(name, text)| (ctx.dirs.pipelines().join(format!("{name}.yml")), template::pipeline(text, &mirror)));
    files.extend(shipped);
    let mut rows = Vec::new();
    for (path, text) in files {
        rows.push((path.display().to_string(), write_new(&path, &text)?));
    }
    if out.json {
        let rows: Vec<_> = rows.iter().map(|(f, new)| json!({"file": f, "written": new})).collect();
        out.value(&json!({"config_dir": dir, "state_dir": ctx.dirs.state, "mirror": mirror, "files": rows}));
        return Ok(());
    }
    for (file, new) in &rows {
        out.line(format!("{} {file}", if *new { "written" } else { "kept   " }));
    }
    if rows.first().is_some_and(|(_, new)| *new) {
        out.line(format!("trees   {mirror} (another: --mirror DIR)"));
    }
    out.advice(format!("next: read {}, then: quarterdeck site check", ctx.dirs.site_file().display()));
    Ok(())
}

/// Where the trees of the mirror will be, as the site file says it: absolute, and a text.
fn trees(ctx: &Ctx, wanted: Option<&Path>) -> Result<String, Failure> {
    let dir = match wanted {
        None => ctx.dirs.state.join("mirror"),
        Some(dir) => std::path::absolute(dir).map_err(|e| Failure::bad(format!("--mirror {}: {e}", dir.display()), "name a directory"))?,
    };
    if dir.components().any(|c| matches!(c, std::path::Component::ParentDir)) {
        return Err(Failure::bad(format!("--mirror {} has `..` in it", dir.display()), "name it by its absolute path"));
    }
    if dir.parent().is_none() {
        return Err(Failure::bad("--mirror / would let every step write everywhere", "name a directory of its own, such as /srv/mirror"));
    }
    dir.into_os_string()
        .into_string()
        .map_err(|d| Failure::bad(format!("{} is no UTF-8", d.to_string_lossy()), "name another: --mirror DIR"))
}

/// Pipelines that come with this version; `site init` copies them, and only the copies run.
pub const SHIPPED: &[(&str, &str)] = &[
    ("nightly-repo-updates", include_str!("../../pipelines/nightly-repo-updates.yml")),
    ("promote-latest", include_str!("../../pipelines/promote-latest.yml")),
    ("repo-updates", include_str!("../../pipelines/repo-updates.yml")),
    ("rollback-stable", include_str!("../../pipelines/rollback-stable.yml")),
    ("rpmcanary", include_str!("../../pipelines/rpmcanary.yml")),
    ("rpminspector", include_str!("../../pipelines/rpminspector.yml")),
    ("snapshot-latest", include_str!("../../pipelines/snapshot-latest.yml")),
];

fn make_dir(dir: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(|e| unwritable(dir, &e))
}

/// True where the file is new. It gets its name when it is whole: half a file would be kept by the next `site init` as what a person wrote.
fn write_new(path: &Path, text: &str) -> Result<bool, Failure> {
    use std::io::Write;
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&part);
    let made = made.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    let named = made.and_then(|()| match rename_new(&part, path) {
        Ok(()) => Ok(true),
        // Somebody was quicker.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    });
    if !matches!(named, Ok(true)) {
        let _ = std::fs::remove_file(&part);
    }
    named.map_err(|e| unwritable(path, &e))
}

/// Renames onto a name that must be free. A file system that cannot promise that is asked first, and believed.
fn rename_new(from: &Path, to: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if to.symlink_metadata().is_err() => std::fs::rename(from, to),
        other => Ok(other?),
    }
}

fn unwritable(path: &Path, e: &std::io::Error) -> Failure {
    let help = match e.kind() {
        ErrorKind::ReadOnlyFilesystem => "it is on a read-only file system; choose another: --config-dir DIR",
        ErrorKind::PermissionDenied => "you may not write there; choose another: --config-dir DIR",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space and do it again: what is written stays; or choose another: --config-dir DIR"
        }
        _ => "is the directory yours? Another is named with --config-dir DIR",
    };
    Failure::bad(format!("cannot write {}: {e}", path.display()), help)
}

const RENAME: &str = "rename it to NAME.yml in lower case, or move it away";

/// Everything that is wrong, in one go; exit 1 when something is.
fn check(ctx: &Ctx, out: &mut Out) -> Outcome {
    let path = ctx.dirs.site_file();
    let mut rows = Vec::new();
    let mut fine = Vec::new();
    let mut text = String::new();
    let now = jiff::Timestamp::now();
    match ctx.dirs.read_site(ctx.uid) {
        Err(e @ ConfigError::Missing { .. }) => return Err(e.into()),
        Err(e) => rows.push((path.display().to_string(), 0, 0, "site.refused".to_owned(), e.to_string(), e.help())),
        Ok(None) => out.note(&format!("note: no site file at {}: every default holds; `quarterdeck site init` writes one", path.display())),
        Ok(Some(t)) => {
            if let Err(problems) = crate::config::Site::parse(&t) {
                text = problem::render(&problems, &path.display().to_string(), &t, out.colour);
                let file = path.display().to_string();
                rows.extend(problems.into_iter().map(|p| (file.clone(), p.line, p.column, "site.bad".into(), p.message, p.help)));
            } else {
                fine.push(path.display().to_string());
            }
        }
    }
    let broken = !rows.is_empty();
    let site = ctx.dirs.load(ctx.uid).unwrap_or_default();
    match calendars::names(&ctx.dirs, ctx.uid) {
        Err(e) => rows.push((ctx.dirs.calendars().display().to_string(), 0, 0, "calendars.refused".into(), e.to_string(), e.help())),
        Ok(names) => {
            for name in names {
                let path = ctx.dirs.calendars().join(format!("{name}.toml")).display().to_string();
                match calendars::read(&ctx.dirs, &name, ctx.uid) {
                    Ok(c) if c.opens(now).is_none() => {
                        let message = format!("calendar `{name}` never opens again: nothing that names it starts any more");
                        rows.push((path, 0, 0, "calendar.closed".into(), message, "look at its windows and freezes".into()));
                    }
                    Ok(_) => fine.push(path),
                    Err(ConfigError::Calendar { problems, rendered, .. }) => {
                        text.push_str(&rendered);
                        rows.extend(
                            problems.into_iter().map(|p| (path.clone(), p.line, p.column, "calendar.bad".into(), p.message, p.help)),
                        );
                    }
                    Err(e) => rows.push((path, 0, 0, "calendar.refused".into(), e.to_string(), e.help())),
                }
            }
        }
    }
    match catalog::of_site_now(&ctx.dirs, &site, ctx.uid, now) {
        Err(e) => rows.push((ctx.dirs.pipelines().display().to_string(), 0, 0, "pipelines.refused".into(), e.to_string(), e.help())),
        // What a pipeline refers to is known only once the site file is right: its errors would bury the one that causes them.
        Ok(_) if broken => out.note("note: the pipelines are not checked while the site file has errors"),
        Ok(catalog) => {
            for name in &catalog.pipelines {
                match catalog::judge(&ctx.dirs, name, ctx.uid, &catalog) {
                    Err(e) => rows.push((name.clone(), 0, 0, "pipeline.refused".into(), e.to_string(), from_config(&e).help)),
                    Ok(judged) => {
                        if judged.file.is_some() {
                            fine.push(judged.source.path.display().to_string());
                        }
                        for d in judged.diagnostics.into_iter().filter(|d| d.is_error()) {
                            text.push_str(&render_with(&d, &judged.source.text, out.colour));
                            text.push('\n');
                            rows.push((d.file, d.line as usize, d.column as usize, d.code, d.message, d.help));
                        }
                    }
                }
            }
        }
    }
    let over = pipelines::passed_over(&ctx.dirs, ctx.uid).unwrap_or_default();
    let over: Vec<_> = over.into_iter().map(|(path, why)| (path.display().to_string(), format!("this file never runs: {why}"))).collect();
    if out.json {
        let list: Vec<_> = rows
            .iter()
            .map(|(file, line, column, code, message, help)| {
                json!({"file": file, "line": line, "column": column, "severity": "error", "code": code, "message": message, "help": help})
            })
            .chain(over.iter().map(|(file, why)| {
                json!({"file": file, "line": 0, "column": 0, "severity": "warning", "code": "pipeline.name", "message": why, "help": RENAME})
            }))
            .collect();
        out.value(&json!({"diagnostics": list, "fine": fine}));
    } else {
        out.raw(text.as_bytes());
        for (_, _, _, _, message, help) in rows.iter().filter(|r| r.1 == 0) {
            out.line(format!("{}: {}\n  {}", out.paint(Tone::Bad, "error"), sanitise::lines(message), sanitise::lines(help)));
        }
        for (file, why) in &over {
            out.line(format!("{}: {}: {why}\n  {RENAME}", out.paint(Tone::Warn, "warning"), sanitise::cell(file)));
        }
        for file in &fine {
            out.line(format!("{}: {file}", out.paint(Tone::Good, "ok")));
        }
        if rows.is_empty() {
            let (repos, sets) = (site.repos.len(), site.content.len());
            out.line(format!(
                "{}: {}: {}, {}",
                out.paint(Tone::Good, "ok"),
                ctx.dirs.config.display(),
                count::of(repos as u64, "repository", "repositories"),
                count::s(sets as u64, "content set")
            ));
        } else {
            out.line(problem::count(rows.len()));
        }
    }
    if rows.is_empty() { Ok(()) } else { Err(Failure::told(1)) }
}
