//! HTTP for reading: deadlines on everything, bounded redirects, certificates checked, failures sorted into kinds that say what to do.
//!
//! No error's text has anything of a body; addresses in errors are shown without passwords and query values. What a server said in place of
//! what was asked for is kept beside the error, in part, for people who want to see it.

mod post;
mod proxy;
mod raw;
mod tls;

use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use reqwest::{Client as Inner, StatusCode};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::address::shown;
use super::excerpt;
use crate::base::size;

pub use post::Trust;
pub use raw::Raw;
pub use tls::Flaw;

const MAX_REDIRECTS: usize = 5;

/// Why a request did not bring what it was for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    #[error("{url}: the host's name cannot be resolved ({cause})")]
    Dns { url: String, cause: String },
    #[error("{url}: no connection ({cause})")]
    Connect { url: String, cause: String },
    #[error("{url}: the TLS handshake failed ({cause})")]
    Tls { url: String, cause: String, flaw: Flaw },
    #[error("{url}: {}", status_words(*.status))]
    Status { url: String, status: u16, retry_after: Option<Duration>, raw: Option<Box<Raw>> },
    #[error("{url}: stalled: nothing came for {} s", .after.as_secs())]
    Stalled { url: String, after: Duration },
    #[error("{url}: too slow: not done after {} s", .after.as_secs())]
    Budget { url: String, after: Duration },
    #[error("{url}: the answer is larger than {}, and no more is read of it", size::short(*.max))]
    TooLarge { url: String, max: u64 },
    #[error("{url}: the answer was cut off ({cause})")]
    Truncated { url: String, cause: String },
    #[error("{url}: {why}")]
    Redirect { url: String, why: String },
    /// The proxy that the environment names did not do its part. `heals`: asking again may help.
    #[error("{url}: {cause}")]
    Proxy { url: String, cause: String, heals: bool },
    #[error("{url}: {cause}")]
    Other { url: String, cause: String },
}

fn status_words(status: u16) -> String {
    let words = match status {
        401 => "credentials are missing or wrong",
        403 => "access is forbidden",
        404 => "not found",
        407 => "a proxy on the way wants credentials",
        410 => "gone for good",
        429 => "too many requests",
        500..=599 => "the server is in trouble",
        _ => "an answer that is no use here",
    };
    format!("HTTP {status}: {words}")
}

impl HttpError {
    /// Asking again may help.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Dns { .. } | Self::Connect { .. } | Self::Stalled { .. } | Self::Truncated { .. } | Self::Other { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::Proxy { heals, .. } => *heals,
            Self::Tls { .. } | Self::Budget { .. } | Self::TooLarge { .. } | Self::Redirect { .. } => false,
        }
    }

    /// The far end answered, and with something that cannot be right: it is not unreachable.
    pub const fn is_wrong(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }

    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// User and password for one far end; sent with Basic, dropped by redirects to another host.
#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub password: Zeroizing<String>,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub connect: Duration,
    /// Between two pieces of an answer, and until its head.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), stall: Duration::from_secs(30) }
    }
}

/// What a server said about a version of a file; sent back to ask whether it changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validators {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// A condition on a request.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    Whole,
    /// Only if it changed.
    IfChanged(&'a Validators),
    /// From this byte on, if it is still the version of these validators.
    From(u64, &'a Validators),
}

#[derive(Clone)]
pub struct Client {
    inner: Inner,
    patience: Patience,
    credentials: Option<Credentials>,
}

/// A head that arrived; the body is read piece by piece.
pub struct Response {
    inner: reqwest::Response,
    shown: String,
    deadline: Instant,
    budget: Duration,
    stall: Duration,
    pub status: StatusCode,
    pub validators: Validators,
    /// Of this answer's body, where stated.
    pub length: Option<u64>,
    /// Start and total of a `206`.
    pub range: Option<(u64, Option<u64>)>,
    pub html: bool,
    /// The server's time, as it said it.
    pub date: Option<String>,
}

impl Response {
    fn of(inner: reqwest::Response, shown: String, deadline: Instant, budget: Duration, stall: Duration) -> Self {
        let headers = inner.headers();
        let text = |name| short_header(headers, name);
        Self {
            status: inner.status(),
            validators: Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) },
            length: inner.content_length(),
            range: text(CONTENT_RANGE).as_deref().and_then(content_range),
            html: is_html(headers),
            date: text(reqwest::header::DATE),
            shown,
            deadline,
            budget,
            stall,
            inner,
        }
    }
}

/// What every client of ours has.
fn base(patience: Patience) -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that somebody installed one before us, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Inner::builder()
        .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(patience.connect)
        .tcp_nodelay(true)
        .referer(false)
}

