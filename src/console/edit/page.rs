//! The state of one pipeline's page: its text, what was found in it, what stands in the way. Plain data; `update::page` changes it.

use std::path::PathBuf;

use regex::Regex;
use tui_textarea::{CursorMove, TextArea};

use super::diff;
use super::judge::Judged;
use super::order::{Draft, Found, Shape, Stamp};
use super::strokes::{self, Stroke};
use crate::base::sanitise;
use crate::console::keymap::{Code, Key};
use crate::pipeline::Diagnostic;

/// Bytes of a text: the reader of pipelines takes no more.
pub const MOST: usize = 1 << 20;
/// Edits that can be taken back.
const UNDO: usize = 1_000;
/// What a level of YAML is indented by.
const INDENT: &str = "  ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Text,
    Plan,
    Graph,
    Lint,
    /// The other text, while there is one.
    Both,
}

/// Another text of the same pipeline, about which somebody must decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Other {
    /// The file, which was changed since it was opened.
    Disk(Box<Found>),
    /// What an earlier console kept.
    Kept(Box<Draft>),
}

impl Other {
    pub fn text(&self) -> &str {
        match self {
            Self::Disk(f) => &f.text,
            Self::Kept(d) => &d.text,
        }
    }
}

/// Where the page stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was asked yet, as it is not known where the file is.
    New,
    Opening,
    Open,
    /// There is no text, and why.
    None(String),
}

#[derive(Debug, Clone)]
pub struct Page {
    pub name: String,
    pub state: State,
    pub tab: Tab,
    pub area: TextArea<'static>,
    /// Another one with each text.
    pub revision: u64,
    /// The newest revision that was sent to be judged.
    pub asked: u64,
    /// Keys are text.
    pub typing: bool,
    pub path: PathBuf,
    pub shape: Shape,
    /// The text and the bytes of the file as they were read or written last.
    pub saved: String,
    pub stamp: Stamp,
    pub locked: Option<String>,
    pub judged: Option<Judged>,
    pub other: Option<Other>,
    /// The finding that is selected.
    pub at: usize,
    /// The first line that is drawn.
    pub top: usize,
    /// Rows that the tabs without a cursor are scrolled by.
    pub scroll: usize,
    /// What is looked for in the text.
    pub search: Option<Regex>,
}

