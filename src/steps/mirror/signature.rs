//! The detached signature of an upstream's `repomd.xml`, and the key that some put beside it: brought with it, published in one step with it, and
//! gone with it. Nothing is verified here, for a mirror has no keys; but a signature that cannot be of this `repomd.xml` is never published.

use super::fetch;
use super::state::{Held, REPOMD, State};
use super::{Sync, now_seconds};
use crate::base::crash;
use crate::steps::error::StepError;
use crate::systems::repo::links::{Exchange, Named};
use crate::systems::repo::read::sha256;
use crate::systems::repo::{Tree, TreeError};
use crate::wire::HttpError;
use crate::wire::http::{Ask, Validators};
use crate::wire::openpgp;

/// Where the signature lies, from the repository's root.
pub const ASC: &str = "repodata/repomd.xml.asc";
const KEY: &str = "repodata/repomd.xml.key";
/// A key with all that others have signed of it.
const MAX_KEY: u64 = 1 << 20;
/// Where `repodata` is put together that will take the place of the one that is served.
const PAIR: &str = ".quarterdeck/repodata";

/// What signs metadata that stays is asked for again after so many seconds: it may be signed anew, with another key.
const AGAIN: i64 = 24 * 3_600;

/// Whether upstream is to be asked for the signature of metadata that has not changed. One that is here is of that metadata already.
pub fn due(sync: &Sync, state: &State) -> bool {
    if !sync.options.signature {
        return !state.signature.is_empty();
    }
    // What is served is upstream's own document, or its signature is of no use here.
    state.signed != Some(false)
        && state.md == state.origin_md
        && (state.signature.is_empty() || !(0..AGAIN).contains(&(now_seconds() - state.signature_asked)))
}

/// What an upstream has beside its `repomd.xml`.
#[derive(Debug, Default)]
pub struct Signature {
    pub asc: Vec<u8>,
    key: Option<Vec<u8>>,
    validators: Validators,
}

/// How an upstream's `repomd.xml` is signed now.
pub enum Beside {
    /// As it was when these validators came.
    Same,
    Unsigned,
    Signed(Signature),
}

/// Asks upstream number `index` for signature and key. What is there and is no signature counts as unsigned, and is told; an error where the
/// upstream could not be asked. `known`: what it said of the one that is here.
pub async fn get(sync: &Sync, index: usize, known: Option<&Validators>) -> Result<Beside, HttpError> {
    let ask = known.map_or(Ask::Whole, Ask::IfChanged);
    let (asc, validators) = match absent(fetch::document(sync, index, ASC, ask, openpgp::MAX_BYTES).await)? {
        None => return Ok(Beside::Unsigned),
        Some(None) => return Ok(Beside::Same),
        Some(Some(got)) => got,
    };
    if let Err(e) = openpgp::issuer(&asc) {
        sync.report.say(&format!("{}{ASC} is no signature ({e}): the repository is taken for unsigned", sync.shown(index)));
        return Ok(Beside::Unsigned);
    }
    let key = absent(fetch::document(sync, index, KEY, Ask::Whole, MAX_KEY).await)?.flatten().map(|(bytes, _)| bytes);
    Ok(Beside::Signed(Signature { asc, key: key.filter(|k| is_key(k)), validators }))
}

/// None where there is no such file. A store of objects says 403 of what is not there, and nobody signs with a file that is too large.
fn absent<T>(got: Result<T, HttpError>) -> Result<Option<T>, HttpError> {
    match got {
        Ok(got) => Ok(Some(got)),
        Err(e) if e.is_wrong() || (matches!(e.status(), Some(400..=499)) && !e.is_transient()) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A web page in its place is none.
fn is_key(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|b| b & 0x80 != 0) || memchr::memmem::find(bytes, b"-----BEGIN PGP PUBLIC KEY BLOCK-----").is_some()
}

/// Where a file waits for its publish.
fn waiting(path: &str) -> String {
    format!(".quarterdeck/{}", path.rsplit('/').next().unwrap_or(path))
}

/// Writes the files where they wait, durable, and notes in the state what will be served.
pub fn lay(sync: &Sync, signature: Option<&Signature>, state: &mut State) -> Result<(), StepError> {
    state.signature.clear();
    state.signature_validators = Validators::default();
    state.signature_asked = now_seconds();
    let Some(signature) = signature else { return Ok(()) };
    let files = [(ASC, Some(&signature.asc)), (KEY, signature.key.as_ref())];
    for (path, bytes) in files.into_iter().filter_map(|(path, bytes)| Some((path, bytes?))) {
        let at = waiting(path);
        sync.tree.replace(&at, bytes)?;
        let Some(mark) = sync.tree.mark(&at)? else { continue };
        state.signature.push(Held { path: path.to_owned(), checksum: format!("sha256:{}", sha256(bytes)), mark });
    }
    state.signature_validators = signature.validators.clone();
    Ok(())
}

/// Files that lie in the place of ours and are not in this state: without a signature of upstream, none is left of one before. Where the site
/// wants none mirrored, one that somebody else put there is his.
fn leftovers(sync: &Sync, before: Option<&State>) -> Result<Vec<&'static str>, TreeError> {
    let ours = |path: &str| sync.options.signature || before.is_some_and(|s| s.signature.iter().any(|h| h.path == path));
    let mut out = Vec::new();
    for path in [ASC, KEY] {
        if ours(path) && sync.tree.named(path)? != Named::Nothing {
            out.push(path);
        }
    }
    Ok(out)
}

