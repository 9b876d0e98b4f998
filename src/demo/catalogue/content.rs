//! What a distribution is made of: repositories, packages with their files, advisories, composes.

/// The two repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repo {
    BaseOS,
    AppStream,
}

impl Repo {
    /// Both, in the order in which they are published.
    pub const ALL: [Self; 2] = [Self::BaseOS, Self::AppStream];

    /// Its directory name in the compose.
    pub fn dir(self) -> &'static str {
        match self {
            Self::BaseOS => "BaseOS",
            Self::AppStream => "AppStream",
        }
    }

    /// Its name in the site file.
    pub fn id(self) -> &'static str {
        match self {
            Self::BaseOS => "baseos",
            Self::AppStream => "appstream",
        }
    }
}

/// Architectures that occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Noarch,
}

impl Arch {
    /// As rpm writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Noarch => "noarch",
        }
    }
}

/// How a required or provided version compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ge,
}

/// One Requires or Provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dep {
    pub name: String,
    pub version: Option<(Op, String)>,
    /// Needed before the package is unpacked.
    pub pre: bool,
}

/// What a packaged path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    Regular { mode: u16, size: usize },
    Config { size: usize },
    Doc { size: usize },
    License { size: usize },
    Dir,
    Ghost,
    Symlink { target: String },
}

/// One packaged path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub path: String,
    pub kind: FileKind,
}

/// One changelog entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub author: String,
    pub time: i64,
    pub text: String,
}

/// One binary package, ready to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub repo: Repo,
    pub name: String,
    pub epoch: Option<u32>,
    pub version: String,
    pub release: String,
    pub arch: Arch,
    pub source: String,
    pub source_rpm: String,
    pub module: Option<String>,
    pub summary: String,
    pub license: String,
    pub build_time: i64,
    pub requires: Vec<Dep>,
    pub provides: Vec<Dep>,
    pub files: Vec<File>,
    pub changelog: Vec<Change>,
}

impl Package {
    /// `name-version-release.arch.rpm`.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.{}.rpm", self.name, self.version, self.release, self.arch.as_str())
    }

    /// `name-epoch:version-release.arch`, the epoch always written.
    pub fn nevra(&self) -> String {
        format!("{}-{}:{}-{}.{}", self.name, self.epoch.unwrap_or(0), self.version, self.release, self.arch.as_str())
    }
}

/// An advisory for one source that moved with a security fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    pub id: String,
    pub repo: Repo,
    pub source: String,
    pub time: i64,
    pub cve: String,
    pub packages: Vec<Package>,
}

/// One compose of the whole distribution.
#[derive(Debug, Clone)]
pub struct Compose {
    pub number: u32,
    /// `CentOS-Stream-9-YYYYMMDD.N`.
    pub id: String,
    pub time: i64,
    pub packages: Vec<Package>,
    pub advisories: Vec<Advisory>,
}

impl Compose {
    /// The packages of one repository, by file name.
    pub fn of(&self, repo: Repo) -> Vec<&Package> {
        let mut out: Vec<&Package> = self.packages.iter().filter(|p| p.repo == repo).collect();
        out.sort_by_key(|p| p.file_name());
        out
    }
}
