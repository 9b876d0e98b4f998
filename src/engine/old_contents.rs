//! Contents of sets that are forgotten, with their package lists: what no set has come to for long, stands nowhere, and is named by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::blocking::blocking;
use super::content::LOOK;
use super::places;
use super::state::Engine;
use super::versions;
use crate::api::ApiError;
use crate::base::crash;
use crate::config::Site;
use crate::store::kept_contents::SeenContent;
use crate::store::lists::Lists;
use crate::systems::repo::snapshots;

/// A content stays so long after a set last came to it: two quarters, so that a promotion can be compared with the one before the last.
const KEPT_US: i64 = 180 * 86_400_000_000;
/// And so many of each set whatever their age: a clock that is set forward, or an upstream that sleeps for a year, takes no history away.
const NEWEST: usize = 30;

/// What has to stay, whatever its age.
#[derive(Debug, Default)]
struct Needed {
    fps: BTreeSet<String>,
    /// Sets of which nobody can say now what they hold somewhere.
    unknown: BTreeSet<String>,
    /// A place where anything may stand cannot be read.
    blind: bool,
}

/// Rows that go. `rows`: those of a set together, the one that it came to last first.
fn expired(rows: &[SeenContent], needed: &Needed, now_us: i64) -> Vec<SeenContent> {
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    let mut gone = Vec::new();
    for row in rows {
        let n = place.entry(&row.set).or_default();
        *n += 1;
        let old = *n > NEWEST && row.seen_us < now_us - KEPT_US;
        if old && !needed.blind && !needed.unknown.contains(&row.set) && !needed.fps.contains(&row.fp) {
            gone.push(row.clone());
        }
    }
    gone
}

/// Package lists that go: of no row. One of which the row went has to be old too, so that what a kill left between row and file goes the same way.
fn strays(rows: &[SeenContent], lists: &[(String, i64)], needed: &Needed, now_us: i64) -> Vec<String> {
    let known: BTreeSet<&str> = rows.iter().map(|r| r.fp.as_str()).collect();
    let goes = |(fp, written_us): &&(String, i64)| {
        let old = !known.contains(fp.as_str()) && *written_us < now_us - KEPT_US;
        old && !needed.blind && needed.unknown.is_empty() && !needed.fps.contains(fp)
    };
    lists.iter().filter(goes).map(|(fp, _)| fp.clone()).collect()
}

/// Whether what lies below a root of snapshots can be told. An empty directory may be a mount point whose disk is not there.
fn is_legible(root: &Path) -> bool {
    let filled = std::fs::read_dir(root).is_ok_and(|mut d| d.next().is_some());
    let entries = match std::fs::read_dir(root.join("snapshots")) {
        Ok(entries) => entries,
        Err(e) => return filled && e.kind() == std::io::ErrorKind::NotFound,
    };
    // One that says nothing of itself is nobody's; one whose words cannot be read may be anything.
    filled
        && entries.into_iter().all(|e| {
            e.is_ok_and(|e| !e.path().join(".quarterdeck/snapshot.json").try_exists().unwrap_or(true) || snapshots::at(&e.path()).is_some())
        })
}

/// What stands somewhere now: live trees, snapshots, pointers.
fn standing(engine: &Engine, site: &Site) -> Needed {
    let mut out = Needed::default();
    for set in site.content.keys() {
        let own = engine.content.last(set).and_then(|(_, r)| r.fp.known().map(str::to_owned));
        let tables = site.promotion.values().filter(|p| p.set == *set).flat_map(|p| &p.dcs);
        let live = tables.map(|dc| versions::of_dc(engine, set, &dc.name, &dc.trees, own.as_deref()).map(|seen| seen.fp));
        for fp in std::iter::once(own.clone()).chain(live) {
            match fp {
                Some(fp) => drop(out.fps.insert(fp)),
                None => drop(out.unknown.insert(set.clone())),
            }
        }
    }
    out.blind = !site.mirror_roots.iter().all(|dir| std::fs::read_dir(dir).is_ok_and(|mut d| d.next().is_some()));
    for root in places::roots(site) {
        out.blind |= !is_legible(&root.path);
        out.fps.extend(root.held().snapshots.into_iter().map(|s| s.fp));
    }
    out
}

/// Rows, and lists with when they were written.
type Held = (Vec<SeenContent>, Vec<(String, i64)>);

/// Rows and lists as they are now.
fn look(engine: &Engine) -> Result<Held, ApiError> {
    let lists = Lists::new(engine.store.dir());
    let files = lists.find("")?.into_iter().filter_map(|fp| lists.written_us(&fp).map(|at| (fp, at))).collect();
    Ok((engine.store.seen_contents()?, files))
}

