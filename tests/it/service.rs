//! The engine as a service: unit files that systemd accepts, a socket for a group, and what another user may do through it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::home::{EXE, Out, run};
use crate::support::{Home, have_program, skip, until};

fn dist(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(file)
}

/// Key → values of a unit file, comments left out.
fn settings(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|l| !l.starts_with('#') && !l.starts_with('['));
    lines.filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn units_leave_steps_alone_and_name_the_commands_that_there_are() {
    for file in ["systemd/quarterdeck.service", "systemd/user/quarterdeck.service"] {
        let text = std::fs::read_to_string(dist(file)).unwrap();
        let all = settings(&text);
        let is = |k: &str, v: &str| all.iter().any(|(a, b)| a == k && b == v);
        assert!(is("KillMode", "process") && is("OOMPolicy", "continue") && is("Delegate", "yes"), "{file}");
        // These would reach into steps that outlive the engine, or that need what they forbid.
        for harmful in ["PrivateTmp", "ProtectSystem", "NoNewPrivileges", "PrivateDevices", "RestrictSUIDSGID", "MemoryDenyWriteExecute"] {
            assert!(!all.iter().any(|(k, _)| k == harmful), "{file}: {harmful}");
        }
        let start = &all.iter().find(|(k, _)| k == "ExecStart").unwrap().1;
        let words: Vec<&str> = start.split(' ').collect();
        assert_eq!((words[0], &words[words.len() - 2..]), ("/usr/bin/quarterdeck", &["engine", "run"][..]), "{file}");
        let help = Command::new(EXE).args(&words[1..]).arg("--help").output().unwrap();
        assert!(help.status.success(), "{start}");
    }
    let system = std::fs::read_to_string(dist("systemd/quarterdeck.service")).unwrap();
    let users = std::fs::read_to_string(dist("sysusers.d/quarterdeck.conf")).unwrap();
    assert!(system.contains("\nUser=quarterdeck\n") && users.lines().any(|l| l.starts_with("u     quarterdeck ")));
    assert!(system.contains("StateDirectoryMode=0700") && system.contains("LoadCredential"));
}

#[test]
fn systemd_takes_the_units() {
    if !have_program("systemd-analyze") {
        return skip("service.systemd_analyze", "there is no systemd-analyze");
    }
    let dir = tempfile::tempdir().unwrap();
    for (file, flag) in [("systemd/quarterdeck.service", "--system"), ("systemd/user/quarterdeck.service", "--user")] {
        let text = std::fs::read_to_string(dist(file)).unwrap();
        // The binary must be there for the check.
        let path = dir.path().join("quarterdeck.service");
        std::fs::write(&path, text.replace("/usr/bin/quarterdeck", EXE)).unwrap();
        let mut analyze = Command::new("systemd-analyze");
        analyze.args([flag, "--recursive-errors=no", "--man=no", "verify"]).arg(&path);
        analyze.env("XDG_RUNTIME_DIR", dir.path()).env("HOME", dir.path());
        let out = run(analyze);
        let ours: Vec<&str> = out.stderr.lines().filter(|l| l.contains("quarterdeck.service")).collect();
        assert!(ours.is_empty(), "{file}: {ours:#?}");
    }
}

/// A shared site whose files everybody can read, as in `/etc/quarterdeck`, and a program that every user may run.
struct Shared {
    home: Home,
    exe: PathBuf,
    config: PathBuf,
    socket: PathBuf,
}

impl Shared {
    fn new(engine: &str) -> Self {
        let home = Home::new();
        let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        open(home.root(), 0o755);
        let (config, run) = (home.root().join("etc"), home.root().join("run"));
        for dir in [&config, &config.join("pipelines"), &run] {
            std::fs::create_dir(dir).unwrap();
            open(dir, 0o755);
        }
        let socket = run.join("engine.sock");
        std::fs::write(config.join("site.toml"), format!("[engine]\nsocket = \"{}\"\n{engine}", socket.display())).unwrap();
        open(&config.join("site.toml"), 0o644);
        let exe = home.root().join("quarterdeck");
        std::fs::hard_link(EXE, &exe).or_else(|_| std::fs::copy(EXE, &exe).map(drop)).unwrap();
        open(&exe, 0o755);
        Self { home, exe, config, socket }
    }

