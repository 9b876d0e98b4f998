//! One line that is being typed: cursor, words, kill and yank, undo. It knows no screen, and nothing of what its text means.

use tui_textarea::{CursorMove, TextArea};

use super::strokes::{self, Stroke};
use crate::base::sanitise;
use crate::console::keymap::Key;

/// Bytes. Longer is no line that somebody typed.
pub const MOST: usize = 500;

#[derive(Debug, Clone, Default)]
pub struct Line(TextArea<'static>);

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.cursor() == other.cursor()
    }
}

impl Eq for Line {}

impl From<&str> for Line {
    /// With the cursor behind the text.
    fn from(text: &str) -> Self {
        let one = text.replace(['\n', '\r'], " ");
        let mut area = TextArea::new(vec![one]);
        area.move_cursor(CursorMove::End);
        Self(area)
    }
}

impl Line {
    pub fn text(&self) -> &str {
        self.0.lines().first().map_or("", String::as_str)
    }

    /// Characters before the cursor.
    pub fn cursor(&self) -> usize {
        self.0.cursor().1
    }

    /// What stands before the cursor, and behind it.
    pub fn halves(&self) -> (&str, &str) {
        let text = self.text();
        let at = text.char_indices().nth(self.cursor()).map_or(text.len(), |(i, _)| i);
        text.split_at(at)
    }

    pub fn is_empty(&self) -> bool {
        self.text().is_empty()
    }

    /// Another text, as if it had been typed: it can be undone.
    pub fn set(&mut self, text: &str) {
        self.0.move_cursor(CursorMove::End);
        self.0.delete_line_by_head();
        self.0.insert_str(text.replace(['\n', '\r'], " "));
    }

    /// Puts `text` in the place of the `chars` characters before the cursor.
    pub fn replace_before(&mut self, chars: usize, text: &str) {
        for _ in 0..chars.min(self.cursor()) {
            self.0.delete_char();
        }
        self.put(text);
    }

    /// A paste, as one line without anything that a terminal would obey.
    pub fn paste(&mut self, text: &str) {
        self.put(&sanitise::cell(text));
    }

    fn put(&mut self, text: &str) {
        let room = MOST.saturating_sub(self.text().len());
        let mut used = 0;
        let fits: String = text.chars().take_while(|c| (used += c.len_utf8(), used <= room).1).collect();
        self.0.insert_str(fits);
    }

    /// Takes a key: false where it is none of a line's.
    pub fn press(&mut self, key: Key) -> bool {
        if let Some(c) = strokes::sign(key) {
            if self.text().len() + c.len_utf8() <= MOST {
                self.0.insert_char(c);
            }
            return true;
        }
        strokes::press(&mut self.0, key) != Stroke::Ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(text: &str, keys: &str) -> (String, usize) {
        let mut line = Line::from(text);
        for k in keys.split(' ') {
            assert!(line.press(k.parse().unwrap()), "{k}");
        }
        (line.text().to_owned(), line.cursor())
    }

    #[test]
    fn keys_move_and_delete_as_shells_do() {
        assert_eq!(after("run nightly", "C-w x"), ("run x".into(), 5));
        assert_eq!(after("run nightly", "A-b left C-k"), ("run".into(), 3));
        assert_eq!(after("abc", "home right x end y"), ("axbcy".into(), 5));
        assert_eq!(after("abc", "left C-u"), ("c".into(), 0));
        assert_eq!(after("abc", "C-u C-y"), ("abc".into(), 3));
        assert_eq!(after("é日x", "left left delete"), ("éx".into(), 1));
    }

    #[test]
    fn a_paste_is_one_harmless_line_and_has_an_end() {
        let mut line = Line::from("ab");
        line.press("left".parse().unwrap());
        line.paste("1\x1b[31m\n2\r\n");
        assert_eq!(line.text(), "a1 2b");
        line.paste(&"é".repeat(600));
        assert!(line.text().len() <= MOST && line.text().ends_with('b'));
        line.set("other");
        assert_eq!((line.text(), line.cursor()), ("other", 5));
        line.replace_before(2, "!!\n");
        assert!(!line.text().contains('\n'));
    }

    proptest! {
        #[test]
        fn any_keys_leave_one_line_of_bounded_length(start in ".{0,40}", keys in prop::collection::vec((any::<char>(), any::<bool>(), any::<bool>()), 0..60), paste in ".{0,80}") {
            let mut line = Line::from(start.as_str());
            for (c, ctrl, alt) in keys {
                line.press(Key { code: crate::console::keymap::Code::Char(c), ctrl, alt });
            }
            line.paste(&paste);
            prop_assert!(!line.text().contains('\n') && line.text().len() <= MOST.max(start.len()));
            prop_assert!(line.cursor() <= line.text().chars().count());
            let (a, b) = line.halves();
            prop_assert_eq!(format!("{a}{b}"), line.text());
        }
    }
}
