//! The model's revisions: one number for the whole of it, the last change sets, and who listens.
//!
//! A client that asks for a revision that is no longer held, or of another epoch, is told to read everything again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::api::types::ChangeSet;

/// Change sets that are held, where their text is no larger than [`KEPT_BYTES`].
const KEPT: usize = 10_000;
/// A look of the scheduler alone can be a set of 100 kB: ten thousand of those would be a gigabyte.
const KEPT_BYTES: usize = 16 << 20;
/// A listener that is this far behind is dropped to `reset`.
const BEHIND: usize = 1_024;

/// Where a client stands: `EPOCH.REVISION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub epoch: u64,
    pub revision: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}

impl std::str::FromStr for Position {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        let (e, r) = s.split_once('.').ok_or(())?;
        Ok(Self { epoch: e.parse().map_err(|_| ())?, revision: r.parse().map_err(|_| ())? })
    }
}

/// A change set as it is sent. Text takes a fifth of the memory of its rows, and there are many of them.
#[derive(Debug)]
pub struct Held {
    pub revision: u64,
    /// JSON of an `api::types::ChangeSet`.
    pub text: String,
    /// Tables and ids of the rows that it upserts.
    upserts: Vec<(String, String)>,
}

impl Held {
    /// Whether it holds a new state of this row.
    pub fn upserts(&self, table: &str, id: &str) -> bool {
        self.upserts.iter().any(|(t, i)| t == table && i == id)
    }
}

/// What a listener gets first.
pub enum Start {
    /// What it missed, in order; may be empty.
    Since(Vec<Arc<Held>>),
    /// Read everything again; the stream goes on from here.
    Reset(Position),
}

pub struct Model {
    epoch: u64,
    held: usize,
    held_bytes: usize,
    inner: Mutex<Inner>,
}

struct Inner {
    revision: u64,
    ring: VecDeque<Arc<Held>>,
    /// Of the texts in `ring`.
    bytes: usize,
    listeners: broadcast::Sender<Arc<Held>>,
}

/// One upsert or delete of a row, before it has a revision.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    Upsert { table: String, id: String, row: Map<String, Value> },
    Delete { table: String, id: String },
}

impl Model {
    pub fn new(epoch: u64) -> Self {
        Self::holding(epoch, KEPT, KEPT_BYTES, BEHIND)
    }

