//! `mirror/sync`: brings a yum repository's tree up to its upstream so that a reader, at any moment, finds a whole repository.
//!
//! What is served changes only in `publish`: packages and hash-named metadata first, `repomd.xml` last, by rename. Until then everything
//! lies under `.quarterdeck/`, so that a failure or a kill leaves the served tree as it was. The previous cycle's files stay for one
//! more cycle, for clients that still hold its `repomd.xml`.
//!
//! A name that readers may still ask for never gets other bytes: what upstream publishes under the same name lies in a directory of its
//! checksum, and the package list that is served says so (`places`).

mod attempt;
mod book;
mod build;
mod carry;
mod crowd;
mod fetch;
pub(super) mod gc;
mod guard;
mod listing;
mod options;
pub(super) use options::credentials;
pub(super) mod look;
mod lost;
pub(super) mod overlay;
mod packages;
mod places;
mod publish;
mod refs;
mod root;
mod signature;
pub(super) mod snapshot;
mod splice;
mod state;
pub(super) mod switch;
pub(super) mod verify;

use std::sync::Arc;

use super::report::Report;
use super::{StepEnv, StepError, With};
use crate::base::{count, duration};
use crate::domain::report::Fact;
use crate::systems::repo::owner::{self, OwnerError};
use crate::systems::repo::{Tree, TreeError};
use crate::wire::address;
use crate::wire::http::Client;
use options::Options;
use state::State;

/// What all parts of one sync share.
pub(super) struct Sync {
    pub tree: Tree,
    pub client: Client,
    pub options: Options,
    pub report: Report,
}

/// How a sync ended.
pub(super) struct Outcome {
    pub state: State,
    /// Nothing that is served was touched, but perhaps the signature around it.
    pub unchanged: bool,
    pub downloaded: u64,
    pub downloaded_bytes: u64,
    pub new: u64,
    pub gone: u64,
    /// Address that served the metadata, for people.
    pub from: String,
}

/// Entry of the registry.
pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let options = Options::read(with, env)?;
    let started = env.clock.boot_us();
    root::inside_snapshot(&options.dest)?;
    let tree = Tree::create(&options.dest)?;
    let _lease = owner::take(&tree, &root::me(env))?;
    let client = Client::new(options.patience, options.credentials.clone(), options.parallel)
        .map_err(|e| StepError::failed(e.to_string(), "this is a fault of the machine's TLS set-up; quarterdeck doctor may say more"))?;
    let sync = Arc::new(Sync { tree, client, options, report: report.clone() });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)))
        .enable_all()
        .build()
        .map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let outcome = runtime.block_on(attempt::sync(&sync))?;
    drop(runtime);
    tell(&sync, &outcome, duration::short(env.clock.boot_us().saturating_sub(started) / 1_000));
    report.finish()
}

fn tell(sync: &Sync, outcome: &Outcome, took: String) {
    let (report, state) = (&sync.report, &outcome.state);
    report.fact(Fact::Content { set: sync.options.set.clone(), fp: state.fp.clone(), md: state.md.clone() });
    report.output("fp", &state.fp);
    report.output("md", &state.md);
    report.output("packages", &state.packages.len().to_string());
    report.output("bytes", &state.bytes().to_string());
    report.output("downloaded", &outcome.downloaded.to_string());
    let size = crate::base::size::short;
    let name = &sync.options.repo;
    if outcome.unchanged {
        report.detail("no-change");
        report.summary(&format!(
            "{name}: no-change, {} ({}), md {}, {took}",
            count::s(state.packages.len() as u64, "package"),
            size(state.bytes()),
            &state.md[..12]
        ));
        return;
    }
    let change = format!(
        "{} ({}): {} new, {} gone, {} downloaded ({})",
        count::s(state.packages.len() as u64, "package"),
        size(state.bytes()),
        outcome.new,
        outcome.gone,
        outcome.downloaded,
        size(outcome.downloaded_bytes)
    );
    report.detail(&change);
    report.summary(&format!("{name}: {change} from {}, md {}, {took}", outcome.from, &state.md[..12]));
}

impl Sync {
    /// The address of an upstream, for people.
    pub fn shown(&self, index: usize) -> String {
        self.options.urls.get(index).map(address::shown).unwrap_or_default()
    }
}

/// What to do about a tree that cannot be where it was asked for.
const PATH: &str = "give the path of a directory, or of one that can be made: every part above it must be a directory";

impl From<TreeError> for StepError {
    fn from(e: TreeError) -> Self {
        match &e {
            TreeError::Link { .. } => {
                Self::refused(e.to_string(), "find out who put the link there and remove it, or give the real directory")
            }
            TreeError::NotAFile { .. } => Self::refused(e.to_string(), "find out who put it there and remove it"),
            TreeError::Io { kind: std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded, .. } => {
                Self::failed(e.to_string(), "free space or inodes, then retry: what is downloaded is kept, the served tree is untouched")
            }
            TreeError::Io { kind: std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem, .. } => {
                Self::failed(e.to_string(), "give the engine's user write access to the tree")
            }
            TreeError::Io { kind: std::io::ErrorKind::NotADirectory, .. } => Self::input(e.to_string(), PATH),
            TreeError::Io { kind: std::io::ErrorKind::NotFound, what: "make directory", .. } => Self::input(e.to_string(), PATH),
            TreeError::Io { .. } => Self::failed(e.to_string(), "look at the disk (dmesg), then retry: the served tree is untouched"),
        }
    }
}

impl From<OwnerError> for StepError {
    fn from(e: OwnerError) -> Self {
        match e {
            OwnerError::Tree(e) => e.into(),
            OwnerError::Busy { .. } => Self::refused(e.to_string(), "wait until that one ends, or cancel it: quarterdeck get runs"),
            OwnerError::Foreign { .. } => Self::refused(
                e.to_string(),
                "every tree has one writer: choose another dest, or, if that writer is gone for good, remove its mark (.quarterdeck/owner or .origin/)",
            ),
        }
    }
}
