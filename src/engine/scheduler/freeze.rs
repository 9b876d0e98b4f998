//! Freezes and people: what somebody may still start by hand while a calendar freezes the pipeline.
//!
//! L0 reads, and passes. L1 needs a reason. From L2 on a second person is needed, as for L3. Windows bind only the clock.

use super::calendars::closed;
use crate::api::ApiError;
use crate::config::{Site, calendars};
use crate::domain::level::Level;
use crate::engine::catalog;
use crate::engine::state::Engine;
use crate::pipeline::calendar::Closed;

/// The freeze that holds for a pipeline now. Blocks.
pub fn frozen(engine: &Engine, site: &Site, pipeline: &str) -> Result<Option<Closed>, ApiError> {
    closed_now(engine, site, pipeline, true)
}

/// What closes a pipeline now; with `freezes`, only a freeze. Blocks.
pub fn closed_now(engine: &Engine, site: &Site, pipeline: &str, freezes: bool) -> Result<Option<Closed>, ApiError> {
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    // Most sites have none, and this is asked at every start.
    if calendars::names(dirs, uid)?.is_empty() {
        return Ok(None);
    }
    let catalog = catalog::of_site(dirs, site, uid)?;
    // A run that goes on may be of a pipeline that is in no file any more.
    let Some(file) = catalog::judge(dirs, pipeline, uid, &catalog).ok().and_then(|j| j.file) else { return Ok(None) };
    let mut names: Vec<&str> = file.triggers.iter().flat_map(|t| file.calendars_of(Some(t))).chain(file.calendars_of(None)).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Ok(None);
    }
    let calendars = engine.schedule.calendars.now(dirs, uid, &engine.store, engine.now_us());
    let now = engine.clock.now();
    Ok(names.iter().find_map(|n| closed(&calendars, &[n], now).filter(|c| c.freeze || !freezes)))
}

/// The level that a start of `pipeline` has under what freezes it, or the refusal.
pub fn raised(freeze: Option<&Closed>, pipeline: &str, level: Level, reason: &str) -> Result<Level, ApiError> {
    match (freeze, level) {
        (None, _) | (Some(_), Level::L0) => Ok(level),
        (Some(c), Level::L1) if reason.trim().is_empty() => Err(ApiError::refused(
            format!("`{pipeline}` is {c}"),
            match c.owner.as_str() {
                "" => "mend its file (quarterdeck site check), or say why it cannot wait: --reason TEXT".to_owned(),
                owner => format!("wait, ask {owner}, or say why it cannot wait: --reason TEXT"),
            },
        )),
        (Some(_), Level::L1) => Ok(level),
        (Some(_), Level::L2 | Level::L3) => Ok(Level::L3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_asks_for_more_the_more_is_at_stake() {
        let freeze = Closed {
            calendar: "quarter-end".into(),
            owner: "finance".into(),
            reason: "the books".into(),
            freeze: true,
            until: Some("Mon".into()),
        };
        let of = |level, reason| raised(Some(&freeze), "p", level, reason);
        assert_eq!(of(Level::L0, ""), Ok(Level::L0));
        let e = of(Level::L1, " ").unwrap_err();
        assert!(e.message.contains("quarter-end of finance: the books; until Mon") && e.help.contains("--reason"), "{e:?}");
        let broken =
            Closed { owner: String::new(), reason: "it has no owner".into(), until: Some("its file is mended".into()), ..freeze.clone() };
        let e = raised(Some(&broken), "p", Level::L1, "").unwrap_err();
        assert!(e.message.contains("calendar quarter-end: it has no owner; until") && e.help.starts_with("mend its file"), "{e:?}");
        assert_eq!(of(Level::L1, "CVE"), Ok(Level::L1));
        assert_eq!(of(Level::L2, "CVE"), Ok(Level::L3));
        assert_eq!(raised(None, "p", Level::L2, ""), Ok(Level::L2));
    }
}
