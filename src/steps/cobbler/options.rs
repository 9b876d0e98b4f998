//! What `cobbler/reposync` is asked to do, and the server that the plan holds, checked before anything is asked.

use std::path::Path;
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use crate::base::duration::Span;
use crate::domain::mirror::Look;
use crate::steps::content::repos;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::with::With;
use crate::systems::cobbler::Server;
use crate::systems::repo::RepoAt;
use crate::wire::excerpt;
use crate::wire::http::Trust;

/// A repository: as the fingerprint knows it, and as Cobbler does.
pub struct Wanted {
    pub name: String,
    pub cobbler: String,
    /// Where its tree is read.
    pub tree: String,
    /// What it is compared with; none = what Cobbler mirrors.
    pub upstream: Vec<RepoAt>,
}

pub struct Options {
    pub server: Server,
    pub repos: Vec<Wanted>,
    pub tries: u32,
    pub look: Look,
    pub wait: Duration,
    pub poll: Duration,
}

impl Options {
    pub fn read(with: &With, env: &StepEnv) -> Result<Self, StepError> {
        let mirror = with.text("cobbler.mirror");
        let (trees, upstreams) = (repos(with, "tree", env), repos(with, "upstream", env));
        let mut wanted: Vec<Wanted> = Vec::new();
        for item in with.list("repos").iter().filter(|r| !r.is_empty()) {
            let (name, cobbler) = item.split_once('=').unwrap_or((item, item));
            for text in [name, cobbler] {
                let plain =
                    !text.is_empty() && !text.starts_with('.') && !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/');
                if !plain {
                    return Err(StepError::input(
                        format!("`{}` is no name of a repository", excerpt(text)),
                        "give Cobbler's names: cobbler repo list",
                    ));
                }
            }
            if wanted.iter().any(|w| w.cobbler == cobbler || w.name == name) {
                return Err(StepError::input(format!("repository `{}` is named twice", excerpt(item)), "keep one"));
            }
            let given = trees.iter().find(|t| t.name == name).map(|t| t.at.clone());
            let below = || mirror.map(|m| format!("{}/{cobbler}", m.trim_end_matches('/')));
            let Some(tree) = given.or_else(below) else {
                return Err(StepError::input(
                    format!("where the tree of `{name}` can be read is not known"),
                    "add `mirror` to the table of the site file, or tree=NAME=PLACE",
                ));
            };
            let upstream = upstreams.iter().filter(|u| u.name == name).cloned().collect();
            wanted.push(Wanted { name: name.to_owned(), cobbler: cobbler.to_owned(), tree, upstream });
        }
        if let Some(stray) = trees.iter().chain(&upstreams).find(|t| !wanted.iter().any(|w| w.name == t.name)) {
            return Err(StepError::input(
                format!("`{}` belongs to no repository of `repos`", excerpt(&stray.name)),
                "trees and upstreams are NAME=PLACE, with the name of their repository",
            ));
        }
        let tries = match with.int("tries").unwrap_or(1) {
            n @ 1..=10 => n as u32,
            n => return Err(StepError::input(format!("`tries` is {n}"), "give 1 to 10")),
        };
        let poll = with.span("poll").map_or(Duration::from_secs(2), Span::as_duration);
        if !(Duration::from_millis(100)..=Duration::from_secs(300)).contains(&poll) {
            let given = with.text("poll").unwrap_or_default();
            return Err(StepError::input(format!("`poll` is {}", excerpt(given)), "give 100ms to 5m"));
        }
        Ok(Self {
            server: server(with, env)?,
            repos: wanted,
            tries,
            look: with.text("level").and_then(|l| l.parse().ok()).unwrap_or_default(),
            wait: with.span("wait").map_or(Duration::from_secs(3_600), Span::as_duration),
            poll,
        })
    }

    /// As Cobbler calls them.
    pub fn names(&self) -> Vec<String> {
        self.repos.iter().map(|r| r.cobbler.clone()).collect()
    }
}

/// The server, from what the plan took out of the site file, and its password, from the file that the shim made.
fn server(with: &With, env: &StepEnv) -> Result<Server, StepError> {
    let name = with.text("cobbler").unwrap_or_default().to_owned();
    let missing = |key: &str| {
        StepError::input(
            format!("the plan does not hold `cobbler.{key}`"),
            format!("it is taken from [cobbler.{}] of the site file when a run is frozen: start a new run", excerpt(&name)),
        )
    };
    let url = with.text("cobbler.url").and_then(|u| Url::parse(u).ok()).ok_or_else(|| missing("url"))?;
    let user = with.text("cobbler.user").ok_or_else(|| missing("user"))?.to_owned();
    let secret = with.text("cobbler.secret").ok_or_else(|| missing("secret"))?;
    let ca = with.text("cobbler.ca");
    let trust = Trust::of(ca.map(Path::new), with.flag("cobbler.insecure")).map_err(|e| {
        StepError::input(
            format!("the authorities of `{name}` cannot be read: {}: {e}", ca.unwrap_or_default()),
            "correct `ca` in the site file, then start a new run",
        )
    })?;
    Ok(Server {
        password: Some(password(secret, env)?),
        timeout: with.span("cobbler.timeout").map_or(Duration::from_secs(30), Span::as_duration),
        trust,
        name,
        url,
        user,
    })
}

fn password(name: &str, env: &StepEnv) -> Result<Zeroizing<String>, StepError> {
    let missing = |why: String| {
        StepError::failed(format!("the secret `{}` cannot be read: {why}", excerpt(name)), "quarterdeck secret test says more")
    };
    if name.contains('/') || name.starts_with('.') {
        return Err(missing("it is no name of a secret".into()));
    }
    let dir = env.secrets_dir.as_deref().ok_or_else(|| missing("QD_SECRETS_DIR is not set".into()))?;
    let text = Zeroizing::new(std::fs::read_to_string(dir.join(name)).map_err(|e| missing(e.to_string()))?);
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
