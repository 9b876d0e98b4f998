//! What a pattern means on the nights that matter.

use super::timer::jitter;
use super::*;
use crate::base::duration::Span;
use crate::pipeline::diagnostic::Loc;
use crate::pipeline::model::{At, CatchUp, Marks, Trigger, TriggerKind};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

fn at(t: &str) -> Timestamp {
    t.parse().unwrap()
}

fn trigger(kind: TriggerKind) -> Trigger {
    Trigger {
        at: Loc::default(),
        kind,
        timezone: None,
        jitter: Span::default(),
        catch_up: At::new(CatchUp::Skip, Loc::default()),
        calendars: Vec::new(),
        shift: None,
        marks: Marks::default(),
    }
}

/// The next `n` starts after `after`, soonest first.
fn next_fires(trigger: &Trigger, pipeline: &str, site_zone: &str, after: Timestamp, n: usize) -> Vec<Timestamp> {
    let ticker = Timer::of(trigger, site_zone).unwrap().ticker(pipeline).unwrap();
    ticker.starts_after(after).take(n).map(|d| d.at).collect()
}

fn fires(pattern: &str, zone: &str, after: &str, n: usize) -> Vec<String> {
    let t = trigger(TriggerKind::Cron { pattern: At::new(pattern.into(), Loc::default()) });
    next_fires(&t, "p", zone, at(after), n).into_iter().map(|t| shown(t, zone)).collect()
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
    // As cronie has it: where one of the two begins with `*`, a day has to fit both.
    assert_eq!(
        fires("0 0 */2 * SUN", "UTC", "2026-06-01T00:00:00Z", 3),
        ["Sun 2026-06-07 00:00 UTC", "Sun 2026-06-21 00:00 UTC", "Sun 2026-07-05 00:00 UTC"]
    );
    assert_eq!(
        fires("0 0 1-7 * */6", "UTC", "2026-06-01T00:00:00Z", 3),
        ["Sat 2026-06-06 00:00 UTC", "Sun 2026-06-07 00:00 UTC", "Sat 2026-07-04 00:00 UTC"]
    );
    assert!(cron("0 0 13 * FRI", "p").unwrap().either() && !cron("0 0 */2 * SUN", "p").unwrap().either());
    assert_eq!(fires("@daily", "UTC", "2026-06-01T00:00:00Z", 1), ["Tue 2026-06-02 00:00 UTC"]);
    assert!(!cron("0 0 29 2 *", "p").unwrap().never());
    assert!(cron("0 0 30 2 *", "p").unwrap().never());
    assert!(cron("*/5 * 31 6,9 *", "p").unwrap().never());
}

#[test]
fn an_interval_keeps_its_wall_time_and_never_drifts() {
    let t = trigger(TriggerKind::Every { every: "15d".parse().unwrap(), anchor: DateTime::constant(2026, 1, 5, 2, 30, 0, 0) });
    let zone = "Europe/Berlin";
    let all: Vec<String> = next_fires(&t, "p", zone, at("2026-03-01T00:00:00Z"), 4).into_iter().map(|t| shown(t, zone)).collect();
    assert_eq!(all, ["Fri 2026-03-06 02:30 CET", "Sat 2026-03-21 02:30 CET", "Sun 2026-04-05 02:30 CEST", "Mon 2026-04-20 02:30 CEST"]);
    // The first start is the anchor; before it there is none.
    assert_eq!(next_fires(&t, "p", zone, at("2020-01-01T00:00:00Z"), 1), [at("2026-01-05T01:30:00Z")]);
    let hours = trigger(TriggerKind::Every { every: "6h".parse().unwrap(), anchor: DateTime::constant(2026, 3, 29, 0, 0, 0, 0) });
    let all = next_fires(&hours, "p", zone, at("2026-03-28T23:00:00Z"), 2);
    assert_eq!(all, [at("2026-03-29T05:00:00Z"), at("2026-03-29T11:00:00Z")]);
}

#[test]
fn jitter_is_stable_within_its_bound_and_spread() {
    let most = "20m".parse().unwrap();
    let all: std::collections::BTreeSet<u64> = (0..50).map(|i| jitter(&format!("p{i}"), "t", most).ms()).collect();
    assert!(all.len() > 40 && all.iter().all(|ms| *ms <= most.ms()));
    assert_eq!(jitter("nightly", "t", most), jitter("nightly", "t", most));
    let mut t = trigger(TriggerKind::Cron { pattern: At::new("0 1 * * *".into(), Loc::default()) });
    t.jitter = most;
    let two = next_fires(&t, "nightly", "UTC", at("2026-01-01T00:00:00Z"), 2);
    // Asked at the moment of a start, the next one is a day later, not the same again.
    assert_eq!(next_fires(&t, "nightly", "UTC", two[0], 1), [two[1]]);
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
            for f in next_fires(&t, "p", name, resolve(&tz, Date::constant(2026, 1, 1).at(23, 0, 0, 0)).unwrap(), 5 * 365) {
                assert_eq!(f.to_zoned(tz.clone()).date(), day, "{pattern} in {name}");
                day = day.tomorrow().unwrap();
            }
        }
    }
}

