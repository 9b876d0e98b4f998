//! The one registry of native step kinds: name, `with` schema, what it touches, and the function that does it.

use super::report::Report;
use crate::base::{sanitise, suggest};
use crate::domain::mirror::Look;
use crate::pipeline::catalog::{Field, FieldType, StepKind, Touches};
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::with::With;

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
        field("signature", FieldType::Text, false, "repomd.xml.asc of upstream: `mirror` it, or `none`; default mirror"),
    ],
};

const TREES: Field = field(
    "tree",
    FieldType::List,
    true,
    "repository: a directory, or NAME= and one; several make one content set, each in a directory of its name",
);
const ROOT: Field = field(
    "root",
    FieldType::Path,
    true,
    "directory of snapshots and pointers (ROOT/snapshots/ID/REPO, ROOT/NAME -> snapshots/ID), on the file system of the trees",
);
const NAME: Field = field("name", FieldType::Text, false, "the pointer; readers use ROOT/NAME/REPO; default: stable");
const FROM: Field = field(
    "from",
    FieldType::Text,
    false,
    "where the pointer must lead now: a snapshot, `directory` or `nothing`; anything else is refused, and nothing is switched",
);
const CARRY: Field = field(
    "carry",
    FieldType::Bool,
    false,
    "lay the files that are served now beside those of the next snapshot, for readers that straddle the switch; default true",
);

const VERIFY: StepKind = StepKind {
    kind: "mirror/verify",
    doc: "Looks at trees and says in which state each is: in-sync, behind, syncing, partial, damaged, ahead, pinned, unreachable, unknown",
    touches: Touches::Local,
    with: &[
        field("tree", FieldType::List, true, "repository: a directory or an http address, or NAME= and one of these"),
        field(
            "upstream",
            FieldType::List,
            false,
            "what it is compared with; several are tried in order; with several trees NAME= and an address",
        ),
        field(
            "level",
            FieldType::Word(Look::NAMES),
            false,
            "metadata, presence (every package by size) or checksums (every byte); default presence",
        ),
        field("expect", FieldType::List, false, "states that are right here; default: all but partial, damaged and unreachable"),
        field("strict", FieldType::Bool, false, "package files that the metadata does not name are a failure; default false"),
        field("parallel", FieldType::Int, false, "requests at a time of a tree behind an address, 1 to 64; default 8"),
        SET,
    ],
};

const SNAPSHOT: StepKind = StepKind {
    kind: "mirror/snapshot",
    doc: "Keeps the repositories of a content set as they are now: packages hardlinked and verified, metadata copied, refused where the set moves",
    touches: Touches::Local,
    with: &[
        TREES,
        ROOT,
        field("set", FieldType::Text, false, "content set to report the facts under; default: the names of the trees"),
        field("packages", FieldType::Text, false, "link, or copy (shared blocks where the file system can, else every byte); default link"),
    ],
};

const OVERLAY: StepKind = StepKind {
    kind: "mirror/overlay",
    doc: "Makes a snapshot of a snapshot in which some packages are those of another one, or are added from a tree; nothing is edited in place",
    touches: Touches::Local,
    with: &[
        ROOT,
        field("base", FieldType::Text, true, "the snapshot that it is made of"),
        field("from", FieldType::Text, false, "the snapshot that has the packages that are held"),
        field("hold", FieldType::List, false, "names of packages that stay as `from` has them; one that it has not is a failure"),
        field("source", FieldType::List, false, "REPO=PATH: a tree that has what is added, and the repository that it comes into"),
        field("add", FieldType::List, false, "packages that come in beside what is there, as NAME-[EPOCH:]VERSION-RELEASE.ARCH"),
        SET,
    ],
};

const SWITCH: StepKind = StepKind {
    kind: "mirror/switch",
    doc: "Lets a pointer lead to another snapshot in one atomic step, and keeps the way back",
    touches: Touches::Local,
    with: &[
        ROOT,
        NAME,
        field("to", FieldType::Text, true, "snapshot: its name, its fingerprint (12 digits or more), or previous"),
        FROM,
        field("repo", FieldType::Text, false, "let the pointer lead to this repository of the snapshot, for readers of ROOT/NAME"),
        CARRY,
    ],
};

const ROLLBACK: StepKind = StepKind {
    kind: "mirror/rollback",
    doc: "Lets a pointer lead to what it led to before its last switch",
    touches: Touches::Local,
    with: &[ROOT, NAME, FROM, CARRY],
};

