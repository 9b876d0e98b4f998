//! Text into cells: made safe, cut with a sign where it does not fit, never beyond its area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::base::sanitise;

/// Bytes of a text that are looked at, for each column that it has, and beside them: what a far end sends may have megabytes, and is drawn in every
/// frame.
const LOOKED_AT: (usize, usize) = (16, 256);

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Columns that a sign adds, never too few: the selector of pictures makes the one before it as wide as a picture.
fn added(c: char) -> usize {
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) }
}

/// Cuts to `room` columns, with `sign` (one column) where something is missing.
pub fn cut(text: &str, room: usize, sign: &str) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += added(c);
        if used > room {
            break;
        }
        out.push(c);
    }
    if room > 0 {
        out.push_str(sign);
    }
    out
}

/// At blanks where there are any, and a word that is longer than a line goes on in the next one, so that nothing of a fact is cut off.
pub fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut now = String::new();
        for word in line.split(' ') {
            if !now.is_empty() && width(&now) + 1 + width(word) > room {
                out.push(std::mem::take(&mut now));
            }
            if !now.is_empty() {
                now.push(' ');
            }
            let mut rest = word;
            while width(&now) + width(rest) > room {
                let (first, more) = split(rest, room.saturating_sub(width(&now)));
                if first.is_empty() {
                    break;
                }
                out.push(std::mem::take(&mut now) + first);
                rest = more;
            }
            now.push_str(rest);
        }
        out.push(now);
    }
    out
}

