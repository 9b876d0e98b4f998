//! Cobblers of the site, as the engine asks them: without a password, for what anybody may read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::config::Cobbler as Table;
use crate::domain::reason::Reason;
use crate::systems::cobbler::{Cobbler, CobblerError, Server, read_log};
use crate::wire::HttpError;
use crate::wire::address::shown;
use crate::wire::http::Trust;

/// For one question; a server that is slower holds nobody up.
const BUDGET: Duration = Duration::from_secs(5);
/// Servers that are asked at once.
const AT_ONCE: usize = 16;
/// An answer that something is in flight serves everybody for so long.
const FRESH_US: u64 = 4_000_000;
const LOG_US: u64 = 60_000_000;

/// The server of a table. No password: the engine starts nothing there, steps do.
pub async fn server(name: &str, table: &Table) -> Result<Cobbler, CobblerError> {
    with_password(name, table, None).await
}

/// The same for who has to log in.
pub async fn with_password(name: &str, table: &Table, password: Option<Zeroizing<String>>) -> Result<Cobbler, CobblerError> {
    let (server, own) = (name.to_owned(), table.clone());
    // All certificates of the machine are read for it, and a file that may lie anywhere: not on the thread that serves, nor for ever.
    let made = tokio::task::spawn_blocking(move || open(server, &own, password));
    match tokio::time::timeout(BUDGET, made).await {
        Ok(Ok(made)) => made,
        Ok(Err(e)) => Err(CobblerError::Http(HttpError::Other { url: "HTTP client".into(), cause: e.to_string() })),
        Err(_) => {
            let ca = table.ca.as_deref().map_or_else(|| "the certificates of this machine".into(), |p| format!("its `ca` {}", p.display()));
            let cause = format!("{ca}: not read within {} s", BUDGET.as_secs());
            Err(CobblerError::Http(HttpError::Other { url: shown(&table.url), cause }))
        }
    }
}

fn open(name: String, table: &Table, password: Option<Zeroizing<String>>) -> Result<Cobbler, CobblerError> {
    let trust = Trust::of(table.ca.as_deref(), table.insecure).map_err(|e| {
        let path = table.ca.as_deref().unwrap_or_else(|| std::path::Path::new(""));
        CobblerError::Http(HttpError::Other { url: shown(&table.url), cause: format!("its `ca` {} cannot be read: {e}", path.display()) })
    })?;
    let (url, user, timeout) = (table.url.clone(), table.user.clone(), table.timeout.min(BUDGET));
    Cobbler::new(Server { name, url, user, password, timeout, trust })
}

/// What is in flight at the servers, asked once for everybody who waits for it.
#[derive(Default)]
pub struct Flights {
    last: std::sync::Mutex<BTreeMap<String, Arc<Mutex<Option<Flight>>>>>,
    /// Servers at which something of ours has ended since.
    over: std::sync::Mutex<BTreeSet<String>>,
}

struct Flight {
    id: String,
    /// Microseconds since boot: of the last answer, and of the last look into the log.
    asked_us: u64,
    log_us: u64,
    reason: Reason,
}

impl Flights {
    /// Something of ours has ended there: the next question goes to the server.
    pub fn over(&self, name: &str) {
        if let Ok(mut over) = self.over.lock() {
            over.insert(name.to_owned());
        }
    }

    /// The reposync that is in flight at the first of these servers at which one is; all are asked at once. One that cannot be asked holds
    /// nobody up.
    pub async fn first(&self, servers: Vec<(&String, &Table)>, now_us: u64) -> Option<Reason> {
        let mut asks = Vec::new();
        for (name, table) in servers {
            asks.push(async move {
                self.now(name, table, now_us).await.unwrap_or_else(|e| {
                    tracing::warn!(cobbler = %name, error = %e, "its tasks cannot be looked at");
                    None
                })
            });
        }
        let mut answers = std::pin::pin!(stream::iter(asks).buffered(AT_ONCE));
        while let Some(answer) = answers.next().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    fn place(&self, name: &str) -> Arc<Mutex<Option<Flight>>> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.entry(name.to_owned()).or_default().clone()
    }

