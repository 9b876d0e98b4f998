//! Who is at the other end of a connection: uid and pid from the kernel, login uid and names from the machine, through one trait.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The kernel's word about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub pid: Option<i32>,
    pub uid: u32,
    pub gid: u32,
    /// Who logged in, whatever `su` and `sudo` did since, as read when the connection came: later its process may be gone, and the pid
    /// another's. None = nobody did (a daemon, cron), or the kernel does not tell.
    pub login_uid: Option<u32>,
}

/// The machine's knowledge about people; a parameter, so that tests can have users.
pub trait People: Send + Sync {
    /// The login uid of a process of this uid. None = nobody logged in (a daemon, cron).
    fn login_uid(&self, pid: i32, uid: u32) -> Option<u32>;
    /// The number of a group.
    fn group(&self, name: &str) -> Option<u32>;
    /// The user's name, or none for an unknown uid.
    fn user(&self, uid: u32) -> Option<String>;
    /// Names of the groups that the user is in.
    fn groups(&self, user: &str, gid: u32) -> Vec<String>;
    /// Who a peer is, from the kernel's word.
    fn peer(&self, kernel: Peer) -> Peer {
        Peer { login_uid: kernel.pid.and_then(|pid| self.login_uid(pid, kernel.uid)), ..kernel }
    }
    /// Whether a private engine has more people than its owner: the site's roles count there too then, and two people can be two.
    fn several(&self) -> bool {
        false
    }
}

/// `/proc/PID/loginuid`, `/etc/passwd`, `/etc/group`; a directory service through `getent` and `id`, which the system keeps for that.
#[derive(Debug, Clone)]
pub struct Machine {
    pub root: PathBuf,
}

impl Default for Machine {
    fn default() -> Self {
        Self { root: "/".into() }
    }
}

/// `(uid_t) -1`: no login.
const NO_LOGIN: u32 = u32::MAX;

impl Machine {
    fn lines(&self, file: &str) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.root.join(file)).unwrap_or_default();
        text.lines().map(|l| l.split(':').map(str::to_owned).collect()).collect()
    }

    /// Asks a small program of the system, for what a directory service knows. Slow where that service is down: five seconds at most.
    fn ask(&self, program: &str, args: &[&str]) -> Option<String> {
        if self.root != std::path::Path::new("/") {
            return None;
        }
        let mut child = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => break,
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return None;
                }
            }
        }
        let mut text = String::new();
        child.stdout.take()?.take(64 << 10).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

impl Machine {
    /// The number of a group, from the file or from a directory service.
    pub fn group_id(&self, name: &str) -> Option<u32> {
        let known = self.lines("etc/group").into_iter().find(|f| f.first().is_some_and(|n| n == name));
        let known = known.or_else(|| self.ask("getent", &["group", name]).map(|l| l.trim().split(':').map(str::to_owned).collect()));
        known?.get(2)?.parse().ok()
    }
}

impl People for Machine {
    fn login_uid(&self, pid: i32, _uid: u32) -> Option<u32> {
        let text = std::fs::read_to_string(self.root.join(format!("proc/{pid}/loginuid"))).ok()?;
        text.trim().parse().ok().filter(|u| *u != NO_LOGIN)
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.group_id(name)
    }

    fn user(&self, uid: u32) -> Option<String> {
        let id = uid.to_string();
        // Asked at every request: nothing of the other lines is kept.
        let text = std::fs::read_to_string(self.root.join("etc/passwd")).unwrap_or_default();
        let known = text.lines().find_map(|l| {
            let mut fields = l.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == id).then(|| name.to_owned())
        });
        let known = known.or_else(|| self.ask("getent", &["passwd", &id]).and_then(|l| l.split(':').next().map(str::to_owned)));
        known.filter(|n| !n.is_empty())
    }

    fn groups(&self, user: &str, gid: u32) -> Vec<String> {
        let id = gid.to_string();
        // `id` asks every directory that the system knows, with the primary group among the answers.
        if let Some(text) = self.ask("id", &["-Gnz", user]) {
            return text.split('\0').filter(|g| !g.is_empty()).map(str::to_owned).collect();
        }
        let mut out: Vec<String> = self
            .lines("etc/group")
            .into_iter()
            .filter(|f| f.get(2) == Some(&id) || f.get(3).is_some_and(|members| members.split(',').any(|m| m == user)))
            .filter_map(|f| f.into_iter().next())
            .collect();
        out.sort();
        out.dedup();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_groups_and_logins_come_from_the_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        std::fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n").unwrap();
        std::fs::write(dir.path().join("etc/group"), "ops:x:50:ann,bob\nann:x:1000:\nanna:x:60:joanna\n").unwrap();
        let m = Machine { root: dir.path().into() };
        assert_eq!(m.user(1000).as_deref(), Some("ann"));
        assert_eq!(m.user(4242), None);
        assert_eq!(m.groups("ann", 1000), ["ann", "ops"]);
        assert_eq!((m.group_id("ops"), m.group_id("op")), (Some(50), None));
        std::fs::write(dir.path().join("proc/7/loginuid"), "4294967295").unwrap();
        assert_eq!(m.login_uid(7, 1000), None);
        std::fs::write(dir.path().join("proc/7/loginuid"), "1000").unwrap();
        assert_eq!(m.login_uid(7, 1000), Some(1000));
        assert_eq!((m.group("ops"), m.group("none")), (Some(50), None));
        assert_eq!(m.login_uid(8, 1000), None);
    }
}
