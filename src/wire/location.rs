//! File names that a repository's metadata gives us: checked before they become a path of ours or a part of an address.

use super::excerpt::excerpt;

/// A relative path that stays beneath its root: no `..`, not absolute, no control characters, no backslash, sane lengths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location(String);

/// Why a location is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("hostile or broken file name `{shown}` in the metadata: {why}")]
pub struct BadLocation {
    pub shown: String,
    pub why: &'static str,
}

impl Location {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn components(&self) -> std::str::Split<'_, char> {
        self.0.split('/')
    }

    /// Last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a location and brings it into its plain form: `./` and doubled slashes are taken out.
pub fn check(text: &str) -> Result<Location, BadLocation> {
    let bad = |why| Err(BadLocation { shown: excerpt(text), why });
    if text.is_empty() {
        return bad("it is empty");
    }
    if text.len() > 2048 {
        return bad("it is longer than 2048 bytes");
    }
    if text.starts_with('/') {
        return bad("it is absolute");
    }
    // A server decodes what it is asked for: both forms must be harmless. Most names have one form only.
    let decoded = text.contains('%').then(|| percent_decoded(text));
    for form in std::iter::once(text).chain(decoded.as_deref()) {
        if form.chars().any(|c| c.is_control() || c == '\u{fffd}' || is_bidi(c)) {
            return bad("it holds a control character");
        }
        if form.contains('\\') {
            return bad("it holds a backslash");
        }
        if form.split('/').any(|c| c == "..") || form.starts_with('/') {
            return bad("it leaves the repository");
        }
    }
    let parts: Vec<&str> = text.split('/').filter(|c| !c.is_empty() && *c != ".").collect();
    if text.ends_with('/') || parts.is_empty() {
        return bad("it names a directory");
    }
    if decoded.is_some() && parts.iter().any(|p| percent_decoded(p).contains('/')) {
        return bad("it holds an encoded slash");
    }
    if parts.iter().any(|p| p.len() > 255) {
        return bad("a part of it is longer than 255 bytes");
    }
    if parts.len() > 32 {
        return bad("it is more than 32 directories deep");
    }
    if parts[0] == ".quarterdeck" {
        return bad("`.quarterdeck` is the mirror's own directory");
    }
    Ok(Location(parts.join("/")))
}

/// Marks that make a name read otherwise than it is.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let pair = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], pair) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_pass_in_their_plain_form() {
        for (text, plain) in [
            ("Packages/b/bash-5.1.8-9.el9.x86_64.rpm", "Packages/b/bash-5.1.8-9.el9.x86_64.rpm"),
            ("./x.rpm", "x.rpm"),
            ("a//b/./c.rpm", "a/b/c.rpm"),
            ("libstdc++-1:11~rc^1.rpm", "libstdc++-1:11~rc^1.rpm"),
            ("..a/b...rpm", "..a/b...rpm"),
            ("100%.rpm", "100%.rpm"),
        ] {
            assert_eq!(check(text).unwrap().as_str(), plain);
        }
    }

    #[test]
    fn hostile_names_are_refused_with_the_reason() {
        let long = "x".repeat(300);
        for text in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "%2e%2e/x",
            "a/%2E%2e/x",
            "a%2f..%2fb",
            "a%2fb",
            "a\\b",
            "a\0b",
            "a\nb",
            "a%00b",
            "a%0ab",
            "dir/",
            ".",
            "./",
            ".quarterdeck/owner",
            "./.quarterdeck/state.json",
            "x\u{202e}mpr.rpm",
            "a\u{1b}[2J",
            "%ff%fe",
            &long,
        ] {
            assert!(check(text).is_err(), "{text:?}");
        }
        assert!(!check("a\u{1b}[2J").unwrap_err().to_string().contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn what_passes_stays_beneath_its_root(text in "\\PC{0,40}|[./%2eE\\\\a]{0,30}") {
            if let Ok(l) = check(&text) {
                let path = std::path::Path::new(l.as_str());
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
                prop_assert_eq!(check(l.as_str()).unwrap(), l);
            }
        }
    }
}
