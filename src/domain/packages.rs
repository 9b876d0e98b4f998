//! The packages of a content as one compact list: what a fingerprint is made of, with size, source and module stream beside it. Pure.
//!
//! 20,000 packages take about 2.2 MB: names and versions lie in one string, checksums as bytes in another, and a row says where. The source of
//! most packages follows from their names. The list is in the order of the fingerprint.

mod parts;

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::content::{CONTENT_TYPES, Fingerprint, content_type, hex};
use super::version::EvrRef;
pub use parts::{SourceRpm, Sum};

/// Longer names and versions are damage or malice.
pub const MAX_FIELD: usize = 4096;
/// Of an epoch and an architecture.
pub const MAX_WORD: usize = 255;

/// Room is made for so many at once: more than the largest real repository has.
const MOST_EXPECTED: usize = 100_000;

/// A package of a list.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    pub repo: &'a str,
    pub name: &'a str,
    pub evr: EvrRef<'a>,
    pub arch: &'a str,
    /// `NAME-EPOCH:VERSION-RELEASE.ARCH`, always with the epoch.
    pub nevra: &'a str,
    /// Hex digest of the whole file.
    pub checksum: Sum<'a>,
    /// Bytes of the file.
    pub size: u64,
    /// File name of the source package; empty where nobody says.
    pub source_rpm: SourceRpm<'a>,
    /// `MODULE:STREAM` that it belongs to; empty as a rule.
    pub stream: &'a str,
}

/// A metadata file that belongs to the content: modules, group, updateinfo.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metadata {
    pub repo: String,
    pub ty: String,
    pub open_checksum: String,
}

/// One build of a module stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    pub repo: String,
    pub name: String,
    pub stream: String,
    pub version: String,
    pub context: String,
    pub arch: String,
}

/// Why something cannot be in a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadList {
    #[error("the {part} of package `{shown}` holds a control character")]
    Control { part: &'static str, shown: String },
    #[error("the {part} of package `{shown}` is longer than {most} bytes")]
    Long { part: &'static str, most: usize, shown: String },
    #[error("a list of packages holds at most 4 GiB of names")]
    Full,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    /// Where the NEVRA, and behind it a source that does not follow from it, begins in the text.
    at: u32,
    /// Where the checksum begins among the sums.
    sum: u32,
    /// Low and high half: a row of eight-byte words would be eight bytes longer.
    size: [u32; 2],
    name: u16,
    version: u16,
    release: u16,
    /// Bytes of it; `FLAG`: it is packed.
    checksum: u16,
    /// Bytes of its text; `FLAG`: so much of the name is the name of its source.
    source: u16,
    repo: u16,
    stream: u16,
    epoch: u8,
    arch: u8,
}

/// No field is as long as that: `MAX_FIELD`.
const FLAG: u16 = 0x8000;

impl Row {
    const fn nevra(&self) -> usize {
        // Two dashes, a colon and a dot.
        self.name as usize + self.epoch as usize + self.version as usize + self.release as usize + self.arch as usize + 4
    }

    const fn size(&self) -> u64 {
        ((self.size[1] as u64) << 32) | self.size[0] as u64
    }

    fn sum<'a>(&self, sums: &'a [u8]) -> Sum<'a> {
        let (at, length) = (self.sum as usize, usize::from(self.checksum & !FLAG));
        Sum::new(&sums[at..at + length], self.checksum & FLAG != 0)
    }
}

/// What goes into a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry<'a> {
    pub name: &'a str,
    /// Empty is 0.
    pub epoch: &'a str,
    pub version: &'a str,
    pub release: &'a str,
    pub arch: &'a str,
    pub checksum: &'a str,
    pub size: u64,
    pub source_rpm: &'a str,
    /// `MODULE:STREAM` where it is known; else what `Builder::belongs` says.
    pub stream: &'a str,
}

/// A place in a builder.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    text: usize,
    sums: usize,
    rows: usize,
    metadata: usize,
    streams: usize,
}

