//! How dangerous an action is, and so how it must be confirmed.

use serde::{Deserialize, Serialize};

use super::text_form::text_form;

/// L0 read; L1 `y`; L2 type the object's name; L3 a second person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Level {
    L0,
    #[default]
    L1,
    L2,
    L3,
}

text_form!(Level { L0 = "L0", L1 = "L1", L2 = "L2", L3 = "L3" });
