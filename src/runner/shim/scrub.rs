//! Hides secrets in files that the step wrote itself, report and journal, once nobody writes to them any more.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::base::durable;
use crate::base::mask::{Masker, Stream};

/// Replaces the file by one without secrets, where it holds any. Intents in the journal stay durable. A file that cannot be rewritten is
/// truncated: a lost line of progress is better than a kept secret.
pub fn file(path: &Path, masker: &Masker) {
    match holds_secret(path, masker) {
        Ok(false) => {}
        Ok(true) => {
            if rewrite(path, masker).is_err() {
                let _ = OpenOptions::new().write(true).open(path).and_then(|f| f.set_len(0));
            }
        }
        Err(_) => {}
    }
}

fn each_chunk(path: &Path, mut act: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
    let mut f = File::open(path)?;
    // A FIFO or a device planted in its place would never end.
    if !f.metadata()?.is_file() {
        return Ok(());
    }
    let mut buf = vec![0; 64 << 10];
    loop {
        match f.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) if !act(&buf[..n])? => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// A match changes the text: the masked stream is compared with the original.
fn holds_secret(path: &Path, masker: &Masker) -> io::Result<bool> {
    if path.as_os_str().is_empty() || !std::fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let (mut stream, mut out, mut found) = (Stream::default(), Vec::new(), false);
    let mut pending: Vec<u8> = Vec::new();
    each_chunk(path, |bytes| {
        out.clear();
        stream.push(masker, bytes, &mut out);
        pending.extend_from_slice(bytes);
        found = !pending.starts_with(&out);
        if !found {
            pending.drain(..out.len());
        }
        Ok(!found)
    })?;
    if !found {
        out.clear();
        stream.finish(&mut out);
        found = pending != out;
    }
    Ok(found)
}

fn rewrite(path: &Path, masker: &Masker) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".masked");
    let tmp = Path::new(&name);
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(tmp)?;
    let (mut stream, mut out) = (Stream::default(), Vec::new());
    let done = each_chunk(path, |bytes| {
        out.clear();
        stream.push(masker, bytes, &mut out);
        to.write_all(&out)?;
        Ok(true)
    })
    .and_then(|()| {
        out.clear();
        stream.finish(&mut out);
        to.write_all(&out)?;
        to.sync_all()?;
        std::fs::rename(tmp, path)?;
        durable::sync_parent(path)
    });
    if done.is_err() {
        let _ = std::fs::remove_file(tmp);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_with_secrets_are_rewritten() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let m = Masker::new([("s", b"hunter-2222".as_slice())]).unwrap();
        let path = dir.path().join("report");
        std::fs::write(&path, b"{\"type\":\"detail\",\"text\":\"hunt\"}\nhunter-222").unwrap();
        let before = std::fs::metadata(&path).unwrap().ino();
        file(&path, &m);
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
        let mut text = vec![b'x'; 65_530];
        text.extend(b"hunter-2222 end");
        std::fs::write(&path, &text).unwrap();
        file(&path, &m);
        let now = std::fs::read(&path).unwrap();
        assert!(now.ends_with(b"x*** end"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        file(&dir.path().join("absent"), &m);
    }
}
