//! A log of 500 MB beside `grep -F` and `tail`: its last lines, a jump to a time, a rare string; plain and packed, by the library and by
//! `quarterdeck log` with its engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Samples, ms, size};
use quarterdeck::runner::log::grep::{self, Pattern};
use quarterdeck::runner::log::pack::{self, Outcome};
use quarterdeck::runner::log::read::Log;
use support::home::Home;

const US: &str = "quarterdeck";
const PACKED: &str = "quarterdeck, packed";
const RARE: &str = "the one needle 4711";
/// Where the lines' times begin, µs since 1970.
const FROM: i64 = 1_700_000_000_000_000;

fn main() {
    let mut samples = Samples::new("log");
    let home = Home::new();
    home.pipeline("big", "format: 1\nname: big\nstages:\n  - name: s\n    run: echo small\n");
    home.qd(["run", "big", "--wait"]).expect(0);
    let attempts = home.state().join("runs/big/1/attempts");
    let dir = std::fs::read_dir(attempts).expect("attempts").flatten().next().expect("one").path();
    let bytes = write(&dir, size(500_000_000, 5_000_000) as u64);
    println!("  a log of {bytes} bytes");
    let repeats = size(20, 2);
    for _ in 0..repeats {
        peers(&mut samples, &dir);
        ours(&mut samples, US, &home, &dir, bytes);
    }
    let (took, outcome) = ms(|| pack::pack(&dir, "").expect("packed"));
    let Outcome::Packed { from, to } = outcome else { panic!("{outcome:?}") };
    samples.add(PACKED, env!("CARGO_PKG_VERSION"), "packing", "s", took / 1e3);
    samples.add(PACKED, env!("CARGO_PKG_VERSION"), "packed size of plain", "%", 100.0 * to as f64 / from as f64);
    for _ in 0..repeats {
        ours(&mut samples, PACKED, &home, &dir, bytes);
    }
    for who in [US, PACKED] {
        println!("  {who}: last 20 lines p50 {:.3} ms   (budget: at most 5)", samples.median(who, "last 20 lines"));
        println!("  {who}: jump to a time p50 {:.3} ms   (budget: at most 10)", samples.median(who, "jump to a time"));
        samples.ratio("a rare string", who, "grep -F", "at most 3");
        samples.ratio("a rare string, by the command", who, "grep -F", "at most 3");
    }
    samples.finish();
}

/// Lines as a build writes them, no two alike, with a record of the time index every 64 KiB; the needle stands near the end.
fn write(dir: &Path, bytes: u64) -> u64 {
    let mut log = BufWriter::new(std::fs::File::create(dir.join("log")).expect("log"));
    let mut index = BufWriter::new(std::fs::File::create(dir.join("log.idx")).expect("index"));
    let (mut at, mut record, mut n) = (0u64, 0u64, 0u64);
    while at < bytes {
        if at >= record {
            let wall = FROM + n as i64 * 100;
            for word in [n.to_le_bytes(), wall.to_le_bytes(), at.to_le_bytes()] {
                index.write_all(&word).expect("index");
            }
            record = at + (64 << 10);
        }
        let x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let line = if at > bytes - bytes / 20 && at < bytes - bytes / 20 + 200 {
            format!("{RARE}\n")
        } else {
            format!("[{n:>8}] gcc -O2 -g -c src/module_{}/file_{:x}.c -o build/{x:016x}.o\n", x % 97, x % 4096)
        };
        log.write_all(line.as_bytes()).expect("log");
        at += line.len() as u64;
        n += 1;
    }
    log.flush().and_then(|()| index.flush()).expect("flush");
    at
}

fn peers(samples: &mut Samples, dir: &Path) {
    let log: PathBuf = dir.join("log");
    let call = |program: &str, args: &[&str]| {
        let mut c = Command::new(program);
        c.args(args).arg(&log).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped());
        ms(|| c.output().expect("it runs"))
    };
    let (took, out) = call("grep", &["-F", RARE]);
    assert!(String::from_utf8_lossy(&out.stdout).contains(RARE));
    let version = common::version("grep");
    for metric in ["a rare string", "a rare string, by the command"] {
        samples.add("grep -F", &version, metric, "ms", took);
    }
    let (took, out) = call("tail", &["-n", "20"]);
    assert_eq!(out.stdout.iter().filter(|b| **b == b'\n').count(), 20);
    samples.add("tail -n 20", &common::version("tail"), "last 20 lines", "ms", took);
}

fn ours(samples: &mut Samples, who: &str, home: &Home, dir: &Path, bytes: u64) {
    let version = env!("CARGO_PKG_VERSION");
    let (took, page) = ms(|| Log::open(dir).and_then(|l| l.tail(20, 1 << 20)).expect("tail"));
    assert_eq!(page.lines.len(), 20);
    samples.add(who, version, "last 20 lines", "ms", took);
    let middle = FROM + (bytes / 150) as i64 * 100;
    let (took, page) = ms(|| Log::open(dir).and_then(|l| l.from_time(middle, 20, 1 << 20)).expect("time"));
    assert!(page.lines.len() == 20 && page.lines[0].wall_us.is_some_and(|t| t >= middle));
    samples.add(who, version, "jump to a time", "ms", took);
    let pattern = Pattern::new(RARE, grep::How::default()).expect("a pattern");
    let (took, hits) = ms(|| grep::all(dir, &pattern));
    assert!((1..20).contains(&hits.len()), "{}", hits.len());
    samples.add(who, version, "a rare string", "ms", took);
    for (metric, args) in [
        ("a rare string, by the command", &["log", "big#1", "--grep", RARE][..]),
        ("last 20 lines, by the command", &["log", "big#1", "--tail", "20"]),
    ] {
        let (took, out) = ms(|| home.qd(args));
        assert!(out.code == 0 && out.stdout.lines().count() > 1, "{out:?}");
        samples.add(who, version, metric, "ms", took);
    }
}
