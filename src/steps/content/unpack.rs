//! `content/unpack`: every package's payload read to its end, and every digest on the way compared: of the file in the repository's
//! metadata, of the header, of the payload packed and open, and of each file inside.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rpm::{DigestAlgorithm, FileFlags, IndexTag, PackageMetadata};

use super::cpio::{self, Head};
use super::{packages, repos, tell};
use crate::base::size::short;
use crate::domain::content::Collector;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::digest::{self, Hasher};
use crate::systems::repo::{Origin, Tree};
use crate::wire::decompress::{self, Codec};
use crate::wire::repomd::Checksum;
use crate::wire::{excerpt, location};

/// No header of a real package is larger; the count and the size in its head are checked before anything is allocated.
const MAX_HEADER: u64 = 256 << 20;
const SHOWN: usize = 100;

struct Item {
    tree: usize,
    at: String,
    checksum: Checksum,
}

/// What was looked at.
#[derive(Default)]
struct Counts {
    files: AtomicU64,
    bytes: AtomicU64,
    /// Packages of a time before payload digests.
    without_digest: AtomicU64,
    /// Packages whose compression this version cannot open; their packed digests were compared.
    unopened: AtomicU64,
}

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let mut trees: Vec<Tree> = Vec::new();
    let mut items = Vec::new();
    let mut all = Collector::new();
    for repo in repos(with, "tree", env) {
        let Origin::Local(tree) = Origin::open(&repo.at)? else {
            return Err(StepError::input(
                format!("`{}` is no directory", excerpt(&repo.at)),
                "content/unpack reads a tree on disk: sync it first",
            ));
        };
        packages(&repo.name, &tree, &mut all, |p| {
            let location = location::check(&p.href).map_err(|e| e.to_string())?;
            items.push(Item { tree: trees.len(), at: location.to_string(), checksum: p.checksum.clone() });
            Ok(())
        })?;
        trees.push(tree);
    }
    let threads =
        with.int("parallel").map_or_else(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get), |n| n as usize);
    let (next, done, counts, damaged) = (AtomicUsize::new(0), AtomicU64::new(0), Counts::default(), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, 64).min(items.len().max(1)) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = check(&trees[item.tree], item, &counts)
                        && let Ok(mut damaged) = damaged.lock()
                    {
                        damaged.push((item.at.clone(), why));
                    }
                    let n = done.fetch_add(1, Ordering::Relaxed) + 1;
                    report.progress(n, items.len() as u64, "packages", "unpacking");
                }
            });
        }
    });
    let reading = all.finish();
    tell(report, with, &reading);
    let mut damaged = damaged.into_inner().unwrap_or_default();
    damaged.sort();
    report.output("damaged", &damaged.len().to_string());
    for (at, why) in damaged.iter().take(SHOWN) {
        report.say(&format!("damaged: {at}: {why}"));
    }
    if let Some((at, why)) = damaged.first() {
        let more = if damaged.len() > 1 { format!(" (and {} more)", damaged.len() - 1) } else { String::new() };
        return Err(StepError::failed(
            format!("{} of {} packages are damaged: {at}: {why}{more}", damaged.len(), items.len()),
            "a damaged mirror is repaired by its next mirror/sync; if upstream itself is damaged, hold this content back",
        ));
    }
    let count = |c: &AtomicU64| c.load(Ordering::Relaxed);
    let mut detail = format!(
        "{} unpacked: {}, {}",
        crate::base::count::s(items.len() as u64, "package"),
        crate::base::count::s(count(&counts.files), "file"),
        short(count(&counts.bytes))
    );
    for (n, words) in [
        (count(&counts.without_digest), "without a payload digest"),
        (count(&counts.unopened), "of a compression that cannot be opened here"),
    ] {
        if n > 0 {
            detail.push_str(&format!("; {n} {words}"));
        }
    }
    report.detail(&detail);
    report.summary(&detail);
    report.finish()
}

fn check(tree: &Tree, item: &Item, counts: &Counts) -> Result<(), String> {
    let mut file = tree.open_read(&item.at).map_err(|e| e.to_string())?;
    match digest::of_reader(&item.checksum.algorithm, &file) {
        Err(e) => return Err(format!("cannot be read: {e}")),
        Ok(None) => return Err(format!("checksums of kind `{}` are not supported", item.checksum.algorithm)),
        Ok(Some((got, _))) if got != item.checksum.hex => {
            return Err(format!("expected {} {}, got {got}", item.checksum.algorithm, item.checksum.hex));
        }
        Ok(Some(_)) => {}
    }
    let text = |e: io::Error| excerpt(&e.to_string());
    sane_headers(&mut file).map_err(text)?;
    file.rewind().map_err(text)?;
    let mut input = BufReader::with_capacity(128 << 10, file);
    let metadata = PackageMetadata::parse(&mut input).map_err(|e| format!("its header cannot be read: {}", excerpt(&e.to_string())))?;
    let header = metadata.check_digests().and_then(|r| r.result());
    header.map_err(|e| format!("its header is damaged: {}", excerpt(&e.to_string())))?;
    payload(&metadata, input, counts)
}

