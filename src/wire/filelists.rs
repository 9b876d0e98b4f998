//! `filelists.xml`: every file of every package, handed to a callback; read only where primary's own list does not answer.

use std::io::BufRead;

use super::WireError;
use super::scan::{Kind, Scan};

const WHAT: &str = "filelists.xml";

/// Calls `file` with the pkgid (the package's checksum, hex) and each path of every package, directories too. An error where it is no
/// `filelists.xml`, or is cut: what was handed out before is then of no use.
pub fn read<R: BufRead>(input: R, mut file: impl FnMut(&str, &str)) -> Result<(), WireError> {
    let mut scan = Scan::new(input, WHAT);
    let mut pkgid = String::new();
    let (mut take, mut rooted) = (false, false);
    loop {
        let tag = scan.next()?;
        let wanted = std::mem::take(&mut take);
        match (tag.kind, tag.name) {
            (Kind::Eof, _) => break,
            (Kind::Start | Kind::Empty, b"filelists") => rooted = true,
            (Kind::Start | Kind::Empty, b"package") => {
                pkgid.clear();
                tag.attributes(|k, v| {
                    if k == "pkgid" {
                        v.clone_into(&mut pkgid);
                    }
                })?;
            }
            (Kind::Start, b"file") => take = true,
            (Kind::End, _) if wanted => file(&pkgid, &tag.text()?),
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
