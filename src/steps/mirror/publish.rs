//! The publish: everything durable, then packages and metadata by rename, then `repomd.xml` by rename; later the removal of what is two cycles old.
//!
//! Kill it between any two lines: a reader finds the old repository or the new one, and the next sync finds out which.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::fetch;
use super::listing::Listing;
use super::offer::Offer;
use super::packages::{Stock, checksum_text};
use super::signature;
use super::state::{Held, REPOMD, State};
use super::{Sync, now_seconds};
use crate::base::crash;
use crate::steps::error::StepError;
use crate::systems::repo::TreeError;
use crate::systems::repo::read::sha256;
use crate::wire::http::Validators;

/// Up to so many new files each is fsynced; beyond, one syncfs is cheaper, though it also writes what others left dirty.
const FEW: usize = 16;
const NEW_REPOMD: &str = ".quarterdeck/repomd.xml";

pub struct Published {
    pub state: State,
    pub new: u64,
    pub gone: u64,
}

pub async fn publish(
    sync: &Sync,
    before: Option<&State>,
    offer: &Offer,
    listing: &Listing,
    stock: &Stock,
    from: String,
) -> Result<Published, StepError> {
    let mut state = next_state(before, offer, listing, stock, from);
    signature::lay(sync, offer.signature.as_ref(), &mut state)?;
    let old: HashSet<&str> = before.iter().flat_map(|s| s.packages.iter().map(|h| h.path.as_str())).collect();
    let new = state.packages.iter().filter(|h| !old.contains(h.path.as_str())).count() as u64;
    let now: HashSet<&str> = state.packages.iter().map(|h| h.path.as_str()).collect();
    let gone = old.iter().filter(|p| !now.contains(*p)).count() as u64;
    tokio::task::block_in_place(|| commit(sync, before, &state, offer, listing, stock))?;
    sweep(sync, &mut state).await?;
    tidy(sync);
    Ok(Published { state, new, gone })
}

/// The state after the publish: what was current and no longer is stays one cycle, what stayed one cycle goes.
fn next_state(before: Option<&State>, offer: &Offer, listing: &Listing, stock: &Stock, from: String) -> State {
    let packages: Vec<Held> = listing
        .packages
        .iter()
        .enumerate()
        .filter_map(|(i, wanted)| {
            let mark = stock.here[i].or(stock.waiting[i])?;
            Some(Held { path: listing.at(i).to_owned(), checksum: checksum_text(wanted), mark })
        })
        .collect();
    let mut metadata: Vec<Held> = Vec::with_capacity(offer.files.len());
    for file in &offer.files {
        if !metadata.iter().any(|h| h.path == file.dest) {
            metadata.push(Held { path: file.dest.clone(), checksum: file.checksum.clone(), mark: file.mark });
        }
    }
    let current: HashSet<&str> = packages.iter().chain(&metadata).map(|h| h.path.as_str()).collect();
    let md = sha256(&offer.raw);
    // A repair of the same content is no new cycle: what is kept for old readers stays kept.
    let same = before.is_some_and(|s| s.md == md);
    let held = |s: &State| s.packages.iter().chain(&s.metadata).map(|h| h.path.clone()).collect::<Vec<_>>();
    let (mut retired, mut doomed) = match before {
        Some(s) if same => (s.retired.clone(), s.doomed.clone()),
        Some(s) => (held(s), s.retired.iter().chain(&s.doomed).cloned().collect()),
        None => (Vec::new(), Vec::new()),
    };
    retired.retain(|p| !current.contains(p.as_str()));
    let kept: HashSet<&str> = retired.iter().map(String::as_str).collect();
    doomed.retain(|p: &String| !current.contains(p.as_str()) && !kept.contains(p.as_str()));
    State {
        format: State::FORMAT,
        origin_md: offer.origin_md.clone(),
        fp: listing.fp.clone(),
        from,
        validators: offer.validators.clone(),
        newest: offer.repomd.newest(),
        published: now_seconds(),
        packages,
        metadata,
        signature: Vec::new(),
        signature_validators: Validators::default(),
        signature_asked: 0,
        signed: Some(offer.signed),
        retired,
        doomed,
        md,
    }
}

