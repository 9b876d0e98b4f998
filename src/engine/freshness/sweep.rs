//! One sweep: the repositories that are due, each upstream first, then its other places; far ends are asked by few at a time, and one that
//! does not answer is not asked again in the same sweep.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use url::Url;

use super::board::{PlaceBoard, RepoBoard, STABLE, TREE, UPSTREAM};
use super::known::Freshness;
use super::signed;
use crate::config::Site;
use crate::config::site::Repo;
use crate::domain::freshness::{Observed, Signed, Trouble};
use crate::domain::rows::ObservationRow;
use crate::engine::blocking::blocking;
use crate::engine::state::Engine;
use crate::engine::trees;
use crate::systems::repo::RepoError;
use crate::systems::repo::disk::Asking;
use crate::systems::repo::probe::{self, Contents, Head, Meter, Place};
use crate::systems::repo::read::sha256;
use crate::wire::http::{Client, Raw};
use crate::wire::{HttpError, address};

/// Places of one far end at the same time; each asks two questions at once.
const AT_ONE: usize = 2;
/// Addresses of an upstream that are tried.
const TRIED: usize = 3;
/// Packages that are asked for in one look.
const ASKED: usize = 32;
/// Even where nothing moves, packages are asked for so often.
const AGAIN_US: i64 = 3_600 * 1_000_000;

/// A look that takes longer than this has failed: a place may have to give a package list of some ten megabytes.
const PLACE: Duration = Duration::from_secs(600);

struct Sweep<'e> {
    client: Client,
    fresh: &'e Freshness,
    meter: Arc<Meter>,
    now_us: i64,
    /// Where signatures are judged.
    scratch: PathBuf,
    gates: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    /// Far ends that did not answer in this sweep, and why.
    down: Mutex<BTreeMap<String, String>>,
}

/// What upstream has, for a place that may be a copy of it.
struct Known<'a> {
    whole: Option<&'a Observed>,
    board: &'a RepoBoard,
}

/// Looks at the repositories.
pub async fn sweep(engine: &Arc<Engine>, site: &Arc<Site>, client: &Client, due: &[(String, bool)]) {
    let sweep = Sweep {
        client: client.clone(),
        fresh: &engine.freshness,
        meter: engine.freshness.meter.clone(),
        now_us: engine.now_us(),
        scratch: engine.watch.dirs().state.join("signed"),
        gates: Mutex::default(),
        down: Mutex::default(),
    };
    let looks = due.iter().filter_map(|(name, asked)| {
        let (board, repo) = (engine.freshness.of(name)?, site.repos.get(name)?);
        let sweep = &sweep;
        Some(async move {
            let board = sweep.repo(name, repo, board, *asked).await;
            let at_us = engine.now_us();
            let rows = board.places.iter().map(|(place, p)| ObservationRow {
                repo: name.clone(),
                place: place.clone(),
                observed: p.observed.clone(),
                at_us,
            });
            if let Err(e) = engine.store.observe(rows.collect()).await {
                tracing::warn!("what was seen of {name} cannot be kept: {e}");
            }
            settle(engine, site, name, board).await;
        })
    });
    join_all(looks).await;
}

