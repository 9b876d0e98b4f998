//! The rules about people through the raw socket: root, sudo, two accounts of one person, quorum, expiry, second persons, group sockets.
//!
//! The engine is a process of its own that runs this test program's `the_engine`: who logged in is a parameter of the engine, and comes from
//! a file of the test. The kernel still says which uid asks: a thread takes that uid, or `setpriv` runs the command line with it.

mod children;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use quarterdeck::config::Dirs;
use quarterdeck::engine::Options;
use quarterdeck::engine::identity::People;
use serde_json::{Value, json};

use crate::api::raw;
use crate::support::home::{EXE, run};
use crate::support::{Foreground, Home, Out, have_program, kill, skip, until, until_some};

pub const ANN: u32 = 52_001;
pub const BOB: u32 = 52_002;
const CAL: u32 = 52_003;
const DAN: u32 = 52_004;
const EVE: u32 = 52_005;
const GROUP: u32 = 52_900;

/// `UID NAME LOGIN` a line; `-` = nobody logged in. Read anew at each question.
struct Injected(PathBuf);

impl Injected {
    fn lines(&self) -> Vec<(u32, String, Option<u32>)> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let line = |l: &str| {
            let mut w = l.split(' ');
            Some((w.next()?.parse().ok()?, w.next()?.to_owned(), w.next()?.parse().ok()))
        };
        text.lines().filter_map(line).collect()
    }
}

impl People for Injected {
    fn login_uid(&self, _pid: i32, uid: u32) -> Option<u32> {
        self.lines().into_iter().find(|l| l.0 == uid)?.2
    }

    fn group(&self, name: &str) -> Option<u32> {
        (name == "quarterdeck").then_some(GROUP)
    }

    fn user(&self, uid: u32) -> Option<String> {
        self.lines().into_iter().find(|l| l.0 == uid).map(|l| l.1)
    }

    fn groups(&self, _user: &str, _gid: u32) -> Vec<String> {
        Vec::new()
    }
}

/// Not a test: the engine of those below.
#[test]
#[ignore = "the process of an engine, started by the tests of this file"]
fn the_engine() {
    let Some(root) = std::env::var_os("QD_PEOPLE").map(PathBuf::from) else { return };
    let options = Options {
        dirs: Dirs { config: root.join("etc"), state: root.join("state"), explicit: true },
        uid: rustix::process::getuid().as_raw(),
        log_level: "info".into(),
        detached: false,
        people: Arc::new(Injected(root.join("people"))),
        exe: EXE.into(),
    };
    quarterdeck::engine::run(&options, |_| println!("\npeople ready")).unwrap();
}

pub struct Estate {
    pub home: Home,
    engine: Option<Foreground>,
}

const ROLES: &str =
    "[roles]\nrelease-manager = [\"ann\", \"bob\", \"cal\", \"root\"]\noperator = [\"dan\"]\nviewer = [\"eve\"]\nadmin = [\"zoe\"]\n";

impl Estate {
    /// None: skipped.
    pub fn shared(test: &str, site: &str, pipelines: &[(&str, &str)]) -> Option<Self> {
        if rustix::process::getuid().as_raw() != 0 {
            skip(test, "only root can be several people");
            return None;
        }
        let home = Home::new();
        let open = |p: &Path, mode| std::fs::set_permissions(p, std::fs::Permissions::from_mode(mode)).unwrap();
        open(home.root(), 0o711);
        let etc = home.root().join("etc");
        std::fs::create_dir_all(etc.join("pipelines")).unwrap();
        open(&etc, 0o755);
        open(&etc.join("pipelines"), 0o755);
        let estate = Self { home, engine: None };
        for (name, text) in pipelines {
            estate.pipeline(name, text);
        }
        estate.people(&[]);
        estate.site(site);
        Some(estate)
    }

    pub fn started(mut self) -> Self {
        self.start();
        self
    }

    fn start(&mut self) {
        let mut c = Command::new(std::env::current_exe().unwrap());
        c.args(["--exact", "people::the_engine", "--ignored", "--nocapture", "--test-threads=1"]);
        c.env("QD_PEOPLE", self.home.root()).env("QD_TEST_HOME", self.home.root()).current_dir("/");
        let mut engine = Foreground::start(c);
        engine.line(|l| l.contains("people ready"));
        self.engine = Some(engine);
    }

