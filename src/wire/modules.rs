//! `modules.yaml`: the builds of module streams, document by document; everything but names and artifacts is passed over.
//!
//! Anchors and aliases are not followed, so nothing can grow. A document of another kind (defaults, translations) is skipped.

use std::io::BufRead;

use saphyr_parser::{Event, Parser, StrInput};

use super::{WireError, excerpt};

const WHAT: &str = "modules.yaml";
/// One build of one stream; the largest real ones list a few thousand packages.
const MAX_DOCUMENT: usize = 8 << 20;
const MAX_DOCUMENTS: usize = 20_000;
const MAX_DEPTH: usize = 64;

/// One build of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    pub name: String,
    pub stream: String,
    pub version: String,
    pub context: String,
    pub arch: String,
    /// NEVRAs, always with the epoch.
    pub artifacts: Vec<String>,
}

/// Calls `row` for each build.
pub fn read<R: BufRead>(mut input: R, mut row: impl FnMut(Module) -> Result<(), String>) -> Result<(), WireError> {
    let (mut line, mut document, mut count) = (Vec::new(), String::new(), 0);
    let mut give = |document: &mut String| -> Result<(), WireError> {
        if !document.trim().is_empty() {
            count += 1;
            if count > MAX_DOCUMENTS {
                return Err(WireError::Limit { what: WHAT, limit: format!("more than {MAX_DOCUMENTS} documents") });
            }
            if let Some(module) = module(document)? {
                row(module).map_err(WireError::Stopped)?;
            }
        }
        document.clear();
        Ok(())
    };
    loop {
        line.clear();
        let limit = (MAX_DOCUMENT - document.len()) as u64 + 1;
        let n = std::io::Read::take(&mut input, limit).read_until(b'\n', &mut line);
        let n = n.map_err(|e| WireError::Read { what: WHAT, why: excerpt(&e.to_string()) })?;
        if n == 0 {
            return give(&mut document);
        }
        if document.len() + line.len() > MAX_DOCUMENT {
            return Err(WireError::Limit { what: WHAT, limit: format!("a document of more than {} MiB", MAX_DOCUMENT >> 20) });
        }
        let text = std::str::from_utf8(&line).map_err(|_| broken("it is not UTF-8"))?;
        // Within a document every line of a block is indented: only a mark begins like this.
        if text.starts_with("---") || text.starts_with("...") {
            give(&mut document)?;
        }
        if !text.starts_with("...") {
            document.push_str(text);
        }
    }
}

fn broken(why: &str) -> WireError {
    WireError::Read { what: WHAT, why: excerpt(why) }
}

/// The keys on the way to where the reader is; a list counts as one step without a name.
struct Place {
    path: Vec<Option<String>>,
    /// For each level: whether it is a mapping, and whether its next scalar is a key.
    levels: Vec<(bool, bool)>,
}

impl Place {
    fn is(&self, keys: &[&str]) -> bool {
        self.path.len() == keys.len() && self.path.iter().zip(keys).all(|(have, want)| have.as_deref().unwrap_or("[]") == *want)
    }

    /// A value is complete: the next scalar of a mapping is a key again.
    fn done(&mut self) {
        if let Some((true, key)) = self.levels.last_mut() {
            *key = true;
        }
    }

    fn enter(&mut self, mapping: bool) -> Result<(), WireError> {
        if let Some((true, true)) = self.levels.last() {
            return Err(broken("a key that is no word"));
        }
        if self.levels.len() >= MAX_DEPTH {
            return Err(WireError::Limit { what: WHAT, limit: format!("nested more than {MAX_DEPTH} deep") });
        }
        self.levels.push((mapping, mapping));
        self.path.push(None);
        Ok(())
    }

    fn leave(&mut self) {
        self.levels.pop();
        self.path.pop();
        self.done();
    }
}

