//! An instant on both clocks: the wall for people, boot time for deadlines, which a wall clock that jumps must not move.

use std::sync::Arc;

use crate::store::Limit;

/// An instant on both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    pub us: i64,
    pub boot_us: u64,
    pub boot_id: Arc<str>,
}

/// `limit` + `span_us` on the boot clock of `now`.
pub fn at_boot(limit: &Limit, span_us: u64, now: &Now) -> u64 {
    if *limit.boot_id == *now.boot_id {
        return limit.boot_us.saturating_add(span_us);
    }
    let end = i128::from(limit.us) + i128::from(span_us);
    let left = u64::try_from(end - i128::from(now.us)).unwrap_or(0);
    now.boot_us.saturating_add(left)
}
