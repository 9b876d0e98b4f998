//! The console on a terminal of 120x40: from its start to its first frame, from a key to the first byte, beside `bottom` where it is
//! installed; what it does while nothing happens; a log of 1 GB beside `less` and `grep -F`; and what a frame costs with 5,000 and with
//! 50,000 rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Samples, ms, size};
use quarterdeck::api::types::Rows;
use quarterdeck::console::keymap::{Key, Keymap};
use quarterdeck::console::model::screen::{Kind, PAGE};
use quarterdeck::console::model::{Known, Screen};
use quarterdeck::console::msg::{LinkMsg, Msg};
use quarterdeck::console::question::{Answer, Question};
use quarterdeck::console::term::paint;
use quarterdeck::console::{Model, Site, shot, update};
use quarterdeck::theme::{Glyphs, Look, Theme};
use support::home::Home;
use support::idle::Counts;
use support::{Pty, have_program};

const US: &str = "quarterdeck";
const BOTTOM: &str = "bottom";
const FIRST: &str = "start to the first frame";
const KEY: &str = "key to the first byte";
const OPEN: &str = "1 GB log: key to its last line";
const RARE: &str = "1 GB log: a rare line half way";
const NEEDLE: &str = "the one needle 4711";
const LAST: &str = "the last line of all";
/// So many bytes are a frame that somebody drew, and no setting up of the terminal.
const DRAWN: usize = 300;

fn main() {
    let mut samples = Samples::new("console");
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("one", "format: 1\nname: one\nstages:\n  - name: only\n    run: 'true'\n");
    for _ in 0..size(50, 3) {
        home.qd(["run", "one", "--wait"]).expect(0);
    }
    for _ in 0..size(30, 2) {
        start(&mut samples, US, env!("CARGO_PKG_VERSION"), home.command::<&str>([]), |pty| {
            pty.shows("one#");
        });
        if have_program("btm") {
            let mut command = Command::new("btm");
            command.env("HOME", home.root());
            start(&mut samples, BOTTOM, &common::version("btm"), command, |pty| {
                let _ = pty.settled(Duration::from_millis(300));
            });
        }
    }
    if !have_program("btm") {
        println!("  bottom is not measured: it is not installed (cargo install bottom --locked)");
    }
    idle(&mut samples, &home);
    log(&mut samples, &home);
    for rows in [5_000, 50_000] {
        frames(&mut samples, rows, size(300, 5));
    }
    samples.ratio(FIRST, US, BOTTOM, "at most 1");
    samples.ratio(KEY, US, BOTTOM, "none: bottom draws by its clock");
    println!("  {OPEN}: p50 {:.2} ms   (budget: at most 10)", samples.median(US, OPEN));
    samples.ratio(RARE, US, "grep -F", "at most 5");
    let frame = |rows: usize| samples.median(US, &format!("frame, {rows} rows"));
    println!("  a frame with 50,000 rows / 5,000 rows = {:.2}   (budget: at most 1.2)", frame(50_000) / frame(5_000));
    samples.finish();
}

/// One start on a terminal of its own, then keys.
fn start(samples: &mut Samples, who: &str, version: &str, command: Command, whole: impl FnOnce(&Pty)) {
    let from = Instant::now();
    let pty = Pty::start(command, 120, 40);
    spin(|| pty.count().0 >= DRAWN);
    samples.add(who, version, FIRST, "ms", from.elapsed().as_secs_f64() * 1e3);
    whole(&pty);
    samples.add(who, version, "start to the frame with its data", "ms", from.elapsed().as_secs_f64() * 1e3);
    for key in ["j", "k", "j", "k"] {
        let before = pty.settled(Duration::from_millis(120));
        let from = Instant::now();
        pty.keys(key);
        // A key that draws nothing would be timed by whatever is drawn next.
        assert!(spin(|| pty.count().0 > before), "{who} drew nothing for {key}");
        let took = from.elapsed().as_secs_f64() * 1e3;
        let cost = pty.settled(Duration::from_millis(120)) - before;
        samples.add(who, version, KEY, "ms", took);
        if who == US {
            samples.add(who, version, "bytes of a cursor move", "B", cost as f64);
        }
    }
    samples.add(who, version, "resident memory", "MB", rss_mb(pty.pid()));
}

fn rss_mb(pid: i32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1e3
}

/// A console at which nobody looks: wake-ups, bytes and processor time of a minute.
fn idle(samples: &mut Samples, home: &Home) {
    let pty = Pty::start(home.command::<&str>([]), 120, 40);
    pty.shows("one#");
    let before = pty.settled(Duration::from_secs(3));
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pty.pid())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.iter().skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>()
    };
    let (at, cpu) = (Counts::of(pty.pid()).expect("a process"), ticks());
    std::thread::sleep(Duration::from_secs(size(60, 1) as u64));
    let seen = Counts::of(pty.pid()).expect("a process").since(&at);
    let version = env!("CARGO_PKG_VERSION");
    samples.add(US, version, "idle for a minute: wake-ups", "", seen.wakes as f64);
    samples.add(US, version, "idle for a minute: bytes to the terminal", "B", (pty.count().0 - before) as f64);
    samples.add(US, version, "idle for a minute: processor time", "ms", (ticks() - cpu) * 10.0);
}

