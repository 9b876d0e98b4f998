//! Decisions: what people have settled about a subject, with who, why and until when. Rows of one table, written through the guard.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::text_form::text_form;

/// What was decided. Later kinds (exception) are added here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Somebody looks after something that is wrong. It changes nothing but who is asked about it.
    Ack,
    /// A person agrees with what the request of the same subject asks for.
    Approve,
    /// A person refuses it: the request ends.
    Deny,
    /// A gate of a promotion passes although it does not.
    Waive,
    /// A package is not what upstream says: it stays, or comes before the next promotion.
    Hold,
    /// A promotion is ended before it began.
    Veto,
    /// Nothing new starts.
    Drain,
    /// A repository is not to move: its syncs do nothing, and it is compared with nobody.
    Freeze,
    /// A run is kept whatever retention says.
    Pin,
    /// Something waits for people: a stage of a run, or a whole run that needs a second person.
    Request,
}

text_form!(Kind {
    Ack = "ack",
    Approve = "approve",
    Deny = "deny",
    Drain = "drain",
    Freeze = "freeze",
    Hold = "hold",
    Pin = "pin",
    Request = "request",
    Veto = "veto",
    Waive = "waive",
});

/// What belongs to a decision beside its words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Detail {
    /// Of an approval: question to answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, String>,
    /// It stands for all that were needed: the site lets one person pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_person: bool,
    /// Of a waiver: it counts for nothing before a second person says the same, in a row of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proposed: bool,
    /// Of a request: the boot, and its clock, at which it began.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub boot_us: u64,
    /// sha256 of the plan that is to be approved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan: String,
    /// Content set to fingerprint, as it was read before the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// Of an ack: what was wrong then, as `domain::problem` calls it. What goes wrong later is not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// One decision. Times are microseconds since 1970 UTC; `ended_us` = taken back, void, or, of a request, settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub id: u64,
    pub kind: Kind,
    /// `engine`, a run (`nightly#5`), or a stage of one (`nightly#5/approve`).
    pub subject: String,
    /// Of what was approved: plan and inputs. Another sha is another subject.
    pub sha: Option<String>,
    pub who: Actor,
    pub why: String,
    pub at_us: i64,
    pub until_us: Option<i64>,
    pub ended_us: Option<i64>,
    pub detail: Detail,
}

/// One that is yet to be written; who and when are its entry's, unless somebody else asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDecision {
    pub kind: Kind,
    pub subject: String,
    pub sha: String,
    pub who: Option<Actor>,
    pub why: String,
    pub until_us: Option<i64>,
    pub detail: Detail,
}
