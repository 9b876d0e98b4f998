//! Whether every requirement of a set of packages has a provider in it, and which packages fall with one that has none. Pure rules.
//!
//! Agrees with the solver of dnf (4.14: every form was installed out of a repository), and so with `dnf repoclosure` but for two forms: it
//! takes `(a and b)` for met where there is no `b`, and `(a if b)` for unmet. What depends on what else is installed, and a relation or a
//! form that nobody here knows, is unknown: it counts neither as met nor as broken.

use std::collections::{HashMap, HashSet};

use super::dep::{Capability, Evr, Sense, Verdict, in_doubt, judge, overlaps, parse_rich};

/// A package of a world, by number.
pub type Number = u32;
/// Rounds in which what stands on broken packages is looked for: a chain is never longer.
const MAX_ROUNDS: usize = 64;
/// Providers of another version that are named.
const OFFERED: usize = 3;

/// A package that provides a name, and in which version; `None` where it says none.
type Provider = (Number, Option<(Sense, Evr)>);

/// What a set of packages provides and requires.
#[derive(Debug, Default)]
pub struct World {
    provides: HashMap<String, Vec<Provider>>,
    files: HashMap<String, Vec<Number>>,
    /// NEVRA by number.
    packages: Vec<String>,
    /// Each requirement once, with the packages that have it.
    requires: HashMap<Capability, Vec<Number>>,
}

/// A requirement of a package that is not met, or of which nobody can say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// NEVRA.
    pub package: String,
    pub requirement: String,
}

/// Why a package cannot be installed out of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// From the package itself to the requirement that has no provider: each one needs the next.
    pub chain: Vec<Finding>,
    /// What provides the last one's name in another version, some of them.
    pub offered: Vec<String>,
}

impl Broken {
    /// The package that cannot be installed.
    pub fn package(&self) -> &str {
        self.chain.first().map_or("", |f| f.package.as_str())
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, link) in self.chain.iter().enumerate() {
            let between = if i > 0 { "; " } else { "" };
            write!(f, "{between}{} needs {}", link.package, link.requirement)?;
        }
        if self.offered.is_empty() {
            f.write_str(", which nothing provides")
        } else {
            write!(f, ", but there is {}", self.offered.join(", "))
        }
    }
}

/// Unmet and unknown requirements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub unmet: Vec<Finding>,
    pub unknown: Vec<Finding>,
}

impl World {
    /// A new package; its number goes with what it provides and requires.
    pub fn package(&mut self, nevra: String) -> Number {
        self.packages.push(nevra);
        (self.packages.len() - 1) as Number
    }

    pub fn nevra(&self, n: Number) -> &str {
        self.packages.get(n as usize).map_or("?", String::as_str)
    }

    pub fn provide(&mut self, n: Number, capability: Capability) {
        self.provides.entry(capability.name).or_default().push((n, capability.range));
    }

    pub fn file(&mut self, n: Number, path: &str) {
        self.files.entry(path.to_owned()).or_default().push(n);
    }

    /// A requirement; a rich form has no range of its own. What asks for abilities of rpm or of the solver takes no part.
    pub fn require(&mut self, n: Number, capability: Capability) {
        if !capability.name.starts_with("rpmlib(") && !capability.name.starts_with("solvable:") {
            self.requires.entry(capability).or_default().push(n);
        }
    }

    /// Different requirements.
    pub fn requirements(&self) -> usize {
        self.requires.len()
    }

    /// Required paths that nothing in here provides yet: filelists may know them.
    pub fn wanted_files(&self) -> HashSet<String> {
        let mut out = HashSet::new();
        for name in self.requires.keys().map(|c| c.name.as_str()) {
            // Paths inside rich forms, too: every word that starts with a slash.
            for word in name.split(|c: char| c.is_whitespace() || c == '(' || c == ')').filter(|w| w.starts_with('/')) {
                if !self.provides.contains_key(word) && !self.files.contains_key(word) {
                    out.insert(word.to_owned());
                }
            }
        }
        out
    }

    fn providers(&self, wanted: &Capability, broken: &HashSet<Number>) -> Vec<Number> {
        let ranges = self.provides.get(&wanted.name).into_iter().flatten();
        let fits = ranges.filter(|(n, range)| !broken.contains(n) && overlaps(range.as_ref(), wanted.range.as_ref()));
        let mut out: Vec<Number> = fits.map(|(n, _)| *n).collect();
        if wanted.range.is_none() {
            out.extend(self.files.get(&wanted.name).into_iter().flatten().filter(|n| !broken.contains(n)));
        }
        out
    }

    /// Whether something could provide it, and nobody can say.
    fn doubted(&self, wanted: &Capability, broken: &HashSet<Number>) -> bool {
        let mut ranges = self.provides.get(&wanted.name).into_iter().flatten();
        ranges.any(|(n, range)| !broken.contains(n) && in_doubt(range.as_ref(), wanted.range.as_ref()))
    }

