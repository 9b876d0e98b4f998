//! What the gates of a promotion rest on, looked at now: what the roots hold, verdicts, signatures, calendars. Blocks; decides nothing.

use std::collections::BTreeSet;

use super::regress;
use super::roots::Dc;
use crate::api::ApiError;
use crate::config::{self, Site};
use crate::domain::promotion::Promotion;
use crate::domain::promotion::gate::{Back, Calendar, Facts, FirstSeen, Judge, Replica, Rules, Signatures, Source};
use crate::domain::promotion::pointer::Led;
use crate::domain::report::Fact;
use crate::engine::catalog;
use crate::engine::scheduler::calendars;
use crate::engine::state::Engine;
use crate::pipeline::model::{At, Stage};
use crate::systems::signature;

/// Signature facts that are looked at.
const CHECKS: usize = 1_000;

/// What the gates look at.
pub fn facts(engine: &Engine, table: &config::Promotion, p: &Promotion, roots: &[Dc], pipelines: &[Known]) -> Result<Facts, ApiError> {
    let now_us = engine.now_us();
    let known = |v| Source::Known { value: v, at_us: now_us };
    let fp = p.base_fp().map(str::to_owned);
    let verdicts = match &fp {
        Some(fp) => Source::Known { value: engine.store.verdicts(fp)?, at_us: now_us },
        None => Source::Unknown("no candidate was taken yet".into()),
    };
    Ok(Facts {
        now_us,
        id: p.id.clone(),
        os: p.os.clone(),
        replicas: roots.iter().map(|dc| (dc.name.clone(), replica(dc, p, now_us))).collect(),
        first_seen: first_seen(engine, fp.as_deref(), roots, p)?,
        fp: fp.clone().map_or_else(|| Source::Unknown(format!("no candidate was taken yet: quarterdeck do promote-soak {}", p.id)), known),
        verdicts,
        labels: labels(pipelines),
        judges: judges(engine, pipelines, fp.as_deref()),
        soak: Source::Missing("[salt]".into()),
        signatures: signatures(engine, table, p)?,
        lost: regress::look(engine, p, roots, &table.pointer),
        agents: Source::Missing("[agents]".into()),
        calendar: calendar(engine, table, &p.os, now_us),
        back: roots.iter().map(|dc| (dc.name.clone(), way_back(dc, p, now_us))).collect(),
    })
}

/// Limits of the site.
pub fn rules(table: &config::Promotion) -> Rules {
    let us = |s: Option<crate::base::duration::Span>, default: i64| {
        s.map_or(default, |s| i64::try_from(s.ms()).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000))
    };
    let d = Rules::default();
    Rules {
        age_us: us(table.age, d.age_us),
        streak: table.streak.map_or(d.streak, |n| n as usize),
        apart_us: us(table.apart, d.apart_us),
        stale_us: us(table.stale, d.stale_us),
        without: table.without.clone(),
        help: table.help.clone(),
    }
}

fn replica(dc: &Dc, p: &Promotion, now_us: i64) -> Source<Replica> {
    match p.taken_of(&dc.name) {
        None => Source::Unknown("no candidate was taken".into()),
        Some(t) => match dc.snapshots.get(&t.base) {
            Some(m) => Source::Known { value: Replica { fp: m.fp.clone(), md: m.md.clone() }, at_us: now_us },
            None => Source::Unknown(format!("snapshot {} cannot be read", t.base)),
        },
    }
}

fn first_seen(engine: &Engine, fp: Option<&str>, roots: &[Dc], p: &Promotion) -> Result<Source<FirstSeen>, ApiError> {
    let Some(fp) = fp else { return Ok(Source::Unknown("no candidate was taken yet".into())) };
    let stored = engine.store.first_seen(fp)?;
    // A snapshot says itself when it was made: that is seen too.
    let bases = || roots.iter().filter_map(|dc| dc.snapshots.get(&p.taken_of(&dc.name)?.base)).filter(|m| m.fp == fp);
    let made = bases().map(|m| m.made_us).filter(|us| *us > 0).min();
    // What upstream and replicas were seen to hold, by repository: mostly long before anything read the set as a whole.
    let mut observed = Vec::new();
    for m in bases() {
        let mds: Vec<String> = m.repos.iter().map(|r| r.md.clone()).collect();
        observed.extend(engine.store.first_observed(&mds)?);
    }
    let by_others = stored.into_iter().chain(observed).min();
    Ok(match by_others.into_iter().chain(made).min() {
        Some(at_us) => Source::Known { value: FirstSeen { at_us, alone: by_others.is_none_or(|o| o >= at_us) }, at_us: engine.now_us() },
        None => Source::Unknown("nothing that is kept has read it".into()),
    })
}

