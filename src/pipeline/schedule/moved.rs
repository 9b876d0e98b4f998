//! `shift: next`: a start that falls into a closed time of its calendars comes on the next day on which all of them are open at that time of
//! day. Pure; starts stay in order, and two that come to the same moment are one.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::wall::{Dst, Nominal, resolve};
use crate::pipeline::calendar::Calendar;

/// A start is moved so far at most; what is closed longer stays where it was, and is skipped.
pub const MOST_DAYS: i32 = 31;

/// A start by pattern and calendars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    pub nominal: Nominal,
    /// Where the pattern alone had it.
    pub from: Option<Timestamp>,
}

/// What moves the starts of one trigger.
#[derive(Debug, Clone)]
pub struct Mover {
    pub calendars: Vec<Arc<Calendar>>,
    pub zone: TimeZone,
    /// The jitter: calendars are asked about the moment of the start itself.
    pub delay: SignedDuration,
}

impl Mover {
    fn closed(&self, nominal: Timestamp) -> bool {
        let at = nominal.checked_add(self.delay).unwrap_or(nominal);
        self.calendars.iter().any(|c| c.is_closed(at))
    }

    fn place(&self, n: Nominal) -> Moved {
        if !self.closed(n.at) {
            return Moved { nominal: n, from: None };
        }
        let local = self.zone.to_datetime(n.at);
        let days = (1..=MOST_DAYS).filter_map(|d| resolve(&self.zone, local.checked_add(d.days()).ok()?));
        match days.into_iter().find(|at| !self.closed(*at)) {
            Some(at) => Moved { nominal: Nominal { at, dst: Dst::None }, from: Some(n.at) },
            None => Moved { nominal: n, from: None },
        }
    }

    /// The starts after `after`, in order. `nominal` gives what the pattern says after a moment.
    pub fn after<'a, I: Iterator<Item = Nominal> + 'a>(
        &'a self,
        nominal: impl FnOnce(Timestamp) -> I,
        after: Timestamp,
    ) -> impl Iterator<Item = Moved> + 'a {
        // What comes now may have been due so long ago, and a day of 25 hours more.
        let back = SignedDuration::from_hours(24 * (i64::from(MOST_DAYS) + 1));
        let mut source = nominal(after.checked_sub(back).unwrap_or(after)).peekable();
        let mut waiting: BTreeMap<Timestamp, Moved> = BTreeMap::new();
        std::iter::from_fn(move || {
            loop {
                // Nothing moves backwards: what lies before the next of the pattern is settled.
                let settled = waiting.first_key_value().map(|(at, _)| *at);
                let next = source.peek().map(|n| n.at);
                match (settled, next) {
                    (None, None) => return None,
                    (Some(at), Some(next)) if at >= next => {}
                    (None, Some(_)) => {}
                    (Some(_), _) => {
                        let moved = waiting.pop_first()?.1;
                        if moved.nominal.at > after {
                            return Some(moved);
                        }
                        continue;
                    }
                }
                let placed = self.place(source.next()?);
                let at = placed.nominal.at;
                // Of two, the one that the pattern itself has there.
                if placed.from.is_none() {
                    waiting.insert(at, placed);
                } else {
                    waiting.entry(at).or_insert(placed);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use crate::pipeline::calendar::{Calendar, Rule, Span};
    use crate::pipeline::schedule::{Ticker, Timer, When, local};

    fn ticker(pattern: &str, calendars: Vec<Calendar>) -> Ticker {
        let timer = Timer {
            when: When::Cron { pattern: pattern.into() },
            zone: "Europe/Berlin".into(),
            jitter: Default::default(),
            catch_up: crate::pipeline::model::CatchUp::Skip,
            calendars: Vec::new(),
            shift: true,
        };
        let calendars: Vec<Arc<Calendar>> = calendars.into_iter().map(Arc::new).collect();
        timer.ticker_in("p", Some(&calendars)).unwrap()
    }

    fn workdays() -> Calendar {
        let days = [true, true, true, true, true, false, false];
        Calendar {
            name: "workdays".into(),
            zone: "Europe/Berlin".into(),
            owner: "o".into(),
            reason: "r".into(),
            windows: vec![Rule { span: Span::Weekly { days, from: 0, to: 1_440 }, reason: String::new() }],
            freezes: Vec::new(),
        }
    }

    fn starts(t: &Ticker, after: &str, n: usize) -> Vec<(String, Option<String>)> {
        let at: Timestamp = after.parse().unwrap();
        let shown = |t: Timestamp| local(t, &jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
        t.starts_after(at).take(n).map(|d| (shown(d.at), d.from.map(shown))).collect()
    }

    #[test]
    fn a_start_in_a_closed_time_comes_on_the_next_open_day_at_its_time_of_day() {
        // The first of a quarter: 1 January 2026 is a Thursday, 1 August 2026 a Saturday.
        let t = ticker("0 6 1 1,8 *", vec![workdays()]);
        assert_eq!(
            starts(&t, "2025-12-31T00:00:00Z", 2),
            [
                ("Thu 2026-01-01 06:00 CET".to_owned(), None),
                ("Mon 2026-08-03 06:00 CEST".to_owned(), Some("Sat 2026-08-01 06:00 CEST".to_owned()))
            ]
        );
        // Asked again after each of them, nothing comes twice and nothing is left out.
        assert_eq!(starts(&t, "2026-08-01T12:00:00Z", 1)[0].0, "Mon 2026-08-03 06:00 CEST");
        assert_eq!(starts(&t, "2026-08-03T04:00:00Z", 1)[0].0, "Fri 2027-01-01 06:00 CET");
    }

    #[test]
    fn starts_that_come_to_one_moment_are_one_and_the_order_holds() {
        let t = ticker("0 6,18 * * *", vec![workdays()]);
        let all: Vec<String> = starts(&t, "2026-07-31T12:00:00Z", 5).into_iter().map(|(at, _)| at).collect();
        assert_eq!(
            all,
            [
                "Fri 2026-07-31 18:00 CEST",
                "Mon 2026-08-03 06:00 CEST",
                "Mon 2026-08-03 18:00 CEST",
                "Tue 2026-08-04 06:00 CEST",
                "Tue 2026-08-04 18:00 CEST"
            ]
        );
        // Whatever moment it is asked from, the same sequence goes on.
        for hour in 0..96 {
            let from = "2026-07-31T00:00:00Z".parse::<Timestamp>().unwrap().checked_add(jiff::SignedDuration::from_hours(hour)).unwrap();
            let here = t.starts_after(from).next().unwrap();
            let whole: Vec<_> = t.starts_after("2026-07-30T00:00:00Z".parse().unwrap()).take(40).collect();
            assert_eq!(whole.iter().find(|d| d.at > from), Some(&here), "{from}");
        }
    }

    #[test]
    fn what_is_closed_for_longer_than_a_month_stays_where_it_was() {
        let shut = Rule { span: Span::Weekly { days: [true; 7], from: 0, to: 1_440 }, reason: String::new() };
        let t = ticker("0 6 * * *", vec![Calendar { windows: Vec::new(), freezes: vec![shut], ..workdays() }]);
        assert_eq!(starts(&t, "2026-07-31T12:00:00Z", 1), [("Sat 2026-08-01 06:00 CEST".to_owned(), None)]);
    }
}
