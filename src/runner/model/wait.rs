//! What waits for people: what is asked of whom, until when, and the digest over what they approve.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::now::{Now, at_boot};
use crate::base::duration::Span;
use crate::domain::actor::Actor;
use crate::domain::decision::{Decision, Detail, Kind, NewDecision};
use crate::domain::reason::{Asked, Reason};
use crate::pipeline::answers;
use crate::pipeline::plan::{Approve, Plan};
use crate::store::{DecisionEdit, Limit, Note, OpenRun};

/// How long the start of a run waits for its second person.
pub const HOLD: Span = Span::from_secs(86_400);
/// Who may approve a start: those who may start it.
const HOLD_ROLES: [&str; 2] = ["operator", "release-manager"];

/// Something that waits for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The run, or the run and its stage: `nightly#5/approve`.
    pub subject: String,
    /// None = the whole run.
    pub stage: Option<String>,
    pub sha: String,
    pub rules: Approve,
    /// Who asked for it.
    pub asker: Actor,
    pub since: Limit,
    /// sha256 of the plan, where a start waits.
    pub plan: String,
    /// Content sets that must still be what they were.
    pub inputs: BTreeMap<String, String>,
    pub given: Vec<Given>,
}

/// One approval.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    pub who: Actor,
    pub at_us: i64,
    pub answers: IndexMap<String, String>,
    pub single_person: bool,
}

/// The rules of a start that needs a second person.
pub fn hold_rules() -> Approve {
    Approve {
        roles: HOLD_ROLES.iter().map(|r| (*r).to_owned()).collect(),
        quorum: 1,
        not_requester: true,
        expires: HOLD,
        show: Vec::new(),
        ask: Vec::new(),
    }
}

/// The request for a second person, to be written with the run: its subject is filled in where the run has no number yet.
pub fn hold(subject: &str, plan_sha256: &str, inputs: BTreeMap<String, String>, why: &str, now: &Now) -> NewDecision {
    let detail =
        Detail { boot_id: now.boot_id.to_string(), boot_us: now.boot_us, plan: plan_sha256.to_owned(), inputs, ..Detail::default() };
    NewDecision {
        kind: Kind::Request,
        subject: subject.to_owned(),
        sha: sha(&[plan_sha256], &detail.inputs, &[]),
        who: None,
        why: why.to_owned(),
        until_us: Some(now.us.saturating_add_unsigned(HOLD.ms().saturating_mul(1_000))),
        detail,
    }
}

