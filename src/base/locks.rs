//! Whether somebody holds the lock of a file, found without touching it: a momentary lock of ours could turn its owner away.

/// Whether a whole-file lock (`flock`) for writing is held. `false` where the kernel does not tell.
pub fn is_held(device: u64, inode: u64) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let wanted = format!("{:02x}:{:02x}:{inode}", rustix::fs::major(device), rustix::fs::minor(device));
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&"FLOCK") && words.contains(&"WRITE") && !words.contains(&"->") && words.contains(&wanted.as_str())
    })
}
