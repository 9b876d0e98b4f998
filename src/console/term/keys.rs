//! Bytes of the terminal as keys, pastes and answers to what was asked of it. Pure; any bytes whatever are read without harm: what is no key
//! is swallowed whole, so that the rest of an unknown sequence is never taken for keys.

use std::time::Duration;

use crate::console::keymap::{Code, Key};

/// After this an escape that nothing followed is the key. Over a slow link a sequence may come in two parts.
const ESCAPE: Duration = Duration::from_millis(50);
/// A paste whose end does not come is over after this silence; until then nothing of it is a key.
const PASTE: Duration = Duration::from_secs(10);
/// What is kept of a paste, and of a sequence that does not end.
const MOST_PASTE: usize = 64 << 10;
const MOST_SEQUENCE: usize = 4 << 10;
const PASTE_END: &[u8] = b"\x1b[201~";

/// One thing that came from the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Key(Key),
    Paste(String),
    Reply(Reply),
    Mouse(Mouse),
}

/// What the mouse does, where it was asked for; columns and rows are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    Click { x: u16, y: u16 },
    Wheel { down: bool },
}

/// What the terminal says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Its kind (DA1): every terminal answers this one, so it ends a probe.
    Device,
    /// What is behind the text (OSC 11): light, or dark.
    Background { light: bool },
    /// The state of a private mode (DECRPM): 1 set, 2 reset, 3 always set, 4 always reset, 0 unknown.
    Mode { mode: u16, state: u16 },
}

/// Reads a stream of bytes, cut anywhere.
#[derive(Debug, Default)]
pub struct Parser {
    held: Vec<u8>,
    paste: Option<Vec<u8>>,
}

enum Step {
    /// Too short to tell.
    Need,
    /// So many bytes are this, or nothing.
    Take(usize, Option<Token>),
    /// A paste begins after so many bytes.
    Paste(usize),
}

impl Parser {
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Token>) {
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        while at < self.held.len() {
            if self.paste.is_some() {
                match self.in_paste(at, out) {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            }
            match step(&self.held[at..]) {
                Step::Need if self.held.len() - at > MOST_SEQUENCE => at = self.held.len(),
                Step::Need => break,
                Step::Take(n, token) => {
                    out.extend(token);
                    at += n;
                }
                Step::Paste(n) => {
                    self.paste = Some(Vec::new());
                    at += n;
                }
            }
        }
        self.held.drain(..at);
    }

    /// Where the paste ends; none where its end has not come yet.
    fn in_paste(&mut self, at: usize, out: &mut Vec<Token>) -> Option<usize> {
        let rest = &self.held[at..];
        let end = memchr::memmem::find(rest, PASTE_END);
        // The end may be cut in two: its beginning stays.
        let text = end.unwrap_or_else(|| rest.len().saturating_sub(PASTE_END.len() - 1));
        let paste = self.paste.get_or_insert_default();
        paste.extend(rest[..text].iter().take(MOST_PASTE.saturating_sub(paste.len())));
        match end {
            Some(n) => {
                out.push(Token::Paste(String::from_utf8_lossy(&self.paste.take().unwrap_or_default()).into_owned()));
                Some(at + n + PASTE_END.len())
            }
            None => {
                self.held.drain(at..at + text);
                None
            }
        }
    }

    /// How long to wait for the rest of what has begun; none where nothing has.
    pub fn waits(&self) -> Option<Duration> {
        match (&self.paste, self.held.is_empty()) {
            (Some(_), _) => Some(PASTE),
            (None, true) => None,
            (None, false) => Some(ESCAPE),
        }
    }

    /// Nothing came for so long: what is held is taken for what it is.
    pub fn flush(&mut self, out: &mut Vec<Token>) {
        let held = std::mem::take(&mut self.held);
        if let Some(mut paste) = self.paste.take() {
            paste.extend(held);
            out.push(Token::Paste(String::from_utf8_lossy(&paste).into_owned()));
            return;
        }
        match held.as_slice() {
            [0x1b] => out.push(key(Code::Esc)),
            // Alt with a key that also begins a sequence.
            [0x1b, c @ (b'[' | b'O' | b'P' | b']' | b'_' | b'^' | b'X')] => {
                out.push(Token::Key(Key { code: Code::Char(char::from(*c)), ctrl: false, alt: true }));
            }
            _ => {}
        }
    }
}

