//! Two guards before anything is downloaded: a repository that shrank too far is refused, and so is one that the disk cannot hold.

use super::options::Shrink;
use crate::base::size::short;
use crate::steps::error::StepError;
use crate::systems::repo::tree::Space;

/// Kept free beside what is needed, for the state and everybody else on the disk.
const MARGIN: u64 = 32 << 20;
const MARGIN_INODES: u64 = 64;

/// Packages and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub packages: u64,
    pub bytes: u64,
}

pub fn shrink(name: &str, before: Extent, after: Extent, limit: Shrink) -> Result<(), StepError> {
    let Shrink::Percent(percent) = limit else { return Ok(()) };
    let fell = |was: u64, is: u64| u128::from(is) * 100 < u128::from(was) * u128::from(100 - percent);
    let emptied = before.packages > 0 && after.packages == 0;
    if !emptied && !fell(before.packages, after.packages) && !fell(before.bytes, after.bytes) {
        return Ok(());
    }
    let rule =
        if emptied { "an empty repository is never taken for a percentage".into() } else { format!("at most {percent} % is allowed") };
    let next = match emptied {
        true => "run once more with shrink=allow",
        false => "run once more with shrink=allow (or shrink=PERCENT)",
    };
    let what = format!(
        "{name} would shrink from {} packages ({}) to {} packages ({}); {rule}",
        before.packages,
        short(before.bytes),
        after.packages,
        short(after.bytes)
    );
    Err(StepError::refused(
        what,
        format!("look at the upstream; if it is right, {next}; if it has reached its end of life, freeze the repository (do freeze)"),
    ))
}

pub fn disk(at: &str, bytes: u64, files: u64, free: Space) -> Result<(), StepError> {
    if bytes.saturating_add(MARGIN) > free.bytes {
        return Err(StepError::failed(
            format!("{at}: {} are to be downloaded and {} are to stay free, {} are free", short(bytes), short(MARGIN), short(free.bytes)),
            format!("free {} or move the mirror; nothing was downloaded", short((bytes + MARGIN).saturating_sub(free.bytes))),
        ));
    }
    match free.inodes {
        Some(inodes) if files.saturating_add(MARGIN_INODES) > inodes => Err(StepError::failed(
            format!("{at}: {files} files are to be made and {MARGIN_INODES} inodes are to stay free, {inodes} are free"),
            "remove small files or move the mirror; nothing was downloaded",
        )),
        _ => Ok(()),
    }
}

/// As [`disk`], for what is made of trees that are there.
pub fn room(at: &str, bytes: u64, files: u64, free: Space) -> Result<(), StepError> {
    if bytes.saturating_add(MARGIN) > free.bytes {
        return Err(StepError::refused(
            format!("{at}: {} are needed and {} are to stay free, {} are free", short(bytes), short(MARGIN), short(free.bytes)),
            format!("free {}, by mirror/gc or otherwise; nothing was written", short((bytes + MARGIN).saturating_sub(free.bytes))),
        ));
    }
    match free.inodes {
        Some(inodes) if files.saturating_add(MARGIN_INODES) > inodes => Err(StepError::refused(
            format!("{at}: {files} files are to be made and {MARGIN_INODES} inodes are to stay free, {inodes} are free"),
            "remove small files, by mirror/gc or otherwise; nothing was written",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_may_shrink_to_its_limit_and_no_further() {
        let e = |packages, bytes| Extent { packages, bytes };
        let judge = |a, b, p| shrink("r", a, b, Shrink::Percent(p)).is_ok();
        assert!(judge(e(100, 1000), e(80, 800), 20));
        assert!(!judge(e(100, 1000), e(79, 1000), 20));
        assert!(!judge(e(100, 1000), e(100, 799), 20));
        assert!(!judge(e(1, 10), e(0, 0), 100), "emptied is always refused");
        assert!(judge(e(0, 0), e(0, 0), 20), "an empty one may stay empty");
        assert!(judge(e(0, 0), e(5, 5), 0));
        assert!(shrink("r", e(100, 1), e(0, 0), Shrink::Allow).is_ok());
        let text = shrink("el9", e(100, 2048), e(3, 10), Shrink::Percent(20)).unwrap_err().to_string();
        assert!(text.contains("from 100 packages (2.0 KiB) to 3 packages (10 B)") && text.contains("shrink=allow"), "{text}");
    }

    #[test]
    fn a_disk_too_small_is_told_before_the_download() {
        let free = Space { bytes: 1 << 30, inodes: Some(1000) };
        assert!(disk("/srv", 100 << 20, 500, free).is_ok());
        assert!(disk("/srv", 1 << 30, 5, free).unwrap_err().to_string().contains("free"));
        assert!(disk("/srv", 1, 990, free).unwrap_err().to_string().contains("inodes"));
        let near = disk("/srv", 1, 5, Space { bytes: 23 << 20, inodes: None }).unwrap_err().to_string();
        assert!(near.contains("1 B are to be downloaded and 32 MiB are to stay free, 23 MiB are free"), "{near}");
        assert!(disk("/srv", 1, 990, Space { bytes: 1 << 30, inodes: None }).is_ok());
    }
}
