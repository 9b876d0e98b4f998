//! Far ends that the engine asks by itself, and how they answer: `get sources`, and in the status for the first row of every console. What a
//! run or a person has asked for, such as git or the Secret Service, answers to that run and that person, and is told there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::freshness::board::{IDLE_US, RepoBoard, STABLE, TREE, UPSTREAM};
use super::freshness::far_end;
use super::rows::{Row, time};
use super::state::Engine;
use crate::api::types::Source;
use crate::config::Site;
use crate::domain::freshness::Trouble;

pub const SOURCES: &[&str] = &["source", "kind", "at", "state", "answered", "asked", "budget_ms", "error", "places"];

/// A look may come a tenth later than every five minutes.
const BUDGET_US: i64 = IDLE_US + IDLE_US / 10;
/// More far ends than anybody reads.
const MOST: usize = 500;

/// What is known of one far end.
#[derive(Debug, Default)]
struct Seen {
    /// Names that its places have: `upstream`, a datacentre, or how a tree is used.
    names: BTreeSet<String>,
    places: u64,
    answered_us: Option<i64>,
    /// The newest look at one of its places, and what it brought where that was no answer.
    asked_us: i64,
    silent: Option<String>,
}

/// All of them, by name. A directory of this machine is none.
pub fn all(engine: &Engine) -> Vec<Source> {
    let Ok(site) = engine.site() else { return Vec::new() };
    let mut out = engine.freshness.with(|boards| mirrors(&site, boards, engine.now_us()));
    for (name, known) in engine.promotions.uses.known().into_iter().filter(|(n, _)| site.cobblers.contains_key(n)) {
        let silent = !known.silent.is_empty();
        if !silent && known.at_us == 0 {
            continue;
        }
        out.push(Source {
            source: name.clone(),
            kind: "cobbler".into(),
            at: site.cobblers.get(&name).map(|c| far_end(c.url.as_str())).unwrap_or_default(),
            state: if silent { "silent" } else { "answers" }.into(),
            answered: (known.at_us > 0).then(|| time(known.at_us)),
            error: known.silent,
            ..Source::default()
        });
    }
    out.sort_by(|a, b| a.source.cmp(&b.source));
    out.truncate(MOST);
    out
}

/// The same, as rows.
pub fn rows(engine: &Engine) -> Vec<Row> {
    let row = |s: Source| match serde_json::to_value(s) {
        Ok(Value::Object(row)) => row,
        _ => Row::new(),
    };
    all(engine).into_iter().map(row).collect()
}

