//! An instant as text: the one shape that times have wherever a program reads them.

use jiff::Timestamp;
use serde::Serializer;

/// RFC 3339 in UTC, to the millisecond: `2026-11-25T01:29:00.000Z`.
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// For fields: `#[serde(serialize_with = "instant::serialize")]`.
pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&utc(*at))
}
