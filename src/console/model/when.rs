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

/// The zone that times are shown in.
pub fn zone(model: &Model) -> TimeZone {
    match (model.clock, &model.here) {
        (Clock::Utc, _) => TimeZone::UTC,
        (Clock::Here, Some(here)) => here.clone(),
        (Clock::Site | Clock::Relative | Clock::Here, _) => model.site.zone.clone(),
    }
}

/// An instant as the person has chosen to see times: `Tue 01:29` within a week, `07 Apr 01:29` beyond, `07 Apr 2025` of another year, or `2h ago`.
pub fn show(model: &Model, at: Timestamp) -> String {
    if model.clock == Clock::Relative {
        return relative(model.now, at);
    }
    let zone = zone(model);
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
    if model.clock == Clock::Relative {
        return relative(model.now, at);
    }
    let zone = zone(model);
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
    let zone = zone(model);
    let local = at.to_zoned(zone.clone());
    let today = model.now.to_zoned(zone).date() == local.date();
    local.strftime(if today { "%H:%M" } else { "%d %b" }).to_string()
}

pub fn relative(now: Timestamp, at: Timestamp) -> String {
    let ms = now.duration_since(at).as_millis();
    if ms.unsigned_abs() < 1_000 {
        return "now".to_owned();
    }
    let text = duration::short(ms.unsigned_abs().min(u128::from(u64::MAX)) as u64);
    if ms < 0 { format!("in {text}") } else { format!("{text} ago") }
}

/// How far off an instant of a row is, without `ago`: the further, the coarser, and never wrong by more than a step. Each row goes from step to
/// step at a moment of its own: a list at which nobody looks costs a few bytes a minute, however long it is. `name`: the field that tells
/// the rows apart.
pub fn roughly(model: &Model, row: &Row, field: &str, name: &str) -> Option<String> {
    coarse(model.now, row, field, name)
}

/// The same while something is going on, as far as that is known.
pub fn so_far(model: &Model, row: &Row, field: &str, name: &str) -> Option<String> {
    coarse(model.heard(), row, field, name)
}

fn coarse(now: Timestamp, row: &Row, field: &str, name: &str) -> Option<String> {
    let at = instant(row, field)?;
    let minutes = u64::try_from(now.duration_since(at).as_millis().unsigned_abs()).ok()? / 60_000;
    // No step is longer than the least that is told: `1d14h` is never half a day off.
    let step = match minutes {
        0..10 => return elapsed_or_left(now, at),
        10..60 => 5,
        60..1_440 => 20,
        _ => 60,
    };
    let own = row.get(name).and_then(Value::as_str).unwrap_or_default().bytes();
    let own = own.fold(at.as_second().unsigned_abs(), |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)));
    let text = duration::short((minutes + own % step) / step * step * 60_000);
    // Seconds are none of it.
    Some(text.strip_suffix("00s").map(str::to_owned).unwrap_or(text))
}

fn elapsed_or_left(now: Timestamp, at: Timestamp) -> Option<String> {
    Some(duration::short(u64::try_from(now.duration_since(at).as_millis().unsigned_abs()).ok()?))
}

/// How long since an instant of a row, while something is going on; as far as that is known.
pub fn elapsed(model: &Model, row: &Row, from: &str) -> Option<u64> {
    let ms = model.heard().duration_since(instant(row, from)?).as_millis();
    u64::try_from(ms).ok()
}

/// A duration of a row.
pub fn lasted(row: &Row, field: &str) -> Option<String> {
    row.get(field).and_then(Value::as_u64).map(duration::short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Site;
    use crate::console::keymap::Keymap;

    #[test]
    fn times_are_those_of_the_site_of_the_terminal_or_utc() {
        let now: Timestamp = "2026-04-07T03:07:00Z".parse().unwrap();
        let zone = |name: &str| TimeZone::get(name).unwrap();
        let site = Site { name: "s".into(), demo: false, zone: zone("America/Chicago") };
        let mut model = Model::new(site, Keymap::default_keys(), now, (80, 24));
        let pressed = |model: &mut Model| {
            let _ = crate::console::update(model, crate::console::msg::Msg::Key { key: "z".parse().unwrap(), repeat: false });
            show(model, now)
        };
        // Where the terminal stands in the site's own zone, or nobody knows, there is one step less.
        assert_eq!((show(&model, now), pressed(&mut model), pressed(&mut model)), ("22:07:00".into(), "now".into(), "03:07:00".into()));
        assert_eq!(pressed(&mut model), "22:07:00");
        model.here = Some(zone("Europe/Berlin"));
        let all: Vec<String> = (0..4).map(|_| pressed(&mut model)).collect();
        assert_eq!(all, ["now", "05:07:00", "03:07:00", "22:07:00"]);
    }

    #[test]
    fn what_is_far_off_is_told_in_steps_that_rows_do_not_take_at_once() {
        let now: Timestamp = "2026-04-07T03:07:00Z".parse().unwrap();
        let model = |minutes: i64| {
            let site = Site { name: "s".into(), demo: false, zone: TimeZone::UTC };
            Model::new(site, Keymap::default(), now + jiff::SignedDuration::from_mins(minutes), (80, 24))
        };
        let row = |name: &str| serde_json::from_value::<Row>(serde_json::json!({"name": name, "at": now.to_string()})).unwrap();
        let told = |minutes: i64, name: &str| roughly(&model(minutes), &row(name), "at", "name").unwrap();
        assert_eq!((told(9, "a"), told(-9, "a")), ("9m00s".into(), "9m00s".into()), "what is near is told as it is");
        for (minutes, step) in [(13, 5), (-40, 5), (97, 20), (1_000, 20), (4_000, 60)] {
            let text = told(minutes, "a");
            let shown = text.parse::<duration::Span>().unwrap().ms() / 60_000;
            assert!(shown.abs_diff(minutes.unsigned_abs()) < step && shown.is_multiple_of(step), "{minutes}: {text}");
        }
        // In none of the minutes of a day do many of forty rows change.
        let all: Vec<Row> = (0..40).map(|i| row(&format!("pipeline-{i}"))).collect();
        let frame = |minute: i64| {
            let model = model(minute);
            all.iter().map(|r| roughly(&model, r, "at", "name").unwrap()).collect::<Vec<_>>()
        };
        let mut before = frame(60);
        for minute in 61..1_400 {
            let next = frame(minute);
            let changed = before.iter().zip(&next).filter(|(a, b)| a != b).count();
            assert!(changed <= 8, "{changed} in minute {minute}");
            before = next;
        }
    }
}
