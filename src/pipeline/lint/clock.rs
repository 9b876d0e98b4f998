//! Triggers against the calendar: patterns that never fire, moments that do not exist, delays longer than the interval.

use crate::base::duration::Span;
use crate::base::suggest;
use crate::domain::git;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::model::{At, File, Trigger, TriggerKind};
use crate::pipeline::schedule::{self, Timer};

/// Looked at more often, a repository's host would call it an attack.
const LEAST_LOOK: Span = Span::from_secs(10);
/// Starts nearer to each other are no work for `shift:`.
const CLOSE: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
/// The pattern is looked at from here on: what lint says must not depend on the day.
const LOOKED_FROM: jiff::Timestamp = jiff::Timestamp::constant(1_767_225_600, 0);
/// Starts that are held against the calendars before a trigger is said to be always closed.
const LOOKED_AT: usize = 1_000;

pub(super) fn lint(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    for name in file.calendars.iter().chain(file.triggers.iter().flat_map(|t| &t.calendars)) {
        calendar(name, catalog, sink);
    }
    for (i, t) in file.triggers.iter().enumerate() {
        let twin = file.triggers[..i].iter().any(|u| same(u, t));
        if twin {
            sink.warning(t.at, "trigger.twice", "the same trigger stands twice: it starts one run, not two", "remove one");
        }
        match &t.kind {
            TriggerKind::Cron { pattern } => {
                let read = schedule::cron(&pattern.value, &file.name.value).ok();
                if read.as_ref().is_some_and(schedule::Pattern::either) {
                    sink.warning(
                        pattern.at,
                        "schedule.either",
                        format!(
                            "`{}` names days of the month and weekdays: it starts on every day that fits one of them, as any cron does",
                            pattern.value
                        ),
                        "leave one of the two `*`; the first Monday of a month is `* * 1#1`, the last Friday `* * 5L`",
                    );
                }
                if read.is_some_and(|p| p.never()) {
                    sink.error(
                        pattern.at,
                        "schedule.never",
                        format!("`{}` never fires: there is no such day", pattern.value),
                        "look at day and month",
                    );
                }
                if let Some(n) = every_n_days(&pattern.value) {
                    sink.warning(
                        pattern.at,
                        "schedule.month-end",
                        format!("`*/{n}` in the day field starts anew every month: the last gap is shorter"),
                        format!("a true interval is `every: {n}d` with an `anchor:`"),
                    );
                }
            }
            TriggerKind::Every { every, anchor } => {
                if (1..60_000).contains(&every.ms()) {
                    sink.error(t.marks.interval, "schedule.interval", format!("an interval of {every} is too short"), "the least is 1m");
                }
                if t.jitter.ms() > 0 && t.jitter >= *every {
                    sink.error(
                        t.marks.jitter,
                        "schedule.jitter",
                        format!("a jitter of {} is not shorter than the interval of {every}", t.jitter),
                        "make it a small part of the interval",
                    );
                }
                let name = t.timezone.as_ref().map_or(catalog.time_zone.as_str(), |z| z.value.as_str());
                if schedule::zone(name).is_ok_and(|z| schedule::in_gap(&z, *anchor)) {
                    sink.error(
                        t.marks.anchor,
                        "schedule.anchor",
                        format!("the anchor {} does not exist in {name}: clocks go forward then", anchor.strftime("%Y-%m-%d %H:%M")),
                        "choose another time",
                    );
                }
            }
            TriggerKind::Git { url, reference, interval } => repository(url, reference, *interval, t, sink),
            TriggerKind::Upstream { .. } | TriggerKind::Manual => {}
        }
        shift(file, t, catalog, sink);
        delayed(file, t, catalog, sink);
        never_open(file, t, catalog, sink);
        if t.jitter > Span::from_secs(86_400) {
            sink.error(
                t.marks.jitter,
                "schedule.jitter",
                format!("a jitter of {} is longer than a day", t.jitter),
                "make it minutes or a few hours",
            );
        }
    }
}

/// A calendar that is named: it must be there, whole, and open again some time.
fn calendar(name: &At<String>, catalog: &Catalog, sink: &mut Sink<'_>) {
    let shown = show(&name.value);
    match catalog.calendars.get(&name.value) {
        None => {
            let help = match suggest::nearest(&name.value, catalog.calendars.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write CONFIG/calendars/{shown}.toml with zone, owner and reason"),
            };
            sink.error(name.at, "ref.calendar", format!("there is no calendar `{shown}`"), help);
        }
        Some(Err(why)) if catalog.now.is_some() => {
            sink.error(
                name.at,
                "ref.calendar",
                format!("calendar `{shown}` cannot be read: {why}"),
                "quarterdeck site check shows all of it",
            );
        }
        Some(Err(_)) => {}
        Some(Ok(c)) => {
            if let Some(now) = catalog.now
                && c.opens(now).is_none()
            {
                sink.error(
                    name.at,
                    "schedule.calendar",
                    format!("calendar `{shown}` never opens again: nothing would ever start"),
                    format!("ask {}, or look at its windows and freezes", show(&c.owner)),
                );
            }
        }
    }
}

