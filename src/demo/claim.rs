//! Whose a directory is: the demo's, nobody's yet, or somebody else's, which is left as it is. Its mark is written before anything else.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Error;
use super::files::mkdir_private;
use super::places::MARK;
use crate::base::durable;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    format: u32,
    pub seed: u64,
}

pub(super) enum Found {
    Absent,
    Empty,
    Marked(Mark),
    Foreign,
}

pub(super) fn look(dir: &Path) -> Result<Found, Error> {
    let list = match std::fs::read_dir(dir) {
        Ok(list) => list,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Absent),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Ok(Found::Foreign),
        Err(e) => return Err(Error::io("listing", dir)(e)),
    };
    let path = dir.join(MARK);
    if std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file()) {
        let text = std::fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        return match serde_json::from_str::<Mark>(&text) {
            Ok(mark) if mark.format == 1 => Ok(Found::Marked(mark)),
            Ok(mark) => Err(Error::Damaged { path, why: format!("its format is {}, this version knows 1", mark.format) }),
            Err(e) => Err(Error::Damaged { path, why: format!("it is not a mark: {e}") }),
        };
    }
    // The half-written mark of a demo that was killed in its first moment is the only other thing that may be there.
    let half = format!("{MARK}.tmp");
    for item in list {
        if item.map_err(Error::io("listing", dir))?.file_name().to_string_lossy() != half {
            return Ok(Found::Foreign);
        }
    }
    Ok(Found::Empty)
}

/// Whether `dir` is marked as the demo's. Nothing is made; a directory of somebody else's is an error.
pub(super) fn is_estate(dir: &Path) -> Result<bool, Error> {
    match look(dir)? {
        Found::Marked(_) => Ok(true),
        Found::Absent | Found::Empty => Ok(false),
        Found::Foreign => Err(Error::NotOurs { dir: dir.to_owned() }),
    }
}

/// Checks the directory and marks it where that is due; gives the estate's seed.
pub(super) fn claim(dir: &Path, seed: Option<u64>, fresh: bool) -> Result<u64, Error> {
    match look(dir)? {
        Found::Foreign => Err(Error::NotOurs { dir: dir.to_owned() }),
        Found::Marked(mark) => match seed {
            Some(asked) if asked != mark.seed && !fresh => Err(Error::OtherSeed { dir: dir.to_owned(), have: mark.seed, asked }),
            _ => Ok(mark.seed),
        },
        Found::Absent | Found::Empty => {
            mkdir_private(dir)?;
            let seed = seed.unwrap_or(1);
            write_mark(dir, seed)?;
            Ok(seed)
        }
    }
}

pub(super) fn write_mark(dir: &Path, seed: u64) -> Result<(), Error> {
    let path = dir.join(MARK);
    let text = serde_json::json!({ "format": 1, "seed": seed }).to_string();
    durable::replace(&path, format!("{text}\n").as_bytes(), 0o600).map_err(Error::io("writing", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_directory_that_was_made_by_hand_is_closed_before_anything_lies_in_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(claim(dir.path(), None, false).unwrap(), 1);
        assert_eq!(std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
