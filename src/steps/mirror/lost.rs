//! Packages that never came: a mirror that makes its own metadata from what it holds (Cobbler runs createrepo) names no gap itself. Pure.

use std::collections::{BTreeMap, HashSet};

use crate::domain::nevra::Nevra;
use crate::systems::repo::inventory::Wanted;

/// What `theirs` names and `ours` has not. A mirror that keeps the newest of each name only leaves the older ones out on purpose: those
/// count only where it keeps several of some name.
pub fn lost<'t>(ours: &[Wanted], theirs: &'t [Wanted]) -> Vec<&'t Wanted> {
    let have: HashSet<&str> = ours.iter().map(|w| w.checksum.hex.as_str()).collect();
    let mut names = HashSet::new();
    let keeps_old = ours.iter().filter_map(named).any(|n| !names.insert((n.name, n.arch)));
    let mut newest: BTreeMap<(String, String), Nevra> = BTreeMap::new();
    for n in theirs.iter().filter_map(named) {
        let key = (n.name.clone(), n.arch.clone());
        if newest.get(&key).is_none_or(|known| known.cmp_evr(&n).is_lt()) {
            newest.insert(key, n);
        }
    }
    let wanted = |w: &Wanted| {
        // A file that bears no name of a package is nobody's older version.
        keeps_old || named(w).is_none_or(|n| newest.get(&(n.name.clone(), n.arch.clone())).is_none_or(|new| new.cmp_evr(&n).is_le()))
    };
    theirs.iter().filter(|w| !have.contains(w.checksum.hex.as_str()) && wanted(w)).collect()
}

fn named(w: &Wanted) -> Option<Nevra> {
    Nevra::parse(w.location.as_str().rsplit('/').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::location;
    use crate::wire::repomd::Checksum;

    fn shelf(names: &[&str]) -> Vec<Wanted> {
        let one = |n: &&str| Wanted {
            location: location::check(&format!("Packages/{n}.rpm")).unwrap(),
            checksum: Checksum { algorithm: "sha256".into(), hex: (*n).to_owned() },
            size: 1,
        };
        names.iter().map(one).collect()
    }

    fn gone(ours: &[&str], theirs: &[&str]) -> Vec<String> {
        let theirs = shelf(theirs);
        lost(&shelf(ours), &theirs).iter().map(|w| w.checksum.hex.clone()).collect()
    }

    #[test]
    fn noarch_that_was_filtered_and_files_that_were_cut_are_lost_and_older_versions_are_not() {
        let up = ["a-1-1.x86_64", "a-1-2.x86_64", "b-1-1.noarch", "c-1-1.x86_64"];
        assert!(gone(&up, &up).is_empty());
        assert_eq!(gone(&["a-1-1.x86_64", "a-1-2.x86_64", "c-1-1.x86_64"], &up), ["b-1-1.noarch"]);
        // --newest-only.
        assert!(gone(&["a-1-2.x86_64", "b-1-1.noarch", "c-1-1.x86_64"], &up).is_empty());
        // The newer one is what did not come.
        assert_eq!(gone(&["a-1-1.x86_64", "b-1-1.noarch", "c-1-1.x86_64"], &up), ["a-1-2.x86_64"]);
        // It keeps old ones of another name: then all should be there.
        let more = ["a-1-1.x86_64", "a-1-2.x86_64", "c-1-1.x86_64", "c-1-2.x86_64"];
        assert_eq!(gone(&["a-1-2.x86_64", "c-1-1.x86_64", "c-1-2.x86_64"], &more), ["a-1-1.x86_64"]);
        assert_eq!(gone(&[], &["strange"]), ["strange"]);
    }
}
