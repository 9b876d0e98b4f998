//! The log through the real shim: floods, endless lines, NUL bytes, the cap, a full disk, and reading it all while it grows.

use quarterdeck::domain::attempt::{CancelIntent, EndedBy, Status, file};
use quarterdeck::runner::attempt::recovery::Decision;
use quarterdeck::runner::attempt::{self, survivors};
use quarterdeck::runner::log::{follow::Follower, grep, read::Log};
use sha2::{Digest, Sha256};

use super::{Attempt, finish};
use crate::support;

fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn bytes_are_kept_as_they_are_i7() {
    let a = Attempt::shell("printf 'a\\000b\\033[31m\\377\\r\\n'; head -c 300000 /dev/zero | tr '\\000' 'x'; printf '\\nend' >&2");
    let s = a.run();
    let mut expected = b"a\0b\x1b[31m\xff\r\n".to_vec();
    expected.extend(vec![b'x'; 300_000]);
    expected.extend(b"\nend");
    assert!(a.log() == expected);
    assert_eq!((s.log_bytes, s.log_dropped_bytes, s.log_sha256), (expected.len() as u64, 0, sha(&expected)));
}

/// I7: what is on disk is what the child wrote, but for the range that the record and the status count.
#[track_caller]
fn assert_head_and_tail(a: &Attempt, s: &Status, child: &[u8]) {
    assert_eq!(s.log_bytes + s.log_dropped_bytes, child.len() as u64);
    let gap: [u8; 16] = std::fs::read(a.dir().join(file::LOG_GAP)).unwrap().try_into().unwrap();
    let (from, to) = gap.split_at(8);
    let number = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap()) as usize;
    let (from, to) = (number(from), number(to));
    let log = a.log();
    assert!(log[..from] == child[..from] && log[to..] == child[to..] && log.len() == child.len());
    assert_eq!((to - from) as u64, s.log_dropped_bytes);
    let mark = String::from_utf8_lossy(&log[from..from + 96]).into_owned();
    assert!(mark.contains(&format!("{} bytes dropped here", s.log_dropped_bytes)), "{mark}");
    assert_eq!(s.log_sha256, sha(&[&log[..from + 96], &log[to..]].concat()));
}

#[test]
fn an_endless_line_is_capped_in_constant_memory_i7() {
    let mut a = Attempt::shell("head -c 67108864 /dev/zero | tr '\\000' 'x'; echo; echo end");
    a.spec.log.max_bytes = 4 << 20;
    let s = a.run();
    let mut child = vec![b'x'; 64 << 20];
    child.extend(b"\nend\n");
    assert_eq!(s.code, Some(0));
    assert_head_and_tail(&a, &s, &child);
    let log = Log::open(a.dir()).unwrap();
    let tail = log.tail(1, 1 << 20).unwrap();
    assert_eq!(tail.lines[0].bytes, b"end");
    assert!(tail.lines[0].wall_us.is_some());
    let (mut at, mut bytes, mut marks) = (0, 0, 0);
    loop {
        let page = log.from_offset(at, 1_000, 1 << 20).unwrap();
        bytes += page.lines.iter().map(|l| l.bytes.len() as u64 + u64::from(!l.partial)).sum::<u64>();
        marks += page.lines.iter().filter(|l| l.bytes.starts_with(b"[quarterdeck: ")).count();
        at = page.next;
        if page.at_end {
            break;
        }
    }
    assert_eq!((marks, bytes), (1, s.log_bytes + 96));
}

