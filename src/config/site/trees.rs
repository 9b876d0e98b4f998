//! That every tree is one repository's: no two in one directory, none inside another, and no root of a promotion inside one.
//!
//! A tree has one writer, and whoever writes it removes what its repository does not know. Those that only others write may lie inside each
//! other: nothing of ours removes anything there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Site;
use super::promotion::{Promotion, Root};
use super::repos::Repo;
use crate::config::read::Notes;

/// Where a repository says its tree.
pub(super) struct Named {
    pub repo: String,
    pub tree: PathBuf,
    pub span: Range<usize>,
}

impl Named {
    pub(super) fn new(repo: &str, tree: &str, span: Range<usize>) -> Self {
        // As components, `/srv//a/./b/` is `/srv/a/b`.
        Self { repo: repo.to_owned(), tree: Path::new(tree).components().collect(), span }
    }
}

pub(super) fn apart(named: &[Named], repos: &BTreeMap<String, Repo>, notes: &Notes<'_>) {
    let others_only = |n: &Named| repos.get(&n.repo).is_some_and(|r| r.writer == "external");
    for (i, own) in named.iter().enumerate() {
        for other in &named[..i] {
            let help = "give each repository a directory of its own: whoever writes one removes what it does not know";
            if own.tree == other.tree {
                let message = format!("`{}` and `{}` have the same tree", other.repo, own.repo);
                notes.add(own.span.clone(), message, help);
            } else if others_only(own) && others_only(other) {
                continue;
            } else if own.tree.starts_with(&other.tree) {
                notes.add(own.span.clone(), format!("this tree lies inside that of `{}`, {}", other.repo, other.tree.display()), help);
            } else if other.tree.starts_with(&own.tree) {
                notes.add(own.span.clone(), format!("the tree of `{}` lies inside this one: {}", other.repo, other.tree.display()), help);
            }
        }
    }
}

/// What `mirror/*` is to write has to lie below one of the roots, where the site names any.
pub(super) fn below(named: &[Named], site: &Site, notes: &Notes<'_>) {
    let ours = |n: &&Named| site.repos.get(&n.repo).is_some_and(|r| r.writer == "quarterdeck");
    for own in named.iter().filter(ours) {
        if !site.mirror_roots.is_empty() && !site.mirror_roots.iter().any(|root| own.tree.starts_with(root)) {
            let message = format!("the tree of `{}` lies below no root of [mirror]: nothing may write it", own.repo);
            notes.doubt(own.span.clone(), message, "add its directory to `roots`, or say who writes it: writer = \"external\"");
        }
    }
}

/// No root of a promotion inside a tree, and no pointer that two majors move.
pub(super) fn roots(named: &[Named], promotions: &BTreeMap<String, Promotion>, roots: &[Root], notes: &Notes<'_>) {
    let pointers = |os: &str| promotions.get(os).map(|p| [p.pointer.as_str(), p.candidate.as_str()]).unwrap_or_default();
    for (i, root) in roots.iter().enumerate() {
        if let Some(over) = named.iter().find(|n| root.at.starts_with(&n.tree)) {
            let message = format!("this root lies inside the tree of `{}`, {}", over.repo, over.tree.display());
            notes.add(root.span.clone(), message, "snapshots lie beside the trees: name a directory above them, or another");
        }
        for other in roots[..i].iter().filter(|o| o.at == root.at) {
            if other.os == root.os {
                notes.add(root.span.clone(), format!("two datacentres have the root {}", root.at.display()), "give each its own");
                continue;
            }
            if let Some(both) = pointers(&root.os).into_iter().find(|p| pointers(&other.os).contains(p)) {
                let message = format!("[promotion.{}] has the same root, and moves `{both}` in it too", other.os);
                notes.add(root.span.clone(), message, "give each its own root, or its own `pointer` and `candidate`");
            }
        }
    }
}
