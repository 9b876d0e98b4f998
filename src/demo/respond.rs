//! What a static file server answers, as a pure function of the request's headers and the file's facts:
//! conditional requests (RFC 9110 §13), ranges (§14), HEAD. Sends nothing.

use hyper::header::{self, HeaderMap};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What is known of a file before it is read.
#[derive(Debug, Clone)]
pub struct Facts {
    pub len: u64,
    /// Seconds since the epoch.
    pub modified: i64,
    /// Strong, with its quotes.
    pub etag: String,
}

/// The answer: its status, and which bytes of the file make its body (none for 304 and 416).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    /// First byte and how many.
    pub body: Option<(u64, u64)>,
}

/// Decides. `method` is GET or HEAD.
pub fn answer(method: &Method, headers: &HeaderMap, facts: &Facts) -> Answer {
    if not_modified(headers, facts) {
        return Answer { status: StatusCode::NOT_MODIFIED, body: None };
    }
    let whole = Answer { status: StatusCode::OK, body: Some((0, facts.len)) };
    // A range applies to GET only, and only while the file is still the one that the reader has a part of.
    let Some(range) = text(headers, header::RANGE).filter(|_| method == Method::GET && if_range_holds(headers, facts)) else {
        return whole;
    };
    match parse_range(range, facts.len) {
        Range::Part(first, count) => Answer { status: StatusCode::PARTIAL_CONTENT, body: Some((first, count)) },
        Range::Unsatisfiable => Answer { status: StatusCode::RANGE_NOT_SATISFIABLE, body: None },
        Range::Ignore => whole,
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

fn not_modified(headers: &HeaderMap, facts: &Facts) -> bool {
    if headers.contains_key(header::IF_NONE_MATCH) {
        // Weak comparison, over every line of the header. When it is there, If-Modified-Since does not count.
        return headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == facts.etag
        });
    }
    text(headers, header::IF_MODIFIED_SINCE).and_then(parse_date).is_some_and(|since| facts.modified <= since)
}

fn if_range_holds(headers: &HeaderMap, facts: &Facts) -> bool {
    match text(headers, header::IF_RANGE) {
        None => true,
        Some(tag) if tag.starts_with('"') => tag == facts.etag,
        // A date must match exactly; a weak tag never does.
        Some(date) => parse_date(date) == Some(facts.modified),
    }
}

enum Range {
    Part(u64, u64),
    Unsatisfiable,
    Ignore,
}

fn parse_range(text: &str, len: u64) -> Range {
    // Several ranges in one request would need a multipart body: answered with the whole file, as the RFC allows.
    let Some(spec) = text.trim().strip_prefix("bytes=").filter(|s| !s.contains(',')) else { return Range::Ignore };
    let Some((first, last)) = spec.trim().split_once('-') else { return Range::Ignore };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= len => Range::Unsatisfiable,
        (Ok(first), Ok(last)) if last >= first => Range::Part(first, last.min(len - 1) - first + 1),
        (Ok(first), Err(_)) if last.is_empty() => Range::Part(first, len - first),
        (Err(_), Ok(0)) if first.is_empty() => Range::Unsatisfiable,
        (Err(_), Ok(count)) if first.is_empty() && len > 0 => Range::Part(len - count.min(len), count.min(len)),
        (Err(_), Ok(_)) if first.is_empty() => Range::Unsatisfiable,
        _ => Range::Ignore,
    }
}

/// `Tue, 31 Mar 2026 03:00:00 GMT`.
pub fn http_date(secs: i64) -> String {
    Timestamp::from_second(secs).unwrap_or_default().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn parse_date(text: &str) -> Option<i64> {
    let parsed = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", text.trim()).ok()?;
    let at = parsed.to_datetime().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(at.timestamp().as_second())
}

/// Decodes the path of a request target into clean components. `None` for one that leaves the root,
/// names a hidden half-written file, or cannot be decoded.
pub fn clean_path(target: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    for part in target.split('/') {
        let name = percent_decode(part)?;
        match name.as_str() {
            "" | "." => {}
            ".." => return None,
            n if n.contains(['/', '\0', '\\']) || n.ends_with(".part") => return None,
            _ => out.push(name),
        }
    }
    Some(out)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let (hi, lo) = (char::from(bytes.next()?).to_digit(16)?, char::from(bytes.next()?).to_digit(16)?);
            out.push((hi * 16 + lo) as u8);
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).ok()
}

