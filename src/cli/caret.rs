//! A caret under the sign of a typed text that is at fault: a filter is one line, and may be long, wide, or hold what no terminal should see.

use unicode_width::UnicodeWidthChar;

use crate::base::sanitise;

/// Columns of the text that are shown before and behind the sign.
const BEFORE: usize = 56;
const BEHIND: usize = 16;

/// The text and, below it, the caret. `character` counts from 1; one behind the end is pointed at too.
pub fn under(text: &str, character: usize) -> String {
    let seen = |c: char| if c.is_whitespace() || sanitise::unseen(c) { ' ' } else { c };
    let wide = |c: &char| c.width().unwrap_or(0);
    let all: Vec<char> = text.chars().map(seen).collect();
    let (before, from) = all.split_at(character.saturating_sub(1).min(all.len()));
    let mut room = BEFORE;
    let first = before
        .iter()
        .rposition(|c| match room.checked_sub(wide(c)) {
            Some(left) => {
                room = left;
                false
            }
            None => true,
        })
        .map_or(0, |i| i + 1);
    let head: String = before[first..].iter().collect();
    let tail: String = from.iter().take(BEHIND).collect();
    let (cut, rest) = (if first > 0 { "…" } else { "" }, if from.len() > BEHIND { "…" } else { "" });
    let blanks = cut.chars().count() + before[first..].iter().map(wide).sum::<usize>();
    format!("{cut}{head}{tail}{rest}\n{}^", " ".repeat(blanks))
}

#[cfg(test)]
mod tests {
    use super::under;

    #[test]
    fn the_caret_stands_under_the_sign_whatever_is_before_it() {
        for (text, character, shown) in [
            ("started>=nope", 10, "started>=nope\n         ^"),
            ("number>", 7, "number>\n      ^"),
            ("number>", 8, "number>\n       ^"),
            ("日本 x=1", 4, "日本 x=1\n     ^"),
            ("a\tb\u{1b}c\u{202e} d=x", 7, "a b c  d=x\n      ^"),
            ("", 9, "\n^"),
        ] {
            assert_eq!(under(text, character), shown, "{text:?}");
        }
        let long = under(&format!("{} nope=1 {}", "x".repeat(500), "y".repeat(500)), 502);
        let (line, caret) = long.split_once('\n').unwrap();
        assert!(line.starts_with('…') && line.ends_with('…') && line.chars().count() == 74, "{long}");
        assert!(line.chars().skip(caret.chars().count() - 1).collect::<String>().starts_with("nope=1"), "{long}");
    }
}
