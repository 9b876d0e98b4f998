//! What the repository readers share: quick-xml with a limit on depth, on the size of one token, and entities resolved without a DTD.

use std::cell::Cell;
use std::io::{self, BufRead};
use std::rc::Rc;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::{WireError, excerpt};
use crate::base::xml::{Capped, entity};

/// One tag or one text. A changelog entry or a description is far below; a hostile document is not.
const MAX_TOKEN: u64 = 8 << 20;
const MAX_DEPTH: usize = 32;
/// Why a document is none that stopped inside an element.
pub(super) const CUT: &str = "it ends in the middle";

/// A pull reader that hands out events and keeps count of depth.
pub(super) struct Xml<R: BufRead> {
    reader: Reader<Capped<R>>,
    token: Rc<Cell<u64>>,
    depth: usize,
    what: &'static str,
}

impl<R: BufRead> Xml<R> {
    pub fn new(inner: R, what: &'static str) -> Self {
        let (inner, token) = Capped::new(inner, MAX_TOKEN, || io::Error::other("one tag or text is longer than 8 MiB"));
        Self { reader: Reader::from_reader(inner), token, depth: 0, what }
    }

    /// The next event; `buf` is the caller's, so that events may borrow from it. `Eof` in the middle of an element is an error.
    pub fn next<'b>(&mut self, buf: &'b mut Vec<u8>) -> Result<Event<'b>, WireError> {
        buf.clear();
        self.token.set(0);
        let (what, at) = (self.what, self.reader.buffer_position());
        let event = self.reader.read_event_into(buf).map_err(|e| WireError::Xml { what, at, why: excerpt(&e.to_string()) })?;
        match &event {
            Event::Start(_) => self.depth += 1,
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            Event::DocType(_) => return Err(WireError::Xml { what, at, why: "a document type is not allowed here".into() }),
            Event::Eof if self.depth > 0 => return Err(WireError::Xml { what, at, why: CUT.into() }),
            _ => {}
        }
        if self.depth > MAX_DEPTH {
            return Err(WireError::Limit { what, limit: format!("elements nested more than {MAX_DEPTH} deep") });
        }
        Ok(event)
    }

    /// Bytes read so far: the end of the last event.
    pub fn position(&self) -> u64 {
        self.reader.buffer_position()
    }
}

/// Adds the text of an event to `out`; `true` if the event was text.
pub(super) fn push_text(event: &Event<'_>, out: &mut String, what: &'static str, at: u64) -> Result<bool, WireError> {
    match event {
        Event::Text(t) => out.push_str(t),
        Event::CData(t) => out.push_str(t),
        Event::GeneralRef(r) => {
            let resolved = r.resolve_char_ref().map_err(|e| WireError::Xml { what, at, why: excerpt(&e.to_string()) })?;
            let c = resolved.or_else(|| entity(r));
            out.push(c.ok_or_else(|| WireError::Xml { what, at, why: format!("unknown entity `{}`", excerpt(r)) })?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The value of one attribute, by its name without prefix.
pub(super) fn attribute(start: &BytesStart<'_>, what: &'static str, name: &str) -> Result<Option<String>, WireError> {
    let mut found = None;
    attributes(start, what, |k, v| {
        if k == name {
            found = Some(v.to_owned());
        }
    })?;
    Ok(found)
}

/// Calls `f` with every attribute's name (without prefix) and its value.
pub(super) fn attributes(start: &BytesStart<'_>, what: &'static str, mut f: impl FnMut(&str, &str)) -> Result<(), WireError> {
    for attribute in start.attributes().with_checks(false) {
        let bad = |why: String| WireError::Xml { what, at: 0, why: excerpt(&why) };
        let attribute = attribute.map_err(|e| bad(e.to_string()))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| bad(e.to_string()))?;
        f(attribute.key.local_name().as_ref(), &value);
    }
    Ok(())
}
