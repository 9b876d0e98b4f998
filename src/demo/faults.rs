//! Ways in which an upstream goes wrong, request by request. Off unless a rule is set; the demo's own server has none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to a request that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A bare status with a short text body, with `Retry-After` in seconds where given.
    Status { code: u16, retry_after: Option<u32> },
    /// 200 with an HTML page, as a captive portal or a broken proxy sends it.
    Html,
    /// The right status and Content-Length, `keep` bytes of the body, then the connection closes.
    Truncate { keep: u64 },
    /// The whole body with one bit of byte `at` turned (counted in the file; past its end: the last byte).
    FlipBit { at: u64 },
    /// 302 to another URL or path.
    Redirect { to: String },
    /// 302 to itself with a counter, for ever.
    RedirectLoop,
    /// `after` bytes of the body, then silence with the connection open.
    Stall { after: u64 },
    /// Headers never come; the connection stays open.
    Mute,
    /// The body in pieces of `bytes`, one every `every`.
    Trickle { bytes: usize, every: Duration },
    /// 200 with this body instead of the file, without validators.
    Replace { body: Arc<Vec<u8>> },
    /// The whole file with 200, whatever range was asked for.
    IgnoreRange,
    /// 206 that claims the range asked for and sends bytes from the file's beginning.
    WrongRange,
    /// 206 of the file from its sixth byte on, whatever range was asked for, and it says so.
    OtherRange,
    /// 206 with the first thousand bytes of the range asked for, as a server may answer.
    LessRange,
    /// The body without Content-Length (chunked).
    NoLength,
    /// The body goes on for ever: `chunk` zero bytes at a time, without Content-Length.
    Endless { chunk: usize },
    /// The connection closes without an answer.
    Hangup,
}

#[derive(Debug)]
struct Rule {
    matches: Match,
    fault: Fault,
    /// Requests let through before the rule begins.
    skip: u32,
    /// Requests still to be hit; `None`: all.
    left: Option<u32>,
    hits: u64,
}

/// Which request paths a rule is for. Paths start with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    Path(String),
    Contains(String),
    EndsWith(String),
    All,
}

impl Match {
    fn hits(&self, path: &str) -> bool {
        match self {
            Self::Path(p) => p == path,
            Self::Contains(p) => path.contains(p.as_str()),
            Self::EndsWith(p) => path.ends_with(p.as_str()),
            Self::All => true,
        }
    }
}

/// The rules of one server. Shared: rules may be set and cleared while it runs. The first that matches counts.
#[derive(Debug, Default, Clone)]
pub struct Faults(Arc<Mutex<Vec<Rule>>>);

impl Faults {
    /// Every matching request gets `fault`, until cleared.
    pub fn always(&self, matches: Match, fault: Fault) {
        self.add(matches, fault, 0, None);
    }

    /// The next `times` matching requests get `fault`.
    pub fn times(&self, times: u32, matches: Match, fault: Fault) {
        self.add(matches, fault, 0, Some(times));
    }

    /// After `skip` matching requests, the next `times` get `fault`.
    pub fn after(&self, skip: u32, times: u32, matches: Match, fault: Fault) {
        self.add(matches, fault, skip, Some(times));
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// How many requests were hit by any rule that still stands.
    pub fn hits(&self) -> u64 {
        self.rules().iter().map(|r| r.hits).sum()
    }

    /// The fault for this request, and counts it.
    pub fn take(&self, path: &str) -> Option<Fault> {
        for rule in self.rules().iter_mut().filter(|r| r.matches.hits(path)) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            match &mut rule.left {
                Some(0) => continue,
                Some(n) => *n -= 1,
                None => {}
            }
            rule.hits += 1;
            return Some(rule.fault.clone());
        }
        None
    }

    fn add(&self, matches: Match, fault: Fault, skip: u32, left: Option<u32>) {
        self.rules().push(Rule { matches, fault, skip, left, hits: 0 });
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A gzip stream of `head` and then `mib` MiB of `filler`: about a thousandth of that on the wire.
pub fn bomb(head: &[u8], filler: u8, mib: usize) -> Vec<u8> {
    use std::io::Write;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let block = vec![filler; 1 << 20];
    // Writing to a vector cannot fail.
    let _ = gz.write_all(head);
    for _ in 0..mib {
        let _ = gz.write_all(&block);
    }
    gz.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_down_skip_and_fall_through_to_the_next() {
        let f = Faults::default();
        f.times(2, Match::EndsWith(".rpm".into()), Fault::Status { code: 503, retry_after: Some(1) });
        f.after(1, 1, Match::Contains("repodata".into()), Fault::Html);
        let s = Fault::Status { code: 503, retry_after: Some(1) };
        assert_eq!([f.take("/a.rpm"), f.take("/b.rpm"), f.take("/c.rpm")], [Some(s.clone()), Some(s), None]);
        assert_eq!([f.take("/repodata/x"), f.take("/repodata/x"), f.take("/repodata/x")], [None, Some(Fault::Html), None]);
        assert_eq!(f.hits(), 3);
        f.always(Match::All, Fault::Hangup);
        assert_eq!(f.take("/"), Some(Fault::Hangup));
        f.clear();
        assert_eq!(f.take("/"), None);
    }

    #[test]
    fn a_bomb_is_small_outside_and_big_inside() {
        use std::io::Read;
        let b = bomb(b"", 0, 8);
        assert!(b.len() < 64 * 1024);
        let mut n = 0;
        let mut r = flate2::read::GzDecoder::new(b.as_slice());
        let mut buf = vec![0; 1 << 16];
        loop {
            match r.read(&mut buf).unwrap() {
                0 => break,
                k => n += k,
            }
        }
        assert_eq!(n, 8 << 20);
    }
}
