//! What a site and a pipeline add to the patterns of first errors, ready for one look. They were judged when their file was read; one that
//! cannot be built any more is left out, for no pattern may keep a log from being looked at.

use regex::bytes::Regex;

use crate::domain::log::Patterns;
use crate::pipeline::schema;

/// Lines that are errors, and lines that are none.
#[derive(Default)]
pub struct Extra {
    /// Name and expression; the site's before the pipeline's.
    errors: Vec<(String, Regex)>,
    harmless: Vec<Regex>,
}

impl Extra {
    pub fn of<'a>(lists: impl IntoIterator<Item = &'a Patterns>) -> Self {
        let mut out = Self::default();
        for list in lists {
            out.errors.extend(list.errors.iter().filter_map(|(name, re)| Some((name.clone(), schema::search(re).ok()?))));
            out.harmless.extend(list.harmless.iter().filter_map(|re| schema::search(re).ok()));
        }
        out
    }

    /// `common`, and every line that one of these errors could be in.
    pub fn widen(&self, common: &str) -> String {
        let parts = self.errors.iter().map(|(_, re)| format!("|(?:{re})"));
        format!("(?:{common}){}", parts.collect::<String>())
    }

    pub fn is_harmless(&self, line: &[u8]) -> bool {
        self.harmless.iter().any(|re| re.is_match(line))
    }

    /// The name of the first error that the line is.
    pub fn error(&self, line: &[u8]) -> Option<&str> {
        self.errors.iter().find(|(_, re)| re.is_match(line)).map(|(name, _)| name.as_str())
    }
}
