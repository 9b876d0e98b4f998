//! One look: what the files schedule now, what each trigger owes since the last look, and when the next look is due.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::board::{Key, Seen};
use super::calendars::Kept;
use super::fire::{self, Debt, GRACE, Ground};
use super::git::{Look, Polls};
use super::owed::Judged;
use super::{board, news};
use crate::api::ApiError;
use crate::config::{Scheduler as Mode, Site};
use crate::domain::occurrence::TriggerState;
use crate::engine::blocking::blocking;
use crate::engine::state::Engine;
use crate::engine::{catalog, triggers};
use crate::pipeline::model::TriggerKind;
use crate::pipeline::schedule::{Ticker, Timer};

/// After a look that could not be done, the next.
const AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// Due times of one trigger that are settled in one look; the next look goes on.
const MOST: usize = 20_000;

/// What a scheduler remembers from look to look. All that must survive it is in the store.
pub struct Scheduler {
    /// What was due before this was due while nobody looked.
    watching_since: Timestamp,
    /// Why nobody looked.
    absent: String,
    /// It has looked before: what an engine before it left half written is in order.
    begun: bool,
    /// Due times whose start was tried in time, and could not be written.
    tried: HashSet<(Key, i64)>,
    pub polls: Polls,
    /// What the event stream was told last.
    told: board::State,
}

/// A trigger as the files have it now.
enum Found {
    Clock(Timer),
    Git(Look),
    /// The end of another pipeline's run: nothing is due by it, but it is known while its file is broken.
    Upstream,
}

struct Files {
    site: Arc<Site>,
    found: BTreeMap<Key, Found>,
    /// Pipelines whose file cannot be used; their triggers stay as they were known.
    broken: BTreeSet<String>,
    calendars: BTreeMap<String, Kept>,
}

impl Scheduler {
    pub fn new(started: Timestamp) -> Self {
        Self {
            watching_since: started,
            absent: "no engine was running".into(),
            begun: false,
            tried: HashSet::new(),
            polls: Polls::default(),
            told: board::State::default(),
        }
    }

    /// Looks, settles what is owed, and says when to look again.
    pub async fn look(&mut self, engine: &Arc<Engine>) -> Option<Timestamp> {
        let now = engine.clock.now();
        let result = self.try_look(engine, now).await;
        let again = match &result {
            Ok(next) => *next,
            Err(e) => {
                tracing::error!("the schedule cannot be looked at: {e}");
                engine.clock.now().checked_add(AGAIN).ok()
            }
        };
        let trouble = result.err().map(|e| e.message);
        if let Some(why) = &trouble {
            // Not missed for want of an engine; whoever reads the ledger is told what it was.
            self.absent = format!("nothing could be scheduled: {}", why.lines().next().unwrap_or_default());
        }
        engine.schedule.change(|s| {
            s.beat_us = Some(engine.now_us());
            s.trouble = trouble;
            s.dead = None;
        });
        let state = engine.schedule.state();
        news::looked(engine, &self.told, &state).await;
        self.told = state;
        again
    }

    async fn try_look(&mut self, engine: &Arc<Engine>, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        let files = {
            let engine = engine.clone();
            blocking(move || read(&engine)).await
        };
        let files = match files {
            Ok(f) => f,
            Err(e) => {
                // Until it can be read again nobody is watching.
                self.watching_since = Timestamp::MAX;
                return Err(e);
            }
        };
        // Nothing else is woken by the site file: how many may run at once is told here, too, and not only with the next act of somebody.
        if let Err(e) = engine.configure(&files.site).await {
            tracing::warn!("the runner does not hear of the site file: {e}");
        }
        if self.watching_since == Timestamp::MAX {
            self.watching_since = now;
        }
        if let Some(off) = off(&files.site, engine.private) {
            return self.rest(engine, off).await;
        }
        let mut states = know(engine, &files, now, !self.begun).await?;
        self.begun = true;
        let ground = Ground { engine, site: &files.site, calendars: &files.calendars, now };
        let mut seen: BTreeMap<Key, Seen> = BTreeMap::new();
        let mut failed = None;
        for (key, (timer, ticker)) in clocks(&files, &states) {
            let Some(state) = states.get_mut(&key) else { continue };
            let debt = Debt { pipeline: key.0.clone(), key: key.1.clone(), timer, owed: self.owed(&key, state, &ticker, now) };
            if let Some(last) = debt.owed.last().map(|j| j.due) {
                match fire::settle(&ground, &debt).await {
                    Ok(()) => {
                        self.tried.retain(|(k, _)| *k != key);
                        state.cursor_us = last.nominal.as_microsecond();
                    }
                    Err(e) => {
                        let fresh = debt.owed.iter().filter(|j| j.missed.is_none()).map(|j| (key.clone(), j.due.at.as_microsecond()));
                        self.tried.extend(fresh);
                        tracing::error!(pipeline = %key.0, trigger = %key.1, "what is due cannot be settled: {e}");
                        failed = Some(e);
                    }
                }
            }
            let cursor = Timestamp::from_microsecond(state.cursor_us).unwrap_or(now);
            let next_us = ticker.after(cursor).next().map(|d| d.at.as_microsecond());
            seen.insert(key, Seen { next_us, detail: String::new() });
        }
        let looks = files.found.iter().filter_map(|(k, f)| match f {
            Found::Git(look) => Some((k.clone(), look.clone())),
            Found::Clock(_) | Found::Upstream => None,
        });
        for (key, detail, next_us) in self.polls.begin(looks.collect(), now) {
            seen.insert(key, Seen { next_us: Some(next_us), detail });
        }
        let next = seen.values().filter_map(|s| s.next_us).min();
        engine.schedule.change(|s| {
            s.off = None;
            s.seen = seen;
        });
        match failed {
            Some(e) => Err(e),
            None => Ok(next.and_then(|us| Timestamp::from_microsecond(us).ok())),
        }
    }

