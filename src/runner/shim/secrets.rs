//! The values of declared secrets inside the shim: read from the pipe, put into memory-backed files for the step, removed at the end.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::domain::attempt::SecretUse;
use crate::domain::run::valid_name;

/// One declared secret with its value.
pub struct Secret {
    pub name: String,
    /// The pipeline said `env: true`.
    pub env: bool,
    pub value: Zeroizing<Vec<u8>>,
}

/// All values together; more is a mistake of the pipeline, not a secret.
const MAX_TOTAL: usize = 1 << 20;

/// Reads the stream of the engine from `pipe` until its end. An engine that died in the middle leaves a truncated stream: an error, and the
/// step does not start.
pub fn receive(pipe: &mut dyn Read, declared: &[SecretUse]) -> io::Result<Vec<Secret>> {
    // Its final size at once: growing would leave copies behind in freed memory.
    let mut bytes = Zeroizing::new(vec![0u8; MAX_TOTAL + 1]);
    let mut len = 0;
    loop {
        match pipe.read(&mut bytes[len..]) {
            Ok(0) if len > MAX_TOTAL => return Err(bad("more than 1 MiB of secrets")),
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let (mut rest, mut found) = (&bytes[..len], Vec::new());
    while !rest.is_empty() {
        let name_len = take(&mut rest, 4).map(number)?;
        let value_len = take(&mut rest, 4).map(number)?;
        let name = std::str::from_utf8(take(&mut rest, name_len)?).map_err(|_| bad("a name is not text"))?.to_owned();
        let value = Zeroizing::new(take(&mut rest, value_len)?.to_vec());
        if !valid_name(&name) {
            return Err(bad("a name is not valid"));
        }
        let env = declared.iter().any(|d| d.name == name && d.env);
        found.push(Secret { name, env, value });
    }
    if let Some(missing) = declared.iter().find(|d| !found.iter().any(|s| s.name == d.name)) {
        return Err(bad(&format!("the value of `{}` did not arrive", missing.name)));
    }
    Ok(found)
}

fn number(b: &[u8]) -> usize {
    b.iter().rev().fold(0usize, |n, b| (n << 8) | usize::from(*b))
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> io::Result<&'a [u8]> {
    if n > rest.len() {
        return Err(bad("the stream ends early"));
    }
    let (head, tail) = rest.split_at(n);
    *rest = tail;
    Ok(head)
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// The variable of a secret: `koji-cert` becomes `KOJI_CERT`; one that would begin with a digit gets `_` in front.
pub fn variable_name(name: &str) -> String {
    let mut text: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert(0, '_');
    }
    text
}

/// Where memory-backed directories may be, best first. The engine looks in the same places to clean up after a killed shim.
pub fn places(runtime_dir: Option<PathBuf>, uid: u32) -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = runtime_dir.into_iter().filter(|p| p.is_absolute()).collect();
    for place in [PathBuf::from(format!("/run/user/{uid}")), PathBuf::from("/dev/shm")] {
        if !list.contains(&place) {
            list.push(place);
        }
    }
    list
}

/// What the names of such directories begin with.
pub const PREFIX: &str = "quarterdeck-";

/// The name of an attempt's directory there. Nobody can guess it before it exists, and one that exists is never used.
pub fn directory_name(token: &str) -> String {
    let safe: String = token.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(128).collect();
    format!("{PREFIX}{safe}")
}

/// Makes the 0700 directory with one 0600 file a secret in the first place that is really memory.
pub fn lay_out(places: &[PathBuf], name: &str, secrets: &[Secret]) -> io::Result<PathBuf> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no memory-backed directory: neither $XDG_RUNTIME_DIR nor /dev/shm is a tmpfs");
    for place in places.iter().filter(|p| is_memory(p)) {
        let dir = place.join(name);
        match DirBuilder::new().mode(0o700).create(&dir).and_then(|()| write_files(&dir, secrets)) {
            Ok(()) => return Ok(dir),
            Err(e) => {
                if e.kind() != io::ErrorKind::AlreadyExists {
                    remove(&dir);
                }
                last = io::Error::new(e.kind(), format!("{}: {e}; a tmpfs that may be written is needed there", place.display()));
            }
        }
    }
    Err(last)
}

fn write_files(dir: &Path, secrets: &[Secret]) -> io::Result<()> {
    for s in secrets {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(&s.name))?.write_all(&s.value)?;
    }
    Ok(())
}

fn is_memory(place: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    rustix::fs::statfs(place).is_ok_and(|s| matches!(s.f_type as u64 & 0xffff_ffff, TMPFS | RAMFS))
}

/// Removes such a directory with whatever the step put beside; links are not followed. Absent is fine.
pub fn remove(dir: &Path) {
    // Most steps declare none and put none there.
    if fs::remove_dir(dir).is_err() {
        let _ = fs::remove_dir_all(dir);
    }
}

/// How long the shim waits for the engine's stream.
pub const DEADLINE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn encode(list: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (n, v) in list {
            out.extend((n.len() as u32).to_le_bytes());
            out.extend((v.len() as u32).to_le_bytes());
            out.extend(n.as_bytes());
            out.extend(*v);
        }
        out
    }

    fn declared(names: &[&str]) -> Vec<SecretUse> {
        names.iter().map(|n| SecretUse { name: (*n).into(), env: *n == "b" }).collect()
    }

    #[test]
    fn a_truncated_or_incomplete_stream_is_refused() {
        let whole = encode(&[("a", b"one\0two"), ("b", b"")]);
        let got = receive(&mut whole.as_slice(), &declared(&["a", "b"])).unwrap();
        assert_eq!((got[0].name.as_str(), got[0].value.as_slice(), got[0].env, got[1].env), ("a", b"one\0two".as_slice(), false, true));
        for cut in 1..whole.len() {
            assert!(receive(&mut &whole[..cut], &declared(&["a", "b"])).is_err(), "{cut}");
        }
        assert!(receive(&mut whole.as_slice(), &declared(&["c"])).is_err());
        assert!(receive(&mut encode(&[("../x", b"v")]).as_slice(), &[]).is_err());
        assert!(receive(&mut [255u8; 16].as_slice(), &[]).is_err());
    }

    #[test]
    fn files_are_private_and_a_planted_directory_is_not_used() {
        let places = places(None, 0);
        let name = directory_name(&format!("test/../{}", std::process::id()));
        assert!(!name.contains('/') && !name.contains('.'));
        let secret = Secret { name: "k".into(), env: false, value: Zeroizing::new(b"v".to_vec()) };
        let dir = lay_out(&places, &name, std::slice::from_ref(&secret)).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(dir.join("k")).unwrap().permissions().mode() & 0o777, 0o600);
        let only_there = [dir.parent().unwrap().to_owned()];
        assert!(lay_out(&only_there, &name, &[secret]).is_err());
        assert!(dir.exists());
        remove(&dir);
        assert!(!dir.exists());
        assert!(lay_out(&[PathBuf::from("/proc")], &name, &[]).is_err());
    }

    #[test]
    fn variables_have_names_that_a_shell_can_use() {
        assert_eq!(variable_name("koji-cert.pem"), "KOJI_CERT_PEM");
        assert_eq!(variable_name("2fa"), "_2FA");
    }
}
