//! `other.xml`: the changelog of each package, handed to a callback entry by entry. Entries that nobody asked for are skipped unread.

use std::io::BufRead;

use super::WireError;
use super::scan::{Kind, Scan};

const WHAT: &str = "other.xml";

/// Whose changelog it is. The reader reuses it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// The package's checksum.
    pub pkgid: String,
    pub name: String,
    pub arch: String,
}

/// One entry. The reader reuses it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// `Name <mail> - VERSION-RELEASE` by custom, not by rule.
    pub author: String,
    /// Epoch seconds, noon by custom; 0 where it is no number.
    pub date: u64,
    pub text: String,
}

/// Calls `entry` for each entry of the packages that `wanted` says yes to, in the order of the file (createrepo: oldest first).
pub fn read<R: BufRead>(
    input: R,
    mut wanted: impl FnMut(&Package) -> bool,
    mut entry: impl FnMut(&Package, &Entry) -> Result<(), String>,
) -> Result<(), WireError> {
    let mut scan = Scan::new(input, WHAT);
    let (mut package, mut row) = (Package::default(), Entry::default());
    let (mut asked, mut open, mut rooted) = (false, false, false);
    loop {
        let tag = scan.next()?;
        match (tag.kind, tag.name) {
            (Kind::Eof, _) => break,
            (Kind::Start | Kind::Empty, b"otherdata") => rooted = true,
            (Kind::Start | Kind::Empty, b"package") => {
                let Package { pkgid, name, arch } = &mut package;
                [&mut *pkgid, &mut *name, &mut *arch].into_iter().for_each(String::clear);
                tag.attributes(|k, v| match k {
                    "pkgid" => v.clone_into(pkgid),
                    "name" => v.clone_into(name),
                    "arch" => v.clone_into(arch),
                    _ => {}
                })?;
                asked = wanted(&package);
            }
            (Kind::Start | Kind::Empty, b"changelog") if asked => {
                row.author.clear();
                row.text.clear();
                row.date = 0;
                tag.attributes(|k, v| match k {
                    "author" => v.clone_into(&mut row.author),
                    "date" => row.date = v.parse().unwrap_or(0),
                    _ => {}
                })?;
                open = tag.kind == Kind::Start;
                if !open {
                    entry(&package, &row).map_err(WireError::Stopped)?;
                }
            }
            (Kind::End, b"changelog") if open => {
                tag.text()?.as_ref().clone_into(&mut row.text);
                open = false;
                entry(&package, &row).map_err(WireError::Stopped)?;
            }
            _ => {}
        }
    }
    if rooted { Ok(()) } else { Err(WireError::Missing { what: WHAT, missing: "its <otherdata>".into() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &str = r#"<?xml version="1.0"?><otherdata xmlns="http://linux.duke.edu/metadata/other" packages="2">
<package pkgid="ab" name="bash" arch="x86_64"><version epoch="0" ver="5.1" rel="2"/>
<changelog author="A &lt;a@x&gt; - 5.1-1" date="1600000000">- first
- CVE-2020-1 &amp; more</changelog><changelog author="B" date="x"/></package>
<package pkgid="cd" name="zlib" arch="noarch"><changelog author="C" date="5">skipped</changelog></package></otherdata>"#;

    #[test]
    fn entries_come_with_their_package_and_only_of_those_asked_for() {
        let mut seen = Vec::new();
        read(
            SAMPLE.as_bytes(),
            |p| p.name == "bash",
            |p, e| {
                seen.push(format!("{} {} {}|{}|{}|{}", p.pkgid, p.name, p.arch, e.author, e.date, e.text));
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, ["ab bash x86_64|A <a@x> - 5.1-1|1600000000|- first\n- CVE-2020-1 & more", "ab bash x86_64|B|0|"]);
        let all = |text: &str| read(text.as_bytes(), |_| true, |_, _| Ok(()));
        assert!(all("<a/>").unwrap_err().to_string().contains("otherdata"));
        assert!(all(&SAMPLE[..300]).unwrap_err().to_string().contains("ends in the middle"));
        assert_eq!(read(SAMPLE.as_bytes(), |_| true, |_, _| Err("enough".into())), Err(WireError::Stopped("enough".into())));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(tail in "\\PC{0,200}|[<>/a-z\" =&;!:\\[\\]-]{0,200}", cut in 0usize..700) {
            let cut = cut.min(SAMPLE.len());
            let _ = read(format!("{}{tail}", &SAMPLE[..cut]).as_bytes(), |_| true, |_, _| Ok(()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&[b"<otherdata><package>", &bytes[..]].concat()[..], |_| true, |_, _| Ok(()));
        }
    }
}