/// Collects packages in any order.
#[derive(Debug, Default)]
pub struct Builder {
    text: String,
    sums: Vec<u8>,
    rows: Vec<Row>,
    repos: Vec<String>,
    metadata: Vec<Metadata>,
    streams: Vec<Stream>,
    /// NEVRA → `MODULE:STREAM`.
    artifacts: HashMap<String, u16>,
    stream_names: Vec<String>,
}

impl Builder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for about so many packages more. Growing by doubling would leave pieces behind that nothing fits into; room that is never
    /// written costs no memory.
    pub fn expect(&mut self, packages: usize) {
        let n = packages.min(MOST_EXPECTED);
        // It is a hint: who has no room for it finds out when there are as many.
        let _ = self.rows.try_reserve(n).and_then(|()| self.sums.try_reserve(n * 32)).and_then(|()| self.text.try_reserve(n * 48));
    }

    /// One package of a repository.
    pub fn package(&mut self, repo: &str, e: &Entry<'_>) -> Result<(), BadList> {
        let epoch = if e.epoch.is_empty() { "0" } else { e.epoch };
        for (part, text) in [
            ("name", e.name),
            ("epoch", epoch),
            ("version", e.version),
            ("release", e.release),
            ("architecture", e.arch),
            ("checksum", e.checksum),
            ("source", e.source_rpm),
        ] {
            // A tab or a line end in a name would make two contents look alike.
            if text.bytes().any(|b| b.is_ascii_control()) {
                return Err(BadList::Control { part, shown: shown(e.name) });
            }
            let most = if matches!(part, "epoch" | "architecture") { MAX_WORD } else { MAX_FIELD };
            if text.len() > most {
                return Err(BadList::Long { part, most, shown: shown(e.name) });
            }
        }
        let repo = index(&mut self.repos, repo)?;
        let stream = if e.stream.is_empty() { 0 } else { self.stream_number(e.stream)? };
        let place = |length: usize| u32::try_from(length).ok().filter(|at| *at < u32::MAX - 8 * MAX_FIELD as u32).ok_or(BadList::Full);
        let (at, sum) = (place(self.text.len())?, place(self.sums.len())?);
        for part in [e.name, "-", epoch, ":", e.version, "-", e.release, ".", e.arch] {
            self.text.push_str(part);
        }
        let source = match SourceRpm::head(e.source_rpm, e.name, e.version, e.release) {
            Some(head) => FLAG | head as u16,
            None => {
                self.text.push_str(e.source_rpm);
                e.source_rpm.len() as u16
            }
        };
        let packed = if Sum::pack(e.checksum, &mut self.sums) { FLAG } else { 0 };
        self.rows.push(Row {
            at,
            sum,
            size: [e.size as u32, (e.size >> 32) as u32],
            name: e.name.len() as u16,
            epoch: epoch.len() as u8,
            version: e.version.len() as u16,
            release: e.release.len() as u16,
            arch: e.arch.len() as u8,
            checksum: packed | (self.sums.len() - sum as usize) as u16,
            source,
            repo,
            stream,
        });
        Ok(())
    }

    /// How much is in it, for `rewind`.
    pub fn mark(&self) -> Mark {
        Mark {
            text: self.text.len(),
            sums: self.sums.len(),
            rows: self.rows.len(),
            metadata: self.metadata.len(),
            streams: self.streams.len(),
        }
    }

    /// Takes out what came in since the mark.
    pub fn rewind(&mut self, mark: Mark) {
        self.text.truncate(mark.text);
        self.sums.truncate(mark.sums);
        self.rows.truncate(mark.rows);
        self.metadata.truncate(mark.metadata);
        self.streams.truncate(mark.streams);
    }

    /// One metadata file; types that are no content are ignored.
    pub fn metadata(&mut self, repo: &str, ty: &str, open_checksum: &str) {
        let ty = content_type(ty);
        if CONTENT_TYPES.contains(&ty) {
            self.metadata.push(Metadata { repo: repo.into(), ty: ty.into(), open_checksum: open_checksum.into() });
        }
    }

    /// One build of a module stream.
    pub fn stream(&mut self, stream: Stream) {
        self.streams.push(stream);
    }

    /// A package of a module stream, by its NEVRA.
    pub fn belongs(&mut self, nevra: &str, name: &str, stream: &str) -> Result<(), BadList> {
        let number = self.stream_number(&format!("{name}:{stream}"))?;
        self.artifacts.insert(nevra.to_owned(), number);
        Ok(())
    }

    fn stream_number(&mut self, name: &str) -> Result<u16, BadList> {
        if self.stream_names.is_empty() {
            self.stream_names.push(String::new());
        }
        index(&mut self.stream_names, name)
    }

    /// Puts everything in order.
    pub fn finish(mut self) -> PackageList {
        if !self.artifacts.is_empty() {
            for row in &mut self.rows {
                let at = row.at as usize;
                if let Some(number) = self.artifacts.get(&self.text[at..at + row.nevra()]) {
                    row.stream = *number;
                }
            }
        }
        if self.stream_names.is_empty() {
            self.stream_names.push(String::new());
        }
        // The order of the lines `REPO<TAB>NEVRA<TAB>CHECKSUM`: no repository's name holds a tab.
        let mut ranks: Vec<usize> = (0..self.repos.len()).collect();
        ranks.sort_by(|a, b| line_head(&self.repos[*a]).cmp(line_head(&self.repos[*b])));
        let mut rank = vec![0usize; ranks.len()];
        ranks.iter().enumerate().for_each(|(place, repo)| rank[*repo] = place);
        let (text, sums) = (&self.text, &self.sums);
        // A tab is before whatever a NEVRA holds, so a shorter one comes first in the lines too.
        let key = |r: &Row| (&text[r.at as usize..r.at as usize + r.nevra()], r.sum(sums));
        self.rows.sort_unstable_by(|a, b| rank[a.repo as usize].cmp(&rank[b.repo as usize]).then_with(|| key(a).cmp(&key(b))));
        self.text.shrink_to_fit();
        self.sums.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.metadata.sort_unstable();
        self.metadata.dedup();
        self.streams.sort_unstable();
        self.streams.dedup();
        PackageList {
            text: self.text,
            sums: self.sums,
            rows: self.rows,
            repos: self.repos,
            stream_names: self.stream_names,
            metadata: self.metadata,
            streams: self.streams,
        }
    }
}

