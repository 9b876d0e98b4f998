//! Each rule of the guard through the raw socket: read-only, role, why-not, level; in this order, and in the audit chain.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::api::{HELLO, act};
use crate::support::home::{EXE, run};
use crate::support::{Home, Out, skip, until_some};

const DANGER: &str = "format: 1\nname: danger\ndanger: L2\nstages:\n  - name: a\n    run: echo done\n";
const GRAVE: &str = "format: 1\nname: grave\ndanger: L3\nstages:\n  - name: a\n    run: echo done\n";
const LONG: &str = "format: 1\nname: long\nstages:\n  - name: a\n    run: sleep 1000\n";

fn home() -> Home {
    let home = Home::new();
    home.pipeline("hello", HELLO).pipeline("danger", DANGER).pipeline("grave", GRAVE).pipeline("long", LONG);
    home
}

#[track_caller]
fn refused(answer: (u16, Value), words: &str) {
    let message = answer.1["error"]["message"].as_str().unwrap_or_default();
    assert!(answer.0 == 403 && answer.1["error"]["code"] == "refused" && message.contains(words), "{answer:?}");
}

#[test]
fn a_read_only_site_refuses_everything_before_anything_else_is_looked_at() {
    let home = home();
    home.qd(["engine", "start"]).expect(0);
    let s = home.socket();
    home.site("read_only = true\n");
    refused(act(&s, json!({"action": "run", "target": "hello"})), "read-only");
    refused(act(&s, json!({"action": "run", "target": "no-such-pipeline"})), "read-only");
    refused(act(&s, json!({"action": "stop"})), "read-only");
    home.site("read_only = false\n");
    assert_eq!(act(&s, json!({"action": "run", "target": "hello"})).0, 200);
}

#[test]
fn the_why_not_comes_before_the_level() {
    let home = home();
    home.qd(["engine", "start"]).expect(0);
    let s = home.socket();
    // L2 without reason or confirm, but it does not exist: that is said first.
    let (status, answer) = act(&s, json!({"action": "run", "target": "dangr"}));
    assert_eq!((status, answer["error"]["help"].as_str()), (400, Some("did you mean `danger`?")));
    refused(act(&s, json!({"action": "undrain"})), "not drained");
    assert_eq!(act(&s, json!({"action": "run", "target": "hello"})).0, 200);
    until_some("the run to end", || (home.json(&["get", "runs"])["rows"][0]["state"] == "done").then_some(()));
    refused(act(&s, json!({"action": "cancel", "target": "hello#1"})), "has ended already");
    refused(act(&s, json!({"action": "retry", "target": "hello#1"})), "succeeded");
}

#[test]
fn l2_needs_a_reason_and_the_name_and_l3_a_second_person() {
    let home = home();
    home.qd(["engine", "start"]).expect(0);
    let s = home.socket();
    refused(act(&s, json!({"action": "run", "target": "danger"})), "needs a reason");
    refused(act(&s, json!({"action": "run", "target": "danger", "confirm": "danger"})), "needs a reason");
    refused(act(&s, json!({"action": "run", "target": "danger", "reason": "x"})), "must be confirmed");
    refused(act(&s, json!({"action": "run", "target": "danger", "reason": "x", "confirm": "hello"})), "confirmed `hello`");
    assert_eq!(act(&s, json!({"action": "run", "target": "danger", "reason": "x", "confirm": "danger"})).0, 200);
    let grave = json!({"action": "run", "target": "grave", "reason": "x", "confirm": "grave"});
    refused(act(&s, grave.clone()), "second person");
    home.site("second_person = \"none\"\n");
    let (status, done) = act(&s, grave);
    assert_eq!((status, &done["single_person"]), (200, &json!(true)));
    let audit = home.json(&["get", "audit", "--filter", "single_person=true"]);
    assert_eq!(audit["rows"][0]["subject"], "grave#1", "{audit}");
}