/// The sizes that lead, signature and header state, against the file's own: a parser would allocate what they ask for.
pub(super) fn sane_headers(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut at = 96u64;
    for last in [false, true] {
        file.seek(io::SeekFrom::Start(at))?;
        let mut intro = [0u8; 16];
        file.read_exact(&mut intro).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => cpio::bad("it is too short for a package"),
            _ => e,
        })?;
        if intro[..3] != [0x8e, 0xad, 0xe8] {
            return Err(cpio::bad("it is no package"));
        }
        let number = |from: usize| u64::from(u32::from_be_bytes([intro[from], intro[from + 1], intro[from + 2], intro[from + 3]]));
        let size = 16 + 16 * number(8) + number(12);
        at += size;
        if size > MAX_HEADER || at > length {
            return Err(cpio::bad("its header states a size that cannot be"));
        }
        // The signature header is padded to eight bytes.
        if !last {
            at = at.next_multiple_of(8);
        }
    }
    Ok(())
}

/// A file inside the package, as the header describes it.
struct Inside {
    size: u64,
    /// Algorithm and hex; none for directories, links and digests of an unsupported kind.
    digest: Option<(&'static str, String)>,
    /// In the archive: neither `%ghost` nor a directory without an entry of its own.
    regular: bool,
    /// Files of one inode: only the last of them carries the data.
    link: Option<(u32, u32)>,
    seen: bool,
    verified: bool,
}

fn payload(metadata: &PackageMetadata, input: impl BufRead, counts: &Counts) -> Result<(), String> {
    let text = |e: io::Error| format!("its payload is damaged: {}", excerpt(&e.to_string()));
    let stated = |tag| metadata.header.get_entry_data_as_string_array(tag).ok().and_then(|v| v.first().map(|s| s.to_ascii_lowercase()));
    let (packed, open) = (stated(IndexTag::RPMTAG_PAYLOADSHA256), stated(IndexTag::RPMTAG_PAYLOADSHA256ALT));
    if packed.is_none() && open.is_none() {
        counts.without_digest.fetch_add(1, Ordering::Relaxed);
    }
    let packed_hash = std::rc::Rc::new(std::cell::RefCell::new(Hasher::new("sha256")));
    let mut source = Tee { inner: input, hash: std::rc::Rc::clone(&packed_hash) };
    let head = source.fill_buf().map_err(text)?.to_vec();
    let codec = decompress::detect(&head);
    let alone = head.starts_with(&[0x5d, 0, 0]);
    if codec.is_err() || (alone && codec == Ok(Codec::None)) {
        // bzip2 and lzma-alone, of the time of EL5 and EL6: only the packed digest can be compared.
        io::copy(&mut source, &mut io::sink()).map_err(text)?;
        counts.unopened.fetch_add(1, Ordering::Relaxed);
    } else {
        let mut files = inside(metadata)?;
        let open_hash = std::rc::Rc::new(std::cell::RefCell::new(Hasher::new("sha256")));
        let opened = decompress::reader_up_to(&mut source, "the payload", u64::MAX).map_err(|e| e.to_string())?;
        let mut archive = Tee { inner: opened, hash: std::rc::Rc::clone(&open_hash) };
        walk(&mut archive, &mut files, counts).map_err(text)?;
        // Behind the trailer comes padding; a broken end of the compressed stream shows only when it is read.
        io::copy(&mut archive, &mut io::sink()).map_err(text)?;
        drop(archive);
        io::copy(&mut source, &mut io::sink()).map_err(text)?;
        compare("open payload", open, &open_hash)?;
        complete(&files)?;
    }
    compare("payload", packed, &packed_hash)
}

fn compare(what: &str, stated: Option<String>, hash: &std::cell::RefCell<Option<Hasher>>) -> Result<(), String> {
    let got = hash.borrow_mut().take().map(Hasher::finish);
    match (stated, got) {
        (Some(expected), Some(got)) if expected != got => {
            Err(format!("its {what} has another digest: expected sha256 {expected}, got {got}"))
        }
        _ => Ok(()),
    }
}

fn inside(metadata: &PackageMetadata) -> Result<(Vec<Inside>, HashMap<String, usize>), String> {
    let numbers = |tag| metadata.header.get_entry_data_as_u32_array(tag).unwrap_or_default();
    let (inodes, devices) = (numbers(IndexTag::RPMTAG_FILEINODES), numbers(IndexTag::RPMTAG_FILEDEVICES));
    let (mut files, mut by_path) = (Vec::new(), HashMap::new());
    let listed = metadata.for_each_file_entry(|entry| {
        let index = files.len();
        by_path.insert(format!("{}{}", entry.dirname(), entry.basename()), index);
        let digest = entry
            .digest()
            .filter(|d| !d.as_hex().is_empty())
            .and_then(|d| Some((algorithm(d.algorithm())?, d.as_hex().to_ascii_lowercase())));
        let regular = entry.file_type() == rpm::FileType::Regular && !entry.flags().contains(FileFlags::GHOST);
        let link = inodes.get(index).zip(devices.get(index)).map(|(i, d)| (*i, *d));
        files.push(Inside { size: entry.size() as u64, digest, regular, link, seen: false, verified: false });
        Ok(())
    });
    listed.map_err(|e| format!("its file list cannot be read: {}", excerpt(&e.to_string())))?;
    Ok((files, by_path))
}

const fn algorithm(algorithm: DigestAlgorithm) -> Option<&'static str> {
    match algorithm {
        DigestAlgorithm::Sha2_224 => Some("sha224"),
        DigestAlgorithm::Sha2_256 => Some("sha256"),
        DigestAlgorithm::Sha2_384 => Some("sha384"),
        DigestAlgorithm::Sha2_512 => Some("sha512"),
        DigestAlgorithm::Md5 | DigestAlgorithm::Sha3_256 | DigestAlgorithm::Sha3_512 => None,
    }
}

