//! Cron patterns of five fields, with defined behaviour where clocks change. Days are croner's; the times of a day are ours.
//!
//! Hours that are named are wall-clock times: one that a change to summer time swallows fires at the first valid minute after it, one
//! that comes twice fires once, the first time. `*` and `*/n` in the hour mean "all through the day": they follow the instants.

use std::collections::{BTreeSet, VecDeque};

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use sha2::{Digest, Sha256};

use super::wall::{Dst, Nominal, resolve};

/// A pattern that does not fire for so long never fires: 29 February can be eight years away.
const YEARS: i64 = 8;
/// What a `~` in a field is drawn from where it names no range.
const RANGES: [(i8, i8); 5] = [(0, 59), (0, 23), (1, 28), (1, 12), (0, 6)];

/// A cron pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    days: Cron,
    /// `(hour, minute)`, sorted.
    times: Vec<(i8, i8)>,
    /// The hour is a wildcard.
    through: bool,
    /// Days of the month and weekdays are both named: a day that fits one of them will do.
    either: bool,
}

/// Reads a pattern; the error is the reason. `pipeline` seeds what `~` is drawn from.
pub fn cron(text: &str, pipeline: &str) -> Result<Pattern, String> {
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
        return Err("`H` is Jenkins' own; write `~` for a number of its own, or a number and `jitter:` beside it".into());
    }
    let fields: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(i, f)| if f.contains('~') { drawn(f, i, pipeline) } else { Ok((*f).to_owned()) })
        .collect::<Result<_, _>>()?;
    // As the cron of every EL: a day has to fit both fields where one of them begins with `*`, also `*/2`; else either will do.
    let both = fields[2].starts_with('*') || fields[4].starts_with('*');
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).dom_and_dow(both).build();
    let parse = |t: &str| {
        parser.parse(t).map_err(|e| e.to_string().trim_end_matches('.').replace("Component error: ", "").replace("Invalid pattern: ", ""))
    };
    let odd = |what: &str, field: &str, most: i8| format!("`{field}` is no {what}: 0 to {most}, ranges, steps, lists, or `*`");
    let minutes = numbers(&fields[0], 59).ok_or_else(|| odd("minute", &fields[0], 59))?;
    let hours = numbers(&fields[1], 23).ok_or_else(|| odd("hour", &fields[1], 23))?;
    parse(&fields.join(" "))?;
    let times = hours.iter().flat_map(|h| minutes.iter().map(|m| (*h, *m))).collect();
    Ok(Pattern { days: parse(&format!("0 0 {}", fields[2..].join(" ")))?, times, through: fields[1].starts_with('*'), either: !both })
}

/// `~` or `A~B`: one number of the range, the same for ever for one pipeline.
fn drawn(field: &str, index: usize, pipeline: &str) -> Result<String, String> {
    let bad = || format!("`{field}` is no range to draw from: write `~`, or `0~29`");
    let (least, most) = RANGES.get(index).copied().ok_or_else(bad)?;
    let (a, b) = field.split_once('~').ok_or_else(bad)?;
    let number = |text: &str, other: i8| if text.is_empty() { Ok(other) } else { text.parse::<i8>().map_err(|_| bad()) };
    let (a, b) = (number(a, least)?, number(b, most)?);
    if a < least.min(0) || a > b || b > most.max(if index == 2 { 31 } else { most }) {
        return Err(bad());
    }
    let digest = Sha256::digest(format!("{pipeline}\0{index}"));
    let n = digest.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
    let width = u64::from((b - a).unsigned_abs()) + 1;
    Ok((i64::from(a) + (n % width) as i64).to_string())
}

/// `*`, `*/5`, `1,13`, `1-3`, `8-18/2`, `5/15`; `None` for anything else.
fn numbers(field: &str, max: i8) -> Option<BTreeSet<i8>> {
    let mut out = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<i8>().ok().filter(|s| *s > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            Some((a, b)) => (a.parse().ok()?, b.parse().ok()?),
            None if range == "*" => (0, max),
            None => {
                let n: i8 = range.parse().ok()?;
                (n, if part.contains('/') { max } else { n })
            }
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
        let limit = start.checked_add(YEARS.years()).unwrap_or(DateTime::MAX);
        !self.days.find_next_occurrence(&start, true).is_ok_and(|t| t < limit)
    }

    /// Whether it names days of the month and weekdays, of which either will do.
    pub fn either(&self) -> bool {
        self.either
    }

    /// Its occurrences after `after`, in order, each instant once.
    pub fn after<'a>(&'a self, zone: &'a TimeZone, after: Timestamp) -> Fires<'a> {
        // A day early: a time that a gap moved may belong to the day before.
        let local = after.to_zoned(zone.clone()).date();
        Fires {
            pattern: self,
            zone,
            day: local.yesterday().unwrap_or(local).at(0, 0, 0, 0),
            begun: false,
            last: after,
            ready: VecDeque::new(),
        }
    }

    /// The occurrences of one day of the calendar, in order.
    fn of_day(&self, zone: &TimeZone, day: Date) -> Vec<Nominal> {
        let mut out = Vec::new();
        for (h, m) in &self.times {
            let local = day.at(*h, *m, 0, 0);
            let ambiguous = zone.to_ambiguous_timestamp(local);
            match ambiguous.offset() {
                AmbiguousOffset::Unambiguous { .. } => {
                    out.extend(ambiguous.unambiguous().ok().map(|at| Nominal { at, dst: Dst::None }));
                }
                AmbiguousOffset::Fold { before, after } => {
                    out.extend(before.to_timestamp(local).ok().map(|at| Nominal { at, dst: Dst::Fold }));
                    if self.through {
                        out.extend(after.to_timestamp(local).ok().map(|at| Nominal { at, dst: Dst::Fold }));
                    }
                }
                AmbiguousOffset::Gap { .. } if self.through => {}
                AmbiguousOffset::Gap { .. } => out.extend(resolve(zone, local).map(|at| Nominal { at, dst: Dst::Gap })),
            }
        }
        out.sort_by_key(|n| n.at);
        out
    }
}

/// Occurrences one after the other; ends where there is none for eight years.
pub struct Fires<'a> {
    pattern: &'a Pattern,
    zone: &'a TimeZone,
    day: DateTime,
    begun: bool,
    last: Timestamp,
    ready: VecDeque<Nominal>,
}

impl Iterator for Fires<'_> {
    type Item = Nominal;

    fn next(&mut self) -> Option<Nominal> {
        loop {
            while let Some(n) = self.ready.pop_front() {
                if n.at > self.last {
                    self.last = n.at;
                    return Some(n);
                }
            }
            let limit = self.day.checked_add(YEARS.years()).ok()?;
            self.day = self.pattern.days.find_next_occurrence(&self.day, !self.begun).ok().filter(|d| *d <= limit)?;
            self.begun = true;
            self.ready.extend(self.pattern.of_day(self.zone, self.day.date()));
        }
    }
}
