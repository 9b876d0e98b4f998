//! Which packages are here and good, and the parallel download of those that are not.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Sync;
use super::fetch::{self, FetchError, Job};
use super::listing::Listing;
use super::state::State;
use crate::base::{crash, size};
use crate::steps::error::StepError;
use crate::systems::repo::TreeError;
use crate::systems::repo::inventory::Wanted;
use crate::systems::repo::tree::Mark;

/// After so many packages that could not be had, the rest is not tried: the upstream is broken, not a package.
const ENOUGH_FAILURES: usize = 10;

/// What is known of every wanted package, by index in the listing.
pub struct Stock {
    /// Verified and under its final name.
    pub here: Vec<Option<Mark>>,
    /// Verified and waiting under `.quarterdeck/new/`.
    pub waiting: Vec<Option<Mark>>,
    /// Under its final name, but not the file that is wanted.
    pub damaged: Vec<usize>,
}

impl Wanted {
    pub fn job(&self) -> Job {
        // No package has no bytes: 0 is a missing attribute.
        Job { location: self.location.clone(), checksum: self.checksum.clone(), size: (self.size > 0).then_some(self.size) }
    }
}

/// Looks at every wanted package. Those that the state knows and that have not moved cost one stat; others are hashed, in parallel.
pub fn take_stock(sync: &Sync, state: Option<&State>, listing: &Listing) -> Result<Stock, StepError> {
    let held: HashMap<&str, _> = state.map(|s| s.packages.iter().map(|h| (h.path.as_str(), h)).collect()).unwrap_or_default();
    let count = listing.packages.len();
    let mut stock = Stock { here: vec![None; count], waiting: vec![None; count], damaged: Vec::new() };
    let leftovers: std::collections::HashSet<String> = sync.tree.list(".quarterdeck/new")?.into_iter().collect();
    let mut doubtful = Vec::new();
    for (i, wanted) in listing.packages.iter().enumerate() {
        let at = listing.at(i);
        match sync.tree.mark(at)? {
            Some(mark) => match held.get(at) {
                Some(h) if h.mark == mark && h.checksum == checksum_text(wanted) => stock.here[i] = Some(mark),
                _ => doubtful.push(i),
            },
            None if leftovers.contains(&format!("{}-{}", wanted.checksum.algorithm, wanted.checksum.hex)) => doubtful.push(i),
            None => {}
        }
    }
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(doubtful.len())));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(doubtful.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&i) = doubtful.get(n) else { break };
                    let job = listing.packages[i].job();
                    let here = fetch::check_file(sync, listing.at(i), &job.checksum, job.size);
                    let verdict = here.and_then(|here| Ok((here, if here.is_none() { fetch::waiting(sync, &job)? } else { None })));
                    if let Ok(mut found) = found.lock() {
                        found.push((i, verdict));
                        sync.report.progress(found.len() as u64, doubtful.len() as u64, "packages", "verifying what is here");
                    }
                }
            });
        }
    });
    for (i, verdict) in found.into_inner().unwrap_or_default() {
        let (here, waiting) = verdict?;
        if here.is_none() && sync.tree.mark(listing.at(i))?.is_some() {
            stock.damaged.push(i);
        }
        stock.here[i] = here;
        stock.waiting[i] = waiting;
    }
    Ok(stock)
}

pub fn checksum_text(wanted: &Wanted) -> String {
    format!("{}:{}", wanted.checksum.algorithm, wanted.checksum.hex)
}

/// Why the packages could not all be had.
pub enum Failed {
    /// Local trouble: no other upstream helps.
    Local(TreeError),
    /// The first failure's text, how many failed, and whether the metadata may be out of date.
    Upstream { text: String, stale: bool, unreachable: bool },
}

struct Shared {
    sync: Arc<Sync>,
    queue: Mutex<VecDeque<(usize, Job)>>,
    order: Vec<usize>,
    got: Mutex<Vec<(usize, Mark)>>,
    failures: Mutex<Vec<(String, FetchError)>>,
    done: AtomicU64,
    bytes: AtomicU64,
    total: u64,
}

