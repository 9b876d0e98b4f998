//! When a trigger fires: cron with defined behaviour at clock changes, intervals from an anchor, and jitter. Pure: the moment is a parameter.
//!
//! A wall-clock time that a change to summer time swallows fires at the first valid minute after it; one that comes twice fires once,
//! the first time. `*` and `*/n` in the hour mean "all through the day": they follow the instants and need no rule.

use std::collections::BTreeSet;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use sha2::{Digest, Sha256};

use super::model::{Trigger, TriggerKind};
use crate::base::duration::Span;
use crate::base::{suggest, zone};

/// A pattern that does not fire for so long never fires: 29 February can be eight years away.
const YEARS: i64 = 8;

/// A cron pattern of five fields.
#[derive(Debug, Clone)]
pub struct Pattern {
    whole: Cron,
    /// Set where hours and minutes are named one by one: days by croner, times of the day by us.
    fixed: Option<Fixed>,
}

#[derive(Debug, Clone)]
struct Fixed {
    days: Cron,
    /// `(hour, minute)`, sorted.
    times: Vec<(i8, i8)>,
}

/// Reads a pattern; the error is the reason.
pub fn cron(text: &str) -> Result<Pattern, String> {
    let text = match text.trim().to_ascii_lowercase().as_str() {
        "@hourly" => "0 * * * *".to_owned(),
        "@daily" | "@midnight" => "0 0 * * *".to_owned(),
        "@weekly" => "0 0 * * 0".to_owned(),
        "@monthly" => "0 0 1 * *".to_owned(),
        "@yearly" | "@annually" => "0 0 1 1 *".to_owned(),
        other if other.starts_with('@') => return Err("no such nickname".into()),
        _ => text.trim().to_owned(),
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("it has {} fields, not five", fields.len()));
    }
    if fields.iter().any(|f| *f == "H" || f.starts_with("H/") || f.starts_with("H(")) {
        return Err("`H` is Jenkins' own; write a number, and `jitter:` beside it".into());
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let parse = |t: &str| {
        parser.parse(t).map_err(|e| e.to_string().trim_end_matches('.').replace("Component error: ", "").replace("Invalid pattern: ", ""))
    };
    let whole = parse(&text)?;
    let fixed = match (numbers(fields[0], 59), numbers(fields[1], 23)) {
        (Some(minutes), Some(hours)) => {
            let times = hours.iter().flat_map(|h| minutes.iter().map(|m| (*h, *m))).collect();
            Some(Fixed { days: parse(&format!("0 0 {}", fields[2..].join(" ")))?, times })
        }
        _ => None,
    };
    Ok(Pattern { whole, fixed })
}

/// `1,13`, `1-3`, `8-18/2`; `None` for what holds a wildcard or anything else.
fn numbers(field: &str, max: i8) -> Option<BTreeSet<i8>> {
    let mut out = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<i8>().ok().filter(|s| *s > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            Some((a, b)) => (a.parse().ok()?, b.parse().ok()?),
            None if step == 1 => {
                let n: i8 = range.parse().ok()?;
                (n, n)
            }
            None => return None,
        };
        if from < 0 || to > max || from > to {
            return None;
        }
        out.extend((from..=to).step_by(step as usize));
    }
    Some(out)
}

impl Pattern {
    /// Whether it has no occurrence at all. Independent of today: the calendar repeats.
    pub fn never(&self) -> bool {
        let start = Date::constant(2026, 1, 1).at(0, 0, 0, 0);
        let days = self.fixed.as_ref().map_or(&self.whole, |f| &f.days);
        let limit = start.checked_add(YEARS.years()).unwrap_or(DateTime::MAX);
        !days.find_next_occurrence(&start, true).is_ok_and(|t| t < limit)
    }

