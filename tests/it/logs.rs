//! Logs as people and scripts read them: by tail, offset, time, step, cell and attempt; searched, packed, cut, binary; the first error.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Home, http, until, until_some};

/// A pipeline of one step.
fn one_step(home: &Home, name: &str, script: &str) {
    let script: String = script.lines().map(|l| format!("      {l}\n")).collect();
    home.pipeline(name, &format!("format: 1\nname: {name}\nstages:\n  - name: s\n    run: |\n{script}"));
}

/// The directory of the newest attempt of `PIPELINE#NUMBER`.
fn attempt_dir(home: &Home, run: &str) -> PathBuf {
    let (pipeline, number) = run.split_once('#').unwrap();
    let dir = home.state().join("runs").join(pipeline).join(number).join("attempts");
    let fence = |p: &PathBuf| p.to_string_lossy().rsplit('-').next().and_then(|f| f.parse::<u64>().ok());
    std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).max_by_key(fence).unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

fn get(home: &Home, path: &str) -> Value {
    let answer = http::unix(&home.socket(), "GET", path, None).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// `/v1/…/PIPELINE/NUMBER/FENCE` of the newest attempt.
fn path_of(home: &Home, what: &str, run: &str) -> String {
    let (pipeline, number) = run.split_once('#').unwrap();
    let all = get(home, &format!("/v1/attempts/{pipeline}/{number}"));
    let fence = all["attempts"].as_array().unwrap().last().unwrap()["fence"].as_u64().unwrap();
    format!("/v1/{what}/{pipeline}/{number}/{fence}")
}

fn packed(home: &Home, run: &str) -> PathBuf {
    let dir = attempt_dir(home, run);
    until("the log to be packed", || dir.join("log.zst").exists() && !dir.join("log").exists());
    dir
}

#[test]
fn json_lines_name_their_place_and_cells_and_attempts_can_be_picked() {
    let home = Home::new();
    home.pipeline(
        "cells",
        "format: 1\nname: cells\nstages:\n  - name: build\n    matrix: {arch: [x86_64, aarch64]}\n    retry: {attempts: 2, delay: 1ms}\n    steps:\n      - {name: make, run: 'echo \"for $matrix_arch\"; test \"$matrix_arch\" = x86_64'}\n",
    );
    home.qd(["run", "cells", "--wait"]).expect(1);
    let all = objects(&home.qd(["--json", "log", "cells#1"]).expect(0).stdout);
    let of = |cell: &str| all.iter().filter(|o| o["cell"] == cell).collect::<Vec<_>>();
    assert_eq!((of("arch=x86_64").len(), of("arch=aarch64").len()), (1, 2), "{all:?}");
    let o = of("arch=x86_64")[0];
    let keys: Vec<&String> = o.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["run", "stage", "step", "cell", "attempt", "offset", "time", "text"]);
    assert_eq!((&o["run"], &o["stage"], &o["step"], &o["attempt"]), (&json!("cells#1"), &json!("build"), &json!("make"), &json!(1)));
    assert_eq!((&o["offset"], &o["text"]), (&json!(0), &json!("for x86_64")));
    assert!(o["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{o}");
    let picked = |args: &[&str]| objects(&home.qd([&["--json", "log"], args].concat()).expect(0).stdout);
    assert_eq!(picked(&["cells#1/build/arch=aarch64"]).len(), 2);
    assert_eq!(picked(&["cells#1/build/make (arch=aarch64)", "--attempt", "2"])[0]["attempt"], 2);
    assert_eq!(picked(&["cells#1/build/make", "--attempt", "last"]).len(), 2);
    let wrong = home.qd(["--json", "log", "cells#1/build/make", "--attempt", "7"]).expect(2).json();
    assert!(wrong["error"]["message"].as_str().is_some_and(|m| m.contains("no attempt 7")), "{wrong}");
    assert!(home.qd(["log", "cells#1/build/mak"]).expect(2).stderr.contains("did you mean `make"));
    assert!(home.qd(["log", "cells#1", "--attempt", "none"]).expect(2).stderr.contains("`last`"));
}

#[test]
fn pages_come_by_tail_offset_and_time_and_a_search_streams_its_hits() {
    let home = Home::new();
    one_step(&home, "count", "seq 1 3000; sleep 0.6; echo later; seq 1 20; printf 'no end'");
    home.qd(["run", "count", "--wait"]).expect(0);
    let log = path_of(&home, "log", "count#1");
    let page = get(&home, &format!("{log}?at=tail&lines=2"));
    assert_eq!((&page["lines"][0]["text"], &page["lines"][1]["text"], &page["complete"]), (&json!("20"), &json!("no end"), &json!(true)));
    let page = get(&home, &format!("{log}?at=offset&offset=2&lines=1"));
    assert_eq!((&page["lines"][0], &page["next_offset"]), (&json!({"offset": 2, "at": page["lines"][0]["at"], "text": "2"}), &json!(4)));
    let all = objects(&home.qd(["--json", "log", "count#1"]).expect(0).stdout);
    assert_eq!(all.len(), 3_022);
    // The line after the pause has a later time than those before; from that time on there are only it and what follows.
    let later = all.iter().find(|o| o["text"] == "later").unwrap();
    let page = get(&home, &format!("{log}?at=time&time={}", later["time"].as_str().unwrap()));
    assert_eq!(page["lines"][0]["text"], "later");
    let since = objects(&home.qd(["--json", "log", "count#1", "--since", later["time"].as_str().unwrap()]).expect(0).stdout);
    assert_eq!((since.len(), &since[0]["text"]), (22, &json!("later")));
    assert_eq!(home.qd(["log", "count#1", "--since", "1h"]).expect(0).stdout.lines().count(), 3_023, "with the head of the step");
    let stamped = home.qd(["log", "count#1", "--timestamps", "--tail", "2"]).expect(0).stdout;
    assert!(regex::Regex::new(r"(?m)^\d\d:\d\d:\d\d\.\d{3} 20$").unwrap().is_match(&stamped), "{stamped}");

    let grep = path_of(&home, "grep", "count#1");
    let search = |query: &str| {
        let answer = http::unix(&home.socket(), "GET", &format!("{grep}?{query}"), None).unwrap();
        assert_eq!(answer.status, 200);
        objects(&String::from_utf8_lossy(&answer.body))
    };
    let told = search("re=%5E2999%24&before=1&after=1&number=1");
    let hit = |i: usize| {
        (told[i]["hit"]["text"].as_str().unwrap(), told[i]["hit"]["number"].as_u64().unwrap(), told[i]["hit"]["context"] == true)
    };
    assert_eq!((hit(0), hit(1), hit(2)), (("2998", 2_998, true), ("2999", 2_999, false), ("3000", 3_000, true)));
    assert_eq!(told[3]["end"]["complete"], true);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(search("re=.&limit=3").len(), 4);
    let count = |args: &[&str]| home.qd([&["log", "count#1"], args].concat()).expect(0).stdout.lines().count();
    assert_eq!(count(&["--grep", "[0-9]", "-v"]), 3, "head, later, no end");
    assert_eq!(count(&["--grep", "LATER", "-i"]), 2);
    assert_eq!(count(&["--grep", "l.ter", "-F"]), 0);
    let numbered = home.qd(["log", "count#1", "--grep", "later", "-C", "1", "--line-number"]).expect(0).stdout;
    assert!(numbered.ends_with("3000-3000\n3001:later\n3002-1\n"), "{numbered}");
    for bad in ["at=middle", "at=time&time=x", "at=time", "lines=x&at=tail", "as=gif"] {
        assert_eq!(http::unix(&home.socket(), "GET", &format!("{log}?{bad}"), None).unwrap().status, 400, "{bad}");
    }
    assert_eq!(http::unix(&home.socket(), "GET", &format!("{grep}?re=%28"), None).unwrap().status, 400);
}

#[test]
fn a_search_goes_on_while_its_log_is_written_and_over_the_end_of_its_engine() {
    let home = Home::new();
    let gate = home.root().join("gate");
    one_step(
        &home,
        "slow",
        &format!(
            "echo hit one; echo other; printf 'hit t'; while [ ! -e {} ]; do sleep 0.05; done; echo wo; echo hit three",
            gate.display()
        ),
    );
    home.qd(["run", "slow"]).expect(0);
    let mut log = home.foreground(["log", "slow#1", "--follow", "--grep", "^hit"]);
    log.line(|l| l == "hit one");
    home.qd(["engine", "stop"]).expect(0);
    std::fs::write(&gate, "").unwrap();
    log.line(|l| l == "hit two");
    log.line(|l| l == "hit three");
    assert!(log.wait().success());
}

#[test]
fn a_finished_log_is_packed_and_answers_as_before_with_its_secrets_masked() {
    let home = Home::new();
    let file = home.root().join("token");
    std::fs::write(&file, "correct horse").unwrap();
    std::os::unix::fs::PermissionsExt::set_mode(&mut std::fs::metadata(&file).unwrap().permissions(), 0o600);
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    home.site(&format!("[secrets]\nkey = \"file:{}\"\n", file.display()));
    let script = "cat \"$QD_SECRETS_DIR/key\"; echo; seq 1 20000; cat \"$QD_SECRETS_DIR/key\"; echo; seq 1 5";
    home.pipeline("long", &format!("format: 1\nname: long\nstages:\n  - name: s\n    secrets: [key]\n    run: |\n      {script}\n"));
    home.qd(["run", "long", "--wait"]).expect(0);
    let dir = packed(&home, "long#1");
    let status: Value = serde_json::from_slice(&std::fs::read(dir.join("status.json")).unwrap()).unwrap();
    let raw = zstd::stream::decode_all(std::fs::File::open(dir.join("log.zst")).unwrap()).unwrap();
    let sha: String = Sha256::digest(&raw).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(status["log_sha256"], sha.as_str(), "what the supervisor wrote is what was packed");
    let text = home.qd(["log", "long#1"]).expect(0).stdout;
    assert_eq!(text.strip_prefix("== s / s ==\n"), Some(String::from_utf8_lossy(&raw).as_ref()));
    assert!(text.contains("***") && !text.contains("correct horse"));
    assert_eq!(home.qd(["log", "long#1", "--grep", "correct"]).expect(0).stdout, "");
    assert_eq!(home.qd(["log", "long#1", "--grep", "^17000$"]).expect(0).stdout, "== s / s ==\n17000\n");
    assert_eq!(home.qd(["log", "long#1", "--tail", "2"]).expect(0).stdout, "== s / s ==\n4\n5\n");
    assert!(home.qd(["log", "long#1", "--since", "1h"]).expect(0).stdout == text);
    let log = path_of(&home, "log", "long#1");
    let page = get(&home, &format!("{log}?at=offset&offset={}&lines=1&wait=5", text.len() - 17));
    assert_eq!((&page["file"], &page["lines"][0]["text"]), (&json!(0), &json!("")), "{page}");
    // The mask stands in the packed bytes too.
    assert!(memchr::memmem::find(&raw, b"correct horse").is_none());
}

#[test]
fn what_a_dead_engine_left_unpacked_is_packed_by_the_next_one() {
    let home = Home::new();
    let gate = home.root().join("gate");
    one_step(&home, "long", &format!("seq 1 20000; while [ ! -e {} ]; do sleep 0.05; done", gate.display()));
    home.qd(["run", "long"]).expect(0);
    let pid = home.json(&["engine", "status"])["pid"].as_i64().unwrap();
    until("the step to have written", || home.qd(["log", "long#1", "--tail", "1"]).stdout.contains("20000"));
    crate::support::kill(i32::try_from(pid).unwrap());
    std::fs::write(&gate, "").unwrap();
    let dir = attempt_dir(&home, "long#1");
    until("the shim to end", || dir.join("status.json").exists());
    // As if packing had been killed after the name was given and before the plain one went.
    std::fs::write(dir.join("log.zst"), "half").unwrap();
    std::fs::write(dir.join("log.zst.tmp"), "half").unwrap();
    home.qd(["engine", "start"]).expect(0);
    packed(&home, "long#1");
    assert!(!dir.join("log.zst.tmp").exists());
    assert!(home.qd(["log", "long#1", "--tail", "1"]).expect(0).stdout.ends_with("\n20000\n"));
}

#[test]
fn a_log_that_is_cut_or_replaced_under_its_reader_says_so() {
    let home = Home::new();
    let gate = home.root().join("gate");
    one_step(&home, "live", &format!("seq 1 1000; while [ ! -e {} ]; do sleep 0.05; done", gate.display()));
    home.qd(["run", "live"]).expect(0);
    until("the step to have written", || home.qd(["log", "live#1", "--tail", "1"]).stdout.contains("1000"));
    let (log, file) = (path_of(&home, "log", "live#1"), attempt_dir(&home, "live#1").join("log"));
    let page = get(&home, &format!("{log}?at=tail&lines=1"));
    let (next, id) = (page["next_offset"].as_u64().unwrap(), page["file"].as_u64().unwrap());
    assert!(id > 0 && next == std::fs::metadata(&file).unwrap().len());
    // Cut while a reader waits for more.
    let waiting = std::thread::scope(|scope| {
        let reader = scope.spawn(|| get(&home, &format!("{log}?at=offset&offset={next}&file={id}&wait=60")));
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(10).unwrap();
        reader.join().unwrap()
    });
    assert!(waiting["reset"].as_str().unwrap().contains("was cut"), "{waiting}");
    assert_eq!((&waiting["next_offset"], &waiting["lines"]), (&json!(0), &json!([])));
    // Another file under its name.
    let other = file.with_extension("new");
    std::fs::write(&other, "another\n".repeat(1_000)).unwrap();
    std::fs::rename(&other, &file).unwrap();
    let page = get(&home, &format!("{log}?at=offset&offset=10&file={id}"));
    assert!(page["reset"].as_str().unwrap().contains("another file"), "{page}");
    // No file at all, then no regular one.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(get(&home, &format!("{log}?at=tail"))["lines"], json!([]));
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert_eq!(http::unix(&home.socket(), "GET", &format!("{log}?at=tail"), None).unwrap().status, 500);
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&gate, "").unwrap();
    until_some("the run has ended", || home.json(&["get", "runs"])["rows"][0]["verdict"].as_str().map(str::to_owned));
    let gone = home.qd(["log", "live#1"]).expect(1);
    assert!(gone.stderr.contains("its log is gone"), "{gone:?}");
    std::fs::write(&file, "short\n").unwrap();
    let short = home.qd(["log", "live#1"]).expect(0);
    assert!(short.stderr.contains("are missing") && short.stdout.ends_with("\nshort\n"), "{short:?}");
    assert!(home.qd(["engine", "status"]).code == 0, "nothing of this ends an engine");
}

