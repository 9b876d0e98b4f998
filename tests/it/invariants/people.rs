//! I15 and I16: what people asked for outlives the engine, and every change names who asked.

use serde_json::{Value, json};

use super::bounds::kill_engine;
use crate::api::{HELLO, act};
use crate::support::{Home, until};

#[test]
fn i15_a_drain_survives_a_kill_and_says_who_and_why() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "start"]).expect(0);
    home.qd(["engine", "drain", "--reason", "kernel update"]).expect(0);
    kill_engine(&home);
    // The engine that the client starts is drained too.
    home.qd(["run", "hello"]).expect(0);
    assert_eq!(home.json(&["engine", "status"])["draining"], json!(true));
    let why = home.qd(["why", "hello#1"]).expect(0).stdout;
    assert!(why.contains("kernel update"), "{why}");
    kill_engine(&home);
    assert_eq!(home.json(&["get", "runs"])["rows"][0]["state"], json!("queued"));
    home.qd(["engine", "drain", "--off"]).expect(0);
    kill_engine(&home);
    until("the run to go on", || home.json(&["get", "runs"])["rows"][0]["verdict"] == json!("success"));
    assert_eq!(home.json(&["engine", "status"])["draining"], json!(false));
}

/// How each action of the registry is made possible and asked for: what is done before, the request, the subject of its entry.
fn request(home: &Home, action: &str) -> Option<(Value, &'static str)> {
    let target = |target: &str| json!({"action": action, "target": target, "reason": "test"});
    Some(match action {
        "run" => (target("hello"), "hello#1"),
        "replay" => (target("bad#1"), "bad#2"),
        "approve" | "deny" => {
            // Root without a login uid decides only where one person may.
            home.site("second_person = \"none\"\n");
            home.pipeline("asks", "format: 1\nname: asks\nstages:\n  - name: agree\n    approve: {roles: operator}\n");
            home.qd(["run", "asks"]).expect(0);
            until("it to ask", || home.json(&["get", "runs", "--filter", "run=asks#1"])["rows"][0]["state"] == json!("waiting"));
            (target("asks#1"), "asks#1/agree")
        }
        "cancel" => {
            home.qd(["run", "long"]).expect(0);
            (target("long#1"), "long#1")
        }
        "resume" | "retry" | "pin" => (target("bad#1"), "bad#1"),
        "unpin" => {
            home.qd(["do", "pin", "bad#1"]).expect(0);
            (target("bad#1"), "bad#1")
        }
        "freeze" | "thaw" => {
            let (tree, root) = (home.root().join("m/base9"), home.root().join("m"));
            home.site(&format!(
                "[repos.base9]\nupstream = [\"http://127.0.0.1:1/\"]\ntree = {tree:?}\nwriter = \"quarterdeck\"\n[mirror]\nroots = [{root:?}]\n"
            ));
            if action == "thaw" {
                home.qd(["do", "freeze", "base9", "--with", "until=7d", "--reason", "test", "--confirm", "base9"]).expect(0);
            }
            let with = if action == "freeze" { json!({"until": "7d"}) } else { json!({}) };
            (json!({"action": action, "target": "base9", "with": with, "reason": "test", "confirm": "base9"}), "repo base9")
        }
        "drain" | "stop" => (json!({"action": action, "reason": "test"}), "engine"),
        "undrain" => {
            home.qd(["engine", "drain", "--reason", "test"]).expect(0);
            (json!({"action": action, "reason": "test"}), "engine")
        }
        "run-missed" => {
            home.qd(["engine", "stop"]).expect(0);
            let db = rusqlite::Connection::open(home.state().join("state.db")).unwrap();
            let row = "INSERT INTO occurrence (pipeline, trigger, scheduled_us, outcome, cause, why, decided_us)
                       VALUES ('hello', 'cron 0 0 * * * (UTC)', 1767225600000000, 'skipped', 'missed', 'test', 0)";
            db.execute(row, []).unwrap();
            drop(db);
            home.qd(["engine", "start"]).expect(0);
            let with = json!({"scheduled_for": "2026-01-01T00:00:00Z"});
            (json!({"action": action, "target": "hello", "with": with, "reason": "test"}), "hello#1")
        }
        _ => return None,
    })
}

