//! Times and durations as a screen shows them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::base::duration;
use crate::console::model::list::Row;
use crate::console::model::{Clock, Model};

/// An instant out of a row.
pub fn instant(row: &Row, field: &str) -> Option<Timestamp> {
    row.get(field)?.as_str()?.parse().ok()
}

/// An instant as the person has chosen to see times: `Tue 01:29` within a week, `07 Apr 01:29` beyond, `07 Apr 2025` of another year, or `2h ago`.
pub fn show(model: &Model, at: Timestamp) -> String {
    let zone = match model.clock {
        Clock::Relative => return relative(model.now, at),
        Clock::Site => model.site.zone.clone(),
        Clock::Utc => TimeZone::UTC,
    };
    let local = at.to_zoned(zone.clone());
    let days = model.now.duration_since(at).abs().as_secs() / 86_400;
    let today = model.now.to_zoned(zone).date() == local.date();
    let form = match (today, days) {
        (true, _) => "%H:%M:%S",
        (false, 0..6) => "%a %H:%M",
        (false, 6..300) => "%d %b %H:%M",
        // Nobody asks for the hour of last year; for the year they do.
        _ => "%d %b %Y",
    };
    local.strftime(form).to_string()
}

/// The time of today, the day and hour of this week, else the date: nine columns at most.
pub fn brief(model: &Model, at: Timestamp) -> String {
    let zone = match model.clock {
        Clock::Relative => return relative(model.now, at),
        Clock::Site => model.site.zone.clone(),
        Clock::Utc => TimeZone::UTC,
    };
    let local = at.to_zoned(zone.clone());
    let far = model.now.duration_since(at).abs().as_secs() >= 6 * 86_400;
    let today = model.now.to_zoned(zone).date() == local.date();
    local
        .strftime(if today {
            "%H:%M"
        } else if far {
            "%d %b"
        } else {
            "%a %H:%M"
        })
        .to_string()
}

/// The day alone, or the time where it is today: six columns.
pub fn day(model: &Model, at: Timestamp) -> String {
    let zone = if model.clock == Clock::Utc { TimeZone::UTC } else { model.site.zone.clone() };
    let local = at.to_zoned(zone.clone());
    let today = model.now.to_zoned(zone).date() == local.date();
    local.strftime(if today { "%H:%M" } else { "%d %b" }).to_string()
}

pub fn relative(now: Timestamp, at: Timestamp) -> String {
    let ms = now.duration_since(at).as_millis();
    let text = duration::short(ms.unsigned_abs().min(u128::from(u64::MAX)) as u64);
    if ms < 0 { format!("in {text}") } else { format!("{text} ago") }
}

/// How long since an instant of a row, while something is going on.
pub fn elapsed(model: &Model, row: &Row, from: &str) -> Option<u64> {
    let ms = model.now.duration_since(instant(row, from)?).as_millis();
    u64::try_from(ms).ok()
}

/// A duration of a row.
pub fn lasted(row: &Row, field: &str) -> Option<String> {
    row.get(field).and_then(Value::as_u64).map(duration::short)
}
