//! Promotions over a real engine and real little trees: gates, approvals, switches of three datacentres, halt, resume, way back, evidence.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::mirror::{Repo, read_whole, told};
use crate::support::home::{EXE, run};
use crate::support::{Foreground, Home, Out, have_program, skip, until, until_some};

pub const DCS: [&str; 3] = ["alder", "birch", "cedar"];
pub const WITHOUT: &str = "G3 = \"no image canary in this test\"\nG4 = \"no rpm canary\"\nG5 = \"no formula\"\nG6 = \"no sandbox\"\n\
                       G7 = \"no signatures\"\nG8 = \"no agents\"\nG9 = \"no calendar\"\n";

/// Writes compose N of a repository into its tree.
pub type Write = Box<dyn Fn(u8, &str, &Path) + Send + Sync>;

pub struct Estate {
    pub home: Home,
    pub old: Vec<String>,
    write: Write,
}

fn compose(n: u8) -> Vec<(&'static str, Repo)> {
    ["base", "app"]
        .into_iter()
        .map(|name| {
            let mut repo = Repo::of(&[("steady1.rpm", 700), ("steady2.rpm", 700)]);
            repo.timestamp += u64::from(n);
            repo.put(&format!("{name}-{n}.rpm"), 900, n);
            (name, repo)
        })
        .collect()
}

impl Estate {
    /// A new engine, of which what comes by the point first dies there, once; and the file that says so.
    pub fn armed(&self, point: &str) -> (Foreground, PathBuf) {
        self.engine_with(point, "KILL")
    }

    /// The same; it stands still there.
    pub fn still(&self, point: &str) -> (Foreground, PathBuf) {
        self.engine_with(point, "STOP")
    }

    fn engine_with(&self, point: &str, signal: &str) -> (Foreground, PathBuf) {
        static ENGINES: AtomicU64 = AtomicU64::new(0);
        self.qd(&["engine", "stop"]).expect(0);
        let once = self.home.root().join(format!("once-{}", ENGINES.fetch_add(1, Ordering::SeqCst)));
        let mut c = Command::new(EXE);
        c.arg("--state-dir").arg(self.home.state()).args(["engine", "run"]);
        c.env("QD_CRASH_AT", point).env("QD_CRASH_SIGNAL", signal).env("QD_CRASH_ONCE", &once).env("QD_TEST_HOME", self.home.root());
        let engine = Foreground::start(c);
        until("the engine", || self.home.socket().exists());
        (engine, once)
    }

    /// Three datacentres that serve compose 1 and have compose 2 in their trees.
    pub fn new(without: &str, more: &str) -> Self {
        Self::of(Self::plain(), without, more)
    }

    /// Composes of a few packages.
    pub fn plain() -> Write {
        Box::new(|n, name, at| {
            for (_, repo) in compose(n).into_iter().filter(|(r, _)| *r == name) {
                repo.write(at);
            }
        })
    }

    pub fn of(write: Write, without: &str, more: &str) -> Self {
        Self::on(Home::new(), write, without, more)
    }

    /// In a home that is there: with a disk of its own for a datacentre, it may be.
    pub fn on(home: Home, write: Write, without: &str, more: &str) -> Self {
        let mut e = Self { home, old: Vec::new(), write };
        e.publish(1);
        for dc in DCS {
            let id = e.snapshot(dc);
            e.switch(dc, &id).expect(0);
            e.old.push(id);
        }
        e.publish(2);
        let dcs: String = DCS
            .iter()
            .map(|dc| {
                let (root, base, app) = (e.root(dc), e.tree(dc, "base"), e.tree(dc, "app"));
                format!(
                    "[promotion.el9.dc.{dc}]\nroot = \"{}\"\ntrees = [\"base={}\", \"app={}\"]\n",
                    root.display(),
                    base.display(),
                    app.display()
                )
            })
            .collect();
        e.home.site(&format!(
            "second_person = \"none\"\n[repos.base]\ntree = \"{}\"\n[repos.app]\ntree = \"{}\"\n[content.el9-latest]\nrepos = [\"base\", \"app\"]\nos = \"el9\"\n\
             [promotion.el9]\nset = \"el9-latest\"\nage = \"1ms\"\nstreak = 1\n{more}[promotion.el9.without]\n{without}{dcs}",
            e.tree("alder", "base").display(),
            e.tree("alder", "app").display(),
        ));
        e
    }

