//! A tar archive of small files with plain names, as POSIX.1-1988 writes it: any tar reads it. Pure.

const BLOCK: usize = 512;

/// Files of an archive in their order. Names have at most 99 characters; times and owners are the same for all, so that the same files make
/// the same archive.
pub fn archive(files: &[(String, Vec<u8>)], mtime_s: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in files {
        out.extend(header(name, bytes.len() as u64, mtime_s));
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

fn header(name: &str, size: u64, mtime_s: u64) -> [u8; BLOCK] {
    let mut h = [0u8; BLOCK];
    let mut put = |at: usize, text: &str| {
        if let Some(to) = h.get_mut(at..at + text.len()) {
            to.copy_from_slice(text.as_bytes());
        }
    };
    put(0, &name.chars().take(99).collect::<String>());
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", size & 0o77_777_777_777));
    put(136, &format!("{:011o}\0", mtime_s & 0o77_777_777_777));
    // The sum counts its own field as blanks.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = h.iter().map(|b| u32::from(*b)).sum();
    let text = format!("{sum:06o}\0 ");
    if let Some(to) = h.get_mut(148..156) {
        to.copy_from_slice(text.as_bytes());
    }
    h
}
