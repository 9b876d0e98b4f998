//! The oracle: five years, minute by minute, from the instant to the wall clock, and so the other way round than the code under test.
//!
//! It knows no transition and no rule of time zones: it reads the wall clock at every minute, and sees where it jumps.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{cron, zone};

/// A pattern as the oracle understands it.
#[derive(Debug, Clone)]
struct Want {
    text: String,
    minutes: Vec<i8>,
    /// None: all through the day.
    hours: Option<Vec<i8>>,
    days: Option<Vec<i8>>,
    /// 0 = Sunday.
    weekdays: Option<Vec<i8>>,
    months: Option<Vec<i8>>,
}

/// The wall clock at one minute: minutes since some midnight long ago, and its parts.
#[derive(Clone, Copy)]
struct Wall {
    linear: i64,
    minute: i8,
    hour: i8,
    day: i8,
    month: i8,
    weekday: i8,
}

/// The wall clock of a zone at every minute from `first` on. Only the offset is asked for; the date is counted.
fn walls(zone: &TimeZone, first: Timestamp, minutes: i64) -> Vec<Wall> {
    let epoch = jiff::civil::date(2000, 1, 1);
    let zero = epoch.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp().as_second() / 60;
    let (mut known, mut date) = (i64::MIN, epoch);
    let mut out = Vec::with_capacity(minutes as usize);
    for m in 0..minutes {
        let at = first.checked_add(SignedDuration::from_mins(m)).unwrap();
        let linear = at.as_second() / 60 - zero + i64::from(zone.to_offset(at).seconds()) / 60;
        let day = linear.div_euclid(1_440);
        if day != known {
            (known, date) = (day, epoch.checked_add(jiff::Span::new().days(day)).unwrap());
        }
        out.push(wall_of(linear, date));
    }
    out
}

fn wall_of(linear: i64, date: jiff::civil::Date) -> Wall {
    let of_day = linear.rem_euclid(1_440);
    Wall {
        linear,
        minute: (of_day % 60) as i8,
        hour: (of_day / 60) as i8,
        day: date.day(),
        month: date.month(),
        weekday: date.weekday().to_sunday_zero_offset(),
    }
}

impl Want {
    fn fits(&self, w: &Wall) -> bool {
        let has = |list: &Option<Vec<i8>>, n: i8| list.as_ref().is_none_or(|l| l.contains(&n));
        let day = match (&self.days, &self.weekdays) {
            // Both named: either will do, as in every cron since Vixie's.
            (Some(d), Some(w2)) => d.contains(&w.day) || w2.contains(&w.weekday),
            _ => has(&self.days, w.day) && has(&self.weekdays, w.weekday),
        };
        self.minutes.contains(&w.minute) && has(&self.hours, w.hour) && has(&self.months, w.month) && day
    }
}

/// All starts of `want` in the minutes of `walls`.
fn expected(want: &Want, walls: &[Wall], first: Timestamp) -> Vec<Timestamp> {
    let mut out = Vec::new();
    let mut highest = walls[0].linear;
    for i in 1..walls.len() {
        let (before, now) = (&walls[i - 1], &walls[i]);
        let seen = now.linear <= highest;
        highest = highest.max(now.linear);
        let mut fires = want.fits(now) && (want.hours.is_none() || !seen);
        // The clock went forward: what it left out starts now.
        if want.hours.is_some() && now.linear > before.linear + 1 {
            fires |= (before.linear + 1..now.linear).any(|m| {
                let day = jiff::civil::date(2000, 1, 1).checked_add(jiff::Span::new().days(m / 1_440)).unwrap();
                want.fits(&wall_of(m, day))
            });
        }
        if fires {
            out.push(first.checked_add(SignedDuration::from_mins(i as i64)).unwrap());
        }
    }
    out
}

const YEARS: i64 = 5;
const ZONES: [&str; 3] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];

