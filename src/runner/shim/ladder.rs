//! The cancel ladder, pure: TERM, grace, KILL, five seconds, then "cannot be killed". Times are boot µs; the caller signals.

use crate::domain::attempt::EndedBy;

/// After KILL; a process that is still there then sits in the kernel (D state).
pub const AFTER_KILL_US: u64 = 5_000_000;

/// What the caller must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// SIGTERM, then SIGCONT (a stopped process would never see it), to the group.
    Term,
    /// SIGKILL to the group, and the cgroup.
    Kill,
    /// Write down what is left, and end.
    GiveUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rung {
    Ground,
    Termed { kill_at: u64 },
    Killed { give_up_at: u64 },
    GivenUp,
}

#[derive(Debug, Clone)]
pub struct Ladder {
    rung: Rung,
    grace_us: u64,
    /// The first reason stays: a timeout during the grace of a cancel changes nothing.
    why: Option<EndedBy>,
}

impl Ladder {
    pub fn new(grace_us: u64) -> Self {
        Self { rung: Rung::Ground, grace_us, why: None }
    }

    /// Why the step is being ended, where it is.
    pub fn why(&self) -> Option<EndedBy> {
        self.why
    }

    /// Somebody or something wants the step to end; `force` skips what is left of the grace.
    #[must_use]
    pub fn demand(&mut self, now: u64, why: EndedBy, force: bool) -> Option<Act> {
        self.why.get_or_insert(why);
        match self.rung {
            Rung::Ground | Rung::Termed { .. } if force || (self.rung == Rung::Ground && self.grace_us == 0) => Some(self.kill(now)),
            Rung::Ground => {
                self.rung = Rung::Termed { kill_at: now.saturating_add(self.grace_us) };
                Some(Act::Term)
            }
            Rung::Termed { .. } | Rung::Killed { .. } | Rung::GivenUp => None,
        }
    }

    /// Time passes.
    #[must_use]
    pub fn tick(&mut self, now: u64) -> Option<Act> {
        match self.rung {
            Rung::Termed { kill_at } if now >= kill_at => Some(self.kill(now)),
            Rung::Killed { give_up_at } if now >= give_up_at => {
                self.rung = Rung::GivenUp;
                Some(Act::GiveUp)
            }
            _ => None,
        }
    }

    /// When [`Ladder::tick`] next has something to say.
    pub fn next(&self) -> Option<u64> {
        match self.rung {
            Rung::Termed { kill_at } => Some(kill_at),
            Rung::Killed { give_up_at } => Some(give_up_at),
            Rung::Ground | Rung::GivenUp => None,
        }
    }

    fn kill(&mut self, now: u64) -> Act {
        self.rung = Rung::Killed { give_up_at: now.saturating_add(AFTER_KILL_US) };
        Act::Kill
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_ladder_is_climbed_in_bounded_time_i10() {
        let mut l = Ladder::new(10);
        assert_eq!((l.next(), l.tick(99)), (None, None));
        assert_eq!(l.demand(100, EndedBy::Cancel, false), Some(Act::Term));
        assert_eq!(l.demand(101, EndedBy::Timeout, false), None);
        assert_eq!((l.tick(109), l.next()), (None, Some(110)));
        assert_eq!(l.tick(110), Some(Act::Kill));
        assert_eq!(l.demand(111, EndedBy::Cancel, true), None);
        assert_eq!(l.tick(110 + AFTER_KILL_US), Some(Act::GiveUp));
        assert_eq!((l.tick(u64::MAX), l.next()), (None, None));
        assert_eq!(l.why(), Some(EndedBy::Cancel));
    }

    #[test]
    fn force_skips_the_grace_from_any_rung() {
        let mut l = Ladder::new(1_000);
        assert_eq!(l.demand(0, EndedBy::Cancel, true), Some(Act::Kill));
        let mut l = Ladder::new(1_000);
        assert_eq!(l.demand(0, EndedBy::Timeout, false), Some(Act::Term));
        assert_eq!(l.demand(5, EndedBy::Cancel, true), Some(Act::Kill));
        assert_eq!(l.why(), Some(EndedBy::Timeout));
        let mut l = Ladder::new(0);
        assert_eq!(l.demand(0, EndedBy::Stall, false), Some(Act::Kill));
        assert_eq!(Ladder::new(u64::MAX).demand(5, EndedBy::Stall, false), Some(Act::Term));
    }
}