/// Downloads what is neither here nor waiting. Returns the number of packages and bytes that came.
pub async fn download(sync: &Arc<Sync>, upstream: usize, listing: &Listing, stock: &mut Stock) -> Result<(u64, u64), Failed> {
    // One content under two names comes once.
    let (mut first, mut twins): (HashMap<&str, usize>, Vec<(usize, usize)>) = (HashMap::new(), Vec::new());
    let mut missing: VecDeque<(usize, Job)> = VecDeque::new();
    for (i, wanted) in listing.packages.iter().enumerate() {
        if stock.here[i].is_none() && stock.waiting[i].is_none() {
            match first.get(wanted.checksum.hex.as_str()) {
                Some(&of) => twins.push((i, of)),
                None => {
                    first.insert(&wanted.checksum.hex, i);
                    missing.push_back((i, wanted.job()));
                }
            }
        }
    }
    let total = missing.len() as u64;
    if total == 0 {
        return Ok((0, 0));
    }
    // A package may come from any upstream, since its checksum decides; the one that gave the metadata is asked first.
    let order = std::iter::once(upstream).chain((0..sync.options.urls.len()).filter(|i| *i != upstream)).collect();
    let workers = sync.options.parallel.min(missing.len());
    let shared = Arc::new(Shared {
        sync: Arc::clone(sync),
        queue: Mutex::new(missing),
        order,
        got: Mutex::default(),
        failures: Mutex::default(),
        done: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        total,
    });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        tasks.spawn(work(Arc::clone(&shared)));
    }
    while tasks.join_next().await.is_some() {}
    for (i, mark) in shared.got.lock().map(|mut g| std::mem::take(&mut *g)).unwrap_or_default() {
        stock.waiting[i] = Some(mark);
    }
    for (twin, of) in twins {
        stock.waiting[twin] = stock.waiting[of];
    }
    let failures = shared.failures.lock().map(|mut f| std::mem::take(&mut *f)).unwrap_or_default();
    let Some((name, first)) = failures.first() else {
        return Ok((shared.done.load(Ordering::Relaxed), shared.bytes.load(Ordering::Relaxed)));
    };
    if let Some((_, FetchError::Local(e))) = failures.iter().find(|(_, e)| matches!(e, FetchError::Local(_))) {
        return Err(Failed::Local(e.clone()));
    }
    let more = if failures.len() > 1 { format!(" (and {} more)", failures.len() - 1) } else { String::new() };
    Err(Failed::Upstream {
        text: format!("package {name}: {first}{more}"),
        stale: failures.iter().any(|(_, e)| e.is_stale()),
        unreachable: failures.iter().all(|(_, e)| matches!(e, FetchError::Http(e) if !e.is_wrong())),
    })
}

async fn work(shared: Arc<Shared>) {
    loop {
        let Some((i, job)) = shared.queue.lock().ok().and_then(|mut q| q.pop_front()) else { return };
        match fetch::fetch(&shared.sync, &shared.order, &job).await {
            Ok(mark) => {
                crash::point("mirror.package");
                if let Ok(mut got) = shared.got.lock() {
                    got.push((i, mark));
                }
                let bytes = shared.bytes.fetch_add(mark.size, Ordering::Relaxed) + mark.size;
                let done = shared.done.fetch_add(1, Ordering::Relaxed) + 1;
                shared.sync.report.progress(done, shared.total, "packages", &format!("downloading, {}", size::short(bytes)));
            }
            Err(e) => {
                let fatal = matches!(e, FetchError::Local(_));
                let Ok(mut failures) = shared.failures.lock() else { return };
                failures.push((job.location.to_string(), e));
                if fatal || failures.len() >= ENOUGH_FAILURES {
                    drop(failures);
                    if let Ok(mut queue) = shared.queue.lock() {
                        queue.clear();
                    }
                }
            }
        }
    }
}
