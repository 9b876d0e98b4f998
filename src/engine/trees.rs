//! `get repos` and `get mirrors`: repositories of the site and their places, with what the last look (`freshness`) and the last
//! `mirror/verify` of each found. Looks at nothing itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::catalog;
use super::freshness::board::RepoBoard;
use super::freshness::rows::{self as fresh, Given};
use super::frozen::frozen;
use super::model::Edit;
use super::rows::{self, Row};
use super::state::Engine;
use crate::api::ApiError;
use crate::api::types::RepoWhy;
use crate::config::Site;
use crate::config::site::Repo;
use crate::domain::freshness::{Light, Verified, rank};
use crate::domain::mirror::{Seen, State};
use crate::domain::promotion::hold::Kind;
use crate::domain::report::Fact;
use crate::wire::address;

pub const REPOS: &[&str] = &[
    "repo",
    "os",
    "state",
    "freshness",
    "light",
    "rank",
    "relation",
    "composes_behind",
    "dcs",
    "compose",
    "changed",
    "sets",
    "pipeline",
    "tree",
    "writer",
    "upstream",
    "packages",
    "size_bytes",
    "behind",
    "missing",
    "short",
    "damaged",
    "extra",
    "look",
    "fp",
    "md",
    "snapshot",
    "stable",
    "stable_compose",
    "stable_since",
    "drift",
    "drift_gone",
    "frozen",
    "upstream_state",
    "upstream_why",
    "upstream_md",
    "why",
    "next",
    "since",
    "checked",
    "detail",
    "run",
    "verified",
    "arch",
    "oob",
    "stable_fp",
    "frozen_until",
    "revision",
    "stable_revision",
    "upstream_key",
    "upstream_signed",
];
pub const MIRRORS: &[&str] = &[
    "repo",
    "dc",
    "os",
    "tree",
    "role",
    "state",
    "freshness",
    "light",
    "composes_behind",
    "compose",
    "changed",
    "packages",
    "size_bytes",
    "behind",
    "surplus",
    "missing",
    "short",
    "sampled",
    "damaged",
    "extra",
    "look",
    "fp",
    "md",
    "snapshot",
    "why",
    "next",
    "since",
    "checked",
    "detail",
    "run",
    "verified",
    "revision",
    "key",
    "signed",
];

/// Facts that are looked at: the newest of each tree is among them unless it is older than so many looks.
const LOOKS: usize = 10_000;

/// A tree of no repository is shown for so long after somebody looked at it: 30 days.
const OTHER_US: i64 = 30 * 86_400 * 1_000_000;

struct Last {
    seen: Seen,
    run: String,
    at_us: i64,
}

/// The rows, and the age of the oldest look among them in milliseconds.
pub fn rows(engine: &Engine, what: &str) -> Result<(Vec<Row>, u64), ApiError> {
    let site = engine.site()?;
    let mut last = newest(engine)?;
    let now = engine.now_us();
    let mut out: Vec<(Row, Option<i64>)> = Vec::new();
    let of_repos = what == "repos";
    let writers = if of_repos { writers(engine, &site) } else { BTreeMap::new() };
    let added = if of_repos { additions(engine, &site)? } else { BTreeMap::new() };
    for name in site.repos.keys() {
        match what {
            "repos" => {
                let (mut row, at) = of_repo(engine, &site, name, &last);
                row.insert("pipeline".into(), json!(writers.get(name)));
                row.insert("oob".into(), json!(added.get(name).copied().unwrap_or(0)));
                out.push((row, at));
            }
            _ => out.extend(of_places(engine, &site, name, &last)),
        }
    }
    if what == "mirrors" {
        // Trees that no repository of the site has: snapshots, pinned names, what somebody looked at by the way.
        for tree in site.repos.values().flat_map(|r| std::iter::once(&r.tree).chain(r.replicas.iter().map(|r| &r.at)).chain([&r.stable])) {
            last.remove(&key(tree));
        }
        // Of these, what nobody has looked at for long is history, and its runs tell it.
        last.retain(|_, l| now - l.at_us < OTHER_US);
        let other = |l: &Last| (row(MIRRORS, json!({"repo": l.seen.repo, "tree": l.seen.tree, "role": "other"}), Some(l)), Some(l.at_us));
        out.extend(last.values().map(other));
    }
    let age = out.iter().filter_map(|(_, at)| *at).map(|at| u64::try_from((now - at) / 1_000).unwrap_or(0)).max();
    Ok((out.into_iter().map(|(row, _)| row).collect(), age.unwrap_or(0)))
}

