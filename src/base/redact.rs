//! Credentials that travel inside texts: passwords in URLs, `Authorization` headers, `token=` parameters. For messages and logs.
//!
//! This is the second net. Values of declared secrets are found by `base::mask`, by their bytes; this finds what looks like one.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// What stands where something was taken out.
pub const MARK: &str = "***";

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // scheme://user:password@host
        r#"(?P<keep>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@"']*:)[^\s/@"']+(?P<tail>@)"#,
        r#"(?i)(?P<keep>\b(?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|negotiate|token)\s+)?)[^\s"',;]+(?P<tail>)"#,
        r#"(?i)(?P<keep>\b(?:x-auth-token|x-api-key|set-cookie|cookie)["']?\s*[:=]\s*["']?)[^\s"',;]+(?P<tail>)"#,
        r#"(?i)(?P<keep>\b(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)=)[^\s&"',;]+(?P<tail>)"#,
        // A JSON field of that name.
        r#"(?i)(?P<keep>"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)"\s*:\s*")[^"]+(?P<tail>")"#,
    ]
    .iter()
    .filter_map(|p| Regex::new(p).ok())
    .collect()
});

/// The text with every such credential replaced by `***`; borrowed where there is none.
pub fn text(raw: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(raw);
    for pattern in PATTERNS.iter() {
        if let Cow::Owned(changed) = pattern.replace_all(&out, format!("${{keep}}{MARK}${{tail}}")) {
            out = Cow::Owned(changed);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(PATTERNS.len(), 5);
    }

    #[test]
    fn credentials_in_texts_are_taken_out() {
        for (raw, safe) in [
            ("GET https://ann:hunter2@koji/x failed", "GET https://ann:***@koji/x failed"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("authorization=Basic Zm9v", "authorization=Basic ***"),
            ("http://x/?a=1&token=t0p&b=2", "http://x/?a=1&token=***&b=2"),
            (r#"{"password": "a b", "user": "ann"}"#, r#"{"password": "***", "user": "ann"}"#),
            ("X-Auth-Token: 123", "X-Auth-Token: ***"),
        ] {
            assert_eq!(text(raw), safe);
        }
        for same in ["https://koji.example.org:8080/x@y", "token bucket is empty", "ssh git@host:path", ""] {
            assert!(matches!(text(same), Cow::Borrowed(_)), "{same}");
        }
    }
}