impl Client {
    /// Certificates are checked against the system's roots. Proxies are taken from the environment, as curl and dnf do.
    pub fn new(patience: Patience, credentials: Option<Credentials>, connections: usize) -> Result<Self, HttpError> {
        let builder = || base(patience).pool_max_idle_per_host(connections).redirect(reqwest::redirect::Policy::custom(follow));
        // A machine without any root certificates can still read plain http; https then fails with the reason.
        let inner = builder().build().or_else(|_| builder().tls_certs_only(std::iter::empty()).build());
        let inner = inner.map_err(|e| HttpError::Other { url: "HTTP client".into(), cause: chain(&e) })?;
        Ok(Self { inner, patience, credentials })
    }

    /// The stated length of a file: by HEAD, or by the head of a GET where a server knows no HEAD. `None` where it is not stated.
    pub async fn length(&self, url: &Url, budget: Duration) -> Result<Option<u64>, HttpError> {
        let at = shown(url);
        let deadline = Instant::now() + budget;
        let mut request = self.inner.head(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(c) = &self.credentials {
            request = request.basic_auth(&c.user, Some(c.password.as_str()));
        }
        let sent = bounded(deadline, budget, self.patience.stall, &at, request.send()).await?;
        let response = sent.map_err(|e| proxy::blamed(classify(&e, &at), url))?;
        match response.status() {
            // Not what reqwest says of the body: that of a HEAD is empty.
            StatusCode::OK => Ok(response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok())),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Ok(self.get(url, Ask::Whole, budget).await?.length),
            status => {
                let refused =
                    HttpError::Status { url: at, status: status.as_u16(), retry_after: retry_after(response.headers()), raw: None };
                Err(proxy::blamed(refused, url))
            }
        }
    }

    /// Sends a GET and waits for its head. A status other than 200, 206 (when asked) or 304 (when asked) is an error.
    pub async fn get(&self, url: &Url, ask: Ask<'_>, budget: Duration) -> Result<Response, HttpError> {
        let at = shown(url);
        let deadline = Instant::now() + budget;
        let mut request = self.inner.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(c) = &self.credentials {
            request = request.basic_auth(&c.user, Some(c.password.as_str()));
        }
        match ask {
            Ask::Whole => {}
            Ask::IfChanged(v) => {
                if let Some(etag) = &v.etag {
                    request = request.header(IF_NONE_MATCH, etag);
                }
                if let Some(date) = &v.last_modified {
                    request = request.header(IF_MODIFIED_SINCE, date);
                }
            }
            Ask::From(offset, v) => {
                request = request.header(RANGE, format!("bytes={offset}-"));
                // A weak tag may not be used for ranges.
                if let Some(tag) = v.etag.as_ref().filter(|t| !t.starts_with("W/")).or(v.last_modified.as_ref()) {
                    request = request.header(IF_RANGE, tag);
                }
            }
        }
        let sent = bounded(deadline, budget, self.patience.stall, &at, request.send()).await?;
        let inner = sent.map_err(|e| proxy::blamed(classify(&e, &at), url))?;
        let status = inner.status();
        let good = match ask {
            Ask::Whole => status == StatusCode::OK,
            Ask::IfChanged(_) => status == StatusCode::OK || status == StatusCode::NOT_MODIFIED,
            Ask::From(..) => status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT,
        };
        if !good {
            let retry_after = retry_after(inner.headers());
            let raw = Raw::of(inner, deadline.min(Instant::now() + self.patience.stall)).await;
            let refused = HttpError::Status { url: at, status: status.as_u16(), retry_after, raw: Some(Box::new(raw)) };
            return Err(proxy::blamed(refused, url));
        }
        Ok(Response::of(inner, at, deadline, budget, self.patience.stall))
    }
}

