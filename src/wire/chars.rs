//! The characters that XML allows, judged in the whole of a document. Our readers skip what nobody asked for, while dnf takes no primary that
//! has a control character in one description: a mirror of it would be of no use. What dnf can do without (changelogs) is not judged so.

use memchr::memmem;

use super::excerpt;

/// `&#x10FFFF;`, and some zeros that somebody may write in front.
const LONGEST_REFERENCE: usize = 16;

/// Judges a document in parts of any length.
#[derive(Debug, Default)]
pub struct Chars {
    /// What it says of itself, once its first part came. Only UTF-8 is judged here: another encoding is for who decodes it.
    utf8: Option<bool>,
}

impl Chars {
    /// How many of these bytes are proved. Those behind may be the beginning of something: they are to be judged again with what follows
    /// them. `last`: nothing follows. An error says at which byte, and why.
    pub fn prove(&mut self, bytes: &[u8], last: bool) -> Result<usize, (usize, String)> {
        let utf8 = *self.utf8.get_or_insert_with(|| says_utf8(bytes));
        let forbidden = |b: &u8| *b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
        // Without an early end this is many bytes a cycle; with one it is not.
        let (any, all) = bytes.iter().fold((false, 0), |(any, all), b| (any | forbidden(b), all | b));
        if any {
            let at = bytes.iter().position(forbidden).unwrap_or_default();
            return Err((at, format!("it has a control character (0x{:02x}), which dnf refuses", bytes[at])));
        }
        let mut proved = bytes.len();
        if utf8 && all >= 0x80 {
            match std::str::from_utf8(bytes) {
                Ok(_) => {}
                Err(e) if e.error_len().is_none() && !last => proved = e.valid_up_to(),
                Err(e) => return Err((e.valid_up_to(), "it is not UTF-8, which dnf refuses".into())),
            }
            if let Some(at) = ["\u{fffe}", "\u{ffff}"].iter().find_map(|c| memmem::find(&bytes[..proved], c.as_bytes())) {
                return Err((at, "it has U+FFFE or U+FFFF, which are no characters, and which dnf refuses".into()));
            }
        }
        // In CDATA and comments this would be plain text: nobody writes it there.
        for at in memmem::find_iter(bytes, b"&#") {
            let rest = &bytes[at + 2..bytes.len().min(at + LONGEST_REFERENCE)];
            let Some(end) = rest.iter().position(|b| *b == b';') else {
                if !last && bytes.len() < at + LONGEST_REFERENCE {
                    return Ok(proved.min(at));
                }
                continue;
            };
            if std::str::from_utf8(&rest[..end]).ok().and_then(reference).is_none() {
                let shown = excerpt(&String::from_utf8_lossy(&bytes[at..at + 3 + end]));
                return Err((at, format!("`{shown}` is no character, and dnf refuses it")));
            }
        }
        Ok(if !last && bytes.ends_with(b"&") { proved.min(bytes.len() - 1) } else { proved })
    }
}

/// All of a document that is held in memory.
pub fn whole(bytes: &[u8]) -> Result<(), (usize, String)> {
    Chars::default().prove(bytes, true).map(drop)
}

/// The character that `&#NUMBER;` stands for, where XML allows it.
fn reference(number: &str) -> Option<char> {
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?).filter(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..))
}

fn says_utf8(start: &[u8]) -> bool {
    let head = &start[..memmem::find(start, b"?>").unwrap_or_default()];
    let Some(at) = memmem::find(head, b"encoding") else { return true };
    let name: Vec<u8> = head[at + 8..].iter().map(u8::to_ascii_lowercase).filter(|b| !matches!(b, b'=' | b'"' | b'\'' | b' ')).collect();
    name.starts_with(b"utf-8") || name.starts_with(b"utf8") || name.starts_with(b"us-ascii")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The document in parts of so many bytes, as a reader gets it.
    fn in_parts(text: &[u8], part: usize) -> Result<(), String> {
        let (mut chars, mut held, mut from) = (Chars::default(), Vec::new(), 0);
        for piece in text.chunks(part) {
            held.extend_from_slice(piece);
            from += chars.prove(&held[from..], false).map_err(|(_, why)| why)?;
        }
        chars.prove(&held[from..], true).map(drop).map_err(|(_, why)| why)
    }

    #[test]
    fn what_xml_allows_passes_however_it_is_cut() {
        for text in ["", "<a>\tb\r\n</a>", "ä\u{85}\u{7f}\u{fffd}\u{10ffff}", "&#9;&#x1F600;&#0000065;", "& &# &#", "&amp;#27"] {
            for part in [1, 2, 3, 7, 64] {
                assert_eq!(in_parts(text.as_bytes(), part), Ok(()), "{text:?} in parts of {part}");
            }
        }
        // What it is in is for who decodes it.
        assert!(whole(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe4</a>").is_ok());
        assert!(whole(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>\xe4</a>").is_err());
    }

    #[test]
    fn what_dnf_refuses_is_refused_however_it_is_cut() {
        let cases: [(&[u8], &str); 10] = [
            (b"ab\x1b", "(0x1b)"),
            (b"\0", "(0x00)"),
            (b"a\x0c", "(0x0c)"),
            (b"a\x0b", "(0x0b)"),
            (b"a\xff", "not UTF-8"),
            ("ä".as_bytes().split_last().unwrap().1, "not UTF-8"),
            ("a\u{fffe}b".as_bytes(), "U+FFFE"),
            (b"x&#27;", "`&#27;` is no character"),
            (b"x&#xD800;y", "no character"),
            (b"x&#xfffe;&#65;", "no character"),
        ];
        for (text, why) in cases {
            for part in [1, 2, 3, 64] {
                let told = in_parts(text, part).unwrap_err();
                assert!(told.contains(why), "{text:?} in parts of {part}: {told}");
            }
        }
    }

    proptest! {
        #[test]
        fn parts_say_what_the_whole_says(text in prop::collection::vec(prop_oneof![Just(b'&'), Just(b'#'), Just(b';'), Just(b'2'), Just(b'7'), Just(b'x'), Just(0xc3), Just(0xa4), Just(0xef), Just(0xbf), Just(0xbe), Just(0x1b), any::<u8>()], 0..60), part in 1usize..9) {
            prop_assert_eq!(in_parts(&text, part).is_ok(), whole(&text).is_ok());
        }
    }
}