/// Actions that need a world of their own: the test that looks at their entry.
const QUARTER: &str = "it::promotion::a_quarter_from_soak_to_close_and_back_with_evidence_that_a_stranger_verifies";
const HALT: &str = "it::promotion::a_halt_stops_what_follows_and_a_resume_goes_on_there";
const GATE: &str = "it::promotion::a_gate_without_a_reason_holds_it_until_a_canary_says_green_on_the_candidate";
const HOLD: &str = "it::promotion::a_held_package_stays_as_it_is_served_and_what_is_not_served_cannot_be_held";
const LANE: &str =
    "it::promotion_lane::an_addition_is_served_beside_what_is_there_absorbed_by_the_next_promotion_and_taken_out_by_its_way_back";
const ELSEWHERE: &[(&str, &str)] = &[
    ("force-finish", "it::contract::force_ends_as_lost_what_a_cancel_cannot_reach_and_says_before_what_to_do"),
    ("secret-set", "it::secrets::service::a_secret_is_set_used_and_rotated_in_the_secret_service"),
    ("promote", QUARTER),
    ("promote-approve", QUARTER),
    ("promote-rollback", QUARTER),
    ("promote-soak", QUARTER),
    ("promote-start", QUARTER),
    ("promote-halt", HALT),
    ("promote-resume", HALT),
    ("promote-veto", GATE),
    ("promote-waive", GATE),
    ("hold-add", HOLD),
    ("hold-drop", HOLD),
    ("hold-extend", HOLD),
    ("oob-add", LANE),
];

#[test]
fn i16_every_action_that_changes_something_leaves_an_entry_with_its_person() {
    let uid = rustix::process::getuid().as_raw();
    let tests = super::own_tests();
    for action in quarterdeck::action::ALL.iter().filter(|a| a.level > quarterdeck::domain::level::Level::L0) {
        if let Some((_, test)) = ELSEWHERE.iter().find(|(id, _)| *id == action.id) {
            assert!(tests.contains(*test), "{}: there is no test {test}", action.id);
            continue;
        }
        let home = Home::new();
        home.pipeline("hello", HELLO);
        home.pipeline("bad", "format: 1\nname: bad\nstages:\n  - name: a\n    run: exit 1\n");
        home.pipeline("long", "format: 1\nname: long\nstages:\n  - name: a\n    run: sleep 1000\n");
        home.qd(["run", "bad", "--wait"]).expect(1);
        let Some((body, subject)) = request(&home, action.id) else {
            panic!("`{}` is new: say in `request` how it is asked for", action.id);
        };
        let before = home.json(&["get", "audit"])["rows"].as_array().map_or(0, Vec::len);
        let (status, answer) = act(&home.socket(), body);
        assert_eq!(status, 200, "{}: {answer}", action.id);
        // Exits with 1 where the chain does not verify. After `stop` this is the next engine.
        let audit = home.json(&["get", "audit"]);
        let rows = audit["rows"].as_array().unwrap();
        assert_eq!(rows.len(), before + 1, "{}: one entry for one change: {audit}", action.id);
        let entry = rows.iter().max_by_key(|r| r["seq"].as_u64()).unwrap();
        assert_eq!(
            (&entry["action"], &entry["subject"], &entry["result"]),
            (&json!(action.id), &json!(subject), &json!("done")),
            "{entry}"
        );
        assert_eq!((&entry["uid"], &entry["reason"]), (&json!(uid), &json!("test")), "{entry}");
        assert!(entry["who"].as_str().is_some_and(|w| !w.is_empty()), "{entry}");
    }
}