/// Forgets what is to be forgotten; how many rows and lists went. Rows go first: a list without a row is found by its age, and a row is
/// never without the list that it was written with.
pub async fn sweep(engine: &Arc<Engine>) -> Result<(usize, usize), ApiError> {
    let now_us = engine.now_us();
    let (rows, lists) = {
        let engine = engine.clone();
        blocking(move || look(&engine)).await?
    };
    let anything = Needed::default();
    // Most rounds end here, and read no tree.
    if expired(&rows, &anything, now_us).is_empty() && strays(&rows, &lists, &anything, now_us).is_empty() {
        return Ok((0, 0));
    }
    let site = {
        let engine = engine.clone();
        blocking(move || engine.site()).await?
    };
    for set in site.content.keys() {
        if engine.content.last(set).is_none() {
            let _ = tokio::time::timeout(LOOK, engine.content.look(set)).await;
        }
    }
    let needed = {
        let engine = engine.clone();
        blocking(move || {
            let mut needed = standing(&engine, &site);
            needed.fps.extend(engine.store.named_contents()?);
            Ok(needed)
        })
        .await?
    };
    if needed.blind || !needed.unknown.is_empty() {
        tracing::info!(sets = ?needed.unknown, roots = needed.blind, "old contents stay: what stands now cannot be read everywhere");
    }
    let gone = engine.store.forget_contents(expired(&rows, &needed, now_us)).await?;
    crash::point("contents.forgotten");
    let engine = engine.clone();
    blocking(move || {
        let (rows, files) = look(&engine)?;
        let (lists, mut removed) = (Lists::new(engine.store.dir()), 0);
        for fp in strays(&rows, &files, &needed, now_us) {
            removed += usize::from(lists.remove(&fp, || Ok(!engine.store.has_content(&fp)?))?);
        }
        Ok((gone, removed))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = 86_400_000_000;
    const NOW: i64 = 1_000 * DAY_US;

    fn row(set: &str, n: usize, days_ago: i64) -> SeenContent {
        SeenContent { set: set.into(), fp: format!("{n:064x}"), seen_us: NOW - days_ago * DAY_US }
    }

    #[test]
    fn a_content_stays_while_it_is_young_or_one_of_the_newest_or_anybody_needs_it() {
        let mut rows: Vec<SeenContent> = (0..NEWEST).map(|n| row("el9", n, 300)).collect();
        rows.extend([row("el9", 100, 170), row("el9", 101, 190), row("el9", 102, 400)]);
        rows.extend([row("el8", 100, 900)]);
        let gone = |needed: &Needed| expired(&rows, needed, NOW).into_iter().map(|r| (r.set, r.fp)).collect::<Vec<_>>();
        let el9 = |n: usize| ("el9".to_owned(), format!("{n:064x}"));
        assert_eq!(gone(&Needed::default()), [el9(101), el9(102)], "an only content stays, however old");
        let some = |n: usize| Needed { fps: BTreeSet::from([format!("{n:064x}")]), ..Needed::default() };
        assert_eq!(gone(&some(102)), [el9(101)]);
        assert_eq!(gone(&Needed { unknown: BTreeSet::from(["el8".to_owned()]), ..Needed::default() }).len(), 2);
        assert!(gone(&Needed { unknown: BTreeSet::from(["el9".to_owned()]), ..Needed::default() }).is_empty());
        assert!(gone(&Needed { blind: true, ..Needed::default() }).is_empty());
    }

    #[test]
    fn a_list_goes_once_no_row_is_left_that_has_it() {
        let rows = [row("el8", 1, 900)];
        let lists: Vec<(String, i64)> = [(1, 900), (2, 900), (3, 10)].map(|(n, days)| (format!("{n:064x}"), NOW - days * DAY_US)).into();
        let gone = |needed: &Needed| strays(&rows, &lists, needed, NOW).len();
        assert_eq!(strays(&rows, &lists, &Needed::default(), NOW), [format!("{:064x}", 2)]);
        assert_eq!(gone(&Needed { fps: BTreeSet::from([format!("{:064x}", 2)]), ..Needed::default() }), 0);
        assert_eq!(gone(&Needed { blind: true, ..Needed::default() }), 0);
        assert_eq!(gone(&Needed { unknown: BTreeSet::from(["el8".to_owned()]), ..Needed::default() }), 0);
    }

    #[test]
    fn a_root_that_cannot_be_read_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        assert!(!is_legible(&root), "it is not there");
        std::fs::create_dir(&root).unwrap();
        assert!(!is_legible(&root), "a mount point without its disk");
        std::fs::create_dir_all(root.join("base9")).unwrap();
        assert!(is_legible(&root), "nothing was ever taken here");
        std::fs::create_dir_all(root.join("snapshots/adopted-20260101")).unwrap();
        assert!(is_legible(&root));
        let words = root.join("snapshots/20260403-ab/.quarterdeck");
        std::fs::create_dir_all(&words).unwrap();
        std::fs::write(words.join("snapshot.json"), "{").unwrap();
        assert!(!is_legible(&root), "a snapshot whose words nobody understands");
    }
}
