//! Calendars: when starts are allowed. Windows open, freezes close, in the wall clock of one zone. Pure: the moment is a parameter.
//!
//! A calendar without windows is open but for its freezes; one with windows is open inside them only, and a freeze closes them too.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::schedule;

/// So far ahead is looked for an end of what is closed; what is closed longer is closed for ever.
const YEARS: i64 = 10;

/// One calendar of the site.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    pub name: String,
    /// IANA name.
    pub zone: String,
    /// Who answers for it: asked before anybody starts something against it.
    pub owner: String,
    pub reason: String,
    pub windows: Vec<Rule>,
    pub freezes: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub span: Span,
    /// Its own reason; empty = the calendar's.
    pub reason: String,
}

/// Wall-clock times; the end is the first moment that no longer belongs to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span {
    Dated {
        from: DateTime,
        to: DateTime,
    },
    /// Every year; an end before its begin lies in the next year.
    Yearly {
        from: (i8, i8, Time),
        to: (i8, i8, Time),
    },
    /// On these days of the week (Monday first), in minutes of the day; an end that is not behind its begin lies on the next day.
    Weekly {
        days: [bool; 7],
        from: i32,
        to: i32,
    },
}

/// Why a calendar does not let something start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub calendar: String,
    pub owner: String,
    pub reason: String,
    /// A freeze, and not merely outside of the windows.
    pub freeze: bool,
    /// `Thu 2026-04-02 06:00 CEST`; none = never again.
    pub until: Option<String>,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.freeze { "frozen by" } else { "outside of the windows of" };
        // A calendar whose file cannot be read has an owner that nobody knows.
        let of = if self.owner.is_empty() { String::new() } else { format!(" of {}", self.owner) };
        write!(f, "{what} calendar {}{of}: {}", self.calendar, self.reason)?;
        match &self.until {
            Some(until) => write!(f, "; until {until}"),
            None => write!(f, "; it never opens again"),
        }
    }
}

impl Span {
    fn holds(&self, at: DateTime) -> bool {
        match self {
            Self::Dated { from, to } => at >= *from && at < *to,
            Self::Yearly { from, to } => {
                let (from, to, at) = (*from, *to, (at.month(), at.day(), at.time()));
                if from < to { at >= from && at < to } else { at >= from || at < to }
            }
            Self::Weekly { days, from, to } => {
                let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
                let on = |d: Date| days[d.weekday().to_monday_zero_offset().unsigned_abs() as usize % 7];
                let today = on(at.date());
                if from < to {
                    return today && minute >= *from && minute < *to;
                }
                let yesterday = at.date().yesterday().is_ok_and(on);
                (today && minute >= *from) || (yesterday && minute < *to)
            }
        }
    }

    /// Moments of a day at which it may begin or end.
    fn edges(&self, day: Date, out: &mut Vec<DateTime>) {
        match self {
            Self::Dated { from, to } => out.extend([*from, *to].into_iter().filter(|t| t.date() == day)),
            Self::Yearly { from, to } => {
                out.extend(
                    [*from, *to].into_iter().filter(|(m, d, _)| (*m, *d) == (day.month(), day.day())).map(|(_, _, t)| day.to_datetime(t)),
                );
            }
            Self::Weekly { from, to, .. } => out.extend(
                [*from, *to]
                    .into_iter()
                    .filter(|m| *m < 1_440)
                    .filter_map(|m| Some(day.to_datetime(Time::new((m / 60) as i8, (m % 60) as i8, 0, 0).ok()?))),
            ),
        }
    }
}

impl Calendar {
    fn tz(&self) -> TimeZone {
        schedule::zone(&self.zone).unwrap_or(TimeZone::UTC)
    }

    /// The rule that closes it then: a freeze, or `None` inside for "no window".
    fn rule(&self, local: DateTime) -> Option<Option<&Rule>> {
        if let Some(freeze) = self.freezes.iter().find(|r| r.span.holds(local)) {
            return Some(Some(freeze));
        }
        (!self.windows.is_empty() && !self.windows.iter().any(|r| r.span.holds(local))).then_some(None)
    }

    /// Why nothing may start at `at`; `None` = it is open.
    pub fn closed(&self, at: Timestamp) -> Option<Closed> {
        self.ahead().closed(at)
    }

    /// Whether nothing may start at `at`: as [`Self::closed`], without looking for its end.
    pub fn is_closed(&self, at: Timestamp) -> bool {
        self.rule(self.tz().to_datetime(at)).is_some()
    }