    fn kill(&mut self) {
        let mut engine = self.engine.take().unwrap();
        kill(engine.pid());
        engine.wait();
    }

    fn pipeline(&self, name: &str, text: &str) {
        std::fs::write(self.home.root().join(format!("etc/pipelines/{name}.yml")), text).unwrap();
    }

    /// Everybody as who they are, but for these: `(uid, login)`.
    fn people(&self, but: &[(u32, Option<u32>)]) {
        let all = [(0, "root", None), (ANN, "ann", Some(ANN)), (BOB, "bob", Some(BOB)), (CAL, "cal", Some(CAL)), (DAN, "dan", Some(DAN))];
        let line = |(uid, name, login): (u32, &str, Option<u32>)| {
            let login = but.iter().find(|b| b.0 == uid).map_or(login, |b| b.1);
            format!("{uid} {name} {}\n", login.map_or("-".to_owned(), |l| l.to_string()))
        };
        let text: String = all.into_iter().chain([(EVE, "eve", Some(EVE))]).map(line).collect();
        std::fs::write(self.home.root().join("people"), text).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.home.root().join("run/engine.sock")
    }

    fn site(&self, text: &str) {
        let engine =
            if text.contains("[engine]") { String::new() } else { format!("[engine]\nsocket = \"{}\"\n", self.socket().display()) };
        let text = text.replace("SOCKET", &self.socket().display().to_string());
        std::fs::write(self.home.root().join("etc/site.toml"), format!("{engine}{text}")).unwrap();
    }

    /// One request of a thread that has this uid.
    fn ask(&self, uid: u32, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (socket, method, path, body) = (self.socket(), method.to_owned(), path.to_owned(), body.to_owned());
        let as_them = move || {
            use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
            if uid != 0 {
                let (u, g) = (Uid::from_raw(uid), Gid::from_raw(GROUP));
                set_thread_groups(&[]).unwrap();
                set_thread_res_gid(g, g, g).unwrap();
                set_thread_res_uid(u, u, u).unwrap();
            }
            raw(&socket, &method, &path, &body)
        };
        std::thread::spawn(as_them).join().unwrap()
    }

    fn act(&self, uid: u32, request: Value) -> (u16, Value) {
        self.ask(uid, "POST", "/v1/do", &request.to_string())
    }

    fn approve(&self, uid: u32, target: &str, with: Value) -> (u16, Value) {
        self.act(uid, json!({"action": "approve", "target": target, "with": with}))
    }

    pub fn rows(&self, what: &str) -> Vec<Value> {
        self.ask(0, "GET", &format!("/v1/get/{what}"), "").1["rows"].as_array().unwrap().clone()
    }

    pub fn row(&self, run: &str) -> Value {
        self.rows("runs").into_iter().find(|r| r["run"] == run).unwrap_or_default()
    }

    pub fn until_state(&self, run: &str, state: &str) -> Value {
        until_some(&format!("{run} to be {state}"), || Some(self.row(run)).filter(|r| r["state"] == state))
    }

    pub fn why(&self, run: &str) -> String {
        let (status, why) = self.ask(0, "GET", &format!("/v1/why/{}", run.replace('#', "/")), "");
        assert_eq!(status, 200, "{why}");
        why["reasons"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }

    /// The command line of a person, by `setpriv`; `gid` is their only group.
    fn qd(&self, uid: u32, gid: u32, args: &[&str]) -> Out {
        run(self.command(uid, gid, args))
    }

    pub fn command(&self, uid: u32, gid: u32, args: &[&str]) -> Command {
        let mut c = Command::new("setpriv");
        c.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into(), EXE.into()]);
        c.arg("--state-dir")
            .arg(self.home.root().join(format!("of-{uid}")))
            .arg("--config-dir")
            .arg(self.home.root().join("etc"))
            .args(args);
        c.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("QD_TEST_HOME", self.home.root()).current_dir("/");
        c
    }
}

#[track_caller]
fn refused(answer: (u16, Value), words: &str) {
    let message = answer.1["error"]["message"].as_str().unwrap_or_default();
    assert!(answer.0 == 403 && message.contains(words), "wanted `{words}`: {answer:?}");
}

