//! The audit chain: what an entry holds, how each one seals the one before it, and where a chain is broken. Pure.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::actor::Actor;

/// What happened, before it has a place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub who: Actor,
    /// Id of the action registry.
    pub action: String,
    /// What it was done to: a run, a pipeline, the engine.
    pub subject: String,
    pub reason: String,
    /// `done`, or why it was refused or failed.
    pub result: String,
    /// It needed two people, and the site lets one pass.
    pub single_person: bool,
}

/// One link. Times are microseconds since 1970 UTC; `seq` counts from 1 without gaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub seq: u64,
    pub at_us: i64,
    #[serde(flatten)]
    pub record: Record,
    /// Hash of the entry before; 64 zeros for the first.
    pub prev: String,
    /// Hash of this one.
    pub hash: String,
}

/// `prev` of the first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a chain stops being one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit chain is broken at entry {seq}: {why}")]
pub struct Broken {
    pub seq: u64,
    pub why: String,
}

impl Entry {
    /// Seals a record behind the entry `prev`.
    pub fn seal(seq: u64, at_us: i64, record: Record, prev: &str) -> Self {
        let hash = digest(seq, at_us, &record, prev);
        Self { seq, at_us, record, prev: prev.to_owned(), hash }
    }
}

/// sha256 over each field with its length before it, so that no two different entries have the same bytes.
fn digest(seq: u64, at_us: i64, r: &Record, prev: &str) -> String {
    let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    let fields = [
        "quarterdeck-audit-1",
        prev,
        &seq.to_string(),
        &at_us.to_string(),
        &r.who.name,
        &number(r.who.uid),
        &number(r.who.login_uid),
        &r.action,
        &r.subject,
        &r.reason,
        &r.result,
        if r.single_person { "single" } else { "" },
    ];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Checks entries in the order of their numbers. `ever` = the highest number that was ever given: entries cut off the end show by it.
pub fn verify<'a>(entries: impl IntoIterator<Item = &'a Entry>, ever: u64) -> Result<u64, Broken> {
    let broken = |seq, why: String| Err(Broken { seq, why });
    let (mut count, mut prev) = (0u64, GENESIS.to_owned());
    for e in entries {
        let wanted = count + 1;
        if e.seq != wanted {
            return broken(wanted, format!("it is missing; the next entry found is {}", e.seq));
        }
        if e.prev != prev {
            return broken(e.seq, format!("it does not follow entry {count}: that one was changed or replaced"));
        }
        if digest(e.seq, e.at_us, &e.record, &e.prev) != e.hash {
            return broken(e.seq, "its content was changed after it was written".into());
        }
        (count, prev) = (wanted, e.hash.clone());
    }
    if count < ever {
        return broken(count + 1, format!("entries {} to {ever} were cut off", count + 1));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<Entry> {
        let mut out: Vec<Entry> = Vec::new();
        for n in 1..=5u64 {
            let record = Record {
                who: Actor::person("ann", 1000, Some(1000)),
                action: "run".into(),
                subject: format!("nightly#{n}"),
                reason: String::new(),
                result: "done".into(),
                single_person: false,
            };
            let prev = out.last().map_or(GENESIS.to_owned(), |e| e.hash.clone());
            out.push(Entry::seal(n, n as i64, record, &prev));
        }
        out
    }

    #[test]
    fn a_whole_chain_verifies() {
        assert_eq!(verify(&chain(), 5), Ok(5));
        assert_eq!(verify(&[], 0), Ok(0));
    }

    #[test]
    fn every_way_to_tamper_is_found_where_it_was_done() {
        type Edit = fn(&mut Vec<Entry>);
        let edits: [(&str, u64, Edit); 9] = [
            ("other person", 3, |c| c[2].record.who.name = "bob".into()),
            ("other uid", 2, |c| c[1].record.who.login_uid = None),
            ("text moved between fields", 3, |c| {
                c[2].record.reason = "x".into();
            }),
            ("time", 4, |c| c[3].at_us += 1),
            ("flag", 1, |c| c[0].record.single_person = true),
            ("one taken out", 3, |c| {
                c.remove(2);
            }),
            ("two swapped", 2, |c| c.swap(1, 2)),
            ("cut off", 5, |c| {
                c.pop();
            }),
            ("rewritten with a right hash", 4, |c| {
                let mut r = c[2].record.clone();
                r.subject = "other#1".into();
                c[2] = Entry::seal(3, c[2].at_us, r, &c[1].hash.clone());
            }),
        ];
        for (what, seq, edit) in edits {
            let mut c = chain();
            edit(&mut c);
            assert_eq!(verify(&c, 5).unwrap_err().seq, seq, "{what}");
        }
    }
}
