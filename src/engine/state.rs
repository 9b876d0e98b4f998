//! What the engine's parts share: the site, the store, the runner, the model, and who is asking.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use tokio::sync::{Notify, Semaphore};

use super::compared::Compared;
use super::content::SiteContent;
use super::freshness::Freshness;
use super::guard::{Caller, Ground};
use super::identity::{Peer, People};
use super::lease::Leases;
use super::logging::SecretFilter;
use super::memo::Memo;
use super::model::Model;
use super::on_failure::Callers;
use super::scheduler::Board;
use super::secrets::FilteredSecrets;
use super::site_watch::SiteWatch;
use crate::api::ApiError;
use crate::api::types::Status;
use crate::base::clock::Clock;
use crate::config::{SecondPerson, Site};
use crate::domain::actor::Actor;
use crate::domain::log::Patterns;
use crate::domain::run::RunState;
use crate::runner::Runner;
use crate::store::{RunsQuery, Store};

/// Two lists of 20,000 packages are ten megabytes; each comparison has two.
const DIFFS: usize = 2;

/// The acting engine.
pub struct Engine {
    pub watch: SiteWatch,
    pub store: Store,
    pub runner: Runner,
    pub model: Model,
    pub memo: Memo,
    pub content: Arc<SiteContent>,
    pub filter: SecretFilter,
    pub secrets: Arc<FilteredSecrets>,
    pub clock: Arc<dyn Clock>,
    pub people: Arc<dyn People>,
    pub socket: PathBuf,
    /// One user's own.
    pub private: bool,
    /// Who may open a shared socket; none = everybody.
    pub socket_gid: Option<u32>,
    pub started_us: i64,
    pub schedule: Board,
    pub callers: Callers,
    pub leases: Leases,
    pub promotions: super::promotion::Board,
    pub freshness: Freshness,
    /// Comparisons of contents that run at once.
    pub diffs: Semaphore,
    pub compared: Compared,
    /// What live trees of datacentres were read to hold.
    pub live: super::versions::Live,
    configured: Mutex<(u32, BTreeMap<String, u32>)>,
    stopping: AtomicBool,
    stop: Notify,
}

/// The parts that are made before the engine.
pub struct Parts {
    pub watch: SiteWatch,
    pub store: Store,
    pub runner: Runner,
    pub content: Arc<SiteContent>,
    pub filter: SecretFilter,
    pub secrets: Arc<FilteredSecrets>,
    pub clock: Arc<dyn Clock>,
    pub people: Arc<dyn People>,
    pub socket: PathBuf,
    pub private: bool,
    pub socket_gid: Option<u32>,
    /// Executors and slots of locks that the runner was started with.
    pub configured: (u32, BTreeMap<String, u32>),
}

impl Engine {
    pub fn new(p: Parts) -> Self {
        Self {
            model: Model::new(p.store.epoch()),
            started_us: p.clock.now().as_microsecond(),
            watch: p.watch,
            store: p.store,
            runner: p.runner,
            memo: Memo::default(),
            content: p.content,
            filter: p.filter,
            secrets: p.secrets,
            clock: p.clock,
            people: p.people,
            socket: p.socket,
            private: p.private,
            socket_gid: p.socket_gid,
            schedule: Board::default(),
            callers: Callers::default(),
            leases: Leases::default(),
            promotions: Default::default(),
            freshness: Freshness::default(),
            diffs: Semaphore::new(DIFFS),
            compared: Compared::default(),
            live: super::versions::Live::default(),
            configured: Mutex::new(p.configured),
            stopping: AtomicBool::new(false),
            stop: Notify::new(),
        }
    }

    /// Tells the runner what changed in the site file since it was told last.
    pub async fn configure(&self, site: &Site) -> Result<(), ApiError> {
        let wanted = (site.executors, site.locks.clone());
        let changed = match self.configured.lock() {
            Ok(mut last) if *last != wanted => {
                last.clone_from(&wanted);
                true
            }
            _ => false,
        };
        if changed {
            self.runner.configure(wanted.0 as usize, wanted.1).await?;
        }
        Ok(())
    }

