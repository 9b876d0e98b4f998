//! `primary.xml`: one row a package, handed to a callback as it is read; nothing is kept, so that 20,000 packages cost one package's memory.

use std::io::BufRead;

use super::repomd::{Checksum, set_checksum};
use super::scan::{Kind, Scan, Tag};
use super::{WireError, excerpt};

const WHAT: &str = "primary.xml";
/// Four times the largest real repository (Fedora's everything has about 80,000).
pub const MAX_PACKAGES: u64 = 400_000;

/// How a dependency compares versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    Eq,
    Lt,
    Gt,
    Le,
    Ge,
    Ne,
    /// A word that nobody here knows.
    Other,
}

/// A `<rpm:entry>` of requires or provides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Entry {
    /// A capability, a path, or a rich form in parentheses.
    pub name: String,
    pub compare: Option<Compare>,
    pub epoch: String,
    pub version: String,
    pub release: String,
    pub pre: bool,
}

/// One package. The reader reuses the row: take what you need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub arch: String,
    pub epoch: String,
    pub version: String,
    pub release: String,
    pub checksum: Checksum,
    /// Unchecked: pass it through `location::check`.
    pub href: String,
    /// `xml:base` of the location: another address than the repository's. Empty as a rule.
    pub base: String,
    /// Bytes of the package file.
    pub size: u64,
    /// File name of the source package: `bash-5.1.8-9.el9.src.rpm`. Empty for a source package, and where nobody says.
    pub source_rpm: String,
    /// When it was built, epoch seconds; 0 where nobody says.
    pub built: u64,
    pub requires: Vec<Entry>,
    pub provides: Vec<Entry>,
    /// The files that primary lists: those in `bin` directories and `/etc`.
    pub files: Vec<String>,
}

impl Package {
    fn clear(&mut self) {
        let Self { name, arch, epoch, version, release, href, base, source_rpm, checksum, .. } = self;
        let Checksum { algorithm, hex } = checksum;
        [name, arch, epoch, version, release, href, base, source_rpm, algorithm, hex].into_iter().for_each(String::clear);
        (self.size, self.built) = (0, 0);
        self.requires.clear();
        self.provides.clear();
        self.files.clear();
    }

    /// `NAME-EPOCH:VERSION-RELEASE.ARCH`, always with the epoch.
    pub fn nevra(&self) -> String {
        let epoch = if self.epoch.is_empty() { "0" } else { &self.epoch };
        format!("{}-{epoch}:{}-{}.{}", self.name, self.version, self.release, self.arch)
    }
}

/// Asked of five texts a package, nearly all of them ASCII.
fn has_control(text: &str) -> bool {
    if text.is_ascii() { text.bytes().any(|b| b.is_ascii_control()) } else { text.contains(char::is_control) }
}

/// Reads all packages; `deps` also the dependencies and files. The callback may stop with a reason. Returns the number of packages.
pub fn read<R: BufRead>(input: R, deps: bool, mut row: impl FnMut(&Package) -> Result<(), String>) -> Result<u64, WireError> {
    let mut scan = Scan::strict(input, WHAT);
    let mut now = Now { deps, ..Now::default() };
    let (mut count, mut rooted) = (0u64, false);
    loop {
        let tag = scan.next()?;
        let last = std::mem::take(&mut now.open);
        match tag.kind {
            Kind::Eof => break,
            // Its `packages` number is a hint that careless writers get wrong; the checksum and the closing tag prove the list whole.
            Kind::Start | Kind::Empty if !now.inside && tag.name == b"metadata" => rooted = true,
            Kind::Start | Kind::Empty => {
                if now.begin(&tag)? {
                    scan.skip()?;
                }
            }
            Kind::End => {
                if now.inside && now.end(&tag, last)? {
                    count += 1;
                    if count > MAX_PACKAGES {
                        return Err(WireError::Limit { what: WHAT, limit: format!("more than {MAX_PACKAGES} packages") });
                    }
                    complete(&now.p)?;
                    row(&now.p).map_err(WireError::Stopped)?;
                }
            }
        }
    }
    if rooted { Ok(count) } else { Err(WireError::Missing { what: WHAT, missing: "its <metadata>".into() }) }
}

