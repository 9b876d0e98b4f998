//! Decompression with limits: gzip, xz, zstd and none, told apart by their first bytes; a bomb ends in an error, not in a full memory or disk.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use super::WireError;

/// Output that no metadata file of a sane repository reaches when repomd.xml states no open-size.
pub const MAX_OUT: u64 = 4 << 30;
/// Best honest ratio seen: 60 (zstd over very regular primary.xml). Only judged past `RATIO_FROM`.
const MAX_RATIO: u64 = 400;
const RATIO_FROM: u64 = 64 << 20;
/// An xz or zstd stream may ask for a window; more than this is refused.
const MAX_WINDOW_LOG: u32 = 27;
const XZ_MEMORY_KIB: u32 = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Xz,
    Zstd,
}

/// Tells the codec by magic bytes; file names lie.
pub fn detect(head: &[u8]) -> Result<Codec, WireError> {
    Ok(match head {
        [0x1f, 0x8b, ..] => Codec::Gzip,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
        [b'B', b'Z', b'h', ..] => return Err(WireError::Codec("bzip2")),
        [0, b'Z', b'C', b'K', b'1', ..] => return Err(WireError::Codec("zchunk")),
        _ => Codec::None,
    })
}

/// A reader of the open bytes. `open_size` is the exact size where the metadata states one; anything beyond is an error.
pub fn reader<'a, R: BufRead + 'a>(inner: R, what: &'static str, open_size: Option<u64>) -> Result<Box<dyn BufRead + 'a>, WireError> {
    build(inner, what, open_size.unwrap_or(MAX_OUT).min(MAX_OUT), MAX_RATIO)
}

/// The same for what is only read through and never kept: no judgement by ratio, since an image of a disk may well be all zeros.
pub fn reader_up_to<'a, R: BufRead + 'a>(inner: R, what: &'static str, limit: u64) -> Result<Box<dyn BufRead + 'a>, WireError> {
    build(inner, what, limit, u64::MAX)
}

fn build<'a, R: BufRead + 'a>(mut inner: R, what: &'static str, limit: u64, ratio: u64) -> Result<Box<dyn BufRead + 'a>, WireError> {
    let codec = detect(inner.fill_buf().map_err(|e| WireError::Read { what, why: e.to_string() })?)?;
    let taken = Rc::new(Cell::new(0));
    let source = Counted { inner, taken: Rc::clone(&taken) };
    let open: Box<dyn Read + 'a> = match codec {
        Codec::None => Box::new(source),
        Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Codec::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, XZ_MEMORY_KIB)),
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source).map_err(|e| WireError::Read { what, why: e.to_string() })?;
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(|e| WireError::Read { what, why: e.to_string() })?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(BufReader::with_capacity(32 << 10, Guarded { inner: open, taken, given: 0, limit, ratio, what })))
}

struct Counted<R> {
    inner: R,
    taken: Rc<Cell<u64>>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.taken.set(self.taken.get() + n as u64);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.taken.set(self.taken.get() + n as u64);
        self.inner.consume(n);
    }
}

struct Guarded<R> {
    inner: R,
    taken: Rc<Cell<u64>>,
    given: u64,
    limit: u64,
    ratio: u64,
    what: &'static str,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.given += n as u64;
        let bomb = self.given > RATIO_FROM && self.given / self.ratio > self.taken.get().max(1);
        if self.given > self.limit || bomb {
            let why = if bomb {
                format!("more than {MAX_RATIO} times its compressed size")
            } else {
                format!("more than the {} bytes stated", self.limit)
            };
            return Err(io::Error::other(format!("{} opens to {why}: a decompression bomb, or damaged", self.what)));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gz(data: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    fn xz(data: &[u8]) -> Vec<u8> {
        let mut e = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    fn open(data: &[u8], size: Option<u64>) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        reader(data, "primary", size).map_err(io::Error::other)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_codec_is_told_by_its_bytes() {
        let text = b"<metadata/>".repeat(500);
        for packed in [gz(&text), xz(&text), zstd::encode_all(&text[..], 3).unwrap(), text.clone()] {
            assert_eq!(open(&packed, Some(text.len() as u64)).unwrap(), text);
        }
        assert_eq!(detect(b"BZh91"), Err(WireError::Codec("bzip2")));
        assert_eq!(detect(b"\0ZCK1"), Err(WireError::Codec("zchunk")));
    }

    #[test]
    fn a_bomb_ends_at_the_stated_size_or_the_ratio() {
        let zeros = vec![0u8; 1 << 20];
        let e = open(&gz(&zeros), Some(1000)).unwrap_err().to_string();
        assert!(e.contains("bomb"), "{e}");
        let bomb = zstd::encode_all(io::repeat(0).take(80 << 20), 3).unwrap();
        let e = open(&bomb, None).unwrap_err().to_string();
        assert!(e.contains("400 times"), "{e}");
    }

    #[test]
    fn truncated_streams_are_errors() {
        let text: Vec<u8> = (0..50_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for packed in [gz(&text), xz(&text), zstd::encode_all(&text[..], 3).unwrap()] {
            assert!(open(&packed[..packed.len() / 2], None).is_err());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), magic in 0usize..4) {
            let heads: [&[u8]; 4] = [&[], &[0x1f, 0x8b, 8, 0], &[0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4], &[0x28, 0xb5, 0x2f, 0xfd]];
            bytes.splice(0..0, heads[magic].iter().copied());
            let _ = open(&bytes, Some(1 << 20));
        }
    }
}
