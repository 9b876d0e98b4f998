//! One frame without a terminal: a buffer as plain text, or as text with colours.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::model::Model;
use super::view;
use crate::theme::Look;

/// Draws the model at its size.
pub fn draw(model: &Model, look: &Look) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, model.size.0, model.size.1));
    view::draw(model, look, &mut buf);
    buf
}

/// Rows of text, blanks at their ends cut.
pub fn text(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        out.push_str(row(buf, y).trim_end());
        out.push('\n');
    }
    out
}

fn row(buf: &Buffer, y: u16) -> String {
    cells(buf, y).map(|(_, symbol, _)| symbol).collect()
}

/// The cells of a row: column, sign, style; the second half of a wide sign is left out.
pub(super) fn cells(buf: &Buffer, y: u16) -> impl Iterator<Item = (u16, &str, Style)> {
    let mut skip = 0;
    (0..buf.area.width).filter_map(move |x| {
        if skip > 0 {
            skip -= 1;
            return None;
        }
        let cell = &buf[(x, y)];
        skip = super::widget::paint::width(cell.symbol()).saturating_sub(1);
        Some((x, cell.symbol(), cell.style()))
    })
}

/// Rows of text with SGR sequences, each ended by a reset.
pub fn ansi(buf: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buf.area.height {
        let mut last = Style::reset();
        for (_, symbol, style) in cells(buf, y) {
            if style != last {
                out.push_str(&sgr(style));
                last = style;
            }
            out.push_str(symbol);
        }
        out.push_str("\u{1b}[0m\n");
    }
    out
}

/// The sequence that sets exactly this style.
pub fn sgr(style: Style) -> String {
    let mut codes = vec!["0".to_owned()];
    codes.extend(attributes(style.add_modifier));
    codes.extend(style.fg.and_then(|c| colour(c, 30)));
    codes.extend(style.bg.and_then(|c| colour(c, 40)));
    format!("\u{1b}[{}m", codes.join(";"))
}

/// The parameters that switch attributes on.
pub fn attributes(on: Modifier) -> impl Iterator<Item = String> {
    let all = [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::ITALIC, "3"),
        (Modifier::UNDERLINED, "4"),
        (Modifier::REVERSED, "7"),
        (Modifier::CROSSED_OUT, "9"),
    ];
    all.into_iter().filter(move |(flag, _)| on.contains(*flag)).map(|(_, code)| code.to_owned())
}

/// The parameter of a colour; `base` is 30 in front and 40 behind. None: the terminal's own.
pub fn colour(c: Color, base: u8) -> Option<String> {
    let ansi = |n: u8| if n < 8 { (base + n).to_string() } else { (base + 52 + n).to_string() };
    Some(match c {
        Color::Reset => return None,
        Color::Black => ansi(0),
        Color::Red => ansi(1),
        Color::Green => ansi(2),
        Color::Yellow => ansi(3),
        Color::Blue => ansi(4),
        Color::Magenta => ansi(5),
        Color::Cyan => ansi(6),
        Color::Gray => ansi(7),
        Color::DarkGray => ansi(8),
        Color::LightRed => ansi(9),
        Color::LightGreen => ansi(10),
        Color::LightYellow => ansi(11),
        Color::LightBlue => ansi(12),
        Color::LightMagenta => ansi(13),
        Color::LightCyan => ansi(14),
        Color::White => ansi(15),
        Color::Indexed(n) => format!("{};5;{n}", base + 8),
        Color::Rgb(r, g, b) => format!("{};2;{r};{g};{b}", base + 8),
    })
}
