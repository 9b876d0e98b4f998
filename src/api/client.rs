//! The client: HTTP/1.1 over one Unix socket, with a limit on every wait. It never starts an engine.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::{ApiError, Code, ErrorBody};
use super::socket::{self, Found};

/// An engine that is alive answers a plain question within this.
pub const ANSWER: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// No answer is larger, but for streams.
const MAX_ANSWER: usize = 256 << 20;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoConnection {
    /// Nothing is there, or a socket that its engine left behind: a private engine may be started.
    Absent,
    /// Somebody else's, or no socket at all: nothing is sent.
    Refused(String),
    /// The right one, as far as can be seen, and its mode keeps this user out.
    Closed(String),
    /// It is there and does not answer.
    Silent(String),
}

/// One connection to one engine.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    socket: PathBuf,
}

/// How a request ended without an answer. `Lost`: the connection broke, so nobody knows whether it was carried out. `Silent`: neither is known,
/// and it holds the connection without a word; to ask the same engine again would only double the wait.
#[derive(Debug, Clone)]
pub enum Trouble {
    Lost(String),
    Silent(String),
    Answer(ApiError),
}

impl From<Trouble> for ApiError {
    fn from(t: Trouble) -> Self {
        match t {
            Trouble::Answer(e) => e,
            Trouble::Lost(why) => ApiError::no_engine(format!("the engine went away while it was asked: {why}"), "ask again"),
            Trouble::Silent(why) => ApiError::no_engine(why, "look at its log in STATE/logs; it may be stopped, or its disk may hang"),
        }
    }
}

impl Client {
    /// Connects to the engine at `path`. `own`: whose engine it must be; root's is trusted where `shared`.
    pub async fn connect(path: &Path, own: u32, shared: bool) -> Result<Self, NoConnection> {
        let at = path.display();
        let trusted = |uid: u32| uid == own || shared;
        match socket::look(path) {
            Ok(Found::Nothing) => return Err(NoConnection::Absent),
            Ok(Found::Other) => return Err(NoConnection::Refused(format!("{at} is not a socket"))),
            Ok(Found::Socket { uid }) if !trusted(uid) => {
                return Err(NoConnection::Refused(format!("{at} belongs to uid {uid}, not to you (uid {own})")));
            }
            Ok(Found::Socket { .. }) => {}
            Err(e) => return Err(NoConnection::Refused(format!("{at} cannot be looked at: {e}"))),
        }
        let (short, fd) = socket::short(path).map_err(|e| NoConnection::Refused(format!("{at} cannot be reached: {e}")))?;
        let stream = match timeout(CONNECT, UnixStream::connect(&short)).await {
            Ok(Ok(s)) => s,
            Ok(Err(e)) => {
                return Err(match e.kind() {
                    // Reset: its engine died between our look and our word, before it took the connection.
                    std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::NotFound => {
                        NoConnection::Absent
                    }
                    std::io::ErrorKind::PermissionDenied => NoConnection::Closed(format!("{at} may not be used by uid {own}: {e}")),
                    _ => NoConnection::Silent(format!("{at}: {e}")),
                });
            }
            Err(_) => return Err(NoConnection::Silent(format!("{at} did not take the connection within {} s", CONNECT.as_secs()))),
        };
        drop(fd);
        // The file's owner may have been swapped since it was looked at; the listener's uid comes from the kernel.
        match stream.peer_cred() {
            Ok(cred) if trusted(cred.uid()) => {}
            Ok(cred) => return Err(NoConnection::Refused(format!("{at} is served by uid {}, not by you (uid {own})", cred.uid()))),
            Err(e) => return Err(NoConnection::Silent(format!("{at}: {e}"))),
        }
        let (sender, connection) = match timeout(CONNECT, handshake(TokioIo::new(stream))).await {
            Ok(Ok(pair)) => pair,
            Ok(Err(e)) => {
                tracing::info!(error = %chain(&e), "no HTTP at the engine's socket");
                return Err(NoConnection::Silent(format!("{at}: the engine ended the connection as soon as it was there")));
            }
            Err(_) => return Err(NoConnection::Silent(format!("{at} did not answer within {} s", CONNECT.as_secs()))),
        };
        tokio::spawn(connection);
        Ok(Self { sender, socket: path.to_owned() })
    }