/// A log of 1 GB: to its end, to a line half way, and what the console holds of it.
fn log(samples: &mut Samples, home: &Home) {
    let version = env!("CARGO_PKG_VERSION");
    let newest = format!("one#{}", size(50, 3));
    let attempts = home.state().join("runs").join(newest.replace('#', "/")).join("attempts");
    let dir = std::fs::read_dir(attempts).expect("attempts").flatten().next().expect("one").path();
    write(&dir.join("log"), size(1_000_000_000, 3_000_000) as u64);
    for _ in 0..size(10, 1) {
        let pty = Pty::start(home.command::<&str>([]), 120, 40);
        pty.shows("one#");
        pty.command("runs");
        pty.shows(&newest);
        let _ = pty.settled(Duration::from_millis(200));
        let before = rss_mb(pty.pid());
        let from = Instant::now();
        pty.keys("l");
        assert!(spin(|| pty.text().contains(LAST)), "{}", pty.text());
        samples.add(US, version, OPEN, "ms", from.elapsed().as_secs_f64() * 1e3);
        let _ = pty.settled(Duration::from_millis(200));
        pty.keys("/");
        let _ = pty.settled(Duration::from_millis(100));
        pty.keys(NEEDLE);
        let _ = pty.settled(Duration::from_millis(200));
        let from = Instant::now();
        pty.keys("\r");
        assert!(spin(|| pty.text().contains(&format!("{NEEDLE} of"))), "{}", pty.text());
        samples.add(US, version, RARE, "ms", from.elapsed().as_secs_f64() * 1e3);
        let _ = pty.settled(Duration::from_millis(300));
        samples.add(US, version, "1 GB log: memory that it adds", "MB", rss_mb(pty.pid()) - before);
        drop(pty);
        let (took, out) = ms(|| {
            let mut grep = Command::new("grep");
            grep.args(["-F", NEEDLE]).arg(dir.join("log")).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped());
            grep.output().expect("grep runs")
        });
        assert!(out.status.success());
        samples.add("grep -F", &common::version("grep"), RARE, "ms", took);
        if !have_program("less") {
            continue;
        }
        let mut less = Command::new("less");
        less.arg("+G").arg(dir.join("log")).env("LESSHISTFILE", "-");
        let from = Instant::now();
        let pty = Pty::start(less, 120, 40);
        assert!(spin(|| pty.text().contains(LAST)), "{}", pty.text());
        samples.add("less", &common::version("less"), OPEN, "ms", from.elapsed().as_secs_f64() * 1e3);
    }
}

/// Lines as a build writes them; the needle stands half way.
fn write(path: &Path, bytes: u64) {
    let mut log = BufWriter::new(std::fs::File::create(path).expect("the log"));
    let (mut at, mut n, mut told) = (0u64, 0u64, false);
    while at < bytes {
        let x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut line = format!("[{n:>8}] gcc -O2 -g -c src/module_{}/file_{:x}.c -o build/{x:016x}.o\n", x % 97, x % 4096);
        if at > bytes / 2 && !told {
            (told, line) = (true, format!("[{n:>8}] {NEEDLE} of them\n"));
        }
        log.write_all(line.as_bytes()).expect("the log");
        at += line.len() as u64;
        n += 1;
    }
    log.write_all(LAST.as_bytes()).and_then(|()| log.write_all(b"\n")).and_then(|()| log.flush()).expect("the log");
}

/// Looks again and again for at most five seconds: a sleep would be measured too.
fn spin(done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        if done() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// A cursor that moves through a long list: key, frame, bytes.
fn frames(samples: &mut Samples, rows: usize, repeats: usize) {
    let now: jiff::Timestamp = "2026-04-07T03:07:00Z".parse().expect("a time");
    let site = Site { name: "bench".into(), demo: false, zone: jiff::tz::TimeZone::UTC };
    let mut model = Model::new(site, Keymap::default_keys(), now, (120, 40));
    let text = |i: usize| {
        format!(
            r#"{{"run":"nightly-repo-updates#{i}","pipeline":"nightly-repo-updates","number":{i},"state":"done","verdict":"success","detail":"no-change","started":"2026-04-07T01:29:00Z","ended":"2026-04-07T01:30:20Z","duration_ms":80000}}"#
        )
    };
    let all = (1..=rows).rev().map(|i| serde_json::from_str(&text(i)).expect("a row")).collect();
    let answer = Answer::Rows(Rows { what: "runs".into(), revision: 1, age_ms: 0, rows: all, error: None, page: None, diff: None });
    let known = Known { answer: Some(answer), at: Some(now), ..Known::default() };
    model.known.insert(Question::Rows { what: "runs", limit: PAGE }, known);
    model.stack.push(Screen::of(Kind::Runs));
    let _ = update(&mut model, Msg::Link(LinkMsg::Up));
    // What was asked for is not answered here.
    for known in model.known.values_mut() {
        known.old = false;
    }
    let look = Look { theme: Theme::plain(), glyphs: Glyphs::UTF8 };
    let mut shown = shot::draw(&model, &look);
    let first = shot::text(&shown);
    assert!(first.contains(&format!("nightly-repo-updates#{rows}")), "the list is not drawn:\n{first}");
    for _ in 0..repeats {
        let (took, next) = ms(|| {
            let _ = update(&mut model, Msg::Key { key: Key::char('j'), repeat: false });
            let next = shot::draw(&model, &look);
            std::hint::black_box(paint::bytes(Some(&shown), &next));
            next
        });
        shown = next;
        samples.add(US, env!("CARGO_PKG_VERSION"), &format!("frame, {rows} rows"), "ms", took);
    }
}