fn way_back(dc: &Dc, p: &Promotion, now_us: i64) -> Source<Back> {
    let before = p.before.iter().find(|b| b.dc == dc.name).map(|b| &b.from);
    // Once it was started, the way back is what was served then.
    let led = match (before, p.taken_of(&dc.name)) {
        (Some(from), Some(t)) if dc.led.snapshot() == Some(t.id.as_str()) => from,
        _ => &dc.led,
    };
    let Some(free) = dc.free_bytes else {
        return Source::Unknown(if dc.why.is_empty() { format!("there is no root {}", dc.root) } else { dc.why.clone() });
    };
    let snapshot = match led {
        Led::Snapshot(id) => dc.snapshots.get(id).map(|m| m.id.clone()),
        // The switch adopts it as a snapshot.
        Led::Directory => Some("directory".to_owned()),
        Led::Unknown => return Source::Unknown(dc.why.clone()),
        Led::Nothing | Led::Other(_) => None,
    };
    // Two trees: what is served stays, and what comes may share no block with it.
    let need = match p.taken_of(&dc.name).map(|t| (t, dc.snapshots.get(&t.id))) {
        None => return Source::Unknown("no candidate was taken, so nobody knows the room that it needs".into()),
        Some((t, None)) => return Source::Unknown(format!("snapshot {} cannot be read", t.id)),
        Some((_, Some(m))) => m.bytes(),
    };
    Source::Known { value: Back { snapshot, room: free >= need }, at_us: now_us }
}

/// A pipeline of the site, as far as promotions care.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub name: String,
    /// `canary:KIND`, `formula:NAME`, `image:NAME`, `iso:NAME`.
    pub labels: Vec<String>,
    /// Content sets that its stages read, and that they write.
    pub reads: Vec<String>,
    pub writes: Vec<String>,
}

impl Known {
    pub fn works_on(&self, set: &str) -> bool {
        self.reads.iter().chain(&self.writes).any(|s| s == set)
    }
}

/// Every pipeline of the site.
pub fn pipelines(engine: &Engine, site: &Site) -> Result<Vec<Known>, ApiError> {
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let catalog = catalog::of_site(dirs, site, uid)?;
    let mut out = Vec::new();
    for name in &catalog.pipelines {
        out.push(match catalog::judge(dirs, name, uid, &catalog).ok().and_then(|j| j.file) {
            Some(file) => {
                let sets = |of: fn(&Stage) -> &Vec<At<String>>| {
                    file.stages.iter().flat_map(of).map(|t| t.value.clone()).collect::<BTreeSet<_>>().into_iter().collect()
                };
                Known { name: name.clone(), reads: sets(|s| &s.reads), writes: sets(|s| &s.writes), labels: file.labels }
            }
            // What it would be labelled with nobody knows: a canary that is broken must not look like none.
            None => Known {
                name: name.clone(),
                labels: ["canary:image", "canary:inspector", "canary:rpm"].map(str::to_owned).to_vec(),
                ..Known::default()
            },
        });
    }
    Ok(out)
}

/// Who brings the verdicts that gates count, and whether what each would read now is what is to be judged.
fn judges(engine: &Engine, pipelines: &[Known], fp: Option<&str>) -> Vec<Judge> {
    let other = |set: &String| match engine.content.last(set) {
        Some((_, now)) if fp.is_some() && now.fp.known() == fp => None,
        Some((_, now)) if now.fp.known().is_some() => Some(format!("{set}, which holds {} now", now.fp.short())),
        Some(_) => Some(format!("{set}, which cannot be read now (quarterdeck get content)")),
        // Since the engine started nobody has asked.
        None => None,
    };
    let judge = |k: &Known| {
        let writers = pipelines.iter().filter(|w| k.reads.iter().any(|set| w.writes.contains(set)));
        Judge {
            pipeline: k.name.clone(),
            labels: k.labels.clone(),
            other: k.reads.iter().find_map(other),
            writers: writers.map(|w| w.name.clone()).collect(),
        }
    };
    pipelines.iter().filter(|k| !k.labels.is_empty()).map(judge).collect()
}

