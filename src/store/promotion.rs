//! Promotions, their plans and gates, and holds. A promotion is written by compare-and-set, with its audit entry and decision.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::audit::{self, Note};
use super::rows::all;
use super::{Store, StoreError};
use crate::domain::promotion::Promotion;
use crate::domain::promotion::hold::Hold;

/// A version of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    pub version: u64,
    pub sha: String,
    pub json: String,
    pub at_us: i64,
    /// What it was computed for.
    pub why: String,
}

/// A gate as it was judged for a version of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRow {
    pub gate: String,
    pub result: String,
    pub detail: String,
    /// JSON list.
    pub evidence: String,
}

/// A promotion on its way into the store; `version` of it is set here.
#[derive(Debug, Clone)]
pub struct Save {
    /// The version that it was made from; none = it is new.
    pub was: Option<u64>,
    pub promotion: Promotion,
    /// Written where its sha is not that of the newest one.
    pub plan: Option<PlanRow>,
    pub gates: Vec<GateRow>,
    /// Approvals of plans before this one are over.
    pub void: bool,
    pub notes: Vec<Note>,
    /// Holds that begin with it (their id is 0), end with it, or hold again because it was taken back.
    pub holds: Vec<Hold>,
}

impl Save {
    pub fn new(was: Option<u64>, promotion: Promotion) -> Self {
        Self { was, promotion, plan: None, gates: Vec::new(), void: false, notes: Vec::new(), holds: Vec::new() }
    }
}

/// A hold on its way into the store. Its id is set where it is new (0).
#[derive(Debug, Clone)]
pub struct HoldSave {
    pub hold: Hold,
    /// End and `until` that it was made from; none = it is new.
    pub was_until_us: Option<i64>,
    pub note: Note,
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Database(e.to_string()))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Database(format!("{what} cannot be read: {e}; was it made by a newer version?")))
}

