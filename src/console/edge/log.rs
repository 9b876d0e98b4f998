//! Carries out the log screen's orders: each on a connection of its own, so that a follow or a search holds nothing else up, and closing
//! it stops the engine's work.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::link::{Address, connect};
use super::place;
use crate::api::client::{ANSWER, Client, Trouble, encode};
use crate::api::log::{AttemptsDoc, Found, LogLine, LogPage};
use crate::api::{ApiError, Code};
use crate::console::log::order::{Ask, Got, HOLD_S, Lane, Order, Told, unhex};
use crate::console::msg::Msg;
use crate::domain::run::RunRef;

/// First errors may mean that whole logs are read.
const ERRORS: Duration = Duration::from_secs(300);
/// Hits of a search go on in pieces of this many bytes or offsets, or when nothing came for a moment.
const PIECE: usize = 16 << 10;
const OFFSETS: usize = 1_024;
const MOMENT: Duration = Duration::from_millis(20);
/// Bytes of one page of a log that is saved.
const CHUNK: usize = 512 << 10;

/// Serves until nobody orders any more; then whatever is under way ends.
pub async fn serve(address: Address, mut orders: mpsc::Receiver<Order>, tell: mpsc::Sender<Msg>) {
    let mut lanes: BTreeMap<Lane, JoinHandle<()>> = BTreeMap::new();
    while let Some(order) = orders.recv().await {
        if let Some(before) = lanes.remove(&order.lane) {
            before.abort();
        }
        if order.ask != Ask::Stop {
            lanes.insert(order.lane, tokio::spawn(carry_out(address.clone(), order, tell.clone())));
        }
    }
    lanes.into_values().for_each(|l| l.abort());
}

/// Where answers go, marked with their order.
struct Teller {
    lane: Lane,
    id: u64,
    to: mpsc::Sender<Msg>,
}

impl Teller {
    /// False: nobody listens any more.
    async fn tell(&self, got: Got) -> bool {
        self.to.send(Msg::Log(Box::new(Told { lane: self.lane, id: self.id, got }))).await.is_ok()
    }
}

async fn carry_out(address: Address, order: Order, to: mpsc::Sender<Msg>) {
    let teller = Teller { lane: order.lane, id: order.id, to };
    let mut client = match connect(&address).await {
        Ok(client) => client,
        Err(why) => {
            teller.tell(Got::Failed(ApiError::no_engine(why, "it is tried again when the engine is back"))).await;
            return;
        }
    };
    let got = match &order.ask {
        Ask::Search { path, lines } => search(&mut client, path, *lines, &teller).await,
        Ask::Save { run, fence, to } => save(&mut client, run, *fence, to, &teller).await,
        _ => once(&mut client, &order).await,
    };
    if let Some(got) = got {
        teller.tell(got).await;
    }
}

/// Carries out an order that has one answer; none for the others.
pub async fn once(client: &mut Client, order: &Order) -> Option<Got> {
    Some(match &order.ask {
        Ask::Page { path } => {
            let page: Result<LogPage, Trouble> = client.get(path, ANSWER + Duration::from_secs(HOLD_S)).await;
            page.map_or_else(|e| Got::Failed(e.into()), |p| Got::Page(Box::new(p)))
        }
        Ask::Errors { path } => {
            let doc: Result<AttemptsDoc, Trouble> = client.get(path, ERRORS).await;
            doc.map_or_else(|e| Got::Failed(e.into()), |d| Got::Attempts(Box::new(d)))
        }
        Ask::Search { .. } | Ask::Save { .. } | Ask::Stop => return None,
    })
}

/// Streams hits on. None: nobody listens.
async fn search(client: &mut Client, path: &str, whole: bool, teller: &Teller) -> Option<Got> {
    let mut answer = match client.lines(path).await {
        Ok(lines) => lines,
        Err(e) => return Some(Got::Failed(e.into())),
    };
    let mut held = Held { whole, lines: Vec::new(), bytes: 0, hits: Vec::new() };
    let patience = ANSWER + Duration::from_secs(HOLD_S);
    loop {
        let next = if held.is_empty() {
            answer.next(patience).await
        } else {
            match tokio::time::timeout(MOMENT, answer.next(patience)).await {
                Ok(next) => next,
                Err(_) => {
                    held.pass_on(teller).await?;
                    continue;
                }
            }
        };
        let text = match next {
            Ok(Some(text)) => text,
            Ok(None) => return Some(Got::Failed(ApiError::no_engine("the engine's answer has no end", "r asks again"))),
            Err(e) => return Some(Got::Failed(e.into())),
        };
        match serde_json::from_slice(&text) {
            Ok(Found::Hit(line)) => {
                held.take(line);
                if held.is_large() {
                    held.pass_on(teller).await?;
                }
            }
            Ok(Found::Searched(offset)) => {
                held.pass_on(teller).await?;
                teller.tell(Got::Reached(offset)).await.then_some(())?;
            }
            Ok(Found::End { next_offset, complete }) => {
                held.pass_on(teller).await?;
                return Some(Got::End { next: next_offset, complete });
            }
            Ok(Found::Error(e)) => return Some(Got::Failed(e)),
            Err(e) => {
                let help = "the engine may be of another version: quarterdeck engine stop, and open the console again";
                return Some(Got::Failed(ApiError::failed(format!("a line of the engine's answer cannot be read: {e}"), help)));
            }
        }
    }
}

