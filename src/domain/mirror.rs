//! The state of one tree of a repository, judged from probes: a pure function, the same for every tree and every level of looking.

use serde::{Deserialize, Serialize};

use super::text_form::text_form;

/// How closely a tree was looked at; each level holds the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// `repomd.xml` and every metadata file that it names, by size and checksum.
    Metadata,
    /// Every package by name and size.
    #[default]
    Presence,
    /// Every byte of every package.
    Checksums,
}

/// What a tree is, in the words of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    InSync,
    /// Upstream has moved on.
    Behind,
    /// Somebody writes it.
    Syncing,
    /// Its metadata names packages that are missing or have another size.
    Partial,
    /// Bytes are not what the metadata says.
    Damaged,
    /// `repomd.xml` and the metadata files that it names do not belong together: a push that is on its way, or was torn.
    Incoherent,
    /// It lost more packages at once than a compose does.
    Shrunk,
    /// It holds something that the upstream asked does not know.
    Ahead,
    /// A snapshot: behind on purpose.
    Pinned,
    /// It stands still on purpose: its upstream ended, or the site file says so.
    Frozen,
    /// It, or the upstream that it is compared with, does not answer.
    Unreachable,
    /// Nothing can be said about it.
    Unknown,
}

text_form!(State {
    InSync = "in-sync",
    Behind = "behind",
    Syncing = "syncing",
    Partial = "partial",
    Damaged = "damaged",
    Incoherent = "incoherent",
    Shrunk = "shrunk",
    Ahead = "ahead",
    Pinned = "pinned",
    Frozen = "frozen",
    Unreachable = "unreachable",
    Unknown = "unknown",
});

text_form!(Look { Metadata = "metadata", Presence = "presence", Checksums = "checksums" });

/// How the upstream answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Relation {
    /// Nobody was asked.
    #[default]
    Unasked,
    NoAnswer,
    /// The same `repomd.xml`, or the same fingerprint under another one.
    Same,
    Differs {
        /// Packages that upstream has and the tree has not, and the other way round.
        lacking: u64,
        surplus: u64,
        /// Youngest timestamps of both, where stated, epoch seconds.
        ours: Option<u64>,
        theirs: Option<u64>,
    },
}

/// What was found of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// The tree's far end did not answer.
    pub unreachable: bool,
    /// There is no repository.
    pub absent: bool,
    /// Metadata files, or packages, whose bytes are not what is said of them.
    pub damaged: u64,
    /// Packages (or metadata files) that are not there.
    pub missing: u64,
    /// Packages of another size.
    pub short: u64,
    /// Packages that the upstream's metadata kept beside the tree's own names, and that the tree's own no longer does: its metadata was
    /// made anew from what had come.
    pub lost: u64,
    /// `repomd.xml` changed while it was looked at.
    pub moved: bool,
    /// A writer holds the tree's lock.
    pub held: bool,
    /// The snapshot that it is, if it is one.
    pub snapshot: Option<String>,
    pub relation: Relation,
}

/// The state. What is broken comes before what is late; what moved under the reader cannot be called broken.
pub fn judge(p: &Probe) -> State {
    if p.unreachable {
        return State::Unreachable;
    }
    if p.moved || (p.absent && p.held) {
        return State::Syncing;
    }
    if p.absent {
        return State::Unknown;
    }
    if p.damaged > 0 {
        return State::Damaged;
    }
    if p.missing + p.short + p.lost > 0 {
        return State::Partial;
    }
    if p.held {
        return State::Syncing;
    }
    if p.snapshot.is_some() {
        return State::Pinned;
    }
    match &p.relation {
        Relation::Unasked => State::Unknown,
        Relation::NoAnswer => State::Unreachable,
        Relation::Same => State::InSync,
        // A part of what upstream has is behind it, however young its metadata is: createrepo writes today's time over what came last month.
        Relation::Differs { lacking: 1.., surplus: 0, .. } => State::Behind,
        Relation::Differs { lacking, ours, theirs, .. } => match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours < theirs => State::Behind,
            (Some(ours), Some(theirs)) if ours > theirs => State::Ahead,
            _ if *lacking > 0 => State::Behind,
            _ => State::Ahead,
        },
    }
}

