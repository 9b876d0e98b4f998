//! The calendars in force: as their files say, and where a file is broken, as it said when it was whole last, also over a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::config::{Dirs, calendars};
use crate::pipeline::calendar::{Calendar, Closed};
use crate::store::Store;

/// A calendar as it holds now.
#[derive(Debug, Clone)]
pub struct Kept {
    text: String,
    /// None: it was never whole, so nobody knows when it is open.
    pub calendar: Option<Arc<Calendar>>,
    /// What is wrong with its file now.
    pub broken: Option<String>,
}

/// What the engine knows of the site's calendars.
#[derive(Default)]
pub struct Calendars {
    known: Mutex<Option<BTreeMap<String, Kept>>>,
}

impl Calendars {
    /// Reads the files. Blocks, and must be called where blocking is allowed: what became whole is kept in the store.
    pub fn now(&self, dirs: &Dirs, uid: u32, store: &Store, now_us: i64) -> BTreeMap<String, Kept> {
        let mut known = match self.known.lock() {
            Ok(k) => k,
            Err(poisoned) => poisoned.into_inner(),
        };
        let mut last = match known.take() {
            Some(k) => k,
            None => from_store(dirs, store),
        };
        let mut found = BTreeMap::new();
        let mut news: Vec<(String, Option<String>)> = Vec::new();
        let names = match calendars::names(dirs, uid) {
            Ok(names) => names,
            Err(e) => {
                // A directory that may not be trusted takes back nothing.
                let why = e.in_short();
                for kept in last.values_mut() {
                    kept.broken = Some(why.clone());
                }
                *known = Some(last.clone());
                return last;
            }
        };
        for name in names {
            let before = last.remove(&name);
            let read = calendars::text(dirs, &name, uid).and_then(|text| {
                if before.as_ref().is_some_and(|b| b.text == text && b.calendar.is_some()) {
                    return Ok((text, None));
                }
                let calendar = calendars::parse(&dirs.calendars().join(format!("{name}.toml")), &name, &text)?;
                Ok((text, Some(Arc::new(calendar))))
            });
            let kept = match (read, before) {
                (Ok((_, None)), Some(before)) => Kept { broken: None, ..before },
                (Ok((text, calendar)), _) => {
                    news.push((name.clone(), Some(text.clone())));
                    Kept { text, calendar, broken: None }
                }
                (Err(e), before) => {
                    let why = e.in_short();
                    let kept = before.unwrap_or_else(|| Kept { text: String::new(), calendar: None, broken: None });
                    if kept.broken.as_deref() != Some(why.as_str()) {
                        tracing::error!(calendar = %name, "{why}; {}", if kept.calendar.is_some() { "it holds as it was whole last" } else { "it was never whole: it counts as closed" });
                    }
                    Kept { broken: Some(why), ..kept }
                }
            };
            found.insert(name, kept);
        }
        news.extend(last.into_keys().map(|gone| (gone, None)));
        *known = Some(found.clone());
        drop(known);
        keep(store, news, now_us);
        found
    }
}

fn from_store(dirs: &Dirs, store: &Store) -> BTreeMap<String, Kept> {
    let kept = store.kept_calendars().unwrap_or_else(|e| {
        tracing::error!("calendars that were kept cannot be read: {e}");
        Vec::new()
    });
    kept.into_iter()
        .filter_map(|(name, text)| {
            let calendar = calendars::parse(&dirs.calendars().join(format!("{name}.toml")), &name, &text).ok()?;
            Some((name, Kept { text, calendar: Some(Arc::new(calendar)), broken: None }))
        })
        .collect()
}

fn keep(store: &Store, news: Vec<(String, Option<String>)>, now_us: i64) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    for (name, text) in news {
        if let Err(e) = runtime.block_on(store.keep_calendar(&name, text, now_us)) {
            tracing::warn!(calendar = %name, "it could not be kept for a restart: {e}");
        }
    }
}

/// The first of these calendars that is closed at `at`. One that nobody can read is closed: starting would be the wrong guess.
pub fn closed(all: &BTreeMap<String, Kept>, names: &[&str], at: jiff::Timestamp) -> Option<Closed> {
    names.iter().find_map(|name| match all.get(*name) {
        Some(Kept { calendar: Some(c), .. }) => c.closed(at),
        Some(Kept { broken, .. }) => Some(unknown(name, broken.as_deref().unwrap_or("it cannot be read"))),
        None => Some(unknown(name, "there is no such file in CONFIG/calendars")),
    })
}

fn unknown(name: &str, why: &str) -> Closed {
    Closed {
        calendar: name.to_owned(),
        owner: String::new(),
        reason: why.to_owned(),
        freeze: true,
        until: Some("its file is mended".into()),
    }
}
