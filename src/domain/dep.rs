//! Dependencies of packages: version ranges as RPM compares them, and the rich forms `(a or b)`, `(a if b else c)`, ….

use std::cmp::Ordering;
use std::fmt;

use super::version::EvrRef;

/// Which versions are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sense {
    Eq,
    Lt,
    Gt,
    Le,
    Ge,
    /// Any but this one.
    Ne,
    /// The metadata says a relation that nobody here knows: what fits it is unknown.
    Other,
}

impl Sense {
    const fn less(self) -> bool {
        matches!(self, Self::Lt | Self::Le | Self::Ne)
    }

    const fn greater(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Ne)
    }

    const fn equal(self) -> bool {
        matches!(self, Self::Eq | Self::Le | Self::Ge)
    }
}

/// `[EPOCH:]VERSION[-RELEASE]`; an absent epoch is 0, an absent release fits every release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Evr {
    pub epoch: String,
    pub version: String,
    pub release: String,
}

impl Evr {
    pub fn parse(text: &str) -> Self {
        let (epoch, rest) = text.split_once(':').unwrap_or(("", text));
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch: epoch.into(), version: version.into(), release: release.into() }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.borrowed().compare_loosely(other.borrowed())
    }

    fn borrowed(&self) -> EvrRef<'_> {
        EvrRef { epoch: &self.epoch, version: &self.version, release: &self.release }
    }
}

/// A name, with a range of versions or without.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Capability {
    pub name: String,
    pub range: Option<(Sense, Evr)>,
}

/// RPM's rule of overlapping ranges. A side without a version fits every version. With a relation that nobody knows nothing overlaps: see
/// [`in_doubt`].
pub fn overlaps(provided: Option<&(Sense, Evr)>, required: Option<&(Sense, Evr)>) -> bool {
    let (Some((ps, pv)), Some((rs, rv))) = (provided, required) else { return true };
    if in_doubt(provided, required) {
        return false;
    }
    match pv.compare(rv) {
        Ordering::Less => ps.greater() || rs.less(),
        Ordering::Greater => ps.less() || rs.greater(),
        Ordering::Equal => (ps.equal() && rs.equal()) || (ps.less() && rs.less()) || (ps.greater() && rs.greater()),
    }
}

/// Whether nobody can say if these overlap.
pub fn in_doubt(provided: Option<&(Sense, Evr)>, required: Option<&(Sense, Evr)>) -> bool {
    provided.zip(required).is_some_and(|((p, _), (r, _))| [p, r].contains(&&Sense::Other))
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let Some((sense, evr)) = &self.range else { return Ok(()) };
        let sign = match sense {
            Sense::Eq => "=",
            Sense::Lt => "<",
            Sense::Gt => ">",
            Sense::Le => "<=",
            Sense::Ge => ">=",
            Sense::Ne => "<>",
            Sense::Other => "(an unknown relation)",
        };
        write!(f, " {sign} ")?;
        if !evr.epoch.is_empty() && evr.epoch != "0" {
            write!(f, "{}:", evr.epoch)?;
        }
        f.write_str(&evr.version)?;
        if evr.release.is_empty() { Ok(()) } else { write!(f, "-{}", evr.release) }
    }
}

/// A boolean dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rich {
    One(Capability),
    And(Vec<Rich>),
    Or(Vec<Rich>),
    /// One package must satisfy all of these.
    With(Vec<Rich>),
    /// One package must satisfy the first and not the second.
    Without(Box<Rich>, Box<Rich>),
    If {
        then: Box<Rich>,
        cond: Box<Rich>,
        otherwise: Option<Box<Rich>>,
    },
    Unless {
        then: Box<Rich>,
        cond: Box<Rich>,
        otherwise: Option<Box<Rich>>,
    },
}

/// What can be said of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Met,
    Unmet,
    /// It depends on what else is installed.
    Unknown,
}

const MAX_DEPTH: usize = 16;