impl Sweep<'_> {
    async fn repo(&self, name: &str, repo: &Repo, mut board: RepoBoard, asked: bool) -> RepoBoard {
        let today = jiff::Timestamp::from_microsecond(self.now_us).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
        let still = repo.standstill(today).is_some();
        let mut places: Vec<(String, String)> = repo.replicas.iter().map(|r| (r.dc.clone(), r.at.clone())).collect();
        places.extend((!repo.tree.is_empty()).then(|| (TREE.to_owned(), repo.tree.clone())));
        places.extend((!repo.stable.is_empty()).then(|| (STABLE.to_owned(), repo.stable.clone())));
        board.places.retain(|n, _| (n == UPSTREAM && repo.has_upstream()) || places.iter().any(|(p, _)| p == n));
        // What stands still may have no upstream any more, and must not be measured by it.
        if repo.has_upstream() && !still {
            let before = board.places.get(UPSTREAM).cloned().unwrap_or_default();
            let (seen, contents) = self.upstream(name, repo, &before, &board, asked).await;
            if let Some(contents) = &contents {
                board.keep(contents);
            }
            board.upstream_seen(&seen.observed, self.now_us);
            board.places.insert(UPSTREAM.to_owned(), seen);
        }
        let looked = {
            let known = Known { whole: board.whole.as_ref(), board: &board };
            let looks = places.iter().map(|(place, at)| {
                let before = board.places.get(place).cloned().unwrap_or_default();
                let known = &known;
                async move { (place.clone(), self.place(name, place, at, repo, before, known, asked).await) }
            });
            join_all(looks).await
        };
        for (place, (seen, contents)) in looked {
            if let Some(contents) = &contents {
                board.keep(contents);
            }
            board.places.insert(place, seen);
        }
        board.compare();
        board.plan(self.now_us);
        board
    }

    /// Upstream, from the first address that answers.
    async fn upstream(
        &self,
        name: &str,
        repo: &Repo,
        before: &PlaceBoard,
        board: &RepoBoard,
        asked: bool,
    ) -> (PlaceBoard, Option<Contents>) {
        let known = Known { whole: None, board };
        let (addresses, current) = match self.addresses(repo).await {
            Ok(found) => found,
            Err(e) => return (self.failed(before.clone(), &e, true), None),
        };
        // The mirror manager says that it is still what we know: nothing else is asked.
        let same = current.is_some()
            && current == before.observed.md
            && before.observed.is_whole()
            && !before.reread
            && before.checked_us.is_some();
        if same && !asked {
            return (PlaceBoard { checked_us: Some(self.now_us), ..before.clone() }, None);
        }
        let mut last = (before.clone(), None);
        for at in addresses.iter().take(TRIED) {
            last = self.place(name, UPSTREAM, at, repo, before.clone(), &known, asked).await;
            if !matches!(last.0.observed.trouble, Trouble::Silent(_)) {
                break;
            }
        }
        last
    }

    /// Addresses of the upstream, and the md that is current where a mirror manager tells it.
    async fn addresses(&self, repo: &Repo) -> Result<(Vec<String>, Option<String>), RepoError> {
        if let Some(at) = &repo.metalink {
            let m = probe::metalink(&self.client, &self.meter, at).await?;
            return Ok((m.bases.iter().map(|b| b.to_string()).collect(), m.sha256));
        }
        if let Some(at) = &repo.mirrorlist {
            return Ok((probe::mirror_list(&self.client, &self.meter, at).await?, None));
        }
        Ok((repo.upstream.clone(), None))
    }

    fn failed(&self, mut place: PlaceBoard, e: &RepoError, head: bool) -> PlaceBoard {
        let before = place.observed.clone();
        place.observed.trouble = match probe::trouble(e, head) {
            // A document that names addresses and cannot be read is no torn repository.
            Trouble::Torn(why) if head => Trouble::Silent(why),
            other => other,
        };
        self.conclude(place, &before)
    }

    /// One place, as far as it must be looked at.
    #[allow(clippy::too_many_arguments)]
    async fn place(
        &self,
        name: &str,
        place: &str,
        at: &str,
        repo: &Repo,
        mut board: PlaceBoard,
        known: &Known<'_>,
        asked: bool,
    ) -> (PlaceBoard, Option<Contents>) {
        let before = board.observed.clone();
        board.observed.at = address::shown_text(at);
        let end = far_end(at);
        if let Some(why) = self.down(&end) {
            // The reason was found at another address of the same server.
            let why = if why.starts_with(&board.observed.at) {
                why
            } else {
                format!("{}: not asked, as its server is silent: {why}", board.observed.at)
            };
            board.observed.trouble = Trouble::Silent(why);
            return (self.conclude(board, &before), None);
        }
        if let Some(since_us) = self.fresh.hangs(at) {
            let since = jiff::Timestamp::from_microsecond(since_us).unwrap_or_default().strftime("%F %H:%M:%S");
            board.observed.trouble = Trouble::Silent(format!("{}: its file system hangs since {since} UTC", board.observed.at));
            return (self.conclude(board, &before), None);
        }
        let by = Asking::default();
        let gate = self.gate(&end);
        let look = async {
            let _permit = gate.acquire().await;
            self.look(name, place, at, &by, repo, &mut board, known, asked).await
        };
        let found = tokio::time::timeout(PLACE, look).await;
        let contents = match found {
            Ok(Ok(contents)) => contents,
            Ok(Err((e, head))) => {
                if matches!(e, RepoError::Hangs { .. }) {
                    self.fresh.mark_hanging(at, self.now_us, by.mark());
                }
                if let RepoError::Http(
                    HttpError::Connect { .. } | HttpError::Dns { .. } | HttpError::Proxy { .. } | HttpError::Stalled { .. },
                ) = &e
                {
                    self.mark_down(&end, &e);
                }
                if let RepoError::Http(HttpError::Status { raw: Some(raw), .. }) = &e {
                    board.raw = Some(Arc::new((**raw).clone()));
                }
                // It was seen to move: what its files said meanwhile says nothing.
                if board.observed.trouble != Trouble::Moved {
                    board.observed.trouble = probe::trouble(&e, head);
                }
                None
            }
            Err(_) => {
                board.observed.trouble = Trouble::Silent(format!("{}: not read within {} s", board.observed.at, PLACE.as_secs()));
                None
            }
        };
        (self.conclude(board, &before), contents)
    }

    /// The ladder. An error says whether it came while `repomd.xml` itself was asked for.
    #[allow(clippy::too_many_arguments)]
    async fn look(
        &self,
        name: &str,
        place: &str,
        at: &str,
        by: &Asking,
        repo: &Repo,
        board: &mut PlaceBoard,
        known: &Known<'_>,
        asked: bool,
    ) -> Result<Option<Contents>, (RepoError, bool)> {
        let trouble = std::mem::take(&mut board.observed.trouble);
        let end = Place::open(&self.client, &self.meter, at, by.clone()).await.map_err(|e| (e, true))?;
        board.observed.held = end.is_held().await.map_err(|e| (e, true))?;
        board.observed.snapshot = end.snapshot().await.map_err(|e| (e, true))?;
        // What another life of the engine knew is read once more: counting and sampling need its packages.
        let listed = board.observed.fp.as_ref().is_some_and(|fp| known.board.shelf.contains_key(fp));
        let whole = matches!(trouble, Trouble::None | Trouble::Silent(_)) && listed && !board.reread;
        let validators = board.validators.as_ref().filter(|(of, _)| of == at && whole).map(|(_, v)| v);
        board.raw = None;
        let head = end.head(validators).await;
        board.raw = end.refused().map(Arc::new);
        let head = head.map_err(|e| (e, true))?;
        let raw = match head {
            Head::Same => None,
            Head::Read { raw, validators } => {
                board.validators = Some((at.to_owned(), validators));
                Some(raw)
            }
        };
        let moved = raw.as_ref().filter(|raw| !whole || Some(sha256(raw)) != board.observed.md);
        let mut contents = None;
        if let Some(raw) = moved {
            let found = self.read(&end, name, place, repo, board, known, raw).await;
            if let Err((RepoError::Wire { .. }, _)) = &found {
                board.raw = Some(Arc::new(Raw::whole("repodata/repomd.xml", raw)));
            }
            contents = found?;
        }
        board.reread = false;
        let suspect = board.observed.missing + board.observed.short > 0;
        let again = board.sampled_us.is_none_or(|t| self.now_us - t >= AGAIN_US);
        // It may be signed anew where nothing else moves.
        if place == UPSTREAM && (moved.is_some() || again || board.observed.signed.is_open(!repo.keys.is_empty())) {
            // A server that gives the repository and not this answer is no less fresh for it: what was known of the key stays.
            match signed::look(&end, repo, moved.map(Vec::as_slice), &self.scratch.join(name)).await {
                Ok(Signed::Unasked) => {}
                Ok(found) => board.observed.signed = found,
                Err(e) => tracing::debug!(repo = name, "its signature was not read: {e}"),
            }
        }
        if moved.is_some() || asked || suspect || again {
            let own = contents.as_ref().map(|c: &Contents| c.sample.clone());
            let shelf = || board.observed.fp.as_ref().and_then(|fp| known.board.shelf.get(fp)).map(|k| k.sample.clone());
            match own.or_else(shelf) {
                Some(all) => {
                    // Where it moved, what is new first.
                    let turn = match moved {
                        Some(_) => 0,
                        None => usize::try_from(self.now_us / 1_000_000).unwrap_or(0) % all.len().max(1),
                    };
                    let some: Vec<_> = all.iter().cycle().skip(turn).take(ASKED.min(all.len())).cloned().collect();
                    let found = end.sample(&some).await.map_err(|e| (e, false))?;
                    if found.missing + found.short > 0
                        && let Ok(Head::Read { raw: later, .. }) = end.head(None).await
                        && Some(sha256(&later)) != board.observed.md
                    {
                        // They were asked for by metadata that is not served any more.
                        board.observed.trouble = Trouble::Moved;
                        (board.observed.missing, board.observed.short) = (0, 0);
                        return Ok(contents);
                    }
                    board.observed.missing = found.missing;
                    board.observed.short = found.short;
                    board.observed.sampled = found.asked;
                    board.observed.first = found.first;
                    board.sampled_us = Some(self.now_us);
                }
                None => board.reread = true,
            }
        }
        Ok(contents)
    }

    /// What the metadata says, from the metadata itself, or from what it is a copy of.
    #[allow(clippy::too_many_arguments)]
    async fn read(
        &self,
        end: &Place,
        name: &str,
        place: &str,
        repo: &Repo,
        board: &mut PlaceBoard,
        known: &Known<'_>,
        raw: &[u8],
    ) -> Result<Option<Contents>, (RepoError, bool)> {
        let md = sha256(raw);
        let copy = known.whole.filter(|w| w.md.as_ref() == Some(&md) && w.fp.as_ref().is_some_and(|fp| known.board.shelf.contains_key(fp)));
        let o = &mut board.observed;
        if let Some(w) = copy {
            end.named_files(raw).await.map_err(|e| (e, false))?;
            *o = Observed {
                fp: w.fp.clone(),
                packages: w.packages,
                bytes: w.bytes,
                arch: w.arch.clone(),
                newest: w.newest,
                revision: w.revision.clone(),
                md: Some(md),
                origin: None,
                ..o.clone()
            };
            return Ok(None);
        }
        let seed = self.now_us.unsigned_abs();
        let before = o.fp.as_ref().and_then(|fp| known.board.shelf.get(fp)).map(|k| k.keys.clone());
        let contents = match end.contents(name, raw.to_vec(), seed, before).await {
            Ok(c) => c,
            Err(e) => {
                // Not read is not known: what was read before stays what it was.
                if matches!(probe::trouble(&e, false), Trouble::Silent(_)) {
                    return Err((e, false));
                }
                // A publish that passed between two files is no lie.
                if let Ok(Head::Read { raw: later, .. }) = end.head(None).await
                    && later != raw
                {
                    o.trouble = Trouble::Moved;
                }
                o.md = Some(md);
                return Err((e, false));
            }
        };
        o.origin = if place != UPSTREAM && repo.writer == "cobbler" { end.kept_origin().await } else { None };
        if place == UPSTREAM {
            o.compose = end.label().await;
        }
        o.md = Some(contents.md.clone());
        o.fp = Some(contents.fp.clone());
        o.packages = contents.packages;
        o.bytes = contents.bytes;
        o.arch.clone_from(&contents.arch);
        o.newest = contents.newest;
        o.revision.clone_from(&contents.revision);
        Ok(Some(contents))
    }

    /// What follows from the look, whatever it found.
    fn conclude(&self, mut place: PlaceBoard, before: &Observed) -> PlaceBoard {
        let first = before.at.is_empty();
        let old = (!first).then_some(before);
        place.observed = std::mem::take(&mut place.observed).mourned(old).keyed(old).doubted(old, self.now_us);
        let o = &place.observed;
        if o.fp != before.fp || first {
            place.changed_us = Some(self.now_us);
        }
        if first || o.is_news(before) {
            place.since_us = Some(self.now_us);
        }
        if !matches!(o.trouble, Trouble::Silent(_)) {
            place.checked_us = Some(self.now_us);
        }
        place
    }

    fn gate(&self, end: &str) -> Arc<Semaphore> {
        let mut gates = match self.gates.lock() {
            Ok(g) => g,
            Err(poisoned) => poisoned.into_inner(),
        };
        gates.entry(end.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONE))).clone()
    }

    fn down(&self, end: &str) -> Option<String> {
        self.down.lock().ok().and_then(|d| d.get(end).cloned())
    }

    fn mark_down(&self, end: &str, e: &RepoError) {
        if let Ok(mut down) = self.down.lock() {
            down.insert(end.to_owned(), e.to_string());
        }
    }
}

/// Host and port, or a directory.
pub fn far_end(at: &str) -> String {
    match Url::parse(at) {
        Ok(url) if url.has_host() => format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0)),
        _ => at.to_owned(),
    }
}

/// Takes the outcome of a look in, and tells who listens what it changed.
async fn settle(engine: &Arc<Engine>, site: &Arc<Site>, name: &str, board: RepoBoard) {
    if !engine.freshness.settle(name, board) {
        return;
    }
    let made = {
        let (engine, site, name) = (engine.clone(), site.clone(), name.to_owned());
        blocking(move || trees::edits(&engine, &site, &name)).await
    };
    match made {
        Ok(edits) => drop(engine.model.publish(edits)),
        Err(e) => tracing::warn!("rows of {name} cannot be made: {e}"),
    }
}
