//! The site's calendars: `CONFIG/calendars/NAME.toml`, each with zone, owner, reason, windows and freezes. Every error has its line and column.

use std::ops::Range;
use std::path::Path;

use jiff::civil::{Date, DateTime, Time};
use toml::de::DeTable;

use super::problem::{self, Problem};
use super::read::{At, Notes, Table};
use super::{ConfigError, Dirs, trust};
use crate::base::suggest;
use crate::pipeline::calendar::{Calendar, Rule, Span};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const TITLE: &str = "the calendar";
const FORMS: &str = "a date (2026-03-28), a date and a time (2026-03-28 06:00), a day of every year (12-24), or a time of day (09:00)";

/// Names of the calendars, sorted. Files whose name is no name are left out.
pub fn names(dirs: &Dirs, uid: u32) -> Result<Vec<String>, ConfigError> {
    trust::names(&dirs.calendars(), ".toml", uid)
}

/// Reads one calendar by a name of [`names`].
pub fn read(dirs: &Dirs, name: &str, uid: u32) -> Result<Calendar, ConfigError> {
    let path = dirs.calendars().join(format!("{name}.toml"));
    let text = trust::read(&path, uid)?;
    parse(&path, name, &text)
}

/// The text of one, for keeping.
pub fn text(dirs: &Dirs, name: &str, uid: u32) -> Result<String, ConfigError> {
    trust::read(&dirs.calendars().join(format!("{name}.toml")), uid)
}

/// The calendar that a text says, or everything that is wrong with it.
pub fn parse(path: &Path, name: &str, text: &str) -> Result<Calendar, ConfigError> {
    read_text(name, text).map_err(|problems| {
        let rendered = problem::render(&problems, &path.display().to_string(), text, false);
        ConfigError::Calendar { path: path.into(), problems, rendered }
    })
}

fn read_text(name: &str, text: &str) -> Result<Calendar, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let notes = Notes::new(text);
    if !errors.is_empty() {
        return Err(notes.no_toml(&errors));
    }
    let root = Table::new(root.get_ref(), &notes, TITLE);
    let needed = |key: &'static str, help: &str| {
        let found = root.text(key).filter(|t| !t.value.trim().is_empty());
        if found.is_none() && !(root.has(key) && root.text(key).is_none()) {
            notes.add(0..0, format!("the calendar has no {key}"), help);
        }
        found
    };
    let zone = needed("zone", "add zone = \"Europe/Berlin\": its times are the wall clock of that place");
    if let Some(z) = zone.as_ref().filter(|z| crate::base::zone::named(&z.value).is_none()) {
        let near = crate::pipeline::schedule::zone(&z.value).err().flatten();
        let help = near.map_or_else(|| "write an IANA name, such as Europe/Berlin or UTC".to_owned(), |n| format!("did you mean `{n}`?"));
        notes.add(z.span.clone(), format!("no time zone `{}`", z.value), help);
    }
    let owner = needed("owner", "add owner = \"…\": who is asked before something is started against it");
    let reason = needed("reason", "add reason = \"…\": it is shown to everybody whom the calendar stops");
    let rules = |key| root.tables(key).into_iter().filter_map(|(t, span)| rule(t, span, &notes)).collect::<Vec<_>>();
    let (windows, freezes) = (rules("window"), rules("freeze"));
    let empty = |key: &str| !root.has(key) || root.empty_list(key).is_some();
    if empty("window") && empty("freeze") {
        notes.add(0..0, "the calendar has neither windows nor freezes", "add [[window]] or [[freeze]], each with from and to, or days");
    }
    root.close();
    let problems = notes.finish();
    if !problems.is_empty() {
        return Err(problems);
    }
    let text = |t: Option<At<String>>| t.map(|t| t.value).unwrap_or_default();
    Ok(Calendar { name: name.to_owned(), zone: text(zone), owner: text(owner), reason: text(reason), windows, freezes })
}

fn rule(t: Table<'_, '_, '_>, whole: Range<usize>, notes: &Notes<'_>) -> Option<Rule> {
    let (from, to, days) = (t.moment("from"), t.moment("to"), t.texts("days"));
    if let Some(none) = t.empty_list("days") {
        notes.add(none, "`days` names no day", "name some, or take the line out: then it is all of them");
    }
    // One that is no time was told, and is not missing.
    let told = [("from", &from), ("to", &to)].into_iter().any(|(key, value)| t.has(key) && value.is_none());
    let reason = t.text("reason").map(|r| r.value).unwrap_or_default();
    t.close();
    if told {
        return None;
    }
    let span = span(from, to, days, whole, notes)?;
    Some(Rule { span, reason })
}

/// A point as it is written.
enum Point {
    Dated(DateTime, bool),
    Yearly((i8, i8, Time), bool),
    Daily(i32),
}

