//! What is switched on for the console, and undone whatever ends it: raw mode, the other screen, bracketed paste, the hidden cursor.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::terminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Everything on.
pub const ON: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?2004h";
/// Clicks and the wheel, in numbers of any size; only for who asks for it, as the terminal selects no text then.
pub const MOUSE_ON: &str = "\u{1b}[?1000h\u{1b}[?1006h";
pub const MOUSE_OFF: &str = "\u{1b}[?1006l\u{1b}[?1000l";
/// Everything off, whatever of it is on.
const OFF: &str = "\u{1b}[?2026l\u{1b}[?1006l\u{1b}[?1000l\u{1b}[?2004l\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l";
/// Ends a sequence that was cut in two.
const CANCEL: &str = "\u{18}";
/// A terminal that takes nothing for so long is left as it is: the end must not hang on it.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// Whether the terminal is ours now: the hook of a panic asks, too.
static ON_NOW: AtomicBool = AtomicBool::new(false);
/// Half a frame is written.
pub static PARTIAL: AtomicBool = AtomicBool::new(false);
/// The title of the window is changed: the terminal keeps the one before, and takes it back.
pub static TITLE: AtomicBool = AtomicBool::new(false);
pub const KEEP_TITLE: &str = "\u{1b}[22;2t";
const TITLE_BACK: &str = "\u{1b}[23;2t";
/// The terminal, not blocking.
static OUT: OnceLock<OwnedFd> = OnceLock::new();

/// Undoes everything when dropped.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Raw mode; the caller then writes [`ON`] with its first frame.
    pub fn take() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        ON_NOW.store(true, Ordering::SeqCst);
        Ok(Self(()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Where [`restore`] writes to.
pub fn remember(out: OwnedFd) {
    let _ = OUT.set(out);
}

/// Puts the terminal back, once. For panics and signals too. A terminal that is gone needs nothing put back.
pub fn restore() {
    if ON_NOW.swap(false, Ordering::SeqCst) {
        let cancel = if PARTIAL.swap(false, Ordering::SeqCst) { CANCEL } else { "" };
        let title = if TITLE.swap(false, Ordering::SeqCst) { TITLE_BACK } else { "" };
        write(&format!("{cancel}{title}{OFF}"));
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

fn write(text: &str) {
    let Some(fd) = OUT.get() else { return };
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let mut ready = [PollFd::new(fd, PollFlags::OUT)];
        match poll(&mut ready, Some(&PATIENCE)) {
            Ok(n) if n > 0 && !ready[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => {}
            Err(rustix::io::Errno::INTR) => continue,
            _ => return,
        }
        match rustix::io::write(fd, rest) {
            Ok(n) => rest = &rest[n..],
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}
