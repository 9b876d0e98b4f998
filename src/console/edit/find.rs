//! Looking for something in the text of a page: where it is, and the next place after the cursor's.

use regex::{Regex, RegexBuilder};

use super::page::{Page, cursor};

/// A pattern that compiles to more is refused.
const PATTERN_MAX: usize = 1 << 20;

/// How a jump went: round past an end of the text or not; which of how many places it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub round: bool,
    pub number: usize,
    pub of: usize,
}

/// A regular expression; small letters only = both cases are meant.
pub fn pattern(text: &str) -> Result<Regex, String> {
    let both = !text.chars().any(char::is_uppercase);
    RegexBuilder::new(text).case_insensitive(both).size_limit(PATTERN_MAX).build().map_err(|e| {
        let why = e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("no regular expression: {why}; put a \\ before signs that are meant as themselves")
    })
}

/// Every place, as line and characters of it, both from 0. Empty matches are none.
pub fn places(lines: &[String], what: &Regex) -> Vec<(usize, usize)> {
    lines.iter().enumerate().flat_map(|(n, line)| of_line(line, what).into_iter().map(move |(from, _)| (n, from))).collect()
}

/// The places of one line: characters from, to.
pub fn of_line(line: &str, what: &Regex) -> Vec<(usize, usize)> {
    let chars = |at: usize| line[..at].chars().count();
    what.find_iter(line).filter(|m| !m.is_empty()).map(|m| (chars(m.start()), chars(m.end()))).collect()
}

/// Puts the cursor on the next place, or the one before; `here`: the cursor's own place counts too. None: there is no place.
pub fn jump(page: &mut Page, forward: bool, here: bool) -> Option<Found> {
    let all = places(page.area.lines(), page.search.as_ref()?);
    let at = cursor(&page.area);
    let next = match forward {
        true => all.iter().position(|p| *p > at || (here && *p == at)),
        false => all.iter().rposition(|p| *p < at),
    };
    let number = next.unwrap_or(if forward { 0 } else { all.len().saturating_sub(1) });
    let (row, column) = *all.get(number)?;
    page.jump(row, column);
    Some(Found { round: next.is_none(), number: number + 1, of: all.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::edit::page::tests::open;

    #[test]
    fn places_are_found_one_after_the_other_and_round() {
        let mut page = open("stages:\n  - name: Build\n    run: \u{e9}build; build\n");
        page.search = Some(pattern("build").unwrap());
        let mut go = |forward, here| {
            let found = jump(&mut page, forward, here).unwrap();
            (cursor(&page.area), found.number, found.round)
        };
        assert_eq!(go(true, true), ((1, 10), 1, false));
        assert_eq!(go(true, true), ((1, 10), 1, false), "it stands there already");
        assert_eq!(go(true, false), ((2, 10), 2, false), "columns are characters");
        assert_eq!(go(true, false), ((2, 17), 3, false));
        assert_eq!(go(true, false), ((1, 10), 1, true));
        assert_eq!(go(false, false), ((2, 17), 3, true));
        page.search = Some(pattern("Build").unwrap());
        assert_eq!(places(page.area.lines(), page.search.as_ref().unwrap()), [(1, 10)], "a capital means itself");
        page.search = Some(pattern("x*").unwrap());
        assert_eq!(jump(&mut page, true, true), None, "nothing is no place");
        assert!(pattern("(").unwrap_err().contains("no regular expression"));
    }
}
