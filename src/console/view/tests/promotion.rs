//! What an engine says of promotions, for the tests of screens; and what their pages say of it.

use serde_json::{Value, json};

use super::{bare, filled, said, tell, text};
use crate::api::types::Armed;
use crate::console::keymap::Key;
use crate::console::model::screen::Kind;
use crate::console::msg::{Effect, LinkMsg, Msg};
use crate::console::question::Question;
use crate::console::update::update;

const ID: &str = "PR-2026Q2-el9";

pub fn rows() -> Vec<Value> {
    vec![
        json!({
            "promotion": ID, "os": "el9", "set": "el9-latest", "state": "GATED", "from": "20251229T010000-20bd71aa", "from_fp": "20bd71aa03bb17e2",
            "to": "20260403T013000-9c41aa03", "to_fp": "9c41aa03bb17e2", "holds": 1, "gates": 10, "passed": 7, "waived": 1, "failed": 1, "no_source": 2,
            "sha": "77f2aa03bb17e20c77f2aa03bb17e20c", "missing": "ops security", "author": "ann", "change": "CHG-402", "reason": "Q2",
            "created": "2026-04-02T14:00:00Z", "soak": "2026-04-03T14:00:00Z", "closed": null, "run": "promotion-soak#3", "halted_in": null,
            "switched": 0, "datacentres": 3, "moved": "", "detail": "soak has its snapshots",
        }),
        json!({
            "promotion": "PR-2026Q1-el9", "os": "el9", "set": "el9-latest", "state": "CLOSED", "from": "20251001T010000-aa", "from_fp": "aa",
            "to": "20251229T010000-20bd71aa", "to_fp": "20bd71aa03bb17e2", "holds": 0, "gates": 10, "passed": 10, "waived": 0, "failed": 0,
            "no_source": 2, "sha": "ab", "missing": "", "author": "bob", "change": "", "reason": "Q1", "created": "2026-01-02T14:00:00Z",
            "soak": "2026-01-03T14:00:00Z", "closed": "2026-01-05T16:00:00Z", "run": "quarterly-promotion#2", "halted_in": null, "switched": 3,
            "datacentres": 3, "moved": "", "detail": "closed",
        }),
    ]
}