/// The media type by the name's end.
pub fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ext)| ext) {
        Some("xml") => "text/xml",
        Some("rpm") => "application/x-rpm",
        Some("gz") => "application/x-gzip",
        Some("html") => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Escapes for an HTML listing.
pub fn html(text: &str) -> String {
    super::metadata::esc(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { len: 100, modified: 1_774_926_000, etag: "\"a-b\"".to_owned() }
    }

    fn get(headers: &[(header::HeaderName, &str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (k, v) in headers {
            map.append(k.clone(), v.parse().unwrap());
        }
        answer(&Method::GET, &map, &facts())
    }

    #[test]
    fn a_reader_that_has_it_gets_304_and_the_tag_outranks_the_date() {
        let date = http_date(facts().modified);
        assert_eq!(date, "Tue, 31 Mar 2026 03:00:00 GMT");
        for tag in ["\"a-b\"", "W/\"a-b\"", "\"x\", \"a-b\"", "*"] {
            assert_eq!(get(&[(header::IF_NONE_MATCH, tag)]).status, 304, "{tag}");
        }
        assert_eq!(get(&[(header::IF_MODIFIED_SINCE, &date)]).status, 304);
        assert_eq!(get(&[(header::IF_MODIFIED_SINCE, "Mon, 30 Mar 2026 03:00:00 GMT")]).status, 200);
        assert_eq!(get(&[(header::IF_MODIFIED_SINCE, "rubbish")]).status, 200);
        assert_eq!(get(&[(header::IF_NONE_MATCH, "\"x\""), (header::IF_MODIFIED_SINCE, &date)]).status, 200);
    }

    #[test]
    fn ranges() {
        let r = |v| {
            let a = get(&[(header::RANGE, v)]);
            (a.status.as_u16(), a.body)
        };
        assert_eq!(r("bytes=0-9"), (206, Some((0, 10))));
        assert_eq!(r("bytes=90-"), (206, Some((90, 10))));
        assert_eq!(r("bytes=90-500"), (206, Some((90, 10))));
        assert_eq!(r("bytes=-10"), (206, Some((90, 10))));
        assert_eq!(r("bytes=-1000"), (206, Some((0, 100))));
        assert_eq!(r("bytes=100-"), (416, None));
        assert_eq!(r("bytes=-0"), (416, None));
        for ignored in ["bytes=9-3", "bytes=0-1,3-4", "lines=1-2", "bytes=x-y", "bytes=-", "bytes"] {
            assert_eq!(r(ignored), (200, Some((0, 100))), "{ignored}");
        }
        assert_eq!(answer(&Method::HEAD, &[(header::RANGE, "bytes=0-9".parse().unwrap())].into_iter().collect(), &facts()).status, 200);
    }

    #[test]
    fn a_part_is_sent_only_of_the_same_file() {
        let r = |v: &str| get(&[(header::RANGE, "bytes=5-"), (header::IF_RANGE, v)]).status.as_u16();
        assert_eq!(r("\"a-b\""), 206);
        assert_eq!(r("\"other\""), 200);
        assert_eq!(r("W/\"a-b\""), 200);
        assert_eq!(r(&http_date(facts().modified)), 206);
        assert_eq!(r(&http_date(facts().modified + 1)), 200);
    }

    #[test]
    fn no_request_leaves_the_root_or_sees_a_half_written_file() {
        assert_eq!(clean_path("/a/./b//c%20d").unwrap(), ["a", "b", "c d"]);
        for bad in ["/../etc/passwd", "/a/%2e%2e/b", "/a%2fb", "/%00", "/%zz", "/%4", "/a/.x.rpm.part", "/%ff"] {
            assert_eq!(clean_path(bad), None, "{bad}");
        }
    }
}
