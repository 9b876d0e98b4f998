//! Text from elsewhere, made safe for a terminal: colours may stay, everything that moves, sets, hides or reorders goes.
//!
//! A line is taken by itself: a sequence that its line does not end is dropped, and never swallows the next line.

/// What happens to colour sequences (`ESC [ … m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Keep,
    Drop,
}

/// One line without its line ending. Tabs become spaces to the next multiple of 8; a progress line drawn with carriage returns becomes
/// its last state; with `Keep` a line that sets a colour ends with a reset.
pub fn line(text: &str, colour: Colour) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut column, mut coloured) = (0usize, false);
    let mut rest = last_state(text).chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' | '\u{9b}' | '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => {
                if let Some(sgr) = escape(c, &mut rest)
                    && colour == Colour::Keep
                {
                    out.push_str("\u{1b}[");
                    out.push_str(&sgr);
                    out.push('m');
                    coloured = !matches!(sgr.as_str(), "" | "0");
                }
            }
            '\t' => {
                let fill = 8 - column % 8;
                out.extend(std::iter::repeat_n(' ', fill));
                column += fill;
            }
            c if hidden(c) => {}
            '\u{2028}' | '\u{2029}' | '\n' | '\u{b}' | '\u{c}' => {
                out.push(' ');
                column += 1;
            }
            c if c.is_control() => {}
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    if coloured {
        out.push_str("\u{1b}[0m");
    }
    out
}

/// What [`line()`] makes, without colours, of so many bytes of a text at most, for a text that may be very long and is cut anyway; true = there was
/// more of it.
pub fn beginning(text: &str, bytes: usize) -> (String, bool) {
    let state = last_state(text);
    if state.len() <= bytes {
        return (line(state, Colour::Drop), false);
    }
    let end = (0..=bytes).rev().find(|i| state.is_char_boundary(*i)).unwrap_or(0);
    (line(&state[..end], Colour::Drop), true)
}

/// One line of bytes; what is not UTF-8 becomes U+FFFD.
pub fn bytes(line_bytes: &[u8], colour: Colour) -> String {
    line(&String::from_utf8_lossy(line_bytes), colour)
}

/// A text for one table cell: one line, no colour, trimmed.
pub fn cell(text: &str) -> String {
    let joined = text.split(['\n', '\r']).map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
    line(&joined, Colour::Drop).trim().to_owned()
}

/// A text of several lines, each made safe by itself.
pub fn lines(text: &str) -> String {
    text.split('\n').map(|l| line(l, Colour::Drop)).collect::<Vec<_>>().join("\n")
}

/// What a terminal would show at last of a line with carriage returns. Blank states are passed over, so that `text\r` stays.
fn last_state(text: &str) -> &str {
    if !text.contains('\r') {
        return text;
    }
    text.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or("")
}

