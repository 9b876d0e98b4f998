//! `cobbler/reposync` through the whole engine, against a server that can be made to hang, fall silent, forget and do nothing.

pub mod fake;

use std::path::{Path, PathBuf};

use quarterdeck::demo::Estate;
use quarterdeck::demo::catalogue::Repo;
use quarterdeck::demo::publish;
use serde_json::Value;

use crate::support::home::run;
use crate::support::process::command_line;
use crate::support::{Home, kill, processes_with, until, until_some};
use fake::{FakeCobbler, Mood, PASSWORD, Task, fault, string, value};

struct Lab {
    home: Home,
    cobbler: FakeCobbler,
    trees: PathBuf,
    _estate: Estate,
    _dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let estate = Estate::start(&dir.path().join("d"), 21).unwrap();
        let home = Home::new();
        let trees = home.root().join("repo_mirror");
        let source = publish::repo_dir(&estate.places().upstream_dir(), Repo::BaseOS);
        let cobbler = FakeCobbler::start(&estate.repo_url(Repo::BaseOS), &source, &trees);
        std::fs::write(home.root().join("secret"), PASSWORD).unwrap();
        std::fs::set_permissions(home.root().join("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        home.site(&format!(
            "[secrets]\ncobbler-alder = \"file:{0}/secret\"\n[cobbler.alder]\nurl = \"{1}\"\nuser = \"ops\"\nsecret = \"cobbler-alder\"\n\
             mirror = \"{2}\"\n[repos.base]\ntree = \"{2}/base\"\nwriter = \"cobbler\"\n[content.el9]\nrepos = [\"base\"]\n[mirror]\nroots = [\"{0}\"]\n",
            home.root().display(),
            cobbler.url,
            trees.display()
        ));
        Self { home, cobbler, trees, _estate: estate, _dir: dir }
    }

    /// A pipeline `sync` of one stage with these lines more.
    fn pipeline(&self, with: &str, more: &str) -> &Self {
        let text = format!(
            "format: 1\nname: sync\nstages:\n  - name: sync\n{more}    steps:\n      - uses: cobbler/reposync\n        name: reposync\n        with: {{cobbler: alder, repos: base, poll: 100ms, set: el9{with}}}\n"
        );
        self.home.pipeline("sync", &text);
        self
    }

    fn run(&self, code: i32) -> Value {
        self.home.qd(["--json", "run", "sync", "--wait"]).expect(code).json()
    }

    fn log(&self, run: &str) -> String {
        self.home.qd(["log", run]).expect(0).stdout
    }

    fn starts(&self) -> u32 {
        self.cobbler.state().starts
    }
}

/// Every file below, whatever it is called.
fn all_bytes(dir: &Path, see: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            all_bytes(&entry.path(), see);
        } else if kind.is_file()
            && let Ok(bytes) = std::fs::read(entry.path())
        {
            see(&entry.path(), &bytes);
        }
    }
}

#[test]
fn a_reposync_is_followed_its_effect_proved_and_no_secret_is_left_anywhere() {
    let lab = Lab::new();
    lab.pipeline("", "    writes: el9\n");
    let run = lab.run(0);
    assert_eq!((run["verdict"].as_str(), lab.starts()), (Some("success"), 1), "{run}");
    assert!(run["stages"][0]["detail"].as_str().unwrap().contains("in-sync"), "{run}");
    let log = lab.log("sync#1");
    assert!(log.contains("running: /usr/bin/dnf reposync") && log.contains("### TASK COMPLETE ###"), "{log}");
    assert!(!log.contains("foreign.line") && !log.contains("hunter2"), "only its own lines, and no password in them: {log}");
    let facts = lab.home.json(&["get", "mirrors"]);
    assert!(facts["rows"].as_array().unwrap().iter().any(|r| r["repo"] == "base" && r["state"] == "in-sync"), "{facts}");
    for secret in [PASSWORD, "T0KENofTheFake", "hunter2"] {
        all_bytes(&lab.home.state(), &mut |path, bytes| {
            assert!(memchr::memmem::find(bytes, secret.as_bytes()).is_none(), "{secret} stands in {}", path.display());
        });
    }
    // The tree that Cobbler left is read by the next one too: nothing changed.
    assert_eq!(lab.run(0)["detail"], "no-change");
}

