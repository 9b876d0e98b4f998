//! Which process has a store, found without touching its lock.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::open::LOCK;
use crate::base::locks;

/// The pid of the engine that has the store in `dir`, as it wrote it down; none where nobody has it, or where that cannot be seen.
pub fn holder(dir: &Path) -> Option<String> {
    let file = std::fs::File::open(dir.join(LOCK)).ok()?;
    let meta = file.metadata().ok()?;
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    locks::is_held(meta.dev(), meta.ino()).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_somebody_s_while_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()), None);
        std::fs::write(dir.path().join(LOCK), "4711\n").unwrap();
        assert_eq!(holder(dir.path()), None, "an engine that was killed left it");
        let lock = std::fs::File::open(dir.path().join(LOCK)).unwrap();
        lock.lock().unwrap();
        assert_eq!(holder(dir.path()).as_deref(), Some("4711"));
        drop(lock);
        assert_eq!(holder(dir.path()), None);
    }
}