#[test]
fn a_followed_log_that_is_cut_goes_on_with_what_is_written_next() {
    let home = Home::new();
    let gate = home.root().join("gate");
    one_step(&home, "live", &format!("seq 1 1000; while [ ! -e {} ]; do sleep 0.05; done; echo behind; echo last", gate.display()));
    home.qd(["run", "live"]).expect(0);
    let mut log = home.foreground(["log", "live#1", "--follow"]);
    log.line(|l| l == "1000");
    let file = attempt_dir(&home, "live#1").join("log");
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(0).unwrap();
    std::fs::write(&gate, "").unwrap();
    log.line(|l| l == "behind");
    log.line(|l| l == "last");
    assert!(log.wait().success());
    // The same afterwards: the hole is told, the text is there.
    let after = home.qd(["log", "live#1"]).expect(0).stdout;
    assert!(after.contains("3893 bytes from offset 0 are no text") && after.ends_with("\nbehind\nlast\n"), "{after}");
}

#[test]
fn what_is_no_text_is_told_and_shown_as_bytes_where_asked() {
    let home = Home::new();
    one_step(&home, "blob", "echo before; head -c 5000 /bin/sh; echo; printf 'caf\\351 ol\\303\\251\\n'; printf '10%%\\r50%%\\r100%%\\n'");
    home.qd(["run", "blob", "--wait"]).expect(0);
    let text = home.qd(["log", "blob#1"]).expect(0).stdout;
    let told = regex::Regex::new(r"(?m)^\[(\d+) bytes from offset (\d+) are no text; --hex --from (\d+) shows them\]$").unwrap();
    let found = told.captures(&text).unwrap_or_else(|| panic!("{text}"));
    assert_eq!((&found[2], &found[3]), ("7", "7"));
    assert!(text.contains("\nbefore\n") && text.contains("\ncaf\u{fffd} ol\u{e9}\n") && text.ends_with("\n100%\n"), "{text}");
    assert!(!text.contains("ELF"));
    let hex = home.qd(["log", "blob#1", "--hex"]).expect(0).stdout;
    assert!(hex.contains("00000000  62 65 66 6f 72 65 0a 7f  45 4c 46 "), "{}", &hex[..400]);
    assert!(hex.lines().nth(1).unwrap().ends_with("|before..ELF.....|"), "{}", &hex[..400]);
    let objects = objects(&home.qd(["--json", "log", "blob#1"]).expect(0).stdout);
    assert!(objects.iter().any(|o| o["binary"] == true));
    // Offsets are those of the bytes, whatever became of the text.
    let len = std::fs::metadata(attempt_dir(&home, "blob#1").join("log")).unwrap().len();
    let last = objects.last().unwrap();
    assert_eq!((last["offset"].as_u64().unwrap(), last["text"].as_str().unwrap()), (len - 13, "10%\r50%\r100%"));
}

