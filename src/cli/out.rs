//! What goes to the terminal: text made safe, tables that fit, JSON, colours where they are wanted; a closed pipe ends quietly.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::again::again;
use super::args::Color;
use super::failure::Failure;
use crate::api::error::ErrorBody;
use crate::base::sanitise;

/// Where and how a command prints.
#[derive(Debug, Clone)]
pub struct Out {
    pub json: bool,
    /// Standard output takes colours.
    pub colour: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    /// Columns of the terminal; 80 where it is none.
    pub width: usize,
    /// Zone of the site, for times on screen.
    pub zone: jiff::tz::TimeZone,
    /// What stood before the command: commands that a message names have it too.
    pub given: String,
    /// The exit code is what is waited for: a reader that goes away ends nothing.
    pub waits: bool,
}

/// A colour by what it means; a word always says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Warn,
    Dim,
    Bold,
}

impl Out {
    pub fn new(json: bool, color: Color) -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = match color {
            Color::Always | Color::Sixteen | Color::Many | Color::True => true,
            Color::Never => false,
            // https://no-color.org
            Color::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var("TERM").as_deref() != Ok("dumb")
            }
        };
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|w| usize::from(w.ws_col)).filter(|w| *w >= 20);
        Self { json, colour, terminal, width: size.unwrap_or(80), zone: jiff::tz::TimeZone::UTC, given: String::new(), waits: false }
    }

    /// Prints one line. The text must be safe already.
    pub fn line(&self, text: impl AsRef<str>) {
        self.raw(format!("{}\n", text.as_ref()).as_bytes());
    }

    /// Prints one line for people that names commands to type next.
    pub fn advice(&self, text: impl AsRef<str>) {
        self.line(self.again(text.as_ref()));
    }

    /// `text`, whose commands can be typed as they stand.
    pub fn again(&self, text: &str) -> String {
        again(text, &self.given)
    }

    /// Prints bytes as they are.
    pub fn raw(&self, bytes: &[u8]) {
        let mut to = io::stdout().lock();
        self.quiet(to.write_all(bytes).and_then(|()| to.flush()));
    }

    /// A reader that went away (`| head`) is no error of ours. Anything else that keeps us from printing is.
    fn quiet(&self, result: io::Result<()>) {
        match result {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe && self.waits => {}
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            Err(e) => {
                let _ = writeln!(io::stderr().lock(), "error: cannot write the output: {e}");
                std::process::exit(1);
            }
        }
    }

    /// Prints one JSON value on one line.
    pub fn value(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(e) => self.note(&format!("the answer cannot be written as JSON: {e}")),
        }
    }

    /// A remark that is no result: to standard error, made safe.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", sanitise::lines(&self.again(text)));
    }

    /// Text in a tone, where colours are on.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31;1",
            Tone::Warn => "33",
            Tone::Dim => "2",
            Tone::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A verdict or state in its tone.
    pub fn verdict(&self, word: &str) -> String {
        let tone = match word {
            "success" => Tone::Good,
            "failure" | "lost" | "invalid" => Tone::Bad,
            "cancelled" | "waiting" => Tone::Warn,
            "queued" | "skipped" | "pending" => Tone::Dim,
            _ => return word.to_owned(),
        };
        self.paint(tone, word)
    }

    /// Tells a failure: to standard error for people, as `{"error":…}` on standard output with `--json`, where the result would be.
    pub fn failure(&self, failure: &Failure) {
        if failure.told {
            return;
        }
        if self.json {
            let mut error = failure.error.clone();
            error.message = shorten(&self.again(&error.message));
            error.help = self.again(&error.help);
            // Where nobody can read it, the exit code says it all the same.
            if let Ok(text) = serde_json::to_string(&ErrorBody { error }) {
                let mut to = io::stdout().lock();
                let _ = writeln!(to, "{text}").and_then(|()| to.flush());
            }
            return;
        }
        let terminal = io::stderr().is_terminal() && self.colour;
        let mark = if terminal { "\u{1b}[31;1merror\u{1b}[0m" } else { "error" };
        let mut text = format!("{mark}: {}\n", shorten(&sanitise::lines(&self.again(failure.error.message.trim_end()))));
        for line in failure.marked.lines() {
            text.push_str(&format!("  {line}\n"));
        }
        for line in shorten(&sanitise::lines(&self.again(&failure.error.help))).lines().filter(|l| !l.is_empty()) {
            text.push_str(&format!("  {line}\n"));
        }
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Lines of at most 2,000 characters: what was typed is repeated in a message, and a screen full of it says nothing.
fn shorten(text: &str) -> String {
    const MOST: usize = 2_000;
    let cut = |line: &str| match line.char_indices().nth(MOST) {
        Some((i, _)) => format!("{}…", &line[..i]),
        None => line.to_owned(),
    };
    text.split('\n').map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn a_message_stays_readable_whatever_was_typed() {
        let long = format!("no run {}\nsecond", "ü".repeat(5_000));
        let cut = shorten(&long);
        assert!(cut.chars().count() == 2_000 + 1 + "\nsecond".len() && cut.ends_with("…\nsecond"), "{}", cut.len());
        assert_eq!(shorten("as it is\n"), "as it is\n");
    }
}
