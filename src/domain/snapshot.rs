//! Snapshots of content sets: their names, and which of them may go. Pure: the clock's answers and the references come in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A snapshot's name: `YYYYMMDD-FFFFFFFFFFFF`, the day (UTC) on which it was made and the head of its fingerprint; `-2`, `-3` … where
/// that one is taken by a snapshot that was damaged since.
pub fn name(day: jiff::civil::Date, fp: &str, pass: u32) -> String {
    let head = fp.get(..12).unwrap_or(fp);
    let tail = if pass > 1 { format!("-{pass}") } else { String::new() };
    format!("{:04}{:02}{:02}-{head}{tail}", day.year(), day.month(), day.day())
}

/// Whether a text can be the name of a snapshot or of a pointer: one plain word that is no path, no option and no hidden file.
pub fn plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && !text.starts_with(['.', '-'])
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// A snapshot must have been unreferenced for so long, in two complete checks, before it goes: microseconds.
pub const REST_US: i64 = 24 * 3600 * 1_000_000;

/// A moment on both clocks: a wall clock that is set forward makes nothing old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub wall_us: i64,
    pub boot_us: u64,
    pub boot_id: String,
}

impl Moment {
    /// Time between the two, at least: within one boot both clocks must agree that it passed.
    fn since(&self, then: &Self) -> i64 {
        let wall = self.wall_us.saturating_sub(then.wall_us);
        if self.boot_id == then.boot_id && !self.boot_id.is_empty() {
            let boot = i64::try_from(self.boot_us.saturating_sub(then.boot_us)).unwrap_or(i64::MAX);
            return wall.min(boot);
        }
        wall
    }
}

/// When each snapshot was first found unreferenced, in checks since which nobody referred to it.
pub type Seen = BTreeMap<String, Moment>;

/// What to do with each snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be removed now.
    pub remove: Vec<String>,
    /// Unreferenced, but not for long enough: name, and microseconds that are left.
    pub resting: Vec<(String, i64)>,
    /// Kept, and why.
    pub kept: Vec<(String, String)>,
    /// What the next check has to know.
    pub seen: Seen,
}

/// One snapshot of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub id: String,
    /// When it was made, microseconds since 1970 UTC; the newest `keep` always stay.
    pub made_us: i64,
}

