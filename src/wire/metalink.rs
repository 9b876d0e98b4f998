//! Where a repository lies, as two kinds of documents say it: the metalink of a mirror manager, with the checksums of `repomd.xml` that are
//! current and those that were just before; and the plain mirror list, one address a line.

use quick_xml::events::Event;
use url::Url;

use super::xml::{Xml, attribute, push_text};
use super::{WireError, address};

/// A document larger than this is neither.
pub const MAX_BYTES: u64 = 1 << 20;
/// Addresses that are taken from one; the first are the nearest.
const MOST: usize = 32;
const WHAT: &str = "the metalink";

/// What a metalink says of `repomd.xml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metalink {
    /// sha256 of the current one, lower-case hex; none where only weaker digests are given.
    pub sha256: Option<String>,
    /// Of those before it, the youngest first.
    pub before: Vec<String>,
    /// Bases of repositories, in order of preference.
    pub bases: Vec<Url>,
}

/// Reads a metalink.
pub fn parse(bytes: &[u8]) -> Result<Metalink, WireError> {
    let mut xml = Xml::new(bytes, WHAT);
    let (mut buf, mut text) = (Vec::new(), String::new());
    let mut out = Metalink::default();
    let mut found: Vec<(u8, Url)> = Vec::new();
    let (mut rooted, mut ours, mut alternate) = (false, false, false);
    let (mut kind, mut preference) = (String::new(), 0u8);
    loop {
        let at = xml.position();
        let event = xml.next(&mut buf)?;
        match &event {
            Event::Eof => break,
            Event::Start(e) => {
                text.clear();
                kind.clear();
                match e.local_name().as_ref() {
                    "metalink" => rooted = true,
                    "file" => ours = attribute(e, WHAT, "name")?.is_some_and(|n| n == "repomd.xml"),
                    "alternate" => alternate = true,
                    "hash" => kind = attribute(e, WHAT, "type")?.unwrap_or_default(),
                    "url" => preference = attribute(e, WHAT, "preference")?.and_then(|v| v.parse().ok()).unwrap_or(0),
                    _ => {}
                }
            }
            Event::End(e) => {
                match e.local_name().as_ref() {
                    "alternate" => alternate = false,
                    "file" => ours = false,
                    "hash" if ours && kind == "sha256" => {
                        let hex = super::repomd::checksum("sha256", text.trim())?.hex;
                        match alternate {
                            true if out.before.len() < MOST => out.before.push(hex),
                            true => {}
                            false => out.sha256 = Some(hex),
                        }
                    }
                    "url" if ours && found.len() < MOST * 8 => {
                        let base = text.trim().strip_suffix("repodata/repomd.xml").and_then(|t| address::parse(t).ok());
                        found.extend(base.filter(|b| matches!(b.scheme(), "http" | "https")).map(|b| (preference, b)));
                    }
                    _ => {}
                }
                text.clear();
            }
            other => {
                push_text(other, &mut text, WHAT, at)?;
            }
        }
    }
    if !rooted {
        return Err(WireError::Missing { what: WHAT, missing: "<metalink>: it is another document".into() });
    }
    found.sort_by_key(|(p, _)| std::cmp::Reverse(*p));
    out.bases = found.into_iter().map(|(_, b)| b).take(MOST).collect();
    if out.bases.is_empty() {
        return Err(WireError::Missing { what: WHAT, missing: "an http address of repomd.xml".into() });
    }
    Ok(out)
}

/// Reads a mirror list. Comments and what is no http address are left out.
pub fn list(bytes: &[u8]) -> Result<Vec<Url>, WireError> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(str::trim).filter(|l| l.starts_with("http://") || l.starts_with("https://"));
    let bases: Vec<Url> = lines.filter_map(|l| address::parse(l).ok()).take(MOST).collect();
    if bases.is_empty() {
        return Err(WireError::Missing { what: "the mirror list", missing: "an address that begins with http:// or https://".into() });
    }
    Ok(bases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn sample() -> String {
        format!(
            r#"<?xml version="1.0"?><metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager">
<files><file name="repomd.xml"><mm0:timestamp>1700000000</mm0:timestamp><size>123</size>
<verification><hash type="md5">x</hash><hash type="sha256">{A}</hash></verification>
<mm0:alternates><mm0:alternate><verification><hash type="sha256">{B}</hash></verification></mm0:alternate></mm0:alternates>
<resources maxconnections="1">
<url protocol="rsync" preference="100">rsync://m/x/repodata/repomd.xml</url>
<url protocol="http" preference="50">http://far.example/x/repodata/repomd.xml</url>
<url protocol="https" preference="99">https://near.example/x/repodata/repomd.xml</url>
</resources></file></files></metalink>"#
        )
    }

    #[test]
    fn a_metalink_knows_the_current_one_those_before_and_where() {
        let m = parse(sample().as_bytes()).unwrap();
        assert_eq!((m.sha256.as_deref(), m.before.as_slice()), (Some(A), &[B.to_owned()][..]));
        let bases: Vec<&str> = m.bases.iter().map(Url::as_str).collect();
        assert_eq!(bases, ["https://near.example/x/", "http://far.example/x/"]);
    }

    #[test]
    fn a_mirror_list_is_its_addresses() {
        let bases = list(b"# CentOS\nhttp://a.example/9/os\n\nftp://b/\nhttps://c.example/os/\n").unwrap();
        assert_eq!(bases.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://a.example/9/os/", "https://c.example/os/"]);
        assert!(list(b"<html>log in</html>").unwrap_err().to_string().contains("begins with http"));
    }

    #[test]
    fn other_documents_say_what_they_lack() {
        assert!(parse(b"<html></html>").unwrap_err().to_string().contains("another document"));
        assert!(parse(b"<metalink></metalink>").unwrap_err().to_string().contains("an http address"));
        assert!(parse(b"<!DOCTYPE a [<!ENTITY x 'y'>]><metalink/>").unwrap_err().to_string().contains("document type"));
        assert!(parse(sample().replace(A, "../x").as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..900) {
            let _ = parse(&bytes);
            let _ = list(&bytes);
            let text = sample();
            let _ = parse(&text.as_bytes()[..cut.min(text.len())]);
        }
    }
}