fn key(code: Code) -> Token {
    Token::Key(Key::plain(code))
}

fn step(b: &[u8]) -> Step {
    match b {
        [0x1b] => Step::Need,
        [0x1b, b'[', ..] => csi(b),
        [0x1b, b'O', rest @ ..] => match rest.first() {
            None => Step::Need,
            Some(c) => Step::Take(3, cursor(*c).or(if *c == b'M' { Some(Code::Enter) } else { None }).map(key)),
        },
        [0x1b, kind @ (b'P' | b']' | b'_' | b'^' | b'X'), rest @ ..] => string(*kind, rest),
        [0x1b, 0x1b, ..] => Step::Take(1, Some(key(Code::Esc))),
        [0x1b, rest @ ..] => match plain(rest) {
            Step::Take(n, Some(Token::Key(k))) => Step::Take(n + 1, Some(Token::Key(Key { alt: true, ..k }))),
            Step::Take(n, _) => Step::Take(n + 1, None),
            other => other,
        },
        _ => plain(b),
    }
}

/// A control string (DCS, OSC, APC, PM, SOS): an answer of the terminal; but for one, nobody here asked for it.
fn string(kind: u8, rest: &[u8]) -> Step {
    for (i, c) in rest.iter().enumerate() {
        let body = match c {
            0x07 => &rest[..i],
            b'\\' if i > 0 && rest[i - 1] == 0x1b => &rest[..i - 1],
            _ => continue,
        };
        let reply = if kind == b']' { background(body) } else { None };
        return Step::Take(i + 3, reply.map(Token::Reply));
    }
    Step::Need
}

/// `11;rgb:RRRR/GGGG/BBBB`, one to four hexadecimal digits each.
fn background(body: &[u8]) -> Option<Reply> {
    let colour = std::str::from_utf8(body).ok()?.strip_prefix("11;rgb:")?;
    let part = |p: &str| {
        let most = 16u32.checked_pow(p.len() as u32).filter(|_| (1..=4).contains(&p.len()))? - 1;
        u32::from_str_radix(p, 16).ok().map(|n| n * 1_000 / most)
    };
    let mut parts = colour.split('/');
    let (r, g, b) = (part(parts.next()?)?, part(parts.next()?)?, part(parts.next()?)?);
    // As bright as eyes see it, of 1,000.
    Some(Reply::Background { light: (299 * r + 587 * g + 114 * b) / 1_000 > 500 })
}

