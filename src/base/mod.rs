//! Floor 1: the small vocabulary that every room shares; knows no room of ours.

pub mod clock;
pub mod count;
pub mod crash;
pub mod durable;
pub mod duration;
pub mod instant;
pub mod locks;
pub mod mask;
pub mod natural;
pub mod proc;
pub mod redact;
pub mod sanitise;
pub mod since;
pub mod size;
pub mod suggest;
pub mod sys;
pub mod xml;
pub mod zone;
