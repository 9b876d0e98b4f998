//! One file from an upstream into `.quarterdeck/new/`: resumed where a part is there, verified by checksum before it counts.
//!
//! Names under `new/` and `partial/` are checksums: what a killed sync left is found again, and can be trusted after it is hashed once more.

use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use url::Url;

use super::Sync;
use crate::systems::repo::TreeError;
use crate::systems::repo::digest::{self, Hasher};
use crate::systems::repo::origin::REPOMD_BUDGET;
use crate::systems::repo::tree::{Mark, mark_of_file};
use crate::wire::HttpError;
use crate::wire::http::{Ask, Validators};
use crate::wire::location::Location;
use crate::wire::repomd::Checksum;
use crate::wire::{address, excerpt};

/// Up to here a file is taken in memory and written at once; a part of it is not worth keeping.
const SMALL: u64 = 256 << 10;
/// The slowest pace that still counts as progress, bytes a second; below it, a drip would hold the step for ever.
const SLOWEST: u64 = 16 << 10;
const LEAST_BUDGET: Duration = Duration::from_secs(120);
/// Nobody waits longer because a server says so.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A file to get. `size` is exact where known.
#[derive(Debug, Clone)]
pub struct Job {
    pub location: Location,
    pub checksum: Checksum,
    pub size: Option<u64>,
}

/// Why a file did not come.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{at}: expected {expected}, got {got}")]
    Mismatch { at: String, expected: String, got: String },
    #[error(transparent)]
    Local(#[from] TreeError),
}

impl FetchError {
    /// The file is not there, or is another one than the metadata says.
    pub const fn is_stale(&self) -> bool {
        match self {
            Self::Mismatch { .. } => true,
            Self::Http(e) => matches!(e.status(), Some(404 | 410)) || matches!(e, HttpError::TooLarge { .. }),
            Self::Local(_) => false,
        }
    }
}

/// Where a complete file waits for its publish.
pub fn ready(checksum: &Checksum) -> String {
    format!(".quarterdeck/new/{}-{}", checksum.algorithm, checksum.hex)
}

fn partial(checksum: &Checksum) -> String {
    format!(".quarterdeck/partial/{}-{}", checksum.algorithm, checksum.hex)
}

/// Bytes that a resumed download need not bring again.
pub fn partial_size(sync: &Sync, checksum: &Checksum) -> u64 {
    sync.tree.mark(&partial(checksum)).ok().flatten().map_or(0, |m| m.size)
}

/// The mark of a waiting file, if it is there and good.
pub fn waiting(sync: &Sync, job: &Job) -> Result<Option<Mark>, TreeError> {
    check_file(sync, &ready(&job.checksum), &job.checksum, job.size)
}

/// Hashes a file of the tree: its mark if it is the one wanted. `None`: absent, short, long or damaged.
pub fn check_file(sync: &Sync, at: &str, checksum: &Checksum, size: Option<u64>) -> Result<Option<Mark>, TreeError> {
    let file = match sync.tree.open_read(at) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mark = mark_of_file(&file).map_err(|e| io("look at", at, &e))?;
    if size.is_some_and(|s| s != mark.size) {
        return Ok(None);
    }
    // An unreadable sector is a damaged file: it is fetched again.
    let good = digest::of_reader(&checksum.algorithm, file).ok().flatten().is_some_and(|(hex, _)| hex == checksum.hex);
    Ok(good.then_some(mark))
}

/// Gets a file from the upstreams in this order, each asked several times where that may help.
pub async fn fetch(sync: &Sync, order: &[usize], job: &Job) -> Result<Mark, FetchError> {
    let mut last = None;
    for &index in order {
        let Some(base) = sync.options.urls.get(index) else { continue };
        let url = address::join(base, &job.location);
        let mut mismatches = 0;
        for attempt in 1..=sync.options.attempts {
            let error = match once(sync, &url, job).await {
                Ok(mark) => return Ok(mark),
                Err(e) => e,
            };
            let again = match &error {
                FetchError::Http(e) => e.is_transient(),
                FetchError::Mismatch { .. } => {
                    mismatches += 1;
                    mismatches < 2
                }
                FetchError::Local(_) => return Err(error),
            };
            let wait = if let FetchError::Http(e) = &error { e.retry_after() } else { None };
            last = Some(error);
            if !again {
                break;
            }
            if attempt < sync.options.attempts {
                pause(attempt, wait).await;
            }
        }
    }
    Err(last.unwrap_or_else(|| FetchError::Local(io("fetch", job.location.as_str(), &std::io::ErrorKind::NotFound.into()))))
}

