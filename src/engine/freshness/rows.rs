//! What is known of a repository as fields of its rows in `get repos` and `get mirrors`, and as the sentences of `why`. No effects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::board::{PlaceBoard, RepoBoard, STABLE, UPSTREAM};
use crate::config::site::Repo;
use crate::domain::freshness::{self, Judged, Rules, Verified};
use crate::domain::mirror::State;
use crate::domain::reason;
use crate::engine::rows::{Row, time_opt};

/// What a judgement needs beside what was seen.
pub struct Given<'a> {
    pub name: &'a str,
    pub repo: &'a Repo,
    pub now_us: i64,
    pub frozen: Option<String>,
    /// What the last `mirror/verify` of each place found.
    pub verified: BTreeMap<String, Verified>,
}

impl Given<'_> {
    fn rules(&self, place: &str) -> Rules<'_> {
        Rules {
            now_us: self.now_us,
            frozen: self.frozen.as_deref(),
            compared: self.repo.has_upstream() && place != STABLE,
            writer: &self.repo.writer,
            repo: self.name,
            keys: !self.repo.keys.is_empty(),
        }
    }

    fn judged(&self, board: &RepoBoard, place: &str) -> Option<Judged> {
        let judged = board.judged(place, self.verified.get(place), &self.rules(place))?;
        // Stable stands behind on purpose: it is compared with nobody.
        let plain = place == STABLE && judged.state() == State::Unknown && board.place(place)?.observed.is_whole();
        Some(if plain {
            Judged {
                light: freshness::Light::Good,
                why: "whole; it moves by promotions only".into(),
                next: String::new(),
                state: Some(State::Pinned),
                ..judged
            }
        } else {
            judged
        })
    }
}

fn fields(value: Value) -> Row {
    match value {
        Value::Object(map) => map,
        _ => Row::new(),
    }
}

/// The fields of one place; none of them where it was never seen.
pub fn mirror(given: &Given<'_>, board: &RepoBoard, place: &str) -> Row {
    let (Some(judged), Some(p)) = (given.judged(board, place), board.place(place)) else {
        return fields(
            json!({"state": "unknown", "freshness": "unknown", "light": "unknown", "why": "not asked yet", "detail": "not asked yet"}),
        );
    };
    let o = &p.observed;
    let v = given.verified.get(place).filter(|v| v.md.is_some() && v.md == o.md);
    fields(json!({
        "state": judged.state(), "freshness": freshness::word(&judged, p.changed_us, given.now_us), "light": judged.light.as_str(),
        "composes_behind": behind(&judged), "compose": board.label(o), "revision": o.revision, "changed": time_opt(p.changed_us),
        "packages": o.fp.as_ref().map(|_| o.packages), "size_bytes": o.fp.as_ref().map(|_| o.bytes),
        "behind": o.lacking, "surplus": o.surplus, "missing": o.missing.max(v.map_or(0, |v| v.missing)),
        "short": o.short.max(v.map_or(0, |v| v.short)), "sampled": o.sampled, "damaged": v.map_or(0, |v| v.damaged),
        "fp": o.fp, "md": o.md, "key": o.signed.key(), "signed": o.signed.word(), "snapshot": o.snapshot, "why": judged.why, "next": judged.next, "detail": judged.why,
        "since": time_opt(p.since_us), "checked": time_opt(p.checked_us),
    }))
}

fn behind(judged: &Judged) -> Option<u64> {
    match judged.state() {
        State::Behind => Some(judged.composes),
        State::InSync => Some(0),
        _ => None,
    }
}

/// How it stands to upstream, in a sign.
fn relation(worst: &Judged, upstream: Option<&Judged>) -> String {
    match (worst.state(), upstream.map(Judged::state)) {
        (State::Frozen, _) => "frozen".into(),
        (_, Some(State::Incoherent | State::Shrunk | State::Unreachable | State::Unknown | State::Syncing)) => "?".into(),
        (State::InSync, _) => "=".into(),
        (State::Behind, _) => format!("-{}{}", worst.composes.max(1), if worst.at_least { "+" } else { "" }),
        (State::Ahead, _) => "+".into(),
        _ => "?".into(),
    }
}