/// Whether a reader of a name cannot see this sign, or takes it for another one.
pub fn unseen(c: char) -> bool {
    c.is_control() || hidden(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Marks that change the direction of text, or are not seen at all: names that differ only by them would look alike.
fn hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}' | '\u{ad}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Consumes one escape sequence, whose introducer was read. The parameters, if it was a well-formed colour sequence.
fn escape(introducer: char, rest: &mut std::str::Chars<'_>) -> Option<String> {
    let kind = match introducer {
        '\u{1b}' => {
            // `ESC` and intermediates (0x20-0x2f), then one final byte.
            let mut next = rest.clone();
            let c = next.next()?;
            match c {
                '[' | ']' | 'P' | 'X' | '^' | '_' => {
                    *rest = next;
                    c
                }
                ' '..='/' => loop {
                    *rest = next.clone();
                    match next.next() {
                        Some(' '..='/') => {}
                        Some('0'..='~') => {
                            *rest = next;
                            return None;
                        }
                        _ => return None,
                    }
                },
                '0'..='~' => {
                    *rest = next;
                    return None;
                }
                _ => return None,
            }
        }
        '\u{9b}' => '[',
        '\u{9d}' => ']',
        _ => 'P',
    };
    if kind == '[' { csi(rest) } else { string(rest) }
}

fn csi(rest: &mut std::str::Chars<'_>) -> Option<String> {
    let mut params = String::new();
    loop {
        let mut next = rest.clone();
        let c = next.next()?;
        match c {
            '0'..='?' => params.push(c),
            ' '..='/' => params.push('!'),
            '@'..='~' => {
                *rest = next;
                let plain = params.len() <= 32 && params.bytes().all(|b| b.is_ascii_digit() || b == b';' || b == b':');
                return (c == 'm' && plain).then_some(params);
            }
            // Anything else ends the sequence, and is itself looked at again.
            _ => return None,
        }
        *rest = next;
    }
}

/// OSC, DCS and their like: up to BEL or ST; cancelled by CAN, SUB or a new escape.
fn string(rest: &mut std::str::Chars<'_>) -> Option<String> {
    loop {
        let mut next = rest.clone();
        match next.next()? {
            '\u{7}' | '\u{9c}' | '\u{18}' | '\u{1a}' => {
                *rest = next;
                return None;
            }
            '\u{1b}' => {
                let mut after = next.clone();
                if after.next() == Some('\\') {
                    *rest = after;
                }
                return None;
            }
            _ => *rest = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_touch_the_terminal_is_gone() {
        for (raw, safe) in [
            ("plain ü 漢", "plain ü 漢"),
            ("a\u{1b}]52;c;ZXZpbA==\u{7}b", "ab"),
            ("a\u{1b}]0;title\u{1b}\\b", "ab"),
            ("a\u{1b}[2Jb\u{1b}[1;1Hc\u{1b}[?1049h", "abc"),
            ("a\u{9b}2Jb\u{9d}0;t\u{9c}c", "abc"),
            ("a\u{1b}P$q\"p\u{1b}\\b\u{1b}_x\u{1b}\\c", "abc"),
            ("a\u{1b}(0b\u{1b}cd", "abd"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("tail \u{1b}]8;;http://evil", "tail "),
            ("a\u{1b}[31", "a"),
            ("user\u{202e}gpj.exe\u{200b}\u{feff}", "usergpj.exe"),
            ("a\0b\u{8}\u{7f}c\u{85}", "abc"),
            ("a\tb", "a       b"),
            ("10%\r50%\r100%", "100%"),
            ("done\r", "done"),
            ("\u{1b}[3\u{1b}[4mx", "x"),
        ] {
            assert_eq!(line(raw, Colour::Drop), safe, "{raw:?}");
        }
    }

    #[test]
    fn colours_stay_where_asked_and_end_with_the_line() {
        assert_eq!(line("\u{1b}[1;31mred", Colour::Keep), "\u{1b}[1;31mred\u{1b}[0m");
        assert_eq!(line("\u{1b}[31mred\u{1b}[0m", Colour::Keep), "\u{1b}[31mred\u{1b}[0m");
        assert_eq!(line("\u{1b}[>4;1mx\u{1b}[?1m", Colour::Keep), "x");
        assert_eq!(bytes(b"a\xff\x1b[K", Colour::Keep), "a\u{fffd}");
        assert_eq!(cell(" two\r\nlines\n\n"), "two lines");
    }

    proptest! {
        #[test]
        fn nothing_gets_through(raw in "(\\PC|[\u{0}-\u{9f}\u{202a}-\u{202e}]|\u{1b}[\\[\\]P_(]|;|m|\\\\){0,60}") {
            let sgr = regex::Regex::new("\u{1b}\\[[0-9;:]*m").unwrap();
            for colour in [Colour::Drop, Colour::Keep] {
                let safe = line(&raw, colour);
                // Whatever is left after taking out exact colour sequences holds no control and no hidden mark.
                let bare = sgr.replace_all(&safe, "").into_owned();
                prop_assert!(!bare.chars().any(|c| c.is_control() || hidden(c)), "{:?}", safe);
                let esc = safe.contains('\u{1b}');
                prop_assert!(colour == Colour::Keep || !esc);
                prop_assert_eq!(line(&safe, colour), safe);
            }
        }

        #[test]
        fn printable_ascii_is_left_alone(raw in "[ -~]{0,80}") {
            prop_assert_eq!(line(&raw, Colour::Drop), raw);
        }
    }
}
