//! The files of one repository of a snapshot: packages linked or copied, metadata copied, everything read back under its new name.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::crowd;
use super::root::{self, BUILDING, FORMAT, Files};
use super::state::{Held, REPOMD};
use crate::domain::content::Collector;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::systems::repo::inventory::{self, Inventory};
use crate::systems::repo::links::Named;
use crate::systems::repo::owner::{self, Lease};
use crate::systems::repo::read::sha256;
use crate::systems::repo::walk::{self, Census};
use crate::systems::repo::{Origin, RepoAt, Tree, TreeError, digest};
use crate::wire::repomd::{self, Checksum};

/// Files beside the metadata that say what a compose is; copied where they are there and small.
const LABELS: [&str; 6] = ["repodata/repomd.xml.asc", "repodata/repomd.xml.key", "COMPOSE_ID", ".composeinfo", ".treeinfo", "media.repo"];
const MAX_LABEL: u64 = 1 << 20;

/// A tree of which a snapshot is made.
pub struct Source {
    pub repo: RepoAt,
    pub tree: Tree,
    pub inventory: Inventory,
    before: Census,
    /// Held where the tree is ours: then no sync of ours begins meanwhile.
    _lease: Option<Lease>,
}

impl Source {
    pub fn open(repo: RepoAt, tree: Tree, env: &StepEnv) -> Result<Self, StepError> {
        let ours = owner::marked(&tree)?;
        let lease = ours.then(|| owner::take(&tree, &root::me(env))).transpose()?;
        let before = tree.census()?;
        Ok(Self { repo, tree, inventory: Inventory::empty(), before, _lease: lease })
    }

    /// Reads what its metadata says.
    pub async fn read(&mut self, all: &mut Collector) -> Result<(), StepError> {
        let origin = Origin::open(&self.repo.at)?;
        self.inventory = inventory::read(&self.repo.name, &origin, all).await?;
        Ok(())
    }

    /// What somebody else changed since the source was opened, at most `most` of it.
    pub fn moved(&self, most: usize) -> Result<Vec<String>, StepError> {
        let md = self.tree.read_small(REPOMD, repomd::MAX_BYTES)?.map(|b| sha256(&b));
        let mut out = walk::moved(&self.before, &self.tree.census()?, most);
        if !self.inventory.md.is_empty() && Some(&self.inventory.md) != md.as_ref() && !out.iter().any(|o| o.starts_with(REPOMD)) {
            out.insert(0, format!("{REPOMD} changed"));
        }
        Ok(out)
    }

    /// Directories that its packages lie in.
    pub fn directories(&self) -> u64 {
        let of = |w: &inventory::Wanted| w.location.as_str().rsplit_once('/').map_or(String::new(), |(d, _)| d.to_owned());
        self.inventory.shelf.packages.iter().map(of).collect::<BTreeSet<_>>().len() as u64
    }
}

fn base(source: &Source) -> String {
    format!("{BUILDING}/{}", source.repo.name)
}

/// Links (or copies) the packages and copies the metadata. True where every copy shares its blocks with the source.
pub fn lay(tree: &Tree, source: &Source, copy: bool, report: &Report) -> Result<bool, StepError> {
    let (inventory, base) = (&source.inventory, base(source));
    let total = inventory.shelf.packages.len() as u64;
    tree.make_dir(&format!("{base}/repodata"))?;
    let mut shared = true;
    for (i, wanted) in inventory.shelf.packages.iter().enumerate() {
        let (from, to) = (wanted.location.as_str(), format!("{base}/{}", wanted.location));
        // A link is refused here and not followed; what is exchanged for one afterwards is found when it is read back.
        if source.tree.mark(from)?.is_none() {
            return Err(broken(source, format!("{from} is missing")));
        }
        if copy {
            shared &= source_copy(tree, source, from, &to)?;
        } else {
            tree.link_from(&source.tree, from, &to).map_err(|e| unlinked(e, source))?;
        }
        report.progress(i as u64 + 1, total, "packages", if copy { "copying" } else { "linking" });
    }
    tree.replace(&format!("{base}/{REPOMD}"), &inventory.raw)?;
    for data in &inventory.repomd.data {
        let to = format!("{base}/{}", data.location);
        if tree.named(&to)? == Named::Nothing {
            source_copy(tree, source, data.location.as_str(), &to)?;
        }
    }
    for label in LABELS {
        if let Ok(Some(bytes)) = source.tree.read_small(label, MAX_LABEL) {
            tree.replace(&format!("{base}/{label}"), &bytes)?;
        }
    }
    Ok(shared)
}

