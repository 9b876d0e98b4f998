//! An engine that a test holds in its hand: the true socket, paths and words, with answers that can be other ones, held back or refused, and
//! an end and a beginning whenever a test wants them.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::api::ApiError;
use crate::api::error::ErrorBody;
use crate::api::types::{Arm, Armed, ChangeSet, Do, Done};
use crate::console::edge::link::Address;
use crate::console::question::Question;
use crate::console::view::tests::{filled, kinds, said};
use crate::domain::run::RunRef;

pub struct Engine {
    dir: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    /// Another number whenever something is held back no longer.
    released: watch::Sender<u64>,
    serves: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    /// Answers by path.
    answers: BTreeMap<String, Value>,
    /// What `do` says to a target, where it is not that it was done.
    refused: BTreeMap<String, ApiError>,
    /// Paths, and targets of `do`, whose answers are held back.
    held: BTreeSet<String>,
    /// What was asked for, and asked to be done.
    asked: Vec<String>,
    done: Vec<Do>,
    armed: Vec<Armed>,
    listeners: Vec<mpsc::UnboundedSender<Bytes>>,
    revision: u64,
}

/// A whole answer, or one that goes on.
enum Answer {
    Whole(Option<Bytes>),
    Lines(mpsc::UnboundedReceiver<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Lines(lines) => lines.poll_recv(cx).map(|l| l.map(|b| Ok(Frame::data(b)))),
        }
    }
}

