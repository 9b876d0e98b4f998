//! Carries out the pipeline page's orders: reads, judges, replaces files with the rights of the person at the terminal, and keeps what is
//! unsaved. One thing after the other; only judging waits until nothing was typed for a moment.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::base::durable;
use crate::console::edit::desk::Desk;
use crate::console::edit::drafts;
use crate::console::edit::order::{Ask, Found, Got, Order, Shape, Stamp, Told};
use crate::console::edit::page::MOST;
use crate::console::msg::Msg;
use crate::domain::run::valid_name;

/// So long after the last key a text is judged.
const PAUSE: Duration = Duration::from_millis(150);

/// Serves until nobody orders any more.
pub async fn serve(desk: Arc<Desk>, mut orders: mpsc::Receiver<Order>, tell: mpsc::Sender<Msg>) {
    let mut waiting: BTreeMap<String, (Instant, Order)> = BTreeMap::new();
    loop {
        let next = waiting.values().map(|(at, _)| *at).min();
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let order = tokio::select! {
            biased;
            order = orders.recv() => match order {
                None => return,
                Some(order) if matches!(order.ask, Ask::Judge { .. }) => {
                    waiting.insert(order.name.clone(), (Instant::now() + PAUSE, order));
                    continue;
                }
                Some(order) => order,
            },
            () = due => {
                let now = Instant::now();
                let Some(name) = waiting.iter().find(|(_, (at, _))| *at <= now).map(|(n, _)| n.clone()) else { continue };
                let Some((_, order)) = waiting.remove(&name) else { continue };
                order
            }
        };
        let (of, name) = (desk.clone(), order.name.clone());
        let done = tokio::task::spawn_blocking(move || carry_out(&of, &order)).await;
        let got = done.unwrap_or_else(|e| vec![Got::Failed { why: format!("this went wrong: {e}"), closed: false }]);
        for got in got {
            if tell.send(Msg::Page(Box::new(Told { name: name.clone(), got }))).await.is_err() {
                return;
            }
        }
    }
}

/// Does one thing; blocks.
pub fn carry_out(desk: &Desk, order: &Order) -> Vec<Got> {
    let name = &order.name;
    let failed = |what: &str, e: &io::Error| vec![Got::Failed { why: format!("{what}: {e}"), closed: false }];
    match &order.ask {
        Ask::Open { path } => match open(desk, name, path.as_deref()) {
            Ok(found) => {
                let draft = drafts::left(&desk.drafts, name, desk.pid, &drafts::alive).filter(|d| d.text != found.text);
                vec![Got::Opened { found: Box::new(found), draft: draft.map(Box::new) }]
            }
            Err(why) => vec![Got::Failed { why, closed: true }],
        },
        Ask::Judge { text, revision, keep } => {
            let mut out = Vec::new();
            let kept = match keep {
                true => drafts::keep(&desk.drafts, name, desk.pid, text).map(drop),
                false => drafts::forget(&desk.drafts, name, desk.pid),
            };
            if let Err(e) = kept {
                out.extend(failed("the unsaved text cannot be kept against a crash", &e));
            }
            out.push(Got::Judged(Box::new(desk.judge(name, text, *revision))));
            out
        }
        Ask::Save { path, text, over, shape } => vec![save(desk, name, path, text, over, *shape)],
        Ask::Adopt { text, from } => match drafts::keep(&desk.drafts, name, desk.pid, text).and_then(|_| drafts::remove(from)) {
            Ok(()) => Vec::new(),
            Err(e) => failed("the text that was kept stays where it is", &e),
        },
        Ask::Drop { path } => match drafts::remove(path) {
            Ok(()) => Vec::new(),
            Err(e) => failed("the text that was kept stays where it is", &e),
        },
        Ask::Clean => match drafts::forget(&desk.drafts, name, desk.pid) {
            Ok(()) => Vec::new(),
            Err(e) => failed("the text that was kept stays where it is", &e),
        },
    }
}

fn open(desk: &Desk, name: &str, path: Option<&Path>) -> Result<Found, String> {
    if !valid_name(name) {
        return Err(format!("`{name}` can be no name of a pipeline: small letters, digits and . _ -"));
    }
    let file = format!("{name}.yml");
    let path = match path {
        // Whatever an engine says, a page opens the file of its pipeline and nothing else.
        Some(p) if p.is_absolute() && p.file_name().is_some_and(|f| f == file.as_str()) => p.to_owned(),
        Some(p) => return Err(format!("the engine says that {name} is in {}: that is no file of it", p.display())),
        None => desk.pipelines.join(file),
    };
    find(&path)
}

