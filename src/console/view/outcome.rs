//! What became of several requests: how many of each outcome stays in sight; below it stands each one, and what has no room is scrolled to.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::dialog::{self, INDENT, Page};
use crate::console::model::Dialog;
use crate::console::widget::paint::wrapped;
use crate::theme::{Look, Role};

/// Rows of the box that are not scrolled: its borders, the counts, what is wrong with the last key, what the keys do.
const AROUND: u16 = 5;

pub fn draw(dialog: &Dialog, look: &Look, area: Rect, buf: &mut Buffer) {
    let lines = lines(dialog, area);
    let (seen, last) = measure(dialog, area);
    let first = dialog.scroll.min(last);
    let title = format!("{}: what became of it", dialog.action.title);
    let inner = dialog::boxed(look, area, buf, lines.len().min(seen) as u16 + AROUND - 2, &title);
    let mut page = Page { look, inner, buf, y: 0 };
    let counts = dialog.facts.first().map(|(label, text)| (label.as_str(), text.as_str())).unwrap_or_default();
    let shown = lines.iter().skip(first).take(seen).map(|(label, text)| (*label, text.as_str()));
    for (label, text) in std::iter::once(counts).chain(shown) {
        page.at(0, label, Role::Label);
        page.line(INDENT, text, Role::Text);
    }
    page.line(0, dialog.error.as_deref().unwrap_or_default(), Role::PromptError);
    let x = page.at(0, "[ Close ]", Role::Key);
    let more = if last > 0 { format!("   up, down: rows {} to {} of {}", first + 1, first + seen, lines.len()) } else { String::new() };
    page.line(x + 2, &format!("Enter, Esc: close{more}"), Role::Dialog);
}

/// Rows that show at once, and the last one to which it can be scrolled.
pub fn measure(dialog: &Dialog, area: Rect) -> (usize, usize) {
    let seen = usize::from(area.height.saturating_sub(AROUND).max(1));
    (seen, lines(dialog, area).len().saturating_sub(seen))
}

/// All but the counts, with its label where one begins.
fn lines(dialog: &Dialog, area: Rect) -> Vec<(&str, String)> {
    let width = usize::from(dialog::inside(area).saturating_sub(INDENT).max(8));
    let told = dialog.facts.iter().skip(1);
    told.flat_map(|(label, text)| {
        let labels = std::iter::once(label.as_str()).chain(std::iter::repeat(""));
        labels.zip(wrapped(text, width)).collect::<Vec<_>>()
    })
    .collect()
}
