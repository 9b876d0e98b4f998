//! When a trigger fires: cron with defined behaviour at clock changes, intervals from an anchor, and jitter. Pure: the moment is a parameter.

mod cron;
mod moved;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
mod timer;
mod wall;

pub use cron::{Pattern, cron};
pub use moved::MOST_DAYS;
pub use timer::{Due, Ticker, Timer, When};
pub use wall::{Dst, Nominal, in_gap, local, resolve, zone};
