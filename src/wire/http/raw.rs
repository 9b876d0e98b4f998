//! The beginning of an answer that was of no use, as it came: for people, behind a key. Nothing decides by it.

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER, SERVER};
use tokio::time::Instant;

use super::short_header;

/// Of a body so much is kept.
pub const KEPT: usize = 2 << 10;

/// Remote text: neither sanitised nor free of secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Raw {
    /// The status line, and the headers that say something to people; never cookies or credentials.
    pub head: Vec<String>,
    pub body: Vec<u8>,
    /// There was more.
    pub cut: bool,
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raw({} bytes)", self.body.len())
    }
}

impl Raw {
    /// Reads what comes until then, and no more than is kept.
    pub(super) async fn of(mut answer: reqwest::Response, until: Instant) -> Self {
        let mut head = vec![format!("{:?} {}", answer.version(), answer.status())];
        for name in [SERVER, DATE, CONTENT_TYPE, CONTENT_LENGTH, RETRY_AFTER, LOCATION] {
            if let Some(value) = short_header(answer.headers(), name.clone()) {
                head.push(format!("{name}: {value}"));
            }
        }
        let mut out = Self { head, ..Self::default() };
        while !out.cut {
            let Ok(Ok(Some(piece))) = tokio::time::timeout_at(until, answer.chunk()).await else { break };
            out.take(&piece);
        }
        out
    }

    /// An answer that came whole and is not what it should be.
    pub fn whole(status: &str, body: &[u8]) -> Self {
        let mut out = Self { head: vec![status.to_owned()], ..Self::default() };
        out.take(body);
        out
    }

    fn take(&mut self, piece: &[u8]) {
        let room = KEPT - self.body.len();
        self.cut = piece.len() > room;
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// Lines as they came: head, an empty line, body.
    pub fn text(&self) -> String {
        let more = if self.cut { "\n..." } else { "" };
        format!("{}\n\n{}{more}", self.head.join("\n"), String::from_utf8_lossy(&self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_a_person_looks_at() {
        let raw = Raw::whole("HTTP 200", &vec![b'x'; KEPT + 1]);
        assert_eq!((raw.body.len(), raw.cut), (KEPT, true));
        assert!(raw.text().starts_with("HTTP 200\n\nxxx") && raw.text().ends_with("x\n..."));
        let raw = Raw::whole("HTTP 200", b"<html>login</html>");
        assert!(!raw.cut && raw.text().ends_with("login</html>"));
        assert_eq!(format!("{raw:?}"), "Raw(18 bytes)", "no body in a log");
    }
}
