//! The site's pipeline files: only `CONFIG/pipelines/*.yml` run. Read anew for every command, so a file put there is seen at once.

use std::path::{Path, PathBuf};

use super::{ConfigError, Dirs, trust};
use crate::base::suggest;
use crate::domain::run::valid_name;

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
        let help = match suggest::nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("there is none; put NAME.yml into {}, or run `quarterdeck site init`", dir.display()),
            None => format!("there are: {}", known.join(", ")),
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
        Err(ConfigError::Missing { .. }) => Err(absent(&names(dirs, uid)?)),
        Err(e) => Err(e),
    }
}

/// Reads any file as a pipeline, for `pipeline lint FILE`: no trust is needed to look at a text.
pub fn read_any(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|e| ConfigError::Unreadable { path: path.into(), why: e.to_string() })
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
        assert_eq!(read(&dirs, "nightly", uid).unwrap().text, "nightly.yml");
        assert!(read(&dirs, "nihgtly", uid).unwrap_err().help().contains("did you mean `nightly`?"));
        assert!(read(&dirs, "../nightly", uid).is_err());
        std::fs::set_permissions(p.join("nightly.yml"), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read(&dirs, "nightly", uid).unwrap_err().to_string().contains("everybody may write"));
    }
}
