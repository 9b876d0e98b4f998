//! Runs that stages start, and people: the guard judges whoever asked for the run above, two people at L3 agree once to all of it, and the
//! requester of the one is the requester of the other wherever four eyes are wanted.

use super::*;

const CHILD: &str = "format: 1\nname: child\nstages:\n  - name: a\n    run: echo done\n";

/// Waits for a file, then starts `build`.
fn umbrella(e: &Estate, build: &str) -> (PathBuf, String) {
    let go = e.home.root().join("go");
    let first = format!("while ! test -e {}; do sleep 0.05; done", go.display());
    (go, format!("format: 1\nname: umbrella\nstages:\n  - name: first\n    run: {first}\n  - name: c\n    build: {build}\n"))
}

fn audit_of(e: &Estate, action: &str, subject: &str) -> Vec<Value> {
    e.rows("audit").into_iter().filter(|r| r["action"] == action && r["subject"] == subject && r["result"] == "done").collect()
}

#[test]
fn the_run_of_a_stage_is_judged_anew_by_who_asked_for_the_run_above() {
    let test = "the_run_of_a_stage_is_judged_anew_by_who_asked_for_the_run_above";
    let both = "[roles]\noperator = [\"ann\", \"bob\", \"root\"]\nviewer = [\"eve\"]\n";
    let Some(estate) = Estate::shared(test, both, &[("child", CHILD)]) else { return };
    let (go, text) = umbrella(&estate, "child");
    estate.pipeline("umbrella", &text);
    let e = estate.started();
    refused(e.act(EVE, json!({"action": "run", "target": "umbrella"})), "eve may not");
    // Whoever loses the role meanwhile starts nothing more; nor does anybody on a site that has become read-only.
    for (n, site, said) in [
        (1, "[roles]\noperator = [\"bob\"]\nviewer = [\"ann\", \"root\"]\n", "ann may not"),
        (2, &*format!("read_only = true\n{both}"), "read-only"),
    ] {
        e.site(both);
        let asked = until_some("ann may start it", || {
            let answer = e.act(ANN, json!({"action": "run", "target": "umbrella"}));
            (answer.0 == 200).then_some(answer)
        });
        done(asked, "is queued");
        let run = format!("umbrella#{n}");
        e.until_state(&run, "running");
        // A table belongs behind the keys of the file's head.
        let engine = format!("[engine]\nsocket = \"{}\"\n", e.socket().display());
        let text = if site.starts_with("read_only") {
            site.replacen("read_only = true\n", &format!("read_only = true\n{engine}"), 1)
        } else {
            site.to_owned()
        };
        e.site(&text);
        until("the new site file to hold", || e.act(ANN, json!({"action": "run", "target": "child", "key": "probe"})).0 == 403);
        std::fs::write(&go, "").unwrap();
        let row = e.until_state(&run, "done");
        assert!(row["verdict"] == "failure" && row["failed_stage"] == "c" && row["detail"].as_str().unwrap().contains(said), "{row}");
        std::fs::remove_file(&go).unwrap();
    }
    assert!(e.rows("runs").iter().all(|r| r["pipeline"] != "child"), "nothing of it has begun");
    // Root is who logged in, below as above.
    e.site(both);
    e.people(&[(0, Some(BOB))]);
    std::fs::write(&go, "").unwrap();
    until("bob may start it as root", || e.act(0, json!({"action": "run", "target": "umbrella", "key": "root"})).0 == 200);
    assert_eq!(e.until_state("umbrella#3", "done")["verdict"], "success");
    let (above, below) = (audit_of(&e, "run", "umbrella#3").remove(0), audit_of(&e, "run", "child#1").remove(0));
    for key in ["who", "uid", "login_uid"] {
        assert_eq!(above[key], below[key], "{below}");
    }
    assert_eq!((&below["uid"], &below["login_uid"]), (&json!(0), &json!(BOB)));
    assert_eq!(e.row("child#1")["requested_by"], e.row("umbrella#3")["requested_by"]);
}

#[test]
fn two_people_agree_once_to_a_start_and_to_what_its_stages_start() {
    let test = "two_people_agree_once_to_a_start_and_to_what_its_stages_start";
    if !have_program("setpriv") {
        return skip(test, "no setpriv");
    }
    let site = "[engine]\nsocket = \"SOCKET\"\ngroup = \"quarterdeck\"\n[roles]\noperator = [\"ann\", \"bob\", \"cal\"]\n";
    let Some(estate) = Estate::shared(test, site, &[("child", &CHILD.replace("stages", "danger: L3\nstages"))]) else { return };
    let (go, text) = umbrella(&estate, "child");
    estate.pipeline("umbrella", &text);
    std::fs::write(&go, "").unwrap();
    let mut e = estate.started();
    // What a stage starts makes the start as dangerous.
    assert!(e.qd(ANN, GROUP, &["run", "umbrella"]).expect(4).stderr.contains("needs a reason"));
    let told = e.qd(ANN, GROUP, &["run", "umbrella", "--reason", "kernel", "--confirm", "umbrella"]).expect(0);
    assert!(told.stdout.contains("waits for a second person"), "{told:?}");
    e.kill();
    e.start();
    assert!(e.qd(ANN, GROUP, &["approve", "umbrella#1"]).expect(4).stderr.contains("ann asked for it"));
    e.people(&[(0, Some(ANN)), (CAL, Some(ANN))]);
    assert!(e.qd(CAL, GROUP, &["approve", "umbrella#1"]).expect(4).stderr.contains("the login uid of ann, who asked for it"));
    e.people(&[]);
    assert!(e.rows("runs").iter().all(|r| r["pipeline"] != "child"));
    e.qd(BOB, GROUP, &["approve", "umbrella#1"]).expect(0);
    assert_eq!(e.until_state("umbrella#1", "done")["verdict"], "success");
    // The child asked nobody again, and is in the chain under the name of who asked.
    let asked: Vec<Value> = e.rows("decisions").into_iter().filter(|d| d["kind"] == "request").collect();
    assert!(asked.len() == 1 && asked[0]["subject"] == "umbrella#1", "{asked:?}");
    let below = audit_of(&e, "run", "child#1");
    assert!(below.len() == 1 && below[0]["who"] == "ann" && below[0]["uid"] == ANN, "{below:?}");
    assert!(below[0]["single_person"] != true, "{below:?}");
    // Denied, nothing of either begins.
    e.qd(ANN, GROUP, &["run", "umbrella", "--reason", "again", "--confirm", "umbrella"]).expect(0);
    e.qd(BOB, GROUP, &["do", "deny", "umbrella#2", "--reason", "no"]).expect(0);
    assert_eq!(e.until_state("umbrella#2", "done")["verdict"], "cancelled");
    assert_eq!(e.rows("runs").iter().filter(|r| r["pipeline"] == "child").count(), 1);
}

