//! The way back of a promotion: what speaks against it now, the check before each of its pointers, and what its end means. Taken back is what
//! the promotion has put there, and only that.

use std::sync::Arc;

use super::additions;
use super::roots::{self, Dc};
use super::save::{own, save, site_of, vote};
use super::texts::at_check;
use crate::api::ApiError;
use crate::domain::promotion::Promotion;
use crate::domain::promotion::state::Act;
use crate::domain::rows::{RunRow, StageRow};
use crate::domain::run::{RunState, Verdict};
use crate::engine::blocking::blocking;
use crate::engine::state::Engine;
use crate::store::Save;

/// Why what was switched cannot be taken back as it is now; of one datacentre, or of all. Blocks.
pub fn hindrance(p: &Promotion, roots: &[Dc], only: Option<&str>) -> Option<String> {
    roots.iter().filter(|dc| only.is_none_or(|o| o == dc.name)).find_map(|dc| of_dc(p, dc, only.is_some()))
}

fn of_dc(p: &Promotion, dc: &Dc, now: bool) -> Option<String> {
    let before = p.before.iter().find(|b| b.dc == dc.name)?;
    let to = p.taken_of(&dc.name)?;
    let there = dc.led.snapshot() == Some(to.id.as_str());
    // Nothing of it is there, and nothing was: there is nothing to take back.
    if !there && !before.switched && !now {
        return None;
    }
    if !there && dc.led != before.from {
        let why = if dc.why.is_empty() { String::new() } else { format!(" ({})", dc.why) };
        return Some(format!("{} leads to {}{why}, which is neither the candidate nor what was there before", dc.name, dc.led.words()));
    }
    let id = before.from.snapshot()?;
    match (dc.snapshots.get(id), &before.from_fp) {
        (None, _) => Some(format!("the snapshot {id}, which {} served before, is gone or cannot be read", dc.name)),
        (Some(m), Some(fp)) if m.fp != *fp => {
            Some(format!("the snapshot {id} of {} holds other content than it did when it was served", dc.name))
        }
        _ => None,
    }
}

/// Looks at the run of a way back: answers its checks, takes in its end.
pub async fn undone(engine: &Arc<Engine>, mut p: Promotion, row: &RunRow, stages: &[StageRow]) -> Result<Promotion, ApiError> {
    let (was, now_us) = (p.version, engine.now_us());
    if row.state == RunState::Done {
        p.watching = None;
        let (mut notes, mut holds) = (Vec::new(), Vec::new());
        if row.verdict == Some(Verdict::Success) {
            for b in &mut p.before {
                b.switched = false;
            }
            let text = format!("rolled back by {}", row.run);
            notes.push(own(engine, "promote-rollback", &p, &text));
            let _ = p.go(Act::RollBack, "engine", text, now_us);
            holds = additions::taken_back(engine, &p).await?;
        } else {
            let verdict = row.verdict.map_or("over", Verdict::as_str);
            p.note("engine", format!("not rolled back: {} is {verdict}: {}", row.run, row.detail), now_us);
        }
        return save(engine, Save { notes, holds, ..Save::new(Some(was), p) }).await;
    }
    if let Some((stage, dc)) = at_check(stages) {
        // The pointer must still be where we put it, and what it goes back to must be there; its step compares once more.
        let site = site_of(engine).await?;
        let against = {
            let (p, dc) = (p.clone(), dc.clone());
            blocking(move || Ok(hindrance(&p, &roots::of(roots::table(&site, &p.os)?, &p), Some(&dc)))).await?
        };
        let why = against.clone().unwrap_or_else(|| format!("{dc} leads to the candidate"));
        vote(engine, &row.run, &stage, against.is_none(), &why).await?;
    }
    Ok(p)
}
