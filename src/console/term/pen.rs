//! How the terminal stands while a frame is written: its cursor, its style, the link that is open; and the fewest bytes that bring it elsewhere.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::links::{self, Span};
use crate::console::shot;
use crate::console::widget::paint::width;

/// Attributes that are seen on a blank too, and its colour with them.
const LINES: Modifier = Modifier::REVERSED.union(Modifier::UNDERLINED).union(Modifier::CROSSED_OUT);
/// Bold and dim are switched off by one code.
const WEIGHT: Modifier = Modifier::BOLD.union(Modifier::DIM);
/// A gap is written again rather than jumped over where that may be shorter; no jump is longer than this.
const BRIDGE: u16 = 8;

/// Everything off.
pub const PLAIN: &str = "\u{1b}[m";

/// A style as a terminal has it: `Reset` is its own colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ink {
    pub fg: Color,
    pub bg: Color,
    pub on: Modifier,
}

impl Ink {
    pub const NONE: Self = Self { fg: Color::Reset, bg: Color::Reset, on: Modifier::empty() };

    fn of(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, on: cell.modifier.difference(Modifier::HIDDEN | Modifier::SLOW_BLINK | Modifier::RAPID_BLINK) }
    }

    /// As much of a cell's style as is seen: of a blank without a line the background alone.
    pub fn seen(cell: &Cell) -> Self {
        let all = Self::of(cell);
        if is_bare(cell) { Self { bg: all.bg, ..Self::NONE } } else { all }
    }

    /// The parameters that lead from here to there, none off that need not be.
    fn codes(self, to: Self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let (off, mut on) = (self.on.difference(to.on), to.on.difference(self.on));
        if off.intersects(WEIGHT) {
            out.push("22".into());
            on |= to.on & WEIGHT;
        }
        let offs = [(Modifier::ITALIC, "23"), (Modifier::UNDERLINED, "24"), (Modifier::REVERSED, "27"), (Modifier::CROSSED_OUT, "29")];
        out.extend(offs.iter().filter(|(flag, _)| off.contains(*flag)).map(|(_, code)| (*code).to_owned()));
        out.extend(shot::attributes(on));
        if self.fg != to.fg {
            out.push(shot::colour(to.fg, 30).unwrap_or_else(|| "39".into()));
        }
        if self.bg != to.bg {
            out.push(shot::colour(to.bg, 40).unwrap_or_else(|| "49".into()));
        }
        out
    }

    /// The shortest sequence from here to there.
    fn step(self, to: Self) -> String {
        if self == to {
            return String::new();
        }
        if to == Self::NONE {
            return PLAIN.to_owned();
        }
        let sequence = |codes: &[String]| format!("\u{1b}[{}m", codes.join(";"));
        let some = sequence(&self.codes(to));
        let whole = sequence(&[vec!["0".to_owned()], Self::NONE.codes(to)].concat());
        if whole.len() < some.len() { whole } else { some }
    }
}

/// A blank of which nothing but the background is seen.
pub fn is_bare(cell: &Cell) -> bool {
    cell.symbol() == " " && !cell.modifier.intersects(LINES)
}

/// Whether two cells look the same.
pub fn alike(a: &Cell, b: &Cell) -> bool {
    a.symbol() == b.symbol() && Ink::seen(a) == Ink::seen(b)
}

/// What is written, and how the terminal stands after it.
#[derive(Debug, Clone)]
pub struct Pen {
    pub out: String,
    ink: Ink,
    /// The link that is open, of those of the row.
    link: Option<usize>,
    /// Column and row of the cursor, as far as they are known.
    at: Option<(u16, u16)>,
    /// Terminals disagree about the width of what was written last.
    unsure: bool,
}

impl Pen {
    /// The terminal has no attribute on, and its cursor may be anywhere.
    pub fn new() -> Self {
        Self { out: String::new(), ink: Ink::NONE, link: None, at: None, unsure: false }
    }

    /// Everything empty, the cursor anywhere.
    pub fn clear(&mut self) {
        self.out.push_str(PLAIN);
        self.out.push_str("\u{1b}[2J");
    }

    /// Nothing stays on.
    pub fn rest(mut self) -> String {
        self.out.push_str(&self.ink.step(Ink::NONE));
        self.out
    }