    /// This engine fires nothing: what it knew of the triggers is forgotten, so that they owe nothing once it does.
    async fn rest(&mut self, engine: &Arc<Engine>, why: &str) -> Result<Option<Timestamp>, ApiError> {
        let known = {
            let engine = engine.clone();
            blocking(move || engine.store.trigger_states().map_err(ApiError::from)).await?
        };
        if !known.is_empty() {
            let gone = known.into_iter().map(|t| (t.pipeline, t.trigger)).collect();
            engine.store.know(Vec::new(), gone).await?;
        }
        self.polls = Polls::default();
        engine.schedule.change(|s| {
            s.off = Some(why.to_owned());
            s.seen.clear();
        });
        Ok(None)
    }

    /// Due times since the trigger's cursor, each with the reason why nobody was there for it.
    fn owed(&self, key: &Key, state: &TriggerState, ticker: &Ticker, now: Timestamp) -> Vec<Judged> {
        let Ok(cursor) = Timestamp::from_microsecond(state.cursor_us) else { return Vec::new() };
        ticker
            .after(cursor)
            .take_while(|d| d.at <= now)
            .take(MOST)
            .map(|due| {
                let missed = if self.tried.contains(&(key.clone(), due.at.as_microsecond())) {
                    None
                } else if due.at < self.watching_since {
                    Some(self.absent.clone())
                } else if now.duration_since(due.at) > GRACE {
                    Some("the clock jumped over it, or the machine slept".to_owned())
                } else {
                    None
                };
                Judged { due, missed }
            })
            .collect()
    }
}

/// Why this engine fires nothing.
fn off(site: &Site, private: bool) -> Option<&'static str> {
    match (site.scheduler, private) {
        (Mode::Off, _) => Some("scheduler = \"off\" in site.toml"),
        (Mode::Shared, true) => Some("a private engine needs scheduler = \"private\" in site.toml"),
        _ => None,
    }
}

/// The files as they are now. Blocks.
fn read(engine: &Engine) -> Result<Files, ApiError> {
    let site = engine.site()?;
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let catalog = catalog::of_site(dirs, &site, uid)?;
    let calendars = engine.schedule.calendars.now(dirs, uid, &engine.store, engine.now_us());
    let mut files = Files { site: site.clone(), found: BTreeMap::new(), broken: BTreeSet::new(), calendars };
    for name in &catalog.pipelines {
        let file = catalog::judge(dirs, name, uid, &catalog).ok().and_then(|j| j.file).filter(|f| f.name.value == *name);
        let Some(file) = file else {
            files.broken.insert(name.clone());
            continue;
        };
        for t in &file.triggers {
            let calendars: Vec<String> = file.calendars_of(Some(t)).into_iter().map(str::to_owned).collect();
            if let Some(timer) = Timer::of(t, &site.time_zone) {
                files.found.insert((name.clone(), timer.key()), Found::Clock(Timer { calendars, ..timer }));
            } else if let TriggerKind::Git { url, reference, interval } = &t.kind {
                let look = Look { url: url.value.clone(), reference: reference.clone(), interval: *interval, calendars };
                files.found.insert((name.clone(), look.key()), Found::Git(look));
            } else if let TriggerKind::Upstream { .. } = &t.kind {
                files.found.insert((name.clone(), triggers::words(t)), Found::Upstream);
            }
        }
    }
    Ok(files)
}

