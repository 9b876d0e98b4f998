//! The calls. A token is fetched when one is needed, renewed before it may be too old, and never told to anybody else.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};
use url::Url;
use zeroize::Zeroizing;

use super::error::of_fault;
use super::known::Known;
use super::reader::{PIECES, Pieces};
use super::{CobblerError, Distro, Event, NONE, Profile, Repo, Settings, distro, event, events, is_secret, profile, repo, settings};
use crate::wire::HttpError;
use crate::wire::address::shown;
use crate::wire::excerpt;
use crate::wire::http::{Client, Patience, Trust};
use crate::wire::xmlrpc::{self, Document, Limits, RpcError, Value};

/// A token that was not used for so long is checked before it is used. Cobbler's own limit is an hour, or what its settings say.
const FRESH: Duration = Duration::from_secs(60);
/// Rows of a list are handed on singly, so a row is small.
const ROW_VALUES: u64 = 50_000;

/// One server and how it is asked.
#[derive(Clone)]
pub struct Server {
    /// As the site file calls it.
    pub name: String,
    pub url: Url,
    pub user: String,
    /// None: only what needs no login can be asked.
    pub password: Option<Zeroizing<String>>,
    /// For one call, with everything.
    pub timeout: Duration,
    pub trust: Trust,
}

/// A Cobbler. Clones of the value are not needed: calls take `&self`.
pub struct Cobbler {
    server: Server,
    http: Client,
    token: Mutex<Option<Token>>,
    known: Known,
}

struct Token {
    text: Zeroizing<String>,
    used: Instant,
}