impl Page {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: State::New,
            tab: Tab::Text,
            area: area(""),
            revision: 0,
            asked: 0,
            typing: false,
            path: PathBuf::new(),
            shape: Shape::default(),
            saved: String::new(),
            stamp: Stamp::default(),
            locked: None,
            judged: None,
            other: None,
            at: 0,
            top: 0,
            scroll: 0,
            search: None,
        }
    }

    /// The file as it is now, with nothing unsaved.
    pub fn show(&mut self, found: Found) {
        self.area = area(&found.text);
        self.state = State::Open;
        self.base(found);
        self.changed();
    }

    /// From here on the text stands against this file.
    pub fn base(&mut self, found: Found) {
        let Found { path, text, shape, stamp, locked } = found;
        (self.path, self.saved, self.shape, self.stamp, self.locked) = (path, text, shape, stamp, locked);
    }

    pub fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    /// Something is not in the file.
    pub fn unsaved(&self) -> bool {
        self.state == State::Open && !same(self.area.lines(), &self.saved)
    }

    /// Another text in the place of the whole; it can be taken back.
    pub fn replace(&mut self, text: &str) {
        let cursor = self.area.cursor();
        self.area.select_all();
        self.area.insert_str(text);
        self.jump(cursor.0, cursor.1);
        self.changed();
    }

    pub fn jump(&mut self, row: usize, column: usize) {
        let small = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        self.area.move_cursor(CursorMove::Jump(small(row), small(column)));
    }

    fn changed(&mut self) {
        self.revision += 1;
    }

    /// What was found in this text; none while it is being judged, or was not yet.
    pub fn current(&self) -> Option<&Judged> {
        self.judged.as_ref().filter(|j| j.revision == self.revision)
    }

    pub fn findings(&self) -> &[Diagnostic] {
        self.judged.as_ref().map_or(&[], |j| j.found.as_slice())
    }

    /// Findings of a line, counted from 0.
    pub fn findings_at(&self, line: usize) -> impl Iterator<Item = &Diagnostic> {
        self.findings().iter().filter(move |d| d.line as usize == line + 1)
    }

    /// To the place of the selected finding.
    pub fn go_to_finding(&mut self) {
        let Some((line, column)) = self.findings().get(self.at).map(|d| (d.line, d.column)) else { return };
        if line > 0 {
            self.jump(line as usize - 1, (column as usize).saturating_sub(1));
        }
    }

    /// The first line to draw, so that the cursor's line with what was found there is among `height` rows.
    pub fn first(&self, height: usize) -> usize {
        let row = self.area.cursor().0;
        let rows = |line: usize| 1 + self.findings_at(line).count();
        let mut top = self.top.min(row);
        let mut used: usize = (top..=row).map(rows).sum();
        while used > height.max(1) && top < row {
            used -= rows(top);
            top += 1;
        }
        top
    }

    /// Takes a key as text. Held down, or part of a paste, a key is text too; only a new line is then not indented.
    pub fn press(&mut self, key: Key, pasted: bool) {
        let full = self.area.lines().iter().map(|l| l.len() + 1).sum::<usize>() >= MOST;
        let changed = match (key.code, key.ctrl || key.alt) {
            (Code::Enter, _) if full => false,
            (Code::Enter, _) => {
                let indent = if pasted { String::new() } else { self.indent() };
                self.area.insert_newline();
                self.area.insert_str(indent);
                true
            }
            (Code::Tab, _) => !full && self.area.insert_str(INDENT),
            (Code::BackTab, _) => self.outdent(),
            (Code::Up, false) => self.step(CursorMove::Up),
            (Code::Down, false) => self.step(CursorMove::Down),
            (Code::Backspace, false) if self.in_indent() => self.area.delete_char() | self.area.delete_char(),
            _ => match strokes::sign(key) {
                Some(_) if full => false,
                Some(c) => {
                    self.area.insert_char(c);
                    true
                }
                None => strokes::press(&mut self.area, key) == Stroke::Changed,
            },
        };
        if changed {
            self.changed();
        }
    }

    pub fn step(&mut self, to: CursorMove) -> bool {
        self.area.move_cursor(to);
        false
    }

    /// A text that stood in the place of another goes in one step: the empty one between the two was nobody's.
    pub fn undo(&mut self) -> bool {
        let mut did = self.area.undo();
        if did && self.area.is_empty() {
            did |= self.area.undo();
        }
        if did {
            self.changed();
        }
        did
    }

    pub fn redo(&mut self) -> bool {
        let mut did = self.area.redo();
        if did && self.area.is_empty() {
            did |= self.area.redo();
        }
        if did {
            self.changed();
        }
        did
    }

    /// A paste, made harmless line by line: what only a terminal would read has no place in a pipeline.
    pub fn paste(&mut self, text: &str) {
        let held: usize = self.area.lines().iter().map(|l| l.len() + 1).sum();
        let mut room = MOST.saturating_sub(held);
        let ends = text.replace("\r\n", "\n").replace('\r', "\n");
        let safe: String = sanitise::lines(&ends)
            .chars()
            .take_while(|c| {
                let fits = room >= c.len_utf8();
                room = room.saturating_sub(c.len_utf8());
                fits
            })
            .collect();
        if self.area.insert_str(safe) {
            self.changed();
        }
    }

    /// What the next line begins with: as this one, and a level deeper behind a colon.
    fn indent(&self) -> String {
        let (row, column) = cursor(&self.area);
        let before: String = self.area.lines().get(row).map(|l| l.chars().take(column).collect()).unwrap_or_default();
        let mut out: String = before.chars().take_while(|c| *c == ' ').collect();
        let rest = before.trim();
        if rest.ends_with(':') || rest.ends_with('|') || rest.ends_with('>') {
            out.push_str(INDENT);
            if rest.starts_with("- ") {
                out.push_str(INDENT);
            }
        }
        out
    }

    /// Only blanks are before the cursor, a whole level of them.
    fn in_indent(&self) -> bool {
        let (row, column) = cursor(&self.area);
        let before = self.area.lines().get(row).map(|l| l.chars().take(column).all(|c| c == ' '));
        column > 0 && column.is_multiple_of(INDENT.len()) && before == Some(true)
    }

    fn outdent(&mut self) -> bool {
        let (row, column) = cursor(&self.area);
        let blanks = self.area.lines().get(row).map_or(0, |l| l.chars().take_while(|c| *c == ' ').count());
        let cut = blanks.min(INDENT.len());
        if cut == 0 {
            return false;
        }
        self.jump(row, 0);
        self.area.delete_str(cut);
        self.jump(row, column.saturating_sub(cut));
        true
    }

    /// What saving would change.
    pub fn difference(&self) -> diff::Lines {
        diff::between(&self.saved, &self.text())
    }
}

