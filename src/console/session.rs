//! The console on its terminal: what is shown, what is being written, when the next frame may come. Owns the guard.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;

use super::edge::place;
use super::model::Model;
use super::msg::Msg;
use super::term::attention::Attention;
use super::term::guard::{self, Guard};
use super::term::keys::Mouse;
use super::term::pace::Pace;
use super::term::probe::{self, Probe};
use super::term::tty::Output;
use super::term::{clip, paint};
use super::watch::Files;
use super::{shot, svg, update};
use crate::base::{sanitise, sys};
use crate::theme::Look;

/// A terminal that does not know its size.
const SIZE: (u16, u16) = (80, 24);
/// Frames of this many bytes are marked as one where the terminal knows how; smaller ones arrive in one piece anyway.
const MARKED: usize = 512;
const BEGIN: &str = "\u{1b}[?2026h";
/// Out of the other screen for a moment.
const PLAIN: &str = "\u{1b}[0m\u{1b}[?1049l\u{1b}[?25h";
/// The signal to go on that follows our own stop comes within this.
const SETTLED: Duration = Duration::from_millis(200);
const END: &str = "\u{1b}[?2026l";

/// Puts the terminal in order; what is returned puts it back.
type Take = fn() -> io::Result<Option<Guard>>;

pub struct Session {
    pub model: Model,
    pub output: Output,
    pub probe: Probe,
    /// Something happened that the screen may not show yet.
    pub dirty: bool,
    /// The name of a look that was asked for.
    pub wanted: Option<String>,
    /// It was a person who made it happen.
    pub keyed: bool,
    look: Look,
    take: Take,
    guard: Option<Guard>,
    shown: Option<Buffer>,
    pace: Pace,
    /// The number of the frame that is being written.
    writing: Option<u64>,
    frame: u64,
    frames: u64,
    /// A text stands on the plain screen; any key leads back.
    away: bool,
    /// When the terminal was taken last.
    entered: Instant,
    told: bool,
    attention: Attention,
    /// URLs that the engine vouches for are links.
    pub links: bool,
    /// The terminal may be asked what it is.
    pub asks: bool,
    /// The worst fact, as it was told last.
    worst: Option<(String, bool)>,
}

impl Session {
    /// Takes the terminal. Nothing is shown yet.
    pub fn open(mut model: Model, look: Look, attention: Attention, output: Output, take: Take) -> io::Result<Self> {
        model.size = output.size().unwrap_or(SIZE);
        let guard = take()?;
        Ok(Self {
            take,
            model,
            output,
            probe: Probe::default(),
            dirty: true,
            wanted: None,
            keyed: true,
            look,
            guard,
            shown: None,
            pace: Pace::default(),
            writing: None,
            frame: 0,
            frames: 0,
            away: false,
            entered: Instant::now(),
            told: false,
            attention,
            links: false,
            asks: true,
            worst: None,
        })
    }

    /// The first frame, and behind it what the terminal is asked.
    pub fn first(&mut self) -> io::Result<()> {
        self.output.put(guard::ON.as_bytes())?;
        self.draw()?;
        self.ask()
    }

    /// Asks the terminal what it is, unless it is not to be asked.
    fn ask(&mut self) -> io::Result<()> {
        if self.asks && Probe::may_ask(&term()) {
            self.output.put(probe::QUESTION.as_bytes())?;
            self.probe.ask(Instant::now());
        }
        Ok(())
    }