    /// To be asked about many moments, one after the other.
    pub fn ahead(&self) -> Ahead<'_> {
        Ahead { calendar: self, zone: self.tz(), shut: None, looked: 0 }
    }

    /// When it opens and closes next, within `days`, at most `most` times; what closes it, where it does.
    pub fn coming(&self, at: Timestamp, days: i32, most: usize) -> Vec<(Timestamp, Option<Closed>)> {
        let zone = self.tz();
        let mut day = zone.to_datetime(at).date();
        let Ok(end) = day.checked_add(days.days()) else { return Vec::new() };
        let (mut out, mut was) = (Vec::new(), self.rule(zone.to_datetime(at)));
        while day <= end && out.len() < most {
            let mut edges = vec![day.at(0, 0, 0, 0)];
            self.windows.iter().chain(&self.freezes).for_each(|r| r.span.edges(day, &mut edges));
            edges.sort_unstable();
            for t in edges.iter().filter_map(|e| schedule::resolve(&zone, *e)).filter(|t| *t > at) {
                let now = self.rule(zone.to_datetime(t));
                if now != was && out.len() < most {
                    out.push((t, self.closed(t)));
                    was = now;
                }
            }
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        out
    }

    /// The first moment from `at` on at which it is open; `None` = it is closed for ever.
    pub fn opens(&self, at: Timestamp) -> Option<Timestamp> {
        let zone = self.tz();
        if self.rule(zone.to_datetime(at)).is_none() {
            return Some(at);
        }
        let mut day = zone.to_datetime(at).date();
        let end = day.checked_add(YEARS.years()).ok()?;
        let mut edges = Vec::new();
        while day <= end {
            edges.clear();
            edges.push(day.at(0, 0, 0, 0));
            self.windows.iter().chain(&self.freezes).for_each(|r| r.span.edges(day, &mut edges));
            edges.sort_unstable();
            // What a clock change swallows is judged where the clock stands behind it.
            let open =
                edges.iter().filter_map(|e| schedule::resolve(&zone, *e)).find(|t| *t > at && self.rule(zone.to_datetime(*t)).is_none());
            if open.is_some() {
                return open;
            }
            day = day.tomorrow().ok()?;
        }
        None
    }
}

/// A calendar that is asked about many moments in their order. The end of what is closed is looked for once, up to ten years ahead.
#[derive(Debug)]
pub struct Ahead<'a> {
    calendar: &'a Calendar,
    zone: TimeZone,
    /// A moment at which it was closed, and when it opens after that; none = never.
    shut: Option<(Timestamp, Option<Timestamp>)>,
    /// How often an end was looked for.
    looked: u64,
}

