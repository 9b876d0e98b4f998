//! What a frame costs, byte for byte; and that the terminal shows the same as if every cell were written with all that belongs to it.

use std::num::NonZero;

use proptest::prelude::*;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::paint::{bytes, linked};
use super::pen;
use crate::console::shot::sgr;

fn blank(width: u16, height: u16) -> Buffer {
    Buffer::empty(Rect::new(0, 0, width, height))
}

fn step(before: Style, after: Style) -> String {
    let (mut a, mut b) = (blank(3, 1), blank(3, 1));
    a.set_string(0, 0, "xyz", before);
    b.set_string(0, 0, "x", before);
    b.set_string(1, 0, "yz", after);
    // The first cell is written so that the pen has its style.
    a[(0, 0)].set_symbol("-");
    let all = bytes(Some(&a), &b);
    all.split_once('x').map(|(_, rest)| rest.split('y').next().unwrap_or_default().to_owned()).unwrap_or_default()
}

#[test]
fn from_style_to_style_only_what_differs_is_written() {
    let (red, both) = (Style::new().fg(Color::Red), Style::new().fg(Color::Red).bg(Color::Blue));
    let bold = red.add_modifier(Modifier::BOLD);
    assert_eq!(step(Style::new(), red), "\u{1b}[31m");
    assert_eq!(step(red, both), "\u{1b}[44m");
    assert_eq!(step(both, both.fg(Color::Green)), "\u{1b}[32m");
    assert_eq!(step(both, red), "\u{1b}[49m", "a background goes by itself");
    assert_eq!(step(both, Style::new().bg(Color::Blue)), "\u{1b}[39m");
    assert_eq!(step(red, bold), "\u{1b}[1m");
    assert_eq!(step(bold, red), "\u{1b}[22m");
    assert_eq!(step(bold, red.add_modifier(Modifier::DIM)), "\u{1b}[22;2m", "bold and dim go together");
    assert_eq!(step(both, Style::new()), "\u{1b}[m", "and all of it in three bytes");
    let many = both.add_modifier(Modifier::BOLD | Modifier::ITALIC | Modifier::UNDERLINED | Modifier::REVERSED);
    assert_eq!(step(many, red.bg(Color::Green).fg(Color::Black)), "\u{1b}[0;30;42m", "whichever is shorter");
}

#[test]
fn a_blank_takes_the_style_that_is_there() {
    let (mut a, mut b) = (blank(20, 1), blank(20, 1));
    a.set_string(0, 0, "xxxxxxxxxx", Style::new());
    let (red, grey) = (Style::new().fg(Color::Red), Style::new().fg(Color::Gray));
    b.set_string(0, 0, "ab", red);
    b.set_string(2, 0, "  ", grey);
    b.set_string(4, 0, "cdefgh", red);
    assert_eq!(bytes(Some(&a), &b), "\u{1b}[H\u{1b}[31mab  cdefgh\u{1b}[m");
    // Two blanks of other colours look the same: nothing is written.
    let (mut a, mut b) = (blank(20, 1), blank(20, 1));
    a.set_string(0, 0, "   ", red);
    b.set_string(0, 0, "   ", grey.add_modifier(Modifier::BOLD));
    assert_eq!(bytes(Some(&a), &b), "");
    // Under a line, or turned round, they do not.
    b.set_string(0, 0, "   ", grey.add_modifier(Modifier::UNDERLINED));
    assert_eq!(bytes(Some(&a), &b), "\u{1b}[H\u{1b}[1;4;37m   \u{1b}[m");
}

#[test]
fn the_shortest_way_to_a_cell() {
    let text = "the quick brown fox jumps over the lazy dog";
    let (mut a, mut b) = (blank(60, 4), blank(60, 4));
    for y in 0..4 {
        a.set_string(0, y, text, Style::new());
        b.set_string(0, y, text, Style::new());
    }
    b.set_string(5, 1, "Q", Style::new());
    b.set_string(8, 1, "K", Style::new());
    b.set_string(30, 1, "R", Style::new());
    b.set_string(0, 2, "T", Style::new());
    assert_eq!(bytes(Some(&a), &b), "\u{1b}[2;6HQicK\u{1b}[31GR\r\nT");
    // What changed its colour on the way is not written again where a jump is shorter.
    for buf in [&mut a, &mut b] {
        buf.set_string(6, 1, "ic", Style::new().fg(Color::Rgb(1, 2, 3)));
    }
    assert_eq!(bytes(Some(&a), &b), "\u{1b}[2;6HQ\u{1b}[9GK\u{1b}[31GR\r\nT");
}

