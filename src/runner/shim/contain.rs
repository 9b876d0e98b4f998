//! What holds a step's processes together: the ladder of means, chosen by a pure function of probes, and the own cgroup v2 directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::proc;
use crate::domain::attempt::Containment;

/// First words of a scope's name, so that a shim knows the scope that was made for it.
pub const SCOPE_PREFIX: &str = "quarterdeck-step-";

/// What was found out about this machine and session. Facts only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probes {
    /// A trial scope was made and went away again, or the process is in a scope that was made for it.
    pub scope_works: bool,
    /// The process's own cgroup v2 directory, as mounted here.
    pub cgroup2: Option<PathBuf>,
    /// That directory and its `cgroup.procs` may be written.
    pub cgroup_writable: bool,
    /// Kernel 5.14 and newer: a cgroup has `cgroup.kill`.
    pub cgroup_kill: bool,
}

/// The strongest means that the probes allow. The subreaper sweep is done at every rung.
pub fn choose(probes: &Probes) -> Containment {
    let cgroup = probes.cgroup2.is_some() && probes.cgroup_writable && probes.cgroup_kill;
    match (probes.scope_works, cgroup) {
        (true, _) => Containment::SystemdScope,
        (false, true) => Containment::Cgroup,
        (false, false) => Containment::Subreaper,
    }
}

/// Looks at the process's own cgroup; `release` is the kernel's, such as `5.14.0-503.el9`.
pub fn probe_cgroup(release: &str) -> Probes {
    let cgroup2 = proc::own_cgroup2().ok().flatten();
    let may_write = |p: &Path| rustix::fs::access(p, rustix::fs::Access::WRITE_OK).is_ok();
    let cgroup_writable = cgroup2.as_ref().is_some_and(|dir| may_write(dir) && may_write(&dir.join("cgroup.procs")));
    let scope_works = cgroup2
        .as_ref()
        .is_some_and(|dir| dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with(SCOPE_PREFIX)) && cgroup_writable);
    Probes { scope_works, cgroup2, cgroup_writable, cgroup_kill: kernel_has_kill(release) }
}

fn kernel_has_kill(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 14)
}

/// The name of an attempt's own cgroup.
pub fn cgroup_name(attempt: &str, fence: u64) -> String {
    let safe: String = attempt.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    format!("qd-{safe}-{fence}")
}

/// Makes the attempt's cgroup under `parent`; an error means one rung down, not a failed step. `proved`: those made there could be killed.
pub fn make(parent: &Path, name: &str, proved: bool) -> io::Result<PathBuf> {
    let dir = parent.join(name);
    match fs::create_dir(&dir) {
        Ok(()) => {}
        // Left by a shim that was killed before its evidence: empty, or its members are ours as well.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => kill_all(&dir),
        Err(e) => return Err(e),
    }
    if !proved && !dir.join("cgroup.kill").exists() {
        remove(&dir);
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    Ok(dir)
}

/// Moves a process into the cgroup.
pub fn enter(dir: &Path, pid: i32) -> io::Result<()> {
    fs::write(dir.join("cgroup.procs"), pid.to_string())
}

/// Whether a path that was read from a file is a cgroup of ours: nothing else is ever killed or removed through it.
pub fn is_ours(dir: &Path) -> bool {
    const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
    dir.is_absolute()
        && dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with("qd-"))
        && rustix::fs::statfs(dir).is_ok_and(|s| s.f_type as u64 == CGROUP2_SUPER_MAGIC)
}

/// Kills everything in the cgroup and below it, in one step of the kernel.
pub fn kill_all(dir: &Path) {
    // Gone already is as good as killed.
    let _ = fs::write(dir.join("cgroup.kill"), "1");
}

/// Whether the kernel says that nobody is in the cgroup or below it; the dead that nobody has reaped count as nobody.
pub fn is_empty(dir: &Path) -> bool {
    proc::read_once(&dir.join("cgroup.events")).is_ok_and(|text| text.split(|b| *b == b'\n').any(|l| l == b"populated 0"))
}

/// Pids in the cgroup and below it.
pub fn members(dir: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    walk(dir, 0, &mut |d| {
        let procs = fs::read_to_string(d.join("cgroup.procs")).unwrap_or_default();
        found.extend(procs.lines().filter_map(|l| l.parse::<i32>().ok()));
    });
    found
}

/// Whether the kernel killed something in the cgroup for want of memory. `false` where the memory controller is not delegated.
pub fn saw_oom_kill(dir: &Path) -> bool {
    let events = fs::read_to_string(dir.join("memory.events")).unwrap_or_default();
    events.lines().any(|l| l.strip_prefix("oom_kill ").is_some_and(|n| n.trim() != "0"))
}

/// Removes the cgroup with those that its processes made inside; one that still has members stays.
pub fn remove(dir: &Path) {
    // Most have nothing below them.
    if fs::remove_dir(dir).is_ok() {
        return;
    }
    walk(dir, 0, &mut |d| {
        let _ = fs::remove_dir(d);
    });
}

/// The same, once its processes were killed: the kernel lets them go a moment after they are dead. Blocks for 250 ms at most.
pub fn remove_soon(dir: &Path) {
    for _ in 0..50 {
        remove(dir);
        if !dir.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Deepest first. The depth is the step's choice, so it is bounded.
fn walk(dir: &Path, depth: u32, act: &mut dyn FnMut(&Path)) {
    if depth < 32
        && let Ok(entries) = fs::read_dir(dir)
    {
        for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            walk(&entry.path(), depth + 1, act);
        }
    }
    act(dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_takes_the_strongest_means_there_is() {
        for bits in 0..16u8 {
            let bit = |n: u8| bits & (1 << n) != 0;
            let probes = Probes {
                scope_works: bit(0),
                cgroup2: bit(1).then(|| PathBuf::from("/sys/fs/cgroup/x")),
                cgroup_writable: bit(2),
                cgroup_kill: bit(3),
            };
            let expected = match (bit(0), bit(1) && bit(2) && bit(3)) {
                (true, _) => Containment::SystemdScope,
                (_, true) => Containment::Cgroup,
                _ => Containment::Subreaper,
            };
            assert_eq!(choose(&probes), expected, "{probes:?}");
        }
    }

    #[test]
    fn kernels_are_told_apart() {
        for (release, has) in [
            ("4.18.0-553.el8.x86_64", false),
            ("5.13.19", false),
            ("5.14.0-503.el9", true),
            ("6.1-rc2", true),
            ("", false),
            ("weird", false),
        ] {
            assert_eq!(kernel_has_kill(release), has, "{release}");
        }
    }

    #[test]
    fn a_path_from_a_file_is_only_trusted_as_a_cgroup_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let planted = dir.path().join("qd-x-1");
        fs::create_dir(&planted).unwrap();
        for bad in [planted.as_path(), Path::new("/"), Path::new("qd-x"), Path::new("/sys/fs/cgroup"), Path::new("/nonexistent/qd-1")] {
            assert!(!is_ours(bad), "{}", bad.display());
        }
        assert_eq!(cgroup_name("../a b/01-x", 7), "qd-ab01-x-7");
    }
}