impl Ahead<'_> {
    /// As [`Calendar::closed`].
    pub fn closed(&mut self, at: Timestamp) -> Option<Closed> {
        let c = self.calendar;
        let rule = c.rule(self.zone.to_datetime(at))?;
        let known = self.shut.filter(|(from, opens)| *from <= at && opens.is_none_or(|o| at < o));
        let (_, opens) = match known {
            Some(known) => known,
            None => {
                self.looked += 1;
                *self.shut.insert((at, c.opens(at)))
            }
        };
        let reason = rule.map(|r| r.reason.as_str()).filter(|r| !r.is_empty()).unwrap_or(&c.reason);
        Some(Closed {
            calendar: c.name.clone(),
            owner: c.owner.clone(),
            reason: reason.to_owned(),
            freeze: rule.is_some(),
            until: opens.map(|t| schedule::local(t, &self.zone)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(span: Span) -> Rule {
        Rule { span, reason: String::new() }
    }

    fn calendar(windows: Vec<Rule>, freezes: Vec<Rule>) -> Calendar {
        Calendar { name: "c".into(), zone: "Europe/Berlin".into(), owner: "ops".into(), reason: "because".into(), windows, freezes }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const TUE_THU: [bool; 7] = [false, true, false, true, false, false, false];
    const ALL: [bool; 7] = [true; 7];

    #[test]
    fn windows_open_in_the_wall_clock_of_the_zone_also_over_midnight() {
        let c = calendar(vec![rule(Span::Weekly { days: TUE_THU, from: 9 * 60, to: 16 * 60 })], Vec::new());
        // A Tuesday, in winter and in summer.
        assert!(c.closed(at("2026-03-24T08:30:00Z")).is_none() && c.closed(at("2026-03-24T07:59:59Z")).is_some());
        assert!(c.closed(at("2026-03-31T07:00:00Z")).is_none() && c.closed(at("2026-03-31T14:00:00Z")).is_some());
        assert_eq!(c.closed(at("2026-03-31T14:00:00Z")).unwrap().until.as_deref(), Some("Thu 2026-04-02 09:00 CEST"));
        let night = calendar(vec![rule(Span::Weekly { days: TUE_THU, from: 22 * 60, to: 4 * 60 })], Vec::new());
        assert!(night.closed(at("2026-03-24T23:30:00Z")).is_none(), "Wednesday 00:30 belongs to Tuesday's night");
        assert!(night.closed(at("2026-03-23T23:30:00Z")).is_some(), "Tuesday 00:30 does not");
    }

    #[test]
    fn a_freeze_closes_windows_too_and_says_until_when() {
        let freeze = Rule {
            span: Span::Dated { from: Date::constant(2026, 3, 28).at(0, 0, 0, 0), to: Date::constant(2026, 4, 7).at(0, 0, 0, 0) },
            reason: "quarter-end".into(),
        };
        let c = calendar(vec![rule(Span::Weekly { days: ALL, from: 9 * 60, to: 16 * 60 })], vec![freeze]);
        let closed = c.closed(at("2026-04-01T10:00:00Z")).unwrap();
        assert!(closed.freeze);
        assert_eq!(closed.to_string(), "frozen by calendar c of ops: quarter-end; until Tue 2026-04-07 09:00 CEST");
        let outside = c.closed(at("2026-03-20T20:00:00Z")).unwrap();
        assert!(!outside.freeze);
    }

    #[test]
    fn what_comes_next_is_told_in_order_with_what_closes_it() {
        let freeze = Rule {
            span: Span::Dated { from: Date::constant(2026, 3, 28).at(0, 0, 0, 0), to: Date::constant(2026, 3, 31).at(0, 0, 0, 0) },
            reason: "quarter-end".into(),
        };
        let c = calendar(vec![rule(Span::Weekly { days: TUE_THU, from: 9 * 60, to: 16 * 60 })], vec![freeze]);
        let told = |most| -> Vec<(String, String)> {
            let all = c.coming(at("2026-03-26T10:00:00Z"), 14, most);
            all.into_iter().map(|(t, c)| (t.to_string(), c.map(|c| c.reason).unwrap_or_default())).collect()
        };
        let pair = |t: &str, why: &str| (t.to_owned(), why.to_owned());
        let wanted = [
            pair("2026-03-26T15:00:00Z", "because"),
            pair("2026-03-27T23:00:00Z", "quarter-end"),
            pair("2026-03-30T22:00:00Z", "because"),
            pair("2026-03-31T07:00:00Z", ""),
        ];
        assert_eq!(told(4), wanted);
        assert_eq!(told(1), wanted[..1]);
        assert!(calendar(Vec::new(), Vec::new()).coming(at("2026-03-26T10:00:00Z"), 400, 9).is_empty());
    }

    #[test]
    fn a_freeze_may_come_every_year_and_over_its_turn() {
        let t = Time::midnight();
        let c = calendar(Vec::new(), vec![rule(Span::Yearly { from: (12, 20, t), to: (1, 7, t) })]);
        for (when, open) in [
            ("2026-12-19T12:00:00Z", true),
            ("2026-12-24T12:00:00Z", false),
            ("2027-01-06T12:00:00Z", false),
            ("2027-01-07T12:00:00Z", true),
        ] {
            assert_eq!(c.closed(at(when)).is_none(), open, "{when}");
        }
        assert_eq!(c.opens(at("2026-12-24T12:00:00Z")), Some(at("2027-01-06T23:00:00Z")));
    }

    #[test]
    fn what_never_opens_again_is_known() {
        let ever = calendar(Vec::new(), vec![rule(Span::Weekly { days: ALL, from: 0, to: 1_440 })]);
        assert_eq!(ever.opens(at("2026-01-01T00:00:00Z")), None);
        assert!(ever.closed(at("2026-01-01T00:00:00Z")).unwrap().to_string().ends_with("it never opens again"));
        let past = calendar(
            vec![rule(Span::Dated { from: Date::constant(2026, 3, 1).at(0, 0, 0, 0), to: Date::constant(2026, 3, 2).at(0, 0, 0, 0) })],
            Vec::new(),
        );
        assert!(past.opens(at("2026-02-01T00:00:00Z")).is_some() && past.opens(at("2026-03-05T00:00:00Z")).is_none());
    }

    #[test]
    fn an_end_is_looked_for_once_however_many_moments_are_asked_about() {
        let ever = calendar(Vec::new(), vec![rule(Span::Weekly { days: ALL, from: 0, to: 1_440 })]);
        let nights = calendar(vec![rule(Span::Weekly { days: TUE_THU, from: 9 * 60, to: 16 * 60 })], Vec::new());
        let from = at("2026-03-24T00:00:00Z");
        let moments = || (0..14 * 1_440).map(|m| from + jiff::SignedDuration::from_mins(m));
        for (c, ends) in [(&ever, 1), (&nights, 5)] {
            let mut ahead = c.ahead();
            let told: Vec<Option<Closed>> = moments().map(|t| ahead.closed(t)).collect();
            assert_eq!(ahead.looked, ends);
            for (n, t) in moments().enumerate().step_by(97) {
                assert_eq!(told[n], c.closed(t), "{t}");
                assert_eq!(c.is_closed(t), told[n].is_some(), "{t}");
            }
        }
        // Asked about an earlier moment, it looks again.
        let mut ahead = nights.ahead();
        let later = ahead.closed(at("2026-03-27T00:00:00Z"));
        assert_ne!(ahead.closed(from), later);
    }

    #[test]
    fn an_opening_inside_a_swallowed_hour_is_the_first_valid_minute() {
        let c = calendar(vec![rule(Span::Weekly { days: ALL, from: 150, to: 300 })], Vec::new());
        assert_eq!(c.opens(at("2026-03-28T23:30:00Z")), Some(at("2026-03-29T01:00:00Z")), "02:30 does not exist: 03:00 is inside");
    }
}
