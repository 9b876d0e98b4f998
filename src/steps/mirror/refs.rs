//! Who refers to a snapshot: pointers of the root, holds, and the sources that are named. A source that cannot be read, or that does not look
//! like a list of references, is an error: what nobody can rule out is referenced.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::root::{Manifest, Root, SNAPSHOTS};
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::links::Named;
use crate::wire::http::{Ask, Client, Patience};
use crate::wire::{address, excerpt};

const MAX: u64 = 16 << 20;
const BUDGET: Duration = Duration::from_secs(120);
const NEXT: &str = "nothing was removed: mend the source, or take it out of the pipeline if it has no say any more";

/// References by snapshot, with who refers.
pub type References = BTreeMap<String, BTreeSet<String>>;

/// All references, or why the check is not complete.
pub fn all(root: &Root, ours: &[Manifest], with: &With, env: &StepEnv, report: &Report) -> Result<References, StepError> {
    let mut out = References::new();
    pointers(root, &mut out)?;
    for id in with.list("hold").iter().flat_map(|h| h.split_whitespace()) {
        let hit = resolve(id, ours);
        if hit.is_empty() {
            report.say(&format!("the hold `{}` names no snapshot of this root", excerpt(id)));
        }
        for id in hit {
            out.entry(id).or_default().insert("hold".into());
        }
    }
    for source in with.list("source").iter().filter(|s| !s.is_empty()) {
        let texts = if source.contains("://") { remote(source)? } else { local(&env.path(source))? };
        for text in texts {
            for id in resolve(&text, ours) {
                out.entry(id).or_default().insert(address::shown_text(source));
            }
        }
    }
    Ok(out)
}

/// Names of the links at the top of the root, sorted.
pub fn links(root: &Root) -> Result<Vec<String>, StepError> {
    let mut out = Vec::new();
    for name in root.tree.list("")? {
        if matches!(root.tree.named(&name)?, Named::Link(_)) {
            out.push(name);
        }
    }
    out.sort();
    Ok(out)
}

/// Every link at the top of the root, wherever it leads: by its text, and by what it is now.
fn pointers(root: &Root, out: &mut References) -> Result<(), StepError> {
    let snapshots = std::fs::canonicalize(root.tree.path().join(SNAPSHOTS)).ok();
    for name in links(root)? {
        let Named::Link(text) = root.tree.named(&name)? else { continue };
        let by_text = text.strip_prefix(&format!("{SNAPSHOTS}/")).and_then(|rest| rest.split('/').next()).map(str::to_owned);
        let real = std::fs::canonicalize(root.tree.path().join(&name)).ok();
        let by_place = real.as_deref().zip(snapshots.as_deref()).and_then(|(real, all)| first(real.strip_prefix(all).ok()?));
        for id in by_text.into_iter().chain(by_place) {
            out.entry(id).or_default().insert(format!("pointer {name}"));
        }
    }
    Ok(())
}

fn first(path: &Path) -> Option<String> {
    path.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned())
}

/// Snapshots that a word means: a name, a path to one, a fingerprint (or its first twelve digits and more).
fn resolve(word: &str, ours: &[Manifest]) -> Vec<String> {
    let parts: Vec<&str> = word.split('/').collect();
    let named = parts.iter().position(|p| *p == SNAPSHOTS).and_then(|i| parts.get(i + 1)).copied();
    let hex = word.len() >= 12 && word.chars().all(|c| c.is_ascii_hexdigit());
    let hit = |m: &&Manifest| m.id == word || Some(m.id.as_str()) == named || (hex && m.fp.starts_with(word));
    ours.iter().filter(hit).map(|m| m.id.clone()).collect()
}

fn blocked(source: &str, why: &str) -> StepError {
    StepError::failed(format!("the source of references {source} does not answer: {why}"), NEXT)
}

/// A link is a reference, a directory holds links, a file lists references.
fn local(path: &Path) -> Result<Vec<String>, StepError> {
    let shown = path.display().to_string();
    let fail = |e: std::io::Error| blocked(&shown, &e.to_string());
    let kind = std::fs::symlink_metadata(path).map_err(fail)?.file_type();
    if kind.is_symlink() {
        return Ok(link(path).map_err(fail)?.into_iter().collect());
    }
    if kind.is_dir() {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_symlink() {
                out.extend(link(&entry.path()).map_err(fail)?);
            }
        }
        return Ok(out);
    }
    if !kind.is_file() {
        return Err(blocked(&shown, "it is neither a file, a link nor a directory"));
    }
    use std::io::Read;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    lines(&shown, &bytes)
}

/// Where a link leads, by its text and by what it is now.
fn link(path: &Path) -> std::io::Result<Vec<String>> {
    let text = std::fs::read_link(path)?;
    let real: Option<PathBuf> = std::fs::canonicalize(path).ok();
    Ok(std::iter::once(text).chain(real).map(|p| p.to_string_lossy().into_owned()).collect())
}

fn remote(source: &str) -> Result<Vec<String>, StepError> {
    let url = address::parse(source).map_err(|e| StepError::input(e.to_string(), "give an http(s) address or a path"))?;
    super::options::no_password(&url)?;
    let shown = address::shown(&url);
    let far = |why: String| StepError::far_end(format!("the source of references {shown} does not answer: {why}"), NEXT);
    let mut file = url.clone();
    // `parse` makes a directory of every address; a list is a file.
    file.set_path(url.path().trim_end_matches('/'));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| far(e.to_string()))?;
    let bytes = runtime.block_on(async {
        let response = Client::new(Patience::default(), None, 1)?.get(&file, Ask::Whole, BUDGET).await?;
        response.collect(MAX).await
    });
    lines(&shown, &bytes.map_err(|e| far(e.to_string()))?)
}

/// One reference a line, its first word; `#` begins a comment.
fn lines(shown: &str, bytes: &[u8]) -> Result<Vec<String>, StepError> {
    if bytes.len() as u64 > MAX {
        return Err(blocked(shown, &format!("it is larger than {MAX} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| blocked(shown, "it is no text"))?;
    let mut out = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some(word) = line.split_whitespace().next() else { continue };
        // A page for people, a log-in form: not an answer.
        if !word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/')) {
            return Err(blocked(shown, &format!("`{}` is no reference: is it the list that was meant?", excerpt(word))));
        }
        out.push(word.to_owned());
    }
    Ok(out)
}