/// Servers of repositories, from the boards of what is looked at.
fn mirrors(site: &Site, boards: &BTreeMap<String, RepoBoard>, now_us: i64) -> Vec<Source> {
    let mut ends: BTreeMap<String, Seen> = BTreeMap::new();
    for (name, board) in boards {
        let Some(repo) = site.repos.get(name) else { continue };
        let first = repo.metalink.iter().chain(repo.mirrorlist.iter()).chain(repo.upstream.iter()).next();
        let places = repo
            .replicas
            .iter()
            .map(|r| (r.dc.as_str(), r.at.as_str()))
            .chain(first.map(|u| (UPSTREAM, u.as_str())))
            .chain([(TREE, repo.tree.as_str()), (STABLE, repo.stable.as_str())]);
        for (place, configured) in places {
            let seen = board.place(place);
            // What stands still has an upstream that nobody asks.
            if place == UPSTREAM && seen.is_none() && board.looked_us > 0 {
                continue;
            }
            // Of several addresses, the one that was asked.
            let at = seen.map(|p| p.observed.at.as_str()).filter(|a| !a.is_empty()).unwrap_or(configured);
            if !at.starts_with("http") {
                continue;
            }
            let end = ends.entry(far_end(at)).or_default();
            end.names.insert(if matches!(place, TREE | STABLE) { "trees" } else { place }.to_owned());
            end.places += 1;
            let Some(place) = seen else { continue };
            end.answered_us = end.answered_us.max(place.checked_us);
            let silent = match &place.observed.trouble {
                Trouble::Silent(why) => Some(why.clone()),
                _ => None,
            };
            // Of one look at several places, one answer is enough.
            if board.looked_us > end.asked_us || (board.looked_us == end.asked_us && silent.is_none()) {
                (end.asked_us, end.silent) = (board.looked_us, silent);
            }
        }
    }
    let name = |s: &Seen| s.names.iter().next().filter(|_| s.names.len() == 1).cloned();
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    ends.values().filter_map(name).for_each(|n| *used.entry(n).or_default() += 1);
    ends.iter()
        .map(|(at, s)| {
            let stale = s.answered_us.is_some_and(|a| now_us - a > 2 * BUDGET_US);
            let state = match (&s.silent, s.answered_us) {
                (Some(_), _) if s.asked_us > 0 => "silent",
                (_, None) => "unknown",
                _ if stale => "stale",
                _ => "answers",
            };
            Source {
                source: match name(s) {
                    Some(n) if used.get(&n) == Some(&1) => n,
                    Some(n) => format!("{n} {at}"),
                    None => at.clone(),
                },
                kind: "mirror".into(),
                at: at.clone(),
                state: state.into(),
                answered: s.answered_us.map(time),
                asked: (s.asked_us > 0).then(|| time(s.asked_us)),
                budget_ms: u64::try_from(BUDGET_US / 1_000).ok(),
                error: if state == "silent" { s.silent.clone().unwrap_or_default() } else { String::new() },
                places: s.places,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::freshness::board::PlaceBoard;
    use super::*;

    fn site() -> Site {
        let text = "[repos.a]\nupstream = [\"http://up/a/\"]\nreplicas = [\"alder=http://m1/a/\", \"birch=http://m2:81/a/\"]\n\
                    [repos.b]\nupstream = [\"http://up/b/\"]\nreplicas = [\"alder=http://m1/b/\", \"birch=http://m2:81/b/\"]\ntree = \"/srv/b\"\n";
        Site::parse(text).unwrap()
    }

    fn board(looked_us: i64, places: &[(&str, Option<i64>, bool)]) -> RepoBoard {
        let place = |(name, checked_us, silent): &(&str, Option<i64>, bool)| {
            let mut p = PlaceBoard { checked_us: *checked_us, ..PlaceBoard::default() };
            if *silent {
                p.observed.trouble = Trouble::Silent("no connection".into());
            }
            ((*name).to_owned(), p)
        };
        RepoBoard { places: places.iter().map(place).collect(), looked_us, ..RepoBoard::default() }
    }

    fn states(boards: &[(&str, RepoBoard)], now_us: i64) -> Vec<(String, String, u64)> {
        let boards = boards.iter().map(|(n, b)| ((*n).to_owned(), b.clone())).collect();
        mirrors(&site(), &boards, now_us).into_iter().map(|s| (s.source, s.state, s.places)).collect()
    }

    fn said(name: &str, state: &str) -> (String, String, u64) {
        (name.to_owned(), state.to_owned(), 2)
    }

    #[test]
    fn a_server_of_many_places_is_one_source_and_its_newest_look_says_how_it_is() {
        let old = board(10, &[("upstream", Some(10), false), ("alder", Some(10), false), ("birch", Some(10), true)]);
        let new = board(20, &[("upstream", Some(20), false), ("alder", Some(10), true), ("birch", Some(20), false)]);
        let all = states(&[("a", old.clone()), ("b", new.clone())], 30);
        assert_eq!(all, [said("alder", "silent"), said("birch", "answers"), said("upstream", "answers")]);
        // Nothing was asked yet: they are counted, and not as good.
        let none = states(&[("a", board(0, &[])), ("b", board(0, &[]))], 30);
        assert!(none.len() == 3 && none.iter().all(|(_, state, _)| state == "unknown"), "{none:?}");
    }

    #[test]
    fn what_answered_long_ago_is_stale() {
        let all = states(
            &[
                ("a", board(10, &[("upstream", Some(10), false), ("alder", Some(10), false), ("birch", Some(10), false)])),
                ("b", board(10, &[])),
            ],
            11 + 2 * BUDGET_US,
        );
        assert!(all.iter().filter(|(n, ..)| n != "upstream").all(|(_, state, _)| state == "stale"), "{all:?}");
    }
}