/// The digest by which a plan is known.
pub fn sha_of(plan_json: &str) -> String {
    Sha256::digest(plan_json.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// The request in the note of an act, if it needs a second person.
pub(in crate::runner) fn asked(note: &Note, who: &Actor) -> Option<Wait> {
    let Some(DecisionEdit::Make(new)) = note.decision.as_ref() else { return None };
    (new.kind == Kind::Request).then(|| Wait {
        subject: new.subject.clone(),
        stage: None,
        sha: new.sha.clone(),
        rules: hold_rules(),
        asker: who.clone(),
        since: Limit { us: note.at_us, boot_us: new.detail.boot_us, boot_id: new.detail.boot_id.clone() },
        plan: new.detail.plan.clone(),
        inputs: new.detail.inputs.clone(),
        given: Vec::new(),
    })
}

/// sha256 over each field with its length before it.
pub(super) fn sha(fields: &[&str], inputs: &BTreeMap<String, String>, outputs: &[(&str, &str, &str)]) -> String {
    let mut hash = Sha256::new();
    let mut put = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    put("quarterdeck-approval-1");
    fields.iter().for_each(|f| put(f));
    inputs.iter().for_each(|(set, fp)| {
        put(set);
        put(fp);
    });
    outputs.iter().for_each(|(s, n, v)| [*s, *n, *v].iter().for_each(|t| put(t)));
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

impl Wait {
    /// A request and the approvals of the same sha.
    pub(super) fn of(row: &Decision, stage: Option<String>, rules: Approve, all: &[Decision]) -> Self {
        let given = all.iter().filter(|d| d.kind == Kind::Approve && d.subject == row.subject && d.sha == row.sha).map(|d| Given {
            who: d.who.clone(),
            at_us: d.at_us,
            answers: d.detail.answers.clone().into_iter().collect(),
            single_person: d.detail.single_person,
        });
        Self {
            subject: row.subject.clone(),
            stage,
            sha: row.sha.clone().unwrap_or_default(),
            rules,
            asker: row.who.clone(),
            since: Limit { us: row.at_us, boot_us: row.detail.boot_us, boot_id: row.detail.boot_id.clone() },
            plan: row.detail.plan.clone(),
            inputs: row.detail.inputs.clone(),
            given: given.collect(),
        }
    }

    fn span_us(&self) -> u64 {
        self.rules.expires.ms().saturating_mul(1_000)
    }

    /// Microseconds until it expires, on the boot clock: a wall clock that jumps moves nothing.
    pub fn left_us(&self, now: &Now) -> i64 {
        let end = at_boot(&self.since, self.span_us(), now);
        i64::try_from(end).unwrap_or(i64::MAX).saturating_sub(i64::try_from(now.boot_us).unwrap_or(i64::MAX))
    }

    /// For people, by the wall clock of its beginning.
    pub fn until_us(&self) -> i64 {
        self.since.us.saturating_add_unsigned(self.span_us())
    }

    pub(super) fn names(&self) -> String {
        match self.given.is_empty() {
            true => "nobody".to_owned(),
            false => self.given.iter().map(|g| g.who.name.clone()).collect::<Vec<_>>().join(", "),
        }
    }

    pub(super) fn expired(&self) -> String {
        format!("expired: {} of {} approved ({}) within {}", self.given.len(), self.rules.quorum, self.names(), self.rules.expires)
    }

    pub fn reason(&self) -> Reason {
        let r = &self.rules;
        Reason::Approval(Box::new(Asked {
            stage: self.stage.clone(),
            roles: r.roles.clone(),
            quorum: r.quorum,
            given: self.given.iter().map(|g| g.who.name.clone()).collect(),
            not: if r.not_requester { Some(self.asker.name.clone()) } else { None },
            until_us: self.until_us(),
            sha: self.sha.clone(),
            show: r.show.clone(),
            questions: r
                .ask
                .iter()
                .map(|q| {
                    let answered = self.given.first().and_then(|g| g.answers.get(&q.name));
                    let state = match (answered, &q.default) {
                        (Some(a), _) => format!("; answered `{a}`"),
                        (None, Some(d)) => format!("; `{d}` unless said"),
                        (None, None) => String::new(),
                    };
                    (q.name.clone(), format!("{}{state}", answers::allowed(q)))
                })
                .collect(),
            answered: {
                let said = |name: &str| self.given.first().is_some_and(|g| g.answers.contains_key(name));
                r.ask.iter().filter(|q| q.default.is_some() || said(&q.name)).map(|q| q.name.clone()).collect()
            },
        }))
    }
}

/// What waits for people in an open run, from its rows: the start of the run, and its stages in plan order.
pub fn waits(run: &OpenRun, plan: &Plan) -> Vec<Wait> {
    let name = run.run.to_string();
    let request = |subject: &str| run.decisions.iter().find(|d| d.kind == Kind::Request && d.subject == subject);
    let mut out: Vec<Wait> = request(&name).map(|d| Wait::of(d, None, hold_rules(), &run.decisions)).into_iter().collect();
    for s in &plan.stages {
        let Some(rules) = &s.approve else { continue };
        if let Some(d) = request(&format!("{name}/{}", s.name)) {
            out.push(Wait::of(d, Some(s.name.clone()), rules.clone(), &run.decisions));
        }
    }
    out
}