#[test]
fn a_step_that_is_killed_at_any_point_never_starts_a_second_task() {
    for (n, point) in ["cobbler.intended", "cobbler.sent", "cobbler.begun"].into_iter().enumerate() {
        let lab = Lab::new();
        let root = lab.home.root();
        // As the shim starts it: an attempt, its journal, and the password in a file.
        std::fs::rename(root.join("secret"), root.join("cobbler-alder")).unwrap();
        let step = |crash: &str| {
            let mut c = lab.home.command(["step", "cobbler/reposync"]);
            let (url, mirror) = (format!("cobbler.url={}", lab.cobbler.url), format!("cobbler.mirror={}", lab.trees.display()));
            for with in ["cobbler=alder", &url, "cobbler.user=ops", "cobbler.secret=cobbler-alder", &mirror, "repos=base", "poll=100ms"] {
                c.arg("--with").arg(with);
            }
            c.env("QD_ATTEMPT_ID", "a")
                .env("QD_JOURNAL", root.join("journal"))
                .env("QD_SECRETS_DIR", root)
                .env("QD_REPORT", root.join("report"));
            run(if crash.is_empty() {
                c
            } else {
                c.env("QD_CRASH_AT", crash);
                c
            })
        };
        step(point).expect(-9);
        let out = step("").expect(0);
        assert_eq!(lab.starts(), 1, "{point}: {out:?}");
        assert_eq!(out.stderr.contains("adopted: "), n > 0, "{point}: what was sent is adopted, what was not is sent");
        // That one is over: whoever comes now begins another.
        step("").expect(0);
        assert_eq!(lab.starts(), 2, "{point}");
    }
}

#[test]
fn a_step_that_is_killed_in_a_run_is_adopted_by_its_next_attempt() {
    let lab = Lab::new();
    lab.pipeline("", "    retry: {attempts: 2, on: [failure]}\n").run(0);
    lab.cobbler.mood(Mood::Hangs);
    lab.cobbler.state().calls.clear();
    lab.home.qd(["run", "sync"]).expect(0);
    until("the task was seen", || lab.cobbler.state().calls.iter().any(|c| c == "get_event_log"));
    let step = |pid: &i32| command_line(*pid).contains("step cobbler/reposync");
    let pid = until_some("the step is there", || processes_with(&lab.home.root().display().to_string()).into_iter().find(step));
    kill(pid);
    until("the next attempt adopts it", || lab.log("sync#2").contains("adopted: "));
    lab.cobbler.finish("complete");
    let row = ended(&lab, "sync#2");
    assert_eq!((row["verdict"].as_str(), lab.starts()), (Some("success"), 2), "{row}");
}

#[test]
fn an_answer_that_never_came_is_looked_for_and_not_sent_again() {
    let lab = Lab::new();
    lab.cobbler.mood(Mood::Silent);
    let run = lab.pipeline("", "").run(0);
    assert_eq!((run["verdict"].as_str(), lab.starts()), (Some("success"), 1), "{run}");
    assert!(lab.log("sync#1").contains("looking for it"));
}

#[test]
fn an_answer_that_says_nothing_is_looked_for_as_well_and_other_tasks_are_never_taken_for_it() {
    let lab = Lab::new();
    lab.pipeline("", "");
    // A week's worth of other tasks and of reposyncs lies there.
    for n in 0..700 {
        let id = format!("2026-11-20_034723_{}_{n:032x}", if n % 2 == 0 { "Reposync" } else { "Sync" });
        let log = format!("[{id}] 2026-11-20 03:47:23,630 - INFO | reposync; ['base']\n");
        lab.cobbler.state().tasks.push(Task { id, state: "complete", log });
    }
    for (n, mood) in [Mood::Garbles, Mood::Raises].into_iter().enumerate() {
        lab.cobbler.mood(mood);
        let run = lab.run(0);
        assert_eq!((run["verdict"].as_str(), lab.starts()), (Some("success"), n as u32 + 1), "{mood:?}: {run}");
        assert!(lab.log(&format!("sync#{}", n + 1)).contains("looking for it"), "{mood:?}");
    }
}