/// A small document of one upstream, asked for several times where that may help. None: it has not changed.
pub async fn document(sync: &Sync, index: usize, at: &str, ask: Ask<'_>, max: u64) -> Result<Option<(Vec<u8>, Validators)>, HttpError> {
    let Some(base) = sync.options.urls.get(index) else { return Ok(None) };
    let mut url = base.clone();
    url.set_path(&format!("{}{at}", base.path()));
    let ask = match ask {
        // Without anything to compare, a condition is none.
        Ask::IfChanged(v) if v.etag.is_none() && v.last_modified.is_none() => Ask::Whole,
        ask => ask,
    };
    let mut attempt = 1;
    loop {
        let got = async {
            let response = sync.client.get(&url, ask, REPOMD_BUDGET).await?;
            if response.status.as_u16() == 304 {
                return Ok(None);
            }
            let validators = response.validators.clone();
            Ok::<_, HttpError>(Some((response.collect(max).await?, validators)))
        };
        match got.await {
            Ok(answer) => return Ok(answer),
            Err(e) if e.is_transient() && attempt < sync.options.attempts => {
                sync.report.say(&format!("{e}; trying again"));
                pause(attempt, e.retry_after()).await;
                attempt += 1;
            }
            Err(e) => return Err(e),
        }
    }
}

/// Waits before another try: 0.3, 0.9, 2.7 … seconds, or what the server asks for, never longer than half a minute.
pub async fn pause(attempt: u32, asked: Option<Duration>) {
    let own = Duration::from_millis(300 * 3u64.saturating_pow(attempt.saturating_sub(1).min(5)));
    tokio::time::sleep(asked.unwrap_or(own).clamp(Duration::from_millis(50), LONGEST_PAUSE)).await;
}

async fn once(sync: &Sync, url: &Url, job: &Job) -> Result<Mark, FetchError> {
    let budget = LEAST_BUDGET + Duration::from_secs(job.size.unwrap_or(1 << 30) / SLOWEST);
    match job.size {
        Some(size) if size <= SMALL => small(sync, url, job, size, budget).await,
        _ => large(sync, url, job, budget).await,
    }
}

async fn small(sync: &Sync, url: &Url, job: &Job, size: u64, budget: Duration) -> Result<Mark, FetchError> {
    let response = sync.client.get(url, Ask::Whole, budget).await?;
    let (html, at) = (response.html, response.shown().to_owned());
    judge_length(response.length, size, html, &at)?;
    let bytes = response.collect(size).await?;
    if bytes.len() as u64 != size {
        return Err(HttpError::Truncated { url: at, cause: format!("{} of {size} bytes came", bytes.len()) }.into());
    }
    let got = digest::of_bytes(&job.checksum.algorithm, &bytes).unwrap_or_default();
    if got != job.checksum.hex {
        return Err(mismatch(at, job, got, html));
    }
    let to = ready(&job.checksum);
    sync.tree.remove(&to)?;
    let mut file = sync.tree.create_new(&to)?;
    file.write_all(&bytes).map_err(|e| io("write", &to, &e))?;
    mark_of_file(&file).map_err(|e| FetchError::Local(io("look at", &to, &e)))
}

