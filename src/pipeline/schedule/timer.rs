//! A trigger that a clock fires, cut loose from its file: what the ledger keeps of it, and when it is due.

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cron::{Pattern, cron};
use super::moved::Mover;
use super::wall::{Dst, Nominal, resolve, zone};
use crate::base::duration::Span;
use crate::pipeline::calendar::Calendar;
use crate::pipeline::model::{CatchUp, Trigger, TriggerKind};

/// What the clock is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    Cron { pattern: String },
    Every { every: Span, anchor: DateTime },
}

/// A trigger of the clock, whole: it can be kept as text and read back without its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    pub when: When,
    /// IANA name.
    pub zone: String,
    pub jitter: Span,
    pub catch_up: CatchUp,
    /// Calendars that must be open.
    #[serde(default)]
    pub calendars: Vec<String>,
    /// What falls into a closed time is moved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shift: bool,
}

/// One time at which a timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// By the pattern alone. The ledger's cursor counts these, so that another jitter repeats nothing.
    pub nominal: Timestamp,
    /// With the jitter: `scheduled_for`.
    pub at: Timestamp,
    pub dst: Dst,
    /// `shift:` has moved it; this is where the pattern had it.
    pub from: Option<Timestamp>,
}

impl Timer {
    /// None for what no clock fires.
    pub fn of(t: &Trigger, site_zone: &str) -> Option<Self> {
        let when = match &t.kind {
            TriggerKind::Cron { pattern } => When::Cron { pattern: pattern.value.clone() },
            TriggerKind::Every { every, anchor } => When::Every { every: *every, anchor: *anchor },
            TriggerKind::Upstream { .. } | TriggerKind::Git { .. } | TriggerKind::Manual => return None,
        };
        Some(Self {
            when,
            zone: t.timezone.as_ref().map_or(site_zone, |z| z.value.as_str()).to_owned(),
            jitter: t.jitter,
            catch_up: t.catch_up.value,
            calendars: t.calendars.iter().map(|c| c.value.clone()).collect(),
            shift: t.shift.is_some(),
        })
    }

    /// Its name in the ledger: another cron, zone or anchor is another trigger.
    pub fn key(&self) -> String {
        match &self.when {
            When::Cron { pattern } => format!("cron {} ({})", pattern.split_whitespace().collect::<Vec<_>>().join(" "), self.zone),
            When::Every { every, anchor } => {
                format!("every {every} from {} ({})", anchor.strftime("%Y-%m-%d %H:%M:%S"), self.zone).replace(":00 (", " (")
            }
        }
    }

    /// What a change of makes it owe nothing for the past.
    pub fn digest(&self) -> String {
        let shift = if self.shift { "\0shift" } else { "" };
        let digest = Sha256::digest(format!("{}\0{}{shift}", self.key(), self.jitter));
        digest.iter().take(12).map(|b| format!("{b:02x}")).collect()
    }

    /// Ready to be asked, where no calendar moves anything; the error says why it never will be.
    pub fn ticker(&self, pipeline: &str) -> Result<Ticker, String> {
        self.ticker_in(pipeline, None)
    }

    /// As [`Self::ticker`]; with `shift` these calendars move its starts. None: they are not all known, and nothing moves.
    pub fn ticker_in(&self, pipeline: &str, calendars: Option<&[Arc<Calendar>]>) -> Result<Ticker, String> {
        let zone = zone(&self.zone).map_err(|_| format!("no time zone `{}` on this machine: is tzdata installed?", self.zone))?;
        let kind = match &self.when {
            When::Cron { pattern } => Kind::Cron(Box::new(cron(pattern, pipeline)?)),
            When::Every { every, anchor } => Kind::Every(*every, *anchor),
        };
        let delay = SignedDuration::from_millis(jitter(pipeline, &self.key(), self.jitter).ms() as i64);
        let mover = calendars.filter(|c| self.shift && !c.is_empty()).map(|c| Mover { calendars: c.to_vec(), zone: zone.clone(), delay });
        Ok(Ticker { kind, zone, delay, mover })
    }
}