#[test]
fn a_task_is_followed_through_answers_that_are_of_no_use() {
    let lab = Lab::new();
    lab.pipeline("", "");
    lab.cobbler.state().stumbles =
        vec![fault("dictionary changed size during iteration"), value(&string("~")), "not even XML".into(), value("<nil/>")];
    let run = lab.run(0);
    assert_eq!((run["verdict"].as_str(), lab.starts()), (Some("success"), 1), "{run}");
    assert!(lab.log("sync#1").contains("asking on: "), "{}", lab.log("sync#1"));
}

#[test]
fn complete_without_an_effect_is_a_failure_and_so_is_a_tree_that_is_not_whole() {
    let lab = Lab::new();
    lab.cobbler.mood(Mood::Idles);
    let run = lab.pipeline("", "").run(1);
    assert!(run["detail"].as_str().unwrap().contains("calls the task complete, and did nothing for base"), "{run}");
    lab.cobbler.mood(Mood::Fails);
    let run = lab.run(1);
    assert!(run["detail"].as_str().unwrap().contains("failed at base: cobbler reposync failed"), "{run}");
    // Complete, and one package was cut behind its back.
    lab.cobbler.mood(Mood::Works);
    lab.run(0);
    lab.cobbler.mood(Mood::Hangs);
    lab.home.qd(["run", "sync"]).expect(0);
    until("it runs", || lab.starts() == 4);
    let package = std::fs::read_dir(lab.trees.join("base/Packages")).unwrap().next().unwrap().unwrap().path();
    std::fs::OpenOptions::new().write(true).open(&package).unwrap().set_len(100).unwrap();
    lab.cobbler.finish("complete");
    let row = ended(&lab, "sync#4");
    assert!(row["detail"].as_str().unwrap().contains("is partial") && row["verdict"] == "failure", "{row}");
}

/// The row of a run once it has ended.
fn ended(lab: &Lab, run: &str) -> Value {
    until_some("the run ends", || {
        let rows = lab.home.json(&["get", "runs"]);
        rows["rows"].as_array().unwrap().iter().find(|r| r["run"] == run && !r["verdict"].is_null()).cloned()
    })
}

#[test]
fn a_foreign_reposync_is_waited_for_and_holds_whoever_snapshots() {
    let lab = Lab::new();
    lab.pipeline("", "").run(0);
    lab.cobbler.foreign("base");
    lab.pipeline(", wait: 0s", "");
    let run = lab.run(1);
    assert!(run["detail"].as_str().unwrap().contains("a reposync is in flight at Cobbler `alder`"), "{run}");
    assert_eq!((run["stages"][0]["steps"][0]["exit_code"].as_i64(), lab.starts()), (Some(4), 1), "{run}");
    // One that waits, one that reads the set, and one that keeps the tree without naming a set.
    lab.pipeline("", "");
    lab.home.pipeline("reads", "format: 1\nname: reads\nstages:\n  - name: look\n    reads: el9\n    run: 'true'\n");
    let snap = format!(
        "format: 1\nname: snap\nstages:\n  - name: snap\n    uses: mirror/snapshot\n    with: {{tree: \"base={}/base\", root: {}/snaps}}\n",
        lab.trees.display(),
        lab.home.root().display()
    );
    std::fs::create_dir(lab.home.root().join("snaps")).unwrap();
    lab.home.pipeline("snap", &snap);
    for name in ["sync", "reads"] {
        lab.home.qd(["run", name]).expect(0);
    }
    let why = |run: &str| lab.home.qd(["why", run]).stdout;
    until("the reader says why it waits", || why("reads#1").contains("a reposync is in flight"));
    assert!(why("reads#1").contains("cobbler `alder`") && why("reads#1").contains("now at base"), "{}", why("reads#1"));
    lab.home.qd(["run", "snap"]).expect(0);
    until("the snapshot says why it waits", || why("snap#1").contains("a reposync is in flight"));
    until("the other reposync waits", || lab.log("sync#3").contains("waiting: a reposync is in flight"));
    assert_eq!(lab.starts(), 1);
    lab.cobbler.finish("complete");
    for run in ["sync#3", "reads#1", "snap#1"] {
        assert_eq!(ended(&lab, run)["verdict"], "success", "{run}: {}", lab.log(run));
    }
    assert_eq!(lab.starts(), 2);
}