fn csi(b: &[u8]) -> Step {
    // The Linux console sends function keys as ESC [ [ A.
    if b.get(2) == Some(&b'[') {
        return if b.len() < 4 { Step::Need } else { Step::Take(4, None) };
    }
    let Some(end) = b[2..].iter().position(|c| !(0x20..=0x3f).contains(c)).map(|i| i + 2) else { return Step::Need };
    if !(0x40..=0x7e).contains(&b[end]) {
        // Broken off by something that is no part of a sequence.
        return Step::Take(end, None);
    }
    let (body, last) = (&b[2..end], b[end]);
    let text = String::from_utf8_lossy(body);
    let after = end + 1;
    if let Some(private) = text.strip_prefix('?') {
        let reply = match last {
            b'c' => Some(Reply::Device),
            b'y' => private.strip_suffix('$').and_then(|p| {
                let (mode, state) = p.split_once(';')?;
                Some(Reply::Mode { mode: mode.parse().ok()?, state: state.parse().ok()? })
            }),
            _ => None,
        };
        return Step::Take(after, reply.map(Token::Reply));
    }
    if let Some(report) = text.strip_prefix('<') {
        return Step::Take(after, mouse(report, last).map(Token::Mouse));
    }
    let mut numbers = text.split(';').map(|n| n.parse::<u16>().ok());
    let (first, modifiers) = (numbers.next().flatten(), numbers.next().flatten().unwrap_or(1).saturating_sub(1));
    let code = match (last, first) {
        (b'~', Some(200)) => return Step::Paste(after),
        (b'~', Some(1 | 7)) => Some(Code::Home),
        (b'~', Some(3)) => Some(Code::Delete),
        (b'~', Some(4 | 8)) => Some(Code::End),
        (b'~', Some(5)) => Some(Code::PageUp),
        (b'~', Some(6)) => Some(Code::PageDown),
        (b'Z', _) => Some(Code::BackTab),
        // A report of the mouse in the old form, which is never asked for: three bytes that are no keys follow.
        (b'M', None) if body.is_empty() => return if b.len() < after + 3 { Step::Need } else { Step::Take(after + 3, None) },
        _ if text.bytes().all(|c| c.is_ascii_digit() || c == b';') => cursor(last),
        _ => None,
    };
    Step::Take(after, code.map(|code| Token::Key(Key { code, ctrl: modifiers & 4 != 0, alt: modifiers & 2 != 0 })))
}

/// A report of the mouse (SGR): the left button that goes down, or the wheel. All else is nothing.
fn mouse(report: &str, last: u8) -> Option<Mouse> {
    let mut numbers = report.split(';').map(|n| n.parse::<u16>().ok());
    let (button, x, y) = (numbers.next()??, numbers.next()??, numbers.next()??);
    match (button, last) {
        (0, b'M') => Some(Mouse::Click { x: x.checked_sub(1)?, y: y.checked_sub(1)? }),
        (64 | 65, b'M') => Some(Mouse::Wheel { down: button == 65 }),
        _ => None,
    }
}

fn cursor(last: u8) -> Option<Code> {
    Some(match last {
        b'A' => Code::Up,
        b'B' => Code::Down,
        b'C' => Code::Right,
        b'D' => Code::Left,
        b'H' => Code::Home,
        b'F' => Code::End,
        _ => return None,
    })
}

/// A character, or a control character. `b` may be empty.
fn plain(b: &[u8]) -> Step {
    let Some(first) = b.first() else { return Step::Need };
    let control = |c: char| Some(Token::Key(Key { code: Code::Char(c), ctrl: true, alt: false }));
    let token = match first {
        b'\r' | b'\n' => Some(key(Code::Enter)),
        b'\t' => Some(key(Code::Tab)),
        0x08 | 0x7f => Some(key(Code::Backspace)),
        0 => control(' '),
        1..=26 => control(char::from(first + 0x60)),
        0x1c..=0x1f => control(char::from(first + 0x40)),
        0x1b => return Step::Need,
        0x20..=0x7e => Some(key(Code::Char(char::from(*first)))),
        _ => return wide(b),
    };
    Step::Take(1, token)
}

