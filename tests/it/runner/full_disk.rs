//! The state directory on a disk that fills up under a running engine, in bytes or in inodes: nothing is lost, nothing turns red (I18).

use std::process::Command;

use quarterdeck::domain::run::{RunState, Verdict};

use super::*;

/// An estate on a tmpfs of its own; unmounted with the value.
struct Small {
    estate: Estate,
    options: &'static str,
}

impl Small {
    fn mount(name: &str, options: &'static str) -> Option<Self> {
        let estate = Estate::new();
        std::fs::create_dir(estate.state()).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(estate.state()).output();
        if !mounted.is_ok_and(|o| o.status.success()) {
            crate::support::skip(name, "this user may not mount a tmpfs");
            return None;
        }
        Some(Self { estate, options })
    }

    /// The engine's own floors are out of the way here: the point is the write that fails.
    fn open(&self) -> Runner {
        let config = RunnerConfig { min_free_bytes: 0, min_free_inodes: 0, ..self.estate.config() };
        Runner::open(config).unwrap()
    }

    /// Takes all that is left.
    fn fill(&self) {
        let dir = self.estate.state().join("fill");
        std::fs::create_dir_all(&dir).unwrap();
        if self.options.contains("nr_inodes") {
            let mut i = 0;
            while std::fs::write(dir.join(i.to_string()), "").is_ok() {
                i += 1;
            }
            return;
        }
        use std::io::Write;
        let mut f = std::fs::File::create(dir.join("bytes")).unwrap();
        for chunk in [1 << 16, 4096, 1] {
            while f.write_all(&vec![b'x'; chunk]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_dir_all(self.estate.state().join("fill")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Where the test failed early its step still waits.
        let _ = std::fs::write(self.estate.file("go"), "");
        let _ = Command::new("umount").arg("-l").arg(self.estate.state()).output();
    }
}

/// Three steps: the first runs while the disk fills, the others have to wait for room.
fn three() -> Plan {
    let first = "echo first >> $HERE/ran; while [ ! -e $HERE/go ]; do sleep 0.02; done; echo end; exit 0";
    plan("p", vec![stage("a", &[], first), stage("b", &[0], "echo second >> $HERE/ran"), stage("c", &[1], "echo third >> $HERE/ran")])
}

async fn through(name: &str, options: &'static str) {
    let Some(small) = Small::mount(name, options) else { return };
    let (e, r) = (&small.estate, small.open());
    let ballast = e.state().join("ballast");
    let had_ballast = ballast.exists();
    let run = r.submit(order(three())).await.unwrap();
    eventually("the first step runs", async || e.lines("ran") == ["first"]).await;
    eventually("its start is written", async || {
        r.store().attempts(&run).unwrap().first().is_some_and(|a| e.state().join(&a.dir).join("started.json").exists())
    })
    .await;
    small.fill();
    std::fs::write(e.file("go"), "").unwrap();
    // What holds it up is said: the store, or the place for the next attempt.
    let mut said = String::new();
    eventually("why tells of the disk", async || {
        if had_ballast && !ballast.exists() {
            // Given up for the verdicts; that room goes as well, as a step that writes on would take it.
            small.fill();
        }
        said = r.why(&run).await.unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let words = ["cannot write its store", "no room on the disk", "No space left", "disk is full"];
        words.iter().any(|w| said.contains(w)) && (!had_ballast || !ballast.exists() || options.contains("nr_inodes"))
    })
    .await;
    let row = r.store().run(&run).unwrap();
    assert_ne!(row.state, RunState::Done, "{name}: {row:?}");
    assert!(e.lines("ran").len() < 3, "{name}: {said}");
    small.free();
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Success), "{name}: {row:?}, after: {said}");
    assert_eq!(e.lines("ran"), ["first", "second", "third"], "{name}: each ran once");
    let verdicts: Vec<_> =
        r.store().attempts(&run).unwrap().iter().map(|a| a.verdict.unwrap()).filter(|v| *v != Verdict::Skipped).collect();
    assert_eq!(verdicts, [Verdict::Success; 3], "{name}");
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i18_a_disk_without_bytes_holds_runs_up_and_loses_none() {
    through("runner.full_bytes", "size=48m,mode=0700").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i18_a_disk_without_inodes_holds_runs_up_and_loses_none() {
    through("runner.full_inodes", "size=64m,nr_inodes=120,mode=0700").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i18_a_small_disk_without_ballast_is_no_worse() {
    through("runner.full_small", "size=4m,mode=0700").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i18_an_engine_starts_on_a_full_disk_and_takes_in_what_ended_meanwhile() {
    let Some(small) = Small::mount("runner.full_start", "size=64m,mode=0700") else { return };
    let (e, r) = (&small.estate, small.open());
    let ballast = e.state().join("ballast");
    assert!(ballast.exists());
    let run = r.submit(order(three())).await.unwrap();
    eventually("the first step runs", async || e.lines("ran") == ["first"]).await;
    eventually("its start is written", async || {
        r.store().attempts(&run).unwrap().first().is_some_and(|a| e.state().join(&a.dir).join("started.json").exists())
    })
    .await;
    r.shutdown().await;
    small.fill();
    std::fs::write(e.file("go"), "").unwrap();
    let r = small.open();
    assert!(!ballast.exists(), "there was no room but that one");
    assert!(r.low_disk().is_none(), "this engine has no floor");
    eventually("its verdict is taken in", async || r.store().attempts(&run).unwrap()[0].verdict == Some(Verdict::Success)).await;
    small.free();
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Success));
    assert_eq!(e.lines("ran"), ["first", "second", "third"]);
    r.shutdown().await;
    let r = Runner::open(RunnerConfig { min_free_bytes: RunnerConfig::MIN_FREE_BYTES, ..small.estate.config() }).unwrap();
    assert!(r.low_disk().is_some_and(|why| why.to_string().contains("free of the 256 MiB")));
    r.shutdown().await;
}
