//! Floor 4: one folder a far end; translates what `wire` reads into the words of `domain`, and nothing else.

pub mod cobbler;
pub mod git;
pub mod repo;
pub mod signature;
