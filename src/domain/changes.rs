//! "No Changes": whether a run worked on other content or other commits than the run of its pipeline before it. Pure.

use std::collections::BTreeMap;

/// Nothing moved.
pub const NONE: &str = "none";

/// What a run worked on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Content set → its fingerprint at the end of the run; none = unknown.
    pub sets: BTreeMap<String, Option<String>>,
    /// `URL REFERENCE` → commit.
    pub commits: BTreeMap<String, String>,
}

impl Known {
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.commits.is_empty()
    }

    /// One text for everything, to compare runs by; none where a part is unknown, or where there is nothing.
    pub fn key(&self) -> Option<String> {
        let mut out = String::new();
        for (set, fp) in &self.sets {
            out.push_str(&format!("{set}\t{}\n", fp.as_ref()?));
        }
        out.extend(self.commits.iter().map(|(place, commit)| format!("{place}\t{commit}\n")));
        (!out.is_empty()).then_some(out)
    }
}

/// `none`, or what moved: `content el9, commit https://… main`. No answer where nobody can say: unknown content equals nothing.
pub fn compare(before: &Known, now: &Known) -> Option<String> {
    let (mut moved, mut unknown) = (Vec::new(), now.is_empty());
    for (set, fp) in &now.sets {
        match (before.sets.get(set).and_then(Option::as_ref), fp) {
            (Some(a), Some(b)) if a == b => {}
            (Some(_), Some(_)) => moved.push(format!("content {set}")),
            _ => unknown = true,
        }
    }
    for (place, commit) in &now.commits {
        match before.commits.get(place) {
            Some(was) if was == commit => {}
            Some(_) => moved.push(format!("commit {place}")),
            None => unknown = true,
        }
    }
    match (moved.is_empty(), unknown) {
        (false, _) => Some(moved.join(", ")),
        (true, false) => Some(NONE.to_owned()),
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(sets: &[(&str, &str)], commits: &[(&str, &str)]) -> Known {
        Known {
            sets: sets.iter().map(|(s, f)| ((*s).into(), (*f != "?").then(|| (*f).into()))).collect(),
            commits: commits.iter().map(|(p, c)| ((*p).into(), (*c).into())).collect(),
        }
    }

    #[test]
    fn what_moved_is_named_and_what_nobody_knows_is_not_called_unchanged() {
        let now = known(&[("el9", "1")], &[("u main", "c1")]);
        let against = |before: Known| compare(&before, &now);
        assert_eq!(against(now.clone()).as_deref(), Some("none"));
        assert_eq!(against(known(&[("el9", "0")], &[("u main", "c1")])).as_deref(), Some("content el9"));
        assert_eq!(against(known(&[("el9", "0")], &[("u main", "c0")])).as_deref(), Some("content el9, commit u main"));
        assert_eq!(against(known(&[("el9", "?")], &[("u main", "c1")])), None, "unknown equals nothing");
        assert_eq!(against(known(&[("el9", "?")], &[("u main", "c0")])).as_deref(), Some("commit u main"), "that much is sure");
        assert_eq!(against(Known::default()), None);
        assert_eq!(compare(&now, &Known::default()), None);
        let unknown = known(&[("el9", "?")], &[]);
        assert_eq!(compare(&unknown, &unknown), None, "not even itself");
    }

    #[test]
    fn the_key_needs_every_part() {
        assert_eq!(known(&[("a", "1"), ("b", "?")], &[]).key(), None);
        assert_eq!(Known::default().key(), None);
        assert_eq!(known(&[("a", "1")], &[("u", "c")]).key().as_deref(), Some("a\t1\nu\tc\n"));
    }
}