    /// Draws where something changed, the terminal has taken what was written before, and it is time. True = since the last call a frame was
    /// written to its end: it is to be told as a message.
    pub fn draw(&mut self) -> io::Result<bool> {
        if self.wants() && self.pace.wait(Instant::now(), self.keyed).is_none() {
            (self.dirty, self.keyed) = (false, false);
            self.measure();
            let begun = Instant::now();
            #[cfg(debug_assertions)]
            broken_on_purpose(self.frames);
            let next = shot::draw(&self.model, &self.look);
            let vouched = self.model.status().filter(|_| self.links).map_or(&[][..], |s| s.links.as_slice());
            let bytes = paint::linked(self.shown.as_ref(), &next, vouched);
            self.shown = Some(next);
            self.writing = Some(self.model.frame);
            if let Some(stats) = &mut self.model.debug {
                // Of this frame, and seen in the next one: a frame cannot show what it cost itself.
                (stats.frame_us, stats.frame_bytes) = (u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX), bytes.len());
            }
            if !bytes.is_empty() {
                self.frames += 1;
                self.pace.begin(Instant::now());
                if self.probe.sync && bytes.len() >= MARKED {
                    self.output.put(format!("{BEGIN}{bytes}{END}").as_bytes())?;
                } else {
                    self.output.put(bytes.as_bytes())?;
                }
            }
            self.tell()?;
            if !self.output.busy() {
                self.taken();
            }
        }
        Ok(std::mem::take(&mut self.told))
    }

    /// Bell, notice and title, for those who asked for them.
    fn tell(&mut self) -> io::Result<()> {
        if self.attention == Attention::default() {
            return Ok(());
        }
        let Some(worst) = update::facts::facts(&self.model).into_iter().next() else { return Ok(()) };
        let now = (format!("{}: {}", self.model.site.name, worst.text), worst.weight >= 2);
        let bytes = self.attention.tell(self.worst.as_ref(), &now, &term(), in_tmux());
        self.worst = Some(now);
        if self.attention.title && !bytes.is_empty() && !guard::TITLE.swap(true, Ordering::SeqCst) {
            self.output.put(guard::KEEP_TITLE.as_bytes())?;
        }
        self.output.put(bytes.as_bytes())
    }

    /// Everything is written.
    pub fn taken(&mut self) {
        self.pace.taken(Instant::now());
        if let Some(frame) = self.writing.take() {
            self.frame = frame;
            self.told = true;
        }
    }

    /// The frame that was written last.
    pub fn frame(&self) -> u64 {
        self.frame
    }

    fn wants(&self) -> bool {
        self.dirty && !self.away && !self.output.busy()
    }

    /// How long until a frame that is wanted may be drawn.
    pub fn draw_in(&self) -> Option<Duration> {
        self.wants().then(|| self.pace.wait(Instant::now(), self.keyed).unwrap_or_default())
    }

    /// The next frame is written whole.
    pub fn redraw(&mut self) {
        self.shown = None;
        self.dirty = true;
    }

    /// The same, asked for by the person: the terminal is asked anew what it is, and how far away.
    pub fn anew(&mut self) -> io::Result<()> {
        self.redraw();
        self.ask()
    }

    /// Other looks and keys from now on, or why the new ones cannot be had: those of before stay.
    pub fn reread(&mut self, files: Files) {
        self.look(files.look);
        update::keys_changed(&mut self.model, files.keys, files.reports);
        self.dirty = true;
    }

    /// Another look from now on, of which nobody needs to be told.
    pub fn wear(&mut self, look: Look) {
        self.look = look;
        self.dirty = true;
    }

    /// Another look from now on, where it is another; or why it cannot be had.
    pub fn look(&mut self, read: Result<Look, String>) {
        match read {
            Ok(look) if look == self.look => {}
            Ok(look) => {
                self.look = look;
                self.model.say("the theme was read again");
            }
            Err(why) => self.model.complain(why),
        }
        self.dirty = true;
    }

    /// The screen as it is, into a new file: as a picture, as text with colours, or as text, by its name.
    pub fn dump(&mut self, name: &str) {
        let buf = shot::draw(&self.model, &self.look);
        let path = place(name);
        let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let text = match kind.as_str() {
            "svg" => svg::svg(&buf, &self.look.theme, &format!("quarterdeck {}", self.model.screen().kind.title())),
            "ans" | "ansi" => shot::ansi(&buf),
            _ => shot::text(&buf),
        };
        let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match written.and_then(|mut f| io::Write::write_all(&mut f, text.as_bytes())) {
            Ok(()) => self.model.say(format!("the screen is in {}", path.display())),
            Err(e) => self.model.complain(format!("{} was not written: {e}; choose another name: .txt, .ansi or .svg", path.display())),
        }
        self.dirty = true;
    }

    /// How long the link takes for a question and its answer, as the terminal's answer tells.
    pub fn heard(&mut self) {
        if let Some(rtt) = self.probe.rtt {
            self.pace.link(rtt);
        }
    }

    /// What the debug overlay shows.
    fn measure(&mut self) {
        if let Some(stats) = &mut self.model.debug {
            stats.frames = self.frames;
            stats.bytes = self.output.bytes;
            stats.writes = self.output.writes;
            stats.gap_ms = u64::try_from(self.pace.gap().as_millis()).unwrap_or(u64::MAX);
            stats.rtt_ms = self.probe.rtt.map(|r| u64::try_from(r.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// Asks the terminal for its size.
    pub fn resized(&self) -> Option<Msg> {
        let (width, height) = self.output.size()?;
        Some(Msg::Resize { width, height })
    }

    /// Gives the terminal to somebody else, until [`Self::enter`].
    pub fn leave(&mut self) {
        self.output.forget();
        drop(self.guard.take());
    }

    /// What the mouse did, as a message; none where it did nothing.
    pub fn pointed(&self, mouse: Mouse) -> Option<Msg> {
        match mouse {
            _ if !self.model.mouse => None,
            Mouse::Wheel { down } => Some(Msg::Wheel { down }),
            Mouse::Click { x, y } => super::pointer::hit(&self.model, &self.look, x, y).map(Msg::Click),
        }
    }

    /// The terminal tells of the mouse from now on, or no longer.
    pub fn mouse(&mut self, on: bool) -> io::Result<()> {
        self.output.put(if on { guard::MOUSE_ON } else { guard::MOUSE_OFF }.as_bytes())
    }

    /// Back to the shell, until it lets us go on.
    pub fn suspend(&mut self) -> io::Result<()> {
        self.leave();
        sys::stop_group()?;
        self.enter()
    }

    /// Stopped by somebody else, and going on: what the terminal was set to meanwhile is not known.
    pub fn back(&mut self) -> io::Result<()> {
        if self.entered.elapsed() < SETTLED {
            return Ok(());
        }
        self.leave();
        self.enter()
    }

    /// Takes the terminal again.
    pub fn enter(&mut self) -> io::Result<()> {
        self.guard = (self.take)()?;
        self.entered = Instant::now();
        self.away = false;
        self.worst = None;
        self.model.size = self.output.size().unwrap_or(self.model.size);
        self.redraw();
        self.output.put(guard::ON.as_bytes())?;
        if self.model.mouse { self.mouse(true) } else { Ok(()) }
    }

    /// Into the clipboard, or, where the terminal has none, onto the plain screen.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        if let Some(sequence) = clip::sequence(text, &term(), in_tmux()) {
            self.model.say(format!("copied, if the terminal lets us: {text}"));
            return self.output.put(sequence.as_bytes());
        }
        self.away = true;
        let lines: String = text.lines().map(|l| sanitise::cell(l) + "\r\n").collect();
        self.output.put(format!("{PLAIN}{lines}\r\n(this terminal has no clipboard for it; any key goes back)\r\n").as_bytes())
    }

    /// True where a key only led back from the plain screen.
    pub fn away(&mut self) -> bool {
        let was = std::mem::take(&mut self.away);
        if was {
            self.redraw();
            // A terminal that is gone is seen by the next read.
            let _ = self.output.put(guard::ON.as_bytes());
        }
        was
    }

    /// Puts the terminal back.
    pub fn close(mut self) {
        drop(self.guard.take());
        tracing::info!(frames = self.frames, bytes = self.output.bytes, writes = self.output.writes, "the console is left");
    }
}

fn term() -> String {
    std::env::var("TERM").unwrap_or_default()
}

fn in_tmux() -> bool {
    std::env::var_os("TMUX").is_some()
}

/// `QD_PANIC_FRAME=N` in a debug build: the frame after the N-th panics, so that a test can see the terminal put back.
#[cfg(debug_assertions)]
fn broken_on_purpose(frames: u64) {
    let at = std::env::var("QD_PANIC_FRAME").ok().and_then(|n| n.parse().ok());
    assert!(at != Some(frames), "broken on purpose after frame {frames}");
}