async fn large(sync: &Sync, url: &Url, job: &Job, budget: Duration) -> Result<Mark, FetchError> {
    let (part, notes) = (partial(&job.checksum), format!("{}.http", partial(&job.checksum)));
    let mut file = sync.tree.open_own(&part)?;
    let failed = |what, e: &std::io::Error| FetchError::Local(io(what, &part, e));
    let new_hasher = || Hasher::new(&job.checksum.algorithm).ok_or_else(|| failed("hash", &std::io::ErrorKind::Unsupported.into()));
    let mut hasher = new_hasher()?;
    let mut have = file.metadata().map_err(|e| failed("look at", &e))?.len();
    if job.size.is_none_or(|s| have > s) {
        have = 0;
    }
    if have > 0 {
        hash_start(&mut file, have, &mut hasher).map_err(|e| failed("read", &e))?;
    }
    let resumed = have > 0;
    if job.size != Some(have) {
        let notes_text =
            sync.tree.read_small(&notes, 4096)?.and_then(|b| serde_json::from_slice::<Validators>(&b).ok()).unwrap_or_default();
        let ask = if have > 0 { Ask::From(have, &notes_text) } else { Ask::Whole };
        let mut response = match sync.client.get(url, ask, budget).await {
            // The part is longer than their file, or they do not like the range: all of it, then.
            Err(e) if have > 0 && e.status() == Some(416) => {
                file.set_len(0).map_err(|e| failed("write", &e))?;
                return Err(HttpError::Truncated { url: address::shown(url), cause: "its part here did not fit".into() }.into());
            }
            other => other?,
        };
        let at = response.shown().to_owned();
        let ranged = response.status.as_u16() == 206;
        let left = job.size.map(|s| s - have);
        let continues = ranged
            && response.range.is_some_and(|(start, total)| start == have && (total.is_none() || total == job.size))
            && left.zip(response.length).is_none_or(|(left, length)| length <= left);
        if ranged && !continues {
            // Without the part the next try asks for all of it; with it this server would be asked for the same range for ever.
            file.set_len(0).map_err(|e| failed("write", &e))?;
            return Err(HttpError::Truncated { url: at, cause: "the server sent another range than was asked for".into() }.into());
        }
        if !continues {
            have = 0;
            hasher = new_hasher()?;
            if let Some(size) = job.size {
                judge_length(response.length, size, response.html, &at)?;
            }
        }
        file.set_len(have).and_then(|()| file.seek(SeekFrom::Start(have))).map_err(|e| failed("write", &e))?;
        if let Ok(bytes) = serde_json::to_vec(&response.validators) {
            sync.tree.remove(&notes)?;
            sync.tree.create_new(&notes)?.write_all(&bytes).map_err(|e| failed("write", &e))?;
        }
        let max = job.size.unwrap_or(crate::systems::repo::origin::MAX_METADATA);
        while let Some(piece) = response.chunk().await? {
            have += piece.len() as u64;
            if have > max {
                return Err(HttpError::TooLarge { url: at, max }.into());
            }
            hasher.update(&piece);
            file.write_all(&piece).map_err(|e| failed("write", &e))?;
            crate::base::crash::point("mirror.piece");
        }
        if job.size.is_some_and(|size| size != have) {
            return Err(HttpError::Truncated { url: at, cause: format!("{have} of {} bytes came", job.size.unwrap_or(0)) }.into());
        }
    }
    let got = hasher.finish();
    if got != job.checksum.hex {
        file.set_len(0).map_err(|e| failed("write", &e))?;
        // A part of another version, or one that a power cut left full of zeros, says nothing about the upstream: not a mismatch of theirs.
        return Err(if resumed {
            HttpError::Truncated { url: address::shown(url), cause: "the part that was kept here did not fit; it is fetched whole".into() }
                .into()
        } else {
            mismatch(address::shown(url), job, got, false)
        });
    }
    sync.tree.rename(&part, &ready(&job.checksum))?;
    sync.tree.remove(&notes)?;
    mark_of_file(&file).map_err(|e| failed("look at", &e))
}

fn hash_start(file: &mut std::fs::File, length: u64, hasher: &mut Hasher) -> std::io::Result<()> {
    file.rewind()?;
    let (mut left, mut buf) = (length, vec![0; 128 << 10]);
    while left > 0 {
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = file.read(&mut buf[..want])?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buf[..n]);
        left -= n as u64;
    }
    Ok(())
}

/// The head alone tells that the file is another one: its body need not come.
fn judge_length(length: Option<u64>, size: u64, html: bool, at: &str) -> Result<(), FetchError> {
    match length {
        Some(n) if n != size => Err(FetchError::Mismatch {
            at: at.to_owned(),
            expected: format!("{size} bytes"),
            got: format!("{n} bytes{}", if html { " (a web page)" } else { "" }),
        }),
        _ => Ok(()),
    }
}

fn mismatch(at: String, job: &Job, got: String, html: bool) -> FetchError {
    let got = if html { format!("{got} (a web page)") } else { got };
    FetchError::Mismatch { at, expected: format!("{} {}", job.checksum.algorithm, job.checksum.hex), got }
}

fn io(what: &'static str, at: &str, e: &std::io::Error) -> TreeError {
    TreeError::Io { what, at: excerpt(at), cause: e.to_string(), kind: e.kind() }
}
