//! Content sets of the site, read for runs and for `get content`: where each repository lies, and the last reading of each set.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::aside::aside;
use super::cobbler::Flights;
use super::frozen::frozen;
use crate::base::clock::Clock;
use crate::config::Site;
use crate::domain::content::{Fingerprint, Reading as Full};
use crate::domain::reason::Reason;
use crate::domain::rows::ContentRow;
use crate::runner::content::{ContentProbe, Reading};
use crate::store::Store;
use crate::store::lists::Lists;
use crate::systems::repo::disk::Asking;
use crate::systems::repo::list::read_list;
use crate::systems::repo::probe::{self, Head, Meter, Place};
use crate::systems::repo::{RepoAt, read_set};

/// A set that cannot be read within this is unknown.
const LIMIT: Duration = Duration::from_secs(300);
/// Sets that are read at once; more wait for their turn.
const AT_ONCE: usize = 8;
/// A label that is not told within this is none.
const LABEL: Duration = Duration::from_secs(10);

/// A set that was never read is read for a question, if it answers within this.
pub const LOOK: Duration = Duration::from_secs(10);

/// How the site's sets are found now.
type FindSite = Box<dyn Fn() -> Option<Arc<Site>> + Send + Sync>;

/// The probe. It keeps the last reading of each set: where the md is still the same, the packages are not read again.
pub struct SiteContent {
    site: FindSite,
    clock: Arc<dyn Clock>,
    last: Mutex<BTreeMap<String, (i64, Full)>>,
    store: OnceLock<Store>,
    flights: Flights,
    /// Sets that may be read at once: each reading holds compressed lists.
    turns: Semaphore,
}

/// The last reading of each datacentre's live trees: where their md is still the same, no package list is read again.
#[derive(Debug, Default)]
pub struct Live {
    last: Mutex<BTreeMap<String, Full>>,
}

impl Live {
    pub fn last(&self, key: &str) -> Option<Full> {
        self.last.lock().ok().and_then(|l| l.get(key).cloned())
    }

    pub fn keep(&self, key: String, reading: Full) {
        if let Ok(mut last) = self.last.lock() {
            last.insert(key, reading);
        }
    }
}