pub fn document() -> Value {
    let gate = |gate: &str, title: &str, result: &str, passes: bool, detail: &str, evidence: Value| {
        let na = result == "N/A";
        json!({
            "gate": gate, "title": title, "owner": "release-manager", "result": result, "passes": passes, "text": result, "detail": detail,
            "evidence": evidence, "add": if na { json!("[salt]") } else { Value::Null },
            "accepted": if na && passes { json!("no sandbox yet") } else { Value::Null },
        })
    };
    let dc = |dc: &str, free: u64| {
        json!({
            "dc": dc, "root": format!("/srv/{dc}"), "pointer": "stable", "from": "20251229T010000-20bd71aa", "from_fp": "20bd71aa03bb17e2",
            "to": "20260403T013000-9c41aa03", "to_fp": "9c41aa03bb17e2", "now": "20251229T010000-20bd71aa", "now_fp": "20bd71aa03bb17e2",
            "switched": false, "free_bytes": free, "packages": 9214, "size_bytes": 25_877_207_040_u64, "why": "",
        })
    };
    let mut doc = json!({
        "promotion": ID, "os": "el9", "set": "el9-latest", "state": "GATED", "author": "ann", "reason": "Q2", "change": "CHG-402",
        "created": "2026-04-02T14:00:00Z", "soak": "2026-04-03T14:00:00Z", "closed": null, "sha": "77f2aa03bb17e20c77f2aa03bb17e20c",
        "sha_now": "77f2aa03bb17e20c77f2aa03bb17e20c", "has_moved": false, "moved": [],
        "hindrances": ["G3 image canary streak: PENDING: 2 of 3 green on 9c41aa03bb17", "G4 rpm canary and inspector: FAIL: rpmcanary#750 is red: openssl"],
        "halted_in": null, "runs": {"soak": "promotion-soak#3", "switch": null, "undo": null},
        "gates": [
            gate("G1", "mirrors coherent, all DCs", "OK", true, "3 of 3 hold 9c41aa03bb17", json!(["9c".repeat(32)])),
            gate("G2", "age of the content", "OK", true, "4d of 72h", json!(["2026-04-03T01:30:00Z"])),
            gate("G3", "image canary streak", "PENDING", false, "2 of 3 green on 9c41aa03bb17", json!(["imgcanary#559", "imgcanary#560"])),
            gate("G4", "rpm canary and inspector", "FAIL", false, "rpmcanary#750 is red: openssl", json!(["rpmcanary#750"])),
            gate("G5", "required formula cells", "STALE", false, "ops-base was looked at 3d ago", json!([])),
            gate("G6", "sandbox soak", "N/A", true, "no source", json!([])),
            gate("G7", "signatures", "OK", true, "9214 of 9214 signed by 1 key", json!(["8483c65d"])),
            gate("G8", "vendor agents certified", "WAIVED", true, "no certificate for kernel 611", json!([])),
            gate("G9", "window open, no freeze", "OK", true, "calendar is open", json!(["patch window"])),
            gate("G10", "way back: snapshot, space", "OK", true, "alder, birch, cedar", json!(["20251229T010000-20bd71aa"])),
        ],
        "moves": [dc("alder", 3_400_000_000_000), dc("birch", 3_100_000_000_000), dc("cedar", 2_900_000_000_000)],
        "holds": [{"id": 1, "kind": "hold", "package": "crypto-policies", "nevra": "", "owner": "dba-team", "reason": "INC-1", "until_us": 1_776_780_000_000_000_i64}],
        "changes": {"from_fp": "20bd71aa03bb17e2", "to_fp": "9c41aa03bb17e2", "from_compose": "CentOS-Stream-9-20251229.0", "to_compose": "CentOS-Stream-9-20260403.1"},
        "blast": {"repos": ["appstream", "baseos"], "trees": ["/srv/alder/stable/baseos", "/srv/birch/stable/baseos", "/srv/cedar/stable/baseos"],
            "pipelines": [], "kickstarts": [], "unknown": ["hosts: no source (add [salt])", "images: no source (add [koji])"]},
        "undo": ["alder: /srv/alder/stable back to 20251229T010000-20bd71aa", "birch: /srv/birch/stable back to 20251229T010000-20bd71aa",
            "cedar: /srv/cedar/stable back to 20251229T010000-20bd71aa"],
        "not_undone": ["packages that hosts have installed meanwhile stay", "data that new packages have converted, and firmware"],
        "approvals": [{"side": "ops", "who": "old-op", "at": "2026-04-06T08:51:00Z", "comment": "", "sha": "0000", "single_person": false}],
        "missing": ["ops", "security"],
        "waivers": [{"gate": "G8", "who": "sec-02", "second": "ann", "reason": "kernel 611 is certified next week", "at": "2026-04-06T08:00:00Z",
            "until": "2026-04-20T08:00:00Z", "holds": true, "single_person": false}],
        "start": "promote el9",
        "sequence": [
            {"run": "promotion-soak#3", "stage": "Snapshot alder", "state": "done", "verdict": "success", "detail": "", "started": "2026-04-03T13:58:00Z", "ended": "2026-04-03T13:59:00Z"},
            {"run": "promotion-soak#3", "stage": "Snapshot cedar", "state": "done", "verdict": "success", "detail": "", "started": "2026-04-03T13:59:00Z", "ended": "2026-04-03T14:00:00Z"},
        ],
        "notes": [
            {"at": "2026-04-02T14:00:00Z", "state": "DRAFT", "who": "ann", "text": "opened"},
            {"at": "2026-04-03T14:00:00Z", "state": "GATED", "who": "engine", "text": "soak has its snapshots"},
        ],
        "plans": [], "plan": {},
    });
    if let (Value::Object(doc), Value::Object(more)) = (&mut doc, more()) {
        doc.extend(more);
    }
    doc
}

