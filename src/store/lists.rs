//! Package lists on disk: what a content held, one file a fingerprint, `STATE/content/FP.list.zst`. Knows the format; owns no table.
//!
//! Open, it is text, one record a line, fields divided by tabs, in the order of the fingerprint:
//!
//! ```text
//! quarterdeck-list  1            kind and format
//! fp  FP
//! p  REPO  NAME  EPOCH  VERSION  RELEASE  ARCH  CHECKSUM  SIZE  SOURCE-RPM  MODULE:STREAM
//! m  REPO  TYPE  OPEN-CHECKSUM
//! s  REPO  NAME  STREAM  VERSION  CONTEXT  ARCH
//! end  SHA256                    of every byte before this line
//! ```
//!
//! It follows from the content alone: no times, no file names, so that the same content is the same file wherever it was read. The
//! fingerprint in its name is computed anew from its lines whenever it is read, and the digest at its end covers the rest.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::error::StoreError;
use crate::base::durable;
use crate::domain::content::hex;
use crate::domain::packages::{Builder, Entry, MAX_FIELD, PackageList, Stream};
use crate::domain::version::EvrRef;

const KIND: &str = "quarterdeck-list\t1";
/// An open list of 400,000 packages is a fourth of this.
const MAX_OPEN: u64 = 512 << 20;
const LEVEL: i32 = 9;
/// Who puts a list and who removes one take turns: what was just put is not removed by somebody who looked before.
static TURN: Mutex<()> = Mutex::new(());
/// Digits of a prefix that names a content, at least.
pub const MIN_PREFIX: usize = 6;

/// The lists of a store.
#[derive(Debug, Clone)]
pub struct Lists {
    dir: PathBuf,
}

impl Lists {
    /// Of the store in this state directory. The directory is made with the first list.
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("content") }
    }

    /// Keeps a list under its fingerprint. What is there already stays: it is the same. True where it is new.
    pub fn put(&self, list: &PackageList) -> Result<bool, StoreError> {
        let fp = list.fp();
        let Some(fp) = fp.known() else { return Ok(false) };
        let path = self.path(fp);
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() && self.get(fp).is_ok_and(|found| found.is_some()) {
            return Ok(false);
        }
        let bytes = pack(fp, list).map_err(|e| fail("cannot write it", &path, &e))?;
        std::fs::create_dir_all(&self.dir).map_err(|e| fail("cannot make it", &self.dir, &e))?;
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&self.dir, own).map_err(|e| fail("cannot close it", &self.dir, &e))?;
        durable::replace(&path, &bytes, 0o600).map_err(|e| fail("cannot write it", &path, &e))?;
        Ok(true)
    }

    /// The list of a content; none where it was never kept. One that does not hold what its name says is an error, never a list.
    pub fn get(&self, fp: &str) -> Result<Option<PackageList>, StoreError> {
        let path = self.path(fp);
        let file = match File::open(&path) {
            Ok(f) => f,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(fail("cannot read it", &path, &e)),
        };
        let open = || -> io::Result<PackageList> {
            let decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(64 << 10, file))?;
            unpack(BufReader::with_capacity(64 << 10, decoder.take(MAX_OPEN)), fp)
        };
        open().map(Some).map_err(|e| fail("cannot read it", &path, &e))
    }

    /// Whether there is a file for this content; only reading it tells whether it is good.
    pub fn has(&self, fp: &str) -> bool {
        is_fp(fp) && self.path(fp).exists()
    }

    /// When the list of a content was written, microseconds since 1970 UTC; none where there is none.
    pub fn written_us(&self, fp: &str) -> Option<i64> {
        let at = std::fs::metadata(self.path(fp)).and_then(|m| m.modified()).ok()?;
        let since = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).ok()
    }

    /// Removes the list of a content where `unused` says so, asked while nobody puts one. True where it went.
    pub fn remove(&self, fp: &str, unused: impl FnOnce() -> Result<bool, StoreError>) -> Result<bool, StoreError> {
        let path = self.path(fp);
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if !unused()? {
            return Ok(false);
        }
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(fail("cannot remove it", &path, &e)),
        }
    }

    /// Fingerprints that begin with these digits and have a list.
    pub fn find(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail("cannot list it", &self.dir, &e)),
        };
        let mut out = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| fail("cannot list it", &self.dir, &e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(fp) = name.strip_suffix(".list.zst").filter(|fp| fp.starts_with(prefix) && is_fp(fp)) {
                out.push(fp.to_owned());
            }
        }
        out.sort();
        Ok(out)
    }

    fn path(&self, fp: &str) -> PathBuf {
        // Whatever is no fingerprint names no file.
        let fp = if is_fp(fp) { fp } else { "none" };
        self.dir.join(format!("{fp}.list.zst"))
    }
}