    /// `GET path`, whose answer comes within `limit`.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str, limit: Duration) -> Result<T, Trouble> {
        self.ask("GET", path, Bytes::new(), limit).await
    }

    /// `POST path` with a JSON body.
    pub async fn post<B: Serialize, T: DeserializeOwned>(&mut self, path: &str, body: &B, limit: Duration) -> Result<T, Trouble> {
        let body =
            serde_json::to_vec(body).map_err(|e| Trouble::Answer(ApiError::bad(format!("the request cannot be written: {e}"), "")))?;
        self.ask("POST", path, body.into(), limit).await
    }

    async fn ask<T: DeserializeOwned>(&mut self, method: &str, path: &str, body: Bytes, limit: Duration) -> Result<T, Trouble> {
        let response = self.send(method, path, body, limit).await?;
        let status = response.status();
        let collected = timeout(limit, Limited::new(response.into_body(), MAX_ANSWER).collect()).await;
        let bytes = match collected {
            Ok(Ok(c)) => c.to_bytes(),
            Ok(Err(e)) => return Err(cut(&*e)),
            Err(_) => return Err(silent(&self.socket, limit)),
        };
        if !status.is_success() {
            return Err(Trouble::Answer(refusal(status.as_u16(), &bytes)));
        }
        serde_json::from_slice(&bytes).map_err(|e| {
            let help = "the engine may be of another version: quarterdeck engine stop, and ask again";
            Trouble::Answer(ApiError::failed(format!("the engine's answer to {} cannot be read: {e}", place(path)), help))
        })
    }

    /// Sends one request, and returns the answer with its body unread, for streams.
    pub async fn stream(&mut self, path: &str) -> Result<Incoming, Trouble> {
        let response = self.send("GET", path, Bytes::new(), ANSWER).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        match timeout(ANSWER, Limited::new(response.into_body(), MAX_ANSWER).collect()).await {
            Ok(Ok(c)) => Err(Trouble::Answer(refusal(status.as_u16(), &c.to_bytes()))),
            _ => Err(Trouble::Lost("its refusal could not be read".into())),
        }
    }

    /// An answer that is no JSON, such as an archive; bounded like every answer.
    pub async fn bytes(&mut self, path: &str, limit: Duration) -> Result<Bytes, Trouble> {
        let body = self.stream(path).await?;
        let collected = timeout(limit, Limited::new(body, MAX_ANSWER).collect()).await;
        let collected = collected.map_err(|_| Trouble::Lost(format!("no whole answer within {} s", limit.as_secs())))?;
        collected.map(|c| c.to_bytes()).map_err(|e| cut(&*e))
    }

    /// As [`Client::stream`], for answers that come line by line. The connection serves nothing else until the last of them is read.
    pub async fn lines(&mut self, path: &str) -> Result<Lines, Trouble> {
        Ok(Lines { body: self.stream(path).await?, held: Vec::new() })
    }

    async fn send(&mut self, method: &str, path: &str, body: Bytes, limit: Duration) -> Result<Response<Incoming>, Trouble> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "quarterdeck")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|e| {
                let help = "a filter, a pattern and what else is asked for may have 64 KiB in all";
                Trouble::Answer(ApiError::bad(format!("{} cannot be asked for: {e}", place(path)), help))
            })?;
        let answer = timeout(limit, async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        });
        match answer.await {
            Ok(Ok(r)) => Ok(r),
            Ok(Err(e)) => Err(lost("the connection broke before an answer came", &e)),
            Err(_) => Err(silent(&self.socket, limit)),
        }
    }
}

/// A streamed answer.
pub struct Lines {
    body: Incoming,
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
}

/// A longer line of a streamed answer is none of ours.
const MAX_LINE: usize = 8 << 20;

impl Lines {
    /// The next line, without its end, within `limit`; none at the end of the answer.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<Vec<u8>>, Trouble> {
        let mut searched = 0;
        loop {
            if let Some(i) = self.held[searched..].iter().position(|b| *b == b'\n') {
                let rest = self.held.split_off(searched + i + 1);
                let mut line = std::mem::replace(&mut self.held, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.held.len();
            if searched > MAX_LINE {
                return Err(Trouble::Lost("a line of its answer has no end".into()));
            }
            match timeout(limit, self.body.frame()).await {
                Ok(Some(Ok(frame))) => self.held.extend(frame.into_data().unwrap_or_default()),
                Ok(Some(Err(e))) => return Err(cut(&e)),
                Ok(None) if self.held.is_empty() => return Ok(None),
                Ok(None) => return Err(Trouble::Lost("its answer ends in the middle of a line".into())),
                Err(_) => return Err(Trouble::Lost(format!("nothing came for {} s", limit.as_secs()))),
            }
        }
    }
}

/// The connection broke in the middle of an answer.
fn cut(e: &dyn Error) -> Trouble {
    lost("the connection broke in the middle of an answer", e)
}

/// What a library says of it is for the log: nobody at a terminal can do anything with its words.
fn lost(what: &str, e: &dyn Error) -> Trouble {
    tracing::info!(error = %chain(e), "{what}");
    Trouble::Lost(what.to_owned())
}

fn chain(e: &dyn Error) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(e) = next {
        text.push_str(&format!(": {e}"));
        next = e.source();
    }
    text
}

fn silent(socket: &Path, limit: Duration) -> Trouble {
    Trouble::Silent(format!("the engine at {} gave no answer within {} s", socket.display(), limit.as_secs()))
}

/// A path without what stands behind its `?`: that may be as long as a filter.
fn place(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

/// The error in an answer; an answer that is none of ours is one too.
fn refusal(status: u16, bytes: &[u8]) -> ApiError {
    match serde_json::from_slice::<ErrorBody>(bytes) {
        Ok(ErrorBody { error }) if error.foreign.is_some() => ApiError { code: Code::of_status(status), ..error },
        Ok(body) => body.error,
        Err(_) => {
            let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
            let text = if text.is_empty() { "nothing".to_owned() } else { text };
            ApiError::new(Code::Failed, format!("the engine answered HTTP {status}, and in place of an error: {text}"), "")
        }
    }
}

/// A path segment or query value, percent-encoded.
pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
