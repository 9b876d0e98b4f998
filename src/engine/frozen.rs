//! The freeze of a repository that is in force: a decision with a reason and an end, which syncs ask for when they would begin.

use super::rows;
use crate::domain::decision::Kind;
use crate::store::Store;

/// A freeze in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// `frozen until 2026-04-21T07:00:00.000Z by ann: INC-1`.
    pub text: String,
    pub until_us: i64,
}

/// What decisions and entries call a repository.
pub fn subject(name: &str) -> String {
    format!("repo {name}")
}

/// The freeze of a repository that is in force now. What cannot be read freezes nothing: whoever syncs then fails elsewhere.
pub fn frozen(store: &Store, name: &str, now_us: i64) -> Option<Frozen> {
    let d = store.open_decision(Kind::Freeze, &subject(name)).ok().flatten()?;
    let until_us = d.until_us.filter(|until| now_us < *until)?;
    Some(Frozen { text: format!("frozen until {} by {}: {}", rows::time(until_us), d.who.name, d.why), until_us })
}