/// Its lane, what is served beside it, and its calendar.
fn more() -> Value {
    json!({
        "lane": "quarter", "skips": [],
        "additions": [
            {"id": 4, "package": "openssl", "nevra": "openssl-1:3.5.5-2.el9.x86_64", "promotion": "PR-2026Q1-el9-oob", "owner": "sec-02",
             "until_us": 1_775_400_000_000_000_i64, "fate": "absorbed", "by": "openssl-1:3.5.5-3.el9.x86_64"},
            {"id": 5, "package": "vendor-agent", "nevra": "vendor-agent-7.2-1.x86_64", "promotion": "PR-2026Q1-el9-oob", "owner": "sec-02",
             "until_us": 1_775_600_000_000_000_i64, "fate": "dropped", "by": ""},
        ],
        "calendar": {
            "calendar": "patch-window", "owner": "release", "zone": "America/Chicago", "open": false, "broken": null, "days": 60,
            "why": "closed by calendar patch-window of release: nobody patches at night; until Tue 2026-04-07 09:00 CDT",
            "coming": [
                {"at": "2026-04-07T14:00:00Z", "open": true, "freeze": false, "why": ""},
                {"at": "2026-04-07T21:00:00Z", "open": false, "freeze": false, "why": "nobody patches at night"},
                {"at": "2026-06-26T05:00:00Z", "open": false, "freeze": true, "why": "quarter-end"},
            ],
        },
    })
}

pub fn diff() -> Value {
    let side = |content: &str, packages: u64| json!({"content": content, "is": format!("list {content}"), "fp": content, "packages": packages, "size_bytes": 25_877_207_040_u64, "repos": ["baseos"]});
    let counts = |up: u64| json!({"up": up, "down": 0, "new": 14, "gone": 3, "rebuilt": 0, "moved": 0, "copies": 0, "same": 8_000});
    let package = |change: &str, name: &str, old: Value, new: Value| {
        json!({"change": change, "name": name, "arch": "x86_64", "repo": "baseos", "source": name, "stream": "", "old": old, "new": new,
            "old_repo": null, "old_bytes": 100_000, "new_bytes": 120_000})
    };
    let source = |source: &str, change: &str, old: Value, new: Value, changelog: &str, cves: Value| {
        json!({"source": source, "change": change, "old": old, "new": new, "packages": 3, "old_bytes": 300_000, "new_bytes": 320_000,
        "changelog": changelog, "cves": cves, "entries": [
            {"date": "2026-03-20T12:00:00Z", "author": "A Maintainer <a@example.org>", "text": "- fix a use after free (CVE-2026-1111)"},
        ]})
    };
    json!({
        "what": "diff", "a": side("20bd71aa03bb17e2", 9_100), "b": side("9c41aa03bb17e2", 9_214), "equal": false, "packages": counts(842),
        "sources_changed": counts(611), "fetch_bytes": 4_200_000_000_u64, "cves": ["CVE-2026-1111", "CVE-2026-2222"],
        "changelogs": {"complete": 88, "partial": 3, "unknown": 20},
        "rows": [
            package("up", "kernel", json!("0:5.14.0-570.el9"), json!("0:5.14.0-611.el9")),
            package("down", "postgresql", json!("0:13.23-1.el9"), json!("0:13.22-1.el9")),
            package("new", "fresh-tool", Value::Null, json!("0:1.0-1.el9")),
            package("gone", "old-tool", json!("0:0.9-1.el9"), Value::Null),
        ],
        "sources": [
            source("kernel", "up", json!("0:5.14.0-570.el9"), json!("0:5.14.0-611.el9"), "complete", json!(["CVE-2026-1111", "CVE-2026-2222"])),
            source("postgresql", "down", json!("0:13.23-1.el9"), json!("0:13.22-1.el9"), "unknown", json!([])),
            source("fresh-tool", "new", Value::Null, json!("0:1.0-1.el9"), "", json!([])),
            source("old-tool", "gone", json!("0:0.9-1.el9"), Value::Null, "", json!([])),
        ],
        "streams": [], "metadata": [],
    })
}

/// What the engine says of it without a row.
pub fn brief() -> Value {
    let mut doc = diff();
    (doc["rows"], doc["sources"]) = (json!([]), json!([]));
    doc["page"] = json!({"offset": 0, "total": 628});
    doc
}

fn key(model: &mut crate::console::Model, keys: &str) -> Vec<Effect> {
    keys.split(' ').flat_map(|k| update(model, Msg::Key { key: k.parse().unwrap(), repeat: false })).collect()
}

