//! The demo's source control: one small git repository, written object by object and served as files.
//!
//! Git's "dumb" HTTP protocol is plain files below `NAME.git/`: `info/refs`, `HEAD` and loose objects. So the demo
//! needs no git; only the step that checks out does. Times and names are fixed: the same files give the same commit.

use std::io::Write;
use std::path::Path;

use sha1::{Digest, Sha1};

use super::Error;
use super::files::{hex, mkdir, put, put_if_changed};

/// The path of the repository below the upstream's root.
pub const PATH: &str = "scm/ops-scripts.git";

/// What the repository holds.
const FILES: &[(&str, &str)] = &[
    ("README.md", "# ops-scripts\n\nScripts that the nightly jobs of the demo estate check out.\n"),
    ("hwinfo.sh", "#!/bin/sh\n# The machine, in four lines.\nuname -srm\nnproc\nhead -n 2 /proc/meminfo\n"),
];

const AUTHOR: &str = "Demo Estate <demo@example.com> 1767225600 +0000";

/// Writes the repository below `root`, and returns its commit. Run again, it changes nothing.
pub fn publish(root: &Path) -> Result<String, Error> {
    let repo = root.join(PATH);
    mkdir(&repo.join("info"))?;
    mkdir(&repo.join("objects/info"))?;
    mkdir(&repo.join("refs/heads"))?;
    let mut tree = Vec::new();
    for (name, text) in FILES {
        let blob = object(&repo, "blob", text.as_bytes())?;
        let mode = if name.ends_with(".sh") { "100755" } else { "100644" };
        tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        tree.extend_from_slice(&blob);
    }
    let tree = hex(&object(&repo, "tree", &tree)?);
    let text = format!("tree {tree}\nauthor {AUTHOR}\ncommitter {AUTHOR}\n\nScripts of the nightly jobs\n");
    let commit = hex(&object(&repo, "commit", text.as_bytes())?);
    for (path, text) in [
        ("objects/info/packs", String::new()),
        ("refs/heads/main", format!("{commit}\n")),
        ("info/refs", format!("{commit}\trefs/heads/main\n")),
        ("HEAD", "ref: refs/heads/main\n".to_owned()),
    ] {
        put_if_changed(&repo.join(path), text.as_bytes(), 0)?;
    }
    Ok(commit)
}

/// Writes a loose object where it is absent, and returns its name.
fn object(repo: &Path, kind: &str, body: &[u8]) -> Result<[u8; 20], Error> {
    let mut whole = format!("{kind} {}\0", body.len()).into_bytes();
    whole.extend_from_slice(body);
    let id: [u8; 20] = Sha1::digest(&whole).into();
    let name = hex(&id);
    let dir = repo.join("objects").join(&name[..2]);
    let path = dir.join(&name[2..]);
    if !path.exists() {
        mkdir(&dir)?;
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&whole).map_err(Error::io("compressing", &path))?;
        put(&path, &packed.finish().map_err(Error::io("compressing", &path))?, None)?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_commit_and_nothing_is_written_twice() {
        let dir = tempfile::tempdir().unwrap();
        let first = publish(dir.path()).unwrap();
        let refs = dir.path().join(PATH).join("info/refs");
        let before = std::fs::metadata(&refs).unwrap().modified().unwrap();
        assert_eq!(publish(dir.path()).unwrap(), first);
        assert_eq!(std::fs::metadata(&refs).unwrap().modified().unwrap(), before);
        assert_eq!(std::fs::read_to_string(&refs).unwrap(), format!("{first}\trefs/heads/main\n"));
    }

    #[test]
    fn an_object_is_named_as_git_names_it() {
        let dir = tempfile::tempdir().unwrap();
        // `printf hello | git hash-object --stdin`
        assert_eq!(hex(&object(dir.path(), "blob", b"hello").unwrap()), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
    }
}