#[test]
fn a_read_only_site_refuses_each_action_there_is() {
    let home = home();
    home.qd(["run", "hello", "--wait"]).expect(0);
    let actions = home.json(&["actions"]);
    home.site("read_only = true\n");
    for action in actions["rows"].as_array().unwrap() {
        let mut request = json!({"action": action["action"], "reason": "x"});
        match action["target"].as_str().unwrap() {
            "run" => request["target"] = json!("hello#1"),
            "pipeline" => request["target"] = json!("hello"),
            "secret" => request["target"] = json!("token"),
            "promotion" => request["target"] = json!("PR-2026Q2-el9"),
            "OS major" => request["target"] = json!("el9"),
            "hold" => request["target"] = json!("1"),
            "repository" => request["target"] = json!("base9"),
            "problem" => request["target"] = json!("hello"),
            _ => {}
        }
        refused(act(&home.socket(), request), "read-only");
    }
    let audit = home.json(&["get", "audit", "--filter", "result~read-only"]);
    assert_eq!(audit["rows"].as_array().unwrap().len(), actions["rows"].as_array().unwrap().len(), "{audit}");
    assert!(home.qd(["run", "hello"]).expect(4).stderr.contains("read-only"));
}

#[test]
fn the_command_line_needs_for_each_level_what_the_socket_needs() {
    let home = home();
    assert!(home.qd(["run", "danger"]).expect(4).stderr.contains("--reason"));
    assert!(home.qd(["run", "danger", "--reason", "x"]).expect(4).stderr.contains("--confirm 'danger'"));
    home.qd(["run", "danger", "--reason", "x", "--confirm", "danger#1"]).expect(4);
    home.qd(["run", "danger", "--reason", "x", "--confirm", "danger", "--wait"]).expect(0);
    // Made again it is as dangerous, and is called by its own name.
    assert!(home.qd(["replay", "danger#1"]).expect(4).stderr.contains("needs a reason"));
    home.qd(["replay", "danger#1", "--reason", "x", "--confirm", "danger"]).expect(4);
    home.qd(["replay", "danger#1", "--reason", "x", "--confirm", "danger#1", "--wait"]).expect(0);
    home.qd(["do", "run", "danger", "--reason", "x", "--confirm", "danger"]).expect(0);
    let bad = DANGER.replace("echo done", "exit 1").replace("name: danger", "name: fails");
    home.pipeline("fails", &bad);
    home.qd(["run", "fails", "--reason", "x", "--confirm", "fails", "--wait"]).expect(1);
    for again in ["resume", "retry"] {
        home.qd([again, "fails#1"]).expect(4);
        home.qd([again, "fails#1", "--reason", "x", "--confirm", "fails#1", "--wait"]).expect(1);
    }
    let grave = ["run", "grave", "--reason", "x", "--confirm", "grave", "--wait"];
    assert!(home.qd(grave).expect(4).stderr.contains("second person"));
    home.site("second_person = \"none\"\n");
    assert!(home.qd(["run", "grave", "--reason", "x"]).expect(4).stderr.contains("confirmed"));
    assert!(home.qd(grave).expect(0).stdout.contains("single person"));
    assert_eq!(home.json(&["get", "audit", "--filter", "single_person=true"])["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn mirror_steps_write_below_the_site_s_roots_only() {
    let home = home();
    let root = home.root().join("trees");
    home.site(&format!("[mirror]\nroots = [\"{}\"]\n", root.display()));
    let sync = |dest: &str| {
        let text = format!(
            "format: 1\nname: sync\nstages:\n  - name: a\n    uses: mirror/sync\n    with: {{url: \"http://127.0.0.1:9/\", dest: \"{dest}\"}}\n"
        );
        home.pipeline("sync", &text);
        home.qd(["run", "sync"])
    };
    for outside in ["/etc/x".to_owned(), format!("{}-not", root.display()), format!("{}/../x", root.display()), "../../x".to_owned()] {
        let no = sync(&outside).expect(4);
        assert!(no.stderr.contains("[mirror] roots") && no.stderr.contains(&outside), "{no:?}");
    }
    assert!(home.json(&["get", "runs"])["rows"].as_array().unwrap().is_empty());
    for inside in [format!("{}/a", root.display()), root.display().to_string(), "in-the-workspace".to_owned()] {
        sync(&inside).expect(0);
    }
}

#[test]
fn the_key_of_one_wish_does_not_serve_another() {
    let home = home();
    home.qd(["engine", "start"]).expect(0);
    let wish = |target: &str| act(&home.socket(), json!({"action": "run", "target": target, "key": "one-wish"}));
    assert_eq!(wish("hello").0, 200);
    let (status, answer) = wish("long");
    assert!(status == 400 && answer["error"]["message"].as_str().unwrap().contains("hello#1"), "{answer}");
}

#[test]
fn what_was_done_and_what_was_refused_is_in_the_chain_with_its_person() {
    let home = home();
    home.qd(["run", "danger"]).expect(4);
    home.qd(["run", "hello", "--wait", "--reason", "first\nlight"]).expect(0);
    let audit = home.json(&["get", "audit", "--sort", "seq"]);
    let rows = audit["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{audit}");
    assert!(rows[0]["result"].as_str().unwrap().starts_with("refused: "), "{audit}");
    assert_eq!((&rows[1]["subject"], &rows[1]["reason"], &rows[1]["result"]), (&json!("hello#1"), &json!("first light"), &json!("done")));
    assert_eq!(rows[1]["uid"], json!(rustix::process::getuid().as_raw()));
}

/// A shared engine of root's, and commands of other people.
struct Shared {
    home: Home,
}

impl Shared {
    fn start(site: &str) -> Self {
        let home = home();
        let open = |p: &std::path::Path, mode| std::fs::set_permissions(p, std::fs::Permissions::from_mode(mode)).unwrap();
        open(home.root(), 0o711);
        let etc = home.root().join("etc");
        std::fs::create_dir_all(etc.join("pipelines")).unwrap();
        for name in ["hello", "danger", "long"] {
            std::fs::copy(home.config().join(format!("pipelines/{name}.yml")), etc.join(format!("pipelines/{name}.yml"))).unwrap();
        }
        open(&etc, 0o755);
        open(&etc.join("pipelines"), 0o755);
        let shared = Self { home };
        shared.site(site);
        shared.as_uid(0, &["engine", "start"]).expect(3);
        shared
    }

    fn site(&self, text: &str) {
        let socket = self.home.root().join("run/engine.sock");
        std::fs::write(self.home.root().join("etc/site.toml"), format!("[engine]\nsocket = \"{}\"\n{text}", socket.display())).unwrap();
    }

    fn as_uid(&self, uid: u32, args: &[&str]) -> Out {
        let state = if uid == 0 { self.home.state() } else { self.home.root().join(format!("nobody-{uid}")) };
        let mut c = Command::new(EXE);
        c.arg("--state-dir").arg(state).arg("--config-dir").arg(self.home.root().join("etc")).args(args);
        c.env_clear().env("PATH", "/usr/bin:/bin").env("QD_TEST_HOME", self.home.root()).current_dir("/");
        if uid != 0 {
            c.uid(uid).gid(uid);
        }
        run(c)
    }
}

#[test]
fn a_shared_engine_knows_each_person_by_the_kernel_s_word() {
    let test = "a_shared_engine_knows_each_person_by_the_kernel_s_word";
    if rustix::process::getuid().as_raw() != 0 {
        return skip(test, "only root can be several people");
    }
    let Ok(passwd) = std::fs::read_to_string("/etc/passwd") else { return skip(test, "no /etc/passwd") };
    let Some(nobody) = passwd.lines().find(|l| l.starts_with("nobody:")).and_then(|l| l.split(':').nth(2)?.parse::<u32>().ok()) else {
        return skip(test, "no user nobody");
    };
    // A shared socket that nobody serves is an error, and no reason to start an engine.
    let shared = Shared::start("");
    let mut engine = {
        let mut c = Command::new(EXE);
        c.arg("--state-dir").arg(shared.home.state()).arg("--config-dir").arg(shared.home.root().join("etc")).args(["engine", "run"]);
        c.env("QD_TEST_HOME", shared.home.root());
        crate::support::Foreground::start(c)
    };
    engine.line(|l| l.contains("ready"));
    // Without [roles] everybody only looks.
    shared.as_uid(nobody, &["get", "runs"]).expect(0);
    let no = shared.as_uid(nobody, &["run", "hello"]).expect(4);
    assert!(no.stderr.contains("everybody only looks"), "{no:?}");
    assert!(shared.as_uid(0, &["run", "hello"]).expect(4).stderr.contains("may not"), "root has no role of its own");
    // A uid without a name may not even look.
    let unknown = shared.as_uid(4_242, &["get", "runs"]).expect(4);
    assert!(unknown.stderr.contains("no user with uid 4242"), "{unknown:?}");
    // Roles are read anew from the site file.
    shared.site("[roles]\noperator = [\"nobody\"]\nadmin = [\"root\"]\n");
    shared.as_uid(nobody, &["run", "hello"]).expect(0);
    assert!(shared.as_uid(nobody, &["engine", "stop"]).expect(4).stderr.contains("admin"));
    // Somebody else's run is L2 to cancel, one's own is not.
    shared.as_uid(0, &["run", "long"]).expect(0);
    let theirs = shared.as_uid(nobody, &["cancel", "long#1"]).expect(4);
    assert!(theirs.stderr.contains("needs a reason"), "{theirs:?}");
    shared.as_uid(nobody, &["cancel", "long#1", "--reason", "disk", "--confirm", "long#1"]).expect(0);
    shared.as_uid(nobody, &["run", "long"]).expect(0);
    shared.as_uid(nobody, &["cancel", "long#2"]).expect(0);
    // A run belongs to a uid: the name alone, which a trigger or an account made anew may share, gives nothing.
    shared.as_uid(0, &["run", "long"]).expect(0);
    let db = rusqlite::Connection::open(shared.home.state().join("state.db")).unwrap();
    assert_eq!(db.execute("UPDATE run SET requested_by = 'nobody' WHERE pipeline = 'long' AND number = 3", []).unwrap(), 1);
    drop(db);
    shared.as_uid(nobody, &["cancel", "long#3"]).expect(4);
    // Who is nobody here is told that, whatever the request is worth.
    let stranger = shared.as_uid(4_242, &["do", "drain", "no-target-is-taken"]).expect(4);
    assert!(stranger.stderr.contains("no user with uid 4242"), "{stranger:?}");
    shared.as_uid(0, &["engine", "stop"]).expect(0);
    assert!(engine.wait().success());
}

#[test]
fn a_frozen_plan_is_held_to_the_roots_and_writers_of_today() {
    let home = home();
    let (root, out) = (home.root().join("trees"), home.root().join("out"));
    std::fs::create_dir_all(&root).unwrap();
    std::fs::create_dir_all(&out).unwrap();
    let site = |roots: &std::path::Path, writer: &str| {
        let tree = root.join("a");
        home.site(&format!(
            "[mirror]\nroots = [\"{}\"]\n[repos.a]\ntree = \"{}\"\nwriter = \"{writer}\"\n",
            roots.display(),
            tree.display()
        ));
    };
    site(&root, "quarterdeck");
    let with = |dest: &str| {
        let text = format!(
            "format: 1\nname: sync\nstages:\n  - name: a\n    uses: mirror/sync\n    with: {{url: \"http://127.0.0.1:9/\", dest: \"{dest}\"}}\n"
        );
        home.pipeline("sync", &text);
    };
    with(&root.join("a").display().to_string());
    home.qd(["run", "sync", "--wait"]).expect(1);
    home.qd(["retry", "sync#1"]).expect(0);
    crate::support::until("the retry ends", || home.json(&["get", "runs"])["rows"][0]["state"] == "done");
    site(&out, "quarterdeck");
    for again in ["retry", "resume"] {
        let no = home.qd([again, "sync#1"]).expect(4);
        assert!(no.stderr.contains("[mirror] roots"), "{again}: {no:?}");
    }
    site(&root, "cobbler");
    for again in [&["retry", "sync#1"][..], &["run", "sync"]] {
        let no = home.qd(again.iter().copied()).expect(4);
        assert!(no.stderr.contains("cobbler writes it"), "{no:?}");
    }
    // A link below a root leads where it leads.
    site(&root, "quarterdeck");
    std::os::unix::fs::symlink(&out, root.join("leak")).unwrap();
    with(&root.join("leak/x").display().to_string());
    home.qd(["run", "sync"]).expect(4);
    // So is the root of snapshots.
    home.pipeline(
        "switch",
        &format!(
            "format: 1\nname: switch\nstages:\n  - name: a\n    uses: mirror/switch\n    with: {{root: \"{}\", to: previous}}\n",
            out.display()
        ),
    );
    let no = home.qd(["run", "switch"]).expect(4);
    assert!(no.stderr.contains("[mirror] roots"), "{no:?}");
}
