//! The large XML files of a repository (primary, filelists, other), tag by tag out of one buffer. No token is copied unless it is wanted.
//!
//! Half of reading a primary is skipping what nobody asked for, so what is skipped is only told apart, not decoded: end tags must match their
//! start tags, quotes must close, the depth and the length of a token have limits, and a document type is an error. UTF-8 and entities are
//! judged where a text or an attribute is used; a strict scan judges the characters of the whole document besides.

use std::borrow::Cow;
use std::io::{BufRead, ErrorKind};
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memmem};

use super::chars::Chars;
use super::{WireError, excerpt};
use crate::base::xml;

/// One tag with the text before it. A changelog entry or a description is far below; a hostile document is not.
const MAX_TOKEN: usize = 8 << 20;
const MAX_DEPTH: usize = 32;
/// So much is dropped at a time of what was read: more costs memory, and no less time.
const CHUNK: usize = 32 << 10;
/// Names of elements that are skipped, remembered: a reader skips two or three.
const MAX_ENDS: usize = 8;
/// What is skipped in one go; larger elements are passed over tag by tag.
const SKIPPED: usize = 1 << 20;

/// What kind of tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Start,
    /// `<x/>`: no end follows.
    Empty,
    End,
    /// The document is over, and every element was closed.
    Eof,
}

/// A tag, with the text between it and the tag before.
#[derive(Debug)]
pub struct Tag<'a> {
    pub kind: Kind,
    /// Without its prefix: `entry` for `rpm:entry`.
    pub name: &'a [u8],
    attributes: &'a [u8],
    text: &'a [u8],
    /// The text came with a comment or CDATA in it, and is decoded already.
    decoded: bool,
    what: &'static str,
    at: u64,
}

/// Reads tags out of a stream.
pub struct Scan<R> {
    input: R,
    held: Vec<u8>,
    /// The end of the last tag, in `held`.
    from: usize,
    /// So much of `held` is made of characters that XML allows.
    proved: usize,
    /// None: whatever nobody asks for is not judged.
    chars: Option<Chars>,
    /// Bytes that were dropped in front of `held`.
    before: u64,
    /// Names of the open elements one behind the other, and the length of each.
    open: Vec<u8>,
    lengths: Vec<usize>,
    /// The text, where it had to be put together.
    text: Vec<u8>,
    /// What finds the ends of elements that were skipped: making it takes longer than finding one.
    ends: Vec<memmem::Finder<'static>>,
    what: &'static str,
}

/// Where the parts of the next tag lie.
struct Found {
    kind: Kind,
    text: Range<usize>,
    inner: Range<usize>,
    decoded: bool,
}

impl<R: BufRead> Scan<R> {
    pub fn new(input: R, what: &'static str) -> Self {
        let (held, open) = (Vec::with_capacity(4 * CHUNK), Vec::with_capacity(256));
        let lengths = Vec::with_capacity(MAX_DEPTH);
        Self { input, held, from: 0, proved: 0, chars: None, before: 0, open, lengths, text: Vec::new(), ends: Vec::new(), what }
    }

    /// Takes no document that has a character anywhere that XML forbids: for what a client cannot do without.
    pub fn strict(input: R, what: &'static str) -> Self {
        Self { chars: Some(Chars::default()), ..Self::new(input, what) }
    }