/// The same promotion in another state, with what the engine would say of it then.
fn in_state(kind: Kind, state: &str, change: impl Fn(&mut Value, &mut Value)) -> crate::console::Model {
    let mut model = filled(kind, (140, 40));
    let (mut row, mut doc) = (rows()[0].clone(), document());
    row["state"] = json!(state);
    doc["state"] = json!(state);
    change(&mut row, &mut doc);
    let table = Question::Rows { what: "promotions", limit: crate::console::model::screen::PAGE };
    let other = rows()[1].clone();
    tell(&mut model, &table, &json!({"what": "", "revision": 2, "age_ms": 0, "rows": [row, other]}));
    tell(&mut model, &Question::Promotion(ID.into()), &doc);
    model
}

fn arm(model: &mut crate::console::Model) {
    let until = (model.now + jiff::SignedDuration::from_secs(900)).to_string();
    update(model, Msg::Armed(Ok(Armed { lease: 7, who: "ann".into(), reason: "quarter".into(), until })));
}

fn command_of(model: &crate::console::Model) -> String {
    crate::console::update::open::command(model, model.dialog.as_ref().unwrap())
}

fn requests(effects: &[Effect]) -> Vec<&crate::api::types::Do> {
    effects.iter().filter_map(|e| if let Effect::Do(d) = e { Some(&**d) } else { None }).collect()
}

#[test]
fn gates_that_do_not_pass_stand_first_and_say_why() {
    for size in [(80, 24), (140, 40)] {
        let shown = text(&filled(Kind::Promotions, size));
        let at = |what: &str| shown.lines().position(|l| l.contains(what)).unwrap_or_else(|| panic!("{what}: {shown}"));
        assert!(at("rpmcanary#750 is red: openssl") < at("G1 "), "{shown}");
        assert!(shown.contains("G3 G4 G5 must pass; W waives a gate"), "{shown}");
        assert!(shown.contains("FAIL") && shown.contains("PENDING") && shown.contains("STALE") && shown.contains("WAIVED"), "{shown}");
        assert!(shown.contains("20251229.0 -> 20260403.1 + 1 held or added"), "{shown}");
    }
}

#[test]
fn a_halt_needs_neither_arming_nor_a_dialog() {
    for kind in [Kind::Promotions, Kind::Promotion(ID.into())] {
        let mut model = in_state(kind, "SWITCHING", |_, _| {});
        let effects = key(&mut model, "X");
        let all = requests(&effects);
        assert!(matches!(all.as_slice(), [d] if d.action == "promote-halt" && d.target == ID && d.console), "{effects:?}");
        assert!(model.dialog.is_none());
        // A key that is held down halts once, and a paste not at all.
        assert!(requests(&update(&mut model, Msg::Key { key: Key::char('X'), repeat: true })).is_empty());
        assert!(requests(&update(&mut model, Msg::Burst(Key::char('X')))).is_empty());
        update(&mut model, Msg::Link(LinkMsg::Down("it was killed".into())));
        assert!(requests(&key(&mut model, "X")).is_empty());
        assert!(model.notice.as_ref().unwrap().text.contains("disconnected"), "{:?}", model.notice);
    }
    let mut model = filled(Kind::Promotions, (80, 24));
    assert!(requests(&key(&mut model, "X")).is_empty());
    assert!(model.notice.as_ref().unwrap().text.contains("nothing of it is in flight"), "{:?}", model.notice);
}

#[test]
fn a_key_that_does_nothing_says_why() {
    let mut model = filled(Kind::Promotions, (140, 40));
    arm(&mut model);
    for (press, wanted) in [
        ("P", "only what is APPROVED starts"),
        ("A", "only what is READY"),
        ("R", "only what is HALTED is resumed"),
        ("U", "it has moved nothing"),
        ("D", "PR-2026Q2-el9 is open"),
    ] {
        key(&mut model, press);
        let told = model.notice.as_ref().unwrap().text.clone();
        assert!(model.dialog.is_none() && model.opening.is_none() && told.contains(wanted), "{press}: {told}");
    }
}