const GC: StepKind = StepKind {
    kind: "mirror/gc",
    doc: "Removes snapshots to which nobody referred in two complete checks, a day apart; a source of references that does not answer blocks it",
    touches: Touches::Local,
    with: &[
        ROOT,
        field("keep", FieldType::Int, false, "the newest so many stay in any case; default 3"),
        field("hold", FieldType::List, false, "snapshots that stay: names or fingerprints, such as those of pins and runs"),
        field(
            "source",
            FieldType::List,
            false,
            "who else refers: a file or an http address with one reference a line, a link, or a directory of links",
        ),
        field("dry-run", FieldType::Bool, false, "say what would be done, and do nothing; default false"),
        field("readers", FieldType::Duration, false, "how long readers may hold old metadata after a switch; default 48h"),
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

const SIGNATURES: StepKind = StepKind {
    kind: "content/signatures",
    doc: "Every package is signed by one of the keys given (rpmkeys, with a key database of its own); what it finds is a fact for G7",
    touches: Touches::Local,
    with: &[
        field("tree", FieldType::List, true, "directory of a repository, or NAME= and one; several are judged together"),
        field("key", FieldType::List, true, "file of ASCII-armoured public keys that packages may be signed with"),
        field("report-only", FieldType::Bool, false, "a package without a good signature is reported, and no failure; default false"),
        SET,
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

const INSPECT: StepKind = StepKind {
    kind: "content/inspect",
    doc: "Holds every package's header against what packages of a distribution may be: BAD and VERIFY fail unless they are waived",
    touches: Touches::Local,
    with: &[
        field("tree", FieldType::List, true, "directory of a repository; several are read one after the other"),
        field("before", FieldType::List, false, "directories of what is served: a package that goes back behind it is VERIFY"),
        field("waive", FieldType::List, false, "findings that somebody has looked at: PACKAGE/INSPECTION, such as cronie/permissions"),
        SET,
    ],
};

const CHECKOUT: StepKind = StepKind {
    kind: "git/checkout",
    doc: "Checks a git reference out into a directory and reports the commit",
    touches: Touches::Local,
    with: &[
        field("url", FieldType::Text, true, "repository address: https, http, ssh, git, or an absolute local path"),
        field("ref", FieldType::Text, false, "branch, tag or full commit (40 digits); default: the far end's HEAD"),
        field("dest", FieldType::Inside, false, "directory in the workspace, made if absent; default: `source`"),
        field("depth", FieldType::Int, false, "history to fetch; 0 = all; default 1"),
        field("timeout", FieldType::Duration, false, "for each call of git; default 10m"),
        field("credentials", FieldType::Text, false, "name of a declared secret that holds user:password for http(s) addresses"),
    ],
};

const REPOSYNC: StepKind = StepKind {
    kind: "cobbler/reposync",
    doc: "Lets Cobbler sync its repositories, follows its task, and looks at the trees afterwards; a task that Cobbler calls complete may have done nothing",
    touches: Touches::FarEnd,
    with: &[
        field("cobbler", FieldType::FarEnd("cobbler"), true, "the server: NAME of [cobbler.NAME] in the site file"),
        field(
            "repos",
            FieldType::List,
            true,
            "repositories as Cobbler calls them, synced in this order; the first that fails ends the task",
        ),
        field("tries", FieldType::Int, false, "how often Cobbler tries each of them, 1 to 10; default 1"),
        field(
            "tree",
            FieldType::List,
            false,
            "where the trees can be read afterwards: NAME= and a directory or an http address; default: NAME below `mirror` of the table",
        ),
        field(
            "upstream",
            FieldType::List,
            false,
            "what the trees are compared with: NAME= and an http address; default: the address that Cobbler itself mirrors",
        ),
        field(
            "level",
            FieldType::Word(Look::NAMES),
            false,
            "how closely the trees are looked at: metadata, presence or checksums; default presence",
        ),
        field("wait", FieldType::Duration, false, "wait so long for other reposyncs in flight, then refuse; default 1h"),
        field("poll", FieldType::Duration, false, "ask for the task's state so often, 100ms to 5m; default 2s"),
        SET,
    ],
};

/// The registry.
pub const ENTRIES: &[Entry] = &[
    Entry { kind: SYNC, run: super::mirror::sync::run },
    Entry { kind: VERIFY, run: super::mirror::verify::run },
    Entry { kind: SNAPSHOT, run: super::mirror::snapshot::run },
    Entry { kind: OVERLAY, run: super::mirror::overlay::run },
    Entry { kind: SWITCH, run: super::mirror::switch::run },
    Entry { kind: ROLLBACK, run: super::mirror::switch::back },
    Entry { kind: GC, run: super::mirror::gc::run },
    Entry { kind: CLOSURE, run: super::content::closure::run },
    Entry { kind: SIGNATURES, run: super::content::signatures::run },
    Entry { kind: UNPACK, run: super::content::unpack::run },
    Entry { kind: INSPECT, run: super::content::inspect::run },
    Entry { kind: CHECKOUT, run: super::git::run },
    Entry { kind: REPOSYNC, run: super::cobbler::run },
];

/// Kinds of this version, for lint, plan and explain.
pub fn catalog() -> &'static [StepKind] {
    const KINDS: &[StepKind] =
        &[SYNC, VERIFY, SNAPSHOT, OVERLAY, SWITCH, ROLLBACK, GC, CLOSURE, SIGNATURES, UNPACK, INSPECT, CHECKOUT, REPOSYNC];
    KINDS
}

/// Kinds that later versions bring: lint says so instead of "unknown".
pub fn later_kinds() -> &'static [(&'static str, &'static str)] {
    &[
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
            Some(near) => StepError::input(format!("unknown step kind `{}`", named(kind)), format!("did you mean `{near}`?")),
            None => StepError::input(format!("unknown step kind `{}`", named(kind)), format!("known: {}", all.join(", "))),
        }
    })
}

/// A kind as it is repeated to people: what was typed may be anything, and of any length.
pub fn named(kind: &str) -> String {
    const MOST: usize = 80;
    let shown = sanitise::cell(kind);
    match shown.char_indices().nth(MOST) {
        Some((i, _)) => format!("{}…", &shown[..i]),
        None => shown,
    }
}
