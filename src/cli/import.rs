//! `pipeline import`: reads a Jenkinsfile or a config.xml, writes the pipeline file (never over another), and says what became of each line.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::failure::{Failure, Outcome};
use super::out::Out;
use super::shell::shell_check;
use super::{Ctx, dash};
use crate::api::{ApiError, Code};
use crate::domain::run::valid_name;
use crate::pipeline::diagnostic::show;
use crate::pipeline::import::{self, Request};
use crate::pipeline::lint::shell::once;
use crate::pipeline::render_with;

/// What was asked for.
#[derive(Debug)]
pub struct Import {
    pub file: PathBuf,
    pub output: Option<PathBuf>,
    pub name: Option<String>,
}

pub fn run(ctx: &Ctx, out: &mut Out, ask: Import) -> Outcome {
    let name = match ask.name {
        Some(n) if valid_name(&n) => n,
        Some(n) => {
            let help = format!("write --name {}: a-z, 0-9, `.`, `_`, `-`, at most 64 characters", import::name_of(&n));
            return Err(Failure::bad(format!("`{}` is not a name", show(&n)), help));
        }
        // A stream has no name, and the directory that we stand in is not its own.
        None if dash::is(&ask.file) => "imported".to_owned(),
        None => import::name_of(&guess(&ask.file)),
    };
    // Standard output is where it goes anyway.
    let output = ask.output.filter(|to| !dash::is(to));
    let origin =
        ask.file.file_name().filter(|_| !dash::is(&ask.file)).map_or_else(|| "stdin".to_owned(), |n| n.to_string_lossy().into_owned());
    let bytes = read(&ask.file)?;
    if let Some(to) = &output
        && to.symlink_metadata().is_ok()
    {
        return Err(taken(to));
    }
    let catalog = ctx.catalog(out)?;
    let check = once(shell_check);
    let made = match import::import(&Request { bytes: &bytes, origin: &origin, name: &name, catalog: &catalog, check: Some(&check) }) {
        Ok(made) => made,
        Err(refused) => {
            let d = &refused.diagnostic;
            if out.json {
                let error = ApiError::bad(d.message.clone(), d.help.clone());
                out.value(&json!({ "error": error, "diagnostics": [d] }));
            } else {
                out.note(render_with(d, &refused.text, false).trim_end());
            }
            return Err(Failure::told(2));
        }
    };
    if let Some(to) = &output {
        write(to, &made.text)?;
    }
    if out.json {
        out.value(&json!({
            "name": name,
            "file": output.as_ref().map(|p| p.display().to_string()),
            "pipeline": made.text,
            "report": made.report,
            "summary": import::summary(&made.report),
            "diagnostics": made.warnings,
        }));
        return Ok(());
    }
    let report = import::report_text(&made.report, &show(&origin));
    if output.is_some() {
        out.raw(report.as_bytes());
    } else {
        out.raw(made.text.as_bytes());
        out.note(report.trim_end());
    }
    Ok(())
}

/// `nightly.Jenkinsfile` is nightly; `jobs/nightly/config.xml` and `nightly/Jenkinsfile` too.
fn guess(file: &Path) -> String {
    let stem = |p: &Path| p.file_stem().map(|s| s.to_string_lossy().into_owned());
    let own = stem(file).filter(|s| !matches!(s.to_lowercase().as_str(), "jenkinsfile" | "config" | ""));
    let own = own.or_else(|| {
        file.extension().map(|e| e.to_string_lossy().into_owned()).filter(|e| stem(file).as_deref() == Some("Jenkinsfile") && !e.is_empty())
    });
    let whole = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    own.or_else(|| whole.parent()?.file_name().map(|n| n.to_string_lossy().into_owned())).unwrap_or_else(|| "imported".to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |why: String| {
        Failure::bad(format!("cannot read {}: {why}", show(&path.display().to_string())), "name a Jenkinsfile, or the config.xml of a job")
    };
    // One byte more than is allowed: the importer says the limit.
    if dash::is(path) {
        return dash::read(import::MAX_BYTES as u64).map_err(|e| fail(e.to_string()));
    }
    let meta = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    if !meta.is_file() {
        return Err(fail("it is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| fail(e.to_string()))?;
    file.take(import::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    Ok(bytes)
}

fn taken(path: &Path) -> Failure {
    let path = show(&path.display().to_string());
    ApiError::new(
        Code::Refused,
        format!("{path} exists, and an import overwrites nothing"),
        "name another file with -o, or move that one away",
    )
    .into()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(taken(path)),
        Err(e) => {
            return Err(Failure::bad(format!("cannot make {}: {e}", show(&path.display().to_string())), "check path and permissions"));
        }
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| {
        // Half a file would be taken for a pipeline.
        let _ = std::fs::remove_file(path);
        Failure::bad(format!("cannot write {}: {e}", show(&path.display().to_string())), "check the disk")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_from_the_file_or_its_directory() {
        for (path, want) in [
            ("nightly.Jenkinsfile", "nightly"),
            ("/jobs/rpm canary/config.xml", "rpm canary"),
            ("/repo/iso/Jenkinsfile", "iso"),
            ("/repo/iso/Jenkinsfile.release", "release"),
            ("deploy.groovy", "deploy"),
        ] {
            assert_eq!(guess(Path::new(path)), want, "{path}");
        }
    }
}