    fn verdict(&self, wanted: &Capability, broken: &HashSet<Number>) -> Verdict {
        let mut doubt = false;
        let mut ask = |c: &Capability| {
            let found = self.providers(c, broken);
            doubt |= found.is_empty() && self.doubted(c, broken);
            found
        };
        let verdict = match wanted.name.starts_with('(') {
            true => parse_rich(&wanted.name).map_or(Verdict::Unknown, |rich| judge(&rich, &mut ask)),
            false if ask(wanted).is_empty() => Verdict::Unmet,
            false => Verdict::Met,
        };
        if doubt { Verdict::Unknown } else { verdict }
    }

    /// Judges every requirement. `told` hears how many are done.
    pub fn judge(&self, mut told: impl FnMut(usize)) -> Findings {
        let none = HashSet::new();
        let mut out = Findings::default();
        for (i, (capability, packages)) in self.requires.iter().enumerate() {
            let list = match self.verdict(capability, &none) {
                Verdict::Met => continue,
                Verdict::Unmet => &mut out.unmet,
                Verdict::Unknown => &mut out.unknown,
            };
            let requirement = capability.to_string();
            list.extend(packages.iter().map(|p| Finding { package: self.nevra(*p).to_owned(), requirement: requirement.clone() }));
            told(i + 1);
        }
        for list in [&mut out.unmet, &mut out.unknown] {
            list.sort();
            list.dedup();
        }
        out
    }

    /// Every package that cannot be installed out of the set: its own requirement is not met, or only by packages that cannot be installed.
    pub fn broken(&self) -> Vec<Broken> {
        let mut gone: HashSet<Number> = HashSet::new();
        // Why each fell: its requirement, and the provider on which it stood, if there was one.
        let mut why: HashMap<Number, (&Capability, Option<Number>)> = HashMap::new();
        let none = HashSet::new();
        for _ in 0..MAX_ROUNDS {
            let mut fell: HashSet<Number> = HashSet::new();
            for (capability, packages) in &self.requires {
                if packages.iter().all(|p| gone.contains(p)) || self.verdict(capability, &gone) != Verdict::Unmet {
                    continue;
                }
                let stood_on = self.stood_on(capability, &gone, &none);
                for p in packages.iter().filter(|p| !gone.contains(p)) {
                    // Of several reasons the one that is told does not depend on the order in which they were met.
                    let new = (capability, stood_on);
                    let held = why.entry(*p).or_insert(new);
                    if (new.1, new.0.to_string()) < (held.1, held.0.to_string()) {
                        *held = new;
                    }
                    fell.insert(*p);
                }
            }
            if fell.is_empty() {
                break;
            }
            gone.extend(fell);
        }
        let mut out: Vec<Broken> = gone.iter().map(|n| self.chain(*n, &why)).collect();
        out.sort_by(|a, b| (a.chain.len(), a.package()).cmp(&(b.chain.len(), b.package())));
        out
    }

    /// The first package that would meet a requirement, if only it could be installed itself.
    fn stood_on(&self, wanted: &Capability, gone: &HashSet<Number>, none: &HashSet<Number>) -> Option<Number> {
        let mut found: Option<Number> = None;
        let mut ask = |c: &Capability| {
            let all = self.providers(c, none);
            if let Some(n) = all.iter().filter(|n| gone.contains(n)).min() {
                found = Some(found.map_or(*n, |f| f.min(*n)));
            }
            all
        };
        if wanted.name.starts_with('(') {
            if let Some(rich) = parse_rich(&wanted.name) {
                judge(&rich, &mut ask);
            }
        } else {
            ask(wanted);
        }
        found
    }

    fn chain(&self, first: Number, why: &HashMap<Number, (&Capability, Option<Number>)>) -> Broken {
        let (mut chain, mut seen, mut at) = (Vec::new(), HashSet::new(), Some(first));
        let mut last: Option<&Capability> = None;
        while let Some(n) = at.filter(|n| seen.insert(*n)) {
            let Some((capability, next)) = why.get(&n) else { break };
            chain.push(Finding { package: self.nevra(n).to_owned(), requirement: capability.to_string() });
            (last, at) = (Some(*capability), *next);
        }
        let other = last.and_then(|c| self.provides.get(&c.name)).into_iter().flatten().map(|(n, _)| self.nevra(*n).to_owned());
        let mut offered: Vec<String> = other.collect();
        offered.sort();
        offered.dedup();
        offered.truncate(OFFERED);
        Broken { chain, offered }
    }
}