/// Where the reader is.
#[derive(Default)]
struct Now {
    p: Package,
    deps: bool,
    /// Within a package.
    inside: bool,
    list: List,
    /// Of the checksum that began.
    algorithm: String,
    /// The element that the last tag began: only its own text is wanted, nothing here has children beside it.
    open: Wanted,
}

impl Now {
    /// An element begins. True: nobody asks for what is in it. Half a million a list: inlined into each reader, as one function with it.
    #[inline]
    fn begin(&mut self, tag: &Tag<'_>) -> Result<bool, WireError> {
        let Self { p, deps, .. } = self;
        match tag.name {
            b"package" => {
                p.clear();
                self.inside = tag.kind == Kind::Start;
                self.list = List::None;
            }
            _ if !self.inside => {}
            b"entry" => match self.list {
                List::Requires => p.requires.push(entry(tag)?),
                List::Provides => p.provides.push(entry(tag)?),
                List::None => {}
            },
            b"name" => self.open = Wanted::Name,
            b"arch" => self.open = Wanted::Arch,
            b"sourcerpm" => self.open = Wanted::Source,
            b"file" if *deps => self.open = Wanted::File,
            b"version" => version(tag, p)?,
            b"checksum" => {
                self.open = Wanted::Checksum;
                tag.attributes(|k, v| {
                    if k == "type" {
                        v.clone_into(&mut self.algorithm);
                    }
                })?;
            }
            b"size" => size(tag, p)?,
            b"time" => tag.attributes(|k, v| {
                if k == "build" {
                    p.built = v.parse().unwrap_or(0);
                }
            })?,
            b"location" => tag.attributes(|k, v| match k {
                "href" => v.clone_into(&mut p.href),
                "base" => v.clone_into(&mut p.base),
                _ => {}
            })?,
            b"description" | b"provides" | b"requires" if !*deps && tag.kind == Kind::Start => return Ok(true),
            b"requires" if *deps => self.list = List::Requires,
            b"provides" if *deps => self.list = List::Provides,
            b"conflicts" | b"obsoletes" | b"recommends" | b"suggests" | b"enhances" | b"supplements" => self.list = List::None,
            _ => {}
        }
        Ok(false)
    }

    /// An element within a package ends, and `last` is what was wanted of it. True: the package is whole.
    #[inline]
    fn end(&mut self, tag: &Tag<'_>, last: Wanted) -> Result<bool, WireError> {
        let p = &mut self.p;
        match last {
            Wanted::Name => set(&mut p.name, &tag.text()?),
            Wanted::Arch => set(&mut p.arch, &tag.text()?),
            Wanted::Source => set(&mut p.source_rpm, &tag.text()?),
            Wanted::Checksum => set_checksum(&mut p.checksum, &self.algorithm, &tag.text()?)?,
            Wanted::File => p.files.push(tag.text()?.into_owned()),
            Wanted::Nothing => match tag.name {
                b"package" => self.inside = false,
                b"requires" | b"provides" => self.list = List::None,
                _ => {}
            },
        }
        Ok(!self.inside)
    }
}

#[derive(Clone, Copy, Default)]
enum List {
    #[default]
    None,
    Requires,
    Provides,
}

#[derive(Clone, Copy, Default)]
enum Wanted {
    #[default]
    Nothing,
    Name,
    Arch,
    Source,
    Checksum,
    File,
}

/// Into the row that is used again, without a new allocation.
fn set(to: &mut String, text: &str) {
    text.clone_into(to);
}

