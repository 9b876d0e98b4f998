//! When composes were made, and what they are called by it.

/// The first compose was made at 2026-03-31 03:00 UTC; each later one a day after its predecessor.
pub(super) const FIRST_COMPOSE: i64 = 1_774_926_000;
pub(super) const DAY: i64 = 86_400;

/// Seconds since the epoch at which compose `number` (from 1) was made.
pub fn compose_time(number: u32) -> i64 {
    FIRST_COMPOSE + DAY * i64::from(number.max(1) - 1)
}

/// `CentOS-Stream-9-YYYYMMDD.0` of compose `number`.
pub fn compose_id(number: u32) -> String {
    let day = jiff::Timestamp::from_second(compose_time(number)).unwrap_or_default();
    format!("CentOS-Stream-9-{}.0", day.strftime("%Y%m%d"))
}

/// rpm keeps the times of changelogs at noon.
pub(super) fn noon(time: i64) -> i64 {
    time.div_euclid(DAY) * DAY + DAY / 2
}