    pub fn tree(&self, dc: &str, repo: &str) -> PathBuf {
        self.home.root().join(dc).join("latest").join(repo)
    }

    pub fn root(&self, dc: &str) -> PathBuf {
        self.home.root().join(dc).join("root")
    }

    pub fn publish(&self, n: u8) {
        for dc in DCS {
            for name in ["base", "app"] {
                (self.write)(n, name, &self.tree(dc, name));
            }
        }
    }

    pub fn step(&self, kind: &str, with: &[String]) -> (Out, PathBuf) {
        let report = self.home.root().join("report");
        let with: Vec<&str> = with.iter().map(String::as_str).collect();
        (run(crate::mirror::step(kind, &with, Path::new(""), &report)), report)
    }

    pub fn snapshot(&self, dc: &str) -> String {
        let tree = |r: &str| format!("tree={r}={}", self.tree(dc, r).display());
        let (out, report) = self.step("mirror/snapshot", &[format!("root={}", self.root(dc).display()), tree("base"), tree("app")]);
        out.expect(0);
        told(&report).1["id"].clone()
    }

    pub fn switch(&self, dc: &str, id: &str) -> Out {
        self.step("mirror/switch", &[format!("root={}", self.root(dc).display()), format!("to={id}")]).0
    }

    pub fn leads(&self, dc: &str) -> String {
        let link = std::fs::read_link(self.root(dc).join("stable")).unwrap();
        link.display().to_string().trim_start_matches("snapshots/").to_owned()
    }

    pub fn all_lead(&self) -> Vec<String> {
        DCS.map(|dc| self.leads(dc)).to_vec()
    }

    /// What every reader finds is whole.
    pub fn served(&self) {
        for dc in DCS {
            for repo in ["base", "app"] {
                read_whole(&self.root(dc).join("stable").join(repo), || ()).unwrap_or_else(|e| panic!("torn in {dc}: {e}"));
            }
        }
    }

    pub fn qd(&self, args: &[&str]) -> Out {
        self.home.qd(args)
    }

    pub fn promotion(&self) -> Value {
        self.home.json(&["get", "promotions"])["rows"][0].clone()
    }

    pub fn until(&self, state: &str) -> Value {
        until_some(&format!("the promotion to be {state}, it is {}", self.promotion()), || {
            Some(self.promotion()).filter(|p| p["state"] == state)
        })
    }

    /// A promotion that is READY; its name.
    pub fn ready(&self) -> String {
        let out = self.home.json(&["do", "promote", "el9", "--reason", "quarter"]);
        assert!(out["message"].as_str().unwrap().contains("is DRAFT"), "{out}");
        let id = self.promotion()["promotion"].as_str().unwrap().to_owned();
        self.qd(&["do", "promote-soak", &id]).expect(0);
        self.until("READY");
        id
    }

    pub fn approved(&self) -> String {
        let id = self.ready();
        let out = self.qd(&["approve", &id, "--comment", "looked"]).expect(0);
        assert!(out.stdout.contains("APPROVED") && out.stdout.contains("single person"), "{out:?}");
        id
    }

    pub fn start(&self, id: &str) -> Out {
        self.qd(&["do", "promote-start", id, "--reason", "quarter", "--confirm", "promote el9"])
    }

    pub fn people(&self, id: &str) {
        let run = self.promotion()["run"].as_str().unwrap().to_owned();
        for stage in ["Images", "ISO and bundles", "Waves"] {
            let stage = format!("stage={stage}");
            until_some(&format!("{stage} of {id}"), || (self.qd(&["approve", &run, "-p", &stage]).code == 0).then_some(()));
        }
    }

    /// Each of these acts has its entry, with the person who did it.
    pub fn entries(&self, actions: &[&str]) {
        let audit = self.home.json(&["get", "audit"]);
        let uid = rustix::process::getuid().as_raw();
        for action in actions {
            let done = |r: &Value| r["action"] == **action && r["result"] == "done" && r["uid"] == uid;
            assert!(audit["rows"].as_array().unwrap().iter().any(done), "{action}: {audit}");
        }
    }