/// Whether a text is a whole fingerprint.
pub fn is_fp(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn fail(what: &'static str, path: &Path, e: &io::Error) -> StoreError {
    StoreError::io(path, what, e)
}

/// Writes, and hashes what it writes.
struct Hashed<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn pack(fp: &str, list: &PackageList) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::with_capacity(list.len() * 80), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut to = Hashed { to: io::BufWriter::with_capacity(64 << 10, encoder), hash: Sha256::new() };
    writeln!(to, "{KIND}\nfp\t{fp}")?;
    for p in list.iter() {
        let EvrRef { epoch, version, release } = p.evr;
        write!(to, "p\t{}\t{}\t{epoch}\t{version}\t{release}\t{}\t", p.repo, p.name, p.arch)?;
        writeln!(to, "{}\t{}\t{}\t{}", p.checksum, p.size, p.source_rpm, p.stream)?;
    }
    for m in &list.metadata {
        writeln!(to, "m\t{}\t{}\t{}", m.repo, m.ty, m.open_checksum)?;
    }
    for s in &list.streams {
        let fields = [&s.repo, &s.name, &s.stream, &s.version, &s.context, &s.arch].map(|f| plain(f));
        writeln!(to, "s\t{}", fields.join("\t"))?;
    }
    let digest = hex(&to.hash.clone().finalize());
    writeln!(to, "end\t{digest}")?;
    to.to.into_inner().map_err(io::IntoInnerError::into_error)?.finish()
}

/// A field of a module document, which nobody checked: it may not break the line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_FIELD / 4).collect()
}

fn bad(line: usize, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: {why}"))
}