#[track_caller]
fn done(answer: (u16, Value), words: &str) {
    assert!(answer.0 == 200 && answer.1["message"].as_str().unwrap().contains(words), "wanted `{words}`: {answer:?}");
}

const PROMO: &str = "format: 1\nname: promo\nstages:\n  - name: agree\n    approve:\n      roles: [release-manager]\n      quorum: 2\n      not: requester\n      ask: {ticket: {type: string, pattern: \"^CHG[0-9]+$\"}}\n  - name: go\n    env: {T: \"${approve.ticket}\"}\n    run: echo \"[$approve_ticket $T]\"\n";

#[test]
fn two_people_approve_a_stage_and_everybody_else_is_told_why_not() {
    let test = "two_people_approve_a_stage_and_everybody_else_is_told_why_not";
    let Some(estate) = Estate::shared(test, ROLES, &[("promo", PROMO)]) else { return };
    let mut e = estate.started();
    let ticket = || json!({"ticket": "CHG1"});
    assert_eq!(e.act(ANN, json!({"action": "run", "target": "promo"})).0, 200);
    e.until_state("promo#1", "waiting");
    // In order: the role, who asked, who it really is.
    refused(e.approve(EVE, "promo#1", ticket()), "eve may not");
    refused(e.approve(DAN, "promo#1", ticket()), "not for dan to decide");
    refused(e.act(DAN, json!({"action": "deny", "target": "promo#1"})), "not for dan to decide");
    refused(e.approve(ANN, "promo#1", ticket()), "ann asked for it");
    refused(e.approve(0, "promo#1", ticket()), "uid 0 without a login uid");
    e.people(&[(0, Some(ANN))]);
    refused(e.approve(0, "promo#1", ticket()), "root has the login uid of ann, who asked for it");
    // Answers are judged with the question and the reason.
    for (with, words) in [
        (json!({}), "question `ticket` must be answered: a text that matches"),
        (json!({"ticket": "42"}), "question `ticket`: `42` must be a text that matches"),
        (json!({"tickt": "CHG1"}), "there is no question `tickt`"),
    ] {
        let (status, answer) = e.approve(BOB, "promo#1", with);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(words), "{answer}");
    }
    refused(e.approve(BOB, "promo#1", json!({"ticket": "CHG1", "sha": "0000"})), "has moved");
    let (status, answer) = e.approve(BOB, "promo#1", json!({"ticket": "CHG1", "stage": "go"}));
    assert!(status == 400 && answer["error"]["message"].as_str().is_some_and(|m| m.contains("at a stage `go`")), "{answer}");
    let comment = "fine\u{1b}[31m\nroot#";
    let first = json!({"action": "approve", "target": "promo#1", "with": ticket(), "reason": comment});
    done(e.act(BOB, first.clone()), "promo#1/agree: 1 of 2 approvals, 1 missing");
    done(e.act(BOB, first), "you have approved promo#1/agree already: 1 of 2");
    // One person with two accounts, or as root.
    e.people(&[(0, Some(BOB)), (CAL, Some(BOB))]);
    refused(e.approve(0, "promo#1", json!({})), "root has the login uid of bob, who has approved already");
    refused(e.approve(CAL, "promo#1", json!({})), "cal has the login uid of bob, who has approved already");
    e.people(&[]);
    let (status, other) = e.approve(CAL, "promo#1", json!({"ticket": "CHG2"}));
    assert!(status == 400 && other["error"]["message"].as_str().unwrap().contains("was answered `CHG1`"), "{other}");
    let why = e.why("promo#1");
    assert!(why.contains("1 of 2 missing, by release-manager, not by ann; approved by bob; until 20"), "{why}");
    assert!(why.contains("may approve: release-manager (ann, bob, cal, root), admin (zoe); not ann, who asked for it"), "{why}");
    // What was asked and given outlives the engine.
    e.kill();
    e.start();
    assert_eq!(e.row("promo#1")["state"], "waiting");
    refused(e.approve(ANN, "promo#1", json!({})), "ann asked for it");
    // `sudo` to root keeps who logged in: cal is a second person as root too.
    e.people(&[(0, Some(CAL))]);
    done(e.approve(0, "promo#1", json!({})), "promo#1/agree is approved");
    assert_eq!(e.until_state("promo#1", "done")["verdict"], "success");
    refused(e.approve(CAL, "promo#1", json!({})), "has ended: success");
    // The answer reached the step behind, as a variable and in a template.
    let (_, attempts) = e.ask(0, "GET", "/v1/attempts/promo/1", "");
    let fence = &attempts["attempts"][0]["fence"];
    let (_, log) = e.ask(0, "GET", &format!("/v1/log/promo/1/{fence}"), "");
    assert_eq!(log["lines"][0]["text"], "[CHG1 CHG1]", "{log}");
    let decisions = e.rows("decisions");
    let approvals: Vec<_> = decisions.iter().rev().filter(|d| d["kind"] == "approve").collect();
    assert_eq!(approvals.len(), 2, "{decisions:?}");
    assert_eq!((&approvals[0]["uid"], &approvals[0]["login_uid"]), (&json!(BOB), &json!(BOB)));
    assert_eq!(
        (&approvals[1]["uid"], &approvals[1]["login_uid"], &approvals[1]["answers"]),
        (&json!(0), &json!(CAL), &json!("ticket=CHG1"))
    );
    assert_eq!(approvals[0]["sha"], approvals[1]["sha"]);
    let said = approvals[0]["why"].as_str().unwrap();
    assert!(said.contains("fine") && !said.contains(['\u{1b}', '\n']), "{said:?}");
    let request = decisions.iter().find(|d| d["kind"] == "request").unwrap();
    assert!(request["subject"] == "promo#1/agree" && request["who"] == "ann" && !request["ended"].is_null(), "{request}");
    let (status, audit) = e.ask(0, "GET", "/v1/get/audit", "");
    assert!(status == 200 && audit["error"].is_null(), "{audit}");
    let entries: Vec<_> = audit["rows"].as_array().unwrap().iter().filter(|r| r["action"] == "approve" && r["result"] == "done").collect();
    assert_eq!(entries.len(), 2);
    assert_eq!((&entries[0]["who"], &entries[0]["uid"], &entries[0]["login_uid"]), (&json!("root"), &json!(0), &json!(CAL)));
}

