//! The course of one sync: upstreams in order, each asked for its metadata, judged, downloaded and published.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::fetch::{self, FetchError, Job};
use super::guard::{self, Extent};
use super::offer::{Metadata, Offer};
use super::packages::{self, Failed};
use super::places;
use super::publish;
use super::signature::{self, ASC, Beside};
use super::state::{REPOMD, State};
use super::{Outcome, Sync, listing};
use crate::base::crash;
use crate::domain::content::Collector;
use crate::steps::error::StepError;
use crate::systems::repo::read::sha256;
use crate::systems::repo::tree::Mark;
use crate::systems::repo::{Origin, digest, inventory};
use crate::wire::HttpError;
use crate::wire::http::{Ask, Validators};
use crate::wire::repomd::{self, Repomd};

/// An upstream in the middle of a push is looked at again after these pauses.
const PUSH_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Why an attempt ended without an outcome.
enum Stop {
    /// Another upstream may do.
    Next {
        text: String,
        unreachable: bool,
    },
    /// The upstream changed under us; look again.
    Moved(String),
    Fatal(StepError),
}

impl From<StepError> for Stop {
    fn from(e: StepError) -> Self {
        Self::Fatal(e)
    }
}

impl From<HttpError> for Stop {
    fn from(e: HttpError) -> Self {
        Self::Next { text: e.to_string(), unreachable: !e.is_wrong() }
    }
}

/// What is known before any upstream is asked.
struct Before {
    state: Option<State>,
    /// The state describes what is served, and every file is the one that was verified.
    intact: bool,
    extent: Extent,
    /// Where the state does not tell it: packages that the tree's own metadata names, by path their checksum.
    found: HashMap<String, String>,
}

pub async fn sync(sync: &Arc<Sync>) -> Result<Outcome, StepError> {
    let mut state = State::load(&sync.tree)?;
    if let Some(state) = &mut state {
        publish::sweep(sync, state).await?;
    }
    let before = look(sync, state).await?;
    let mut failures: Vec<(String, bool)> = Vec::new();
    for index in 0..sync.options.urls.len() {
        match upstream(sync, index, &before).await {
            Ok(outcome) => return Ok(outcome),
            Err(Stop::Fatal(e)) => return Err(e),
            Err(Stop::Next { text, unreachable }) => {
                // The only one is told by the error itself.
                if sync.options.urls.len() > 1 {
                    sync.report.say(&format!("upstream {} of {}: {text}", index + 1, sync.options.urls.len()));
                }
                failures.push((text, unreachable));
            }
            Err(Stop::Moved(text)) => failures.push((text, false)),
        }
    }
    let what = match failures.as_slice() {
        [(one, _)] => one.clone(),
        many => format!("no upstream could be mirrored: {}", many.iter().map(|(t, _)| t.as_str()).collect::<Vec<_>>().join("; ")),
    };
    let next = "the served tree is as it was, and what was downloaded is kept: mend the upstream (curl -I shows what it answers) or add another url, then retry";
    Err(if failures.iter().all(|(_, unreachable)| *unreachable) { StepError::far_end(what, next) } else { StepError::failed(what, next) })
}

async fn look(sync: &Sync, state: Option<State>) -> Result<Before, StepError> {
    let Some(state) = state else {
        // A tree that another program filled: its own metadata tells what would be lost.
        let (found, bytes) = named_here(sync).await?;
        let extent = Extent { packages: found.len() as u64, bytes };
        return Ok(Before { state: None, intact: false, extent, found });
    };
    let damaged = state.damaged(&sync.tree)?;
    // Somebody else wrote the metadata that is served.
    let foreign = damaged.first().is_some_and(|f| f == REPOMD);
    let found = if foreign { named_here(sync).await?.0 } else { HashMap::new() };
    if let Some(first) = damaged.first() {
        sync.report.say(&format!(
            "{} changed since the last sync, {first} is the first: everything doubtful is verified",
            some(damaged.len(), "file")
        ));
    }
    let extent = Extent { packages: state.packages.len() as u64, bytes: state.bytes() };
    Ok(Before { intact: damaged.is_empty(), extent, state: Some(state), found })
}

