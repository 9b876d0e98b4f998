//! Triggers against the calendar: patterns that never fire, moments that do not exist, delays longer than the interval.

use crate::base::duration::Span;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::diagnostic::Sink;
use crate::pipeline::model::{File, Trigger, TriggerKind};
use crate::pipeline::schedule;

pub(super) fn lint(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    for (i, t) in file.triggers.iter().enumerate() {
        let twin = file.triggers[..i].iter().any(|u| same(u, t));
        if twin {
            sink.warning(t.at, "trigger.twice", "the same trigger stands twice: it starts one run, not two", "remove one");
        }
        match &t.kind {
            TriggerKind::Cron { pattern } => {
                if schedule::cron(&pattern.value).is_ok_and(|p| p.never()) {
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
                if every.ms() < 60_000 {
                    sink.error(t.at, "schedule.interval", format!("an interval of {every} is too short"), "the least is 1m");
                }
                if t.jitter >= *every {
                    sink.error(
                        t.at,
                        "schedule.jitter",
                        format!("a jitter of {} is not shorter than the interval of {every}", t.jitter),
                        "make it a small part of the interval",
                    );
                }
                let name = t.timezone.as_ref().map_or(catalog.time_zone.as_str(), |z| z.value.as_str());
                if schedule::zone(name).is_ok_and(|z| schedule::in_gap(&z, *anchor)) {
                    sink.error(
                        t.at,
                        "schedule.anchor",
                        format!("the anchor {} does not exist in {name}: clocks go forward then", anchor.strftime("%Y-%m-%d %H:%M")),
                        "choose another time",
                    );
                }
            }
            TriggerKind::Upstream { .. } | TriggerKind::Manual => {}
        }
        if t.jitter > Span::from_secs(86_400) {
            sink.error(t.at, "schedule.jitter", format!("a jitter of {} is longer than a day", t.jitter), "make it minutes or a few hours");
        }
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
        (TriggerKind::Manual, TriggerKind::Manual) => true,
        _ => false,
    }
}

/// `*/15` in the day-of-month field.
fn every_n_days(pattern: &str) -> Option<u32> {
    let n: u32 = pattern.split_whitespace().nth(2)?.strip_prefix("*/")?.parse().ok()?;
    (n > 1).then_some(n)
}
