//! A promotion: one OS major from what is stable to a candidate, as one object: states, gates, a plan with a sha, holds. Pure: every look,
//! every clock and every person comes in.

pub mod gate;
pub mod hold;
pub mod judge;
pub mod next;
pub mod plan;
pub mod pointer;
pub mod state;
pub mod streak;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::text_form::text_form;
use pointer::Led;
use state::State;

/// Approvals that a start needs: one of each side, and at least one of them not the author.
pub const SIDES: [&str; 2] = ["ops", "security"];
/// Pipelines of its runs: soak, switches, way back, switches of the security lane.
pub const RUNS: [&str; 4] = ["promotion-soak", "quarterly-promotion", "promotion-rollback", "oob-security"];
/// The role of their stages that only the engine decides.
pub const ENGINE: &str = "engine";
/// A promotion that is not started within this is over: microseconds.
pub const EXPIRES_US: i64 = 90 * 86_400 * 1_000_000;
/// An approval that moved nothing within this is over: microseconds.
pub const APPROVED_US: i64 = 14 * 86_400 * 1_000_000;

/// Whether runs of this pipeline belong to a promotion: nobody resumes or replays them beside it.
pub fn owns(pipeline: &str) -> bool {
    RUNS.contains(&pipeline)
}

/// Which way content takes into what is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// A candidate of all that upstream has, through every gate.
    #[default]
    Quarter,
    /// The security lane: what is served, and some packages more. It skips gates, by name, and lasts 48 h.
    Oob,
}

text_form!(Lane { Quarter = "quarter", Oob = "oob" });

impl Lane {
    /// Gates that it does not wait for.
    pub const fn skips(self) -> &'static [gate::Gate] {
        match self {
            Self::Quarter => &[],
            Self::Oob => &gate::LANE_SKIPS,
        }
    }
}

/// The roles of the site that may approve for a side.
pub fn roles_of(side: &str) -> &'static [&'static str] {
    match side {
        "security" => &["security"],
        _ => &["release-manager", "operator"],
    }
}

/// The name of a new promotion: `PR-2026Q2-el9`, then `PR-2026Q2-el9.2` … in the same quarter.
pub fn name(day: jiff::civil::Date, os: &str, taken: impl Fn(&str) -> bool) -> String {
    let first = format!("PR-{:04}Q{}-{os}", day.year(), (day.month() - 1) / 3 + 1);
    let mut id = first.clone();
    let mut n = 1u32;
    while taken(&id) && n < 10_000 {
        n += 1;
        id = format!("{first}.{n}");
    }
    id
}

/// Whether a text has the form of a promotion's name. A run's has a `#`, a pipeline's begins with a lower-case letter.
pub fn is_name(text: &str) -> bool {
    text.strip_prefix("PR-").is_some_and(|rest| {
        !rest.is_empty() && rest.len() <= 100 && rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    })
}

/// What the soak took of one datacentre: a snapshot, and with holds or additions the one that was built of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub dc: String,
    /// Snapshot of the live trees.
    pub base: String,
    pub base_fp: String,
    /// What is to be served: `base`, or what the overlay made of it.
    pub id: String,
    pub fp: String,
}

/// What a pointer led to when the promotion was started, and whether its switch is known to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    pub dc: String,
    pub from: Led,
    pub from_fp: Option<String>,
    #[serde(default)]
    pub switched: bool,
}

/// A gate that people let pass although it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    pub gate: gate::Gate,
    pub who: Actor,
    pub reason: String,
    pub at_us: i64,
    pub until_us: i64,
    /// Who agreed; none = it is only proposed, and counts for nothing.
    pub second: Option<Actor>,
    #[serde(default)]
    pub single_person: bool,
}

impl Waiver {
    pub fn holds(&self, now_us: i64) -> bool {
        (self.second.is_some() || self.single_person) && now_us < self.until_us
    }
}

/// An approval of one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub side: String,
    pub who: Actor,
    pub at_us: i64,
    pub comment: String,
    pub sha: String,
    #[serde(default)]
    pub single_person: bool,
}

impl Approval {
    pub const fn until_us(&self) -> i64 {
        self.at_us.saturating_add(APPROVED_US)
    }

    /// It counts for this plan, now. A clock that was set back makes nothing count that was not given yet.
    pub fn counts(&self, sha: &str, now_us: i64) -> bool {
        self.sha == sha && !sha.is_empty() && now_us < self.until_us()
    }
}

/// A line of its story, for `why` and the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub at_us: i64,
    pub state: State,
    pub who: String,
    pub text: String,
}

/// Work that is decided and not yet a run: written first, so that a kill between the two loses nothing and starts nothing twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub what: Work,
    /// Unique for ever: the run that it makes is known by it.
    pub cause: String,
    pub who: Actor,
    pub reason: String,
    /// Of a soak: take new snapshots, and not those that are there.
    #[serde(default)]
    pub retake: bool,
    /// Its run is there and goes on: the pass of it that had ended when this was decided, so that it is taken up once.
    #[serde(default)]
    pub round: Option<u32>,
}

/// What a run of a promotion does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    Soak,
    Switch,
    Undo,
}