/// Reads a rich form; `None` for what this version does not understand.
pub fn parse_rich(text: &str) -> Option<Rich> {
    let mut tokens = Tokens { text, at: 0 };
    let rich = tokens.group(0)?;
    tokens.space();
    (tokens.at == text.len()).then_some(rich)
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, c: char) -> bool {
        self.space();
        let hit = self.text[self.at..].starts_with(c);
        self.at += if hit { c.len_utf8() } else { 0 };
        hit
    }

    /// A word up to a blank or a closing parenthesis that it did not open itself: `libc.so.6()(64bit)` is one word.
    fn word(&mut self) -> Option<&'a str> {
        self.space();
        let rest = &self.text[self.at..];
        let mut depth = 0usize;
        let mut end = rest.len();
        for (i, c) in rest.char_indices() {
            match c {
                '(' => depth += 1,
                ')' if depth == 0 => {
                    end = i;
                    break;
                }
                ')' => depth -= 1,
                c if c.is_whitespace() => {
                    end = i;
                    break;
                }
                _ => {}
            }
        }
        self.at += end;
        (end > 0).then(|| &rest[..end])
    }

    fn peek_word(&mut self) -> Option<&'a str> {
        let at = self.at;
        let word = self.word();
        self.at = at;
        word
    }

    fn operand(&mut self, depth: usize) -> Option<Rich> {
        self.space();
        if self.text[self.at..].starts_with('(') {
            return self.group(depth + 1);
        }
        let name = self.word()?.to_owned();
        let sense = match self.peek_word() {
            Some("=" | "==") => Sense::Eq,
            Some("<") => Sense::Lt,
            Some(">") => Sense::Gt,
            Some("<=") => Sense::Le,
            Some(">=") => Sense::Ge,
            _ => return Some(Rich::One(Capability { name, range: None })),
        };
        self.word()?;
        let evr = Evr::parse(self.word()?);
        Some(Rich::One(Capability { name, range: Some((sense, evr)) }))
    }

    fn group(&mut self, depth: usize) -> Option<Rich> {
        if depth > MAX_DEPTH || !self.eat('(') {
            return None;
        }
        let first = self.operand(depth)?;
        if self.eat(')') {
            return Some(first);
        }
        let word = self.word()?;
        let second = self.operand(depth)?;
        let rich = match word {
            "and" | "or" | "with" => {
                let mut all = vec![first, second];
                while !self.eat(')') {
                    // One kind only in a group: rpm demands parentheses otherwise.
                    if self.word()? != word {
                        return None;
                    }
                    all.push(self.operand(depth)?);
                }
                return Some(match word {
                    "and" => Rich::And(all),
                    "or" => Rich::Or(all),
                    _ => Rich::With(all),
                });
            }
            "without" => Rich::Without(Box::new(first), Box::new(second)),
            "if" | "unless" => {
                let otherwise = match self.peek_word() {
                    Some("else") => {
                        self.word()?;
                        Some(Box::new(self.operand(depth)?))
                    }
                    _ => None,
                };
                let (then, cond) = (Box::new(first), Box::new(second));
                if word == "if" { Rich::If { then, cond, otherwise } } else { Rich::Unless { then, cond, otherwise } }
            }
            _ => return None,
        };
        self.eat(')').then_some(rich)
    }
}

/// Judges a rich form. `providers` gives the packages (by any number that stands for one) that satisfy a capability.
pub fn judge(rich: &Rich, providers: &mut dyn FnMut(&Capability) -> Vec<u32>) -> Verdict {
    use Verdict::{Met, Unknown, Unmet};
    match rich {
        Rich::One(c) => met(!providers(c).is_empty()),
        Rich::And(all) => all.iter().map(|r| judge(r, providers)).fold(Met, |a, b| match (a, b) {
            (Unmet, _) | (_, Unmet) => Unmet,
            (Unknown, _) | (_, Unknown) => Unknown,
            _ => Met,
        }),
        Rich::Or(all) => all.iter().map(|r| judge(r, providers)).fold(Unmet, |a, b| match (a, b) {
            (Met, _) | (_, Met) => Met,
            (Unknown, _) | (_, Unknown) => Unknown,
            _ => Unmet,
        }),
        Rich::With(_) | Rich::Without(..) => match one_package(rich, providers) {
            Some(packages) => met(!packages.is_empty()),
            None => Unknown,
        },
        Rich::If { then, cond, otherwise } => {
            let (then, cond) = (judge(then, providers), judge(cond, providers));
            let otherwise = otherwise.as_ref().map_or(Met, |o| judge(o, providers));
            match (cond, then, otherwise) {
                // The condition cannot come true here.
                (Unmet, _, o) => o,
                (_, Met, Met) => Met,
                (_, Unmet, Unmet) => Unmet,
                _ => Unknown,
            }
        }
        Rich::Unless { then, cond, otherwise } => {
            let (then, cond) = (judge(then, providers), judge(cond, providers));
            let otherwise = otherwise.as_ref().map_or(Met, |o| judge(o, providers));
            match (cond, then, otherwise) {
                (Unmet, t, _) => t,
                (_, Met, Met) => Met,
                (_, Unmet, Unmet) => Unmet,
                _ => Unknown,
            }
        }
    }
}

const fn met(yes: bool) -> Verdict {
    if yes { Verdict::Met } else { Verdict::Unmet }
}

