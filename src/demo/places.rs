//! Where everything is in a demo's state directory, and the file that says it is the demo's.

use std::path::PathBuf;

use super::catalogue::Repo;

/// The file that marks a state directory as the demo's. Written before anything else.
pub const MARK: &str = ".quarterdeck-demo";

/// Where everything is in a demo's state directory.
#[derive(Debug, Clone)]
pub struct Places {
    pub state_dir: PathBuf,
}

impl Places {
    /// The site file and the pipelines.
    pub fn config_dir(&self) -> PathBuf {
        self.state_dir.join("config")
    }

    /// The root of the mirrored trees: one directory a repository.
    pub fn mirror_dir(&self) -> PathBuf {
        self.state_dir.join("mirror")
    }

    /// The tree of one repository of the mirror.
    pub fn tree(&self, repo: Repo) -> PathBuf {
        self.mirror_dir().join(repo.id())
    }

    /// What the upstream serves.
    pub fn upstream_dir(&self) -> PathBuf {
        self.state_dir.join("upstream")
    }

    /// What the datacentres serve: one directory each, and what is stable of the pairs that are not promoted.
    pub fn replicas_dir(&self) -> PathBuf {
        self.state_dir.join("replicas")
    }

    /// One JSON line for every request that the upstream answered.
    pub fn access_log(&self) -> PathBuf {
        self.own().join("access.log")
    }

    /// What only the demo reads.
    pub(super) fn own(&self) -> PathBuf {
        self.state_dir.join("demo")
    }
}