#[test]
fn a_start_is_typed_and_carries_the_plan_that_was_shown() {
    let mut model = in_state(Kind::Promotion(ID.into()), "APPROVED", |_, _| {});
    arm(&mut model);
    assert!(key(&mut model, "P").iter().any(|e| *e == Effect::Ask(Question::Promotion(ID.into()))));
    assert!(model.dialog.is_none(), "nobody is asked before it was read again");
    let mut doc = document();
    doc["state"] = json!("APPROVED");
    tell(&mut model, &Question::Promotion(ID.into()), &doc);
    let shown = text(&model);
    assert!(
        shown.contains("type promote el9:") && shown.contains("alder: stable 20251229T010000-20bd71aa -> 20260403T013000-9c41aa03"),
        "{shown}"
    );
    let command = command_of(&model);
    assert_eq!(command, "quarterdeck do promote-start PR-2026Q2-el9 --with sha=77f2aa03bb17e20c --reason quarter --confirm 'promote el9'");
    let frame = model.frame;
    update(&mut model, Msg::Shown(frame));
    key(&mut model, "tab");
    for c in "promote el9".chars() {
        update(&mut model, Msg::Key { key: Key::char(c), repeat: false });
    }
    let effects = key(&mut model, "enter");
    let all = requests(&effects);
    assert!(
        matches!(all.as_slice(), [d] if d.action == "promote-start" && d.confirm.as_deref() == Some("promote el9")
            && d.with["sha"] == "77f2aa03bb17e20c" && d.reason == "quarter"),
        "{effects:?}"
    );
}

#[test]
fn a_way_back_says_what_it_does_not_take_back_and_is_void_once_something_moves() {
    let mut model = in_state(Kind::Promotion(ID.into()), "HALTED", |row, doc| {
        row["switched"] = json!(1);
        row["halted_in"] = json!("SWITCHING");
        doc["halted_in"] = json!("SWITCHING");
    });
    arm(&mut model);
    key(&mut model, "U");
    let mut doc = document();
    doc["state"] = json!("HALTED");
    tell(&mut model, &Question::Promotion(ID.into()), &doc);
    let shown = text(&model);
    assert!(shown.contains("firmware") && shown.contains("back to 20251229T010000-20bd71aa"), "{shown}");
    doc["state"] = json!("SWITCHING");
    tell(&mut model, &Question::Promotion(ID.into()), &doc);
    assert!(model.dialog.is_none());
    assert!(model.notice.as_ref().unwrap().text.contains("has moved since the key was pressed"), "{:?}", model.notice);
}

#[test]
fn a_waiver_asks_for_the_gate_and_knows_the_first_that_is_open() {
    let mut model = filled(Kind::Promotion(ID.into()), (140, 40));
    arm(&mut model);
    key(&mut model, "W");
    tell(&mut model, &Question::Promotion(ID.into()), &document());
    let dialog = model.dialog.as_ref().unwrap();
    assert_eq!(dialog.arguments().get("gate").map(String::as_str), Some("G3"));
    assert!(dialog.facts.iter().any(|(l, t)| l == "open" && t.contains("G4 FAIL: rpmcanary#750")), "{:?}", dialog.facts);
}

#[test]
fn what_moved_is_told_first_and_old_approvals_are_void() {
    let model = in_state(Kind::Promotion(ID.into()), "GATED", |_, doc| {
        doc["has_moved"] = json!(true);
        doc["sha_now"] = json!("ffff0000aaaa1111");
        doc["moved"] = json!(["moves.alder.to_fp: 9c41 -> dead"]);
    });
    let shown = text(&model);
    assert!(shown.contains("MOVED") && shown.contains("moves.alder.to_fp: 9c41 -> dead"), "{shown}");
    assert!(shown.contains("old-op") && shown.contains("void, the plan has moved since"), "{shown}");
}

#[test]
fn one_part_has_the_page_and_gives_it_back() {
    let mut model = filled(Kind::Promotion(ID.into()), (80, 24));
    key(&mut model, "u");
    let shown = text(&model);
    assert!(shown.contains("UNDO") && !shown.contains("GATES"), "{shown}");
    key(&mut model, "u");
    assert!(text(&model).contains("GATES"));
    assert_eq!(key(&mut model, "e"), [Effect::Copy(format!("quarterdeck evidence {ID}"))]);
}

