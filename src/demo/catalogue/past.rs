//! What the distribution held before its first compose: one compose a quarter, counted back. As pure as the composes that follow, and each
//! source's changelog goes on from it.

use super::sources::{SOURCES, Source};
use super::{Change, Compose, DAY, FIRST_COMPOSE, PEOPLE, Repo, compose, noon, package};
use crate::demo::seed::Rng;

/// The oldest one.
pub const OLDEST: u32 = 5;
/// Sources of each repository that move from one quarter to the next, beside the kernel.
const MOVES: [(Repo, usize); 2] = [(Repo::BaseOS, 5), (Repo::AppStream, 2)];

/// Seconds since the epoch at which the compose of `back` quarters before the first one was made.
pub fn time(back: u32) -> i64 {
    FIRST_COMPOSE - 91 * DAY * i64::from(back)
}

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

/// When what the first compose holds of a source was made: with the quarter in which it moved last.
pub fn made(seed: u64, source: &Source) -> i64 {
    time((0..OLDEST).find(|q| moves(seed, source, *q)).unwrap_or(OLDEST))
}

/// Modules do not, for their builds name their compose; nor does what has not been built often enough.
fn may_move(source: &Source) -> bool {
    source.module.is_none() && source.release > OLDEST
}

/// Whether a source moved with the compose of `back` quarters before the first one.
fn moves(seed: u64, source: &Source, back: u32) -> bool {
    if back >= OLDEST || !may_move(source) {
        return false;
    }
    source.name == "kernel" || {
        let mut rng = Rng::new(seed, "quarters", u64::from(back));
        MOVES.iter().any(|(repo, count)| {
            let of: Vec<&Source> = SOURCES.iter().filter(|s| s.repo == *repo && s.name != "kernel" && may_move(s)).collect();
            rng.pick(of.len(), *count).into_iter().any(|i| of[i].name == source.name)
        })
    }
}

/// How often a source moved since the compose of `back` quarters before the first one.
fn moved(seed: u64, source: &Source, back: u32) -> u32 {
    (0..back).filter(|q| moves(seed, source, *q)).count() as u32
}

/// The changelog of a source as it was `back` quarters before the first compose, newest first.
pub fn changes(seed: u64, source: &Source, back: u32) -> Vec<Change> {
    let mut out = Vec::new();
    for quarter in (back..OLDEST).filter(|q| moves(seed, source, *q)) {
        let mut rng = Rng::new(seed, &format!("past {}", source.name), u64::from(quarter));
        let who = PEOPLE[rng.below(PEOPLE.len() as u64) as usize];
        let bug = format!("DEMO-{}", 10_000 + rng.below(10_000));
        let text = match rng.below(3) {
            0 => format!("- Fix CVE-2025-{}: refuse a length that is negative\n- Resolves: {bug}", 90_001 + rng.below(900)),
            1 => format!("- Rebase onto the fixes of the quarter\n- Resolves: {bug}"),
            _ => format!("- Rebuild with the newer compiler\n- Related: {bug}"),
        };
        let release = source.release - moved(seed, source, quarter);
        out.push(Change { author: format!("{who} - {}-{release}.el9.demo", source.version), time: noon(time(quarter) - 3 * DAY), text });
    }
    out.push(Change {
        author: format!("{} - {}-1", PEOPLE[3], source.version),
        time: noon(time(OLDEST) - 200 * DAY),
        text: format!("- Import {} {}", source.name, source.version),
    });
    out
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
