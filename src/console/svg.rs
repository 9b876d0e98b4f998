//! A frame as a picture: SVG text on a monospaced grid. It needs no font of its own: every run of text is given the width of its cells.

use std::fmt::Write;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use super::shot::cells;
use super::widget::paint;
use crate::theme::colour::{Rgb, seen};
use crate::theme::{Ground, Theme};

/// A cell, in units of the picture, in tenths: 8.4 is what most monospaced fonts need at 14.
const WIDE: u32 = 84;
const HIGH: u32 = 180;
const FONT: u32 = 14;
/// From the top of a cell to the line that letters stand on.
const BASE: u32 = 135;
const MARGIN: u32 = 100;

/// The terminal's own colours: near black on white, or the other way round.
fn own(ground: Ground) -> (Rgb, Rgb) {
    match ground {
        Ground::Dark => ((0xd4, 0xda, 0xe3), (0x0f, 0x12, 0x17)),
        Ground::Light => ((0x1b, 0x1f, 0x24), (0xff, 0xff, 0xff)),
    }
}

/// Neighbours of one look.
struct Run {
    x: u16,
    width: u16,
    text: String,
    style: Style,
}

/// The picture, with `title` for those who cannot see it.
pub fn svg(buf: &Buffer, theme: &Theme, title: &str) -> String {
    let (_, paper) = own(theme.ground);
    let (width, height) = (u32::from(buf.area.width) * WIDE + 2 * MARGIN, u32::from(buf.area.height) * HIGH + 2 * MARGIN);
    let mut out = String::new();
    let (w, h) = (tenth(width), tenth(height));
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"{w}\" height=\"{h}\" rx=\"6\" fill=\"{}\" stroke=\"#8b949e\" stroke-opacity=\"0.5\"/>\n\
         <g font-family=\"'DejaVu Sans Mono','Liberation Mono',Menlo,Consolas,monospace\" font-size=\"{FONT}\" xml:space=\"preserve\">\n",
        escape(title),
        hex(paper),
    );
    for y in 0..buf.area.height {
        let row = runs(buf, y);
        grounds(&mut out, &row, y, theme.ground);
        row.iter().for_each(|run| ink(&mut out, run, y, theme.ground));
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Cells of one row by look. A wide sign, and a sign that is drawn as a shape, stands alone; gaps of blanks end a run, so that what is
/// right of them is in its place whatever the font.
fn runs(buf: &Buffer, y: u16) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for (x, symbol, style) in cells(buf, y) {
        let width = paint::width(symbol).max(1) as u16;
        let alone = width > 1 || !symbol.is_ascii();
        let join = out.last().is_some_and(|last| {
            let same_sort = if alone { shape(symbol).is_some() && last.text.ends_with(symbol) } else { last.text.is_ascii() };
            last.style == style && same_sort && !(symbol == " " && last.text.ends_with(' '))
        });
        // Blanks after a blank begin a run of blanks, which is never written.
        let blanks = symbol == " " && out.last().is_some_and(|l| l.style == style && l.text.trim().is_empty());
        match out.last_mut() {
            Some(last) if join || blanks => {
                last.text.push_str(symbol);
                last.width += width;
            }
            _ => out.push(Run { x, width, text: symbol.to_owned(), style }),
        }
    }
    out
}

/// What is behind the text: neighbours of one colour in one piece, or the seams would show.
fn grounds(out: &mut String, row: &[Run], y: u16, ground: Ground) {
    let of = |run: &Run| colours(run.style, ground).1;
    for same in row.chunk_by(|a, b| of(a) == of(b)) {
        let Some(first) = same.first().filter(|r| colours(r.style, ground).2) else { continue };
        let width = same.iter().map(|r| u32::from(r.width)).sum::<u32>() * WIDE;
        rect(out, MARGIN + u32::from(first.x) * WIDE, MARGIN + u32::from(y) * HIGH, width, HIGH, &format!("fill=\"{}\"", hex(of(first))));
    }
}