#[test]
fn a_row_that_ends_earlier_is_erased_to_its_end_on_the_terminal_s_own_background_alone() {
    let (mut a, mut b) = (blank(30, 1), blank(30, 1));
    a.set_string(0, 0, "a sentence that was long", Style::new());
    b.set_string(0, 0, "a word", Style::new());
    assert_eq!(bytes(Some(&a), &b), "\u{1b}[3Gword\u{1b}[K".replace("\u{1b}[3G", "\u{1b}[1;3H"));
    a.set_style(Rect::new(0, 0, 30, 1), Style::new().bg(Color::Blue));
    b.set_style(Rect::new(0, 0, 30, 1), Style::new().bg(Color::Blue));
    let all = bytes(Some(&a), &b);
    assert!(!all.contains('K') && all.ends_with(" \u{1b}[m"), "{all:?}");
}

#[test]
fn nothing_changed_is_nothing_written() {
    let mut a = blank(20, 3);
    a.set_string(0, 0, "hello", Style::new());
    assert_eq!(bytes(Some(&a), &a.clone()), "");
    let mut b = a.clone();
    b.set_string(4, 0, "p", Style::new());
    assert_eq!(bytes(Some(&a), &b), "\u{1b}[1;5Hp");
    assert!(bytes(None, &a).contains("hello") && !bytes(None, &a).contains("     "));
}

#[test]
fn behind_a_sign_whose_width_terminals_disagree_about_the_column_is_said() {
    let mut b = blank(20, 1);
    b.set_string(0, 0, "e\u{301}x", Style::new());
    assert_eq!(bytes(None, &b), "\u{1b}[m\u{1b}[2J\u{1b}[He\u{301}\u{1b}[2Gx");
}

/// Every cell by itself: to its place, everything off, its style, its sign.
fn plainly(buf: &Buffer) -> String {
    let mut out = "\u{1b}[m\u{1b}[2J".to_owned();
    for y in 0..buf.area.height {
        let mut x = 0;
        while x < buf.area.width {
            let cell = &buf[(x, y)];
            out += &format!("\u{1b}[{};{}H{}{}", y + 1, x + 1, sgr(cell.style()), cell.symbol());
            x += pen::cells(cell);
        }
    }
    out + "\u{1b}[m"
}

/// A terminal, and what a person sees of each of its cells.
struct Terminal(vt100::Parser);

impl Terminal {
    fn new(buf: &Buffer) -> Self {
        let n = |n: u16| NonZero::new(n).expect("a terminal has cells");
        Self(vt100::Parser::new(n(buf.area.height), n(buf.area.width), 0))
    }

    fn seen(&mut self, bytes: &str) -> Vec<String> {
        self.0.process(bytes.as_bytes());
        let screen = self.0.screen();
        let (rows, columns) = screen.size();
        let mut out = Vec::new();
        for (y, x) in (0..u16::from(rows)).flat_map(|y| (0..u16::from(columns)).map(move |x| (y, x))) {
            let Some(cell) = screen.cell(y, x) else { continue };
            let sign = if cell.contents().is_empty() { " " } else { cell.contents() };
            let lines = cell.inverse() || cell.underline();
            out.push(match sign == " " && !lines && !cell.is_wide_continuation() {
                true => format!("{y},{x} blank on {:?}", cell.bgcolor()),
                false if cell.is_wide_continuation() => format!("{y},{x} covered"),
                false => format!(
                    "{y},{x} {sign} {:?} {:?} {} {} {} {} {}",
                    cell.fgcolor(),
                    cell.bgcolor(),
                    cell.bold(),
                    cell.dim(),
                    cell.italic(),
                    cell.underline(),
                    cell.inverse()
                ),
            });
        }
        out
    }
}

