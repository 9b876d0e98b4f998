//! A night with a real Cobbler 3.3.10 and its real dnf: a compose comes, packages are lost, a sync is cut off, the server
//! starts anew, a token ends, somebody stands in between, a package goes bad.
//!
//! `tests/lab/cobbler-up.sh` starts the server from packages; where it cannot, the test says so and is skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quarterdeck::demo::catalogue::Repo;
use quarterdeck::demo::faults::{Fault, Match};
use quarterdeck::demo::{Estate, advance, publish};
use quarterdeck::systems::cobbler::{Cobbler, Server};
use quarterdeck::wire::http::Trust;
use serde_json::Value;

use crate::support::{Foreground, Home, free_port, processes_with, skip, until, until_some};

struct Lab {
    dir: PathBuf,
    info: Value,
}

impl Lab {
    /// None where the server cannot be had; the reason is the script's last word.
    fn up(dir: &Path) -> Result<Self, String> {
        Self::at(dir, &free_port().to_string())
    }

    fn at(dir: &Path, port: &str) -> Result<Self, String> {
        // A token lives for moments: every call must cope with one that ended.
        let out = script("cobbler-up.sh").arg(dir).arg(port).env("TOKEN_SECONDS", "3").output().map_err(|e| e.to_string())?;
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).trim().lines().last().unwrap_or("no reason was given").to_owned());
        }
        let info = serde_json::from_slice(&out.stdout).map_err(|e| e.to_string())?;
        Ok(Self { dir: dir.to_owned(), info })
    }

    /// Ends the server, and starts it anew with all that it has on its disk.
    fn restart(&self) {
        let port = self.text("url").trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
        assert!(script("cobbler-down.sh").arg(&self.dir).status().unwrap().success());
        // The new one is the old one's directory; whoever drops this ends it.
        std::mem::forget(Self::at(&self.dir, &port).unwrap());
    }

    fn text(&self, key: &str) -> &str {
        self.info[key].as_str().unwrap()
    }

    fn repo(&self, mirror: &str, arch: &str) {
        let args = [self.text("url"), self.text("user"), self.text("password"), "base", mirror, arch];
        let out = script("cobbler-repo.py").args(args).output().unwrap();
        assert!(out.status.success(), "{out:?}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = script("cobbler-down.sh").arg(&self.dir).status();
    }
}

fn script(name: &str) -> Command {
    let mut c = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab").join(name));
    c.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    c
}

fn packages(tree: &Path) -> usize {
    let of = |dir: PathBuf| {
        std::fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.path().extension().is_some_and(|x| x == "rpm")).count()
    };
    of(tree.join("Packages")) + of(tree.to_owned())
}

/// The row of a run once it has ended.
fn ended(home: &Home, run: &str) -> Value {
    until_some("the run ends", || {
        let rows = home.json(&["get", "runs"]);
        rows["rows"].as_array().unwrap().iter().find(|r| r["run"] == run && !r["verdict"].is_null()).cloned()
    })
}

/// The `dnf` that works for `dir`.
fn dnf_of(dir: &Path) -> Option<i32> {
    processes_with(&dir.display().to_string()).into_iter().find(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| {
            let words: Vec<&[u8]> = c.split(|b| *b == 0).collect();
            words.iter().any(|w| w.ends_with(b"/dnf")) && words.contains(&b"reposync".as_slice())
        })
    })
}

/// Ends it, as the kernel or a person would.
fn end_dnf(dir: &Path) -> bool {
    let pid = dnf_of(dir).and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok())
}

/// What stands before a Cobbler, and ends with the value.
struct Proxy {
    url: String,
    /// While it is there, everything is answered by a page.
    flag: PathBuf,
    _child: Foreground,
}

fn tls(dir: &Path, upstream: &str) -> Proxy {
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=lab-ca
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=lab
        printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile server.ext";
    let out = Command::new("sh").args(["-ec", make]).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let flag = dir.join("page");
    let mut c = script("tls-proxy.py");
    c.arg(upstream).arg(dir.join("server.pem")).arg(dir.join("server.key")).arg(&flag);
    let mut child = Foreground::start(c);
    let port = child.line(|l| l.parse::<u16>().is_ok());
    Proxy { url: format!("https://127.0.0.1:{port}/cobbler_api"), flag, _child: child }
}