fn version(tag: &Tag<'_>, p: &mut Package) -> Result<(), WireError> {
    tag.attributes(|k, v| match k {
        "epoch" => v.clone_into(&mut p.epoch),
        "ver" => v.clone_into(&mut p.version),
        "rel" => v.clone_into(&mut p.release),
        _ => {}
    })
}

fn size(tag: &Tag<'_>, p: &mut Package) -> Result<(), WireError> {
    let mut bad = false;
    tag.attributes(|k, v| {
        if k == "package" {
            let size = v.trim().parse();
            bad = size.is_err();
            p.size = size.unwrap_or(0);
        }
    })?;
    if bad {
        return Err(WireError::Missing { what: WHAT, missing: format!("a size of package `{}` that is a number", excerpt(&p.name)) });
    }
    Ok(())
}

fn entry(tag: &Tag<'_>) -> Result<Entry, WireError> {
    let mut out = Entry::default();
    tag.attributes(|k, v| match k {
        "name" => v.clone_into(&mut out.name),
        "flags" => {
            out.compare = match v {
                "EQ" => Some(Compare::Eq),
                "LT" => Some(Compare::Lt),
                "GT" => Some(Compare::Gt),
                "LE" => Some(Compare::Le),
                "GE" => Some(Compare::Ge),
                "NE" => Some(Compare::Ne),
                "" => None,
                _ => Some(Compare::Other),
            }
        }
        "epoch" => v.clone_into(&mut out.epoch),
        "ver" => v.clone_into(&mut out.version),
        "rel" => v.clone_into(&mut out.release),
        "pre" => out.pre = v == "1",
        _ => {}
    })?;
    Ok(out)
}

