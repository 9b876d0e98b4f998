//! Calls and answers by a pull parser: no document type, no entity but the five of XML, limits on bytes, depth and the number of values.
//!
//! Members that the caller does not want to have (passwords) are never kept; rows of a long list are handed on one by one.

use std::io::BufRead;

use base64::Engine;
use quick_xml::events::Event;

use super::{Fault, RpcError, Value};
use crate::wire::WireError;
use crate::wire::xml::{CUT, Xml, push_text};

const WHAT: &str = "an XML-RPC document";

/// How much is read at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes: u64,
    /// Values that are kept, those of one row where rows are handed on.
    pub values: u64,
}

impl Default for Limits {
    /// Three times the largest real answer that is known: 22.8 MB for 3,020 systems of Cobbler.
    fn default() -> Self {
        Self { bytes: 64 << 20, values: 1_000_000 }
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    Call { method: String, params: Vec<Value> },
    Answer(Result<Value, Fault>),
}

/// Takes the next row of the answer's outermost list.
pub type Row<'a> = &'a mut dyn FnMut(Value) -> Result<(), String>;

/// Reads one document. `drop` says which members of structs are not to be kept, by name. With `row` the items of an outermost list are
/// handed on and not collected: the list in the result is empty then.
pub fn read(input: impl BufRead, limits: Limits, drop: fn(&str) -> bool, row: Option<Row<'_>>) -> Result<Document, RpcError> {
    let mut r = Reading { xml: Xml::new(input, WHAT), buf: Vec::with_capacity(8 << 10), at: 0, limits, drop, row, values: 0, calm: false };
    let document = match r.open()? {
        Some("methodCall") => {
            r.expect("methodName", "<methodName>")?;
            let method = r.content()?;
            let mut params = Vec::new();
            if let Some(tag) = r.open_or_close()? {
                r.is(tag, "params", "<params>")?;
                while let Some(tag) = r.open_or_close()? {
                    r.is(tag, "param", "<param>")?;
                    params.push(r.one_value(true)?);
                    r.close()?;
                }
                r.close()?;
            }
            Document::Call { method, params }
        }
        Some("methodResponse") => match r.open()? {
            Some("params") => {
                r.expect("param", "<param>")?;
                let value = r.outermost()?;
                r.close()?;
                r.close()?;
                r.close()?;
                Document::Answer(Ok(value))
            }
            Some("fault") => {
                let value = r.one_value(true)?;
                r.close()?;
                r.close()?;
                let fault = match (value.get("faultCode").and_then(Value::int), value.get("faultString").and_then(Value::text)) {
                    (Some(code), Some(text)) => Fault { code, text: text.to_owned() },
                    _ => return Err(r.wrong("a fault with faultCode and faultString")),
                };
                Document::Answer(Err(fault))
            }
            _ => return Err(r.wrong("<params> or <fault>")),
        },
        _ => return Err(r.wrong("<methodCall> or <methodResponse>")),
    };
    r.end()?;
    Ok(document)
}

/// What the parser stands before.
enum Seen {
    Open(&'static str),
    Close,
    End,
}

struct Reading<'r, R: BufRead> {
    xml: Xml<R>,
    buf: Vec<u8>,
    at: u64,
    limits: Limits,
    drop: fn(&str) -> bool,
    row: Option<Row<'r>>,
    values: u64,
    /// An element that opened and closed in one: its close is still to be told.
    calm: bool,
}

/// Every element that XML-RPC has. Others are an error, so their names never matter.
const TAGS: [&str; 22] = [
    "methodCall",
    "methodName",
    "methodResponse",
    "params",
    "param",
    "fault",
    "value",
    "array",
    "data",
    "struct",
    "member",
    "name",
    "string",
    "int",
    "i4",
    "i8",
    "double",
    "boolean",
    "nil",
    "dateTime.iso8601",
    "base64",
    "i1",
];

impl<R: BufRead> Reading<'_, R> {
    fn wrong(&self, wanted: &'static str) -> RpcError {
        RpcError::NotRpc { at: self.at, wanted }
    }

