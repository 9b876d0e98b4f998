//! What a candidate would take back of fixes that are served: source packages that it has older, and the CVE ids that only the changelog of the
//! served build names. Reads only.

use std::collections::HashSet;

use super::closed;
use super::roots::Dc;
use crate::api::ApiError;
use crate::domain::changelog::between;
use crate::domain::diff::{Change, Side, Source as Changed, diff};
use crate::domain::packages::source_of;
use crate::domain::promotion::Promotion;
use crate::domain::promotion::gate::{Lost, Source};
use crate::domain::promotion::pointer::Led;
use crate::engine::contents::{from_repo, read};
use crate::engine::state::Engine;
use crate::systems::repo::RepoAt;
use crate::systems::repo::list::{read_changelogs, read_list};

/// What the candidate of the first datacentre has older than what is served there: the content is the same in all. Blocks.
pub fn look(engine: &Engine, p: &Promotion, roots: &[Dc], pointer: &str) -> Source<Vec<Lost>> {
    let known = |value| Source::Known { value, at_us: engine.now_us() };
    let Some((dc, taken)) = roots.first().and_then(|dc| Some((dc, p.taken_of(&dc.name)?))) else {
        return Source::Unknown("no candidate was taken yet".into());
    };
    // Once it was started, what was served then.
    let before = p.before.iter().find(|b| b.dc == dc.name).map(|b| &b.from);
    let led = match before {
        Some(from) if dc.led.snapshot() == Some(taken.id.as_str()) => from,
        _ => &dc.led,
    };
    let Some(candidate) = closed::of_snapshot(dc, &taken.id) else {
        return Source::Unknown(format!("snapshot {} cannot be read", taken.id));
    };
    let served = match led {
        Led::Nothing => return known(Vec::new()),
        Led::Snapshot(id) => match closed::of_snapshot(dc, id) {
            Some(repos) => repos,
            None => return Source::Unknown(format!("snapshot {id}, which is served, cannot be read")),
        },
        Led::Directory => {
            candidate.iter().map(|r| RepoAt { name: r.name.clone(), at: format!("{}/{pointer}/{}", dc.root, r.name) }).collect()
        }
        Led::Other(_) | Led::Unknown => return Source::Unknown("nobody knows what is served".into()),
    };
    let key = led.snapshot().and_then(|id| Some((dc.snapshots.get(id)?.fp.clone(), dc.snapshots.get(&taken.id)?.fp.clone())));
    let last = || engine.promotions.lost.lock().ok();
    if let Some(found) = key.as_ref().and_then(|k| last()?.as_ref().filter(|(of, _)| of == k).map(|(_, lost)| lost.clone())) {
        return known(found);
    }
    match lost(&served, &candidate) {
        Ok(found) => {
            if let (Some(key), Some(mut kept)) = (key, last()) {
                *kept = Some((key, found.clone()));
            }
            known(found)
        }
        Err(e) => Source::Unknown(e.message),
    }
}

/// Source packages that go back from `served` to `candidate`. Blocks.
fn lost(served: &[RepoAt], candidate: &[RepoAt]) -> Result<Vec<Lost>, ApiError> {
    let side = |repos: &[RepoAt]| read(async { read_list(repos).await.map(Side::new).map_err(|(name, e)| from_repo(&name, &e)) });
    let (old, new) = (side(served)?, side(candidate)?);
    let all = diff(&old, &new);
    let down: Vec<&Changed> = all.sources.iter().filter(|s| s.change == Change::Down).collect();
    if down.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = |of: fn(&Changed) -> &str| down.iter().map(|s| of(s)).collect::<HashSet<_>>();
    let (was, is) = (wanted(|s| &s.old_rpm), wanted(|s| &s.new_rpm));
    let (was, is) = read(async {
        let fail = |(name, e): (String, _)| from_repo(&name, &e);
        Ok((
            read_changelogs(served, old.list(), &was).await.map_err(fail)?,
            read_changelogs(candidate, new.list(), &is).await.map_err(fail)?,
        ))
    })?;
    let of = |s: &&Changed| {
        let version = source_of(&s.new_rpm).map(|(_, e)| e).unwrap_or_default();
        let found = between(is.get(&s.new_rpm).map(Vec::as_slice), was.get(&s.old_rpm).map(Vec::as_slice), version);
        Lost { source: s.name.clone(), from: s.old.clone(), to: s.new.clone(), known: found.known, cves: found.cves }
    };
    Ok(down.iter().map(of).collect())
}
