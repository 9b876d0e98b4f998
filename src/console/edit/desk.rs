//! What the pipeline page works with and cannot make itself: where files are, what the site knows, a shell that reads scripts.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::pipeline::lint::shell::{Fault, Script};
use crate::pipeline::{Catalog, Checker};

use super::judge::{Around, Judged, judge};

/// The error says why the site cannot be asked, on one line.
pub type Ask = Box<dyn Fn() -> Result<Catalog, String> + Send + Sync>;

pub struct Desk {
    /// CONFIG/pipelines, for a pipeline of which no engine says where it is.
    pub pipelines: PathBuf,
    /// Where unsaved texts are kept: a directory that need not be there yet.
    pub drafts: PathBuf,
    pub catalog: Ask,
    pub have: fn(&str) -> bool,
    pub check: fn(&Script) -> Vec<Fault>,
    pub now: fn() -> Timestamp,
    /// Of this console: it tells its own unsaved texts from those of others.
    pub pid: u32,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desk {{ pipelines: {:?}, drafts: {:?}, pid: {} }}", self.pipelines, self.drafts, self.pid)
    }
}

impl Desk {
    /// Judges a text against the site as it is now. Without a site it is judged by itself, and that is said.
    pub fn judge(&self, name: &str, text: &str, revision: u64) -> Judged {
        let (catalog, doubt) = match (self.catalog)() {
            Ok(catalog) => (catalog, None),
            Err(why) => (Catalog::default(), Some(why)),
        };
        let check = |s: &Script| (self.check)(s);
        let check: Checker<'_> = &check;
        let around = Around { catalog: &catalog, have: &self.have, check: Some(check), now: (self.now)() };
        Judged { revision, doubt, ..judge(name, text, &around) }
    }
}
