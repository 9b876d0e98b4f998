//! What a disk may hold after a power cut: a recording of `power.c` as a small file system, cut at any moment, with any part of what was
//! not synced forgotten.
//!
//! The model is harsher than ext4: a name is durable only once its directory was synced, bytes once their file was, and everything else may
//! come, go or come in part, in any combination. `C ATTEMPT` and `X ATTEMPT` are lines of the step itself: its command began, and ended well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Made { path: PathBuf, dir: bool },
    Wrote { path: PathBuf, at: u64, bytes: Vec<u8> },
    Length { path: PathBuf, size: u64 },
    Renamed { from: PathBuf, to: PathBuf },
    Removed { path: PathBuf },
    Synced { path: PathBuf },
    Began,
    EndedWell,
}

/// The events of one attempt and of the directories above it.
#[derive(Debug, Clone)]
pub struct Tape {
    pub attempt: PathBuf,
    pub events: Vec<Event>,
}

impl Tape {
    /// Reads a ledger. `state` is there already and durable; `id` is what the step's own lines carry.
    pub fn read(ledger: &str, state: &Path, attempt: &Path, id: &str) -> Self {
        let ours = |p: &Path| p.starts_with(state) && (p.starts_with(attempt) || attempt.starts_with(p));
        let mut events = Vec::new();
        for line in ledger.lines() {
            let event = match line.split_once(' ') {
                Some(("S", rest)) => rest.split_once(' ').map(|(_, path)| Event::Synced { path: path.into() }),
                Some(("M", path)) => Some(Event::Made { path: path.into(), dir: true }),
                Some(("O", path)) => Some(Event::Made { path: path.into(), dir: false }),
                Some(("U", path)) => Some(Event::Removed { path: path.into() }),
                Some(("L", rest)) => {
                    rest.split_once(' ').and_then(|(size, path)| Some(Event::Length { path: path.into(), size: size.parse().ok()? }))
                }
                Some(("R", rest)) => rest.split_once('\t').map(|(from, to)| Event::Renamed { from: from.into(), to: to.into() }),
                Some(("W", rest)) => {
                    let mut words = rest.splitn(3, ' ');
                    match (words.next().and_then(|n| n.parse().ok()), words.next().and_then(bytes), words.next()) {
                        (Some(at), Some(bytes), Some(path)) => Some(Event::Wrote { path: path.into(), at, bytes }),
                        _ => None,
                    }
                }
                Some(("C", who)) if who == id => Some(Event::Began),
                Some(("X", who)) if who == id => Some(Event::EndedWell),
                _ => None,
            };
            let Some(event) = event else { continue };
            let keep = match &event {
                Event::Made { path, .. }
                | Event::Wrote { path, .. }
                | Event::Length { path, .. }
                | Event::Removed { path }
                | Event::Synced { path } => ours(path),
                Event::Renamed { from, to } => ours(from) && ours(to),
                Event::Began | Event::EndedWell => true,
            };
            if keep {
                events.push(event);
            }
        }
        Self { attempt: attempt.to_owned(), events }
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok()).collect()
}

/// What is decided about an event that was not durable at the cut: kept, forgotten, or only so many of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Kept,
    Forgotten,
    Torn(usize),
}

/// The files of the attempt's directory after a cut right before event `at`; none where the directory itself is not there.
pub fn after_cut(tape: &Tape, at: usize, mut fate: impl FnMut() -> Fate) -> Option<BTreeMap<PathBuf, Vec<u8>>> {
    // An inode is the number of the event that made it; a name leads to one. `live` is what the running system saw.
    let events = &tape.events[..at];
    let mut live: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut subject: Vec<Option<usize>> = Vec::new();
    for (i, event) in events.iter().enumerate() {
        let inode = match event {
            Event::Made { path, .. } => {
                live.insert(path.clone(), i);
                Some(i)
            }
            Event::Renamed { from, to } => {
                let inode = live.remove(from);
                if let Some(inode) = inode {
                    live.insert(to.clone(), inode);
                }
                inode
            }
            Event::Removed { path } => live.remove(path),
            Event::Wrote { path, .. } | Event::Length { path, .. } | Event::Synced { path } => live.get(path).copied(),
            Event::Began | Event::EndedWell => None,
        };
        subject.push(inode);
    }
    // Bytes are durable after a sync of their inode, names after one of their directory. A directory above the recording was there before it.
    let synced_inode = |i: usize, inode: usize| (i..at).any(|j| matches!(events[j], Event::Synced { .. }) && subject[j] == Some(inode));
    let synced_dir = |i: usize, dir: &Path| events[i..at].iter().any(|e| matches!(e, Event::Synced { path } if path == dir));
    let mut names: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut contents: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for (i, event) in events.iter().enumerate() {
        let Some(inode) = subject[i] else { continue };
        let durable = match event {
            Event::Wrote { .. } | Event::Length { .. } => synced_inode(i, inode),
            Event::Made { path, .. } | Event::Removed { path } | Event::Renamed { to: path, .. } => {
                path.parent().is_some_and(|dir| synced_dir(i, dir))
            }
            _ => continue,
        };
        let fate = if durable { Fate::Kept } else { fate() };
        if fate == Fate::Forgotten {
            continue;
        }
        match event {
            Event::Made { path, .. } => drop(names.insert(path.clone(), inode)),
            Event::Removed { path } => drop(names.remove(path)),
            Event::Renamed { from, to } => {
                names.remove(from);
                names.insert(to.clone(), inode);
            }
            Event::Wrote { at, bytes, .. } => {
                let keep = if let Fate::Torn(n) = fate { &bytes[..n.min(bytes.len())] } else { bytes };
                let (file, from) = (contents.entry(inode).or_default(), *at as usize);
                if file.len() < from + keep.len() {
                    file.resize(from + keep.len(), 0);
                }
                file[from..from + keep.len()].copy_from_slice(keep);
            }
            Event::Length { size, .. } => contents.entry(inode).or_default().resize(*size as usize, 0),
            Event::Synced { .. } | Event::Began | Event::EndedWell => {}
        }
    }
    // A name below a directory that has no name itself is not there.
    let made: Vec<&PathBuf> =
        events.iter().filter_map(|e| if let Event::Made { path, dir: true } = e { Some(path) } else { None }).collect();
    let above = |path: &Path| path.ancestors().skip(1).filter(|a| made.iter().any(|m| m.as_path() == *a)).all(|a| names.contains_key(a));
    if !names.contains_key(&tape.attempt) || !above(&tape.attempt) {
        return None;
    }
    let files = names.iter().filter(|(path, _)| path.parent() == Some(&tape.attempt));
    Some(files.map(|(path, inode)| (path.clone(), contents.get(inode).cloned().unwrap_or_default())).collect())
}