fn complete(p: &Package) -> Result<(), WireError> {
    let part = match () {
        () if p.name.is_empty() => "a name",
        () if p.version.is_empty() => "a version",
        () if p.arch.is_empty() => "an architecture",
        () if p.href.is_empty() => "a location",
        () if p.checksum.hex.is_empty() => "a checksum",
        // It would break the lines of a fingerprint, and no rpm has one.
        () if [&p.name, &p.arch, &p.epoch, &p.version, &p.release].iter().any(|t| has_control(t)) => {
            "a name and a version without control characters"
        }
        () => return Ok(()),
    };
    Err(WireError::Missing { what: WHAT, missing: format!("{part} for package `{}`", excerpt(&p.name)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn sample() -> String {
        format!(
            r#"<?xml version="1.0"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="2">
<package type="rpm"><name>bash</name><arch>x86_64</arch><version epoch="0" ver="5.1" rel="1.el9"/>
<checksum type="sha256" pkgid="YES">{HEX}</checksum><summary>A &lt;shell&gt; &amp; more</summary>
<size package="1234" installed="2" archive="3"/><location href="Packages/bash.rpm"/>
<time file="5" build="1700000000"/><format><rpm:license>GPL</rpm:license><rpm:sourcerpm>bash-5.1-1.el9.src.rpm</rpm:sourcerpm>
<rpm:provides><rpm:entry name="bash" flags="EQ" epoch="0" ver="5.1" rel="1.el9"/><rpm:entry name="config(bash)"/></rpm:provides>
<rpm:requires><rpm:entry name="libc.so.6()(64bit)"/><rpm:entry name="(a if b)" pre="1"/><rpm:entry name="n" flags="NE" ver="2"/><rpm:entry name="o" flags="~=" ver="2"/></rpm:requires>
<rpm:conflicts><rpm:entry name="never"/></rpm:conflicts>
<file>/usr/bin/bash</file><file type="dir">/etc/a&amp;b</file></format></package>
<package type="rpm"><name>tz&#100;ata</name><arch>noarch</arch><version epoch="1" ver="2" rel="3"/>
<checksum type="sha256" pkgid="YES">{HEX}</checksum><size package="9"/><location xml:base="http://o/" href="t.rpm"/></package>
</metadata>"#
        )
    }

    #[test]
    fn packages_are_handed_out_one_by_one() {
        let mut rows = Vec::new();
        assert_eq!(
            read(sample().as_bytes(), true, |p| {
                rows.push(p.clone());
                Ok(())
            })
            .unwrap(),
            2
        );
        let b = &rows[0];
        assert_eq!((b.nevra().as_str(), b.size, b.href.as_str()), ("bash-0:5.1-1.el9.x86_64", 1234, "Packages/bash.rpm"));
        assert_eq!((b.source_rpm.as_str(), b.built), ("bash-5.1-1.el9.src.rpm", 1_700_000_000));
        let relations: Vec<_> = b.requires.iter().map(|r| r.compare).collect();
        assert_eq!(relations, [None, None, Some(Compare::Ne), Some(Compare::Other)]);
        assert!(b.requires[1].pre && b.requires[1].name == "(a if b)");
        assert_eq!(b.provides[0].compare, Some(Compare::Eq));
        assert_eq!(b.files, ["/usr/bin/bash", "/etc/a&b"]);
        assert_eq!((rows[1].nevra().as_str(), rows[1].base.as_str()), ("tzdata-1:2-3.noarch", "http://o/"));
        assert!(rows[1].files.is_empty() && rows[1].requires.is_empty() && rows[1].source_rpm.is_empty() && rows[1].built == 0);
    }

    #[test]
    fn what_is_cut_or_incomplete_is_an_error() {
        let err = |text: &str| read(text.as_bytes(), false, |_| Ok(())).unwrap_err().to_string();
        assert!(err(&sample()[..700]).contains("ends in the middle"));
        assert!(err("<html/>").contains("<metadata>"));
        assert!(err(&sample().replace("<name>bash</name>", "")).contains("a name"));
        assert!(err(&sample().replace(HEX, "zz")).contains("checksum"));
        for size in ["-5", "NaN", "", "1e3", "99999999999999999999999"] {
            let text = sample().replace("package=\"1234\"", &format!("package=\"{size}\""));
            assert!(err(&text).contains("a size of package `bash` that is a number"), "{size}");
        }
        let stopped = read(sample().as_bytes(), false, |_| Err("enough".into())).unwrap_err();
        assert_eq!(stopped, WireError::Stopped("enough".into()));
    }

    #[test]
    fn what_dnf_would_not_read_or_nobody_could_name_is_refused() {
        let err = |from: &str, to: &str| read(sample().replace(from, to).as_bytes(), false, |_| Ok(())).unwrap_err().to_string();
        // In what nobody asked for, too.
        assert!(err("A &lt;shell", "A \u{1b}[2J").contains("control character (0x1b)"));
        assert!(err("A &lt;shell", "A &#27;").contains("`&#27;` is no character"));
        for (from, to) in [("<name>bash", "<name>ba&#10;sh"), ("ver=\"5.1\"", "ver=\"5&#9;1\""), ("x86_64</arch>", "x86\u{85}64</arch>")] {
            let told = err(from, to);
            assert!(told.contains("a name and a version without control characters for package `ba"), "{told}");
        }
        let mut latin = sample().into_bytes();
        latin[sample().find("shell").unwrap()] = 0xe4;
        assert!(read(&latin[..], false, |_| Ok(())).unwrap_err().to_string().contains("not UTF-8"));
    }

    #[test]
    fn one_endless_token_is_refused() {
        let text = format!("<metadata><package><name>{}", "x".repeat(20 << 20));
        let e = read(std::io::BufReader::new(text.as_bytes()), false, |_| Ok(())).unwrap_err().to_string();
        assert!(e.contains("8 MiB"), "{e}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(tail in "\\PC{0,200}|[<>/a-z\" =&;!:\\[\\]-]{0,200}", cut in 0usize..1700) {
            let text = sample();
            let cut = cut.min(text.len());
            let _ = read(format!("{}{tail}", &text[..cut]).as_bytes(), true, |_| Ok(()));
        }
    }
}
