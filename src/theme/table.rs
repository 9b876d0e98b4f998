//! A theme: the style of each role. `plain` uses attributes only and is what every other one falls back to.

use ratatui::style::{Modifier, Style};

use super::Role;

/// Styles by role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    pub name: String,
    styles: Vec<Style>,
}

impl Theme {
    /// Attributes alone: what must be told apart is told apart without a colour.
    pub fn plain() -> Self {
        let style = |role: &Role| {
            let plain = Style::new();
            match role {
                Role::Selected | Role::Identity | Role::DialogFocus => plain.add_modifier(Modifier::REVERSED),
                Role::Armed | Role::Alarm | Role::DialogDanger => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
                Role::Strong | Role::Heading | Role::Section | Role::Bad | Role::RibbonBad | Role::Key | Role::PromptError => {
                    plain.add_modifier(Modifier::BOLD)
                }
                Role::Match | Role::Marked | Role::Changed => plain.add_modifier(Modifier::UNDERLINED),
                _ => plain,
            }
        };
        Self { name: "mono".into(), styles: Role::ALL.iter().map(style).collect() }
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
