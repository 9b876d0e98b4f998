//! `repomd.xml`: the list of a repository's metadata files with their checksums; also the judgement that an answer is none.

use std::collections::BTreeMap;
use std::ops::Range;

use quick_xml::events::{BytesStart, Event};

use super::chars;
use super::location::{self, Location};
use super::xml::{Xml, attribute, push_text};
use super::{WireError, excerpt};

/// Larger than any real one by a factor of a hundred.
pub const MAX_BYTES: u64 = 4 << 20;
const WHAT: &str = "repomd.xml";
/// Metadata files; a real one has a dozen or two.
const MAX_DATA: usize = 256;
/// What clients load, one of each.
const LOADED: [&str; 5] = ["primary", "filelists", "group", "modules", "updateinfo"];

/// A digest with the name of its algorithm, as the metadata spells it (`sha256`, `sha512`, `sha`, `sha1`, `md5`, …).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Checksum {
    pub algorithm: String,
    pub hex: String,
}

/// One metadata file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// `primary`, `filelists`, `other`, `group`, `modules`, `updateinfo`, …
    pub ty: String,
    pub location: Location,
    pub checksum: Checksum,
    pub open_checksum: Option<Checksum>,
    pub size: Option<u64>,
    pub open_size: Option<u64>,
    /// Epoch seconds.
    pub timestamp: Option<u64>,
    /// Bytes of the `<location …/>` tag in the document, for `relocate`.
    span: Range<usize>,
    /// Bytes of the whole `<data>` element, for `change`.
    element: Range<usize>,
}

impl Data {
    /// The checksum of the open bytes: stated, or that of the file where it is not compressed.
    pub fn open(&self) -> Option<&Checksum> {
        let name = self.location.file_name();
        let plain = ![".gz", ".xz", ".zst", ".bz2", ".zck"].iter().any(|end| name.ends_with(end));
        self.open_checksum.as_ref().or_else(|| plain.then_some(&self.checksum))
    }

    /// The file's name holds its checksum, so that two versions never share a name.
    pub fn hash_named(&self) -> bool {
        !self.checksum.hex.is_empty() && self.location.file_name().contains(&self.checksum.hex)
    }
}

/// The document as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repomd {
    /// Free text; no order can be taken from it.
    pub revision: String,
    pub data: Vec<Data>,
}

impl Repomd {
    pub fn find(&self, ty: &str) -> Option<&Data> {
        self.data.iter().find(|d| d.ty == ty)
    }

    /// The youngest timestamp of the data, epoch seconds: the only age that can be trusted.
    pub fn newest(&self) -> Option<u64> {
        self.data.iter().filter_map(|d| d.timestamp).max()
    }
}

/// Reads a whole `repomd.xml`. Web pages, empty answers and other XML are told apart in words.
pub fn parse(bytes: &[u8]) -> Result<Repomd, WireError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(WireError::Limit { what: WHAT, limit: format!("{} bytes, at most {MAX_BYTES}", bytes.len()) });
    }
    looks_like_repomd(bytes)?;
    chars::whole(bytes).map_err(|(at, why)| WireError::Xml { what: WHAT, at: at as u64, why })?;
    let mut xml = Xml::new(bytes, WHAT);
    let (mut buf, mut text) = (Vec::new(), String::new());
    let mut now = Now::default();
    loop {
        let from = xml.position();
        let event = xml.next(&mut buf)?;
        let at = xml.position();
        match &event {
            Event::Eof => break,
            Event::Start(e) | Event::Empty(e) => {
                text.clear();
                now.begin(e, from as usize..at as usize)?;
            }
            Event::End(e) => {
                now.end(e.local_name().as_ref(), text.trim(), at as usize)?;
                text.clear();
            }
            other => {
                push_text(other, &mut text, WHAT, at)?;
            }
        }
    }
    if !now.rooted {
        return Err(WireError::NotRepomd { looks: "it is XML, but has no <repomd>".into() });
    }
    agrees(&now.out)?;
    Ok(now.out)
}

