//! Packing the log of an ended attempt: `log` becomes `log.zst`, frame by frame in constant memory. A crash at any moment leaves one
//! log that is whole: the new file is complete, checked and durable before it gets its name, and the old one goes last.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::super::shim::index::Gap;
use super::packed::{FRAME, SEEKABLE, SKIPPABLE};
use super::source::Source;
use crate::base::{durable, sys};
use crate::domain::attempt::file;
use crate::domain::log::PACK_FROM;

/// zstd's own default: a log becomes some tenth, at some hundred megabytes a second.
const LEVEL: i32 = 3;

/// Beside the size of the log, so much must be free.
const ROOM: u64 = 32 << 20;

/// What became of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Packed {
        from: u64,
        to: u64,
    },
    /// It stays as it is, for good.
    Left(&'static str),
    /// Its supervisor lives: not now.
    InUse,
    /// The disk is too full for two of it: not now.
    NoRoom,
}

/// How far packing has come; a test stops it there, as a crash would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The packed file is complete under a temporary name.
    Written,
    /// It has its name; the plain one is still there.
    Named,
    /// The plain one is gone.
    Removed,
}

/// Packs the log in the attempt directory `dir`. `sha256`: of the log as its supervisor wrote it, empty where nobody knows; another
/// digest means that somebody or a power cut changed it, and it is left for people to look at. Blocks: some seconds for a gigabyte.
pub fn pack(dir: &Path, sha256: &str) -> io::Result<Outcome> {
    pack_to(dir, sha256, |_| ControlFlow::Continue(()))
}

fn pack_to(dir: &Path, sha256: &str, mut at: impl FnMut(Point) -> ControlFlow<()>) -> io::Result<Outcome> {
    let left = |why| Ok(Outcome::Left(why));
    let lock = match File::open(dir.join(file::LOCK)) {
        Ok(f) => f,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return left("its directory is gone"),
        Err(e) => return Err(e),
    };
    if sys::lock_is_held(lock.as_fd())? {
        return Ok(Outcome::InUse);
    }
    let (path, packed, tmp) = (dir.join(file::LOG), dir.join(file::LOG_PACKED), temporary(dir));
    let source = match Source::open(dir) {
        Ok(s) if s.is_packed() => return left("it is packed already"),
        Ok(s) => s,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return left("there is none"),
        Err(e) => return Err(e),
    };
    let gap = Gap::read(dir);
    let length = source.len()?;
    if length < PACK_FROM {
        return left("it is small");
    }
    // Steps that run now need the disk more.
    let disk = rustix::fs::statvfs(dir)?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < length.saturating_add(ROOM) {
        return Ok(Outcome::NoRoom);
    }
    let found = write(&source, gap, &tmp).inspect_err(|_| drop(std::fs::remove_file(&tmp)))?;
    if !sha256.is_empty() && found.sha256 != sha256 {
        std::fs::remove_file(&tmp)?;
        return left("it is not as its supervisor wrote it");
    }
    // What cannot be read back must not replace what can.
    let again = Source::open_packed(&tmp, gap).and_then(|s| Ok((digest(&s, gap)?, s.len()?)));
    if again.as_ref().ok() != Some(&(found.sha256, length)) || source.len()? != length || source.identity()? != identity(&path)? {
        std::fs::remove_file(&tmp)?;
        again?;
        return left("it changed while it was packed");
    }
    if at(Point::Written).is_break() {
        return Ok(Outcome::InUse);
    }
    std::fs::rename(&tmp, &packed)?;
    durable::sync_dir(dir)?;
    if at(Point::Named).is_break() {
        return Ok(Outcome::InUse);
    }
    std::fs::remove_file(&path)?;
    let _ = at(Point::Removed);
    durable::sync_dir(dir)?;
    Ok(Outcome::Packed { from: length, to: found.size })
}

fn temporary(dir: &Path) -> PathBuf {
    dir.join(format!("{}.tmp", file::LOG_PACKED))
}

fn identity(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::symlink_metadata(path)?.ino())
}

struct Written {
    sha256: String,
    size: u64,
}

/// Writes all frames and their table, durable on return.
fn write(source: &Source, gap: Option<Gap>, to: &Path) -> io::Result<Written> {
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let mut packer = Compressor::new(LEVEL)?;
    packer.set_parameter(CParameter::ChecksumFlag(true))?;
    packer.set_parameter(CParameter::ContentSizeFlag(true))?;
    let (mut hash, mut table, mut size) = (Sha256::new(), Vec::new(), 0u64);
    let mut frame = Vec::with_capacity(zstd::zstd_safe::compress_bound(FRAME));
    read_in_order(source, gap, |text| {
        hash.update(text);
        frame.clear();
        packer.compress_to_buffer(text, &mut frame)?;
        out.write_all(&frame)?;
        size += frame.len() as u64;
        table.extend((frame.len() as u32).to_le_bytes());
        table.extend((text.len() as u32).to_le_bytes());
        Ok(())
    })?;
    let count = (table.len() / 8) as u32;
    let mut end = Vec::with_capacity(table.len() + 17);
    end.extend(SKIPPABLE.to_le_bytes());
    end.extend((table.len() as u32 + 9).to_le_bytes());
    end.extend(table);
    end.extend(count.to_le_bytes());
    end.push(0);
    end.extend(SEEKABLE.to_le_bytes());
    out.write_all(&end)?;
    out.sync_all()?;
    Ok(Written { sha256: hex(hash), size: size + end.len() as u64 })
}

fn digest(source: &Source, gap: Option<Gap>) -> io::Result<String> {
    let mut hash = Sha256::new();
    read_in_order(source, gap, |text| {
        hash.update(text);
        Ok(())
    })?;
    Ok(hex(hash))
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// The log in pieces of a frame, the dropped range left out: what the supervisor made its digest of.
fn read_in_order(source: &Source, gap: Option<Gap>, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let (mut buf, mut at) = (vec![0; FRAME], 0);
    loop {
        let mut n = 0;
        while n < FRAME {
            let mut room = FRAME - n;
            if let Some(g) = gap {
                (at, room) = g.around(at, room);
            }
            match source.read_some(&mut buf[n..n + room], at)? {
                0 => break,
                more => (n, at) = (n + more, at + more as u64),
            }
        }
        if n == 0 {
            return Ok(());
        }
        each(&buf[..n])?;
    }
}

#[cfg(test)]
mod tests;