/// The packages that satisfy a form by themselves; `None` where the form is not about one package.
fn one_package(rich: &Rich, providers: &mut dyn FnMut(&Capability) -> Vec<u32>) -> Option<Vec<u32>> {
    match rich {
        Rich::One(c) => Some(providers(c)),
        Rich::With(all) => {
            let mut sets = all.iter().map(|r| one_package(r, providers));
            let first = sets.next()??;
            sets.try_fold(first, |left, set| set.map(|s| left.into_iter().filter(|p| s.contains(p)).collect()))
        }
        Rich::Without(a, b) => {
            let (a, b) = (one_package(a, providers)?, one_package(b, providers)?);
            Some(a.into_iter().filter(|p| !b.contains(p)).collect())
        }
        Rich::Or(all) => all.iter().map(|r| one_package(r, providers)).try_fold(Vec::new(), |mut out, set| {
            out.extend(set?);
            Some(out)
        }),
        Rich::And(_) | Rich::If { .. } | Rich::Unless { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cap(text: &str) -> Capability {
        match parse_rich(&format!("({text})")) {
            Some(Rich::One(c)) => c,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// As `rpm --eval` and rpmdsCompare judge them.
    #[test]
    fn ranges_overlap_as_rpm_has_it() {
        for (provided, required, fits) in [
            ("a = 1.0-1", "a", true),
            ("a", "a >= 5", true),
            ("a = 1.0-1", "a = 1.0", true),
            ("a = 1.0", "a = 1.0-7", true),
            ("a = 1.0-1", "a = 1.0-2", false),
            ("a = 1.0-1", "a >= 1.0-1", true),
            ("a = 1.0-1", "a > 1.0-1", false),
            ("a = 1.0-2", "a > 1.0-1", true),
            ("a = 1.0-1", "a < 1.0", false),
            ("a = 1.0-1", "a <= 1.0", true),
            ("a = 1:0.1-1", "a >= 2.0", true),
            ("a = 0:2.0-1", "a = 2.0-1", true),
            ("a = 1.0~rc1-1", "a >= 1.0", false),
            ("a = 1.0^git1-1", "a > 1.0", true),
            ("a < 3", "a > 1", true),
            ("a < 3", "a >= 3", false),
            ("a >= 3", "a > 3", true),
            ("a <= 3", "a < 3", true),
            ("a <= 3", "a = 3", true),
        ] {
            let (provides, requires) = (cap(provided), cap(required));
            assert_eq!(overlaps(provides.range.as_ref(), requires.range.as_ref()), fits, "{provided} for {required}");
        }
        assert_eq!(cap("a >= 2:1.0-3").to_string(), "a >= 2:1.0-3");
        // Only the metadata of others can say this one.
        let not_three = (Sense::Ne, Evr::parse("3"));
        for (other, fits) in [("a = 3", false), ("a = 2", true), ("a >= 3", true), ("a <= 3", true), ("a", true)] {
            let other = cap(other);
            assert_eq!(overlaps(other.range.as_ref(), Some(&not_three)), fits, "{other} for a <> 3");
            assert_eq!(overlaps(Some(&not_three), other.range.as_ref()), fits, "a <> 3 for {other}");
        }
    }

    #[test]
    fn rich_forms_are_read() {
        assert_eq!(parse_rich("(libc.so.6()(64bit) or perl(Foo::Bar) >= 1)").map(|r| matches!(r, Rich::Or(v) if v.len() == 2)), Some(true));
        assert!(matches!(parse_rich("(a and b and c)"), Some(Rich::And(v)) if v.len() == 3));
        assert!(matches!(parse_rich("(a if (b or c) else d)"), Some(Rich::If { otherwise: Some(_), .. })));
        assert!(matches!(parse_rich("((a with b) without c)"), Some(Rich::Without(..))));
        for bad in ["", "a", "(a", "(a or)", "(a or b and c)", "(a xor b)", "(a or b) c", "()", "(a >= )"] {
            assert_eq!(parse_rich(bad), None, "{bad}");
        }
        let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        assert_eq!(parse_rich(&deep), None);
    }

    #[test]
    fn rich_forms_are_judged_by_what_there_is() {
        // Package 1 provides a and b, package 2 provides c.
        let mut have = |c: &Capability| match c.name.as_str() {
            "a" | "b" => vec![1],
            "c" => vec![2],
            _ => vec![],
        };
        for (text, verdict) in [
            ("(a or x)", Verdict::Met),
            ("(x or y)", Verdict::Unmet),
            ("(a and c)", Verdict::Met),
            ("(a and x)", Verdict::Unmet),
            ("(a with b)", Verdict::Met),
            ("(a with c)", Verdict::Unmet),
            ("(a without c)", Verdict::Met),
            ("(a without b)", Verdict::Unmet),
            ("(x if y)", Verdict::Met),
            ("(a if c)", Verdict::Met),
            ("(x if c)", Verdict::Unknown),
            ("(x if c else y)", Verdict::Unmet),
            ("(x if y else a)", Verdict::Met),
            ("(x if y else z)", Verdict::Unmet),
            ("(a unless c)", Verdict::Met),
            ("(x unless y)", Verdict::Unmet),
            ("(x unless c)", Verdict::Unknown),
            ("((a and b) with c)", Verdict::Unknown),
        ] {
            assert_eq!(judge(&parse_rich(text).unwrap(), &mut have), verdict, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}|[()a-c <>=-]{0,60}") {
            let _ = parse_rich(&text);
            let _ = Evr::parse(&text);
        }
    }
}