    /// The reposync that is in flight there, as the reason why others wait. That nothing is in flight is asked anew each time.
    async fn now(&self, name: &str, table: &Table, now_us: u64) -> Result<Option<Reason>, CobblerError> {
        let place = self.place(name);
        let mut last = place.lock().await;
        if self.over.lock().is_ok_and(|mut o| o.remove(name)) {
            *last = None;
        }
        if let Some(f) = last.as_ref().filter(|f| now_us.saturating_sub(f.asked_us) < FRESH_US) {
            return Ok(Some(f.reason.clone()));
        }
        let cobbler = server(name, table).await?;
        let Some(first) = cobbler.events().await?.into_iter().find(|e| e.is_reposync() && e.is_running()) else {
            *last = None;
            return Ok(None);
        };
        if let Some(f) = last.as_mut().filter(|f| f.id == first.id && now_us.saturating_sub(f.log_us) < LOG_US) {
            f.asked_us = now_us;
            return Ok(Some(f.reason.clone()));
        }
        // Where it is now is told for people; that it runs is enough. The whole log comes each time, so it is asked for rarely.
        let log = cobbler.task_log(&first.id).await.ok().flatten().map(|t| read_log(&first.id, &t)).unwrap_or_default();
        let reason = Reason::FarEnd {
            system: "cobbler".into(),
            name: name.to_owned(),
            what: "a reposync".into(),
            at: log.repos.last().cloned().unwrap_or_default(),
            since_us: first.started_us,
            id: crate::base::sanitise::cell(&first.id),
        };
        *last = Some(Flight { id: first.id, asked_us: now_us, log_us: now_us, reason: reason.clone() });
        Ok(Some(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Site;

    #[tokio::test]
    async fn what_was_in_flight_is_no_answer_once_something_of_ours_has_ended_there() {
        // Nobody answers at this address: whoever asks has an error.
        let site = Site::parse(
            "[secrets]\nc = \"env:C\"\n[cobbler.alder]\nurl = \"http://127.0.0.1:1/cobbler_api\"\nuser = \"qd\"\nsecret = \"c\"\n",
        )
        .unwrap();
        let table = &site.cobblers["alder"];
        let flights = Flights::default();
        let (name, what) = ("alder".to_owned(), "a reposync".to_owned());
        let reason = Reason::FarEnd { system: "cobbler".into(), name: name.clone(), what, id: "1".into(), since_us: 0, at: String::new() };
        *flights.place(&name).lock().await = Some(Flight { id: "1".into(), asked_us: 0, log_us: 0, reason: reason.clone() });
        assert_eq!(flights.now("alder", table, 1).await.unwrap(), Some(reason));
        flights.over("birch");
        assert!(flights.now("alder", table, 1).await.is_ok());
        flights.over("alder");
        assert!(flights.now("alder", table, 1).await.is_err());
    }

    /// A Cobbler with one reposync in flight. It answers once `go` says so, and tells `asked` of every connection.
    fn cobbler(asked: std::sync::mpsc::Sender<()>, go: std::sync::mpsc::Receiver<()>) -> url::Url {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = url::Url::parse(&format!("http://{}/cobbler_api", listener.local_addr().unwrap())).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (mut text, mut buf) = (Vec::new(), [0; 4096]);
                while !text.ends_with(b"</methodCall>") && !text.ends_with(b"</methodCall>\n") {
                    match stream.read(&mut buf) {
                        Ok(n) if n > 0 => text.extend_from_slice(&buf[..n]),
                        _ => break,
                    }
                }
                let _ = asked.send(());
                let _ = go.recv();
                let row = "<array><data><value><double>1.5</double></value><value><string>Reposync</string></value>\
                           <value><string>notification</string></value><value><array><data></data></array></value></data></array>";
                let inner = match String::from_utf8_lossy(&text).contains("get_events") {
                    true => format!("<struct><member><name>2026-11-22_034723_Reposync_a</name><value>{row}</value></member></struct>"),
                    false => "<string>?</string>".to_owned(),
                };
                let body = format!("<methodResponse><params><param><value>{inner}</value></param></params></methodResponse>");
                let head = format!("HTTP/1.0 200 OK\r\nContent-type: text/xml\r\nContent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            }
        });
        url
    }

    #[tokio::test]
    async fn several_cobblers_are_asked_at_once() {
        let (told_a, asked_a) = std::sync::mpsc::channel();
        let (told_b, asked_b) = std::sync::mpsc::channel();
        let (go_a, wait_a) = std::sync::mpsc::channel();
        let (go_b, wait_b) = std::sync::mpsc::channel();
        let (a, b) = (cobbler(told_a, wait_a), cobbler(told_b, wait_b));
        let table = |n: &str, url: &url::Url| format!("[cobbler.{n}]\nurl = \"{url}\"\nuser = \"qd\"\nsecret = \"c\"\n");
        let site = format!("[secrets]\nc = \"env:C\"\n{}{}", table("alder", &a), table("birch", &b));
        let site = Site::parse(&site).unwrap();
        // The first answers once the second was asked: who asks them in turn waits for the first until it counts as silent.
        let turns = std::thread::spawn(move || {
            asked_a.recv().unwrap();
            asked_b.recv().unwrap();
            drop((go_a, go_b));
        });
        let flights = Flights::default();
        let found = flights.first(site.cobblers.iter().collect(), 1).await;
        assert!(matches!(&found, Some(Reason::FarEnd { name, .. }) if name == "alder"), "{found:?}");
        turns.join().unwrap();
    }
}