/// What their verdicts are about.
fn labels(pipelines: &[Known]) -> Vec<String> {
    let mut out: Vec<String> = pipelines.iter().flat_map(|k| k.labels.clone()).collect();
    out.sort();
    out.dedup();
    out
}

fn signatures(engine: &Engine, table: &config::Promotion, p: &Promotion) -> Result<Source<Signatures>, ApiError> {
    let fps: Vec<&str> = p.taken.iter().map(|t| t.fp.as_str()).collect();
    if table.keys.is_empty() {
        return Ok(Source::Missing(format!("keys to [promotion.{}]", p.os)));
    }
    let trusted = match signature::names(&table.keys) {
        Ok(trusted) => trusted,
        Err(e) => return Ok(Source::Unknown(e.to_string())),
    };
    for row in engine.store.facts_of_kind("signatures", CHECKS)? {
        if let Ok(Fact::Signatures { fp, checked, metadata, bad, keys, tool, .. }) = serde_json::from_str(&row.json)
            && fps.contains(&fp.as_str())
        {
            if !tool.is_empty() {
                return Ok(Source::Missing(format!("{tool} to this host")));
            }
            if keys != trusted {
                return Ok(Source::Unknown("they were checked with other keys than the site file names now".into()));
            }
            return Ok(Source::Known { value: Signatures { checked, metadata, bad, keys }, at_us: row.at_us });
        }
    }
    Ok(Source::Unknown("nothing has checked the signatures of this candidate".into()))
}

fn calendar(engine: &Engine, table: &config::Promotion, os: &str, now_us: i64) -> Source<Calendar> {
    let Some(name) = &table.calendar else { return Source::Missing(format!("calendar to [promotion.{os}]")) };
    let all = engine.schedule.calendars.now(engine.watch.dirs(), engine.watch.uid(), &engine.store, now_us);
    let value = match calendars::closed(&all, &[name], engine.clock.now()) {
        None => Calendar::Open { calendar: name.clone() },
        Some(c) => Calendar::Closed { calendar: name.clone(), freeze: c.freeze, why: c.to_string() },
    };
    Source::Known { value, at_us: now_us }
}

/// Days and changes of its calendar that the page of a promotion tells.
const AHEAD: (i32, usize) = (60, 8);

/// What its page says of the calendar: whether it is open now, and when that changes.
pub fn calendar_ahead(engine: &Engine, table: &config::Promotion, now_us: i64) -> serde_json::Value {
    let Some(name) = &table.calendar else { return serde_json::Value::Null };
    let all = engine.schedule.calendars.now(engine.watch.dirs(), engine.watch.uid(), &engine.store, now_us);
    let kept = all.get(name.as_str());
    let calendar = kept.and_then(|k| k.calendar.as_ref());
    let closed = calendars::closed(&all, &[name], engine.clock.now());
    let turn = |(at, closed): (jiff::Timestamp, Option<crate::pipeline::calendar::Closed>)| {
        serde_json::json!({
            "at": crate::base::instant::utc(at), "open": closed.is_none(), "freeze": closed.as_ref().is_some_and(|c| c.freeze),
            "why": closed.map(|c| c.reason).unwrap_or_default(),
        })
    };
    let coming: Vec<_> =
        calendar.map(|c| c.coming(engine.clock.now(), AHEAD.0, AHEAD.1)).unwrap_or_default().into_iter().map(turn).collect();
    serde_json::json!({
        "calendar": name, "owner": calendar.map(|c| &c.owner), "zone": calendar.map(|c| &c.zone), "open": closed.is_none(),
        "why": closed.map(|c| c.to_string()), "broken": kept.and_then(|k| k.broken.as_ref()), "coming": coming, "days": AHEAD.0,
    })
}