#[test]
fn many_lines_over_the_cap_keep_head_and_tail_whole_i7() {
    let mut a = Attempt::shell("i=0; while [ $i -lt 3 ]; do seq 1 60000; i=$((i+1)); done");
    a.spec.log.max_bytes = 256 << 10;
    let s = a.run();
    let child: Vec<u8> = (0..3).flat_map(|_| 1..=60_000).flat_map(|n: u32| format!("{n}\n").into_bytes()).collect();
    assert_head_and_tail(&a, &s, &child);
    let pattern = grep::Pattern::new("^60000$", Default::default()).unwrap();
    let before = grep::all(a.dir(), &pattern);
    assert_eq!(before.len(), 1, "only the last of them is still there");
    // Packed, it is the same log, and the digest that the shim wrote down holds for it.
    let outcome = quarterdeck::runner::log::pack::pack(a.dir(), &s.log_sha256).unwrap();
    assert!(matches!(outcome, quarterdeck::runner::log::pack::Outcome::Packed { .. }), "{outcome:?}");
    assert_eq!(grep::all(a.dir(), &pattern), before);
}

#[test]
fn a_log_over_its_limit_may_end_the_step() {
    let mut a = Attempt::shell("while :; do echo flood; done");
    (a.spec.log.max_bytes, a.spec.log.kill_on_limit) = (64 << 10, true);
    let s = a.run();
    assert_eq!((s.ended_by, s.signal), (EndedBy::LogLimit, Some(15)));
    assert!(s.detail.contains("64 KiB"), "{}", s.detail);
    a.assert_nobody_left();
}

/// A small tmpfs on the attempt's root; unmounted with the value.
struct Small(Option<Attempt>, std::path::PathBuf);

impl Small {
    fn mount(name: &str, options: &str, script: &str) -> Option<Self> {
        let root = tempfile::Builder::new().prefix("qd-full-").tempdir().unwrap();
        let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(root.path()).output();
        if !mounted.is_ok_and(|o| o.status.success()) {
            support::skip(name, "this user may not mount a tmpfs");
            return None;
        }
        let path = root.path().to_owned();
        Some(Self(Some(Attempt::shell_in(root, script)), path))
    }

    fn attempt(&mut self) -> &mut Attempt {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if let Some(a) = &self.0 {
            let _ = survivors::stop_survivors(a.dir());
        }
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.1).output();
        self.0 = None;
    }
}

#[test]
fn a_full_disk_fails_no_step_and_what_is_missing_is_counted_i18() {
    // What is written while the disk is full must be far more than the shim's pipe holds, or it might all be read later.
    let script = "seq 1 20000; dd if=/dev/zero of=fill bs=64k 2>/dev/null || :; seq 1 150000; rm fill; sleep 2.5; echo end; exit 0";
    let Some(mut small) = Small::mount("shim.full_disk", "size=2m", script) else { return };
    let a = small.attempt();
    let s = a.run();
    assert_eq!((s.code, s.ended_by), (Some(0), EndedBy::Itself));
    assert!(s.log_dropped_bytes > 0, "{s:?}");
    let total: u64 = [20_000u32, 150_000].iter().flat_map(|n| 1..=*n).map(|n| format!("{n}\n").len() as u64).sum::<u64>() + 4;
    assert_eq!(s.log_bytes + s.log_dropped_bytes, total);
    let text = a.text();
    assert!(
        text.contains(&format!("[quarterdeck: {} bytes dropped here: no space left on the disk]\n", s.log_dropped_bytes)),
        "{}",
        text.len()
    );
    assert!(text.ends_with("end\n"));
    assert_eq!(s.log_sha256, sha(text.as_bytes()));
}