#[test]
fn a_server_that_restarted_has_forgotten_the_task_and_a_cancel_says_that_it_goes_on() {
    let lab = Lab::new();
    lab.cobbler.mood(Mood::Hangs);
    lab.pipeline("", "");
    lab.home.qd(["run", "sync"]).expect(0);
    until("the task was seen", || lab.cobbler.state().calls.iter().any(|c| c == "get_event_log"));
    lab.cobbler.state().tasks.clear();
    let row = ended(&lab, "sync#1");
    assert!(row["detail"].as_str().unwrap().contains("does not know the task") && row["verdict"] == "failure", "{row}");
    lab.cobbler.state().calls.clear();
    lab.home.qd(["run", "sync"]).expect(0);
    until("the task was seen", || lab.cobbler.state().calls.iter().any(|c| c == "get_event_log"));
    lab.home.qd(["cancel", "sync#2", "--reason", "enough"]).expect(0);
    let row = ended(&lab, "sync#2");
    assert_eq!((row["verdict"].as_str(), lab.starts()), (Some("cancelled"), 2), "{row}");
    assert!(lab.log("sync#2").contains("Cobbler cannot cancel a task"), "{}", lab.log("sync#2"));
    // Watched again, it is the same task.
    lab.home.qd(["resume", "sync#2"]).expect(0);
    until("it is adopted", || lab.log("sync#2").contains("adopted: "));
    std::fs::create_dir_all(&lab.trees).unwrap();
    lab.cobbler.finish("failed");
    assert_eq!(ended(&lab, "sync#2")["verdict"], "failure");
    assert_eq!(lab.starts(), 2);
}

#[test]
fn far_ends_are_names_of_the_site_file_and_a_step_by_hand_is_refused() {
    let lab = Lab::new();
    let out = lab.home.qd(["step", "cobbler/reposync", "--with", "cobbler=alder", "--with", "repos=base"]).expect(4);
    assert!(out.stderr.contains("quarterdeck run"), "{out:?}");
    lab.home.qd(["step", "cobbler/reposync"]).expect(4);
    let text = |with: &str| format!("format: 1\nname: bad\nstages:\n  - name: s\n    uses: cobbler/reposync\n    with: {with}\n");
    for (with, words) in [
        ("{cobbler: aldre, repos: base}", "did you mean `alder`?"),
        ("{cobbler: birch, repos: base}", "the site has no cobbler `birch`"),
        ("{cobbler: alder}", "needs `repos`"),
        ("{cobbler: alder, repos: base, cobbler.url: \"http://elsewhere/\"}", "has no field `cobbler.url`"),
    ] {
        lab.home.pipeline("bad", &text(with));
        let out = lab.home.qd(["pipeline", "lint", "bad"]).expect(1);
        assert!(out.stdout.contains(words) || out.stderr.contains(words), "{with}: {out:?}");
    }
    lab.home.pipeline("bad", &text("{cobbler: alder, repos: nope, poll: 100ms}"));
    let plan = lab.home.qd(["--json", "pipeline", "plan", "bad"]).expect(0).stdout;
    assert!(plan.contains("cobbler.url") && plan.contains("cobbler-alder") && !plan.contains(PASSWORD), "{plan}");
    let out = lab.home.qd(["--json", "run", "bad", "--wait"]).expect(1).json();
    assert!(out["detail"].as_str().unwrap().contains("Cobbler has no repository `nope`"), "{out}");
    assert_eq!(lab.starts(), 0);
    let doctor = lab.home.qd(["--json", "doctor"]).json();
    let row = doctor["rows"].as_array().unwrap().iter().find(|r| r["check"] == "cobbler alder").cloned().unwrap();
    assert!(row["state"] == "ok" && row["found"].as_str().unwrap().contains("Cobbler 3.3.10 answers"), "{row}");
    // A page of the console asks without a login, and says so.
    let page = lab.home.qd(["--json", "get", "doctor"]).expect(0).json();
    let row = page["rows"].as_array().unwrap().iter().find(|r| r["check"] == "cobbler alder").cloned().unwrap();
    assert!(row["state"] == "unknown" && row["found"].as_str().unwrap().contains("no login of `ops` was tried"), "{row}");
    let site = std::fs::read_to_string(lab.home.config().join("site.toml")).unwrap();
    lab.home.site(&site.replace("secret = \"cobbler-alder\"", "secret = \"cobbler-aldre\""));
    let out = lab.home.qd(["site", "check"]).expect(1);
    assert!(out.stdout.contains("did you mean `cobbler-alder`?") && out.stdout.contains("^^^"), "{out:?}");
}