/// True where what the metadata names is there and good, as far as was looked: `missing`, `short`, `lost` and `damaged` are none, and
/// nothing moved meanwhile.
pub fn whole(p: &Probe) -> bool {
    !p.unreachable && !p.absent && !p.moved && p.damaged + p.missing + p.short + p.lost == 0
}

/// What a look at one tree found: the fact of `mirror/verify`, a row of `get mirrors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub repo: String,
    /// Path, or address without what is secret in it.
    pub tree: String,
    pub state: State,
    pub look: Look,
    /// None where it could not be read.
    #[serde(default)]
    pub fp: Option<String>,
    #[serde(default)]
    pub md: Option<String>,
    #[serde(default)]
    pub packages: u64,
    #[serde(default)]
    pub bytes: u64,
    #[serde(default)]
    pub missing: u64,
    #[serde(default)]
    pub short: u64,
    #[serde(default)]
    pub damaged: u64,
    /// Package files that the metadata does not name.
    #[serde(default)]
    pub extra: u64,
    /// Packages that upstream has and this tree has not.
    #[serde(default)]
    pub behind: u64,
    #[serde(default)]
    pub snapshot: Option<String>,
    #[serde(default)]
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(lacking: u64, surplus: u64, ours: Option<u64>, theirs: Option<u64>) -> Relation {
        Relation::Differs { lacking, surplus, ours, theirs }
    }

    #[test]
    fn every_state_has_its_reason_and_what_is_broken_comes_first() {
        let p = Probe::default;
        let same = || Probe { relation: Relation::Same, ..p() };
        for (probe, want) in [
            (same(), State::InSync),
            (Probe { unreachable: true, damaged: 3, ..same() }, State::Unreachable),
            (Probe { relation: Relation::NoAnswer, ..p() }, State::Unreachable),
            (Probe { relation: Relation::NoAnswer, missing: 1, ..p() }, State::Partial),
            (Probe { moved: true, damaged: 1, missing: 1, ..same() }, State::Syncing),
            (Probe { held: true, ..same() }, State::Syncing),
            // Our own writer publishes nothing that is torn: its lock excuses no damage.
            (Probe { held: true, damaged: 1, ..same() }, State::Damaged),
            (Probe { absent: true, held: true, ..p() }, State::Syncing),
            (Probe { absent: true, ..p() }, State::Unknown),
            (Probe { damaged: 1, missing: 9, ..same() }, State::Damaged),
            (Probe { missing: 1, ..same() }, State::Partial),
            (Probe { short: 1, ..same() }, State::Partial),
            // The same repomd.xml as upstream's says nothing where the mirror made its own.
            (Probe { lost: 1, ..same() }, State::Partial),
            (Probe { snapshot: Some("s".into()), relation: differs(9, 0, Some(1), Some(2)), ..p() }, State::Pinned),
            (Probe { snapshot: Some("s".into()), damaged: 1, ..p() }, State::Damaged),
            (p(), State::Unknown),
            (Probe { relation: differs(2, 0, Some(1), Some(2)), ..p() }, State::Behind),
            (Probe { relation: differs(0, 2, Some(1), Some(2)), ..p() }, State::Behind),
            (Probe { relation: differs(2, 0, Some(2), Some(1)), ..p() }, State::Behind),
            (Probe { relation: differs(2, 1, Some(2), Some(1)), ..p() }, State::Ahead),
            (Probe { relation: differs(1, 5, None, Some(1)), ..p() }, State::Behind),
            (Probe { relation: differs(0, 5, Some(1), Some(1)), ..p() }, State::Ahead),
        ] {
            assert_eq!(judge(&probe), want, "{probe:?}");
        }
    }

    #[test]
    fn words_are_read_back() {
        for &(word, state) in State::WORDS {
            assert_eq!(word.parse(), Ok(state));
            assert_eq!(state.to_string(), word);
            assert_eq!(serde_json::to_value(state).unwrap(), word);
        }
        assert_eq!("presence".parse(), Ok(Look::Presence));
        assert!("".parse::<Look>().is_err() && Look::Checksums > Look::Presence && Look::Presence > Look::Metadata);
    }
}
