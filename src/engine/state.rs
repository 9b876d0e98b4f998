//! What the engine's parts share: the site, the store, the runner, the model, and who is asking.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use tokio::sync::Notify;

use super::callers::Callers;
use super::compared::Compared;
use super::content::{Live, SiteContent};
use super::freshness::known::Freshness;
use super::guard::{Caller, Ground};
use super::identity::{Peer, People};
use super::lease::Leases;
use super::logging::SecretFilter;
use super::memo::Memo;
use super::model::Model;
use super::promotion::board::Board as Promotions;
use super::scheduler::board::Board as Schedule;
use super::secrets::FilteredSecrets;
use super::site_watch::SiteWatch;
use crate::api::ApiError;
use crate::base::clock::Clock;
use crate::config::{SecondPerson, Site};
use crate::domain::actor::Actor;
use crate::domain::log::Patterns;
use crate::runner::Runner;
use crate::store::Store;

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
    pub schedule: Schedule,
    pub callers: Callers,
    pub leases: Leases,
    pub promotions: Promotions,
    pub freshness: Freshness,
    pub compared: Compared,
    /// What live trees of datacentres were read to hold.
    pub live: Live,
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
            schedule: Schedule::default(),
            callers: Callers::default(),
            leases: Leases::default(),
            promotions: Promotions::default(),
            freshness: Freshness::default(),
            compared: Compared::default(),
            live: Live::default(),
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
}
