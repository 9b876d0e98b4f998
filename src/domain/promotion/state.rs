//! The states of a promotion, and the one table that says which act leads where.

use serde::{Deserialize, Serialize};

use crate::domain::text_form::text_form;

/// In the words of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum State {
    /// Nothing is taken yet.
    Draft,
    /// The candidate is pinned; gates are open.
    Gated,
    /// Every gate passes; approvals are asked for.
    Ready,
    Approved,
    Switching,
    Imaging,
    Waving,
    Closed,
    /// Nothing new starts; what was in flight has ended or ends.
    Halted,
    RolledBack,
    Vetoed,
    Expired,
}

text_form!(State {
    Draft = "DRAFT",
    Gated = "GATED",
    Ready = "READY",
    Approved = "APPROVED",
    Switching = "SWITCHING",
    Imaging = "IMAGING",
    Waving = "WAVING",
    Closed = "CLOSED",
    Halted = "HALTED",
    RolledBack = "ROLLED-BACK",
    Vetoed = "VETOED",
    Expired = "EXPIRED",
});

impl State {
    /// No act but a way back leads out of it, and another promotion of the OS may begin.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::RolledBack | Self::Vetoed | Self::Expired)
    }

    /// A run of it moves pointers, or asks people about what follows.
    pub const fn is_moving(self) -> bool {
        matches!(self, Self::Switching | Self::Imaging | Self::Waving)
    }

    /// Nothing of it has begun: its plan is computed again and again.
    pub const fn is_before_start(self) -> bool {
        matches!(self, Self::Draft | Self::Gated | Self::Ready | Self::Approved)
    }
}

/// What happens to a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// The soak has its snapshots.
    Pin,
    /// Every gate passes.
    Pass,
    /// A gate does not pass any more, or an input has moved.
    Move,
    /// Approvals suffice.
    Agree,
    Start,
    /// Every pointer leads to the candidate.
    Switched,
    Imaged,
    Close,
    Halt,
    Resume,
    RollBack,
    Veto,
    Expire,
}

/// The act has no meaning in this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is {state}: {what}")]
pub struct Refusal {
    pub state: State,
    pub what: &'static str,
}

/// The table. `halted_in`: the state that a HALTED one was in.
pub fn next(state: State, act: Act, halted_in: Option<State>) -> Result<State, Refusal> {
    use State::{Approved, Closed, Draft, Expired, Gated, Halted, Imaging, Ready, RolledBack, Switching, Vetoed, Waving};
    let no = |what| Err(Refusal { state, what });
    match (act, state) {
        (Act::Pin, Draft | Gated | Ready | Approved) => Ok(Gated),
        (Act::Pin, _) => no("a candidate is taken before the start only"),
        (Act::Pass, Gated) => Ok(Ready),
        (Act::Pass, _) => no("gates are judged while it is GATED"),
        // A moved input halts, and goes back to the gates.
        (Act::Move, Gated | Ready | Approved | Switching | Halted) => Ok(Gated),
        (Act::Move, _) => no("its inputs count until the pointers have moved"),
        (Act::Agree, Ready) => Ok(Approved),
        (Act::Agree, _) => no("only what is READY, with every gate passed, is approved"),
        (Act::Start, Approved) => Ok(Switching),
        (Act::Start, _) => no("only what is APPROVED starts"),
        (Act::Switched, Switching) => Ok(Imaging),
        (Act::Switched, _) => no("no switch is under way"),
        (Act::Imaged, Imaging) => Ok(Waving),
        (Act::Imaged, _) => no("no image is awaited"),
        (Act::Close, Waving) => Ok(Closed),
        (Act::Close, _) => no("it closes behind its waves"),
        (Act::Halt, Switching | Imaging | Waving) => Ok(Halted),
        (Act::Halt, Halted) => no("it is halted already"),
        (Act::Halt, _) => no("nothing of it is in flight"),
        (Act::Resume, Halted) => match halted_in {
            Some(s) if s.is_moving() => Ok(s),
            _ => no("nobody knows where it was halted: roll it back"),
        },
        (Act::Resume, _) => no("only what is HALTED is resumed"),
        (Act::RollBack, Gated | Ready | Approved | Halted | Closed) => Ok(RolledBack),
        (Act::RollBack, Switching | Imaging | Waving) => no("halt it first"),
        (Act::RollBack, _) => no("there is nothing to take back"),
        (Act::Veto, Draft | Gated | Ready | Approved) => Ok(Vetoed),
        (Act::Veto, Switching | Imaging | Waving | Halted) => no("it has begun: halt it, or roll it back"),
        (Act::Veto, _) => no("it is over"),
        (Act::Expire, Draft | Gated | Ready | Approved) => Ok(Expired),
        (Act::Expire, _) => no("only what was not started expires"),
    }
}
