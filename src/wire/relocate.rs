//! `primary.xml` with other locations for some packages: copied as it is read, every other byte as it was.

use std::io::{BufRead, Write};

use quick_xml::Writer;
use quick_xml::events::Event;

use super::WireError;
use super::xml::{Xml, attribute};

const WHAT: &str = "primary.xml";

/// Copies the document, and gives the packages for whose location `to` has another one that. The number that moved.
pub fn primary<R: BufRead, W: Write>(input: R, out: W, to: impl Fn(&str) -> Option<String>) -> Result<u64, WireError> {
    let mut xml = Xml::new(input, WHAT);
    let mut writer = Writer::new(out);
    let mut buf = Vec::with_capacity(16 << 10);
    let (mut moved, mut inside) = (0, false);
    loop {
        let event = xml.next(&mut buf)?;
        let mut other = None;
        match &event {
            Event::Eof => return Ok(moved),
            Event::Start(e) if e.local_name().as_ref() == "package" => inside = true,
            Event::End(e) if e.local_name().as_ref() == "package" => inside = false,
            Event::Start(e) | Event::Empty(e) if inside && e.local_name().as_ref() == "location" => {
                if let Some(new) = to(&attribute(e, WHAT, "href")?.unwrap_or_default()) {
                    let mut tag = e.to_owned();
                    tag.clear_attributes().push_attribute(("href", new.as_str()));
                    moved += 1;
                    other = Some(if matches!(event, Event::Start(_)) { Event::Start(tag) } else { Event::Empty(tag) });
                }
            }
            _ => {}
        }
        writer.write_event(other.unwrap_or(event)).map_err(|e| WireError::Read { what: WHAT, why: e.to_string() })?;
    }
}

#[cfg(test)]
mod tests {
    const SAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="2"><!-- x -->
<package type="rpm"><name>bash</name><summary>A &lt;shell&gt; &amp; <![CDATA[more]]></summary>
<location href="Packages/bash.rpm"/><format><rpm:entry name='a "b"' /><file type="dir">/etc/a&amp;b</file></format></package>
<package type="rpm"><name>tz&#100;ata</name><location xml:base="" href="t.rpm"></location></package>
<location href="Packages/bash.rpm"/></metadata>"#;

    #[test]
    fn a_package_moves_and_every_other_byte_stays() {
        let mut out = Vec::new();
        let to = |href: &str| (href == "Packages/bash.rpm").then(|| "Packages/a&b/bash.rpm".to_owned());
        assert_eq!(super::primary(SAMPLE.as_bytes(), &mut out, to).unwrap(), 1);
        assert_eq!(String::from_utf8(out).unwrap(), SAMPLE.replacen("Packages/bash.rpm", "Packages/a&amp;b/bash.rpm", 1));
        assert!(super::primary(&SAMPLE.as_bytes()[..300], std::io::sink(), |_| None).is_err());
    }
}
