//! The states of a promotion as the screens take them: how each is drawn, and which are its end.

use crate::theme::Role;

/// Nothing of it is to come.
pub fn is_over(state: &str) -> bool {
    matches!(state, "CLOSED" | "ROLLED-BACK" | "VETOED" | "EXPIRED")
}

/// How a state is drawn.
pub fn role(state: &str) -> Role {
    match state {
        "READY" | "GATED" => Role::Waiting,
        "APPROVED" | "CLOSED" => Role::Good,
        "SWITCHING" | "IMAGING" | "WAVING" => Role::Running,
        "HALTED" => Role::Bad,
        "ROLLED-BACK" => Role::Warn,
        "DRAFT" | "VETOED" | "EXPIRED" => Role::Dim,
        _ => Role::Unknown,
    }
}
