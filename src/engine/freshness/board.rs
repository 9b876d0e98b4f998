//! What is known of one repository: each place, the composes of its upstream, and when it is to be looked at again. No effects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::site::Repo;
use crate::domain::freshness::{self, Agreement, Compose, DOUBT_US, Judged, Observed, Rules, Trouble, Up, Verified};
use crate::domain::rows::ObservationRow;
use crate::systems::repo::probe::{Contents, differences};
use crate::wire::http::{Raw, Validators};
use crate::wire::location::Location;

pub const UPSTREAM: &str = "upstream";
pub const TREE: &str = "tree";
pub const STABLE: &str = "stable";

/// Between two looks, microseconds: as a rule, and while something is on its way.
pub const IDLE_US: i64 = 300 * 1_000_000;
const BUSY_US: i64 = 15 * 1_000_000;

/// What is kept of a content that some place has.
#[derive(Debug, Clone)]
pub struct Kept {
    pub keys: Arc<[u64]>,
    pub sample: Arc<[(Location, u64)]>,
}

/// One place of a repository.
#[derive(Debug, Clone, Default)]
pub struct PlaceBoard {
    pub observed: Observed,
    /// The last look that was answered; none since this engine started.
    pub checked_us: Option<i64>,
    /// Since when it has this content, as far as we saw.
    pub changed_us: Option<i64>,
    /// Since when it is in this state, as far as we saw.
    pub since_us: Option<i64>,
    /// The address that the validators belong to.
    pub validators: Option<(String, Validators)>,
    pub sampled_us: Option<i64>,
    /// Its package list is needed again.
    pub reread: bool,
    /// What it said in place of what was asked for, in the look that its trouble is of.
    pub raw: Option<Arc<Raw>>,
}

#[derive(Debug, Clone, Default)]
pub struct RepoBoard {
    pub places: BTreeMap<String, PlaceBoard>,
    /// The last content of upstream that was whole.
    pub whole: Option<Observed>,
    /// Composes of upstream, newest first.
    pub history: Vec<Compose>,
    /// By fingerprint: contents that some place has.
    pub shelf: BTreeMap<String, Kept>,
    pub due_us: i64,
    pub looked_us: i64,
    pub failures: u32,
}

impl RepoBoard {
    /// As the store knows it: `newest` of every place, `past` of the upstream, newest first.
    pub fn remembered(newest: Vec<ObservationRow>, mut past: Vec<ObservationRow>) -> Self {
        past.reverse();
        let whole = past.iter().rev().find(|o| o.observed.is_whole() && o.observed.fp.is_some()).map(|o| o.observed.clone());
        let history = freshness::composes(past.into_iter().map(|o| (o.at_us, o.observed)));
        let place = |o: ObservationRow| {
            let board = PlaceBoard { changed_us: Some(o.at_us), since_us: Some(o.at_us), observed: o.observed, ..PlaceBoard::default() };
            (o.place, board)
        };
        Self { places: newest.into_iter().map(place).collect(), whole, history, ..Self::default() }
    }

    pub fn place(&self, name: &str) -> Option<&PlaceBoard> {
        self.places.get(name)
    }

