//! The units of `dist/` under a live systemd: started, asked by members of a group, stopped and restarted with a run in flight, with credentials.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::home::{EXE, Out, run};
use crate::support::{have_program, skip, until, until_some};

/// A systemd in its own namespaces, as `tests/lab/systemd/boot.sh` boots it. It ends, with all that it started, when this is dropped.
struct Live {
    dir: tempfile::TempDir,
    boot: Child,
    /// systemd's process id, seen from here.
    pid: String,
}

impl Live {
    fn boot() -> Result<Self, String> {
        if !rustix::process::getuid().is_root() {
            return Err("needs root to make namespaces".into());
        }
        for program in ["unshare", "nsenter", "setpriv", "/lib/systemd/systemd"] {
            if !have_program(program) && !Path::new(program).is_file() {
                return Err(format!("there is no {program}"));
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dir = tempfile::Builder::new().prefix("qd-live-").tempdir().unwrap();
        let mut boot = Command::new(root.join("tests/lab/systemd/boot.sh"));
        boot.arg(dir.path()).arg(EXE).arg(root.join("dist")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut live = Self { dir, boot: boot.spawn().unwrap(), pid: String::new() };
        // boot.sh became `unshare`, whose only child is systemd once it has been given its root.
        let found = until_some("a systemd, or why there is none", || {
            if live.boot.try_wait().unwrap().is_some() {
                let mut said = String::new();
                std::io::Read::read_to_string(live.boot.stderr.as_mut().unwrap(), &mut said).unwrap();
                return Some(Err(format!("no systemd boots here: {}", said.trim())));
            }
            let id = live.boot.id();
            let child = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?.trim().to_owned();
            let name = std::fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
            (name.trim() == "systemd").then_some(Ok(child))
        });
        live.pid = found?;
        until("systemd to be up", || matches!(live.sh("systemctl is-system-running").stdout.trim(), "running" | "degraded"));
        Ok(live)
    }

    /// Runs a script inside, as root.
    fn sh(&self, script: &str) -> Out {
        let mut c = Command::new("nsenter");
        c.args(["--target", &self.pid, "--all", "--root", "--wdns=/", "/bin/sh", "-c", script]);
        c.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        run(c)
    }

    /// Runs the program inside as a member of the group `ops`.
    fn ann(&self, args: &str) -> Out {
        self.sh(&format!("setpriv --reuid ann --regid ann --init-groups env HOME=/ quarterdeck {args}"))
    }

    fn property(&self, name: &str) -> String {
        self.sh(&format!("systemctl show --value --property {name} quarterdeck")).stdout.trim().to_owned()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The first process of the namespace takes all others with it.
        if let Ok(pid) = self.pid.parse::<i32>() {
            let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL);
        }
        let _ = self.boot.kill();
        let _ = self.boot.wait();
        for top in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            remove_cgroups(&Path::new(top).join(self.dir.path().file_name().unwrap()));
        }
    }
}

/// Cgroups go from the leaves up, and only with `rmdir`. The kernel may still be at the ends of their processes.
fn remove_cgroups(dir: &PathBuf) {
    let inner = std::fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    inner.for_each(|e| remove_cgroups(&e.path()));
    if dir.is_dir() {
        until("an empty cgroup", || std::fs::remove_dir(dir).is_ok());
    }
}

const SET_UP: &str = r#"set -e
systemd-sysusers
groupadd ops
useradd --groups ops ann
useradd cy
usermod -aG ops quarterdeck
mkdir -p /srv/mirror
quarterdeck --config-dir /etc/quarterdeck --state-dir /var/lib/quarterdeck site init --mirror /srv/mirror
cat >> /etc/quarterdeck/site.toml <<'EOF'
[engine]
socket = "/run/quarterdeck/engine.sock"
group = "ops"
[roles]
viewer = ["@ops"]
operator = ["@ops"]
[secrets]
token = "credential:token"
EOF
cat > /etc/quarterdeck/pipelines/long.yml <<'EOF'
format: 1
name: long
stages:
  - name: wait
    run: |
      grep 0:: /proc/self/cgroup
      setsid sleep 86399 &
      while [ ! -e /run/go ]; do sleep 0.1; done
EOF
cat > /etc/quarterdeck/pipelines/token.yml <<'EOF'
format: 1
name: token
stages:
  - name: count
    secrets: [token]
    run: |
      wc -c < "$QD_SECRETS_DIR/token"
      ! env | grep -E 'NOTIFY_SOCKET|CREDENTIALS_DIRECTORY'
EOF
umask 077
printf first-value > /etc/quarterdeck/token
mkdir -p /etc/systemd/system/quarterdeck.service.d
printf '[Service]\nLoadCredential=token:/etc/quarterdeck/token\n' > /etc/systemd/system/quarterdeck.service.d/token.conf
"#;

#[test]
fn the_unit_starts_serves_its_group_and_lets_steps_outlive_it() {
    let live = match Live::boot() {
        Ok(live) => live,
        Err(why) => return skip("service.live_systemd", &why),
    };
    // A site file that cannot be read: the start fails where it is asked for.
    live.sh(SET_UP).expect(0);
    live.sh("cp -p /etc/quarterdeck/site.toml /root/site.toml && echo broken >> /etc/quarterdeck/site.toml").expect(0);
    let out = live.sh("systemctl daemon-reload; systemctl start quarterdeck");
    assert_ne!(out.code, 0, "{out:?}");
    live.sh("systemctl stop quarterdeck; cp -p /root/site.toml /etc/quarterdeck/site.toml").expect(0);
    // From here on an answer is asked for at once after each start: it returns when clients are served.
    live.sh("systemctl start quarterdeck").expect(0);
    assert_eq!(live.ann("--json engine status").expect(0).json()["private"], false);
    let modes = live.sh("stat -c '%a %U:%G' /run/quarterdeck /run/quarterdeck/engine.sock /var/lib/quarterdeck").expect(0).stdout;
    assert_eq!(modes, "755 quarterdeck:quarterdeck\n660 quarterdeck:ops\n700 quarterdeck:quarterdeck\n");
    let refused = live.sh("setpriv --reuid cy --regid cy --init-groups env HOME=/ quarterdeck engine status").expect(4);
    assert!(refused.stderr.contains("group `ops`"), "{refused:?}");
    let doctor = live.ann("doctor").stdout;
    let row = doctor.lines().find(|l| l.contains("containment")).unwrap_or_default();
    assert!(row.starts_with("ok") && row.contains("no process escapes"), "{doctor}");
    // Stopped with a run in flight: the engine goes, the step stays.
    live.ann("run long").expect(0);
    until("the step", || live.ann("log 'long#1'").stdout.contains("/qd-"));
    live.sh("systemctl stop quarterdeck").expect(0);
    assert_eq!(live.property("ActiveState"), "inactive");
    live.sh("pgrep -f '[q]uarterdeck shim /var/lib/quarterdeck/runs/long/1/' && pgrep -f '[s]leep 86399'").expect(0);
    live.ann("engine status").expect(3);
    live.sh("systemctl start quarterdeck").expect(0);
    let state = |l: &Live| l.ann("--json get runs --filter pipeline=long").expect(0).json()["rows"][0].clone();
    assert_eq!(state(&live)["state"], "running");
    // Restarted, and killed: the engine comes back by itself.
    let before = live.property("MainPID");
    live.sh("systemctl restart quarterdeck").expect(0);
    let after = live.property("MainPID");
    assert_ne!(before, after);
    live.sh(&format!("kill -9 {after}")).expect(0);
    until("the next engine", || live.property("SubState") == "running" && !["0", &after].contains(&live.property("MainPID").as_str()));
    assert_eq!(state(&live)["state"], "running");
    live.sh("touch /run/go").expect(0);
    until("its verdict", || state(&live)["verdict"] == "success");
    // What the step left behind, in a session of its own, ended with it: its cgroup is gone.
    assert_ne!(live.sh("pgrep -f '[s]leep 86399'").code, 0);
    assert_ne!(live.sh("ls -d /sys/fs/cgroup/system.slice/quarterdeck.service/qd-*").code, 0);
    // Credentials: a rotated one is seen after a restart of the unit.
    live.ann("secret test").expect(0);
    live.ann("run token --wait").expect(0);
    assert!(live.ann("log 'token#1'").stdout.contains("11\n"));
    live.sh("printf second-value > /etc/quarterdeck/token && systemctl restart quarterdeck").expect(0);
    live.ann("run token --wait").expect(0);
    assert!(live.ann("log 'token#2'").stdout.contains("12\n"));
    // No credential: the run waits and says why, and nothing else waits with it.
    live.sh("rm /etc/systemd/system/quarterdeck.service.d/token.conf; systemctl daemon-reload; systemctl restart quarterdeck").expect(0);
    live.ann("run token").expect(0);
    until("the reason", || live.ann("why 'token#3'").stdout.contains("systemd loads none for it"));
}
