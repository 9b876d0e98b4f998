//! `filelists.xml`: every file of every package, handed to a callback; read only where primary's own list does not answer.

use std::io::BufRead;

use quick_xml::events::Event;

use super::WireError;
use super::xml::{Xml, attributes, push_text};

const WHAT: &str = "filelists.xml";

/// Calls `file` with the pkgid (the package's checksum) and each path.
pub fn read<R: BufRead>(input: R, mut file: impl FnMut(&str, &str)) -> Result<(), WireError> {
    let mut xml = Xml::new(input, WHAT);
    let (mut buf, mut text, mut pkgid) = (Vec::with_capacity(16 << 10), String::new(), String::new());
    let (mut take, mut rooted) = (false, false);
    loop {
        let at = xml.position();
        let event = xml.next(&mut buf)?;
        match &event {
            Event::Eof => break,
            Event::Start(e) | Event::Empty(e) => {
                take = false;
                match e.local_name().as_ref() {
                    "filelists" => rooted = true,
                    "package" => {
                        pkgid.clear();
                        attributes(e, WHAT, |k, v| {
                            if k == "pkgid" {
                                v.clone_into(&mut pkgid);
                            }
                        })?;
                    }
                    "file" => {
                        text.clear();
                        take = true;
                    }
                    _ => {}
                }
            }
            Event::End(_) => {
                if take {
                    file(&pkgid, &text);
                }
                take = false;
            }
            other if take => {
                push_text(other, &mut text, WHAT, at)?;
            }
            _ => {}
        }
    }
    if rooted { Ok(()) } else { Err(WireError::Missing { what: WHAT, missing: "its <filelists>".into() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_with_their_package() {
        let text = r#"<filelists packages="1"><package pkgid="ab" name="x" arch="noarch"><version epoch="0" ver="1" rel="1"/>
            <file>/usr/lib/x</file><file type="dir">/usr/share/a&amp;b</file></package></filelists>"#;
        let mut seen = Vec::new();
        read(text.as_bytes(), |id, path| seen.push(format!("{id} {path}"))).unwrap();
        assert_eq!(seen, ["ab /usr/lib/x", "ab /usr/share/a&b"]);
        assert!(read("<a/>".as_bytes(), |_, _| ()).is_err());
        assert!(read("<filelists><package>".as_bytes(), |_, _| ()).is_err());
    }
}