/// The packages that the metadata in the tree names, and their bytes; none where there is none that can be read.
async fn named_here(sync: &Sync) -> Result<(HashMap<String, String>, u64), StepError> {
    if sync.tree.mark(REPOMD)?.is_none() {
        return Ok((HashMap::new(), 0));
    }
    let here = match Origin::open(&sync.tree.path().display().to_string()) {
        Ok(origin) => inventory::read(&sync.options.repo, &origin, &mut Collector::new()).await,
        Err(e) => Err(e),
    };
    let Ok(here) = here else { return Ok((HashMap::new(), 0)) };
    let bytes = here.shelf.bytes();
    let named = here.shelf.packages.iter().map(|w| (w.location.to_string(), packages::checksum_text(w)));
    Ok((named.collect(), bytes))
}

async fn upstream(sync: &Arc<Sync>, index: usize, before: &Before) -> Result<Outcome, Stop> {
    let mut last = String::new();
    for round in 0..=PUSH_PAUSES.len() {
        if round > 0 {
            sync.report.say(&format!("{last}: the upstream may be in the middle of a push, looking again"));
            tokio::time::sleep(PUSH_PAUSES[round - 1]).await;
        }
        match once(sync, index, before, round).await {
            Err(Stop::Moved(text)) => last = text,
            other => return other,
        }
    }
    let text = format!("{last}; after {} looks the upstream is still in the middle of a push, or damaged", PUSH_PAUSES.len() + 1);
    Err(Stop::Next { text, unreachable: false })
}

async fn once(sync: &Arc<Sync>, index: usize, before: &Before, round: usize) -> Result<Outcome, Stop> {
    let whole = round > 0;
    let shown = sync.shown(index);
    let from = sync.options.urls.get(index).map(|u| sha256(u.as_str().as_bytes())).unwrap_or_default();
    let known = before.state.as_ref().filter(|s| before.intact && s.from == from && !whole);
    let asked = get_repomd(sync, index, known.map(|s| &s.validators)).await;
    let Some((raw, validators)) = asked.map_err(|e| left(e, before.state.as_ref().is_some_and(|s| s.from == from)))? else {
        return match known {
            Some(state) => same(sync, index, state, state.clone(), round).await,
            None => Err(Stop::Next { text: format!("{shown}: HTTP 304 to a question without a condition"), unreachable: true }),
        };
    };
    let repomd = repomd::parse(&raw).map_err(|e| Stop::Next { text: format!("{shown}repodata/repomd.xml: {e}"), unreachable: false })?;
    let origin_md = sha256(&raw);
    if let Some(state) = before.state.as_ref().filter(|s| before.intact && s.origin_md == origin_md) {
        return same(sync, index, state, State { from, validators, ..state.clone() }, round).await;
    }
    // The first upstream may go back on purpose; a stand-in that lags must not take the mirror back with it.
    let lags = before.state.as_ref().and_then(|s| s.newest).zip(repomd.newest()).is_some_and(|(ours, theirs)| theirs < ours);
    if index > 0 && lags {
        return Err(Stop::Next { text: format!("{shown}: it is older than what is already here"), unreachable: false });
    }
    let signature = match beside(sync, index, None, &raw).await? {
        Beside::Signed(signature) => Some(signature),
        Beside::Unsigned | Beside::Same => None,
    };
    let was_signed = before.state.as_ref().is_some_and(|s| s.signed == Some(true));
    if signature.is_none() && before.state.as_ref().is_some_and(|s| !s.signature.is_empty()) {
        gone(sync, index, round)?;
    }
    let mut offer = get_metadata(sync, index, before, raw, repomd, origin_md, validators).await?;
    offer.signed = was_signed || signature.is_some();
    offer.signature = signature;
    let mut listing =
        tokio::task::block_in_place(|| listing::read(sync, &offer)).map_err(|e| Stop::Next { text: e.to_string(), unreachable: false })?;
    guard::shrink(&sync.options.repo, before.extent, listing.extent, sync.options.shrink)?;
    tokio::task::block_in_place(|| places::settle(sync, before.state.as_ref(), &before.found, &mut listing))?;
    let mut stock = tokio::task::block_in_place(|| packages::take_stock(sync, before.state.as_ref(), &listing))?;
    preflight(sync, &listing, &stock)?;
    if !stock.damaged.is_empty() {
        let first = listing.at(stock.damaged[0]);
        sync.report
            .say(&format!("not what the metadata says, and fetched again: {}, {first} is the first", some(stock.damaged.len(), "package")));
    }
    let (downloaded, downloaded_bytes) = match packages::download(sync, index, &listing, &mut stock).await {
        Ok(got) => got,
        Err(Failed::Local(e)) => return Err(Stop::Fatal(e.into())),
        // Only a repomd that has moved meanwhile is a push; the same one twice is damage.
        Err(Failed::Upstream { text, stale: true, .. }) if !whole && moved(sync, index, &offer.origin_md).await => {
            return Err(Stop::Moved(text));
        }
        Err(Failed::Upstream { text, unreachable, .. }) => return Err(Stop::Next { text, unreachable }),
    };
    crash::point("mirror.downloaded");
    tokio::task::block_in_place(|| places::rewrite(sync, &mut offer, &listing))?;
    if offer.signature.is_some() && sha256(&offer.raw) != offer.origin_md {
        sync.report
            .say(&format!("{ASC} is left out: files lie in other places here, and upstream has not signed the repomd.xml that says so"));
        offer.signature = None;
    }
    let published = publish::publish(sync, before.state.as_ref(), &offer, &listing, &stock, from).await?;
    Ok(Outcome {
        state: published.state,
        unchanged: false,
        downloaded,
        downloaded_bytes,
        new: published.new,
        gone: published.gone,
        from: shown,
    })
}