/// Repository → the pipeline that writes it: the first one with a stage that writes a content set that holds it.
fn writers(engine: &Engine, site: &Site) -> BTreeMap<String, String> {
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let mut out = BTreeMap::new();
    // Files that cannot be read are told where pipelines are.
    let Ok(catalog) = catalog::of_site(dirs, site, uid) else { return out };
    for name in &catalog.pipelines {
        let Ok(judged) = catalog::judge(dirs, name, uid, &catalog) else { continue };
        let sets = judged.file.iter().flat_map(|f| &f.stages).flat_map(|s| &s.writes);
        for repo in sets.filter_map(|set| site.content.get(&set.value)).flat_map(|c| &c.repos) {
            out.entry(repo.clone()).or_insert_with(|| name.clone());
        }
    }
    out
}

/// The rows of one repository, for those who listen.
pub fn edits(engine: &Engine, site: &Site, name: &str) -> Result<Vec<Edit>, ApiError> {
    let last = newest(engine)?;
    let (mut own, _) = of_repo(engine, site, name, &last);
    own.insert("pipeline".into(), json!(writers(engine, site).get(name)));
    own.insert("oob".into(), json!(additions(engine, site)?.get(name).copied().unwrap_or(0)));
    let mut out = vec![Edit::Upsert { table: "repos".into(), id: name.to_owned(), row: own }];
    for (row, _) in of_places(engine, site, name, &last) {
        let place = row.get("dc").and_then(Value::as_str).or(row.get("role").and_then(Value::as_str)).unwrap_or_default().to_owned();
        out.push(Edit::Upsert { table: "mirrors".into(), id: format!("{name} {place}"), row });
    }
    Ok(out)
}

/// `why REPO`: true reasons, place by place. None where the site has no such repository.
pub fn why(engine: &Engine, name: &str) -> Result<Option<RepoWhy>, ApiError> {
    let site = engine.site()?;
    if !site.repos.contains_key(name) {
        return Ok(None);
    }
    let last = newest(engine)?;
    let (own, _) = of_repo(engine, &site, name, &last);
    let places: Vec<Row> = of_places(engine, &site, name, &last).into_iter().map(|(row, _)| row).collect();
    let text = |key: &str| own.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(RepoWhy { repo: name.to_owned(), state: text("freshness"), reasons: fresh::why(&own, &places, &engine.zone()), places }))
}

/// What `doctor` says of the repositories that are looked at: how many, and those that somebody should look at.
pub fn health(engine: &Engine, site: &Site) -> Result<Vec<(String, Light, String)>, ApiError> {
    let last = newest(engine)?;
    let looked = site.repos.iter().filter(|(_, r)| !r.replicas.is_empty());
    Ok(looked
        .map(|(name, _)| {
            let (row, _) = of_repo(engine, site, name, &last);
            let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            (name.clone(), Light::named(&text("light")), format!("{}: {}", text("freshness"), text("why")))
        })
        .collect())
}

fn given<'a>(engine: &Engine, site: &'a Site, name: &'a str, last: &'a BTreeMap<String, Last>) -> Option<(Given<'a>, RepoBoard)> {
    let repo = site.repos.get(name)?;
    let board = engine.freshness.of(name)?;
    let today = engine.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let verified = |at: &str| {
        last.get(&key(at)).map(|l| Verified {
            md: l.seen.md.clone(),
            missing: l.seen.missing,
            short: l.seen.short,
            damaged: l.seen.damaged,
        })
    };
    let verified = places(repo).into_iter().filter_map(|(place, _, at)| Some((place.to_owned(), verified(at)?))).collect();
    let frozen = repo.standstill(today).or_else(|| frozen(&engine.store, name, engine.now_us()).map(|f| f.text));
    Some((Given { name, repo, now_us: engine.now_us(), frozen, verified }, board))
}