fn shown(t: Timestamp, name: &str) -> String {
    local(t, &zone(name).unwrap())
}

#[test]
fn an_hour_that_is_named_is_a_wall_clock_time_whatever_its_minutes_say() {
    // Every quarter of a swallowed hour is the one start behind it; of a doubled hour the first pass alone.
    assert_eq!(
        fires("*/15 2 * * *", "Europe/Berlin", "2026-03-28T22:00:00Z", 2),
        ["Sun 2026-03-29 03:00 CEST", "Mon 2026-03-30 02:00 CEST"]
    );
    let all = fires("*/30 2 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", 3);
    assert_eq!(all, ["Sun 2026-10-25 02:00 CEST", "Sun 2026-10-25 02:30 CEST", "Mon 2026-10-26 02:00 CET"]);
}

#[test]
fn a_number_may_be_drawn_and_stays_what_it_is() {
    let minute = |p: &str, text: &str| cron(text, p).unwrap().after(&TimeZone::UTC, at("2026-01-01T00:00:00Z")).next().unwrap().at;
    assert_eq!(minute("a", "~ 1 * * *"), minute("a", "~ 1 * * *"));
    let all: std::collections::BTreeSet<Timestamp> = (0..40).map(|i| minute(&format!("p{i}"), "10~29 1 * * *")).collect();
    assert!(all.len() > 10, "{all:?}");
    let (first, last) = (at("2026-01-01T01:10:00Z"), at("2026-01-01T01:29:00Z"));
    assert!(all.iter().all(|t| *t >= first && *t <= last), "{all:?}");
    for bad in ["60~70 * * * *", "9~1 * * * *", "a~b * * * *", "* * 0~40 * *"] {
        assert!(cron(bad, "p").is_err(), "{bad}");
    }
}

#[test]
fn rows_are_marked_where_the_clocks_change() {
    let t = trigger(TriggerKind::Cron { pattern: At::new("30 1,2 * * *".into(), Loc::default()) });
    let ticker = Timer::of(&t, "Europe/Berlin").unwrap().ticker("p").unwrap();
    let marks = |from: &str, n| ticker.starts_after(at(from)).take(n).map(|d| d.dst).collect::<Vec<_>>();
    assert_eq!(marks("2026-03-28T22:00:00Z", 3), [Dst::None, Dst::Gap, Dst::None]);
    assert_eq!(marks("2026-10-24T22:00:00Z", 3), [Dst::None, Dst::Fold, Dst::None]);
    let every = trigger(TriggerKind::Every { every: "1d".parse().unwrap(), anchor: DateTime::constant(2026, 3, 1, 2, 30, 0, 0) });
    let ticker = Timer::of(&every, "Europe/Berlin").unwrap().ticker("p").unwrap();
    assert_eq!(ticker.starts_after(at("2026-03-28T22:00:00Z")).next().unwrap().dst, Dst::Gap);
}

#[test]
fn another_cron_zone_or_anchor_is_another_trigger_and_another_jitter_another_digest() {
    let timer = |pattern: &str, zone: &str, jitter: &str| Timer {
        when: When::Cron { pattern: pattern.into() },
        zone: zone.into(),
        jitter: jitter.parse().unwrap(),
        catch_up: CatchUp::Skip,
        calendars: Vec::new(),
        shift: false,
    };
    let one = timer("29 1 * * *", "UTC", "0s");
    let shifted = Timer { shift: true, ..one.clone() };
    assert_eq!((shifted.key() == one.key(), shifted.digest() == one.digest()), (true, false), "what is moved owes nothing for the past");
    assert_eq!(one.key(), "cron 29 1 * * * (UTC)");
    assert_eq!(timer("29  1 * * *", "UTC", "0s").key(), one.key());
    assert_ne!(timer("30 1 * * *", "UTC", "0s").key(), one.key());
    assert_ne!(timer("29 1 * * *", "Europe/Berlin", "0s").key(), one.key());
    let late = timer("29 1 * * *", "UTC", "5m");
    assert!(late.key() == one.key() && late.digest() != one.digest());
    let text = serde_json::to_string(&late).unwrap();
    assert_eq!(serde_json::from_str::<Timer>(&text).unwrap(), late);
}