    /// The next tag; text before it goes to `text`.
    fn next(&mut self, text: &mut String) -> Result<Seen, RpcError> {
        if std::mem::take(&mut self.calm) {
            return Ok(Seen::Close);
        }
        loop {
            self.at = self.xml.position();
            if self.at > self.limits.bytes {
                return Err(RpcError::Limit { limit: format!("{} bytes", self.limits.bytes) });
            }
            let at = self.at;
            let event = self.xml.next(&mut self.buf).map_err(|e| fault(e, at))?;
            let named = |name: &[u8]| TAGS.iter().find(|t| t.as_bytes() == name).copied();
            match &event {
                Event::Start(e) | Event::Empty(e) => {
                    let name = named(e.local_name().as_ref().as_bytes()).ok_or(RpcError::NotRpc { at, wanted: "an element of XML-RPC" })?;
                    self.calm = matches!(event, Event::Empty(_));
                    return Ok(Seen::Open(name));
                }
                Event::End(_) => return Ok(Seen::Close),
                Event::Eof => return Ok(Seen::End),
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    push_text(&event, text, WHAT, at).map_err(|e| fault(e, at))?;
                }
                _ => {}
            }
        }
    }

    /// As `next`, where only blanks may stand between tags.
    fn tag(&mut self) -> Result<Seen, RpcError> {
        let mut text = String::new();
        let seen = self.next(&mut text)?;
        if text.trim().is_empty() { Ok(seen) } else { Err(self.wrong("a tag, not text,")) }
    }

    fn open(&mut self) -> Result<Option<&'static str>, RpcError> {
        match self.tag()? {
            Seen::Open(name) => Ok(Some(name)),
            _ => Ok(None),
        }
    }

    /// An opened element, or none where the one around it closes.
    fn open_or_close(&mut self) -> Result<Option<&'static str>, RpcError> {
        match self.tag()? {
            Seen::Open(name) => Ok(Some(name)),
            Seen::Close => Ok(None),
            Seen::End => Err(RpcError::Cut),
        }
    }

    fn is(&self, tag: &str, name: &str, wanted: &'static str) -> Result<(), RpcError> {
        if tag == name { Ok(()) } else { Err(self.wrong(wanted)) }
    }

    fn expect(&mut self, name: &str, wanted: &'static str) -> Result<(), RpcError> {
        match self.open()? {
            Some(tag) if tag == name => Ok(()),
            _ => Err(self.wrong(wanted)),
        }
    }

    fn close(&mut self) -> Result<(), RpcError> {
        match self.tag()? {
            Seen::Close => Ok(()),
            Seen::Open(_) => Err(self.wrong("a closing tag")),
            Seen::End => Err(RpcError::Cut),
        }
    }

    fn end(&mut self) -> Result<(), RpcError> {
        match self.tag()? {
            Seen::End => Ok(()),
            _ => Err(self.wrong("the end")),
        }
    }

    /// The text of the element that is open, to its close.
    fn content(&mut self) -> Result<String, RpcError> {
        let mut text = String::new();
        match self.next(&mut text)? {
            Seen::Close => Ok(text),
            Seen::Open(_) => Err(self.wrong("text, not a tag,")),
            Seen::End => Err(RpcError::Cut),
        }
    }

    fn count(&mut self) -> Result<(), RpcError> {
        self.values += 1;
        if self.values > self.limits.values {
            return Err(RpcError::Limit { limit: format!("{} values", self.limits.values) });
        }
        Ok(())
    }

    /// `<value>…</value>`, with its tags.
    fn one_value(&mut self, keep: bool) -> Result<Value, RpcError> {
        self.expect("value", "<value>")?;
        self.inside_value(keep)
    }

    /// The answer's own value, whose list may go row by row.
    fn outermost(&mut self) -> Result<Value, RpcError> {
        if self.row.is_none() {
            return self.one_value(true);
        }
        self.expect("value", "<value>")?;
        let mut text = String::new();
        match self.next(&mut text)? {
            Seen::Open("array") if text.trim().is_empty() => {
                self.expect("data", "<data>")?;
                while let Some(tag) = self.open_or_close()? {
                    self.is(tag, "value", "<value>")?;
                    self.values = 0;
                    let item = self.inside_value(true)?;
                    if let Some(row) = self.row.as_mut() {
                        row(item).map_err(RpcError::Stopped)?;
                    }
                }
                self.close()?;
                self.close()?;
                Ok(Value::Array(Vec::new()))
            }
            Seen::Open(tag) => {
                let value = self.typed(tag, true)?;
                self.close()?;
                Ok(value)
            }
            Seen::Close => Ok(Value::Text(text)),
            Seen::End => Err(RpcError::Cut),
        }
    }

    fn inside_value(&mut self, keep: bool) -> Result<Value, RpcError> {
        self.count()?;
        let mut text = String::new();
        match self.next(&mut text)? {
            // Without a type it is a text.
            Seen::Close => Ok(if keep { Value::Text(text) } else { Value::Nil }),
            Seen::Open(tag) if text.trim().is_empty() => {
                let value = self.typed(tag, keep)?;
                self.close()?;
                Ok(value)
            }
            Seen::Open(_) => Err(self.wrong("text or a tag, not both,")),
            Seen::End => Err(RpcError::Cut),
        }
    }

    /// What stands in the element `tag`, which is open, to its close.
    fn typed(&mut self, tag: &'static str, keep: bool) -> Result<Value, RpcError> {
        match tag {
            "array" => {
                self.expect("data", "<data>")?;
                let mut items = Vec::new();
                while let Some(tag) = self.open_or_close()? {
                    self.is(tag, "value", "<value>")?;
                    let item = self.inside_value(keep)?;
                    if keep {
                        items.push(item);
                    }
                }
                self.close()?;
                return Ok(if keep { Value::Array(items) } else { Value::Nil });
            }
            "struct" => {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some(tag) = self.open_or_close()? {
                    self.is(tag, "member", "<member>")?;
                    self.expect("name", "<name>")?;
                    let name = self.content()?;
                    let wanted = keep && !(self.drop)(&name);
                    let value = self.one_value(wanted)?;
                    self.close()?;
                    if wanted {
                        members.push((name, value));
                    }
                }
                return Ok(if keep { Value::Struct(members) } else { Value::Nil });
            }
            _ => {}
        }
        let text = self.content()?;
        if !keep {
            return Ok(Value::Nil);
        }
        let plain = text.trim();
        let value = match tag {
            "string" => Some(Value::Text(text)),
            "int" | "i1" | "i4" | "i8" => plain.parse().ok().map(Value::Int),
            "double" => plain.parse().ok().map(Value::Double),
            "boolean" => match plain {
                "1" | "true" => Some(Value::Bool(true)),
                "0" | "false" => Some(Value::Bool(false)),
                _ => None,
            },
            "nil" if plain.is_empty() => Some(Value::Nil),
            "dateTime.iso8601" => Some(Value::Time(plain.to_owned())),
            "base64" => {
                let joined: String = plain.chars().filter(|c| !c.is_ascii_whitespace()).collect();
                base64::engine::general_purpose::STANDARD.decode(joined).ok().map(Value::Bytes)
            }
            _ => None,
        };
        value.ok_or_else(|| self.wrong("a value of a known type"))
    }
}

/// What the XML reader says of the document may quote it.
fn fault(e: WireError, at: u64) -> RpcError {
    match e {
        WireError::Limit { limit, .. } => RpcError::Limit { limit },
        WireError::Xml { why, .. } if why == CUT => RpcError::Cut,
        WireError::Xml { at, .. } => RpcError::NotXml { at },
        _ => RpcError::NotXml { at },
    }
}