fn walk(archive: &mut impl BufRead, (files, by_path): &mut (Vec<Inside>, HashMap<String, usize>), counts: &Counts) -> io::Result<()> {
    let mut last_of: HashMap<(u32, u32), usize> = HashMap::new();
    for (i, file) in files.iter().enumerate().filter(|(_, f)| f.regular) {
        if let Some(link) = file.link {
            last_of.insert(link, i);
        }
    }
    loop {
        let (index, size) = match cpio::head(archive)? {
            Head::Trailer => return Ok(()),
            Head::Named { name, size } => {
                let path = name.strip_prefix('.').filter(|p| p.starts_with('/')).unwrap_or(&name);
                (by_path.get(path).copied(), size)
            }
            Head::Stripped(i) => {
                let file = files.get(i).ok_or_else(|| cpio::bad("a file that the header does not list"))?;
                let carries = file.regular && file.link.is_none_or(|l| last_of.get(&l) == Some(&i));
                // Links carry their target as data, directories nothing; both have their length in the header only where regular.
                (Some(i), if carries { file.size } else { 0 })
            }
        };
        counts.files.fetch_add(1, Ordering::Relaxed);
        counts.bytes.fetch_add(size, Ordering::Relaxed);
        let Some(file) = index.and_then(|i| files.get_mut(i)) else {
            // Source packages name their files without a directory; what no list describes has nothing to be compared with.
            cpio::data(archive, size, |_| ())?;
            continue;
        };
        file.seen = true;
        let mut hasher = file.digest.as_ref().filter(|_| file.regular && size > 0 || file.size == 0).and_then(|(a, _)| Hasher::new(a));
        cpio::data(archive, size, |bytes| {
            if let Some(h) = &mut hasher {
                h.update(bytes);
            }
        })?;
        if let (Some(hasher), Some((algorithm, expected))) = (hasher, &file.digest) {
            let got = hasher.finish();
            if got != *expected {
                return Err(cpio::bad(&format!("a file inside has another digest: expected {algorithm} {expected}, got {got}")));
            }
            file.verified = true;
        }
    }
}

/// Every regular file with a digest was compared, itself or as the hardlink that carries the data.
fn complete((files, by_path): &(Vec<Inside>, HashMap<String, usize>)) -> Result<(), String> {
    let carried: std::collections::HashSet<_> = files.iter().filter(|f| f.verified).filter_map(|f| f.link).collect();
    for (path, &i) in by_path {
        let file = &files[i];
        let elsewhere = file.seen && file.link.is_some_and(|l| carried.contains(&l));
        if file.regular && file.digest.is_some() && !file.verified && !elsewhere {
            return Err(format!("its payload lacks {}", excerpt(path)));
        }
    }
    Ok(())
}

/// Hashes what passes through.
struct Tee<R> {
    inner: R,
    hash: std::rc::Rc<std::cell::RefCell<Option<Hasher>>>,
}

impl<R> Tee<R> {
    fn absorb(&self, bytes: &[u8]) {
        if let Some(hash) = self.hash.borrow_mut().as_mut() {
            hash.update(bytes);
        }
    }
}

impl<R: BufRead> Read for Tee<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.absorb(&buf[..n]);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Tee<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        // The bytes are still in the buffer: filling again gives them without reading.
        if let Ok(buf) = self.inner.fill_buf() {
            let n = n.min(buf.len());
            if let Some(hash) = self.hash.borrow_mut().as_mut() {
                hash.update(&buf[..n]);
            }
        }
        self.inner.consume(n);
    }
}
