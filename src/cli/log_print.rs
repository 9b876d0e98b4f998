//! How `log` prints: lines made safe, progress folded to its last state, what is no text told and not shown, bytes as hexdump does.

use std::io::IsTerminal;

use jiff::Timestamp;
use serde_json::json;

use super::out::{Out, Tone};
use crate::api::log::{AttemptDoc, Elsewhere, FirstErrorDoc, LogLine, LogPage};
use crate::base::sanitise::{self, Colour};
use crate::domain::run::RunRef;

/// So much of a line that is drawn again and again is held back; what is longer is printed as it comes.
const HELD: usize = 64 << 10;

/// `STEP`, or `STEP (CELL)` in a matrix.
pub fn label(a: &AttemptDoc) -> String {
    if a.cell.is_empty() { a.step.clone() } else { format!("{} ({})", a.step, a.cell) }
}

pub struct Printer<'a> {
    out: &'a Out,
    run: String,
    timestamps: bool,
    /// Standard output is a terminal and the log is followed: progress is drawn in place.
    draws: bool,
    /// The attempt whose head was printed last.
    head: Option<u64>,
    /// The line goes on: its beginning stands on the screen.
    open: bool,
    /// A line without an end yet that goes back to its beginning; not printed.
    held: String,
    /// What is no text since this offset.
    binary: Option<u64>,
    any: bool,
}

impl<'a> Printer<'a> {
    pub fn new(out: &'a Out, run: &RunRef, timestamps: bool, follow: bool) -> Self {
        let draws = follow && std::io::stdout().is_terminal();
        Self { out, run: run.to_string(), timestamps, draws, head: None, open: false, held: String::new(), binary: None, any: false }
    }

    pub fn json(&self) -> bool {
        self.out.json
    }

    /// Something was printed.
    pub fn printed(&self) -> bool {
        self.any
    }

    /// A remark that is no result: to standard error, where a script finds it too.
    pub fn note(&self, text: &str) {
        self.out.note(&sanitise::cell(text));
    }

    /// A stage whose log is that of another run.
    pub fn elsewhere(&mut self, e: &Elsewhere) {
        if self.out.json {
            self.any = true;
            return self.out.value(&json!({"run": self.run, "stage": e.stage, "cell": e.cell, "child": e.child}));
        }
        let cell = if e.cell.is_empty() { String::new() } else { format!(" ({})", e.cell) };
        self.note(&format!("stage `{}`{cell} is the run {1}: quarterdeck log '{1}'", e.stage, e.child));
    }

    fn head(&mut self, a: &AttemptDoc) {
        if self.head == Some(a.fence) {
            return;
        }
        self.close();
        if self.open {
            self.out.line("");
            self.open = false;
        }
        self.head = Some(a.fence);
        let again = if a.number > 1 { format!(", attempt {}", a.number) } else { String::new() };
        let head = format!("== {} / {}{again} ==", sanitise::cell(&a.stage), sanitise::cell(&label(a)));
        self.out.line(self.out.paint(Tone::Bold, &head));
    }

    pub fn line(&mut self, a: &AttemptDoc, line: &LogLine) {
        self.any = true;
        if self.out.json {
            return self.out.value(&self.object(a, line));
        }
        self.head(a);
        // Between two lines of bytes, what happens to look a little like text is none.
        let text = line.text.trim_start_matches('\0');
        if line.binary && !text.is_empty() && text.len() < line.text.len() && !half_garbage(text) {
            // The hole that a cut leaves in a log that is still written; each NUL is one byte of it.
            let offset = line.offset + (line.text.len() - text.len()) as u64;
            self.binary.get_or_insert(line.offset);
            return self.line(a, &LogLine { offset, text: text.to_owned(), binary: false, ..line.clone() });
        }
        if line.binary || self.binary.is_some() && half_garbage(&line.text) {
            self.binary.get_or_insert(line.offset);
            return;
        }
        self.reached(line.offset);
        let fold = !self.held.is_empty() || line.partial && line.text.contains('\r');
        if !fold {
            return self.put(line);
        }
        if self.open {
            self.out.line("");
            self.open = false;
        }
        self.held.push_str(&line.text);
        if let Some(i) = self.held.trim_end_matches(['\r', ' ']).rfind('\r') {
            self.held.drain(..=i);
        }
        if !line.partial || self.held.len() > HELD {
            let text = std::mem::take(&mut self.held);
            self.undraw();
            self.put(&LogLine { text, ..line.clone() });
        } else if self.draws {
            let text: String = sanitise::line(&self.held, Colour::Drop).chars().take(self.out.width.saturating_sub(1)).collect();
            self.out.raw(format!("\r\u{1b}[2K{text}").as_bytes());
        }
    }

    fn undraw(&self) {
        if self.draws {
            self.out.raw(b"\r\x1b[2K");
        }
    }

