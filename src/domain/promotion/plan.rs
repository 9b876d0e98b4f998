//! The plan of a promotion: everything that its people agree to, in one form that has one sha. What it depends on is in it, and nothing else:
//! ages and counts that only pass by are shown beside it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::SIDES;
use super::gate::{Judged, Outcome};
use super::pointer::Led;

pub const FORMAT: u32 = 1;

/// One pointer, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub dc: String,
    pub root: String,
    pub pointer: String,
    pub from: Led,
    /// Of what is served before; null = unknown.
    pub from_fp: Option<String>,
    /// The snapshot that the soak took.
    pub to: Option<String>,
    /// As the snapshot on the disk says of itself now.
    pub to_fp: Option<String>,
    /// In the security lane: what the addition was laid over, and must still be what is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
}

/// A hold or an addition that is part of what is promoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    pub id: u64,
    pub kind: String,
    pub package: String,
    pub nevra: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    pub owner: String,
    pub reason: String,
    pub until_us: i64,
}

/// What becomes of an addition with the next promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The candidate has it, or something newer.
    Absorbed,
    /// The candidate has something older, or nothing by that name.
    Dropped,
    Unknown,
}

impl Fate {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absorbed => "absorbed",
            Self::Dropped => "dropped",
            Self::Unknown => "unknown",
        }
    }
}

/// An addition that is served, and what this promotion makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addition {
    pub id: u64,
    pub package: String,
    pub nevra: String,
    /// The promotion that brought it.
    pub promotion: String,
    pub owner: String,
    pub until_us: i64,
    pub fate: Fate,
    /// The package of the candidate by that name; empty = there is none.
    pub by: String,
}

/// A gate as it is agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateLine {
    pub gate: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub evidence: Vec<String>,
}

/// What uses the content, as far as this site can say it; a source that is missing is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blast {
    pub repos: Vec<String>,
    pub trees: Vec<String>,
    pub pipelines: Vec<String>,
    /// Images and ISO that pipelines of the site make of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isos: Vec<String>,
    /// Profiles and distros of Cobblers that install from it.
    pub kickstarts: Vec<String>,
    pub unknown: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    pub promotion: String,
    pub os: String,
    pub set: String,
    pub author: String,
    pub change: String,
    /// Of the live trees when the soak began.
    pub base_fp: Option<String>,
    /// sha of the holds and additions that were laid over it; empty = none.
    pub overlay: String,
    /// What would have to be laid over it now.
    pub overlay_wanted: String,
    pub lines: Vec<Line>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additions: Vec<Addition>,
    /// Gates that its lane does not wait for, with their titles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<String>,
    pub moves: Vec<Move>,
    pub gates: Vec<GateLine>,
    /// Sides that must approve.
    pub approvals: Vec<String>,
    pub blast: Blast,
    pub undo: Vec<String>,
    pub not_undone: Vec<String>,
}

impl Plan {
    /// One form for one plan: fields in their order, lists sorted by whoever made them.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = b"quarterdeck-promotion-plan-1\n".to_vec();
        // Every part is plain text and numbers: this cannot fail, and an empty form would match no other.
        out.extend(serde_json::to_vec(self).unwrap_or_default());
        out
    }

    pub fn sha(&self) -> String {
        Sha256::digest(self.canonical()).iter().map(|b| format!("{b:02x}")).collect()
    }

    pub fn sides() -> Vec<String> {
        SIDES.iter().map(|s| (*s).to_owned()).collect()
    }

    /// Every gate passes.
    pub fn passes(&self) -> bool {
        !self.gates.is_empty() && self.gates.iter().all(|g| g.outcome.passes())
    }

    /// What stands against a start beside the gates, in sentences.
    pub fn obstacles(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.moves.is_empty() {
            out.push("the site file names no datacentre for it".to_owned());
        }
        for m in &self.moves {
            match (&m.to, &m.to_fp, &m.from) {
                (None, ..) => out.push(format!("{}: no candidate was taken", m.dc)),
                (Some(id), None, _) => out.push(format!("{}: snapshot {id} cannot be read", m.dc)),
                (_, _, Led::Other(at)) => out.push(format!("{}: {} leads to {at}, which is no snapshot of its root", m.dc, m.pointer)),
                (_, _, Led::Snapshot(from)) if m.over.as_ref().is_some_and(|over| over != from) => out.push(format!(
                    "{}: {} leads to {from} now, and the addition was laid over {}: take it again (promote-soak)",
                    m.dc,
                    m.pointer,
                    m.over.as_deref().unwrap_or_default()
                )),
                (_, _, Led::Unknown) => out.push(format!("{}: nobody knows where {} leads", m.dc, m.pointer)),
                _ => {}
            }
        }
        for a in self.additions.iter().filter(|a| a.fate == Fate::Unknown) {
            out.push(format!("nobody knows whether the candidate has {}, which is served", a.nevra));
        }
        let mut fps: Vec<&str> = self.moves.iter().filter_map(|m| m.to_fp.as_deref()).collect();
        fps.sort_unstable();
        fps.dedup();
        if fps.len() > 1 {
            out.push("the datacentres would serve different content".to_owned());
        }
        if self.overlay != self.overlay_wanted {
            out.push("holds or additions have changed since the candidate was taken: take it again (promote-soak)".to_owned());
        }
        out
    }

    /// It may be approved.
    pub fn ready(&self) -> bool {
        self.passes() && self.obstacles().is_empty()
    }
}

