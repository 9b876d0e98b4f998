//! Many places of one repository in one word: the worst of them, and how many datacentres agree.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::light::Light;
use super::{Judged, Observed};
use crate::domain::mirror::State;

/// A day: what did not change within it is called unchanged.
const NIGHT_US: i64 = 86_400 * 1_000_000;

/// The order in which people want to see states: what is broken, what is late, what is well, what stands still.
pub const fn rank(state: State) -> u8 {
    match state {
        State::Damaged => 0,
        State::Incoherent => 1,
        State::Shrunk => 2,
        State::Partial => 3,
        State::Unreachable => 4,
        State::Behind => 5,
        State::Ahead => 6,
        State::Unknown => 7,
        State::Syncing => 8,
        State::InSync => 9,
        State::Pinned => 10,
        State::Frozen => 11,
    }
}

/// Of several judgements the least stands for all.
pub fn order(judged: &Judged) -> (Reverse<Light>, u8) {
    (Reverse(judged.light), rank(judged.state()))
}

/// The state in the words of the screen: `fresh`, `no-change` (in sync, and nothing moved for a day), `behind-2`, else the state's own.
pub fn word(judged: &Judged, changed_us: Option<i64>, now_us: i64) -> String {
    match judged.state() {
        State::InSync if !judged.word.is_empty() => judged.word.into(),
        State::InSync if changed_us.is_some_and(|t| now_us - t > NIGHT_US) => "no-change".into(),
        State::InSync => "fresh".into(),
        State::Behind => format!("behind-{}{}", judged.composes.max(1), if judged.at_least { "+" } else { "" }),
        other => other.as_str().to_owned(),
    }
}

/// How many datacentres hold the same content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    pub agree: usize,
    pub of: usize,
    /// The content that most of them hold; unknown where none could be read.
    pub fp: Option<String>,
    /// Those that hold another one, or that could not be read.
    pub others: Vec<String>,
}

impl Agreement {
    /// True only where every one was read, and all hold the same. No datacentre agrees with nothing.
    pub fn is_whole(&self) -> bool {
        self.of > 0 && self.agree == self.of
    }
}

/// Compares what the datacentres hold; a place that is not whole agrees with nobody. `upstream` decides between equal numbers.
pub fn agreement(replicas: &[(&str, &Observed)], upstream: Option<&str>) -> Agreement {
    let held = |o: &Observed| o.fp.clone().filter(|_| o.is_whole());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for fp in replicas.iter().filter_map(|(_, o)| held(o)) {
        *counts.entry(fp).or_default() += 1;
    }
    let fp = counts.iter().max_by_key(|(fp, n)| (**n, Some(fp.as_str()) == upstream)).map(|(fp, _)| fp.clone());
    let agrees = |o: &Observed| fp.is_some() && held(o) == fp;
    let others: Vec<String> = replicas.iter().filter(|(_, o)| !agrees(o)).map(|(dc, _)| (*dc).to_owned()).collect();
    Agreement { agree: replicas.len() - others.len(), of: replicas.len(), fp, others }
}