/// The file as it is now, and whether this person may replace it.
fn find(path: &Path) -> Result<Found, String> {
    let shown = path.display();
    let says = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => format!("{shown} is not there: put a file of that name there first, or quarterdeck site init"),
        io::ErrorKind::PermissionDenied => format!("{shown} cannot be read by you: ask who it belongs to"),
        _ => format!("{shown} cannot be read: {e}"),
    };
    let link = fs::symlink_metadata(path).map_err(says)?.file_type().is_symlink();
    // What stands behind a link may be read; it is only never replaced.
    let file = OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path).map_err(says)?;
    let meta = file.metadata().map_err(says)?;
    if !meta.is_file() {
        return Err(format!("{shown} is no regular file: move it away"));
    }
    let mut bytes = Vec::new();
    file.take(MOST as u64 + 1).read_to_end(&mut bytes).map_err(says)?;
    if bytes.len() > MOST {
        return Err(format!("{shown} is larger than 1 MiB, and no pipeline is: look what it is"));
    }
    let stamp = stamp(&bytes);
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        format!("{shown}: line {line} is not UTF-8: save it as UTF-8 with an editor of your own first")
    })?;
    let (shape, text) = Shape::of(&text);
    let locked =
        if link { Some(format!("{shown} is a link: open the file that it leads to, or edit that one")) } else { locked(path, &meta) };
    Ok(Found { path: path.to_owned(), text, shape, stamp, locked })
}

fn stamp(bytes: &[u8]) -> Stamp {
    Stamp(Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect())
}

/// Why this person may not replace the file; none where they may.
fn locked(path: &Path, meta: &fs::Metadata) -> Option<String> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let may = |p: &Path, what: Access| accessat(CWD, p, what, AtFlags::EACCESS).is_ok();
    let me = rustix::process::geteuid().as_raw();
    let dir = path.parent().unwrap_or(Path::new("/"));
    let shown = path.display();
    if !may(path, Access::WRITE_OK) {
        return Some(format!("{shown} (uid {}, mode {:04o}) may not be written by you", meta.uid(), meta.mode() & 0o7777));
    }
    if !may(dir, Access::WRITE_OK.union(Access::EXEC_OK)) {
        return Some(format!("{} may not be written by you, and a file is replaced in its directory", dir.display()));
    }
    if me != 0 && meta.uid() != me {
        return Some(format!("{shown} belongs to uid {}: replaced by you it would be yours", meta.uid()));
    }
    if meta.nlink() > 1 {
        return Some(format!("{shown} has {} names: replaced under one of them, the others would keep the old text", meta.nlink()));
    }
    None
}

/// A file that is being written, and goes away where it does not become whole.
struct New(Option<PathBuf>);

impl Drop for New {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

fn save(desk: &Desk, name: &str, path: &Path, text: &str, over: &Stamp, shape: Shape) -> Got {
    let refused = |why: String| Got::Failed { why: format!("{why}; nothing was written, and the text is kept"), closed: false };
    let now = match find(path) {
        Ok(now) => now,
        Err(why) => return refused(why),
    };
    if let Some(why) = now.locked {
        return refused(why);
    }
    if now.stamp != *over {
        return Got::Moved(Box::new(now));
    }
    let bytes = shape.put_on(text).into_bytes();
    match replace(desk, path, &bytes) {
        Ok(()) => {
            // What is kept is in the file now. Where it stays, the next opening offers it, which loses nothing.
            let _ = drafts::forget(&desk.drafts, name, desk.pid);
            Got::Saved { text: text.to_owned(), stamp: stamp(&bytes) }
        }
        Err(e) => refused(format!("{} cannot be replaced: {e}", path.display())),
    }
}

/// Written beside it, made durable, and renamed: a reader sees the old file or the whole new one. Owner and mode stay.
fn replace(desk: &Desk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = fs::symlink_metadata(path)?;
    let (dir, file) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default().to_string_lossy());
    let place = dir.join(format!(".{file}.new-{}", desk.pid));
    // Of an earlier console with this number, that was killed in between.
    drafts::remove(&place)?;
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place)?;
    let mut new = New(Some(place.clone()));
    to.write_all(bytes)?;
    let made = to.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(&to, (made.uid() != old.uid()).then_some(old.uid()), Some(old.gid()))?;
    }
    to.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
    to.sync_all()?;
    fs::rename(&place, path)?;
    new.0 = None;
    durable::sync_dir(dir)
}

#[cfg(test)]
mod tests;
