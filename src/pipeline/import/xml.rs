//! The XML of a job as a small tree: no DTD, no entities but the five, limits on depth, number and size; each element knows its place.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::source::{Bad, Source, Span};
use crate::base::xml::entity;
use crate::pipeline::diagnostic::show;

const MAX_DEPTH: usize = 64;
const MAX_ELEMENTS: usize = 200_000;

#[derive(Debug, Clone, Default)]
pub struct Element {
    pub name: String,
    pub class: String,
    /// Text of its own, children left out.
    pub text: String,
    pub children: Vec<Element>,
    pub span: Span,
    /// Where its text begins.
    pub inside: usize,
}

impl Element {
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }

    /// Text of a child; empty where there is none.
    pub fn of(&self, name: &str) -> &str {
        self.child(name).map_or("", |c| c.text.trim())
    }

    pub fn is(&self, name: &str) -> bool {
        self.of(name) == "true"
    }

    /// The first element of this name below it, at any depth.
    pub fn find(&self, name: &str) -> Option<&Element> {
        self.children.iter().find_map(|c| if c.name == name { Some(c) } else { c.find(name) })
    }

    /// The last part of a class name: `hudson.tasks.Shell` is `Shell`.
    pub fn short(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

fn bad(at: usize, message: impl Into<String>) -> Bad {
    Bad::syntax(at..at + 1, message, "is this the config.xml of a Jenkins job?")
}

/// Reads a document and gives its root.
pub fn read(source: &Source) -> Result<Element, Bad> {
    let mut reader = Reader::from_str(&source.text);
    let mut open: Vec<Element> = Vec::new();
    let mut count = 0;
    loop {
        let start = reader.buffer_position() as usize;
        let event = reader.read_event().map_err(|e| bad(start, format!("this is no XML: {}", show(&e.to_string()))))?;
        let end = reader.buffer_position() as usize;
        let text = match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                count += 1;
                if count > MAX_ELEMENTS || open.len() >= MAX_DEPTH {
                    return Err(Bad::limit(
                        start..start + 1,
                        format!("more than {MAX_ELEMENTS} elements, or nested more than {MAX_DEPTH} deep"),
                    ));
                }
                let mut element = Element { name: tag.name().as_ref().to_owned(), span: start..end, inside: end, ..Element::default() };
                for a in tag.attributes().with_checks(false) {
                    let a = a.map_err(|e| bad(start, format!("an attribute cannot be read: {}", show(&e.to_string()))))?;
                    if a.key.as_ref() == "class" {
                        element.class = a.value.to_string();
                    }
                }
                if matches!(event, Event::Empty(_)) {
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => return Ok(element),
                    }
                } else {
                    open.push(element);
                }
                continue;
            }
            Event::End(_) => {
                let Some(mut element) = open.pop() else { return Err(bad(start, "this tag closes nothing")) };
                element.span.end = end;
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
                continue;
            }
            Event::Text(t) => t.to_string(),
            Event::CData(t) => t.to_string(),
            Event::GeneralRef(r) => {
                let resolved = r.resolve_char_ref().map_err(|e| bad(start, show(&e.to_string())))?;
                let name: &str = r;
                match resolved.or_else(|| entity(name)) {
                    Some('\0') => return Err(bad(start, "a NUL character")),
                    // A carriage return that was kept in a script is the end of a line of Windows.
                    Some('\r') => continue,
                    Some(c) => c.to_string(),
                    None => return Err(bad(start, format!("the entity `{}` is unknown", show(name)))),
                }
            }
            Event::DocType(_) => {
                return Err(Bad::refused(start..end, "a document type is not read", "remove it: Jenkins writes none"));
            }
            Event::Eof => {
                return Err(match open.last() {
                    Some(e) => Bad::syntax(e.span.clone(), "this element is never closed", "is the file cut off?"),
                    None => bad(source.text.len(), "there is no element in it"),
                });
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => continue,
        };
        if let Some(element) = open.last_mut() {
            element.text.push_str(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Element, Bad> {
        super::read(&Source::new(text.to_owned()))
    }

    #[test]
    fn what_jenkins_writes_is_read() {
        let root =
            read("<?xml version='1.1' encoding='UTF-8'?>\n<project>\n  <a class=\"x.Y\">1 &lt;&#38; 2</a>\n  <b/>\n</project>").unwrap();
        assert_eq!((root.name.as_str(), root.of("a"), root.child("a").unwrap().class.as_str()), ("project", "1 <& 2", "x.Y"));
        assert!(root.child("b").is_some() && root.find("a").is_some());
    }

    #[test]
    fn hostile_documents_are_refused() {
        assert_eq!(read("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>").unwrap_err().code, "import.refused");
        assert_eq!(read(&"<a>".repeat(100)).unwrap_err().code, "import.limit");
        for text in ["<a>&x;</a>", "<a>", "<a></b>", "", "</a>", "<a x=></a>", "<a>&#0;</a>"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
