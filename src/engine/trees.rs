//! `get repos` and `get mirrors`: repositories of the site and their trees, with what the last `mirror/verify` of each found. Looks at no tree.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rows::{self, Row};
use super::state::{Engine, from_store};
use crate::api::ApiError;
use crate::domain::mirror::{Seen, State};
use crate::domain::report::Fact;
use crate::wire::address;

pub const REPOS: &[&str] = &[
    "repo",
    "state",
    "sets",
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
    "detail",
    "run",
    "verified",
];
pub const MIRRORS: &[&str] = &[
    "repo",
    "tree",
    "role",
    "state",
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
    "detail",
    "run",
    "verified",
];

/// Facts that are looked at: the newest of each tree is among them unless it is older than so many looks.
const LOOKS: usize = 10_000;

struct Last {
    seen: Seen,
    run: String,
    at_us: i64,
}

/// The rows, and the age of the oldest look among them in milliseconds.
pub fn rows(engine: &Engine, what: &str) -> Result<(Vec<Row>, u64), ApiError> {
    let site = engine.site()?;
    let mut last = newest(engine)?;
    let mut out: Vec<(Value, Option<Last>)> = Vec::new();
    for (name, repo) in &site.repos {
        if what == "repos" {
            let sets: Vec<&str> = site.content.iter().filter(|(_, c)| c.repos.contains(name)).map(|(s, _)| s.as_str()).collect();
            let upstream: Vec<String> = repo.upstream.iter().map(|u| address::shown_text(u)).collect();
            let own = json!({
                "repo": name, "sets": sets.join(" "), "tree": repo.tree, "writer": repo.writer, "upstream": upstream.join(" "),
            });
            out.push((own, last.remove(&key(&repo.tree))));
            continue;
        }
        let trees = (!repo.tree.is_empty()).then_some((&repo.tree, "tree")).into_iter();
        for (tree, role) in trees.chain(repo.replicas.iter().map(|r| (r, "replica"))) {
            out.push((json!({"repo": name, "tree": address::shown_text(tree), "role": role}), last.remove(&key(tree))));
        }
    }
    if what == "mirrors" {
        // Trees that no repository of the site has: snapshots, pinned names, what somebody looked at by the way.
        out.extend(last.into_values().map(|l| (json!({"repo": l.seen.repo, "tree": l.seen.tree, "role": "other"}), Some(l))));
    }
    let now = engine.now_us();
    let age = out.iter().filter_map(|(_, l)| l.as_ref()).map(|l| u64::try_from((now - l.at_us) / 1_000).unwrap_or(0)).max();
    Ok((out.into_iter().filter_map(|(own, last)| row(own, last.as_ref())).collect(), age.unwrap_or(0)))
}

fn key(tree: &str) -> String {
    address::shown_text(tree).trim_end_matches('/').to_owned()
}

/// The newest look at each tree.
fn newest(engine: &Engine) -> Result<BTreeMap<String, Last>, ApiError> {
    let mut out = BTreeMap::new();
    for fact in engine.store.facts_of_kind("mirror", LOOKS).map_err(|e| from_store(&e))? {
        if let Ok(Fact::Mirror(seen)) = serde_json::from_str(&fact.json) {
            out.entry(key(&seen.tree)).or_insert(Last { seen, run: fact.run.to_string(), at_us: fact.at_us });
        }
    }
    Ok(out)
}

fn row(mut own: Value, last: Option<&Last>) -> Option<Row> {
    let seen = last.map(|l| &l.seen);
    let n = |f: fn(&Seen) -> u64| seen.map(f);
    let found = json!({
        "state": seen.map_or(State::Unknown, |s| s.state),
        "packages": n(|s| s.packages), "size_bytes": n(|s| s.bytes), "behind": n(|s| s.behind), "missing": n(|s| s.missing),
        "short": n(|s| s.short), "damaged": n(|s| s.damaged), "extra": n(|s| s.extra),
        "look": seen.map(|s| s.look), "fp": seen.and_then(|s| s.fp.as_deref()), "md": seen.and_then(|s| s.md.as_deref()),
        "snapshot": seen.and_then(|s| s.snapshot.as_deref()),
        "detail": seen.map_or("never looked at: mirror/verify", |s| s.detail.as_str()),
        "run": last.map(|l| l.run.as_str()), "verified": last.map(|l| rows::time(l.at_us)),
    });
    let (Value::Object(own), Value::Object(found)) = (&mut own, found) else { return None };
    own.extend(found);
    Some(own.clone())
}
