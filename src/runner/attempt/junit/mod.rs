//! Test reports of a step: which of its kept files are reports, and what they say together. A report that cannot be taken in is a
//! problem with its name, never half a result.

mod read;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use glob::Pattern;

use crate::base::{sanitise, size};
use crate::domain::artifact::MATCH;
use crate::domain::flaky::FLAKY_AFTER;
use crate::domain::junit::{Seen, Tested};
use crate::pipeline::plan::Tests;
use crate::store::NewArtifact;

pub use read::Unreadable;

/// Reports of one attempt, and their bytes together.
const MOST_REPORTS: usize = 2_000;
const MOST_BYTES: u64 = 256 << 20;
/// One report.
pub const MAX_BYTES: u64 = 64 << 20;
/// Tests of one attempt.
pub const MOST_TESTS: u64 = 100_000;

/// Replaces declared secrets in a text.
pub type Mask<'a> = &'a dyn Fn(&str) -> String;

/// A pattern whose files are reports.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub path: String,
    pub tests: Tests,
}

/// Reads the reports among the kept files. `ended_well`: then a report that is not there is a problem too.
pub fn take(wanted: &[Wanted], kept: &[NewArtifact], dir: &Path, prefix: &str, ended_well: bool, mask: Mask<'_>) -> Option<Tested> {
    if wanted.is_empty() {
        return None;
    }
    let mut all = Tested {
        flaky_after: wanted.iter().map(|w| w.tests.flaky_after).min().unwrap_or(FLAKY_AFTER),
        fail: wanted.iter().any(|w| w.tests.fail),
        ..Tested::default()
    };
    let mut marks = Vec::new();
    let (mut reports, mut bytes) = (0usize, 0u64);
    let patterns: Vec<(&Wanted, Option<Pattern>)> =
        wanted.iter().map(|w| (w, Pattern::new(w.path.strip_prefix("./").unwrap_or(&w.path)).ok())).collect();
    let mut found = vec![false; wanted.len()];
    for a in kept {
        let Some(name) = a.path.strip_prefix(prefix) else { continue };
        let mut is_report = false;
        for ((_, pattern), found) in patterns.iter().zip(&mut found) {
            if pattern.as_ref().is_some_and(|p| p.matches_with(name, MATCH)) {
                (*found, is_report) = (true, true);
            }
        }
        if !is_report {
            continue;
        }
        reports += 1;
        bytes += a.size_bytes;
        if reports > MOST_REPORTS || bytes > MOST_BYTES {
            all.problems
                .push(format!("there are more test reports than can be taken in ({MOST_REPORTS} files, {})", size::short(MOST_BYTES)));
            break;
        }
        match one(&dir.join(&a.path), a.size_bytes, MOST_TESTS.saturating_sub(all.total()), mask) {
            Ok((tested, seen)) => {
                marks.extend(seen);
                merge(&mut all, tested);
            }
            Err(e) => all.problems.push(sanitise::cell(&mask(&format!("test report {name} cannot be taken in: {e}")))),
        }
    }
    if ended_well {
        for (w, _) in wanted.iter().zip(&found).filter(|(_, found)| !**found) {
            all.problems.push(format!("no test report matches {}", w.path));
        }
        if all.total() == 0 && all.problems.is_empty() {
            all.problems.push("its test reports hold no test".to_owned());
        }
    }
    all.seen = Seen::new(marks);
    Some(all)
}

fn one(path: &Path, size_bytes: u64, room: u64, mask: Mask<'_>) -> Result<(Tested, Vec<u64>), Unreadable> {
    if size_bytes > MAX_BYTES {
        return Err(Unreadable::Large { what: "the report", limit: MAX_BYTES });
    }
    let file = File::open(path).map_err(Unreadable::Io)?;
    read::report(BufReader::with_capacity(64 << 10, file.take(MAX_BYTES)), room, mask)
}

fn merge(all: &mut Tested, one: Tested) {
    use crate::domain::junit::{MOST_FAILURES, MOST_SLOWEST};
    all.passed += one.passed;
    all.failed += one.failed;
    all.skipped += one.skipped;
    all.flaky += one.flaky;
    all.duration_ms = all.duration_ms.saturating_add(one.duration_ms);
    let room = MOST_FAILURES.saturating_sub(all.failures.len());
    all.failures.extend(one.failures.into_iter().take(room));
    all.slowest.extend(one.slowest);
    all.slowest.sort_by_key(|s| std::cmp::Reverse(s.duration_ms));
    all.slowest.truncate(MOST_SLOWEST);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.to_owned()
    }

    fn wanted(path: &str) -> Wanted {
        Wanted { path: path.into(), tests: Tests { flaky_after: 3, fail: true } }
    }

    #[test]
    fn reports_are_added_up_and_what_is_missing_or_broken_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Vec::new();
        for (name, text) in [
            (
                "a.xml",
                "<testsuite name='s'><testcase name='one' time='1.5'/><testcase name='two'><failure message='no'/></testcase></testsuite>",
            ),
            ("b.xml", "<testsuites><testsuite name='t'><testcase name='three'><skipped/></testcase></testsuite></testsuites>"),
            ("broken.xml", "<testsuite><testcase name='half'>"),
            ("other.txt", "nothing"),
        ] {
            std::fs::create_dir_all(dir.path().join("m/c")).unwrap();
            std::fs::write(dir.path().join("m/c").join(name), text).unwrap();
            kept.push(NewArtifact { path: format!("m/c/{name}"), sha256: String::new(), size_bytes: text.len() as u64 });
        }
        let all = [wanted("*.xml"), wanted("none-*.xml")];
        let t = take(&all, &kept, dir.path(), "m/c/", true, &plain).unwrap();
        assert_eq!((t.passed, t.failed, t.skipped, t.duration_ms), (1, 1, 1, 1_500));
        assert_eq!(t.problems.len(), 2, "{:?}", t.problems);
        assert!(t.problems[0].contains("broken.xml") && t.problems[0].contains("ends in the middle"), "{:?}", t.problems);
        assert!(t.problems[1].contains("none-*.xml"));
        assert!(t.is_red() && t.fail);
        // A step that failed anyway may well have left none.
        assert_eq!(take(&all[1..], &kept, dir.path(), "m/c/", false, &plain).unwrap().problems, Vec::<String>::new());
        assert_eq!(take(&[], &kept, dir.path(), "", true, &plain), None);
        let none = [NewArtifact { path: "e.xml".into(), sha256: String::new(), size_bytes: 12 }];
        std::fs::write(dir.path().join("e.xml"), "<testsuite/>").unwrap();
        let t = take(&all[..1], &none, dir.path(), "", true, &plain).unwrap();
        assert_eq!(t.problems, ["its test reports hold no test"]);
    }
}