    /// The first occurrence after `after`.
    fn next(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let local = after.to_zoned(zone.clone());
        let Some(fixed) = &self.fixed else {
            return self.whole.find_next_occurrence(&local, false).ok().map(|z| z.timestamp());
        };
        // A day early: a time that a gap moved may belong to the day before.
        let mut day = local.date().yesterday().ok()?.at(0, 0, 0, 0);
        let limit = day.checked_add(YEARS.years()).ok()?;
        let mut inclusive = true;
        loop {
            day = fixed.days.find_next_occurrence(&day, inclusive).ok()?;
            inclusive = false;
            if day > limit {
                return None;
            }
            let found = fixed.times.iter().filter_map(|(h, m)| resolve(zone, day.date().at(*h, *m, 0, 0))).filter(|t| *t > after).min();
            if found.is_some() {
                return found;
            }
        }
    }
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
    zone::named(name).ok_or_else(|| {
        let all: Vec<String> = jiff::tz::db().available().map(|n| n.as_str().to_owned()).collect();
        let city = name.rsplit('/').next().unwrap_or(name).replace(' ', "_");
        let same_city = all.iter().find(|n| n.rsplit('/').next().is_some_and(|c| c.eq_ignore_ascii_case(&city))).map(String::as_str);
        suggest::nearest(name, all.iter().map(String::as_str)).or(same_city).map(str::to_owned)
    })
}

/// The delay that jitter gives a trigger: the same for ever for one pipeline, spread over pipelines.
pub fn jitter(pipeline: &str, trigger: usize, most: Span) -> Span {
    let seconds = most.ms() / 1_000;
    if seconds == 0 {
        return Span::default();
    }
    let digest = Sha256::digest(format!("{pipeline}\0{trigger}"));
    let n = digest.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
    Span::from_secs(n % (seconds + 1))
}

/// The next `n` starts after `after`, soonest first; none for triggers that no clock fires. `index` = place of the trigger in its file.
pub fn next_fires(trigger: &Trigger, pipeline: &str, index: usize, site_zone: &str, after: Timestamp, n: usize) -> Vec<Timestamp> {
    let name = trigger.timezone.as_ref().map_or(site_zone, |z| z.value.as_str());
    let Ok(zone) = zone(name) else { return Vec::new() };
    let delay = jitter(pipeline, index, trigger.jitter);
    let shift = jiff::SignedDuration::from_millis(delay.ms() as i64);
    let mut from = after.checked_sub(shift).unwrap_or(after);
    let pattern = match &trigger.kind {
        TriggerKind::Cron { pattern } => cron(&pattern.value).ok(),
        _ => None,
    };
    let mut out = Vec::new();
    while out.len() < n {
        let next = match &trigger.kind {
            TriggerKind::Cron { .. } => pattern.as_ref().and_then(|p| p.next(&zone, from)),
            TriggerKind::Every { every, anchor } => interval(&zone, *every, *anchor, from),
            TriggerKind::Upstream { .. } | TriggerKind::Manual => None,
        };
        let Some(next) = next else { break };
        out.extend(next.checked_add(shift).ok());
        from = next;
    }
    out
}

/// Whole days are counted on the calendar, from the anchor and never from the last start, so that nothing drifts.
fn interval(zone: &TimeZone, every: Span, anchor: DateTime, after: Timestamp) -> Option<Timestamp> {
    const DAY: u64 = 86_400_000;
    let first = resolve(zone, anchor)?;
    if every.ms() == 0 {
        return None;
    }
    let elapsed = after.as_millisecond().saturating_sub(first.as_millisecond()).max(0) as u64;
    if !every.ms().is_multiple_of(DAY) {
        let steps = if after < first { 0 } else { elapsed / every.ms() + 1 };
        return first.checked_add(jiff::SignedDuration::from_millis(i64::try_from(steps.checked_mul(every.ms())?).ok()?)).ok();
    }
    let days = i64::try_from(every.ms() / DAY).ok()?;
    // Two steps early: days of 23 and 25 hours make the division inexact.
    let mut step = (elapsed / every.ms()).saturating_sub(2) as i64;
    loop {
        let local = anchor.checked_add(step.checked_mul(days)?.days()).ok()?;
        let at = resolve(zone, local)?;
        if at > after {
            return Some(at);
        }
        step += 1;
    }
}

