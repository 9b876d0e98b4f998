//! Lists of packages taken apart and joined, element by element, byte for byte: what upstream wrote of a package stays as it wrote it. Pure.

use std::ops::Range;

use crate::wire::repomd::Data;

/// Why a document cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    #[error("it is no text")]
    Text,
    #[error("a package of it does not end")]
    Open,
    #[error("a package of it has no checksum")]
    Unnamed,
    #[error("it says that it has {said} packages, and has {found}")]
    Count { said: u64, found: u64 },
    #[error("the two lists have different roots")]
    Roots,
    #[error("it has comments or sections of raw text")]
    Raw,
}

/// A list: what stands before the first package, each package with its checksum, what stands behind the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    text: String,
    head: usize,
    packages: Vec<(String, Range<usize>)>,
    tail: usize,
}

const OPEN: &str = "<package";
const CLOSE: &str = "</package>";

/// Takes a list apart. Packages do not nest, and `<` stands for nothing else in these documents; where it may, that is refused.
pub fn split(bytes: &[u8]) -> Result<Document, Unclear> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unclear::Text)?.to_owned();
    if text.contains("<!--") || text.contains("<![CDATA[") || text.contains("<!DOCTYPE") {
        return Err(Unclear::Raw);
    }
    let mut doc = Document { head: text.len(), tail: text.len(), ..Document::default() };
    let mut at = 0;
    while let Some(found) = begin(&text, at) {
        let end = text[found..].find(CLOSE).ok_or(Unclear::Open)? + found + CLOSE.len();
        let element = &text[found..end];
        let id = checksum(element).ok_or(Unclear::Unnamed)?;
        if doc.packages.is_empty() {
            doc.head = found;
        }
        doc.packages.push((id, found..end));
        (at, doc.tail) = (end, end);
    }
    if doc.packages.is_empty() {
        let close = text.rfind("</").ok_or(Unclear::Open)?;
        (doc.head, doc.tail) = (close, close);
    }
    let said = count(&text[..doc.head]).map_or(doc.packages.len() as u64, |(_, n)| n);
    if said != doc.packages.len() as u64 {
        return Err(Unclear::Count { said, found: doc.packages.len() as u64 });
    }
    doc.text = text;
    Ok(doc)
}

/// The next element that is called `package`, and not merely something that begins so.
fn begin(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let found = text[at..].find(OPEN)? + at;
        let next = text[found + OPEN.len()..].chars().next();
        if next.is_some_and(|c| c.is_ascii_whitespace() || c == '>') {
            return Some(found);
        }
        at = found + OPEN.len();
    }
}

/// Of primary in an element of its own, of the others in the first tag.
fn checksum(element: &str) -> Option<String> {
    let tag = &element[..element.find('>')?];
    let value = match tag.find("pkgid=\"") {
        Some(i) => tag[i + 7..].split('"').next()?,
        None => {
            let i = element.find("<checksum")?;
            let rest = &element[i..];
            rest[rest.find('>')? + 1..].split('<').next()?.trim()
        }
    };
    (!value.is_empty() && value.bytes().all(|b| b.is_ascii_hexdigit())).then(|| value.to_ascii_lowercase())
}

/// Where the root says how many packages there are.
fn count(head: &str) -> Option<(Range<usize>, u64)> {
    let at = head.find("packages=\"")? + "packages=\"".len();
    let digits = head[at..].split('"').next()?;
    Some((at..at + digits.len(), digits.parse().ok()?))
}

/// The root without its count: two lists with the same one mean the same by their prefixes.
fn root(head: &str) -> String {
    match count(head) {
        Some((range, _)) => format!("{}{}", &head[..range.start], &head[range.end..]),
        None => head.to_owned(),
    }
}

