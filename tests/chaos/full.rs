//! I18: a disk that fills while steps run, in bytes and in inodes, never turns a passing step into a failing one.
//!
//! The state directory is a small tmpfs of its own; the steps' journals lie elsewhere. Needs the right to mount.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::check::{Violation, check};
use super::estate::Estate;
use super::fault::Rng;
use super::journal;

/// More than the floor below which nothing starts, and quick to fill.
const SIZE: &str = "size=400m,nr_inodes=8000,mode=700";

/// A mounted tmpfs; unmounted when dropped.
pub struct Mount(PathBuf);

impl Mount {
    pub fn new(dir: &Path) -> Result<Self, String> {
        let out = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(dir).output().map_err(|e| e.to_string())?;
        if out.status.success() { Ok(Self(dir.to_owned())) } else { Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()) }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Runs `rounds` rounds; an error is a world in which this cannot be tried.
pub fn run(rounds: usize, seed: u64, settle: Duration) -> Result<Vec<Violation>, String> {
    let mut rng = Rng(seed ^ 0xf011);
    let mut estate = Estate::on_small_disk(seed)?;
    let mut found = Vec::new();
    for round in 0..rounds {
        let inodes = round % 2 == 1;
        if let Err(what) = one(&mut estate, inodes, &mut rng, settle) {
            found.push(Violation { invariant: "I18", what });
            break;
        }
    }
    match estate.evidence() {
        Ok(e) => found.extend(check(&e).into_iter().map(|v| Violation { invariant: "I18", what: format!("{}: {}", v.invariant, v.what) })),
        Err(what) => found.push(Violation { invariant: "I18", what }),
    }
    Ok(found)
}

fn one(estate: &mut Estate, inodes: bool, rng: &mut Rng, settle: Duration) -> Result<(), String> {
    estate.ensure_engine(false)?;
    let number = estate.submit("full")?;
    let wanted = |j: &journal::Journal| j.head.pipeline == "full" && j.head.number == number;
    let started = |journals: &Path| journal::read_all(journals).into_values().find(wanted);
    until(|| started(&estate.journal)).ok_or("the step did not start while there was room")?;
    let filler = estate.home.state().join("filler");
    std::fs::create_dir(&filler).map_err(|e| e.to_string())?;
    fill(&filler, inodes);
    if rng.one_in(2) {
        estate.kill_engine();
    }
    let ended = until(|| started(&estate.journal).filter(|j| j.end().is_some()));
    // The verdict must be on the disk, or come once there is room: wait for it here only as long as it can be seen.
    let run = estate.run_dir("full", number);
    until_for(Duration::from_secs(3), || super::view::attempts(&run, &estate.journal).iter().any(|a| a.ended).then_some(()));
    let _ = std::fs::remove_dir_all(&filler);
    ended.ok_or("the step was held up by the full disk")?;
    estate.ensure_engine(false)?;
    estate.settle(settle)
}

/// Until nothing more fits.
fn fill(dir: &Path, inodes: bool) {
    if inodes {
        for n in 0.. {
            if File::create(dir.join(n.to_string())).is_err() {
                return;
            }
        }
    }
    let Ok(mut file) = File::create(dir.join("bytes")) else { return };
    for size in [1 << 20, 4096, 1] {
        let block = vec![0u8; size];
        while file.write_all(&block).is_ok() {}
    }
}

fn until<T>(probe: impl FnMut() -> Option<T>) -> Option<T> {
    until_for(Duration::from_secs(60), probe)
}

fn until_for<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(value) = probe() {
            return Some(value);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}
