//! Calls as bytes. They may hold passwords and tokens, so the buffer is wiped when it is dropped.

use base64::Engine;
use zeroize::Zeroizing;

use super::{RpcError, Value};

/// The body of one call.
pub fn call(method: &str, params: &[Value]) -> Result<Zeroizing<Vec<u8>>, RpcError> {
    // Room at once: growing would leave copies of a secret behind in freed memory.
    let mut out = Zeroizing::new(Vec::with_capacity(256 + method.len() + params.iter().map(size).sum::<usize>()));
    out.extend_from_slice(b"<?xml version='1.0'?><methodCall><methodName>");
    text(method, &mut out, "the name of the method")?;
    out.extend_from_slice(b"</methodName><params>");
    for (n, param) in params.iter().enumerate() {
        out.extend_from_slice(b"<param>");
        value(param, &mut out, &format!("argument {} of {method}", n + 1))?;
        out.extend_from_slice(b"</param>");
    }
    out.extend_from_slice(b"</params></methodCall>");
    Ok(out)
}

/// More than the value takes when it is written.
fn size(v: &Value) -> usize {
    64 + match v {
        Value::Text(s) | Value::Time(s) => s.len() * 5,
        Value::Bytes(b) => b.len() * 2,
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Struct(members) => members.iter().map(|(n, v)| 64 + n.len() * 5 + size(v)).sum(),
        // A number with a large exponent is written in full.
        Value::Double(_) => 400,
        Value::Nil | Value::Bool(_) | Value::Int(_) => 0,
    }
}

fn value(v: &Value, out: &mut Vec<u8>, place: &str) -> Result<(), RpcError> {
    out.extend_from_slice(b"<value>");
    match v {
        Value::Nil => out.extend_from_slice(b"<nil/>"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"<boolean>1</boolean>" } else { b"<boolean>0</boolean>" }),
        // `int` has 32 bits; what does not fit goes as the extension that Python and others read.
        Value::Int(n) if i32::try_from(*n).is_ok() => out.extend_from_slice(format!("<int>{n}</int>").as_bytes()),
        Value::Int(n) => out.extend_from_slice(format!("<i8>{n}</i8>").as_bytes()),
        Value::Double(d) if d.is_finite() => out.extend_from_slice(format!("<double>{d}</double>").as_bytes()),
        Value::Double(_) => return Err(RpcError::Unsendable { place: place.to_owned() }),
        Value::Text(s) => wrapped("string", s, out, place)?,
        Value::Time(s) => wrapped("dateTime.iso8601", s, out, place)?,
        Value::Bytes(b) => wrapped("base64", &base64::engine::general_purpose::STANDARD.encode(b), out, place)?,
        Value::Array(items) => {
            out.extend_from_slice(b"<array><data>");
            for item in items {
                value(item, out, place)?;
            }
            out.extend_from_slice(b"</data></array>");
        }
        Value::Struct(members) => {
            out.extend_from_slice(b"<struct>");
            for (name, v) in members {
                out.extend_from_slice(b"<member><name>");
                text(name, out, place)?;
                out.extend_from_slice(b"</name>");
                value(v, out, place)?;
                out.extend_from_slice(b"</member>");
            }
            out.extend_from_slice(b"</struct>");
        }
    }
    out.extend_from_slice(b"</value>");
    Ok(())
}

fn wrapped(tag: &str, s: &str, out: &mut Vec<u8>, place: &str) -> Result<(), RpcError> {
    out.extend_from_slice(format!("<{tag}>").as_bytes());
    text(s, out, place)?;
    out.extend_from_slice(format!("</{tag}>").as_bytes());
    Ok(())
}

fn text(s: &str, out: &mut Vec<u8>, place: &str) -> Result<(), RpcError> {
    for c in s.chars() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            // A bare one would be read as a line feed.
            '\r' => out.extend_from_slice(b"&#13;"),
            '\t' | '\n' => out.push(c as u8),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => return Err(RpcError::Unsendable { place: place.to_owned() }),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(())
}
