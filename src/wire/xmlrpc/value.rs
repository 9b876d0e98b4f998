//! The values of XML-RPC, and questions to them that never panic.

use std::fmt;

/// A value. Members of structs keep their order; of two with one name the first counts.
#[derive(Clone, PartialEq, Default)]
pub enum Value {
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    /// As it was written: no zone is stated in XML-RPC.
    Time(String),
    Bytes(Vec<u8>),
    Array(Vec<Value>),
    Struct(Vec<(String, Value)>),
}

/// The far end's word for what went wrong. Its text may repeat what was sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    pub code: i64,
    pub text: String,
}

impl Value {
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(s) => Some(s),
            _ => None,
        }
    }

    /// A whole number; a fraction is none.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// A number of either kind, if it is finite.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Double(d) if d.is_finite() => Some(*d),
            _ => None,
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Int(n @ (0 | 1)) => Some(*n == 1),
            _ => None,
        }
    }

    pub fn array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub fn members(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Struct(members) => Some(members),
            _ => None,
        }
    }

    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members()?.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// What kind of value it is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a number",
            Self::Double(_) => "a fraction",
            Self::Text(_) => "a text",
            Self::Time(_) => "a time",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "a list",
            Self::Struct(_) => "a struct",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Kinds and sizes only: a value may be a password, and what derives `Debug` around it must not print it.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(s) => write!(f, "text of {} bytes", s.len()),
            Self::Bytes(b) => write!(f, "{} bytes", b.len()),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Struct(members) => f.debug_map().entries(members.iter().map(|(n, v)| (n, v))).finish(),
            Self::Bool(_) | Self::Int(_) | Self::Double(_) | Self::Time(_) | Self::Nil => f.write_str(self.kind()),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault {} ({} bytes of text)", self.code, self.text.len())
    }
}