#[test]
fn an_approval_inside_the_run_of_a_stage_is_not_for_who_asked_for_the_run_above() {
    let test = "an_approval_inside_the_run_of_a_stage_is_not_for_who_asked_for_the_run_above";
    let gate = |more: &str| {
        format!(
            "format: 1\nname: gated\nstages:\n  - name: agree\n    approve: {{roles: release-manager, not: requester{more}}}\n  - name: go\n    run: echo done\n"
        )
    };
    let Some(estate) = Estate::shared(test, &ROLES.replace("[\"dan\"]", "[\"ann\", \"dan\"]"), &[("gated", &gate(""))]) else { return };
    let (go, text) = umbrella(&estate, "gated");
    estate.pipeline("umbrella", &text);
    std::fs::write(&go, "").unwrap();
    let mut e = estate.started();
    done(e.act(ANN, json!({"action": "run", "target": "umbrella"})), "is queued");
    e.until_state("gated#1", "waiting");
    refused(e.approve(ANN, "gated#1", json!({})), "ann asked for it");
    refused(e.approve(DAN, "gated#1", json!({})), "not for dan to decide");
    e.people(&[(0, Some(ANN))]);
    refused(e.approve(0, "gated#1", json!({})), "root has the login uid of ann, who asked for it");
    e.people(&[]);
    e.kill();
    e.start();
    assert!(e.why("umbrella#1").contains("gated#1"), "{}", e.why("umbrella#1"));
    done(e.approve(BOB, "gated#1", json!({})), "gated#1/agree is approved");
    assert_eq!(e.until_state("umbrella#1", "done")["verdict"], "success");
    // Nobody answers: the stage above says why it failed.
    e.pipeline("gated", &gate(", expires: 1s"));
    done(e.act(ANN, json!({"action": "run", "target": "umbrella"})), "is queued");
    let row = e.until_state("umbrella#2", "done");
    assert!(row["verdict"] == "failure" && row["detail"].as_str().unwrap().contains("expired: 0 of 1 approved"), "{row}");
    // Somebody else's run is theirs to cancel, below as above: L2 for others.
    e.pipeline("gated", &gate(""));
    done(e.act(ANN, json!({"action": "run", "target": "umbrella"})), "is queued");
    e.until_state("gated#3", "waiting");
    refused(e.act(DAN, json!({"action": "cancel", "target": "gated#3"})), "needs a reason");
    done(e.act(ANN, json!({"action": "cancel", "target": "gated#3"})), "cancelled");
    assert_eq!(e.until_state("umbrella#3", "done")["verdict"], "cancelled");
}

#[test]
fn doctor_shows_the_surroundings_of_a_shared_engine_and_not_those_of_who_asks() {
    let test = "doctor_shows_the_surroundings_of_a_shared_engine_and_not_those_of_who_asks";
    if !have_program("setpriv") {
        return skip(test, "no setpriv");
    }
    let Some(estate) = Estate::shared(test, ROLES, &[("child", CHILD)]) else { return };
    let find = |out: &Out, check: &str| {
        let rows = out.json()["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|r| r["check"] == check).unwrap_or_default()
    };
    // Without it, what is found is what they themselves have.
    let before = estate.qd(EVE, EVE, &["--json", "doctor"]);
    assert!(find(&before, "state-directory")["found"].as_str().unwrap().contains(&format!("of-{EVE}")), "{before:?}");
    assert_eq!(find(&before, "socket")["state"], "fail");
    let e = estate.started();
    let doc = e.qd(EVE, EVE, &["--json", "doctor"]);
    let state = find(&doc, "state-directory");
    assert!(state["state"] == "ok" && state["found"].as_str().unwrap().contains(&e.home.state().display().to_string()), "{state}");
    let (_, machine) = e.ask(0, "GET", "/v1/machine", "");
    let told = machine["rows"].as_array().unwrap().iter().find(|r| r["check"] == "containment").unwrap().clone();
    assert!(told["found"].as_str().unwrap().starts_with("the engine's steps"), "{told}");
    assert_eq!(find(&doc, "containment"), told);
}