/// The promotion as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    pub id: String,
    pub os: String,
    pub set: String,
    #[serde(default)]
    pub lane: Lane,
    pub state: State,
    pub author: Actor,
    pub reason: String,
    /// Name of the change in the site's own system; empty = none.
    #[serde(default)]
    pub change: String,
    pub created_us: i64,
    /// Raised by each write: two who act at once cannot both win.
    pub version: u64,
    /// sha of the plan as it was computed last; empty = there is none yet.
    #[serde(default)]
    pub sha: String,
    /// Where HALTED goes on.
    #[serde(default)]
    pub halted_in: Option<State>,
    /// When the soak took the candidate.
    #[serde(default)]
    pub soak_us: Option<i64>,
    /// When its pointers began to move.
    #[serde(default)]
    pub started_us: Option<i64>,
    #[serde(default)]
    pub taken: Vec<Taken>,
    /// sha of what the soak that is awaited lays over its snapshots.
    #[serde(default)]
    pub overlay_next: String,
    /// sha of the overlay in `taken`; empty = no hold and no addition.
    #[serde(default)]
    pub overlay: String,
    #[serde(default)]
    pub before: Vec<Before>,
    #[serde(default)]
    pub waivers: Vec<Waiver>,
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// The runs that do its work, newest last of each.
    #[serde(default)]
    pub soak_run: Option<String>,
    #[serde(default)]
    pub run: Option<String>,
    #[serde(default)]
    pub undo_run: Option<String>,
    #[serde(default)]
    pub pending: Option<Pending>,
    /// The run whose end is awaited.
    #[serde(default)]
    pub watching: Option<(Work, String)>,
    /// What moved, where it was sent back to GATED.
    #[serde(default)]
    pub moved: Vec<String>,
    #[serde(default)]
    pub closed_us: Option<i64>,
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// Lines of the story that are kept.
const NOTES: usize = 500;

impl Promotion {
    pub fn new(id: String, os: &str, set: &str, author: Actor, reason: &str, change: &str, now_us: i64) -> Self {
        Self {
            id,
            os: os.to_owned(),
            set: set.to_owned(),
            lane: Lane::Quarter,
            state: State::Draft,
            author,
            reason: reason.to_owned(),
            change: change.to_owned(),
            created_us: now_us,
            version: 0,
            sha: String::new(),
            halted_in: None,
            soak_us: None,
            started_us: None,
            taken: Vec::new(),
            overlay_next: String::new(),
            overlay: String::new(),
            before: Vec::new(),
            waivers: Vec::new(),
            approvals: Vec::new(),
            soak_run: None,
            run: None,
            undo_run: None,
            pending: None,
            watching: None,
            moved: Vec::new(),
            closed_us: None,
            notes: Vec::new(),
        }
    }

    /// What only one that is open may have: an OS major has one promotion, and beside it one addition in the security lane.
    pub fn slot(&self) -> String {
        match self.lane {
            Lane::Quarter => self.os.clone(),
            Lane::Oob => format!("{}+oob", self.os),
        }
    }

    /// Some of its pointers may have moved and others not: nobody else moves any.
    pub fn is_half_way(&self) -> bool {
        self.state == State::Switching || (self.state == State::Halted && self.halted_in == Some(State::Switching))
    }

    /// A run takes back what it has moved.
    pub fn is_going_back(&self) -> bool {
        self.watching.as_ref().is_some_and(|(w, _)| *w == Work::Undo) || self.pending.as_ref().is_some_and(|p| p.what == Work::Undo)
    }

    /// Its pointers have all moved, and what is left is for people: what is served later is not its business any more.
    pub fn is_past_switch(&self) -> bool {
        let past = |s| matches!(s, State::Imaging | State::Waving);
        past(self.state) || (self.state == State::Halted && self.halted_in.is_some_and(past))
    }

    /// Goes where the table of states says, with a line for the story.
    pub fn go(&mut self, act: state::Act, who: &str, text: impl Into<String>, now_us: i64) -> Result<(), state::Refusal> {
        let next = state::next(self.state, act, self.halted_in)?;
        if act == state::Act::Halt {
            self.halted_in = Some(self.state);
        } else if next != State::Halted {
            self.halted_in = None;
        }
        self.state = next;
        self.closed_us = next.is_over().then_some(now_us);
        self.note(who, text, now_us);
        Ok(())
    }

    pub fn note(&mut self, who: &str, text: impl Into<String>, now_us: i64) {
        self.notes.push(Note { at_us: now_us, state: self.state, who: who.to_owned(), text: text.into() });
        let over = self.notes.len().saturating_sub(NOTES);
        self.notes.drain(..over);
    }

    /// Something of it is, or may be, served: there is something to take back.
    pub fn has_switched(&self) -> bool {
        self.before.iter().any(|b| b.switched)
    }

    pub fn taken_of(&self, dc: &str) -> Option<&Taken> {
        self.taken.iter().find(|t| t.dc == dc)
    }

    /// The fingerprint that canaries must have judged: that of the live trees when the soak began.
    pub fn base_fp(&self) -> Option<&str> {
        self.taken.first().map(|t| t.base_fp.as_str())
    }

    /// Approvals of this plan that count now.
    pub fn given<'a>(&'a self, sha: &'a str, now_us: i64) -> impl Iterator<Item = &'a Approval> {
        self.approvals.iter().filter(move |a| a.counts(sha, now_us))
    }

    /// Sides that have not approved this plan.
    pub fn missing(&self, sha: &str, now_us: i64) -> Vec<&'static str> {
        let given: Vec<&Approval> = self.given(sha, now_us).collect();
        if given.iter().any(|a| a.single_person) {
            return Vec::new();
        }
        SIDES.into_iter().filter(|side| !given.iter().any(|a| a.side == *side)).collect()
    }

    /// Whether the approvals of this plan suffice: each side, two people, one of them not the author.
    pub fn approved(&self, sha: &str, now_us: i64) -> bool {
        if sha.is_empty() || !self.missing(sha, now_us).is_empty() {
            return false;
        }
        let given: Vec<&Approval> = self.given(sha, now_us).collect();
        given.iter().any(|a| a.single_person)
            || given.iter().any(|a| super::person::shared(&a.who, &self.author).is_none() && a.who.uid.is_some())
    }
}

#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod tests;