#[test]
fn the_first_error_is_found_once_and_told_wherever_a_red_run_is_spoken_of() {
    let home = Home::new();
    let bad = home.root().join("bad");
    let script = format!(
        "echo \"ERROR: cache $$ is cold\"; echo building\nif [ -e {} ]; then echo 'src/a.c:7:3: error: no luck'; echo 'make: *** [a.o] Error 1'; exit 2; fi",
        bad.display()
    );
    one_step(&home, "build", &script);
    home.qd(["run", "build", "--wait"]).expect(0);
    std::fs::write(&bad, "").unwrap();
    let told = home.qd(["run", "build", "--wait"]).expect(1).stdout;
    assert!(told.contains("first error (gcc, not in the log of build#1): src/a.c:7:3: error: no luck"), "{told}");
    let why = home.qd(["why", "build#2"]).expect(0).stdout;
    assert!(why.contains("its first error (gcc, not in the log of build#1): src/a.c:7:3: error: no luck"), "{why}");
    let shown = home.qd(["log", "build#2", "--first-error"]).expect(0).stdout;
    assert!(shown.contains("\n  building\n> src/a.c:7:3: error: no luck\n  make: *** [a.o] Error 1\n"), "{shown}");
    let json = home.qd(["--json", "log", "build#2", "--first-error"]).expect(0).json();
    assert_eq!(
        (&json["run"], &json["stage"], &json["step"], &json["attempt"], &json["pattern"], &json["new_since"], &json["text"]),
        (&json!("build#2"), &json!("s"), &json!("s"), &json!(1), &json!("gcc"), &json!("build#1"), &json!("src/a.c:7:3: error: no luck"))
    );
    let doc = home.qd(["--json", "replay", "build#2", "--wait"]).expect(1).json();
    assert_eq!((&doc["first_error"]["text"], &doc["first_error"]["new_since"]), (&json!("src/a.c:7:3: error: no luck"), &json!("build#1")));
    // One name and one shape wherever a first error is told.
    let (mut once, mut again) = (doc["first_error"].clone(), json.clone());
    assert!(once["time"].as_str().unwrap().ends_with('Z') && once["run"] == "build#3", "{once}");
    for differs in ["run", "time", "offset", "context_offset"] {
        assert!(
            once.as_object_mut().unwrap().remove(differs).is_some() && again.as_object_mut().unwrap().remove(differs).is_some(),
            "{differs}"
        );
    }
    assert_eq!(once, again);
    // It is kept with the attempt: the log may go.
    until("it to be stored", || get(&home, "/v1/attempts/build/2")["attempts"][0]["first_error"]["pattern"] == "gcc");
    std::fs::remove_file(attempt_dir(&home, "build#2").join("log")).unwrap();
    assert!(home.qd(["log", "build#2", "--first-error"]).expect(0).stdout.contains("> src/a.c:7:3: error: no luck"));
    let green = home.qd(["log", "build#1", "--first-error"]).expect(0);
    assert!(green.stdout.is_empty() && green.stderr.contains("no step of build#1 failed"), "{green:?}");
}

