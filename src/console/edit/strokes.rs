//! What a key does in a text: the same keys in every prompt, form and editor, as shells have them.

use tui_textarea::{CursorMove, TextArea};

use crate::console::keymap::{Code, Key};

/// How a key was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// The text is another one.
    Changed,
    /// The cursor may have moved.
    Moved,
    /// It is no key of a text.
    Ignored,
}

/// Moves and deletes within one line. Characters are left to the caller, and so is everything that knows of lines.
pub fn press(area: &mut TextArea<'_>, key: Key) -> Stroke {
    let moved = |area: &mut TextArea<'_>, m| {
        area.move_cursor(m);
        Stroke::Moved
    };
    let changed = |was: bool| if was { Stroke::Changed } else { Stroke::Moved };
    match (key.code, key.ctrl, key.alt) {
        (Code::Left, false, false) | (Code::Char('b'), true, false) => moved(area, CursorMove::Back),
        (Code::Right, false, false) | (Code::Char('f'), true, false) => moved(area, CursorMove::Forward),
        (Code::Left, true, _) | (Code::Left, _, true) | (Code::Char('b'), false, true) => moved(area, CursorMove::WordBack),
        (Code::Right, true, _) | (Code::Right, _, true) | (Code::Char('f'), false, true) => moved(area, CursorMove::WordForward),
        (Code::Home, ..) | (Code::Char('a'), true, false) => moved(area, CursorMove::Head),
        (Code::End, ..) | (Code::Char('e'), true, false) => moved(area, CursorMove::End),
        (Code::Backspace, _, true) | (Code::Char('w'), true, false) => changed(area.delete_word()),
        (Code::Backspace, ..) => changed(area.delete_char()),
        (Code::Delete, ..) | (Code::Char('d'), true, false) => changed(area.delete_next_char()),
        (Code::Char('d'), false, true) => changed(area.delete_next_word()),
        (Code::Char('k'), true, false) => changed(area.delete_line_by_end()),
        (Code::Char('u'), true, false) => changed(area.delete_line_by_head()),
        (Code::Char('y'), true, false) => changed(area.paste()),
        (Code::Char('_'), true, false) => changed(area.undo()),
        _ => Stroke::Ignored,
    }
}

/// A character that somebody typed into a text; none for keys that are no text.
pub fn sign(key: Key) -> Option<char> {
    match key.code {
        Code::Char(c) if !key.ctrl && !key.alt && !c.is_control() => Some(c),
        _ => None,
    }
}