impl Response {
    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let piece = bounded(self.deadline, self.budget, self.stall, &self.shown, self.inner.chunk()).await?;
        piece.map_err(|e| classify(&e, &self.shown))
    }

    /// The whole body, if it is no larger than `max`.
    pub async fn collect(mut self, max: u64) -> Result<Vec<u8>, HttpError> {
        if self.length.is_some_and(|n| n > max) {
            return Err(HttpError::TooLarge { url: self.shown, max });
        }
        let mut out = Vec::with_capacity(self.length.unwrap_or(0).min(max).min(16 << 20) as usize);
        while let Some(piece) = self.chunk().await? {
            if out.len() as u64 + piece.len() as u64 > max {
                return Err(HttpError::TooLarge { url: self.shown, max });
            }
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }

    /// The address for people.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

async fn bounded<T>(deadline: Instant, budget: Duration, stall: Duration, at: &str, work: impl Future<Output = T>) -> Result<T, HttpError> {
    let stalls = Instant::now() + stall;
    tokio::time::timeout_at(deadline.min(stalls), work).await.map_err(|_| {
        if stalls < deadline {
            HttpError::Stalled { url: at.to_owned(), after: stall }
        } else {
            HttpError::Budget { url: at.to_owned(), after: budget }
        }
    })
}

fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let from = attempt.previous().last().cloned();
    let why = if attempt.previous().contains(attempt.url()) {
        let mut path: Vec<String> = attempt.previous().iter().map(shown).collect();
        path.push(shown(attempt.url()));
        format!("redirect loop: {}", excerpt(&path.join(" → ")))
    } else if attempt.previous().len() > MAX_REDIRECTS {
        format!("more than {MAX_REDIRECTS} redirects, the last to {}", shown(attempt.url()))
    } else if !matches!(attempt.url().scheme(), "http" | "https") {
        format!("redirected to `{}`, which is not http or https", attempt.url().scheme())
    } else if from.is_some_and(|f| f.scheme() == "https") && attempt.url().scheme() == "http" {
        format!("redirected from https to unprotected {}", shown(attempt.url()))
    } else {
        return attempt.follow();
    };
    attempt.error(BadRedirect(why))
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadRedirect(String);

/// Sorts an error by walking its causes: what reqwest itself prints is "error sending request".
fn classify(error: &reqwest::Error, at: &str) -> HttpError {
    let url = at.to_owned();
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut eof = false;
    while let Some(e) = source {
        if let Some(bad) = e.downcast_ref::<BadRedirect>() {
            return HttpError::Redirect { url, why: bad.0.clone() };
        }
        if let Some((flaw, words)) = tls::cause(e) {
            return HttpError::Tls { url, cause: excerpt(&words), flaw };
        }
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            eof |= matches!(
                io.kind(),
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            );
        }
        if let Some(h) = e.downcast_ref::<hyper::Error>() {
            eof |= h.is_incomplete_message() || h.is_closed();
        }
        source = e.source();
    }
    let causes = chain(error);
    let cause = excerpt(&plain(&causes));
    if error.is_dns() || causes.contains("dns error") {
        HttpError::Dns { url, cause }
    } else if error.is_connect() {
        HttpError::Connect { url, cause }
    } else if eof || error.is_body() {
        HttpError::Truncated { url, cause }
    } else {
        HttpError::Other { url, cause }
    }
}

/// The innermost causes, joined; the outer ones repeat the address.
fn chain(error: &reqwest::Error) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(e) = source {
        let text = e.to_string();
        if !text.contains("://") && out.last().is_none_or(|last| !last.contains(&text)) {
            out.push(text);
        }
        source = e.source();
    }
    if out.is_empty() { "the request failed".into() } else { out.join(": ") }
}

/// Without what the HTTP library calls its own layers: that says nothing of the far end.
fn plain(causes: &str) -> String {
    const LAYERS: [&str; 5] =
        ["client error (Connect): ", "client error (SendRequest): ", "tcp connect error: ", "dns error: ", "error resolving DNS: "];
    LAYERS.iter().fold(causes.to_owned(), |text, layer| text.replace(layer, ""))
}

/// A header that is text, and no longer than any that means something here.
fn short_header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).filter(|v| v.len() <= 512).map(str::to_owned)
}

/// A web page: a login, an error, a captive portal.
fn is_html(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().to_ascii_lowercase().starts_with(b"text/html"))
}

/// Seconds only; a date would need the server's clock to be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// `bytes START-END/TOTAL`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((span.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 10-19/20"), Some((10, Some(20))));
        assert_eq!(content_range("bytes 10-19/*"), Some((10, None)));
        assert_eq!(content_range("items 1-2/3"), None);
    }

    #[test]
    fn only_what_may_heal_is_asked_again() {
        let status = |status| HttpError::Status { url: "u".into(), status, retry_after: None, raw: None };
        for s in [408, 429, 500, 502, 503, 504] {
            assert!(status(s).is_transient(), "{s}");
        }
        for s in [301, 400, 401, 403, 404, 410, 501] {
            assert!(!status(s).is_transient(), "{s}");
        }
        assert!(status(503).to_string().contains("HTTP 503"));
    }

    #[test]
    fn a_port_where_nobody_listens_is_told_as_such() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://u:hunter2@{}/x", listener.local_addr().unwrap())).unwrap();
        drop(listener);
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::new(Patience::default(), None, 1).unwrap();
        let err = rt.block_on(client.get(&url, Ask::Whole, Duration::from_secs(20))).err().unwrap();
        assert!(matches!(err, HttpError::Connect { .. }), "{err}");
        assert!(err.to_string().ends_with("no connection (Connection refused (os error 111))"), "no layers of a library: {err}");
        assert!(!err.to_string().contains("hunter2"), "{err}");
        let gone = Url::parse("http://no-such-host.invalid/").unwrap();
        let err = rt.block_on(client.get(&gone, Ask::Whole, Duration::from_secs(20))).err().unwrap();
        assert!(matches!(err, HttpError::Dns { .. }), "{err:?}");
    }

    #[test]
    fn a_port_that_does_not_speak_tls_is_told_as_such() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("https://{}/x", listener.local_addr().unwrap())).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        });
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::new(Patience::default(), None, 1).unwrap();
        let err = rt.block_on(client.get(&url, Ask::Whole, Duration::from_secs(20))).err().unwrap();
        server.join().unwrap();
        assert!(matches!(err, HttpError::Tls { .. }) && !err.is_transient(), "{err:?}");
        assert!(err.to_string().contains("speaks no TLS"), "{err}");
    }
}