#[test]
fn a_denial_and_an_expiry_end_the_stage_and_say_so() {
    let quick = "format: 1\nname: quick\nstages:\n  - name: agree\n    approve: {roles: release-manager, expires: 1s}\n  - name: go\n    run: echo\n";
    let test = "a_denial_and_an_expiry_end_the_stage_and_say_so";
    let Some(estate) = Estate::shared(test, ROLES, &[("promo", PROMO), ("quick", quick)]) else { return };
    let e = estate.started();
    e.act(ANN, json!({"action": "run", "target": "promo"}));
    e.until_state("promo#1", "waiting");
    done(e.act(CAL, json!({"action": "deny", "target": "promo#1", "reason": "freeze"})), "promo#1/agree is denied");
    let row = e.until_state("promo#1", "done");
    assert_eq!(
        (&row["verdict"], &row["failed_stage"], &row["detail"]),
        (&json!("failure"), &json!("agree"), &json!("stage `agree`: denied by cal: freeze"))
    );
    e.act(ANN, json!({"action": "run", "target": "quick"}));
    let row = e.until_state("quick#1", "done");
    assert!(
        row["verdict"] == "failure" && row["detail"].as_str().unwrap().contains("expired: 0 of 1 approved (nobody) within 1s"),
        "{row}"
    );
    refused(e.approve(BOB, "quick#1", json!({})), "expired");
    assert!(e.rows("audit").iter().any(|r| r["action"] == "expire" && r["subject"] == "quick#1/agree" && r["who"] == "engine"));
    // Asked again, the old approvals are void: it is another asking.
    done(e.act(ANN, json!({"action": "resume", "target": "promo#1"})), "goes on");
    e.until_state("promo#1", "waiting");
    assert!(e.why("promo#1").contains("2 of 2 missing"), "{}", e.why("promo#1"));
}

pub const GRAVE: &str = "format: 1\nname: grave\ndanger: L3\nstages:\n  - name: a\n    run: echo done\n";

