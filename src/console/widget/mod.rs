//! Parts that views are made of. Each draws into its area and never beside it.

pub mod input;
pub mod paint;
pub mod table;
