//! Colours by name and by number: the sixteen that every terminal has, and what each of them is taken to look like.

use ratatui::style::Color;

use super::Depth;

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

/// One colour of a theme: as it is meant, and the one of the sixteen that stands in for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hue {
    /// None: the terminal's own colour is meant, whatever it can show.
    pub rgb: Option<Rgb>,
    pub ansi: Color,
}

impl Hue {
    /// A true colour with the nearest of the sixteen.
    pub fn of(rgb: Rgb) -> Self {
        Self { rgb: Some(rgb), ansi: nearest(rgb) }
    }

    /// What is sent to a terminal of this depth.
    pub fn at(self, depth: Depth) -> Color {
        match (self.rgb, depth) {
            (_, Depth::None) => Color::Reset,
            (None, _) => self.ansi,
            (Some(rgb), _) => depth.colour(rgb, self.ansi),
        }
    }
}

/// The sixteen, with the colours of xterm: every terminal has others, and most can be set, so this is an assumption and no more.
pub const SIXTEEN: [(&str, Color, Rgb); 16] = [
    ("black", Color::Black, (0, 0, 0)),
    ("red", Color::Red, (205, 0, 0)),
    ("green", Color::Green, (0, 205, 0)),
    ("yellow", Color::Yellow, (205, 205, 0)),
    ("blue", Color::Blue, (0, 0, 238)),
    ("magenta", Color::Magenta, (205, 0, 205)),
    ("cyan", Color::Cyan, (0, 205, 205)),
    ("white", Color::Gray, (229, 229, 229)),
    ("bright-black", Color::DarkGray, (127, 127, 127)),
    ("bright-red", Color::LightRed, (255, 0, 0)),
    ("bright-green", Color::LightGreen, (0, 255, 0)),
    ("bright-yellow", Color::LightYellow, (255, 255, 0)),
    ("bright-blue", Color::LightBlue, (92, 92, 255)),
    ("bright-magenta", Color::LightMagenta, (255, 0, 255)),
    ("bright-cyan", Color::LightCyan, (0, 255, 255)),
    ("bright-white", Color::White, (255, 255, 255)),
];

/// The name of the terminal's own foreground or background.
pub const DEFAULT: &str = "default";

/// One of the sixteen, or the default, by name.
pub fn named(word: &str) -> Option<Color> {
    if word == DEFAULT {
        return Some(Color::Reset);
    }
    SIXTEEN.iter().find(|(name, ..)| *name == word).map(|(_, c, _)| *c)
}

/// `#rrggbb`.
pub fn hex(word: &str) -> Option<Rgb> {
    let digits = word.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let at = |i: usize| u8::from_str_radix(&digits[i..i + 2], 16).ok();
    Some((at(0)?, at(2)?, at(4)?))
}

fn nearest(rgb: Rgb) -> Color {
    let far = |(r, g, b): Rgb| {
        let d = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
        d(r, rgb.0) + d(g, rgb.1) + d(b, rgb.2)
    };
    SIXTEEN.iter().min_by_key(|(.., c)| far(*c)).map_or(Color::Reset, |(_, c, _)| *c)
}

/// What a colour looks like; none for the terminal's own foreground and background.
pub fn seen(colour: Color) -> Option<Rgb> {
    match colour {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some((r, g, b)),
        Color::Indexed(n @ 0..16) => Some(SIXTEEN[usize::from(n)].2),
        Color::Indexed(n) => Some(super::depth::of_256(n)),
        other => SIXTEEN.iter().find(|(_, c, _)| *c == other).map(|(.., rgb)| *rgb),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!(hex("#0aFF10"), Some((10, 255, 16)));
        for bad in ["", "#", "0aff10", "#0aff1", "#0aff100", "#0aff1g", "#äöü", "#+1+1+1"] {
            assert_eq!(hex(bad), None, "{bad}");
        }
        assert_eq!(named("bright-red"), Some(Color::LightRed));
        assert_eq!(named("default"), Some(Color::Reset));
        assert_eq!(named("mauve"), None);
        assert_eq!(Hue::of((250, 5, 5)).ansi, Color::LightRed);
        assert_eq!(seen(Color::Indexed(196)), Some((255, 0, 0)));
        assert_eq!(seen(Color::Indexed(244)), Some((128, 128, 128)));
    }
}