/// Place, role and address.
fn places(repo: &Repo) -> Vec<(&str, &'static str, &str)> {
    let mut out = Vec::new();
    if !repo.tree.is_empty() {
        out.push(("tree", "tree", repo.tree.as_str()));
    }
    out.extend(repo.replicas.iter().map(|r| (r.dc.as_str(), "replica", r.at.as_str())));
    if !repo.stable.is_empty() {
        out.push(("stable", "stable", repo.stable.as_str()));
    }
    out
}

pub fn os(site: &Site, name: &str) -> String {
    let own = site.repos.get(name).map(|r| r.os.clone()).filter(|os| !os.is_empty());
    own.or_else(|| site.content.values().find(|c| c.repos.iter().any(|r| r == name)).map(|c| c.os.clone())).unwrap_or_default()
}

/// Architectures as addresses of repositories write them.
const ARCHS: [&str; 8] = ["x86_64", "aarch64", "ppc64le", "s390x", "i686", "armv7hl", "riscv64", "noarch"];

/// The architecture that the address of a repository names, where its packages were not read.
fn arch_of_address(repo: &Repo) -> Option<&'static str> {
    let all = repo.upstream.iter().chain([&repo.tree]).chain(repo.replicas.iter().map(|r| &r.at));
    all.flat_map(|at| at.split('/')).find_map(|part| ARCHS.into_iter().find(|a| *a == part))
}

/// Whether an out-of-band addition with this `source` comes into the repository: by its name in the set, under which `stable` lies too.
pub fn adds_to(site: &Site, name: &str, source: &str) -> bool {
    let into = source.split_once('=').map_or(source, |(repo, _)| repo);
    let served = site.repos.get(name).map(|r| r.stable.trim_end_matches('/').rsplit('/').next().unwrap_or_default());
    !into.is_empty() && (into == name || served == Some(into))
}

/// Additions that are served beside what was promoted, for each repository that has some.
fn additions(engine: &Engine, site: &Site) -> Result<BTreeMap<String, u64>, ApiError> {
    let all = engine.store.holds()?;
    let served = all.iter().filter(|h| h.kind == Kind::Oob && h.served_us.is_some() && h.ended_us.is_none());
    let mut out = BTreeMap::new();
    for h in served {
        for name in site.repos.keys().filter(|n| os(site, n) == h.os && adds_to(site, n, &h.source)) {
            *out.entry(name.clone()).or_default() += 1;
        }
    }
    Ok(out)
}

/// The row of a repository, and when it was looked at.
fn of_repo(engine: &Engine, site: &Site, name: &str, last: &BTreeMap<String, Last>) -> (Row, Option<i64>) {
    let Some(repo) = site.repos.get(name) else { return (Row::new(), None) };
    let sets: Vec<&str> = site.content.iter().filter(|(_, c)| c.repos.iter().any(|r| r == name)).map(|(s, _)| s.as_str()).collect();
    let upstream: Vec<String> =
        repo.upstream.iter().chain(&repo.metalink).chain(&repo.mirrorlist).map(|u| address::shown_text(u)).collect();
    let own = json!({
        "repo": name, "os": os(site, name), "sets": sets.join(" "), "tree": repo.tree, "writer": repo.writer, "upstream": upstream.join(" "),
    });
    let looked = last.get(&key(&repo.tree));
    let mut row = row(REPOS, own, looked);
    let mut at = looked.map(|l| l.at_us);
    if let Some((given, board)) = given(engine, site, name, last) {
        row.extend(fresh::repo(&given, &board));
        at = board.places.values().filter_map(|p| p.checked_us).min().or(at);
    }
    if let Some(f) = frozen(&engine.store, name, engine.now_us()) {
        row.insert("frozen_until".into(), json!(rows::time(f.until_us)));
        // One that nobody looks at stands still all the same.
        if row.get("frozen").is_none_or(Value::is_null) {
            row.insert("frozen".into(), json!(f.text));
            for (field, text) in [("state", "frozen"), ("freshness", "frozen"), ("relation", "frozen"), ("detail", f.text.as_str())] {
                row.insert(field.into(), json!(text));
            }
        }
    }
    if row.get("arch").is_none_or(Value::is_null) {
        row.insert("arch".into(), json!(arch_of_address(repo)));
    }
    (row, at)
}

