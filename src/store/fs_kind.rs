//! Which file systems may hold the store: a table of statfs magics, pure.

/// What a file system is to SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsKind {
    /// WAL is safe.
    Local,
    /// Shared memory or locks cannot be trusted: never WAL.
    Remote(&'static str),
}

/// Magics from linux/magic.h and the file systems' own headers. FUSE counts as remote: nobody can know what is behind it.
const REMOTE: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS (kafs)"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x00C3_6400, "Ceph"),
    (0x7461_636F, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x7375_7245, "Coda"),
    (0x564C, "NCP"),
    (0x1983_0326, "BeeGFS (FhGFS)"),
    (0xAAD7_AAEA, "PanFS"),
    (0x2002_0902, "OrangeFS"),
    (0x786F_4256, "a VirtualBox shared folder"),
    (0xBACB_ACBC, "a VMware shared folder"),
    (0x6173_6669, "DAVfs"),
];

/// Classifies `f_type` of statfs. It is a signed word on some architectures: only the low 32 bits count.
pub fn classify(f_type: u64) -> FsKind {
    let magic = f_type as u32;
    REMOTE.iter().find(|(m, _)| *m == magic).map_or(FsKind::Local, |(_, name)| FsKind::Remote(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wal_never_meets_a_network_file_system() {
        for (magic, name) in [
            (0x6969u64, "NFS"),
            (0xFF53_4D42, "CIFS"),
            (0xFE53_4D42, "SMB2"),
            (0x517B, "SMB"),
            (0x0BD0_0BD0, "Lustre"),
            (0x4750_4653, "GPFS"),
            (0x5346_414F, "AFS"),
            (0x0102_1997, "9p"),
            (0x6573_5546, "FUSE"),
            (0x00C3_6400, "Ceph"),
        ] {
            assert_eq!(classify(magic), FsKind::Remote(name));
            assert_eq!(classify(magic as u32 as i32 as i64 as u64), FsKind::Remote(name), "sign-extended {name}");
        }
    }

    #[test]
    fn local_disks_are_local() {
        // ext4, xfs, btrfs, tmpfs, zfs, overlayfs, f2fs, bcachefs
        for magic in [0xEF53u64, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x2FC1_2FC1, 0x794C_7630, 0xF2F5_2010, 0xCA45_1A4E] {
            assert_eq!(classify(magic), FsKind::Local, "{magic:#x}");
        }
    }

    #[test]
    fn no_magic_is_listed_twice() {
        for (i, (m, _)) in REMOTE.iter().enumerate() {
            assert!(REMOTE[i + 1..].iter().all(|(n, _)| n != m), "{m:#x}");
        }
    }
}
