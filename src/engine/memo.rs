//! The site's pipelines as they were judged last. Their files are read for every question; a text is judged again only where it, or what it
//! may name, is no longer what it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::catalog::{self, Judged};
use crate::config::{ConfigError, Dirs, Site, pipelines};
use crate::pipeline::Catalog;

/// What was judged last; never more than the site has files.
#[derive(Default)]
pub struct Memo(Mutex<Option<Last>>);

struct Last {
    site: Arc<Site>,
    catalog: Arc<Catalog>,
    judged: HashMap<String, Arc<Judged>>,
}

impl Memo {
    fn lock(&self) -> MutexGuard<'_, Option<Last>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`catalog::of_site`]; the same one for as long as nothing in it has changed. Blocks.
    pub fn catalog(&self, dirs: &Dirs, site: &Arc<Site>, uid: u32) -> Result<Arc<Catalog>, ConfigError> {
        let names = pipelines::names(dirs, uid)?;
        let calendars = catalog::calendars_of(dirs, uid)?;
        let mut last = self.lock();
        let same = |l: &&Last| Arc::ptr_eq(&l.site, site) && l.catalog.pipelines == names && l.catalog.calendars == calendars;
        if let Some(l) = last.as_ref().filter(same) {
            return Ok(l.catalog.clone());
        }
        let made = Arc::new(Catalog { calendars, ..catalog::catalog(site, names) });
        *last = Some(Last { site: site.clone(), catalog: made.clone(), judged: HashMap::new() });
        Ok(made)
    }

    /// As [`catalog::judge`], with a catalogue of [`Memo::catalog`]. Blocks.
    pub fn judge(&self, dirs: &Dirs, name: &str, uid: u32, catalog: &Arc<Catalog>) -> Result<Arc<Judged>, ConfigError> {
        let source = pipelines::read(dirs, name, uid)?;
        let of_catalog = |l: &&mut Last| Arc::ptr_eq(&l.catalog, catalog);
        if let Some(known) = self.lock().as_mut().filter(of_catalog).and_then(|l| l.judged.get(name)).filter(|k| k.source == source) {
            return Ok(known.clone());
        }
        let judged = Arc::new(catalog::judge_read(dirs, source, uid, catalog));
        // One that builds others depends on their files too.
        if !catalog::may_build(&judged.source.text)
            && let Some(l) = self.lock().as_mut().filter(of_catalog)
        {
            l.judged.insert(name.to_owned(), judged.clone());
        }
        Ok(judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn pipeline(name: &str, rest: &str) -> String {
        format!("format: 1\nname: {name}\nstages:\n  - name: a\n    run: 'true'\n{rest}")
    }

    #[test]
    fn a_text_is_judged_again_when_it_or_what_it_may_name_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::create_dir(dir.path().join("pipelines")).unwrap();
        let (a, b) = (dir.path().join("pipelines/a.yml"), dir.path().join("pipelines/b.yml"));
        write(&a, &pipeline("a", "triggers: [{upstream: b, on: success}]\n"));
        let dirs = Dirs { config: dir.path().into(), state: dir.path().join("s"), explicit: true };
        let uid = rustix::process::getuid().as_raw();
        let (memo, site) = (Memo::default(), Arc::new(Site::default()));
        let judge = |name: &str, site: &Arc<Site>| {
            let catalog = memo.catalog(&dirs, site, uid).unwrap();
            memo.judge(&dirs, name, uid, &catalog).unwrap()
        };
        let first = judge("a", &site);
        assert!(first.file.is_none(), "there is no pipeline b yet");
        assert!(Arc::ptr_eq(&first, &judge("a", &site)));
        write(&b, &pipeline("b", ""));
        let second = judge("a", &site);
        assert!(second.file.is_some(), "{:?}", second.diagnostics);
        assert!(Arc::ptr_eq(&second, &judge("a", &site)));
        write(&a, &pipeline("a", "nonsense: 1\n"));
        assert!(judge("a", &site).file.is_none());
        assert!(judge("b", &site).file.is_some());
        let other = Arc::new(Site { time_zone: "Europe/Berlin".into(), ..Site::default() });
        assert!(!Arc::ptr_eq(&judge("b", &site), &judge("b", &other)), "another site may have other names");
    }

    #[test]
    fn a_file_that_builds_others_is_judged_each_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::create_dir(dir.path().join("pipelines")).unwrap();
        write(&dir.path().join("pipelines/a.yml"), "format: 1\nname: a\nstages:\n  - name: s\n    build: {pipeline: b}\n");
        write(&dir.path().join("pipelines/b.yml"), &pipeline("b", ""));
        let dirs = Dirs { config: dir.path().into(), state: dir.path().join("s"), explicit: true };
        let uid = rustix::process::getuid().as_raw();
        let (memo, site) = (Memo::default(), Arc::new(Site::default()));
        let catalog = memo.catalog(&dirs, &site, uid).unwrap();
        let twice = [(); 2].map(|()| memo.judge(&dirs, "a", uid, &catalog).unwrap());
        assert!(!Arc::ptr_eq(&twice[0], &twice[1]));
    }
}
