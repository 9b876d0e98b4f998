//! The ten gates: what each is called, what it looks at, and what can be said of it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::streak::Verdict;
use crate::base::duration;
use crate::domain::changelog::Known;

pub(super) const HOUR_US: i64 = 3_600 * 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Gate {
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
    G7,
    G8,
    G9,
    G10,
}

pub const GATES: [Gate; 10] = [Gate::G1, Gate::G2, Gate::G3, Gate::G4, Gate::G5, Gate::G6, Gate::G7, Gate::G8, Gate::G9, Gate::G10];

impl Gate {
    pub const fn title(self) -> &'static str {
        match self {
            Self::G1 => "mirrors coherent, all DCs",
            Self::G2 => "age of the content",
            Self::G3 => "image canary streak",
            Self::G4 => "rpm canary and inspector",
            Self::G5 => "required formula cells",
            Self::G6 => "sandbox soak",
            Self::G7 => "signatures",
            Self::G8 => "vendor agents certified",
            Self::G9 => "window open, no freeze",
            Self::G10 => "way back: snapshot, space",
        }
    }

    /// The role of the site that owns it, and must agree to a waiver.
    pub const fn owner(self) -> &'static str {
        match self {
            Self::G7 | Self::G8 => "security",
            _ => "release-manager",
        }
    }
}

/// Those that the security lane does not wait for; the others hold for it too.
pub const LANE_SKIPS: [Gate; 6] = [Gate::G2, Gate::G3, Gate::G4, Gate::G5, Gate::G6, Gate::G8];

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for Gate {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        GATES.into_iter().find(|g| g.to_string().eq_ignore_ascii_case(s)).ok_or(())
    }
}

/// Something that was looked at: known since a moment, unknown for a reason, or without a source at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source<T> {
    Known {
        value: T,
        at_us: i64,
    },
    Unknown(String),
    /// What the site would have to add.
    Missing(String),
}

/// Signatures of the candidate's packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signatures {
    pub checked: u64,
    /// Detached signatures of metadata that were checked: those that are there.
    pub metadata: u64,
    /// Packages and metadata without a good signature of a trusted key, by name.
    pub bad: Vec<String>,
    /// The keys that were trusted.
    pub keys: Vec<String>,
}

/// A source package that the candidate has older than what is served, and what only the changelog of the served build names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub source: String,
    pub from: String,
    pub to: String,
    pub known: Known,
    pub cves: Vec<String>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} goes back from {} to {}", self.source, self.from, self.to)
    }
}

/// The calendar of the site that promotions keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calendar {
    Open { calendar: String },
    Closed { calendar: String, freeze: bool, why: String },
}

/// What one datacentre took of the content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replica {
    pub fp: String,
    /// Digest over the repomd.xml of its repositories; metadata may differ where the packages do not.
    pub md: String,
}

/// The way back of one datacentre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// The snapshot that is there and whole; none = there is none.
    pub snapshot: Option<String>,
    pub room: bool,
}

/// Since when the content is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstSeen {
    pub at_us: i64,
    /// Nothing saw it before its own snapshot was taken.
    pub alone: bool,
}

/// Limits; the site file may change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub age_us: i64,
    pub streak: usize,
    pub apart_us: i64,
    /// A verdict that is older is stale.
    pub stale_us: i64,
    /// Gate to the reason why the site accepts that it has no source.
    pub without: BTreeMap<Gate, String>,
    /// Gate to what the site says that somebody should do where it does not pass.
    pub help: BTreeMap<Gate, String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            age_us: 72 * HOUR_US,
            streak: 3,
            apart_us: 2 * HOUR_US,
            stale_us: 26 * HOUR_US,
            without: BTreeMap::new(),
            help: BTreeMap::new(),
        }
    }
}

/// A pipeline whose verdicts a gate counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judge {
    pub pipeline: String,
    /// `canary:KIND`, `formula:NAME`.
    pub labels: Vec<String>,
    /// What it would read now, where that is not the candidate: `el9-latest, which holds 2b1c03d4e5f6 now`. A run of it would not count.
    pub other: Option<String>,
    /// Pipelines that write what it reads.
    pub writers: Vec<String>,
}

/// Everything that gates look at.
#[derive(Debug, Clone)]
pub struct Facts {
    pub now_us: i64,
    /// The promotion, and its OS major: for words.
    pub id: String,
    pub os: String,
    /// Datacentre to what it would serve; empty = no datacentre.
    pub replicas: BTreeMap<String, Source<Replica>>,
    pub fp: Source<String>,
    pub first_seen: Source<FirstSeen>,
    pub verdicts: Source<Vec<Verdict>>,
    /// Kinds that a pipeline of the site is labelled with: `canary:image`, `formula:ops-base`.
    pub labels: Vec<String>,
    /// The pipelines that are labelled so: for words.
    pub judges: Vec<Judge>,
    pub soak: Source<()>,
    pub signatures: Source<Signatures>,
    pub lost: Source<Vec<Lost>>,
    pub agents: Source<()>,
    pub calendar: Source<Calendar>,
    pub back: BTreeMap<String, Source<Back>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Outcome {
    Ok,
    Fail,
    Waived,
    /// Not yet: time or work is missing.
    Pending,
    /// What was found is too old, or unknown.
    Stale,
    /// No source. `accepted`: the site file's reason.
    NoSource {
        add: String,
        accepted: Option<String>,
    },
}

impl Outcome {
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Ok | Self::Waived | Self::NoSource { accepted: Some(_), .. })
    }

    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Fail => "FAIL",
            Self::Waived => "WAIVED",
            Self::Pending => "PENDING",
            Self::Stale => "STALE",
            Self::NoSource { .. } => "N/A",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSource { add, .. } => write!(f, "N/A: no source (add {add})"),
            other => f.write_str(other.word()),
        }
    }
}

/// A gate as it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub gate: Gate,
    pub outcome: Outcome,
    /// For people; may name ages, and is not in the plan.
    pub detail: String,
    /// What the result rests on: fingerprints, runs, snapshots. In the plan.
    pub evidence: Vec<String>,
}

/// How long ago something was, for people.
pub(super) fn ago(now_us: i64, at_us: i64) -> String {
    duration::spoken(u64::try_from(now_us.saturating_sub(at_us) / 1_000).unwrap_or(0))
}