fn ink(out: &mut String, run: &Run, y: u16, ground: Ground) {
    let (ink, ..) = colours(run.style, ground);
    let symbol = run.text.chars().next().map(String::from).unwrap_or_default();
    if let Some(shape) = shape(&symbol).filter(|_| run.text.chars().all(|c| symbol.starts_with(c))) {
        let fill = format!("fill=\"{}\"{}", hex(ink), shape.opacity);
        if shape.upright {
            let x = MARGIN + u32::from(run.x) * WIDE + WIDE / 2 - 5;
            for i in 0..u32::from(run.width) {
                rect(out, x + i * WIDE, MARGIN + u32::from(y) * HIGH, 10, HIGH, &fill);
            }
        } else {
            block(out, run, y, shape.top, shape.high, &fill);
        }
        return;
    }
    let on = run.style.add_modifier;
    let lined = on.intersects(Modifier::UNDERLINED | Modifier::CROSSED_OUT);
    let text = run.text.trim_end();
    let (text, width) = if lined { (run.text.as_str(), run.width) } else { (text, paint::width(text) as u16) };
    if width == 0 || text.trim().is_empty() && !lined {
        return;
    }
    let lead = text.len() - text.trim_start().len();
    let (x, text, width) = if lined { (run.x, text, width) } else { (run.x + lead as u16, text.trim_start(), width - lead as u16) };
    let mut looks = String::new();
    for (flag, look) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::DIM, " opacity=\"0.6\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
    ] {
        if on.contains(flag) {
            looks.push_str(look);
        }
    }
    if on.contains(Modifier::CROSSED_OUT) && !on.contains(Modifier::UNDERLINED) {
        looks.push_str(" text-decoration=\"line-through\"");
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" textLength=\"{}\" fill=\"{}\"{looks}>{}</text>",
        tenth(MARGIN + u32::from(x) * WIDE),
        tenth(MARGIN + u32::from(y) * HIGH + BASE),
        tenth(u32::from(width) * WIDE),
        hex(ink),
        escape(text),
    );
}

fn block(out: &mut String, run: &Run, y: u16, top: u32, high: u32, fill: &str) {
    rect(out, MARGIN + u32::from(run.x) * WIDE, MARGIN + u32::from(y) * HIGH + top, u32::from(run.width) * WIDE, high, fill);
}

fn rect(out: &mut String, x: u32, y: u32, width: u32, height: u32, fill: &str) {
    let _ = writeln!(out, "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {fill}/>", tenth(x), tenth(y), tenth(width), tenth(height));
}

/// A sign that fonts draw with gaps between cells.
struct Shape {
    top: u32,
    high: u32,
    upright: bool,
    opacity: &'static str,
}

fn shape(symbol: &str) -> Option<Shape> {
    let bar = |opacity| Shape { top: 20, high: HIGH - 40, upright: false, opacity };
    Some(match symbol {
        "─" => Shape { top: HIGH / 2 - 5, high: 10, upright: false, opacity: "" },
        "│" => Shape { top: 0, high: HIGH, upright: true, opacity: "" },
        "█" => bar(""),
        "▒" => bar(" fill-opacity=\"0.5\""),
        "░" => bar(" fill-opacity=\"0.25\""),
        _ => return None,
    })
}

/// Ink, paper, and whether the paper is another than the picture's.
fn colours(style: Style, ground: Ground) -> (Rgb, Rgb, bool) {
    let (fg, bg) = own(ground);
    let of = |c: Option<Color>, default| c.and_then(seen).unwrap_or(default);
    let (fg, paper) = (of(style.fg, fg), of(style.bg, bg));
    let reversed = style.add_modifier.contains(Modifier::REVERSED);
    let (fg, paper) = if reversed { (paper, fg) } else { (fg, paper) };
    (fg, paper, paper != bg)
}

fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn tenth(n: u32) -> String {
    if n.is_multiple_of(10) { (n / 10).to_string() } else { format!("{}.{}", n / 10, n % 10) }
}