/// Whether a call may be made twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl Cobbler {
    /// A client of this server. Nothing is asked yet; an error where its certificates cannot be read.
    pub fn new(server: Server) -> Result<Self, CobblerError> {
        let patience = Patience { connect: server.timeout.min(Duration::from_secs(10)), stall: server.timeout };
        let http = Client::for_calls(patience, &server.trust).map_err(CobblerError::Http)?;
        let known = Known::default();
        if let Some(password) = &server.password {
            known.learn(password);
        }
        Ok(Self { server, http, token: Mutex::new(None), known })
    }

    /// Its version, such as `3.3.10`. Needs no login.
    pub async fn version(&self) -> Result<String, CobblerError> {
        let value = self.read("extended_version", &[]).await?;
        let text = value.get("version").and_then(Value::text);
        text.map(|t| excerpt(&self.known.hide(&crate::base::sanitise::cell(t))))
            .ok_or_else(|| shape("extended_version", "a struct with the version", &value))
    }

    /// All tasks that it remembers, oldest first. Needs no login, and marks nothing as read.
    pub async fn events(&self) -> Result<Vec<Event>, CobblerError> {
        events(&self.read("get_events", &["".into()]).await?)
    }

    /// One task; `Forgotten` where it is not known any more.
    pub async fn task(&self, id: &str) -> Result<Event, CobblerError> {
        match self.read("get_task_status", &[id.into()]).await {
            Ok(value) => event(id, &value),
            Err(e) => Err(known_as(e, id)),
        }
    }

    /// The whole log of a task, as it is: with lines of other tasks, and perhaps passwords. `None` where there is none.
    pub async fn task_log(&self, id: &str) -> Result<Option<String>, CobblerError> {
        match self.read("get_event_log", &[id.into()]).await? {
            Value::Text(t) if t == "?" => Ok(None),
            Value::Text(t) => Ok(Some(self.known.mask(&t))),
            other => Err(shape("get_event_log", "a text", &other)),
        }
    }

    /// Every repository that it mirrors. Needs no login; one that cannot be read is an error of all.
    pub async fn repos(&self) -> Result<Vec<Repo>, CobblerError> {
        self.rows("get_repos", &[], repo).await
    }

    /// Every distro: what installs from which tree. Needs no login.
    pub async fn distros(&self) -> Result<Vec<Distro>, CobblerError> {
        self.rows("get_distros", &[], distro).await
    }

    /// Every profile: which distro and repositories its systems get. Needs no login.
    pub async fn profiles(&self) -> Result<Vec<Profile>, CobblerError> {
        self.rows("get_profiles", &[], profile).await
    }

    /// One repository. The record of another one is an error.
    pub async fn repo(&self, name: &str) -> Result<Repo, CobblerError> {
        match self.read("get_repo", &[name.into()]).await? {
            Value::Text(t) if t == NONE => Err(CobblerError::Absent { what: "repository", name: excerpt(name) }),
            value => {
                let found = repo(&value)?;
                if value.get("name").and_then(Value::text) == Some(name) {
                    return Ok(found);
                }
                let got = excerpt(&self.known.hide(&found.name));
                Err(CobblerError::Stranger { what: "repository", asked: excerpt(name), got })
            }
        }
    }

    /// Names of the systems of one profile. A name with signs that Cobbler takes for a pattern is an error: it would find other systems too.
    pub async fn systems_of(&self, profile: &str) -> Result<Vec<String>, CobblerError> {
        if profile.starts_with('~') || profile.contains(['*', '?', '[']) {
            return Err(CobblerError::Shape { method: "find_system".into(), wanted: "a profile's plain name", found: "a pattern" });
        }
        let one = |v: &Value| match v.text() {
            Some(name) => Ok(crate::base::sanitise::cell(name)),
            None => Err(shape("find_system", "a list of names", v)),
        };
        let wanted = Value::Struct(vec![("profile".to_owned(), profile.into())]);
        self.rows("find_system", &[wanted, Value::Bool(false)], one).await
    }

    /// The settings that matter here; those with passwords are dropped while they are read. Needs no login.
    pub async fn settings(&self) -> Result<Settings, CobblerError> {
        settings(&self.read("get_settings", &[]).await?)
    }

    /// Logs in, or proves the token that there is: what a step asks before it relies on it.
    pub async fn login(&self) -> Result<(), CobblerError> {
        self.token().await.map(drop)
    }

    /// Starts a reposync of these repositories and gives the task's id. `Unsure` where it may have begun all the same: never sent twice.
    /// A `Fault` may be one that was raised behind the start.
    pub async fn background_reposync(&self, repos: &[String], tries: u32) -> Result<String, CobblerError> {
        let options = Value::Struct(vec![
            ("repos".to_owned(), Value::Array(repos.iter().map(|r| Value::Text(r.clone())).collect())),
            ("tries".to_owned(), Value::Int(i64::from(tries))),
            // False: the first that fails ends the task. True would go on, and still end as failed.
            ("nofail".to_owned(), Value::Bool(false)),
        ]);
        let value = self.with_token("background_reposync", Kind::Write, |token| vec![options.clone(), token]).await?;
        match value.text() {
            Some(id) if !id.is_empty() && id != NONE && id.len() <= 300 && !id.contains(char::is_control) => Ok(id.to_owned()),
            // It answered, so it did something.
            _ => {
                let method = "background_reposync".to_owned();
                Err(CobblerError::Unsure { method, cause: shape("it", "the id of a task", &value).to_string() })
            }
        }
    }

    /// Gives the token back, if there is one. What goes wrong with it is nobody's business: it expires by itself.
    pub async fn logout(&self) {
        if let Some(token) = self.token.lock().await.take() {
            let _ = self.call("logout", &[Value::Text(token.text.to_string())], Kind::Write).await;
        }
    }

    async fn read(&self, method: &'static str, params: &[Value]) -> Result<Value, CobblerError> {
        self.call(method, params, Kind::Read).await
    }

    /// A call with the token as its last argument. `invalid token` says for certain that nothing was done, so that any call may follow a new login.
    async fn with_token(&self, method: &'static str, kind: Kind, params: impl Fn(Value) -> Vec<Value>) -> Result<Value, CobblerError> {
        let token = self.token().await?;
        match self.call(method, &params(Value::Text(token.to_string())), kind).await {
            Err(CobblerError::Token) => {
                *self.token.lock().await = None;
                let token = self.token().await?;
                self.call(method, &params(Value::Text(token.to_string())), kind).await
            }
            other => other,
        }
    }

    async fn token(&self) -> Result<Zeroizing<String>, CobblerError> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_mut() {
            if token.used.elapsed() < FRESH {
                return Ok(token.text.clone());
            }
            // It answers false for one that is too old, and makes a good one last longer, which using it does not.
            if self.read("token_check", &[Value::Text(token.text.to_string())]).await?.bool() == Some(true) {
                token.used = Instant::now();
                return Ok(token.text.clone());
            }
        }
        *held = None;
        let Some(password) = &self.server.password else { return Err(CobblerError::Login { user: self.server.user.clone() }) };
        let params = [Value::Text(self.server.user.clone()), Value::Text(password.to_string())];
        // A second login does no harm: the first token expires.
        let value = self.call("login", &params, Kind::Read).await?;
        let text =
            Zeroizing::new(value.text().map(str::to_owned).filter(|t| !t.is_empty() && t != NONE && t.len() <= 200).unwrap_or_default());
        if text.is_empty() {
            return Err(shape("login", "a token", &value));
        }
        self.known.learn(&text);
        *held = Some(Token { text: text.clone(), used: Instant::now() });
        Ok(text)
    }

    async fn rows<T: Send + 'static>(
        &self,
        method: &'static str,
        params: &[Value],
        one: impl Fn(&Value) -> Result<T, CobblerError> + Send + 'static,
    ) -> Result<Vec<T>, CobblerError> {
        let limits = Limits { values: ROW_VALUES, ..Limits::default() };
        let ((out, bad), value) = self
            .exchange(method, params, Kind::Read, limits, (Vec::new(), None), move |(out, bad): &mut (Vec<T>, Option<CobblerError>), v| {
                match one(&v) {
                    Ok(t) => {
                        out.push(t);
                        Ok(())
                    }
                    Err(e) => {
                        *bad = Some(e);
                        Err("a row of another shape".to_owned())
                    }
                }
            })
            .await?;
        match (bad, value) {
            (Some(e), _) => Err(e),
            (None, Ok(Value::Array(_))) => Ok(out),
            (None, Ok(other)) => Err(shape(method, "a list", &other)),
            (None, Err(e)) => Err(e),
        }
    }

    async fn call(&self, method: &'static str, params: &[Value], kind: Kind) -> Result<Value, CobblerError> {
        let (answered, value) = self
            .exchange(method, params, kind, Limits::default(), None, |at: &mut Option<Vec<Value>>, v| {
                let rows = at.get_or_insert_default();
                rows.push(v);
                if rows.len() as u64 > Limits::default().values { Err("too many rows".to_owned()) } else { Ok(()) }
            })
            .await?;
        // A list comes row by row; here it is wanted whole.
        match (answered, value?) {
            (Some(rows), Value::Array(_)) => Ok(Value::Array(rows)),
            (_, value) => Ok(value),
        }
    }

    /// One POST, its answer parsed as it comes. The outer error is one of the way; the inner one is what the answer itself says.
    async fn exchange<S: Send + 'static>(
        &self,
        method: &'static str,
        params: &[Value],
        kind: Kind,
        limits: Limits,
        mut state: S,
        row: impl Fn(&mut S, Value) -> Result<(), String> + Send + 'static,
    ) -> Result<(S, Result<Value, CobblerError>), CobblerError> {
        let body = xmlrpc::call(method, params).map_err(CobblerError::Call)?;
        let at = shown(&self.server.url);
        let lost = |e: CobblerError| match (&e, kind) {
            (CobblerError::Http(h), Kind::Write) if h.never_done() => e,
            (_, Kind::Write) => CobblerError::Unsure { method: method.to_owned(), cause: e.to_string() },
            (_, Kind::Read) => e,
        };
        let sent = self.http.post(&self.server.url, "text/xml", body, self.server.timeout).await;
        let mut response = sent.map_err(|e| lost(CobblerError::Http(e)))?;
        if response.html {
            return Err(lost(CobblerError::Page { url: at }));
        }
        let (pieces, from) = mpsc::channel(PIECES);
        let parser = tokio::task::spawn_blocking(move || {
            let mut take = |v: Value| row(&mut state, v);
            let read = xmlrpc::read(Pieces::new(from), limits, is_secret, Some(&mut take));
            (state, read)
        });
        let mut cut: Option<HttpError> = None;
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => {
                    // The parser has seen enough.
                    if pieces.send(Ok(piece)).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(e) => {
                    let _ = pieces.send(Err(io::Error::other("the transfer failed"))).await;
                    cut = Some(e);
                    break;
                }
            }
        }
        drop(pieces);
        let (state, read) = parser.await.map_err(|_| CobblerError::Answer { url: at.clone(), source: RpcError::Cut })?;
        if let Some(e) = cut {
            return Err(lost(CobblerError::Http(e)));
        }
        match read {
            Ok(Document::Answer(Ok(value))) => Ok((state, Ok(value))),
            Ok(Document::Answer(Err(fault))) => Ok((state, Err(of_fault(method, &self.server.user, &fault.text, &self.known)))),
            Err(RpcError::Stopped(_)) => Ok((state, Ok(Value::Nil))),
            Ok(Document::Call { .. }) => {
                Err(lost(CobblerError::Answer { url: at, source: RpcError::NotRpc { at: 0, wanted: "an answer" } }))
            }
            Err(source) => Err(lost(CobblerError::Answer { url: at, source })),
        }
    }
}

fn shape(method: &str, wanted: &'static str, found: &Value) -> CobblerError {
    CobblerError::Shape { method: method.to_owned(), wanted, found: found.kind() }
}

fn known_as(e: CobblerError, id: &str) -> CobblerError {
    match e {
        CobblerError::Forgotten { .. } => CobblerError::Forgotten { event: crate::base::sanitise::cell(&excerpt(id)) },
        e => e,
    }
}