/// The last act of a publish: `new_repomd` becomes what readers find, and what signs it in the same step, by an exchange of the whole directory.
/// Where the file system cannot, the repository is unsigned between two renames: never is a signature beside what it does not sign.
pub fn turn(sync: &Sync, before: Option<&State>, state: &State, new_repomd: &str) -> Result<(), StepError> {
    let tree = &sync.tree;
    let old = leftovers(sync, before)?;
    if old.is_empty() && state.signature.is_empty() {
        return Ok(tree.rename(new_repomd, REPOMD)?);
    }
    if pair(tree, &old, state, new_repomd)? {
        crash::point("mirror.paired");
        if tree.exchange(PAIR, "repodata")? == Exchange::Done {
            tree.sync_dir("")?;
            return Ok(tree.sync_dir(".quarterdeck")?);
        }
    }
    sync.report.say("repodata cannot be exchanged in one step here: the repository is unsigned for the moment between two renames");
    take_away(tree, &old)?;
    tree.rename(new_repomd, REPOMD)?;
    put(tree, state)
}

/// The next `repodata`: second names of all that lies there, and the new files. False where something there cannot have one.
fn pair(tree: &Tree, old: &[&str], state: &State, new_repomd: &str) -> Result<bool, StepError> {
    tree.remove_tree(PAIR, |_| ())?;
    tree.make_dir(PAIR)?;
    tree.make_dir("repodata")?;
    let kept = tree.list("repodata")?.into_iter().map(|name| (format!("repodata/{name}"), name));
    for (from, name) in kept.filter(|(from, _)| from != REPOMD && !old.contains(&from.as_str())) {
        if tree.named(&from)? != Named::File || tree.link_from(tree, &from, &format!("{PAIR}/{name}")).is_err() {
            return Ok(false);
        }
    }
    let new = std::iter::once((new_repomd.to_owned(), REPOMD)).chain(state.signature.iter().map(|h| (waiting(&h.path), h.path.as_str())));
    for (from, to) in new {
        let name = to.rsplit('/').next().unwrap_or(to);
        if tree.link_from(tree, &from, &format!("{PAIR}/{name}")).is_err() {
            return Ok(false);
        }
    }
    tree.sync_dir(PAIR)?;
    Ok(true)
}

fn take_away(tree: &Tree, old: &[&str]) -> Result<(), StepError> {
    for path in old {
        tree.remove(path)?;
    }
    Ok(tree.sync_dir("repodata")?)
}

fn put(tree: &Tree, state: &State) -> Result<(), StepError> {
    for held in &state.signature {
        tree.rename(&waiting(&held.path), &held.path)?;
    }
    Ok(tree.sync_dir("repodata")?)
}

/// The signature alone changes, around metadata that stays.
pub fn replace(sync: &Sync, before: &State, state: &State) -> Result<(), StepError> {
    let gone = leftovers(sync, Some(before))?;
    let gone: Vec<&str> = gone.into_iter().filter(|path| !state.signature.iter().any(|h| h.path == *path)).collect();
    if !gone.is_empty() {
        take_away(&sync.tree, &gone)?;
    }
    put(&sync.tree, state)?;
    state.write(&sync.tree)
}

/// Empties the waiting rooms. Failing costs space, nothing else.
pub fn tidy(tree: &Tree) {
    let _ = tree.remove_tree(PAIR, |_| ());
    for path in [REPOMD, ASC, KEY] {
        let _ = tree.remove(&waiting(path));
    }
}
