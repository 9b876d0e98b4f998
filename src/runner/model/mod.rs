//! The open runs in memory, pure: what each is, how it moves on, and what the queue decides about all of them. Every move gives the rows to
//! change in one transaction; nothing here waits, reads or writes.

pub mod active;
pub mod approval;
#[cfg(test)]
mod approval_tests;
pub mod building;
#[cfg(test)]
mod building_tests;
pub mod effect;
pub mod moves;
pub mod now;
pub mod queue;
pub mod resume;
pub mod settle;
#[cfg(test)]
mod settle_tests;
pub mod silent;
pub mod slow;
pub mod spec;
#[cfg(test)]
pub mod testing;
pub mod unreadable;
pub mod view;
pub mod wait;
