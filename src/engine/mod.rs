//! Floor 7: the acting engine of a site: guard, model, server, triggers. The only place where anything is changed.

pub mod guard;
pub mod identity;
pub mod logging;
pub mod model;
pub mod site_watch;
