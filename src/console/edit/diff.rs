//! What differs between two texts, as lines with a few around them.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

/// Unchanged lines that are shown around a change.
const AROUND: usize = 2;
/// Two texts that have nothing in common are compared for no longer than this; what is shown then is true, but not the shortest.
const PATIENCE: Duration = Duration::from_millis(200);
/// Lines of a difference that are kept: more would be read by nobody, and it is said how many there are.
const MOST: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Both,
    Old,
    New,
    /// Lines that are left out between two changes, or what is said about the rest.
    Gap,
}

impl Side {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Both => " ",
            Self::Old => "-",
            Self::New => "+",
            Self::Gap => "@",
        }
    }
}

pub type Lines = Vec<(Side, String)>;

/// From `old` to `new`. Empty where they are the same.
pub fn between(old: &str, new: &str) -> Lines {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    let mut out = Lines::new();
    for group in diff.grouped_ops(AROUND) {
        let first = group.first().map_or(0, |op| op.new_range().start);
        out.push((Side::Gap, format!("line {}", first + 1)));
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let side = match change.tag() {
                ChangeTag::Equal => Side::Both,
                ChangeTag::Delete => Side::Old,
                ChangeTag::Insert => Side::New,
            };
            out.push((side, change.value().trim_end_matches('\n').to_owned()));
            if change.missing_newline() {
                out.push((Side::Gap, "no new line at its end".to_owned()));
            }
        }
    }
    if out.len() > MOST {
        let more = out.len() - MOST;
        out.truncate(MOST);
        out.push((Side::Gap, format!("{more} more lines differ")));
    }
    out
}

/// `3 lines in, 1 out`.
pub fn counts(lines: &Lines) -> String {
    let of = |s: Side| lines.iter().filter(|(side, _)| *side == s).count();
    let word = |n: usize| crate::base::count::s(n as u64, "line");
    match (of(Side::New), of(Side::Old)) {
        (0, 0) => "nothing".to_owned(),
        (new, 0) => format!("{} in", word(new)),
        (0, old) => format!("{} out", word(old)),
        (new, old) => format!("{} in, {old} out", word(new)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> String {
        between(old, new).iter().map(|(s, t)| format!("{}{t}\n", s.sign())).collect()
    }

    #[test]
    fn a_change_stands_between_the_lines_around_it() {
        assert_eq!(shown("a\nb\nc\nd\ne\nf\n", "a\nb\nc\nD\ne\nf\n"), "@line 2\n b\n c\n-d\n+D\n e\n f\n");
        assert_eq!(shown("a\n", "a\n"), "");
        assert_eq!(shown("", "x\n"), "@line 1\n+x\n");
        assert_eq!(shown("x\n", "x"), "@line 1\n-x\n+x\n@no new line at its end\n");
        assert_eq!(counts(&between("a\nb\n", "a\nc\nd\n")), "2 lines in, 1 out");
    }

    #[test]
    fn a_huge_difference_is_cut_and_says_so() {
        let old: String = (0..3_000).map(|n| format!("a{n}\n")).collect();
        let lines = between(&old, "b\n");
        assert!(lines.len() == MOST + 1 && lines.last().unwrap().1.ends_with("more lines differ"));
    }
}