/// Those that a change breaks: broken after it, and not before. Packages are known by name and architecture, since a change moves versions.
pub fn newly(before: &[Broken], after: Vec<Broken>) -> Vec<Broken> {
    let bare = |nevra: &str| super::nevra::Nevra::parse(nevra).map_or_else(|_| nevra.to_owned(), |n| format!("{}.{}", n.name, n.arch));
    let known: HashSet<(String, String)> =
        before.iter().flat_map(|b| b.chain.last().map(|l| (bare(b.package()), l.requirement.clone()))).collect();
    let fresh = |b: &Broken| b.chain.last().is_none_or(|l| !known.contains(&(bare(b.package()), l.requirement.clone())));
    after.into_iter().filter(fresh).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAME VERSION: provides / requires`, dependencies divided by commas.
    fn world(lines: &[&str]) -> World {
        let mut w = World::default();
        let cap = |t: &str| {
            let t = t.trim();
            if t.starts_with('(') {
                return Capability { name: t.to_owned(), range: None };
            }
            match parse_rich(&format!("({t})")) {
                Some(super::super::dep::Rich::One(c)) => c,
                other => panic!("{t}: {other:?}"),
            }
        };
        for line in lines {
            let (head, rest) = line.split_once(':').unwrap();
            let (name, version) = head.split_once(' ').unwrap();
            let (provides, requires) = rest.split_once('|').unwrap();
            let n = w.package(format!("{name}-0:{version}-1.x86_64"));
            w.provide(n, cap(&format!("{name} = {version}-1")));
            for p in provides.split(',').filter(|p| !p.trim().is_empty()) {
                if p.trim().starts_with('/') { w.file(n, p.trim()) } else { w.provide(n, cap(p)) }
            }
            requires.split(',').filter(|r| !r.trim().is_empty()).for_each(|r| w.require(n, cap(r)));
        }
        w
    }

    fn told(w: &World) -> Vec<String> {
        w.broken().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_hold_breaks_what_needs_the_newer_one_and_all_that_stands_on_it() {
        let w = world(&[
            "crypto 1: |",
            "ssl 3: libssl | crypto >= 2",
            "python 3: | libssl",
            "app 1: | python, /usr/bin/x",
            "x 1: /usr/bin/x | rpmlib(X) <= 4",
        ]);
        let said = told(&w);
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(said[0], "ssl-0:3-1.x86_64 needs crypto >= 2, but there is crypto-0:1-1.x86_64");
        assert_eq!(
            said[2],
            "app-0:1-1.x86_64 needs python; python-0:3-1.x86_64 needs libssl; ssl-0:3-1.x86_64 needs crypto >= 2, but there is crypto-0:1-1.x86_64"
        );
        let before = world(&["crypto 2: |", "ssl 3: libssl | crypto >= 2", "python 3: | libssl"]);
        assert!(before.broken().is_empty());
        assert_eq!(newly(&before.broken(), w.broken()).len(), 3);
        assert!(newly(&w.broken(), w.broken()).is_empty());
    }

    #[test]
    fn a_second_provider_keeps_it_whole_and_circles_end() {
        let w = world(&["a 1: v | nothing", "b 1: v |", "c 1: | v", "d 1: | e", "e 1: | d", "f 1: | (a or b)", "g 1: | (a with v)"]);
        assert_eq!(
            told(&w),
            [
                "a-0:1-1.x86_64 needs nothing, which nothing provides",
                "g-0:1-1.x86_64 needs (a with v); a-0:1-1.x86_64 needs nothing, which nothing provides"
            ]
        );
        let lost = world(&["d 1: | e, gone", "e 1: | d"]);
        assert_eq!(lost.broken().len(), 2);
        assert_eq!(lost.judge(|_| ()).unmet.len(), 1);
    }

    #[test]
    fn what_depends_on_the_rest_is_unknown_and_breaks_nothing() {
        let w = world(&["a 1: | (x if b)", "b 1: |"]);
        let found = w.judge(|_| ());
        assert_eq!((found.unmet.len(), found.unknown.len()), (0, 1));
        assert!(w.broken().is_empty());
        assert_eq!(world(&["a 1: | /usr/bin/y, (/bin/z or q)"]).wanted_files().len(), 2);
        // A form that nobody here knows.
        let found = world(&["a 1: | (b xor b), (b and), (b nand b)", "b 1: |"]).judge(|_| ());
        assert_eq!((found.unmet.len(), found.unknown.len()), (0, 3));
    }

    #[test]
    fn a_relation_that_nobody_knows_is_never_taken_for_met() {
        let odd = |name: &str, version: &str| Capability { name: name.into(), range: Some((Sense::Other, Evr::parse(version))) };
        let mut w = world(&["b 1: |", "c 1: | q = 5, q, (q = 5 or b), (b if q = 5)"]);
        let n = w.package("a-0:1-1.x86_64".into());
        w.require(n, odd("b", "7"));
        w.require(n, odd("nobody", "7"));
        w.provide(n, odd("q", "6"));
        let told = |list: &[Finding]| list.iter().map(|f| f.requirement.clone()).collect::<Vec<_>>();
        let found = w.judge(|_| ());
        assert_eq!(told(&found.unmet), ["nobody (an unknown relation) 7"], "nothing has the name, whatever the relation");
        assert_eq!(told(&found.unknown), ["b (an unknown relation) 7", "(b if q = 5)", "(q = 5 or b)", "q = 5"]);
        // `<>` is known: any version but this one.
        let mut w = world(&["b 1: |"]);
        for version in ["1-1", "2"] {
            w.require(0, Capability { name: "b".into(), range: Some((Sense::Ne, Evr::parse(version))) });
        }
        assert_eq!(told(&w.judge(|_| ()).unmet), ["b <> 1-1"]);
    }
}