fn span(
    from: Option<At<String>>,
    to: Option<At<String>>,
    days: Option<Vec<At<String>>>,
    whole: Range<usize>,
    notes: &Notes<'_>,
) -> Option<Span> {
    if let (None, None, Some(_)) = (&from, &to, &days) {
        return Some(Span::Weekly { days: weekdays(days, notes)?, from: 0, to: 1_440 });
    }
    let (Some(from), Some(to)) = (from, to) else {
        notes.add(whole, "it needs both `from` and `to`, or `days` alone: nothing is open-ended", FORMS);
        return None;
    };
    let (a, b) = (point(&from, notes)?, point(&to, notes)?);
    let dated = !matches!(a, Point::Daily(_));
    if let Some(first) = days.as_ref().and_then(|d| d.first()).filter(|_| dated) {
        notes.add(
            first.span.clone(),
            "`days` go with times of day, not with dates",
            "leave `days` out, or write from = \"00:00\", to = \"24:00\"",
        );
        return None;
    }
    match (a, b) {
        (Point::Dated(from_at, _), Point::Dated(to_at, whole_day)) => {
            // A last day is meant with its evening.
            let to_at = if whole_day { to_at.tomorrow_at_midnight() } else { to_at };
            if to_at <= from_at {
                notes.add(to.span, format!("it ends ({}) before it begins ({})", to.value, from.value), "swap them");
                return None;
            }
            Some(Span::Dated { from: from_at, to: to_at })
        }
        (Point::Yearly(from, _), Point::Yearly((m, d, t), whole_day)) => {
            let to = if whole_day {
                let next = Date::new(2_024, m, d).ok()?.tomorrow().ok()?;
                (next.month(), next.day(), Time::midnight())
            } else {
                (m, d, t)
            };
            Some(Span::Yearly { from, to })
        }
        (Point::Daily(from), Point::Daily(until)) if from == until => {
            notes.add(to.span, "it ends when it begins", "the whole day is from = \"00:00\" to = \"24:00\"");
            None
        }
        (Point::Daily(from), Point::Daily(to)) => {
            let days = if days.is_some() { weekdays(days, notes)? } else { [true; 7] };
            Some(Span::Weekly { days, from, to })
        }
        _ => {
            notes.add(to.span, format!("`{}` and `{}` are not of one form", from.value, to.value), format!("write both as {FORMS}"));
            None
        }
    }
}

trait Midnight {
    /// The last day that there is, by which people write "for ever", has none.
    fn tomorrow_at_midnight(self) -> DateTime;
}

impl Midnight for DateTime {
    fn tomorrow_at_midnight(self) -> DateTime {
        self.date().tomorrow().map_or(DateTime::MAX, |d| d.at(0, 0, 0, 0))
    }
}

fn point(text: &At<String>, notes: &Notes<'_>) -> Option<Point> {
    let bad = || {
        notes.add(text.span.clone(), format!("`{}` is no time", text.value), format!("write {FORMS}"));
        None
    };
    let value = text.value.trim();
    if !value.contains('-') {
        return match minute(value) {
            Some(m) => Some(Point::Daily(m)),
            None => bad(),
        };
    }
    let (date, time) = match value.split_once([' ', 'T']) {
        Some((d, t)) => (d, Some(t.trim())),
        None => (value, None),
    };
    let at = match time.map(|t| t.parse::<Time>()) {
        None => Time::midnight(),
        Some(Ok(t)) => t,
        Some(Err(_)) => return bad(),
    };
    let point = match date.split('-').count() {
        3 => date.parse::<Date>().ok().map(|d| Point::Dated(d.to_datetime(at), time.is_none())),
        // A leap year, so that 29 February may be named.
        2 => format!("2024-{date}").parse::<Date>().ok().map(|d| Point::Yearly((d.month(), d.day(), at), time.is_none())),
        _ => None,
    };
    point.or_else(bad)
}

/// `HH:MM` as minutes of the day; `24:00` is its end.
fn minute(text: &str) -> Option<i32> {
    let mut parts = text.split(':');
    let (h, m, rest) = (parts.next()?, parts.next()?, parts.next());
    let number = |t: &str| (t.len() == 2).then(|| t.parse::<i32>().ok()).flatten();
    let (h, m) = (number(h)?, number(m)?);
    let whole = rest.is_none_or(|s| s == "00") && parts.next().is_none();
    ((0..24).contains(&h) && (0..60).contains(&m) && whole || (h, m) == (24, 0)).then_some(h * 60 + m)
}