    fn put(&mut self, line: &LogLine) {
        let colour = if self.out.colour { Colour::Keep } else { Colour::Drop };
        let mut text = sanitise::line(&line.text, colour);
        if !self.open {
            if let Some(n) = line.number {
                text = format!("{}{text}", self.out.paint(Tone::Dim, &format!("{n}{}", if line.context { '-' } else { ':' })));
            }
            if self.timestamps {
                text = format!("{} {text}", self.out.paint(Tone::Dim, &self.clock(&line.at)));
            }
        }
        self.open = line.partial;
        if line.partial { self.out.raw(text.as_bytes()) } else { self.out.line(text) }
    }

    fn clock(&self, at: &str) -> String {
        let time = at.parse::<Timestamp>().ok().map(|t| t.to_zoned(self.out.zone.clone()).strftime("%H:%M:%S.%3f").to_string());
        time.unwrap_or_else(|| " ".repeat(12))
    }

    /// Text, or the end of a page, begins at `offset`: tells of the bytes before it that were no text.
    pub fn reached(&mut self, offset: u64) {
        let Some(from) = self.binary.take() else { return };
        let bytes = offset.saturating_sub(from);
        let how = format!("[{bytes} bytes from offset {from} are no text; --hex --from {from} shows them]");
        self.out.line(self.out.paint(Tone::Dim, &how));
    }

    /// The end: what was held back is printed.
    pub fn close(&mut self) {
        if !self.held.is_empty() {
            let text = std::mem::take(&mut self.held);
            self.undraw();
            self.out.line(sanitise::line(&text, if self.out.colour { Colour::Keep } else { Colour::Drop }));
        }
    }

    /// The text as the step wrote it: JSON keeps a terminal safe, and a script wants it whole.
    fn object(&self, a: &AttemptDoc, line: &LogLine) -> serde_json::Value {
        let time = Some(&line.at).filter(|t| !t.is_empty());
        let mut object = json!({"run": self.run, "stage": a.stage, "step": a.step, "cell": a.cell, "attempt": a.number,
            "offset": line.offset, "time": time, "text": line.text});
        for (name, on) in [("partial", line.partial), ("binary", line.binary), ("context", line.context)] {
            if on {
                object[name] = true.into();
            }
        }
        if let Some(n) = line.number {
            object["number"] = n.into();
        }
        object
    }

    /// The first error of an attempt, with what stands around it.
    pub fn first_error(&mut self, a: &AttemptDoc, e: &FirstErrorDoc, page: Option<&LogPage>) {
        self.any = true;
        if self.out.json {
            return self.out.value(e);
        }
        self.head(a);
        let mut shown = false;
        for line in page.map_or(&[][..], |p| &p.lines) {
            let text = sanitise::line(&line.text, Colour::Drop);
            let here = line.offset == e.offset;
            shown |= here;
            let mark = if here { "> " } else { "  " };
            self.out.line(if here { self.out.paint(Tone::Bad, &format!("{mark}{text}")) } else { format!("{mark}{text}") });
        }
        if !shown {
            // Its place is gone or far inside a long line: what was found is kept with the attempt.
            self.out.line(self.out.paint(Tone::Bad, &format!("> {}", sanitise::cell(&e.text))));
        }
        let time = e.time.as_deref().map(|t| format!(", {}", self.clock(t))).unwrap_or_default();
        self.out.line(self.out.paint(Tone::Dim, &format!("({}; offset {}{time})", sanitise::cell(&e.how), e.offset)));
    }

    /// A page of hexadecimal digits.
    pub fn hex(&mut self, a: &AttemptDoc, line: &LogLine) {
        self.any = true;
        if self.out.json {
            return self.out.value(&json!({"run": self.run, "stage": a.stage, "step": a.step, "cell": a.cell, "attempt": a.number,
                "offset": line.offset, "hex": line.text}));
        }
        self.head(a);
        let digits = line.text.as_bytes();
        for (i, row) in digits.chunks(32).enumerate() {
            let bytes: Vec<u8> = row.chunks(2).filter_map(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok()).collect();
            let mut text = format!("{:08x} ", line.offset + i as u64 * 16);
            for k in 0..16 {
                text.push_str(if k == 8 { "  " } else { " " });
                text.push_str(&bytes.get(k).map_or_else(|| "  ".to_owned(), |b| format!("{b:02x}")));
            }
            let shown: String = bytes.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' }).collect();
            self.out.line(format!("{text}  |{shown}|"));
        }
    }
}

/// Whether more than a quarter of a line cannot be shown.
fn half_garbage(text: &str) -> bool {
    let (mut odd, mut all) = (0, 0);
    for c in text.chars() {
        all += 1;
        odd += usize::from(c == '\u{fffd}' || c.is_control() && !matches!(c, '\t' | '\r' | '\u{1b}'));
    }
    odd * 4 > all
}