    /// The next tag. Its parts borrow from the buffer: take what you need before the next call.
    pub fn next(&mut self) -> Result<Tag<'_>, WireError> {
        if self.from >= CHUNK {
            let done = self.from.min(self.proved);
            self.held.drain(..done);
            self.before += done as u64;
            self.from -= done;
            self.proved -= done;
        }
        let found = self.find()?;
        let at = self.before + found.inner.start as u64;
        let inner = &self.held[found.inner];
        let (whole, attributes) = inner.split_at(inner.iter().position(u8::is_ascii_whitespace).unwrap_or(inner.len()));
        let bad = |why: String| WireError::Xml { what: self.what, at, why };
        match found.kind {
            Kind::Start | Kind::Empty if whole.is_empty() => return Err(bad("a tag has no name".into())),
            Kind::Start if self.lengths.len() >= MAX_DEPTH => {
                return Err(WireError::Limit { what: self.what, limit: format!("elements nested more than {MAX_DEPTH} deep") });
            }
            Kind::Start => {
                self.open.extend_from_slice(whole);
                self.lengths.push(whole.len());
            }
            Kind::End => {
                let Some(length) = self.lengths.pop() else { return Err(bad("an element ends that never began".into())) };
                let start = self.open.len() - length;
                if &self.open[start..] != whole || !attributes.trim_ascii().is_empty() {
                    let (ends, begun) = (shown(inner), shown(&self.open[start..]));
                    return Err(bad(format!("`{ends}` ends where `{begun}` began")));
                }
                self.open.truncate(start);
            }
            Kind::Eof if !self.lengths.is_empty() => return Err(bad("it ends in the middle".into())),
            Kind::Empty | Kind::Eof => {}
        }
        let name = whole.iter().position(|b| *b == b':').map_or(whole, |i| &whole[i + 1..]);
        let text = if found.decoded { self.text.as_slice() } else { &self.held[found.text] };
        Ok(Tag { kind: found.kind, name, attributes, text, decoded: found.decoded, what: self.what, at })
    }

    /// Passes over all that is in the element that the last tag began, with its end. A document may be broken in there unseen, but it
    /// cannot hide an end: where comments, CDATA or an element of the same name could, tag follows tag.
    pub fn skip(&mut self) -> Result<(), WireError> {
        let Some(length) = self.lengths.last().copied() else { return Ok(()) };
        let end = self.end_of_last(length);
        let end_len = length + 3;
        let mut from = self.from;
        while self.held.len() - self.from <= SKIPPED {
            if let Some(i) = self.ends[end].find(&self.held[from..]) {
                let inside = &self.held[self.from..from + i];
                let plain = |at: usize| at == 0 || inside[at - 1] != b'<';
                if memchr2_iter(b'!', b'?', inside).all(plain) {
                    self.from = from + i + end_len;
                    self.lengths.pop();
                    self.open.truncate(self.open.len() - length);
                    return Ok(());
                }
                break;
            }
            from = from.max((self.held.len() + 1).saturating_sub(end_len));
            if !self.fill()? {
                break;
            }
        }
        let depth = self.lengths.len();
        while self.lengths.len() >= depth {
            if self.next()?.kind == Kind::Eof {
                break;
            }
        }
        Ok(())
    }

    /// Which of `ends` finds `</NAME>` of the element that was opened last, whose name has so many bytes.
    fn end_of_last(&mut self, length: usize) -> usize {
        let name = &self.open[self.open.len() - length..];
        let is_its = |f: &memmem::Finder<'_>| f.needle().strip_prefix(b"</").and_then(|n| n.strip_suffix(b">")) == Some(name);
        if let Some(known) = self.ends.iter().position(is_its) {
            return known;
        }
        if self.ends.len() >= MAX_ENDS {
            self.ends.clear();
        }
        self.ends.push(memmem::Finder::new(&[b"</", name, b">"].concat()).into_owned());
        self.ends.len() - 1
    }

    /// Finds the next tag; comments, CDATA and processing instructions on the way become part of the text or of nothing.
    fn find(&mut self) -> Result<Found, WireError> {
        let (mut start, mut decoded) = (self.from, false);
        loop {
            let Some(open) = self.seek(start, b'<')? else {
                let end = self.held.len();
                self.from = end;
                return Ok(Found { kind: Kind::Eof, text: start..end, inner: end..end, decoded: false });
            };
            while self.held.len() < open + 9 && self.fill()? {}
            match self.held.get(open + 1) {
                Some(b'!' | b'?') => {
                    let rest = &self.held[open..];
                    let (skip, end) = match () {
                        () if rest.starts_with(b"<!--") => (4, &b"-->"[..]),
                        () if rest.starts_with(b"<![CDATA[") => (9, &b"]]>"[..]),
                        () if rest.starts_with(b"<?") => (2, &b"?>"[..]),
                        () => return Err(self.wrong(open, "a document type is not allowed here")),
                    };
                    let Some(close) = self.seek_all(open + skip, end)? else { return Err(self.wrong(open, "it ends in the middle")) };
                    if !decoded {
                        self.text.clear();
                        decoded = true;
                    }
                    self.keep(start..open)?;
                    if skip == 9 {
                        self.text.extend_from_slice(&self.held[open + skip..close]);
                    }
                    start = close + end.len();
                }
                Some(b'/') => {
                    let Some(close) = self.seek(open, b'>')? else { return Err(self.wrong(open, "it ends in the middle")) };
                    return self.found(Kind::End, start..open, open + 2..close, close, decoded);
                }
                Some(_) => {
                    let Some(close) = self.close(open + 1)? else { return Err(self.wrong(open, "it ends in the middle")) };
                    let empty = close > open + 1 && self.held[close - 1] == b'/';
                    let kind = if empty { Kind::Empty } else { Kind::Start };
                    return self.found(kind, start..open, open + 1..close - usize::from(empty), close, decoded);
                }
                None => return Err(self.wrong(open, "it ends in the middle")),
            }
        }
    }

    fn found(&mut self, kind: Kind, text: Range<usize>, inner: Range<usize>, close: usize, decoded: bool) -> Result<Found, WireError> {
        if decoded {
            self.keep(text.clone())?;
        }
        self.from = close + 1;
        Ok(Found { kind, text, inner, decoded })
    }

    /// The `>` that ends the tag: not one between quotes.
    fn close(&mut self, mut from: usize) -> Result<Option<usize>, WireError> {
        loop {
            let Some(end) = self.seek(from, b'>')? else { return Ok(None) };
            let part = &self.held[from..end];
            // The usual tag: quotes of one kind, all of them closed.
            if memchr(b'\'', part).is_none() && memchr_iter(b'"', part).count().is_multiple_of(2) {
                return Ok(Some(end));
            }
            loop {
                let Some(i) = memchr2(b'"', b'\'', &self.held[from..end]) else { return Ok(Some(end)) };
                let quote = self.held[from + i];
                let Some(closing) = self.seek(from + i + 1, quote)? else { return Ok(None) };
                from = closing + 1;
                if closing > end {
                    break;
                }
            }
        }
    }

    /// The next such byte, from a place on; reads as far as it must.
    fn seek(&mut self, mut from: usize, byte: u8) -> Result<Option<usize>, WireError> {
        // Between two tags there are a few blanks as a rule: a call would cost more than they do.
        let near = self.held.len().min(from + 12);
        if let Some(i) = self.held[from..near].iter().position(|b| *b == byte) {
            return Ok(Some(from + i));
        }
        from = near;
        loop {
            if let Some(i) = memchr(byte, &self.held[from..]) {
                return Ok(Some(from + i));
            }
            from = self.held.len();
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn seek_all(&mut self, mut from: usize, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        loop {
            if let Some(i) = self.held.get(from..).and_then(|rest| memmem::find(rest, bytes)) {
                return Ok(Some(from + i));
            }
            from = from.max((self.held.len() + 1).saturating_sub(bytes.len()));
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> Result<bool, WireError> {
        if self.held.len() - self.from > MAX_TOKEN {
            let limit = format!("one tag or text is longer than {} MiB", MAX_TOKEN >> 20);
            return Err(WireError::Limit { what: self.what, limit });
        }
        loop {
            let more = match self.input.fill_buf() {
                Ok(more) => more,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(WireError::Read { what: self.what, why: excerpt(&e.to_string()) }),
            };
            let n = more.len();
            self.held.extend_from_slice(more);
            self.input.consume(n);
            match self.chars.as_mut().map(|chars| chars.prove(&self.held[self.proved..], n == 0)) {
                None => self.proved = self.held.len(),
                Some(Ok(more)) => self.proved += more,
                Some(Err((at, why))) => return Err(self.wrong(self.proved + at, &why)),
            }
            return Ok(n > 0);
        }
    }

    /// A part of the text, decoded.
    fn keep(&mut self, part: Range<usize>) -> Result<(), WireError> {
        let text = decode(&self.held[part.clone()]).map_err(|why| self.wrong(part.start, &why))?;
        self.text.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn wrong(&self, at: usize, why: &str) -> WireError {
        WireError::Xml { what: self.what, at: self.before + at as u64, why: why.to_owned() }
    }
}

impl Tag<'_> {
    /// The text before the tag, trimmed, entities resolved.
    pub fn text(&self) -> Result<Cow<'_, str>, WireError> {
        let text = self.text.trim_ascii();
        if self.decoded {
            return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| self.wrong("it is not UTF-8".into()));
        }
        decode(text).map_err(|why| self.wrong(why))
    }

    /// Calls `f` with the name (without prefix) and the value of each attribute.
    pub fn attributes(&self, mut f: impl FnMut(&str, &str)) -> Result<(), WireError> {
        let bad = || self.wrong("an attribute is not written NAME=\"VALUE\"".into());
        let mut rest = self.attributes.trim_ascii();
        while !rest.is_empty() {
            let i = memchr(b'=', rest).ok_or_else(bad)?;
            let key = rest[..i].trim_ascii_end();
            let value = rest[i + 1..].trim_ascii_start();
            let quote = *value.first().filter(|q| matches!(q, b'"' | b'\'')).ok_or_else(bad)?;
            let end = memchr(quote, &value[1..]).ok_or_else(bad)?;
            if key.is_empty() || key.iter().any(|b| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'')) {
                return Err(bad());
            }
            let key = memchr(b':', key).map_or(key, |i| &key[i + 1..]);
            let key = std::str::from_utf8(key).map_err(|_| bad())?;
            // Line ends and tabs that stand in an attribute are blanks; those that are written as numbers stay what they are.
            let raw = &value[1..=end];
            let blank = |b: &u8| matches!(b, b'\n' | b'\r' | b'\t');
            if raw.iter().any(blank) {
                let raw: Vec<u8> = raw.iter().map(|b| if blank(b) { b' ' } else { *b }).collect();
                f(key, &decode(&raw).map_err(|why| self.wrong(why))?);
            } else {
                f(key, &decode(raw).map_err(|why| self.wrong(why))?);
            }
            rest = value[end + 2..].trim_ascii_start();
        }
        Ok(())
    }

    fn wrong(&self, why: String) -> WireError {
        WireError::Xml { what: self.what, at: self.at, why }
    }
}