#[test]
fn a_start_at_l3_waits_for_a_second_person_and_is_refused_once_its_plan_has_moved() {
    let test = "a_start_at_l3_waits_for_a_second_person_and_is_refused_once_its_plan_has_moved";
    if !have_program("setpriv") {
        return skip(test, "no setpriv");
    }
    let roles = "[roles]\noperator = [\"ann\", \"bob\"]\nsecurity = [\"cal\"]\n";
    let Some(estate) = Estate::shared(test, roles, &[("grave", GRAVE)]) else { return };
    let mut e = estate.started();
    let want = || json!({"action": "run", "target": "grave", "reason": "kernel", "confirm": "grave"});
    refused(e.act(ANN, json!({"action": "run", "target": "grave"})), "needs a reason");
    refused(e.act(ANN, json!({"action": "run", "target": "grave", "reason": "kernel"})), "must be confirmed");
    done(e.act(ANN, want()), "grave#1 waits for a second person until 20");
    let queue = e.rows("queue");
    assert!(queue[0]["state"] == "waiting" && queue[0]["blocked"].as_str().unwrap().contains("second person"), "{queue:?}");
    let asked = e.rows("decisions");
    assert!(asked[0]["kind"] == "request" && asked[0]["subject"] == "grave#1" && asked[0]["who"] == "ann", "{asked:?}");
    assert!(e.rows("audit").iter().any(|r| r["subject"] == "grave#1" && r["result"] == "waits for a second person"));
    e.kill();
    e.start();
    refused(e.approve(ANN, "grave#1", json!({})), "ann asked for it");
    refused(e.approve(CAL, "grave#1", json!({})), "not for cal to decide");
    assert_eq!(e.row("grave#1")["started"], Value::Null, "nothing of it has begun");
    // The plan that waits is the plan that runs, or nothing does.
    e.pipeline("grave", &GRAVE.replace("echo done", "echo other"));
    refused(e.approve(BOB, "grave#1", json!({})), "is not what it was when it was asked for");
    e.pipeline("grave", GRAVE);
    e.qd(BOB, BOB, &["approve", "grave#1", "--comment", "seen"]).expect(0);
    assert_eq!(e.until_state("grave#1", "done")["verdict"], "success");
    // Who waits for the end is told how it ended.
    let mut waiting = e.command(ANN, ANN, &["run", "grave", "--reason", "x", "--confirm", "grave", "--wait"]);
    waiting.stdout(std::process::Stdio::piped());
    let asking = std::thread::spawn(move || run(waiting));
    until("the second request", || e.rows("decisions").iter().any(|d| d["subject"] == "grave#2"));
    e.qd(BOB, BOB, &["do", "deny", "grave#2", "--reason", "not tonight"]).expect(0);
    let told = asking.join().unwrap().expect(5);
    assert!(told.stdout.contains("waits for a second person") && told.stdout.contains("denied by bob: not tonight"), "{told:?}");
    // Taken back by who asked, without a second person.
    done(e.act(ANN, want()), "grave#3 waits");
    done(e.act(ANN, json!({"action": "cancel", "target": "grave#3"})), "cancelled");
    assert_eq!(e.until_state("grave#3", "done")["verdict"], "cancelled");
    assert!(e.rows("decisions").iter().all(|d| d["kind"] != "request" || !d["ended"].is_null()));
    // A run that goes on at L3 waits too.
    done(e.act(BOB, json!({"action": "resume", "target": "grave#3", "reason": "now", "confirm": "grave#3"})), "waits for a second person");
    refused(e.approve(BOB, "grave#3", json!({})), "bob asked for it");
    done(e.approve(ANN, "grave#3", json!({})), "grave#3 is approved");
    assert_eq!(e.until_state("grave#3", "done")["verdict"], "success");
}

#[test]
fn a_group_owns_the_socket_and_others_are_refused_and_get_no_engine_of_their_own() {
    let test = "a_group_owns_the_socket_and_others_are_refused_and_get_no_engine_of_their_own";
    if !have_program("setpriv") {
        return skip(test, "no setpriv");
    }
    let site = "[engine]\nsocket = \"SOCKET\"\ngroup = \"quarterdeck\"\n[roles]\noperator = [\"ann\"]\n";
    let Some(estate) = Estate::shared(test, site, &[("hello", crate::api::HELLO)]) else { return };
    // Nobody serves it yet: an error, and no engine.
    estate.qd(ANN, GROUP, &["run", "hello"]).expect(3);
    let e = estate.started();
    let meta = std::fs::metadata(e.socket()).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.gid()), (0o660, GROUP));
    e.qd(ANN, GROUP, &["run", "hello", "--wait"]).expect(0);
    let no = e.qd(ANN, ANN, &["get", "runs"]).expect(4);
    assert!(no.stderr.contains("may not be used by uid"), "{no:?}");
    e.qd(ANN, ANN, &["run", "hello"]).expect(4);
    assert!(!e.home.root().join(format!("of-{ANN}")).exists(), "no private engine was begun");
    assert!(e.qd(EVE, GROUP, &["run", "hello"]).expect(4).stderr.contains("eve may not"));
}