    pub fn document(&self, id: &str) -> Value {
        let path = format!("/v1/promotions/{id}");
        crate::api::raw(&self.home.socket(), "GET", &path, "").1
    }
}

#[test]
fn a_quarter_from_soak_to_close_and_back_with_evidence_that_a_stranger_verifies() {
    let test = "a_quarter_from_soak_to_close_and_back_with_evidence_that_a_stranger_verifies";
    let key = "[evidence]\nkey = \"KEY\"\nidentity = \"promotions@example.org\"\n";
    let e = Estate::new(WITHOUT, "");
    let signed = have_program("ssh-keygen");
    if signed {
        let key_file = e.home.root().join("signing");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key_file).status().unwrap();
        assert!(made.success());
        let site = e.home.config().join("site.toml");
        let text = std::fs::read_to_string(&site).unwrap() + &key.replace("KEY", &key_file.display().to_string());
        std::fs::write(site, text).unwrap();
    }
    let id = e.approved();
    screens(&e, &id);
    // What soaks is a snapshot: the trees go on, the candidate does not.
    e.publish(3);
    let out = e.qd(&["do", "promote-start", &id, "--reason", "quarter", "--confirm", &id]).expect(4);
    assert!(out.stderr.contains("promote el9"), "{out:?}");
    e.start(&id).expect(0);
    let row = e.until("IMAGING");
    let candidate = row["to"].as_str().unwrap().to_owned();
    assert_eq!(e.all_lead(), vec![candidate.clone(); 3]);
    assert_ne!(candidate, e.old[0]);
    e.served();
    let doc = e.document(&id);
    assert_eq!((&doc["has_moved"], doc["gates"].as_array().unwrap().len()), (&json!(false), 10), "{doc:#}");
    assert!(doc["gates"][4]["text"].as_str().unwrap().starts_with("N/A: no source (add "), "{doc:#}");
    e.people(&id);
    e.until("CLOSED");
    // The way back, which says what it does not take back.
    e.qd(&["do", "promote-rollback", &id, "--reason", "bad"]).expect(4);
    let out = e.qd(&["do", "promote-rollback", &id, "--reason", "bad", "--confirm", &id]).expect(0);
    assert!(out.stdout.contains("not undone: packages that hosts have installed"), "{out:?}");
    e.until("ROLLED-BACK");
    assert_eq!(e.all_lead(), e.old);
    e.served();
    e.entries(&["promote", "promote-soak", "promote-approve", "promote-start", "promote-rollback"]);
    assert!(
        e.home.json(&["get", "decisions", "--filter", "kind=approve"])["rows"]
            .as_array()
            .unwrap()
            .iter()
            .any(|d| d["single_person"] == true)
    );
    evidence(&e, test, &id, signed);
}

/// What the engine says of it is all there on its screens.
fn screens(e: &Estate, id: &str) {
    for size in ["80x24", "140x40"] {
        let frame = e.qd(&["screen", "promotions", "--size", size]).expect(0).stdout;
        for wanted in [id, "APPROVED", "P starts it: type `promote el9`", "10 of 10 pass", "SINGLE PERSON"] {
            assert!(frame.contains(wanted), "{wanted}: {frame}");
        }
    }
    let frame = e.qd(&["screen", "promotion", id, "--size", "140x90"]).expect(0).stdout;
    for wanted in ["alder", "0 of 3 switched", "sources", "CVE ids", "BLAST RADIUS", "UNDO", "soak asked for", "Snapshot cedar"] {
        assert!(frame.contains(wanted), "{wanted}: {frame}");
    }
    let help = e.qd(&["screen", "promotion"]).expect(2).stderr;
    assert!(help.contains("needs a promotion"), "{help}");
}

