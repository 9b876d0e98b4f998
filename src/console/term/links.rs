//! Links in a frame (OSC 8): URLs that stand whole on the screen and begin as the engine vouches for. What a far end writes makes no link.

use ratatui::buffer::Buffer;

/// Longer ones are no address that a person follows.
const MOST: usize = 1_000;

/// Cells `from..to` of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub from: u16,
    pub to: u16,
    pub url: String,
}

/// The links of a row. `vouched`: beginnings of URLs.
pub fn of_row(buf: &Buffer, y: u16, vouched: &[String]) -> Vec<Span> {
    let mut out = Vec::new();
    if vouched.is_empty() {
        return out;
    }
    let width = buf.area.width;
    let sign = |x: u16| buf[(x, y)].symbol().chars().next().filter(|c| is_part(*c) && buf[(x, y)].symbol().len() == 1);
    let mut x = 0;
    while x < width {
        if sign(x) != Some('h') || (x > 0 && sign(x - 1).is_some_and(|c| c.is_ascii_alphanumeric())) {
            x += 1;
            continue;
        }
        let from = x;
        let mut url = String::new();
        while x < width
            && let Some(c) = sign(x)
        {
            url.push(c);
            x += 1;
        }
        // Punctuation behind it belongs to the sentence.
        let whole = url.trim_end_matches(['.', ',', ';', ':', ')', '\'', '!', '?']).len();
        url.truncate(whole);
        // Where something follows without a blank it was cut, or is no URL; `~` at its end is the sign of that, too.
        let to = from + whole as u16;
        let next = if x < width { buf[(x, y)].symbol().to_owned() } else { String::new() };
        let cut = url.ends_with('~') || x >= width || !next.trim().is_empty();
        if !cut && url.len() <= MOST && is_vouched(&url, vouched) {
            out.push(Span { from, to, url });
        }
    }
    out
}

/// What an address is made of; no control, no quote, nothing beyond ASCII.
fn is_part(c: char) -> bool {
    c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c)
}

/// Whether a URL begins with one of these, and goes on where a part of it ends.
fn is_vouched(url: &str, vouched: &[String]) -> bool {
    let http = url.starts_with("https://") || url.starts_with("http://");
    http && vouched.iter().filter(|v| v.starts_with("http")).any(|v| {
        let rest = url.strip_prefix(v.as_str());
        rest.is_some_and(|r| r.is_empty() || v.ends_with('/') || r.starts_with(['/', '?', '#']))
    })
}

/// What begins a link, and what ends it.
pub fn open(url: &str) -> String {
    format!("\u{1b}]8;;{url}\u{1b}\\")
}

pub const CLOSE: &str = "\u{1b}]8;;\u{1b}\\";

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;
    use crate::console::term::paint;

    fn row(text: &str) -> Buffer {
        let mut buf = Buffer::empty(Rect::new(0, 0, 60, 1));
        buf.set_string(0, 0, text, Style::new());
        buf
    }

    fn urls(text: &str) -> Vec<String> {
        let vouched = ["https://mirror.example/el9".to_owned(), "ftp://x".to_owned()];
        of_row(&row(text), 0, &vouched).into_iter().map(|s| s.url).collect()
    }

    #[test]
    fn only_what_stands_whole_and_is_vouched_for() {
        assert_eq!(urls("from https://mirror.example/el9/BaseOS. Then"), ["https://mirror.example/el9/BaseOS"]);
        assert_eq!(
            urls("https://mirror.example/el9 https://mirror.example/el9?a=b"),
            ["https://mirror.example/el9", "https://mirror.example/el9?a=b"]
        );
        for no in [
            "https://mirror.example/el90",
            "https://evil.example/https://mirror.example/el9",
            "xhttps://mirror.example/el9",
            "https://mirror.example/el9/Bas\u{2026} cut",
            "https://mirror.example/el9/Bas~ cut",
            "ftp://x/y",
            "https://mirror.example.evil/el9",
        ] {
            assert_eq!(urls(no), [""; 0], "{no}");
        }
        assert_eq!(urls(&format!("{:>60}", "https://mirror.example/el9")), [""; 0], "it may go on behind the edge");
    }

    #[test]
    fn a_link_is_opened_closed_and_written_anew_when_it_is_another_one() {
        let vouched = ["https://m.example".to_owned()];
        let (a, b) = (row("see https://m.example/a now"), row("see https://m.example/ab now"));
        let first = paint::linked(None, &a, &vouched);
        assert!(first.contains("\u{1b}]8;;https://m.example/a\u{1b}\\https://m.example/a\u{1b}]8;;\u{1b}\\"), "{first:?}");
        assert_eq!(paint::linked(Some(&a), &a, &vouched), "");
        let second = paint::linked(Some(&a), &b, &vouched);
        assert!(
            second.contains("\u{1b}]8;;https://m.example/ab\u{1b}\\") && second.contains("https://m.example/ab\u{1b}]8;;\u{1b}\\"),
            "all of its cells: {second:?}"
        );
        assert!(!paint::bytes(None, &a).contains("\u{1b}]8"), "nobody asked for links");
    }
}
