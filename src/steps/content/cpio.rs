//! The archive inside a package: newc cpio and RPM's stripped form, read as a stream; nothing is kept and nothing is written anywhere.

use std::io::{self, BufRead, Read};

/// A name longer than this is damage.
const MAX_NAME: u64 = 64 << 10;

/// One entry's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Path as the archive has it (`./usr/bin/x`), and its size.
    Named {
        name: String,
        size: u64,
    },
    /// Index in the header's file list; the size is in the header.
    Stripped(usize),
    Trailer,
}

/// Reads the next head, up to the first byte of data.
pub fn head(input: &mut impl BufRead) -> io::Result<Head> {
    let mut magic = [0; 6];
    input.read_exact(&mut magic).map_err(|e| bad(&format!("the archive ends without its trailer ({e})")))?;
    match &magic {
        b"07070X" => {
            let index = hex(input)?;
            Ok(Head::Stripped(usize::try_from(index).map_err(|_| bad("an index beyond this machine"))?)).and_then(|h| {
                // Heads are padded to four bytes: 14 + 2.
                skip(input, 2)?;
                Ok(h)
            })
        }
        b"070701" | b"070702" => {
            let mut fields = [0u64; 13];
            for field in &mut fields {
                *field = hex(input)?;
            }
            let (size, name_size) = (fields[6], fields[11]);
            if name_size == 0 || name_size > MAX_NAME {
                return Err(bad("a name of no sane length"));
            }
            let mut name = vec![0; name_size as usize];
            input.read_exact(&mut name)?;
            name.pop();
            skip(input, padding(110 + name_size))?;
            let name = String::from_utf8_lossy(&name).into_owned();
            Ok(if name == "TRAILER!!!" { Head::Trailer } else { Head::Named { name, size } })
        }
        _ => Err(bad("no entry where one should begin")),
    }
}

/// Hands `size` bytes of data to `take`, and skips the padding behind them.
pub fn data(input: &mut impl BufRead, size: u64, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        let buf = input.fill_buf()?;
        if buf.is_empty() {
            return Err(bad("the archive ends in the middle of a file"));
        }
        let n = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        take(&buf[..n]);
        input.consume(n);
        left -= n as u64;
    }
    skip(input, padding(size))
}

const fn padding(length: u64) -> u64 {
    (4 - length % 4) % 4
}

fn skip(input: &mut impl BufRead, n: u64) -> io::Result<()> {
    let copied = io::copy(&mut Read::by_ref(input).take(n), &mut io::sink())?;
    if copied == n { Ok(()) } else { Err(bad("the archive ends in the middle of a head")) }
}

fn hex(input: &mut impl BufRead) -> io::Result<u64> {
    let mut digits = [0; 8];
    input.read_exact(&mut digits)?;
    let text = std::str::from_utf8(&digits).map_err(|_| bad("a number that is none"))?;
    u64::from_str_radix(text, 16).map_err(|_| bad("a number that is none"))
}

pub fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, content: &[u8]) -> Vec<u8> {
        let mut out = b"070701".to_vec();
        for i in 0..13 {
            let value = match i {
                6 => content.len(),
                11 => name.len() + 1,
                _ => 0,
            };
            out.extend_from_slice(format!("{value:08x}").as_bytes());
        }
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    #[test]
    fn entries_follow_each_other_to_the_trailer() {
        let bytes = [entry("./a", b"hello"), entry("./bc", b""), entry("TRAILER!!!", b"")].concat();
        let mut input = bytes.as_slice();
        assert_eq!(head(&mut input).unwrap(), Head::Named { name: "./a".into(), size: 5 });
        let mut got = Vec::new();
        data(&mut input, 5, |b| got.extend_from_slice(b)).unwrap();
        assert_eq!(got, b"hello");
        assert_eq!(head(&mut input).unwrap(), Head::Named { name: "./bc".into(), size: 0 });
        assert_eq!(head(&mut input).unwrap(), Head::Trailer);
        assert!(head(&mut input).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..130) {
            let good = entry("./name", b"content");
            let bytes = [&good[..cut.min(good.len())], &tail[..]].concat();
            let mut input = bytes.as_slice();
            while let Ok(Head::Named { size, .. }) = head(&mut input) {
                if data(&mut input, size.min(1000), |_| ()).is_err() { break; }
            }
        }
    }
}