#[test]
fn the_doctor_logs_in_and_tells_what_is_wrong_with_the_login_apart() {
    let lab = Lab::new();
    let (home, secret) = (&lab.home, lab.home.root().join("secret"));
    let site = std::fs::read_to_string(home.config().join("site.toml")).unwrap();
    let says = |state: &str, found: &str, help: &str| {
        let all = home.qd(["--json", "doctor"]);
        let row = all.json()["rows"].as_array().unwrap().iter().find(|r| r["check"] == "cobbler alder").cloned().unwrap();
        let has = |key: &str, words: &str| row[key].as_str().unwrap().contains(words);
        assert!(row["state"] == state && has("found", found) && has("help", help), "{row}");
        assert!(!format!("{all:?}").contains(PASSWORD) && !format!("{all:?}").contains("not-the-password"), "{all:?}");
    };
    let round = || {
        std::fs::write(&secret, PASSWORD).unwrap();
        lab.cobbler.state().calls.clear();
        says("ok", "logs `ops` in", "");
        let calls = lab.cobbler.state().calls.clone();
        assert!(calls.iter().any(|c| c == "login") && calls.iter().any(|c| c == "logout"), "it leaves no session: {calls:?}");
        assert!(calls.iter().all(|c| c.starts_with("get_") || ["login", "logout", "extended_version"].contains(&c.as_str())), "{calls:?}");
        std::fs::write(&secret, "not-the-password").unwrap();
        says("fail", "refuses the login of `ops`", "/etc/cobbler/users.digest");
        home.site(&site.replace("user = \"ops\"", "user = \"nobody\""));
        says("fail", "refuses the login of `nobody`", "correct `user`");
        // Nobody listens on that port.
        home.site(&site.replace(&lab.cobbler.url, "http://127.0.0.1:1/cobbler_api"));
        says("fail", "no connection", "is cobblerd up");
        home.site(&site);
        lab.cobbler.state().mute = true;
        says("fail", "cut off", "is cobblerd up");
        lab.cobbler.state().mute = false;
        std::fs::remove_file(&secret).unwrap();
        says("unknown", "no login of `ops` was tried", "secret test cobbler-alder");
        std::fs::write(&secret, PASSWORD).unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    // By the command itself, then by an engine: what steps get is what the engine has.
    round();
    home.qd(["engine", "start"]).expect(0);
    round();
    let log = home.qd(["log", "--engine"]).stdout;
    assert!(!log.contains(PASSWORD), "{log}");
    assert_eq!(lab.starts(), 0);
}