#[test]
fn a_site_and_a_pipeline_add_to_the_patterns_of_first_errors_and_a_bad_one_is_told_at_its_place() {
    let home = Home::new();
    home.site("[log]\nharmless = ['flaky proxy']\n[log.errors]\nobs = '^E\\d+: '\n");
    let own = "options: {log: {errors: {frob: \"the frob is cold$\"}, harmless: \"^NOTE\"}}";
    let one = |script: &str| format!("format: 1\nname: one\n{own}\nstages: [{{name: s, run: \"{script}; exit 1\"}}]\n");
    for (script, text, pattern) in [
        ("echo ERROR: flaky proxy; echo E17: no luck; echo the frob is cold", "E17: no luck", "obs"),
        ("echo NOTE an error: none; echo the frob is cold; echo make: '***' x", "the frob is cold", "frob"),
    ] {
        home.pipeline("one", &one(script));
        let found = home.qd(["--json", "run", "one", "--wait"]).expect(1).json()["first_error"].clone();
        assert_eq!((&found["text"], &found["pattern"]), (&json!(text), &json!(pattern)), "{found}");
    }
    // A slip stops nothing that runs, and is shown where it stands.
    home.site("[log.errors]\nobs = '^E(\\d+: '\n");
    let told = home.qd(["site", "check"]).expect(1);
    let said = format!("{}{}", told.stdout, told.stderr);
    assert!(said.contains("site.toml:2:7") && said.contains("unclosed group") && said.contains("^^^"), "{told:?}");
    home.qd(["get", "runs"]).expect(0);
    home.site("");
    home.pipeline("one", &one("echo x").replace("cold$", "cold(("));
    let lint = home.qd(["--json", "pipeline", "lint", "one"]).expect(1).json();
    assert_eq!((&lint["diagnostics"][0]["line"], &lint["diagnostics"][0]["column"]), (&json!(3), &json!(32)), "{lint}");
}

