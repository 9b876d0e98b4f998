//! A theme for one terminal: the style of each role, and which theme is taken where nobody names one.

use ratatui::style::Style;

use super::sheet::{Ground, Sheet};
use super::{Depth, Role, builtin};

/// Styles by role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    pub name: String,
    /// What the terminal's own background is taken to be.
    pub ground: Ground,
    styles: Vec<Style>,
}

impl Theme {
    /// The styles of a sheet for a terminal of this depth. Where the sheet says nothing, and where it says something in colours that the
    /// terminal does not have, `mono` speaks: what must be told apart stays told apart.
    pub fn of(name: &str, sheet: &Sheet, depth: Depth) -> Self {
        let mono = builtin::built_in("mono").and_then(Result::ok).unwrap_or_default();
        let style = |role: &Role| {
            let plain = mono.style(*role, Depth::None).unwrap_or_default();
            match sheet.style(*role, depth) {
                None => plain,
                Some(s) if depth == Depth::None && (s.fg.is_some() || s.bg.is_some()) => plain,
                Some(s) => s,
            }
        };
        Self { name: name.to_owned(), ground: sheet.ground, styles: Role::ALL.iter().map(style).collect() }
    }

    /// Attributes alone.
    pub fn plain() -> Self {
        Self::of("mono", &Sheet::default(), Depth::None)
    }

    /// The one that suits the terminal: `COLORFGBG` says what its background is, where it is set; dark is assumed where it is not.
    pub fn suits(depth: Depth, var: impl Fn(&str) -> Option<String>) -> &'static str {
        let back = var("COLORFGBG").and_then(|v| v.rsplit(';').next().and_then(|n| n.parse::<u8>().ok()));
        match (depth, back) {
            (Depth::None, _) => "mono",
            (_, Some(7 | 9..=15)) => "light",
            (Depth::Ansi16, _) => "ansi16",
            _ => "dark",
        }
    }

    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// The same theme with another style for one role.
    pub fn with(mut self, role: Role, style: Style) -> Self {
        if let Some(s) = self.styles.get_mut(role as usize) {
            *s = style;
        }
        self
    }
}