fn unpack(mut input: impl BufRead, fp: &str) -> io::Result<PackageList> {
    let mut list = Builder::new();
    let (mut hash, mut line, mut number) = (Sha256::new(), String::new(), 0usize);
    loop {
        number += 1;
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Err(bad(number, "it ends before its end"));
        }
        let text = line.strip_suffix('\n').ok_or_else(|| bad(number, "it is cut short"))?;
        if let Some(digest) = text.strip_prefix("end\t") {
            if digest != hex(&hash.finalize()) {
                return Err(bad(number, "its digest is another: it was changed or damaged"));
            }
            break;
        }
        hash.update(line.as_bytes());
        let fields: Vec<&str> = text.split('\t').collect();
        match (number, fields.as_slice()) {
            (1, _) if text == KIND => {}
            (1, ["quarterdeck-list", newer]) => {
                return Err(bad(1, &format!("it has format {newer}, this version reads 1: a newer quarterdeck wrote it")));
            }
            (1, _) => return Err(bad(1, "it is no list of packages")),
            (2, ["fp", stated]) if *stated == fp => {}
            (2, _) => return Err(bad(2, "it is the list of another content")),
            (_, ["p", repo, name, epoch, version, release, arch, checksum, size, source_rpm, stream]) => {
                let size = size.parse().map_err(|_| bad(number, "the size is no number"))?;
                let entry = Entry { name, epoch, version, release, arch, checksum, size, source_rpm, stream };
                list.package(repo, &entry).map_err(|e| bad(number, &e.to_string()))?;
            }
            (_, ["m", repo, ty, sum]) => list.metadata(repo, ty, sum),
            (_, ["s", repo, name, stream, version, context, arch]) => list.stream(Stream {
                repo: (*repo).into(),
                name: (*name).into(),
                stream: (*stream).into(),
                version: (*version).into(),
                context: (*context).into(),
                arch: (*arch).into(),
            }),
            _ => return Err(bad(number, "it is no record of a list")),
        }
    }
    let list = list.finish();
    if list.fp().known() != Some(fp) {
        return Err(bad(number, "its lines have another fingerprint than its name says"));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    fn list(n: usize) -> PackageList {
        let mut b = Builder::new();
        for i in 0..n {
            let (version, checksum) = (format!("1.{i}"), format!("{i:064x}"));
            let stream = if i % 7 == 3 { "perl:5.30" } else { "" };
            let (name, source_rpm) = (format!("p{}-x:y", i % 50), "s-1-2.src.rpm");
            let e = Entry {
                name: &name,
                epoch: "1",
                version: &version,
                release: "2/e l",
                arch: "noarch",
                checksum: &checksum,
                size: i as u64,
                source_rpm,
                stream,
            };
            b.package("base", &e).unwrap();
        }
        b.metadata("base", "modules", "cc");
        b.stream(Stream { repo: "base".into(), name: "perl".into(), stream: "5.30".into(), version: "8\t\n9".into(), ..Stream::default() });
        b.finish()
    }

    fn text(list: &PackageList) -> String {
        let all: Vec<String> = list.iter().map(|p| format!("{p:?}")).collect();
        format!("{all:?} {:?}", list.metadata)
    }

    #[test]
    fn a_list_comes_back_and_lies_there_once_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let lists = Lists::new(dir.path());
        let one = list(500);
        let fp = one.fp().known().unwrap().to_owned();
        assert!(lists.get(&fp).unwrap().is_none() && lists.find("").unwrap().is_empty());
        assert!(lists.put(&one).unwrap() && !lists.put(&one).unwrap());
        let back = lists.get(&fp).unwrap().unwrap();
        assert_eq!(text(&back), text(&one));
        assert_eq!(back.streams[0].version, "89");
        let file = dir.path().join(format!("content/{fp}.list.zst"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(dir.path().join("content")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!((lists.find(&fp[..8]).unwrap(), lists.find("zz").unwrap().len()), (vec![fp.clone()], 0));
        // zstd's own tool reads it; the head says what it is.
        let open = zstd::decode_all(&std::fs::read(&file).unwrap()[..]).unwrap();
        assert!(open.starts_with(format!("quarterdeck-list\t1\nfp\t{fp}\np\tbase\tp").as_bytes()));
    }

    #[test]
    fn a_list_that_was_changed_is_no_list_and_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let lists = Lists::new(dir.path());
        let one = list(20);
        let fp = one.fp().known().unwrap().to_owned();
        lists.put(&one).unwrap();
        let path = dir.path().join(format!("content/{fp}.list.zst"));
        let good = zstd::decode_all(&std::fs::read(&path).unwrap()[..]).unwrap();
        let with = |edit: &dyn Fn(String) -> String| {
            let text = edit(String::from_utf8(good.clone()).unwrap());
            std::fs::write(&path, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
            lists.get(&fp).unwrap_err().to_string()
        };
        let sealed = |text: String| {
            let body = text[..text.find("end\t").unwrap()].to_owned();
            let digest = hex(&Sha256::digest(body.as_bytes()));
            format!("{body}end\t{digest}\n")
        };
        assert!(with(&|t| t.replace("s-1-2", "s-1-3")).contains("digest"));
        assert!(with(&|t| sealed(t.replace("noarch\t0", "noarch\t1"))).contains("fingerprint"));
        assert!(with(&|t| sealed(t.replace("quarterdeck-list\t1", "quarterdeck-list\t2"))).contains("newer"));
        assert!(with(&|t| t.replace("fp\t", "fp\t0")).contains("another content"));
        assert!(with(&|t| t[..t.len() - 80].to_owned()).contains("line"));
        assert!(with(&|t| sealed(t.replacen("\np\t", "\nq\t", 1))).contains("line 3"));
        assert!(with(&|_| String::new()).contains("line 1"));
        std::fs::write(&path, b"\0\0").unwrap();
        assert!(lists.get(&fp).is_err());
        assert!(lists.put(&one).unwrap() && lists.get(&fp).unwrap().is_some(), "a damaged file is replaced");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_never_a_list(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(unpack(&bytes[..], &"0".repeat(64)).is_err());
            prop_assert!(unpack(&[KIND.as_bytes(), b"\nfp\t", "0".repeat(64).as_bytes(), b"\n", &bytes[..]].concat()[..], &"0".repeat(64)).is_err());
        }
    }
}
