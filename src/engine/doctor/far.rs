//! Probes of the far ends that the site file names: upstreams and replicas of its repositories, each asked once, all at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use url::Url;

use crate::config::Site;
use crate::domain::doctor::{Far, FarFacts};
use crate::wire::address::shown;
use crate::wire::http::{Ask, Client, HttpError, Patience};

/// For one far end, with everything.
const BUDGET: Duration = Duration::from_secs(5);
/// Asked at once.
const AT_ONCE: usize = 16;
/// Far ends that are asked; a site with more has its own monitoring.
const MOST: usize = 100;

/// What each answered, in order of address, and by how many seconds our clock is ahead of those that told theirs.
pub async fn ask(site: &Site) -> (Vec<FarFacts>, Vec<i64>) {
    let ends = ends(site, Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date());
    if ends.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let patience = Patience { connect: BUDGET, stall: BUDGET };
    // All certificates of the machine are read for it: not on the thread that serves.
    let made = tokio::task::spawn_blocking(move || Client::new(patience, None, 1)).await;
    let client = match made.map_err(|e| e.to_string()).and_then(|c| c.map_err(|e| e.to_string())) {
        Ok(c) => c,
        Err(e) => return (ends.into_iter().map(|(url, by)| facts(&url, by, Far::Unreachable(e.clone()))).collect(), Vec::new()),
    };
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for (url, by) in ends {
        let (client, room) = (client.clone(), room.clone());
        tasks.push(tokio::spawn(async move {
            let _permit = room.acquire().await;
            let (answer, ahead) = one(&client, &url).await;
            (facts(&url, by, answer), ahead)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await);
    }
    let ahead = all.iter().filter_map(|(_, a)| *a).collect();
    (all.into_iter().map(|(f, _)| f).collect(), ahead)
}

/// Address → who names it first. Directories are judged by the file systems' own means, not here.
fn ends(site: &Site, today: jiff::civil::Date) -> BTreeMap<Url, String> {
    let mut map = BTreeMap::new();
    for (name, repo) in &site.repos {
        // What stands still may have no upstream any more; its replicas still serve.
        let upstream = if repo.standstill(today).is_none() { repo.upstream.as_slice() } else { &[] };
        for text in upstream.iter().chain(repo.replicas.iter().map(|r| &r.at)) {
            let Ok(mut url) = Url::parse(text) else { continue };
            if !matches!(url.scheme(), "http" | "https") || map.len() >= MOST {
                continue;
            }
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            if let Ok(url) = url.join("repodata/repomd.xml") {
                map.entry(url).or_insert_with(|| format!("repository {name}"));
            }
        }
    }
    map
}

fn facts(url: &Url, named_by: String, answer: Far) -> FarFacts {
    FarFacts { url: shown(url), named_by, tls: url.scheme() == "https", answer }
}

async fn one(client: &Client, url: &Url) -> (Far, Option<i64>) {
    match client.get(url, Ask::Whole, BUDGET).await {
        Ok(response) => {
            let theirs = response.date.as_deref().and_then(|d| jiff::fmt::rfc2822::parse(d).ok());
            let ahead = theirs.map(|t| Timestamp::now().as_second() - t.timestamp().as_second());
            (Far::Fine, ahead)
        }
        Err(HttpError::Status { status, .. }) => (Far::Status(status), None),
        Err(HttpError::Tls { cause, flaw, .. }) => (Far::Certificate { why: cause, next: flaw.next().into() }, None),
        Err(e) => (Far::Unreachable(cause(&e)), None),
    }
}

/// The address stands in the row already.
fn cause(e: &HttpError) -> String {
    let text = e.to_string();
    text.split_once(": ").map_or(text.clone(), |(_, rest)| rest.to_owned())
}