#[derive(Debug, Clone)]
enum Kind {
    Cron(Box<Pattern>),
    Every(Span, DateTime),
}

/// A timer with its zone loaded and its pattern read.
#[derive(Debug, Clone)]
pub struct Ticker {
    kind: Kind,
    zone: TimeZone,
    /// How much later than its pattern says it starts.
    delay: SignedDuration,
    mover: Option<Mover>,
}

impl Ticker {
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// What is due with a nominal time after `nominal`, in order.
    pub fn after(&self, nominal: Timestamp) -> Box<dyn Iterator<Item = Due> + '_> {
        let due = move |n: Nominal, from| Some(Due { nominal: n.at, at: n.at.checked_add(self.delay).ok()?, dst: n.dst, from });
        match &self.mover {
            None => Box::new(self.pattern(nominal).map_while(move |n| due(n, None))),
            Some(m) => Box::new(m.after(|from| self.pattern(from), nominal).map_while(move |m| due(m.nominal, m.from))),
        }
    }

    /// What the pattern alone says.
    fn pattern(&self, after: Timestamp) -> Box<dyn Iterator<Item = Nominal> + '_> {
        match &self.kind {
            Kind::Cron(pattern) => Box::new(pattern.after(&self.zone, after)),
            Kind::Every(every, anchor) => {
                let mut from = after;
                Box::new(std::iter::from_fn(move || {
                    let next = interval(&self.zone, *every, *anchor, from)?;
                    from = next.at;
                    Some(next)
                }))
            }
        }
    }

    /// What starts after `at`, in order.
    pub fn starts_after(&self, at: Timestamp) -> impl Iterator<Item = Due> + '_ {
        self.after(at.checked_sub(self.delay).unwrap_or(at))
    }
}

fn mark(zone: &TimeZone, local: DateTime) -> Dst {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { .. } => Dst::None,
        AmbiguousOffset::Fold { .. } => Dst::Fold,
        AmbiguousOffset::Gap { .. } => Dst::Gap,
    }
}

/// Whole days are counted on the calendar, from the anchor and never from the last start, so that nothing drifts.
fn interval(zone: &TimeZone, every: Span, anchor: DateTime, after: Timestamp) -> Option<Nominal> {
    const DAY: u64 = 86_400_000;
    let first = resolve(zone, anchor)?;
    if every.ms() == 0 {
        return None;
    }
    let elapsed = after.as_millisecond().saturating_sub(first.as_millisecond()).max(0) as u64;
    if !every.ms().is_multiple_of(DAY) {
        let steps = if after < first { 0 } else { elapsed / every.ms() + 1 };
        let at = first.checked_add(SignedDuration::from_millis(i64::try_from(steps.checked_mul(every.ms())?).ok()?)).ok()?;
        return Some(Nominal { at, dst: mark(zone, at.to_zoned(zone.clone()).datetime()) });
    }
    let days = i64::try_from(every.ms() / DAY).ok()?;
    // Two steps early: days of 23 and 25 hours make the division inexact.
    let mut step = (elapsed / every.ms()).saturating_sub(2) as i64;
    loop {
        let local = anchor.checked_add(step.checked_mul(days)?.days()).ok()?;
        let at = resolve(zone, local)?;
        if at > after {
            return Some(Nominal { at, dst: mark(zone, local) });
        }
        step += 1;
    }
}

/// The delay that jitter gives a trigger (by its key): the same for ever for one pipeline, spread over pipelines.
pub(super) fn jitter(pipeline: &str, trigger: &str, most: Span) -> Span {
    let seconds = most.ms() / 1_000;
    if seconds == 0 {
        return Span::default();
    }
    let digest = Sha256::digest(format!("{pipeline}\0{trigger}"));
    let n = digest.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
    Span::from_secs(n % (seconds + 1))
}
