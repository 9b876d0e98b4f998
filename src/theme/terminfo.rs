//! What a compiled terminfo entry says of colours. Pure: the bytes of the file come in. Format: term(5).

use super::Depth;

/// Files are small; a larger one is none.
pub const LARGEST: usize = 32 << 10;
/// The old format has numbers of 16 bits, the newer one of 32.
const OLD: u16 = 0o432;
const NEW: u16 = 0o1036;
/// Place of `max_colors` among the numbers.
const MAX_COLORS: usize = 13;
/// A terminal that takes each colour by its three parts.
const DIRECT: i64 = 1 << 24;

/// How many colours; none = this is no entry, or it does not say.
pub fn depth(entry: &[u8]) -> Option<Depth> {
    let short = |at: usize| Some(u16::from_le_bytes(entry.get(at..at + 2)?.try_into().ok()?));
    let size = |at: usize| short(at).map(usize::from);
    let wide = match short(0)? {
        OLD => 2,
        NEW => 4,
        _ => return None,
    };
    let (names, flags, numbers, strings, text) = (size(2)?, size(4)?, size(6)?, size(8)?, size(10)?);
    let even = |n: usize| n + n % 2;
    let at = even(12 + names + flags);
    let colours = match numbers > MAX_COLORS {
        false => -1,
        true => {
            let at = at + MAX_COLORS * wide;
            match wide {
                2 => i64::from(i16::from_le_bytes(entry.get(at..at + 2)?.try_into().ok()?)),
                _ => i64::from(i32::from_le_bytes(entry.get(at..at + 4)?.try_into().ok()?)),
            }
        }
    };
    // Names that are no standard ones stand in a second part, behind this one.
    let more = entry.get(even(at + numbers * wide + strings * 2 + text)..).unwrap_or_default();
    let has = |name: &[u8]| more.split(|b| *b == 0).any(|word| word == name);
    if colours >= DIRECT || has(b"RGB") || has(b"Tc") {
        return Some(Depth::True);
    }
    Some(match colours {
        256.. => Depth::Ansi256,
        8.. => Depth::Ansi16,
        _ => Depth::None,
    })
}

/// Where the entry of this terminal may lie, the first first.
pub fn places(term: &str, var: impl Fn(&str) -> Option<String>) -> Vec<std::path::PathBuf> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_+.".contains(&b);
    let Some(first) = term.bytes().next().filter(|_| term.bytes().all(plain) && !term.starts_with('.')) else { return Vec::new() };
    let set = |n: &str| var(n).filter(|v| !v.is_empty());
    let mut dirs: Vec<String> = set("TERMINFO").into_iter().collect();
    dirs.extend(set("HOME").map(|h| format!("{h}/.terminfo")));
    dirs.extend(set("TERMINFO_DIRS").iter().flat_map(|d| d.split(':')).filter(|d| !d.is_empty()).map(str::to_owned));
    dirs.extend(["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo"].map(str::to_owned));
    let each = |d: &String| [format!("{d}/{}/{term}", first as char), format!("{d}/{first:02x}/{term}")];
    dirs.iter().flat_map(each).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry as `tic` writes it: so many colours, and these names in its second part.
    fn entry(magic: u16, colours: i32, more: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for n in [magic, 5, 1, 14, 0, 0] {
            out.extend(n.to_le_bytes());
        }
        out.extend(b"name\0\x01");
        for n in 0..14 {
            let value = if n == MAX_COLORS { colours } else { -1 };
            match magic {
                NEW => out.extend(value.to_le_bytes()),
                _ => out.extend((value as i16).to_le_bytes()),
            }
        }
        if !more.is_empty() {
            for n in [more.len() as u16, 0, 0, more.len() as u16, 0] {
                out.extend(n.to_le_bytes());
            }
            out.extend(vec![1; more.len() + more.len() % 2]);
            out.extend(vec![0; more.len() * 2]);
            more.iter().for_each(|m| out.extend(m.bytes().chain([0])));
        }
        out
    }

    #[test]
    fn colours_are_read_from_both_formats() {
        let of = |magic, colours, more: &[&str]| depth(&entry(magic, colours, more));
        assert_eq!((of(OLD, 8, &[]), of(OLD, 256, &[]), of(OLD, -1, &[])), (Some(Depth::Ansi16), Some(Depth::Ansi256), Some(Depth::None)));
        assert_eq!((of(NEW, 256, &["AX", "Tc"]), of(OLD, 256, &["RGB"]), of(NEW, 256, &["AX"])), {
            (Some(Depth::True), Some(Depth::True), Some(Depth::Ansi256))
        });
        assert_eq!(of(NEW, 0x100_0000, &[]), Some(Depth::True));
    }

    #[test]
    fn what_is_no_entry_says_nothing_and_no_cut_or_flipped_byte_is_a_panic() {
        assert_eq!((depth(b""), depth(b"#!/bin/sh\n")), (None, None));
        let whole = entry(NEW, 256, &["Tc"]);
        for n in 0..whole.len() {
            let _ = depth(&whole[..n]);
            let mut odd = whole.clone();
            odd[n] ^= 0xff;
            let _ = depth(&odd);
        }
    }

    #[test]
    fn an_entry_lies_below_its_first_letter_and_a_name_leads_nowhere_else() {
        let of = |term: &str| places(term, |n| (n == "TERMINFO").then(|| "/t".to_owned()));
        assert_eq!(of("xterm-kitty")[..2], ["/t/x/xterm-kitty", "/t/78/xterm-kitty"].map(std::path::PathBuf::from));
        assert!(of("../../etc/passwd").is_empty() && of("").is_empty() && of("..").is_empty());
    }
}
