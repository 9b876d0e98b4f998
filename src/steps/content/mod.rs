//! `content/*`: judgements on what repositories hold. They read only; the engine fingerprints the sets around them.

pub mod closure;
mod cpio;
pub mod inspect;
pub mod signatures;
pub mod unpack;

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::env::StepEnv;
use super::error::StepError;
use super::report::Report;
use super::with::With;
use crate::domain::content::{Collector, Reading};
use crate::domain::report::Fact;
use crate::systems::repo::read::{fold, sha256};
use crate::systems::repo::{RepoAt, RepoError, Tree};
use crate::wire::WireError;
use crate::wire::http::HttpError;
use crate::wire::primary::Package;
use crate::wire::repomd;

/// The repositories of a list field. An item is a path or an address, or `NAME=` and one of these; without a name the last part
/// of the path is the name.
pub(super) fn repos(with: &With, key: &str, env: &StepEnv) -> Vec<RepoAt> {
    let items = with.list(key).iter().filter(|i| !i.is_empty());
    items
        .map(|item| {
            let named = item.split_once('=').filter(|(name, at)| !at.is_empty() && !name.is_empty() && !name.contains(['/', ':', '?']));
            let (name, at) = named.map_or((None, item.as_str()), |(name, at)| (Some(name.to_owned()), at));
            let at = if at.contains("://") { at.to_owned() } else { env.path(at).display().to_string() };
            let last = || Path::new(at.trim_end_matches('/')).file_name().map_or_else(|| at.clone(), |n| n.to_string_lossy().into_owned());
            RepoAt { name: name.unwrap_or_else(last), at }
        })
        .collect()
}

/// Hands each package of a tree's metadata to `take`, and all of them to `all`; a word of `take` against one ends it.
pub(super) fn packages(
    name: &str,
    tree: &Tree,
    all: &mut Collector,
    take: impl FnMut(&Package) -> Result<(), String>,
) -> Result<(), StepError> {
    let at = tree.path().display().to_string();
    let wire = |source: WireError| RepoError::Wire { at: at.clone(), source };
    let raw = tree.read_small("repodata/repomd.xml", repomd::MAX_BYTES)?.ok_or_else(|| RepoError::Absent { at: at.clone() })?;
    let repomd = repomd::parse(&raw).map_err(wire)?;
    all.repomd(name, &sha256(&raw));
    let open = |i: usize| {
        let file = tree.open_read(repomd.data[i].location.as_str())?;
        Ok(Box::new(BufReader::with_capacity(64 << 10, file)) as Box<dyn BufRead>)
    };
    fold(name, &at, &repomd, open, all, take)?;
    Ok(())
}

/// Outputs of what was judged, and the fact where the step names a set.
pub(super) fn tell(report: &Report, with: &With, reading: &Reading) {
    let (Some(fp), Some(md)) = (reading.fp.known(), reading.md.known()) else { return };
    report.output("fp", fp);
    report.output("md", md);
    report.output("packages", &reading.packages.to_string());
    if let Some(set) = with.text("set") {
        report.fact(Fact::Content { set: set.to_owned(), fp: fp.to_owned(), md: md.to_owned() });
    }
}

impl From<RepoError> for StepError {
    fn from(e: RepoError) -> Self {
        let text = e.to_string();
        match e {
            RepoError::Tree(e) => e.into(),
            RepoError::Http(e) if e.is_wrong() => Self::failed(text, "no real repository says so: look at what the far end sends (curl)"),
            RepoError::Http(HttpError::Proxy { .. }) => {
                Self::far_end(text, "the variables of proxies are those of the engine: see its unit")
            }
            RepoError::Http(_) => Self::far_end(text, "look at the far end (curl -I shows what it answers), then retry"),
            RepoError::Hangs { .. } => Self::failed(text, "look at its mount (findmnt, df), then retry"),
            RepoError::Absent { .. } => Self::failed(text, "sync it first, or give the directory that holds repodata/"),
            RepoError::Address(_) => Self::input(text, "give a directory or an http(s) address"),
            RepoError::Wire { .. } | RepoError::Checksum { .. } | RepoError::Algorithm { .. } => {
                Self::failed(text, "the repository's metadata is damaged: sync it again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_named_by_their_path_unless_named() {
        let env = StepEnv { workspace: Some("/w".into()), ..StepEnv::from_process() };
        let with = With::from_args(&["tree=/srv/baseos/", "tree=app=/srv/x/os", "tree=http://h/a/b?k=v", "tree=rel/x"]).unwrap();
        let got: Vec<_> = repos(&with, "tree", &env).into_iter().map(|r| (r.name, r.at)).collect();
        let want = [("baseos", "/srv/baseos/"), ("app", "/srv/x/os"), ("b?k=v", "http://h/a/b?k=v"), ("x", "/w/rel/x")];
        assert_eq!(got, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
}