    fn holding(epoch: u64, held: usize, held_bytes: usize, behind: usize) -> Self {
        let (listeners, _) = broadcast::channel(behind);
        Self { epoch, held, held_bytes, inner: Mutex::new(Inner { revision: 0, ring: VecDeque::new(), bytes: 0, listeners }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        match self.inner.lock() {
            Ok(l) => l,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, revision: self.lock().revision }
    }

    /// Whether anybody would hear of a change set at once.
    pub fn is_heard(&self) -> bool {
        self.lock().listeners.receiver_count() > 0
    }

    /// Makes one change set of `edits`, holds it and sends it. The new revision.
    pub fn publish(&self, edits: Vec<Edit>) -> u64 {
        let mut inner = self.lock();
        if edits.is_empty() {
            return inner.revision;
        }
        let upserted = edits.iter().filter_map(|e| match e {
            Edit::Upsert { table, id, .. } => Some((table.clone(), id.clone())),
            Edit::Delete { .. } => None,
        });
        let upserted = upserted.collect();
        let (mut upserts, mut deletes) = (BTreeMap::<_, BTreeMap<_, _>>::new(), BTreeMap::<_, Vec<_>>::new());
        for edit in edits {
            match edit {
                Edit::Upsert { table, id, row } => {
                    upserts.entry(table).or_default().insert(id, row);
                }
                Edit::Delete { table, id } => deletes.entry(table).or_default().push(id),
            }
        }
        inner.revision += 1;
        let set = ChangeSet { revision: inner.revision, upserts, deletes };
        let mut text = serde_json::to_string(&set).unwrap_or_default();
        // It grew by doubling, and is held for long.
        text.shrink_to_fit();
        let set = Arc::new(Held { revision: inner.revision, text, upserts: upserted });
        inner.bytes += set.text.len();
        inner.ring.push_back(set.clone());
        while inner.ring.len() > self.held || inner.bytes > self.held_bytes {
            let Some(oldest) = inner.ring.pop_front() else { break };
            inner.bytes -= oldest.text.len();
        }
        // Nobody listening is no error.
        let _ = inner.listeners.send(set);
        inner.revision
    }

    /// Joins the stream: without a gap after `from`, or with a reset.
    pub fn join(&self, from: Option<Position>) -> (Start, broadcast::Receiver<Arc<Held>>) {
        let inner = self.lock();
        let receiver = inner.listeners.subscribe();
        let oldest = inner.ring.front().map_or(inner.revision + 1, |s| s.revision);
        let start = match from {
            Some(p) if p.epoch == self.epoch && p.revision <= inner.revision && p.revision + 1 >= oldest => {
                Start::Since(inner.ring.iter().filter(|s| s.revision > p.revision).cloned().collect())
            }
            _ => Start::Reset(Position { epoch: self.epoch, revision: inner.revision }),
        };
        (start, receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(n: u64) -> Vec<Edit> {
        vec![
            Edit::Upsert { table: "runs".into(), id: format!("n#{n}"), row: Map::new() },
            Edit::Delete { table: "locks".into(), id: "l".into() },
        ]
    }

    fn since(model: &Model, epoch: u64, revision: u64) -> Option<Vec<u64>> {
        match model.join(Some(Position { epoch, revision })).0 {
            Start::Since(sets) => Some(sets.iter().map(|s| s.revision).collect()),
            Start::Reset(_) => None,
        }
    }

    #[test]
    fn a_client_goes_on_where_it_was_or_reads_everything_again() {
        let model = Model::holding(7, 3, 1 << 20, 8);
        assert_eq!(since(&model, 7, 0), Some(vec![]));
        for n in 1..=5 {
            assert_eq!(model.publish(edit(n)), n);
        }
        assert_eq!(model.publish(Vec::new()), 5);
        assert_eq!(since(&model, 7, 5), Some(vec![]));
        assert_eq!(since(&model, 7, 3), Some(vec![4, 5]));
        assert_eq!(since(&model, 7, 2), Some(vec![3, 4, 5]));
        assert_eq!(since(&model, 7, 1), None, "no longer held");
        assert_eq!(since(&model, 7, 6), None, "from the future");
        assert_eq!(since(&model, 6, 5), None, "another epoch");
        assert!(matches!(model.join(None).0, Start::Reset(p) if p.to_string() == "7.5"));
        assert_eq!("7.5".parse::<Position>(), Ok(Position { epoch: 7, revision: 5 }));
        assert!("7".parse::<Position>().is_err() && "7.x".parse::<Position>().is_err());
    }

    #[test]
    fn what_is_held_is_bounded_in_bytes_too() {
        let probe = Model::new(1);
        probe.publish(edit(1));
        let size = probe.lock().bytes;
        let model = Model::holding(1, 100, 3 * size + size / 2, 8);
        for n in 1..=9 {
            model.publish(edit(n));
        }
        assert_eq!(since(&model, 1, 6), Some(vec![7, 8, 9]));
        assert_eq!(since(&model, 1, 5), None);
        // One that is larger than all: whoever comes later reads everything again, and nobody waits for it.
        model.publish((0..50).flat_map(edit).collect());
        assert_eq!((since(&model, 1, 9), since(&model, 1, 10)), (None, Some(vec![])));
        model.publish(edit(1));
        assert_eq!(since(&model, 1, 10), Some(vec![11]));
    }

    #[test]
    fn a_slow_listener_is_told_that_it_lost_some() {
        let model = Model::holding(1, 100, 1 << 20, 2);
        let (_, mut slow) = model.join(None);
        for n in 1..=5 {
            model.publish(edit(n));
        }
        assert!(matches!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(3))));
    }
}
