//! What the distribution held before its first compose: one compose a quarter, counted back. As pure as the composes that follow, and each
//! source's changelog goes on from it.

use super::compose;
use super::content::Compose;
use super::package::package;
use super::quarters::{changes, made, moved, moves};
use super::sources::{SOURCES, Source};

pub use super::quarters::{OLDEST, time};

/// `CentOS-Stream-9-YYYYMMDD.0`.
pub fn id(back: u32) -> String {
    let day = jiff::Timestamp::from_second(time(back)).unwrap_or_default();
    format!("CentOS-Stream-9-{}.0", day.strftime("%Y%m%d"))
}

/// Everything that the compose of `back` quarters before the first one held; 0 is the first one.
pub fn of(seed: u64, back: u32) -> Compose {
    let first = compose(seed, 1);
    if back == 0 {
        return first;
    }
    let mut packages = Vec::new();
    for source in SOURCES {
        let since = moved(seed, source, back);
        if since == 0 {
            packages.extend(first.packages.iter().filter(|p| p.source == source.name).cloned());
            continue;
        }
        let then = Source { release: source.release - since, module: source.module, ..*source };
        // It came with the compose at which it had moved last, or was there from the beginning.
        let came = (back..OLDEST).find(|q| moves(seed, source, *q)).unwrap_or(OLDEST);
        for sub in source.subs {
            let mut p = package(seed, &then, sub, &[1], 0);
            p.build_time += time(came) - made(seed, &then);
            p.changelog = changes(seed, source, back);
            packages.push(p);
        }
    }
    Compose { number: 0, id: id(back), time: time(back), packages, advisories: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_quarter_moves_a_few_sources_forward_and_keeps_the_set_closed() {
        let names = |back| of(1, back).packages.iter().map(|p| p.file_name()).collect::<BTreeSet<_>>();
        let plain = |back| of(1, back).packages.iter().map(|p| (p.name.clone(), p.arch.as_str())).collect::<Vec<_>>();
        for back in (0..OLDEST).rev() {
            let (old, new) = (names(back + 1), names(back));
            let moved = new.difference(&old).count();
            assert!((4..40).contains(&moved), "{back}: {moved}");
            let sorted = |mut v: Vec<(String, &'static str)>| {
                v.sort();
                v
            };
            assert_eq!(sorted(plain(back)), sorted(plain(back + 1)), "the same packages, others of them");
        }
        assert_eq!(names(0), compose(1, 1).packages.iter().map(|p| p.file_name()).collect());
    }

    #[test]
    fn a_changelog_goes_on_from_quarter_to_quarter_and_names_what_was_fixed() {
        let (old, new) = (of(1, OLDEST), of(1, 0));
        let mut fixed = 0;
        for p in &new.packages {
            let before = old.packages.iter().find(|o| o.name == p.name).unwrap();
            assert_eq!(p.changelog.last(), before.changelog.last(), "{}", p.name);
            assert!(p.changelog.windows(2).all(|w| w[0].time >= w[1].time), "{:?}", p.changelog);
            assert!(before.build_time <= time(OLDEST) && p.build_time >= before.build_time, "{}", p.name);
            fixed += p.changelog.iter().filter(|c| c.text.contains("CVE-2025-9")).count();
        }
        assert!(fixed > 0);
        assert_eq!((id(OLDEST), id(0)), ("CentOS-Stream-9-20241231.0".into(), "CentOS-Stream-9-20260331.0".into()));
    }
}