fn shown(bytes: &[u8]) -> String {
    excerpt(&String::from_utf8_lossy(&bytes[..bytes.len().min(400)]))
}

/// UTF-8 with its entities resolved: the five of XML, and numbers. There is no document type, so there are no others.
fn decode(raw: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = std::str::from_utf8(raw).map_err(|_| "it is not UTF-8".to_owned())?;
    let Some(first) = memchr(b'&', raw) else { return Ok(Cow::Borrowed(text)) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(i) = memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..i]);
        let after = &rest[i + 1..];
        let end = memchr(b';', &after.as_bytes()[..after.len().min(16)]).ok_or_else(|| "an `&` that begins no entity".to_owned())?;
        out.push(entity(&after[..end]).ok_or_else(|| format!("unknown entity `{}`", excerpt(&after[..end])))?);
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn entity(name: &str) -> Option<char> {
    if let Some(named) = xml::entity(name) {
        return Some(named);
    }
    let number = name.strip_prefix('#')?;
    let code = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?).filter(|c| *c != '\0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Kind, name, text, attributes of every tag, read with a buffer of so many bytes.
    fn tags(text: &[u8], chunk: usize) -> Result<Vec<String>, String> {
        let mut scan = Scan::new(std::io::BufReader::with_capacity(chunk, text), "x.xml");
        let mut out = Vec::new();
        loop {
            let tag = scan.next().map_err(|e| e.to_string())?;
            let mut line = format!("{:?} {} [{}]", tag.kind, String::from_utf8_lossy(tag.name), tag.text().map_err(|e| e.to_string())?);
            tag.attributes(|k, v| line.push_str(&format!(" {k}={v}"))).map_err(|e| e.to_string())?;
            out.push(line);
            if tag.kind == Kind::Eof {
                return Ok(out);
            }
        }
    }

    #[test]
    fn tags_come_with_text_and_attributes_however_the_bytes_are_cut() {
        let text = "<?xml version='1.0'?>\n<!-- a <comment> -->\n<r:a x='1 > 0' p:y = \"'\"><b/>one &lt;two&gt; &#x41;&#66;<![CDATA[ <raw> & ]]>three<c n=\"a&amp;b\nc\" /></r:a>\n";
        let want = ["Start a [] x=1 > 0 y='", "Empty b []", "Empty c [one <two> AB <raw> & three] n=a&b c", "End a []", "Eof  []"];
        for chunk in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(tags(text.as_bytes(), chunk).unwrap(), want, "{chunk}");
        }
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        for (text, words) in [
            ("<a>", "ends in the middle"),
            ("<a", "ends in the middle"),
            ("<a x='", "ends in the middle"),
            ("<", "ends in the middle"),
            ("<a><![CDATA[x", "ends in the middle"),
            ("<!-- x", "ends in the middle"),
            ("</a>", "never began"),
            ("<a></b>", "ends where"),
            ("<a></a x='1'>", "ends where"),
            ("<>x</>", "no name"),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "document type"),
            ("<a>&b;</a>", "unknown entity"),
            ("<a>&#0;</a>", "unknown entity"),
            ("<a>& b</a>", "no entity"),
            ("<a x=1/>", "NAME="),
            ("<a x/>", "NAME="),
            ("<a x='1' 'y'/>", "NAME="),
        ] {
            let error = tags(text.as_bytes(), 3).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(tags(b"<a>\xff</a>", 9).unwrap_err().contains("UTF-8"));
        assert!(tags("<a>".repeat(100).as_bytes(), 9).unwrap_err().contains("nested"));
        let endless = format!("<a>{}", "x".repeat(MAX_TOKEN + 4 * CHUNK));
        assert!(tags(endless.as_bytes(), 4096).unwrap_err().contains("8 MiB"));
    }

    /// The tags of a document behind the first `<s>`, which is skipped.
    fn after_skip(text: &str, chunk: usize) -> Result<Vec<String>, String> {
        let mut scan = Scan::new(std::io::BufReader::with_capacity(chunk, text.as_bytes()), "x.xml");
        let (mut out, mut skipped) = (Vec::new(), false);
        loop {
            let tag = scan.next().map_err(|e| e.to_string())?;
            let (kind, name) = (tag.kind, String::from_utf8_lossy(tag.name).into_owned());
            if kind == Kind::Eof {
                return Ok(out);
            }
            if kind == Kind::Start && name == "s" && !skipped {
                scan.skip().map_err(|e| e.to_string())?;
                skipped = true;
            } else if skipped {
                out.push(name);
            }
        }
    }

    #[test]
    fn what_is_skipped_ends_where_it_ends() {
        for inside in ["", "<x/><y a='1'>t</y>", "<!-- </s> -->", "<![CDATA[</s>]]>", "<s2></s2>", "a!b?c", "<?pi </s> ?><x/>"] {
            for chunk in [1, 3, 4096] {
                let text = format!("<r><s>{inside}</s><after/></r>");
                assert_eq!(after_skip(&text, chunk).unwrap(), ["after", "r"], "{inside}");
            }
        }
        let long = format!("<r><s>{}</s><after/></r>", "<x/>".repeat(SKIPPED / 2));
        assert_eq!(after_skip(&long, 4096).unwrap(), ["after", "r"]);
        for (text, words) in [("<r><s><s></s></s></r>", "ends where"), ("<r><s>", "in the middle"), ("<r><s></s >", "in the middle")] {
            assert!(after_skip(text, 3).unwrap_err().contains(words), "{text}");
        }
    }

    /// The same document through quick-xml.
    fn reference(text: &str) -> Option<usize> {
        let mut reader = quick_xml::Reader::from_str(text);
        let (mut n, mut depth) = (0, 0usize);
        loop {
            match reader.read_event().ok()? {
                quick_xml::events::Event::Start(_) => (n, depth) = (n + 1, depth + 1),
                quick_xml::events::Event::End(_) => (n, depth) = (n + 1, depth - 1),
                quick_xml::events::Event::Empty(_) => n += 1,
                quick_xml::events::Event::DocType(_) => return None,
                quick_xml::events::Event::Eof => return (depth == 0).then_some(n),
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_cuts_change_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200), chunk in 1usize..40) {
            let whole = tags(&bytes, 4096);
            prop_assert_eq!(tags(&bytes, chunk).ok(), whole.ok());
        }

        #[test]
        fn well_formed_documents_have_the_tags_that_quick_xml_finds(
            parts in proptest::collection::vec(prop_oneof![
                Just("<a>"), Just("</a>"), Just("<b x=\"1>2\"/>"), Just("<c y='\"'>"), Just("</c>"), Just("text"),
                Just("<!-- <a> -->"), Just("<![CDATA[<a>]]>"), Just("<?pi <a> ?>"), Just("&lt;"), Just("\n ")
            ], 0..20),
            chunk in 1usize..40,
        ) {
            let text = parts.concat();
            if let Some(n) = reference(&text) {
                prop_assert_eq!(tags(text.as_bytes(), chunk).map(|t| t.len() - 1), Ok(n), "{}", text);
            }
        }
    }
}
