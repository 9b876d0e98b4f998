//! Holds and out-of-band additions: which packages of what is served are not what upstream's latest says, by whom, why and until when.
//!
//! Both are changes of content: they are laid over a snapshot, never over a tree in place. A hold keeps a package as it is served now; an
//! addition brings one that is not yet promoted. The next promotion absorbs an addition, where its content has it, or drops it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::plan::{Addition, Fate, Line};
use super::{Lane, Promotion};
use crate::domain::actor::Actor;
use crate::domain::nevra::Nevra;
use crate::domain::text_form::text_form;

const DAY_US: i64 = 86_400 * 1_000_000;
/// Nothing is open-ended.
pub const LONGEST_HOLD_US: i64 = 14 * DAY_US;
/// The security lane.
pub const LONGEST_OOB_US: i64 = 2 * DAY_US;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Hold,
    Oob,
}

text_form!(Kind { Hold = "hold", Oob = "oob" });

/// Where a hold or an addition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Active,
    /// Somebody is to look at it again.
    Recheck,
    Expired,
    Ended,
}

text_form!(State { Active = "ACTIVE", Recheck = "RECHECK", Expired = "EXPIRED", Ended = "ENDED" });

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub id: u64,
    pub kind: Kind,
    pub os: String,
    /// Name of the package.
    pub package: String,
    /// The version that is meant: what an addition brings; empty for a hold, which keeps what is served.
    #[serde(default)]
    pub nevra: String,
    /// Of an addition: the repository of the set that has it in its tree, or `REPO=PATH`: the repository that it comes into, and the tree
    /// that has it.
    #[serde(default)]
    pub source: String,
    /// The promotion in the security lane that brings it.
    #[serde(default)]
    pub promotion: String,
    /// Since when every datacentre serves it.
    #[serde(default)]
    pub served_us: Option<i64>,
    /// Who answers for it: a person or a team, as the site calls them.
    pub owner: String,
    pub reason: String,
    pub who: Actor,
    pub made_us: i64,
    pub until_us: i64,
    /// When somebody has to look whether it is still needed.
    pub recheck_us: i64,
    #[serde(default)]
    pub ended_us: Option<i64>,
    /// How it ended: dropped by whom, expired, absorbed by which promotion.
    #[serde(default)]
    pub ended: String,
}

/// What a hold and an addition have alike when somebody asks for one.
#[derive(Debug, Clone)]
pub struct Terms {
    pub os: String,
    pub owner: String,
    pub reason: String,
    pub who: Actor,
    pub made_us: i64,
    pub until_us: i64,
    pub recheck_us: i64,
}

impl Hold {
    /// A new one, which nothing brings yet.
    pub fn new(kind: Kind, package: String, terms: Terms) -> Self {
        let Terms { os, owner, reason, who, made_us, until_us, recheck_us } = terms;
        Self {
            id: 0,
            kind,
            os,
            package,
            nevra: String::new(),
            source: String::new(),
            promotion: String::new(),
            served_us: None,
            owner,
            reason,
            who,
            made_us,
            until_us,
            recheck_us,
            ended_us: None,
            ended: String::new(),
        }
    }

    pub fn state(&self, now_us: i64) -> State {
        match (self.ended_us.is_some(), now_us) {
            (true, _) => State::Ended,
            (_, now) if now >= self.until_us => State::Expired,
            (_, now) if now >= self.recheck_us => State::Recheck,
            _ => State::Active,
        }
    }

    /// It counts: not taken back and not expired.
    pub fn holds(&self, now_us: i64) -> bool {
        self.ended_us.is_none() && now_us < self.until_us
    }

    pub fn line(&self) -> Line {
        Line {
            id: self.id,
            kind: self.kind.as_str().to_owned(),
            package: self.package.clone(),
            nevra: self.nevra.clone(),
            source: self.source.clone(),
            owner: self.owner.clone(),
            reason: self.reason.clone(),
            until_us: self.until_us,
        }
    }
}

/// Why a hold cannot be made or extended so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("`{0}` cannot be the name of a package")]
    Package(String),
    #[error("it needs {0}")]
    Lacks(&'static str),
    #[error("it would end before it begins")]
    Over,
    #[error("it would last longer than {days} days: nothing is open-ended")]
    TooLong { days: i64 },
    #[error("an addition names the version that it brings: NAME-[EPOCH:]VERSION-RELEASE.ARCH")]
    NoVersion,
    #[error("its recheck lies behind its end")]
    Recheck,
}

