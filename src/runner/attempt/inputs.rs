//! Inputs from other runs: the rows that a new run brings, and putting the files into a workspace, each proved by its sha256.
//!
//! Copies, not hard links: a step that writes to its input must not change what the other run has kept.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use super::artifacts;
use crate::domain::artifact::is_outside;
use crate::domain::run::RunRef;
use crate::pipeline::plan::{InputFile, Plan, Stage};
use crate::runner::paths;
use crate::store::NewInput;

/// The rows of a plan's inputs.
pub fn rows(plan: &Plan) -> Vec<NewInput> {
    let of_stage = |(stage, s): (usize, &Stage)| {
        let input = move |from: &RunRef, f: &InputFile| NewInput {
            stage: stage as u32,
            from: from.clone(),
            path: f.path.clone(),
            place: f.place.clone(),
            sha256: f.sha256.clone(),
            size_bytes: f.size_bytes,
        };
        s.inputs.iter().flat_map(|i| i.files.iter().map(|f| input(&i.from, f)).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    plan.stages.iter().enumerate().flat_map(of_stage).collect()
}

/// What a cell is to be given before its first step.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub from: RunRef,
    /// The kept file.
    pub source: PathBuf,
    pub file: InputFile,
}

/// The inputs of a stage, with the places that they come from.
pub fn wanted(stage: &Stage, state_dir: &Path) -> Vec<Wanted> {
    let all = stage.inputs.iter().flat_map(|i| i.files.iter().map(|f| (i.from.clone(), f.clone())));
    all.map(|(from, file)| Wanted { source: paths::run_dir(state_dir, &from).join("artifacts").join(&file.path), from, file }).collect()
}

/// Why an input is not in the workspace.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It is not what the run was frozen with, or not there: waiting cures nothing.
    #[error("{0}")]
    Wrong(String),
    /// This machine could not: a full disk, for example.
    #[error("cannot put input {place} into the workspace: {source}")]
    Io { place: String, source: io::Error },
    #[error("cancelled before it began")]
    Cancelled,
}

/// Puts the files into the workspace, which exists. What is there already and is right stays.
pub fn place(all: &[Wanted], workspace: &Path, fence: u64, cancelled: &AtomicBool) -> Result<(), InputError> {
    for w in all {
        if cancelled.load(Ordering::SeqCst) {
            return Err(InputError::Cancelled);
        }
        one(w, workspace, fence)?;
    }
    Ok(())
}