/// A repository that was there and is not: what has reached its end of life is moved away as a whole.
fn left(e: HttpError, was_here: bool) -> Stop {
    match e.status() {
        Some(404 | 410) if was_here => {
            let more = "it was there at the last sync: after an end of life repositories move to a vault. Give its url there, or freeze this one (do freeze)";
            Stop::Next { text: format!("{e}; {more}"), unreachable: true }
        }
        _ => e.into(),
    }
}

/// Nothing has changed but, perhaps, the signature: it was made anew, came late, or was taken away.
async fn same(sync: &Sync, index: usize, before: &State, mut now: State, round: usize) -> Result<Outcome, Stop> {
    if signature::due(sync, before) {
        let raw = sync.tree.read_small(REPOMD, repomd::MAX_BYTES).map_err(StepError::from)?.unwrap_or_default();
        let known = (now.from == before.from && !before.signature.is_empty()).then_some(&before.signature_validators);
        match beside(sync, index, known, &raw).await? {
            Beside::Same => now.signature_asked = super::now_seconds(),
            Beside::Unsigned => {
                if !before.signature.is_empty() {
                    gone(sync, index, round)?;
                }
                signature::lay(sync, None, &mut now)?;
                now.signed.get_or_insert(false);
            }
            Beside::Signed(found) => {
                signature::lay(sync, Some(&found), &mut now)?;
                now.signed = Some(true);
            }
        }
        if now.signature != before.signature {
            sync.report.say(&format!("{ASC} is another one now, around the same metadata"));
            signature::replace(sync, before, &now)?;
            signature::tidy(&sync.tree);
        }
    }
    if now != *before {
        now.write(&sync.tree)?;
    }
    let from = sync.shown(index);
    Ok(Outcome { state: now, unchanged: true, downloaded: 0, downloaded_bytes: 0, new: 0, gone: 0, from })
}

/// What an upstream has beside this `repomd.xml`. A signature of another one is of a push that is on its way: both would be taken torn.
async fn beside(sync: &Sync, index: usize, known: Option<&Validators>, raw: &[u8]) -> Result<Beside, Stop> {
    if !sync.options.signature {
        return Ok(Beside::Unsigned);
    }
    let found = signature::get(sync, index, known).await?;
    match &found {
        Beside::Signed(s) if digest::may_sign(&s.asc, raw) == Some(false) => Err(Stop::Moved(format!(
            "{}{ASC} is not the signature of its repomd.xml (`signature: none` mirrors without it)",
            sync.shown(index)
        ))),
        _ => Ok(found),
    }
}

/// A signature that was there and is not is looked for again before it is believed to be gone for good.
fn gone(sync: &Sync, index: usize, round: usize) -> Result<(), Stop> {
    let shown = sync.shown(index);
    if !sync.options.signature {
        return Ok(());
    }
    if round < PUSH_PAUSES.len() {
        return Err(Stop::Moved(format!("{shown}{ASC} is gone")));
    }
    sync.report.say(&format!("{shown} is not signed any more: hosts with repo_gpgcheck=1 will refuse it"));
    Ok(())
}