/// A complete check: `references` holds every answer of every source, by snapshot with who refers to it. The caller must not call this
/// where a source did not answer.
pub fn plan(snapshots: &[Known], references: &BTreeMap<String, BTreeSet<String>>, keep: usize, seen: &Seen, now: &Moment) -> Plan {
    let mut newest: Vec<&Known> = snapshots.iter().collect();
    newest.sort_by(|a, b| b.made_us.cmp(&a.made_us).then_with(|| b.id.cmp(&a.id)));
    let recent: BTreeSet<&str> = newest.iter().take(keep).map(|k| k.id.as_str()).collect();
    let mut out = Plan::default();
    let mut sorted: Vec<&Known> = snapshots.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    for snapshot in sorted {
        let id = snapshot.id.clone();
        if let Some(by) = references.get(&id).filter(|by| !by.is_empty()) {
            out.kept.push((id, by.iter().cloned().collect::<Vec<_>>().join(", ")));
        } else if recent.contains(id.as_str()) {
            out.kept.push((id, format!("one of the newest {keep}")));
        } else {
            // A clock that went back makes the first sight younger, never older.
            let first = seen.get(&id).filter(|m| now.since(m) >= 0).cloned().unwrap_or_else(|| now.clone());
            let left = REST_US.saturating_sub(now.since(&first));
            if left <= 0 {
                out.remove.push(id.clone());
            } else {
                out.resting.push((id.clone(), left));
            }
            out.seen.insert(id, first);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = REST_US;

    fn at(wall: i64, boot: u64, id: &str) -> Moment {
        Moment { wall_us: wall, boot_us: boot, boot_id: id.into() }
    }

    fn known(ids: &[&str]) -> Vec<Known> {
        ids.iter().enumerate().map(|(i, id)| Known { id: (*id).into(), made_us: i as i64 }).collect()
    }

    fn refs(ids: &[(&str, &str)]) -> BTreeMap<String, BTreeSet<String>> {
        let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, by) in ids {
            out.entry((*id).into()).or_default().insert((*by).into());
        }
        out
    }

    #[test]
    fn names_say_day_and_content() {
        assert_eq!(name(jiff::civil::date(2026, 4, 3), &"ab".repeat(32), 1), "20260403-abababababab");
        assert_eq!(name(jiff::civil::date(2026, 4, 3), "ab", 3), "20260403-ab-3");
        for good in ["stable", "20260403-abababababab", "el9_x.y"] {
            assert!(plain(good), "{good}");
        }
        for bad in ["", ".", "..", ".x", "a/b", "-rf", "a b", "a\nb", "ä", "$x"] {
            assert!(!plain(bad), "{bad}");
        }
    }

    #[test]
    fn two_checks_a_day_apart_and_not_a_moment_less() {
        let s = known(&["a", "b", "c"]);
        let r = refs(&[("b", "pointer stable")]);
        let first = plan(&s, &r, 1, &Seen::new(), &at(0, 0, "x"));
        assert_eq!(first.resting, [("a".to_owned(), DAY)]);
        assert_eq!(first.kept.len(), 2);
        let early = plan(&s, &r, 1, &first.seen, &at(DAY - 1, (DAY - 1) as u64, "x"));
        assert!(early.remove.is_empty() && early.resting == [("a".to_owned(), 1)]);
        assert_eq!(plan(&s, &r, 1, &early.seen, &at(DAY, DAY as u64, "x")).remove, ["a"]);
        // Referenced in between: the two checks begin anew.
        let held = plan(&s, &refs(&[("a", "pin"), ("b", "pointer stable")]), 1, &early.seen, &at(DAY, DAY as u64, "x"));
        assert!(held.remove.is_empty() && held.seen.is_empty());
        assert!(plan(&s, &r, 1, &held.seen, &at(DAY + 5, (DAY + 5) as u64, "x")).remove.is_empty());
    }

    #[test]
    fn a_clock_that_jumps_removes_nothing_early() {
        let s = known(&["a", "b"]);
        let first = plan(&s, &refs(&[]), 1, &Seen::new(), &at(1_000, 50, "x"));
        assert!(plan(&s, &refs(&[]), 1, &first.seen, &at(3 * DAY, 60, "x")).remove.is_empty(), "set forward");
        let back = plan(&s, &refs(&[]), 1, &first.seen, &at(10, DAY as u64 * 2, "x"));
        assert!(back.remove.is_empty() && back.seen["a"].wall_us == 10, "set back: it begins anew");
        assert_eq!(plan(&s, &refs(&[]), 1, &first.seen, &at(1_000 + DAY, 5, "y")).remove, ["a"], "another boot: the wall clock counts");
    }

    proptest::proptest! {
        #[test]
        fn what_is_referenced_or_new_never_goes(n in 1usize..12, keep in 0usize..5, held in proptest::collection::btree_set(0usize..12, 0..6), days in 0i64..5) {
            let ids: Vec<String> = (0..n).map(|i| format!("s{i:02}")).collect();
            let s: Vec<Known> = ids.iter().enumerate().map(|(i, id)| Known { id: id.clone(), made_us: i as i64 }).collect();
            let r: BTreeMap<_, _> = held.iter().filter(|i| **i < n).map(|i| (ids[*i].clone(), BTreeSet::from(["hold".to_owned()]))).collect();
            let first = plan(&s, &r, keep, &Seen::new(), &at(0, 0, "x"));
            proptest::prop_assert!(first.remove.is_empty());
            let second = plan(&s, &r, keep, &first.seen, &at(days * DAY, (days * DAY) as u64, "x"));
            for id in &second.remove {
                let i: usize = id[1..].parse().unwrap();
                proptest::prop_assert!(days >= 1 && !r.contains_key(id) && i + keep < n);
            }
            proptest::prop_assert_eq!(second.remove.len() + second.resting.len() + second.kept.len(), n);
        }
    }
}