fn line_head(repo: &str) -> impl Iterator<Item = u8> + '_ {
    repo.bytes().chain(std::iter::once(b'\t'))
}

fn index(names: &mut Vec<String>, name: &str) -> Result<u16, BadList> {
    if name.chars().any(char::is_control) {
        return Err(BadList::Control { part: "repository", shown: shown(name) });
    }
    // The last one is asked for again and again.
    let found = names.iter().rposition(|n| n == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    u16::try_from(found).map_err(|_| BadList::Full)
}

fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_default).collect()
}

/// Every package of a content, in the order of its fingerprint.
#[derive(Debug, Clone, Default)]
pub struct PackageList {
    text: String,
    sums: Vec<u8>,
    rows: Vec<Row>,
    repos: Vec<String>,
    stream_names: Vec<String>,
    pub metadata: Vec<Metadata>,
    pub streams: Vec<Stream>,
}

impl PackageList {
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Sum of the package sizes.
    pub fn bytes(&self) -> u64 {
        self.rows.iter().fold(0, |sum, r| sum.saturating_add(r.size()))
    }

    /// Repositories that have packages.
    pub fn repos(&self) -> impl Iterator<Item = &str> {
        self.repos.iter().map(String::as_str)
    }

    pub fn get(&self, i: usize) -> Option<Package<'_>> {
        self.rows.get(i).map(|r| self.package(r))
    }

    /// The package of a number below `len`.
    pub fn at(&self, i: u32) -> Package<'_> {
        self.package(&self.rows[i as usize])
    }

    /// The name of that package alone: what most comparisons of two end with.
    pub fn name(&self, i: u32) -> &str {
        let r = &self.rows[i as usize];
        &self.text[r.at as usize..][..usize::from(r.name)]
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Package<'_>> {
        self.rows.iter().map(|r| self.package(r))
    }

    fn package(&self, r: &Row) -> Package<'_> {
        let mut at = r.at as usize;
        let mut take = |length: usize, skip: usize| {
            let part = &self.text[at..at + length];
            at += length + skip;
            part
        };
        let (name, epoch, version) = (take(r.name.into(), 1), take(r.epoch.into(), 1), take(r.version.into(), 1));
        let (release, arch) = (take(r.release.into(), 1), take(r.arch.into(), 0));
        let source_rpm = match r.source & FLAG {
            0 => SourceRpm::Text(take(r.source.into(), 0)),
            _ => SourceRpm::Own { name: &name[..usize::from(r.source & !FLAG)], version, release },
        };
        let start = r.at as usize;
        Package {
            repo: &self.repos[r.repo as usize],
            name,
            evr: EvrRef { epoch, version, release },
            arch,
            nevra: &self.text[start..start + r.nevra()],
            checksum: r.sum(&self.sums),
            size: r.size(),
            source_rpm,
            stream: &self.stream_names[r.stream as usize],
        }
    }

    /// The fingerprint, as `content` defines it.
    pub fn fp(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut line = Vec::with_capacity(256);
        for r in &self.rows {
            let at = r.at as usize;
            line.clear();
            line.extend_from_slice(self.repos[r.repo as usize].as_bytes());
            line.push(b'\t');
            line.extend_from_slice(&self.text.as_bytes()[at..at + r.nevra()]);
            line.push(b'\t');
            r.sum(&self.sums).append(&mut line);
            line.push(b'\n');
            hash.update(&line);
        }
        let mut lines: Vec<String> = self.metadata.iter().map(|m| format!("{}\t{}\t{}\n", m.repo, m.ty, m.open_checksum)).collect();
        lines.sort_unstable();
        lines.iter().for_each(|l| hash.update(l.as_bytes()));
        Fingerprint::Known(hex(&hash.finalize()))
    }
}