/// Hits that wait for company.
struct Held {
    whole: bool,
    lines: Vec<LogLine>,
    bytes: usize,
    hits: Vec<u64>,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.hits.is_empty()
    }

    fn is_large(&self) -> bool {
        self.bytes >= PIECE || self.hits.len() >= OFFSETS
    }

    fn take(&mut self, line: LogLine) {
        if self.whole {
            self.bytes += line.text.len() + size_of::<LogLine>();
            self.lines.push(line);
        } else if !line.context {
            self.hits.push(line.offset);
        }
    }

    async fn pass_on(&mut self, teller: &Teller) -> Option<()> {
        self.bytes = 0;
        let (lines, hits) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.hits));
        if !lines.is_empty() {
            teller.tell(Got::Lines(lines)).await.then_some(())?;
        }
        if !hits.is_empty() {
            teller.tell(Got::Hits(hits)).await.then_some(())?;
        }
        Some(())
    }
}

/// A file that is being written, and goes away where it does not become whole.
struct Draft {
    path: PathBuf,
    whole: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes the log as it is now, byte for byte, into a file that was not there before.
async fn save(client: &mut Client, run: &RunRef, fence: u64, to: &str, teller: &Teller) -> Option<Got> {
    let path = place(to);
    let shown = path.display().to_string();
    let failed = |e: &io::Error| {
        let help = match e.kind() {
            io::ErrorKind::AlreadyExists => "a file of that name is there, and stays as it is: choose another name",
            io::ErrorKind::NotFound => "its directory must be there",
            _ => "choose another place",
        };
        Got::Failed(ApiError::new(Code::Failed, format!("{shown} was not written: {e}"), help))
    };
    let create = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)).await
    };
    let mut file = match create.unwrap_or_else(|e| Err(io::Error::other(e))) {
        Ok(file) => file,
        Err(e) => return Some(failed(&e)),
    };
    let mut draft = Draft { path: path.clone(), whole: false };
    let (mut offset, mut bytes, mut end, mut identity) = (0, 0, None, 0);
    let base = format!("/v1/log/{}/{}/{fence}", encode(&run.pipeline), run.number);
    loop {
        let ask = format!("{base}?at=offset&offset={offset}&as=hex&bytes={CHUNK}&file={identity}");
        let page: LogPage = match client.get(&ask, ANSWER).await {
            Ok(page) => page,
            Err(e) => return Some(Got::Failed(e.into())),
        };
        if let Some(why) = page.reset {
            return Some(Got::Failed(ApiError::failed(format!("{shown} was not written: {why}"), "save it again")));
        }
        // What the step writes meanwhile is not waited for.
        let stop = *end.get_or_insert(page.size);
        let chunk: Vec<u8> = page.lines.iter().flat_map(|l| unhex(&l.text)).collect();
        (offset, identity) = (page.next_offset, page.file);
        bytes += chunk.len() as u64;
        let is_last = chunk.is_empty() || offset >= stop;
        let written = tokio::task::spawn_blocking(move || written(file, &chunk, is_last)).await;
        file = match written.unwrap_or_else(|e| Err(io::Error::other(e))) {
            Ok(file) => file,
            Err(e) => return Some(failed(&e)),
        };
        if is_last {
            draft.whole = true;
            return Some(Got::Saved { path: shown, bytes });
        }
        teller.tell(Got::Reached(bytes)).await.then_some(())?;
    }
}

fn written(mut file: File, chunk: &[u8], is_last: bool) -> io::Result<File> {
    file.write_all(chunk)?;
    if is_last {
        file.sync_all()?;
    }
    Ok(file)
}