/// The rows of a repository's places, and when each was looked at.
fn of_places(engine: &Engine, site: &Site, name: &str, last: &BTreeMap<String, Last>) -> Vec<(Row, Option<i64>)> {
    let Some(repo) = site.repos.get(name) else { return Vec::new() };
    let given = given(engine, site, name, last);
    let mut out = Vec::new();
    if given.is_some() && repo.has_upstream() {
        let at = repo.upstream.first().or(repo.metalink.as_ref()).or(repo.mirrorlist.as_ref()).map(|u| address::shown_text(u));
        out.push((json!({"repo": name, "tree": at, "role": "upstream"}), "upstream", None));
    }
    for (place, role, at) in places(repo) {
        let dc = (role == "replica").then_some(place);
        let own = json!({"repo": name, "dc": dc, "tree": address::shown_text(at), "role": role});
        // A place that nobody looks at is no row, but for those that people verify.
        if given.is_some() || role != "stable" {
            out.push((own, place, last.get(&key(at))));
        }
    }
    let os = os(site, name);
    out.into_iter()
        .map(|(own, place, looked)| {
            let mut row = row(MIRRORS, own, looked);
            row.insert("os".into(), json!(os));
            let mut at = looked.map(|l| l.at_us);
            if let Some((given, board)) = &given {
                row.extend(fresh::mirror(given, board, place));
                at = board.place(place).and_then(|p| p.checked_us).or(at);
            }
            (row, at)
        })
        .collect()
}

fn key(tree: &str) -> String {
    address::shown_text(tree).trim_end_matches('/').to_owned()
}

/// The newest look at each tree.
fn newest(engine: &Engine) -> Result<BTreeMap<String, Last>, ApiError> {
    let mut out = BTreeMap::new();
    for fact in engine.store.facts_of_kind("mirror", LOOKS)? {
        if let Ok(Fact::Mirror(seen)) = serde_json::from_str(&fact.json) {
            out.entry(key(&seen.tree)).or_insert(Last { seen, run: fact.run.to_string(), at_us: fact.at_us });
        }
    }
    Ok(out)
}

/// A row with every column of its table, in their order; null = not known.
fn row(columns: &[&str], own: Value, last: Option<&Last>) -> Row {
    let seen = last.map(|l| &l.seen);
    let n = |f: fn(&Seen) -> u64| seen.map(f);
    let found = json!({
        "rank": 250 + u64::from(rank(seen.map_or(State::Unknown, |s| s.state))), "state": seen.map_or(State::Unknown, |s| s.state), "freshness": seen.map_or(State::Unknown, |s| s.state),
        "packages": n(|s| s.packages), "size_bytes": n(|s| s.bytes), "behind": n(|s| s.behind), "missing": n(|s| s.missing),
        "short": n(|s| s.short), "damaged": n(|s| s.damaged), "extra": n(|s| s.extra),
        "look": seen.map(|s| s.look), "fp": seen.and_then(|s| s.fp.as_deref()), "md": seen.and_then(|s| s.md.as_deref()),
        "snapshot": seen.and_then(|s| s.snapshot.as_deref()),
        "detail": seen.map_or("never looked at: mirror/verify", |s| s.detail.as_str()),
        "run": last.map(|l| l.run.as_str()), "verified": last.map(|l| rows::time(l.at_us)),
    });
    let mut out = Row::new();
    for column in columns {
        let value = own.get(column).or_else(|| found.get(column)).cloned().unwrap_or(Value::Null);
        out.insert((*column).to_owned(), value);
    }
    out
}
