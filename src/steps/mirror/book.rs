//! The book of a pointer: what was meant, what was done and for whom, durable in `.quarterdeck/pointers/NAME.json` before anything moves.
//!
//! It belongs to the tree and not to an attempt: whoever takes the root's lock after a kill finishes, or forgets, what was begun, and a
//! step that is started again finds that its work was done.

use serde::{Deserialize, Serialize};

use super::root::SNAPSHOTS;
use crate::base::crash;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::systems::repo::links::{Exchange, Named};
use crate::systems::repo::{Tree, TreeError};

const FORMAT: u32 = 1;
const MAX: u64 = 4 << 20;
/// Switches that are remembered.
const KEPT: usize = 100;

/// One switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Run, stage, cell and step; none by hand, where every call is a new intent.
    #[serde(default)]
    pub key: Option<String>,
    /// The text of the link before; `None` where there was nothing or a plain directory.
    #[serde(default)]
    pub from: Option<String>,
    pub to: String,
    /// Where a plain directory that had the pointer's name goes.
    #[serde(default)]
    pub adopt: Option<String>,
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(default)]
    pub run: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    pub format: u32,
    pub name: String,
    /// Begun, and not known to be done.
    #[serde(default)]
    pub pending: Option<Entry>,
    /// Oldest first.
    #[serde(default)]
    pub done: Vec<Entry>,
}

fn at(name: &str) -> String {
    format!(".quarterdeck/pointers/{name}.json")
}

/// Where the new link waits; after an exchange the old directory lies there.
fn waiting(name: &str) -> String {
    format!(".quarterdeck/{name}.new")
}

/// Where the link to what was served before waits: made early, so that nothing after the switch needs space.
fn waiting_back(name: &str) -> String {
    format!(".quarterdeck/{}.new", previous(name))
}

/// The pointer that leads one step back.
pub fn previous(name: &str) -> String {
    format!("{name}.previous")
}

/// What a restarted step recognises its own work by.
pub fn key(env: &StepEnv) -> Option<String> {
    env.attempt.as_ref()?;
    Some([env.run.clone()?, env.place.clone()].join("/"))
}

impl Book {
    /// Opens the book of a pointer, and finishes or forgets what a killed switch left. The root's lock is held.
    pub fn open(tree: &Tree, name: &str) -> Result<Self, StepError> {
        let blank = Self { format: FORMAT, name: name.to_owned(), pending: None, done: Vec::new() };
        let Some(bytes) = tree.read_small(&at(name), MAX)? else { return Ok(blank) };
        let mut book: Self = serde_json::from_slice(&bytes).map_err(|e| {
            StepError::refused(
                format!("{}/{} cannot be read: {e}", tree.path().display(), at(name)),
                "it says what the last switch did: look where the pointer leads, then move that file away",
            )
        })?;
        if book.format > FORMAT {
            return Err(StepError::refused(
                format!("the book of `{name}` has format {}; this version reads {FORMAT}", book.format),
                "it was written by a newer quarterdeck: use that one",
            ));
        }
        if let Some(entry) = book.pending.clone() {
            book.recover(tree, entry)?;
        }
        Ok(book)
    }

    fn recover(&mut self, tree: &Tree, entry: Entry) -> Result<(), StepError> {
        let (now, aside) = (tree.named(&self.name)?, tree.named(&waiting(&self.name))?);
        if now == Named::Link(entry.to.clone()) {
            return self.finish(tree, entry);
        }
        if aside == Named::Directory {
            return Err(StepError::refused(
                format!(
                    "unknown: the switch of `{}` to {} at {} was cut off, and `{}` has been changed since; the directory that it replaced is {}/{}",
                    self.name,
                    entry.to,
                    entry.at,
                    self.name,
                    tree.path().display(),
                    waiting(&self.name)
                ),
                format!("put things right by hand, then remove {}/{}", tree.path().display(), at(&self.name)),
            ));
        }
        // It never happened: the link that waits is all there is of it.
        for link in [waiting(&self.name), waiting_back(&self.name)] {
            tree.remove(&link)?;
        }
        self.pending = None;
        Ok(self.write(tree)?)
    }

    /// Makes the pointer lead to `entry.to`. Kill it between any two lines: readers find the old or the new, and `open` ends the work.
    pub fn switch(&mut self, tree: &Tree, entry: Entry) -> Result<(), StepError> {
        let new = waiting(&self.name);
        self.pending = Some(entry.clone());
        self.write(tree)?;
        crash::point("switch.intended");
        tree.remove(&new)?;
        tree.make_link(&entry.to, &new)?;
        if let Some(back) = back(&entry) {
            tree.remove(&waiting_back(&self.name))?;
            tree.make_link(&back, &waiting_back(&self.name))?;
        }
        tree.sync_dir(".quarterdeck")?;
        crash::point("switch.prepared");
        if entry.adopt.is_none() {
            tree.rename(&new, &self.name)?;
        } else if tree.exchange(&new, &self.name)? == Exchange::Unsupported {
            tree.remove(&new)?;
            tree.remove(&waiting_back(&self.name))?;
            self.pending = None;
            self.write(tree)?;
            return Err(by_hand(tree, &self.name, &entry));
        }
        crash::point("switch.switched");
        tree.sync_dir("")?;
        crash::point("switch.durable");
        self.finish(tree, entry)
    }