/// Where the reader is.
#[derive(Default)]
struct Now {
    out: Repomd,
    /// The `<data>` that it is in.
    draft: Option<Draft>,
    /// Of the checksum that began.
    algorithm: String,
    rooted: bool,
}

impl Now {
    /// An element begins; `span`: the bytes of its tag.
    fn begin(&mut self, e: &BytesStart<'_>, span: Range<usize>) -> Result<(), WireError> {
        match e.local_name().as_ref() {
            "repomd" => self.rooted = true,
            "data" => {
                if self.out.data.len() >= MAX_DATA {
                    return Err(WireError::Limit { what: WHAT, limit: format!("more than {MAX_DATA} metadata files") });
                }
                let ty = attribute(e, WHAT, "type")?.unwrap_or_default();
                self.draft = Some(Draft { ty, element: span, ..Draft::default() });
            }
            "checksum" | "open-checksum" => self.algorithm = attribute(e, WHAT, "type")?.unwrap_or_default(),
            "location" => {
                if let Some(draft) = &mut self.draft {
                    draft.href = attribute(e, WHAT, "href")?.or(draft.href.take());
                    draft.base = attribute(e, WHAT, "base")?.or(draft.base.take());
                    draft.span = span;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The element `name` ends at a byte; `value` is its text.
    fn end(&mut self, name: &str, value: &str, at: usize) -> Result<(), WireError> {
        match (name, &mut self.draft) {
            ("data", draft) => {
                if let Some(mut draft) = draft.take() {
                    draft.element.end = at;
                    self.out.data.push(draft.finish()?);
                }
            }
            ("revision", None) => self.out.revision = excerpt(value),
            ("checksum", Some(d)) => {
                // dnf takes none of these files; of packages, and of what is open, it reads digits of either case.
                if value.bytes().any(|b| b.is_ascii_uppercase()) {
                    let missing = format!("a checksum of `{}` in small letters: dnf compares letter by letter", excerpt(&d.ty));
                    return Err(WireError::Missing { what: WHAT, missing });
                }
                d.checksum = Some(checksum(&self.algorithm, value)?);
            }
            ("open-checksum", Some(d)) => d.open_checksum = Some(checksum(&self.algorithm, value)?),
            ("size", Some(d)) => d.size = value.parse().ok(),
            ("open-size", Some(d)) => d.open_size = value.parse().ok(),
            // Old createrepo writes fractions of seconds.
            ("timestamp", Some(d)) => d.timestamp = value.split('.').next().and_then(|v| v.parse().ok()),
            _ => {}
        }
        Ok(())
    }
}

/// Refuses a list without primary, and one that says two things of one file.
fn agrees(repomd: &Repomd) -> Result<(), WireError> {
    if repomd.find("primary").is_none() {
        return Err(WireError::Missing { what: WHAT, missing: "primary metadata".into() });
    }
    let mut seen = BTreeMap::new();
    for (i, data) in repomd.data.iter().enumerate() {
        let twice = |other: &&Data| other.ty == data.ty && (data.ty == "primary" || other.checksum != data.checksum);
        if LOADED.contains(&data.ty.as_str()) && repomd.data[..i].iter().any(|other| twice(&other)) {
            let missing = format!("one `{}`: it names two, of which nobody knows the right one, and dnf takes neither", data.ty);
            return Err(WireError::Missing { what: WHAT, missing });
        }
        if seen.insert(data.location.as_str(), &data.checksum).is_some_and(|other| *other != data.checksum) {
            return Err(WireError::Missing {
                what: WHAT,
                missing: format!("one checksum for {}: it gives two", excerpt(data.location.as_str())),
            });
        }
    }
    Ok(())
}

/// The document with the locations of some data replaced (index in `data` → new location); every other byte stays.
pub fn relocate(bytes: &[u8], repomd: &Repomd, moved: &BTreeMap<usize, String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 80 * moved.len());
    let mut done = 0;
    for (index, data) in repomd.data.iter().enumerate() {
        let Some(new) = moved.get(&index) else { continue };
        out.extend_from_slice(&bytes[done..data.span.start]);
        // Locations are checked to hold no markup of their own: `&`, `<` and quotes are escaped here.
        let new = new.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        out.extend_from_slice(format!("<location href=\"{new}\"/>").as_bytes());
        done = data.span.end;
    }
    out.extend_from_slice(&bytes[done..]);
    out
}

/// A metadata file that we wrote ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub ty: String,
    /// A name of ours: it holds no markup.
    pub location: String,
    pub checksum: Checksum,
    pub size: u64,
    pub open_checksum: Checksum,
    pub open_size: u64,
    pub timestamp: Option<u64>,
}

/// What becomes of one of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Drop,
    Replace(Written),
}

/// The document with some of its data (index in `data`) replaced or left out; every other byte stays.
pub fn change(bytes: &[u8], repomd: &Repomd, changes: &BTreeMap<usize, Change>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 512);
    let mut done = 0;
    for (index, data) in repomd.data.iter().enumerate() {
        let Some(change) = changes.get(&index) else { continue };
        out.extend_from_slice(&bytes[done..data.element.start]);
        done = data.element.end;
        match change {
            Change::Replace(w) => out.extend_from_slice(w.element().as_bytes()),
            // Its line goes with it.
            Change::Drop => done += bytes[done..].iter().take_while(|b| b.is_ascii_whitespace()).count(),
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out
}

impl Written {
    fn element(&self) -> String {
        let checksum = |tag: &str, c: &Checksum| format!("    <{tag} type=\"{}\">{}</{tag}>\n", c.algorithm, c.hex);
        let time = self.timestamp.map(|t| format!("    <timestamp>{t}</timestamp>\n")).unwrap_or_default();
        format!(
            "<data type=\"{}\">\n{}{}    <location href=\"{}\"/>\n{time}    <size>{}</size>\n    <open-size>{}</open-size>\n  </data>",
            self.ty,
            checksum("checksum", &self.checksum),
            checksum("open-checksum", &self.open_checksum),
            self.location,
            self.size,
            self.open_size
        )
    }
}

#[derive(Default)]
struct Draft {
    ty: String,
    href: Option<String>,
    base: Option<String>,
    checksum: Option<Checksum>,
    open_checksum: Option<Checksum>,
    size: Option<u64>,
    open_size: Option<u64>,
    timestamp: Option<u64>,
    span: Range<usize>,
    element: Range<usize>,
}

impl Draft {
    fn finish(self) -> Result<Data, WireError> {
        let ty = self.ty;
        let missing = |part: &str| WireError::Missing { what: WHAT, missing: format!("the {part} of `{}`", excerpt(&ty)) };
        if ty.is_empty() || !ty.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
            return Err(missing("type"));
        }
        if self.base.is_some_and(|b| !b.is_empty()) {
            return Err(WireError::Missing {
                what: WHAT,
                missing: "plain locations: its metadata lies at another address (xml:base)".into(),
            });
        }
        let location = location::check(&self.href.ok_or_else(|| missing("location"))?)?;
        if location.as_str() == "repodata/repomd.xml" {
            return Err(missing("sane location"));
        }
        let checksum = self.checksum.ok_or_else(|| missing("checksum"))?;
        Ok(Data {
            location,
            checksum,
            open_checksum: self.open_checksum,
            size: self.size,
            open_size: self.open_size,
            timestamp: self.timestamp,
            span: self.span,
            element: self.element,
            ty,
        })
    }
}

/// A checksum must be hex of a length that its algorithm has: it becomes part of file names.
pub(super) fn checksum(algorithm: &str, value: &str) -> Result<Checksum, WireError> {
    let mut out = Checksum::default();
    set_checksum(&mut out, algorithm, value)?;
    Ok(out)
}

/// The same into one that is there, whose room is used again.
pub(super) fn set_checksum(to: &mut Checksum, algorithm: &str, value: &str) -> Result<(), WireError> {
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        "sha384" => 96,
        "sha224" => 56,
        "sha" | "sha1" => 40,
        "md5" => 32,
        other => {
            return Err(WireError::Missing { what: "the metadata", missing: format!("a known checksum: `{}` is none", excerpt(other)) });
        }
    };
    if value.len() != length || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(WireError::Missing {
            what: "the metadata",
            missing: format!("a whole {algorithm} checksum: `{}` is none", excerpt(value)),
        });
    }
    algorithm.clone_into(&mut to.algorithm);
    value.clone_into(&mut to.hex);
    to.hex.make_ascii_lowercase();
    Ok(())
}