/// Name of the source package, out of its file name: `bash` of `bash-5.1.8-9.el9.src.rpm`; none where it is no such name.
pub fn source_of(source_rpm: &str) -> Option<(&str, EvrRef<'_>)> {
    let body = source_rpm.strip_suffix(".src.rpm").or_else(|| source_rpm.strip_suffix(".nosrc.rpm"))?;
    let (rest, release) = body.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    (!name.is_empty() && !version.is_empty() && !release.is_empty()).then_some((name, EvrRef { epoch: "", version, release }))
}

#[cfg(test)]
mod tests {
    use super::super::content::Collector;
    use super::*;
    use proptest::prelude::*;

    fn entry<'a>(name: &'a str, version: &'a str, checksum: &'a str) -> Entry<'a> {
        Entry { name, version, release: "1.el9", arch: "x86_64", checksum, size: 10, source_rpm: "s-1-1.src.rpm", ..Entry::default() }
    }

    #[test]
    fn parts_come_back_as_they_went_in() {
        let mut b = Builder::new();
        b.package("base", &Entry { epoch: "2", source_rpm: "zlib-1.2-1.el9.src.rpm", ..entry("zlib-ng", "1.2", "aa") }).unwrap();
        b.package("app", &entry("nginx", "1.0", "bb")).unwrap();
        let stream = Stream { repo: "app".into(), name: "nginx".into(), stream: "1.0".into(), ..Stream::default() };
        b.stream(stream.clone());
        b.belongs("nginx-0:1.0-1.el9.x86_64", "nginx", "1.0").unwrap();
        b.metadata("app", "modules_gz", "cc");
        b.metadata("app", "primary", "dd");
        let list = b.finish();
        let shown: Vec<_> = list.iter().map(|p| format!("{} {} {} {} {}", p.repo, p.nevra, p.checksum, p.source_rpm, p.stream)).collect();
        assert_eq!(
            shown,
            ["app nginx-0:1.0-1.el9.x86_64 bb s-1-1.src.rpm nginx:1.0", "base zlib-ng-2:1.2-1.el9.x86_64 aa zlib-1.2-1.el9.src.rpm "]
        );
        let p = list.get(1).unwrap();
        assert_eq!((p.name, p.evr.epoch, p.evr.version, p.evr.release, p.arch), ("zlib-ng", "2", "1.2", "1.el9", "x86_64"));
        assert_eq!((list.len(), list.bytes(), list.metadata.len(), list.streams.as_slice()), (2, 20, 1, &[stream][..]));
    }

    /// The bytes that lists of 20,000 packages are held in decide whether two of them fit into a small process.
    #[test]
    fn a_package_takes_its_nevra_its_digest_and_a_row() {
        let mut b = Builder::new();
        let (mut nevras, n) = (0, 100);
        for i in 0..n {
            let (name, checksum) = (format!("package{i:03}-libs"), format!("{i:064x}"));
            let source = format!("package{i:03}-1.2.3-1.el9.src.rpm");
            b.package("base", &Entry { source_rpm: &source, ..entry(&name, "1.2.3", &checksum) }).unwrap();
            nevras += format!("{name}-0:1.2.3-1.el9.x86_64").len();
        }
        let list = b.finish();
        assert_eq!((list.text.len(), list.text.capacity()), (nevras, nevras));
        assert_eq!((list.sums.capacity(), list.rows.capacity(), size_of::<Row>()), (32 * n, n, 32));
        let last = list.at(99);
        assert_eq!(format!("{} {}", last.source_rpm, last.checksum), format!("package099-1.2.3-1.el9.src.rpm {:064x}", 99));
    }

    #[test]
    fn what_would_forge_a_line_is_refused() {
        let mut b = Builder::new();
        for e in [entry("a\tb", "1", "x"), entry("a", "1\n", "x"), entry("a", "1", "x\u{1b}")] {
            assert!(matches!(b.package("r", &e), Err(BadList::Control { .. })), "{e:?}");
        }
        assert!(matches!(b.package("r\tx", &entry("a", "1", "x")), Err(BadList::Control { .. })));
        let long = "v".repeat(MAX_FIELD + 1);
        assert!(matches!(b.package("r", &entry("a", &long, "x")), Err(BadList::Long { .. })));
        assert!(b.finish().is_empty());
    }

    #[test]
    fn source_names_come_out_of_file_names() {
        let of = |t| source_of(t).map(|(n, e)| (n, e.version, e.release));
        assert_eq!(of("python3.11-pip-22.3-4.el9.src.rpm"), Some(("python3.11-pip", "22.3", "4.el9")));
        assert_eq!(of("x-1-2.nosrc.rpm"), Some(("x", "1", "2")));
        for bad in ["", "x.src.rpm", "x-1.src.rpm", "-1-2.src.rpm", "x-1-2.x86_64.rpm"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_fingerprint_is_that_of_the_collector(
            packages in proptest::collection::vec(("[a-c]{1,2}(-[a-c])?", "[a-d.-]{1,4}", "[0-9~]{1,3}", "[0-9a-f]{2}"), 0..40),
            metadata in proptest::collection::vec(("[a-c]{1,2}", "(modules|group|other)", "[0-9a-f]{2}"), 0..5),
        ) {
            let (mut list, mut collector) = (Builder::new(), Collector::new());
            for (repo, name, version, checksum) in &packages {
                list.package(repo, &entry(name, version, checksum)).unwrap();
                collector.package(repo, &format!("{name}-0:{version}-1.el9.x86_64"), checksum, 10);
            }
            for (repo, ty, sum) in &metadata {
                list.metadata(repo, ty, sum);
                collector.metadata(repo, ty, sum);
            }
            let (list, reading) = (list.finish(), collector.finish());
            prop_assert!(list.fp() == reading.fp);
            prop_assert_eq!((list.len() as u64, list.bytes()), (reading.packages, reading.bytes));
        }
    }
}