fn one(w: &Wanted, workspace: &Path, fence: u64) -> Result<(), InputError> {
    let (f, from) = (&w.file, &w.from);
    let wrong =
        |why: &str| InputError::Wrong(format!("input {} of {from} {why}: replay this run to choose anew, or give it another run", f.path));
    if is_outside(&f.place) || is_outside(&f.path) {
        return Err(wrong("would leave the workspace"));
    }
    let to = workspace.join(&f.place);
    if links(workspace, &f.place) {
        return Err(wrong("cannot be put in place, for a link stands in its way"));
    }
    if digest(&to).is_some_and(|d| d == f.sha256) {
        return Ok(());
    }
    let io = |source: io::Error| InputError::Io { place: f.place.clone(), source };
    match fs::symlink_metadata(&w.source) {
        Ok(m) if m.is_file() => {}
        Ok(_) => return Err(wrong("is no file any more")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(wrong("is not there any more")),
        Err(e) => return Err(io(e)),
    }
    if to.is_dir() {
        return Err(wrong("cannot be put in place, for a directory stands there"));
    }
    // Stages that run beside each other share a workspace, and may be given the same file at the same moment.
    let tmp = PathBuf::from(format!("{}.{fence}.part", to.display()));
    let (sha256, _) = artifacts::copy(&w.source, &to, &tmp).map_err(io)?;
    if sha256 != f.sha256 {
        let _ = fs::remove_file(&to);
        return Err(wrong(&format!(
            "has changed since it was kept (sha256 {}…, recorded {}…)",
            &sha256[..12],
            f.sha256.get(..12).unwrap_or("")
        )));
    }
    Ok(())
}

/// Whether a part of the way is a link: an earlier step could have laid one to lead us out.
fn links(workspace: &Path, place: &str) -> bool {
    let mut at = workspace.to_owned();
    place.split('/').any(|part| {
        at.push(part);
        fs::symlink_metadata(&at).is_ok_and(|m| m.is_symlink())
    })
}

fn digest(path: &Path) -> Option<String> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let (mut file, mut hash, mut buffer) = (File::open(path).ok()?, Sha256::new(), vec![0u8; 1 << 16]);
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn wanted(dir: &Path, place: &str) -> Wanted {
        fs::create_dir_all(dir.join("kept")).unwrap();
        fs::create_dir_all(dir.join("ws")).unwrap();
        fs::write(dir.join("kept/a.iso"), "abc").unwrap();
        let file = InputFile { path: "a.iso".into(), place: place.into(), sha256: ABC.into(), size_bytes: 3 };
        Wanted { from: RunRef::new("nightly", 5), source: dir.join("kept/a.iso"), file }
    }

    fn put(w: &Wanted, dir: &Path) -> Result<(), String> {
        place(std::slice::from_ref(w), &dir.join("ws"), 7, &AtomicBool::new(false)).map_err(|e| e.to_string())
    }

    #[test]
    fn an_input_is_a_copy_that_was_proved() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, w) = (dir.path(), wanted(dir.path(), "in/a.iso"));
        put(&w, dir).unwrap();
        assert_eq!(fs::read(dir.join("ws/in/a.iso")).unwrap(), b"abc");
        // A step that writes to it changes nothing of the other run; the next stage gets it whole again.
        fs::write(dir.join("ws/in/a.iso"), "mine").unwrap();
        assert_eq!(fs::read(dir.join("kept/a.iso")).unwrap(), b"abc");
        put(&w, dir).unwrap();
        assert_eq!(fs::read(dir.join("ws/in/a.iso")).unwrap(), b"abc");
        // What is there and right needs no source.
        fs::remove_file(dir.join("kept/a.iso")).unwrap();
        put(&w, dir).unwrap();
    }

    #[test]
    fn what_changed_or_went_is_told_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, w) = (dir.path(), wanted(dir.path(), "a.iso"));
        fs::write(dir.join("kept/a.iso"), "abd").unwrap();
        let why = put(&w, dir).unwrap_err();
        assert!(why.contains("a.iso of nightly#5 has changed since it was kept") && why.contains("ba7816bf8f01"), "{why}");
        assert!(!dir.join("ws/a.iso").exists());
        fs::remove_file(dir.join("kept/a.iso")).unwrap();
        assert!(put(&w, dir).unwrap_err().contains("is not there any more"));
        std::os::unix::fs::symlink("/etc/hostname", dir.join("kept/a.iso")).unwrap();
        assert!(put(&w, dir).unwrap_err().contains("no file"));
    }

    #[test]
    fn no_link_leads_an_input_out_of_the_workspace() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, w) = (dir.path(), wanted(dir.path(), "in/a.iso"));
        fs::create_dir(dir.join("outside")).unwrap();
        std::os::unix::fs::symlink(dir.join("outside"), dir.join("ws/in")).unwrap();
        assert!(put(&w, dir).unwrap_err().contains("link"));
        assert!(!dir.join("outside/a.iso").exists());
        let up = Wanted { file: InputFile { place: "../a.iso".into(), ..w.file.clone() }, ..w.clone() };
        assert!(put(&up, dir).unwrap_err().contains("leave the workspace"));
        fs::remove_file(dir.join("ws/in")).unwrap();
        fs::create_dir_all(dir.join("ws/in/a.iso")).unwrap();
        assert!(put(&w, dir).unwrap_err().contains("directory"));
        assert!(matches!(place(&[w], &dir.join("ws"), 7, &AtomicBool::new(true)), Err(InputError::Cancelled)));
    }
}