fn looks_like_repomd(bytes: &[u8]) -> Result<(), WireError> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2048)]).to_lowercase();
    let head = head.trim_start_matches('\u{feff}').trim_start();
    let looks = if bytes.is_empty() {
        "the answer is empty".to_owned()
    } else if head.starts_with("<!doctype html") || head.starts_with("<html") || (head.contains("<html") && !head.contains("<repomd")) {
        "it looks like a web page (a login, an error or a captive portal)".to_owned()
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        "it is packed with gzip, which nobody asked for (a `Content-Encoding` that the server adds)".to_owned()
    } else if !head.starts_with('<') {
        format!("it starts with `{}`", excerpt(&head.chars().take(40).collect::<String>()))
    } else {
        return Ok(());
    };
    Err(WireError::NotRepomd { looks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn sample(href: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>8-stream</revision>
  <data type="primary">
    <checksum type="sha256">{HEX}</checksum>
    <open-checksum type="sha256">{HEX}</open-checksum>
    <location href="{href}"/>
    <timestamp>1700000000.5</timestamp><size>123</size><open-size>456</open-size>
  </data>
  <data type="group"><checksum type="sha256">{HEX}</checksum><location href="repodata/comps.xml"></location></data>
</repomd>"#
        )
    }

    #[test]
    fn a_repomd_is_read_with_all_its_parts() {
        let r = parse(sample(&format!("repodata/{HEX}-primary.xml.gz")).as_bytes()).unwrap();
        assert_eq!(r.revision, "8-stream");
        let p = r.find("primary").unwrap();
        assert_eq!((p.size, p.open_size, p.timestamp), (Some(123), Some(456), Some(1_700_000_000)));
        assert!(p.hash_named());
        assert_eq!(p.open().unwrap().hex, HEX);
        let g = r.find("group").unwrap();
        assert!(!g.hash_named() && g.open().is_some());
        assert_eq!(r.newest(), Some(1_700_000_000));
    }

    #[test]
    fn what_dnf_would_not_read_is_refused_with_the_reason() {
        let text = sample("repodata/primary.xml.gz");
        let upper = HEX.to_ascii_uppercase();
        let told = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        let first = text.replacen(HEX, &upper, 1);
        assert!(told(&first).contains("a checksum of `primary` in small letters"), "{}", told(&first));
        assert!(told(&text.replace("8-stream", "8\u{1b}[2J")).contains("control character (0x1b)"));
        assert!(told(&text.replace("8-stream", "8&#27;")).contains("`&#27;` is no character"));
        let again = |ty: &str, hex: &str| {
            let more = format!(
                "<data type=\"{ty}\"><checksum type=\"sha256\">{hex}</checksum><location href=\"repodata/2-{ty}\"/></data></repomd>"
            );
            parse(text.replace("</repomd>", &more).as_bytes())
        };
        let other = HEX.replace('0', "1");
        for (ty, hex) in [("primary", HEX), ("primary", &other), ("group", &other)] {
            let told = again(ty, hex).unwrap_err().to_string();
            assert!(told.contains(&format!("one `{ty}`: it names two")), "{told}");
        }
        assert!(again("group", HEX).is_ok() && again("productid", HEX).is_ok());
        // Nobody compares these letter by letter.
        let open = format!("<open-checksum type=\"sha256\">{HEX}");
        assert_eq!(
            parse(
                text.replace(&open, &open.to_ascii_uppercase().replace("OPEN-CHECKSUM TYPE=\"SHA256\"", "open-checksum type=\"sha256\""))
                    .as_bytes()
            ),
            parse(text.as_bytes())
        );
    }

    #[test]
    fn only_the_location_moves_when_a_file_is_renamed() {
        let text = sample("repodata/primary.xml.gz");
        let r = parse(text.as_bytes()).unwrap();
        let moved = BTreeMap::from([(0, "repodata/new-primary.xml.gz".to_owned())]);
        let new = relocate(text.as_bytes(), &r, &moved);
        assert_eq!(String::from_utf8(new).unwrap(), text.replace("repodata/primary.xml.gz", "repodata/new-primary.xml.gz"));
    }

    #[test]
    fn data_of_ours_takes_the_place_of_upstream_s_and_other_forms_go() {
        let text = sample(&format!("repodata/{HEX}-primary.xml.gz"));
        let r = parse(text.as_bytes()).unwrap();
        let sum = |hex: &str| Checksum { algorithm: "sha256".into(), hex: hex.repeat(32) };
        let written = Written {
            ty: "primary".into(),
            location: "repodata/x-primary.xml.gz".into(),
            checksum: sum("ab"),
            size: 7,
            open_checksum: sum("cd"),
            open_size: 9,
            timestamp: r.data[0].timestamp,
        };
        let new = change(text.as_bytes(), &r, &BTreeMap::from([(0, Change::Replace(written)), (1, Change::Drop)]));
        let n = parse(&new).unwrap();
        assert_eq!((n.revision.as_str(), n.data.len(), n.newest()), ("8-stream", 1, r.newest()));
        let p = &n.data[0];
        assert_eq!((p.location.as_str(), p.size, p.open_size), ("repodata/x-primary.xml.gz", Some(7), Some(9)));
        assert_eq!((p.checksum.clone(), p.open().cloned()), (sum("ab"), Some(sum("cd"))));
        let text = String::from_utf8(new).unwrap();
        assert!(text.ends_with("  </data>\n  </repomd>") && text.starts_with("<?xml"), "{text}");
        assert_eq!(change(text.as_bytes(), &n, &BTreeMap::new()), text.as_bytes());
    }

    #[test]
    fn what_is_no_repomd_says_what_it_looks_like() {
        let err = |b: &[u8]| parse(b).unwrap_err().to_string();
        assert!(err(b"").contains("empty"));
        assert!(err(b"<!DOCTYPE html><html><body>Please log in").contains("web page"));
        assert!(err(b"\n <HTML>").contains("web page"));
        assert!(err(b"\x1f\x8b\x08").contains("packed with gzip"));
        assert!(err(b"SSH-2.0").contains("starts with"));
        assert!(err(b"<rss></rss>").contains("no <repomd>"));
        assert!(err(b"<repomd></repomd>").contains("primary"));
        assert!(err(&sample("x").as_bytes()[..300]).contains("ends in the middle"));
        assert!(err(b"<!DOCTYPE repomd [<!ENTITY a 'b'>]><repomd/>").contains("document type"));
        assert!(err(sample("../../etc/x").as_bytes()).contains("leaves the repository"));
        assert!(err(sample("repodata/repomd.xml").as_bytes()).contains("sane location"));
        assert!(err(sample("x").replace(HEX, "../x").as_bytes()).contains("checksum"));
        assert!(err(("<repomd>".to_owned() + &"<a>".repeat(100)).as_bytes()).contains("nested"));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(tail in "\\PC{0,200}|[<>/a-z\" =&;!\\[\\]-]{0,200}", cut in 0usize..900) {
            let text = sample("repodata/primary.xml.gz");
            let cut = cut.min(text.len());
            let _ = parse(format!("{}{tail}", &text[..cut]).as_bytes());
            let _ = parse(format!("<repomd>{tail}").as_bytes());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"<repomd>", &bytes[..]].concat());
        }
    }
}