#[test]
fn the_difference_names_what_is_known_of_cve_ids_and_what_is_not() {
    let mut model = filled(Kind::Promotion(ID.into()), (140, 40));
    key(&mut model, "d");
    let shown = text(&model);
    for wanted in ["611 up", "5.14.0-570.el9 -> 5.14.0-611.el9", "CVE-2026-1111 CVE-2026-2222", "CVE ids unknown: no changelog", "old-tool"]
    {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    key(&mut model, "v");
    let shown = text(&model);
    assert!(shown.contains("2 of 4") && shown.contains("postgresql") && !shown.contains("old-tool"), "{shown}");
    // Below the list it is asked for once somebody wants to see it.
    let mut model = filled(Kind::Promotions, (140, 40));
    let asked = |e: &[Effect]| e.iter().any(|e| matches!(e, Effect::Ask(Question::Diff { .. })));
    assert!(asked(&key(&mut model, "d")), "{:?}", model.asked);
}

#[test]
fn what_is_under_the_cursor_is_asked_for_by_itself() {
    let mut model = bare(Kind::Promotions, (80, 24));
    update(&mut model, Msg::Link(LinkMsg::Up));
    let table = Question::Rows { what: "promotions", limit: crate::console::model::screen::PAGE };
    let answer = table.read(said(&table).to_string().as_bytes()).unwrap();
    let effects = update(&mut model, Msg::Answer { question: table, result: Ok(answer) });
    assert!(effects.contains(&Effect::Ask(Question::Promotion(ID.into()))), "{effects:?}");
    let doc = document();
    super::tell(&mut model, &Question::Promotion(ID.into()), &doc);
    let effects = key(&mut model, "j");
    assert!(!effects.contains(&Effect::Ask(Question::Promotion("PR-2026Q1-el9".into()))), "not while the cursor moves: {effects:?}");
    let tick = |model: &mut crate::console::Model, ms| {
        let later = model.now + jiff::SignedDuration::from_millis(ms);
        update(model, Msg::Tick(later))
    };
    let effects = tick(&mut model, 150);
    assert!(effects.contains(&Effect::Ask(Question::Promotion("PR-2026Q1-el9".into()))), "{effects:?}");
    // The page of before stands until the answer is there, or has taken a while.
    assert!(text(&model).contains("DRAFT") || text(&model).contains(ID), "{}", text(&model));
    assert!(!text(&model).contains("asking the engine"), "{}", text(&model));
    tick(&mut model, 1_000);
    assert!(text(&model).contains("asking the engine"), "{}", text(&model));
}

#[test]
fn the_security_lane_names_what_it_skips_and_counts_its_hours_down() {
    let lane = |until: &str| {
        let us = until.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let model = in_state(Kind::Promotion(ID.into()), "CLOSED", |_, doc| {
            doc["lane"] = json!("oob");
            doc["skips"] = json!(["G2 age of the content", "G6 sandbox soak"]);
            doc["additions"] = json!([]);
            doc["holds"] = json!([{"id": 7, "kind": "oob", "package": "openssl", "nevra": "openssl-1:3.5.5-2.el9.x86_64", "owner": "sec-02",
                "reason": "CVE-2026-1111", "until_us": us}]);
        });
        text(&model)
    };
    let shown = lane("2026-04-08T20:07:00Z");
    for wanted in
        ["security lane", "SECURITY LANE", "skips", "G2 age of the content; G6 sandbox soak", "openssl-1:3.5.5-2.el9.x86_64", "1d12h"]
    {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    assert!(lane("2026-04-07T02:00:00Z").contains("EXPIRED"));
}

#[test]
fn what_was_added_out_of_band_is_absorbed_or_dropped_in_words() {
    let shown = text(&filled(Kind::Promotion(ID.into()), (140, 60)));
    for wanted in
        ["ADDED OUT OF BAND", "1 of 2 absorbed", "absorbed openssl-1:3.5.5-2", "dropped  vendor-agent-7.2-1", "nothing by that name"]
    {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}

#[test]
fn the_calendar_says_when_it_opens_and_what_closes_it() {
    let mut model = filled(Kind::Promotion(ID.into()), (80, 24));
    key(&mut model, "f");
    let shown = text(&model);
    for wanted in ["CALENDAR", "patch-window of release", "nobody patches at night", "opens", "frozen: quarter-end", "America/Chicago"] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    key(&mut model, "f");
    assert!(text(&model).contains("GATES"));
    let mut none = in_state(Kind::Promotion(ID.into()), "GATED", |_, doc| doc["calendar"] = Value::Null);
    key(&mut none, "f");
    assert!(text(&none).contains("the site names none: add calendar"), "{}", text(&none));
}

#[test]
fn without_a_row_no_key_of_a_promotion_is_offered() {
    let mut model = bare(Kind::Promotions, (80, 24));
    update(&mut model, Msg::Link(LinkMsg::Up));
    let table = Question::Rows { what: "promotions", limit: crate::console::model::screen::PAGE };
    tell(&mut model, &table, &json!({"what": "", "revision": 1, "age_ms": 0, "rows": []}));
    let shown = text(&model);
    assert!(shown.contains("no promotion was opened yet") && !shown.contains("approve") && !shown.contains("roll back"), "{shown}");
}

#[test]
fn the_keys_below_are_those_that_this_row_allows_and_the_way_to_all_others() {
    for (state, there, absent) in [
        ("READY", "A approve", "P start"),
        ("APPROVED", "P start", "A approve"),
        ("SWITCHING", "X halt", "U roll back"),
        ("HALTED", "R resume", "X halt"),
        ("CLOSED", "U roll back", "R resume"),
        ("ROLLED-BACK", "e evidence", "U roll back"),
    ] {
        let model = in_state(Kind::Promotions, state, |row, _| row["halted_in"] = json!("IMAGING"));
        let shown = text(&model);
        let last = shown.lines().rfind(|l| l.contains(": command")).unwrap_or_default().to_owned();
        assert!(last.contains(there) && !last.contains(absent) && last.trim_end().ends_with("? help"), "{state}: {last}");
    }
}

#[test]
fn what_changes_is_counted_once_the_cursor_rests_and_the_rows_are_asked_with_d() {
    let brief = Question::Brief { a: "20bd71aa03bb17e2".into(), b: "9c41aa03bb17e2".into() };
    assert_eq!(brief.path(), "/v1/diff?a=20bd71aa03bb17e2&b=9c41aa03bb17e2&of=sources&limit=0");
    let model = filled(Kind::Promotions, (140, 40));
    let shown = text(&model);
    assert!(shown.contains("sources 611 up") && shown.contains("CVE ids 2"), "{shown}");
    // A cursor that passes by asks nothing of the sort; one that stays does.
    let mut model = filled(Kind::Promotions, (140, 40));
    key(&mut model, "j k");
    model.known.remove(&brief);
    assert!(!crate::console::update::needs(&model).contains(&brief));
    let now = model.now + jiff::SignedDuration::from_millis(500);
    let effects = update(&mut model, Msg::Tick(now));
    assert!(effects.contains(&Effect::Ask(brief)), "{effects:?}");
}

/// Colours and words of the list, of one that is open and of one that is halted, at both sizes.
#[test]
fn promotions_are_drawn_in_their_styles() {
    let halted = |row: &mut Value, doc: &mut Value| {
        (row["halted_in"], row["switched"], row["failed"]) = (json!("SWITCHING"), json!(1), json!(0));
        (doc["halted_in"], doc["moves"][0]["switched"]) = (json!("SWITCHING"), json!(true));
        doc["moves"][0]["now"] = doc["moves"][0]["to"].clone();
        (row["detail"], doc["hindrances"]) = (json!("quarterly-promotion#4 is failure: Switch birch: no space left on device"), json!([]));
    };
    for size in [(80, 24), (140, 40)] {
        let list = filled(Kind::Promotions, size);
        let open = filled(Kind::Promotion(ID.into()), size);
        let mut stopped = in_state(Kind::Promotion(ID.into()), "HALTED", halted);
        update(&mut stopped, Msg::Resize { width: size.0, height: size.1 });
        for (name, model) in [("list", &list), ("open", &open), ("halted", &stopped)] {
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), super::content::styled(model, "dark"));
        }
    }
}
