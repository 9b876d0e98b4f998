//! What `/proc` says about processes: identity, children, environment, command line. Nothing here signals anybody.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The fields of `/proc/PID/stat` that tell one process from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    /// `R`, `S`, `D`, `Z`, `T`, …
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Clock ticks since boot; with the pid and the boot id it names a process for ever.
    pub start_time: u64,
}

/// Reads `/proc/PID/stat`; `None` where there is no such process (any more).
pub fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&read_once(Path::new(&format!("/proc/{pid}/stat"))).ok()?)
}

/// A file that the kernel makes up when it is read, of 1 KiB at most: one read is all of it.
pub fn read_once(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1_024];
    let n = fs::File::open(path)?.read(&mut bytes)?;
    bytes.truncate(n);
    Ok(bytes)
}

/// The name in brackets is the process's own choice and may hold anything, so the fields are counted from the last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|b| *b == b'(')?;
    let close = text.iter().rposition(|b| *b == b')')?;
    let pid = std::str::from_utf8(text.get(..open)?).ok()?.trim().parse().ok()?;
    let rest: Vec<&str> = std::str::from_utf8(text.get(close + 1..)?).ok()?.split_ascii_whitespace().collect();
    let number = |i: usize| rest.get(i)?.parse::<i64>().ok();
    Some(Stat {
        pid,
        state: rest.first()?.chars().next()?,
        parent: number(1)? as i32,
        group: number(2)? as i32,
        session: number(3)? as i32,
        start_time: rest.get(19)?.parse().ok()?,
    })
}

/// Address and length in bytes of this process's command line; `None` where the kernel does not tell.
pub fn own_arguments() -> Option<(u64, usize)> {
    let text = fs::read("/proc/self/stat").ok()?;
    let close = text.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    // Fields 48 and 49; the third is the first after the name.
    let mut ends = rest.split_ascii_whitespace().skip(45).map_while(|n| n.parse::<u64>().ok());
    let (from, to) = (ends.next()?, ends.next()?);
    (from > 0 && to > from).then(|| (from, (to - from) as usize))
}

/// Direct children of this process, zombies included. The kernel's list may miss entries while children come and go: callers loop.
pub fn own_children() -> Vec<i32> {
    let own = std::process::id();
    match fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        Ok(list) => list.split_ascii_whitespace().filter_map(|p| p.parse().ok()).collect(),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(_) => all().into_iter().filter(|p| stat(*p).is_some_and(|s| s.parent == own as i32)).collect(),
    }
}

/// Every pid that this process may see.
pub fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the environment that the process was started with holds exactly `NAME=value`.
pub fn has_variable(pid: i32, name: &str, value: &str) -> bool {
    let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    environ.split(|b| *b == 0).any(|v| v.strip_prefix(name.as_bytes()).and_then(|v| v.strip_prefix(b"=")) == Some(value.as_bytes()))
}

/// The command line for people, at most 200 characters, control characters replaced; the bracketed name where it has none.
pub fn command(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = if line.is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("[{}]", name.trim_end())
    } else {
        String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ")
    };
    line.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Whether the command line of a process has the word, and right behind it this path. A process that named itself anew has blanks there.
pub fn is_called(pid: i32, word: &str, path: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let wanted = [word.as_bytes(), b"\0", path.as_os_str().as_bytes(), b"\0"].concat();
    let plain = |b: &[u8]| b.iter().map(|c| if *c == 0 { b' ' } else { *c }).collect::<Vec<u8>>();
    let line = [plain(&line), b" ".to_vec()].concat();
    line.windows(wanted.len()).any(|w| w == plain(&wanted))
}

/// Where this process's own cgroup v2 directory is mounted, also on a hybrid machine; see [`cgroup2_dir`].
pub fn own_cgroup2() -> io::Result<Option<PathBuf>> {
    Ok(cgroup2_dir(&fs::read_to_string("/proc/self/mountinfo")?, &fs::read_to_string("/proc/self/cgroup")?))
}

/// The directory of the `0::` cgroup under the cgroup2 mount, from the texts of `mountinfo` and `cgroup`. A mount that shows only part
/// of the hierarchy (a container) is taken into account; `None` where the own cgroup lies outside it or nothing is mounted.
pub fn cgroup2_dir(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let own = cgroup.lines().find_map(|l| l.strip_prefix("0::"))?;
    // A process moved out of its cgroup namespace is shown as `/../…`.
    if !own.starts_with('/') || own.split('/').any(|part| part == "..") {
        return None;
    }
    let own = own.strip_suffix(" (deleted)").unwrap_or(own);
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = left.split(' ').skip(3);
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        let below = if root == "/" { own } else { own.strip_prefix(root.as_str()).filter(|r| r.is_empty() || r.starts_with('/'))? };
        Some(Path::new(&point).join(below.trim_start_matches('/')))
    })
}

/// `mountinfo` writes blank, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")].iter().fold(text.to_owned(), |t, (from, to)| t.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_cannot_fool_us_by_its_name() {
        let line = b"4242 (a) Z 1 1 1 (b) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        let s = parse_stat(line).unwrap();
        assert_eq!((s.pid, s.state, s.parent, s.group, s.session, s.start_time), (4242, 'S', 7, 8, 9, 987_654));
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b"1 (x"), None);
    }

    #[test]
    fn this_process_is_found_with_its_environment() {
        let me = std::process::id() as i32;
        assert_eq!(stat(me).unwrap().pid, me);
        assert!(all().contains(&me));
        let path = std::env::var("PATH").unwrap();
        assert!(has_variable(me, "PATH", &path));
        assert!(!has_variable(me, "PAT", &path));
        assert!(!has_variable(me, "PATH", "x"));
        assert!(!command(me).is_empty());
    }

    #[test]
    fn cgroup2_is_found_on_unified_hybrid_and_partial_mounts() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let legacy = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let at = |m: &str, c: &str| cgroup2_dir(m, c).map(|p| p.display().to_string());
        assert_eq!(at(unified, "0::/user.slice/a.scope\n").as_deref(), Some("/sys/fs/cgroup/user.slice/a.scope"));
        assert_eq!(at(hybrid, "9:name=systemd:/x\n0::/\n").as_deref(), Some("/sys/fs/cgroup/unified/"));
        assert_eq!(at(legacy, "9:name=systemd:/x\n"), None);
        assert_eq!(at(legacy, "0::/x\n"), None);
        assert_eq!(at(unified, "0::/../elsewhere\n"), None);
        let part = "30 23 0:26 /pod /mnt/a\\040b rw - cgroup2 cgroup2 rw\n";
        assert_eq!(at(part, "0::/pod/x\n").as_deref(), Some("/mnt/a b/x"));
        assert_eq!(at(part, "0::/podium\n"), None);
    }
}