    fn command(&self, program: &[&str], args: &[&str]) -> Command {
        let exe = self.exe.to_str().unwrap();
        let words: Vec<&str> = program.iter().copied().chain([exe]).collect();
        let mut c = Command::new(words[0]);
        c.args(&words[1..]).arg("--config-dir").arg(&self.config).arg("--state-dir").arg(self.home.state()).args(args);
        c.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.home.root()).env("QD_TEST_HOME", self.home.root());
        c.current_dir("/");
        c
    }

    fn as_user(&self, uid: &str, groups: &[&str], args: &[&str]) -> Out {
        let list = groups.join(",");
        let with = if groups.is_empty() { vec!["--clear-groups"] } else { vec!["--groups", &list] };
        let program: Vec<&str> = ["setpriv", "--reuid", uid, "--regid", uid].into_iter().chain(with).collect();
        run(self.command(&program, args))
    }
}

#[test]
fn a_socket_for_a_group_is_closed_to_others_and_open_to_its_members() {
    if !have_program("setpriv") || !rustix::process::getuid().is_root() {
        return skip("service.group_socket", "needs root and setpriv to become other users");
    }
    // Users and a group that every Debian and EL machine has: daemon (uid 2 or 1), nobody, and the group `mail`.
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let uid = |name: &str| passwd.lines().find(|l| l.starts_with(&format!("{name}:"))).and_then(|l| l.split(':').nth(2)).map(str::to_owned);
    let group = std::fs::read_to_string("/etc/group").unwrap();
    let gid = group.lines().find(|l| l.starts_with("mail:")).and_then(|l| l.split(':').nth(2)).map(str::to_owned);
    let (Some(daemon), Some(nobody), Some(mail)) = (uid("daemon"), uid("nobody"), gid) else {
        return skip("service.group_socket", "no users daemon and nobody, or no group mail");
    };
    let s = Shared::new("group = \"mail\"\n");
    let _engine = crate::support::Foreground::start(s.command(&[], &["engine", "run"]));
    until("the engine", || run(s.command(&[], &["engine", "status"])).code == 0);
    let meta = std::fs::metadata(&s.socket).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.gid().to_string()), (0o660, mail.clone()));
    let out = s.as_user(&daemon, &[&mail], &["--json", "engine", "status"]).expect(0);
    assert_eq!(out.json()["private"], false);
    let refused = s.as_user(&nobody, &[], &["engine", "status"]).expect(4);
    assert!(refused.stderr.contains("may not be used by uid"), "{refused:?}");
    // Without [roles] a member looks, and changes nothing.
    let refused = s.as_user(&daemon, &[&mail], &["engine", "drain"]).expect(4);
    assert!(refused.stderr.contains("[roles]"), "{refused:?}");
    // A socket that is taken away is made again for the same group.
    std::fs::remove_file(&s.socket).unwrap();
    until("the socket again", || std::fs::metadata(&s.socket).is_ok_and(|m| m.mode() & 0o777 == 0o660 && m.gid().to_string() == mail));
    // A shared secret is tested by those who run things, not by everybody.
    let site = std::fs::read_to_string(s.config.join("site.toml")).unwrap();
    std::fs::write(
        s.config.join("site.toml"),
        format!("{site}[roles]\noperator = [\"@mail\"]\n[secrets]\ntoken = \"cmd:echo a-good-value\"\n"),
    )
    .unwrap();
    s.as_user(&daemon, &[], &["secret", "test"]).expect(4);
}

#[test]
fn a_group_that_there_is_not_is_told_and_nothing_is_started() {
    let s = Shared::new("group = \"no-such-group-here\"\n");
    let out = run(s.command(&[], &["engine", "run"]));
    assert_eq!(out.code, 4, "{out:?}");
    assert!(out.stderr.contains("groupadd no-such-group-here") && !s.socket.exists(), "{out:?}");
    let s = Shared::new("");
    let text = std::fs::read_to_string(s.config.join("site.toml")).unwrap().replace("socket", "#socket");
    std::fs::write(s.config.join("site.toml"), format!("{text}group = \"mail\"\n")).unwrap();
    let out = run(s.command(&[], &["site", "check"]));
    assert!(out.code == 1 && out.stdout.contains("no socket is named"), "{out:?}");
}