#[test]
fn on_a_private_engine_one_person_is_no_two_unless_the_site_says_so() {
    let test = "on_a_private_engine_one_person_is_no_two_unless_the_site_says_so";
    let one = "format: 1\nname: one\nstages:\n  - name: agree\n    approve: {roles: release-manager}\n";
    let Some(estate) = Estate::shared(test, "[engine]\n", &[("promo", PROMO), ("one", one)]) else { return };
    // The private socket lies in the state directory.
    std::os::unix::fs::symlink(estate.home.state(), estate.home.root().join("run")).unwrap();
    estate.people(&[(0, Some(ANN))]);
    let e = estate.started();
    for p in ["promo", "one"] {
        e.act(0, json!({"action": "run", "target": p}));
        e.until_state(&format!("{p}#1"), "waiting");
    }
    refused(e.approve(0, "promo#1", json!({"ticket": "CHG1"})), "needs a second person, and this engine has one user");
    assert!(e.why("promo#1").contains("nobody may approve: it needs a second person"));
    e.people(&[]);
    refused(e.approve(0, "one#1", json!({})), "uid 0 without a login uid");
    e.people(&[(0, Some(ANN))]);
    let plain = e.approve(0, "one#1", json!({}));
    assert!(plain.0 == 200 && plain.1["single_person"].is_null(), "one approval was wanted, and one person gave it: {plain:?}");
    std::fs::write(e.home.root().join("etc/site.toml"), "second_person = \"none\"\n").unwrap();
    let (status, passed) = e.approve(0, "promo#1", json!({"ticket": "CHG1"}));
    assert_eq!((status, &passed["single_person"]), (200, &json!(true)), "{passed}");
    assert_eq!(e.until_state("promo#1", "done")["verdict"], "success");
    let audit = e.rows("audit");
    let single: Vec<_> = audit.iter().filter(|r| r["single_person"] == true).collect();
    assert!(single.len() == 1 && single[0]["subject"] == "promo#1/agree", "{audit:?}");
}