impl Engine {
    /// One that serves what the fixtures of the screens say.
    pub fn start() -> Self {
        let mut state = State::default();
        for kind in kinds() {
            for question in filled(kind, (80, 24)).known.into_keys() {
                state.answers.insert(question.path(), said(&question));
            }
        }
        for run in (9..=12).map(|n| RunRef { pipeline: "nightly".into(), number: n }) {
            for question in [Question::Run(run.clone()), Question::Why(run.clone()), Question::About(run.clone()), Question::Attempts(run)]
            {
                state.answers.insert(question.path(), said(&question));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let engine = Self { dir, state: Arc::new(Mutex::new(state)), released: watch::Sender::new(0), serves: Mutex::new(None) };
        let mut status = said(&Question::Status);
        (status["you"], status["runs_running"]) = (json!("ann"), json!(0));
        engine.says(&Question::Status, status);
        engine.begins();
        engine
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn address(&self) -> Address {
        Address { socket: self.dir.path().join("engine.sock"), uid: rustix::process::geteuid().as_raw(), shared: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on this is the answer.
    pub fn says(&self, question: &Question, body: Value) {
        self.state().answers.insert(question.path(), body);
    }

    /// The rows of a table are these, and whoever listens is told which of them moved.
    pub fn rows(&self, what: &'static str, rows: &[Value], moved: &[&str]) {
        let question = Question::Rows { what, limit: crate::console::model::screen::PAGE };
        self.says(&question, json!({"what": what, "revision": 10, "age_ms": 0, "rows": rows}));
        if !moved.is_empty() {
            self.changes(what, moved);
        }
    }

    /// Rows of this table have moved.
    pub fn changes(&self, table: &str, ids: &[&str]) {
        let mut state = self.state();
        state.revision += 1;
        let rows = ids.iter().map(|id| ((*id).to_owned(), Map::new())).collect();
        let set = ChangeSet { revision: state.revision, upserts: [(table.to_owned(), rows)].into(), deletes: BTreeMap::new() };
        let text = format!("event: change\nid: 1.{}\ndata: {}\n\n", state.revision, serde_json::to_string(&set).unwrap());
        tell(&mut state, &text);
    }

    /// Everything must be read again.
    pub fn resets(&self) {
        tell(&mut self.state(), "event: reset\nid: 1.1\ndata: {}\n\n");
    }

    /// Whatever is asked under this path, or asked to be done to this target, has no answer until it is let go.
    pub fn holds(&self, what: &str) {
        self.state().held.insert(what.to_owned());
    }

    pub fn lets_go(&self, what: &str) {
        self.state().held.remove(what);
        self.released.send_modify(|n| *n += 1);
    }

    /// Requests about this target are refused.
    pub fn refuses(&self, target: &str, why: &str) {
        self.state().refused.insert(target.to_owned(), ApiError::refused(why, "look at it first"));
    }

    /// What was asked to be done, in order.
    pub fn done(&self) -> Vec<String> {
        self.state().done.iter().map(|d| format!("{} {}", d.action, d.target)).collect()
    }

    /// How often this path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.state().asked.iter().filter(|p| *p == path).count()
    }

    /// Somebody listens at its socket from now on.
    pub fn begins(&self) {
        let socket = self.address().socket;
        // Of an engine before, that was killed.
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let (state, released) = (self.state.clone(), self.released.clone());
        let serves = tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, released) = (state.clone(), released.clone());
                all.spawn(async move {
                    let service = service_fn(move |request| answer(state.clone(), released.clone(), request));
                    // A console that goes away is no error.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        *self.serves.lock().unwrap() = Some(serves);
    }

    /// As by SIGKILL: every connection is cut where it stands.
    pub async fn dies(&self) {
        let serves = self.serves.lock().unwrap().take();
        if let Some(serves) = serves {
            serves.abort();
            let _ = serves.await;
        }
        self.state().listeners.clear();
        // Leases end with their connections.
        self.state().armed.clear();
    }
}

fn tell(state: &mut State, text: &str) {
    state.listeners.retain(|l| l.send(Bytes::from(text.to_owned())).is_ok());
}

fn whole<T: Serialize>(code: u16, body: &T) -> Response<Answer> {
    let body = Bytes::from(serde_json::to_vec(body).unwrap());
    Response::builder().status(code).body(Answer::Whole(Some(body))).unwrap()
}

fn refusal(error: ApiError) -> Response<Answer> {
    whole(error.code.http_status(), &ErrorBody { error })
}

async fn answer(
    state: Arc<Mutex<State>>,
    released: watch::Sender<u64>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let act: Option<Do> = (path == "/v1/do").then(|| serde_json::from_slice(&body).unwrap());
    let name = act.as_ref().map_or_else(|| path.clone(), |d| d.target.clone());
    match act {
        Some(act) => state.lock().unwrap().done.push(act),
        None => state.lock().unwrap().asked.push(path.clone()),
    }
    let mut changed = released.subscribe();
    while state.lock().unwrap().held.contains(&name) {
        if changed.changed().await.is_err() {
            break;
        }
    }
    Ok(say(&mut state.lock().unwrap(), &path, &name, &body))
}

fn say(state: &mut State, path: &str, name: &str, body: &[u8]) -> Response<Answer> {
    match path {
        "/v1/events" => {
            let (tell, lines) = mpsc::unbounded_channel();
            state.listeners.push(tell);
            Response::builder().header("content-type", "text/event-stream").body(Answer::Lines(lines)).unwrap()
        }
        "/v1/arm" => {
            let wish: Arm = serde_json::from_slice(body).unwrap();
            let armed = Armed { lease: 7, who: "ann".into(), reason: wish.reason, until: "2026-04-07T09:00:00Z".into() };
            state.armed = vec![armed.clone()];
            whole(200, &armed)
        }
        "/v1/disarm" => {
            state.armed.clear();
            whole(200, &Done { run: None, message: "disarmed".into(), single_person: false })
        }
        "/v1/do" => match state.refused.get(name) {
            Some(error) => refusal(error.clone()),
            None => whole(200, &Done { run: None, message: format!("{name}: it is done"), single_person: false }),
        },
        "/v1/status" => {
            let mut status = state.answers[path].clone();
            status["armed"] = json!(state.armed);
            whole(200, &status)
        }
        _ => match state.answers.get(path) {
            Some(answer) => whole(200, answer),
            None => refusal(ApiError::bad(format!("nothing is known of {path}"), "ask for something else")),
        },
    }
}
