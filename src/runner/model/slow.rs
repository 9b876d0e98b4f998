//! A run that takes longer than nearly all good ones before it: looked at when its time has come, written once, and told to whoever looks.
//!
//! Short runs cost nothing: the past is read once a run has lasted longer than `slow_from`, then again when it would pass its limit. A run that
//! waits for people, was cancelled or goes on after its end is not measured: its time is not that of those before it.

use super::active::{ActiveRun, Slow};
use super::now::Now;
use crate::base::duration::Span;
use crate::domain::reason::Reason;
use crate::domain::run::RunState;
use crate::store::Op;

/// What the store says of a run and its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    pub limit_ms: u64,
    /// How long it only waited for people.
    pub paused_ms: u64,
}

impl ActiveRun {
    /// Time since its start: on the boot clock, but after a reboot by the wall.
    fn lasted_us(&self, now: &Now) -> Option<u64> {
        let begun = self.limit.as_ref()?;
        Some(match *begun.boot_id == *now.boot_id {
            true => now.boot_us.saturating_sub(begun.boot_us),
            false => u64::try_from(now.us - begun.us).unwrap_or(0),
        })
    }

    /// Microseconds until it is to be measured; none where it never is.
    pub(in crate::runner) fn slow_due_us(&self, from: Span, now: &Now) -> Option<i64> {
        if self.state != RunState::Running || self.round > 0 || self.stopping() || self.outcome.is_some() {
            return None;
        }
        let micros = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
        match self.slow {
            Slow::Unseen => Some(micros(from.ms().saturating_mul(1_000)).saturating_sub(micros(self.lasted_us(now)?))),
            Slow::At(at) => Some(micros(at).saturating_sub(micros(now.boot_us))),
            Slow::Looking | Slow::Never | Slow::Told { .. } => None,
        }
    }

    /// The past was read. True where the run is slow from now on.
    pub(in crate::runner) fn measured(&mut self, found: Option<Measure>, from: Span, now: &Now, ops: &mut Vec<Op>) -> bool {
        let (Slow::Looking, Some(lasted_us)) = (self.slow, self.lasted_us(now)) else { return false };
        let Some(m) = found else {
            self.slow = Slow::Never;
            return false;
        };
        let limit_ms = m.limit_ms.max(from.ms());
        let left_us = limit_ms.saturating_add(m.paused_ms).saturating_mul(1_000).saturating_sub(lasted_us);
        if left_us > 0 {
            self.slow = Slow::At(now.boot_us.saturating_add(left_us));
            return false;
        }
        self.slow = Slow::Told { since_us: now.us, limit_ms };
        ops.push(Op::Slow { run: self.id, at_us: now.us, limit_ms });
        true
    }

    pub(in crate::runner) fn slow_reason(&self) -> Option<Reason> {
        match self.slow {
            Slow::Told { since_us, limit_ms } if self.state != RunState::Done => Some(Reason::Slow { limit_ms, since_us }),
            _ => None,
        }
    }

    pub(in crate::runner) fn slow_since_us(&self) -> Option<i64> {
        match self.slow {
            Slow::Told { since_us, .. } => Some(since_us),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::store::CancelMark;

    const FROM: Span = Span::from_secs(5);

    fn begun() -> ActiveRun {
        let mut r = run(1, plan(vec![stage("a", &[])]));
        r.settle(&now(100), &mut Vec::new());
        r.claim((0, 0), &ticket(1), &now(100), &mut Vec::new()).unwrap();
        r
    }

    fn look(r: &mut ActiveRun, at: i64, limit_ms: u64, paused_ms: u64) -> (bool, Vec<Op>) {
        let mut ops = Vec::new();
        r.slow = Slow::Looking;
        let told = r.measured(Some(Measure { limit_ms, paused_ms }), FROM, &now(at), &mut ops);
        (told, ops)
    }

    #[test]
    fn the_past_is_read_once_it_lasted_and_again_when_it_would_pass_it() {
        let mut r = begun();
        assert_eq!(r.slow_due_us(FROM, &now(102)), Some(3_000_000));
        assert_eq!(look(&mut r, 105, 60_000, 0), (false, vec![]));
        assert_eq!(r.slow_due_us(FROM, &now(110)), Some(50_000_000));
        let (told, ops) = look(&mut r, 160, 60_000, 0);
        assert_eq!((told, ops), (true, vec![Op::Slow { run: 1, at_us: 160_000_000, limit_ms: 60_000 }]));
        assert_eq!(r.slow_due_us(FROM, &now(900)), None, "said once");
        assert_eq!(r.slow_reason(), Some(Reason::Slow { limit_ms: 60_000, since_us: 160_000_000 }));
    }

    #[test]
    fn waiting_for_people_is_nobodys_slowness() {
        let mut r = begun();
        assert!(!look(&mut r, 200, 60_000, 50_000).0);
        assert_eq!(r.slow_due_us(FROM, &now(200)), Some(10_000_000));
        r.state = RunState::Waiting;
        assert_eq!(r.slow_due_us(FROM, &now(500)), None);
    }

    #[test]
    fn what_has_no_past_or_is_no_first_pass_or_is_being_cancelled_is_not_measured() {
        let mut r = begun();
        r.slow = Slow::Looking;
        assert!(!r.measured(None, FROM, &now(900), &mut Vec::new()));
        assert_eq!((r.slow, r.slow_due_us(FROM, &now(900))), (Slow::Never, None));
        let mut r = begun();
        r.round = 1;
        assert_eq!(r.slow_due_us(FROM, &now(900)), None);
        let mut r = begun();
        r.cancel = Some(CancelMark { by: "ann".into(), why: String::new(), at_us: 0, force: false });
        assert_eq!(r.slow_due_us(FROM, &now(900)), None);
        // Runs of an instant are never slow, however fast the others were.
        let mut r = begun();
        assert!(!look(&mut r, 104, 10, 0).0 && look(&mut r, 105, 10, 0).0);
    }

    #[test]
    fn a_reboot_leaves_the_wall_clock_to_tell_how_long_it_lasted() {
        let r = begun();
        let later = Now { us: 103_000_000, boot_us: 1_000_000, boot_id: "other".into() };
        assert_eq!(r.slow_due_us(FROM, &later), Some(2_000_000));
    }
}