/// `["mon", "fri-sun"]`.
fn weekdays(days: Option<Vec<At<String>>>, notes: &Notes<'_>) -> Option<[bool; 7]> {
    let mut out = [false; 7];
    let index = |t: &str| DAYS.iter().position(|d| t.trim().to_lowercase().starts_with(d));
    for day in days.unwrap_or_default() {
        let (a, b) = day.value.split_once('-').unwrap_or((&day.value, &day.value));
        let (Some(a), Some(b)) = (index(a), index(b)) else {
            let help = match suggest::nearest(&day.value.to_lowercase(), DAYS) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("write some of \"{}\", or a range such as \"mon-fri\"", DAYS.join("\", \"")),
            };
            notes.add(day.span.clone(), format!("`{}` is no day of the week", day.value), help);
            return None;
        };
        (0..7).filter(|i| if a <= b { (a..=b).contains(i) } else { *i >= a || *i <= b }).for_each(|i| out[i] = true);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
zone = "Europe/Berlin"
owner = "release team"
reason = "changes only while somebody is here"

[[window]]
days = ["tue", "thu"]
from = "09:00"
to = "16:00"

[[window]]
days = ["sat-mon"]

[[freeze]]
from = 2026-03-28
to = "2026-04-06"
reason = "quarter-end"

[[freeze]]
from = "12-20"
to = "01-06 12:00"
"#;

    #[test]
    fn windows_and_freezes_are_read_in_all_their_forms() {
        let c = parse(Path::new("c.toml"), "c", GOOD).unwrap();
        let at = |t: &str| c.closed(t.parse().unwrap());
        assert!(at("2026-03-24T10:00:00Z").is_none(), "Tuesday");
        assert!(at("2026-03-23T20:00:00Z").is_none() && at("2026-03-22T20:00:00Z").is_none(), "Monday, Sunday");
        assert!(!at("2026-03-25T10:00:00Z").unwrap().freeze, "Wednesday");
        // The last day is frozen to its end.
        assert!(at("2026-04-06T21:59:00Z").unwrap().freeze && at("2026-04-06T22:00:00Z").is_some_and(|c| !c.freeze));
        assert_eq!(at("2026-04-01T10:00:00Z").unwrap().reason, "quarter-end");
        assert!(at("2027-01-06T10:00:00Z").unwrap().freeze && at("2027-01-06T11:30:00Z").is_some_and(|c| !c.freeze));
    }

    /// It was silently no freeze at all.
    #[test]
    fn a_freeze_to_the_end_of_time_never_opens() {
        for (from, to) in [("2020-01-01", "9999-12-31"), ("2020-01-01", "9999-12-30"), ("01-01", "12-31")] {
            let text = format!("zone = \"Europe/Berlin\"\nowner = \"o\"\nreason = \"r\"\n[[freeze]]\nfrom = \"{from}\"\nto = \"{to}\"\n");
            let c = parse(Path::new("c.toml"), "c", &text).unwrap();
            let now = "2026-11-26T03:00:00Z".parse().unwrap();
            assert!(c.closed(now).is_some_and(|c| c.freeze && c.until.is_none()) && c.opens(now).is_none(), "{to}");
        }
    }

    #[test]
    fn every_slip_has_its_place() {
        for (from, to, line, column, said) in [
            ("zone = \"Europe/Berlin\"", "zone = \"Europe/Berln\"", 2, 8, "no time zone `Europe/Berln`"),
            ("zone = \"Europe/Berlin\"", "zome = \"UTC\"", 2, 1, "unknown key `zome` in the calendar"),
            ("zone = \"Europe/Berlin\"", "zone = 1", 2, 8, "`zone` in the calendar must be a text"),
            ("days = [\"tue\", \"thu\"]", "days = [\"tue\", \"thr\"]", 7, 16, "`thr` is no day"),
            ("to = \"16:00\"", "to = \"25:00\"", 9, 6, "`25:00` is no time"),
            ("to = \"16:00\"", "", 6, 1, "nothing is open-ended"),
            ("to = \"16:00\"", "to = 5", 9, 6, "`to` in [[window]] must be a time or a date, not a number"),
            ("to = \"16:00\"", "to = \"09:00\"", 9, 6, "it ends when it begins"),
            ("days = [\"tue\", \"thu\"]", "days = []", 7, 8, "`days` names no day"),
            ("to = \"16:00\"", "to = \"2026-01-01\"", 9, 6, "not of one form"),
            ("to = \"2026-04-06\"", "to = \"2026-03-06\"", 16, 6, "before it begins"),
            ("[[window]]\ndays = [\"sat-mon\"]", "[[window]", 11, 10, "not TOML"),
            ("owner = \"release team\"", "", 1, 1, "no owner"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let Err(ConfigError::Calendar { problems, rendered, .. }) = parse(Path::new("c.toml"), "c", &text) else { panic!("{to}") };
            assert!(problems.iter().any(|p| p.message.contains(said) && (p.line, p.column) == (line, column)), "{to}: {problems:?}");
            assert!(rendered.contains(&format!("c.toml:{line}:{column}")), "{rendered}");
        }
        let empty = parse(Path::new("c.toml"), "c", "zone = \"UTC\"\nowner = \"o\"\nreason = \"r\"\n").unwrap_err();
        assert!(empty.to_string().contains("neither windows nor freezes"), "{empty}");
    }
}
