//! The locks that a stage takes: those that it names, and those of the content sets that it reads and writes.

use std::collections::BTreeMap;

use super::model::Stage;
use super::plan::{Lock, LockMode};

/// How the lock of a content set begins; no lock of a person does.
pub const OF_SET: &str = "content:";

/// By name: everybody takes them in the same order.
pub fn of(stage: &Stage) -> Vec<Lock> {
    let mut all: BTreeMap<String, Lock> = BTreeMap::new();
    for l in &stage.locks {
        all.insert(l.name.value.clone(), Lock { name: l.name.value.clone(), mode: l.mode, slots: l.slots.value });
    }
    for (sets, mode) in [(&stage.reads, LockMode::Shared), (&stage.writes, LockMode::Exclusive)] {
        for set in sets {
            let name = format!("{OF_SET}{}", set.value);
            all.insert(name.clone(), Lock { name, mode, slots: 1 });
        }
    }
    all.into_values().collect()
}