/// The clocks' triggers, those of broken files as they were known last.
fn clocks(files: &Files, states: &BTreeMap<Key, TriggerState>) -> Vec<(Key, (Timer, Ticker))> {
    let mut out = Vec::new();
    for (key, state) in states {
        let timer = match files.found.get(key) {
            Some(Found::Clock(timer)) => timer.clone(),
            Some(Found::Git(_) | Found::Upstream) => continue,
            None => match serde_json::from_str(&state.spec) {
                Ok(timer) => timer,
                Err(_) => continue,
            },
        };
        // One that nobody can read is closed: what is due stays where it is, and is skipped with that reason.
        let calendars: Option<Vec<_>> = timer.calendars.iter().map(|n| files.calendars.get(n)?.calendar.clone()).collect();
        match timer.ticker_in(&key.0, calendars.as_deref()) {
            Ok(ticker) => out.push((key.clone(), (timer, ticker))),
            Err(e) => tracing::error!(pipeline = %key.0, trigger = %key.1, "it cannot fire: {e}"),
        }
    }
    out
}

/// Brings what the store knows of the triggers to what the files say: new and changed ones owe nothing before now; those that are gone
/// are forgotten; where the clock was set back, the look goes back with it. `first`: an engine that died before this one may have called
/// missed what has not come, and not have come so far as to say how far it looked.
async fn know(engine: &Arc<Engine>, files: &Files, now: Timestamp, first: bool) -> Result<BTreeMap<Key, TriggerState>, ApiError> {
    let now_us = now.as_microsecond();
    let known = {
        let engine = engine.clone();
        blocking(move || engine.store.trigger_states().map_err(ApiError::from)).await?
    };
    let mut states: BTreeMap<Key, TriggerState> = known.into_iter().map(|t| ((t.pipeline.clone(), t.trigger.clone()), t)).collect();
    let gone: Vec<Key> = states.keys().filter(|k| !files.found.contains_key(*k) && !files.broken.contains(&k.0)).cloned().collect();
    for key in &gone {
        states.remove(key);
    }
    let mut news = Vec::new();
    for (key, found) in &files.found {
        let (digest, spec) = match found {
            Found::Clock(timer) => (timer.digest(), serde_json::to_string(timer).unwrap_or_default()),
            Found::Git(look) => (look.key(), String::new()),
            Found::Upstream => (key.1.clone(), String::new()),
        };
        let before = states.get(key);
        if before.is_some_and(|t| t.digest == digest && t.spec == spec) {
            continue;
        }
        // Another catch-up or calendar changes nothing of what is owed.
        let kept = before.filter(|t| t.digest == digest);
        let state = TriggerState {
            pipeline: key.0.clone(),
            trigger: key.1.clone(),
            digest,
            spec,
            since_us: kept.map_or(now_us, |t| t.since_us),
            cursor_us: kept.map_or(now_us, |t| t.cursor_us),
            note: kept.map(|t| t.note.clone()).unwrap_or_default(),
        };
        news.push(state.clone());
        states.insert(key.clone(), state);
    }
    if !news.is_empty() || !gone.is_empty() {
        engine.store.know(news, gone).await?;
        crate::base::crash::point("scheduler.known");
    }
    for (key, state) in states.iter_mut().filter(|(_, t)| first || t.cursor_us > now_us) {
        let before = ahead(engine, key, now_us).await?;
        if state.cursor_us <= now_us && before.is_empty() {
            continue;
        }
        tracing::warn!(pipeline = %key.0, trigger = %key.1, "the clock was set back: what ran does not run again");
        engine.store.wind_back(&key.0, &key.1, now_us).await?;
        let left = ahead(engine, key, now_us).await?;
        news::took_back(engine, key, &before.difference(&left).copied().collect());
        state.cursor_us = state.cursor_us.min(now_us);
    }
    Ok(states)
}

/// Times of the ledger that have not come.
async fn ahead(engine: &Arc<Engine>, key: &Key, now_us: i64) -> Result<BTreeSet<i64>, ApiError> {
    let (engine, (pipeline, trigger)) = (engine.clone(), key.clone());
    blocking(move || engine.store.decided_since(&pipeline, &trigger, now_us).map_err(ApiError::from)).await
}