/// The packages of `a` and of `b` that are wanted, as one list.
pub fn join(a: &Document, keep: &dyn Fn(&str) -> bool, b: &Document, add: &dyn Fn(&str) -> bool) -> Result<Vec<u8>, Unclear> {
    let head = &a.text[..a.head];
    let from_a: Vec<&Range<usize>> = a.packages.iter().filter(|(id, _)| keep(id)).map(|(_, r)| r).collect();
    let from_b: Vec<&Range<usize>> = b.packages.iter().filter(|(id, _)| add(id)).map(|(_, r)| r).collect();
    if !from_b.is_empty() && squeezed(&root(head)) != squeezed(&root(&b.text[..b.head])) {
        return Err(Unclear::Roots);
    }
    let n = from_a.len() + from_b.len();
    let mut out = match count(head) {
        Some((range, _)) => format!("{}{n}{}", &head[..range.start], &head[range.end..]),
        None => head.to_owned(),
    };
    for (doc, ranges) in [(a, from_a), (b, from_b)] {
        for r in ranges {
            out.push_str(&doc.text[r.clone()]);
            out.push('\n');
        }
    }
    out.push_str(a.text[a.tail..].trim_start());
    Ok(out.into_bytes())
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The entry of a metadata file in `repomd.xml`, as it stands there.
pub fn entry_of(raw: &[u8], data: &Data) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    let mut at = 0;
    while let Some(found) = text[at..].find("<data").map(|i| i + at) {
        let end = text[found..].find("</data>")? + found + "</data>".len();
        let element = &text[found..end];
        if element.contains(&format!("href=\"{}\"", data.location)) {
            return Some(element.to_owned());
        }
        at = end;
    }
    None
}

/// A whole `repomd.xml` of such entries.
pub fn repomd(revision: &str, entries: &[String]) -> String {
    let revision: String = revision.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\">\n\
         <revision>{revision}</revision>\n{}\n</repomd>\n",
        entries.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(packages: &[(&str, &str)]) -> String {
        let all: String = packages.iter().map(|(n, id)| format!("<package type=\"rpm\"><name>{n}</name><checksum type=\"sha256\" pkgid=\"YES\">{id}</checksum><size package=\"7\"/></package>\n")).collect();
        format!("<?xml version=\"1.0\"?>\n<metadata xmlns=\"c\" packages=\"{}\">\n{all}</metadata>\n", packages.len())
    }

    #[test]
    fn packages_change_places_and_nothing_else_does() {
        let (a, b) = (list(&[("x", "aa"), ("y", "bb")]), list(&[("y", "cc"), ("z", "dd")]));
        let (a, b) = (split(a.as_bytes()).unwrap(), split(b.as_bytes()).unwrap());
        let out = join(&a, &|id| id == "aa", &b, &|id| id == "cc").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), list(&[("x", "aa"), ("y", "cc")]));
        let none = split(list(&[]).as_bytes()).unwrap();
        assert_eq!(join(&a, &|_| false, &none, &|_| true).unwrap(), list(&[]).into_bytes());
        assert_eq!(join(&none, &|_| true, &b, &|id| id == "dd").unwrap(), list(&[("z", "dd")]).into_bytes());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let good = list(&[("x", "aa")]);
        assert_eq!(split(good.replace("packages=\"1\"", "packages=\"2\"").as_bytes()), Err(Unclear::Count { said: 2, found: 1 }));
        assert_eq!(split(good.replace("</package>", "").as_bytes()), Err(Unclear::Open));
        assert_eq!(split(good.replace(">aa<", "><").as_bytes()), Err(Unclear::Unnamed));
        assert_eq!(split(good.replace("<name>", "<!-- <package> --><name>").as_bytes()), Err(Unclear::Raw));
        let other = split(good.replace("xmlns=\"c\"", "xmlns=\"d\"").as_bytes()).unwrap();
        let a = split(good.as_bytes()).unwrap();
        assert_eq!(join(&a, &|_| true, &other, &|_| true), Err(Unclear::Roots));
    }

    #[test]
    fn other_lists_name_their_packages_in_the_tag() {
        let text = "<filelists packages=\"1\"><package pkgid=\"AB\" name=\"x\" arch=\"noarch\"><version epoch=\"0\"/><file>/a</file></package></filelists>";
        let d = split(text.as_bytes()).unwrap();
        assert_eq!(d.packages[0].0, "ab");
    }
}