/// Whether a text can be a package's name: what rpm allows, and nothing that a pattern or a path could be.
pub fn package_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'))
}

/// The rules of every hold.
pub fn check(hold: &Hold) -> Result<(), Unfit> {
    if !package_name(&hold.package) {
        return Err(Unfit::Package(hold.package.chars().take(100).collect()));
    }
    if hold.owner.trim().is_empty() {
        return Err(Unfit::Lacks("an owner"));
    }
    if hold.reason.trim().is_empty() {
        return Err(Unfit::Lacks("a reason"));
    }
    if hold.kind == Kind::Oob && (hold.source.is_empty() || !Nevra::parse(&hold.nevra).is_ok_and(|n| n.name == hold.package)) {
        return Err(Unfit::NoVersion);
    }
    let longest = if hold.kind == Kind::Oob { LONGEST_OOB_US } else { LONGEST_HOLD_US };
    let length = hold.until_us.saturating_sub(hold.made_us);
    if length <= 0 {
        return Err(Unfit::Over);
    }
    if length > longest {
        return Err(Unfit::TooLong { days: longest / DAY_US });
    }
    if hold.recheck_us > hold.until_us {
        return Err(Unfit::Recheck);
    }
    Ok(())
}

/// What a promotion lays over its snapshots, sorted: the holds that count now, or in the security lane what it brings. An addition whose
/// pointers have begun to move stays in its plan when its time is over.
pub fn lines(all: &[Hold], p: &Promotion, now_us: i64) -> Vec<Line> {
    let counts = |h: &&Hold| match p.lane {
        Lane::Quarter => h.kind == Kind::Hold && h.os == p.os && h.holds(now_us),
        Lane::Oob => h.kind == Kind::Oob && h.promotion == p.id && h.ended_us.is_none() && (h.holds(now_us) || !p.state.is_before_start()),
    };
    let mut out: Vec<Line> = all.iter().filter(counts).map(Hold::line).collect();
    out.sort();
    out
}

/// The newest package of a candidate with the name and architecture of this one.
pub type Has<'a> = &'a dyn Fn(&Nevra) -> Option<Nevra>;

/// Additions that are served when a promotion begins: it absorbs each of them, or drops it. Without `has` nobody knows what the candidate has.
pub fn additions(all: &[Hold], p: &Promotion, has: Option<Has<'_>>) -> Vec<Addition> {
    let before = |at: i64| p.started_us.is_none_or(|started| at < started);
    let served = |h: &&Hold| h.kind == Kind::Oob && h.os == p.os && h.ended_us.is_none() && h.served_us.is_some_and(before);
    let mut out: Vec<Addition> = all
        .iter()
        .filter(|h| p.lane == Lane::Quarter && served(h))
        .map(|h| {
            let wanted = Nevra::parse(&h.nevra).ok();
            let (fate, by) = match (has, wanted) {
                (Some(has), Some(wanted)) => match has(&wanted) {
                    Some(found) if found.cmp_evr(&wanted).is_ge() => (Fate::Absorbed, found.to_string()),
                    Some(older) => (Fate::Dropped, older.to_string()),
                    None => (Fate::Dropped, String::new()),
                },
                _ => (Fate::Unknown, String::new()),
            };
            Addition {
                id: h.id,
                package: h.package.clone(),
                nevra: h.nevra.clone(),
                promotion: h.promotion.clone(),
                owner: h.owner.clone(),
                until_us: h.until_us,
                fate,
                by,
            }
        })
        .collect();
    out.sort_by_key(|a| a.id);
    out
}

/// sha of what is to be laid over a snapshot; empty = nothing. Owners and reasons change nothing of the content.
pub fn overlay(lines: &[Line]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let source = |l: &Line| if l.source.is_empty() { String::new() } else { format!("\t{}", l.source) };
    let mut texts: Vec<String> = lines.iter().map(|l| format!("{}\t{}\t{}{}\n", l.kind, l.package, l.nevra, source(l))).collect();
    texts.sort();
    texts.dedup();
    Sha256::digest(texts.concat().as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}