pub fn cursor(area: &TextArea<'_>) -> (usize, usize) {
    let at = area.cursor();
    (at.0, at.1)
}

fn same(lines: &[String], text: &str) -> bool {
    let mut others = text.split('\n');
    lines.iter().all(|l| others.next() == Some(l.as_str())) && others.next().is_none()
}

fn area(text: &str) -> TextArea<'static> {
    let mut area = TextArea::new(text.split('\n').map(str::to_owned).collect());
    area.set_max_histories(UNDO);
    area
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn open(text: &str) -> Page {
        let mut page = Page::new("one");
        page.show(Found { path: "/etc/one.yml".into(), text: text.into(), ..Found::default() });
        page
    }

    fn keys(page: &mut Page, keys: &str) {
        keys.split(' ').for_each(|k| page.press(k.parse().unwrap(), false));
    }

    #[test]
    fn lines_are_indented_as_yaml_wants_them() {
        let mut page = open("stages:");
        page.jump(0, 99);
        keys(&mut page, "enter - space n a m e : enter");
        assert_eq!(page.text(), "stages:\n  - name:\n      ");
        keys(&mut page, "backspace");
        assert_eq!(page.text(), "stages:\n  - name:\n    ");
        keys(&mut page, "x tab backtab");
        assert_eq!(page.text(), "stages:\n  - name:\n  x  ");
        assert!(page.unsaved());
        while page.undo() {}
        assert_eq!(page.text(), "stages:");
        assert!(!page.unsaved());
    }

    #[test]
    fn a_text_in_the_place_of_another_can_be_taken_back() {
        let mut page = open("a\nb\n");
        let before = page.revision;
        page.replace("c\n");
        assert!(page.text() == "c\n" && page.revision > before);
        assert!(page.undo() && page.text() == "a\nb\n", "in one step");
        assert!(page.redo() && page.text() == "c\n");
    }

    #[test]
    fn a_paste_has_no_sequence_and_keeps_its_lines() {
        let mut page = open("");
        page.paste("a:\r\n  b: \x1b[31mred\x1b]0;title\x07\n\tx");
        assert_eq!(page.text(), "a:\n  b: red\n        x");
    }

    proptest! {
        #[test]
        fn any_keys_leave_a_text_whose_cursor_is_in_it(
            start in "[a-z:\\- \n\u{e9}\u{65e5}]{0,60}",
            keys in prop::collection::vec((0usize..22, any::<char>(), any::<bool>(), any::<bool>(), any::<bool>()), 0..80),
            height in 0usize..30,
        ) {
            use crate::console::keymap::Code::*;
            let codes = [Enter, Tab, BackTab, Backspace, Delete, Up, Down, Left, Right, Home, End, PageUp, PageDown, Esc];
            let mut page = open(&start);
            for (n, c, ctrl, alt, pasted) in keys {
                match n {
                    14 => { page.undo(); }
                    15 => { page.redo(); }
                    16 => page.paste(&format!("{c}\n{c}")),
                    n => page.press(Key { code: codes.get(n).copied().unwrap_or(Char(c)), ctrl, alt }, pasted),
                }
                let (row, column) = cursor(&page.area);
                prop_assert!(page.area.lines().get(row).is_some_and(|l| column <= l.chars().count()));
                let first = page.first(height);
                prop_assert!(first <= row && row - first < height.max(1));
                page.top = first;
                prop_assert_eq!(page.unsaved(), page.text() != page.saved);
            }
        }
    }
}
