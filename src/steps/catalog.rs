//! The one registry of native step kinds: name, `with` schema, what it touches, and the function that does it.

use super::report::Report;
use super::{StepEnv, StepError, With};
use crate::base::suggest;
use crate::pipeline::catalog::{Field, FieldType, StepKind, Touches};

/// The function behind a kind.
pub type RunFn = fn(&With, &StepEnv, &Report) -> Result<(), StepError>;

/// A kind and its function; `catalog()` shows the first part to lint.
pub struct Entry {
    pub kind: StepKind,
    pub run: RunFn,
}

const fn field(name: &'static str, ty: FieldType, required: bool, doc: &'static str) -> Field {
    Field { name, ty, required, doc }
}

const SET: Field = field("set", FieldType::Text, false, "content set under which the content that was read is reported");

const SYNC: StepKind = StepKind {
    kind: "mirror/sync",
    doc: "Mirrors a yum repository over HTTP: every package verified, metadata published last and atomically",
    touches: Touches::Local,
    with: &[
        field("url", FieldType::List, true, "upstream repository (the directory that holds repodata/); several are tried in order"),
        field("dest", FieldType::Path, true, "directory of the mirror; readers use dest/repodata/repomd.xml"),
        field("repo", FieldType::Text, false, "name of the repository in the fingerprint; default: the last part of dest"),
        field("set", FieldType::Text, false, "content set to report the facts under; default: the repository's name"),
        field("parallel", FieldType::Int, false, "downloads at a time, 1 to 64; default 8"),
        field(
            "shrink",
            FieldType::Text,
            false,
            "how far packages or bytes may fall at once: a percentage such as 20, or `allow`; default 20",
        ),
        field("stall", FieldType::Duration, false, "give up on an answer that sends nothing for so long; default 30s"),
        field("attempts", FieldType::Int, false, "tries of one request before the next upstream, 1 to 10; default 3"),
        field(
            "settle",
            FieldType::Duration,
            false,
            "readers may straddle one publish for so long before files of the cycle before are removed; default 5s",
        ),
        field("credentials", FieldType::Text, false, "name of a declared secret that holds user:password for the upstream"),
    ],
};

const CLOSURE: StepKind = StepKind {
    kind: "content/closure",
    doc: "Every Requires of every package has a provider in the trees given; rich forms that cannot be judged are listed as unknown",
    touches: Touches::Local,
    with: &[
        field(
            "tree",
            FieldType::List,
            true,
            "repository: a directory or an http address, or NAME= and one of these; several are judged together",
        ),
        SET,
        field("extra", FieldType::List, false, "repositories whose packages may provide, but are not checked themselves"),
    ],
};

const UNPACK: StepKind = StepKind {
    kind: "content/unpack",
    doc: "Reads every package's payload to its end and compares all digests",
    touches: Touches::Local,
    with: &[
        field("tree", FieldType::List, true, "directory of a repository; several are read one after the other"),
        SET,
        field("parallel", FieldType::Int, false, "packages at a time, 1 to 64; default: the number of processors"),
    ],
};

const CHECKOUT: StepKind = StepKind {
    kind: "git/checkout",
    doc: "Checks a git reference out into a directory and reports the commit",
    touches: Touches::Local,
    with: &[
        field("url", FieldType::Text, true, "repository address: https, http, ssh, git, or an absolute local path"),
        field("ref", FieldType::Text, false, "branch, tag or full commit; default: the far end's HEAD"),
        field("dest", FieldType::Path, false, "directory, made if absent; default: `source` in the workspace"),
        field("depth", FieldType::Int, false, "history to fetch; 0 = all; default 1"),
        field("timeout", FieldType::Duration, false, "for each call of git; default 10m"),
        field("credentials", FieldType::Text, false, "name of a declared secret that holds user:password for http(s) addresses"),
    ],
};

/// The registry.
pub const ENTRIES: &[Entry] = &[
    Entry { kind: SYNC, run: super::mirror::run },
    Entry { kind: CLOSURE, run: super::content::closure::run },
    Entry { kind: UNPACK, run: super::content::unpack::run },
    Entry { kind: CHECKOUT, run: super::git::run },
];

/// Kinds of this version, for lint, plan and explain.
pub fn catalog() -> &'static [StepKind] {
    const KINDS: &[StepKind] = &[SYNC, CLOSURE, UNPACK, CHECKOUT];
    KINDS
}

/// Kinds that later versions bring: lint says so instead of "unknown".
pub fn later_kinds() -> &'static [(&'static str, &'static str)] {
    &[
        ("mirror/verify", "a later version"),
        ("mirror/promote", "a later version"),
        ("koji/build", "a later version"),
        ("koji/wait", "a later version"),
        ("jenkins/build", "a later version"),
        ("salt/apply", "a later version"),
        ("cobbler/install", "a later version"),
        ("approval", "a later version"),
    ]
}

/// Finds a kind, or says which were meant.
pub fn find(kind: &str) -> Result<&'static Entry, StepError> {
    ENTRIES.iter().find(|e| e.kind.kind == kind).ok_or_else(|| {
        if let Some((_, since)) = later_kinds().iter().find(|(k, _)| *k == kind) {
            return StepError::input(
                format!("step kind `{kind}` comes with {since}; this version lacks it"),
                "quarterdeck pipeline explain step lists the kinds",
            );
        }
        let all: Vec<&str> = catalog().iter().map(|k| k.kind).collect();
        match suggest::nearest(kind, all.iter().copied()) {
            Some(near) => StepError::input(format!("unknown step kind `{kind}`"), format!("did you mean `{near}`?")),
            None => StepError::input(format!("unknown step kind `{kind}`"), format!("known: {}", all.join(", "))),
        }
    })
}
