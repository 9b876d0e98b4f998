//! Moments as people write them: a span before now, a time of day, a date, or RFC 3339.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::duration::Span;

/// A time in RFC 3339, a time of day or a date in the site's zone, or a span before now (`10m`).
pub fn since(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    if let Ok(span) = text.trim_start_matches('-').parse::<Span>() {
        return now.checked_sub(SignedDuration::from_millis(i64::try_from(span.ms()).ok()?)).ok();
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        return at.to_zoned(zone.clone()).ok().map(|z| z.timestamp());
    }
    // `10` alone is ten of what?
    if let Some(time) = text.parse::<jiff::civil::Time>().ok().filter(|_| text.contains(':')) {
        let today = now.to_zoned(zone.clone()).date().to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp();
        // A time of day that is still to come was meant as yesterday's.
        return if today > now { today.checked_sub(SignedDuration::from_hours(24)).ok() } else { Some(today) };
    }
    None
}

/// A moment to come, in microseconds since 1970 UTC: a span from now (`7d`), or RFC 3339.
pub fn ahead(text: &str, now_us: i64) -> Option<i64> {
    if let Ok(span) = text.trim_start_matches('+').parse::<Span>() {
        return now_us.checked_add(i64::try_from(span.ms()).ok()?.checked_mul(1_000)?);
    }
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}