fn wide(b: &[u8]) -> Step {
    let len = match b[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Step::Take(1, None),
    };
    let have = &b[..b.len().min(len)];
    match std::str::from_utf8(have) {
        Ok(text) => Step::Take(len, text.chars().next().filter(|c| !c.is_control()).map(|c| key(Code::Char(c)))),
        Err(e) if e.error_len().is_none() && have.len() < len => Step::Need,
        Err(e) => Step::Take(e.error_len().unwrap_or(1).max(1), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Vec<Token> {
        let (mut parser, mut out) = (Parser::default(), Vec::new());
        parser.feed(bytes, &mut out);
        out
    }

    fn keys(bytes: &[u8]) -> String {
        let of = |t| match t {
            Token::Key(k) => k.to_string(),
            other => format!("{other:?}"),
        };
        read(bytes).into_iter().map(of).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_as_terminals_send_them() {
        assert_eq!(keys(b"j\x1b[A\x1bOB\x1b[5~\x1b[1;5C\x1b[Z\r\t\x7f\x1a"), "j up down pgup C-right backtab enter tab backspace C-z");
        assert_eq!(keys("é日\u{1b}xq".as_bytes()), "é 日 A-x q");
        assert_eq!(keys(b"\x1b[H\x1b[4~\x1b[3~"), "home end delete");
    }

    #[test]
    fn answers_and_unknown_sequences_are_never_keys() {
        assert_eq!(read(b"\x1b[?62;4;22c"), [Token::Reply(Reply::Device)]);
        assert_eq!(read(b"\x1b[?2026;2$y"), [Token::Reply(Reply::Mode { mode: 2026, state: 2 })]);
        assert_eq!(keys(b"\x1b[24;80R\x1b[>1;10;0c\x1b[I\x1b[[A\x1b[M !!\x1b]10;rgb:0000/0000/0000\x1b\\\x1bP>|xterm\x1b\\q"), "q");
        let light = |colour: &str| read(format!("\x1b]11;rgb:{colour}\x1b\\").as_bytes());
        for (colour, is) in [("ffff/ffff/ffff", true), ("fd/f6/e3", true), ("0000/0000/0000", false), ("28/2c/34", false), ("f/f/0", true)]
        {
            assert_eq!(light(colour), [Token::Reply(Reply::Background { light: is })], "{colour}");
        }
        for odd in ["", "ffff/ffff", "fffff/0/0", "x/y/z", "+f/0/0/", "//"] {
            assert!(light(odd).iter().all(|t| matches!(t, Token::Reply(_))), "{odd}");
        }
        assert_eq!(keys(b"\x1b[12\x07\x80\xffq"), "C-g q");
    }

    #[test]
    fn the_mouse_is_no_key() {
        assert_eq!(
            read(b"\x1b[<0;12;3M\x1b[<0;12;3m\x1b[<65;1;1M\x1b[<64;1;1M\x1b[<2;4;4M\x1b[<0;0;0M\x1b[<;M\x1b[<35;7;7M"),
            [
                Token::Mouse(Mouse::Click { x: 11, y: 2 }),
                Token::Mouse(Mouse::Wheel { down: true }),
                Token::Mouse(Mouse::Wheel { down: false })
            ]
        );
    }

    #[test]
    fn a_lone_escape_is_the_key_once_nothing_follows() {
        let (mut parser, mut out) = (Parser::default(), Vec::new());
        parser.feed(b"\x1b", &mut out);
        assert!(out.is_empty() && parser.waits() == Some(ESCAPE));
        parser.flush(&mut out);
        assert_eq!(out, [key(Code::Esc)]);
        assert_eq!(parser.waits(), None);
    }

    #[test]
    fn a_paste_is_one_thing_wherever_it_is_cut() {
        let bytes = b"a\x1b[200~:quit\rX\x1b[A\x1b[201~b";
        for cut in 0..bytes.len() {
            let (mut parser, mut out) = (Parser::default(), Vec::new());
            parser.feed(&bytes[..cut], &mut out);
            parser.feed(&bytes[cut..], &mut out);
            assert_eq!(out, [key(Code::Char('a')), Token::Paste(":quit\rX\u{1b}[A".into()), key(Code::Char('b'))], "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_the_same_however_they_are_cut(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
            let cut = cut.min(bytes.len());
            let (mut parser, mut out) = (Parser::default(), Vec::new());
            parser.feed(&bytes[..cut], &mut out);
            parser.feed(&bytes[cut..], &mut out);
            prop_assert_eq!(&out, &read(&bytes));
            parser.flush(&mut out);
            prop_assert!(parser.waits().is_none());
        }
    }
}