    pub fn link(&mut self, spans: &[Span], x: Option<u16>) {
        let now = x.and_then(|x| spans.iter().position(|s| s.from <= x && x < s.to));
        if now == self.link {
            return;
        }
        if self.link.is_some() {
            self.out.push_str(links::CLOSE);
        }
        if let Some(span) = now.and_then(|i| spans.get(i)) {
            self.out.push_str(&links::open(&span.url));
        }
        self.link = now;
    }

    /// Whether the pen as it stands draws this cell right.
    fn dip(&mut self, cell: &Cell) {
        let to = match is_bare(cell) {
            // A blank takes its neighbour's colour, and whatever else is not seen on it.
            true => Ink { fg: self.ink.fg, bg: cell.bg, on: self.ink.on.difference(LINES) },
            false => Ink::of(cell),
        };
        if to != self.ink {
            let (some, none) = (self.ink.step(to), Ink { bg: cell.bg, ..Ink::NONE });
            let whole = self.ink.step(none);
            if is_bare(cell) && whole.len() < some.len() {
                self.out.push_str(&whole);
                self.ink = none;
            } else {
                self.out.push_str(&some);
                self.ink = to;
            }
        }
    }

    /// Draws the cell at a place that the cursor has reached.
    pub fn put(&mut self, buf: &Buffer, x: u16, y: u16, spans: &[Span]) {
        let cell = &buf[(x, y)];
        self.link(spans, Some(x));
        self.dip(cell);
        self.out.push_str(cell.symbol());
        self.at = Some((x + cells(cell), y));
        self.unsure = cell.symbol().chars().nth(1).is_some();
    }

    /// Brings the cursor to a cell that is to be drawn: over what is unchanged before it, or past it, whichever is shorter.
    pub fn reach(&mut self, buf: &Buffer, x: u16, y: u16, spans: &[Span]) {
        if self.at == Some((x, y)) && !self.unsure {
            return;
        }
        let mut jump = self.clone();
        jump.go(x, y);
        let near = self.at.filter(|(from, row)| *row == y && !self.unsure && *from < x && x - from <= BRIDGE);
        if let Some((from, _)) = near {
            let mut bridge = self.clone();
            let mut c = from;
            while c < x {
                bridge.put(buf, c, y, spans);
                c += cells(&buf[(c, y)]);
            }
            let cost = |pen: &Self| {
                let mut pen = pen.clone();
                pen.link(spans, Some(x));
                pen.dip(&buf[(x, y)]);
                pen.out.len()
            };
            if c == x && !bridge.unsure && cost(&bridge) <= cost(&jump) {
                *self = bridge;
                return;
            }
        }
        *self = jump;
    }

    fn go(&mut self, x: u16, y: u16) {
        let far = match (x, y) {
            (0, 0) => "\u{1b}[H".to_owned(),
            (0, y) => format!("\u{1b}[{}H", y + 1),
            (x, y) => format!("\u{1b}[{};{}H", y + 1, x + 1),
        };
        let near = self.at.and_then(|(from, row)| match (row == y, x) {
            (true, 0) => Some("\r".to_owned()),
            (true, x) if !self.unsure && x == from + 1 => Some("\u{1b}[C".to_owned()),
            (true, x) if !self.unsure && x > from => Some(shorter(format!("\u{1b}[{}G", x + 1), format!("\u{1b}[{}C", x - from))),
            (true, x) => Some(format!("\u{1b}[{}G", x + 1)),
            (false, 0) if row + 1 == y => Some("\r\n".to_owned()),
            (false, _) => None,
        });
        self.out.push_str(&near.map_or_else(|| far.clone(), |near| shorter(near, far.clone())));
        (self.at, self.unsure) = (Some((x, y)), false);
    }

    /// Everything from here to the end of the row is blank, on the terminal's own background: others do not agree on what colour it takes.
    pub fn erase(&mut self, blank: &Cell) {
        self.link(&[], None);
        self.dip(blank);
        self.out.push_str("\u{1b}[K");
    }
}

fn shorter(a: String, b: String) -> String {
    if b.len() < a.len() { b } else { a }
}

/// Columns that a cell takes.
pub fn cells(cell: &Cell) -> u16 {
    width(cell.symbol()).max(1) as u16
}