fn check(wants: &[Want]) {
    for name in ZONES {
        let zone = zone(name).unwrap();
        let first: Timestamp = "2025-12-31T23:59:00Z".parse().unwrap();
        let minutes = YEARS * 366 * 1_440;
        let walls = walls(&zone, first, minutes);
        let last = first.checked_add(SignedDuration::from_mins(minutes - 1)).unwrap();
        for want in wants {
            let pattern = cron(&want.text, "p").unwrap();
            let ours: Vec<Timestamp> = pattern.after(&zone, first).map(|n| n.at).take_while(|t| *t <= last).collect();
            let oracle = expected(want, &walls, first);
            if ours != oracle {
                let (a, b): (BTreeSet<_>, BTreeSet<_>) = (ours.iter().copied().collect(), oracle.iter().copied().collect());
                let show = |t: &Timestamp| t.to_zoned(zone.clone()).to_string();
                let more: Vec<String> = a.difference(&b).take(3).map(show).collect();
                let less: Vec<String> = b.difference(&a).take(3).map(show).collect();
                panic!("`{}` in {name}: too many {more:?}, missing {less:?}, {} against {}", want.text, ours.len(), oracle.len());
            }
        }
    }
}

fn list(numbers: &[i8]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn field(numbers: &Option<Vec<i8>>) -> String {
    numbers.as_ref().map_or_else(|| "*".to_owned(), |n| list(n))
}

fn some_of(least: i8, most: i8, upto: usize) -> impl Strategy<Value = Vec<i8>> {
    proptest::collection::btree_set(least..=most, 1..=upto).prop_map(|s| s.into_iter().collect())
}

fn want() -> impl Strategy<Value = Want> {
    (
        some_of(0, 59, 4),
        // Mostly the hours in which clocks change, in lists too.
        proptest::option::weighted(0.85, prop_oneof![some_of(0, 4, 3), some_of(0, 23, 4)]),
        proptest::option::weighted(0.3, some_of(1, 31, 6)),
        proptest::option::weighted(0.3, some_of(0, 6, 3)),
        proptest::option::weighted(0.2, some_of(1, 12, 8)),
    )
        .prop_map(|(minutes, hours, days, weekdays, months)| Want {
            text: format!("{} {} {} {} {}", list(&minutes), field(&hours), field(&days), field(&months), field(&weekdays)),
            minutes,
            hours,
            days,
            weekdays,
            months,
        })
}

fn fixed(text: &str, minutes: &[i8], hours: Option<&[i8]>) -> Want {
    Want { text: text.into(), minutes: minutes.to_vec(), hours: hours.map(<[i8]>::to_vec), days: None, weekdays: None, months: None }
}

#[test]
fn the_patterns_that_people_write_agree_with_the_wall_clock_for_five_years_in_three_zones() {
    let quarter: Vec<i8> = (0..60).step_by(15).collect();
    let sixth: Vec<i8> = (0..24).step_by(6).collect();
    check(&[
        fixed("29 1 * * *", &[29], Some(&[1])),
        fixed("30 2 * * *", &[30], Some(&[2])),
        fixed("15 2 * * *", &[15], Some(&[2])),
        fixed("0 2,3 * * *", &[0], Some(&[2, 3])),
        fixed("30 1,13 * * *", &[30], Some(&[1, 13])),
        fixed("30 2,14 * * *", &[30], Some(&[2, 14])),
        fixed("0,30 1-3 * * *", &[0, 30], Some(&[1, 2, 3])),
        fixed("*/15 2 * * *", &quarter, Some(&[2])),
        fixed("*/15 * * * *", &quarter, None),
        fixed("0 0-18/6 * * *", &[0], Some(&sixth)),
        fixed("45 0,23 * * *", &[45], Some(&[0, 23])),
    ]);
}

proptest! {
    // Each case is five years in three zones; the walls are read once for all its patterns.
    #![proptest_config(ProptestConfig { cases: 1, ..ProptestConfig::default() })]

    #[test]
    fn any_pattern_agrees_with_the_wall_clock_for_five_years_in_three_zones(wants in proptest::collection::vec(want(), 12)) {
        check(&wants);
    }
}