fn module(document: &str) -> Result<Option<Module>, WireError> {
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(document);
    let mut out = Module::default();
    let (mut kind, mut place) = (String::new(), Place { path: Vec::new(), levels: Vec::new() });
    while let Some(event) = parser.next_event() {
        let (event, _) = event.map_err(|e| broken(&e.to_string()))?;
        match event {
            Event::MappingStart(..) => place.enter(true)?,
            Event::SequenceStart(..) => place.enter(false)?,
            Event::MappingEnd | Event::SequenceEnd => place.leave(),
            Event::Alias(_) => match place.levels.last_mut() {
                Some((true, key @ true)) => {
                    *key = false;
                    if let Some(last) = place.path.last_mut() {
                        *last = None;
                    }
                }
                _ => place.done(),
            },
            Event::Scalar(text, ..) => {
                if let Some((true, key @ true)) = place.levels.last_mut() {
                    *key = false;
                    if let Some(last) = place.path.last_mut() {
                        *last = Some(text.into_owned());
                    }
                    continue;
                }
                let field = match () {
                    () if place.is(&["document"]) => Some(&mut kind),
                    () if place.is(&["data", "name"]) => Some(&mut out.name),
                    () if place.is(&["data", "stream"]) => Some(&mut out.stream),
                    () if place.is(&["data", "version"]) => Some(&mut out.version),
                    () if place.is(&["data", "context"]) => Some(&mut out.context),
                    () if place.is(&["data", "arch"]) => Some(&mut out.arch),
                    () => None,
                };
                if let Some(field) = field {
                    *field = text.into_owned();
                } else if place.is(&["data", "artifacts", "rpms", "[]"]) {
                    out.artifacts.push(text.into_owned());
                }
                place.done();
            }
            _ => {}
        }
    }
    if kind != "modulemd" || out.name.is_empty() || out.stream.is_empty() { Ok(None) } else { Ok(Some(out)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &str = "---
document: modulemd
version: 2
data:
  name: nodejs
  stream: \"18\"
  version: 8080020230104
  context: rhel8
  arch: x86_64
  summary: Javascript
  description: >-
    Not a key:
    --- nor a mark
  license: {module: [MIT], content: [MIT]}
  xmd: {a: &x {b: 1}, c: *x}
  api:
    rpms: [nodejs]
  artifacts:
    rpms:
    - nodejs-1:18.12-1.module_el8.x86_64
    - npm-1:8.19-1.module_el8.x86_64
...
---
document: modulemd-defaults
data: {module: nodejs, stream: \"18\"}
---
document: modulemd
data: {name: perl, stream: 5.30}
";

    fn all(text: &str) -> Result<Vec<Module>, String> {
        let mut out = Vec::new();
        read(text.as_bytes(), |m| {
            out.push(m);
            Ok(())
        })
        .map(|()| out)
        .map_err(|e| e.to_string())
    }

    #[test]
    fn builds_of_streams_are_found_among_the_rest() {
        let got = all(SAMPLE).unwrap();
        assert_eq!(got.len(), 2);
        let n = &got[0];
        assert_eq!(
            (n.name.as_str(), n.stream.as_str(), n.version.as_str(), n.context.as_str(), n.arch.as_str()),
            ("nodejs", "18", "8080020230104", "rhel8", "x86_64")
        );
        assert_eq!(n.artifacts, ["nodejs-1:18.12-1.module_el8.x86_64", "npm-1:8.19-1.module_el8.x86_64"]);
        assert_eq!((got[1].name.as_str(), got[1].stream.as_str(), got[1].artifacts.len()), ("perl", "5.30", 0));
        assert!(all("").unwrap().is_empty());
    }

    #[test]
    fn what_is_hostile_is_an_error() {
        assert!(all("---\na: [\n").is_err());
        assert!(all(&"[".repeat(200)).unwrap_err().contains("nested"));
        assert!(all(&format!("a: {}", "x".repeat(MAX_DOCUMENT))).unwrap_err().contains("8 MiB"));
        assert!(read(&b"a: \xff"[..], |_| Ok(())).unwrap_err().to_string().contains("UTF-8"));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(tail in "\\PC{0,100}|[-:\\[\\]{}a&* \n\"'|>]{0,100}", cut in 0usize..700) {
            let cut = (0..=cut.min(SAMPLE.len())).rev().find(|i| SAMPLE.is_char_boundary(*i)).unwrap_or(0);
            let _ = all(&format!("{}{tail}", &SAMPLE[..cut]));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes[..], |_| Ok(()));
        }
    }
}