impl SiteContent {
    pub fn new(site: FindSite, clock: Arc<dyn Clock>) -> Self {
        Self {
            site,
            clock,
            last: Mutex::new(BTreeMap::new()),
            store: OnceLock::new(),
            flights: Flights::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Cobblers whose repositories lie in these sets or trees, and the reposync that is in flight at one of them. Every reposync counts: a
    /// task does not tell what it will still write. One that cannot be asked holds nobody up.
    pub async fn in_flight(&self, sets: &[String], trees: &[String]) -> Option<Reason> {
        let site = (self.site)()?;
        let named = sets.iter().filter_map(|s| site.content.get(s)).flat_map(|c| &c.repos).filter_map(|r| site.repos.get(r));
        let all: Vec<&str> = named
            .flat_map(|r| std::iter::once(&r.tree).chain(r.replicas.iter().map(|r| &r.at)))
            .chain(trees)
            .map(String::as_str)
            .filter(|t| !t.is_empty())
            .collect();
        let servers = site.cobblers.iter().filter(|(_, c)| all.iter().any(|t| c.repo_at(t).is_some())).collect();
        self.flights.first(servers, self.clock.boot_us()).await
    }

    /// The last reading of a set and when it was made, microseconds since 1970 UTC.
    pub fn last(&self, set: &str) -> Option<(i64, Full)> {
        self.last.lock().ok().and_then(|l| l.get(set).cloned())
    }

    /// From now on every content is remembered there.
    pub fn keep_in(&self, store: Store) {
        let _ = self.store.set(store);
    }

    async fn remember(&self, set: &str, os: &str, repos: &[RepoAt], upstream: Option<&String>, reading: &Full, now: i64) {
        let (Some(store), Some(fp)) = (self.store.get(), reading.fp.known()) else { return };
        // The same as a moment ago: the store knows it.
        if self.last(set).is_some_and(|(_, l)| l.fp == reading.fp) {
            return;
        }
        match store.content_again(set, fp, now).await {
            Ok(false) => {}
            Ok(true) => {
                // A kill may have come between the row and its list.
                let listed = {
                    let (lists, fp) = (Lists::new(store.dir()), fp.to_owned());
                    tokio::task::spawn_blocking(move || lists.has(&fp)).await
                };
                if matches!(listed, Ok(false)) {
                    self.keep_list(store, set, repos, fp).await;
                }
                return;
            }
            Err(e) => return tracing::warn!("the content of {set} cannot be remembered: {e}"),
        }
        let compose = match repos.first().cloned() {
            Some(first) => {
                let upstream = upstream.cloned();
                within(LABEL, move || async move { label(&first, upstream.as_ref()).await }).await.ok().flatten().unwrap_or_default()
            }
            None => String::new(),
        };
        let row = ContentRow {
            fp: fp.to_owned(),
            set: set.to_owned(),
            os: os.to_owned(),
            md: reading.md.known().map(str::to_owned),
            compose,
            packages: reading.packages,
            bytes: reading.bytes,
            first_seen_us: now,
        };
        match store.content_seen(row).await {
            Ok(true) => self.keep_list(store, set, repos, fp).await,
            Ok(false) => {}
            Err(e) => tracing::warn!("the content of {set} cannot be remembered: {e}"),
        }
    }

    /// Keeps the package list of a new content. Where the set moved on meanwhile there is none: its next content has its own.
    async fn keep_list(&self, store: &Store, set: &str, repos: &[RepoAt], fp: &str) {
        let own = repos.to_vec();
        let list = match within(LIMIT, move || async move { read_list(&own).await }).await {
            Ok(Ok(list)) if list.fp().known() == Some(fp) => list,
            Ok(Ok(_)) => return,
            Ok(Err((repo, e))) => return tracing::warn!("the package list of {set} cannot be read: {repo}: {e}"),
            Err(why) => return tracing::warn!("the package list of {set} cannot be read: {why}"),
        };
        let lists = Lists::new(store.dir());
        let kept = tokio::task::spawn_blocking(move || lists.put(&list)).await;
        if let Ok(Err(e)) = kept {
            tracing::warn!("the package list of {set} cannot be kept: {e}");
        }
    }

    /// Reads a set now.
    pub async fn look(&self, set: &str) -> Full {
        let Some(site) = (self.site)() else { return Full::unknown("the site file cannot be read: quarterdeck site check") };
        let Some(found) = site.content.get(set) else {
            return Full::unknown(format!("the site file has no [content.{set}]"));
        };
        let mut repos = Vec::with_capacity(found.repos.len());
        for name in &found.repos {
            match site.repos.get(name).and_then(|r| if r.tree.is_empty() { r.upstream.first() } else { Some(&r.tree) }) {
                Some(at) => repos.push(RepoAt { name: name.clone(), at: at.clone() }),
                None => return Full::unknown(format!("[repos.{name}] has neither tree nor upstream")),
            }
        }
        let known = self.last(set).map(|(_, r)| r);
        let own = repos.clone();
        let turn = self.turns.acquire().await;
        let reading = within(LIMIT, move || async move { read_set(&own, known.as_ref()).await }).await.unwrap_or_else(Full::unknown);
        drop(turn);
        let now = self.clock.now().as_microsecond();
        let upstream = found.repos.first().and_then(|name| site.repos.get(name)).and_then(|r| r.upstream.first());
        self.remember(set, &found.os, &repos, upstream, &reading, now).await;
        if let Ok(mut last) = self.last.lock() {
            last.insert(set.to_owned(), (now, reading.clone()));
        }
        reading
    }
}

/// What `work` makes on a thread of its own, if that takes no longer; else why there is nothing. The limit is kept here and not there: a file system
/// that does not answer leaves its reader no moment to look at a clock.
async fn within<T, F>(limit: Duration, work: impl FnOnce() -> F + Send + 'static) -> Result<T, String>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    match tokio::time::timeout(limit, aside(work)).await {
        Ok(Some(made)) => Ok(made),
        Ok(None) => Err("this machine has no room for a reader of it: see `ulimit -u` and `ulimit -n` of the engine".to_owned()),
        Err(_) => Err(format!("it could not be read within {} s", limit.as_secs())),
    }
}

/// The label of the compose that a tree holds: its own, else that of its upstream, where both have the same metadata now. A label names, and
/// identifies nothing: where nobody says one there is none.
async fn label(tree: &RepoAt, upstream: Option<&String>) -> Option<String> {
    let (client, meter) = (probe::client().ok()?, Arc::new(Meter::default()));
    let own = Place::open(&client, &meter, &tree.at, Asking::default()).await.ok()?;
    let label = own.label().await;
    if !label.is_empty() {
        return Some(label);
    }
    let far = Place::open(&client, &meter, upstream?, Asking::default()).await.ok()?;
    let md = |head: Head| match head {
        Head::Read { raw, .. } => Fingerprint::of(&raw),
        Head::Same => Fingerprint::Unknown,
    };
    let same = md(own.head(None).await.ok()?) == md(far.head(None).await.ok()?);
    if same { Some(far.label().await) } else { None }
}

/// How old a reading is, in milliseconds; 0 where there is none.
pub fn reading_age(now_us: i64, at_us: Option<i64>) -> u64 {
    at_us.map_or(0, |at| u64::try_from((now_us - at) / 1_000).unwrap_or(0))
}

impl ContentProbe for SiteContent {
    fn read(&self, set: &str) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>> {
        let set = set.to_owned();
        Box::pin(async move {
            let r = self.look(&set).await;
            Reading { fp: r.fp.into(), md: r.md.into(), detail: r.detail }
        })
    }