fn evidence(e: &Estate, test: &str, id: &str, signed: bool) {
    let file = e.home.root().join("pack.tar.gz");
    e.qd(&["evidence", id, "-o", &file.display().to_string()]).expect(0);
    e.qd(&["evidence", id, "-o", &file.display().to_string()]).expect(4);
    let sh = |dir: &Path, script: &str| Command::new("sh").arg("-ec").arg(script).current_dir(dir).stdin(Stdio::null()).output().unwrap();
    let out = sh(e.home.root(), "tar xzf pack.tar.gz");
    assert!(out.status.success(), "{out:?}");
    let dir = e.home.root().join(format!("evidence-{id}"));
    let out = sh(&dir, "sha256sum -c --strict SHA256SUMS");
    assert!(out.status.success(), "{out:?}");
    // The sha that was approved is that of the bytes in the pack.
    let p: Value = serde_json::from_slice(&std::fs::read(dir.join("promotion.json")).unwrap()).unwrap();
    let sums = String::from_utf8(sh(&dir, "sha256sum plans/*").stdout).unwrap();
    assert!(sums.contains(p["approvals"][0]["sha"].as_str().unwrap()), "{p} {sums}");
    let read = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap() };
    let changes = read("changes.json");
    let changed: Vec<&str> = changes["rows"].as_array().unwrap().iter().map(|r| r["change"].as_str().unwrap()).collect();
    assert!(changed.iter().all(|c| matches!(*c, "new" | "gone")) && changed.len() == 4 && changes["cves"].is_array(), "{changes:#}");
    // The logs are where it says, and what it says.
    let logs = read("runs/quarterly-promotion-1.json")["logs"].clone();
    let mut seen = 0;
    for log in logs.as_array().unwrap() {
        let at = e.home.state().join(log["log"].as_str().unwrap());
        let packed = || std::fs::File::open(at.with_extension("zst")).and_then(zstd::stream::decode_all);
        if let Ok(bytes) = std::fs::read(&at).or_else(|_| packed()) {
            assert_eq!(log["sha256"], crate::mirror::sha256(&bytes), "{log}");
            seen += 1;
        }
    }
    assert!(seen > 0, "{logs:#}");
    // And their texts are in the pack itself: of each stage that ran, what its step said.
    let texts: Vec<(String, String)> = logs
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (l["stage"].as_str().unwrap().to_owned(), std::fs::read_to_string(dir.join(l["file"].as_str().unwrap())).unwrap()))
        .collect();
    let stages = ["Verify alder", "Closure", "Switch alder", "Switch birch", "Switch cedar"];
    for stage in stages {
        assert!(texts.iter().any(|(s, text)| s == stage && !text.trim().is_empty()), "{stage}: {texts:?}");
    }
    assert!(sh(&dir, "ls runs/promotion-soak-1/*.log runs/promotion-rollback-1/*.log").status.success());
    let audit = std::fs::read_to_string(dir.join("audit.json")).unwrap();
    assert!(audit.contains("whole: ") && audit.contains("promote-start"), "{audit}");
    if !signed {
        assert!(std::fs::read_to_string(dir.join("README.txt")).unwrap().contains("UNSIGNED"));
        skip(test, "no ssh-keygen: the signature is not verified");
        return;
    }
    let verify = "ssh-keygen -Y verify -f allowed_signers -I promotions@example.org -n quarterdeck-evidence -s SHA256SUMS.sig < SHA256SUMS";
    let out = sh(&dir, verify);
    assert!(out.status.success(), "{out:?}");
    let out = sh(&dir, &format!("echo x >> SHA256SUMS; {verify}"));
    assert!(!out.status.success(), "a changed list verifies: {out:?}");
}

#[test]
fn the_second_switch_of_three_fails_and_both_ways_out_work() {
    for back in [false, true] {
        let e = Estate::new(WITHOUT, "");
        let id = e.approved();
        // The book of birch's pointer cannot be read: its switch refuses, and touches nothing.
        let book = e.root("birch").join(".quarterdeck/pointers/stable.json");
        let good = std::fs::read(&book).unwrap();
        std::fs::write(&book, "{").unwrap();
        e.start(&id).expect(0);
        let row = e.until("HALTED");
        assert_eq!((&row["switched"], &row["halted_in"]), (&json!(1), &json!("SWITCHING")), "{row}");
        let candidate = row["to"].as_str().unwrap().to_owned();
        assert_eq!(e.all_lead(), [candidate.clone(), e.old[1].clone(), e.old[2].clone()]);
        let why = e.qd(&["why", &id]).expect(0).stdout;
        assert!(why.contains("alder: switched") && why.contains("birch: not switched") && why.contains("Switch birch"), "{why}");
        e.served();
        // Beside the promotion nobody goes on with its run.
        let run = row["run"].as_str().unwrap();
        let out = e.qd(&["resume", run, "--reason", "x"]).expect(4);
        assert!(out.stderr.contains("promote-resume"), "{out:?}");
        std::fs::write(&book, good).unwrap();
        if back {
            e.qd(&["do", "promote-rollback", &id, "--reason", "no", "--confirm", &id]).expect(0);
            e.until("ROLLED-BACK");
            assert_eq!(e.all_lead(), e.old);
        } else {
            e.qd(&["resume", &id, "--reason", "mended", "--confirm", &id]).expect(0);
            e.until("IMAGING");
            assert_eq!(e.all_lead(), vec![candidate; 3]);
        }
        e.served();
    }
}