fn colour() -> impl Strategy<Value = Color> {
    prop_oneof![
        3 => Just(Color::Reset),
        1 => prop::sample::select(vec![Color::Red, Color::LightBlue, Color::Gray]),
        1 => any::<u8>().prop_map(Color::Indexed),
        1 => (0u8..3, 0u8..3, 0u8..3).prop_map(|(r, g, b)| Color::Rgb(r, g, b)),
    ]
}

/// A word somewhere, in some style; words are short and few so that much of the frame stays.
fn word() -> impl Strategy<Value = (u16, u16, String, Style)> {
    let text = prop_oneof![4 => "[a-c ]{0,12}", 1 => " {1,24}", 1 => "[漢字a ]{1,6}", 1 => "e\u{301}[ab]{0,3}"];
    let on = prop::sample::select(vec![
        Modifier::empty(),
        Modifier::BOLD,
        Modifier::DIM,
        Modifier::REVERSED,
        Modifier::UNDERLINED,
        Modifier::BOLD | Modifier::ITALIC,
        Modifier::BOLD | Modifier::REVERSED,
    ]);
    (0u16..26, 0u16..6, text, colour(), colour(), on)
        .prop_map(|(x, y, text, fg, bg, on)| (x, y, text, Style::new().fg(fg).bg(bg).add_modifier(on)))
}

/// As the widgets do it: a half of a wide sign never stays without its other half.
fn write(buf: &mut Buffer, x: u16, y: u16, text: &str, style: Style) {
    let from = x.min(buf.area.width - 1);
    buf.set_stringn(from, y.min(buf.area.height - 1), text, usize::from(buf.area.width - from), style);
}

/// What a half of a wide sign that was written over leaves is a blank.
fn mend(buf: &mut Buffer) {
    for y in 0..buf.area.height {
        let mut x = 0;
        while x < buf.area.width {
            let wide = pen::cells(&buf[(x, y)]);
            if buf[(x, y)].modifier.contains(Modifier::BOLD) {
                // The terminal of the test knows one weight at a time.
                buf[(x, y)].modifier.remove(Modifier::DIM);
            }
            let fits = x + wide <= buf.area.width;
            let whole = fits && (x + 1..x + wide).all(|c| buf[(c, y)] == Cell::EMPTY);
            if !whole {
                buf[(x, y)].set_symbol(" ");
            }
            x += if whole { wide } else { 1 };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_terminal_shows_what_the_frame_says_whatever_was_there_before(
        frames in prop::collection::vec(prop::collection::vec(word(), 0..8), 1..6),
        keep in any::<bool>(),
    ) {
        let mut before: Option<Buffer> = None;
        let mut terminal = Terminal::new(&blank(26, 6));
        for words in frames {
            let mut next = before.clone().filter(|_| keep).unwrap_or_else(|| blank(26, 6));
            for (x, y, text, style) in &words {
                write(&mut next, *x, *y, text, *style);
            }
            mend(&mut next);
            let sent = bytes(before.as_ref(), &next);
            let (ours, plain) = (terminal.seen(&sent), Terminal::new(&next).seen(&plainly(&next)));
            prop_assert_eq!(ours, plain, "{:?}", sent);
            prop_assert_eq!(bytes(Some(&next), &next), "");
            before = Some(next);
        }
    }

    #[test]
    fn links_change_no_cell(words in prop::collection::vec(word(), 0..6), at in 0u16..12) {
        let mut a = blank(40, 6);
        words.iter().for_each(|(x, y, text, style)| write(&mut a, *x, *y, text, *style));
        mend(&mut a);
        let mut b = a.clone();
        write(&mut b, at, 2, " https://m.example/a ", Style::new());
        mend(&mut b);
        let vouched = ["https://m.example".to_owned()];
        let mut terminal = Terminal::new(&a);
        terminal.seen(&linked(None, &a, &vouched));
        prop_assert_eq!(terminal.seen(&linked(Some(&a), &b, &vouched)), Terminal::new(&b).seen(&plainly(&b)));
    }
}