/// I14: whoever looks sees the same.
#[test]
fn two_streams_and_the_command_line_see_one_state() {
    let test = "two_streams_and_the_command_line_see_one_state";
    if !have_program("setpriv") {
        return skip(test, "no setpriv");
    }
    let Some(estate) = Estate::shared(test, ROLES, &[("promo", PROMO)]) else { return };
    let e = estate.started();
    let stream = || {
        let mut s = UnixStream::connect(e.socket()).unwrap();
        s.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        write!(s, "GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut lines = BufReader::new(s).lines();
        // The first event says where the stream begins.
        let first = lines.by_ref().map_while(Result::ok).find(|l| l.starts_with("event:") || l.starts_with("data:"));
        assert!(first.is_some());
        lines
    };
    let streams = [stream(), stream()];
    e.act(ANN, json!({"action": "run", "target": "promo"}));
    e.until_state("promo#1", "waiting");
    for (uid, with) in [(BOB, vec!["-p", "ticket=CHG1"]), (CAL, vec![])] {
        let args: Vec<&str> = ["approve", "promo#1"].into_iter().chain(with).collect();
        e.qd(uid, uid, &args).expect(0);
    }
    let end = e.until_state("promo#1", "done");
    let cli = e.qd(EVE, EVE, &["--json", "get", "runs"]).expect(0).json();
    assert_eq!(cli["rows"][0], end);
    let mut seen = Vec::new();
    for lines in streams {
        let (mut states, mut people) = (Vec::new(), Vec::new());
        for line in lines.map_while(Result::ok) {
            let Some(set) = line.strip_prefix("data:").and_then(|d| serde_json::from_str::<Value>(d.trim()).ok()) else { continue };
            let row = &set["upserts"]["runs"]["promo#1"];
            for d in set["upserts"]["decisions"].as_object().into_iter().flatten() {
                people.push((d.0.clone(), d.1["kind"].clone(), d.1["who"].clone()));
            }
            if !row.is_null() {
                states.push((set["revision"].clone(), row.clone()));
                if row["state"] == "done" {
                    assert_eq!(*row, end, "the stream ends where everybody else stands");
                    break;
                }
            }
        }
        assert!(people.iter().any(|p| p.1 == "approve" && p.2 == "bob"), "{people:?}");
        seen.push(states);
    }
    assert_eq!(seen[0], seen[1], "both streams told the same, at the same revisions");
}

#[test]
fn a_drained_engine_asks_nobody_and_still_takes_decisions_after_a_restart() {
    let test = "a_drained_engine_asks_nobody_and_still_takes_decisions_after_a_restart";
    let roles = "[roles]\nrelease-manager = [\"ann\", \"bob\", \"cal\"]\n";
    let Some(estate) = Estate::shared(test, roles, &[("promo", PROMO)]) else { return };
    let mut e = estate.started();
    e.act(ANN, json!({"action": "run", "target": "promo"}));
    e.until_state("promo#1", "waiting");
    done(e.act(ANN, json!({"action": "drain", "reason": "kernel"})), "drained");
    e.act(ANN, json!({"action": "run", "target": "promo"}));
    e.kill();
    e.start();
    let (_, status) = e.ask(0, "GET", "/v1/status", "");
    assert_eq!(status["draining"], true);
    assert!(e.why("promo#2").contains("drained by ann"), "{}", e.why("promo#2"));
    refused(e.approve(BOB, "promo#2", json!({"ticket": "CHG1"})), "waits for no approval");
    // What has begun goes on.
    done(e.approve(BOB, "promo#1", json!({"ticket": "CHG1"})), "1 of 2");
    done(e.approve(CAL, "promo#1", json!({})), "is approved");
    assert_eq!(e.until_state("promo#1", "done")["verdict"], "success");
    done(e.act(BOB, json!({"action": "undrain"})), "start again");
    e.until_state("promo#2", "waiting");
}

/// A root that serves compose 1, and trees that hold compose 2; the table of the site file.
fn promoted(e: &Estate) -> String {
    let (tree, root) = (e.home.root().join("latest"), e.home.root().join("root"));
    let publish = |n: u8| {
        let mut repo = crate::mirror::Repo::of(&[("steady.rpm", 700)]);
        repo.timestamp += u64::from(n);
        repo.put(&format!("p-{n}.rpm"), 900, n);
        repo.write(&tree);
    };
    let report = e.home.root().join("report");
    let step = |kind: &str, with: &[String]| {
        let with: Vec<&str> = with.iter().map(String::as_str).collect();
        run(crate::mirror::step(kind, &with, Path::new(""), &report)).expect(0);
        crate::mirror::told(&report).1
    };
    publish(1);
    let at = format!("root={}", root.display());
    let id = step("mirror/snapshot", &[at.clone(), format!("tree=base={}", tree.display())])["id"].clone();
    step("mirror/switch", &[at, format!("to={id}")]);
    publish(2);
    let without: String = ["G3", "G4", "G5", "G6", "G7", "G8", "G9"].map(|g| format!("{g} = \"not in this test\"\n")).concat();
    format!(
        "[repos.base]\ntree = \"{}\"\n[content.el9]\nrepos = [\"base\"]\n[promotion.el9]\nset = \"el9\"\nroot = \"{}\"\nage = \"1ms\"\n[promotion.el9.without]\n{without}",
        tree.display(),
        root.display()
    )
}

#[test]
fn a_promotion_needs_both_sides_two_people_and_one_who_is_not_its_author() {
    let test = "a_promotion_needs_both_sides_two_people_and_one_who_is_not_its_author";
    let Some(estate) = Estate::shared(test, ROLES, &[]) else { return };
    // dan is both, and one person for all that.
    let roles = "[roles]\nrelease-manager = [\"ann\", \"bob\", \"dan\"]\nsecurity = [\"cal\", \"dan\"]\nviewer = [\"eve\", \"root\"]\n";
    estate.site(&format!("{roles}{}", promoted(&estate)));
    let e = estate.started();
    let id = "PR-";
    let ask = |action: &str, target: &str, with: Value| json!({"action": action, "target": target, "with": with, "reason": "r", "confirm": target});
    refused(e.act(EVE, ask("promote", "el9", json!({}))), "eve may not");
    refused(e.act(CAL, ask("promote", "el9", json!({}))), "cal may not");
    done(e.act(DAN, ask("promote", "el9", json!({}))), "is DRAFT");
    let row = || e.rows("promotions")[0].clone();
    let name = row()["promotion"].as_str().unwrap().to_owned();
    assert!(name.starts_with(id));
    done(e.act(ANN, ask("promote-soak", &name, json!({}))), "takes its candidate");
    until_some("READY", || (row()["state"] == "READY").then_some(()));
    // A waiver is proposed by the owner of the gate; G7 is security's.
    refused(e.act(ANN, ask("promote-waive", &name, json!({"gate": "G7"}))), "not for ann to decide");
    // What only one has said is told from what counts, and ends when they said.
    done(e.act(CAL, ask("promote-waive", &name, json!({"gate": "G7", "until": "2d"}))), "is proposed");
    let waivers = || -> Vec<(Value, Value, Value)> {
        let rows = e.rows("decisions");
        let mut own: Vec<&Value> = rows.iter().filter(|d| d["kind"] == "waive").collect();
        own.sort_by_key(|d| d["id"].as_u64());
        own.iter().map(|d| (d["who"].clone(), d["proposed"].clone(), d["until"].clone())).collect()
    };
    let proposed = waivers();
    assert!(matches!(&proposed[..], [(who, yes, until)] if who == "cal" && *yes == true && until.is_string()), "{proposed:?}");
    done(e.act(BOB, ask("promote-waive", &name, json!({"gate": "G7", "until": "1d"}))), "is waived until");
    let both = waivers();
    assert_eq!(both, [proposed[0].clone(), (json!("bob"), json!(false), proposed[0].2.clone())]);
    until_some("READY", || (row()["state"] == "READY").then_some(()));
    refused(e.act(EVE, ask("promote-approve", &name, json!({}))), "eve may not");
    refused(e.act(CAL, ask("promote-approve", &name, json!({"side": "ops"}))), "not for cal to decide");
    refused(e.act(DAN, ask("promote-approve", &name, json!({"side": "ops", "sha": "0123456789"}))), "the plan of");
    let (status, answer) = e.act(DAN, ask("promote-approve", &name, json!({})));
    assert!(status == 400 && answer["error"]["message"].as_str().unwrap().contains("ops and security"), "{answer}");
    done(e.act(DAN, ask("promote-approve", &name, json!({"side": "ops"}))), "still missing: security");
    refused(e.act(DAN, ask("promote-approve", &name, json!({"side": "security"}))), "has approved already");
    // Who becomes root stays who they are.
    e.people(&[(CAL, Some(DAN))]);
    refused(e.act(CAL, ask("promote-approve", &name, json!({}))), "the login uid of dan");
    e.people(&[]);
    let start = json!({"action": "promote-start", "target": name, "reason": "r", "confirm": "promote el9"});
    refused(e.act(ANN, start.clone()), "only what is APPROVED starts");
    done(e.act(CAL, ask("approve", &name, json!({}))), "is APPROVED");
    refused(e.act(CAL, start.clone()), "cal may not");
    // A console that is not armed may halt, and nothing else.
    let console = |action: &str| json!({"action": action, "target": name, "reason": "r", "confirm": "promote el9", "console": true});
    refused(e.act(ANN, console("promote-start")), "arm");
    done(e.act(ANN, start), "is SWITCHING");
    let run = until_some("IMAGING", || (row()["state"] == "IMAGING").then(|| row()["run"].as_str().unwrap().to_owned()));
    // What only the engine decides, nobody else does.
    let (_, why) = e.ask(0, "GET", &format!("/v1/promotions/{name}/why"), "");
    assert!(why["reasons"][0].as_str().unwrap().contains(&run), "{why}");
    let halt = json!({"action": "promote-halt", "target": name, "console": true});
    done(e.act(BOB, halt), "is HALTED");
    assert_eq!(row()["halted_in"], "IMAGING");
}
