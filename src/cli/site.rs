//! `site init`: makes the files of a site; what is there stays.

use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Ctx;
use super::args::Site as Command;
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::site_check;
use crate::config::{template, trust};

pub fn run(ctx: &Ctx, out: &mut Out, command: &Command) -> Outcome {
    match command {
        Command::Init { mirror } => init(ctx, out, mirror.as_deref()),
        Command::Check => site_check::run(ctx, out),
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
