//! A bare HTTP/1.1 client over a Unix socket or TCP, for tests that must not trust the client they test.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::wait::LIMIT;

/// Status, head and body of an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }
}

/// One request over the socket at `path`; `body` is sent as JSON. The connection ends with the answer.
pub fn unix(path: &Path, method: &str, target: &str, body: Option<&serde_json::Value>) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let body = body.map(ToString::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nhost: engine\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    answer(stream)
}

/// `GET` over TCP, `http://HOST:PORT/PATH` only.
pub fn get(url: &str) -> std::io::Result<Answer> {
    let bad = || std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("not an http:// URL: {url}"));
    let rest = url.strip_prefix("http://").ok_or_else(bad)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = std::net::TcpStream::connect(host)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    answer(stream)
}

fn answer(mut stream: impl Read) -> std::io::Result<Answer> {
    let broken = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why.to_owned());
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = memchr::memmem::find(&bytes, b"\r\n\r\n").ok_or_else(|| broken("no end of the head"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| broken("no status"))?;
    let mut body = bytes.split_off(end + 4);
    if head.contains("transfer-encoding: chunked") {
        body = dechunk(&body).ok_or_else(|| broken("broken chunk"))?;
    } else if let Some(length) = head.lines().find_map(|l| l.strip_prefix("content-length:")) {
        let length: usize = length.trim().parse().map_err(|_| broken("content-length"))?;
        if body.len() != length {
            return Err(broken("the body is shorter than its content-length"));
        }
    }
    Ok(Answer { status, head, body })
}

fn dechunk(mut from: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = memchr::memmem::find(from, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&from[..end]).ok()?.split(';').next()?.trim(), 16).ok()?;
        from = &from[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(from.get(..size)?);
        from = from.get(size + 2..)?;
    }
}
