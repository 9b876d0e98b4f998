//! Runs frozen plans: queue, dispatch, recovery, logs, history. `shim/` is the supervisor process and knows only `base` and `domain`.

pub mod attempt;
pub mod recovery;
pub mod shim;
pub mod survivors;
