//! Where an attempt is made: what is above it, its directory with the spec, and that all of it outlasts a power cut.

use std::collections::HashSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::AttemptError;
use crate::base::durable;
use crate::domain::attempt::Spec;
use crate::runner::attempt;

/// Directories between the state directory and an attempt whose names this process has made durable. None of them is ever removed and made
/// again: a run's number comes once, and retention removes what is below `runs/PIPELINE`.
#[derive(Default)]
pub struct Named(Mutex<HashSet<PathBuf>>);

impl Named {
    /// Past this it is forgotten and found out again, which costs a few fsyncs of clean directories.
    const MOST: usize = 4_096;

    fn has(&self, dir: &Path) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(dir)
    }

    fn add(&self, dir: &Path) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= Self::MOST {
            all.clear();
        }
        all.insert(dir.to_owned());
    }
}

/// What an attempt's directory `dir` will be in, and what its step will work in, durable up to the state directory.
pub fn make_above(named: &Named, state_dir: &Path, dir: &Path, spec: &Spec) -> Result<(), AttemptError> {
    let (workspace, journal) = (Path::new(&spec.workspace), Path::new(&spec.journal));
    if !workspace.is_dir() {
        std::fs::create_dir_all(workspace).map_err(io("make", workspace))?;
    }
    for d in [dir.parent(), journal.parent()].into_iter().flatten().filter(|d| !d.is_dir()) {
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(d).map_err(io("make", d))?;
    }
    // Without its name in the parent a power cut could take away a directory whose command has run, and so on upwards: everything is made
    // first and synced then, which is one commit of the file system's journal and not one for each level. That a directory is there says
    // nothing: another attempt of the run may have made it a moment ago and not synced it yet.
    let above = dir.ancestors().skip(1).take_while(|d| *d != state_dir && d.starts_with(state_dir));
    let unnamed: Vec<&Path> = above.take_while(|d| !named.has(d)).collect();
    for d in &unnamed {
        durable::sync_parent(d).map_err(io("sync the parent of", d))?;
    }
    unnamed.into_iter().for_each(|d| named.add(d));
    Ok(())
}

/// The attempt's directory with its spec, durable; then its name.
pub fn make(dir: &Path, spec: &Spec) -> Result<(), AttemptError> {
    attempt::create(dir, spec)?;
    durable::sync_parent(dir).map_err(io("sync the parent of", dir))
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> AttemptError {
    let path = path.to_owned();
    move |source| AttemptError::Io { what, path, source }
}