/// The upstream's repomd, or `None` where it has not changed since these validators.
async fn get_repomd(sync: &Sync, index: usize, known: Option<&Validators>) -> Result<Option<(Vec<u8>, Validators)>, HttpError> {
    fetch::document(sync, index, REPOMD, known.map_or(Ask::Whole, Ask::IfChanged), repomd::MAX_BYTES).await
}

async fn moved(sync: &Sync, index: usize, md: &str) -> bool {
    matches!(get_repomd(sync, index, None).await, Ok(Some((raw, _))) if sha256(&raw) != md)
}

/// Brings every metadata file onto our disk, verified: kept where it is already served, else fetched.
async fn get_metadata(
    sync: &Sync,
    index: usize,
    before: &Before,
    raw: Vec<u8>,
    repomd: Repomd,
    origin_md: String,
    validators: Validators,
) -> Result<Offer, Stop> {
    let shown = sync.shown(index);
    let (mut files, mut renamed) = (Vec::with_capacity(repomd.data.len()), BTreeMap::new());
    let total = repomd.data.len() as u64;
    for (i, data) in repomd.data.iter().enumerate() {
        if digest::Hasher::new(&data.checksum.algorithm).is_none() {
            let text = format!("{shown}: its metadata has checksums of kind `{}`, which are not supported", data.checksum.algorithm);
            return Err(Stop::Next { text, unreachable: false });
        }
        // A plain name such as primary.xml.gz would be replaced under a reader that holds the old repomd: it gets its checksum in front.
        let dest = if data.hash_named() {
            data.location.to_string()
        } else {
            let dest = format!("repodata/{}-{}", data.checksum.hex, data.location.file_name());
            renamed.insert(i, dest.clone());
            dest
        };
        if dest == REPOMD {
            return Err(Stop::Next { text: format!("{shown}: `{}` names repomd.xml itself", data.ty), unreachable: false });
        }
        let checksum = format!("{}:{}", data.checksum.algorithm, data.checksum.hex);
        let job = Job { location: data.location.clone(), checksum: data.checksum.clone(), size: data.size };
        let (at, mark) = match here(sync, before, &dest, &checksum, &job)? {
            Some(mark) => (dest.clone(), mark),
            None => {
                let mark = match fetch::waiting(sync, &job).map_err(StepError::from)? {
                    Some(mark) => mark,
                    None => fetch::fetch(sync, &[index], &job).await.map_err(|e| match e {
                        FetchError::Local(e) => Stop::Fatal(e.into()),
                        e if e.is_stale() => Stop::Moved(format!("{e}, so it does not fit repomd.xml")),
                        FetchError::Http(e) => e.into(),
                        e => Stop::Next { text: e.to_string(), unreachable: false },
                    })?,
                };
                (fetch::ready(&job.checksum), mark)
            }
        };
        files.push(Metadata { at, dest, mark, checksum });
        sync.report.progress(i as u64 + 1, total, "files", "metadata");
    }
    let raw = if renamed.is_empty() { raw } else { repomd::relocate(&raw, &repomd, &renamed) };
    Ok(Offer { shown, repomd, raw, origin_md, validators, files, signature: None, signed: false })
}

/// The mark of a metadata file that is already served and good.
fn here(sync: &Sync, before: &Before, dest: &str, checksum: &str, job: &Job) -> Result<Option<Mark>, StepError> {
    let Some(mark) = sync.tree.mark(dest)? else { return Ok(None) };
    let held = before.state.as_ref().and_then(|s| s.metadata.iter().find(|h| h.path == dest));
    if held.is_some_and(|h| h.mark == mark && h.checksum == checksum) {
        return Ok(Some(mark));
    }
    Ok(fetch::check_file(sync, dest, &job.checksum, job.size)?)
}

fn preflight(sync: &Sync, listing: &listing::Listing, stock: &packages::Stock) -> Result<(), StepError> {
    let (mut bytes, mut files) = (0u64, 8u64);
    for (i, wanted) in listing.packages.iter().enumerate() {
        if stock.here[i].is_none() && stock.waiting[i].is_none() {
            // A part that is kept is already paid for.
            bytes += wanted.size.saturating_sub(if wanted.size > 1 << 20 { fetch::partial_size(sync, &wanted.checksum) } else { 0 });
            files += 1;
        }
    }
    guard::disk(&sync.tree.path().display().to_string(), bytes, files, sync.tree.space()?)
}

/// `1 file`, `2 files`.
fn some(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
