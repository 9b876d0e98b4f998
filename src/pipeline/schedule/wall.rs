//! The time on the wall: zones by name, the instant of a local time, and what a change of the clocks does to it.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};

use crate::base::{suggest, zone as zones};

/// What a change of the clocks did to a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dst {
    #[default]
    None,
    /// The wall-clock time does not exist that day: it starts at the first valid minute behind it.
    Gap,
    /// The wall-clock time comes twice that day.
    Fold,
}

impl Dst {
    /// As `schedule preview --json` has it; empty as a rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gap => "gap",
            Self::Fold => "fold",
        }
    }
}

/// An occurrence by the pattern alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nominal {
    pub at: Timestamp,
    pub dst: Dst,
}

/// The instant of a wall-clock time: in a gap the first valid one behind it, in a fold the first of the two.
pub fn resolve(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => ambiguous.unambiguous().ok(),
        AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
        AmbiguousOffset::Gap { before, .. } => {
            // By the old offset the time lies at or behind the change.
            let behind = before.to_timestamp(local).ok()?;
            zone.preceding(behind.checked_add(1.nanosecond()).ok()?).next().map(|t| t.timestamp())
        }
    }
}

/// Whether a local time does not exist in the zone.
pub fn in_gap(zone: &TimeZone, local: DateTime) -> bool {
    matches!(zone.to_ambiguous_timestamp(local).offset(), AmbiguousOffset::Gap { .. })
}

/// A zone by its IANA name; the error is the name that was probably meant.
pub fn zone(name: &str) -> Result<TimeZone, Option<String>> {
    zones::named(name).ok_or_else(|| {
        let all: Vec<String> = jiff::tz::db().available().map(|n| n.as_str().to_owned()).collect();
        let city = name.rsplit('/').next().unwrap_or(name).replace(' ', "_");
        let same_city = all.iter().find(|n| n.rsplit('/').next().is_some_and(|c| c.eq_ignore_ascii_case(&city))).map(String::as_str);
        suggest::nearest(name, all.iter().map(String::as_str)).or(same_city).map(str::to_owned)
    })
}

/// A start in its zone, for people: `Sun 2026-03-29 03:00 CEST`.
pub fn local(at: Timestamp, zone: &TimeZone) -> String {
    let zoned: Zoned = at.to_zoned(zone.clone());
    zoned.strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}
