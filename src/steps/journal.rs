//! `$QD_JOURNAL`: what a step has begun at far ends, in all its attempts. An attempt that comes later reads what the ones before meant to
//! do and did; it looks there before it does anything again.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Map, Value};

use crate::base::durable;
use crate::domain::report::{self, Line};
use crate::steps::error::StepError;

/// A journal is some lines an attempt; more is no journal.
const MOST: u64 = 4 << 20;

/// Adds a line, durable on return.
pub fn append(path: &Path, line: &Line) -> io::Result<()> {
    // A kill may have left half a line: a line feed first keeps this one whole. An empty line says nothing.
    let mut bytes = vec![b'\n'];
    serde_json::to_writer(&mut bytes, line).map_err(io::Error::from)?;
    bytes.push(b'\n');
    let new = !path.exists();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    if new { durable::sync_parent(path) } else { Ok(()) }
}

/// What the attempts before left of one kind of work.
#[derive(Debug, Clone, PartialEq)]
pub enum Past {
    /// None began any, or the last one saw its end.
    Nothing,
    /// It was about to be begun; whether it was, only the far end knows.
    Intended(Map<String, Value>),
    /// It was begun, under this name there.
    Begun { id: String, intent: Map<String, Value> },
}

/// The key of the line that says that the work of `key` has ended, however.
pub fn ended(key: &str) -> String {
    format!("{key}/ended")
}

/// Reads what is known of the work `key`. No journal (a step by hand) is nothing.
pub fn past(path: Option<&Path>, key: &str) -> Result<Past, StepError> {
    let Some(path) = path else { return Ok(Past::Nothing) };
    let mut bytes = Vec::new();
    match std::fs::File::open(path).and_then(|f| f.take(MOST + 1).read_to_end(&mut bytes)) {
        Ok(n) if n as u64 > MOST => Err(unreadable(path, "it is larger than 4 MiB")),
        Ok(_) => Ok(read(&bytes, key)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Past::Nothing),
        // What was begun is not known then: nothing may be begun.
        Err(e) => Err(unreadable(path, &e.to_string())),
    }
}

fn unreadable(path: &Path, why: &str) -> StepError {
    StepError::failed(
        format!("the journal {} cannot be read: {why}", path.display()),
        "without it nobody knows what this step has begun: look at the far end, then start a new run",
    )
}

fn read(bytes: &[u8], key: &str) -> Past {
    let over = ended(key);
    let mut past = Past::Nothing;
    // The last line may have been cut by a kill: its write had not come back, so nothing followed it.
    for line in bytes.split(|b| *b == b'\n') {
        match std::str::from_utf8(line).ok().and_then(report::parse) {
            Some(Line::Intent { key: k, more }) if k == key => past = Past::Intended(more),
            Some(Line::Intent { key: k, .. }) if k == over => past = Past::Nothing,
            Some(Line::Remote { id, .. }) => {
                if let Past::Intended(intent) = past {
                    past = Past::Begun { id, intent };
                }
            }
            _ => {}
        }
    }
    past
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(key: &str) -> Line {
        Line::Intent { key: key.into(), more: Map::from_iter([("at".to_owned(), Value::from(7))]) }
    }

    #[test]
    fn what_was_meant_what_was_begun_and_what_ended_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j.jsonl");
        let now = || past(Some(&path), "x/y").unwrap();
        assert_eq!(now(), Past::Nothing);
        append(&path, &intent("x/y")).unwrap();
        assert!(matches!(now(), Past::Intended(more) if more["at"] == 7));
        append(&path, &Line::Remote { system: "s".into(), kind: "k".into(), id: "42".into() }).unwrap();
        assert!(matches!(now(), Past::Begun { id, intent } if id == "42" && intent["at"] == 7));
        // Half a line, as a kill leaves it.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"type\":\"intent\",\"key\":\"x/y/en").unwrap();
        assert!(matches!(now(), Past::Begun { .. }));
        append(&path, &intent(&ended("x/y"))).unwrap();
        assert_eq!(now(), Past::Nothing);
        append(&path, &intent("x/y")).unwrap();
        assert!(matches!(now(), Past::Intended(_)));
        assert_eq!(past(Some(&path), "other").unwrap(), Past::Nothing);
        assert_eq!(past(None, "x/y").unwrap(), Past::Nothing);
        assert!(past(Some(dir.path()), "x/y").is_err());
    }
}