fn source_copy(tree: &Tree, source: &Source, from: &str, to: &str) -> Result<bool, StepError> {
    tree.copy_from(&source.tree, from, to).map_err(|e| match e {
        TreeError::Io { kind: ErrorKind::NotFound, .. } => broken(source, format!("{from} is missing")),
        e => e.into(),
    })
}

fn unlinked(e: TreeError, source: &Source) -> StepError {
    let at = source.tree.path().display();
    let next = "give a root on the same file system, or packages=copy";
    match e.kind() {
        ErrorKind::CrossesDevices => StepError::refused(format!("{e}: a part of {at} is on another file system"), next),
        ErrorKind::TooManyLinks => StepError::refused(format!("{e}: the file has as many names as its file system allows"), next),
        ErrorKind::PermissionDenied => StepError::refused(
            format!("{e}: files of another user may not be linked (sysctl fs.protected_hardlinks)"),
            "run the engine as the tree's owner, or give packages=copy",
        ),
        ErrorKind::NotFound => broken(source, e.to_string()),
        _ => e.into(),
    }
}

fn broken(source: &Source, what: String) -> StepError {
    StepError::failed(
        format!("{} is not whole: {what}", source.tree.path().display()),
        "no snapshot was made: sync the tree (mirror/verify lists all of it), then retry",
    )
}

/// Reads every file through its new name, and writes the list of them.
pub fn verify(tree: &Tree, source: &Source, report: &Report) -> Result<(), StepError> {
    let (inventory, base) = (&source.inventory, base(source));
    let held = |path: &str, checksum: &Checksum, size: Option<u64>| -> Result<Held, StepError> {
        let at = format!("{base}/{path}");
        let file = tree.open_read(&at)?;
        let mark = tree.mark(&at)?;
        let (got, n) = digest::of_reader(&checksum.algorithm, file)
            .map_err(|e| broken(source, format!("{path} cannot be read: {e}")))?
            .ok_or_else(|| broken(source, format!("{path} has a checksum of kind `{}`", crate::wire::excerpt(&checksum.algorithm))))?;
        if size.is_some_and(|s| s != n) {
            return Err(broken(source, format!("{path} has {n} bytes, not the size that the metadata says")));
        }
        match mark.filter(|m| m.size == n && got == checksum.hex) {
            Some(mark) => Ok(Held { path: path.to_owned(), checksum: format!("{}:{got}", checksum.algorithm), mark }),
            None => Err(broken(source, format!("{path} has another checksum than the metadata says"))),
        }
    };
    let total = inventory.shelf.packages.len() as u64;
    let done = std::sync::atomic::AtomicU64::new(0);
    let answers = crowd::each(&inventory.shelf.packages, crowd::usual(), Result::is_err, |_, w| {
        let answer = held(w.location.as_str(), &w.checksum, (w.size > 0).then_some(w.size));
        let n = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        report.progress(n, total, "packages", "verifying");
        answer
    });
    let mut files = Files { format: FORMAT, ..Files::default() };
    for (_, answer) in answers {
        files.packages.push(answer?);
    }
    let md = Checksum { algorithm: "sha256".into(), hex: inventory.md.clone() };
    files.metadata.push(held(REPOMD, &md, None)?);
    for data in &inventory.repomd.data {
        files.metadata.push(held(data.location.as_str(), &data.checksum, data.size)?);
    }
    for label in LABELS {
        if let Ok(Some(bytes)) = tree.read_small(&format!("{base}/{label}"), MAX_LABEL) {
            files.metadata.push(held(label, &Checksum { algorithm: "sha256".into(), hex: sha256(&bytes) }, None)?);
        }
    }
    let text = serde_json::to_vec(&files).map_err(|e| StepError::failed(e.to_string(), "report this as a bug"))?;
    Ok(tree.replace(&root::files_at(BUILDING, &source.repo.name), &text)?)
}