/// What XML 1.0 may hold: the rest is left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;
    use ratatui::layout::Rect;

    use super::*;

    fn draw(put: impl Fn(&mut Buffer)) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, 20, 3));
        put(&mut buf);
        svg(&buf, &Theme::plain(), "a <title> & more")
    }

    /// Every text of the picture with its attributes; an error where it is not well-formed.
    fn texts(svg: &str) -> Vec<(String, String)> {
        let mut reader = Reader::from_str(svg);
        reader.config_mut().check_end_names = true;
        let (mut open, mut out, mut depth) = (None, Vec::new(), 0);
        loop {
            match reader.read_event().unwrap() {
                Event::Start(e) => {
                    depth += 1;
                    e.attributes().for_each(|a| assert!(a.is_ok()));
                    open = (e.name().as_ref() == "text").then(|| e.to_string());
                    if let Some(attributes) = &open {
                        out.push((attributes.clone(), String::new()));
                    }
                }
                Event::End(_) => {
                    depth -= 1;
                    open = None;
                }
                Event::Text(t) if open.is_some() => out.last_mut().unwrap().1.push_str(&t),
                Event::GeneralRef(r) if open.is_some() => {
                    let sign = match &*r {
                        "lt" => "<",
                        "gt" => ">",
                        "amp" => "&",
                        "quot" => "\"",
                        other => panic!("{other}"),
                    };
                    out.last_mut().unwrap().1.push_str(sign);
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(depth, 0);
        out
    }

    #[test]
    fn text_is_escaped_and_stands_on_the_grid() {
        let picture = draw(|b| {
            b.set_string(2, 1, "a<b>&\"c'  far", Style::new());
        });
        let got = texts(&picture);
        assert_eq!(got.iter().map(|(_, t)| t.as_str()).collect::<Vec<_>>(), ["a<b>&\"c'", "far"]);
        assert!(got[0].0.contains("x=\"26.8\" y=\"41.5\" textLength=\"67.2\""), "{}", got[0].0);
        assert!(got[1].0.contains("x=\"110.8\""), "{}", got[1].0);
    }

    #[test]
    fn wide_signs_keep_their_two_columns_and_no_control_character_gets_in() {
        let picture = draw(|b| {
            b.set_string(0, 0, "世x", Style::new());
            b[(5, 0)].set_symbol("\u{1b}");
            b[(6, 0)].set_symbol("\u{ffff}");
        });
        let got = texts(&picture);
        assert!(got[0].1 == "世" && got[0].0.contains("textLength=\"16.8\""), "{got:?}");
        assert!(got[1].1 == "x" && got[1].0.contains("x=\"26.8\""), "{got:?}");
        assert!(!picture.contains('\u{1b}') && !picture.contains('\u{ffff}'));
    }

    #[test]
    fn colours_and_attributes_are_those_of_the_cells() {
        let picture = draw(|b| {
            b.set_string(0, 0, "red", Style::new().fg(Color::Rgb(255, 0, 1)).bg(Color::Indexed(16)).add_modifier(Modifier::BOLD));
            b.set_string(0, 1, "turned", Style::new().fg(Color::Rgb(1, 2, 3)).add_modifier(Modifier::REVERSED));
            b.set_string(0, 2, "███░", Style::new().fg(Color::Green));
        });
        let got = texts(&picture);
        assert!(got[0].0.contains("fill=\"#ff0001\" font-weight=\"bold\"") && picture.contains("fill=\"#000000\""), "{picture}");
        assert!(got[1].0.contains("fill=\"#0f1217\"") && picture.contains("height=\"18\" fill=\"#010203\""), "{picture}");
        assert!(got.len() == 2 && picture.contains("width=\"25.2\" height=\"14\" fill=\"#00cd00\"/>"), "{picture}");
        assert!(picture.contains("fill=\"#00cd00\" fill-opacity=\"0.25\""), "{picture}");
    }

    #[test]
    fn nothing_is_drawn_where_nothing_is() {
        assert_eq!(texts(&draw(|_| {})), []);
        assert_eq!(texts(&svg(&Buffer::empty(Rect::new(0, 0, 0, 0)), &Theme::plain(), "")), []);
    }
}
