//! The signs that are drawn beside letters: one set for terminals with UTF-8, one for all others. Both have the same widths.

/// A set of signs, each one column wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    pub cursor: &'static str,
    pub mark: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub ellipsis: &'static str,
    pub line: &'static str,
    pub upright: &'static str,
    /// Corners of a box: above left and right, below left and right.
    pub corners: [&'static str; 4],
    /// Where something goes off an upright line.
    pub branch: &'static str,
    pub good: &'static str,
    pub bad: &'static str,
    pub running: &'static str,
    pub waiting: &'static str,
    pub unknown: &'static str,
    pub none: &'static str,
    /// A bar, from nothing to full.
    pub bar: [&'static str; 3],
}

impl Glyphs {
    pub const UTF8: Self = Self {
        cursor: "▸",
        mark: "•",
        up: "▲",
        down: "▼",
        ellipsis: "…",
        line: "─",
        upright: "│",
        corners: ["┌", "┐", "└", "┘"],
        branch: "├",
        good: "✓",
        bad: "✗",
        running: "▶",
        waiting: "◦",
        unknown: "?",
        none: "·",
        bar: ["░", "▒", "█"],
    };
    pub const ASCII: Self = Self {
        cursor: ">",
        mark: "*",
        up: "^",
        down: "v",
        ellipsis: "~",
        line: "-",
        upright: "|",
        corners: ["+", "+", "+", "+"],
        branch: "+",
        good: "+",
        bad: "#",
        running: ">",
        waiting: "o",
        unknown: "?",
        none: ".",
        // Not `#`, which is a red run.
        bar: [".", "-", "="],
    };

    /// The set for a locale, from `LC_ALL`, `LC_CTYPE`, `LANG`: the first that is set and not empty speaks.
    pub fn of_locale(var: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|n| var(n).filter(|v| !v.is_empty())).unwrap_or_default();
        let name = locale.to_ascii_lowercase().replace('-', "");
        if name.contains("utf8") { Self::UTF8 } else { Self::ASCII }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_and_the_first_variable_that_says_something_speaks() {
        let env = |pairs: &'static [(&str, &str)]| move |n: &str| pairs.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned());
        assert_eq!(Glyphs::of_locale(env(&[("LANG", "en_GB.UTF-8")])), Glyphs::UTF8);
        assert_eq!(Glyphs::of_locale(env(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")])), Glyphs::ASCII);
        assert_eq!(Glyphs::of_locale(env(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")])), Glyphs::UTF8);
        assert_eq!(Glyphs::of_locale(env(&[])), Glyphs::ASCII);
    }
}