#[test]
fn an_approval_after_the_plan_moved_is_void_and_so_is_a_start() {
    let e = Estate::new(WITHOUT, "");
    let id = e.ready();
    let third = {
        e.publish(3);
        e.snapshot("alder")
    };
    e.switch("alder", &third).expect(0);
    let out = e.qd(&["approve", &id]).expect(4);
    assert!(out.stderr.contains("has moved") && out.stderr.contains("alder.from"), "{out:?}");
    e.until("READY");
    e.qd(&["approve", &id]).expect(0);
    e.until("APPROVED");
    e.switch("alder", &e.old[0]).expect(0);
    let out = e.start(&id).expect(4);
    assert!(out.stderr.contains("moved") || out.stderr.contains("only what is APPROVED"), "{out:?}");
    e.until("READY");
    assert_eq!(e.promotion()["missing"], "ops security", "approvals of what was are void");
    assert_eq!(e.all_lead(), e.old);
    assert!(
        e.home.json(&["get", "decisions", "--filter", "kind=approve"])["rows"].as_array().unwrap().iter().all(|d| !d["ended"].is_null())
    );
}

#[test]
fn two_operators_at_once_make_one_promotion_and_one_start() {
    let e = Estate::new(WITHOUT, "");
    let both = |args: &[&str]| {
        let start = || {
            let mut c = e.home.command(args);
            c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children = [start(), start()];
        let mut codes: Vec<i32> = children.into_iter().map(|c| c.wait_with_output().unwrap().status.code().unwrap()).collect();
        codes.sort_unstable();
        codes
    };
    assert_eq!(both(&["do", "promote", "el9"]), [0, 4]);
    let id = e.promotion()["promotion"].as_str().unwrap().to_owned();
    e.qd(&["do", "promote-soak", &id]).expect(0);
    e.until("READY");
    e.qd(&["approve", &id]).expect(0);
    assert_eq!(both(&["do", "promote-start", &id, "--reason", "r", "--confirm", "promote el9"]), [0, 4]);
    e.until("IMAGING");
    let runs = e.home.json(&["get", "runs", "--filter", "pipeline=quarterly-promotion"]);
    assert_eq!(runs["rows"].as_array().unwrap().len(), 1, "{runs}");
}

#[test]
fn a_halt_stops_what_follows_and_a_resume_goes_on_there() {
    let e = Estate::new(WITHOUT, "");
    let id = e.approved();
    e.start(&id).expect(0);
    e.until("IMAGING");
    // No confirmation, no reason.
    e.qd(&["do", "promote-halt", &id]).expect(0);
    let row = e.until("HALTED");
    assert_eq!(row["halted_in"], "IMAGING");
    let run = row["run"].as_str().unwrap().to_owned();
    until_some("the run to end", || {
        let runs = e.home.json(&["get", "runs", "--filter", &format!("run={run}")]);
        (runs["rows"][0]["verdict"] == "cancelled").then_some(())
    });
    until_some("the resume", || (e.qd(&["do", "promote-resume", &id, "--reason", "r", "--confirm", &id]).code == 0).then_some(()));
    e.until("IMAGING");
    e.people(&id);
    e.until("CLOSED");
    e.entries(&["promote-halt", "promote-resume"]);
}

#[test]
fn killed_at_any_point_a_promotion_goes_on_and_nothing_is_torn() {
    for point in ["promotion.decided", "promotion.begun", "promotion.checked", "promotion.recorded"] {
        let e = Estate::new(WITHOUT, "");
        let id = e.approved();
        let (mut engine, once) = e.armed(point);
        // It may die under the question: what was decided goes on all the same.
        let _ = e.start(&id);
        engine.wait();
        assert!(once.exists(), "{point} was not reached");
        let row = until_some(&format!("{point}: the switches"), || {
            let row = e.promotion();
            // Killed before anything was decided: it waits to be asked again.
            if row["state"] == "APPROVED" {
                let _ = e.start(&id);
            }
            Some(row).filter(|r| r["state"] == "IMAGING")
        });
        assert_eq!(e.all_lead(), vec![row["to"].as_str().unwrap().to_owned(); 3], "{point}");
        e.served();
        let runs = e.home.json(&["get", "runs", "--filter", "pipeline=quarterly-promotion"]);
        assert_eq!(runs["rows"].as_array().unwrap().len(), 1, "{point}: {runs}");
    }
}

#[test]
fn what_moves_while_the_engine_is_dead_sends_it_back_before_a_pointer_moves() {
    let e = Estate::new(WITHOUT, "");
    let id = e.approved();
    let (mut engine, _) = e.armed("promotion.checked");
    let _ = e.start(&id);
    engine.wait();
    // Before the first check was answered, somebody moves the pointer of another datacentre.
    e.publish(3);
    let third = e.snapshot("cedar");
    e.switch("cedar", &third).expect(0);
    let row =
        until_some("the way back to the gates", || Some(e.promotion()).filter(|p| matches!(p["state"].as_str(), Some("GATED" | "READY"))));
    assert_eq!(row["switched"], 0, "{row}");
    assert_eq!(e.all_lead(), [e.old[0].clone(), e.old[1].clone(), third]);
    let runs = e.home.json(&["get", "runs", "--filter", "pipeline=quarterly-promotion"]);
    until_some("the run to end", || {
        let runs = e.home.json(&["get", "runs", "--filter", "pipeline=quarterly-promotion"]);
        (runs["rows"][0]["verdict"] == "failure").then_some(())
    });
    assert_eq!(runs["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn a_gate_without_a_reason_holds_it_until_a_canary_says_green_on_the_candidate() {
    let without: String = WITHOUT.lines().filter(|l| !l.starts_with("G4")).map(|l| format!("{l}\n")).collect();
    let e = Estate::new(&without, "");
    let text = |fails: bool| {
        let command = if fails { "exit 1" } else { "'true'" };
        format!(
            "format: 1\nname: rpmcanary\nlabels: {{canary: rpm}}\nstages:\n  - name: judge\n    reads: el9-latest\n    run: {command}\n"
        )
    };
    e.home.json(&["do", "promote", "el9"]);
    let id = e.promotion()["promotion"].as_str().unwrap().to_owned();
    e.qd(&["do", "promote-soak", &id]).expect(0);
    e.until("GATED");
    let why = || e.qd(&["why", &id]).expect(0).stdout;
    assert!(why().contains("N/A: no source (add a pipeline labelled `canary: rpm`)"), "{}", why());
    let out = e.qd(&["approve", &id]).expect(4);
    assert!(out.stderr.contains("READY"), "{out:?}");
    let inspector =
        "format: 1\nname: inspector\nlabels: {canary: inspector}\nstages:\n  - name: judge\n    reads: el9-latest\n    run: 'true'\n";
    e.home.pipeline("inspector", inspector);
    e.qd(&["run", "inspector", "--wait"]).expect(0);
    e.home.pipeline("rpmcanary", &text(true));
    e.qd(&["run", "rpmcanary", "--wait"]).expect(1);
    until_some("the red verdict", || why().contains("FAIL: canary:rpm: rpmcanary#1 is red").then_some(()));
    e.home.pipeline("rpmcanary", &text(false));
    e.qd(&["run", "rpmcanary", "--wait"]).expect(0);
    e.until("READY");
    e.qd(&["approve", &id]).expect(0);
    // Red on the same content: what was agreed to has moved.
    e.home.pipeline("rpmcanary", &text(true));
    e.qd(&["run", "rpmcanary", "--wait"]).expect(1);
    let row = e.until("GATED");
    assert!(row["moved"].as_str().unwrap().contains("G4"), "{row}");
    // A waiver passes it, by name and reason; the site lets one person do it, and that is said.
    e.qd(&["do", "promote-waive", &id, "--with", "gate=G4", "--reason", "known"]).expect(4);
    let out = e.qd(&["do", "promote-waive", &id, "--with", "gate=G4", "--reason", "known", "--confirm", &id]).expect(0);
    assert!(out.stdout.contains("single person"), "{out:?}");
    e.until("READY");
    assert_eq!(e.promotion()["waived"], 1);
    e.qd(&["do", "promote-veto", &id]).expect(2);
    e.qd(&["deny", &id]).expect(2);
    e.qd(&["do", "deny", &id, "--reason", "not this quarter"]).expect(0);
    e.until("VETOED");
    e.qd(&["approve", &id]).expect(4);
    e.entries(&["promote-waive", "promote-veto"]);
    // Another one may begin.
    e.home.json(&["do", "promote", "el9"]);
}

#[test]
fn a_held_package_stays_as_it_is_served_and_what_is_not_served_cannot_be_held() {
    let e = Estate::new(WITHOUT, "");
    let confirm = ["--reason", "INC-1", "--confirm", "el9"];
    let hold = |package: &str| {
        let with = format!("package={package}");
        e.qd(&[&["do", "hold-add", "el9", "--with", &with, "--with", "until=7d"][..], &confirm[..]].concat())
    };
    e.qd(&["do", "hold-add", "el9", "--with", "package=base-1", "--with", "until=15d", "--reason", "r", "--confirm", "el9"]).expect(2);
    e.qd(&["do", "hold-add", "el9", "--with", "package=../x", "--with", "until=1d", "--reason", "r", "--confirm", "el9"]).expect(2);
    hold("base-1").expect(0);
    hold("base-1").expect(4);
    let rows = e.home.json(&["get", "holds"]);
    assert_eq!((&rows["rows"][0]["package"], &rows["rows"][0]["state"]), (&json!("base-1"), &json!("ACTIVE")), "{rows}");
    let id = e.approved();
    e.start(&id).expect(0);
    e.until("IMAGING");
    e.served();
    for dc in DCS {
        let stable = e.root(dc).join("stable");
        // Compose 2 with the package of compose 1: what replaced it upstream is there as well, under its own name.
        assert_eq!(read_whole(&stable.join("base"), || ()), Ok(4), "{dc}");
        assert!(stable.join("base/Packages/base-1.rpm").is_file() && stable.join("base/Packages/base-2.rpm").is_file());
        assert_eq!(read_whole(&stable.join("app"), || ()), Ok(3), "{dc}");
    }
    let doc = e.document(&id);
    assert_eq!((&doc["holds"][0]["package"], &doc["holds"][0]["reason"]), (&json!("base-1"), &json!("INC-1")), "{doc:#}");
    e.people(&id);
    e.until("CLOSED");
    // A hold of what nobody serves is refused when it is asked for.
    let out = hold("nowhere").expect(4);
    assert!(out.stderr.contains("nothing by the name nowhere is served"), "{out:?}");
    e.home.json(&["do", "promote", "el9"]);
    let id = e.promotion()["promotion"].as_str().unwrap().to_owned();
    e.qd(&["do", "promote-soak", &id]).expect(0);
    e.until("READY");
    // Dropped after the candidate was taken: it is taken again, of the same snapshot.
    let taken = e.promotion()["to"].clone();
    e.qd(&["do", "hold-drop", "1", "--reason", "mended", "--confirm", "1"]).expect(0);
    let row = e.until("GATED");
    assert!(row["moved"].as_str().unwrap().contains("holds: "), "{row}");
    e.qd(&["do", "promote-soak", &id]).expect(0);
    e.until("READY");
    assert_ne!(e.promotion()["to"], taken);
    hold("base-2").expect(0);
    e.qd(&["do", "hold-extend", "2", "--with", "until=15d", "--reason", "r", "--confirm", "2"]).expect(2);
    e.qd(&["do", "hold-extend", "2", "--with", "until=10d", "--reason", "r", "--confirm", "2"]).expect(0);
    e.entries(&["hold-add", "hold-drop", "hold-extend"]);
}
