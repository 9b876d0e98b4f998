//! The site's own themes: `CONFIG/themes/NAME.toml`, as texts that may be trusted. What they say is the console's to read.

use std::path::PathBuf;

use super::{ConfigError, Dirs, trust};
use crate::domain::run::valid_name;

/// Names of the site's themes, sorted. Files whose name is no name are left out.
pub fn names(dirs: &Dirs, uid: u32) -> Result<Vec<String>, ConfigError> {
    trust::names(&dirs.themes(), ".toml", uid)
}

/// Path and text of one; none where the site has none of this name.
pub fn text(dirs: &Dirs, name: &str, uid: u32) -> Result<Option<(PathBuf, String)>, ConfigError> {
    if !valid_name(name) {
        return Ok(None);
    }
    match trust::directory(&dirs.themes(), uid) {
        Ok(()) => {}
        Err(ConfigError::Missing { .. }) => return Ok(None),
        Err(e) => return Err(e),
    }
    let path = dirs.themes().join(format!("{name}.toml"));
    match trust::read(&path, uid) {
        Ok(text) => Ok(Some((path, text))),
        Err(ConfigError::Missing { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}
