//! How long a client may take over the head of a request. Between two requests it may be silent for as long as it likes: a console that
//! nobody touches keeps its connection, and its arming with it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::crowd::Pulse;

/// Serves one connection under this rule: `head` for the head of a request, from its first byte to its last, and from the connection to the
/// first request. (The limit of the HTTP library runs between requests too.) `pulse` tells whether a request is being served.
pub fn connection<T, S, B>(stream: T, service: S, head: Duration, pulse: Arc<Pulse>) -> Connection<TokioIo<Paced<T>>, Told<S>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = Paced { stream, head, pulse: pulse.clone(), alarm: Some(Box::pin(tokio::time::sleep(head))) };
    Builder::new().serve_connection(TokioIo::new(io), Told { service, pulse })
}

/// A service that says when it serves.
pub struct Told<S> {
    service: S,
    pulse: Arc<Pulse>,
}

impl<S, B> Service<Request<Incoming>> for Told<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.pulse.serving(true);
        let (answer, served) = (self.service.call(request), Served(self.pulse.clone()));
        Box::pin(async move { Ok(answer.await?.map(|body| Answer { body, _served: served })) })
    }
}

/// A request is served as long as this lives.
struct Served(Arc<Pulse>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.serving(false);
    }
}

/// The body of an answer: a stream of events is being served until it ends.
pub struct Answer<B> {
    body: B,
    _served: Served,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose reads fail once the head of a request is overdue.
pub struct Paced<T> {
    stream: T,
    head: Duration,
    /// While a request is served, what is read is its body.
    pulse: Arc<Pulse>,
    /// Of the head that is being read.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.pulse.is_serving() {
            self.alarm = None;
        } else if buf.filled().len() > before && self.alarm.is_none() {
            self.alarm = Some(Box::pin(tokio::time::sleep_until(Instant::now() + self.head)));
        }
        if read.is_pending() && self.alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    const ASKED: &[u8] = b"GET / HTTP/1.1\r\nhost: quarterdeck\r\n\r\n";
    const HEAD: Duration = Duration::from_millis(50);

    fn served() -> (DuplexStream, JoinHandle<()>) {
        let (ours, theirs) = duplex(4096);
        let answer = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(String::from("yes"))));
        let server = async move {
            let _ = connection(theirs, answer, HEAD, Arc::default()).await;
        };
        (ours, tokio::spawn(server))
    }

    async fn asked(client: &mut DuplexStream) -> bool {
        if client.write_all(ASKED).await.is_err() {
            return false;
        }
        let mut text = String::new();
        let mut buf = [0; 512];
        while !text.ends_with("yes") {
            match client.read(&mut buf).await {
                Ok(n) if n > 0 => text.push_str(&String::from_utf8_lossy(&buf[..n])),
                _ => return false,
            }
        }
        true
    }

    #[tokio::test]
    async fn a_client_may_be_silent_between_two_requests() {
        let (mut client, _server) = served();
        for n in 0..3 {
            assert!(asked(&mut client).await, "request {n}");
            tokio::time::sleep(HEAD * 5).await;
        }
    }

    #[tokio::test]
    async fn half_a_head_is_not_waited_for() {
        for first in [true, false] {
            let (mut client, server) = served();
            assert!(first || asked(&mut client).await);
            client.write_all(&ASKED[..9]).await.unwrap();
            server.await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_asks_nothing_at_first_is_dropped() {
        let (mut client, server) = served();
        server.await.unwrap();
        assert!(!asked(&mut client).await);
    }
}
