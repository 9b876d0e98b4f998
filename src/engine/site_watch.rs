//! The site as the files say it now: read for every question, parsed when the text changed, so that `read_only = true` holds at once.
//!
//! What the runner was started with (executors, slots of locks, the socket) stays until the engine starts again.

use std::sync::{Arc, Mutex};

use crate::config::{ConfigError, Dirs, Site, dirs};

/// The current site, or why there is none.
pub struct SiteWatch {
    dirs: Dirs,
    uid: u32,
    last: Mutex<Last>,
}

struct Last {
    text: Option<String>,
    site: Result<Arc<Site>, ConfigError>,
}

impl SiteWatch {
    /// Reads the site for the first time; a broken one is an error.
    pub fn open(dirs: Dirs, uid: u32) -> Result<Self, ConfigError> {
        let text = dirs.read_site(uid)?;
        let site = Ok(Arc::new(parse(&dirs, text.as_deref())?));
        Ok(Self { dirs, uid, last: Mutex::new(Last { text, site }) })
    }

    pub fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    /// Whose files are trusted.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Blocks for one read of a small file: times would not do, two edits may fall into one tick of the file system's clock.
    pub fn current(&self) -> Result<Arc<Site>, ConfigError> {
        let text = self.dirs.read_site(self.uid)?;
        let mut last = match self.last.lock() {
            Ok(l) => l,
            Err(poisoned) => poisoned.into_inner(),
        };
        if last.text != text {
            last.site = parse(&self.dirs, text.as_deref()).map(Arc::new);
            last.text = text;
            match &last.site {
                Ok(_) => tracing::info!(file = %self.dirs.site_file().display(), "site file read again"),
                Err(e) => tracing::error!("{e}"),
            }
        }
        last.site.clone()
    }
}

fn parse(dirs: &Dirs, text: Option<&str>) -> Result<Site, ConfigError> {
    text.map_or_else(|| Ok(Site::default()), |t| dirs::parse(&dirs.site_file(), t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_at_once_and_a_broken_file_is_an_error_until_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { config: dir.path().into(), state: dir.path().join("s"), explicit: true };
        let watch = SiteWatch::open(dirs.clone(), rustix::process::getuid().as_raw()).unwrap();
        for (text, read_only) in
            [("read_only = true ", Some(true)), ("read_only = false", Some(false)), ("read_only = maybe", None), ("", Some(false))]
        {
            std::fs::write(dirs.site_file(), text).unwrap();
            assert_eq!(watch.current().ok().map(|s| s.read_only), read_only, "{text}");
        }
        std::fs::remove_file(dirs.site_file()).unwrap();
        assert!(watch.current().is_ok());
    }
}
