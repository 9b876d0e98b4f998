//! Log texts for the evidence: of every attempt of a promotion's runs, bounded, without secrets, as text that any terminal may show.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::base::sanitise::{self, Colour};
use crate::domain::rows::AttemptRow;
use crate::domain::run::RunRef;
use crate::engine::state::Engine;
use crate::runner::log::read::Log;
use crate::store::StoreError;

/// Of one log: what is more loses its middle.
const ONE: usize = 256 << 10;
/// Of all logs of a pack.
pub const ALL: usize = 32 << 20;
/// Names in an archive are short: `runs/NAME-NUMBER/NN-STAGE.N.log`.
const NAME: usize = 24;

/// Files of an archive: name and bytes.
pub type Files = Vec<(String, Vec<u8>)>;

/// What the supervisors said of the logs, and their texts as files of the archive. `left`: bytes that the pack has room for.
pub fn of_run(engine: &Engine, run: &RunRef, below: &str, left: &mut usize) -> Result<(Vec<Value>, Files), StoreError> {
    let sums = engine.store.log_sums(run)?;
    let (mut told, mut files) = (Vec::new(), Vec::new());
    for (i, a) in engine.store.attempts(run)?.into_iter().enumerate() {
        let sum = sums.iter().find(|(fence, _)| *fence == a.fence).map(|(_, sum)| sum.as_str()).filter(|s| !s.is_empty());
        let (file, whole, why) = match text(engine, &a, (*left).min(ONE)) {
            Ok((bytes, whole)) => {
                *left = left.saturating_sub(bytes.len());
                let file = name(below, i + 1, &a);
                files.push((file.clone(), bytes));
                (Some(file), whole, None)
            }
            Err(why) => (None, false, Some(why)),
        };
        told.push(json!({
            "stage": a.stage, "cell": a.cell, "step": a.step, "attempt": a.number, "verdict": a.verdict, "log": format!("{}/log", a.dir),
            "size_bytes": a.log_bytes, "sha256": sum, "file": file, "whole": whole, "absent": why,
        }));
    }
    Ok((told, files))
}

fn name(below: &str, n: usize, a: &AttemptRow) -> String {
    let plain: String = a.stage.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(NAME).collect();
    format!("{below}/{n:02}-{plain}.{}.log", a.number)
}

/// The text, and whether it is all of it.
fn text(engine: &Engine, a: &AttemptRow, most: usize) -> Result<(Vec<u8>, bool), String> {
    if most == 0 {
        return Err(format!("the logs of this pack are larger than {} MiB", ALL >> 20));
    }
    let log = Log::open(&engine.watch.dirs().state.join(&a.dir))
        .map_err(|e| if e.is_absent() { "it is gone".to_owned() } else { e.to_string() })?;
    // What a log over its cap has lost in its middle is passed over.
    let read = |from: u64, n: usize| -> Result<(u64, Vec<u8>), String> {
        let (first, mut all) = log.bytes(from, n).map_err(|e| e.to_string())?;
        let mut next = first + all.len() as u64;
        while all.len() < n {
            let (at, more) = log.bytes(next, n - all.len()).map_err(|e| e.to_string())?;
            if more.is_empty() {
                break;
            }
            next = at + more.len() as u64;
            all.extend(more);
        }
        Ok((first, all))
    };
    let clean = |line: &str| engine.filter.clean(&sanitise::line(line, Colour::Drop));
    bounded(log.len().map_err(|e| e.to_string())?, most, read, clean)
}

/// Head and tail of what is longer than `most` bytes, and whether it is all of it. Whole lines only: a secret that is cut in two would not be
/// known. `read` gives bytes from an offset on, and where they really begin.
fn bounded(
    len: u64,
    most: usize,
    read: impl Fn(u64, usize) -> Result<(u64, Vec<u8>), String>,
    clean: impl Fn(&str) -> String,
) -> Result<(Vec<u8>, bool), String> {
    let lines = |bytes: &[u8]| -> String { String::from_utf8_lossy(bytes).lines().map(|l| clean(l) + "\n").collect() };
    if len <= most as u64 {
        return Ok((lines(&read(0, most)?.1).into_bytes(), true));
    }
    let half = most / 2;
    let (head, (from, tail)) = (read(0, half)?.1, read(len - half as u64, half)?);
    let head = &head[..head.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1)];
    let skip = tail.iter().position(|b| *b == b'\n').map_or(tail.len(), |i| i + 1);
    let left_out = (from + skip as u64).saturating_sub(head.len() as u64);
    Ok((format!("{}[{left_out} bytes are left out here]\n{}", lines(head), lines(&tail[skip..])).into_bytes(), false))
}

/// sha256, in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_keeps_whole_lines_of_its_head_and_of_its_tail() {
        let text: String = (0..1_000).map(|n| format!("line {n} \u{1b}[31mhunter2\n")).collect();
        let bytes = text.as_bytes();
        let read = |at: u64, n: usize| {
            let at = at as usize;
            Ok((at as u64, bytes[at..(at + n).min(bytes.len())].to_vec()))
        };
        let clean = |l: &str| sanitise::line(l, Colour::Drop).replace("hunter2", "***");
        let told = |most: usize| {
            let (got, whole) = bounded(bytes.len() as u64, most, read, clean).unwrap();
            (String::from_utf8(got).unwrap(), whole)
        };
        let (all, whole) = told(bytes.len());
        assert!(whole && all.lines().count() == 1_000 && !all.contains("hunter2") && !all.contains('\u{1b}'));
        for most in [0, 1, 2, 40, 333, 4_096] {
            let (cut, whole) = told(most);
            assert!(
                !whole && cut.len() <= most + 60 && !cut.contains("hunter") && cut.contains("bytes are left out here"),
                "{most}: {cut}"
            );
            let left: u64 = cut.lines().find_map(|l| l.strip_prefix('[')?.split(' ').next()?.parse().ok()).unwrap();
            let kept = |l: &&str| !l.starts_with('[');
            let raw: usize = cut.lines().filter(kept).map(|l| l.len() - "***".len() + "\u{1b}[31mhunter2\n".len()).sum();
            assert_eq!(raw as u64 + left, bytes.len() as u64, "{most}: nothing is counted twice");
        }
    }
}
