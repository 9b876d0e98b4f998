//! The console on a long history: pages of tables from the engine, the places of rows; and a slow link.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::raw;
use crate::support::{Home, Pty, history};

const RUNS: usize = 1_600;

fn home() -> Home {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    history::load(&home.state(), RUNS);
    home.qd(["engine", "start"]).expect(0);
    home
}

fn page(home: &Home, what: &str, query: &str) -> Value {
    let (status, answer) = raw(&home.socket(), "GET", &format!("/v1/get/{what}?{query}"), "");
    assert_eq!(status, 200, "{query}: {answer}");
    answer
}

#[test]
fn a_page_is_a_part_of_the_whole_and_says_which() {
    let home = home();
    let names = |a: &Value| a["rows"].as_array().unwrap().iter().map(|r| r["run"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let all = names(&page(&home, "runs", ""));
    assert_eq!(all.len(), RUNS);
    let got = page(&home, "runs", "limit=10&offset=700");
    assert_eq!((names(&got), &got["page"]), (all[700..710].to_vec(), &json!({"offset": 700, "total": RUNS})));
    let got = page(&home, "runs", &format!("limit=10&around={}&by=run", all[1_000].replace('#', "%23")));
    let from = got["page"]["offset"].as_u64().unwrap() as usize;
    assert!(names(&got) == all[from..from + 10] && names(&got).contains(&all[1_000]), "{got}");
    // Filtered and sorted by the engine.
    let red = names(&page(&home, "runs", "filter=verdict%3Dfailure&sort=number"));
    let got = page(&home, "runs", "filter=verdict%3Dfailure&sort=number&limit=7&offset=50");
    assert_eq!((names(&got), &got["page"]["total"]), (red[50..57].to_vec(), &json!(red.len())));
    let got = page(&home, "runs", "limit=10&offset=99999");
    assert_eq!(got["page"]["offset"], json!(RUNS - 10), "beyond the end is the end");
    assert_eq!(page(&home, "runs", "limit=3&count=1")["page"], json!({"offset": 0, "total": RUNS}));
    assert!(page(&home, "runs", "limit=3")["page"].is_null(), "only where it was asked for");
    assert_eq!(page(&home, "audit", "limit=3&offset=0")["page"]["offset"], json!(0));
    assert_eq!(raw(&home.socket(), "GET", "/v1/get/runs?offset=x", "").0, 400);
}

#[test]
fn the_console_goes_to_the_end_of_a_long_list_and_back() {
    let home = home();
    let pty = Pty::start(home.command::<&str>([]), 120, 40);
    pty.shows("READ-ONLY");
    pty.command("runs");
    pty.shows(&format!("row 1 of {RUNS}"));
    pty.keys("G");
    // The oldest of all is on the screen, not only its place.
    pty.sees("the oldest run", |s| s.contains(&format!("row {RUNS} of {RUNS}")) && s.contains("nightly-repo-updates#1 "));
    pty.keys("\x1b[5~");
    pty.sees("a page further up", |s| !s.contains(&format!("row {RUNS} of")) && s.contains(&format!(" of {RUNS}")));
    pty.keys("G");
    pty.sees("the end again", |s| s.contains(&format!("row {RUNS} of {RUNS}")));
}

#[test]
fn a_slow_link_stays_usable() {
    let home = home();
    let pty = Pty::start(home.command::<&str>([]), 120, 40);
    pty.shows("READ-ONLY");
    pty.settled(Duration::from_millis(300));
    // 25 kB a second: a mobile link.
    pty.throttle(25_000);
    let mut last = pty.count().0;
    let mut record: Vec<(&str, usize)> = Vec::new();
    let mut step = |name: &'static str, keys: &str, seen: &str| {
        if let Some(command) = keys.strip_prefix(':') {
            pty.command(command);
        } else {
            pty.keys(keys);
        }
        pty.shows(seen);
        pty.settled(Duration::from_millis(300));
        let now = pty.count().0;
        record.push((name, now - last));
        last = now;
    };
    step("open runs", ":runs", &format!("row 1 of {RUNS}"));
    // Held down: what could not be sent is never queued.
    step("forty rows down", &"\x1b[B".repeat(40), &format!("row 41 of {RUNS}"));
    step("a page down", "\x1b[6~", &format!(" of {RUNS}"));
    step("to the end", "G", &format!("row {RUNS} of {RUNS}"));
    step("a run", "\r", "STAGES");
    step("back", "q", &format!("row {RUNS} of {RUNS}"));
    step("its log", "l", "[9]LOG");
    step("back", "q", &format!("row {RUNS} of {RUNS}"));
    step("jobs", "8", "[8]JOBS");
    step("the schedule", ":schedule", "SCHEDULE");
    step("home", "0", "[0]HOME");
    let all: usize = record.iter().map(|(_, n)| n).sum();
    assert!(record.iter().all(|(_, n)| *n <= 14_000) && all <= 60_000, "{all} bytes in all: {record:?}");
    record.push(("the whole shift", all));
    on_record(&record);
}

/// What a shift cost last, by step. `QD_WRITE=1` writes it anew; else each figure must be near the one on record: what grows is seen in a diff.
fn on_record(found: &[(&str, usize)]) {
    const HEAD: &str = "# Bytes to a terminal of 120x40 (xterm-256color) over a link of 25 kB/s, step by step.\n\
        # Made by `QD_WRITE=1 cargo test --test it a_slow_link_stays_usable`.\nstep\tbytes\n";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bytes-of-a-shift.tsv");
    if std::env::var_os("QD_WRITE").is_some() {
        let rows: String = found.iter().map(|(step, bytes)| format!("{step}\t{bytes}\n")).collect();
        std::fs::write(&path, format!("{HEAD}{rows}")).unwrap();
    }
    let text = std::fs::read_to_string(&path).expect("tests/it/bytes-of-a-shift.tsv");
    let rows = text.strip_prefix(HEAD).expect("the head of the record").lines().map(|l| l.split_once('\t').expect("step and bytes"));
    let kept: Vec<(&str, usize)> = rows.map(|(step, bytes)| (step, bytes.parse().expect("bytes"))).collect();
    let names = |all: &[(&str, usize)]| all.iter().map(|(n, _)| (*n).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&kept), names(found));
    // Ages, clocks and how many keys one frame takes together move the figures a little.
    let near = |(was, now): (usize, usize)| now.abs_diff(was) <= was / 3 + 600;
    let far: Vec<_> = kept.iter().zip(found).filter(|(k, f)| !near((k.1, f.1))).collect();
    assert!(far.is_empty(), "not as on record: {far:?}");
}
