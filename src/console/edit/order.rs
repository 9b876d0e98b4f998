//! What the pipeline page asks of the world, as data, and what comes back.

use std::path::PathBuf;

use super::judge::Judged;

/// One order. Everything about a pipeline is done in the order in which it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub name: String,
    pub ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Reads the file, and looks for texts that were never saved. `path` is where the engine reads it; none = nobody could say.
    Open { path: Option<PathBuf> },
    /// Judges the text once nothing was typed for a moment. With `keep` it is also kept against the end of this console; without,
    /// nothing is unsaved.
    Judge { text: String, revision: u64, keep: bool },
    /// Replaces the file, if it still is what was opened.
    Save { path: PathBuf, text: String, over: Stamp, shape: Shape },
    /// Keeps this text, and then takes the old one away that it came from.
    Adopt { text: String, from: PathBuf },
    /// Takes a kept text away.
    Drop { path: PathBuf },
    /// Nothing is unsaved any more.
    Clean,
}

/// What identifies the bytes of a file: sha256, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(pub String);

/// What stands around the lines of a file, and is written back as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// It began with a byte order mark.
    pub bom: bool,
    /// Each of its lines ended with CR LF.
    pub crlf: bool,
}

impl Shape {
    /// Takes it off.
    pub fn of(text: &str) -> (Self, String) {
        let (bom, rest) = text.strip_prefix('\u{feff}').map_or((false, text), |r| (true, r));
        let ends = rest.matches('\n').count();
        let crlf = ends > 0 && rest.matches("\r\n").count() == ends;
        (Self { bom, crlf }, if crlf { rest.replace("\r\n", "\n") } else { rest.to_owned() })
    }

    /// Puts it on again.
    pub fn put_on(self, text: &str) -> String {
        let lines = if self.crlf { text.replace('\n', "\r\n") } else { text.to_owned() };
        if self.bom { format!("\u{feff}{lines}") } else { lines }
    }
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    pub path: PathBuf,
    pub text: String,
    pub shape: Shape,
    pub stamp: Stamp,
    /// Why it cannot be replaced by this person.
    pub locked: Option<String>,
}

/// A text that some console kept and nobody saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub path: PathBuf,
    pub text: String,
    pub at: jiff::Timestamp,
}

/// An answer.
#[derive(Debug)]
pub struct Told {
    pub name: String,
    pub got: Got,
}

#[derive(Debug)]
pub enum Got {
    Opened {
        found: Box<Found>,
        draft: Option<Box<Draft>>,
    },
    Judged(Box<Judged>),
    Saved {
        text: String,
        stamp: Stamp,
    },
    /// Nothing was written: somebody else has changed the file.
    Moved(Box<Found>),
    /// What the person's own editor left.
    Edited(String),
    /// What was asked for is not done, and why. `closed`: there is no text to show.
    Failed {
        why: String,
        closed: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_the_lines_comes_back_as_it_was() {
        for text in ["", "a", "a\n", "\u{feff}a\nb\n", "a\r\nb\r\n", "a\r\nb\n", "\u{feff}\r\n", "a\rb\n"] {
            let (shape, inner) = Shape::of(text);
            assert_eq!(shape.put_on(&inner), text, "{text:?}");
        }
        assert_eq!(Shape::of("\u{feff}a\r\n").1, "a\n");
    }
}
