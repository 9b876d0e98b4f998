//! The first rung of containment, from the engine's side: whether each shim can be started in a transient systemd scope, and with which words.
//!
//! A scope takes the step out of the cgroup of engine and login session, so that stopping either stops no step. What the choice rests on
//! are probes; the choice is pure. The rungs below are the shim's own, see `shim::contain`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::base::crash;
use crate::runner::shim::contain::SCOPE_PREFIX;

/// In a launcher's prefix: stands for a word that is unique to the attempt.
pub(in crate::runner) const UNIQUE: &str = "{attempt}";
/// A manager that does not answer within this time is no use for starting steps.
const TRIAL: Duration = Duration::from_secs(5);

/// What was found out about systemd here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probes {
    /// `/run/systemd/system` exists: systemd is the init, and not merely installed.
    pub running: bool,
    /// The program, absolute.
    pub systemd_run: Option<PathBuf>,
    pub uid: u32,
    /// The socket of the user's own manager is there.
    pub user_manager: bool,
    /// A cgroup v2 hierarchy is mounted; a scope on v1 could not be killed as one.
    pub cgroup2: bool,
}

/// Whose manager makes the scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    System,
    User,
}

/// Which manager to try, if any. Root asks the system's; everybody else his own, never the system's: that would ask for a password.
pub fn manager(probes: &Probes) -> Option<Manager> {
    if !probes.running || probes.systemd_run.is_none() || !probes.cgroup2 {
        return None;
    }
    match (probes.uid, probes.user_manager) {
        (0, _) => Some(Manager::System),
        (_, true) => Some(Manager::User),
        (_, false) => None,
    }
}

/// The words before the shim's own command line. `--collect`: a failed scope leaves no unit behind; `Delegate`: the shim makes its
/// cgroup inside.
pub fn prefix(manager: Manager, systemd_run: &Path) -> Vec<String> {
    let whose = match manager {
        Manager::System => "--system",
        Manager::User => "--user",
    };
    let words = [whose, "--scope", "--quiet", "--collect", "--no-ask-password", "--property=Delegate=yes", "--property=TasksMax=infinity"];
    let mut all = vec![systemd_run.display().to_string()];
    all.extend(words.map(str::to_owned));
    all.push(format!("--unit={SCOPE_PREFIX}{UNIQUE}"));
    all.push("--".to_owned());
    all
}

/// A word that is unique to an attempt directory on this machine, and valid in the name of a unit.
pub(in crate::runner) fn unique(dir: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    Sha256::digest(dir.as_os_str().as_bytes()).iter().take(12).map(|b| format!("{b:02x}")).collect()
}

/// The environment of a shim: what systemd-run needs to find its manager, and where the shim keeps secrets in memory. Nothing else of the
/// engine's is inherited.
pub(in crate::runner) fn inherited() -> Vec<(&'static str, OsString)> {
    let names = ["PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
    names.iter().chain(crash::INHERITED).filter_map(|n| Some((*n, std::env::var_os(n)?))).collect()
}

/// Looks at this machine.
pub fn probe() -> Probes {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let systemd_run = std::env::split_paths(&path).filter(|d| d.is_absolute()).map(|d| d.join("systemd-run")).find(|p| p.is_file());
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    Probes {
        running: Path::new("/run/systemd/system").is_dir(),
        systemd_run,
        uid: rustix::process::getuid().as_raw(),
        user_manager: runtime.is_some_and(|r| r.join("systemd/private").exists()),
        cgroup2: crate::base::proc::own_cgroup2().ok().flatten().is_some(),
    }
}

/// Whether a trial scope with these words really comes up.
pub(in crate::runner) async fn trial(prefix: &[String]) -> bool {
    let name = unique(Path::new(&format!("trial {}", std::process::id())));
    let mut words = prefix.iter().map(|w| w.replace(UNIQUE, &name));
    let Some(program) = words.next() else { return false };
    let mut command = Command::new(program);
    command.args(words).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    matches!(tokio::time::timeout(TRIAL, command.status()).await, Ok(Ok(status)) if status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_chosen_from_probes_alone() {
        for bits in 0..32u8 {
            let bit = |n: u8| bits & (1 << n) != 0;
            let probes = Probes {
                running: bit(0),
                systemd_run: bit(1).then(|| PathBuf::from("/usr/bin/systemd-run")),
                uid: if bit(2) { 0 } else { 1_000 },
                user_manager: bit(3),
                cgroup2: bit(4),
            };
            let expected = match (bit(0) && bit(1) && bit(4), bit(2), bit(3)) {
                (false, ..) => None,
                (true, true, _) => Some(Manager::System),
                (true, false, true) => Some(Manager::User),
                (true, false, false) => None,
            };
            assert_eq!(manager(&probes), expected, "{probes:?}");
        }
    }

    #[test]
    fn the_invocation_names_a_delegated_scope_of_its_own() {
        let words = prefix(Manager::User, Path::new("/usr/bin/systemd-run"));
        assert_eq!(words[0], "/usr/bin/systemd-run");
        for word in ["--user", "--scope", "--collect", "--property=Delegate=yes", "--unit=quarterdeck-step-{attempt}"] {
            assert!(words.iter().any(|w| w == word), "{word}");
        }
        assert_eq!(words.last().map(String::as_str), Some("--"));
        let (a, b) = (unique(Path::new("/a/1")), unique(Path::new("/a/2")));
        assert!(a != b && a.len() == 24 && a.bytes().all(|c| c.is_ascii_hexdigit()));
    }

    #[tokio::test]
    async fn a_manager_that_fails_is_not_used() {
        assert!(!trial(&["/bin/false".to_owned()]).await);
        assert!(!trial(&["/nonexistent/systemd-run".to_owned()]).await);
        assert!(!trial(&[]).await);
        assert!(trial(&["/usr/bin/env".to_owned(), format!("A={UNIQUE}")]).await);
    }
}