/// Gates as lines of a plan.
pub fn gate_lines(judged: &[Judged]) -> Vec<GateLine> {
    judged.iter().map(|j| GateLine { gate: j.gate.to_string(), outcome: j.outcome.clone(), evidence: j.evidence.clone() }).collect()
}

/// What differs between two plans, a sentence each, at most `most`.
pub fn moved(old: &Plan, new: &Plan, most: usize) -> Vec<String> {
    let mut out = laid(&old.lines, &new.lines);
    // Told in words, holds are not told again as digests and fields.
    let bare = |p: &Plan| match out.is_empty() {
        true => p.clone(),
        false => Plan { lines: Vec::new(), overlay_wanted: String::new(), ..p.clone() },
    };
    let (a, b) = (serde_json::to_value(bare(old)).unwrap_or_default(), serde_json::to_value(bare(new)).unwrap_or_default());
    differ("", &a, &b, &mut out);
    let more = out.len().saturating_sub(most);
    out.truncate(most);
    if more > 0 {
        out.push(format!("and {more} more"));
    }
    out
}

/// What is held or added now and was not, and the other way round.
fn laid(old: &[Line], new: &[Line]) -> Vec<String> {
    let named = |l: &Line| if l.nevra.is_empty() { l.package.clone() } else { l.nevra.clone() };
    let told = |l: &Line, how: &str| format!("holds: {} of {} {how} ({}: {})", l.kind, named(l), l.owner, l.reason);
    let came = new.iter().filter(|l| !old.contains(l)).map(|l| match old.iter().any(|o| o.id == l.id) {
        true => told(l, "was changed"),
        false => told(l, "is new"),
    });
    let went = old.iter().filter(|l| !new.iter().any(|n| n.id == l.id)).map(|l| told(l, "counts no more"));
    came.chain(went).collect()
}

fn differ(at: &str, a: &Value, b: &Value, out: &mut Vec<String>) {
    let join = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match (a, b) {
        _ if a == b => {}
        (Value::Object(x), Value::Object(y)) => {
            for key in x.keys().chain(y.keys().filter(|k| !x.contains_key(*k))) {
                differ(&join(key), x.get(key).unwrap_or(&Value::Null), y.get(key).unwrap_or(&Value::Null), out);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() && x.iter().chain(y).all(Value::is_object) => {
            for (i, (p, q)) in x.iter().zip(y).enumerate() {
                let name = ["dc", "gate", "nevra", "package"].iter().find_map(|k| p.get(k)?.as_str().map(str::to_owned));
                differ(&join(&name.unwrap_or_else(|| i.to_string())), p, q, out);
            }
        }
        _ => out.push(format!("{at}: {} -> {}", short(a), short(b))),
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(s) if s.is_empty() => "none".to_owned(),
        Value::String(s) => s.clone(),
        Value::Null => "unknown".to_owned(),
        Value::Array(list) => list.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    match text.char_indices().nth(160) {
        Some((i, _)) => format!("{}…", &text[..i]),
        None => text,
    }
}