/// As much of a text as `room` columns hold, and what is left of it.
pub fn split(text: &str, room: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += added(c);
        if used > room {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// Bytes of a name whose end is kept.
const LONGEST_NAME: usize = 1_024;

/// Cuts to `room` columns in the middle: what a name begins and ends with stays, `nightly-repo…#2`.
pub fn middle(text: &str, room: usize, sign: &str) -> String {
    // What is longer than that is no name, and its end not worth a search.
    if text.len() > LONGEST_NAME || width(text) <= room || room < 5 {
        return cut(text, room, sign);
    }
    let tail = last(text, (room / 3).max(3));
    format!("{}{tail}", cut(text, room - width(tail), sign))
}

/// Cuts to `room` columns at the beginning: `…0-598.el9`.
pub fn ending(text: &str, room: usize, sign: &str) -> String {
    if text.len() > LONGEST_NAME || width(text) <= room || room < 5 {
        return cut(text, room, sign);
    }
    format!("{sign}{}", last(text, room - 1))
}

/// As much of the end as `room` columns hold.
fn last(text: &str, room: usize) -> &str {
    let mut tail = text;
    while width(tail) > room {
        let mut rest = tail.chars();
        rest.next();
        tail = rest.as_str();
    }
    // A mark whose letter is gone would be drawn over the sign.
    tail.trim_start_matches(|c: char| c.width().unwrap_or(0) == 0)
}

/// Columns of a name that tell it from others.
const TOLD_APART: usize = 12;

/// Of a name with what is said of it, the name gives way first: `nightly-r…es#2 RED, since 01:31`. Where that does not do, the end goes.
pub fn named(text: &str, room: usize, sign: &str) -> String {
    let Some((name, said)) = text.split_once(' ').filter(|_| text.len() <= LONGEST_NAME) else { return middle(text, room, sign) };
    let left = room.checked_sub(width(said) + 1).filter(|left| *left >= TOLD_APART && *left < width(name));
    left.map_or_else(|| cut(text, room, sign), |left| format!("{} {said}", middle(name, left, sign)))
}

/// Draws `text`, from anywhere, at column `x` of the area's row `y`; returns the column after it.
pub fn text(buf: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style, sign: &str) -> u16 {
    if y >= area.height || x >= area.width {
        return x;
    }
    let room = usize::from(area.width - x);
    let (mut safe, more) = sanitise::beginning(text, room * LOOKED_AT.0 + LOOKED_AT.1);
    if more {
        // What was not looked at is missing, however little of the rest is seen.
        safe.push_str(sign);
    }
    let safe = cut(&safe, room, sign);
    let (after, _) = buf.set_stringn(area.x + x, area.y + y, &safe, room, style);
    after.saturating_sub(area.x)
}

/// Fills one row of the area with a style.
pub fn row(buf: &mut Buffer, area: Rect, y: u16, style: Style) {
    if y < area.height {
        buf.set_style(Rect { x: area.x, y: area.y + y, width: area.width, height: 1 }, style);
    }
}

/// Empties a part of the screen: nothing of what stood there is left, no attribute either.
pub fn clear(buf: &mut Buffer, area: Rect, style: Style) {
    let area = area.intersection(buf.area);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            buf[(x, y)].reset();
        }
    }
    buf.set_style(area, style);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_text_without_end_the_beginning_is_drawn_and_cut() {
        let area = Rect::new(0, 0, 10, 1);
        let drawn = |text: &str| {
            let mut buf = Buffer::empty(area);
            let end = super::text(&mut buf, area, 0, 0, text, Style::new(), "…");
            (buf.content.iter().map(ratatui::buffer::Cell::symbol).collect::<String>(), end)
        };
        assert_eq!(drawn(&"ab".repeat(1 << 20)), ("ababababa…".to_owned(), 10));
        assert_eq!(drawn("short"), ("short     ".to_owned(), 5));
        // Colours alone, without end; a progress line shows how it stands now; a sign of several bytes is never cut in two.
        assert_eq!(drawn(&"\u{1b}[31m".repeat(1 << 18)).0.trim_end(), "…");
        assert_eq!(drawn(&format!("{}\rdone", "1%\r".repeat(1 << 18))).0.trim_end(), "done");
        for n in 0..8 {
            let text = format!("{}{}", "x".repeat(n), "漢".repeat(1_000));
            assert!(drawn(&text).0.contains('…'), "{n}");
        }
        assert_eq!(sanitise::beginning("a\tb", 100), ("a       b".to_owned(), false));
    }

    #[test]
    fn nothing_of_a_text_is_lost_where_it_is_broken() {
        assert_eq!(wrapped("one new run of a-name-that-is-long: build", 10), ["one new", "run of", "a-name-tha", "t-is-long:", "build"]);
        for text in ["日本語リポジトリの長い名前 x", "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", "a  b", ""] {
            for room in 0..12 {
                let lines = wrapped(text, room);
                let kept = |t: &str| t.chars().filter(|c| *c != ' ').collect::<String>();
                assert_eq!(kept(&lines.concat()), kept(text), "{room}");
                assert!(room < 2 || lines.iter().all(|l| width(l) <= room), "{room}: {lines:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_name_stays() {
        assert_eq!(middle("nightly-repo-updates#2", 30, "~"), "nightly-repo-updates#2");
        assert_eq!(middle("nightly-repo-updates#2", 14, "~"), "nightly-r~es#2");
        assert_eq!(middle("far-end http://127.0.0.1:9/pairs/ops9/", 20, "~"), "far-end http:~/ops9/");
        assert_eq!(named("nightly-repo-updates-el9-x86-64#2 RED, since 01:31", 34, "~"), "nightly-rep~-64#2 RED, since 01:31");
        assert_eq!(named("short RED, since 01:31", 30, "~"), "short RED, since 01:31");
        assert_eq!(named("nightly-repo-updates#2 WAITS for people", 24, "~"), "nightly-repo-updates#2 ~");
        for room in 0..40 {
            assert!(width(&middle("日本語のテキスト#12", room, "~")) <= room, "{room}");
            assert!(width(&named("日本語のテキスト#12 は赤いです", room, "~")) <= room, "{room}");
            for text in ["e\u{301}".repeat(50), "\u{2764}\u{fe0f}".repeat(30), "\u{1f3f3}\u{fe0f}\u{1f308}".repeat(20)] {
                for made in [cut(&text, room, "~"), middle(&text, room, "~"), ending(&text, room, "~")] {
                    assert!(width(&made) <= room, "{room}: {made}");
                    assert!(!made.contains("~\u{301}") && !made.contains("~\u{fe0f}"), "{room}: no mark over the sign: {made}");
                    assert!(room == 0 || made.contains('~'), "{room}: {made}");
                }
            }
        }
    }
}