/// The fields of a repository: its places rolled up.
pub fn repo(given: &Given<'_>, board: &RepoBoard) -> Row {
    let all: Vec<(&String, &PlaceBoard, Judged)> =
        board.places.iter().filter_map(|(n, p)| Some((n, p, given.judged(board, n)?))).filter(|(n, ..)| *n != STABLE).collect();
    let served = || all.iter().filter(|(n, ..)| *n != UPSTREAM);
    let asked = !all.is_empty() && given.repo.replicas.iter().all(|r| board.place(&r.dc).is_some());
    let upstream = all.iter().find(|(n, ..)| *n == UPSTREAM).map(|(_, _, j)| j);
    let unknown = Judged { why: "not asked yet".into(), ..Judged::default() };
    let worst = if asked { all.iter().min_by_key(|(_, _, j)| freshness::order(j)) } else { None };
    let judged = worst.map_or(&unknown, |(_, _, j)| j);
    let lowest =
        served().map(|(_, _, j)| j).min_by_key(|j| (freshness::rank(j.state()), std::cmp::Reverse(j.composes))).unwrap_or(&unknown);
    let agreement = board.agreement(given.repo);
    // What stands for "latest": what most datacentres serve, else what upstream has.
    let latest =
        served().find(|(_, p, _)| agreement.fp.is_some() && p.observed.fp == agreement.fp).map(|(_, p, _)| *p).or(board.place(UPSTREAM));
    let o = latest.map(|p| &p.observed);
    let (stable, up) = (board.place(STABLE), board.place(UPSTREAM).map(|p| &p.observed));
    let drift = o.and_then(|o| board.drift(o));
    let dcs = format!("{}/{}", agreement.agree, agreement.of);
    let who = worst.filter(|(_, _, j)| j.light != freshness::Light::Good).map_or(String::new(), |(n, ..)| format!("{n}: "));
    fields(json!({
        "rank": u64::from(3 - judged.light as u8) * 100 + u64::from(freshness::rank(judged.state())),
        "state": judged.state(), "freshness": freshness::word(judged, latest.and_then(|p| p.changed_us), given.now_us),
        "light": judged.light.as_str(), "relation": relation(lowest, upstream), "composes_behind": behind(lowest), "dcs": dcs,
        "arch": o.map(|o| o.arch.as_str()).filter(|a| !a.is_empty()),
        "compose": o.map(|o| board.label(o)), "revision": o.map(|o| &o.revision), "changed": time_opt(latest.and_then(|p| p.changed_us)),
        "packages": o.filter(|o| o.fp.is_some()).map(|o| o.packages), "size_bytes": o.filter(|o| o.fp.is_some()).map(|o| o.bytes),
        "behind": served().map(|(_, p, _)| p.observed.lacking).max(), "missing": served().map(|(_, p, _)| p.observed.missing).sum::<u64>(),
        "short": served().map(|(_, p, _)| p.observed.short).sum::<u64>(),
        "fp": agreement.fp, "md": o.and_then(|o| o.md.clone()),
        "stable": (!given.repo.stable.is_empty()).then_some(&given.repo.stable),
        "stable_fp": stable.and_then(|p| p.observed.fp.as_deref()),
        "stable_compose": stable.map(|p| board.label(&p.observed)), "stable_revision": stable.map(|p| &p.observed.revision), "stable_since": time_opt(stable.and_then(|p| p.changed_us)),
        "drift": drift.map(|(_, new)| new), "drift_gone": drift.map(|(gone, _)| gone),
        "frozen": given.frozen, "upstream_state": upstream.map(|j| j.state()), "upstream_why": upstream.map(|j| j.why.clone()),
        "upstream_key": up.and_then(|o| o.signed.key()), "upstream_signed": up.map(|o| o.signed.word()),
        "upstream_md": board.place(UPSTREAM).and_then(|p| p.observed.md.clone()),
        "why": format!("{who}{}", judged.why), "next": judged.next, "detail": format!("{who}{}", judged.why),
        "since": time_opt(worst.and_then(|(_, p, _)| p.since_us)),
        "checked": time_opt(board.places.values().map(|p| p.checked_us).min().flatten()),
    }))
}

/// The sentences of `why`, from the rows: the state first, then every place with its reason, then what to do.
pub fn why(repo: &Row, places: &[Row], zone: &TimeZone) -> Vec<String> {
    let text = |row: &Row, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut said = Vec::new();
    let detail = text(repo, "detail");
    match text(repo, "frozen") {
        frozen if !frozen.is_empty() => said.push(format!("it stands still: {frozen}")),
        _ => said.push(detail),
    }
    for row in places {
        let place = match (text(row, "dc"), text(row, "role")) {
            (dc, _) if !dc.is_empty() => dc,
            (_, role) => role,
        };
        let why = match (text(row, "why"), text(row, "detail")) {
            (why, _) if !why.is_empty() => why,
            (_, detail) => detail,
        };
        let since = match text(row, "since").parse::<Timestamp>() {
            Ok(since) => format!(", since {}", reason::at(since.as_microsecond(), zone)),
            Err(_) => String::new(),
        };
        let compose = match text(row, "compose") {
            c if c.is_empty() => String::new(),
            c => format!(" {c}"),
        };
        said.push(format!("{place} is {}{compose}{since}: {why}", text(row, "freshness")));
    }
    let next = text(repo, "next");
    if !next.is_empty() {
        said.push(format!("next: {next}"));
    }
    said
}
