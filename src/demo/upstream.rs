//! The demo's yum upstream: an HTTP/1.1 file server on the loopback address, with what real mirrors have
//! (validators, ranges, keep-alive, listings), counters, an access log, and faults when asked for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::Error;
use super::faults::{Fault, Faults};
use super::respond::{self, Facts};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// At most this many connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
const CHUNK: usize = 64 * 1024;
/// The access log is started anew at this size; one older file is kept.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;

/// How to start one.
#[derive(Debug, Default)]
pub struct Options {
    /// Taken when free; any other otherwise.
    pub port: Option<u16>,
    /// One JSON line a request: `{"at","method","path","status","bytes","range"}`.
    pub log: Option<PathBuf>,
}

/// Requests and bytes since the start. Readable while the server runs.
#[derive(Debug, Default)]
pub struct Counters {
    requests: AtomicU64,
    bytes: AtomicU64,
    by_path: Mutex<BTreeMap<String, u64>>,
    by_status: Mutex<BTreeMap<u16, u64>>,
}

impl Counters {
    /// Requests answered, faults included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Bytes of bodies sent.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Requests whose path ends so.
    pub fn ending(&self, end: &str) -> u64 {
        lock(&self.by_path).iter().filter(|(p, _)| p.ends_with(end)).map(|(_, n)| n).sum()
    }

    /// Requests answered with this status.
    pub fn status(&self, code: u16) -> u64 {
        lock(&self.by_status).get(&code).copied().unwrap_or(0)
    }

    /// Sets all to zero.
    pub fn reset(&self) {
        self.requests.store(0, Ordering::SeqCst);
        self.bytes.store(0, Ordering::SeqCst);
        lock(&self.by_path).clear();
        lock(&self.by_status).clear();
    }

    fn count(&self, path: &str, status: u16) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        *lock(&self.by_status).entry(status).or_default() += 1;
        let mut paths = lock(&self.by_path);
        // Paths come from whoever asks: their number is bounded.
        if paths.len() < 20_000 || paths.contains_key(path) {
            *paths.entry(path.to_owned()).or_default() += 1;
        }
    }
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    counters: Arc<Counters>,
    faults: Faults,
    runtime: Option<Runtime>,
}

struct Shared {
    root: PathBuf,
    counters: Arc<Counters>,
    faults: Faults,
    log: Mutex<Option<(PathBuf, File)>>,
}

impl Upstream {
    /// Serves `root` on 127.0.0.1 from threads of its own; may be called inside or outside a runtime.
    pub fn start(root: &Path, options: Options) -> Result<Self, Error> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port.unwrap_or(0)));
        let listener = TcpListener::bind(wanted).or_else(|_| TcpListener::bind(any));
        let fail = |source| Error::Listen { addr: wanted.to_string(), source };
        let listener = listener.map_err(fail)?;
        let addr = listener.local_addr().map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let counters = Arc::new(Counters::default());
        let faults = Faults::default();
        let log = match options.log {
            Some(path) => {
                let file = File::options().create(true).append(true).open(&path).map_err(Error::io("opening", &path))?;
                Some((path, file))
            }
            None => None,
        };
        let shared = Arc::new(Shared { root: root.to_owned(), counters: counters.clone(), faults: faults.clone(), log: Mutex::new(log) });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("demo-upstream")
            .enable_all()
            .build()
            .map_err(fail)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(fail)?
        };
        runtime.spawn(accept(listener, shared));
        Ok(Self { addr, counters, faults, runtime: Some(runtime) })
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// What was asked and sent so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Its fault rules, empty at the start.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(slot) = slots.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors, or the peer left between connect and accept: neither ends the server.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| serve(shared.clone(), request));
            // An error here is the client's going away, or a fault doing its work.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(60))
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(slot);
        });
    }
}

/// An error ends the connection without an answer, which is what a hang-up looks like.
async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let path = request.uri().path().to_owned();
    let fault = shared.faults.take(&path);
    match fault {
        Some(Fault::Hangup) => {
            shared.counters.count(&path, 0);
            return Err(io::Error::other("hang-up asked for"));
        }
        Some(Fault::Mute) => {
            shared.counters.count(&path, 0);
            std::future::pending::<Infallible>().await;
        }
        _ => {}
    }
    let response = match fault {
        None => file(&shared, &request, &path, None),
        Some(fault) => faulty(&shared, &request, &path, fault),
    };
    shared.counters.count(&path, response.status().as_u16());
    note(&shared, &request, &path, &response);
    Ok(response)
}