    /// Everything after the pointer has moved; each part finds out whether it was done.
    fn finish(&mut self, tree: &Tree, entry: Entry) -> Result<(), StepError> {
        // It may have been killed before this.
        tree.sync_dir("")?;
        if let Some(adopted) = &entry.adopt {
            if tree.named(&waiting(&self.name))? == Named::Directory {
                tree.make_dir(SNAPSHOTS)?;
                tree.move_dir(&waiting(&self.name), &format!("{SNAPSHOTS}/{adopted}"))?;
                tree.sync_dir(SNAPSHOTS)?;
                tree.sync_dir(".quarterdeck")?;
            }
            crash::point("switch.adopted");
        }
        if let Some(back) = back(&entry) {
            let (name, aside) = (previous(&self.name), waiting_back(&self.name));
            if tree.named(&aside)? == Named::Link(back.clone()) {
                tree.rename(&aside, &name)?;
            } else if tree.named(&name)? != Named::Link(back.clone()) {
                tree.make_link(&back, &aside)?;
                tree.rename(&aside, &name)?;
            }
            tree.sync_dir("")?;
            crash::point("switch.previous");
        }
        self.pending = None;
        self.done.push(entry);
        let over = self.done.len().saturating_sub(KEPT);
        self.done.drain(..over);
        // The pointer has moved and everybody can see it: a disk that is full just now makes that no failure. The intent stays, and
        // whoever opens the book next writes this down.
        if self.write(tree).is_ok() {
            crash::point("switch.recorded");
        }
        Ok(())
    }

    fn write(&self, tree: &Tree) -> Result<(), TreeError> {
        tree.make_dir(".quarterdeck/pointers")?;
        tree.replace(&at(&self.name), &serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The text of the link to what was served before.
fn back(entry: &Entry) -> Option<String> {
    entry.adopt.as_ref().map(|a| format!("{SNAPSHOTS}/{a}")).or_else(|| entry.from.clone())
}

fn by_hand(tree: &Tree, name: &str, entry: &Entry) -> StepError {
    let root = tree.path().display();
    let adopted = entry.adopt.as_deref().unwrap_or_default();
    StepError::refused(
        format!("{root}/{name} is a plain directory, and this file system (or a mount there) cannot exchange it for a link in one step"),
        format!(
            "once, by hand, while no reader is at it: cd {root} && mkdir -p {SNAPSHOTS} && mv {name} {SNAPSHOTS}/{adopted} && ln -s {} {name} && \
             ln -s {SNAPSHOTS}/{adopted} {}; later switches are atomic",
            entry.to,
            previous(name)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(from: Option<&str>, to: &str) -> Entry {
        Entry { key: None, from: from.map(str::to_owned), to: to.into(), adopt: None, at: "t".into(), run: None }
    }

    #[test]
    fn what_was_cut_off_is_finished_or_forgotten_by_where_the_pointer_leads() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let mut book = Book::open(&tree, "stable").unwrap();
        book.switch(&tree, entry(None, "snapshots/a")).unwrap();
        assert_eq!(tree.named("stable").unwrap(), Named::Link("snapshots/a".into()));
        assert_eq!(tree.named("stable.previous").unwrap(), Named::Nothing);
        book.switch(&tree, entry(Some("snapshots/a"), "snapshots/b")).unwrap();
        assert_eq!(tree.named("stable.previous").unwrap(), Named::Link("snapshots/a".into()));
        // Intended, never done.
        book.pending = Some(entry(Some("snapshots/b"), "snapshots/c"));
        book.write(&tree).unwrap();
        tree.make_link("snapshots/c", ".quarterdeck/stable.new").unwrap();
        let again = Book::open(&tree, "stable").unwrap();
        assert!(again.pending.is_none() && again.done.len() == 2);
        assert_eq!(tree.named(".quarterdeck/stable.new").unwrap(), Named::Nothing);
        assert_eq!(tree.named("stable.previous").unwrap(), Named::Link("snapshots/a".into()));
        // Done, but nobody wrote it down.
        book.done = again.done;
        book.pending = Some(entry(Some("snapshots/b"), "snapshots/c"));
        book.write(&tree).unwrap();
        tree.remove("stable").unwrap();
        tree.make_link("snapshots/c", "stable").unwrap();
        let again = Book::open(&tree, "stable").unwrap();
        assert!(again.pending.is_none() && again.done.len() == 3);
        assert_eq!(tree.named("stable.previous").unwrap(), Named::Link("snapshots/b".into()));
        std::fs::write(dir.path().join(at("stable")), "{\"format\":1").unwrap();
        assert_eq!(Book::open(&tree, "stable").unwrap_err().exit(), crate::steps::error::Exit::Refused);
    }

    #[test]
    fn a_directory_that_nobody_can_account_for_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let mut book = Book::open(&tree, "stable").unwrap();
        book.pending = Some(Entry { adopt: Some("adopted-1".into()), ..entry(None, "snapshots/c") });
        book.write(&tree).unwrap();
        tree.make_dir(".quarterdeck/stable.new").unwrap();
        let e = Book::open(&tree, "stable").unwrap_err();
        assert!(e.exit() == crate::steps::error::Exit::Refused && e.to_string().contains("unknown"), "{e}");
        assert_eq!(tree.named(".quarterdeck/stable.new").unwrap(), Named::Directory);
    }

    #[test]
    fn a_file_system_that_cannot_exchange_is_told_the_steps_by_hand() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let e = by_hand(&tree, "stable", &Entry { adopt: Some("adopted-1".into()), ..entry(None, "snapshots/c") });
        let text = e.to_string();
        assert!(text.contains("mv stable snapshots/adopted-1") && text.contains("ln -s snapshots/c stable"), "{text}");
    }
}