    pub fn now_us(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    /// The site as its file says it now. A broken file stops every change, and hides nothing.
    pub fn site(&self) -> Result<Arc<Site>, ApiError> {
        self.watch.current().map_err(ApiError::from)
    }

    /// What the site says about first errors; nothing where its file is broken.
    pub fn patterns(&self) -> Patterns {
        self.watch.current().map(|s| s.log.clone()).unwrap_or_default()
    }

    /// The site's time zone, for words that people read; UTC where the site file is broken.
    pub fn zone(&self) -> TimeZone {
        self.watch.current().ok().and_then(|s| crate::base::zone::named(&s.time_zone)).unwrap_or(TimeZone::UTC)
    }

    /// An instant for people, in the zone of the site.
    pub fn told(&self, us: i64) -> String {
        crate::domain::reason::at(us, &self.zone())
    }

    /// Asks the engine to end in order.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.stop.notify_waiters();
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Resolves once the engine is asked to end.
    pub async fn stopped(&self) {
        let notified = self.stop.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_stopping() {
            notified.await;
        }
    }

    /// Who is at the other end. Blocks: a directory service may be asked.
    pub fn caller(&self, peer: Peer, owner_uid: u32) -> Caller {
        let name = self.people.user(peer.uid);
        let known = name.is_some();
        let name = name.unwrap_or_else(|| format!("uid {}", peer.uid));
        let owner = peer.uid == owner_uid;
        let groups = if self.private || !known { Vec::new() } else { self.people.groups(&name, peer.gid) };
        Caller { actor: Actor::person(name, peer.uid, peer.login_uid), known, owner, groups }
    }

    pub fn ground<'a>(&self, site: &'a Site) -> Ground<'a> {
        Ground { site, private: self.one_user(site) }
    }

    /// It is one user's own, and nobody else can ever be asked. Where `second_person` is none, nobody is to be.
    pub fn one_user(&self, site: &Site) -> bool {
        self.private && !(self.people.several() && site.second_person == SecondPerson::Required)
    }

    /// Steps that may run at once, as the runner was told last.
    pub fn executors(&self) -> u64 {
        match self.configured.lock() {
            Ok(c) => u64::from(c.0),
            Err(poisoned) => u64::from(poisoned.into_inner().0),
        }
    }

    pub fn status(&self) -> Result<Status, ApiError> {
        let running = RunsQuery { states: vec![RunState::Running, RunState::Waiting], limit: 1_000_000, ..RunsQuery::default() };
        let position = self.model.position();
        let site = self.watch.current();
        let schedule = self.schedule.state();
        let drain = self.store.drain()?;
        Ok(Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            socket: self.socket.display().to_string(),
            started: super::rows::time(self.started_us),
            runs_running: self.store.runs(&running)?.len() as u64,
            state_dir: self.watch.dirs().state.display().to_string(),
            private: self.private,
            draining: drain.is_some(),
            drain_reason: drain.map(|d| drained_by(&d.by, &d.why)).unwrap_or_default(),
            scheduler: schedule.words(),
            scheduler_looked: schedule.beat_us.map(super::rows::time),
            next_due: schedule.next_us().map(super::rows::time),
            executors: self.executors(),
            executors_busy: self.store.busy()?.len() as u64,
            free_bytes: self.store.space().ok().map(|s| s.free_bytes),
            read_only: site.as_ref().is_ok_and(|s| s.read_only),
            links: site.as_ref().map(|s| links(s)).unwrap_or_default(),
            epoch: position.epoch,
            revision: position.revision,
            you: String::new(),
            armed: self.leases.armed(self.now_us()),
            acks: super::acks::shown(self)?,
            sources: super::sources::all(self),
            site_error: site.err().map(|e| e.to_string()).unwrap_or_default(),
        })
    }
}

/// Who drained the engine and, where they said so, why.
fn drained_by(who: &str, why: &str) -> String {
    if why.trim().is_empty() { format!("by {who}") } else { format!("by {who}: {why}") }
}

/// Addresses of the site file, each once and without what a person logs in with.
fn links(site: &crate::config::Site) -> Vec<String> {
    let all = site.repos.values().flat_map(|r| r.upstream.iter().chain(r.replicas.iter().map(|x| &x.at)));
    let mut out: Vec<String> = all.filter(|u| u.starts_with("http") && !u.contains(['@', '\u{1b}'])).cloned().collect();
    out.sort();
    out.dedup();
    out
}
