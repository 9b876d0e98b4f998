//! How many colours a terminal shows, and the nearest colour it has for one that it lacks.

use ratatui::style::Color;

/// The ladder, lowest rung first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Attributes only.
    None,
    Ansi16,
    Ansi256,
    True,
}

impl Depth {
    /// As people write it: in `--color`, and in the site file.
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "16" => Self::Ansi16,
            "256" => Self::Ansi256,
            "true" => Self::True,
            _ => return None,
        })
    }

    /// From the environment, and what the terminfo entry of `TERM` says: a name alone tells little of a terminal.
    pub fn of_terminal(var: impl Fn(&str) -> Option<String>, entry: impl FnOnce(&str) -> Option<Self>) -> Self {
        let named = Self::of_environment(&var);
        // What is plain, or says itself that it has all colours, is believed.
        if matches!(named, Self::None | Self::True) {
            return named;
        }
        match entry(&var("TERM").unwrap_or_default()) {
            Some(found) if named == Self::Ansi16 => found,
            Some(found) => named.max(found),
            None => named,
        }
    }

    /// From `NO_COLOR`, `COLORTERM` and `TERM`; nothing is asked of the terminal.
    pub fn of_environment(var: impl Fn(&str) -> Option<String>) -> Self {
        if var("NO_COLOR").is_some_and(|v| !v.is_empty()) {
            return Self::None;
        }
        let term = var("TERM").unwrap_or_default();
        if term.is_empty() || term == "dumb" || term.starts_with("vt1") || term.starts_with("vt2") || term.ends_with("-mono") {
            return Self::None;
        }
        let says = var("COLORTERM").unwrap_or_default().to_ascii_lowercase();
        if says.contains("truecolor") || says.contains("24bit") || term.ends_with("-direct") {
            return Self::True;
        }
        if term.contains("256color") { Self::Ansi256 } else { Self::Ansi16 }
    }

    /// The colour to send for `rgb`, whose stand-in among the sixteen is `ansi`.
    pub fn colour(self, (r, g, b): (u8, u8, u8), ansi: Color) -> Color {
        match self {
            Self::None => Color::Reset,
            Self::Ansi16 => ansi,
            Self::Ansi256 => Color::Indexed(nearest(r, g, b)),
            Self::True => Color::Rgb(r, g, b),
        }
    }
}

/// Steps of the 6×6×6 cube of the 256 colours.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest of cube and grey ramp, by squared distance.
fn nearest(r: u8, g: u8, b: u8) -> u8 {
    let step = |v: u8| (0..6u8).min_by_key(|i| STEPS[*i as usize].abs_diff(v)).unwrap_or(0);
    let far = |a: (u8, u8, u8)| {
        let d = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
        d(a.0, r) + d(a.1, g) + d(a.2, b)
    };
    let (i, j, k) = (step(r), step(g), step(b));
    let cube = (STEPS[i as usize], STEPS[j as usize], STEPS[k as usize]);
    let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
    let ramp = (mean.saturating_sub(3) / 10).min(23) as u8;
    let grey = 8 + 10 * ramp;
    if far((grey, grey, grey)) < far(cube) { 232 + ramp } else { 16 + 36 * i + 6 * j + k }
}

/// The colour of a number from 16 on: the cube, then the greys.
pub(super) fn of_256(n: u8) -> (u8, u8, u8) {
    if n >= 232 {
        let grey = 8 + 10 * (n - 232);
        return (grey, grey, grey);
    }
    let at = |i: u8| STEPS.get(usize::from(i % 6)).copied().unwrap_or(0);
    let n = n.saturating_sub(16);
    (at(n / 36), at(n / 6), at(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let depth = |pairs: &[(&str, &str)]| Depth::of_environment(|n| pairs.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned()));
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::True);
        assert_eq!(depth(&[("TERM", "screen-256color")]), Depth::Ansi256);
        assert_eq!(depth(&[("TERM", "linux")]), Depth::Ansi16);
        assert_eq!(depth(&[("TERM", "xterm"), ("NO_COLOR", "1")]), Depth::None);
        assert_eq!(depth(&[("TERM", "xterm"), ("NO_COLOR", "")]), Depth::Ansi16);
        assert_eq!(depth(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), Depth::None);
        assert_eq!(depth(&[]), Depth::None);
    }

    #[test]
    fn terminfo_knows_terminals_whose_name_says_nothing() {
        let depth = |pairs: &[(&str, &str)], entry: Option<Depth>| {
            Depth::of_terminal(|n| pairs.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned()), |_| entry)
        };
        assert_eq!(depth(&[("TERM", "alacritty")], Some(Depth::Ansi256)), Depth::Ansi256);
        assert_eq!(depth(&[("TERM", "xterm-kitty")], Some(Depth::True)), Depth::True);
        assert_eq!(depth(&[("TERM", "adm3a")], Some(Depth::None)), Depth::None);
        assert_eq!(depth(&[("TERM", "xterm-256color")], Some(Depth::Ansi16)), Depth::Ansi256, "the name says more");
        assert_eq!(depth(&[("TERM", "new")], None), Depth::Ansi16, "as before");
        assert_eq!(depth(&[("TERM", "xterm-kitty"), ("NO_COLOR", "1")], Some(Depth::True)), Depth::None);
    }

    #[test]
    fn the_nearest_of_256_is_itself_where_it_is_one() {
        assert_eq!(nearest(255, 0, 0), 196);
        assert_eq!(nearest(0, 0, 0), 16);
        assert_eq!(nearest(128, 128, 128), 244);
        assert_eq!(nearest(95, 135, 175), 67);
    }
}