/// A start in its zone, for people: `Sun 2026-03-29 03:00 CEST`.
pub fn local(at: Timestamp, zone_name: &str) -> String {
    let zoned: Zoned = at.to_zoned(zone(zone_name).unwrap_or(TimeZone::UTC));
    zoned.strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Loc;
    use super::super::model::{At, CatchUp};
    use super::*;

    fn at(t: &str) -> Timestamp {
        t.parse().unwrap()
    }

    fn trigger(kind: TriggerKind) -> Trigger {
        Trigger { at: Loc::default(), kind, timezone: None, jitter: Span::default(), catch_up: At::new(CatchUp::Skip, Loc::default()) }
    }

    fn fires(pattern: &str, zone: &str, after: &str, n: usize) -> Vec<String> {
        let t = trigger(TriggerKind::Cron { pattern: At::new(pattern.into(), Loc::default()) });
        next_fires(&t, "p", 0, zone, at(after), n).into_iter().map(|t| local(t, zone)).collect()
    }

    #[test]
    fn a_gap_fires_at_its_first_valid_minute_also_for_lists() {
        let day = "2026-03-28T12:00:00Z";
        assert_eq!(fires("30 2 * * *", "Europe/Berlin", day, 2), ["Sun 2026-03-29 03:00 CEST", "Mon 2026-03-30 02:30 CEST"]);
        assert_eq!(
            fires("30 2,14 * * *", "Europe/Berlin", day, 3),
            ["Sat 2026-03-28 14:30 CET", "Sun 2026-03-29 03:00 CEST", "Sun 2026-03-29 14:30 CEST"]
        );
        // Two times in one gap are one start.
        assert_eq!(fires("0,30 2 * * *", "Europe/Berlin", day, 2), ["Sun 2026-03-29 03:00 CEST", "Mon 2026-03-30 02:00 CEST"]);
        assert_eq!(
            fires("15 1-3 * * *", "Europe/Berlin", day, 3),
            ["Sun 2026-03-29 01:15 CET", "Sun 2026-03-29 03:00 CEST", "Sun 2026-03-29 03:15 CEST"]
        );
    }

    #[test]
    fn a_fold_fires_once_also_for_lists() {
        let day = "2026-10-24T22:30:00Z";
        assert_eq!(fires("30 2 * * *", "Europe/Berlin", day, 2), ["Sun 2026-10-25 02:30 CEST", "Mon 2026-10-26 02:30 CET"]);
        assert_eq!(
            fires("30 2,14 * * *", "Europe/Berlin", day, 3),
            ["Sun 2026-10-25 02:30 CEST", "Sun 2026-10-25 14:30 CET", "Mon 2026-10-26 02:30 CET"]
        );
        assert_eq!(
            fires("30 1 * * *", "America/New_York", "2026-11-01T03:00:00Z", 2),
            ["Sun 2026-11-01 01:30 EDT", "Mon 2026-11-02 01:30 EST"]
        );
        // "All through the day" follows the instants: each once, in order.
        let quarter = fires("*/15 * * * *", "America/New_York", "2026-11-01T04:59:00Z", 10);
        assert_eq!(
            (quarter[0].as_str(), quarter[4].as_str(), quarter[8].as_str()),
            ("Sun 2026-11-01 01:00 EDT", "Sun 2026-11-01 01:00 EST", "Sun 2026-11-01 02:00 EST")
        );
    }

    #[test]
    fn days_that_croner_knows_are_kept() {
        assert_eq!(fires("0 6 L * *", "UTC", "2026-02-01T00:00:00Z", 1), ["Sat 2026-02-28 06:00 UTC"]);
        assert_eq!(fires("0 3 1 */3 *", "UTC", "2026-02-01T00:00:00Z", 2), ["Wed 2026-04-01 03:00 UTC", "Wed 2026-07-01 03:00 UTC"]);
        assert_eq!(fires("0 8 * * MON#2", "UTC", "2026-06-01T00:00:00Z", 1), ["Mon 2026-06-08 08:00 UTC"]);
        assert_eq!(
            fires("0 0 13 * FRI", "UTC", "2026-06-01T00:00:00Z", 3),
            ["Fri 2026-06-05 00:00 UTC", "Fri 2026-06-12 00:00 UTC", "Sat 2026-06-13 00:00 UTC"]
        );
        assert_eq!(fires("@daily", "UTC", "2026-06-01T00:00:00Z", 1), ["Tue 2026-06-02 00:00 UTC"]);
        assert!(!cron("0 0 29 2 *").unwrap().never());
        assert!(cron("0 0 30 2 *").unwrap().never());
        assert!(cron("*/5 * 31 6,9 *").unwrap().never());
    }

    #[test]
    fn an_interval_keeps_its_wall_time_and_never_drifts() {
        let t = trigger(TriggerKind::Every { every: "15d".parse().unwrap(), anchor: DateTime::constant(2026, 1, 5, 2, 30, 0, 0) });
        let zone = "Europe/Berlin";
        let all: Vec<String> = next_fires(&t, "p", 0, zone, at("2026-03-01T00:00:00Z"), 4).into_iter().map(|t| local(t, zone)).collect();
        assert_eq!(all, ["Fri 2026-03-06 02:30 CET", "Sat 2026-03-21 02:30 CET", "Sun 2026-04-05 02:30 CEST", "Mon 2026-04-20 02:30 CEST"]);
        // The first start is the anchor; before it there is none.
        assert_eq!(next_fires(&t, "p", 0, zone, at("2020-01-01T00:00:00Z"), 1), [at("2026-01-05T01:30:00Z")]);
        let hours = trigger(TriggerKind::Every { every: "6h".parse().unwrap(), anchor: DateTime::constant(2026, 3, 29, 0, 0, 0, 0) });
        let all = next_fires(&hours, "p", 0, zone, at("2026-03-28T23:00:00Z"), 2);
        assert_eq!(all, [at("2026-03-29T05:00:00Z"), at("2026-03-29T11:00:00Z")]);
    }

    #[test]
    fn jitter_is_stable_within_its_bound_and_spread() {
        let most = "20m".parse().unwrap();
        let all: std::collections::BTreeSet<u64> = (0..50).map(|i| jitter(&format!("p{i}"), 0, most).ms()).collect();
        assert!(all.len() > 40 && all.iter().all(|ms| *ms <= most.ms()));
        assert_eq!(jitter("nightly", 0, most), jitter("nightly", 0, most));
        let mut t = trigger(TriggerKind::Cron { pattern: At::new("0 1 * * *".into(), Loc::default()) });
        t.jitter = most;
        let two = next_fires(&t, "nightly", 0, "UTC", at("2026-01-01T00:00:00Z"), 2);
        // Asked at the moment of a start, the next one is a day later, not the same again.
        assert_eq!(next_fires(&t, "nightly", 0, "UTC", two[0], 1), [two[1]]);
        assert_eq!(two[1].duration_since(two[0]).as_secs(), 86_400);
    }

    #[test]
    fn zones_are_known_or_guessed() {
        assert!(zone("Europe/Berlin").is_ok());
        assert_eq!(zone("Europe/Berln").unwrap_err().as_deref(), Some("Europe/Berlin"));
        assert_eq!(zone("new york").unwrap_err().as_deref(), Some("America/New_York"));
        assert_eq!(zone("xyzzyplugh").unwrap_err(), None);
    }

    /// Five years over both changes a year: every local day has exactly one start, in order, and on its own day.
    #[test]
    fn five_years_have_one_start_a_day() {
        for name in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"] {
            for pattern in ["30 2 * * *", "0 2 * * *", "30 1 * * *", "5 0 * * *"] {
                let t = trigger(TriggerKind::Cron { pattern: At::new(pattern.into(), Loc::default()) });
                let tz = zone(name).unwrap();
                let mut day = Date::constant(2026, 1, 2);
                for f in next_fires(&t, "p", 0, name, resolve(&tz, Date::constant(2026, 1, 1).at(23, 0, 0, 0)).unwrap(), 5 * 365) {
                    assert_eq!(f.to_zoned(tz.clone()).date(), day, "{pattern} in {name}");
                    day = day.tomorrow().unwrap();
                }
            }
        }
    }
}