#[test]
fn a_night_with_a_real_cobbler() {
    let top = tempfile::Builder::new().prefix("qd-lab-").tempdir().unwrap();
    let lab = match Lab::up(&top.path().join("cobbler")) {
        Ok(lab) => lab,
        Err(why) => return skip("cobbler.lab", &why),
    };
    let demo = top.path().join("d");
    let estate = Estate::start(&demo, 31).unwrap();
    let upstream = estate.repo_url(Repo::BaseOS);
    let source = publish::repo_dir(&estate.places().upstream_dir(), Repo::BaseOS);
    let tree = Path::new(lab.text("trees")).join("base");
    lab.repo(&upstream, "x86_64");

    let home = Home::new();
    std::fs::write(home.root().join("secret"), lab.text("password")).unwrap();
    std::fs::set_permissions(home.root().join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let site = |url: &str, more: &str| {
        home.site(&format!(
            "[secrets]\nlab = \"file:{}/secret\"\n[cobbler.lab]\nurl = \"{url}\"\nuser = \"{}\"\nsecret = \"lab\"\nmirror = \"{}\"\n{more}\
             [repos.base]\nupstream = [\"{upstream}\"]\ntree = \"{}\"\nwriter = \"cobbler\"\n[content.el9]\nrepos = [\"base\"]\n",
            home.root().display(),
            lab.text("user"),
            lab.text("trees"),
            tree.display()
        ));
    };
    site(lab.text("url"), "");
    home.pipeline(
        "sync",
        "format: 1\nname: sync\nstages:\n  - name: sync\n    writes: el9\n    uses: cobbler/reposync\n    with: {cobbler: lab, repos: base, poll: 200ms, set: el9}\n",
    );
    let verify = |level: &str, code: i32| {
        let (at, up) = (format!("tree=base={}", tree.display()), format!("upstream=base={upstream}"));
        home.qd(["step", "mirror/verify", "--with", &at, "--with", &up, "--with", &format!("level={level}")]).expect(code).stdout
    };
    let md = |at: &Path| std::fs::read(at.join("repodata/repomd.xml")).unwrap();

    // The doctor sees the trap before anybody falls into it.
    let doctor = || {
        let all = home.qd(["--json", "doctor"]).json();
        all["rows"].as_array().unwrap().iter().find(|r| r["check"] == "cobbler lab").cloned().unwrap()
    };
    let row = doctor();
    assert!(row["state"] == "warn" && row["found"].as_str().unwrap().contains("noarch packages never come into base"), "{row}");

    // 1. Cobbler calls it complete, its copy of upstream's repomd.xml is upstream's, and the noarch packages did not come.
    let run = home.qd(["--json", "run", "sync", "--wait"]).expect(1).json();
    assert!(packages(&tree) > 0 && packages(&tree) < packages(&source), "{} of {}", packages(&tree), packages(&source));
    assert_eq!(md(&tree.join(".origin")), md(&source), "what a comparison of repomd.xml would call in sync");
    let detail = run["detail"].as_str().unwrap();
    assert!(detail.contains("calls its task complete") && detail.contains("partial"), "{run}");
    let log = home.qd(["log", "sync#1"]).expect(0).stdout;
    assert!(log.contains("### TASK COMPLETE ###") && log.contains("did not come from upstream") && log.contains("-a noarch"), "{log}");

    // 2. Put right; a night: the next compose, the sync, and it is in sync again.
    lab.repo("-", "none");
    let run = home.qd(["--json", "run", "sync", "--wait"]).expect(0).json();
    let told = |run: &Value| run["stages"][0]["detail"].as_str().unwrap_or_default().to_owned();
    assert!(told(&run).contains("in-sync"), "{run}");
    assert!(verify("presence", 0).contains("in-sync"));
    advance(&demo).unwrap();
    assert!(verify("presence", 0).contains("behind"));
    let run = home.qd(["--json", "run", "sync", "--wait"]).expect(0).json();
    assert!(told(&run).contains("in-sync") && run["verdict"] == "success", "{run}");
    let row = ended(&home, "sync#3");
    assert_ne!(row["fp_before"], row["fp_after"], "{row}");

    // 3. Cut off in Cobbler's own dnf: the task fails, and the run says so; the next one repairs what is left of it.
    advance(&demo).unwrap();
    let slow = || {
        estate.upstream().faults().always(Match::EndsWith(".rpm".into()), Fault::Trickle { bytes: 200, every: Duration::from_millis(50) })
    };
    slow();
    home.qd(["run", "sync"]).expect(0);
    until("dnf downloads", || end_dnf(&lab.dir));
    let row = ended(&home, "sync#4");
    assert!(row["verdict"] == "failure" && row["detail"].as_str().unwrap().contains("Cobbler's task failed at base"), "{row}");
    estate.upstream().faults().clear();
    home.qd(["--json", "run", "sync", "--wait"]).expect(0);
    assert!(verify("checksums", 0).contains("in-sync"));

    // 4. Cut off in a plain `dnf reposync`: repomd.xml is upstream's, and the packages are not there.
    slow();
    let plain = top.path().join("plain");
    let mut dnf = Command::new("dnf")
        .args([
            "-q",
            "reposync",
            "--download-metadata",
            "--norepopath",
            "--repoid=x",
            "--disableplugin=local",
            "--setopt=reposdir=/nonexistent",
        ])
        .arg(format!("--setopt=cachedir={}", top.path().join("cache").display()))
        .arg(format!("--setopt=persistdir={}", top.path().join("persist").display()))
        .arg(format!("--setopt=logdir={}", top.path().display()))
        .arg(format!("--repofrompath=x,{upstream}"))
        .args(["--releasever=9", "-p"])
        .arg(&plain)
        .env("NO_PROXY", "127.0.0.1")
        .spawn()
        .unwrap();
    until("it downloads packages", || packages(&plain) > 0);
    let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(dnf.id() as i32).unwrap(), rustix::process::Signal::TERM);
    let _ = dnf.wait();
    estate.upstream().faults().clear();
    assert_eq!(md(&plain), md(&source));
    let (at, up) = (format!("tree=base={}", plain.display()), format!("upstream=base={upstream}"));
    let out = home.qd(["step", "mirror/verify", "--with", &at, "--with", &up]).expect(1);
    assert!(out.stderr.contains("partial"), "{out:?}");

    // 5. The server starts anew while it syncs: it has forgotten the task, and nobody takes that for an end.
    advance(&demo).unwrap();
    slow();
    home.qd(["run", "sync"]).expect(0);
    until("dnf downloads", || dnf_of(&lab.dir).is_some());
    until("the step knows the task", || home.qd(["log", "sync#6"]).stdout.contains("Reposync"));
    lab.restart();
    let row = ended(&home, "sync#6");
    assert!(row["verdict"] == "failure" && row["detail"].as_str().unwrap().contains("does not know the task"), "{row}");
    estate.upstream().faults().clear();
    let run = home.qd(["--json", "run", "sync", "--wait"]).expect(0).json();
    assert!(told(&run).contains("in-sync"), "{run}");

    // 6. A token that ended while its owner waited is fetched anew, and the work is begun once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server {
        name: "lab".into(),
        url: lab.text("url").parse().unwrap(),
        user: lab.text("user").into(),
        password: Some(zeroize::Zeroizing::new(lab.text("password").to_owned())),
        timeout: Duration::from_secs(60),
        trust: Trust::default(),
    };
    let cobbler = Cobbler::new(server).unwrap();
    runtime.block_on(cobbler.login()).unwrap();
    let out = script("cobbler-expire.py").args([lab.text("url"), lab.text("user"), lab.text("password")]).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let before = runtime.block_on(cobbler.events()).unwrap().len();
    let task = runtime.block_on(cobbler.background_reposync(&["base".to_owned()], 1)).unwrap();
    until("the task ends", || !runtime.block_on(cobbler.task(&task)).unwrap().is_running());
    assert_eq!(runtime.block_on(cobbler.events()).unwrap().len(), before + 1);

    // 7. Behind TLS: only with the site's own authority; and a page that somebody puts in between is no Cobbler.
    let proxy = tls(top.path(), lab.text("url"));
    site(&proxy.url, "");
    let row = doctor();
    assert!(row["state"] == "fail" && row["found"].as_str().unwrap().to_lowercase().contains("certificate"), "{row}");
    site(&proxy.url, &format!("ca = \"{}\"\n", top.path().join("ca.pem").display()));
    let row = doctor();
    assert!(row["state"] != "fail" && row["found"].as_str().unwrap().contains("3.3.10"), "{row}");
    home.qd(["--json", "run", "sync", "--wait"]).expect(0);
    std::fs::write(&proxy.flag, "").unwrap();
    let run = home.qd(["--json", "run", "sync", "--wait"]).expect(1).json();
    assert!(run["detail"].as_str().unwrap().contains("a web page"), "{run}");
    std::fs::remove_file(&proxy.flag).unwrap();
    drop(proxy);
    site(lab.text("url"), "");

    // 8. A bit turns in one package: its size is right, and only its checksum tells.
    let package = std::fs::read_dir(tree.join("Packages")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&package).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&package, bytes).unwrap();
    assert!(verify("presence", 0).contains("in-sync"));
    let said =
        home.qd(["step", "mirror/verify", "--with", &format!("tree=base={}", tree.display()), "--with", "level=checksums"]).expect(1);
    assert!(said.stderr.contains("damaged"), "{said:?}");
}