fn commit(sync: &Sync, before: Option<&State>, state: &State, offer: &Offer, listing: &Listing, stock: &Stock) -> Result<(), StepError> {
    let tree = &sync.tree;
    // What takes the place of damaged bytes comes last. Good ones are never replaced: `places` gives new bytes another name.
    let (mut fresh, mut replacing) = (Vec::new(), Vec::new());
    let mut claimed: HashMap<String, usize> = HashMap::new();
    for (i, wanted) in listing.packages.iter().enumerate().filter(|(i, _)| stock.here[*i].is_none()) {
        // Two names for one content: the waiting file is moved to the first and copied for the others.
        let from = fetch::ready(&wanted.checksum);
        let copy = claimed.insert(from.clone(), i).is_some();
        let to = listing.at(i);
        let list = if tree.mark(to)?.is_some() { &mut replacing } else { &mut fresh };
        list.push((from, to, copy));
    }
    // Metadata too: two lists of nothing are the same bytes.
    let mut moves: Vec<(String, &str, bool)> = Vec::with_capacity(offer.files.len());
    for file in offer.files.iter().filter(|f| f.at != f.dest) {
        if !moves.iter().any(|(_, to, _)| *to == file.dest) {
            let copy = moves.iter().any(|(from, ..)| *from == file.at);
            moves.push((file.at.clone(), &file.dest, copy));
        }
    }
    durable(sync, fresh.iter().chain(&replacing).map(|(from, _, _)| from.as_str()).chain(moves.iter().map(|(from, ..)| from.as_str())))?;
    tree.remove(NEW_REPOMD)?;
    tree.replace(NEW_REPOMD, &offer.raw)?;
    state.write_next(tree)?;
    crash::point("mirror.pending");
    let mut dirs = BTreeSet::new();
    // Copies first: the move takes the waiting file away.
    for (from, to, copy) in fresh.iter().filter(|m| m.2).chain(fresh.iter().filter(|m| !m.2)) {
        place(sync, from, to, *copy, &mut dirs)?;
    }
    crash::point("mirror.packages");
    for (from, to, copy) in moves.iter().filter(|m| m.2).chain(moves.iter().filter(|m| !m.2)) {
        place(sync, from, to, *copy, &mut dirs)?;
    }
    crash::point("mirror.metadata");
    if dirs.len() > FEW {
        tree.sync_all()?;
    } else {
        dirs.iter().try_for_each(|d| tree.sync_dir(d))?;
    }
    for (from, to, copy) in replacing.iter().filter(|m| m.2).chain(replacing.iter().filter(|m| !m.2)) {
        place(sync, from, to, *copy, &mut dirs)?;
    }
    crash::point("mirror.replaced");
    signature::turn(sync, before, state, NEW_REPOMD)?;
    crash::point("mirror.published");
    tree.sync_dir("repodata")?;
    State::confirm(tree)?;
    crash::point("mirror.confirmed");
    Ok(())
}

fn place(sync: &Sync, from: &str, to: &str, copy: bool, dirs: &mut BTreeSet<String>) -> Result<(), StepError> {
    let tree = &sync.tree;
    dirs.insert(to.rsplit_once('/').map_or(String::new(), |(d, _)| d.to_owned()));
    if !copy {
        return Ok(tree.rename(from, to)?);
    }
    let tmp = ".quarterdeck/copy";
    tree.remove(tmp)?;
    let mut out = tree.create_new(tmp)?;
    let copied = tree.open_read(from).and_then(|mut f| {
        std::io::copy(&mut f, &mut out).and_then(|_| out.sync_all()).map_err(|e| TreeError::Io {
            what: "copy to",
            at: to.to_owned(),
            cause: e.to_string(),
            kind: e.kind(),
        })
    });
    copied?;
    Ok(tree.rename(tmp, to)?)
}

fn durable<'a>(sync: &Sync, files: impl Iterator<Item = &'a str>) -> Result<(), StepError> {
    let files: Vec<&str> = files.collect();
    if files.len() > FEW {
        return Ok(sync.tree.sync_all()?);
    }
    for at in files {
        let synced = match sync.tree.open_read(at) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other?.sync_all(),
        };
        synced.map_err(|e| TreeError::Io { what: "sync", at: at.to_owned(), cause: e.to_string(), kind: e.kind() })?;
    }
    Ok(())
}

/// Removes what is two cycles old, after readers that straddle the last publish have had their time. Only recorded names are removed.
pub async fn sweep(sync: &Sync, state: &mut State) -> Result<(), StepError> {
    if state.doomed.is_empty() {
        return Ok(());
    }
    let age = u64::try_from(now_seconds() - state.published).unwrap_or(0);
    // Seconds are cut off: one more, or a publish at x.9 would look a second older than it is.
    let settled = sync.options.settle + Duration::from_secs(u64::from(!sync.options.settle.is_zero()));
    if let Some(wait) = settled.checked_sub(Duration::from_secs(age)).filter(|w| !w.is_zero()) {
        tokio::time::sleep(wait).await;
    }
    let current: HashSet<&str> = state.packages.iter().chain(&state.metadata).map(|h| h.path.as_str()).collect();
    let mut left = Vec::new();
    for path in state.doomed.iter().filter(|p| !current.contains(p.as_str()) && *p != REPOMD) {
        if let Err(e) = sync.tree.remove(path) {
            sync.report.say(&format!("an old file stays: {e}"));
            left.push(path.clone());
        }
        crash::point("mirror.sweep");
    }
    state.doomed = left;
    state.write(&sync.tree)
}

/// Empties our own waiting rooms: after a publish nothing in them is of use. Failing costs space, nothing else.
fn tidy(sync: &Sync) {
    for dir in [".quarterdeck/new", ".quarterdeck/partial"] {
        for name in sync.tree.list(dir).unwrap_or_default() {
            let _ = sync.tree.remove(&format!("{dir}/{name}"));
        }
    }
    signature::tidy(&sync.tree);
}