    fn frozen(&self, repo: &str, tree: &str) -> Option<String> {
        let (site, store) = ((self.site)()?, self.store.get()?);
        let same = |at: &str| !at.is_empty() && !tree.is_empty() && at.trim_end_matches('/') == tree.trim_end_matches('/');
        let now_us = self.clock.now().as_microsecond();
        let named = site.repos.iter().filter(|(name, r)| *name == repo || same(&r.tree));
        named.map(|(name, _)| name).find_map(|name| Some(format!("{name} is {}", frozen(store, name, now_us)?.text)))
    }

    fn over(&self, system: &str, name: &str) {
        if system == "cobbler" {
            self.flights.over(name);
        }
    }

    fn busy<'a>(&'a self, sets: &'a [String], trees: &'a [String]) -> Pin<Box<dyn Future<Output = Option<Reason>> + Send + 'a>> {
        Box::pin(self.in_flight(sets, trees))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;

    #[tokio::test]
    async fn a_reader_that_does_not_come_back_is_waited_for_so_long_and_no_longer() {
        let (end, hangs) = std::sync::mpsc::channel::<()>();
        let read = within(Duration::from_millis(1), move || async move { hangs.recv().is_ok() });
        assert!(read.await.unwrap_err().contains("could not be read"));
        drop(end);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_unknown_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[repos.a]\ntree = \"{0}/a\"\n[repos.b]\n[content.x]\nrepos = [\"a\"]\n[content.y]\nrepos = [\"b\"]\n",
            dir.path().display()
        );
        let site = Arc::new(Site::parse(&text).unwrap());
        let content = SiteContent::new(Box::new(move || Some(site.clone())), Arc::new(SystemClock));
        for (set, words) in [("x", "a: "), ("y", "neither tree nor upstream"), ("z", "no [content.z]")] {
            let r = ContentProbe::read(&content, set).await;
            assert!(r.fp.is_none() && r.detail.contains(words), "{set}: {r:?}");
        }
        assert!(content.last("x").is_some() && content.last("z").is_none());
        let none = SiteContent::new(Box::new(|| None), Arc::new(SystemClock));
        assert!(none.look("x").await.detail.contains("site check"));
    }
}