/// What `shift:` needs: a calendar, and starts that are days and not minutes.
fn shift(file: &File, t: &Trigger, catalog: &Catalog, sink: &mut Sink<'_>) {
    let Some(at) = t.shift else { return };
    if file.calendars_of(Some(t)).is_empty() {
        let help = "add `calendar: NAME`, or remove it";
        return sink.error(at, "schedule.shift", "`shift` has no meaning without a calendar: nothing is ever closed", help);
    }
    let Some(ticker) = Timer::of(t, &catalog.time_zone).and_then(|timer| timer.ticker(&file.name.value).ok()) else { return };
    let starts: Vec<_> = ticker.starts_after(LOOKED_FROM).take(50).map(|d| d.at).collect();
    if starts.windows(2).any(|p| p[1].duration_since(p[0]) < CLOSE) {
        sink.error(
            at,
            "schedule.shift",
            "`shift` moves a start by days, and these come more than once an hour",
            "leave it out: what is closed is skipped, and the next one comes soon",
        );
    }
}

/// A pattern whose starts may be delayed past the next one. It says nothing of `every:`, whose interval is written.
fn delayed(file: &File, t: &Trigger, catalog: &Catalog, sink: &mut Sink<'_>) {
    if t.jitter.ms() == 0 || t.jitter > Span::from_secs(86_400) || !matches!(t.kind, TriggerKind::Cron { .. }) {
        return;
    }
    let Some(ticker) = Timer::of(t, &catalog.time_zone).and_then(|timer| timer.ticker(&file.name.value).ok()) else { return };
    let starts: Vec<_> = ticker.starts_after(LOOKED_FROM).take(LOOKED_AT).map(|d| d.at).collect();
    let least = starts.windows(2).map(|p| p[1].duration_since(p[0])).min();
    if let Some(least) = least.filter(|gap| gap.as_millis() > 0 && gap.as_millis() <= i128::from(t.jitter.ms())) {
        let gap = Span::from_secs(u64::try_from(least.as_secs()).unwrap_or_default());
        sink.warning(
            t.marks.jitter,
            "schedule.jitter",
            format!("a jitter of {} is not shorter than the least time between two starts, {gap}", t.jitter),
            "make it a small part of that time",
        );
    }
}

/// A trigger all of whose starts fall into closed times.
fn never_open(file: &File, t: &Trigger, catalog: &Catalog, sink: &mut Sink<'_>) {
    let Some(now) = catalog.now else { return };
    let names = file.calendars_of(Some(t));
    let calendars: Vec<_> = names.iter().filter_map(|n| catalog.calendars.get(*n)?.as_ref().ok()).collect();
    if calendars.is_empty() || calendars.iter().any(|c| c.opens(now).is_none()) {
        return;
    }
    let Some(ticker) = catalog.ticker(file, t) else { return };
    let mut starts = ticker.starts_after(now).take(LOOKED_AT).peekable();
    if starts.peek().is_some() && starts.all(|due| calendars.iter().any(|c| c.closed(due.at).is_some())) {
        sink.error(
            t.at,
            "schedule.calendar",
            format!("every start of this trigger falls into a time that {} closes", names.join(" or ")),
            "move the start into a window: quarterdeck schedule preview shows both",
        );
    }
}

fn repository(url: &At<String>, reference: &str, interval: Span, t: &Trigger, sink: &mut Sink<'_>) {
    if let Err(why) = git::check_url(&url.value) {
        sink.error(
            url.at,
            "trigger.git",
            format!("this address cannot be looked at: {why}"),
            "give https, http, ssh or git, user@host:path, or an absolute path; git's own credential helpers know passwords",
        );
    }
    if !git::is_reference(reference) {
        sink.error(
            t.marks.reference,
            "trigger.git",
            format!("`{}` is not a reference", show(reference)),
            "give a branch, a tag or a full name",
        );
    }
    if interval < LEAST_LOOK {
        sink.error(
            t.marks.interval,
            "schedule.interval",
            format!("a look every {interval} is too often"),
            format!("the least is {LEAST_LOOK}"),
        );
    }
}

fn same(a: &Trigger, b: &Trigger) -> bool {
    let zone = |t: &Trigger| t.timezone.as_ref().map(|z| z.value.clone());
    match (&a.kind, &b.kind) {
        (TriggerKind::Cron { pattern: x }, TriggerKind::Cron { pattern: y }) => x.value == y.value && zone(a) == zone(b),
        (TriggerKind::Every { every: x, anchor: p }, TriggerKind::Every { every: y, anchor: q }) => x == y && p == q && zone(a) == zone(b),
        (TriggerKind::Upstream { pipeline: x, stage: p, on: m }, TriggerKind::Upstream { pipeline: y, stage: q, on: n }) => {
            x.value == y.value && p.as_ref().map(|s| &s.value) == q.as_ref().map(|s| &s.value) && m == n
        }
        (TriggerKind::Git { url: x, reference: p, .. }, TriggerKind::Git { url: y, reference: q, .. }) => x.value == y.value && p == q,
        (TriggerKind::Manual, TriggerKind::Manual) => true,
        _ => false,
    }
}

/// `*/15` in the day-of-month field.
fn every_n_days(pattern: &str) -> Option<u32> {
    let n: u32 = pattern.split_whitespace().nth(2)?.strip_prefix("*/")?.parse().ok()?;
    (n > 1).then_some(n)
}
