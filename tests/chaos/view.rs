//! What a run is doing right now, told from the file tree alone.

use std::path::{Path, PathBuf};

use super::cells::Doing;
use super::estate::lock_is_held;
use super::journal;

#[derive(Debug, Clone)]
pub struct Attempt {
    pub id: String,
    pub dir: PathBuf,
    pub native: bool,
    /// A native step by way of a shell.
    pub push: bool,
    pub post: bool,
    pub child: Option<(i32, u64)>,
    pub shim: Option<(i32, u64)>,
    pub said_start: bool,
    pub said_end: bool,
    pub ended: bool,
    pub held: bool,
}

/// Attempts of a run in the order of their directories' names, which grow with time.
pub fn attempts(run: &Path, journals: &Path) -> Vec<Attempt> {
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(run.join("attempts")).into_iter().flatten().flatten().map(|e| e.path()).collect();
    dirs.sort();
    dirs.into_iter().filter_map(|dir| look(dir, journals)).collect()
}

fn look(dir: PathBuf, journals: &Path) -> Option<Attempt> {
    let spec: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("spec.json")).ok()?).ok()?;
    let id = spec["attempt"].as_str()?.to_owned();
    let script = spec["command"]["script"].as_str().unwrap_or_default();
    let started: Option<serde_json::Value> = std::fs::read(dir.join("started.json")).ok().and_then(|b| serde_json::from_slice(&b).ok());
    let process = |who: &str| {
        let p = &started.as_ref()?[who];
        Some((p["pid"].as_i64()? as i32, p["start_time"].as_u64()?))
    };
    let journal = journal::read(&journal::path(journals, &id));
    Some(Attempt {
        native: spec["command"]["type"] == "native",
        push: script.contains("step mirror/"),
        post: script.contains("cell=always") || script.contains("cell=failure"),
        child: process("child"),
        shim: process("shim"),
        said_start: journal.is_some(),
        said_end: journal.as_ref().is_some_and(|j| j.end().is_some()),
        ended: dir.join("status.json").exists(),
        held: lock_is_held(&dir),
        id,
        dir,
    })
}

impl Attempt {
    /// None where it is over, or where its shim is dead and nobody has noticed yet.
    pub fn doing(&self) -> Option<Doing> {
        if self.ended {
            return None;
        }
        Some(match (&self.child, self.said_start, self.said_end) {
            _ if !self.held && self.child.is_some() => return None,
            (None, ..) => Doing::Claimed,
            (Some(_), ..) if self.native || self.push => Doing::Publish,
            (Some(_), ..) if self.post => Doing::Post,
            (Some(_), false, _) => Doing::Started,
            (Some(_), true, false) => Doing::Running,
            (Some(_), true, true) => Doing::Draining,
        })
    }
}

/// What the run is doing; none where it is done (`done`: what the store says of it).
pub fn doing(attempts: &[Attempt], done: bool) -> Option<Doing> {
    match attempts.iter().rev().find_map(Attempt::doing) {
        Some(doing) => Some(doing),
        None if done => None,
        None if attempts.is_empty() => Some(Doing::BeforeClaim),
        None => Some(Doing::BetweenStages),
    }
}

/// True where `pid` is still the process that was meant.
pub fn is_same(process: (i32, u64)) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", process.0))
        .ok()
        .and_then(|s| s.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19).and_then(|t| t.parse::<u64>().ok())))
        == Some(process.1)
}