#[test]
fn a_disk_that_stays_full_still_holds_the_verdict_i18() {
    let bytes = "dd if=/dev/zero of=fill bs=4k 2>/dev/null || :; dd if=/dev/zero of=fill2 bs=1 2>/dev/null || :";
    let inodes = "i=0; while : 2>/dev/null > f$i; do i=$((i+1)); done || :";
    for (name, options, script) in [
        ("shim.full_bytes", "size=1m", format!("echo begin; {bytes}; seq 1 100000")),
        // Full before the first byte of output: the log has a block for what must be said.
        ("shim.full_bytes", "size=1m", format!("{bytes}; echo begin; seq 1 100000")),
        ("shim.full_inodes", "size=4m,nr_inodes=40", format!("echo begin; {inodes}; seq 1 100000")),
    ] {
        let script = format!("trap 'exit 0' EXIT; set +e; {script}; exit 0");
        let Some(mut small) = Small::mount(name, options, &script) else { continue };
        let a = small.attempt();
        let s = a.run();
        assert_eq!((s.code, s.ended_by), (Some(0), EndedBy::Itself), "{name}");
        assert_eq!(s.log_dropped_bytes > 0, name == "shim.full_bytes", "{name}: {s:?}");
        let text = a.text();
        assert_eq!(s.log_sha256, sha(text.as_bytes()), "{name}");
        if name == "shim.full_bytes" {
            let output = "begin\n".len() as u64 + (1..=100_000u32).map(|n| format!("{n}\n").len() as u64).sum::<u64>();
            assert_eq!(s.log_bytes + s.log_dropped_bytes, output, "{s:?}");
            let record = format!("\n[quarterdeck: {} bytes dropped here: no space left on the disk]\n", s.log_dropped_bytes);
            assert!(text.ends_with(&record), "whoever reads the log learns that it is not whole: {text:?}");
        }
    }
}

#[test]
fn a_disk_that_is_full_before_the_start_starts_nothing_i18() {
    for (name, options) in [("shim.full_before", "size=64k"), ("shim.no_inodes_before", "size=1m,nr_inodes=8")] {
        let Some(mut small) = Small::mount(name, options, "touch \"$TEST_ROOT/../ran\" || :; exit 0") else { continue };
        let a = small.attempt();
        a.create();
        let bytes = options.starts_with("size=64k");
        for i in 0.. {
            let path = a.root().join(format!("fill{i}"));
            let full = if bytes { std::fs::write(&path, vec![0; 4096]) } else { std::fs::write(&path, "") };
            if full.is_err() {
                break;
            }
        }
        assert_eq!(finish(a.start()).code(), Some(74), "{name}");
        assert_eq!(a.decide(), Decision::NeverStarted, "{name}");
        assert!(attempt::retire(a.dir()).unwrap(), "{name}");
        assert_eq!(finish(a.start()).code(), Some(75), "{name}");
    }
}

#[tokio::test]
async fn a_live_log_is_followed_to_its_end_without_a_byte_lost() {
    let a = Attempt::shell("for i in $(seq 1 200); do echo line $i; [ $((i % 20)) != 0 ] || sleep 0.05; done");
    a.create();
    let mut follower = Follower::new(a.dir());
    let shim = a.start();
    let (mut at, mut seen) = (0, Vec::new());
    let follow = async {
        loop {
            let ended = follower.ended();
            if let Ok(log) = Log::open(a.dir()) {
                let page = log.from_offset(at, 1_000, 1 << 20).unwrap();
                for l in page.lines.iter().filter(|l| !l.partial) {
                    seen.push(String::from_utf8_lossy(&l.bytes).into_owned());
                    at = l.offset + l.bytes.len() as u64 + 1;
                }
            }
            if ended {
                break;
            }
            follower.changed().await;
        }
    };
    tokio::time::timeout(support::wait::LIMIT, follow).await.unwrap();
    assert!(finish(shim).success());
    assert_eq!(seen, (1..=200).map(|i| format!("line {i}")).collect::<Vec<_>>());
}

#[test]
fn a_prompt_is_shown_at_once_and_times_are_recorded() {
    let a = Attempt::shell("printf 'password: '; touch up; read x || :; while [ ! -e go ]; do sleep 0.05; done");
    a.create();
    let shim = a.start();
    a.until_work("up");
    support::until("the prompt", || a.text() == "password: ");
    let line = Log::open(a.dir()).unwrap().tail(1, 100).unwrap().lines.remove(0);
    assert!(line.partial && line.wall_us.is_some_and(|t| t > 1_500_000_000_000_000));
    attempt::cancel(a.dir(), &CancelIntent { format: 1, who: "t".into(), why: String::new(), force: true }).unwrap();
    finish(shim);
}
