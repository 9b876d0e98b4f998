//! What is switched on for the console, and undone whatever ends it: raw mode, the other screen, bracketed paste, the hidden cursor.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::terminal;

/// Everything on, in one write; and everything off.
const ON: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?2004h\u{1b}[2J\u{1b}[H";
const OFF: &str = "\u{1b}[?2004l\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l";

/// Whether the terminal is ours now: the hook of a panic asks, too.
static ON_NOW: AtomicBool = AtomicBool::new(false);

/// Undoes everything when dropped.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    pub fn take() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        ON_NOW.store(true, Ordering::SeqCst);
        let guard = Self(());
        write(ON)?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back, once. For panics and signals too.
pub fn restore() {
    if ON_NOW.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs nothing put back.
        let _ = write(OFF);
        let _ = terminal::disable_raw_mode();
    }
}

/// A panic puts the terminal back before it says what it has to say.
pub fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        before(info);
    }));
}

pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
