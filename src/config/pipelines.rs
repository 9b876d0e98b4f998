//! The site's pipeline files: only `CONFIG/pipelines/*.yml` run. Read anew for every command, so a file put there is seen at once.

use std::path::{Path, PathBuf};

use super::{ConfigError, Dirs, trust};
use crate::base::suggest;
use crate::domain::run::{RunRef, valid_name};

/// A pipeline file as found. Its text is not judged here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineFile {
    /// File name without `.yml`.
    pub name: String,
    pub path: PathBuf,
    pub text: String,
}

/// Names of the pipelines, sorted. Files whose name is no name of a pipeline are left out.
pub fn names(dirs: &Dirs, uid: u32) -> Result<Vec<String>, ConfigError> {
    trust::names(&dirs.pipelines(), ".yml", uid)
}

/// Reads one pipeline by its name.
pub fn read(dirs: &Dirs, name: &str, uid: u32) -> Result<PipelineFile, ConfigError> {
    let dir = dirs.pipelines();
    let absent = |known: &[String]| {
        let twin = |(p, _): &(PathBuf, String)| p.file_stem().is_some_and(|s| s.to_string_lossy() == name || *p == dir.join(name));
        let over = passed_over(dirs, uid).ok().and_then(|all| all.into_iter().find(twin));
        // A file is named as often as its pipeline.
        let stem = Path::new(name).file_name().and_then(|n| n.to_str()).map_or(name, |n| n.trim_end_matches(".yml"));
        let run = name.parse::<RunRef>().ok().filter(|r| known.contains(&r.pipeline));
        let help = match (suggest::nearest(stem, known.iter().map(String::as_str)), &run) {
            _ if over.is_some() => over.map(|(p, why)| format!("{} is there, but {why}: rename it", p.display())).unwrap_or_default(),
            (_, Some(r)) => {
                format!(
                    "that is a run: quarterdeck replay '{r}' makes a new one of it, quarterdeck run {} one of the file as it is now",
                    r.pipeline
                )
            }
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, None) if known.is_empty() => {
                format!("there is none; put NAME.yml into {}, or run `quarterdeck site init`", dir.display())
            }
            (None, None) => format!("there are: {}", known.join(", ")),
        };
        ConfigError::NoPipeline { name: name.to_owned(), dir: dir.clone(), help }
    };
    if !valid_name(name) {
        return Err(absent(&names(dirs, uid)?));
    }
    match trust::directory(&dir, uid) {
        Err(ConfigError::Missing { .. }) => return Err(absent(&[])),
        other => other?,
    }
    let path = dir.join(format!("{name}.yml"));
    match trust::read(&path, uid) {
        Ok(text) => Ok(PipelineFile { name: name.to_owned(), path, text }),
        // The name is there, and leads to nothing.
        Err(ConfigError::Missing { .. }) if path.symlink_metadata().is_ok() => Err(ConfigError::Untrusted {
            path,
            why: "refused: this link leads nowhere".into(),
            help: "correct the link, or remove it".into(),
        }),
        Err(ConfigError::Missing { .. }) => Err(absent(&names(dirs, uid)?)),
        Err(e) => Err(e),
    }
}

/// Files that look like pipelines to a person and never run, each with why, sorted.
pub fn passed_over(dirs: &Dirs, uid: u32) -> Result<Vec<(PathBuf, String)>, ConfigError> {
    let dir = dirs.pipelines();
    match trust::directory(&dir, uid) {
        Ok(()) => {}
        Err(ConfigError::Missing { .. }) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    }
    let unreadable = |e: std::io::Error| ConfigError::Unreadable { path: dir.clone(), why: e.to_string() };
    let mut out = Vec::new();
    for entry in std::fs::read_dir(&dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // Names that begin with a dot are those of editors and of version control.
        let stem = match (name.strip_suffix(".yml"), name.strip_suffix(".yaml")) {
            _ if name.starts_with('.') => continue,
            (Some(stem), _) if valid_name(stem) => continue,
            (Some(_), _) => "its name is not of a-z, 0-9, `.`, `_`, `-`, at most 64 characters",
            (None, Some(_)) => "only NAME.yml runs",
            (None, None) => continue,
        };
        out.push((path, stem.to_owned()));
    }
    out.sort();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_yml_files_with_a_name_run_and_a_near_name_is_offered() {
        let uid = rustix::process::getuid().as_raw();
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { config: dir.path().into(), state: dir.path().join("state"), explicit: true };
        assert!(read(&dirs, "a", uid).unwrap_err().help().contains("site init"));
        let p = dirs.pipelines();
        std::fs::create_dir(&p).unwrap();
        for f in ["nightly.yml", "b.yaml", "B.yml", ".x.yml", "canary.yml", "notes.txt"] {
            std::fs::write(p.join(f), f).unwrap();
        }
        assert_eq!(names(&dirs, uid).unwrap(), ["canary", "nightly"]);
        let over: Vec<_> = passed_over(&dirs, uid).unwrap().into_iter().map(|(p, _)| p.file_name().unwrap().to_owned()).collect();
        assert_eq!(over, ["B.yml", "b.yaml"]);
        std::os::unix::fs::symlink("/nonexistent/x", p.join("gone.yml")).unwrap();
        let e = read(&dirs, "gone", uid).unwrap_err();
        assert!(e.to_string().contains("leads nowhere") && !e.help().contains("did you mean"), "{e}: {}", e.help());
        std::fs::remove_file(p.join("gone.yml")).unwrap();
        assert_eq!(read(&dirs, "nightly", uid).unwrap().text, "nightly.yml");
        for near in ["nihgtly", "nightly.yml", "../pipelines/nightly.yml"] {
            assert!(read(&dirs, near, uid).unwrap_err().help().contains("did you mean `nightly`?"), "{near}");
        }
        assert!(read(&dirs, "../nightly", uid).is_err());
        std::fs::set_permissions(p.join("nightly.yml"), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read(&dirs, "nightly", uid).unwrap_err().to_string().contains("everybody may write"));
    }
}