    pub fn up(&self) -> Up<'_> {
        Up { seen: self.place(UPSTREAM).map(|p| &p.observed), whole: self.whole.as_ref(), history: &self.history }
    }

    /// Puts a content on the shelf.
    pub fn keep(&mut self, contents: &Contents) {
        self.shelf.insert(contents.fp.clone(), Kept { keys: contents.keys.clone(), sample: contents.sample.clone() });
    }

    /// Upstream as it was just seen: a whole content is what others are compared with, and a new one is a compose.
    pub fn upstream_seen(&mut self, o: &Observed, now_us: i64) {
        let (Some(fp), Some(md), true) = (&o.fp, &o.md, o.is_whole()) else { return };
        match self.history.first_mut().filter(|c| c.fp == *fp) {
            Some(first) => {
                first.md.clone_from(md);
                first.newest = o.newest;
            }
            None => self.history.insert(
                0,
                Compose {
                    fp: fp.clone(),
                    md: md.clone(),
                    compose: o.compose.clone(),
                    newest: o.newest,
                    packages: o.packages,
                    seen_us: now_us,
                },
            ),
        }
        self.whole = Some(o.clone());
    }

    /// Counts what each place lacks beside upstream's last whole content. A place whose list is not on the shelf is to be read again.
    pub fn compare(&mut self) {
        let Some((fp, theirs)) = self.whole.as_ref().and_then(|w| w.fp.clone()).map(|fp| (fp.clone(), self.shelf.get(&fp).cloned())) else {
            return;
        };
        let shelf = &self.shelf;
        let mut wanted = false;
        for (name, place) in &mut self.places {
            let o = &mut place.observed;
            let Some(own) = o.fp.clone().filter(|_| name != UPSTREAM) else { continue };
            if own == fp {
                (o.lacking, o.surplus) = (0, 0);
                continue;
            }
            match (shelf.get(&own), &theirs) {
                (Some(ours), Some(theirs)) => (o.lacking, o.surplus) = differences(&ours.keys, &theirs.keys),
                (ours, theirs) => {
                    place.reread |= ours.is_none();
                    wanted |= theirs.is_none();
                }
            }
        }
        if wanted && let Some(up) = self.places.get_mut(UPSTREAM) {
            up.reread = true;
        }
        let held: BTreeSet<&String> = self.places.values().filter_map(|p| p.observed.fp.as_ref()).chain([&fp]).collect();
        let gone: Vec<String> = self.shelf.keys().filter(|k| !held.contains(k)).cloned().collect();
        gone.iter().for_each(|k| drop(self.shelf.remove(k)));
    }

    /// When to look again after a look at `now_us`.
    pub fn plan(&mut self, now_us: i64) {
        let silent = self.places.values().any(|p| matches!(p.observed.trouble, Trouble::Silent(_)));
        self.failures = if silent { self.failures.saturating_add(1) } else { 0 };
        let doubtful = |o: &Observed| o.suspect_us.is_some_and(|s| now_us - s < DOUBT_US);
        let moving =
            self.places.values().any(|p| p.reread || p.observed.held || p.observed.trouble == Trouble::Moved || doubtful(&p.observed));
        let wait = match (moving, silent) {
            (true, _) => BUSY_US,
            (false, true) => (BUSY_US << (self.failures - 1).min(5)).min(IDLE_US),
            (false, false) => IDLE_US,
        };
        // A tenth more or less, the same for all: sites do not ask in step, repositories of one site do.
        let jitter = (now_us / 1_000_000 % 21 - 10) * wait / 100;
        self.due_us = now_us + wait + jitter;
        self.looked_us = now_us;
    }

    /// Nothing was seen later than now, and no look is later than it ever is: where a time says so, the wall clock was set back. `by_us`: by how
    /// much it was set, either way, since this was asked last; a doubt is as old as we saw it, whatever the clock says.
    pub fn by_the_clock(&mut self, now_us: i64, by_us: i64) {
        self.due_us = self.due_us.min(now_us + IDLE_US + IDLE_US / 10);
        self.looked_us = self.looked_us.min(now_us);
        for compose in &mut self.history {
            compose.seen_us = compose.seen_us.min(now_us);
        }
        for place in self.places.values_mut() {
            for t in [&mut place.checked_us, &mut place.changed_us, &mut place.since_us, &mut place.sampled_us] {
                *t = t.map(|t| t.min(now_us));
            }
            place.observed.suspect_us = place.observed.suspect_us.map(|t| t.saturating_add(by_us).min(now_us));
        }
    }

    /// Whether readers would see another thing than before; ages alone are none.
    pub fn differs(&self, other: &Self) -> bool {
        self.places.len() != other.places.len()
            || self.places.iter().any(|(name, p)| {
                other.places.get(name).is_none_or(|q| {
                    q.observed.is_news(&p.observed) || q.checked_us.is_some() != p.checked_us.is_some() || q.changed_us != p.changed_us
                })
            })
    }

    /// The place judged; none where it was never seen.
    pub fn judged(&self, name: &str, verified: Option<&Verified>, rules: &Rules<'_>) -> Option<Judged> {
        let place = self.place(name)?;
        Some(match name {
            UPSTREAM => freshness::judge_upstream(self.up(), rules),
            _ => freshness::judge(&place.observed, self.up(), verified, rules),
        })
    }

    /// How far the datacentres agree.
    pub fn agreement(&self, repo: &Repo) -> Agreement {
        let unknown = Observed::default();
        let held: Vec<(&str, &Observed)> =
            repo.replicas.iter().map(|r| (r.dc.as_str(), self.place(&r.dc).map_or(&unknown, |p| &p.observed))).collect();
        freshness::agreement(&held, self.whole.as_ref().and_then(|w| w.fp.as_deref()))
    }

    /// The label of a content: as its upstream called it when it was seen there.
    pub fn label(&self, o: &Observed) -> String {
        let found = self.history.iter().find(|c| o.fp.as_ref() == Some(&c.fp)).map(|c| c.compose.clone());
        found.filter(|c| !c.is_empty()).unwrap_or_else(|| o.compose.clone())
    }

    /// Packages that latest has and stable has not, and the other way round; none where one of them is not known.
    pub fn drift(&self, latest: &Observed) -> Option<(u64, u64)> {
        let stable = self.place(STABLE)?.observed.fp.as_ref()?;
        let latest = latest.fp.as_ref()?;
        if stable == latest {
            return Some((0, 0));
        }
        Some(differences(&self.shelf.get(stable)?.keys, &self.shelf.get(latest)?.keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(fp: &str) -> Observed {
        Observed { md: Some(format!("m{fp}")), fp: Some(fp.into()), packages: 2, newest: Some(1), ..Observed::default() }
    }

    fn kept(keys: &[u64]) -> Kept {
        Kept { keys: keys.to_vec().into(), sample: Arc::new([]) }
    }

    #[test]
    fn what_a_place_lacks_is_counted_beside_the_last_whole_content() {
        let mut b = RepoBoard::default();
        b.upstream_seen(&held("a"), 1);
        b.upstream_seen(&held("a"), 2);
        b.upstream_seen(&held("b"), 3);
        b.upstream_seen(&Observed { trouble: Trouble::Torn("x".into()), ..held("c") }, 4);
        assert_eq!(b.history.iter().map(|c| c.fp.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        for (name, fp) in [(UPSTREAM, "b"), ("alder", "b"), ("cedar", "a"), ("birch", "z")] {
            b.places.insert(name.into(), PlaceBoard { observed: held(fp), ..PlaceBoard::default() });
        }
        b.shelf = [("a", kept(&[1, 2])), ("b", kept(&[2, 3, 4])), ("old", kept(&[9]))].map(|(k, v)| (k.to_owned(), v)).into();
        b.compare();
        let of = |n: &str| (b.places[n].observed.lacking, b.places[n].observed.surplus, b.places[n].reread);
        assert_eq!((of("cedar"), of("alder"), of("birch")), ((2, 1, false), (0, 0, false), (0, 0, true)));
        assert_eq!(b.shelf.keys().collect::<Vec<_>>(), ["a", "b"], "what no place has any more is not kept");
    }

    #[test]
    fn a_look_is_seldom_but_while_something_is_on_its_way() {
        let wait = |o: Observed| {
            let mut b = RepoBoard::default();
            b.places.insert("alder".into(), PlaceBoard { observed: o, ..PlaceBoard::default() });
            let mut waits = Vec::new();
            for _ in 0..7 {
                b.plan(10_000_000);
                waits.push((b.due_us - 10_000_000) / 1_000_000);
            }
            waits
        };
        assert_eq!(wait(held("a")), [300; 7]);
        assert_eq!(wait(Observed { suspect_us: Some(9_000_000), ..held("a") }), [15; 7]);
        let silent = wait(Observed { trouble: Trouble::Silent("x".into()), ..held("a") });
        assert_eq!(silent, [15, 30, 60, 120, 240, 300, 300], "who does not answer is asked less and less");
    }

    #[test]
    fn a_clock_that_is_set_neither_puts_looks_off_nor_makes_a_doubt_older() {
        const HOUR: i64 = 3_600 * 1_000_000;
        let now = 100 * HOUR;
        let mut b = RepoBoard::default();
        let o = Observed { missing: 1, suspect_us: Some(now - 60_000_000), ..held("a") };
        let times = Some(now);
        b.places.insert(
            "alder".into(),
            PlaceBoard { observed: o, checked_us: times, changed_us: times, since_us: times, sampled_us: times, ..PlaceBoard::default() },
        );
        b.upstream_seen(&held("a"), now);
        b.plan(now);
        let due = b.due_us;
        b.by_the_clock(now, 0);
        assert_eq!(b.due_us, due, "a clock that goes as it should changes nothing");
        // Three hours forward: everything is due, and a push of a minute ago is no older for it.
        b.by_the_clock(now + 3 * HOUR, 3 * HOUR);
        assert!(b.due_us == due && b.places["alder"].observed.suspect_us == Some(now + 3 * HOUR - 60_000_000));
        assert_eq!(b.places["alder"].checked_us, Some(now), "what may be old is not called young");
        // And back, by six.
        b.plan(now + 3 * HOUR);
        let back = now - 3 * HOUR;
        b.by_the_clock(back, -6 * HOUR);
        let p = &b.places["alder"];
        assert!(b.due_us <= back + 2 * IDLE_US && b.looked_us == back && b.history[0].seen_us == back, "{b:?}");
        assert_eq!((p.checked_us, p.sampled_us, p.observed.suspect_us), (Some(back), Some(back), Some(back - 60_000_000)));
    }

    #[test]
    fn what_the_store_knew_is_known_again() {
        let row = |place: &str, fp: &str, at_us, trouble| ObservationRow {
            repo: "r".into(),
            place: place.into(),
            observed: Observed { trouble, ..held(fp) },
            at_us,
        };
        let torn = || Trouble::Torn("t".into());
        let past = vec![row(UPSTREAM, "c", 3, torn()), row(UPSTREAM, "b", 2, Trouble::None), row(UPSTREAM, "a", 1, Trouble::None)];
        let b = RepoBoard::remembered(vec![past[0].clone(), row("alder", "b", 2, Trouble::None)], past);
        assert_eq!(b.whole.as_ref().unwrap().fp.as_deref(), Some("b"));
        assert_eq!(b.history.len(), 2);
        assert!(b.places["alder"].checked_us.is_none(), "what was known is not what is known now");
    }
}