/// Bytes that a process has read so far.
fn read_by(pid: i64) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    io.lines().find_map(|l| l.strip_prefix("rchar: ")?.parse().ok()).unwrap_or(0)
}

fn peak_kib(pid: i64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap()
}

fn sparse(file: &Path, bytes: u64, end: &[u8]) {
    let f = std::fs::OpenOptions::new().write(true).truncate(true).open(file).unwrap();
    f.set_len(bytes).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&f, end, bytes).unwrap();
}

#[test]
fn a_gigabyte_opens_at_its_tail_in_bounded_memory_and_a_search_ends_with_its_client() {
    let home = Home::new();
    one_step(&home, "big", "echo x");
    home.qd(["run", "big", "--wait"]).expect(0);
    let file = attempt_dir(&home, "big#1").join("log");
    let pid = home.json(&["engine", "status"])["pid"].as_i64().unwrap();
    let (log, grep) = (path_of(&home, "log", "big#1"), path_of(&home, "grep", "big#1"));
    // A line of a gigabyte, and a few more.
    sparse(&file, 1 << 30, b"\none\ntwo\nthree needle\n");
    let (before, peak) = (read_by(pid), peak_kib(pid));
    let page = get(&home, &format!("{log}?at=tail&lines=2"));
    assert_eq!((&page["lines"][0]["text"], &page["lines"][1]["text"]), (&json!("two"), &json!("three needle")));
    let cost = read_by(pid) - before;
    assert!(cost < 1 << 20, "{cost} bytes were read for two lines");
    let page = get(&home, &format!("{log}?at=offset&offset=500000000"));
    assert!(page["lines"].as_array().unwrap().iter().all(|l| l["binary"] == true && l["partial"] == true));
    let told = http::unix(&home.socket(), "GET", &format!("{grep}?re=needle"), None).unwrap();
    assert!(String::from_utf8_lossy(&told.body).contains("three needle"));
    let grown = peak_kib(pid) - peak;
    assert!(grown < 96 << 10, "{grown} KiB more than before");
    // Four terabytes: whoever asked for that and left is not searched for any longer.
    sparse(&file, 4 << 40, b"\nnever\n");
    let mut client = UnixStream::connect(home.socket()).unwrap();
    write!(client, "GET {grep}?re=never HTTP/1.1\r\nhost: engine\r\n\r\n").unwrap();
    let mut head = [0u8; 16];
    client.read_exact(&mut head).unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200"));
    let from = read_by(pid);
    until("the search to read", || read_by(pid) > from + (64 << 20));
    drop(client);
    until("the search to stop", || {
        let seen = read_by(pid);
        std::thread::sleep(std::time::Duration::from_millis(300));
        read_by(pid) - seen < 1 << 20
    });
}