fn save(tx: &Transaction<'_>, s: Save) -> Result<Promotion, StoreError> {
    let mut p = s.promotion;
    p.version = s.was.map_or(1, |v| v + 1);
    let open = !p.state.is_over();
    if let Some(other) = tx
        .prepare_cached("SELECT id FROM promotion WHERE os = ?1 AND is_open AND id != ?2")?
        .query_row(params![p.slot(), p.id], |r| r.get::<_, String>(0))
        .optional()?
        .filter(|_| open)
    {
        return Err(StoreError::Stale { what: format!("{other} of {} is open, and {}", p.os, p.id) });
    }
    let text = json(&p)?;
    let n = match s.was {
        None => tx
            .prepare_cached(
                "INSERT OR IGNORE INTO promotion (id, os, state, is_open, version, created_us, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![p.id, p.slot(), p.state.as_str(), open, p.version, p.created_us, text])?,
        Some(was) => tx
            .prepare_cached("UPDATE promotion SET state = ?2, is_open = ?3, version = ?4, json = ?5 WHERE id = ?1 AND version = ?6")?
            .execute(params![p.id, p.state.as_str(), open, p.version, text, was])?,
    };
    if n != 1 {
        return Err(StoreError::Stale { what: p.id });
    }
    if let Some(plan) = s.plan {
        let last: Option<(u64, String)> = tx
            .prepare_cached("SELECT version, sha FROM promotion_plan WHERE promotion = ?1 ORDER BY version DESC LIMIT 1")?
            .query_row([&p.id], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        if last.as_ref().is_none_or(|(_, sha)| *sha != plan.sha) {
            let version = last.map_or(1, |(v, _)| v + 1);
            tx.prepare_cached("INSERT INTO promotion_plan (promotion, version, sha, json, at_us, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![p.id, version, plan.sha, plan.json, plan.at_us, plan.why])?;
            for g in s.gates {
                tx.prepare_cached(
                    "INSERT INTO gate_result (promotion, version, gate, result, detail, evidence) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![p.id, version, g.gate, g.result, g.detail, g.evidence])?;
            }
        }
    }
    let at_us = s.notes.first().map_or(p.created_us, |n| n.at_us);
    if s.void {
        audit::close(tx, &p.id, &["approve"], at_us)?;
    }
    for note in s.notes {
        audit::seal(tx, note)?;
    }
    for hold in s.holds {
        if hold.id == 0 {
            new_hold(tx, hold)?;
            continue;
        }
        // Somebody may have made the same one anew in the meantime: then that one counts.
        tx.prepare_cached("UPDATE OR IGNORE hold SET ended_us = ?2, json = ?3 WHERE id = ?1")?.execute(params![
            hold.id,
            hold.ended_us,
            json(&hold)?
        ])?;
    }
    crate::base::crash::point("promotion.saved");
    Ok(p)
}

fn new_hold(tx: &Transaction<'_>, mut hold: Hold) -> Result<Hold, StoreError> {
    let open = tx
        .prepare_cached("SELECT 1 FROM hold WHERE os = ?1 AND kind = ?2 AND package = ?3 AND ended_us IS NULL")?
        .exists(params![hold.os, hold.kind.as_str(), hold.package])?;
    if open {
        return Err(StoreError::Stale { what: format!("{} of {} on {}", hold.kind.as_str(), hold.package, hold.os) });
    }
    tx.prepare_cached("INSERT INTO hold (os, kind, package, json) VALUES (?1, ?2, ?3, '{}')")?.execute(params![
        hold.os,
        hold.kind.as_str(),
        hold.package
    ])?;
    hold.id = u64::try_from(tx.last_insert_rowid()).unwrap_or(0);
    tx.prepare_cached("UPDATE hold SET json = ?2 WHERE id = ?1")?.execute(params![hold.id, json(&hold)?])?;
    Ok(hold)
}

fn put_hold(tx: &Transaction<'_>, s: HoldSave) -> Result<Hold, StoreError> {
    let mut hold = s.hold;
    match s.was_until_us {
        None => hold = new_hold(tx, hold)?,
        Some(until) => {
            let n = tx
                .prepare_cached(
                    "UPDATE hold SET ended_us = ?2, json = ?3 WHERE id = ?1 AND ended_us IS NULL AND json_extract(json, '$.until_us') = ?4",
                )?
                .execute(params![hold.id, hold.ended_us, json(&hold)?, until])?;
            if n != 1 {
                return Err(StoreError::Stale { what: format!("hold of {} on {}", hold.package, hold.os) });
            }
        }
    }
    audit::seal(tx, s.note)?;
    Ok(hold)
}

fn all_holds(c: &Connection) -> Result<Vec<Hold>, StoreError> {
    let texts: Vec<String> = all(c, "SELECT json FROM hold ORDER BY id DESC", [], |r| r.get(0))?;
    texts.iter().map(|t| parse(t, "a hold")).collect()
}

impl Store {
    /// Writes a promotion with all that belongs to it, or nothing. `Stale`: somebody else was faster, or another one of its OS is open.
    pub async fn save_promotion(&self, save_it: Save) -> Result<Promotion, StoreError> {
        self.write(move |tx| save(tx, save_it)).await
    }

    /// All promotions, newest first.
    pub fn promotions(&self) -> Result<Vec<Promotion>, StoreError> {
        self.read(|c| {
            let texts: Vec<String> = all(c, "SELECT json FROM promotion ORDER BY created_us DESC, rowid DESC", [], |r| r.get(0))?;
            texts.iter().map(|t| parse(t, "a promotion")).collect()
        })
    }

    pub fn promotion(&self, id: &str) -> Result<Option<Promotion>, StoreError> {
        let id = id.to_owned();
        self.read(move |c| {
            let text: Option<String> =
                c.prepare_cached("SELECT json FROM promotion WHERE id = ?1")?.query_row([&id], |r| r.get(0)).optional()?;
            text.map(|t| parse(&t, &id)).transpose()
        })
    }

    /// Versions of its plan, oldest first.
    pub fn promotion_plans(&self, id: &str) -> Result<Vec<PlanRow>, StoreError> {
        let id = id.to_owned();
        self.read(move |c| {
            all(c, "SELECT version, sha, json, at_us, why FROM promotion_plan WHERE promotion = ?1 ORDER BY version", [id], |r| {
                Ok(PlanRow { version: r.get(0)?, sha: r.get(1)?, json: r.get(2)?, at_us: r.get(3)?, why: r.get(4)? })
            })
        })
    }

    /// Gates as they were judged for each version of the plan.
    pub fn gate_results(&self, id: &str) -> Result<Vec<(u64, GateRow)>, StoreError> {
        let id = id.to_owned();
        self.read(move |c| {
            all(
                c,
                "SELECT version, gate, result, detail, evidence FROM gate_result WHERE promotion = ?1 ORDER BY version, length(gate), gate",
                [id],
                |r| Ok((r.get(0)?, GateRow { gate: r.get(1)?, result: r.get(2)?, detail: r.get(3)?, evidence: r.get(4)? })),
            )
        })
    }

    /// Every hold and addition, newest first; ended ones too.
    pub fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        self.read(all_holds)
    }

    /// Makes, extends or ends one, with its entry. `Stale`: there is one already, or somebody else changed it.
    pub async fn save_hold(&self, hold: HoldSave) -> Result<Hold, StoreError> {
        self.write(move |tx| put_hold(tx, hold)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Actor;
    use crate::domain::promotion::state::{Act, State};
    use crate::store::OpenOptionsStore;
    use std::os::unix::fs::PermissionsExt;

    fn store(dir: &std::path::Path) -> Store {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        Store::open(&OpenOptionsStore { dir: dir.into(), network_state: false, now_us: 1, boot_id: "b".into() }).unwrap()
    }

    fn pr(id: &str) -> Promotion {
        Promotion::new(id.into(), "el9", "s", Actor::engine("t"), "r", "", 1)
    }

    #[tokio::test]
    async fn two_who_act_at_once_cannot_both_win_and_one_of_an_os_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path());
        let p = s.save_promotion(Save::new(None, pr("PR-1"))).await.unwrap();
        assert!(matches!(s.save_promotion(Save::new(None, pr("PR-2"))).await, Err(StoreError::Stale { what }) if what.contains("PR-1")));
        let mut a = p.clone();
        a.go(Act::Pin, "a", "x", 2).unwrap();
        let mut b = p.clone();
        b.go(Act::Veto, "b", "x", 2).unwrap();
        let (a, b) = tokio::join!(s.save_promotion(Save::new(Some(1), a)), s.save_promotion(Save::new(Some(1), b)));
        assert!(a.is_ok() != b.is_ok());
        let now = s.promotion("PR-1").unwrap().unwrap();
        assert_eq!(now.version, 2);
        let mut end = now.clone();
        if end.state == State::Gated {
            end.go(Act::Veto, "b", "x", 3).unwrap();
            s.save_promotion(Save::new(Some(2), end)).await.unwrap();
        }
        s.save_promotion(Save::new(None, pr("PR-2"))).await.unwrap();
        assert_eq!(s.promotions().unwrap().len(), 2);
        // A way back out of the old one would make it open beside the new one.
        let mut again = s.promotion("PR-1").unwrap().unwrap();
        again.state = State::Halted;
        assert!(s.save_promotion(Save::new(Some(again.version), again)).await.is_err());
    }

    #[tokio::test]
    async fn a_plan_is_kept_once_with_its_gates() {
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path());
        let mut p = s.save_promotion(Save::new(None, pr("PR-1"))).await.unwrap();
        for sha in ["a", "a", "b", "a"] {
            let plan = PlanRow { version: 0, sha: sha.into(), json: "{}".into(), at_us: 1, why: "w".into() };
            let gates = vec![GateRow { gate: "G10".into(), result: "OK".into(), detail: String::new(), evidence: "[]".into() }];
            p = s.save_promotion(Save { plan: Some(plan), gates, ..Save::new(Some(p.version), p) }).await.unwrap();
        }
        let shas: Vec<String> = s.promotion_plans("PR-1").unwrap().into_iter().map(|p| p.sha).collect();
        assert_eq!(shas, ["a", "b", "a"]);
        assert_eq!(s.gate_results("PR-1").unwrap().iter().map(|(v, _)| *v).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
