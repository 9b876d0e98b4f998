//! How sources moved before the first compose, quarter by quarter, counted back: when, and what their changelogs say of it.

use super::content::{Change, Repo};
use super::sources::{PEOPLE, SOURCES, Source};
use super::times::{DAY, FIRST_COMPOSE, noon};
use crate::demo::seed::Rng;

/// The oldest one.
pub const OLDEST: u32 = 5;
/// Sources of each repository that move from one quarter to the next, beside the kernel.
const MOVES: [(Repo, usize); 2] = [(Repo::BaseOS, 5), (Repo::AppStream, 2)];

/// Seconds since the epoch at which the compose of `back` quarters before the first one was made.
pub fn time(back: u32) -> i64 {
    FIRST_COMPOSE - 91 * DAY * i64::from(back)
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
pub fn moves(seed: u64, source: &Source, back: u32) -> bool {
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
pub fn moved(seed: u64, source: &Source, back: u32) -> u32 {
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