fn faulty(shared: &Arc<Shared>, request: &Request<Incoming>, path: &str, fault: Fault) -> Response<Body> {
    match fault {
        Fault::Status { code, retry_after } => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = short(shared, status, "text/plain", format!("{status}\n"));
            if let Some(value) = retry_after.and_then(|s| HeaderValue::from_str(&s.to_string()).ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        Fault::Html => {
            let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to use this network.</body></html>\n";
            short(shared, StatusCode::OK, "text/html; charset=utf-8", page.to_owned())
        }
        Fault::Redirect { to } => redirect(shared, StatusCode::FOUND, &to),
        Fault::RedirectLoop => {
            let n = request.uri().query().and_then(|q| q.strip_prefix("again=")).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            redirect(shared, StatusCode::FOUND, &format!("{path}?again={}", n.saturating_add(1)))
        }
        Fault::Replace { body } => {
            let mut response = Response::new(counted(shared, &body));
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            response
        }
        Fault::Endless { chunk } => {
            let counters = shared.counters.clone();
            let zeros = Bytes::from(vec![0u8; chunk.max(1)]);
            let stream = unfold((), move |()| {
                counters.bytes.fetch_add(zeros.len() as u64, Ordering::SeqCst);
                let frame = Frame::data(zeros.clone());
                async move { Some((Ok(frame), ())) }
            });
            Response::new(boxed(stream))
        }
        other => file(shared, request, path, Some(other)),
    }
}

/// The file, the listing or the refusal that `path` stands for.
fn file(shared: &Arc<Shared>, request: &Request<Incoming>, path: &str, fault: Option<Fault>) -> Response<Body> {
    let method = request.method();
    if method != Method::GET && method != Method::HEAD {
        let mut response = short(shared, StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n".to_owned());
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let Some(parts) = respond::clean_path(path) else {
        return short(shared, StatusCode::BAD_REQUEST, "text/plain", "no such path\n".to_owned());
    };
    let place = parts.iter().fold(shared.root.clone(), |at, part| at.join(part));
    let opened = File::open(&place).and_then(|f| f.metadata().map(|m| (f, m)));
    let (file, meta) = match opened {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return short(shared, StatusCode::NOT_FOUND, "text/plain", "404 Not Found\n".to_owned());
        }
        Err(_) => return short(shared, StatusCode::FORBIDDEN, "text/plain", "403 Forbidden\n".to_owned()),
    };
    if meta.is_dir() {
        return if path.ends_with('/') {
            listing(shared, &place, path)
        } else {
            redirect(shared, StatusCode::MOVED_PERMANENTLY, &format!("{path}/"))
        };
    }
    let facts = Facts {
        len: meta.len(),
        modified: meta.mtime(),
        // The time of the last change of the inode: a file put in another's place has another one, even when size,
        // modification time and (reused) inode are the same.
        etag: format!(
            "\"{:x}-{:x}-{:x}\"",
            meta.ino(),
            meta.len(),
            meta.ctime().unsigned_abs() * 1_000_000_000 + meta.ctime_nsec().unsigned_abs()
        ),
    };
    let mut answer = respond::answer(method, request.headers(), &facts);
    if fault == Some(Fault::IgnoreRange) && answer.status != StatusCode::NOT_MODIFIED {
        answer = respond::Answer { status: StatusCode::OK, body: Some((0, facts.len)) };
    }
    if let (StatusCode::PARTIAL_CONTENT, Some((first, count))) = (answer.status, answer.body) {
        answer.body = Some(match fault {
            Some(Fault::OtherRange) => (5, facts.len - 5),
            Some(Fault::LessRange) => (first, count.min(1000)),
            _ => (first, count),
        });
    }
    let mut builder = Response::builder()
        .status(answer.status)
        .header(header::ETAG, &facts.etag)
        .header(header::LAST_MODIFIED, respond::http_date(facts.modified))
        .header(header::ACCEPT_RANGES, "bytes");
    let body = match answer.body {
        None => {
            if answer.status == StatusCode::RANGE_NOT_SATISFIABLE {
                builder = builder.header(header::CONTENT_RANGE, format!("bytes */{}", facts.len));
            }
            empty()
        }
        Some((first, count)) => {
            builder = builder.header(header::CONTENT_TYPE, respond::media_type(path));
            if fault != Some(Fault::NoLength) {
                builder = builder.header(header::CONTENT_LENGTH, count);
            }
            if answer.status == StatusCode::PARTIAL_CONTENT {
                let last = (first + count).saturating_sub(1);
                builder = builder.header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", facts.len));
            }
            let from = if fault == Some(Fault::WrongRange) { 0 } else { first };
            if method == Method::HEAD { empty() } else { boxed(send(shared, file, from, count, facts.len, fault)) }
        }
    };
    builder.body(body).unwrap_or_else(|_| short(shared, StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::new()))
}

/// The body, read as it goes out. Reads block for as long as the page cache takes, which on a demo's files is nothing.
fn send(
    shared: &Arc<Shared>,
    file: File,
    from: u64,
    count: u64,
    len: u64,
    fault: Option<Fault>,
) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send + use<> {
    let counters = shared.counters.clone();
    unfold(Some((file, 0u64)), move |state| {
        let counters = counters.clone();
        let fault = fault.clone();
        async move {
            let (file, sent) = state?;
            if sent >= count {
                return None;
            }
            let mut want = (count - sent).min(CHUNK as u64);
            match &fault {
                Some(Fault::Truncate { keep }) if sent >= *keep => {
                    // Lets what was sent reach the wire before the connection closes.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return Some((Err(io::Error::other("truncation asked for")), None));
                }
                Some(Fault::Truncate { keep }) => want = want.min(keep - sent),
                Some(Fault::Stall { after }) if sent >= *after => std::future::pending::<()>().await,
                Some(Fault::Stall { after }) => want = want.min(after - sent),
                Some(Fault::Trickle { bytes, every }) => {
                    want = want.min((*bytes).max(1) as u64);
                    if sent > 0 {
                        tokio::time::sleep(*every).await;
                    }
                }
                _ => {}
            }
            let mut buf = vec![0u8; want as usize];
            if let Err(e) = file.read_exact_at(&mut buf, from + sent) {
                return Some((Err(e), None));
            }
            if let Some(Fault::FlipBit { at }) = &fault {
                let at = (*at).min(len.saturating_sub(1));
                if let Some(byte) = at.checked_sub(from + sent).and_then(|i| buf.get_mut(i as usize)) {
                    *byte ^= 0x10;
                }
            }
            counters.bytes.fetch_add(buf.len() as u64, Ordering::SeqCst);
            let sent = sent + buf.len() as u64;
            Some((Ok(Frame::data(Bytes::from(buf))), Some((file, sent))))
        }
    })
}

fn listing(shared: &Arc<Shared>, dir: &Path, path: &str) -> Response<Body> {
    let Ok(list) = std::fs::read_dir(dir) else {
        return short(shared, StatusCode::FORBIDDEN, "text/plain", "403 Forbidden\n".to_owned());
    };
    let mut names: Vec<String> = list
        .filter_map(Result::ok)
        .map(|e| {
            let slash = if e.path().is_dir() { "/" } else { "" };
            format!("{}{slash}", e.file_name().to_string_lossy())
        })
        .filter(|n| !n.ends_with(".part"))
        .collect();
    names.sort();
    let title = respond::html(path);
    let mut page = format!(
        "<!DOCTYPE html>\n<html><head><title>Index of {title}</title></head><body>\n<h1>Index of {title}</h1>\n<pre><a href=\"../\">../</a>\n"
    );
    for n in names {
        let n = respond::html(&n);
        page.push_str(&format!("<a href=\"{n}\">{n}</a>\n"));
    }
    page.push_str("</pre></body></html>\n");
    short(shared, StatusCode::OK, "text/html; charset=utf-8", page)
}

fn redirect(shared: &Arc<Shared>, status: StatusCode, to: &str) -> Response<Body> {
    let mut response = short(shared, status, "text/plain", String::new());
    if let Ok(value) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

fn short(shared: &Arc<Shared>, status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(counted(shared, text.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn counted(shared: &Arc<Shared>, bytes: &[u8]) -> Body {
    shared.counters.bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    Full::new(Bytes::copy_from_slice(bytes)).map_err(|never| match never {}).boxed_unsync()
}

fn empty() -> Body {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}

fn boxed(stream: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(stream))
}

/// One line of the access log. A log that cannot be written is given up silently: the server matters more.
fn note(shared: &Arc<Shared>, request: &Request<Incoming>, path: &str, response: &Response<Body>) {
    let mut guard = lock(&shared.log);
    let Some((place, file)) = guard.as_mut() else { return };
    let bytes = response.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    let line = serde_json::json!({
        "at": jiff::Timestamp::now().to_string(),
        "method": request.method().as_str(),
        "path": path,
        "status": response.status().as_u16(),
        "bytes": bytes,
        "range": request.headers().get(header::RANGE).and_then(|v| v.to_str().ok()),
    });
    let _ = file.write_all(format!("{line}\n").as_bytes());
    if file.metadata().is_ok_and(|m| m.len() > LOG_LIMIT) {
        let _ = std::fs::rename(&place, place.with_extension("log.1"));
        if let Ok(fresh) = File::options().create(true).append(true).open(&place) {
            *file = fresh;
        }
    }
}
