//! A mirrored tree as a reader sees it: repomd, the metadata that it names, the packages that those name, every checksum. Own eyes, none of
//! the product's readers.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

/// What is torn; empty for a whole repository, and for one that was never published.
pub fn torn(tree: &Path) -> Vec<String> {
    let Ok(repomd) = std::fs::read_to_string(tree.join("repodata/repomd.xml")) else { return Vec::new() };
    let mut bad = Vec::new();
    let mut primary = None;
    for data in blocks(&repomd, "<data ", "</data>") {
        let (Some(sum), Some(href)) = (text(data, "<checksum", "</checksum>"), attribute(data, "<location", "href")) else {
            bad.push(format!("repomd.xml names a file without checksum or location: {data}"));
            continue;
        };
        match std::fs::read(tree.join(href)) {
            Ok(bytes) if sha256(&bytes) == sum => {
                if data.starts_with("<data type=\"primary\"") {
                    primary = Some(bytes);
                }
            }
            Ok(_) => bad.push(format!("{href}: another checksum than repomd.xml says")),
            Err(e) => bad.push(format!("{href}: {e}")),
        }
    }
    let Some(primary) = primary else {
        bad.push("repomd.xml names no primary that can be read".into());
        return bad;
    };
    let mut xml = String::new();
    if let Err(e) = flate2::read::MultiGzDecoder::new(&primary[..]).read_to_string(&mut xml) {
        bad.push(format!("primary: {e}"));
    }
    let packages = blocks(&xml, "<package ", "</package>");
    if packages.is_empty() {
        bad.push("primary names no package".into());
    }
    for package in packages {
        let (Some(sum), Some(href)) = (text(package, "<checksum", "</checksum>"), attribute(package, "<location", "href")) else {
            bad.push("a package without checksum or location".into());
            continue;
        };
        match std::fs::read(tree.join(href)) {
            Ok(bytes) if sha256(&bytes) == sum => {}
            Ok(_) => bad.push(format!("{href}: another checksum than primary says")),
            Err(e) => bad.push(format!("{href}: {e}")),
        }
    }
    bad
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn blocks<'a>(xml: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    let mut out = Vec::new();
    let mut rest = xml;
    while let Some(from) = rest.find(open) {
        let Some(to) = rest[from..].find(close) else { break };
        out.push(&rest[from..from + to]);
        rest = &rest[from + to..];
    }
    out
}

fn text<'a>(xml: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let inner = &xml[xml.find(open)?..];
    let inner = &inner[inner.find('>')? + 1..];
    Some(inner[..inner.find(close)?].trim())
}

fn attribute<'a>(xml: &'a str, element: &str, name: &str) -> Option<&'a str> {
    let inner = &xml[xml.find(element)?..];
    let inner = &inner[..inner.find('>')?];
    let at = inner.find(&format!("{name}=\""))? + name.len() + 2;
    Some(&inner[at..at + inner[at..].find('"')?])
}
